// The daemon's own health.
#include "ghatrace/view/health_figures.h"
#include "metrics_text.h"

static double to_seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_SECOND;
}

static void put_deliveries(struct metrics_text *text, const struct ingress_counters *counters)
{
    static const char *const events[INGRESS_EVENTS] = {[INGRESS_JOB] = "workflow_job",
                                                       [INGRESS_RUN] = "workflow_run",
                                                       [INGRESS_PING] = "ping",
                                                       [INGRESS_OTHER] = "other"};
    static const char *const outcomes[INGRESS_OUTCOMES] = {
        [INGRESS_ACCEPTED] = "accepted", [INGRESS_DUPLICATE] = "duplicate",
        [INGRESS_IGNORED] = "ignored",   [INGRESS_NULL] = "malformed",
        [INGRESS_PONG] = "pong",         [INGRESS_REFUSED] = "refused"};
    metrics_family(text, "ghatrace_deliveries", METRICS_COUNTER,
                   "Deliveries that were rightly signed, since the start.");
    for (size_t event = 0; event < INGRESS_EVENTS; event++)
        for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++) {
            bool is_possible = event == INGRESS_PING    ? outcome == INGRESS_PONG
                               : event == INGRESS_OTHER ? outcome == INGRESS_IGNORED
                                                        : outcome != INGRESS_PONG;
            const struct metrics_label labels[] = {
                {"event", slice_from_string(events[event])},
                {"outcome", slice_from_string(outcomes[outcome])}};
            if (is_possible)
                metrics_sample(text, "ghatrace_deliveries", "_total", labels, 2,
                               (double)counters->deliveries[event][outcome]);
        }
}

static void put_refusals(struct metrics_text *text, const struct ingress_counters *counters,
                         const struct ingress_setup *setup)
{
    static const char *const reasons[INGRESS_REFUSALS] = {
        [INGRESS_BAD_SIGNATURE] = "signature", [INGRESS_MALFORMED] = "malformed",
        [INGRESS_NOT_ALLOWED] = "not_allowed", [INGRESS_TOO_LARGE] = "too_large",
        [INGRESS_TOO_SLOW] = "too_slow",       [INGRESS_UNAVAILABLE] = "unavailable",
        [INGRESS_OTHER_REFUSAL] = "other",
    };
    metrics_family(text, "ghatrace_requests_refused", METRICS_COUNTER,
                   "Requests to the webhook listener that were refused, since the start.");
    for (size_t i = 0; i < INGRESS_REFUSALS; i++) {
        const struct metrics_label label = {"reason", slice_from_string(reasons[i])};
        metrics_sample(text, "ghatrace_requests_refused", "_total", &label, 1,
                       (double)counters->refusals[i]);
    }
    metrics_single(text, "ghatrace_signature_failures", METRICS_COUNTER,
                   "Requests whose signature was missing or wrong, since the start.",
                   (double)counters->refusals[INGRESS_BAD_SIGNATURE]);
    metrics_single(
        text, "ghatrace_deliveries_to_other_paths", METRICS_COUNTER,
        "Requests with GitHub's fields to another path than the webhook's, since the start.",
        (double)setup->wrong_path.count);
    metrics_single(
        text, "ghatrace_signature_failures_slowed", METRICS_COUNTER,
        "Of these, those that were answered late because many came from there, since the start.",
        (double)counters->slowed);
    metrics_single(
        text, "ghatrace_connections_refused", METRICS_COUNTER,
        "Connections closed because of allow-from or max-connections-per-address, since the start.",
        (double)(counters->strangers + counters->crowded));
    metrics_single(text, "ghatrace_connections", METRICS_GAUGE,
                   "Connections to the webhook listener.", (double)counters->connections);
}

