// A simulated month of an organization: runs of many repositories and workflows, whose jobs queue for the runners of
// some pools, delivered as GitHub does into a store by a simulated clock. What happened is printed as JSON, by the
// simulation's own count, so that a daemon that opens the store can be compared with it.
//
//     month FOLDER [NAME=NUMBER]...
//     month tables FOLDER              entries and bytes of each table of a store, as JSON
//
// The month ends now. Names, with their defaults: jobs=1000000, repositories=3000, workflows=40, pools=30, days=30, seed=1;
// invented=0 jobs with a set of labels that no other has, which fork/labels asks for within an hour, `ago`=24 hours
// before the end; metrics-max-pools, metrics-max-series=1000; restarts=0, each as after a crash between two transactions;
// wide=0, or 1: histograms by repository and workflow, too.
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/log.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/stats/series.h"
#include "support/policy.h"

#define BATCH 512
#define BATCH_SECONDS 30 // of the simulated clock, at most
#define STORE_BYTES ((uint64_t)16 << 30)
#define POOLS_MAX 1000
#define REPOSITORIES_MAX 20000
#define WORKFLOWS_MAX 1000
#define RUN_JOBS_MAX 5
#define STEPS 3
#define LATE_MS_MAX 5000   // of a delivery after its event
#define REPEATED_PERCENT 1 // of the deliveries
#define MINUTES (26 * 60)  // that are printed
#define HOURS_MAX (40 * 24)
#define FIRST_RUN INT64_C(30000000000)
#define FIRST_JOB INT64_C(90000000000)

static struct {
    int64_t jobs, repositories, workflows, pools, days, seed, invented, ago, max_pools, max_series,
        restarts, wide;
} options = {1000000, 3000, 40, 30, 30, 1, 0, 24, 0, 0, 0, 0};

