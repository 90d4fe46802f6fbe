// The JSON API: a run, lists of runs, the queue, latencies, quarantine, status.
#include "api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/github/server.h"
#include "ghatrace/json/write.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/open_runs.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_history.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/stats/recent.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/view/pools_view.h"
#include "ghatrace/view/queue_view.h"
#include "health.h"

// --- a response: one object, read in one transaction ----------------------------------------------

struct api_object {
    const struct api_call *call;
    struct view_reader reader;
    struct json_out json;
};

static enum error_code begin_object(const struct api_call *call, struct api_object *object)
{
    *object =
        (struct api_object){.call = call, .reader = {.arena = call->arena, .error = call->error}};
    json_out_init(&object->json, call->out);
    json_out_open_object(&object->json, NULL);
    return store_begin(call->sources->store, false, &object->reader.transaction, call->error);
}

static void put_unreadable(struct api_object *object)
{
    json_out_count(&object->json, "unreadable", store_unreadable(object->reader.transaction));
}

// Completes the text, and reports the first error in it.
static enum error_code finish_text(struct json_out *json, struct error *error)
{
    json_write_raw(&json->writer, SLICE("\n"));
    enum error_code code = json_out_finish(json);
    if (code != ERROR_NONE)
        error_set(error, code, "write a response: %s", error_code_text(code));
    return code;
}

// `code`: of what was read for the object. An error of the text itself gets its message here.
static enum error_code end_object(struct api_object *object, enum error_code code)
{
    json_out_close_object(&object->json);
    store_abort(object->reader.transaction);
    return code == ERROR_NONE || code == json_out_finish(&object->json)
               ? finish_text(&object->json, object->call->error)
               : code;
}

// The size of the response at which a list must end, so that a few unusually large entries cause other entries to be
// omitted instead of making the whole response fail.
static size_t list_end(const struct buffer *out)
{
    return out->len + (out->max - out->len) / 4;
}

// --- runs and jobs as JSON ------------------------------------------------------------------------

// The labels of a text that labels_join() made: "a,b" as ["a","b"], "a\,b" as ["a,b"].
static void put_joined_labels(struct json_out *json, const char *name, struct slice joined)
{
    char room[LABELS_TEXT_MAX];
    struct slice label;
    joined = utf8_cut(joined, sizeof room);
    json_out_open_array(json, name);
    while (labels_next(&joined, room, &label))
        json_out_text(json, NULL, label);
    json_out_close_array(json);
}

static const char *open_job_text(enum open_job_kind open_state)
{
    switch (open_state) {
    case OPEN_JOB_WAITING:
        return "waiting";
    case OPEN_JOB_QUEUED:
        return "queued";
    case OPEN_JOB_RUNNING:
        return "running";
    case OPEN_JOB_NONE:
        break;
    }
    return "finished";
}

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

