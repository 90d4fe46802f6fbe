// Says in one sentence what is wrong with the pools.
#include "ghatrace/view/pools_summary.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "ghatrace/github/server.h"

const char *const pools_scope_names[POOLS_SCOPES] = {
    [POOLS_SCOPE_NONE] = "none",
    [POOLS_SCOPE_REPOSITORY] = "repository",
    [POOLS_SCOPE_CEILING] = "ceiling",
    [POOLS_SCOPE_POOL] = "pool",
    [POOLS_SCOPE_EVERYTHING] = "everything",
    [POOLS_SCOPE_POOLS] = "pools",
};

const char *const pools_part_names[POOLS_PART_KINDS] = {
    [POOLS_PART_TEXT] = "text",
    [POOLS_PART_POOL] = "pool",
    [POOLS_PART_REPOSITORY] = "repository",
    [POOLS_PART_CEILING] = "ceiling",
    [POOLS_PART_TIME] = "time",
    [POOLS_PART_WORKFLOW] = "workflow",
    [POOLS_PART_URL] = "url",
};

timestamp_ns pools_view_trouble_since(const struct pools_view_pool *pool)
{
    timestamp_ns start = pool->recent.last_start, oldest = pool->waits.oldest;
    if (pool->state != POOL_DEAD || start == TIMESTAMP_UNKNOWN)
        return pool->since;
    return oldest != TIMESTAMP_UNKNOWN && oldest - start > POOLS_IDLE ? oldest : start;
}

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
    const struct pools_view_pool *worst;
};

