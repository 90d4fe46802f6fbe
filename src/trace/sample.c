// Measurements of a finished job or run.
#include "ghatrace/trace/sample.h"

#include "ghatrace/base/utf8.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/labels.h"

static struct slice shorten(struct slice text)
{
    return utf8_cut(text, SAMPLE_TEXT_MAX);
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
    };
    *measure = made;
    return ERROR_NONE;
}
