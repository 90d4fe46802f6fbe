// Reading much of the store in short transactions.
#include "short_reads.h"

#include <stddef.h>

void short_reads_end(struct short_reads *reads)
{
    if (reads->transaction == NULL)
        return;
    reads->unreadable += store_unreadable(reads->transaction);
    store_abort(reads->transaction);
    reads->transaction = NULL;
}

enum error_code short_reads_continue(struct short_reads *reads)
{
    timestamp_ns now = timestamp_monotonic();
    if (reads->is_cancelled != NULL && atomic_load(reads->is_cancelled))
        return error_set(reads->error, ERROR_CLOSED, "read in parts: cancelled");
    if (reads->transaction != NULL && now - reads->begun < reads->held_max)
        return ERROR_NONE;
    short_reads_end(reads);
    reads->begun = now;
    enum error_code code = store_begin(reads->store, false, &reads->transaction, reads->error);
    if (code != ERROR_NONE)
        reads->transaction = NULL;
    return code;
}
