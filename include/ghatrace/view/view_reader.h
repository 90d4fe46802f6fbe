// One look into the store: all functions of this room read inside the caller's transaction.
#ifndef GHATRACE_VIEW_VIEW_READER_H
#define GHATRACE_VIEW_VIEW_READER_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"

// What is read is valid until the transaction ends; lists and texts that are put together are in the arena.
struct view_reader {
    struct store_transaction *transaction;
    struct arena *arena;
    struct error *error; // of the function that failed last
};

#endif