static void die(const char *what)
{
    fprintf(stderr, "month: %s\n", what);
    exit(EXIT_FAILURE);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

// --- chance ---------------------------------------------------------------------------------------

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = random_state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

static int64_t random_below(int64_t bound)
{
    return (int64_t)(next_random() % (uint64_t)bound);
}

// Few of the numbers below `bound` are frequent, as with Zipf's law.
static int64_t random_rank(int64_t bound)
{
    double share = (double)(next_random() >> 11) / (double)(UINT64_C(1) << 53);
    return (int64_t)((double)bound * share * share * share);
}

// --- what is simulated ----------------------------------------------------------------------------

struct job {
    int64_t run;                   // index
    int64_t ready, started, ended; // seconds
    int32_t pool;                  // or -1 - the number of the invented set
};

struct run {
    int64_t ready, ended;
    int64_t first_job;
    int32_t repository, workflow;
    int32_t jobs, open_jobs;
    bool has_begun;
};

// Counts of a minute or an hour. Levels are those at the end of each second.
struct cell {
    int64_t arrivals, starts, queued_max, running_max, queued_seconds, running_seconds;
};

struct pool_truth {
    char label[32], name[64];
    struct slice labels[3];
    int64_t capacity, busy, mean_seconds;
    int64_t *queue; // jobs, as a ring
    int64_t head, queued_jobs;
    int64_t queued, running, counted_until;
    int64_t ended, waits, wait_seconds, buckets[SERIES_BUCKETS];
    struct cell minutes[MINUTES], hours[HOURS_MAX];
};

static struct pool_truth *pools;
static struct job *jobs;
static struct run *runs;
static int64_t jobs_room, job_count, run_count;
static int64_t begin, end; // in seconds

static void spread(struct cell *cells, int64_t count, int64_t width, int64_t base,
                   struct pool_truth *pool, int64_t until)
{
    int64_t at = pool->counted_until > base ? pool->counted_until : base;
    while (at < until && (at - base) / width < count) {
        struct cell *cell = &cells[(at - base) / width];
        int64_t cell_end = at - (at - base) % width + width;
        int64_t to = cell_end < until ? cell_end : until;
        cell->queued_max = pool->queued > cell->queued_max ? pool->queued : cell->queued_max;
        cell->running_max = pool->running > cell->running_max ? pool->running : cell->running_max;
        cell->queued_seconds += pool->queued * (to - at);
        cell->running_seconds += pool->running * (to - at);
        at = to;
    }
}

static int64_t hours_base(void)
{
    return begin - begin % 3600;
}

static int64_t minutes_base(void)
{
    return end - end % 60 - (MINUTES - 1) * 60;
}

static void change(struct pool_truth *pool, int64_t at, int queued, int running)
{
    spread(pool->hours, HOURS_MAX, 3600, hours_base(), pool, at);
    spread(pool->minutes, MINUTES, 60, minutes_base(), pool, at);
    pool->counted_until = at;
    pool->queued += queued;
    pool->running += running;
    int64_t minute = (at - minutes_base()) / 60;
    struct cell *cells[] = {&pool->hours[(at - hours_base()) / 3600],
                            at >= minutes_base() && minute < MINUTES ? &pool->minutes[minute]
                                                                     : NULL};
    for (size_t i = 0; i < 2 && cells[i] != NULL; i++) {
        cells[i]->arrivals += queued > 0 ? 1 : 0;
        cells[i]->starts += running > 0 ? 1 : 0;
    }
}

static void count_wait(struct pool_truth *pool, int64_t seconds)
{
    size_t bucket = 0;
    while (bucket < series_bounds_before.count &&
           seconds * NS_PER_SECOND > series_bounds_before.at[bucket])
        bucket++;
    pool->buckets[bucket]++;
    pool->waits++;
    pool->wait_seconds += seconds;
}

// --- a heap of what happens next ------------------------------------------------------------------

enum happening {
    RUN_ARRIVES, // in the simulation
    JOB_STARTS,
    JOB_ENDS,
    RUN_REQUESTED, // deliveries
    RUN_IN_PROGRESS,
    RUN_COMPLETED,
    JOB_QUEUED,
    JOB_IN_PROGRESS,
    JOB_COMPLETED,
    AGAIN = 16 // the same delivery once more
};

struct entry {
    int64_t at_ms;
    int64_t subject; // run or job
    int64_t event_ms;
    int what;
};

static struct entry *heap;
static size_t heap_count, heap_room;

static void push(struct entry entry)
{
    if (heap_count == heap_room) {
        heap_room = heap_room == 0 ? 1024 : heap_room * 2;
        heap = realloc(heap, heap_room * sizeof *heap);
        if (heap == NULL)
            die("out of memory");
    }
    size_t place = heap_count++;
    while (place > 0 && heap[(place - 1) / 2].at_ms > entry.at_ms) {
        heap[place] = heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap[place] = entry;
}

static struct entry pop(void)
{
    struct entry first = heap[0], last = heap[--heap_count];
    size_t place = 0;
    for (size_t child; (child = 2 * place + 1) < heap_count; place = child) {
        if (child + 1 < heap_count && heap[child + 1].at_ms < heap[child].at_ms)
            child++;
        if (heap[child].at_ms >= last.at_ms)
            break;
        heap[place] = heap[child];
    }
    heap[place] = last;
    return first;
}

static void happens(int what, int64_t at, int64_t subject)
{
    push((struct entry){.at_ms = at * 1000, .subject = subject, .what = what});
}

// Some of GitHub's deliveries come late, so that they overtake each other, and some twice.
static void will_deliver(int what, int64_t at, int64_t subject)
{
    struct entry entry = {.event_ms = at * 1000 + 200, .subject = subject, .what = what};
    entry.at_ms = entry.event_ms + random_below(random_below(4) == 0 ? LATE_MS_MAX : 300);
    push(entry);
    if (random_below(100) >= REPEATED_PERCENT)
        return;
    entry.at_ms += random_below(LATE_MS_MAX);
    entry.what |= AGAIN;
    push(entry);
}

// --- deliveries -----------------------------------------------------------------------------------

struct texts {
    char job[32], runner[32];
    struct slice labels[100];
    char label_texts[100][300];
    struct github_step steps[STEPS];
};

static const char *folder;
static struct store *store;
static struct engine *engine;
static struct engine_task tasks[BATCH];
static struct github_event events[BATCH];
static struct texts texts[BATCH];
static size_t batched;
static int64_t batch_began_ms, batch_at_ms, deliveries, repeated, settled, settled_before,
    restarted, folded;
static struct {
    char full_name[48], url[80];
} * repositories;
static char (*workflows)[40];

static void on_done(struct engine_task *task)
{
    if (task->outcome == ENGINE_DUPLICATE)
        repeated++;
    else if (task->outcome != ENGINE_ACCEPTED)
        die(task->error.message);
}

// As if the collector took everything at once.
static void settle(timestamp_ns now)
{
    static uint64_t sequences[4 * BATCH];
    struct engine_task task = {
        .type = ENGINE_SETTLE_EXPORT, .on_done = on_done, .sequences = sequences};
    struct engine_counters counters;
    engine_read_counters(engine, &counters);
    counters.records += (uint64_t)settled_before;
    while ((uint64_t)settled < counters.records) {
        task.sequence_count = 0;
        while ((uint64_t)settled < counters.records && task.sequence_count < 4 * BATCH)
            sequences[task.sequence_count++] = (uint64_t)++settled;
        engine_run_batch(engine, &task, 1, now);
    }
}

// A number after a name in a file of /proc; 0 if it is not there.
static int64_t read_number(const char *path, const char *name)
{
    char line[256];
    int64_t number = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtoll(line + strlen(name), NULL, 10);
    if (file != NULL)
        (void)fclose(file);
    return number;
}

static int64_t transactions, most_anonymous_kib;

static void open_engine(void)
{
    struct engine_options engine_options = {.queue_max = 1,
                                            .batch_max = BATCH,
                                            .history = NS_PER_DAY,
                                            .history_jobs = 1000000,
                                            .has_exporter = true,
                                            .max_pools = (size_t)options.max_pools,
                                            .max_series = (size_t)options.max_series};
    static const struct series_options usual = {
        .labels = {[SERIES_JOB] = SERIES_HAS(SERIES_POOL) | SERIES_HAS(SERIES_RUNNER_LABELS) |
                                  SERIES_HAS(SERIES_RESULT),
                   [SERIES_RUN] = SERIES_HAS(SERIES_EVENT) | SERIES_HAS(SERIES_DEFAULT_BRANCH) |
                                  SERIES_HAS(SERIES_RESULT),
                   [SERIES_STEP] = SERIES_LABELS_OFF},
        .idle = 7 * NS_PER_DAY};
    static const struct series_options wide = {.idle = 7 * NS_PER_DAY};
    struct error error = {.code = ERROR_NONE};
    engine_options.series = options.wide != 0 ? wide : usual;
    trace_policy_init(&engine_options.policy);
    if (store_open(folder, STORE_DAEMON, STORE_BYTES, &store, &error) != ERROR_NONE ||
        engine_create(store, &engine_options, &engine, &error) != ERROR_NONE)
        die(error.message);
}

static void close_engine(void)
{
    struct engine_overflow overflow;
    engine_read_overflow(engine, &overflow);
    folded += (int64_t)overflow.folded;
    engine_destroy(engine);
    store_close(store);
}

// Now and then, so that there are about as many as asked for.
static void maybe_restart(int64_t advanced_ms)
{
    if (random_below((end - begin) * 1000) >= advanced_ms * options.restarts)
        return;
    close_engine();
    open_engine();
    settled_before = settled;
    restarted++;
}

static void flush(void)
{
    static int64_t before_ms;
    timestamp_ns now = batch_at_ms * NS_PER_MS;
    if (batched == 0)
        return;
    engine_run_batch(engine, tasks, batched, now);
    batched = 0;
    settle(now);
    if (before_ms > 0 && options.restarts > 0)
        maybe_restart(batch_at_ms - before_ms);
    before_ms = batch_at_ms;
    if (transactions++ % 200 != 0)
        return;
    int64_t anonymous = read_number("/proc/self/status", "RssAnon:");
    most_anonymous_kib = anonymous > most_anonymous_kib ? anonymous : most_anonymous_kib;
}

static timestamp_ns at_second(int64_t seconds)
{
    return seconds * NS_PER_SECOND;
}

static void set_run(struct github_event *event, int64_t index, int what)
{
    static const enum github_run_action actions[] = {[RUN_REQUESTED] = GITHUB_RUN_REQUESTED,
                                                     [RUN_IN_PROGRESS] = GITHUB_RUN_IN_PROGRESS,
                                                     [RUN_COMPLETED] = GITHUB_RUN_COMPLETED};
    const struct run *run = &runs[index];
    event->kind = GITHUB_EVENT_RUN;
    event->run = (struct github_run){
        .run_id = FIRST_RUN + index,
        .run_attempt = 1,
        .run_number = index + 1,
        .action = actions[what],
        .workflow_name = slice_from_string(workflows[run->workflow]),
        .display_title = SLICE("Retry uploads that were cut short"),
        .event_name = SLICE("push"),
        .head_branch = SLICE("main"),
        .head_sha = SLICE("3484a3fb816e0859fd6e1cea078d76385ff50625"),
        .conclusion = what == RUN_COMPLETED ? SLICE("success") : SLICE_EMPTY,
        .actor = SLICE("octocat"),
        .created_at = at_second(run->ready),
        .run_started_at = at_second(run->ready),
        .updated_at = at_second(what == RUN_COMPLETED ? run->ended : run->ready)};
}

// Invented sets of labels: an id, many long labels, other scripts, commas, other cases.
static void invent_labels(struct texts *text, int64_t number, struct github_job *job)
{
    static const char *const forms[] = {"run-%" PRId64, "%0250" PRId64, "läufer-漢字-%" PRId64,
                                        "gpu,linux,%" PRId64, "LiNuX-%" PRId64};
    size_t form = (size_t)(number % 5);
    job->label_count = form == 1 ? 100 : 2;
    for (size_t i = 0; i < job->label_count; i++) {
        int64_t value = i == 0 ? number : (int64_t)i;
        // The form is one of the literals above.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text->label_texts[i], sizeof text->label_texts[i], forms[form], value);
#pragma GCC diagnostic pop
        text->labels[i] = slice_from_string(text->label_texts[i]);
    }
    job->labels = text->labels;
}

static void set_steps(struct texts *text, const struct job *job, struct github_job *event)
{
    static const struct slice names[STEPS] = {
        {"Set up job", 10}, {"Build and test", 14}, {"Complete job", 12}};
    int64_t length = job->ended - job->started;
    const int64_t limits[STEPS + 1] = {job->started, job->started + (length > 1 ? 1 : 0),
                                       job->ended, job->ended};
    for (size_t i = 0; i < STEPS; i++)
        text->steps[i] = (struct github_step){.name = names[i],
                                              .number = (int64_t)i + 1,
                                              .status = SLICE("completed"),
                                              .conclusion = SLICE("success"),
                                              .started_at = at_second(limits[i]),
                                              .completed_at = at_second(limits[i + 1])};
    event->steps = text->steps;
    event->step_count = STEPS;
}

static void set_job(struct github_event *event, int64_t index, int what, struct texts *text)
{
    const struct job *job = &jobs[index];
    bool has_runner = what != JOB_QUEUED && job->started > 0;
    bool is_over = what == JOB_COMPLETED;
    (void)snprintf(text->job, sizeof text->job, "test (%" PRId64 ")", index % 7);
    (void)snprintf(text->runner, sizeof text->runner, "runner-%" PRId64, index);
    event->kind = GITHUB_EVENT_JOB;
    event->job = (struct github_job){
        .job_id = FIRST_JOB + index,
        .run_id = FIRST_RUN + job->run,
        .run_attempt = 1,
        .action = is_over              ? GITHUB_JOB_COMPLETED
                  : what == JOB_QUEUED ? GITHUB_JOB_QUEUED
                                       : GITHUB_JOB_IN_PROGRESS,
        .name = slice_from_string(text->job),
        .workflow_name = slice_from_string(workflows[runs[job->run].workflow]),
        .head_branch = SLICE("main"),
        .html_url = SLICE("https://github.com/acme/service/actions/runs/1/job/1"),
        .conclusion = !is_over     ? SLICE_EMPTY
                      : has_runner ? SLICE("success")
                                   : SLICE("cancelled"),
        .created_at = at_second(job->ready),
        .started_at = at_second(has_runner ? job->started : job->ready),
        .completed_at = is_over ? at_second(job->ended) : 0,
        .runner_id = has_runner ? 7 + index : 0,
        .runner_name = has_runner ? slice_from_string(text->runner) : SLICE_EMPTY,
        .runner_group_name = has_runner ? SLICE("Default") : SLICE_EMPTY};
    if (job->pool < 0) {
        invent_labels(text, -1 - (int64_t)job->pool, &event->job);
    } else {
        event->job.labels = pools[job->pool].labels;
        event->job.label_count = 3;
    }
    if (is_over && has_runner)
        set_steps(text, job, &event->job);
}

static void deliver(const struct entry *entry)
{
    int what = entry->what & ~AGAIN;
    bool is_run = what < JOB_QUEUED;
    const struct run *run = &runs[is_run ? entry->subject : jobs[entry->subject].run];
    const int64_t identity[2] = {what, entry->subject};
    uint8_t hash[MD5_SIZE];
    if (batched == BATCH ||
        (batched > 0 && entry->at_ms - batch_began_ms > BATCH_SECONDS * INT64_C(1000)))
        flush();
    batch_began_ms = batched == 0 ? entry->at_ms : batch_began_ms;
    batch_at_ms = entry->at_ms;
    struct github_event *event = &events[batched];
    *event = (struct github_event){
        .repository = {
            .full_name = slice_from_string(repositories[run->repository].full_name),
            .owner = SLICE("acme"),
            .name = slice_from_string(strchr(repositories[run->repository].full_name, '/') + 1),
            .html_url = slice_from_string(repositories[run->repository].url),
            .default_branch = SLICE("main")}};
    if (is_run)
        set_run(event, entry->subject, what);
    else
        set_job(event, entry->subject, what, &texts[batched]);
    digest_md5((struct slice){(const char *)identity, sizeof identity}, hash);
    tasks[batched] = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                          .on_done = on_done,
                                          .event = event,
                                          .received_at = entry->at_ms * NS_PER_MS,
                                          .occurred_at = entry->event_ms * NS_PER_MS};
    memcpy(tasks[batched].delivery_digest, hash, sizeof tasks[batched].delivery_digest);
    batched++;
    deliveries++;
}

// --- the simulation -------------------------------------------------------------------------------

// How busy the organization is, as a part of its busiest hour: working days, and a quarter of that at night.
static double activity(int64_t at)
{
    static const double hours[24] = {.25, .25, .25, .25, .25, .25, .3, .5, .8,  .95, 1,  .9,
                                     .75, .9,  1,   1,   .95, .8,  .6, .5, .45, .4,  .3, .25};
    bool is_weekend = (at / 86400 + 3) % 7 >= 5;
    return hours[at / 3600 % 24] * (is_weekend ? 0.3 : 1);
}

static void take_jobs(struct pool_truth *pool, int64_t at)
{
    while (pool->busy < pool->capacity && pool->queued_jobs > 0) {
        int64_t index = pool->queue[pool->head];
        pool->head = (pool->head + 1) % jobs_room;
        pool->queued_jobs--;
        pool->busy++;
        happens(JOB_STARTS, at + 1 + random_below(12), index);
    }
}

static void add_job(int64_t run, int64_t at, int32_t pool_index)
{
    struct pool_truth *pool = &pools[pool_index];
    int64_t index = job_count++;
    jobs[index] = (struct job){.run = run, .ready = at, .pool = pool_index};
    change(pool, at, 1, 0);
    pool->queue[(pool->head + pool->queued_jobs++) % jobs_room] = index;
    will_deliver(JOB_QUEUED, at, index);
    take_jobs(pool, at);
}

// Each workflow of each repository has a run, between those of the usual ones.
static void choose_workflow(int64_t index, struct run *run)
{
    int64_t all = options.repositories * options.workflows;
    if (index % 2 == 0 && index / 2 < all) {
        int64_t place = index / 2 * 7919 % all;
        run->repository = (int32_t)(place / options.workflows);
        run->workflow = (int32_t)(place % options.workflows);
    } else {
        run->repository = (int32_t)random_rank(options.repositories);
        run->workflow = (int32_t)random_rank(options.workflows);
    }
}

static void add_run(int64_t at)
{
    int64_t index = run_count++;
    struct run *run = &runs[index];
    int64_t count = 1 + random_below(RUN_JOBS_MAX);
    *run = (struct run){.ready = at, .first_job = job_count, .jobs = (int32_t)count};
    run->open_jobs = run->jobs;
    choose_workflow(index, run);
    will_deliver(RUN_REQUESTED, at, index);
    for (int64_t i = 0; i < count; i++)
        add_job(index, at, (int32_t)random_rank(options.pools));
}

static void start_job(int64_t index, int64_t at)
{
    struct job *job = &jobs[index];
    job->started = at;
    will_deliver(JOB_IN_PROGRESS, at, index);
    if (!runs[job->run].has_begun)
        will_deliver(RUN_IN_PROGRESS, at, job->run);
    runs[job->run].has_begun = true;
    int64_t mean = 300;
    if (job->pool >= 0) {
        change(&pools[job->pool], at, -1, 1);
        count_wait(&pools[job->pool], at - job->ready);
        mean = pools[job->pool].mean_seconds;
    }
    happens(JOB_ENDS, at + 5 + random_below(mean) + random_below(mean), index);
}

static void end_job(int64_t index, int64_t at)
{
    struct job *job = &jobs[index];
    struct run *run = &runs[job->run];
    job->ended = at;
    will_deliver(JOB_COMPLETED, at, index);
    if (--run->open_jobs == 0) {
        run->ended = at;
        will_deliver(RUN_COMPLETED, at, job->run);
    }
    if (job->pool < 0)
        return;
    struct pool_truth *pool = &pools[job->pool];
    change(pool, at, 0, -1);
    pool->ended++;
    pool->busy--;
    take_jobs(pool, at);
}

// One in ten gets a runner; the others are cancelled after some minutes.
static void add_invented(int64_t number)
{
    int64_t at = end - options.ago * 3600 + number * 3600 / options.invented;
    int64_t run = run_count++, index = job_count++;
    runs[run] = (struct run){.ready = at,
                             .first_job = index,
                             .jobs = 1,
                             .open_jobs = 1,
                             .repository = (int32_t)options.repositories};
    jobs[index] = (struct job){.run = run, .ready = at, .pool = (int32_t)(-1 - number)};
    will_deliver(RUN_REQUESTED, at, run);
    will_deliver(JOB_QUEUED, at, index);
    if (number % 10 == 0)
        happens(JOB_STARTS, at + 20, index);
    else
        happens(JOB_ENDS, at + 600 + random_below(3000), index);
}

static void process(const struct entry *entry)
{
    int64_t at = entry->at_ms / 1000;
    if (entry->what >= RUN_REQUESTED)
        deliver(entry);
    else if (at >= end - LATE_MS_MAX * 3 / 1000)
        return; // the deliveries have to be over by then
    else if (entry->what == JOB_STARTS)
        start_job(entry->subject, at);
    else if (entry->what == JOB_ENDS)
        end_job(entry->subject, at);
}

// Advances by one second after the other, with as many new runs as the activity of the hour asks for.
static void simulate(void)
{
    int64_t wanted = options.jobs * 2 / (1 + RUN_JOBS_MAX);
    double sum = 0, due = 0;
    for (int64_t at = begin; at < end; at++)
        sum += activity(at);
    for (int64_t i = 0; i < options.invented; i++)
        add_invented(i);
    for (int64_t at = begin; at < end; at++) {
        while (heap_count > 0 && heap[0].at_ms < at * 1000) {
            struct entry entry = pop();
            process(&entry);
        }
        due += activity(at) * (double)wanted / sum * (double)random_below(2001) / 1000;
        for (; due >= 1 && at < end - 20 && job_count < jobs_room - RUN_JOBS_MAX; due--)
            add_run(at);
    }
    while (heap_count > 0) {
        struct entry entry = pop();
        process(&entry);
    }
    flush();
    for (int64_t i = 0; i < options.pools; i++)
        change(&pools[i], end, 0, 0);
}

static void make_names(void)
{
    repositories = allocate((size_t)options.repositories + 1, sizeof *repositories);
    workflows = allocate((size_t)options.workflows, sizeof *workflows);
    for (int64_t i = 0; i <= options.repositories; i++) {
        bool is_last = i == options.repositories;
        (void)snprintf(repositories[i].full_name, sizeof repositories[i].full_name,
                       is_last ? "fork/labels" : "acme/service-%04" PRId64, i);
        (void)snprintf(repositories[i].url, sizeof repositories[i].url, "https://github.com/%s",
                       repositories[i].full_name);
    }
    for (int64_t i = 0; i < options.workflows; i++)
        (void)snprintf(workflows[i], sizeof workflows[i], "Workflow %02" PRId64, i);
}

// The share of the jobs that random_rank() gives a pool.
static double share_of_pool(int64_t index)
{
    double from = (double)index / (double)options.pools,
           to = (double)(index + 1) / (double)options.pools;
    double low = 0, high = 0;
    // Cube roots, by bisection: no need of a library for some dozens of numbers.
    for (double step = 0.5; step > 1e-9; step /= 2) {
        low += (low + step) * (low + step) * (low + step) <= from ? step : 0;
        high += (high + step) * (high + step) * (high + step) <= to ? step : 0;
    }
    return high - low;
}

static void make_pools(void)
{
    pools = allocate((size_t)options.pools, sizeof *pools);
    for (int64_t i = 0; i < options.pools; i++) {
        struct pool_truth *pool = &pools[i];
        double per_second = share_of_pool(i) * (double)options.jobs / (double)(end - begin);
        (void)snprintf(pool->label, sizeof pool->label, "pool-%02" PRId64, i);
        (void)snprintf(pool->name, sizeof pool->name, "linux,%s,self-hosted", pool->label);
        pool->labels[0] = SLICE("self-hosted");
        pool->labels[1] = SLICE("Linux");
        pool->labels[2] = slice_from_string(pool->label);
        pool->mean_seconds = 60 + i * 37 % 600;
        // Enough on average, but not in the busiest hours.
        pool->capacity = (int64_t)(per_second * (double)pool->mean_seconds * 1.7) + 1;
        pool->queue = allocate((size_t)jobs_room, sizeof *pool->queue);
        pool->counted_until = begin;
    }
}

// --- output ---------------------------------------------------------------------------------------

static void print_cells(const char *name, const struct cell *cells, int64_t count, int64_t base,
                        int64_t width)
{
    const char *comma = "";
    printf(",\"%s\":[", name);
    for (int64_t i = 0; i < count && base + i * width <= end; i++, comma = ",")
        printf("%s[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
               "]",
               comma, base + i * width, cells[i].arrivals, cells[i].starts, cells[i].queued_max,
               cells[i].running_max, cells[i].queued_seconds, cells[i].running_seconds);
    printf("]");
}

static int64_t oldest_ready(int64_t pool)
{
    int64_t oldest = 0;
    for (int64_t i = 0; i < job_count; i++)
        if (jobs[i].pool == pool && jobs[i].started == 0 && jobs[i].ended == 0 &&
            (oldest == 0 || jobs[i].ready < oldest))
            oldest = jobs[i].ready;
    return oldest;
}

static void print_pool(int64_t index)
{
    const struct pool_truth *pool = &pools[index];
    printf("%s{\"pool\":\"%s\",\"capacity\":%" PRId64 ",\"queued\":%" PRId64 ",\"running\":%" PRId64
           ",\"ended\":%" PRId64 ",\"waits\":%" PRId64 ",\"wait_seconds\":%" PRId64
           ",\"oldest_ready\":%" PRId64 ",\"buckets\":[",
           index == 0 ? "" : ",", pool->name, pool->capacity, pool->queued, pool->running,
           pool->ended, pool->waits, pool->wait_seconds, oldest_ready(index));
    for (size_t i = 0; i <= series_bounds_before.count; i++)
        printf("%s%" PRId64, i == 0 ? "" : ",", pool->buckets[i]);
    printf("]");
    print_cells("minutes", pool->minutes, MINUTES, minutes_base(), 60);
    print_cells("hours", pool->hours, HOURS_MAX, hours_base(), 3600);
    printf("}\n");
}

static void print_truth(void)
{
    printf("{\"begin\":%" PRId64 ",\"end\":%" PRId64 ",\"deliveries\":%" PRId64
           ",\"repeated\":%" PRId64 ",\"runs\":%" PRId64 ",\"jobs\":%" PRId64
           ",\"transactions\":%" PRId64 ",\"restarted\":%" PRId64 ",\"folded\":%" PRId64
           ",\"most_anonymous_kib\":%" PRId64 ",\"written\":%" PRId64 ",\"pools\":[\n",
           begin, end, deliveries, repeated, run_count, job_count, transactions, restarted, folded,
           most_anonymous_kib, read_number("/proc/self/io", "wchar:"));
    for (int64_t i = 0; i < options.pools; i++)
        print_pool(i);
    printf("]}\n");
}

static void must(int code)
{
    if (code != 0)
        die(mdb_strerror(code));
}

static MDB_txn *open_to_read(void)
{
    MDB_env *env;
    MDB_txn *transaction;
    must(mdb_env_create(&env));
    must(mdb_env_set_maxdbs(env, 100));
    must(mdb_env_open(env, folder, MDB_RDONLY, 0));
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &transaction));
    return transaction;
}

