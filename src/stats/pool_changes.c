// Reads minutes of pools as changes. Their layout is in pool_rows.h.
#include "ghatrace/stats/pool_changes.h"

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/latency.h"
#include "pool_rows.h"
#include "private.h"

#define CHANGES_AT_FIRST 1024
#define RECENT (3 * NS_PER_HOUR)

timestamp_ns pool_changes_recent(timestamp_ns now)
{
    return pool_rows_hour_before(now, RECENT);
}

timestamp_ns pool_changes_day(timestamp_ns now)
{
    return pool_rows_hour_before(now, NS_PER_DAY);
}

// --- the list -------------------------------------------------------------------------------------

void pool_changes_release(struct pool_changes *changes)
{
    memory_free(changes->items);
    changes->items = NULL;
    changes->count = changes->room = 0;
}

static enum error_code make_change_room(struct pool_changes *changes, size_t more)
{
    size_t room = changes->room > 0 ? changes->room * 2 : CHANGES_AT_FIRST;
    if (changes->count + more <= changes->room)
        return ERROR_NONE;
    if (changes->count + more > changes->most)
        return ERROR_TOO_LARGE;
    struct pool_change *grown = memory_resize(changes->items, room * sizeof *grown);
    if (grown == NULL)
        return ERROR_MEMORY;
    changes->items = grown;
    changes->room = room;
    return ERROR_NONE;
}

enum error_code pool_changes_add(struct pool_changes *changes, const struct pool_change *change)
{
    enum error_code code = make_change_room(changes, 1);
    if (code == ERROR_NONE)
        changes->items[changes->count++] = *change;
    return code;
}

// --- minutes --------------------------------------------------------------------------------------

// The first bucket that is not empty is that of the shortest wait.
static bool has_short_wait(struct byte_reader *reader)
{
    bytes_read_varint(reader); // the longest
    uint64_t bucket = bytes_read_varint(reader);
    return !reader->failed && bucket < histogram_bucket_of(NS_PER_MINUTE);
}

// A damaged row is left out.
static void add_changes_of(struct slice row, timestamp_ns minute, struct pool_changes *changes,
                           struct pool_activity *activity)
{
    struct byte_reader reader = bytes_reader(row);
    size_t before = changes->count;
    bytes_read_varint(&reader); // arrivals
    uint64_t starts = bytes_read_varint(&reader);
    uint64_t changed = bytes_read_varint(&reader);
    for (uint64_t i = 0; i < changed && i < MINUTE_SECONDS && !reader.failed; i++) {
        timestamp_ns second = (timestamp_ns)bytes_read_varint(&reader);
        int32_t queued = (int32_t)bytes_read_zigzag(&reader);
        int32_t running = (int32_t)bytes_read_zigzag(&reader);
        changes->items[changes->count++] =
            (struct pool_change){minute + second % MINUTE_SECONDS * NS_PER_SECOND, queued, running};
    }
    if (reader.failed || changed > MINUTE_SECONDS) {
        changes->count = before;
        return;
    }
    activity->last_start = starts > 0 ? minute : activity->last_start;
    if (has_short_wait(&reader))
        activity->last_short_start = minute;
}

static enum error_code add_minutes(const struct pool_rows *rows, struct store_walk *walk,
                                   struct pool_changes *changes, struct pool_activity *activity)
{
    enum error_code code;
    struct store_entry entry;
    while ((code = pool_rows_next(rows, walk, &entry)) == ERROR_NONE) {
        code = changes->rows_left > 0 ? make_change_room(changes, MINUTE_SECONDS) : ERROR_TOO_LARGE;
        if (code != ERROR_NONE)
            return code;
        changes->rows_left--;
        add_changes_of(entry.value, pool_rows_time(entry.key.data), changes, activity);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_changes_read(const struct pool_changes_reader *reader,
                                  const struct pool_id *pool, struct pool_changes *changes,
                                  struct pool_activity *activity)
{
    const struct pool_rows rows = {reader->transaction, STORE_TABLE_POOL_MINUTES, pool,
                                   reader->error};
    struct store_walk *walk;
    size_t before = changes->count;
    *activity = (struct pool_activity){.is_whole = true};
    enum error_code code = pool_rows_walk(&rows, reader->from, &walk);
    if (code != ERROR_NONE)
        return code;
    code = add_minutes(&rows, walk, changes, activity);
    store_table_end_walk(walk);
    if (code == ERROR_MEMORY)
        return error_set(reader->error, code, "read jobs by second: out of memory");
    if (code != ERROR_TOO_LARGE)
        return code;
    activity->is_whole = false;
    changes->count = before;
    return ERROR_NONE;
}

// --- hours ----------------------------------------------------------------------------------------

// Hours without any change have no row, but where jobs ran there is one in which the last of them ended.
enum error_code pool_hours_read_last_active(const struct pool_changes_reader *reader,
                                            const struct pool_id *pool, timestamp_ns *ended)
{
    const struct pool_rows rows = {reader->transaction, STORE_TABLE_POOL_HOURS, pool,
                                   reader->error};
    struct store_walk *walk;
    struct store_entry entry;
    *ended = TIMESTAMP_UNKNOWN;
    enum error_code code =
        pool_rows_walk(&rows, pool_rows_hour_before(reader->now, 7 * NS_PER_DAY), &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = pool_rows_next(&rows, walk, &entry)) == ERROR_NONE) {
        struct hour_row row = {.since = TIMESTAMP_UNKNOWN};
        if (hour_row_decode(entry.value, &row) && row.sum.running_max > 0)
            *ended = pool_rows_time(entry.key.data) + NS_PER_HOUR;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
