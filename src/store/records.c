// Records that wait to be exported, the history, dead letters.
#include <assert.h>

#include "ghatrace/base/heartbeat.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/store/table.h"
#include "lmdb.h"

// --- finished spans: records, outbox, quarantine, history -----------------------------------------

#define RECORD_HEADER_SIZE (TIME_SIZE + KEY_SIZE)
#define SIZE_SIZE 4
#define REASON_MAX 512
// A larger sequence is damaged; no store reaches it.
#define SEQUENCE_END (UINT64_MAX - UINT32_MAX)
// How far to look ahead from a record with an impossible time.
#define LOOK_AHEAD 16

// Sequences only increase, so the record is appended; and it is written in place.
static int put_last(struct store_transaction *transaction, uint64_t sequence, size_t size,
                    uint8_t **bytes)
{
    uint8_t key[SEQUENCE_SIZE];
    MDB_val k = lmdb_value(lmdb_put_sequence(key, sequence));
    MDB_val v = {.mv_size = size};
    heartbeat_beat();
    int code = mdb_put(transaction->txn, transaction->store->databases[DATABASE_RECORDS], &k, &v,
                       MDB_RESERVE | MDB_APPEND);
    *bytes = v.mv_data;
    return code;
}

// The last used sequence in `meta`, or a record's key, is damaged: the sequence becomes one more than that of the
// last record.
static enum error_code repair_sequence(struct store_transaction *transaction, struct error *error)
{
    for (;;) {
        struct slice found;
        struct slice data;
        enum error_code code = lmdb_last_sound(
            &(struct lmdb_op){transaction, DATABASE_RECORDS, "seek last record", error}, &found,
            &data);
        if (code == ERROR_NOT_FOUND) {
            transaction->sequence = 1;
            return ERROR_NONE;
        }
        if (code != ERROR_NONE)
            return code;
        uint64_t last = lmdb_get_be64(found.data);
        if (last < SEQUENCE_END) {
            transaction->sequence = last + 1;
            return ERROR_NONE;
        }
        code = lmdb_set_aside(transaction, DATABASE_RECORDS, found, SLICE("impossible sequence"),
                              error);
        if (code != ERROR_NONE)
            return code;
    }
}

// Sets the sequence of the record.
static enum error_code append_new_record(struct store_transaction *transaction,
                                         struct store_record *record, struct error *error)
{
    const size_t size = RECORD_HEADER_SIZE + record->body.len;
    uint8_t *bytes = NULL;
    int code = MDB_KEYEXIST;
    assert(transaction->is_write);
    if (transaction->sequence < SEQUENCE_END) {
        record->sequence = ++transaction->sequence;
        code = put_last(transaction, record->sequence, size, &bytes);
    }
    if (code == MDB_KEYEXIST) {
        enum error_code repaired = repair_sequence(transaction, error);
        if (repaired != ERROR_NONE)
            return repaired;
        record->sequence = transaction->sequence;
        code = put_last(transaction, record->sequence, size, &bytes);
    }
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "put record", error);
    lmdb_put_be64(bytes, (uint64_t)record->finished_at);
    lmdb_put_key(bytes + TIME_SIZE, &record->key);
    memcpy(bytes + RECORD_HEADER_SIZE, record->body.data, record->body.len);
    return ERROR_NONE;
}

static enum error_code put_in_outbox(struct store_transaction *transaction, uint64_t sequence,
                                     size_t size, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    const uint8_t bytes[SIZE_SIZE] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16),
                                      (uint8_t)(size >> 8), (uint8_t)size};
    transaction->outbox_bytes += size;
    transaction->outbox_changed = true;
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_OUTBOX, "put in outbox", error},
                    lmdb_put_sequence(key, sequence), slice_of_bytes(bytes, sizeof bytes));
}

enum error_code store_add_record(struct store_transaction *transaction, struct store_record *record,
                                 bool to_outbox, struct error *error)
{
    uint8_t key[KEY_SIZE];
    uint8_t sequence[SEQUENCE_SIZE];
    transaction->sequence_changed = true;
    enum error_code code = append_new_record(transaction, record, error);
    if (code == ERROR_NONE && to_outbox)
        code = put_in_outbox(transaction, record->sequence, record->body.len, error);
    if (code != ERROR_NONE)
        return code;
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_HISTORY, "put in history", error},
                    lmdb_put_key(key, &record->key), lmdb_put_sequence(sequence, record->sequence));
}

// --- records of other programs' spans ---------------------------------------------------------

// Those in the outbox are entries of STORE_TABLE_FORWARDED and not of DATABASE_OUTBOX, so that a search for our own
// records does not walk over them. Those that are dead letters are in DATABASE_DEAD and in STORE_TABLE_FORWARDED_DEAD.
#define FORWARDED_SIZE 8 // be32 size ‖ be32 spans

bool store_is_forwarded(const struct store_record *record)
{
    static const struct span_id none;
    return memcmp(&record->key.span, &none, sizeof none) == 0;
}

// An entry of STORE_TABLE_FORWARDED or STORE_TABLE_FORWARDED_DEAD.
struct forwarded {
    uint64_t sequence;
    uint64_t size; // of the record's body
    uint32_t spans;
};

static uint64_t *forwarded_sum(struct store_transaction *transaction, enum store_table table)
{
    return table == STORE_TABLE_FORWARDED ? &transaction->forwarded_bytes
                                          : &transaction->forwarded_dead_bytes;
}

static uint64_t forwarded_bytes_in(struct store_transaction *transaction, enum store_table table)
{
    return store_table_count(transaction, table) == 0 ? 0 // resets any effect of a damaged sum
                                                      : *forwarded_sum(transaction, table);
}

