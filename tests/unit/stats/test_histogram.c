// The log-linear histogram: its buckets, its bytes, and its percentiles against exact ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "ghatrace/stats/latency.h"

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void buckets_are_contiguous(void **state)
{
    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t start = histogram_bucket_start(i);
        assert_int_equal(histogram_bucket_of((duration_ns)start * NS_PER_SECOND), i);
        if (i == 0)
            continue;
        uint64_t width = start - histogram_bucket_start(i - 1);
        assert_int_equal(histogram_bucket_of((duration_ns)start * NS_PER_SECOND - 1), i - 1);
        assert_true(width == 1 || width * 8 <= histogram_bucket_start(i - 1));
    }
    assert_int_equal(histogram_bucket_start(HISTOGRAM_BUCKETS - 1), 1 << 20);
    assert_int_equal(histogram_bucket_of(INT64_MAX), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket_of(-1), 0);
}

static void seconds_below_16_are_exact(void **state)
{
    struct histogram histogram = {.count = 0};
    (void)state;
    for (int i = 0; i < 10; i++)
        histogram_add(&histogram, i * NS_PER_SECOND);
    assert_int_equal(histogram_percentile(&histogram, 50), 4 * NS_PER_SECOND);
    assert_int_equal(histogram_percentile(&histogram, 90), 8 * NS_PER_SECOND);
    assert_int_equal(histogram_percentile(&histogram, 99), 9 * NS_PER_SECOND);
    assert_int_equal(histogram_percentile(&histogram, 100), 9 * NS_PER_SECOND);
    assert_int_equal(histogram_percentile(&histogram, 0), 0);
}

static void a_value_that_is_taken_back_leaves_the_others(void **state)
{
    static const int values[] = {3, 9, 14, 100};
    struct histogram histogram = {.count = 0}, empty = {.count = 0};
    (void)state;
    for (size_t i = 0; i < 4; i++)
        histogram_add(&histogram, values[i] * NS_PER_SECOND);
    histogram_remove(&histogram, 100 * NS_PER_SECOND);
    assert_int_equal(histogram.max, 14 * NS_PER_SECOND);
    histogram_remove(&histogram, 9 * NS_PER_SECOND);
    histogram_remove(&histogram, 9 * NS_PER_SECOND); // not there
    assert_int_equal(histogram.count, 2);
    assert_int_equal(histogram.max, 14 * NS_PER_SECOND);
    histogram_add(&histogram, 101 * NS_PER_SECOND);
    histogram_add(&histogram, 1000 * NS_PER_SECOND);
    histogram_remove(&histogram, 1000 * NS_PER_SECOND);
    assert_in_range(histogram.max / NS_PER_SECOND, 101, 101 + 101 / 8);
    histogram_remove(&histogram, 101 * NS_PER_SECOND);
    histogram_remove(&histogram, 14 * NS_PER_SECOND);
    histogram_remove(&histogram, 3 * NS_PER_SECOND);
    assert_memory_equal(&histogram, &empty, sizeof empty);
}

static void an_empty_histogram_has_no_percentiles(void **state)
{
    struct histogram histogram = {.count = 0};
    (void)state;
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
}

static void a_percentile_never_exceeds_the_greatest_value(void **state)
{
    struct histogram histogram = {.count = 0};
    (void)state;
    histogram_add(&histogram, 1000 * NS_PER_SECOND);
    for (unsigned percent = 0; percent <= 100; percent++)
        assert_true(histogram_percentile(&histogram, percent) <= 1000 * NS_PER_SECOND);
    histogram_add(&histogram, ((duration_ns)1 << 21) * NS_PER_SECOND); // beyond the last bound
    assert_true(histogram_percentile(&histogram, 99) >= ((duration_ns)1 << 20) * NS_PER_SECOND);
    assert_true(histogram_percentile(&histogram, 99) <= ((duration_ns)1 << 21) * NS_PER_SECOND);
}

// --- against exact percentiles -----------------------------------------------------------------------------

#define VALUES_MAX 3000

static int compare_values(const void *a, const void *b)
{
    const duration_ns *left = a;
    const duration_ns *right = b;
    return *left < *right ? -1 : *left > *right;
}

