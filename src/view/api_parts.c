// Runs and jobs as JSON.
#include "api_parts.h"

#include "ghatrace/base/hex.h"
#include "ghatrace/github/server.h"

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

const char *api_standing_text(enum standing_state standing)
{
    switch (standing) {
    case STANDING_WAITING:
        return "waiting";
    case STANDING_QUEUED:
        return "queued";
    case STANDING_RUNNING:
        return "running";
    case STANDING_NONE:
        break;
    }
    return "finished";
}

// The backend's address of a trace, from the operator's template.
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

static void put_job(struct json_out *json, const struct run_view_job *job, bool steps)
{
    json_out_open_object(json, NULL);
    json_out_id(json, "job_id", job->job_id);
    json_out_text(json, "name", job->name);
    json_out_text(json, "state", slice_from_string(api_standing_text(job->standing)));
    json_out_text(json, "result", job->result);
    json_out_text(json, "conclusion", job->conclusion);
    json_out_text(json, "error_type", job->error_type);
    json_out_text(json, "failed_step", job->failed_step);
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
        put_job(json, &run->jobs[i], steps);
    json_out_close_array(json);
}
