// The exporter: runs the plan and its timers, starts and stops; its log lines and status.
#include "exporter_private.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

#define COALESCE_DEFAULT (50 * NS_PER_MS)
#define POLL_DEFAULT (5 * NS_PER_SECOND)
#define SETTLE_RETRY_DEFAULT NS_PER_SECOND
// The quarantine's share of the outbox is one part in this many; the number of its records is limited by memory, too.
#define QUARANTINE_SHARE 10
#define QUARANTINE_RECORDS_MAX 16384
#define QUARANTINE_FORWARDED_MAX 256

// --- asking the plan --------------------------------------------------------------------------

// The outbox, in a read transaction that begins with the first access.
struct outbox_reader {
    struct exporter *exporter;
    struct store_transaction *transaction;
    enum error_code (*seek)(struct store_transaction *transaction, uint64_t *sequence,
                            uint32_t *size, struct error *error);
};

static enum error_code seek_outbox(void *context, uint64_t *sequence, uint32_t *size,
                                   struct error *error)
{
    struct outbox_reader *reader = context;
    if (reader->transaction == NULL) {
        enum error_code code =
            store_begin(reader->exporter->store, false, &reader->transaction, error);
        if (code != ERROR_NONE) {
            reader->transaction = NULL;
            return code;
        }
    }
    return reader->seek(reader->transaction, sequence, size, error);
}

static enum error_code ask_plan(struct inflight_request *inflight, struct plan_turn *turn,
                                struct error *error)
{
    struct outbox_reader reader = {
        .exporter = inflight->exporter,
        .seek = inflight_is_forwarded(inflight) ? store_seek_forwarded : store_seek_own,
    };
    *turn = (struct plan_turn){.now = timestamp_monotonic(),
                               .source = {.seek = seek_outbox, .context = &reader}};
    enum error_code code = plan_next(inflight->plan, inflight->index, turn, error);
    if (reader.transaction != NULL)
        store_abort(reader.transaction);
    return code;
}

static bool may_send(const struct exporter *exporter)
{
    if (!exporter->is_started || exporter->is_stopped)
        return false;
    return !exporter->is_draining || !exporter->has_failed_last_try;
}

uint64_t exporter_random(struct exporter *exporter)
{
    return exporter->tuning.random(exporter->tuning.random_context);
}

static void fail_to_read(struct inflight_request *inflight, const struct error *error)
{
    struct exporter *exporter = inflight->exporter;
    plan_local_failure(inflight->plan, timestamp_monotonic(), exporter_random(exporter));
    if (inflight_is_forwarded(inflight)) {
        report_forwarded_failure(exporter, error->message);
        return;
    }
    if (exporter->is_draining)
        exporter->has_failed_last_try = true;
    report_failure(exporter, EXPORT_LOCAL_TROUBLE, 0, error->message);
}

// Returns false if there is nothing to do now; then `*step` is what the plan waits for.
static bool run_next(struct exporter *exporter, struct inflight_request *inflight,
                     enum plan_step *step)
{
    struct plan_turn turn;
    struct error error;
    if (ask_plan(inflight, &turn, &error) != ERROR_NONE) {
        fail_to_read(inflight, &error);
        return true; // the plan now waits, and reports until when
    }
    *step = turn.step;
    switch (turn.step) {
    case PLAN_SEND:
        inflight_send(inflight);
        return true;
    case PLAN_DEAD_LETTER:
        inflight_dead_letter(inflight);
        return true;
    case PLAN_WAIT: {
        duration_ns wait = turn.until - timestamp_monotonic();
        net_timer_set(inflight_is_forwarded(inflight) ? exporter->forwarded_timer
                                                      : exporter->wait_timer,
                      wait > NS_PER_MS ? wait : NS_PER_MS);
        return false;
    }
    case PLAN_IDLE:
        return false;
    }
    return false;
}

static enum plan_step run_inflight(struct exporter *exporter)
{
    enum plan_step step = PLAN_IDLE;
    for (size_t i = 0; i < exporter->inflight_count; i++) {
        struct inflight_request *inflight = &exporter->inflight[i];
        while (inflight->state == INFLIGHT_IDLE && may_send(exporter)) {
            if (!run_next(exporter, inflight, &step))
                return step;
        }
    }
    return step;
}

