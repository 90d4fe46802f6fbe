// Adds up the waits in minutes and hours of a pool.
#include "ghatrace/stats/pool_waits.h"

#include "pool_rows.h"

// With the hour in which `from` is, and the one that has not ended.
#define HOURS_MAX (35 * 24 + 2)

// --- slots ----------------------------------------------------------------------------------------

void pool_wait_slots_of(const struct pool_history_slots *slots, struct pool_wait_slots *fewer)
{
    static const size_t of_minutes[] = {1, 2, 5, 10, 15}, of_hours[] = {1, 2, 3, 4, 6, 12};
    bool is_by_hour = slots->length == NS_PER_HOUR;
    const size_t *step = is_by_hour ? of_hours : of_minutes;
    const size_t *last = is_by_hour ? &of_hours[sizeof of_hours / sizeof of_hours[0] - 1]
                                    : &of_minutes[sizeof of_minutes / sizeof of_minutes[0] - 1];
    while (step < last && (slots->count + *step - 1) / *step > POOL_WAIT_SLOTS_MAX)
        step++;
    *fewer = (struct pool_wait_slots){
        .first = slots->first,
        .end = slots->first + (duration_ns)slots->count * slots->length,
        .length = (duration_ns)*step * slots->length,
        .count = (slots->count + *step - 1) / *step,
    };
}

// --- reading --------------------------------------------------------------------------------------

struct waits_reading {
    struct pool_rows rows; // of minutes or hours
    const struct pool_wait_slots *slots;
    struct histogram *waits;
    bool has_hour
        [HOURS_MAX]; // from the hour of the first slot on: its minutes do not count any more
};

static size_t hour_number(const struct waits_reading *reading, timestamp_ns at)
{
    timestamp_ns first = reading->slots->first - reading->slots->first % NS_PER_HOUR;
    return (size_t)((at - first) / NS_PER_HOUR);
}

// False: damaged.
static bool take_row(struct waits_reading *reading, const struct store_entry *entry)
{
    timestamp_ns at = pool_rows_time(entry->key.data);
    const struct pool_wait_slots *slots = reading->slots;
    struct histogram *waits = &reading->waits[(at - slots->first) / slots->length];
    bool *has_hour = &reading->has_hour[hour_number(reading, at)];
    struct hour_row hour;
    if (reading->rows.table == STORE_TABLE_POOL_MINUTES)
        return *has_hour || minute_row_add_waits(entry->value, waits);
    if (!hour_row_decode(entry->value, &hour))
        return false;
    *has_hour = true;
    histogram_merge(waits, &hour.sum.waits);
    return true;
}

static enum error_code read_table(struct waits_reading *reading, enum store_table table)
{
    struct store_walk *walk;
    struct store_entry entry;
    reading->rows.table = table;
    enum error_code code = pool_rows_walk(&reading->rows, reading->slots->first, &walk);
    if (code != ERROR_NONE)
        return code;
    while ((code = pool_rows_next(&reading->rows, walk, &entry)) == ERROR_NONE &&
           pool_rows_time(entry.key.data) < reading->slots->end)
        if (!take_row(reading, &entry))
            store_note_unreadable(reading->rows.transaction);
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code pool_waits_read(struct store_transaction *transaction, const struct pool_id *pool,
                                const struct pool_wait_slots *slots, struct histogram *waits,
                                struct error *error)
{
    struct waits_reading reading = {
        .rows = {transaction, STORE_TABLE_POOL_HOURS, pool, error}, .slots = slots, .waits = waits};
    enum error_code code = ERROR_NONE;
    if (hour_number(&reading, slots->end - 1) >= HOURS_MAX)
        return error_set(error, ERROR_USAGE, "waits of more than 35 days");
    if (slots->length % NS_PER_HOUR == 0)
        code = read_table(&reading, STORE_TABLE_POOL_HOURS);
    return code == ERROR_NONE ? read_table(&reading, STORE_TABLE_POOL_MINUTES) : code;
}
