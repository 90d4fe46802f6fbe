// How many records are sent at once, and which are tried again alone: the window, the quarantine.
#include "pace.h"

#include <assert.h>
#include <string.h>

#include "ghatrace/base/memory.h"

// --- how large ------------------------------------------------------------------------------------

void window_init(struct export_window *window, size_t records_max, size_t bytes_max)
{
    struct window_size max = {
        .records = records_max > 0 ? records_max : 1,
        .bytes = bytes_max > 0 ? bytes_max : 1,
    };
    *window = (struct export_window){.now = max, .max = max, .hold = WINDOW_HOLD_FIRST};
}

static void check_hold(struct export_window *window, timestamp_ns now)
{
    if (window->failed.records == 0 || now < window->hold_end)
        return;
    window->failed = (struct window_size){.records = 0};
    window->hold = window->hold < WINDOW_HOLD_MAX / 2 ? 2 * window->hold : WINDOW_HOLD_MAX;
}

void window_shrink(struct export_window *window, struct window_size refused, timestamp_ns now)
{
    check_hold(window, now);
    if (window->failed.records == 0)
        window->hold_end = now + window->hold;
    window->failed = window->failed_last = refused;
    window->now.records = size_min(window->now.records, size_half(refused.records));
    window->now.bytes = size_min(window->now.bytes, size_half(refused.bytes));
}

static size_t grown(size_t now, size_t failed, size_t max)
{
    size_t target = now < max / 2 ? 2 * now : max;
    if (failed == 0 || target < failed)
        return target;
    if (now >= failed || failed - now <= failed / 8)
        return now;
    return now + (failed - now) / 2;
}

void window_grow(struct export_window *window, struct window_size accepted, bool is_limited,
                 timestamp_ns now)
{
    check_hold(window, now);
    // The failure was not due to size, or the endpoint accepts more than before.
    if (accepted.records >= window->failed_last.records &&
        accepted.bytes >= window->failed_last.bytes) {
        window->failed = window->failed_last = (struct window_size){.records = 0};
        window->hold = WINDOW_HOLD_FIRST;
    }
    if (!is_limited)
        return;
    window->now.records = grown(window->now.records, window->failed.records, window->max.records);
    window->now.bytes = grown(window->now.bytes, window->failed.bytes, window->max.bytes);
}

void window_halve(struct export_window *window)
{
    window->now.records = size_half(window->now.records);
    window->now.bytes = size_half(window->now.bytes);
}

void window_forget(struct export_window *window)
{
    window->failed = window->failed_last = (struct window_size){.records = 0};
}

// --- records that are retried alone --------------------------------------------------------------

#define CAPACITY_FIRST 16

void quarantine_release(struct quarantine *quarantine)
{
    memory_free(quarantine->entries);
    *quarantine = (struct quarantine){.count = 0};
}

// The position of the first entry at or after `sequence`.
static size_t position_of(const struct quarantine *quarantine, uint64_t sequence)
{
    size_t low = 0, high = quarantine->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (quarantine->entries[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct quarantine_entry *quarantine_find(const struct quarantine *quarantine, uint64_t sequence)
{
    size_t at = position_of(quarantine, sequence);
    bool is_found = at < quarantine->count && quarantine->entries[at].sequence == sequence;
    return is_found ? &quarantine->entries[at] : NULL;
}

static bool make_room(struct quarantine *quarantine)
{
    if (quarantine->count < quarantine->capacity)
        return true;
    size_t capacity = quarantine->capacity > 0 ? 2 * quarantine->capacity : CAPACITY_FIRST;
    void *entries = memory_resize(quarantine->entries, capacity * sizeof quarantine->entries[0]);
    if (entries == NULL)
        return false;
    quarantine->entries = entries;
    quarantine->capacity = capacity;
    return true;
}

static void expect_due(struct quarantine *quarantine, timestamp_ns at)
{
    if (at < quarantine->earliest)
        quarantine->earliest = at;
}

struct quarantine_entry *quarantine_add(struct quarantine *quarantine, uint64_t sequence,
                                        uint32_t size, timestamp_ns now, duration_ns interval)
{
    if (!make_room(quarantine))
        return NULL;
    size_t at = position_of(quarantine, sequence);
    struct quarantine_entry *entry = &quarantine->entries[at];
    assert(at == quarantine->count || entry->sequence != sequence);
    memmove(entry + 1, entry, (quarantine->count - at) * sizeof *entry);
    *entry = (struct quarantine_entry){
        .sequence = sequence,
        .size = size,
        .since = now,
        .due_at = now + interval,
        .interval = interval,
    };
    if (quarantine->count == 0)
        quarantine->earliest = INT64_MAX;
    quarantine->count++;
    quarantine->bytes += size;
    expect_due(quarantine, entry->due_at);
    return entry;
}

void quarantine_remove(struct quarantine *quarantine, uint64_t sequence)
{
    struct quarantine_entry *entry = quarantine_find(quarantine, sequence);
    if (entry == NULL)
        return;
    size_t at = (size_t)(entry - quarantine->entries);
    quarantine->bytes -= entry->size;
    quarantine->count--;
    memmove(entry, entry + 1, (quarantine->count - at) * sizeof *entry);
}

void quarantine_postpone(struct quarantine *quarantine, struct quarantine_entry *entry,
                         timestamp_ns now, duration_ns first_interval, uint64_t random)
{
    duration_ns most = QUARANTINE_INTERVAL_GROWTH * first_interval;
    entry->interval = entry->interval < most / 2 ? 2 * entry->interval : most;
    duration_ns jitter = (duration_ns)(random % ((uint64_t)entry->interval / 2 + 1));
    entry->due_at = now + entry->interval - entry->interval / 4 + jitter;
    expect_due(quarantine, entry->due_at);
}

void quarantine_put_back(struct quarantine *quarantine, struct quarantine_entry *entry)
{
    entry->is_in_flight = false;
    expect_due(quarantine, entry->due_at);
}

void quarantine_retry_now(struct quarantine *quarantine, timestamp_ns now)
{
    for (size_t i = 0; i < quarantine->count; i++) {
        if (quarantine->entries[i].due_at > now)
            quarantine->entries[i].due_at = now;
    }
    expect_due(quarantine, now);
}

void quarantine_retry_new_now(struct quarantine *quarantine, timestamp_ns now, uint64_t tick)
{
    for (size_t i = 0; i < quarantine->count; i++) {
        struct quarantine_entry *entry = &quarantine->entries[i];
        if (entry->tries == 1 && entry->refused_at < tick && entry->due_at > now) {
            entry->due_at = now;
            expect_due(quarantine, now);
        }
    }
}

struct quarantine_entry *quarantine_due(struct quarantine *quarantine, timestamp_ns now)
{
    struct quarantine_entry *found = NULL;
    if (quarantine->count == 0 || now < quarantine->earliest)
        return NULL;
    for (size_t i = 0; i < quarantine->count; i++) {
        struct quarantine_entry *entry = &quarantine->entries[i];
        if (!entry->is_in_flight && (found == NULL || entry->due_at < found->due_at))
            found = entry;
    }
    quarantine->earliest = found != NULL ? found->due_at : INT64_MAX;
    return quarantine->earliest <= now ? found : NULL;
}

struct quarantine_entry *quarantine_oldest(const struct quarantine *quarantine)
{
    struct quarantine_entry *found = NULL;
    for (size_t i = 0; i < quarantine->count; i++) {
        struct quarantine_entry *entry = &quarantine->entries[i];
        if (!entry->is_in_flight && (found == NULL || entry->since < found->since))
            found = entry;
    }
    return found;
}