uint64_t store_forwarded_bytes(struct store_transaction *transaction)
{
    return forwarded_bytes_in(transaction, STORE_TABLE_FORWARDED);
}

uint64_t store_forwarded_dead_bytes(struct store_transaction *transaction)
{
    return forwarded_bytes_in(transaction, STORE_TABLE_FORWARDED_DEAD);
}

static void subtract(uint64_t *sum, uint64_t size)
{
    *sum -= size < *sum ? size : *sum;
}

static enum error_code list_forwarded(struct store_transaction *transaction, enum store_table table,
                                      const struct forwarded *forwarded, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    uint8_t value[FORWARDED_SIZE];
    lmdb_put_be64(value, forwarded->size << 32 | forwarded->spans);
    *forwarded_sum(transaction, table) = forwarded_bytes_in(transaction, table) + forwarded->size;
    transaction->forwarded_changed = true;
    return store_table_put(transaction, table, lmdb_put_sequence(key, forwarded->sequence),
                           slice_of_bytes(value, sizeof value), error);
}

// Sets its size and number of spans; 0 spans: it was not listed there.
static enum error_code unlist_forwarded(struct store_transaction *transaction,
                                        enum store_table table, struct forwarded *forwarded,
                                        struct error *error)
{
    uint8_t bytes[SEQUENCE_SIZE];
    const struct slice key = lmdb_put_sequence(bytes, forwarded->sequence);
    struct slice found;
    forwarded->size = forwarded->spans = 0;
    if (store_table_count(transaction, table) == 0)
        return ERROR_NONE;
    enum error_code code = store_table_get(transaction, table, key, &found, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    uint64_t value = found.len == FORWARDED_SIZE ? lmdb_get_be64(found.data) : 1;
    forwarded->size = value >> 32;
    forwarded->spans = (uint32_t)value > 0 ? (uint32_t)value : 1;
    subtract(forwarded_sum(transaction, table), forwarded->size);
    transaction->forwarded_changed = true;
    return store_table_delete(transaction, table, key, error);
}

static enum error_code put_forwarded_in_outbox(struct store_transaction *transaction,
                                               const struct forwarded *forwarded,
                                               struct error *error)
{
    transaction->outbox_bytes += forwarded->size;
    transaction->outbox_changed = true;
    return list_forwarded(transaction, STORE_TABLE_FORWARDED, forwarded, error);
}

// Takes it out of the outbox. `*spans`: how many it has; 0: it was not there.
static enum error_code take_forwarded(struct store_transaction *transaction, uint64_t sequence,
                                      uint32_t *spans, struct error *error)
{
    struct forwarded forwarded = {.sequence = sequence};
    enum error_code code = unlist_forwarded(transaction, STORE_TABLE_FORWARDED, &forwarded, error);
    *spans = forwarded.spans;
    if (forwarded.spans == 0)
        return code;
    subtract(&transaction->outbox_bytes, forwarded.size);
    transaction->outbox_changed = true;
    return code;
}

static enum error_code recount_forwarded(struct store_transaction *transaction,
                                         enum store_table table, struct error *error)
{
    uint64_t *bytes = forwarded_sum(transaction, table);
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code = store_table_walk(transaction, table, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    *bytes = 0;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE)
        *bytes += entry.value.len == FORWARDED_SIZE ? lmdb_get_be64(entry.value.data) >> 32 : 0;
    store_table_end_walk(walk);
    transaction->forwarded_changed = true;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code store_check_forwarded_sum(struct store_transaction *transaction,
                                          struct error *error)
{
    enum error_code code = ERROR_NONE;
    if (store_forwarded_bytes(transaction) > transaction->outbox_bytes)
        code = recount_forwarded(transaction, STORE_TABLE_FORWARDED, error);
    if (code == ERROR_NONE &&
        store_forwarded_dead_bytes(transaction) > store_dead_letter_bytes(transaction))
        code = recount_forwarded(transaction, STORE_TABLE_FORWARDED_DEAD, error);
    return code;
}

enum error_code store_add_forwarded(struct store_transaction *transaction,
                                    struct store_record *record, uint32_t spans,
                                    struct error *error)
{
    record->key.span = (struct span_id){{0}};
    transaction->sequence_changed = true;
    enum error_code code = append_new_record(transaction, record, error);
    const struct forwarded forwarded = {record->sequence, record->body.len, spans};
    return code == ERROR_NONE ? put_forwarded_in_outbox(transaction, &forwarded, error) : code;
}

static void unpack_record(uint64_t sequence, struct slice bytes, struct store_record *record)
{
    record->sequence = sequence;
    record->finished_at = (timestamp_ns)lmdb_get_be64(bytes.data);
    lmdb_get_key(bytes.data + TIME_SIZE, &record->key);
    record->body = (struct slice){bytes.data + RECORD_HEADER_SIZE, bytes.len - RECORD_HEADER_SIZE};
}

// A truncated record counts as missing.
static enum error_code pass_over_record(struct store_transaction *transaction, struct slice key,
                                        struct error *error)
{
    if (!transaction->is_write) {
        store_note_unreadable(transaction);
        return ERROR_NOT_FOUND;
    }
    enum error_code code =
        lmdb_set_aside(transaction, DATABASE_RECORDS, key, SLICE("cut short"), error);
    return code == ERROR_NONE ? ERROR_NOT_FOUND : code;
}

enum error_code store_get_record(struct store_transaction *transaction, uint64_t sequence,
                                 struct store_record *record, struct error *error)
{
    uint8_t bytes[SEQUENCE_SIZE];
    const struct slice key = lmdb_put_sequence(bytes, sequence);
    struct slice data;
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_RECORDS, "get record", error}, key, &data);
    if (code != ERROR_NONE)
        return code;
    if (!lmdb_value_has_shape(DATABASE_RECORDS, data.len))
        return pass_over_record(transaction, key, error);
    unpack_record(sequence, data, record);
    return ERROR_NONE;
}

