// TLS contexts: certificates and keys from files, protocol settings, error texts.
#include "ghatrace/net/tls.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/platform_util.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "tls_private.h"

// --- mbedTLS errors as text for log lines ---------------------------------------------------------

void tls_describe(int code, char *text, size_t size)
{
    switch (code) {
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
        (void)snprintf(text, size, "what was received is not TLS (plain HTTP, perhaps)");
        return;
#ifdef MBEDTLS_ERR_SSL_BAD_HS_CLIENT_HELLO // before version 3
    case MBEDTLS_ERR_SSL_BAD_HS_CLIENT_HELLO:
        (void)snprintf(text, size,
                       "what was received is no ClientHello of TLS (plain HTTP, perhaps)");
        return;
#endif
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
        (void)snprintf(text, size, "the client has shown no certificate");
        return;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        (void)snprintf(text, size, "the other side refused, by a tls alert");
        return;
    case MBEDTLS_ERR_SSL_CONN_EOF:
        (void)snprintf(text, size, "the other side closed during the handshake");
        return;
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
        (void)snprintf(text, size, "out of memory");
        return;
    default:
        mbedtls_strerror(code, text, size);
    }
}

// Joins the sentences of mbedTLS, which writes one per line.
void tls_describe_verification(uint32_t flags, char *text, size_t size)
{
    char lines[512];
    size_t len = 0;

    text[0] = '\0';
    if (mbedtls_x509_crt_verify_info(lines, sizeof lines, "", flags) < 0)
        (void)snprintf(lines, sizeof lines, "the certificate is not valid\n");
    for (char *line = lines; *line != '\0' && len < size;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        int written = snprintf(text + len, size - len, "%s%s", len > 0 ? "; " : "", line);
        if (written < 0 || end == NULL)
            return;
        len += (size_t)written;
        line = end + 1;
    }
}

// --- certificates and keys from PEM files ---------------------------------------------------------

#define FILE_MAX ((size_t)4 << 20) // common bundles have some 200 KiB

static void tls_wipe(struct buffer *text)
{
    if (text->data != NULL)
        mbedtls_platform_zeroize(text->data, text->len);
    buffer_release(text);
}

static enum error_code read_pem_to_end(FILE *file, const char *path, struct buffer *out,
                                       struct error *error)
{
    for (;;) {
        char chunk[4096];
        errno = 0;
        size_t len = fread(chunk, 1, sizeof chunk, file);
        int number = errno;
        // mbedTLS recognizes PEM by a NUL at the end.
        enum error_code code = len > 0 ? buffer_append(out, chunk, len) : buffer_append(out, "", 1);
        mbedtls_platform_zeroize(chunk, len);
        if (code != ERROR_NONE)
            return error_set(error, code, "%s: %s", path, error_code_text(code));
        if (len == 0)
            return !ferror(file) ? ERROR_NONE
                                 : error_set(error, ERROR_USAGE, "%s: %s", path, strerror(number));
    }
}

// Reads a file; its content is wiped when released. ERROR_USAGE, ERROR_MEMORY.
static enum error_code tls_read_file(const char *path, struct buffer *out, struct error *error)
{
    buffer_init(out, FILE_MAX);
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return error_set(error, ERROR_USAGE, "%s: %s", path, strerror(errno));
    (void)setvbuf(file, NULL, _IONBF, 0); // keeps no copy of a key in a buffer that cannot be wiped
    enum error_code code = read_pem_to_end(file, path, out, error);
    (void)fclose(file); // only read from
    if (code != ERROR_NONE)
        tls_wipe(out);
    return code;
}

// The library's error alone does not show whether the file or the kind of key is wrong. The text ends with NUL.
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

// `*unreadable` is set to the number of certificates that the library cannot parse, if it can parse others.
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

// Parses authorities. Certificates that the library cannot parse are skipped, unless it can parse none.
static enum error_code tls_parse_authorities(mbedtls_x509_crt *out, const struct buffer *text,
                                             const char *path, struct error *error)
{
    int unreadable;

    return parse_certificates(out, text, path, &unreadable, error);
}

// mbedTLS writes the Certificate message into one record (RFC 5246 7.4.2, RFC 8446 4.4.2).
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

// Only the curves in `groups`, because a key on another curve fails every handshake.
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

// Parses our certificate and the chain to the root: every certificate must parse, and all must fit into one handshake.
static enum error_code tls_parse_chain(mbedtls_x509_crt *out, const struct buffer *text,
                                       const char *path, struct error *error)
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

// Parses the private key.
static enum error_code tls_parse_key(struct net_tls *tls, const struct buffer *text,
                                     const char *path, struct error *error)
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
                         "%s: the key has a password: remove it (openssl pkey -in ... -out ...)",
                         path);
    return refuse_pem(result, path, "private key", strstr(text->data, "PRIVATE KEY-----") != NULL,
                      error);
}

