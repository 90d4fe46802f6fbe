// From the store to the picture: a run attempt's records are found, copied and read.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/view/waterfall.h"
#include "support/temp_folder.h"

#include "sample_run.h"

#define RUN 33714470481

struct fixture {
    struct temp_folder folder;
    struct store *store;
    struct sample_run run;
    struct arena arena;
    struct span_batch *batches;
    size_t count;
    size_t unreadable;
    struct error error;
};

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    arena_init(&fixture.arena, 4096);
    sample_init(&fixture.run);
    if (!temp_folder_create(&fixture.folder))
        return -1;
    return store_open(fixture.folder.path, STORE_DAEMON, 64 << 20, &fixture.store, &fixture.error);
}

static int tear_down(void **state)
{
    (void)state;
    store_close(fixture.store);
    sample_release(&fixture.run);
    arena_release(&fixture.arena);
    return temp_folder_remove(&fixture.folder) ? 0 : -1;
}

static void put_record(int64_t run_id, int64_t attempt, uint8_t span, struct slice body)
{
    struct store_transaction *transaction;
    struct store_key key = {.trace = trace_id_of_run(ID_SCHEME_ARC, run_id, attempt)};
    uint64_t sequence;

    key.span.bytes[SPAN_ID_SIZE - 1] = span;
    assert_int_equal(store_begin(fixture.store, true, &transaction, &fixture.error), ERROR_NONE);
    assert_int_equal(
        store_add_record(transaction, &key, SAMPLE_START, body, true, &sequence, &fixture.error),
        ERROR_NONE);
    assert_int_equal(store_commit(transaction, &fixture.error), ERROR_NONE);
}

// Each batch of the sample as a record of its own.
static void put_sample(int64_t run_id, int64_t attempt)
{
    for (size_t i = 0; i < fixture.run.count; i++) {
        struct buffer body;
        buffer_init(&body, 1 << 20);
        assert_int_equal(otlp_encode_batch(&fixture.run.batches[i], &body, &fixture.error),
                         ERROR_NONE);
        put_record(run_id, attempt, (uint8_t)(i + 1), buffer_slice(&body));
        buffer_release(&body);
    }
}

static enum error_code load(int64_t run_id, int64_t *attempt)
{
    const struct run_question question = {.run_id = run_id, .run_attempt = *attempt};
    struct waterfall_found found;
    enum error_code code =
        waterfall_load(fixture.store, &question, &fixture.arena, &found, &fixture.error);
    fixture.batches = found.batches;
    fixture.count = found.count;
    fixture.unreadable = found.unreadable;
    if (code == ERROR_NONE)
        *attempt = found.run_attempt;
    return code;
}

static void render(const struct span_batch *batches, size_t count, struct buffer *text)
{
    struct waterfall_options options = {.terminal = {.width = 100, .colour = true, .unicode = true},
                                        .steps = true};
    buffer_init(text, 1 << 20);
    assert_int_equal(
        waterfall_render(batches, count, &options, &fixture.arena, text, &fixture.error),
        ERROR_NONE);
}

static void sample_two_jobs(void)
{
    sample_root(&fixture.run, 300, "failure");
    sample_job(&fixture.run, SLICE("build / linux"), "success",
               (struct sample_times){0, 0, 20, 30, 60});
    sample_step(&fixture.run, SLICE("Set up job"), "success", 20, 22);
    struct span *lost = sample_job(&fixture.run, SLICE("日本語"), "failure",
                                   (struct sample_times){62, 80, 110, 125, 290});
    sample_add_flag(lost, "github.incomplete");
}