static struct troubled find_trouble(const struct pools_view *view, timestamp_ns now)
{
    struct troubled found = {.count = 0};
    for (size_t i = 0; i < view->ceiling_count; i++)
        found.reached += view->ceilings[i].since != TIMESTAMP_UNKNOWN ? 1 : 0;
    for (size_t i = 0; i < view->count; i++) {
        const struct pools_view_pool *pool = &view->pools[i];
        found.active += pool->pool.counts[OPEN_JOB_QUEUED] + pool->running > 0 ? 1 : 0;
        if (!pools_view_is_in_trouble(pool, now))
            continue;
        found.states[pool->state]++;
        found.worst = found.count++ == 0 ? pool : found.worst;
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

// --- parts of a sentence --------------------------------------------------------------------------

struct writer {
    struct arena *arena;
    struct pools_words *words;
    timestamp_ns now;
    bool is_out_of_memory;
};

static void put_part(struct writer *writer, enum pools_part_kind kind, struct slice text,
                     timestamp_ns time)
{
    struct pools_words *words = writer->words;
    assert(words->count < POOLS_PARTS_MAX);
    words->parts[words->count++] = (struct pools_part){kind, text, time};
}

static void put_name(struct writer *writer, enum pools_part_kind kind, struct slice name)
{
    put_part(writer, kind, name.len > 0 ? name : SLICE("?"), TIMESTAMP_UNKNOWN);
}

// Texts that follow each other are one part.
static void put_words(struct writer *writer, struct slice text)
{
    struct pools_words *words = writer->words;
    struct pools_part *last = words->count > 0 ? &words->parts[words->count - 1] : NULL;
    if (last == NULL || last->kind != POOLS_PART_TEXT)
        put_part(writer, POOLS_PART_TEXT, text, TIMESTAMP_UNKNOWN);
    else if (!arena_format(writer->arena, &last->text, "%.*s%.*s", SLICE_ARGS(last->text),
                           SLICE_ARGS(text)))
        writer->is_out_of_memory = true;
}

#define put_text(writer, ...)                                                                      \
    do {                                                                                           \
        struct slice formatted = SLICE_EMPTY;                                                      \
        if (!arena_format((writer)->arena, &formatted, __VA_ARGS__))                               \
            (writer)->is_out_of_memory = true;                                                     \
        put_words(writer, formatted);                                                              \
    } while (0)

// "14:02 UTC"; on another day "11-29 14:02 UTC".
static void put_time(struct writer *writer, timestamp_ns time)
{
    char shown[TIMESTAMP_TEXT_SIZE];
    struct slice text = SLICE_EMPTY;
    if (!arena_format(writer->arena, &text, "%s UTC",
                      timestamp_format_clock(time, writer->now, shown)))
        writer->is_out_of_memory = true;
    put_part(writer, POOLS_PART_TIME, text, time);
}

// "; the first since 14:02 UTC"; nothing if it is not known.
static void put_since(struct writer *writer, const char *before, timestamp_ns since)
{
    if (since == TIMESTAMP_UNKNOWN)
        return;
    put_text(writer, "%s", before);
    put_time(writer, since);
}

bool pools_words_join(const struct pools_words *words, struct arena *arena, struct slice *text)
{
    *text = SLICE_EMPTY;
    for (size_t i = 0; i < words->count; i++)
        if (!arena_format(arena, text, "%.*s%.*s", SLICE_ARGS(*text),
                          SLICE_ARGS(words->parts[i].text)))
            return false;
    return true;
}

// --- the sentence ---------------------------------------------------------------------------------

// "1 dead, 3 held back by a ceiling": the worst first.
static struct slice list_states(struct writer *writer, const struct troubled *found)
{
    static const enum pool_state order[] = {POOL_DEAD, POOL_BUSY, POOL_CEILING, POOL_WAITING};
    struct slice text = SLICE_EMPTY;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (found->states[order[i]] > 0 &&
            !arena_format(writer->arena, &text, "%.*s%s%zu %s", SLICE_ARGS(text),
                          text.len > 0 ? ", " : "", found->states[order[i]],
                          order[i] == POOL_CEILING ? "held back by a ceiling"
                                                   : pool_state_names[order[i]]))
            writer->is_out_of_memory = true;
    return text;
}

// "1 job waits", "13 jobs wait"
static void put_waiting_jobs(struct writer *writer, const char *before, uint64_t queued,
                             const char *after)
{
    put_text(writer, "%s%" PRIu64 " job%s wait%s%s", before, queued, queued == 1 ? "" : "s",
             queued == 1 ? "s" : "", after);
}

// "gpu is dead: 13 jobs wait, nothing has started since 14:02 UTC."
static void describe_dead_pool(struct writer *writer, const struct pools_view_pool *pool)
{
    put_name(writer, POOLS_PART_POOL, pool->name);
    put_waiting_jobs(writer, " is dead: ", pool->pool.counts[OPEN_JOB_QUEUED], "");
    if (pool->recent.last_start != TIMESTAMP_UNKNOWN) {
        put_text(writer, ", nothing has started since ");
        put_time(writer, pools_view_trouble_since(pool));
    } else if (pool->recent.is_known) {
        put_text(writer, ", none has started in 7 days");
    } else {
        put_since(writer, ", since ", pool->since);
    }
    put_text(writer, ".");
}

static void put_quoted(struct writer *writer, enum pools_part_kind kind, struct slice name)
{
    put_text(writer, "\"");
    put_name(writer, kind, name);
    put_text(writer, "\"");
}

// "gpu is busy since 14:02 UTC: 13 jobs wait, 20 run."
static void describe_pool(struct writer *writer, const struct pools_view_pool *pool)
{
    if (pool->state == POOL_DEAD) {
        describe_dead_pool(writer, pool);
        return;
    }
    put_name(writer, POOLS_PART_POOL, pool->name);
    if (pool->state == POOL_CEILING) {
        put_text(writer, " is held back by %s",
                 pool->ceiling.len > 0 ? "the ceiling " : "a ceiling");
        if (pool->ceiling.len > 0)
            put_quoted(writer, POOLS_PART_CEILING, pool->ceiling);
    } else {
        put_text(writer, " is %s", pool_state_names[pool->state]);
    }
    put_since(writer, " since ", pool->since);
    put_waiting_jobs(writer, ": ", pool->pool.counts[OPEN_JOB_QUEUED], "");
    put_text(writer, ", %" PRIu64 " run%s.", pool->running, pool->running == 1 ? "s" : "");
}

// Pools in trouble that have something in common.
struct alike {
    const struct pools_view_pool *first;
    size_t count;
    uint64_t queued;
    timestamp_ns since; // the first; TIMESTAMP_UNKNOWN: not known
    struct pools_view_filler sums;
};

static void add_alike(struct alike *alike, const struct pools_view_pool *pool)
{
    if (alike->count++ == 0)
        alike->first = pool;
    alike->queued += pool->pool.counts[OPEN_JOB_QUEUED];
    alike->since = timestamp_earliest_known(alike->since, pool->since);
    alike->sums.queued += pool->filler.queued;
    alike->sums.of += pool->filler.of;
    alike->sums.running += pool->filler.running;
    alike->sums.of_running += pool->filler.of_running;
    alike->sums.has_more |= pool->filler.has_more;
}

static bool is_filled_by(const struct pools_view_pool *pool, struct slice repository)
{
    return pool->filler.of > 0 && slice_equals_ignoring_case(pool->filler.repository, repository);
}

// Those that this repository fills; if it is not known of any, all in trouble.
static struct alike find_filled(const struct pools_view *view, timestamp_ns now)
{
    struct alike filled = {.since = TIMESTAMP_UNKNOWN}, all = filled;
    for (size_t i = 0; i < view->count; i++) {
        const struct pools_view_pool *pool = &view->pools[i];
        if (!pools_view_is_in_trouble(pool, now))
            continue;
        add_alike(&all, pool);
        if (is_filled_by(pool, view->oldest.most.repository))
            add_alike(&filled, pool);
    }
    all.sums.of = 0;
    return filled.count > 0 ? filled : all;
}

// "24 of 24 running and 174 of 258 queued jobs"
static void put_shares_of(struct writer *writer, const struct pools_view_filler *share)
{
    if (share->of_running > 0)
        put_text(writer, "%" PRIu64 " of %" PRIu64 " running and ", share->running,
                 share->of_running);
    put_text(writer, "%" PRIu64 " of %s%" PRIu64 " queued jobs", share->queued,
             share->has_more ? "the oldest " : "", share->of);
}

// "acme/shop fills gpu,linux since 14:02 UTC: 24 of 24 running and 174 of 258 queued jobs are its."
static void describe_repository(struct writer *writer, const struct pools_view *view)
{
    const struct pools_view_oldest *oldest = &view->oldest;
    const struct alike filled = find_filled(view, writer->now);
    put_name(writer, POOLS_PART_REPOSITORY, oldest->most.repository);
    if (filled.count == 1) {
        put_text(writer, " fills ");
        put_name(writer, POOLS_PART_POOL, filled.first->name);
    } else {
        put_text(writer, " fills %zu pools", filled.count);
    }
    put_since(writer, filled.count == 1 ? " since " : ", the first since ", filled.since);
    if (filled.sums.of > 0) {
        put_text(writer, ": ");
        put_shares_of(writer, &filled.sums);
        put_text(writer, " are its.");
        return;
    }
    put_text(writer, ": it has %" PRIu64 " of the %" PRIu64 " %s.", oldest->most.running,
             oldest->jobs, oldest->has_more ? "jobs that have waited longest" : "queued jobs");
}

// "\"hosted\" (40 jobs at once)", "\"(Default)\" (about 40 jobs at once, inferred)"
static void put_ceiling_words(struct writer *writer, const struct pools_view_ceiling *ceiling)
{
    put_quoted(writer, POOLS_PART_CEILING, ceiling->name);
    put_text(writer, " (%s%" PRIu64 " job%s at once%s)", ceiling->is_inferred ? "about " : "",
             ceiling->limit, ceiling->limit == 1 ? "" : "s",
             ceiling->is_inferred ? ", inferred" : "");
}

// The one that was reached first.
static const struct pools_view_ceiling *first_reached(const struct pools_view *view)
{
    const struct pools_view_ceiling *first = NULL;
    for (size_t i = 0; i < view->ceiling_count; i++) {
        const struct pools_view_ceiling *ceiling = &view->ceilings[i];
        if (ceiling->since != TIMESTAMP_UNKNOWN && (first == NULL || ceiling->since < first->since))
            first = ceiling;
    }
    return first;
}

// "The ceiling "hosted" (40 jobs at once) is reached since 14:02 UTC: 346 jobs of 4 pools wait."
static void describe_ceilings(struct writer *writer, const struct pools_view *view, size_t reached)
{
    struct alike held = {.since = TIMESTAMP_UNKNOWN};
    const struct pools_view_ceiling *first = first_reached(view);
    for (size_t i = 0; i < view->count; i++)
        if (pools_view_is_in_trouble(&view->pools[i], writer->now))
            add_alike(&held, &view->pools[i]);
    if (reached == 1)
        put_text(writer, "The ceiling ");
    else
        put_text(writer, "%zu ceilings are reached, the first, ", reached);
    put_ceiling_words(writer, first);
    put_since(writer, reached == 1 ? " is reached since " : ", since ", first->since);
    if (held.count == 1) {
        put_waiting_jobs(writer, ": ", held.queued, " in ");
        put_name(writer, POOLS_PART_POOL, held.first->name);
        put_text(writer, ".");
    } else {
        put_text(writer, ": %" PRIu64 " jobs of %zu pools wait.", held.queued, held.count);
    }
}

// "; the worst is gpu, where nothing has started since 14:02 UTC."
static void put_worst(struct writer *writer, const struct pools_view_pool *worst)
{
    put_text(writer, "; the worst is ");
    put_name(writer, POOLS_PART_POOL, worst->name);
    if (worst->state != POOL_DEAD) {
        put_text(writer, ", %s",
                 worst->state == POOL_CEILING ? "held back" : pool_state_names[worst->state]);
        put_since(writer, " since ", worst->since);
    } else if (worst->recent.last_start != TIMESTAMP_UNKNOWN) {
        put_text(writer, ", where nothing has started since ");
        put_time(writer, pools_view_trouble_since(worst));
    } else if (worst->recent.is_known) {
        put_text(writer, ", where nothing has started in 7 days");
    } else {
        put_since(writer, ", dead since ", worst->since);
    }
    put_text(writer, ".");
}

static void describe_many(struct writer *writer, const struct troubled *found,
                          enum pools_scope scope)
{
    struct slice states = list_states(writer, found);
    if (scope == POOLS_SCOPE_EVERYTHING)
        put_text(writer, "Everything waits: all %zu pools with jobs are in trouble: %.*s",
                 found->active, SLICE_ARGS(states));
    else
        put_text(writer, "%zu of %zu pools with jobs are in trouble: %.*s", found->count,
                 found->active, SLICE_ARGS(states));
    put_worst(writer, found->worst);
}

bool pools_verdict_make(const struct pools_view_pool *pool, timestamp_ns now, struct arena *arena,
                        struct pools_words *words)
{
    struct writer writer = {.arena = arena, .words = words, .now = now};
    *words = (struct pools_words){.count = 0};
    if (pool->state == POOL_OK) {
        put_name(&writer, POOLS_PART_POOL, pool->name);
        put_text(&writer, " keeps up.");
    } else {
        describe_pool(&writer, pool);
    }
    return !writer.is_out_of_memory;
}

// --- what to do -----------------------------------------------------------------------------------

// First, and then: why is in the sentence before it.
static const char *const first_advice[POOL_STATES] = {
    [POOL_DEAD] = "See whether its runners are online (GitHub: Settings, Actions, Runners).",
    [POOL_BUSY] = "Add runners, or cancel runs that are not needed.",
    [POOL_CEILING] = "Cancel unneeded runs, or raise the limit at GitHub.",
    [POOL_WAITING] = "See whether runners are offline or paused.",
};
static const char *const more_advice[POOL_STATES] = {
    [POOL_DEAD] = "If they are, see whether ARC's listener and controller run, and whether the "
                  "runners still have these labels.",
    [POOL_BUSY] = "As many run as ever did in a week; concurrency groups and max-parallel let "
                  "fewer run at once.",
    [POOL_CEILING] = "More runners of these pools would not help; concurrency groups, max-parallel "
                     "and runners of another kind would.",
    [POOL_WAITING] = "Fewer jobs run than once did in the week.",
};

static bool is_plain_name(struct slice text, const char *also)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && (c == '\0' || strchr(also, c) == NULL))
            return false;
    }
    return text.len > 0;
}