// The key must belong to the first certificate.
static enum error_code tls_check_pair(struct net_tls *tls, const char *certificate_path,
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

// --- certificates that most clients refuse --------------------------------------------------------

static bool is_self_signed(const mbedtls_x509_crt *certificate)
{
    const mbedtls_x509_buf *issuer = &certificate->issuer_raw;
    const mbedtls_x509_buf *subject = &certificate->subject_raw;

    return issuer->len == subject->len && memcmp(issuer->p, subject->p, issuer->len) == 0;
}

// Returns the reason to refuse it; NULL: none.
static const char *certificate_fault(const mbedtls_x509_crt *certificate)
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

// Logs a line for each certificate of the chain that most clients refuse: for its dates, key or signature.
static void log_certificate_faults(const mbedtls_x509_crt *chain, const char *path)
{
    for (const mbedtls_x509_crt *each = chain; each != NULL && each->raw.len > 0;
         each = each->next) {
        char subject[256];
        const char *fault = certificate_fault(each);
        if (fault == NULL)
            continue;
        if (mbedtls_x509_dn_gets(subject, sizeof subject, &each->subject) < 0)
            subject[0] = '\0';
        log_warn("most clients will refuse a certificate", LOG_STRING("file", path),
                 LOG_STRING("subject", subject), LOG_STRING("reason", fault));
    }
}

// The file with the authorities that this system trusts; NULL: none found.
static const char *tls_find_bundle(void)
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

// --- TLS contexts: protocol settings, and the certificates and keys of one side -------------------

#if TLS_HAS_VERSION_3
#include <psa/crypto.h>
#endif

// RFC 8446 4.6.1 allows a week; the ticket keys are rotated at the same interval.
#define TICKET_LIFETIME_S 3600

// ECDHE with AEAD, as BCP 195 (RFC 9325 4.2) recommends; the server's order applies. ChaCha20 first: without hardware
// support AES is half as fast, and no client is worse off with ChaCha20.
static const int suites[] = {
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#endif
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

// Cheapest first: by default mbedTLS prefers the largest. P-384 and P-521 are kept for certificates.
#if TLS_HAS_VERSION_3
static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};
#else
static const mbedtls_ecp_group_id groups[] = {
    MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_SECP384R1,
    MBEDTLS_ECP_DP_SECP521R1,  MBEDTLS_ECP_DP_NONE,
};
#endif

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_is_ready;

// TLS 1.3 in mbedTLS 3 uses PSA, which must be initialized once.
static void prepare_mbedtls(void)
{
#if TLS_HAS_VERSION_3
    library_is_ready = psa_crypto_init() == PSA_SUCCESS;
#else
    library_is_ready = true;
#endif
}

static enum error_code report(int result, const char *doing, struct error *error)
{
    char reason[128];

    if (result == 0)
        return ERROR_NONE;
    tls_describe(result, reason, sizeof reason);
    // The only remaining causes during set-up are memory, usually, and the system's random source.
    return error_set(error, ERROR_MEMORY, "tls: %s: %s", doing, reason);
}

// --- randomness and tickets -----------------------------------------------------------------------

static void random_init(struct tls_random *random)
{
    mbedtls_entropy_init(&random->entropy);
    mbedtls_ctr_drbg_init(&random->generator);
}

static enum error_code random_seed(struct tls_random *random, struct error *error)
{
    static const unsigned char name[] = "ghatrace tls";

    return report(mbedtls_ctr_drbg_seed(&random->generator, mbedtls_entropy_func, &random->entropy,
                                        name, sizeof name - 1),
                  "random numbers", error);
}

static void random_release(struct tls_random *random)
{
    mbedtls_ctr_drbg_free(&random->generator);
    mbedtls_entropy_free(&random->entropy);
}

static void unref_tickets(struct tls_tickets *tickets)
{
    if (tickets == NULL || atomic_fetch_sub(&tickets->holders, 1) != 1)
        return;
    mbedtls_ssl_ticket_free(&tickets->context);
    random_release(&tickets->random);
    memory_free(tickets);
}

static enum error_code create_tickets(struct tls_tickets **out, struct error *error)
{
    struct tls_tickets *tickets = memory_allocate_array(1, sizeof *tickets);

    if (tickets == NULL)
        return error_set(error, ERROR_MEMORY, "tls: out of memory");
    atomic_init(&tickets->holders, 1);
    random_init(&tickets->random);
    mbedtls_ssl_ticket_init(&tickets->context);
    enum error_code code = random_seed(&tickets->random, error);
    if (code == ERROR_NONE)
        code = report(mbedtls_ssl_ticket_setup(&tickets->context, mbedtls_ctr_drbg_random,
                                               &tickets->random.generator,
                                               MBEDTLS_CIPHER_AES_256_GCM, TICKET_LIFETIME_S),
                      "session tickets", error);
    if (code != ERROR_NONE) {
        unref_tickets(tickets);
        return code;
    }
    *out = tickets;
    return ERROR_NONE;
}

// --- contexts -------------------------------------------------------------------------------------

static void set_rules(struct net_tls *tls)
{
    mbedtls_ssl_config *config = &tls->config;

    mbedtls_ssl_conf_rng(config, mbedtls_ctr_drbg_random, &tls->random.generator);
    mbedtls_ssl_conf_ciphersuites(config, suites);
#if TLS_HAS_VERSION_3
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_groups(config, groups);
#else
    // By default a 2.28 server accepts TLS 1.0.
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_curves(config, groups);
#endif
}

static enum error_code set_up_tls(struct net_tls *tls, struct error *error)
{
    enum error_code code = random_seed(&tls->random, error);
    if (code == ERROR_NONE)
        code = report(mbedtls_ssl_config_defaults(&tls->config, MBEDTLS_SSL_IS_SERVER,
                                                  MBEDTLS_SSL_TRANSPORT_STREAM,
                                                  MBEDTLS_SSL_PRESET_DEFAULT),
                      "defaults", error);
    if (code == ERROR_NONE)
        set_rules(tls);
    return code;
}

static enum error_code create_context(struct net_tls **out, struct error *error)
{
    pthread_once(&library_once, prepare_mbedtls);
    if (!library_is_ready)
        return error_set(error, ERROR_IO, "tls: the library refused to start");

    struct net_tls *tls = memory_allocate_array(1, sizeof *tls);
    if (tls == NULL)
        return error_set(error, ERROR_MEMORY, "tls: out of memory");
    atomic_init(&tls->holders, 1);
    random_init(&tls->random);
    mbedtls_ssl_config_init(&tls->config);
    mbedtls_x509_crt_init(&tls->certificates);
    mbedtls_pk_init(&tls->key);
    mbedtls_x509_crt_init(&tls->authorities);
    enum error_code code = set_up_tls(tls, error);
    if (code != ERROR_NONE) {
        net_tls_unref(tls);
        return code;
    }
    *out = tls;
    return ERROR_NONE;
}

void net_tls_ref(struct net_tls *tls)
{
    atomic_fetch_add(&tls->holders, 1);
}

void net_tls_unref(struct net_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub(&tls->holders, 1) != 1)
        return;
    mbedtls_ssl_config_free(&tls->config);
    mbedtls_x509_crt_free(&tls->certificates);
    mbedtls_pk_free(&tls->key); // wipes it
    mbedtls_x509_crt_free(&tls->authorities);
    unref_tickets(tls->tickets);
    random_release(&tls->random);
    memory_free(tls);
}

