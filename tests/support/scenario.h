// Events of one run, made in C: a test lists what happened and when, in seconds after SCENARIO_START.
#ifndef GHATRACE_TESTS_SUPPORT_SCENARIO_H
#define GHATRACE_TESTS_SUPPORT_SCENARIO_H

#include <stdint.h>

#include "ghatrace/github/event.h"
#include "ghatrace/trace/lifecycle.h"

// 2026-09-03T04:16:57Z
#define SCENARIO_START ((timestamp_ns)1788409017 * NS_PER_SECOND)
#define SCENARIO_RUN_ID INT64_C(33714470481)

// A delivery: an event, its digest, and the time inside its GUID.
struct scenario_delivery {
    struct github_event event;
    uint8_t digest[16];
    timestamp_ns guid_time;
};

// Seconds after the start as a time; negative means "not known".
timestamp_ns scenario_at(double seconds);

// A job's event, made at `at`. created, started, completed: seconds, negative for null.
struct scenario_delivery scenario_job(int64_t job_id, enum github_job_action action, double at,
                                      double created, double started, double completed);
// A run's event, made at `at`, which is also its updated_at. It started at 0.
struct scenario_delivery scenario_run(enum github_run_action action, double at,
                                      const char *conclusion);

void scenario_set_conclusion(struct scenario_delivery *delivery, const char *conclusion);
void scenario_set_runner(struct scenario_delivery *delivery, int64_t runner_id, const char *name);
void scenario_set_steps(struct scenario_delivery *delivery, const struct github_step *steps,
                        size_t count);
void scenario_set_deployment(struct scenario_delivery *delivery, int64_t id,
                             const char *environment);
void scenario_set_attempt(struct scenario_delivery *delivery, int64_t attempt);
// Sets the server of the repository's address, in lower case.
void scenario_set_server(struct scenario_delivery *delivery, const char *html_url);
// As payloads were before 2023: without created_at, workflow_name and head_branch.
void scenario_make_old(struct scenario_delivery *delivery);
// A random completed job of any kind: it ran, in steps one after the other or overlapping, in any number, some of
// them the
// runner's own; or its runner was lost, in its preparation or later; or it was refused, cancelled in the queue, or
// skipped. Times may be wrong or missing. `steps` must stay valid.
#define SCENARIO_STEPS_MAX 12
struct scenario_delivery scenario_any_job(int64_t job_id, uint32_t *seed,
                                          struct github_step steps[SCENARIO_STEPS_MAX]);
uint32_t scenario_random(uint32_t *seed, uint32_t below);
void scenario_shuffle_steps(struct github_step *steps, size_t count, uint32_t *seed);
struct github_step scenario_step(int64_t number, const char *name, double started, double completed,
                                 const char *conclusion);

// The delivery as the life cycle's input: received when it happened.
static inline struct lifecycle_event scenario_received(const struct scenario_delivery *delivery)
{
    return (struct lifecycle_event){.event = &delivery->event,
                                    .occurred_at = delivery->guid_time,
                                    .received_at = delivery->guid_time,
                                    .digest = 1};
}

// Applies an event by its kind; `job` is used for those of jobs.
static inline enum error_code scenario_apply(const struct lifecycle *life,
                                             const struct lifecycle_event *received,
                                             struct run_state *run, struct job_state *job)
{
    return received->event->kind == GITHUB_EVENT_JOB
               ? lifecycle_apply_job_event(life, received, run, job)
               : lifecycle_apply_run_event(life, received, run);
}

#endif
