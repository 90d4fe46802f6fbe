// Ceilings above pools: which there are, and whether they are reached. Used by pools_view.c.
#ifndef GHATRACE_VIEW_CEILINGS_H
#define GHATRACE_VIEW_CEILINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/view/pools_view.h"
#include "pool_state.h"

// How far back the changes of a pool are read: most troubles began a short while ago.
enum past_span { PAST_NONE, PAST_RECENT, PAST_DAY };

// What is known of a pool over time, beside its row.
struct pool_past {
    enum past_span span, tried; // `tried` is more than `span` if there was too much to read
    struct pool_activity activity;
    size_t first, count; // of its changes
};

// A view that is being made.
struct pools_work {
    const struct view_reader *reader;
    const struct pools_view_settings *settings;
    timestamp_ns now;
    struct pools_view *view;
    struct pool_past *pasts; // of each pool
    size_t *order;           // the pools, those with most jobs first
    struct ended_jobs ended;
    struct pool_changes changes;
    struct arena scratch;             // while one ceiling is looked for
    uint64_t jobs_left, minutes_left; // that may still be read
};

// The time from which on changes of such a span are read.
timestamp_ns pools_work_from(const struct pools_work *work, enum past_span span);
// Reads the past of a pool, if that was not done. Curves that were made before are invalid then.
enum error_code pools_work_read(struct pools_work *work, size_t pool,
                                enum past_span span) MUST_CHECK;
// `pool`: its place in the view. What has not been read is as if nothing had changed since the oldest queued job is.
struct pool_curve pools_work_curve(const struct pools_work *work, size_t pool);
// True if its oldest queued job has waited for POOL_SHORT_WAIT.
bool pools_work_waits(const struct pools_work *work, size_t pool);

// Sets the ceilings of the view, and to which of them its pools belong. ERROR_MEMORY, or an error of the store.
enum error_code ceilings_find(struct pools_work *work) MUST_CHECK;

#endif