// A run's fields, inside an object.
static void put_run_fields(struct api_object *object, const struct run_view *run)
{
    struct json_out *json = &object->json;
    json_out_id(json, "run_id", run->run_id);
    json_out_count(json, "run_attempt", (uint64_t)run->run_attempt);
    if (run->run_number > 0)
        json_out_count(json, "run_number", (uint64_t)run->run_number);
    else
        json_out_null(json, "run_number");
    json_out_text(json, "server", github_server_name(run->server));
    json_out_text(json, "repository", run->repository);
    json_out_text(json, "workflow", run->workflow);
    json_out_text(json, "title", run->title);
    json_out_text(json, "branch", run->branch);
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
    if (run->job_count > 0)
        json_out_count(json, "job_count", (uint64_t)run->job_count);
    else
        json_out_null(json, "job_count");
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

static void put_steps(struct json_out *json, const struct run_view_job *job)
{
    json_out_open_array(json, "steps");
    for (size_t i = 0; i < job->step_count; i++) {
        const struct run_view_step *step = &job->steps[i];
        json_out_open_object(json, NULL);
        json_out_count(json, "number", (uint64_t)step->number);
        json_out_text(json, "name", step->name);
        json_out_time(json, "start", step->time.start);
        json_out_time(json, "end", step->time.end);
        json_out_text(json, "result", step->result);
        json_out_text(json, "conclusion", step->conclusion);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static void put_run_job(struct json_out *json, const struct run_view_job *job, bool steps)
{
    json_out_open_object(json, NULL);
    json_out_id(json, "job_id", job->job_id);
    json_out_text(json, "name", job->name);
    json_out_text(json, "state", slice_from_string(open_job_text(job->open_state)));
    json_out_text(json, "result", job->result);
    json_out_text(json, "conclusion", job->conclusion);
    json_out_text(json, "error_type", job->error_type);
    json_out_text(json, "failed_step",
                  job->failed_step != NULL ? job->failed_step->name : SLICE_EMPTY);
    json_out_bool(json, "incomplete", job->is_incomplete);
    json_out_bool(json, "carried_over", job->is_carried_over);
    json_out_bool(json, "ended_unknown", job->is_ended_unknown);
    json_out_bool(json, "critical", job->is_critical);
    json_out_time(json, "created_at", job->created_at);
    json_out_time(json, "started_at", job->started_at);
    json_out_time(json, "ended_at", job->ended_at);
    json_out_text(json, "runner_name", job->runner_name);
    json_out_text(json, "runner_group", job->runner_group);
    json_out_texts(json, "runner_labels", job->labels, job->label_count);
    json_out_text(json, "environment", job->environment);
    json_out_text(json, "url", job->url);
    put_phases(json, job);
    if (steps)
        put_steps(json, job);
    json_out_close_object(json);
}

// "jobs": [...]
static void put_run_jobs(struct json_out *json, const struct run_view *run, bool steps)
{
    json_out_open_array(json, "jobs");
    for (size_t i = 0; i < run->count; i++)
        put_run_job(json, &run->jobs[i], steps);
    json_out_close_array(json);
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

static enum error_code put_one_run(struct api_object *object, const struct run_selector *question)
{
    const struct run_view_limits limits = {.jobs = API_RUN_JOBS_MAX,
                                           .steps = true,
                                           .now = object->call->now,
                                           .job_grace = object->call->sources->pools.job_grace,
                                           .id_scheme = object->call->sources->id_scheme};
    const struct view_reader *reader = &object->reader;
    struct json_out *json = &object->json;
    struct found_run found[FOUND_RUNS_MAX];
    struct run_view run;
    size_t count;
    enum error_code code = run_lookup(reader, question, found, &count);
    if (code == ERROR_NONE && count > 0)
        code = run_view_load(reader, &found[0].run, &limits, &run);
    if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && count == 0))
        return run_not_found(reader, question);
    if (code != ERROR_NONE)
        return code;
    json_out_time(json, "now", object->call->now);
    json_out_open_object(json, "run");
    put_run_fields(object, &run);
    json_out_close_object(json);
    put_servers(json, found, count);
    code = put_attempts(object, &found[0]);
    put_run_jobs(json, &run, true);
    put_critical_path(json, &run);
    put_unreadable(object);
    return code;
}

enum error_code api_render_run(const struct api_call *call, const struct run_selector *question)
{
    struct api_object object;
    enum error_code code = begin_object(call, &object);
    return code == ERROR_NONE ? end_object(&object, put_one_run(&object, question)) : code;
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

#define OPEN_RUN_JOBS 60      // of each run in the list
#define OPEN_JOBS_IN_ALL 2000 // for all runs: finished jobs are decoded in each request
#define RUN_ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define CURSOR_SIZE (16 + 2 * TRACE_ID_SIZE)
#define NEXT_MAX 96 // two numbers of 19 digits and a trace

struct listing {
    struct api_object object;
    const struct api_runs_query *query;
    struct arena run_arena; // for the current run, which is often discarded
    size_t count;           // in the response
    size_t jobs;            // in the response
    size_t end;             // limit for the list in the response
    struct slice server;    // the query's, in the form used in states
    char next[NEXT_MAX];
};

// --- filters --------------------------------------------------------------------------------------

static bool contains_text(struct slice text, struct slice part)
{
    if (part.len == 0 || part.len > text.len)
        return part.len == 0;
    for (size_t at = 0; at + part.len <= text.len; at++)
        if (slice_equals_ignoring_case((struct slice){text.data + at, part.len}, part))
            return true;
    return false;
}

static bool run_contains_text(const struct run_view *run, struct slice part)
{
    char id[24];
    int len = snprintf(id, sizeof id, "%" PRId64, run->run_id);
    return contains_text(run->repository, part) || contains_text(run->workflow, part) ||
           contains_text(run->branch, part) || contains_text(run->title, part) ||
           contains_text((struct slice){id, (size_t)len}, part);
}

static bool is_listed_run(const struct listing *listing, const struct run_view *run)
{
    const struct api_runs_query *query = listing->query;
    return (query->server.len == 0 || slice_equals(run->server, listing->server)) &&
           contains_text(run->repository, query->repository) &&
           contains_text(run->workflow, query->workflow) &&
           contains_text(run->branch, query->branch) &&
           (query->result.len == 0 || slice_equals_ignoring_case(run->result, query->result)) &&
           run_contains_text(run, query->text);
}

static void put_run(struct listing *listing, const struct run_view *run)
{
    struct json_out *json = &listing->object.json;
    json_out_open_object(json, NULL);
    put_run_fields(&listing->object, run);
    if (listing->query->open)
        put_run_jobs(json, run, false);
    json_out_close_object(json);
    listing->count++;
    listing->jobs += run->count;
}

static bool is_list_full(const struct listing *listing)
{
    return listing->count == listing->query->limit ||
           listing->object.json.writer.out->len > listing->end;
}

// --- finished -------------------------------------------------------------------------------------

static void write_finished_cursor(const struct recent_place *place, char text[NEXT_MAX])
{
    snprintf(text, NEXT_MAX, "%016" PRIx64, (uint64_t)place->at);
    hex_encode(place->trace.bytes, TRACE_ID_SIZE, text + 16);
    text[CURSOR_SIZE] = '\0';
}

static bool read_finished_cursor(struct slice cursor, struct recent_place *place)
{
    static const struct trace_id none;
    uint8_t bytes[8];
    uint64_t at = 0;
    *place = (struct recent_place){0};
    if (cursor.len == 0)
        return true;
    if (cursor.len != CURSOR_SIZE || !hex_decode(cursor.data, 16, bytes, sizeof bytes) ||
        !hex_decode(cursor.data + 16, 2 * TRACE_ID_SIZE, place->trace.bytes, TRACE_ID_SIZE))
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        at = at << 8 | bytes[i];
    place->at = (timestamp_ns)at;
    // All zero is valid, too: the next page starts with the newest finished run, after a page without runs.
    return place->at > 0 || (at == 0 && memcmp(&place->trace, &none, sizeof none) == 0);
}

static enum error_code list_finished(struct listing *listing)
{
    struct recent_place place;
    if (!read_finished_cursor(listing->query->cursor, &place))
        return error_set(listing->object.reader.error, ERROR_USAGE, "cursor: not valid");
    for (size_t looked_at = 0; looked_at < API_RUNS_LOOKED_AT; looked_at++) {
        struct recent_run recent;
        struct run_view run;
        if (is_list_full(listing))
            break;
        enum error_code code = recent_seek_older(listing->object.reader.transaction, &place,
                                                 &recent, listing->object.reader.error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        place = recent.place;
        arena_clear(&listing->run_arena);
        if (run_view_from_recent(&recent, &listing->run_arena, &run) != ERROR_NONE)
            return error_set(listing->object.reader.error, ERROR_MEMORY,
                             "list runs: out of memory");
        if (is_listed_run(listing, &run))
            put_run(listing, &run);
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

// No filter depends on jobs, and they are the most expensive part: they are read only for matching runs.
static enum error_code add_open_run(struct listing *listing, const struct stored_run *place)
{
    size_t jobs = listing->jobs < OPEN_JOBS_IN_ALL ? OPEN_JOBS_IN_ALL - listing->jobs : 0;
    struct run_view run;
    if (has_filter(listing->query)) {
        enum error_code code = load_open_run(listing, place, 0, &run);
        if (code == ERROR_NOT_FOUND)
            return skip_unreadable_run(listing);
        if (code != ERROR_NONE || !is_listed_run(listing, &run))
            return code;
    }
    enum error_code code =
        load_open_run(listing, place, jobs < OPEN_RUN_JOBS ? jobs : OPEN_RUN_JOBS, &run);
    if (code == ERROR_NOT_FOUND)
        return skip_unreadable_run(listing);
    if (code == ERROR_NONE)
        put_run(listing, &run);
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

enum error_code api_render_runs(const struct api_call *call, const struct api_runs_query *query)
{
    struct listing listing = {.query = query, .end = list_end(call->out)};
    struct json_out *json = &listing.object.json;
    if (github_server_of_name(query->server, call->arena, &listing.server) != ERROR_NONE)
        return error_set(call->error, ERROR_MEMORY, "list runs: out of memory");
    enum error_code code = begin_object(call, &listing.object);
    if (code != ERROR_NONE)
        return code;
    arena_init(&listing.run_arena, RUN_ARENA_BLOCK_BYTES);
    json_out_time(json, "now", call->now);
    json_out_open_array(json, "runs");
    code = query->open ? list_open(&listing) : list_finished(&listing);
    json_out_close_array(json);
    json_out_text(json, "next", slice_from_string(listing.next));
    put_unreadable(&listing.object);
    arena_release(&listing.run_arena);
    return end_object(&listing.object, code);
}

// --- jobs that currently wait for a runner, and for how long --------------------------------------

struct open_jobs {
    struct api_object object;
    size_t end; // limit for the list in the response
};

static void put_totals(struct json_out *json, const struct queue_view *view)
{
    json_out_open_object(json, "totals");
    json_out_count(json, "waiting", view->totals[OPEN_JOB_WAITING]);
    json_out_count(json, "queued", view->totals[OPEN_JOB_QUEUED]);
    json_out_count(json, "running", view->totals[OPEN_JOB_RUNNING]);
    json_out_count(json, "open_runs", view->open_runs);
    json_out_close_object(json);
}

// `runner_labels` is the name alone if a rule names the pool, and `runner_group` are the groups joined: both are what
// they were when each group had a pool of its own.
static void put_pool_names(struct json_out *json, const struct pool *pool)
{
    char room[LABELS_TEXT_MAX];
    json_out_text(json, "pool", pool_name(pool, room));
    put_joined_labels(json, "labels", pool->is_rule ? pool->asked : pool->labels);
    put_joined_labels(json, "groups", pool->groups);
    put_joined_labels(json, "runner_labels", pool->labels);
    json_out_text(json, "runner_group", pool->groups);
}

static void put_pools(struct json_out *json, const struct queue_view *view)
{
    json_out_open_array(json, "pools");
    for (size_t i = 0; i < view->count; i++) {
        const struct queue_view_pool *row = &view->pools[i];
        json_out_open_object(json, NULL);
        put_pool_names(json, &row->pool);
        json_out_count(json, "waiting", row->pool.counts[OPEN_JOB_WAITING]);
        json_out_count(json, "queued", row->pool.counts[OPEN_JOB_QUEUED]);
        json_out_count(json, "running", row->running);
        json_out_time(json, "oldest_waiting_since", row->oldest[OPEN_JOB_WAITING]);
        json_out_time(json, "oldest_queued_since", row->oldest[OPEN_JOB_QUEUED]);
        json_out_time(json, "oldest_running_since", row->oldest[OPEN_JOB_RUNNING]);
        json_out_count(json, "ended_unknown", row->ended_unknown);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static enum error_code put_open_job(void *context, const struct job_state *job,
                                    const struct open_job_state *open_state, bool has_ended)
{
    struct open_jobs *queue = context;
    struct json_out *json = &queue->object.json;
    timestamp_ns now = queue->object.call->now;
    if (json->writer.out->len > queue->end)
        return ERROR_FULL;
    duration_ns age = now > open_state->since ? now - open_state->since : 0;
    json_out_open_object(json, NULL);
    json_out_id(json, "job_id", job->job_id);
    json_out_text(json, "name", job->body.name);
    json_out_id(json, "run_id", job->run_id);
    json_out_count(json, "run_attempt", (uint64_t)job->run_attempt);
    json_out_text(json, "server", github_server_name(job->server));
    json_out_text(json, "repository", job->repository.full_name);
    json_out_text(json, "workflow", job->body.workflow_name);
    json_out_text(json, "branch", job->body.head_branch);
    json_out_text(json, "state", slice_from_string(open_job_text(open_state->state)));
    json_out_bool(json, "ended_unknown", has_ended);
    json_out_time(json, "since", open_state->since);
    json_out_seconds(json, "age_seconds", age);
    json_out_texts(json, "runner_labels", job->body.labels, job->body.label_count);
    json_out_text(json, "runner_group", job->runner_group_name);
    json_out_text(json, "runner_name", job->runner_name);
    json_out_text(json, "url", job->body.html_url);
    json_out_close_object(json);
    return json_out_finish(json);
}

static enum error_code read_label_filter(const struct api_call *call, struct slice text,
                                         struct slice *joined)
{
    struct slice *labels;
    size_t count;
    if (!labels_split(text, call->arena, &labels, &count) ||
        !labels_join(labels, count, call->arena, joined))
        return error_set(call->error, ERROR_MEMORY, "list the queue: out of memory");
    return ERROR_NONE;
}

static enum error_code read_state(struct slice text, enum open_job_kind *state, struct error *error)
{
    const enum open_job_kind states[] = {OPEN_JOB_WAITING, OPEN_JOB_QUEUED, OPEN_JOB_RUNNING};
    *state = OPEN_JOB_NONE;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (slice_equals(text, slice_from_string(open_job_text(states[i]))))
            *state = states[i];
    if (text.len > 0 && *state == OPEN_JOB_NONE)
        return error_set(error, ERROR_USAGE, "state: want waiting, queued or running");
    return ERROR_NONE;
}

static enum error_code put_queue(struct open_jobs *queue, const struct queue_view_filter *filter)
{
    const struct queue_view_visitor visitor = {put_open_job, queue};
    const struct view_reader *reader = &queue->object.reader;
    struct json_out *json = &queue->object.json;
    const struct api_call *call = queue->object.call;
    const struct ended_rule rule = {call->now, call->sources->pools.job_grace};
    struct queue_view view;
    bool has_more = false;
    enum error_code code = queue_view_load(reader, &rule, &view);
    if (code != ERROR_NONE)
        return code;
    put_totals(json, &view);
    put_pools(json, &view);
    json_out_open_array(json, "jobs");
    code = queue_view_walk(reader, &view, filter, &visitor, &has_more);
    if (code == ERROR_FULL) { // returned by put_open_job()
        has_more = true;
        code = ERROR_NONE;
    }
    json_out_close_array(json);
    json_out_bool(json, "more", has_more);
    put_unreadable(&queue->object);
    return code;
}

enum error_code api_render_queue(const struct api_call *call, const struct api_queue_query *query)
{
    struct queue_view_filter filter = {.limit = query->limit};
    struct open_jobs queue = {.end = list_end(call->out)};
    enum error_code code = read_state(query->state, &filter.state, call->error);
    if (code == ERROR_NONE)
        code = read_label_filter(call, query->runner_labels, &filter.labels);
    if (code == ERROR_NONE)
        code = begin_object(call, &queue.object);
    if (code != ERROR_NONE)
        return code;
    json_out_time(&queue.object.json, "now", call->now);
    return end_object(&queue.object, put_queue(&queue, &filter));
}

// --- pools ----------------------------------------------------------------------------------------

static void put_open_wait(struct json_out *json, const char *name, timestamp_ns since,
                          timestamp_ns now)
{
    if (since != TIMESTAMP_UNKNOWN)
        json_out_seconds(json, name, pools_view_wait(since, now));
    else
        json_out_null(json, name);
}

static void put_waits_of_queued(struct json_out *json, const struct pool_open_waits *waits,
                                timestamp_ns now)
{
    static const char *const names[POOL_WAIT_PERCENTS] = {"p50", "p90", "p99"};
    put_open_wait(json, "oldest_wait_seconds", waits->oldest, now);
    json_out_open_object(json, "open_wait_seconds");
    for (size_t i = 0; i < POOL_WAIT_PERCENTS; i++)
        put_open_wait(json, names[i], waits->since[i], now);
    json_out_close_object(json);
}

static void put_busiest(struct json_out *json, const char *name, bool is_known, uint64_t count)
{
    if (is_known)
        json_out_count(json, name, count);
    else
        json_out_null(json, name);
}

static void put_recent_of_pool(struct json_out *json, const struct pools_view_pool *row)
{
    put_busiest(json, "busy_max_day", row->recent.is_known, row->recent.busy_max_day);
    put_busiest(json, "busy_max_week", row->recent.is_known, row->recent.busy_max_week);
    json_out_time(json, "last_start_at", row->recent.last_start);
}

static void put_pool_now(struct json_out *json, const struct pools_view_pool *row, timestamp_ns now)
{
    const struct pool *pool = &row->pool;
    json_out_open_object(json, NULL);
    json_out_text(json, "pool", row->name);
    put_joined_labels(json, "labels", pool->is_rule ? pool->asked : pool->labels);
    put_joined_labels(json, "groups", pool->groups);
    json_out_count(json, "waiting", pool->counts[OPEN_JOB_WAITING]);
    json_out_count(json, "queued", pool->counts[OPEN_JOB_QUEUED]);
    json_out_count(json, "running", row->running);
    put_waits_of_queued(json, &row->waits, now);
    put_recent_of_pool(json, row);
    json_out_text(json, "state", slice_from_string(pool_state_names[row->state]));
    json_out_time(json, "since", row->since);
    if (row->ceiling.len > 0)
        json_out_text(json, "ceiling", row->ceiling);
    else
        json_out_null(json, "ceiling");
    json_out_count(json, "ended_unknown", row->ended_unknown);
    json_out_close_object(json);
}

static void put_shares(struct json_out *json, const struct pools_view_shares *shares)
{
    json_out_open_array(json, "by_repository");
    for (size_t i = 0; i < shares->count; i++) {
        json_out_open_object(json, NULL);
        json_out_text(json, "repository", shares->items[i].repository);
        json_out_count(json, "running", shares->items[i].running);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static void put_ceiling(struct json_out *json, const struct pools_view_ceiling *ceiling,
                        const struct pools_view_shares *shares)
{
    json_out_open_object(json, NULL);
    json_out_text(json, "ceiling", ceiling->name);
    json_out_count(json, "limit", ceiling->limit);
    json_out_count(json, "running", ceiling->running);
    json_out_texts(json, "pools", ceiling->pools, ceiling->pool_count);
    json_out_count(json, "queued", ceiling->queued);
    json_out_time(json, "since", ceiling->since);
    json_out_bool(json, "inferred", ceiling->is_inferred);
    put_shares(json, shares);
    json_out_close_object(json);
}

static enum error_code put_ceilings(struct api_object *object, const struct pools_view *view)
{
    struct pools_view_shares *shares;
    enum error_code code = pools_view_count_shares(&object->reader, view, &shares);
    if (code != ERROR_NONE)
        return code;
    json_out_open_array(&object->json, "ceilings");
    for (size_t i = 0; i < view->ceiling_count; i++)
        put_ceiling(&object->json, &view->ceilings[i], &shares[i]);
    json_out_close_array(&object->json);
    return ERROR_NONE;
}

enum error_code api_render_pools(const struct api_call *call)
{
    struct api_object object;
    struct pools_view view;
    enum error_code code = begin_object(call, &object);
    if (code != ERROR_NONE)
        return code;
    code = pools_view_load(&object.reader, &call->sources->pools, call->now, &view);
    json_out_open_array(&object.json, "pools");
    for (size_t i = 0; code == ERROR_NONE && i < view.count; i++)
        put_pool_now(&object.json, &view.pools[i], call->now);
    json_out_close_array(&object.json);
    if (code == ERROR_NONE)
        code = put_ceilings(&object, &view);
    put_unreadable(&object);
    return end_object(&object, code);
}

static void put_mean(struct json_out *json, const char *name, double value)
{
    json_out_seconds(json, name, (duration_ns)(value * (double)NS_PER_SECOND + 0.5)); // 3 decimals
}

static void put_wait_percentile(struct json_out *json, const char *name,
                                const struct histogram *waits, unsigned percent)
{
    if (waits != NULL)
        json_out_seconds(json, name, histogram_percentile(waits, percent));
    else
        json_out_null(json, name);
}

static void put_slot_count(struct json_out *json, const char *name, const struct pool_slot *slot,
                           uint64_t value)
{
    if (slot->is_known)
        json_out_count(json, name, value);
    else
        json_out_null(json, name);
}

static void put_slot_mean(struct json_out *json, const char *name, const struct pool_slot *slot,
                          double value)
{
    if (slot->is_known)
        put_mean(json, name, value);
    else
        json_out_null(json, name);
}

static void put_history_slot(struct json_out *json, timestamp_ns start,
                             const struct pool_slot *slot)
{
    json_out_open_object(json, NULL);
    json_out_time(json, "start", start);
    put_slot_count(json, "arrivals", slot, slot->arrivals);
    put_slot_count(json, "starts", slot, slot->starts);
    put_slot_count(json, "queued_max", slot, slot->queued_max);
    put_slot_mean(json, "queued_mean", slot, slot->queued_mean);
    put_slot_count(json, "running_max", slot, slot->running_max);
    put_slot_mean(json, "running_mean", slot, slot->running_mean);
    json_out_open_object(json, "wait_seconds");
    put_slot_count(json, "count", slot, slot->waits != NULL ? slot->waits->count : 0);
    put_wait_percentile(json, "p50", slot->waits, 50);
    put_wait_percentile(json, "p90", slot->waits, 90);
    put_wait_percentile(json, "p99", slot->waits, 99);
    json_out_close_object(json);
    json_out_close_object(json);
}

// By its name in any case, or its labels in any order. ERROR_NOT_FOUND, with a message.
static enum error_code find_named_pool(const struct view_reader *reader, struct slice name,
                                       struct pool *pool)
{
    struct slice *labels, joined;
    size_t count;
    if (name.len > LABELS_TEXT_MAX)
        return error_set(reader->error, ERROR_NOT_FOUND, "there is no such pool");
    if (!labels_split(name, reader->arena, &labels, &count) ||
        !labels_join(labels, count, reader->arena, &joined))
        return error_set(reader->error, ERROR_MEMORY, "find a pool: out of memory");
    const struct pool_id wanted[] = {pool_make_id(name), pool_make_id(joined)};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct pool_id id = wanted[i];
        enum error_code code = pool_seek(reader->transaction, &id, pool, reader->error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        if (code == ERROR_NONE && memcmp(&id, &wanted[i], sizeof id) == 0)
            return ERROR_NONE;
    }
    return error_set(reader->error, ERROR_NOT_FOUND, "there is no such pool");
}

static enum error_code put_history(struct api_object *object, const struct pool *pool,
                                   const struct pool_history_slots *slots)
{
    struct json_out *json = &object->json;
    const struct view_reader *reader = &object->reader;
    const struct pool_reader of_pool = {reader->transaction, pool, object->call->now,
                                        reader->error};
    struct pool_history history;
    char room[LABELS_TEXT_MAX];
    enum error_code code = pool_history_read(&of_pool, slots, reader->arena, &history);
    if (code != ERROR_NONE)
        return code;
    json_out_text(json, "pool", pool_name(pool, room));
    json_out_count(json, "slot_seconds", (uint64_t)(slots->length / NS_PER_SECOND));
    json_out_time(json, "known_since", history.known_since);
    json_out_open_array(json, "slots");
    for (size_t i = 0; i < slots->count; i++)
        put_history_slot(json, slots->first + (duration_ns)i * slots->length, &history.slots[i]);
    json_out_close_array(json);
    put_unreadable(object);
    return ERROR_NONE;
}

enum error_code api_render_history(const struct api_call *call, struct slice name,
                                   const struct pool_history_span *span)
{
    struct api_object object;
    struct pool_history_slots slots;
    struct pool pool;
    enum error_code code = pool_history_slots_of(span, call->now, &slots, call->error);
    if (code != ERROR_NONE)
        return code;
    code = begin_object(call, &object);
    if (code != ERROR_NONE)
        return code;
    code = find_named_pool(&object.reader, name, &pool);
    return end_object(&object, code == ERROR_NONE ? put_history(&object, &pool, &slots) : code);
}

// --- recent queue times of jobs -------------------------------------------------------------------

#define SLOTS_MAX 24

// Values computed from a histogram.
struct figures {
    uint64_t count;
    duration_ns p50, p90, p99, max;
};

struct pool_latency {
    const struct pool *pool;
    struct figures whole;
    struct figures slots[SLOTS_MAX];
};

struct latency {
    struct api_object object;
    struct pool *pools;
    size_t count;
    struct pool_latency *rows;
    struct histogram *whole, *slot; // one per pool
    duration_ns slot_length;
    size_t slot_count;
    timestamp_ns start;
};

static void summarize_latency(const struct histogram *histogram, struct figures *figures)
{
    *figures = (struct figures){.count = histogram->count,
                                .p50 = histogram_percentile(histogram, 50),
                                .p90 = histogram_percentile(histogram, 90),
                                .p99 = histogram_percentile(histogram, 99),
                                .max = histogram->max};
}

static enum error_code allocate_latency(struct latency *latency)
{
    const struct view_reader *reader = &latency->object.reader;
    enum error_code code = pool_list(reader->transaction, reader->arena, &latency->pools,
                                     &latency->count, reader->error);
    size_t count = latency->count + 1;
    if (code != ERROR_NONE)
        return code;
    latency->rows = arena_allocate_array(reader->arena, count, sizeof *latency->rows);
    latency->whole = arena_allocate_array(reader->arena, count, sizeof *latency->whole);
    latency->slot = arena_allocate_array(reader->arena, count, sizeof *latency->slot);
    if (latency->rows == NULL || latency->whole == NULL || latency->slot == NULL)
        return error_set(reader->error, ERROR_MEMORY, "read latencies: out of memory");
    return ERROR_NONE;
}

static enum error_code read_latency_slot(struct latency *latency, size_t slot)
{
    timestamp_ns from = latency->start + (duration_ns)slot * latency->slot_length;
    memset(latency->slot, 0, latency->count * sizeof *latency->slot);
    const struct latency_query query = {from, from + latency->slot_length, latency->pools,
                                        latency->count};
    enum error_code code = latency_read(latency->object.reader.transaction, &query, latency->slot,
                                        latency->object.reader.error);
    for (size_t i = 0; i < latency->count && code == ERROR_NONE; i++) {
        summarize_latency(&latency->slot[i], &latency->rows[i].slots[slot]);
        histogram_merge(&latency->whole[i], &latency->slot[i]);
    }
    return code;
}

// Most jobs first; then by name, so that the order of rows is stable.
static int compare_pool_latencies(const void *left, const void *right)
{
    const struct pool_latency *a = left, *b = right;
    if (a->whole.count != b->whole.count)
        return a->whole.count > b->whole.count ? -1 : 1;
    int order = slice_compare(a->pool->labels, b->pool->labels);
    return order != 0 ? order : memcmp(&a->pool->id, &b->pool->id, sizeof a->pool->id);
}

static void put_percentile(struct json_out *json, const char *name, const struct figures *figures,
                           duration_ns value)
{
    if (figures->count > 0)
        json_out_seconds(json, name, value);
    else
        json_out_null(json, name);
}

static void put_figures(struct json_out *json, const struct figures *figures)
{
    json_out_count(json, "count", figures->count);
    put_percentile(json, "p50", figures, figures->p50);
    put_percentile(json, "p90", figures, figures->p90);
    put_percentile(json, "p99", figures, figures->p99);
}

static void put_row(struct latency *latency, const struct pool_latency *row)
{
    struct json_out *json = &latency->object.json;
    json_out_open_object(json, NULL);
    put_pool_names(json, row->pool);
    put_figures(json, &row->whole);
    put_percentile(json, "max", &row->whole, row->whole.max);
    json_out_open_array(json, "slots");
    for (size_t i = 0; i < latency->slot_count; i++) {
        json_out_open_object(json, NULL);
        json_out_time(json, "start", latency->start + (duration_ns)i * latency->slot_length);
        put_figures(json, &row->slots[i]);
        json_out_close_object(json);
    }
    json_out_close_array(json);
    json_out_close_object(json);
}

static void put_rows(struct latency *latency)
{
    struct json_out *json = &latency->object.json;
    for (size_t i = 0; i < latency->count; i++) {
        latency->rows[i].pool = &latency->pools[i];
        summarize_latency(&latency->whole[i], &latency->rows[i].whole);
    }
    if (latency->count > 1)
        qsort(latency->rows, latency->count, sizeof *latency->rows, compare_pool_latencies);
    json_out_open_array(json, "pools");
    for (size_t i = 0; i < latency->count && latency->rows[i].whole.count > 0; i++)
        put_row(latency, &latency->rows[i]);
    json_out_close_array(json);
}

enum error_code api_render_latency(const struct api_call *call, bool is_day)
{
    struct latency latency = {.slot_length = is_day ? NS_PER_HOUR : LATENCY_SLOT,
                              .slot_count = is_day ? 24 : 12};
    duration_ns window = (duration_ns)latency.slot_count * latency.slot_length;
    struct json_out *json = &latency.object.json;
    // Whole slots of the store; the current one is the last.
    latency.start = call->now / LATENCY_SLOT * LATENCY_SLOT + LATENCY_SLOT - window;
    enum error_code code = begin_object(call, &latency.object);
    if (code != ERROR_NONE)
        return code;
    code = allocate_latency(&latency);
    for (size_t i = 0; i < latency.slot_count && code == ERROR_NONE; i++)
        code = read_latency_slot(&latency, i);
    json_out_time(json, "now", call->now);
    json_out_count(json, "window_seconds", (uint64_t)(window / NS_PER_SECOND));
    json_out_count(json, "slot_seconds", (uint64_t)(latency.slot_length / NS_PER_SECOND));
    if (code == ERROR_NONE)
        put_rows(&latency);
    put_unreadable(&latency.object);
    return end_object(&latency.object, code);
}

// --- records that the collector refuses while it accepts others -----------------------------------

// A larger record is listed without being decoded.
#define DECODED_MAX ((uint32_t)1 << 20)

// Names the run; a record that cannot be decoded is listed, too, since that may be the reason for the refusal. Of
// other programs' spans only the trace is named: what they say about themselves is not checked.
static enum error_code put_names(struct api_object *object,
                                 const struct store_quarantined *quarantined)
{
    const struct view_reader *reader = &object->reader;
    struct json_out *json = &object->json;
    struct store_record record;
    struct span_batch batch = {.span_count = 0};
    enum error_code code = ERROR_NOT_FOUND;
    if (quarantined->size <= DECODED_MAX)
        code = store_get_record(reader->transaction, quarantined->sequence, &record, reader->error);
    bool is_forwarded = code == ERROR_NONE && store_is_forwarded(&record);
    if (code == ERROR_NONE && !is_forwarded &&
        otlp_decode_batch(record.body, reader->arena, &batch, reader->error) != ERROR_NONE)
        batch = (struct span_batch){.span_count = 0};
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    bool has_span = batch.span_count > 0;
    struct slice server = SLICE_EMPTY; // null if unknown
    if (has_span)
        server = github_server_name(attributes_get_string(&batch.resource, "server.address"));
    json_out_text(json, "server", server);
    json_out_text(json, "owner", attributes_get_string(&batch.resource, "vcs.owner.name"));
    json_out_text(json, "repository",
                  attributes_get_string(&batch.resource, "vcs.repository.name"));
    json_out_text(json, "run_id", attributes_get_string(&batch.resource, "cicd.pipeline.run.id"));
    json_out_text(json, "span", has_span ? batch.spans[0].name : SLICE_EMPTY);
    if (has_span)
        json_out_hex(json, "trace_id", batch.spans[0].trace_id.bytes, TRACE_ID_SIZE);
    else if (is_forwarded)
        json_out_hex(json, "trace_id", record.key.trace.bytes, TRACE_ID_SIZE);
    else
        json_out_null(json, "trace_id");
    return ERROR_NONE;
}

static enum error_code put_records(struct api_object *object, size_t limit)
{
    struct json_out *json = &object->json;
    struct store_quarantined quarantined;
    uint64_t sequence = 0;
    size_t count = 0;
    enum error_code code;
    json_out_open_array(json, "records");
    while ((code = store_seek_quarantined(object->reader.transaction, &sequence, &quarantined,
                                          object->call->error)) == ERROR_NONE &&
           count < limit) {
        json_out_open_object(json, NULL);
        json_out_id(json, "sequence", (int64_t)sequence);
        json_out_count(json, "bytes", quarantined.size);
        json_out_time(json, "since", quarantined.since);
        json_out_text(json, "reason", quarantined.reason);
        code = put_names(object, &quarantined);
        if (code != ERROR_NONE)
            return code;
        json_out_close_object(json);
        count++;
        sequence++;
    }
    json_out_close_array(json);
    json_out_bool(json, "more", code == ERROR_NONE);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code api_render_quarantine(const struct api_call *call, size_t limit)
{
    struct api_object object;
    enum error_code code = begin_object(call, &object);
    return code == ERROR_NONE ? end_object(&object, put_records(&object, limit)) : code;
}

// --- health and data loss -------------------------------------------------------------------------

// The members of one object in the list of the daemon's figures (health.c); "": the outermost object.
static void put_health_figures(struct json_out *json, const struct health_figures *figures,
                               const char *object)
{
    for (size_t i = 0; i < health_family_count; i++) {
        const struct health_family *family = &health_families[i];
        if (family->object == NULL || strcmp(family->object, object) != 0)
            continue;
        if (family->label == NULL) {
            json_out_count(json, family->name, health_number(figures, family, 0));
            continue;
        }
        json_out_open_object(json, family->name);
        for (size_t place = 0; place < family->count; place++)
            json_out_count(json, family->names[place], health_number(figures, family, place));
        json_out_close_object(json);
    }
}

static void put_events(struct json_out *json, const struct ingress_counters *counters)
{
    json_out_open_object(json, "by_event");
    for (size_t event = 0; event < GITHUB_EVENT_KINDS; event++) {
        json_out_open_object(json, github_event_name((enum github_event_kind)event));
        for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++)
            json_out_count(json, ingress_outcome_names[outcome],
                           counters->deliveries[event][outcome]);
        json_out_close_object(json);
    }
    json_out_close_object(json);
}

static void api_put_deliveries(struct json_out *json, const struct health_figures *figures)
{
    json_out_open_object(json, "deliveries");
    for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++) {
        uint64_t sum = 0;
        for (size_t event = 0; event < GITHUB_EVENT_KINDS; event++)
            sum += figures->ingress.deliveries[event][outcome];
        json_out_count(json, ingress_outcome_names[outcome], sum);
    }
    put_health_figures(json, figures, "deliveries");
    put_events(json, &figures->ingress);
    json_out_close_object(json);
}

static void api_put_header_file(struct json_out *json, const struct export_header_file *file)
{
    struct export_header_file_status status;
    if (file == NULL) {
        json_out_null(json, "header_file");
        return;
    }
    export_header_file_read_status(file, &status);
    json_out_open_object(json, "header_file");
    json_out_count(json, "headers", status.count);
    json_out_bool(json, "usable", status.is_usable);
    json_out_time(json, "since", status.since);
    json_out_text(json, "reason", slice_from_string(status.reason));
    json_out_close_object(json);
}

// What the export of traces and that of metrics say about their endpoint.
struct endpoint_state {
    bool is_off;
    bool is_troubled; // otherwise the rest has no content
    timestamp_ns since;
    enum export_trouble category;
    int http_status;
    const char *message;
};

static void put_endpoint_state(struct json_out *json, const struct endpoint_state *state)
{
    char category[HEALTH_CATEGORY_SIZE];
    bool is_troubled = state->is_troubled;
    json_out_text(json, "state",
                  state->is_off ? SLICE("off")
                  : is_troubled ? SLICE("trouble")
                                : SLICE("ok"));
    json_out_time(json, "since", is_troubled ? state->since : TIMESTAMP_UNKNOWN);
    json_out_text(json, "category",
                  is_troubled ? slice_from_string(health_category(state->category, category))
                              : SLICE_EMPTY);
    if (is_troubled && state->http_status > 0)
        json_out_count(json, "http_status", (uint64_t)state->http_status);
    else
        json_out_null(json, "http_status");
    json_out_text(json, "message", is_troubled ? slice_from_string(state->message) : SLICE_EMPTY);
}

static void api_put_trouble(struct json_out *json, const struct view_sources *sources,
                            const struct export_status *status)
{
    const struct endpoint_state state = {.is_off = sources->exporter == NULL,
                                         .is_troubled = status->is_troubled,
                                         .since = status->since,
                                         .category = status->category,
                                         .http_status = status->http_status,
                                         .message = status->message};
    put_endpoint_state(json, &state);
    json_out_text(json, "forwarded_message", slice_from_string(status->forwarded_message));
    json_out_count(json, "quarantined_records", status->quarantined_records);
    json_out_count(json, "quarantined_bytes", status->quarantined_bytes);
}

static void put_arc_report(struct json_out *json, const struct receiver_report *report)
{
    json_out_open_object(json, NULL);
    json_out_time(json, "at", report->at);
    json_out_text(json, "outcome", slice_from_string(arc_outcome_names[report->outcome]));
    json_out_text(json, "repository", slice_from_string(report->repository));
    json_out_id(json, "run_id", report->run_id);
    json_out_count(json, "run_attempt", (uint64_t)report->run_attempt);
    json_out_id(json, "job_id", report->job_id);
    json_out_text(json, "job_name", slice_from_string(report->job_name));
    json_out_text(json, "runner_name", slice_from_string(report->runner_name));
    json_out_close_object(json);
}

// What ARC reported, in sums and one by one, and what else was received at otlp-listen.
static enum error_code put_received(const struct api_call *call, struct json_out *json,
                                    const struct health_figures *figures)
{
    struct receiver *receiver = call->sources->receiver;
    struct receiver_report *reports =
        arena_allocate_array(call->arena, RECEIVER_REPORTS, sizeof *reports);
    if (reports == NULL)
        return error_set(call->error, ERROR_MEMORY, "status: out of memory");
    size_t count = receiver != NULL ? receiver_read_reports(receiver, reports) : 0;
    json_out_open_object(json, "arc");
    put_health_figures(json, figures, "arc");
    json_out_open_array(json, "last");
    for (size_t i = 0; i < count; i++)
        put_arc_report(json, &reports[i]);
    json_out_close_array(json);
    json_out_close_object(json);
    json_out_open_object(json, "otlp");
    json_out_bool(json, "on", receiver != NULL);
    put_health_figures(json, figures, "otlp");
    json_out_close_object(json);
    return ERROR_NONE;
}

static void put_export(struct json_out *json, const struct view_sources *sources,
                       const struct health_figures *figures)
{
    json_out_open_object(json, "outbox");
    put_health_figures(json, figures, "outbox");
    json_out_time(json, "oldest_since", figures->outbox_oldest);
    json_out_close_object(json);
    put_health_figures(json, figures, "");
    json_out_open_object(json, "export");
    json_out_text(json, "endpoint", slice_from_string(sources->export_url));
    api_put_trouble(json, sources, &figures->exporting);
    json_out_count(json, "delivered_records", figures->exporter.sent_records);
    put_health_figures(json, figures, "export");
    api_put_header_file(json, sources->header_file);
    json_out_close_object(json);
}

static void put_metrics_push(struct json_out *json, const struct view_sources *sources,
                             const struct health_figures *figures)
{
    const struct metrics_push_status *status = &figures->pushing;
    const struct endpoint_state state = {.is_off = sources->metrics_push == NULL,
                                         .is_troubled = status->is_troubled,
                                         .since = status->since,
                                         .category = status->category,
                                         .http_status = status->http_status,
                                         .message = status->message};
    json_out_open_object(json, "metrics_push");
    json_out_text(json, "endpoint", slice_from_string(sources->metrics_url));
    put_endpoint_state(json, &state);
    json_out_time(json, "accepted_at", status->accepted_at);
    put_health_figures(json, figures, "metrics_push");
    json_out_close_object(json);
}

static void put_notice_receiver(struct json_out *json, const struct notice_receiver_status *status)
{
    json_out_open_object(json, NULL);
    json_out_text(json, "form", slice_from_string(notice_form_names[status->form]));
    json_out_text(json, "host", slice_from_string(status->host));
    json_out_text(json, "state", status->is_troubled ? SLICE("trouble") : SLICE("ok"));
    json_out_time(json, "since", status->since);
    json_out_count(json, "pending", status->pending);
    json_out_time(json, "accepted_at", status->sent_at);
    if (status->http_status != 0)
        json_out_count(json, "http_status", (uint64_t)status->http_status);
    else
        json_out_null(json, "http_status");
    json_out_text(json, "message", slice_from_string(status->message));
    json_out_close_object(json);
}

static void put_notices(struct json_out *json, const struct view_sources *sources,
                        const struct health_figures *figures)
{
    struct notice_receiver_status status;
    json_out_open_object(json, "notices");
    put_health_figures(json, figures, "notices");
    json_out_open_array(json, "receivers");
    for (size_t i = 0;
         sources->notices != NULL && notices_read_receiver(sources->notices, i, &status); i++)
        put_notice_receiver(json, &status);
    json_out_close_array(json);
    json_out_close_object(json);
}

static void api_put_overflow(struct json_out *json, const struct engine_overflow *overflow)
{
    json_out_open_object(json, "series_overflow");
    json_out_count(json, "sets", overflow->sets);
    json_out_time(json, "last_at", overflow->last_at);
    json_out_text(json, "kind", slice_from_string(overflow->kind));
    json_out_text(json, "example", slice_from_string(overflow->example));
    json_out_close_object(json);
    json_out_open_object(json, "pools_folded");
    json_out_count(json, "jobs", overflow->folded);
    json_out_time(json, "last_at", overflow->folded_at);
    json_out_text(json, "example", slice_from_string(overflow->folded_example));
    json_out_close_object(json);
}

// Counts of the current hour, and of the previous hour if there are any.
static void api_put_notes(struct json_out *json, const struct health_figures *figures,
                          timestamp_ns now)
{
    const struct store_sheds *sheds = &figures->usage.sheds;
    timestamp_ns hour = now - now % NS_PER_HOUR;
    bool is_now = sheds->hour == hour;
    bool is_before = sheds->hour == hour - NS_PER_HOUR;
    json_out_open_object(json, "notes");
    json_out_count(json, "deliveries", figures->usage.delivery_notes);
    json_out_count(json, "jobs", figures->usage.job_notes);
    json_out_count(json, "runs", figures->usage.run_notes);
    json_out_count(json, "roots", figures->usage.root_notes);
    json_out_count(json, "bytes", figures->usage.note_bytes);
    json_out_time(json, "oldest_delivery_at", figures->oldest_delivery);
    json_out_count(json, "shed_this_hour", is_now ? sheds->in_hour : 0);
    json_out_count(json, "shed_last_hour",
                   is_now      ? sheds->in_hour_before
                   : is_before ? sheds->in_hour
                               : 0);
    json_out_count(json, "shed_total", sheds->total);
    json_out_close_object(json);
}

static void put_item(struct json_out *json, enum setup_subject subject,
                     const struct setup_item *item)
{
    const struct ingress_refused *refused = item->refused;
    json_out_open_object(json, NULL);
    json_out_text(json, "name", slice_from_string(setup_subject_text(subject)));
    json_out_text(json, "state", slice_from_string(setup_state_text(item->state)));
    json_out_text(json, "message", slice_from_string(item->message));
    json_out_count(json, "refused", refused != NULL ? refused->in_a_row : 0);
    json_out_time(json, "since", refused != NULL ? refused->since : TIMESTAMP_UNKNOWN);
    json_out_time(json, "last_at", refused != NULL ? refused->last : TIMESTAMP_UNKNOWN);
    json_out_open_array(json, "addresses");
    for (size_t i = 0; refused != NULL && i < refused->address_count; i++)
        json_out_text(json, NULL, slice_from_string(refused->addresses[i]));
    json_out_close_array(json);
    json_out_close_object(json);
}

static void put_setup(struct json_out *json, const struct view_sources *sources,
                      const struct health_figures *figures, timestamp_ns now)
{
    const struct setup_facts facts = health_setup_facts(sources, figures, now);
    struct setup_report report;
    setup_assess(&facts, &report);
    json_out_open_object(json, "setup");
    json_out_bool(json, "ok", !report.is_wrong);
    json_out_open_array(json, "items");
    for (size_t i = 0; i < SETUP_SUBJECTS; i++)
        if (report.items[i].message[0] != '\0')
            put_item(json, (enum setup_subject)i, &report.items[i]);
    json_out_close_array(json);
    json_out_close_object(json);
}

enum error_code api_render_status(const struct api_call *call)
{
    const struct view_sources *sources = call->sources;
    timestamp_ns now = call->now;
    struct health_figures figures;
    struct json_out json;
    enum error_code code = health_figures_read(sources, now, &figures, call->error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, call->out);
    json_out_open_object(&json, NULL);
    json_out_time(&json, "now", now);
    json_out_text(&json, "version", SLICE(GHATRACE_VERSION));
    json_out_time(&json, "started_at", sources->started_at);
    json_out_bool(&json, "ready", figures.is_ready);
    json_out_text(&json, "reason",
                  figures.is_ready ? SLICE_EMPTY : slice_from_string(figures.trouble.message));
    json_out_time(&json, "last_delivery_at", figures.engine.last_event_at);
    api_put_deliveries(&json, &figures);
    put_setup(&json, sources, &figures, now);
    put_export(&json, sources, &figures);
    put_metrics_push(&json, sources, &figures);
    put_notices(&json, sources, &figures);
    code = put_received(call, &json, &figures);
    if (code != ERROR_NONE)
        return code;
    json_out_open_object(&json, "store");
    put_health_figures(&json, &figures, "store");
    json_out_count(&json, "open_runs", figures.open_runs);
    json_out_count(&json, "finished_runs", figures.finished_runs);
    json_out_count(&json, "set_aside", figures.set_aside.kept);
    api_put_notes(&json, &figures, now);
    json_out_close_object(&json);
    api_put_overflow(&json, &figures.overflow);
    json_out_text(&json, "listen", slice_from_string(sources->listen));
    json_out_text(&json, "webhook_path", slice_from_string(sources->webhook_path));
    json_out_count(&json, "history_seconds", (uint64_t)(sources->history / NS_PER_SECOND));
    json_out_close_object(&json);
    return finish_text(&json, call->error);
}
