// A clock that is set a year ahead or back, and an outbox that is not emptied.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/log.h"
#include "support/engine_bench.h"

#define YEAR (365 * NS_PER_DAY)

static void assert_spans(struct engine_bench *bench, const char *expected)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    engine_bench_spans(bench, &text);
    assert_string_equal(text.data, expected);
    buffer_release(&text);
}

// Delivers it as if received now, whatever the time inside its GUID is.
static enum engine_outcome deliver_now(struct engine_bench *bench,
                                       struct scenario_delivery delivery)
{
    delivery.guid_time = TIMESTAMP_UNKNOWN;
    return engine_bench_deliver(bench, &delivery);
}

static void open_at(struct engine_bench *bench, timestamp_ns now)
{
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(bench);
    bench->now = now;
}

static void a_root_due_in_a_year_is_sent_when_the_clock_is_corrected(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_at(&bench, SCENARIO_START + YEAR);
    assert_int_equal(deliver_now(&bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1)),
                     ENGINE_ACCEPTED);
    assert_int_equal(deliver_now(&bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure")),
                     ENGINE_ACCEPTED);
    bench.now = scenario_at(70);
    engine_run_batch(bench.engine, NULL, 0, bench.now);
    assert_spans(&bench, "");
    // No deadline is farther ahead than the longest wait.
    assert_true(engine_next_deadline(bench.engine) <= bench.now + bench.options.policy.job_timeout);
    engine_bench_advance(&bench, bench.options.policy.root_grace);
    engine_run_batch(bench.engine, NULL, 0, bench.now);
    assert_spans(&bench, "workflow RUN CI 0..62 failure error\n");
    engine_bench_advance(&bench, bench.options.policy.job_grace);
    engine_run_batch(bench.engine, NULL, 0, bench.now);
    engine_bench_advance(&bench, YEAR);
    engine_run_batch(bench.engine, NULL, 0, bench.now);
    assert_int_equal(engine_bench_count_spans(&bench), 0);
    engine_bench_close(&bench);
}

static void a_thousand_deadlines_a_year_ahead_are_corrected_in_one_batch(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_at(&bench, SCENARIO_START + YEAR);
    for (int64_t id = 1; id <= 1000; id++)
        assert_int_equal(deliver_now(&bench, scenario_job(id, GITHUB_JOB_QUEUED, 2, 2, 2, -1)),
                         ENGINE_ACCEPTED);
    bench.now = scenario_at(70);
    for (int i = 0; i < 10; i++)
        engine_run_batch(bench.engine, NULL, 0, bench.now);
    engine_bench_advance(&bench, bench.options.policy.job_timeout + NS_PER_HOUR);
    for (int i = 0; i < 10; i++)
        engine_run_batch(bench.engine, NULL, 0, bench.now);
    engine_bench_advance(&bench, bench.options.policy.linger + bench.options.policy.job_timeout);
    engine_run_batch(bench.engine, NULL, 0, bench.now);
    assert_int_equal(engine_bench_count_spans(&bench), 0);
    engine_bench_close(&bench);
}

static void spans_do_not_change_when_the_clock_is_set_back_a_year(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_at(&bench, scenario_at(10));
    assert_int_equal(deliver_now(&bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1)),
                     ENGINE_ACCEPTED);
    bench.now -= YEAR;
    assert_int_equal(deliver_now(&bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 45, 60)),
                     ENGINE_ACCEPTED);
    assert_int_equal(deliver_now(&bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 45, 60)),
                     ENGINE_DUPLICATE);
    assert_int_equal(deliver_now(&bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "success")),
                     ENGINE_ACCEPTED);
    struct buffer text;
    buffer_init(&text, 1 << 20);
    engine_bench_spans(&bench, &text);
    assert_non_null(strstr(text.data, "2..60"));
    assert_non_null(strstr(text.data, "RUN CI 0..62"));
    buffer_release(&text);
    engine_bench_close(&bench);
}

// --- the outbox ------------------------------------------------------------------------------------------

static uint64_t outbox_bytes(struct engine_bench *bench, uint64_t sequences[], size_t *count)
{
    struct error error = {0};
    struct store_transaction *transaction;
    uint64_t sequence = 0;
    uint64_t sum = 0;
    uint32_t size;
    *count = 0;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    while (store_seek_outbox(transaction, &sequence, &size, &error) == ERROR_NONE) {
        sum += size;
        sequences[(*count)++] = sequence++;
    }
    assert_int_equal(store_outbox_bytes(transaction), sum);
    store_abort(transaction);
    return sum;
}

static void set_done(struct engine_task *task)
{
    *(bool *)task->context = true;
}

static void settle(struct engine_bench *bench, const uint64_t *sequences, size_t count,
                   bool is_dead)
{
    bool is_done = false;
    struct engine_task task = {.type = ENGINE_SETTLE_EXPORT,
                               .on_done = set_done,
                               .context = &is_done,
                               .sequences = sequences,
                               .sequence_count = count,
                               .is_dead = is_dead,
                               .reason = "no"};
    engine_run_batch(bench->engine, &task, 1, bench->now);
    assert_true(is_done);
}

static void a_full_outbox_refuses_deliveries_until_it_empties(void **state)
{
    struct engine_bench bench;
    struct error error = {0};
    uint64_t sequences[64];
    size_t count;
    (void)state;
    open_at(&bench, scenario_at(70));
    bench.options.outbox_max = 4000;
    engine_bench_restart(&bench);
    int64_t id = 1;
    while (deliver_now(&bench, scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 45, 60)) ==
           ENGINE_ACCEPTED)
        id++;
    assert_true(outbox_bytes(&bench, sequences, &count) >= 4000);
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_FULL);
    assert_non_null(strstr(error.message, "outbox-max-size"));
    engine_bench_restart(&bench); // the counter outlives this function
    assert_int_equal(deliver_now(&bench, scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 45, 60)),
                     ENGINE_FULL);
    settle(&bench, sequences, 1, false);
    settle(&bench, sequences + 1, 1, true);
    assert_true(outbox_bytes(&bench, sequences, &count) < 4000);
    settle(&bench, sequences, 0, false);
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_NONE);
    assert_int_equal(deliver_now(&bench, scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 45, 60)),
                     ENGINE_ACCEPTED);
    outbox_bytes(&bench, sequences, &count);
    settle(&bench, sequences, count, false);
    settle(&bench, sequences, count, false); // buried twice
    assert_int_equal(outbox_bytes(&bench, sequences, &count), 0);
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_root_due_in_a_year_is_sent_when_the_clock_is_corrected),
        cmocka_unit_test(a_thousand_deadlines_a_year_ahead_are_corrected_in_one_batch),
        cmocka_unit_test(spans_do_not_change_when_the_clock_is_set_back_a_year),
        cmocka_unit_test(a_full_outbox_refuses_deliveries_until_it_empties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
