// The daemon's own figures.
#include "health.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/stats/runs.h"

// --- reading the figures --------------------------------------------------------------------------

static enum error_code read_outbox(struct store_transaction *transaction,
                                   struct health_figures *figures, struct error *error)
{
    struct store_record record;
    uint64_t sequence = 0;
    uint32_t size;
    enum error_code code = store_seek_own(transaction, &sequence, &size, error);
    if (code == ERROR_NONE)
        code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NONE)
        figures->outbox_oldest = record.finished_at;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

const char *health_category(enum export_trouble trouble, char text[HEALTH_CATEGORY_SIZE])
{
    size_t len = 0;
    for (const char *c = export_trouble_text(trouble); *c != '\0' && len + 1 < HEALTH_CATEGORY_SIZE;
         c++)
        text[len++] = *c == ' ' ? '_' : *c;
    text[len] = '\0';
    return text;
}

struct setup_facts health_setup_facts(const struct view_sources *sources,
                                      const struct health_figures *figures)
{
    return (struct setup_facts){.ingress = &figures->setup,
                                .last_event_at = figures->engine.last_event_at,
                                .webhook_path = sources->webhook_path,
                                .export_url = sources->export_url,
                                .exporting = &figures->exporting,
                                .exported_records = figures->exporter.sent_records,
                                .arc = figures->arc,
                                .now = figures->now};
}

static bool has_usable_headers(const struct export_header_file *file)
{
    struct export_header_file_status status = {.is_usable = true};
    if (file != NULL)
        export_header_file_read_status(file, &status);
    return status.is_usable;
}

enum error_code health_figures_read(const struct view_sources *sources, timestamp_ns now,
                                    struct health_figures *figures, struct error *error)
{
    struct store_transaction *transaction;
    *figures =
        (struct health_figures){.is_ready = true,
                                .now = now,
                                .started_at = sources->started_at,
                                .has_usable_headers = has_usable_headers(sources->header_file)};
    if (sources->engine != NULL) {
        figures->is_ready = engine_ready(sources->engine, &figures->trouble) == ERROR_NONE;
        engine_read_counters(sources->engine, &figures->engine);
        engine_read_overflow(sources->engine, &figures->overflow);
    }
    if (sources->ingress != NULL) {
        if (figures->is_ready)
            figures->is_ready = ingress_ready(sources->ingress, &figures->trouble) == ERROR_NONE;
        ingress_read_counters(sources->ingress, &figures->ingress);
        ingress_read_setup(sources->ingress, &figures->setup);
    }
    if (sources->receiver != NULL)
        receiver_read_counters(sources->receiver, &figures->receiver);
    figures->arc =
        setup_arc_facts(&figures->engine, sources->receiver != NULL ? &figures->receiver : NULL,
                        sources->has_arc_runners);
    if (sources->exporter != NULL) {
        exporter_read_counters(sources->exporter, &figures->exporter);
        exporter_read_status(sources->exporter, &figures->exporting);
    }
    if (sources->metrics_push != NULL) {
        metrics_push_read_counters(sources->metrics_push, &figures->pushed);
        metrics_push_read_status(sources->metrics_push, &figures->pushing);
    }
    if (sources->notices != NULL)
        notices_read_counters(sources->notices, &figures->notices);
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    store_read_usage(transaction, &figures->usage);
    figures->own_records = figures->usage.outbox_records - figures->usage.forwarded_records;
    figures->own_bytes = figures->usage.outbox_bytes - figures->usage.forwarded_bytes;
    figures->open_runs = open_runs_count(transaction);
    figures->finished_runs = recent_count(transaction);
    figures->unreadable = store_unreadable_ever(sources->store);
    code = store_oldest_delivery(transaction, &figures->oldest_delivery, error);
    if (code == ERROR_NONE)
        code = read_outbox(transaction, figures, error);
    if (code == ERROR_NONE)
        code = store_read_set_aside_totals(transaction, &figures->set_aside, error);
    store_abort(transaction);
    return code;
}

// --- families that are not plain numbers ----------------------------------------------------------

