// Hashes, by mbedTLS. The only place that includes its hash and comparison headers.
#ifndef GHATRACE_BASE_DIGEST_H
#define GHATRACE_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"

#define MD5_SIZE 16
#define SHA256_SIZE 32

// Made for IDs, not for security.
void digest_md5(struct slice data, uint8_t digest[MD5_SIZE]);
void digest_sha256(struct slice data, uint8_t digest[SHA256_SIZE]);

// HMAC-SHA256 of `data` under `key`. False when the library refuses memory.
bool digest_hmac_sha256(struct slice key, struct slice data, uint8_t digest[SHA256_SIZE]);

// Equal? In time that does not depend on where they differ.
bool digest_equals_constant_time(const uint8_t *a, const uint8_t *b, size_t len);

// Overwrites secrets in a way that the compiler may not leave out.
void digest_wipe(void *data, size_t len);

// --- base64 (RFC 4648 4), by mbedTLS. Pure --------------------------------------------------------

// Decodes all of `text` into `out`, which has room for `size` bytes; `*len` tells how many they are. False: not base64, or
// more than there is room for.
bool base64_decode(struct slice text, void *out, size_t size, size_t *len);

#endif
