// The life cycle of runs and jobs.
#include "ghatrace/trace/lifecycle.h"

#include <assert.h>

#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/merge.h"
#include "ghatrace/trace/policy.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/timeline.h"

// --- the life cycle of runs and jobs --------------------------------------------------------------

// GitHub's clocks differ, and its bodies have whole seconds: a GUID's time may be slightly before `created_at`.
#define GUID_TOLERANCE NS_PER_SECOND

static bool has_seen(uint8_t seen, unsigned action)
{
    return (seen & (1u << action)) != 0;
}

timestamp_ns lifecycle_creation_of_job(const struct github_job *job)
{
    return job->created_at == TIMESTAMP_UNKNOWN && job->action <= GITHUB_JOB_WAITING
               ? job->started_at
               : job->created_at;
}

timestamp_ns lifecycle_occurred_at(timestamp_ns created_at, timestamp_ns guid_time,
                                   timestamp_ns received_at)
{
    bool is_believed = guid_time != TIMESTAMP_UNKNOWN && guid_time >= created_at - GUID_TOLERANCE &&
                       guid_time <= received_at;
    return is_believed ? guid_time : received_at;
}

// --- sending spans ---------------------------------------------------------------------------------

// The next to be sent; it counts once it is complete.
static struct lifecycle_finished *next_finished(struct lifecycle_output *output)
{
    assert(output->finished_count < sizeof output->finished / sizeof output->finished[0]);
    return &output->finished[output->finished_count];
}

// Sends the root as known now, unless it was sent like that already.
static enum error_code finish_root(const struct lifecycle *life, bool is_incomplete,
                                   timestamp_ns now, struct run_state *run)
{
    struct lifecycle_output *output = life->output;
    struct lifecycle_finished *finished = next_finished(output);
    bool was_sent = run->phase == RUN_SENT;
    enum error_code code =
        build_root_span(life->policy, run, is_incomplete, life->arena, &finished->batch);
    if (code == ERROR_NONE)
        code = sample_of_run(run, &finished->batch.spans[0], is_incomplete, life->arena,
                             &finished->run_sample);
    if (code != ERROR_NONE)
        return code;
    uint32_t digest = (uint32_t)fingerprint_of_batch(&finished->batch);
    finished->span_id = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt);
    finished->end = finished->batch.spans[0].end;
    finished->is_correction = was_sent;
    if (digest != run->root_digest)
        output->finished_count++;
    run->root_digest = digest;
    run->phase = is_incomplete ? RUN_SENT_INCOMPLETE : RUN_SENT;
    run->end = finished->end;
    run->last_received = timestamp_later(run->last_received, now);
    output->run_changed = true;
    return ERROR_NONE;
}

// Sends the root if the run is completed and none of its known jobs is open.
static enum error_code finish_root_if_ready(const struct lifecycle *life, timestamp_ns now,
                                            struct run_state *run)
{
    if (!run->is_completed || run->phase == RUN_SENT)
        return ERROR_NONE;
    if (run->open_jobs > 0 && now < run->completed_received + life->policy->root_grace)
        return ERROR_NONE;
    return finish_root(life, false, now, run);
}

// The root was sent and the job extends beyond it: the root is sent again, extended.
static enum error_code extend_root(const struct lifecycle *life, timestamp_ns start,
                                   timestamp_ns end, timestamp_ns now, struct run_state *run)
{
    struct lifecycle_extension *extension = &life->output->extension;
    build_root_times(run, &extension->start, &extension->end);
    if (extension->start == start && extension->end == end)
        return ERROR_NONE;
    if (!run->has_no_body)
        return finish_root(life, false, now, run);
    extension->is_wanted = true;
    extension->span_id = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt);
    run->end = extension->end;
    return ERROR_NONE;
}

// True if the start of the job's span is the start of this attempt of it. Payloads from before 2023 do not have a
// job's creation time, and a job that a re-run did not run again has its old times (F75).
static bool starts_at_known_time(const struct job_state *job)
{
    return job->run_attempt <= 1 || job->created_at != TIMESTAMP_UNKNOWN ||
           job->queued_at != TIMESTAMP_UNKNOWN;
}

// How a job ends: the phase that it is left in, and its timeline.
struct job_end {
    enum job_phase phase;
    struct job_timeline timeline;
};

static void count_job_as_closed(struct run_state *run, struct job_state *job,
                                const struct job_end *end, timestamp_ns now)
{
    bool is_counted = job->phase == JOB_CLOSED || job->phase == JOB_CLOSED_LACKING;
    if (job->phase == JOB_OPEN || job->phase == JOB_SETTLING) {
        run->open_jobs--;
        run->closed_jobs++;
    }
    if (starts_at_known_time(job))
        run->first_job_start = timestamp_earliest_known(run->first_job_start, end->timeline.start);
    run->last_job_end = timestamp_later(run->last_job_end, end->timeline.end);
    run->last_job_closed_at = timestamp_later(run->last_job_closed_at, now);
    if (end->phase == JOB_CLOSED_INCOMPLETE)
        return;
    if (is_counted && run->results[job->counted_result] > 0)
        run->results[job->counted_result]--;
    job->counted_result = build_result_of_conclusion(job->body.conclusion);
    run->results[job->counted_result]++;
}