// Records of other programs may be sent: the endpoint accepts ours, and none of them waits for a free request. A drain
// leaves them in the outbox: a stop must not take longer because of them.
static bool may_send_forwarded(const struct exporter *exporter)
{
    if (!may_send(exporter) || exporter->is_draining ||
        exporter->plan.breaker.state != BREAKER_CLOSED)
        return false;
    for (size_t i = 0; i < exporter->inflight_count; i++) {
        if (exporter->inflight[i].state == INFLIGHT_IDLE)
            return true;
    }
    return false;
}

// After run_inflight().
static void run_forwarded(struct exporter *exporter)
{
    struct inflight_request *inflight = &exporter->inflight[exporter->inflight_count];
    enum plan_step step;
    while (inflight->state == INFLIGHT_IDLE && may_send_forwarded(exporter)) {
        if (!run_next(exporter, inflight, &step))
            return;
    }
}

static bool is_any_inflight_busy(const struct exporter *exporter)
{
    for (size_t i = 0; i < exporter->inflight_count; i++) {
        if (exporter->inflight[i].state != INFLIGHT_IDLE)
            return true;
    }
    return false;
}

// The drain is done when none of our records waits, or when the last attempt has failed.
static void check_drain(struct exporter *exporter, enum plan_step step)
{
    if (exporter->drain_done == NULL || exporter->is_stopped || is_any_inflight_busy(exporter))
        return;
    if (may_send(exporter) && step != PLAN_IDLE)
        return;
    exporter->is_stopped = true;
    net_timer_set(exporter->drain_timer, 0); // deferred: the callback may destroy the exporter
}

void exporter_pump(struct exporter *exporter)
{
    check_drain(exporter, run_inflight(exporter));
    run_forwarded(exporter);
}

// False: the store cannot be read.
static bool read_usage(const struct exporter *exporter, struct store_usage *usage)
{
    struct store_transaction *transaction;
    struct error ignored;
    if (store_begin(exporter->store, false, &transaction, &ignored) != ERROR_NONE)
        return false;
    store_read_usage(transaction, usage);
    store_abort(transaction);
    return true;
}

// While the breaker is open, a new record of ours may be sent at once, as a probe; one of another program must not cause
// that. So ours are counted then, in which time none is sent.
static bool may_have_new_own(struct exporter *exporter)
{
    struct store_usage usage;
    if (exporter->plan.breaker.state == BREAKER_CLOSED || !read_usage(exporter, &usage))
        return false;
    uint64_t before = exporter->own_waiting;
    exporter->own_waiting = usage.outbox_records - usage.forwarded_records;
    return exporter->own_waiting > before;
}

static void on_pump(void *context)
{
    struct exporter *exporter = context;
    exporter->is_pump_waiting = false;
    if (may_have_new_own(exporter))
        plan_wake(&exporter->plan, timestamp_monotonic());
    plan_wake(&exporter->forwarded_plan, timestamp_monotonic());
    exporter_pump(exporter);
}

static void on_wait_end(void *context)
{
    struct exporter *exporter = context;
    exporter_pump(exporter);
}

