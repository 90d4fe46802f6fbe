// Compares the figures with the states that they are computed from.
#include "support/stats_verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/rebuild.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/store/table.h"

struct verifier {
    struct store_transaction *transaction;
    struct arena arena;
    struct error error;
    uint64_t open_jobs;
    uint64_t open_runs;
};

static void begin(struct verifier *verifier, struct store *store)
{
    *verifier = (struct verifier){.open_jobs = 0};
    arena_init(&verifier->arena, 65536);
    assert_int_equal(store_begin(store, false, &verifier->transaction, &verifier->error),
                     ERROR_NONE);
}

static void end(struct verifier *verifier)
{
    store_abort(verifier->transaction);
    arena_release(&verifier->arena);
}

const struct pool_rules *stats_verify_rules;

// --- minutes of pools ----------------------------------------------------------------------------------------

static uint64_t take_varint(struct slice *bytes)
{
    uint64_t value = 0;
    for (unsigned shift = 0; bytes->len > 0; shift += 7) {
        uint8_t byte = (uint8_t)*bytes->data;
        *bytes = slice_skip(*bytes, 1);
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return value;
}

static int64_t take_change(struct slice *bytes)
{
    uint64_t value = take_varint(bytes);
    return value % 2 == 1 ? -(int64_t)(value / 2) - 1 : (int64_t)(value / 2);
}

// The layout is documented in stats/pool_rows.h.
static void add_changes(struct slice row, int64_t *queued, int64_t *running)
{
    take_varint(&row);
    take_varint(&row);
    for (uint64_t left = take_varint(&row); left > 0; left--) {
        take_varint(&row);
        *queued += take_change(&row);
        *running += take_change(&row);
    }
}

static void check_minutes(struct verifier *verifier, const struct pool *pool)
{
    struct store_walk *walk;
    struct store_entry entry;
    int64_t queued = 0, running = 0;
    assert_int_equal(store_table_walk(verifier->transaction, STORE_TABLE_POOL_MINUTES,
                                      slice_of_bytes(pool->id.bytes, POOL_ID_SIZE), &walk,
                                      &verifier->error),
                     ERROR_NONE);
    while (store_table_next(walk, &entry, &verifier->error) == ERROR_NONE &&
           memcmp(entry.key.data, pool->id.bytes, POOL_ID_SIZE) == 0)
        add_changes(entry.value, &queued, &running);
    store_table_end_walk(walk);
    if (queued != (int64_t)pool->counts[OPEN_JOB_QUEUED] ||
        running != (int64_t)pool->counts[OPEN_JOB_RUNNING])
        fail_msg("pool %.*s: %" PRIu64 " queued and %" PRIu64 " running, by minute %" PRId64
                 " and %" PRId64,
                 SLICE_ARGS(pool->labels), pool->counts[OPEN_JOB_QUEUED],
                 pool->counts[OPEN_JOB_RUNNING], queued, running);
}

void stats_verify_minutes(struct store *store)
{
    struct verifier verifier;
    struct pool *pools;
    size_t count;
    begin(&verifier, store);
    assert_int_equal(
        pool_list(verifier.transaction, &verifier.arena, &pools, &count, &verifier.error),
        ERROR_NONE);
    for (size_t i = 0; i < count; i++)
        check_minutes(&verifier, &pools[i]);
    end(&verifier);
}

// --- against the states --------------------------------------------------------------------------------------

static bool stands_in(struct verifier *verifier, const struct store_key *key,
                      const struct pool_id *pool, const struct open_job_state *open_state)
{
    struct pool_job job = {.since = open_state->since, .key = *key};
    return pool_seek_job(verifier->transaction, pool, open_state->state, &job, &verifier->error) ==
               ERROR_NONE &&
           job.since == open_state->since && memcmp(&job.key, key, sizeof *key) == 0;
}

static void check_job(struct verifier *verifier, const struct store_key *key, struct slice bytes)
{
    struct job_state job;
    struct pool_place place;
    struct pool_id one_off = pool_make_id(POOL_ONE_OFF);
    assert_int_equal(codec_decode_job(bytes, &verifier->arena, &job, &verifier->error), ERROR_NONE);
    assert_int_equal(pool_place_job(stats_verify_rules, &job, &verifier->arena, &place),
                     ERROR_NONE);
    assert_int_equal(place.open_state.state != OPEN_JOB_NONE, job.phase == JOB_OPEN);
    if (job.phase != JOB_OPEN)
        return;
    verifier->open_jobs++;
    if (!stands_in(verifier, key, &place.pool, &place.open_state) &&
        !stands_in(verifier, key, &one_off, &place.open_state))
        fail_msg("job %" PRId64 " is not where it should be", job.job_id);
}

// Runs of several servers may have the same number.
static bool is_listed_run(struct verifier *verifier, const struct stored_run *run)
{
    struct stored_run listed = stored_run_of(SLICE_EMPTY, run->run_id, run->run_attempt + 1);
    while (open_runs_seek_older(verifier->transaction, &listed, &verifier->error) == ERROR_NONE &&
           listed.run_id == run->run_id && listed.run_attempt == run->run_attempt)
        if (trace_id_equals(&listed.trace, &run->trace))
            return true;
    return false;
}

static void check_run(struct verifier *verifier, const struct store_key *key, struct slice bytes)
{
    struct run_state run;
    assert_int_equal(codec_decode_run(bytes, &verifier->arena, &run, &verifier->error), ERROR_NONE);
    const struct stored_run stored = {run.run_id, run.run_attempt, key->trace};
    bool is_listed = is_listed_run(verifier, &stored);
    assert_int_equal(is_listed, run.phase == RUN_OPEN);
    verifier->open_runs += is_listed ? 1 : 0;
}

static void check_states(struct verifier *verifier)
{
    struct store_key key = {.trace = {{0}}};
    struct slice bytes;
    while (store_seek_span(verifier->transaction, &key, &bytes, &verifier->error) == ERROR_NONE) {
        arena_clear(&verifier->arena);
        if (codec_is(bytes, CODEC_JOB))
            check_job(verifier, &key, bytes);
        if (codec_is(bytes, CODEC_RUN))
            check_run(verifier, &key, bytes);
        assert_false(codec_is(bytes, CODEC_UNKNOWN));
        store_key_increment(&key);
    }
}

static void check_pools(struct verifier *verifier)
{
    struct pool_id id = {{0}};
    struct pool pool;
    uint64_t counted = 0;
    while (pool_seek(verifier->transaction, &id, &pool, &verifier->error) == ERROR_NONE) {
        struct pool_id made = pool_make_id(pool.labels);
        assert_memory_equal(made.bytes, pool.id.bytes, POOL_ID_SIZE);
        assert_int_equal(pool.counts[OPEN_JOB_NONE], 0);
        for (int state = OPEN_JOB_WAITING; state < OPEN_JOB_STATES; state++) {
            struct pool_job job = {.since = 0};
            uint64_t open_state = 0;
            while (pool_seek_job(verifier->transaction, &id, (enum open_job_kind)state, &job,
                                 &verifier->error) == ERROR_NONE) {
                open_state++;
                pool_job_increment(&job);
            }
            assert_int_equal(pool.counts[state], open_state);
            counted += open_state;
        }
        pool_id_increment(&id);
    }
    assert_int_equal(counted, verifier->open_jobs);
    assert_int_equal(store_table_count(verifier->transaction, STORE_TABLE_OPEN_JOBS),
                     verifier->open_jobs);
}

// The list by ends has the same runs.
static void check_ended_runs(struct verifier *verifier, uint64_t expected)
{
    struct recent_place place = {.at = 0};
    struct recent_run run, found;
    uint64_t listed = 0;
    while (recent_seek_ended_before(verifier->transaction, &place, &run, &verifier->error) ==
           ERROR_NONE) {
        const struct recent_place next = recent_end_place(&run);
        assert_true(listed == 0 || next.at <= place.at);
        assert_int_equal(
            recent_find(verifier->transaction, &run.place.trace, &found, &verifier->error),
            ERROR_NONE);
        assert_int_equal(found.place.at, run.place.at);
        place = next;
        listed++;
    }
    assert_int_equal(listed, expected);
    assert_int_equal(listed, store_table_count(verifier->transaction, STORE_TABLE_ENDED_RUNS));
}

static void check_recent(struct verifier *verifier)
{
    struct recent_place place = {.at = 0};
    struct recent_run run;
    uint64_t listed = 0;
    while (recent_seek_older(verifier->transaction, &place, &run, &verifier->error) == ERROR_NONE) {
        struct recent_run found;
        assert_int_equal(
            recent_find(verifier->transaction, &run.place.trace, &found, &verifier->error),
            ERROR_NONE);
        assert_int_equal(found.place.at, run.place.at);
        place = run.place;
        listed++;
    }
    assert_int_equal(listed, recent_count(verifier->transaction));
    assert_int_equal(listed, store_table_count(verifier->transaction, STORE_TABLE_RECENT_BY_TRACE));
    check_ended_runs(verifier, listed);
}

void stats_verify(struct store *store)
{
    struct verifier verifier;
    bool is_done;
    begin(&verifier, store);
    assert_int_equal(rebuild_is_done(verifier.transaction, &is_done, &verifier.error), ERROR_NONE);
    assert_true(is_done);
    check_states(&verifier);
    check_pools(&verifier);
    assert_int_equal(open_runs_count(verifier.transaction), verifier.open_runs);
    check_recent(&verifier);
    end(&verifier);
}

// --- as text -----------------------------------------------------------------------------------------------

static void write_format(struct buffer *text, const char *format, ...) PRINTF_LIKE(2, 3);

static void write_format(struct buffer *text, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < sizeof line);
    assert_int_equal(buffer_append(text, line, (size_t)len), ERROR_NONE);
}

