// The replay of a pool's jobs against a number of runners: by hand, against Erlang C, and properties.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/whatif.h"

#define FROM ((timestamp_ns)1000 * NS_PER_SECOND)
#define AT(seconds) (FROM + (int64_t)(seconds)*NS_PER_SECOND)
#define SECONDS(seconds) ((int64_t)(seconds)*NS_PER_SECOND)
#define JOB(ready, started, ended)                                                                 \
    {                                                                                              \
        AT(ready), AT(started), AT(ended)                                                          \
    }

static const struct whatif_window hour = {AT(0), AT(3600)};

static struct whatif *make(const struct whatif_job *jobs, size_t count,
                           const struct whatif_window *window)
{
    struct error error;
    struct whatif *whatif = NULL;
    assert_int_equal(whatif_create(jobs, count, window, &whatif, &error), ERROR_NONE);
    return whatif;
}

#define MAKE(jobs) make(jobs, sizeof(jobs) / sizeof((jobs)[0]), &hour)

static void assert_waits(const struct whatif_waits *waits, int64_t p50, int64_t p90, int64_t p99)
{
    assert_int_equal(waits->p50, SECONDS(p50));
    assert_int_equal(waits->p90, SECONDS(p90));
    assert_int_equal(waits->p99, SECONDS(p99));
}

static void assert_replay(struct whatif *whatif, uint64_t runners, int64_t p50, int64_t p90,
                          uint64_t waiting)
{
    struct whatif_waits waits;
    whatif_replay(whatif, runners, &waits);
    assert_int_equal(waits.p50, SECONDS(p50));
    assert_int_equal(waits.p90, SECONDS(p90));
    assert_int_equal(waits.waiting, waiting);
}

// --- by hand --------------------------------------------------------------------------------------

static void four_jobs_at_once_on_one_two_and_four_runners(void **state)
{
    // As one runner served them; they are given in no order.
    static const struct whatif_job jobs[] = {JOB(0, 300, 400), JOB(0, 0, 100), JOB(0, 200, 300),
                                             JOB(0, 100, 200)};
    struct whatif_waits waits;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_int_equal(whatif_count(whatif), 4);
    whatif_recorded(whatif, &waits);
    assert_waits(&waits, 100, 300, 300);
    assert_int_equal(waits.mean, SECONDS(150));
    assert_replay(whatif, 1, 100, 300, 0);
    assert_replay(whatif, 2, 0, 100, 0);
    assert_replay(whatif, 3, 0, 100, 0);
    assert_replay(whatif, 4, 0, 0, 0);
    assert_replay(whatif, UINT64_MAX, 0, 0, 0);
    assert_int_equal(whatif_fewest(whatif, SECONDS(300)), 1);
    assert_int_equal(whatif_fewest(whatif, SECONDS(299)), 2);
    assert_int_equal(whatif_fewest(whatif, SECONDS(100)), 2);
    assert_int_equal(whatif_fewest(whatif, SECONDS(99)), 4);
    assert_int_equal(whatif_fewest(whatif, 0), 4);
    whatif_destroy(whatif);
}

static void jobs_start_in_the_order_in_which_they_became_ready(void **state)
{
    // The long one is ready first, whatever was recorded.
    static const struct whatif_job jobs[] = {JOB(2, 2, 12), JOB(1, 12, 1012)};
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_replay(whatif, 1, 0, 999, 0);
    whatif_destroy(whatif);
}

static void equal_times_and_jobs_of_no_length_are_replayed(void **state)
{
    static const struct whatif_job jobs[] = {JOB(5, 5, 5), JOB(5, 5, 5), JOB(5, 5, 15),
                                             JOB(5, 15, 15), JOB(15, 15, 20)};
    struct whatif_fit fit;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_replay(whatif, 1, 0, 10, 0);
    whatif_check(whatif, &fit);
    assert_int_equal(fit.observed, 1); // one runner that takes the next job when it has ended one
    assert_true(fit.is_explained);
    assert_int_equal(fit.error_percent, 0);
    whatif_destroy(whatif);

    static const struct whatif_job none[] = {JOB(5, 5, 5), JOB(5, 5, 5)};
    whatif = MAKE(none);
    whatif_check(whatif, &fit);
    assert_int_equal(fit.observed, 1);
    assert_int_equal(whatif_fewest(whatif, 0), 1);
    whatif_destroy(whatif);
}

