// Events of one run, made in C.
#include "support/scenario.h"

#include <stdio.h>
#include <stdlib.h>

#include "ghatrace/github/server.h"

timestamp_ns scenario_at(double seconds)
{
    if (seconds < 0)
        return TIMESTAMP_UNKNOWN;
    return SCENARIO_START + (timestamp_ns)(seconds * 1000) * NS_PER_MS;
}

static const struct github_repository repository = {
    .full_name = {"octo/Hello_World", 16},
    .owner = {"octo", 4},
    .name = {"Hello_World", 11},
    .html_url = {"https://github.com/octo/Hello_World", 35},
    .default_branch = {"main", 4},
};

static const struct slice job_labels[] = {{"self-hosted", 11}, {"linux", 5}};

// The digest of a delivery differs when its content does.
static void set_digest(struct scenario_delivery *delivery, int64_t id, int action, double at)
{
    (void)snprintf((char *)delivery->digest, sizeof delivery->digest, "%llx.%d.%.1f",
                   (unsigned long long)(id & 0xffff), action, at);
    delivery->guid_time = scenario_at(at);
}

struct scenario_delivery scenario_job(int64_t job_id, enum github_job_action action, double at,
                                      double created, double started, double completed)
{
    static const char *const statuses[] = {"queued", "waiting", "in_progress", "completed"};
    struct scenario_delivery delivery = {.event = {.kind = GITHUB_EVENT_JOB}};
    delivery.event.repository = repository;
    delivery.event.job = (struct github_job){
        .job_id = job_id,
        .run_id = SCENARIO_RUN_ID,
        .run_attempt = 1,
        .action = action,
        .name = SLICE("build"),
        .workflow_name = SLICE("CI"),
        .head_branch = SLICE("main"),
        .head_sha = SLICE("3484a3fb816e0859fd6e1cea078d76385ff50625"),
        .html_url = SLICE("https://github.com/octo/Hello_World/actions/runs/33714470481/job/1"),
        .status = slice_from_string(statuses[action]),
        .created_at = scenario_at(created),
        .started_at = scenario_at(started),
        .completed_at = scenario_at(completed),
        .labels = job_labels,
        .label_count = 2,
    };
    if (action >= GITHUB_JOB_IN_PROGRESS)
        scenario_set_runner(&delivery, 7, "runner-7");
    if (action == GITHUB_JOB_COMPLETED)
        scenario_set_conclusion(&delivery, "success");
    set_digest(&delivery, job_id, (int)action, at);
    return delivery;
}

struct scenario_delivery scenario_run(enum github_run_action action, double at,
                                      const char *conclusion)
{
    static const char *const statuses[] = {"queued", "in_progress", "completed"};
    struct scenario_delivery delivery = {.event = {.kind = GITHUB_EVENT_RUN}};
    delivery.event.repository = repository;
    delivery.event.run = (struct github_run){
        .run_id = SCENARIO_RUN_ID,
        .run_attempt = 1,
        .run_number = 75,
        .action = action,
        .workflow_name = SLICE("CI"),
        .display_title = SLICE("fix the build"),
        .event_name = SLICE("push"),
        .workflow_path = SLICE(".github/workflows/ci.yml"),
        .status = slice_from_string(statuses[action]),
        .conclusion = slice_from_string(conclusion),
        .head_branch = SLICE("main"),
        .head_sha = SLICE("3484a3fb816e0859fd6e1cea078d76385ff50625"),
        .actor = SLICE("mona"),
        .triggering_actor = SLICE("mona"),
        .created_at = scenario_at(0),
        .updated_at = scenario_at(at),
        .run_started_at = scenario_at(0),
    };
    set_digest(&delivery, 0, (int)action, at);
    return delivery;
}

void scenario_set_conclusion(struct scenario_delivery *delivery, const char *conclusion)
{
    if (delivery->event.kind == GITHUB_EVENT_JOB)
        delivery->event.job.conclusion = slice_from_string(conclusion);
    else
        delivery->event.run.conclusion = slice_from_string(conclusion);
}

void scenario_set_runner(struct scenario_delivery *delivery, int64_t runner_id, const char *name)
{
    delivery->event.job.runner_id = runner_id;
    delivery->event.job.runner_name = slice_from_string(name);
}

void scenario_set_steps(struct scenario_delivery *delivery, const struct github_step *steps,
                        size_t count)
{
    delivery->event.job.steps = steps;
    delivery->event.job.step_count = count;
}

