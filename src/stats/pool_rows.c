// Rows of minutes and hours of pools.
#include "pool_rows.h"

#include <stddef.h>
#include <string.h>

#include "private.h"

// --- rows of one pool, ordered by time ------------------------------------------------------------

void pool_rows_put_key(uint8_t key[POOL_ROW_KEY_SIZE], timestamp_ns minute,
                       const struct pool_id *pool)
{
    memcpy(key, pool->bytes, POOL_ID_SIZE);
    bytes_put_be64(key + POOL_ID_SIZE, (uint64_t)minute);
}

static bool is_of_pool(struct slice key, const struct pool_id *pool)
{
    return key.len == POOL_ROW_KEY_SIZE && memcmp(key.data, pool->bytes, POOL_ID_SIZE) == 0;
}

timestamp_ns pool_rows_time(const void *key)
{
    return (timestamp_ns)bytes_get_be64((const uint8_t *)key + POOL_ID_SIZE);
}

timestamp_ns pool_rows_hour_before(timestamp_ns now, duration_ns length)
{
    timestamp_ns at = now - length;
    return at > 0 ? at - at % NS_PER_HOUR : 0;
}

enum error_code pool_rows_first(const struct pool_rows *rows, uint8_t key[POOL_ROW_KEY_SIZE],
                                struct slice *value)
{
    struct store_entry entry;
    pool_rows_put_key(key, 0, rows->pool);
    enum error_code code =
        store_table_seek(rows->transaction, rows->table, slice_of_bytes(key, POOL_ROW_KEY_SIZE),
                         &entry, rows->error);
    if (code != ERROR_NONE)
        return code;
    if (!is_of_pool(entry.key, rows->pool))
        return ERROR_NOT_FOUND;
    memcpy(key, entry.key.data, POOL_ROW_KEY_SIZE);
    *value = entry.value;
    return ERROR_NONE;
}

enum error_code pool_rows_delete(const struct pool_rows *rows, const uint8_t key[POOL_ROW_KEY_SIZE])
{
    return store_table_delete(rows->transaction, rows->table,
                              slice_of_bytes(key, POOL_ROW_KEY_SIZE), rows->error);
}

enum error_code pool_rows_walk(const struct pool_rows *rows, timestamp_ns from,
                               struct store_walk **walk)
{
    uint8_t key[POOL_ROW_KEY_SIZE];
    pool_rows_put_key(key, from, rows->pool);
    return store_table_walk(rows->transaction, rows->table, slice_of_bytes(key, POOL_ROW_KEY_SIZE),
                            walk, rows->error);
}

enum error_code pool_rows_next(const struct pool_rows *rows, struct store_walk *walk,
                               struct store_entry *entry)
{
    enum error_code code = store_table_next(walk, entry, rows->error);
    return code == ERROR_NONE && !is_of_pool(entry->key, rows->pool) ? ERROR_NOT_FOUND : code;
}

enum error_code pool_rows_drop(const struct pool_rows *rows, timestamp_ns before, size_t *dropped)
{
    for (;; (*dropped)++) {
        uint8_t key[POOL_ROW_KEY_SIZE];
        struct slice value;
        enum error_code code = pool_rows_first(rows, key, &value);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (pool_rows_time(key) >= before)
            return ERROR_NONE;
        code = pool_rows_delete(rows, key);
        if (code != ERROR_NONE)
            return code;
    }
}

// --- minutes --------------------------------------------------------------------------------------

bool minute_row_is_empty(const struct minute_row *row)
{
    bool is_empty = row->arrivals == 0 && row->starts == 0 && row->waits.count == 0;
    for (size_t i = 0; i < MINUTE_SECONDS && is_empty; i++)
        is_empty = row->queued[i] == 0 && row->running[i] == 0;
    return is_empty;
}

