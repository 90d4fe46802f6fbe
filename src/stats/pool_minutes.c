// Changes of the numbers of queued and running jobs of each pool, by minute.
#include "ghatrace/stats/pool_minutes.h"

#include <stddef.h>
#include <string.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/trace/labels.h"
#include "private.h"

#define KEY_SIZE (8 + POOL_ID_SIZE)
#define SECONDS 60

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
    if (changed > SECONDS)
        return false;
    for (uint64_t i = 0; i < changed; i++) {
        uint64_t second = bytes_read_varint(reader);
        if (second >= SECONDS)
            return false;
        row->queued[second] += unzigzag(bytes_read_varint(reader));
        row->running[second] += unzigzag(bytes_read_varint(reader));
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

static enum error_code apply(struct stats *stats, const struct pool_id *pool,
                             const struct job_times *times, const struct change *change, int sign,
                             struct error *error)
{
    struct minute_row *row;
    timestamp_ns minute = minute_of(change->at);
    if (change->at <= 0 || minute < stats->now - POOL_MINUTES_KEPT)
        return ERROR_NONE;
    enum error_code code = load_row(stats, minute, pool, &row, error);
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

static enum error_code count_times(struct stats *stats, const struct pool_id *pool,
                                   const struct job_times *times, int sign, struct error *error)
{
    bool was_ready = times->ready != TIMESTAMP_UNKNOWN;
    bool has_run = times->started != TIMESTAMP_UNKNOWN;
    const struct change changes[] = {
        {times->ready, 1, 0, true, false},
        {times->started, was_ready ? -1 : 0, 1, false, true},
        {times->ended, was_ready && !has_run ? -1 : 0, has_run ? -1 : 0, false, false},
    };
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0] && code == ERROR_NONE; i++)
        code = apply(stats, pool, times, &changes[i], sign, error);
    return code;
}

static bool has_any(const struct job_times *times)
{
    return times->ready != TIMESTAMP_UNKNOWN || times->started != TIMESTAMP_UNKNOWN;
}

static bool is_same(const struct job_times *a, const struct job_times *b)
{
    return a->ready == b->ready && a->started == b->started && a->ended == b->ended &&
           labels_are_same(a->labels, b->labels);
}

// The pool in which they were counted: that of the labels or, if it was folded, "(one-off)". ERROR_NOT_FOUND.
static enum error_code find_row(struct stats *stats, const struct job_times *times,
                                struct row **row, struct error *error)
{
    char room[LABELS_TEXT_MAX];
    struct pool_choice choice;
    pool_rules_choose(&stats->rules, times->labels, room, &choice);
    struct pool_id id = pool_make_id(choice.shown);
    enum error_code code = pool_find_row(stats, &id, row, error);
    id = pool_make_id(POOL_ONE_OFF);
    return code == ERROR_NOT_FOUND ? pool_find_row(stats, &id, row, error) : code;
}

