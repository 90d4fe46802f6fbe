// Spans of other programs: which are passed on, as they are, and which are refused, held or dropped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/store/table.h"
#include "ghatrace/trace/ids.h"
#include "support/foreign_spans.h"

#define QUEUED GITHUB_JOB_QUEUED
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

static const struct otlp_request_limits limits = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};

static struct foreign_request request;
static struct github_step steps[3];

static void open_bench(struct engine_bench *bench)
{
    engine_bench_open(bench);
    bench->now = scenario_at(0);
    bench->options.has_receiver = true;
    engine_bench_restart(bench);
}

static void open_with_map(struct engine_bench *bench, uint64_t map_bytes)
{
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    open_bench(bench);
    bench->map_bytes = map_bytes;
    engine_bench_restart(bench);
}

static struct trace_id trace_of(enum id_scheme scheme, int64_t attempt)
{
    return trace_id_of_run(scheme, SCENARIO_RUN_ID, attempt);
}

static struct trace_id our_trace(void)
{
    return trace_of(ID_SCHEME_ARC, 1);
}

static struct scenario_delivery job(int64_t id, enum github_job_action action, double at)
{
    struct scenario_delivery made =
        scenario_job(id, action, at, 2, action == QUEUED ? 2 : 6, action == COMPLETED ? at : -1);
    steps[0] = scenario_step(1, "Set up job", 6, 7, "success");
    steps[1] = scenario_step(2, "make", 7, 9, "success");
    steps[2] = scenario_step(3, "make", 9, 10, "success");
    if (action == IN_PROGRESS)
        scenario_set_steps(&made, steps, 1);
    if (action == COMPLETED)
        scenario_set_steps(&made, steps, 3);
    return made;
}

static void deliver(struct engine_bench *bench, struct scenario_delivery delivery)
{
    engine_bench_accept(bench, &delivery);
}

// From now on this attempt of the run is known.
static void deliver_attempt(struct engine_bench *bench, int64_t attempt)
{
    struct scenario_delivery made = job(2000 + attempt, QUEUED, 2);
    scenario_set_attempt(&made, attempt);
    deliver(bench, made);
}

// Three schemes of IDs, with a run of github.com and with one of another server.
#define KINDS_OF_RUNS 6

// `*job_end`, `*run_end`: the events of a run of this kind.
static enum id_scheme open_kind(struct engine_bench *bench, size_t kind,
                                struct scenario_delivery *job_end,
                                struct scenario_delivery *run_end)
{
    static const enum id_scheme schemes[] = {ID_SCHEME_ARC, ID_SCHEME_COLLECTOR, ID_SCHEME_RUNNER};
    open_bench(bench);
    bench->options.policy.scheme = schemes[kind % 3];
    engine_bench_restart(bench);
    *job_end = job(1, COMPLETED, 10);
    *run_end = scenario_run(GITHUB_RUN_COMPLETED, 11, "success");
    if (kind >= 3) {
        scenario_set_server(job_end, "https://ghe.example/octo/Hello_World");
        scenario_set_server(run_end, "https://ghe.example/octo/Hello_World");
    }
    return schemes[kind % 3];
}

// Sends one span. What became of it.
static enum forward_outcome send_span(struct engine_bench *bench, const struct trace_id *trace,
                                      struct span_id id, size_t padding)
{
    foreign_start_scope(&request);
    foreign_add_span(&request, trace, id, padding);
    assert_int_equal(foreign_send(bench, &request), ENGINE_ACCEPTED);
    return request.outcomes[0];
}

static enum forward_outcome send_id(struct engine_bench *bench, struct span_id id)
{
    const struct trace_id trace = our_trace();
    return send_span(bench, &trace, id, 10);
}

// --- the outbox --------------------------------------------------------------------------------------------

static struct store_transaction *read_store(struct engine_bench *bench)
{
    struct error error = {0};
    struct store_transaction *transaction;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    return transaction;
}

struct outbox {
    size_t records; // of other programs' spans
    uint64_t bytes; // of these
    size_t ours;
    size_t in_history; // of records of other programs' spans
    size_t dead;
    uint64_t counted; // store_forwarded_bytes()
    uint64_t sequences[4000];
    struct buffer bodies; // of the foreign ones, one after the other
};

static void read_outbox(struct engine_bench *bench, struct outbox *outbox)
{
    struct error error = {0};
    struct store_transaction *transaction = read_store(bench);
    uint64_t sequence = 0;
    uint32_t size;
    memset(outbox, 0, sizeof *outbox);
    buffer_init(&outbox->bodies, (size_t)256 << 20);
    for (; store_seek_outbox(transaction, &sequence, &size, &error) == ERROR_NONE; sequence++) {
        struct store_record record;
        assert_int_equal(store_get_record(transaction, sequence, &record, &error), ERROR_NONE);
        if (!store_is_forwarded(&record)) {
            outbox->ours++;
            continue;
        }
        outbox->sequences[outbox->records++] = sequence;
        outbox->bytes += size;
        assert_int_equal(buffer_append_slice(&outbox->bodies, record.body), ERROR_NONE);
    }
    struct store_key key = {.trace = {{0}}};
    for (; store_seek_history(transaction, &key, &sequence, &error) == ERROR_NONE;
         store_key_increment(&key)) {
        struct store_record record;
        assert_int_equal(store_get_record(transaction, sequence, &record, &error), ERROR_NONE);
        outbox->in_history += store_is_forwarded(&record) ? 1 : 0;
    }
    struct store_usage usage;
    store_read_usage(transaction, &usage);
    outbox->dead = (size_t)usage.dead_letters;
    outbox->counted = store_forwarded_bytes(transaction);
    store_abort(transaction);
    assert_int_equal(outbox->counted, outbox->bytes);
    assert_int_equal(outbox->in_history, 0);
}

// Without the bodies.
static void list_outbox(struct engine_bench *bench, struct outbox *outbox)
{
    read_outbox(bench, outbox);
    buffer_release(&outbox->bodies);
}

static size_t count_forwarded(struct engine_bench *bench)
{
    static struct outbox outbox;
    list_outbox(bench, &outbox);
    return outbox.records;
}

