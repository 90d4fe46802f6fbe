// The metrics: format, text, figures.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/admin/metrics.h"
#include "ghatrace/base/memory.h"
#include "support/engine_bench.h"

// --- the format -----------------------------------------------------------------------------------

static void the_format_is_chosen_by_the_accept_field(void **state)
{
    static const struct {
        const char *accept;
        enum metrics_format format;
    } cases[] = {
        {"", METRICS_PROMETHEUS},
        {"*/*", METRICS_PROMETHEUS},
        {"text/plain", METRICS_PROMETHEUS},
        {"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", METRICS_PROMETHEUS},
        {"application/openmetrics-text", METRICS_OPENMETRICS},
        {"Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", METRICS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/"
         "*;q=0.2",
         METRICS_OPENMETRICS},
        {"application/openmetrics-text;q=0.2,text/plain;q=0.3", METRICS_PROMETHEUS},
        {"application/openmetrics-text;q=0", METRICS_PROMETHEUS},
        {"application/openmetrics-text;q=0.0,*/*", METRICS_PROMETHEUS},
        {"application/openmetrics-text;version=9.9.9", METRICS_PROMETHEUS},
        {"application/openmetrics-text;version=9.9.9,application/"
         "openmetrics-text;version=0.0.1;q=0.75",
         METRICS_OPENMETRICS},
        {";;,,;q=,", METRICS_PROMETHEUS},
        {"application/openmetrics-text;q=x", METRICS_PROMETHEUS},
        {"application/openmetrics-text;q=99999999999999999999", METRICS_OPENMETRICS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(metrics_format_of(slice_from_string(cases[i].accept)), cases[i].format);
}

// --- the text -------------------------------------------------------------------------------------

static void begin(struct metrics_text *text, struct buffer *out, enum metrics_format format)
{
    buffer_init(out, 1 << 20);
    *text = (struct metrics_text){.out = out, .format = format};
}

static void expect(struct metrics_text *text, const char *expected)
{
    assert_int_equal(text->code, ERROR_NONE);
    assert_int_equal(buffer_append(text->out, "", 1), ERROR_NONE);
    assert_string_equal(text->out->data, expected);
    buffer_release(text->out);
}

static void counters_are_named_as_each_format_requires(void **state)
{
    struct metrics_text text;
    struct buffer out;
    (void)state;
    begin(&text, &out, METRICS_PROMETHEUS);
    metrics_single(&text, "x_y", METRICS_COUNTER, "Help.", 3);
    expect(&text, "# HELP x_y_total Help.\n# TYPE x_y_total counter\nx_y_total 3\n");
    begin(&text, &out, METRICS_OPENMETRICS);
    metrics_single(&text, "x_y", METRICS_COUNTER, "Help.", 3);
    expect(&text, "# HELP x_y Help.\n# TYPE x_y counter\nx_y_total 3\n");
}

static void label_values_are_escaped(void **state)
{
    const struct metrics_label labels[] = {{"a", SLICE("\"q\" \\ \n\u00e4")}, {"b", SLICE_EMPTY}};
    struct metrics_text text;
    struct buffer out;
    (void)state;
    begin(&text, &out, METRICS_PROMETHEUS);
    metrics_sample(&text, "x", "", (struct metrics_labels){labels, 2}, 0.25);
    expect(&text, "x{a=\"\\\"q\\\" \\\\ \\n\u00e4\",b=\"\"} 0.25\n");
}

static void numbers_round_trip(void **state)
{
    static const double numbers[] = {0, 1, 1e14, 0.1, 1.0 / 3, 1795247019.603681, 2.5e-7, 1e300};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct metrics_text text;
        struct buffer out;
        begin(&text, &out, METRICS_PROMETHEUS);
        metrics_sample(&text, "x", "", (struct metrics_labels){NULL, 0}, numbers[i]);
        assert_int_equal(buffer_append(&out, "", 1), ERROR_NONE);
        assert_true(memcmp(out.data, "x ", 2) == 0);
        double back = strtod(out.data + 2, NULL);
        assert_memory_equal(&back, &numbers[i], sizeof back);
        buffer_release(&out);
    }
}

static void histograms_are_cumulative_and_end_at_infinity(void **state)
{
    static const double bounds[] = {0.5, 1, 10};
    static const uint64_t buckets[] = {1, 0, 2, 3};
    const struct metrics_histogram histogram = {
        .bounds = bounds, .bound_count = 3, .buckets = buckets, .count = 6, .sum = 100.5};
    const struct metrics_label label = {"a", SLICE("b")};
    struct metrics_text text;
    struct buffer out;
    (void)state;
    begin(&text, &out, METRICS_PROMETHEUS);
    metrics_put_histogram(&text, "x", (struct metrics_labels){&label, 1}, &histogram);
    expect(&text, "x_bucket{a=\"b\",le=\"0.5\"} 1\nx_bucket{a=\"b\",le=\"1.0\"} 1\n"
                  "x_bucket{a=\"b\",le=\"10.0\"} 3\nx_bucket{a=\"b\",le=\"+Inf\"} 6\n"
                  "x_sum{a=\"b\"} 100.5\nx_count{a=\"b\"} 6\n");
    begin(&text, &out, METRICS_PROMETHEUS);
    metrics_put_histogram(&text, "x", (struct metrics_labels){NULL, 0}, &histogram);
    expect(&text, "x_bucket{le=\"0.5\"} 1\nx_bucket{le=\"1.0\"} 1\nx_bucket{le=\"10.0\"} 3\n"
                  "x_bucket{le=\"+Inf\"} 6\nx_sum 100.5\nx_count 6\n");
}

static void exemplars_are_in_openmetrics_only(void **state)
{
    static const double bounds[] = {10};
    static const uint64_t buckets[] = {1, 0};
    const struct series_exemplar exemplars[] = {
        {.at = INT64_C(1788409017569) * NS_PER_MS, .value = 5 * NS_PER_SECOND, .trace = {{0xab}}},
        {.at = TIMESTAMP_UNKNOWN}};
    const struct metrics_histogram histogram = {.bounds = bounds,
                                                .bound_count = 1,
                                                .buckets = buckets,
                                                .count = 1,
                                                .sum = 5,
                                                .exemplars = exemplars};
    struct metrics_text text;
    struct buffer out;
    (void)state;
    begin(&text, &out, METRICS_OPENMETRICS);
    metrics_put_histogram(&text, "x", (struct metrics_labels){NULL, 0}, &histogram);
    expect(&text, "x_bucket{le=\"10.0\"} 1 # {trace_id=\"ab000000000000000000000000000000\"} 5.000 "
                  "1788409017.569\nx_bucket{le=\"+Inf\"} 1\nx_sum 5\nx_count 1\n");
    begin(&text, &out, METRICS_PROMETHEUS);
    metrics_put_histogram(&text, "x", (struct metrics_labels){NULL, 0}, &histogram);
    expect(&text, "x_bucket{le=\"10.0\"} 1\nx_bucket{le=\"+Inf\"} 1\nx_sum 5\nx_count 1\n");
}

// --- the whole ------------------------------------------------------------------------------------

static void fill(struct engine_bench *bench)
{
    struct scenario_delivery done = scenario_job(1, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
    struct scenario_delivery queued = scenario_job(2, GITHUB_JOB_QUEUED, 3, 2, 2, -1);
    engine_bench_open(bench);
    engine_bench_accept(bench, &queued);
    engine_bench_accept(bench, &done);
}

// In the pieces that the scrape makes.
static enum error_code append_answer(struct metrics_scrape *scrape, struct buffer *out,
                                     struct error *error)
{
    enum error_code code = ERROR_NONE;
    bool is_last = false;
    struct buffer piece;
    buffer_init(&piece, 1 << 20);
    while (code == ERROR_NONE && !is_last) {
        buffer_clear(&piece);
        code = metrics_scrape_next(scrape, scenario_at(122), &piece, &is_last, error);
        if (code == ERROR_NONE && buffer_append_slice(out, buffer_slice(&piece)) != ERROR_NONE)
            code = error_set(error, ERROR_MEMORY, "append: out of memory");
    }
    buffer_release(&piece);
    metrics_scrape_release(scrape);
    return code;
}

static void render(struct engine_bench *bench, enum metrics_format format, struct buffer *out)
{
    const struct view_sources sources = {
        .store = bench->store, .engine = bench->engine, .started_at = scenario_at(0)};
    struct metrics_scrape scrape;
    struct error error;
    buffer_init(out, 1 << 20);
    metrics_scrape_init(&scrape, &sources, format);
    assert_int_equal(append_answer(&scrape, out, &error), ERROR_NONE);
    assert_int_equal(buffer_append(out, "", 1), ERROR_NONE);
}

static void the_metrics_have_the_figures_of_the_store(void **state)
{
    static const char *const lines[] = {
        "\nghatrace_jobs{state=\"queued\",runner_labels=\"linux,self-hosted\",runner_group=\"\"} "
        "1\n",
        "\nghatrace_jobs_oldest_age_seconds{state=\"queued\",runner_labels=\"linux,self-hosted\","
        "runner_group=\"\"} 120\n",
        "\nghatrace_runs_open 1\n",
        "\nghatrace_job_queue_seconds_sum{repository=\"octo/"
        "Hello_World\",workflow=\"CI\",runner_group=\"\",runner_labels=\"linux,self-hosted\","
        "result=\"success\"} 4\n",
        "result=\"success\",le=\"5.0\"} 1\n",
        "\nghatrace_events_late_total 0\n",
        "\nghatrace_build_info{version=\"",
    };
    struct engine_bench bench;
    struct buffer out;
    (void)state;
    fill(&bench);
    render(&bench, METRICS_PROMETHEUS, &out);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_non_null(strstr(out.data, lines[i]));
    assert_null(strstr(out.data, "# EOF"));
    assert_null(strstr(out.data, "trace_id"));
    buffer_release(&out);
    render(&bench, METRICS_OPENMETRICS, &out);
    assert_string_equal(out.data + out.len - 1 - 6, "# EOF\n");
    assert_non_null(strstr(out.data, "# {trace_id=\"9150f2e0b329bcd73a7fa70c540a1776\"} 4.000"));
    buffer_release(&out);
    engine_bench_close(&bench);
}

static void each_family_is_contiguous_and_has_help_and_type(void **state)
{
    struct engine_bench bench;
    struct buffer out;
    size_t families = 0;
    (void)state;
    fill(&bench);
    render(&bench, METRICS_PROMETHEUS, &out);
    for (const char *line = out.data; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, "# HELP ", 7) != 0)
            continue;
        char head[128] = "# TYPE ";
        size_t len = strcspn(line + 7, " ");
        strncat(head, line + 7, len + 1);
        assert_true(strncmp(strchr(line, '\n') + 1, head, strlen(head)) == 0);
        assert_null(strstr(strchr(line, '\n') + 1 + strlen(head), head)); // once
        families++;
    }
    assert_true(families > 30);
    buffer_release(&out);
    engine_bench_close(&bench);
}

