// Hashes by mbedTLS, whose function names differ between 2.28 and 3.x.
#include "ghatrace/base/digest.h"

#include <mbedtls/base64.h>
#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>
#include <mbedtls/md5.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <stdlib.h>

#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define MD5 mbedtls_md5_ret
#define SHA256 mbedtls_sha256_ret
#else
#define MD5 mbedtls_md5
#define SHA256 mbedtls_sha256
#endif

// Never passes a null pointer to the library, not even with length 0.
static const unsigned char *without_null_pointer(struct slice data)
{
    return (const unsigned char *)(data.len != 0 ? data.data : "");
}

// The hashes cannot fail in software; the return value is for hardware accelerators. An ID from a failed hash would
// silently corrupt traces, so a failure ends the program.
void digest_md5(struct slice data, uint8_t digest[MD5_SIZE])
{
    if (MD5(without_null_pointer(data), data.len, digest) != 0)
        abort();
}

void digest_sha256(struct slice data, uint8_t digest[SHA256_SIZE])
{
    if (SHA256(without_null_pointer(data), data.len, digest, 0) != 0)
        abort();
}

bool digest_hmac_sha256(struct slice key, struct slice data, uint8_t digest[SHA256_SIZE])
{
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

    return sha256 != NULL && mbedtls_md_hmac(sha256, without_null_pointer(key), key.len,
                                             without_null_pointer(data), data.len, digest) == 0;
}

bool digest_equals_constant_time(const uint8_t *a, const uint8_t *b, size_t len)
{
    return len == 0 || mbedtls_ct_memcmp(a, b, len) == 0;
}

void digest_wipe(void *data, size_t len)
{
    if (len != 0)
        mbedtls_platform_zeroize(data, len);
}

// --- base64 ---------------------------------------------------------------------------------------

bool base64_decode(struct slice text, void *out, size_t size, size_t *len)
{
    *len = 0;
    // mbedTLS accepts an incomplete last group.
    return text.len % 4 == 0 &&
           mbedtls_base64_decode(out, size, len, (const unsigned char *)text.data, text.len) == 0;
}

size_t base64_encode(struct slice bytes, char *text)
{
    size_t len = 0;
    // Only a lack of room fails.
    if (mbedtls_base64_encode((unsigned char *)text, BASE64_SIZE(bytes.len), &len,
                              (const unsigned char *)bytes.data, bytes.len) != 0)
        len = 0;
    text[len] = '\0';
    return len;
}
