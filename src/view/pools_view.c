// Reads pools and the waits of their queued jobs.
#include "ghatrace/view/pools_view.h"

#include <stdlib.h>
#include <string.h>

static enum error_code refuse_memory(const struct view_reader *reader)
{
    return error_set(reader->error, ERROR_MEMORY, "read pools: out of memory");
}

duration_ns pools_view_wait(timestamp_ns since, timestamp_ns now)
{
    return since != TIMESTAMP_UNKNOWN && since < now ? now - since : 0;
}

static enum error_code load_waits_of(const struct view_reader *reader, const struct pool *pool,
                                     uint64_t *left, struct pools_view_pool *row)
{
    char room[LABELS_TEXT_MAX];
    uint64_t budget = *left < POOLS_VIEW_LOOKED_AT_EACH ? *left : POOLS_VIEW_LOOKED_AT_EACH;
    uint64_t before = budget;
    *row = (struct pools_view_pool){.pool = *pool, .name = pool_name(pool, room)};
    if (!arena_copy_slice(reader->arena, row->name, &row->name))
        return refuse_memory(reader);
    enum error_code code =
        pool_read_open_waits(reader->transaction, pool, &budget, &row->waits, reader->error);
    *left -= before - budget;
    return code;
}

static int compare_counts(uint64_t a, uint64_t b)
{
    return a == b ? 0 : a > b ? -1 : 1;
}

// A pool without a queue comes after those with one.
static int compare_pools(const void *left, const void *right)
{
    const struct pools_view_pool *a = left, *b = right;
    timestamp_ns x = a->waits.oldest, y = b->waits.oldest;
    if (x != y)
        return x == TIMESTAMP_UNKNOWN ? 1 : y == TIMESTAMP_UNKNOWN ? -1 : x < y ? -1 : 1;
    for (int state = OPEN_JOB_STATES - 1; state > 0; state--) {
        int order = compare_counts(a->pool.counts[state], b->pool.counts[state]);
        if (order != 0)
            return order;
    }
    int names = slice_compare(a->name, b->name);
    return names != 0 ? names : memcmp(&a->pool.id, &b->pool.id, sizeof a->pool.id);
}

enum error_code pools_view_load(const struct view_reader *reader, struct pools_view *view)
{
    struct pool *pools;
    size_t count;
    uint64_t left = POOLS_VIEW_LOOKED_AT;
    *view = (struct pools_view){.pools = NULL};
    enum error_code code =
        pool_list(reader->transaction, reader->arena, &pools, &count, reader->error);
    if (code != ERROR_NONE)
        return code;
    view->pools = arena_allocate_array(reader->arena, count + 1, sizeof *view->pools);
    if (view->pools == NULL)
        return refuse_memory(reader);
    for (; view->count < count && code == ERROR_NONE; view->count++)
        code = load_waits_of(reader, &pools[view->count], &left, &view->pools[view->count]);
    if (view->count > 1)
        qsort(view->pools, view->count, sizeof *view->pools, compare_pools);
    return code;
}