static void write_histogram(struct buffer *text, const struct series_histogram *histogram)
{
    write_format(text, "  %" PRIu64 " in %" PRIu64 ".%09us:", histogram->count,
                 histogram->sum.seconds, (unsigned)histogram->sum.nanoseconds);
    for (size_t i = 0; i < SERIES_BUCKETS; i++) {
        const struct series_exemplar *exemplar = &histogram->exemplars[i];
        if (histogram->buckets[i] > 0)
            write_format(text, " [%zu] %" PRIu64 " (%" PRId64 " at %" PRId64 " %02x%02x)", i,
                         histogram->buckets[i], exemplar->value, exemplar->at,
                         exemplar->trace.bytes[0], exemplar->trace.bytes[1]);
    }
    write_format(text, "\n");
}

static void write_series(struct verifier *verifier, enum series_kind kind, struct buffer *text)
{
    struct series_id id = {{0}};
    struct series series;
    while (series_seek(verifier->transaction, kind, &id, &series, &verifier->error) == ERROR_NONE) {
        const char *between = "";
        for (size_t i = 0; i < SERIES_LABELS; i++) {
            if ((series.has & SERIES_HAS(i)) == 0)
                continue;
            write_format(text, "%s%.*s", between, SLICE_ARGS(series.labels[i]));
            between = " | ";
        }
        write_format(text, ": %" PRIu64 " in %" PRIu64 ".%09us\n", series.count, series.sum.seconds,
                     (unsigned)series.sum.nanoseconds);
        for (size_t i = 0; i < series_histogram_count(kind); i++)
            write_histogram(text, &series.histograms[i]);
        series_id_increment(&id);
    }
}

