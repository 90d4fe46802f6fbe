// Checks what a store promises after a power cut.
#include "crash/check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"
#include "support/policy.h"
#include "support/stats_verify.h"

#define MAP_BYTES ((uint64_t)1 << 30)
#define TASKS_MAX 4096

// --- the deliveries -----------------------------------------------------------------------------------------

static void read_fully(FILE *file, void *bytes, size_t size)
{
    if (fread(bytes, 1, size, file) != size)
        crash_fail("the file of deliveries is cut off");
}

static struct slice read_text(FILE *file, struct arena *arena, uint32_t size)
{
    char *bytes = arena_allocate(arena, size + 1);
    if (bytes == NULL)
        crash_fail("out of memory");
    read_fully(file, bytes, size);
    return (struct slice){bytes, size};
}

// As crash.py packs it.
struct packed_delivery {
    uint32_t port, type_len, guid_len, body_len;
    int64_t guid_time;
};

// The first 8 bytes of the GUID's SHA-256 and of the body's MD5 (store/store.h).
static void identify(struct crash_delivery *delivery, struct slice guid, struct slice body)
{
    uint8_t of_guid[SHA256_SIZE], of_body[MD5_SIZE];
    digest_sha256(guid, of_guid);
    digest_md5(body, of_body);
    memcpy(delivery->digest, of_guid, 8);
    memcpy(delivery->digest + 8, of_body, 8);
}

static void read_delivery(FILE *file, const struct packed_delivery *head, struct arena *arena,
                          struct crash_delivery *delivery)
{
    struct error error = {.code = ERROR_NONE};
    struct slice type = read_text(file, arena, head->type_len);
    struct slice guid = read_text(file, arena, head->guid_len);
    struct slice body = read_text(file, arena, head->body_len);
    *delivery = (struct crash_delivery){.port = head->port, .guid_time = head->guid_time};
    identify(delivery, guid, body);
    if (github_event_decode(type, body, arena, &delivery->event, &error) != ERROR_NONE ||
        delivery->event.kind > GITHUB_EVENT_RUN)
        crash_fail("a delivery is not a job's or a run's event: %s", error.message);
}

void crash_world_read(struct crash_world *world, const char *path)
{
    struct packed_delivery head;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        crash_fail("%s cannot be read", path);
    arena_init(&world->arena, 1 << 20);
    world->deliveries = arena_allocate_array(&world->arena, TASKS_MAX, sizeof *world->deliveries);
    read_fully(file, &world->now, sizeof world->now);
    while (fread(&head, sizeof head, 1, file) == 1 && world->count < TASKS_MAX)
        read_delivery(file, &head, &world->arena, &world->deliveries[world->count++]);
    if (!feof(file))
        crash_fail("%s has more than %d deliveries", path, TASKS_MAX);
    (void)fclose(file);
}

// --- everything in the file -----------------------------------------------------------------------------------

static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    sum = (sum ^ len) * UINT64_C(0x9E3779B97F4A7C15);
    for (; len >= 8; len -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        sum ^= sum >> 29;
    }
    for (; len > 0; len--)
        sum = (sum ^ *bytes++) * UINT64_C(0x100000001B3);
    return sum;
}

static void must(int code, const char *what)
{
    if (code != MDB_SUCCESS)
        crash_fail("%s: %s", what, mdb_strerror(code));
}

// `names`: each key is the name of a table, which is read, too.
static uint64_t digest_table(MDB_txn *txn, MDB_dbi dbi, uint64_t sum, bool has_names)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int code;
    must(mdb_cursor_open(txn, dbi, &cursor), "open a table");
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        sum = mix(mix(sum, key.mv_data, key.mv_size), value.mv_data, value.mv_size);
        if (has_names) {
            char name[128];
            MDB_dbi table;
            (void)snprintf(name, sizeof name, "%.*s", (int)key.mv_size, (char *)key.mv_data);
            must(mdb_dbi_open(txn, name, 0, &table), name);
            sum = digest_table(txn, table, sum, false);
        }
    }
    if (code != MDB_NOTFOUND)
        crash_fail("a table ends with: %s", mdb_strerror(code));
    mdb_cursor_close(cursor);
    return sum;
}

static MDB_env *open_alone(const char *folder)
{
    MDB_env *env;
    must(mdb_env_create(&env), "create");
    must(mdb_env_set_maxdbs(env, 128), "set");
    int code = mdb_env_open(env, folder, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0600);
    if (code == MDB_SUCCESS)
        return env;
    mdb_env_close(env);
    return NULL;
}

