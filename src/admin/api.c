// The JSON API: the queue, latencies, quarantine, status; and helpers shared with the runs.
#include "api.h"
#include "ghatrace/base/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/open_runs.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/recent.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/view/queue_view.h"
#include "metrics.h"

// --- runs and jobs as JSON ------------------------------------------------------------------------

// The labels of a text that labels_join() made: "a,b" as ["a","b"], "a\,b" as ["a,b"].
static void api_put_labels(struct json_out *json, const char *name, struct slice joined)
{
    char room[LABELS_TEXT_MAX];
    struct slice label;
    joined = utf8_cut(joined, sizeof room);
    json_out_open_array(json, name);
    while (labels_next(&joined, room, &label))
        json_out_text(json, NULL, label);
    json_out_close_array(json);
}

size_t api_list_end(const struct buffer *out)
{
    return out->len + (out->max - out->len) / 4;
}

enum error_code api_finish(struct json_out *json, struct error *error)
{
    json_write_raw(&json->writer, SLICE("\n"));
    enum error_code code = json_out_finish(json);
    if (code != ERROR_NONE)
        error_set(error, code, "write an answer: %s", error_code_text(code));
    return code;
}

const char *api_open_job_text(enum open_job_kind open_state)
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
static void put_trace_url(struct json_out *json, const struct view_sources *sources,
                          const struct run_view *run, struct arena *arena)
{
    static const char placeholder[] = "{trace_id}";
    struct slice template = slice_from_string(sources->trace_url);
    ptrdiff_t at = slice_find(template, SLICE("{trace_id}"));
    struct slice url = SLICE_EMPTY;
    char hex[2 * TRACE_ID_SIZE + 1];
    if (at >= 0) {
        hex_encode(run->trace.bytes, TRACE_ID_SIZE, hex);
        const char *rest = template.data + at + sizeof placeholder - 1;
        if (!arena_format(arena, &url, "%.*s%.*s%s", (int)at, template.data, 2 * TRACE_ID_SIZE, hex,
                          rest))
            json->writer.failure = ERROR_MEMORY;
    }
    json_out_text(json, "trace_url", url);
}

