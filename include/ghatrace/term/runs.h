// Open runs and jobs, oldest first, and finished runs, the newest end first: `ghatrace runs`.
#ifndef GHATRACE_TERM_RUNS_H
#define GHATRACE_TERM_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/term/text.h"
#include "ghatrace/view/finished_view.h"

enum runs_state {
    RUNS_JOB_WAITING, // for its environment's rules
    RUNS_JOB_QUEUED,  // for a runner
    RUNS_JOB_RUNNING,
    RUNS_RUN_OPEN, // a run; its jobs have their own entries
};

// A slice of length 0 and an id of 0 mean unknown.
struct runs_entry {
    int64_t run_id;
    int64_t run_attempt;
    int64_t job_id; // 0: the entry is a run
    enum runs_state state;
    timestamp_ns since;      // when this state began, by GitHub's clock; TIMESTAMP_UNKNOWN: unknown
    struct slice repository; // text_repository()
    struct slice workflow;
    struct slice job_name;
    const struct slice *labels; // the runner's
    size_t label_count;
};

#define RUNS_MAX_TEXT ((size_t)1 << 30) // limit for the text's buffer: a million entries

struct runs_list {
    struct runs_entry *entries; // in any order
    size_t count;
    uint64_t unreadable; // stored entries that were left out because they are unreadable
};

struct runs_options {
    struct terminal terminal; // from terminal_detect_list()
    // The reference for ages: the column "for" shows how long a job has waited, queued or run, and how long a run has
    // been open.
    timestamp_ns now;
};

// Writes the list, every line at most options->terminal.width columns, without trailing blanks. For an empty list,
// writes a message that suggests what to do next. Pure; `scratch` is for temporary data. ERROR_MEMORY,
// ERROR_TOO_LARGE.
enum error_code runs_render(const struct runs_list *list, const struct runs_options *options,
                            struct arena *scratch, struct buffer *out,
                            struct error *error) MUST_CHECK;

// The same for finished runs: one row each, and whether there are more. Columns that do not fit are omitted, the least
// important first.
enum error_code runs_render_finished(const struct finished_view *view,
                                     const struct runs_options *options, struct arena *scratch,
                                     struct buffer *out, struct error *error) MUST_CHECK;

// Both, one below the other.
struct runs_shown {
    const struct runs_list *open;         // NULL: not asked for
    const struct finished_view *finished; // likewise
    bool is_filtered;                     // some of what is open was not asked for
};
enum error_code runs_render_lists(const struct runs_shown *shown,
                                  const struct runs_options *options, struct arena *scratch,
                                  struct buffer *out, struct error *error) MUST_CHECK;

// Reads open runs and jobs from the store, in short read transactions; everything is copied to `arena`. What was read
// before an error is in `list`. `filter`: only by its repository and its workflow.
struct runs_source {
    struct store *store;
    const struct finished_filter *filter;
};
enum error_code runs_load(const struct runs_source *source, struct arena *arena,
                          struct runs_list *list, struct error *error) MUST_CHECK;

#endif
