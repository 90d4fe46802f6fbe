// Pools of runners: their open jobs and counts, and how their sets of labels are spelled.
#include "ghatrace/stats/pool.h"

#include <stdlib.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/trace/spans.h"
#include "private.h"

#define UNUSED_KEPT NS_PER_DAY
#define LATENCY_GONE (LATENCY_KEPT + LATENCY_SLOT) // by then all rows of the slot are deleted
// pool id ‖ state ‖ be64 since ‖ trace ‖ span
#define JOB_PREFIX_SIZE (POOL_ID_SIZE + 1)
#define JOB_KEY_SIZE (JOB_PREFIX_SIZE + 8 + TRACE_ID_SIZE + SPAN_ID_SIZE)

// --- identity --------------------------------------------------------------------------------------------

static struct pool_id hash_names(struct slice labels, struct slice group)
{
    char text[2 * SAMPLE_TEXT_MAX + 1];
    struct slice parts[] = {utf8_cut(labels, SAMPLE_TEXT_MAX), SLICE("\0"),
                            utf8_cut(group, SAMPLE_TEXT_MAX)};
    size_t len = 0;
    struct pool_id id;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len > 0)
            memcpy(text + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    stats_hash(slice_of_bytes(text, len), id.bytes);
    return id;
}

struct pool_id pool_make_id(struct slice labels, struct slice group)
{
    char room[LABELS_TEXT_MAX];
    return hash_names(labels_identity(labels, room), group);
}

bool pool_is_other(const struct pool_id *id)
{
    struct pool_id other = pool_make_id(STATS_OTHER, SLICE_EMPTY);
    return memcmp(id->bytes, other.bytes, POOL_ID_SIZE) == 0;
}

void pool_id_increment(struct pool_id *id)
{
    for (int i = POOL_ID_SIZE - 1; i >= 0 && ++id->bytes[i] == 0; i--)
        ;
}

static bool is_same_pool(const struct pool_id *a, const struct pool_id *b)
{
    return memcmp(a->bytes, b->bytes, POOL_ID_SIZE) == 0;
}

// --- rows --------------------------------------------------------------------------------------------------

enum error_code pool_encode(const struct pool *pool, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    for (int state = OPEN_JOB_WAITING; state < OPEN_JOB_STATES; state++)
        bytes_write_be(&writer, pool->counts[state], 8);
    bytes_write_be(&writer, (uint64_t)pool->changed_at, 8);
    bytes_write_be(&writer, (uint64_t)pool->latency_slot, 8);
    bytes_write_be(&writer, pool->labels.len, 2);
    bytes_write(&writer, pool->labels.data, pool->labels.len);
    bytes_write(&writer, pool->group.data, pool->group.len);
    return writer.code;
}

// Before the first start of a daemon that ignores case, a tool may find pools whose ids were made from the labels as
// spelled.
static bool is_named_by(struct pool *pool, struct slice key)
{
    if (key.len != POOL_ID_SIZE)
        return false;
    pool->id = pool_make_id(pool->labels, pool->group);
    if (memcmp(pool->id.bytes, key.data, POOL_ID_SIZE) == 0)
        return true;
    pool->id = hash_names(pool->labels, pool->group);
    return memcmp(pool->id.bytes, key.data, POOL_ID_SIZE) == 0;
}

static enum error_code decode_pool(struct slice key, struct slice bytes, struct pool *pool,
                                   struct error *error)
{
    struct byte_reader reader = bytes_reader(bytes);
    *pool = (struct pool){.labels = SLICE_EMPTY};
    for (int state = OPEN_JOB_WAITING; state < OPEN_JOB_STATES; state++)
        pool->counts[state] = bytes_read_be(&reader, 8);
    pool->changed_at = (timestamp_ns)bytes_read_be(&reader, 8);
    pool->latency_slot = (timestamp_ns)bytes_read_be(&reader, 8);
    pool->labels = bytes_read(&reader, bytes_read_be(&reader, 2));
    pool->group = bytes_read(&reader, (size_t)(reader.end - reader.next));
    if (!bytes_is_done(&reader) || !is_named_by(pool, key))
        return error_set(error, ERROR_CORRUPT, "a stored pool is damaged");
    return ERROR_NONE;
}

