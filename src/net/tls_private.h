// Internals of TLS, for tls.c, tls_io.c and the connection.
#ifndef GHATRACE_NET_TLS_PRIVATE_H
#define GHATRACE_NET_TLS_PRIVATE_H

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdatomic.h>
#include <stdint.h>

#include "connection_private.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/net/tls.h"

#define TLS_HAS_VERSION_3 (MBEDTLS_VERSION_NUMBER >= 0x03000000)

// For members that version 3 makes private without an accessor.
#ifndef MBEDTLS_PRIVATE
#define MBEDTLS_PRIVATE(member) member
#endif

struct tls_random {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context generator; // locked by the library (MBEDTLS_THREADING_C)
};

// The keys of session tickets, shared by the contexts made together; locked by the library.
struct tls_tickets {
    atomic_size_t holders;
    struct tls_random random;
    mbedtls_ssl_ticket_context context;
};

struct net_tls {
    atomic_size_t holders;
    struct tls_random random;
    mbedtls_ssl_config config;
    mbedtls_x509_crt certificates; // our own, with the chain to the root
    mbedtls_pk_context key;
    mbedtls_x509_crt authorities;
    struct tls_tickets *tickets; // held
};

// TLS state of one connection.
struct tls_session {
    struct net_tls *tls; // held
    mbedtls_ssl_context ssl;
    int fd;
    struct buffer unsent; // records not yet accepted by the socket
    bool may_hold_input;  // the last read filled its buffer
    bool has_ended;       // close_notify was received
    bool is_finishing;    // close_notify was written
    bool is_broken;       // fatal error; see `reason`
    char reason[192];
};

extern const struct net_transport net_transport_tls;
// ERROR_MEMORY.
enum error_code tls_session_create(struct net_tls *tls, struct tls_session **session,
                                   struct error *error) MUST_CHECK;

// Describes an mbedTLS error on one line.
void tls_describe(int code, char *text, size_t size);
void tls_describe_verification(uint32_t flags, char *text, size_t size);

#endif
