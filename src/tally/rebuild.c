// The tables of what is open, made from the states.
#include "ghatrace/tally/rebuild.h"

#include "ghatrace/store/codec.h"
#include "ghatrace/tally/open_runs.h"
#include "ghatrace/tally/servers.h"
#include "private.h"

#define CURSOR_SIZE (TRACE_ID_SIZE + SPAN_ID_SIZE)
#define VERSION_SIZE 4

static const uint8_t our_version[VERSION_SIZE] = {0, 0, 0, TALLY_VERSION};
static const uint8_t version_1[VERSION_SIZE] = {0, 0, 0, 1};

static struct slice version_key(void)
{
    return SLICE("version");
}

static struct slice cursor_key(void)
{
    return SLICE("cursor");
}

// --- progress, as it is stored -----------------------------------------------------------------------------

static enum error_code read_version(struct store_transaction *transaction, bool *is_ours,
                                    bool *is_version_1, struct error *error)
{
    struct slice found;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_TALLY, version_key(), &found, error);
    *is_ours =
        code == ERROR_NONE && slice_equals(found, slice_of_bytes(our_version, sizeof our_version));
    *is_version_1 =
        code == ERROR_NONE && slice_equals(found, slice_of_bytes(version_1, sizeof version_1));
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// ERROR_NOT_FOUND: nothing is being walked.
static enum error_code read_cursor(struct store_transaction *transaction, struct store_key *cursor,
                                   bool *is_damaged, struct error *error)
{
    struct slice found;
    *is_damaged = false;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_TALLY, cursor_key(), &found, error);
    if (code != ERROR_NONE)
        return code;
    *is_damaged = found.len != CURSOR_SIZE;
    if (*is_damaged)
        return ERROR_NONE;
    memcpy(cursor->trace.bytes, found.data, TRACE_ID_SIZE);
    memcpy(cursor->span.bytes, found.data + TRACE_ID_SIZE, SPAN_ID_SIZE);
    return ERROR_NONE;
}

static enum error_code write_cursor(struct tally *tally, struct error *error)
{
    uint8_t bytes[CURSOR_SIZE];
    memcpy(bytes, tally->cursor.trace.bytes, TRACE_ID_SIZE);
    memcpy(bytes + TRACE_ID_SIZE, tally->cursor.span.bytes, SPAN_ID_SIZE);
    return store_table_put(tally->transaction, STORE_TABLE_TALLY, cursor_key(),
                           slice_of_bytes(bytes, sizeof bytes), error);
}

