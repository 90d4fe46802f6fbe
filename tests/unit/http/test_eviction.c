// Which connection is closed for a new one, and how long a body may take: computed from facts, without connections.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/http/server.h"

#define MS NS_PER_MS
#define S NS_PER_SECOND
#define KIB 1024

static const struct eviction_counts many_bodies = {
    .members = {[EVICTION_HEAD] = 10, [EVICTION_BODY] = 1000, [EVICTION_OUTPUT] = 5}};
static const struct eviction_counts many_heads = {
    .members = {[EVICTION_HEAD] = 1000, [EVICTION_BODY] = 10, [EVICTION_OUTPUT] = 5}};
static const struct eviction_counts many_outputs = {
    .members = {[EVICTION_HEAD] = 10, [EVICTION_BODY] = 10, [EVICTION_OUTPUT] = 1000}};

static struct eviction_facts head(duration_ns waited)
{
    return (struct eviction_facts){.group = EVICTION_HEAD, .waited = waited, .stalled = waited};
}

static struct eviction_facts body(duration_ns waited, uint64_t bytes)
{
    return (struct eviction_facts){
        .group = EVICTION_BODY, .waited = waited, .stalled = waited, .bytes = bytes};
}

static struct eviction_facts output(duration_ns waited, duration_ns stalled)
{
    return (struct eviction_facts){.group = EVICTION_OUTPUT, .waited = waited, .stalled = stalled};
}

static struct eviction_facts late(duration_ns waited)
{
    return (struct eviction_facts){.group = EVICTION_LATE, .waited = waited, .stalled = waited};
}

static void expect_choice(struct eviction_facts facts, const struct eviction_counts *counts,
                          enum eviction_choice choice)
{
    assert_int_equal(eviction_may_close(&facts, counts), choice);
}

static void expect_before(struct eviction_facts first, struct eviction_facts second,
                          const struct eviction_counts *counts)
{
    assert_true(eviction_is_before(&first, &second, counts));
    assert_false(eviction_is_before(&second, &first, counts));
}

static void a_body_may_be_evicted_a_second_after_its_head(void **state)
{
    (void)state;
    expect_choice(body(999 * MS, 0), &many_bodies, EVICTION_NOT_NOW);
    expect_choice(body(1 * S, 0), &many_bodies, EVICTION_READY);
    expect_choice(body(1 * S, 25 << 20), &many_bodies, EVICTION_READY);
}

static void a_young_head_is_evicted_only_if_most_connections_wait_for_heads(void **state)
{
    (void)state;
    expect_choice(head(1 * S), &many_bodies, EVICTION_READY);
    expect_choice(head(0), &many_heads, EVICTION_IF_NO_OTHER);
    expect_choice(head(999 * MS), &many_bodies, EVICTION_NOT_NOW);
    expect_before(body(1 * S, 1 << 20), head(0), &many_heads);
}

static void a_response_that_the_client_reads_is_evicted_last(void **state)
{
    (void)state;
    expect_choice(output(60 * S, 999 * MS), &many_outputs, EVICTION_IF_NO_OTHER);
    expect_choice(output(60 * S, 1 * S), &many_outputs, EVICTION_READY);
    expect_before(head(1 * S), output(60 * S, 10 * MS), &many_outputs);
}

static void a_connection_with_a_pending_response_is_never_evicted(void **state)
{
    struct eviction_facts facts = {.group = EVICTION_NONE, .waited = 1000 * S};

    (void)state;
    expect_choice(facts, &many_heads, EVICTION_NOT_NOW);
}

static void of_bodies_the_slowest_is_evicted_first(void **state)
{
    (void)state;
    expect_before(body(2 * S, 0), body(2 * S, 1), &many_bodies);
    expect_before(body(4 * S, 4 * KIB), body(1 * S, 2 * KIB), &many_bodies);
    expect_before(body(1 * S, 2 * KIB), body(4 * S, 9 * KIB), &many_bodies);
    expect_before(body(20 * S, 0), body(10 * S, 0), &many_bodies); // the same rate
    // 100 KiB at once and then nothing: in time the rate falls below that of a slow link
    expect_before(body(1 * S, 8 * KIB), body(10 * S, 100 * KIB), &many_bodies);
    expect_before(body(20 * S, 100 * KIB), body(1 * S, 8 * KIB), &many_bodies);
    expect_before(body(29 * S, UINT64_C(1) << 36), body(29 * S, (UINT64_C(1) << 36) + (1 << 20)),
                  &many_bodies);
}

