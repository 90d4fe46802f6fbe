// One entry of the store is damaged, or cannot be written: deliveries are accepted, spans are exported and the upkeep
// continues, across restarts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/log.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/store/table.h"
#include "ghatrace/trace/spans.h"
#include "support/engine_bench.h"
#include "support/fixture.h"
#include "support/foreign_spans.h"
#include "support/stats_verify.h"

#define JOB 1
#define OTHER_JOB 50

// --- a store with an entry of every kind -----------------------------------------------------------------------

static void mark_done(struct engine_task *task)
{
    *(bool *)task->context = true;
}

static void bury(struct engine_bench *bench, uint64_t sequence)
{
    bool is_done = false;
    struct engine_task task = {.type = ENGINE_SETTLE_EXPORT,
                               .on_done = mark_done,
                               .context = &is_done,
                               .sequences = &sequence,
                               .sequence_count = 1,
                               .is_dead = true,
                               .reason = "400 Bad Request"};
    engine_run_batch(bench->engine, &task, 1, bench->now);
    assert_true(is_done);
}

// Of another run than the scenario's.
static struct scenario_delivery elsewhere(struct scenario_delivery delivery, int64_t run_id)
{
    if (delivery.event.kind == GITHUB_EVENT_JOB)
        delivery.event.job.run_id = run_id;
    else
        delivery.event.run.run_id = run_id;
    for (size_t i = 0; i < sizeof run_id; i++)
        delivery.digest[i] ^= (uint8_t)(run_id >> (8 * i));
    return delivery;
}

static struct scenario_delivery with_steps(struct scenario_delivery delivery)
{
    static struct github_step steps[3];
    steps[0] = scenario_step(1, "Set up job", 6, 8, "success");
    steps[1] = scenario_step(2, "Build", 8, 40, "success");
    steps[2] = scenario_step(3, "Build", 40, 60, "success");
    scenario_set_steps(&delivery, steps, 3);
    scenario_set_runner(&delivery, 7, "runner-7");
    return delivery;
}

static const struct slice arc_label[] = {{"arc", 3}};

static enum engine_outcome report(struct engine_bench *bench, int64_t job_id)
{
    const struct arc_report given = engine_bench_assignment(job_id, 5);
    enum arc_outcome outcome;
    return engine_bench_report(bench, &given, &outcome);
}

// A job that is listed for reports, a second after it was closed; reports that are held.
static void fill_for_arc(struct engine_bench *bench)
{
    struct scenario_delivery delivery =
        elsewhere(with_steps(scenario_job(5, GITHUB_JOB_COMPLETED, 62, 2, 6, 60)), 78);
    delivery.event.job.labels = arc_label;
    delivery.event.job.label_count = 1;
    engine_bench_accept(bench, &delivery);
    assert_int_equal(report(bench, 1000), ENGINE_ACCEPTED);
    assert_int_equal(report(bench, OTHER_JOB), ENGINE_ACCEPTED);
}

// Spans of another program: of this attempt of the run.
static void send_foreign_spans(struct engine_bench *bench, int64_t attempt)
{
    static struct foreign_request request;
    const struct trace_id trace = trace_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, attempt);
    foreign_start_scope(&request);
    foreign_add_span(&request, &trace, foreign_id(1001), 10);
    assert_int_equal(foreign_send(bench, &request), ENGINE_ACCEPTED);
}

