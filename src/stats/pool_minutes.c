// Changes of the numbers of queued and running jobs of each pool, by minute.
#include "ghatrace/stats/pool_minutes.h"

#include <stddef.h>
#include <string.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/trace/labels.h"
#include "private.h"

#define KEY_SIZE (8 + POOL_ID_SIZE)
#define SECONDS 60
#define CHANGE_MAX UINT32_MAX // of one second, zigzag: more is damage

// Layout: varints of arrivals and starts, the number of seconds with changes, of each its number and the changes of
// queued and of running jobs (zigzag); then the histogram of waits, as histogram_encode() writes it.
struct minute_row {
    uint64_t arrivals;
    uint64_t starts;
    int64_t queued[SECONDS];
    int64_t running[SECONDS];
    struct histogram waits;
};

// --- times of a job -------------------------------------------------------------------------------

static void set_ended_times(const struct job_state *job, const struct job_timeline *timeline,
                            bool is_completed, struct job_times *times)
{
    if (is_completed)
        times->ended = timeline->end;
    else if (job->phase != JOB_OPEN)
        times->ended = timestamp_later(job->closed_at, timeline->end); // it was given up
}

enum error_code job_times_of_state(const struct job_state *job, struct arena *arena,
                                   struct job_times *times)
{
    bool is_completed = job->body_version.rank == GITHUB_JOB_COMPLETED;
    struct job_timeline timeline;
    struct open_job_state open_state;
    *times = (struct job_times){.ready = TIMESTAMP_UNKNOWN};
    if (job->phase == JOB_NEW || job->phase == JOB_CLOSED)
        return ERROR_NONE;
    timeline_of_job(job, is_completed, TIMESTAMP_UNKNOWN, &timeline);
    open_job_state_of_any(job, &open_state);
    if (timeline.is_skipped || timeline.is_carried_over)
        return ERROR_NONE;
    if (timeline.has_run) {
        times->ready = timeline.wait.exists ? timeline.wait.start : TIMESTAMP_UNKNOWN;
        times->started = timeline.wait.exists          ? timeline.wait.end
                         : timeline.preparation.exists ? timeline.preparation.start
                                                       : timeline.execution.start;
    } else if (is_completed) {
        times->ready = timeline.wait.exists ? timeline.wait.start : TIMESTAMP_UNKNOWN;
    } else if (open_state.state == OPEN_JOB_QUEUED) {
        times->ready = open_state.since;
    }
    set_ended_times(job, &timeline, is_completed, times);
    times->group = utf8_cut(job->runner_group_name, SAMPLE_TEXT_MAX);
    return labels_join(job->body.labels, job->body.label_count, arena, &times->labels)
               ? ERROR_NONE
               : ERROR_MEMORY;
}

struct job_times job_times_of_sample(const struct job_sample *measure)
{
    struct job_times times = {
        .ended = measure->end, .labels = measure->runner_labels, .group = measure->runner_group};
    if (measure->queue.exists)
        times.ready = measure->queue_end - measure->queue.length;
    if (measure->execution.exists)
        times.started = measure->queue.exists
                            ? measure->queue_end
                            : measure->end - measure->execution.length -
                                  (measure->startup.exists ? measure->startup.length : 0);
    return times;
}

struct latency_wait job_times_wait(const struct job_times *times)
{
    return (struct latency_wait){.exists = times->ready != TIMESTAMP_UNKNOWN &&
                                           times->started != TIMESTAMP_UNKNOWN,
                                 .ready = times->ready,
                                 .started = times->started,
                                 .labels = times->labels,
                                 .group = times->group};
}

// --- rows -----------------------------------------------------------------------------------------

static uint64_t zigzag(int64_t value)
{
    return value < 0 ? (uint64_t)(-(value + 1)) * 2 + 1 : (uint64_t)value * 2;
}

