// The spans of one job: the job, its phases, its steps.
#include <inttypes.h>
#include <stdlib.h>

#include "build_common.h"
#include "ghatrace/trace/build.h"
#include "ghatrace/trace/ids.h"

#define PHASES_MAX 4

// One job's spans in the making.
struct job_builder {
    const struct trace_policy *policy;
    const struct run_state *run;
    const struct job_state *job;
    const struct job_timeline *timeline;
    bool is_incomplete;
    struct slice conclusion; // empty when incomplete
    struct build_outcome outcome;
    struct slice job_name; // never empty
    struct job_key key;
    struct trace_id trace_id;
    struct span_id job_span_id;
    struct arena *arena;
    struct span_batch *batch;
    const bool *repeats; // of each step: has an earlier one the same name?
    size_t next_step;
    bool failed;
};

struct job_rest {
    struct job_builder builder;
    struct run_state run;
    struct job_state job;
    struct job_timeline timeline;
    struct attributes resource;
};

static struct span *add_span(struct job_builder *builder, struct slice name, struct span_id id,
                             timestamp_ns start, timestamp_ns end)
{
    struct span *span = &builder->batch->spans[builder->batch->span_count++];
    *span = (struct span){.trace_id = builder->trace_id,
                          .span_id = id,
                          .has_parent = true,
                          .parent_id = builder->job_span_id,
                          .name = name,
                          .kind = SPAN_KIND_INTERNAL,
                          .start = start,
                          .end = end};
    return span;
}

static struct attribute_writer writer_of(struct job_builder *builder, struct attributes *list)
{
    return (struct attribute_writer){.arena = builder->arena, .list = list};
}

static void add_resource(struct job_builder *builder)
{
    const struct github_job *body = &builder->job->body;
    struct resource_facts facts = {
        .run_id = builder->job->run_id,
        .run_attempt = builder->job->run_attempt,
        .server = builder->job->server,
        .repository = &builder->job->repository,
        .workflow_name = body->workflow_name,
        .head_branch = body->head_branch,
        .head_sha = body->head_sha,
    };
    // Job payloads before 2023 carry neither (github/docs webhook reference of that time).
    if (body->workflow_name.len == 0 && builder->run->seen != 0) {
        facts.workflow_name = builder->run->body.workflow_name;
        if (facts.head_branch.len == 0)
            facts.head_branch = builder->run->body.head_branch;
    }
    struct attribute_writer writer = writer_of(builder, &builder->batch->resource);
    build_resource(builder->policy, &facts, &writer);
    builder->failed |= writer.failed;
}

static void add_runner(struct attribute_writer *writer, const struct job_state *job)
{
    attribute_add_string(writer, "github.runner_name", job->runner_name);
    attribute_add_int(writer, "github.runner_id", job->runner_id);
    attribute_add_string(writer, "cicd.worker.name", job->runner_name);
    attribute_add_number_string(writer, "cicd.worker.id", job->runner_id);
}

// GitHub gives queue times in whole seconds, so 0 is a measured value here and is kept.
static void add_queue_time(struct job_builder *builder, struct attribute_writer *writer)
{
    const struct timeline_phase *queue = &builder->timeline->queue;
    if (queue->exists && !builder->timeline->is_queue_void)
        attribute_add(writer,
                      (struct attribute){"queue_time_ms",
                                         ATTRIBUTE_INT,
                                         {.integer = (queue->end - queue->start) / NS_PER_MS}});
}

