// The view of a run from the spans that were stored of it: root, jobs with their phases and steps, the chain of jobs that
// determined how long it took. Pure.
#include <stdlib.h>
#include <string.h>

#include "ghatrace/github/server.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/view/run_view.h"

// Spans are identified by the attribute `type`; names are untrusted free text.
#define TYPE_ROOT SLICE("workflow")
#define TYPE_JOB SLICE("job")
#define TYPE_STEP SLICE("step")

struct builder {
    struct arena *arena;
    struct run_view *view;
};

static struct slice attribute_text(const struct span *span, const char *key)
{
    return attributes_get_string(&span->attributes, key);
}

static int64_t span_int(const struct span *span, const char *key)
{
    return attributes_get_int(&span->attributes, key);
}

static bool has_type(const struct span *span, struct slice type)
{
    return slice_equals(attribute_text(span, "type"), type);
}

// Times at or before 1970 are invalid; they must not stretch an axis.
static struct view_interval span_interval(const struct span *span)
{
    struct view_interval interval = {span->start, span->end};
    if (interval.start <= 0)
        return (struct view_interval){TIMESTAMP_UNKNOWN, TIMESTAMP_UNKNOWN};
    if (interval.end < interval.start)
        interval.end = interval.start;
    return interval;
}

static struct slice first_nonempty(struct slice a, struct slice b)
{
    return a.len > 0 ? a : b;
}

// --- outcomes -------------------------------------------------------------------------------------

enum view_outcome view_outcome_of(struct slice conclusion)
{
    switch (build_result_of_conclusion(conclusion)) {
    case RUN_RESULT_SUCCESS:
        return OUTCOME_SUCCESS;
    case RUN_RESULT_NEUTRAL: // including unknown results
        return slice_equals(conclusion, SLICE("neutral")) ? OUTCOME_SUCCESS : OUTCOME_UNKNOWN;
    case RUN_RESULT_FAILURE:
    case RUN_RESULT_TIMED_OUT:
    case RUN_RESULT_STARTUP_FAILURE:
        return OUTCOME_FAILURE;
    case RUN_RESULT_CANCELLED:
        return OUTCOME_CANCELLED;
    case RUN_RESULT_SKIPPED:
        return OUTCOME_SKIPPED;
    case RUN_RESULT_NONE:
    case RUN_RESULT_ACTION_REQUIRED:
        break;
    }
    return OUTCOME_UNKNOWN;
}

struct slice view_conclusion_words(struct slice conclusion)
{
    switch (build_result_of_conclusion(conclusion)) {
    case RUN_RESULT_TIMED_OUT:
        return SLICE("timed out");
    case RUN_RESULT_STARTUP_FAILURE:
        return SLICE("startup failure");
    case RUN_RESULT_ACTION_REQUIRED:
        return SLICE("action required");
    case RUN_RESULT_NONE:
    case RUN_RESULT_SUCCESS:
    case RUN_RESULT_FAILURE:
    case RUN_RESULT_CANCELLED:
    case RUN_RESULT_SKIPPED:
    case RUN_RESULT_NEUTRAL:
        break;
    }
    return conclusion;
}

static enum view_outcome span_outcome(const struct span *span, struct slice conclusion,
                                      struct slice result)
{
    if (attributes_get_bool(&span->attributes, "github.carried_over"))
        return OUTCOME_CARRIED_OVER;
    return view_outcome_of(first_nonempty(conclusion, result));
}

static bool is_incomplete(const struct span *span)
{
    return attributes_get_bool(&span->attributes, "github.incomplete");
}

// --- steps ----------------------------------------------------------------------------------------

static void read_step_span(const struct span *span, struct run_view_step *step)
{
    *step = (struct run_view_step){.number = span_int(span, "github.step_number"),
                                   .name = span->name,
                                   .result = attribute_text(span, "cicd.pipeline.task.run.result"),
                                   .conclusion = attribute_text(span, "github.conclusion"),
                                   .is_incomplete = is_incomplete(span),
                                   .time = span_interval(span)};
    step->outcome = span_outcome(span, step->conclusion, step->result);
}

// Steps of the same second are ordered by their number.
static int compare_steps(const void *left, const void *right)
{
    const struct run_view_step *a = left, *b = right;
    if (a->time.start != b->time.start)
        return a->time.start < b->time.start ? -1 : 1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return slice_compare(a->name, b->name);
}

// The runner's own step that waits for background tasks ends with them (actions/runner, JobExtension.cs): the failure
// is in another step. Steps written in a workflow may have any name.
static bool is_wait(const struct run_view_step *step)
{
    return slice_equals(step->name, SLICE("Wait for all background steps"));
}

