// Folding: sets of labels beyond the limit of pools are counted in "(one-off)", the least used ones first.
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool.h"
#include "private.h"

#define SCAN_EVERY NS_PER_SECOND // at most, of all pools
#define SETTLE_EVERY NS_PER_SECOND
#define FOLDS_PER_TRANSACTION 8
#define EXCESS_PER_SETTLE 32
#define FOLD_JOBS_MAX 256 // a pool with more open jobs is not folded

// --- started jobs of folded sets -----------------------------------------------------------------------------

// Two halves of a hash.
static size_t column_of(const struct pool_id *id, size_t row)
{
    return (size_t)(bytes_get_be64(id->bytes + 8 * row) % SKETCH_COLUMNS);
}

static void halve_sketch(struct folding *folding)
{
    folding->sketch_sum = 0;
    for (size_t row = 0; row < SKETCH_ROWS; row++)
        for (size_t i = 0; i < SKETCH_COLUMNS; i++)
            folding->sketch[row][i] /= 2;
    for (size_t i = 0; i < SKETCH_COLUMNS; i++)
        folding->sketch_sum += folding->sketch[0][i];
}

void fold_count_start(struct stats *stats, const struct pool_id *id)
{
    struct folding *folding = &stats->folding;
    for (size_t row = 0; row < SKETCH_ROWS; row++) {
        uint16_t *cell = &folding->sketch[row][column_of(id, row)];
        *cell = (uint16_t)(*cell + (*cell < UINT16_MAX ? 1 : 0));
    }
    if (++folding->sketch_sum > SKETCH_SUM_MAX)
        halve_sketch(folding);
}

uint32_t fold_estimate(const struct stats *stats, const struct pool_id *id)
{
    uint32_t least = UINT32_MAX;
    for (size_t row = 0; row < SKETCH_ROWS; row++) {
        uint32_t cell = stats->folding.sketch[row][column_of(id, row)];
        least = cell < least ? cell : least;
    }
    return least > SKETCH_NOISE ? least - SKETCH_NOISE : 0;
}

// --- candidates ----------------------------------------------------------------------------------------------

// The pool with fewer started jobs is folded first, then that with fewer open ones, then the one unused for longer.
static int compare_use(const struct fold_candidate *a, const struct fold_candidate *b)
{
    if (a->started != b->started)
        return a->started < b->started ? -1 : 1;
    if (a->open != b->open)
        return a->open < b->open ? -1 : 1;
    return 0;
}

static int compare_fold_candidates(const struct fold_candidate *a, const struct fold_candidate *b)
{
    int order = compare_use(a, b);
    if (order != 0)
        return order;
    if (a->changed_at != b->changed_at)
        return a->changed_at < b->changed_at ? -1 : 1;
    return memcmp(&a->id, &b->id, sizeof a->id);
}

// Keeps the list sorted, and the last out of it if it is full.
static void offer_candidate(struct folding *folding, const struct fold_candidate *candidate)
{
    struct fold_candidate *list = folding->candidates;
    size_t at = folding->count;
    if (at == FOLD_CANDIDATES_MAX && compare_fold_candidates(&list[--at], candidate) < 0)
        return;
    for (; at > 0 && compare_fold_candidates(&list[at - 1], candidate) > 0; at--)
        list[at] = list[at - 1];
    list[at] = *candidate;
    folding->count += folding->count < FOLD_CANDIDATES_MAX ? 1 : 0;
}

// The pool of a row that this transaction has not loaded. False: it may not be folded.
static bool read_candidate(const struct stats *stats, const struct store_entry *entry,
                           struct fold_candidate *candidate, struct pool *pool)
{
    if (entry->key.len != POOL_ID_SIZE || !pool_decode(entry->value, pool))
        return false;
    memcpy(candidate->id.bytes, entry->key.data, POOL_ID_SIZE);
    candidate->open = pool_open_jobs(pool);
    candidate->started = pool_started(pool, stats->now) + pool->counts[OPEN_JOB_RUNNING];
    candidate->changed_at = pool->changed_at;
    return !pool->is_rule && candidate->open <= FOLD_JOBS_MAX && !pool_is_one_off(&candidate->id) &&
           rows_find(stats, STORE_TABLE_POOLS, candidate->id.bytes, POOL_ID_SIZE) == NULL;
}