static enum error_code take_back(struct stats *stats, const struct job_times *times,
                                 struct error *error)
{
    struct row *row;
    if (!has_any(times))
        return ERROR_NONE;
    enum error_code code = find_row(stats, times, &row, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    return count_times(stats, &row->pool->id, times, -1, error);
}

enum error_code pool_minutes_change(struct stats *stats, const struct job_times *before,
                                    const struct job_times *after, struct error *error)
{
    char room[LABELS_TEXT_MAX];
    struct pool_choice choice;
    struct row *row;
    if (is_same(before, after))
        return ERROR_NONE;
    enum error_code code = take_back(stats, before, error);
    if (code != ERROR_NONE || !has_any(after))
        return code;
    pool_rules_choose(&stats->rules, after->labels, room, &choice);
    const struct pool_demand demand = {.labels = choice.shown,
                                       .asked = choice.asked,
                                       .group = after->group,
                                       .is_rule = choice.is_rule,
                                       .is_start = after->started != TIMESTAMP_UNKNOWN};
    code = pool_load_row(stats, &demand, &row, error);
    return code == ERROR_NONE ? count_times(stats, &row->pool->id, after, 1, error) : code;
}

// The first row of a pool at or after a minute. ERROR_NOT_FOUND.
static enum error_code seek_row(struct stats *stats, enum store_table table,
                                const struct pool_id *pool, timestamp_ns from,
                                uint8_t key[KEY_SIZE], struct slice *value, struct error *error)
{
    struct store_entry entry;
    put_key(key, from, pool);
    enum error_code code =
        store_table_seek(stats->transaction, table, slice_of_bytes(key, KEY_SIZE), &entry, error);
    if (code != ERROR_NONE)
        return code;
    if (entry.key.len != KEY_SIZE || memcmp(entry.key.data, pool->bytes, POOL_ID_SIZE) != 0)
        return ERROR_NOT_FOUND;
    memcpy(key, entry.key.data, KEY_SIZE);
    *value = entry.value;
    return ERROR_NONE;
}

enum error_code pool_minutes_move(struct stats *stats, const struct pool_id *from,
                                  const struct pool_id *to, struct error *error)
{
    for (;;) {
        uint8_t key[KEY_SIZE];
        struct minute_row *row, *moved = arena_allocate_array(&stats->arena, 1, sizeof *moved);
        struct slice found;
        if (moved == NULL)
            return error_set(error, ERROR_MEMORY, "fold pools: out of memory");
        enum error_code code =
            seek_row(stats, STORE_TABLE_POOL_MINUTES, from, 0, key, &found, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        bool is_sound = decode_into(found, moved);
        timestamp_ns minute = (timestamp_ns)bytes_get_be64(key + POOL_ID_SIZE);
        code = store_table_delete(stats->transaction, STORE_TABLE_POOL_MINUTES,
                                  slice_of_bytes(key, KEY_SIZE), error);
        if (code == ERROR_NONE && is_sound)
            code = load_row(stats, minute, to, &row, error);
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

static enum error_code read_row(struct store_transaction *transaction, timestamp_ns minute,
                                const struct pool_id *pool, struct minute_row *row,
                                struct error *error)
{
    uint8_t key[KEY_SIZE];
    struct slice found;
    put_key(key, minute, pool);
    *row = (struct minute_row){.arrivals = 0};
    enum error_code code = store_table_get(transaction, STORE_TABLE_POOL_MINUTES,
                                           slice_of_bytes(key, KEY_SIZE), &found, error);
    if (code == ERROR_NONE && !decode_into(found, row)) {
        *row = (struct minute_row){.arrivals = 0};
        store_note_unreadable(transaction);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- hours ----------------------------------------------------------------------------------------

static timestamp_ns time_of(const void *key)
{
    return (timestamp_ns)bytes_get_be64((const uint8_t *)key + POOL_ID_SIZE);
}

static timestamp_ns hour_of(timestamp_ns at)
{
    return at - at % NS_PER_HOUR;
}

// True if its whole hour is no longer kept by minute.
static bool is_old(const struct stats *stats, const void *key)
{
    return hour_of(time_of(key)) + NS_PER_HOUR <= stats->now - POOL_MINUTES_KEPT;
}

static enum error_code drop_rows(struct stats *stats, enum store_table table,
                                 const struct pool_id *pool, timestamp_ns before, size_t *dropped,
                                 struct error *error)
{
    for (;; (*dropped)++) {
        uint8_t key[KEY_SIZE];
        struct slice value;
        enum error_code code = seek_row(stats, table, pool, 0, key, &value, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (time_of(key) >= before)
            return ERROR_NONE;
        code = store_table_delete(stats->transaction, table, slice_of_bytes(key, KEY_SIZE), error);
        if (code != ERROR_NONE)
            return code;
    }
}

enum error_code pool_hours_drop(struct stats *stats, const struct pool_id *pool,
                                struct error *error)
{
    size_t dropped = 0;
    return drop_rows(stats, STORE_TABLE_POOL_HOURS, pool, INT64_MAX, &dropped, error);
}

// Takes the changes from `from` on off the level.
static enum error_code count_back_to(struct stats *stats, const struct pool_id *pool,
                                     timestamp_ns from, struct level *level, struct error *error)
{
    uint8_t key[KEY_SIZE];
    struct store_walk *walk;
    struct store_entry entry;
    put_key(key, from, pool);
    enum error_code code = store_table_walk(stats->transaction, STORE_TABLE_POOL_MINUTES,
                                            slice_of_bytes(key, KEY_SIZE), &walk, error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE &&
           entry.key.len == KEY_SIZE && memcmp(entry.key.data, pool->bytes, POOL_ID_SIZE) == 0) {
        struct minute_row row = {.arrivals = 0};
        struct byte_reader reader = bytes_reader(entry.value);
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

static enum error_code sum_up(struct stats *stats, const struct pool_id *pool, timestamp_ns start,
                              struct level *level, struct hour *hour, struct error *error)
{
    for (timestamp_ns at = start + NS_PER_HOUR; at > start; at -= NS_PER_MINUTE) {
        struct minute_row row;
        struct pool_minute minute = {.arrivals = 0};
        enum error_code code = read_row(stats->transaction, at - NS_PER_MINUTE, pool, &row, error);
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

// Makes one row of the minutes of an hour. Those of a pool that no longer exists are dropped.
static enum error_code fold_hour(struct stats *stats, const struct pool_id *id, timestamp_ns start,
                                 size_t *dropped, struct error *error)
{
    struct pool pool;
    struct pool_id found = *id;
    struct hour hour = {.sum = {.arrivals = 0}};
    size_t hours = 0;
    enum error_code code = pool_seek(stats->transaction, &found, &pool, error);
    if (code == ERROR_NONE && memcmp(&found, id, sizeof found) == 0) {
        struct level level = {(int64_t)pool.counts[OPEN_JOB_QUEUED],
                              (int64_t)pool.counts[OPEN_JOB_RUNNING]};
        code = count_back_to(stats, id, start + NS_PER_HOUR, &level, error);
        if (code == ERROR_NONE)
            code = sum_up(stats, id, start, &level, &hour, error);
        if (code == ERROR_NONE)
            code = put_hour(stats, id, start, &hour, error);
        if (code == ERROR_NONE)
            code = drop_rows(stats, STORE_TABLE_POOL_HOURS, id, stats->now - POOL_HOURS_KEPT,
                             &hours, error);
    }
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    return drop_rows(stats, STORE_TABLE_POOL_MINUTES, id, start + NS_PER_HOUR, dropped, error);
}

// The hours of one pool that are too old to be kept by minute. `*left`: how many rows may still be dropped.
static enum error_code expire_pool(struct stats *stats, const struct pool_id *pool, size_t *left,
                                   struct error *error)
{
    while (*left > 0) {
        uint8_t key[KEY_SIZE];
        struct slice value;
        size_t dropped = 0;
        enum error_code code =
            seek_row(stats, STORE_TABLE_POOL_MINUTES, pool, 0, key, &value, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (!is_old(stats, key))
            return ERROR_NONE;
        code = fold_hour(stats, pool, hour_of(time_of(key)), &dropped, error);
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

enum error_code pool_minutes_read(struct store_transaction *transaction, const struct pool *pool,
                                  timestamp_ns now, size_t count, struct arena *arena,
                                  struct pool_minute **minutes, struct error *error)
{
    struct level level = {(int64_t)pool->counts[OPEN_JOB_QUEUED],
                          (int64_t)pool->counts[OPEN_JOB_RUNNING]};
    struct minute_row *row = arena_allocate_array(arena, 1, sizeof *row);
    *minutes = arena_allocate_array(arena, count + 1, sizeof **minutes);
    if (*minutes == NULL || row == NULL)
        return error_set(error, ERROR_MEMORY, "read jobs by minute: out of memory");
    for (size_t i = 0; i < count; i++) {
        timestamp_ns minute = minute_of(now) - (duration_ns)i * NS_PER_MINUTE;
        struct pool_minute *of = &(*minutes)[count - 1 - i];
        enum error_code code = read_row(transaction, minute, &pool->id, row, error);
        if (code != ERROR_NONE)
            return code;
        count_back(row, &level, of);
        if (!keep_counts(arena, row, of))
            return error_set(error, ERROR_MEMORY, "read jobs by minute: out of memory");
    }
    return ERROR_NONE;
}

// --- the last day ---------------------------------------------------------------------------------

// Running jobs after each change, relative to how many there were before the first.
struct course {
    timestamp_ns from; // when the day begins
    bool has_begun;
    int64_t running;
    int64_t most; // since `from`
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
    }
    if (row->starts > 0)
        course->last_start = minute;
}

static enum error_code follow_rows(struct store_walk *walk, const struct pool_id *pool,
                                   uint64_t *budget, struct course *course, struct error *error)
{
    enum error_code code;
    struct store_entry entry;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        struct minute_row row;
        struct byte_reader reader = bytes_reader(entry.value);
        if (entry.key.len != KEY_SIZE || memcmp(entry.key.data, pool->bytes, POOL_ID_SIZE) != 0)
            return ERROR_NONE;
        if (*budget == 0)
            return ERROR_TOO_LARGE;
        (*budget)--;
        memset(&row, 0, offsetof(struct minute_row, waits));
        if (decode_changes(&reader, &row))
            follow(course, (timestamp_ns)bytes_get_be64(entry.key.data + POOL_ID_SIZE), &row);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_minutes_read_day(struct store_transaction *transaction,
                                      const struct pool *pool, timestamp_ns now, uint64_t *budget,
                                      struct pool_day *day, struct error *error)
{
    struct course course = {.from = now - POOL_MINUTES_DAY * NS_PER_MINUTE};
    struct store_walk *walk;
    *day = (struct pool_day){.is_known = false};
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_POOL_MINUTES,
                         slice_of_bytes(pool->id.bytes, POOL_ID_SIZE), &walk, error);
    if (code != ERROR_NONE)
        return code;
    code = follow_rows(walk, &pool->id, budget, &course, error);
    store_table_end_walk(walk);
    if (code != ERROR_NONE)
        return code == ERROR_TOO_LARGE ? ERROR_NONE : code;
    int64_t most = course.has_begun && course.most > course.running ? course.most : course.running;
    int64_t before = (int64_t)pool->counts[OPEN_JOB_RUNNING] - course.running;
    *day = (struct pool_day){.is_known = true,
                             .busy_max = not_negative(before + most),
                             .last_start = course.last_start >= course.from ? course.last_start
                                                                            : TIMESTAMP_UNKNOWN};
    return ERROR_NONE;
}

enum error_code pool_hours_read_busiest(struct store_transaction *transaction,
                                        const struct pool_id *pool, timestamp_ns now,
                                        uint64_t *busy_max, struct error *error)
{
    uint8_t key[KEY_SIZE];
    struct store_walk *walk;
    struct store_entry entry;
    timestamp_ns from = now - 7 * NS_PER_DAY;
    *busy_max = 0;
    put_key(key, from > 0 ? hour_of(from) : 0, pool);
    enum error_code code = store_table_walk(transaction, STORE_TABLE_POOL_HOURS,
                                            slice_of_bytes(key, KEY_SIZE), &walk, error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE &&
           entry.key.len == KEY_SIZE && memcmp(entry.key.data, pool->bytes, POOL_ID_SIZE) == 0) {
        struct byte_reader reader = bytes_reader(entry.value);
        for (int i = 0; i < 3; i++)
            bytes_read_varint(&reader);
        uint64_t most = bytes_read_varint(&reader);
        *busy_max = reader.failed ? *busy_max : greater(*busy_max, most);
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