// In a database with sequences as keys: sets `*sequence` to the one found.
static enum error_code seek_sequence(const struct lmdb_op *op, uint64_t *sequence,
                                     struct slice *data)
{
    uint8_t key[SEQUENCE_SIZE];
    struct slice found;
    enum error_code code = lmdb_seek_sound(op, lmdb_put_sequence(key, *sequence), &found, data);
    if (code == ERROR_NONE)
        *sequence = lmdb_get_be64(found.data);
    return code;
}

// The noted size is impossible: the size of the record is used.
static enum error_code find_size(struct store_transaction *transaction, uint64_t sequence,
                                 uint32_t *size, struct error *error)
{
    struct store_record record;
    *size = 0;
    enum error_code code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NONE && record.body.len <= UINT32_MAX)
        *size = (uint32_t)record.body.len;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code store_seek_own(struct store_transaction *transaction, uint64_t *sequence,
                               uint32_t *size, struct error *error)
{
    struct slice data;
    enum error_code code = seek_sequence(
        &(struct lmdb_op){transaction, DATABASE_OUTBOX, "seek outbox", error}, sequence, &data);
    if (code != ERROR_NONE)
        return code;
    const uint8_t *bytes = (const uint8_t *)data.data;
    *size = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
            (uint32_t)bytes[3];
    return *size > STORE_RECORD_MAX ? find_size(transaction, *sequence, size, error) : ERROR_NONE;
}

// Of a table with sequences as keys: a damaged entry is passed over by readers, and set aside by the writer.
static enum error_code pass_over_entry(struct store_transaction *transaction,
                                       enum store_table table, struct slice key, uint64_t *sequence,
                                       struct error *error)
{
    if (transaction->is_write)
        return store_table_set_aside(transaction, table, key, SLICE("damaged"), error);
    store_note_unreadable(transaction);
    // To the next number, or past the one that it begins with.
    uint8_t bytes[SEQUENCE_SIZE] = {0};
    memcpy(bytes, key.data, key.len < sizeof bytes ? key.len : sizeof bytes);
    uint64_t number = lmdb_get_be64(bytes);
    if (number < *sequence)
        number = *sequence;
    if (number == UINT64_MAX)
        return ERROR_NOT_FOUND;
    *sequence = number + 1;
    return ERROR_NONE;
}

enum error_code store_seek_forwarded(struct store_transaction *transaction, uint64_t *sequence,
                                     uint32_t *size, struct error *error)
{
    if (store_table_count(transaction, STORE_TABLE_FORWARDED) == 0)
        return ERROR_NOT_FOUND;
    for (;;) {
        uint8_t key[SEQUENCE_SIZE];
        struct store_entry entry = {SLICE_EMPTY, SLICE_EMPTY};
        enum error_code code = store_table_seek(transaction, STORE_TABLE_FORWARDED,
                                                lmdb_put_sequence(key, *sequence), &entry, error);
        if (code != ERROR_NONE)
            return code;
        if (entry.key.len == SEQUENCE_SIZE && entry.value.len == FORWARDED_SIZE) {
            *sequence = lmdb_get_be64(entry.key.data);
            *size = (uint32_t)(lmdb_get_be64(entry.value.data) >> 32);
            return ERROR_NONE;
        }
        code = pass_over_entry(transaction, STORE_TABLE_FORWARDED, entry.key, sequence, error);
        if (code != ERROR_NONE)
            return code;
    }
}

enum error_code store_seek_outbox(struct store_transaction *transaction, uint64_t *sequence,
                                  uint32_t *size, struct error *error)
{
    uint64_t other = *sequence;
    uint32_t other_size;
    enum error_code found = store_seek_forwarded(transaction, &other, &other_size, error);
    if (found != ERROR_NONE && found != ERROR_NOT_FOUND)
        return found;
    enum error_code code = store_seek_own(transaction, sequence, size, error);
    if (found == ERROR_NOT_FOUND || (code != ERROR_NONE && code != ERROR_NOT_FOUND) ||
        (code == ERROR_NONE && *sequence < other))
        return code;
    *sequence = other;
    *size = other_size;
    return ERROR_NONE;
}

static enum error_code take_own(struct store_transaction *transaction, uint64_t sequence,
                                uint32_t size, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    subtract(&transaction->outbox_bytes, size);
    transaction->outbox_changed = true;
    enum error_code code =
        lmdb_delete(&(struct lmdb_op){transaction, DATABASE_OUTBOX, "settle record", error},
                    lmdb_put_sequence(key, sequence));
    if (code == ERROR_NONE && lmdb_count_entries(transaction, DATABASE_OUTBOX) == 0)
        // reset any effect of a damaged size or sum
        transaction->outbox_bytes = store_forwarded_bytes(transaction);
    return code;
}

