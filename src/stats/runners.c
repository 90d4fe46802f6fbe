// Running jobs by their runner.
#include "ghatrace/stats/runners.h"

#include <string.h>

#include "private.h"

#define JOB_SIZE (TRACE_ID_SIZE + SPAN_ID_SIZE)
#define RUNNER_KEY_SIZE (1 + RUNNER_ID_SIZE + JOB_SIZE)
#define REUSE_KEY_SIZE (1 + JOB_SIZE)
#define REUSE_SIZE (8 + POOL_ID_SIZE)
#define RUNNER_JOBS_MAX 8 // looked at on one runner: it has one job, and those whose end was lost
#define HOSTED_GROUP SLICE("GitHub Actions")
#define HOSTED_NAME SLICE("GitHub Actions ")

// --- which runner ---------------------------------------------------------------------------------

static struct slice owner_of(struct slice full_name)
{
    ptrdiff_t slash = slice_find(full_name, SLICE("/"));
    return (struct slice){full_name.data, slash >= 0 ? (size_t)slash : full_name.len};
}

static void mix_into(uint8_t hash[HASH_SIZE], struct slice text)
{
    uint8_t both[2 * HASH_SIZE];
    memcpy(both, hash, HASH_SIZE);
    stats_hash(text, both + HASH_SIZE);
    stats_hash(slice_of_bytes(both, sizeof both), hash);
}

struct runner_use runner_use_of(const struct job_state *job)
{
    struct runner_use use = {.start = TIMESTAMP_UNKNOWN};
    uint8_t id[8];
    struct open_job_state open_state;
    if (job->runner_id <= 0 || job->runner_name.len == 0 || job->phase == JOB_NEW ||
        slice_equals(job->runner_group_name, HOSTED_GROUP) ||
        slice_starts_with(job->runner_name, HOSTED_NAME))
        return use;
    open_job_state_of_any(job, &open_state);
    if (open_state.state != OPEN_JOB_RUNNING || job->body.started_at == TIMESTAMP_UNKNOWN)
        return use;
    bytes_put_be64(id, (uint64_t)job->runner_id);
    stats_hash(slice_of_bytes(id, sizeof id), use.runner);
    mix_into(use.runner, job->server);
    mix_into(use.runner, owner_of(job->repository.full_name));
    mix_into(use.runner, job->runner_name);
    use.start = job->body.started_at;
    return use;
}

// --- keys -----------------------------------------------------------------------------------------

static void put_job_of_use(uint8_t *bytes, const struct store_key *job)
{
    memcpy(bytes, job->trace.bytes, TRACE_ID_SIZE);
    memcpy(bytes + TRACE_ID_SIZE, job->span.bytes, SPAN_ID_SIZE);
}

static void read_job_of_use(const char *bytes, struct store_key *job)
{
    memcpy(job->trace.bytes, bytes, TRACE_ID_SIZE);
    memcpy(job->span.bytes, bytes + TRACE_ID_SIZE, SPAN_ID_SIZE);
}

static bool is_same_key(const struct store_key *a, const struct store_key *b)
{
    return memcmp(a->trace.bytes, b->trace.bytes, TRACE_ID_SIZE) == 0 &&
           memcmp(a->span.bytes, b->span.bytes, SPAN_ID_SIZE) == 0;
}

static struct slice runner_key(uint8_t key[RUNNER_KEY_SIZE], const struct runner_use *use,
                               const struct store_key *job)
{
    key[0] = 'r';
    memcpy(key + 1, use->runner, RUNNER_ID_SIZE);
    put_job_of_use(key + 1 + RUNNER_ID_SIZE, job);
    return slice_of_bytes(key, RUNNER_KEY_SIZE);
}

static struct slice reuse_key(uint8_t key[REUSE_KEY_SIZE], const struct store_key *job)
{
    key[0] = 'm';
    put_job_of_use(key + 1, job);
    return slice_of_bytes(key, REUSE_KEY_SIZE);
}

// --- writing --------------------------------------------------------------------------------------

