// What a delivery's headers say about its event.
#ifndef GHATRACE_GITHUB_DELIVERY_H
#define GHATRACE_GITHUB_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

// The time inside a version-1 UUID (RFC 9562 5.1), as X-GitHub-Delivery carries it: the event's, to
// the millisecond, the same in every redelivery. GitHub does not document it.
// False: not a UUID in its 36 characters, of another version or variant, or of 1970 and before.
bool github_delivery_guid_time(struct slice guid, timestamp_ns *time);

// `X-Hub-Signature-256: sha256=<64 hex digits>` against the raw body, as GitHub's page "Validating
// webhook deliveries" has it. True if any of the secrets made it; all are tried, in constant time,
// also when the header is absent or malformed. `digest` receives the HMAC under the secret that
// matched, a fingerprint of the body, and is left alone where none does.
bool github_signature_is_valid(struct slice header, struct slice body, const struct slice *secrets,
                               size_t secret_count, uint8_t digest[32]);

// The first `payload=<percent-encoded JSON>` among the fields of an application/x-www-form-urlencoded
// body, the default of hooks made in the web page (octokit/webhooks.js#158). `out` has room for
// form.len bytes. Returns the decoded length, or -1: no such field, or a broken escape.
ptrdiff_t github_form_payload(struct slice form, char *out);

#endif
