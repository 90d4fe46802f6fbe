// The daemon's own figures.
#include "ghatrace/view/health_figures.h"

#include "ghatrace/tally/open_runs.h"
#include "ghatrace/tally/recent.h"

static enum error_code read_outbox(struct store_transaction *transaction,
                                   struct health_figures *figures, struct error *error)
{
    struct store_record record;
    uint64_t sequence = 0;
    uint32_t size;
    enum error_code code = store_seek_outbox(transaction, &sequence, &size, error);
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
                                      const struct health_figures *figures, timestamp_ns now)
{
    return (struct setup_facts){.ingress = &figures->setup,
                                .last_event_at = figures->engine.last_event_at,
                                .webhook_path = sources->webhook_path,
                                .export_url = sources->export_url,
                                .exporting = &figures->exporting,
                                .exported_records = figures->exporter.sent_records,
                                .now = now};
}

enum error_code health_figures_read(const struct view_sources *sources,
                                    struct health_figures *figures, struct error *error)
{
    struct store_transaction *transaction;
    *figures = (struct health_figures){.is_ready = true};
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
    if (sources->exporter != NULL) {
        exporter_read_counters(sources->exporter, &figures->exporter);
        exporter_read_status(sources->exporter, &figures->exporting);
    }
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    store_read_usage(transaction, &figures->usage);
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
