// Fast non-cryptographic hash for comparing data in memory.
#include "ghatrace/trace/fingerprint.h"

#include "ghatrace/trace/merge.h"

#define ODD UINT64_C(0x9e3779b97f4a7c15)

static uint64_t fingerprint_add_number(uint64_t fingerprint, uint64_t number)
{
    fingerprint = (fingerprint ^ number) * ODD;
    return fingerprint ^ fingerprint >> 29;
}

// Eight bytes at a time, assembled by shifts, which the compiler turns into one load.
static uint64_t read_word(const char *bytes, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    return word;
}

uint64_t fingerprint_add_text(uint64_t fingerprint, struct slice text)
{
    size_t at = 0;
    fingerprint = fingerprint_add_number(fingerprint, text.len);
    for (; text.len - at >= 8; at += 8)
        fingerprint = fingerprint_add_number(fingerprint, read_word(text.data + at, 8));
    if (at < text.len)
        fingerprint = fingerprint_add_number(fingerprint, read_word(text.data + at, text.len - at));
    return fingerprint;
}

static uint64_t fingerprint_add_bytes(uint64_t fingerprint, const void *bytes, size_t len)
{
    return fingerprint_add_text(fingerprint, (struct slice){.data = bytes, .len = len});
}

static uint64_t fingerprint_add_attribute(uint64_t fingerprint, const struct attribute *attribute)
{
    fingerprint = fingerprint_add_text(fingerprint, slice_from_string(attribute->key));
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)attribute->type);
    switch (attribute->type) {
    case ATTRIBUTE_STRING:
        return fingerprint_add_text(fingerprint, attribute->string);
    case ATTRIBUTE_INT:
        return fingerprint_add_number(fingerprint, (uint64_t)attribute->integer);
    case ATTRIBUTE_BOOL:
        return fingerprint_add_number(fingerprint, attribute->boolean);
    case ATTRIBUTE_STRINGS:
        fingerprint = fingerprint_add_number(fingerprint, attribute->strings.count);
        for (size_t i = 0; i < attribute->strings.count; i++)
            fingerprint = fingerprint_add_text(fingerprint, attribute->strings.items[i]);
        break;
    }
    return fingerprint;
}

static uint64_t fingerprint_add_attributes(uint64_t fingerprint,
                                           const struct attributes *attributes)
{
    fingerprint = fingerprint_add_number(fingerprint, attributes->count);
    for (size_t i = 0; i < attributes->count; i++)
        fingerprint = fingerprint_add_attribute(fingerprint, &attributes->items[i]);
    return fingerprint;
}

static uint64_t fingerprint_add_span(uint64_t fingerprint, const struct span *span)
{
    fingerprint = fingerprint_add_bytes(fingerprint, span->trace_id.bytes, TRACE_ID_SIZE);
    fingerprint = fingerprint_add_bytes(fingerprint, span->span_id.bytes, SPAN_ID_SIZE);
    fingerprint = fingerprint_add_number(fingerprint, span->has_parent);
    if (span->has_parent)
        fingerprint = fingerprint_add_bytes(fingerprint, span->parent_id.bytes, SPAN_ID_SIZE);
    fingerprint = fingerprint_add_text(fingerprint, span->name);
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)span->kind);
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)span->start);
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)span->end);
    fingerprint = fingerprint_add_attributes(fingerprint, &span->attributes);
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)span->status);
    fingerprint = fingerprint_add_text(fingerprint, span->status_message);
    fingerprint = fingerprint_add_number(fingerprint, span->has_link);
    if (span->has_link) {
        fingerprint = fingerprint_add_bytes(fingerprint, span->link_trace_id.bytes, TRACE_ID_SIZE);
        fingerprint = fingerprint_add_bytes(fingerprint, span->link_span_id.bytes, SPAN_ID_SIZE);
    }
    return fingerprint;
}

uint64_t fingerprint_of_batch(const struct span_batch *batch)
{
    uint64_t fingerprint = fingerprint_add_attributes(FINGERPRINT_START, &batch->resource);
    for (size_t i = 0; i < batch->span_count; i++)
        fingerprint = fingerprint_add_span(fingerprint, &batch->spans[i]);
    return fingerprint;
}

// --- digest of an event's content -----------------------------------------------------------------

static uint64_t fingerprint_add_texts(uint64_t digest, const struct slice *texts, size_t count)
{
    digest = fingerprint_add_number(digest, count);
    for (size_t i = 0; i < count; i++)
        digest = fingerprint_add_text(digest, texts[i]);
    return digest;
}

static uint64_t fingerprint_add_numbers(uint64_t digest, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        digest = fingerprint_add_number(digest, (uint64_t)numbers[i]);
    return digest;
}

#define ADD_TEXTS(digest, ...)                                                                     \
    fingerprint_add_texts(digest, (const struct slice[]){__VA_ARGS__},                             \
                          sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))
#define ADD_NUMBERS(digest, ...)                                                                   \
    fingerprint_add_numbers(digest, (const int64_t[]){__VA_ARGS__},                                \
                            sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static uint64_t fingerprint_add_repository(uint64_t digest,
                                           const struct github_repository *repository)
{
    return ADD_TEXTS(digest, repository->full_name, repository->owner, repository->name,
                     repository->html_url, repository->default_branch, repository->service_name);
}

static uint64_t fingerprint_add_step(uint64_t digest, const struct github_step *step)
{
    digest = ADD_TEXTS(digest, step->name, step->status, step->conclusion);
    return ADD_NUMBERS(digest, step->number, step->started_at, step->completed_at);
}

static uint64_t fingerprint_add_job(uint64_t digest, const struct github_job *job)
{
    digest = ADD_NUMBERS(digest, job->job_id, job->run_id, job->run_attempt, (int64_t)job->action,
                         job->created_at, job->started_at, job->completed_at, job->runner_id,
                         job->deployment_id);
    digest = ADD_TEXTS(digest, job->name, job->workflow_name, job->head_branch, job->head_sha,
                       job->html_url, job->status, job->conclusion, job->runner_name,
                       job->runner_group_name, job->deployment_environment);
    digest = fingerprint_add_texts(digest, job->labels, job->label_count);
    digest = fingerprint_add_number(digest, job->step_count);
    for (size_t i = 0; i < job->step_count; i++)
        digest = fingerprint_add_step(digest, &job->steps[i]);
    return digest;
}

static uint64_t fingerprint_add_run(uint64_t digest, const struct github_run *run)
{
    digest = ADD_NUMBERS(digest, run->run_id, run->run_attempt, run->run_number,
                         (int64_t)run->action, run->created_at, run->updated_at,
                         run->run_started_at, run->pull_request_number);
    digest = ADD_TEXTS(digest, run->workflow_name, run->display_title, run->event_name,
                       run->workflow_path, run->status, run->conclusion, run->head_branch,
                       run->head_sha, run->actor, run->triggering_actor, run->pull_request_base);
    return fingerprint_add_texts(digest, run->referenced_workflows, run->referenced_workflow_count);
}

uint64_t merge_digest_of_event(const struct github_event *event)
{
    uint64_t digest = fingerprint_add_repository(FINGERPRINT_START, &event->repository);
    switch (event->kind) {
    case GITHUB_EVENT_JOB:
        return fingerprint_add_job(digest, &event->job);
    case GITHUB_EVENT_RUN:
        return fingerprint_add_run(digest, &event->run);
    case GITHUB_EVENT_PING: // neither is ever compared
    case GITHUB_EVENT_IGNORED:
        break;
    }
    return digest;
}
