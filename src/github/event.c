// One delivery: which kind of event it is, and whether it is for us.
#include "ghatrace/github/event.h"

#include <string.h>

#include "payloads.h"

#define AT(member) .offset = offsetof(struct envelope, member)

// Of all but `action` only the place is noted: whether they are looked at depends on the action.
static const struct field envelope_rows[] = {
    {FIELD_NAME("action"), FIELD_STRING, .required = true, AT(action)},
    {FIELD_NAME("workflow_job"), FIELD_VALUE, AT(workflow_job)},
    {FIELD_NAME("workflow_run"), FIELD_VALUE, AT(workflow_run)},
    {FIELD_NAME("workflow"), FIELD_VALUE, AT(workflow)},
    {FIELD_NAME("repository"), FIELD_VALUE, AT(repository)},
    {FIELD_NAME("deployment"), FIELD_VALUE, AT(deployment)},
};
static const struct field_table envelope_table = FIELD_TABLE(envelope_rows);

struct action_name {
    struct slice name;
    int action;
};

static const struct action_name job_actions[] = {
    {FIELD_NAME("queued"), GITHUB_JOB_QUEUED},
    {FIELD_NAME("waiting"), GITHUB_JOB_WAITING},
    {FIELD_NAME("in_progress"), GITHUB_JOB_IN_PROGRESS},
    {FIELD_NAME("completed"), GITHUB_JOB_COMPLETED},
};

static const struct action_name run_actions[] = {
    {FIELD_NAME("requested"), GITHUB_RUN_REQUESTED},
    {FIELD_NAME("in_progress"), GITHUB_RUN_IN_PROGRESS},
    {FIELD_NAME("completed"), GITHUB_RUN_COMPLETED},
};

// The action's value, or -1.
static int find_action(const struct action_name *names, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equals(names[i].name, name))
            return names[i].action;
    return -1;
}

#define FIND_ACTION(names, name) find_action(names, sizeof(names) / sizeof((names)[0]), name)

static enum error_code ignore(struct github_event *event, const char *reason)
{
    *event = (struct github_event){.kind = GITHUB_EVENT_IGNORED, .ignored_because = reason};
    return ERROR_NONE;
}

static bool contains(struct slice text, struct slice part)
{
    return slice_find(text, part) >= 0;
}

// Does the URL lead to a job of a run (".../actions/runs/1/job/2", in 2023 also ".../jobs/2") and
// not to a bare check run (".../runs/2")? The repository's own name, which may be "job", is left out.
static bool is_job_url(struct slice url, struct slice repository_url)
{
    if (slice_starts_with(url, repository_url)) {
        url.data += repository_url.len;
        url.len -= repository_url.len;
    }
    return contains(url, SLICE("/job/")) || contains(url, SLICE("/jobs/"));
}

// A check run that a step made with GITHUB_TOKEN (a test reporter, say) is delivered as a completed
// workflow_job, under a run that need not be its own: actions/actions-runner-controller#2118 and
// dorny/test-reporter#224. Before 2023 real jobs had such an html_url too, but those have labels.
static bool is_check_run(const struct github_job *job, const struct github_repository *repository)
{
    return job->action == GITHUB_JOB_COMPLETED && job->label_count == 0 && job->step_count == 0 &&
           job->runner_id == 0 && job->runner_name.len == 0 && job->html_url.len > 0 &&
           !is_job_url(job->html_url, repository->html_url);
}

static enum error_code refuse_missing(const struct payload *payload, struct slice name)
{
    const struct field_path path = {.name = name};
    return fields_refuse(payload, &path, "missing");
}

static enum error_code decode_job(const struct payload *payload, const struct envelope *envelope,
                                  struct github_event *event)
{
    int action = FIND_ACTION(job_actions, envelope->action);
    if (action < 0)
        return ignore(event, "action of workflow_job not used");
    if (envelope->workflow_job == JSON_NONE)
        return refuse_missing(payload, SLICE("workflow_job"));
    if (json_type_of(&payload->document, envelope->workflow_job) == JSON_NULL)
        return ignore(event, "workflow_job is null");

    event->kind = GITHUB_EVENT_JOB;
    event->job.action = (enum github_job_action)action;
    enum error_code code = repository_read(payload, envelope, &event->repository);
    if (code == ERROR_NONE)
        code = job_read(payload, envelope, &event->job);
    if (code == ERROR_NONE && is_check_run(&event->job, &event->repository))
        return ignore(event, "check run that is not a job");
    return code;
}

static enum error_code decode_run(const struct payload *payload, const struct envelope *envelope,
                                  struct github_event *event)
{
    int action = FIND_ACTION(run_actions, envelope->action);
    if (action < 0)
        return ignore(event, "action of workflow_run not used");
    if (json_type_of(&payload->document, envelope->workflow_run) == JSON_NULL)
        return refuse_missing(payload, SLICE("workflow_run"));

    event->kind = GITHUB_EVENT_RUN;
    event->run.action = (enum github_run_action)action;
    enum error_code code = repository_read(payload, envelope, &event->repository);
    if (code == ERROR_NONE)
        code = run_read(payload, envelope, &event->run);
    return code;
}

static enum error_code decode(struct slice event_type, struct slice body, struct arena *arena,
                              struct github_event *event, struct error *error)
{
    struct payload payload = {.arena = arena, .error = error};
    struct envelope envelope = {.action = SLICE_EMPTY,
                                .workflow_job = JSON_NONE,
                                .workflow_run = JSON_NONE,
                                .workflow = JSON_NONE,
                                .repository = JSON_NONE,
                                .deployment = JSON_NONE};
    bool is_job = slice_equals(event_type, SLICE("workflow_job"));

    memset(event, 0, sizeof(*event));
    enum error_code code = json_parse(body, arena, &payload.document, error);
    if (code != ERROR_NONE)
        return code;
    if (json_type_of(&payload.document, JSON_ROOT) != JSON_OBJECT)
        return error_set(error, ERROR_INVALID, "payload: not a JSON object");
    if (slice_equals(event_type, SLICE("ping"))) {
        event->kind = GITHUB_EVENT_PING;
        return ERROR_NONE;
    }
    if (!is_job && !slice_equals(event_type, SLICE("workflow_run")))
        return ignore(event, "event type not used");
    code = fields_read(&payload, NULL, JSON_ROOT, &envelope_table, &envelope);
    if (code != ERROR_NONE)
        return code;
    return is_job ? decode_job(&payload, &envelope, event) : decode_run(&payload, &envelope, event);
}

enum error_code github_event_decode(struct slice event_type, struct slice body, struct arena *arena,
                                    struct github_event *event, struct error *error)
{
    arena_set_limit(arena, GITHUB_EVENT_MEMORY_MAX);
    enum error_code code = decode(event_type, body, arena, event, error);
    if (code == ERROR_MEMORY && arena->is_over_limit)
        code = error_set(error, ERROR_TOO_LARGE, "payload: takes more than %zu MiB when decoded",
                         GITHUB_EVENT_MEMORY_MAX >> 20);
    arena_lift_limit(arena);
    return code;
}
