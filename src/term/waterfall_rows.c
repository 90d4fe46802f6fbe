// Makes the rows of a waterfall from the view of a run.
#include "waterfall_rows.h"

#include "ghatrace/term/text.h"
#include "ghatrace/trace/spans.h"

duration_ns waterfall_length(struct view_interval interval)
{
    return interval.end - interval.start;
}

struct row_builder {
    struct arena *arena;
    timestamp_ns now;
    bool unicode;
};

static void extend_interval(struct view_interval *whole, struct view_interval part)
{
    if (part.start == TIMESTAMP_UNKNOWN)
        return;
    if (whole->start == TIMESTAMP_UNKNOWN || part.start < whole->start)
        whole->start = part.start;
    if (part.end > whole->end)
        whole->end = part.end;
}

// An interval that has begun and is not over ends now. If the clock is behind GitHub's, it must not become negative.
static struct view_interval until_now(const struct row_builder *builder, struct view_interval time)
{
    if (time.start <= TIMESTAMP_UNKNOWN)
        return (struct view_interval){TIMESTAMP_UNKNOWN, TIMESTAMP_UNKNOWN};
    if (time.end == TIMESTAMP_UNKNOWN)
        time.end = builder->now;
    if (time.end < time.start)
        time.end = time.start;
    return time;
}

// --- names and notes ------------------------------------------------------------------------------

static bool clean_name(struct row_builder *builder, struct slice name, struct waterfall_row *row)
{
    if (!text_clean(builder->arena, name, builder->unicode, &row->name))
        return false;
    if (row->name.len == 0)
        row->name = SLICE("(no name)");
    return true;
}

// The part of GitHub's conclusion that the mark does not show. An unknown conclusion is shown unchanged.
static bool set_conclusion(struct row_builder *builder, struct slice word,
                           struct waterfall_row *row)
{
    enum run_result result = build_result_of_conclusion(word);
    return word.len == 0 || result == RUN_RESULT_SUCCESS || result == RUN_RESULT_FAILURE ||
           text_clean(builder->arena, view_conclusion_words(word), builder->unicode, &row->note);
}

static struct slice conclusion_or_result(struct slice conclusion, struct slice result)
{
    return conclusion.len > 0 ? conclusion : result;
}

// `word`: GitHub's conclusion or, if that is unknown, the result.
static bool set_outcome(struct row_builder *builder, enum view_outcome outcome, bool is_incomplete,
                        struct slice word, struct waterfall_row *row)
{
    row->mark = (enum waterfall_mark)outcome;
    if (outcome == OUTCOME_CARRIED_OVER) {
        row->note = SLICE("carried over from the attempt before");
        return true;
    }
    if (is_incomplete) {
        row->note = SLICE("incomplete");
        return true;
    }
    return set_conclusion(builder, word, row);
}

// --- steps ----------------------------------------------------------------------------------------

static bool make_step_row(struct row_builder *builder, const struct run_view_job *job,
                          const struct run_view_step *step, struct waterfall_row *row)
{
    bool has_begun = step->time.start > TIMESTAMP_UNKNOWN;
    bool is_open = !job->has_spans && step->conclusion.len == 0;
    *row = (struct waterfall_row){.time = step->time};
    if (!job->has_spans)
        row->time = until_now(builder, step->time);
    if (!clean_name(builder, step->name, row))
        return false;
    if (!is_open)
        return set_outcome(builder, step->outcome, step->is_incomplete,
                           conclusion_or_result(step->conclusion, step->result), row);
    row->mark = has_begun ? MARK_RUNNING : MARK_YET_TO_START;
    return true;
}

static bool make_step_rows(struct row_builder *builder, const struct run_view_job *job,
                           struct waterfall_job *drawn)
{
    drawn->steps = arena_allocate_array(builder->arena, job->step_count, sizeof *drawn->steps);
    if (drawn->steps == NULL)
        return false;
    for (size_t i = 0; i < job->step_count; i++)
        if (!make_step_row(builder, job, &job->steps[i], &drawn->steps[i]))
            return false;
    drawn->step_count = job->step_count;
    return true;
}

// --- jobs -----------------------------------------------------------------------------------------

// Sets the note on the failure of a failed job: its runner, or else one of its steps.
static bool explain_failure(struct row_builder *builder, struct waterfall_job *drawn)
{
    const struct run_view_job *job = drawn->job;
    struct waterfall_row *row = &drawn->row;
    struct waterfall_row failed;
    if (job->outcome != OUTCOME_FAILURE)
        return true;
    if (slice_equals(job->error_type, SLICE("runner_lost")))
        row->note = SLICE("runner lost");
    else if (slice_equals(job->error_type, SLICE("not_started")))
        row->note = SLICE("not started");
    drawn->is_explained = job->failed_step != NULL || row->note.len > 0;
    if (job->failed_step == NULL || row->note.len > 0)
        return true;
    return clean_name(builder, job->failed_step->name, &failed) &&
           arena_format(builder->arena, &row->note, "failed in %.*s", SLICE_ARGS(failed.name));
}

