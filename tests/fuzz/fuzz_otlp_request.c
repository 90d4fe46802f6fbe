// Export requests in protobuf from any client: what is read of them, passed on, and understood as ARC's.
#include <string.h>

#include "../../src/receiver/arc_spans.h"
#include "fuzz.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/otlp/request.h"

#define OUT_MAX ((size_t)1 << 26)
#define NOW (INT64_C(1788408000) * NS_PER_SECOND)

static const struct otlp_request_limits limits = {
    .spans = 64, .attributes = 16, .span_bytes = 1024, .resource_bytes = 512};

static void check_same_span(const struct otlp_received_span *a, const struct otlp_received_span *b)
{
    MUST(memcmp(&a->trace_id, &b->trace_id, sizeof a->trace_id) == 0);
    MUST(memcmp(&a->span_id, &b->span_id, sizeof a->span_id) == 0);
    MUST(memcmp(&a->parent_id, &b->parent_id, sizeof a->parent_id) == 0);
    MUST(a->has_parent == b->has_parent);
    MUST(a->start == b->start && a->end == b->end);
}

static void check_same_scope(const struct otlp_received_scope *a,
                             const struct otlp_received_scope *b)
{
    MUST(slice_equals(a->resource, b->resource) && slice_equals(a->scope, b->scope));
    MUST(slice_equals(a->resource_schema_url, b->resource_schema_url));
    MUST(slice_equals(a->scope_schema_url, b->scope_schema_url));
    MUST(a->span_count == b->span_count);
    for (size_t i = 0; i < a->span_count; i++) {
        check_same_span(&a->spans[i], &b->spans[i]);
        MUST(a->spans[i].fault == b->spans[i].fault);
        MUST(slice_equals(a->spans[i].name, b->spans[i].name));
        MUST(slice_equals(a->spans[i].bytes, b->spans[i].bytes));
    }
}

// With all spans, or only with those that have no fault.
static void pass_on(const struct otlp_request *request, bool takes_all, struct buffer *out)
{
    struct error error;
    bool is_taken[64];
    buffer_init(out, OUT_MAX);
    for (size_t i = 0; i < request->scope_count; i++) {
        const struct otlp_received_scope *scope = &request->scopes[i];
        for (size_t j = 0; j < scope->span_count; j++)
            is_taken[j] = takes_all || scope->spans[j].fault == OTLP_SPAN_FINE;
        MUST(otlp_encode_received(scope, is_taken, out, &error) == ERROR_NONE);
    }
}

// What is passed on is read as the same spans.
static void check_passed_on(const struct otlp_request *request, struct arena *arena)
{
    struct buffer out;
    struct error error;
    struct otlp_request again;
    pass_on(request, true, &out);
    MUST(otlp_decode_request(buffer_slice(&out), &limits, arena, &again, &error) == ERROR_NONE);
    MUST(again.scope_count == request->scope_count && again.span_count == request->span_count);
    for (size_t i = 0; i < again.scope_count; i++)
        check_same_scope(&request->scopes[i], &again.scopes[i]);
    buffer_release(&out);
}

// In JSON, in which it may be exported, it is read as the same spans.
static void check_as_json(const struct otlp_request *request, struct arena *arena)
{
    static const struct otlp_request_limits no_limits = {64, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    struct buffer out, json;
    struct error error;
    struct otlp_request binary, text;
    buffer_init(&json, OUT_MAX);
    pass_on(request, false, &out);
    MUST(otlp_decode_request(buffer_slice(&out), &no_limits, arena, &binary, &error) == ERROR_NONE);
    MUST(otlp_json_from_protobuf(buffer_slice(&out), &json, &error) == ERROR_NONE);
    MUST(otlp_decode_json_request(buffer_slice(&json), &no_limits, arena, &text, &error) ==
         ERROR_NONE);
    MUST(text.scope_count == binary.scope_count && text.span_count == binary.span_count);
    for (size_t i = 0; i < text.scope_count; i++) {
        MUST(text.scopes[i].span_count == binary.scopes[i].span_count);
        for (size_t j = 0; j < text.scopes[i].span_count; j++) {
            MUST(binary.scopes[i].spans[j].fault == OTLP_SPAN_FINE);
            MUST(text.scopes[i].spans[j].fault == OTLP_SPAN_FINE);
            check_same_span(&text.scopes[i].spans[j], &binary.scopes[i].spans[j]);
        }
    }
    buffer_release(&json);
    buffer_release(&out);
}

static void check_reports(const struct otlp_request *request, struct arena *arena)
{
    struct arc_reports reports;
    struct error error;
    size_t span_count = 0;
    MUST(arc_reports_of_request(request, NOW, arena, &reports, &error) == ERROR_NONE);
    MUST(reports.well_formed <= reports.count && reports.count <= request->span_count);
    for (size_t i = 0; i < reports.count; i++) {
        const struct arc_report *report = &reports.reports[i];
        span_count += reports.span_counts[i];
        MUST(reports.span_counts[i] > 0 && report->job_id >= 0);
        if (i >= reports.well_formed)
            continue;
        MUST(report->start >= ARC_TIME_MIN && report->start <= report->end);
        MUST(report->end <= NOW + ARC_TIME_AHEAD);
        MUST(report->job_id > 0 || report->runner_name.len > 0);
        MUST(report->assigned_at == TIMESTAMP_UNKNOWN || report->assigned_at >= ARC_TIME_MIN);
    }
    MUST(span_count <= request->span_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct otlp_request request;
    struct error error = {0};
    arena_init(&arena, 1024);
    enum error_code code =
        otlp_decode_request(fuzz_slice(data, size), &limits, &arena, &request, &error);
    MUST(arena.used <= 2 * size + 64 +
                           request.span_count * (sizeof(struct otlp_received_span) +
                                                 sizeof(struct otlp_received_scope) + 64));
    if (code == ERROR_NONE) {
        check_passed_on(&request, &arena);
        check_as_json(&request, &arena);
        check_reports(&request, &arena);
    } else {
        MUST(code == ERROR_CORRUPT || code == ERROR_TOO_LARGE);
        MUST(error.message[0] != '\0' && request.scope_count == 0 && request.span_count == 0);
    }
    arena_release(&arena);
    return 0;
}