// True if `a`, rather than `b`, is the original failure. Steps overlap, so it is the one that ended first. A waiting
// step comes after the steps it waits for, which decides between ends in the same second.
static bool failed_before(const struct run_view_step *a, const struct run_view_step *b)
{
    if (is_wait(a) != is_wait(b))
        return is_wait(b);
    if (a->time.end != b->time.end)
        return a->time.end < b->time.end;
    return a->number < b->number;
}

static const struct run_view_step *find_failed_step(const struct run_view_job *job)
{
    const struct run_view_step *failed = NULL;
    for (size_t i = 0; i < job->step_count; i++) {
        const struct run_view_step *step = &job->steps[i];
        if (step->outcome == OUTCOME_FAILURE && (failed == NULL || failed_before(step, failed)))
            failed = step;
    }
    return failed;
}

// Finds the failed step of a failed job, unless its runner failed.
static void find_failure(struct run_view_job *job)
{
    bool is_runner = slice_equals(job->error_type, SLICE("runner_lost")) ||
                     slice_equals(job->error_type, SLICE("not_started"));
    if (job->outcome == OUTCOME_FAILURE && !is_runner)
        job->failed_step = find_failed_step(job);
}

// --- phases ---------------------------------------------------------------------------------------

// Only a runner's name, its number, or steps prove that there was one.
static bool had_runner(const struct run_view_job *job, const struct span *span)
{
    return job->step_count > 0 || job->outcome == OUTCOME_SUCCESS ||
           span_int(span, "github.runner_id") != 0 || job->runner_name.len > 0;
}

// If runner spans are switched off, only the job span gives the queue time: until then the job was queued, and from
// then on it ran, if a runner took it. Waiting spans may be switched off, too, so this is used only if no phase is
// known.
static void infer_phases(struct run_view_job *job, const struct span *span)
{
    struct view_interval whole = {job->created_at, job->ended_at};
    duration_ns length = whole.end - whole.start;
    if (whole.start == TIMESTAMP_UNKNOWN || !run_view_job_ran(job))
        return;
    for (size_t i = 0; i < PHASE_COUNT; i++)
        if (job->phases[i].start != TIMESTAMP_UNKNOWN)
            return;
    duration_ns queue = job->queue < length ? job->queue : length;
    if (queue > 0)
        job->phases[PHASE_QUEUE] = (struct view_interval){whole.start, whole.start + queue};
    if (had_runner(job, span))
        job->phases[PHASE_EXECUTION] = (struct view_interval){whole.start + queue, whole.end};
}

static void read_phase(struct run_view_job *job, const struct span *span)
{
    static const char *const types[PHASE_COUNT] = {
        [PHASE_WAITING] = "job.waiting",
        [PHASE_QUEUE] = "runner.queue",
        [PHASE_STARTUP] = "runner.startup",
        [PHASE_EXECUTION] = "runner.execution",
    };
    for (size_t i = 0; i < PHASE_COUNT; i++)
        if (has_type(span, slice_from_string(types[i])))
            job->phases[i] = span_interval(span);
    if (slice_equals(attribute_text(span, "github.phase_source"), SLICE("arc")))
        job->is_assignment_known = true;
}

// From ready to started. The span is exact, but ends earlier where ARC reported the assignment.
static void set_queue(const struct span *span, struct run_view_job *job)
{
    const struct attribute *queue = attributes_find(&span->attributes, "queue_time_ms");
    const struct view_interval *phase = &job->phases[PHASE_QUEUE];
    bool is_until_assigned = job->is_assignment_known && queue != NULL;
    if (phase->start != TIMESTAMP_UNKNOWN && !is_until_assigned) {
        job->has_queue = true;
        job->queue = phase->end - phase->start;
    } else if (queue != NULL && queue->type == ATTRIBUTE_INT && queue->integer >= 0 &&
               queue->integer <= INT64_MAX / NS_PER_MS) {
        job->has_queue = true;
        job->queue = queue->integer * NS_PER_MS;
    }
}

// --- jobs -----------------------------------------------------------------------------------------

