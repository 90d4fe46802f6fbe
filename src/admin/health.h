// The daemon's own figures at one moment: what it received, what it stores, what it sends. GET /metrics and GET
// /api/status show them, by one list.
#ifndef GHATRACE_ADMIN_HEALTH_H
#define GHATRACE_ADMIN_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/admin/admin.h"
#include "ghatrace/admin/setup.h"
#include "ghatrace/base/error.h"
#include "ghatrace/notify/notices.h"
#include "ghatrace/receiver/receiver.h"
#include "metrics_text.h"

struct health_figures {
    bool is_ready;
    struct error trouble; // the reason if it is not
    struct ingress_counters ingress;
    struct ingress_setup setup;
    struct receiver_counters receiver;
    struct engine_counters engine;
    struct setup_arc arc;
    struct engine_overflow overflow;
    struct export_counters exporter;
    struct export_status exporting;
    struct metrics_push_counters pushed;
    struct metrics_push_status pushing;
    struct notices_counters notices;
    struct store_usage usage;
    uint64_t own_records, own_bytes; // of the outbox without records of other programs
    struct store_set_aside_totals set_aside;
    uint64_t unreadable; // store_unreadable_ever()
    // when the oldest waiting record was finished; TIMESTAMP_UNKNOWN: none waits
    timestamp_ns outbox_oldest;
    timestamp_ns oldest_delivery; // the oldest recorded one; TIMESTAMP_UNKNOWN: none is
    uint64_t open_runs;
    uint64_t finished_runs; // in the history
    timestamp_ns now;       // when they were read
    timestamp_ns started_at;
    // false: otlp-header-file cannot be used, and the last valid headers are kept
    bool has_usable_headers;
};

// One or several numbers of struct health_figures, and their names in /metrics and /api/status.
struct health_family {
    const char *metric; // without "_total"
    enum metrics_type type;
    const char *help;
    size_t field;      // of the first uint64_t, in struct health_figures
    const char *label; // the label that distinguishes several numbers; NULL: there is one number
    const char *const *names; // the values of the label, and the member names in the API's object
    size_t count;             // how many
    // The name in GET /api/status, in this object ("": the outermost). NULL: not there.
    const char *object, *name;
    // Writes families that are not plain numbers; everything else is NULL then.
    void (*write)(struct metrics_text *text, const struct health_figures *figures);
};

// All health families, in the order of /metrics.
extern const struct health_family health_families[];
extern const size_t health_family_count;

// The number of a family at an index.
uint64_t health_number(const struct health_figures *figures, const struct health_family *family,
                       size_t place);

// The name of a category in labels and API fields: "refuses_credentials".
#define HEALTH_CATEGORY_SIZE 64
const char *health_category(enum export_trouble trouble, char text[HEALTH_CATEGORY_SIZE]);

// The input for setup_assess(), as of the time of the figures; points into both arguments.
struct setup_facts health_setup_facts(const struct view_sources *sources,
                                      const struct health_figures *figures);

// Reads the figures at `now`. Parts that do not run count 0. Errors as the store reports.
enum error_code health_figures_read(const struct view_sources *sources, timestamp_ns now,
                                    struct health_figures *figures, struct error *error) MUST_CHECK;

// Writes all health families, and those of the process, which the operating system counts, by the names that
// Prometheus' client libraries use.
void health_put_families(struct metrics_text *text, const struct health_figures *figures);
void health_put_process(struct metrics_text *text);

#endif
