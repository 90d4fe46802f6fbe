// Reads pools and the waits of their queued jobs.
#include "ghatrace/view/pools_view.h"

#include <stdlib.h>
#include <string.h>

#include "ceilings.h"
#include "ghatrace/stats/runners.h"
#include "ghatrace/store/codec.h"

#define SHARE_ARENA_BLOCK ((size_t)16 * 1024)

static enum error_code refuse_memory(const struct view_reader *reader)
{
    return error_set(reader->error, ERROR_MEMORY, "read pools: out of memory");
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
    const struct pool_reader of_pool = {reader->transaction, pool, work->now, reader->error};
    return code == ERROR_NONE ? pool_recent_read(&of_pool, &work->minutes_left, &row->recent)
                              : code;
}

// --- pools over time ------------------------------------------------------------------------------

static int compare_times_of_steps(const void *left, const void *right)
{
    const struct pool_step *a = left, *b = right;
    return a->at == b->at ? 0 : a->at < b->at ? -1 : 1;
}

// One step for each second. Returns how many there are.
static size_t put_in_order(struct pool_step *steps, size_t count)
{
    size_t kept = 0;
    qsort(steps, count, sizeof *steps, compare_times_of_steps);
    for (size_t i = 1; i < count; i++) {
        if (steps[i].at != steps[kept].at) {
            steps[++kept] = steps[i];
            continue;
        }
        steps[kept].queued += steps[i].queued;
        steps[kept].running += steps[i].running;
    }
    return count > 0 ? kept + 1 : 0;
}

// A job that ended at an unknown time ran until its runner took another one.
static enum error_code add_ends(struct pools_work *work, size_t pool, size_t first,
                                timestamp_ns from)
{
    struct pool_steps *steps = &work->steps;
    for (size_t i = 0; i < work->ended.count; i++) {
        const struct ended_unknown *job = &work->ended.jobs[i];
        const struct pool_step step = {job->since - job->since % NS_PER_SECOND, 0, -1};
        if (job->pool != pool || step.at < from)
            continue;
        enum error_code code = pool_steps_add(steps, &step);
        if (code != ERROR_NONE)
            return code == ERROR_TOO_LARGE ? ERROR_NONE : refuse_memory(work->reader);
    }
    if (steps->count > first)
        steps->count = first + put_in_order(steps->items + first, steps->count - first);
    return ERROR_NONE;
}

timestamp_ns pools_work_from(const struct pools_work *work, enum history_span span)
{
    return span == HISTORY_RECENT ? pool_steps_recent(work->now) : pool_steps_day(work->now);
}

static struct pool_steps_reader steps_reader(const struct pools_work *work, enum history_span span)
{
    return (struct pool_steps_reader){work->reader->transaction, pools_work_from(work, span),
                                      work->now, work->reader->error};
}

enum error_code pools_work_read(struct pools_work *work, size_t pool, enum history_span span)
{
    struct pools_view_pool *row = &work->view->pools[pool];
    struct pool_history *history = &work->histories[pool], found = *history;
    const struct pool_steps_reader reader = steps_reader(work, span);
    if (history->tried >= span)
        return ERROR_NONE;
    history->tried = span;
    found.tried = found.span = span;
    found.first = work->steps.count;
    enum error_code code = pool_steps_read(&reader, &row->pool.id, &work->steps, &found.happened);
    if (code != ERROR_NONE || !found.happened.is_whole)
        return code;
    if (row->ended_unknown > 0)
        code = add_ends(work, pool, found.first, reader.from);
    found.count = work->steps.count - found.first;
    *history = found;
    return code;
}

