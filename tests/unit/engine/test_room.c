// A store that fills up: exported data are deleted to make room; data that were not exported are kept.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "support/engine_bench.h"

#define JOBS 4000

static enum engine_outcome complete_job(struct engine_bench *bench, int64_t id)
{
    struct scenario_delivery job = scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    memcpy(job.digest, &id, sizeof id);
    bench->now += NS_PER_SECOND;
    return engine_bench_deliver(bench, &job);
}

static struct store_usage usage_of(struct engine_bench *bench)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct store_usage usage;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    return usage;
}

static void open_small(struct engine_bench *bench, bool has_exporter)
{
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(bench);
    bench->now = scenario_at(100);
    bench->map_bytes = (uint64_t)4 << 20;
    bench->options.has_exporter = has_exporter;
    engine_bench_restart(bench);
}

static void history_is_deleted_before_a_delivery_is_refused(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, false);
    for (int64_t id = 1; id <= JOBS; id++)
        assert_int_equal(complete_job(&bench, id), ENGINE_ACCEPTED);
    struct store_usage usage = usage_of(&bench);
    assert_true(usage.records < JOBS);
    assert_true(usage.records > 100); // and no more than the room that was needed
    assert_true(usage.used_bytes < usage.max_bytes / 100 * 90);
    engine_bench_close(&bench);
}

// Runs finished before are in the future now, and so is the recorded time of the clock.
static void history_is_deleted_early_while_the_clock_is_a_day_back(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, false);
    for (int64_t id = 1; id <= JOBS / 2; id++)
        assert_int_equal(complete_job(&bench, id), ENGINE_ACCEPTED);
    bench.now -= NS_PER_DAY;
    for (int64_t id = JOBS; id <= 2 * JOBS; id++)
        assert_int_equal(complete_job(&bench, id), ENGINE_ACCEPTED);
    struct store_usage usage = usage_of(&bench);
    assert_true(usage.used_bytes < usage.max_bytes / 100 * 90);
    assert_true(usage.delivery_notes > JOBS); // they did not have to make room
    engine_bench_close(&bench);
}

static _Atomic timestamp_ns leaping_now;

static timestamp_ns leaping_clock(void)
{
    return atomic_load(&leaping_now);
}

static void note_done(struct engine_task *task)
{
    atomic_store((atomic_bool *)task->context, true);
}

static void history_is_deleted_early_while_a_clock_that_leapt_ahead_is_not_trusted(void **state)
{
    struct engine_bench bench;
    struct error error = {0};
    (void)state;
    open_small(&bench, false);
    bench.options.now = leaping_clock;
    atomic_store(&leaping_now, bench.now);
    engine_bench_restart(&bench);
    assert_int_equal(engine_start(bench.engine, &error), ERROR_NONE);
    for (int64_t id = 1; id <= JOBS; id++) {
        struct scenario_delivery job = scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        atomic_bool is_done = false;
        atomic_store(&leaping_now, bench.now + (id > JOBS / 4 ? NS_PER_DAY : 0));
        struct engine_task task = {.type = ENGINE_APPLY_EVENT,
                                   .on_done = note_done,
                                   .context = &is_done,
                                   .event = &job.event,
                                   .received_at = leaping_clock(),
                                   .occurred_at = TIMESTAMP_UNKNOWN};
        memcpy(task.delivery_digest, &id, sizeof id);
        engine_submit(bench.engine, &task);
        while (!atomic_load(&is_done))
            usleep(50);
        assert_int_equal(task.outcome, ENGINE_ACCEPTED);
    }
    engine_stop(bench.engine);
    assert_int_equal(usage_of(&bench).delivery_notes, JOBS);
    engine_bench_close(&bench);
}

