// Reads waits of all pools, slot by slot or pool by pool.
#include "ghatrace/view/latency_view.h"

#include <stdlib.h>
#include <string.h>

#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool_waits.h"
#include "short_reads.h"

#define RECENT_SLOTS_MAX 24

struct loading {
    struct short_reads reads;
    const struct latency_question *question;
    struct latency_view *view;
    struct arena *arena;
    struct error *error;
    struct pool *pools;
    size_t pool_count;
    struct histogram *slots; // of all pools in one slot, or of one pool in all slots
};

// --- figures --------------------------------------------------------------------------------------

static struct latency_figures figures_of(const struct histogram *waits)
{
    return (struct latency_figures){.count = waits->count,
                                    .p50 = histogram_percentile(waits, 50),
                                    .p90 = histogram_percentile(waits, 90),
                                    .p99 = histogram_percentile(waits, 99),
                                    .max = waits->max};
}

static enum error_code refuse_latency_memory(const struct loading *loading)
{
    return error_set(loading->error, ERROR_MEMORY, "read latencies: out of memory");
}

// --- the last day, slot by slot -------------------------------------------------------------------

// Whole slots of the store; the current one is the last.
static void choose_recent_slots(const struct latency_question *question, struct latency_view *view)
{
    static const unsigned lengths[] = {5, 10, 15, 30, 60}; // minutes
    duration_ns window = question->span.window > 0 ? question->span.window : NS_PER_HOUR;
    size_t i = 0;
    do {
        view->slot_length = lengths[i] * NS_PER_MINUTE;
        view->slot_count = (size_t)((window + view->slot_length - 1) / view->slot_length);
        i++;
    } while (view->slot_count > RECENT_SLOTS_MAX && i < sizeof lengths / sizeof lengths[0]);
    view->end = question->now / LATENCY_SLOT * LATENCY_SLOT + LATENCY_SLOT;
    view->first = view->end - (duration_ns)view->slot_count * view->slot_length;
}

static enum error_code read_recent_slot(struct loading *loading, size_t slot,
                                        struct histogram *wholes)
{
    struct latency_view *view = loading->view;
    timestamp_ns from = view->first + (duration_ns)slot * view->slot_length;
    const struct latency_query query = {from, from + view->slot_length, loading->pools,
                                        loading->pool_count};
    enum error_code code = short_reads_continue(&loading->reads);
    if (code != ERROR_NONE)
        return code;
    memset(loading->slots, 0, loading->pool_count * sizeof *loading->slots);
    code = latency_read(loading->reads.transaction, &query, loading->slots, loading->error);
    for (size_t i = 0; i < loading->pool_count && code == ERROR_NONE; i++) {
        view->pools[i].slots[slot] = figures_of(&loading->slots[i]);
        histogram_merge(&wholes[i], &loading->slots[i]);
    }
    return code;
}

static enum error_code read_last_day(struct loading *loading)
{
    struct latency_view *view = loading->view;
    size_t count = loading->pool_count + 1; // not 0
    struct latency_figures *figures =
        arena_allocate_array(loading->arena, count * view->slot_count, sizeof *figures);
    struct histogram *wholes = arena_allocate_array(loading->arena, count, sizeof *wholes);
    loading->slots = arena_allocate_array(loading->arena, count, sizeof *loading->slots);
    if (figures == NULL || wholes == NULL || loading->slots == NULL)
        return refuse_latency_memory(loading);
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < loading->pool_count; i++)
        view->pools[i] =
            (struct latency_pool){&loading->pools[i], {0}, figures + i * view->slot_count};
    for (size_t i = 0; i < view->slot_count && code == ERROR_NONE; i++)
        code = read_recent_slot(loading, i, wholes);
    for (size_t i = 0; i < loading->pool_count; i++)
        view->pools[i].whole = figures_of(&wholes[i]);
    view->count = loading->pool_count;
    return code;
}

// --- any time, pool by pool -----------------------------------------------------------------------

