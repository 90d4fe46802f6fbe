// Reads pools, the queue and the daemon's state from answers of the API.
#include "ghatrace/term/answers.h"

#include <string.h>

#include "answer_values.h"
#include "ghatrace/trace/labels.h"
#include "past.h"

#define FIRST(values, array) json_first_element((values)->document, array)
#define NEXT(values, item) json_next_element((values)->document, item)

// --- pools ----------------------------------------------------------------------------------------

// Older versions do not send it.
static void read_filler(struct values *values, json_value from, struct pools_view_pool *pool)
{
    json_value filler = json_get(values->document, from, SLICE("filled_by"));
    if (filler == JSON_NONE || json_type_of(values->document, filler) != JSON_OBJECT)
        return;
    bool is_new = json_get(values->document, filler, SLICE("of_running")) != JSON_NONE;
    pool->filler =
        (struct pools_view_filler){.repository = values_text(values, filler, "repository"),
                                   .queued = values_count(values, filler, "queued", NULL),
                                   .of = values_count(values, filler, "of", NULL),
                                   .has_more = !is_new || values_bool(values, filler, "more")};
    if (!is_new)
        return;
    pool->filler.server = values_server(values, filler);
    pool->filler.running = values_count(values, filler, "running", NULL);
    pool->filler.of_running = values_count(values, filler, "of_running", NULL);
    pool->filler.workflow = values_text(values, filler, "workflow");
    pool->filler.workflow_queued = values_count(values, filler, "workflow_queued", NULL);
}

static void read_pool_values(struct values *values, json_value from, struct pools_view_pool *pool)
{
    bool is_known;
    struct pool_recent *recent = &pool->recent;
    *pool = (struct pools_view_pool){.ceiling_number = POOLS_VIEW_NO_CEILING};
    pool->name = values_text(values, from, "pool");
    pool->pool.counts[OPEN_JOB_WAITING] = values_count(values, from, "waiting", NULL);
    pool->pool.counts[OPEN_JOB_QUEUED] = values_count(values, from, "queued", NULL);
    pool->running = values_count(values, from, "running", NULL);
    pool->ended_unknown = values_count(values, from, "ended_unknown", NULL);
    pool->pool.counts[OPEN_JOB_RUNNING] = pool->running + pool->ended_unknown;
    pool->waits.oldest = values_time(values, from, "oldest_queued_since");
    recent->busy_max_day = values_count(values, from, "busy_max_day", &is_known);
    recent->busy_max_week = values_count(values, from, "busy_max_week", &recent->is_known);
    recent->last_start = values_time(values, from, "last_start_at");
    pool->state =
        (enum pool_state)values_choice(values, from, "state", pool_state_names, POOL_STATES);
    pool->since = values_time(values, from, "since");
    pool->ceiling = values_text(values, from, "ceiling");
    read_filler(values, from, pool);
}

static void read_shares(struct values *values, json_value from, struct pools_view_shares *shares)
{
    json_value array = values_array(values, from, "by_repository");
    for (json_value item = FIRST(values, array);
         item != JSON_NONE && shares->count < POOLS_VIEW_REPOSITORIES; item = NEXT(values, item))
        shares->items[shares->count++] =
            (struct pools_view_share){.server = SLICE_EMPTY,
                                      .repository = values_text(values, item, "repository"),
                                      .running = values_count(values, item, "running", NULL)};
}

// Likewise.
static void read_common(struct values *values, json_value from, struct pools_view_common *common)
{
    json_value filler = json_get(values->document, from, SLICE("filled_by"));
    if (filler == JSON_NONE || json_type_of(values->document, filler) != JSON_OBJECT)
        return;
    *common = (struct pools_view_common){.workflow = values_text(values, filler, "workflow"),
                                         .queued = values_count(values, filler, "queued", NULL),
                                         .of = values_count(values, filler, "of", NULL),
                                         .repositories =
                                             values_count(values, filler, "repositories", NULL),
                                         .has_more = values_bool(values, filler, "more")};
}