// Reduces the state of a job whose spans were sent to what is needed to recognize it, to forget it in time, and to
// send it again, including the phases before its start, if it completes a second time.
static void keep_note_of_job(struct job_state *job)
{
    *job = (struct job_state){.phase = job->phase,
                              .run_id = job->run_id,
                              .run_attempt = job->run_attempt,
                              .job_id = job->job_id,
                              .server = job->server,
                              .created_at = job->created_at,
                              .queued_at = job->queued_at,
                              .last_queued = job->last_queued,
                              .last_waiting = job->last_waiting,
                              .assigned_at = job->assigned_at,
                              .body_version = job->body_version,
                              .counted_result = job->counted_result,
                              .closed_at = job->closed_at,
                              .deadline = job->deadline};
}

// The same for a run without open jobs. If its jobs' payloads lack names (before 2023), or none of its jobs is known
// yet, the names are kept for late jobs.
static void keep_note_of_run(struct run_state *run)
{
    if (run->phase != RUN_SENT || run->open_jobs > 0)
        return;
    const struct github_run *body = &run->body;
    timestamp_ns start = timestamp_first_known(body->run_started_at, body->created_at);
    struct github_run kept = {.run_started_at = start, .updated_at = body->updated_at};
    if (run->job_workflow_name.len == 0) {
        kept.workflow_name = body->workflow_name;
        kept.head_branch = body->head_branch;
    }
    run->has_no_body = true;
    run->repository = (struct github_repository){0};
    run->body = kept;
    run->job_repository = (struct github_repository){0};
    run->job_workflow_name = SLICE_EMPTY;
    run->job_head_branch = SLICE_EMPTY;
    run->job_head_sha = SLICE_EMPTY;
}

// Reopens a run whose root was sent incomplete, because of a later event; the root is sent again only if it differs.
static void reopen_incomplete_run(struct run_state *run)
{
    if (run->phase == RUN_SENT_INCOMPLETE)
        run->phase = RUN_OPEN;
    if (run->phase == RUN_OPEN && !run->is_completed) {
        run->jobs_swept = false;
        run->sweep_after = (struct span_id){{0}};
    }
}

static void move_to_closed(struct job_state *job, enum job_phase phase)
{
    assert(job->phase != JOB_NEW && phase >= JOB_CLOSED);
    job->phase = phase;
    if (phase != JOB_CLOSED_INCOMPLETE)
        job->ended_by = TIMESTAMP_UNKNOWN; // its end is known
    if (phase == JOB_CLOSED)
        keep_note_of_job(job);
}

// --- what ARC reports ------------------------------------------------------------------------------

// The runner.* spans of a job that waits for ARC are always sent apart from its others, so that the newest of each in
// the store replaces the one before.
static bool has_arc_runner(const struct trace_policy *policy, const struct job_state *job)
{
    return job_is_selected(&policy->arc_runners, job);
}

// True if its runner.* spans are held back.
static bool holds_runner_phases(const struct job_state *job, const struct job_timeline *timeline)
{
    return job->arc_wait_since != TIMESTAMP_UNKNOWN && job->assigned_at == TIMESTAMP_UNKNOWN &&
           timeline->has_run;
}

static timestamp_ns end_of_arc_wait(const struct trace_policy *policy, const struct job_state *job)
{
    return job->arc_wait_since + policy->arc_grace;
}

static bool is_in_arc_wait(const struct trace_policy *policy, const struct job_state *job,
                           timestamp_ns now)
{
    return job->arc_wait_since != TIMESTAMP_UNKNOWN && now < end_of_arc_wait(policy, job);
}

// Of a job that never started nothing waits, but an event may still show that it did.
static void begin_arc_wait(const struct trace_policy *policy, const struct job_timeline *timeline,
                           timestamp_ns now, struct job_state *job)
{
    job->arc_wait_since = job->settling_since;
    if (timeline->is_skipped || timeline->is_carried_over || !has_arc_runner(policy, job) ||
        !is_in_arc_wait(policy, job, now))
        job->arc_wait_since = TIMESTAMP_UNKNOWN;
}

// What of the job is sent in its own batch.
static bool sends_phases_apart(const struct lifecycle *life, const struct ended_job *ended)
{
    return holds_runner_phases(ended->job, ended->timeline) ||
           has_arc_runner(life->policy, ended->job);
}

// Sends the runner.* spans alone.
static enum error_code finish_runner_phases(const struct lifecycle *life,
                                            const struct ended_job *ended)
{
    struct lifecycle_finished *finished = next_finished(life->output);
    enum error_code code = build_runner_phases(life->policy, ended, life->arena, &finished->batch);
    finished->rest = NULL;
    finished->span_id = stored_span_of_job(ended->job->run_id, ended->job->job_id);
    finished->end = ended->timeline->end;
    finished->is_runner_phases = true;
    life->output->finished_count++;
    return code;
}

