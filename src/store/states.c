// The states of runs and jobs, and the index of their deadlines.
#include "ghatrace/trace/ids.h"
#include "lmdb.h"

enum error_code store_get_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice *state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    return lmdb_get(transaction, DATABASE_SPANS, bytes, sizeof bytes, state, "get span", error);
}

enum error_code store_put_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    return lmdb_put(transaction, DATABASE_SPANS, bytes, sizeof bytes, state.data, state.len,
                    "put span", error);
}

enum error_code store_delete_span(struct store_transaction *transaction,
                                  const struct store_key *key, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    return lmdb_delete(transaction, DATABASE_SPANS, bytes, sizeof bytes, "delete span", error);
}

enum error_code store_seek_span(struct store_transaction *transaction, struct store_key *key,
                                struct slice *state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct slice found;
    lmdb_put_key(bytes, key);
    enum error_code code = lmdb_seek_sound(transaction, DATABASE_SPANS, bytes, sizeof bytes, &found,
                                           state, "seek span", error);
    if (code == ERROR_NONE)
        lmdb_get_key(found.data, key);
    return code;
}

enum error_code store_seek_span_of_trace(struct store_transaction *transaction,
                                         struct store_key *key, struct slice *state,
                                         struct error *error)
{
    const struct trace_id trace = key->trace;
    enum error_code code = store_seek_span(transaction, key, state, error);
    return code == ERROR_NONE && !trace_id_equals(&key->trace, &trace) ? ERROR_NOT_FOUND : code;
}

void store_key_increment(struct store_key *key)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    for (int i = KEY_SIZE - 1; i >= 0 && ++bytes[i] == 0; i--)
        ;
    lmdb_get_key(bytes, key);
}

static void put_deadline_key(uint8_t bytes[TIME_SIZE + KEY_SIZE], timestamp_ns at,
                             const struct store_key *key)
{
    lmdb_put_be64(bytes, (uint64_t)at);
    lmdb_put_key(bytes + TIME_SIZE, key);
}

enum error_code store_put_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    put_deadline_key(bytes, at, key);
    return lmdb_put(transaction, DATABASE_DEADLINES, bytes, sizeof bytes, NULL, 0, "put deadline",
                    error);
}

enum error_code store_has_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, bool *is_there, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    struct slice unused;
    put_deadline_key(bytes, at, key);
    enum error_code code = lmdb_get(transaction, DATABASE_DEADLINES, bytes, sizeof bytes, &unused,
                                    "get deadline", error);
    *is_there = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code store_delete_deadline(struct store_transaction *transaction, timestamp_ns at,
                                      const struct store_key *key, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    put_deadline_key(bytes, at, key);
    return lmdb_delete(transaction, DATABASE_DEADLINES, bytes, sizeof bytes, "delete deadline",
                       error);
}

static void read_deadline(struct slice found, timestamp_ns *at, struct store_key *key)
{
    *at = (timestamp_ns)lmdb_get_be64(found.data);
    lmdb_get_key(found.data + TIME_SIZE, key);
}

enum error_code store_first_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                     struct store_key *key, struct error *error)
{
    const uint8_t lowest[1] = {0};
    struct slice found;
    struct slice data;
    enum error_code code = lmdb_seek_sound(transaction, DATABASE_DEADLINES, lowest, sizeof lowest,
                                           &found, &data, "seek deadline", error);
    if (code == ERROR_NONE)
        read_deadline(found, at, key);
    return code;
}

enum error_code store_last_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                    struct store_key *key, struct error *error)
{
    struct slice found;
    struct slice data;
    enum error_code code = lmdb_last_sound(transaction, DATABASE_DEADLINES, &found, &data,
                                           "seek last deadline", error);
    if (code == ERROR_NONE)
        read_deadline(found, at, key);
    return code;
}
