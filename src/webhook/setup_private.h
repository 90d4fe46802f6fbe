// Where threads note what ghatrace/ingress/setup.h tells of. Behind a mutex that only refused requests and pings take.
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

// Does it look like a delivery of GitHub's? Anybody can write such fields.
bool setup_is_from_github(const struct http_head *head);
struct setup_refused {
    enum setup_refusal why;
    const struct net_ip *client; // NULL: not known
    struct slice path;           // with SETUP_WRONG_PATH
    timestamp_ns at;
    timestamp_ns signed_at; // when the last delivery was signed rightly
};
// One more.
void setup_note_refusal(struct setup_notes *notes, const struct setup_refused *delivery);
void setup_note_ping(struct setup_notes *notes, const struct github_hook *hook, timestamp_ns now);
// When the last delivery with a right signature came; TIMESTAMP_UNKNOWN: none did.
timestamp_ns ingress_signed_at(const struct ingress *ingress);

// What somebody should change at GitHub, by the words of its form: "tick Workflow runs; tick Active". False: something.
#define SETUP_MISSING_SIZE 192
bool setup_describe_missing(const struct github_hook *hook, char text[SETUP_MISSING_SIZE]);
// Fills what is noted here, and leaves the rest.
void setup_notes_read(struct setup_notes *notes, struct ingress_setup *setup);

#endif
