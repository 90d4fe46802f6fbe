// workflow_job payloads.
#include "payloads.h"

// What is no text is no label.
static enum error_code read_labels(const struct payload *payload, json_value array, void *target)
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
    {FIELD_NAME("labels"), FIELD_ARRAY, .read = read_labels},
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