// Sends what was built for the job.
static enum error_code close_job(const struct lifecycle *life, const struct job_end *end,
                                 timestamp_ns now, struct run_state *run, struct job_state *job)
{
    struct lifecycle_finished *finished = next_finished(life->output);
    timestamp_ns root_start, root_end;
    life->output->finished_count++;
    finished->span_id = stored_span_of_job(job->run_id, job->job_id);
    finished->end = end->timeline.end;
    const struct ended_job ended = {run, job, &end->timeline, end->phase == JOB_CLOSED_INCOMPLETE};
    enum error_code code = ended.is_incomplete ? ERROR_NONE
                                               : occupancy_of_job(job, &end->timeline, life->arena,
                                                                  &finished->occupancy);
    if (code != ERROR_NONE)
        return code;
    if (has_arc_runner(life->policy, job) && !holds_runner_phases(job, &end->timeline)) {
        code = finish_runner_phases(life, &ended);
        if (code != ERROR_NONE)
            return code;
    }
    reopen_incomplete_run(run);
    build_root_times(run, &root_start, &root_end);
    count_job_as_closed(run, job, end, now);
    job->closed_at = now;
    move_to_closed(job, end->phase);
    life->output->job_changed = true;
    // Of a run with only a note, nothing that could be updated is known.
    if (run->phase == RUN_REMEMBERED)
        return ERROR_NONE;
    life->output->run_changed = true;
    code = run->phase == RUN_SENT ? extend_root(life, root_start, root_end, now, run)
                                  : finish_root_if_ready(life, now, run);
    keep_note_of_run(run);
    return code;
}

// Each job is measured once, at the first end that is received. A job whose run's note has been forgotten may have
// been measured long ago.
static bool is_to_be_measured(const struct run_state *run, const struct job_state *job)
{
    bool is_known = job->phase == JOB_CLOSED_INCOMPLETE || run->phase != RUN_REMEMBERED;
    return job->phase != JOB_CLOSED && is_known;
}

static bool is_release_known(const struct job_state *job)
{
    return job->last_waiting != TIMESTAMP_UNKNOWN && job->last_queued > job->last_waiting;
}

enum statement {
    STATEMENT_NONE,
    STATEMENT_WORKFLOW, // the name of its workflow
    STATEMENT_QUEUED,   // since when it was queued
    STATEMENT_RELEASE,  // whether it waited for approval, and until when
};

// The data without which the spans of this completed job would be wrong and that an event may still deliver.
//
// Whether a job waited for approval, and for how long, is known only from its `waiting` event and the `queued` after
// it. Its deployment only shows that it may have waited. A second `queued` proves nothing: GitHub sends one for
// environments even if nothing is gated (cdk-github-runners#380). Whether the job ran does not matter: a job that was
// rejected or cancelled at the gate waited, one that was cancelled after its release waited and queued.
static enum statement find_missing_statement(const struct ended_job *ended)
{
    const struct job_state *job = ended->job;
    if (job->body.workflow_name.len == 0 && ended->run->seen == 0)
        return STATEMENT_WORKFLOW;
    if (ended->timeline->is_skipped || ended->timeline->is_carried_over)
        return STATEMENT_NONE; // neither has any of the phases
    if (job->created_at == TIMESTAMP_UNKNOWN && job->queued_at == TIMESTAMP_UNKNOWN)
        return STATEMENT_QUEUED;
    bool deploys = job->deployment_id != 0 || job->deployment_environment.len > 0;
    bool may_have_waited = job->last_waiting != TIMESTAMP_UNKNOWN || deploys;
    return may_have_waited && !is_release_known(job) ? STATEMENT_RELEASE : STATEMENT_NONE;
}

// The phase of a job after its end. For a job that never got a runner, an event about a gate or a runner may still
// arrive although nothing indicates it: it is not waited for, but the state is kept.
static enum job_phase phase_at_end(const struct ended_job *ended)
{
    const struct job_state *job = ended->job;
    const struct job_timeline *timeline = ended->timeline;
    bool has_all_phases = timeline->has_run || timeline->is_skipped || timeline->is_carried_over;
    bool may_lack_phases = !has_all_phases && !is_release_known(job);
    bool may_lack_runner = timeline->has_run && job->runner_id == 0 && job->runner_name.len == 0 &&
                           !has_seen(job->seen, GITHUB_JOB_IN_PROGRESS);
    return may_lack_phases || may_lack_runner || job->arc_wait_since != TIMESTAMP_UNKNOWN ||
                   find_missing_statement(ended) != STATEMENT_NONE
               ? JOB_CLOSED_LACKING
               : JOB_CLOSED;
}

static timestamp_ns end_of_run(const struct run_state *run)
{
    return run->is_completed ? run->end : TIMESTAMP_UNKNOWN;
}

// With its runner.* spans, or with those left to be sent apart.
static enum error_code build_job(const struct lifecycle *life, const struct ended_job *ended,
                                 bool is_apart, struct lifecycle_finished *finished)
{
    return is_apart ? build_job_without_runner_phases(life->policy, ended, life->arena,
                                                      &finished->batch, &finished->rest)
                    : build_job_spans(life->policy, ended, life->arena, &finished->batch,
                                      &finished->rest);
}

static enum error_code build_finished(const struct lifecycle *life, const struct ended_job *ended,
                                      struct lifecycle_finished *finished)
{
    return build_job(life, ended, sends_phases_apart(life, ended), finished);
}