static void put_deliveries(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_family(text, "ghatrace_deliveries", METRICS_COUNTER,
                   "Deliveries with a valid signature, since the start.");
    for (size_t i = 0; i < GITHUB_EVENT_KINDS; i++)
        for (size_t k = 0; k < INGRESS_OUTCOMES; k++) {
            enum github_event_kind event = (enum github_event_kind)i;
            enum ingress_outcome outcome = (enum ingress_outcome)k;
            const struct metrics_label labels[] = {
                {"event", slice_from_string(github_event_name(event))},
                {"outcome", slice_from_string(ingress_outcome_names[outcome])}};
            if (ingress_outcome_is_possible(event, outcome))
                metrics_sample(text, "ghatrace_deliveries", "_total",
                               (struct metrics_labels){labels, 2},
                               (double)figures->ingress.deliveries[event][outcome]);
        }
}

static void put_closed_connections(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_single(
        text, "ghatrace_connections_refused", METRICS_COUNTER,
        "Connections closed because of allow-from or max-connections-per-address, since the start.",
        (double)(figures->ingress.rejected_network + figures->ingress.rejected_per_address));
}

static void put_last_delivery(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_single(text, "ghatrace_last_delivery_timestamp_seconds", METRICS_GAUGE,
                   "When the last event was accepted; 0: none since the start.",
                   metrics_seconds(figures->engine.last_event_at));
}

static void put_commits(struct metrics_text *text, const struct health_figures *figures)
{
    const struct engine_counters *counters = &figures->engine;
    double times[ENGINE_COMMIT_BOUNDS], sizes[ENGINE_BATCH_BOUNDS];
    uint64_t batches = 0;
    for (size_t i = 0; i < ENGINE_COMMIT_BOUNDS; i++)
        times[i] = metrics_seconds(engine_commit_bounds[i]);
    for (size_t i = 0; i < ENGINE_BATCH_BOUNDS; i++)
        sizes[i] = (double)engine_batch_bounds[i];
    for (size_t i = 0; i <= ENGINE_BATCH_BOUNDS; i++)
        batches += counters->batch_buckets[i];
    const struct metrics_histogram time = {.bounds = times,
                                           .bound_count = ENGINE_COMMIT_BOUNDS,
                                           .buckets = counters->commit_buckets,
                                           .count = counters->commits,
                                           .sum = metrics_seconds((int64_t)counters->commit_ns)};
    const struct metrics_histogram size = {.bounds = sizes,
                                           .bound_count = ENGINE_BATCH_BOUNDS,
                                           .buckets = counters->batch_buckets,
                                           .count = batches,
                                           .sum = (double)counters->batch_tasks};
    metrics_family(text, "ghatrace_commit_seconds", METRICS_HISTOGRAM,
                   "How long commits to the store took, sync to disk included, since the start.");
    metrics_put_histogram(text, "ghatrace_commit_seconds", metrics_no_labels, &time);
    metrics_family(text, "ghatrace_commit_tasks", METRICS_HISTOGRAM,
                   "How many deliveries and results of exports one commit held, since the start.");
    metrics_put_histogram(text, "ghatrace_commit_tasks", metrics_no_labels, &size);
}

static void put_commit_queue(struct metrics_text *text, const struct health_figures *figures)
{
    const struct engine_counters *counters = &figures->engine;
    metrics_single(text, "ghatrace_commit_age_seconds", METRICS_GAUGE,
                   "For how long the present commit has been in progress; 0: none is.",
                   metrics_seconds(counters->batch_age));
    metrics_single(text, "ghatrace_commit_queue_tasks", METRICS_GAUGE,
                   "Deliveries and results of exports that wait to be stored.",
                   (double)counters->queue_tasks);
    metrics_single(text, "ghatrace_commit_queue_oldest_age_seconds", METRICS_GAUGE,
                   "For how long the oldest delivery or result has waited to be stored.",
                   metrics_seconds(counters->queue_age));
}

static void put_outbox_age(struct metrics_text *text, const struct health_figures *figures)
{
    bool is_empty =
        figures->outbox_oldest == TIMESTAMP_UNKNOWN || figures->outbox_oldest > figures->now;
    metrics_single(text, "ghatrace_outbox_oldest_age_seconds", METRICS_GAUGE,
                   "For how long the oldest of them has waited; 0 where there is none.",
                   is_empty ? 0 : metrics_seconds(figures->now - figures->outbox_oldest));
}

