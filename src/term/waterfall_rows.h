// The rows of a waterfall, as they are before they are drawn: cleaned names, marks, notes and intervals.
#ifndef GHATRACE_TERM_WATERFALL_ROWS_H
#define GHATRACE_TERM_WATERFALL_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/view/run_view.h"

// The meaning of a row's mark: an outcome, or the progress of an open item.
enum waterfall_mark {
    MARK_UNKNOWN = OUTCOME_UNKNOWN,
    MARK_SUCCESS = OUTCOME_SUCCESS,
    MARK_FAILURE = OUTCOME_FAILURE,
    MARK_CANCELLED = OUTCOME_CANCELLED,
    MARK_SKIPPED = OUTCOME_SKIPPED,
    MARK_CARRIED_OVER = OUTCOME_CARRIED_OVER,
    MARK_RUNNING = OUTCOME_COUNT,
    MARK_YET_TO_START,  // a job that waits or is queued; a step that has not begun
    MARK_ENDED_UNKNOWN, // a running job whose runner has taken another one
    MARK_COUNT,
};

struct waterfall_row {
    struct slice name;
    struct slice note; // details that the mark does not show
    enum waterfall_mark mark;
    struct view_interval time; // if open, until now
};

struct waterfall_job {
    struct waterfall_row row;
    const struct run_view_job *job;
    struct view_interval phases[PHASE_COUNT]; // if open, until now
    struct waterfall_row *steps;
    size_t step_count;
    bool is_explained; // it failed, and its note gives the reason
};

struct waterfall {
    const struct run_view *view;
    bool is_over;              // its root was sent, and is not to be made again
    struct waterfall_row root; // `time` covers the known data if the run is not over
    struct waterfall_job *jobs;
    size_t job_count;
    struct view_interval axis;
};

duration_ns waterfall_length(struct view_interval interval);

// Points into the view and the arena. ERROR_MEMORY.
enum error_code waterfall_build(const struct run_view *view, timestamp_ns now, bool unicode,
                                struct arena *arena, struct waterfall *waterfall) MUST_CHECK;

// The chain of jobs that leads to the last end (each the last to finish before the next began), which determined how long
// the run took. `path`: the last one first, at most `most`. `*length`: of all of them together. Returns how many there are.
size_t waterfall_critical_path(const struct waterfall *waterfall, const struct waterfall_job **path,
                               size_t most, duration_ns *length);

// Paints the runs, each as a row of its own with its jobs below it, under one axis, and a legend (waterfall.c). Sets their
// axis.
struct painter;
void waterfall_paint_runs(struct painter *painter, struct waterfall *runs, size_t count,
                          struct arena *scratch);

#endif
