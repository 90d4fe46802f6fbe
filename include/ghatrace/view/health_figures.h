// The daemon's own figures, read at one moment: what it took in, what it stores, what it sends.
#ifndef GHATRACE_VIEW_HEALTH_FIGURES_H
#define GHATRACE_VIEW_HEALTH_FIGURES_H

#include <stdbool.h>

#include "ghatrace/view/setup.h"
#include "ghatrace/view/sources.h"

struct health_figures {
    bool is_ready;
    struct error trouble; // why it is not
    struct ingress_counters ingress;
    struct ingress_setup setup;
    struct engine_counters engine;
    struct engine_overflow overflow;
    struct export_counters exporter;
    struct export_status exporting;
    struct store_usage usage;
    struct store_set_aside_totals set_aside;
    uint64_t unreadable; // store_unreadable_ever()
    timestamp_ns
        outbox_oldest; // when the oldest record that waits was finished; TIMESTAMP_UNKNOWN: none waits
    timestamp_ns oldest_delivery; // that is remembered; TIMESTAMP_UNKNOWN: none is
    uint64_t open_runs;
    uint64_t finished_runs; // in the history
};

// The words for a category as labels and API fields have them: "refuses_credentials".
#define HEALTH_CATEGORY_SIZE 64
const char *health_category(enum export_trouble trouble, char text[HEALTH_CATEGORY_SIZE]);

// What is judged by setup_judge(); points into both.
struct setup_facts health_setup_facts(const struct view_sources *sources,
                                      const struct health_figures *figures, timestamp_ns now);

// What does not run counts 0. Errors as the store says.
enum error_code health_figures_read(const struct view_sources *sources,
                                    struct health_figures *figures, struct error *error) MUST_CHECK;

#endif
