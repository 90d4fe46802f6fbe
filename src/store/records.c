// Finished spans: records, outbox, dead letters, history.
#include "ghatrace/store/table.h"
#include "lmdb.h"

#define RECORD_HEADER_SIZE (TIME_SIZE + KEY_SIZE)
#define SIZE_SIZE 4
#define REASON_MAX 512

static void put_sequence(uint8_t bytes[SEQUENCE_SIZE], uint64_t sequence)
{
    lmdb_put_be64(bytes, sequence);
}

// Sequences only rise, so the record goes behind the last one; and it is written in place.
static enum error_code append_record(struct store_transaction *transaction, uint64_t sequence,
                                     const struct store_key *key, timestamp_ns finished_at,
                                     struct slice body, struct error *error)
{
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    put_sequence(sequence_bytes, sequence);
    MDB_val k = {.mv_size = sizeof sequence_bytes, .mv_data = sequence_bytes};
    MDB_val v = {.mv_size = RECORD_HEADER_SIZE + body.len};
    int code = mdb_put(transaction->txn, transaction->store->databases[DATABASE_RECORDS], &k, &v,
                       MDB_RESERVE | MDB_APPEND);
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "put record", error);
    uint8_t *bytes = v.mv_data;
    lmdb_put_be64(bytes, (uint64_t)finished_at);
    lmdb_put_key(bytes + TIME_SIZE, key);
    memcpy(bytes + RECORD_HEADER_SIZE, body.data, body.len);
    return ERROR_NONE;
}

static enum error_code put_in_outbox(struct store_transaction *transaction, uint64_t sequence,
                                     size_t size, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    put_sequence(key, sequence);
    const uint8_t bytes[SIZE_SIZE] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16),
                                      (uint8_t)(size >> 8), (uint8_t)size};
    transaction->outbox_bytes += size;
    transaction->outbox_changed = true;
    return lmdb_put(transaction, DATABASE_OUTBOX, key, sizeof key, bytes, sizeof bytes,
                    "put in outbox", error);
}

enum error_code store_add_record(struct store_transaction *transaction, const struct store_key *key,
                                 timestamp_ns finished_at, struct slice body, bool to_outbox,
                                 uint64_t *sequence, struct error *error)
{
    uint8_t key_bytes[KEY_SIZE];
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    *sequence = ++transaction->sequence;
    transaction->sequence_changed = true;
    enum error_code code = append_record(transaction, *sequence, key, finished_at, body, error);
    if (code == ERROR_NONE && to_outbox)
        code = put_in_outbox(transaction, *sequence, body.len, error);
    if (code != ERROR_NONE)
        return code;
    lmdb_put_key(key_bytes, key);
    put_sequence(sequence_bytes, *sequence);
    return lmdb_put(transaction, DATABASE_HISTORY, key_bytes, sizeof key_bytes, sequence_bytes,
                    sizeof sequence_bytes, "put in history", error);
}

static enum error_code read_record(uint64_t sequence, struct slice bytes,
                                   struct store_record *record, struct error *error)
{
    if (bytes.len < RECORD_HEADER_SIZE)
        return error_set(error, ERROR_CORRUPT, "store: record %llu is cut short",
                         (unsigned long long)sequence);
    record->sequence = sequence;
    record->finished_at = (timestamp_ns)lmdb_get_be64(bytes.data);
    lmdb_get_key(bytes.data + TIME_SIZE, &record->key);
    record->body = (struct slice){bytes.data + RECORD_HEADER_SIZE, bytes.len - RECORD_HEADER_SIZE};
    return ERROR_NONE;
}

enum error_code store_get_record(struct store_transaction *transaction, uint64_t sequence,
                                 struct store_record *record, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    struct slice bytes;
    put_sequence(key, sequence);
    enum error_code code =
        lmdb_get(transaction, DATABASE_RECORDS, key, sizeof key, &bytes, "get record", error);
    return code == ERROR_NONE ? read_record(sequence, bytes, record, error) : code;
}

// Seeks in a database whose keys are sequences; sets `*sequence` to what was found.
static enum error_code seek_sequence(struct store_transaction *transaction, enum database database,
                                     uint64_t *sequence, struct slice *data, const char *what,
                                     struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    struct slice found;
    put_sequence(key, *sequence);
    enum error_code code =
        lmdb_seek(transaction, database, key, sizeof key, &found, data, what, error);
    if (code == ERROR_NONE && found.len != SEQUENCE_SIZE)
        return error_set(error, ERROR_CORRUPT, "store: %s: a key has %zu bytes", what, found.len);
    if (code == ERROR_NONE)
        *sequence = lmdb_get_be64(found.data);
    return code;
}

