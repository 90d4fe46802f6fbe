// Notices: reads the pools, decides, sends, has the engine store it.
#include "ghatrace/notify/notices.h"

#include <assert.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "private.h"

#define ARENA_BLOCK ((size_t)16 * 1024)
#define INTERVAL_MAX (15 * NS_PER_SECOND)
#define INTERVAL_MIN (250 * NS_PER_MS)
#define LOOK_REST 9 // how many times as long as the last look took

const char *const notice_drop_names[NOTICE_DROPS] = {NOTICE_DROP_LIST(LIST_NAME)};

// --- stored by the engine -------------------------------------------------------------------------

// In the engine's thread, or inside engine_submit().
static void on_notices_done(struct engine_task *task)
{
    struct notices *notices = task->context;
    net_loop_post(notices->options.loop, &notices->stored);
}

// A store that is full or fails does not keep notices from being sent.
static void let_senders_go_on(struct notices *notices, bool is_stored)
{
    for (size_t i = 0; i < notices->senders->receivers.count; i++) {
        struct notice_sender *sender = &notices->senders->items[i];
        if (!is_stored || notice_list_may_send(&notices->list, sender->receiver->id))
            notice_sender_go_on(sender);
    }
}

// After a refusal the next change, or the next look at the pools, gives it again.
static void on_notices_stored(void *context)
{
    struct notices *notices = context;
    bool is_stored = notices->task.outcome == ENGINE_ACCEPTED;
    notices->is_storing = false;
    notice_list_stored(&notices->list, is_stored);
    if (notices->is_stopped)
        return;
    let_senders_go_on(notices, is_stored);
    if (is_stored)
        notices_store_changes(notices);
}

void notices_store_changes(struct notices *notices)
{
    size_t count;
    if (notices->is_storing)
        return;
    arena_clear(&notices->stored_arena);
    if (!notice_list_changes(&notices->list, &notices->stored_arena, notices->entries,
                             NOTICE_STORED_MAX, &count) ||
        count == 0)
        return;
    notices->is_storing = true;
    notices->task.entries = notices->entries;
    notices->task.entry_count = count;
    engine_submit(notices->options.engine, &notices->task);
}

