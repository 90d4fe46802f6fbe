// A run as it is shown: which one is meant, its words, its jobs and steps.
#include "ghatrace/view/run_view.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/tally/recent.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/timeline.h"
#include "ghatrace/view/run_lookup.h"
#include "workflow.h"

// --- what a job's workflow is called, where its own events do not say -----------------------------

enum error_code workflow_name_job(struct store_transaction *transaction,
                                  const struct store_key *key, struct arena *arena,
                                  struct job_state *job, struct error *error)
{
    const struct store_key run_key = {
        .trace = key->trace, .span = span_id_of_run(ID_SCHEME_ARC, job->run_id, job->run_attempt)};
    struct run_state run = {0};
    struct slice bytes;
    if (job->body.workflow_name.len > 0)
        return ERROR_NONE;
    enum error_code code = store_get_span(transaction, &run_key, &bytes, error);
    if (code == ERROR_NONE)
        code = codec_decode_run(bytes, arena, &run, error);
    if (code == ERROR_NONE)
        job->body.workflow_name = run.seen != 0 ? run.body.workflow_name : run.job_workflow_name;
    return code == ERROR_NOT_FOUND || code == ERROR_CORRUPT ? ERROR_NONE : code;
}

// --- where runs are stored ------------------------------------------------------------------------

struct lookup {
    struct store_transaction *transaction;
    const struct run_question *question;
    struct slice wanted; // the question's server; empty: github.com
    bool is_named;
    struct arena *arena;
    struct found_run *runs;
    size_t count;
    struct error *error;
};

// --- whose is what is stored where github.com's are --------------------------------------------------------------

