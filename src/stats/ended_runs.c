// The list of finished runs by their ends (runs.h).
#include <string.h>

#include "ghatrace/stats/runs.h"
#include "private.h"

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

enum error_code ended_runs_add(struct store_transaction *transaction,
                               const struct store_entry *entry, struct error *error)
{
    uint8_t key[RECENT_KEY_SIZE], at[8];
    if (!end_key_of(entry, key))
        return ERROR_NONE;
    memcpy(at, entry->key.data, sizeof at);
    return store_table_put(transaction, STORE_TABLE_ENDED_RUNS, slice_of_bytes(key, sizeof key),
                           slice_of_bytes(at, sizeof at), error);
}

enum error_code ended_runs_remove(struct store_transaction *transaction,
                                  const struct store_entry *entry, struct error *error)
{
    uint8_t key[RECENT_KEY_SIZE];
    if (!end_key_of(entry, key))
        return ERROR_NONE;
    enum error_code code = store_table_delete(transaction, STORE_TABLE_ENDED_RUNS,
                                              slice_of_bytes(key, sizeof key), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- filling it for a store of an older version -------------------------------------------------------------

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

// --- reading ----------------------------------------------------------------------------------------------------

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
    static const struct recent_place none;
    bool is_first = memcmp(place, &none, sizeof none) == 0;
    uint8_t bytes[RECENT_KEY_SIZE];
    struct store_entry entry;
    recent_write_key(bytes, place);
    entry.key = slice_of_bytes(bytes, is_first ? 0 : sizeof bytes);
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
