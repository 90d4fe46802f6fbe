// The progress of an open job, from its state alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/trace/lifecycle.h"
#include "ghatrace/trace/merge.h"
#include "ghatrace/trace/timeline.h"
#include "support/scenario.h"

static void apply(struct job_state *job, struct scenario_delivery delivery)
{
    job->phase = JOB_OPEN;
    job->last_received = scenario_at(1000);
    merge_job_event(job, &delivery.event, delivery.guid_time, delivery.digest[0]);
}

static void assert_open_state(const struct job_state *job, enum open_job_kind state, double since)
{
    struct open_job_state open_state;
    open_job_state_of(job, &open_state);
    assert_int_equal(open_state.state, state);
    assert_int_equal(open_state.since, scenario_at(since));
}

static void a_queued_job_is_queued_since_it_was_created(void **state)
{
    struct job_state job = {.phase = JOB_NEW};
    (void)state;
    apply(&job, scenario_job(1, GITHUB_JOB_QUEUED, 3, 2, 2, -1));
    assert_open_state(&job, OPEN_JOB_QUEUED, 2);
}

static void a_gated_job_waits_since_it_was_created_and_is_queued_since_its_release(void **state)
{
    struct job_state job = {.phase = JOB_NEW};
    (void)state;
    apply(&job, scenario_job(1, GITHUB_JOB_WAITING, 3, 2, 2, -1));
    assert_open_state(&job, OPEN_JOB_WAITING, 2);
    apply(&job, scenario_job(1, GITHUB_JOB_QUEUED, 30, 2, 2, -1));
    assert_open_state(&job, OPEN_JOB_QUEUED, 30);
}

static void a_running_job_is_running_since_it_was_started(void **state)
{
    struct job_state job = {.phase = JOB_NEW};
    (void)state;
    apply(&job, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 7, 2, 6, -1));
    assert_open_state(&job, OPEN_JOB_RUNNING, 6);
    apply(&job, scenario_job(1, GITHUB_JOB_QUEUED, 3, 2, 2, -1)); // arrived late
    assert_open_state(&job, OPEN_JOB_RUNNING, 6);
}

static void the_next_best_time_replaces_an_unknown_one(void **state)
{
    struct job_state old = {.phase = JOB_NEW};
    struct job_state bare = {.phase = JOB_NEW};
    (void)state;
    apply(&old, scenario_job(1, GITHUB_JOB_QUEUED, 3, -1, 2, -1));
    assert_open_state(&old, OPEN_JOB_QUEUED, 2); // payloads before 2023: the time of queueing
    apply(&bare, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 7, -1, -1, -1));
    assert_open_state(&bare, OPEN_JOB_RUNNING, 1000); // the receipt of its last event
}

static void only_an_open_job_has_an_open_state(void **state)
{
    static const enum job_phase phases[] = {JOB_NEW, JOB_SETTLING, JOB_CLOSED,
                                            JOB_CLOSED_INCOMPLETE, JOB_CLOSED_LACKING};
    struct job_state job = {.phase = JOB_NEW};
    struct open_job_state open_state;
    (void)state;
    apply(&job, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 7, 2, 6, -1));
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        job.phase = phases[i];
        assert_open_state(&job, OPEN_JOB_NONE, -1);
        open_job_state_of_any(&job, &open_state);
        assert_int_equal(open_state.state, OPEN_JOB_RUNNING);
    }
}

static void a_job_that_never_got_a_runner_was_last_queued(void **state)
{
    struct job_state job = {.phase = JOB_SETTLING};
    struct open_job_state open_state;
    struct scenario_delivery refused = scenario_job(1, GITHUB_JOB_COMPLETED, 9, 2, 6, 9);
    (void)state;
    scenario_set_runner(&refused, 0, "");
    scenario_set_conclusion(&refused, "failure");
    apply(&job, refused);
    open_job_state_of_any(&job, &open_state);
    assert_int_equal(open_state.state, OPEN_JOB_QUEUED);
    assert_int_equal(open_state.since, scenario_at(2));
}