// --- the borders of the window --------------------------------------------------------------------

static void a_job_that_runs_when_the_window_begins_holds_its_runner(void **state)
{
    static const struct whatif_job jobs[] = {JOB(-500, -400, 100), JOB(10, 100, 110)};
    struct whatif_waits waits;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_int_equal(whatif_count(whatif), 1); // the wait of the first was over before
    whatif_recorded(whatif, &waits);
    assert_waits(&waits, 90, 90, 90);
    assert_replay(whatif, 1, 90, 90, 0);
    assert_replay(whatif, 2, 0, 0, 0);
    whatif_destroy(whatif);
}

static void a_job_that_is_queued_when_the_window_begins_comes_before_later_ones(void **state)
{
    // Ran at the start; queued at the start; became ready in the window.
    static const struct whatif_job jobs[] = {JOB(-900, -20, 30), JOB(-50, 30, 130),
                                             JOB(10, 130, 140)};
    struct whatif_fit fit;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_int_equal(whatif_count(whatif), 1);
    assert_replay(whatif, 1, 120, 120, 0);
    assert_replay(whatif, 2, 20, 20, 0);
    whatif_check(whatif, &fit);
    assert_int_equal(fit.observed, 1);
    assert_int_equal(fit.error_percent, 0);
    whatif_destroy(whatif);
}

static void a_job_that_ran_when_the_window_began_keeps_its_runner_before_queued_ones(void **state)
{
    // Two were queued, for 50 and 20 s, before the one that runs, for 60 s more, became ready.
    static const struct whatif_job jobs[] = {JOB(-9, 50, 100), JOB(-8, 60, 80), JOB(-5, -5, 60),
                                             JOB(10, 80, 90)};
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_replay(whatif, 2, 50, 50, 0);
    whatif_destroy(whatif);
}

static void a_job_that_ended_before_the_window_holds_no_runner(void **state)
{
    static const struct whatif_job jobs[] = {JOB(-100, -90, -10), JOB(-100, -90, 0), JOB(0, 5, 10)};
    struct whatif_fit fit;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_int_equal(whatif_count(whatif), 1);
    assert_replay(whatif, 1, 0, 0, 0);
    whatif_check(whatif, &fit);
    assert_int_equal(fit.observed, 1);
    whatif_destroy(whatif);
}

static void jobs_that_still_wait_count_with_their_wait_so_far(void **state)
{
    // One runs since the beginning and is not over; two wait, of which one became ready a minute before the end.
    static const struct whatif_job jobs[] = {
        {AT(0), AT(0), 0}, {AT(100), 0, 0}, {AT(3540), 0, 0}, JOB(50, 50, 60), JOB(60, 60, 70)};
    struct whatif_waits waits;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_int_equal(whatif_count(whatif), 5);
    whatif_recorded(whatif, &waits);
    assert_waits(&waits, 0, 3500, 3500);
    assert_int_equal(waits.waiting, 2);
    assert_replay(whatif, 1, 3500, 3550, 4);
    // The two hold a runner for the median of the others, 10 s.
    assert_replay(whatif, 2, 0, 0, 0);
    whatif_destroy(whatif);
}

static void what_happens_after_the_window_is_not_known_in_it(void **state)
{
    static const struct whatif_job jobs[] = {JOB(10, 20, 4000), JOB(30, 4000, 5000),
                                             JOB(3600, 3601, 3602)};
    struct whatif_waits waits;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_int_equal(whatif_count(whatif), 2);
    whatif_recorded(whatif, &waits);
    assert_waits(&waits, 10, 3570, 3570);
    assert_int_equal(waits.waiting, 1);
    assert_replay(whatif, 1, 0, 3570, 1);
    whatif_destroy(whatif);
}

// --- odd input ------------------------------------------------------------------------------------

