// Reads pools and the waits of their queued jobs.
#include "ghatrace/view/pools_view.h"

#include <stdlib.h>
#include <string.h>

#include "ceilings.h"
#include "ghatrace/stats/runners.h"
#include "ghatrace/store/codec.h"

#define SCRATCH_BLOCK ((size_t)16 * 1024)

static enum error_code refuse_memory(const struct view_reader *reader)
{
    return error_set(reader->error, ERROR_MEMORY, "read pools: out of memory");
}

bool pools_view_has_run(const struct pools_view_pool *pool)
{
    bool has_run = pool->pool.is_rule || pool->running > 0 || pool->ended_unknown > 0 ||
                   pool->recent.busy_max_hours > 0 || pool->recent.busy_max_week > 0;
    for (size_t i = 0; i < POOL_DAYS && !has_run; i++)
        has_run = pool->pool.started[i] > 0;
    return has_run;
}

duration_ns pools_view_wait(timestamp_ns since, timestamp_ns now)
{
    return since != TIMESTAMP_UNKNOWN && since < now ? now - since : 0;
}

// --- what is known of each pool -------------------------------------------------------------------

static enum error_code load_pool_row(struct pools_work *work, const struct pool *pool,
                                     size_t number)
{
    const struct view_reader *reader = work->reader;
    struct pools_view_pool *row = &work->view->pools[number];
    uint64_t ended = work->ended.by_pool[number];
    char room[LABELS_TEXT_MAX];
    uint64_t budget =
        work->jobs_left < POOLS_VIEW_LOOKED_AT_EACH ? work->jobs_left : POOLS_VIEW_LOOKED_AT_EACH;
    uint64_t before = budget;
    *row = (struct pools_view_pool){.pool = *pool,
                                    .name = pool_name(pool, room),
                                    .running = pool->counts[OPEN_JOB_RUNNING] - ended,
                                    .ended_unknown = ended,
                                    .ceiling_number = POOLS_VIEW_NO_CEILING};
    if (!arena_copy_slice(reader->arena, row->name, &row->name))
        return refuse_memory(reader);
    enum error_code code =
        pool_read_open_waits(reader->transaction, pool, &budget, &row->waits, reader->error);
    work->jobs_left -= before - budget;
    const struct pool_reader of_pool = {
        .transaction = reader->transaction, .pool = pool, .now = work->now, .error = reader->error};
    return code == ERROR_NONE ? pool_recent_read(&of_pool, &work->minutes_left, &row->recent)
                              : code;
}

// --- pools over time ------------------------------------------------------------------------------

static int compare_times_of_changes(const void *left, const void *right)
{
    const struct pool_change *a = left, *b = right;
    return a->at == b->at ? 0 : a->at < b->at ? -1 : 1;
}

// One change for each second. Returns how many there are.
static size_t put_in_order(struct pool_change *changes, size_t count)
{
    size_t kept = 0;
    qsort(changes, count, sizeof *changes, compare_times_of_changes);
    for (size_t i = 1; i < count; i++) {
        if (changes[i].at != changes[kept].at) {
            changes[++kept] = changes[i];
            continue;
        }
        changes[kept].queued += changes[i].queued;
        changes[kept].running += changes[i].running;
    }
    return count > 0 ? kept + 1 : 0;
}

// A job that ended at an unknown time ran until its runner took another one.
static enum error_code add_ends(struct pools_work *work, size_t pool, size_t first,
                                timestamp_ns from)
{
    struct pool_changes *changes = &work->changes;
    for (size_t i = 0; i < work->ended.count; i++) {
        const struct ended_unknown *job = &work->ended.jobs[i];
        const struct pool_change change = {job->since - job->since % NS_PER_SECOND, 0, -1};
        if (job->pool != pool || change.at < from)
            continue;
        enum error_code code = pool_changes_add(changes, &change);
        if (code != ERROR_NONE)
            return code == ERROR_TOO_LARGE ? ERROR_NONE : refuse_memory(work->reader);
    }
    if (changes->count > first)
        changes->count = first + put_in_order(changes->items + first, changes->count - first);
    return ERROR_NONE;
}

timestamp_ns pools_work_from(const struct pools_work *work, enum past_span span)
{
    return span == PAST_RECENT ? pool_changes_recent(work->now) : pool_changes_day(work->now);
}

