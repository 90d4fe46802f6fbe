// Fills a store with open jobs and finished runs, as deliveries would, but without HTTP: a million in a minute.
//
//     fill_store FOLDER OPEN_JOBS FINISHED_RUNS [outbox | POOLS JOBS_OF_A_RUN SECONDS]
//
// With `outbox`, the spans of the finished runs wait for a collector. The open jobs are of POOLS pools, in runs of
// JOBS_OF_A_RUN, the oldest of them SECONDS ago.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/engine/engine.h"
#include "support/policy.h"

#define BATCH 512
#define REPOSITORIES 50
#define STEPS 100 // of a finished job whose spans wait in the outbox
#define STORE_BYTES ((uint64_t)32 << 30)

struct names {
    char repository[64], url[96], job[32], label[32];
};

static struct engine_task tasks[BATCH];
static struct github_event events[BATCH];
static struct names names[BATCH];
static struct slice labels[BATCH][2];
static size_t count;
static struct engine *engine;
static struct github_step steps[STEPS];
static size_t step_count;
static int64_t pools = 200, jobs_of_a_run = 10, spacing = NS_PER_MS;

static void on_done(struct engine_task *task)
{
    if (task->outcome == ENGINE_ACCEPTED)
        return;
    fprintf(stderr, "fill_store: %s\n", task->error.message);
    exit(EXIT_FAILURE);
}

static void flush(void)
{
    if (count > 0)
        engine_run_batch(engine, tasks, count, timestamp_now());
    count = 0;
}

// Room for one more event. The digest only has to be different each time.
static struct github_event *add(int64_t run_id)
{
    static uint64_t number;
    if (count == BATCH)
        flush();
    struct github_event *event = &events[count];
    struct names *name = &names[count];
    memset(event, 0, sizeof *event);
    tasks[count] = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                        .on_done = on_done,
                                        .event = event,
                                        .received_at = timestamp_now(),
                                        .occurred_at = timestamp_now()};
    number++;
    memcpy(tasks[count].delivery_digest, &number, sizeof number);
    snprintf(name->repository, sizeof name->repository, "acme/service-%" PRId64,
             run_id % REPOSITORIES);
    snprintf(name->url, sizeof name->url, "https://github.com/acme/service-%" PRId64,
             run_id % REPOSITORIES);
    event->repository = (struct github_repository){.full_name = slice_from_string(name->repository),
                                                   .owner = SLICE("acme"),
                                                   .name = slice_from_string(name->repository + 5),
                                                   .html_url = slice_from_string(name->url),
                                                   .default_branch = SLICE("main")};
    count++;
    return event;
}

static void add_run(int64_t run_id, enum github_run_action action, timestamp_ns start)
{
    struct github_event *event = add(run_id);
    event->kind = GITHUB_EVENT_RUN;
    event->run = (struct github_run){
        .run_id = run_id,
        .run_attempt = 1,
        .run_number = run_id % 1000 + 1,
        .action = action,
        .workflow_name = run_id % 3 == 0 ? SLICE("Release") : SLICE("CI"),
        .display_title = SLICE("Retry uploads that were cut short"),
        .event_name = SLICE("push"),
        .head_branch = run_id % 4 == 0 ? SLICE("feature/retries") : SLICE("main"),
        .head_sha = SLICE("3484a3fb816e0859fd6e1cea078d76385ff50625"),
        .conclusion = action == GITHUB_RUN_COMPLETED ? SLICE("success") : SLICE_EMPTY,
        .actor = SLICE("octocat"),
        .created_at = start,
        .run_started_at = start,
        .updated_at = start + NS_PER_MINUTE};
}

