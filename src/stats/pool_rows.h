// Rows of minutes and hours of pools: shared by pool_minutes.c, pool_history.c, pool_waits.c and pool_changes.c.
#ifndef GHATRACE_STATS_POOL_ROWS_H
#define GHATRACE_STATS_POOL_ROWS_H

#include "ghatrace/stats/pool_minutes.h"
#include "private.h"

#define POOL_ROW_KEY_SIZE (POOL_ID_SIZE + 8) // pool id ‖ be64 of a minute or an hour
#define MINUTE_SECONDS 60

// --- rows of one pool in one table, ordered by time ---

struct pool_rows {
    struct store_transaction *transaction;
    enum store_table table;
    const struct pool_id *pool;
    struct error *error;
};

void pool_rows_put_key(uint8_t key[POOL_ROW_KEY_SIZE], timestamp_ns at, const struct pool_id *pool);
timestamp_ns pool_rows_time(const void *key);
// The begin of the hour in which it was `length` ago; 0 at the earliest.
timestamp_ns pool_rows_hour_before(timestamp_ns now, duration_ns length);
// The first row. Its value is valid until the next change. ERROR_NOT_FOUND.
enum error_code pool_rows_first(const struct pool_rows *rows, uint8_t key[POOL_ROW_KEY_SIZE],
                                struct slice *value) MUST_CHECK;
enum error_code pool_rows_delete(const struct pool_rows *rows,
                                 const uint8_t key[POOL_ROW_KEY_SIZE]) MUST_CHECK;
// Drops the rows before a time, and adds how many they were to `*dropped`.
enum error_code pool_rows_drop(const struct pool_rows *rows, timestamp_ns before,
                               size_t *dropped) MUST_CHECK;
// A walk from a time on; pool_rows_next() gives ERROR_NOT_FOUND at the end of the pool.
enum error_code pool_rows_walk(const struct pool_rows *rows, timestamp_ns from,
                               struct store_walk **walk) MUST_CHECK;
enum error_code pool_rows_next(const struct pool_rows *rows, struct store_walk *walk,
                               struct store_entry *entry) MUST_CHECK;

// --- minutes ---

// Layout: varints of arrivals and starts, the number of seconds with changes, of each its number and the changes of
// queued and of running jobs (zigzag); then the histogram of waits, as histogram_encode() writes it.
struct minute_row {
    uint64_t arrivals;
    uint64_t starts;
    int64_t queued[MINUTE_SECONDS];
    int64_t running[MINUTE_SECONDS];
    struct histogram waits;
};

// Reads all but the waits, which stay unset. False: damaged.
bool minute_row_decode_changes(struct slice bytes, struct minute_row *row) MUST_CHECK;
// Adds to `row`. False: damaged, and `row` must be discarded.
bool minute_row_decode_into(struct slice bytes, struct minute_row *row) MUST_CHECK;

// Adds only the waits. False: damaged, and nothing is added.
bool minute_row_add_waits(struct slice bytes, struct histogram *waits) MUST_CHECK;

// Jobs that are there at one time, or a change of them.
struct pool_level {
    int64_t queued, running;
};
// Not less than 0, even if changes are missing.
static inline uint64_t pool_level_jobs(int64_t level)
{
    return level > 0 ? (uint64_t)level : 0;
}

// The begin of the first hour that is still kept by minute; hours before it do not change any more (pool_minutes.c).
timestamp_ns pool_minutes_kept_from(timestamp_ns now);
// The jobs that were there before the minute `from`, counted back from those that are there now; without those that had
// left their runner by then.
enum error_code pool_level_before(const struct pool_rows *minutes, const struct pool_reader *reader,
                                  timestamp_ns from, struct pool_level *level) MUST_CHECK;

// --- sums of minutes, and hours (pool_minutes.c) ---

// What is known of one minute or hour, or of a part of it.
struct slot_sum {
    uint64_t seconds; // those that are summed up
    uint64_t arrivals, starts;
    uint64_t queued_max, running_max;         // at the end of a second
    uint64_t queued_seconds, running_seconds; // job-seconds
    struct histogram waits;
};
// Adds seconds without any change.
void slot_sum_add(struct slot_sum *sum, const struct pool_level *level, uint64_t seconds);

// The minutes in [start, end); of seconds after `now` only the changes are taken.
struct slot_time {
    timestamp_ns start, end, now;
};

// Reads minutes one after the other.
struct minute_cursor {
    struct pool_rows rows;
    struct store_walk *walk;
    struct pool_ends ends; // these jobs do not run from then on, although no row has a change
    size_t ends_taken;
    bool has_row;
    timestamp_ns at;
    struct minute_row row;
};
// With the rows of minutes in `rows`. `from`: begin of a minute. If it succeeds, minute_cursor_end() must follow.
enum error_code minute_cursor_begin(struct minute_cursor *cursor, timestamp_ns from) MUST_CHECK;
void minute_cursor_end(struct minute_cursor *cursor);
// Adds up minutes, no row of which is behind the cursor, and brings `level` from their begin to their end.
enum error_code minute_cursor_sum(struct minute_cursor *cursor, const struct slot_time *time,
                                  struct pool_level *level, struct slot_sum *sum) MUST_CHECK;

// Layout: varints of arrivals, starts, the most queued and the most running jobs, the job-seconds of queued and of
// running ones, the jobs queued and running at the begin of the hour, and the minute since which the pool is known (of
// those since 1970); then the histogram of waits.
struct hour_row {
    struct slot_sum sum;
    struct pool_level before;
    timestamp_ns since;
};
// False: damaged.
bool hour_row_decode(struct slice bytes, struct hour_row *row) MUST_CHECK;
// When the first change of a pool was that is known; TIMESTAMP_UNKNOWN: none is.
enum error_code pool_known_since(struct store_transaction *transaction, const struct pool_id *pool,
                                 timestamp_ns *since, struct error *error) MUST_CHECK;

#endif