static enum error_code scan_pools(struct stats *stats, struct error *error)
{
    struct folding *folding = &stats->folding;
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code =
        store_table_walk(stats->transaction, STORE_TABLE_POOLS, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    folding->next = folding->count = 0;
    folding->scanned_at = stats->now;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        struct fold_candidate candidate;
        struct pool pool;
        if (read_candidate(stats, &entry, &candidate, &pool))
            offer_candidate(folding, &candidate);
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// `last`: when it was done; TIMESTAMP_UNKNOWN: never.
static bool is_due_again(const struct stats *stats, timestamp_ns last, duration_ns every)
{
    duration_ns since = stats->now - last;
    return last == TIMESTAMP_UNKNOWN || since < 0 || since >= every;
}

// True if the next one is used less than `newcomer`, as far as is known; the others are used as much or more.
static bool has_candidate(const struct folding *folding, const struct fold_candidate *newcomer)
{
    return folding->next < folding->count &&
           (newcomer == NULL || compare_use(&folding->candidates[folding->next], newcomer) < 0);
}

// The least used pool, as it is now, if it is used less than `newcomer`; NULL: any. ERROR_NOT_FOUND.
static enum error_code next_candidate(struct stats *stats, const struct fold_candidate *newcomer,
                                      struct fold_candidate *found, struct pool *pool,
                                      struct error *error)
{
    struct folding *folding = &stats->folding;
    bool has_scanned = false;
    for (;;) {
        if (!has_candidate(folding, newcomer)) {
            if (has_scanned || !is_due_again(stats, stats->folding.scanned_at, SCAN_EVERY))
                return ERROR_NOT_FOUND;
            enum error_code code = scan_pools(stats, error);
            if (code != ERROR_NONE)
                return code;
            has_scanned = true;
            continue;
        }
        const struct fold_candidate *candidate = &folding->candidates[folding->next++];
        struct store_entry entry = {.key = pool_id_key(&candidate->id)};
        enum error_code code =
            store_table_get(stats->transaction, STORE_TABLE_POOLS, entry.key, &entry.value, error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        if (code == ERROR_NONE && read_candidate(stats, &entry, found, pool) &&
            compare_use(found, candidate) <= 0)
            return ERROR_NONE;
    }
}

// --- folding -------------------------------------------------------------------------------------------------

struct moved_jobs {
    uint8_t keys[FOLD_JOBS_MAX][POOL_JOB_KEY_SIZE];
    size_t count;
};

static enum error_code list_jobs(struct stats *stats, const struct pool_id *id,
                                 struct moved_jobs *jobs, struct error *error)
{
    struct slice prefix = pool_id_key(id);
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code =
        store_table_walk(stats->transaction, STORE_TABLE_OPEN_JOBS, prefix, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (jobs->count < FOLD_JOBS_MAX &&
           (code = store_table_next(walk, &entry, error)) == ERROR_NONE &&
           slice_starts_with(entry.key, prefix))
        if (entry.key.len == POOL_JOB_KEY_SIZE)
            memcpy(jobs->keys[jobs->count++], entry.key.data, POOL_JOB_KEY_SIZE);
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Moves an open job to another pool. `key` becomes that of the new one; `own`: the pool that it would be in, if it is
// folded, else NULL.
static enum error_code move_open_job(struct stats *stats, uint8_t key[POOL_JOB_KEY_SIZE],
                                     struct pool *to, const struct pool_id *own,
                                     struct error *error)
{
    uint8_t state = key[POOL_ID_SIZE];
    enum error_code code = store_table_delete(stats->transaction, STORE_TABLE_OPEN_JOBS,
                                              slice_of_bytes(key, POOL_JOB_KEY_SIZE), error);
    if (code != ERROR_NONE)
        return code;
    if (state < OPEN_JOB_STATES)
        to->counts[state]++;
    memcpy(key, to->id.bytes, POOL_ID_SIZE);
    return store_table_put(stats->transaction, STORE_TABLE_OPEN_JOBS,
                           slice_of_bytes(key, POOL_JOB_KEY_SIZE),
                           own != NULL ? pool_id_key(own) : SLICE_EMPTY, error);
}

static enum error_code move_jobs(struct stats *stats, const struct pool_id *from, struct pool *to,
                                 struct error *error)
{
    struct moved_jobs *jobs = arena_allocate_array(&stats->arena, 1, sizeof *jobs);
    if (jobs == NULL)
        return error_set(error, ERROR_MEMORY, "fold pools: out of memory");
    enum error_code code = list_jobs(stats, from, jobs, error);
    for (size_t i = 0; i < jobs->count && code == ERROR_NONE; i++)
        code = move_open_job(stats, jobs->keys[i], to, from, error);
    stats->folding.is_unlikely = stats->folding.is_unlikely && jobs->count == 0;
    return code;
}

static enum error_code fold_pool(struct stats *stats, const struct pool_id *id, struct pool *pool,
                                 struct error *error)
{
    struct row *one_off;
    pool->id = *id;
    enum error_code code = pool_load_one_off(stats, &one_off, error);
    if (code == ERROR_NONE)
        code = move_jobs(stats, id, one_off->pool, error);
    if (code == ERROR_NONE)
        code = latency_move(stats, pool, one_off->pool, error);
    if (code == ERROR_NONE)
        code = latency_drop_waits(stats, id, error);
    if (code == ERROR_NONE)
        code = pool_minutes_move(stats, pool, &one_off->pool->id, error);
    if (code == ERROR_NONE)
        code = pool_hours_drop(stats, id, error);
    if (code != ERROR_NONE)
        return code;
    one_off->pool->changed_at = stats->now;
    stats->folding.folds++;
    return store_table_delete(stats->transaction, STORE_TABLE_POOLS, pool_id_key(id), error);
}

enum error_code fold_make_room(struct stats *stats, const struct pool_id *id,
                               const struct pool_demand *demand, bool *has_room,
                               struct error *error)
{
    struct fold_candidate newcomer = {
        .started = fold_estimate(stats, id) + (demand->is_start ? 1 : 0), .open = 1};
    struct fold_candidate found;
    struct pool pool;
    *has_room = rows_may_grow(stats, STORE_TABLE_POOLS);
    if (*has_room || store_is_tight(stats->transaction) ||
        (!demand->is_rule && stats->folding.folds >= FOLDS_PER_TRANSACTION))
        return ERROR_NONE;
    enum error_code code =
        next_candidate(stats, demand->is_rule ? NULL : &newcomer, &found, &pool, error);
    if (code == ERROR_NOT_FOUND) {
        *has_room = demand->is_rule; // there are as few of these as there are rules
        return ERROR_NONE;
    }
    if (code == ERROR_NONE)
        code = fold_pool(stats, &found.id, &pool, error);
    *has_room = code == ERROR_NONE;
    return code;
}

// --- settling ------------------------------------------------------------------------------------------------

static enum error_code fold_excess(struct stats *stats, struct error *error)
{
    enum error_code code = ERROR_NONE;
    unsigned folds = 0;
    while (code == ERROR_NONE && folds++ < EXCESS_PER_SETTLE &&
           pool_count(stats->transaction) + stats->new_rows[STORE_TABLE_POOLS] >
               stats->max_pools + 1) {
        struct fold_candidate found;
        struct pool pool;
        code = next_candidate(stats, NULL, &found, &pool, error);
        if (code == ERROR_NONE)
            code = fold_pool(stats, &found.id, &pool, error);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// The next folded job: its key, and the pool that it would be in. ERROR_NOT_FOUND at the end.
static enum error_code seek_folded(struct stats *stats, const struct pool_id *one_off,
                                   struct pool_id *own, struct error *error)
{
    struct folding *folding = &stats->folding;
    uint8_t next[POOL_JOB_KEY_SIZE + 1] = {0}; // the last byte: right after it
    size_t len = folding->is_settling ? sizeof next : POOL_ID_SIZE;
    struct store_entry entry;
    memcpy(next, folding->is_settling ? folding->settled : one_off->bytes,
           len < sizeof next ? len : len - 1);
    enum error_code code = store_table_seek(stats->transaction, STORE_TABLE_OPEN_JOBS,
                                            slice_of_bytes(next, len), &entry, error);
    if (code == ERROR_NONE &&
        (entry.key.len != POOL_JOB_KEY_SIZE || !slice_starts_with(entry.key, pool_id_key(one_off))))
        code = ERROR_NOT_FOUND;
    if (code != ERROR_NONE)
        return code;
    memcpy(folding->settled, entry.key.data, sizeof folding->settled);
    folding->is_settling = folding->has_folded = true;
    *own = *one_off;
    if (entry.value.len == POOL_ID_SIZE)
        memcpy(own->bytes, entry.value.data, POOL_ID_SIZE);
    return ERROR_NONE;
}

static enum error_code settle_minutes(struct stats *stats, const uint8_t key[POOL_JOB_KEY_SIZE],
                                      const struct pool_id *from, const struct pool_id *to,
                                      struct error *error)
{
    const struct open_job_state since = pool_job_state(key);
    enum error_code code = pool_minutes_shift(stats, from, &since, -1, error);
    return code == ERROR_NONE ? pool_minutes_shift(stats, to, &since, 1, error) : code;
}

// Moves the job at `settled` to its own pool, if there is one.
static enum error_code settle_job(struct stats *stats, const struct pool_id *one_off,
                                  const struct pool_id *own, struct error *error)
{
    uint8_t key[POOL_JOB_KEY_SIZE];
    struct row *from, *to;
    if (pool_id_equals(one_off, own))
        return ERROR_NONE;
    enum error_code code = pool_find_row(stats, own, &to, error);
    if (code == ERROR_NONE)
        code = pool_find_row(stats, one_off, &from, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    memcpy(key, stats->folding.settled, sizeof key);
    uint64_t *count = &from->pool->counts[key[POOL_ID_SIZE] % OPEN_JOB_STATES];
    *count -= *count > 0 ? 1 : 0;
    code = settle_minutes(stats, key, &from->pool->id, &to->pool->id, error);
    return code == ERROR_NONE ? move_open_job(stats, key, to->pool, NULL, error) : code;
}

static enum error_code settle_jobs(struct stats *stats, size_t max, struct error *error)
{
    struct folding *folding = &stats->folding;
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < max && code == ERROR_NONE; i++) {
        struct pool_id own;
        code = seek_folded(stats, &pool_one_off_id, &own, error);
        if (code == ERROR_NONE)
            code = settle_job(stats, &pool_one_off_id, &own, error);
    }
    if (code != ERROR_NOT_FOUND)
        return code;
    folding->is_unlikely = !folding->has_folded;
    folding->is_settling = folding->has_folded = false;
    return ERROR_NONE;
}

enum error_code pool_settle_folded(struct stats *stats, size_t max, struct error *error)
{
    struct folding *folding = &stats->folding;
    bool is_over = pool_count(stats->transaction) > stats->max_pools + 1;
    if ((folding->is_unlikely && !is_over) ||
        !is_due_again(stats, folding->settled_at, SETTLE_EVERY))
        return ERROR_NONE;
    folding->settled_at = stats->now;
    enum error_code code = fold_excess(stats, error);
    if (code == ERROR_NONE && !folding->is_unlikely)
        code = settle_jobs(stats, max, error);
    return code == ERROR_NONE ? stats_flush(stats, error) : code;
}
