// Pieces that the spans of jobs and of runs share.
#include "build_common.h"

#include <inttypes.h>

#include "ghatrace/trace/build.h"

struct conclusion_row {
    struct slice conclusion;
    struct slice result;
    enum run_result rank;
    bool is_error;
};

// cicd.pipeline.result and cicd.pipeline.task.run.result: semantic conventions 1.44, registry "CICD".
static const struct conclusion_row conclusions[] = {
    {{"success", 7}, {"success", 7}, RUN_RESULT_SUCCESS, false},
    {{"failure", 7}, {"failure", 7}, RUN_RESULT_FAILURE, true},
    {{"cancelled", 9}, {"cancellation", 12}, RUN_RESULT_CANCELLED, false},
    {{"skipped", 7}, {"skip", 4}, RUN_RESULT_SKIPPED, false},
    {{"timed_out", 9}, {"timeout", 7}, RUN_RESULT_TIMED_OUT, true},
    {{"startup_failure", 15}, {"error", 5}, RUN_RESULT_STARTUP_FAILURE, true},
    {{"neutral", 7}, {"success", 7}, RUN_RESULT_NEUTRAL, false},
    {{"action_required", 15}, {"action_required", 15}, RUN_RESULT_ACTION_REQUIRED, false},
};

static const struct conclusion_row *find_conclusion(struct slice conclusion)
{
    for (size_t i = 0; i < sizeof conclusions / sizeof conclusions[0]; i++) {
        if (slice_equals(conclusion, conclusions[i].conclusion))
            return &conclusions[i];
    }
    return NULL;
}

struct slice build_result_text(struct slice conclusion)
{
    const struct conclusion_row *row = find_conclusion(conclusion);
    return row != NULL ? row->result : conclusion;
}

enum run_result build_result_of_conclusion(struct slice conclusion)
{
    const struct conclusion_row *row = find_conclusion(conclusion);
    if (row != NULL)
        return row->rank;
    return conclusion.len > 0 ? RUN_RESULT_NEUTRAL : RUN_RESULT_NONE;
}

enum run_result build_worst_result(const struct run_state *run)
{
    int worst = RUN_RESULTS - 1;
    while (worst > RUN_RESULT_NONE && run->results[worst] <= 0)
        worst--;
    return (enum run_result)worst;
}

struct slice build_conclusion_of_result(enum run_result result)
{
    for (size_t i = 0; i < sizeof conclusions / sizeof conclusions[0]; i++) {
        if (conclusions[i].rank == result)
            return conclusions[i].conclusion;
    }
    return SLICE_EMPTY;
}

struct build_outcome build_outcome_of_job(struct slice conclusion, enum job_fault fault)
{
    const struct conclusion_row *row = find_conclusion(conclusion);
    struct build_outcome outcome = {.result = row != NULL ? row->result : conclusion};
    if (row == NULL || !row->is_error)
        return outcome;
    outcome.error_type = conclusion;
    if (fault == JOB_FAULT_NONE)
        return outcome;
    outcome.result = SLICE("error");
    outcome.error_type =
        fault == JOB_FAULT_RUNNER_LOST ? SLICE("runner_lost") : SLICE("not_started");
    return outcome;
}

void build_status(struct span *span, struct slice conclusion, struct slice error_type,
                  struct attribute_writer *writer)
{
    if (error_type.len == 0)
        return;
    span->status = SPAN_STATUS_ERROR;
    span->status_message = conclusion;
    attribute_add_string(writer, "error.type", error_type);
}

void build_status_of_conclusion(struct span *span, struct slice conclusion,
                                struct attribute_writer *writer)
{
    struct build_outcome outcome = build_outcome_of_job(conclusion, JOB_FAULT_NONE);
    build_status(span, conclusion, outcome.error_type, writer);
}

struct slice build_run_url(const struct github_repository *repository, int64_t run_id,
                           int64_t run_attempt, struct attribute_writer *writer)
{
    struct slice url = SLICE_EMPTY;
    bool is_made;
    if (repository->html_url.len == 0)
        return url;
    if (run_attempt > 1)
        is_made =
            arena_format(writer->arena, &url, "%.*s/actions/runs/%" PRId64 "/attempts/%" PRId64,
                         SLICE_ARGS(repository->html_url), run_id, run_attempt);
    else
        is_made = arena_format(writer->arena, &url, "%.*s/actions/runs/%" PRId64,
                               SLICE_ARGS(repository->html_url), run_id);
    if (!is_made)
        writer->failed = true;
    return url;
}

// The repository's name as a service name: lower case, '_' as '-'.
static struct slice service_name_of(struct slice repository_name, struct attribute_writer *writer)
{
    char *text = arena_allocate(writer->arena, repository_name.len + 1);
    if (text == NULL) {
        writer->failed = true;
        return SLICE_EMPTY;
    }
    for (size_t i = 0; i < repository_name.len; i++) {
        char c = repository_name.data[i];
        text[i] = c == '_' ? '-' : (c >= 'A' && c <= 'Z') ? (char)(c - 'A' + 'a') : c;
    }
    return (struct slice){text, repository_name.len};
}

void build_resource(const struct trace_policy *policy, const struct resource_facts *facts,
                    struct attribute_writer *writer)
{
    const struct github_repository *repository = facts->repository;
    struct slice service = policy->service_name;
    if (service.len == 0)
        service = repository->service_name;
    if (service.len == 0)
        service = service_name_of(repository->name, writer);
    if (service.len == 0) // what the resource conventions want where nobody knows it ("Service")
        service = SLICE("unknown_service:ghatrace");
    attribute_add_string(writer, "service.name", service);
    attribute_add_string(writer, "cicd.pipeline.name", facts->workflow_name);
    attribute_add_number_string(writer, "cicd.pipeline.run.id", facts->run_id);
    attribute_add_string(writer, "cicd.pipeline.run.url.full",
                         build_run_url(repository, facts->run_id, facts->run_attempt, writer));
    attribute_add_string(writer, "vcs.provider.name", SLICE("github"));
    // The conventions for VCS (1.44) have no name for the server, so the general one is used. Not for github.com, whose
    // resource is that of all other producers.
    attribute_add_string(writer, "server.address", facts->server);
    attribute_add_string(writer, "vcs.owner.name", repository->owner);
    attribute_add_string(writer, "vcs.repository.name", repository->name);
    attribute_add_string(writer, "vcs.repository.url.full", repository->html_url);
    attribute_add_string(writer, "vcs.ref.head.name", facts->head_branch);
    attribute_add_string(writer, "vcs.ref.head.revision", facts->head_sha);
    // Elsewhere GitHub does not tell a branch from a tag.
    if (facts->head_branch.len > 0 && slice_equals(facts->head_branch, repository->default_branch))
        attribute_add_string(writer, "vcs.ref.head.type", SLICE("branch"));
    for (size_t i = 0; i < policy->resource_extra_count; i++)
        attribute_add(writer, policy->resource_extra[i]);
}
