// Records that wait to be exported, the history, dead letters.
#include "ghatrace/base/memory.h"
#include "ghatrace/store/table.h"
#include "lmdb.h"

// --- finished spans: records, outbox, quarantine, history -----------------------------------------

#define RECORD_HEADER_SIZE (TIME_SIZE + KEY_SIZE)
#define SIZE_SIZE 4
#define REASON_MAX 512
// How far to look ahead from a record with an impossible time.
#define LOOK_AHEAD 16

static void put_sequence(uint8_t bytes[SEQUENCE_SIZE], uint64_t sequence)
{
    lmdb_put_be64(bytes, sequence);
}

// Sequences only increase, so the record is appended; and it is written in place.
static int put_last(struct store_transaction *transaction, uint64_t sequence, size_t size,
                    uint8_t **bytes)
{
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    put_sequence(sequence_bytes, sequence);
    MDB_val k = {.mv_size = sizeof sequence_bytes, .mv_data = sequence_bytes};
    MDB_val v = {.mv_size = size};
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
        if (last < UINT64_MAX - UINT32_MAX) {
            transaction->sequence = last + 1;
            return ERROR_NONE;
        }
        code = lmdb_set_aside(transaction, DATABASE_RECORDS, found, SLICE("impossible sequence"),
                              error);
        if (code != ERROR_NONE)
            return code;
    }
}

static enum error_code append_new_record(struct store_transaction *transaction, uint64_t *sequence,
                                         const struct store_key *key, timestamp_ns finished_at,
                                         struct slice body, struct error *error)
{
    uint8_t *bytes = NULL;
    int code = MDB_KEYEXIST;
    if (transaction->sequence < UINT64_MAX - UINT32_MAX) {
        *sequence = ++transaction->sequence;
        code = put_last(transaction, *sequence, RECORD_HEADER_SIZE + body.len, &bytes);
    }
    if (code == MDB_KEYEXIST) {
        enum error_code healed = repair_sequence(transaction, error);
        if (healed != ERROR_NONE)
            return healed;
        *sequence = transaction->sequence;
        code = put_last(transaction, *sequence, RECORD_HEADER_SIZE + body.len, &bytes);
    }
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "put record", error);
    lmdb_put_be64(bytes, (uint64_t)finished_at);
    lmdb_put_key(bytes + TIME_SIZE, key);
    memcpy(bytes + RECORD_HEADER_SIZE, body.data, body.len);
    return ERROR_NONE;
}

static enum error_code store_put_in_outbox(struct store_transaction *transaction, uint64_t sequence,
                                           size_t size, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    put_sequence(key, sequence);
    const uint8_t bytes[SIZE_SIZE] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16),
                                      (uint8_t)(size >> 8), (uint8_t)size};
    transaction->outbox_bytes += size;
    transaction->outbox_changed = true;
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_OUTBOX, "put in outbox", error},
                    slice_of_bytes(key, sizeof key), slice_of_bytes(bytes, sizeof bytes));
}

enum error_code store_add_record(struct store_transaction *transaction, const struct store_key *key,
                                 timestamp_ns finished_at, struct slice body, bool to_outbox,
                                 uint64_t *sequence, struct error *error)
{
    uint8_t key_bytes[KEY_SIZE];
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    transaction->sequence_changed = true;
    enum error_code code = append_new_record(transaction, sequence, key, finished_at, body, error);
    if (code == ERROR_NONE && to_outbox)
        code = store_put_in_outbox(transaction, *sequence, body.len, error);
    if (code != ERROR_NONE)
        return code;
    lmdb_put_key(key_bytes, key);
    put_sequence(sequence_bytes, *sequence);
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_HISTORY, "put in history", error},
                    slice_of_bytes(key_bytes, sizeof key_bytes),
                    slice_of_bytes(sequence_bytes, sizeof sequence_bytes));
}

