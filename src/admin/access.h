// Who may see the operator's side. Pure, but for the tokens in force.
#ifndef GHATRACE_ADMIN_ACCESS_H
#define GHATRACE_ADMIN_ACCESS_H

#include "ghatrace/http/parse.h"
#include "ghatrace/net/address.h"
#include "ghatrace/webhook/webhook.h"

struct admin_access {
    struct ingress_secrets *tokens; // NULL: none
    bool has_client_certificates;   // only who has one gets this far
    bool is_loopback;               // the listener's address
};

enum admin_verdict {
    ADMIN_MAY,
    ADMIN_WANTS_TOKEN, // none, or a wrong one
    ADMIN_WRONG_HOST,  // on loopback, but Host says otherwise
    ADMIN_CLOSED,      // beyond loopback, without a lock
};

enum admin_verdict admin_access_judge(const struct admin_access *access,
                                      const struct http_head *head);

#endif
