// Secrets that must not appear in logs, even if an endpoint repeats them. Private to this room. Pure.
#ifndef GHATRACE_SRC_EXPORT_MASK_H
#define GHATRACE_SRC_EXPORT_MASK_H

#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/http/parse.h"

// Shorter values are not treated as secrets: masking them would hide ordinary words.
#define MASK_LEAST 4
// This many bytes of the beginning of a secret are masked, too, when the rest is cut off.
#define MASK_PREFIX 8

// All zero: no secrets.
struct mask_list {
    struct slice *secrets;
    size_t count;
    const struct mask_list *older; // also masked; NULL: none. Not owned
};

// Collects the values of the headers, whole and without their first word ("Bearer"), and secrets in the endpoint's
// URL: the query of its path, whole and each of its values, and its user info ("user:password"), whole and the
// password, also percent-decoded. All in the arena; the headers' values and the endpoint are not copied.
enum error_code mask_init(struct mask_list *list, const struct http_header *headers, size_t count,
                          const struct export_endpoint *endpoint, struct arena *arena) MUST_CHECK;
// Overwrites secrets in the text with '*'.
void mask_text(const struct mask_list *list, char *text, size_t len);

#endif
