// What is open, read from the store's states.
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/standing.h"
#include "ghatrace/view/runs.h"
#include "ghatrace/view/text.h"
#include "ghatrace/view/workflow.h"

// States looked at in one read transaction: a reader pins pages, and most states are notes.
#define SLICE_STATES 10000
#define FIRST_CAPACITY 64
#define STATE_ARENA_BLOCK_BYTES ((size_t)64 * 1024)

// What an entry's time may have to be told from.
struct origin {
    struct trace_id trace;   // of the key: several servers may have runs of one number
    timestamp_ns created_at; // of a job
    bool is_told_by_jobs;    // a run of which no event of its own came
};

struct entry_list {
    struct arena *arena;
    struct runs_entry *items;
    struct origin *origins; // of each
    size_t count;
    size_t capacity;
    struct arena state_arena; // of the one that is looked at
    uint64_t unreadable;
};

static struct runs_entry *add_entry(struct entry_list *list)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : FIRST_CAPACITY;
        struct runs_entry *items = arena_allocate_array(list->arena, capacity, sizeof *items);
        struct origin *origins = arena_allocate_array(list->arena, capacity, sizeof *origins);
        if (items == NULL || origins == NULL)
            return NULL;
        if (list->count > 0) {
            memcpy(items, list->items, list->count * sizeof *items);
            memcpy(origins, list->origins, list->count * sizeof *origins);
        }
        list->items = items;
        list->origins = origins;
        list->capacity = capacity;
    }
    return &list->items[list->count++];
}

static void describe_job(const struct job_state *job, struct runs_entry *entry,
                         struct origin *origin)
{
    static const enum runs_state states[STANDING_STATES] = {
        [STANDING_WAITING] = RUNS_JOB_WAITING,
        [STANDING_QUEUED] = RUNS_JOB_QUEUED,
        [STANDING_RUNNING] = RUNS_JOB_RUNNING,
    };
    struct job_standing standing;
    *entry = (struct runs_entry){
        .run_id = job->run_id,
        .run_attempt = job->run_attempt,
        .job_id = job->job_id,
        .repository = job->repository.full_name,
        .workflow = job->body.workflow_name,
        .job_name = job->body.name,
        .labels = job->body.labels,
        .label_count = job->body.label_count,
    };
    standing_of_any_job(job, &standing);
    entry->state = states[standing.state];
    entry->since = standing.since;
    *origin = (struct origin){.created_at = timestamp_first_known(job->created_at, job->queued_at)};
}

static void describe_run(const struct run_state *run, struct runs_entry *entry,
                         struct origin *origin)
{
    bool has_own_events = run->seen != 0;
    *entry = (struct runs_entry){
        .run_id = run->run_id,
        .run_attempt = run->run_attempt,
        .state = RUNS_RUN_OPEN,
        .since = standing_of_run(run),
        .repository = has_own_events ? run->repository.full_name : run->job_repository.full_name,
        .workflow = has_own_events ? run->body.workflow_name : run->job_workflow_name,
    };
    *origin = (struct origin){.is_told_by_jobs = !has_own_events};
}

// Texts leave with the transaction.
static bool keep_texts(struct arena *arena, struct slice server, struct runs_entry *entry)
{
    struct slice *labels = arena_allocate_array(arena, entry->label_count + 1, sizeof *labels);
    bool is_kept = labels != NULL &&
                   text_repository(arena, server, entry->repository, &entry->repository) &&
                   arena_copy_slice(arena, entry->workflow, &entry->workflow) &&
                   arena_copy_slice(arena, entry->job_name, &entry->job_name);
    for (size_t i = 0; is_kept && i < entry->label_count; i++)
        is_kept = arena_copy_slice(arena, entry->labels[i], &labels[i]);
    entry->labels = labels;
    return is_kept;
}

// Adds an entry if the state is open. What cannot be read is left out, and counted.
static enum error_code add_if_open(struct entry_list *list, struct store_transaction *transaction,
                                   const struct store_key *key, struct slice bytes,
                                   struct error *error)
{
    struct job_state job = {0};
    struct run_state run = {0};
    enum codec_kind kind;
    enum error_code code = ERROR_NONE;
    arena_clear(&list->state_arena);
    if (!codec_kind_of(bytes, &kind))
        code = ERROR_CORRUPT;
    else if (kind == CODEC_JOB)
        code = codec_decode_job(bytes, &list->state_arena, &job, error);
    else
        code = codec_decode_run(bytes, &list->state_arena, &run, error);
    if (code == ERROR_CORRUPT) {
        list->unreadable++;
        return ERROR_NONE;
    }
    bool is_job_open = job.phase == JOB_OPEN || job.phase == JOB_SETTLING;
    if (code == ERROR_NONE && is_job_open)
        code = workflow_name_job(transaction, key, &list->state_arena, &job, error);
    if (code != ERROR_NONE || (!is_job_open && run.phase != RUN_OPEN))
        return code;
    struct runs_entry *entry = add_entry(list);
    if (entry == NULL)
        return error_set(error, ERROR_MEMORY, "list what is open: out of memory");
    struct origin *origin = &list->origins[list->count - 1];
    if (kind == CODEC_JOB)
        describe_job(&job, entry, origin);
    else
        describe_run(&run, entry, origin);
    origin->trace = key->trace;
    if (!keep_texts(list->arena, kind == CODEC_JOB ? job.server : run.server, entry))
        return error_set(error, ERROR_MEMORY, "list what is open: out of memory");
    return ERROR_NONE;
}

static enum error_code load_slice(struct store *store, struct store_key *key,
                                  struct entry_list *list, bool *is_end, struct error *error)
{
    struct store_transaction *transaction;
    enum error_code code = store_begin(store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    for (int i = 0; i < SLICE_STATES && code == ERROR_NONE; i++) {
        struct slice found;
        code = store_seek_span(transaction, key, &found, error);
        if (code == ERROR_NONE)
            code = add_if_open(list, transaction, key, found, error);
        store_key_increment(key);
    }
    list->unreadable += store_unreadable(transaction);
    store_abort(transaction);
    *is_end = code == ERROR_NOT_FOUND;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// A run that only its jobs speak of is as old as the first of them. The states of a run stand side by side.
static void date_runs(const struct entry_list *list)
{
    struct runs_entry *entries = list->items;
    size_t end;
    for (size_t start = 0; start < list->count; start = end) {
        timestamp_ns first = TIMESTAMP_UNKNOWN;
        const struct trace_id *trace = &list->origins[start].trace;
        for (end = start; end < list->count && trace_id_equals(trace, &list->origins[end].trace);
             end++)
            first = timestamp_earliest_known(first, list->origins[end].created_at);
        for (size_t i = start; i < end; i++)
            if (list->origins[i].is_told_by_jobs)
                entries[i].since = timestamp_earliest_known(entries[i].since, first);
    }
}

enum error_code runs_load(struct store *store, struct arena *arena, struct runs_entry **entries,
                          size_t *count, uint64_t *unreadable, struct error *error)
{
    struct entry_list list = {.arena = arena};
    struct store_key key = {0};
    bool is_end = false;
    enum error_code code = ERROR_NONE;
    arena_init(&list.state_arena, STATE_ARENA_BLOCK_BYTES);
    while (!is_end && code == ERROR_NONE)
        code = load_slice(store, &key, &list, &is_end, error);
    arena_release(&list.state_arena);
    date_runs(&list);
    *entries = list.items;
    *count = list.count;
    *unreadable = list.unreadable;
    return code;
}