// For the first time or, with `sent`, after it was given up.
static enum error_code finish_job(const struct lifecycle *life, const struct job_timeline *sent,
                                  timestamp_ns now, struct run_state *run, struct job_state *job)
{
    struct job_end end;
    const struct ended_job ended = {run, job, &end.timeline, false};
    enum error_code code = ERROR_NONE;
    timeline_of_job(job, true, end_of_run(run), &end.timeline);
    if (job->phase != JOB_CLOSED)
        begin_arc_wait(life->policy, &end.timeline, now, job);
    end.phase = phase_at_end(&ended);
    if (is_to_be_measured(run, job))
        code = sample_of_job(life->policy, &ended, life->arena,
                             &next_finished(life->output)->job_sample);
    if (sent != NULL)
        timeline_keep_sent_phases(sent, &end.timeline);
    if (code == ERROR_NONE)
        code = build_finished(life, &ended, next_finished(life->output));
    return code == ERROR_NONE ? close_job(life, &end, now, run, job) : code;
}

static enum error_code give_up_job(const struct lifecycle *life, timestamp_ns now,
                                   struct run_state *run, struct job_state *job)
{
    struct job_end end = {.phase = JOB_CLOSED_INCOMPLETE};
    const struct ended_job ended = {run, job, &end.timeline, true};
    timeline_of_job(job, false, end_of_run(run), &end.timeline);
    enum error_code code = build_finished(life, &ended, next_finished(life->output));
    return code == ERROR_NONE ? close_job(life, &end, now, run, job) : code;
}

// If there are more than BUILD_STEPS_MAX steps, they are not compared one by one.
static bool is_sent_already(const struct lifecycle_finished *before,
                            const struct state_version *version,
                            const struct lifecycle_finished *after,
                            const struct state_version *newer)
{
    bool is_all_there = before->rest == NULL && after->rest == NULL;
    bool is_same_body = version->rank == newer->rank && version->time == newer->time &&
                        version->digest == newer->digest;
    return (is_all_there || is_same_body) && span_batches_are_equal(&before->batch, &after->batch);
}

// All that is or was sent of it, in whichever batches.
static enum error_code build_all(const struct lifecycle *life, const struct ended_job *ended,
                                 struct lifecycle_finished *finished)
{
    return build_job(life, ended, holds_runner_phases(ended->job, ended->timeline), finished);
}

// Builds what is known now of a job that was sent, next to what was sent. `*is_changed`: it differs.
static enum error_code build_and_compare(const struct lifecycle *life, const struct ended_job *sent,
                                         const struct ended_job *ended, bool *is_changed)
{
    struct lifecycle_finished old = {.rest = NULL};
    struct lifecycle_finished new = {.rest = NULL};
    enum error_code code = build_all(life, sent, &old);
    if (code == ERROR_NONE)
        code = build_all(life, ended, &new);
    *is_changed = code == ERROR_NONE &&
                  !is_sent_already(&old, &sent->job->body_version, &new, &ended->job->body_version);
    if (*is_changed)
        code = build_finished(life, ended, next_finished(life->output));
    return code;
}

// The states before an event: what was sent can be rebuilt from them.
struct job_before {
    const struct run_state *run;
    const struct job_state *job;
};

// For a job that was sent while data was missing, and now received more: its spans are sent again if that changes
// them. It is not measured again: the measurements of the first time stay, since they cannot be subtracted, and each
// job counts once.
static enum error_code finish_job_again(const struct lifecycle *life,
                                        const struct job_before *before, timestamp_ns now,
                                        struct run_state *run, struct job_state *job)
{
    struct job_timeline sent_timeline;
    struct job_end end;
    const struct ended_job sent = {before->run, before->job, &sent_timeline, false};
    const struct ended_job ended = {run, job, &end.timeline, false};
    bool is_changed;
    timeline_of_job(before->job, true, TIMESTAMP_UNKNOWN, &sent_timeline);
    timeline_of_job(job, true, TIMESTAMP_UNKNOWN, &end.timeline);
    if (!is_in_arc_wait(life->policy, job, now))
        job->arc_wait_since = TIMESTAMP_UNKNOWN;
    end.phase = phase_at_end(&ended);
    timeline_keep_sent_phases(&sent_timeline, &end.timeline);
    enum error_code code = build_and_compare(life, &sent, &ended, &is_changed);
    if (code != ERROR_NONE)
        return code;
    if (is_changed)
        return close_job(life, &end, now, run, job);
    move_to_closed(job, end.phase);
    life->output->is_late = true;
    life->output->job_changed = true;
    return ERROR_NONE;
}

// For a job that was given up and received another event, but not its end: it is sent again if that changes it.
static enum error_code update_given_up_job(const struct lifecycle *life,
                                           const struct job_state *before, timestamp_ns now,
                                           struct run_state *run, struct job_state *job)
{
    struct job_timeline sent_timeline;
    struct job_end end = {.phase = JOB_CLOSED_INCOMPLETE};
    const struct ended_job sent = {run, before, &sent_timeline, true};
    const struct ended_job ended = {run, job, &end.timeline, true};
    bool is_changed;
    timeline_of_job(before, false, end_of_run(run), &sent_timeline);
    timeline_of_job(job, false, end_of_run(run), &end.timeline);
    timeline_keep_sent_phases(&sent_timeline, &end.timeline);
    if (end.timeline.is_queue_void) // the job's end is not known yet; the queue must not exceed it
        end.timeline.queue = (struct timeline_phase){true, end.timeline.start, end.timeline.start};
    enum error_code code = build_and_compare(life, &sent, &ended, &is_changed);
    return is_changed && code == ERROR_NONE ? close_job(life, &end, now, run, job) : code;
}