static void unpack_record(uint64_t sequence, struct slice bytes, struct store_record *record)
{
    record->sequence = sequence;
    record->finished_at = (timestamp_ns)lmdb_get_be64(bytes.data);
    lmdb_get_key(bytes.data + TIME_SIZE, &record->key);
    record->body = (struct slice){bytes.data + RECORD_HEADER_SIZE, bytes.len - RECORD_HEADER_SIZE};
}

// A truncated record counts as missing.
static enum error_code pass_over_record(struct store_transaction *transaction, const uint8_t *key,
                                        struct error *error)
{
    if (!transaction->is_write) {
        store_note_unreadable(transaction);
        return ERROR_NOT_FOUND;
    }
    enum error_code code =
        lmdb_set_aside(transaction, DATABASE_RECORDS,
                       (struct slice){(const char *)key, SEQUENCE_SIZE}, SLICE("cut short"), error);
    return code == ERROR_NONE ? ERROR_NOT_FOUND : code;
}

enum error_code store_get_record(struct store_transaction *transaction, uint64_t sequence,
                                 struct store_record *record, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    struct slice bytes;
    put_sequence(key, sequence);
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_RECORDS, "get record", error},
                 slice_of_bytes(key, sizeof key), &bytes);
    if (code != ERROR_NONE)
        return code;
    if (!lmdb_value_has_shape(DATABASE_RECORDS, bytes.len))
        return pass_over_record(transaction, key, error);
    unpack_record(sequence, bytes, record);
    return ERROR_NONE;
}

// Seeks in a database with sequences as keys; sets `*sequence` to the one found.
static enum error_code store_seek_sequence(struct store_transaction *transaction,
                                           enum database database, uint64_t *sequence,
                                           struct slice *data, const char *what,
                                           struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    struct slice found;
    put_sequence(key, *sequence);
    enum error_code code = lmdb_seek_sound(&(struct lmdb_op){transaction, database, what, error},
                                           slice_of_bytes(key, sizeof key), &found, data);
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

enum error_code store_seek_outbox(struct store_transaction *transaction, uint64_t *sequence,
                                  uint32_t *size, struct error *error)
{
    struct slice data;
    enum error_code code =
        store_seek_sequence(transaction, DATABASE_OUTBOX, sequence, &data, "seek outbox", error);
    if (code != ERROR_NONE)
        return code;
    const uint8_t *bytes = (const uint8_t *)data.data;
    *size = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
            (uint32_t)bytes[3];
    return *size > STORE_RECORD_MAX ? find_size(transaction, *sequence, size, error) : ERROR_NONE;
}

static bool is_empty(struct store_transaction *transaction, enum database database)
{
    MDB_stat status = {0};
    return mdb_stat(transaction->txn, transaction->store->databases[database], &status) ==
               MDB_SUCCESS &&
           status.ms_entries == 0;
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
    code = lmdb_delete(&(struct lmdb_op){transaction, DATABASE_OUTBOX, "settle record", error},
                       slice_of_bytes(key, sizeof key));
    if (code == ERROR_NONE && is_empty(transaction, DATABASE_OUTBOX))
        transaction->outbox_bytes = 0; // reset any effect of a damaged size or sum
    return code;
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

// The mark is damaged. Its record is sent like any other.
static enum error_code pass_over_note(struct store_transaction *transaction, struct slice key,
                                      uint64_t *sequence, struct error *error)
{
    if (transaction->is_write)
        return store_table_set_aside(transaction, STORE_TABLE_QUARANTINE, key, SLICE("damaged"),
                                     error);
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

enum error_code store_seek_quarantined(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_quarantined *quarantined, struct error *error)
{
    for (;;) {
        uint8_t key[SEQUENCE_SIZE];
        struct slice found = SLICE_EMPTY, value = SLICE_EMPTY;
        put_sequence(key, *sequence);
        enum error_code code = store_table_seek(
            transaction, STORE_TABLE_QUARANTINE,
            (struct slice){.data = (const char *)key, .len = sizeof key}, &found, &value, error);
        if (code != ERROR_NONE)
            return code;
        if (found.len != SEQUENCE_SIZE || value.len < TIME_SIZE) {
            code = pass_over_note(transaction, found, sequence, error);
            if (code != ERROR_NONE)
                return code;
            continue;
        }
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

enum error_code store_seek_history(struct store_transaction *transaction, struct store_key *key,
                                   uint64_t *sequence, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct slice found;
    struct slice data;
    lmdb_put_key(bytes, key);
    enum error_code code =
        lmdb_seek_sound(&(struct lmdb_op){transaction, DATABASE_HISTORY, "seek history", error},
                        slice_of_bytes(bytes, sizeof bytes), &found, &data);
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
    lmdb_put_key(bytes, key);
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_HISTORY, "look into history", error},
                 slice_of_bytes(bytes, sizeof bytes), &data);
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
    uint8_t key[SEQUENCE_SIZE];
    struct slice data;
    put_sequence(key, sequence);
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_OUTBOX, "look into outbox", error},
                 slice_of_bytes(key, sizeof key), &data);
    if (code == ERROR_NOT_FOUND)
        code =
            lmdb_get(&(struct lmdb_op){transaction, DATABASE_DEAD, "look into dead letters", error},
                     slice_of_bytes(key, sizeof key), &data);
    *needed = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Deletes the record, and its history entry if it is the newest of its span.
static enum error_code store_drop_record(struct store_transaction *transaction,
                                         const struct store_record *record, struct error *error)
{
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    uint8_t key_bytes[KEY_SIZE];
    struct slice newest;
    put_sequence(sequence_bytes, record->sequence);
    lmdb_put_key(key_bytes, &record->key);
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_HISTORY, "look into history", error},
                 slice_of_bytes(key_bytes, sizeof key_bytes), &newest);
    bool is_newest = code == ERROR_NONE && newest.len == SEQUENCE_SIZE &&
                     memcmp(newest.data, sequence_bytes, SEQUENCE_SIZE) == 0;
    if (is_newest)
        code = lmdb_delete(
            &(struct lmdb_op){transaction, DATABASE_HISTORY, "drop from history", error},
            slice_of_bytes(key_bytes, sizeof key_bytes));
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_RECORDS, "drop record", error},
                       slice_of_bytes(sequence_bytes, sizeof sequence_bytes));
}