static struct pool_changes_reader changes_reader(const struct pools_work *work, enum past_span span)
{
    return (struct pool_changes_reader){work->reader->transaction, pools_work_from(work, span),
                                        work->now, work->reader->error};
}

enum error_code pools_work_read(struct pools_work *work, size_t pool, enum past_span span)
{
    struct pools_view_pool *row = &work->view->pools[pool];
    struct pool_past *past = &work->pasts[pool], found = *past;
    const struct pool_changes_reader reader = changes_reader(work, span);
    if (past->tried >= span)
        return ERROR_NONE;
    past->tried = span;
    found.tried = found.span = span;
    found.first = work->changes.count;
    enum error_code code =
        pool_changes_read(&reader, &row->pool.id, &work->changes, &found.activity);
    if (code != ERROR_NONE || !found.activity.is_whole)
        return code;
    if (row->ended_unknown > 0)
        code = add_ends(work, pool, found.first, reader.from);
    found.count = work->changes.count - found.first;
    *past = found;
    return code;
}

// Where it is not known what happened, as if nothing had since the oldest queued job is.
struct pool_curve pools_work_curve(const struct pools_work *work, size_t pool)
{
    const struct pools_view_pool *row = &work->view->pools[pool];
    const struct pool_past *past = &work->pasts[pool];
    bool is_known = past->span != PAST_NONE;
    bool has_changes = is_known && past->count > 0;
    return (struct pool_curve){.from =
                                   is_known ? pools_work_from(work, past->span) : row->waits.oldest,
                               .now = work->now,
                               .changes = has_changes ? work->changes.items + past->first : NULL,
                               .count = has_changes ? past->count : 0,
                               .queued = (int64_t)row->pool.counts[OPEN_JOB_QUEUED],
                               .running = (int64_t)row->running};
}

bool pools_work_waits(const struct pools_work *work, size_t pool)
{
    return pools_view_wait(work->view->pools[pool].waits.oldest, work->now) >= POOL_SHORT_WAIT;
}

// --- states ---------------------------------------------------------------------------------------

// Only if nothing is known of a day.
static enum error_code find_active_before(const struct pools_work *work, size_t pool,
                                          struct pool_facts *facts)
{
    const struct pool_changes_reader reader = changes_reader(work, PAST_DAY);
    const struct pools_view_pool *row = &work->view->pools[pool];
    facts->active_before = TIMESTAMP_UNKNOWN;
    if (work->pasts[pool].span != PAST_DAY || facts->last_start != TIMESTAMP_UNKNOWN ||
        row->running > 0 || pool_curve_last_run(&facts->curve) != TIMESTAMP_UNKNOWN)
        return ERROR_NONE;
    return pool_hours_read_last_active(&reader, &row->pool.id, &facts->active_before);
}

// The most that ran, without jobs that ended at an unknown time.
static void correct_most_busy(struct pools_work *work, size_t pool)
{
    struct pools_view_pool *row = &work->view->pools[pool];
    const struct pool_past *past = &work->pasts[pool];
    struct pool_recent *recent = &row->recent;
    if (past->span != PAST_DAY || !recent->is_known)
        return;
    const struct pool_curve curve = pools_work_curve(work, pool);
    int64_t most = pool_curve_most(&curve, work->now - NS_PER_DAY);
    recent->busy_max_day = most > 0 ? (uint64_t)most : 0;
    recent->busy_max_week = recent->busy_max_hours > recent->busy_max_day ? recent->busy_max_hours
                                                                          : recent->busy_max_day;
}

static enum error_code assess_by(struct pools_work *work, size_t pool, enum past_span span,
                                 struct pool_verdict *verdict)
{
    const struct pools_view_pool *row = &work->view->pools[pool];
    const struct pool_past *past = &work->pasts[pool];
    enum error_code code = pools_work_read(work, pool, span);
    if (code != ERROR_NONE)
        return code;
    struct pool_facts facts = {
        .curve = pools_work_curve(work, pool),
        .oldest = row->waits.oldest,
        .last_start = timestamp_later(past->activity.last_start, row->recent.last_start),
        .last_short_start = past->activity.last_short_start,
        .busy_max = row->recent.is_known ? row->recent.busy_max_week : row->recent.busy_max_hours,
        .ceiling_since = row->ceiling_number < work->view->ceiling_count
                             ? work->view->ceilings[row->ceiling_number].since
                             : TIMESTAMP_UNKNOWN,
        .dead_after = work->settings->dead_after};
    code = find_active_before(work, pool, &facts);
    *verdict = pool_assess(&facts);
    return code;
}