// Removes it from the outbox, if it is there, and leaves the record. `*spans`: as in take_forwarded().
static enum error_code leave_outbox(struct store_transaction *transaction, uint64_t sequence,
                                    uint32_t *spans, struct error *error)
{
    uint8_t bytes[SEQUENCE_SIZE];
    uint64_t found = sequence;
    uint32_t size;
    enum error_code code = take_forwarded(transaction, sequence, spans, error);
    bool is_own = code == ERROR_NONE && *spans == 0;
    if (is_own)
        code = store_seek_own(transaction, &found, &size, error);
    if (is_own && (code == ERROR_NOT_FOUND || (code == ERROR_NONE && found != sequence)))
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    const struct slice key = lmdb_put_sequence(bytes, sequence);
    if (store_table_count(transaction, STORE_TABLE_QUARANTINE) > 0) {
        code = store_table_delete(transaction, STORE_TABLE_QUARANTINE, key, error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
    }
    return is_own ? take_own(transaction, sequence, size, error) : ERROR_NONE;
}

static enum error_code delete_record(struct store_transaction *transaction, uint64_t sequence,
                                     struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_RECORDS, "drop record", error},
                       lmdb_put_sequence(key, sequence));
}

enum error_code store_settle_record(struct store_transaction *transaction, uint64_t sequence,
                                    struct error *error)
{
    uint32_t spans;
    enum error_code code = leave_outbox(transaction, sequence, &spans, error);
    return code == ERROR_NONE && spans > 0 ? delete_record(transaction, sequence, error) : code;
}

enum error_code store_drop_forwarded(struct store_transaction *transaction, size_t max,
                                     size_t *dropped, uint64_t *spans, struct error *error)
{
    *dropped = 0;
    *spans = 0;
    for (size_t i = 0; i < max; i++) {
        uint64_t sequence = 0;
        uint32_t size, counted;
        enum error_code code = store_seek_forwarded(transaction, &sequence, &size, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        code = leave_outbox(transaction, sequence, &counted, error);
        if (code == ERROR_NONE)
            code = delete_record(transaction, sequence, error);
        if (code != ERROR_NONE)
            return code;
        *spans += counted;
        ++*dropped;
    }
    return ERROR_NONE;
}

// --- quarantine -------------------------------------------------------------------------------

// Whether it is in the outbox: its size, or ERROR_NOT_FOUND.
static enum error_code find_in_outbox(struct store_transaction *transaction, uint64_t sequence,
                                      uint32_t *size, struct error *error)
{
    uint64_t found = sequence;
    enum error_code code = store_seek_outbox(transaction, &found, size, error);
    return code == ERROR_NONE && found != sequence ? ERROR_NOT_FOUND : code;
}

enum error_code store_quarantine_record(struct store_transaction *transaction, uint64_t sequence,
                                        timestamp_ns now, struct slice reason, struct error *error)
{
    uint8_t bytes[SEQUENCE_SIZE];
    const struct slice key = lmdb_put_sequence(bytes, sequence);
    uint8_t value[TIME_SIZE + REASON_MAX];
    struct slice old;
    uint32_t size;
    enum error_code code = find_in_outbox(transaction, sequence, &size, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;

    lmdb_put_be64(value, (uint64_t)now);
    code = store_table_get(transaction, STORE_TABLE_QUARANTINE, key, &old, error);
    if (code == ERROR_NONE && old.len >= TIME_SIZE)
        memcpy(value, old.data, TIME_SIZE);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    size_t len = reason.len < REASON_MAX ? reason.len : REASON_MAX;
    if (len > 0)
        memcpy(value + TIME_SIZE, reason.data, len);
    return store_table_put(transaction, STORE_TABLE_QUARANTINE, key,
                           slice_of_bytes(value, TIME_SIZE + len), error);
}

enum error_code store_seek_quarantined(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_quarantined *quarantined, struct error *error)
{
    for (;;) {
        uint8_t key[SEQUENCE_SIZE];
        struct store_entry entry = {SLICE_EMPTY, SLICE_EMPTY};
        enum error_code code = store_table_seek(transaction, STORE_TABLE_QUARANTINE,
                                                lmdb_put_sequence(key, *sequence), &entry, error);
        if (code != ERROR_NONE)
            return code;
        if (entry.key.len != SEQUENCE_SIZE || entry.value.len < TIME_SIZE) {
            // The record of a damaged mark is sent like any other.
            code = pass_over_entry(transaction, STORE_TABLE_QUARANTINE, entry.key, sequence, error);
            if (code != ERROR_NONE)
                return code;
            continue;
        }
        *sequence = lmdb_get_be64(entry.key.data);
        *quarantined = (struct store_quarantined){
            .sequence = *sequence,
            .since = (timestamp_ns)lmdb_get_be64(entry.value.data),
            .reason = {.data = entry.value.data + TIME_SIZE, .len = entry.value.len - TIME_SIZE},
        };
        code = find_in_outbox(transaction, *sequence, &quarantined->size, error);
        if (code != ERROR_NOT_FOUND)
            return code;
        ++*sequence;
    }
}

enum error_code store_seek_history(struct store_transaction *transaction, struct store_key *key,
                                   uint64_t *sequence, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct slice found;
    struct slice data;
    enum error_code code =
        lmdb_seek_sound(&(struct lmdb_op){transaction, DATABASE_HISTORY, "seek history", error},
                        lmdb_put_key(bytes, key), &found, &data);
    if (code != ERROR_NONE)
        return code;
    lmdb_get_key(found.data, key);
    *sequence = lmdb_get_be64(data.data);
    return ERROR_NONE;
}

enum error_code store_newest_record(struct store_transaction *transaction,
                                    const struct store_key *key, uint64_t *sequence,
                                    struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct slice data;
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_HISTORY, "search history", error},
                 lmdb_put_key(bytes, key), &data);
    if (code == ERROR_NONE && data.len != SEQUENCE_SIZE) {
        store_note_unreadable(transaction);
        return ERROR_NOT_FOUND;
    }
    if (code == ERROR_NONE)
        *sequence = lmdb_get_be64(data.data);
    return code;
}

