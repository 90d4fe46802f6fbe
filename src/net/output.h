// What a connection still has to send: a list of owned blocks.
#ifndef GHATRACE_NET_OUTPUT_H
#define GHATRACE_NET_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "ghatrace/base/error.h"

struct net_block;

struct net_output {
    struct net_block *first; // owned
    struct net_block *last;
    size_t len;    // bytes not yet sent
    size_t held;   // bytes of memory: a block goes when all of it is sent
    size_t *total; // `held` of this one is part of it; NULL: no such sum
};

void net_output_init(struct net_output *output);
void net_output_release(struct net_output *output);
// False when memory is refused: nothing was changed.
bool net_output_append_copy(struct net_output *output, const void *data, size_t len) MUST_CHECK;
// Takes over `data`, of which `offset` bytes were sent already. False when memory is refused: then
// `data` is still the caller's.
bool net_output_append_owned(struct net_output *output, void *data, size_t len,
                             size_t offset) MUST_CHECK;
// Fills `parts` from the front; returns how many.
size_t net_output_peek(const struct net_output *output, struct iovec *parts, size_t max);
// `len` bytes at the front were sent.
void net_output_consume(struct net_output *output, size_t len);

#endif
