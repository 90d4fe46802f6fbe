// When a job waited, queued, started up and executed; the current state of an open job.
#include "ghatrace/trace/timeline.h"

#include <stdio.h>

#include "ghatrace/trace/labels.h"
#include "ghatrace/trace/merge.h"

// --- when a job waited, queued, started up and executed -------------------------------------------

// The times of skipped jobs are often a second off (collector-contrib#39824, llvm-project#130941), so a job counts as
// carried over only if it started more than this before it was created.
#define CLOCK_TOLERANCE NS_PER_SECOND

static timestamp_ns clamp(timestamp_ns time, timestamp_ns low, timestamp_ns high)
{
    return timestamp_earlier(timestamp_later(time, low), high);
}

// True for the runner's own steps that prepare a job.
static bool timeline_is_preparation(struct slice step_name)
{
    return slice_equals(step_name, SLICE("Set up job")) ||
           slice_equals(step_name, SLICE("Set up runner")) ||
           slice_equals(step_name, SLICE("Initialize containers"));
}

// The latest time in the steps.
static timestamp_ns last_step_time(const struct github_job *body)
{
    timestamp_ns last = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < body->step_count; i++)
        last = timestamp_later(
            last, timestamp_later(body->steps[i].started_at, body->steps[i].completed_at));
    return last;
}

static timestamp_ns end_of_last_step(const struct github_job *body)
{
    timestamp_ns last = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < body->step_count; i++)
        last = timestamp_later(last, body->steps[i].completed_at);
    return last;
}

// The latest time in all that is known about the job.
static timestamp_ns last_evidence(const struct job_state *job)
{
    timestamp_ns last = timestamp_later(job->created_at, job->queued_at);
    last = timestamp_later(last, timestamp_later(job->body.started_at, job->body.completed_at));
    last = timestamp_later(last, timestamp_later(job->last_queued, job->last_waiting));
    return timestamp_later(last, last_step_time(&job->body));
}

static timestamp_ns end_of_job(const struct job_state *job, bool is_completed, timestamp_ns end_by)
{
    timestamp_ns end;
    if (is_completed) {
        end = timestamp_first_known(job->body.completed_at, end_of_last_step(&job->body));
        end = timestamp_first_known(end, job->body.started_at);
    } else {
        end = timestamp_first_known(end_by, last_evidence(job));
    }
    return timestamp_first_known(timestamp_first_known(end, last_evidence(job)),
                                 job->last_received);
}

timestamp_ns timeline_clamp(const struct job_timeline *timeline, timestamp_ns time)
{
    if (time < timeline->start)
        return timeline->start;
    return timestamp_earlier(time, timeline->end);
}

bool timeline_is_step_open(const struct github_step *step)
{
    return step->started_at != TIMESTAMP_UNKNOWN && step->completed_at == TIMESTAMP_UNKNOWN;
}

// True if `a` is before `b` in the job: by number, as GitHub sorts them; by start if the numbers are equal. Never by
// position, so that the order of the list does not matter.
static bool is_listed_before(const struct github_step *a, const struct github_step *b)
{
    if (a->number != b->number)
        return a->number < b->number;
    return a->started_at != TIMESTAMP_UNKNOWN &&
           (b->started_at == TIMESTAMP_UNKNOWN || a->started_at <= b->started_at);
}

// The first step that is not one of the runner's own; NULL if there is none.
static const struct github_step *first_ordinary_step(const struct github_job *body)
{
    const struct github_step *first = NULL;
    for (size_t i = 0; i < body->step_count; i++) {
        const struct github_step *step = &body->steps[i];
        if (!timeline_is_preparation(step->name) &&
            (first == NULL || is_listed_before(step, first)))
            first = step;
    }
    return first;
}

struct preparation {
    bool is_known; // the steps begin with it
    bool has_unfinished;
    timestamp_ns last_end;
    timestamp_ns next_start; // the earliest of the steps after it
};

// A workflow may have a step with the name of one of the runner's: only leading steps count as the runner's. Steps
// may overlap (background steps, since June 2026), so the start of a step is never derived from another's end.
static struct preparation find_preparation(const struct github_job *body)
{
    struct preparation found = {0};
    const struct github_step *first = first_ordinary_step(body);
    for (size_t i = 0; i < body->step_count; i++) {
        const struct github_step *step = &body->steps[i];
        bool is_own =
            timeline_is_preparation(step->name) && (first == NULL || is_listed_before(step, first));
        if (!is_own) {
            found.next_start = timestamp_earliest_known(found.next_start, step->started_at);
            continue;
        }
        found.is_known = true;
        found.has_unfinished |= step->completed_at == TIMESTAMP_UNKNOWN;
        found.last_end = timestamp_later(found.last_end, step->completed_at);
    }
    return found;
}

