// When a job waited, queued, started up and executed.
#include "ghatrace/trace/timeline.h"

// Skipped jobs are often a second off (collector-contrib#39824, llvm-project#130941), so a carried-over
// job is one that started more than this before it was created.
#define CLOCK_TOLERANCE NS_PER_SECOND

static timestamp_ns clamp(timestamp_ns time, timestamp_ns low, timestamp_ns high)
{
    return timestamp_earlier(timestamp_later(time, low), high);
}

bool timeline_is_preparation(struct slice step_name)
{
    return slice_equals(step_name, SLICE("Set up job")) ||
           slice_equals(step_name, SLICE("Set up runner")) ||
           slice_equals(step_name, SLICE("Initialize containers"));
}

// The latest time that the steps speak of.
static timestamp_ns last_step_time(const struct github_job *body)
{
    timestamp_ns last = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < body->step_count; i++)
        last = timestamp_later(
            last, timestamp_later(body->steps[i].started_at, body->steps[i].completed_at));
    return last;
}

static timestamp_ns last_step_end(const struct github_job *body)
{
    timestamp_ns last = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < body->step_count; i++)
        last = timestamp_later(last, body->steps[i].completed_at);
    return last;
}

// The latest time that anything about the job speaks of.
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
        end = timestamp_first_known(job->body.completed_at, last_step_end(&job->body));
        end = timestamp_first_known(end, job->body.started_at);
    } else {
        end = timestamp_first_known(end_by, last_evidence(job));
    }
    return timestamp_first_known(timestamp_first_known(end, last_evidence(job)),
                                 job->last_received);
}

// The end of the runner's own preparation, or TIMESTAMP_UNKNOWN if the steps do not begin with it.
static timestamp_ns end_of_preparation(const struct github_job *body)
{
    timestamp_ns prepared = TIMESTAMP_UNKNOWN;
    size_t i = 0;
    for (; i < body->step_count && timeline_is_preparation(body->steps[i].name); i++)
        prepared = timestamp_later(
            prepared, timestamp_later(body->steps[i].started_at, body->steps[i].completed_at));
    if (i == 0)
        return TIMESTAMP_UNKNOWN;
    for (; i < body->step_count; i++) {
        if (body->steps[i].started_at != TIMESTAMP_UNKNOWN)
            return body->steps[i].started_at;
    }
    return prepared;
}

// A job that was cancelled while queued has no runner and no steps, and its "start" is the time of
// cancelling (ARC#2520).
static bool has_run(const struct job_state *job, bool is_completed)
{
    if (!is_completed)
        return job->body_version.rank >= GITHUB_JOB_IN_PROGRESS;
    if (job->runner_id != 0 || job->runner_name.len > 0 || job->body.step_count > 0)
        return true;
    return job->body.started_at != TIMESTAMP_UNKNOWN &&
           job->body.completed_at > job->body.started_at;
}

// From the start of the job to the moment it could run: approval, then the queue.
static void split_before_start(const struct job_state *job, timestamp_ns started,
                               struct job_timeline *timeline)
{
    timestamp_ns ready = timeline->start;
    if (job->last_waiting != TIMESTAMP_UNKNOWN) {
        bool is_released = job->last_queued > job->last_waiting;
        ready = is_released ? clamp(job->last_queued, timeline->start, started) : started;
        timeline->waiting = (struct timeline_phase){true, timeline->start, ready};
        // Released, but nobody told when: the time in the queue is not known.
        if (!is_released)
            return;
    }
    timeline->queue = (struct timeline_phase){true, ready, started};
}

static void split_after_start(const struct job_state *job, timestamp_ns started,
                              struct job_timeline *timeline)
{
    timestamp_ns prepared = end_of_preparation(&job->body);
    if (prepared != TIMESTAMP_UNKNOWN) {
        prepared = clamp(prepared, started, timeline->end);
        timeline->startup = (struct timeline_phase){true, started, prepared};
        started = prepared;
    }
    timeline->execution = (struct timeline_phase){true, started, timeline->end};
}

void timeline_of_job(const struct job_state *job, bool is_completed, timestamp_ns end_by,
                     struct job_timeline *timeline)
{
    const struct github_job *body = &job->body;
    timestamp_ns created = timestamp_first_known(job->created_at, job->queued_at);
    *timeline = (struct job_timeline){.start = timestamp_first_known(created, body->started_at)};

    timeline->is_skipped = is_completed && slice_equals(body->conclusion, SLICE("skipped"));
    // Only the times give such a job away (newrelic gha-new-relic-exporter#38, tt-metal#12010).
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

    timeline->has_run = has_run(job, is_completed);
    timestamp_ns started = timeline->end;
    // An in_progress event can still carry the time of queueing as its start (strands-labs/robots#2509):
    // that proves no queue of zero.
    bool is_start_known =
        body->started_at != TIMESTAMP_UNKNOWN && (is_completed || body->started_at > created);
    if (timeline->has_run)
        started = clamp(timestamp_first_known(body->started_at, timeline->start), timeline->start,
                        timeline->end);
    if (created != TIMESTAMP_UNKNOWN && (is_start_known || !timeline->has_run))
        split_before_start(job, started, timeline);
    if (timeline->has_run)
        split_after_start(job, started, timeline);
}
