// States of pools, and ceilings above them.
#include "pool_state.h"

#define CEILING_LATE_MOST 5 // jobs whose end may be late at the same time

const char *const pool_state_names[POOL_STATES] = {[POOL_OK] = "ok",
                                                   [POOL_WAITING] = "waiting",
                                                   [POOL_CEILING] = "ceiling",
                                                   [POOL_BUSY] = "busy",
                                                   [POOL_DEAD] = "dead"};

// --- numbers of jobs over time --------------------------------------------------------------------

// A time during which the numbers did not change. Taken from the newest to the oldest.
struct stretch {
    const struct pool_curve *curve;
    size_t left; // changes before it
    timestamp_ns start, end;
    int64_t queued, running;
};

static timestamp_ns start_of_last(const struct pool_curve *curve, size_t left)
{
    timestamp_ns start = left > 0 ? curve->changes[left - 1].at : curve->from;
    return timestamp_later(curve->from, timestamp_earlier(start, curve->now));
}

static struct stretch last_stretch(const struct pool_curve *curve)
{
    return (struct stretch){.curve = curve,
                            .left = curve->count,
                            .start = start_of_last(curve, curve->count),
                            .end = curve->now,
                            .queued = curve->queued,
                            .running = curve->running};
}

// False: there is none before.
static bool go_back(struct stretch *stretch)
{
    if (stretch->left == 0)
        return false;
    const struct pool_change *change = &stretch->curve->changes[--stretch->left];
    stretch->queued -= change->queued;
    stretch->running -= change->running;
    stretch->end = stretch->start;
    stretch->start = start_of_last(stretch->curve, stretch->left);
    return true;
}

timestamp_ns pool_curve_queued_since(const struct pool_curve *curve)
{
    struct stretch stretch = last_stretch(curve);
    timestamp_ns since = TIMESTAMP_UNKNOWN;
    do {
        if (stretch.queued <= 0)
            break;
        since = stretch.start;
    } while (go_back(&stretch));
    return since;
}

timestamp_ns pool_curve_last_run(const struct pool_curve *curve)
{
    struct stretch stretch = last_stretch(curve);
    do {
        if (stretch.running > 0)
            return stretch.end;
    } while (go_back(&stretch));
    return TIMESTAMP_UNKNOWN;
}

timestamp_ns pool_curve_reached_since(const struct pool_curve *curve, int64_t least,
                                      duration_ns gap)
{
    struct stretch stretch = last_stretch(curve);
    timestamp_ns since = TIMESTAMP_UNKNOWN, reached = curve->now;
    do {
        if (stretch.queued <= 0)
            break;
        if (stretch.running >= least) {
            if (reached - stretch.end > gap)
                break;
            since = reached = stretch.start;
        }
    } while (go_back(&stretch));
    return since;
}

int64_t pool_curve_most(const struct pool_curve *curve, timestamp_ns since)
{
    struct stretch stretch = last_stretch(curve);
    int64_t most = stretch.running;
    while (stretch.start > since && go_back(&stretch))
        most = stretch.running > most && stretch.end > since ? stretch.running : most;
    return most;
}

bool pool_curve_waited(const struct pool_curve *curve, timestamp_ns since)
{
    struct stretch stretch = last_stretch(curve);
    timestamp_ns end = TIMESTAMP_UNKNOWN; // of the time in which jobs were queued
    do {
        if (stretch.queued <= 0)
            end = TIMESTAMP_UNKNOWN;
        else if (end == TIMESTAMP_UNKNOWN)
            end = stretch.end;
        if (end != TIMESTAMP_UNKNOWN &&
            end - timestamp_later(stretch.start, since) >= POOL_SHORT_WAIT)
            return true;
    } while (stretch.start > since && go_back(&stretch));
    return false;
}

// --- the state of a pool --------------------------------------------------------------------------

static timestamp_ns queued_since(const struct pool_facts *facts)
{
    timestamp_ns since = pool_curve_queued_since(&facts->curve);
    return since == TIMESTAMP_UNKNOWN ? facts->oldest : timestamp_earlier(since, facts->oldest);
}

