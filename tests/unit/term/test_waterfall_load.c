// From the store to the picture: a run attempt's records are found, copied and read.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/term/waterfall.h"
#include "ghatrace/trace/ids.h"
#include "support/temp_folder.h"

#include "sample_run.h"

#define RUN 33714470481

struct fixture {
    struct temp_folder folder;
    struct store *store;
    struct sample_run run;
    struct arena arena;
    struct buffer text;
    struct waterfall_shown shown;
    struct error error;
};

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    arena_init(&fixture.arena, 4096);
    buffer_init(&fixture.text, 1 << 20);
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
    buffer_release(&fixture.text);
    arena_release(&fixture.arena);
    return temp_folder_remove(&fixture.folder) ? 0 : -1;
}

static void put_record(int64_t run_id, int64_t attempt, uint8_t span, struct slice body)
{
    struct store_transaction *transaction;
    struct store_record record = {
        .finished_at = SAMPLE_START,
        .key = {.trace = trace_id_of_run(ID_SCHEME_ARC, run_id, attempt)},
        .body = body,
    };

    record.key.span.bytes[SPAN_ID_SIZE - 1] = span;
    assert_int_equal(store_begin(fixture.store, true, &transaction, &fixture.error), ERROR_NONE);
    assert_int_equal(store_add_record(transaction, &record, true, &fixture.error), ERROR_NONE);
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

static const struct waterfall_options options = {
    .terminal = {.width = 100, .colour = true, .unicode = true}, .steps = true};

static enum error_code show_in(struct arena *arena, int64_t run_id, int64_t attempt)
{
    const struct run_selector question = {.run_id = run_id, .run_attempt = attempt};
    struct view_reader reader = {.arena = arena, .error = &fixture.error};
    buffer_clear(&fixture.text);
    enum error_code code = store_begin(fixture.store, false, &reader.transaction, reader.error);
    if (code != ERROR_NONE)
        return code;
    code = waterfall_show(&reader, &question, &options, &fixture.text, &fixture.shown);
    store_abort(reader.transaction);
    return code;
}

static enum error_code show(int64_t run_id, int64_t attempt)
{
    return show_in(&fixture.arena, run_id, attempt);
}

static bool shows(const char *part)
{
    return slice_find(buffer_slice(&fixture.text), slice_from_string(part)) >= 0;
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

static void stored_records_give_the_same_picture(void **state)
{
    struct run_view view;
    struct buffer before;
    (void)state;
    sample_two_jobs();
    put_sample(RUN, 1);
    assert_int_equal(show(RUN, 1), ERROR_NONE);
    buffer_init(&before, 1 << 20);
    assert_int_equal(
        run_view_from_spans(fixture.run.batches, fixture.run.count, &fixture.arena, &view),
        ERROR_NONE);
    assert_int_equal(waterfall_render(&view, &options, &fixture.arena, &before, &fixture.error),
                     ERROR_NONE);
    assert_int_equal(before.len, fixture.text.len);
    assert_memory_equal(before.data, fixture.text.data, before.len);
    buffer_release(&before);
}

static void other_runs_and_attempts_are_left_out(void **state)
{
    (void)state;
    sample_two_jobs();
    for (int64_t run_id = RUN - 8; run_id < RUN + 8; run_id++)
        if (run_id != RUN)
            put_sample(run_id, 1);
    put_sample(RUN, 1);
    put_sample(RUN, 3);
    sample_job(&fixture.run, SLICE("one more"), "success", (struct sample_times){0, 0, 1, 2, 3});
    put_sample(RUN, 2);
    assert_int_equal(show(RUN, 2), ERROR_NONE);
    assert_int_equal(fixture.shown.run_attempt, 2);
    assert_true(shows("one more"));
    assert_int_equal(show(RUN, 3), ERROR_NONE);
    assert_false(shows("one more"));
}

static void attempt_zero_is_the_newest(void **state)
{
    (void)state;
    sample_root(&fixture.run, 300, "success");
    put_sample(RUN, 1);
    put_sample(RUN, 4);
    assert_int_equal(show(RUN, 0), ERROR_NONE);
    assert_int_equal(fixture.shown.run_attempt, 4);
    put_sample(RUN, 50);
    assert_int_equal(show(RUN, 0), ERROR_NONE);
    assert_int_equal(fixture.shown.run_attempt, 50);
}

static void a_record_that_is_stored_twice_counts_once(void **state)
{
    (void)state;
    sample_two_jobs();
    put_sample(RUN, 1);
    assert_int_equal(show(RUN, 1), ERROR_NONE);
    size_t len = fixture.text.len;
    put_sample(RUN, 1);
    assert_int_equal(show(RUN, 1), ERROR_NONE);
    assert_int_equal(fixture.text.len, len);
}

static void a_missing_run_is_reported_with_advice(void **state)
{
    (void)state;
    assert_int_equal(show(INT64_MAX, 0), ERROR_NOT_FOUND);
    assert_non_null(strstr(fixture.error.message, "run 9223372036854775807: "));
    assert_int_equal(show(INT64_MAX, INT64_MAX), ERROR_NOT_FOUND);
    assert_int_equal(fixture.error.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(fixture.error.message, "ghatrace runs"));
    assert_non_null(strstr(fixture.error.message, "are kept")); // not cut off
}

static void the_error_for_a_missing_attempt_names_those_that_exist(void **state)
{
    static const struct {
        int64_t attempt; // the run that is stored next
        const char *message;
    } cases[] = {
        {1, "run 33714470481 attempt 7: no such attempt is in the store; there is attempt 1"},
        {3, "; there are attempts 1, 3"},
        {2, "; there are attempts 1-3"},
        {9, "; there are attempts 1-3, 9"},
        {100, "; there are attempts 1-3, 9, 100"},
    };
    (void)state;
    sample_root(&fixture.run, 300, "success");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_sample(RUN, cases[i].attempt);
        assert_int_equal(show(RUN, 7), ERROR_NOT_FOUND);
        const char *end = strstr(fixture.error.message, cases[i].message);
        if (end == NULL)
            fail_msg("\"%s\" is not in \"%s\"", cases[i].message, fixture.error.message);
        assert_int_equal(strlen(end), strlen(cases[i].message));
    }
    for (int64_t attempt = 1; attempt < 100; attempt += 2) // as many as a message can have
        put_sample(RUN - 1, attempt);
    assert_int_equal(show(RUN - 1, 2), ERROR_NOT_FOUND);
    assert_non_null(strstr(fixture.error.message, "there are attempts 1, 3, 5, "));
    assert_true(strlen(fixture.error.message) < sizeof fixture.error.message - 1);
}

static void a_damaged_record_is_left_out_and_counted(void **state)
{
    (void)state;
    put_record(RUN, 1, 9, SLICE("\x0a\xff\xff"));
    assert_int_equal(show(RUN, 1), ERROR_NOT_FOUND);
    assert_non_null(strstr(fixture.error.message, "cannot be read"));
    assert_int_equal(fixture.shown.unreadable, 1);
    sample_two_jobs();
    put_sample(RUN, 1);
    assert_int_equal(show(RUN, 1), ERROR_NONE);
    assert_int_equal(fixture.shown.unreadable, 1);
    assert_true(shows("build / linux"));
}

static void allocation_faults_are_reported_and_leak_nothing(void **state)
{
    (void)state;
    bool is_done = false;

    sample_two_jobs();
    put_sample(RUN, 1);
    for (long skip = 0; !is_done; skip++) {
        struct arena arena;

        arena_init(&arena, 64);
        memory_fail_after(skip);
        enum error_code code = show_in(&arena, RUN, 1);
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
        TEST(stored_records_give_the_same_picture),
        TEST(other_runs_and_attempts_are_left_out),
        TEST(attempt_zero_is_the_newest),
        TEST(a_record_that_is_stored_twice_counts_once),
        TEST(a_missing_run_is_reported_with_advice),
        TEST(the_error_for_a_missing_attempt_names_those_that_exist),
        TEST(a_damaged_record_is_left_out_and_counted),
        TEST(allocation_faults_are_reported_and_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