// --- events ------------------------------------------------------------------------------------------

static bool must_settle(const struct trace_policy *policy, timestamp_ns now,
                        const struct run_state *run, const struct job_state *job)
{
    struct job_timeline timeline;
    const struct ended_job ended = {run, job, &timeline, false};
    if (now >= job->settling_since + policy->root_grace)
        return false;
    timeline_of_job(job, true, TIMESTAMP_UNKNOWN, &timeline);
    return find_missing_statement(&ended) != STATEMENT_NONE;
}

// `sent`: for a job that was given up, the timeline that was sent then; else NULL.
static enum error_code advance_job(const struct lifecycle *life, const struct job_timeline *sent,
                                   timestamp_ns now, struct run_state *run, struct job_state *job)
{
    if (!has_seen(job->seen, GITHUB_JOB_COMPLETED))
        return ERROR_NONE;
    if (job->settling_since == TIMESTAMP_UNKNOWN)
        job->settling_since = now;
    bool was_sent = job->phase == JOB_CLOSED || sent != NULL;
    if (!was_sent && run->phase != RUN_REMEMBERED && must_settle(life->policy, now, run, job)) {
        job->phase = JOB_SETTLING;
        return ERROR_NONE;
    }
    return finish_job(life, sent, now, run, job);
}

// Without its run nothing is sent again: what was sent is no longer known, nor whether a root was.
static enum error_code apply_to_sent_job(const struct lifecycle *life,
                                         const struct lifecycle_event *received,
                                         struct run_state *run, struct job_state *job)
{
    const struct run_state run_before = *run;
    const struct job_state job_before = *job;
    const struct job_before before = {&run_before, &job_before};
    if (run->phase == RUN_NEW || run->phase == RUN_REMEMBERED) {
        life->output->is_late = true;
        return ERROR_NONE;
    }
    merge_job_event(job, received->event, received->occurred_at, received->digest);
    merge_run_from_job(run, received->event);
    return finish_job_again(life, &before, received->received_at, run, job);
}

// True if this end alone is enough to describe the job, without any other events of it.
static bool is_complete_alone(const struct lifecycle_event *received, const struct run_state *run)
{
    struct job_state alone = {.phase = JOB_NEW};
    struct job_timeline timeline;
    const struct ended_job ended = {run, &alone, &timeline, false};
    merge_job_event(&alone, received->event, received->occurred_at, received->digest);
    timeline_of_job(&alone, true, TIMESTAMP_UNKNOWN, &timeline);
    return phase_at_end(&ended) == JOB_CLOSED;
}

// True if the event changes nothing that was sent of this job. False if it is a later end of it. Long after the run's
// root was sent (RUN_REMEMBERED), a job without a state was sent as well: then only its end is accepted,
// because a job reopened by any other event might never end, and only if the end cannot contain less than what was
// sent.
static bool is_late_for_job(const struct lifecycle_event *received, const struct run_state *run,
                            const struct job_state *job)
{
    const struct github_job *event = &received->event->job;
    struct state_version version = merge_version_of_job(event, received->digest);
    bool is_end = event->action == GITHUB_JOB_COMPLETED;
    if (job->phase == JOB_CLOSED)
        return !is_end || !merge_is_newer(&version, &job->body_version);
    if (run->phase != RUN_REMEMBERED)
        return false;
    return !is_end || (job->phase == JOB_NEW && !is_complete_alone(received, run));
}

enum error_code lifecycle_apply_job_event(const struct lifecycle *life,
                                          const struct lifecycle_event *received,
                                          struct run_state *run, struct job_state *job)
{
    const struct job_state before = *job;
    struct job_timeline sent;
    timestamp_ns now = received->received_at;
    bool was_given_up = job->phase == JOB_CLOSED_INCOMPLETE;
    *life->output = (struct lifecycle_output){0};
    if (job->phase == JOB_CLOSED_LACKING)
        return apply_to_sent_job(life, received, run, job);
    if (is_late_for_job(received, run, job)) {
        life->output->is_late = true;
        return ERROR_NONE;
    }
    if (was_given_up)
        timeline_of_job(job, false, TIMESTAMP_UNKNOWN, &sent);
    if (run->phase == RUN_NEW)
        run->phase = RUN_OPEN;
    reopen_incomplete_run(run);
    if (job->phase == JOB_NEW) {
        job->phase = JOB_OPEN;
        run->open_jobs++;
    }
    merge_job_event(job, received->event, received->occurred_at, received->digest);
    merge_run_from_job(run, received->event);
    job->last_received = timestamp_later(job->last_received, now);
    run->last_received = timestamp_later(run->last_received, now);
    life->output->job_changed = true;
    life->output->run_changed = run->phase != RUN_REMEMBERED;
    if (was_given_up && !has_seen(job->seen, GITHUB_JOB_COMPLETED))
        return update_given_up_job(life, &before, now, run, job);
    return advance_job(life, was_given_up ? &sent : NULL, now, run, job);
}

