// Reads minutes and hours of a pool as one row of slots.
#include "ghatrace/stats/pool_history.h"

#include "pool_rows.h"

#define BY_MINUTE_MAX (POOL_MINUTES_DAY * NS_PER_MINUTE)

// --- slots ----------------------------------------------------------------------------------------

static timestamp_ns begin_of(timestamp_ns at, duration_ns length)
{
    return at - at % length;
}

static enum error_code check_span(const struct pool_history_span *span, timestamp_ns from,
                                  timestamp_ns to, timestamp_ns now, struct error *error)
{
    if (span->window > 0 && span->from != TIMESTAMP_UNKNOWN)
        return error_set(error, ERROR_USAGE, "want either from or window");
    if (span->window > 0 && (span->window < NS_PER_MINUTE || span->window > POOL_HOURS_KEPT))
        return error_set(error, ERROR_USAGE, "window: want a time from 1m to 35d");
    if (from >= now)
        return error_set(error, ERROR_USAGE, "from: is in the future");
    if (to <= from)
        return error_set(error, ERROR_USAGE, "to: is not later than from");
    if (from < now - POOL_HOURS_KEPT - NS_PER_HOUR)
        return error_set(error, ERROR_USAGE, "from: there is no history from before 35 days ago");
    return ERROR_NONE;
}

enum error_code pool_history_slots_of(const struct pool_history_span *span, timestamp_ns now,
                                      struct pool_history_slots *slots, struct error *error)
{
    bool is_until_now = span->to == TIMESTAMP_UNKNOWN || span->to > now;
    timestamp_ns to = is_until_now ? now : span->to;
    duration_ns window = span->window > 0 ? span->window : NS_PER_HOUR;
    timestamp_ns from = span->from != TIMESTAMP_UNKNOWN ? span->from : to - window;
    enum error_code code = check_span(span, from, to, now, error);
    if (code != ERROR_NONE)
        return code;
    slots->length =
        to - from <= BY_MINUTE_MAX && from >= pool_minutes_kept_from(now) + NS_PER_MINUTE
            ? NS_PER_MINUTE
            : NS_PER_HOUR;
    timestamp_ns end = begin_of(is_until_now ? to : to - 1, slots->length) + slots->length;
    if (span->from == TIMESTAMP_UNKNOWN) { // as many slots as are in the window, the last with `to`
        slots->count = (size_t)((window + slots->length - 1) / slots->length);
        slots->first = end - (duration_ns)slots->count * slots->length;
    } else {
        slots->first = begin_of(from, slots->length);
        slots->count = (size_t)((end - slots->first) / slots->length);
    }
    return ERROR_NONE;
}

// --- reading --------------------------------------------------------------------------------------

struct reading {
    const struct pool_reader *reader;
    const struct pool_history_slots *slots;
    struct arena *arena;
    struct pool_history *history;
    struct pool_rows rows;     // of minutes
    bool *has_hour;            // of each slot: it has a row of its own
    struct pool_level *before; // of each that has
    struct pool_level after;   // jobs at the end of the slots before those of minutes
};

static timestamp_ns start_of(const struct reading *reading, size_t slot)
{
    return reading->slots->first + (duration_ns)slot * reading->slots->length;
}

static timestamp_ns end_of(const struct reading *reading)
{
    return start_of(reading, reading->slots->count);
}

static bool put_slot(const struct reading *reading, size_t at, const struct slot_sum *sum)
{
    struct pool_slot *slot = &reading->history->slots[at];
    double seconds = sum->seconds > 0 ? (double)sum->seconds : 1;
    timestamp_ns since = reading->history->known_since;
    slot->is_known = since != TIMESTAMP_UNKNOWN && start_of(reading, at + 1) > since;
    if (!slot->is_known)
        return true;
    slot->arrivals = sum->arrivals;
    slot->starts = sum->starts;
    slot->queued_max = sum->queued_max;
    slot->running_max = sum->running_max;
    slot->queued_mean = (double)sum->queued_seconds / seconds;
    slot->running_mean = (double)sum->running_seconds / seconds;
    if (sum->waits.count == 0)
        return true;
    slot->waits = arena_allocate_array(reading->arena, 1, sizeof *slot->waits);
    if (slot->waits != NULL)
        *slot->waits = sum->waits;
    return slot->waits != NULL;
}

static enum error_code refuse_history_memory(const struct reading *reading)
{
    return error_set(reading->reader->error, ERROR_MEMORY,
                     "read the history of a pool: out of memory");
}