static int64_t unzigzag(uint64_t value)
{
    int64_t half = (int64_t)(value / 2);
    return value % 2 == 1 ? -half - 1 : half;
}

enum error_code pool_minutes_encode(const struct minute_row *row, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    uint64_t changed = 0;
    bytes_write_varint(&writer, row->arrivals);
    bytes_write_varint(&writer, row->starts);
    for (size_t i = 0; i < SECONDS; i++)
        changed += row->queued[i] != 0 || row->running[i] != 0 ? 1 : 0;
    bytes_write_varint(&writer, changed);
    for (size_t i = 0; i < SECONDS; i++) {
        if (row->queued[i] == 0 && row->running[i] == 0)
            continue;
        bytes_write_varint(&writer, i);
        bytes_write_varint(&writer, zigzag(row->queued[i]));
        bytes_write_varint(&writer, zigzag(row->running[i]));
    }
    return writer.code == ERROR_NONE ? histogram_encode(&row->waits, out) : writer.code;
}

// All but the histogram. False: damaged.
static bool decode_changes(struct byte_reader *reader, struct minute_row *row)
{
    row->arrivals += bytes_read_varint(reader);
    row->starts += bytes_read_varint(reader);
    uint64_t changed = bytes_read_varint(reader);
    for (uint64_t i = 0, least = 0; i < changed && !reader->failed; i++) {
        uint64_t second = bytes_read_varint(reader);
        uint64_t queued = bytes_read_varint(reader);
        uint64_t running = bytes_read_varint(reader);
        if (second < least || second >= SECONDS || queued > CHANGE_MAX || running > CHANGE_MAX)
            return false;
        row->queued[second] += unzigzag(queued);
        row->running[second] += unzigzag(running);
        least = second + 1;
    }
    return !reader->failed;
}

// Adds to `row`. False: damaged, and `row` must be discarded.
static bool decode_into(struct slice bytes, struct minute_row *row)
{
    struct byte_reader reader = bytes_reader(bytes);
    if (!decode_changes(&reader, row))
        return false;
    struct slice rest = slice_of_bytes(reader.next, (size_t)(reader.end - reader.next));
    return histogram_decode_into(rest, &row->waits);
}

static void put_key(uint8_t key[KEY_SIZE], timestamp_ns minute, const struct pool_id *pool)
{
    memcpy(key, pool->bytes, POOL_ID_SIZE);
    bytes_put_be64(key + POOL_ID_SIZE, (uint64_t)minute);
}

static timestamp_ns minute_of(timestamp_ns at)
{
    return at - at % NS_PER_MINUTE;
}