// True if the event changes nothing that was sent of this run.
static bool is_late_for_run(const struct github_run *event, uint64_t digest,
                            const struct run_state *run)
{
    struct state_version version = merge_version_of_run(event, digest);
    bool is_final = merge_is_final(event);
    switch (run->phase) {
    case RUN_NEW:
    case RUN_OPEN:
        break;
    case RUN_SENT:
        return !is_final || !merge_is_newer(&version, &run->body_version);
    case RUN_SENT_INCOMPLETE:
        return has_seen(run->seen, event->action) && !merge_is_newer(&version, &run->body_version);
    case RUN_REMEMBERED:
        return !is_final || run->is_completed;
    }
    return false;
}

// The run ended after its root was sent: the root is sent again if it differs now.
static enum error_code finish_root_again(const struct lifecycle *life, timestamp_ns now,
                                         struct run_state *run)
{
    if (run->phase == RUN_SENT)
        return finish_root(life, false, now, run);
    return finish_root_if_ready(life, now, run);
}

enum error_code lifecycle_apply_run_event(const struct lifecycle *life,
                                          const struct lifecycle_event *received,
                                          struct run_state *run)
{
    const struct github_run *event = &received->event->run;
    timestamp_ns now = received->received_at;
    *life->output = (struct lifecycle_output){0};
    if (is_late_for_run(event, received->digest, run)) {
        life->output->is_late = true;
        return ERROR_NONE;
    }
    if (run->phase == RUN_NEW || run->phase == RUN_REMEMBERED)
        run->phase = RUN_OPEN;
    reopen_incomplete_run(run);
    // Jobs whose payloads name no workflow may have been sent without its name.
    life->output->resend_jobs =
        run->seen == 0 && run->closed_jobs > 0 && run->job_workflow_name.len == 0;
    merge_run_event(run, received->event, received->digest);
    run->last_received = timestamp_later(run->last_received, now);
    if (merge_is_final(event) && run->completed_received == TIMESTAMP_UNKNOWN)
        run->completed_received = now;
    life->output->run_changed = true;
    enum error_code code = finish_root_again(life, now, run);
    keep_note_of_run(run);
    return code;
}

// --- assignments -------------------------------------------------------------------------------------

// Of a job that was sent, and for whose assignment the time is not over: sends its runner.* spans, unless they were
// sent like that. The measurements of the first time stay.
static enum error_code resend_runner_phases(const struct lifecycle *life,
                                            const struct job_state *before,
                                            const struct run_state *run, struct job_state *job)
{
    struct job_timeline sent_timeline, timeline;
    const struct ended_job sent = {run, before, &sent_timeline, false};
    const struct ended_job ended = {run, job, &timeline, false};
    struct lifecycle_finished *finished = next_finished(life->output);
    struct span_batch old;
    timeline_of_job(before, true, TIMESTAMP_UNKNOWN, &sent_timeline);
    timeline_of_job(job, true, TIMESTAMP_UNKNOWN, &timeline);
    enum error_code code = finish_runner_phases(life, &ended);
    if (code != ERROR_NONE)
        return code;
    if (holds_runner_phases(before, &sent_timeline))
        return sample_of_assignment(life->policy, &ended, life->arena, &finished->job_sample);
    code = build_runner_phases(life->policy, &sent, life->arena, &old);
    if (code == ERROR_NONE && span_batches_are_equal(&old, &finished->batch))
        life->output->finished_count = 0;
    return code;
}

static enum error_code assign_given_up_job(const struct lifecycle *life, timestamp_ns now,
                                           const struct job_state *before, struct run_state *run,
                                           struct job_state *job)
{
    if (run->phase == RUN_NEW || run->phase == RUN_REMEMBERED)
        return ERROR_NONE;
    return update_given_up_job(life, before, now, run, job);
}

static void name_assigned_job(struct job_state *job, const struct job_assignment *assignment,
                              timestamp_ns now)
{
    job->run_id = assignment->run_id;
    job->run_attempt = assignment->run_attempt;
    job->job_id = assignment->job_id;
    job->server = assignment->server;
    job->last_received = timestamp_later(job->last_received, now);
}

// Also where the wait is over by now: a report that was received in time may have been held, since the job's runner was
// not known.
static bool was_reported_in_time(const struct trace_policy *policy, const struct job_state *job,
                                 timestamp_ns reported_at)
{
    if (job->arc_wait_since != TIMESTAMP_UNKNOWN)
        return is_in_arc_wait(policy, job, reported_at);
    return has_arc_runner(policy, job) && reported_at < job->settling_since + policy->arc_grace;
}

static bool is_late_assignment(const struct trace_policy *policy, const struct run_state *run,
                               const struct job_state *job, timestamp_ns reported_at)
{
    switch (job->phase) {
    case JOB_NEW:
        return run->phase == RUN_REMEMBERED;
    case JOB_OPEN:
    case JOB_SETTLING:
    case JOB_CLOSED_INCOMPLETE:
        return false;
    case JOB_CLOSED:
        break;
    case JOB_CLOSED_LACKING:
        return !was_reported_in_time(policy, job, reported_at);
    }
    return true;
}