static void read_ceiling_values(struct values *values, json_value from,
                                struct pools_view_ceiling *ceiling)
{
    ceiling->name = values_text(values, from, "ceiling");
    ceiling->limit = values_count(values, from, "limit", NULL);
    ceiling->running = values_count(values, from, "running", NULL);
    ceiling->queued = values_count(values, from, "queued", NULL);
    ceiling->since = values_time(values, from, "since");
    ceiling->is_inferred = values_bool(values, from, "inferred");
    read_common(values, from, &ceiling->common);
    ceiling->pools = values_texts(values, from, "pools", &ceiling->pool_count);
}

static void read_ceiling_list(struct values *values, struct pools_answer *pools)
{
    json_value array = values_array(values, JSON_ROOT, "ceilings");
    struct pools_view *view = &pools->view;
    view->ceilings = values_room(values, array, sizeof *view->ceilings);
    pools->shares = values_room(values, array, sizeof *pools->shares);
    if (view->ceilings == NULL || pools->shares == NULL)
        return;
    for (json_value item = FIRST(values, array); item != JSON_NONE; item = NEXT(values, item)) {
        read_ceiling_values(values, item, &view->ceilings[view->ceiling_count]);
        read_shares(values, item, &pools->shares[view->ceiling_count++]);
    }
}

enum error_code answer_read_pools(const struct answer *answer, struct pools_answer *pools)
{
    struct values values;
    values_init(&values, answer);
    *pools = (struct pools_answer){.now = values_time(&values, JSON_ROOT, "now")};
    json_value array = values_array(&values, JSON_ROOT, "pools");
    pools->view.pools = values_room(&values, array, sizeof *pools->view.pools);
    for (json_value item = FIRST(&values, array); item != JSON_NONE && pools->view.pools != NULL;
         item = NEXT(&values, item))
        read_pool_values(&values, item, &pools->view.pools[pools->view.count++]);
    read_ceiling_list(&values, pools);
    json_value summary = values_object(&values, JSON_ROOT, "summary");
    pools->summary.scope =
        (enum pools_scope)values_choice(&values, summary, "kind", pools_scope_names, POOLS_SCOPES);
    pools->summary.text = values_text(&values, summary, "text");
    if (json_get(values.document, summary, SLICE("action_text")) !=
        JSON_NONE) // not of older versions
        pools->summary.action_text = values_text(&values, summary, "action_text");
    pools->past = past_read_answer(&values);
    pools->unreadable = values_count(&values, JSON_ROOT, "unreadable", NULL);
    return values_finish(&values, "/api/pools", answer);
}

// --- the queue ------------------------------------------------------------------------------------

static const char *const open_states[OPEN_JOB_STATES] = {
    [OPEN_JOB_WAITING] = "waiting", [OPEN_JOB_QUEUED] = "queued", [OPEN_JOB_RUNNING] = "running"};

static enum open_job_kind read_open_state(struct values *values, json_value job)
{
    return (enum open_job_kind)values_choice(values, job, "state", open_states, OPEN_JOB_STATES);
}

// With the server's name, but that of github.com.
static struct slice read_shown_repository(struct values *values, json_value job)
{
    struct slice shown = SLICE_EMPTY;
    if (!text_repository(values->arena, values_server(values, job),
                         values_text(values, job, "repository"), &shown))
        values->is_out_of_memory = true;
    return shown;
}