// The repository's runs at GitHub, those that run as well as those that are queued; nothing if a name is not what GitHub allows.
static void put_runs_url(struct writer *writer, const struct pools_view_filler *filler)
{
    struct slice url = SLICE_EMPTY, server = github_server_name(filler->server);
    ptrdiff_t slash = slice_find(filler->repository, SLICE("/"));
    if (slash <= 0 || !is_plain_name(filler->repository, "/-_.") || !is_plain_name(server, "-.")) {
        put_text(writer, ".");
        return;
    }
    if (!arena_format(writer->arena, &url, "https://%.*s/%.*s/actions", SLICE_ARGS(server),
                      SLICE_ARGS(filler->repository)))
        writer->is_out_of_memory = true;
    put_text(writer, ": ");
    put_part(writer, POOLS_PART_URL, url, TIMESTAMP_UNKNOWN);
}

// "Cancel unneeded runs of acme/shop, workflow "Rebuild" (158 queued jobs): https://..."
static void put_cancel_words(struct writer *writer, const struct pools_view_filler *filler)
{
    put_text(writer, "Cancel unneeded runs of ");
    put_name(writer, POOLS_PART_REPOSITORY, filler->repository);
    if (filler->workflow.len > 0) {
        put_text(writer, ", workflow ");
        put_quoted(writer, POOLS_PART_WORKFLOW, filler->workflow);
        put_text(writer, " (%" PRIu64 " queued job%s)", filler->workflow_queued,
                 filler->workflow_queued == 1 ? "" : "s");
    }
    put_runs_url(writer, filler);
}

