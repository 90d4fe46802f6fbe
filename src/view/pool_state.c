// States of pools, and ceilings above them.
#include "ghatrace/view/pool_state.h"

const char *const pool_state_names[POOL_STATES] = {[POOL_OK] = "ok",
                                                   [POOL_WAITING] = "waiting",
                                                   [POOL_CEILING] = "ceiling",
                                                   [POOL_BUSY] = "busy",
                                                   [POOL_DEAD] = "dead"};

// --- numbers of jobs over time --------------------------------------------------------------------

// A time during which the numbers did not change. Taken from the newest to the oldest.
struct stretch {
    const struct pool_course *course;
    size_t left; // steps before it
    timestamp_ns start, end;
    int64_t queued, running;
};

static timestamp_ns start_of_last(const struct pool_course *course, size_t left)
{
    timestamp_ns start = left > 0 ? course->steps[left - 1].at : course->from;
    return timestamp_later(course->from, timestamp_earlier(start, course->now));
}

static struct stretch last_stretch(const struct pool_course *course)
{
    return (struct stretch){.course = course,
                            .left = course->count,
                            .start = start_of_last(course, course->count),
                            .end = course->now,
                            .queued = course->queued,
                            .running = course->running};
}

// False: there is none before.
static bool go_back(struct stretch *stretch)
{
    if (stretch->left == 0)
        return false;
    const struct pool_step *step = &stretch->course->steps[--stretch->left];
    stretch->queued -= step->queued;
    stretch->running -= step->running;
    stretch->end = stretch->start;
    stretch->start = start_of_last(stretch->course, stretch->left);
    return true;
}

timestamp_ns pool_course_queued_since(const struct pool_course *course)
{
    struct stretch stretch = last_stretch(course);
    timestamp_ns since = TIMESTAMP_UNKNOWN;
    do {
        if (stretch.queued <= 0)
            break;
        since = stretch.start;
    } while (go_back(&stretch));
    return since;
}

timestamp_ns pool_course_last_run(const struct pool_course *course)
{
    struct stretch stretch = last_stretch(course);
    do {
        if (stretch.running > 0)
            return stretch.end;
    } while (go_back(&stretch));
    return TIMESTAMP_UNKNOWN;
}

timestamp_ns pool_course_reached_since(const struct pool_course *course, int64_t least,
                                       duration_ns gap)
{
    struct stretch stretch = last_stretch(course);
    timestamp_ns since = TIMESTAMP_UNKNOWN, reached = course->now;
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

int64_t pool_course_most(const struct pool_course *course, timestamp_ns since)
{
    struct stretch stretch = last_stretch(course);
    int64_t most = stretch.running;
    while (stretch.start > since && go_back(&stretch))
        most = stretch.running > most && stretch.end > since ? stretch.running : most;
    return most;
}

// --- the state of a pool --------------------------------------------------------------------------

static timestamp_ns queued_since(const struct pool_facts *facts)
{
    timestamp_ns since = pool_course_queued_since(&facts->course);
    return since == TIMESTAMP_UNKNOWN ? facts->oldest : timestamp_earlier(since, facts->oldest);
}

timestamp_ns pool_waits_since(const struct pool_facts *facts)
{
    timestamp_ns now = facts->course.now;
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
    timestamp_ns last = pool_course_last_run(&facts->course);
    if (facts->oldest == TIMESTAMP_UNKNOWN || facts->course.running > 0)
        return TIMESTAMP_UNKNOWN;
    last = timestamp_later(last, facts->last_start);
    if (last == TIMESTAMP_UNKNOWN)
        last = facts->active_before;
    timestamp_ns since = timestamp_later(queued_since(facts), last);
    return facts->course.now - since >= facts->dead_after ? since : TIMESTAMP_UNKNOWN;
}

static timestamp_ns busy_since(const struct pool_facts *facts)
{
    int64_t most = pool_course_most(&facts->course, facts->course.from);
    most = most > (int64_t)facts->busy_max ? most : (int64_t)facts->busy_max;
    if (most <= 0 ||
        pool_course_reached_since(&facts->course, most, POOL_REACHED_GAP) == TIMESTAMP_UNKNOWN)
        return TIMESTAMP_UNKNOWN;
    return pool_course_reached_since(&facts->course, most - most / 10, POOL_REACHED_GAP);
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

bool ceiling_infer(const struct pool_course *sum, const struct pool_course *pools, size_t count,
                   int64_t *limit, timestamp_ns *since)
{
    int64_t of_each = 0;
    *limit = pool_course_most(sum, sum->from);
    if (*limit < CEILING_INFERRED_LEAST)
        return false;
    *since = pool_course_reached_since(sum, *limit, CEILING_INFERRED_GAP);
    if (*since == TIMESTAMP_UNKNOWN || sum->now - *since < CEILING_INFERRED_AFTER)
        return false;
    for (size_t i = 0; i < count; i++)
        of_each += pool_course_most(&pools[i], *since);
    int64_t exchanged = of_each - *limit;
    return exchanged >= 2 && exchanged >= *limit / 20;
}