static void read_top_job(struct values *values, json_value from, struct top_job *job)
{
    size_t count;
    *job =
        (struct top_job){.state = read_open_state(values, from),
                         .is_ended_unknown = values_bool(values, from, "ended_unknown"),
                         .since = values_time(values, from, "since"),
                         .repository = read_shown_repository(values, from),
                         .name = values_text(values, from, "name"),
                         .workflow = values_text(values, from, "workflow"),
                         .runner = values_text(values, from, "runner_name"),
                         .run_id = values_id(values, from, "run_id"),
                         .run_attempt = (int64_t)values_count(values, from, "run_attempt", NULL)};
    const struct slice *labels = values_texts(values, from, "runner_labels", &count);
    if (labels != NULL && !labels_join(labels, count, values->arena, &job->labels))
        values->is_out_of_memory = true;
}

static void read_queue_totals(struct values *values, struct top *top)
{
    json_value totals = values_object(values, JSON_ROOT, "totals");
    for (size_t state = 1; state < OPEN_JOB_STATES; state++)
        top->totals[state] = values_count(values, totals, open_states[state], NULL);
    top->open_runs = values_count(values, totals, "open_runs", NULL);
    top->ended_unknown = 0;
    json_value pools = values_array(values, JSON_ROOT, "pools");
    for (json_value item = FIRST(values, pools); item != JSON_NONE; item = NEXT(values, item))
        top->ended_unknown += values_count(values, item, "ended_unknown", NULL);
}

enum error_code answer_read_queue(const struct answer *answer, struct top *top)
{
    struct values values;
    values_init(&values, answer);
    top->now = values_time(&values, JSON_ROOT, "now");
    read_queue_totals(&values, top);
    json_value jobs = values_array(&values, JSON_ROOT, "jobs");
    top->jobs = values_room(&values, jobs, sizeof *top->jobs);
    top->job_count = 0;
    for (json_value item = FIRST(&values, jobs); item != JSON_NONE && top->jobs != NULL;
         item = NEXT(&values, item))
        read_top_job(&values, item, &top->jobs[top->job_count++]);
    top->unreadable = values_count(&values, JSON_ROOT, "unreadable", NULL);
    return values_finish(&values, "/api/queue", answer);
}

static void read_job_entry(struct values *values, json_value from, struct runs_entry *entry)
{
    static const enum runs_state states[OPEN_JOB_STATES] = {[OPEN_JOB_WAITING] = RUNS_JOB_WAITING,
                                                            [OPEN_JOB_QUEUED] = RUNS_JOB_QUEUED,
                                                            [OPEN_JOB_RUNNING] = RUNS_JOB_RUNNING};
    *entry =
        (struct runs_entry){.run_id = values_id(values, from, "run_id"),
                            .run_attempt = (int64_t)values_count(values, from, "run_attempt", NULL),
                            .job_id = values_id(values, from, "job_id"),
                            .state = states[read_open_state(values, from)],
                            .since = values_time(values, from, "since"),
                            .repository = read_shown_repository(values, from),
                            .workflow = values_text(values, from, "workflow"),
                            .job_name = values_text(values, from, "name")};
    entry->labels = values_texts(values, from, "runner_labels", &entry->label_count);
}

enum error_code answer_read_open_jobs(const struct answer *answer, struct runs_list *list,
                                      bool *has_more)
{
    struct values values;
    values_init(&values, answer);
    json_value jobs = values_array(&values, JSON_ROOT, "jobs");
    *list = (struct runs_list){.entries = values_room(&values, jobs, sizeof *list->entries)};
    for (json_value item = FIRST(&values, jobs); item != JSON_NONE && list->entries != NULL;
         item = NEXT(&values, item))
        read_job_entry(&values, item, &list->entries[list->count++]);
    *has_more = values_bool(&values, JSON_ROOT, "more");
    list->unreadable = values_count(&values, JSON_ROOT, "unreadable", NULL);
    return values_finish(&values, "/api/queue", answer);
}

// --- one pool -------------------------------------------------------------------------------------

