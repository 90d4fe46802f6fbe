// Changes of the numbers of queued and running jobs of each pool, by minute, and the hours that are made of these later.
#include "ghatrace/stats/pool_minutes.h"

#include <string.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/stats/runners.h"
#include "ghatrace/trace/labels.h"
#include "pool_rows.h"
#include "private.h"

#define KEY_SIZE POOL_ROW_KEY_SIZE
#define ENDS_ARENA_BLOCK ((size_t)4096)

// --- times of a job -------------------------------------------------------------------------------

static void set_ended_times(const struct job_state *job, const struct job_timeline *timeline,
                            bool is_completed, struct job_times *times)
{
    if (is_completed)
        times->ended = timeline->end;
    else if (job->phase != JOB_OPEN) // it was given up
        times->ended =
            timestamp_later(timestamp_first_known(job->ended_by, job->closed_at), timeline->end);
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
    if (timeline.has_run)
        times->started = timeline.wait.exists          ? timeline.wait.end
                         : timeline.preparation.exists ? timeline.preparation.start
                                                       : timeline.execution.start;
    if (timeline.has_run || is_completed)
        times->ready = timeline.wait.exists ? timeline.wait.start : TIMESTAMP_UNKNOWN;
    else if (open_state.state == OPEN_JOB_QUEUED)
        times->ready = open_state.since;
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

timestamp_ns pool_minutes_kept_from(timestamp_ns now)
{
    return pool_rows_hour_before(now, POOL_MINUTES_KEPT);
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
    pool_rows_put_key(key, minute, pool);
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
    if (code == ERROR_NONE && !minute_row_decode_into(value, *found)) {
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
    for (size_t i = 0; i < MINUTE_SECONDS; i++) {
        into->queued[i] += from->queued[i];
        into->running[i] += from->running[i];
    }
    histogram_merge(&into->waits, &from->waits);
}

// --- changes --------------------------------------------------------------------------------------

// What one moment of a job changes, and when. TIMESTAMP_UNKNOWN: nothing.
struct change {
    timestamp_ns at;
    int queued, running;
    bool is_arrival, is_start, has_wait;
    duration_ns wait;
};

#define CHANGES 3 // ready, started, ended

static void list_changes(const struct job_times *times, struct change changes[CHANGES])
{
    bool was_ready = times->ready != TIMESTAMP_UNKNOWN;
    bool has_run = times->started != TIMESTAMP_UNKNOWN;
    bool has_wait = was_ready && has_run;
    changes[0] = (struct change){.at = times->ready, .queued = 1, .is_arrival = true};
    changes[1] = (struct change){.at = times->started,
                                 .queued = was_ready ? -1 : 0,
                                 .running = 1,
                                 .is_start = true,
                                 .has_wait = has_wait,
                                 .wait = has_wait ? times->started - times->ready : 0};
    changes[2] = (struct change){
        .at = times->ended, .queued = was_ready && !has_run ? -1 : 0, .running = has_run ? -1 : 0};
}

static bool is_same_change(const struct change *a, const struct change *b)
{
    return a->at == b->at && a->queued == b->queued && a->running == b->running &&
           a->has_wait == b->has_wait && a->wait == b->wait;
}

static uint64_t add_sign(uint64_t count, int sign)
{
    return sign > 0 ? count + 1 : count > 0 ? count - 1 : 0;
}

// Changes that are added or taken back in one pool.
struct counting {
    struct stats *stats;
    const struct pool_id *pool;
    struct pool_level late; // those of hours that do not change any more
    const struct store_key *job;
    struct error *error;
};

static enum error_code apply(struct counting *counting, const struct change *change, int sign)
{
    struct stats *stats = counting->stats;
    struct minute_row *row;
    timestamp_ns minute = minute_of(change->at);
    if (change->at <= 0 || minute > stats->now + POOL_MINUTES_KEPT)
        return ERROR_NONE;
    if (minute < pool_minutes_kept_from(stats->now)) {
        counting->late.queued += sign * change->queued;
        counting->late.running += sign * change->running;
        return ERROR_NONE;
    }
    enum error_code code = load_row(stats, minute, counting->pool, &row, counting->error);
    if (code != ERROR_NONE)
        return code;
    size_t second = (size_t)((change->at - minute) / NS_PER_SECOND);
    row->queued[second] += sign * change->queued;
    row->running[second] += sign * change->running;
    row->arrivals = change->is_arrival ? add_sign(row->arrivals, sign) : row->arrivals;
    row->starts = change->is_start ? add_sign(row->starts, sign) : row->starts;
    if (change->has_wait && sign > 0)
        histogram_add(&row->waits, change->wait);
    else if (change->has_wait)
        histogram_remove(&row->waits, change->wait);
    return ERROR_NONE;
}

// Changes how many jobs there are, from a time on, without an arrival or a start.
static enum error_code add_level(const struct counting *counting, timestamp_ns at,
                                 const struct pool_level *by)
{
    struct minute_row *row;
    if (by->queued == 0 && by->running == 0)
        return ERROR_NONE;
    enum error_code code =
        load_row(counting->stats, minute_of(at), counting->pool, &row, counting->error);
    if (code != ERROR_NONE)
        return code;
    size_t second = (size_t)(at % NS_PER_MINUTE / NS_PER_SECOND);
    row->queued[second] += by->queued;
    row->running[second] += by->running;
    return ERROR_NONE;
}

// An hour that does not change any more keeps what was known of it: what is learnt later is so from the next one on.
static enum error_code add_late(const struct counting *counting)
{
    return add_level(counting, pool_minutes_kept_from(counting->stats->now), &counting->late);
}

// Hours are made without a job whose runner took another one (pool_minutes_expire()): when its end is learnt at last, or
// it is given up, nothing changes after them.
static enum error_code leave_out_reused(struct counting *counting, const struct job_times *before)
{
    timestamp_ns reused_at;
    if (counting->late.running >= 0 || before->started == TIMESTAMP_UNKNOWN ||
        before->ended != TIMESTAMP_UNKNOWN)
        return ERROR_NONE;
    enum error_code code = runners_find_reuse(counting->stats->transaction, counting->job,
                                              &reused_at, counting->error);
    if (code == ERROR_NONE && reused_at != TIMESTAMP_UNKNOWN &&
        reused_at < pool_minutes_kept_from(counting->stats->now))
        counting->late.running++;
    return code;
}

// Puts the changes of `after` in the place of those of `before`, in one pool.
static enum error_code replace_times(struct counting *counting, const struct job_times *before,
                                     const struct job_times *after)
{
    struct change old[CHANGES], new[CHANGES];
    enum error_code code = ERROR_NONE;
    list_changes(before, old);
    list_changes(after, new);
    for (size_t i = 0; i < CHANGES && code == ERROR_NONE; i++) {
        if (is_same_change(&old[i], &new[i]))
            continue;
        code = apply(counting, &old[i], -1);
        if (code == ERROR_NONE)
            code = apply(counting, &new[i], 1);
    }
    if (code == ERROR_NONE)
        code = leave_out_reused(counting, before);
    return code == ERROR_NONE ? add_late(counting) : code;
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

// The pool in which a job was counted. ERROR_NOT_FOUND: none.
static enum error_code find_pool_before(struct stats *stats, const struct job_times *times,
                                        struct row **row, struct error *error)
{
    if (!has_any(times))
        return ERROR_NOT_FOUND;
    return times->is_folded ? pool_find_row(stats, &pool_one_off_id, row, error)
                            : pool_find_counted(stats, times->labels, row, error);
}

// The pool in which a job is to be counted. ERROR_NOT_FOUND: none.
static enum error_code load_pool_after(struct stats *stats, struct job_times *times,
                                       struct row **row, struct error *error)
{
    char room[LABELS_TEXT_MAX];
    if (!has_any(times))
        return ERROR_NOT_FOUND;
    struct pool_demand demand = pool_demand_of(stats, times->labels, room);
    demand.group = times->group;
    demand.is_start = times->started != TIMESTAMP_UNKNOWN;
    enum error_code code = pool_load_row(stats, &demand, row, error);
    if (code != ERROR_NONE)
        return code;
    const struct pool_id own = pool_id_of(stats, demand.labels);
    times->is_folded = !pool_id_equals(&own, &(*row)->pool->id);
    return ERROR_NONE;
}

enum error_code pool_minutes_change(struct stats *stats, const struct store_key *job,
                                    const struct job_times *before, struct job_times *after,
                                    struct error *error)
{
    static const struct job_times none = {.ready = TIMESTAMP_UNKNOWN};
    struct row *from = NULL, *to = NULL;
    after->is_folded = before->is_folded;
    if (are_same_times(before, after) || !stats_covers(stats, job))
        return ERROR_NONE;
    enum error_code code = find_pool_before(stats, before, &from, error);
    if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
        code = load_pool_after(stats, after, &to, error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    struct counting left = {.stats = stats, .job = job, .error = error}, entered = left;
    left.pool = from != NULL ? &from->pool->id : NULL;
    entered.pool = to != NULL ? &to->pool->id : NULL;
    if (from == to)
        return from != NULL ? replace_times(&entered, before, after) : ERROR_NONE;
    code = from != NULL ? replace_times(&left, before, &none) : ERROR_NONE;
    return code == ERROR_NONE && to != NULL ? replace_times(&entered, &none, after) : code;
}

enum error_code pool_minutes_shift(struct stats *stats, const struct pool_id *pool,
                                   const struct open_job_state *since, int sign,
                                   struct error *error)
{
    struct counting counting = {.stats = stats, .pool = pool, .error = error};
    const struct change change = {.at = since->since,
                                  .queued = since->state == OPEN_JOB_QUEUED ? 1 : 0,
                                  .running = since->state == OPEN_JOB_RUNNING ? 1 : 0};
    if (change.queued + change.running == 0)
        return ERROR_NONE;
    enum error_code code = apply(&counting, &change, sign);
    return code == ERROR_NONE ? add_late(&counting) : code;
}

// --- a pool is folded -----------------------------------------------------------------------------

static enum error_code move_rows(const struct pool_rows *minutes, const struct counting *to)
{
    for (;;) {
        uint8_t key[KEY_SIZE];
        struct minute_row *row, moved = {.arrivals = 0};
        struct slice found;
        enum error_code code = pool_rows_first(minutes, key, &found);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        bool is_moved = pool_rows_time(key) >= pool_minutes_kept_from(to->stats->now) &&
                        minute_row_decode_into(found, &moved);
        code = pool_rows_delete(minutes, key);
        if (code == ERROR_NONE && is_moved)
            code = load_row(to->stats, pool_rows_time(key), to->pool, &row, to->error);
        if (code != ERROR_NONE)
            return code;
        if (is_moved)
            add_row(row, &moved);
    }
}

// The hours of `to` remain as they are: jobs that are older than the minutes which move are added when these begin.
enum error_code pool_minutes_move(struct stats *stats, const struct pool *from,
                                  const struct pool_id *to, struct error *error)
{
    const struct pool_rows rows = {stats->transaction, STORE_TABLE_POOL_MINUTES, &from->id, error};
    const struct pool_reader reader = {.pool = from};
    struct counting counting = {.stats = stats, .pool = to, .error = error};
    enum error_code code =
        pool_level_before(&rows, &reader, pool_minutes_kept_from(stats->now), &counting.late);
    if (code == ERROR_NONE)
        code = add_late(&counting);
    return code == ERROR_NONE ? move_rows(&rows, &counting) : code;
}

// --- the last day and week ------------------------------------------------------------------------

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// Running jobs after each change, relative to how many there were before the first.
struct day_scan {
    timestamp_ns from; // when the day begins
    bool has_begun;
    int64_t running;
    int64_t most;         // since `from`
    int64_t most_of_rows; // since the first row, with those before it
    timestamp_ns last_start;
};

static void follow(struct day_scan *scan, timestamp_ns minute, const struct minute_row *row)
{
    for (size_t i = 0; i < MINUTE_SECONDS; i++) {
        timestamp_ns at = minute + (timestamp_ns)i * NS_PER_SECOND;
        if (at > scan->from && !scan->has_begun) {
            scan->has_begun = true;
            scan->most = scan->running;
        }
        scan->running += row->running[i];
        if (at >= scan->from && scan->running > scan->most)
            scan->most = scan->running;
        if (scan->running > scan->most_of_rows)
            scan->most_of_rows = scan->running;
    }
    if (row->starts > 0)
        scan->last_start = minute;
}

// ERROR_TOO_LARGE: there are more than `*budget`.
static enum error_code follow_rows(const struct pool_rows *minutes, uint64_t *budget,
                                   struct day_scan *scan)
{
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code = pool_rows_walk(minutes, 0, &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = pool_rows_next(minutes, walk, &entry)) == ERROR_NONE && *budget > 0) {
        struct minute_row row;
        (*budget)--;
        if (minute_row_decode_changes(entry.value, &row))
            follow(scan, pool_rows_time(entry.key.data), &row);
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
    *busy_max = 0;
    enum error_code code = pool_rows_walk(hours, pool_rows_hour_before(now, 7 * NS_PER_DAY), &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = pool_rows_next(hours, walk, &entry)) == ERROR_NONE) {
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
    struct day_scan scan = {.from = reader->now - POOL_MINUTES_DAY * NS_PER_MINUTE};
    struct pool_rows rows = {reader->transaction, STORE_TABLE_POOL_MINUTES, &reader->pool->id,
                             reader->error};
    *recent = (struct pool_recent){.is_known = false};
    enum error_code code = follow_rows(&rows, budget, &scan);
    bool is_whole = code != ERROR_TOO_LARGE;
    rows.table = STORE_TABLE_POOL_HOURS;
    if (code == ERROR_NONE || !is_whole)
        code = read_busiest_hour(&rows, reader->now, &recent->busy_max_hours);
    if (code != ERROR_NONE || !is_whole)
        return code;
    int64_t before = (int64_t)reader->pool->counts[OPEN_JOB_RUNNING] - scan.running;
    int64_t most = scan.has_begun && scan.most > scan.running ? scan.most : scan.running;
    recent->is_known = true;
    recent->busy_max_day = pool_level_jobs(before + most);
    recent->busy_max_week =
        greater(pool_level_jobs(before + scan.most_of_rows), recent->busy_max_hours);
    if (scan.last_start >= scan.from)
        recent->last_start = scan.last_start;
    return ERROR_NONE;
}

// --- hours: summing up minutes --------------------------------------------------------------------

static timestamp_ns hour_of(timestamp_ns at)
{
    return at - at % NS_PER_HOUR;
}

static enum error_code read_next_minute(struct minute_cursor *cursor)
{
    struct store_entry entry;
    enum error_code code;
    cursor->has_row = false;
    while ((code = pool_rows_next(&cursor->rows, cursor->walk, &entry)) == ERROR_NONE) {
        cursor->at = pool_rows_time(entry.key.data);
        cursor->row = (struct minute_row){.arrivals = 0};
        cursor->has_row = minute_row_decode_into(entry.value, &cursor->row);
        if (cursor->has_row)
            return ERROR_NONE;
        store_note_unreadable(cursor->rows.transaction);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Takes off the jobs that had left their runner before a time.
static void take_ends(struct minute_cursor *cursor, timestamp_ns before, struct pool_level *level)
{
    const struct pool_ends *ends = &cursor->ends;
    for (; cursor->ends_taken < ends->count && ends->at[cursor->ends_taken] < before;
         cursor->ends_taken++)
        level->running--;
}

enum error_code minute_cursor_begin(struct minute_cursor *cursor, timestamp_ns from)
{
    struct pool_level before = {0, 0};
    take_ends(cursor, from, &before);
    enum error_code code = pool_rows_walk(&cursor->rows, from, &cursor->walk);
    if (code != ERROR_NONE)
        return code;
    code = read_next_minute(cursor);
    if (code != ERROR_NONE)
        store_table_end_walk(cursor->walk);
    return code;
}

void minute_cursor_end(struct minute_cursor *cursor)
{
    store_table_end_walk(cursor->walk);
}

static void raise_to(uint64_t *most, uint64_t value)
{
    *most = value > *most ? value : *most;
}

void slot_sum_add(struct slot_sum *sum, const struct pool_level *level, uint64_t seconds)
{
    uint64_t queued = pool_level_jobs(level->queued), running = pool_level_jobs(level->running);
    if (seconds == 0)
        return;
    sum->seconds += seconds;
    raise_to(&sum->queued_max, queued);
    raise_to(&sum->running_max, running);
    sum->queued_seconds += queued * seconds;
    sum->running_seconds += running * seconds;
}

// The seconds of a minute that have begun.
static uint64_t seconds_until(timestamp_ns minute, timestamp_ns now)
{
    uint64_t begun = now < minute ? 0 : (uint64_t)((now - minute) / NS_PER_SECOND) + 1;
    return begun < MINUTE_SECONDS ? begun : MINUTE_SECONDS;
}

// The row that the cursor is at, or without any changes: of a minute in which a job left its runner.
static void add_minute(struct minute_cursor *cursor, timestamp_ns at, timestamp_ns now,
                       struct pool_level *level, struct slot_sum *sum)
{
    static const struct minute_row unchanged;
    const struct minute_row *row = cursor->has_row && cursor->at == at ? &cursor->row : &unchanged;
    uint64_t seconds = seconds_until(at, now);
    for (size_t i = 0; i < MINUTE_SECONDS; i++) {
        level->queued += row->queued[i];
        level->running += row->running[i];
        take_ends(cursor, at + (timestamp_ns)(i + 1) * NS_PER_SECOND, level);
        slot_sum_add(sum, level, i < seconds ? 1 : 0);
    }
    sum->arrivals += row->arrivals;
    sum->starts += row->starts;
    histogram_merge(&sum->waits, &row->waits);
}

static bool has_end_before(const struct minute_cursor *cursor, timestamp_ns time)
{
    return cursor->ends_taken < cursor->ends.count && cursor->ends.at[cursor->ends_taken] < time;
}

enum error_code minute_cursor_sum(struct minute_cursor *cursor, const struct slot_time *time,
                                  struct pool_level *level, struct slot_sum *sum)
{
    enum error_code code = ERROR_NONE;
    for (timestamp_ns at = time->start; at < time->end && code == ERROR_NONE; at += NS_PER_MINUTE) {
        bool has_row = cursor->has_row && cursor->at == at;
        if (has_row || has_end_before(cursor, at + NS_PER_MINUTE))
            add_minute(cursor, at, time->now, level, sum);
        else
            slot_sum_add(sum, level, seconds_until(at, time->now));
        if (has_row)
            code = read_next_minute(cursor);
    }
    return code;
}

// --- hours: their rows ----------------------------------------------------------------------------

static enum error_code encode_hour(const struct hour_row *row, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    bytes_write_varint(&writer, row->sum.arrivals);
    bytes_write_varint(&writer, row->sum.starts);
    bytes_write_varint(&writer, row->sum.queued_max);
    bytes_write_varint(&writer, row->sum.running_max);
    bytes_write_varint(&writer, row->sum.queued_seconds);
    bytes_write_varint(&writer, row->sum.running_seconds);
    bytes_write_varint(&writer, pool_level_jobs(row->before.queued));
    bytes_write_varint(&writer, pool_level_jobs(row->before.running));
    bytes_write_varint(&writer, (uint64_t)(row->since / NS_PER_MINUTE));
    return writer.code == ERROR_NONE ? histogram_encode(&row->sum.waits, out) : writer.code;
}

bool hour_row_decode(struct slice bytes, struct hour_row *row)
{
    struct byte_reader reader = bytes_reader(bytes);
    *row = (struct hour_row){.sum = {.seconds = NS_PER_HOUR / NS_PER_SECOND}};
    row->sum.arrivals = bytes_read_varint(&reader);
    row->sum.starts = bytes_read_varint(&reader);
    row->sum.queued_max = bytes_read_varint(&reader);
    row->sum.running_max = bytes_read_varint(&reader);
    row->sum.queued_seconds = bytes_read_varint(&reader);
    row->sum.running_seconds = bytes_read_varint(&reader);
    row->before.queued = (int64_t)(bytes_read_varint(&reader) & INT64_MAX);
    row->before.running = (int64_t)(bytes_read_varint(&reader) & INT64_MAX);
    uint64_t since = bytes_read_varint(&reader);
    row->since =
        since < INT64_MAX / NS_PER_MINUTE ? (timestamp_ns)since * NS_PER_MINUTE : TIMESTAMP_UNKNOWN;
    if (reader.failed)
        return false;
    struct slice rest = slice_of_bytes(reader.next, (size_t)(reader.end - reader.next));
    return histogram_decode_into(rest, &row->sum.waits);
}

enum error_code pool_known_since(struct store_transaction *transaction, const struct pool_id *pool,
                                 timestamp_ns *since, struct error *error)
{
    struct pool_rows rows = {transaction, STORE_TABLE_POOL_HOURS, pool, error};
    uint8_t key[POOL_ROW_KEY_SIZE];
    struct slice found;
    struct hour_row hour;
    *since = TIMESTAMP_UNKNOWN;
    enum error_code code = pool_rows_first(&rows, key, &found);
    if (code == ERROR_NONE) {
        *since = hour_row_decode(found, &hour) ? hour.since : pool_rows_time(key);
        return ERROR_NONE;
    }
    rows.table = STORE_TABLE_POOL_MINUTES;
    if (code == ERROR_NOT_FOUND)
        code = pool_rows_first(&rows, key, &found);
    if (code == ERROR_NONE)
        *since = pool_rows_time(key);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_hours_drop(struct stats *stats, const struct pool_id *pool,
                                struct error *error)
{
    const struct pool_rows hours = {stats->transaction, STORE_TABLE_POOL_HOURS, pool, error};
    size_t dropped = 0;
    return pool_rows_drop(&hours, INT64_MAX, &dropped);
}

// --- minutes become hours -------------------------------------------------------------------------

static enum error_code sum_hour(const struct pool_rows *minutes, const struct pool_reader *reader,
                                timestamp_ns start, struct hour_row *hour)
{
    const struct slot_time time = {start, start + NS_PER_HOUR, INT64_MAX};
    struct minute_cursor cursor = {.rows = *minutes, .ends = reader->ends};
    enum error_code code =
        pool_known_since(minutes->transaction, minutes->pool, &hour->since, minutes->error);
    if (code == ERROR_NONE)
        code = pool_level_before(minutes, reader, start, &hour->before);
    if (code == ERROR_NONE)
        code = minute_cursor_begin(&cursor, start);
    if (code != ERROR_NONE)
        return code;
    struct pool_level level = hour->before;
    code = minute_cursor_sum(&cursor, &time, &level, &hour->sum);
    minute_cursor_end(&cursor);
    return code;
}

// Without jobs whose runner took another one, whatever job-grace is: their ends have been waited for as long as minutes
// are kept.
static enum error_code sum_hour_of(struct stats *stats, const struct pool_rows *minutes,
                                   const struct pool *pool, timestamp_ns start,
                                   struct hour_row *hour)
{
    struct arena arena;
    struct pool_reader reader = {.pool = pool};
    arena_init(&arena, ENDS_ARENA_BLOCK);
    const struct ended_reader of_ended = {
        stats->transaction, &arena, {stats->now, 0}, minutes->error};
    enum error_code code = ended_jobs_of_pool(&of_ended, pool, &reader.ends);
    if (code == ERROR_NONE)
        code = sum_hour(minutes, &reader, start, hour);
    arena_release(&arena);
    return code;
}

// An hour that has a row already keeps it: its minutes are from a time to which the clock was set back.
static enum error_code put_hour(struct stats *stats, const struct pool_rows *hours,
                                timestamp_ns start, const struct hour_row *hour)
{
    uint8_t key[POOL_ROW_KEY_SIZE];
    const struct slice of_hour = slice_of_bytes(key, sizeof key);
    struct slice found;
    pool_rows_put_key(key, start, hours->pool);
    enum error_code code =
        store_table_get(hours->transaction, hours->table, of_hour, &found, hours->error);
    if (code != ERROR_NOT_FOUND)
        return code;
    buffer_clear(&stats->bytes);
    code = encode_hour(hour, &stats->bytes);
    if (code != ERROR_NONE)
        return error_set(hours->error, code, "encode figures: %s", error_code_text(code));
    return store_table_put(hours->transaction, hours->table, of_hour, buffer_slice(&stats->bytes),
                           hours->error);
}

// Makes one row of the minutes of an hour. ERROR_NOT_FOUND: the pool no longer exists.
static enum error_code fold_hour(struct stats *stats, const struct pool_rows *minutes,
                                 timestamp_ns start)
{
    struct pool pool;
    struct pool_id found = *minutes->pool;
    struct hour_row hour = {.since = 0};
    struct pool_rows hours = *minutes;
    size_t dropped = 0;
    hours.table = STORE_TABLE_POOL_HOURS;
    enum error_code code = pool_seek(stats->transaction, &found, &pool, minutes->error);
    if (code != ERROR_NONE || !pool_id_equals(&found, minutes->pool))
        return code == ERROR_NONE ? ERROR_NOT_FOUND : code;
    code = sum_hour_of(stats, minutes, &pool, start, &hour);
    if (code == ERROR_NONE)
        code = put_hour(stats, &hours, start, &hour);
    return code == ERROR_NONE
               ? pool_rows_drop(&hours, hour_of(stats->now) - POOL_HOURS_KEPT, &dropped)
               : code;
}

// The hours of one pool that are too old to be kept by minute. `*left`: how many rows may still be dropped.
static enum error_code expire_pool(struct stats *stats, const struct pool_id *pool, size_t *left,
                                   struct error *error)
{
    const struct pool_rows minutes = {stats->transaction, STORE_TABLE_POOL_MINUTES, pool, error};
    while (*left > 0) {
        uint8_t key[POOL_ROW_KEY_SIZE];
        struct slice value;
        size_t dropped = 0;
        enum error_code code = pool_rows_first(&minutes, key, &value);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (pool_rows_time(key) >= pool_minutes_kept_from(stats->now))
            return ERROR_NONE;
        timestamp_ns hour = hour_of(pool_rows_time(key));
        code = fold_hour(stats, &minutes, hour);
        if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
            code = pool_rows_drop(&minutes, hour + NS_PER_HOUR, &dropped);
        if (code != ERROR_NONE)
            return code;
        *left -= dropped < *left ? dropped : *left;
    }
    return ERROR_NONE;
}

// Minutes become old when an hour is over, and none that is older is written: one look at all pools is enough until the
// next hour. What a transaction that is aborted has looked at is looked at then.
static bool is_round_due(struct stats *stats)
{
    struct minutes_round *round = &stats->minutes_round;
    timestamp_ns kept_from = pool_minutes_kept_from(stats->now);
    if (kept_from != round->kept_from)
        *round = (struct minutes_round){.kept_from = kept_from};
    return !round->is_over;
}

// The pool that is next in the round, or the first after it.
static enum error_code expire_next(struct stats *stats, size_t *left, struct error *error)
{
    struct pool_id *next = &stats->minutes_round.next;
    struct store_entry entry;
    enum error_code code = store_table_seek(stats->transaction, STORE_TABLE_POOL_MINUTES,
                                            pool_id_key(next), &entry, error);
    stats->minutes_round.is_over = code == ERROR_NOT_FOUND;
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    if (entry.key.len != POOL_ROW_KEY_SIZE)
        return store_table_set_aside(stats->transaction, STORE_TABLE_POOL_MINUTES, entry.key,
                                     SLICE("key of a wrong length"), error);
    memcpy(next->bytes, entry.key.data, POOL_ID_SIZE);
    const struct pool_id pool = *next;
    code = expire_pool(stats, &pool, left, error);
    if (*left > 0)
        pool_id_increment(next);
    return code;
}

enum error_code pool_minutes_expire(struct stats *stats, size_t pools, size_t max, bool *has_more,
                                    struct error *error)
{
    size_t left = max;
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < pools && left > 0 && code == ERROR_NONE && is_round_due(stats); i++)
        code = expire_next(stats, &left, error);
    *has_more = left == 0;
    return code;
}