enum error_code rebuild_is_done(struct store_transaction *transaction, bool *is_done,
                                struct error *error)
{
    struct store_key cursor;
    *is_done = false;
    bool is_ours, is_version_1;
    bool is_damaged;
    enum error_code code = read_version(transaction, &is_ours, &is_version_1, error);
    if (code != ERROR_NONE || !is_ours)
        return code;
    code = read_cursor(transaction, &cursor, &is_damaged, error);
    *is_done = code == ERROR_NOT_FOUND;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Of what is open, all of it is counted anew, whatever the version. Other figures of an unknown version are of no use
// to this one. The quarantine holds no figures.
static enum error_code begin(struct tally *tally, bool is_version_1, struct error *error)
{
    enum error_code code = is_version_1 ? tally_upgrade(tally, error) : ERROR_NONE;
    for (int table = 0; table < STORE_TABLE_COUNT && code == ERROR_NONE; table++) {
        bool is_of_open = table == STORE_TABLE_OPEN_JOBS || table == STORE_TABLE_OPEN_RUNS;
        if (table != STORE_TABLE_QUARANTINE && (!is_version_1 || is_of_open))
            code = store_table_clear(tally->transaction, (enum store_table)table, error);
    }
    memset(tally->known_servers, 0, sizeof tally->known_servers);
    tally->cursor = (struct store_key){.trace = {{0}}};
    if (code == ERROR_NONE)
        code = write_cursor(tally, error);
    if (code == ERROR_NONE)
        code = store_table_put(tally->transaction, STORE_TABLE_TALLY, version_key(),
                               slice_of_bytes(our_version, sizeof our_version), error);
    return code;
}

static enum error_code finish(struct tally *tally, struct error *error)
{
    tally->is_rebuilding = false;
    enum error_code code =
        store_table_delete(tally->transaction, STORE_TABLE_TALLY, cursor_key(), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Where the walk stands, as of this transaction: one before it may have been aborted.
static enum error_code look_up_progress(struct tally *tally, struct error *error)
{
    bool is_ours, is_version_1;
    bool is_damaged = false;
    enum error_code code = read_version(tally->transaction, &is_ours, &is_version_1, error);
    if (code == ERROR_NONE && !is_ours)
        code = begin(tally, is_version_1, error);
    if (code == ERROR_NONE)
        code = read_cursor(tally->transaction, &tally->cursor, &is_damaged, error);
    if (is_damaged) // what was counted so far cannot be told from what was not
        code = begin(tally, false, error);
    tally->is_rebuilding = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- the walk --------------------------------------------------------------------------------------------

// A state that cannot be read, for the reason in `error`.
static enum error_code set_aside(struct tally *tally, const struct store_key *key,
                                 struct error *error)
{
    struct error reason = *error;
    return store_set_span_aside(tally->transaction, key, slice_from_string(reason.message), error);
}

static enum error_code take_job(struct tally *tally, const struct store_key *key,
                                struct slice bytes, struct error *error)
{
    static const struct pool_place nowhere;
    struct job_state job;
    struct pool_place place;
    enum error_code code = codec_decode_job(bytes, &tally->scratch, &job, error);
    if (code == ERROR_CORRUPT)
        return set_aside(tally, key, error);
    if (code != ERROR_NONE)
        return code;
    code = pool_place_job(&job, &tally->scratch, &place);
    if (code != ERROR_NONE)
        return error_set(error, code, "count open jobs: %s", error_code_text(code));
    return pool_move_job(tally, key, &nowhere, &place, error);
}

static enum error_code take_run(struct tally *tally, const struct store_key *key,
                                struct slice bytes, struct error *error)
{
    struct run_state state;
    enum error_code code = codec_decode_run(bytes, &tally->scratch, &state, error);
    if (code == ERROR_CORRUPT)
        return set_aside(tally, key, error);
    if (code == ERROR_NONE)
        code = servers_note(tally, state.server, error);
    if (code != ERROR_NONE || state.phase != RUN_OPEN)
        return code;
    const struct stored_run run = {state.run_id, state.run_attempt, key->trace};
    return open_runs_put(tally, &run, error);
}

// The cursor is behind this state already, so that it is covered.
static enum error_code take_state(struct tally *tally, const struct store_key *key,
                                  struct slice found, struct error *error)
{
    struct slice bytes;
    enum codec_kind kind;
    arena_clear(&tally->scratch);
    if (!codec_kind_of(found, &kind)) {
        error_set(error, ERROR_CORRUPT, "a stored span is neither job nor run");
        return set_aside(tally, key, error);
    }
    if (!arena_copy_slice(&tally->scratch, found, &bytes))
        return error_set(error, ERROR_MEMORY, "count what is open: out of memory");
    return kind == CODEC_JOB ? take_job(tally, key, bytes, error)
                             : take_run(tally, key, bytes, error);
}

enum error_code rebuild_continue(struct tally *tally, size_t max, bool *is_done,
                                 struct error *error)
{
    enum error_code code = look_up_progress(tally, error);
    for (size_t i = 0; i < max && code == ERROR_NONE && tally->is_rebuilding; i++) {
        struct store_key key = tally->cursor;
        struct slice found;
        code = store_seek_span(tally->transaction, &key, &found, error);
        if (code == ERROR_NOT_FOUND) {
            code = finish(tally, error);
            break;
        }
        if (code != ERROR_NONE)
            break;
        tally->cursor = key;
        store_key_increment(&tally->cursor);
        code = take_state(tally, &key, found, error);
    }
    if (code == ERROR_NONE && tally->is_rebuilding && max > 0)
        code = write_cursor(tally, error);
    *is_done = code == ERROR_NONE && !tally->is_rebuilding;
    return code;
}
