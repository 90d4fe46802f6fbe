// What the engine did since it was started.
#include "ghatrace/base/log.h"
#include "private.h"

const duration_ns engine_commit_bounds[ENGINE_COMMIT_BOUNDS] = {
    NS_PER_MS / 2,  NS_PER_MS,        2 * NS_PER_MS,     5 * NS_PER_MS,      10 * NS_PER_MS,
    25 * NS_PER_MS, 50 * NS_PER_MS,   100 * NS_PER_MS,   250 * NS_PER_MS,    500 * NS_PER_MS,
    NS_PER_SECOND,  2500 * NS_PER_MS, 5 * NS_PER_SECOND, 10 * NS_PER_SECOND,
};
const uint64_t engine_batch_bounds[ENGINE_BATCH_BOUNDS] = {1,  2,   5,   10,  20,
                                                           50, 100, 200, 500, 1000};

static void add_time(struct live_counters *counters, duration_ns taken)
{
    size_t bucket = 0;
    while (bucket < ENGINE_COMMIT_BOUNDS && taken > engine_commit_bounds[bucket])
        bucket++;
    atomic_fetch_add(&counters->commit_buckets[bucket], 1);
    atomic_fetch_add(&counters->commit_ns, taken > 0 ? (uint64_t)taken : 0);
}

static void add_batch(struct live_counters *counters, uint64_t tasks)
{
    size_t bucket = 0;
    if (tasks == 0)
        return;
    while (bucket < ENGINE_BATCH_BOUNDS && tasks > engine_batch_bounds[bucket])
        bucket++;
    atomic_fetch_add(&counters->batch_buckets[bucket], 1);
    atomic_fetch_add(&counters->batch_tasks, tasks);
}

void counters_add_commit(struct engine *engine, size_t tasks, duration_ns taken)
{
    const struct engine_work *work = &engine->work;
    struct live_counters *counters = &engine->counters;
    atomic_fetch_add(&counters->events, work->new_events);
    atomic_fetch_add(&counters->duplicates, work->new_duplicates);
    atomic_fetch_add(&counters->late, work->new_late);
    atomic_fetch_add(&counters->records, work->new_records);
    atomic_fetch_add(&counters->shed, work->new_shed);
    atomic_fetch_add(&counters->commits, 1);
    for (size_t i = 0; i < STORE_SHED_REASONS; i++)
        atomic_fetch_add(&counters->dead_letters_dropped[i], work->new_dropped[i]);
    for (size_t i = 0; i < JOB_ACTIONS; i++)
        atomic_fetch_add(&counters->job_events[i], work->new_job_events[i]);
    for (size_t i = 0; i < RUN_ACTIONS; i++)
        atomic_fetch_add(&counters->run_events[i], work->new_run_events[i]);
    if (work->newest_event > atomic_load(&counters->last_event_at))
        atomic_store(&counters->last_event_at, work->newest_event);
    add_time(counters, taken);
    add_batch(counters, tasks);
}

void engine_note_overflow(struct engine *engine)
{
    struct tally_overflow overflow;
    tally_read_overflow(engine->work.tally, &overflow);
    if (overflow.sets == 0)
        return;
    pthread_mutex_lock(&engine->mutex);
    engine->overflow.sets += overflow.sets;
    engine->overflow.last_at = engine->work.now;
    engine->overflow.kind = overflow.kind;
    memcpy(engine->overflow.example, overflow.example, sizeof overflow.example);
    uint64_t sets = engine->overflow.sets;
    pthread_mutex_unlock(&engine->mutex);
    if (engine_may_log(&engine->overflow_logged))
        log_warn("metrics: more sets of labels are in use than metrics-max-series; the one unused "
                 "for longest is counted as \"other\": raise it, or keep what differs in each run "
                 "out of runner labels and of names of workflows and steps",
                 LOG_STRING("kind", overflow.kind), LOG_STRING("example", overflow.example),
                 LOG_INT("since_start", sets));
}

void engine_read_overflow(struct engine *engine, struct engine_overflow *overflow)
{
    pthread_mutex_lock(&engine->mutex);
    *overflow = engine->overflow;
    pthread_mutex_unlock(&engine->mutex);
}

duration_ns engine_queue_age(const struct engine *engine, timestamp_ns steady)
{
    duration_ns age = engine->first != NULL ? steady - engine->first->submitted_at : 0;
    return age > 0 ? age : 0;
}

duration_ns engine_batch_age(const struct engine *engine, timestamp_ns steady)
{
    timestamp_ns since = atomic_load(&engine->busy_since);
    return since != 0 && steady > since ? steady - since : 0;
}

static void read_ages(struct engine *engine, struct engine_counters *counters)
{
    timestamp_ns steady = timestamp_monotonic();
    counters->batch_age = engine_batch_age(engine, steady);
    pthread_mutex_lock(&engine->mutex);
    counters->queue_age = engine_queue_age(engine, steady);
    pthread_mutex_unlock(&engine->mutex);
}

void engine_read_counters(struct engine *engine, struct engine_counters *counters)
{
    struct live_counters *live = &engine->counters;
    *counters = (struct engine_counters){
        .events = atomic_load(&live->events),
        .duplicates = atomic_load(&live->duplicates),
        .late = atomic_load(&live->late),
        .commits = atomic_load(&live->commits),
        .records = atomic_load(&live->records),
        .shed = atomic_load(&live->shed),
        .failures = atomic_load(&live->failures),
        .set_aside = atomic_load(&live->set_aside),
        .last_event_at = atomic_load(&live->last_event_at),
        .commit_ns = atomic_load(&live->commit_ns),
        .batch_tasks = atomic_load(&live->batch_tasks),
    };
    read_ages(engine, counters);
    for (size_t i = 0; i < STORE_SHED_REASONS; i++)
        counters->dead_letters_dropped[i] = atomic_load(&live->dead_letters_dropped[i]);
    for (size_t i = 0; i < JOB_ACTIONS; i++)
        counters->job_events[i] = atomic_load(&live->job_events[i]);
    for (size_t i = 0; i < RUN_ACTIONS; i++)
        counters->run_events[i] = atomic_load(&live->run_events[i]);
    for (size_t i = 0; i <= ENGINE_COMMIT_BOUNDS; i++)
        counters->commit_buckets[i] = atomic_load(&live->commit_buckets[i]);
    for (size_t i = 0; i <= ENGINE_BATCH_BOUNDS; i++)
        counters->batch_buckets[i] = atomic_load(&live->batch_buckets[i]);
}
