// States of pools from counts and times, and ceilings above several pools.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/view/pool_state.h"
#include "support/scenario.h"

#define CHANGES_MAX 4000
#define DEAD_AFTER (15 * NS_PER_MINUTE)

// What happens in a pool, in order; times in seconds.
struct play {
    struct pool_change changes[CHANGES_MAX];
    size_t count;
    int64_t queued, running;
    double now;
    double oldest, last_start, last_short, active_before, ceiling_since; // -1: none
    uint64_t busy_max;
};

static const struct play quiet = {.now = 7200,
                                  .oldest = -1,
                                  .last_start = -1,
                                  .last_short = -1,
                                  .active_before = -1,
                                  .ceiling_since = -1};

static void change(struct play *play, double at, int queued, int running)
{
    assert_true(play->count < CHANGES_MAX);
    play->changes[play->count++] = (struct pool_change){scenario_at(at), queued, running};
    play->queued += queued;
    play->running += running;
}

static void arrive(struct play *play, double at, int jobs)
{
    change(play, at, jobs, 0);
}

static void start(struct play *play, double at, int jobs)
{
    change(play, at, -jobs, jobs);
    play->last_start = at - (double)((int)at % 60);
}

static void end(struct play *play, double at, int jobs)
{
    change(play, at, 0, -jobs);
}

static timestamp_ns time_or_none(double at)
{
    return at < 0 ? TIMESTAMP_UNKNOWN : scenario_at(at);
}

static struct pool_curve curve_of(const struct play *play)
{
    return (struct pool_curve){.from = scenario_at(0),
                               .now = scenario_at(play->now),
                               .changes = play->changes,
                               .count = play->count,
                               .queued = play->queued,
                               .running = play->running};
}

static void expect(const struct play *play, enum pool_state state, double since)
{
    const struct pool_facts facts = {.curve = curve_of(play),
                                     .oldest = time_or_none(play->oldest),
                                     .last_start = time_or_none(play->last_start),
                                     .last_short_start = time_or_none(play->last_short),
                                     .active_before = time_or_none(play->active_before),
                                     .busy_max = play->busy_max,
                                     .ceiling_since = time_or_none(play->ceiling_since),
                                     .dead_after = DEAD_AFTER};
    const struct pool_verdict verdict = pool_assess(&facts);
    assert_string_equal(pool_state_names[verdict.state], pool_state_names[state]);
    assert_int_equal(verdict.since, time_or_none(since));
}

static void a_pool_without_a_queue_or_with_short_waits_is_ok(void **state)
{
    (void)state;
    struct play play = quiet;
    expect(&play, POOL_OK, -1);
    arrive(&play, 7150, 5);
    play.oldest = 7150;
    expect(&play, POOL_OK, -1);
    play.now = 7211;
    expect(&play, POOL_WAITING, 7150);
}

static void a_pool_where_nothing_starts_is_dead_since_the_last_job_ran(void **state)
{
    (void)state;
    struct play play = quiet;
    arrive(&play, 1000, 3);
    start(&play, 1010, 3);
    arrive(&play, 2000, 4);
    play.oldest = 2000;
    end(&play, 2500, 2);
    end(&play, 3000, 1);
    play.busy_max = 3;
    play.now = 3000 + 899;
    expect(&play, POOL_WAITING, 2000);
    play.now = 3000 + 900;
    expect(&play, POOL_DEAD, 3000);
    play.now = 3000 + 9000;
    expect(&play, POOL_DEAD, 3000);
}

static void a_pool_that_was_idle_is_dead_since_jobs_are_queued(void **state)
{
    (void)state;
    struct play play = quiet;
    arrive(&play, 100, 1);
    start(&play, 110, 1);
    end(&play, 200, 1);
    arrive(&play, 5000, 2);
    play.oldest = 5000;
    play.now = 5000 + 600;
    expect(&play, POOL_WAITING, 5000);
    play.now = 5000 + 900;
    expect(&play, POOL_DEAD, 5000);
}

static void a_job_that_ended_in_the_second_of_its_start_did_start(void **state)
{
    (void)state;
    struct play play = quiet;
    arrive(&play, 5000, 3);
    change(&play, 6005, -1, 0);
    play.last_start = 6000;
    play.oldest = 5000;
    play.now = 6000 + 899;
    expect(&play, POOL_WAITING, 5000);
    play.now = 6000 + 900;
    expect(&play, POOL_DEAD, 6000);
}

