// Runs whose root has not gone out.
#include "ghatrace/tally/open_runs.h"

#include "ghatrace/trace/ids.h"
#include "private.h"

#define RUN_KEY_SIZE 16

static void put_key(uint8_t bytes[RUN_KEY_SIZE], const struct open_run *run)
{
    bytes_put_be64(bytes, (uint64_t)run->run_id);
    bytes_put_be64(bytes + 8, (uint64_t)run->run_attempt);
}

static bool is_covered(const struct tally *tally, const struct open_run *run)
{
    if (!tally->is_rebuilding)
        return true;
    const struct store_key key = {
        .trace = trace_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt),
        .span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
    return tally_covers(tally, &key);
}

enum error_code open_runs_put(struct tally *tally, const struct open_run *run, struct error *error)
{
    uint8_t key[RUN_KEY_SIZE];
    if (!is_covered(tally, run))
        return ERROR_NONE;
    put_key(key, run);
    return store_table_put(tally->transaction, STORE_TABLE_OPEN_RUNS,
                           slice_of_bytes(key, sizeof key), SLICE_EMPTY, error);
}

enum error_code open_runs_delete(struct tally *tally, const struct open_run *run,
                                 struct error *error)
{
    uint8_t key[RUN_KEY_SIZE];
    if (!is_covered(tally, run))
        return ERROR_NONE;
    put_key(key, run);
    enum error_code code = store_table_delete(tally->transaction, STORE_TABLE_OPEN_RUNS,
                                              slice_of_bytes(key, sizeof key), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

uint64_t open_runs_count(struct store_transaction *transaction)
{
    return store_table_count(transaction, STORE_TABLE_OPEN_RUNS);
}

enum error_code open_runs_seek_older(struct store_transaction *transaction, struct open_run *run,
                                     struct error *error)
{
    uint8_t bytes[RUN_KEY_SIZE];
    struct slice key;
    struct slice value;
    bool is_first = run->run_id == 0 && run->run_attempt == 0;
    put_key(bytes, run);
    key = slice_of_bytes(bytes, is_first ? 0 : sizeof bytes);
    for (;;) {
        enum error_code code =
            store_table_seek_before(transaction, STORE_TABLE_OPEN_RUNS, key, &key, &value, error);
        if (code != ERROR_NONE)
            return code;
        if (key.len == RUN_KEY_SIZE)
            break;
        store_note_unreadable(transaction);
    }
    run->run_id = (int64_t)bytes_get_be64(key.data);
    run->run_attempt = (int64_t)bytes_get_be64(key.data + 8);
    return ERROR_NONE;
}
