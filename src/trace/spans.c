// Makes spans and samples of jobs and runs: attributes, what jobs and runs share, jobs, runs, measurements.
#include "ghatrace/trace/spans.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/labels.h"

// --- filling attribute lists ----------------------------------------------------------------------

#define FIRST_CAPACITY 24 // a job's list has about 20

static bool grow_attributes(struct attribute_writer *writer)
{
    struct attributes *list = writer->list;
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity > 0 ? 2 * list->capacity : FIRST_CAPACITY;
    struct attribute *items = arena_allocate_array(writer->arena, capacity, sizeof *items);
    if (items == NULL)
        return false;
    if (list->count > 0)
        memcpy(items, list->items, list->count * sizeof *items);
    list->items = items;
    list->capacity = capacity;
    return true;
}

static void attribute_add(struct attribute_writer *writer, struct attribute attribute)
{
    if (!writer->failed && !grow_attributes(writer))
        writer->failed = true;
    if (!writer->failed)
        writer->list->items[writer->list->count++] = attribute;
}

static void attribute_add_string(struct attribute_writer *writer, const char *key,
                                 struct slice value)
{
    if (value.len > 0)
        attribute_add(writer, (struct attribute){key, ATTRIBUTE_STRING, {.string = value}});
}

static void attribute_add_int(struct attribute_writer *writer, const char *key, int64_t value)
{
    if (value != 0)
        attribute_add(writer, (struct attribute){key, ATTRIBUTE_INT, {.integer = value}});
}

static void attribute_add_true(struct attribute_writer *writer, const char *key, bool value)
{
    if (value)
        attribute_add(writer, (struct attribute){key, ATTRIBUTE_BOOL, {.boolean = true}});
}

static void attribute_add_strings(struct attribute_writer *writer, const char *key,
                                  const struct slice *items, size_t count)
{
    if (count > 0)
        attribute_add(writer,
                      (struct attribute){key, ATTRIBUTE_STRINGS, {.strings = {items, count}}});
}

// A number as decimal text.
static void attribute_add_number_string(struct attribute_writer *writer, const char *key,
                                        int64_t value)
{
    struct slice text;
    if (value == 0)
        return;
    if (arena_format(writer->arena, &text, "%" PRId64, value))
        attribute_add_string(writer, key, text);
    else
        writer->failed = true;
}

// --- reading --------------------------------------------------------------------------------------

const struct attribute *attributes_find(const struct attributes *attributes, const char *key)
{
    for (size_t i = 0; i < attributes->count; i++)
        if (strcmp(attributes->items[i].key, key) == 0)
            return &attributes->items[i];
    return NULL;
}

static const struct attribute *find_typed(const struct attributes *attributes, const char *key,
                                          enum attribute_type type)
{
    const struct attribute *found = attributes_find(attributes, key);
    return found != NULL && found->type == type ? found : NULL;
}

struct slice attributes_get_string(const struct attributes *attributes, const char *key)
{
    const struct attribute *found = find_typed(attributes, key, ATTRIBUTE_STRING);
    return found != NULL ? found->string : SLICE_EMPTY;
}

int64_t attributes_get_int(const struct attributes *attributes, const char *key)
{
    const struct attribute *found = find_typed(attributes, key, ATTRIBUTE_INT);
    return found != NULL ? found->integer : 0;
}

bool attributes_get_bool(const struct attributes *attributes, const char *key)
{
    const struct attribute *found = find_typed(attributes, key, ATTRIBUTE_BOOL);
    return found != NULL && found->boolean;
}

void attributes_get_strings(const struct attributes *attributes, const char *key,
                            const struct slice **items, size_t *count)
{
    const struct attribute *found = find_typed(attributes, key, ATTRIBUTE_STRINGS);
    *items = found != NULL ? found->strings.items : NULL;
    *count = found != NULL ? found->strings.count : 0;
}

// --- shared by the spans of jobs and of runs ------------------------------------------------------

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

// Status and error.type: ERROR with the conclusion as its message, or unset for an empty `error_type`, because OK is
// reserved for users.
static void build_status(struct span *span, struct slice conclusion, struct slice error_type,
                         struct attribute_writer *writer)
{
    if (error_type.len == 0)
        return;
    span->status = SPAN_STATUS_ERROR;
    span->status_message = conclusion;
    attribute_add_string(writer, "error.type", error_type);
}