static bool keep_texts(struct arena *arena, struct pool *pool)
{
    return arena_copy_slice(arena, pool->labels, &pool->labels) &&
           arena_copy_slice(arena, pool->group, &pool->group);
}

static enum error_code add_pool_row(struct stats *stats, const struct pool *pool, struct row **row,
                                    struct error *error)
{
    struct pool *content = arena_allocate_array(&stats->arena, 1, sizeof *content);
    if (content == NULL)
        return error_set(error, ERROR_MEMORY, "load pool: out of memory");
    *content = *pool;
    if (!keep_texts(&stats->arena, content))
        return error_set(error, ERROR_MEMORY, "load pool: out of memory");
    *row = rows_add(stats, STORE_TABLE_POOLS, pool->id.bytes, POOL_ID_SIZE);
    if (*row == NULL)
        return error_set(error, ERROR_MEMORY, "load pool: out of memory");
    (*row)->pool = content;
    return ERROR_NONE;
}

// The row of an existing pool. ERROR_NOT_FOUND, also for a damaged one, which is set aside.
static enum error_code find_pool(struct stats *stats, const struct pool_id *id, struct row **row,
                                 struct error *error)
{
    struct slice key = slice_of_bytes(id->bytes, POOL_ID_SIZE);
    struct slice found;
    struct pool pool;
    *row = rows_find(stats, STORE_TABLE_POOLS, id->bytes, POOL_ID_SIZE);
    if (*row != NULL)
        return ERROR_NONE;
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_POOLS, key, &found, error);
    if (code != ERROR_NONE)
        return code;
    if (decode_pool(key, found, &pool, error) != ERROR_NONE)
        return stats_set_aside(stats, STORE_TABLE_POOLS, key, error);
    return add_pool_row(stats, &pool, row, error);
}

