// Entries of notices: stored and deleted as they are given, beside deliveries.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/engine_bench.h"

static void give(struct engine_bench *bench, const struct store_entry *entries, size_t count)
{
    struct engine_task task = {.type = ENGINE_STORE_ENTRIES,
                               .table = STORE_TABLE_NOTICES,
                               .on_done = engine_bench_must_accept,
                               .entries = entries,
                               .entry_count = count};
    engine_run_batch(bench->engine, &task, 1, bench->now);
}

static void assert_stored(struct engine_bench *bench, const char *key, const char *value)
{
    struct store_transaction *transaction;
    struct slice found;
    struct error error;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_NOTICES, slice_from_string(key), &found, &error);
    assert_int_equal(code, value != NULL ? ERROR_NONE : ERROR_NOT_FOUND);
    if (value != NULL)
        assert_true(slice_equals(found, slice_from_string(value)));
    store_abort(transaction);
}

static void entries_are_stored_replaced_and_deleted(void **state)
{
    struct engine_bench *bench = *state;
    give(bench, (const struct store_entry[]){{SLICE("a"), SLICE("1")}, {SLICE("b"), SLICE("2")}},
         2);
    engine_bench_restart(bench);
    assert_stored(bench, "a", "1");
    give(bench,
         (const struct store_entry[]){{SLICE("a"), SLICE("3")},
                                      {SLICE("b"), SLICE_EMPTY},
                                      {SLICE("never there"), SLICE_EMPTY}},
         3);
    assert_stored(bench, "a", "3");
    assert_stored(bench, "b", NULL);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_NOTICES), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_are_stored_replaced_and_deleted,
                                        engine_bench_set_up, engine_bench_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
