// Decodes workflow_job payloads.
#include <inttypes.h>
#include <string.h>

#include "payloads.h"

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

enum error_code steps_read(const struct payload *payload, json_value array, void *target)
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

enum error_code job_read(const struct payload *payload, const struct envelope *envelope,
                         struct github_job *job)
{
    enum error_code code =
        fields_read(payload, SLICE("workflow_job"), envelope->workflow_job, &job_table, job);
    if (code != ERROR_NONE)
        return code;
    if (job->run_attempt == 0) // absent in 2021
        job->run_attempt = 1;
    job->workflow_name = payload_name(job->workflow_name);
    return fields_read(payload, SLICE("deployment"), envelope->deployment, &deployment_table, job);
}