static void without_jobs_all_waits_are_zero(void **state)
{
    struct whatif_waits waits;
    struct whatif_fit fit;
    struct whatif *whatif = make(NULL, 0, &hour);
    (void)state;
    assert_int_equal(whatif_count(whatif), 0);
    whatif_recorded(whatif, &waits);
    assert_waits(&waits, 0, 0, 0);
    assert_replay(whatif, 0, 0, 0, 0);
    assert_replay(whatif, 7, 0, 0, 0);
    assert_int_equal(whatif_fewest(whatif, 0), 0);
    whatif_check(whatif, &fit);
    assert_int_equal(fit.observed, 0);
    assert_true(fit.has_few_jobs);
    whatif_destroy(whatif);
}

static void one_job_waits_for_no_other(void **state)
{
    static const struct whatif_job jobs[] = {JOB(10, 40, 50)};
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_replay(whatif, 1, 0, 0, 0);
    assert_int_equal(whatif_fewest(whatif, 0), 1);
    assert_int_equal(whatif_fewest(whatif, SECONDS(3590)), 0); // it may as well wait
    whatif_destroy(whatif);
}

static void without_runners_nothing_starts(void **state)
{
    static const struct whatif_job jobs[] = {JOB(0, 0, 10), JOB(3000, 3000, 3010)};
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_replay(whatif, 0, 600, 3600, 2);
    whatif_destroy(whatif);
}

static void jobs_none_of_which_started_have_no_known_length(void **state)
{
    static const struct whatif_job jobs[] = {{AT(0), 0, 0}, {AT(600), 0, 0}};
    struct whatif_fit fit;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_replay(whatif, 1, 0, 0, 0);
    whatif_check(whatif, &fit);
    assert_int_equal(fit.observed, 0);
    assert_int_equal(fit.error_percent, 0);
    assert_int_equal(fit.replayed.waiting, 2);
    whatif_destroy(whatif);
}

static void times_that_contradict_each_other_are_corrected(void **state)
{
    // Started before it was ready; ended before it started; with no time of readiness, which holds a runner.
    static const struct whatif_job jobs[] = {
        JOB(100, 50, 200), JOB(300, 310, 305), {0, AT(400), AT(500)}, {AT(450), AT(500), AT(510)}};
    struct whatif_waits waits;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_int_equal(whatif_count(whatif), 3);
    whatif_recorded(whatif, &waits);
    assert_waits(&waits, 10, 50, 50);
    assert_replay(whatif, 1, 0, 50, 0);
    whatif_destroy(whatif);
}

static void jobs_without_a_sound_time_are_left_out(void **state)
{
    static const struct whatif_job jobs[] = {{0, 0, 0},          {-1, AT(1), AT(2)},
                                             {AT(1), -1, AT(2)}, {AT(1), AT(2), INT64_MIN},
                                             {0, 0, AT(3)},      {AT(10), INT64_MAX, INT64_MAX},
                                             {1, 2, INT64_MAX},  JOB(5, 6, 7)};
    struct whatif_waits waits;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    assert_int_equal(whatif_count(whatif),
                     2); // the last, and the one that starts at the end of time
    whatif_recorded(whatif, &waits);
    assert_int_equal(waits.waiting, 1);
    assert_replay(whatif, 3, 0, 0, 0);
    whatif_destroy(whatif);
}

static void a_window_without_time_is_refused(void **state)
{
    static const struct whatif_window windows[] = {
        {AT(1), AT(1)}, {AT(2), AT(1)}, {0, AT(1)}, {-5, 5}, {1, INT64_MAX}};
    (void)state;
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        struct error error;
        struct whatif *whatif;
        assert_int_equal(whatif_create(NULL, 0, &windows[i], &whatif, &error), ERROR_INVALID);
    }
}

static void services_of_ages_do_not_overflow(void **state)
{
    static struct whatif_job jobs[200];
    const struct whatif_window window = {1, INT64_MAX / 8};
    (void)state;
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
        jobs[i] = (struct whatif_job){1 + (int64_t)i, 1 + (int64_t)i, INT64_MAX - (int64_t)i};
    struct whatif *whatif = make(jobs, 200, &window);
    struct whatif_waits waits;
    whatif_replay(whatif, 1, &waits);
    assert_int_equal(waits.waiting, 199);
    assert_true(waits.p99 > 0);
    assert_int_equal(whatif_fewest(whatif, SECONDS(1)), 180);
    whatif_destroy(whatif);
}

