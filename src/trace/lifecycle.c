// The life cycle of runs and jobs.
#include "ghatrace/trace/lifecycle.h"

#include "ghatrace/trace/build.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/merge.h"
#include "ghatrace/trace/timeline.h"

// GitHub's clocks differ, and its bodies have whole seconds: an event may be made a moment before `created_at`.
#define GUID_TOLERANCE NS_PER_SECOND

static bool has_seen(uint8_t seen, unsigned action)
{
    return (seen & (1u << action)) != 0;
}

timestamp_ns lifecycle_occurred_at(const struct github_event *event, timestamp_ns guid_time,
                                   timestamp_ns received_at)
{
    timestamp_ns created = TIMESTAMP_UNKNOWN;
    if (event->kind == GITHUB_EVENT_JOB) {
        created = event->job.created_at;
        if (created == TIMESTAMP_UNKNOWN && event->job.action <= GITHUB_JOB_WAITING)
            created = event->job.started_at;
    }
    bool is_believed = guid_time != TIMESTAMP_UNKNOWN && guid_time >= created - GUID_TOLERANCE &&
                       guid_time <= received_at;
    return is_believed ? guid_time : received_at;
}

// --- sending spans ---------------------------------------------------------------------------------

static enum error_code finish_root(const struct trace_policy *policy, bool is_incomplete,
                                   timestamp_ns now, struct run_state *run, struct arena *arena,
                                   struct lifecycle_output *output)
{
    struct lifecycle_finished *finished = &output->finished[output->finished_count];
    enum error_code code =
        build_root_span(policy, run, is_incomplete, arena, &finished->batch, &finished->end);
    if (code == ERROR_NONE)
        code = measure_of_run(run, &finished->batch.spans[0], is_incomplete, arena,
                              &finished->run_measure);
    if (code != ERROR_NONE)
        return code;
    finished->span_id = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt);
    output->finished_count++;
    run->phase = is_incomplete ? RUN_SENT_INCOMPLETE : RUN_SENT;
    run->end = finished->end;
    run->last_received = timestamp_later(run->last_received, now);
    output->run_changed = true;
    return ERROR_NONE;
}

// The root leaves when the run is completed and nothing that is known of it is open.
static enum error_code finish_root_if_ready(const struct trace_policy *policy, timestamp_ns now,
                                            struct run_state *run, struct arena *arena,
                                            struct lifecycle_output *output)
{
    if (!run->is_completed || run->phase == RUN_SENT)
        return ERROR_NONE;
    if (run->open_jobs > 0 && now < run->completed_received + policy->root_grace)
        return ERROR_NONE;
    return finish_root(policy, false, now, run, arena, output);
}

static void count_job_as_closed(struct run_state *run, const struct job_state *job,
                                const struct job_timeline *timeline, bool is_incomplete,
                                timestamp_ns now)
{
    if (job->phase != JOB_CLOSED_INCOMPLETE) {
        run->open_jobs--;
        run->closed_jobs++;
    }
    if (run->first_job_start == TIMESTAMP_UNKNOWN || timeline->start < run->first_job_start)
        run->first_job_start = timeline->start;
    run->last_job_end = timestamp_later(run->last_job_end, timeline->end);
    run->last_job_closed_at = timestamp_later(run->last_job_closed_at, now);
    if (!is_incomplete) {
        enum run_result result = build_result_of_conclusion(job->body.conclusion);
        run->worst_result = result > run->worst_result ? result : run->worst_result;
    }
}

// Of a job whose spans went out only this stays: enough to know it again, and to be forgotten in time.
static void keep_note_of_job(struct job_state *job)
{
    *job = (struct job_state){.phase = job->phase,
                              .run_id = job->run_id,
                              .run_attempt = job->run_attempt,
                              .job_id = job->job_id,
                              .server = job->server,
                              .closed_at = job->closed_at,
                              .deadline = job->deadline};
}

// The same for a run, once nothing of it is open. Where its jobs' payloads lack names (before 2023), or no job of it is
// known yet, names stay for jobs that come late.
static void keep_note_of_run(struct run_state *run)
{
    if (run->phase != RUN_SENT || run->open_jobs > 0)
        return;
    run->repository = (struct github_repository){0};
    bool jobs_have_names = run->job_workflow_name.len > 0;
    run->body = jobs_have_names ? (struct github_run){0}
                                : (struct github_run){.workflow_name = run->body.workflow_name,
                                                      .head_branch = run->body.head_branch};
    run->job_repository = (struct github_repository){0};
    run->job_workflow_name = SLICE_EMPTY;
    run->job_head_branch = SLICE_EMPTY;
    run->job_head_sha = SLICE_EMPTY;
}

