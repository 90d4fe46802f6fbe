// The two halves of a channel: connecting and sending (channel.c), reading (channel_answer.c).
#ifndef GHATRACE_SRC_EXPORT_CHANNEL_ANSWER_H
#define GHATRACE_SRC_EXPORT_CHANNEL_ANSWER_H

#include "channel.h"

// Bytes from the collector; all of them are used up.
void channel_read(struct channel *channel, const char *data, size_t len);
// It finished sending; the connection is dropped.
void channel_read_end(struct channel *channel);

// Both end the request and call its owner, who may start the next one: nothing may follow.
void channel_finish(struct channel *channel, const struct channel_result *result);
void channel_fail(struct channel *channel, const struct error *error);

#endif
