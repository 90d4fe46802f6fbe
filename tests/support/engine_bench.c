// An engine on a store of its own, with a clock that the test sets.
#include "support/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/log.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/encode.h"
#include "support/policy.h"

#define MAP_BYTES ((uint64_t)1 << 30)

static void open_parts(struct engine_bench *bench)
{
    struct error error = {0};
    if (store_open(bench->folder.path, STORE_DAEMON, bench->map_bytes, &bench->store, &error) !=
            ERROR_NONE ||
        engine_create(bench->store, &bench->options, &bench->engine, &error) != ERROR_NONE)
        fail_msg("open: %s", error.message);
}

static void close_parts(struct engine_bench *bench)
{
    engine_destroy(bench->engine);
    store_close(bench->store);
}

void engine_bench_open(struct engine_bench *bench)
{
    // Syncing thousands of small commits to a disk proves nothing here.
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    *bench = (struct engine_bench){.now = SCENARIO_START, .map_bytes = MAP_BYTES};
    trace_policy_init(&bench->options.policy);
    bench->options.queue_max = 1000;
    bench->options.batch_max = 100;
    bench->options.has_exporter = true;
    bench->options.history = NS_PER_DAY;
    bench->options.history_jobs = 1000000;
    assert_true(temp_folder_create(&bench->folder));
    open_parts(bench);
}

void engine_bench_close(struct engine_bench *bench)
{
    close_parts(bench);
    assert_true(temp_folder_remove(&bench->folder));
}

void engine_bench_restart(struct engine_bench *bench)
{
    close_parts(bench);
    open_parts(bench);
}

int engine_bench_set_up(void **state)
{
    struct engine_bench *bench = test_calloc(1, sizeof *bench);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(bench);
    *state = bench;
    return 0;
}

int engine_bench_tear_down(void **state)
{
    engine_bench_close(*state);
    test_free(*state);
    return 0;
}

static void mark_done(struct engine_task *task)
{
    *(bool *)task->context = true;
}

enum engine_outcome engine_bench_deliver(struct engine_bench *bench,
                                         const struct scenario_delivery *delivery)
{
    bool is_done = false;
    if (bench->now < delivery->guid_time)
        bench->now = delivery->guid_time;
    struct engine_task task = {.type = ENGINE_APPLY_EVENT,
                               .on_done = mark_done,
                               .context = &is_done,
                               .event = &delivery->event,
                               .received_at = bench->now,
                               .occurred_at = delivery->guid_time};
    memcpy(task.delivery_digest, delivery->digest, sizeof task.delivery_digest);
    engine_run_batch(bench->engine, &task, 1, bench->now);
    assert_true(is_done);
    return task.outcome;
}

void engine_bench_accept(struct engine_bench *bench, const struct scenario_delivery *delivery)
{
    assert_int_equal(engine_bench_deliver(bench, delivery), ENGINE_ACCEPTED);
}

enum engine_outcome engine_bench_report(struct engine_bench *bench, const struct arc_report *report,
                                        enum arc_outcome *outcome)
{
    bool is_done = false;
    assert_true(bench->options.has_receiver);
    struct engine_task task = {.type = ENGINE_APPLY_ARC_REPORTS,
                               .on_done = mark_done,
                               .context = &is_done,
                               .arc_reports = report,
                               .arc_report_count = 1,
                               .arc_outcomes = outcome,
                               .arc_matches = bench->matches,
                               .received_at = bench->now};
    engine_run_batch(bench->engine, &task, 1, bench->now);
    assert_true(is_done);
    return task.outcome;
}

struct arc_report engine_bench_assignment(int64_t job_id, double seconds)
{
    return (struct arc_report){.repository = SLICE("octo/Hello_World"),
                               .run_id = SCENARIO_RUN_ID,
                               .job_id = job_id,
                               .job_name = SLICE("build"),
                               .runner_name = SLICE("runner-7"),
                               .assigned_at = scenario_at(seconds)};
}

struct arc_report engine_bench_named(enum report_naming naming, struct arc_report report)
{
    if (naming != BY_NUMBER)
        report.job_id = 0;
    if (naming == BY_TIME)
        report.run_id = 0;
    return report;
}

enum arc_outcome engine_bench_assign(struct engine_bench *bench, int64_t job_id, double seconds)
{
    const struct arc_report report = engine_bench_assignment(job_id, seconds);
    enum arc_outcome outcome;
    assert_int_equal(engine_bench_report(bench, &report, &outcome), ENGINE_ACCEPTED);
    return outcome;
}

void engine_bench_must_accept(struct engine_task *task)
{
    assert_int_equal(task->outcome, ENGINE_ACCEPTED);
}