// What the foreign records contain is what the request had, in its order.
static void expect_forwarded_as_sent(struct engine_bench *bench)
{
    static struct outbox outbox;
    struct otlp_request read;
    struct error error = {0};
    struct arena arena;
    read_outbox(bench, &outbox);
    arena_init(&arena, 65536);
    assert_int_equal(
        otlp_decode_request(buffer_slice(&outbox.bodies), &limits, &arena, &read, &error),
        ERROR_NONE);
    size_t scope = 0, k = 0;
    for (size_t i = 0; i < read.scope_count; i++) {
        for (size_t j = 0; j < read.scopes[i].span_count; j++, k++) {
            while (k == request.scopes[scope].span_count) {
                scope++;
                k = 0;
            }
            const struct otlp_received_scope *sent = &request.scopes[scope];
            assert_true(slice_equals(read.scopes[i].spans[j].bytes, sent->spans[k].bytes));
            assert_true(slice_equals(read.scopes[i].resource, sent->resource));
            assert_true(slice_equals(read.scopes[i].scope, sent->scope));
            assert_true(slice_equals(read.scopes[i].scope_schema_url, sent->scope_schema_url));
        }
    }
    assert_int_equal(read.span_count, request.span_count);
    arena_release(&arena);
    buffer_release(&outbox.bodies);
}

static void settle(struct engine_bench *bench, uint64_t sequence, bool is_dead)
{
    struct engine_task task = {.type = ENGINE_SETTLE_EXPORT,
                               .on_done = engine_bench_must_accept,
                               .sequences = &sequence,
                               .sequence_count = 1,
                               .is_dead = is_dead,
                               .reason = "refused"};
    engine_run_batch(bench->engine, &task, 1, bench->now);
}

// --- spans of a known run --------------------------------------------------------------------------------------

static void spans_of_a_known_run_are_passed_on_as_they_are(void **state)
{
    struct engine_bench bench;
    const struct trace_id trace = our_trace();
    (void)state;
    open_bench(&bench);
    deliver(&bench, job(1, QUEUED, 2));
    foreign_start_scope(&request);
    foreign_add_span(&request, &trace, foreign_id(1001), 10);
    foreign_add_span(&request, &trace, foreign_id(1002), 0);
    foreign_add_scope(&request, "build", "gradle");
    foreign_add_span(&request, &trace, foreign_id(1003), 300);
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(request.outcomes[i], FORWARD_ACCEPTED);
    assert_int_equal(count_forwarded(&bench), 1);
    expect_forwarded_as_sent(&bench);
    engine_bench_restart(&bench);
    expect_forwarded_as_sent(&bench);
    engine_bench_close(&bench);
}

static void a_run_is_known_in_every_scheme_and_of_every_server_and_after_its_end(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS_OF_RUNS; kind++) {
        struct engine_bench bench;
        struct scenario_delivery made, end;
        enum id_scheme scheme = open_kind(&bench, kind, &made, &end);
        const struct trace_id trace = trace_of(scheme, 1), other = trace_of(scheme, 2);
        deliver(&bench, made);
        assert_int_equal(send_span(&bench, &trace, foreign_id(1001), 0), FORWARD_ACCEPTED);
        assert_int_equal(send_span(&bench, &other, foreign_id(1001), 0), FORWARD_HELD);
        deliver(&bench, end);
        engine_bench_advance(&bench, NS_PER_DAY);
        engine_bench_restart(&bench);
        assert_int_equal(send_span(&bench, &trace, foreign_id(1002), 0), FORWARD_ACCEPTED);
        engine_bench_advance(&bench, 3 * NS_PER_DAY);
        assert_int_equal(send_span(&bench, &trace, foreign_id(1003), 0), FORWARD_HELD);
        assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_OUR_SPANS), 0);
        engine_bench_close(&bench);
    }
}

static void an_open_run_stays_known_however_long_it_takes(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    bench.options.policy.job_timeout = 30 * NS_PER_DAY;
    engine_bench_restart(&bench);
    deliver(&bench, job(1, IN_PROGRESS, 6));
    engine_bench_advance(&bench, 20 * NS_PER_DAY);
    assert_int_equal(send_id(&bench, foreign_id(1001)), FORWARD_ACCEPTED);
    assert_int_equal(send_id(&bench, foreign_id(1)), FORWARD_OUR_ID);
    engine_bench_close(&bench);
}

static void malformed_spans_and_those_without_a_parent_are_refused(void **state)
{
    struct engine_bench bench;
    const struct trace_id trace = our_trace();
    (void)state;
    open_bench(&bench);
    deliver(&bench, job(1, QUEUED, 2));
    foreign_start_scope(&request);
    foreign_add_span(&request, &trace, foreign_id(1001), 0)->fault = OTLP_SPAN_TOO_LARGE;
    foreign_add_span(&request, &trace, foreign_id(1002), 0)->has_parent = false;
    foreign_add_span(&request, &trace, foreign_id(1003), 0);
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    assert_int_equal(request.outcomes[0], FORWARD_MALFORMED);
    assert_int_equal(request.outcomes[1], FORWARD_NO_PARENT);
    assert_int_equal(request.outcomes[2], FORWARD_ACCEPTED);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_MALFORMED], 1);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_NO_PARENT], 1);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_ACCEPTED], 1);
    engine_bench_close(&bench);
}

static void a_request_makes_one_record_for_each_trace_and_more_only_if_it_is_large(void **state)
{
    struct engine_bench bench;
    const struct trace_id first = our_trace(), second = trace_of(ID_SCHEME_ARC, 2);
    (void)state;
    open_bench(&bench);
    deliver(&bench, job(1, QUEUED, 2));
    deliver_attempt(&bench, 2);
    foreign_start(&request);
    for (uint64_t i = 0; i < 40; i++) {
        if (i % 10 == 0)
            foreign_add_scope(&request, "tests", "pytest");
        foreign_add_span(&request, i % 2 == 0 ? &first : &second, foreign_id(1000 + i), 100);
    }
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    assert_int_equal(count_forwarded(&bench), 2);
    foreign_start_scope(&request);
    for (uint64_t i = 0; i < 5; i++)
        foreign_add_span(&request, &first, foreign_id(2000 + i), 400000);
    foreign_add_span(&request, &first, foreign_id(2005), 3000000);
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    assert_int_equal(count_forwarded(&bench), 2 + 3 + 1);
    for (size_t i = 0; i < request.span_count; i++)
        assert_int_equal(request.outcomes[i], FORWARD_ACCEPTED);
    engine_bench_close(&bench);
}

