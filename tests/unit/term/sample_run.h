// Runs for the tests of the views: spans as the life cycle makes them, written in seconds.
#ifndef TESTS_TERM_SAMPLE_RUN_H
#define TESTS_TERM_SAMPLE_RUN_H

#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/trace/span.h"

#define SAMPLE_START ((timestamp_ns)1788409017 * NS_PER_SECOND) // 2026-09-03T04:16:57Z
#define SAMPLE_MAX_BATCHES 600
#define SAMPLE_MAX_SPANS 64
#define SAMPLE_MAX_ATTRIBUTES 16

struct sample_batch {
    struct span spans[SAMPLE_MAX_SPANS];
    struct attribute attributes[SAMPLE_MAX_SPANS][SAMPLE_MAX_ATTRIBUTES];
};

struct sample_run {
    struct attribute resource[8];
    struct span_batch batches[SAMPLE_MAX_BATCHES];
    struct sample_batch *parts[SAMPLE_MAX_BATCHES];
    size_t count;
};

static inline void sample_add(struct attributes *attributes, const char *key, const char *value)
{
    if (value != NULL)
        attributes->items[attributes->count++] = (struct attribute){
            .key = key, .type = ATTRIBUTE_STRING, .string = slice_from_string(value)};
}

static inline void sample_add_int(struct attributes *attributes, const char *key, int64_t value)
{
    attributes->items[attributes->count++] =
        (struct attribute){.key = key, .type = ATTRIBUTE_INT, .integer = value};
}

static inline void sample_add_flag(struct span *span, const char *key)
{
    span->attributes.items[span->attributes.count++] =
        (struct attribute){.key = key, .type = ATTRIBUTE_BOOL, .boolean = true};
}

static inline void sample_init(struct sample_run *run)
{
    memset(run, 0, sizeof(*run));
    struct attributes resource = {.items = run->resource};
    sample_add(&resource, "vcs.owner.name", "octo-org");
    sample_add(&resource, "vcs.repository.name", "shop");
    sample_add(&resource, "cicd.pipeline.name", "CI");
    sample_add(&resource, "cicd.pipeline.run.id", "33714470481");
    sample_add(&resource, "cicd.pipeline.run.url.full",
               "https://github.com/octo-org/shop/actions/runs/33714470481");
    sample_add(&resource, "vcs.ref.head.name", "main");
    sample_add(&resource, "vcs.ref.head.revision", "4f2c1a9b0d6e8f7a5c3b1d9e7f5a3c1b9d7e5f3a");
}

static inline void sample_release(struct sample_run *run)
{
    for (size_t i = 0; i < run->count; i++)
        memory_free(run->parts[i]);
    run->count = 0;
}

static inline struct span *sample_span(struct sample_run *run, const char *type, struct slice name,
                                       timestamp_ns start, timestamp_ns end)
{
    struct span_batch *batch = &run->batches[run->count - 1];
    struct sample_batch *part = run->parts[run->count - 1];
    struct span *span = &part->spans[batch->span_count];

    memset(span, 0, sizeof(*span));
    memset(span->trace_id.bytes, 0xa7, sizeof(span->trace_id.bytes));
    span->attributes.items = part->attributes[batch->span_count];
    span->has_parent = batch->span_count > 0;
    if (span->has_parent)
        span->parent_id = part->spans[0].span_id;
    span->span_id.bytes[0] = (uint8_t)batch->span_count;
    span->span_id.bytes[6] = (uint8_t)(run->count >> 8);
    span->span_id.bytes[7] = (uint8_t)run->count;
    span->name = name;
    span->start = start;
    span->end = end;
    sample_add(&span->attributes, "type", type);
    batch->span_count++;
    return span;
}

static inline void sample_batch(struct sample_run *run)
{
    run->parts[run->count] = memory_allocate_array(1, sizeof(struct sample_batch));
    run->batches[run->count] = (struct span_batch){.resource = {.items = run->resource, .count = 7},
                                                   .spans = run->parts[run->count]->spans};
    run->count++;
}

static inline timestamp_ns sample_time(double seconds)
{
    return SAMPLE_START + (timestamp_ns)(seconds * 1e9);
}

static inline struct span *sample_root(struct sample_run *run, double end, const char *conclusion)
{
    sample_batch(run);
    struct span *span =
        sample_span(run, "workflow", SLICE("RUN CI"), SAMPLE_START, sample_time(end));
    sample_add(&span->attributes, "github.conclusion", conclusion);
    sample_add(&span->attributes, "github.event_name", "push");
    sample_add(&span->attributes, "github.actor", "octocat");
    sample_add(&span->attributes, "github.display_title", "Add a price to the list");
    sample_add_int(&span->attributes, "github.run_id", 33714470481);
    sample_add_int(&span->attributes, "github.run_attempt", 1);
    sample_add_int(&span->attributes, "github.run_number", 1482);
    return span;
}

// In seconds from the run's start: created, released from waiting, started, first workflow step,
// completed. Where two are equal there is no such phase.
struct sample_times {
    double created, released, started, executing, completed;
};

static inline struct span *sample_job(struct sample_run *run, struct slice name,
                                      const char *conclusion, struct sample_times t)
{
    static const char *const phases[] = {"job.waiting", "runner.queue", "runner.startup",
                                         "runner.execution"};
    double edges[] = {t.created, t.released, t.started, t.executing, t.completed};
    sample_batch(run);
    struct span *job =
        sample_span(run, "job", name, sample_time(t.created), sample_time(t.completed));
    sample_add(&job->attributes, "github.conclusion", conclusion);
    sample_add_int(&job->attributes, "github.job_id", (int64_t)(100520616165 + run->count));
    sample_add_int(&job->attributes, "github.run_attempt", 1);
    for (size_t i = 0; i < 4; i++)
        if (edges[i] < edges[i + 1])
            sample_span(run, phases[i], slice_from_string(phases[i]), sample_time(edges[i]),
                        sample_time(edges[i + 1]));
    return job;
}

static inline struct span *sample_step(struct sample_run *run, struct slice name,
                                       const char *conclusion, double start, double end)
{
    size_t number = run->batches[run->count - 1].span_count;
    struct span *step = sample_span(run, "step", name, sample_time(start), sample_time(end));
    sample_add(&step->attributes, "github.conclusion", conclusion);
    sample_add_int(&step->attributes, "github.step_number", (int64_t)number);
    return step;
}

#endif