static enum error_code read_waits_of_pool(struct loading *loading,
                                          const struct pool_wait_slots *slots,
                                          const struct pool *pool)
{
    struct latency_pool *row = &loading->view->pools[loading->view->count];
    struct histogram whole = {0};
    enum error_code code = short_reads_continue(&loading->reads);
    if (code != ERROR_NONE)
        return code;
    memset(loading->slots, 0, slots->count * sizeof *loading->slots);
    code = pool_waits_read(loading->reads.transaction, &pool->id, slots, loading->slots,
                           loading->error);
    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < slots->count; i++)
        histogram_merge(&whole, &loading->slots[i]);
    if (whole.count == 0)
        return ERROR_NONE;
    *row = (struct latency_pool){.pool = pool, .whole = figures_of(&whole)};
    row->slots = arena_allocate_array(loading->arena, slots->count, sizeof *row->slots);
    if (row->slots == NULL)
        return refuse_latency_memory(loading);
    for (size_t i = 0; i < slots->count; i++)
        row->slots[i] = figures_of(&loading->slots[i]);
    loading->view->count++;
    return ERROR_NONE;
}

static enum error_code read_history_of_pools(struct loading *loading,
                                             const struct pool_history_slots *known)
{
    struct latency_view *view = loading->view;
    struct pool_wait_slots slots;
    pool_wait_slots_of(known, &slots);
    view->first = slots.first;
    view->end = slots.end;
    view->slot_length = slots.length;
    view->slot_count = slots.count;
    loading->slots = arena_allocate_array(loading->arena, slots.count, sizeof *loading->slots);
    if (loading->slots == NULL)
        return refuse_latency_memory(loading);
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < loading->pool_count && code == ERROR_NONE; i++)
        code = read_waits_of_pool(loading, &slots, &loading->pools[i]);
    return code;
}

// --- order ----------------------------------------------------------------------------------------

static int compare_by_name(const struct latency_pool *a, const struct latency_pool *b)
{
    int order = slice_compare(a->pool->labels, b->pool->labels);
    return order != 0 ? order : memcmp(&a->pool->id, &b->pool->id, sizeof a->pool->id);
}

static int compare_by_count(const void *left, const void *right)
{
    const struct latency_pool *a = left, *b = right;
    if (a->whole.count != b->whole.count)
        return a->whole.count > b->whole.count ? -1 : 1;
    return compare_by_name(a, b);
}

static int compare_by_p90(const void *left, const void *right)
{
    const struct latency_pool *a = left, *b = right;
    if (a->whole.p90 != b->whole.p90)
        return a->whole.p90 > b->whole.p90 ? -1 : 1;
    return compare_by_count(a, b);
}

// Leaves those out in which no wait ended.
static void put_pools_in_order(struct latency_view *view, bool is_worst_first)
{
    size_t count = 0;
    for (size_t i = 0; i < view->count; i++)
        if (view->pools[i].whole.count > 0)
            view->pools[count++] = view->pools[i];
    view->count = count;
    if (count > 1)
        qsort(view->pools, count, sizeof *view->pools,
              is_worst_first ? compare_by_p90 : compare_by_count);
}

enum error_code latency_view_load(struct store *store, const struct latency_question *question,
                                  struct arena *arena, struct latency_view *view,
                                  struct error *error)
{
    const struct pool_history_span *span = &question->span;
    bool is_recent = span->from == TIMESTAMP_UNKNOWN && span->to == TIMESTAMP_UNKNOWN &&
                     span->window <= NS_PER_DAY;
    struct loading loading = {.reads = {.store = store,
                                        .held_max = LATENCY_VIEW_HELD,
                                        .is_cancelled = question->is_cancelled,
                                        .error = error},
                              .question = question,
                              .view = view,
                              .arena = arena,
                              .error = error};
    struct pool_history_slots slots;
    *view = (struct latency_view){.count = 0};
    enum error_code code = pool_history_slots_of(span, question->now, &slots, error);
    if (code == ERROR_NONE)
        code = short_reads_continue(&loading.reads);
    if (code == ERROR_NONE)
        code =
            pool_list(loading.reads.transaction, arena, &loading.pools, &loading.pool_count, error);
    if (code == ERROR_NONE) {
        view->pools = arena_allocate_array(arena, loading.pool_count + 1, sizeof *view->pools);
        code = view->pools != NULL ? ERROR_NONE : refuse_latency_memory(&loading);
    }
    if (code == ERROR_NONE && is_recent) {
        choose_recent_slots(question, view);
        code = read_last_day(&loading);
    } else if (code == ERROR_NONE) {
        code = read_history_of_pools(&loading, &slots);
    }
    short_reads_end(&loading.reads);
    view->unreadable = loading.reads.unreadable;
    if (code == ERROR_NONE)
        put_pools_in_order(view, question->is_worst_first);
    return code;
}
