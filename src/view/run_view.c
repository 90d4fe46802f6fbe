// Runs in the store: where they are, and the view of one, put together from the list of finished runs, its states and
// the spans of its records (run_spans.c).
#include "ghatrace/view/run_view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/spans.h"

// --- the entries of one trace ---------------------------------------------------------------------

// The records of a trace are adjacent in the store's history. Finds the next one at or after `*key`, whose trace the
// caller has set, and advances `*key` past it. ERROR_NOT_FOUND at the end of the trace; otherwise as the store
// reports.
static enum error_code seek_trace_record(const struct view_reader *reader, struct store_key *key,
                                         uint64_t *sequence)
{
    const struct trace_id trace = key->trace;
    enum error_code code = store_seek_history(reader->transaction, key, sequence, reader->error);
    if (code != ERROR_NONE)
        return code;
    if (!trace_id_equals(&key->trace, &trace))
        return ERROR_NOT_FOUND;
    store_key_increment(key);
    return ERROR_NONE;
}

// Also reads the record. An unreadable record is skipped, and counted as unreadable.
static enum error_code next_trace_record(const struct view_reader *reader, struct store_key *key,
                                         struct store_record *record)
{
    uint64_t sequence;
    enum error_code code;
    while ((code = seek_trace_record(reader, key, &sequence)) == ERROR_NONE) {
        code = store_get_record(reader->transaction, sequence, record, reader->error);
        if (code != ERROR_NOT_FOUND)
            break;
        store_note_unreadable(reader->transaction);
    }
    return code;
}

// The next state of a trace, likewise; `*found` is set to its key.
static enum error_code next_trace_state(const struct view_reader *reader, struct store_key *key,
                                        struct store_key *found, struct slice *bytes)
{
    enum error_code code = store_seek_span_of_trace(reader->transaction, key, bytes, reader->error);
    if (code != ERROR_NONE)
        return code;
    *found = *key;
    store_key_increment(key);
    return ERROR_NONE;
}

