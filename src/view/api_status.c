// Is ghatrace healthy, and has it lost anything?
#include "api_parts.h"
#include "ghatrace/tally/open_runs.h"
#include "ghatrace/tally/recent.h"
#include "ghatrace/view/health_figures.h"

static const char *const outcomes[INGRESS_OUTCOMES] = {
    [INGRESS_ACCEPTED] = "accepted", [INGRESS_DUPLICATE] = "duplicate",
    [INGRESS_IGNORED] = "ignored",   [INGRESS_NULL] = "malformed",
    [INGRESS_PONG] = "pong",         [INGRESS_REFUSED] = "unavailable"};

static void put_events(struct json_out *json, const struct ingress_counters *counters)
{
    static const char *const events[INGRESS_EVENTS] = {[INGRESS_JOB] = "workflow_job",
                                                       [INGRESS_RUN] = "workflow_run",
                                                       [INGRESS_PING] = "ping",
                                                       [INGRESS_OTHER] = "other"};
    json_out_open_object(json, "by_event");
    for (size_t event = 0; event < INGRESS_EVENTS; event++) {
        json_out_open_object(json, events[event]);
        for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++)
            json_out_count(json, outcomes[outcome], counters->deliveries[event][outcome]);
        json_out_close_object(json);
    }
    json_out_close_object(json);
}

static void put_deliveries(struct json_out *json, const struct health_figures *figures)
{
    json_out_open_object(json, "deliveries");
    for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++) {
        uint64_t sum = 0;
        for (size_t event = 0; event < INGRESS_EVENTS; event++)
            sum += figures->ingress.deliveries[event][outcome];
        json_out_count(json, outcomes[outcome], sum);
    }
    json_out_count(json, "bad_signature", figures->ingress.refusals[INGRESS_BAD_SIGNATURE]);
    json_out_count(json, "bad_request", figures->ingress.refusals[INGRESS_MALFORMED]);
    json_out_count(json, "other_path", figures->setup.wrong_path.count);
    json_out_count(json, "late", figures->engine.late);
    put_events(json, &figures->ingress);
    json_out_close_object(json);
}

static void put_header_file(struct json_out *json, const struct export_header_file *file)
{
    struct export_header_file_status status;
    if (file == NULL) {
        json_out_null(json, "header_file");
        return;
    }
    export_header_file_read_status(file, &status);
    json_out_open_object(json, "header_file");
    json_out_count(json, "headers", status.count);
    json_out_bool(json, "usable", status.is_usable);
    json_out_time(json, "since", status.since);
    json_out_text(json, "reason", slice_from_string(status.reason));
    json_out_close_object(json);
}

static void put_dropped(struct json_out *json, const struct engine_counters *counters)
{
    json_out_open_object(json, "dead_letters_dropped");
    json_out_count(json, "too_old", counters->dead_letters_dropped[STORE_SHED_AGE]);
    json_out_count(json, "beyond_size", counters->dead_letters_dropped[STORE_SHED_SIZE]);
    json_out_count(json, "for_room", counters->dead_letters_dropped[STORE_SHED_ROOM]);
    json_out_close_object(json);
}

static void put_trouble(struct json_out *json, const struct view_sources *sources,
                        const struct export_status *status)
{
    char category[HEALTH_CATEGORY_SIZE];
    bool is_off = sources->exporter == NULL;
    bool is_troubled = status->is_troubled;
    json_out_text(json, "state",
                  is_off        ? SLICE("off")
                  : is_troubled ? SLICE("trouble")
                                : SLICE("ok"));
    json_out_time(json, "since", is_troubled ? status->since : TIMESTAMP_UNKNOWN);
    json_out_text(json, "category",
                  is_troubled ? slice_from_string(health_category(status->category, category))
                              : SLICE_EMPTY);
    if (is_troubled && status->http_status > 0)
        json_out_count(json, "http_status", (uint64_t)status->http_status);
    else
        json_out_null(json, "http_status");
    json_out_text(json, "message", is_troubled ? slice_from_string(status->message) : SLICE_EMPTY);
    json_out_count(json, "quarantined_records", status->quarantined_records);
    json_out_count(json, "quarantined_bytes", status->quarantined_bytes);
}

static void put_export(struct json_out *json, const struct view_sources *sources,
                       const struct health_figures *figures)
{
    json_out_open_object(json, "outbox");
    json_out_count(json, "records", figures->usage.outbox_records);
    json_out_count(json, "bytes", figures->usage.outbox_bytes);
    json_out_time(json, "oldest_since", figures->outbox_oldest);
    json_out_close_object(json);
    json_out_count(json, "dead_letters", figures->usage.dead_letters);
    json_out_count(json, "dead_letter_bytes", figures->usage.dead_letter_bytes);
    put_dropped(json, &figures->engine);
    json_out_open_object(json, "export");
    json_out_text(json, "endpoint", slice_from_string(sources->export_url));
    put_trouble(json, sources, &figures->exporting);
    json_out_count(json, "delivered_records", figures->exporter.sent_records);
    json_out_count(json, "failures_in_a_row", figures->exporter.consecutive_failures);
    put_header_file(json, sources->header_file);
    json_out_close_object(json);
}