// The end of the runner's own preparation, or TIMESTAMP_UNKNOWN if the steps do not begin with it. If it never ended,
// and no step of the workflow began, the runner was lost during it. For a job that is not completed this is not
// known: GitHub's single in_progress event is often sent while `Set up job` runs.
static timestamp_ns end_of_preparation(const struct github_job *body, bool is_completed,
                                       timestamp_ns end)
{
    struct preparation found = find_preparation(body);
    if (!found.is_known)
        return TIMESTAMP_UNKNOWN;
    if (found.next_start != TIMESTAMP_UNKNOWN)
        return found.next_start;
    if (!found.has_unfinished)
        return found.last_end;
    return is_completed ? end : TIMESTAMP_UNKNOWN;
}

// True if the job got a runner. Only a runner's name, number or steps prove it: GitHub also gives times that look
// like a run of some seconds to a job that it refuses to start and to one that is cancelled in the queue (ARC#2520).
// Payloads from before the runner's fields (2021) list the steps that ran. A job that succeeded must have run,
// whatever its payload lacks.
static bool timeline_has_run(const struct job_state *job, bool is_completed)
{
    const struct github_job *body = &job->body;
    if (!is_completed)
        return job->body_version.rank >= GITHUB_JOB_IN_PROGRESS;
    return job->runner_id != 0 || job->runner_name.len > 0 || body->step_count > 0 ||
           slice_equals(body->conclusion, SLICE("success")) ||
           slice_equals(body->conclusion, SLICE("neutral"));
}

static bool has_open_step(const struct github_job *body)
{
    for (size_t i = 0; i < body->step_count; i++) {
        if (timeline_is_step_open(&body->steps[i]))
            return true;
    }
    return false;
}

// A job that was rejected at its gate was stopped by a person, which is not a system fault.
static enum job_fault fault_of(const struct job_state *job)
{
    bool was_let_through =
        job->last_waiting == TIMESTAMP_UNKNOWN || job->last_queued > job->last_waiting;
    if (!timeline_has_run(job, true))
        return was_let_through ? JOB_FAULT_NOT_STARTED : JOB_FAULT_NONE;
    return has_open_step(&job->body) ? JOB_FAULT_RUNNER_LOST : JOB_FAULT_NONE;
}

// From the start of the job until it was ready to run: approval, then the queue.
static void split_before_start(const struct job_state *job, timestamp_ns started,
                               struct job_timeline *timeline)
{
    timestamp_ns ready = timeline->start;
    if (job->last_waiting != TIMESTAMP_UNKNOWN) {
        bool is_released = job->last_queued > job->last_waiting;
        ready = is_released ? clamp(job->last_queued, timeline->start, started) : started;
        timeline->waiting = (struct timeline_phase){true, timeline->start, ready};
        // Released at an unknown time: the queue time is not known.
        if (!is_released)
            return;
    }
    timeline->queue = (struct timeline_phase){true, ready, started};
}

static void split_after_start(const struct job_state *job, bool is_completed, timestamp_ns started,
                              struct job_timeline *timeline)
{
    timestamp_ns prepared = end_of_preparation(&job->body, is_completed, timeline->end);
    if (prepared != TIMESTAMP_UNKNOWN) {
        prepared = clamp(prepared, started, timeline->end);
        timeline->startup = (struct timeline_phase){true, started, prepared};
        started = prepared;
    }
    timeline->execution = (struct timeline_phase){true, started, timeline->end};
}

// Moves the border between queue and start-up from the start to the assignment.
static void apply_assignment(const struct job_state *job, struct job_timeline *timeline)
{
    struct timeline_phase *queue = &timeline->queue;
    struct timeline_phase *startup = &timeline->startup;
    timeline->wait = *queue;
    timeline->preparation = *startup;
    if (job->assigned_at == TIMESTAMP_UNKNOWN || !queue->exists || !timeline->has_run)
        return;
    timeline->assigned = clamp(job->assigned_at, queue->start, queue->end);
    *startup = (struct timeline_phase){true, timeline->assigned,
                                       startup->exists ? startup->end : queue->end};
    queue->end = timeline->assigned;
}

void timeline_of_job(const struct job_state *job, bool is_completed, timestamp_ns end_by,
                     struct job_timeline *timeline)
{
    const struct github_job *body = &job->body;
    timestamp_ns created = timestamp_first_known(job->created_at, job->queued_at);
    *timeline = (struct job_timeline){.start = timestamp_first_known(created, body->started_at)};

    timeline->is_skipped = is_completed && slice_equals(body->conclusion, SLICE("skipped"));
    if (is_completed && !timeline->is_skipped)
        timeline->fault = fault_of(job);
    // Only the times show that a job was carried over (newrelic gha-new-relic-exporter#38, tt-metal#12010).
    timeline->is_carried_over = is_completed && job->run_attempt > 1 && !timeline->is_skipped &&
                                job->created_at != TIMESTAMP_UNKNOWN &&
                                body->started_at != TIMESTAMP_UNKNOWN &&
                                body->started_at < job->created_at - CLOCK_TOLERANCE;
    if (timeline->is_carried_over) {
        timeline->end = timeline->start;
        return;
    }
    timeline->end = end_of_job(job, is_completed, end_by);
    timeline->start = timestamp_first_known(timeline->start, timeline->end);
    timeline->end = timestamp_later(timeline->end, timeline->start);
    if (timeline->is_skipped)
        return;