static void on_poll(void *context)
{
    struct exporter *exporter = context;
    plan_rescan(&exporter->plan);
    plan_rescan(&exporter->forwarded_plan);
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
    for (size_t i = 0; i <= exporter->inflight_count; i++) {
        if (exporter->inflight[i].state == INFLIGHT_UNSETTLED)
            inflight_settle_again(&exporter->inflight[i]);
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
    // A running timer is not moved: if each commit moved it, it would never expire while deliveries are received.
    if (!exporter->is_pump_waiting)
        net_timer_set(exporter->pump_timer, exporter->is_draining ? 0 : exporter->tuning.coalesce);
    exporter->is_pump_waiting = true;
}

static void pump_soon(struct exporter *exporter)
{
    exporter->is_pump_waiting = true;
    net_timer_set(exporter->pump_timer, 0);
}

void exporter_wake(void *context)
{
    struct exporter *exporter = context;
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
        done(exporter->drain_context); // may destroy the exporter: no code may follow
}

static size_t at_least_one(size_t number)
{
    return number > 0 ? number : 1;
}

static void set_up(struct exporter *exporter, const struct export_options *options)
{
    exporter->loop = options->loop;
    exporter->store = options->store;
    exporter->engine = options->engine;
    exporter->endpoint = options->endpoint;
    exporter->timeout = options->timeout;
    exporter->on_unauthorized = options->on_unauthorized;
    exporter->on_unauthorized_context = options->on_unauthorized_context;
    exporter->before_request = options->before_request;
    exporter->before_request_context = options->before_request_context;
    exporter->wake = (struct net_task){.run = on_wake, .context = exporter};
    exporter->random_state = backoff_seed(timestamp_now(), timestamp_monotonic(), getpid());
    exporter->tuning = (struct exporter_tuning){
        .coalesce = COALESCE_DEFAULT,
        .poll = POLL_DEFAULT,
        .settle_retry = SETTLE_RETRY_DEFAULT,
        .random = random_number,
        .random_context = exporter,
    };
    atomic_init(&exporter->is_wake_posted, false);
    export_endpoint_format(&exporter->endpoint, exporter->url, sizeof exporter->url);
}

static enum error_code create_plan(struct exporter *exporter, const struct export_options *options,
                                   struct error *error)
{
    struct plan_options plan = {
        .in_flight_max = at_least_one(options->in_flight_max),
        .records_max = options->batch_records_max,
        .bytes_max = options->batch_bytes_max < REQUEST_BODY_MAX ? options->batch_bytes_max
                                                                 : REQUEST_BODY_MAX,
        .backoff_first = options->backoff_first,
        .backoff_max = options->backoff_max,
        .quarantine_bytes_max = options->outbox_max / QUARANTINE_SHARE,
        .quarantine_records_max = QUARANTINE_RECORDS_MAX,
    };
    enum error_code code = plan_init(&exporter->plan, &plan);
    plan.in_flight_max = 1;
    plan.quarantine_records_max = QUARANTINE_FORWARDED_MAX;
    plan.is_forwarded = true;
    if (code == ERROR_NONE)
        code = plan_init(&exporter->forwarded_plan, &plan);
    if (code != ERROR_NONE)
        return error_set(error, ERROR_MEMORY, "out of memory");
    return ERROR_NONE;
}

static enum error_code create_timers(struct exporter *exporter, struct error *error)
{
    const struct {
        net_callback callback;
        struct net_timer **timer;
    } timers[] = {
        {on_pump, &exporter->pump_timer},     {on_wait_end, &exporter->wait_timer},
        {on_poll, &exporter->poll_timer},     {on_settle_retry, &exporter->settle_timer},
        {on_drained, &exporter->drain_timer}, {on_wait_end, &exporter->forwarded_timer},
    };
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < sizeof timers / sizeof timers[0] && code == ERROR_NONE; i++)
        code =
            net_timer_create(exporter->loop, timers[i].callback, exporter, timers[i].timer, error);
    return code;
}