// Otherwise a small request would make 256 large records.
static void a_resource_that_many_traces_share_is_repeated_within_limits(void **state)
{
    static char name[100001];
    struct engine_bench bench;
    size_t accepted = 0;
    (void)state;
    open_bench(&bench);
    memset(name, 'n', sizeof name - 1);
    for (int i = 0; i < 100; i++)
        deliver_attempt(&bench, i + 1);
    foreign_start(&request);
    foreign_add_scope(&request, name, "pytest");
    for (int i = 0; i < 100; i++) {
        const struct trace_id trace = trace_of(ID_SCHEME_ARC, i + 1);
        foreign_add_span(&request, &trace, foreign_id(1), 0);
    }
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    for (size_t i = 0; i < 100; i++)
        accepted += request.outcomes[i] == FORWARD_ACCEPTED ? 1 : 0;
    assert_in_range(accepted, 10, 13);
    assert_int_equal(request.outcomes[99], FORWARD_NO_ROOM);
    engine_bench_close(&bench);
}

static void a_request_may_have_256_traces_of_which_32_are_not_known(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    foreign_start_scope(&request);
    for (int i = 0; i < 300; i++) {
        const struct trace_id trace = trace_of(ID_SCHEME_ARC, i + 1);
        if (i >= 32)
            deliver_attempt(&bench, i + 1);
        foreign_add_span(&request, &trace, foreign_id(1), 0);
    }
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    for (int i = 0; i < 300; i++)
        assert_int_equal(request.outcomes[i], i < 32    ? FORWARD_HELD
                                              : i < 256 ? FORWARD_ACCEPTED
                                                        : FORWARD_NO_ROOM);
    foreign_start_scope(&request);
    for (int i = 0; i < 40; i++) {
        const struct trace_id trace = trace_of(ID_SCHEME_ARC, 1000 + i);
        foreign_add_span(&request, &trace, foreign_id(1), 0);
    }
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    for (int i = 0; i < 40; i++)
        assert_int_equal(request.outcomes[i], i < 32 ? FORWARD_HELD : FORWARD_NO_ROOM);
    engine_bench_close(&bench);
}

// --- our IDs -----------------------------------------------------------------------------------------------

// Every span of ours in the outbox.
static void expect_all_of_ours_refused(struct engine_bench *bench)
{
    static struct span ours[200];
    size_t count = 0;
    struct error error = {0};
    struct store_transaction *transaction = read_store(bench);
    struct arena arena;
    uint64_t sequence = 0;
    uint32_t size;
    arena_init(&arena, 65536);
    for (; store_seek_outbox(transaction, &sequence, &size, &error) == ERROR_NONE; sequence++) {
        struct store_record record;
        struct span_batch batch;
        assert_int_equal(store_get_record(transaction, sequence, &record, &error), ERROR_NONE);
        if (store_is_forwarded(&record))
            continue;
        assert_int_equal(otlp_decode_batch(record.body, &arena, &batch, &error), ERROR_NONE);
        for (size_t i = 0; i < batch.span_count; i++)
            ours[count++] = batch.spans[i];
    }
    store_abort(transaction);
    assert_true(count >= 7);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(send_span(bench, &ours[i].trace_id, ours[i].span_id, 0), FORWARD_OUR_ID);
    arena_release(&arena);
}

static void ids_of_sent_spans_are_refused(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS_OF_RUNS; kind++) {
        struct engine_bench bench;
        struct scenario_delivery made, end;
        (void)open_kind(&bench, kind, &made, &end);
        deliver(&bench, made);
        deliver(&bench, end);
        expect_all_of_ours_refused(&bench);
        engine_bench_restart(&bench);
        expect_all_of_ours_refused(&bench);
        engine_bench_advance(&bench, 2 * NS_PER_DAY);
        expect_all_of_ours_refused(&bench);
        assert_int_equal(count_forwarded(&bench), 0);
        engine_bench_close(&bench);
    }
}

static void ids_of_open_jobs_are_refused(void **state)
{
    struct engine_bench bench;
    const struct job_key key = {SCENARIO_RUN_ID, 1, 1, SLICE("build")};
    static const char *const phases[] = {"job.waiting", "runner.queue", "runner.startup",
                                         "runner.execution"};
    (void)state;
    open_bench(&bench);
    deliver(&bench, job(1, QUEUED, 2));
    deliver(&bench, job(1, IN_PROGRESS, 6));
    assert_int_equal(send_id(&bench, span_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1)),
                     FORWARD_OUR_ID);
    assert_int_equal(send_id(&bench, foreign_id(1)), FORWARD_OUR_ID);
    assert_int_equal(send_id(&bench, foreign_id(2)), FORWARD_ACCEPTED);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            send_id(&bench, span_id_of_phase(ID_SCHEME_ARC, &key, slice_from_string(phases[i]))),
            FORWARD_OUR_ID);
    const struct span_id listed =
        span_id_of_step(ID_SCHEME_ARC, &key, SLICE("Set up job"), 1, false);
    const struct span_id later = span_id_of_step(ID_SCHEME_ARC, &key, SLICE("make"), 2, false);
    assert_int_equal(send_id(&bench, listed), FORWARD_OUR_ID);
    // Can be foreseen; ours has the same ID and is sent after it.
    assert_int_equal(send_id(&bench, later), FORWARD_ACCEPTED);
    assert_int_equal(engine_bench_counters(&bench).forwarded_foreseen, 0);
    deliver(&bench, job(1, COMPLETED, 10));
    assert_int_equal(engine_bench_counters(&bench).forwarded_foreseen, 1);
    deliver(&bench, job(1, COMPLETED, 12));
    assert_int_equal(engine_bench_counters(&bench).forwarded_foreseen, 1);
    assert_int_equal(send_id(&bench, later), FORWARD_OUR_ID);
    engine_bench_close(&bench);
}

static void ids_of_a_job_that_ended_twice_are_refused_with_those_of_its_first_end(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    deliver(&bench, job(1, COMPLETED, 10));
    struct scenario_delivery again = job(1, COMPLETED, 20);
    steps[2] = scenario_step(3, "other", 9, 19, "success");
    deliver(&bench, again);
    expect_all_of_ours_refused(&bench);
    engine_bench_restart(&bench);
    expect_all_of_ours_refused(&bench);
    engine_bench_close(&bench);
}