static void put_export_records(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_family(text, "ghatrace_export_records", METRICS_COUNTER,
                   "Records that the collector accepted, or refused for good, since the start.");
    const struct metrics_label delivered = {"outcome", SLICE("delivered")};
    const struct metrics_label refused = {"outcome", SLICE("refused")};
    metrics_sample(text, "ghatrace_export_records", "_total", metrics_one_label(&delivered),
                   (double)figures->exporter.sent_records);
    metrics_sample(text, "ghatrace_export_records", "_total", metrics_one_label(&refused),
                   (double)figures->exporter.dead_letters);
}

static void put_trouble(struct metrics_text *text, const struct health_figures *figures)
{
    const struct export_status *status = &figures->exporting;
    metrics_family(
        text, "ghatrace_export_trouble", METRICS_GAUGE,
        "1 where records are not accepted for this reason at present; GET /api/status has "
        "the words of the collector.");
    for (int i = EXPORT_NO_TROUBLE + 1; i <= EXPORT_OTHER_TROUBLE; i++) {
        char words[HEALTH_CATEGORY_SIZE];
        enum export_trouble trouble = (enum export_trouble)i;
        const struct metrics_label category = {"category",
                                               slice_from_string(health_category(trouble, words))};
        metrics_sample(text, "ghatrace_export_trouble", "", metrics_one_label(&category),
                       status->is_troubled && status->category == trouble ? 1 : 0);
    }
    metrics_single(text, "ghatrace_export_trouble_since_timestamp_seconds", METRICS_GAUGE,
                   "Since when records are not accepted; 0: they are.",
                   status->is_troubled ? metrics_seconds(status->since) : 0);
}

static void put_header_file(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_single(
        text, "ghatrace_export_header_file_usable", METRICS_GAUGE,
        "0 while otlp-header-file cannot be used and the last valid headers stay in use, else 1.",
        figures->has_usable_headers ? 1 : 0);
}

static void put_push_times(struct metrics_text *text, const struct health_figures *figures)
{
    const struct metrics_push_status *status = &figures->pushing;
    metrics_single(text, "ghatrace_metrics_push_accepted_timestamp_seconds", METRICS_GAUGE,
                   "When a snapshot of metrics was last accepted; 0: none since the start.",
                   metrics_seconds(status->accepted_at));
    metrics_single(text, "ghatrace_metrics_push_trouble_since_timestamp_seconds", METRICS_GAUGE,
                   "Since when snapshots of metrics are not accepted; 0: they are, or none is "
                   "pushed.",
                   status->is_troubled ? metrics_seconds(status->since) : 0);
}

static void put_free_bytes(struct metrics_text *text, const struct health_figures *figures)
{
    const struct store_usage *usage = &figures->usage;
    metrics_single(text, "ghatrace_store_free_bytes", METRICS_GAUGE,
                   "Space left in the store; deliveries are refused while it is less than a tenth.",
                   (double)(usage->max_bytes - usage->used_bytes));
}

static void put_notes(struct metrics_text *text, const struct health_figures *figures)
{
    const struct store_usage *usage = &figures->usage;
    const struct metrics_label deliveries = {"of", SLICE("deliveries")};
    const struct metrics_label jobs = {"of", SLICE("jobs")};
    const struct metrics_label runs = {"of", SLICE("runs")};
    const struct metrics_label roots = {"of", SLICE("roots")};
    metrics_family(text, "ghatrace_notes", METRICS_GAUGE,
                   "Notes kept for linger: of deliveries, and of jobs and runs whose spans were "
                   "sent; and for 35 days, of runs that had a root.");
    metrics_sample(text, "ghatrace_notes", "", metrics_one_label(&deliveries),
                   (double)usage->delivery_notes);
    metrics_sample(text, "ghatrace_notes", "", metrics_one_label(&jobs), (double)usage->job_notes);
    metrics_sample(text, "ghatrace_notes", "", metrics_one_label(&runs), (double)usage->run_notes);
    metrics_sample(text, "ghatrace_notes", "", metrics_one_label(&roots),
                   (double)usage->root_notes);
}

static void put_oldest_delivery(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_single(text, "ghatrace_oldest_remembered_delivery_timestamp_seconds", METRICS_GAUGE,
                   "When the oldest recorded delivery was received; 0: there is none.",
                   metrics_seconds(figures->oldest_delivery));
}