// --- contexts from files --------------------------------------------------------------------------

// The contents of the files from which one or several identical contexts are created.
struct files {
    const char *certificate_path, *key_path, *authorities_path; // NULL: none
    struct buffer certificate, key, authorities;
};

static enum error_code read_pem_files(struct files *files, struct error *error)
{
    struct {
        const char *path;
        struct buffer *text;
    } all[] = {{files->certificate_path, &files->certificate},
               {files->key_path, &files->key},
               {files->authorities_path, &files->authorities}};
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < sizeof all / sizeof all[0] && code == ERROR_NONE; i++) {
        if (all[i].path != NULL)
            code = tls_read_file(all[i].path, all[i].text, error);
    }
    return code;
}

static void release_files(struct files *files)
{
    tls_wipe(&files->certificate);
    tls_wipe(&files->key);
    tls_wipe(&files->authorities);
}

static enum error_code use_own_certificate(struct net_tls *tls, const struct files *files,
                                           struct error *error)
{
    enum error_code code =
        tls_parse_chain(&tls->certificates, &files->certificate, files->certificate_path, error);
    if (code == ERROR_NONE)
        code = tls_parse_key(tls, &files->key, files->key_path, error);
    if (code == ERROR_NONE)
        code = tls_check_pair(tls, files->certificate_path, files->key_path, error);
    if (code == ERROR_NONE)
        code = report(mbedtls_ssl_conf_own_cert(&tls->config, &tls->certificates, &tls->key),
                      "certificate", error);
    return code;
}

static enum error_code use_files(struct net_tls *tls, const struct files *files,
                                 struct error *error)
{
    enum error_code code = ERROR_NONE;

