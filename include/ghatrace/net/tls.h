// TLS by mbedTLS for listeners; and the files of a client, whose TLS is another library's.
//
// TLS 1.2 (and 1.3 if the library supports it), only ECDHE with AEAD, no renegotiation, no ALPN.
#ifndef GHATRACE_NET_TLS_H
#define GHATRACE_NET_TLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"

// Certificates, keys and settings of a server. Immutable: new files need a new context, and the old one lives until its
// last connection is closed. mbedTLS keeps intermediate results in its keys, so a context belongs to one loop;
// references may be taken and released in any thread.
struct net_tls;

struct net_tls_server_options {
    const char *certificate_file; // PEM: the server's first, then the chain to the root
    const char *key_file;         // PEM, without a password
    const char *client_ca_file;   // PEM; NULL: clients need no certificate, else they must have one
};

struct net_tls_client_options {
    const char *ca_file;          // PEM; NULL: SSL_CERT_FILE, else the system's bundle
    const char *certificate_file; // PEM; NULL, as `key_file`: none
    const char *key_file;
};

// Fills `contexts` with `count` contexts, one per loop, from the same files, which are read once; they accept one
// another's session tickets. ERROR_USAGE with the file and what is wrong with it; ERROR_MEMORY. On failure none is
// created.
enum error_code net_tls_create_servers(const struct net_tls_server_options *options,
                                       struct net_tls **contexts, size_t count,
                                       struct error *error) MUST_CHECK;
// Logs why most clients would refuse the certificates of this context: dates, weak keys, weak signatures.
void net_tls_log_certificate_warnings(const struct net_tls *context, const char *certificate_file);

// What a client needs for TLS, in PEM: read from the files and checked. Immutable; references may be taken and released
// in any thread. The texts are followed by a NUL that does not count.
struct net_tls_client {
    atomic_size_t holders;     // private
    char *bundle;              // path of the system's authorities; NULL: `authorities` are used
    struct buffer authorities; // of ca_file
    struct buffer certificate, key; // empty: none
};

// ERROR_USAGE with the file and what is wrong with it; ERROR_MEMORY.
enum error_code net_tls_client_read(const struct net_tls_client_options *options,
                                    struct net_tls_client **client, struct error *error) MUST_CHECK;
void net_tls_client_log_certificate_warnings(const struct net_tls_client *client,
                                             const char *certificate_file);
void net_tls_client_ref(struct net_tls_client *client);
// NULL does nothing. The last one wipes the key.
void net_tls_client_unref(struct net_tls_client *client);

void net_tls_ref(struct net_tls *context);
// Releases a reference; the last one frees it. NULL does nothing.
void net_tls_unref(struct net_tls *context);

#endif