// The same if only the conclusion is known: an error for failure, timed_out and startup_failure.
static void build_status_of_conclusion(struct span *span, struct slice conclusion,
                                       struct attribute_writer *writer)
{
    struct build_outcome outcome = build_outcome_of_job(conclusion, JOB_FAULT_NONE);
    build_status(span, conclusion, outcome.error_type, writer);
}

struct run_names run_names_of(const struct run_state *run)
{
    if (run->seen != 0)
        return (struct run_names){.has_own_events = true,
                                  .repository = &run->repository,
                                  .workflow = run->body.workflow_name,
                                  .branch = run->body.head_branch,
                                  .revision = run->body.head_sha,
                                  .conclusion = run->body.conclusion};
    return (struct run_names){.repository = &run->job_repository,
                              .workflow = run->job_workflow_name,
                              .branch = run->job_head_branch,
                              .revision = run->job_head_sha,
                              .conclusion = build_conclusion_of_result(build_worst_result(run))};
}

bool run_url_of(struct slice repository_url, int64_t run_id, int64_t run_attempt,
                struct arena *arena, struct slice *url)
{
    *url = SLICE_EMPTY;
    if (repository_url.len == 0)
        return true;
    if (run_attempt > 1)
        return arena_format(arena, url, "%.*s/actions/runs/%" PRId64 "/attempts/%" PRId64,
                            SLICE_ARGS(repository_url), run_id, run_attempt);
    return arena_format(arena, url, "%.*s/actions/runs/%" PRId64, SLICE_ARGS(repository_url),
                        run_id);
}

static struct slice build_run_url(const struct github_repository *repository, int64_t run_id,
                                  int64_t run_attempt, struct attribute_writer *writer)
{
    struct slice url;
    if (!run_url_of(repository->html_url, run_id, run_attempt, writer->arena, &url))
        writer->failed = true;
    return url;
}

// A name that the repository has, as a service name: lower case, '_' as '-'.
static struct slice service_name_of(struct slice name, struct attribute_writer *writer)
{
    char *text = arena_allocate(writer->arena, name.len + 1);
    if (text == NULL) {
        writer->failed = true;
        return SLICE_EMPTY;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        text[i] = c == '_' ? '-' : (c >= 'A' && c <= 'Z') ? (char)(c - 'A' + 'a') : c;
    }
    return (struct slice){text, name.len};
}

// The data of the resource: only what every payload of the run carries, so that the resource is the same for all of
// its spans.
struct resource_facts {
    int64_t run_id;
    int64_t run_attempt;
    const struct github_repository *repository;
    struct slice workflow_name;
    struct slice head_branch;
    struct slice head_sha;
    struct slice server; // empty: github.com
};

static void build_resource(const struct trace_policy *policy, const struct resource_facts *facts,
                           struct attribute_writer *writer)
{
    const struct github_repository *repository = facts->repository;
    struct slice service = policy->service_name;
    if (service.len == 0)
        service = service_name_of(
            repository->service_name.len > 0 ? repository->service_name : repository->name, writer);
    if (service.len == 0) // the resource conventions' value for an unknown service ("Service")
        service = SLICE("unknown_service:ghatrace");
    attribute_add_string(writer, "service.name", service);
    attribute_add_string(writer, "cicd.pipeline.name", facts->workflow_name);
    attribute_add_number_string(writer, "cicd.pipeline.run.id", facts->run_id);
    attribute_add_string(writer, "cicd.pipeline.run.url.full",
                         build_run_url(repository, facts->run_id, facts->run_attempt, writer));
    attribute_add_string(writer, "vcs.provider.name", SLICE("github"));
    // The VCS conventions (1.44) have no attribute for the server, so the general one is used. Not for github.com, so
    // that its resource equals that of other producers.
    attribute_add_string(writer, "server.address", facts->server);
    attribute_add_string(writer, "vcs.owner.name", repository->owner);
    attribute_add_string(writer, "vcs.repository.name", repository->name);
    attribute_add_string(writer, "vcs.repository.url.full", repository->html_url);
    attribute_add_string(writer, "vcs.ref.head.name", facts->head_branch);
    attribute_add_string(writer, "vcs.ref.head.revision", facts->head_sha);
    // For other branches GitHub does not distinguish branches from tags.
    if (facts->head_branch.len > 0 && slice_equals(facts->head_branch, repository->default_branch))
        attribute_add_string(writer, "vcs.ref.head.type", SLICE("branch"));
    for (size_t i = 0; i < policy->resource_extra_count; i++)
        attribute_add(writer, policy->resource_extra[i]);
}