static struct store_key key_of_run(const struct stored_run *run)
{
    return (struct store_key){.trace = run->trace,
                              .span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
}

// Reads the state of a run. ERROR_NOT_FOUND, ERROR_CORRUPT, ERROR_MEMORY, or as the store reports.
static enum error_code read_stored_run(const struct view_reader *reader,
                                       const struct stored_run *run, struct run_state *state)
{
    const struct store_key key = key_of_run(run);
    struct slice bytes;
    *state = (struct run_state){0};
    enum error_code code = store_get_span(reader->transaction, &key, &bytes, reader->error);
    return code == ERROR_NONE ? codec_decode_run(bytes, reader->arena, state, reader->error) : code;
}

enum error_code workflow_name_job(const struct view_reader *reader, const struct store_key *key,
                                  struct job_state *job)
{
    const struct stored_run place = {job->run_id, job->run_attempt, key->trace};
    struct run_state run;
    if (job->body.workflow_name.len > 0)
        return ERROR_NONE;
    enum error_code code = read_stored_run(reader, &place, &run);
    if (code == ERROR_NONE)
        job->body.workflow_name = run_names_of(&run).workflow;
    return code == ERROR_NOT_FOUND || code == ERROR_CORRUPT ? ERROR_NONE : code;
}

// The server of a finished run. Summaries of older versions do not name it; the URL does. ERROR_MEMORY.
static enum error_code server_of_recent(const struct recent_run *recent, struct arena *arena,
                                        struct slice *server)
{
    *server = recent->measure.server;
    if (server->len > 0)
        return ERROR_NONE;
    return github_server_of_url(recent->measure.url, arena, server);
}

// --- where a run is stored: by number, attempt and server -----------------------------------------

bool run_selector_parse(struct slice text, struct run_selector *question)
{
    ptrdiff_t slash = slice_find(text, SLICE("/"));
    size_t len = slash < 0 ? text.len : (size_t)slash;
    long long id, attempt = 0;
    if (!slice_parse_int64((struct slice){text.data, len}, &id) || id <= 0)
        return false;
    if (slash >= 0 &&
        (!slice_parse_int64((struct slice){text.data + len + 1, text.len - len - 1}, &attempt) ||
         attempt <= 0))
        return false;
    question->run_id = id;
    question->run_attempt = attempt;
    return true;
}

struct lookup {
    const struct view_reader *reader;
    const struct run_selector *question;
    struct slice wanted; // the question's server; empty: github.com
    bool is_named;
    struct found_run *runs;
    size_t count;
};

// --- the servers of runs stored under the keys of github.com --------------------------------------

// An unreadable state is ignored: ERROR_NOT_FOUND.
static enum error_code server_by_state(struct lookup *lookup, const struct stored_run *run,
                                       struct slice *server)
{
    struct run_state state;
    enum error_code code = read_stored_run(lookup->reader, run, &state);
    if (code == ERROR_CORRUPT || (code == ERROR_NONE && state.is_of_any_server))
        return ERROR_NOT_FOUND;
    if (code == ERROR_NONE)
        *server = state.server;
    return code;
}

static enum error_code server_by_summary(struct lookup *lookup, const struct stored_run *run,
                                         struct slice *server)
{
    struct recent_run recent;
    enum error_code code =
        recent_find(lookup->reader->transaction, &run->trace, &recent, lookup->reader->error);
    if (code != ERROR_NONE)
        return code;
    return server_of_recent(&recent, lookup->reader->arena, server);
}

static enum error_code server_by_record(struct lookup *lookup, const struct stored_run *run,
                                        struct slice *server)
{
    struct store_key key = {.trace = run->trace};
    struct store_record record;
    struct span_batch batch;
    uint64_t sequence;
    enum error_code code = seek_trace_record(lookup->reader, &key, &sequence);
    if (code == ERROR_NONE)
        code =
            store_get_record(lookup->reader->transaction, sequence, &record, lookup->reader->error);
    if (code == ERROR_NONE)
        code = otlp_decode_batch(record.body, lookup->reader->arena, &batch, lookup->reader->error);
    if (code != ERROR_NONE)
        return code == ERROR_CORRUPT ? ERROR_NOT_FOUND : code;
    return github_server_of_url(attributes_get_string(&batch.resource, "vcs.repository.url.full"),
                                lookup->reader->arena, server);
}

static enum error_code find_owner(struct lookup *lookup, const struct stored_run *run,
                                  struct slice *server)
{
    *server = SLICE_EMPTY;
    enum error_code code = server_by_state(lookup, run, server);
    if (code == ERROR_NOT_FOUND)
        code = server_by_summary(lookup, run, server);
    if (code == ERROR_NOT_FOUND)
        code = server_by_record(lookup, run, server);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- lookup ---------------------------------------------------------------------------------------

// Checks whether anything of this attempt is in the store.
static enum error_code run_exists(const struct view_reader *reader, const struct stored_run *run,
                                  bool *exists)
{
    struct store_key key = key_of_run(run);
    struct slice state;
    uint64_t sequence;
    enum error_code code = store_get_span(reader->transaction, &key, &state, reader->error);
    if (code == ERROR_NOT_FOUND) {
        key.span = (struct span_id){{0}};
        code = seek_trace_record(reader, &key, &sequence);
    }
    *exists = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Keeps one run per server: if old and new versions both stored one, the newer attempt.
static void add_found(struct lookup *lookup, const struct found_run *found)
{
    for (size_t i = 0; i < lookup->count; i++) {
        if (!slice_equals(lookup->runs[i].server, found->server))
            continue;
        if (found->run.run_attempt > lookup->runs[i].run.run_attempt)
            lookup->runs[i] = *found;
        return;
    }
    assert(lookup->count < FOUND_RUNS_MAX);
    lookup->runs[lookup->count++] = *found;
}

static enum error_code add_attempt_if_stored(struct lookup *lookup, struct slice place,
                                             bool is_shared, int64_t attempt, bool *is_added)
{
    struct found_run found = {stored_run_of(place, lookup->question->run_id, attempt), place};
    bool exists;
    enum error_code code = run_exists(lookup->reader, &found.run, &exists);
    if (code != ERROR_NONE || !exists)
        return code;
    if (is_shared)
        code = find_owner(lookup, &found.run, &found.server);
    *is_added =
        code == ERROR_NONE && (!lookup->is_named || slice_equals(found.server, lookup->wanted));
    if (*is_added)
        add_found(lookup, &found);
    return code;
}

// `is_shared`: older versions stored the runs of all servers under these keys.
static enum error_code add_if_stored(struct lookup *lookup, struct slice place, bool is_shared)
{
    int64_t asked = lookup->question->run_attempt;
    int64_t oldest = asked > 0 ? asked : 1;
    enum error_code code = ERROR_NONE;
    bool is_added = false;
    for (int64_t attempt = asked > 0 ? asked : RUN_ATTEMPTS_MAX;
         attempt >= oldest && !is_added && code == ERROR_NONE; attempt--)
        code = add_attempt_if_stored(lookup, place, is_shared, attempt, &is_added);
    return code;
}

static enum error_code look_up_on_all_servers(struct lookup *lookup)
{
    struct slice servers[SERVERS_MAX];
    size_t count;
    enum error_code code = add_if_stored(lookup, SLICE_EMPTY, true);
    if (code == ERROR_NONE)
        code = servers_list(lookup->reader->transaction, lookup->reader->arena, servers, &count,
                            lookup->reader->error);
    for (size_t i = 0; code == ERROR_NONE && i < count; i++)
        code = add_if_stored(lookup, servers[i], false);
    return code;
}

enum error_code run_lookup(const struct view_reader *reader, const struct run_selector *question,
                           struct found_run runs[FOUND_RUNS_MAX], size_t *count)
{
    struct lookup lookup = {
        .reader = reader, .question = question, .is_named = question->server.len > 0, .runs = runs};
    enum error_code code = ERROR_NONE;
    if (!lookup.is_named) {
        code = look_up_on_all_servers(&lookup);
    } else {
        code = github_server_of_name(question->server, reader->arena, &lookup.wanted);
        if (code == ERROR_NONE && lookup.wanted.len > 0)
            code = add_if_stored(&lookup, lookup.wanted, false);
        if (code == ERROR_NONE && lookup.count == 0)
            code = add_if_stored(&lookup, SLICE_EMPTY, true);
    }
    *count = lookup.count;
    if (code == ERROR_MEMORY)
        error_set(reader->error, ERROR_MEMORY, "look for a run: out of memory");
    return code;
}

// --- attempts -------------------------------------------------------------------------------------

enum error_code run_list_attempts(const struct view_reader *reader,
                                  const struct run_selector *question,
                                  int64_t attempts[RUN_ATTEMPTS_MAX], size_t *count)
{
    struct run_selector asked = *question;
    *count = 0;
    for (int64_t attempt = 1; attempt <= RUN_ATTEMPTS_MAX; attempt++) {
        struct found_run runs[FOUND_RUNS_MAX];
        size_t found;
        asked.run_attempt = attempt;
        enum error_code code = run_lookup(reader, &asked, runs, &found);
        if (code != ERROR_NONE)
            return code;
        if (found > 0)
            attempts[(*count)++] = attempt;
    }
    return ERROR_NONE;
}

#define ATTEMPTS_TEXT_MAX 100 // bytes; the rest is omitted from the message

// "1, 2, 4"; three or more consecutive numbers as a range: "1-3".
static void write_attempts(const int64_t *attempts, size_t count, char text[ATTEMPTS_TEXT_MAX])
{
    size_t len = 0, end;
    text[0] = '\0';
    for (size_t start = 0; start < count; start = end) {
        char part[48];
        end = start + 1;
        while (end < count && attempts[end] == attempts[end - 1] + 1)
            end++;
        if (end - start < 3)
            end = start + 1;
        int part_len =
            snprintf(part, sizeof part, "%s%" PRId64, len > 0 ? ", " : "", attempts[start]);
        if (end > start + 1)
            part_len += snprintf(part + part_len, sizeof part - (size_t)part_len, "-%" PRId64,
                                 attempts[end - 1]);
        if (len + (size_t)part_len >= ATTEMPTS_TEXT_MAX)
            return;
        memcpy(text + len, part, (size_t)part_len + 1);
        len += (size_t)part_len;
    }
}

enum error_code run_not_found(const struct view_reader *reader, const struct run_selector *question)
{
    int64_t attempts[RUN_ATTEMPTS_MAX];
    char attempt[32] = "", list[ATTEMPTS_TEXT_MAX];
    size_t count;
    enum error_code code = run_list_attempts(reader, question, attempts, &count);
    if (code != ERROR_NONE)
        return code;
    if (question->run_attempt > 0)
        snprintf(attempt, sizeof attempt, " attempt %" PRId64, question->run_attempt);
    write_attempts(attempts, count, list);
    bool is_there = count > 0 && question->run_attempt == 0;
    for (size_t i = 0; i < count; i++)
        is_there = is_there || attempts[i] == question->run_attempt;
    if (is_there)
        return error_set(reader->error, ERROR_NOT_FOUND,
                         "run %" PRId64 "%s: what is in the store of it cannot be read",
                         question->run_id, attempt);
    if (count > 0)
        return error_set(reader->error, ERROR_NOT_FOUND,
                         "run %" PRId64 "%s: no such attempt is in the store; there %s %s",
                         question->run_id, attempt, count == 1 ? "is attempt" : "are attempts",
                         list);
    return error_set(reader->error, ERROR_NOT_FOUND,
                     "run %" PRId64
                     "%s: nothing of it is in the store; see `ghatrace runs` for what "
                     "is open, and the setting history for how long finished runs are kept",
                     question->run_id, attempt);
}

// --- run attempts: combining everything in the store ----------------------------------------------

#define JOBS_FIRST 16
#define RECORDS_MAX 100000 // a run has 256 jobs in a matrix, and few matrices

struct loader {
    const struct view_reader *reader;
    const struct run_view_limits *limits;
    struct run_view *view;
    struct trace_id trace; // of the key
    size_t capacity;       // of view->jobs
    struct span_batch *batches;
    size_t batch_count, batch_capacity;
    bool reads_only_states; // only states are read
    bool is_found;
    bool starts_with_jobs; // no event of the run itself was received
};

static enum error_code fail_view_memory(const struct view_reader *reader)
{
    return error_set(reader->error, ERROR_MEMORY, "read a run: out of memory");
}

// Room for one more item at the end of a list that grows in the arena. NULL if out of memory.
static void *grow_list(struct arena *arena, void *items, size_t count, size_t *capacity,
                       size_t size)
{
    assert(count <= *capacity);
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

// An unreadable entry is left out and counted.
static enum error_code count_unreadable(const struct loader *loader)
{
    store_note_unreadable(loader->reader->transaction);
    return ERROR_NONE;
}

// --- open jobs ------------------------------------------------------------------------------------

static struct view_interval phase_interval(const struct timeline_phase *phase, bool is_last)
{
    if (!phase->exists)
        return (struct view_interval){TIMESTAMP_UNKNOWN, TIMESTAMP_UNKNOWN};
    return (struct view_interval){phase->start, is_last ? TIMESTAMP_UNKNOWN : phase->end};
}

static void set_phases(const struct job_timeline *timeline, bool is_open, struct run_view_job *job)
{
    const struct timeline_phase *queue = &timeline->wait;
    const struct timeline_phase *phases[PHASE_COUNT] = {
        [PHASE_WAITING] = &timeline->waiting,
        [PHASE_QUEUE] = &timeline->queue,
        [PHASE_STARTUP] = &timeline->startup,
        [PHASE_EXECUTION] = &timeline->execution,
    };
    bool is_last = is_open;
    for (size_t i = PHASE_COUNT; i-- > 0;) {
        job->phases[i] = phase_interval(phases[i], is_last);
        is_last = is_last && !phases[i]->exists;
    }
    job->has_queue = queue->exists;
    job->queue = queue->exists ? queue->end - queue->start : 0;
}

static enum error_code copy_steps(const struct github_job *body, struct arena *arena,
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
                                          .outcome = view_outcome_of(step->conclusion),
                                          .time = {step->started_at, step->completed_at}};
    }
    job->steps = steps;
    job->step_count = body->step_count;
    return ERROR_NONE;
}

// Converts an open job's state to a job of a view; `now` as in the limits. ERROR_MEMORY.
static enum error_code run_view_from_state(const struct job_state *state, timestamp_ns now,
                                           bool steps, struct arena *arena,
                                           struct run_view_job *job)
{
    const struct github_job *body = &state->body;
    bool is_over = state->phase == JOB_SETTLING;
    struct open_job_state open_state, last_open;
    struct job_timeline timeline;