static void a_pool_is_dead_even_if_its_queued_jobs_are_replaced(void **state)
{
    (void)state;
    struct play play = quiet;
    for (int i = 0; i < 60; i++) {
        arrive(&play, 3000 + 30 * i, 1);
        if (i > 0)
            change(&play, 3000 + 30 * i + 5, -1, 0);
    }
    play.now = 3000 + 30 * 59 + 10;
    play.oldest = 3000 + 30 * 59;
    expect(&play, POOL_DEAD, 3000);
}

static void a_queue_older_than_the_minutes_is_dead_since_the_last_hour_with_a_job(void **state)
{
    (void)state;
    struct play play = quiet;
    play.queued = 2;
    play.oldest = -1;
    struct pool_facts facts = {.curve = curve_of(&play),
                               .oldest = scenario_at(0) - NS_PER_DAY,
                               .active_before = scenario_at(0) - 7 * NS_PER_HOUR,
                               .dead_after = DEAD_AFTER};
    struct pool_verdict verdict = pool_assess(&facts);
    assert_int_equal(verdict.state, POOL_DEAD);
    assert_int_equal(verdict.since, scenario_at(0) - 7 * NS_PER_HOUR);
    facts.active_before = TIMESTAMP_UNKNOWN;
    assert_int_equal(pool_assess(&facts).since, scenario_at(0) - NS_PER_DAY);
}

// Four runners, each free for 40 seconds after a job.
static void serve(struct play *play, double from, double until)
{
    for (double at = from; at + 100 < until; at += 100) {
        end(play, at, 1);
        start(play, at + 40, 1);
    }
}

static void
a_pool_at_its_most_is_busy_since_it_got_there_and_not_since_the_last_change(void **state)
{
    (void)state;
    struct play play = quiet;
    arrive(&play, 1000, 4);
    start(&play, 1010, 3);
    start(&play, 1300, 1);
    arrive(&play, 1500, 200);
    play.oldest = 1600;
    serve(&play, 1800, 7100);
    play.busy_max = 4;
    expect(&play, POOL_BUSY, 1500);
    end(&play, 7150, 1);
    play.now = 7160;
    expect(&play, POOL_BUSY, 1500);
    play.now = 7150 + 299;
    expect(&play, POOL_BUSY, 1500);
    play.now = 7150 + 301;
    expect(&play, POOL_WAITING, 1500);
    play.busy_max = 5;
    play.now = 7160;
    expect(&play, POOL_WAITING, 1500);
}

static void one_more_runner_does_not_begin_a_new_busy_time(void **state)
{
    (void)state;
    struct play play = quiet;
    arrive(&play, 1000, 100);
    start(&play, 1010, 20);
    play.oldest = 1000;
    start(&play, 6000, 1);
    expect(&play, POOL_BUSY, 1010);
    play.oldest = 5500;
    play.last_short = 4980;
    expect(&play, POOL_BUSY, 5040);
}

static void jobs_wait_since_the_last_short_wait_but_not_later_than_the_oldest(void **state)
{
    (void)state;
    struct play play = quiet;
    arrive(&play, 600, 1);
    arrive(&play, 700, 50);
    start(&play, 3000, 1);
    play.busy_max = 9;
    play.oldest = 6000;
    play.last_short = 3000;
    expect(&play, POOL_WAITING, 3060);
    play.oldest = 2000;
    expect(&play, POOL_WAITING, 2000);
}

static void a_pool_at_a_ceiling_is_neither_busy_nor_dead(void **state)
{
    (void)state;
    struct play play = quiet;
    arrive(&play, 1000, 9);
    start(&play, 1010, 4);
    play.oldest = 1000;
    play.busy_max = 4;
    play.ceiling_since = 1500;
    expect(&play, POOL_CEILING, 1500);
    play.ceiling_since = 500;
    expect(&play, POOL_CEILING, 1000);
    end(&play, 1600, 4);
    play.ceiling_since = 1500;
    expect(&play, POOL_CEILING, 1500);
    play.ceiling_since = -1;
    expect(&play, POOL_DEAD, 1600);
}

// --- ceilings -------------------------------------------------------------------------------------

#define POOLS 3

struct hosted {
    struct play pools[POOLS];
    struct play sum;
};