timestamp_ns pool_waits_since(const struct pool_facts *facts)
{
    timestamp_ns now = facts->curve.now;
    if (facts->oldest == TIMESTAMP_UNKNOWN || now - facts->oldest < POOL_SHORT_WAIT)
        return TIMESTAMP_UNKNOWN;
    timestamp_ns since = queued_since(facts);
    if (facts->last_short_start != TIMESTAMP_UNKNOWN)
        since = timestamp_later(since, facts->last_short_start + NS_PER_MINUTE);
    return timestamp_earlier(since, facts->oldest);
}

// TIMESTAMP_UNKNOWN: it is not dead.
static timestamp_ns dead_since(const struct pool_facts *facts)
{
    timestamp_ns last = pool_curve_last_run(&facts->curve);
    if (facts->oldest == TIMESTAMP_UNKNOWN || facts->curve.running > 0)
        return TIMESTAMP_UNKNOWN;
    last = timestamp_later(last, facts->last_start);
    if (last == TIMESTAMP_UNKNOWN)
        last = facts->active_before;
    timestamp_ns since = timestamp_later(queued_since(facts), last);
    return facts->curve.now - since >= facts->dead_after ? since : TIMESTAMP_UNKNOWN;
}

static timestamp_ns busy_since(const struct pool_facts *facts)
{
    int64_t most = pool_curve_most(&facts->curve, facts->curve.from);
    most = most > (int64_t)facts->busy_max ? most : (int64_t)facts->busy_max;
    if (most <= 0 ||
        pool_curve_reached_since(&facts->curve, most, POOL_REACHED_GAP) == TIMESTAMP_UNKNOWN)
        return TIMESTAMP_UNKNOWN;
    return pool_curve_reached_since(&facts->curve, most - most / 10, POOL_REACHED_GAP);
}

struct pool_verdict pool_assess(const struct pool_facts *facts)
{
    timestamp_ns dead = dead_since(facts);
    timestamp_ns waits = pool_waits_since(facts);
    timestamp_ns in_trouble = waits != TIMESTAMP_UNKNOWN ? waits : dead;
    if (in_trouble == TIMESTAMP_UNKNOWN)
        return (struct pool_verdict){POOL_OK, TIMESTAMP_UNKNOWN};
    if (facts->ceiling_since != TIMESTAMP_UNKNOWN)
        return (struct pool_verdict){POOL_CEILING,
                                     timestamp_later(in_trouble, facts->ceiling_since)};
    if (dead != TIMESTAMP_UNKNOWN)
        return (struct pool_verdict){POOL_DEAD, dead};
    timestamp_ns busy = busy_since(facts);
    if (busy != TIMESTAMP_UNKNOWN)
        return (struct pool_verdict){POOL_BUSY, timestamp_later(waits, busy)};
    return (struct pool_verdict){POOL_WAITING, waits};
}

// --- ceilings -------------------------------------------------------------------------------------

// The highest number, of the most and those a little below, that was reached for long enough; 0: none was.
static int64_t find_limit(const struct pool_curve *sum, int64_t most, timestamp_ns *since)
{
    int64_t below = most / 20;
    below = below < 1 ? 1 : below > CEILING_LATE_MOST ? CEILING_LATE_MOST : below;
    for (int64_t limit = most; limit >= most - below; limit--) {
        *since = pool_curve_reached_since(sum, limit, CEILING_INFERRED_GAP);
        if (*since != TIMESTAMP_UNKNOWN && sum->now - *since >= CEILING_INFERRED_AFTER)
            return limit;
    }
    return 0;
}

bool ceiling_infer(const struct pool_curve *sum, const struct pool_curve *pools, size_t count,
                   int64_t *limit, timestamp_ns *since)
{
    int64_t of_each = 0, most = pool_curve_most(sum, sum->from);
    size_t waited = 0;
    *limit = find_limit(sum, most, since);
    if (*limit < CEILING_INFERRED_LEAST)
        return false;
    for (size_t i = 0; i < count; i++) {
        of_each += pool_curve_most(&pools[i], *since);
        waited += pool_curve_waited(&pools[i], *since) ? 1 : 0;
    }
    int64_t exchanged = of_each - most;
    return waited >= 2 && exchanged >= 2 && exchanged >= most / 20;
}
