// Ceilings above pools: which there are, and whether they are reached. Used by pools_view.c.
#ifndef GHATRACE_VIEW_CEILINGS_H
#define GHATRACE_VIEW_CEILINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/view/pool_state.h"
#include "ghatrace/view/pools_view.h"

// How far back the steps of a pool are read: most troubles began a short while ago.
enum history_span { HISTORY_NONE, HISTORY_RECENT, HISTORY_DAY };

// What is known of a pool over time, beside its row.
struct pool_history {
    enum history_span span, tried; // `tried` is more than `span` if there was too much to read
    struct pool_happened happened;
    size_t first, count; // of its steps
};

// A view that is being made.
struct pools_work {
    const struct view_reader *reader;
    const struct pools_view_settings *settings;
    timestamp_ns now;
    struct pools_view *view;
    struct pool_history *histories; // of each pool
    struct ended_jobs ended;
    struct pool_steps steps;
    uint64_t jobs_left, minutes_left; // that may still be read
};

timestamp_ns pools_work_from(const struct pools_work *work, enum history_span span);
// Reads the history of a pool, if that was not done. Courses that were made before are invalid then.
enum error_code pools_work_read(struct pools_work *work, size_t pool,
                                enum history_span span) MUST_CHECK;
struct pool_course pools_work_course(const struct pools_work *work, size_t pool);
bool pools_work_waits(const struct pools_work *work, size_t pool);

// Sets the ceilings of the view, and to which of them its pools belong. ERROR_MEMORY, or an error of the store.
enum error_code ceilings_find(struct pools_work *work) MUST_CHECK;

#endif
