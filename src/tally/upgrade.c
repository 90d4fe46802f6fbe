// From figures of version 1, which took each spelling of labels for a pool and a series of its own: those that are the
// same are added up. Texts of that version have no backslashes: one label "a,b" cannot be told from the labels "a" and
// "b" there, and counts as these.
#include <stdlib.h>

#include "ghatrace/tally/spelling.h"
#include "ghatrace/trace/labels.h"
#include "private.h"

#define SLOT_SIZE 8

struct renaming {
    struct pool_id from, to;
};

struct renamings {
    struct renaming *list; // by `from`
    size_t count;
};

struct upgrade {
    struct tally *tally;
    struct arena *arena;
    struct error *error;
    struct renamings pools; // those whose id changes
};

static enum error_code refuse_memory(struct upgrade *upgrade)
{
    return error_set(upgrade->error, ERROR_MEMORY, "take older figures over: out of memory");
}

// An older text as it would be made today.
static enum error_code join_again(struct upgrade *upgrade, struct slice *labels)
{
    struct slice *list;
    size_t count;
    bool is_made = labels_split(*labels, upgrade->arena, &list, &count) &&
                   labels_join(list, count, upgrade->arena, labels);
    return is_made ? ERROR_NONE : refuse_memory(upgrade);
}

// --- pools -------------------------------------------------------------------------------------------------

static enum error_code offer_pools(struct upgrade *upgrade, struct pool *pools, size_t count)
{
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        code = join_again(upgrade, &pools[i].labels);
        if (code == ERROR_NONE)
            code = spelling_offer(upgrade->tally, pools[i].labels, upgrade->error);
    }
    return code;
}

static void merge_pool(struct pool *into, const struct pool *from)
{
    into->changed_at = timestamp_later(into->changed_at, from->changed_at);
    into->latency_slot = timestamp_later(into->latency_slot, from->latency_slot);
}

// Jobs come to it when they are counted anew.
static enum error_code put_pool(struct upgrade *upgrade, struct pool pool)
{
    struct tally *tally = upgrade->tally;
    struct pool_id id = pool.id;
    struct pool there;
    enum error_code code = pool_seek(tally->transaction, &id, &there, upgrade->error);
    if (code == ERROR_NONE && memcmp(&id, &pool.id, sizeof id) == 0)
        merge_pool(&pool, &there);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    memset(pool.counts, 0, sizeof pool.counts);
    buffer_clear(&tally->bytes);
    code = spelling_choose(tally, pool.labels, &pool.labels, upgrade->error);
    if (code == ERROR_NONE)
        code = pool_encode(&pool, &tally->bytes);
    return code == ERROR_NONE ? store_table_put(tally->transaction, STORE_TABLE_POOLS,
                                                slice_of_bytes(pool.id.bytes, POOL_ID_SIZE),
                                                buffer_slice(&tally->bytes), upgrade->error)
                              : code;
}

static enum error_code take_pools(struct upgrade *upgrade, struct pool *pools, size_t count)
{
    struct renamings *renamings = &upgrade->pools;
    renamings->list = arena_allocate_array(upgrade->arena, count + 1, sizeof *renamings->list);
    if (renamings->list == NULL)
        return refuse_memory(upgrade);
    enum error_code code =
        store_table_clear(upgrade->tally->transaction, STORE_TABLE_POOLS, upgrade->error);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        struct pool pool = pools[i]; // which are in the order of their ids
        pool.id = pool_make_id(pool.labels, pool.group);
        if (memcmp(&pool.id, &pools[i].id, sizeof pool.id) != 0)
            renamings->list[renamings->count++] = (struct renaming){pools[i].id, pool.id};
        code = put_pool(upgrade, pool);
    }
    return code;
}

// --- latencies ---------------------------------------------------------------------------------------------

struct slots {
    uint8_t (*list)[SLOT_SIZE + POOL_ID_SIZE];
    size_t count;
};

static int compare_renamings(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct pool_id));
}