static void records_that_wait_for_the_collector_are_never_deleted(void **state)
{
    struct engine_bench bench;
    uint64_t accepted = 0;
    (void)state;
    open_small(&bench, true);
    for (int64_t id = 1; id <= JOBS; id++)
        accepted += complete_job(&bench, id) == ENGINE_ACCEPTED ? 1 : 0;
    assert_true(accepted > 100 && accepted < JOBS);
    assert_int_equal(usage_of(&bench).outbox_records, accepted);
    assert_int_equal(usage_of(&bench).records, accepted);
    struct error error = {0};
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_FULL);
    engine_bench_close(&bench);
}

// Each is sent before its release is known, so that its state would be kept.
static void no_delivery_is_refused_for_states_that_might_be_sent_again(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, false);
    for (int64_t id = 1; id <= 2 * JOBS; id++) {
        struct scenario_delivery job = scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        scenario_set_deployment(&job, 4, "production");
        memcpy(job.digest, &id, sizeof id);
        bench.now += NS_PER_SECOND;
        assert_int_equal(engine_bench_deliver(&bench, &job), ENGINE_ACCEPTED);
    }
    engine_bench_advance(&bench, NS_PER_MINUTE);
    struct store_usage usage = usage_of(&bench);
    assert_true(usage.spans > 1000);
    assert_true(usage.spans + usage.job_notes <= 2 * JOBS + 1);
    assert_true(usage.used_bytes < usage.max_bytes / 100 * 90);
    engine_bench_close(&bench);
}

// They were kept while there was room; then the space is needed for open runs.
static void states_that_might_be_sent_again_are_replaced_to_make_room_for_open_ones(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, false);
    for (int64_t id = 1; id <= JOBS; id++) {
        struct scenario_delivery job = scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        scenario_set_deployment(&job, 4, "production");
        memcpy(job.digest, &id, sizeof id);
        bench.now += NS_PER_SECOND;
        assert_int_equal(engine_bench_deliver(&bench, &job), ENGINE_ACCEPTED);
    }
    engine_bench_advance(&bench, NS_PER_MINUTE);
    uint64_t kept = usage_of(&bench).spans;
    assert_true(kept > 1000);
    for (int64_t id = 1; id <= (int64_t)kept / 2; id++) {
        int64_t open = 2 * JOBS + id;
        struct scenario_delivery job = scenario_job(open, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
        memcpy(job.digest, &open, sizeof open);
        bench.now += NS_PER_SECOND;
        assert_int_equal(engine_bench_deliver(&bench, &job), ENGINE_ACCEPTED);
    }
    struct store_usage usage = usage_of(&bench);
    assert_true(usage.used_bytes < usage.max_bytes / 100 * 90);
    engine_bench_close(&bench);
}

static void ignore(struct engine_task *task)
{
    (void)task;
}

static void bury_or_send(struct engine_bench *bench, uint64_t sequence, bool is_dead)
{
    struct engine_task task = {.type = ENGINE_SETTLE_EXPORT,
                               .on_done = ignore,
                               .sequences = &sequence,
                               .sequence_count = 1,
                               .is_dead = is_dead,
                               .reason = "400 Bad Request"};
    engine_run_batch(bench->engine, &task, 1, bench->now);
    assert_int_equal(task.outcome, ENGINE_ACCEPTED);
}

// A refused delivery is not repeated; a dead letter was refused by the collector.
static void dead_letters_are_deleted_before_a_delivery_is_refused(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, true);
    for (int64_t id = 1; id <= JOBS; id++) {
        assert_int_equal(complete_job(&bench, id), ENGINE_ACCEPTED);
        bury_or_send(&bench, (uint64_t)id, true);
    }
    struct store_usage usage = usage_of(&bench);
    struct engine_counters counters = engine_bench_counters(&bench);
    assert_true(usage.dead_letters > 100);
    assert_int_equal(counters.dead_letters_dropped[STORE_SHED_ROOM], JOBS - usage.dead_letters);
    assert_int_equal(usage.records, usage.dead_letters);
    engine_bench_close(&bench);
}

