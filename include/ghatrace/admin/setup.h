// Assesses whether the setup is correct, for the page, the API, `ghatrace check --live` and the log.
// Pure.
#ifndef GHATRACE_ADMIN_SETUP_H
#define GHATRACE_ADMIN_SETUP_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/time.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/receiver/receiver.h"
#include "ghatrace/webhook/setup.h"

enum setup_subject {
    SETUP_SECRET,   // whether the secret at GitHub is the configured one
    SETUP_PATH,     // whether the payload URL leads to webhook-path
    SETUP_EVENTS,   // whether both kinds of events are enabled
    SETUP_DELIVERY, // when the last delivery was received
    SETUP_EXPORT,   // whether the collector accepts records
    SETUP_ARC,      // whether ARC's reports are received and find their jobs
    SETUP_SUBJECTS
};

enum setup_state {
    SETUP_OK,
    SETUP_UNKNOWN, // nothing was received from which this could be determined
    SETUP_WARNING, // works, or may work, but the operator should know
    SETUP_WRONG,
};

#define SETUP_MESSAGE_SIZE 1024

struct setup_item {
    enum setup_state state;
    bool is_logged_elsewhere;         // by the part that detected it
    char message[SETUP_MESSAGE_SIZE]; // sentences; empty: not set up, and not to be shown
    // the deliveries in question, with counts and times; NULL: nothing was refused
    const struct ingress_refused *refused;
};

// What ARC reported since the start of the process.
struct setup_arc {
    bool is_received;                       // otlp-listen is on
    bool is_expected;                       // arc-runners is set
    uint64_t reports[ARC_OUTCOMES];         // of the receiver and the engine together
    uint64_t missing;                       // as in struct engine_counters
    timestamp_ns assignment_at, missing_at; // the last of each; TIMESTAMP_UNKNOWN: none
    uint64_t wrong_tokens, not_allowed;     // requests
    uint64_t with_job_token;                // spans of ARC
};

// The input of the assessment. Outlives the report.
struct setup_facts {
    const struct ingress_setup *ingress;
    timestamp_ns last_event_at; // of a run or a job; TIMESTAMP_UNKNOWN: none yet
    const char *webhook_path;
    const char *export_url; // NULL: nothing is exported
    const struct export_status *exporting;
    uint64_t exported_records;
    struct setup_arc arc;
    timestamp_ns now;
};

struct setup_report {
    struct setup_item items[SETUP_SUBJECTS];
    bool is_wrong; // at least one item is
};

// "secret", "path", "events", "delivery", "export", "arc".
const char *setup_subject_text(enum setup_subject subject);
// "ok", "unknown", "warning", "wrong".
const char *setup_state_text(enum setup_state state);

// `receiver`: NULL where otlp-listen is off.
struct setup_arc setup_arc_facts(const struct engine_counters *engine,
                                 const struct receiver_counters *receiver, bool has_arc_runners);
void setup_assess(const struct setup_facts *facts, struct setup_report *report);

#endif
