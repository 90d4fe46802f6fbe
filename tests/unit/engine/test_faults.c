// Every allocation and every call into LMDB fails once, in turn. A delivery is then refused and delivered again;
// everything that was acknowledged is in the spans and in the figures exactly once.
/* wrap: mdb_put mdb_get mdb_del mdb_txn_begin mdb_txn_commit mdb_cursor_open mdb_cursor_get */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <lmdb.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/store/table.h"
#include "support/engine_bench.h"
#include "support/foreign_spans.h"
#include "support/stats_verify.h"

// --- faults in LMDB ----------------------------------------------------------------------------------------

static long calls_before_fault = -1; // negative: none
static long calls_seen;
static long fault_length = 1; // calls that fail in a row
static long failing;
static int fault_code = EIO;

static bool must_fail(void)
{
    calls_seen++;
    if (calls_before_fault >= 0 && calls_before_fault-- == 0)
        failing = fault_length;
    return failing > 0 && failing-- > 0;
}

int __real_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags);
int __real_mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int __real_mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn);
int __real_mdb_txn_commit(MDB_txn *txn);
int __real_mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor);
int __real_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);

int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags);
int __wrap_mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int __wrap_mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor);
int __wrap_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);

int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags)
{
    return must_fail() ? fault_code : __real_mdb_put(txn, dbi, key, data, flags);
}

int __wrap_mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    return must_fail() ? fault_code : __real_mdb_get(txn, dbi, key, data);
}

int __wrap_mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    return must_fail() ? fault_code : __real_mdb_del(txn, dbi, key, data);
}

int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn)
{
    return must_fail() ? fault_code : __real_mdb_txn_begin(env, parent, flags, txn);
}

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (!must_fail())
        return __real_mdb_txn_commit(txn);
    mdb_txn_abort(txn); // a commit that fails frees its transaction
    return fault_code;
}

int __wrap_mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor)
{
    return must_fail() ? fault_code : __real_mdb_cursor_open(txn, dbi, cursor);
}

int __wrap_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
    return must_fail() ? fault_code : __real_mdb_cursor_get(cursor, key, data, op);
}

static void set_lmdb_fault(long after)
{
    calls_before_fault = after;
    calls_seen = 0;
    failing = 0;
}

static long count_lmdb_calls(void)
{
    return calls_seen;
}

// --- the sequence of deliveries ------------------------------------------------------------------------------

#define SEQUENCE_LENGTH 7

static void make_sequence(struct scenario_delivery sequence[SEQUENCE_LENGTH])
{
    static struct github_step steps[2];
    steps[0] = scenario_step(1, "Set up job", 45, 46, "success");
    steps[1] = scenario_step(2, "deploy", 46, 59, "failure");
    sequence[0] = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    sequence[1] = scenario_job(1, GITHUB_JOB_QUEUED, 2.5, 2, 2, -1);
    sequence[2] = scenario_job(1, GITHUB_JOB_WAITING, 3.25, 2, 2, -1);
    sequence[3] = scenario_job(1, GITHUB_JOB_QUEUED, 30.125, 2, 2, -1);
    sequence[4] = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 45, 60);
    scenario_set_steps(&sequence[4], steps, 2);
    sequence[5] = scenario_job(2, GITHUB_JOB_IN_PROGRESS, 20, 2, 20, -1);
    sequence[6] = scenario_run(GITHUB_RUN_COMPLETED, 62, "failure");
}

// Spans of another program: some come before their run is known, one has an ID of ours.
static struct foreign_request foreign;

static void make_foreign_spans(void)
{
    const struct trace_id trace = trace_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1);
    foreign_start_scope(&foreign);
    foreign_add_span(&foreign, &trace, foreign_id(1001), 10);
    foreign_add_span(&foreign, &trace, span_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1), 10);
    foreign_add_span(&foreign, &trace, foreign_id(1002), 10);
}

static int send_foreign_spans(struct engine_bench *bench)
{
    int refused = 0;
    while (foreign_send(bench, &foreign) != ENGINE_ACCEPTED)
        refused++;
    return refused;
}

typedef void (*set_fault)(long after);
typedef long (*count_calls)(void);

// Reports when jobs were assigned, until it is accepted. Returns how often it was refused.
static int report(struct engine_bench *bench, int64_t job_id, double assigned)
{
    const struct arc_report given = engine_bench_assignment(job_id, assigned);
    enum arc_outcome outcome;
    int refused = 0;
    for (; engine_bench_report(bench, &given, &outcome) != ENGINE_ACCEPTED; refused++) {
        struct error error = {0};
        (void)engine_ready(bench->engine, &error);
    }
    return refused;
}

