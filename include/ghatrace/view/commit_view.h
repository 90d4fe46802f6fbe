// The runs of a commit, from the first event to the last end, and what the commit waited for. Read inside the caller's
// transaction; texts as in struct run_view.
#ifndef GHATRACE_VIEW_COMMIT_VIEW_H
#define GHATRACE_VIEW_COMMIT_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/view/run_view.h"

// What is read of a commit, however many runs it has: attempts of runs, the newest first, and jobs, of all runs together.
#define COMMIT_VIEW_RUNS 200
#define COMMIT_VIEW_JOBS 1000
#define COMMIT_VIEW_BYTES ((size_t)32 << 20) // of what is stored of them
#define COMMIT_VIEW_CHOICES 10               // commits that are listed for an ambiguous prefix

// How a time divides: into the phases of jobs, and what is in none of them.
struct commit_times {
    duration_ns phases[PHASE_COUNT];
    duration_ns other;
};

struct commit_run {
    struct run_view view; // with jobs if it is the newest attempt
    bool is_newest;       // its newest attempt that was read
    // False for a scheduled run: the commit did not cause it, so it has no part in the result, the times and the chain.
    // If there are no others, these count.
    bool is_counted;
    bool has_more_jobs; // than were read
    timestamp_ns end;   // if it is open, now
    // From its start to its end, along the jobs that determined when it ended, or has not ended yet.
    struct commit_times waited;
};

// A job that the commit waited for.
struct commit_link {
    const struct commit_run *run;
    const struct run_view_job *job; // NULL: of this run no job is known
    struct view_interval time;      // if it is open, until now
    struct commit_times times;      // without what the links before it have
};

// The runs of one repository. Forks may have runs of the same commit.
struct commit_group {
    struct slice server; // empty: github.com
    struct slice repository;
    const struct commit_run
        *source;             // says what the commit is: the first push, or else the first run
    struct commit_run *runs; // by their start, then id and attempt
    size_t count;
    bool is_open;       // a newest attempt that counts has not ended
    timestamp_ns first; // the earliest start
    timestamp_ns last;  // the latest end; if it is open, now
    struct slice
        conclusion; // GitHub's word for the worst that ended; while it is open only for a failure, else empty
    // Of the newest attempts that count: the one that ended last; if some are open, the one of these that began first.
    // NULL: there is none.
    const struct commit_run *last_run;
    // Backwards from the end of `last_run`: the last job to finish, before it the last to finish before that began, and so
    // on; before the first job of a run that of the run that ended last before this began. In the order of time.
    struct commit_link *chain;
    size_t chain_count;
    struct commit_times waited; // from `first` to `last`
};

struct commit_view {
    struct commit_id id;
    struct commit_group *groups; // the one with most runs first, then by server and name
    size_t group_count;          // 0: nothing is known of this commit
    bool has_more;               // runs than were read
};

// Puts these runs together, in whatever order they are. Pure. ERROR_MEMORY.
enum error_code commit_view_assemble(const struct run_view *runs, size_t count, timestamp_ns now,
                                     struct arena *arena, struct commit_view *view) MUST_CHECK;

struct commit_choice {
    struct commit_id id;
    struct run_view run; // its newest, without jobs
};
struct commit_choices {
    struct commit_choice list[COMMIT_VIEW_CHOICES];
    size_t count; // 0: there is no such commit
    bool has_more;
};
// `limits`: without `jobs` and `steps`. ERROR_MEMORY, or as the store reports.
enum error_code commit_view_find(const struct view_reader *reader,
                                 const struct commit_prefix *prefix,
                                 const struct run_view_limits *limits,
                                 struct commit_choices *choices) MUST_CHECK;
enum error_code commit_view_load(const struct view_reader *reader, const struct commit_id *commit,
                                 const struct run_view_limits *limits,
                                 struct commit_view *view) MUST_CHECK;

// Sets the message for text that is no commit, or for a commit of which nothing is stored. Return its code.
enum error_code commit_refuse_text(struct slice text, struct error *error) MUST_CHECK;
enum error_code commit_not_found(struct slice text, struct error *error) MUST_CHECK;

#endif
