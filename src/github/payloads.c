// Decodes payloads, controlled by tables of fields: repositories, jobs, runs; and the webhook settings in a ping.
#include "payloads.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "ghatrace/base/time.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/github/server.h"

// --- reading fields by a table -------------------------------------------------------------------

#define TABLE_ROWS_MAX 32 // one bit each in struct reading

// The number of elements of an array that have this type.
static size_t fields_count(const struct payload *payload, json_value array, enum json_type type)
{
    size_t count = 0;
    json_value element = json_first_element(&payload->document, array);
    for (; element != JSON_NONE; element = json_next_element(&payload->document, element))
        count += json_type_of(&payload->document, element) == type;
    return count;
}

enum error_code fields_refuse(const struct payload *payload, struct slice path, struct slice name,
                              const char *problem)
{
    return error_set(payload->error, ERROR_INVALID, "%.*s%s%.*s: %s", SLICE_ARGS(path),
                     path.len > 0 ? "." : "", SLICE_ARGS(name), problem);
}

// Reads a single FIELD_STRING: an array's element, for example. Leaves `out` unchanged if the value is not a string.
// ERROR_MEMORY.
static enum error_code fields_read_string(const struct payload *payload, json_value value,
                                          struct slice *out)
{
    if (json_type_of(&payload->document, value) != JSON_STRING)
        return ERROR_NONE;
    if (!json_string_start(&payload->document, value, GITHUB_TEXT_MAX, payload->arena, out))
        return error_set(payload->error, ERROR_MEMORY, "no memory for a string of the payload");
    return ERROR_NONE;
}

// One object being read.
struct reading {
    const struct payload *payload;
    struct slice path; // names the object in messages
    const struct field_table *table;
    void *target;
    uint32_t seen;       // rows of the table that were found, one bit each
    uint32_t present;    // of these, those with a valid value
    const char *problem; // with the last value, static text; NULL: the value was stored
};

static enum error_code read_string(struct reading *reading, json_value value, struct slice *out)
{
    if (json_type_of(&reading->payload->document, value) != JSON_STRING)
        reading->problem = "not a string";
    return fields_read_string(reading->payload, value, out);
}

static void read_integer(struct reading *reading, json_value value, int64_t least, int64_t *out)
{
    int64_t integer = 0;
    if (!json_int64(&reading->payload->document, value, &integer))
        reading->problem = "not a 64-bit integer";
    else if (integer < least)
        reading->problem = least > 0 ? "not positive" : "negative";
    else
        *out = integer;
}

static enum error_code read_time_field(struct reading *reading, json_value value, timestamp_ns *out)
{
    struct slice text = SLICE_EMPTY;
    timestamp_ns time;
    enum error_code code = fields_read_string(reading->payload, value, &text);
    if (code == ERROR_NONE && timestamp_parse_rfc3339(text, &time))
        *out = time;
    else
        reading->problem = "not a time";
    return code;
}

static void read_boolean(struct reading *reading, json_value value, bool *out)
{
    enum json_type type = json_type_of(&reading->payload->document, value);
    if (type == JSON_TRUE || type == JSON_FALSE)
        *out = type == JSON_TRUE;
    else
        reading->problem = "not a boolean";
}

static enum error_code read_nested(struct reading *reading, json_value value,
                                   const struct field *field)
{
    const struct payload *payload = reading->payload;
    enum json_type wanted = field->kind == FIELD_OBJECT ? JSON_OBJECT : JSON_ARRAY;
    if (json_type_of(&payload->document, value) != wanted) {
        reading->problem = wanted == JSON_OBJECT ? "not an object" : "not an array";
        return ERROR_NONE;
    }
    if (wanted == JSON_ARRAY)
        return field->read(payload, value, reading->target);
    return fields_read(payload, field->name, value, field->nested, reading->target);
}

