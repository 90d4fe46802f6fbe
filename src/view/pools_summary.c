// Says in one sentence what is wrong with the pools.
#include "ghatrace/view/pools_summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const pools_scope_names[POOLS_SCOPES] = {
    [POOLS_SCOPE_NONE] = "none",
    [POOLS_SCOPE_REPOSITORY] = "repository",
    [POOLS_SCOPE_CEILING] = "ceiling",
    [POOLS_SCOPE_POOL] = "pool",
    [POOLS_SCOPE_EVERYTHING] = "everything",
    [POOLS_SCOPE_POOLS] = "pools",
};

bool pools_view_is_in_trouble(const struct pools_view_pool *pool, timestamp_ns now)
{
    switch (pool->state) {
    case POOL_DEAD:
    case POOL_BUSY:
    case POOL_CEILING:
        return true;
    case POOL_WAITING:
        return pools_view_wait(pool->waits.oldest, now) >= POOLS_LONG_WAIT;
    case POOL_OK:
    case POOL_STATES:
        break;
    }
    return false;
}

// --- what the sentence depends on -----------------------------------------------------------------

struct troubled {
    size_t states[POOL_STATES]; // pools in trouble
    size_t count;               // of them
    size_t active;              // pools with queued or running jobs
    size_t reached;             // ceilings
    timestamp_ns since;         // the first; TIMESTAMP_UNKNOWN: not known
    const struct pools_view_pool *worst;
};

static struct troubled find_trouble(const struct pools_view *view, timestamp_ns now)
{
    struct troubled found = {.since = TIMESTAMP_UNKNOWN};
    for (size_t i = 0; i < view->ceiling_count; i++)
        found.reached += view->ceilings[i].since != TIMESTAMP_UNKNOWN ? 1 : 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct pools_view_pool *pool = &view->pools[i];
        found.active += pool->pool.counts[OPEN_JOB_QUEUED] + pool->running > 0 ? 1 : 0;
        if (!pools_view_is_in_trouble(pool, now))
            continue;
        found.states[pool->state]++;
        found.worst = found.count++ == 0 ? pool : found.worst;
        if (pool->since != TIMESTAMP_UNKNOWN &&
            (found.since == TIMESTAMP_UNKNOWN || pool->since < found.since))
            found.since = pool->since;
    }
    return found;
}

static bool is_flood(const struct troubled *found, const struct pools_view_oldest *oldest)
{
    return found->states[POOL_DEAD] == 0 && oldest->jobs >= POOLS_FLOOD_LEAST &&
           (oldest->repositories > 1 || oldest->has_more) &&
           oldest->most.running * 3 >= oldest->jobs * 2;
}

static enum pools_scope choose_scope(const struct troubled *found,
                                     const struct pools_view_oldest *oldest)
{
    if (found->count == 0)
        return POOLS_SCOPE_NONE;
    if (is_flood(found, oldest))
        return POOLS_SCOPE_REPOSITORY;
    if (found->reached > 0 && found->states[POOL_CEILING] == found->count)
        return POOLS_SCOPE_CEILING;
    if (found->count == 1)
        return POOLS_SCOPE_POOL;
    return found->active > 2 && found->count == found->active ? POOLS_SCOPE_EVERYTHING
                                                              : POOLS_SCOPE_POOLS;
}

bool pools_summary_needs_oldest(const struct pools_view *view, timestamp_ns now)
{
    struct troubled found = find_trouble(view, now);
    return found.count > 0 && found.states[POOL_DEAD] == 0;
}

// --- the sentence ---------------------------------------------------------------------------------

#define SINCE_SIZE 32

// " since 14:02 UTC"; on another day " since 11-29 14:02 UTC"; empty if it is not known.
static const char *format_words_since(const char *before, timestamp_ns since, timestamp_ns now,
                                      char text[SINCE_SIZE])
{
    char time[TIMESTAMP_TEXT_SIZE], today[TIMESTAMP_TEXT_SIZE];
    size_t day = strlen("2026-11-30"), clock = strlen("2026-11-30T");
    text[0] = '\0';
    if (since == TIMESTAMP_UNKNOWN)
        return text;
    timestamp_format_rfc3339(since, false, time);
    timestamp_format_rfc3339(now, false, today);
    bool is_today = strncmp(time, today, day) == 0;
    (void)snprintf(text, SINCE_SIZE, "%s since %.*s%s%.5s UTC", before, is_today ? 0 : 5,
                   time + strlen("2026-"), is_today ? "" : " ", time + clock);
    return text;
}

