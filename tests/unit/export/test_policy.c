// The small deciders: what an answer means, how long to wait, how a batch is halved.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/export/backoff.h"
#include "../../../src/export/batch.h"
#include "../../../src/export/gzip.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/export/outcome.h"

#include <zlib.h>

// --- outcomes ---------------------------------------------------------------------------------

static void only_the_listed_statuses_are_retried(void **state)
{
    (void)state;
    for (int status = -1; status <= 1000; status++) {
        enum export_outcome expected = EXPORT_REFUSED;
        if (status / 100 == 2 && status > 0)
            expected = EXPORT_SENT;
        else if (status == 0 || status == 429 || status == 502 || status == 503 || status == 504)
            expected = EXPORT_RETRY;
        assert_int_equal(export_outcome_of(status), expected);
    }
}

// --- backoff ----------------------------------------------------------------------------------

static void waits_grow_by_half_up_to_the_cap(void **state)
{
    // With the middle of the jitter's range, the wait is the step itself.
    static const int64_t expected_ms[] = {1000, 1500, 2250, 3375};
    struct export_backoff backoff;
    (void)state;
    backoff_init(&backoff, NS_PER_SECOND, 30 * NS_PER_SECOND);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(backoff_step(&backoff, (uint64_t)backoff.next / 2),
                         expected_ms[i] * NS_PER_MS);
    for (int i = 0; i < 100; i++)
        (void)backoff_step(&backoff, 0);
    assert_int_equal(backoff_step(&backoff, (uint64_t)backoff.next / 2), 30 * NS_PER_SECOND);
    backoff_reset(&backoff);
    assert_int_equal(backoff_step(&backoff, (uint64_t)backoff.next / 2), NS_PER_SECOND);
}

static void jitter_stays_within_half_of_the_step(void **state)
{
    static const uint64_t randoms[] = {0, 1, NS_PER_SECOND, UINT64_MAX, UINT64_MAX - 1};
    uint64_t random_state = 42;
    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        struct export_backoff backoff;
        backoff_init(&backoff, NS_PER_SECOND, 30 * NS_PER_SECOND);
        uint64_t random = i < 5 ? randoms[i] : backoff_random(&random_state);
        duration_ns wait = backoff_step(&backoff, random);
        assert_in_range(wait, NS_PER_SECOND / 2, NS_PER_SECOND * 3 / 2);
    }
}

static void the_cap_holds_with_jitter_too(void **state)
{
    struct export_backoff backoff;
    (void)state;
    backoff_init(&backoff, 30 * NS_PER_SECOND, 30 * NS_PER_SECOND);
    assert_int_equal(backoff_step(&backoff, 30 * (uint64_t)NS_PER_SECOND), 30 * NS_PER_SECOND);
    backoff_init(&backoff, INT64_MAX / 2, INT64_MAX);
    for (int i = 0; i < 10; i++)
        assert_in_range(backoff_step(&backoff, UINT64_MAX), 1, 24 * NS_PER_HOUR);
}

static void nonsense_settings_still_wait_a_little(void **state)
{
    static const duration_ns values[] = {0, -1, INT64_MIN, 1};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct export_backoff backoff;
        backoff_init(&backoff, values[i], values[i]);
        for (int step = 0; step < 3; step++)
            assert_true(backoff_step(&backoff, 0) > 0);
    }
}

static void retry_after_is_honoured_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(backoff_honour(5 * NS_PER_SECOND, 1), 5 * NS_PER_SECOND);
    assert_int_equal(backoff_honour(10 * NS_PER_MINUTE, 1), 10 * NS_PER_MINUTE);
    assert_int_equal(backoff_honour(10 * NS_PER_MINUTE + 1, 1), 10 * NS_PER_MINUTE);
    assert_int_equal(backoff_honour(INT64_MAX, 1), 10 * NS_PER_MINUTE);
    assert_int_equal(backoff_honour(0, 77), 77);
    assert_int_equal(backoff_honour(-5, 77), 77);
}

static void random_numbers_differ_and_spread(void **state)
{
    uint64_t random_state = 1;
    unsigned buckets[8] = {0};
    (void)state;
    for (int i = 0; i < 8000; i++)
        buckets[backoff_random(&random_state) % 8]++;
    for (int i = 0; i < 8; i++)
        assert_in_range(buckets[i], 800, 1200);
}

// --- batches ----------------------------------------------------------------------------------

static struct export_batch filled_batch(size_t count)
{
    struct export_batch batch;
    assert_int_equal(batch_init(&batch, count), ERROR_NONE);
    for (size_t i = 0; i < count; i++)
        assert_true(batch_add(&batch, 10 * (i + 1)));
    assert_false(batch_add(&batch, UINT64_MAX));
    batch_seal(&batch);
    return batch;
}

static void a_batch_knows_what_it_holds(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 9; count++) {
        struct export_batch batch = filled_batch(count);
        for (uint64_t sequence = 0; sequence <= 10 * count + 10; sequence++) {
            bool expected = sequence % 10 == 0 && sequence >= 10 && sequence <= 10 * count;
            assert_int_equal(batch_contains(&batch, sequence), expected);
        }
        batch_finish_part(&batch);
        assert_null(batch_present(&batch));
        assert_false(batch_contains(&batch, 10));
        batch_release(&batch);
    }
}