// Of job 1 one that is held until the job has a runner, and an earlier one that is applied at once.
static int report_before(struct engine_bench *bench, int delivery)
{
    if (delivery == 3)
        return report(bench, 1, 40) + report(bench, 99, 40);
    return delivery == 6 ? report(bench, 1, 35) : 0;
}

static void open_with_receiver(struct engine_bench *bench)
{
    static const struct slice every_runner[] = {{"*", 1}};
    engine_bench_open(bench);
    bench->options.has_receiver = true;
    bench->options.policy.arc_runners = (struct runner_globs){every_runner, 1};
    engine_bench_restart(bench);
}

// Delivers the sequence with call number `fault` failing. Returns how many deliveries were refused.
static int play(set_fault set, long fault, struct buffer *records, count_calls count, long *calls)
{
    struct scenario_delivery sequence[SEQUENCE_LENGTH];
    struct engine_bench bench;
    int refused = 0, sent_before = -1;
    make_sequence(sequence);
    make_foreign_spans();
    open_with_receiver(&bench);
    set(fault);
    for (int i = 0; i < SEQUENCE_LENGTH; i++) {
        if ((i == 0 || i == 5) && i != sent_before)
            refused += send_foreign_spans(&bench);
        sent_before = i;
        refused += report_before(&bench, i);
        enum engine_outcome outcome = engine_bench_deliver(&bench, &sequence[i]);
        if (outcome != ENGINE_ACCEPTED) {
            struct error error = {0};
            assert_true(outcome == ENGINE_FAILED || outcome == ENGINE_FULL);
            refused++;
            i--; // the operator, or a script over GitHub's deliveries API, sends it again
            (void)engine_ready(bench.engine, &error);
        }
    }
    engine_bench_advance(&bench, NS_PER_HOUR);
    *calls = count();
    set(-1);
    engine_bench_advance(&bench, NS_PER_HOUR); // what failed is done now
    struct error error = {0};
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_NONE);
    engine_bench_records(&bench, records);
    stats_verify(bench.store);
    stats_write(bench.store, records);
    engine_bench_close(&bench);
    return refused;
}

static int fail_each_call_once(set_fault set, count_calls count)
{
    struct buffer expected;
    struct buffer actual;
    long calls;
    long ignored;
    int refused = 0;
    buffer_init(&expected, 1 << 20);
    buffer_init(&actual, 1 << 20);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    assert_int_equal(play(set, -1, &expected, count, &calls), 0);
    assert_true(calls > 3 && expected.len > 0);
    for (long fault = 0; fault < calls; fault++) {
        refused += play(set, fault, &actual, count, &ignored);
        if (!slice_equals(buffer_slice(&expected), buffer_slice(&actual)))
            fail_msg("call %ld of %ld: other spans or figures: %zu bytes, not %zu", fault, calls,
                     actual.len, expected.len);
    }
    print_message("%ld calls, %d deliveries refused\n", calls, refused);
    buffer_release(&expected);
    buffer_release(&actual);
    return refused;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    fail_each_call_once(memory_fail_after, memory_count_allocations);
}

static void each_call_into_lmdb_may_fail(void **state)
{
    (void)state;
    fault_code = EIO;
    fail_each_call_once(set_lmdb_fault, count_lmdb_calls);
}

static void each_call_into_lmdb_may_find_the_map_full(void **state)
{
    (void)state;
    fault_code = MDB_MAP_FULL;
    fail_each_call_once(set_lmdb_fault, count_lmdb_calls);
}

static void while_a_disk_fails_deliveries_are_refused_and_nothing_is_lost(void **state)
{
    (void)state;
    fault_code = EIO;
    fault_length = 40;
    assert_true(fail_each_call_once(set_lmdb_fault, count_lmdb_calls) > 0);
    fault_code = MDB_MAP_FULL;
    assert_true(fail_each_call_once(set_lmdb_fault, count_lmdb_calls) > 0);
    fault_length = 1;
}

// LMDB returns this after it could not write a meta page, until it is reopened.
static void a_store_after_an_lmdb_panic_is_reopened(void **state)
{
    (void)state;
    fault_code = MDB_PANIC;
    fail_each_call_once(set_lmdb_fault, count_lmdb_calls);
    fault_length = 40;
    assert_true(fail_each_call_once(set_lmdb_fault, count_lmdb_calls) > 0);
    fault_length = 1;
}

