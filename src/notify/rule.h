// What is to be sent to a receiver about one trouble, and when. Private to this room. Pure: no clock, no I/O.
//
// A trouble is a condition of a subject, such as "jobs wait long" of a pool. To each receiver its begin is sent, then
// its end, in turn:
//
//   NONE ──holds──▶ BEGIN_DUE ──sent──▶ BEGUN ──over──▶ HELD ──after `hold`──▶ END_DUE ──sent──▶ NONE
//
// At most one of the two is pending. What was not sent is cancelled where the other follows: a begin whose trouble is over
// is dropped, and so is an end whose trouble is back (the receiver has its begin). What may have been sent, since a
// request was not answered, is not cancelled but sent again, with the same ID: so begins and ends alternate for the
// receiver. `hold` does the same for a trouble that comes and goes. What was pending for `age_max`, or was refused
// NOTICE_TRIES_MAX times, is dropped: after such a begin nothing is sent of this trouble (DROPPED), after such an end
// the next begin follows a begin.
#ifndef GHATRACE_SRC_NOTIFY_RULE_H
#define GHATRACE_SRC_NOTIFY_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/notify/notices.h"

#define NOTICE_TRIES_MAX 5
#define NOTICE_AGE_MAX NS_PER_DAY

enum notice_phase {
    NOTICE_NONE,
    NOTICE_BEGIN_DUE,
    NOTICE_BEGUN,
    NOTICE_HELD, // over, and the end is held back
    NOTICE_END_DUE,
    NOTICE_DROPPED, // the begin was dropped; until the trouble is over
    NOTICE_PHASES,
};

// What is kept of one trouble for one receiver.
struct notice_state {
    enum notice_phase phase;
    bool is_in_flight;     // what is pending is about to be sent, or sent and not answered
    bool is_unsure;        // it may have been received: an earlier request with it was not answered
    uint8_t refusals;      // of what is pending
    timestamp_ns began_at; // when the trouble began
    timestamp_ns ended_at; // since when it is seen to be over; TIMESTAMP_UNKNOWN: it is not
    timestamp_ns due_at;   // since when what is pending is pending
};

// From the settings.
struct notice_times {
    duration_ns hold;
    duration_ns age_max;
};

enum notice_presence {
    NOTICE_ABSENT, // the trouble is over
    // It is not over, but is no reason for a notice of its own: another one takes its place, or it is not known.
    NOTICE_LASTING,
    NOTICE_PRESENT, // it has lasted for as long as the settings ask for
};

// What is seen of the trouble at one moment.
struct notice_observation {
    enum notice_presence presence;
    timestamp_ns since; // since when, if it is present
    timestamp_ns now;
};

// What became of a notice that was not sent, for the counters.
enum notice_event { NOTICE_NO_EVENT, NOTICE_FOLDED, NOTICE_TOO_OLD, NOTICE_REFUSED };

static inline bool notice_is_pending(const struct notice_state *state)
{
    return state->phase == NOTICE_BEGIN_DUE || state->phase == NOTICE_END_DUE;
}

// Brings the state up to `seen->now`. NOTICE_NONE is all zero.
enum notice_event notice_advance(struct notice_state *state, const struct notice_observation *seen,
                                 const struct notice_times *times);

enum notice_result {
    NOTICE_SENT,
    NOTICE_NOT_SENT, // for a reason that may pass
    NOTICE_UNKNOWN,  // likewise, but it may have been received
    NOTICE_NOT_TAKEN // the receiver refused it
};
// The request with what is pending, which is in flight, was answered or given up.
enum notice_event notice_settle(struct notice_state *state, enum notice_result result);

#endif
