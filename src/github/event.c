// Decodes one delivery: which kind of event it is, and whether it is supported.
#include "ghatrace/github/event.h"

#include <string.h>

#include "ghatrace/github/server.h"
#include "payloads.h"

#define AT(member) .offset = offsetof(struct envelope, member)

// For all members but `action` only the position is noted: whether they are read depends on the action.
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
    *event = (struct github_event){
        .kind = GITHUB_EVENT_IGNORED, .type = event->type, .ignored_because = reason};
    return ERROR_NONE;
}

// The event's subject is null: there is nothing to do, and a redelivery would not change that.
static enum error_code ignore_null(struct github_event *event, const char *reason)
{
    ignore(event, reason);
    event->is_malformed = true;
    return ERROR_NONE;
}

struct slice payload_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] > ' ')
            return text;
    return SLICE_EMPTY;
}

static bool url_contains(struct slice text, struct slice part)
{
    return slice_find(text, part) >= 0;
}

// True if the URL is that of a bare check run (".../runs/2") and not of a job of a run (".../actions/runs/1/job/2",
// in 2023 also ".../jobs/2"). The repository's own name, which may be "job", is skipped.
static bool is_check_run_url(struct slice url, struct slice repository_url)
{
    if (slice_starts_with(url, repository_url)) {
        url.data += repository_url.len;
        url.len -= repository_url.len;
    }
    return url_contains(url, SLICE("/runs/")) && !url_contains(url, SLICE("/job/")) &&
           !url_contains(url, SLICE("/jobs/"));
}

// A check run that a step creates with GITHUB_TOKEN (for example a test reporter) is delivered as a completed
// workflow_job, under a run that may not be its own: actions/actions-runner-controller#2118 and
// dorny/test-reporter#224. Before 2023 real jobs had such an html_url too, but those have labels.
static bool is_check_run(const struct github_job *job, const struct github_repository *repository)
{
    return job->action == GITHUB_JOB_COMPLETED && job->label_count == 0 && job->step_count == 0 &&
           job->runner_id == 0 && job->runner_name.len == 0 && job->html_url.len > 0 &&
           is_check_run_url(job->html_url, repository->html_url);
}

static bool is_null(const struct payload *payload, json_value value)
{
    return value != JSON_NONE && json_type_of(&payload->document, value) == JSON_NULL;
}

// The member of a payload that an event is about.
struct subject {
    struct slice name;
    const char *if_null; // why the event is ignored
};

static const struct subject job_subject = {FIELD_NAME("workflow_job"), "workflow_job is null"};
static const struct subject run_subject = {FIELD_NAME("workflow_run"), "workflow_run is null"};

// Ignores the event if its subject or its repository is null, which means that GitHub no longer has it. ERROR_INVALID
// if there is no subject. The repository is not part of an event's identity: if it is missing or invalid, the event is
// used without one.
static enum error_code check_subject(const struct payload *payload, const struct envelope *envelope,
                                     json_value value, const struct subject *subject,
                                     struct github_event *event)
{
    if (is_null(payload, value))
        return ignore_null(event, subject->if_null);
    if (json_type_of(&payload->document, value) != JSON_OBJECT)
        return fields_refuse(payload, SLICE_EMPTY, subject->name,
                             value == JSON_NONE ? "missing" : "not an object");
    if (is_null(payload, envelope->repository))
        return ignore_null(event, "repository is null");
    return ERROR_NONE;
}

static enum error_code decode_job(const struct payload *payload, const struct envelope *envelope,
                                  struct github_event *event)
{
    int action = FIND_ACTION(job_actions, envelope->action);
    if (action < 0)
        return ignore(event, "action of workflow_job not used");
    enum error_code code =
        check_subject(payload, envelope, envelope->workflow_job, &job_subject, event);
    if (code != ERROR_NONE || event->ignored_because != NULL)
        return code;

    event->kind = GITHUB_EVENT_JOB;
    event->job.action = (enum github_job_action)action;
    code = repository_read(payload, envelope, &event->repository);
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
    enum error_code code =
        check_subject(payload, envelope, envelope->workflow_run, &run_subject, event);
    if (code != ERROR_NONE || event->ignored_because != NULL)
        return code;