// A repository fills it; in a dead pool nothing runs, whoever waits.
static bool is_filled(const struct pools_view_pool *pool)
{
    return pool->filler.of > 0 && pool->state != POOL_DEAD && pool->state != POOL_OK;
}

static void put_action_of_pool(struct writer *writer, const struct pools_view_pool *pool)
{
    if (is_filled(pool))
        put_cancel_words(writer, &pool->filler);
    else if (first_advice[pool->state] != NULL)
        put_text(writer, "%s", first_advice[pool->state]);
}

// "Cancel unneeded runs (138 of 344: workflow "Rebuild"), or raise GitHub's limit.", or, if no workflow has so many,
// "... (31 of 344: acme/shop) ..."
static void put_action_of_ceiling(struct writer *writer, const struct pools_view_ceiling *ceiling)
{
    if (ceiling == NULL || (ceiling->common.of == 0 && ceiling->most.of == 0)) {
        put_text(writer, "%s", first_advice[POOL_CEILING]);
        return;
    }
    const char *oldest = ceiling->common.has_more ? "the oldest " : "";
    if (ceiling->common.of > 0) {
        put_text(writer, "Cancel unneeded runs (%" PRIu64 " of %s%" PRIu64 ": workflow ",
                 ceiling->common.queued, oldest, ceiling->common.of);
        put_quoted(writer, POOLS_PART_WORKFLOW, ceiling->common.workflow);
    } else {
        put_text(writer, "Cancel unneeded runs (most, %" PRIu64 " of %s%" PRIu64 ": ",
                 ceiling->most.queued, oldest, ceiling->most.of);
        put_name(writer, POOLS_PART_REPOSITORY, ceiling->most.repository);
    }
    put_text(writer, "), or raise GitHub's limit.");
}