static uint64_t count_started(const struct pool *pool)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < POOL_DAYS; i++)
        sum += pool->started[i];
    return sum;
}

static void write_pools(struct verifier *verifier, struct buffer *text)
{
    struct pool *pools;
    size_t count;
    assert_int_equal(
        pool_list(verifier->transaction, &verifier->arena, &pools, &count, &verifier->error),
        ERROR_NONE);
    struct histogram *histograms =
        arena_allocate_array(&verifier->arena, count + 1, sizeof *histograms);
    assert_non_null(histograms);
    const struct latency_query query = {0, INT64_MAX, pools, count};
    assert_int_equal(latency_read(verifier->transaction, &query, histograms, &verifier->error),
                     ERROR_NONE);
    for (size_t i = 0; i < count; i++) {
        const uint64_t *open = pools[i].counts;
        // Pools without jobs depend on which events were received.
        if (open[OPEN_JOB_WAITING] + open[OPEN_JOB_QUEUED] + open[OPEN_JOB_RUNNING] +
                histograms[i].count ==
            0)
            continue;
        write_format(text,
                     "%.*s @ %.*s: %" PRIu64 " %" PRIu64 " %" PRIu64 "; queued %" PRIu64
                     " p50 %" PRId64 " max %" PRId64 " started %" PRIu64 "\n",
                     SLICE_ARGS(pools[i].labels), SLICE_ARGS(pools[i].groups),
                     open[OPEN_JOB_WAITING], open[OPEN_JOB_QUEUED], open[OPEN_JOB_RUNNING],
                     histograms[i].count, histogram_percentile(&histograms[i], 50),
                     histograms[i].max, count_started(&pools[i]));
    }
}

