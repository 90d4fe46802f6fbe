// Reads the jobs of one pool in slices, and replays them.
#include "ghatrace/view/whatif_view.h"

#include <stdlib.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/job_history.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/runners.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/trace/timeline.h"
#include "short_reads.h"

#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)
#define JOBS_AT_FIRST 1024

// A job of the pool: from the history, or open.
struct found_job {
    uint64_t job; // as in the history
    struct whatif_job times;
    uint32_t runner;
    uint32_t order; // of two with the same `job` the later one holds
};

struct loader {
    struct short_reads reads;
    struct arena *arena;
    struct arena scratch; // one state
    struct error *error;
    struct whatif_answer *answer;
    struct pool *pools; // all of them
    size_t pool_count;
    uint64_t pool;             // that is asked for
    const struct pool *listed; // the same; NULL: it is not in the list
    struct found_job *jobs;
    size_t count, capacity;
    uint32_t *runners; // of these jobs; sorted
    size_t runner_count;
};

static enum error_code report_no_memory(struct loader *loader)
{
    return error_set(loader->error, ERROR_MEMORY, "what if: out of memory");
}

// --- the pool -------------------------------------------------------------------------------------

// The name as pool_name() returns it, from one whose labels are in any order.
static bool make_name(struct loader *loader, struct slice asked, struct slice *name)
{
    char room[LABELS_TEXT_MAX];
    struct slice *labels;
    size_t count;
    if (!labels_split(asked, loader->arena, &labels, &count) ||
        !labels_join(labels, count, loader->arena, name))
        return false;
    *name = name->len > 0 ? labels_identity(*name, room) : POOL_UNLABELED;
    return arena_copy_slice(loader->arena, *name, name);
}

static const struct pool *find_listed_pool(const struct loader *loader, struct slice name)
{
    for (size_t i = 0; i < loader->pool_count; i++) {
        char room[LABELS_TEXT_MAX];
        if (slice_equals_ignoring_case(pool_name(&loader->pools[i], room), name))
            return &loader->pools[i];
    }
    return NULL;
}

static bool keep_name(struct loader *loader, const struct pool *pool, struct slice *name)
{
    char room[LABELS_TEXT_MAX];
    return arena_copy_slice(loader->arena, pool_name(pool, room), name);
}

// Of a pool that is not listed, its name is taken for its labels.
static void find_ceiling(struct loader *loader)
{
    const struct pool *pool = loader->listed;
    struct whatif_answer *answer = loader->answer;
    struct slice labels = pool == NULL ? answer->name : pool->is_rule ? pool->asked : pool->labels;
    if (answer->question.ceilings != NULL)
        answer->ceiling = ceiling_rules_find(answer->question.ceilings, labels);
}

static enum error_code find_pool(struct loader *loader)
{
    struct whatif_answer *answer = loader->answer;
    if (!make_name(loader, answer->question.pool, &answer->name))
        return report_no_memory(loader);
    struct pool_id id = pool_make_id(answer->name);
    if (pool_is_one_off(&id))
        return error_set(loader->error, ERROR_INVALID,
                         "\"" POOL_ONE_OFF_TEXT "\" is a mixture of sets of labels, which have no "
                         "runners in common: ask for one of them");
    loader->pool = job_history_pool(&id);
    enum error_code code = short_reads_continue(&loader->reads);
    if (code == ERROR_NONE)
        code = pool_list(loader->reads.transaction, loader->arena, &loader->pools,
                         &loader->pool_count, loader->error);
    if (code != ERROR_NONE)
        return code;
    loader->listed = find_listed_pool(loader, answer->name);
    answer->is_known = loader->listed != NULL;
    find_ceiling(loader);
    return !answer->is_known || keep_name(loader, loader->listed, &answer->name)
               ? ERROR_NONE
               : report_no_memory(loader);
}

// --- jobs -----------------------------------------------------------------------------------------