void engine_bench_advance(struct engine_bench *bench, duration_ns by)
{
    timestamp_ns until = bench->now + by;
    engine_run_batch(bench->engine, NULL, 0, bench->now);
    for (;;) {
        timestamp_ns due = engine_next_deadline(bench->engine);
        if (due == TIMESTAMP_UNKNOWN || due > until)
            break;
        bench->now = due > bench->now ? due : bench->now;
        engine_run_batch(bench->engine, NULL, 0, bench->now);
    }
    bench->now = until;
    engine_run_batch(bench->engine, NULL, 0, bench->now);
}

void engine_bench_advance_to(struct engine_bench *bench, double seconds)
{
    engine_bench_advance(bench, scenario_at(seconds) - bench->now);
}

// --- what was exported -------------------------------------------------------------------------------------

typedef void (*record_visitor)(const struct store_record *record, void *context);

static void visit_outbox(struct engine_bench *bench, record_visitor visit, void *context)
{
    struct error error = {0};
    struct store_transaction *transaction;
    uint64_t sequence = 0;
    uint32_t size;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    while (store_seek_outbox(transaction, &sequence, &size, &error) == ERROR_NONE) {
        struct store_record record;
        assert_int_equal(store_get_record(transaction, sequence, &record, &error), ERROR_NONE);
        assert_int_equal(record.body.len, size);
        visit(&record, context);
        sequence++;
    }
    store_abort(transaction);
}

static const struct attribute *find_attribute(const struct span *span, const char *key)
{
    for (size_t i = 0; i < span->attributes.count; i++) {
        if (strcmp(span->attributes.items[i].key, key) == 0)
            return &span->attributes.items[i];
    }
    return NULL;
}

static void write_flag(struct buffer *text, const struct span *span, const char *key)
{
    const struct attribute *attribute = find_attribute(span, key);
    if (attribute != NULL)
        assert_int_equal(buffer_append_format(text, " %s", key), ERROR_NONE);
}

static void write_time(struct buffer *text, const char *before, timestamp_ns time)
{
    double seconds = (double)(time - SCENARIO_START) / (double)NS_PER_SECOND;
    assert_int_equal(buffer_append_format(text, "%s%g", before, seconds), ERROR_NONE);
}

static void write_span(struct buffer *text, const struct span *span)
{
    const struct attribute *type = find_attribute(span, "type");
    const struct attribute *queue = find_attribute(span, "queue_time_ms");
    const struct attribute *result = find_attribute(span, "cicd.pipeline.task.run.result");
    assert_non_null(type);
    if (!slice_equals(type->string, span->name))
        assert_int_equal(buffer_append_format(text, "%.*s ", SLICE_ARGS(type->string)), ERROR_NONE);
    assert_int_equal(buffer_append_slice(text, span->name), ERROR_NONE);
    write_time(text, " ", span->start);
    write_time(text, "..", span->end);
    if (result == NULL)
        result = find_attribute(span, "cicd.pipeline.result");
    if (result != NULL)
        assert_int_equal(buffer_append_format(text, " %.*s", SLICE_ARGS(result->string)),
                         ERROR_NONE);
    if (span->status == SPAN_STATUS_ERROR)
        assert_int_equal(buffer_append_string(text, " error"), ERROR_NONE);
    if (queue != NULL)
        assert_int_equal(
            buffer_append_format(text, " queue_time_ms=%lld", (long long)queue->integer),
            ERROR_NONE);
    if (span->has_link)
        assert_int_equal(buffer_append_string(text, " linked"), ERROR_NONE);
    const struct attribute *source = find_attribute(span, "github.phase_source");
    if (source != NULL && slice_equals(source->string, SLICE("arc")))
        assert_int_equal(buffer_append_string(text, " arc"), ERROR_NONE);
    write_flag(text, span, "github.carried_over");
    write_flag(text, span, "github.incomplete");
    assert_int_equal(buffer_append_string(text, "\n"), ERROR_NONE);
}

static void write_record(const struct store_record *record, void *context)
{
    struct buffer *text = context;
    struct arena arena;
    struct span_batch batch;
    struct error error = {0};
    arena_init(&arena, 65536);
    assert_int_equal(otlp_decode_batch(record->body, &arena, &batch, &error), ERROR_NONE);
    for (size_t i = 0; i < batch.span_count; i++)
        write_span(text, &batch.spans[i]);
    arena_release(&arena);
}

void engine_bench_spans(struct engine_bench *bench, struct buffer *text)
{
    buffer_clear(text);
    visit_outbox(bench, write_record, text);
    assert_int_equal(buffer_append(text, "", 1), ERROR_NONE);
}

