// Where an open job stands.
#include "ghatrace/trace/standing.h"

#include "ghatrace/trace/timeline.h"

void standing_of_any_job(const struct job_state *job, struct job_standing *standing)
{
    timestamp_ns created = timestamp_first_known(job->created_at, job->queued_at);
    if (timeline_has_run(job, job->body_version.rank == GITHUB_JOB_COMPLETED)) {
        standing->state = STANDING_RUNNING;
        standing->since = timestamp_first_known(job->body.started_at, created);
    } else if (job->last_waiting > job->last_queued) {
        standing->state = STANDING_WAITING;
        standing->since = timestamp_first_known(created, job->last_waiting);
    } else {
        // Released from waiting: ready for a runner since then.
        standing->state = STANDING_QUEUED;
        standing->since = job->last_waiting != TIMESTAMP_UNKNOWN
                              ? job->last_queued
                              : timestamp_first_known(created, job->last_queued);
    }
    standing->since = timestamp_first_known(standing->since, job->last_received);
}

timestamp_ns standing_of_run(const struct run_state *run)
{
    timestamp_ns told = timestamp_first_known(run->body.run_started_at, run->body.created_at);
    return timestamp_first_known(told, run->first_job_start);
}

void standing_of_job(const struct job_state *job, struct job_standing *standing)
{
    *standing = (struct job_standing){.state = STANDING_NONE};
    if (job->phase == JOB_OPEN)
        standing_of_any_job(job, standing);
}
