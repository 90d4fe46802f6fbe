// Reads the finished runs of a time for the view of failures.
#include "ghatrace/view/failures_view.h"

#include <assert.h>

#include "failures_tally.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/view/pools_cache.h"

#define FAILURES_ARENA_BYTES ((size_t)256 * 1024)

struct failures_reader {
    const struct view_reader *reader;
    struct arena scratch; // one run
    struct failures_tally *tally;
    struct failures_view *view;
    timestamp_ns from;
    size_t jobs_left, bytes_left;
};

static enum error_code fail_failures_memory(const struct failures_reader *of)
{
    return error_set(of->reader->error, ERROR_MEMORY, "list failures: out of memory");
}

// Its jobs and steps, of the failed runs that ended last. `*is_read`: whether it was looked up.
static enum error_code load_detail(struct failures_reader *of, const struct recent_run *recent,
                                   struct run_view *detail, bool *is_read)
{
    const struct view_reader reader = {of->reader->transaction, &of->scratch, of->reader->error};
    const struct stored_run place = recent_stored_run(recent);
    const struct run_view_limits limits = {
        .jobs = of->jobs_left < FAILURES_JOBS_EACH ? of->jobs_left : FAILURES_JOBS_EACH,
        .bytes = of->bytes_left,
        .steps = true};
    *is_read = of->view->detailed < FAILURES_DETAILS_MAX && of->jobs_left > 0 && of->bytes_left > 0;
    if (!*is_read)
        return ERROR_NONE;
    enum error_code code = run_view_load(&reader, &place, &limits, detail);
    *is_read = code == ERROR_NONE;
    if (code == ERROR_NONE) {
        of->view->detailed++;
        of->jobs_left -= detail->count < of->jobs_left ? detail->count : of->jobs_left;
        of->bytes_left -= detail->bytes_read < of->bytes_left ? detail->bytes_read : of->bytes_left;
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code add_run_to_failures(struct failures_reader *of,
                                           const struct recent_run *recent)
{
    struct run_view run, detail;
    bool is_read = false;
    arena_clear(&of->scratch);
    if (run_view_from_recent(recent, &of->scratch, &run) != ERROR_NONE)
        return fail_failures_memory(of);
    run.end = recent_end_place(recent).at;
    of->view->runs++;
    if (view_outcome_of(run.conclusion) == OUTCOME_FAILURE) {
        of->view->failed++;
        enum error_code code = load_detail(of, recent, &detail, &is_read);
        if (code != ERROR_NONE)
            return code;
    }
    return failures_tally_add(of->tally, &run, is_read ? &detail : NULL) == ERROR_NONE
               ? ERROR_NONE
               : fail_failures_memory(of);
}

static enum error_code read_runs(struct failures_reader *of)
{
    struct recent_place place = {0};
    for (;;) {
        struct recent_run run;
        enum error_code code =
            recent_seek_ended_before(of->reader->transaction, &place, &run, of->reader->error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        timestamp_ns earlier = place.at;
        place = recent_end_place(&run);
        if (place.at < of->from)
            return ERROR_NONE;
        if (of->view->runs == FAILURES_LOOKED_AT) {
            of->view->has_more = true;
            of->view->from = earlier;
            return ERROR_NONE;
        }
        code = add_run_to_failures(of, &run);
        if (code != ERROR_NONE)
            return code;
    }
}

static enum error_code load_failures(const struct view_reader *reader, timestamp_ns from,
                                     struct failures_view *view)
{
    struct failures_reader of = {.reader = reader,
                                 .view = view,
                                 .from = from,
                                 .jobs_left = FAILURES_JOBS_MAX,
                                 .bytes_left = FAILURES_BYTES_MAX};
    *view = (struct failures_view){.from = from};
    of.tally = failures_tally_create(reader->arena);
    if (of.tally == NULL)
        return fail_failures_memory(&of);
    arena_init(&of.scratch, FAILURES_ARENA_BYTES);
    enum error_code code = read_runs(&of);
    arena_release(&of.scratch);
    if (code == ERROR_NONE && failures_tally_finish(of.tally, view) != ERROR_NONE)
        code = fail_failures_memory(&of);
    return code;
}

void failures_cache_init(struct failures_cache *cache)
{
    *cache = (struct failures_cache){.kept_until = 0};
    arena_init(&cache->arena, FAILURES_ARENA_BYTES);
}

void failures_cache_release(struct failures_cache *cache)
{
    arena_release(&cache->arena);
}

enum error_code failures_cache_read(struct failures_cache *cache, const struct view_reader *reader,
                                    duration_ns window, timestamp_ns now,
                                    struct failures_view *view)
{
    assert(window > 0);
    const struct view_reader own = {reader->transaction, &cache->arena, reader->error};
    if (window != cache->window || timestamp_monotonic() >= cache->kept_until) {
        duration_ns begun_at = duration_of_thread();
        arena_clear(&cache->arena);
        cache->kept_until = 0;
        enum error_code code = load_failures(&own, now - window, &cache->view);
        if (code != ERROR_NONE)
            return code;
        cache->window = window;
        cache->kept_until =
            timestamp_monotonic() + pools_cache_kept(duration_of_thread() - begun_at);
    }
    *view = cache->view;
    return ERROR_NONE;
}