void scenario_set_deployment(struct scenario_delivery *delivery, int64_t id,
                             const char *environment)
{
    delivery->event.job.deployment_id = id;
    delivery->event.job.deployment_environment = slice_from_string(environment);
}

void scenario_set_attempt(struct scenario_delivery *delivery, int64_t attempt)
{
    if (delivery->event.kind == GITHUB_EVENT_JOB)
        delivery->event.job.run_attempt = attempt;
    else
        delivery->event.run.run_attempt = attempt;
    delivery->digest[15] = (uint8_t)attempt;
}

void scenario_set_server(struct scenario_delivery *delivery, const char *html_url)
{
    struct github_event *event = &delivery->event;
    event->repository.html_url = slice_from_string(html_url);
    if (github_server_of_url(event->repository.html_url, NULL, &event->server) != ERROR_NONE)
        abort();
    // Deliveries of two servers have GUIDs of their own.
    delivery->digest[13] = (uint8_t)(event->server.len > 0 ? event->server.data[0] : 0);
}

void scenario_make_old(struct scenario_delivery *delivery)
{
    if (delivery->event.kind != GITHUB_EVENT_JOB)
        return;
    delivery->event.job.created_at = TIMESTAMP_UNKNOWN;
    delivery->event.job.workflow_name = SLICE_EMPTY;
    delivery->event.job.head_branch = SLICE_EMPTY;
}

struct github_step scenario_step(int64_t number, const char *name, double started, double completed,
                                 const char *conclusion)
{
    return (struct github_step){
        .name = slice_from_string(name),
        .number = number,
        .status = completed < 0 ? SLICE("in_progress") : SLICE("completed"),
        .conclusion = slice_from_string(conclusion),
        .started_at = scenario_at(started),
        .completed_at = scenario_at(completed),
    };
}

// --- random ------------------------------------------------------------------------------------------

uint32_t scenario_random(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

void scenario_shuffle_steps(struct github_step *steps, size_t count, uint32_t *seed)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = scenario_random(seed, (uint32_t)i);
        struct github_step swapped = steps[i - 1];
        steps[i - 1] = steps[j];
        steps[j] = swapped;
    }
}

static const char *any_conclusion(uint32_t *seed)
{
    static const char *const words[] = {"success", "success",   "failure",         "failure",
                                        "skipped", "cancelled", "startup_failure", "timed_out"};
    return words[scenario_random(seed, 8)];
}

static struct github_step any_step(int64_t number, uint32_t *seed)
{
    static const char *const names[] = {
        "Set up job", "Set up runner", "Initialize containers",        "make", "make", "unit",
        "lint",       "Complete job",  "Wait for all background steps"};
    double start = 5 + scenario_random(seed, 60);
    double end = start + scenario_random(seed, 40);
    size_t name = number <= 2 ? scenario_random(seed, 4) : scenario_random(seed, 9);
    switch (scenario_random(seed, 6)) {
    case 0:
        return scenario_step(number, names[name], -1, -1, "");
    case 1:
        return scenario_step(number, names[name], start, -1, "");
    default:
        return scenario_step(number, names[name], start, end, any_conclusion(seed));
    }
}

struct scenario_delivery scenario_any_job(int64_t job_id, uint32_t *seed,
                                          struct github_step steps[SCENARIO_STEPS_MAX])
{
    static const double created[] = {-1, 2, 2, 2, 2, 30};
    static const double started[] = {-1, 1, 6, 6, 6, 40};
    static const double completed[] = {-1, 4, 60, 90, 90, 1};
    double times[3] = {created[scenario_random(seed, 6)]};
    times[1] = started[scenario_random(seed, 6)];
    times[2] = completed[scenario_random(seed, 6)];
    struct scenario_delivery job =
        scenario_job(job_id, GITHUB_JOB_COMPLETED, 100, times[0], times[1], times[2]);
    size_t count =
        scenario_random(seed, 3) == 0 ? 0 : scenario_random(seed, SCENARIO_STEPS_MAX + 1);
    for (size_t i = 0; i < count; i++)
        steps[i] = any_step(1 + (int64_t)i, seed);
    scenario_set_steps(&job, steps, count);
    scenario_set_conclusion(&job, any_conclusion(seed));
    if (scenario_random(seed, 3) == 0)
        scenario_set_runner(&job, 0, "");
    if (scenario_random(seed, 8) == 0)
        scenario_set_attempt(&job, 2);
    return job;
}
