// The head of a request: which encoding it has, and what its sender may do. Pure, except for the tokens in use.
#ifndef GHATRACE_RECEIVER_ACCESS_H
#define GHATRACE_RECEIVER_ACCESS_H

#include <stdbool.h>

#include "ghatrace/http/parse.h"
#include "ghatrace/net/address.h"
#include "ghatrace/receiver/receiver.h"

// How requests are authorized:
//   - if tokens are configured, by a bearer token, which has a role;
//   - else, if client certificates are, by the certificate: role arc;
//   - else only requests of this machine to loopback, that no proxy passed on: role arc. Behind a proxy on this
//     machine every client is loopback.
struct receiver_access {
    struct ingress_secrets *tokens; // lines of the token file; NULL: none
    bool has_client_certificates;
};

struct receiver_head {
    enum receiver_role role;
    bool is_json; // false: protobuf. Valid for a refused head, too: JSON unless it is protobuf
    bool is_gzip;
};

struct receiver_refused {
    int status;
    const char *message; // static
};

// The media type of a body of this request.
bool receiver_is_protobuf(const struct http_head *head);
// Checks all that is known before the body. False: see `refused`; 405 is answered with "Allow: POST".
bool receiver_check_head(const struct http_head *head, const struct receiver_access *access,
                         const struct net_ip *peer, struct receiver_head *out,
                         struct receiver_refused *refused) MUST_CHECK;

#endif