static void the_rows_do_not_depend_on_the_pieces(void **state)
{
    const size_t sizes[] = {1, 100, 5000, SIZE_MAX};
    struct engine_bench bench;
    struct buffer whole;
    (void)state;
    fill(&bench);
    for (int i = 10; i < 60; i++) {
        struct scenario_delivery done = scenario_job(i, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
        struct scenario_delivery queued = scenario_job(100 + i, GITHUB_JOB_QUEUED, 3, 2, 2, -1);
        engine_bench_accept(&bench, &queued);
        engine_bench_accept(&bench, &done);
    }
    buffer_init(&whole, 1 << 20);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct view_sources sources = {.store = bench.store, .started_at = scenario_at(0)};
        struct metrics_scrape scrape;
        struct buffer out;
        struct error error;
        buffer_init(&out, 1 << 20);
        metrics_scrape_init(&scrape, &sources, METRICS_OPENMETRICS);
        scrape.piece_bytes = sizes[i];
        scrape.piece_time = i % 2 == 0 ? NS_PER_HOUR : 1;
        assert_int_equal(append_answer(&scrape, &out, &error), ERROR_NONE);
        assert_int_equal(buffer_append(&out, "", 1), ERROR_NONE);
        char *process = strstr(out.data, "# HELP ghatrace_log_lines_dropped"); // times and memory
        assert_non_null(process);
        *process = '\0';
        if (whole.len == 0)
            assert_int_equal(buffer_append(&whole, out.data, strlen(out.data) + 1), ERROR_NONE);
        assert_string_equal(whole.data, out.data);
        buffer_release(&out);
    }
    buffer_release(&whole);
    engine_bench_close(&bench);
}