void api_put_run(struct json_out *json, const struct view_sources *sources,
                 const struct run_view *run, struct arena *arena)
{
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
    put_trace_url(json, sources, run, arena);
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
    json_out_text(json, "state", slice_from_string(api_open_job_text(job->open_state)));
    json_out_text(json, "result", job->result);
    json_out_text(json, "conclusion", job->conclusion);
    json_out_text(json, "error_type", job->error_type);
    json_out_text(json, "failed_step",
                  job->failed_step != NULL ? job->failed_step->name : SLICE_EMPTY);
    json_out_bool(json, "incomplete", job->is_incomplete);
    json_out_bool(json, "carried_over", job->is_carried_over);
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

void api_put_jobs(struct json_out *json, const struct run_view *run, bool steps)
{
    json_out_open_array(json, "jobs");
    for (size_t i = 0; i < run->count; i++)
        put_run_job(json, &run->jobs[i], steps);
    json_out_close_array(json);
}

// --- jobs that currently wait for a runner, and for how long --------------------------------------

struct queue {
    struct json_out json;
    timestamp_ns now;
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

static void put_pools(struct json_out *json, const struct queue_view *view)
{
    json_out_open_array(json, "pools");
    for (size_t i = 0; i < view->count; i++) {
        const struct queue_view_pool *row = &view->pools[i];
        json_out_open_object(json, NULL);
        api_put_labels(json, "runner_labels", row->pool.labels);
        json_out_text(json, "runner_group", row->pool.group);
        json_out_count(json, "waiting", row->pool.counts[OPEN_JOB_WAITING]);
        json_out_count(json, "queued", row->pool.counts[OPEN_JOB_QUEUED]);
        json_out_count(json, "running", row->pool.counts[OPEN_JOB_RUNNING]);
        json_out_time(json, "oldest_waiting_since", row->oldest[OPEN_JOB_WAITING]);
        json_out_time(json, "oldest_queued_since", row->oldest[OPEN_JOB_QUEUED]);
        json_out_time(json, "oldest_running_since", row->oldest[OPEN_JOB_RUNNING]);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static enum error_code put_open_job(void *context, const struct job_state *job,
                                    const struct open_job_state *open_state)
{
    struct queue *queue = context;
    struct json_out *json = &queue->json;
    if (json->writer.out->len > queue->end)
        return ERROR_FULL;
    duration_ns age = queue->now > open_state->since ? queue->now - open_state->since : 0;
    json_out_open_object(json, NULL);
    json_out_id(json, "job_id", job->job_id);
    json_out_text(json, "name", job->body.name);
    json_out_id(json, "run_id", job->run_id);
    json_out_count(json, "run_attempt", (uint64_t)job->run_attempt);
    json_out_text(json, "server", github_server_name(job->server));
    json_out_text(json, "repository", job->repository.full_name);
    json_out_text(json, "workflow", job->body.workflow_name);
    json_out_text(json, "branch", job->body.head_branch);
    json_out_text(json, "state", slice_from_string(api_open_job_text(open_state->state)));
    json_out_time(json, "since", open_state->since);
    json_out_seconds(json, "age_seconds", age);
    json_out_texts(json, "runner_labels", job->body.labels, job->body.label_count);
    json_out_text(json, "runner_group", job->runner_group_name);
    json_out_text(json, "runner_name", job->runner_name);
    json_out_text(json, "url", job->body.html_url);
    json_out_close_object(json);
    return json_out_finish(json);
}

static enum error_code read_label_filter(struct slice text, struct arena *arena,
                                         struct slice *joined, struct error *error)
{
    struct slice *labels;
    size_t count;
    if (!labels_split(text, arena, &labels, &count) || !labels_join(labels, count, arena, joined))
        return error_set(error, ERROR_MEMORY, "list the queue: out of memory");
    return ERROR_NONE;
}

static enum error_code read_state(struct slice text, enum open_job_kind *state, struct error *error)
{
    const enum open_job_kind states[] = {OPEN_JOB_WAITING, OPEN_JOB_QUEUED, OPEN_JOB_RUNNING};
    *state = OPEN_JOB_NONE;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (slice_equals(text, slice_from_string(api_open_job_text(states[i]))))
            *state = states[i];
    if (text.len > 0 && *state == OPEN_JOB_NONE)
        return error_set(error, ERROR_USAGE, "state: want waiting, queued or running");
    return ERROR_NONE;
}

static enum error_code put_queue(struct queue *queue, struct store_transaction *transaction,
                                 const struct queue_view_filter *filter, struct arena *arena,
                                 struct error *error)
{
    struct queue_view view;
    bool has_more = false;
    enum error_code code = queue_view_load(transaction, arena, &view, error);
    if (code != ERROR_NONE)
        return code;
    put_totals(&queue->json, &view);
    put_pools(&queue->json, &view);
    json_out_open_array(&queue->json, "jobs");
    code =
        queue_view_walk(transaction, &view, filter, arena, put_open_job, queue, &has_more, error);
    if (code == ERROR_FULL) { // returned by put_open_job()
        has_more = true;
        code = ERROR_NONE;
    }
    json_out_close_array(&queue->json);
    json_out_bool(&queue->json, "more", has_more);
    json_out_count(&queue->json, "unreadable", store_unreadable(transaction));
    return code;
}

enum error_code api_render_queue(const struct view_sources *sources,
                                 const struct api_queue_query *query, timestamp_ns now,
                                 struct arena *arena, struct buffer *out, struct error *error)
{
    struct queue_view_filter filter = {.limit = query->limit};
    struct store_transaction *transaction;
    struct queue queue = {.now = now};
    enum error_code code = read_state(query->state, &filter.state, error);
    if (code == ERROR_NONE)
        code = read_label_filter(query->runner_labels, arena, &filter.labels, error);
    if (code == ERROR_NONE)
        code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&queue.json, out);
    queue.end = api_list_end(out);
    json_out_open_object(&queue.json, NULL);
    json_out_time(&queue.json, "now", now);
    code = put_queue(&queue, transaction, &filter, arena, error);
    json_out_close_object(&queue.json);
    store_abort(transaction);
    // An error of the output itself is reported with its message by json_out_finish().
    return code == ERROR_NONE || code == json_out_finish(&queue.json)
               ? api_finish(&queue.json, error)
               : code;
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
    struct store_transaction *transaction;
    struct arena *arena;
    struct error *error;
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
    enum error_code code = pool_list(latency->transaction, latency->arena, &latency->pools,
                                     &latency->count, latency->error);
    size_t count = latency->count + 1;
    if (code != ERROR_NONE)
        return code;
    latency->rows = arena_allocate_array(latency->arena, count, sizeof *latency->rows);
    latency->whole = arena_allocate_array(latency->arena, count, sizeof *latency->whole);
    latency->slot = arena_allocate_array(latency->arena, count, sizeof *latency->slot);
    if (latency->rows == NULL || latency->whole == NULL || latency->slot == NULL)
        return error_set(latency->error, ERROR_MEMORY, "read latencies: out of memory");
    return ERROR_NONE;
}

static enum error_code read_latency_slot(struct latency *latency, size_t slot)
{
    timestamp_ns from = latency->start + (duration_ns)slot * latency->slot_length;
    memset(latency->slot, 0, latency->count * sizeof *latency->slot);
    enum error_code code =
        latency_read(latency->transaction, from, from + latency->slot_length, latency->pools,
                     latency->count, latency->slot, latency->error);
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
    return order != 0 ? order : slice_compare(a->pool->group, b->pool->group);
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

static void put_row(struct json_out *json, const struct latency *latency,
                    const struct pool_latency *row)
{
    json_out_open_object(json, NULL);
    api_put_labels(json, "runner_labels", row->pool->labels);
    json_out_text(json, "runner_group", row->pool->group);
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

static void put_rows(struct json_out *json, struct latency *latency)
{
    for (size_t i = 0; i < latency->count; i++) {
        latency->rows[i].pool = &latency->pools[i];
        summarize_latency(&latency->whole[i], &latency->rows[i].whole);
    }
    if (latency->count > 1)
        qsort(latency->rows, latency->count, sizeof *latency->rows, compare_pool_latencies);
    json_out_open_array(json, "pools");
    for (size_t i = 0; i < latency->count && latency->rows[i].whole.count > 0; i++)
        put_row(json, latency, &latency->rows[i]);
    json_out_close_array(json);
}

enum error_code api_render_latency(const struct view_sources *sources, bool is_day,
                                   timestamp_ns now, struct arena *arena, struct buffer *out,
                                   struct error *error)
{
    struct latency latency = {.arena = arena,
                              .error = error,
                              .slot_length = is_day ? NS_PER_HOUR : LATENCY_SLOT,
                              .slot_count = is_day ? 24 : 12};
    duration_ns window = (duration_ns)latency.slot_count * latency.slot_length;
    struct json_out json;
    // Whole slots of the store; the current one is the last.
    latency.start = now / LATENCY_SLOT * LATENCY_SLOT + LATENCY_SLOT - window;
    enum error_code code = store_begin(sources->store, false, &latency.transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = allocate_latency(&latency);
    for (size_t i = 0; i < latency.slot_count && code == ERROR_NONE; i++)
        code = read_latency_slot(&latency, i);
    json_out_init(&json, out);
    json_out_open_object(&json, NULL);
    json_out_time(&json, "now", now);
    json_out_count(&json, "window_seconds", (uint64_t)(window / NS_PER_SECOND));
    json_out_count(&json, "slot_seconds", (uint64_t)(latency.slot_length / NS_PER_SECOND));
    if (code == ERROR_NONE)
        put_rows(&json, &latency);
    json_out_count(&json, "unreadable", store_unreadable(latency.transaction));
    json_out_close_object(&json);
    store_abort(latency.transaction);
    return code == ERROR_NONE ? api_finish(&json, error) : code;
}

// --- records that the collector refuses while it accepts others -----------------------------------

// A larger record is listed without being decoded.
#define DECODED_MAX ((uint32_t)1 << 20)

// Names the run; a record that cannot be decoded is listed, too, since that may be the reason for the refusal.
static enum error_code put_names(struct json_out *json, struct store_transaction *transaction,
                                 const struct store_quarantined *quarantined, struct arena *arena,
                                 struct error *error)
{
    struct store_record record;
    struct span_batch batch = {.span_count = 0};
    enum error_code code = ERROR_NOT_FOUND;
    if (quarantined->size <= DECODED_MAX)
        code = store_get_record(transaction, quarantined->sequence, &record, error);
    if (code == ERROR_NONE && otlp_decode_batch(record.body, arena, &batch, error) != ERROR_NONE)
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
    else
        json_out_null(json, "trace_id");
    return ERROR_NONE;
}

static enum error_code put_records(struct json_out *json, struct store_transaction *transaction,
                                   size_t limit, struct arena *arena, struct error *error)
{
    struct store_quarantined quarantined;
    uint64_t sequence = 0;
    size_t count = 0;
    enum error_code code;
    json_out_open_array(json, "records");
    while ((code = store_seek_quarantined(transaction, &sequence, &quarantined, error)) ==
               ERROR_NONE &&
           count < limit) {
        json_out_open_object(json, NULL);
        json_out_id(json, "sequence", (int64_t)sequence);
        json_out_count(json, "bytes", quarantined.size);
        json_out_time(json, "since", quarantined.since);
        json_out_text(json, "reason", quarantined.reason);
        code = put_names(json, transaction, &quarantined, arena, error);
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

enum error_code api_render_quarantine(const struct view_sources *sources, size_t limit,
                                      struct arena *arena, struct buffer *out, struct error *error)
{
    struct store_transaction *transaction;
    struct json_out json;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, out);
    json_out_open_object(&json, NULL);
    code = put_records(&json, transaction, limit, arena, error);
    store_abort(transaction);
    if (code != ERROR_NONE)
        return code;
    json_out_close_object(&json);
    return api_finish(&json, error);
}

// --- health and data loss -------------------------------------------------------------------------

// The members of one object in the list of the daemon's figures (metrics.c); "": the outermost object.
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

static void api_put_trouble(struct json_out *json, const struct view_sources *sources,
                            const struct export_status *status)
{
    char category[HEALTH_CATEGORY_SIZE];
    bool is_off = sources->exporter == NULL;
    bool is_troubled = status->is_troubled;
    json_out_text(json, "state",
                  is_off        ? SLICE("off")
                  : is_troubled ? SLICE("trouble")
                                : SLICE("ok"));
    json_out_time(json, "since", is_troubled ? status->since : TIMESTAMP_UNKNOWN);
    json_out_text(json, "category",
                  is_troubled ? slice_from_string(health_category(status->category, category))
                              : SLICE_EMPTY);
    if (is_troubled && status->http_status > 0)
        json_out_count(json, "http_status", (uint64_t)status->http_status);
    else
        json_out_null(json, "http_status");
    json_out_text(json, "message", is_troubled ? slice_from_string(status->message) : SLICE_EMPTY);
    json_out_count(json, "quarantined_records", status->quarantined_records);
    json_out_count(json, "quarantined_bytes", status->quarantined_bytes);
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

static void api_put_overflow(struct json_out *json, const struct engine_overflow *overflow)
{
    json_out_open_object(json, "series_overflow");
    json_out_count(json, "sets", overflow->sets);
    json_out_time(json, "last_at", overflow->last_at);
    json_out_text(json, "kind", slice_from_string(overflow->kind));
    json_out_text(json, "example", slice_from_string(overflow->example));
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
    setup_judge(&facts, &report);
    json_out_open_object(json, "setup");
    json_out_bool(json, "ok", !report.is_wrong);
    json_out_open_array(json, "items");
    for (size_t i = 0; i < SETUP_SUBJECTS; i++)
        put_item(json, (enum setup_subject)i, &report.items[i]);
    json_out_close_array(json);
    json_out_close_object(json);
}

enum error_code api_render_status(const struct view_sources *sources, timestamp_ns now,
                                  struct buffer *out, struct error *error)
{
    struct health_figures figures;
    struct json_out json;
    enum error_code code = health_figures_read(sources, now, &figures, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, out);
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
    return api_finish(&json, error);
}
