// The access check of the admin listener, in a header of its own so that a fuzzer can call it.
#ifndef GHATRACE_ADMIN_SERVER_H
#define GHATRACE_ADMIN_SERVER_H

#include "ghatrace/http/parse.h"
#include "ghatrace/net/address.h"
#include "ghatrace/webhook/webhook.h"

struct admin_access {
    struct ingress_secrets *tokens; // NULL: none
    bool has_client_certificates;   // connections without one are rejected before
    bool is_loopback;               // the listener's address
};

enum admin_access_result {
    ADMIN_ALLOWED,
    ADMIN_TOKEN_REQUIRED, // none, or an incorrect one
    ADMIN_WRONG_HOST,     // on loopback, but Host names another host
    ADMIN_CLOSED,         // not on loopback, and no access control is configured
};

enum admin_access_result admin_check_access(const struct admin_access *access,
                                            const struct http_head *head);

#endif