static enum error_code assess(struct pools_work *work, size_t pool)
{
    struct pools_view_pool *row = &work->view->pools[pool];
    struct pool_verdict verdict = {POOL_OK, TIMESTAMP_UNKNOWN};
    bool needs_day = row->ended_unknown > 0 || !row->recent.is_known;
    enum error_code code = ERROR_NONE;
    if (row->ended_unknown > 0) {
        code = pools_work_read(work, pool, PAST_DAY);
        correct_most_busy(work, pool);
    }
    if (code != ERROR_NONE || row->waits.oldest == TIMESTAMP_UNKNOWN)
        return code;
    code = assess_by(work, pool, needs_day ? PAST_DAY : PAST_RECENT, &verdict);
    if (code == ERROR_NONE && !needs_day && verdict.since != TIMESTAMP_UNKNOWN &&
        verdict.since <= pools_work_from(work, PAST_RECENT))
        code = assess_by(work, pool, PAST_DAY, &verdict);
    row->state = verdict.state;
    row->since = verdict.since;
    if (row->state == POOL_CEILING)
        row->ceiling = work->view->ceilings[row->ceiling_number].name;
    return code;
}

// --- order ----------------------------------------------------------------------------------------

// The larger one first.
static int compare_counts(uint64_t a, uint64_t b)
{
    return a == b ? 0 : a > b ? -1 : 1;
}

// The worst first; at a ceiling more runners would not help.
static int rank_of_state(enum pool_state state)
{
    static const int ranks[POOL_STATES] = {
        [POOL_DEAD] = 0, [POOL_BUSY] = 1, [POOL_WAITING] = 1, [POOL_CEILING] = 2, [POOL_OK] = 3};
    return ranks[state];
}

// Rows keep their places from minute to minute: of one rank the longest in its state first. Only pools with the same time, as
// those at one ceiling, and those that are ok change places with their queues.
static int compare_pools(const void *left, const void *right)
{
    const struct pools_view_pool *a = left, *b = right;
    timestamp_ns x = a->since, y = b->since;
    if (rank_of_state(a->state) != rank_of_state(b->state))
        return rank_of_state(a->state) - rank_of_state(b->state);
    if (x != y)
        return x == TIMESTAMP_UNKNOWN ? 1 : y == TIMESTAMP_UNKNOWN ? -1 : x < y ? -1 : 1;
    int order = compare_counts(a->pool.counts[OPEN_JOB_QUEUED], b->pool.counts[OPEN_JOB_QUEUED]);
    if (order == 0)
        order = slice_compare(a->name, b->name);
    return order != 0 ? order : memcmp(&a->pool.id, &b->pool.id, sizeof a->pool.id);
}

// Anyone who writes a workflow can invent labels. What may be read for all pools is read of those first that have most
// started jobs, and not of the invented ones.
struct pool_use {
    uint64_t jobs;
    size_t number;
};

static int compare_uses(const void *left, const void *right)
{
    const struct pool_use *a = left, *b = right;
    int order = compare_counts(a->jobs, b->jobs);
    return order != 0 ? order : a->number < b->number ? -1 : 1;
}

static bool put_most_used_first(struct pools_work *work, const struct pool *pools, size_t count)
{
    struct pool_use *uses = arena_allocate_array(work->reader->arena, count + 1, sizeof *uses);
    work->order = arena_allocate_array(work->reader->arena, count + 1, sizeof *work->order);
    if (uses == NULL || work->order == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        uses[i] = (struct pool_use){pools[i].counts[OPEN_JOB_RUNNING], i};
        for (size_t day = 0; day < POOL_DAYS; day++)
            uses[i].jobs += pools[i].started[day];
    }
    qsort(uses, count, sizeof *uses, compare_uses);
    for (size_t i = 0; i < count; i++)
        work->order[i] = uses[i].number;
    return true;
}

