// The search for runs: what people paste into one field. Parsing and matching are pure; the API, the page and the
// terminal use them, so that they find the same.
//
//   a URL of GitHub's   run, attempt, job, pull request, commit, branch, workflow, repository; with or without https,
//                       query and fragment; of any server
//   a URL with a trace ID as a part of its path; a URL of the live page of a run
//   a run's or a job's id, and 123/2 for the second attempt of a run
//   a trace ID, a traceparent
//   a commit: 7 or more digits of its hash, of which one is a letter and one is not
//   #3129               the number of a run
//   @mona               mona
//   words               each must be in the repository, workflow, branch, title, actor, result or event, in any case
#ifndef GHATRACE_VIEW_RUN_SEARCH_H
#define GHATRACE_VIEW_RUN_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/view/run_view.h"

#define RUN_SEARCH_WORDS_MAX 16 // the rest is ignored
#define RUN_SEARCH_SHA_MIN COMMIT_PREFIX_MIN
#define RUN_SEARCH_SHA_MAX (2 * COMMIT_ID_SHA1_SIZE)

enum run_search_kind {
    RUN_SEARCH_ALL, // the text is empty
    RUN_SEARCH_WORDS,
    RUN_SEARCH_RUN,
    RUN_SEARCH_JOB, // its run is not known
    RUN_SEARCH_TRACE,
    RUN_SEARCH_COMMIT,
    RUN_SEARCH_PULL,
    RUN_SEARCH_WORKFLOW,
    RUN_SEARCH_REPOSITORY,
    RUN_SEARCH_KINDS
};

// Texts point into the searched text.
struct run_search {
    enum run_search_kind kind;
    struct slice server;     // of a URL; empty: not known
    struct slice repository; // of a URL: owner/name
    struct slice branch;     // of RUN_SEARCH_REPOSITORY; empty: any
    struct slice file;       // of RUN_SEARCH_WORKFLOW: the name of its file
    struct slice sha;        // of RUN_SEARCH_COMMIT, or its first digits
    struct trace_id trace;   // of RUN_SEARCH_TRACE
    int64_t run_id;          // of RUN_SEARCH_RUN
    int64_t run_attempt;     // of RUN_SEARCH_RUN; 0: any
    int64_t job_id;          // of RUN_SEARCH_JOB; of RUN_SEARCH_RUN, if the URL has one
    int64_t pull;            // of RUN_SEARCH_PULL
    // Of RUN_SEARCH_WORDS, if there is nothing else: the id of a run or a job, maybe. 0: it is no number.
    int64_t number;
    struct slice words[RUN_SEARCH_WORDS_MAX]; // of RUN_SEARCH_WORDS and RUN_SEARCH_COMMIT
    size_t word_count;
};

void run_search_parse(struct slice text, struct run_search *search);

// For JSON: "words", "run" and so on; "all".
const char *run_search_kind_text(enum run_search_kind kind);

enum run_search_match {
    RUN_SEARCH_NO,
    RUN_SEARCH_YES,
    RUN_SEARCH_BY_ROOT, // what it depends on is in the run's root span: run_search_root()
    RUN_SEARCH_BY_JOB,  // if it has the job run_search_job()
};
// `run` needs no jobs.
enum run_search_match run_search_match(const struct run_search *search, const struct run_view *run);
// What the root span says of the commit, the pull request and the workflow.
struct run_search_root {
    struct slice revision;
    int64_t pull;
    struct slice workflow_path;
};
bool run_search_match_root(const struct run_search *search, const struct run_search_root *root);
// The job to look for; 0: none.
int64_t run_search_job(const struct run_search *search);

// --- in the store -------------------------------------------------------------------------------------------------

#define RUN_SEARCH_ROOTS_MAX 5000 // root spans read for one request

struct run_search_reader {
    const struct view_reader *reader; // its arena is used for one run at a time
    const struct run_search *search;
    size_t roots; // root spans that may still be read
};
// What a search has found of a run.
struct run_search_result {
    bool is_match;
    int64_t job_id; // by this job; 0: by something else
};
// Whether the run at `place`, whose view is `run`, is meant. While no more root spans may be read, the caller has to stop
// before a run that has ended. ERROR_MEMORY, or as the store reports.
enum error_code run_search_check(struct run_search_reader *of, const struct stored_run *place,
                                 const struct run_view *run,
                                 struct run_search_result *result) MUST_CHECK;
// The runs that the search names by an id or a trace, without looking at others: with `*count` 0 they have to be looked
// for, if they exist. At most one of each server.
enum error_code run_search_direct(const struct view_reader *reader, const struct run_search *search,
                                  struct stored_run runs[FOUND_RUNS_MAX], size_t *count) MUST_CHECK;

#endif