    open_job_state_of(state, &open_state);
    open_job_state_of_any(state, &last_open);
    timeline_of_job(state, is_over, is_over ? TIMESTAMP_UNKNOWN : now, &timeline);
    struct slice conclusion = is_over ? body->conclusion : SLICE_EMPTY;
    struct build_outcome outcome = build_outcome_of_job(conclusion, timeline.fault);
    *job = (struct run_view_job){
        .job_id = state->job_id,
        .name = body->name,
        .open_state = open_state.state,
        .last_open = last_open,
        .workflow = body->workflow_name,
        .result = outcome.result,
        .conclusion = conclusion,
        .outcome = timeline.is_carried_over ? OUTCOME_CARRIED_OVER : view_outcome_of(conclusion),
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
    return steps ? copy_steps(body, arena, job) : ERROR_NONE;
}

// Used if the run's own state was damaged and there is no other source.
static void describe_run_by_job(struct loader *loader, const struct job_state *job)
{
    struct run_view *view = loader->view;
    loader->is_found = true;
    view->is_open = true;
    view->run_id = job->run_id;
    view->run_attempt = job->run_attempt;
    view->server = job->server;
    view->repository = job->repository.full_name;
    view->workflow = job->body.workflow_name;
    view->branch = job->body.head_branch;
}

static enum error_code find_ended(struct loader *loader, const struct store_key *key,
                                  struct run_view_job *job)
{
    const struct view_reader *reader = loader->reader;
    const struct ended_reader of_ended = {reader->transaction,
                                          reader->arena,
                                          {loader->limits->now, loader->limits->job_grace},
                                          reader->error};
    if (job->open_state != OPEN_JOB_RUNNING)
        return ERROR_NONE;
    return ended_jobs_find(&of_ended, key, &job->is_ended_unknown);
}

// Jobs are read one by one; the last may be larger than what was left.
static bool may_read_more_jobs(const struct loader *loader, size_t jobs)
{
    const struct run_view_limits *limits = loader->limits;
    return jobs < limits->jobs && (limits->bytes == 0 || loader->view->bytes_read < limits->bytes);
}

static enum error_code add_open_job(struct loader *loader, const struct store_key *key,
                                    struct slice bytes)
{
    struct run_view *view = loader->view;
    struct job_state state = {0};
    enum error_code code =
        codec_decode_job(bytes, loader->reader->arena, &state, loader->reader->error);
    if (code == ERROR_CORRUPT)
        return count_unreadable(loader);
    if (code != ERROR_NONE || (state.phase != JOB_OPEN && state.phase != JOB_SETTLING))
        return code;
    void *jobs = grow_list(loader->reader->arena, view->jobs, view->count, &loader->capacity,
                           sizeof *view->jobs);
    if (jobs == NULL)
        return fail_view_memory(loader->reader);
    view->jobs = jobs;
    code = run_view_from_state(&state, loader->limits->now, loader->limits->steps,
                               loader->reader->arena, &view->jobs[view->count]);
    if (code != ERROR_NONE)
        return fail_view_memory(loader->reader);
    view->count++;
    if (!loader->is_found)
        describe_run_by_job(loader, &state);
    return find_ended(loader, key, &view->jobs[view->count - 1]);
}

// --- the run's state ------------------------------------------------------------------------------

static enum error_code read_run_state(struct loader *loader, struct slice bytes)
{
    struct run_view *view = loader->view;
    struct run_state state = {0};
    enum error_code code =
        codec_decode_run(bytes, loader->reader->arena, &state, loader->reader->error);
    if (code == ERROR_CORRUPT)
        return count_unreadable(loader);
    if (code != ERROR_NONE)
        return code;
    loader->is_found = true;
    view->job_count = state.open_jobs + state.closed_jobs;
    view->is_open = state.phase == RUN_OPEN;
    view->has_state = true;
    view->run_id = state.run_id;
    view->run_attempt = state.run_attempt;
    if (!view->is_open && !loader->reads_only_states)
        return ERROR_NONE; // the list of recent runs has more data
    const struct run_names names = run_names_of(&state);
    const struct github_run *body = &state.body;
    view->run_number = body->run_number;
    view->server = state.server;
    view->repository = names.repository->full_name;
    view->workflow = names.workflow;
    view->title = body->display_title;
    view->branch = names.branch;
    view->revision = names.revision;
    view->pull = body->pull_request_number;
    view->workflow_path = body->workflow_path;
    view->event_name = body->event_name;
    view->actor = body->triggering_actor.len > 0 ? body->triggering_actor : body->actor;
    view->start = run_open_since(&state);
    loader->starts_with_jobs = !names.has_own_events;
    if (!run_url_of(names.repository->html_url, view->run_id, view->run_attempt,
                    loader->reader->arena, &view->url))
        return fail_view_memory(loader->reader);
    return ERROR_NONE;
}

static enum error_code add_state(struct loader *loader, const struct store_key *key,
                                 struct slice bytes)
{
    if (codec_is(bytes, CODEC_JOB))
        return add_open_job(loader, key, bytes);
    if (codec_is(bytes, CODEC_RUN))
        return read_run_state(loader, bytes);
    return codec_is(bytes, CODEC_UNKNOWN) ? count_unreadable(loader) : ERROR_NONE;
}

// The states of a trace are adjacent; the run's is among its jobs'.
static enum error_code read_states(struct loader *loader)
{
    struct store_key key = {.trace = loader->trace}, found;
    const struct store_key run_key = key_of_run(
        &(struct stored_run){loader->view->run_id, loader->view->run_attempt, loader->trace});
    struct slice bytes;
    enum error_code code =
        store_get_span(loader->reader->transaction, &run_key, &bytes, loader->reader->error);
    if (code == ERROR_NONE)
        code = read_run_state(loader, bytes);
    else if (code == ERROR_NOT_FOUND) // there may be jobs: the run's state may have been set aside
        code = ERROR_NONE;
    while (code == ERROR_NONE && may_read_more_jobs(loader, loader->view->count)) {
        code = next_trace_state(loader->reader, &key, &found, &bytes);
        if (code == ERROR_NONE && memcmp(&found.span, &run_key.span, sizeof found.span) != 0) {
            loader->view->bytes_read += bytes.len;
            code = add_state(loader, &found, bytes);
        }
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- the records of a run -------------------------------------------------------------------------

static enum error_code decode_record(struct loader *loader, struct slice body)
{
    struct span_batch *batches =
        grow_list(loader->reader->arena, loader->batches, loader->batch_count,
                  &loader->batch_capacity, sizeof *batches);
    if (batches == NULL)
        return fail_view_memory(loader->reader);
    loader->batches = batches;
    enum error_code code = otlp_decode_batch(body, loader->reader->arena,
                                             &batches[loader->batch_count], loader->reader->error);
    if (code == ERROR_CORRUPT)
        return count_unreadable(loader);
    loader->batch_count++;
    return code;
}

static enum error_code read_records(struct loader *loader)
{
    struct store_key key = {.trace = loader->trace};
    enum error_code code = ERROR_NONE;
    // Plus the root.
    while (code == ERROR_NONE &&
           (loader->batch_count + loader->view->count == 0 ||
            may_read_more_jobs(loader, loader->batch_count + loader->view->count - 1))) {
        struct store_record record;
        code = next_trace_record(loader->reader, &key, &record);
        if (code != ERROR_NONE)
            break;
        loader->view->bytes_read += record.body.len;
        code = decode_record(loader, record.body);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static void copy_names(struct run_view *view, const struct run_view *spans_view)
{
    view->server = spans_view->server;
    view->repository = spans_view->repository;
    view->workflow = spans_view->workflow;
    view->title = spans_view->title;
    view->branch = spans_view->branch;
    view->event_name = spans_view->event_name;
    view->actor = spans_view->actor;
    view->result = spans_view->result;
    view->conclusion = spans_view->conclusion;
    view->is_incomplete = spans_view->is_incomplete;
    view->run_number = spans_view->run_number;
    view->url = spans_view->url;
    view->start = spans_view->start;
    view->end = spans_view->end;
}

// A job that was given up has a record and a state, but the state is closed; one whose `completed` is settling has no
// record yet. So no job appears twice.
static bool append_jobs(struct loader *loader, const struct run_view *spans_view)
{
    struct run_view *view = loader->view;
    for (size_t i = 0; i < spans_view->count; i++) {
        assert(spans_view->jobs[i].has_spans && spans_view->jobs[i].open_state == OPEN_JOB_NONE);
        void *jobs = grow_list(loader->reader->arena, view->jobs, view->count, &loader->capacity,
                               sizeof *view->jobs);
        if (jobs == NULL)
            return false;
        view->jobs = jobs;
        view->jobs[view->count] = spans_view->jobs[i];
        if (!loader->limits->steps) // `failed_step` is kept
            view->jobs[view->count].step_count = 0;
        view->count++;
    }
    return true;
}

static enum error_code add_spans(struct loader *loader)
{
    struct run_view *view = loader->view;
    struct run_view spans_view;
    if (run_view_from_spans(loader->batches, loader->batch_count, loader->reader->arena,
                            &spans_view) != ERROR_NONE ||
        !append_jobs(loader, &spans_view))
        return fail_view_memory(loader->reader);
    view->trace = trace_id_of_run(loader->limits->id_scheme, view->run_id, view->run_attempt);
    view->name = spans_view.name;
    if (view->revision.len == 0)
        view->revision = spans_view.revision;
    if (spans_view.has_ended || spans_view.count > 0) {
        loader->is_found = true;
        view->trace = spans_view.trace;
    }
    if (view->repository.len == 0) // the next best source
        copy_names(view, &spans_view);
    view->has_ended = view->has_ended || spans_view.has_ended;
    return ERROR_NONE;
}

// --- loading the complete view --------------------------------------------------------------------

enum error_code run_view_from_recent(const struct recent_run *recent, struct arena *arena,
                                     struct run_view *view)
{
    const struct run_sample *measure = &recent->measure;
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
        .has_ended = true,
        .is_incomplete = measure->is_incomplete,
        .start = measure->start,
        .end = measure->end,
        .job_count = measure->job_count,
        .trace = measure->trace,
    };
    char commit[COMMIT_ID_TEXT_SIZE];
    if (!arena_copy_slice(arena, slice_from_string(commit_id_text(&measure->commit, commit)),
                          &view->revision))
        return ERROR_MEMORY;
    return server_of_recent(recent, arena, &view->server);
}

static enum error_code read_recent(struct loader *loader)
{
    struct recent_run recent;
    enum error_code code =
        recent_find(loader->reader->transaction, &loader->trace, &recent, loader->reader->error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code == ERROR_NONE &&
        run_view_from_recent(&recent, loader->reader->arena, loader->view) != ERROR_NONE)
        return fail_view_memory(loader->reader);
    loader->is_found = code == ERROR_NONE;
    return code;
}

static void mark_critical(struct run_view *view)
{
    const struct run_view_job *job = NULL;
    while ((job = run_view_job_before(view, job)) != NULL)
        view->jobs[job - view->jobs].is_critical = true;
}

static timestamp_ns first_creation(const struct run_view *view)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->jobs[i].created_at != TIMESTAMP_UNKNOWN)
            return view->jobs[i].created_at;
    return TIMESTAMP_UNKNOWN;
}

static void finish_view(const struct loader *loader)
{
    struct run_view *view = loader->view;
    run_view_sort_jobs(view);
    if (!view->is_open)
        mark_critical(view);
    if (view->start == TIMESTAMP_UNKNOWN || loader->starts_with_jobs)
        view->start = timestamp_earliest_known(view->start, first_creation(view));
    if (view->job_count < (int64_t)view->count)
        view->job_count = (int64_t)view->count;
}

enum error_code run_view_load(const struct view_reader *reader, const struct stored_run *run,
                              const struct run_view_limits *limits, struct run_view *view)
{
    struct loader loader = {.reader = reader, .limits = limits, .view = view, .trace = run->trace};
    *view = (struct run_view){.run_id = run->run_id, .run_attempt = run->run_attempt};
    enum error_code code = read_recent(&loader);
    if (code == ERROR_NONE)
        code = read_states(&loader);
    if (code == ERROR_NONE)
        code = read_records(&loader);
    if (code == ERROR_NONE)
        code = add_spans(&loader);
    if (code != ERROR_NONE)
        return code;
    if (!loader.is_found)
        return ERROR_NOT_FOUND;
    finish_view(&loader);
    return ERROR_NONE;
}

enum error_code run_view_next(const struct view_reader *reader, struct store_key *key,
                              const struct run_view_limits *limits, struct run_view *view,
                              size_t *states)
{
    struct loader loader = {
        .reader = reader, .limits = limits, .view = view, .reads_only_states = true};
    struct store_key found;
    struct slice bytes;
    *view = (struct run_view){.run_id = 0};
    enum error_code code = store_seek_span(reader->transaction, key, &bytes, reader->error);
    if (code != ERROR_NONE)
        return code;
    loader.trace = key->trace;
    while (code == ERROR_NONE) {
        code = next_trace_state(reader, key, &found, &bytes);
        if (code == ERROR_NONE)
            code = add_state(&loader, &found, bytes);
        *states += 1;
    }
    if (code != ERROR_NOT_FOUND)
        return code;
    finish_view(&loader);
    return ERROR_NONE;
}

enum error_code run_view_load_spans(const struct view_reader *reader, const struct stored_run *run,
                                    struct buffer *request)
{
    struct store_key key = {.trace = run->trace};
    enum error_code code = ERROR_NONE;
    bool is_found = false;
    for (size_t i = 0; i < RECORDS_MAX && code == ERROR_NONE; i++) {
        struct store_record record;
        code = next_trace_record(reader, &key, &record);
        if (code != ERROR_NONE)
            break;
        is_found = true;
        code = buffer_append_slice(request, record.body);
        if (code != ERROR_NONE)
            error_set(reader->error, code, "read a run's spans: %s", error_code_text(code));
    }
    return code == ERROR_NOT_FOUND && is_found ? ERROR_NONE : code;
}
