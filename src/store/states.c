// The states of runs and jobs, and the index of their deadlines.
#include "ghatrace/trace/ids.h"
#include "lmdb.h"

enum error_code store_get_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice *state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    return lmdb_get(&(struct lmdb_op){transaction, DATABASE_SPANS, "get span", error},
                    lmdb_put_key(bytes, key), state);
}

enum error_code store_put_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_SPANS, "put span", error},
                    lmdb_put_key(bytes, key), state);
}

enum error_code store_delete_span(struct store_transaction *transaction,
                                  const struct store_key *key, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_SPANS, "delete span", error},
                       lmdb_put_key(bytes, key));
}

enum error_code store_seek_span(struct store_transaction *transaction, struct store_key *key,
                                struct slice *state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct slice found;
    enum error_code code =
        lmdb_seek_sound(&(struct lmdb_op){transaction, DATABASE_SPANS, "seek span", error},
                        lmdb_put_key(bytes, key), &found, state);
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

static struct slice put_deadline_key(uint8_t bytes[TIME_SIZE + KEY_SIZE], timestamp_ns at,
                                     const struct store_key *key)
{
    lmdb_put_be64(bytes, (uint64_t)at);
    lmdb_put_key(bytes + TIME_SIZE, key);
    return slice_of_bytes(bytes, TIME_SIZE + KEY_SIZE);
}

enum error_code store_put_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_DEADLINES, "put deadline", error},
                    put_deadline_key(bytes, at, key), SLICE_EMPTY);
}

enum error_code store_has_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, bool *is_there, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    struct slice unused;
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_DEADLINES, "get deadline", error},
                 put_deadline_key(bytes, at, key), &unused);
    *is_there = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code store_delete_deadline(struct store_transaction *transaction, timestamp_ns at,
                                      const struct store_key *key, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_DEADLINES, "delete deadline", error},
                       put_deadline_key(bytes, at, key));
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
    enum error_code code =
        lmdb_seek_sound(&(struct lmdb_op){transaction, DATABASE_DEADLINES, "seek deadline", error},
                        slice_of_bytes(lowest, sizeof lowest), &found, &data);
    if (code == ERROR_NONE)
        read_deadline(found, at, key);
    return code;
}

enum error_code store_last_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                    struct store_key *key, struct error *error)
{
    struct slice found;
    struct slice data;
    enum error_code code = lmdb_last_sound(
        &(struct lmdb_op){transaction, DATABASE_DEADLINES, "seek last deadline", error}, &found,
        &data);
    if (code == ERROR_NONE)
        read_deadline(found, at, key);
    return code;
}