static enum error_code load_rows(struct pools_work *work)
{
    const struct view_reader *reader = work->reader;
    struct pools_view *view = work->view;
    const struct ended_reader of_ended = {
        reader->transaction, reader->arena, {work->now, work->settings->job_grace}, reader->error};
    struct pool *pools;
    size_t count;
    enum error_code code =
        pool_list(reader->transaction, reader->arena, &pools, &count, reader->error);
    if (code == ERROR_NONE)
        code = ended_jobs_load(&of_ended, pools, count, &work->ended);
    if (code != ERROR_NONE)
        return code;
    view->pools = arena_allocate_array(reader->arena, count + 1, sizeof *view->pools);
    work->pasts = arena_allocate_array(reader->arena, count + 1, sizeof *work->pasts);
    if (view->pools == NULL || work->pasts == NULL || !put_most_used_first(work, pools, count))
        return refuse_memory(reader);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = load_pool_row(work, &pools[work->order[i]], work->order[i]);
    view->count = count;
    return code;
}

enum error_code pools_view_load(const struct view_reader *reader,
                                const struct pools_view_settings *settings, timestamp_ns now,
                                struct pools_view *view)
{
    struct pools_work work = {
        .reader = reader,
        .settings = settings,
        .now = now,
        .view = view,
        .changes = {.most = POOLS_VIEW_CHANGES_MAX, .rows_left = POOLS_VIEW_CHANGE_MINUTES_MAX},
        .jobs_left = POOLS_VIEW_LOOKED_AT,
        .minutes_left = POOLS_VIEW_MINUTES_MAX};
    *view = (struct pools_view){.pools = NULL};
    arena_init(&work.scratch, SCRATCH_BLOCK);
    enum error_code code = load_rows(&work);
    if (code == ERROR_NONE)
        code = ceilings_find(&work);
    arena_release(&work.scratch);
    for (size_t i = 0; i < view->count && code == ERROR_NONE; i++)
        code = assess(&work, work.order[i]);
    pool_changes_release(&work.changes);
    if (code == ERROR_NONE && view->count > 1)
        qsort(view->pools, view->count, sizeof *view->pools, compare_pools);
    return code;
}

// --- repositories that use a ceiling --------------------------------------------------------------

struct sharing {
    const struct view_reader *reader;
    struct arena scratch; // one job
    struct pools_view_share *all;
    size_t count, room;
    uint64_t left; // jobs that may still be looked at
};

static bool add_share(struct sharing *sharing, struct slice server, struct slice repository)
{
    size_t i = 0;
    while (i < sharing->count &&
           (!slice_equals_ignoring_case(sharing->all[i].repository, repository) ||
            !slice_equals(sharing->all[i].server, server)))
        i++;
    if (i == sharing->count) {
        if (sharing->count == sharing->room ||
            !arena_copy_slice(sharing->reader->arena, server, &server) ||
            !arena_copy_slice(sharing->reader->arena, repository, &repository))
            return false;
        sharing->all[sharing->count++] =
            (struct pools_view_share){.server = server, .repository = repository};
    }
    sharing->all[i].running++;
    return true;
}

// A job that cannot be read is left out.
static enum error_code add_share_of(struct sharing *sharing, const struct pool_job *place)
{
    const struct view_reader *reader = sharing->reader;
    struct job_state job;
    struct slice bytes;
    arena_clear(&sharing->scratch);
    enum error_code code = store_get_span(reader->transaction, &place->key, &bytes, reader->error);
    bool is_there = code == ERROR_NONE;
    if (is_there)
        code = codec_decode_job(bytes, &sharing->scratch, &job, reader->error);
    if (code == ERROR_NOT_FOUND || (is_there && code == ERROR_CORRUPT))
        return ERROR_NONE;
    if (code == ERROR_NONE && !add_share(sharing, job.server, job.repository.full_name))
        return refuse_memory(reader);
    return code;
}

static enum error_code add_running_share_of(struct sharing *sharing, const struct pool_job *place)
{
    timestamp_ns reused_at;
    enum error_code code = runners_find_reuse(sharing->reader->transaction, &place->key, &reused_at,
                                              sharing->reader->error);
    return code != ERROR_NONE || reused_at != TIMESTAMP_UNKNOWN ? code
                                                                : add_share_of(sharing, place);
}