static enum error_code create_inflight(struct exporter *exporter,
                                       const struct export_options *options, struct error *error)
{
    size_t count = at_least_one(options->in_flight_max);
    struct http_client_options client = {
        .connections_max = count,
        .tls = options->endpoint.is_tls ? options->tls : NULL,
    };
    enum error_code code = http_client_create(exporter->loop, &client, &exporter->client, error);
    client.connections_max = 1;
    if (code == ERROR_NONE)
        code = http_client_create(exporter->loop, &client, &exporter->forwarded_client, error);
    if (code != ERROR_NONE)
        return code;
    exporter->inflight = memory_allocate_array(count + 1, sizeof(struct inflight_request));
    if (exporter->inflight == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        inflight_init(&exporter->inflight[i], exporter, i);
    inflight_init_forwarded(&exporter->inflight[count], exporter);
    exporter->inflight_count = count;
    return ERROR_NONE;
}

enum error_code exporter_create(const struct export_options *options, struct exporter **out,
                                struct error *error)
{
    if (options->endpoint.is_tls && options->tls == NULL)
        return error_set(error, ERROR_USAGE, "exporter: https without certificates to trust");
    struct exporter *exporter = memory_allocate_array(1, sizeof *exporter);
    if (exporter == NULL)
        return error_set(error, ERROR_MEMORY, "exporter: out of memory");

    set_up(exporter, options);
    enum error_code code = made_form_init(options, &exporter->endpoint, &exporter->made, error);
    if (code == ERROR_NONE)
        code = create_plan(exporter, options, error);
    if (code == ERROR_NONE)
        code = create_timers(exporter, error);
    if (code == ERROR_NONE)
        code = create_inflight(exporter, options, error);
    if (code != ERROR_NONE) {
        error_wrap(error, "exporter");
        exporter_destroy(exporter);
        return code;
    }
    *out = exporter;
    return ERROR_NONE;
}

static enum error_code read_quarantine(struct exporter *exporter,
                                       struct store_transaction *transaction, struct error *error)
{
    timestamp_ns now = timestamp_monotonic();
    struct store_quarantined quarantined;
    uint64_t sequence = 0;
    enum error_code code;
    while ((code = store_seek_quarantined(transaction, &sequence, &quarantined, error)) ==
           ERROR_NONE) {
        uint64_t own = sequence;
        code = store_seek_own(transaction, &own, &quarantined.size, error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        if (code == ERROR_NONE && own == sequence)
            plan_restore(&exporter->plan, sequence, quarantined.size, now);
        sequence++;
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Records that were quarantined when the last process ended are tried alone, not in batches. Without this they would
// be detected again.
static void restore_quarantine(struct exporter *exporter)
{
    struct store_transaction *transaction;
    struct error error;
    enum error_code code = store_begin(exporter->store, false, &transaction, &error);
    if (code == ERROR_NONE) {
        code = read_quarantine(exporter, transaction, &error);
        store_abort(transaction);
    }
    if (code != ERROR_NONE)
        log_warn("cannot read which records are quarantined: they are found again",
                 LOG_REASON(&error));
}

const char *export_protocol_text(enum export_protocol protocol)
{
    static const char *const texts[] = {
        [EXPORT_PROTOBUF] = "http/protobuf",
        [EXPORT_JSON] = "http/json",
        [EXPORT_GRPC] = "grpc",
    };
    return texts[protocol];
}

void exporter_start(struct exporter *exporter)
{
    exporter->is_started = true;
    restore_quarantine(exporter);
    const char *proxy = exporter->endpoint.proxy.shown;
    log_info("exporting", LOG_STRING("endpoint", exporter->url),
             LOG_STRING("proxy", proxy[0] != '\0' ? proxy : "none"),
             LOG_STRING("protocol", export_protocol_text(exporter->made.form.protocol)),
             LOG_STRING("compression", exporter->made.form.gzip ? "gzip" : "none"));
    net_timer_set(exporter->poll_timer, exporter->tuning.poll);
    pump_soon(exporter);
}

void exporter_drain(struct exporter *exporter, duration_ns grace, net_callback done, void *context)
{
    exporter->is_draining = true;
    exporter->drain_done = done;
    exporter->drain_context = context;
    exporter->plan.is_draining = true;
    plan_rescan(&exporter->plan);
    plan_probe_now(&exporter->plan, timestamp_monotonic());
    net_timer_set(exporter->drain_timer, grace);
    pump_soon(exporter);
}

void exporter_renew_connections(struct exporter *exporter, struct net_tls_client *tls)
{
    struct http_client *const clients[] = {exporter->client, exporter->forwarded_client};
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        if (exporter->endpoint.is_tls && tls != NULL)
            http_client_use_tls(clients[i], tls);
        else
            http_client_renew(clients[i], HTTP_CLIENT_RENEW_ALWAYS);
    }
}

enum error_code exporter_use_headers(struct exporter *exporter, const struct http_header *headers,
                                     size_t count, struct error *error)
{
    const struct export_options options = {
        .protocol = exporter->made.form.protocol,
        .gzip = exporter->made.form.gzip,
        .headers = headers,
        .header_count = count,
        .timeout = exporter->timeout,
    };
    bool is_changed;
    enum error_code code = made_form_change(&exporter->made, &options, &is_changed, error);
    // Unchanged headers are no reason to try sooner: a caller may set them after each 401.
    if (!is_changed)
        return code;
    exporter->headers_age++;
    if (exporter->is_started) {
        plan_probe_now(&exporter->plan, timestamp_monotonic());
        plan_probe_now(&exporter->forwarded_plan, timestamp_monotonic());
        pump_soon(exporter);
    }
    return ERROR_NONE;
}

bool exporter_reap(struct exporter *exporter)
{
    if (!exporter->is_destroyed)
        return false;
    if (atomic_load(&exporter->is_wake_posted) || exporter->settles > 0)
        return true;
    memory_free(exporter->inflight);
    plan_release(&exporter->plan);
    plan_release(&exporter->forwarded_plan);
    made_form_release(&exporter->made);
    memory_free(exporter);
    return true;
}

void exporter_destroy(struct exporter *exporter)
{
    if (exporter == NULL)
        return;
    for (size_t i = 0; exporter->inflight != NULL && i <= exporter->inflight_count; i++)
        inflight_disconnect(&exporter->inflight[i]);
    http_client_destroy(exporter->client);
    http_client_destroy(exporter->forwarded_client);
    net_timer_destroy(exporter->pump_timer);
    net_timer_destroy(exporter->wait_timer);
    net_timer_destroy(exporter->forwarded_timer);
    net_timer_destroy(exporter->poll_timer);
    net_timer_destroy(exporter->settle_timer);
    net_timer_destroy(exporter->drain_timer);
    // The engine may still read what it settles, and the loop may still hold the exporter's tasks: the memory is
    // freed with the last of them.
    exporter->is_destroyed = true;
    exporter_reap(exporter);
}

void exporter_read_counters(const struct exporter *exporter, struct export_counters *counters)
{
    *counters = exporter->counters;
    counters->consecutive_failures = exporter->plan.breaker.failures;
}

void exporter_read_status(const struct exporter *exporter, struct export_status *status)
{
    const struct export_report *report = &exporter->report;
    *status = (struct export_status){
        .is_troubled = report->trouble != EXPORT_NO_TROUBLE,
        .since = TIMESTAMP_UNKNOWN,
        .failures = exporter->plan.breaker.failures,
        .quarantined_records = exporter->plan.quarantine.count,
        .quarantined_bytes = exporter->plan.quarantine.bytes,
        .forwarded_failures = report->forwarded_failures,
    };
    if (report->forwarded_failures > 0)
        memcpy(status->forwarded_message, report->forwarded_message,
               sizeof status->forwarded_message);
    if (!status->is_troubled)
        return;
    status->category = report->trouble;
    status->http_status = report->http_status;
    status->since = report->since;
    memcpy(status->message, report->message, sizeof status->message);
}

// --- log lines, which an endpoint must not be able to multiply, and the status -------------------

#define REPEAT_INTERVAL (10 * NS_PER_MINUTE)
#define CHANGE_INTERVAL (10 * NS_PER_SECOND)

static const char *trouble_message(enum export_trouble trouble)
{
    switch (trouble) {
    case EXPORT_UNREACHABLE:
        return "collector unreachable, will retry";
    case EXPORT_NO_ANSWER:
        return "collector does not answer, will retry";
    case EXPORT_LOCAL_TROUBLE:
        return "cannot export, will retry";
    case EXPORT_NO_TROUBLE:
    case EXPORT_REFUSES_CREDENTIALS:
    case EXPORT_WRONG_PATH:
    case EXPORT_REDIRECTS:
    case EXPORT_OVERLOADED:
    case EXPORT_SERVER_ERROR:
    case EXPORT_REFUSES_DATA:
    case EXPORT_NOT_A_COLLECTOR:
    case EXPORT_OTHER_TROUBLE:
        break;
    }
    return "collector does not accept records, will retry";
}

static void log_failure(struct exporter *exporter, timestamp_ns now, uint64_t suppressed)
{
    struct export_report *report = &exporter->report;
    char next_try[TIMESTAMP_TEXT_SIZE];
    duration_ns wait =
        exporter->plan.breaker.retry_at > now ? exporter->plan.breaker.retry_at - now : 0;
    report->is_logged = true;
    report->logged_at = now;
    report->logged_trouble = report->trouble;
    log_warn(trouble_message(report->trouble), LOG_STRING("endpoint", exporter->url),
             LOG_STRING("trouble", export_trouble_text(report->trouble)),
             LOG_STRING("error", report->message),
             LOG_INT("failures", exporter->plan.breaker.failures),
             LOG_STRING("next_try", duration_format_short(wait, next_try)),
             LOG_INT("suppressed", suppressed));
}

// Logs one line when the trouble begins, one when its kind changes, and one from time to time while it lasts.
void report_failure(struct exporter *exporter, enum export_trouble trouble, int http_status,
                    const char *message)
{
    struct export_report *report = &exporter->report;
    timestamp_ns now = timestamp_monotonic();
    if (report->trouble == EXPORT_NO_TROUBLE) {
        report->since = timestamp_now();
        report->is_logged = false;
    }
    report->trouble = trouble;
    report->http_status = http_status;
    engine_note_export(exporter->engine, export_trouble_text(trouble));
    (void)snprintf(report->message, sizeof report->message, "%s", message);

    uint64_t suppressed = 0;
    if (report->is_logged) {
        duration_ns least = report->logged_trouble == trouble ? REPEAT_INTERVAL : CHANGE_INTERVAL;
        if (now - report->logged_at < least)
            return;
    } else if (!log_limit_allows(&report->troubles, now, &suppressed)) {
        return;
    }
    log_failure(exporter, now, suppressed);
}

void report_forwarded_failure(struct exporter *exporter, const char *message)
{
    struct export_report *report = &exporter->report;
    uint64_t suppressed;
    report->forwarded_failures++;
    (void)snprintf(report->forwarded_message, sizeof report->forwarded_message, "%s", message);
    if (log_limit_allows(&report->forwarded, timestamp_monotonic(), &suppressed))
        log_warn("collector does not accept spans of other programs, will retry",
                 LOG_STRING("endpoint", exporter->url), LOG_STRING("error", message),
                 LOG_INT("failures", report->forwarded_failures),
                 LOG_INT("suppressed", suppressed));
}

static uint64_t count_waiting(const struct exporter *exporter)
{
    struct store_usage usage;
    return read_usage(exporter, &usage) ? usage.outbox_records : 0;
}

void report_end(struct exporter *exporter, timestamp_ns started)
{
    struct export_report *report = &exporter->report;
    char lasted[TIMESTAMP_TEXT_SIZE];
    if (report->trouble == EXPORT_NO_TROUBLE)
        return;
    report->trouble = EXPORT_NO_TROUBLE;
    engine_note_export(exporter->engine, NULL);
    if (report->is_logged)
        log_info(
            "collector is back", LOG_STRING("endpoint", exporter->url),
            LOG_STRING("lasted", duration_format_short(timestamp_monotonic() - started, lasted)),
            LOG_INT("records_waiting", count_waiting(exporter)));
    report->is_logged = false;
}

void report_dead_letter(struct exporter *exporter, uint64_t sequence, const char *reason)
{
    uint64_t suppressed;
    if (log_limit_allows(&exporter->report.dead_letters, timestamp_monotonic(), &suppressed))
        log_error("record refused by the collector, kept as dead letter",
                  LOG_INT("sequence", sequence), LOG_STRING("reason", reason),
                  LOG_STRING("endpoint", exporter->url), LOG_INT("suppressed", suppressed));
}

void report_quarantined(struct exporter *exporter, uint64_t sequence, const char *reason)
{
    uint64_t suppressed;
    if (log_limit_allows(&exporter->report.quarantine, timestamp_monotonic(), &suppressed))
        log_warn("record refused while others are accepted: quarantined, tried again now and then",
                 LOG_INT("sequence", sequence), LOG_STRING("reason", reason),
                 LOG_STRING("endpoint", exporter->url),
                 LOG_INT("quarantined_records", exporter->plan.quarantine.count),
                 LOG_INT("suppressed", suppressed));
}

void report_partial(struct exporter *exporter, int64_t rejected_spans, const char *message)
{
    uint64_t suppressed;
    if (log_limit_allows(&exporter->report.partial, timestamp_monotonic(), &suppressed))
        log_warn(rejected_spans > 0 ? "collector rejected spans" : "collector has a remark",
                 LOG_INT("rejected_spans", rejected_spans), LOG_STRING("message", message),
                 LOG_STRING("endpoint", exporter->url), LOG_INT("suppressed", suppressed));
}

void report_type(struct exporter *exporter, struct slice content_type)
{
    char shown[ANSWER_TEXT_SIZE];
    if (exporter->report.has_warned_of_type)
        return;
    exporter->report.has_warned_of_type = true;
    log_warn("collector answers success in an unexpected content type: taken as success",
             LOG_STRING("content_type", answer_clean(content_type, &exporter->made.masks, shown)),
             LOG_STRING("endpoint", exporter->url));
}