static void add_job_attributes(struct job_builder *builder, struct span *span)
{
    const struct job_state *job = builder->job;
    const struct github_job *body = &job->body;
    struct attribute_writer writer = writer_of(builder, &span->attributes);
    attribute_add_string(&writer, "cicd.pipeline.task.name", builder->job_name);
    attribute_add_number_string(&writer, "cicd.pipeline.task.run.id", job->job_id);
    attribute_add_string(&writer, "cicd.pipeline.task.run.url.full", body->html_url);
    attribute_add_string(&writer, "cicd.pipeline.task.run.result", builder->outcome.result);
    build_status(span, builder->conclusion, builder->outcome.error_type, &writer);
    attribute_add_string(&writer, "type", SLICE("job"));
    attribute_add_int(&writer, "github.job_id", job->job_id);
    attribute_add_int(&writer, "github.run_id", job->run_id);
    attribute_add_int(&writer, "github.run_attempt", job->run_attempt);
    attribute_add_string(&writer, "github.status", body->status);
    attribute_add_string(&writer, "github.conclusion", builder->conclusion);
    attribute_add_string(&writer, "github.repository", job->repository.full_name);
    add_runner(&writer, job);
    attribute_add_string(&writer, "github.runner_group_name", job->runner_group_name);
    attribute_add_strings(&writer, "github.runner_labels", body->labels, body->label_count);
    add_queue_time(builder, &writer);
    attribute_add_string(&writer, "deployment.environment.name", job->deployment_environment);
    attribute_add_number_string(&writer, "deployment.id", job->deployment_id);
    attribute_add_true(&writer, "github.carried_over", builder->timeline->is_carried_over);
    attribute_add_true(&writer, "github.incomplete", builder->is_incomplete);
    builder->failed |= writer.failed;
}

static void add_job(struct job_builder *builder)
{
    struct span *span = add_span(builder, builder->job_name, builder->job_span_id,
                                 builder->timeline->start, builder->timeline->end);
    span->parent_id =
        span_id_of_run(builder->policy->scheme, builder->job->run_id, builder->job->run_attempt);
    add_job_attributes(builder, span);
}

// What ARC's recorder sets on its runner.* spans, so that one query finds theirs and ours.
static void add_phase(struct job_builder *builder, struct slice name,
                      const struct timeline_phase *phase, bool has_result)
{
    const struct job_state *job = builder->job;
    if (!phase->exists)
        return;
    struct span *span =
        add_span(builder, name, span_id_of_phase(builder->policy->scheme, &builder->key, name),
                 phase->start, phase->end);
    struct attribute_writer writer = writer_of(builder, &span->attributes);
    attribute_add_string(&writer, "type", name);
    attribute_add_int(&writer, "github.run_id", job->run_id);
    attribute_add_number_string(&writer, "github.job_id", job->job_id);
    attribute_add_string(&writer, "github.job_name", builder->job_name);
    attribute_add_string(&writer, "github.repository", job->repository.full_name);
    add_runner(&writer, job);
    attribute_add_number_string(&writer, "cicd.pipeline.run.id", job->run_id);
    attribute_add_string(&writer, "cicd.pipeline.task.name", builder->job_name);
    attribute_add_number_string(&writer, "cicd.pipeline.task.run.id", job->job_id);
    attribute_add_string(&writer, "vcs.repository.url.full", job->repository.html_url);
    if (has_result) {
        attribute_add_string(&writer, "github.conclusion", builder->conclusion);
        attribute_add_string(&writer, "cicd.pipeline.task.run.result", builder->outcome.result);
    }
    builder->failed |= writer.failed;
}

