// The JSON API: one run, its spans, lists of runs.
#include "api.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api_object.h"
#include "ghatrace/admin/api_print.h"
#include "ghatrace/base/bytes.h"
#include "ghatrace/github/server.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/view/run_search.h"

// --- runs and jobs as JSON ------------------------------------------------------------------------

// The URL of a trace in the backend, from the operator's template.
static void put_trace_url(struct api_object *object, const struct run_view *run)
{
    static const char placeholder[] = "{trace_id}";
    struct slice template = slice_from_string(object->call->sources->trace_url);
    ptrdiff_t at = slice_find(template, SLICE("{trace_id}"));
    struct slice url = SLICE_EMPTY;
    char hex[2 * TRACE_ID_SIZE + 1];
    if (at >= 0) {
        hex_encode(run->trace.bytes, TRACE_ID_SIZE, hex);
        const char *rest = template.data + at + sizeof placeholder - 1;
        if (!arena_format(object->call->arena, &url, "%.*s%.*s%s", (int)at, template.data,
                          2 * TRACE_ID_SIZE, hex, rest))
            object->json.writer.failure = ERROR_MEMORY;
    }
    json_out_text(&object->json, "trace_url", url);
}

void api_put_run_fields(struct api_object *object, const struct run_view *run)
{
    struct json_out *json = &object->json;
    json_out_id(json, "run_id", run->run_id);
    json_out_count(json, "run_attempt", (uint64_t)run->run_attempt);
    api_put_known_count(json, "run_number", run->run_number > 0, (uint64_t)run->run_number);
    json_out_text(json, "server", github_server_name(run->server));
    json_out_text(json, "repository", run->repository);
    json_out_text(json, "workflow", run->workflow);
    json_out_text(json, "title", run->title);
    json_out_text(json, "branch", run->branch);
    json_out_text(json, "sha", run->revision);
    json_out_text(json, "event", run->event_name);
    json_out_text(json, "actor", run->actor);
    json_out_text(json, "state", run->is_open ? SLICE("open") : SLICE("finished"));
    json_out_text(json, "result", run->result);
    json_out_text(json, "conclusion", run->conclusion);
    json_out_bool(json, "incomplete", run->is_incomplete);
    json_out_time(json, "started_at", run->start);
    json_out_time(json, "ended_at", run->end);
    if (run->start != TIMESTAMP_UNKNOWN && run->end != TIMESTAMP_UNKNOWN)
        json_out_seconds(json, "duration_seconds", run->end - run->start);
    else
        json_out_null(json, "duration_seconds");
    api_put_known_count(json, "job_count", run->job_count > 0, (uint64_t)run->job_count);
    json_out_hex(json, "trace_id", run->trace.bytes, TRACE_ID_SIZE);
    json_out_text(json, "url", run->url);
    put_trace_url(object, run);
}

