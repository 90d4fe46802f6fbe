// TLS by mbedTLS, server and client, for connections and listeners.
//
// TLS 1.2 at least (and 1.3 where the library has it), ECDHE with AEAD only, no renegotiation, no ALPN.
// A client always checks the server's certificate and its name; IP addresses are names, too.
#ifndef GHATRACE_NET_TLS_H
#define GHATRACE_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"

// Certificates, keys and rules of one side. Does not change once made: new files make a new context, and
// the old one lives until its last connection has closed. mbedTLS keeps intermediate results in its keys, so a
// context belongs to one loop; holding and letting go may be done from any thread.
struct net_tls;

struct net_tls_server_options {
    const char *certificate_file; // PEM: the server's first, then those that lead to the root
    const char *key_file;         // PEM, without a password
    const char *client_ca_file;   // PEM; NULL: clients need no certificate, else they must have one
};

struct net_tls_client_options {
    const char *ca_file;          // PEM; NULL: SSL_CERT_FILE, else the system's bundle
    const char *certificate_file; // PEM; NULL, as `key_file`: none
    const char *key_file;
};

// Fills `contexts` with `count` of them, one for each loop, of the same files read once; they take each
// other's session tickets. ERROR_USAGE naming the file and what is wrong with it; ERROR_MEMORY. On
// failure none is made.
enum error_code net_tls_create_servers(const struct net_tls_server_options *options,
                                       struct net_tls **contexts, size_t count,
                                       struct error *error) MUST_CHECK;
enum error_code net_tls_create_client(const struct net_tls_client_options *options,
                                      struct net_tls **context, struct error *error) MUST_CHECK;
// Logs what most clients refuse about the certificates that this context shows: dates, weak keys and signatures.
void net_tls_log_doubts(const struct net_tls *context, const char *certificate_file);
void net_tls_ref(struct net_tls *context);
// Frees it with the last holder. NULL is fine.
void net_tls_unref(struct net_tls *context);

#endif