static void a_run_that_goes_on_after_it_was_forgotten_is_known_again(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    deliver(&bench, job(1, COMPLETED, 10));
    engine_bench_advance(&bench, 40 * NS_PER_DAY);
    assert_int_equal(send_id(&bench, foreign_id(1001)), FORWARD_HELD);
    struct scenario_delivery late = job(2, QUEUED, 2);
    late.guid_time = bench.now;
    deliver(&bench, late);
    assert_int_equal(count_forwarded(&bench), 1);
    assert_int_equal(send_id(&bench, span_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1)),
                     FORWARD_OUR_ID);
    engine_bench_close(&bench);
}

static void ids_of_a_thousand_steps_and_more_are_refused(void **state)
{
    static struct github_step many[1500];
    static char names[1500][24];
    struct engine_bench bench;
    const struct job_key key = {SCENARIO_RUN_ID, 1, 1, SLICE("build")};
    (void)state;
    open_bench(&bench);
    for (int i = 0; i < 1500; i++) {
        snprintf(names[i], sizeof names[i], "step %d", i);
        many[i] = scenario_step(i + 1, names[i], 6, 7, "success");
    }
    struct scenario_delivery made = job(1, COMPLETED, 10);
    scenario_set_steps(&made, many, 1500);
    deliver(&bench, made);
    for (int i = 0; i < 1500; i += 99)
        assert_int_equal(
            send_id(&bench, span_id_of_step(ID_SCHEME_ARC, &key, many[i].name, i + 1, false)),
            FORWARD_OUR_ID);
    engine_bench_close(&bench);
}

static void our_ids_may_be_parents_and_may_be_spans_of_other_traces(void **state)
{
    struct engine_bench bench;
    const struct trace_id first = our_trace(), second = trace_of(ID_SCHEME_ARC, 2);
    (void)state;
    open_bench(&bench);
    deliver(&bench, job(1, QUEUED, 2));
    deliver_attempt(&bench, 2);
    foreign_start_scope(&request);
    foreign_add_span(&request, &first, foreign_id(1001), 0)->parent_id = foreign_id(1);
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    assert_int_equal(request.outcomes[0], FORWARD_ACCEPTED);
    assert_int_equal(send_span(&bench, &second, foreign_id(1), 0), FORWARD_ACCEPTED);
    engine_bench_close(&bench);
}

static void spans_that_are_left_to_runners_are_not_ours(void **state)
{
    static const struct slice every_runner[] = {{"*", 1}};
    struct engine_bench bench;
    const struct job_key key = {SCENARIO_RUN_ID, 1, 1, SLICE("build")};
    (void)state;
    open_bench(&bench);
    bench.options.policy.job_spans_off = (struct runner_globs){every_runner, 1};
    bench.options.policy.steps_off = (struct runner_globs){every_runner, 1};
    engine_bench_restart(&bench);
    deliver(&bench, job(1, IN_PROGRESS, 6));
    const struct span_id step = span_id_of_step(ID_SCHEME_ARC, &key, SLICE("Set up job"), 1, false);
    assert_int_equal(send_id(&bench, foreign_id(1)), FORWARD_ACCEPTED);
    assert_int_equal(send_id(&bench, step), FORWARD_ACCEPTED);
    deliver(&bench, job(1, COMPLETED, 10));
    assert_int_equal(send_id(&bench, step), FORWARD_ACCEPTED);
    assert_int_equal(send_id(&bench, span_id_of_phase(ID_SCHEME_ARC, &key, SLICE("runner.queue"))),
                     FORWARD_OUR_ID);
    engine_bench_close(&bench);
}

// --- held ------------------------------------------------------------------------------------------------------

static void spans_of_an_unknown_trace_wait_for_its_run(void **state)
{
    struct engine_bench bench;
    const struct trace_id trace = our_trace();
    (void)state;
    open_bench(&bench);
    foreign_start_scope(&request);
    foreign_add_span(&request, &trace, foreign_id(1001), 10);
    foreign_add_span(&request, &trace, foreign_id(1002), 10);
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    assert_int_equal(request.outcomes[0], FORWARD_HELD);
    assert_int_equal(request.outcomes[1], FORWARD_HELD);
    assert_int_equal(count_forwarded(&bench), 0);
    engine_bench_restart(&bench);
    engine_bench_advance(&bench, NS_PER_DAY);
    assert_int_equal(count_forwarded(&bench), 0);
    struct scenario_delivery made = job(1, QUEUED, 2);
    made.guid_time = bench.now;
    deliver(&bench, made);
    expect_forwarded_as_sent(&bench);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_HELD_BY_TRACE), 0);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_ACCEPTED], 2);
    engine_bench_close(&bench);
}

static void held_spans_with_our_ids_are_dropped_when_the_run_is_known(void **state)
{
    struct engine_bench bench;
    const struct trace_id trace = our_trace();
    static struct outbox outbox;
    (void)state;
    open_bench(&bench);
    foreign_start_scope(&request);
    foreign_add_span(&request, &trace, foreign_id(1), 10);
    foreign_add_span(&request, &trace, foreign_id(1002), 10);
    foreign_add_span(&request, &trace, span_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1), 10);
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    deliver(&bench, job(1, QUEUED, 2));
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_OUR_ID], 2);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_ACCEPTED], 1);
    read_outbox(&bench, &outbox);
    assert_int_equal(outbox.records, 1);
    assert_true(slice_find(buffer_slice(&outbox.bodies), request.scopes[0].spans[1].bytes) > 0);
    assert_true(slice_find(buffer_slice(&outbox.bodies), request.scopes[0].spans[0].bytes) < 0);
    assert_true(slice_find(buffer_slice(&outbox.bodies), request.scopes[0].spans[2].bytes) < 0);
    buffer_release(&outbox.bodies);
    engine_bench_close(&bench);
}

static void held_spans_whose_run_never_comes_are_dropped_after_linger(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(send_id(&bench, foreign_id(1001 + i)), FORWARD_HELD);
    engine_bench_advance(&bench, 3 * NS_PER_DAY - NS_PER_MINUTE);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_HELD_BY_TRACE), 3);
    engine_bench_restart(&bench);
    engine_bench_advance(&bench, 2 * NS_PER_MINUTE);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_HELD_BY_TRACE), 0);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_EXPIRED], 3);
    struct scenario_delivery made = job(1, QUEUED, 2);
    made.guid_time = bench.now;
    deliver(&bench, made);
    assert_int_equal(count_forwarded(&bench), 0);
    engine_bench_close(&bench);
}

