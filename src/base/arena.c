// Bump allocation in blocks that are freed together.
#include "ghatrace/base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/memory.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#endif

// Under AddressSanitizer, unallocated parts of a block are poisoned, so that the use of a slice after arena_clear() is
// detected although its block is not freed.
#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(start, size) __asan_poison_memory_region(start, size)
#define UNPOISON(start, size) __asan_unpoison_memory_region(start, size)
#else
#define POISON(start, size) ((void)(start), (void)(size))
#define UNPOISON(start, size) ((void)(start), (void)(size))
#endif

struct arena_block {
    struct arena_block *next; // older; owned
    size_t size;              // of data
    size_t used;
    _Alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t block_size_bytes)
{
    *arena = (struct arena){.block_size = block_size_bytes};
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        UNPOISON(block->data, block->size);
        memory_free(block);
        block = next;
    }
}

void arena_release(struct arena *arena)
{
    free_blocks(arena->head);
    arena_init(arena, arena->block_size);
}

// Keeps one block of ordinary size, so that a huge event does not leave a huge arena behind.
void arena_clear(struct arena *arena)
{
    struct arena_block **link = &arena->head;
    struct arena_block *kept;

    arena->used = 0;
    arena->limit = 0;
    arena->is_over_limit = false;
    while (*link != NULL && (*link)->size != arena->block_size)
        link = &(*link)->next;
    kept = *link;
    if (kept != NULL) {
        *link = kept->next;
        kept->next = NULL;
        kept->used = 0;
        POISON(kept->data, kept->size);
    }
    free_blocks(arena->head);
    arena->head = kept;
    arena->held = kept != NULL ? kept->size : 0;
}

void arena_set_limit(struct arena *arena, size_t more_bytes)
{
    arena->limit = arena->held + more_bytes;
    arena->is_over_limit = false;
}

void arena_lift_limit(struct arena *arena)
{
    arena->limit = 0;
}

static struct arena_block *add_arena_block(struct arena *arena, size_t size)
{
    assert(arena->head == NULL || arena->head->used <= arena->head->size);
    if (size > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    if (arena->limit > 0 && (arena->held > arena->limit || size > arena->limit - arena->held)) {
        arena->is_over_limit = true;
        return NULL;
    }
    struct arena_block *block = memory_allocate(sizeof(struct arena_block) + size);
    if (block == NULL)
        return NULL;
    arena->held += size;
    block->size = size;
    block->used = 0;
    POISON(block->data, size);
    // A block for a single large allocation goes after the head, which may have room left.
    struct arena_block **link =
        size > arena->block_size && arena->head != NULL ? &arena->head->next : &arena->head;
    block->next = *link;
    *link = block;
    return block;
}

static size_t round_up(size_t offset, size_t alignment)
{
    return (offset + alignment - 1) & ~(alignment - 1);
}

static bool block_has_room(const struct arena_block *block, size_t size, size_t alignment)
{
    if (block == NULL)
        return false;
    size_t start = round_up(block->used, alignment);
    return start <= block->size && size <= block->size - start;
}

// `alignment` is a power of two; it is 1 for text, which is packed densely.
static void *allocate_aligned(struct arena *arena, size_t size, size_t alignment)
{
    struct arena_block *block = arena->head;

    if (!block_has_room(block, size, alignment)) {
        block = add_arena_block(arena, size > arena->block_size ? size : arena->block_size);
        if (block == NULL)
            return NULL;
    }
    char *start = block->data + round_up(block->used, alignment);
    block->used = (size_t)(start - block->data) + size;
    arena->used += size;
    UNPOISON(start, size);
    return start;
}

void *arena_allocate(struct arena *arena, size_t size)
{
    return allocate_aligned(arena, size != 0 ? size : 1, _Alignof(max_align_t));
}

void *arena_allocate_array(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    void *array = arena_allocate(arena, count * size);
    if (array != NULL)
        memset(array, 0, count * size);
    return array;
}

bool arena_copy_slice(struct arena *arena, struct slice s, struct slice *out)
{
    if (s.len == 0) {
        *out = SLICE_EMPTY;
        return true;
    }
    char *copy = allocate_aligned(arena, s.len, 1);
    if (copy == NULL)
        return false;
    memcpy(copy, s.data, s.len);
    *out = (struct slice){.data = copy, .len = s.len};
    return true;
}

bool arena_format(struct arena *arena, struct slice *out, const char *format, ...)
{
    va_list arguments, again;
    char *text = NULL;

    va_start(arguments, format);
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    if (len >= 0)
        text = allocate_aligned(arena, (size_t)len + 1, 1);
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)len + 1, format, again);
        *out = (struct slice){.data = text, .len = (size_t)len};
    }
    va_end(again);
    va_end(arguments);
    return text != NULL;
}
