// Where threads record the facts of webhook/setup.h. The mutex is locked only for refused requests and pings.
#ifndef GHATRACE_WEBHOOK_SETUP_PRIVATE_H
#define GHATRACE_WEBHOOK_SETUP_PRIVATE_H

#include "ghatrace/github/event.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/net/address.h"
#include "ghatrace/webhook/setup.h"

struct setup_notes;

enum setup_refusal {
    SETUP_WRONG_SIGNATURE,
    SETUP_WITHOUT_SIGNATURE,
    SETUP_WRONG_PATH,
    SETUP_REFUSALS
};

enum error_code setup_notes_create(struct setup_notes **notes, struct error *error) MUST_CHECK;
void setup_notes_destroy(struct setup_notes *notes);

// True if the request looks like a delivery from GitHub. Any client can send such fields.
bool setup_is_from_github(const struct http_head *head);
struct setup_refused {
    enum setup_refusal why;
    const struct net_ip *client; // NULL: not known
    struct slice path;           // with SETUP_WRONG_PATH
    timestamp_ns at;
    timestamp_ns signed_at; // when the last delivery had a valid signature
};
// Records a refused request.
void setup_note_refusal(struct setup_notes *notes, const struct setup_refused *delivery);
void setup_note_ping(struct setup_notes *notes, const struct github_hook *hook, timestamp_ns now);
// When the last delivery with a valid signature was received; TIMESTAMP_UNKNOWN: none was.
timestamp_ns ingress_signed_at(const struct ingress *ingress);

// What to change at GitHub, in the words of its form: "tick Workflow runs; tick Active". False: something is missing.
#define SETUP_MISSING_SIZE 192
bool setup_describe_missing(const struct github_hook *hook, char text[SETUP_MISSING_SIZE]);
// Fills the members that are recorded here and leaves the others unchanged.
void setup_notes_read(struct setup_notes *notes, struct ingress_setup *setup);

#endif