// 32 MiB.
static void of_more_held_spans_than_the_quota_the_oldest_are_dropped(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    for (int i = 0; i < 12; i++) {
        const struct trace_id trace = trace_of(ID_SCHEME_ARC, i + 1);
        assert_int_equal(send_span(&bench, &trace, foreign_id(1001), 4000000), FORWARD_HELD);
    }
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_HELD_BY_TRACE), 8);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_SHED], 4);
    for (int i = 0; i < 12; i++) {
        deliver_attempt(&bench, i + 1);
        assert_int_equal(count_forwarded(&bench), i < 4 ? 0 : i - 3);
    }
    engine_bench_close(&bench);
}

// 16,384 records.
static void of_more_held_records_than_the_quota_the_oldest_are_dropped(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    for (int i = 0; i < 600; i++) {
        foreign_start_scope(&request);
        for (int k = 0; k < 32; k++) {
            const struct trace_id trace = trace_of(ID_SCHEME_ARC, i * 32 + k + 1);
            foreign_add_span(&request, &trace, foreign_id(1001), 0);
        }
        assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    }
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_HELD_BY_TRACE), 16384);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_SHED], 600 * 32 - 16384);
    engine_bench_close(&bench);
}

static void more_than_a_batch_releases_is_released_by_the_next_ones(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(send_id(&bench, foreign_id(1001 + i)), FORWARD_HELD);
    deliver(&bench, job(1, QUEUED, 2));
    assert_int_equal(count_forwarded(&bench), 256);
    engine_bench_restart(&bench);
    for (int i = 0; i < 6; i++)
        engine_run_batch(bench.engine, NULL, 0, bench.now);
    assert_int_equal(count_forwarded(&bench), 1000);
    engine_bench_close(&bench);
}

// --- their share of the outbox ----------------------------------------------------------------------------------

static void they_take_no_more_than_their_share_of_the_outbox(void **state)
{
    struct engine_bench bench;
    static struct outbox outbox;
    (void)state;
    open_bench(&bench);
    bench.options.forwarded_max = 4000;
    engine_bench_restart(&bench);
    deliver(&bench, job(1, QUEUED, 2));
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(send_span(&bench, &(struct trace_id){{0}}, foreign_id(1001), 0),
                         FORWARD_HELD);
    const struct trace_id trace = our_trace();
    assert_int_equal(send_span(&bench, &trace, foreign_id(1001), 1500), FORWARD_ACCEPTED);
    assert_int_equal(send_span(&bench, &trace, foreign_id(1002), 1500), FORWARD_ACCEPTED);
    assert_int_equal(send_span(&bench, &trace, foreign_id(1003), 1500), FORWARD_NO_ROOM);
    engine_bench_restart(&bench);
    assert_int_equal(send_span(&bench, &trace, foreign_id(1003), 1500), FORWARD_NO_ROOM);
    assert_int_equal(send_span(&bench, &trace, foreign_id(1003), 10), FORWARD_ACCEPTED);
    // A record that was sent makes room, and so does a dead letter.
    list_outbox(&bench, &outbox);
    settle(&bench, outbox.sequences[0], false);
    assert_int_equal(send_span(&bench, &trace, foreign_id(1004), 1500), FORWARD_ACCEPTED);
    assert_int_equal(send_span(&bench, &trace, foreign_id(1005), 1500), FORWARD_NO_ROOM);
    settle(&bench, outbox.sequences[1], true);
    assert_int_equal(send_span(&bench, &trace, foreign_id(1005), 1500), FORWARD_ACCEPTED);
    list_outbox(&bench, &outbox);
    assert_int_equal(outbox.dead, 1);
    assert_int_equal(outbox.records, 3);
    engine_bench_close(&bench);
}

static void requeue_all(struct engine_bench *bench)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct store_requeue requeue = {.max = 100};
    assert_int_equal(store_begin(bench->store, true, &transaction, &error), ERROR_NONE);
    assert_int_equal(store_requeue_dead_letters(transaction, &requeue, &error), ERROR_NONE);
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
}

static uint64_t count_records(struct engine_bench *bench)
{
    struct store_transaction *transaction = read_store(bench);
    struct store_usage usage;
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    return usage.records;
}

static void a_refused_record_is_a_dead_letter_and_in_no_history(void **state)
{
    struct engine_bench bench;
    static struct outbox outbox;
    (void)state;
    open_bench(&bench);
    deliver(&bench, job(1, QUEUED, 2));
    assert_int_equal(send_id(&bench, foreign_id(1001)), FORWARD_ACCEPTED);
    assert_int_equal(send_id(&bench, foreign_id(1002)), FORWARD_ACCEPTED);
    list_outbox(&bench, &outbox);
    const uint64_t first = outbox.sequences[0], second = outbox.sequences[1];
    struct engine_task quarantine = {.type = ENGINE_SETTLE_EXPORT,
                                     .on_done = engine_bench_must_accept,
                                     .sequences = &first,
                                     .sequence_count = 1,
                                     .is_quarantined = true,
                                     .reason = "refused alone"};
    engine_run_batch(bench.engine, &quarantine, 1, bench.now);
    assert_int_equal(count_forwarded(&bench), 2);
    settle(&bench, first, true);
    assert_int_equal(count_forwarded(&bench), 1);
    assert_int_equal(count_records(&bench), 2);
    requeue_all(&bench);
    engine_bench_restart(&bench);
    assert_int_equal(count_forwarded(&bench), 2);
    settle(&bench, first, false);
    settle(&bench, second, true);
    assert_int_equal(count_forwarded(&bench), 0);
    assert_int_equal(count_records(&bench), 1);
    // Dropped dead letters are gone, too, although they are younger than the history.
    bench.options.dead_letters_max = 1;
    engine_bench_restart(&bench);
    engine_run_batch(bench.engine, NULL, 0, bench.now);
    assert_int_equal(count_records(&bench), 0);
    engine_bench_close(&bench);
}

static void no_delivery_is_refused_because_they_fill_the_outbox(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    bench.options.outbox_max = 20000;
    bench.options.forwarded_max = 0; // even without a limit of their own
    engine_bench_restart(&bench);
    deliver(&bench, job(1, QUEUED, 2));
    const struct trace_id trace = our_trace();
    for (uint64_t i = 0; i < 30; i++)
        assert_int_equal(send_span(&bench, &trace, foreign_id(1001 + i), 1500), FORWARD_ACCEPTED);
    deliver(&bench, job(1, COMPLETED, 10));
    engine_bench_close(&bench);
}

