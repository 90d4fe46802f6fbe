// Reading much of the store in short transactions, by a thread of its own: a transaction that is held for long keeps the
// pages that are freed meanwhile. What is read in one may have changed in the next.
#ifndef GHATRACE_VIEW_SHORT_READS_H
#define GHATRACE_VIEW_SHORT_READS_H

#include <stdatomic.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"

struct short_reads {
    struct store *store;
    duration_ns held_max;            // of one transaction, and what is read until the next call
    const atomic_bool *is_cancelled; // NULL: never
    struct error *error;
    struct store_transaction *transaction; // NULL: none
    timestamp_ns begun;                    // monotonic
    uint64_t unreadable;                   // entries, in the transactions that have ended
};

// Begins a transaction if there is none, or if the present one was held for long enough. ERROR_CLOSED: cancelled.
enum error_code short_reads_continue(struct short_reads *reads) MUST_CHECK;
// Ends the transaction, if there is one.
void short_reads_end(struct short_reads *reads);

#endif
