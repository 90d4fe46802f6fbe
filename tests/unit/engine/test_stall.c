// Storing that hangs: readiness is answered with the reason, and nothing is lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "support/engine_bench.h"

#define STALL_LIMIT (50 * NS_PER_MS)
#define TASKS 3

struct deliveries {
    struct scenario_delivery job[TASKS];
    struct engine_task task[TASKS];
    atomic_int done;
};

static void count_done(struct engine_task *task)
{
    struct deliveries *deliveries = task->context;
    atomic_fetch_add(&deliveries->done, 1);
}

// A queued job's delivery, as a task.
static void prepare(struct deliveries *deliveries, int i)
{
    struct scenario_delivery *job = &deliveries->job[i];
    *job = scenario_job(i + 1, GITHUB_JOB_QUEUED, 1, 0, 0, 0);
    memcpy(job->digest, &(int){i + 1}, sizeof i);
    deliveries->task[i] = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                               .on_done = count_done,
                                               .context = deliveries,
                                               .event = &job->event,
                                               .received_at = timestamp_now()};
    memcpy(deliveries->task[i].delivery_digest, job->digest, DELIVERY_DIGEST_SIZE);
}

static void submit(struct engine_bench *bench, struct deliveries *deliveries, int i)
{
    prepare(deliveries, i);
    engine_submit(bench->engine, &deliveries->task[i]);
}

static void run_batch(struct engine_bench *bench, struct deliveries *deliveries)
{
    for (int i = 0; i < TASKS; i++)
        prepare(deliveries, i);
    engine_run_batch(bench->engine, deliveries->task, TASKS, timestamp_now());
}

static void wait_for(struct engine_bench *bench, enum error_code wanted, const char *words)
{
    struct error error = {0};
    for (int i = 0; i < 5000 && engine_ready(bench->engine, &error) != wanted; i++)
        usleep(2000);
    error = (struct error){0};
    assert_int_equal(engine_ready(bench->engine, &error), wanted);
    assert_true(words == NULL || strstr(error.message, words) != NULL);
}

// A process that holds the store's writer lock until something is written into the pipe.
static pid_t hold_writer_lock(const char *folder, int begin, int held)
{
    char byte = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    struct error error;
    struct store *store;
    struct store_transaction *transaction;
    if (store_open(folder, STORE_TOOL, 0, &store, &error) != ERROR_NONE ||
        store_begin(store, true, &transaction, &error) != ERROR_NONE ||
        write(held, &byte, 1) != 1 || read(begin, &byte, 1) != 1)
        _exit(1);
    store_abort(transaction);
    store_close(store);
    _exit(0);
}