// --- what the runner of a job sends itself --------------------------------------------------------

bool job_is_selected(const struct runner_globs *globs, const struct job_state *job)
{
    return runner_globs_select(globs, job->body.labels, job->body.label_count,
                               job->runner_group_name);
}

// True if the job ended on a runner that lived to its end. Of other jobs no runner sends the job and its steps: of
// those that were skipped, carried over, never started, given up, or whose runner was lost.
static bool is_sent_by_runner(const struct ended_job *ended, const struct runner_globs *globs)
{
    const struct job_timeline *timeline = ended->timeline;
    return timeline->has_run && timeline->fault == JOB_FAULT_NONE && !timeline->is_skipped &&
           !timeline->is_carried_over && !ended->is_incomplete &&
           job_is_selected(globs, ended->job);
}

// --- the spans of one job: the job, its phases, its steps -----------------------------------------

enum phase { PHASE_WAITING, PHASE_QUEUE, PHASE_STARTUP, PHASE_EXECUTION, PHASES };
static const struct slice phase_names[PHASES] = {
    [PHASE_WAITING] = {"job.waiting", 11},
    [PHASE_QUEUE] = {"runner.queue", 12},
    [PHASE_STARTUP] = {"runner.startup", 14},
    [PHASE_EXECUTION] = {"runner.execution", 16},
};

enum job_part { JOB_WHOLE, JOB_WITHOUT_RUNNER_PHASES, JOB_RUNNER_PHASES };

