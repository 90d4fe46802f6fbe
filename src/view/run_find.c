// What a search needs from the store: jobs and root spans of runs, and runs by their ids.
#include "ghatrace/stats/runs.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/view/run_search.h"

// --- jobs and root spans of a run -------------------------------------------------------------------------------

static enum error_code find_searched_job(const struct view_reader *reader,
                                         const struct stored_run *run, int64_t job_id,
                                         bool *is_stored)
{
    const struct store_key key = {run->trace, stored_span_of_job(run->run_id, job_id)};
    struct slice state;
    uint64_t sequence;
    enum error_code code = store_newest_record(reader->transaction, &key, &sequence, reader->error);
    if (code == ERROR_NOT_FOUND)
        code = store_get_span(reader->transaction, &key, &state, reader->error);
    *is_stored = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static void read_root(const struct span_batch *batch, struct run_search_root *root)
{
    long long pull;
    root->revision = attributes_get_string(&batch->resource, "vcs.ref.head.revision");
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct attributes *attributes = &batch->spans[i].attributes;
        if (slice_parse_int64(attributes_get_string(attributes, "vcs.change.id"), &pull))
            root->pull = pull;
        if (root->workflow_path.len == 0)
            root->workflow_path = attributes_get_string(attributes, "github.workflow_path");
    }
}

// A run without a readable root span has an empty one.
static enum error_code load_root(const struct view_reader *reader, const struct stored_run *run,
                                 struct run_search_root *root)
{
    struct span_batch batch;
    *root = (struct run_search_root){.pull = 0};
    enum error_code code =
        recent_read_root(reader->transaction, run, reader->arena, &batch, reader->error);
    if (code == ERROR_NONE)
        read_root(&batch, root);
    if (code == ERROR_CORRUPT)
        store_note_unreadable(reader->transaction);
    return code == ERROR_NOT_FOUND || code == ERROR_CORRUPT ? ERROR_NONE : code;
}

static enum error_code check_root(struct run_search_reader *of, const struct stored_run *place,
                                  const struct run_view *run, struct run_search_result *result)
{
    struct run_search_root root = {run->revision, run->pull, run->workflow_path};
    enum error_code code = ERROR_NONE;
    if (!run->is_open && of->roots > 0) {
        of->roots--;
        code = load_root(of->reader, place, &root);
    }
    result->is_match = code == ERROR_NONE && run_search_match_root(of->search, &root);
    return code;
}

enum error_code run_search_check(struct run_search_reader *of, const struct stored_run *place,
                                 const struct run_view *run, struct run_search_result *result)
{
    enum error_code code = ERROR_NONE;
    int64_t job_id = run_search_job(of->search);
    *result = (struct run_search_result){.is_match = false};
    switch (run_search_match(of->search, run)) {
    case RUN_SEARCH_NO:
        break;
    case RUN_SEARCH_YES:
        result->is_match = true;
        break;
    case RUN_SEARCH_BY_ROOT:
        code = check_root(of, place, run, result);
        break;
    case RUN_SEARCH_BY_JOB:
        code = find_searched_job(of->reader, place, job_id, &result->is_match);
        if (result->is_match)
            result->job_id = job_id;
        break;
    }
    return code;
}

// --- runs by ids --------------------------------------------------------------------------------------------------

static enum error_code find_by_number(const struct view_reader *reader,
                                      const struct run_selector *question,
                                      struct stored_run runs[FOUND_RUNS_MAX], size_t *count)
{
    struct found_run found[FOUND_RUNS_MAX];
    enum error_code code = run_lookup(reader, question, found, count);
    for (size_t i = 0; code == ERROR_NONE && i < *count; i++)
        runs[i] = found[i].run;
    return code;
}

static enum error_code find_by_trace(const struct view_reader *reader, const struct trace_id *trace,
                                     struct stored_run *run, size_t *count)
{
    struct recent_run recent;
    enum error_code code = recent_find(reader->transaction, trace, &recent, reader->error);
    if (code == ERROR_NONE)
        *run = recent_stored_run(&recent);
    *count = code == ERROR_NONE ? 1 : 0;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code run_search_direct(const struct view_reader *reader, const struct run_search *search,
                                  struct stored_run runs[FOUND_RUNS_MAX], size_t *count)
{
    const struct run_selector question = {.server = search->server,
                                          .run_id = search->kind == RUN_SEARCH_RUN ? search->run_id
                                                                                   : search->number,
                                          .run_attempt = search->run_attempt};
    *count = 0;
    if (search->kind == RUN_SEARCH_TRACE)
        return find_by_trace(reader, &search->trace, runs, count);
    return question.run_id > 0 ? find_by_number(reader, &question, runs, count) : ERROR_NONE;
}