enum error_code lifecycle_apply_assignment(const struct lifecycle *life,
                                           const struct job_assignment *assignment,
                                           timestamp_ns now, struct run_state *run,
                                           struct job_state *job)
{
    const struct job_state before = *job;
    *life->output = (struct lifecycle_output){0};
    if (is_late_assignment(life->policy, run, job, assignment->reported_at)) {
        life->output->is_late = true;
        return ERROR_NONE;
    }
    if (!merge_job_assignment(job, assignment->assigned_at))
        return ERROR_NONE;
    life->output->job_changed = true;
    if (job->phase == JOB_NEW)
        name_assigned_job(job, assignment, now);
    if (job->phase == JOB_CLOSED_INCOMPLETE)
        return assign_given_up_job(life, now, &before, run, job);
    return job->phase == JOB_CLOSED_LACKING ? resend_runner_phases(life, &before, run, job)
                                            : ERROR_NONE;
}

enum error_code lifecycle_resend_unnamed_job(const struct lifecycle *life, timestamp_ns now,
                                             struct run_state *run, struct job_state *job)
{
    struct run_state run_before = *run;
    const struct job_state job_before = *job;
    const struct job_before before = {&run_before, &job_before};
    *life->output = (struct lifecycle_output){0};
    if (job->phase != JOB_CLOSED_LACKING)
        return ERROR_NONE;
    run_before.seen = 0;
    return finish_job_again(life, &before, now, run, job);
}

// --- deadlines ---------------------------------------------------------------------------------------

static duration_ns timeout_without_events(const struct trace_policy *policy,
                                          bool waits_for_approval)
{
    return waits_for_approval && policy->approval_timeout > policy->job_timeout
               ? policy->approval_timeout
               : policy->job_timeout;
}

static bool waits_for_approval(const struct job_state *job)
{
    struct open_job_state open_state;
    open_job_state_of(job, &open_state);
    return open_state.state == OPEN_JOB_WAITING;
}

timestamp_ns lifecycle_job_deadline(const struct trace_policy *policy, const struct run_state *run,
                                    const struct job_state *job)
{
    switch (job->phase) {
    case JOB_NEW:
        if (job->assigned_at != TIMESTAMP_UNKNOWN)
            return job->last_received + policy->linger;
        break;
    case JOB_SETTLING:
        return job->settling_since + policy->root_grace;
    case JOB_OPEN:
        if (run->completed_received != TIMESTAMP_UNKNOWN)
            return timestamp_later(run->completed_received, job->last_received) + policy->job_grace;
        return job->last_received + timeout_without_events(policy, waits_for_approval(job));
    case JOB_CLOSED_LACKING:
        if (job->arc_wait_since != TIMESTAMP_UNKNOWN)
            return end_of_arc_wait(policy, job);
        return job->closed_at + policy->linger;
    case JOB_CLOSED:
    case JOB_CLOSED_INCOMPLETE:
        return job->closed_at + policy->linger;
    }
    return TIMESTAMP_UNKNOWN;
}

// The latest time at which a root that is still open is sent.
static timestamp_ns open_run_deadline(const struct trace_policy *policy,
                                      const struct run_state *run)
{
    if (run->is_completed)
        return run->completed_received + policy->root_grace;
    if (run->seen == 0 && run->open_jobs == 0)
        return run->last_job_closed_at + policy->run_idle;
    // Open jobs have deadlines of their own, which are not known here: the root is sent right after the last of them.
    if (run->open_jobs > 0)
        return run->last_received + timeout_without_events(policy, true) + policy->root_grace;
    bool says_that_it_waits = slice_equals(run->body.status, SLICE("waiting"));
    return run->last_received + timeout_without_events(policy, says_that_it_waits);
}

// True if the run's open jobs are to be given up at its deadline.
static bool must_sweep(const struct run_state *run)
{
    bool is_over = run->completed_received != TIMESTAMP_UNKNOWN || run->phase == RUN_OPEN;
    return run->open_jobs > 0 && is_over && !run->jobs_swept;
}

timestamp_ns lifecycle_run_deadline(const struct trace_policy *policy, const struct run_state *run)
{
    if (run->phase == RUN_NEW || run->phase == RUN_REMEMBERED)
        return TIMESTAMP_UNKNOWN;
    if (run->phase == RUN_OPEN)
        return open_run_deadline(policy, run);
    if (must_sweep(run))
        return run->completed_received + policy->job_grace;
    // A run that may still end, for example after an approval, is kept until it no longer can. Runs without events of
    // their own never end.
    if (run->phase == RUN_SENT_INCOMPLETE && run->seen != 0 && policy->linger < TRACE_RUN_KEPT)
        return run->last_received + TRACE_RUN_KEPT;
    return timestamp_later(run->last_received, run->last_job_closed_at) + policy->linger;
}

// ARC's report is no longer waited for: runner.* spans that were held back are sent without it.
static enum error_code end_arc_wait(const struct lifecycle *life, struct run_state *run,
                                    struct job_state *job)
{
    struct job_timeline timeline;
    const struct ended_job ended = {run, job, &timeline, false};
    timeline_of_job(job, true, TIMESTAMP_UNKNOWN, &timeline);
    bool was_held = holds_runner_phases(job, &timeline);
    job->arc_wait_since = TIMESTAMP_UNKNOWN;
    enum error_code code = was_held ? finish_runner_phases(life, &ended) : ERROR_NONE;
    move_to_closed(job, phase_at_end(&ended));
    life->output->is_missing = was_held;
    life->output->job_changed = true;
    return code;
}