static void history_is_deleted_before_dead_letters(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, true);
    for (int64_t id = 1; id <= JOBS; id++) {
        assert_int_equal(complete_job(&bench, id), ENGINE_ACCEPTED);
        bury_or_send(&bench, (uint64_t)id, id <= 200);
    }
    assert_int_equal(usage_of(&bench).dead_letters, 200);
    assert_int_equal(engine_bench_counters(&bench).dead_letters_dropped[STORE_SHED_ROOM], 0);
    engine_bench_close(&bench);
}

static void dead_letters_stay_within_their_limits(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, true);
    bench.map_bytes = (uint64_t)64 << 20;
    bench.options.dead_letters_max = 20000;
    bench.options.dead_letters_age_max = NS_PER_HOUR;
    engine_bench_restart(&bench);
    for (int64_t id = 1; id <= 100; id++) {
        complete_job(&bench, id);
        bury_or_send(&bench, (uint64_t)id, true);
        assert_true(usage_of(&bench).dead_letter_bytes <= 20000);
    }
    struct store_usage usage = usage_of(&bench);
    assert_true(usage.dead_letter_bytes > 15000 && usage.dead_letters < 100);
    assert_int_equal(engine_bench_counters(&bench).dead_letters_dropped[STORE_SHED_SIZE],
                     100 - usage.dead_letters);
    engine_run_batch(bench.engine, NULL, 0, bench.now + 30 * NS_PER_MINUTE);
    assert_int_equal(usage_of(&bench).dead_letters, usage.dead_letters);
    engine_run_batch(bench.engine, NULL, 0, bench.now + 2 * NS_PER_HOUR);
    assert_int_equal(usage_of(&bench).dead_letters, 0);
    assert_int_equal(engine_bench_counters(&bench).dead_letters_dropped[STORE_SHED_AGE],
                     usage.dead_letters);
    engine_bench_close(&bench);
}

// The smallest allowed store: about 25 pages are reserved for deletions.
static void a_store_that_was_completely_full_recovers(void **state)
{
    struct engine_bench bench;
    int64_t id = 1;
    (void)state;
    open_small(&bench, true);
    bench.map_bytes = (uint64_t)1 << 20;
    bench.options.history = NS_PER_SECOND;
    engine_bench_restart(&bench);
    while (complete_job(&bench, id) == ENGINE_ACCEPTED)
        id++;
    uint64_t waiting = usage_of(&bench).outbox_records;
    assert_true(waiting > 10);
    for (uint64_t first = 1; first <= waiting; first += 512) {
        uint64_t sequences[512];
        struct engine_task task = {.type = ENGINE_SETTLE_EXPORT,
                                   .on_done = ignore,
                                   .sequences = sequences,
                                   .sequence_count = 0};
        for (uint64_t i = first; i <= waiting && i < first + 512; i++)
            sequences[task.sequence_count++] = i;
        engine_run_batch(bench.engine, &task, 1, bench.now);
        assert_int_equal(task.outcome, ENGINE_ACCEPTED);
    }
    for (int i = 0; i < 100; i++) {
        bench.now += NS_PER_SECOND;
        engine_run_batch(bench.engine, NULL, 0, bench.now);
    }
    struct error error = {0};
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_NONE);
    assert_int_equal(complete_job(&bench, id + 1), ENGINE_ACCEPTED);
    engine_bench_close(&bench);
}

#define BATCH 320
#define ROUNDS 20

static bool has_commits; // of five deliveries each is a run, of a commit that no other has
static struct engine_task batch_tasks[BATCH];
static struct scenario_delivery batch_deliveries[BATCH];