static enum error_code add_job(struct loader *loader, const struct found_job *job)
{
    size_t most = loader->answer->question.most_jobs;
    if (most > 0 && loader->count == most)
        return error_set(loader->error, ERROR_TOO_LARGE,
                         "the pool has more than %zu jobs: ask for a shorter time", most);
    if (loader->count == loader->capacity) {
        size_t capacity = loader->capacity > 0 ? 2 * loader->capacity : JOBS_AT_FIRST;
        struct found_job *jobs = memory_resize(loader->jobs, capacity * sizeof *jobs);
        if (jobs == NULL)
            return report_no_memory(loader);
        loader->jobs = jobs;
        loader->capacity = capacity;
    }
    loader->jobs[loader->count] = *job;
    loader->jobs[loader->count].order = (uint32_t)loader->count;
    loader->count++;
    return ERROR_NONE;
}

// When an open job on a runner was ready, from its state. An unreadable state is left out and counted.
static enum error_code read_ready(struct loader *loader, const struct store_key *key,
                                  timestamp_ns *ready)
{
    struct slice bytes;
    struct job_state job;
    struct job_timeline timeline;
    *ready = TIMESTAMP_UNKNOWN;
    arena_clear(&loader->scratch);
    enum error_code code = store_get_span(loader->reads.transaction, key, &bytes, loader->error);
    bool is_there = code == ERROR_NONE;
    if (is_there)
        code = codec_decode_job(bytes, &loader->scratch, &job, loader->error);
    if (code == ERROR_NOT_FOUND || (is_there && code == ERROR_CORRUPT)) {
        store_note_unreadable(loader->reads.transaction);
        return ERROR_NONE;
    }
    if (code != ERROR_NONE)
        return code;
    timeline_of_job(&job, false, TIMESTAMP_UNKNOWN, &timeline);
    if (timeline.wait.exists)
        *ready = timeline.wait.start;
    return ERROR_NONE;
}