static enum error_code seek_record(struct store_transaction *transaction, uint64_t *sequence,
                                   struct store_record *record, struct error *error)
{
    struct slice data;
    enum error_code code =
        store_seek_sequence(transaction, DATABASE_RECORDS, sequence, &data, "seek record", error);
    if (code == ERROR_NONE)
        unpack_record(*sequence, data, record);
    return code;
}

// A time in the future is damaged, or was noted before the clock was set back. It would prevent the deletion of
// everything that finished later: what precedes an expired record counts as expired itself.
static enum error_code look_whether_due(struct store_transaction *transaction,
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
            code = look_whether_due(transaction, &record, before, &is_due, error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && !is_due)) {
            store->expire_from = 0;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE)
            code = is_needed(transaction, sequence, &needed, error);
        if (code == ERROR_NONE && !needed) {
            code = store_drop_record(transaction, &record, error);
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
    uint8_t sequence_bytes[SEQUENCE_SIZE];
    uint8_t key_bytes[KEY_SIZE];
    struct slice found;
    put_sequence(sequence_bytes, sequence);
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_RECORDS, "get record", error},
                 slice_of_bytes(sequence_bytes, sizeof sequence_bytes), &found);
    if (code == ERROR_NONE && lmdb_value_has_shape(DATABASE_RECORDS, found.len)) {
        uint8_t *copy = memory_allocate(found.len); // LMDB must not get a pointer into its map
        if (copy == NULL)
            return error_set(error, ERROR_MEMORY, "move a record: out of memory");
        memcpy(copy, found.data, found.len);
        lmdb_put_key(copy + TIME_SIZE, to);
        code = lmdb_put(&(struct lmdb_op){transaction, DATABASE_RECORDS, "put record", error},
                        slice_of_bytes(sequence_bytes, sizeof sequence_bytes),
                        slice_of_bytes(copy, found.len));
        memory_free(copy);
    }
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    lmdb_put_key(key_bytes, from);
    code = lmdb_delete(&(struct lmdb_op){transaction, DATABASE_HISTORY, "drop from history", error},
                       slice_of_bytes(key_bytes, sizeof key_bytes));
    if (code != ERROR_NONE)
        return code;
    lmdb_put_key(key_bytes, to);
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_HISTORY, "put in history", error},
                    slice_of_bytes(key_bytes, sizeof key_bytes),
                    slice_of_bytes(sequence_bytes, sizeof sequence_bytes));
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

