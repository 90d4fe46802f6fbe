// Which pools and ceilings are in trouble.
#include "scene.h"

#include <stdlib.h>

#include "ghatrace/base/digest.h"

struct notice_subject_id notice_subject_of(struct slice name)
{
    struct notice_subject_id id;
    uint8_t digest[SHA256_SIZE];
    digest_sha256(name, digest);
    memcpy(id.bytes, digest, sizeof id.bytes);
    return id;
}

// Sets what a condition that began at `since` is now.
static void judge(struct notice_facts *facts, enum notice_condition condition, timestamp_ns since,
                  duration_ns after, timestamp_ns now)
{
    facts->since[condition] = since;
    if (after > 0 && since != TIMESTAMP_UNKNOWN && pools_view_wait(since, now) >= after)
        facts->presence[condition] = NOTICE_PRESENT;
}

// Jobs of a pool that is dead, or held back by a ceiling, wait long for a reason that has a notice of its own.
static void judge_pool(struct notice_facts *facts, const struct pools_view_pool *row,
                       const struct notice_settings *settings, timestamp_ns now)
{
    const duration_ns *after = settings->after;
    bool is_held_back = row->state == POOL_CEILING;
    if (row->state == POOL_DEAD)
        judge(facts, NOTICE_DEAD, timestamp_first_known(row->since, row->waits.oldest),
              after[NOTICE_DEAD], now);
    judge(facts, NOTICE_QUEUED, row->waits.oldest, after[NOTICE_QUEUED], now);
    if (facts->presence[NOTICE_QUEUED] == NOTICE_PRESENT &&
        (facts->presence[NOTICE_DEAD] == NOTICE_PRESENT || is_held_back))
        facts->presence[NOTICE_QUEUED] = NOTICE_LASTING;
}

static void add_pool_facts(struct notice_scene *scene, const struct pools_view_pool *row,
                           const struct notice_settings *settings)
{
    struct notice_facts *facts = &scene->facts[scene->count++];
    *facts = (struct notice_facts){.name = row->name,
                                   .has_state = true,
                                   .state = row->state,
                                   .queued = row->pool.counts[OPEN_JOB_QUEUED],
                                   .running = row->running,
                                   .oldest = row->waits.oldest,
                                   .ceiling = row->ceiling};
    judge_pool(facts, row, settings, scene->now);
}

static void add_ceiling(struct notice_scene *scene, const struct pools_view_ceiling *ceiling,
                        const struct notice_settings *settings)
{
    struct notice_facts *facts = &scene->facts[scene->count++];
    *facts = (struct notice_facts){.name = ceiling->name,
                                   .queued = ceiling->queued,
                                   .running = ceiling->running,
                                   .limit = ceiling->limit};
    judge(facts, NOTICE_CEILING, ceiling->since, settings->after[NOTICE_CEILING], scene->now);
}

// What is recorded of events expires, so a long silence may end as "not known".
static void add_daemon(struct notice_scene *scene, timestamp_ns last_event,
                       const struct notice_settings *settings)
{
    struct notice_facts *facts = &scene->facts[scene->count++];
    *facts = (struct notice_facts){.name = SLICE_EMPTY};
    judge(facts, NOTICE_SILENCE, last_event, settings->after[NOTICE_SILENCE], scene->now);
    if (last_event == TIMESTAMP_UNKNOWN && settings->after[NOTICE_SILENCE] > 0)
        facts->presence[NOTICE_SILENCE] = NOTICE_LASTING;
}

static bool own_texts(struct notice_scene *scene, struct arena *arena)
{
    for (size_t i = 0; i < scene->count; i++) {
        struct notice_facts *facts = &scene->facts[i];
        facts->id = notice_subject_of(facts->name);
        if (!arena_copy_slice(arena, facts->name, &facts->name) ||
            !arena_copy_slice(arena, facts->ceiling, &facts->ceiling))
            return false;
    }
    return true;
}

static int compare_facts(const void *left, const void *right)
{
    const struct notice_facts *a = left, *b = right;
    return memcmp(&a->id, &b->id, sizeof a->id);
}

bool notice_scene_make(const struct pools_view *view, const struct notice_settings *settings,
                       timestamp_ns last_event, struct arena *arena, struct notice_scene *scene)
{
    size_t most = view->count + view->ceiling_count + 1;
    *scene = (struct notice_scene){.facts = arena_allocate_array(arena, most, sizeof *scene->facts),
                                   .now = scene->now};
    if (scene->facts == NULL)
        return false;
    for (size_t i = 0; i < view->count; i++)
        add_pool_facts(scene, &view->pools[i], settings);
    for (size_t i = 0; i < view->ceiling_count; i++)
        add_ceiling(scene, &view->ceilings[i], settings);
    add_daemon(scene, last_event, settings);
    bool is_made = own_texts(scene, arena);
    qsort(scene->facts, scene->count, sizeof *scene->facts, compare_facts);
    return is_made;
}

// A pool and a ceiling may have the same name.
static bool is_about(const struct notice_facts *facts, enum notice_condition condition)
{
    bool is_of_pool = condition == NOTICE_DEAD || condition == NOTICE_QUEUED;
    return facts->has_state == is_of_pool &&
           (facts->name.len == 0) == (condition == NOTICE_SILENCE);
}

// The position of the first facts whose id is not before `id`.
static size_t position_of_id(const struct notice_scene *scene, const struct notice_subject_id *id)
{
    size_t low = 0, high = scene->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(&scene->facts[middle].id, id, sizeof *id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct notice_facts *notice_scene_find(const struct notice_scene *scene,
                                             enum notice_condition condition,
                                             const struct notice_subject_id *id)
{
    for (size_t i = position_of_id(scene, id);
         i < scene->count && memcmp(&scene->facts[i].id, id, sizeof *id) == 0; i++)
        if (is_about(&scene->facts[i], condition))
            return &scene->facts[i];
    return NULL;
}
