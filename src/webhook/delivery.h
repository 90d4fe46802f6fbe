// One delivery: its request, checked step by step. Independent of sockets, threads and the clock.
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

// GitHub's GUIDs have 36 characters; other senders may use longer ones.
#define GUID_MAX 128

struct delivery {
    struct slice event_type;          // X-GitHub-Event
    struct slice guid;                // X-GitHub-Delivery
    uint8_t fingerprint[SHA256_SIZE]; // HMAC of the raw body, under the secret that matched
    uint8_t body_digest[MD5_SIZE];    // of the raw body, of an event that is stored
    struct github_event event;
};

// A refusal: the status and a one-line reason.
struct refusal {
    int status;
    struct error error;
};

// Checks what is known from the head alone: content type, content coding, and whether there is a signature, so that a
// body that would be refused is neither sent nor buffered. False: see `refusal`.
bool delivery_head_is_acceptable(const struct http_head *head,
                                 const struct ingress_options *options,
                                 struct refusal *refusal) MUST_CHECK;

// A request in full, and the memory for what is decoded of it.
struct delivery_source {
    const struct http_head *head;
    struct slice body;
    const struct ingress_options *options;
    struct arena *arena;
};

// Checks the signature before parsing any of the body, then reads headers and body. `delivery` points into the head,
// the body and the arena. False: see `refusal`.
bool delivery_read(const struct delivery_source *source, struct delivery *delivery,
                   struct refusal *refusal) MUST_CHECK;

// Identifies the delivery: one GUID can occur with two bodies (github/docs#32822: two apps that receive the same
// event), and one body with two GUIDs. Half of the digest is of the GUID, half of the body; the secret is not part of
// it, so that a redelivery after a change of secrets is recognized.
void delivery_digest(const struct delivery *delivery, uint8_t digest[DELIVERY_DIGEST_SIZE]);
// The digest in stores of format version 1: of GUID and HMAC.
void delivery_old_digest(const struct delivery *delivery, uint8_t digest[DELIVERY_DIGEST_SIZE]);

// --- what GitHub sends around a body -------------------------------------------------------------

// The time inside a version-1 UUID (RFC 9562 5.1), as in X-GitHub-Delivery: the event's time in milliseconds, the
// same in every redelivery. Not documented by GitHub. False: not a UUID of 36 characters, of another version or
// variant, or a time in 1970 or before.
bool delivery_guid_time(struct slice guid, timestamp_ns *time);

// Checks `X-Hub-Signature-256: sha256=<64 hex digits>` against the raw body, as described in GitHub's page
// "Validating webhook deliveries". True if any of the secrets matches; all are tried, in constant time, also when the
// header is absent or malformed. `digest` receives the HMAC under the matching secret, a fingerprint of the body, and
// is unchanged if none matches.
bool delivery_signature_is_valid(struct slice header, struct slice body,
                                 const struct slice *secrets, size_t secret_count,
                                 uint8_t digest[32]);

// Decodes the first `payload=<percent-encoded JSON>` field of an application/x-www-form-urlencoded body, the default
// of webhooks created in the web UI (octokit/webhooks.js#158). `out` has room for form.len bytes. Returns the decoded
// length, or -1: no such field, or an invalid escape.
ptrdiff_t delivery_form_payload(struct slice form, char *out);

#endif
