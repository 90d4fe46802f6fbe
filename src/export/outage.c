// A collector that does not answer: how long to leave it alone, and what to say about it.
#include "exporter_private.h"

#include <stdio.h>

#include "ghatrace/base/log.h"

#define REPORT_INTERVAL NS_PER_MINUTE

static void on_pause_end(void *context)
{
    struct exporter *exporter = context;
    exporter->outage.is_pausing = false;
    exporter_pump(exporter);
}

enum error_code outage_init(struct exporter *exporter, const struct export_options *options,
                            struct error *error)
{
    struct export_outage *outage = &exporter->outage;
    backoff_init(&outage->backoff, options->backoff_first, options->backoff_max);
    return net_timer_create(exporter->loop, on_pause_end, exporter, &outage->timer, error);
}

void outage_release(struct export_outage *outage)
{
    if (outage->timer != NULL)
        net_timer_destroy(outage->timer);
    outage->timer = NULL;
}

static void pause_until(struct export_outage *outage, timestamp_ns now, duration_ns wait)
{
    outage->is_pausing = true;
    outage->pause_end = now + wait;
    net_timer_set(outage->timer, wait);
}

void outage_stop_pause(struct exporter *exporter)
{
    net_timer_cancel(exporter->outage.timer);
    exporter->outage.is_pausing = false;
}

void outage_forget_probe(struct export_outage *outage, const struct export_slot *slot)
{
    if (outage->probe == slot)
        outage->probe = NULL;
}

// Our own trouble, not the collector's.
static bool is_local(const struct error *error)
{
    switch (error->code) {
    case ERROR_NETWORK:
    case ERROR_TIMEOUT:
    case ERROR_CLOSED:
    case ERROR_INVALID:
        return false;
    default:
        return true;
    }
}

static enum export_trouble trouble_of(int http_status, const struct error *error)
{
    switch (http_status) {
    case 0:
        if (is_local(error))
            return EXPORT_LOCAL_TROUBLE;
        return error->code == ERROR_NETWORK ? EXPORT_UNREACHABLE : EXPORT_NO_ANSWER;
    case 429:
    case 503:
        return EXPORT_OVERLOADED;
    default:
        return http_status >= 500 ? EXPORT_SERVER_ERROR : EXPORT_OTHER_TROUBLE;
    }
}

const char *export_trouble_text(enum export_trouble trouble)
{
    static const char *const texts[] = {
        [EXPORT_NO_TROUBLE] = "no trouble",
        [EXPORT_UNREACHABLE] = "unreachable",
        [EXPORT_NO_ANSWER] = "does not answer",
        [EXPORT_REFUSES_CREDENTIALS] = "refuses credentials",
        [EXPORT_WRONG_PATH] = "wrong path",
        [EXPORT_REDIRECTS] = "redirects",
        [EXPORT_OVERLOADED] = "overloaded",
        [EXPORT_SERVER_ERROR] = "server error",
        [EXPORT_REFUSES_DATA] = "refuses data",
        [EXPORT_NOT_A_COLLECTOR] = "not a collector",
        [EXPORT_LOCAL_TROUBLE] = "local trouble",
        [EXPORT_OTHER_TROUBLE] = "other",
    };
    return texts[trouble];
}

// One line when it begins, then one a minute.
static void report_failure(struct exporter *exporter, timestamp_ns now, const struct error *error)
{
    struct export_outage *outage = &exporter->outage;
    char next_try[TIMESTAMP_TEXT_SIZE];
    if (now < outage->next_report)
        return;
    outage->next_report = now + REPORT_INTERVAL;
    log_warn(is_local(error) ? "cannot export, will retry" : "collector unreachable, will retry",
             LOG_STRING("endpoint", exporter->url), LOG_REASON(error),
             LOG_INT("failures", outage->failures),
             LOG_STRING("next_try", duration_format_short(outage->pause_end - now, next_try)));
}

void outage_add_failure(struct exporter *exporter, const struct export_slot *slot, int http_status,
                        duration_ns retry_after, const struct error *error)
{
    struct export_outage *outage = &exporter->outage;
    timestamp_ns now = timestamp_monotonic();
    duration_ns asked = backoff_honour(retry_after, 0);

    if (outage->is_pausing || (outage->probe != NULL && outage->probe != slot)) {
        // One of several that went out before it was known: the same outage, not a longer one.
        if (outage->is_pausing && now + asked > outage->pause_end)
            pause_until(outage, now, asked);
        return;
    }
    outage->probe = NULL;
    if (outage->failures++ == 0)
        outage->since = timestamp_now();
    outage->trouble = trouble_of(http_status, error);
    outage->http_status = http_status;
    (void)snprintf(outage->message, sizeof outage->message, "%s", error->message);
    duration_ns step =
        backoff_step(&outage->backoff, exporter->tuning.random(exporter->tuning.random_context));
    pause_until(outage, now, backoff_honour(retry_after, step));
    report_failure(exporter, now, error);
}

static uint64_t count_waiting(struct exporter *exporter)
{
    struct store_transaction *transaction;
    struct store_usage usage = {.outbox_records = 0};
    struct error error;
    if (store_begin(exporter->store, false, &transaction, &error) != ERROR_NONE)
        return 0;
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    return usage.outbox_records;
}

void outage_end(struct exporter *exporter, const struct export_slot *slot)
{
    struct export_outage *outage = &exporter->outage;
    outage_forget_probe(outage, slot);
    // An answer to what went out before the pause does not end it: the collector may have asked for
    // it. The probe will tell.
    if (outage->failures == 0 || outage->is_pausing)
        return;
    log_info("collector is back", LOG_STRING("endpoint", exporter->url),
             LOG_INT("failures", outage->failures),
             LOG_INT("records_waiting", count_waiting(exporter)));
    outage->failures = 0;
    outage->probe = NULL;
    outage->next_report = 0;
    backoff_reset(&outage->backoff);
}
