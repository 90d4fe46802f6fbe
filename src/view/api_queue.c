// What waits for a runner right now, and for how long.
#include "api_parts.h"
#include "ghatrace/github/server.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/view/queue_view.h"

struct queue {
    struct json_out json;
    timestamp_ns now;
    size_t end; // of the list, in the answer
};

static void put_totals(struct json_out *json, const struct queue_view *view)
{
    json_out_open_object(json, "totals");
    json_out_count(json, "waiting", view->totals[STANDING_WAITING]);
    json_out_count(json, "queued", view->totals[STANDING_QUEUED]);
    json_out_count(json, "running", view->totals[STANDING_RUNNING]);
    json_out_count(json, "open_runs", view->open_runs);
    json_out_close_object(json);
}

static void put_pools(struct json_out *json, const struct queue_view *view)
{
    json_out_open_array(json, "pools");
    for (size_t i = 0; i < view->count; i++) {
        const struct queue_view_pool *row = &view->pools[i];
        json_out_open_object(json, NULL);
        json_out_labels(json, "runner_labels", row->pool.labels);
        json_out_text(json, "runner_group", row->pool.group);
        json_out_count(json, "waiting", row->pool.counts[STANDING_WAITING]);
        json_out_count(json, "queued", row->pool.counts[STANDING_QUEUED]);
        json_out_count(json, "running", row->pool.counts[STANDING_RUNNING]);
        json_out_time(json, "oldest_waiting_since", row->oldest[STANDING_WAITING]);
        json_out_time(json, "oldest_queued_since", row->oldest[STANDING_QUEUED]);
        json_out_time(json, "oldest_running_since", row->oldest[STANDING_RUNNING]);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static enum error_code put_job(void *context, const struct job_state *job,
                               const struct job_standing *standing)
{
    struct queue *queue = context;
    struct json_out *json = &queue->json;
    if (json->writer.out->len > queue->end)
        return ERROR_FULL;
    duration_ns age = queue->now > standing->since ? queue->now - standing->since : 0;
    json_out_open_object(json, NULL);
    json_out_id(json, "job_id", job->job_id);
    json_out_text(json, "name", job->body.name);
    json_out_id(json, "run_id", job->run_id);
    json_out_count(json, "run_attempt", (uint64_t)job->run_attempt);
    json_out_text(json, "server", github_server_name(job->server));
    json_out_text(json, "repository", job->repository.full_name);
    json_out_text(json, "workflow", job->body.workflow_name);
    json_out_text(json, "branch", job->body.head_branch);
    json_out_text(json, "state", slice_from_string(api_standing_text(standing->state)));
    json_out_time(json, "since", standing->since);
    json_out_seconds(json, "age_seconds", age);
    json_out_texts(json, "runner_labels", job->body.labels, job->body.label_count);
    json_out_text(json, "runner_group", job->runner_group_name);
    json_out_text(json, "runner_name", job->runner_name);
    json_out_text(json, "url", job->body.html_url);
    json_out_close_object(json);
    return json_out_finish(json);
}

static enum error_code read_labels(struct slice text, struct arena *arena, struct slice *joined,
                                   struct error *error)
{
    struct slice *labels;
    size_t count;
    if (!labels_split(text, arena, &labels, &count) || !labels_join(labels, count, arena, joined))
        return error_set(error, ERROR_MEMORY, "list the queue: out of memory");
    return ERROR_NONE;
}

static enum error_code read_state(struct slice text, enum standing_state *state,
                                  struct error *error)
{
    const enum standing_state states[] = {STANDING_WAITING, STANDING_QUEUED, STANDING_RUNNING};
    *state = STANDING_NONE;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (slice_equals(text, slice_from_string(api_standing_text(states[i]))))
            *state = states[i];
    if (text.len > 0 && *state == STANDING_NONE)
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
    code = queue_view_walk(transaction, &view, filter, arena, put_job, queue, &has_more, error);
    if (code == ERROR_FULL) { // of put_job()
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
        code = read_labels(query->runner_labels, arena, &filter.labels, error);
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
    // A failure of the text itself is told at its end, with words.
    return code == ERROR_NONE || code == json_out_finish(&queue.json)
               ? api_finish(&queue.json, error)
               : code;
}