// Spans of one job under construction.
struct job_builder {
    const struct trace_policy *policy;
    const struct run_state *run;
    const struct job_state *job;
    const struct job_timeline *timeline;
    bool is_incomplete;
    bool has_job_span;
    bool has_waiting;
    bool has_runner_phases;
    bool has_steps;
    struct slice conclusion; // empty when incomplete
    struct build_outcome outcome;
    struct slice job_name; // never empty
    struct job_key key;
    struct trace_id trace_id;
    struct span_id job_span_id;
    struct arena *arena;
    struct span_batch *batch;
    size_t span_max;     // that the batch has room for
    const bool *repeats; // per step: true if an earlier one has the same name
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
    assert(builder->batch->span_count < builder->span_max);
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

static void add_job_resource(struct job_builder *builder)
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

// GitHub's queue times have whole seconds, so 0 is a measured value here and is kept.
static void add_queue_time(struct job_builder *builder, struct attribute_writer *writer)
{
    const struct timeline_phase *wait = &builder->timeline->wait;
    if (wait->exists)
        attribute_add(writer,
                      (struct attribute){"queue_time_ms",
                                         ATTRIBUTE_INT,
                                         {.integer = (wait->end - wait->start) / NS_PER_MS}});
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

static void add_job_span(struct job_builder *builder)
{
    struct span *span = add_span(builder, builder->job_name, builder->job_span_id,
                                 builder->timeline->start, builder->timeline->end);
    span->parent_id =
        span_id_of_run(builder->policy->scheme, builder->job->run_id, builder->job->run_attempt);
    add_job_attributes(builder, span);
}

// The attributes that ARC's recorder sets on its runner.* spans, so that one query finds both.
static void add_phase(struct job_builder *builder, enum phase which,
                      const struct timeline_phase *phase)
{
    const struct job_state *job = builder->job;
    const struct slice name = phase_names[which];
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
    if (which == PHASE_EXECUTION) {
        attribute_add_string(&writer, "github.conclusion", builder->conclusion);
        attribute_add_string(&writer, "cicd.pipeline.task.run.result", builder->outcome.result);
    }
    if (which != PHASE_WAITING)
        attribute_add_string(&writer, "github.phase_source",
                             builder->timeline->assigned != TIMESTAMP_UNKNOWN ? SLICE("arc")
                                                                              : SLICE("webhook"));
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

// Marks the steps, by number, whose name an earlier step has. Only those need their number in the ID: the number is
// undocumented and differs between kinds of runners (collector-contrib#45157). Uses sorting, because a body may list
// a hundred thousand steps. NULL if out of memory.
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

// A step without times produces no span; one that is still open ends with the job (happens if the runner is lost).
static void add_step_span(struct job_builder *builder, size_t index, bool is_repeat)
{
    const struct github_step *step = &builder->job->body.steps[index];
    if (step->started_at == TIMESTAMP_UNKNOWN)
        return;
    bool is_open = timeline_is_step_open(step);
    timestamp_ns start = timeline_clamp(builder->timeline, step->started_at);
    timestamp_ns end =
        is_open ? builder->timeline->end : timeline_clamp(builder->timeline, step->completed_at);
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
        add_step_span(builder, builder->next_step, builder->repeats[builder->next_step]);
}

static void add_children(struct job_builder *builder)
{
    const struct job_timeline *timeline = builder->timeline;
    const struct github_job *body = &builder->job->body;
    if (builder->has_waiting)
        add_phase(builder, PHASE_WAITING, &timeline->waiting);
    if (builder->has_runner_phases) {
        add_phase(builder, PHASE_QUEUE, &timeline->queue);
        add_phase(builder, PHASE_STARTUP, &timeline->startup);
        add_phase(builder, PHASE_EXECUTION, &timeline->execution);
    }
    builder->next_step = body->step_count;
    if (!builder->has_steps || timeline->is_carried_over || body->step_count == 0)
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

// Copies the states, because they change when the job is closed; the texts are shared.
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

static bool make_room_for_spans(struct job_builder *builder, size_t others)
{
    size_t steps = builder->has_steps ? steps_left(builder) : 0;
    builder->span_max = others + (steps < BUILD_STEPS_MAX ? steps : BUILD_STEPS_MAX);
    *builder->batch = (struct span_batch){.job_start = builder->timeline->start,
                                          .job_end = builder->timeline->end};
    builder->batch->spans =
        arena_allocate_array(builder->arena, builder->span_max, sizeof *builder->batch->spans);
    return builder->batch->spans != NULL;
}

enum error_code build_more_steps(struct job_rest *rest, struct arena *arena,
                                 struct span_batch *batch)
{
    struct job_builder *builder = &rest->builder;
    builder->arena = arena;
    builder->batch = batch;
    if (!make_room_for_spans(builder, 1))
        return ERROR_MEMORY;
    batch->resource = rest->resource;
    // Steps that have not started produce no spans: even many steps may yield none.
    while (steps_left(builder) > 0 && batch->span_count == 0)
        add_steps(builder);
    return builder->failed ? ERROR_MEMORY : ERROR_NONE;
}

static struct job_builder builder_of_job(const struct trace_policy *policy,
                                         const struct ended_job *ended, enum job_part part,
                                         struct arena *arena, struct span_batch *batch)
{
    const struct job_state *job = ended->job;
    bool has_phases = policy->runner_spans && !job_is_selected(&policy->runner_spans_off, job);
    struct job_builder builder = {
        .policy = policy,
        .run = ended->run,
        .job = job,
        .timeline = ended->timeline,
        .is_incomplete = ended->is_incomplete,
        .has_job_span =
            part != JOB_RUNNER_PHASES && !is_sent_by_runner(ended, &policy->job_spans_off),
        .has_waiting = part != JOB_RUNNER_PHASES && has_phases,
        .has_runner_phases = part != JOB_WITHOUT_RUNNER_PHASES && has_phases,
        .has_steps = part != JOB_RUNNER_PHASES && policy->steps &&
                     !is_sent_by_runner(ended, &policy->steps_off),
        .conclusion = ended->is_incomplete ? SLICE_EMPTY : job->body.conclusion,
        .job_name = job->body.name.len > 0 ? job->body.name : SLICE("(unnamed)"),
        .key = {job->run_id, job->run_attempt, job->job_id, job->body.name},
        .trace_id = trace_id_of_run(policy->scheme, job->run_id, job->run_attempt),
        .arena = arena,
        .batch = batch,
    };
    builder.outcome = build_outcome_of_job(builder.conclusion, ended->timeline->fault);
    builder.job_span_id = span_id_of_job(policy->scheme, &builder.key);
    return builder;
}

static enum error_code build_part(struct job_builder *builder, struct job_rest **rest)
{
    *rest = NULL;
    if (!make_room_for_spans(builder, 1 + PHASES))
        return ERROR_MEMORY;
    add_job_resource(builder);
    if (builder->has_job_span)
        add_job_span(builder);
    add_children(builder);
    builder->failed |= !builder->failed && !keep_rest(builder, rest);
    return builder->failed ? ERROR_MEMORY : ERROR_NONE;
}

enum error_code build_job_spans(const struct trace_policy *policy, const struct ended_job *ended,
                                struct arena *arena, struct span_batch *batch,
                                struct job_rest **rest)
{
    struct job_builder builder = builder_of_job(policy, ended, JOB_WHOLE, arena, batch);
    return build_part(&builder, rest);
}

enum error_code build_job_without_runner_phases(const struct trace_policy *policy,
                                                const struct ended_job *ended, struct arena *arena,
                                                struct span_batch *batch, struct job_rest **rest)
{
    struct job_builder builder =
        builder_of_job(policy, ended, JOB_WITHOUT_RUNNER_PHASES, arena, batch);
    return build_part(&builder, rest);
}

enum error_code build_runner_phases(const struct trace_policy *policy,
                                    const struct ended_job *ended, struct arena *arena,
                                    struct span_batch *batch)
{
    struct job_rest *none;
    struct job_builder builder = builder_of_job(policy, ended, JOB_RUNNER_PHASES, arena, batch);
    return build_part(&builder, &none);
}

// --- the IDs of a job's spans --------------------------------------------------------------------

enum error_code build_job_ids(const struct trace_policy *policy, const struct job_state *job,
                              struct arena *arena, struct span_id **ids, size_t *count)
{
    const struct github_job *body = &job->body;
    const struct job_key key = {job->run_id, job->run_attempt, job->job_id, body->name};
    bool has_steps =
        policy->steps && body->step_count > 0 && !job_is_selected(&policy->steps_off, job);
    size_t steps = has_steps ? body->step_count : 0;
    const bool *repeats = has_steps ? find_repeats(body, arena) : NULL;
    *count = 0;
    *ids = arena_allocate_array(arena, 1 + PHASES + steps, sizeof **ids);
    if (*ids == NULL || (has_steps && repeats == NULL))
        return ERROR_MEMORY;
    if (!job_is_selected(&policy->job_spans_off, job))
        (*ids)[(*count)++] = span_id_of_job(policy->scheme, &key);
    if (policy->runner_spans && !job_is_selected(&policy->runner_spans_off, job))
        for (size_t i = 0; i < PHASES; i++)
            (*ids)[(*count)++] = span_id_of_phase(policy->scheme, &key, phase_names[i]);
    for (size_t i = 0; i < steps; i++)
        (*ids)[(*count)++] = span_id_of_step(policy->scheme, &key, body->steps[i].name,
                                             body->steps[i].number, repeats[i]);
    return ERROR_NONE;
}

// --- the root span of a run -----------------------------------------------------------------------

static void add_run_resource(const struct trace_policy *policy, const struct run_state *run,
                             struct attribute_writer *writer)
{
    const struct run_names names = run_names_of(run);
    const struct resource_facts facts = {
        .run_id = run->run_id,
        .run_attempt = run->run_attempt,
        .server = run->server,
        .repository = names.repository,
        .workflow_name = names.workflow,
        .head_branch = names.branch,
        .head_sha = names.revision,
    };
    build_resource(policy, &facts, writer);
}

static void add_root_attributes(const struct run_state *run, const struct run_names *names,
                                bool is_incomplete, struct span *span,
                                struct attribute_writer *writer)
{
    const struct github_run *body = &run->body;
    attribute_add_string(writer, "cicd.pipeline.name", names->workflow);
    attribute_add_number_string(writer, "cicd.pipeline.run.id", run->run_id);
    attribute_add_string(writer, "cicd.pipeline.run.url.full",
                         build_run_url(names->repository, run->run_id, run->run_attempt, writer));
    attribute_add_string(writer, "cicd.pipeline.result", build_result_text(names->conclusion));
    build_status_of_conclusion(span, names->conclusion, writer);
    attribute_add_string(writer, "type", SLICE("workflow"));
    attribute_add_int(writer, "github.run_id", run->run_id);
    attribute_add_int(writer, "github.run_attempt", run->run_attempt);
    attribute_add_int(writer, "github.run_number", body->run_number);
    attribute_add_string(writer, "github.event_name", body->event_name);
    attribute_add_string(writer, "github.conclusion", names->conclusion);
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

// `RUN {workflow name}`: a SERVER span, as the semantic conventions require for pipeline runs.
static bool set_root_name(struct span *span, struct slice workflow_name, struct arena *arena)
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
    // A job may be created a second before its run began (F67): its span must not start before the root.
    timestamp_ns first = timestamp_earliest_known(body->run_started_at, run->first_job_start);
    // created_at never changes: for a re-run it is that of the first attempt (F67).
    bool is_first_attempt = run->run_attempt <= 1;
    if (body->run_started_at == TIMESTAMP_UNKNOWN)
        first = is_first_attempt ? timestamp_earliest_known(body->created_at, first)
                                 : timestamp_first_known(first, body->created_at);
    timestamp_ns last = timestamp_later(body->updated_at, run->last_job_end);
    *start = timestamp_first_known(first, timestamp_first_known(last, run->last_received));
    *end = timestamp_later(last, *start);
}

// A re-run is a trace of its own; the link points to the previous attempt.
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
    const struct run_names names = run_names_of(run);
    *batch = (struct span_batch){0};
    batch->spans = arena_allocate_array(arena, 1, sizeof *batch->spans);
    if (batch->spans == NULL || !set_root_name(&batch->spans[0], names.workflow, arena))
        return ERROR_MEMORY;
    batch->span_count = 1;

    struct span *span = &batch->spans[0];
    span->trace_id = trace_id_of_run(policy->scheme, run->run_id, run->run_attempt);
    span->span_id = span_id_of_run(policy->scheme, run->run_id, run->run_attempt);
    span->kind = SPAN_KIND_SERVER;
    build_root_times(run, &span->start, &span->end);
    set_link(policy, run, span);

    struct attribute_writer resource = {.arena = arena, .list = &batch->resource};
    add_run_resource(policy, run, &resource);
    struct attribute_writer writer = {.arena = arena, .list = &span->attributes};
    add_root_attributes(run, &names, is_incomplete, span, &writer);
    return resource.failed || writer.failed ? ERROR_MEMORY : ERROR_NONE;
}

// --- measurements --------------------------------------------------------------------------------

static struct slice shorten(struct slice text)
{
    return utf8_cut(text, SAMPLE_TEXT_MAX);
}

static struct slice is_default_branch(struct slice branch,
                                      const struct github_repository *repository)
{
    if (branch.len == 0 || repository->default_branch.len == 0)
        return SLICE_EMPTY;
    return slice_equals(branch, repository->default_branch) ? SLICE("true") : SLICE("false");
}

// --- jobs --------------------------------------------------------------------------------------------

static struct sample_span span_of(const struct timeline_phase *phase)
{
    return (struct sample_span){.exists = phase->exists,
                                .length = phase->exists ? phase->end - phase->start : 0};
}

// The steps that were started, with the lengths that their spans have or would have.
static bool sample_steps(const struct github_job *body, const struct job_timeline *timeline,
                         struct arena *arena, struct job_sample *made)
{
    if (body->step_count == 0)
        return true;
    struct sample_step *steps = arena_allocate_array(arena, body->step_count, sizeof *steps);
    if (steps == NULL)
        return false;
    for (size_t i = 0; i < body->step_count; i++) {
        const struct github_step *step = &body->steps[i];
        if (step->started_at == TIMESTAMP_UNKNOWN)
            continue;
        timestamp_ns end =
            step->completed_at != TIMESTAMP_UNKNOWN ? step->completed_at : timeline->end;
        duration_ns length =
            timeline_clamp(timeline, end) - timeline_clamp(timeline, step->started_at);
        steps[made->step_count++] =
            (struct sample_step){.name = shorten(step->name),
                                 .result = shorten(build_result_text(step->conclusion)),
                                 .length = length > 0 ? length : 0};
    }
    made->steps = steps;
    return true;
}

// Job payloads before 2023 do not name their workflow.
static struct slice workflow_of(const struct run_state *run, const struct job_state *job)
{
    return job->body.workflow_name.len > 0 ? job->body.workflow_name : run->body.workflow_name;
}

// From ready to assigned, and from there to the start.
static void sample_assignment(const struct job_timeline *timeline, struct job_sample *made)
{
    if (timeline->assigned == TIMESTAMP_UNKNOWN)
        return;
    made->assign = (struct sample_span){true, timeline->assigned - timeline->wait.start};
    made->provision = (struct sample_span){true, timeline->wait.end - timeline->assigned};
}

// Without its phases and steps.
static enum error_code begin_sample(const struct trace_policy *policy,
                                    const struct ended_job *ended, struct arena *arena,
                                    struct job_sample **made)
{
    const struct job_state *job = ended->job;
    struct job_sample *begun = arena_allocate_array(arena, 1, sizeof *begun);
    if (begun == NULL)
        return ERROR_MEMORY;
    *begun = (struct job_sample){
        .repository = shorten(job->repository.full_name),
        .workflow = shorten(workflow_of(ended->run, job)),
        .runner_group = shorten(job->runner_group_name),
        .result =
            shorten(build_outcome_of_job(job->body.conclusion, ended->timeline->fault).result),
        .default_branch = is_default_branch(job->body.head_branch, &job->repository),
        .end = ended->timeline->end,
        .trace = trace_id_of_run(policy->scheme, job->run_id, job->run_attempt),
    };
    sample_assignment(ended->timeline, begun);
    *made = begun;
    return labels_join(job->body.labels, job->body.label_count, arena, &begun->runner_labels)
               ? ERROR_NONE
               : ERROR_MEMORY;
}

enum error_code sample_of_job(const struct trace_policy *policy, const struct ended_job *ended,
                              struct arena *arena, const struct job_sample **measure)
{
    const struct job_timeline *timeline = ended->timeline;
    struct job_sample *made;
    *measure = NULL;
    if (timeline->is_carried_over)
        return ERROR_NONE;
    enum error_code code = begin_sample(policy, ended, arena, &made);
    if (code != ERROR_NONE)
        return code;
    made->waiting = span_of(&timeline->waiting);
    made->queue = span_of(&timeline->wait);
    made->startup = span_of(&timeline->preparation);
    made->execution = span_of(&timeline->execution);
    if (timeline->wait.exists)
        made->duration = (struct sample_span){true, timeline->end - timeline->wait.start};
    made->queue_end = timeline->wait.exists ? timeline->wait.end : TIMESTAMP_UNKNOWN;
    if (!timeline->is_skipped && !sample_steps(&ended->job->body, timeline, arena, made))
        return ERROR_MEMORY;
    *measure = made;
    return ERROR_NONE;
}

enum error_code sample_of_assignment(const struct trace_policy *policy,
                                     const struct ended_job *ended, struct arena *arena,
                                     const struct job_sample **measure)
{
    struct job_sample *made;
    *measure = NULL;
    if (ended->timeline->assigned == TIMESTAMP_UNKNOWN)
        return ERROR_NONE;
    enum error_code code = begin_sample(policy, ended, arena, &made);
    if (code != ERROR_NONE)
        return code;
    made->is_assignment_only = true;
    *measure = made;
    return ERROR_NONE;
}

// --- runs --------------------------------------------------------------------------------------------

enum error_code sample_of_run(const struct run_state *run, const struct span *root,
                              bool is_incomplete, struct arena *arena,
                              const struct run_sample **measure)
{
    const struct github_run *body = &run->body;
    const struct run_names names = run_names_of(run);
    struct run_sample *made = arena_allocate_array(arena, 1, sizeof *made);
    if (made == NULL)
        return ERROR_MEMORY;
    *made = (struct run_sample){
        .server = shorten(run->server),
        .repository = shorten(names.repository->full_name),
        .workflow = shorten(names.workflow),
        .branch = shorten(names.branch),
        .default_branch = is_default_branch(names.branch, names.repository),
        .event_name = shorten(body->event_name),
        .display_title = shorten(body->display_title),
        .url = shorten(attributes_get_string(&root->attributes, "cicd.pipeline.run.url.full")),
        .actor = shorten(body->triggering_actor.len > 0 ? body->triggering_actor : body->actor),
        .result = shorten(build_result_text(names.conclusion)),
        .conclusion = shorten(names.conclusion),
        .run_id = run->run_id,
        .run_attempt = run->run_attempt,
        .run_number = body->run_number,
        .job_count = run->open_jobs + run->closed_jobs,
        .start = root->start,
        .end = root->end,
        .is_incomplete = is_incomplete,
        .trace = root->trace_id,
        .commit = commit_id_of(names.revision),
    };
    *measure = made;
    return ERROR_NONE;
}