static void no_delivery_is_refused_because_they_fill_the_store(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_with_map(&bench, (uint64_t)4 << 20);
    const struct trace_id trace = our_trace();
    uint64_t accepted = 0;
    for (int64_t i = 1; i <= 300; i++) {
        deliver(&bench, job(i, QUEUED, 2));
        const struct trace_id unknown = trace_of(ID_SCHEME_ARC, 1000 + i);
        for (int k = 0; k < 10; k++) {
            accepted += send_span(&bench, &trace, foreign_id((uint64_t)(100000 + i)), 3000) ==
                        FORWARD_ACCEPTED;
            (void)send_span(&bench, &unknown, foreign_id((uint64_t)(100000 + i)), 3000);
        }
    }
    assert_true(accepted > 100);
    assert_true(engine_bench_counters(&bench).forwarded[FORWARD_NO_ROOM] > 0);
    // What they took is given up before a delivery is refused.
    for (int64_t i = 1; i <= 1000; i++) {
        struct scenario_delivery made = job(i, COMPLETED, 10);
        if (engine_bench_deliver(&bench, &made) != ENGINE_ACCEPTED)
            break;
    }
    assert_int_equal(count_forwarded(&bench), 0);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_HELD_BY_TRACE), 0);
    engine_bench_close(&bench);
}

static uint64_t used_percent(struct engine_bench *bench)
{
    struct store_transaction *transaction = read_store(bench);
    struct store_usage usage;
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    return usage.used_bytes * 100 / usage.max_bytes;
}

static void they_are_dropped_before_the_store_is_full(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_with_map(&bench, (uint64_t)4 << 20);
    deliver(&bench, job(1, QUEUED, 2));
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(send_id(&bench, foreign_id(1001 + i)), FORWARD_ACCEPTED);
    for (int64_t i = 2; used_percent(&bench) < 87; i++) {
        if (used_percent(&bench) < 84)
            assert_int_equal(count_forwarded(&bench), 20);
        deliver(&bench, job(i, QUEUED, 2));
    }
    assert_int_equal(count_forwarded(&bench), 0);
    assert_int_equal(engine_bench_counters(&bench).forwarded[FORWARD_SHED], 20);
    engine_bench_close(&bench);
}

static void of_a_request_that_is_too_large_for_the_store_a_part_is_taken(void **state)
{
    struct engine_bench bench;
    const struct trace_id trace = our_trace();
    (void)state;
    open_with_map(&bench, (uint64_t)16 << 20);
    deliver(&bench, job(1, QUEUED, 2));
    foreign_start_scope(&request);
    for (uint64_t i = 0; i < 200; i++)
        foreign_add_span(&request, &trace, foreign_id(1001 + i), 100000);
    assert_int_equal(foreign_send(&bench, &request), ENGINE_ACCEPTED);
    assert_int_equal(request.outcomes[0], FORWARD_ACCEPTED);
    assert_int_equal(request.outcomes[199], FORWARD_NO_ROOM);
    deliver(&bench, job(1, COMPLETED, 10));
    engine_bench_close(&bench);
}

static void record_outcome(struct engine_task *task)
{
    *(enum engine_outcome *)task->context = task->outcome;
}

// `*outcome` is set when the task is done; `*forwarded`: what becomes of each span.
static struct engine_task task_of_request(const struct engine_bench *bench,
                                          enum forward_outcome *forwarded,
                                          enum engine_outcome *outcome)
{
    return (struct engine_task){.type = ENGINE_FORWARD_SPANS,
                                .on_done = record_outcome,
                                .context = outcome,
                                .received_at = bench->now,
                                .scopes = request.scopes,
                                .scope_count = request.scope_count,
                                .forward_outcomes = forwarded};
}

static struct engine_task task_of_event(const struct engine_bench *bench,
                                        const struct scenario_delivery *made,
                                        enum engine_outcome *outcome)
{
    struct engine_task task = {.type = ENGINE_APPLY_EVENT,
                               .on_done = record_outcome,
                               .context = outcome,
                               .event = &made->event,
                               .received_at = bench->now,
                               .occurred_at = made->guid_time};
    memcpy(task.delivery_digest, made->digest, sizeof task.delivery_digest);
    return task;
}

static void a_span_that_does_not_fit_costs_no_delivery_of_its_batch(void **state)
{
    struct engine_bench bench;
    const struct trace_id trace = our_trace();
    struct error error = {0};
    enum engine_outcome outcomes[2];
    (void)state;
    open_with_map(&bench, (uint64_t)4 << 20);
    deliver(&bench, job(1, QUEUED, 2));
    foreign_start_scope(&request);
    foreign_add_span(&request, &trace, foreign_id(1001), 4180000);
    struct scenario_delivery made = job(1, COMPLETED, 10);
    struct engine_task tasks[2] = {task_of_request(&bench, request.outcomes, &outcomes[0]),
                                   task_of_event(&bench, &made, &outcomes[1])};
    // That it does not fit alone is no reason for deliveries to go elsewhere.
    engine_run_batch(bench.engine, tasks, 1, bench.now);
    assert_int_equal(outcomes[0], ENGINE_FULL);
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_NONE);
    engine_run_batch(bench.engine, tasks, 2, bench.now);
    assert_int_equal(outcomes[0], ENGINE_FULL);
    assert_int_equal(outcomes[1], ENGINE_ACCEPTED);
    assert_int_equal(engine_ready(bench.engine, &error), ERROR_NONE);
    engine_bench_close(&bench);
}

