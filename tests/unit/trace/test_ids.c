// The IDs that other producers compute, as published vectors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/trace/ids.h"

static const struct job_key job = {
    .run_id = 33714470481,
    .run_attempt = 1,
    .job_id = 100520616165,
    .job_name = {"build / linux (22.04)", 21},
};

static void assert_trace(struct trace_id id, const char *expected)
{
    char text[2 * TRACE_ID_SIZE + 1];
    hex_encode(id.bytes, TRACE_ID_SIZE, text);
    assert_string_equal(text, expected);
}

static void assert_span(struct span_id id, const char *expected)
{
    char text[2 * SPAN_ID_SIZE + 1];
    hex_encode(id.bytes, SPAN_ID_SIZE, text);
    assert_string_equal(text, expected);
}

static struct span_id phase(enum id_scheme scheme, const char *name)
{
    return span_id_of_phase(scheme, &job, slice_from_string(name));
}

static struct span_id step(enum id_scheme scheme, int64_t number, bool is_repeat)
{
    return span_id_of_step(scheme, &job, SLICE("Run actions/checkout@v4"), number, is_repeat);
}

static void scheme_arc_matches_its_vectors(void **state)
{
    (void)state;
    assert_trace(trace_id_of_run(ID_SCHEME_ARC, job.run_id, 1), "9150f2e0b329bcd73a7fa70c540a1776");
    assert_trace(trace_id_of_run(ID_SCHEME_ARC, job.run_id, 2), "1fb03814c832e2d9be0f1a96885be415");
    assert_span(span_id_of_run(ID_SCHEME_ARC, job.run_id, 1), "00000007d989fe51");
    assert_span(span_id_of_job(ID_SCHEME_ARC, &job), "00000017677ee0e5");
    assert_span(phase(ID_SCHEME_ARC, "job.waiting"), "b055910c793816c1");
    assert_span(phase(ID_SCHEME_ARC, "runner.queue"), "43bff11a853954a6");
    assert_span(phase(ID_SCHEME_ARC, "runner.startup"), "d9eea5e4be6e7275");
    assert_span(phase(ID_SCHEME_ARC, "runner.execution"), "c1ce43452c3f547a");
    assert_span(step(ID_SCHEME_ARC, 3, false), "535e44389388ed69");
    assert_span(step(ID_SCHEME_ARC, 7, true), "11a00f9e4663a4c3");
}

static void scheme_collector_matches_its_vectors(void **state)
{
    (void)state;
    assert_trace(trace_id_of_run(ID_SCHEME_COLLECTOR, job.run_id, 1),
                 "48bf99593b700353bfd3fd5f0c2a0cd2");
    assert_span(span_id_of_run(ID_SCHEME_COLLECTOR, job.run_id, 1), "ed69109a07eb63f8");
    assert_span(span_id_of_job(ID_SCHEME_COLLECTOR, &job), "89bac9456426488d");
    assert_span(phase(ID_SCHEME_COLLECTOR, "runner.queue"), "302823a0cd5b24a6");
    assert_span(phase(ID_SCHEME_COLLECTOR, "runner.startup"), "b4be8ee340a88258");
    assert_span(step(ID_SCHEME_COLLECTOR, 3, false), "e39dd81fbedd7849");
}

static void scheme_runner_matches_its_vectors(void **state)
{
    (void)state;
    assert_trace(trace_id_of_run(ID_SCHEME_RUNNER, job.run_id, 1),
                 "73fd99136af0a2f17912515626a3a651");
    assert_span(span_id_of_run(ID_SCHEME_RUNNER, job.run_id, 1), "00000007d989fe51");
    assert_span(span_id_of_job(ID_SCHEME_RUNNER, &job), "a9f7c9720f88b47c");
    assert_span(phase(ID_SCHEME_RUNNER, "runner.queue"), "176f40430ba8d49c");
    assert_span(step(ID_SCHEME_RUNNER, 3, false), "6c407810d6f7468c");
}