static enum error_code read_open_jobs(struct loader *loader, enum open_job_kind state)
{
    struct pool_job place = {.since = 0};
    for (;;) {
        struct found_job job = {.runner = 0};
        enum error_code code = short_reads_continue(&loader->reads);
        if (code == ERROR_NONE)
            code = pool_seek_job(loader->reads.transaction, &loader->listed->id, state, &place,
                                 loader->error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        job.job = job_history_tag(&place.key);
        job.times.ready = place.since;
        if (state == OPEN_JOB_RUNNING) {
            job.times.started = place.since;
            code = read_ready(loader, &place.key, &job.times.ready);
            // A job whose runner has taken another one holds none any more.
            if (code == ERROR_NONE)
                code = runners_find_reuse(loader->reads.transaction, &place.key, &job.times.ended,
                                          loader->error);
        }
        if (code == ERROR_NONE)
            code = add_job(loader, &job);
        if (code != ERROR_NONE)
            return code;
        pool_job_increment(&place);
    }
}

static enum error_code read_all_open_jobs(struct loader *loader)
{
    if (loader->listed == NULL)
        return ERROR_NONE;
    enum error_code code = read_open_jobs(loader, OPEN_JOB_QUEUED);
    return code == ERROR_NONE ? read_open_jobs(loader, OPEN_JOB_RUNNING) : code;
}

static enum error_code visit_history(struct loader *loader,
                                     enum error_code (*visit)(struct loader *loader,
                                                              const struct job_record *record))
{
    struct job_record records[JOB_HISTORY_TOGETHER];
    uint64_t number = 0;
    size_t count;
    do {
        enum error_code code = short_reads_continue(&loader->reads);
        if (code == ERROR_NONE)
            code = job_history_read(loader->reads.transaction, &number, records, &count,
                                    loader->error);
        for (size_t i = 0; code == ERROR_NONE && i < count; i++)
            code = visit(loader, &records[i]);
        if (code != ERROR_NONE)
            return code;
    } while (count > 0);
    return ERROR_NONE;
}

static enum error_code add_if_of_pool(struct loader *loader, const struct job_record *record)
{
    const struct found_job job = {.job = record->job,
                                  .times = {record->ready, record->started, record->ended},
                                  .runner = record->runner};
    struct whatif_answer *answer = loader->answer;
    if (answer->kept_since == TIMESTAMP_UNKNOWN)
        answer->kept_since = record->ended;
    if (record->pool != loader->pool)
        return ERROR_NONE;
    answer->is_known = true;
    return record->ended >= answer->question.window.from ? add_job(loader, &job) : ERROR_NONE;
}

static int compare_found_jobs(const void *a, const void *b)
{
    const struct found_job *left = a, *right = b;
    if (left->job != right->job)
        return left->job < right->job ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

// Keeps the last of each job.
static void drop_replaced_jobs(struct loader *loader)
{
    size_t kept = 0;
    if (loader->count > 1)
        qsort(loader->jobs, loader->count, sizeof *loader->jobs, compare_found_jobs);
    for (size_t i = 0; i < loader->count; i++) {
        if (i + 1 == loader->count || loader->jobs[i].job != loader->jobs[i + 1].job)
            loader->jobs[kept++] = loader->jobs[i];
    }
    loader->count = kept;
}

// The history may hold fewer jobs than completed in the window: those that ran before its first one are not known.
// While it still has its first, nothing is missing that this program knew.
static enum error_code begin_with_history(struct loader *loader)
{
    struct whatif_window *window = &loader->answer->question.window;
    bool is_whole;
    enum error_code code = short_reads_continue(&loader->reads);
    if (code == ERROR_NONE)
        code = job_history_is_whole(loader->reads.transaction, &is_whole, loader->error);
    timestamp_ns since = loader->answer->kept_since;
    if (code == ERROR_NONE && !is_whole && since > window->from && since < window->until)
        window->from = since;
    return code;
}

// --- runners that several pools use ---------------------------------------------------------------

static int compare_runners(const void *a, const void *b)
{
    const uint32_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

static enum error_code list_runners(struct loader *loader)
{
    size_t kept = 0;
    loader->runners = memory_allocate_array(loader->count, sizeof *loader->runners);
    if (loader->runners == NULL)
        return report_no_memory(loader);
    for (size_t i = 0; i < loader->count; i++) {
        if (loader->jobs[i].runner != 0)
            loader->runners[loader->runner_count++] = loader->jobs[i].runner;
    }
    if (loader->runner_count > 1)
        qsort(loader->runners, loader->runner_count, sizeof *loader->runners, compare_runners);
    for (size_t i = 0; i < loader->runner_count; i++) {
        if (kept == 0 || loader->runners[kept - 1] != loader->runners[i])
            loader->runners[kept++] = loader->runners[i];
    }
    loader->runner_count = kept;
    return ERROR_NONE;
}

// Empty if it is not listed. False if out of memory.
static bool find_name(struct loader *loader, uint64_t id, struct slice *name)
{
    *name = SLICE_EMPTY;
    for (size_t i = 0; i < loader->pool_count; i++) {
        if (job_history_pool(&loader->pools[i].id) == id)
            return keep_name(loader, &loader->pools[i], name);
    }
    return true;
}

// Beyond WHATIF_VIEW_SHARED further pools are left out: that runners are shared is known by then.
static enum error_code note_if_shared(struct loader *loader, const struct job_record *record)
{
    struct whatif_answer *answer = loader->answer;
    const struct whatif_window *window = &answer->question.window;
    size_t at = 0;
    if (record->pool == loader->pool || record->runner == 0 || record->ended < window->from ||
        record->started >= window->until ||
        bsearch(&record->runner, loader->runners, loader->runner_count, sizeof *loader->runners,
                compare_runners) == NULL)
        return ERROR_NONE;
    while (at < answer->shared_count && answer->shared[at].pool != record->pool)
        at++;
    if (at == WHATIF_VIEW_SHARED)
        return ERROR_NONE;
    if (at == answer->shared_count) {
        answer->shared[at] = (struct whatif_shared){.pool = record->pool};
        if (!find_name(loader, record->pool, &answer->shared[at].name))
            return report_no_memory(loader);
        answer->shared_count++;
    }
    answer->shared[at].jobs++;
    return ERROR_NONE;
}

static int compare_shared(const void *a, const void *b)
{
    const struct whatif_shared *left = a, *right = b;
    if (left->jobs != right->jobs)
        return left->jobs > right->jobs ? -1 : 1;
    return slice_compare(left->name, right->name);
}

static enum error_code find_shared(struct loader *loader)
{
    struct whatif_answer *answer = loader->answer;
    enum error_code code = list_runners(loader);
    if (code == ERROR_NONE && loader->runner_count > 0)
        code = visit_history(loader, note_if_shared);
    if (answer->shared_count > 1)
        qsort(answer->shared, answer->shared_count, sizeof answer->shared[0], compare_shared);
    return code;
}

// --- names near an unknown one --------------------------------------------------------------------

// The number of labels that both have; each counts as much as two letters that are equal.
static size_t count_common_labels(struct loader *loader, struct slice joined, struct slice other)
{
    struct slice *left, *right;
    size_t left_count, right_count, common = 0;
    if (!labels_split(joined, &loader->scratch, &left, &left_count) ||
        !labels_split(other, &loader->scratch, &right, &right_count))
        return 0;
    for (size_t i = 0; i < left_count; i++) {
        for (size_t j = 0; j < right_count; j++)
            common += slice_equals_ignoring_case(left[i], right[j]) ? 1 : 0;
    }
    return common;
}

// The less, the more similar; SIZE_MAX: not similar. `name`: in lower case.
static size_t measure_distance(struct loader *loader, struct slice name)
{
    struct slice asked = loader->answer->name;
    arena_clear(&loader->scratch);
    size_t distance = slice_edit_distance(asked, name);
    if (distance < asked.len / 3 + 2)
        return distance;
    if (slice_contains_ignoring_case(name, asked) || slice_contains_ignoring_case(asked, name))
        return asked.len + 1;
    size_t common = count_common_labels(loader, asked, name);
    return common > 0 ? asked.len + 2 + 1000 / common : SIZE_MAX;
}

static bool is_suggested(const struct whatif_answer *answer, struct slice name)
{
    for (size_t i = 0; i < answer->near_count; i++) {
        if (slice_equals_ignoring_case(answer->near[i], name))
            return true;
    }
    return false;
}

// Of the pools that are not suggested yet; without a similar one, of all of them that with most open jobs.
static const struct pool *find_nearest(struct loader *loader, bool wants_similar)
{
    const struct pool *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < loader->pool_count; i++) {
        char room[LABELS_TEXT_MAX], lower[LABELS_TEXT_MAX];
        const struct pool *pool = &loader->pools[i];
        struct slice name = pool_name(pool, room);
        uint64_t open = pool->counts[OPEN_JOB_QUEUED] + pool->counts[OPEN_JOB_RUNNING];
        size_t distance = wants_similar ? measure_distance(loader, labels_identity(name, lower))
                                        : SIZE_MAX - 1 - (size_t)open;
        if (distance < best && !pool_is_one_off(&pool->id) && !is_suggested(loader->answer, name)) {
            nearest = pool;
            best = distance;
        }
    }
    return nearest;
}

static enum error_code suggest_names(struct loader *loader)
{
    struct whatif_answer *answer = loader->answer;
    answer->is_similar = find_nearest(loader, true) != NULL;
    while (answer->near_count < WHATIF_VIEW_NEAR) {
        const struct pool *pool = find_nearest(loader, answer->is_similar);
        if (pool == NULL)
            return ERROR_NONE;
        if (!keep_name(loader, pool, &answer->near[answer->near_count]))
            return report_no_memory(loader);
        answer->near_count++;
    }
    return ERROR_NONE;
}

// --- loading --------------------------------------------------------------------------------------

static enum error_code replay_jobs(struct loader *loader)
{
    struct whatif_answer *answer = loader->answer;
    const struct whatif_question *question = &answer->question;
    struct whatif_job *times = (struct whatif_job *)(void *)loader->jobs;
    struct whatif *whatif;
    // In the same memory: each is shorter than what it is made from.
    for (size_t i = 0; i < loader->count; i++) {
        struct whatif_job one = loader->jobs[i].times;
        times[i] = one;
    }
    enum error_code code =
        whatif_create(times, loader->count, &question->window, &whatif, loader->error);
    if (code != ERROR_NONE)
        return code;
    answer->jobs = whatif_count(whatif);
    whatif_recorded(whatif, &answer->recorded);
    if (question->has_runners)
        whatif_replay(whatif, question->runners, &answer->replayed);
    answer->fewest = whatif_fewest(whatif, question->target);
    whatif_check(whatif, &answer->fit);
    whatif_destroy(whatif);
    return ERROR_NONE;
}

static enum error_code load_answer(struct loader *loader)
{
    enum error_code code = find_pool(loader);
    if (code == ERROR_NONE)
        code = read_all_open_jobs(loader);
    if (code == ERROR_NONE)
        code = visit_history(loader, add_if_of_pool);
    if (code == ERROR_NONE)
        code = begin_with_history(loader);
    if (code != ERROR_NONE)
        return code;
    drop_replaced_jobs(loader);
    code = find_shared(loader);
    short_reads_end(&loader->reads);
    if (code == ERROR_NONE && !loader->answer->is_known)
        code = suggest_names(loader);
    return code == ERROR_NONE ? replay_jobs(loader) : code;
}

enum error_code whatif_view_load(struct store *store, const struct whatif_question *question,
                                 struct arena *arena, struct whatif_answer *answer,
                                 struct error *error)
{
    struct loader loader = {.reads = {.store = store,
                                      .held_max = WHATIF_VIEW_HELD,
                                      .is_cancelled = question->is_cancelled,
                                      .error = error},
                            .arena = arena,
                            .answer = answer,
                            .error = error};
    *answer = (struct whatif_answer){.question = *question};
    arena_init(&loader.scratch, ARENA_BLOCK_BYTES);
    enum error_code code = load_answer(&loader);
    short_reads_end(&loader.reads);
    answer->unreadable = loader.reads.unreadable;
    arena_release(&loader.scratch);
    memory_free(loader.jobs);
    memory_free(loader.runners);
    return code;
}

// --- JSON -----------------------------------------------------------------------------------------

static void write_waits(const char *name, const struct whatif_waits *waits, uint64_t runners,
                        struct json_out *json)
{
    json_out_open_object(json, name);
    json_out_count(json, "runners", runners);
    json_out_seconds(json, "p50_seconds", waits->p50);
    json_out_seconds(json, "p90_seconds", waits->p90);
    json_out_seconds(json, "p99_seconds", waits->p99);
    json_out_count(json, "waiting", waits->waiting);
    json_out_close_object(json);
}

static void write_shared(const struct whatif_answer *answer, struct json_out *json)
{
    json_out_open_array(json, "shares_runners_with");
    for (size_t i = 0; i < answer->shared_count; i++) {
        json_out_open_object(json, NULL);
        json_out_text(json, "pool", answer->shared[i].name);
        json_out_count(json, "jobs", answer->shared[i].jobs);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static void write_fit(const struct whatif_answer *answer, struct json_out *json)
{
    const struct whatif_fit *fit = &answer->fit;
    json_out_open_object(json, "model");
    json_out_bool(json, "explains", fit->is_explained);
    json_out_count(json, "error_percent", fit->error_percent);
    write_waits("replayed", &fit->replayed, fit->observed, json);
    json_out_bool(json, "few_jobs", fit->has_few_jobs);
    json_out_seconds(json, "floor_seconds", fit->floor);
    json_out_count(json, "idle_percent", fit->idle_percent);
    write_shared(answer, json);
    json_out_close_object(json);
}

static void write_ceiling(const struct ceiling_rule *ceiling, struct json_out *json)
{
    json_out_text(json, "ceiling", ceiling != NULL ? ceiling->name : SLICE_EMPTY);
    if (ceiling != NULL)
        json_out_count(json, "ceiling_limit", ceiling->limit);
    else
        json_out_null(json, "ceiling_limit");
}

void whatif_view_write_json(const struct whatif_answer *answer, struct json_out *json)
{
    const struct whatif_question *question = &answer->question;
    json_out_open_object(json, NULL);
    json_out_text(json, "pool", answer->name);
    json_out_time(json, "from", question->window.from);
    json_out_time(json, "until", question->window.until);
    json_out_time(json, "kept_since", answer->kept_since);
    json_out_count(json, "jobs", answer->jobs);
    write_ceiling(answer->ceiling, json);
    if (answer->jobs == 0) {
        json_out_close_object(json);
        return;
    }
    write_waits("was", &answer->recorded, answer->fit.observed, json);
    if (question->has_runners)
        write_waits("would_be", &answer->replayed, question->runners, json);
    json_out_seconds(json, "target_seconds", question->target);
    json_out_count(json, "fewest_runners", answer->fewest);
    write_fit(answer, json);
    json_out_close_object(json);
}