static enum error_code load_notices(struct notices *notices, struct error *error)
{
    struct store_transaction *transaction;
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code = store_begin(notices->options.store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = store_table_walk(transaction, STORE_TABLE_NOTICES, SLICE_EMPTY, &walk, error);
    if (code == ERROR_NONE) {
        while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE &&
               (code = notice_list_load(&notices->list, entry)) == ERROR_NONE)
            continue;
        store_table_end_walk(walk);
    }
    store_abort(transaction);
    if (code == ERROR_MEMORY)
        error_set(error, code, "out of memory");
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- looking at the pools -------------------------------------------------------------------------

static timestamp_ns last_event(struct notices *notices, struct store_transaction *transaction)
{
    struct engine_counters counters;
    struct error ignored;
    timestamp_ns recorded;
    engine_read_counters(notices->options.engine, &counters);
    if (store_last_delivery(transaction, &recorded, &ignored) != ERROR_NONE)
        recorded = TIMESTAMP_UNKNOWN;
    return timestamp_later(counters.last_event_at, recorded);
}

static enum error_code read_subjects(struct notices *notices, struct arena *arena,
                                     struct notice_subjects *subjects, struct error *error)
{
    const struct notices_options *options = &notices->options;
    struct store_transaction *transaction;
    struct pools_view view;
    enum error_code code = store_begin(options->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    const struct view_reader reader = {transaction, arena, error};
    code = pools_view_load(&reader, &options->pools, subjects->now, &view);
    if (code == ERROR_NONE &&
        !notice_subjects_make(&view, &options->settings, last_event(notices, transaction), arena,
                              subjects))
        code = error_set(error, ERROR_MEMORY, "out of memory");
    store_abort(transaction);
    return code;
}

static void report_read(struct notices *notices, enum error_code code, const struct error *error)
{
    if (code != ERROR_NONE && !notices->has_failed)
        log_warn("pools cannot be read for notices, will retry", LOG_REASON(error));
    notices->has_failed = code != ERROR_NONE;
}

static void wake_senders(struct notices *notices)
{
    for (size_t i = 0; i < notices->senders->receivers.count; i++)
        notice_sender_wake(&notices->senders->items[i]);
}

// The loop has other work: looking at thousands of pools takes a tenth of its time at most.
duration_ns notices_look_again(duration_ns interval, duration_ns took)
{
    return took > interval / LOOK_REST ? took * LOOK_REST : interval;
}

static void look_at_pools(void *context)
{
    struct notices *notices = context;
    struct arena *arena = &notices->arenas[1 - notices->arena];
    struct notice_subjects subjects = {.now = timestamp_now()};
    struct error error;
    duration_ns begun_at = duration_of_thread();
    arena_clear(arena);
    enum error_code code = read_subjects(notices, arena, &subjects, &error);
    if (code == ERROR_NONE) {
        notices->subjects = subjects;
        notices->arena = 1 - notices->arena;
        code = notice_list_update(&notices->list, &notices->subjects, &notices->senders->receivers);
        if (code != ERROR_NONE)
            error_set(&error, code, "out of memory");
    }
    report_read(notices, code, &error);
    notices_store_changes(notices);
    wake_senders(notices);
    net_timer_set(notices->timer,
                  notices_look_again(notices->interval, duration_of_thread() - begun_at));
}

// --- life -----------------------------------------------------------------------------------------

static void shorten_interval(duration_ns *interval, duration_ns time)
{
    if (time > 0 && time / 2 < *interval)
        *interval = time / 2 > INTERVAL_MIN ? time / 2 : INTERVAL_MIN;
}

// More often where shorter times are set.
static duration_ns interval_of(const struct notice_settings *settings)
{
    duration_ns interval = INTERVAL_MAX;
    shorten_interval(&interval, settings->hold);
    for (size_t i = 0; i < NOTICE_CONDITIONS; i++)
        shorten_interval(&interval, settings->after[i]);
    return interval;
}

enum error_code notices_create(const struct notices_options *options, struct notices **out,
                               struct error *error)
{
    struct notices *notices = memory_allocate_array(1, sizeof *notices);
    if (notices == NULL)
        return error_set(error, ERROR_MEMORY, "notices: out of memory");
    notices->options = *options;
    notices->interval = interval_of(&options->settings);
    notices->list.times = (struct notice_times){options->settings.hold, NOTICE_AGE_MAX};
    arena_init(&notices->arenas[0], ARENA_BLOCK);
    arena_init(&notices->arenas[1], ARENA_BLOCK);
    arena_init(&notices->stored_arena, ARENA_BLOCK);
    notices->task = (struct engine_task){.type = ENGINE_STORE_ENTRIES,
                                         .table = STORE_TABLE_NOTICES,
                                         .on_done = on_notices_done,
                                         .context = notices};
    notices->stored = (struct net_task){.run = on_notices_stored, .context = notices};
    enum error_code code =
        net_timer_create(options->loop, look_at_pools, notices, &notices->timer, error);
    if (code == ERROR_NONE)
        code = load_notices(notices, error);
    if (code != ERROR_NONE) {
        error_wrap(error, "notices");
        notices_stop(notices);
        notices_destroy(notices);
        return code;
    }
    *out = notices;
    return ERROR_NONE;
}

enum error_code notice_senders_create(struct notices *notices,
                                      const struct notice_receivers *receivers,
                                      struct net_tls_client *tls, struct notice_senders **out,
                                      struct error *error)
{
    struct notice_senders *senders = memory_allocate_array(1, sizeof *senders);
    if (senders == NULL)
        return error_set(error, ERROR_MEMORY, "notices: out of memory");
    senders->receivers = *receivers;
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < receivers->count && code == ERROR_NONE; i++)
        code = notice_sender_init(&senders->items[i], notices, &senders->receivers.items[i], tls,
                                  error);
    if (code != ERROR_NONE) {
        error_wrap(error, "notices");
        notice_senders_destroy(senders);
        return code;
    }
    *out = senders;
    return ERROR_NONE;
}

void notice_senders_destroy(struct notice_senders *senders)
{
    if (senders == NULL)
        return;
    for (size_t i = 0; i < senders->receivers.count; i++)
        notice_sender_release(&senders->items[i]);
    notice_receivers_wipe(&senders->receivers);
    memory_free(senders);
}

void notices_use(struct notices *notices, struct notice_senders *senders)
{
    bool is_first = notices->senders == NULL;
    notice_senders_destroy(notices->senders);
    notices->senders = senders;
    notice_list_keep(&notices->list, &senders->receivers);
    // At the start deliveries may have piled up that change what is known of the pools.
    if (is_first)
        net_timer_set(notices->timer, notices->interval);
    else
        look_at_pools(notices);
}

void notices_stop(struct notices *notices)
{
    notices->is_stopped = true;
    net_timer_destroy(notices->timer);
    notices->timer = NULL;
    if (notices->senders == NULL)
        return;
    for (size_t i = 0; i < notices->senders->receivers.count; i++)
        notice_sender_release(&notices->senders->items[i]);
    notices_store_changes(notices);
}

void notices_destroy(struct notices *notices)
{
    if (notices == NULL)
        return;
    assert(!notices->is_storing);
    notice_senders_destroy(notices->senders);
    notice_list_release(&notices->list);
    arena_release(&notices->arenas[0]);
    arena_release(&notices->arenas[1]);
    arena_release(&notices->stored_arena);
    memory_free(notices);
}

// --- status ---------------------------------------------------------------------------------------

void notices_read_counters(const struct notices *notices, struct notices_counters *counters)
{
    const struct notice_list *list = &notices->list;
    *counters = (struct notices_counters){
        .sent = list->sent, .cancelled = list->cancelled, .failures = notices->failures};
    memcpy(counters->dropped, list->dropped, sizeof counters->dropped);
    struct notice_receiver_status status;
    for (size_t i = 0; notices_read_receiver(notices, i, &status); i++) {
        counters->receivers++;
        counters->troubled += status.is_troubled ? 1 : 0;
        counters->pending += status.pending;
    }
}

bool notices_read_receiver(const struct notices *notices, size_t index,
                           struct notice_receiver_status *status)
{
    const struct notice_senders *senders = notices->senders;
    if (senders == NULL || index >= senders->receivers.count)
        return false;
    *status = senders->items[index].status;
    status->pending = notice_list_pending(&notices->list, senders->receivers.items[index].id);
    return true;
}
