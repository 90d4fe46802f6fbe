// What a delivery costs on disk while its note is kept: jobs and runs as GitHub delivers them, through the engine
// into a store, with a simulated clock. The collector accepts everything and the history is short, so that only notes
// remain.
//
//     note_cost FOLDER [DELIVERIES [PER_SECOND [JOBS_OF_A_RUN]]]
//
// FOLDER must not exist. GUIDs come first with times, up to two seconds out of order, then (in FOLDER-2) without.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/log.h"
#include "ghatrace/engine/engine.h"
#include "support/policy.h"

#define BATCH 256
#define JOBS_MAX 100
#define DISORDER_MS 2000
#define STORE_BYTES ((uint64_t)64 << 30)
#define START ((timestamp_ns)1788409017 * NS_PER_SECOND)
#define GIB (1024.0 * 1024 * 1024)
#define LINGER_DAYS 3
#define ROOT_NOTE_BYTES 9.1 // in a packed block: 452 of them in a page

struct world {
    struct store *store;
    struct engine *engine;
    struct engine_task tasks[BATCH];
    struct github_event events[BATCH];
    size_t count;
    timestamp_ns now;
    duration_ns step;
    bool has_times;
    uint64_t delivered, limit, random;
    int64_t next_id;
    uint64_t settled;
    struct slice label;
};

static void die(const char *what, const struct error *error)
{
    fprintf(stderr, "note_cost: %s: %s\n", what, error->message);
    exit(EXIT_FAILURE);
}

static void on_done(struct engine_task *task)
{
    if (task->outcome != ENGINE_ACCEPTED)
        die("deliver", &task->error);
}

// As the exporter does after each batch.
static void settle(struct world *world)
{
    static uint64_t sequences[4 * BATCH];
    struct engine_task task = {
        .type = ENGINE_SETTLE_EXPORT, .on_done = on_done, .sequences = sequences};
    struct engine_counters counters;
    engine_read_counters(world->engine, &counters);
    while (world->settled < counters.records) {
        task.sequence_count = 0;
        while (world->settled < counters.records && task.sequence_count < 4 * BATCH)
            sequences[task.sequence_count++] = ++world->settled;
        engine_run_batch(world->engine, &task, 1, world->now);
    }
}

static void flush(struct world *world)
{
    if (world->count == 0)
        return;
    engine_run_batch(world->engine, world->tasks, world->count, world->now);
    world->count = 0;
    settle(world);
}

static void deliver(struct world *world, const struct github_event *event)
{
    uint8_t hash[MD5_SIZE];
    world->delivered++;
    world->now += world->step;
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    digest_md5((struct slice){(const char *)&world->delivered, sizeof world->delivered}, hash);
    struct engine_task *task = &world->tasks[world->count];
    world->events[world->count] = *event;
    duration_ns late = (duration_ns)(world->random >> 33) % DISORDER_MS * NS_PER_MS;
    *task = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                 .on_done = on_done,
                                 .event = &world->events[world->count],
                                 .received_at = world->now,
                                 .occurred_at =
                                     world->has_times ? world->now - late : TIMESTAMP_UNKNOWN};
    memcpy(task->delivery_digest, hash, sizeof task->delivery_digest);
    if (++world->count == BATCH)
        flush(world);
}

static struct github_event blank(void)
{
    return (struct github_event){.repository = {.full_name = SLICE("acme/rocket"),
                                                .owner = SLICE("acme"),
                                                .name = SLICE("rocket"),
                                                .html_url = SLICE("https://github.com/acme/rocket"),
                                                .default_branch = SLICE("main")}};
}

static void deliver_run(struct world *world, int64_t run_id, enum github_run_action action,
                        timestamp_ns start)
{
    struct github_event event = blank();
    event.kind = GITHUB_EVENT_RUN;
    event.run = (struct github_run){.run_id = run_id,
                                    .run_attempt = 1,
                                    .action = action,
                                    .workflow_name = SLICE("CI"),
                                    .head_branch = SLICE("main"),
                                    .conclusion = action == GITHUB_RUN_COMPLETED ? SLICE("success")
                                                                                 : SLICE_EMPTY,
                                    .created_at = start,
                                    .run_started_at = start,
                                    .updated_at = world->now};
    deliver(world, &event);
}

static void deliver_job(struct world *world, int64_t run_id, int64_t job_id,
                        enum github_job_action action, timestamp_ns start)
{
    bool has_runner = action >= GITHUB_JOB_IN_PROGRESS;
    bool is_over = action == GITHUB_JOB_COMPLETED;
    struct github_event event = blank();
    event.kind = GITHUB_EVENT_JOB;
    event.job = (struct github_job){.job_id = job_id,
                                    .run_id = run_id,
                                    .run_attempt = 1,
                                    .action = action,
                                    .name = SLICE("build"),
                                    .workflow_name = SLICE("CI"),
                                    .head_branch = SLICE("main"),
                                    .conclusion = is_over ? SLICE("success") : SLICE_EMPTY,
                                    .created_at = start,
                                    .started_at = start,
                                    .completed_at = is_over ? world->now : TIMESTAMP_UNKNOWN,
                                    .runner_id = has_runner ? 7 : 0,
                                    .runner_name = has_runner ? SLICE("runner-7") : SLICE_EMPTY,
                                    .labels = &world->label,
                                    .label_count = 1};
    deliver(world, &event);
}

