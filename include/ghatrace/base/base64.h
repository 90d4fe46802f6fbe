// base64 (RFC 4648 4), by mbedTLS. Pure.
#ifndef GHATRACE_BASE_BASE64_H
#define GHATRACE_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/slice.h"

// Decodes all of `text` into `out`, which has room for `size` bytes; `*len` tells how many they are. False: not base64, or
// more than there is room for.
bool base64_decode(struct slice text, void *out, size_t size, size_t *len);

#endif