// Open, settling, closed; finished and dead records; figures.
static void fill(struct engine_bench *bench)
{
    struct scenario_delivery delivery = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    bench->options.has_receiver = true;
    bench->options.policy.arc_runners = (struct runner_globs){arc_label, 1};
    bench->options.policy.arc_grace = NS_PER_SECOND;
    engine_bench_restart(bench);
    engine_bench_accept(bench, &delivery);
    delivery = scenario_job(JOB, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1);
    engine_bench_accept(bench, &delivery);
    delivery = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    scenario_set_server(&delivery, "https://ghe.example/octo/Hello_World"); // the same ids
    engine_bench_accept(bench, &delivery);
    delivery = scenario_job(JOB, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1);
    scenario_set_server(&delivery, "https://ghe.example/octo/Hello_World");
    engine_bench_accept(bench, &delivery);
    delivery = with_steps(scenario_job(2, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    engine_bench_accept(bench, &delivery);
    delivery = scenario_job(3, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
    scenario_make_old(&delivery);
    delivery = elsewhere(delivery, 77);
    engine_bench_accept(bench, &delivery); // settles
    delivery = elsewhere(with_steps(scenario_job(4, GITHUB_JOB_COMPLETED, 62, 2, 6, 60)), 78);
    engine_bench_accept(bench, &delivery);
    fill_for_arc(bench);
    send_foreign_spans(bench, 1);
    send_foreign_spans(bench, 77);
    delivery = elsewhere(scenario_run(GITHUB_RUN_COMPLETED, 63, "success"), 78);
    engine_bench_accept(bench, &delivery);
    bury(bench, 1);
    struct store_transaction *transaction;
    struct error error = {0};
    assert_int_equal(store_begin(bench->store, true, &transaction, &error), ERROR_NONE);
    assert_int_equal(store_quarantine_record(transaction, 2, bench->now, SLICE("503"), &error),
                     ERROR_NONE);
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
}

static void close_parts(struct engine_bench *bench)
{
    engine_destroy(bench->engine);
    store_close(bench->store);
    bench->engine = NULL;
    bench->store = NULL;
}

static void open_parts(struct engine_bench *bench, const char *what)
{
    struct error error = {0};
    if (store_open(bench->folder.path, STORE_DAEMON, bench->map_bytes, &bench->store, &error) !=
            ERROR_NONE ||
        engine_create(bench->store, &bench->options, &bench->engine, &error) != ERROR_NONE)
        fail_msg("%s: open: %s", what, error.message);
}

// --- damage --------------------------------------------------------------------------------------------------

enum damage {
    FLIP_FIRST,
    FLIP_SECOND,
    FLIP_MIDDLE,
    FLIP_LAST,
    FLIP_LOW_BIT,
    CUT,
    EMPTY,
    LENGTHEN,
    KEY_CUT,
    KEY_LENGTHENED,
    KEY_FLIP_FIRST,
    KEY_FLIP_MIDDLE,
    KEY_FLIP_LAST,
    DAMAGES,
};

static const char *const names[] = {
    "spans",      "deadlines",       "records",         "outbox",
    "dead",       "history",         "pools",           "open_jobs",
    "open_runs",  "recent",          "recent_by_trace", "job_series",
    "run_series", "step_series",     "latency",         "tally",
    "meta",       "quarantine",      "arc_jobs",        "arc_closed",
    "arc_held",   "arc_held_by_age", "forwarded",       "our_spans",
    "held",       "held_by_trace"};

struct entry {
    uint8_t key[512];
    size_t key_len;
    uint8_t value[65536];
    size_t value_len;
};

// False: this entry cannot be damaged in this way.
static bool damage_entry(struct entry *entry, enum damage damage)
{
    uint8_t *value = entry->value, *key = entry->key;
    size_t len = entry->value_len, key_len = entry->key_len;
    switch (damage) {
    case FLIP_FIRST:
        value[0] ^= 0xff;
        return len > 0;
    case FLIP_SECOND:
        value[1] ^= 0xff;
        return len > 1;
    case FLIP_MIDDLE:
        value[len / 2] ^= 0xff;
        return len > 0;
    case FLIP_LAST:
        value[len > 0 ? len - 1 : 0] ^= 0xff;
        return len > 0;
    case FLIP_LOW_BIT:
        value[len / 3] ^= 0x01;
        return len > 0;
    case CUT:
        entry->value_len = len / 2;
        return len > 0;
    case EMPTY:
        entry->value_len = 0;
        return len > 0;
    case LENGTHEN:
        value[len] = 'x';
        entry->value_len++;
        return true;
    case KEY_CUT:
        entry->key_len--;
        return key_len > 1;
    case KEY_LENGTHENED:
        key[key_len] = 0x01;
        entry->key_len++;
        return true;
    case KEY_FLIP_FIRST:
        key[0] ^= 0xff;
        return true;
    case KEY_FLIP_MIDDLE:
        key[key_len / 2] ^= 0xff;
        return true;
    case KEY_FLIP_LAST:
        key[key_len - 1] ^= 0x01;
        return true;
    case DAMAGES:
        break;
    }
    return false;
}

// Through LMDB, so that its own pages are sound. False: there is no such entry, or nothing to damage.
static bool damage_store(const struct engine_bench *bench, const char *name, size_t index,
                         enum damage damage, bool *is_end)
{
    static struct entry entry;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val k, v;
    bool is_done = false;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_set_mapsize(env, bench->map_bytes), 0);
    assert_int_equal(mdb_env_open(env, bench->folder.path, MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, name, 0, &dbi), 0);
    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
    int code = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    for (size_t i = 0; i < index && code == 0; i++)
        code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    *is_end = code != 0;
    if (code == 0) {
        assert_true(v.mv_size < sizeof entry.value);
        memset(&entry, 0, sizeof entry);
        memcpy(entry.key, k.mv_data, k.mv_size);
        memcpy(entry.value, v.mv_data, v.mv_size);
        entry.key_len = k.mv_size;
        entry.value_len = v.mv_size;
        // The format of the store must be known.
        bool is_format =
            strcmp(name, "meta") == 0 && entry.key_len == 6 && memcmp(entry.key, "format", 6) == 0;
        is_done = !is_format && damage_entry(&entry, damage);
    }
    if (is_done) {
        assert_int_equal(mdb_cursor_del(cursor, 0), 0);
        k = (MDB_val){entry.key_len, entry.key};
        v = (MDB_val){entry.value_len, entry.value};
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    }
    mdb_cursor_close(cursor);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    return is_done;
}

// --- invariants ----------------------------------------------------------------------------------------------

static void must_be_ready(struct engine_bench *bench, const char *what)
{
    struct error error = {0};
    if (engine_ready(bench->engine, &error) != ERROR_NONE)
        fail_msg("%s: %s", what, error.message);
}

static void must_take(struct engine_bench *bench, struct scenario_delivery delivery,
                      const char *what)
{
    if (engine_bench_deliver(bench, &delivery) != ENGINE_ACCEPTED) {
        struct error error = {0};
        (void)engine_ready(bench->engine, &error);
        fail_msg("%s: not accepted: %s", what, error.message);
    }
}

static void must_take_report(struct engine_bench *bench, int64_t job_id, const char *what)
{
    if (report(bench, job_id) != ENGINE_ACCEPTED)
        fail_msg("%s: a report is not accepted", what);
}

static size_t count_spans(struct engine_bench *bench, int64_t job_id, const char *type)
{
    struct error error = {0};
    struct store_transaction *transaction;
    uint64_t sequence = 0;
    uint32_t size;
    size_t count = 0;
    struct arena arena;
    arena_init(&arena, 65536);
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    for (; store_seek_outbox(transaction, &sequence, &size, &error) == ERROR_NONE; sequence++) {
        struct store_record record;
        struct span_batch batch;
        arena_clear(&arena);
        if (store_get_record(transaction, sequence, &record, &error) != ERROR_NONE ||
            otlp_decode_batch(record.body, &arena, &batch, &error) != ERROR_NONE)
            continue; // a damaged one
        for (size_t i = 0; i < batch.span_count; i++) {
            const struct attributes *attributes = &batch.spans[i].attributes;
            bool is_type =
                slice_equals(attributes_get_string(attributes, "type"), slice_from_string(type));
            count += is_type &&
                     (job_id == 0 || attributes_get_int(attributes, "github.job_id") == job_id);
        }
    }
    store_abort(transaction);
    arena_release(&arena);
    return count;
}

static struct store_set_aside_totals totals_of(struct engine_bench *bench)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct store_set_aside_totals totals;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    assert_int_equal(store_read_set_aside_totals(transaction, &totals, &error), ERROR_NONE);
    store_abort(transaction);
    return totals;
}

static void must_walk_quarantine(struct engine_bench *bench, const char *what)
{
    struct store_transaction *transaction;
    struct store_quarantined quarantined;
    struct error error = {0};
    enum error_code code;
    uint64_t sequence = 0;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    while ((code = store_seek_quarantined(transaction, &sequence, &quarantined, &error)) ==
           ERROR_NONE)
        sequence++;
    store_abort(transaction);
    if (code != ERROR_NOT_FOUND)
        fail_msg("%s: quarantine: %s", what, error.message);
}

// Deliveries for damaged and undamaged entries; upkeep for ten days; a restart in between.
static void go_on(struct engine_bench *bench, const char *what)
{
    open_parts(bench, what);
    engine_run_batch(bench->engine, NULL, 0, bench->now);
    must_be_ready(bench, what);
    must_take_report(bench, JOB, what);
    must_take_report(bench, 5, what);
    send_foreign_spans(bench, 1);
    send_foreign_spans(bench, 78);
    must_take(
        bench,
        elsewhere(with_steps(scenario_job(OTHER_JOB, GITHUB_JOB_COMPLETED, 70, 62, 63, 69)), 99),
        what);
    must_take(bench, scenario_job(JOB, GITHUB_JOB_COMPLETED, 71, 2, 6, 70), what);
    must_take(bench, elsewhere(scenario_run(GITHUB_RUN_COMPLETED, 72, "success"), 77), what);
    must_take(bench, scenario_run(GITHUB_RUN_COMPLETED, 73, "success"), what);
    if (count_spans(bench, OTHER_JOB, "job") != 1)
        fail_msg("%s: a span did not go out", what);
    must_walk_quarantine(bench, what);
    engine_bench_advance(bench, NS_PER_HOUR);
    must_be_ready(bench, what);
    if (count_spans(bench, JOB, "job") < 1)
        fail_msg("%s: a span did not go out", what);
    close_parts(bench);
    open_parts(bench, what);
    must_take_report(bench, 1000, what);
    engine_bench_advance(bench, 10 * NS_PER_DAY);
    must_be_ready(bench, what);
    if (engine_next_deadline(bench->engine) != TIMESTAMP_UNKNOWN &&
        engine_next_deadline(bench->engine) < bench->now)
        fail_msg("%s: upkeep is stuck", what);
    must_take(bench, elsewhere(scenario_job(51, GITHUB_JOB_COMPLETED, 900000, 62, 63, 69), 100),
              what);
    close_parts(bench);
}

static void restore(struct engine_bench *bench, struct slice file)
{
    assert_true(temp_folder_write(&bench->folder, "data.mdb", file.data, file.len));
    bench->now = scenario_at(64);
}

static void one_damaged_entry_of_any_table_affects_nothing_else(void **state)
{
    struct engine_bench bench;
    char path[TEMP_FOLDER_PATH_SIZE];
    size_t cases = 0;
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    bench.options.outbox_max = (uint64_t)1 << 30; // a size that is damaged must not fill it
    fill(&bench);
    close_parts(&bench);
    assert_true(temp_folder_path(&bench.folder, "data.mdb", path));
    struct slice file = fixture_read(path);
    for (size_t table = 0; table < sizeof names / sizeof names[0]; table++) {
        bool is_end = false;
        for (size_t index = 0; !is_end; index++) {
            for (int damage = 0; damage < DAMAGES && !is_end; damage++) {
                char what[100];
                snprintf(what, sizeof what, "%s, entry %zu, damage %d", names[table], index,
                         damage);
                restore(&bench, file);
                if (!damage_store(&bench, names[table], index, (enum damage)damage, &is_end))
                    continue;
                go_on(&bench, what);
                cases++;
            }
        }
    }
    print_message("%zu cases\n", cases);
    assert_true(cases > 300);
    fixture_free(file);
    open_parts(&bench, "end");
    engine_bench_close(&bench);
}

// --- one of them in detail ------------------------------------------------------------------------------------

static void damaged_states_are_kept_counted_and_logged_once(void **state)
{
    struct engine_bench bench;
    struct store_transaction *transaction;
    struct error error = {0};
    struct engine_counters counters;
    struct store_set_aside entry;
    uint64_t number = 0;
    bool is_end;
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    fill(&bench);
    close_parts(&bench);
    // 77's job is first: trace IDs are digests, so the kind is searched instead of the position.
    for (size_t i = 0; damage_store(&bench, "spans", i, FLIP_SECOND, &is_end); i++)
        ;
    open_parts(&bench, "all states damaged");
    engine_bench_advance(&bench, 7 * NS_PER_DAY);
    engine_read_counters(bench.engine, &counters);
    struct store_set_aside_totals totals = totals_of(&bench);
    assert_int_equal(totals.count, counters.set_aside);
    assert_int_equal(totals.kept, totals.count);
    assert_int_equal(totals.count, 6); // closed ones have notes, which are not states
    assert_int_equal(engine_bench_count_spans(&bench), 0);
    assert_int_equal(store_begin(bench.store, false, &transaction, &error), ERROR_NONE);
    while (store_seek_set_aside(transaction, &number, &entry, &error) == ERROR_NONE) {
        assert_true(slice_equals(entry.database, SLICE("spans")));
        assert_int_equal(entry.key.len, 24);
        assert_int_equal(entry.bytes.len, entry.size);
        bool is_job = entry.bytes.data[0] == 'J';
        assert_true(is_job || entry.bytes.data[0] == 'R');
        assert_int_equal((uint8_t)entry.bytes.data[1],
                         (is_job ? STORE_JOB_LAYOUT : STORE_RUN_LAYOUT) ^ 0xff);
        assert_true(entry.reason.len > 0);
        number++;
    }
    assert_int_equal(store_table_count(transaction, STORE_TABLE_OPEN_JOBS), 0);
    assert_int_equal(store_table_count(transaction, STORE_TABLE_OPEN_RUNS), 0);
    store_abort(transaction);
    stats_verify(bench.store);
    engine_bench_close(&bench);
}

static void the_size_of_set_aside_is_bounded(void **state)
{
    struct engine_bench bench;
    struct store_transaction *transaction;
    struct error error = {0};
    char value[3000];
    (void)state;
    memset(value, 'x', sizeof value);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    bench.map_bytes = (uint64_t)32 << 20; // 1 MiB of it
    close_parts(&bench);
    open_parts(&bench, "small");
    assert_int_equal(store_begin(bench.store, true, &transaction, &error), ERROR_NONE);
    for (uint64_t i = 1; i <= 1500; i++) {
        struct store_key key = {.trace = {{1}}};
        memcpy(key.span.bytes, &i, sizeof i);
        assert_int_equal(
            store_put_span(transaction, &key, (struct slice){value, sizeof value}, &error),
            ERROR_NONE);
        assert_int_equal(store_set_span_aside(transaction, &key, SLICE("a test"), &error),
                         ERROR_NONE);
    }
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
    struct store_set_aside_totals totals = totals_of(&bench);
    assert_int_equal(totals.count, 1500);
    assert_int_equal(totals.kept + totals.dropped, 1500);
    assert_true(totals.kept > 300 && totals.kept < 350);
    assert_int_equal(store_begin(bench.store, true, &transaction, &error), ERROR_NONE);
    for (uint64_t i = 1; i <= 1500; i++) {
        struct store_key key = {.trace = {{1}}};
        assert_int_equal(store_set_record_aside(transaction, &key, SLICE("a test"), &error),
                         ERROR_NONE);
    }
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
    assert_int_equal(totals_of(&bench).kept, STORE_SET_ASIDE_MAX);
    engine_bench_close(&bench);
}

// --- jobs with very many steps --------------------------------------------------------------------------------

static struct github_step *make_steps(size_t count)
{
    struct github_step *steps = calloc(count, sizeof *steps);
    assert_non_null(steps);
    for (size_t i = 0; i < count; i++)
        steps[i] = scenario_step((int64_t)i + 1, i % 2 == 0 ? "Build" : "Test", 6, 60, "success");
    return steps;
}

static uint32_t largest_record(struct engine_bench *bench, size_t *count)
{
    struct error error = {0};
    struct store_transaction *transaction;
    uint64_t sequence = 0;
    uint32_t size, largest = 0;
    *count = 0;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    for (; store_seek_outbox(transaction, &sequence, &size, &error) == ERROR_NONE; sequence++) {
        largest = size > largest ? size : largest;
        ++*count;
    }
    store_abort(transaction);
    return largest;
}

static void all_steps_are_sent_in_records_of_a_mebibyte_at_most(void **state)
{
    const size_t counts[] = {1, 999, 1000, 1001, 2000, 16500, 100000};
    static char url[4096];
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    memset(url, 'u', sizeof url);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct engine_bench bench;
        size_t records;
        struct github_step *steps = make_steps(counts[i]);
        struct scenario_delivery job = scenario_job(JOB, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        scenario_set_steps(&job, steps, counts[i]);
        job.event.job.html_url = (struct slice){url, sizeof url};
        engine_bench_open(&bench);
        engine_bench_accept(&bench, &job);
        assert_int_equal(count_spans(&bench, JOB, "job"), 1);
        assert_int_equal(count_spans(&bench, 0, "step"), counts[i]);
        assert_true(largest_record(&bench, &records) <= 1 << 20);
        assert_int_equal(records, counts[i] <= 1000 ? 1 : (counts[i] + 999) / 1000);
        // They are deleted with their job, and all are found in the history until then.
        engine_bench_advance(&bench, 10 * NS_PER_DAY);
        engine_bench_close(&bench);
        free(steps);
    }
}

static void steps_with_long_names_are_halved_until_they_fit(void **state)
{
    struct engine_bench bench;
    size_t records;
    static char name[4096];
    struct github_step *steps = make_steps(1000);
    struct scenario_delivery job = scenario_job(JOB, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    memset(name, 'n', sizeof name);
    for (size_t i = 0; i < 1000; i++)
        steps[i].name = (struct slice){name, sizeof name};
    scenario_set_steps(&job, steps, 1000);
    engine_bench_open(&bench);
    engine_bench_accept(&bench, &job);
    assert_int_equal(count_spans(&bench, 0, "step"), 1000);
    assert_true(largest_record(&bench, &records) <= 1 << 20);
    assert_true(records >= 8 && records <= 16);
    engine_bench_close(&bench);
    free(steps);
}

static void a_job_in_progress_with_very_many_steps_is_given_up_like_any_other(void **state)
{
    struct engine_bench bench;
    struct github_step *steps = make_steps(16500);
    struct scenario_delivery job = scenario_job(JOB, GITHUB_JOB_IN_PROGRESS, 60, 2, 6, -1);
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    scenario_set_steps(&job, steps, 16500);
    engine_bench_open(&bench);
    engine_bench_accept(&bench, &job);
    engine_bench_advance(&bench, 6 * NS_PER_DAY);
    assert_int_equal(count_spans(&bench, 0, "step"), 16500);
    engine_bench_close(&bench);
    free(steps);
}

// --- ids that are equal -----------------------------------------------------------------------------------------

static void a_job_with_the_id_of_its_run_is_a_job_like_any_other(void **state)
{
    struct engine_bench bench;
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&bench);
    struct scenario_delivery delivery =
        scenario_job(SCENARIO_RUN_ID, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
    engine_bench_accept(&bench, &delivery);
    stats_verify(bench.store);
    delivery = scenario_run(GITHUB_RUN_REQUESTED, 3, "");
    engine_bench_accept(&bench, &delivery);
    stats_verify(bench.store);
    delivery = scenario_job(SCENARIO_RUN_ID, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    engine_bench_accept(&bench, &delivery);
    stats_verify(bench.store);
    delivery = scenario_run(GITHUB_RUN_COMPLETED, 61, "success");
    engine_bench_accept(&bench, &delivery);
    stats_verify(bench.store);
    assert_int_equal(count_spans(&bench, SCENARIO_RUN_ID, "job"), 1);
    assert_int_equal(count_spans(&bench, 0, "workflow"), 1);
    assert_int_equal(engine_bench_count_spans(&bench), 2);
    engine_bench_advance(&bench, 10 * NS_PER_DAY);
    assert_int_equal(engine_bench_count_spans(&bench), 0);
    assert_int_equal(totals_of(&bench).count, 0);
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_damaged_entry_of_any_table_affects_nothing_else),
        cmocka_unit_test(damaged_states_are_kept_counted_and_logged_once),
        cmocka_unit_test(the_size_of_set_aside_is_bounded),
        cmocka_unit_test(all_steps_are_sent_in_records_of_a_mebibyte_at_most),
        cmocka_unit_test(steps_with_long_names_are_halved_until_they_fit),
        cmocka_unit_test(a_job_in_progress_with_very_many_steps_is_given_up_like_any_other),
        cmocka_unit_test(a_job_with_the_id_of_its_run_is_a_job_like_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
