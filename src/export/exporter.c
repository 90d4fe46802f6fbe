// The exporter: which slot may send when, and its beginning and end.
#include "exporter_private.h"

#include <string.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

#define COALESCE_DEFAULT (50 * NS_PER_MS)
#define POLL_DEFAULT (5 * NS_PER_SECOND)
#define SETTLE_RETRY_DEFAULT NS_PER_SECOND
#define ARENA_BLOCK 1024

// --- which slot may send when -----------------------------------------------------------------

bool exporter_may_send(const struct exporter *exporter)
{
    const struct export_outage *outage = &exporter->outage;
    if (!exporter->is_started || exporter->is_stopped || outage->is_pausing)
        return false;
    if (exporter->is_draining && exporter->has_failed_last_try)
        return false;
    return outage->failures == 0 || outage->probe == NULL;
}

bool exporter_has_taken(const struct exporter *exporter, uint64_t sequence)
{
    for (size_t i = 0; i < exporter->slot_count; i++) {
        if (batch_contains(&exporter->slots[i].batch, sequence))
            return true;
    }
    return false;
}

// Returns false when the outbox has nothing more.
static bool fill_slot(struct exporter *exporter, struct export_slot *slot)
{
    struct error error;
    if (slot_load(slot, &error) != ERROR_NONE) {
        if (exporter->is_draining)
            exporter->has_failed_last_try = true;
        outage_add_failure(exporter, NULL, 0, 0, &error);
        return true;
    }
    return slot->state == SLOT_READY;
}

// Begins with another slot each time: were one batch the only one that the collector cannot stand,
// it would otherwise be every probe, and keep the rest from going out.
static bool run_slots(struct exporter *exporter)
{
    bool has_more = true;
    size_t first = exporter->slot_next;
    for (size_t i = 0; i < exporter->slot_count; i++) {
        size_t index = (first + i) % exporter->slot_count;
        struct export_slot *slot = &exporter->slots[index];
        if (slot->state == SLOT_IDLE && has_more && exporter_may_send(exporter))
            has_more = fill_slot(exporter, slot);
        while (slot->state == SLOT_READY && exporter_may_send(exporter)) {
            exporter->slot_next = (index + 1) % exporter->slot_count;
            slot_send(slot);
        }
    }
    return has_more;
}

static bool is_any_slot_busy(const struct exporter *exporter, bool counts_ready)
{
    for (size_t i = 0; i < exporter->slot_count; i++) {
        enum slot_state state = exporter->slots[i].state;
        if (state != SLOT_IDLE && (counts_ready || state != SLOT_READY))
            return true;
    }
    return false;
}

// Done when the outbox is empty, or when what was tried once more has failed.
static void check_drain(struct exporter *exporter, bool has_more)
{
    if (exporter->drain_done == NULL || exporter->is_stopped)
        return;
    bool is_over = exporter->has_failed_last_try || !exporter->is_started
                       ? !is_any_slot_busy(exporter, false)
                       : !has_more && !is_any_slot_busy(exporter, true);
    if (!is_over)
        return;
    exporter->is_stopped = true;
    net_timer_set(exporter->drain_timer, 0); // not from here: its owner may destroy us
}

void exporter_pump(struct exporter *exporter)
{
    check_drain(exporter, run_slots(exporter));
}

static void on_pump(void *context)
{
    struct exporter *exporter = context;
    exporter_pump(exporter);
}

static void on_poll(void *context)
{
    struct exporter *exporter = context;
    exporter->cursor = 0;
    net_timer_set(exporter->poll_timer, exporter->tuning.poll);
    exporter_pump(exporter);
}

void exporter_settle_later(struct exporter *exporter)
{
    if (!exporter->is_settle_waiting)
        net_timer_set(exporter->settle_timer, exporter->tuning.settle_retry);
    exporter->is_settle_waiting = true;
}

static void on_settle_retry(void *context)
{
    struct exporter *exporter = context;
    exporter->is_settle_waiting = false;
    for (size_t i = 0; i < exporter->slot_count; i++) {
        if (exporter->slots[i].state == SLOT_UNSETTLED)
            slot_settle_again(&exporter->slots[i]);
    }
}

// --- waking -----------------------------------------------------------------------------------

