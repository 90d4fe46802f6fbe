// Which connection is closed when another one needs its place, and how long a body may take.
#include "eviction.h"

#include <assert.h>

enum eviction_choice eviction_may_close(const struct eviction_facts *facts,
                                        const struct eviction_counts *counts)
{
    const size_t *members = counts->members;

    switch (facts->group) {
    case EVICTION_LATE:
        return EVICTION_READY;
    case EVICTION_HEAD:
        if (facts->waited >= EVICTION_AGE)
            return EVICTION_READY;
        // Where most places are taken by bodies, the next of those is due within EVICTION_AGE.
        return members[EVICTION_HEAD] > members[EVICTION_BODY] ? EVICTION_IF_NO_OTHER
                                                               : EVICTION_NOT_NOW;
    case EVICTION_BODY:
        return facts->waited >= EVICTION_AGE ? EVICTION_READY : EVICTION_NOT_NOW;
    case EVICTION_OUTPUT:
        return facts->stalled >= EVICTION_AGE ? EVICTION_READY : EVICTION_IF_NO_OTHER;
    default:
        return EVICTION_NOT_NOW;
    }
}

// a.bytes / a.waited < b.bytes / b.waited, without division.
static bool is_slower(const struct eviction_facts *a, const struct eviction_facts *b)
{
    double left = (double)a->bytes * (double)b->waited;
    double right = (double)b->bytes * (double)a->waited;

    return left != right ? left < right : a->waited > b->waited;
}

bool eviction_is_before(const struct eviction_facts *a, const struct eviction_facts *b,
                        const struct eviction_counts *counts)
{
    enum eviction_choice choice_a = eviction_may_close(a, counts);
    enum eviction_choice choice_b = eviction_may_close(b, counts);

    assert(a->waited >= 0 && b->waited >= 0);
    if ((a->group == EVICTION_LATE) != (b->group == EVICTION_LATE))
        return a->group == EVICTION_LATE;
    if (choice_a != choice_b)
        return choice_a > choice_b;
    if (counts->members[a->group] != counts->members[b->group])
        return counts->members[a->group] > counts->members[b->group];
    if (a->group != b->group)
        return a->group > b->group;
    if (a->group == EVICTION_BODY)
        return is_slower(a, b);
    if (a->group == EVICTION_OUTPUT)
        return a->stalled > b->stalled;
    return a->waited > b->waited;
}

duration_ns eviction_body_time(uint64_t bytes, duration_ns grace)
{
    uint64_t seconds = bytes / BODY_BYTES_PER_SECOND, rest = bytes % BODY_BYTES_PER_SECOND;

    if (seconds >= (uint64_t)(INT64_MAX / NS_PER_SECOND) - 1)
        return INT64_MAX;
    duration_ns time =
        (duration_ns)(seconds * NS_PER_SECOND + rest * NS_PER_SECOND / BODY_BYTES_PER_SECOND);
    return time > grace ? time : grace;
}