// The first in trouble that the repository fills; NULL: none is known.
static const struct pools_view_pool *first_filled(const struct pools_view *view, timestamp_ns now)
{
    for (size_t i = 0; i < view->count; i++)
        if (pools_view_is_in_trouble(&view->pools[i], now) &&
            is_filled_by(&view->pools[i], view->oldest.most.repository))
            return &view->pools[i];
    return NULL;
}

static void put_action(struct writer *writer, const struct pools_view *view,
                       const struct troubled *found, enum pools_scope scope)
{
    const struct pools_view_pool *filled = first_filled(view, writer->now);
    switch (scope) {
    case POOLS_SCOPE_NONE:
        break;
    case POOLS_SCOPE_REPOSITORY: {
        const struct pools_view_filler unknown = {.server = view->oldest.most.server,
                                                  .repository = view->oldest.most.repository};
        put_cancel_words(writer, filled != NULL ? &filled->filler : &unknown);
        break;
    }
    case POOLS_SCOPE_CEILING:
        put_action_of_ceiling(writer, first_reached(view));
        break;
    case POOLS_SCOPE_POOL:
        put_action_of_pool(writer, found->worst);
        break;
    case POOLS_SCOPE_EVERYTHING:
    case POOLS_SCOPE_POOLS:
    case POOLS_SCOPES:
        put_name(writer, POOLS_PART_POOL, found->worst->name);
        put_text(writer, ": ");
        put_action_of_pool(writer, found->worst);
        break;
    }
}

