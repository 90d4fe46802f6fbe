// The path of a body through the pure rooms, with the properties that hold after each step.
#ifndef GHATRACE_TESTS_FUZZ_EVENT_PATH_H
#define GHATRACE_TESTS_FUZZ_EVENT_PATH_H

#include "fuzz.h"
#include "ghatrace/github/event.h"
#include "ghatrace/json/read.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/trace/lifecycle.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/timeline.h"
#include "support/policy.h"

#define FUZZ_NOW (INT64_C(1900000000) * NS_PER_SECOND)

static inline bool is_phase(const struct span *span)
{
    return span->attributes.count > 0 && strcmp(span->attributes.items[0].key, "type") == 0 &&
           slice_equals(span->attributes.items[0].string, span->name);
}

// Phases follow each other without gap or overlap up to the end of their job. A job that never started has neither
// start-up nor execution, except phases that were exported earlier and now have zero length.
static inline void check_phases(const struct span_batch *batch)
{
    const struct attributes *own = &batch->spans[0].attributes;
    bool was_refused = slice_equals(attributes_get_string(own, "error.type"), SLICE("not_started"));
    timestamp_ns at = TIMESTAMP_UNKNOWN;
    for (size_t i = 1; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        // A queue that was exported and did not exist has zero length, at the start of the job.
        bool is_void = slice_equals(span->name, SLICE("runner.queue")) &&
                       span->start == span->end && span->start == batch->spans[0].start;
        if (!is_phase(span) || is_void)
            continue;
        MUST(at == TIMESTAMP_UNKNOWN || span->start == at);
        at = span->end;
        MUST(!was_refused || span->start == span->end ||
             (!slice_equals(span->name, SLICE("runner.startup")) &&
              !slice_equals(span->name, SLICE("runner.execution"))));
    }
    MUST(at == TIMESTAMP_UNKNOWN || at == batch->spans[0].end);
}

// Spans have IDs and times, and lie within the first span of their batch, which is their parent.
static inline void check_spans(const struct span_batch *batch)
{
    static const struct trace_id no_trace;
    static const struct span_id no_span;
    const struct span *first = &batch->spans[0];
    MUST(first->start > 0);
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        MUST(memcmp(&span->trace_id, &no_trace, sizeof no_trace) != 0);
        MUST(memcmp(&span->trace_id, &first->trace_id, sizeof no_trace) == 0);
        MUST(memcmp(&span->span_id, &no_span, sizeof no_span) != 0);
        MUST(i == 0 || memcmp(&span->parent_id, &first->span_id, sizeof no_span) == 0);
        MUST(span->end >= span->start);
        MUST(span->start >= first->start && span->end <= first->end);
    }
}

static inline void check_batch(const struct span_batch *batch, struct arena *arena)
{
    struct buffer record;
    struct buffer json;
    struct error error = {0};
    struct span_batch back;
    struct json_document document;
    MUST(batch->span_count > 0);
    check_spans(batch);
    check_phases(batch);
    buffer_init(&record, 1 << 26);
    buffer_init(&json, 1 << 28);
    MUST(otlp_encode_batch(batch, &record, &error) == ERROR_NONE);
    MUST(otlp_decode_batch(buffer_slice(&record), arena, &back, &error) == ERROR_NONE);
    MUST(back.span_count == batch->span_count);
    MUST(otlp_json_from_protobuf(buffer_slice(&record), &json, &error) == ERROR_NONE);
    MUST(json_parse(buffer_slice(&json), arena, &document, &error) == ERROR_NONE);
    buffer_release(&record);
    buffer_release(&json);
}

static inline bool has_equal(const struct span_batch *batch, const struct span *span)
{
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *other = &batch->spans[i];
        if (memcmp(&other->span_id, &span->span_id, sizeof span->span_id) == 0 &&
            slice_equals(other->name, span->name) && other->start == span->start &&
            other->end == span->end && other->status == span->status)
            return true;
    }
    return false;
}

// True if no two steps share both number and name; only their order distinguishes such steps.
static inline bool are_distinct(const struct github_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t other = 0; other < i; other++) {
            if (steps[other].number == steps[i].number &&
                slice_equals(steps[other].name, steps[i].name))
                return false;
        }
    }
    return true;
}

// The result does not depend on the order in which a completed job lists its steps.
static inline void check_turned_round(const struct trace_policy *policy, struct github_event *event,
                                      const struct span_batch *batch, struct arena *arena)
{
    struct run_state run = {0};
    struct job_state job = {0};
    struct lifecycle_output output;
    size_t count = event->job.step_count;
    if (event->job.action != GITHUB_JOB_COMPLETED || count == 0 || count > 100 ||
        !are_distinct(event->job.steps, count))
        return;
    struct github_step *steps = arena_allocate_array(arena, count, sizeof *steps);
    MUST(steps != NULL);
    for (size_t i = 0; i < count; i++)
        steps[i] = event->job.steps[count - 1 - i];
    event->job.steps = steps;
    const struct lifecycle life = {policy, arena, &output};
    const struct lifecycle_event received = {event, FUZZ_NOW, FUZZ_NOW, 1};
    MUST(lifecycle_apply_job_event(&life, &received, &run, &job) == ERROR_NONE);
    MUST(output.finished_count > 0 && output.finished[0].batch.span_count == batch->span_count);
    for (size_t i = 0; i < batch->span_count; i++)
        MUST(has_equal(&output.finished[0].batch, &batch->spans[i]));
}

static inline void walk_event(struct slice type, struct slice body)
{
    struct arena arena;
    struct github_event event;
    struct error error = {0};
    struct trace_policy policy;
    struct run_state run = {0};
    struct job_state job = {0};
    struct lifecycle_output output;
    const struct lifecycle life = {&policy, &arena, &output};
    const struct lifecycle_event received = {&event, FUZZ_NOW, FUZZ_NOW, 1};
    arena_init(&arena, 1024);
    trace_policy_init(&policy);
    policy.root_grace = 0;
    if (github_event_decode(type, body, &arena, &event, &error) == ERROR_NONE &&
        (event.kind == GITHUB_EVENT_JOB || event.kind == GITHUB_EVENT_RUN)) {
        bool is_job = event.kind == GITHUB_EVENT_JOB;
        enum error_code code = is_job ? lifecycle_apply_job_event(&life, &received, &run, &job)
                                      : lifecycle_apply_run_event(&life, &received, &run);
        MUST(code == ERROR_NONE);
        for (size_t i = 0; i < output.finished_count; i++)
            check_batch(&output.finished[i].batch, &arena);
        if (is_job && output.finished_count > 0)
            check_turned_round(&policy, &event, &output.finished[0].batch, &arena);
        if (is_job && job.phase == JOB_OPEN) {
            MUST(lifecycle_expire_job(&life, FUZZ_NOW + policy.approval_timeout, &run, &job) ==
                 ERROR_NONE);
            MUST(output.finished_count == 1);
            check_batch(&output.finished[0].batch, &arena);
        }
    } else if (error.code != ERROR_NONE) {
        MUST(error.message[0] != '\0');
    }
    arena_release(&arena);
}

#endif