#define SUM_SIZE (3 * SEQUENCE_SIZE)
// All of them are checked for their age at this interval, or at the interval of the maximum age.
#define LOOK_EVERY (10 * NS_PER_MINUTE)

// --- the sum -----------------------------------------------------------------------------------------------

// If it is absent, or has an unknown length, nothing is counted.
enum error_code store_read_dead_sum(struct store_transaction *transaction, struct error *error)
{
    struct slice found;
    transaction->dead = (struct dead_sum){0};
    if (transaction->store->databases[DATABASE_META] == 0)
        return ERROR_NONE; // the first transaction, which creates the databases
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_META, "read size of dead letters", error},
                 SLICE("dead"), &found);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code == ERROR_NONE && found.len == SUM_SIZE)
        transaction->dead = (struct dead_sum){
            .bytes = lmdb_get_be64(found.data),
            .letters = lmdb_get_be64(found.data + SEQUENCE_SIZE),
            .below = lmdb_get_be64(found.data + 2 * SEQUENCE_SIZE),
        };
    return code;
}

enum error_code store_write_dead_sum(struct store_transaction *transaction, struct error *error)
{
    uint8_t bytes[SUM_SIZE];
    lmdb_put_be64(bytes, transaction->dead.bytes);
    lmdb_put_be64(bytes + SEQUENCE_SIZE, transaction->dead.letters);
    lmdb_put_be64(bytes + 2 * SEQUENCE_SIZE, transaction->dead.below);
    return lmdb_put(
        &(struct lmdb_op){transaction, DATABASE_META, "write size of dead letters", error},
        SLICE("dead"), slice_of_bytes(bytes, sizeof bytes));
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
    sum.bytes -= size < sum.bytes ? size : sum.bytes;
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

// Continues counting, by up to `*left` letters.
static enum error_code count_more(struct store_transaction *transaction, size_t *left,
                                  struct error *error)
{
    struct dead_sum sum = transaction->dead;
    if (is_counted(transaction))
        return ERROR_NONE;
    if (sum.below == UINT64_MAX) // an older version has added or removed some
        sum = (struct dead_sum){0};
    for (; *left > 0; --*left) {
        struct slice data;
        uint64_t sequence = sum.below;
        enum error_code code = store_seek_sequence(transaction, DATABASE_DEAD, &sequence, &data,
                                                   "count dead letters", error);
        if (code == ERROR_NOT_FOUND) {
            sum.below = UINT64_MAX;
            break;
        }
        if (code != ERROR_NONE)
            return code;
        sum.bytes += size_of(transaction, sequence);
        sum.letters++;
        sum.below = sequence + 1;
    }
    set_sum(transaction, sum);
    return ERROR_NONE;
}

// --- one letter --------------------------------------------------------------------------------------------

static enum error_code put_letter(struct store_transaction *transaction, uint64_t sequence,
                                  timestamp_ns at, struct slice reason, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    uint8_t value[TIME_SIZE + REASON_MAX];
    size_t len = reason.len < REASON_MAX ? reason.len : REASON_MAX;
    lmdb_put_be64(key, sequence);
    lmdb_put_be64(value, (uint64_t)at);
    if (len > 0)
        memcpy(value + TIME_SIZE, reason.data, len);
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_DEAD, "bury record", error},
                    slice_of_bytes(key, sizeof key), slice_of_bytes(value, TIME_SIZE + len));
}