enum error_code minute_row_encode(const struct minute_row *row, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    uint64_t changed = 0;
    bytes_write_varint(&writer, row->arrivals);
    bytes_write_varint(&writer, row->starts);
    for (size_t i = 0; i < MINUTE_SECONDS; i++)
        changed += row->queued[i] != 0 || row->running[i] != 0 ? 1 : 0;
    bytes_write_varint(&writer, changed);
    for (size_t i = 0; i < MINUTE_SECONDS; i++) {
        if (row->queued[i] == 0 && row->running[i] == 0)
            continue;
        bytes_write_varint(&writer, i);
        bytes_write_zigzag(&writer, row->queued[i]);
        bytes_write_zigzag(&writer, row->running[i]);
    }
    return writer.code == ERROR_NONE ? histogram_encode(&row->waits, out) : writer.code;
}

// Of one second; more is damage.
static bool is_plausible(int64_t change)
{
    return change >= INT32_MIN && change <= INT32_MAX;
}

// All but the histogram. False: damaged.
static bool decode_changes(struct byte_reader *reader, struct minute_row *row)
{
    row->arrivals += bytes_read_varint(reader);
    row->starts += bytes_read_varint(reader);
    uint64_t changed = bytes_read_varint(reader);
    for (uint64_t i = 0, least = 0; i < changed && !reader->failed; i++) {
        uint64_t second = bytes_read_varint(reader);
        int64_t queued = bytes_read_zigzag(reader);
        int64_t running = bytes_read_zigzag(reader);
        if (second < least || second >= MINUTE_SECONDS || !is_plausible(queued) ||
            !is_plausible(running))
            return false;
        row->queued[second] += queued;
        row->running[second] += running;
        least = second + 1;
    }
    return !reader->failed;
}

bool minute_row_decode_changes(struct slice bytes, struct minute_row *row)
{
    struct byte_reader reader = bytes_reader(bytes);
    memset(row, 0, offsetof(struct minute_row, waits));
    return decode_changes(&reader, row);
}

bool minute_row_decode_into(struct slice bytes, struct minute_row *row)
{
    struct byte_reader reader = bytes_reader(bytes);
    if (!decode_changes(&reader, row))
        return false;
    struct slice rest = slice_of_bytes(reader.next, (size_t)(reader.end - reader.next));
    return histogram_decode_into(rest, &row->waits);
}

bool minute_row_add_waits(struct slice bytes, struct histogram *waits)
{
    struct byte_reader reader = bytes_reader(bytes);
    (void)bytes_read_varint(&reader); // arrivals
    (void)bytes_read_varint(&reader); // starts
    uint64_t changed = bytes_read_varint(&reader);
    for (uint64_t i = 0; i < changed && !reader.failed; i++) {
        (void)bytes_read_varint(&reader);
        (void)bytes_read_zigzag(&reader);
        (void)bytes_read_zigzag(&reader);
    }
    return !reader.failed &&
           histogram_add_stored(slice_of_bytes(reader.next, (size_t)(reader.end - reader.next)),
                                waits);
}

enum error_code pool_level_before(const struct pool_rows *minutes, const struct pool_reader *reader,
                                  timestamp_ns from, struct pool_level *level)
{
    struct store_walk *walk;
    struct store_entry entry;
    const uint64_t *counts = reader->pool->counts;
    *level =
        (struct pool_level){(int64_t)counts[OPEN_JOB_QUEUED], (int64_t)counts[OPEN_JOB_RUNNING]};
    for (size_t i = 0; i < reader->ends.count && reader->ends.at[i] < from; i++)
        level->running--;
    enum error_code code = pool_rows_walk(minutes, from, &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = pool_rows_next(minutes, walk, &entry)) == ERROR_NONE) {
        struct minute_row row;
        if (!minute_row_decode_changes(entry.value, &row))
            continue;
        for (size_t i = 0; i < MINUTE_SECONDS; i++) {
            level->queued -= row.queued[i];
            level->running -= row.running[i];
        }
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