// What cannot be read says nothing: ERROR_NOT_FOUND.
static enum error_code ask_state(struct lookup *lookup, const struct stored_run *run,
                                 struct slice *server)
{
    const struct store_key key = {run->trace,
                                  span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
    struct run_state state;
    struct slice bytes;
    enum error_code code = store_get_span(lookup->transaction, &key, &bytes, lookup->error);
    if (code == ERROR_NONE)
        code = codec_decode_run(bytes, lookup->arena, &state, lookup->error);
    if (code == ERROR_CORRUPT || (code == ERROR_NONE && state.is_of_any_server))
        return ERROR_NOT_FOUND;
    if (code == ERROR_NONE)
        *server = state.server;
    return code;
}

static enum error_code run_view_server_of_recent(const struct recent_run *recent,
                                                 struct arena *arena, struct slice *server);

static enum error_code ask_recent(struct lookup *lookup, const struct stored_run *run,
                                  struct slice *server)
{
    struct recent_run recent;
    enum error_code code = recent_find(lookup->transaction, &run->trace, &recent, lookup->error);
    if (code != ERROR_NONE)
        return code;
    return run_view_server_of_recent(&recent, lookup->arena, server);
}

static enum error_code ask_record(struct lookup *lookup, const struct stored_run *run,
                                  struct slice *server)
{
    struct store_key key = {.trace = run->trace};
    struct store_record record;
    struct span_batch batch;
    uint64_t sequence;
    enum error_code code = store_seek_history(lookup->transaction, &key, &sequence, lookup->error);
    if (code == ERROR_NONE && !trace_id_equals(&key.trace, &run->trace))
        return ERROR_NOT_FOUND;
    if (code == ERROR_NONE)
        code = store_get_record(lookup->transaction, sequence, &record, lookup->error);
    if (code == ERROR_NONE)
        code = otlp_decode_batch(record.body, lookup->arena, &batch, lookup->error);
    if (code != ERROR_NONE)
        return code == ERROR_CORRUPT ? ERROR_NOT_FOUND : code;
    return github_server_of_url(attributes_get_string(&batch.resource, "vcs.repository.url.full"),
                                lookup->arena, server);
}

static enum error_code find_owner(struct lookup *lookup, const struct stored_run *run,
                                  struct slice *server)
{
    *server = SLICE_EMPTY;
    enum error_code code = ask_state(lookup, run, server);
    if (code == ERROR_NOT_FOUND)
        code = ask_recent(lookup, run, server);
    if (code == ERROR_NOT_FOUND)
        code = ask_record(lookup, run, server);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- looking --------------------------------------------------------------------------------------------------

static enum error_code add_if_there(struct lookup *lookup, struct slice place, bool is_shared)
{
    const struct run_question *question = lookup->question;
    struct found_run found = {stored_run_of(place, question->run_id, question->run_attempt), place};
    bool exists;
    enum error_code code = run_view_exists(lookup->transaction, &found.run, &exists, lookup->error);
    if (code != ERROR_NONE || !exists)
        return code;
    if (is_shared)
        code = find_owner(lookup, &found.run, &found.server);
    bool is_wanted = !lookup->is_named || slice_equals(found.server, lookup->wanted);
    if (code == ERROR_NONE && is_wanted)
        lookup->runs[lookup->count++] = found;
    return code;
}

static enum error_code look_everywhere(struct lookup *lookup)
{
    struct slice servers[SERVERS_MAX];
    size_t count;
    enum error_code code = add_if_there(lookup, SLICE_EMPTY, true);
    if (code == ERROR_NONE)
        code = servers_list(lookup->transaction, lookup->arena, servers, &count, lookup->error);
    for (size_t i = 0; code == ERROR_NONE && i < count; i++)
        code = add_if_there(lookup, servers[i], false);
    return code;
}

enum error_code run_lookup(struct store_transaction *transaction,
                           const struct run_question *question, struct arena *arena,
                           struct found_run runs[FOUND_RUNS_MAX], size_t *count,
                           struct error *error)
{
    struct lookup lookup = {.transaction = transaction,
                            .question = question,
                            .is_named = question->server.len > 0,
                            .arena = arena,
                            .runs = runs,
                            .error = error};
    enum error_code code = ERROR_NONE;
    if (!lookup.is_named) {
        code = look_everywhere(&lookup);
    } else {
        code = github_server_of_name(question->server, arena, &lookup.wanted);
        if (code == ERROR_NONE && lookup.wanted.len > 0)
            code = add_if_there(&lookup, lookup.wanted, false);
        if (code == ERROR_NONE && lookup.count == 0)
            code = add_if_there(&lookup, SLICE_EMPTY, true);
    }
    *count = lookup.count;
    if (code == ERROR_MEMORY)
        error_set(error, ERROR_MEMORY, "look for a run: out of memory");
    return code;
}

// --- run attempts: what is in the store of them, put together -------------------------------------

#define JOBS_FIRST 16
#define RECORDS_MAX 100000 // a run has 256 jobs in a matrix, and few matrices

struct loader {
    struct store_transaction *transaction;
    const struct run_view_limits *limits;
    struct arena *arena;
    struct run_view *view;
    struct error *error;
    struct trace_id trace; // of the key
    size_t capacity;       // of view->jobs
    struct span_batch *batches;
    size_t batch_count, batch_capacity;
    bool is_found;
    bool is_told_by_jobs; // no event of the run itself came
};

static enum error_code out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "read a run: out of memory");
}

// Room for one more item at the end of a list that grows in the arena. NULL when memory is refused.
static void *grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    size_t wanted = *capacity > 0 ? 2 * *capacity : JOBS_FIRST;
    char *grown = arena_allocate_array(arena, wanted, size);
    if (grown == NULL)
        return NULL;
    if (count > 0)
        memcpy(grown, items, count * size);
    *capacity = wanted;
    return grown;
}

// What cannot be read is left out, and counted.
static enum error_code leave_out(const struct loader *loader)
{
    store_note_unreadable(loader->transaction);
    return ERROR_NONE;
}

// --- open jobs ------------------------------------------------------------------------------------

