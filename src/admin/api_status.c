// The JSON API: health of the daemon, quarantine.
#include "api.h"

#include <string.h>

#include "api_object.h"
#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/trace/spans.h"
#include "health.h"
#include "page.h"

// --- records that the collector refuses while it accepts others -----------------------------------

// A larger record is listed without being decoded.
#define DECODED_MAX ((uint32_t)1 << 20)

// Names the run; a record that cannot be decoded is listed, too, since that may be the reason for the refusal. Of
// other programs' spans only the trace is named: what they say about themselves is not checked.
static enum error_code put_names(struct api_object *object,
                                 const struct store_quarantined *quarantined)
{
    const struct view_reader *reader = &object->reader;
    struct json_out *json = &object->json;
    struct store_record record;
    struct span_batch batch = {.span_count = 0};
    enum error_code code = ERROR_NOT_FOUND;
    if (quarantined->size <= DECODED_MAX)
        code = store_get_record(reader->transaction, quarantined->sequence, &record, reader->error);
    bool is_forwarded = code == ERROR_NONE && store_is_forwarded(&record);
    if (code == ERROR_NONE && !is_forwarded &&
        otlp_decode_batch(record.body, reader->arena, &batch, reader->error) != ERROR_NONE)
        batch = (struct span_batch){.span_count = 0};
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    bool has_span = batch.span_count > 0;
    struct slice server = SLICE_EMPTY; // null if unknown
    if (has_span)
        server = github_server_name(attributes_get_string(&batch.resource, "server.address"));
    json_out_text(json, "server", server);
    json_out_text(json, "owner", attributes_get_string(&batch.resource, "vcs.owner.name"));
    json_out_text(json, "repository",
                  attributes_get_string(&batch.resource, "vcs.repository.name"));
    json_out_text(json, "run_id", attributes_get_string(&batch.resource, "cicd.pipeline.run.id"));
    json_out_text(json, "span", has_span ? batch.spans[0].name : SLICE_EMPTY);
    if (has_span)
        json_out_hex(json, "trace_id", batch.spans[0].trace_id.bytes, TRACE_ID_SIZE);
    else if (is_forwarded)
        json_out_hex(json, "trace_id", record.key.trace.bytes, TRACE_ID_SIZE);
    else
        json_out_null(json, "trace_id");
    return ERROR_NONE;
}

static enum error_code put_records(struct api_object *object, size_t limit)
{
    struct json_out *json = &object->json;
    struct store_quarantined quarantined;
    uint64_t sequence = 0;
    size_t count = 0;
    enum error_code code;
    json_out_open_array(json, "records");
    while ((code = store_seek_quarantined(object->reader.transaction, &sequence, &quarantined,
                                          object->call->error)) == ERROR_NONE &&
           count < limit) {
        json_out_open_object(json, NULL);
        json_out_id(json, "sequence", (int64_t)sequence);
        json_out_count(json, "bytes", quarantined.size);
        json_out_time(json, "since", quarantined.since);
        json_out_text(json, "reason", quarantined.reason);
        code = put_names(object, &quarantined);
        if (code != ERROR_NONE)
            return code;
        json_out_close_object(json);
        count++;
        sequence++;
    }
    json_out_close_array(json);
    json_out_bool(json, "more", code == ERROR_NONE);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code api_render_quarantine(const struct api_call *call, size_t limit)
{
    struct api_object object;
    enum error_code code = api_begin(call, &object);
    return code == ERROR_NONE ? api_end(&object, put_records(&object, limit)) : code;
}

// --- health and data loss -------------------------------------------------------------------------

// The members of one object in the list of the daemon's figures (health.c); "": the outermost object.
static void put_health_figures(struct json_out *json, const struct health_figures *figures,
                               const char *object)
{
    for (size_t i = 0; i < health_family_count; i++) {
        const struct health_family *family = &health_families[i];
        if (family->object == NULL || strcmp(family->object, object) != 0)
            continue;
        if (family->label == NULL) {
            json_out_count(json, family->name, health_number(figures, family, 0));
            continue;
        }
        json_out_open_object(json, family->name);
        for (size_t place = 0; place < family->count; place++)
            json_out_count(json, family->names[place], health_number(figures, family, place));
        json_out_close_object(json);
    }
}

static void put_events(struct json_out *json, const struct ingress_counters *counters)
{
    json_out_open_object(json, "by_event");
    for (size_t event = 0; event < GITHUB_EVENT_KINDS; event++) {
        json_out_open_object(json, github_event_name((enum github_event_kind)event));
        for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++)
            json_out_count(json, ingress_outcome_names[outcome],
                           counters->deliveries[event][outcome]);
        json_out_close_object(json);
    }
    json_out_close_object(json);
}

static void api_put_deliveries(struct json_out *json, const struct health_figures *figures)
{
    json_out_open_object(json, "deliveries");
    for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++) {
        uint64_t sum = 0;
        for (size_t event = 0; event < GITHUB_EVENT_KINDS; event++)
            sum += figures->ingress.deliveries[event][outcome];
        json_out_count(json, ingress_outcome_names[outcome], sum);
    }
    put_health_figures(json, figures, "deliveries");
    put_events(json, &figures->ingress);
    json_out_close_object(json);
}

