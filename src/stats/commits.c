// The runs of a commit.
#include "ghatrace/stats/commits.h"

#include <assert.h>
#include <string.h>

#include "ghatrace/store/codec.h"
#include "ghatrace/trace/spans.h"
#include "private.h"

// --- keys -----------------------------------------------------------------------------------------

#define RUN_SIZE 16
#define KEY_SIZE_MAX (1 + COMMIT_ID_SHA256_SIZE + RUN_SIZE + TRACE_ID_SIZE)

struct commit_key {
    uint8_t bytes[KEY_SIZE_MAX];
    size_t len;
};

static struct slice slice_of_key(const struct commit_key *key)
{
    return slice_of_bytes(key->bytes, key->len);
}

// What the keys of all runs of a commit begin with.
static void begin_commit_key(struct commit_key *key, const struct commit_id *commit)
{
    assert(commit->size == COMMIT_ID_SHA1_SIZE || commit->size == COMMIT_ID_SHA256_SIZE);
    key->bytes[0] = commit->size;
    memcpy(key->bytes + 1, commit->bytes, commit->size);
    key->len = 1 + (size_t)commit->size;
}

static void put_commit_key(struct commit_key *key, const struct commit_id *commit,
                           const struct stored_run *run)
{
    begin_commit_key(key, commit);
    bytes_put_be64(key->bytes + key->len, (uint64_t)run->run_id);
    bytes_put_be64(key->bytes + key->len + 8, (uint64_t)run->run_attempt);
    key->len += RUN_SIZE;
    if (stored_run_is_usual(run))
        return;
    memcpy(key->bytes + key->len, run->trace.bytes, TRACE_ID_SIZE);
    key->len += TRACE_ID_SIZE;
}

// The first key behind those that begin with these bytes. False: there can be none.
static bool skip_prefix(struct commit_key *key)
{
    while (key->len > 0) {
        if (++key->bytes[key->len - 1] != 0)
            return true;
        key->len--;
    }
    return false;
}

static bool read_commit(struct slice key, struct commit_id *commit)
{
    *commit = (struct commit_id){.size = key.len > 0 ? (uint8_t)key.data[0] : 0};
    if ((commit->size != COMMIT_ID_SHA1_SIZE && commit->size != COMMIT_ID_SHA256_SIZE) ||
        key.len < 1 + (size_t)commit->size)
        return false;
    memcpy(commit->bytes, key.data + 1, commit->size);
    return true;
}

static bool read_run_of_commit(struct slice key, struct stored_run *run)
{
    struct commit_id commit;
    if (!read_commit(key, &commit))
        return false;
    const char *rest = key.data + 1 + commit.size;
    size_t len = key.len - 1 - commit.size;
    if (len != RUN_SIZE && len != RUN_SIZE + TRACE_ID_SIZE)
        return false;
    *run = stored_run_of(SLICE_EMPTY, (int64_t)bytes_get_be64(rest),
                         (int64_t)bytes_get_be64(rest + 8));
    if (len > RUN_SIZE)
        memcpy(run->trace.bytes, rest + RUN_SIZE, TRACE_ID_SIZE);
    return true;
}

// --- writing --------------------------------------------------------------------------------------

enum error_code commits_put(struct store_transaction *transaction, const struct commit_id *commit,
                            const struct stored_run *run, struct error *error)
{
    struct commit_key key;
    struct slice found;
    if (commit->size == 0)
        return ERROR_NONE;
    put_commit_key(&key, commit, run);
    // A write of what is there already would still write its page.
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_COMMITS, slice_of_key(&key), &found, error);
    return code == ERROR_NOT_FOUND ? store_table_put(transaction, STORE_TABLE_COMMITS,
                                                     slice_of_key(&key), SLICE_EMPTY, error)
                                   : code;
}