static void put_build(struct metrics_text *text, const struct health_figures *figures)
{
    const struct metrics_label version = {"version", SLICE(GHATRACE_VERSION)};
    metrics_single(text, "ghatrace_ready", METRICS_GAUGE,
                   "1 when deliveries can be stored, else 0; GET /ready says why not.",
                   figures->is_ready ? 1 : 0);
    metrics_family(text, "ghatrace_build_info", METRICS_GAUGE,
                   "Always 1; the version is its label.");
    metrics_sample(text, "ghatrace_build_info", "", metrics_one_label(&version), 1);
    metrics_single(text, "process_start_time_seconds", METRICS_GAUGE,
                   "When the process was started, in seconds since 1970.",
                   metrics_seconds(figures->started_at));
}

// --- the list of figures, for /metrics and /api/status --------------------------------------------

// A figure whose C type is not uint64_t does not compile.
#define FIGURE(member)                                                                             \
    .field = _Generic(((struct health_figures *)0)->member, uint64_t                               \
                      : offsetof(struct health_figures, member))
#define FIGURES(member, label_name, label_values)                                                  \
    .field = _Generic(((struct health_figures *)0)->member[0], uint64_t                            \
                      : offsetof(struct health_figures, member)),                                  \
    .label = (label_name), .names = (label_values),                                                \
    .count = sizeof(((struct health_figures *)0)->member) / sizeof(uint64_t)
#define IN_API(object_name, member_name) .object = (object_name), .name = (member_name)