enum error_code store_seek_outbox(struct store_transaction *transaction, uint64_t *sequence,
                                  uint32_t *size, struct error *error)
{
    struct slice data;
    enum error_code code =
        seek_sequence(transaction, DATABASE_OUTBOX, sequence, &data, "seek outbox", error);
    if (code != ERROR_NONE)
        return code;
    if (data.len != SIZE_SIZE)
        return error_set(error, ERROR_CORRUPT, "store: outbox entry %llu is damaged",
                         (unsigned long long)*sequence);
    const uint8_t *bytes = (const uint8_t *)data.data;
    *size = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
            (uint32_t)bytes[3];
    return ERROR_NONE;
}

enum error_code store_settle_record(struct store_transaction *transaction, uint64_t sequence,
                                    struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    uint64_t found = sequence;
    uint32_t size;
    enum error_code code = store_seek_outbox(transaction, &found, &size, error);
    if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && found != sequence))
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    transaction->outbox_bytes -=
        size < transaction->outbox_bytes ? size : transaction->outbox_bytes;
    transaction->outbox_changed = true;
    put_sequence(key, sequence);
    if (store_table_count(transaction, STORE_TABLE_QUARANTINE) > 0) {
        struct slice note = {.data = (const char *)key, .len = sizeof key};
        code = store_table_delete(transaction, STORE_TABLE_QUARANTINE, note, error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
    }
    return lmdb_delete(transaction, DATABASE_OUTBOX, key, sizeof key, "settle record", error);
}

// --- quarantine -------------------------------------------------------------------------------

// Is it in the outbox? ERROR_NOT_FOUND, or its size.
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
    uint8_t key[SEQUENCE_SIZE];
    uint8_t value[TIME_SIZE + REASON_MAX];
    struct slice name = {.data = (const char *)key, .len = sizeof key};
    struct slice old;
    uint32_t size;
    enum error_code code = find_in_outbox(transaction, sequence, &size, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;

    put_sequence(key, sequence);
    lmdb_put_be64(value, (uint64_t)now);
    code = store_table_get(transaction, STORE_TABLE_QUARANTINE, name, &old, error);
    if (code == ERROR_NONE && old.len >= TIME_SIZE)
        memcpy(value, old.data, TIME_SIZE);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    size_t len = reason.len < REASON_MAX ? reason.len : REASON_MAX;
    if (len > 0)
        memcpy(value + TIME_SIZE, reason.data, len);
    return store_table_put(transaction, STORE_TABLE_QUARANTINE, name,
                           (struct slice){.data = (const char *)value, .len = TIME_SIZE + len},
                           error);
}

enum error_code store_seek_quarantined(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_quarantined *quarantined, struct error *error)
{
    for (;;) {
        uint8_t key[SEQUENCE_SIZE];
        struct slice found, value;
        put_sequence(key, *sequence);
        enum error_code code = store_table_seek(
            transaction, STORE_TABLE_QUARANTINE,
            (struct slice){.data = (const char *)key, .len = sizeof key}, &found, &value, error);
        if (code != ERROR_NONE)
            return code;
        if (found.len != SEQUENCE_SIZE || value.len < TIME_SIZE)
            return error_set(error, ERROR_CORRUPT, "store: a note of the quarantine is damaged");
        *sequence = lmdb_get_be64(found.data);
        *quarantined = (struct store_quarantined){
            .sequence = *sequence,
            .since = (timestamp_ns)lmdb_get_be64(value.data),
            .reason = {.data = value.data + TIME_SIZE, .len = value.len - TIME_SIZE},
        };
        code = find_in_outbox(transaction, *sequence, &quarantined->size, error);
        if (code != ERROR_NOT_FOUND)
            return code;
        ++*sequence;
    }
}

// --- dead letters -----------------------------------------------------------------------------

enum error_code store_bury_record(struct store_transaction *transaction, uint64_t sequence,
                                  timestamp_ns now, struct slice reason, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    uint8_t value[TIME_SIZE + REASON_MAX];
    struct store_record record;
    enum error_code code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NOT_FOUND)
        return store_settle_record(transaction, sequence, error);
    if (code == ERROR_NONE)
        code = store_settle_record(transaction, sequence, error);
    if (code != ERROR_NONE)
        return code;
    size_t len = reason.len < sizeof value - TIME_SIZE ? reason.len : sizeof value - TIME_SIZE;
    put_sequence(key, sequence);
    lmdb_put_be64(value, (uint64_t)now);
    if (len > 0)
        memcpy(value + TIME_SIZE, reason.data, len);
    return lmdb_put(transaction, DATABASE_DEAD, key, sizeof key, value, TIME_SIZE + len,
                    "bury record", error);
}

