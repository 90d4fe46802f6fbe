// The lists of runs: finished ones, in the order of sending and by their ends, and open ones; and the servers of all.
#include "ghatrace/stats/runs.h"

#include <assert.h>
#include <string.h>

#include "ghatrace/otlp/decode.h"
#include "ghatrace/stats/commits.h"
#include "private.h"

// --- finished runs: what is stored of each --------------------------------------------------------
// Encoding of a finished run's summary: varints of its numbers, its trace ID, its texts prefixed with their length.
// The fields are listed once, for both directions. The server is last, and only present if it is not github.com, or if
// the bytes of the commit's id follow it: older summaries have none.

#define NUMBERS 6
#define TEXTS 9

static void list_texts(struct run_sample *measure, struct slice *texts[TEXTS])
{
    struct slice *const all[TEXTS] = {
        &measure->repository, &measure->workflow,      &measure->branch,
        &measure->event_name, &measure->display_title, &measure->actor,
        &measure->result,     &measure->conclusion,    &measure->url,
    };
    memcpy(texts, all, sizeof all);
}

static void list_numbers(struct run_sample *measure, int64_t *numbers[NUMBERS])
{
    int64_t *const all[NUMBERS] = {
        &measure->run_id,    &measure->run_attempt, &measure->run_number,
        &measure->job_count, &measure->start,       &measure->end,
    };
    memcpy(numbers, all, sizeof all);
}

static enum error_code summary_encode(const struct run_sample *measure, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    struct run_sample copy = *measure;
    int64_t *numbers[NUMBERS];
    struct slice *texts[TEXTS];
    list_numbers(&copy, numbers);
    list_texts(&copy, texts);
    bytes_write_varint(&writer, measure->is_incomplete ? 1 : 0);
    for (size_t i = 0; i < NUMBERS; i++)
        bytes_write_varint(&writer, (uint64_t)*numbers[i]);
    bytes_write(&writer, measure->trace.bytes, TRACE_ID_SIZE);
    for (size_t i = 0; i < TEXTS; i++)
        bytes_write_text(&writer, *texts[i]);
    if (measure->server.len > 0 || measure->commit.size > 0)
        bytes_write_text(&writer, measure->server);
    if (measure->commit.size > 0)
        bytes_write_text(&writer, slice_of_bytes(measure->commit.bytes, measure->commit.size));
    return writer.code;
}

static void read_commit_id(struct slice bytes, struct commit_id *commit)
{
    if (bytes.len != COMMIT_ID_SHA1_SIZE && bytes.len != COMMIT_ID_SHA256_SIZE)
        return;
    commit->size = (uint8_t)bytes.len;
    memcpy(commit->bytes, bytes.data, bytes.len);
}

// Texts point into `bytes`. False: damaged.
static bool summary_decode(struct slice bytes, struct run_sample *measure)
{
    struct byte_reader reader = bytes_reader(bytes);
    int64_t *numbers[NUMBERS];
    struct slice *texts[TEXTS];
    *measure = (struct run_sample){.is_incomplete = bytes_read_varint(&reader) != 0};
    list_numbers(measure, numbers);
    list_texts(measure, texts);
    for (size_t i = 0; i < NUMBERS; i++)
        *numbers[i] = (int64_t)bytes_read_varint(&reader);
    struct slice trace = bytes_read(&reader, TRACE_ID_SIZE);
    if (trace.len == TRACE_ID_SIZE)
        memcpy(measure->trace.bytes, trace.data, TRACE_ID_SIZE);
    for (size_t i = 0; i < TEXTS; i++)
        *texts[i] = bytes_read_text(&reader);
    if (!bytes_is_done(&reader))
        measure->server = bytes_read_text(&reader);
    if (!bytes_is_done(&reader))
        read_commit_id(bytes_read_text(&reader), &measure->commit);
    return bytes_is_done(&reader);
}

// --- finished runs in the order of sending --------------------------------------------------------

// `entry`: the run's in the table recent, which is added or removed in this transaction, too.
static enum error_code ended_runs_add(struct store_transaction *transaction,
                                      const struct store_entry *entry, struct error *error);