static struct waterfall_interval interval_of(const struct timeline_phase *phase, bool is_last)
{
    if (!phase->exists)
        return (struct waterfall_interval){TIMESTAMP_UNKNOWN, TIMESTAMP_UNKNOWN};
    return (struct waterfall_interval){phase->start, is_last ? TIMESTAMP_UNKNOWN : phase->end};
}

static void set_phases(const struct job_timeline *timeline, bool is_open, struct run_view_job *job)
{
    const struct timeline_phase *phases[PHASE_COUNT] = {
        [PHASE_WAITING] = &timeline->waiting,
        [PHASE_QUEUE] = &timeline->queue,
        [PHASE_STARTUP] = &timeline->startup,
        [PHASE_EXECUTION] = &timeline->execution,
    };
    bool is_last = is_open;
    for (size_t i = PHASE_COUNT; i-- > 0;) {
        job->phases[i] = interval_of(phases[i], is_last);
        is_last = is_last && !phases[i]->exists;
    }
}

static enum error_code set_steps(const struct github_job *body, struct arena *arena,
                                 struct run_view_job *job)
{
    struct run_view_step *steps = arena_allocate_array(arena, body->step_count, sizeof *steps);
    if (steps == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < body->step_count; i++) {
        const struct github_step *step = &body->steps[i];
        steps[i] = (struct run_view_step){.number = step->number,
                                          .name = step->name,
                                          .result = build_result_text(step->conclusion),
                                          .conclusion = step->conclusion,
                                          .time = {step->started_at, step->completed_at}};
    }
    job->steps = steps;
    job->step_count = body->step_count;
    return ERROR_NONE;
}

// An open job's own state as a job of a view; `now` as in the limits. ERROR_MEMORY.
static enum error_code run_view_from_state(const struct job_state *state, timestamp_ns now,
                                           bool steps, struct arena *arena,
                                           struct run_view_job *job)
{
    const struct github_job *body = &state->body;
    bool is_over = state->phase == JOB_SETTLING;
    struct job_standing standing;
    struct job_timeline timeline;

    standing_of_job(state, &standing);
    timeline_of_job(state, is_over, is_over ? TIMESTAMP_UNKNOWN : now, &timeline);
    struct slice conclusion = is_over ? body->conclusion : SLICE_EMPTY;
    struct build_outcome outcome = build_outcome_of_job(conclusion, timeline.fault);
    *job = (struct run_view_job){
        .job_id = state->job_id,
        .name = body->name,
        .standing = standing.state,
        .result = outcome.result,
        .conclusion = conclusion,
        .error_type = outcome.error_type,
        .is_carried_over = timeline.is_carried_over,
        .created_at = timeline.start,
        .started_at = timeline.has_run ? body->started_at : TIMESTAMP_UNKNOWN,
        .ended_at = is_over ? timeline.end : TIMESTAMP_UNKNOWN,
        .runner_name = state->runner_name,
        .runner_group = state->runner_group_name,
        .labels = body->labels,
        .label_count = body->label_count,
        .environment = state->deployment_environment,
        .url = body->html_url,
    };
    set_phases(&timeline, !is_over, job);
    return steps ? set_steps(body, arena, job) : ERROR_NONE;
}

// Where nothing else tells of the run: its own state was damaged.
static void describe_by_job(struct loader *loader, const struct job_state *job)
{
    struct run_view *view = loader->view;
    loader->is_found = true;
    view->is_open = true;
    view->server = job->server;
    view->repository = job->repository.full_name;
    view->workflow = job->body.workflow_name;
    view->branch = job->body.head_branch;
}

