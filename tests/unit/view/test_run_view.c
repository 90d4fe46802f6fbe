// The view of a run attempt: from stored spans, from states, from the list of finished runs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/view/run_view.h"
#include "support/engine_bench.h"
#include "support/foreign_spans.h"

#define QUEUED GITHUB_JOB_QUEUED
#define WAITING GITHUB_JOB_WAITING
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

struct fixture {
    struct engine_bench bench;
    struct store_transaction *transaction; // of the view that was loaded last
    struct arena arena;
    struct run_view view;
    struct run_view_limits limits;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    engine_bench_open(&f->bench);
    f->bench.options.has_receiver = true;
    engine_bench_restart(&f->bench);
    arena_init(&f->arena, 4096);
    f->limits = (struct run_view_limits){.jobs = 100, .steps = true, .now = scenario_at(100)};
    *state = f;
    return 0;
}

static void close_view(struct fixture *f)
{
    if (f->transaction != NULL)
        store_abort(f->transaction);
    f->transaction = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    close_view(f);
    arena_release(&f->arena);
    engine_bench_close(&f->bench);
    test_free(f);
    return 0;
}

static void deliver(struct fixture *f, struct scenario_delivery delivery)
{
    close_view(f);
    engine_bench_accept(&f->bench, &delivery);
}

static const struct stored_run *usual(int64_t run_attempt)
{
    static struct stored_run run;
    run = stored_run_of(SLICE_EMPTY, SCENARIO_RUN_ID, run_attempt);
    return &run;
}

static const struct view_reader *reader_of(struct fixture *f)
{
    static struct view_reader reader;
    reader = (struct view_reader){f->transaction, &f->arena, &f->error};
    return &reader;
}

static enum error_code try_to_load(struct fixture *f, int64_t run_attempt)
{
    close_view(f);
    assert_int_equal(store_begin(f->bench.store, false, &f->transaction, &f->error), ERROR_NONE);
    return run_view_load(reader_of(f), usual(run_attempt), &f->limits, &f->view);
}

static void load(struct fixture *f)
{
    assert_int_equal(try_to_load(f, 1), ERROR_NONE);
}

static const struct run_view_job *find_job(const struct fixture *f, int64_t job_id)
{
    for (size_t i = 0; i < f->view.count; i++)
        if (f->view.jobs[i].job_id == job_id)
            return &f->view.jobs[i];
    fail_msg("no such job");
    return NULL;
}

