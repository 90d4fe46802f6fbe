// A store that fills: what was delivered makes room for what comes; what was not delivered stays.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
    assert_int_equal(store_read_usage(transaction, &usage, &error), ERROR_NONE);
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

static void history_makes_room_before_a_delivery_is_refused(void **state)
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

static void what_waits_for_the_collector_never_makes_room(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_makes_room_before_a_delivery_is_refused),
        cmocka_unit_test(what_waits_for_the_collector_never_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
