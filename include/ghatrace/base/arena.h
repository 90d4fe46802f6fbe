// Memory for one event, one request or one batch: many small allocations, freed all at once.
//
// Life cycle: arena_init (no allocation), arena_allocate, arena_clear (frees everything but keeps one block),
// arena_release. Allocations are aligned for any type and valid until clear or release.
#ifndef GHATRACE_BASE_ARENA_H
#define GHATRACE_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *head; // newest first; owned
    size_t block_size;        // bytes of an ordinary block
    size_t used;              // bytes allocated since the last clear
    size_t held;              // bytes of all its blocks
    size_t limit;             // of `held`; 0: none
    bool is_over_limit;       // an allocation failed because of it
};

void arena_init(struct arena *arena, size_t block_size_bytes);
void arena_release(struct arena *arena);
void arena_clear(struct arena *arena);
// Until the next clear, the arena may grow by at most `more_bytes`; allocations beyond that fail.
void arena_set_limit(struct arena *arena, size_t more_bytes);
void arena_lift_limit(struct arena *arena);

// NULL on failure. arena_allocate_array checks the product for overflow and zeroes the memory.
void *arena_allocate(struct arena *arena, size_t size) MUST_CHECK;
void *arena_allocate_array(struct arena *arena, size_t count, size_t size) MUST_CHECK;

// Copies into the arena. On failure they return false and leave `*out` unchanged.
bool arena_copy_slice(struct arena *arena, struct slice s, struct slice *out) MUST_CHECK;
bool arena_format(struct arena *arena, struct slice *out, const char *format, ...) MUST_CHECK
    PRINTF_LIKE(3, 4);

#endif
