// What the files of the conversation share.
#ifndef GHATRACE_HTTP_CONN_H
#define GHATRACE_HTTP_CONN_H

#include "ghatrace/http/server.h"

// A conversation's side of its connection.
extern const struct net_handler conversation_handler;

// Puts it last into the list of `group`, out of the one that it is in; and out of that.
void conversation_begin_waiting(struct conversation *conversation, enum eviction_group group);
void conversation_end_waiting(struct conversation *conversation);
// One may be closed for a new connection now, where before it may have found none.
void conversation_host_look_again(struct conversation_host *host);
// The last answer is given, or none can be.
void conversation_end(struct conversation *conversation);
void conversation_send_late_answer(struct conversation *conversation);

#endif