static enum error_code add_open_job(struct loader *loader, struct slice bytes)
{
    struct run_view *view = loader->view;
    struct job_state state = {0};
    enum error_code code = codec_decode_job(bytes, loader->arena, &state, loader->error);
    if (code == ERROR_CORRUPT)
        return leave_out(loader);
    if (code != ERROR_NONE || (state.phase != JOB_OPEN && state.phase != JOB_SETTLING))
        return code;
    void *jobs =
        grow(loader->arena, view->jobs, view->count, &loader->capacity, sizeof *view->jobs);
    if (jobs == NULL)
        return out_of_memory(loader->error);
    view->jobs = jobs;
    code = run_view_from_state(&state, loader->limits->now, loader->limits->steps, loader->arena,
                               &view->jobs[view->count]);
    if (code != ERROR_NONE)
        return out_of_memory(loader->error);
    view->count++;
    if (!loader->is_found)
        describe_by_job(loader, &state);
    return ERROR_NONE;
}

// --- the run's state ------------------------------------------------------------------------------

static enum error_code set_url(struct arena *arena, struct slice base, struct run_view *view,
                               struct error *error)
{
    bool is_made = true;
    if (base.len == 0)
        return ERROR_NONE;
    if (view->run_attempt > 1)
        is_made = arena_format(arena, &view->url, "%.*s/actions/runs/%" PRId64 "/attempts/%" PRId64,
                               SLICE_ARGS(base), view->run_id, view->run_attempt);
    else
        is_made = arena_format(arena, &view->url, "%.*s/actions/runs/%" PRId64, SLICE_ARGS(base),
                               view->run_id);
    return is_made ? ERROR_NONE : out_of_memory(error);
}

static enum error_code add_run(struct loader *loader, struct slice bytes)
{
    struct run_view *view = loader->view;
    struct run_state state = {0};
    enum error_code code = codec_decode_run(bytes, loader->arena, &state, loader->error);
    if (code == ERROR_CORRUPT)
        return leave_out(loader);
    if (code != ERROR_NONE)
        return code;
    loader->is_found = true;
    view->job_count = state.open_jobs + state.closed_jobs;
    view->is_open = state.phase == RUN_OPEN;
    if (!view->is_open)
        return ERROR_NONE; // the list of recent runs knows more
    bool has_own_events = state.seen != 0;
    const struct github_run *body = &state.body;
    view->run_number = body->run_number;
    view->server = state.server;
    view->repository = has_own_events ? state.repository.full_name : state.job_repository.full_name;
    view->workflow = has_own_events ? body->workflow_name : state.job_workflow_name;
    view->title = body->display_title;
    view->branch = has_own_events ? body->head_branch : state.job_head_branch;
    view->event_name = body->event_name;
    view->actor = body->triggering_actor.len > 0 ? body->triggering_actor : body->actor;
    view->start = standing_of_run(&state);
    loader->is_told_by_jobs = !has_own_events;
    return set_url(loader->arena,
                   has_own_events ? state.repository.html_url : state.job_repository.html_url, view,
                   loader->error);
}

static enum error_code add_state(struct loader *loader, struct slice bytes)
{
    switch (codec_kind_of(bytes)) {
    case CODEC_JOB:
        return add_open_job(loader, bytes);
    case CODEC_RUN:
        return add_run(loader, bytes);
    case CODEC_UNKNOWN:
        break;
    }
    return leave_out(loader);
}

// The states of a trace stand side by side; the run's is among its jobs'.
static enum error_code read_states(struct loader *loader)
{
    struct store_key key = {.trace = loader->trace};
    struct store_key run_key = {
        .trace = loader->trace,
        .span = span_id_of_run(ID_SCHEME_ARC, loader->view->run_id, loader->view->run_attempt)};
    struct slice bytes;
    enum error_code code = store_get_span(loader->transaction, &run_key, &bytes, loader->error);
    if (code == ERROR_NONE)
        code = add_run(loader, bytes);
    else if (code == ERROR_NOT_FOUND) // there may be jobs nevertheless: it may have been set aside
        code = ERROR_NONE;
    while (code == ERROR_NONE && loader->view->count < loader->limits->jobs) {
        code = store_seek_span(loader->transaction, &key, &bytes, loader->error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && !trace_id_equals(&key.trace, &loader->trace)))
            return ERROR_NONE;
        if (code == ERROR_NONE && memcmp(&key.span, &run_key.span, sizeof key.span) != 0)
            code = add_state(loader, bytes);
        store_key_increment(&key);
    }
    return code;
}