static void put_phases(struct json_out *json, const struct run_view_job *job)
{
    static const char *const names[PHASE_COUNT] = {[PHASE_WAITING] = "waiting",
                                                   [PHASE_QUEUE] = "queue",
                                                   [PHASE_STARTUP] = "startup",
                                                   [PHASE_EXECUTION] = "execution"};
    json_out_open_array(json, "phases");
    for (size_t i = 0; i < PHASE_COUNT; i++) {
        if (job->phases[i].start == TIMESTAMP_UNKNOWN)
            continue;
        json_out_open_object(json, NULL);
        json_out_text(json, "name", slice_from_string(names[i]));
        json_out_time(json, "start", job->phases[i].start);
        json_out_time(json, "end", job->phases[i].end);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

enum listed_steps { STEPS_NONE, STEPS_FAILED, STEPS_ALL };

static void put_steps(struct json_out *json, const struct run_view_job *job,
                      enum listed_steps listed)
{
    json_out_open_array(json, "steps");
    for (size_t i = 0; i < job->step_count; i++) {
        const struct run_view_step *step = &job->steps[i];
        if (listed == STEPS_FAILED && step != job->failed_step)
            continue;
        json_out_open_object(json, NULL);
        json_out_count(json, "number", (uint64_t)step->number);
        json_out_text(json, "name", step->name);
        json_out_time(json, "start", step->time.start);
        json_out_time(json, "end", step->time.end);
        json_out_text(json, "result", step->result);
        json_out_text(json, "conclusion", step->conclusion);
        json_out_bool(json, "incomplete", step->is_incomplete);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

// Null of a queue that is not over, too: the phase says when it began.
static void put_queue_time(struct json_out *json, const struct run_view_job *job)
{
    const struct view_interval *queue = &job->phases[PHASE_QUEUE];
    bool is_open = queue->start != TIMESTAMP_UNKNOWN && queue->end == TIMESTAMP_UNKNOWN;
    if (job->has_queue && !is_open)
        json_out_seconds(json, "queue_seconds", job->queue);
    else
        json_out_null(json, "queue_seconds");
}

static void put_run_job(struct json_out *json, const struct run_view_job *job,
                        enum listed_steps listed)
{
    json_out_open_object(json, NULL);
    json_out_id(json, "job_id", job->job_id);
    json_out_text(json, "name", job->name);
    json_out_text(json, "state", slice_from_string(api_open_job_text(job->open_state)));
    json_out_text(json, "result", job->result);
    json_out_text(json, "conclusion", job->conclusion);
    json_out_text(json, "error_type", job->error_type);
    json_out_text(json, "failed_step",
                  job->failed_step != NULL ? job->failed_step->name : SLICE_EMPTY);
    json_out_bool(json, "incomplete", job->is_incomplete);
    json_out_bool(json, "carried_over", job->is_carried_over);
    json_out_bool(json, "ended_unknown", job->is_ended_unknown);
    json_out_bool(json, "critical", job->is_critical);
    json_out_bool(json, "has_spans", job->has_spans);
    json_out_time(json, "created_at", job->created_at);
    json_out_time(json, "started_at", job->started_at);
    json_out_time(json, "ended_at", job->ended_at);
    put_queue_time(json, job);
    json_out_text(json, "runner_name", job->runner_name);
    json_out_text(json, "runner_group", job->runner_group);
    json_out_texts(json, "runner_labels", job->labels, job->label_count);
    json_out_text(json, "environment", job->environment);
    json_out_text(json, "url", job->url);
    put_phases(json, job);
    if (listed != STEPS_NONE) {
        json_out_count(json, "step_count", job->step_count);
        put_steps(json, job, listed);
    }
    json_out_close_object(json);
}

// "jobs": [...]. `job_id`: only this one; 0: all.
static void put_run_jobs(struct json_out *json, const struct run_view *run,
                         enum listed_steps listed, int64_t job_id)
{
    json_out_open_array(json, "jobs");
    for (size_t i = 0; i < run->count; i++)
        if (job_id == 0 || run->jobs[i].job_id == job_id)
            put_run_job(json, &run->jobs[i], listed);
    json_out_close_array(json);
}

void api_put_run_jobs(struct json_out *json, const struct run_view *run)
{
    put_run_jobs(json, run, STEPS_NONE, 0);
}

// --- one run attempt ------------------------------------------------------------------------------

// Limit for spans as protobuf, before they are converted to JSON.
#define SPANS_MAX_BYTES ((size_t)64 * 1024 * 1024)

static void put_servers(struct json_out *json, const struct found_run *runs, size_t count)
{
    json_out_open_array(json, "servers");
    for (size_t i = 0; i < count; i++)
        json_out_text(json, NULL, github_server_name(runs[i].server));
    json_out_close_array(json);
}

static enum error_code put_attempts(struct api_object *object, const struct found_run *run)
{
    struct json_out *json = &object->json;
    const struct run_selector question = {.server = github_server_name(run->server),
                                          .run_id = run->run.run_id};
    int64_t attempts[RUN_ATTEMPTS_MAX];
    size_t count;
    enum error_code code = run_list_attempts(&object->reader, &question, attempts, &count);
    if (code != ERROR_NONE)
        return code;
    json_out_open_array(json, "attempts");
    for (size_t i = 0; i < count; i++)
        json_out_count(json, NULL, (uint64_t)attempts[i]);
    json_out_close_array(json);
    return ERROR_NONE;
}

static void put_critical_path(struct json_out *json, const struct run_view *run)
{
    json_out_open_array(json, "critical_path");
    for (size_t i = 0; i < run->count; i++)
        if (run->jobs[i].is_critical)
            json_out_id(json, NULL, run->jobs[i].job_id);
    json_out_close_array(json);
}

static bool is_job_listed(const struct run_view *run, int64_t job_id)
{
    for (size_t i = 0; i < run->count; i++)
        if (run->jobs[i].job_id == job_id)
            return true;
    return false;
}

static enum error_code load_one_run(struct api_object *object, const struct run_selector *question,
                                    struct found_run found[FOUND_RUNS_MAX], size_t *count,
                                    struct run_view *run)
{
    const struct run_view_limits limits = {.jobs = API_RUN_JOBS_MAX,
                                           .bytes = API_RUN_BYTES_MAX,
                                           .steps = true,
                                           .now = object->call->now,
                                           .job_grace = object->call->sources->pools.job_grace,
                                           .id_scheme = object->call->sources->id_scheme};
    const struct view_reader *reader = &object->reader;
    enum error_code code = run_lookup(reader, question, found, count);
    if (code == ERROR_NONE && *count > 0)
        code = run_view_load(reader, &found[0].run, &limits, run);
    if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && *count == 0))
        return run_not_found(reader, question);
    return code;
}

static enum error_code put_one_run(struct api_object *object, const struct run_selector *question,
                                   const struct api_run_part *part)
{
    struct json_out *json = &object->json;
    struct found_run found[FOUND_RUNS_MAX];
    struct run_view run;
    size_t count;
    enum error_code code = load_one_run(object, question, found, &count, &run);
    if (code != ERROR_NONE)
        return code;
    if (part->job_id != 0 && !is_job_listed(&run, part->job_id))
        return error_set(object->reader.error, ERROR_NOT_FOUND,
                         "job %" PRId64 ": nothing of it is in run %" PRId64 " attempt %" PRId64,
                         part->job_id, run.run_id, run.run_attempt);
    json_out_time(json, "now", object->call->now);
    json_out_open_object(json, "run");
    api_put_run_fields(object, &run);
    json_out_text(json, "name", run.name);
    json_out_close_object(json);
    put_servers(json, found, count);
    code = put_attempts(object, &found[0]);
    put_run_jobs(json, &run, part->failed_steps_only ? STEPS_FAILED : STEPS_ALL, part->job_id);
    put_critical_path(json, &run);
    api_put_unreadable(object);
    return code;
}

enum error_code api_render_run_part(const struct api_call *call,
                                    const struct run_selector *question,
                                    const struct api_run_part *part)
{
    struct api_object object;
    enum error_code code = api_begin(call, &object);
    return code == ERROR_NONE ? api_end(&object, put_one_run(&object, question, part)) : code;
}

enum error_code api_render_run(const struct api_call *call, const struct run_selector *question)
{
    const struct api_run_part all = {.job_id = 0};
    return api_render_run_part(call, question, &all);
}

static enum error_code read_spans(const struct view_reader *reader,
                                  const struct run_selector *question, struct buffer *request)
{
    struct found_run found[FOUND_RUNS_MAX];
    size_t count;
    enum error_code code = run_lookup(reader, question, found, &count);
    if (code == ERROR_NONE && count == 0)
        return run_not_found(reader, question);
    if (code == ERROR_NONE)
        code = run_view_load_spans(reader, &found[0].run, request);
    if (code == ERROR_NOT_FOUND)
        return error_set(reader->error, ERROR_NOT_FOUND,
                         "run %" PRId64 " attempt %" PRId64
                         ": nothing finished of it is in the store; the setting history says how "
                         "long finished runs are kept",
                         question->run_id, found[0].run.run_attempt);
    return code;
}

enum error_code api_render_spans(const struct api_call *call, const struct run_selector *question)
{
    struct view_reader reader = {.arena = call->arena, .error = call->error};
    struct buffer request;
    enum error_code code =
        store_begin(call->sources->store, false, &reader.transaction, call->error);
    if (code != ERROR_NONE)
        return code;
    buffer_init(&request, SPANS_MAX_BYTES);
    code = read_spans(&reader, question, &request);
    store_abort(reader.transaction);
    if (code == ERROR_NONE)
        code = otlp_json_from_protobuf(buffer_slice(&request), call->out, call->error);
    buffer_release(&request);
    return code;
}

// --- runs, open and finished, the newest first ----------------------------------------------------

#define RUN_ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define OLD_CURSOR_SIZE (16 + 2 * TRACE_ID_SIZE)
#define CURSOR_SIZE (1 + OLD_CURSOR_SIZE)
#define NEXT_MAX 96 // two numbers of 19 digits and a trace

struct listing {
    struct api_object object;
    const struct api_runs_query *query;
    struct arena run_arena; // for the current run, which is often discarded
    size_t count;           // in the response
    size_t jobs;            // in the response
    size_t end;             // limit for the list in the response
    size_t texts_left;      // bytes that may still be compared
    size_t bytes_left;      // of jobs that may still be read from the store
    struct slice server;    // the query's, in the form used in states
    struct run_search search;
    struct run_search_reader searcher;
    struct view_reader run_reader; // with the arena of the current run
    char next[NEXT_MAX];
};

// --- filters --------------------------------------------------------------------------------------

// GitHub's word, or that of the semantic conventions.
static bool has_result(const struct run_view *run, struct slice result)
{
    return result.len == 0 || slice_equals_ignoring_case(run->result, result) ||
           slice_equals_ignoring_case(run->conclusion, result);
}

static bool passes_filters(const struct listing *listing, const struct run_view *run)
{
    const struct api_runs_query *query = listing->query;
    return (query->server.len == 0 || slice_equals(run->server, listing->server)) &&
           slice_contains_ignoring_case(run->repository, query->repository) &&
           slice_contains_ignoring_case(run->workflow, query->workflow) &&
           slice_contains_ignoring_case(run->branch, query->branch) &&
           has_result(run, query->result);
}

// Texts of a run, once for the filters and once for each word.
static void count_compared_texts(struct listing *listing, const struct run_view *run)
{
    size_t each = run->repository.len + run->workflow.len + run->branch.len + run->title.len +
                  run->actor.len + run->event_name.len;
    size_t compared = each * (1 + listing->search.word_count);
    listing->texts_left -= compared < listing->texts_left ? compared : listing->texts_left;
}

static void begin_search(struct listing *listing)
{
    listing->texts_left = API_RUNS_TEXTS_MAX;
    listing->bytes_left = API_RUNS_BYTES_MAX;
    arena_init(&listing->run_arena, RUN_ARENA_BLOCK_BYTES);
    run_search_parse(listing->query->text, &listing->search);
    listing->run_reader = listing->object.reader;
    listing->run_reader.arena = &listing->run_arena;
    listing->searcher =
        (struct run_search_reader){&listing->run_reader, &listing->search, RUN_SEARCH_ROOTS_MAX};
}

static enum error_code check_run(struct listing *listing, const struct stored_run *place,
                                 const struct run_view *run, struct run_search_result *result)
{
    *result = (struct run_search_result){.is_match = false};
    count_compared_texts(listing, run);
    return passes_filters(listing, run) ? run_search_check(&listing->searcher, place, run, result)
                                        : ERROR_NONE;
}

// `job_id`: of the job that was searched for; 0: none was.
static void put_run(struct listing *listing, const struct run_view *run, int64_t job_id)
{
    struct json_out *json = &listing->object.json;
    json_out_open_object(json, NULL);
    api_put_run_fields(&listing->object, run);
    if (job_id > 0)
        json_out_id(json, "job_id", job_id);
    if (listing->query->open)
        put_run_jobs(json, run, STEPS_NONE, 0);
    json_out_close_object(json);
    listing->count++;
    listing->jobs += run->count;
    listing->bytes_left -=
        run->bytes_read < listing->bytes_left ? run->bytes_read : listing->bytes_left;
}

static bool is_list_full(const struct listing *listing)
{
    return listing->count == listing->query->limit || listing->searcher.roots == 0 ||
           listing->texts_left == 0 || listing->object.json.writer.out->len > listing->end;
}

// --- finished -------------------------------------------------------------------------------------

static void write_finished_cursor(const struct recent_place *place, char text[NEXT_MAX])
{
    snprintf(text, NEXT_MAX, "e%016" PRIx64, (uint64_t)place->at);
    hex_encode(place->trace.bytes, TRACE_ID_SIZE, text + 1 + 16);
    text[CURSOR_SIZE] = '\0';
}

// "e", then a place by ends. Without the "e": one of an older version, by when the run was sent.
static bool read_finished_cursor(struct slice cursor, struct recent_place *place, bool *is_old)
{
    static const struct trace_id none;
    uint8_t bytes[8];
    uint64_t at = 0;
    *place = (struct recent_place){0};
    *is_old = cursor.len == OLD_CURSOR_SIZE;
    if (cursor.len == 0)
        return true;
    if (cursor.len == CURSOR_SIZE && cursor.data[0] == 'e')
        cursor = slice_skip(cursor, 1);
    if (cursor.len != OLD_CURSOR_SIZE || !hex_decode(cursor.data, 16, bytes, sizeof bytes) ||
        !hex_decode(cursor.data + 16, 2 * TRACE_ID_SIZE, place->trace.bytes, TRACE_ID_SIZE))
        return false;
    at = bytes_get_be64(bytes);
    place->at = (timestamp_ns)at;
    // All zero is valid, too: the next page starts with the newest finished run, after a page without runs.
    return place->at > 0 || (at == 0 && memcmp(&place->trace, &none, sizeof none) == 0);
}

// Where the list begins.
static enum error_code find_finished_place(const struct listing *listing,
                                           struct recent_place *place)
{
    const struct view_reader *reader = &listing->object.reader;
    struct recent_run run;
    bool is_old;
    if (!read_finished_cursor(listing->query->cursor, place, &is_old))
        return error_set(reader->error, ERROR_USAGE, "cursor: not valid");
    if (!is_old || place->at == 0)
        return ERROR_NONE;
    enum error_code code = recent_find(reader->transaction, &place->trace, &run, reader->error);
    if (code == ERROR_NONE)
        *place = recent_end_place(&run);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code add_finished_run(struct listing *listing, const struct recent_run *recent,
                                        const struct run_view *run)
{
    const struct stored_run place = recent_stored_run(recent);
    struct run_search_result result;
    enum error_code code = check_run(listing, &place, run, &result);
    if (code == ERROR_NONE && result.is_match)
        put_run(listing, run, result.job_id);
    return code;
}

static enum error_code list_finished(struct listing *listing)
{
    struct recent_place place;
    enum error_code code = find_finished_place(listing, &place);
    if (code != ERROR_NONE)
        return code;
    for (size_t looked_at = 0; looked_at < API_RUNS_LOOKED_AT; looked_at++) {
        struct recent_run recent;
        struct run_view run;
        if (is_list_full(listing))
            break;
        code = recent_seek_ended_before(listing->object.reader.transaction, &place, &recent,
                                        listing->object.reader.error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        place = recent_end_place(&recent);
        arena_clear(&listing->run_arena);
        if (run_view_from_recent(&recent, &listing->run_arena, &run) != ERROR_NONE)
            return error_set(listing->object.reader.error, ERROR_MEMORY,
                             "list runs: out of memory");
        code = add_finished_run(listing, &recent, &run);
        if (code != ERROR_NONE)
            return code;
    }
    write_finished_cursor(&place, listing->next);
    return ERROR_NONE;
}

// --- open -----------------------------------------------------------------------------------------

static struct slice next_cursor_part(struct slice *rest)
{
    ptrdiff_t dash = slice_find(*rest, SLICE("-"));
    size_t len = dash < 0 ? rest->len : (size_t)dash;
    size_t taken = dash < 0 ? len : len + 1;
    struct slice part = {rest->data, len};
    *rest = (struct slice){rest->data + taken, rest->len - taken};
    return part;
}

// "RUN-ATTEMPT"; for servers other than github.com "RUN-ATTEMPT-TRACE".
static bool read_open_cursor(struct slice cursor, struct stored_run *place)
{
    long long run_id, run_attempt;
    *place = (struct stored_run){.run_id = 0};
    if (cursor.len == 0)
        return true;
    if (!slice_parse_int64(next_cursor_part(&cursor), &run_id) ||
        !slice_parse_int64(next_cursor_part(&cursor), &run_attempt))
        return false;
    *place = stored_run_of(SLICE_EMPTY, run_id, run_attempt);
    if (cursor.len > 0 && (cursor.len != 2 * TRACE_ID_SIZE ||
                           !hex_decode(cursor.data, cursor.len, place->trace.bytes, TRACE_ID_SIZE)))
        return false;
    return (run_id > 0 && run_attempt > 0) || (run_id == 0 && run_attempt == 0); // as above
}

static void write_open_cursor(const struct stored_run *place, char text[NEXT_MAX])
{
    char hex[2 * TRACE_ID_SIZE + 1];
    bool is_usual = place->run_id == 0 || stored_run_is_usual(place);
    hex_encode(place->trace.bytes, TRACE_ID_SIZE, hex);
    snprintf(text, NEXT_MAX, "%" PRId64 "-%" PRId64 "%s%.*s", place->run_id, place->run_attempt,
             is_usual ? "" : "-", is_usual ? 0 : 2 * TRACE_ID_SIZE, hex);
}

static bool has_filter(const struct api_runs_query *query)
{
    return query->repository.len + query->workflow.len + query->branch.len + query->result.len +
               query->text.len + query->server.len >
           0;
}

static enum error_code load_open_run(struct listing *listing, const struct stored_run *place,
                                     size_t jobs, struct run_view *run)
{
    const struct run_view_limits limits = {.jobs = jobs,
                                           .bytes = listing->bytes_left,
                                           .now = listing->object.call->now,
                                           .job_grace =
                                               listing->object.call->sources->pools.job_grace,
                                           .id_scheme = listing->object.call->sources->id_scheme};
    struct view_reader reader = listing->object.reader;
    reader.arena = &listing->run_arena;
    arena_clear(reader.arena);
    return run_view_load(&reader, place, &limits, run);
}

// Counts an open run whose state is missing or unreadable.
static enum error_code skip_unreadable_run(const struct listing *listing)
{
    store_note_unreadable(listing->object.reader.transaction);
    return ERROR_NONE;
}

// Jobs of the next run: there is a limit for all runs, too, since finished jobs are decoded in each request.
static size_t count_jobs_to_list(const struct listing *listing)
{
    size_t each = listing->query->jobs > 0 ? listing->query->jobs : API_OPEN_RUN_JOBS;
    size_t in_all = each * API_FULL_RUNS;
    size_t left = listing->jobs < in_all && listing->bytes_left > 0 ? in_all - listing->jobs : 0;
    return left < each ? left : each;
}

// No filter depends on jobs, and they are the most expensive part: they are read only for matching runs.
static enum error_code add_open_run(struct listing *listing, const struct stored_run *place)
{
    size_t jobs = count_jobs_to_list(listing);
    struct run_view run;
    struct run_search_result result = {.is_match = true};
    if (has_filter(listing->query)) {
        enum error_code code = load_open_run(listing, place, 0, &run);
        if (code == ERROR_NOT_FOUND)
            return skip_unreadable_run(listing);
        if (code == ERROR_NONE)
            code = check_run(listing, place, &run, &result);
        if (code != ERROR_NONE || !result.is_match)
            return code;
    }
    enum error_code code = load_open_run(listing, place, jobs, &run);
    if (code == ERROR_NOT_FOUND)
        return skip_unreadable_run(listing);
    if (code == ERROR_NONE)
        put_run(listing, &run, result.job_id);
    return code;
}

static enum error_code list_open(struct listing *listing)
{
    struct stored_run place;
    if (!read_open_cursor(listing->query->cursor, &place))
        return error_set(listing->object.reader.error, ERROR_USAGE, "cursor: not valid");
    for (size_t looked_at = 0; looked_at < API_RUNS_LOOKED_AT; looked_at++) {
        if (is_list_full(listing))
            break;
        enum error_code code = open_runs_seek_older(listing->object.reader.transaction, &place,
                                                    listing->object.reader.error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = add_open_run(listing, &place);
        if (code != ERROR_NONE)
            return code;
    }
    write_open_cursor(&place, listing->next);
    return ERROR_NONE;
}

// --- what the search was understood as --------------------------------------------------------------

static void put_search(struct json_out *json, const struct run_search *search)
{
    json_out_open_object(json, "search");
    json_out_text(json, "kind", slice_from_string(run_search_kind_text(search->kind)));
    json_out_text(json, "server", search->server);
    json_out_text(json, "repository", search->repository);
    json_out_text(json, "branch", search->branch);
    json_out_text(json, "workflow_file", search->file);
    json_out_text(json, "commit", search->sha);
    json_out_id(json, "run_id", search->run_id);
    json_out_id(json, "job_id", search->job_id);
    api_put_known_count(json, "pull_request", search->pull > 0, (uint64_t)search->pull);
    json_out_close_object(json);
}

// "direct": the runs that the search names by an id. `*is_all`: no others can match.
static enum error_code put_direct(struct listing *listing, bool *is_all)
{
    struct json_out *json = &listing->object.json;
    const struct run_search *search = &listing->search;
    struct stored_run places[FOUND_RUNS_MAX];
    size_t count = 0;
    enum error_code code = run_search_direct(&listing->object.reader, search, places, &count);
    json_out_open_array(json, "direct");
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        struct run_view run;
        code = load_open_run(listing, &places[i], 0, &run);
        if (code == ERROR_NONE) {
            json_out_open_object(json, NULL);
            api_put_run_fields(&listing->object, &run);
            json_out_id(json, "job_id", search->job_id);
            json_out_close_object(json);
        }
        if (code == ERROR_NOT_FOUND)
            code = skip_unreadable_run(listing);
    }
    json_out_close_array(json);
    *is_all = search->kind == RUN_SEARCH_RUN || (search->kind == RUN_SEARCH_TRACE && count > 0);
    return code;
}

static enum error_code list_runs(struct listing *listing)
{
    struct json_out *json = &listing->object.json;
    bool is_all = false;
    enum error_code code = ERROR_NONE;
    if (listing->query->text.len > 0) {
        put_search(json, &listing->search);
        code = put_direct(listing, &is_all);
    }
    json_out_open_array(json, "runs");
    if (code == ERROR_NONE && !is_all)
        code = listing->query->open ? list_open(listing) : list_finished(listing);
    json_out_close_array(json);
    return code;
}

enum error_code api_render_runs(const struct api_call *call, const struct api_runs_query *query)
{
    struct listing listing = {.query = query, .end = api_list_end(call->out)};
    struct json_out *json = &listing.object.json;
    if (github_server_of_name(query->server, call->arena, &listing.server) != ERROR_NONE)
        return error_set(call->error, ERROR_MEMORY, "list runs: out of memory");
    enum error_code code = api_begin(call, &listing.object);
    if (code != ERROR_NONE)
        return code;
    begin_search(&listing);
    json_out_time(json, "now", call->now);
    code = list_runs(&listing);
    json_out_text(json, "next", slice_from_string(listing.next));
    api_put_unreadable(&listing.object);
    arena_release(&listing.run_arena);
    return api_end(&listing.object, code);
}

// --- open and finished ones, for a command --------------------------------------------------------

static enum error_code print_finished(struct listing *listing, const struct finished_filter *filter,
                                      bool *has_more)
{
    struct finished_view view;
    enum error_code code = finished_view_load(&listing->object.reader, filter, &view);
    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < view.count; i++) {
        json_out_open_object(&listing->object.json, NULL);
        api_put_run_fields(&listing->object, &view.runs[i]);
        json_out_close_object(&listing->object.json);
    }
    *has_more = *has_more || view.has_more;
    return ERROR_NONE;
}

static enum error_code print_runs(struct listing *listing,
                                  const struct api_print_selection *selection)
{
    struct json_out *json = &listing->object.json;
    enum error_code code = ERROR_NONE;
    bool has_more = false;
    json_out_time(json, "now", listing->object.call->now);
    json_out_open_array(json, "runs");
    if (selection->open) {
        code = list_open(listing);
        has_more = listing->next[0] != '\0';
    }
    if (code == ERROR_NONE && selection->finished)
        code = print_finished(listing, &selection->filter, &has_more);
    json_out_close_array(json);
    json_out_bool(json, "more", has_more);
    api_put_unreadable(&listing->object);
    return code;
}

enum error_code api_print_runs(const struct api_print *print,
                               const struct api_print_selection *selection, struct error *error)
{
    const struct view_sources sources = {.store = print->store,
                                         .pools = print->pools,
                                         .id_scheme = print->id_scheme,
                                         .trace_url = print->trace_url};
    const struct api_call call = {&sources, print->now, print->arena, print->out, error};
    const struct api_runs_query query = {.open = true,
                                         .repository = selection->filter.repository,
                                         .workflow = selection->filter.workflow,
                                         .limit = API_RUNS_LOOKED_AT};
    struct listing listing = {.query = &query, .end = api_list_end(print->out)};
    enum error_code code = api_begin(&call, &listing.object);
    if (code != ERROR_NONE)
        return code;
    begin_search(&listing);
    code = print_runs(&listing, selection);
    arena_release(&listing.run_arena);
    return api_end(&listing.object, code);
}
