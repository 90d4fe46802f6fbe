// A run as a waterfall in the terminal.
#ifndef GHATRACE_VIEW_WATERFALL_H
#define GHATRACE_VIEW_WATERFALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/view/run_lookup.h"
#include "ghatrace/view/text.h"

// --- what a waterfall shows, as a table: spans in, rows in order out. Pure ------------------------

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

// --- waterfall ------------------------------------------------------------------------------------
// One run attempt as a waterfall for the terminal: `ghatrace trace`.
//
//     struct waterfall_found found;
//     code = waterfall_load(store, &question, &arena, &found, &error);
//     code = waterfall_render(found.batches, found.count, &options, &arena, &text, &error);
//     → write the text to standard output

struct waterfall_options {
    struct terminal terminal; // of terminal_detect()
    bool steps;               // a row for each step beneath its job
};

// A cap for the text's buffer: 256 jobs of 1000 steps at 1000 columns stay far below it.
#define WATERFALL_MAX_TEXT ((size_t)1 << 30)

// Writes the picture, every line at most options->terminal.width columns, none with trailing
// blanks. `batches` are the finished spans of one run attempt in any order: the root's, if the run
// is over, and one batch per finished job. No span at all gives a line that says so. Names come from
// strangers: what could steer a terminal is shown as U+FFFD (`?` in ASCII). Pure; `scratch` holds
// what is needed on the way. ERROR_MEMORY, ERROR_TOO_LARGE (the buffer's cap).
enum error_code waterfall_render(const struct span_batch *batches, size_t count,
                                 const struct waterfall_options *options, struct arena *scratch,
                                 struct buffer *out, struct error *error) MUST_CHECK;

// Of one run attempt, what is finished; everything lives in the arena.
struct waterfall_found {
    struct span_batch *batches;
    size_t count;
    int64_t run_attempt;
    struct slice server; // its name
    struct slice also;   // names of the other servers that have such a run, joined by ", "
    size_t unreadable;   // records that are left out, as they cannot be read
};

// Reads it from the store in one short read transaction. An attempt of 0 asks for the newest one of which something is
// finished; no server, for the first that run_lookup() finds. ERROR_NOT_FOUND (with a message for people): nothing of
// it is finished, or it is older than the history kept. Otherwise as the store says, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code waterfall_load(struct store *store, const struct run_question *question,
                               struct arena *arena, struct waterfall_found *found,
                               struct error *error) MUST_CHECK;

#endif