static void on_both(struct hosted *hosted, int pool, double at, int queued, int running)
{
    change(&hosted->pools[pool], at, queued, running);
    change(&hosted->sum, at, queued, running);
}

static bool infer(struct hosted *hosted, int64_t *limit, double *since)
{
    struct pool_curve curves[POOLS], sum;
    timestamp_ns at = TIMESTAMP_UNKNOWN;
    for (int i = 0; i < POOLS; i++)
        curves[i] = curve_of(&hosted->pools[i]);
    sum = curve_of(&hosted->sum);
    bool is_found = ceiling_infer(&sum, curves, POOLS, limit, &at);
    *since = (double)(at - scenario_at(0)) / NS_PER_SECOND;
    return is_found;
}

static void open_hosted(struct hosted *hosted)
{
    hosted->sum = quiet;
    for (int i = 0; i < POOLS; i++) {
        hosted->pools[i] = quiet;
        on_both(hosted, i, 1000, 300, 0);
    }
}

// Every 20 s a job ends and, after 3 s, one of a pool starts: of the same one, or of another.
static void turn_over(struct hosted *hosted, double from, double until, int other)
{
    int turn = 0;
    for (double at = from; at < until; at += 20, turn++) {
        int pool = turn % POOLS;
        // runs of several, so that the shares move to and fro
        int next = (pool + (turn / 12 % 2 == 0 ? other : -other + POOLS)) % POOLS;
        if (other != 0 && turn / 24 % 2 == 0)
            next = turn / 12 % 2 == 0 ? 0 : 2;
        if (hosted->pools[pool].running == 0)
            continue;
        on_both(hosted, pool, at, 0, -1);
        on_both(hosted, next, at + 3, -1, 1);
    }
}

static void a_ceiling_is_inferred_where_pools_exchange_what_stays_the_same_in_sum(void **state)
{
    (void)state;
    static struct hosted hosted;
    int64_t limit;
    double since;
    open_hosted(&hosted);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1100 + i, -10, 10);
    turn_over(&hosted, 1200, 7190, 1);
    assert_true(infer(&hosted, &limit, &since));
    assert_int_equal(limit, 30);
    assert_int_equal((int)since, 1102);
}

// A job whose `completed` is late seems to run beside the next one: for minutes, one more than the limit runs. Two of 30
// are no longer a twentieth.
static void a_job_that_seems_to_run_beyond_a_ceiling_does_not_end_it(void **state)
{
    (void)state;
    static struct hosted hosted;
    int64_t limit;
    double since;
    open_hosted(&hosted);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1100 + i, -10, 10);
    turn_over(&hosted, 1200, 7190, 1);
    on_both(&hosted, 0, 7192, -1, 1);
    assert_true(infer(&hosted, &limit, &since));
    assert_int_equal(limit, 30);
    assert_int_equal((int)since, 1102);
    on_both(&hosted, 0, 7193, -1, 1);
    assert_false(infer(&hosted, &limit, &since));
}

static void pools_that_are_each_at_their_own_limit_share_none(void **state)
{
    (void)state;
    static struct hosted hosted;
    int64_t limit;
    double since;
    open_hosted(&hosted);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1100 + i, -10, 10);
    turn_over(&hosted, 1200, 7190, 0);
    assert_false(infer(&hosted, &limit, &since));
}

static void nothing_is_inferred_too_early_or_of_few_jobs_or_of_one_pool(void **state)
{
    (void)state;
    static struct hosted hosted;
    int64_t limit;
    double since;
    open_hosted(&hosted);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 6400 + i, -10, 10);
    turn_over(&hosted, 6500, 7190, 1);
    assert_false(infer(&hosted, &limit, &since));
    open_hosted(&hosted);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1100 + i, -1, 1);
    turn_over(&hosted, 1200, 7190, 1);
    assert_false(infer(&hosted, &limit, &since));
    open_hosted(&hosted);
    on_both(&hosted, 0, 1100, -30, 30);
    for (double at = 1200; at < 7190; at += 20) {
        on_both(&hosted, 0, at, 0, -1);
        on_both(&hosted, 0, at + 3, -1, 1);
    }
    assert_false(infer(&hosted, &limit, &since));
}

