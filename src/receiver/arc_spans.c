// Groups ARC's spans by job and reads what they say.
#include "arc_spans.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/github/server.h"

// --- spans ----------------------------------------------------------------------------------------

enum arc_phase { ARC_QUEUE, ARC_STARTUP, ARC_EXECUTION, ARC_PHASES };

struct arc_span {
    const struct otlp_received_span *span;
    enum arc_phase phase;
    struct slice job_id; // as it was sent: a number or a GUID
    struct slice runner_name;
    struct slice job_name;
    size_t position; // in the request
};

// ARC_PHASES: another name.
static enum arc_phase phase_of_name(struct slice name)
{
    if (slice_equals(name, SLICE("runner.queue")))
        return ARC_QUEUE;
    if (slice_equals(name, SLICE("runner.startup")))
        return ARC_STARTUP;
    return slice_equals(name, SLICE("runner.execution")) ? ARC_EXECUTION : ARC_PHASES;
}

bool arc_sends_span_named(struct slice name)
{
    return phase_of_name(name) != ARC_PHASES;
}

// Empty: there is no such attribute, or of another type.
static struct slice find_span_text(const struct otlp_received_span *span, struct slice key)
{
    struct slice text = SLICE_EMPTY;
    if (!otlp_find_text(span->bytes, OTLP_ATTRIBUTE_OF_SPAN, key, &text))
        return SLICE_EMPTY;
    return text;
}

// The later revision of ARC's recorder has names of the semantic conventions alone.
static struct slice find_either(const struct otlp_received_span *span, struct slice key,
                                struct slice other_key)
{
    struct slice text = find_span_text(span, key);
    return text.len > 0 ? text : find_span_text(span, other_key);
}

// 0: there is no such attribute, or it is no number.
static int64_t find_integer(const struct otlp_received_span *span, struct slice key)
{
    int64_t integer = 0;
    if (!otlp_find_integer(span->bytes, OTLP_ATTRIBUTE_OF_SPAN, key, &integer))
        return 0;
    return integer;
}

// `spans` has room for all spans of the request.
static size_t collect_spans(const struct otlp_request *request, struct arc_span *spans)
{
    size_t count = 0;
    for (size_t i = 0; i < request->scope_count; i++) {
        const struct otlp_received_scope *scope = &request->scopes[i];
        for (size_t j = 0; j < scope->span_count; j++) {
            const struct otlp_received_span *span = &scope->spans[j];
            enum arc_phase phase = phase_of_name(span->name);
            if (span->fault != OTLP_SPAN_FINE || phase == ARC_PHASES)
                continue;
            spans[count] = (struct arc_span){
                .span = span,
                .phase = phase,
                .job_id = find_span_text(span, SLICE("github.job_id")),
                .runner_name =
                    find_either(span, SLICE("github.runner_name"), SLICE("cicd.worker.name")),
                .job_name =
                    find_either(span, SLICE("github.job_name"), SLICE("cicd.pipeline.task.name")),
                .position = count,
            };
            count++;
        }
    }
    return count;
}

static int compare_reported_jobs(const struct arc_span *a, const struct arc_span *b)
{
    int order = memcmp(&a->span->trace_id, &b->span->trace_id, sizeof a->span->trace_id);
    if (order == 0)
        order = slice_compare(a->job_id, b->job_id);
    if (order == 0)
        order = slice_compare(a->runner_name, b->runner_name);
    return order != 0 ? order : slice_compare(a->job_name, b->job_name);
}

static int compare_spans(const void *left, const void *right)
{
    const struct arc_span *a = left, *b = right;
    int order = compare_reported_jobs(a, b);
    return order != 0 ? order : (a->position > b->position) - (a->position < b->position);
}

// --- repositories ---------------------------------------------------------------------------------

// "owner/name" at the end of a repository's URL; empty if there is none.
static struct slice repository_of_url(struct slice url)
{
    ptrdiff_t authority = slice_find(url, SLICE("//"));
    struct slice path = authority < 0 ? url : slice_skip(url, (size_t)authority + 2);
    while (slice_ends_with(path, SLICE("/")))
        path.len--;
    if (slice_ends_with(path, SLICE(".git")))
        path.len -= 4;
    size_t start = path.len;
    int slashes = 0;
    for (; start > 0; start--) {
        slashes += path.data[start - 1] == '/';
        if (slashes == 2)
            break;
    }
    // What is before the second slash from the end is at least the host.
    return slashes == 2 ? slice_skip(path, start) : SLICE_EMPTY;
}

// False: the two disagree.
static bool read_repository(const struct otlp_received_span *span, struct slice url,
                            struct slice *repository)
{
    struct slice named = find_span_text(span, SLICE("github.repository"));
    struct slice of_url = repository_of_url(url);
    *repository = named.len > 0 ? named : of_url;
    return named.len == 0 || of_url.len == 0 || slice_equals_ignoring_case(named, of_url);
}

// --- reports --------------------------------------------------------------------------------------

struct report_reader {
    timestamp_ns received_at;
    struct arena *arena;
    struct arc_reports *reports;
};

static bool is_possible(timestamp_ns start, timestamp_ns end, timestamp_ns received_at)
{
    return start >= ARC_TIME_MIN && start <= end && end <= received_at + ARC_TIME_AHEAD;
}

struct times {
    timestamp_ns first_start[ARC_PHASES], first_end[ARC_PHASES], last_end[ARC_PHASES];
    bool are_possible;
};