// --- what is finished -----------------------------------------------------------------------------

static enum error_code add_batch(struct loader *loader, uint64_t sequence)
{
    struct store_record record;
    enum error_code code = store_get_record(loader->transaction, sequence, &record, loader->error);
    if (code == ERROR_NOT_FOUND)
        return leave_out(loader);
    if (code != ERROR_NONE)
        return code;
    struct span_batch *batches = grow(loader->arena, loader->batches, loader->batch_count,
                                      &loader->batch_capacity, sizeof *batches);
    if (batches == NULL)
        return out_of_memory(loader->error);
    loader->batches = batches;
    code =
        otlp_decode_batch(record.body, loader->arena, &batches[loader->batch_count], loader->error);
    if (code == ERROR_CORRUPT)
        return leave_out(loader);
    loader->batch_count++;
    return code;
}

static enum error_code read_records(struct loader *loader)
{
    struct store_key key = {.trace = loader->trace};
    enum error_code code = ERROR_NONE;
    size_t most = loader->limits->jobs + 1; // the root
    while (code == ERROR_NONE && loader->batch_count + loader->view->count < most) {
        uint64_t sequence;
        code = store_seek_history(loader->transaction, &key, &sequence, loader->error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && !trace_id_equals(&key.trace, &loader->trace)))
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = add_batch(loader, sequence);
        store_key_increment(&key);
    }
    return code;
}

static struct slice text_of(const struct span *span, const char *key)
{
    return attributes_get_string(&span->attributes, key);
}

static enum error_code set_finished_steps(const struct waterfall_job *row, struct arena *arena,
                                          struct run_view_job *job)
{
    struct run_view_step *steps = arena_allocate_array(arena, row->step_count, sizeof *steps);
    if (steps == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < row->step_count; i++) {
        const struct waterfall_row *step = &row->steps[i];
        steps[i] =
            (struct run_view_step){.number = step->number,
                                   .name = step->span->name,
                                   .result = text_of(step->span, "cicd.pipeline.task.run.result"),
                                   .conclusion = text_of(step->span, "github.conclusion"),
                                   .time = step->time};
    }
    job->steps = steps;
    job->step_count = row->step_count;
    return ERROR_NONE;
}

// Names are the spans': those of the rows were made harmless for a terminal.
static enum error_code set_finished_job(const struct waterfall_job *row, bool steps,
                                        struct arena *arena, struct run_view_job *job)
{
    const struct span *span = row->span;
    bool has_run = row->phases[PHASE_EXECUTION].start != TIMESTAMP_UNKNOWN;
    *job = (struct run_view_job){
        .job_id = attributes_get_int(&span->attributes, "github.job_id"),
        .name = span->name,
        .result = text_of(span, "cicd.pipeline.task.run.result"),
        .conclusion = text_of(span, "github.conclusion"),
        .error_type = text_of(span, "error.type"),
        .failed_step = row->failed_step != NULL ? row->failed_step->span->name : SLICE_EMPTY,
        .is_incomplete = row->row.is_incomplete,
        .is_carried_over = row->row.outcome == OUTCOME_CARRIED_OVER,
        .created_at = row->row.time.start,
        .ended_at = row->row.time.end,
        .runner_name = text_of(span, "github.runner_name"),
        .runner_group = text_of(span, "github.runner_group_name"),
        .environment = text_of(span, "deployment.environment.name"),
        .url = text_of(span, "cicd.pipeline.task.run.url.full"),
    };
    attributes_get_strings(&span->attributes, "github.runner_labels", &job->labels,
                           &job->label_count);
    memcpy(job->phases, row->phases, sizeof job->phases);
    if (has_run && row->phases[PHASE_STARTUP].start != TIMESTAMP_UNKNOWN)
        job->started_at = row->phases[PHASE_STARTUP].start;
    else if (has_run)
        job->started_at = row->phases[PHASE_EXECUTION].start;
    return steps ? set_finished_steps(row, arena, job) : ERROR_NONE;
}