// --- expiry ------------------------------------------------------------------------------------------------

static enum error_code is_needed(struct store_transaction *transaction, uint64_t sequence,
                                 bool *needed, struct error *error)
{
    uint8_t bytes[SEQUENCE_SIZE];
    const struct slice key = lmdb_put_sequence(bytes, sequence);
    struct slice data;
    enum error_code code = lmdb_get(
        &(struct lmdb_op){transaction, DATABASE_OUTBOX, "search outbox", error}, key, &data);
    if (code == ERROR_NOT_FOUND)
        code = lmdb_get(&(struct lmdb_op){transaction, DATABASE_DEAD, "search dead letters", error},
                        key, &data);
    if (code == ERROR_NOT_FOUND && store_table_count(transaction, STORE_TABLE_FORWARDED) > 0)
        code = store_table_get(transaction, STORE_TABLE_FORWARDED, key, &data, error);
    *needed = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Deletes the record, and its history entry if it is the newest of its span.
static enum error_code drop_record(struct store_transaction *transaction,
                                   const struct store_record *record, struct error *error)
{
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    uint8_t key_bytes[KEY_SIZE];
    const struct slice sequence = lmdb_put_sequence(sequence_bytes, record->sequence);
    const struct slice key = lmdb_put_key(key_bytes, &record->key);
    struct slice newest;
    enum error_code code = lmdb_get(
        &(struct lmdb_op){transaction, DATABASE_HISTORY, "search history", error}, key, &newest);
    if (code == ERROR_NONE && slice_equals(newest, sequence))
        code = lmdb_delete(
            &(struct lmdb_op){transaction, DATABASE_HISTORY, "drop from history", error}, key);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    return delete_record(transaction, record->sequence, error);
}

static enum error_code seek_record(struct store_transaction *transaction, uint64_t *sequence,
                                   struct store_record *record, struct error *error)
{
    struct slice data;
    enum error_code code = seek_sequence(
        &(struct lmdb_op){transaction, DATABASE_RECORDS, "seek record", error}, sequence, &data);
    if (code == ERROR_NONE)
        unpack_record(*sequence, data, record);
    return code;
}

// A time in the future is damaged, or was noted before the clock was set back. It would prevent the deletion of
// everything that finished later: what precedes an expired record counts as expired itself.
static enum error_code check_record_due(struct store_transaction *transaction,
                                        const struct store_record *record, timestamp_ns before,
                                        bool *is_due, struct error *error)
{
    uint64_t sequence = record->sequence;
    *is_due = record->finished_at < before;
    if (*is_due || record->finished_at <= timestamp_now())
        return ERROR_NONE;
    for (int i = 0; i < LOOK_AHEAD && !*is_due && sequence < UINT64_MAX; i++) {
        struct store_record later;
        sequence++;
        enum error_code code = seek_record(transaction, &sequence, &later, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        *is_due = later.finished_at < before;
    }
    return ERROR_NONE;
}

// Records are in the order in which they finished. Those that must stay are skipped, and the next call continues
// after them, so that a long outbox is not walked again and again.
enum error_code store_expire_records(struct store_transaction *transaction, timestamp_ns before,
                                     size_t max, size_t *dropped, struct error *error)
{
    struct store *store = transaction->store;
    *dropped = 0;
    for (size_t i = 0; i < max; i++) {
        uint64_t sequence = store->expire_from;
        struct store_record record;
        bool needed = false;
        bool is_due = false;
        enum error_code code = seek_record(transaction, &sequence, &record, error);
        if (code == ERROR_NONE)
            code = check_record_due(transaction, &record, before, &is_due, error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && !is_due)) {
            store->expire_from = 0;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE)
            code = is_needed(transaction, sequence, &needed, error);
        if (code == ERROR_NONE && !needed) {
            code = drop_record(transaction, &record, error);
            (*dropped)++;
        }
        if (code != ERROR_NONE)
            return code;
        store->expire_from = sequence + 1;
    }
    return ERROR_NONE;
}

bool store_has_expired_all(const struct store_transaction *transaction)
{
    return transaction->store->expire_from == 0;
}

// --- another key -----------------------------------------------------------------------------------------------

// Moves a record to another trace: in the record, and in the history, if it is the newest of its span.
static enum error_code move_record(struct store_transaction *transaction, uint64_t sequence,
                                   const struct store_key *from, const struct store_key *to,
                                   struct error *error)
{
    const struct lmdb_op drop = {transaction, DATABASE_HISTORY, "drop from history", error};
    const struct lmdb_op put = {transaction, DATABASE_HISTORY, "put in history", error};
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    uint8_t key[KEY_SIZE];
    const struct slice name = lmdb_put_sequence(sequence_bytes, sequence);
    struct slice found;
    enum error_code code = lmdb_get(
        &(struct lmdb_op){transaction, DATABASE_RECORDS, "get record", error}, name, &found);
    if (code == ERROR_NONE && lmdb_value_has_shape(DATABASE_RECORDS, found.len)) {
        uint8_t *copy = memory_allocate(found.len); // LMDB must not get a pointer into its map
        if (copy == NULL)
            return error_set(error, ERROR_MEMORY, "move a record: out of memory");
        memcpy(copy, found.data, found.len);
        lmdb_put_key(copy + TIME_SIZE, to);
        code = lmdb_put(&(struct lmdb_op){transaction, DATABASE_RECORDS, "put record", error}, name,
                        slice_of_bytes(copy, found.len));
        memory_free(copy);
    }
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    code = lmdb_delete(&drop, lmdb_put_key(key, from));
    return code == ERROR_NONE ? lmdb_put(&put, lmdb_put_key(key, to), name) : code;
}

enum error_code store_move_records(struct store_transaction *transaction,
                                   const struct trace_id *from, const struct trace_id *to,
                                   struct error *error)
{
    struct store_key key = {.trace = *from};
    for (;; store_key_increment(&key)) {
        uint64_t sequence;
        enum error_code code = store_seek_history(transaction, &key, &sequence, error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && memcmp(key.trace.bytes, from->bytes, TRACE_ID_SIZE) != 0))
            return ERROR_NONE;
        const struct store_key moved = {*to, key.span};
        if (code == ERROR_NONE)
            code = move_record(transaction, sequence, &key, &moved, error);
        if (code != ERROR_NONE)
            return code;
    }
}

