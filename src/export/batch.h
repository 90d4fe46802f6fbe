// The records of one request, and what becomes of them when the collector refuses: halves, halves of
// halves, until each part is settled. Numbers only; bodies stay in the store. Private to this room.
#ifndef GHATRACE_SRC_EXPORT_BATCH_H
#define GHATRACE_SRC_EXPORT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"

// Halving a part leaves one half waiting; a batch of 2^64 records would need so many.
#define BATCH_PARTS_MAX 65

struct batch_part {
    const uint64_t *sequences;
    size_t count;
};

struct export_batch {
    uint64_t *sequences; // ascending; owned
    size_t count, capacity;
    struct batch_part parts[BATCH_PARTS_MAX]; // not settled yet; the last one is the present one
    size_t part_count;
};

enum error_code batch_init(struct export_batch *batch, size_t records_max) MUST_CHECK;
void batch_release(struct export_batch *batch);

// Filling: clear, add in ascending order (false when full), seal.
void batch_clear(struct export_batch *batch);
bool batch_add(struct export_batch *batch, uint64_t sequence);
void batch_seal(struct export_batch *batch);

bool batch_contains(const struct export_batch *batch, uint64_t sequence);
// The part to deal with now; NULL when all is settled.
const struct batch_part *batch_present(const struct export_batch *batch);
// The present part is settled.
void batch_finish_part(struct export_batch *batch);
// The present part becomes two; the earlier records come first. False when it is a single record.
bool batch_split_part(struct export_batch *batch);

#endif