static void assert_text(struct slice text, const char *expected)
{
    if (!slice_equals(text, slice_from_string(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARGS(text), expected);
}

// Seconds after the start; negative: unknown.
static void assert_phase(const struct run_view_job *job, enum view_phase phase, double start,
                         double end)
{
    assert_int_equal(job->phases[phase].start, scenario_at(start));
    assert_int_equal(job->phases[phase].end, scenario_at(end));
}

static void assert_no_phase(const struct run_view_job *job, enum view_phase phase)
{
    assert_phase(job, phase, -1, -1);
}

// --- jobs -----------------------------------------------------------------------------------------

static void a_queued_job_is_queued_until_now(void **state)
{
    struct fixture *f = *state;
    deliver(f, scenario_job(1, QUEUED, 3, 2, 2, -1));
    load(f);
    const struct run_view_job *job = find_job(f, 1);
    assert_int_equal(job->open_state, OPEN_JOB_QUEUED);
    assert_phase(job, PHASE_QUEUE, 2, -1);
    assert_no_phase(job, PHASE_WAITING);
    assert_no_phase(job, PHASE_STARTUP);
    assert_no_phase(job, PHASE_EXECUTION);
    assert_int_equal(job->started_at, TIMESTAMP_UNKNOWN);
    assert_int_equal(job->ended_at, TIMESTAMP_UNKNOWN);
    assert_int_equal(job->result.len, 0);
    assert_int_equal(job->label_count, 2);
}

static void a_waiting_job_waits_until_now_and_is_queued_after_its_release(void **state)
{
    struct scenario_delivery waiting = scenario_job(1, WAITING, 3, 2, 2, -1);
    struct scenario_delivery queued = scenario_job(1, QUEUED, 50, 2, 50, -1);
    struct fixture *f = *state;
    scenario_set_deployment(&waiting, 5, "production");
    scenario_set_deployment(&queued, 5, "production");
    deliver(f, waiting);
    load(f);
    assert_int_equal(find_job(f, 1)->open_state, OPEN_JOB_WAITING);
    assert_phase(find_job(f, 1), PHASE_WAITING, 2, -1);
    assert_no_phase(find_job(f, 1), PHASE_QUEUE);
    assert_text(find_job(f, 1)->environment, "production");
    deliver(f, queued);
    load(f);
    assert_int_equal(find_job(f, 1)->open_state, OPEN_JOB_QUEUED);
    assert_phase(find_job(f, 1), PHASE_WAITING, 2, 50);
    assert_phase(find_job(f, 1), PHASE_QUEUE, 50, -1);
}

static void a_running_job_has_its_steps_so_far(void **state)
{
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                        scenario_step(2, "make", 9, -1, "")};
    struct scenario_delivery running = scenario_job(1, IN_PROGRESS, 10, 2, 6, -1);
    struct fixture *f = *state;
    scenario_set_steps(&running, steps, 2);
    deliver(f, running);
    load(f);
    const struct run_view_job *job = find_job(f, 1);
    assert_int_equal(job->open_state, OPEN_JOB_RUNNING);
    assert_phase(job, PHASE_QUEUE, 2, 6);
    assert_phase(job, PHASE_STARTUP, 6, 9);
    assert_phase(job, PHASE_EXECUTION, 9, -1);
    assert_int_equal(job->started_at, scenario_at(6));
    assert_text(job->runner_name, "runner-7");
    assert_int_equal(job->step_count, 2);
    assert_text(job->steps[0].result, "success");
    assert_int_equal(job->steps[1].time.end, TIMESTAMP_UNKNOWN);
    assert_int_equal(job->steps[1].result.len, 0);
}

static void a_finished_job_is_read_from_its_spans(void **state)
{
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                        scenario_step(2, "make", 9, 50, "failure"),
                                        scenario_step(3, "upload", 50, 50, "skipped")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 61, 2, 6, 60);
    struct fixture *f = *state;
    scenario_set_steps(&completed, steps, 3);
    scenario_set_conclusion(&completed, "failure");
    deliver(f, completed);
    load(f);
    const struct run_view_job *job = find_job(f, 1);
    assert_int_equal(job->open_state, OPEN_JOB_NONE);
    assert_text(job->result, "failure");
    assert_text(job->conclusion, "failure");
    assert_text(job->error_type, "failure");
    assert_text(job->failed_step->name, "make");
    assert_phase(job, PHASE_QUEUE, 2, 6);
    assert_phase(job, PHASE_STARTUP, 6, 9);
    assert_phase(job, PHASE_EXECUTION, 9, 60);
    assert_int_equal(job->started_at, scenario_at(6));
    assert_int_equal(job->ended_at, scenario_at(60));
    assert_int_equal(job->label_count, 2);
    assert_int_equal(job->step_count, 3);
    assert_int_equal(job->steps[1].number, 2);
    assert_text(job->steps[1].name, "make");
    assert_text(job->steps[1].result, "failure");
    assert_int_equal(job->steps[1].time.end, scenario_at(50));
    assert_text(job->steps[2].result, "skip");
}

static void assign(struct fixture *f, int64_t job_id, double seconds)
{
    close_view(f);
    engine_bench_assign(&f->bench, job_id, seconds);
}

