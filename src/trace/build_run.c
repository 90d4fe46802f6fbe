// The root span of a run.
#include "build_common.h"
#include "ghatrace/trace/build.h"
#include "ghatrace/trace/ids.h"

static void add_resource(const struct trace_policy *policy, const struct run_state *run,
                         struct attribute_writer *writer)
{
    struct resource_facts facts = {
        .run_id = run->run_id,
        .run_attempt = run->run_attempt,
        .server = run->server,
        .repository = &run->repository,
        .workflow_name = run->body.workflow_name,
        .head_branch = run->body.head_branch,
        .head_sha = run->body.head_sha,
    };
    if (run->seen == 0) {
        facts.repository = &run->job_repository;
        facts.workflow_name = run->job_workflow_name;
        facts.head_branch = run->job_head_branch;
        facts.head_sha = run->job_head_sha;
    }
    build_resource(policy, &facts, writer);
}

static void add_attributes(const struct run_state *run, const struct github_repository *repository,
                           struct slice workflow_name, struct slice conclusion, bool is_incomplete,
                           struct span *span, struct attribute_writer *writer)
{
    const struct github_run *body = &run->body;
    attribute_add_string(writer, "cicd.pipeline.name", workflow_name);
    attribute_add_number_string(writer, "cicd.pipeline.run.id", run->run_id);
    attribute_add_string(writer, "cicd.pipeline.run.url.full",
                         build_run_url(repository, run->run_id, run->run_attempt, writer));
    attribute_add_string(writer, "cicd.pipeline.result", build_result_text(conclusion));
    build_status_of_conclusion(span, conclusion, writer);
    attribute_add_string(writer, "type", SLICE("workflow"));
    attribute_add_int(writer, "github.run_id", run->run_id);
    attribute_add_int(writer, "github.run_attempt", run->run_attempt);
    attribute_add_int(writer, "github.run_number", body->run_number);
    attribute_add_string(writer, "github.event_name", body->event_name);
    attribute_add_string(writer, "github.conclusion", conclusion);
    attribute_add_string(writer, "github.actor", body->actor);
    attribute_add_string(writer, "github.triggering_actor", body->triggering_actor);
    attribute_add_string(writer, "github.workflow_path", body->workflow_path);
    attribute_add_string(writer, "github.display_title", body->display_title);
    attribute_add_strings(writer, "github.referenced_workflows", body->referenced_workflows,
                          body->referenced_workflow_count);
    attribute_add_number_string(writer, "vcs.change.id", body->pull_request_number);
    attribute_add_string(writer, "vcs.ref.base.name", body->pull_request_base);
    attribute_add_true(writer, "github.incomplete", is_incomplete);
}

// `RUN {workflow name}`: an SERVER span, as the semantic conventions ask of pipeline runs.
static bool set_name(struct span *span, struct slice workflow_name, struct arena *arena)
{
    if (workflow_name.len == 0) {
        span->name = SLICE("RUN");
        return true;
    }
    return arena_format(arena, &span->name, "RUN %.*s", SLICE_ARGS(workflow_name));
}

void build_root_times(const struct run_state *run, timestamp_ns *start, timestamp_ns *end)
{
    const struct github_run *body = &run->body;
    // A job may be created a second before its run began (F67): it must not stick out.
    timestamp_ns first = timestamp_earliest_known(body->run_started_at, run->first_job_start);
    // created_at never changes: of a re-run it is that of the first attempt (F67).
    bool is_first_attempt = run->run_attempt <= 1;
    if (body->run_started_at == TIMESTAMP_UNKNOWN)
        first = is_first_attempt ? timestamp_earliest_known(body->created_at, first)
                                 : timestamp_first_known(first, body->created_at);
    timestamp_ns last = timestamp_later(body->updated_at, run->last_job_end);
    *start = timestamp_first_known(first, timestamp_first_known(last, run->last_received));
    *end = timestamp_later(last, *start);
}

// A re-run is a trace of its own; the link leads to the attempt before.
static void set_link(const struct trace_policy *policy, const struct run_state *run,
                     struct span *span)
{
    if (run->run_attempt <= 1)
        return;
    span->has_link = true;
    span->link_trace_id = trace_id_of_run(policy->scheme, run->run_id, run->run_attempt - 1);
    span->link_span_id = span_id_of_run(policy->scheme, run->run_id, run->run_attempt - 1);
}

enum error_code build_root_span(const struct trace_policy *policy, const struct run_state *run,
                                bool is_incomplete, struct arena *arena, struct span_batch *batch)
{
    bool has_own_events = run->seen != 0;
    struct slice workflow_name = has_own_events ? run->body.workflow_name : run->job_workflow_name;
    struct slice conclusion =
        has_own_events ? run->body.conclusion : build_conclusion_of_result(build_worst_result(run));
    *batch = (struct span_batch){0};
    batch->spans = arena_allocate_array(arena, 1, sizeof *batch->spans);
    if (batch->spans == NULL || !set_name(&batch->spans[0], workflow_name, arena))
        return ERROR_MEMORY;
    batch->span_count = 1;

    struct span *span = &batch->spans[0];
    span->trace_id = trace_id_of_run(policy->scheme, run->run_id, run->run_attempt);
    span->span_id = span_id_of_run(policy->scheme, run->run_id, run->run_attempt);
    span->kind = SPAN_KIND_SERVER;
    build_root_times(run, &span->start, &span->end);
    set_link(policy, run, span);

    struct attribute_writer resource = {.arena = arena, .list = &batch->resource};
    add_resource(policy, run, &resource);
    struct attribute_writer writer = {.arena = arena, .list = &span->attributes};
    add_attributes(run, has_own_events ? &run->repository : &run->job_repository, workflow_name,
                   conclusion, is_incomplete, span, &writer);
    return resource.failed || writer.failed ? ERROR_MEMORY : ERROR_NONE;
}