// --- sets that come and go while an answer is made ------------------------------------------------

#define NEW_SETS 200

static void count_new_set(struct engine_bench *bench, int number)
{
    char workflow[32];
    struct scenario_delivery done = scenario_job(1000 + number, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
    int len = snprintf(workflow, sizeof workflow, "workflow %d", number);
    done.event.job.workflow_name = (struct slice){workflow, (size_t)len};
    engine_bench_accept(bench, &done);
}

// Appends an answer in pieces of one row, and counts a new set of labels after each.
static void append_amid_changes(struct engine_bench *bench, int *sets, struct buffer *out)
{
    const struct view_sources sources = {.store = bench->store, .started_at = scenario_at(0)};
    struct metrics_scrape scrape;
    struct error error;
    bool is_last = false;
    metrics_scrape_init(&scrape, &sources, METRICS_PROMETHEUS);
    scrape.piece_bytes = 1;
    while (!is_last) {
        struct buffer piece;
        buffer_init(&piece, 1 << 20);
        assert_int_equal(metrics_scrape_next(&scrape, scenario_at(122), &piece, &is_last, &error),
                         ERROR_NONE);
        assert_int_equal(buffer_append_slice(out, buffer_slice(&piece)), ERROR_NONE);
        buffer_release(&piece);
        count_new_set(bench, (*sets)++);
    }
    metrics_scrape_release(&scrape);
    assert_int_equal(buffer_append(out, "", 1), ERROR_NONE);
}

static void check_no_row_is_twice(const char *text)
{
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        char row[1024] = "\n";
        size_t len = (size_t)(strchr(line, '\n') - line);
        while (line[0] != '#' && line[len] != ' ')
            len--;
        memcpy(row + 1, line, len);
        row[1 + len] = ' ';
        row[2 + len] = '\0';
        assert_null(strstr(line + len, row));
    }
}

