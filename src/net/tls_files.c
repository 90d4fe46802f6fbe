// Certificates and keys from PEM files.
#include <errno.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tls_private.h"

#define FILE_MAX ((size_t)4 << 20) // the usual bundles have some 200 KiB

void tls_wipe(struct buffer *text)
{
    if (text->data != NULL)
        mbedtls_platform_zeroize(text->data, text->len);
    buffer_release(text);
}

static enum error_code read_all(FILE *file, const char *path, struct buffer *out,
                                struct error *error)
{
    for (;;) {
        char chunk[4096];
        errno = 0;
        size_t len = fread(chunk, 1, sizeof chunk, file);
        int number = errno;
        // mbedTLS tells PEM from DER by the NUL at the end.
        enum error_code code = len > 0 ? buffer_append(out, chunk, len) : buffer_append(out, "", 1);
        mbedtls_platform_zeroize(chunk, len);
        if (code != ERROR_NONE)
            return error_set(error, code, "%s: %s", path, error_code_text(code));
        if (len == 0)
            return !ferror(file) ? ERROR_NONE
                                 : error_set(error, ERROR_USAGE, "%s: %s", path, strerror(number));
    }
}

enum error_code tls_read_file(const char *path, struct buffer *out, struct error *error)
{
    buffer_init(out, FILE_MAX);
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return error_set(error, ERROR_USAGE, "%s: %s", path, strerror(errno));
    (void)setvbuf(file, NULL, _IONBF, 0); // no copy of a key that we could not wipe
    enum error_code code = read_all(file, path, out, error);
    (void)fclose(file); // only read from
    if (code != ERROR_NONE)
        tls_wipe(out);
    return code;
}

enum error_code tls_parse_certificates(mbedtls_x509_crt *out, const struct buffer *text,
                                       const char *path, struct error *error)
{
    char reason[128];
    int result = mbedtls_x509_crt_parse(out, (const unsigned char *)text->data, text->len);

    if (result == MBEDTLS_ERR_X509_ALLOC_FAILED)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", path);
    // A positive number counts certificates that the library cannot read: a bundle may have some.
    if (result >= 0 && out->raw.len > 0)
        return ERROR_NONE;
    if (result >= 0)
        result = MBEDTLS_ERR_X509_INVALID_FORMAT;
    tls_describe(result, reason, sizeof reason);
    return error_set(error, ERROR_USAGE, "%s: no certificate in PEM: %s", path, reason);
}

enum error_code tls_parse_key(struct net_tls *tls, const struct buffer *text, const char *path,
                              struct error *error)
{
    const unsigned char *data = (const unsigned char *)text->data;
    char reason[128];
#if TLS_HAS_VERSION_3
    int result = mbedtls_pk_parse_key(&tls->key, data, text->len, NULL, 0, mbedtls_ctr_drbg_random,
                                      &tls->random.generator);
#else
    int result = mbedtls_pk_parse_key(&tls->key, data, text->len, NULL, 0);
#endif

    if (result == 0)
        return ERROR_NONE;
    if (result == MBEDTLS_ERR_PK_ALLOC_FAILED)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", path);
    if (result == MBEDTLS_ERR_PK_PASSWORD_REQUIRED)
        return error_set(error, ERROR_USAGE,
                         "%s: the key has a password: take it away (openssl pkey -in ... -out ...)",
                         path);
    tls_describe(result, reason, sizeof reason);
    return error_set(error, ERROR_USAGE, "%s: no private key in PEM: %s", path, reason);
}

enum error_code tls_check_pair(struct net_tls *tls, const char *certificate_path,
                               const char *key_path, struct error *error)
{
#if TLS_HAS_VERSION_3
    int result = mbedtls_pk_check_pair(&tls->certificates.pk, &tls->key, mbedtls_ctr_drbg_random,
                                       &tls->random.generator);
#else
    int result = mbedtls_pk_check_pair(&tls->certificates.pk, &tls->key);
#endif
    if (result == 0)
        return ERROR_NONE;
    return error_set(error, ERROR_USAGE, "%s: the key does not belong to the certificate in %s",
                     key_path, certificate_path);
}

const char *tls_find_bundle(void)
{
    static const char *const usual[] = {
        "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine
        "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
        "/etc/ssl/ca-bundle.pem",             // openSUSE
        "/etc/ssl/cert.pem",                  // Alpine, BSD
    };
    const char *path = getenv("SSL_CERT_FILE");

    if (path != NULL && path[0] != '\0')
        return path;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (access(usual[i], R_OK) == 0)
            return usual[i];
    }
    return NULL;
}