static enum error_code load_row(struct stats *stats, timestamp_ns minute,
                                const struct pool_id *pool, struct minute_row **found,
                                struct error *error)
{
    uint8_t key[KEY_SIZE];
    struct slice value;
    put_key(key, minute, pool);
    struct row *row = rows_find(stats, STORE_TABLE_POOL_MINUTES, key, KEY_SIZE);
    if (row != NULL) {
        *found = row->minute;
        return ERROR_NONE;
    }
    enum error_code code = store_table_get(stats->transaction, STORE_TABLE_POOL_MINUTES,
                                           slice_of_bytes(key, KEY_SIZE), &value, error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    *found = arena_allocate_array(&stats->arena, 1, sizeof **found);
    if (*found == NULL)
        return error_set(error, ERROR_MEMORY, "count jobs by minute: out of memory");
    if (code == ERROR_NONE && !decode_into(value, *found)) {
        **found = (struct minute_row){.arrivals = 0};
        code =
            stats_set_aside(stats, STORE_TABLE_POOL_MINUTES, slice_of_bytes(key, KEY_SIZE), error);
        if (code != ERROR_NOT_FOUND)
            return code;
    }
    row = rows_add(stats, STORE_TABLE_POOL_MINUTES, key, KEY_SIZE);
    if (row == NULL)
        return error_set(error, ERROR_MEMORY, "count jobs by minute: out of memory");
    row->minute = *found;
    return ERROR_NONE;
}

static void add_row(struct minute_row *into, const struct minute_row *from)
{
    into->arrivals += from->arrivals;
    into->starts += from->starts;
    for (size_t i = 0; i < SECONDS; i++) {
        into->queued[i] += from->queued[i];
        into->running[i] += from->running[i];
    }
    histogram_merge(&into->waits, &from->waits);
}

// --- changes --------------------------------------------------------------------------------------

struct change {
    timestamp_ns at;
    int queued, running;
    bool is_arrival, is_start;
};

static uint64_t add_sign(uint64_t count, int sign)
{
    return sign > 0 ? count + 1 : count > 0 ? count - 1 : 0;
}

// One job that is counted, or taken back, in one pool.
struct counting {
    struct stats *stats;
    const struct pool_id *pool;
    const struct job_times *times;
    int sign; // 1 or -1
    struct error *error;
};

static enum error_code apply(const struct counting *counting, const struct change *change)
{
    struct stats *stats = counting->stats;
    const struct job_times *times = counting->times;
    int sign = counting->sign;
    struct minute_row *row;
    timestamp_ns minute = minute_of(change->at);
    if (change->at <= 0 || minute < stats->now - POOL_MINUTES_KEPT ||
        minute > stats->now + POOL_MINUTES_KEPT)
        return ERROR_NONE;
    enum error_code code = load_row(stats, minute, counting->pool, &row, counting->error);
    if (code != ERROR_NONE)
        return code;
    size_t second = (size_t)((change->at - minute) / NS_PER_SECOND);
    row->queued[second] += sign * change->queued;
    row->running[second] += sign * change->running;
    row->arrivals = change->is_arrival ? add_sign(row->arrivals, sign) : row->arrivals;
    row->starts = change->is_start ? add_sign(row->starts, sign) : row->starts;
    if (!change->is_start || times->ready == TIMESTAMP_UNKNOWN)
        return ERROR_NONE;
    if (sign > 0)
        histogram_add(&row->waits, times->started - times->ready);
    else
        histogram_remove(&row->waits, times->started - times->ready);
    return ERROR_NONE;
}

static enum error_code count_times(const struct counting *counting)
{
    const struct job_times *times = counting->times;
    bool was_ready = times->ready != TIMESTAMP_UNKNOWN;
    bool has_run = times->started != TIMESTAMP_UNKNOWN;
    const struct change changes[] = {
        {times->ready, 1, 0, true, false},
        {times->started, was_ready ? -1 : 0, 1, false, true},
        {times->ended, was_ready && !has_run ? -1 : 0, has_run ? -1 : 0, false, false},
    };
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0] && code == ERROR_NONE; i++)
        code = apply(counting, &changes[i]);
    return code;
}

static bool has_any(const struct job_times *times)
{
    return times->ready != TIMESTAMP_UNKNOWN || times->started != TIMESTAMP_UNKNOWN;
}

static bool are_same_times(const struct job_times *a, const struct job_times *b)
{
    return a->ready == b->ready && a->started == b->started && a->ended == b->ended &&
           labels_are_same(a->labels, b->labels);
}

