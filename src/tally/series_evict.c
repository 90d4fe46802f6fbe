// Which label set leaves when there are as many as there may be: the one that was unused for longest. What it counted
// is added to "other".
#include <stdlib.h>

#include "ghatrace/base/memory.h"
#include "private.h"

// A set that was used within this time is missed when it leaves.
#define IN_USE NS_PER_DAY
// A time further ahead was noted by a clock that has been set back since.
#define CLOCK_TOLERANCE NS_PER_HOUR

static enum error_code refuse_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "make room for figures: out of memory");
}

// --- who is next -------------------------------------------------------------------------------------------

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *left = a;
    const struct candidate *right = b;
    if (left->used_at != right->used_at)
        return left->used_at < right->used_at ? -1 : 1;
    return memcmp(&left->id, &right->id, sizeof left->id);
}

static timestamp_ns believe(const struct tally *tally, timestamp_ns used_at)
{
    return used_at > tally->now + CLOCK_TOLERANCE ? TIMESTAMP_UNKNOWN : used_at;
}

static bool is_other(const struct series_row *row)
{
    struct series series = {.kind = row->kind};
    memcpy(series.labels, row->labels, sizeof series.labels);
    return series_is_other(&series);
}

// All sets but "other" and those that this transaction counted in. Up to the first that is damaged, whose key is then
// in `damaged`: nothing may be written during a walk.
static enum error_code collect(struct tally *tally, enum series_kind kind, struct candidate *all,
                               size_t max, size_t *count, uint8_t damaged[STORE_TABLE_KEY_MAX],
                               size_t *damaged_len, struct error *error)
{
    enum store_table table = series_table(kind);
    struct series_histogram histograms[SERIES_HISTOGRAMS_MAX];
    struct store_walk *walk;
    struct slice key, value;
    *count = 0;
    *damaged_len = 0;
    enum error_code code = store_table_walk(tally->transaction, table, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (*count < max && (code = store_table_next(walk, &key, &value, error)) == ERROR_NONE) {
        struct series_row row = {.kind = kind, .histograms = histograms};
        memset(histograms, 0, sizeof histograms);
        if (key.len != sizeof all->id || !series_decode(value, &row)) {
            *damaged_len = key.len;
            memcpy(damaged, key.data, key.len);
            break;
        }
        if (is_other(&row) || rows_find(tally, table, key.data, key.len) != NULL)
            continue;
        memcpy(all[*count].id.bytes, key.data, key.len);
        all[(*count)++].used_at = believe(tally, row.used_at);
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code find_candidates(struct tally *tally, enum series_kind kind,
                                       struct error *error)
{
    struct candidates *candidates = &tally->candidates[kind];
    size_t max = (size_t)store_table_count(tally->transaction, series_table(kind));
    size_t count;
    size_t damaged_len = 0;
    uint8_t damaged[STORE_TABLE_KEY_MAX];
    enum error_code code = ERROR_NONE;
    struct candidate *all = memory_allocate_array(max + 1, sizeof *all);
    if (all == NULL)
        return refuse_memory(error);
    do {
        if (damaged_len > 0)
            code = store_table_set_aside(tally->transaction, series_table(kind),
                                         slice_of_bytes(damaged, damaged_len), SLICE("damaged"),
                                         error);
        if (code == ERROR_NONE)
            code = collect(tally, kind, all, max, &count, damaged, &damaged_len, error);
    } while (code == ERROR_NONE && damaged_len > 0);
    if (code == ERROR_NONE) {
        qsort(all, count, sizeof *all, compare_candidates);
        candidates->next = 0;
        candidates->count = count < CANDIDATES_MAX ? count : CANDIDATES_MAX;
        memcpy(candidates->list, all, candidates->count * sizeof *all);
        candidates->is_barren = count == 0;
    }
    memory_free(all);
    return code;
}

// --- leaving -----------------------------------------------------------------------------------------------

static void add_histogram(struct series_histogram *into, const struct series_histogram *from)
{
    into->count += from->count;
    series_add_sum(&into->sum, &from->sum);
    for (size_t i = 0; i < SERIES_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
        if (from->buckets[i] > 0 && series_is_newer(&from->exemplars[i], &into->exemplars[i]))
            into->exemplars[i] = from->exemplars[i];
    }
}

void series_add_row(struct series_row *into, const struct series_row *from)
{
    into->count += from->count;
    series_add_sum(&into->sum, &from->sum);
    for (size_t i = 0; i < series_histogram_count(from->kind); i++)
        add_histogram(&into->histograms[i], &from->histograms[i]);
}

// `*is_done` stays false if it was counted in, or is gone, since it was found.
static enum error_code evict(struct tally *tally, enum series_kind kind,
                             const struct candidate *candidate, struct series_row *other,
                             bool *is_done, struct error *error)
{
    enum store_table table = series_table(kind);
    struct slice key = slice_of_bytes(candidate->id.bytes, sizeof candidate->id.bytes);
    struct slice value;
    if (rows_find(tally, table, key.data, key.len) != NULL)
        return ERROR_NONE;
    enum error_code code = store_table_get(tally->transaction, table, key, &value, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    struct series_row *row = series_allocate_row(tally, kind);
    if (row == NULL)
        return refuse_memory(error);
    if (!series_decode(value, row)) {
        code = tally_set_aside(tally, table, key, error);
        *is_done = code == ERROR_NOT_FOUND;
        return *is_done ? ERROR_NONE : code;
    }
    if (believe(tally, row->used_at) != candidate->used_at)
        return ERROR_NONE;
    series_add_row(other, row);
    if (candidate->used_at > tally->now - IN_USE)
        tally_note_overflow(tally, series_kind_name(kind), row->labels, series_label_count(kind));
    *is_done = true;
    return store_table_delete(tally->transaction, table, key, error);
}

enum error_code series_evict(struct tally *tally, enum series_kind kind, struct series_row *other,
                             bool *is_done, struct error *error)
{
    struct candidates *candidates = &tally->candidates[kind];
    enum error_code code = ERROR_NONE;
    bool has_walked = false;
    *is_done = false;
    while (code == ERROR_NONE && !*is_done && !candidates->is_barren) {
        if (candidates->next < candidates->count) {
            code = evict(tally, kind, &candidates->list[candidates->next++], other, is_done, error);
        } else if (has_walked) {
            break;
        } else {
            code = find_candidates(tally, kind, error);
            has_walked = true;
        }
    }
    return code;
}
