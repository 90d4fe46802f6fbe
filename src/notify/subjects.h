// What notices are about: pools, ceilings and the daemon, which of them are in trouble at one moment, and their
// figures. Private to this room. Pure.
#ifndef GHATRACE_SRC_NOTIFY_SUBJECTS_H
#define GHATRACE_SRC_NOTIFY_SUBJECTS_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/notify/notices.h"
#include "ghatrace/view/pools_view.h"
#include "rule.h"

#define NOTICE_SUBJECT_ID_SIZE 16

struct notice_subject_id {
    uint8_t bytes[NOTICE_SUBJECT_ID_SIZE]; // of SHA-256 of its name
};
struct notice_subject_id notice_subject_id_of(struct slice name);

static inline bool notice_is_of_pool(enum notice_condition condition)
{
    return condition == NOTICE_DEAD || condition == NOTICE_QUEUED;
}

// A pool, a ceiling, or the daemon, whose name is empty.
struct notice_subject {
    struct notice_subject_id id;
    struct slice name;
    bool has_state; // it is a pool
    // A pool that a rule names or in which jobs have run within a week; else anyone may have invented its labels. True
    // of a ceiling and of the daemon.
    bool is_proven;
    enum pool_state state;
    uint64_t queued, running;
    // since when the oldest queued job waits; TIMESTAMP_UNKNOWN: none does, or it is no pool
    timestamp_ns oldest;
    uint64_t limit;       // of a ceiling
    struct slice ceiling; // of a pool: the ceiling that holds it back; empty: none
    // Of each condition; NOTICE_ABSENT for those that such a subject cannot have.
    enum notice_presence presence[NOTICE_CONDITIONS];
    timestamp_ns since[NOTICE_CONDITIONS];
};

struct notice_subjects {
    struct notice_subject *items; // in the order of their ids
    size_t count;
    timestamp_ns now;
};

// At `subjects->now`, which the caller sets. Texts are copied into the arena. `last_event`: when the last event was
// accepted; TIMESTAMP_UNKNOWN: not known. False if out of memory.
bool notice_subjects_make(const struct pools_view *view, const struct notice_settings *settings,
                          timestamp_ns last_event, struct arena *arena,
                          struct notice_subjects *subjects) MUST_CHECK;
// The subject of a condition with this id; NULL: there is none at this moment.
const struct notice_subject *notice_subjects_find(const struct notice_subjects *subjects,
                                                  enum notice_condition condition,
                                                  const struct notice_subject_id *id);

#endif