// One of five deliveries of a run.
static struct scenario_delivery part_of_run(int64_t id, size_t place)
{
    static char commits[BATCH][41];
    int64_t number = id / 5;
    struct scenario_delivery all[5] = {
        scenario_run(GITHUB_RUN_REQUESTED, 0, ""),
        scenario_job(number, GITHUB_JOB_QUEUED, 2, 2, 2, -1),
        scenario_job(number, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1),
        scenario_job(number, GITHUB_JOB_COMPLETED, 60, 2, 6, 60),
        scenario_run(GITHUB_RUN_COMPLETED, 62, "success"),
    };
    struct scenario_delivery part = all[id % 5];
    (void)snprintf(commits[place], sizeof commits[place], "%08x%032llx",
                   (unsigned)number * 2654435761u, (unsigned long long)number);
    part.event.run.run_id += part.event.kind == GITHUB_EVENT_RUN ? number : 0;
    part.event.job.run_id += part.event.kind == GITHUB_EVENT_JOB ? number : 0;
    if (part.event.kind == GITHUB_EVENT_RUN)
        part.event.run.head_sha = slice_from_string(commits[place]);
    else
        part.event.job.head_sha = slice_from_string(commits[place]);
    return part;
}

// Delivers `count` jobs, some of them only queued, as one batch: true if one of them was accepted.
static bool deliver_batch(struct engine_bench *bench, int64_t first, size_t count)
{
    bool is_any_accepted = false;
    for (size_t i = 0; i < count; i++) {
        int64_t id = first + (int64_t)i;
        bool is_over = id % 3 != 0;
        batch_deliveries[i] =
            scenario_job(id, is_over ? GITHUB_JOB_COMPLETED : GITHUB_JOB_QUEUED, 60, 2, 6, 60);
        if (has_commits)
            batch_deliveries[i] = part_of_run(id, i);
        batch_tasks[i] = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                              .on_done = ignore,
                                              .event = &batch_deliveries[i].event,
                                              .received_at = bench->now,
                                              .occurred_at = scenario_at(60)};
        memcpy(batch_tasks[i].delivery_digest, &id, sizeof id);
    }
    engine_run_batch(bench->engine, batch_tasks, count, bench->now);
    for (size_t i = 0; i < count; i++)
        is_any_accepted = is_any_accepted || batch_tasks[i].outcome == ENGINE_ACCEPTED;
    return is_any_accepted;
}

static void settle_all(struct engine_bench *bench, uint64_t last, size_t at_a_time)
{
    uint64_t sequences[512];
    for (uint64_t first = 1; first <= last; first += at_a_time) {
        struct engine_task task = {
            .type = ENGINE_SETTLE_EXPORT, .on_done = ignore, .sequences = sequences};
        for (uint64_t i = first; i <= last && i < first + at_a_time; i++)
            sequences[task.sequence_count++] = i;
        engine_run_batch(bench->engine, &task, 1, bench->now);
    }
}

// Whatever the size of the batches that filled it, and of those that the collector accepts.
static void fill_and_recover(void)
{
    for (size_t count = 1; count <= BATCH; count += count < 270 ? count / 4 + 1 : 2) {
        struct engine_bench bench;
        struct error error = {0};
        int64_t id = 1;
        open_small(&bench, true);
        bench.map_bytes = (uint64_t)1 << 20;
        bench.options.history = NS_PER_SECOND;
        engine_bench_restart(&bench);
        while (deliver_batch(&bench, id, count))
            id += (int64_t)count;
        uint64_t waiting = usage_of(&bench).outbox_records;
        assert_true(waiting > 10);
        // Some fail for lack of pages and are submitted again, as by the exporter.
        for (int round = 0; round < ROUNDS; round++) {
            bench.now += NS_PER_SECOND;
            settle_all(&bench, waiting, count % 2 == 0 ? 512 : 64);
            engine_run_batch(bench.engine, NULL, 0, bench.now);
        }
        assert_int_equal(usage_of(&bench).outbox_records, 0);
        assert_int_equal(engine_ready(bench.engine, &error), ERROR_NONE);
        assert_true(deliver_batch(&bench, id + BATCH, 1));
        engine_bench_close(&bench);
    }
}