static void put_commits(struct metrics_text *text, const struct engine_counters *counters)
{
    double times[ENGINE_COMMIT_BOUNDS], sizes[ENGINE_BATCH_BOUNDS];
    uint64_t batches = 0;
    for (size_t i = 0; i < ENGINE_COMMIT_BOUNDS; i++)
        times[i] = to_seconds(engine_commit_bounds[i]);
    for (size_t i = 0; i < ENGINE_BATCH_BOUNDS; i++)
        sizes[i] = (double)engine_batch_bounds[i];
    for (size_t i = 0; i <= ENGINE_BATCH_BOUNDS; i++)
        batches += counters->batch_buckets[i];
    const struct metrics_histogram time = {.bounds = times,
                                           .bound_count = ENGINE_COMMIT_BOUNDS,
                                           .buckets = counters->commit_buckets,
                                           .count = counters->commits,
                                           .sum = to_seconds((int64_t)counters->commit_ns)};
    const struct metrics_histogram size = {.bounds = sizes,
                                           .bound_count = ENGINE_BATCH_BOUNDS,
                                           .buckets = counters->batch_buckets,
                                           .count = batches,
                                           .sum = (double)counters->batch_tasks};
    metrics_family(text, "ghatrace_commit_seconds", METRICS_HISTOGRAM,
                   "How long commits to the store took, sync to disk included, since the start.");
    metrics_put_histogram(text, "ghatrace_commit_seconds", NULL, 0, &time);
    metrics_family(text, "ghatrace_commit_tasks", METRICS_HISTOGRAM,
                   "How many deliveries and results of exports one commit took, since the start.");
    metrics_put_histogram(text, "ghatrace_commit_tasks", NULL, 0, &size);
}

static void put_ages(struct metrics_text *text, const struct engine_counters *counters)
{
    metrics_single(text, "ghatrace_commit_age_seconds", METRICS_GAUGE,
                   "For how long the present commit has been in progress; 0: none is.",
                   to_seconds(counters->batch_age));
    metrics_single(text, "ghatrace_commit_queue_oldest_age_seconds", METRICS_GAUGE,
                   "For how long the oldest delivery or result has waited to be stored.",
                   to_seconds(counters->queue_age));
}

static void put_dropped(struct metrics_text *text, const struct engine_counters *counters)
{
    static const char *const reasons[STORE_SHED_REASONS] = {
        [STORE_SHED_AGE] = "age", [STORE_SHED_SIZE] = "size", [STORE_SHED_ROOM] = "room"};
    metrics_family(text, "ghatrace_dead_letters_dropped", METRICS_COUNTER,
                   "Dead letters that were dropped, since the start: older than "
                   "dead-letters-max-age, beyond dead-letters-max-size, to make room for "
                   "deliveries.");
    for (size_t i = 0; i < STORE_SHED_REASONS; i++) {
        const struct metrics_label label = {"reason", slice_from_string(reasons[i])};
        metrics_sample(text, "ghatrace_dead_letters_dropped", "_total", &label, 1,
                       (double)counters->dead_letters_dropped[i]);
    }
}

static void put_outbox(struct metrics_text *text, const struct health_figures *figures,
                       timestamp_ns now)
{
    bool is_empty = figures->outbox_oldest == TIMESTAMP_UNKNOWN || figures->outbox_oldest > now;
    metrics_single(text, "ghatrace_outbox_records", METRICS_GAUGE,
                   "Finished jobs and runs that wait for the collector.",
                   (double)figures->usage.outbox_records);
    metrics_single(text, "ghatrace_outbox_bytes", METRICS_GAUGE, "Their size.",
                   (double)figures->usage.outbox_bytes);
    metrics_single(text, "ghatrace_outbox_oldest_age_seconds", METRICS_GAUGE,
                   "For how long the oldest of them has waited; 0 where there is none.",
                   is_empty ? 0 : to_seconds(now - figures->outbox_oldest));
    metrics_single(text, "ghatrace_dead_letters", METRICS_GAUGE,
                   "Records that the collector refused for good; see ghatrace requeue.",
                   (double)figures->usage.dead_letters);
    metrics_single(text, "ghatrace_dead_letter_bytes", METRICS_GAUGE, "Their size.",
                   (double)figures->usage.dead_letter_bytes);
    put_dropped(text, &figures->engine);
}