bool pools_advice_make(const struct pools_view_pool *pool, struct arena *arena,
                       struct pools_advice *advice)
{
    struct writer action = {.arena = arena, .words = &advice->action};
    struct writer more = {.arena = arena, .words = &advice->more};
    *advice = (struct pools_advice){.action.count = 0};
    put_action_of_pool(&action, pool);
    if (is_filled(pool))
        put_text(&more, "To let fewer of its jobs run at once: concurrency groups, max-parallel.");
    else if (more_advice[pool->state] != NULL)
        put_text(&more, "%s", more_advice[pool->state]);
    return !action.is_out_of_memory && !more.is_out_of_memory;
}

// --- both -----------------------------------------------------------------------------------------

bool pools_summary_make(const struct pools_view *view, timestamp_ns now, struct arena *arena,
                        struct pools_summary *summary)
{
    struct troubled found = find_trouble(view, now);
    struct writer writer = {.arena = arena, .words = &summary->words, .now = now};
    *summary = (struct pools_summary){.scope = choose_scope(&found, &view->oldest)};
    switch (summary->scope) {
    case POOLS_SCOPE_NONE:
        put_text(&writer, "No pool is in trouble.");
        break;
    case POOLS_SCOPE_REPOSITORY:
        describe_repository(&writer, view);
        break;
    case POOLS_SCOPE_CEILING:
        describe_ceilings(&writer, view, found.reached);
        break;
    case POOLS_SCOPE_POOL:
        describe_pool(&writer, found.worst);
        break;
    case POOLS_SCOPE_EVERYTHING:
    case POOLS_SCOPE_POOLS:
    case POOLS_SCOPES:
        describe_many(&writer, &found, summary->scope);
        break;
    }
    writer.words = &summary->action;
    put_action(&writer, view, &found, summary->scope);
    return !writer.is_out_of_memory && pools_words_join(&summary->words, arena, &summary->text) &&
           pools_words_join(&summary->action, arena, &summary->action_text);
}