static void mark_critical(struct run_view *view, const struct waterfall *waterfall)
{
    const struct waterfall_job *next = NULL;
    while ((next = waterfall_job_before(waterfall, next)) != NULL) {
        int64_t id = attributes_get_int(&next->span->attributes, "github.job_id");
        for (size_t i = 0; i < view->count; i++)
            if (view->jobs[i].job_id == id && view->jobs[i].standing == STANDING_NONE)
                view->jobs[i].is_critical = true;
    }
}

// A job that was given up has both a record and a state, but its state is closed; one whose `completed` settles has
// no record yet. So nobody is here twice.
static enum error_code add_finished(struct loader *loader)
{
    struct run_view *view = loader->view;
    struct waterfall waterfall;
    enum error_code code =
        waterfall_build(loader->batches, loader->batch_count, true, loader->arena, &waterfall);
    for (size_t i = 0; code == ERROR_NONE && i < waterfall.job_count; i++) {
        void *jobs =
            grow(loader->arena, view->jobs, view->count, &loader->capacity, sizeof *view->jobs);
        if (jobs == NULL)
            return out_of_memory(loader->error);
        view->jobs = jobs;
        code = set_finished_job(&waterfall.jobs[i], loader->limits->steps, loader->arena,
                                &view->jobs[view->count++]);
    }
    if (code != ERROR_NONE)
        return out_of_memory(loader->error);
    loader->is_found = loader->is_found || !waterfall.is_empty;
    if (!view->is_open)
        mark_critical(view, &waterfall);
    if (view->repository.len > 0)
        return ERROR_NONE;
    const struct waterfall_title *title = &waterfall.title; // the next best source
    view->repository = title->repository;
    view->workflow = title->workflow;
    view->title = title->display_title;
    view->branch = title->branch;
    view->event_name = title->event;
    view->actor = title->actor;
    view->conclusion = title->conclusion;
    view->run_number = title->run_number;
    view->url = title->url;
    view->start = waterfall.root.time.start;
    view->end = waterfall.is_over ? waterfall.root.time.end : TIMESTAMP_UNKNOWN;
    if (waterfall.is_over)
        view->result = text_of(waterfall.root.span, "cicd.pipeline.result");
    code = github_server_of_url(title->url, loader->arena, &view->server);
    return code == ERROR_NONE ? ERROR_NONE : out_of_memory(loader->error);
}

// --- together -------------------------------------------------------------------------------------

// Summaries of older versions do not name it; the address does.
static enum error_code run_view_server_of_recent(const struct recent_run *recent,
                                                 struct arena *arena, struct slice *server)
{
    *server = recent->measure.server;
    if (server->len > 0)
        return ERROR_NONE;
    return github_server_of_url(recent->measure.url, arena, server);
}

enum error_code run_view_from_recent(const struct recent_run *recent, struct arena *arena,
                                     struct run_view *view)
{
    const struct run_measure *measure = &recent->measure;
    *view = (struct run_view){
        .run_id = measure->run_id,
        .run_attempt = measure->run_attempt,
        .run_number = measure->run_number,
        .repository = measure->repository,
        .workflow = measure->workflow,
        .title = measure->display_title,
        .branch = measure->branch,
        .event_name = measure->event_name,
        .actor = measure->actor,
        .result = measure->result,
        .conclusion = measure->conclusion,
        .url = measure->url,
        .is_incomplete = measure->is_incomplete,
        .start = measure->start,
        .end = measure->end,
        .job_count = measure->job_count,
        .trace = measure->trace,
    };
    return run_view_server_of_recent(recent, arena, &view->server);
}

