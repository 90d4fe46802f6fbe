// The JSON API: which workflows fail.
#include "api.h"
#include "api_object.h"
#include "ghatrace/github/server.h"
#include "ghatrace/view/failures_view.h"

static void put_shown(struct json_out *json, const struct failures_run *shown, size_t count)
{
    json_out_open_array(json, "recent");
    for (size_t i = 0; i < count; i++) {
        const struct failures_run *run = &shown[i];
        json_out_open_object(json, NULL);
        json_out_id(json, "run_id", run->run_id);
        json_out_count(json, "run_attempt", (uint64_t)run->run_attempt);
        api_put_known_count(json, "run_number", run->run_number > 0, (uint64_t)run->run_number);
        json_out_text(json, "server", github_server_name(run->server));
        json_out_text(json, "branch", run->branch);
        json_out_text(json, "title", run->title);
        json_out_time(json, "ended_at", run->end);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static void put_failures_group(struct json_out *json, const struct failures_group *group)
{
    json_out_open_object(json, NULL);
    json_out_text(json, "server", github_server_name(group->server));
    json_out_text(json, "repository", group->repository);
    json_out_text(json, "workflow", group->workflow);
    json_out_bool(json, "looked_up", group->is_looked_up);
    json_out_text(json, "job", group->job);
    json_out_text(json, "step", group->step);
    json_out_text(json, "error_type", group->error_type);
    json_out_count(json, "failed", group->failed);
    json_out_count(json, "workflow_failed", group->workflow_failed);
    json_out_count(json, "workflow_runs", group->runs);
    json_out_bool(json, "everywhere", group->is_everywhere);
    json_out_time(json, "failing_since", group->failing_since);
    json_out_count(json, "failed_since", group->failed_since);
    json_out_time(json, "last_success_at", group->last_success);
    json_out_time(json, "last_failure_at", group->last_failure);
    json_out_count(json, "branches_failing", group->branches_failing);
    json_out_count(json, "workflow_branches_failing", group->workflow_branches_failing);
    json_out_count(json, "branches", group->branches);
    put_shown(json, group->shown, group->shown_count);
    json_out_close_object(json);
}

static void put_infrastructure(struct json_out *json, const struct failures_view *view)
{
    static const char *const names[FAILURES_FAULTS] = {
        [FAILURES_RUNNER_LOST] = "runner_lost", [FAILURES_NOT_STARTED] = "not_started"};
    json_out_open_array(json, "infrastructure");
    for (size_t i = 0; i < FAILURES_FAULTS; i++) {
        const struct failures_infrastructure *fault = &view->infrastructure[i];
        if (fault->jobs == 0)
            continue;
        json_out_open_object(json, NULL);
        json_out_text(json, "error_type", slice_from_string(names[i]));
        json_out_count(json, "jobs", fault->jobs);
        json_out_count(json, "runs", fault->runs);
        json_out_count(json, "workflows", fault->workflows);
        json_out_time(json, "first_at", fault->first);
        json_out_time(json, "last_at", fault->last);
        put_shown(json, fault->shown, fault->shown_count);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static void put_failures(struct api_object *object, const struct failures_view *view)
{
    struct json_out *json = &object->json;
    size_t end = api_list_end(json->writer.out), i = 0;
    json_out_time(json, "now", object->call->now);
    json_out_time(json, "from", view->from);
    json_out_count(json, "runs", view->runs);
    json_out_count(json, "failed", view->failed);
    json_out_count(json, "detailed", view->detailed);
    json_out_bool(json, "more", view->has_more);
    put_infrastructure(json, view);
    json_out_open_array(json, "failures");
    for (; i < view->count && i < API_FAILURES_MAX && json->writer.out->len < end; i++)
        put_failures_group(json, &view->groups[i]);
    json_out_close_array(json);
    json_out_count(json, "left_out", view->count - i);
    api_put_unreadable(object);
}

enum error_code api_render_failures(const struct api_call *call, struct failures_cache *cache,
                                    duration_ns window)
{
    struct api_object object;
    struct failures_view view;
    if (window == 0)
        window = NS_PER_DAY;
    if (window < FAILURES_WINDOW_LEAST || window > FAILURES_WINDOW_MOST)
        return error_set(call->error, ERROR_USAGE, "window: want a time from 1m to 35d");
    enum error_code code = api_begin(call, &object);
    if (code != ERROR_NONE)
        return code;
    code = failures_cache_read(cache, &object.reader, window, call->now, &view);
    if (code == ERROR_NONE)
        put_failures(&object, &view);
    return api_end(&object, code);
}
