// What ARC's spans say about jobs.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "../../../src/otlp/wire.h"
#include "../../../src/receiver/arc_spans.h"

#define T0 (INT64_C(1788408000) * NS_PER_SECOND) // 2026-09-03
#define AT(seconds) (T0 + (seconds)*NS_PER_SECOND)
#define RECEIVED AT(1000)
#define SPANS_MAX 16

// --- requests -------------------------------------------------------------------------------------

static struct otlp_received_span spans[SPANS_MAX];
static struct wire_writer contents[SPANS_MAX];
static size_t span_count;
static struct arena arena;
static struct error error;
static struct arc_reports reports;

static int start_anew(void **state)
{
    (void)state;
    span_count = 0;
    arena_init(&arena, 1024);
    error = (struct error){.code = ERROR_NONE};
    return 0;
}

static int release(void **state)
{
    (void)state;
    for (size_t i = 0; i < span_count; i++)
        wire_writer_release(&contents[i]);
    arena_release(&arena);
    return 0;
}

struct job {
    uint8_t trace;
    const char *job_id, *runner, *name, *repository, *url;
    int64_t run_id;
};

static const struct job usual = {
    .trace = 1,
    .job_id = "99",
    .runner = "arc-abc",
    .name = "test (linux)",
    .repository = "octo/app",
    .url = "https://github.com/octo/app",
    .run_id = 7,
};

static void put_attribute(struct wire_writer *writer, const char *key, const char *text,
                          int64_t integer)
{
    size_t mark = writer->len;
    if (text == NULL && integer == 0)
        return;
    size_t value = writer->len;
    if (text != NULL)
        wire_put_bytes(writer, ANY_VALUE_STRING, slice_from_string(text));
    else
        wire_put_varint(writer, ANY_VALUE_INT, (uint64_t)integer);
    wire_put_message(writer, KEY_VALUE_VALUE, value);
    wire_put_bytes(writer, KEY_VALUE_KEY, slice_from_string(key));
    wire_put_message(writer, SPAN_ATTRIBUTES, mark);
}

static struct otlp_received_span *add_span(const struct job *job, const char *name,
                                           timestamp_ns start, timestamp_ns end)
{
    assert_true(span_count < SPANS_MAX);
    struct wire_writer *writer = &contents[span_count];
    struct otlp_received_span *span = &spans[span_count++];
    wire_writer_init(writer, 4096);
    put_attribute(writer, "github.job_id", job->job_id, 0);
    put_attribute(writer, "github.runner_name", job->runner, 0);
    put_attribute(writer, "github.job_name", job->name, 0);
    put_attribute(writer, "github.repository", job->repository, 0);
    put_attribute(writer, "vcs.repository.url.full", job->url, 0);
    put_attribute(writer, "github.run_id", NULL, job->run_id);
    assert_int_equal(writer->failure, ERROR_NONE);
    *span = (struct otlp_received_span){
        .trace_id = {{job->trace}},
        .name = slice_from_string(name),
        .start = start,
        .end = end,
        .bytes = wire_writer_slice(writer),
    };
    return span;
}

// In two scopes, if there are two spans or more.
static enum error_code read_all(void)
{
    struct otlp_received_scope scopes[2] = {
        {.spans = spans, .span_count = span_count / 2},
        {.spans = spans + span_count / 2, .span_count = span_count - span_count / 2},
    };
    const struct otlp_request request = {
        .scopes = scopes, .scope_count = 2, .span_count = span_count};
    return arc_reports_of_request(&request, RECEIVED, &arena, &reports, &error);
}

static const struct arc_report *read_only(void)
{
    assert_int_equal(read_all(), ERROR_NONE);
    assert_int_equal(reports.count, 1);
    assert_int_equal(reports.well_formed, 1);
    return &reports.reports[0];
}

static void assert_malformed(void)
{
    assert_int_equal(read_all(), ERROR_NONE);
    assert_int_equal(reports.count, 1);
    assert_int_equal(reports.well_formed, 0);
}

static void assert_text(struct slice actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.len > 0 ? actual.data : "", expected, actual.len);
}

// --- what is read ---------------------------------------------------------------------------------

