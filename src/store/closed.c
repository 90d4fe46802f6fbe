// Notes of runs and jobs whose spans went out, beside the states in `spans`.
#include "notes.h"

// The span ID is be64 of the run's or the job's id, and GitHub's ids rise: so notes come nearly in order.
static void make_order(uint8_t order[NOTE_ORDER_MAX], const struct store_key *key)
{
    memcpy(order, key->span.bytes, SPAN_ID_SIZE);
    memcpy(order + SPAN_ID_SIZE, key->trace.bytes, STORE_NOTE_TRACE_BYTES);
}

enum error_code store_note_job(struct store_transaction *transaction, const struct store_key *key,
                               timestamp_ns now, struct error *error)
{
    uint8_t order[NOTE_ORDER_MAX];
    make_order(order, key);
    return notes_put(transaction, STORE_NOTE_JOB, order, NULL, now, error);
}

enum error_code store_find_job_note(struct store_transaction *transaction,
                                    const struct store_key *key, bool *is_found,
                                    struct error *error)
{
    uint8_t order[NOTE_ORDER_MAX];
    make_order(order, key);
    return notes_find(transaction, STORE_NOTE_JOB, order, is_found, NULL, error);
}

enum error_code store_note_run(struct store_transaction *transaction, const struct store_key *key,
                               const uint8_t payload[STORE_RUN_NOTE_SIZE], timestamp_ns now,
                               struct error *error)
{
    uint8_t order[NOTE_ORDER_MAX];
    make_order(order, key);
    return notes_put(transaction, STORE_NOTE_RUN, order, payload, now, error);
}

enum error_code store_find_run_note(struct store_transaction *transaction,
                                    const struct store_key *key, bool *is_found,
                                    uint8_t payload[STORE_RUN_NOTE_SIZE], struct error *error)
{
    uint8_t order[NOTE_ORDER_MAX];
    make_order(order, key);
    return notes_find(transaction, STORE_NOTE_RUN, order, is_found, payload, error);
}