enum error_code lifecycle_expire_job(const struct lifecycle *life, timestamp_ns now,
                                     struct run_state *run, struct job_state *job)
{
    *life->output = (struct lifecycle_output){0};
    timestamp_ns deadline = lifecycle_job_deadline(life->policy, run, job);
    if (deadline == TIMESTAMP_UNKNOWN || deadline > now)
        return ERROR_NONE;
    switch (job->phase) {
    case JOB_SETTLING:
        return finish_job(life, NULL, now, run, job);
    case JOB_OPEN:
        return give_up_job(life, now, run, job);
    case JOB_CLOSED_LACKING:
        if (job->arc_wait_since != TIMESTAMP_UNKNOWN)
            return end_arc_wait(life, run, job);
        break;
    case JOB_NEW:
    case JOB_CLOSED:
    case JOB_CLOSED_INCOMPLETE:
        break;
    }
    life->output->delete_state = true;
    return ERROR_NONE;
}

enum error_code lifecycle_expire_run(const struct lifecycle *life, timestamp_ns now,
                                     struct run_state *run)
{
    *life->output = (struct lifecycle_output){0};
    timestamp_ns deadline = lifecycle_run_deadline(life->policy, run);
    if (deadline == TIMESTAMP_UNKNOWN || deadline > now)
        return ERROR_NONE;
    if (run->phase == RUN_OPEN && run->is_completed)
        return finish_root_if_ready(life, now, run);
    // For a run without recent events, its jobs are sent first, so that the root covers them.
    if (must_sweep(run)) {
        life->output->sweep_jobs = true;
        return ERROR_NONE;
    }
    if (run->phase == RUN_OPEN)
        return finish_root(life, true, now, run);
    // Jobs that are still open have deadlines of their own; their run is remembered until they are closed.
    if (run->open_jobs > 0) {
        run->last_received = now;
        life->output->run_changed = true;
    } else {
        life->output->delete_state = true;
    }
    return ERROR_NONE;
}

// --- description of what is awaited ----------------------------------------------------------------

static const char *describe_missing_statement(const struct run_state *run,
                                              const struct job_state *job)
{
    struct job_timeline timeline;
    const struct ended_job ended = {run, job, &timeline, false};
    timeline_of_job(job, true, TIMESTAMP_UNKNOWN, &timeline);
    switch (find_missing_statement(&ended)) {
    case STATEMENT_NONE:
        return "any event of it; deleted at the deadline";
    case STATEMENT_WORKFLOW:
        return "an event of its run, which names the workflow; until the deadline";
    case STATEMENT_QUEUED:
        return "its `queued`, which has the time since when it was queued; until the deadline";
    case STATEMENT_RELEASE:
        return "its `waiting` and the `queued` after it, which show how long it waited for "
               "approval; until the deadline";
    }
    return "";
}

const char *lifecycle_job_waits_for(const struct run_state *run, const struct job_state *job)
{
    switch (job->phase) {
    case JOB_NEW:
        if (job->assigned_at != TIMESTAMP_UNKNOWN)
            return "its first event; deleted at the deadline (linger)";
        break;
    case JOB_OPEN:
        if (run->completed_received != TIMESTAMP_UNKNOWN)
            return "its `completed`, as its run is over; given up at the deadline (job-grace)";
        return waits_for_approval(job) ? "approval; given up at the deadline (approval-timeout)"
                                       : "its next event; given up at the deadline (job-timeout)";
    case JOB_CLOSED_LACKING:
        if (job->arc_wait_since != TIMESTAMP_UNKNOWN)
            return "the time when ARC assigned it, for its runner.* spans; until the deadline "
                   "(arc-grace)";
        return describe_missing_statement(run, job);
    case JOB_SETTLING:
        return describe_missing_statement(run, job);
    case JOB_CLOSED:
        return "a later `completed`; deleted at the deadline (linger)";
    case JOB_CLOSED_INCOMPLETE:
        return "its next event, which sends its spans again; deleted at the deadline (linger)";
    }
    return "nothing";
}

static const char *open_run_waits_for(const struct run_state *run)
{
    if (run->is_completed)
        return "its open jobs; its root is sent at the deadline without them (root-grace)";
    if (run->open_jobs > 0)
        return "its open jobs and its `completed`; given up at the deadline, after its jobs";
    if (run->seen == 0)
        return "more jobs, as it has no event of its own; its root is sent at the deadline "
               "(run-idle)";
    return "its `completed`; given up at the deadline (job-timeout or approval-timeout)";
}

const char *lifecycle_run_waits_for(const struct run_state *run)
{
    switch (run->phase) {
    case RUN_NEW:
    case RUN_REMEMBERED:
        break;
    case RUN_OPEN:
        return open_run_waits_for(run);
    case RUN_SENT:
        return must_sweep(run) ? "its open jobs; they are given up at the deadline (job-grace)"
                               : "a later `completed`, or jobs; deleted at the deadline (linger)";
    case RUN_SENT_INCOMPLETE:
        return must_sweep(run)
                   ? "its open jobs; they are given up at the deadline (job-grace)"
                   : "its next event, which sends its root again; deleted at the deadline";
    }
    return "nothing";
}
