// What is to be sent about one trouble.
#include "rule.h"

#include <assert.h>

static enum notice_event end_state(struct notice_state *state, enum notice_event event)
{
    *state = (struct notice_state){.phase = NOTICE_NONE};
    return event;
}

static void make_pending(struct notice_state *state, enum notice_phase phase, timestamp_ns now)
{
    state->phase = phase;
    state->due_at = now;
    state->refusals = 0;
    state->is_unsure = false;
}

static enum notice_event advance_none(struct notice_state *state,
                                      const struct notice_observation *seen)
{
    if (seen->presence != NOTICE_PRESENT)
        return NOTICE_NO_EVENT;
    make_pending(state, NOTICE_BEGIN_DUE, seen->now);
    state->began_at = seen->since;
    return NOTICE_NO_EVENT;
}

// If it may have been received and is over, its end follows when it was sent again.
static enum notice_event advance_begin(struct notice_state *state,
                                       const struct notice_observation *seen,
                                       const struct notice_times *times)
{
    if (state->is_in_flight)
        return NOTICE_NO_EVENT;
    if (seen->presence != NOTICE_PRESENT && !state->is_unsure)
        return end_state(state, NOTICE_FOLDED);
    if (seen->presence != NOTICE_ABSENT)
        state->ended_at = TIMESTAMP_UNKNOWN;
    else if (state->ended_at == TIMESTAMP_UNKNOWN)
        state->ended_at = seen->now;
    if (seen->now - state->due_at < times->age_max)
        return NOTICE_NO_EVENT;
    state->phase = NOTICE_DROPPED;
    return NOTICE_TOO_OLD;
}

// The trouble is back before its end was sent.
static enum notice_event cancel_end(struct notice_state *state)
{
    state->phase = NOTICE_BEGUN;
    state->ended_at = TIMESTAMP_UNKNOWN;
    return NOTICE_FOLDED;
}

static enum notice_event advance_held(struct notice_state *state,
                                      const struct notice_observation *seen,
                                      const struct notice_times *times)
{
    if (seen->presence != NOTICE_ABSENT)
        return cancel_end(state);
    if (seen->now - state->ended_at >= times->hold)
        make_pending(state, NOTICE_END_DUE, seen->now);
    return NOTICE_NO_EVENT;
}

static enum notice_event advance_end(struct notice_state *state,
                                     const struct notice_observation *seen,
                                     const struct notice_times *times)
{
    if (state->is_in_flight)
        return NOTICE_NO_EVENT;
    if (seen->presence != NOTICE_ABSENT && !state->is_unsure)
        return cancel_end(state);
    return seen->now - state->due_at < times->age_max ? NOTICE_NO_EVENT
                                                      : end_state(state, NOTICE_TOO_OLD);
}

// After the clock was set back, times are not in the future.
static void clamp_times(struct notice_state *state, timestamp_ns now)
{
    state->due_at = timestamp_earlier(state->due_at, now);
    state->ended_at = timestamp_earlier(state->ended_at, now);
}

enum notice_event notice_advance(struct notice_state *state, const struct notice_observation *seen,
                                 const struct notice_times *times)
{
    clamp_times(state, seen->now);
    switch (state->phase) {
    case NOTICE_NONE:
        return advance_none(state, seen);
    case NOTICE_BEGIN_DUE:
        return advance_begin(state, seen, times);
    case NOTICE_BEGUN:
        if (seen->presence == NOTICE_ABSENT) {
            state->phase = NOTICE_HELD;
            state->ended_at = seen->now;
        }
        return NOTICE_NO_EVENT;
    case NOTICE_HELD:
        return advance_held(state, seen, times);
    case NOTICE_END_DUE:
        return advance_end(state, seen, times);
    case NOTICE_DROPPED:
        return seen->presence != NOTICE_ABSENT ? NOTICE_NO_EVENT
                                               : end_state(state, NOTICE_NO_EVENT);
    case NOTICE_PHASES:
        break;
    }
    assert(false);
    return NOTICE_NO_EVENT;
}

enum notice_event notice_settle(struct notice_state *state, enum notice_result result)
{
    bool is_begin = state->phase == NOTICE_BEGIN_DUE;
    assert(notice_is_pending(state) && state->is_in_flight);
    state->is_in_flight = false;
    state->is_unsure |= result == NOTICE_UNKNOWN;
    if (result == NOTICE_NOT_SENT || result == NOTICE_UNKNOWN ||
        (result == NOTICE_NOT_TAKEN && ++state->refusals < NOTICE_TRIES_MAX))
        return NOTICE_NO_EVENT;
    enum notice_event event = result == NOTICE_SENT ? NOTICE_NO_EVENT : NOTICE_REFUSED;
    if (!is_begin)
        return end_state(state, event);
    state->is_unsure = false;
    state->phase = result != NOTICE_SENT                  ? NOTICE_DROPPED
                   : state->ended_at == TIMESTAMP_UNKNOWN ? NOTICE_BEGUN
                                                          : NOTICE_HELD;
    return event;
}
