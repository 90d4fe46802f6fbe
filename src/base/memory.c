// Heap allocation, with fault injection for tests.
#include "ghatrace/base/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Set by the first memory_fail_after(), which only tests call: in the daemon each allocation costs one plain load, and
// threads do not share a counter.
static atomic_bool watched;
static atomic_long asked;
static atomic_long skip_left = -1;

static bool fault_is_due(void)
{
    if (!atomic_load_explicit(&watched, memory_order_relaxed))
        return false;
    atomic_fetch_add(&asked, 1);
    long left = atomic_load(&skip_left);
    // Negative: the fault is disabled or has happened; it happens only once.
    while (left >= 0) {
        if (atomic_compare_exchange_weak(&skip_left, &left, left - 1))
            return left == 0;
    }
    return false;
}

void *memory_allocate(size_t size)
{
    if (fault_is_due())
        return NULL;
    return malloc(size != 0 ? size : 1);
}

void *memory_allocate_array(size_t count, size_t size)
{
    if (fault_is_due())
        return NULL;
    if (count == 0 || size == 0)
        return calloc(1, 1);
    if (count > SIZE_MAX / size)
        return NULL;
    return calloc(count, size);
}

void *memory_resize(void *block, size_t size)
{
    if (fault_is_due())
        return NULL;
    return realloc(block, size != 0 ? size : 1);
}

void memory_free(void *block)
{
    free(block);
}

#define LARGE_BLOCK (1 << 20)

void memory_return_large_blocks(void)
{
#ifdef M_MMAP_THRESHOLD // glibc; setting it disables its dynamic adjustment (mallopt(3))
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    (void)mallopt(M_TRIM_THRESHOLD, 4 * LARGE_BLOCK);
#endif
}

char *memory_copy_string(const char *data, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *copy = memory_allocate(len + 1);
    if (copy == NULL)
        return NULL;
    if (len != 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

void memory_fail_after(long skip)
{
    atomic_store(&asked, 0);
    atomic_store(&skip_left, skip < 0 ? -1 : skip);
    atomic_store(&watched, true);
}

long memory_count_allocations(void)
{
    return atomic_load(&asked);
}