static void read_job_span(const struct span *span, struct run_view_job *job)
{
    struct view_interval time = span_interval(span);
    *job = (struct run_view_job){
        .job_id = span_int(span, "github.job_id"),
        .name = span->name,
        .has_spans = true,
        .result = attribute_text(span, "cicd.pipeline.task.run.result"),
        .conclusion = attribute_text(span, "github.conclusion"),
        .error_type = attribute_text(span, "error.type"),
        .created_at = time.start,
        .ended_at = time.end,
        .runner_name = attribute_text(span, "github.runner_name"),
        .runner_group = attribute_text(span, "github.runner_group_name"),
        .environment = attribute_text(span, "deployment.environment.name"),
        .url = attribute_text(span, "cicd.pipeline.task.run.url.full"),
    };
    job->outcome = span_outcome(span, job->conclusion, job->result);
    job->is_carried_over = job->outcome == OUTCOME_CARRIED_OVER;
    job->is_incomplete = !job->is_carried_over && is_incomplete(span);
    attributes_get_strings(&span->attributes, "github.runner_labels", &job->labels,
                           &job->label_count);
}

static void set_started(struct run_view_job *job)
{
    if (job->phases[PHASE_EXECUTION].start == TIMESTAMP_UNKNOWN)
        return;
    job->started_at = job->phases[PHASE_STARTUP].start;
    if (job->is_assignment_known && job->has_queue)
        job->started_at = job->phases[PHASE_QUEUE].start + job->queue;
    if (job->started_at == TIMESTAMP_UNKNOWN)
        job->started_at = job->phases[PHASE_EXECUTION].start;
}

static bool is_child_of(const struct span *span, const struct span *job)
{
    return span->has_parent && memcmp(span->parent_id.bytes, job->span_id.bytes, SPAN_ID_SIZE) == 0;
}

// Spans of a job with very many steps, or with runner.* spans that waited for ARC, are in several batches; those after the
// first contain neither job nor root.
static bool continues_job(const struct span_batch *batch)
{
    if (batch->span_count == 0)
        return false;
    const struct span *first = &batch->spans[0];
    return first->has_parent && !has_type(first, TYPE_JOB) && !has_type(first, TYPE_ROOT);
}

static size_t count_continuations(const struct span_batch *batches, size_t count)
{
    size_t continuations = 0;
    for (size_t i = 0; i < count; i++)
        continuations += continues_job(&batches[i]);
    return continuations;
}

// Joins the batch of a job with its continuations.
static bool join_batch(struct builder *builder, const struct span_batch *batches, size_t count,
                       struct span_batch *whole)
{
    size_t spans = whole->span_count;
    const struct span *job = &whole->spans[0];
    for (size_t i = 0; i < count; i++)
        if (continues_job(&batches[i]) && is_child_of(&batches[i].spans[0], job))
            spans += batches[i].span_count;
    if (spans == whole->span_count)
        return true;
    struct span *joined = arena_allocate_array(builder->arena, spans, sizeof *joined);
    if (joined == NULL)
        return false;
    memcpy(joined, whole->spans, whole->span_count * sizeof *joined);
    whole->spans = joined;
    for (size_t i = 0; i < count; i++) {
        if (!continues_job(&batches[i]) || !is_child_of(&batches[i].spans[0], job))
            continue;
        memcpy(joined + whole->span_count, batches[i].spans,
               batches[i].span_count * sizeof *joined);
        whole->span_count += batches[i].span_count;
    }
    return true;
}

// --- jobs whose own span is left to their runner (job-spans-off) ---

// A job's span is the first of its batch.
static bool is_job_among(const struct span_batch *batches, size_t count, const struct span_id *id)
{
    for (size_t i = 0; i < count; i++)
        if (batches[i].span_count > 0 && memcmp(&batches[i].spans[0].span_id, id, sizeof *id) == 0)
            return true;
    return false;
}

// The result is an attribute of runner.execution, the last phase.
static bool describe_job(struct builder *builder, const struct span_batch *batch, struct span *job)
{
    static const char *const shared[] = {"github.conclusion", "cicd.pipeline.task.run.result",
                                         "github.runner_name", "github.runner_id",
                                         "github.repository"};
    const size_t most = 2 + sizeof shared / sizeof shared[0];
    struct attribute *items = arena_allocate_array(builder->arena, most, sizeof *items);
    size_t count = 0;
    long long job_id;
    if (items == NULL)
        return false;
    items[count++] = (struct attribute){"type", ATTRIBUTE_STRING, {.string = TYPE_JOB}};
    if (slice_parse_int64(attribute_text(&batch->spans[0], "github.job_id"), &job_id))
        items[count++] = (struct attribute){"github.job_id", ATTRIBUTE_INT, {.integer = job_id}};
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        const struct attribute *found = NULL;
        for (size_t j = 0; j < batch->span_count && found == NULL; j++)
            if (attribute_text(&batch->spans[j], "github.job_name").len > 0)
                found = attributes_find(&batch->spans[j].attributes, shared[i]);
        if (found != NULL)
            items[count++] = *found;
    }
    job->attributes = (struct attributes){items, count, count};
    return true;
}

