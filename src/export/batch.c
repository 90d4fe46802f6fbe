// Batches of record numbers, and their halving.
#include "batch.h"

#include "ghatrace/base/memory.h"

enum error_code batch_init(struct export_batch *batch, size_t records_max)
{
    *batch = (struct export_batch){.capacity = records_max};
    batch->sequences = memory_allocate_array(records_max, sizeof(uint64_t));
    return batch->sequences != NULL ? ERROR_NONE : ERROR_MEMORY;
}

void batch_release(struct export_batch *batch)
{
    memory_free(batch->sequences);
    *batch = (struct export_batch){.count = 0};
}

void batch_clear(struct export_batch *batch)
{
    batch->count = 0;
    batch->part_count = 0;
}

bool batch_add(struct export_batch *batch, uint64_t sequence)
{
    if (batch->count == batch->capacity)
        return false;
    batch->sequences[batch->count++] = sequence;
    return true;
}

void batch_seal(struct export_batch *batch)
{
    if (batch->count > 0)
        batch->parts[batch->part_count++] =
            (struct batch_part){.sequences = batch->sequences, .count = batch->count};
}

bool batch_contains(const struct export_batch *batch, uint64_t sequence)
{
    size_t low = 0, high = batch->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (batch->sequences[middle] == sequence)
            return true;
        if (batch->sequences[middle] < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

const struct batch_part *batch_present(const struct export_batch *batch)
{
    return batch->part_count > 0 ? &batch->parts[batch->part_count - 1] : NULL;
}

void batch_finish_part(struct export_batch *batch)
{
    batch->part_count--;
    if (batch->part_count == 0)
        batch->count = 0;
}

bool batch_split_part(struct export_batch *batch)
{
    struct batch_part whole = batch->parts[batch->part_count - 1];
    size_t half = whole.count / 2;
    if (half == 0)
        return false;
    batch->parts[batch->part_count - 1] =
        (struct batch_part){.sequences = whole.sequences + half, .count = whole.count - half};
    batch->parts[batch->part_count++] =
        (struct batch_part){.sequences = whole.sequences, .count = half};
    return true;
}