// The rows as they are stored, but for those in which nothing remains.
static void write_rows(struct verifier *verifier, enum store_table table, struct buffer *text)
{
    struct store_walk *walk;
    struct store_entry entry;
    assert_int_equal(
        store_table_walk(verifier->transaction, table, SLICE_EMPTY, &walk, &verifier->error),
        ERROR_NONE);
    while (store_table_next(walk, &entry, &verifier->error) == ERROR_NONE) {
        bool is_empty = true;
        for (size_t i = 0; i < entry.value.len; i++)
            is_empty = is_empty && entry.value.data[i] == 0;
        for (size_t i = 0; !is_empty && i < entry.key.len + entry.value.len; i++)
            write_format(text, "%02x",
                         (unsigned char)(i < entry.key.len ? entry.key.data[i]
                                                           : entry.value.data[i - entry.key.len]));
        if (!is_empty)
            write_format(text, "\n");
    }
    store_table_end_walk(walk);
}

static void write_runs(struct verifier *verifier, struct buffer *text)
{
    struct stored_run open = {.run_id = 0};
    struct recent_place place = {.at = 0};
    struct recent_run run;
    while (open_runs_seek_older(verifier->transaction, &open, &verifier->error) == ERROR_NONE)
        write_format(text, "open %" PRId64 "/%" PRId64 "\n", open.run_id, open.run_attempt);
    while (recent_seek_older(verifier->transaction, &place, &run, &verifier->error) == ERROR_NONE) {
        const struct run_sample *measure = &run.measure;
        write_format(
            text, "%" PRId64 "/%" PRId64 " %.*s %.*s %.*s %.*s %" PRId64 "..%" PRId64 " %d\n",
            measure->run_id, measure->run_attempt, SLICE_ARGS(measure->repository),
            SLICE_ARGS(measure->workflow), SLICE_ARGS(measure->branch), SLICE_ARGS(measure->result),
            measure->start, measure->end, measure->is_incomplete);
        place = run.place;
    }
}

void stats_write(struct store *store, struct buffer *text)
{
    struct verifier verifier;
    begin(&verifier, store);
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        write_series(&verifier, (enum series_kind)kind, text);
    write_pools(&verifier, text);
    write_rows(&verifier, STORE_TABLE_POOL_MINUTES, text);
    write_rows(&verifier, STORE_TABLE_POOL_HOURS, text);
    write_runs(&verifier, text);
    end(&verifier);
}