static void a_store_filled_by_batches_of_any_size_recovers(void **state)
{
    (void)state;
    fill_and_recover();
}

static void a_store_filled_by_runs_of_many_commits_recovers(void **state)
{
    (void)state;
    has_commits = true;
    fill_and_recover();
    has_commits = false;
}

// --- notes ---------------------------------------------------------------------------------------------------

// Events of one job that was closed long ago: late, so that only the note of the delivery is stored.
static void deliver_late(struct engine_bench *bench, uint64_t first, size_t count, bool has_time)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t number = first + i;
        batch_deliveries[i] = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        batch_tasks[i] = (struct engine_task){
            .type = ENGINE_APPLY_EVENT,
            .on_done = ignore,
            .event = &batch_deliveries[i].event,
            .received_at = bench->now,
            .occurred_at = has_time ? bench->now + (timestamp_ns)i * NS_PER_MS : TIMESTAMP_UNKNOWN};
        memcpy(batch_tasks[i].delivery_digest, &number, sizeof number);
        for (int j = 0; j < 8; j++)
            batch_tasks[i].delivery_digest[8 + j] =
                (uint8_t)(number * 2654435761u >> (8 * (j % 4)));
    }
    engine_run_batch(bench->engine, batch_tasks, count, bench->now);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(batch_tasks[i].outcome, ENGINE_ACCEPTED);
}

static enum engine_outcome deliver_again(struct engine_bench *bench, size_t index)
{
    struct engine_task task = batch_tasks[index];
    engine_run_batch(bench->engine, &task, 1, bench->now);
    return task.outcome;
}

static void notes_are_deleted_before_a_delivery_is_refused(void **state)
{
    (void)state;
    for (int has_time = 0; has_time < 2; has_time++) {
        struct engine_bench bench;
        open_small(&bench, true);
        bench.map_bytes = (uint64_t)1 << 20;
        engine_bench_restart(&bench);
        assert_int_equal(complete_job(&bench, 1), ENGINE_ACCEPTED);
        for (uint64_t first = 1000; first < 1000 + 300 * BATCH; first += BATCH) {
            bench.now += NS_PER_SECOND;
            deliver_late(&bench, first, BATCH, has_time == 1);
            assert_true(usage_of(&bench).used_bytes < usage_of(&bench).max_bytes / 100 * 90);
        }
        struct store_usage usage = usage_of(&bench);
        uint64_t shed = engine_bench_counters(&bench).shed;
        assert_true(shed > 0 && usage.sheds.total == shed);
        assert_int_equal(usage.delivery_notes + shed, 300 * BATCH + 1);
        assert_true(usage.delivery_notes > 15000);
        // The newest are kept, and the job that was sent is known.
        assert_int_equal(deliver_again(&bench, BATCH - 1), ENGINE_DUPLICATE);
        assert_int_equal(usage.job_notes, 1);
        assert_int_equal(usage.outbox_records, 1);
        engine_bench_close(&bench);
    }
}

// They take a hundredth of the space of the records that wait for the collector.
static void notes_are_kept_if_other_data_fill_the_store(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, true);
    int64_t id = 1;
    while (complete_job(&bench, id) == ENGINE_ACCEPTED)
        id++;
    struct store_usage usage = usage_of(&bench);
    assert_true(usage.used_bytes >= usage.max_bytes / 100 * 90);
    assert_int_equal(usage.delivery_notes, id - 1);
    assert_int_equal(usage.job_notes, id - 1);
    assert_int_equal(engine_bench_counters(&bench).shed, 0);
    engine_bench_close(&bench);
}