// A pool that was set aside may have open jobs, which are counted in its successor.
static enum error_code recount_open_jobs(struct stats *stats, struct pool *pool,
                                         struct error *error)
{
    struct store_walk *walk;
    struct slice prefix = slice_of_bytes(pool->id.bytes, POOL_ID_SIZE);
    struct store_entry entry = {SLICE_EMPTY, SLICE_EMPTY};
    enum error_code code =
        store_table_walk(stats->transaction, STORE_TABLE_OPEN_JOBS, prefix, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        if (!slice_starts_with(entry.key, prefix))
            break;
        uint8_t state = entry.key.len == JOB_KEY_SIZE ? (uint8_t)entry.key.data[POOL_ID_SIZE] : 0;
        if (state != OPEN_JOB_NONE && state < OPEN_JOB_STATES)
            pool->counts[state]++;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// `pool` has its id, labels and group.
static enum error_code make_pool(struct stats *stats, struct pool *pool, struct row **row,
                                 struct error *error)
{
    pool->changed_at = stats->now;
    enum error_code code = spelling_choose(stats, pool->labels, &pool->labels, error);
    if (code == ERROR_NONE)
        code = recount_open_jobs(stats, pool, error);
    if (code == ERROR_NONE)
        code = add_pool_row(stats, pool, row, error);
    if (code == ERROR_NONE)
        stats->new_rows[STORE_TABLE_POOLS]++;
    return code;
}

enum error_code pool_load_row(struct stats *stats, struct slice labels, struct slice group,
                              struct row **row, struct error *error)
{
    struct pool_id id = pool_make_id(labels, group);
    enum error_code code = find_pool(stats, &id, row, error);
    if (code != ERROR_NOT_FOUND)
        return code;
    struct pool pool = {.id = id, .labels = labels, .group = group};
    if (rows_may_grow(stats, STORE_TABLE_POOLS))
        return make_pool(stats, &pool, row, error);
    stats_note_overflow(stats, "pool", (const struct slice[]){labels, group}, 2);
    pool = (struct pool){.id = pool_make_id(STATS_OTHER, SLICE_EMPTY), .labels = STATS_OTHER};
    code = find_pool(stats, &pool.id, row, error);
    if (code == ERROR_NOT_FOUND)
        code = make_pool(stats, &pool, row, error);
    return code;
}

// --- open jobs -----------------------------------------------------------------------------------------------

static void put_job_key(uint8_t bytes[JOB_KEY_SIZE], const struct pool_id *pool,
                        enum open_job_kind state, timestamp_ns since, const struct store_key *job)
{
    memcpy(bytes, pool->bytes, POOL_ID_SIZE);
    bytes[POOL_ID_SIZE] = (uint8_t)state;
    bytes_put_be64(bytes + JOB_PREFIX_SIZE, (uint64_t)since);
    memcpy(bytes + JOB_PREFIX_SIZE + 8, job->trace.bytes, TRACE_ID_SIZE);
    memcpy(bytes + JOB_PREFIX_SIZE + 8 + TRACE_ID_SIZE, job->span.bytes, SPAN_ID_SIZE);
}

enum error_code pool_place_job(const struct job_state *job, struct arena *arena,
                               struct pool_place *place)
{
    *place = (struct pool_place){.labels = SLICE_EMPTY};
    open_job_state_of(job, &place->open_state);
    if (place->open_state.state == OPEN_JOB_NONE)
        return ERROR_NONE;
    if (!labels_join(job->body.labels, job->body.label_count, arena, &place->labels))
        return ERROR_MEMORY;
    place->group = utf8_cut(job->runner_group_name, SAMPLE_TEXT_MAX);
    place->pool = pool_make_id(place->labels, place->group);
    return ERROR_NONE;
}

// Removes the job from this pool. ERROR_NOT_FOUND if it is not there.
static enum error_code leave_pool(struct stats *stats, const struct pool_id *pool,
                                  const struct open_job_state *open_state,
                                  const struct store_key *job, struct error *error)
{
    uint8_t key[JOB_KEY_SIZE];
    struct row *row;
    put_job_key(key, pool, open_state->state, open_state->since, job);
    enum error_code code = store_table_delete(stats->transaction, STORE_TABLE_OPEN_JOBS,
                                              slice_of_bytes(key, sizeof key), error);
    if (code != ERROR_NONE)
        return code;
    code = find_pool(stats, pool, &row, error);
    if (code == ERROR_NOT_FOUND) // it was damaged; the next job that is added counts the others
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    uint64_t *count = &row->pool->counts[open_state->state];
    *count -= *count > 0 ? 1 : 0;
    row->pool->changed_at = stats->now;
    return ERROR_NONE;
}

// When the job was added, there may have been too many pools for one of its own.
static enum error_code leave_any_pool(struct stats *stats, const struct pool_place *place,
                                      const struct store_key *job, struct error *error)
{
    enum error_code code = leave_pool(stats, &place->pool, &place->open_state, job, error);
    if (code == ERROR_NOT_FOUND) {
        struct pool_id other = pool_make_id(STATS_OTHER, SLICE_EMPTY);
        code = leave_pool(stats, &other, &place->open_state, job, error);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code enter_pool(struct stats *stats, const struct pool_place *place,
                                  const struct store_key *job, struct error *error)
{
    uint8_t key[JOB_KEY_SIZE];
    struct row *row;
    enum error_code code = pool_load_row(stats, place->labels, place->group, &row, error);
    if (code != ERROR_NONE)
        return code;
    row->pool->counts[place->open_state.state]++;
    row->pool->changed_at = stats->now;
    put_job_key(key, &row->pool->id, place->open_state.state, place->open_state.since, job);
    return store_table_put(stats->transaction, STORE_TABLE_OPEN_JOBS,
                           slice_of_bytes(key, sizeof key), SLICE_EMPTY, error);
}

static bool is_same_place(const struct pool_place *a, const struct pool_place *b)
{
    return a->open_state.state == b->open_state.state &&
           a->open_state.since == b->open_state.since && is_same_pool(&a->pool, &b->pool);
}

enum error_code pool_move_job(struct stats *stats, const struct store_key *job,
                              const struct pool_place *before, const struct pool_place *after,
                              struct error *error)
{
    enum error_code code = ERROR_NONE;
    if (is_same_place(before, after) || !stats_covers(stats, job))
        return ERROR_NONE;
    if (before->open_state.state != OPEN_JOB_NONE)
        code = leave_any_pool(stats, before, job, error);
    if (code == ERROR_NONE && after->open_state.state != OPEN_JOB_NONE)
        code = enter_pool(stats, after, job, error);
    return code;
}

static bool is_of_job(struct slice key, const struct store_key *job)
{
    return key.len == JOB_KEY_SIZE &&
           memcmp(key.data + JOB_PREFIX_SIZE + 8, job->trace.bytes, TRACE_ID_SIZE) == 0 &&
           memcmp(key.data + JOB_PREFIX_SIZE + 8 + TRACE_ID_SIZE, job->span.bytes, SPAN_ID_SIZE) ==
               0;
}

// Searches all open jobs, because a damaged state does not contain the job's pool.
static enum error_code find_job(struct stats *stats, const struct store_key *job,
                                uint8_t found[JOB_KEY_SIZE], struct error *error)
{
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code =
        store_table_walk(stats->transaction, STORE_TABLE_OPEN_JOBS, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    do
        code = store_table_next(walk, &entry, error);
    while (code == ERROR_NONE && !is_of_job(entry.key, job));
    if (code == ERROR_NONE)
        memcpy(found, entry.key.data, JOB_KEY_SIZE);
    store_table_end_walk(walk);
    return code;
}

enum error_code pool_remove_unreadable_job(struct stats *stats, const struct store_key *job,
                                           bool *was_open, struct error *error)
{
    uint8_t key[JOB_KEY_SIZE];
    struct pool_id pool;
    enum error_code code = find_job(stats, job, key, error);
    *was_open = code == ERROR_NONE;
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    const struct open_job_state open_state = {
        .state = key[POOL_ID_SIZE] < OPEN_JOB_STATES ? (enum open_job_kind)key[POOL_ID_SIZE]
                                                     : OPEN_JOB_NONE,
        .since = (timestamp_ns)bytes_get_be64(key + JOB_PREFIX_SIZE)};
    memcpy(pool.bytes, key, POOL_ID_SIZE);
    code = leave_pool(stats, &pool, &open_state, job, error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- expiry --------------------------------------------------------------------------------------------------

static bool is_unused(const struct pool *pool, timestamp_ns now)
{
    for (int state = 0; state < OPEN_JOB_STATES; state++) {
        if (pool->counts[state] > 0)
            return false;
    }
    return pool->changed_at < now - UNUSED_KEPT && pool->latency_slot < now - LATENCY_GONE;
}

// Times in the future date from before the clock was set back.
static enum error_code clamp_pool_times(struct stats *stats, struct pool *pool, struct error *error)
{
    if (pool->changed_at <= stats->now && pool->latency_slot <= stats->now)
        return ERROR_NONE;
    pool->changed_at = pool->changed_at > stats->now ? stats->now : pool->changed_at;
    pool->latency_slot = pool->latency_slot > stats->now ? stats->now : pool->latency_slot;
    buffer_clear(&stats->bytes);
    enum error_code code = pool_encode(pool, &stats->bytes);
    if (code != ERROR_NONE)
        return error_set(error, code, "encode pool: %s", error_code_text(code));
    return store_table_put(stats->transaction, STORE_TABLE_POOLS,
                           slice_of_bytes(pool->id.bytes, POOL_ID_SIZE),
                           buffer_slice(&stats->bytes), error);
}

enum error_code pool_expire(struct stats *stats, struct pool_id *from, size_t max, bool *is_end,
                            struct error *error)
{
    *is_end = false;
    for (size_t i = 0; i < max; i++) {
        struct pool pool;
        struct store_entry entry;
        enum error_code code =
            store_table_seek(stats->transaction, STORE_TABLE_POOLS,
                             slice_of_bytes(from->bytes, POOL_ID_SIZE), &entry, error);
        if (code == ERROR_NONE && decode_pool(entry.key, entry.value, &pool, error) != ERROR_NONE) {
            code = stats_set_aside(stats, STORE_TABLE_POOLS, entry.key, error);
            if (code != ERROR_NOT_FOUND)
                return code;
            continue;
        }
        if (code == ERROR_NONE)
            *from = pool.id;
        if (code == ERROR_NOT_FOUND) {
            *from = (struct pool_id){{0}};
            *is_end = true;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE && is_unused(&pool, stats->now))
            code = store_table_delete(stats->transaction, STORE_TABLE_POOLS,
                                      slice_of_bytes(pool.id.bytes, POOL_ID_SIZE), error);
        else if (code == ERROR_NONE)
            code = clamp_pool_times(stats, &pool, error);
        if (code != ERROR_NONE)
            return code;
        pool_id_increment(from);
    }
    return ERROR_NONE;
}

// --- reading ---------------------------------------------------------------------------------------------

uint64_t pool_count(struct store_transaction *transaction)
{
    return store_table_count(transaction, STORE_TABLE_POOLS);
}

enum error_code pool_seek(struct store_transaction *transaction, struct pool_id *id,
                          struct pool *pool, struct error *error)
{
    struct store_entry entry;
    enum error_code code = store_table_seek(transaction, STORE_TABLE_POOLS,
                                            slice_of_bytes(id->bytes, POOL_ID_SIZE), &entry, error);
    if (code == ERROR_NONE)
        code = decode_pool(entry.key, entry.value, pool, error);
    if (code == ERROR_NONE)
        *id = pool->id;
    return code;
}

enum error_code pool_list(struct store_transaction *transaction, struct arena *arena,
                          struct pool **pools, size_t *count, struct error *error)
{
    size_t capacity = (size_t)pool_count(transaction);
    struct pool *list = arena_allocate_array(arena, capacity + 1, sizeof *list);
    struct store_walk *walk;
    struct store_entry entry;
    *count = 0;
    *pools = list;
    if (list == NULL)
        return error_set(error, ERROR_MEMORY, "list pools: out of memory");
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_POOLS, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (code == ERROR_NONE && *count < capacity) {
        code = store_table_next(walk, &entry, error);
        if (code == ERROR_NONE &&
            decode_pool(entry.key, entry.value, &list[*count], error) != ERROR_NONE) {
            store_note_unreadable(transaction);
            continue;
        }
        if (code == ERROR_NONE && !keep_texts(arena, &list[*count]))
            code = error_set(error, ERROR_MEMORY, "list pools: out of memory");
        *count += code == ERROR_NONE ? 1 : 0;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_seek_job(struct store_transaction *transaction, const struct pool_id *pool,
                              enum open_job_kind state, struct pool_job *job, struct error *error)
{
    uint8_t bytes[JOB_KEY_SIZE];
    struct store_entry entry;
    put_job_key(bytes, pool, state, job->since, &job->key);
    enum error_code code = store_table_seek(transaction, STORE_TABLE_OPEN_JOBS,
                                            slice_of_bytes(bytes, sizeof bytes), &entry, error);
    if (code != ERROR_NONE)
        return code;
    while (entry.key.len != JOB_KEY_SIZE) {
        uint8_t next[STORE_TABLE_KEY_MAX];
        size_t len = entry.key.len < sizeof next ? entry.key.len : sizeof next - 1;
        memcpy(next, entry.key.data, len);
        next[len] = 0; // right after it
        store_note_unreadable(transaction);
        code = store_table_seek(transaction, STORE_TABLE_OPEN_JOBS, slice_of_bytes(next, len + 1),
                                &entry, error);
        if (code != ERROR_NONE)
            return code;
    }
    if (memcmp(entry.key.data, bytes, JOB_PREFIX_SIZE) != 0)
        return ERROR_NOT_FOUND;
    job->since = (timestamp_ns)bytes_get_be64(entry.key.data + JOB_PREFIX_SIZE);
    memcpy(job->key.trace.bytes, entry.key.data + JOB_PREFIX_SIZE + 8, TRACE_ID_SIZE);
    memcpy(job->key.span.bytes, entry.key.data + JOB_PREFIX_SIZE + 8 + TRACE_ID_SIZE, SPAN_ID_SIZE);
    return ERROR_NONE;
}

void pool_job_increment(struct pool_job *job)
{
    static const struct store_key lowest;
    store_key_increment(&job->key);
    if (memcmp(&job->key, &lowest, sizeof lowest) == 0)
        job->since++;
}

// --- the spelling of a set of labels -------------------------------------------------------------

// Pools and series of jobs have at most `max_series` sets each. At twice that number, at least half of the spellings
// are unused.
#define SPELLINGS_PER_SERIES 4

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
        struct set_id id = id_of(series.labels[SERIES_JOB_LABELS]);
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
    if (count / SPELLINGS_PER_SERIES <= stats->max_series)
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
