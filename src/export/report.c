// The exporter's log lines, which an endpoint must not be able to multiply, and its status.
#include "exporter_private.h"

#include <stdio.h>
#include <string.h>

#include "ghatrace/base/log.h"

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
             LOG_STRING("content_type", answer_clean(content_type, &exporter->masks, shown)),
             LOG_STRING("endpoint", exporter->url));
}
