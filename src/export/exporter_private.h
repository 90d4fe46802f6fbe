// The exporter's parts and how they hang together. Private to this room.
//
// plan.h decides, without I/O, what goes out when and what becomes of it. Around it: exporter.c asks the plan on
// behalf of idle slots and keeps the timers; slot.c builds a request, sends it, hands the answer to the plan and has
// the engine settle the records; report.c writes the log and keeps what the status shows.
#ifndef GHATRACE_SRC_EXPORT_EXPORTER_PRIVATE_H
#define GHATRACE_SRC_EXPORT_EXPORTER_PRIVATE_H

#include <stdatomic.h>

#include "channel.h"
#include "ghatrace/base/log.h"
#include "ghatrace/export/exporter.h"
#include "mask.h"
#include "plan.h"
#include "request.h"

#define EXPORT_URL_SIZE 1600

// slot.c says which state may follow which.
enum slot_state {
    SLOT_IDLE,      // neither the channel nor the engine has anything of it
    SLOT_SENDING,   // the channel has it
    SLOT_SETTLING,  // the engine has it
    SLOT_UNSETTLED, // the engine could not; it is asked again after a while
};

struct export_slot {
    struct exporter *exporter;
    size_t index; // in the plan
    enum slot_state state;
    struct channel channel;
    bool is_last_try;     // sent while draining
    uint64_t headers_age; // exporter.headers_age when the request was made
    // how the request ends; the engine reads these while it settles
    struct engine_task task;
    char reason[EXPORT_MESSAGE_SIZE];
    struct net_task settled; // from the engine's thread back to the loop
};

// What is said about the endpoint: in the log, rate limited, and in the status.
struct export_report {
    // the outage that lasts; `trouble` is EXPORT_NO_TROUBLE without one
    enum export_trouble trouble;
    int http_status;
    timestamp_ns since; // by the wall clock
    char message[EXPORT_MESSAGE_SIZE];
    bool is_logged;
    enum export_trouble logged_trouble;
    timestamp_ns logged_at; // monotonic

    struct log_limit outages, dead_letters, quarantine, partial;
    bool has_warned_of_type;
};

// What tests change.
struct exporter_tuning {
    duration_ns coalesce;     // from a wake to the first request, so that batches fill
    duration_ns poll;         // how often the outbox is read from its start: tools put records back
    duration_ns settle_retry; // when the engine could not settle
    uint64_t (*random)(void *context);
    void *random_context;
};

struct exporter {
    struct net_loop *loop;
    struct store *store;   // not owned
    struct engine *engine; // not owned
    struct export_endpoint endpoint;
    struct net_tls *tls;       // held; NULL: plain
    char url[EXPORT_URL_SIZE]; // for logs
    struct request_form form;
    struct arena arena;     // what `form` points to
    struct mask_list masks; // secrets of `form` and `endpoint`
    // Those of before the last exchange of headers, which answers to requests that were under way then may repeat.
    struct mask_list old_masks;
    uint64_t headers_age;   // how often the headers were exchanged
    struct arena old_arena; // what they point to
    void (*on_unauthorized)(void *context);
    void *on_unauthorized_context;
    void (*before_request)(void *context);
    void *before_request_context;
    struct exporter_tuning tuning;
    uint64_t random_state;

    bool is_started;
    bool is_stopped; // starts no more requests
    struct export_plan plan;
    struct export_report report;
    struct export_slot *slots;
    size_t slot_count;
    uint64_t connections;         // made so far
    struct net_timer *pump_timer; // runs while `is_pump_waiting`
    bool is_pump_waiting;
    struct net_timer *wait_timer; // for the plan
    struct net_timer *poll_timer;
    struct net_timer *settle_timer;
    bool is_settle_waiting;          // settle_timer runs
    timestamp_ns next_settle_report; // monotonic
    struct export_counters counters;

    bool is_draining;
    bool has_failed_last_try;
    struct net_timer *drain_timer;
    net_callback drain_done;
    void *drain_context;

    atomic_bool is_wake_posted; // `wake` is in the loop's list; posting twice would break it
    struct net_task wake;
    size_t settles;    // slots that are SETTLING: their `settled` is still to come
    bool is_destroyed; // only waits for the two above
};

void exporter_tune(struct exporter *exporter, const struct exporter_tuning *tuning);
// Lets every slot do what it may do now.
void exporter_pump(struct exporter *exporter);
// Frees a destroyed exporter when nobody will come back to it. True when it is destroyed.
bool exporter_reap(struct exporter *exporter);
void exporter_settle_later(struct exporter *exporter);
uint64_t exporter_random(struct exporter *exporter);

enum error_code slot_init(struct export_slot *slot, struct exporter *exporter, size_t index,
                          duration_ns timeout, struct error *error) MUST_CHECK;
// The connection goes; what the engine may still read stays.
void slot_disconnect(struct export_slot *slot);
// The plan has made the slot's request: SLOT_IDLE → any state.
void slot_send(struct export_slot *slot);
// The slot's one record goes to the dead letters, because the quarantine is full.
void slot_bury(struct export_slot *slot);
// SLOT_UNSETTLED → SLOT_SETTLING.
void slot_settle_again(struct export_slot *slot);

// Something failed: kept for the status, and logged unless the same was logged before. After the plan knows.
void report_failure(struct exporter *exporter, enum export_trouble trouble, int http_status,
                    const char *message);
// After each answer: has the outage ended?
void report_end(struct exporter *exporter, timestamp_ns started);
void report_dead_letter(struct exporter *exporter, uint64_t sequence, const char *reason);
void report_quarantined(struct exporter *exporter, uint64_t sequence, const char *reason);
void report_partial(struct exporter *exporter, int64_t rejected_spans, const char *message);
// The type of a 2xx. Logged once.
void report_type(struct exporter *exporter, struct slice content_type);

#endif