enum error_code commits_delete(struct store_transaction *transaction,
                               const struct commit_id *commit, const struct stored_run *run,
                               struct error *error)
{
    struct commit_key key;
    if (commit->size == 0)
        return ERROR_NONE;
    put_commit_key(&key, commit, run);
    enum error_code code =
        store_table_delete(transaction, STORE_TABLE_COMMITS, slice_of_key(&key), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code commits_finish_run(struct store_transaction *transaction,
                                   const struct trace_id *trace, const struct run_sample *measure,
                                   struct error *error)
{
    const struct stored_run run = {measure->run_id, measure->run_attempt, *trace};
    struct recent_run earlier;
    enum error_code code = recent_find(transaction, trace, &earlier, error);
    if (code == ERROR_NONE && !commit_id_equals(&earlier.measure.commit, &measure->commit))
        code = commits_delete(transaction, &earlier.measure.commit, &run, error);
    return code == ERROR_NONE || code == ERROR_NOT_FOUND
               ? commits_put(transaction, &measure->commit, &run, error)
               : code;
}

enum error_code commits_forget_run(struct store_transaction *transaction,
                                   const struct trace_id *trace, struct error *error)
{
    struct recent_run found;
    enum error_code code = recent_find(transaction, trace, &found, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    const struct stored_run run = recent_stored_run(&found);
    return commits_delete(transaction, &found.measure.commit, &run, error);
}

// --- reading --------------------------------------------------------------------------------------

uint64_t commits_count(struct store_transaction *transaction)
{
    return store_table_count(transaction, STORE_TABLE_COMMITS);
}

enum error_code commits_seek_older(struct store_transaction *transaction,
                                   const struct commit_id *commit, struct stored_run *run,
                                   struct error *error)
{
    struct commit_key prefix, before;
    struct store_entry entry;
    begin_commit_key(&prefix, commit);
    begin_commit_key(&before, commit);
    if (run->run_id == 0 && run->run_attempt == 0)
        (void)skip_prefix(&before); // there is one: the first byte is a size
    else
        put_commit_key(&before, commit, run);
    entry.key = slice_of_key(&before);
    for (;;) {
        enum error_code code =
            store_table_seek_before(transaction, STORE_TABLE_COMMITS, entry.key, &entry, error);
        if (code != ERROR_NONE)
            return code;
        if (!slice_starts_with(entry.key, slice_of_key(&prefix)))
            return ERROR_NOT_FOUND;
        if (read_run_of_commit(entry.key, run))
            return ERROR_NONE;
        store_note_unreadable(transaction);
    }
}

// The first commit with these digits at or after the key, whose first byte is the size of the ids looked for.
static enum error_code seek_commit(struct store_transaction *transaction,
                                   const struct commit_prefix *prefix, const struct commit_key *key,
                                   struct commit_id *commit, struct error *error)
{
    struct store_entry entry;
    enum error_code code =
        store_table_seek(transaction, STORE_TABLE_COMMITS, slice_of_key(key), &entry, error);
    if (code != ERROR_NONE)
        return code;
    bool has_digits = read_commit(entry.key, commit) && commit->size == key->bytes[0] &&
                      commit_prefix_has(prefix, commit);
    return has_digits ? ERROR_NONE : ERROR_NOT_FOUND;
}

static enum error_code seek_first_of_size(struct store_transaction *transaction,
                                          const struct commit_prefix *prefix, uint8_t size,
                                          struct commit_id *commit, struct error *error)
{
    struct commit_id first = {.size = size};
    struct commit_key key;
    if (prefix->digits > 2 * (size_t)size)
        return ERROR_NOT_FOUND;
    memcpy(first.bytes, prefix->bytes, size);
    begin_commit_key(&key, &first);
    return seek_commit(transaction, prefix, &key, commit, error);
}

enum error_code commits_seek(struct store_transaction *transaction,
                             const struct commit_prefix *prefix, struct commit_id *commit,
                             struct error *error)
{
    struct commit_key key;
    uint8_t size = commit->size;
    enum error_code code = ERROR_NOT_FOUND;
    if (size == 0) {
        code = seek_first_of_size(transaction, prefix, COMMIT_ID_SHA1_SIZE, commit, error);
    } else {
        begin_commit_key(&key, commit);
        if (skip_prefix(&key))
            code = seek_commit(transaction, prefix, &key, commit, error);
    }
    if (code == ERROR_NOT_FOUND && size != COMMIT_ID_SHA256_SIZE)
        code = seek_first_of_size(transaction, prefix, COMMIT_ID_SHA256_SIZE, commit, error);
    return code;
}

// --- a store of an older version ------------------------------------------------------------------

#define STATE_KEY_SIZE (TRACE_ID_SIZE + SPAN_ID_SIZE)
_Static_assert(RECENT_KEY_SIZE == STATE_KEY_SIZE, "a position has one size");
#define POSITION_SIZE (2 + RECENT_KEY_SIZE)

enum { PASS_FINISHED = 1, PASS_OPEN, PASS_OVER };

struct position {
    int pass;
    uint8_t key[RECENT_KEY_SIZE]; // all zero: at the begin
};

static struct slice position_key(void)
{
    return SLICE("commits");
}

static enum error_code read_position(struct store_transaction *transaction,
                                     struct position *position, struct error *error)
{
    struct slice found;
    *position = (struct position){.pass = PASS_FINISHED};
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_STATS, position_key(), &found, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    if (found.len == 1 && found.data[0] == 1)
        position->pass = PASS_OVER;
    // Of anything else it begins again: what is there already is no error.
    if (found.len != POSITION_SIZE || found.data[0] != 1 ||
        (found.data[1] != PASS_FINISHED && found.data[1] != PASS_OPEN))
        return ERROR_NONE;
    position->pass = found.data[1];
    memcpy(position->key, found.data + 2, sizeof position->key);
    return ERROR_NONE;
}

static enum error_code write_position(struct stats *stats, const struct position *position,
                                      struct error *error)
{
    uint8_t bytes[POSITION_SIZE] = {1, (uint8_t)position->pass};
    memcpy(bytes + 2, position->key, sizeof position->key);
    size_t len = position->pass == PASS_OVER ? 1 : sizeof bytes;
    return store_table_put(stats->transaction, STORE_TABLE_STATS, position_key(),
                           slice_of_bytes(bytes, len), error);
}

enum error_code commits_are_complete(struct store_transaction *transaction, bool *are_complete,
                                     struct error *error)
{
    struct position position;
    enum error_code code = read_position(transaction, &position, error);
    *are_complete = code == ERROR_NONE && position.pass == PASS_OVER;
    return code;
}

// The commit that the record of a run's root names; none if there is no such record, or it cannot be read.
static enum error_code commit_of_record(struct stats *stats, const struct stored_run *run,
                                        struct commit_id *commit, struct error *error)
{
    struct span_batch batch;
    *commit = (struct commit_id){.size = 0};
    enum error_code code =
        recent_read_root(stats->transaction, run, &stats->scratch, &batch, error);
    if (code == ERROR_NONE)
        *commit = commit_id_of(attributes_get_string(&batch.resource, "vcs.ref.head.revision"));
    return code == ERROR_NOT_FOUND || code == ERROR_CORRUPT ? ERROR_NONE : code;
}

// ERROR_NOT_FOUND: there are no more.
static enum error_code add_next_finished(struct stats *stats, struct position *position,
                                         struct error *error)
{
    const struct recent_place place = recent_place_of(position->key);
    struct recent_run found;
    enum error_code code = recent_seek_older(stats->transaction, &place, &found, error);
    if (code != ERROR_NONE)
        return code;
    recent_write_key(position->key, &found.place);
    const struct stored_run run = recent_stored_run(&found);
    if (found.measure.commit.size == 0)
        code = commit_of_record(stats, &run, &found.measure.commit, error);
    // With its commit, by which it is found when it is dropped.
    return code == ERROR_NONE && found.measure.commit.size > 0
               ? recent_put(stats, &found.place, &found.measure, error)
               : code;
}

static enum error_code add_open(struct stats *stats, const struct store_key *key,
                                struct slice bytes, struct error *error)
{
    struct run_state state;
    enum error_code code = codec_decode_run(bytes, &stats->scratch, &state, error);
    if (code != ERROR_NONE || state.phase != RUN_OPEN)
        return code == ERROR_CORRUPT ? ERROR_NONE : code;
    const struct stored_run run = {state.run_id, state.run_attempt, key->trace};
    const struct commit_id commit = commit_id_of(run_names_of(&state).revision);
    return commits_put(stats->transaction, &commit, &run, error);
}

// ERROR_NOT_FOUND: there are no more.
static enum error_code add_next_open(struct stats *stats, struct position *position,
                                     struct error *error)
{
    struct store_key key;
    struct slice found, bytes;
    memcpy(key.trace.bytes, position->key, TRACE_ID_SIZE);
    memcpy(key.span.bytes, position->key + TRACE_ID_SIZE, SPAN_ID_SIZE);
    enum error_code code = store_seek_span(stats->transaction, &key, &found, error);
    if (code != ERROR_NONE)
        return code;
    struct store_key next = key;
    store_key_increment(&next);
    memcpy(position->key, next.trace.bytes, TRACE_ID_SIZE);
    memcpy(position->key + TRACE_ID_SIZE, next.span.bytes, SPAN_ID_SIZE);
    if (!codec_is(found, CODEC_RUN))
        return ERROR_NONE;
    return arena_copy_slice(&stats->scratch, found, &bytes)
               ? add_open(stats, &key, bytes, error)
               : error_set(error, ERROR_MEMORY, "list the runs of commits: out of memory");
}

enum error_code commits_continue(struct stats *stats, size_t max, bool *is_done,
                                 struct error *error)
{
    struct position position;
    enum error_code code = read_position(stats->transaction, &position, error);
    bool was_over = position.pass == PASS_OVER;
    for (size_t i = 0; i < max && code == ERROR_NONE && position.pass != PASS_OVER; i++) {
        arena_clear(&stats->scratch);
        code = position.pass == PASS_FINISHED ? add_next_finished(stats, &position, error)
                                              : add_next_open(stats, &position, error);
        if (code == ERROR_NOT_FOUND) {
            position = (struct position){.pass = position.pass + 1};
            code = ERROR_NONE;
        }
    }
    if (code == ERROR_NONE && !was_over && max > 0)
        code = write_position(stats, &position, error);
    *is_done = code == ERROR_NONE && position.pass == PASS_OVER;
    return code;
}