// In the loop.
static void on_wake(void *context)
{
    struct exporter *exporter = context;
    atomic_store(&exporter->is_wake_posted, false);
    if (exporter_reap(exporter) || !exporter->is_started)
        return;
    net_timer_set(exporter->pump_timer, exporter->is_draining ? 0 : exporter->tuning.coalesce);
}

void exporter_wake(struct exporter *exporter)
{
    if (!atomic_exchange(&exporter->is_wake_posted, true))
        net_loop_post(exporter->loop, &exporter->wake);
}

// --- life -------------------------------------------------------------------------------------

static uint64_t random_number(void *context)
{
    struct exporter *exporter = context;
    return backoff_random(&exporter->random_state);
}

void exporter_tune(struct exporter *exporter, const struct exporter_tuning *tuning)
{
    exporter->tuning = *tuning;
}

static void on_drained(void *context)
{
    struct exporter *exporter = context;
    net_callback done = exporter->drain_done;
    exporter->is_stopped = true;
    exporter->drain_done = NULL;
    if (done != NULL)
        done(exporter->drain_context); // may destroy us: nothing after this
}

static size_t at_least_one(size_t number)
{
    return number > 0 ? number : 1;
}

static void set_up(struct exporter *exporter, struct net_loop *loop,
                   const struct export_options *options)
{
    exporter->loop = loop;
    exporter->endpoint = options->endpoint;
    if (options->endpoint.is_tls) {
        net_tls_hold(options->tls);
        exporter->tls = options->tls;
    }
    exporter->on_unauthorized = options->on_unauthorized;
    exporter->on_unauthorized_context = options->on_unauthorized_context;
    exporter->batch_records_max = at_least_one(options->batch_records_max);
    exporter->batch_bytes_max =
        options->batch_bytes_max < REQUEST_BODY_MAX ? options->batch_bytes_max : REQUEST_BODY_MAX;
    exporter->wake = (struct net_task){.run = on_wake, .context = exporter};
    exporter->random_state =
        ((uint64_t)timestamp_now() ^ ((uint64_t)getpid() << 32) ^ (uint64_t)timestamp_monotonic()) |
        1;
    exporter->tuning = (struct exporter_tuning){
        .coalesce = COALESCE_DEFAULT,
        .poll = POLL_DEFAULT,
        .settle_retry = SETTLE_RETRY_DEFAULT,
        .random = random_number,
        .random_context = exporter,
    };
    atomic_init(&exporter->is_wake_posted, false);
    arena_init(&exporter->arena, ARENA_BLOCK);
    export_endpoint_format(&exporter->endpoint, exporter->url, sizeof exporter->url);
}

static enum error_code create_timers(struct exporter *exporter, struct error *error)
{
    const struct {
        net_callback callback;
        struct net_timer **timer;
    } timers[] = {
        {on_pump, &exporter->pump_timer},
        {on_poll, &exporter->poll_timer},
        {on_settle_retry, &exporter->settle_timer},
        {on_drained, &exporter->drain_timer},
    };
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < sizeof timers / sizeof timers[0] && code == ERROR_NONE; i++)
        code =
            net_timer_create(exporter->loop, timers[i].callback, exporter, timers[i].timer, error);
    return code;
}

static enum error_code create_slots(struct exporter *exporter, const struct export_options *options,
                                    struct error *error)
{
    size_t count = at_least_one(options->in_flight_max);
    exporter->slots = memory_allocate_array(count, sizeof(struct export_slot));
    if (exporter->slots == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    enum error_code code = ERROR_NONE;
    while (exporter->slot_count < count && code == ERROR_NONE)
        code =
            slot_init(&exporter->slots[exporter->slot_count++], exporter, options->timeout, error);
    return code;
}

enum error_code exporter_create(struct net_loop *loop, struct store *store, struct engine *engine,
                                const struct export_options *options, struct exporter **out,
                                struct error *error)
{
    if (options->endpoint.is_tls && options->tls == NULL)
        return error_set(error, ERROR_USAGE, "exporter: https without certificates to trust");
    struct exporter *exporter = memory_allocate_array(1, sizeof *exporter);
    if (exporter == NULL)
        return error_set(error, ERROR_MEMORY, "exporter: out of memory");