static void add_job(int64_t run_id, int64_t job_id, enum github_job_action action,
                    timestamp_ns created)
{
    struct github_event *event = add(run_id);
    struct names *name = &names[count - 1];
    bool has_runner = action >= GITHUB_JOB_IN_PROGRESS;
    snprintf(name->job, sizeof name->job, "test (%" PRId64 ")", job_id % 100);
    snprintf(name->label, sizeof name->label, "pool-%" PRId64, job_id % pools);
    labels[count - 1][0] = SLICE("self-hosted");
    labels[count - 1][1] = slice_from_string(name->label);
    event->kind = GITHUB_EVENT_JOB;
    event->job = (struct github_job){
        .job_id = job_id,
        .run_id = run_id,
        .run_attempt = 1,
        .action = action,
        .name = slice_from_string(name->job),
        .workflow_name = run_id % 3 == 0 ? SLICE("Release") : SLICE("CI"),
        .head_branch = SLICE("main"),
        .html_url = SLICE("https://github.com/acme/service/actions/runs/1/job/1"),
        .conclusion = action == GITHUB_JOB_COMPLETED ? SLICE("success") : SLICE_EMPTY,
        .created_at = created,
        .started_at = has_runner ? created + (1 + job_id % 90) * NS_PER_SECOND : created,
        .completed_at = action == GITHUB_JOB_COMPLETED ? created + NS_PER_MINUTE * 3 : 0,
        .runner_id = has_runner ? 7 : 0,
        .runner_name = has_runner ? SLICE("runner-7") : SLICE_EMPTY,
        .runner_group_name = has_runner ? SLICE("build farm") : SLICE_EMPTY,
        .labels = labels[count - 1],
        .label_count = 2};
    if (action != GITHUB_JOB_COMPLETED)
        return;
    for (size_t i = 0; i < step_count; i++)
        steps[i] =
            (struct github_step){.name = SLICE("Retry what was cut short, and try once more"),
                                 .number = (int64_t)i + 1,
                                 .status = SLICE("completed"),
                                 .conclusion = SLICE("success"),
                                 .started_at = created + (int64_t)i * NS_PER_SECOND,
                                 .completed_at = created + (int64_t)(i + 1) * NS_PER_SECOND};
    event->job.steps = steps;
    event->job.step_count = step_count;
}

static void fill(int64_t open_jobs, int64_t finished_runs)
{
    timestamp_ns now = timestamp_now();
    int64_t run_id = INT64_C(30000000000), job_id = INT64_C(90000000000);
    for (int64_t i = 0; i < finished_runs; i++, run_id++) {
        timestamp_ns start = now - 30 * NS_PER_MINUTE - (i % 1000) * NS_PER_SECOND;
        add_run(run_id, GITHUB_RUN_REQUESTED, start);
        for (int j = 0; j < 2; j++)
            add_job(run_id, job_id++, GITHUB_JOB_COMPLETED, start);
        add_run(run_id, GITHUB_RUN_COMPLETED, start);
    }
    for (int64_t i = 0; i < open_jobs; i++) {
        timestamp_ns created = now - (open_jobs - i) * spacing;
        if (i % jobs_of_a_run == 0)
            add_run(++run_id, GITHUB_RUN_REQUESTED, created);
        add_job(run_id, job_id++, i % 4 == 0 ? GITHUB_JOB_IN_PROGRESS : GITHUB_JOB_QUEUED, created);
    }
    flush();
}

int main(int argc, char **argv)
{
    struct engine_options options = {.queue_max = 1, .batch_max = BATCH, .history = NS_PER_DAY};
    struct store *store;
    struct error error = {.code = ERROR_NONE};
    if (argc == 7) {
        pools = strtoll(argv[4], NULL, 10);
        jobs_of_a_run = strtoll(argv[5], NULL, 10);
        spacing = strtoll(argv[6], NULL, 10) * NS_PER_SECOND / (strtoll(argv[2], NULL, 10) + 1);
    }
    if (argc < 4 || argc == 6 || argc > 7 || (argc == 5 && strcmp(argv[4], "outbox") != 0) ||
        pools < 1 || jobs_of_a_run < 1) {
        fprintf(stderr, "usage: fill_store FOLDER OPEN_JOBS FINISHED_RUNS "
                        "[outbox | POOLS JOBS_OF_A_RUN SECONDS]\n");
        return 2;
    }
    options.has_exporter = argc == 5;
    options.outbox_max = STORE_BYTES;
    step_count = argc == 5 ? STEPS : 0; // large records fill a large store quickly
    log_configure(LOG_WARN, LOG_FORMAT_TEXT);
    trace_policy_init(&options.policy);
    if (store_open(argv[1], STORE_DAEMON, STORE_BYTES, &store, &error) != ERROR_NONE ||
        engine_create(store, &options, &engine, &error) != ERROR_NONE) {
        fprintf(stderr, "fill_store: %s\n", error.message);
        return EXIT_FAILURE;
    }
    fill(strtoll(argv[2], NULL, 10), strtoll(argv[3], NULL, 10));
    engine_destroy(engine);
    store_close(store);
    return EXIT_SUCCESS;
}
