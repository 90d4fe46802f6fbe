// Reads the headers of a webhook delivery.
#ifndef GHATRACE_GITHUB_DELIVERY_H
#define GHATRACE_GITHUB_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

// The time inside a version-1 UUID (RFC 9562 5.1), as in X-GitHub-Delivery: the event's time in milliseconds, the
// same in every redelivery. Not documented by GitHub. False: not a UUID of 36 characters, of another version or
// variant, or a time in 1970 or before.
bool github_delivery_guid_time(struct slice guid, timestamp_ns *time);

// Checks `X-Hub-Signature-256: sha256=<64 hex digits>` against the raw body, as described in GitHub's page
// "Validating webhook deliveries". True if any of the secrets matches; all are tried, in constant time, also when the
// header is absent or malformed. `digest` receives the HMAC under the matching secret, a fingerprint of the body, and
// is unchanged if none matches.
bool github_signature_is_valid(struct slice header, struct slice body, const struct slice *secrets,
                               size_t secret_count, uint8_t digest[32]);

// Decodes the first `payload=<percent-encoded JSON>` field of an application/x-www-form-urlencoded body, the default
// of webhooks created in the web UI (octokit/webhooks.js#158). `out` has room for form.len bytes. Returns the decoded
// length, or -1: no such field, or an invalid escape.
ptrdiff_t github_form_payload(struct slice form, char *out);

#endif