// Puts a span of the job, made of its phases, in front of them. Without phases nothing but the ID is known of it.
static bool add_job_of_phases(struct builder *builder, struct span_batch *batch)
{
    const struct span *first = &batch->spans[0];
    struct span *spans = arena_allocate_array(builder->arena, batch->span_count + 1, sizeof *spans);
    if (spans == NULL)
        return false;
    spans[0] = (struct span){.trace_id = first->trace_id,
                             .span_id = first->parent_id,
                             .has_parent = true,
                             .name = attribute_text(first, "github.job_name"),
                             .start = first->start,
                             .end = first->end};
    for (size_t i = 0; i < batch->span_count; i++)
        if (attribute_text(&batch->spans[i], "github.job_name").len > 0)
            spans[0].end = timestamp_later(spans[0].end, batch->spans[i].end);
    if (!describe_job(builder, batch, &spans[0]))
        return false;
    memcpy(spans + 1, batch->spans, batch->span_count * sizeof *spans);
    batch->spans = spans;
    batch->span_count++;
    return true;
}

static bool add_missing_jobs(struct builder *builder, struct span_batch *batches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct span *first = batches[i].spans;
        if (continues_job(&batches[i]) && attribute_text(first, "github.job_name").len > 0 &&
            !is_job_among(batches, count, &first->parent_id) &&
            !add_job_of_phases(builder, &batches[i]))
            return false;
    }
    return true;
}

// Usually there is nothing to join.
static bool join_batches(struct builder *builder, const struct span_batch **batches, size_t count)
{
    if (count_continuations(*batches, count) == 0)
        return true;
    struct span_batch *parts = arena_allocate_array(builder->arena, count, sizeof *parts);
    struct span_batch *joined = arena_allocate_array(builder->arena, count, sizeof *joined);
    if (parts == NULL || joined == NULL)
        return false;
    memcpy(parts, *batches, count * sizeof *parts);
    if (!add_missing_jobs(builder, parts, count))
        return false;
    memcpy(joined, parts, count * sizeof *joined);
    for (size_t i = 0; i < count; i++)
        if (joined[i].span_count > 0 && has_type(&joined[i].spans[0], TYPE_JOB) &&
            !join_batch(builder, parts, count, &joined[i]))
            return false;
    *batches = joined;
    return true;
}

// A job's phases and steps are in the same batch as the job.
static bool read_children(struct builder *builder, const struct span *span,
                          const struct span_batch *batch, struct run_view_job *job)
{
    struct run_view_step *steps =
        arena_allocate_array(builder->arena, batch->span_count, sizeof *steps);
    if (steps == NULL)
        return false;
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *child = &batch->spans[i];
        if (!is_child_of(child, span))
            continue;
        if (has_type(child, TYPE_STEP))
            read_step_span(child, &steps[job->step_count++]);
        else
            read_phase(job, child);
    }
    if (job->step_count > 1)
        qsort(steps, job->step_count, sizeof *steps, compare_steps);
    job->steps = steps;
    set_queue(span, job);
    infer_phases(job, span);
    set_started(job);
    find_failure(job);
    return true;
}

// --- the run --------------------------------------------------------------------------------------

static void set_if_empty(struct slice *text, struct slice value)
{
    *text = first_nonempty(*text, value);
}

// The first source of data on the run is used: the root, if there is one (see run_view_from_spans).
static bool read_run_resource(struct builder *builder, const struct attributes *resource,
                              const struct span *span)
{
    struct run_view *view = builder->view;
    struct slice owner = attributes_get_string(resource, "vcs.owner.name");
    struct slice name = attributes_get_string(resource, "vcs.repository.name");
    struct slice repository = attribute_text(span, "github.repository");
    long long run_id;

    if (view->repository.len == 0 && owner.len > 0 && name.len > 0 &&
        !arena_format(builder->arena, &repository, "%.*s/%.*s", SLICE_ARGS(owner),
                      SLICE_ARGS(name)))
        return false;
    if (view->run_id == 0 &&
        slice_parse_int64(attributes_get_string(resource, "cicd.pipeline.run.id"), &run_id))
        view->run_id = run_id;
    if (view->run_attempt == 0)
        view->run_attempt = span_int(span, "github.run_attempt");
    if (!view->has_ended)
        view->trace = span->trace_id;
    set_if_empty(&view->repository, repository);
    set_if_empty(&view->workflow, attributes_get_string(resource, "cicd.pipeline.name"));
    set_if_empty(&view->url, attributes_get_string(resource, "cicd.pipeline.run.url.full"));
    set_if_empty(&view->branch, attributes_get_string(resource, "vcs.ref.head.name"));
    set_if_empty(&view->revision, attributes_get_string(resource, "vcs.ref.head.revision"));
    return true;
}

