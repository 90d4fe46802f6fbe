// Orders of a few things: all of them, or some at random, the same each time.
#ifndef GHATRACE_TESTS_SUPPORT_ORDERS_H
#define GHATRACE_TESTS_SUPPORT_ORDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static inline void swap_places(size_t *order, size_t a, size_t b)
{
    size_t swapped = order[a];
    order[a] = order[b];
    order[b] = swapped;
}

// The next of all orders, the first of which is the natural one. False: that was the last.
static inline bool next_permutation(size_t *order, size_t count)
{
    size_t i = count - 1;
    while (i > 0 && order[i - 1] >= order[i])
        i--;
    if (i == 0)
        return false;
    size_t j = count - 1;
    while (order[j] <= order[i - 1])
        j--;
    swap_places(order, i - 1, j);
    for (size_t low = i, high = count - 1; low < high; low++, high--)
        swap_places(order, low, high);
    return true;
}

static inline void shuffle(size_t *order, size_t count, uint32_t *seed)
{
    for (size_t i = count - 1; i > 0; i--)
        swap_places(order, i, next_random(seed) % (i + 1));
}

#endif