static void each_failing_allocation_is_reported(void **state)
{
    static const struct whatif_job jobs[] = {JOB(0, 0, 10)};
    (void)state;
    for (long skip = 0; skip < 3; skip++) {
        struct error error;
        struct whatif *whatif;
        memory_fail_after(skip);
        enum error_code code = whatif_create(jobs, 1, &hour, &whatif, &error);
        memory_fail_after(-1);
        assert_int_equal(code, ERROR_MEMORY);
    }
}

// --- does the model explain the past? -------------------------------------------------------------

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static double exponential(uint64_t *seed, double mean)
{
    double uniform = ((double)(next_random(seed) >> 11) + 0.5) / 9007199254740992.0;
    return -mean * log(uniform);
}

// Serves them on `capacity` runners, first come first served, each `delay` after it was assigned. Written apart from
// the replay: it looks for the first free runner among all. `capacity[1]` holds from `change` on.
static void serve(struct whatif_job *jobs, size_t count, const size_t capacity[2],
                  timestamp_ns change, duration_ns delay)
{
    static timestamp_ns free_at[1000];
    memset(free_at, 0, sizeof free_at);
    for (size_t i = 0; i < count; i++) {
        duration_ns service = jobs[i].ended;
        size_t best = 0;
        size_t runners = jobs[i].ready < change ? capacity[0] : capacity[1];
        for (size_t j = 1; j < runners; j++)
            best = free_at[j] < free_at[best] ? j : best;
        jobs[i].started = timestamp_later(jobs[i].ready, free_at[best]) + delay;
        jobs[i].ended = jobs[i].started + service;
        free_at[best] = jobs[i].ended;
    }
}

// Poisson arrivals, exponential services; `ended` is the service until serve() sets it.
static void generate(struct whatif_job *jobs, size_t count, double interval, double service,
                     uint64_t seed)
{
    double time = 0;
    for (size_t i = 0; i < count; i++) {
        time += exponential(&seed, interval);
        jobs[i].ready = FROM + (timestamp_ns)(time * 1e9);
        jobs[i].ended = (duration_ns)(exponential(&seed, service) * 1e9);
    }
}

static struct whatif_window window_of(const struct whatif_job *jobs, size_t count)
{
    struct whatif_window window = {FROM, FROM + 1};
    for (size_t i = 0; i < count; i++)
        window.until = timestamp_later(window.until, jobs[i].ended + 1);
    return window;
}

#define SERVED 5000
static struct whatif_job served[SERVED];

static struct whatif_fit check_served(const size_t capacity[2], double load, duration_ns delay)
{
    struct whatif_fit fit;
    generate(served, SERVED, 300 / (load * (double)capacity[0]), 300, 42);
    serve(served, SERVED, capacity, served[SERVED / 2].ready, delay);
    const struct whatif_window window = window_of(served, SERVED);
    struct whatif *whatif = make(served, SERVED, &window);
    whatif_check(whatif, &fit);
    whatif_destroy(whatif);
    return fit;
}

static void with_the_observed_number_it_reproduces_constant_pools(void **state)
{
    static const size_t capacities[] = {1, 4, 25};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const size_t capacity[2] = {capacities[i], capacities[i]};
        struct whatif_fit fit = check_served(capacity, 0.9, 0);
        assert_int_equal(fit.observed, capacities[i]);
        assert_int_equal(fit.error_percent, 0);
        assert_true(fit.is_explained);
        assert_int_equal(fit.idle_percent, 0);
        assert_false(fit.has_idle || fit.has_floor || fit.has_few_jobs);
    }
}

static void a_capacity_that_changes_is_noticed(void **state)
{
    const size_t capacity[2] = {20, 14};
    (void)state;
    struct whatif_fit fit = check_served(capacity, 0.8, 0);
    assert_int_equal(fit.observed, 20);
    assert_false(fit.is_explained);
    assert_true(fit.has_idle);
    assert_true(fit.error_percent > WHATIF_ERROR_MAX);
}

