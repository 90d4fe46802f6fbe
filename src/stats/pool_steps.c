// Reads minutes of pools as steps. Their layout is in pool_rows.h.
#include "ghatrace/stats/pool_steps.h"

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/latency.h"
#include "pool_rows.h"
#include "private.h"

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
static void add_steps_of(struct slice row, timestamp_ns minute, struct pool_steps *steps,
                         struct pool_happened *happened)
{
    struct byte_reader reader = bytes_reader(row);
    size_t before = steps->count;
    bytes_read_varint(&reader); // arrivals
    uint64_t starts = bytes_read_varint(&reader);
    uint64_t changed = bytes_read_varint(&reader);
    for (uint64_t i = 0; i < changed && i < MINUTE_SECONDS && !reader.failed; i++) {
        timestamp_ns second = (timestamp_ns)bytes_read_varint(&reader);
        int32_t queued = read_change(&reader), running = read_change(&reader);
        steps->items[steps->count++] =
            (struct pool_step){minute + second % MINUTE_SECONDS * NS_PER_SECOND, queued, running};
    }
    if (reader.failed || changed > MINUTE_SECONDS) {
        steps->count = before;
        return;
    }
    happened->last_start = starts > 0 ? minute : happened->last_start;
    if (has_short_wait(&reader))
        happened->last_short_start = minute;
}

static enum error_code add_minutes(const struct pool_rows *rows, struct store_walk *walk,
                                   struct pool_steps *steps, struct pool_happened *happened)
{
    enum error_code code;
    struct store_entry entry;
    while ((code = pool_rows_next(rows, walk, &entry)) == ERROR_NONE) {
        code = steps->rows_left > 0 ? make_step_room(steps, MINUTE_SECONDS) : ERROR_TOO_LARGE;
        if (code != ERROR_NONE)
            return code;
        steps->rows_left--;
        add_steps_of(entry.value, pool_rows_time(entry.key.data), steps, happened);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_steps_read(const struct pool_steps_reader *reader, const struct pool_id *pool,
                                struct pool_steps *steps, struct pool_happened *happened)
{
    const struct pool_rows rows = {reader->transaction, STORE_TABLE_POOL_MINUTES, pool,
                                   reader->error};
    struct store_walk *walk;
    size_t before = steps->count;
    *happened = (struct pool_happened){.is_whole = true};
    enum error_code code = pool_rows_walk(&rows, reader->from, &walk);
    if (code != ERROR_NONE)
        return code;
    code = add_minutes(&rows, walk, steps, happened);
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

// Hours without any change have no row, but where jobs ran there is one in which the last of them ended.
enum error_code pool_hours_read_last_active(const struct pool_steps_reader *reader,
                                            const struct pool_id *pool, uint64_t more_than,
                                            timestamp_ns *ended)
{
    const struct pool_rows rows = {reader->transaction, STORE_TABLE_POOL_HOURS, pool,
                                   reader->error};
    struct store_walk *walk;
    struct store_entry entry;
    *ended = TIMESTAMP_UNKNOWN;
    enum error_code code = pool_rows_walk(&rows, hour_before(reader->now, 7 * NS_PER_DAY), &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = pool_rows_next(&rows, walk, &entry)) == ERROR_NONE) {
        struct hour_row row = {.since = TIMESTAMP_UNKNOWN};
        if (hour_row_decode(entry.value, &row) && row.sum.running_max > more_than)
            *ended = pool_rows_time(entry.key.data) + NS_PER_HOUR;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