static void close_read(MDB_txn *transaction, MDB_cursor *cursor)
{
    MDB_env *env = mdb_txn_env(transaction);
    mdb_cursor_close(cursor);
    mdb_txn_abort(transaction);
    mdb_env_close(env);
}

// LMDB's main database has the names of the tables.
static void print_tables(void)
{
    MDB_txn *transaction = open_to_read();
    MDB_dbi names, table;
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_stat stat;
    const char *comma = "";
    must(mdb_dbi_open(transaction, NULL, 0, &names));
    must(mdb_cursor_open(transaction, names, &cursor));
    printf("{");
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)key.mv_size, (const char *)key.mv_data);
        must(mdb_dbi_open(transaction, name, 0, &table));
        must(mdb_stat(transaction, table, &stat));
        size_t pages = stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
        printf("%s\"%s\":{\"entries\":%zu,\"bytes\":%zu}", comma, name, stat.ms_entries,
               pages * stat.ms_psize);
        comma = ",";
    }
    printf("}\n");
    close_read(transaction, cursor);
}

// --- arguments ------------------------------------------------------------------------------------

static void set_option(const char *text)
{
    const struct {
        const char *name;
        int64_t *value, max;
    } names[] = {{"jobs", &options.jobs, 50000000},
                 {"repositories", &options.repositories, REPOSITORIES_MAX},
                 {"workflows", &options.workflows, WORKFLOWS_MAX},
                 {"pools", &options.pools, POOLS_MAX},
                 {"days", &options.days, HOURS_MAX / 24 - 1},
                 {"seed", &options.seed, INT64_MAX},
                 {"invented", &options.invented, 5000000},
                 {"ago", &options.ago, HOURS_MAX},
                 {"metrics-max-pools", &options.max_pools, 1000000},
                 {"metrics-max-series", &options.max_series, 1000000},
                 {"restarts", &options.restarts, 100000},
                 {"wide", &options.wide, 1}};
    const char *equals = strchr(text, '=');
    for (size_t i = 0; equals != NULL && i < sizeof names / sizeof names[0]; i++) {
        size_t len = (size_t)(equals - text);
        if (strlen(names[i].name) != len || memcmp(names[i].name, text, len) != 0)
            continue;
        *names[i].value = strtoll(equals + 1, NULL, 10);
        if (*names[i].value >= 0 && *names[i].value <= names[i].max)
            return;
    }
    die("usage: month FOLDER [NAME=NUMBER]... | tables FOLDER");
}

static void generate(void)
{
    end = timestamp_now() / NS_PER_SECOND;
    begin = end - options.days * 86400;
    random_state = (uint64_t)options.seed;
    jobs_room =
        options.jobs * 11 / 10 + options.invented + 1000; // there are about as many as asked for
    make_names();
    make_pools();
    jobs = allocate((size_t)jobs_room, sizeof *jobs);
    runs = allocate((size_t)jobs_room, sizeof *runs);
    open_engine();
    simulate();
    close_engine();
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "tables") == 0) {
        folder = argv[2];
        print_tables();
        return EXIT_SUCCESS;
    }
    if (argc < 2)
        set_option("");
    for (int i = 2; i < argc; i++)
        set_option(argv[i]);
    log_configure(LOG_WARN, LOG_FORMAT_TEXT);
    folder = argv[1];
    generate();
    print_truth();
    return EXIT_SUCCESS;
}