static void add_step_attributes(struct job_builder *builder, struct span *span,
                                const struct github_step *step, bool is_open)
{
    struct attribute_writer writer = writer_of(builder, &span->attributes);
    struct slice id;
    struct slice url = SLICE_EMPTY;
    struct slice job_url = builder->job->body.html_url;
    bool is_made = arena_format(builder->arena, &id, "%" PRId64 "/%" PRId64, builder->job->job_id,
                                step->number);
    if (is_made && job_url.len > 0 && job_url.len <= BUILD_URL_MAX)
        is_made = arena_format(builder->arena, &url, "%.*s#step:%" PRId64 ":1", SLICE_ARGS(job_url),
                               step->number);
    if (!is_made) {
        builder->failed = true;
        return;
    }
    attribute_add_string(&writer, "cicd.pipeline.task.name", step->name);
    attribute_add_string(&writer, "cicd.pipeline.task.run.id", id);
    attribute_add_string(&writer, "cicd.pipeline.task.run.url.full", url);
    attribute_add_string(&writer, "cicd.pipeline.task.run.result",
                         build_result_text(step->conclusion));
    build_status_of_conclusion(span, step->conclusion, &writer);
    attribute_add_string(&writer, "type", SLICE("step"));
    attribute_add_int(&writer, "github.step_number", step->number);
    attribute_add_string(&writer, "github.status", step->status);
    attribute_add_string(&writer, "github.conclusion", step->conclusion);
    attribute_add_true(&writer, "github.incomplete", is_open);
    builder->failed |= writer.failed;
}

static timestamp_ns clamp_to_job(const struct job_timeline *timeline, timestamp_ns time)
{
    if (time < timeline->start)
        return timeline->start;
    return time < timeline->end ? time : timeline->end;
}

struct named_step {
    const struct github_step *step;
    size_t index;
};

static int compare_times(timestamp_ns a, timestamp_ns b)
{
    return (a > b) - (a < b);
}

static int compare_named_steps(const void *a, const void *b)
{
    const struct github_step *left = ((const struct named_step *)a)->step;
    const struct github_step *right = ((const struct named_step *)b)->step;
    int order = slice_compare(left->name, right->name);
    if (order == 0 && left->number != right->number)
        order = left->number < right->number ? -1 : 1;
    if (order == 0) // GitHub's numbers are unique
        order = compare_times(left->started_at, right->started_at);
    return order != 0 ? order : compare_times(left->completed_at, right->completed_at);
}

// Which steps have a name that an earlier one has, by number. Only those need their number in the ID: the number is
// undocumented and shifts between kinds of runners (collector-contrib#45157). By sorting, because a
// body may list a hundred thousand steps. NULL when memory is refused.
static const bool *find_repeats(const struct github_job *body, struct arena *arena)
{
    size_t count = body->step_count;
    struct named_step *sorted = arena_allocate_array(arena, count + 1, sizeof *sorted);
    bool *repeats = arena_allocate_array(arena, count + 1, sizeof *repeats);
    if (sorted == NULL || repeats == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct named_step){&body->steps[i], i};
    qsort(sorted, count, sizeof *sorted, compare_named_steps);
    for (size_t i = 1; i < count; i++)
        repeats[sorted[i].index] = slice_equals(sorted[i].step->name, sorted[i - 1].step->name);
    return repeats;
}

// A step without times makes no span; one still open ends with the job (a lost runner leaves such).
static void add_step(struct job_builder *builder, size_t index, bool is_repeat)
{
    const struct github_step *step = &builder->job->body.steps[index];
    if (step->started_at == TIMESTAMP_UNKNOWN)
        return;
    bool is_open = timeline_is_step_open(step);
    timestamp_ns start = clamp_to_job(builder->timeline, step->started_at);
    timestamp_ns end =
        is_open ? builder->timeline->end : clamp_to_job(builder->timeline, step->completed_at);
    struct span_id id = span_id_of_step(builder->policy->scheme, &builder->key, step->name,
                                        step->number, is_repeat);
    struct span *span = add_span(builder, step->name, id, start, end > start ? end : start);
    add_step_attributes(builder, span, step, is_open);
}

static void add_steps(struct job_builder *builder)
{
    size_t count = builder->job->body.step_count;
    size_t end =
        count - builder->next_step > BUILD_STEPS_MAX ? builder->next_step + BUILD_STEPS_MAX : count;
    for (; builder->next_step < end; builder->next_step++)
        add_step(builder, builder->next_step, builder->repeats[builder->next_step]);
}

