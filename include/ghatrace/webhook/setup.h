// What requests tell about how the webhook is set up at GitHub: signatures that do not match, deliveries to another
// path, what a ping says, and which events come. Kept since the start of the process, in a place of fixed size.
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

// Requests that were refused for one reason, all told. Strangers can cause them as well as GitHub.
struct ingress_refused {
    uint64_t count;
    // Those that came since the last delivery with a right signature, as of the last of them: a delivery after that is
    // no part of this.
    uint64_t in_a_row;
    timestamp_ns since; // the first of these
    timestamp_ns last;
    char addresses[INGRESS_SETUP_ADDRESSES][INGRESS_ADDRESS_SIZE]; // from where; the latest clients
    size_t address_count;
    bool has_more_addresses;
};

// Of the last ping. GitHub sends one when a webhook is made, and on demand; none when it is changed.
struct ingress_hook {
    timestamp_ns at; // TIMESTAMP_UNKNOWN: none came, or none that told of a webhook
    bool has_jobs, has_runs;
    bool is_inactive, is_insecure;
    char url[INGRESS_SETUP_TEXT_SIZE]; // cut to size, printable ASCII
};

struct ingress_setup {
    bool asks_for_signature;
    timestamp_ns signed_at;                    // the last delivery whose signature was right
    timestamp_ns event_at[GITHUB_EVENT_KINDS]; // of these, by what they speak of
    uint64_t event_count[GITHUB_EVENT_KINDS];  //
    struct ingress_refused wrong_signature;    // with a signature that does not match
    struct ingress_refused without_signature;  // from GitHub, by its header fields, without any
    struct ingress_refused wrong_path;         // likewise, to another path than the webhook's
    char path[INGRESS_SETUP_TEXT_SIZE];        // the last of these; cut to size, printable ASCII
    struct ingress_hook hook;
    uint64_t strangers; // connections closed because of allow-from
    // Grows with what is new for somebody who looks; a flood makes it grow ever more slowly.
    uint64_t version;
};

// From any thread.
void ingress_read_setup(struct ingress *ingress, struct ingress_setup *setup);

#endif