static enum error_code finish_job(const struct trace_policy *policy, bool is_incomplete,
                                  timestamp_ns now, struct run_state *run, struct job_state *job,
                                  struct arena *arena, struct lifecycle_output *output)
{
    struct lifecycle_finished *finished = &output->finished[output->finished_count];
    struct job_timeline timeline;
    timeline_of_job(job, !is_incomplete, run->is_completed ? run->end : TIMESTAMP_UNKNOWN,
                    &timeline);
    enum error_code code = build_job_spans(policy, run, job, &timeline, is_incomplete, arena,
                                           &finished->batch, &finished->rest);
    if (code == ERROR_NONE && !is_incomplete)
        code = measure_of_job(policy, run, job, &timeline, arena, &finished->job_measure);
    if (code != ERROR_NONE)
        return code;
    finished->span_id = stored_span_of_job(job->run_id, job->job_id);
    finished->end = timeline.end;
    output->finished_count++;
    count_job_as_closed(run, job, &timeline, is_incomplete, now);
    job->phase = is_incomplete ? JOB_CLOSED_INCOMPLETE : JOB_CLOSED;
    job->closed_at = now;
    if (!is_incomplete)
        keep_note_of_job(job);
    output->job_changed = true;
    output->run_changed = true;
    code = finish_root_if_ready(policy, now, run, arena, output);
    keep_note_of_run(run);
    return code;
}

// --- events ------------------------------------------------------------------------------------------

// Is there an event still to be expected without which the spans of this completed job would be wrong?
static bool lacks_a_statement(const struct run_state *run, const struct job_state *job)
{
    struct job_timeline timeline;
    timeline_of_job(job, true, TIMESTAMP_UNKNOWN, &timeline);
    if (job->body.workflow_name.len == 0 && run->seen == 0)
        return true;
    if (timeline.is_skipped || timeline.is_carried_over)
        return false;
    if (job->created_at == TIMESTAMP_UNKNOWN && job->queued_at == TIMESTAMP_UNKNOWN)
        return true;
    bool may_have_waited = job->last_waiting != TIMESTAMP_UNKNOWN || job->deployment_id != 0;
    bool is_release_known =
        job->last_waiting != TIMESTAMP_UNKNOWN && job->last_queued > job->last_waiting;
    return may_have_waited && timeline.has_run && !is_release_known;
}

static enum error_code advance_job(const struct trace_policy *policy, timestamp_ns now,
                                   struct run_state *run, struct job_state *job,
                                   struct arena *arena, struct lifecycle_output *output)
{
    if (!has_seen(job->seen, GITHUB_JOB_COMPLETED))
        return ERROR_NONE;
    if (job->settling_since == TIMESTAMP_UNKNOWN)
        job->settling_since = now;
    bool is_patient = now < job->settling_since + policy->root_grace;
    if (job->phase != JOB_CLOSED_INCOMPLETE && is_patient && lacks_a_statement(run, job)) {
        job->phase = JOB_SETTLING;
        return ERROR_NONE;
    }
    return finish_job(policy, false, now, run, job, arena, output);
}

static enum error_code apply_job(const struct trace_policy *policy,
                                 const struct github_event *event, timestamp_ns occurred_at,
                                 timestamp_ns received_at, uint64_t digest, struct run_state *run,
                                 struct job_state *job, struct arena *arena,
                                 struct lifecycle_output *output)
{
    if (job->phase == JOB_CLOSED) {
        output->is_late = true;
        return ERROR_NONE;
    }
    if (run->phase == RUN_NEW)
        run->phase = RUN_OPEN;
    if (job->phase == JOB_NEW) {
        job->phase = JOB_OPEN;
        run->open_jobs++;
    }
    merge_job_event(job, event, occurred_at, digest);
    merge_run_from_job(run, event);
    job->last_received = timestamp_later(job->last_received, received_at);
    run->last_received = timestamp_later(run->last_received, received_at);
    output->job_changed = true;
    output->run_changed = true;
    return advance_job(policy, received_at, run, job, arena, output);
}

static enum error_code apply_run(const struct trace_policy *policy,
                                 const struct github_event *event, timestamp_ns received_at,
                                 uint64_t digest, struct run_state *run, struct arena *arena,
                                 struct lifecycle_output *output)
{
    bool is_final = merge_is_final(&event->run);
    if (run->phase == RUN_SENT || (run->phase == RUN_SENT_INCOMPLETE && !is_final)) {
        output->is_late = true;
        return ERROR_NONE;
    }
    if (run->phase == RUN_NEW)
        run->phase = RUN_OPEN;
    merge_run_event(run, event, digest);
    run->last_received = timestamp_later(run->last_received, received_at);
    if (is_final && run->completed_received == TIMESTAMP_UNKNOWN)
        run->completed_received = received_at;
    output->run_changed = true;
    enum error_code code = finish_root_if_ready(policy, received_at, run, arena, output);
    keep_note_of_run(run);
    return code;
}