static void api_put_header_file(struct json_out *json, const struct export_header_file *file)
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

// What the export of traces and that of metrics say about their endpoint.
struct endpoint_state {
    bool is_off;
    bool is_troubled; // otherwise the rest has no content
    timestamp_ns since;
    enum export_trouble category;
    int http_status;
    const char *message;
};

static void put_endpoint_state(struct json_out *json, const struct endpoint_state *state)
{
    char category[HEALTH_CATEGORY_SIZE];
    bool is_troubled = state->is_troubled;
    json_out_text(json, "state",
                  state->is_off ? SLICE("off")
                  : is_troubled ? SLICE("trouble")
                                : SLICE("ok"));
    json_out_time(json, "since", is_troubled ? state->since : TIMESTAMP_UNKNOWN);
    json_out_text(json, "category",
                  is_troubled ? slice_from_string(health_category(state->category, category))
                              : SLICE_EMPTY);
    api_put_known_count(json, "http_status", is_troubled && state->http_status > 0,
                        (uint64_t)state->http_status);
    json_out_text(json, "message", is_troubled ? slice_from_string(state->message) : SLICE_EMPTY);
}

static void api_put_trouble(struct json_out *json, const struct view_sources *sources,
                            const struct export_status *status)
{
    const struct endpoint_state state = {.is_off = sources->exporter == NULL,
                                         .is_troubled = status->is_troubled,
                                         .since = status->since,
                                         .category = status->category,
                                         .http_status = status->http_status,
                                         .message = status->message};
    put_endpoint_state(json, &state);
    json_out_text(json, "forwarded_message", slice_from_string(status->forwarded_message));
    json_out_count(json, "quarantined_records", status->quarantined_records);
    json_out_count(json, "quarantined_bytes", status->quarantined_bytes);
}

static void put_arc_report(struct json_out *json, const struct receiver_report *report)
{
    json_out_open_object(json, NULL);
    json_out_time(json, "at", report->at);
    json_out_text(json, "outcome", slice_from_string(arc_outcome_names[report->outcome]));
    json_out_text(json, "repository", slice_from_string(report->repository));
    json_out_id(json, "run_id", report->run_id);
    json_out_count(json, "run_attempt", (uint64_t)report->run_attempt);
    json_out_id(json, "job_id", report->job_id);
    json_out_text(json, "job_name", slice_from_string(report->job_name));
    json_out_text(json, "runner_name", slice_from_string(report->runner_name));
    json_out_close_object(json);
}

// What ARC reported, in sums and one by one, and what else was received at otlp-listen.
static enum error_code put_received(const struct api_call *call, struct json_out *json,
                                    const struct health_figures *figures)
{
    struct receiver *receiver = call->sources->receiver;
    struct receiver_report *reports =
        arena_allocate_array(call->arena, RECEIVER_REPORTS, sizeof *reports);
    if (reports == NULL)
        return error_set(call->error, ERROR_MEMORY, "status: out of memory");
    size_t count = receiver != NULL ? receiver_read_reports(receiver, reports) : 0;
    json_out_open_object(json, "arc");
    put_health_figures(json, figures, "arc");
    json_out_open_array(json, "last");
    for (size_t i = 0; i < count; i++)
        put_arc_report(json, &reports[i]);
    json_out_close_array(json);
    json_out_close_object(json);
    json_out_open_object(json, "otlp");
    json_out_bool(json, "on", receiver != NULL);
    put_health_figures(json, figures, "otlp");
    json_out_close_object(json);
    return ERROR_NONE;
}

static void put_export(struct json_out *json, const struct view_sources *sources,
                       const struct health_figures *figures)
{
    json_out_open_object(json, "outbox");
    put_health_figures(json, figures, "outbox");
    json_out_time(json, "oldest_since", figures->outbox_oldest);
    json_out_close_object(json);
    put_health_figures(json, figures, "");
    json_out_open_object(json, "export");
    json_out_text(json, "endpoint", slice_from_string(sources->export_url));
    api_put_trouble(json, sources, &figures->exporting);
    json_out_count(json, "delivered_records", figures->exporter.sent_records);
    put_health_figures(json, figures, "export");
    api_put_header_file(json, sources->header_file);
    json_out_close_object(json);
}

static void put_metrics_push(struct json_out *json, const struct view_sources *sources,
                             const struct health_figures *figures)
{
    const struct metrics_push_status *status = &figures->pushing;
    const struct endpoint_state state = {.is_off = sources->metrics_push == NULL,
                                         .is_troubled = status->is_troubled,
                                         .since = status->since,
                                         .category = status->category,
                                         .http_status = status->http_status,
                                         .message = status->message};
    json_out_open_object(json, "metrics_push");
    json_out_text(json, "endpoint", slice_from_string(sources->metrics_url));
    put_endpoint_state(json, &state);
    json_out_time(json, "accepted_at", status->accepted_at);
    put_health_figures(json, figures, "metrics_push");
    json_out_close_object(json);
}