static void what_was_stored_gives_the_same_picture(void **state)
{
    (void)state;
    struct buffer before;
    struct buffer after;
    int64_t attempt = 1;

    sample_two_jobs();
    put_sample(RUN, 1);
    assert_int_equal(load(RUN, &attempt), ERROR_NONE);
    assert_int_equal(fixture.count, 3);
    render(fixture.run.batches, fixture.run.count, &before);
    render(fixture.batches, fixture.count, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buffer_release(&before);
    buffer_release(&after);
}

static void what_was_read_outlives_the_store(void **state)
{
    (void)state;
    struct buffer text;
    int64_t attempt = 1;

    sample_two_jobs();
    put_sample(RUN, 1);
    assert_int_equal(load(RUN, &attempt), ERROR_NONE);
    store_close(fixture.store);
    fixture.store = NULL;
    render(fixture.batches, fixture.count, &text);
    buffer_release(&text);
    assert_int_equal(
        store_open(fixture.folder.path, STORE_DAEMON, 64 << 20, &fixture.store, &fixture.error),
        ERROR_NONE);
}

static void other_runs_and_attempts_stay_out(void **state)
{
    (void)state;
    int64_t attempt = 2;

    sample_two_jobs();
    for (int64_t run_id = RUN - 8; run_id < RUN + 8; run_id++)
        if (run_id != RUN)
            put_sample(run_id, 1);
    put_sample(RUN, 1);
    put_sample(RUN, 3);
    sample_job(&fixture.run, SLICE("one more"), "success", (struct sample_times){0, 0, 1, 2, 3});
    put_sample(RUN, 2);
    assert_int_equal(load(RUN, &attempt), ERROR_NONE);
    assert_int_equal(attempt, 2);
    assert_int_equal(fixture.count, 4);
}

static void attempt_zero_is_the_newest_with_a_finished_span(void **state)
{
    (void)state;
    int64_t attempt = 0;

    sample_root(&fixture.run, 300, "success");
    put_sample(RUN, 1);
    put_sample(RUN, 4);
    assert_int_equal(load(RUN, &attempt), ERROR_NONE);
    assert_int_equal(attempt, 4);
    attempt = 0;
    put_sample(RUN, 50);
    assert_int_equal(load(RUN, &attempt), ERROR_NONE);
    assert_int_equal(attempt, 50);
}

static void a_record_that_came_twice_counts_once(void **state)
{
    (void)state;
    int64_t attempt = 1;

    sample_root(&fixture.run, 300, "success");
    put_sample(RUN, 1);
    put_sample(RUN, 1);
    assert_int_equal(load(RUN, &attempt), ERROR_NONE);
    assert_int_equal(fixture.count, 1);
}

static void what_is_not_there_is_told_with_advice(void **state)
{
    (void)state;
    int64_t attempt = 7;

    sample_root(&fixture.run, 300, "success");
    put_sample(RUN, 1);
    assert_int_equal(load(RUN, &attempt), ERROR_NOT_FOUND);
    assert_int_equal(fixture.error.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(fixture.error.message, "run 33714470481 attempt 7: "));
    assert_non_null(strstr(fixture.error.message, "ghatrace runs"));
    assert_non_null(strstr(fixture.error.message, "are kept")); // not cut off
    attempt = 0;
    assert_int_equal(load(INT64_MAX, &attempt), ERROR_NOT_FOUND);
    assert_int_equal(attempt, 0);
    assert_non_null(strstr(fixture.error.message, "run 9223372036854775807: "));
    attempt = INT64_MAX;
    assert_int_equal(load(INT64_MAX, &attempt), ERROR_NOT_FOUND);
    assert_non_null(strstr(fixture.error.message, "are kept"));
}

static void a_damaged_record_is_left_out_and_counted(void **state)
{
    (void)state;
    int64_t attempt = 1;
    put_record(RUN, 1, 1, SLICE("\x0a\xff\xff"));
    assert_int_equal(load(RUN, &attempt), ERROR_NONE);
    assert_int_equal(fixture.count, 0);
    assert_int_equal(fixture.unreadable, 1);
}

static void allocation_faults_are_told_and_leak_nothing(void **state)
{
    (void)state;
    bool is_done = false;

    sample_two_jobs();
    put_sample(RUN, 1);
    for (long skip = 0; !is_done; skip++) {
        struct arena arena;
        const struct run_question question = {.run_id = RUN, .run_attempt = 1};
        struct waterfall_found found;

        arena_init(&arena, 64);
        memory_fail_after(skip);
        enum error_code code =
            waterfall_load(fixture.store, &question, &arena, &found, &fixture.error);
        is_done = memory_count_allocations() <= skip;
        memory_fail_after(-1);
        assert_int_equal(code, is_done ? ERROR_NONE : ERROR_MEMORY);
        arena_release(&arena);
        assert_true(skip < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(what_was_stored_gives_the_same_picture),
        TEST(what_was_read_outlives_the_store),
        TEST(other_runs_and_attempts_stay_out),
        TEST(attempt_zero_is_the_newest_with_a_finished_span),
        TEST(a_record_that_came_twice_counts_once),
        TEST(what_is_not_there_is_told_with_advice),
        TEST(a_damaged_record_is_left_out_and_counted),
        TEST(allocation_faults_are_told_and_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
