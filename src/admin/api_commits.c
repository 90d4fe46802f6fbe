// The JSON API: the runs of a commit.
#include "api.h"
#include "api_object.h"
#include "ghatrace/github/server.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/view/commit_view.h"

static void put_commit_times(struct json_out *json, const struct commit_times *times)
{
    json_out_seconds(json, "approval_seconds", times->phases[PHASE_WAITING]);
    json_out_seconds(json, "queue_seconds", times->phases[PHASE_QUEUE]);
    json_out_seconds(json, "startup_seconds", times->phases[PHASE_STARTUP]);
    json_out_seconds(json, "execution_seconds", times->phases[PHASE_EXECUTION]);
    json_out_seconds(json, "other_seconds", times->other);
}

static void put_commit_text(struct json_out *json, const struct commit_id *id)
{
    char text[COMMIT_ID_TEXT_SIZE];
    json_out_text(json, "sha", slice_from_string(commit_id_text(id, text)));
}

static void put_commit_run(struct api_object *object, const struct commit_run *run)
{
    struct json_out *json = &object->json;
    json_out_open_object(json, NULL);
    api_put_run_fields(object, &run->view);
    json_out_bool(json, "newest_attempt", run->is_newest);
    json_out_bool(json, "counted", run->is_counted);
    json_out_open_object(json, "waited");
    put_commit_times(json, &run->waited);
    json_out_close_object(json);
    api_put_run_jobs(json, &run->view);
    json_out_bool(json, "more_jobs", run->is_newest && run->has_more_jobs);
    json_out_close_object(json);
}

static void put_commit_link(struct json_out *json, const struct commit_link *link)
{
    const struct run_view *run = &link->run->view;
    bool is_open = link->job != NULL ? link->job->ended_at == TIMESTAMP_UNKNOWN : run->is_open;
    json_out_open_object(json, NULL);
    json_out_id(json, "run_id", run->run_id);
    json_out_count(json, "run_attempt", (uint64_t)run->run_attempt);
    json_out_text(json, "workflow", run->workflow);
    json_out_id(json, "job_id", link->job != NULL ? link->job->job_id : 0);
    json_out_text(json, "job", link->job != NULL ? link->job->name : SLICE_EMPTY);
    json_out_time(json, "start", link->time.start);
    json_out_time(json, "end", is_open ? TIMESTAMP_UNKNOWN : link->time.end);
    for (enum view_phase phase = 0; phase < PHASE_COUNT; phase++) {
        static const char *const names[PHASE_COUNT] = {"approval_seconds", "queue_seconds",
                                                       "startup_seconds", "execution_seconds"};
        json_out_seconds(json, names[phase], link->times.phases[phase]);
    }
    json_out_close_object(json);
}

static void put_waited_for(struct json_out *json, const struct commit_group *group)
{
    const struct commit_run *last = group->last_run;
    if (last == NULL) {
        json_out_null(json, "waited_for");
        return;
    }
    json_out_open_object(json, "waited_for");
    json_out_id(json, "run_id", last->view.run_id);
    json_out_count(json, "run_attempt", (uint64_t)last->view.run_attempt);
    json_out_text(json, "workflow", last->view.workflow);
    put_commit_times(json, &group->waited);
    json_out_open_array(json, "chain");
    for (size_t i = 0; i < group->chain_count; i++)
        put_commit_link(json, &group->chain[i]);
    json_out_close_array(json);
    json_out_close_object(json);
}

static void put_commit(struct json_out *json, const struct commit_id *id,
                       const struct commit_group *group)
{
    const struct run_view *source = &group->source->view;
    json_out_open_object(json, "commit");
    put_commit_text(json, id);
    json_out_text(json, "server", github_server_name(group->server));
    json_out_text(json, "repository", group->repository);
    json_out_text(json, "title", source->title);
    json_out_text(json, "branch", source->branch);
    json_out_text(json, "actor", source->actor);
    json_out_text(json, "event", source->event_name);
    json_out_close_object(json);
}

static void put_commit_group(struct api_object *object, const struct commit_id *id,
                             const struct commit_group *group)
{
    struct json_out *json = &object->json;
    put_commit(json, id, group);
    json_out_time(json, "first_at", group->first);
    json_out_time(json, "ended_at", group->is_open ? TIMESTAMP_UNKNOWN : group->last);
    json_out_text(json, "state", group->is_open ? SLICE("open") : SLICE("finished"));
    json_out_text(json, "result", build_result_text(group->conclusion));
    json_out_text(json, "conclusion", group->conclusion);
    if (group->first != TIMESTAMP_UNKNOWN)
        json_out_seconds(json, "duration_seconds", group->last - group->first);
    else
        json_out_null(json, "duration_seconds");
    put_waited_for(json, group);
    json_out_open_array(json, "runs");
    for (size_t i = 0; i < group->count; i++)
        put_commit_run(object, &group->runs[i]);
    json_out_close_array(json);
}

static void put_view(struct api_object *object, const struct commit_view *view)
{
    struct json_out *json = &object->json;
    put_commit_group(object, &view->id, &view->groups[0]);
    json_out_open_array(json, "others");
    for (size_t i = 1; i < view->group_count; i++) {
        json_out_open_object(json, NULL);
        put_commit_group(object, &view->id, &view->groups[i]);
        json_out_close_object(json);
    }
    json_out_close_array(json);
    json_out_bool(json, "more", view->has_more);
}

static void put_choices(struct json_out *json, const struct commit_choices *choices)
{
    json_out_null(json, "commit");
    json_out_open_array(json, "commits");
    for (size_t i = 0; i < choices->count; i++) {
        const struct run_view *run = &choices->list[i].run;
        json_out_open_object(json, NULL);
        put_commit_text(json, &choices->list[i].id);
        json_out_text(json, "server", github_server_name(run->server));
        json_out_text(json, "repository", run->repository);
        json_out_text(json, "title", run->title);
        json_out_text(json, "branch", run->branch);
        json_out_close_object(json);
    }
    json_out_close_array(json);
    json_out_bool(json, "more", choices->has_more);
}

static enum error_code put_found(struct api_object *object, struct slice text,
                                 const struct commit_prefix *prefix)
{
    const struct view_sources *sources = object->call->sources;
    const struct run_view_limits limits = {.now = object->call->now,
                                           .job_grace = sources->pools.job_grace,
                                           .id_scheme = sources->id_scheme};
    struct commit_choices choices;
    struct commit_view view = {.group_count = 0};
    enum error_code code = commit_view_find(&object->reader, prefix, &limits, &choices);
    if (code == ERROR_NONE && choices.count == 1)
        code = commit_view_load(&object->reader, &choices.list[0].id, &limits, &view);
    if (code != ERROR_NONE)
        return code;
    if (choices.count <= 1 && view.group_count == 0)
        return commit_not_found(text, object->call->error);
    json_out_time(&object->json, "now", object->call->now);
    if (view.group_count > 0)
        put_view(object, &view);
    else
        put_choices(&object->json, &choices);
    api_put_unreadable(object);
    return ERROR_NONE;
}

enum error_code api_render_commit(const struct api_call *call, struct slice text)
{
    struct commit_prefix prefix;
    struct api_object object;
    if (!commit_prefix_parse(text, &prefix))
        return commit_refuse_text(text, call->error);
    enum error_code code = api_begin(call, &object);
    return code == ERROR_NONE ? api_end(&object, put_found(&object, text, &prefix)) : code;
}