// Its runner.* spans are in a record of their own; the newest counts.
static void a_job_that_arc_assigned_has_the_queue_and_start_of_others(void **state)
{
    static const struct slice every_runner[] = {{"*", 1}};
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                        scenario_step(2, "make", 9, 50, "success")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    struct scenario_delivery again = scenario_job(1, COMPLETED, 70, 2, 6, 70);
    struct fixture *f = *state;
    f->bench.options.policy.arc_runners = (struct runner_globs){every_runner, 1};
    close_view(f);
    engine_bench_restart(&f->bench);
    assign(f, 1, 4);
    assert_int_equal(try_to_load(f, 1), ERROR_NOT_FOUND);
    scenario_set_steps(&completed, steps, 2);
    scenario_set_steps(&again, steps, 2);
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            assign(f, 1, 3);
        else
            deliver(f, i == 0 ? completed : again);
        load(f);
        const struct run_view_job *job = find_job(f, 1);
        assert_int_equal(f->view.count, 1);
        assert_phase(job, PHASE_QUEUE, 2, i == 0 ? 4 : 3);
        assert_phase(job, PHASE_STARTUP, i == 0 ? 4 : 3, 9);
        assert_phase(job, PHASE_EXECUTION, 9, i == 2 ? 70 : 60);
        assert_int_equal(job->started_at, scenario_at(6));
        assert_int_equal(job->queue, 4 * NS_PER_SECOND);
        assert_int_equal(job->step_count, 2);
    }
}

static void of_overlapping_steps_the_first_to_end_is_the_failed_one(void **state)
{
    // A step that waits for others ends with them, in the same second at the earliest; with or without a name of its
    // own.
    const struct github_step steps[] = {
        scenario_step(2, "unit", 9, 50, "failure"), scenario_step(3, "lint", 9, 51, "failure"),
        scenario_step(4, "Wait for all background steps", 9, 20, "failure"),
        scenario_step(5, "wait for unit", 9, 50, "failure"),
        scenario_step(6, "database", 9, 10, "cancelled")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 61, 2, 6, 60);
    struct fixture *f = *state;
    scenario_set_steps(&completed, steps, 5);
    scenario_set_conclusion(&completed, "failure");
    deliver(f, completed);
    load(f);
    assert_text(find_job(f, 1)->failed_step->name, "unit");
}

static void a_lost_runner_is_the_failure(void **state)
{
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                        scenario_step(2, "unit", 9, 50, "failure"),
                                        scenario_step(3, "database", 9, -1, "")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 61, 2, 6, 60);
    struct fixture *f = *state;
    scenario_set_steps(&completed, steps, 3);
    scenario_set_conclusion(&completed, "failure");
    deliver(f, completed);
    load(f);
    assert_text(find_job(f, 1)->result, "error");
    assert_text(find_job(f, 1)->conclusion, "failure");
    assert_text(find_job(f, 1)->error_type, "runner_lost");
    assert_null(find_job(f, 1)->failed_step);
}

static void assert_refused(const struct run_view_job *job)
{
    assert_text(job->result, "error");
    assert_text(job->error_type, "not_started");
    assert_phase(job, PHASE_QUEUE, 2, 6);
    assert_no_phase(job, PHASE_STARTUP);
    assert_no_phase(job, PHASE_EXECUTION);
    assert_int_equal(job->started_at, TIMESTAMP_UNKNOWN);
    assert_int_equal(job->ended_at, scenario_at(6));
}

// A job that settles has no spans yet, and where runner spans are off they do not show its phases.
static void a_refused_job_never_started_in_states_and_in_spans(void **state)
{
    struct scenario_delivery refused = scenario_job(1, COMPLETED, 6, 2, 3, 6);
    struct fixture *f = *state;
    scenario_set_runner(&refused, 0, "");
    scenario_set_conclusion(&refused, "failure");
    refused.event.job.workflow_name = SLICE_EMPTY; // not known before an event of the run
    deliver(f, refused);
    load(f);
    assert_refused(find_job(f, 1));
    deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 7, "failure"));
    engine_bench_advance(&f->bench, NS_PER_MINUTE);
    load(f);
    assert_refused(find_job(f, 1));
}

