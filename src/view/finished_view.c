// Finished runs by their ends.
#include "ghatrace/view/finished_view.h"

#include <assert.h>
#include <stdlib.h>

#include "ghatrace/stats/recent.h"

// How far this machine's clock, which says when a run was sent, may be behind GitHub's, which says when it ended.
#define CLOCKS_DIFFER (10 * NS_PER_MINUTE)

struct collector {
    const struct view_reader *reader;
    const struct finished_filter *filter;
    struct recent_run *runs; // a heap: none ended before the first
    size_t count;
    bool has_more;
};

// Negative if `a` ended later.
static int compare_run_ends(const void *a, const void *b)
{
    const struct run_sample *x = &((const struct recent_run *)a)->measure;
    const struct run_sample *y = &((const struct recent_run *)b)->measure;
    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    if (x->run_id != y->run_id)
        return x->run_id > y->run_id ? -1 : 1;
    return x->run_attempt > y->run_attempt ? -1 : x->run_attempt < y->run_attempt;
}

bool finished_filter_has(const struct finished_filter *filter, struct slice repository,
                         struct slice workflow)
{
    return slice_contains_ignoring_case(repository, filter->repository) &&
           slice_contains_ignoring_case(workflow, filter->workflow);
}

static bool is_wanted(const struct finished_filter *filter, const struct run_sample *run)
{
    return (filter->since == TIMESTAMP_UNKNOWN || run->end >= filter->since) &&
           finished_filter_has(filter, run->repository, run->workflow) &&
           (!filter->is_failed || view_outcome_of(run->conclusion) == OUTCOME_FAILURE);
}

static void swap_runs(struct recent_run *a, struct recent_run *b)
{
    struct recent_run copy = *a;
    *a = *b;
    *b = copy;
}

static void sift_up(struct recent_run *heap, size_t i)
{
    while (i > 0 && compare_run_ends(&heap[i], &heap[(i - 1) / 2]) > 0) {
        swap_runs(&heap[i], &heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct recent_run *heap, size_t count)
{
    size_t i = 0;
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++)
            if (compare_run_ends(&heap[child], &heap[least]) > 0)
                least = child;
        if (least == i)
            return;
        swap_runs(&heap[i], &heap[least]);
        i = least;
    }
}

static void collect(struct collector *collector, const struct recent_run *run)
{
    struct recent_run *heap = collector->runs;
    if (!is_wanted(collector->filter, &run->measure))
        return;
    if (collector->count < collector->filter->limit) {
        heap[collector->count++] = *run;
        sift_up(heap, collector->count - 1);
        return;
    }
    collector->has_more = true;
    if (compare_run_ends(run, &heap[0]) < 0) {
        heap[0] = *run;
        sift_down(heap, collector->count);
    }
}

// Whether runs that were sent at `at` or before can change the list.
static bool may_change(const struct collector *collector, timestamp_ns at)
{
    timestamp_ns latest_end = at + CLOCKS_DIFFER;
    timestamp_ns since = collector->filter->since;
    if (since != TIMESTAMP_UNKNOWN && latest_end < since)
        return false;
    return collector->count < collector->filter->limit || !collector->has_more ||
           latest_end >= collector->runs[0].measure.end;
}

static enum error_code collect_all(struct collector *collector)
{
    struct recent_place place = {0};
    for (size_t looked_at = 0; looked_at < FINISHED_VIEW_LOOKED_AT; looked_at++) {
        struct recent_run run;
        enum error_code code = recent_seek_older(collector->reader->transaction, &place, &run,
                                                 collector->reader->error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        place = run.place;
        if (!may_change(collector, place.at))
            return ERROR_NONE;
        collect(collector, &run);
    }
    collector->has_more = true;
    return ERROR_NONE;
}

static enum error_code fail_finished_memory(const struct view_reader *reader)
{
    return error_set(reader->error, ERROR_MEMORY, "list finished runs: out of memory");
}

static enum error_code make_run_views(const struct collector *collector, struct finished_view *view)
{
    const struct view_reader *reader = collector->reader;
    struct run_view *runs = arena_allocate_array(reader->arena, collector->count + 1, sizeof *runs);
    if (runs == NULL)
        return fail_finished_memory(reader);
    for (size_t i = 0; i < collector->count; i++)
        if (run_view_from_recent(&collector->runs[i], reader->arena, &runs[i]) != ERROR_NONE)
            return fail_finished_memory(reader);
    *view = (struct finished_view){runs, collector->count, collector->has_more};
    return ERROR_NONE;
}

enum error_code finished_view_load(const struct view_reader *reader,
                                   const struct finished_filter *filter, struct finished_view *view)
{
    struct collector collector = {.reader = reader, .filter = filter};
    assert(filter->limit > 0 && filter->limit <= FINISHED_VIEW_MOST);
    collector.runs = arena_allocate_array(reader->arena, filter->limit, sizeof *collector.runs);
    if (collector.runs == NULL)
        return fail_finished_memory(reader);
    enum error_code code = collect_all(&collector);
    if (code != ERROR_NONE)
        return code;
    if (collector.count > 1)
        qsort(collector.runs, collector.count, sizeof *collector.runs, compare_run_ends);
    return make_run_views(&collector, view);
}