enum error_code lifecycle_apply_event(const struct trace_policy *policy,
                                      const struct github_event *event, timestamp_ns occurred_at,
                                      timestamp_ns received_at, uint64_t digest,
                                      struct run_state *run, struct job_state *job,
                                      struct arena *arena, struct lifecycle_output *output)
{
    *output = (struct lifecycle_output){0};
    if (event->kind == GITHUB_EVENT_JOB)
        return apply_job(policy, event, occurred_at, received_at, digest, run, job, arena, output);
    return apply_run(policy, event, received_at, digest, run, arena, output);
}

// --- deadlines ---------------------------------------------------------------------------------------

timestamp_ns lifecycle_job_deadline(const struct trace_policy *policy, const struct run_state *run,
                                    const struct job_state *job)
{
    switch (job->phase) {
    case JOB_NEW:
        break;
    case JOB_SETTLING:
        return job->settling_since + policy->root_grace;
    case JOB_OPEN:
        if (run->completed_received != TIMESTAMP_UNKNOWN)
            return timestamp_later(run->completed_received, job->last_received) + policy->job_grace;
        return job->last_received + policy->job_timeout;
    case JOB_CLOSED:
    case JOB_CLOSED_INCOMPLETE:
        return job->closed_at + policy->linger;
    }
    return TIMESTAMP_UNKNOWN;
}

// When a root that is still open leaves at the latest.
static timestamp_ns open_run_deadline(const struct trace_policy *policy,
                                      const struct run_state *run)
{
    if (run->is_completed)
        return run->completed_received + policy->root_grace;
    if (run->seen == 0 && run->open_jobs == 0)
        return run->last_job_closed_at + policy->run_idle;
    return run->last_received + policy->job_timeout;
}

static bool must_sweep(const struct run_state *run)
{
    return run->open_jobs > 0 && run->completed_received != TIMESTAMP_UNKNOWN && !run->jobs_swept;
}

timestamp_ns lifecycle_run_deadline(const struct trace_policy *policy, const struct run_state *run)
{
    if (run->phase == RUN_NEW)
        return TIMESTAMP_UNKNOWN;
    if (run->phase == RUN_OPEN)
        return open_run_deadline(policy, run);
    if (must_sweep(run))
        return run->completed_received + policy->job_grace;
    return run->last_received + policy->linger;
}

enum error_code lifecycle_expire_job(const struct trace_policy *policy, timestamp_ns now,
                                     struct run_state *run, struct job_state *job,
                                     struct arena *arena, struct lifecycle_output *output)
{
    *output = (struct lifecycle_output){0};
    timestamp_ns deadline = lifecycle_job_deadline(policy, run, job);
    if (deadline == TIMESTAMP_UNKNOWN || deadline > now)
        return ERROR_NONE;
    switch (job->phase) {
    case JOB_SETTLING:
        return finish_job(policy, false, now, run, job, arena, output);
    case JOB_OPEN:
        return finish_job(policy, true, now, run, job, arena, output);
    case JOB_NEW:
    case JOB_CLOSED:
    case JOB_CLOSED_INCOMPLETE:
        break;
    }
    output->forget = true;
    return ERROR_NONE;
}

// A run awaiting approval that nobody gave is closed as it stands; that is not our lack of knowledge.
static bool is_unfinished(const struct run_state *run)
{
    return !slice_equals(run->body.conclusion, SLICE("action_required"));
}

enum error_code lifecycle_expire_run(const struct trace_policy *policy, timestamp_ns now,
                                     struct run_state *run, struct arena *arena,
                                     struct lifecycle_output *output)
{
    *output = (struct lifecycle_output){0};
    timestamp_ns deadline = lifecycle_run_deadline(policy, run);
    if (deadline == TIMESTAMP_UNKNOWN || deadline > now)
        return ERROR_NONE;
    if (run->phase == RUN_OPEN && run->is_completed)
        return finish_root_if_ready(policy, now, run, arena, output);
    if (run->phase == RUN_OPEN)
        return finish_root(policy, is_unfinished(run), now, run, arena, output);
    if (must_sweep(run)) {
        output->sweep_jobs = true;
        return ERROR_NONE;
    }
    // Jobs that are open still have deadlines of their own; their run is remembered until they are done.
    if (run->open_jobs > 0) {
        run->last_received = now;
        output->run_changed = true;
    } else {
        output->forget = true;
    }
    return ERROR_NONE;
}