    timeline->has_run = timeline_has_run(job, is_completed);
    timestamp_ns started = timeline->end;
    // An in_progress event may still have the time of queueing as its start (strands-labs/robots#2509): that is no
    // proof of a queue of zero length.
    bool is_start_known =
        body->started_at != TIMESTAMP_UNKNOWN && (is_completed || body->started_at > created);
    if (timeline->has_run)
        started = clamp(timestamp_first_known(body->started_at, timeline->start), timeline->start,
                        timeline->end);
    if (created != TIMESTAMP_UNKNOWN && (is_start_known || !timeline->has_run))
        split_before_start(job, started, timeline);
    if (timeline->has_run)
        split_after_start(job, is_completed, started, timeline);
    apply_assignment(job, timeline);
}

void timeline_keep_sent_phases(const struct job_timeline *sent, struct job_timeline *timeline)
{
    const struct timeline_phase *const before[] = {&sent->waiting, &sent->queue, &sent->startup,
                                                   &sent->execution};
    struct timeline_phase *const phases[] = {&timeline->waiting, &timeline->queue,
                                             &timeline->startup, &timeline->execution};
    timestamp_ns at = timeline->end;
    timeline->is_queue_void = sent->queue.exists && !timeline->queue.exists;
    for (size_t i = sizeof phases / sizeof phases[0]; i-- > 0;) {
        if (before[i]->exists && !phases[i]->exists)
            *phases[i] = (struct timeline_phase){true, at, at};
        if (phases[i]->exists)
            at = phases[i]->start;
    }
}

// --- when a job had a runner ----------------------------------------------------------------------

// GitHub's own runners have this group.
#define HOSTED_GROUP SLICE("GitHub Actions")

static uint32_t hash_runner(const struct job_state *job)
{
    char id[24];
    int len = snprintf(id, sizeof id, "%lld", (long long)job->runner_id);
    if ((job->runner_id == 0 && job->runner_name.len == 0) ||
        slice_equals(job->runner_group_name, HOSTED_GROUP))
        return 0;
    uint64_t hash =
        fingerprint_add_text(FINGERPRINT_START, slice_of_bytes(id, len > 0 ? (size_t)len : 0));
    hash = fingerprint_add_text(hash, job->runner_name);
    return (uint32_t)(hash >> 32) | 1;
}

enum error_code occupancy_of_job(const struct job_state *job, const struct job_timeline *timeline,
                                 struct arena *arena, struct job_occupancy *occupancy)
{
    const struct github_job *body = &job->body;
    *occupancy = (struct job_occupancy){.exists = false};
    if (!timeline->has_run)
        return ERROR_NONE;
    occupancy->exists = true;
    occupancy->ready = timeline->wait.exists ? timeline->wait.start : TIMESTAMP_UNKNOWN;
    occupancy->started = timeline->wait.exists          ? timeline->wait.end
                         : timeline->preparation.exists ? timeline->preparation.start
                                                        : timeline->execution.start;
    occupancy->ended = timeline->end;
    occupancy->runner = hash_runner(job);
    return labels_join(body->labels, body->label_count, arena, &occupancy->labels) ? ERROR_NONE
                                                                                   : ERROR_MEMORY;
}

// --- state of an open job -------------------------------------------------------------------------

void open_job_state_of_any(const struct job_state *job, struct open_job_state *open_state)
{
    timestamp_ns created = timestamp_first_known(job->created_at, job->queued_at);
    if (timeline_has_run(job, job->body_version.rank == GITHUB_JOB_COMPLETED)) {
        open_state->state = OPEN_JOB_RUNNING;
        open_state->since = timestamp_first_known(job->body.started_at, created);
    } else if (job->last_waiting > job->last_queued) {
        open_state->state = OPEN_JOB_WAITING;
        open_state->since = timestamp_first_known(created, job->last_waiting);
    } else {
        // Released from waiting: queued since then.
        open_state->state = OPEN_JOB_QUEUED;
        open_state->since = job->last_waiting != TIMESTAMP_UNKNOWN
                                ? job->last_queued
                                : timestamp_first_known(created, job->last_queued);
    }
    open_state->since = timestamp_first_known(open_state->since, job->last_received);
}

timestamp_ns run_open_since(const struct run_state *run)
{
    timestamp_ns begun = timestamp_first_known(run->body.run_started_at, run->body.created_at);
    return timestamp_first_known(begun, run->first_job_start);
}

void open_job_state_of(const struct job_state *job, struct open_job_state *open_state)
{
    *open_state = (struct open_job_state){.state = OPEN_JOB_NONE};
    if (job->phase == JOB_OPEN)
        open_job_state_of_any(job, open_state);
}
