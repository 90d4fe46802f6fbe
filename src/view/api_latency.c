// How long jobs queued, lately.
#include <stdlib.h>

#include "api_parts.h"
#include "ghatrace/tally/latency.h"
#include "ghatrace/tally/pool.h"

#define SLOTS_MAX 24

// What remains of a histogram.
struct figures {
    uint64_t count;
    duration_ns p50, p90, p99, max;
};

struct pool_latency {
    const struct pool *pool;
    struct figures whole;
    struct figures slots[SLOTS_MAX];
};

struct latency {
    struct store_transaction *transaction;
    struct arena *arena;
    struct error *error;
    struct pool *pools;
    size_t count;
    struct pool_latency *rows;
    struct histogram *whole, *slot; // one of each pool
    duration_ns slot_length;
    size_t slot_count;
    timestamp_ns start;
};

static void sum_up(const struct histogram *histogram, struct figures *figures)
{
    *figures = (struct figures){.count = histogram->count,
                                .p50 = histogram_percentile(histogram, 50),
                                .p90 = histogram_percentile(histogram, 90),
                                .p99 = histogram_percentile(histogram, 99),
                                .max = histogram->max};
}

static enum error_code allocate(struct latency *latency)
{
    enum error_code code = pool_list(latency->transaction, latency->arena, &latency->pools,
                                     &latency->count, latency->error);
    size_t count = latency->count + 1;
    if (code != ERROR_NONE)
        return code;
    latency->rows = arena_allocate_array(latency->arena, count, sizeof *latency->rows);
    latency->whole = arena_allocate_array(latency->arena, count, sizeof *latency->whole);
    latency->slot = arena_allocate_array(latency->arena, count, sizeof *latency->slot);
    if (latency->rows == NULL || latency->whole == NULL || latency->slot == NULL)
        return error_set(latency->error, ERROR_MEMORY, "read latencies: out of memory");
    return ERROR_NONE;
}

static enum error_code read_slot(struct latency *latency, size_t slot)
{
    timestamp_ns from = latency->start + (duration_ns)slot * latency->slot_length;
    memset(latency->slot, 0, latency->count * sizeof *latency->slot);
    enum error_code code =
        latency_read(latency->transaction, from, from + latency->slot_length, latency->pools,
                     latency->count, latency->slot, latency->error);
    for (size_t i = 0; i < latency->count && code == ERROR_NONE; i++) {
        sum_up(&latency->slot[i], &latency->rows[i].slots[slot]);
        histogram_merge(&latency->whole[i], &latency->slot[i]);
    }
    return code;
}

// Most jobs first; then by name, so that rows keep their places.
static int compare_rows(const void *left, const void *right)
{
    const struct pool_latency *a = left, *b = right;
    if (a->whole.count != b->whole.count)
        return a->whole.count > b->whole.count ? -1 : 1;
    int order = slice_compare(a->pool->labels, b->pool->labels);
    return order != 0 ? order : slice_compare(a->pool->group, b->pool->group);
}

static void put_percentile(struct json_out *json, const char *name, const struct figures *figures,
                           duration_ns value)
{
    if (figures->count > 0)
        json_out_seconds(json, name, value);
    else
        json_out_null(json, name);
}

static void put_figures(struct json_out *json, const struct figures *figures)
{
    json_out_count(json, "count", figures->count);
    put_percentile(json, "p50", figures, figures->p50);
    put_percentile(json, "p90", figures, figures->p90);
    put_percentile(json, "p99", figures, figures->p99);
}

static void put_row(struct json_out *json, const struct latency *latency,
                    const struct pool_latency *row)
{
    json_out_open_object(json, NULL);
    json_out_labels(json, "runner_labels", row->pool->labels);
    json_out_text(json, "runner_group", row->pool->group);
    put_figures(json, &row->whole);
    put_percentile(json, "max", &row->whole, row->whole.max);
    json_out_open_array(json, "slots");
    for (size_t i = 0; i < latency->slot_count; i++) {
        json_out_open_object(json, NULL);
        json_out_time(json, "start", latency->start + (duration_ns)i * latency->slot_length);
        put_figures(json, &row->slots[i]);
        json_out_close_object(json);
    }
    json_out_close_array(json);
    json_out_close_object(json);
}

static void put_rows(struct json_out *json, struct latency *latency)
{
    for (size_t i = 0; i < latency->count; i++) {
        latency->rows[i].pool = &latency->pools[i];
        sum_up(&latency->whole[i], &latency->rows[i].whole);
    }
    if (latency->count > 1)
        qsort(latency->rows, latency->count, sizeof *latency->rows, compare_rows);
    json_out_open_array(json, "pools");
    for (size_t i = 0; i < latency->count && latency->rows[i].whole.count > 0; i++)
        put_row(json, latency, &latency->rows[i]);
    json_out_close_array(json);
}

enum error_code api_render_latency(const struct view_sources *sources, bool is_day,
                                   timestamp_ns now, struct arena *arena, struct buffer *out,
                                   struct error *error)
{
    struct latency latency = {.arena = arena,
                              .error = error,
                              .slot_length = is_day ? NS_PER_HOUR : LATENCY_SLOT,
                              .slot_count = is_day ? 24 : 12};
    duration_ns window = (duration_ns)latency.slot_count * latency.slot_length;
    struct json_out json;
    // Whole slots of the store's; the present one is the last.
    latency.start = now / LATENCY_SLOT * LATENCY_SLOT + LATENCY_SLOT - window;
    enum error_code code = store_begin(sources->store, false, &latency.transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = allocate(&latency);
    for (size_t i = 0; i < latency.slot_count && code == ERROR_NONE; i++)
        code = read_slot(&latency, i);
    json_out_init(&json, out);
    json_out_open_object(&json, NULL);
    json_out_time(&json, "now", now);
    json_out_count(&json, "window_seconds", (uint64_t)(window / NS_PER_SECOND));
    json_out_count(&json, "slot_seconds", (uint64_t)(latency.slot_length / NS_PER_SECOND));
    if (code == ERROR_NONE)
        put_rows(&json, &latency);
    json_out_count(&json, "unreadable", store_unreadable(latency.transaction));
    json_out_close_object(&json);
    store_abort(latency.transaction);
    return code == ERROR_NONE ? api_finish(&json, error) : code;
}
