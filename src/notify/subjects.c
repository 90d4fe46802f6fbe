// Subjects of notices.
#include "subjects.h"

#include <stdlib.h>

#include "ghatrace/base/digest.h"

struct notice_subject_id notice_subject_id_of(struct slice name)
{
    struct notice_subject_id id;
    uint8_t digest[SHA256_SIZE];
    digest_sha256(name, digest);
    memcpy(id.bytes, digest, sizeof id.bytes);
    return id;
}

// Sets what a condition that began at `since` is now.
static void judge(struct notice_subject *subject, enum notice_condition condition,
                  timestamp_ns since, duration_ns after, timestamp_ns now)
{
    subject->since[condition] = since;
    if (after > 0 && since != TIMESTAMP_UNKNOWN && pools_view_wait(since, now) >= after)
        subject->presence[condition] = NOTICE_PRESENT;
}

// Jobs of a pool that is dead, or held back by a ceiling, wait long for a reason that has a notice of its own.
static void judge_pool(struct notice_subject *subject, const struct pools_view_pool *row,
                       const struct notice_settings *settings, timestamp_ns now)
{
    const duration_ns *after = settings->after;
    bool is_held_back = row->state == POOL_CEILING;
    if (row->state == POOL_DEAD)
        judge(subject, NOTICE_DEAD, timestamp_first_known(row->since, row->waits.oldest),
              after[NOTICE_DEAD], now);
    judge(subject, NOTICE_QUEUED, row->waits.oldest, after[NOTICE_QUEUED], now);
    if (subject->presence[NOTICE_QUEUED] == NOTICE_PRESENT &&
        (subject->presence[NOTICE_DEAD] == NOTICE_PRESENT || is_held_back))
        subject->presence[NOTICE_QUEUED] = NOTICE_LASTING;
}

static void add_pool_subject(struct notice_subjects *subjects, const struct pools_view_pool *row,
                             const struct notice_settings *settings)
{
    struct notice_subject *subject = &subjects->items[subjects->count++];
    *subject = (struct notice_subject){.name = row->name,
                                       .has_state = true,
                                       .is_proven = pools_view_has_run(row),
                                       .state = row->state,
                                       .queued = row->pool.counts[OPEN_JOB_QUEUED],
                                       .running = row->running,
                                       .oldest = row->waits.oldest,
                                       .ceiling = row->ceiling};
    judge_pool(subject, row, settings, subjects->now);
}

static void add_ceiling(struct notice_subjects *subjects, const struct pools_view_ceiling *ceiling,
                        const struct notice_settings *settings)
{
    struct notice_subject *subject = &subjects->items[subjects->count++];
    *subject = (struct notice_subject){.name = ceiling->name,
                                       .is_proven = true,
                                       .queued = ceiling->queued,
                                       .running = ceiling->running,
                                       .limit = ceiling->limit};
    judge(subject, NOTICE_CEILING, ceiling->since, settings->after[NOTICE_CEILING], subjects->now);
}

// What is recorded of events expires, so a long silence may end as "not known".
static void add_daemon(struct notice_subjects *subjects, timestamp_ns last_event,
                       const struct notice_settings *settings)
{
    struct notice_subject *subject = &subjects->items[subjects->count++];
    *subject = (struct notice_subject){.name = SLICE_EMPTY, .is_proven = true};
    judge(subject, NOTICE_SILENCE, last_event, settings->after[NOTICE_SILENCE], subjects->now);
    if (last_event == TIMESTAMP_UNKNOWN && settings->after[NOTICE_SILENCE] > 0)
        subject->presence[NOTICE_SILENCE] = NOTICE_LASTING;
}

static bool own_texts(struct notice_subjects *subjects, struct arena *arena)
{
    for (size_t i = 0; i < subjects->count; i++) {
        struct notice_subject *subject = &subjects->items[i];
        subject->id = notice_subject_id_of(subject->name);
        if (!arena_copy_slice(arena, subject->name, &subject->name) ||
            !arena_copy_slice(arena, subject->ceiling, &subject->ceiling))
            return false;
    }
    return true;
}

static int compare_subjects(const void *left, const void *right)
{
    const struct notice_subject *a = left, *b = right;
    return memcmp(&a->id, &b->id, sizeof a->id);
}

bool notice_subjects_make(const struct pools_view *view, const struct notice_settings *settings,
                          timestamp_ns last_event, struct arena *arena,
                          struct notice_subjects *subjects)
{
    size_t most = view->count + view->ceiling_count + 1;
    *subjects = (struct notice_subjects){
        .items = arena_allocate_array(arena, most, sizeof *subjects->items), .now = subjects->now};
    if (subjects->items == NULL)
        return false;
    for (size_t i = 0; i < view->count; i++)
        add_pool_subject(subjects, &view->pools[i], settings);
    for (size_t i = 0; i < view->ceiling_count; i++)
        add_ceiling(subjects, &view->ceilings[i], settings);
    add_daemon(subjects, last_event, settings);
    bool is_made = own_texts(subjects, arena);
    qsort(subjects->items, subjects->count, sizeof *subjects->items, compare_subjects);
    return is_made;
}

// A pool and a ceiling may have the same name.
static bool is_about(const struct notice_subject *subject, enum notice_condition condition)
{
    return subject->has_state == notice_is_of_pool(condition) &&
           (subject->name.len == 0) == (condition == NOTICE_SILENCE);
}

// The position of the first subject whose id is not before `id`.
static size_t position_of_id(const struct notice_subjects *subjects,
                             const struct notice_subject_id *id)
{
    size_t low = 0, high = subjects->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(&subjects->items[middle].id, id, sizeof *id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct notice_subject *notice_subjects_find(const struct notice_subjects *subjects,
                                                  enum notice_condition condition,
                                                  const struct notice_subject_id *id)
{
    for (size_t i = position_of_id(subjects, id);
         i < subjects->count && memcmp(&subjects->items[i].id, id, sizeof *id) == 0; i++)
        if (is_about(&subjects->items[i], condition))
            return &subjects->items[i];
    return NULL;
}