static void put_overflow(struct json_out *json, const struct engine_overflow *overflow)
{
    json_out_open_object(json, "series_overflow");
    json_out_count(json, "sets", overflow->sets);
    json_out_time(json, "last_at", overflow->last_at);
    json_out_text(json, "kind", slice_from_string(overflow->kind));
    json_out_text(json, "example", slice_from_string(overflow->example));
    json_out_close_object(json);
}

// Of the hour that is running, and of the one before, as long as it is the last.
static void put_notes(struct json_out *json, const struct health_figures *figures, timestamp_ns now)
{
    const struct store_sheds *sheds = &figures->usage.sheds;
    timestamp_ns hour = now - now % NS_PER_HOUR;
    bool is_now = sheds->hour == hour;
    bool is_before = sheds->hour == hour - NS_PER_HOUR;
    json_out_open_object(json, "notes");
    json_out_count(json, "deliveries", figures->usage.delivery_notes);
    json_out_count(json, "jobs", figures->usage.job_notes);
    json_out_count(json, "runs", figures->usage.run_notes);
    json_out_count(json, "roots", figures->usage.root_notes);
    json_out_count(json, "bytes", figures->usage.note_bytes);
    json_out_time(json, "oldest_delivery_at", figures->oldest_delivery);
    json_out_count(json, "shed_this_hour", is_now ? sheds->in_hour : 0);
    json_out_count(json, "shed_last_hour",
                   is_now      ? sheds->in_hour_before
                   : is_before ? sheds->in_hour
                               : 0);
    json_out_count(json, "shed_total", sheds->total);
    json_out_close_object(json);
}

static void put_item(struct json_out *json, enum setup_subject subject,
                     const struct setup_item *item)
{
    const struct ingress_refused *refused = item->refused;
    json_out_open_object(json, NULL);
    json_out_text(json, "name", slice_from_string(setup_subject_text(subject)));
    json_out_text(json, "state", slice_from_string(setup_state_text(item->state)));
    json_out_text(json, "message", slice_from_string(item->message));
    json_out_count(json, "refused", refused != NULL ? refused->in_a_row : 0);
    json_out_time(json, "since", refused != NULL ? refused->since : TIMESTAMP_UNKNOWN);
    json_out_time(json, "last_at", refused != NULL ? refused->last : TIMESTAMP_UNKNOWN);
    json_out_open_array(json, "addresses");
    for (size_t i = 0; refused != NULL && i < refused->address_count; i++)
        json_out_text(json, NULL, slice_from_string(refused->addresses[i]));
    json_out_close_array(json);
    json_out_close_object(json);
}

static void put_setup(struct json_out *json, const struct view_sources *sources,
                      const struct health_figures *figures, timestamp_ns now)
{
    const struct setup_facts facts = health_setup_facts(sources, figures, now);
    struct setup_report report;
    setup_judge(&facts, &report);
    json_out_open_object(json, "setup");
    json_out_bool(json, "ok", !report.is_wrong);
    json_out_open_array(json, "items");
    for (size_t i = 0; i < SETUP_SUBJECTS; i++)
        put_item(json, (enum setup_subject)i, &report.items[i]);
    json_out_close_array(json);
    json_out_close_object(json);
}

enum error_code api_render_status(const struct view_sources *sources, timestamp_ns now,
                                  struct buffer *out, struct error *error)
{
    struct health_figures figures;
    struct json_out json;
    enum error_code code = health_figures_read(sources, &figures, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, out);
    json_out_open_object(&json, NULL);
    json_out_time(&json, "now", now);
    json_out_text(&json, "version", SLICE(GHATRACE_VERSION));
    json_out_time(&json, "started_at", sources->started_at);
    json_out_bool(&json, "ready", figures.is_ready);
    json_out_text(&json, "reason",
                  figures.is_ready ? SLICE_EMPTY : slice_from_string(figures.trouble.message));
    json_out_time(&json, "last_delivery_at", figures.engine.last_event_at);
    put_deliveries(&json, &figures);
    put_setup(&json, sources, &figures, now);
    put_export(&json, sources, &figures);
    json_out_open_object(&json, "store");
    json_out_count(&json, "used_bytes", figures.usage.used_bytes);
    json_out_count(&json, "max_bytes", figures.usage.max_bytes);
    json_out_count(&json, "open_runs", figures.open_runs);
    json_out_count(&json, "finished_runs", figures.finished_runs);
    json_out_count(&json, "set_aside", figures.set_aside.kept);
    put_notes(&json, &figures, now);
    json_out_close_object(&json);
    put_overflow(&json, &figures.overflow);
    json_out_text(&json, "listen", slice_from_string(sources->listen));
    json_out_text(&json, "webhook_path", slice_from_string(sources->webhook_path));
    json_out_count(&json, "history_seconds", (uint64_t)(sources->history / NS_PER_SECOND));
    json_out_close_object(&json);
    return api_finish(&json, error);
}
