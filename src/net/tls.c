// TLS contexts: what is allowed, and the certificates and keys of one side.
#include "ghatrace/net/tls.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "tls_private.h"
#if TLS_HAS_VERSION_3
#include <psa/crypto.h>
#endif

// RFC 8446 4.6.1 allows a week; the keys change as often.
#define TICKET_LIFETIME_S 3600

// ECDHE with AEAD, as BCP 195 (RFC 9325 4.2) asks; the server's order counts. ChaCha20 first: without
// hardware support AES is half as fast, and nobody is worse off with it.
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

// Cheapest first: mbedTLS would take the largest. P-384 and P-521 stay for certificates.
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

// TLS 1.3 of mbedTLS 3 computes through PSA, which wants to be woken once.
static void prepare_library(void)
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
    // What is left to fail while setting up is memory, as a rule, and the system's randomness.
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

static void let_go_of_tickets(struct tls_tickets *tickets)
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
        let_go_of_tickets(tickets);
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
    // A 2.28 server takes TLS 1.0 unless told otherwise.
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_curves(config, groups);
#endif
}

static enum error_code set_up(struct net_tls *tls, int endpoint, struct error *error)
{
    enum error_code code = random_seed(&tls->random, error);
    if (code == ERROR_NONE)
        code =
            report(mbedtls_ssl_config_defaults(&tls->config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                               MBEDTLS_SSL_PRESET_DEFAULT),
                   "defaults", error);
    if (code == ERROR_NONE)
        set_rules(tls);
    return code;
}

static enum error_code create(int endpoint, struct net_tls **out, struct error *error)
{
    pthread_once(&library_once, prepare_library);
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
    enum error_code code = set_up(tls, endpoint, error);
    if (code != ERROR_NONE) {
        net_tls_let_go(tls);
        return code;
    }
    *out = tls;
    return ERROR_NONE;
}

void net_tls_hold(struct net_tls *tls)
{
    atomic_fetch_add(&tls->holders, 1);
}

void net_tls_let_go(struct net_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub(&tls->holders, 1) != 1)
        return;
    mbedtls_ssl_config_free(&tls->config);
    mbedtls_x509_crt_free(&tls->certificates);
    mbedtls_pk_free(&tls->key); // wipes it
    mbedtls_x509_crt_free(&tls->authorities);
    let_go_of_tickets(tls->tickets);
    random_release(&tls->random);
    memory_free(tls);
}

// --- what comes from files ------------------------------------------------------------------------

// The texts of the files that one context, or several alike, are made of.
struct files {
    const char *certificate_path, *key_path, *authorities_path; // NULL: none
    struct buffer certificate, key, authorities;
};

static enum error_code read_files(struct files *files, struct error *error)
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

void net_tls_log_doubts(const struct net_tls *tls, const char *certificate_file)
{
    tls_log_doubts(&tls->certificates, certificate_file);
}

enum error_code net_tls_create_servers(const struct net_tls_server_options *options,
                                       struct net_tls **contexts, size_t count, struct error *error)
{
    struct files files = {.certificate_path = options->certificate_file,
                          .key_path = options->key_file,
                          .authorities_path = options->client_ca_file};
    struct tls_tickets *tickets = NULL;
    size_t made = 0;

    enum error_code code = read_files(&files, error);
    if (code == ERROR_NONE)
        code = create_tickets(&tickets, error);
    while (code == ERROR_NONE && made < count) {
        code = create(MBEDTLS_SSL_IS_SERVER, &contexts[made], error);
        if (code != ERROR_NONE)
            break;
        use_tickets(contexts[made], tickets);
        code = use_files(contexts[made++], &files, error);
    }
    while (code != ERROR_NONE && made > 0)
        net_tls_let_go(contexts[--made]);
    let_go_of_tickets(tickets);
    release_files(&files);
    return code;
}

enum error_code net_tls_create_client(const struct net_tls_client_options *options,
                                      struct net_tls **out, struct error *error)
{
    struct files files = {.certificate_path = options->certificate_file,
                          .key_path = options->key_file,
                          .authorities_path =
                              options->ca_file != NULL ? options->ca_file : tls_find_bundle()};
    struct net_tls *tls;

    if (files.authorities_path == NULL)
        return error_set(error, ERROR_USAGE,
                         "no file with certificate authorities on this system: install "
                         "ca-certificates, or name one");
    enum error_code code = read_files(&files, error);
    if (code == ERROR_NONE)
        code = create(MBEDTLS_SSL_IS_CLIENT, &tls, error);
    if (code == ERROR_NONE) {
        code = use_files(tls, &files, error);
        if (code == ERROR_NONE)
            *out = tls;
        else
            net_tls_let_go(tls);
    }
    release_files(&files);
    return code;
}