static void a_refused_job_never_started_without_runner_spans(void **state)
{
    struct scenario_delivery refused = scenario_job(1, COMPLETED, 6, 2, 3, 6);
    struct fixture *f = *state;
    scenario_set_runner(&refused, 0, "");
    scenario_set_conclusion(&refused, "failure");
    f->bench.options.policy.runner_spans = false;
    engine_bench_restart(&f->bench);
    deliver(f, refused);
    load(f);
    assert_refused(find_job(f, 1));
}

// Where the runner sends the job's span, the phases show the job.
static void a_job_without_its_span_is_shown_by_its_phases(void **state)
{
    static const struct slice all = {"*", 1};
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                        scenario_step(2, "unit", 9, 50, "failure")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 61, 2, 6, 60);
    struct scenario_delivery skipped = scenario_job(2, COMPLETED, 61, 60, 60, 60);
    struct fixture *f = *state;
    scenario_set_steps(&completed, steps, 2);
    scenario_set_conclusion(&completed, "failure");
    scenario_set_runner(&skipped, 0, "");
    scenario_set_conclusion(&skipped, "skipped");
    f->bench.options.policy.job_spans_off = (struct runner_globs){&all, 1};
    engine_bench_restart(&f->bench);
    deliver(f, completed);
    deliver(f, skipped);
    deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure"));
    load(f);
    assert_int_equal(f->view.count, 2);
    const struct run_view_job *job = find_job(f, 1);
    assert_text(job->name, "build");
    assert_text(job->conclusion, "failure");
    assert_text(job->runner_name, "runner-7");
    assert_int_equal(job->created_at, scenario_at(2));
    assert_int_equal(job->ended_at, scenario_at(60));
    assert_int_equal(job->step_count, 2);
    assert_text(job->failed_step->name, "unit");
    assert_phase(job, PHASE_QUEUE, 2, 6);
    assert_phase(job, PHASE_STARTUP, 6, 9);
    assert_phase(job, PHASE_EXECUTION, 9, 60);
    assert_text(find_job(f, 2)->conclusion, "skipped");
}

// Names are cleaned for terminals only; here they are as GitHub sent them, open or finished.
static void names_are_the_same_before_and_after_the_end(void **state)
{
    // A woman astronaut (two characters joined by an invisible one), a tab, a mark that reverses the direction of
    // text.
    static const char name[] = "\U0001F469\u200D\U0001F680\t\u202Etest";
    const struct github_step steps[] = {scenario_step(1, name, 6, 60, "success")};
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        struct scenario_delivery delivery = i == 0 ? scenario_job(1, IN_PROGRESS, 10, 2, 6, -1)
                                                   : scenario_job(1, COMPLETED, 61, 2, 6, 60);
        delivery.event.job.name = slice_from_string(name);
        scenario_set_steps(&delivery, steps, 1);
        deliver(f, delivery);
        load(f);
        assert_text(find_job(f, 1)->name, name);
        assert_text(find_job(f, 1)->steps[0].name, name);
    }
}

static void a_job_that_was_carried_over_is_marked(void **state)
{
    struct scenario_delivery again = scenario_job(2, COMPLETED, 200, 199, 6, 60);
    struct fixture *f = *state;
    deliver(f, scenario_job(1, COMPLETED, 61, 2, 6, 60));
    deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    scenario_set_attempt(&again, 2);
    deliver(f, again);
    assert_int_equal(try_to_load(f, 2), ERROR_NONE);
    assert_true(find_job(f, 2)->is_carried_over);
    load(f);
    assert_false(find_job(f, 1)->is_carried_over);
}