static void a_runner_that_is_made_for_each_job_is_noticed(void **state)
{
    const size_t capacity[2] = {900, 900};
    (void)state;
    struct whatif_fit fit = check_served(capacity, 0.02, SECONDS(25));
    assert_false(fit.is_explained);
    assert_int_equal(fit.floor, SECONDS(25));
    assert_true(fit.has_floor);
    assert_false(fit.has_idle); // beyond the floor no job waited
    assert_int_equal(fit.error_percent, 100);
}

static void a_wait_that_all_jobs_have_in_a_crowd_is_not_taken_for_that(void **state)
{
    // All are ready at once, for two runners, the first only after a minute.
    static struct whatif_job jobs[100];
    struct whatif_fit fit;
    (void)state;
    for (int i = 0; i < 100; i++)
        jobs[i] = (struct whatif_job)JOB(0, 60 + i / 2 * 30, 90 + i / 2 * 30);
    struct whatif *whatif = MAKE(jobs);
    whatif_check(whatif, &fit);
    assert_int_equal(fit.observed, 2);
    assert_false(fit.has_floor);
    whatif_destroy(whatif);
}

static void a_job_that_runs_is_replayed_with_its_time_so_far_or_the_median(void **state)
{
    // Three that ended, after 10, 100 and 1000 s; two that run since 50 and since 500 s; one that waits.
    static const struct whatif_job jobs[] = {JOB(0, 0, 10),           JOB(100, 100, 200),
                                             JOB(300, 300, 1300),     {AT(3550), AT(3550), 0},
                                             {AT(3100), AT(3100), 0}, {AT(3500), 0, 0}};
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    // In order: the one of 500 s until the end, the one that waits, the other.
    assert_replay(whatif, 1, 0, 100, 2);
    assert_replay(whatif, 2, 0, 50, 1); // the second runner has the one that waits for 100 s
    assert_replay(whatif, 3, 0, 0, 0);
    whatif_destroy(whatif);
}

static void a_difference_of_two_seconds_is_no_error(void **state)
{
    static const struct whatif_job jobs[] = {JOB(0, 2, 10), JOB(100, 102, 110)};
    struct whatif_fit fit;
    struct whatif *whatif = MAKE(jobs);
    (void)state;
    whatif_check(whatif, &fit);
    assert_true(fit.is_explained);
    assert_int_equal(fit.error_percent, 100);
    whatif_destroy(whatif);
}

// --- Erlang C -------------------------------------------------------------------------------------

// Mean wait in M/M/c, in seconds: C(c, a) / (c mu - lambda), with Erlang's B by its recurrence.
static double erlang_wait(unsigned servers, double load, double service)
{
    double offered = load * servers;
    double blocking = 1;
    for (unsigned i = 1; i <= servers; i++)
        blocking = offered * blocking / (i + offered * blocking);
    double waits = blocking / (1 - load * (1 - blocking));
    return waits * service / (servers * (1 - load));
}

#define REPLICATIONS 20
#define GENERATED 100000

// The mean of independent replications lies within four standard errors of the true mean, and 5 per mille for the
// empty pool that each begins with: chance fails one test in 16,000, and the seeds are fixed.
static void the_mean_wait_of_generated_pools_is_that_of_erlang_c(void **state)
{
    static const struct {
        unsigned servers;
        double load;
    } pools[] = {{1, 0.5}, {1, 0.8}, {2, 0.7}, {5, 0.8}, {10, 0.9}, {50, 0.9}, {100, 0.95}};
    struct whatif_job *jobs = malloc(GENERATED * sizeof *jobs);
    (void)state;
    assert_non_null(jobs);
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        double expected = erlang_wait(pools[i].servers, pools[i].load, 100);
        double sum = 0, squares = 0;
        for (uint64_t seed = 1; seed <= REPLICATIONS; seed++) {
            struct whatif_waits waits;
            generate(jobs, GENERATED, 100 / (pools[i].load * pools[i].servers), 100,
                     seed * 7919 + i);
            for (size_t j = 0; j < GENERATED; j++) {
                jobs[j].started = jobs[j].ready;
                jobs[j].ended += jobs[j].ready;
            }
            const struct whatif_window window = {FROM, jobs[GENERATED - 1].ready + NS_PER_DAY};
            struct whatif *whatif = make(jobs, GENERATED, &window);
            whatif_replay(whatif, pools[i].servers, &waits);
            whatif_destroy(whatif);
            sum += (double)waits.mean / 1e9;
            squares += (double)waits.mean / 1e9 * ((double)waits.mean / 1e9);
        }
        double mean = sum / REPLICATIONS;
        double error = sqrt((squares / REPLICATIONS - mean * mean) / (REPLICATIONS - 1));
        print_message("M/M/%u at %.2f: %.3f s, Erlang C %.3f s, standard error %.3f s\n",
                      pools[i].servers, pools[i].load, mean, expected, error);
        assert_true(fabs(mean - expected) < 4 * error + 0.005 * expected);
    }
    free(jobs);
}

