// base64.
#include "ghatrace/base/base64.h"

#include <mbedtls/base64.h>

bool base64_decode(struct slice text, void *out, size_t size, size_t *len)
{
    *len = 0;
    // mbedTLS takes a last group that is cut short.
    return text.len % 4 == 0 &&
           mbedtls_base64_decode(out, size, len, (const unsigned char *)text.data, text.len) == 0;
}