static enum error_code ended_runs_remove(struct store_transaction *transaction,
                                         const struct store_entry *entry, struct error *error);

void recent_write_key(uint8_t key[RECENT_KEY_SIZE], const struct recent_place *place)
{
    bytes_put_be64(key, (uint64_t)place->at);
    memcpy(key + 8, place->trace.bytes, TRACE_ID_SIZE);
}

struct recent_place recent_place_of(const void *key)
{
    struct recent_place place = {.at = (timestamp_ns)bytes_get_be64(key)};
    memcpy(place.trace.bytes, (const uint8_t *)key + 8, TRACE_ID_SIZE);
    return place;
}

// Decodes an entry of the table recent. ERROR_CORRUPT.
static enum error_code recent_read_entry(const struct store_entry *entry, struct recent_run *run,
                                         struct error *error)
{
    if (entry->key.len != RECENT_KEY_SIZE || !summary_decode(entry->value, &run->measure))
        return error_set(error, ERROR_CORRUPT, "a stored summary of a run is damaged");
    run->place = recent_place_of(entry->key.data);
    return ERROR_NONE;
}

static struct slice slice_of_trace(const struct trace_id *trace)
{
    return slice_of_bytes(trace->bytes, TRACE_ID_SIZE);
}

// The position of a run in the list. ERROR_NOT_FOUND.
static enum error_code find_recent_place(struct store_transaction *transaction,
                                         const struct trace_id *trace,
                                         uint8_t place[RECENT_KEY_SIZE], struct error *error)
{
    struct slice at;
    enum error_code code = store_table_get(transaction, STORE_TABLE_RECENT_BY_TRACE,
                                           slice_of_trace(trace), &at, error);
    if (code != ERROR_NONE)
        return code;
    if (at.len != 8) {
        store_note_unreadable(transaction);
        return ERROR_NOT_FOUND;
    }
    memcpy(place, at.data, 8);
    memcpy(place + 8, trace->bytes, TRACE_ID_SIZE);
    return ERROR_NONE;
}

// Deletes the entry at `place`, but not its place.
static enum error_code delete_recent_entry(struct store_transaction *transaction,
                                           const uint8_t place[RECENT_KEY_SIZE],
                                           struct error *error)
{
    struct store_entry entry = {.key = slice_of_bytes(place, RECENT_KEY_SIZE)};
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_RECENT, entry.key, &entry.value, error);
    if (code == ERROR_NONE)
        code = ended_runs_remove(transaction, &entry, error);
    if (code == ERROR_NONE)
        code = store_table_delete(transaction, STORE_TABLE_RECENT, entry.key, error);
    return code;
}

