// What a waterfall shows, as a table: spans in, rows in order out. Pure.
#ifndef GHATRACE_VIEW_WATERFALL_MODEL_H
#define GHATRACE_VIEW_WATERFALL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/timestamp.h"
#include "ghatrace/trace/span.h"

enum waterfall_outcome {
    OUTCOME_UNKNOWN, // none, or a conclusion that is not among these
    OUTCOME_SUCCESS,
    OUTCOME_FAILURE,
    OUTCOME_CANCELLED,
    OUTCOME_SKIPPED,
    OUTCOME_CARRIED_OVER, // done in the attempt before
    OUTCOME_COUNT,
};

// In the order in which a job goes through them.
enum waterfall_phase { PHASE_WAITING, PHASE_QUEUE, PHASE_STARTUP, PHASE_EXECUTION, PHASE_COUNT };

struct waterfall_interval {
    timestamp_ns start; // TIMESTAMP_UNKNOWN: there is none
    timestamp_ns end;   // >= start
};

// All text is clean (view/text.h). A slice of length 0 is not known.
struct waterfall_row {
    struct slice name;
    struct slice note; // what the mark alone does not say
    const struct span *span;
    struct waterfall_interval time;
    enum waterfall_outcome outcome;
    bool is_incomplete; // GitHub never said how it ended
    int64_t number;     // the job's id, the step's number: last to decide the order
};

struct waterfall_job {
    struct waterfall_row row;
    const struct span *span;
    struct waterfall_interval phases[PHASE_COUNT];
    bool has_queue;
    duration_ns queue; // waiting for a runner
    struct waterfall_row *steps;
    size_t step_count;
    // What failed in it: NULL where nothing did, or its runner was lost.
    const struct waterfall_row *failed_step;
    bool is_explained; // its note says what failed
};

struct waterfall_title {
    struct slice repository;
    struct slice workflow;
    struct slice display_title;
    struct slice url;
    struct slice branch;
    struct slice revision;
    struct slice event;
    struct slice actor;
    struct slice conclusion;
    int64_t run_id;
    int64_t attempt;
    int64_t run_number;
    struct trace_id trace;
};

struct waterfall {
    bool is_empty; // no span at all: nothing below is set
    bool is_over;  // there is a root
    struct waterfall_title title;
    struct waterfall_row root;  // `time` covers what is known if there is no root
    struct waterfall_job *jobs; // by start, name, id
    size_t job_count;
    struct waterfall_interval axis;
};

duration_ns waterfall_length(struct waterfall_interval interval);
// Did it take time in this attempt: neither skipped nor carried over?
bool waterfall_job_ran(const struct waterfall_job *job);
// The chain of jobs that leads to the last end, from its end: the last to finish among those that began before
// `next` and were over when it began; for NULL, the last of all. NULL: there is none.
const struct waterfall_job *waterfall_job_before(const struct waterfall *waterfall,
                                                 const struct waterfall_job *next);
// The job to look at when the run is to get shorter: of the chain of jobs that leads to the last end
// (each the last to finish before the next began), the longest. NULL if no job ran.
const struct waterfall_job *waterfall_critical_job(const struct waterfall *waterfall);

// ERROR_MEMORY. What is in the model points into `arena`, or into the batches.
enum error_code waterfall_build(const struct span_batch *batches, size_t count, bool unicode,
                                struct arena *arena, struct waterfall *waterfall) MUST_CHECK;

#endif