static enum error_code delete_letter(struct store_transaction *transaction, uint64_t sequence,
                                     uint64_t size, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    lmdb_put_be64(key, sequence);
    uncount_letter(transaction, sequence, size);
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_DEAD, "remove dead letter", error},
                       slice_of_bytes(key, sizeof key));
}

static bool is_dead(struct store_transaction *transaction, uint64_t sequence, enum error_code *code,
                    struct error *error)
{
    struct slice data;
    uint64_t found = sequence;
    *code = store_seek_sequence(transaction, DATABASE_DEAD, &found, &data, "look for dead letter",
                                error);
    bool is_there = *code == ERROR_NONE && found == sequence;
    if (*code == ERROR_NOT_FOUND)
        *code = ERROR_NONE;
    return is_there;
}

enum error_code store_bury_record(struct store_transaction *transaction, uint64_t sequence,
                                  timestamp_ns now, struct slice reason, struct error *error)
{
    struct store_record record;
    enum error_code code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NOT_FOUND)
        return store_settle_record(transaction, sequence, error);
    uint64_t size = code == ERROR_NONE ? record.body.len : 0;
    if (code == ERROR_NONE)
        code = store_settle_record(transaction, sequence, error);
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
    enum error_code code =
        store_seek_sequence(transaction, DATABASE_DEAD, sequence, &data, "seek dead letter", error);
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
                                           uint64_t *sequence, size_t max, uint64_t outbox_max,
                                           size_t *count, bool *is_full, struct error *error)
{
    *count = 0;
    *is_full = false;
    while (*count < max) {
        struct slice data;
        struct store_record record;
        enum error_code code = store_seek_sequence(transaction, DATABASE_DEAD, sequence, &data,
                                                   "seek dead letter", error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = store_get_record(transaction, *sequence, &record, error);
        if (code == ERROR_CORRUPT) { // it cannot be sent; it stays until it is too old
            ++*sequence;
            continue;
        }
        uint64_t size = code == ERROR_NONE ? record.body.len : 0;
        uint64_t waiting = transaction->outbox_bytes;
        // A letter larger than the whole limit is moved alone; otherwise it would block the others forever.
        if (outbox_max > 0 && waiting > 0 && waiting + size > outbox_max) {
            *is_full = true;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE)
            code = store_put_in_outbox(transaction, *sequence, (size_t)size, error);
        if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
            code = delete_letter(transaction, *sequence, size, error);
        if (code != ERROR_NONE)
            return code;
        ++*sequence;
        ++*count;
    }
    return ERROR_NONE;
}

// --- limits ------------------------------------------------------------------------------------------------

static enum error_code drop_letter(struct store_transaction *transaction, uint64_t sequence,
                                   timestamp_ns before, struct error *error)
{
    struct store_record record;
    struct error ignored;
    enum error_code code = store_get_record(transaction, sequence, &record, &ignored);
    bool has_record = code == ERROR_NONE;
    bool is_old = has_record && record.finished_at < before;
    code = delete_letter(transaction, sequence, has_record ? record.body.len : 0, error);
    // The writes of delete_letter() may have moved the record.
    if (code == ERROR_NONE && is_old)
        code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NONE && is_old)
        code = store_drop_record(transaction, &record, error);
    return code;
}

const char *const store_shed_names[STORE_SHED_REASONS] = {STORE_SHED_LIST(LIST_NAME)};

