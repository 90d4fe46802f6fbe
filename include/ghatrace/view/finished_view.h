// Finished runs, the newest end first. Read inside the caller's transaction, and valid until it ends.
#ifndef GHATRACE_VIEW_FINISHED_VIEW_H
#define GHATRACE_VIEW_FINISHED_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/view/run_view.h"

// Runs looked at in one call, in case few of them match.
#define FINISHED_VIEW_LOOKED_AT 1000000
#define FINISHED_VIEW_MOST 10000 // of `limit`

struct finished_filter {
    struct slice repository; // a part of its name, ignoring case; empty: all
    struct slice workflow;   // likewise
    bool is_failed;          // only OUTCOME_FAILURE
    timestamp_ns since;      // that ended since then; TIMESTAMP_UNKNOWN: all
    size_t limit;            // 1 to FINISHED_VIEW_MOST
};

struct finished_view {
    struct run_view *runs; // without jobs
    size_t count;
    bool has_more; // matching runs that ended earlier, or runs that were not looked at
};

bool finished_filter_has(const struct finished_filter *filter, struct slice repository,
                         struct slice workflow);

// ERROR_MEMORY, or as the store reports.
enum error_code finished_view_load(const struct view_reader *reader,
                                   const struct finished_filter *filter,
                                   struct finished_view *view) MUST_CHECK;

#endif