static void a_job_that_was_given_up_is_incomplete_and_appears_once(void **state)
{
    struct fixture *f = *state;
    deliver(f, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(f, scenario_job(1, IN_PROGRESS, 10, 2, 6, -1));
    deliver(f, scenario_job(2, COMPLETED, 61, 2, 6, 60));
    deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure"));
    engine_bench_advance(&f->bench, NS_PER_HOUR);
    load(f);
    assert_int_equal(f->view.count, 2);
    assert_true(find_job(f, 1)->is_incomplete);
    assert_int_equal(find_job(f, 1)->open_state, OPEN_JOB_NONE);
    assert_false(find_job(f, 2)->is_incomplete);
}

static void open_and_finished_jobs_are_ordered_together_by_creation(void **state)
{
    struct fixture *f = *state;
    deliver(f, scenario_job(5, QUEUED, 5, 4, 4, -1));
    deliver(f, scenario_job(9, COMPLETED, 61, 2, 6, 60));
    deliver(f, scenario_job(3, IN_PROGRESS, 10, 4, 9, -1));
    load(f);
    assert_int_equal(f->view.count, 3);
    assert_int_equal(f->view.jobs[0].job_id, 9);
    assert_int_equal(f->view.jobs[1].job_id, 3);
    assert_int_equal(f->view.jobs[2].job_id, 5);
}

// --- limits ---------------------------------------------------------------------------------------

static void jobs_beyond_the_limit_are_left_out_but_counted(void **state)
{
    struct fixture *f = *state;
    for (int64_t id = 1; id <= 5; id++)
        deliver(f, scenario_job(id, QUEUED, 3, 2, 2, -1));
    for (int64_t id = 6; id <= 9; id++)
        deliver(f, scenario_job(id, COMPLETED, 61, 2, 6, 60));
    for (size_t limit = 0; limit <= 10; limit++) {
        f->limits.jobs = limit;
        load(f);
        assert_true(f->view.count <= limit + 1);
        assert_true(f->view.count >= (limit < 9 ? limit : 9));
        assert_int_equal(f->view.job_count, 9);
        assert_text(f->view.repository, "octo/Hello_World");
    }
}

static void jobs_beyond_a_number_of_bytes_are_left_out_but_counted(void **state)
{
    struct fixture *f = *state;
    for (int64_t id = 1; id <= 5; id++)
        deliver(f, scenario_job(id, QUEUED, 3, 2, 2, -1));
    for (int64_t id = 6; id <= 9; id++)
        deliver(f, scenario_job(id, COMPLETED, 61, 2, 6, 60));
    load(f);
    size_t all = f->view.bytes_read;
    for (size_t bytes = 1; bytes <= all; bytes += 100) {
        f->limits.bytes = bytes;
        load(f);
        assert_true(f->view.bytes_read >= bytes && f->view.bytes_read < bytes + all / 2);
        assert_int_equal(f->view.count == 9, f->view.bytes_read == all);
        assert_int_equal(f->view.job_count, 9);
    }
    f->limits.bytes = 1;
    load(f);
    assert_int_equal(f->view.count, 1);
}

static void steps_are_left_out_if_they_are_not_requested(void **state)
{
    const struct github_step steps[] = {scenario_step(1, "make", 6, 50, "success")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 61, 2, 6, 60);
    struct scenario_delivery running = scenario_job(2, IN_PROGRESS, 10, 2, 6, -1);
    struct fixture *f = *state;
    scenario_set_steps(&completed, steps, 1);
    scenario_set_steps(&running, steps, 1);
    deliver(f, completed);
    deliver(f, running);
    f->limits.steps = false;
    load(f);
    assert_int_equal(find_job(f, 1)->step_count, 0);
    assert_int_equal(find_job(f, 2)->step_count, 0);
    assert_phase(find_job(f, 1), PHASE_EXECUTION, 6, 60);
}

// --- the run --------------------------------------------------------------------------------------

static void a_run_without_jobs_is_described_by_its_own_events(void **state)
{
    struct fixture *f = *state;
    deliver(f, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    load(f);
    assert_true(f->view.is_open);
    assert_text(f->view.repository, "octo/Hello_World");
    assert_text(f->view.workflow, "CI");
    assert_text(f->view.title, "fix the build");
    assert_text(f->view.actor, "mona");
    assert_text(f->view.url, "https://github.com/octo/Hello_World/actions/runs/33714470481");
    assert_int_equal(f->view.run_number, 75);
    assert_int_equal(f->view.start, scenario_at(0));
    assert_int_equal(f->view.end, TIMESTAMP_UNKNOWN);
    assert_int_equal(f->view.job_count, 0);
    assert_int_equal(f->view.count, 0);
}

static void a_run_without_events_is_described_by_its_jobs(void **state)
{
    struct fixture *f = *state;
    deliver(f, scenario_job(1, QUEUED, 3, 2, 2, -1));
    load(f);
    assert_true(f->view.is_open);
    assert_text(f->view.repository, "octo/Hello_World");
    assert_text(f->view.workflow, "CI");
    assert_text(f->view.branch, "main");
    assert_int_equal(f->view.title.len, 0);
    assert_int_equal(f->view.run_number, 0);
    assert_int_equal(f->view.start, scenario_at(2));
    assert_int_equal(f->view.job_count, 1);
}

static void a_second_attempt_has_its_own_url(void **state)
{
    struct scenario_delivery again = scenario_run(GITHUB_RUN_REQUESTED, 100, "");
    struct fixture *f = *state;
    scenario_set_attempt(&again, 2);
    deliver(f, again);
    assert_int_equal(try_to_load(f, 2), ERROR_NONE);
    assert_text(f->view.url,
                "https://github.com/octo/Hello_World/actions/runs/33714470481/attempts/2");
}

static void a_finished_run_has_its_result_and_the_chain_of_its_jobs(void **state)
{
    struct fixture *f = *state;
    deliver(f, scenario_job(1, COMPLETED, 31, 2, 6, 30));
    deliver(f, scenario_job(2, COMPLETED, 21, 2, 6, 20));
    deliver(f, scenario_job(3, COMPLETED, 61, 30, 33, 60));
    load(f);
    for (size_t i = 0; i < f->view.count; i++)
        assert_false(f->view.jobs[i].is_critical); // not before the end
    deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    load(f);
    assert_false(f->view.is_open);
    assert_text(f->view.result, "success");
    assert_text(f->view.conclusion, "success");
    assert_text(f->view.title, "fix the build");
    assert_int_equal(f->view.start, scenario_at(0));
    assert_int_equal(f->view.end, scenario_at(62));
    assert_int_equal(f->view.job_count, 3);
    assert_true(find_job(f, 1)->is_critical);
    assert_false(find_job(f, 2)->is_critical);
    assert_true(find_job(f, 3)->is_critical);
}

// The list of finished runs is cut first when room runs short; the spans may still be there.
static void a_finished_run_that_is_no_longer_listed_is_read_from_its_root(void **state)
{
    struct fixture *f = *state;
    struct store_transaction *transaction;
    size_t dropped;
    deliver(f, scenario_job(1, COMPLETED, 61, 2, 6, 60));
    deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure"));
    assert_int_equal(store_begin(f->bench.store, true, &transaction, &f->error), ERROR_NONE);
    assert_int_equal(recent_expire(transaction, INT64_MAX, 10, &dropped, &f->error), ERROR_NONE);
    assert_int_equal(dropped, 1);
    assert_int_equal(store_commit(transaction, &f->error), ERROR_NONE);
    load(f);
    assert_false(f->view.is_open);
    assert_text(f->view.repository, "octo/Hello_World");
    assert_text(f->view.title, "fix the build");
    assert_text(f->view.conclusion, "failure");
    assert_text(f->view.result, "failure");
    assert_int_equal(f->view.end, scenario_at(62));
}

static void the_trace_is_that_of_the_scheme_that_is_exported(void **state)
{
    struct fixture *f = *state;
    deliver(f, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    for (enum id_scheme scheme = ID_SCHEME_ARC; scheme <= ID_SCHEME_RUNNER; scheme++) {
        struct trace_id expected = trace_id_of_run(scheme, SCENARIO_RUN_ID, 1);
        f->limits.id_scheme = scheme;
        load(f);
        assert_memory_equal(&f->view.trace, &expected, sizeof expected);
    }
}

// --- states alone ---------------------------------------------------------------------------------

static enum error_code next(struct fixture *f, struct store_key *key, size_t *states)
{
    return run_view_next(reader_of(f), key, &f->limits, &f->view, states);
}

static void runs_are_read_from_their_states_one_after_the_other(void **state)
{
    struct scenario_delivery again = scenario_job(9, QUEUED, 80, 79, 79, -1);
    struct fixture *f = *state;
    struct store_key key = {.trace = {{0}}};
    size_t states = 0, found = 0;
    deliver(f, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(f, scenario_job(1, IN_PROGRESS, 10, 2, 6, -1));
    deliver(f, scenario_job(2, COMPLETED, 61, 2, 6, 60));
    scenario_set_attempt(&again, 2);
    deliver(f, again);
    load(f);
    enum error_code code;
    while ((code = next(f, &key, &states)) == ERROR_NONE) {
        bool is_first = f->view.run_attempt == 1;
        assert_int_equal(f->view.run_id, SCENARIO_RUN_ID);
        assert_true(f->view.is_open && f->view.has_state);
        assert_text(f->view.repository, "octo/Hello_World");
        assert_int_equal(f->view.start, scenario_at(is_first ? 0 : 79));
        assert_int_equal(f->view.count, 1);
        assert_int_equal(f->view.jobs[0].job_id, is_first ? 1 : 9);
        assert_int_equal(f->view.jobs[0].last_open.state,
                         is_first ? OPEN_JOB_RUNNING : OPEN_JOB_QUEUED);
        found++;
    }
    assert_int_equal(code, ERROR_NOT_FOUND);
    assert_int_equal(found, 2);
    assert_true(states >= 4);
}

// The run's root was sent without it, and it has not been given up yet.
static void an_open_job_of_a_closed_run_has_the_names_of_the_run(void **state)
{
    struct fixture *f = *state;
    struct store_key key = {.trace = {{0}}};
    size_t states = 0;
    deliver(f, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(f, scenario_job(1, IN_PROGRESS, 10, 2, 6, -1));
    deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure"));
    engine_bench_advance(&f->bench, 20 * NS_PER_SECOND);
    load(f);
    assert_false(f->view.is_open);
    assert_int_equal(next(f, &key, &states), ERROR_NONE);
    assert_false(f->view.is_open);
    assert_text(f->view.repository, "octo/Hello_World");
    assert_text(f->view.workflow, "CI");
    assert_int_equal(f->view.count, 1);
    assert_int_equal(next(f, &key, &states), ERROR_NOT_FOUND);
}

// --- existence ------------------------------------------------------------------------------------

static void an_attempt_is_found_when_anything_of_it_is_stored(void **state)
{
    struct fixture *f = *state;
    struct run_selector question = {.run_id = SCENARIO_RUN_ID, .run_attempt = 1};
    struct found_run runs[FOUND_RUNS_MAX];
    size_t count;
    deliver(f, scenario_job(1, COMPLETED, 61, 2, 6, 60));
    load(f);
    assert_int_equal(run_lookup(reader_of(f), &question, runs, &count), ERROR_NONE);
    assert_int_equal(count, 1);
    question.run_attempt = 2;
    assert_int_equal(run_lookup(reader_of(f), &question, runs, &count), ERROR_NONE);
    assert_int_equal(count, 0);
    assert_int_equal(try_to_load(f, 2), ERROR_NOT_FOUND);
}

static void the_spans_of_a_finished_run_are_one_request(void **state)
{
    struct fixture *f = *state;
    struct buffer request;
    struct span_batch batch;
    buffer_init(&request, 1 << 20);
    deliver(f, scenario_job(1, QUEUED, 3, 2, 2, -1));
    load(f);
    assert_int_equal(run_view_load_spans(reader_of(f), usual(1), &request), ERROR_NOT_FOUND);
    deliver(f, scenario_job(1, COMPLETED, 61, 2, 6, 60));
    load(f);
    assert_int_equal(run_view_load_spans(reader_of(f), usual(1), &request), ERROR_NONE);
    assert_int_equal(otlp_decode_batch(buffer_slice(&request), &f->arena, &batch, &f->error),
                     ERROR_NONE);
    assert_int_equal(batch.span_count, 3); // the job, its queue, its execution
    buffer_release(&request);
}

static void spans_of_other_programs_are_not_part_of_a_run(void **state)
{
    static struct foreign_request foreign;
    struct fixture *f = *state;
    struct buffer request;
    const struct trace_id trace = trace_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1);
    buffer_init(&request, 1 << 20);
    f->bench.options.has_receiver = true;
    engine_bench_restart(&f->bench);
    deliver(f, scenario_job(1, COMPLETED, 61, 2, 6, 60));
    deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    foreign_start(&foreign);
    foreign_add_scope(&foreign, "tests", "pytest");
    foreign_add_span(&foreign, &trace, foreign_id(1001), 10);
    assert_int_equal(foreign_send(&f->bench, &foreign), ENGINE_ACCEPTED);
    assert_int_equal(foreign.outcomes[0], FORWARD_ACCEPTED);
    load(f);
    assert_int_equal(f->view.count, 1);
    assert_int_equal(f->view.jobs[0].job_id, 1);
    assert_int_equal(run_view_load_spans(reader_of(f), usual(1), &request), ERROR_NONE);
    assert_true(slice_find(buffer_slice(&request), SLICE("pytest")) < 0);
    buffer_release(&request);
}

static void any_refused_allocation_is_an_error_with_a_message(void **state)
{
    struct fixture *f = *state;
    bool is_done = false;
    deliver(f, scenario_job(1, QUEUED, 3, 2, 2, -1));
    deliver(f, scenario_job(2, COMPLETED, 61, 2, 6, 60));
    deliver(f, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    load(f);
    for (long nth = 1; !is_done; nth++) {
        arena_release(&f->arena);
        f->error = (struct error){0};
        memory_fail_after(nth);
        enum error_code code = run_view_load(reader_of(f), usual(1), &f->limits, &f->view);
        memory_fail_after(-1);
        is_done = code == ERROR_NONE;
        assert_true(is_done || code == ERROR_MEMORY);
        assert_true(is_done || f->error.message[0] != '\0');
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queued_job_is_queued_until_now),
        TEST(a_waiting_job_waits_until_now_and_is_queued_after_its_release),
        TEST(a_running_job_has_its_steps_so_far),
        TEST(a_finished_job_is_read_from_its_spans),
        TEST(a_job_that_arc_assigned_has_the_queue_and_start_of_others),
        TEST(of_overlapping_steps_the_first_to_end_is_the_failed_one),
        TEST(a_lost_runner_is_the_failure),
        TEST(a_refused_job_never_started_in_states_and_in_spans),
        TEST(a_refused_job_never_started_without_runner_spans),
        TEST(a_job_without_its_span_is_shown_by_its_phases),
        TEST(names_are_the_same_before_and_after_the_end),
        TEST(a_job_that_was_carried_over_is_marked),
        TEST(a_job_that_was_given_up_is_incomplete_and_appears_once),
        TEST(open_and_finished_jobs_are_ordered_together_by_creation),
        TEST(jobs_beyond_the_limit_are_left_out_but_counted),
        TEST(jobs_beyond_a_number_of_bytes_are_left_out_but_counted),
        TEST(steps_are_left_out_if_they_are_not_requested),
        TEST(a_run_without_jobs_is_described_by_its_own_events),
        TEST(a_run_without_events_is_described_by_its_jobs),
        TEST(a_second_attempt_has_its_own_url),
        TEST(a_finished_run_has_its_result_and_the_chain_of_its_jobs),
        TEST(a_finished_run_that_is_no_longer_listed_is_read_from_its_root),
        TEST(the_trace_is_that_of_the_scheme_that_is_exported),
        TEST(runs_are_read_from_their_states_one_after_the_other),
        TEST(an_open_job_of_a_closed_run_has_the_names_of_the_run),
        TEST(an_attempt_is_found_when_anything_of_it_is_stored),
        TEST(the_spans_of_a_finished_run_are_one_request),
        TEST(spans_of_other_programs_are_not_part_of_a_run),
        TEST(any_refused_allocation_is_an_error_with_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