// The value of the row of "other", and of all rows together, of the family of counts.
static void read_counts(const char *text, double *other, double *all)
{
    static const char name[] = "ghatrace_job_queue_seconds_count{";
    bool is_other = false;
    *other = *all = 0;
    for (const char *line = strstr(text, name); line != NULL; line = strstr(line + 1, name)) {
        const char *end = strstr(line, "} ");
        double value = strtod(end + 2, NULL);
        assert_false(is_other); // it is the last row
        is_other = strncmp(line + sizeof name - 1, "repository=\"other\"", 18) == 0;
        *other = is_other ? value : 0;
        *all += value;
    }
}

static void a_set_that_comes_or_goes_meanwhile_is_not_twice_in_an_answer(void **state)
{
    struct engine_bench bench;
    double other = 0;
    int sets = 0;
    (void)state;
    engine_bench_open(&bench);
    bench.options.max_series = 8;
    engine_bench_restart(&bench);
    while (sets < 20)
        count_new_set(&bench, sets++);
    while (sets < NEW_SETS) {
        struct buffer out;
        double before = other, counted = sets, all;
        buffer_init(&out, 1 << 20);
        append_amid_changes(&bench, &sets, &out);
        check_no_row_is_twice(out.data);
        read_counts(out.data, &other, &all);
        assert_true(other >= before);
        assert_true(all >= counted); // none is missing
        buffer_release(&out);
    }
    assert_true(other > 0);
    engine_bench_close(&bench);
}

static void any_refused_allocation_is_an_error(void **state)
{
    struct engine_bench bench;
    bool is_done = false;
    (void)state;
    fill(&bench);
    const struct view_sources sources = {.store = bench.store, .engine = bench.engine};
    for (unsigned long nth = 1; !is_done; nth++) {
        struct error error = {0};
        struct buffer out;
        struct metrics_scrape scrape;
        buffer_init(&out, 1 << 20);
        metrics_scrape_init(&scrape, &sources, METRICS_OPENMETRICS);
        memory_fail_after((long)nth);
        enum error_code code = append_answer(&scrape, &out, &error);
        is_done = code == ERROR_NONE;
        memory_fail_after(-1);
        assert_true(is_done || code == ERROR_MEMORY);
        assert_true(is_done || error.message[0] != '\0');
        buffer_release(&out);
    }
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format_is_chosen_by_the_accept_field),
        cmocka_unit_test(counters_are_named_as_each_format_requires),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(numbers_round_trip),
        cmocka_unit_test(histograms_are_cumulative_and_end_at_infinity),
        cmocka_unit_test(exemplars_are_in_openmetrics_only),
        cmocka_unit_test(the_metrics_have_the_figures_of_the_store),
        cmocka_unit_test(each_family_is_contiguous_and_has_help_and_type),
        cmocka_unit_test(the_rows_do_not_depend_on_the_pieces),
        cmocka_unit_test(a_set_that_comes_or_goes_meanwhile_is_not_twice_in_an_answer),
        cmocka_unit_test(any_refused_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
