// What is wrong with the pools, in one sentence: one pool, one repository that fills the queue, a ceiling, or everything;
// where, since when, and how many jobs wait; and what to do first.
// The page, `ghatrace pools` and `ghatrace top` show it first. Pure.
#ifndef GHATRACE_VIEW_POOLS_SUMMARY_H
#define GHATRACE_VIEW_POOLS_SUMMARY_H

#include <stdbool.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/view/pools_view.h"

// A pool of the state `waiting` is in trouble from this wait of its oldest job on.
#define POOLS_LONG_WAIT (10 * NS_PER_MINUTE)
// Looked-at queued jobs from which on one repository may fill the queue.
#define POOLS_FLOOD_LEAST 10

// A dead pool that was without work for longer than this before its jobs came is not dead since its last start.
#define POOLS_IDLE (30 * NS_PER_MINUTE)

// Since when the pool is in its state; of a dead pool, since when nothing has started though jobs wait: its last start, or
// that of the wait of its oldest job, if the pool was idle before. TIMESTAMP_UNKNOWN: not known.
timestamp_ns pools_view_trouble_since(const struct pools_view_pool *pool);

bool pools_view_is_in_trouble(const struct pools_view_pool *pool, timestamp_ns now);

enum pools_scope {
    POOLS_SCOPE_NONE,       // no pool is in trouble
    POOLS_SCOPE_REPOSITORY, // one has two thirds of the oldest queued jobs, and no pool is dead
    POOLS_SCOPE_CEILING,    // all pools in trouble are held back by ceilings
    POOLS_SCOPE_POOL,       // one pool
    POOLS_SCOPE_EVERYTHING, // all pools with queued or running jobs, of which there are at least three
    POOLS_SCOPE_POOLS,      // several
    POOLS_SCOPES
};
// As the API names them: "none", "repository", ...
extern const char *const pools_scope_names[POOLS_SCOPES];

// Text with names as GitHub sent them and with times: whoever shows it makes links of names, and chooses the zone.
enum pools_part_kind {
    POOLS_PART_TEXT,
    POOLS_PART_POOL, // names
    POOLS_PART_REPOSITORY,
    POOLS_PART_CEILING,
    POOLS_PART_TIME,
    POOLS_PART_WORKFLOW, // a name
    POOLS_PART_URL,      // of a list of runs at GitHub, by https
    POOLS_PART_KINDS
};
// As the API names them: "text", "pool", "repository", "ceiling", "time", "workflow", "url".
extern const char *const pools_part_names[POOLS_PART_KINDS];

struct pools_part {
    enum pools_part_kind kind;
    struct slice
        text; // of POOLS_PART_TIME: as it is in UTC, "14:02 UTC", on another day "11-29 14:02 UTC"
    timestamp_ns time; // of POOLS_PART_TIME only
};

#define POOLS_PARTS_MAX 16
struct pools_words {
    struct pools_part parts[POOLS_PARTS_MAX];
    size_t count;
};

struct pools_summary {
    enum pools_scope scope;
    struct slice text;        // the sentence
    struct pools_words words; // the same in parts; not known of a summary that another daemon made
    // What to do first, in one short sentence; likewise. Empty: nothing, or not known of an older daemon.
    struct slice action_text;
    struct pools_words action;
};

// Whether the summary depends on `view->oldest`.
bool pools_summary_needs_oldest(const struct pools_view *view, timestamp_ns now);
// The text is in the arena. False if out of memory.
bool pools_summary_make(const struct pools_view *view, timestamp_ns now, struct arena *arena,
                        struct pools_summary *summary) MUST_CHECK;

// Of one pool: its state, since when, and how many jobs wait. False if out of memory.
bool pools_verdict_make(const struct pools_view_pool *pool, timestamp_ns now, struct arena *arena,
                        struct pools_words *words) MUST_CHECK;
// What to do about a pool: first, as in the summary, and then. No parts for POOL_OK. False if out of memory.
struct pools_advice {
    struct pools_words action, more;
};
bool pools_advice_make(const struct pools_view_pool *pool, struct arena *arena,
                       struct pools_advice *advice) MUST_CHECK;
// The parts, one after the other. False if out of memory.
bool pools_words_join(const struct pools_words *words, struct arena *arena,
                      struct slice *text) MUST_CHECK;

#endif