static struct times times_of(const struct arc_span *spans, size_t count, timestamp_ns received_at)
{
    struct times times = {.are_possible = true};
    for (size_t i = 0; i < count; i++) {
        timestamp_ns start = spans[i].span->start, end = spans[i].span->end;
        enum arc_phase phase = spans[i].phase;
        times.are_possible &= is_possible(start, end, received_at);
        times.first_start[phase] = timestamp_earliest_known(times.first_start[phase], start);
        times.first_end[phase] = timestamp_earliest_known(times.first_end[phase], end);
        times.last_end[phase] = timestamp_later(times.last_end[phase], end);
    }
    return times;
}

static void set_report_times(struct arc_report *report, const struct times *times)
{
    report->assigned_at =
        timestamp_first_known(times->first_start[ARC_STARTUP], times->first_end[ARC_QUEUE]);
    report->start = times->first_start[ARC_EXECUTION];
    report->end = times->last_end[ARC_EXECUTION];
    if (report->start != TIMESTAMP_UNKNOWN)
        return;
    report->start =
        timestamp_earliest_known(times->first_start[ARC_QUEUE], times->first_start[ARC_STARTUP]);
    report->end = timestamp_later(times->last_end[ARC_QUEUE], times->last_end[ARC_STARTUP]);
}

// Of the spans of one job: the first that has the attribute counts.
static struct slice first_text(const struct arc_span *spans, size_t count, struct slice key)
{
    struct slice text = SLICE_EMPTY;
    for (size_t i = 0; i < count && text.len == 0; i++)
        text = find_span_text(spans[i].span, key);
    return text;
}

static int64_t first_integer(const struct arc_span *spans, size_t count, struct slice key)
{
    int64_t integer = 0;
    for (size_t i = 0; i < count && integer == 0; i++)
        integer = find_integer(spans[i].span, key);
    return integer;
}

// `spans`: all of one job.
static enum error_code read_report(const struct report_reader *reader, const struct arc_span *spans,
                                   size_t count, struct arc_report *report, bool *is_well_formed)
{
    struct times times = times_of(spans, count, reader->received_at);
    struct slice url = first_text(spans, count, SLICE("vcs.repository.url.full"));
    int64_t job_id = find_integer(spans[0].span, SLICE("github.job_id"));
    int64_t run_id = first_integer(spans, count, SLICE("github.run_id"));
    *report = (struct arc_report){
        .run_id = run_id != 0 ? run_id : first_integer(spans, count, SLICE("cicd.pipeline.run.id")),
        .job_id = job_id > 0 ? job_id : 0,
        .job_name = spans[0].job_name,
        .runner_name = spans[0].runner_name,
    };
    set_report_times(report, &times);
    bool is_repository_agreed = true;
    for (size_t i = 0; i < count; i++) {
        struct slice repository;
        is_repository_agreed &= read_repository(spans[i].span, url, &repository);
        if (report->repository.len == 0)
            report->repository = repository;
    }
    // A job that never had a runner is well formed by its run: the engine has no use for it, but its sender is right.
    bool names_something = report->job_id > 0 || report->run_id > 0 || report->runner_name.len > 0;
    *is_well_formed =
        times.are_possible && is_repository_agreed && report->run_id >= 0 && names_something;
    return github_server_of_url(url, reader->arena, &report->server);
}

static void swap_reports(struct arc_reports *reports, size_t a, size_t b)
{
    struct arc_report report = reports->reports[a];
    size_t span_count = reports->span_counts[a];
    reports->reports[a] = reports->reports[b];
    reports->span_counts[a] = reports->span_counts[b];
    reports->reports[b] = report;
    reports->span_counts[b] = span_count;
}

static enum error_code read_job_reports(const struct report_reader *reader,
                                        const struct arc_span *spans, size_t count)
{
    struct arc_reports *reports = reader->reports;
    for (size_t start = 0, end; start < count; start = end) {
        bool is_well_formed = false;
        for (end = start + 1; end < count && compare_reported_jobs(&spans[start], &spans[end]) == 0;
             end++)
            continue;
        enum error_code code = read_report(reader, spans + start, end - start,
                                           &reports->reports[reports->count], &is_well_formed);
        if (code != ERROR_NONE)
            return code;
        reports->span_counts[reports->count] = end - start;
        if (is_well_formed)
            swap_reports(reports, reports->well_formed++, reports->count);
        reports->count++;
    }
    return ERROR_NONE;
}

enum error_code arc_reports_of_request(const struct otlp_request *request, timestamp_ns received_at,
                                       struct arena *arena, struct arc_reports *reports,
                                       struct error *error)
{
    const struct report_reader reader = {received_at, arena, reports};
    *reports = (struct arc_reports){.count = 0};
    size_t count = request->span_count;
    struct arc_span *spans = arena_allocate_array(arena, count, sizeof *spans);
    if (spans != NULL) {
        count = collect_spans(request, spans);
        if (count > 1)
            qsort(spans, count, sizeof *spans, compare_spans);
        reports->reports = arena_allocate_array(arena, count, sizeof *reports->reports);
        reports->span_counts = arena_allocate_array(arena, count, sizeof *reports->span_counts);
    }
    enum error_code code = ERROR_MEMORY;
    if (spans != NULL && reports->reports != NULL && reports->span_counts != NULL)
        code = read_job_reports(&reader, spans, count);
    if (code == ERROR_NONE)
        return ERROR_NONE;
    *reports = (struct arc_reports){.count = 0};
    return error_set(error, code, "reports of ARC: %s", error_code_text(code));
}