// Where it is not known what happened, as if nothing had since the oldest queued job is.
struct pool_course pools_work_course(const struct pools_work *work, size_t pool)
{
    const struct pools_view_pool *row = &work->view->pools[pool];
    const struct pool_history *history = &work->histories[pool];
    bool is_known = history->span != HISTORY_NONE;
    bool has_steps = is_known && history->count > 0;
    return (struct pool_course){.from = is_known ? pools_work_from(work, history->span)
                                                 : row->waits.oldest,
                                .now = work->now,
                                .steps = has_steps ? work->steps.items + history->first : NULL,
                                .count = has_steps ? history->count : 0,
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
    const struct pool_steps_reader reader = steps_reader(work, HISTORY_DAY);
    const struct pools_view_pool *row = &work->view->pools[pool];
    facts->active_before = TIMESTAMP_UNKNOWN;
    if (work->histories[pool].span != HISTORY_DAY || facts->last_start != TIMESTAMP_UNKNOWN ||
        row->running > 0 || pool_course_last_run(&facts->course) != TIMESTAMP_UNKNOWN)
        return ERROR_NONE;
    return pool_hours_read_last_active(&reader, &row->pool.id, row->ended_unknown,
                                       &facts->active_before);
}

// The most that ran, without jobs that ended at an unknown time.
static void correct_most_busy(struct pools_work *work, size_t pool)
{
    struct pools_view_pool *row = &work->view->pools[pool];
    const struct pool_history *history = &work->histories[pool];
    struct pool_recent *recent = &row->recent;
    if (history->span != HISTORY_DAY || !recent->is_known)
        return;
    const struct pool_course course = pools_work_course(work, pool);
    int64_t most = pool_course_most(&course, work->now - NS_PER_DAY);
    recent->busy_max_day = most > 0 ? (uint64_t)most : 0;
    recent->busy_max_week = recent->busy_max_hours > recent->busy_max_day ? recent->busy_max_hours
                                                                          : recent->busy_max_day;
}

static enum error_code assess_by(struct pools_work *work, size_t pool, enum history_span span,
                                 struct pool_verdict *verdict)
{
    const struct pools_view_pool *row = &work->view->pools[pool];
    const struct pool_history *history = &work->histories[pool];
    enum error_code code = pools_work_read(work, pool, span);
    if (code != ERROR_NONE)
        return code;
    struct pool_facts facts = {
        .course = pools_work_course(work, pool),
        .oldest = row->waits.oldest,
        .last_start = timestamp_later(history->happened.last_start, row->recent.last_start),
        .last_short_start = history->happened.last_short_start,
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
        code = pools_work_read(work, pool, HISTORY_DAY);
        correct_most_busy(work, pool);
    }
    if (code != ERROR_NONE || row->waits.oldest == TIMESTAMP_UNKNOWN)
        return code;
    code = assess_by(work, pool, needs_day ? HISTORY_DAY : HISTORY_RECENT, &verdict);
    if (code == ERROR_NONE && verdict.since != TIMESTAMP_UNKNOWN &&
        verdict.since <= pools_work_from(work, HISTORY_RECENT))
        code = assess_by(work, pool, HISTORY_DAY, &verdict);
    row->state = verdict.state;
    row->since = verdict.since;
    if (row->state == POOL_CEILING)
        row->ceiling = work->view->ceilings[row->ceiling_number].name;
    return code;
}

// --- order ----------------------------------------------------------------------------------------

static int compare_counts(uint64_t a, uint64_t b)
{
    return a == b ? 0 : a > b ? -1 : 1;
}

static int rank_of_state(enum pool_state state)
{
    static const int ranks[POOL_STATES] = {
        [POOL_DEAD] = 0, [POOL_BUSY] = 1, [POOL_WAITING] = 1, [POOL_CEILING] = 2, [POOL_OK] = 3};
    return ranks[state];
}

// Of those with one state a pool without a queue comes after those with one.
static int compare_pools(const void *left, const void *right)
{
    const struct pools_view_pool *a = left, *b = right;
    timestamp_ns x = a->waits.oldest, y = b->waits.oldest;
    if (rank_of_state(a->state) != rank_of_state(b->state))
        return rank_of_state(a->state) - rank_of_state(b->state);
    if (x != y)
        return x == TIMESTAMP_UNKNOWN ? 1 : y == TIMESTAMP_UNKNOWN ? -1 : x < y ? -1 : 1;
    for (int state = OPEN_JOB_STATES - 1; state > 0; state--) {
        int order = compare_counts(a->pool.counts[state], b->pool.counts[state]);
        if (order != 0)
            return order;
    }
    int names = slice_compare(a->name, b->name);
    return names != 0 ? names : memcmp(&a->pool.id, &b->pool.id, sizeof a->pool.id);
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
    work->histories = arena_allocate_array(reader->arena, count + 1, sizeof *work->histories);
    if (view->pools == NULL || work->histories == NULL)
        return refuse_memory(reader);
    for (; view->count < count && code == ERROR_NONE; view->count++)
        code = load_pool_row(work, &pools[view->count], view->count);
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
        .steps = {.most = POOLS_VIEW_STEPS_MAX, .rows_left = POOLS_VIEW_STEP_MINUTES_MAX},
        .jobs_left = POOLS_VIEW_LOOKED_AT,
        .minutes_left = POOLS_VIEW_MINUTES_MAX};
    *view = (struct pools_view){.pools = NULL};
    enum error_code code = load_rows(&work);
    if (code == ERROR_NONE)
        code = ceilings_find(&work);
    for (size_t i = 0; i < view->count && code == ERROR_NONE; i++)
        code = assess(&work, i);
    pool_steps_release(&work.steps);
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

static bool add_share(struct sharing *sharing, struct slice repository)
{
    size_t i = 0;
    while (i < sharing->count &&
           !slice_equals_ignoring_case(sharing->all[i].repository, repository))
        i++;
    if (i == sharing->count) {
        if (sharing->count == sharing->room ||
            !arena_copy_slice(sharing->reader->arena, repository, &repository))
            return false;
        sharing->all[sharing->count++] = (struct pools_view_share){.repository = repository};
    }
    sharing->all[i].running++;
    return true;
}

static enum error_code add_share_of(struct sharing *sharing, const struct pool_job *place)
{
    const struct view_reader *reader = sharing->reader;
    struct job_state job;
    struct slice bytes;
    timestamp_ns marked;
    arena_clear(&sharing->scratch);
    enum error_code code =
        runners_find_mark(reader->transaction, &place->key, &marked, reader->error);
    if (code != ERROR_NONE || marked != TIMESTAMP_UNKNOWN)
        return code;
    code = store_get_span(reader->transaction, &place->key, &bytes, reader->error);
    bool is_there = code == ERROR_NONE;
    if (is_there)
        code = codec_decode_job(bytes, &sharing->scratch, &job, reader->error);
    if (code == ERROR_NOT_FOUND || (is_there && code == ERROR_CORRUPT))
        return ERROR_NONE;
    if (code == ERROR_NONE && !add_share(sharing, job.repository.full_name))
        return refuse_memory(reader);
    return code;
}

static enum error_code add_jobs_of(struct sharing *sharing, const struct pool *pool)
{
    struct pool_job place = {0};
    enum error_code code = ERROR_NONE;
    for (; sharing->left > 0; sharing->left--) {
        code = pool_seek_job(sharing->reader->transaction, &pool->id, OPEN_JOB_RUNNING, &place,
                             sharing->reader->error);
        if (code == ERROR_NONE)
            code = add_share_of(sharing, &place);
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
    arena_init(&sharing.scratch, SHARE_ARENA_BLOCK);
    for (size_t i = 0; i < view->ceiling_count && code == ERROR_NONE; i++)
        if (view->ceilings[i].since != TIMESTAMP_UNKNOWN)
            code = count_shares_of(&sharing, view, i, &(*shares)[i]);
    arena_release(&sharing.scratch);
    return code;
}
