// A job that is exported a second time: its phases, and whether anything differs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/trace/merge.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/timeline.h"

#define PHASES 4

static struct timeline_phase *phase_of(struct job_timeline *timeline, size_t i)
{
    struct timeline_phase *const phases[PHASES] = {&timeline->waiting, &timeline->queue,
                                                   &timeline->startup, &timeline->execution};
    return phases[i];
}

// With the phases of which there is a bit in `set`, of a second each, at the end of the job.
static void make_timeline(unsigned set, struct job_timeline *timeline)
{
    timestamp_ns at = 100 * NS_PER_SECOND;
    *timeline = (struct job_timeline){.end = at};
    for (size_t i = PHASES; i-- > 0;) {
        if ((set & 1u << i) == 0)
            continue;
        *phase_of(timeline, i) = (struct timeline_phase){true, at - NS_PER_SECOND, at};
        at -= NS_PER_SECOND;
    }
    timeline->start = at;
}

static void check_taken_back(unsigned sent_set, unsigned set)
{
    struct job_timeline sent;
    struct job_timeline timeline;
    make_timeline(sent_set, &sent);
    make_timeline(set, &timeline);
    timestamp_ns at = timeline.start;
    timeline_keep_sent_phases(&sent, &timeline);
    for (size_t i = 0; i < PHASES; i++) {
        const struct timeline_phase *phase = phase_of(&timeline, i);
        assert_int_equal(phase->exists, ((sent_set | set) & 1u << i) != 0);
        if (!phase->exists)
            continue;
        bool is_void = (set & 1u << i) == 0;
        if (set != 0)
            assert_int_equal(phase->start, at);
        assert_int_equal(phase->end - phase->start, is_void ? 0 : NS_PER_SECOND);
        at = phase->end;
    }
    assert_int_equal(timeline.is_queue_void, (sent_set & ~set & 2u) != 0);
}

static void a_phase_that_was_sent_and_does_not_exist_gets_zero_length_without_a_gap(void **state)
{
    (void)state;
    for (unsigned sent = 0; sent < 1u << PHASES; sent++) {
        for (unsigned set = 0; set < 1u << PHASES; set++)
            check_taken_back(sent, set);
    }
}

// --- comparing ---------------------------------------------------------------------------------------

struct batch {
    struct attribute resource[2];
    struct attribute items[3];
    struct slice labels[2];
    struct span spans[2];
    struct span_batch all;
};

static void make_batch(struct batch *batch)
{
    *batch = (struct batch){
        .resource = {{.key = "service.name", .type = ATTRIBUTE_STRING, .string = SLICE("x")}},
        .labels = {SLICE("linux"), SLICE("x64")},
    };
    batch->items[0] = (struct attribute){"github.job_id", ATTRIBUTE_INT, {.integer = 7}};
    batch->items[1] = (struct attribute){"github.incomplete", ATTRIBUTE_BOOL, {.boolean = true}};
    batch->items[2] = (struct attribute){
        "github.runner_labels", ATTRIBUTE_STRINGS, {.strings = {batch->labels, 2}}};
    for (size_t i = 0; i < 2; i++)
        batch->spans[i] = (struct span){.trace_id = {{1}},
                                        .span_id = {{2}},
                                        .has_parent = true,
                                        .parent_id = {{3}},
                                        .has_link = true,
                                        .name = SLICE("build"),
                                        .kind = SPAN_KIND_INTERNAL,
                                        .start = 5,
                                        .end = 9,
                                        .attributes = {batch->items, 3, 3},
                                        .status_message = SLICE("failure")};
    batch->all = (struct span_batch){
        .resource = {batch->resource, 1, 2}, .spans = batch->spans, .span_count = 2};
}

typedef void (*change_maker)(struct batch *batch);

#define CHANGE(name, statement)                                                                    \
    static void change_##name(struct batch *batch)                                                 \
    {                                                                                              \
        statement;                                                                                 \
    }

CHANGE(trace, batch->spans[1].trace_id.bytes[15] = 1)
CHANGE(span_id, batch->spans[1].span_id.bytes[7] = 1)
CHANGE(parent, batch->spans[1].parent_id.bytes[7] = 1)
CHANGE(has_parent, batch->spans[1].has_parent = false)
CHANGE(link_trace, batch->spans[0].link_trace_id.bytes[0] = 1)
CHANGE(link_span, batch->spans[0].link_span_id.bytes[0] = 1)
CHANGE(has_link, batch->spans[0].has_link = false)
CHANGE(name, batch->spans[1].name = SLICE("test"))
CHANGE(kind, batch->spans[0].kind = SPAN_KIND_SERVER)
CHANGE(start, batch->spans[1].start = 6)
CHANGE(end, batch->spans[1].end = 8)
CHANGE(status, batch->spans[0].status = SPAN_STATUS_ERROR)
CHANGE(message, batch->spans[0].status_message = SLICE("timed_out"))
CHANGE(count, batch->all.span_count = 1)
CHANGE(resource, batch->resource[0].string = SLICE("y"))
CHANGE(resource_count, batch->all.resource.count = 0)
CHANGE(key, batch->items[0].key = "github.run_id")
CHANGE(type, batch->items[0].type = ATTRIBUTE_BOOL)
CHANGE(integer, batch->items[0].integer = 8)
CHANGE(boolean, batch->items[1].boolean = false)
CHANGE(first_text, batch->labels[0] = SLICE("macos"))
CHANGE(texts, batch->labels[1] = SLICE("arm64"))
CHANGE(text_count, batch->items[2].strings.count = 1)
CHANGE(attribute_count, batch->spans[1].attributes.count = 2)

static void spans_that_differ_in_anything_are_not_equal(void **state)
{
    static const change_maker changes[] = {
        change_trace,      change_span_id,   change_parent,     change_has_parent,
        change_link_trace, change_link_span, change_has_link,   change_name,
        change_kind,       change_start,     change_end,        change_status,
        change_message,    change_count,     change_resource,   change_resource_count,
        change_key,        change_type,      change_integer,    change_boolean,
        change_first_text, change_texts,     change_text_count, change_attribute_count};
    struct batch batch;
    struct batch other;
    (void)state;
    make_batch(&batch);
    make_batch(&other);
    assert_true(span_batches_are_equal(&batch.all, &other.all));
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_batch(&other);
        changes[i](&other);
        if (span_batches_are_equal(&batch.all, &other.all))
            fail_msg("change %zu is not noticed", i);
        if (fingerprint_of_batch(&batch.all) == fingerprint_of_batch(&other.all))
            fail_msg("change %zu is not in the fingerprint", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_phase_that_was_sent_and_does_not_exist_gets_zero_length_without_a_gap),
        cmocka_unit_test(spans_that_differ_in_anything_are_not_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