// Some hundred runs are in progress at a time, each at a different point, as in practice.
#define UNDER_WAY 100
struct under_way {
    int64_t run_id;
    int64_t jobs[JOBS_MAX];
    int step; // 3 deliveries of the run and 3 of each job
    timestamp_ns start;
};

static void advance(struct world *world, struct under_way *run, int jobs)
{
    static const enum github_job_action actions[] = {GITHUB_JOB_QUEUED, GITHUB_JOB_IN_PROGRESS,
                                                     GITHUB_JOB_COMPLETED};
    int step = run->step++;
    if (step == 0) {
        run->start = world->now;
        run->run_id = world->next_id++;
        deliver_run(world, run->run_id, GITHUB_RUN_REQUESTED, run->start);
    } else if (step == 1) {
        deliver_run(world, run->run_id, GITHUB_RUN_IN_PROGRESS, run->start);
    } else if (step < 2 + 3 * jobs) {
        int job = (step - 2) % jobs;
        if (step - 2 < jobs)
            run->jobs[job] = world->next_id++;
        deliver_job(world, run->run_id, run->jobs[job], actions[(step - 2) / jobs], run->start);
    } else {
        deliver_run(world, run->run_id, GITHUB_RUN_COMPLETED, run->start);
        run->step = 0;
    }
}

static void read_usage(struct world *world, struct store_usage *usage)
{
    struct error error = {0};
    struct store_transaction *transaction;
    if (store_begin(world->store, false, &transaction, &error) != ERROR_NONE)
        die("read", &error);
    store_read_usage(transaction, usage);
    store_abort(transaction);
}

static double measure(const char *folder, bool has_times, uint64_t limit, double rate, int jobs)
{
    static struct world world;
    struct error error = {0};
    struct store_usage usage;
    struct engine_options options = {
        .queue_max = 1, .batch_max = BATCH, .has_exporter = true, .history = NS_PER_SECOND};
    trace_policy_init(&options.policy);
    // For the whole run: the store is as it would be after `linger`, with the last blocks not yet packed.
    options.policy.linger = (duration_ns)((double)limit / rate * (double)NS_PER_SECOND);
    world = (struct world){.now = START,
                           .step = (duration_ns)((double)NS_PER_SECOND / rate),
                           .has_times = has_times,
                           .next_id = INT64_C(30000000000),
                           .random = 1,
                           .label = SLICE("ubuntu-latest")};
    if (store_open(folder, STORE_DAEMON, STORE_BYTES, &world.store, &error) != ERROR_NONE ||
        engine_create(world.store, &options, &world.engine, &error) != ERROR_NONE)
        die("open", &error);
    struct under_way runs[UNDER_WAY] = {0};
    while (world.delivered < limit) {
        world.random = world.random * 6364136223846793005u + 1442695040888963407u;
        advance(&world, &runs[(world.random >> 33) % UNDER_WAY], jobs);
    }
    flush(&world);
    read_usage(&world, &usage);
    // Notes that are kept longer than linger are only those of the time of the measurement.
    double kept_longer = (double)TRACE_RUN_KEPT / (LINGER_DAYS * (double)NS_PER_DAY) - 1;
    double of_linger = (double)usage.note_bytes / (double)world.delivered;
    double each = of_linger + (double)usage.root_notes * kept_longer * ROOT_NOTE_BYTES /
                                  (double)world.delivered;
    printf("%s: %" PRIu64 " deliveries, %" PRIu64 " jobs, %" PRIu64 " runs: %.1f bytes a delivery "
           "(notes of it, of its job and its run), %.1f with the roots of 35 days\n",
           has_times ? "times in GUIDs" : "none in GUIDs ", world.delivered, usage.job_notes,
           usage.run_notes, of_linger, each);
    engine_destroy(world.engine);
    store_close(world.store);
    return each;
}

static void print_table(double each)
{
    static const int rates[] = {1, 10, 100, 1000, 3300};
    printf("\ndeliveries a second, each for %d days; the store keeps a fifth free:\n", LINGER_DAYS);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        printf("%6d: %7.2f GiB of notes, db-max-size %7.2f GiB\n", rates[i],
               each * rates[i] * LINGER_DAYS * 86400 / GIB,
               each * rates[i] * LINGER_DAYS * 86400 / GIB / 0.8);
}

int main(int argc, char **argv)
{
    char second[4096];
    if (argc < 2) {
        fprintf(stderr, "usage: note_cost FOLDER [DELIVERIES [PER_SECOND [JOBS_OF_A_RUN]]]\n");
        return 2;
    }
    uint64_t limit = argc > 2 ? strtoull(argv[2], NULL, 10) : 300000;
    double rate = argc > 3 ? strtod(argv[3], NULL) : 100;
    int jobs = argc > 4 ? atoi(argv[4]) : 3;
    if (limit == 0 || rate <= 0 || jobs < 1 || jobs > JOBS_MAX) {
        fprintf(stderr, "note_cost: deliveries and rate above 0, 1 to %d jobs\n", JOBS_MAX);
        return 2;
    }
    log_configure(LOG_WARN, LOG_FORMAT_TEXT);
    double each = measure(argv[1], true, limit, rate, jobs);
    (void)snprintf(second, sizeof second, "%s-2", argv[1]);
    (void)measure(second, false, limit, rate, jobs);
    print_table(each);
    return EXIT_SUCCESS;
}