    event->kind = GITHUB_EVENT_RUN;
    event->run.action = (enum github_run_action)action;
    code = repository_read(payload, envelope, &event->repository);
    if (code == ERROR_NONE)
        code = run_read(payload, envelope, &event->run);
    return code;
}

const char *github_event_name(enum github_event_kind type)
{
    switch (type) {
    case GITHUB_EVENT_JOB:
        return "workflow_job";
    case GITHUB_EVENT_RUN:
        return "workflow_run";
    case GITHUB_EVENT_PING:
        return "ping";
    case GITHUB_EVENT_IGNORED:
        break;
    }
    return "other";
}

enum github_event_kind github_event_type_of(struct slice name)
{
    enum github_event_kind type = GITHUB_EVENT_JOB;
    while (type < GITHUB_EVENT_IGNORED &&
           !slice_equals(name, slice_from_string(github_event_name(type))))
        type++;
    return type;
}

enum github_event_use github_event_use_of(enum github_event_kind kind)
{
    switch (kind) {
    case GITHUB_EVENT_JOB:
    case GITHUB_EVENT_RUN:
        return GITHUB_EVENT_USE_STORE;
    case GITHUB_EVENT_PING:
        return GITHUB_EVENT_USE_ANSWER;
    case GITHUB_EVENT_IGNORED:
        break;
    }
    return GITHUB_EVENT_USE_NONE;
}

static enum error_code decode_by_type(const struct payload *payload,
                                      const struct envelope *envelope, struct github_event *event)
{
    switch (event->type) {
    case GITHUB_EVENT_JOB:
        return decode_job(payload, envelope, event);
    case GITHUB_EVENT_RUN:
        return decode_run(payload, envelope, event);
    case GITHUB_EVENT_PING:
        event->kind = GITHUB_EVENT_PING;
        hook_read(payload, &event->hook);
        return ERROR_NONE;
    case GITHUB_EVENT_IGNORED:
        break;
    }
    return ignore(event, "event type not used");
}

static enum error_code decode_body(struct slice event_type, struct slice body, struct arena *arena,
                                   struct github_event *event, struct error *error)
{
    struct payload payload = {.arena = arena, .error = error};
    struct envelope envelope = {.action = SLICE_EMPTY,
                                .workflow_job = JSON_NONE,
                                .workflow_run = JSON_NONE,
                                .workflow = JSON_NONE,
                                .repository = JSON_NONE,
                                .deployment = JSON_NONE};
    memset(event, 0, sizeof(*event));
    event->kind = GITHUB_EVENT_IGNORED;
    event->type = github_event_type_of(event_type);
    bool is_stored = github_event_use_of(event->type) == GITHUB_EVENT_USE_STORE;
    enum error_code code = json_parse(body, arena, &payload.document, error);
    if (code != ERROR_NONE)
        return code;
    if (json_type_of(&payload.document, JSON_ROOT) != JSON_OBJECT)
        return error_set(error, ERROR_INVALID, "payload: not a JSON object");
    if (is_stored) // other kinds need none
        code = fields_read(&payload, SLICE_EMPTY, JSON_ROOT, &envelope_table, &envelope);
    if (code == ERROR_NONE)
        code = decode_by_type(&payload, &envelope, event);
    if (code == ERROR_NONE && is_stored &&
        github_server_of_url(event->repository.html_url, arena, &event->server) != ERROR_NONE)
        code = error_set(error, ERROR_MEMORY, "no memory for the name of a server");
    return code;
}

enum error_code github_event_decode(struct slice event_type, struct slice body, struct arena *arena,
                                    struct github_event *event, struct error *error)
{
    arena_set_limit(arena, GITHUB_EVENT_MEMORY_MAX);
    enum error_code code = decode_body(event_type, body, arena, event, error);
    if (code == ERROR_MEMORY && arena->is_over_limit)
        code = error_set(error, ERROR_TOO_LARGE, "payload: takes more than %zu MiB when decoded",
                         GITHUB_EVENT_MEMORY_MAX >> 20);
    arena_lift_limit(arena);
    return code;
}
