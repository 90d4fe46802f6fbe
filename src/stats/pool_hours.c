// Hours of each pool: made of its minutes when these are no longer kept, and final from then on.
#include "ghatrace/stats/pool_minutes.h"

#include <string.h>

#include "ghatrace/stats/ended_jobs.h"
#include "pool_rows.h"
#include "private.h"

#define ENDS_ARENA_BLOCK ((size_t)4096)

static timestamp_ns hour_of(timestamp_ns at)
{
    return at - at % NS_PER_HOUR;
}

// --- summing up minutes ---------------------------------------------------------------------------

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

// --- rows -----------------------------------------------------------------------------------------

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