// clang-format off
const struct health_family health_families[] = {
    {.write = put_deliveries},
    {"ghatrace_requests_refused", METRICS_COUNTER,
     "Requests to the webhook listener that were refused, since the start.",
     FIGURES(ingress.refusals, "reason", ingress_refusal_names), IN_API("deliveries", "requests_refused")},
    {"ghatrace_signature_failures", METRICS_COUNTER,
     "Requests whose signature was missing or wrong, since the start.",
     FIGURE(ingress.refusals[HTTP_BAD_CREDENTIALS])},
    {"ghatrace_deliveries_to_other_paths", METRICS_COUNTER,
     "Requests with GitHub's fields to another path than the webhook's, since the start.",
     FIGURE(setup.wrong_path.count), IN_API("deliveries", "other_path")},
    {"ghatrace_signature_failures_slowed", METRICS_COUNTER,
     "Requests with a missing or wrong signature whose response was delayed, because of many failures of one client, since the start.",
     FIGURE(ingress.delayed_401)},
    {.write = put_closed_connections},
    {"ghatrace_connections", METRICS_GAUGE,
     "Connections to the webhook listener.", FIGURE(ingress.connections)},
    {"ghatrace_events_late", METRICS_COUNTER,
     "Events about spans that had been sent already; they changed nothing. Since the start.",
     FIGURE(engine.late), IN_API("deliveries", "late")},
    {"ghatrace_pool_wait_disagreements", METRICS_COUNTER,
     "Waits for a runner that were counted in ghatrace_pool_queue_wait_seconds when the job started, and "
     "of which a later event had other times, since the start.",
     FIGURE(engine.wait_disagreements)},
    {"ghatrace_arc_assignments", METRICS_COUNTER,
     "Assignments of jobs that ARC reported and that were taken, since the start.",
     FIGURE(engine.assignments), IN_API("arc", "assignments")},
    {"ghatrace_arc_assignments_late", METRICS_COUNTER,
     "Assignments that were reported after the job's spans had been sent, and later than arc-grace "
     "if it waited for them; they changed nothing. Since the start.",
     FIGURE(engine.assignments_late), IN_API("arc", "late")},
    {"ghatrace_arc_assignments_missing", METRICS_COUNTER,
     "Jobs that arc-runners selects and of which ARC reported no assignment within arc-grace, since the start.",
     FIGURE(engine.assignments_missing), IN_API("arc", "missing")},
    {"ghatrace_arc_reports", METRICS_COUNTER,
     "What ARC reported of jobs, by what became of it; expired and shed ones were counted as held before. Since the start.",
     FIGURES(arc.reports, "outcome", arc_outcome_names), IN_API("arc", "reports")},
    {"ghatrace_forwarded_spans", METRICS_COUNTER,
     "Spans of programs inside jobs, by what became of them; held ones are counted again when they are released or dropped. "
     "Since the start.",
     FIGURES(engine.forwarded, "outcome", forward_outcome_names), IN_API("otlp", "forwarded")},
    {"ghatrace_forwarded_spans_foreseen", METRICS_COUNTER,
     "Spans of programs inside jobs that were passed on with an ID that a span of ours was given later, since the start.",
     FIGURE(engine.forwarded_foreseen), IN_API("otlp", "foreseen")},
    {"ghatrace_otlp_requests", METRICS_COUNTER,
     "Requests to otlp-listen, since the start.", FIGURE(receiver.requests), IN_API("otlp", "requests")},
    {"ghatrace_otlp_requests_refused", METRICS_COUNTER,
     "Requests to otlp-listen that were refused, since the start.",
     FIGURES(receiver.refusals, "reason", receiver_refusal_names), IN_API("otlp", "requests_refused")},
    {"ghatrace_otlp_spans", METRICS_COUNTER,
     "Spans in requests to otlp-listen, by the role of the token, since the start.",
     FIGURES(receiver.spans, "role", receiver_role_names), IN_API("otlp", "spans")},
    {"ghatrace_otlp_spans_not_arc", METRICS_COUNTER,
     "Spans that were refused because an arc token may send ARC's spans only, since the start.",
     FIGURE(receiver.not_arc), IN_API("otlp", "not_arc")},
    {"ghatrace_otlp_spans_arc_named", METRICS_COUNTER,
     "Spans with the names of ARC's that came with a job token, which cannot report anything, since the start.",
     FIGURE(receiver.arc_named), IN_API("otlp", "arc_named")},
    {"ghatrace_otlp_connections", METRICS_GAUGE,
     "Connections to otlp-listen.", FIGURE(receiver.connections)},
    {"ghatrace_otlp_connections_refused", METRICS_COUNTER,
     "Connections to otlp-listen that were closed because one address had too many, since the start.",
     FIGURE(receiver.rejected_per_address)},
    {"ghatrace_series_displaced", METRICS_COUNTER,
     "Sets of labels that were in use within a day and are counted as other, because metrics-max-series were in use; since the start.",
     FIGURE(overflow.sets)},
    {"ghatrace_pools_folded", METRICS_COUNTER,
     "Jobs that were counted in the pool (one-off), each time they were, because metrics-max-pools were in use; since the start.",
     FIGURE(overflow.folded)},
    {.write = put_last_delivery},
    {.write = put_commits},
    {.write = put_commit_queue},
    {"ghatrace_outbox_records", METRICS_GAUGE,
     "Finished jobs and runs that wait for the collector.",
     FIGURE(own_records), IN_API("outbox", "records")},
    {"ghatrace_outbox_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(own_bytes), IN_API("outbox", "bytes")},
    {"ghatrace_outbox_forwarded_records", METRICS_GAUGE,
     "Records with spans that were sent with a job token and wait for the collector.",
     FIGURE(usage.forwarded_records), IN_API("outbox", "forwarded_records")},
    {"ghatrace_outbox_forwarded_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(usage.forwarded_bytes), IN_API("outbox", "forwarded_bytes")},
    {.write = put_outbox_age},
    {"ghatrace_dead_letters", METRICS_GAUGE,
     "Records that the collector refused for good; see ghatrace requeue.",
     FIGURE(usage.dead_letters), IN_API("", "dead_letters")},
    {"ghatrace_dead_letter_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(usage.dead_letter_bytes), IN_API("", "dead_letter_bytes")},
    {"ghatrace_dead_letters_forwarded", METRICS_GAUGE,
     "Of the dead letters, those with spans that were sent with a job token.",
     FIGURE(usage.forwarded_dead_letters), IN_API("", "forwarded_dead_letters")},
    {"ghatrace_dead_letter_forwarded_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(usage.forwarded_dead_bytes), IN_API("", "forwarded_dead_letter_bytes")},
    {"ghatrace_dead_letters_dropped", METRICS_COUNTER,
     "Dead letters that were dropped, since the start: older than dead-letters-max-age, beyond "
     "dead-letters-max-size, to make room for deliveries.",
     FIGURES(engine.dead_letters_dropped, "reason", store_shed_names), IN_API("", "dead_letters_dropped")},
    {"ghatrace_export_requests", METRICS_COUNTER,
     "Requests to the collector, since the start.", FIGURE(exporter.requests)},
    {"ghatrace_export_retries", METRICS_COUNTER,
     "Requests to the collector that failed and were tried again, since the start.", FIGURE(exporter.retries)},
    {.write = put_export_records},
    {"ghatrace_export_rejected_spans", METRICS_COUNTER,
     "Spans that the collector rejected from requests that it accepted, since the start.",
     FIGURE(exporter.rejected_spans)},
    {"ghatrace_export_failures_in_a_row", METRICS_GAUGE,
     "Requests that failed since the last one that succeeded.",
     FIGURE(exporter.consecutive_failures), IN_API("export", "failures_in_a_row")},
    {"ghatrace_export_forwarded_failures_in_a_row", METRICS_GAUGE,
     "Requests with spans that were sent with a job token that failed since the last one that succeeded.",
     FIGURE(exporting.forwarded_failures), IN_API("export", "forwarded_failures_in_a_row")},
    {.write = put_trouble},
    {"ghatrace_export_quarantined_records", METRICS_GAUGE,
     "Records that were refused while others were accepted. They are kept, and tried again at intervals.",
     FIGURE(exporting.quarantined_records)},
    {"ghatrace_export_quarantined_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(exporting.quarantined_bytes)},
    {.write = put_header_file},
    {"ghatrace_metrics_push_requests", METRICS_COUNTER,
     "Requests with metrics to the collector, since the start.", FIGURE(pushed.requests), IN_API("metrics_push", "requests")},
    {"ghatrace_metrics_push_snapshots", METRICS_COUNTER,
     "Snapshots of metrics that the collector accepted, since the start.",
     FIGURE(pushed.snapshots), IN_API("metrics_push", "snapshots")},
    {"ghatrace_metrics_push_failures", METRICS_COUNTER,
     "Snapshots of metrics that were not accepted, since the start. A later one has what they had.",
     FIGURE(pushed.failures), IN_API("metrics_push", "failures")},
    {"ghatrace_metrics_push_rejected_points", METRICS_COUNTER,
     "Data points that the collector rejected from requests that it accepted, since the start.",
     FIGURE(pushed.rejected_points), IN_API("metrics_push", "rejected_points")},
    {"ghatrace_metrics_push_failures_in_a_row", METRICS_GAUGE,
     "Snapshots of metrics that were not accepted since the last one that was.",
     FIGURE(pushed.failures_in_a_row), IN_API("metrics_push", "failures_in_a_row")},
    {.write = put_push_times},
    {"ghatrace_notices_sent", METRICS_COUNTER,
     "Notices of pools in trouble, and of its end, that receivers accepted, since the start.",
     FIGURE(notices.sent), IN_API("notices", "sent")},
    {"ghatrace_notices_cancelled", METRICS_COUNTER,
     "Notices that were not sent because the trouble was over, or back, before they were, since the start.",
     FIGURE(notices.cancelled), IN_API("notices", "cancelled")},
    {"ghatrace_notices_failures", METRICS_COUNTER,
     "Requests with notices that a receiver did not accept, since the start.",
     FIGURE(notices.failures), IN_API("notices", "failures")},
    {"ghatrace_notices_dropped", METRICS_COUNTER,
     "Notices that were dropped, since the start: not accepted within 24 h, refused five times, beyond the 1,000 "
     "troubles that are kept for a receiver, or of a receiver that is no longer in notify-url-file.",
     FIGURES(notices.dropped, "reason", notice_drop_names), IN_API("notices", "dropped")},
    {"ghatrace_notices_pending", METRICS_GAUGE,
     "Notices that wait to be sent.", FIGURE(notices.pending), IN_API("notices", "pending")},
    {"ghatrace_notices_receivers", METRICS_GAUGE,
     "Receivers in notify-url-file.", FIGURE(notices.receivers)},
    {"ghatrace_notices_receivers_troubled", METRICS_GAUGE,
     "Receivers whose last request was not accepted.", FIGURE(notices.troubled)},
    {"ghatrace_store_set_aside", METRICS_COUNTER,
     "Stored entries that could not be read or written and were set aside, since the store was made; "
     "ghatrace check lists them.",
     FIGURE(set_aside.count)},
    {"ghatrace_store_unreadable", METRICS_COUNTER,
     "Stored entries that a response or a list omitted because they could not be read, each time. "
     "Since the start.",
     FIGURE(unreadable)},
    {"ghatrace_store_used_bytes", METRICS_GAUGE, "Space in use in the store.",
     FIGURE(usage.used_bytes), IN_API("store", "used_bytes")},
    {.write = put_free_bytes},
    {"ghatrace_store_max_bytes", METRICS_GAUGE, "The setting db-max-size.",
     FIGURE(usage.max_bytes), IN_API("store", "max_bytes")},
    {.write = put_notes},
    {"ghatrace_notes_bytes", METRICS_GAUGE, "Space that they use.", FIGURE(usage.note_bytes)},
    {"ghatrace_notes_shed", METRICS_COUNTER,
     "Notes dropped early because the store had no room. Survives restarts.",
     FIGURE(usage.sheds.total)},
    {.write = put_oldest_delivery},
    {"ghatrace_finished_runs", METRICS_GAUGE, "Finished runs in the history.", FIGURE(finished_runs)},
    {.write = put_build},
};
// clang-format on
const size_t health_family_count = sizeof health_families / sizeof health_families[0];

uint64_t health_number(const struct health_figures *figures, const struct health_family *family,
                       size_t place)
{
    uint64_t number;
    memcpy(&number, (const char *)figures + family->field + place * sizeof number, sizeof number);
    return number;
}

static void put_health_family(struct metrics_text *text, const struct health_figures *figures,
                              const struct health_family *family)
{
    const char *suffix = family->type == METRICS_COUNTER ? "_total" : "";
    metrics_family(text, family->metric, family->type, family->help);
    if (family->label == NULL)
        metrics_sample(text, family->metric, suffix, metrics_no_labels,
                       (double)health_number(figures, family, 0));
    for (size_t i = 0; i < family->count; i++) {
        const struct metrics_label label = {family->label, slice_from_string(family->names[i])};
        metrics_sample(text, family->metric, suffix, metrics_one_label(&label),
                       (double)health_number(figures, family, i));
    }
}

void health_put_families(struct metrics_text *text, const struct health_figures *figures)
{
    for (size_t i = 0; i < health_family_count; i++) {
        if (health_families[i].write != NULL)
            health_families[i].write(text, figures);
        else
            put_health_family(text, figures, &health_families[i]);
    }
}

// --- the process ----------------------------------------------------------------------------------
// Metrics of the process from the operating system, with the names used by Prometheus' client libraries.

static double processor_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// The second number of /proc/self/statm: resident pages, including those of the mapped store. -1: no such file.
static double resident_bytes(void)
{
    long long pages = -1;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%*d %lld", &pages) != 1)
        pages = -1;
    (void)fclose(file);
    return pages < 0 ? -1 : (double)pages * (double)sysconf(_SC_PAGESIZE);
}

// -1: not available.
static double open_descriptors(void)
{
    double count = -1; // excludes the descriptor of the folder itself
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -1;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.' ? 1 : 0;
    (void)closedir(folder);
    return count;
}

static void put_gauge_if_known(struct metrics_text *text, const char *name, const char *help,
                               double value)
{
    if (value >= 0)
        metrics_single(text, name, METRICS_GAUGE, help, value);
}

void health_put_process(struct metrics_text *text)
{
    struct rlimit limit;
    metrics_single(text, "ghatrace_log_lines_dropped", METRICS_COUNTER,
                   "Log lines dropped because standard error did not accept them, since the start.",
                   (double)log_dropped_lines());
    metrics_single(text, "process_cpu_seconds", METRICS_COUNTER, "Processor time used, in seconds.",
                   processor_seconds());
    put_gauge_if_known(text, "process_resident_memory_bytes",
                       "Memory in use, with the pages of the store that are in memory.",
                       resident_bytes());
    put_gauge_if_known(text, "process_open_fds", "Descriptors in use.", open_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_single(text, "process_max_fds", METRICS_GAUGE, "How many descriptors there may be.",
                       (double)limit.rlim_cur);
}