static enum error_code drop_use(struct stats *stats, struct slice key, struct error *error)
{
    enum error_code code = store_table_delete(stats->transaction, STORE_TABLE_RUNNERS, key, error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Keeps the earlier time.
static enum error_code note_reuse(struct stats *stats, const struct store_key *job,
                                  const struct pool_id *pool, timestamp_ns since,
                                  struct error *error)
{
    uint8_t key[REUSE_KEY_SIZE], value[REUSE_SIZE];
    struct slice name = reuse_key(key, job), found;
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_RUNNERS, name, &found, error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    if (code == ERROR_NONE && found.len == REUSE_SIZE &&
        (timestamp_ns)bytes_get_be64(found.data) <= since)
        return ERROR_NONE;
    bytes_put_be64(value, (uint64_t)since);
    memcpy(value + 8, pool->bytes, POOL_ID_SIZE);
    return store_table_put(stats->transaction, STORE_TABLE_RUNNERS, name,
                           slice_of_bytes(value, sizeof value), error);
}

// The jobs on one runner, one after the other.
struct runner_walk {
    uint8_t key[RUNNER_KEY_SIZE + 1]; // where the next one is sought
    size_t key_len;
    size_t looked_at;
    struct store_key job;
    struct pool_id pool;
    timestamp_ns start;
};

static void begin_runner_walk(struct runner_walk *walk, const struct runner_use *use)
{
    walk->key[0] = 'r';
    memcpy(walk->key + 1, use->runner, RUNNER_ID_SIZE);
    walk->key_len = 1 + RUNNER_ID_SIZE;
    walk->looked_at = 0;
}

// The table may change between two calls. ERROR_NOT_FOUND: no other job, or RUNNER_JOBS_MAX seen.
static enum error_code next_on_runner(struct stats *stats, struct runner_walk *walk,
                                      struct error *error)
{
    struct store_entry found;
    if (walk->looked_at++ == RUNNER_JOBS_MAX)
        return ERROR_NOT_FOUND;
    enum error_code code =
        store_table_seek(stats->transaction, STORE_TABLE_RUNNERS,
                         slice_of_bytes(walk->key, walk->key_len), &found, error);
    if (code != ERROR_NONE)
        return code;
    if (found.key.len != RUNNER_KEY_SIZE || found.value.len != REUSE_SIZE ||
        memcmp(found.key.data, walk->key, 1 + RUNNER_ID_SIZE) != 0)
        return ERROR_NOT_FOUND;
    memcpy(walk->key, found.key.data, RUNNER_KEY_SIZE);
    walk->key[RUNNER_KEY_SIZE] = 0;
    walk->key_len = sizeof walk->key;
    read_job_of_use(found.key.data + 1 + RUNNER_ID_SIZE, &walk->job);
    walk->start = (timestamp_ns)bytes_get_be64(found.value.data);
    memcpy(walk->pool.bytes, found.value.data + 8, POOL_ID_SIZE);
    return ERROR_NONE;
}

// Compares the job with those that run on its runner: the earlier one of two is not there any more.
static enum error_code note_reuses(struct stats *stats, const struct store_key *job,
                                   const struct pool_place *place, struct error *error)
{
    struct runner_walk other;
    enum error_code code = ERROR_NONE;
    begin_runner_walk(&other, &place->use);
    while (code == ERROR_NONE && (code = next_on_runner(stats, &other, error)) == ERROR_NONE) {
        if (is_same_key(&other.job, job) || other.start == place->use.start)
            continue;
        if (other.start < place->use.start)
            code = note_reuse(stats, &other.job, &other.pool, place->use.start, error);
        else if (place->open_state.state == OPEN_JOB_RUNNING)
            code = note_reuse(stats, job, &place->pool, other.start, error);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Forgets that a runner was reused by a job that started at this time.
static enum error_code drop_reuse(struct stats *stats, const struct store_key *job,
                                  timestamp_ns since, struct error *error)
{
    uint8_t key[REUSE_KEY_SIZE];
    timestamp_ns reused_at;
    enum error_code code = runners_find_reuse(stats->transaction, job, &reused_at, error);
    if (code != ERROR_NONE || reused_at != since)
        return code;
    return drop_use(stats, reuse_key(key, job), error);
}

// The job did not start at this time after all, so it took the runner from no other job then.
static enum error_code drop_reuses(struct stats *stats, const struct store_key *job,
                                   const struct pool_place *place, struct error *error)
{
    struct runner_walk other;
    enum error_code code = ERROR_NONE;
    begin_runner_walk(&other, &place->use);
    while (code == ERROR_NONE && (code = next_on_runner(stats, &other, error)) == ERROR_NONE) {
        if (!is_same_key(&other.job, job))
            code = drop_reuse(stats, &other.job, place->use.start, error);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static bool runs_on_any(const struct pool_place *place)
{
    return place->open_state.state == OPEN_JOB_RUNNING && place->use.start != TIMESTAMP_UNKNOWN;
}

static bool is_same_runner(const struct pool_place *a, const struct pool_place *b)
{
    return memcmp(a->use.runner, b->use.runner, RUNNER_ID_SIZE) == 0;
}

static enum error_code enter_runner(struct stats *stats, const struct store_key *job,
                                    const struct pool_place *place, struct error *error)
{
    uint8_t key[RUNNER_KEY_SIZE], value[REUSE_SIZE];
    bytes_put_be64(value, (uint64_t)place->use.start);
    memcpy(value + 8, place->pool.bytes, POOL_ID_SIZE);
    return store_table_put(stats->transaction, STORE_TABLE_RUNNERS,
                           runner_key(key, &place->use, job), slice_of_bytes(value, sizeof value),
                           error);
}

static enum error_code leave_runner(struct stats *stats, const struct store_key *job,
                                    const struct pool_place *place, struct error *error)
{
    uint8_t key[RUNNER_KEY_SIZE];
    enum error_code code = drop_use(stats, runner_key(key, &place->use, job), error);
    return code == ERROR_NONE ? drop_use(stats, reuse_key(key, job), error) : code;
}

enum error_code runners_move_job(struct stats *stats, const struct store_key *job,
                                 const struct pool_place *before, const struct pool_place *after,
                                 struct error *error)
{
    bool did_run = runs_on_any(before), runs = runs_on_any(after);
    bool is_same = is_same_runner(before, after);
    enum error_code code = ERROR_NONE;
    if (did_run == runs && is_same && before->use.start == after->use.start &&
        (!runs || pool_id_equals(&before->pool, &after->pool)))
        return ERROR_NONE;
    if (did_run && (!runs || !is_same))
        code = leave_runner(stats, job, before, error);
    if (code == ERROR_NONE && runs)
        code = enter_runner(stats, job, after, error);
    bool is_moved = !is_same || before->use.start != after->use.start;
    if (code == ERROR_NONE && did_run && is_moved && after->use.start != TIMESTAMP_UNKNOWN)
        code = drop_reuses(stats, job, before, error);
    if (code == ERROR_NONE && after->use.start != TIMESTAMP_UNKNOWN)
        code = note_reuses(stats, job, after, error);
    return code;
}

enum error_code runners_correct_start(struct stats *stats, const struct store_key *job,
                                      const struct pool_place *place, timestamp_ns started,
                                      struct error *error)
{
    struct pool_place corrected = *place;
    corrected.open_state.state = OPEN_JOB_NONE;
    corrected.use.start = started;
    if (place->use.start == TIMESTAMP_UNKNOWN)
        return ERROR_NONE;
    enum error_code code = drop_reuses(stats, job, place, error);
    return code == ERROR_NONE ? note_reuses(stats, job, &corrected, error) : code;
}

enum error_code runners_remove_unreadable_job(struct stats *stats, const struct store_key *job,
                                              struct error *error)
{
    uint8_t key[RUNNER_KEY_SIZE];
    struct store_walk *walk;
    struct store_entry entry;
    bool is_found = false;
    enum error_code code =
        store_table_walk(stats->transaction, STORE_TABLE_RUNNERS, SLICE("r"), &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (!is_found && (code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        struct store_key of = {.trace = {{0}}};
        if (entry.key.len == RUNNER_KEY_SIZE)
            read_job_of_use(entry.key.data + 1 + RUNNER_ID_SIZE, &of);
        is_found = is_same_key(&of, job);
        if (is_found)
            memcpy(key, entry.key.data, RUNNER_KEY_SIZE);
    }
    store_table_end_walk(walk);
    if (is_found)
        code = drop_use(stats, slice_of_bytes(key, sizeof key), error);
    return code == ERROR_NONE || code == ERROR_NOT_FOUND
               ? drop_use(stats, reuse_key(key, job), error)
               : code;
}

// --- reading --------------------------------------------------------------------------------------

static enum error_code refuse_reuses(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "list running jobs by runner: out of memory");
}

static enum error_code collect_reuses(struct store_walk *walk, struct arena *arena,
                                      struct runner_reuse **reuses, size_t *count,
                                      struct error *error)
{
    size_t room = 0;
    enum error_code code;
    struct store_entry entry;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        if (entry.key.data[0] != 'm' || *count == RUNNER_REUSES_MAX)
            return ERROR_NONE;
        if (entry.key.len != REUSE_KEY_SIZE || entry.value.len != REUSE_SIZE)
            continue;
        if (*count == room) {
            struct runner_reuse *grown =
                arena_allocate_array(arena, room = room * 2 + 16, sizeof *grown);
            if (grown == NULL)
                return refuse_reuses(error);
            if (*count > 0)
                memcpy(grown, *reuses, *count * sizeof *grown);
            *reuses = grown;
        }
        struct runner_reuse *added = &(*reuses)[(*count)++];
        read_job_of_use(entry.key.data + 1, &added->job);
        added->since = (timestamp_ns)bytes_get_be64(entry.value.data);
        memcpy(added->pool, entry.value.data + 8, POOL_ID_SIZE);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code runners_list_reuses(struct store_transaction *transaction, struct arena *arena,
                                    struct runner_reuse **reuses, size_t *count,
                                    struct error *error)
{
    struct store_walk *walk;
    *reuses = NULL;
    *count = 0;
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_RUNNERS, SLICE("m"), &walk, error);
    if (code != ERROR_NONE)
        return code;
    code = collect_reuses(walk, arena, reuses, count, error);
    store_table_end_walk(walk);
    return code;
}

enum error_code runners_find_reuse(struct store_transaction *transaction,
                                   const struct store_key *job, timestamp_ns *since,
                                   struct error *error)
{
    uint8_t key[REUSE_KEY_SIZE];
    struct slice found;
    *since = TIMESTAMP_UNKNOWN;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_RUNNERS, reuse_key(key, job), &found, error);
    if (code == ERROR_NONE && found.len == REUSE_SIZE)
        *since = (timestamp_ns)bytes_get_be64(found.data);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