static void the_engine_is_not_ready_while_another_process_holds_the_store(void **state)
{
    struct engine_bench bench;
    static struct deliveries deliveries;
    struct engine_counters counters;
    struct error error = {0};
    int end[2], held[2], status;
    char byte = 0;
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    bench.options.stall_limit = STALL_LIMIT;
    engine_bench_restart(&bench);
    assert_int_equal(pipe(end), 0);
    assert_int_equal(pipe(held), 0);
    pid_t child = hold_writer_lock(bench.folder.path, end[0], held[1]);
    assert_int_equal(read(held[0], &byte, 1), 1);
    assert_int_equal(engine_start(bench.engine, &error), ERROR_NONE);
    for (int i = 0; i < TASKS; i++)
        submit(&bench, &deliveries, i);
    wait_for(&bench, ERROR_BUSY, "another process holds the store");
    engine_read_counters(bench.engine, &counters);
    assert_true(counters.batch_age > STALL_LIMIT);
    assert_true(engine_heartbeat(bench.engine).is_committing); // a restart would not help
    assert_int_equal(atomic_load(&deliveries.done), 0);
    assert_int_equal(write(end[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    wait_for(&bench, ERROR_NONE, NULL);
    engine_stop(bench.engine);
    assert_int_equal(atomic_load(&deliveries.done), TASKS);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(deliveries.task[i].outcome, ENGINE_ACCEPTED);
    assert_false(engine_heartbeat(bench.engine).is_committing);
    engine_bench_close(&bench);
}

static uint64_t wait_for_beat(struct engine_bench *bench, uint64_t before)
{
    for (int i = 0; i < 5000 && engine_heartbeat(bench->engine).beats == before; i++)
        usleep(2000);
    assert_true(engine_heartbeat(bench->engine).beats > before);
    return engine_heartbeat(bench->engine).beats;
}

static void an_idle_thread_beats_each_time_it_is_woken(void **state)
{
    struct engine_bench bench;
    struct engine_counters before, after;
    struct error error = {0};
    (void)state;
    engine_bench_open(&bench);
    assert_int_equal(engine_start(bench.engine, &error), ERROR_NONE);
    uint64_t beats = wait_for_beat(&bench, 0);
    for (usleep(50000); beats != engine_heartbeat(bench.engine).beats; usleep(50000))
        beats = engine_heartbeat(bench.engine).beats; // until the upkeep of the start is over
    engine_read_counters(bench.engine, &before);
    for (int i = 0; i < 3; i++) {
        engine_wake(bench.engine);
        beats = wait_for_beat(&bench, beats);
    }
    engine_read_counters(bench.engine, &after);
    assert_int_equal(after.commits, before.commits); // it only woke up
    engine_stop(bench.engine);
    engine_bench_close(&bench);
}

static void the_thread_beats_for_each_task(void **state)
{
    struct engine_bench bench;
    static struct deliveries deliveries;
    (void)state;
    engine_bench_open(&bench);
    uint64_t before = engine_heartbeat(bench.engine).beats;
    run_batch(&bench, &deliveries);
    assert_true(engine_heartbeat(bench.engine).beats >= before + TASKS);
    engine_bench_close(&bench);
}

// One batch without tasks, in which all of them are given up.
static void upkeep_beats_for_each_job(void **state)
{
    struct engine_bench bench;
    static struct deliveries deliveries;
    (void)state;
    engine_bench_open(&bench);
    run_batch(&bench, &deliveries);
    uint64_t before = engine_heartbeat(bench.engine).beats;
    engine_run_batch(bench.engine, NULL, 0, timestamp_now());
    uint64_t idle = engine_heartbeat(bench.engine).beats - before;
    engine_run_batch(bench.engine, NULL, 0, timestamp_now() + 30 * NS_PER_DAY);
    uint64_t busy = engine_heartbeat(bench.engine).beats - before - idle;
    assert_true(busy >= idle + TASKS);
    engine_bench_close(&bench);
}

static void the_engine_is_not_ready_while_deliveries_wait_too_long(void **state)
{
    struct engine_bench bench;
    static struct deliveries deliveries;
    struct engine_counters counters;
    struct error error = {0};
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    bench.options.stall_limit = STALL_LIMIT;
    engine_bench_restart(&bench);
    submit(&bench, &deliveries, 0); // no thread processes it yet
    wait_for(&bench, ERROR_BUSY, "wait too long");
    engine_read_counters(bench.engine, &counters);
    assert_true(counters.queue_age > STALL_LIMIT);
    assert_int_equal(counters.queue_tasks, 1);
    assert_int_equal(counters.batch_age, 0);
    assert_int_equal(engine_start(bench.engine, &error), ERROR_NONE);
    wait_for(&bench, ERROR_NONE, NULL);
    engine_stop(bench.engine);
    engine_read_counters(bench.engine, &counters);
    assert_int_equal(counters.queue_tasks, 0);
    assert_int_equal(deliveries.task[0].outcome, ENGINE_ACCEPTED);
    engine_bench_close(&bench);
}

// Otherwise the queue would fill up with what is no longer in it, and every delivery would be refused.
static void a_queue_that_was_full_is_empty_after_one_batch(void **state)
{
    struct engine_bench bench;
    static struct deliveries first, second;
    struct engine_counters counters;
    struct error error = {0};
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    bench.options.queue_max = TASKS;
    engine_bench_restart(&bench);
    atomic_store(&first.done, 0);
    for (int i = 0; i < TASKS; i++)
        submit(&bench, &first, i); // no thread takes it yet: they become one batch
    submit(&bench, &second, 0);
    assert_int_equal(second.task[0].outcome, ENGINE_FULL);
    engine_read_counters(bench.engine, &counters);
    assert_int_equal(counters.queue_tasks, TASKS);
    assert_int_equal(engine_start(bench.engine, &error), ERROR_NONE);
    for (int i = 0; i < 5000 && atomic_load(&first.done) < TASKS; i++)
        usleep(2000);
    engine_read_counters(bench.engine, &counters);
    assert_int_equal(counters.queue_tasks, 0);
    for (int i = 0; i < TASKS; i++)
        submit(&bench, &second, i);
    engine_stop(bench.engine);
    engine_read_counters(bench.engine, &counters);
    assert_int_equal(counters.queue_tasks, 0);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(first.task[i].outcome, ENGINE_ACCEPTED);
        assert_int_not_equal(second.task[i].outcome, ENGINE_FULL);
    }
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_that_was_full_is_empty_after_one_batch),
        cmocka_unit_test(the_engine_is_not_ready_while_another_process_holds_the_store),
        cmocka_unit_test(the_engine_is_not_ready_while_deliveries_wait_too_long),
        cmocka_unit_test(an_idle_thread_beats_each_time_it_is_woken),
        cmocka_unit_test(the_thread_beats_for_each_task),
        cmocka_unit_test(upkeep_beats_for_each_job),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