static void read_root_span(struct builder *builder, const struct span *span)
{
    struct run_view *view = builder->view;
    struct view_interval time = span_interval(span);
    view->has_ended = true;
    view->name = span->name;
    view->start = time.start;
    view->end = time.end;
    view->result = attribute_text(span, "cicd.pipeline.result");
    view->conclusion = first_nonempty(attribute_text(span, "github.conclusion"), view->result);
    view->is_incomplete = is_incomplete(span);
    view->run_number = span_int(span, "github.run_number");
    view->title = attribute_text(span, "github.display_title");
    view->event_name = attribute_text(span, "github.event_name");
    view->actor = first_nonempty(attribute_text(span, "github.triggering_actor"),
                                 attribute_text(span, "github.actor"));
    long long pull;
    if (slice_parse_int64(attribute_text(span, "vcs.change.id"), &pull))
        view->pull = pull;
    view->workflow_path = attribute_text(span, "github.workflow_path");
    if (view->run_id == 0)
        view->run_id = span_int(span, "github.run_id");
    set_if_empty(&view->workflow, attribute_text(span, "cicd.pipeline.name"));
    set_if_empty(&view->url, attribute_text(span, "cicd.pipeline.run.url.full"));
}

static bool add_root(struct builder *builder, const struct span_batch *batch)
{
    for (size_t i = 0; i < batch->span_count; i++) {
        if (builder->view->has_ended || !has_type(&batch->spans[i], TYPE_ROOT))
            continue;
        if (!read_run_resource(builder, &batch->resource, &batch->spans[i]))
            return false;
        read_root_span(builder, &batch->spans[i]);
    }
    return true;
}

static bool add_jobs(struct builder *builder, const struct span_batch *batch)
{
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        if (!has_type(span, TYPE_JOB))
            continue;
        struct run_view_job *job = &builder->view->jobs[builder->view->count++];
        read_job_span(span, job);
        if (!read_run_resource(builder, &batch->resource, span) ||
            !read_children(builder, span, batch, job))
            return false;
    }
    return true;
}

static size_t count_jobs(const struct span_batch *batches, size_t count)
{
    size_t jobs = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < batches[i].span_count; j++)
            jobs += has_type(&batches[i].spans[j], TYPE_JOB);
    return jobs;
}

static int compare_jobs(const void *left, const void *right)
{
    const struct run_view_job *a = left, *b = right;
    if (a->created_at != b->created_at)
        return a->created_at < b->created_at ? -1 : 1;
    return (a->job_id > b->job_id) - (a->job_id < b->job_id);
}

void run_view_sort_jobs(struct run_view *view)
{
    if (view->count > 1)
        qsort(view->jobs, view->count, sizeof *view->jobs, compare_jobs);
}

enum error_code run_view_from_spans(const struct span_batch *batches, size_t count,
                                    struct arena *arena, struct run_view *view)
{
    struct builder builder = {.arena = arena, .view = view};
    *view = (struct run_view){.count = 0};
    if (!join_batches(&builder, &batches, count))
        return ERROR_MEMORY;
    view->jobs = arena_allocate_array(arena, count_jobs(batches, count), sizeof *view->jobs);
    if (view->jobs == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!add_root(&builder, &batches[i]))
            return ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!add_jobs(&builder, &batches[i]))
            return ERROR_MEMORY;
    run_view_sort_jobs(view);
    return github_server_of_url(view->url, arena, &view->server);
}

// --- the chain of jobs that determined the length of the run --------------------------------------

bool run_view_job_ran(const struct run_view_job *job)
{
    return job->outcome != OUTCOME_SKIPPED && job->outcome != OUTCOME_CARRIED_OVER;
}

// GitHub's times have a resolution of one second, so a job may end in the second in which its successor begins.
const struct run_view_job *run_view_job_before(const struct run_view *view,
                                               const struct run_view_job *next)
{
    const struct run_view_job *last = NULL;
    for (size_t i = 0; i < view->count; i++) {
        const struct run_view_job *job = &view->jobs[i];
        if (!job->has_spans || !run_view_job_ran(job) || job->created_at == TIMESTAMP_UNKNOWN)
            continue;
        if (next != NULL && (job->created_at >= next->created_at ||
                             job->ended_at - NS_PER_SECOND > next->created_at))
            continue;
        if (last == NULL || job->ended_at > last->ended_at)
            last = job;
    }
    return last;
}