// --- properties -----------------------------------------------------------------------------------

static void more_runners_never_lengthen_a_percentile(void **state)
{
    static struct whatif_job jobs[300];
    uint64_t seed = 99;
    (void)state;
    for (int round = 0; round < 200; round++) {
        size_t count = next_random(&seed) % 300;
        for (size_t i = 0; i < count; i++) {
            timestamp_ns ready = AT((int64_t)(next_random(&seed) % 4000) - 300);
            timestamp_ns started = ready + SECONDS(next_random(&seed) % 60);
            timestamp_ns ended = started + SECONDS(next_random(&seed) % 400);
            uint64_t open = next_random(&seed) % 20;
            jobs[i] = (struct whatif_job){ready, open == 0 ? 0 : started, open <= 1 ? 0 : ended};
        }
        struct whatif *whatif = make(jobs, count, &hour);
        struct whatif_waits before = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, UINT64_MAX};
        uint64_t fewest = whatif_fewest(whatif, SECONDS(30));
        for (uint64_t runners = 0; runners <= count + 1; runners++) {
            struct whatif_waits waits;
            whatif_replay(whatif, runners, &waits);
            assert_true(waits.p50 <= before.p50 && waits.p90 <= before.p90);
            assert_true(waits.p99 <= before.p99 && waits.mean <= before.mean);
            assert_true(waits.waiting <= before.waiting);
            assert_true(waits.p50 <= waits.p90 && waits.p90 <= waits.p99);
            assert_int_equal(waits.p90 <= SECONDS(30), runners >= fewest);
            before = waits;
        }
        assert_int_equal(before.p99, 0);
        whatif_destroy(whatif);
    }
}

// Against serve(), which looks for the first free runner among all.
static void each_replay_is_exact(void **state)
{
    static struct whatif_job jobs[200], as_served[200];
    uint64_t seed = 11;
    (void)state;
    for (int round = 0; round < 300; round++) {
        size_t count = 1 + next_random(&seed) % 200;
        const size_t capacity[2] = {1 + next_random(&seed) % 12, 1};
        generate(jobs, count, 1, 0.9 * (double)capacity[0], next_random(&seed));
        memcpy(as_served, jobs, sizeof jobs);
        serve(as_served, count, capacity, INT64_MAX, 0);
        for (size_t i = 0; i < count; i++)
            jobs[i] =
                (struct whatif_job){jobs[i].ready, jobs[i].ready, jobs[i].ready + jobs[i].ended};
        const struct whatif_window window = window_of(as_served, count);
        struct whatif *whatif = make(jobs, count, &window);
        struct whatif *expected = make(as_served, count, &window);
        struct whatif_waits actual, recorded;
        whatif_replay(whatif, capacity[0], &actual);
        whatif_recorded(expected, &recorded);
        assert_memory_equal(&actual, &recorded, sizeof actual);
        whatif_destroy(whatif);
        whatif_destroy(expected);
    }
}

static void the_order_of_the_jobs_does_not_matter(void **state)
{
    const size_t capacity[2] = {5, 5};
    struct whatif_waits first, second;
    uint64_t seed = 5;
    (void)state;
    generate(served, SERVED, 30, 140, 3);
    serve(served, SERVED, capacity, 0, 0);
    const struct whatif_window window = window_of(served, SERVED);
    struct whatif *whatif = make(served, SERVED, &window);
    whatif_replay(whatif, 4, &first);
    whatif_destroy(whatif);
    for (size_t i = SERVED - 1; i > 0; i--) {
        size_t other = next_random(&seed) % (i + 1);
        struct whatif_job moved = served[i];
        served[i] = served[other];
        served[other] = moved;
    }
    whatif = make(served, SERVED, &window);
    whatif_replay(whatif, 4, &second);
    whatif_destroy(whatif);
    assert_memory_equal(&first, &second, sizeof first);
}