// The slots from number `from` on, from minutes, but for those that have a row of their own.
static enum error_code sum_minutes(struct reading *reading, size_t from)
{
    struct minute_cursor cursor = {.rows = reading->rows, .ends = reading->reader->ends};
    struct pool_level level = reading->after;
    enum error_code code = minute_cursor_begin(&cursor, start_of(reading, from));
    if (code != ERROR_NONE)
        return code;
    for (size_t i = from; i < reading->slots->count && code == ERROR_NONE; i++) {
        struct slot_sum sum = {.seconds = 0};
        const struct slot_time time = {start_of(reading, i), start_of(reading, i + 1),
                                       reading->reader->now};
        code = minute_cursor_sum(&cursor, &time, &level, &sum);
        if (code == ERROR_NONE && !reading->has_hour[i] && !put_slot(reading, i, &sum))
            code = refuse_history_memory(reading);
    }
    minute_cursor_end(&cursor);
    return code;
}

// One row: of a slot, or the first one behind all of them.
static enum error_code take_hour(struct reading *reading, const struct store_entry *entry,
                                 bool *is_behind)
{
    timestamp_ns at = pool_rows_time(entry->key.data);
    struct hour_row row;
    if (!hour_row_decode(entry->value, &row)) {
        store_note_unreadable(reading->reader->transaction);
        return ERROR_NONE;
    }
    *is_behind = at >= end_of(reading);
    if (*is_behind) {
        reading->after = row.before;
        return ERROR_NONE;
    }
    size_t slot = (size_t)((at - reading->slots->first) / NS_PER_HOUR);
    reading->has_hour[slot] = true;
    reading->before[slot] = row.before;
    return put_slot(reading, slot, &row.sum) ? ERROR_NONE : refuse_history_memory(reading);
}

static enum error_code read_hours(struct reading *reading, bool *is_behind)
{
    struct pool_rows hours = reading->rows;
    struct store_walk *walk;
    struct store_entry entry;
    hours.table = STORE_TABLE_POOL_HOURS;
    enum error_code code = pool_rows_walk(&hours, reading->slots->first, &walk);
    if (code != ERROR_NONE)
        return code;
    while (!*is_behind && code == ERROR_NONE &&
           (code = pool_rows_next(&hours, walk, &entry)) == ERROR_NONE)
        code = take_hour(reading, &entry, is_behind);
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// The first slot that has minutes; if none has, their number.
static enum error_code find_minutes(const struct reading *reading, size_t *slot)
{
    const struct pool_history_slots *slots = reading->slots;
    uint8_t key[POOL_ROW_KEY_SIZE];
    struct slice value;
    *slot = slots->count;
    enum error_code code = pool_rows_first(&reading->rows, key, &value);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    timestamp_ns at = pool_rows_time(key);
    if (at < end_of(reading))
        *slot = at > slots->first ? (size_t)((at - slots->first) / slots->length) : 0;
    return ERROR_NONE;
}

// Hours among the first `count` in which nothing changed: there were as many jobs as at the begin of the next row.
static enum error_code fill_hours(struct reading *reading, size_t count)
{
    struct pool_level level = reading->after;
    for (size_t i = count; i-- > 0;) {
        struct slot_sum sum = {.seconds = 0};
        if (reading->has_hour[i]) {
            level = reading->before[i];
            continue;
        }
        slot_sum_add(&sum, &level, NS_PER_HOUR / NS_PER_SECOND);
        if (!put_slot(reading, i, &sum))
            return refuse_history_memory(reading);
    }
    return ERROR_NONE;
}

static enum error_code read_slots(struct reading *reading)
{
    size_t by_minute = 0;
    bool is_behind = false;
    enum error_code code = ERROR_NONE;
    if (reading->slots->length == NS_PER_HOUR) {
        code = read_hours(reading, &is_behind);
        if (code == ERROR_NONE)
            code = find_minutes(reading, &by_minute);
    }
    bool has_minutes = by_minute < reading->slots->count;
    if (code == ERROR_NONE && (has_minutes || !is_behind))
        code = pool_level_before(&reading->rows, reading->reader, start_of(reading, by_minute),
                                 &reading->after);
    if (code == ERROR_NONE && has_minutes)
        code = sum_minutes(reading, by_minute);
    return code == ERROR_NONE ? fill_hours(reading, by_minute) : code;
}

enum error_code pool_history_read(const struct pool_reader *reader,
                                  const struct pool_history_slots *slots, struct arena *arena,
                                  struct pool_history *history)
{
    struct reading reading = {
        .reader = reader,
        .slots = slots,
        .arena = arena,
        .history = history,
        .rows = {reader->transaction, STORE_TABLE_POOL_MINUTES, &reader->pool->id, reader->error}};
    reading.has_hour = arena_allocate_array(arena, slots->count + 1, sizeof *reading.has_hour);
    reading.before = arena_allocate_array(arena, slots->count + 1, sizeof *reading.before);
    history->slots = arena_allocate_array(arena, slots->count + 1, sizeof *history->slots);
    if (reading.has_hour == NULL || reading.before == NULL || history->slots == NULL)
        return refuse_history_memory(&reading);
    enum error_code code = pool_known_since(reader->transaction, &reader->pool->id,
                                            &history->known_since, reader->error);
    return code == ERROR_NONE ? read_slots(&reading) : code;
}
