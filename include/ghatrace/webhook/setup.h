// Diagnoses the webhook's configuration at GitHub from requests: signatures that do not match, deliveries to another
// path, the content of pings, and the events received. Kept since the start of the process, in fixed memory.
#ifndef GHATRACE_WEBHOOK_SETUP_H
#define GHATRACE_WEBHOOK_SETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/time.h"
#include "ghatrace/webhook/webhook.h"

#define INGRESS_SETUP_ADDRESSES 4
#define INGRESS_SETUP_TEXT_SIZE 128
#define INGRESS_ADDRESS_SIZE 48

// Requests refused for one reason. Unauthenticated clients can cause them as well as GitHub.
struct ingress_refused {
    uint64_t count;
    // Those received since the last delivery with a valid signature. Reset by the first refusal after such a delivery,
    // not by the delivery itself.
    uint64_t in_a_row;
    timestamp_ns since; // the first of these
    timestamp_ns last;
    char addresses[INGRESS_SETUP_ADDRESSES][INGRESS_ADDRESS_SIZE]; // the latest clients
    size_t address_count;
    bool has_more_addresses;
};

// From the last ping. GitHub sends one when a webhook is created, and on demand, but not when it is changed.
struct ingress_hook {
    timestamp_ns at; // TIMESTAMP_UNKNOWN: no ping, or none with a webhook's settings
    bool has_jobs, has_runs;
    bool is_inactive, is_insecure;
    char url[INGRESS_SETUP_TEXT_SIZE]; // cut to size, printable ASCII
};

struct ingress_setup {
    bool asks_for_signature;
    timestamp_ns signed_at;                    // last delivery with a valid signature
    timestamp_ns event_at[GITHUB_EVENT_KINDS]; // of these, by kind of event
    uint64_t event_count[GITHUB_EVENT_KINDS];  //
    struct ingress_refused wrong_signature;    // with a signature that does not match
    struct ingress_refused without_signature;  // from GitHub (by its header fields), unsigned
    struct ingress_refused wrong_path;         // likewise, to another path than the webhook's
    char path[INGRESS_SETUP_TEXT_SIZE];        // the last of these; cut to size, printable ASCII
    struct ingress_hook hook;
    uint64_t rejected_network; // connections closed because of allow-from
    // Grows when there is something new to display; in a flood of refusals it grows more and more slowly.
    uint64_t version;
};

// From any thread.
void ingress_read_setup(struct ingress *ingress, struct ingress_setup *setup);

#endif
