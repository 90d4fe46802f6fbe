// Is it set up right? What page, API, `ghatrace check --live` and log say of it, judged in one place. Pure.
#ifndef GHATRACE_ADMIN_SETUP_H
#define GHATRACE_ADMIN_SETUP_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/time.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/webhook/setup.h"

enum setup_subject {
    SETUP_SECRET,   // is the secret at GitHub ours?
    SETUP_PATH,     // does the payload URL lead to webhook-path?
    SETUP_EVENTS,   // are both kinds of events ticked?
    SETUP_DELIVERY, // when did the last one come?
    SETUP_EXPORT,   // does the collector take records?
    SETUP_SUBJECTS
};

enum setup_state {
    SETUP_OK,
    SETUP_UNKNOWN, // nothing has come that could tell
    SETUP_WARNING, // works, or may: the operator should know
    SETUP_WRONG,
};

#define SETUP_MESSAGE_SIZE 1024

struct setup_item {
    enum setup_state state;
    bool is_logged_elsewhere;         // by whoever noticed it
    char message[SETUP_MESSAGE_SIZE]; // sentences
    const struct ingress_refused
        *refused; // what they are about, with numbers and times; NULL: nothing was refused
};

// What it is judged by. Outlives the report.
struct setup_facts {
    const struct ingress_setup *ingress;
    timestamp_ns last_event_at; // of a run or a job; TIMESTAMP_UNKNOWN: none yet
    const char *webhook_path;
    const char *export_url; // NULL: nothing is exported
    const struct export_status *exporting;
    uint64_t exported_records;
    timestamp_ns now;
};

struct setup_report {
    struct setup_item items[SETUP_SUBJECTS];
    bool is_wrong; // one of them is
};

// "secret", "path", "events", "delivery", "export".
const char *setup_subject_text(enum setup_subject subject);
// "ok", "unknown", "warning", "wrong".
const char *setup_state_text(enum setup_state state);

void setup_judge(const struct setup_facts *facts, struct setup_report *report);

#endif