    if (files->certificate_path != NULL)
        code = use_own_certificate(tls, files, error);
    if (code == ERROR_NONE && files->authorities_path != NULL) {
        code = tls_parse_authorities(&tls->authorities, &files->authorities,
                                     files->authorities_path, error);
        mbedtls_ssl_conf_ca_chain(&tls->config, &tls->authorities, NULL);
        mbedtls_ssl_conf_authmode(&tls->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    }
    return code;
}

static void use_tickets(struct net_tls *tls, struct tls_tickets *tickets)
{
    atomic_fetch_add(&tickets->holders, 1);
    tls->tickets = tickets;
    mbedtls_ssl_conf_session_tickets_cb(&tls->config, mbedtls_ssl_ticket_write,
                                        mbedtls_ssl_ticket_parse, &tickets->context);
}

void net_tls_log_certificate_warnings(const struct net_tls *tls, const char *certificate_file)
{
    log_certificate_faults(&tls->certificates, certificate_file);
}

enum error_code net_tls_create_servers(const struct net_tls_server_options *options,
                                       struct net_tls **contexts, size_t count, struct error *error)
{
    struct files files = {.certificate_path = options->certificate_file,
                          .key_path = options->key_file,
                          .authorities_path = options->client_ca_file};
    struct tls_tickets *tickets = NULL;
    size_t made = 0;

    enum error_code code = read_pem_files(&files, error);
    if (code == ERROR_NONE)
        code = create_tickets(&tickets, error);
    while (code == ERROR_NONE && made < count) {
        code = create_context(&contexts[made], error);
        if (code != ERROR_NONE)
            break;
        use_tickets(contexts[made], tickets);
        code = use_files(contexts[made++], &files, error);
    }
    while (code != ERROR_NONE && made > 0)
        net_tls_unref(contexts[--made]);
    unref_tickets(tickets);
    release_files(&files);
    return code;
}

// --- PEM for a client that is not mbedTLS ----------------------------------------------------------

// mbedTLS checks what another library will use.
static enum error_code check_client_files(const struct files *files, struct error *error)
{
    struct net_tls *tls;
    enum error_code code = create_context(&tls, error);
    if (code != ERROR_NONE)
        return code;
    code = use_files(tls, files, error);
    net_tls_unref(tls);
    return code;
}

// The text of a file, without its NUL, which mbedTLS needs and counts.
static struct buffer take_text(struct buffer *text)
{
    struct buffer taken = *text;
    if (taken.len > 0)
        taken.len--;
    buffer_init(text, 0);
    return taken;
}

static enum error_code keep_files(struct files *files, bool has_own_authorities,
                                  struct net_tls_client **out, struct error *error)
{
    struct net_tls_client *client = memory_allocate_array(1, sizeof *client);
    if (client == NULL)
        return error_set(error, ERROR_MEMORY, "tls: out of memory");
    atomic_init(&client->holders, 1);
    client->certificate = take_text(&files->certificate);
    client->key = take_text(&files->key);
    if (has_own_authorities) {
        client->authorities = take_text(&files->authorities);
    } else {
        client->bundle =
            memory_copy_string(files->authorities_path, strlen(files->authorities_path));
        if (client->bundle == NULL) {
            net_tls_client_unref(client);
            return error_set(error, ERROR_MEMORY, "tls: out of memory");
        }
    }
    *out = client;
    return ERROR_NONE;
}

enum error_code net_tls_client_read(const struct net_tls_client_options *options,
                                    struct net_tls_client **out, struct error *error)
{
    struct files files = {.certificate_path = options->certificate_file,
                          .key_path = options->key_file,
                          .authorities_path =
                              options->ca_file != NULL ? options->ca_file : tls_find_bundle()};
    if (files.authorities_path == NULL)
        return error_set(error, ERROR_USAGE,
                         "no file with certificate authorities on this system: install "
                         "ca-certificates, or name one");
    enum error_code code = read_pem_files(&files, error);
    if (code == ERROR_NONE)
        code = check_client_files(&files, error);
    if (code == ERROR_NONE)
        code = keep_files(&files, options->ca_file != NULL, out, error);
    release_files(&files);
    return code;
}

void net_tls_client_log_certificate_warnings(const struct net_tls_client *client,
                                             const char *certificate_file)
{
    mbedtls_x509_crt chain;
    if (client->certificate.len == 0)
        return;
    mbedtls_x509_crt_init(&chain);
    if (mbedtls_x509_crt_parse(&chain, (const unsigned char *)client->certificate.data,
                               client->certificate.len + 1) == 0)
        log_certificate_faults(&chain, certificate_file);
    mbedtls_x509_crt_free(&chain);
}

void net_tls_client_ref(struct net_tls_client *client)
{
    atomic_fetch_add(&client->holders, 1);
}

void net_tls_client_unref(struct net_tls_client *client)
{
    if (client == NULL || atomic_fetch_sub(&client->holders, 1) != 1)
        return;
    tls_wipe(&client->authorities);
    tls_wipe(&client->certificate);
    tls_wipe(&client->key);
    memory_free(client->bundle);
    memory_free(client);
}