// --- dead letters: what the collector refused for good, kept within limits ------------------------

// Those of other programs' spans use at most one part in this many of the limit.
#define FORWARDED_DEAD_SHARE 4
#define DEAD_SUMS 3 // bytes, letters, and the sequence below which they were counted
// All of them are checked for their age at this interval, or at the interval of the maximum age.
#define LOOK_EVERY (10 * NS_PER_MINUTE)

// --- the sum -----------------------------------------------------------------------------------------------

// If it is absent, or has an unknown length, nothing is counted.
enum error_code store_read_dead_sum(struct store_transaction *transaction, struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_META, "read size of dead letters", error};
    uint64_t sums[DEAD_SUMS] = {0};
    enum error_code code = lmdb_get_sums(&op, SLICE("dead"), sums, DEAD_SUMS);
    transaction->dead = (struct dead_sum){.bytes = sums[0], .letters = sums[1], .below = sums[2]};
    return code;
}

enum error_code store_write_dead_sum(struct store_transaction *transaction, struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_META, "write size of dead letters", error};
    const struct dead_sum *dead = &transaction->dead;
    const uint64_t sums[DEAD_SUMS] = {dead->bytes, dead->letters, dead->below};
    return lmdb_put_sums(&op, SLICE("dead"), sums, DEAD_SUMS);
}

static void set_sum(struct store_transaction *transaction, struct dead_sum sum)
{
    transaction->dead = sum;
    transaction->dead_changed = true;
}

// The record's body; 0 if it cannot be read.
static uint64_t size_of(struct store_transaction *transaction, uint64_t sequence)
{
    struct store_record record;
    struct error ignored;
    return store_get_record(transaction, sequence, &record, &ignored) == ERROR_NONE
               ? record.body.len
               : 0;
}

static void count_letter(struct store_transaction *transaction, uint64_t sequence, uint64_t size)
{
    struct dead_sum sum = transaction->dead;
    if (lmdb_count_entries(transaction, DATABASE_DEAD) == 0)
        sum = (struct dead_sum){.below =
                                    UINT64_MAX}; // where there are none, nothing has to be counted
    if (sequence < sum.below) {
        sum.bytes += size;
        sum.letters++;
    }
    set_sum(transaction, sum);
}

static void uncount_letter(struct store_transaction *transaction, uint64_t sequence, uint64_t size)
{
    struct dead_sum sum = transaction->dead;
    if (sequence >= sum.below)
        return;
    subtract(&sum.bytes, size);
    sum.letters -= sum.letters > 0 ? 1 : 0;
    set_sum(transaction, sum);
}

static bool is_counted(struct store_transaction *transaction)
{
    uint64_t letters = lmdb_count_entries(transaction, DATABASE_DEAD);
    return letters == 0 ||
           (transaction->dead.below == UINT64_MAX && transaction->dead.letters == letters);
}

uint64_t store_dead_letter_bytes(struct store_transaction *transaction)
{
    return lmdb_count_entries(transaction, DATABASE_DEAD) == 0 ? 0 : transaction->dead.bytes;
}

// --- one letter --------------------------------------------------------------------------------------------

static enum error_code put_letter(struct store_transaction *transaction, uint64_t sequence,
                                  timestamp_ns at, struct slice reason, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    uint8_t value[TIME_SIZE + REASON_MAX];
    size_t len = reason.len < REASON_MAX ? reason.len : REASON_MAX;
    lmdb_put_be64(value, (uint64_t)at);
    if (len > 0)
        memcpy(value + TIME_SIZE, reason.data, len);
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_DEAD, "add dead letter", error},
                    lmdb_put_sequence(key, sequence), slice_of_bytes(value, TIME_SIZE + len));
}

// `*spans`: as in take_forwarded().
static enum error_code delete_letter(struct store_transaction *transaction, uint64_t sequence,
                                     uint64_t size, uint32_t *spans, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    struct forwarded forwarded = {.sequence = sequence};
    uncount_letter(transaction, sequence, size);
    enum error_code code =
        unlist_forwarded(transaction, STORE_TABLE_FORWARDED_DEAD, &forwarded, error);
    *spans = forwarded.spans;
    if (code != ERROR_NONE)
        return code;
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_DEAD, "remove dead letter", error},
                       lmdb_put_sequence(key, sequence));
}

static bool is_dead(struct store_transaction *transaction, uint64_t sequence, enum error_code *code,
                    struct error *error)
{
    struct slice data;
    uint64_t found = sequence;
    *code = seek_sequence(
        &(struct lmdb_op){transaction, DATABASE_DEAD, "search dead letters", error}, &found, &data);
    bool is_there = *code == ERROR_NONE && found == sequence;
    if (*code == ERROR_NOT_FOUND)
        *code = ERROR_NONE;
    return is_there;
}