static enum error_code take_back(struct stats *stats, const struct job_times *times,
                                 struct error *error)
{
    const struct pool_id one_off = pool_make_id(POOL_ONE_OFF);
    struct row *row;
    if (!has_any(times))
        return ERROR_NONE;
    enum error_code code = times->is_folded ? pool_find_row(stats, &one_off, &row, error)
                                            : pool_find_counted(stats, times->labels, &row, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    const struct counting counting = {stats, &row->pool->id, times, -1, error};
    return count_times(&counting);
}

enum error_code pool_minutes_change(struct stats *stats, const struct store_key *job,
                                    const struct job_times *before, struct job_times *after,
                                    struct error *error)
{
    char room[LABELS_TEXT_MAX];
    struct row *row;
    after->is_folded = before->is_folded;
    if (are_same_times(before, after) || !stats_covers(stats, job))
        return ERROR_NONE;
    enum error_code code = take_back(stats, before, error);
    if (code != ERROR_NONE || !has_any(after))
        return code;
    struct pool_demand demand = pool_demand_of(stats, after->labels, room);
    demand.group = after->group;
    demand.is_start = after->started != TIMESTAMP_UNKNOWN;
    code = pool_load_row(stats, &demand, &row, error);
    if (code != ERROR_NONE)
        return code;
    const struct pool_id own = pool_make_id(demand.labels);
    const struct counting counting = {stats, &row->pool->id, after, 1, error};
    after->is_folded = !pool_id_equals(&own, &row->pool->id);
    return count_times(&counting);
}

enum error_code pool_minutes_shift(struct stats *stats, const struct pool_id *pool,
                                   const struct open_job_state *since, int sign,
                                   struct error *error)
{
    static const struct job_times unknown;
    const struct counting counting = {stats, pool, &unknown, sign, error};
    const struct change change = {.at = since->since,
                                  .queued = since->state == OPEN_JOB_QUEUED ? 1 : 0,
                                  .running = since->state == OPEN_JOB_RUNNING ? 1 : 0};
    return change.queued + change.running > 0 ? apply(&counting, &change) : ERROR_NONE;
}

// The rows of one pool in one table, ordered by time.
struct pool_rows {
    struct store_transaction *transaction;
    enum store_table table;
    const struct pool_id *pool;
    struct error *error;
};

static bool is_of_pool(struct slice key, const struct pool_id *pool)
{
    return key.len == KEY_SIZE && memcmp(key.data, pool->bytes, POOL_ID_SIZE) == 0;
}

static timestamp_ns time_of_key(const void *key)
{
    return (timestamp_ns)bytes_get_be64((const uint8_t *)key + POOL_ID_SIZE);
}

// The first row. Its value is valid until the next change. ERROR_NOT_FOUND.
static enum error_code first_row(const struct pool_rows *rows, uint8_t key[KEY_SIZE],
                                 struct slice *value)
{
    struct store_entry entry;
    put_key(key, 0, rows->pool);
    enum error_code code = store_table_seek(rows->transaction, rows->table,
                                            slice_of_bytes(key, KEY_SIZE), &entry, rows->error);
    if (code != ERROR_NONE)
        return code;
    if (!is_of_pool(entry.key, rows->pool))
        return ERROR_NOT_FOUND;
    memcpy(key, entry.key.data, KEY_SIZE);
    *value = entry.value;
    return ERROR_NONE;
}

static enum error_code delete_row(const struct pool_rows *rows, const uint8_t key[KEY_SIZE])
{
    return store_table_delete(rows->transaction, rows->table, slice_of_bytes(key, KEY_SIZE),
                              rows->error);
}

// A walk from a time on. It may run into the next pool.
static enum error_code walk_rows(const struct pool_rows *rows, timestamp_ns from,
                                 struct store_walk **walk)
{
    uint8_t key[KEY_SIZE];
    put_key(key, from, rows->pool);
    return store_table_walk(rows->transaction, rows->table, slice_of_bytes(key, KEY_SIZE), walk,
                            rows->error);
}

// ERROR_NOT_FOUND at the end of the pool.
static enum error_code next_row(const struct pool_rows *rows, struct store_walk *walk,
                                struct store_entry *entry)
{
    enum error_code code = store_table_next(walk, entry, rows->error);
    return code == ERROR_NONE && !is_of_pool(entry->key, rows->pool) ? ERROR_NOT_FOUND : code;
}

enum error_code pool_minutes_move(struct stats *stats, const struct pool_id *from,
                                  const struct pool_id *to, struct error *error)
{
    const struct pool_rows rows = {stats->transaction, STORE_TABLE_POOL_MINUTES, from, error};
    for (;;) {
        uint8_t key[KEY_SIZE];
        struct minute_row *row, *moved = arena_allocate_array(&stats->arena, 1, sizeof *moved);
        struct slice found;
        if (moved == NULL)
            return error_set(error, ERROR_MEMORY, "fold pools: out of memory");
        enum error_code code = first_row(&rows, key, &found);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        bool is_sound = decode_into(found, moved);
        code = delete_row(&rows, key);
        if (code == ERROR_NONE && is_sound)
            code = load_row(stats, time_of_key(key), to, &row, error);
        if (code != ERROR_NONE)
            return code;
        if (is_sound)
            add_row(row, moved);
    }
}

// Jobs at the end of what is still to be read.
struct level {
    int64_t queued, running;
};

static uint64_t not_negative(int64_t value)
{
    return value > 0 ? (uint64_t)value : 0;
}

// Counts back through one minute. Most jobs there were at once, and the mean of the seconds.
static void count_back(const struct minute_row *row, struct level *level,
                       struct pool_minute *minute)
{
    uint64_t queued = 0, running = 0;
    minute->queued_max = minute->running_max = 0;
    for (size_t i = SECONDS; i-- > 0;) {
        uint64_t q = not_negative(level->queued), r = not_negative(level->running);
        queued += q;
        running += r;
        minute->queued_max = q > minute->queued_max ? q : minute->queued_max;
        minute->running_max = r > minute->running_max ? r : minute->running_max;
        level->queued -= row->queued[i];
        level->running -= row->running[i];
    }
    minute->queued_mean = (double)queued / SECONDS;
    minute->running_mean = (double)running / SECONDS;
}

// All zero if there is none.
static enum error_code read_row(const struct pool_rows *rows, timestamp_ns minute,
                                struct minute_row *row)
{
    uint8_t key[KEY_SIZE];
    struct slice found;
    put_key(key, minute, rows->pool);
    *row = (struct minute_row){.arrivals = 0};
    enum error_code code = store_table_get(rows->transaction, rows->table,
                                           slice_of_bytes(key, KEY_SIZE), &found, rows->error);
    if (code == ERROR_NONE && !decode_into(found, row)) {
        *row = (struct minute_row){.arrivals = 0};
        store_note_unreadable(rows->transaction);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- hours ----------------------------------------------------------------------------------------

static timestamp_ns hour_of(timestamp_ns at)
{
    return at - at % NS_PER_HOUR;
}

// True if its whole hour is no longer kept by minute.
static bool is_old(const struct stats *stats, const void *key)
{
    return hour_of(time_of_key(key)) + NS_PER_HOUR <= stats->now - POOL_MINUTES_KEPT;
}

static enum error_code drop_rows(const struct pool_rows *rows, timestamp_ns before, size_t *dropped)
{
    for (;; (*dropped)++) {
        uint8_t key[KEY_SIZE];
        struct slice value;
        enum error_code code = first_row(rows, key, &value);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (time_of_key(key) >= before)
            return ERROR_NONE;
        code = delete_row(rows, key);
        if (code != ERROR_NONE)
            return code;
    }
}

enum error_code pool_hours_drop(struct stats *stats, const struct pool_id *pool,
                                struct error *error)
{
    const struct pool_rows hours = {stats->transaction, STORE_TABLE_POOL_HOURS, pool, error};
    size_t dropped = 0;
    return drop_rows(&hours, INT64_MAX, &dropped);
}

// Takes the changes from `from` on off the level.
static enum error_code count_back_to(const struct pool_rows *minutes, timestamp_ns from,
                                     struct level *level)
{
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code = walk_rows(minutes, from, &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = next_row(minutes, walk, &entry)) == ERROR_NONE) {
        struct minute_row row;
        struct byte_reader reader = bytes_reader(entry.value);
        memset(&row, 0, offsetof(struct minute_row, waits));
        if (!decode_changes(&reader, &row))
            continue;
        for (size_t i = 0; i < SECONDS; i++) {
            level->queued -= row.queued[i];
            level->running -= row.running[i];
        }
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

struct hour {
    struct pool_minute sum; // the means: in job-seconds
    struct histogram waits;
};

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static enum error_code sum_up(const struct pool_rows *minutes, timestamp_ns start,
                              struct level *level, struct hour *hour)
{
    for (timestamp_ns at = start + NS_PER_HOUR; at > start; at -= NS_PER_MINUTE) {
        struct minute_row row;
        struct pool_minute minute = {.arrivals = 0};
        enum error_code code = read_row(minutes, at - NS_PER_MINUTE, &row);
        if (code != ERROR_NONE)
            return code;
        count_back(&row, level, &minute);
        hour->sum.arrivals += row.arrivals;
        hour->sum.starts += row.starts;
        hour->sum.queued_max = greater(hour->sum.queued_max, minute.queued_max);
        hour->sum.running_max = greater(hour->sum.running_max, minute.running_max);
        hour->sum.queued_mean += minute.queued_mean * SECONDS;
        hour->sum.running_mean += minute.running_mean * SECONDS;
        histogram_merge(&hour->waits, &row.waits);
    }
    return ERROR_NONE;
}

static enum error_code put_hour(struct stats *stats, const struct pool_id *pool, timestamp_ns start,
                                const struct hour *hour, struct error *error)
{
    uint8_t key[KEY_SIZE];
    struct byte_writer writer = {.out = &stats->bytes};
    buffer_clear(&stats->bytes);
    put_key(key, start, pool);
    bytes_write_varint(&writer, hour->sum.arrivals);
    bytes_write_varint(&writer, hour->sum.starts);
    bytes_write_varint(&writer, hour->sum.queued_max);
    bytes_write_varint(&writer, hour->sum.running_max);
    bytes_write_varint(&writer, (uint64_t)(hour->sum.queued_mean + 0.5));
    bytes_write_varint(&writer, (uint64_t)(hour->sum.running_mean + 0.5));
    enum error_code code = writer.code;
    if (code == ERROR_NONE)
        code = histogram_encode(&hour->waits, &stats->bytes);
    if (code != ERROR_NONE)
        return error_set(error, code, "encode figures: %s", error_code_text(code));
    return store_table_put(stats->transaction, STORE_TABLE_POOL_HOURS,
                           slice_of_bytes(key, KEY_SIZE), buffer_slice(&stats->bytes), error);
}

static struct level level_of(const struct pool *pool)
{
    return (struct level){(int64_t)pool->counts[OPEN_JOB_QUEUED],
                          (int64_t)pool->counts[OPEN_JOB_RUNNING]};
}

// Makes one row of the minutes of an hour. ERROR_NOT_FOUND: the pool no longer exists.
static enum error_code fold_hour(struct stats *stats, const struct pool_rows *minutes,
                                 timestamp_ns start)
{
    struct pool pool;
    struct pool_id found = *minutes->pool;
    struct hour hour = {.sum = {.arrivals = 0}};
    struct pool_rows hours = *minutes;
    size_t dropped = 0;
    hours.table = STORE_TABLE_POOL_HOURS;
    enum error_code code = pool_seek(stats->transaction, &found, &pool, minutes->error);
    if (code != ERROR_NONE || !pool_id_equals(&found, minutes->pool))
        return code == ERROR_NONE ? ERROR_NOT_FOUND : code;
    struct level level = level_of(&pool);
    code = count_back_to(minutes, start + NS_PER_HOUR, &level);
    if (code == ERROR_NONE)
        code = sum_up(minutes, start, &level, &hour);
    if (code == ERROR_NONE)
        code = put_hour(stats, minutes->pool, start, &hour, minutes->error);
    return code == ERROR_NONE ? drop_rows(&hours, stats->now - POOL_HOURS_KEPT, &dropped) : code;
}

// The hours of one pool that are too old to be kept by minute. `*left`: how many rows may still be dropped.
static enum error_code expire_pool(struct stats *stats, const struct pool_id *pool, size_t *left,
                                   struct error *error)
{
    const struct pool_rows minutes = {stats->transaction, STORE_TABLE_POOL_MINUTES, pool, error};
    while (*left > 0) {
        uint8_t key[KEY_SIZE];
        struct slice value;
        size_t dropped = 0;
        enum error_code code = first_row(&minutes, key, &value);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (!is_old(stats, key))
            return ERROR_NONE;
        timestamp_ns hour = hour_of(time_of_key(key));
        code = fold_hour(stats, &minutes, hour);
        if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
            code = drop_rows(&minutes, hour + NS_PER_HOUR, &dropped);
        if (code != ERROR_NONE)
            return code;
        *left -= dropped < *left ? dropped : *left;
    }
    return ERROR_NONE;
}

enum error_code pool_minutes_expire(struct stats *stats, size_t pools, size_t max, bool *has_more,
                                    struct error *error)
{
    struct pool_id *next = &stats->next_minutes;
    size_t left = max;
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < pools && left > 0 && code == ERROR_NONE; i++) {
        struct store_entry entry;
        code = store_table_seek(stats->transaction, STORE_TABLE_POOL_MINUTES,
                                slice_of_bytes(next->bytes, POOL_ID_SIZE), &entry, error);
        if (code == ERROR_NOT_FOUND) {
            *next = (struct pool_id){{0}};
            code = ERROR_NONE;
            break;
        }
        if (code == ERROR_NONE && entry.key.len != KEY_SIZE)
            code = store_table_set_aside(stats->transaction, STORE_TABLE_POOL_MINUTES, entry.key,
                                         SLICE("key of a wrong length"), error);
        else if (code == ERROR_NONE) {
            memcpy(next->bytes, entry.key.data, POOL_ID_SIZE);
            if (is_old(stats, entry.key.data))
                code = expire_pool(stats, next, &left, error);
            if (left > 0)
                pool_id_increment(next);
        }
    }
    *has_more = left == 0;
    return code;
}

// --- reading --------------------------------------------------------------------------------------

static bool keep_counts(struct arena *arena, const struct minute_row *row,
                        struct pool_minute *minute)
{
    minute->arrivals = row->arrivals;
    minute->starts = row->starts;
    if (row->waits.count == 0)
        return true;
    minute->waits = arena_allocate_array(arena, 1, sizeof *minute->waits);
    if (minute->waits != NULL)
        *minute->waits = row->waits;
    return minute->waits != NULL;
}

enum error_code pool_minutes_read(const struct pool_reader *reader, size_t count,
                                  struct arena *arena, struct pool_minute **minutes)
{
    const struct pool_rows rows = {reader->transaction, STORE_TABLE_POOL_MINUTES, &reader->pool->id,
                                   reader->error};
    struct level level = level_of(reader->pool);
    struct minute_row *row = arena_allocate_array(arena, 1, sizeof *row);
    *minutes = arena_allocate_array(arena, count + 1, sizeof **minutes);
    if (*minutes == NULL || row == NULL)
        return error_set(reader->error, ERROR_MEMORY, "read jobs by minute: out of memory");
    enum error_code code = count_back_to(&rows, minute_of(reader->now) + NS_PER_MINUTE, &level);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        timestamp_ns minute = minute_of(reader->now) - (duration_ns)i * NS_PER_MINUTE;
        struct pool_minute *of = &(*minutes)[count - 1 - i];
        code = read_row(&rows, minute, row);
        if (code == ERROR_NONE)
            count_back(row, &level, of);
        if (code == ERROR_NONE && !keep_counts(arena, row, of))
            code = error_set(reader->error, ERROR_MEMORY, "read jobs by minute: out of memory");
    }
    return code;
}

// --- the last day and week ------------------------------------------------------------------------

// Running jobs after each change, relative to how many there were before the first.
struct course {
    timestamp_ns from; // when the day begins
    bool has_begun;
    int64_t running;
    int64_t most;         // since `from`
    int64_t most_of_rows; // since the first row, with those before it
    timestamp_ns last_start;
};

static void follow(struct course *course, timestamp_ns minute, const struct minute_row *row)
{
    for (size_t i = 0; i < SECONDS; i++) {
        timestamp_ns at = minute + (timestamp_ns)i * NS_PER_SECOND;
        if (at > course->from && !course->has_begun) {
            course->has_begun = true;
            course->most = course->running;
        }
        course->running += row->running[i];
        if (at >= course->from && course->running > course->most)
            course->most = course->running;
        if (course->running > course->most_of_rows)
            course->most_of_rows = course->running;
    }
    if (row->starts > 0)
        course->last_start = minute;
}

// ERROR_TOO_LARGE: there are more than `*budget`.
static enum error_code follow_rows(const struct pool_rows *minutes, uint64_t *budget,
                                   struct course *course)
{
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code = walk_rows(minutes, 0, &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = next_row(minutes, walk, &entry)) == ERROR_NONE && *budget > 0) {
        struct minute_row row;
        struct byte_reader reader = bytes_reader(entry.value);
        (*budget)--;
        memset(&row, 0, offsetof(struct minute_row, waits));
        if (decode_changes(&reader, &row))
            follow(course, time_of_key(entry.key.data), &row);
    }
    store_table_end_walk(walk);
    return code == ERROR_NONE ? ERROR_TOO_LARGE : code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// The most jobs that ran at once in an hour of the last seven days that is no longer kept by minute.
static enum error_code read_busiest_hour(const struct pool_rows *hours, timestamp_ns now,
                                         uint64_t *busy_max)
{
    struct store_walk *walk;
    struct store_entry entry;
    timestamp_ns from = now - 7 * NS_PER_DAY;
    *busy_max = 0;
    enum error_code code = walk_rows(hours, from > 0 ? hour_of(from) : 0, &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = next_row(hours, walk, &entry)) == ERROR_NONE) {
        struct byte_reader reader = bytes_reader(entry.value);
        for (int i = 0; i < 3; i++)
            bytes_read_varint(&reader);
        uint64_t most = bytes_read_varint(&reader);
        *busy_max = reader.failed ? *busy_max : greater(*busy_max, most);
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_recent_read(const struct pool_reader *reader, uint64_t *budget,
                                 struct pool_recent *recent)
{
    struct course course = {.from = reader->now - POOL_MINUTES_DAY * NS_PER_MINUTE};
    struct pool_rows rows = {reader->transaction, STORE_TABLE_POOL_MINUTES, &reader->pool->id,
                             reader->error};
    uint64_t hours_max;
    *recent = (struct pool_recent){.is_known = false};
    enum error_code code = follow_rows(&rows, budget, &course);
    if (code != ERROR_NONE)
        return code == ERROR_TOO_LARGE ? ERROR_NONE : code;
    rows.table = STORE_TABLE_POOL_HOURS;
    code = read_busiest_hour(&rows, reader->now, &hours_max);
    if (code != ERROR_NONE)
        return code;
    int64_t before = (int64_t)reader->pool->counts[OPEN_JOB_RUNNING] - course.running;
    int64_t most = course.has_begun && course.most > course.running ? course.most : course.running;
    recent->is_known = true;
    recent->busy_max_day = not_negative(before + most);
    recent->busy_max_week = greater(not_negative(before + course.most_of_rows), hours_max);
    if (course.last_start >= course.from)
        recent->last_start = course.last_start;
    return ERROR_NONE;
}