static void put_trouble(struct metrics_text *text, const struct export_status *status)
{
    metrics_family(
        text, "ghatrace_export_trouble", METRICS_GAUGE,
        "1 where records are not accepted for this reason at present; GET /api/status has "
        "the words of the collector.");
    for (int i = EXPORT_NO_TROUBLE + 1; i <= EXPORT_OTHER_TROUBLE; i++) {
        char words[HEALTH_CATEGORY_SIZE];
        enum export_trouble trouble = (enum export_trouble)i;
        const struct metrics_label category = {"category",
                                               slice_from_string(health_category(trouble, words))};
        metrics_sample(text, "ghatrace_export_trouble", "", &category, 1,
                       status->is_troubled && status->category == trouble ? 1 : 0);
    }
    metrics_single(text, "ghatrace_export_trouble_since_timestamp_seconds", METRICS_GAUGE,
                   "Since when records are not accepted; 0: they are.",
                   status->is_troubled ? to_seconds(status->since) : 0);
    metrics_single(text, "ghatrace_export_quarantined_records", METRICS_GAUGE,
                   "Records that were refused while others were accepted. They are kept, and tried "
                   "again now and then.",
                   (double)status->quarantined_records);
    metrics_single(text, "ghatrace_export_quarantined_bytes", METRICS_GAUGE, "Their size.",
                   (double)status->quarantined_bytes);
}

static void put_header_file(struct metrics_text *text, const struct export_header_file *file)
{
    struct export_header_file_status status = {.is_usable = true};
    if (file != NULL)
        export_header_file_read_status(file, &status);
    metrics_single(
        text, "ghatrace_export_header_file_usable", METRICS_GAUGE,
        "0 while otlp-header-file cannot be used and the last good headers stay, else 1.",
        status.is_usable ? 1 : 0);
}

static void put_export(struct metrics_text *text, const struct export_counters *counters)
{
    metrics_single(text, "ghatrace_export_requests", METRICS_COUNTER,
                   "Requests to the collector, since the start.", (double)counters->requests);
    metrics_single(text, "ghatrace_export_retries", METRICS_COUNTER,
                   "Of these, those that failed and were tried again, since the start.",
                   (double)counters->retries);
    metrics_family(text, "ghatrace_export_records", METRICS_COUNTER,
                   "Records that the collector took, or refused for good, since the start.");
    const struct metrics_label delivered = {"outcome", SLICE("delivered")};
    const struct metrics_label refused = {"outcome", SLICE("refused")};
    metrics_sample(text, "ghatrace_export_records", "_total", &delivered, 1,
                   (double)counters->sent_records);
    metrics_sample(text, "ghatrace_export_records", "_total", &refused, 1,
                   (double)counters->dead_letters);
    metrics_single(text, "ghatrace_export_rejected_spans", METRICS_COUNTER,
                   "Spans that the collector rejected of requests that it took, since the start.",
                   (double)counters->rejected_spans);
    metrics_single(text, "ghatrace_export_failures_in_a_row", METRICS_GAUGE,
                   "Requests that failed since the last one that did not.",
                   (double)counters->consecutive_failures);
}

