// What the files of the conversation share.
#ifndef GHATRACE_INGRESS_CONVERSATION_PRIVATE_H
#define GHATRACE_INGRESS_CONVERSATION_PRIVATE_H

#include "conversation.h"

// A conversation's side of its connection.
extern const struct net_handler conversation_handler;

// Among those that wait, last in the row; and out of it, if it is there.
void conversation_begin_waiting(struct conversation *conversation);
void conversation_end_waiting(struct conversation *conversation);
// The last answer is given, or none can be.
void conversation_end(struct conversation *conversation);
void conversation_send_late_answer(struct conversation *conversation);

#endif