static void set_open_state(const struct run_view_job *job, struct waterfall_row *row)
{
    switch (job->open_state) {
    case OPEN_JOB_WAITING:
        row->mark = MARK_YET_TO_START;
        row->note = SLICE("waiting");
        break;
    case OPEN_JOB_QUEUED:
        row->mark = MARK_YET_TO_START;
        row->note = SLICE("queued");
        break;
    case OPEN_JOB_RUNNING:
        row->mark = job->is_ended_unknown ? MARK_ENDED_UNKNOWN : MARK_RUNNING;
        row->note = job->is_ended_unknown ? SLICE("ended, result unknown") : SLICE("running");
        break;
    case OPEN_JOB_NONE:
        break;
    }
}

// If the clock is behind GitHub's, an open job extends to its latest known time.
static void extend_to_phases(struct waterfall_job *drawn)
{
    if (drawn->job->has_spans)
        return;
    for (size_t i = 0; i < PHASE_COUNT; i++)
        if (drawn->phases[i].end > drawn->row.time.end)
            drawn->row.time.end = drawn->phases[i].end;
}

static bool make_job_row(struct row_builder *builder, const struct run_view_job *job,
                         struct waterfall_job *drawn)
{
    *drawn = (struct waterfall_job){
        .job = job,
        .row.time = until_now(builder, (struct view_interval){job->created_at, job->ended_at})};
    for (size_t i = 0; i < PHASE_COUNT; i++)
        drawn->phases[i] = until_now(builder, job->phases[i]);
    extend_to_phases(drawn);
    if (!clean_name(builder, job->name, &drawn->row) ||
        !set_outcome(builder, job->outcome, job->is_incomplete,
                     conclusion_or_result(job->conclusion, job->result), &drawn->row) ||
        !explain_failure(builder, drawn))
        return false;
    set_open_state(job, &drawn->row);
    return make_step_rows(builder, job, drawn);
}

// --- the run --------------------------------------------------------------------------------------

static bool make_root_row(struct row_builder *builder, struct waterfall *waterfall)
{
    const struct run_view *view = waterfall->view;
    struct waterfall_row *root = &waterfall->root;
    if (!waterfall->is_over)
        return true;
    root->time = until_now(builder, (struct view_interval){view->start, view->end});
    return clean_name(builder, view->name.len > 0 ? view->name : view->workflow, root) &&
           set_outcome(builder, view_outcome_of(view->conclusion), view->is_incomplete,
                       conclusion_or_result(view->conclusion, view->result), root);
}

// Children are clamped to their parents when they are made, so only jobs and root need to be measured.
static void sample_axis(const struct row_builder *builder, struct waterfall *waterfall)
{
    const struct run_view *view = waterfall->view;
    if (view->is_open)
        extend_interval(&waterfall->axis,
                        until_now(builder, (struct view_interval){view->start, TIMESTAMP_UNKNOWN}));
    extend_interval(&waterfall->axis, waterfall->root.time);
    for (size_t i = 0; i < waterfall->job_count; i++)
        extend_interval(&waterfall->axis, waterfall->jobs[i].row.time);
    if (!waterfall->is_over)
        waterfall->root.time = waterfall->axis;
}

enum error_code waterfall_build(const struct run_view *view, timestamp_ns now, bool unicode,
                                struct arena *arena, struct waterfall *waterfall)
{
    struct row_builder builder = {.arena = arena, .now = now, .unicode = unicode};
    *waterfall = (struct waterfall){.view = view, .is_over = view->has_ended && !view->is_open};
    // If a job is still open when its run is over, its end was most likely lost.
    if (waterfall->is_over && view->end != TIMESTAMP_UNKNOWN && view->end < now)
        builder.now = view->end;
    waterfall->jobs = arena_allocate_array(arena, view->count, sizeof *waterfall->jobs);
    if (waterfall->jobs == NULL || !make_root_row(&builder, waterfall))
        return ERROR_MEMORY;
    for (size_t i = 0; i < view->count; i++)
        if (!make_job_row(&builder, &view->jobs[i], &waterfall->jobs[i]))
            return ERROR_MEMORY;
    waterfall->job_count = view->count;
    sample_axis(&builder, waterfall);
    return ERROR_NONE;
}

size_t waterfall_critical_path(const struct waterfall *waterfall, const struct waterfall_job **path,
                               size_t most, duration_ns *length)
{
    const struct run_view *view = waterfall->view;
    const struct run_view_job *job = run_view_job_before(view, NULL);
    size_t count = 0;
    *length = 0;
    for (; job != NULL; job = run_view_job_before(view, job)) {
        const struct waterfall_job *drawn = &waterfall->jobs[job - view->jobs];
        *length += waterfall_length(drawn->row.time);
        if (count < most)
            path[count] = drawn;
        count++;
    }
    return count;
}