static void read_open_waits(struct values *values, timestamp_ns now, struct pool_open_waits *waits)
{
    static const char *const names[POOL_WAIT_PERCENTS] = {"p50", "p90", "p99"};
    json_value from = values_object(values, JSON_ROOT, "open_wait_seconds");
    for (size_t i = 0; i < POOL_WAIT_PERCENTS; i++) {
        bool is_known;
        duration_ns wait = values_seconds(values, from, names[i], &is_known);
        waits->since[i] = is_known ? now - wait : TIMESTAMP_UNKNOWN;
    }
}

static struct pool_user *read_pool_users(struct values *values, bool by_workflow, size_t *count)
{
    json_value array =
        values_array(values, JSON_ROOT, by_workflow ? "by_workflow" : "by_repository");
    struct pool_user *users = values_room(values, array, sizeof *users);
    *count = 0;
    for (json_value item = FIRST(values, array); item != JSON_NONE && users != NULL;
         item = NEXT(values, item)) {
        struct pool_user *user = &users[(*count)++];
        *user = (struct pool_user){.server = values_server(values, item),
                                   .repository = values_text(values, item, "repository"),
                                   .queued = values_count(values, item, "queued", NULL),
                                   .running = values_count(values, item, "running", NULL)};
        if (by_workflow)
            user->workflow = values_text(values, item, "workflow");
    }
    return users;
}

enum error_code answer_read_pool(const struct answer *answer, struct pool_answer *pool)
{
    struct values values;
    struct pools_answer all = {.now = TIMESTAMP_UNKNOWN};
    struct one_pool *shown = &pool->shown;
    values_init(&values, answer);
    *pool = (struct pool_answer){.now = values_time(&values, JSON_ROOT, "now")};
    read_pool_values(&values, JSON_ROOT, &shown->pool);
    read_open_waits(&values, pool->now, &shown->pool.waits);
    read_ceiling_list(&values, &all);
    shown->ceilings = all.view;
    shown->shares = all.shares;
    json_value counted = values_object(&values, JSON_ROOT, "counted");
    shown->users.queued = values_count(&values, counted, "queued", NULL);
    shown->users.running = values_count(&values, counted, "running", NULL);
    shown->users.repositories = read_pool_users(&values, false, &shown->users.repository_count);
    shown->users.workflows = read_pool_users(&values, true, &shown->users.workflow_count);
    pool->unreadable = values_count(&values, JSON_ROOT, "unreadable", NULL);
    return values_finish(&values, "/api/pools/NAME", answer);
}

enum error_code answer_read_pool_jobs(const struct answer *answer, struct pool_answer *pool)
{
    struct values values;
    struct one_pool *shown = &pool->shown;
    values_init(&values, answer);
    json_value jobs = values_array(&values, JSON_ROOT, "jobs");
    shown->jobs = values_room(&values, jobs, sizeof *shown->jobs);
    shown->job_count = 0;
    for (json_value item = FIRST(&values, jobs); item != JSON_NONE && shown->jobs != NULL;
         item = NEXT(&values, item))
        read_top_job(&values, item, &shown->jobs[shown->job_count++]);
    shown->total = values_count(&values, JSON_ROOT, "total", NULL);
    pool->unreadable += values_count(&values, JSON_ROOT, "unreadable", NULL);
    return values_finish(&values, "/api/pools/NAME/jobs", answer);
}

// --- the daemon's state ---------------------------------------------------------------------------

enum error_code answer_read_status(const struct answer *answer, struct top *top)
{
    struct values values;
    values_init(&values, answer);
    json_value outbox = values_object(&values, JSON_ROOT, "outbox");
    top->outbox_records = values_count(&values, outbox, "records", NULL);
    top->outbox_oldest = values_time(&values, outbox, "oldest_since");
    top->outbox_records += values_count(&values, outbox, "forwarded_records", NULL);
    top->dead_letters = values_count(&values, JSON_ROOT, "dead_letters", NULL);
    top->last_delivery = values_time(&values, JSON_ROOT, "last_delivery_at");
    return values_finish(&values, "/api/status", answer);
}