// Values spread over all octaves, in whole seconds as GitHub has them.
static size_t draw_values(duration_ns *values, uint32_t *seed)
{
    size_t count = 1 + next_random(seed) % VALUES_MAX;
    unsigned widest = 1 + next_random(seed) % 20;
    for (size_t i = 0; i < count; i++)
        values[i] =
            (duration_ns)(next_random(seed) & ((1u << (1 + next_random(seed) % widest)) - 1)) *
            NS_PER_SECOND;
    return count;
}

static void check_percentile(const struct histogram *histogram, const duration_ns *sorted,
                             size_t count, unsigned percent)
{
    size_t rank = (count * percent + 99) / 100;
    duration_ns exact = sorted[(rank > 0 ? rank : 1) - 1];
    duration_ns computed = histogram_percentile(histogram, percent);
    duration_ns off = computed > exact ? computed - exact : exact - computed;
    assert_int_equal(histogram_bucket_of(computed), histogram_bucket_of(exact));
    if (exact < HISTOGRAM_EXACT * NS_PER_SECOND)
        assert_int_equal(computed, exact);
    assert_true(off * 8 <= exact);
    assert_true(computed <= sorted[count - 1]);
}

static void percentiles_are_within_an_eighth_of_the_exact_ones(void **state)
{
    static duration_ns values[VALUES_MAX];
    uint32_t seed = 1;
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct histogram histogram = {.count = 0};
        size_t count = draw_values(values, &seed);
        for (size_t i = 0; i < count; i++)
            histogram_add(&histogram, values[i]);
        qsort(values, count, sizeof values[0], compare_values);
        assert_int_equal(histogram.max, values[count - 1]);
        for (unsigned percent = 0; percent <= 100; percent++)
            check_percentile(&histogram, values, count, percent);
    }
}

static void merging_and_encoding_lose_nothing(void **state)
{
    static duration_ns values[VALUES_MAX];
    struct buffer bytes;
    uint32_t seed = 5;
    (void)state;
    buffer_init(&bytes, 65536);
    for (int round = 0; round < 100; round++) {
        struct histogram parts[2] = {{.count = 0}};
        struct histogram whole = {.count = 0};
        struct histogram merged = {.count = 0};
        struct histogram decoded = {.count = 0};
        size_t count = draw_values(values, &seed);
        for (size_t i = 0; i < count; i++) {
            histogram_add(&whole, values[i]);
            histogram_add(&parts[next_random(&seed) % 2], values[i]);
        }
        for (int i = 0; i < 2; i++) {
            histogram_merge(&merged, &parts[i]);
            buffer_clear(&bytes);
            assert_int_equal(histogram_encode(&parts[i], &bytes), ERROR_NONE);
            assert_true(histogram_decode_into(buffer_slice(&bytes), &decoded));
        }
        assert_memory_equal(&merged, &whole, sizeof whole);
        assert_memory_equal(&decoded, &whole, sizeof whole);
    }
    buffer_release(&bytes);
}

static void damaged_bytes_are_reported(void **state)
{
    struct histogram histogram = {.count = 0};
    (void)state;
    assert_false(histogram_decode_into(SLICE_EMPTY, &histogram));
    assert_false(histogram_decode_into(SLICE("\x01\x05"), &histogram)); // a bucket without a count
    assert_false(histogram_decode_into(SLICE("\x01\xff\x7f\x01"), &histogram)); // no such bucket
    assert_false(
        histogram_decode_into(SLICE("\x01\x90\x01\x01\x01\x01"), &histogram)); // beyond the last
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_contiguous),
        cmocka_unit_test(seconds_below_16_are_exact),
        cmocka_unit_test(a_value_that_is_taken_back_leaves_the_others),
        cmocka_unit_test(an_empty_histogram_has_no_percentiles),
        cmocka_unit_test(a_percentile_never_exceeds_the_greatest_value),
        cmocka_unit_test(percentiles_are_within_an_eighth_of_the_exact_ones),
        cmocka_unit_test(merging_and_encoding_lose_nothing),
        cmocka_unit_test(damaged_bytes_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