static const struct renaming *find_renaming(const struct renamings *renamings, const void *pool_id)
{
    return renamings->count > 0 ? bsearch(pool_id, renamings->list, renamings->count,
                                          sizeof *renamings->list, compare_renamings)
                                : NULL;
}

static enum error_code find_slots(struct upgrade *upgrade, struct slots *slots)
{
    struct store_transaction *transaction = upgrade->tally->transaction;
    uint64_t most = store_table_count(transaction, STORE_TABLE_LATENCY);
    struct store_walk *walk;
    struct slice key, value;
    slots->list = arena_allocate_array(upgrade->arena, (size_t)most + 1, sizeof *slots->list);
    if (slots->list == NULL)
        return refuse_memory(upgrade);
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_LATENCY, SLICE_EMPTY, &walk, upgrade->error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &key, &value, upgrade->error)) == ERROR_NONE)
        if (key.len == sizeof *slots->list && slots->count < most &&
            find_renaming(&upgrade->pools, key.data + SLOT_SIZE) != NULL)
            memcpy(slots->list[slots->count++], key.data, key.len);
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Adds what is stored of a slot. One that is damaged is set aside where it is met next: here it stays as it is.
static enum error_code read_slot(struct upgrade *upgrade, struct slice key,
                                 struct histogram *histogram, bool *is_sound)
{
    struct slice value;
    struct histogram alone = {0};
    enum error_code code = store_table_get(upgrade->tally->transaction, STORE_TABLE_LATENCY, key,
                                           &value, upgrade->error);
    *is_sound =
        code == ERROR_NOT_FOUND || (code == ERROR_NONE && histogram_decode_into(value, &alone));
    if (*is_sound)
        histogram_merge(histogram, &alone);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code move_slot(struct upgrade *upgrade, const uint8_t *from)
{
    struct tally *tally = upgrade->tally;
    uint8_t to[SLOT_SIZE + POOL_ID_SIZE];
    struct histogram histogram = {0};
    bool is_sound, is_target_sound;
    memcpy(to, from, SLOT_SIZE);
    memcpy(to + SLOT_SIZE, &find_renaming(&upgrade->pools, from + SLOT_SIZE)->to, POOL_ID_SIZE);
    struct slice from_key = slice_of_bytes(from, sizeof to), to_key = slice_of_bytes(to, sizeof to);
    enum error_code code = read_slot(upgrade, from_key, &histogram, &is_sound);
    if (code == ERROR_NONE)
        code = read_slot(upgrade, to_key, &histogram, &is_target_sound);
    if (code != ERROR_NONE || !is_sound || !is_target_sound)
        return code;
    buffer_clear(&tally->bytes);
    code = histogram_encode(&histogram, &tally->bytes);
    if (code == ERROR_NONE)
        code = store_table_put(tally->transaction, STORE_TABLE_LATENCY, to_key,
                               buffer_slice(&tally->bytes), upgrade->error);
    return code == ERROR_NONE ? store_table_delete(tally->transaction, STORE_TABLE_LATENCY,
                                                   from_key, upgrade->error)
                              : code;
}

static enum error_code take_latencies(struct upgrade *upgrade)
{
    struct slots slots = {0};
    enum error_code code = find_slots(upgrade, &slots);
    for (size_t i = 0; i < slots.count && code == ERROR_NONE; i++)
        code = move_slot(upgrade, slots.list[i]);
    return code;
}

// --- series ------------------------------------------------------------------------------------------------

struct old_series {
    struct series_id id;
    struct slice labels; // of the runner
};

static enum error_code offer_series(struct upgrade *upgrade, struct old_series **found,
                                    size_t *count)
{
    struct store_transaction *transaction = upgrade->tally->transaction;
    size_t most = (size_t)series_count(transaction, SERIES_JOB);
    struct series_id id = {{0}};
    struct series series;
    enum error_code code = ERROR_NONE;
    *found = arena_allocate_array(upgrade->arena, most + 1, sizeof **found);
    *count = 0;
    if (*found == NULL)
        return refuse_memory(upgrade);
    while (*count < most && (code = series_seek(transaction, SERIES_JOB, &id, &series,
                                                upgrade->error)) == ERROR_NONE) {
        struct old_series *old = &(*found)[*count];
        *old = (struct old_series){id, series.labels[SERIES_JOB_LABELS]};
        if (!arena_copy_slice(upgrade->arena, old->labels, &old->labels))
            return refuse_memory(upgrade);
        code = join_again(upgrade, &old->labels);
        if (code == ERROR_NONE)
            code = spelling_offer(upgrade->tally, old->labels, upgrade->error);
        if (code != ERROR_NONE)
            return code;
        (*count)++;
        series_id_increment(&id);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// The row of an id, its labels in the arena. ERROR_NOT_FOUND, also for one that is damaged.
static enum error_code get_series(struct upgrade *upgrade, const struct series_id *id,
                                  struct series_row **row)
{
    struct slice value;
    enum error_code code =
        store_table_get(upgrade->tally->transaction, STORE_TABLE_JOB_SERIES,
                        slice_of_bytes(id->bytes, sizeof id->bytes), &value, upgrade->error);
    if (code != ERROR_NONE)
        return code;
    *row = series_allocate_row(upgrade->tally, SERIES_JOB);
    if (*row == NULL || !arena_copy_slice(upgrade->arena, value, &value))
        return refuse_memory(upgrade);
    return series_decode(value, *row) ? ERROR_NONE : ERROR_NOT_FOUND;
}

static enum error_code take_series(struct upgrade *upgrade, const struct old_series *old)
{
    struct tally *tally = upgrade->tally;
    struct series_row *row, *there;
    enum error_code code = get_series(upgrade, &old->id, &row);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    struct slice *labels = &row->labels[SERIES_JOB_LABELS];
    code = spelling_choose(tally, old->labels, labels, upgrade->error);
    if (code != ERROR_NONE)
        return code;
    struct series_id id = series_make_id(SERIES_JOB, row->labels);
    if (memcmp(&id, &old->id, sizeof id) != 0) {
        code = get_series(upgrade, &id, &there);
        if (code == ERROR_NONE) {
            series_add_row(row, there);
            row->used_at = timestamp_later(row->used_at, there->used_at);
        }
        if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
            code = store_table_delete(tally->transaction, STORE_TABLE_JOB_SERIES,
                                      slice_of_bytes(old->id.bytes, sizeof old->id.bytes),
                                      upgrade->error);
    }
    buffer_clear(&tally->bytes);
    if (code == ERROR_NONE)
        code = series_encode(row, &tally->bytes);
    return code == ERROR_NONE ? store_table_put(tally->transaction, STORE_TABLE_JOB_SERIES,
                                                slice_of_bytes(id.bytes, sizeof id.bytes),
                                                buffer_slice(&tally->bytes), upgrade->error)
                              : code;
}

// --- all of it ---------------------------------------------------------------------------------------------

// The spellings are chosen among all, before any is used.
enum error_code tally_upgrade(struct tally *tally, struct error *error)
{
    struct upgrade upgrade = {.tally = tally, .arena = &tally->arena, .error = error};
    struct old_series *series;
    struct pool *pools;
    size_t pools_found, series_found;
    enum error_code code =
        pool_list(tally->transaction, upgrade.arena, &pools, &pools_found, error);
    if (code == ERROR_NONE)
        code = offer_pools(&upgrade, pools, pools_found);
    if (code == ERROR_NONE)
        code = offer_series(&upgrade, &series, &series_found);
    if (code == ERROR_NONE)
        code = take_pools(&upgrade, pools, pools_found);
    if (code == ERROR_NONE)
        code = take_latencies(&upgrade);
    for (size_t i = 0; code == ERROR_NONE && i < series_found; i++)
        code = take_series(&upgrade, &series[i]);
    return code;
}