// The reason to drop the first letter now; STORE_SHED_REASONS: none.
static enum store_shed_reason reason_to_drop_first(struct store_transaction *transaction,
                                                   const struct store_shed_limits *limits)
{
    if (limits->bytes_max > 0 && is_counted(transaction) &&
        store_dead_letter_bytes(transaction) > limits->bytes_max)
        return STORE_SHED_SIZE;
    return limits->for_room && store_is_short(transaction) ? STORE_SHED_ROOM : STORE_SHED_REASONS;
}

static enum error_code drop_first_ones(struct store_transaction *transaction,
                                       const struct store_shed_limits *limits, size_t *left,
                                       uint64_t dropped[STORE_SHED_REASONS], struct error *error)
{
    for (; *left > 0; --*left) {
        struct slice data;
        uint64_t sequence = 0;
        enum store_shed_reason reason = reason_to_drop_first(transaction, limits);
        if (reason == STORE_SHED_REASONS)
            return ERROR_NONE;
        enum error_code code = store_seek_sequence(transaction, DATABASE_DEAD, &sequence, &data,
                                                   "seek dead letter", error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = drop_letter(transaction, sequence, limits->before, error);
        if (code != ERROR_NONE)
            return code;
        dropped[reason]++;
    }
    return ERROR_NONE;
}

static enum error_code judge_age(struct store_transaction *transaction,
                                 const struct store_shed_limits *limits, timestamp_ns now,
                                 const struct store_dead_letter *letter,
                                 uint64_t dropped[STORE_SHED_REASONS], struct error *error)
{
    char reason[REASON_MAX];
    size_t len = letter->reason.len < REASON_MAX ? letter->reason.len : REASON_MAX;
    bool is_known = letter->buried_at > 0 && letter->buried_at <= now;
    if (is_known && now - letter->buried_at < limits->age_max)
        return ERROR_NONE;
    if (is_known) {
        dropped[STORE_SHED_AGE]++;
        return drop_letter(transaction, letter->sequence, limits->before, error);
    }
    // Writing may move what the reason points to.
    if (len > 0)
        memcpy(reason, letter->reason.data, len);
    return put_letter(transaction, letter->sequence, now, (struct slice){reason, len}, error);
}

// Dead letters are in the order of their records; their time is only in the entry.
static enum error_code drop_old_ones(struct store_transaction *transaction,
                                     const struct store_shed_limits *limits, timestamp_ns now,
                                     size_t *left, uint64_t dropped[STORE_SHED_REASONS],
                                     struct error *error)
{
    struct store *store = transaction->store;
    duration_ns every = limits->age_max < LOOK_EVERY ? limits->age_max : LOOK_EVERY;
    duration_ns since = now - store->dead_looked_at;
    bool is_due = !store->dead_was_looked || since < 0 || since >= every;
    if (limits->age_max <= 0 || !limits->may_judge_age || !is_due)
        return ERROR_NONE;
    for (; *left > 0; --*left) {
        struct store_dead_letter letter;
        uint64_t sequence = store->dead_from;
        enum error_code code = store_seek_dead_letter(transaction, &sequence, &letter, error);
        if (code == ERROR_NOT_FOUND) {
            store->dead_from = 0;
            store->dead_was_looked = true;
            store->dead_looked_at = now;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE)
            code = judge_age(transaction, limits, now, &letter, dropped, error);
        if (code != ERROR_NONE)
            return code;
        store->dead_from = sequence + 1;
    }
    return ERROR_NONE;
}

enum error_code store_shed_dead_letters(struct store_transaction *transaction,
                                        const struct store_shed_limits *limits, timestamp_ns now,
                                        uint64_t dropped[STORE_SHED_REASONS], bool *has_more,
                                        struct error *error)
{
    size_t left = limits->max;
    memset(dropped, 0, STORE_SHED_REASONS * sizeof *dropped);
    enum error_code code = count_more(transaction, &left, error);
    if (code == ERROR_NONE)
        code = drop_first_ones(transaction, limits, &left, dropped, error);
    if (code == ERROR_NONE)
        code = drop_old_ones(transaction, limits, now, &left, dropped, error);
    *has_more = left == 0;
    return code;
}
