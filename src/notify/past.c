// Looks at the pools from time to time, for the list of incidents.
#include "ghatrace/notify/past.h"

#include <assert.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/store/table.h"
#include "ghatrace/view/pools_past.h"
#include "private.h"

#define ARENA_BLOCK ((size_t)16 * 1024)
#define LOOKS_MAX (15 * NS_PER_SECOND) // between two looks
#define LOOKS_MIN (250 * NS_PER_MS)
#define CONFIRM_MAX NS_PER_MINUTE
#define CONFIRM_PART 15 // of `pool-dead-after`

struct past_watch {
    struct past_options options;
    struct net_timer *timer;
    struct past_list list;
    struct arena arena;
    duration_ns interval;
    duration_ns confirm;
    bool has_failed; // the pools could not be read, and it was logged
    bool is_stopped;

    // What the engine is given to store.
    struct engine_task task;
    struct net_task stored;
    struct store_entry entry;
    struct buffer value;
    bool is_storing;
};

// In the engine's thread, or inside engine_submit().
static void on_past_done(struct engine_task *task)
{
    struct past_watch *watch = task->context;
    net_loop_post(watch->options.loop, &watch->stored);
}

static int64_t count_confirmed(const struct past_list *list)
{
    int64_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += list->items[i].is_confirmed ? 1 : 0;
    return count;
}

// What was refused is given again at the next look.
static void on_past_stored(void *context)
{
    struct past_watch *watch = context;
    watch->is_storing = false;
    if (watch->task.outcome != ENGINE_ACCEPTED)
        watch->list.stored_at = 0;
    else
        log_debug("past incidents stored", LOG_INT("confirmed", count_confirmed(&watch->list)));
}

static void store_past(struct past_watch *watch, timestamp_ns now)
{
    if (watch->is_storing || watch->list.stored_at != 0)
        return;
    buffer_clear(&watch->value);
    if (past_write(&watch->list, &watch->value) != ERROR_NONE)
        return;
    watch->entry = (struct store_entry){PAST_KEY, buffer_slice(&watch->value)};
    watch->list.stored_at = now;
    watch->is_storing = true;
    engine_submit(watch->options.engine, &watch->task);
}

static enum error_code look_for_past(struct past_watch *watch, timestamp_ns now,
                                     struct error *error)
{
    struct store_transaction *transaction;
    struct pools_view view;
    enum error_code code = store_begin(watch->options.store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    const struct view_reader reader = {transaction, &watch->arena, error};
    code = pools_view_load(&reader, &watch->options.pools, now, &view);
    if (code == ERROR_NONE)
        past_update(&watch->list, &view, watch->confirm, now);
    store_abort(transaction);
    return code;
}

static void on_look(void *context)
{
    struct past_watch *watch = context;
    struct error error;
    timestamp_ns now = timestamp_now();
    duration_ns begun_at = duration_of_thread();
    arena_clear(&watch->arena);
    enum error_code code = look_for_past(watch, now, &error);
    if (code != ERROR_NONE && !watch->has_failed)
        log_warn("pools cannot be read for past incidents, will retry", LOG_REASON(&error));
    watch->has_failed = code != ERROR_NONE;
    store_past(watch, now);
    net_timer_set(watch->timer,
                  notices_look_again(watch->interval, duration_of_thread() - begun_at));
}

static enum error_code load_past(struct past_watch *watch, struct error *error)
{
    struct store_transaction *transaction;
    enum error_code code = store_begin(watch->options.store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = past_load(transaction, &watch->list, error);
    watch->list.stored_at = timestamp_now();
    store_abort(transaction);
    return code;
}

// A short `pool-dead-after` asks for more frequent looks.
static void choose_pace(struct past_watch *watch)
{
    duration_ns part = watch->options.pools.dead_after / CONFIRM_PART;
    watch->confirm = part < CONFIRM_MAX ? part : CONFIRM_MAX;
    watch->interval = watch->confirm / 4 < LOOKS_MAX ? watch->confirm / 4 : LOOKS_MAX;
    if (watch->interval < LOOKS_MIN)
        watch->interval = LOOKS_MIN;
}

enum error_code past_watch_create(const struct past_options *options, struct past_watch **out,
                                  struct error *error)
{
    struct past_watch *watch = memory_allocate_array(1, sizeof *watch);
    if (watch == NULL)
        return error_set(error, ERROR_MEMORY, "past incidents: out of memory");
    watch->options = *options;
    watch->list.stored_at = timestamp_now(); // what could not be read is not replaced
    choose_pace(watch);
    arena_init(&watch->arena, ARENA_BLOCK);
    buffer_init(&watch->value, PAST_TEXT_MAX);
    watch->task = (struct engine_task){.type = ENGINE_STORE_ENTRIES,
                                       .table = STORE_TABLE_PAST,
                                       .on_done = on_past_done,
                                       .context = watch,
                                       .entries = &watch->entry,
                                       .entry_count = 1};
    watch->stored = (struct net_task){.run = on_past_stored, .context = watch};
    enum error_code code = net_timer_create(options->loop, on_look, watch, &watch->timer, error);
    if (code == ERROR_NONE)
        code = load_past(watch, error);
    if (code != ERROR_NONE) {
        error_wrap(error, "past incidents");
        past_watch_stop(watch);
        past_watch_destroy(watch);
        return code;
    }
    net_timer_set(watch->timer, watch->interval);
    *out = watch;
    return ERROR_NONE;
}

static bool has_open(const struct past_list *list)
{
    bool has = false;
    for (size_t i = 0; i < list->count && !has; i++)
        has = list->items[i].until == TIMESTAMP_UNKNOWN;
    return has;
}

void past_watch_stop(struct past_watch *watch)
{
    if (watch == NULL || watch->is_stopped)
        return;
    watch->is_stopped = true;
    net_timer_destroy(watch->timer);
    watch->timer = NULL;
    if (has_open(&watch->list))
        watch->list.stored_at = 0;
    store_past(watch, timestamp_now());
}

void past_watch_destroy(struct past_watch *watch)
{
    if (watch == NULL)
        return;
    assert(!watch->is_storing);
    arena_release(&watch->arena);
    buffer_release(&watch->value);
    memory_free(watch);
}
