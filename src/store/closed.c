// Notes of runs and jobs whose spans went out, beside the states in `spans`.
#include "notes.h"

#define TRACE_BYTES 8 // of the trace ID; what a kind has no room for is not looked at

// The span ID is be64 of the run's or the job's id, and GitHub's ids rise: so notes come nearly in order.
static void make_order(uint8_t order[NOTE_ORDER_MAX], const struct store_key *key)
{
    memcpy(order, key->span.bytes, SPAN_ID_SIZE);
    memcpy(order + SPAN_ID_SIZE, key->trace.bytes, TRACE_BYTES);
}

enum error_code store_put_note(struct store_transaction *transaction, enum store_note kind,
                               const struct store_key *key, const uint8_t *payload,
                               timestamp_ns now, struct error *error)
{
    uint8_t order[NOTE_ORDER_MAX];
    make_order(order, key);
    return notes_put(transaction, kind, order, payload, now, error);
}

enum error_code store_find_note(struct store_transaction *transaction, enum store_note kind,
                                const struct store_key *key, bool *is_found, uint8_t *payload,
                                struct error *error)
{
    uint8_t order[NOTE_ORDER_MAX];
    make_order(order, key);
    return notes_find(transaction, kind, order, is_found, payload, error);
}