static enum error_code drop_earlier(struct stats *stats, const struct trace_id *trace,
                                    struct error *error)
{
    uint8_t earlier[RECENT_KEY_SIZE];
    enum error_code code = find_recent_place(stats->transaction, trace, earlier, error);
    if (code == ERROR_NONE)
        code = delete_recent_entry(stats->transaction, earlier, error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// `entry` outlives writes: its bytes are not the store's.
static enum error_code put_recent_entry(struct store_transaction *transaction,
                                        const struct store_entry *entry, struct error *error)
{
    assert(entry->key.len == RECENT_KEY_SIZE);
    enum error_code code =
        store_table_put(transaction, STORE_TABLE_RECENT, entry->key, entry->value, error);
    if (code == ERROR_NONE)
        code = store_table_put(transaction, STORE_TABLE_RECENT_BY_TRACE,
                               (struct slice){entry->key.data + 8, TRACE_ID_SIZE},
                               (struct slice){entry->key.data, 8}, error);
    return code == ERROR_NONE ? ended_runs_add(transaction, entry, error) : code;
}

enum error_code recent_put(struct stats *stats, const struct recent_place *place,
                           const struct run_sample *measure, struct error *error)
{
    uint8_t key[RECENT_KEY_SIZE];
    recent_write_key(key, place);
    buffer_clear(&stats->bytes);
    enum error_code code = summary_encode(measure, &stats->bytes);
    if (code != ERROR_NONE)
        return error_set(error, code, "encode summary: %s", error_code_text(code));
    const struct store_entry entry = {slice_of_bytes(key, sizeof key), buffer_slice(&stats->bytes)};
    code = commits_finish_run(stats->transaction, &place->trace, measure, error);
    if (code == ERROR_NONE)
        code = drop_earlier(stats, &place->trace, error);
    return code == ERROR_NONE ? put_recent_entry(stats->transaction, &entry, error) : code;
}

static enum error_code drop_recent(struct store_transaction *transaction,
                                   const uint8_t place[RECENT_KEY_SIZE], struct error *error)
{
    enum error_code code = delete_recent_entry(transaction, place, error);
    if (code == ERROR_NONE)
        code = store_table_delete(transaction, STORE_TABLE_RECENT_BY_TRACE,
                                  slice_of_bytes(place + 8, TRACE_ID_SIZE), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code forget_commit_of(struct store_transaction *transaction,
                                        const uint8_t place[RECENT_KEY_SIZE], struct error *error)
{
    const struct recent_place of = recent_place_of(place);
    return commits_forget_run(transaction, &of.trace, error);
}

enum error_code recent_expire(struct store_transaction *transaction, timestamp_ns before,
                              size_t max, size_t *dropped, struct error *error)
{
    *dropped = 0;
    while (*dropped < max) {
        uint8_t place[RECENT_KEY_SIZE];
        struct store_entry entry;
        enum error_code code =
            store_table_seek(transaction, STORE_TABLE_RECENT, SLICE_EMPTY, &entry, error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        if (entry.key.len != RECENT_KEY_SIZE) {
            code = store_table_set_aside(transaction, STORE_TABLE_RECENT, entry.key,
                                         SLICE("key of a wrong length"), error);
            if (code != ERROR_NONE)
                return code;
            continue;
        }
        if ((timestamp_ns)bytes_get_be64(entry.key.data) >= before)
            return ERROR_NONE;
        memcpy(place, entry.key.data, RECENT_KEY_SIZE);
        code = forget_commit_of(transaction, place, error);
        if (code == ERROR_NONE)
            code = drop_recent(transaction, place, error);
        if (code != ERROR_NONE)
            return code;
        (*dropped)++;
    }
    return ERROR_NONE;
}

enum error_code recent_move(struct stats *stats, const struct trace_id *from,
                            const struct trace_id *to, struct error *error)
{
    uint8_t place[RECENT_KEY_SIZE];
    struct slice value;
    enum error_code code = find_recent_place(stats->transaction, from, place, error);
    if (code == ERROR_NONE)
        code = store_table_get(stats->transaction, STORE_TABLE_RECENT,
                               slice_of_bytes(place, sizeof place), &value, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    buffer_clear(&stats->bytes);
    if (buffer_append_slice(&stats->bytes, value) != ERROR_NONE)
        return error_set(error, ERROR_MEMORY, "move a summary: out of memory");
    code = commits_forget_run(stats->transaction, from, error);
    if (code == ERROR_NONE)
        code = drop_recent(stats->transaction, place, error);
    memcpy(place + 8, to->bytes, TRACE_ID_SIZE);
    const struct store_entry entry = {slice_of_bytes(place, sizeof place),
                                      buffer_slice(&stats->bytes)};
    if (code == ERROR_NONE)
        code = put_recent_entry(stats->transaction, &entry, error);
    struct recent_run moved;
    if (code == ERROR_NONE)
        code = recent_find(stats->transaction, to, &moved, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    return commits_finish_run(stats->transaction, to, &moved.measure, error);
}

struct stored_run recent_stored_run(const struct recent_run *run)
{
    return (struct stored_run){run->measure.run_id, run->measure.run_attempt, run->place.trace};
}

enum error_code recent_read_root(struct store_transaction *transaction,
                                 const struct stored_run *run, struct arena *arena,
                                 struct span_batch *batch, struct error *error)
{
    const struct store_key key = {
        .trace = run->trace, .span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
    struct store_record record;
    uint64_t sequence;
    enum error_code code = store_newest_record(transaction, &key, &sequence, error);
    if (code == ERROR_NONE)
        code = store_get_record(transaction, sequence, &record, error);
    return code == ERROR_NONE ? otlp_decode_batch(record.body, arena, batch, error) : code;
}

uint64_t recent_count(struct store_transaction *transaction)
{
    return store_table_count(transaction, STORE_TABLE_RECENT);
}

// The key of a place, or no key if the place is all zeros: then the newest entry is before it.
static struct slice key_of_place(const struct recent_place *place, uint8_t bytes[RECENT_KEY_SIZE])
{
    static const struct recent_place none;
    bool is_first = memcmp(place, &none, sizeof none) == 0;
    recent_write_key(bytes, place);
    return slice_of_bytes(bytes, is_first ? 0 : RECENT_KEY_SIZE);
}

enum error_code recent_seek_older(struct store_transaction *transaction,
                                  const struct recent_place *place, struct recent_run *run,
                                  struct error *error)
{
    uint8_t bytes[RECENT_KEY_SIZE];
    struct store_entry entry = {.key = key_of_place(place, bytes)};
    for (;;) {
        enum error_code code =
            store_table_seek_before(transaction, STORE_TABLE_RECENT, entry.key, &entry, error);
        if (code == ERROR_NONE && recent_read_entry(&entry, run, error) != ERROR_NONE) {
            store_note_unreadable(transaction);
            continue;
        }
        return code;
    }
}

enum error_code recent_find(struct store_transaction *transaction, const struct trace_id *trace,
                            struct recent_run *run, struct error *error)
{
    uint8_t place[RECENT_KEY_SIZE];
    struct store_entry entry = {.key = slice_of_bytes(place, sizeof place)};
    enum error_code code = find_recent_place(transaction, trace, place, error);
    if (code == ERROR_NONE)
        code = store_table_get(transaction, STORE_TABLE_RECENT, entry.key, &entry.value, error);
    if (code == ERROR_NONE && recent_read_entry(&entry, run, error) != ERROR_NONE) {
        store_note_unreadable(transaction);
        return ERROR_NOT_FOUND;
    }
    return code;
}

// --- finished runs by their ends ------------------------------------------------------------------

static struct slice progress_key(void)
{
    return SLICE("ended");
}

struct recent_place recent_end_place(const struct recent_run *run)
{
    struct recent_place place = run->place;
    if (run->measure.end > 0 && run->measure.end < place.at)
        place.at = run->measure.end;
    return place;
}

// The key of a run in this list. False: the entry's own key is damaged.
static bool end_key_of(const struct store_entry *entry, uint8_t bytes[RECENT_KEY_SIZE])
{
    struct recent_run run;
    struct error error;
    if (entry->key.len != RECENT_KEY_SIZE)
        return false;
    memcpy(bytes, entry->key.data, RECENT_KEY_SIZE);
    if (recent_read_entry(entry, &run, &error) == ERROR_NONE) {
        const struct recent_place place = recent_end_place(&run);
        recent_write_key(bytes, &place);
    }
    return true;
}

static enum error_code ended_runs_add(struct store_transaction *transaction,
                                      const struct store_entry *entry, struct error *error)
{
    uint8_t key[RECENT_KEY_SIZE], at[8];
    if (!end_key_of(entry, key))
        return ERROR_NONE;
    memcpy(at, entry->key.data, sizeof at);
    return store_table_put(transaction, STORE_TABLE_ENDED_RUNS, slice_of_bytes(key, sizeof key),
                           slice_of_bytes(at, sizeof at), error);
}

static enum error_code ended_runs_remove(struct store_transaction *transaction,
                                         const struct store_entry *entry, struct error *error)
{
    uint8_t key[RECENT_KEY_SIZE];
    if (!end_key_of(entry, key))
        return ERROR_NONE;
    enum error_code code = store_table_delete(transaction, STORE_TABLE_ENDED_RUNS,
                                              slice_of_bytes(key, sizeof key), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- finished runs by their ends: filling the list for a store of an older version ----------------

// The numbers of entries agree unless a version that did not know this list has stored runs, or dropped some.
enum error_code recent_has_ends(struct store_transaction *transaction, bool *has_ends,
                                struct error *error)
{
    struct slice found;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_STATS, progress_key(), &found, error);
    *has_ends = code == ERROR_NOT_FOUND && store_table_count(transaction, STORE_TABLE_ENDED_RUNS) ==
                                               store_table_count(transaction, STORE_TABLE_RECENT);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Where to continue: `len` is 0 at the begin.
static enum error_code read_end_progress(struct stats *stats, uint8_t cursor[RECENT_KEY_SIZE],
                                         size_t *len, struct error *error)
{
    struct slice found;
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_STATS, progress_key(), &found, error);
    *len = code == ERROR_NONE && found.len == RECENT_KEY_SIZE ? RECENT_KEY_SIZE : 0;
    if (*len > 0)
        memcpy(cursor, found.data, RECENT_KEY_SIZE);
    if (code == ERROR_NONE && *len == 0)
        code = ERROR_NOT_FOUND; // damaged: from the begin
    return code == ERROR_NOT_FOUND
               ? store_table_clear(stats->transaction, STORE_TABLE_ENDED_RUNS, error)
               : code;
}

// The newest of those that are left. ERROR_NOT_FOUND: there is none.
static enum error_code add_next(struct stats *stats, uint8_t cursor[RECENT_KEY_SIZE], size_t *len,
                                struct error *error)
{
    struct store_entry entry;
    struct slice before = slice_of_bytes(cursor, *len);
    for (;;) {
        enum error_code code =
            store_table_seek_before(stats->transaction, STORE_TABLE_RECENT, before, &entry, error);
        if (code != ERROR_NONE)
            return code;
        if (entry.key.len == RECENT_KEY_SIZE)
            break;
        before = entry.key;
    }
    memcpy(cursor, entry.key.data, RECENT_KEY_SIZE);
    *len = RECENT_KEY_SIZE;
    return ended_runs_add(stats->transaction, &entry, error);
}

enum error_code ended_runs_continue(struct stats *stats, size_t max, bool *is_done,
                                    struct error *error)
{
    uint8_t cursor[RECENT_KEY_SIZE];
    size_t len;
    enum error_code code = recent_has_ends(stats->transaction, is_done, error);
    if (code != ERROR_NONE || *is_done || max == 0)
        return code;
    code = read_end_progress(stats, cursor, &len, error);
    for (size_t i = 0; i < max && code == ERROR_NONE; i++)
        code = add_next(stats, cursor, &len, error);
    *is_done = code == ERROR_NOT_FOUND;
    if (code == ERROR_NONE && len > 0)
        return store_table_put(stats->transaction, STORE_TABLE_STATS, progress_key(),
                               slice_of_bytes(cursor, len), error);
    if (code == ERROR_NOT_FOUND)
        code = store_table_delete(stats->transaction, STORE_TABLE_STATS, progress_key(), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- finished runs by their ends: reading ---------------------------------------------------------

// The run of an entry. ERROR_NOT_FOUND: it is no longer there, or cannot be read, which is counted.
static enum error_code read_ended_run(struct store_transaction *transaction,
                                      const struct store_entry *ended, struct recent_run *run,
                                      struct error *error)
{
    uint8_t key[RECENT_KEY_SIZE];
    struct store_entry entry = {.key = slice_of_bytes(key, sizeof key)};
    enum error_code code = ERROR_NOT_FOUND;
    if (ended->key.len == RECENT_KEY_SIZE && ended->value.len == 8) {
        memcpy(key, ended->value.data, 8);
        memcpy(key + 8, ended->key.data + 8, TRACE_ID_SIZE);
        code = store_table_get(transaction, STORE_TABLE_RECENT, entry.key, &entry.value, error);
    }
    if (code == ERROR_NONE && recent_read_entry(&entry, run, error) != ERROR_NONE)
        code = ERROR_NOT_FOUND;
    if (code == ERROR_NOT_FOUND)
        store_note_unreadable(transaction);
    return code;
}

enum error_code recent_seek_ended_before(struct store_transaction *transaction,
                                         const struct recent_place *place, struct recent_run *run,
                                         struct error *error)
{
    uint8_t bytes[RECENT_KEY_SIZE];
    struct store_entry entry = {.key = key_of_place(place, bytes)};
    for (;;) {
        enum error_code code =
            store_table_seek_before(transaction, STORE_TABLE_ENDED_RUNS, entry.key, &entry, error);
        if (code != ERROR_NONE)
            return code;
        code = read_ended_run(transaction, &entry, run, error);
        if (code != ERROR_NOT_FOUND)
            return code;
    }
}

// --- open runs: those whose root was not sent -----------------------------------------------------

#define USUAL_KEY_SIZE 16
#define RUN_KEY_SIZE (USUAL_KEY_SIZE + TRACE_ID_SIZE)

// Returns the key's length.
static size_t put_run_key(uint8_t bytes[RUN_KEY_SIZE], const struct stored_run *run)
{
    bytes_put_be64(bytes, (uint64_t)run->run_id);
    bytes_put_be64(bytes + 8, (uint64_t)run->run_attempt);
    memcpy(bytes + USUAL_KEY_SIZE, run->trace.bytes, TRACE_ID_SIZE);
    return stored_run_is_usual(run) ? USUAL_KEY_SIZE : RUN_KEY_SIZE;
}

static bool read_run_key(struct slice key, struct stored_run *run)
{
    if (key.len != USUAL_KEY_SIZE && key.len != RUN_KEY_SIZE)
        return false;
    *run = stored_run_of(SLICE_EMPTY, (int64_t)bytes_get_be64(key.data),
                         (int64_t)bytes_get_be64(key.data + 8));
    if (key.len == RUN_KEY_SIZE)
        memcpy(run->trace.bytes, key.data + USUAL_KEY_SIZE, TRACE_ID_SIZE);
    return true;
}

static bool is_covered(const struct stats *stats, const struct stored_run *run)
{
    const struct store_key key = {
        .trace = run->trace, .span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
    return stats_covers(stats, &key);
}

enum error_code open_runs_put(struct stats *stats, const struct stored_run *run,
                              struct error *error)
{
    uint8_t key[RUN_KEY_SIZE];
    if (!is_covered(stats, run))
        return ERROR_NONE;
    size_t len = put_run_key(key, run);
    return store_table_put(stats->transaction, STORE_TABLE_OPEN_RUNS, slice_of_bytes(key, len),
                           SLICE_EMPTY, error);
}

enum error_code open_runs_delete(struct stats *stats, const struct stored_run *run,
                                 struct error *error)
{
    uint8_t key[RUN_KEY_SIZE];
    if (!is_covered(stats, run))
        return ERROR_NONE;
    size_t len = put_run_key(key, run);
    enum error_code code = store_table_delete(stats->transaction, STORE_TABLE_OPEN_RUNS,
                                              slice_of_bytes(key, len), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// A run has at most a hundred attempts, and few servers share its id.
static enum error_code find_listed(struct store_walk *walk, struct slice prefix,
                                   struct stored_run *run, struct error *error)
{
    struct trace_id trace = run->trace;
    for (;;) {
        struct store_entry entry;
        enum error_code code = store_table_next(walk, &entry, error);
        if (code == ERROR_NONE && !slice_starts_with(entry.key, prefix))
            return ERROR_NOT_FOUND;
        if (code != ERROR_NONE)
            return code;
        if (read_run_key(entry.key, run) && trace_id_equals(&run->trace, &trace))
            return ERROR_NONE;
    }
}

enum error_code open_runs_remove_unreadable(struct stats *stats, const struct stored_run *run,
                                            struct error *error)
{
    uint8_t prefix[8];
    struct store_walk *walk;
    struct stored_run listed = *run;
    bytes_put_be64(prefix, (uint64_t)run->run_id);
    struct slice from = slice_of_bytes(prefix, sizeof prefix);
    enum error_code code =
        store_table_walk(stats->transaction, STORE_TABLE_OPEN_RUNS, from, &walk, error);
    if (code != ERROR_NONE)
        return code;
    code = find_listed(walk, from, &listed, error);
    store_table_end_walk(walk);
    if (code == ERROR_NONE)
        code = open_runs_delete(stats, &listed, error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

uint64_t open_runs_count(struct store_transaction *transaction)
{
    return store_table_count(transaction, STORE_TABLE_OPEN_RUNS);
}

enum error_code open_runs_seek_older(struct store_transaction *transaction, struct stored_run *run,
                                     struct error *error)
{
    uint8_t bytes[RUN_KEY_SIZE];
    struct store_entry entry;
    bool is_first = run->run_id == 0 && run->run_attempt == 0;
    size_t len = put_run_key(bytes, run);
    entry.key = slice_of_bytes(bytes, is_first ? 0 : len);
    for (;;) {
        enum error_code code =
            store_table_seek_before(transaction, STORE_TABLE_OPEN_RUNS, entry.key, &entry, error);
        if (code != ERROR_NONE)
            return code;
        if (read_run_key(entry.key, run))
            return ERROR_NONE;
        store_note_unreadable(transaction);
    }
}

// --- servers --------------------------------------------------------------------------------------

#define SERVER_PREFIX SLICE("server:")
#define SERVER_KEY_MAX 511

static bool is_known_server(const struct stats *stats, const uint8_t hash[HASH_SIZE])
{
    for (size_t i = 0; i < KNOWN_SERVERS; i++)
        if (memcmp(stats->known_servers[i], hash, HASH_SIZE) == 0)
            return true;
    return false;
}

static void add_known_server(struct stats *stats, const uint8_t hash[HASH_SIZE])
{
    memcpy(stats->known_servers[stats->next_server], hash, HASH_SIZE);
    stats->next_server = (stats->next_server + 1) % KNOWN_SERVERS;
}

enum error_code servers_note(struct stats *stats, struct slice server, struct error *error)
{
    char bytes[SERVER_KEY_MAX];
    uint8_t hash[HASH_SIZE];
    struct slice found;
    if (server.len == 0 || server.len > sizeof bytes - SERVER_PREFIX.len)
        return ERROR_NONE;
    stats_hash(server, hash);
    if (is_known_server(stats, hash))
        return ERROR_NONE;
    memcpy(bytes, SERVER_PREFIX.data, SERVER_PREFIX.len);
    memcpy(bytes + SERVER_PREFIX.len, server.data, server.len);
    struct slice key = {bytes, SERVER_PREFIX.len + server.len};
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_STATS, key, &found, error);
    // If the transaction is aborted, a server that it added is removed again.
    if (code == ERROR_NONE && !stats->has_new_server)
        add_known_server(stats, hash);
    if (code != ERROR_NOT_FOUND)
        return code;
    if (store_table_count(stats->transaction, STORE_TABLE_STATS) >= SERVERS_MAX + STATS_OWN_KEYS) {
        add_known_server(stats, hash);
        return ERROR_NONE;
    }
    stats->has_new_server = true;
    return store_table_put(stats->transaction, STORE_TABLE_STATS, key, SLICE_EMPTY, error);
}

enum error_code servers_list(struct store_transaction *transaction, struct arena *arena,
                             struct slice servers[SERVERS_MAX], size_t *count, struct error *error)
{
    struct store_walk *walk;
    struct store_entry entry;
    *count = 0;
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_STATS, SERVER_PREFIX, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (*count < SERVERS_MAX && (code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        if (!slice_starts_with(entry.key, SERVER_PREFIX))
            continue;
        struct slice name = {entry.key.data + SERVER_PREFIX.len, entry.key.len - SERVER_PREFIX.len};
        if (!arena_copy_slice(arena, name, &servers[*count])) {
            code = error_set(error, ERROR_MEMORY, "list servers: out of memory");
            break;
        }
        (*count)++;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
