// What the files of the conversation share.
#ifndef GHATRACE_HTTP_CONN_H
#define GHATRACE_HTTP_CONN_H

#include "ghatrace/http/server.h"

// A conversation's side of its connection.
extern const struct net_handler conversation_handler;

// Every change of a conversation's state. It also moves the conversation to the list of those that wait as it does now,
// and pauses or resumes reading. The change must be one that the table in conn.c allows.
void conversation_move(struct conversation *conversation, enum conversation_state to);
// In whose list it waits.
enum eviction_group conversation_group(const struct conversation *conversation);
// One may be closed for a new connection now, where before it may have found none.
void conversation_host_look_again(struct conversation_host *host);
// Closes its connection, whatever is still to be said. Does nothing when that was done.
void conversation_close(struct conversation *conversation);
void conversation_send_late_answer(struct conversation *conversation);

#endif
