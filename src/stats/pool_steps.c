// Reads minutes of pools as steps. Their layout is in pool_minutes.c, that of hours in pool_minutes.h.
#include "ghatrace/stats/pool_steps.h"

#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/latency.h"
#include "private.h"

#define TIMED_KEY_SIZE (POOL_ID_SIZE + 8)
#define SECONDS_OF_MINUTE 60
#define STEPS_AT_FIRST 1024
#define RECENT (3 * NS_PER_HOUR)

static timestamp_ns hour_before(timestamp_ns now, duration_ns length)
{
    timestamp_ns from = now - length;
    return from > 0 ? from - from % NS_PER_HOUR : 0;
}

timestamp_ns pool_steps_recent(timestamp_ns now)
{
    return hour_before(now, RECENT);
}

timestamp_ns pool_steps_day(timestamp_ns now)
{
    return hour_before(now, NS_PER_DAY);
}

// --- the list -------------------------------------------------------------------------------------

void pool_steps_release(struct pool_steps *steps)
{
    memory_free(steps->items);
    steps->items = NULL;
    steps->count = steps->room = 0;
}

static enum error_code make_step_room(struct pool_steps *steps, size_t more)
{
    size_t room = steps->room > 0 ? steps->room * 2 : STEPS_AT_FIRST;
    if (steps->count + more <= steps->room)
        return ERROR_NONE;
    if (steps->count + more > steps->most)
        return ERROR_TOO_LARGE;
    struct pool_step *grown = memory_resize(steps->items, room * sizeof *grown);
    if (grown == NULL)
        return ERROR_MEMORY;
    steps->items = grown;
    steps->room = room;
    return ERROR_NONE;
}

enum error_code pool_steps_add(struct pool_steps *steps, const struct pool_step *step)
{
    enum error_code code = make_step_room(steps, 1);
    if (code == ERROR_NONE)
        steps->items[steps->count++] = *step;
    return code;
}

// --- minutes --------------------------------------------------------------------------------------

static int32_t read_change(struct byte_reader *reader)
{
    uint64_t value = bytes_read_varint(reader);
    int64_t half = (int64_t)(value / 2);
    return (int32_t)(value % 2 == 1 ? -half - 1 : half);
}

// The first bucket that is not empty is that of the shortest wait.
static bool has_short_wait(struct byte_reader *reader)
{
    bytes_read_varint(reader); // the longest
    uint64_t bucket = bytes_read_varint(reader);
    return !reader->failed && bucket < histogram_bucket_of(NS_PER_MINUTE);
}

// A damaged row is left out.
static void add_minute(struct slice row, timestamp_ns minute, struct pool_steps *steps,
                       struct pool_happened *happened)
{
    struct byte_reader reader = bytes_reader(row);
    size_t before = steps->count;
    bytes_read_varint(&reader); // arrivals
    uint64_t starts = bytes_read_varint(&reader);
    uint64_t changed = bytes_read_varint(&reader);
    for (uint64_t i = 0; i < changed && i < SECONDS_OF_MINUTE && !reader.failed; i++) {
        timestamp_ns second = (timestamp_ns)bytes_read_varint(&reader);
        int32_t queued = read_change(&reader), running = read_change(&reader);
        steps->items[steps->count++] = (struct pool_step){
            minute + second % SECONDS_OF_MINUTE * NS_PER_SECOND, queued, running};
    }
    if (reader.failed || changed > SECONDS_OF_MINUTE) {
        steps->count = before;
        return;
    }
    happened->last_start = starts > 0 ? minute : happened->last_start;
    if (has_short_wait(&reader))
        happened->last_short_start = minute;
}

static bool is_timed_key(struct slice key, const struct pool_id *pool)
{
    return key.len == TIMED_KEY_SIZE && memcmp(key.data, pool->bytes, POOL_ID_SIZE) == 0;
}

static struct slice put_timed_key(uint8_t key[TIMED_KEY_SIZE], const struct pool_id *pool,
                                  timestamp_ns at)
{
    memcpy(key, pool->bytes, POOL_ID_SIZE);
    bytes_put_be64(key + POOL_ID_SIZE, (uint64_t)at);
    return slice_of_bytes(key, TIMED_KEY_SIZE);
}

static enum error_code add_minutes(struct store_walk *walk, const struct pool_id *pool,
                                   struct pool_steps *steps, struct pool_happened *happened,
                                   struct error *error)
{
    enum error_code code;
    struct store_entry entry;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        if (!is_timed_key(entry.key, pool))
            return ERROR_NONE;
        code = steps->rows_left > 0 ? make_step_room(steps, SECONDS_OF_MINUTE) : ERROR_TOO_LARGE;
        if (code != ERROR_NONE)
            return code;
        steps->rows_left--;
        add_minute(entry.value, (timestamp_ns)bytes_get_be64(entry.key.data + POOL_ID_SIZE), steps,
                   happened);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_steps_read(const struct pool_steps_reader *reader, const struct pool_id *pool,
                                struct pool_steps *steps, struct pool_happened *happened)
{
    uint8_t key[TIMED_KEY_SIZE];
    struct store_walk *walk;
    size_t before = steps->count;
    *happened = (struct pool_happened){.is_whole = true};
    enum error_code code =
        store_table_walk(reader->transaction, STORE_TABLE_POOL_MINUTES,
                         put_timed_key(key, pool, reader->from), &walk, reader->error);
    if (code != ERROR_NONE)
        return code;
    code = add_minutes(walk, pool, steps, happened, reader->error);
    store_table_end_walk(walk);
    if (code == ERROR_MEMORY)
        return error_set(reader->error, code, "read jobs by second: out of memory");
    if (code != ERROR_TOO_LARGE)
        return code;
    happened->is_whole = false;
    steps->count = before;
    return ERROR_NONE;
}

// --- hours ----------------------------------------------------------------------------------------

// The most running jobs are the fourth number.
static uint64_t most_of_hour(struct slice hour)
{
    struct byte_reader reader = bytes_reader(hour);
    for (int i = 0; i < 3; i++)
        bytes_read_varint(&reader);
    return bytes_read_varint(&reader);
}

enum error_code pool_hours_read_last_active(const struct pool_steps_reader *reader,
                                            const struct pool_id *pool, uint64_t more_than,
                                            timestamp_ns *ended)
{
    *ended = TIMESTAMP_UNKNOWN;
    for (timestamp_ns before = INT64_MAX;;) {
        uint8_t key[TIMED_KEY_SIZE];
        struct store_entry entry;
        enum error_code code =
            store_table_seek_before(reader->transaction, STORE_TABLE_POOL_HOURS,
                                    put_timed_key(key, pool, before), &entry, reader->error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (!is_timed_key(entry.key, pool))
            return ERROR_NONE;
        before = (timestamp_ns)bytes_get_be64(entry.key.data + POOL_ID_SIZE);
        if (before < reader->now - 7 * NS_PER_DAY)
            return ERROR_NONE;
        if (most_of_hour(entry.value) > more_than) {
            *ended = before + NS_PER_HOUR;
            return ERROR_NONE;
        }
    }
}