// 100,000 notes and a map that is suddenly too small for them: pieces are deleted batch by batch while deliveries are
// answered, until there is room again.
static void a_store_that_is_full_of_notes_at_the_start_sheds_them_in_pieces(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_small(&bench, true);
    bench.map_bytes = (uint64_t)64 << 20;
    engine_bench_restart(&bench);
    assert_int_equal(complete_job(&bench, 1), ENGINE_ACCEPTED);
    for (uint64_t first = 1000; first < 1000 + 320 * BATCH; first += BATCH) {
        bench.now += NS_PER_SECOND;
        deliver_late(&bench, first, BATCH, true);
    }
    struct store_usage usage = usage_of(&bench);
    uint64_t notes = usage.delivery_notes;
    assert_true(notes > 100000);
    assert_int_equal(engine_bench_counters(&bench).shed, 0);
    bench.map_bytes = usage.used_bytes / 4096 * 4096 * 10 / 9; // 90 % of it are in use
    engine_bench_restart(&bench);
    uint64_t last = 0;
    int rounds = 0;
    struct error error = {0};
    do {
        uint64_t before = engine_bench_counters(&bench).shed;
        engine_run_batch(bench.engine, NULL, 0, bench.now);
        last = engine_bench_counters(&bench).shed - before;
        assert_true(last < 20000); // a bounded piece
        rounds++;
    } while (last > 0 && rounds < 100);
    assert_true(rounds > 1 && rounds < 20);
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_NONE);
    bench.now += NS_PER_SECOND;
    deliver_late(&bench, 10000000, BATCH, true);
    assert_true(usage_of(&bench).delivery_notes > notes / 2);
    engine_bench_close(&bench);
}

static void the_error_of_a_full_store_names_what_fills_it(void **state)
{
    struct engine_bench bench;
    struct error error = {0};
    (void)state;
    open_small(&bench, true);
    int64_t id = 1;
    while (complete_job(&bench, id) == ENGINE_ACCEPTED)
        id++;
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_FULL);
    assert_non_null(strstr(error.message, "the collector does not accept the outbox"));
    assert_non_null(strstr(error.message, "notes "));
    engine_bench_close(&bench);
    open_small(&bench, true);
    id = 1;
    for (;; id++) {
        struct scenario_delivery job = scenario_job(id, GITHUB_JOB_QUEUED, 60, 2, 2, -1);
        memcpy(job.digest, &id, sizeof id);
        if (engine_bench_deliver(&bench, &job) != ENGINE_ACCEPTED)
            break;
    }
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_FULL);
    assert_non_null(strstr(error.message, "many runs and jobs are open"));
    assert_null(strstr(error.message, "collector"));
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_is_deleted_before_a_delivery_is_refused),
        cmocka_unit_test(history_is_deleted_early_while_the_clock_is_a_day_back),
        cmocka_unit_test(history_is_deleted_early_while_a_clock_that_leapt_ahead_is_not_trusted),
        cmocka_unit_test(records_that_wait_for_the_collector_are_never_deleted),
        cmocka_unit_test(no_delivery_is_refused_for_states_that_might_be_sent_again),
        cmocka_unit_test(states_that_might_be_sent_again_are_replaced_to_make_room_for_open_ones),
        cmocka_unit_test(dead_letters_are_deleted_before_a_delivery_is_refused),
        cmocka_unit_test(history_is_deleted_before_dead_letters),
        cmocka_unit_test(dead_letters_stay_within_their_limits),
        cmocka_unit_test(a_store_that_was_completely_full_recovers),
        cmocka_unit_test(a_store_filled_by_batches_of_any_size_recovers),
        cmocka_unit_test(a_store_filled_by_runs_of_many_commits_recovers),
        cmocka_unit_test(notes_are_deleted_before_a_delivery_is_refused),
        cmocka_unit_test(notes_are_kept_if_other_data_fill_the_store),
        cmocka_unit_test(a_store_that_is_full_of_notes_at_the_start_sheds_them_in_pieces),
        cmocka_unit_test(the_error_of_a_full_store_names_what_fills_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