static enum error_code read_field(struct reading *reading, json_value value,
                                  const struct field *field)
{
    void *place = (char *)reading->target + field->offset;

    switch (field->kind) {
    case FIELD_STRING:
        return read_string(reading, value, place);
    case FIELD_INTEGER:
        read_integer(reading, value, 0, place);
        break;
    case FIELD_ID:
        read_integer(reading, value, 1, place);
        break;
    case FIELD_TIME:
        return read_time_field(reading, value, place);
    case FIELD_BOOLEAN:
        read_boolean(reading, value, place);
        break;
    case FIELD_VALUE:
        *(json_value *)place = value;
        break;
    case FIELD_OBJECT:
    case FIELD_ARRAY:
        return read_nested(reading, value, field);
    }
    return ERROR_NONE;
}

// The table's row for a key, or -1. The lengths of most names differ, so this is cheap.
static int find_field_row(const struct field_table *table, struct slice name)
{
    for (size_t i = 0; i < table->count; i++)
        if (slice_equals(table->rows[i].name, name))
            return (int)i;
    return -1;
}

static enum error_code refuse_missing(const struct reading *reading)
{
    const struct field_table *table = reading->table;

    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].required && (reading->present & UINT32_C(1) << i) == 0)
            return fields_refuse(reading->payload, reading->path, table->rows[i].name, "missing");
    return ERROR_NONE;
}

static enum error_code read_member(struct reading *reading, json_value key)
{
    const struct json_document *document = &reading->payload->document;
    char scratch[JSON_KEY_MAX];

    int row = find_field_row(reading->table, json_key_text(document, key, scratch));
    uint32_t bit = row < 0 ? 0 : UINT32_C(1) << row;
    if (row < 0 || (reading->seen & bit) != 0)
        return ERROR_NONE;
    reading->seen |= bit;

    const struct field *field = &reading->table->rows[row];
    json_value value = json_key_value(document, key);
    if (json_type_of(document, value) == JSON_NULL && field->kind != FIELD_VALUE)
        return ERROR_NONE;
    reading->problem = NULL;
    enum error_code code = read_field(reading, value, field);
    if (code == ERROR_NONE && reading->problem == NULL)
        reading->present |= bit;
    else if (code == ERROR_NONE && field->required)
        code = fields_refuse(reading->payload, reading->path, field->name, reading->problem);
    return code;
}

enum error_code fields_read(const struct payload *payload, struct slice path, json_value object,
                            const struct field_table *table, void *target)
{
    struct reading reading = {.payload = payload, .path = path, .table = table, .target = target};

    assert(table->count <= TABLE_ROWS_MAX);
    json_value key = json_first_key(&payload->document, object);
    for (; key != JSON_NONE; key = json_next_key(&payload->document, key)) {
        enum error_code code = read_member(&reading, key);
        if (code != ERROR_NONE)
            return code;
    }
    assert((reading.present & ~reading.seen) == 0);
    return refuse_missing(&reading);
}

// --- the repository that an event belongs to ------------------------------------------------------

#define OF_REPOSITORY(member) .offset = offsetof(struct github_repository, member)

static const struct field owner_rows[] = {
    {FIELD_NAME("login"), FIELD_STRING, OF_REPOSITORY(owner)},
};
static const struct field_table owner_table = FIELD_TABLE(owner_rows);

// An organization may define custom properties of any type, for example lists; one that is not a string is ignored.
static const struct field property_rows[] = {
    {FIELD_NAME("service_name"), FIELD_STRING, OF_REPOSITORY(service_name)},
};
static const struct field_table property_table = FIELD_TABLE(property_rows);

static const struct field repository_rows[] = {
    {FIELD_NAME("full_name"), FIELD_STRING, OF_REPOSITORY(full_name)},
    {FIELD_NAME("name"), FIELD_STRING, OF_REPOSITORY(name)},
    {FIELD_NAME("owner"), FIELD_OBJECT, .nested = &owner_table},
    {FIELD_NAME("html_url"), FIELD_STRING, OF_REPOSITORY(html_url)},
    {FIELD_NAME("default_branch"), FIELD_STRING, OF_REPOSITORY(default_branch)},
    {FIELD_NAME("custom_properties"), FIELD_OBJECT, .nested = &property_table},
};
static const struct field_table repository_table = FIELD_TABLE(repository_rows);