static void three_spans_of_a_job_make_one_report(void **state)
{
    (void)state;
    add_span(&usual, "runner.execution", AT(30), AT(90));
    add_span(&usual, "runner.queue", AT(0), AT(10));
    add_span(&usual, "runner.startup", AT(10), AT(30));
    const struct arc_report *report = read_only();
    assert_text(report->server, "");
    assert_text(report->repository, "octo/app");
    assert_int_equal(report->run_id, 7);
    assert_int_equal(report->job_id, 99);
    assert_text(report->job_name, "test (linux)");
    assert_text(report->runner_name, "arc-abc");
    assert_int_equal(report->assigned_at, AT(10));
    assert_int_equal(report->start, AT(30));
    assert_int_equal(report->end, AT(90));
    assert_int_equal(reports.span_counts[0], 3);
}

static void the_assignment_is_the_start_of_the_startup_else_the_end_of_the_queue(void **state)
{
    static const struct {
        bool has_queue, has_startup, has_execution;
        timestamp_ns assigned_at, start, end;
    } cases[] = {
        {true, true, true, AT(12), AT(30), AT(90)},
        {true, false, true, AT(10), AT(30), AT(90)},
        {false, true, true, AT(12), AT(30), AT(90)},
        {false, false, true, TIMESTAMP_UNKNOWN, AT(30), AT(90)},
        {true, true, false, AT(12), AT(0), AT(30)},
        {true, false, false, AT(10), AT(0), AT(10)},
        {false, true, false, AT(12), AT(12), AT(30)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        release(state);
        start_anew(state);
        if (cases[i].has_queue)
            add_span(&usual, "runner.queue", AT(0), AT(10));
        if (cases[i].has_startup)
            add_span(&usual, "runner.startup", AT(12), AT(30));
        if (cases[i].has_execution)
            add_span(&usual, "runner.execution", AT(30), AT(90));
        const struct arc_report *report = read_only();
        assert_int_equal(report->assigned_at, cases[i].assigned_at);
        assert_int_equal(report->start, cases[i].start);
        assert_int_equal(report->end, cases[i].end);
    }
}

static void of_repeated_spans_the_earliest_assignment_counts(void **state)
{
    (void)state;
    add_span(&usual, "runner.startup", AT(12), AT(30));
    add_span(&usual, "runner.startup", AT(11), AT(31));
    add_span(&usual, "runner.startup", AT(12), AT(30));
    const struct arc_report *report = read_only();
    assert_int_equal(report->assigned_at, AT(11));
    assert_int_equal(report->start, AT(11));
    assert_int_equal(report->end, AT(31));
}

static void other_spans_and_those_with_a_fault_are_left_out(void **state)
{
    (void)state;
    add_span(&usual, "runner.queued", AT(0), AT(10));
    add_span(&usual, "job.waiting", AT(0), AT(10));
    add_span(&usual, "", AT(0), AT(10));
    add_span(&usual, "runner.queue", AT(0), AT(10))->fault = OTLP_SPAN_BAD_IDS;
    assert_int_equal(read_all(), ERROR_NONE);
    assert_int_equal(reports.count, 0);
    assert_true(arc_sends_span_named(SLICE("runner.execution")));
    assert_false(arc_sends_span_named(SLICE("job.waiting")));
}

static void jobs_differ_by_trace_job_id_runner_and_name(void **state)
{
    struct job of_trace = usual, of_id = usual, of_runner = usual, of_name = usual;
    (void)state;
    of_trace.trace = 2;
    of_id.job_id = "98";
    of_runner.runner = "arc-xyz";
    of_name.name = "lint";
    for (int i = 0; i < 2; i++) {
        add_span(&of_runner, "runner.queue", AT(0), AT(10));
        add_span(&usual, "runner.queue", AT(0), AT(10));
        add_span(&of_trace, "runner.queue", AT(0), AT(10));
        add_span(&of_id, "runner.queue", AT(0), AT(10));
        add_span(&of_name, "runner.queue", AT(0), AT(10));
    }
    assert_int_equal(read_all(), ERROR_NONE);
    assert_int_equal(reports.count, 5);
    assert_int_equal(reports.well_formed, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(reports.span_counts[i], 2);
}

static void a_guid_is_no_number_and_a_run_may_be_unknown(void **state)
{
    struct job job = usual;
    (void)state;
    job.job_id = "01234567-89ab-cdef-0123-456789abcdef";
    job.run_id = 0;
    add_span(&job, "runner.queue", AT(0), AT(10));
    const struct arc_report *report = read_only();
    assert_int_equal(report->job_id, 0);
    assert_int_equal(report->run_id, 0);
    assert_text(report->runner_name, "arc-abc");
}

static void the_later_revisions_names_are_read_too(void **state)
{
    struct job job = {
        .trace = 1, .repository = "octo/app", .url = "https://ghe.example.com/octo/app"};
    struct otlp_received_span *span = add_span(&job, "runner.startup", AT(10), AT(30));
    (void)state;
    put_attribute(&contents[0], "github.run_id", "7", 0);
    put_attribute(&contents[0], "cicd.pipeline.task.name", "test (linux)", 0);
    put_attribute(&contents[0], "cicd.worker.name", "arc-abc", 0);
    put_attribute(&contents[0], "cicd.pipeline.task.run.id", "1234567890123456", 0); // a span's
    span->bytes = wire_writer_slice(&contents[0]);
    const struct arc_report *report = read_only();
    assert_int_equal(report->run_id, 7);
    assert_int_equal(report->job_id, 0);
    assert_text(report->job_name, "test (linux)");
    assert_text(report->runner_name, "arc-abc");
    assert_text(report->server, "ghe.example.com");
}

static void the_first_revisions_names_come_first(void **state)
{
    struct otlp_received_span *span = add_span(&usual, "runner.startup", AT(10), AT(30));
    (void)state;
    put_attribute(&contents[0], "cicd.pipeline.task.name", "other", 0);
    put_attribute(&contents[0], "cicd.worker.name", "other", 0);
    span->bytes = wire_writer_slice(&contents[0]);
    const struct arc_report *report = read_only();
    assert_text(report->job_name, "test (linux)");
    assert_text(report->runner_name, "arc-abc");
}

static void the_server_is_that_of_the_url(void **state)
{
    static const struct {
        const char *url, *repository, *server, *expected;
        bool is_well_formed;
    } cases[] = {
        {"https://github.com/octo/app", "octo/app", "", "octo/app", true},
        {"https://GHE.example.com/octo/app.git", "Octo/App", "ghe.example.com", "Octo/App", true},
        {"https://ghe.example.com:8443/octo/app/", NULL, "ghe.example.com", "octo/app", true},
        {NULL, "octo/app", "", "octo/app", true},
        {NULL, NULL, "", "", true},
        {"https://ghe.example.com", "octo/app", "ghe.example.com", "octo/app", true},
        {"https://ghe.example.com/octo", "octo/app", "ghe.example.com", "octo/app", true},
        {"https://ghe.example.com/octo/other", "octo/app", "ghe.example.com", "octo/app", false},
        {"https://ghe.example.com/other/app", "octo/app", "ghe.example.com", "octo/app", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job job = usual;
        release(state);
        start_anew(state);
        job.url = cases[i].url;
        job.repository = cases[i].repository;
        add_span(&job, "runner.queue", AT(0), AT(10));
        assert_int_equal(read_all(), ERROR_NONE);
        assert_int_equal(reports.count, 1);
        assert_int_equal(reports.well_formed, cases[i].is_well_formed);
        assert_text(reports.reports[0].server, cases[i].server);
        assert_text(reports.reports[0].repository, cases[i].expected);
    }
}

// --- what is malformed ----------------------------------------------------------------------------

static void impossible_times_are_malformed(void **state)
{
    static const struct {
        timestamp_ns start, end;
        bool is_possible;
    } cases[] = {
        {AT(0), AT(0), true},
        {AT(1), AT(0), false},
        {TIMESTAMP_UNKNOWN, AT(0), false},
        {AT(0), TIMESTAMP_UNKNOWN, false},
        {ARC_TIME_MIN, AT(0), true},
        {ARC_TIME_MIN - 1, AT(0), false},
        {AT(0), RECEIVED + NS_PER_DAY, true},
        {AT(0), RECEIVED + NS_PER_DAY + 1, false},
        {AT(0), INT64_MAX, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        release(state);
        start_anew(state);
        add_span(&usual, "runner.startup", AT(0), AT(1));
        add_span(&usual, "runner.queue", cases[i].start, cases[i].end);
        assert_int_equal(read_all(), ERROR_NONE);
        assert_int_equal(reports.well_formed, cases[i].is_possible);
    }
}

// ARC reports it with a GUID and without a runner: its listener would log a refusal for each such job.
static void a_job_that_was_cancelled_in_the_queue_is_not_malformed(void **state)
{
    struct job job = usual;
    (void)state;
    job.job_id = "01234567-89ab-cdef-0123-456789abcdef";
    job.runner = NULL;
    add_span(&job, "runner.queue", AT(0), AT(10));
    const struct arc_report *report = read_only();
    assert_int_equal(report->run_id, 7);
    assert_int_equal(report->runner_name.len, 0);
}

static void the_run_is_that_of_the_semantic_conventions_where_githubs_is_missing(void **state)
{
    struct job job = usual;
    (void)state;
    job.run_id = 0;
    struct otlp_received_span *span = add_span(&job, "runner.startup", AT(10), AT(30));
    put_attribute(&contents[0], "cicd.pipeline.run.id", "7", 0);
    span->bytes = wire_writer_slice(&contents[0]);
    assert_int_equal(read_only()->run_id, 7);
}

static void a_job_that_cannot_be_found_is_malformed(void **state)
{
    struct job job = usual;
    job.job_id = NULL;
    job.runner = NULL;
    job.run_id = 0;
    add_span(&job, "runner.queue", AT(0), AT(10));
    assert_malformed();
    release(state);
    start_anew(state);
    job = usual;
    job.run_id = -7;
    add_span(&job, "runner.queue", AT(0), AT(10));
    assert_malformed();
    release(state);
    start_anew(state);
    job = usual;
    job.job_id = "-99";
    job.runner = "";
    job.run_id = 0;
    add_span(&job, "runner.queue", AT(0), AT(10));
    assert_malformed();
}

static void malformed_reports_follow_the_others(void **state)
{
    struct job good = usual, bad = usual;
    (void)state;
    for (uint8_t i = 0; i < 8; i++) {
        good.trace = (uint8_t)(2 * i + 1);
        bad.trace = (uint8_t)(2 * i);
        add_span(&good, "runner.queue", AT(0), AT(i));
        add_span(&bad, "runner.queue", AT(1), AT(0));
    }
    assert_int_equal(read_all(), ERROR_NONE);
    assert_int_equal(reports.count, 16);
    assert_int_equal(reports.well_formed, 8);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(reports.reports[i].start <= reports.reports[i].end, i < 8);
}

static void lack_of_memory_is_an_error(void **state)
{
    struct job job = usual;
    enum error_code code = ERROR_MEMORY;
    size_t refused = 0;
    (void)state;
    job.url = "https://GHE.example.com/octo/app";
    add_span(&job, "runner.queue", AT(0), AT(10));
    for (size_t limit = 1; code != ERROR_NONE; limit += 8, refused++) {
        arena_release(&arena);
        arena_init(&arena, 1);
        arena_set_limit(&arena, limit);
        error.code = ERROR_NONE;
        code = read_all();
        assert_int_equal(error.code, code);
        assert_int_equal(reports.count, code == ERROR_NONE);
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
    }
    assert_true(refused > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_anew, release)
        TEST(three_spans_of_a_job_make_one_report),
        TEST(the_assignment_is_the_start_of_the_startup_else_the_end_of_the_queue),
        TEST(of_repeated_spans_the_earliest_assignment_counts),
        TEST(other_spans_and_those_with_a_fault_are_left_out),
        TEST(jobs_differ_by_trace_job_id_runner_and_name),
        TEST(a_guid_is_no_number_and_a_run_may_be_unknown),
        TEST(the_later_revisions_names_are_read_too),
        TEST(the_first_revisions_names_come_first),
        TEST(the_server_is_that_of_the_url),
        TEST(impossible_times_are_malformed),
        TEST(a_job_that_was_cancelled_in_the_queue_is_not_malformed),
        TEST(the_run_is_that_of_the_semantic_conventions_where_githubs_is_missing),
        TEST(a_job_that_cannot_be_found_is_malformed),
        TEST(malformed_reports_follow_the_others),
        TEST(lack_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
