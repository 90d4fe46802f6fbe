// Hashes and base64, by mbedTLS. The only module that includes its hash and comparison headers.
#ifndef GHATRACE_BASE_DIGEST_H
#define GHATRACE_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"

#define MD5_SIZE 16
#define SHA256_SIZE 32

// For IDs, not for security.
void digest_md5(struct slice data, uint8_t digest[MD5_SIZE]);
void digest_sha256(struct slice data, uint8_t digest[SHA256_SIZE]);

// HMAC-SHA256 of `data` with `key`. False when the library is out of memory.
bool digest_hmac_sha256(struct slice key, struct slice data, uint8_t digest[SHA256_SIZE]);

// True if equal. Takes the same time wherever they differ.
bool digest_equals_constant_time(const uint8_t *a, const uint8_t *b, size_t len);

// Overwrites secrets; the compiler cannot optimize it away.
void digest_wipe(void *data, size_t len);

// --- base64 (RFC 4648 4), by mbedTLS. Pure --------------------------------------------------------

// Decodes all of `text` into `out`, which has room for `size` bytes; `*len` is set to the decoded length. False: not
// base64, or longer than `size`.
bool base64_decode(struct slice text, void *out, size_t size, size_t *len);
// Bytes that base64_encode() needs for `len` bytes, with the final NUL.
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
// Writes the padded text and a NUL to `text`, which has room for BASE64_SIZE(bytes.len). Returns its length.
size_t base64_encode(struct slice bytes, char *text);

#endif