// A store without figures gets them at the start or, if that fails, soon after.
static void figures_that_cannot_be_computed_at_the_start_are_computed_later(void **state)
{
    struct engine_bench bench;
    struct error error = {0};
    long fault = 0;
    bool has_failed = true;
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    for (int64_t id = 1; id <= 20; id++) {
        struct scenario_delivery job = scenario_job(id, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
        engine_bench_accept(&bench, &job);
    }
    fault_code = MDB_MAP_FULL;
    for (; has_failed; fault++) {
        struct store_transaction *transaction;
        engine_destroy(bench.engine);
        assert_int_equal(store_begin(bench.store, true, &transaction, &error), ERROR_NONE);
        assert_int_equal(store_table_clear(transaction, STORE_TABLE_STATS, &error), ERROR_NONE);
        assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
        set_lmdb_fault(fault);
        assert_int_equal(engine_create(bench.store, &bench.options, &bench.engine, &error),
                         ERROR_NONE);
        has_failed = count_lmdb_calls() > fault;
        // The first event is of a state that may not be in the figures yet.
        struct scenario_delivery job =
            scenario_job(1 + fault % 20, GITHUB_JOB_IN_PROGRESS, 100 + (double)fault, 2, 6, -1);
        while (engine_bench_deliver(&bench, &job) != ENGINE_ACCEPTED)
            ;
        set_lmdb_fault(-1);
        engine_bench_advance(&bench, NS_PER_SECOND);
        stats_verify(bench.store);
    }
    assert_true(fault > 60); // each state, and each job in its pool
    engine_bench_close(&bench);
}

// One delivery that cannot be applied must not make its neighbours fail.
static int done;

static void count_done(struct engine_task *task)
{
    (void)task;
    done++;
}

static void neighbours_of_a_refused_delivery_are_accepted(void **state)
{
    struct engine_bench bench;
    struct scenario_delivery deliveries[5];
    struct engine_task tasks[5] = {{0}};
    int outcomes[4] = {0};
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    for (int i = 0; i < 5; i++) {
        deliveries[i] = scenario_job(i + 1, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
        tasks[i] = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                        .on_done = count_done,
                                        .event = &deliveries[i].event,
                                        .received_at = bench.now};
        memcpy(tasks[i].delivery_digest, deliveries[i].digest, sizeof tasks[i].delivery_digest);
    }
    fault_code = MDB_BAD_VALSIZE;
    set_lmdb_fault(25);
    engine_run_batch(bench.engine, tasks, 5, bench.now);
    set_lmdb_fault(-1);
    for (int i = 0; i < 5; i++)
        outcomes[tasks[i].outcome]++;
    assert_int_equal(outcomes[ENGINE_ACCEPTED], 5); // the fault was gone when each was tried alone
    assert_int_equal(done, 5);
    assert_int_equal(engine_bench_count_spans(&bench), 6);
    engine_bench_close(&bench);
}

// A ping's fields share memory with a run's: applied as a run's event, it would create one.
static void an_event_of_neither_job_nor_run_is_refused_and_stores_nothing(void **state)
{
    static const enum github_event_kind kinds[] = {GITHUB_EVENT_PING, GITHUB_EVENT_IGNORED};
    struct engine_bench bench;
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct scenario_delivery delivery = scenario_run(GITHUB_RUN_COMPLETED, 1, "success");
        delivery.event.kind = kinds[i];
        assert_int_equal(engine_bench_deliver(&bench, &delivery), ENGINE_FAILED);
        assert_int_equal(engine_bench_count_spans(&bench), 0);
        assert_int_equal(engine_bench_count_roots(&bench), 0);
    }
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(each_call_into_lmdb_may_fail),
        cmocka_unit_test(each_call_into_lmdb_may_find_the_map_full),
        cmocka_unit_test(while_a_disk_fails_deliveries_are_refused_and_nothing_is_lost),
        cmocka_unit_test(a_store_after_an_lmdb_panic_is_reopened),
        cmocka_unit_test(figures_that_cannot_be_computed_at_the_start_are_computed_later),
        cmocka_unit_test(neighbours_of_a_refused_delivery_are_accepted),
        cmocka_unit_test(an_event_of_neither_job_nor_run_is_refused_and_stores_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