static void put_notes(struct metrics_text *text, const struct store_usage *usage,
                      timestamp_ns oldest)
{
    const struct metrics_label deliveries = {"of", SLICE("deliveries")};
    const struct metrics_label jobs = {"of", SLICE("jobs")};
    const struct metrics_label runs = {"of", SLICE("runs")};
    const struct metrics_label roots = {"of", SLICE("roots")};
    metrics_family(text, "ghatrace_notes", METRICS_GAUGE,
                   "What is remembered for linger: deliveries, and jobs and runs whose spans went "
                   "out; and for 35 days: that a run had a root.");
    metrics_sample(text, "ghatrace_notes", "", &deliveries, 1, (double)usage->delivery_notes);
    metrics_sample(text, "ghatrace_notes", "", &jobs, 1, (double)usage->job_notes);
    metrics_sample(text, "ghatrace_notes", "", &runs, 1, (double)usage->run_notes);
    metrics_sample(text, "ghatrace_notes", "", &roots, 1, (double)usage->root_notes);
    metrics_single(text, "ghatrace_notes_bytes", METRICS_GAUGE, "Space that they take.",
                   (double)usage->note_bytes);
    metrics_single(text, "ghatrace_notes_shed", METRICS_COUNTER,
                   "Notes forgotten before their time, since the store had no room. Survives "
                   "restarts.",
                   (double)usage->sheds.total);
    metrics_single(text, "ghatrace_oldest_remembered_delivery_timestamp_seconds", METRICS_GAUGE,
                   "When the oldest delivery that is remembered came; 0: none is.",
                   to_seconds(oldest));
}

static void put_store(struct metrics_text *text, const struct health_figures *figures)
{
    const struct store_usage *usage = &figures->usage;
    metrics_single(text, "ghatrace_store_set_aside", METRICS_COUNTER,
                   "Stored entries that could not be read or written and were set aside, since the "
                   "store was made; ghatrace check lists them.",
                   (double)figures->set_aside.count);
    metrics_single(text, "ghatrace_store_unreadable", METRICS_COUNTER,
                   "Stored entries that an answer or a list left out because they could not be "
                   "read, each time. Since the start.",
                   (double)figures->unreadable);
    metrics_single(text, "ghatrace_store_used_bytes", METRICS_GAUGE, "Space in use in the store.",
                   (double)usage->used_bytes);
    metrics_single(text, "ghatrace_store_free_bytes", METRICS_GAUGE,
                   "Space left in the store; deliveries are refused while it is less than a tenth.",
                   (double)(usage->max_bytes - usage->used_bytes));
    metrics_single(text, "ghatrace_store_max_bytes", METRICS_GAUGE, "The setting db-max-size.",
                   (double)usage->max_bytes);
}

enum error_code metrics_put_health(struct metrics_text *text, const struct view_sources *sources,
                                   timestamp_ns now, struct error *error)
{
    struct health_figures figures;
    const struct metrics_label version = {"version", SLICE(GHATRACE_VERSION)};
    enum error_code code = health_figures_read(sources, &figures, error);
    if (code != ERROR_NONE)
        return code;
    put_deliveries(text, &figures.ingress);
    put_refusals(text, &figures.ingress, &figures.setup);
    metrics_single(text, "ghatrace_events_late", METRICS_COUNTER,
                   "Events of what had been sent already; they changed nothing. Since the start.",
                   (double)figures.engine.late);
    metrics_single(text, "ghatrace_last_delivery_timestamp_seconds", METRICS_GAUGE,
                   "When the last event was taken in; 0: none since the start.",
                   to_seconds(figures.engine.last_event_at));
    put_commits(text, &figures.engine);
    put_ages(text, &figures.engine);
    put_outbox(text, &figures, now);
    put_export(text, &figures.exporter);
    put_trouble(text, &figures.exporting);
    put_header_file(text, sources->header_file);
    put_store(text, &figures);
    put_notes(text, &figures.usage, figures.oldest_delivery);
    metrics_single(text, "ghatrace_finished_runs", METRICS_GAUGE, "Finished runs in the history.",
                   (double)figures.finished_runs);
    metrics_single(text, "ghatrace_ready", METRICS_GAUGE,
                   "1 when deliveries can be stored, else 0; GET /ready says why not.",
                   figures.is_ready ? 1 : 0);
    metrics_family(text, "ghatrace_build_info", METRICS_GAUGE,
                   "Always 1; the version is its label.");
    metrics_sample(text, "ghatrace_build_info", "", &version, 1, 1);
    metrics_single(text, "process_start_time_seconds", METRICS_GAUGE,
                   "When the process was started, in seconds since 1970.",
                   to_seconds(sources->started_at));
    return ERROR_NONE;
}