static void put_notice_receiver(struct json_out *json, const struct notice_receiver_status *status)
{
    json_out_open_object(json, NULL);
    json_out_text(json, "form", slice_from_string(notice_form_names[status->form]));
    json_out_text(json, "host", slice_from_string(status->host));
    json_out_text(json, "state", status->is_troubled ? SLICE("trouble") : SLICE("ok"));
    json_out_time(json, "since", status->since);
    json_out_count(json, "pending", status->pending);
    json_out_time(json, "accepted_at", status->sent_at);
    api_put_known_count(json, "http_status", status->http_status != 0,
                        (uint64_t)status->http_status);
    json_out_text(json, "message", slice_from_string(status->message));
    json_out_close_object(json);
}

static void put_notices(struct json_out *json, const struct view_sources *sources,
                        const struct health_figures *figures)
{
    struct notice_receiver_status status;
    json_out_open_object(json, "notices");
    put_health_figures(json, figures, "notices");
    json_out_open_array(json, "receivers");
    for (size_t i = 0;
         sources->notices != NULL && notices_read_receiver(sources->notices, i, &status); i++)
        put_notice_receiver(json, &status);
    json_out_close_array(json);
    json_out_close_object(json);
}

static void api_put_overflow(struct json_out *json, const struct engine_overflow *overflow)
{
    json_out_open_object(json, "series_overflow");
    json_out_count(json, "sets", overflow->sets);
    json_out_time(json, "last_at", overflow->last_at);
    json_out_text(json, "kind", slice_from_string(overflow->kind));
    json_out_text(json, "example", slice_from_string(overflow->example));
    json_out_close_object(json);
    json_out_open_object(json, "pools_folded");
    json_out_count(json, "jobs", overflow->folded);
    json_out_time(json, "last_at", overflow->folded_at);
    json_out_text(json, "example", slice_from_string(overflow->folded_example));
    json_out_close_object(json);
}

// Counts of the current hour, and of the previous hour if there are any.
static void api_put_notes(struct json_out *json, const struct health_figures *figures)
{
    const struct store_sheds *sheds = &figures->usage.sheds;
    timestamp_ns hour = figures->now - figures->now % NS_PER_HOUR;
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
                      const struct health_figures *figures)
{
    const struct setup_facts facts = health_setup_facts(sources, figures);
    struct setup_report report;
    setup_assess(&facts, &report);
    json_out_open_object(json, "setup");
    json_out_bool(json, "ok", !report.is_wrong);
    json_out_open_array(json, "items");
    for (size_t i = 0; i < SETUP_SUBJECTS; i++)
        if (report.items[i].message[0] != '\0')
            put_item(json, (enum setup_subject)i, &report.items[i]);
    json_out_close_array(json);
    json_out_close_object(json);
}

enum error_code api_render_status(const struct api_call *call)
{
    const struct view_sources *sources = call->sources;
    struct health_figures figures;
    struct json_out json;
    enum error_code code = health_figures_read(sources, call->now, &figures, call->error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, call->out);
    json_out_open_object(&json, NULL);
    json_out_time(&json, "now", call->now);
    json_out_text(&json, "version", SLICE(GHATRACE_VERSION));
    json_out_time(&json, "started_at", sources->started_at);
    json_out_bool(&json, "ready", figures.is_ready);
    json_out_text(&json, "reason",
                  figures.is_ready ? SLICE_EMPTY : slice_from_string(figures.trouble.message));
    json_out_time(&json, "last_delivery_at", figures.engine.last_event_at);
    api_put_deliveries(&json, &figures);
    put_setup(&json, sources, &figures);
    put_export(&json, sources, &figures);
    put_metrics_push(&json, sources, &figures);
    put_notices(&json, sources, &figures);
    code = put_received(call, &json, &figures);
    if (code != ERROR_NONE)
        return code;
    json_out_open_object(&json, "store");
    put_health_figures(&json, &figures, "store");
    json_out_count(&json, "open_runs", figures.open_runs);
    json_out_count(&json, "finished_runs", figures.finished_runs);
    json_out_count(&json, "set_aside", figures.set_aside.kept);
    api_put_notes(&json, &figures);
    json_out_close_object(&json);
    api_put_overflow(&json, &figures.overflow);
    json_out_text(&json, "listen", slice_from_string(sources->listen));
    json_out_text(&json, "webhook_path", slice_from_string(sources->webhook_path));
    json_out_text(&json, "page", slice_from_string(page_version));
    json_out_count(&json, "live_streams",
                   sources->live_streams != NULL ? *sources->live_streams : 0);
    json_out_count(&json, "history_seconds", (uint64_t)(sources->history / NS_PER_SECOND));
    json_out_close_object(&json);
    return api_finish(&json, call->error);
}
