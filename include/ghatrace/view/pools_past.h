// The last incidents of pools: from when to when a pool was in trouble, how many jobs were queued at most, and the longest
// wait. Pure but for past_load().
//
// An incident begins when a pool that is dead, or whose oldest queued job has waited for POOLS_LONG_WAIT, was seen to be so
// for `confirm`: deliveries that are sent again in bulk bring queued jobs a moment before their ends, and are none. It
// is over when the pool is not in trouble any more. That is noticed at the next look; if the last look that saw the
// trouble is longer ago than PAST_GAP, as after a stop, the incident ends at that look. Trouble of the same pool within
// PAST_MERGE after its last incident goes on with that incident.
//
// Kept for 35 days; at most PAST_MAX in all, PAST_POOL_MAX of one pool and PAST_UNPROVEN_MAX of pools in which no job has
// run, as anyone may invent their labels. Where there is no room the one that ended first makes room; what has not ended
// is kept.
//
// Stored in the table `past` as one value, under the key "1": 01, then for each incident: state (be8) ‖ flags (be8; 1:
// proven, 2: confirmed) ‖ be32 times ‖ be64 each: from, until, first seen, last seen, queued, wait ‖ be16 length of the
// name ‖ name.
#ifndef GHATRACE_VIEW_POOLS_PAST_H
#define GHATRACE_VIEW_POOLS_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/view/pools_view.h"

#define PAST_MAX 128
#define PAST_POOL_MAX 16
#define PAST_UNPROVEN_MAX 16
#define PAST_SEEN_MAX 128 // besides, that are not confirmed yet
#define PAST_NAME_MAX 256 // bytes; pools with longer names have no incidents
#define PAST_MERGE (10 * NS_PER_MINUTE)
#define PAST_REOPEN NS_PER_HOUR // an incident that ended before does not go on
#define PAST_GAP (10 * NS_PER_MINUTE)
#define PAST_AGE_MAX (35 * NS_PER_DAY)
#define PAST_RENEW (5 * NS_PER_MINUTE)
#define PAST_TEXT_MAX ((size_t)131072) // of the stored value
#define PAST_KEY SLICE("1")

struct past_incident {
    char name[PAST_NAME_MAX];
    size_t name_len;
    enum pool_state state; // the worst
    bool is_proven;
    bool is_confirmed;
    uint32_t times; // how often the pool got into trouble in it
    timestamp_ns from;
    timestamp_ns until;      // TIMESTAMP_UNKNOWN: it goes on
    timestamp_ns first_seen; // of the present trouble
    timestamp_ns seen_at;    // when the trouble was seen last
    uint64_t queued;         // most at once
    duration_ns wait;        // the longest
};

struct past_list {
    struct past_incident items[PAST_MAX + PAST_SEEN_MAX]; // in no order
    size_t count;
    timestamp_ns stored_at; // of what was written last; 0: it has to be written
};

static inline struct slice past_name(const struct past_incident *incident)
{
    return (struct slice){incident->name, incident->name_len};
}

// Brings the list up to `now`. Sets `list->stored_at` to 0 if it has to be stored: when an incident begins, ends or
// expires, and each PAST_RENEW while one goes on.
void past_update(struct past_list *list, const struct pools_view *view, duration_ns confirm,
                 timestamp_ns now);

// Incidents that have ended and are not older than PAST_AGE_MAX, those that ended last first; of one pool, if `name` is not
// empty. Returns their number.
size_t past_sort(const struct past_list *list, struct slice name, timestamp_ns now,
                 const struct past_incident *sorted[PAST_MAX]);

// "dead", "busy", "held back by a ceiling", "waiting long": what a pool was.
const char *past_state_word(enum pool_state state);

// Appends the stored form. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code past_write(const struct past_list *list, struct buffer *out) MUST_CHECK;
// From the stored form. What cannot be read, or is of another layout, is left out.
void past_read(struct slice stored, struct past_list *list);
// Reads what is stored; no incidents if there is nothing. An error of the store.
enum error_code past_load(struct store_transaction *transaction, struct past_list *list,
                          struct error *error) MUST_CHECK;

#endif