enum error_code store_bury_record(struct store_transaction *transaction, uint64_t sequence,
                                  timestamp_ns now, struct slice reason, struct error *error)
{
    struct store_record record;
    struct forwarded forwarded = {.sequence = sequence};
    enum error_code code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NOT_FOUND)
        return store_settle_record(transaction, sequence, error);
    uint64_t size = code == ERROR_NONE ? record.body.len : 0;
    forwarded.size = size;
    if (code == ERROR_NONE)
        code = leave_outbox(transaction, sequence, &forwarded.spans, error);
    if (code == ERROR_NONE && forwarded.spans > 0)
        code = list_forwarded(transaction, STORE_TABLE_FORWARDED_DEAD, &forwarded, error);
    if (code == ERROR_NONE && !is_dead(transaction, sequence, &code, error) && code == ERROR_NONE)
        count_letter(transaction, sequence, size);
    if (code == ERROR_NONE)
        code = put_letter(transaction, sequence, now, reason, error);
    return code;
}

enum error_code store_seek_dead_letter(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_dead_letter *letter, struct error *error)
{
    struct slice data;
    enum error_code code = seek_sequence(
        &(struct lmdb_op){transaction, DATABASE_DEAD, "seek dead letter", error}, sequence, &data);
    if (code != ERROR_NONE)
        return code;
    *letter = (struct store_dead_letter){
        .sequence = *sequence,
        .buried_at = (timestamp_ns)lmdb_get_be64(data.data),
        .reason = {data.data + TIME_SIZE, data.len - TIME_SIZE},
    };
    return ERROR_NONE;
}

// --- back into the outbox ----------------------------------------------------------------------------------

enum error_code store_requeue_dead_letters(struct store_transaction *transaction,
                                           struct store_requeue *requeue, struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_DEAD, "seek dead letter", error};
    requeue->count = 0;
    requeue->is_full = false;
    for (; requeue->count < requeue->max; requeue->sequence++) {
        struct slice data;
        struct store_record record;
        enum error_code code = seek_sequence(&op, &requeue->sequence, &data);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = store_get_record(transaction, requeue->sequence, &record, error);
        if (code == ERROR_CORRUPT) // it cannot be sent; it stays until it is too old
            continue;
        uint64_t size = code == ERROR_NONE ? record.body.len : 0;
        uint32_t spans = 0;
        bool is_forwarded = code == ERROR_NONE && store_is_forwarded(&record);
        // Waiting records of other programs do not keep ours from being moved.
        uint64_t waiting = transaction->outbox_bytes;
        if (!is_forwarded)
            subtract(&waiting, store_forwarded_bytes(transaction));
        // A letter larger than the whole limit is moved alone; otherwise it would block the others forever.
        if (requeue->outbox_max > 0 && waiting > 0 && waiting + size > requeue->outbox_max) {
            requeue->is_full = true;
            return ERROR_NONE;
        }
        bool has_record = code == ERROR_NONE;
        if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
            code = delete_letter(transaction, requeue->sequence, size, &spans, error);
        const struct forwarded forwarded = {requeue->sequence, size, spans > 0 ? spans : 1};
        if (code == ERROR_NONE && is_forwarded)
            code = put_forwarded_in_outbox(transaction, &forwarded, error);
        else if (code == ERROR_NONE && has_record)
            code = put_in_outbox(transaction, requeue->sequence, (size_t)size, error);
        if (code != ERROR_NONE)
            return code;
        requeue->count++;
    }
    return ERROR_NONE;
}

// --- limits ------------------------------------------------------------------------------------------------

const char *const store_shed_names[STORE_SHED_REASONS] = {STORE_SHED_LIST(LIST_NAME)};

// One call of store_shed_dead_letters().
struct shedding {
    struct store_transaction *transaction;
    const struct store_shed_limits *limits;
    size_t left;       // letters that may still be checked
    uint64_t *dropped; // for each reason
    struct error *error;
};

// Continues counting, if an older version wrote the store.
static enum error_code count_more_letters(struct shedding *shedding)
{
    const struct lmdb_op op = {shedding->transaction, DATABASE_DEAD, "count dead letters",
                               shedding->error};
    struct dead_sum sum = shedding->transaction->dead;
    if (is_counted(shedding->transaction))
        return ERROR_NONE;
    if (sum.below == UINT64_MAX) // an older version has added or removed some
        sum = (struct dead_sum){0};
    for (; shedding->left > 0; shedding->left--) {
        struct slice data;
        uint64_t sequence = sum.below;
        enum error_code code = seek_sequence(&op, &sequence, &data);
        if (code == ERROR_NOT_FOUND) {
            sum.below = UINT64_MAX;
            break;
        }
        if (code != ERROR_NONE)
            return code;
        sum.bytes += size_of(shedding->transaction, sequence);
        sum.letters++;
        sum.below = sequence + 1;
    }
    set_sum(shedding->transaction, sum);
    return ERROR_NONE;
}

