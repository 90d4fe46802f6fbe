// The two halves of a channel: connecting and sending (channel.c), reading (channel_answer.c).
#ifndef GHATRACE_SRC_EXPORT_CHANNEL_ANSWER_H
#define GHATRACE_SRC_EXPORT_CHANNEL_ANSWER_H

#include "channel.h"

// Handles bytes from the collector; all of them are consumed.
void channel_read(struct channel *channel, const char *data, size_t len);
// Handles the end of the collector's data; the connection is dropped.
void channel_read_end(struct channel *channel);

// These end the request and call its owner, which may start the next one: no code may follow the call.
void channel_finish(struct channel *channel, const struct channel_result *result);
void channel_fail(struct channel *channel, const struct error *error);

#endif