uint64_t crash_digest(const char *folder)
{
    const MDB_dbi free_pages = 0, main_table = 1;
    MDB_txn *txn;
    MDB_dbi opened;
    MDB_envinfo info;
    MDB_env *env = open_alone(folder);
    if (env == NULL)
        return DIGEST_OF_NOTHING;
    uint64_t sum = DIGEST_OF_NOTHING;
    (void)mdb_env_info(env, &info);
    must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    must(mdb_dbi_open(txn, NULL, 0, &opened), "open the main table");
    if (info.me_last_txnid > 0)
        sum = digest_table(txn, free_pages, digest_table(txn, main_table, 1, true), false);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return sum;
}

// --- a store with its engine ------------------------------------------------------------------------------------

struct bench {
    const struct crash_world *world;
    struct store *store;
    struct engine *engine;
    timestamp_ns now;
    struct error error;
};

static timestamp_ns fixed_now; // the engine's clock has no context

static timestamp_ns read_clock(void)
{
    return fixed_now;
}

// What `serve` does before it is ready to accept deliveries.
static enum error_code open_bench(struct bench *bench)
{
    struct engine_options options = {.queue_max = TASKS_MAX,
                                     .batch_max = TASKS_MAX,
                                     .has_exporter = true,
                                     .history = 7 * NS_PER_DAY,
                                     .history_jobs = 1000000,
                                     .now = read_clock};
    trace_policy_init(&options.policy);
    fixed_now = bench->now;
    enum error_code code =
        store_open(bench->world->folder, STORE_DAEMON, MAP_BYTES, &bench->store, &bench->error);
    if (code != ERROR_NONE)
        return code;
    code = engine_create(bench->store, &options, &bench->engine, &bench->error);
    if (code != ERROR_NONE)
        crash_fail("the engine refuses a store that opens: %s", bench->error.message);
    return code;
}

static void close_bench(struct bench *bench)
{
    engine_destroy(bench->engine);
    store_close(bench->store);
}

static void do_nothing(struct engine_task *task)
{
    (void)task;
}

static struct engine_task make_task(const struct bench *bench,
                                    const struct crash_delivery *delivery)
{
    struct engine_task task = {.type = ENGINE_APPLY_EVENT,
                               .on_done = do_nothing,
                               .event = &delivery->event,
                               .received_at = bench->now,
                               .occurred_at = delivery->guid_time};
    memcpy(task.delivery_digest, delivery->digest, sizeof task.delivery_digest);
    return task;
}

static void advance(struct bench *bench, duration_ns by)
{
    timestamp_ns until = bench->now + by;
    for (;;) {
        timestamp_ns due = engine_next_deadline(bench->engine);
        if (due == TIMESTAMP_UNKNOWN || due > until)
            break;
        fixed_now = bench->now = due > bench->now ? due : bench->now;
        engine_run_batch(bench->engine, NULL, 0, bench->now);
    }
    fixed_now = bench->now = until;
    engine_run_batch(bench->engine, NULL, 0, bench->now);
}

// --- the effect of each delivery --------------------------------------------------------------------------------

struct reader {
    struct store_transaction *transaction;
    struct arena arena;
    struct error error;
    bool has_collector;
};

static void begin_reading(struct bench *bench, struct reader *reader)
{
    *reader = (struct reader){.has_collector = bench->world->has_collector};
    arena_init(&reader->arena, 65536);
    if (store_begin(bench->store, false, &reader->transaction, &reader->error) != ERROR_NONE)
        crash_fail("begin: %s", reader->error.message);
}

static void end_reading(struct reader *reader)
{
    store_abort(reader->transaction);
    arena_release(&reader->arena);
}

// A record that is not in the outbox would never be sent.
static bool has_record(struct reader *reader, const struct store_key *key)
{
    struct store_record record;
    uint64_t sequence, found;
    uint32_t size;
    enum error_code code = store_newest_record(reader->transaction, key, &sequence, &reader->error);
    if (code == ERROR_NOT_FOUND)
        return false;
    if (code != ERROR_NONE)
        crash_fail("read the history: %s", reader->error.message);
    if (store_get_record(reader->transaction, sequence, &record, &reader->error) != ERROR_NONE)
        crash_fail("the history names record %" PRIu64 ", which is not there", sequence);
    found = sequence;
    if (!reader->has_collector &&
        (store_seek_outbox(reader->transaction, &found, &size, &reader->error) != ERROR_NONE ||
         found != sequence || size != record.body.len))
        crash_fail("record %" PRIu64 " is not in the outbox as it is in the history", sequence);
    return true;
}