static void a_million_jobs_take_seconds(void **state)
{
    size_t count = 1000000;
    struct whatif_job *jobs = malloc(count * sizeof *jobs);
    struct whatif_fit fit;
    struct whatif_waits waits;
    (void)state;
    assert_non_null(jobs);
    generate(jobs, count, 0.6, 300, 8);
    for (size_t i = 0; i < count; i++) {
        jobs[i].started = jobs[i].ready;
        jobs[i].ended += jobs[i].ready;
    }
    const struct whatif_window window = window_of(jobs, count);
    timestamp_ns begun = timestamp_monotonic();
    struct whatif *whatif = make(jobs, count, &window);
    timestamp_ns created = timestamp_monotonic();
    whatif_replay(whatif, 520, &waits);
    timestamp_ns replayed = timestamp_monotonic();
    uint64_t fewest = whatif_fewest(whatif, SECONDS(60));
    timestamp_ns found = timestamp_monotonic();
    whatif_check(whatif, &fit);
    print_message("a million jobs: created in %d ms, replayed in %d ms, fewest (%d) in %d ms\n",
                  (int)((created - begun) / NS_PER_MS), (int)((replayed - created) / NS_PER_MS),
                  (int)fewest, (int)((found - replayed) / NS_PER_MS));
    assert_true(timestamp_monotonic() - begun < 60 * NS_PER_SECOND); // on a slow, busy machine
    whatif_destroy(whatif);
    free(jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_jobs_at_once_on_one_two_and_four_runners),
        cmocka_unit_test(jobs_start_in_the_order_in_which_they_became_ready),
        cmocka_unit_test(equal_times_and_jobs_of_no_length_are_replayed),
        cmocka_unit_test(a_job_that_runs_when_the_window_begins_holds_its_runner),
        cmocka_unit_test(a_job_that_is_queued_when_the_window_begins_comes_before_later_ones),
        cmocka_unit_test(a_job_that_ran_when_the_window_began_keeps_its_runner_before_queued_ones),
        cmocka_unit_test(a_job_that_ended_before_the_window_holds_no_runner),
        cmocka_unit_test(jobs_that_still_wait_count_with_their_wait_so_far),
        cmocka_unit_test(what_happens_after_the_window_is_not_known_in_it),
        cmocka_unit_test(without_jobs_all_waits_are_zero),
        cmocka_unit_test(one_job_waits_for_no_other),
        cmocka_unit_test(without_runners_nothing_starts),
        cmocka_unit_test(jobs_none_of_which_started_have_no_known_length),
        cmocka_unit_test(times_that_contradict_each_other_are_corrected),
        cmocka_unit_test(jobs_without_a_sound_time_are_left_out),
        cmocka_unit_test(a_window_without_time_is_refused),
        cmocka_unit_test(services_of_ages_do_not_overflow),
        cmocka_unit_test(each_failing_allocation_is_reported),
        cmocka_unit_test(with_the_observed_number_it_reproduces_constant_pools),
        cmocka_unit_test(a_capacity_that_changes_is_noticed),
        cmocka_unit_test(a_runner_that_is_made_for_each_job_is_noticed),
        cmocka_unit_test(a_wait_that_all_jobs_have_in_a_crowd_is_not_taken_for_that),
        cmocka_unit_test(a_job_that_runs_is_replayed_with_its_time_so_far_or_the_median),
        cmocka_unit_test(a_difference_of_two_seconds_is_no_error),
        cmocka_unit_test(the_mean_wait_of_generated_pools_is_that_of_erlang_c),
        cmocka_unit_test(more_runners_never_lengthen_a_percentile),
        cmocka_unit_test(each_replay_is_exact),
        cmocka_unit_test(the_order_of_the_jobs_does_not_matter),
        cmocka_unit_test(a_million_jobs_take_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