static void they_take_no_more_than_a_quarter_of_the_queue(void **state)
{
    struct engine_bench bench;
    enum engine_outcome outcomes[4];
    struct engine_task tasks[4];
    enum forward_outcome forwarded[4];
    const struct trace_id trace = our_trace();
    struct error error = {0};
    (void)state;
    open_bench(&bench);
    bench.options.queue_max = 8;
    engine_bench_restart(&bench);
    foreign_start_scope(&request);
    foreign_add_span(&request, &trace, foreign_id(1001), 10);
    struct scenario_delivery made = job(1, QUEUED, 2);
    for (int i = 0; i < 4; i++) {
        outcomes[i] = ENGINE_FAILED;
        tasks[i] = task_of_request(&bench, &forwarded[i], &outcomes[i]);
    }
    tasks[3] = task_of_event(&bench, &made, &outcomes[3]);
    for (int i = 0; i < 4; i++)
        engine_submit(bench.engine, &tasks[i]);
    assert_int_equal(outcomes[2], ENGINE_FULL);
    assert_int_equal(engine_start(bench.engine, &error), ERROR_NONE);
    engine_stop(bench.engine);
    assert_int_equal(outcomes[0], ENGINE_ACCEPTED);
    assert_int_equal(outcomes[1], ENGINE_ACCEPTED);
    assert_int_equal(outcomes[3], ENGINE_ACCEPTED);
    engine_bench_close(&bench);
}

static void a_full_store_answers_try_again(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_with_map(&bench, (uint64_t)4 << 20);
    enum engine_outcome outcome = ENGINE_ACCEPTED;
    for (int64_t i = 1; i <= 5000 && outcome == ENGINE_ACCEPTED; i++) {
        struct scenario_delivery made = job(i, COMPLETED, 10);
        outcome = engine_bench_deliver(&bench, &made);
    }
    assert_int_equal(outcome, ENGINE_FULL);
    const struct trace_id trace = our_trace();
    foreign_start_scope(&request);
    foreign_add_span(&request, &trace, foreign_id(1001), 0);
    assert_int_equal(foreign_send(&bench, &request), ENGINE_FULL);
    engine_bench_close(&bench);
}

// --- in any order ----------------------------------------------------------------------------------------------

#define LAW_ATTEMPTS 4

// What was counted, over all engines of one store, and what was sent.
struct law {
    struct engine_bench bench;
    uint32_t seed;
    uint64_t counted[FORWARD_OUTCOMES]; // by engines before this one
    uint64_t answered[FORWARD_OUTCOMES];
    uint64_t next_id;
    int64_t next_job;
    uint64_t gone; // foreign spans that were settled
};

static uint64_t counted_by_all(struct law *law, enum forward_outcome outcome)
{
    return law->counted[outcome] + engine_bench_counters(&law->bench).forwarded[outcome];
}

static void restart(struct law *law)
{
    struct engine_counters counters = engine_bench_counters(&law->bench);
    for (size_t i = 0; i < FORWARD_OUTCOMES; i++)
        law->counted[i] += counters.forwarded[i];
    engine_bench_restart(&law->bench);
}

static void send_any(struct law *law)
{
    foreign_start(&request);
    for (uint32_t scopes = 1 + scenario_random(&law->seed, 3); scopes > 0; scopes--) {
        foreign_add_scope(&request, "tests", "pytest");
        for (uint32_t left = scenario_random(&law->seed, 5); left > 0; left--) {
            const struct trace_id trace =
                trace_of(ID_SCHEME_ARC, 1 + scenario_random(&law->seed, LAW_ATTEMPTS));
            bool is_ours = scenario_random(&law->seed, 4) == 0;
            uint64_t id = is_ours ? 1 + scenario_random(&law->seed, 20) : law->next_id++;
            struct otlp_received_span *span =
                foreign_add_span(&request, &trace, foreign_id(id), 10);
            span->has_parent = scenario_random(&law->seed, 10) != 0;
        }
    }
    assert_int_equal(foreign_send(&law->bench, &request), ENGINE_ACCEPTED);
    for (size_t i = 0; i < request.span_count; i++)
        law->answered[request.outcomes[i]]++;
}

static void deliver_any(struct law *law)
{
    static const enum github_job_action actions[] = {QUEUED, IN_PROGRESS, COMPLETED};
    int64_t id = 1 + scenario_random(&law->seed, 20);
    struct scenario_delivery made = job(id, actions[scenario_random(&law->seed, 3)], 10);
    scenario_set_attempt(&made, 1 + id % LAW_ATTEMPTS);
    made.guid_time = law->bench.now;
    law->next_job++;
    memcpy(made.digest, &law->next_job, sizeof law->next_job);
    deliver(&law->bench, made);
}

// Spans in foreign records of the outbox and of the dead letters.
static uint64_t count_spans_of(struct law *law, uint64_t only, bool *is_there)
{
    struct store_transaction *transaction = read_store(&law->bench);
    uint64_t spans = 0;
    struct error error = {0};
    struct arena arena;
    arena_init(&arena, 65536);
    *is_there = false;
    for (uint64_t sequence = 1; sequence < 4000; sequence++) {
        struct store_record record;
        struct otlp_request read;
        if (store_get_record(transaction, sequence, &record, &error) != ERROR_NONE ||
            !store_is_forwarded(&record) || (only != 0 && sequence != only))
            continue;
        assert_int_equal(otlp_decode_request(record.body, &limits, &arena, &read, &error),
                         ERROR_NONE);
        spans += read.span_count;
        *is_there = true;
        for (size_t i = 0; i < read.scope_count; i++)
            for (size_t k = 0; k < read.scopes[i].span_count; k++)
                assert_true(trace_id_equals(&read.scopes[i].spans[k].trace_id, &record.key.trace));
    }
    store_abort(transaction);
    arena_release(&arena);
    return spans;
}

static void settle_any(struct law *law)
{
    static struct outbox outbox;
    bool is_there, is_dead = scenario_random(&law->seed, 2) == 0;
    list_outbox(&law->bench, &outbox);
    if (outbox.records == 0)
        return;
    uint64_t sequence = outbox.sequences[scenario_random(&law->seed, (uint32_t)outbox.records)];
    uint64_t spans = count_spans_of(law, sequence, &is_there);
    settle(&law->bench, sequence, is_dead);
    law->gone += is_dead ? 0 : spans;
    (void)count_spans_of(law, sequence, &is_there);
    assert_int_equal(is_there, is_dead);
}

static uint64_t count_held_spans(struct law *law)
{
    uint64_t spans = 0;
    struct error error = {0};
    struct store_transaction *transaction = read_store(&law->bench);
    struct store_walk *walk;
    struct store_entry entry;
    assert_int_equal(store_table_walk(transaction, STORE_TABLE_HELD, SLICE_EMPTY, &walk, &error),
                     ERROR_NONE);
    while (store_table_next(walk, &entry, &error) == ERROR_NONE)
        spans += entry.value.len > 33 ? (uint8_t)entry.value.data[32] : 0;
    store_table_end_walk(walk);
    store_abort(transaction);
    return spans;
}