static enum error_code add_jobs_of(struct sharing *sharing, const struct pool *pool)
{
    struct pool_job place = {0};
    enum error_code code = ERROR_NONE;
    for (; sharing->left > 0; sharing->left--) {
        code = pool_seek_job(sharing->reader->transaction, &pool->id, OPEN_JOB_RUNNING, &place,
                             sharing->reader->error);
        if (code == ERROR_NONE)
            code = add_running_share_of(sharing, &place);
        if (code != ERROR_NONE)
            break;
        pool_job_increment(&place);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static int compare_shares(const void *left, const void *right)
{
    const struct pools_view_share *a = left, *b = right;
    int order = compare_counts(a->running, b->running);
    return order != 0 ? order : slice_compare(a->repository, b->repository);
}

static enum error_code count_shares_of(struct sharing *sharing, const struct pools_view *view,
                                       size_t ceiling, struct pools_view_shares *shares)
{
    enum error_code code = ERROR_NONE;
    sharing->count = 0;
    for (size_t i = 0; i < view->count && code == ERROR_NONE; i++)
        if (view->pools[i].ceiling_number == ceiling)
            code = add_jobs_of(sharing, &view->pools[i].pool);
    qsort(sharing->all, sharing->count, sizeof *sharing->all, compare_shares);
    for (; shares->count < POOLS_VIEW_REPOSITORIES && shares->count < sharing->count;
         shares->count++)
        shares->items[shares->count] = sharing->all[shares->count];
    return code;
}

enum error_code pools_view_count_shares(const struct view_reader *reader,
                                        const struct pools_view *view,
                                        struct pools_view_shares **shares)
{
    struct sharing sharing = {
        .reader = reader, .room = POOLS_VIEW_RUNNING_MAX, .left = POOLS_VIEW_RUNNING_MAX};
    enum error_code code = ERROR_NONE;
    *shares = arena_allocate_array(reader->arena, view->ceiling_count + 1, sizeof **shares);
    sharing.all = arena_allocate_array(reader->arena, sharing.room, sizeof *sharing.all);
    if (*shares == NULL || sharing.all == NULL)
        return refuse_memory(reader);
    arena_init(&sharing.scratch, SCRATCH_BLOCK);
    for (size_t i = 0; i < view->ceiling_count && code == ERROR_NONE; i++)
        if (view->ceilings[i].since != TIMESTAMP_UNKNOWN)
            code = count_shares_of(&sharing, view, i, &(*shares)[i]);
    arena_release(&sharing.scratch);
    return code;
}

// --- repositories of the oldest queued jobs -------------------------------------------------------

// The first queued job of the pool at or after `*place`; none: `since` becomes INT64_MAX.
static enum error_code seek_queued(const struct view_reader *reader, const struct pool *pool,
                                   struct pool_job *place)
{
    enum error_code code =
        pool_seek_job(reader->transaction, &pool->id, OPEN_JOB_QUEUED, place, reader->error);
    if (code != ERROR_NOT_FOUND)
        return code;
    place->since = INT64_MAX;
    return ERROR_NONE;
}

// The next queued job of each pool that has any. `*queued`: these pools.
static enum error_code seek_first_queued(const struct view_reader *reader,
                                         const struct pools_view *view,
                                         const struct pools_view_pool **queued,
                                         struct pool_job *next, size_t *count)
{
    enum error_code code = ERROR_NONE;
    *count = 0;
    for (size_t i = 0; i < view->count && code == ERROR_NONE; i++) {
        if (view->pools[i].pool.counts[OPEN_JOB_QUEUED] == 0)
            continue;
        queued[*count] = &view->pools[i];
        next[*count] = (struct pool_job){0};
        code = seek_queued(reader, &view->pools[i].pool, &next[(*count)++]);
    }
    return code;
}

// Merges the queued jobs of all pools, the oldest first.
static enum error_code add_oldest(struct sharing *sharing, const struct pools_view *view,
                                  struct pools_view_oldest *oldest)
{
    const struct view_reader *reader = sharing->reader;
    const struct pools_view_pool **queued =
        arena_allocate_array(reader->arena, view->count + 1, sizeof *queued);
    struct pool_job *next = arena_allocate_array(reader->arena, view->count + 1, sizeof *next);
    size_t count;
    if (queued == NULL || next == NULL)
        return refuse_memory(reader);
    enum error_code code = seek_first_queued(reader, view, queued, next, &count);
    while (code == ERROR_NONE && count > 0) {
        size_t first = 0;
        for (size_t i = 1; i < count; i++)
            if (next[i].since < next[first].since)
                first = i;
        oldest->has_more = next[first].since != INT64_MAX && oldest->jobs == POOLS_VIEW_OLDEST;
        if (next[first].since == INT64_MAX || oldest->has_more)
            break;
        oldest->jobs++;
        code = add_share_of(sharing, &next[first]);
        pool_job_increment(&next[first]);
        if (code == ERROR_NONE)
            code = seek_queued(reader, &queued[first]->pool, &next[first]);
    }
    return code;
}

enum error_code pools_view_count_oldest(const struct view_reader *reader, struct pools_view *view)
{
    struct sharing sharing = {.reader = reader, .room = POOLS_VIEW_OLDEST};
    struct pools_view_oldest *oldest = &view->oldest;
    *oldest = (struct pools_view_oldest){.jobs = 0};
    sharing.all = arena_allocate_array(reader->arena, sharing.room, sizeof *sharing.all);
    if (sharing.all == NULL)
        return refuse_memory(reader);
    arena_init(&sharing.scratch, SCRATCH_BLOCK);
    enum error_code code = add_oldest(&sharing, view, oldest);
    arena_release(&sharing.scratch);
    oldest->repositories = sharing.count;
    qsort(sharing.all, sharing.count, sizeof *sharing.all, compare_shares);
    if (sharing.count > 0)
        oldest->most = sharing.all[0];
    return code;
}

// --- the repository that fills a pool -------------------------------------------------------------

static bool may_be_filled(const struct pools_view_pool *pool)
{
    return (pool->state == POOL_BUSY || pool->state == POOL_CEILING ||
            pool->state == POOL_WAITING) &&
           pool->pool.counts[OPEN_JOB_QUEUED] >= POOLS_VIEW_FILLED_LEAST;
}

static enum error_code find_filler(struct sharing *sharing, struct pools_view_pool *pool)
{
    struct pool_job place = {0};
    uint64_t jobs = 0;
    enum error_code code = ERROR_NONE;
    sharing->count = 0;
    while (code == ERROR_NONE && jobs < POOLS_VIEW_FILLED_JOBS) {
        code = seek_queued(sharing->reader, &pool->pool, &place);
        if (code != ERROR_NONE || place.since == INT64_MAX)
            break;
        jobs++;
        code = add_share_of(sharing, &place);
        pool_job_increment(&place);
    }
    qsort(sharing->all, sharing->count, sizeof *sharing->all, compare_shares);
    if (code == ERROR_NONE && jobs >= POOLS_VIEW_FILLED_LEAST && sharing->count > 0 &&
        sharing->all[0].running * 3 >= jobs * 2) {
        pool->filler =
            (struct pools_view_filler){.server = sharing->all[0].server,
                                       .repository = sharing->all[0].repository,
                                       .queued = sharing->all[0].running,
                                       .of = jobs,
                                       .has_more = pool->pool.counts[OPEN_JOB_QUEUED] > jobs};
    }
    return code;
}

enum error_code pools_view_find_fillers(const struct view_reader *reader, struct pools_view *view)
{
    struct sharing sharing = {.reader = reader, .room = POOLS_VIEW_FILLED_JOBS};
    enum error_code code = ERROR_NONE;
    sharing.all = arena_allocate_array(reader->arena, sharing.room, sizeof *sharing.all);
    if (sharing.all == NULL)
        return refuse_memory(reader);
    arena_init(&sharing.scratch, SCRATCH_BLOCK);
    for (size_t i = 0, looked_at = 0;
         code == ERROR_NONE && i < view->count && looked_at < POOLS_VIEW_FILLED_POOLS; i++)
        if (may_be_filled(&view->pools[i])) {
            code = find_filler(&sharing, &view->pools[i]);
            looked_at++;
        }
    arena_release(&sharing.scratch);
    return code;
}
