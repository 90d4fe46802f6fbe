// Runs whose root has not gone out.
#include "ghatrace/tally/open_runs.h"

#include "ghatrace/trace/ids.h"
#include "private.h"

#define USUAL_KEY_SIZE 16
#define RUN_KEY_SIZE (USUAL_KEY_SIZE + TRACE_ID_SIZE)

// Returns its length.
static size_t put_key(uint8_t bytes[RUN_KEY_SIZE], const struct stored_run *run)
{
    bytes_put_be64(bytes, (uint64_t)run->run_id);
    bytes_put_be64(bytes + 8, (uint64_t)run->run_attempt);
    memcpy(bytes + USUAL_KEY_SIZE, run->trace.bytes, TRACE_ID_SIZE);
    return stored_run_is_usual(run) ? USUAL_KEY_SIZE : RUN_KEY_SIZE;
}

static bool read_key(struct slice key, struct stored_run *run)
{
    if (key.len != USUAL_KEY_SIZE && key.len != RUN_KEY_SIZE)
        return false;
    *run = stored_run_of(SLICE_EMPTY, (int64_t)bytes_get_be64(key.data),
                         (int64_t)bytes_get_be64(key.data + 8));
    if (key.len == RUN_KEY_SIZE)
        memcpy(run->trace.bytes, key.data + USUAL_KEY_SIZE, TRACE_ID_SIZE);
    return true;
}

static bool is_covered(const struct tally *tally, const struct stored_run *run)
{
    const struct store_key key = {
        .trace = run->trace, .span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
    return tally_covers(tally, &key);
}

enum error_code open_runs_put(struct tally *tally, const struct stored_run *run,
                              struct error *error)
{
    uint8_t key[RUN_KEY_SIZE];
    if (!is_covered(tally, run))
        return ERROR_NONE;
    size_t len = put_key(key, run);
    return store_table_put(tally->transaction, STORE_TABLE_OPEN_RUNS, slice_of_bytes(key, len),
                           SLICE_EMPTY, error);
}

enum error_code open_runs_delete(struct tally *tally, const struct stored_run *run,
                                 struct error *error)
{
    uint8_t key[RUN_KEY_SIZE];
    if (!is_covered(tally, run))
        return ERROR_NONE;
    size_t len = put_key(key, run);
    enum error_code code = store_table_delete(tally->transaction, STORE_TABLE_OPEN_RUNS,
                                              slice_of_bytes(key, len), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// A run has a hundred attempts at most, and few servers have its number.
static enum error_code find_listed(struct store_walk *walk, struct slice prefix,
                                   struct stored_run *run, struct error *error)
{
    struct trace_id trace = run->trace;
    for (;;) {
        struct slice key;
        struct slice value;
        enum error_code code = store_table_next(walk, &key, &value, error);
        if (code == ERROR_NONE && !slice_starts_with(key, prefix))
            return ERROR_NOT_FOUND;
        if (code != ERROR_NONE)
            return code;
        if (read_key(key, run) && trace_id_equals(&run->trace, &trace))
            return ERROR_NONE;
    }
}

enum error_code open_runs_forget(struct tally *tally, const struct stored_run *run,
                                 struct error *error)
{
    uint8_t prefix[8];
    struct store_walk *walk;
    struct stored_run listed = *run;
    bytes_put_be64(prefix, (uint64_t)run->run_id);
    struct slice from = slice_of_bytes(prefix, sizeof prefix);
    enum error_code code =
        store_table_walk(tally->transaction, STORE_TABLE_OPEN_RUNS, from, &walk, error);
    if (code != ERROR_NONE)
        return code;
    code = find_listed(walk, from, &listed, error);
    store_table_end_walk(walk);
    if (code == ERROR_NONE)
        code = open_runs_delete(tally, &listed, error);
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
    struct slice key;
    struct slice value;
    bool is_first = run->run_id == 0 && run->run_attempt == 0;
    size_t len = put_key(bytes, run);
    key = slice_of_bytes(bytes, is_first ? 0 : len);
    for (;;) {
        enum error_code code =
            store_table_seek_before(transaction, STORE_TABLE_OPEN_RUNS, key, &key, &value, error);
        if (code != ERROR_NONE)
            return code;
        if (read_key(key, run))
            return ERROR_NONE;
        store_note_unreadable(transaction);
    }
}