// The payload has the name twice, whole and in its two parts: each is used if the other is missing.
static enum error_code complete_names(const struct payload *payload,
                                      struct github_repository *repository)
{
    struct slice whole = repository->full_name;
    ptrdiff_t slash = slice_find(whole, SLICE("/"));
    if (slash >= 0 && repository->owner.len == 0)
        repository->owner = (struct slice){whole.data, (size_t)slash};
    if (slash >= 0 && repository->name.len == 0)
        repository->name = slice_skip(whole, (size_t)slash + 1);
    if (whole.len > 0 || repository->owner.len == 0 || repository->name.len == 0)
        return ERROR_NONE;
    if (!arena_format(payload->arena, &repository->full_name, "%.*s/%.*s",
                      SLICE_ARGS(repository->owner), SLICE_ARGS(repository->name)))
        return error_set(payload->error, ERROR_MEMORY, "no memory for a repository's name");
    repository->full_name = utf8_cut(repository->full_name, GITHUB_TEXT_MAX);
    return ERROR_NONE;
}

enum error_code repository_read(const struct payload *payload, const struct envelope *envelope,
                                struct github_repository *repository)
{
    enum error_code code = fields_read(payload, SLICE("repository"), envelope->repository,
                                       &repository_table, repository);
    return code == ERROR_NONE ? complete_names(payload, repository) : code;
}

// --- the steps of a job, in the order of their numbers --------------------------------------------

static const struct field step_rows[] = {
    {FIELD_NAME("name"), FIELD_STRING, .offset = offsetof(struct github_step, name)},
    {FIELD_NAME("number"), FIELD_INTEGER, .offset = offsetof(struct github_step, number)},
    {FIELD_NAME("status"), FIELD_STRING, .offset = offsetof(struct github_step, status)},
    {FIELD_NAME("conclusion"), FIELD_STRING, .offset = offsetof(struct github_step, conclusion)},
    {FIELD_NAME("started_at"), FIELD_TIME, .offset = offsetof(struct github_step, started_at)},
    {FIELD_NAME("completed_at"), FIELD_TIME, .offset = offsetof(struct github_step, completed_at)},
};
static const struct field_table step_table = FIELD_TABLE(step_rows);

// A step without a name gets its number as the name: its times are valid nevertheless.
static enum error_code complete_step(const struct payload *payload, size_t index,
                                     struct github_step *step)
{
    if (step->number == 0) // `number` is not documented and may be missing
        step->number = (int64_t)index + 1;
    if (step->name.len == 0 &&
        !arena_format(payload->arena, &step->name, "step %" PRId64, step->number))
        return error_set(payload->error, ERROR_MEMORY, "no memory for the name of a step");
    return ERROR_NONE;
}

static enum error_code read_steps(const struct payload *payload, json_value array,
                                  struct github_step *steps, size_t *count)
{
    const struct json_document *document = &payload->document;
    json_value element = json_first_element(document, array);

    for (size_t index = 0; element != JSON_NONE; index++) {
        if (json_type_of(document, element) == JSON_OBJECT) {
            struct github_step *step = &steps[(*count)++];
            enum error_code code = fields_read(payload, SLICE_EMPTY, element, &step_table, step);
            if (code == ERROR_NONE)
                code = complete_step(payload, index, step);
            if (code != ERROR_NONE)
                return code;
        }
        element = json_next_element(document, element);
    }
    return ERROR_NONE;
}

static void merge(const struct github_step *left, size_t left_count,
                  const struct github_step *right, size_t right_count, struct github_step *out)
{
    while (left_count > 0 || right_count > 0) {
        bool take_left = right_count == 0 || (left_count > 0 && left->number <= right->number);
        *out++ = take_left ? *left++ : *right++;
        if (take_left)
            left_count--;
        else
            right_count--;
    }
}

static bool is_sorted(const struct github_step *steps, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (steps[i - 1].number > steps[i].number)
            return false;
    return true;
}

// Merge sort, starting with runs of length 1: stable, unlike qsort, and never quadratic. `spare` has room for as
// many. Returns the array that holds the result.
static struct github_step *sort_steps(struct github_step *steps, struct github_step *spare,
                                      size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t left = count - start < width ? count - start : width;
            size_t rest = count - start - left;
            size_t right = rest < width ? rest : width;
            merge(steps + start, left, steps + start + left, right, spare + start);
        }
        struct github_step *sorted = spare;
        spare = steps;
        steps = sorted;
    }
    return steps;
}

