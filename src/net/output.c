// What a connection still has to send.
#include "output.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "ghatrace/base/memory.h"

struct net_block {
    struct net_block *next;
    char *data;
    size_t len;
    size_t offset;  // bytes sent
    bool owns_data; // `data` is a block of its own, else it stands in `bytes`
    char bytes[];
};

void net_output_init(struct net_output *output)
{
    *output = (struct net_output){0};
}

static size_t held_by(const struct net_block *block)
{
    return sizeof *block + block->len;
}

static void add_held(struct net_output *output, size_t bytes)
{
    output->held += bytes;
    if (output->total != NULL)
        *output->total += bytes;
}

static void subtract_held(struct net_output *output, size_t bytes)
{
    assert(bytes <= output->held);
    output->held -= bytes;
    if (output->total != NULL)
        *output->total -= bytes;
}

static void drop_first(struct net_output *output)
{
    struct net_block *block = output->first;

    output->first = block->next;
    if (output->first == NULL)
        output->last = NULL;
    subtract_held(output, held_by(block));
    if (block->owns_data)
        memory_free(block->data);
    memory_free(block);
}

void net_output_release(struct net_output *output)
{
    while (output->first != NULL)
        drop_first(output);
    output->len = 0;
}

static void append(struct net_output *output, struct net_block *block)
{
    block->next = NULL;
    if (output->last == NULL)
        output->first = block;
    else
        output->last->next = block;
    output->last = block;
    output->len += block->len - block->offset;
    add_held(output, held_by(block));
}

bool net_output_append_copy(struct net_output *output, const void *data, size_t len)
{
    if (len == 0)
        return true;
    struct net_block *block =
        len <= SIZE_MAX - sizeof *block ? memory_allocate(sizeof *block + len) : NULL;
    if (block == NULL)
        return false;
    *block = (struct net_block){.data = block->bytes, .len = len};
    memcpy(block->bytes, data, len);
    append(output, block);
    return true;
}

bool net_output_append_owned(struct net_output *output, void *data, size_t len, size_t offset)
{
    if (offset == len) {
        memory_free(data);
        return true;
    }
    struct net_block *block = memory_allocate(sizeof *block);
    if (block == NULL)
        return false;
    *block = (struct net_block){.data = data, .len = len, .offset = offset, .owns_data = true};
    append(output, block);
    return true;
}

size_t net_output_peek(const struct net_output *output, struct iovec *parts, size_t max)
{
    size_t count = 0;

    for (struct net_block *block = output->first; block != NULL && count < max;
         block = block->next) {
        parts[count].iov_base = block->data + block->offset;
        parts[count].iov_len = block->len - block->offset;
        count++;
    }
    return count;
}

void net_output_consume(struct net_output *output, size_t len)
{
    output->len -= len;
    while (len > 0) {
        struct net_block *block = output->first;
        size_t left = block->len - block->offset;
        if (len < left) {
            block->offset += len;
            return;
        }
        len -= left;
        drop_first(output);
    }
}
