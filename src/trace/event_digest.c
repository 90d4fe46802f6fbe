// A digest of what an event says.
#include "ghatrace/trace/fingerprint.h"
#include "ghatrace/trace/merge.h"

static uint64_t add_texts(uint64_t digest, const struct slice *texts, size_t count)
{
    digest = fingerprint_add_number(digest, count);
    for (size_t i = 0; i < count; i++)
        digest = fingerprint_add_text(digest, texts[i]);
    return digest;
}

static uint64_t add_numbers(uint64_t digest, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        digest = fingerprint_add_number(digest, (uint64_t)numbers[i]);
    return digest;
}

#define ADD_TEXTS(digest, ...)                                                                     \
    add_texts(digest, (const struct slice[]){__VA_ARGS__},                                         \
              sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))
#define ADD_NUMBERS(digest, ...)                                                                   \
    add_numbers(digest, (const int64_t[]){__VA_ARGS__},                                            \
                sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static uint64_t add_repository(uint64_t digest, const struct github_repository *repository)
{
    return ADD_TEXTS(digest, repository->full_name, repository->owner, repository->name,
                     repository->html_url, repository->default_branch, repository->service_name);
}

static uint64_t add_step(uint64_t digest, const struct github_step *step)
{
    digest = ADD_TEXTS(digest, step->name, step->status, step->conclusion);
    return ADD_NUMBERS(digest, step->number, step->started_at, step->completed_at);
}

static uint64_t add_job(uint64_t digest, const struct github_job *job)
{
    digest = ADD_NUMBERS(digest, job->job_id, job->run_id, job->run_attempt, (int64_t)job->action,
                         job->created_at, job->started_at, job->completed_at, job->runner_id,
                         job->deployment_id);
    digest = ADD_TEXTS(digest, job->name, job->workflow_name, job->head_branch, job->head_sha,
                       job->html_url, job->status, job->conclusion, job->runner_name,
                       job->runner_group_name, job->deployment_environment);
    digest = add_texts(digest, job->labels, job->label_count);
    digest = fingerprint_add_number(digest, job->step_count);
    for (size_t i = 0; i < job->step_count; i++)
        digest = add_step(digest, &job->steps[i]);
    return digest;
}

static uint64_t add_run(uint64_t digest, const struct github_run *run)
{
    digest = ADD_NUMBERS(digest, run->run_id, run->run_attempt, run->run_number,
                         (int64_t)run->action, run->created_at, run->updated_at,
                         run->run_started_at, run->pull_request_number);
    digest = ADD_TEXTS(digest, run->workflow_name, run->display_title, run->event_name,
                       run->workflow_path, run->status, run->conclusion, run->head_branch,
                       run->head_sha, run->actor, run->triggering_actor, run->pull_request_base);
    return add_texts(digest, run->referenced_workflows, run->referenced_workflow_count);
}

uint64_t merge_digest_of_event(const struct github_event *event)
{
    uint64_t digest = add_repository(FINGERPRINT_START, &event->repository);
    if (event->kind == GITHUB_EVENT_JOB)
        return add_job(digest, &event->job);
    return add_run(digest, &event->run);
}