static void an_empty_batch_has_no_parts(void **state)
{
    struct export_batch batch;
    (void)state;
    assert_int_equal(batch_init(&batch, 4), ERROR_NONE);
    batch_seal(&batch);
    assert_null(batch_present(&batch));
    batch_release(&batch);
}

// Refuses every part that holds a bad record, as a collector would.
static size_t bisect(struct export_batch *batch, uint64_t bad, uint64_t *buried, size_t *settled)
{
    size_t requests = 0;
    const struct batch_part *part;
    while ((part = batch_present(batch)) != NULL) {
        bool is_bad = false;
        requests++;
        for (size_t i = 0; i < part->count; i++)
            is_bad |= part->sequences[i] == bad;
        if (is_bad && batch_split_part(batch))
            continue;
        if (is_bad)
            *buried = part->sequences[0];
        else
            *settled += part->count;
        batch_finish_part(batch);
    }
    return requests;
}

static void halving_finds_the_bad_record_in_few_requests(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 70; count++) {
        for (size_t bad = 0; bad < count; bad++) {
            struct export_batch batch = filled_batch(count);
            uint64_t buried = 0;
            size_t settled = 0, depth = 0;
            size_t requests = bisect(&batch, 10 * (bad + 1), &buried, &settled);
            while (((size_t)1 << depth) < count)
                depth++;
            assert_int_equal(buried, 10 * (bad + 1));
            assert_int_equal(settled, count - 1);
            assert_true(requests <= 2 * depth + 1);
            batch_release(&batch);
        }
    }
}

static void halving_everything_ends_in_single_records_in_order(void **state)
{
    struct export_batch batch = filled_batch(1000);
    uint64_t last = 0;
    size_t count = 0;
    (void)state;
    while (batch_present(&batch) != NULL) {
        if (batch_split_part(&batch))
            continue;
        assert_int_equal(batch_present(&batch)->count, 1);
        assert_true(batch_present(&batch)->sequences[0] > last);
        last = batch_present(&batch)->sequences[0];
        batch_finish_part(&batch);
        count++;
    }
    assert_int_equal(count, 1000);
    batch_release(&batch);
}

// --- gzip -------------------------------------------------------------------------------------

static void expect_round_trip(struct slice data)
{
    struct buffer packed;
    struct error error;
    buffer_init(&packed, 1 << 20);
    assert_int_equal(buffer_append_string(&packed, "head"), ERROR_NONE);
    assert_int_equal(gzip_compress(data, &packed, &error), ERROR_NONE);

    char *plain = test_malloc(data.len + 1);
    z_stream stream = {.next_in = (Bytef *)packed.data + 4, .avail_in = (uInt)packed.len - 4};
    stream.next_out = (Bytef *)plain;
    stream.avail_out = (uInt)data.len + 1;
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, data.len);
    assert_int_equal(stream.avail_in, 0);
    if (data.len > 0)
        assert_memory_equal(plain, data.data, data.len);
    inflateEnd(&stream);
    test_free(plain);
    buffer_release(&packed);
}

static void what_is_compressed_can_be_read_by_zlib(void **state)
{
    static char noise[100000];
    uint64_t random_state = 7;
    (void)state;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)backoff_random(&random_state);
    expect_round_trip(SLICE(""));
    expect_round_trip(SLICE("a"));
    expect_round_trip(SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    expect_round_trip((struct slice){noise, sizeof noise});
}

static void compressing_reports_caps_and_refused_memory(void **state)
{
    struct buffer packed;
    struct error error;
    long skip = 0;
    enum error_code code;
    (void)state;
    buffer_init(&packed, 8);
    assert_int_equal(gzip_compress(SLICE("text"), &packed, &error), ERROR_TOO_LARGE);
    buffer_release(&packed);
    do {
        buffer_init(&packed, 1 << 20);
        memory_fail_after(skip++);
        code = gzip_compress(SLICE("text"), &packed, &error);
        memory_fail_after(-1);
        buffer_release(&packed);
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
    } while (code != ERROR_NONE);
    assert_true(skip > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_listed_statuses_are_retried),
        cmocka_unit_test(waits_grow_by_half_up_to_the_cap),
        cmocka_unit_test(jitter_stays_within_half_of_the_step),
        cmocka_unit_test(the_cap_holds_with_jitter_too),
        cmocka_unit_test(nonsense_settings_still_wait_a_little),
        cmocka_unit_test(retry_after_is_honoured_within_bounds),
        cmocka_unit_test(random_numbers_differ_and_spread),
        cmocka_unit_test(a_batch_knows_what_it_holds),
        cmocka_unit_test(an_empty_batch_has_no_parts),
        cmocka_unit_test(halving_finds_the_bad_record_in_few_requests),
        cmocka_unit_test(halving_everything_ends_in_single_records_in_order),
        cmocka_unit_test(what_is_compressed_can_be_read_by_zlib),
        cmocka_unit_test(compressing_reports_caps_and_refused_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
