// Secrets that must not appear in logs, whoever repeats them. Private to this room. Pure.
#ifndef GHATRACE_SRC_EXPORT_MASK_H
#define GHATRACE_SRC_EXPORT_MASK_H

#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/http/parse.h"

// Shorter values are no secrets, and masking them would blank out ordinary words.
#define MASK_LEAST 4
// So many bytes of the beginning of a secret are masked, too, when the rest is cut off.
#define MASK_PREFIX 8

// All zero: no secrets.
struct mask_list {
    struct slice *secrets;
    size_t count;
    const struct mask_list *older; // these are masked, too; NULL: none. Not owned
};

// From the values of the headers, whole and without their first word ("Bearer"), and of the endpoint's URL: from the
// query of its path, whole and each of its values, and from its user info ("user:password"), whole and the password,
// also percent-decoded. All in the arena; the headers' values and the endpoint are not copied.
enum error_code mask_init(struct mask_list *list, const struct http_header *headers, size_t count,
                          const struct export_endpoint *endpoint, struct arena *arena) MUST_CHECK;
// Overwrites secrets in the text with '*'.
void mask_text(const struct mask_list *list, char *text, size_t len);

#endif