static const char *state_words(enum pool_state state)
{
    return state == POOL_CEILING ? "at the ceiling" : pool_state_names[state];
}

// "1 dead, 3 at the ceiling": the worst first.
static bool list_states(const struct troubled *found, struct arena *arena, struct slice *text)
{
    static const enum pool_state order[] = {POOL_DEAD, POOL_BUSY, POOL_CEILING, POOL_WAITING};
    *text = SLICE_EMPTY;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (found->states[order[i]] > 0 &&
            !arena_format(arena, text, "%.*s%s%zu %s", SLICE_ARGS(*text), text->len > 0 ? ", " : "",
                          found->states[order[i]], state_words(order[i])))
            return false;
    return true;
}

// "One pool is in trouble: gpu,linux is dead since 14:02 UTC."
static bool describe_pool(const struct pools_view_pool *pool, timestamp_ns now, struct arena *arena,
                          struct slice *text)
{
    char since[SINCE_SIZE];
    return arena_format(arena, text, "One pool is in trouble: %.*s is %s%s%.*s%s.",
                        SLICE_ARGS(pool->name), state_words(pool->state),
                        pool->ceiling.len > 0 ? " " : "", SLICE_ARGS(pool->ceiling),
                        format_words_since("", pool->since, now, since));
}

// "One repository fills the queue: acme/shop has 90 of 100 queued jobs."
static bool describe_repository(const struct pools_view_oldest *oldest, struct arena *arena,
                                struct slice *text)
{
    struct slice name = oldest->most.repository.len > 0 ? oldest->most.repository : SLICE("?");
    return arena_format(arena, text,
                        "One repository fills the queue: %.*s has %" PRIu64 " of %s%" PRIu64
                        " %squeued jobs.",
                        SLICE_ARGS(name), oldest->most.running, oldest->has_more ? "the " : "",
                        oldest->jobs, oldest->has_more ? "oldest " : "");
}

static bool describe_ceilings(const struct troubled *found, struct arena *arena, struct slice *text)
{
    bool is_one = found->reached == 1;
    return arena_format(arena, text, "%s back %zu pool%s; no other pool is in trouble.",
                        is_one ? "A ceiling holds" : "Ceilings hold", found->count,
                        found->count == 1 ? "" : "s");
}

static bool describe_many(const struct troubled *found, enum pools_scope scope, timestamp_ns now,
                          struct arena *arena, struct slice *text)
{
    char since[SINCE_SIZE];
    struct slice states;
    if (!list_states(found, arena, &states))
        return false;
    format_words_since("; the first", found->since, now, since);
    if (scope == POOLS_SCOPE_EVERYTHING)
        return arena_format(arena, text,
                            "Everything waits: all %zu pools with jobs are in trouble: %.*s%s.",
                            found->active, SLICE_ARGS(states), since);
    return arena_format(arena, text, "%zu of %zu pools with jobs are in trouble: %.*s%s.",
                        found->count, found->active, SLICE_ARGS(states), since);
}

bool pools_summary_make(const struct pools_view *view, timestamp_ns now, struct arena *arena,
                        struct pools_summary *summary)
{
    const struct pools_view_oldest *oldest = &view->oldest;
    struct troubled found = find_trouble(view, now);
    *summary = (struct pools_summary){.scope = choose_scope(&found, oldest)};
    switch (summary->scope) {
    case POOLS_SCOPE_NONE:
        summary->text = SLICE("No pool is in trouble.");
        return true;
    case POOLS_SCOPE_REPOSITORY:
        return describe_repository(oldest, arena, &summary->text);
    case POOLS_SCOPE_CEILING:
        return describe_ceilings(&found, arena, &summary->text);
    case POOLS_SCOPE_POOL:
        return describe_pool(found.worst, now, arena, &summary->text);
    case POOLS_SCOPE_EVERYTHING:
    case POOLS_SCOPE_POOLS:
    case POOLS_SCOPES:
        break;
    }
    return describe_many(&found, summary->scope, now, arena, &summary->text);
}
