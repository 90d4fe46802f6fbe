// Certificates and keys from PEM files.
#include <errno.h>
#include <mbedtls/platform_util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
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

// The library's reason alone would not say whether the file or the kind of key is wrong. The text ends with NUL.
static enum error_code refuse_pem(int result, const char *path, const char *what, bool has_label,
                                  struct error *error)
{
    char reason[128];

    tls_describe(result, reason, sizeof reason);
    if (has_label)
        return error_set(error, ERROR_USAGE,
                         "%s: a %s that cannot be read (RSA and ECDSA are, Ed25519 is not): %s",
                         path, what, reason);
    return error_set(error, ERROR_USAGE, "%s: no %s in PEM: %s", path, what, reason);
}

// `*unreadable` becomes the number of those that the library cannot read, beside others that it can.
static enum error_code parse_certificates(mbedtls_x509_crt *out, const struct buffer *text,
                                          const char *path, int *unreadable, struct error *error)
{
    int result = mbedtls_x509_crt_parse(out, (const unsigned char *)text->data, text->len);

    if (result == MBEDTLS_ERR_X509_ALLOC_FAILED)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", path);
    if (result >= 0 && out->raw.len == 0)
        result = MBEDTLS_ERR_X509_INVALID_FORMAT;
    *unreadable = result;
    if (result >= 0)
        return ERROR_NONE;
    return refuse_pem(result, path, "certificate",
                      strstr(text->data, "-----BEGIN CERTIFICATE-----") != NULL, error);
}

enum error_code tls_parse_authorities(mbedtls_x509_crt *out, const struct buffer *text,
                                      const char *path, struct error *error)
{
    int unreadable;

    return parse_certificates(out, text, path, &unreadable, error);
}

// mbedTLS writes the message with the certificates into one record (RFC 5246 7.4.2, RFC 8446 4.4.2).
static enum error_code check_chain_size(const mbedtls_x509_crt *chain, const char *path,
                                        struct error *error)
{
    size_t len = 8; // type and lengths

    for (const mbedtls_x509_crt *each = chain; each != NULL; each = each->next)
        len += each->raw.len + 5; // length, and extensions in TLS 1.3
    if (len <= MBEDTLS_SSL_OUT_CONTENT_LEN)
        return ERROR_NONE;
    return error_set(error, ERROR_USAGE,
                     "%s: the certificates are too long for a handshake: %zu bytes of at most %d: "
                     "leave out the root, and all that does not lead to it",
                     path, len, (int)MBEDTLS_SSL_OUT_CONTENT_LEN);
}

// What `groups` in tls.c lets clients name; a key on another curve fails every handshake.
static enum error_code check_curve(const mbedtls_x509_crt *certificate, const char *path,
                                   struct error *error)
{
    if (!mbedtls_pk_can_do(&certificate->pk, MBEDTLS_PK_ECDSA))
        return ERROR_NONE;
    mbedtls_ecp_group_id id = mbedtls_pk_ec(certificate->pk)->MBEDTLS_PRIVATE(grp).id;
    if (id == MBEDTLS_ECP_DP_SECP256R1 || id == MBEDTLS_ECP_DP_SECP384R1 ||
        id == MBEDTLS_ECP_DP_SECP521R1)
        return ERROR_NONE;
    const mbedtls_ecp_curve_info *info = mbedtls_ecp_curve_info_from_grp_id(id);
    return error_set(error, ERROR_USAGE,
                     "%s: its key is on the curve %s, which clients do not offer: use P-256, P-384 "
                     "or P-521",
                     path, info != NULL ? info->name : "of another kind");
}

enum error_code tls_parse_chain(mbedtls_x509_crt *out, const struct buffer *text, const char *path,
                                struct error *error)
{
    int unreadable = 0;
    enum error_code code = parse_certificates(out, text, path, &unreadable, error);

    if (code == ERROR_NONE && unreadable > 0)
        return error_set(error, ERROR_USAGE,
                         "%s: %d of the certificates cannot be read (RSA and ECDSA are, Ed25519 is "
                         "not)",
                         path, unreadable);
    if (code == ERROR_NONE)
        code = check_curve(out, path, error);
    return code == ERROR_NONE ? check_chain_size(out, path, error) : code;
}

enum error_code tls_parse_key(struct net_tls *tls, const struct buffer *text, const char *path,
                              struct error *error)
{
    const unsigned char *data = (const unsigned char *)text->data;
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
    return refuse_pem(result, path, "private key", strstr(text->data, "PRIVATE KEY-----") != NULL,
                      error);
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

// --- what most clients refuse ---------------------------------------------------------------------

static bool is_self_signed(const mbedtls_x509_crt *certificate)
{
    const mbedtls_x509_buf *issuer = &certificate->issuer_raw;
    const mbedtls_x509_buf *subject = &certificate->subject_raw;

    return issuer->len == subject->len && memcmp(issuer->p, subject->p, issuer->len) == 0;
}

// NULL: nothing is wrong with it.
static const char *find_doubt(const mbedtls_x509_crt *certificate)
{
    mbedtls_md_type_t digest = certificate->MBEDTLS_PRIVATE(sig_md);

    if (mbedtls_x509_time_is_past(&certificate->valid_to))
        return "it has expired";
    if (mbedtls_x509_time_is_future(&certificate->valid_from))
        return "it is not valid yet";
    // NIST SP 800-131A; OpenSSL's default level refuses both.
    if (mbedtls_pk_can_do(&certificate->pk, MBEDTLS_PK_RSA) &&
        mbedtls_pk_get_bitlen(&certificate->pk) < 2048)
        return "its key is weak, RSA of less than 2048 bits";
    if (!is_self_signed(certificate) && (digest == MBEDTLS_MD_SHA1 || digest == MBEDTLS_MD_MD5))
        return "its signature is weak, by SHA-1 or MD5";
    return NULL;
}

void tls_log_doubts(const mbedtls_x509_crt *chain, const char *path)
{
    for (const mbedtls_x509_crt *each = chain; each != NULL && each->raw.len > 0;
         each = each->next) {
        char subject[256];
        const char *doubt = find_doubt(each);
        if (doubt == NULL)
            continue;
        if (mbedtls_x509_dn_gets(subject, sizeof subject, &each->subject) < 0)
            subject[0] = '\0';
        log_warn("most clients will refuse a certificate", LOG_STRING("file", path),
                 LOG_STRING("subject", subject), LOG_STRING("reason", doubt));
    }
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
