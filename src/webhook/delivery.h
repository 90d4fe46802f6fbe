// One delivery: what its request says, checked step by step. Knows neither sockets nor threads.
#ifndef GHATRACE_WEBHOOK_DELIVERY_H
#define GHATRACE_WEBHOOK_DELIVERY_H

#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/error.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/github/event.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/webhook/webhook.h"

// GitHub's are 36 characters. Others send what they like, within reason.
#define GUID_MAX 128

struct delivery {
    struct slice event_type;          // X-GitHub-Event
    struct slice guid;                // X-GitHub-Delivery
    uint8_t fingerprint[SHA256_SIZE]; // HMAC of the raw body, under the secret that matched
    uint8_t body_digest[MD5_SIZE];    // of the raw body, of an event that is stored
    struct github_event event;
};

// A refusal: which status, and one line.
struct refusal {
    int status;
    struct error error;
};

// What the head alone can tell: content type, coding, and whether there is any signature, so that
// nobody has to send, and we need not keep, a body that will be refused. False: see `refusal`.
bool delivery_head_is_acceptable(const struct http_head *head,
                                 const struct ingress_options *options,
                                 struct refusal *refusal) MUST_CHECK;

// Checks the signature before anything in the body is looked at, then reads headers and body. What
// `delivery` points to is in `head`, `body` and `arena`. False: see `refusal`.
bool delivery_read(const struct http_head *head, struct slice body,
                   const struct ingress_options *options, struct arena *arena,
                   struct delivery *delivery, struct refusal *refusal) MUST_CHECK;

// Names this delivery among all: one GUID can go with two bodies (github/docs#32822: two apps that
// hear the same event), and one body with two GUIDs. Half of it is the GUID's, half the body's; the secret that it was
// signed with is not in it, so that a delivery that is repeated after a change of secrets is known.
void delivery_digest(const struct delivery *delivery, uint8_t digest[DELIVERY_DIGEST_SIZE]);
// As stores of format version 1 have it: of GUID and HMAC.
void delivery_old_digest(const struct delivery *delivery, uint8_t digest[DELIVERY_DIGEST_SIZE]);

#endif