static bool has_note(struct reader *reader, enum store_note kind, const struct store_key *key)
{
    const struct store_note_key note = {kind, *key};
    uint8_t payload[STORE_NOTE_SIZE_MAX];
    bool is_found;
    if (store_find_note(reader->transaction, &note, &is_found, payload, &reader->error) !=
        ERROR_NONE)
        crash_fail("read a note: %s", reader->error.message);
    return is_found;
}

static struct store_key key_of(const struct github_event *event)
{
    const struct github_job *job = &event->job;
    const struct github_run *run = &event->run;
    if (event->kind == GITHUB_EVENT_JOB)
        return (struct store_key){stored_run_of(event->server, job->run_id, job->run_attempt).trace,
                                  stored_span_of_job(job->run_id, job->job_id)};
    return (struct store_key){stored_run_of(event->server, run->run_id, run->run_attempt).trace,
                              span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
}

// A job may be queued twice: before and after an approval.
static bool has_seen(const struct job_state *state, const struct crash_delivery *delivery)
{
    enum github_job_action action = delivery->event.job.action;
    bool is_newest = (action != GITHUB_JOB_QUEUED || state->last_queued >= delivery->guid_time) &&
                     (action != GITHUB_JOB_WAITING || state->last_waiting >= delivery->guid_time);
    return is_newest && (state->seen >> action & 1) != 0;
}

static bool find_state(struct reader *reader, const struct store_key *key, struct slice *bytes)
{
    enum error_code code = store_get_span(reader->transaction, key, bytes, &reader->error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        crash_fail("read a state: %s", reader->error.message);
    return code == ERROR_NONE;
}

// Of a job or a run that is not open: whether it was, and has ended.
static bool is_over(struct reader *reader, const struct store_key *key, enum store_note kind,
                    int64_t id)
{
    bool has_ended = has_note(reader, kind, key);
    if (has_ended != has_record(reader, key))
        crash_fail("%s %" PRId64 " has a note without a record, or a record without a note",
                   kind == STORE_NOTE_JOB ? "job" : "run", id);
    return has_ended;
}

static bool has_job_effect(struct reader *reader, const struct crash_delivery *delivery)
{
    const struct github_job *job = &delivery->event.job;
    const struct store_key key = key_of(&delivery->event);
    struct slice bytes;
    struct job_state state;
    if (!find_state(reader, &key, &bytes))
        return is_over(reader, &key, STORE_NOTE_JOB, job->job_id);
    if (codec_decode_job(bytes, &reader->arena, &state, &reader->error) != ERROR_NONE)
        crash_fail("job %" PRId64 ": %s", job->job_id, reader->error.message);
    if (state.phase >= JOB_CLOSED && !has_record(reader, &key))
        crash_fail("job %" PRId64 " is closed and has no record", job->job_id);
    return state.phase >= JOB_CLOSED || has_seen(&state, delivery);
}

static bool has_run_effect(struct reader *reader, const struct github_event *event)
{
    const struct github_run *run = &event->run;
    const struct store_key key = key_of(event);
    struct slice bytes;
    struct run_state state;
    if (!find_state(reader, &key, &bytes))
        return is_over(reader, &key, STORE_NOTE_RUN, run->run_id);
    if (codec_decode_run(bytes, &reader->arena, &state, &reader->error) != ERROR_NONE)
        crash_fail("run %" PRId64 ": %s", run->run_id, reader->error.message);
    return (state.seen >> run->action & 1) != 0;
}

static void read_effects(struct bench *bench, bool *effects)
{
    struct reader reader;
    begin_reading(bench, &reader);
    for (size_t i = 0; i < bench->world->count; i++) {
        const struct crash_delivery *delivery = &bench->world->deliveries[i];
        arena_clear(&reader.arena);
        effects[i] = delivery->event.kind == GITHUB_EVENT_JOB
                         ? has_job_effect(&reader, delivery)
                         : has_run_effect(&reader, &delivery->event);
    }
    end_reading(&reader);
}

static int64_t run_of(const struct crash_delivery *delivery)
{
    return delivery->event.kind == GITHUB_EVENT_JOB ? delivery->event.job.run_id
                                                    : delivery->event.run.run_id;
}

// Everything is delivered again. What was acknowledged is recognized, and so is all else that has an effect, and
// nothing that has none.
static void redeliver(struct bench *bench, const bool *effects)
{
    static struct engine_task tasks[TASKS_MAX];
    const struct crash_world *world = bench->world;
    for (size_t i = 0; i < world->count; i++)
        tasks[i] = make_task(bench, &world->deliveries[i]);
    engine_run_batch(bench->engine, tasks, world->count, bench->now);
    for (size_t i = 0; i < world->count; i++) {
        const struct crash_delivery *delivery = &world->deliveries[i];
        bool is_known = tasks[i].outcome == ENGINE_DUPLICATE;
        if (!is_known && tasks[i].outcome != ENGINE_ACCEPTED)
            crash_fail("delivery %zu is refused: %s", i, tasks[i].error.message);
        if (delivery->is_acknowledged && !is_known)
            crash_fail("delivery %zu (run %" PRId64 ") was acknowledged and is not known", i,
                       run_of(delivery));
        if (effects[i] != is_known)
            crash_fail("delivery %zu (run %" PRId64 ") %s", i, run_of(delivery),
                       is_known ? "is known and has no effect" : "has its effect and is not known");
    }
}

// In the end each job and each run has a record.
static void check_all_finished(struct bench *bench)
{
    struct reader reader;
    begin_reading(bench, &reader);
    for (size_t i = 0; i < bench->world->count; i++) {
        const struct store_key key = key_of(&bench->world->deliveries[i].event);
        if (!has_record(&reader, &key))
            crash_fail("of delivery %zu nothing is exported", i);
    }
    end_reading(&reader);
}

// The last version of each span that was finished: key and bytes.
static uint64_t digest_finished(struct bench *bench)
{
    struct reader reader;
    struct store_key key = {.trace = {{0}}};
    uint64_t sequence, sum = 1;
    begin_reading(bench, &reader);
    enum error_code code;
    while ((code = store_seek_history(reader.transaction, &key, &sequence, &reader.error)) ==
           ERROR_NONE) {
        struct store_record record;
        if (store_get_record(reader.transaction, sequence, &record, &reader.error) != ERROR_NONE)
            crash_fail("the history names record %" PRIu64 ", which is not there", sequence);
        sum = mix(mix(sum, &key, sizeof key), record.body.data, record.body.len);
        store_key_increment(&key);
    }
    if (code != ERROR_NOT_FOUND)
        crash_fail("read the history: %s", reader.error.message);
    end_reading(&reader);
    return sum;
}

// --- all together -----------------------------------------------------------------------------------------------

static void check_contents(const struct crash_world *world, const struct crash_limits *limits)
{
    uint64_t found = crash_digest(world->folder);
    size_t commit = limits->least;
    while (commit <= limits->most && world->commits[commit] != found)
        commit++;
    if (commit > limits->most && !(limits->may_be_empty && found == DIGEST_OF_NOTHING))
        crash_fail("the store is that of none of the commits %zu to %zu", limits->least,
                   limits->most);
}

static void check_reopened(struct bench *bench, uint64_t finished)
{
    const struct crash_delivery *last = &bench->world->deliveries[bench->world->count - 1];
    close_bench(bench);
    if (open_bench(bench) != ERROR_NONE)
        crash_fail("it does not open again: %s", bench->error.message);
    struct engine_task task = make_task(bench, last);
    engine_run_batch(bench->engine, &task, 1, bench->now);
    if (task.outcome != ENGINE_DUPLICATE)
        crash_fail("what was delivered after the power cut is not known after a restart");
    if (digest_finished(bench) != finished)
        crash_fail("what was finished after the power cut is another after a restart");
    stats_verify(bench->store);
    close_bench(bench);
}

void crash_check(const struct crash_world *world, const struct crash_limits *limits,
                 uint64_t *finished)
{
    static bool effects[TASKS_MAX];
    struct bench bench = {.world = world, .now = world->now};
    check_contents(world, limits);
    if (open_bench(&bench) != ERROR_NONE)
        crash_fail("it does not open: %s", bench.error.message);
    stats_verify(bench.store);
    read_effects(&bench, effects);
    redeliver(&bench, effects);
    stats_verify(bench.store);
    advance(&bench, NS_PER_HOUR);
    stats_verify(bench.store);
    check_all_finished(&bench);
    *finished = digest_finished(&bench);
    check_reopened(&bench, *finished);
}