static enum error_code drop_letter(struct shedding *shedding, uint64_t sequence,
                                   enum store_shed_reason reason)
{
    struct store_transaction *transaction = shedding->transaction;
    struct store_record record;
    struct error ignored;
    assert(reason < STORE_SHED_REASONS);
    enum error_code code = store_get_record(transaction, sequence, &record, &ignored);
    bool has_record = code == ERROR_NONE;
    bool is_old = has_record && (record.finished_at < shedding->limits->before ||
                                 store_is_forwarded(&record)); // these are not in the history
    uint32_t spans;
    code = delete_letter(transaction, sequence, has_record ? record.body.len : 0, &spans,
                         shedding->error);
    // The writes of delete_letter() may have moved the record.
    if (code == ERROR_NONE && is_old)
        code = store_get_record(transaction, sequence, &record, shedding->error);
    if (code == ERROR_NONE && is_old)
        code = drop_record(transaction, &record, shedding->error);
    shedding->dropped[reason] += code == ERROR_NONE ? 1 : 0;
    return code;
}

// The reason to drop the first letter now; STORE_SHED_REASONS: none.
static enum store_shed_reason reason_to_drop_first(struct store_transaction *transaction,
                                                   const struct store_shed_limits *limits)
{
    if (limits->bytes_max > 0 &&
        store_forwarded_dead_bytes(transaction) > limits->bytes_max / FORWARDED_DEAD_SHARE)
        return STORE_SHED_SIZE;
    if (limits->bytes_max > 0 && is_counted(transaction) &&
        store_dead_letter_bytes(transaction) > limits->bytes_max)
        return STORE_SHED_SIZE;
    return limits->for_room && store_is_short(transaction) ? STORE_SHED_ROOM : STORE_SHED_REASONS;
}

// The first to be dropped: the oldest of other programs' spans, or the oldest.
static enum error_code find_first_letter(struct shedding *shedding, uint64_t *sequence)
{
    struct store_transaction *transaction = shedding->transaction;
    const struct lmdb_op op = {transaction, DATABASE_DEAD, "seek dead letter", shedding->error};
    struct slice data;
    *sequence = 0;
    while (store_table_count(transaction, STORE_TABLE_FORWARDED_DEAD) > 0) {
        struct store_entry entry;
        enum error_code code = store_table_seek(transaction, STORE_TABLE_FORWARDED_DEAD,
                                                SLICE_EMPTY, &entry, shedding->error);
        if (code != ERROR_NONE)
            return code;
        if (entry.key.len == SEQUENCE_SIZE) {
            *sequence = lmdb_get_be64(entry.key.data);
            return ERROR_NONE;
        }
        code = store_table_set_aside(transaction, STORE_TABLE_FORWARDED_DEAD, entry.key,
                                     SLICE("damaged"), shedding->error);
        if (code != ERROR_NONE)
            return code;
    }
    return seek_sequence(&op, sequence, &data);
}

static enum error_code drop_first_ones(struct shedding *shedding)
{
    for (; shedding->left > 0; shedding->left--) {
        uint64_t sequence;
        enum store_shed_reason reason =
            reason_to_drop_first(shedding->transaction, shedding->limits);
        if (reason == STORE_SHED_REASONS)
            return ERROR_NONE;
        enum error_code code = find_first_letter(shedding, &sequence);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = drop_letter(shedding, sequence, reason);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static enum error_code check_letter_age(struct shedding *shedding,
                                        const struct store_dead_letter *letter)
{
    const timestamp_ns now = shedding->limits->now;
    char reason[REASON_MAX];
    size_t len = letter->reason.len < REASON_MAX ? letter->reason.len : REASON_MAX;
    bool is_known = letter->buried_at > 0 && letter->buried_at <= now;
    if (is_known && now - letter->buried_at < shedding->limits->age_max)
        return ERROR_NONE;
    if (is_known)
        return drop_letter(shedding, letter->sequence, STORE_SHED_AGE);
    // Writing may move what the reason points to.
    if (len > 0)
        memcpy(reason, letter->reason.data, len);
    return put_letter(shedding->transaction, letter->sequence, now, (struct slice){reason, len},
                      shedding->error);
}

// Dead letters are in the order of their records; their time is only in the entry.
static enum error_code drop_old_ones(struct shedding *shedding)
{
    const struct store_shed_limits *limits = shedding->limits;
    struct store *store = shedding->transaction->store;
    duration_ns every = limits->age_max < LOOK_EVERY ? limits->age_max : LOOK_EVERY;
    duration_ns since = limits->now - store->dead_looked_at;
    bool is_due = !store->dead_was_looked || since < 0 || since >= every;
    if (limits->age_max <= 0 || !limits->may_check_age || !is_due)
        return ERROR_NONE;
    for (; shedding->left > 0; shedding->left--) {
        struct store_dead_letter letter;
        uint64_t sequence = store->dead_from;
        enum error_code code =
            store_seek_dead_letter(shedding->transaction, &sequence, &letter, shedding->error);
        if (code == ERROR_NOT_FOUND) {
            store->dead_from = 0;
            store->dead_was_looked = true;
            store->dead_looked_at = limits->now;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE)
            code = check_letter_age(shedding, &letter);
        if (code != ERROR_NONE)
            return code;
        store->dead_from = sequence + 1;
    }
    return ERROR_NONE;
}

enum error_code store_shed_dead_letters(struct store_transaction *transaction,
                                        const struct store_shed_limits *limits,
                                        uint64_t dropped[STORE_SHED_REASONS], bool *has_more,
                                        struct error *error)
{
    struct shedding shedding = {transaction, limits, limits->max, dropped, error};
    memset(dropped, 0, STORE_SHED_REASONS * sizeof *dropped);
    enum error_code code = count_more_letters(&shedding);
    if (code == ERROR_NONE)
        code = drop_first_ones(&shedding);
    if (code == ERROR_NONE)
        code = drop_old_ones(&shedding);
    *has_more = shedding.left == 0;
    return code;
}