static enum error_code read_recent(struct loader *loader)
{
    struct recent_run recent;
    enum error_code code = recent_find(loader->transaction, &loader->trace, &recent, loader->error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code == ERROR_NONE &&
        run_view_from_recent(&recent, loader->arena, loader->view) != ERROR_NONE)
        return out_of_memory(loader->error);
    loader->is_found = code == ERROR_NONE;
    return code;
}

static int compare_jobs(const void *left, const void *right)
{
    const struct run_view_job *a = left, *b = right;
    if (a->created_at != b->created_at)
        return a->created_at < b->created_at ? -1 : 1;
    return (a->job_id > b->job_id) - (a->job_id < b->job_id);
}

static timestamp_ns first_creation(const struct run_view *view)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->jobs[i].created_at != TIMESTAMP_UNKNOWN)
            return view->jobs[i].created_at;
    return TIMESTAMP_UNKNOWN;
}

enum error_code run_view_load(struct store_transaction *transaction, const struct stored_run *run,
                              const struct run_view_limits *limits, struct arena *arena,
                              struct run_view *view, struct error *error)
{
    struct loader loader = {.transaction = transaction,
                            .limits = limits,
                            .arena = arena,
                            .view = view,
                            .error = error,
                            .trace = run->trace};
    *view = (struct run_view){.run_id = run->run_id, .run_attempt = run->run_attempt};
    enum error_code code = read_recent(&loader);
    if (code == ERROR_NONE)
        code = read_states(&loader);
    if (code == ERROR_NONE)
        code = read_records(&loader);
    if (code == ERROR_NONE)
        code = add_finished(&loader);
    if (code != ERROR_NONE)
        return code;
    if (!loader.is_found)
        return ERROR_NOT_FOUND;
    view->trace = trace_id_of_run(limits->id_scheme, run->run_id, run->run_attempt);
    if (view->count > 1)
        qsort(view->jobs, view->count, sizeof *view->jobs, compare_jobs);
    if (view->start == TIMESTAMP_UNKNOWN || loader.is_told_by_jobs)
        view->start = timestamp_earliest_known(view->start, first_creation(view));
    if (view->job_count < (int64_t)view->count)
        view->job_count = (int64_t)view->count;
    return ERROR_NONE;
}

enum error_code run_view_load_spans(struct store_transaction *transaction,
                                    const struct stored_run *run, struct buffer *request,
                                    struct error *error)
{
    struct store_key key = {.trace = run->trace};
    bool is_found = false;
    for (size_t i = 0; i < RECORDS_MAX; i++) {
        struct store_record record;
        uint64_t sequence;
        enum error_code code = store_seek_history(transaction, &key, &sequence, error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && !trace_id_equals(&key.trace, &run->trace)))
            break;
        if (code == ERROR_NONE)
            code = store_get_record(transaction, sequence, &record, error);
        store_key_increment(&key);
        if (code == ERROR_NOT_FOUND) {
            store_note_unreadable(transaction);
            continue;
        }
        if (code == ERROR_NONE) {
            code = buffer_append_slice(request, record.body);
            if (code != ERROR_NONE)
                error_set(error, code, "read a run's spans: %s", error_code_text(code));
        }
        if (code != ERROR_NONE)
            return code;
        is_found = true;
    }
    return is_found ? ERROR_NONE : ERROR_NOT_FOUND;
}

enum error_code run_view_exists(struct store_transaction *transaction, const struct stored_run *run,
                                bool *exists, struct error *error)
{
    struct store_key key = {.trace = run->trace,
                            .span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
    struct slice state;
    uint64_t sequence;
    enum error_code code = store_get_span(transaction, &key, &state, error);
    *exists = code == ERROR_NONE;
    if (code != ERROR_NOT_FOUND)
        return code;
    key.span = (struct span_id){{0}};
    code = store_seek_history(transaction, &key, &sequence, error);
    *exists = code == ERROR_NONE && trace_id_equals(&key.trace, &run->trace);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
