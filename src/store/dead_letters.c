// Dead letters: what the collector refused for good, kept within limits.
#include "lmdb.h"

#define REASON_MAX ((size_t)512)
#define SUM_SIZE (3 * SEQUENCE_SIZE)
// All of them are looked at for their age so often, or as often as they may be old.
#define LOOK_EVERY (10 * NS_PER_MINUTE)

// --- the sum -----------------------------------------------------------------------------------------------

// Absent, or of a length that no version wrote: nothing is counted.
enum error_code store_read_dead_sum(struct store_transaction *transaction, struct error *error)
{
    struct slice found;
    transaction->dead = (struct dead_sum){0};
    if (transaction->store->databases[DATABASE_META] == 0)
        return ERROR_NONE; // the first transaction, which makes the databases
    enum error_code code =
        lmdb_get(transaction, DATABASE_META, "dead", 4, &found, "read size of dead letters", error);
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
    return lmdb_put(transaction, DATABASE_META, "dead", 4, bytes, sizeof bytes,
                    "write size of dead letters", error);
}

static void set_sum(struct store_transaction *transaction, struct dead_sum sum)
{
    transaction->dead = sum;
    transaction->dead_changed = true;
}

// The record's body; 0 where there is none that can be read.
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
                                    UINT64_MAX}; // where there are none, nothing is to be counted
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

// Goes on counting, by up to `*left` letters.
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
    return lmdb_put(transaction, DATABASE_DEAD, key, sizeof key, value, TIME_SIZE + len,
                    "bury record", error);
}

static enum error_code delete_letter(struct store_transaction *transaction, uint64_t sequence,
                                     uint64_t size, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    lmdb_put_be64(key, sequence);
    uncount_letter(transaction, sequence, size);
    return lmdb_delete(transaction, DATABASE_DEAD, key, sizeof key, "remove dead letter", error);
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
        // One that is larger than all that may wait goes alone, or it would stop the rest for ever.
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
    // What delete_letter() wrote may have moved the record.
    if (code == ERROR_NONE && is_old)
        code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NONE && is_old)
        code = store_drop_record(transaction, &record, error);
    return code;
}

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

// They lie in the order of their records; when each was buried, only a look at it says.
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