static enum error_code steps_read(const struct payload *payload, json_value array, void *target)
{
    struct github_job *job = target;

    size_t capacity = fields_count(payload, array, JSON_OBJECT);
    if (capacity == 0)
        return ERROR_NONE;
    struct github_step *steps = arena_allocate_array(payload->arena, capacity, sizeof(*steps));
    if (steps == NULL)
        goto refused;
    enum error_code code = read_steps(payload, array, steps, &job->step_count);
    if (code != ERROR_NONE)
        return code;
    if (!is_sorted(steps, job->step_count)) {
        struct github_step *spare = arena_allocate_array(payload->arena, capacity, sizeof(*spare));
        if (spare == NULL)
            goto refused;
        steps = sort_steps(steps, spare, job->step_count);
    }
    job->steps = steps;
    return ERROR_NONE;

refused:
    return error_set(payload->error, ERROR_MEMORY, "no memory for %zu steps", capacity);
}

// --- workflow_job payloads ------------------------------------------------------------------------

// A value that is not a string is not a label.
static enum error_code read_job_labels(const struct payload *payload, json_value array,
                                       void *target)
{
    const struct json_document *document = &payload->document;
    struct github_job *job = target;

    size_t capacity = fields_count(payload, array, JSON_STRING);
    if (capacity > GITHUB_LABELS_MAX)
        capacity = GITHUB_LABELS_MAX;
    if (capacity == 0)
        return ERROR_NONE;
    struct slice *labels = arena_allocate_array(payload->arena, capacity, sizeof(*labels));
    if (labels == NULL)
        return error_set(payload->error, ERROR_MEMORY, "no memory for %zu labels", capacity);
    job->labels = labels;

    json_value element = json_first_element(document, array);
    for (; element != JSON_NONE && job->label_count < capacity;
         element = json_next_element(document, element)) {
        if (json_type_of(document, element) != JSON_STRING)
            continue;
        enum error_code code = fields_read_string(payload, element, &labels[job->label_count++]);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

#define AT(member) .offset = offsetof(struct github_job, member)

static const struct field job_rows[] = {
    {FIELD_NAME("id"), FIELD_ID, .required = true, AT(job_id)},
    {FIELD_NAME("run_id"), FIELD_ID, .required = true, AT(run_id)},
    {FIELD_NAME("name"), FIELD_STRING, AT(name)},
    {FIELD_NAME("run_attempt"), FIELD_INTEGER, AT(run_attempt)},
    {FIELD_NAME("workflow_name"), FIELD_STRING, AT(workflow_name)},
    {FIELD_NAME("head_branch"), FIELD_STRING, AT(head_branch)},
    {FIELD_NAME("head_sha"), FIELD_STRING, AT(head_sha)},
    {FIELD_NAME("html_url"), FIELD_STRING, AT(html_url)},
    {FIELD_NAME("status"), FIELD_STRING, AT(status)},
    {FIELD_NAME("conclusion"), FIELD_STRING, AT(conclusion)},
    {FIELD_NAME("created_at"), FIELD_TIME, AT(created_at)},
    {FIELD_NAME("started_at"), FIELD_TIME, AT(started_at)},
    {FIELD_NAME("completed_at"), FIELD_TIME, AT(completed_at)},
    {FIELD_NAME("runner_id"), FIELD_INTEGER, AT(runner_id)},
    {FIELD_NAME("runner_name"), FIELD_STRING, AT(runner_name)},
    {FIELD_NAME("runner_group_name"), FIELD_STRING, AT(runner_group_name)},
    {FIELD_NAME("labels"), FIELD_ARRAY, .read = read_job_labels},
    {FIELD_NAME("steps"), FIELD_ARRAY, .read = steps_read},
};
static const struct field_table job_table = FIELD_TABLE(job_rows);

static const struct field deployment_rows[] = {
    {FIELD_NAME("id"), FIELD_INTEGER, AT(deployment_id)},
    {FIELD_NAME("environment"), FIELD_STRING, AT(deployment_environment)},
};
static const struct field_table deployment_table = FIELD_TABLE(deployment_rows);

static enum error_code job_read(const struct payload *payload, const struct envelope *envelope,
                                struct github_job *job)
{
    enum error_code code =
        fields_read(payload, SLICE("workflow_job"), envelope->subject, &job_table, job);
    if (code != ERROR_NONE)
        return code;
    if (job->run_attempt == 0) // absent in 2021
        job->run_attempt = 1;
    job->workflow_name = payload_name(job->workflow_name);
    return fields_read(payload, SLICE("deployment"), envelope->deployment, &deployment_table, job);
}

static bool url_contains(struct slice text, struct slice part)
{
    return slice_find(text, part) >= 0;
}

// True if the URL is that of a bare check run (".../runs/2") and not of a job of a run (".../actions/runs/1/job/2",
// in 2023 also ".../jobs/2"). The repository's own name, which may be "job", is skipped.
static bool is_check_run_url(struct slice url, struct slice repository_url)
{
    if (slice_starts_with(url, repository_url))
        url = slice_skip(url, repository_url.len);
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

static const struct action_name job_actions[] = {
    {FIELD_NAME("queued"), GITHUB_JOB_QUEUED},
    {FIELD_NAME("waiting"), GITHUB_JOB_WAITING},
    {FIELD_NAME("in_progress"), GITHUB_JOB_IN_PROGRESS},
    {FIELD_NAME("completed"), GITHUB_JOB_COMPLETED},
};

enum error_code job_decode(const struct payload *payload, const struct envelope *envelope,
                           struct github_event *event)
{
    int action = FIND_ACTION(job_actions, envelope->action);
    if (action < 0)
        return payload_ignore(event, "action of workflow_job not used");
    enum error_code code = payload_check_subject(payload, envelope, "workflow_job is null", event);
    if (code != ERROR_NONE || event->ignored_because != NULL)
        return code;

    event->kind = GITHUB_EVENT_JOB;
    event->job.action = (enum github_job_action)action;
    code = repository_read(payload, envelope, &event->repository);
    if (code == ERROR_NONE)
        code = job_read(payload, envelope, &event->job);
    if (code == ERROR_NONE && is_check_run(&event->job, &event->repository))
        return payload_ignore(event, "check run that is not a job");
    return code;
}

// --- workflow_run payloads ------------------------------------------------------------------------

#undef AT
#define AT(member) .offset = offsetof(struct github_run, member)

static const struct field base_rows[] = {
    {FIELD_NAME("ref"), FIELD_STRING, AT(pull_request_base)},
};
static const struct field_table base_table = FIELD_TABLE(base_rows);

static const struct field pull_request_rows[] = {
    {FIELD_NAME("number"), FIELD_INTEGER, AT(pull_request_number)},
    {FIELD_NAME("base"), FIELD_OBJECT, .nested = &base_table},
};
static const struct field_table pull_request_table = FIELD_TABLE(pull_request_rows);

// The first element that is an object.
static enum error_code read_pull_requests(const struct payload *payload, json_value array,
                                          void *target)
{
    const struct json_document *document = &payload->document;
    json_value first = json_first_element(document, array);

    while (first != JSON_NONE && json_type_of(document, first) != JSON_OBJECT)
        first = json_next_element(document, first);
    return fields_read(payload, SLICE_EMPTY, first, &pull_request_table, target);
}

struct reference {
    struct slice path;
    struct slice sha;
};

static const struct field reference_rows[] = {
    {FIELD_NAME("path"), FIELD_STRING, .offset = offsetof(struct reference, path)},
    {FIELD_NAME("sha"), FIELD_STRING, .offset = offsetof(struct reference, sha)},
};
static const struct field_table reference_table = FIELD_TABLE(reference_rows);

// "octo/repo/.github/workflows/x.yml@main" at commit c: "octo/repo/.github/workflows/x.yml@c".
static enum error_code join_reference(const struct payload *payload,
                                      const struct reference *reference, struct slice *out)
{
    ptrdiff_t at = slice_find(reference->path, SLICE("@"));
    size_t path_length = at >= 0 ? (size_t)at : reference->path.len;
    size_t length = path_length + 1 + reference->sha.len;

    char *text = arena_allocate(payload->arena, length);
    if (text == NULL)
        return error_set(payload->error, ERROR_MEMORY, "no memory for a referenced workflow");
    memcpy(text, reference->path.data, path_length);
    text[path_length] = '@';
    memcpy(text + path_length + 1, reference->sha.data, reference->sha.len);
    *out = utf8_cut((struct slice){.data = text, .len = length}, GITHUB_TEXT_MAX);
    return ERROR_NONE;
}

static enum error_code read_reference(const struct payload *payload, json_value element,
                                      struct slice *references, size_t *count)
{
    struct reference reference = {.path = SLICE_EMPTY, .sha = SLICE_EMPTY};

    enum error_code code = fields_read(payload, SLICE_EMPTY, element, &reference_table, &reference);
    if (code != ERROR_NONE || reference.path.len == 0 || reference.sha.len == 0)
        return code;
    return join_reference(payload, &reference, &references[(*count)++]);
}

static enum error_code read_references(const struct payload *payload, json_value array,
                                       void *target)
{
    const struct json_document *document = &payload->document;
    struct github_run *run = target;

    size_t capacity = fields_count(payload, array, JSON_OBJECT);
    if (capacity > GITHUB_REFERENCES_MAX)
        capacity = GITHUB_REFERENCES_MAX;
    if (capacity == 0)
        return ERROR_NONE;
    struct slice *references = arena_allocate_array(payload->arena, capacity, sizeof(*references));
    if (references == NULL)
        return error_set(payload->error, ERROR_MEMORY, "no memory for %zu referenced workflows",
                         capacity);
    run->referenced_workflows = references;

    json_value element = json_first_element(document, array);
    for (; element != JSON_NONE && run->referenced_workflow_count < capacity;
         element = json_next_element(document, element)) {
        enum error_code code =
            read_reference(payload, element, references, &run->referenced_workflow_count);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static const struct field actor_rows[] = {{FIELD_NAME("login"), FIELD_STRING, AT(actor)}};
static const struct field_table actor_table = FIELD_TABLE(actor_rows);

static const struct field triggering_actor_rows[] = {
    {FIELD_NAME("login"), FIELD_STRING, AT(triggering_actor)},
};
static const struct field_table triggering_actor_table = FIELD_TABLE(triggering_actor_rows);

static const struct field run_rows[] = {
    {FIELD_NAME("id"), FIELD_ID, .required = true, AT(run_id)},
    {FIELD_NAME("name"), FIELD_STRING, AT(workflow_name)},
    {FIELD_NAME("run_attempt"), FIELD_INTEGER, AT(run_attempt)},
    {FIELD_NAME("run_number"), FIELD_INTEGER, AT(run_number)},
    {FIELD_NAME("display_title"), FIELD_STRING, AT(display_title)},
    {FIELD_NAME("event"), FIELD_STRING, AT(event_name)},
    {FIELD_NAME("path"), FIELD_STRING, AT(workflow_path)},
    {FIELD_NAME("status"), FIELD_STRING, AT(status)},
    {FIELD_NAME("conclusion"), FIELD_STRING, AT(conclusion)},
    {FIELD_NAME("head_branch"), FIELD_STRING, AT(head_branch)},
    {FIELD_NAME("head_sha"), FIELD_STRING, AT(head_sha)},
    {FIELD_NAME("actor"), FIELD_OBJECT, .nested = &actor_table},
    {FIELD_NAME("triggering_actor"), FIELD_OBJECT, .nested = &triggering_actor_table},
    {FIELD_NAME("created_at"), FIELD_TIME, AT(created_at)},
    {FIELD_NAME("updated_at"), FIELD_TIME, AT(updated_at)},
    {FIELD_NAME("run_started_at"), FIELD_TIME, AT(run_started_at)},
    {FIELD_NAME("referenced_workflows"), FIELD_ARRAY, .read = read_references},
    {FIELD_NAME("pull_requests"), FIELD_ARRAY, .read = read_pull_requests},
};
static const struct field_table run_table = FIELD_TABLE(run_rows);

struct workflow {
    struct slice name;
    struct slice path;
};

static const struct field workflow_rows[] = {
    {FIELD_NAME("name"), FIELD_STRING, .offset = offsetof(struct workflow, name)},
    {FIELD_NAME("path"), FIELD_STRING, .offset = offsetof(struct workflow, path)},
};
static const struct field_table workflow_table = FIELD_TABLE(workflow_rows);

// Removes the ref from ".github/workflows/x.yml@refs/heads/main", which GitHub sends if the file is taken from
// another ref than the run's own: the workflow is the same at each ref. Searches for both extensions of workflow
// files, because '@' may be part of their names.
static struct slice without_ref(struct slice path)
{
    static const struct slice ends[] = {FIELD_NAME(".yml@"), FIELD_NAME(".yaml@")};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        ptrdiff_t at = slice_find(path, ends[i]);
        if (at >= 0)
            path.len = (size_t)at + ends[i].len - 1;
    }
    return path;
}

// `workflow_run.name` may be "" or the run-name text of this run, which then is its display_title, too;
// `workflow.name` is the workflow's own name, the same for all of its runs. If it has none, the path of its file is
// used. Without any data about the workflow, the run's name is used if it may be the workflow's.
static struct slice name_of_workflow(const struct github_run *run, struct slice run_name,
                                     const struct workflow *workflow, bool has_workflow)
{
    bool is_of_workflow = !has_workflow && !slice_equals(run_name, run->display_title);
    struct slice path = payload_name(run->workflow_path);
    if (path.len == 0)
        path = payload_name(workflow->path);
    const struct slice names[] = {payload_name(workflow->name),
                                  is_of_workflow ? run_name : SLICE_EMPTY, without_ref(path),
                                  run_name};
    size_t i = 0;
    while (i + 1 < sizeof(names) / sizeof(names[0]) && names[i].len == 0)
        i++;
    return names[i];
}

static enum error_code run_read(const struct payload *payload, const struct envelope *envelope,
                                struct github_run *run)
{
    struct workflow workflow = {.name = SLICE_EMPTY, .path = SLICE_EMPTY};
    bool has_workflow = json_type_of(&payload->document, envelope->workflow) == JSON_OBJECT;

    enum error_code code =
        fields_read(payload, SLICE("workflow_run"), envelope->subject, &run_table, run);
    if (code == ERROR_NONE)
        code =
            fields_read(payload, SLICE("workflow"), envelope->workflow, &workflow_table, &workflow);
    if (code != ERROR_NONE)
        return code;
    if (run->run_attempt == 0) // absent in 2021
        run->run_attempt = 1;
    // So far it holds workflow_run.name.
    run->workflow_name =
        name_of_workflow(run, payload_name(run->workflow_name), &workflow, has_workflow);
    return ERROR_NONE;
}

static const struct action_name run_actions[] = {
    {FIELD_NAME("requested"), GITHUB_RUN_REQUESTED},
    {FIELD_NAME("in_progress"), GITHUB_RUN_IN_PROGRESS},
    {FIELD_NAME("completed"), GITHUB_RUN_COMPLETED},
};

enum error_code run_decode(const struct payload *payload, const struct envelope *envelope,
                           struct github_event *event)
{
    int action = FIND_ACTION(run_actions, envelope->action);
    if (action < 0)
        return payload_ignore(event, "action of workflow_run not used");
    enum error_code code = payload_check_subject(payload, envelope, "workflow_run is null", event);
    if (code != ERROR_NONE || event->ignored_because != NULL)
        return code;

    event->kind = GITHUB_EVENT_RUN;
    event->run.action = (enum github_run_action)action;
    code = repository_read(payload, envelope, &event->repository);
    if (code == ERROR_NONE)
        code = run_read(payload, envelope, &event->run);
    return code;
}

// --- the webhook settings in a ping --------------------------------------------------------------

static json_value get_member(const struct payload *payload, json_value object, struct slice name)
{
    return json_get(&payload->document, object, name);
}

// Empty if it is not a string, or if out of memory.
static struct slice get_member_text(const struct payload *payload, json_value object,
                                    struct slice name)
{
    struct slice text;
    return json_string_start(&payload->document, get_member(payload, object, name), GITHUB_TEXT_MAX,
                             payload->arena, &text)
               ? text
               : SLICE_EMPTY;
}

static void read_events(const struct payload *payload, json_value events, struct github_hook *hook)
{
    const struct json_document *document = &payload->document;
    bool is_ticked[GITHUB_EVENT_KINDS] = {false};
    struct slice name;
    if (json_type_of(document, events) != JSON_ARRAY)
        return;
    hook->has_events = true;
    json_value element = json_first_element(document, events);
    for (; element != JSON_NONE; element = json_next_element(document, element)) {
        if (!json_string_start(document, element, GITHUB_TEXT_MAX, payload->arena, &name))
            continue;
        if (slice_equals(name, SLICE("*")))
            is_ticked[GITHUB_EVENT_JOB] = is_ticked[GITHUB_EVENT_RUN] = true;
        else
            is_ticked[github_event_type_of(name)] = true;
    }
    hook->has_jobs = is_ticked[GITHUB_EVENT_JOB];
    hook->has_runs = is_ticked[GITHUB_EVENT_RUN];
}

// "https://user:password@host/path?token=x#y" → "https://host/path".
static struct slice without_secrets(const struct payload *payload, struct slice url)
{
    ptrdiff_t start = slice_find(url, SLICE("://"));
    struct slice shown = url;
    size_t end = start < 0 ? 0 : (size_t)start + 3;
    size_t authority = end, at = end;
    while (end < url.len && url.data[end] != '?' && url.data[end] != '#')
        end++;
    shown.len = end;
    for (size_t i = authority; i < end && url.data[i] != '/'; i++)
        if (url.data[i] == '@')
            at = i + 1;
    if (at == authority || !arena_format(payload->arena, &shown, "%.*s%.*s", (int)authority,
                                         url.data, (int)(end - at), url.data + at))
        shown.len = at == authority ? end : 0;
    return shown;
}

// GitHub sends "0" and "1"; its schema also allows numbers.
static bool is_flag_set(const struct payload *payload, json_value value)
{
    struct slice text;
    int64_t number;
    if (json_int64(&payload->document, value, &number))
        return number != 0;
    return json_string_start(&payload->document, value, GITHUB_TEXT_MAX, payload->arena, &text) &&
           slice_equals(text, SLICE("1"));
}

static struct slice get_owner(const struct payload *payload)
{
    json_value repository = get_member(payload, JSON_ROOT, SLICE("repository"));
    struct slice name = get_member_text(payload, repository, SLICE("full_name"));
    return name.len > 0
               ? name
               : get_member_text(payload, get_member(payload, JSON_ROOT, SLICE("organization")),
                                 SLICE("login"));
}

// Reads a ping's outermost object. Skips what it cannot read.
enum error_code ping_decode(const struct payload *payload, const struct envelope *envelope,
                            struct github_event *event)
{
    struct github_hook *hook = &event->hook;
    (void)envelope;
    event->kind = GITHUB_EVENT_PING;
    json_value value = get_member(payload, JSON_ROOT, SLICE("hook"));
    json_value config = get_member(payload, value, SLICE("config"));
    read_events(payload, get_member(payload, value, SLICE("events")), hook);
    json_value active = get_member(payload, value, SLICE("active"));
    hook->is_inactive = json_type_of(&payload->document, active) == JSON_FALSE;
    hook->is_insecure = is_flag_set(payload, get_member(payload, config, SLICE("insecure_ssl")));
    if (!json_int64(&payload->document, get_member(payload, JSON_ROOT, SLICE("hook_id")),
                    &hook->hook_id))
        hook->hook_id = 0;
    hook->type = get_member_text(payload, value, SLICE("type"));
    hook->owner = get_owner(payload);
    hook->url = without_secrets(payload, get_member_text(payload, config, SLICE("url")));
    hook->content_type = get_member_text(payload, config, SLICE("content_type"));
    return ERROR_NONE;
}