static void
of_heads_the_longest_wait_and_of_responses_the_longest_stall_is_evicted_first(void **state)
{
    (void)state;
    expect_before(head(3 * S), head(2 * S), &many_heads);
    expect_before(output(2 * S, 2 * S), output(9 * S, 1 * S), &many_outputs);
}

static void the_largest_group_is_evicted_first(void **state)
{
    (void)state;
    expect_before(body(1 * S, 1 << 20), head(70 * S), &many_bodies);
    expect_before(head(1 * S), body(29 * S, 0), &many_heads);
    expect_before(output(1 * S, 1 * S), head(70 * S), &many_outputs);
    expect_before(head(1 * S), output(200 * S, 29 * S), &many_heads);
}

static void a_delayed_401_is_evicted_before_all_others(void **state)
{
    (void)state;
    expect_choice(late(0), &many_heads, EVICTION_READY);
    expect_before(late(0), head(70 * S), &many_heads);
    expect_before(late(0), body(29 * S, 0), &many_bodies);
    expect_before(late(2 * S), late(1 * S), &many_bodies);
}

// A strict order for any three, whatever the counts.
static void the_order_is_total(void **state)
{
    const struct eviction_counts *const counts[] = {&many_bodies, &many_heads, &many_outputs};
    struct eviction_facts all[80];
    size_t count = 0;

    (void)state;
    for (duration_ns waited = 0; waited < 4 * S; waited += 700 * MS) {
        all[count++] = head(waited);
        all[count++] = late(waited);
        all[count++] = output(waited, waited / 2);
        for (uint64_t bytes = 0; bytes < 30000; bytes += 9000)
            all[count++] = body(waited, bytes);
    }
    for (size_t n = 0; n < 3; n++)
        for (size_t a = 0; a < count; a++)
            for (size_t b = 0; b < count; b++) {
                bool is_before = eviction_is_before(&all[a], &all[b], counts[n]);
                assert_false(is_before && eviction_is_before(&all[b], &all[a], counts[n]));
                for (size_t c = 0; is_before && c < count; c++)
                    if (eviction_is_before(&all[b], &all[c], counts[n]))
                        assert_true(eviction_is_before(&all[a], &all[c], counts[n]));
            }
}

static void a_body_below_four_kib_a_second_has_five_seconds(void **state)
{
    (void)state;
    assert_int_equal(eviction_body_time(0, BODY_GRACE), 5 * S);
    assert_int_equal(eviction_body_time(20 * KIB, BODY_GRACE), 5 * S);
    assert_int_equal(eviction_body_time(20 * KIB + 4, BODY_GRACE), 5 * S + S / 1024);
    assert_int_equal(eviction_body_time(24 * KIB, BODY_GRACE), 6 * S);
    assert_int_equal(eviction_body_time(100 * KIB, BODY_GRACE), 25 * S);
    assert_int_equal(eviction_body_time(25 << 20, BODY_GRACE), 6400 * S);
    assert_int_equal(eviction_body_time(UINT64_MAX, BODY_GRACE), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_may_be_evicted_a_second_after_its_head),
        cmocka_unit_test(a_young_head_is_evicted_only_if_most_connections_wait_for_heads),
        cmocka_unit_test(a_response_that_the_client_reads_is_evicted_last),
        cmocka_unit_test(a_connection_with_a_pending_response_is_never_evicted),
        cmocka_unit_test(of_bodies_the_slowest_is_evicted_first),
        cmocka_unit_test(
            of_heads_the_longest_wait_and_of_responses_the_longest_stall_is_evicted_first),
        cmocka_unit_test(the_largest_group_is_evicted_first),
        cmocka_unit_test(a_delayed_401_is_evicted_before_all_others),
        cmocka_unit_test(the_order_is_total),
        cmocka_unit_test(a_body_below_four_kib_a_second_has_five_seconds),
    };
    return cmocka_run_group_tests_name("ingress/eviction", tests, NULL, NULL);
}
