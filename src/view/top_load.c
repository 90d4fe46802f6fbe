// What is open, copied out of the store for a screen.
#include "ghatrace/trace/labels.h"
#include "ghatrace/view/queue_view.h"
#include "ghatrace/view/text.h"
#include "ghatrace/view/top.h"

struct loader {
    struct arena *arena;
    struct top *top;
    struct error *error;
};

static bool copy(struct loader *loader, struct slice text, struct slice *out)
{
    return arena_copy_slice(loader->arena, text, out);
}

static enum error_code out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "read the queue: out of memory");
}

static enum error_code add_job(void *context, const struct job_state *state,
                               const struct job_standing *standing)
{
    struct loader *loader = context;
    struct top_job *job = &loader->top->jobs[loader->top->job_count++];
    struct slice labels;
    *job = (struct top_job){.state = standing->state, .since = standing->since};
    if (!text_repository(loader->arena, state->server, state->repository.full_name,
                         &job->repository) ||
        !copy(loader, state->body.name, &job->name) ||
        !copy(loader, state->body.workflow_name, &job->workflow) ||
        !copy(loader, state->runner_name, &job->runner) ||
        !labels_join(state->body.labels, state->body.label_count, loader->arena, &labels) ||
        !copy(loader, labels, &job->labels))
        return out_of_memory(loader->error);
    return ERROR_NONE;
}

static enum error_code add_pools(struct loader *loader, const struct queue_view *view)
{
    struct top *top = loader->top;
    top->pools = arena_allocate_array(loader->arena, view->count + 1, sizeof *top->pools);
    if (top->pools == NULL)
        return out_of_memory(loader->error);
    for (size_t i = 0; i < view->count; i++) {
        const struct queue_view_pool *from = &view->pools[i];
        struct top_pool *to = &top->pools[top->pool_count++];
        *to = (struct top_pool){.labels = from->pool.labels, // pool_list() has copied them
                                .group = from->pool.group,
                                .oldest_queued = from->oldest[STANDING_QUEUED]};
        memcpy(to->counts, from->pool.counts, sizeof to->counts);
    }
    return ERROR_NONE;
}

static enum error_code load_export(struct store_transaction *transaction, struct top *top,
                                   struct error *error)
{
    struct store_usage usage;
    struct store_record record;
    uint64_t sequence = 0;
    uint32_t size;
    store_read_usage(transaction, &usage);
    top->outbox_records = usage.outbox_records;
    top->dead_letters = usage.dead_letters;
    enum error_code code = store_seek_outbox(transaction, &sequence, &size, error);
    if (code == ERROR_NONE)
        code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NONE)
        top->outbox_oldest = record.finished_at;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code top_load(struct store *store, size_t limit, timestamp_ns now, struct arena *arena,
                         struct top *top, struct error *error)
{
    const struct queue_view_filter filter = {.limit = limit};
    struct loader loader = {.arena = arena, .top = top, .error = error};
    struct store_transaction *transaction;
    struct queue_view view;
    bool has_more;
    *top = (struct top){.now = now};
    top->jobs = arena_allocate_array(arena, limit + 1, sizeof *top->jobs);
    if (top->jobs == NULL)
        return out_of_memory(error);
    enum error_code code = store_begin(store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = queue_view_load(transaction, arena, &view, error);
    if (code == ERROR_NONE) {
        memcpy(top->totals, view.totals, sizeof top->totals);
        top->open_runs = view.open_runs;
        code = add_pools(&loader, &view);
    }
    if (code == ERROR_NONE)
        code = load_export(transaction, top, error);
    if (code == ERROR_NONE)
        code =
            queue_view_walk(transaction, &view, &filter, arena, add_job, &loader, &has_more, error);
    top->unreadable = store_unreadable(transaction);
    store_abort(transaction);
    return code;
}