static void add_children(struct job_builder *builder)
{
    const struct job_timeline *timeline = builder->timeline;
    const struct github_job *body = &builder->job->body;
    if (builder->policy->runner_spans) {
        add_phase(builder, SLICE("job.waiting"), &timeline->waiting, false);
        add_phase(builder, SLICE("runner.queue"), &timeline->queue, false);
        add_phase(builder, SLICE("runner.startup"), &timeline->startup, false);
        add_phase(builder, SLICE("runner.execution"), &timeline->execution, true);
    }
    builder->next_step = body->step_count;
    if (!builder->policy->steps || timeline->is_carried_over || body->step_count == 0)
        return;
    builder->repeats = find_repeats(body, builder->arena);
    builder->failed |= builder->repeats == NULL;
    if (builder->repeats != NULL) {
        builder->next_step = 0;
        add_steps(builder);
    }
}

static size_t steps_left(const struct job_builder *builder)
{
    return builder->job->body.step_count - builder->next_step;
}

// The states change when the job is closed: copies of them, whose texts are the same.
static bool keep_rest(const struct job_builder *builder, struct job_rest **rest)
{
    *rest = NULL;
    if (steps_left(builder) == 0)
        return true;
    struct job_rest *made = arena_allocate_array(builder->arena, 1, sizeof *made);
    if (made == NULL)
        return false;
    *made = (struct job_rest){.builder = *builder,
                              .run = *builder->run,
                              .job = *builder->job,
                              .timeline = *builder->timeline,
                              .resource = builder->batch->resource};
    made->builder.run = &made->run;
    made->builder.job = &made->job;
    made->builder.timeline = &made->timeline;
    *rest = made;
    return true;
}

static bool make_room(struct job_builder *builder, size_t others)
{
    size_t steps = builder->job->body.step_count - builder->next_step;
    *builder->batch = (struct span_batch){0};
    builder->batch->spans = arena_allocate_array(
        builder->arena, others + (steps < BUILD_STEPS_MAX ? steps : BUILD_STEPS_MAX),
        sizeof *builder->batch->spans);
    return builder->batch->spans != NULL;
}

enum error_code build_more_steps(struct job_rest *rest, struct arena *arena,
                                 struct span_batch *batch)
{
    struct job_builder *builder = &rest->builder;
    builder->arena = arena;
    builder->batch = batch;
    if (!make_room(builder, 1))
        return ERROR_MEMORY;
    batch->resource = rest->resource;
    // Steps that have not started make no spans: there may be none among many.
    while (steps_left(builder) > 0 && batch->span_count == 0)
        add_steps(builder);
    return builder->failed ? ERROR_MEMORY : ERROR_NONE;
}

enum error_code build_job_spans(const struct trace_policy *policy, const struct run_state *run,
                                const struct job_state *job, const struct job_timeline *timeline,
                                bool is_incomplete, struct arena *arena, struct span_batch *batch,
                                struct job_rest **rest)
{
    struct slice name = job->body.name.len > 0 ? job->body.name : SLICE("(unnamed)");
    struct job_builder builder = {
        .policy = policy,
        .run = run,
        .job = job,
        .timeline = timeline,
        .is_incomplete = is_incomplete,
        .conclusion = is_incomplete ? SLICE_EMPTY : job->body.conclusion,
        .job_name = name,
        .key = {job->run_id, job->run_attempt, job->job_id, job->body.name},
        .trace_id = trace_id_of_run(policy->scheme, job->run_id, job->run_attempt),
        .arena = arena,
        .batch = batch,
    };
    builder.outcome = build_outcome_of_job(builder.conclusion, timeline->fault);
    builder.job_span_id = span_id_of_job(policy->scheme, &builder.key);
    *rest = NULL;
    if (!make_room(&builder, 1 + PHASES_MAX))
        return ERROR_MEMORY;
    add_resource(&builder);
    add_job(&builder);
    add_children(&builder);
    builder.failed |= !builder.failed && !keep_rest(&builder, rest);
    return builder.failed ? ERROR_MEMORY : ERROR_NONE;
}
