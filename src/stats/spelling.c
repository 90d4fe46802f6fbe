// The spelling of sets of labels.
#include "ghatrace/stats/spelling.h"

#include <stdlib.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/series.h"
#include "private.h"

// Pools and series of jobs have at most so many sets each. At twice that number, at least half of the spellings are
// unused.
#define SPELLINGS_PER_SET 2

struct set_id {
    uint8_t bytes[HASH_SIZE];
};

static struct set_id id_of(struct slice labels)
{
    char room[LABELS_TEXT_MAX];
    struct set_id id;
    stats_hash(labels_identity(labels, room), id.bytes);
    return id;
}

static struct slice key_of(const struct set_id *id)
{
    return slice_of_bytes(id->bytes, sizeof id->bytes);
}

// --- choosing ----------------------------------------------------------------------------------------------

// ERROR_NOT_FOUND, also for a damaged one, which is set aside.
static enum error_code find_spelling(struct stats *stats, const struct set_id *id,
                                     struct slice *found, struct error *error)
{
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_SPELLINGS, key_of(id), found, error);
    if (code != ERROR_NONE)
        return code;
    struct set_id actual = id_of(*found);
    if (memcmp(&actual, id, sizeof actual) != 0)
        return stats_set_aside(stats, STORE_TABLE_SPELLINGS, key_of(id), error);
    return ERROR_NONE;
}

static enum error_code put_spelling(struct stats *stats, const struct set_id *id,
                                    struct slice labels, struct error *error)
{
    return store_table_put(stats->transaction, STORE_TABLE_SPELLINGS, key_of(id), labels, error);
}

// "other" keeps its spelling, even if a runner has a label that differs from it only in case.
enum error_code spelling_choose(struct stats *stats, struct slice labels, struct slice *shown,
                                struct error *error)
{
    struct set_id id = id_of(labels);
    if (slice_equals_ignoring_case(labels, STATS_OTHER)) {
        *shown = STATS_OTHER;
        return ERROR_NONE;
    }
    enum error_code code = find_spelling(stats, &id, shown, error);
    if (code == ERROR_NOT_FOUND) {
        *shown = labels;
        code = put_spelling(stats, &id, labels, error);
    }
    if (code == ERROR_NONE && !arena_copy_slice(&stats->arena, *shown, shown))
        code = error_set(error, ERROR_MEMORY, "choose a spelling: out of memory");
    return code;
}

enum error_code spelling_keep_first(struct stats *stats, struct slice labels, struct error *error)
{
    struct set_id id = id_of(labels);
    struct slice found;
    enum error_code code = find_spelling(stats, &id, &found, error);
    if (code == ERROR_NONE && slice_compare(found, labels) <= 0)
        return ERROR_NONE;
    return code == ERROR_NONE || code == ERROR_NOT_FOUND ? put_spelling(stats, &id, labels, error)
                                                         : code;
}

// --- expiry ------------------------------------------------------------------------------------------------

struct sets {
    struct set_id *list;
    size_t count, capacity;
};

static enum error_code make_room_for_sets(struct sets *sets, uint64_t capacity, struct error *error)
{
    sets->capacity = (size_t)capacity;
    sets->list = memory_allocate_array(sets->capacity + 1, sizeof *sets->list);
    return sets->list != NULL ? ERROR_NONE
                              : error_set(error, ERROR_MEMORY, "expire spellings: out of memory");
}

static int compare_sets(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct set_id));
}

static void add_set(struct sets *sets, const struct set_id *id)
{
    if (sets->count < sets->capacity)
        sets->list[sets->count++] = *id;
}

static enum error_code collect_used(struct stats *stats, struct sets *used, struct error *error)
{
    struct series_id series_id = {{0}};
    struct series series;
    struct pool *pools;
    size_t count;
    enum error_code code = pool_list(stats->transaction, &stats->arena, &pools, &count, error);
    for (size_t i = 0; code == ERROR_NONE && i < count; i++) {
        struct set_id id = id_of(pools[i].labels);
        add_set(used, &id);
    }
    while (code == ERROR_NONE && (code = series_seek(stats->transaction, SERIES_JOB, &series_id,
                                                     &series, error)) == ERROR_NONE) {
        struct set_id id = id_of(series.labels[SERIES_RUNNER_LABELS]);
        add_set(used, &id);
        series_id_increment(&series_id);
    }
    if (used->count > 1)
        qsort(used->list, used->count, sizeof *used->list, compare_sets);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static bool is_used(const struct sets *used, struct slice key)
{
    return key.len == sizeof(struct set_id) && used->count > 0 &&
           bsearch(key.data, used->list, used->count, sizeof *used->list, compare_sets) != NULL;
}

static enum error_code collect_unused(struct store_transaction *transaction,
                                      const struct sets *used, struct sets *unused,
                                      struct error *error)
{
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_SPELLINGS, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        struct set_id id;
        if (entry.key.len != sizeof id || is_used(used, entry.key))
            continue;
        memcpy(&id, entry.key.data, sizeof id);
        add_set(unused, &id);
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code spelling_expire(struct stats *stats, struct error *error)
{
    struct store_transaction *transaction = stats->transaction;
    struct sets used = {0}, unused = {0};
    uint64_t count = store_table_count(transaction, STORE_TABLE_SPELLINGS);
    if (count / SPELLINGS_PER_SET <= stats->max_series + stats->max_pools)
        return ERROR_NONE;
    enum error_code code = make_room_for_sets(
        &used, pool_count(transaction) + series_count(transaction, SERIES_JOB), error);
    if (code == ERROR_NONE)
        code = make_room_for_sets(&unused, count, error);
    if (code == ERROR_NONE)
        code = collect_used(stats, &used, error);
    if (code == ERROR_NONE)
        code = collect_unused(transaction, &used, &unused, error);
    for (size_t i = 0; i < unused.count && code == ERROR_NONE; i++)
        code =
            store_table_delete(transaction, STORE_TABLE_SPELLINGS, key_of(&unused.list[i]), error);
    memory_free(used.list);
    memory_free(unused.list);
    return code;
}