    set_up(exporter, loop, options);
    exporter->store = store;
    exporter->engine = engine;
    enum error_code code =
        request_form_init(&exporter->form, options, &exporter->endpoint, &exporter->arena, error);
    if (code == ERROR_NONE)
        code = create_timers(exporter, error);
    if (code == ERROR_NONE)
        code = outage_init(exporter, options, error);
    if (code == ERROR_NONE)
        code = create_slots(exporter, options, error);
    if (code != ERROR_NONE) {
        error_wrap(error, "exporter");
        exporter_destroy(exporter);
        return code;
    }
    *out = exporter;
    return ERROR_NONE;
}

void exporter_start(struct exporter *exporter)
{
    exporter->is_started = true;
    log_info("exporting", LOG_STRING("endpoint", exporter->url),
             LOG_STRING("protocol",
                        exporter->form.protocol == EXPORT_JSON ? "http/json" : "http/protobuf"),
             LOG_STRING("compression", exporter->form.gzip ? "gzip" : "none"));
    net_timer_set(exporter->poll_timer, exporter->tuning.poll);
    net_timer_set(exporter->pump_timer, 0);
}

void exporter_drain(struct exporter *exporter, duration_ns grace, net_callback done, void *context)
{
    exporter->is_draining = true;
    exporter->drain_done = done;
    exporter->drain_context = context;
    outage_stop_pause(exporter);
    net_timer_set(exporter->drain_timer, grace);
    net_timer_set(exporter->pump_timer, 0);
}

void exporter_use_tls(struct exporter *exporter, struct net_tls *tls)
{
    if (!exporter->endpoint.is_tls)
        return;
    net_tls_hold(tls);
    net_tls_let_go(exporter->tls);
    exporter->tls = tls;
    for (size_t i = 0; i < exporter->slot_count; i++)
        exporter->slots[i].channel.tls = tls;
}

enum error_code exporter_use_headers(struct exporter *exporter, const struct http_header *headers,
                                     size_t count, struct error *error)
{
    const struct export_options options = {
        .protocol = exporter->form.protocol,
        .gzip = exporter->form.gzip,
        .headers = headers,
        .header_count = count,
    };
    struct request_form form;
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK);
    enum error_code code = request_form_init(&form, &options, &exporter->endpoint, &arena, error);
    if (code != ERROR_NONE) {
        arena_release(&arena);
        return code;
    }
    // Requests under way are bytes already and need neither the form nor its memory.
    arena_release(&exporter->arena);
    exporter->arena = arena;
    exporter->form = form;
    if (exporter->outage.is_pausing) {
        outage_stop_pause(exporter);
        net_timer_set(exporter->pump_timer, 0);
    }
    return ERROR_NONE;
}

bool exporter_reap(struct exporter *exporter)
{
    if (!exporter->is_destroyed)
        return false;
    if (atomic_load(&exporter->is_wake_posted) || exporter->settles > 0)
        return true;
    for (size_t i = 0; i < exporter->slot_count; i++)
        slot_release(&exporter->slots[i]);
    memory_free(exporter->slots);
    arena_release(&exporter->arena);
    net_tls_let_go(exporter->tls);
    memory_free(exporter);
    return true;
}

void exporter_destroy(struct exporter *exporter)
{
    if (exporter == NULL)
        return;
    for (size_t i = 0; i < exporter->slot_count; i++)
        slot_disconnect(&exporter->slots[i]);
    outage_release(&exporter->outage);
    net_timer_destroy(exporter->pump_timer);
    net_timer_destroy(exporter->poll_timer);
    net_timer_destroy(exporter->settle_timer);
    net_timer_destroy(exporter->drain_timer);
    // The engine may still read what it settles, and the loop may still hold our tasks: the memory
    // goes with the last of them.
    exporter->is_destroyed = true;
    exporter_reap(exporter);
}

void exporter_read_counters(const struct exporter *exporter, struct export_counters *counters)
{
    *counters = exporter->counters;
    counters->consecutive_failures = exporter->outage.failures;
}

void exporter_read_status(const struct exporter *exporter, struct export_status *status)
{
    const struct export_outage *outage = &exporter->outage;
    *status =
        (struct export_status){.is_troubled = outage->failures > 0, .since = TIMESTAMP_UNKNOWN};
    if (!status->is_troubled)
        return;
    status->category = outage->trouble;
    status->http_status = outage->http_status;
    status->since = outage->since;
    status->failures = outage->failures;
    memcpy(status->message, outage->message, sizeof status->message);
}