// The queues of the others are empty by the time; the limit is reached all the same.
static void a_ceiling_lasts_while_one_of_the_pools_that_waited_still_does(void **state)
{
    (void)state;
    static struct hosted hosted;
    int64_t limit;
    double since;
    open_hosted(&hosted);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1100 + i, -10, 10);
    turn_over(&hosted, 1200, 6000, 1);
    for (int i = 1; i < POOLS; i++)
        on_both(&hosted, i, 6010, (int)-hosted.pools[i].queued, 0);
    assert_true(infer(&hosted, &limit, &since));
    assert_int_equal((int)since, 1102);
}

static void a_pool_that_alone_waited_is_at_no_ceiling(void **state)
{
    (void)state;
    static struct hosted hosted;
    int64_t limit;
    double since;
    open_hosted(&hosted);
    for (int i = 1; i < POOLS; i++)
        on_both(&hosted, i, 1001, -300, 0);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1100 + i, i == 0 ? -10 : 0, 10);
    for (int i = 1; i < POOLS; i++) { // waits of seconds only
        on_both(&hosted, 0, 2000 + i, 0, -5);
        on_both(&hosted, i, 2003 + i, 5, 0);
        on_both(&hosted, i, 2033 + i, -5, 5);
        on_both(&hosted, i, 2103 + i, 0, -5);
        on_both(&hosted, 0, 2106 + i, -5, 5);
    }
    assert_false(infer(&hosted, &limit, &since));
}

// `jobs` of the first pool end, and as many of the second one start.
static bool infer_after_exchange(int each, int jobs)
{
    static struct hosted hosted;
    int64_t limit;
    double since;
    open_hosted(&hosted);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1100, -each, each);
    on_both(&hosted, 0, 3000, 0, -jobs);
    on_both(&hosted, 1, 3003, -jobs, jobs);
    return infer(&hosted, &limit, &since);
}

static void an_exchange_is_at_least_two_jobs_and_a_twentieth(void **state)
{
    (void)state;
    assert_false(infer_after_exchange(5, 1));
    assert_true(infer_after_exchange(5, 2));
    assert_false(infer_after_exchange(50, 6));
    assert_true(infer_after_exchange(50, 7));
}

static void an_exchange_below_an_earlier_most_is_no_ceiling(void **state)
{
    (void)state;
    static struct hosted hosted;
    int64_t limit;
    double since;
    open_hosted(&hosted);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1100 + i, -11, 11);
    for (int i = 0; i < POOLS; i++)
        on_both(&hosted, i, 1150 + i, 0, -1);
    turn_over(&hosted, 1200, 7190, 1);
    assert_false(infer(&hosted, &limit, &since));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_without_a_queue_or_with_short_waits_is_ok),
        cmocka_unit_test(a_pool_where_nothing_starts_is_dead_since_the_last_job_ran),
        cmocka_unit_test(a_pool_that_was_idle_is_dead_since_jobs_are_queued),
        cmocka_unit_test(a_job_that_ended_in_the_second_of_its_start_did_start),
        cmocka_unit_test(a_pool_is_dead_even_if_its_queued_jobs_are_replaced),
        cmocka_unit_test(a_queue_older_than_the_minutes_is_dead_since_the_last_hour_with_a_job),
        cmocka_unit_test(
            a_pool_at_its_most_is_busy_since_it_got_there_and_not_since_the_last_change),
        cmocka_unit_test(one_more_runner_does_not_begin_a_new_busy_time),
        cmocka_unit_test(jobs_wait_since_the_last_short_wait_but_not_later_than_the_oldest),
        cmocka_unit_test(a_pool_at_a_ceiling_is_neither_busy_nor_dead),
        cmocka_unit_test(a_ceiling_is_inferred_where_pools_exchange_what_stays_the_same_in_sum),
        cmocka_unit_test(a_ceiling_lasts_while_one_of_the_pools_that_waited_still_does),
        cmocka_unit_test(a_pool_that_alone_waited_is_at_no_ceiling),
        cmocka_unit_test(a_job_that_seems_to_run_beyond_a_ceiling_does_not_end_it),
        cmocka_unit_test(pools_that_are_each_at_their_own_limit_share_none),
        cmocka_unit_test(nothing_is_inferred_too_early_or_of_few_jobs_or_of_one_pool),
        cmocka_unit_test(an_exchange_is_at_least_two_jobs_and_a_twentieth),
        cmocka_unit_test(an_exchange_below_an_earlier_most_is_no_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