// Every span has one end: sent, waiting, a dead letter, held, or dropped for a reason that is counted.
static void check_law(struct law *law)
{
    bool is_there;
    uint64_t held = law->answered[FORWARD_HELD];
    uint64_t accepted_later =
        counted_by_all(law, FORWARD_ACCEPTED) - law->answered[FORWARD_ACCEPTED];
    uint64_t refused_later = counted_by_all(law, FORWARD_OUR_ID) - law->answered[FORWARD_OUR_ID];
    assert_int_equal(counted_by_all(law, FORWARD_HELD), held);
    assert_int_equal(counted_by_all(law, FORWARD_NO_PARENT), law->answered[FORWARD_NO_PARENT]);
    assert_int_equal(held, accepted_later + refused_later + counted_by_all(law, FORWARD_EXPIRED) +
                               count_held_spans(law));
    assert_int_equal(counted_by_all(law, FORWARD_ACCEPTED),
                     law->gone + count_spans_of(law, 0, &is_there));
    (void)count_forwarded(&law->bench);
}

static void every_span_has_one_end_in_any_order_of_events_and_restarts(void **state)
{
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    for (uint32_t seed = 1; seed <= 10; seed++) {
        static struct law law;
        law = (struct law){.seed = seed, .next_id = 1000};
        open_bench(&law.bench);
        for (int i = 0; i < 150; i++) {
            uint32_t what = scenario_random(&law.seed, 20);
            if (what < 8)
                send_any(&law);
            else if (what < 14)
                deliver_any(&law);
            else if (what < 17)
                settle_any(&law);
            else if (what == 17)
                requeue_all(&law.bench);
            else if (what == 18)
                restart(&law);
            else
                engine_bench_advance(&law.bench, 20 * NS_PER_HOUR);
            check_law(&law);
        }
        engine_bench_close(&law.bench);
    }
}

// --- without ---------------------------------------------------------------------------------------------------

static void without_an_exporter_nothing_is_taken(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    bench.options.has_exporter = false;
    engine_bench_restart(&bench);
    assert_int_equal(send_id(&bench, foreign_id(1001)), FORWARD_NO_EXPORT);
    deliver(&bench, job(1, QUEUED, 2));
    assert_int_equal(send_id(&bench, foreign_id(1001)), FORWARD_NO_EXPORT);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_HELD), 0);
    engine_bench_close(&bench);
}

static void without_a_receiver_nothing_is_written_and_what_was_is_deleted(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    bench.options.has_receiver = false;
    engine_bench_restart(&bench);
    deliver(&bench, job(1, IN_PROGRESS, 6));
    deliver(&bench, job(1, COMPLETED, 10));
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_OUR_SPANS), 0);
    bench.options.has_receiver = true;
    engine_bench_restart(&bench);
    deliver(&bench, job(2, COMPLETED, 10));
    const struct trace_id other = trace_of(ID_SCHEME_ARC, 2);
    assert_int_equal(send_span(&bench, &other, foreign_id(1001), 0), FORWARD_HELD);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_OUR_SPANS), 2);
    bench.options.has_receiver = false;
    engine_bench_restart(&bench);
    engine_bench_advance(&bench, 4 * NS_PER_DAY);
    engine_bench_advance(&bench, 4 * NS_PER_DAY);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_OUR_SPANS), 0);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_HELD_BY_TRACE), 0);
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_of_a_known_run_are_passed_on_as_they_are),
        cmocka_unit_test(a_run_is_known_in_every_scheme_and_of_every_server_and_after_its_end),
        cmocka_unit_test(an_open_run_stays_known_however_long_it_takes),
        cmocka_unit_test(malformed_spans_and_those_without_a_parent_are_refused),
        cmocka_unit_test(a_request_makes_one_record_for_each_trace_and_more_only_if_it_is_large),
        cmocka_unit_test(a_resource_that_many_traces_share_is_repeated_within_limits),
        cmocka_unit_test(a_request_may_have_256_traces_of_which_32_are_not_known),
        cmocka_unit_test(ids_of_sent_spans_are_refused),
        cmocka_unit_test(ids_of_open_jobs_are_refused),
        cmocka_unit_test(ids_of_a_job_that_ended_twice_are_refused_with_those_of_its_first_end),
        cmocka_unit_test(a_run_that_goes_on_after_it_was_forgotten_is_known_again),
        cmocka_unit_test(ids_of_a_thousand_steps_and_more_are_refused),
        cmocka_unit_test(our_ids_may_be_parents_and_may_be_spans_of_other_traces),
        cmocka_unit_test(spans_that_are_left_to_runners_are_not_ours),
        cmocka_unit_test(spans_of_an_unknown_trace_wait_for_its_run),
        cmocka_unit_test(held_spans_with_our_ids_are_dropped_when_the_run_is_known),
        cmocka_unit_test(held_spans_whose_run_never_comes_are_dropped_after_linger),
        cmocka_unit_test(of_more_held_spans_than_the_quota_the_oldest_are_dropped),
        cmocka_unit_test(of_more_held_records_than_the_quota_the_oldest_are_dropped),
        cmocka_unit_test(more_than_a_batch_releases_is_released_by_the_next_ones),
        cmocka_unit_test(they_take_no_more_than_their_share_of_the_outbox),
        cmocka_unit_test(a_refused_record_is_a_dead_letter_and_in_no_history),
        cmocka_unit_test(no_delivery_is_refused_because_they_fill_the_outbox),
        cmocka_unit_test(no_delivery_is_refused_because_they_fill_the_store),
        cmocka_unit_test(they_are_dropped_before_the_store_is_full),
        cmocka_unit_test(of_a_request_that_is_too_large_for_the_store_a_part_is_taken),
        cmocka_unit_test(a_span_that_does_not_fit_costs_no_delivery_of_its_batch),
        cmocka_unit_test(they_take_no_more_than_a_quarter_of_the_queue),
        cmocka_unit_test(a_full_store_answers_try_again),
        cmocka_unit_test(every_span_has_one_end_in_any_order_of_events_and_restarts),
        cmocka_unit_test(without_an_exporter_nothing_is_taken),
        cmocka_unit_test(without_a_receiver_nothing_is_written_and_what_was_is_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