static void attempt_zero_counts_as_the_first(void **state)
{
    (void)state;
    assert_trace(trace_id_of_run(ID_SCHEME_ARC, job.run_id, 0), "9150f2e0b329bcd73a7fa70c540a1776");
    assert_trace(trace_id_of_run(ID_SCHEME_COLLECTOR, job.run_id, 0),
                 "48bf99593b700353bfd3fd5f0c2a0cd2");
    assert_trace(trace_id_of_run(ID_SCHEME_RUNNER, job.run_id, 0),
                 "73fd99136af0a2f17912515626a3a651");
}

static void schemes_are_known_by_their_names_only(void **state)
{
    enum id_scheme scheme = ID_SCHEME_RUNNER;
    (void)state;
    assert_true(id_scheme_from_text(SLICE("arc"), &scheme));
    assert_int_equal(scheme, ID_SCHEME_ARC);
    assert_true(id_scheme_from_text(SLICE("collector"), &scheme));
    assert_int_equal(scheme, ID_SCHEME_COLLECTOR);
    assert_true(id_scheme_from_text(SLICE("runner"), &scheme));
    assert_int_equal(scheme, ID_SCHEME_RUNNER);
    assert_false(id_scheme_from_text(SLICE("ARC"), &scheme));
    assert_false(id_scheme_from_text(SLICE_EMPTY, &scheme));
}

static void names_of_any_length_and_none_make_ids(void **state)
{
    static char long_name[200000];
    struct job_key named = job;
    (void)state;
    memset(long_name, 'x', sizeof long_name);
    named.job_name = (struct slice){long_name, sizeof long_name};
    struct span_id with_long_name = span_id_of_job(ID_SCHEME_RUNNER, &named);
    named.job_name = SLICE_EMPTY;
    struct span_id without_name = span_id_of_job(ID_SCHEME_RUNNER, &named);
    assert_memory_not_equal(with_long_name.bytes, without_name.bytes, SPAN_ID_SIZE);
    (void)span_id_of_step(ID_SCHEME_ARC, &named, SLICE_EMPTY, 1, false);
    (void)span_id_of_step(ID_SCHEME_RUNNER, &named, named.job_name, 1, true);
}

// Unchanged for github.com; for others different for each server, run and attempt. Exported IDs are the same.
static void runs_of_other_servers_are_stored_elsewhere(void **state)
{
    static const struct slice servers[] = {
        {"", 0}, {"a", 1}, {"a-1", 3}, {"ghe.example", 11}, {"ghe.example2", 12}};
    struct stored_run runs[5 * 3 * 3];
    size_t count = 0;
    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (int64_t run = 1; run <= 3; run++)
            for (int64_t attempt = 1; attempt <= 3; attempt++)
                runs[count++] = stored_run_of(servers[i], run == 3 ? 11 : run, attempt);
    for (size_t i = 0; i < count; i++) {
        struct trace_id usual = trace_id_of_run(ID_SCHEME_ARC, runs[i].run_id, runs[i].run_attempt);
        assert_int_equal(trace_id_equals(&usual, &runs[i].trace), i < 9);
        assert_int_equal(stored_run_is_usual(&runs[i]), i < 9);
        for (size_t j = 0; j < i; j++)
            assert_false(trace_id_equals(&runs[i].trace, &runs[j].trace));
    }
    struct stored_run absent = stored_run_of(servers[3], 1, 0);
    struct stored_run first = stored_run_of(servers[3], 1, 1);
    assert_true(trace_id_equals(&absent.trace, &first.trace));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheme_arc_matches_its_vectors),
        cmocka_unit_test(scheme_collector_matches_its_vectors),
        cmocka_unit_test(scheme_runner_matches_its_vectors),
        cmocka_unit_test(attempt_zero_counts_as_the_first),
        cmocka_unit_test(schemes_are_known_by_their_names_only),
        cmocka_unit_test(names_of_any_length_and_none_make_ids),
        cmocka_unit_test(runs_of_other_servers_are_stored_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