enum error_code store_seek_dead_letter(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_dead_letter *letter, struct error *error)
{
    struct slice data;
    enum error_code code =
        seek_sequence(transaction, DATABASE_DEAD, sequence, &data, "seek dead letter", error);
    if (code != ERROR_NONE)
        return code;
    if (data.len < TIME_SIZE)
        return error_set(error, ERROR_CORRUPT, "store: dead letter %llu is damaged",
                         (unsigned long long)*sequence);
    letter->sequence = *sequence;
    letter->buried_at = (timestamp_ns)lmdb_get_be64(data.data);
    letter->reason = (struct slice){data.data + TIME_SIZE, data.len - TIME_SIZE};
    return ERROR_NONE;
}

enum error_code store_requeue_dead_letters(struct store_transaction *transaction, size_t max,
                                           size_t *count, struct error *error)
{
    *count = 0;
    while (*count < max) {
        uint64_t sequence = 0;
        struct store_dead_letter letter;
        struct store_record record;
        uint8_t key[SEQUENCE_SIZE];
        enum error_code code = store_seek_dead_letter(transaction, &sequence, &letter, error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = store_get_record(transaction, sequence, &record, error);
        if (code == ERROR_NONE)
            code = put_in_outbox(transaction, sequence, record.body.len, error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        put_sequence(key, sequence);
        code = lmdb_delete(transaction, DATABASE_DEAD, key, sizeof key, "requeue", error);
        if (code != ERROR_NONE)
            return code;
        (*count)++;
    }
    return ERROR_NONE;
}

enum error_code store_seek_history(struct store_transaction *transaction, struct store_key *key,
                                   uint64_t *sequence, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct slice found;
    struct slice data;
    lmdb_put_key(bytes, key);
    enum error_code code = lmdb_seek(transaction, DATABASE_HISTORY, bytes, sizeof bytes, &found,
                                     &data, "seek history", error);
    if (code != ERROR_NONE)
        return code;
    if (found.len != KEY_SIZE || data.len != SEQUENCE_SIZE)
        return error_set(error, ERROR_CORRUPT, "store: a history entry is damaged");
    lmdb_get_key(found.data, key);
    *sequence = lmdb_get_be64(data.data);
    return ERROR_NONE;
}

// --- expiry ------------------------------------------------------------------------------------------------

static enum error_code is_needed(struct store_transaction *transaction, uint64_t sequence,
                                 bool *needed, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    struct slice data;
    put_sequence(key, sequence);
    enum error_code code =
        lmdb_get(transaction, DATABASE_OUTBOX, key, sizeof key, &data, "look into outbox", error);
    if (code == ERROR_NOT_FOUND)
        code = lmdb_get(transaction, DATABASE_DEAD, key, sizeof key, &data,
                        "look into dead letters", error);
    *needed = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code drop_record(struct store_transaction *transaction,
                                   const struct store_record *record, struct error *error)
{
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    uint8_t key_bytes[KEY_SIZE];
    struct slice newest;
    put_sequence(sequence_bytes, record->sequence);
    lmdb_put_key(key_bytes, &record->key);
    enum error_code code = lmdb_get(transaction, DATABASE_HISTORY, key_bytes, sizeof key_bytes,
                                    &newest, "look into history", error);
    bool is_newest = code == ERROR_NONE && newest.len == SEQUENCE_SIZE &&
                     memcmp(newest.data, sequence_bytes, SEQUENCE_SIZE) == 0;
    if (is_newest)
        code = lmdb_delete(transaction, DATABASE_HISTORY, key_bytes, sizeof key_bytes,
                           "drop from history", error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    return lmdb_delete(transaction, DATABASE_RECORDS, sequence_bytes, sizeof sequence_bytes,
                       "drop record", error);
}

// Records lie in the order in which they were finished. Those that must stay are stepped over, and
// the next call goes on behind them, so that a long outbox is not walked again and again.
enum error_code store_expire_records(struct store_transaction *transaction, timestamp_ns before,
                                     size_t max, size_t *dropped, struct error *error)
{
    struct store *store = transaction->store;
    *dropped = 0;
    for (size_t i = 0; i < max; i++) {
        uint64_t sequence = store->expire_from;
        struct slice data;
        struct store_record record;
        bool needed = false;
        enum error_code code =
            seek_sequence(transaction, DATABASE_RECORDS, &sequence, &data, "seek record", error);
        if (code == ERROR_NONE)
            code = read_record(sequence, data, &record, error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && record.finished_at >= before)) {
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