struct record_list {
    struct slice items[64];
    size_t count;
};

static void copy_record(const struct store_record *record, void *context)
{
    struct record_list *list = context;
    assert_true(list->count < sizeof list->items / sizeof list->items[0]);
    char *copy = malloc(record->body.len);
    assert_non_null(copy);
    memcpy(copy, record->body.data, record->body.len);
    list->items[list->count++] = (struct slice){copy, record->body.len};
}

static int compare_records(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

void engine_bench_records(struct engine_bench *bench, struct buffer *bytes)
{
    struct record_list list = {.count = 0};
    visit_outbox(bench, copy_record, &list);
    qsort(list.items, list.count, sizeof list.items[0], compare_records);
    buffer_clear(bytes);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(buffer_append_slice(bytes, list.items[i]), ERROR_NONE);
        free((void *)(uintptr_t)list.items[i].data);
    }
}

struct version {
    struct span_id id;
    bool is_incomplete;
    struct buffer bytes;
};

struct version_list {
    struct version items[64];
    size_t count;
};

static struct version *place_for(struct version_list *list, const struct span_id *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (memcmp(&list->items[i].id, id, sizeof *id) == 0)
            return &list->items[i];
    }
    assert_true(list->count < sizeof list->items / sizeof list->items[0]);
    struct version *made = &list->items[list->count++];
    *made = (struct version){.id = *id, .is_incomplete = true};
    buffer_init(&made->bytes, 1 << 20);
    return made;
}

static void take_version(struct version_list *list, const struct span_batch *batch, size_t index)
{
    struct error error = {0};
    struct span_batch alone = {
        .resource = batch->resource, .spans = &batch->spans[index], .span_count = 1};
    const struct span *span = &batch->spans[index];
    struct version *version = place_for(list, &span->span_id);
    struct buffer bytes;
    buffer_init(&bytes, 1 << 20);
    assert_int_equal(otlp_encode_batch(&alone, &bytes, &error), ERROR_NONE);
    bool is_incomplete = find_attribute(span, "github.incomplete") != NULL;
    if (is_incomplete && !version->is_incomplete)
        fail_msg("%.*s is less complete than it was", SLICE_ARGS(span->name));
    if (!span->has_parent && slice_equals(buffer_slice(&bytes), buffer_slice(&version->bytes)))
        fail_msg("%.*s left twice as the same", SLICE_ARGS(span->name));
    buffer_release(&version->bytes);
    version->bytes = bytes;
    version->is_incomplete = is_incomplete;
}

static void take_versions(const struct store_record *record, void *context)
{
    struct arena arena;
    struct span_batch batch;
    struct error error = {0};
    arena_init(&arena, 65536);
    assert_int_equal(otlp_decode_batch(record->body, &arena, &batch, &error), ERROR_NONE);
    for (size_t i = 0; i < batch.span_count; i++)
        take_version(context, &batch, i);
    arena_release(&arena);
}

static int compare_versions(const void *a, const void *b)
{
    const struct version *left = a;
    const struct version *right = b;
    return memcmp(&left->id, &right->id, sizeof left->id);
}

void engine_bench_last_versions(struct engine_bench *bench, struct buffer *bytes)
{
    static struct version_list list;
    list.count = 0;
    visit_outbox(bench, take_versions, &list);
    qsort(list.items, list.count, sizeof list.items[0], compare_versions);
    buffer_clear(bytes);
    for (size_t i = 0; i < list.count; i++) {
        assert_int_equal(buffer_append_slice(bytes, buffer_slice(&list.items[i].bytes)),
                         ERROR_NONE);
        buffer_release(&list.items[i].bytes);
    }
}

static struct store_usage usage_of(struct engine_bench *bench)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct store_usage usage;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    return usage;
}

struct engine_counters engine_bench_counters(struct engine_bench *bench)
{
    struct engine_counters counters;
    engine_read_counters(bench->engine, &counters);
    return counters;
}

uint64_t engine_bench_count_entries(struct engine_bench *bench, enum store_table table)
{
    struct error error = {0};
    struct store_transaction *transaction;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    uint64_t count = store_table_count(transaction, table);
    store_abort(transaction);
    return count;
}

uint64_t engine_bench_count_spans(struct engine_bench *bench)
{
    struct store_usage usage = usage_of(bench);
    return usage.spans + usage.job_notes + usage.run_notes;
}

uint64_t engine_bench_count_roots(struct engine_bench *bench)
{
    return usage_of(bench).root_notes;
}