// A state with a deadline waits for something, and one without for nothing: descriptions and times are tested with
// the same cases.
static void every_state_with_a_deadline_has_a_description_of_its_wait(void **state)
{
    const struct trace_policy policy = {.root_grace = 10 * NS_PER_SECOND,
                                        .job_grace = 10 * NS_PER_MINUTE,
                                        .job_timeout = 6 * NS_PER_DAY,
                                        .approval_timeout = 35 * NS_PER_DAY,
                                        .run_idle = NS_PER_HOUR,
                                        .linger = 3 * NS_PER_DAY};
    (void)state;
    for (int bits = 0; bits < 16; bits++) {
        struct run_state run = {.seen = bits & 1,
                                .is_completed = (bits & 2) != 0,
                                .open_jobs = (bits & 4) != 0,
                                .last_received = scenario_at(2),
                                .completed_received = (bits & 2) != 0 ? scenario_at(2) : 0};
        struct job_state job = {.seen = bits & 1,
                                .created_at = (bits & 8) != 0 ? scenario_at(2) : 0,
                                .last_received = scenario_at(2),
                                .settling_since = scenario_at(2),
                                .closed_at = scenario_at(2),
                                .assigned_at = (bits & 8) != 0 ? scenario_at(2) : 0,
                                .arc_wait_since = (bits & 4) != 0 ? scenario_at(2) : 0};
        for (int phase = RUN_NEW; phase <= RUN_REMEMBERED; phase++) {
            run.phase = (enum run_phase)phase;
            bool has_deadline = lifecycle_run_deadline(&policy, &run) != TIMESTAMP_UNKNOWN;
            assert_int_equal(strcmp(lifecycle_run_waits_for(&run), "nothing") != 0, has_deadline);
        }
        for (int phase = JOB_NEW; phase <= JOB_CLOSED_LACKING; phase++) {
            job.phase = (enum job_phase)phase;
            bool has_deadline = lifecycle_job_deadline(&policy, &run, &job) != TIMESTAMP_UNKNOWN;
            const char *words = lifecycle_job_waits_for(&run, &job);
            assert_int_equal(strcmp(words, "nothing") != 0, has_deadline);
            assert_int_equal(strstr(words, "deadline") != NULL, has_deadline);
        }
    }
}

// --- when an event happened -----------------------------------------------------------------------

static void the_time_in_a_guid_counts_from_a_second_before_the_creation_to_the_receipt(void **state)
{
    const timestamp_ns created = scenario_at(100), received = scenario_at(160);
    const struct {
        timestamp_ns guid_time;
        bool counts;
    } cases[] = {
        {scenario_at(99) - 1, false},
        {scenario_at(99), true},
        {created, true},
        {received, true},
        {received + 1, false},
        {scenario_at(130), true},
        {scenario_at(1), false},
        {TIMESTAMP_UNKNOWN, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(lifecycle_occurred_at(created, cases[i].guid_time, received),
                         cases[i].counts ? cases[i].guid_time : received);
    assert_int_equal(lifecycle_occurred_at(TIMESTAMP_UNKNOWN, scenario_at(1), received),
                     scenario_at(1));
    assert_int_equal(lifecycle_occurred_at(TIMESTAMP_UNKNOWN, TIMESTAMP_UNKNOWN, received),
                     received);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            the_time_in_a_guid_counts_from_a_second_before_the_creation_to_the_receipt),
        cmocka_unit_test(a_queued_job_is_queued_since_it_was_created),
        cmocka_unit_test(a_gated_job_waits_since_it_was_created_and_is_queued_since_its_release),
        cmocka_unit_test(a_running_job_is_running_since_it_was_started),
        cmocka_unit_test(the_next_best_time_replaces_an_unknown_one),
        cmocka_unit_test(only_an_open_job_has_an_open_state),
        cmocka_unit_test(a_job_that_never_got_a_runner_was_last_queued),
        cmocka_unit_test(every_state_with_a_deadline_has_a_description_of_its_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
