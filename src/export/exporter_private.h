// The parts of the exporter and how they work together. Private to this room.
//
// plan.h decides, without I/O, what is sent when, and how results are handled. Our own records and those of other
// programs have a plan each, and never share a request, a connection, a wait or a failure: a collector that refuses
// the others' records, or fails on them, does not delay ours. The others' have one request, which is sent while one of
// ours is idle and the endpoint accepts ours. exporter.c asks the plans for each idle request, manages the timers, writes
// the log and keeps the status; inflight.c builds a request, sends it, passes the response to the plan and has the
// engine settle the records.
#ifndef GHATRACE_SRC_EXPORT_EXPORTER_PRIVATE_H
#define GHATRACE_SRC_EXPORT_EXPORTER_PRIVATE_H

#include <stdatomic.h>

#include "answer.h"
#include "ghatrace/base/log.h"
#include "ghatrace/client/http_client.h"
#include "ghatrace/export/exporter.h"
#include "plan.h"
#include "request.h"

// See inflight.c for the allowed transitions.
enum inflight_state {
    INFLIGHT_IDLE,      // used by neither the client nor the engine
    INFLIGHT_SENDING,   // the client is sending its request
    INFLIGHT_SETTLING,  // the engine is settling its records
    INFLIGHT_UNSETTLED, // the engine failed to; it is asked again after a while
};

struct inflight_request {
    struct exporter *exporter;
    struct export_plan *plan;
    size_t index;               // in the plan
    struct http_client *client; // not owned
    uint64_t noted_at;          // of one of ours: tick of the forwarded plan when it was sent
    enum inflight_state state;
    struct http_client_transfer *transfer; // while SENDING
    struct buffer body;                    // of the request, while SENDING
    bool is_last_try;                      // sent while draining
    uint64_t headers_age;                  // exporter.headers_age when the request was made
    // the result of the request; the engine reads these while it settles
    struct engine_task task;
    char reason[EXPORT_MESSAGE_SIZE];
    struct net_task settled; // from the engine's thread back to the loop
};

// What is reported about the endpoint: in the log, rate-limited, and in the status.
struct export_report {
    // the current trouble, or EXPORT_NO_TROUBLE
    enum export_trouble trouble;
    int http_status;
    timestamp_ns since; // wall clock
    char message[EXPORT_MESSAGE_SIZE];
    bool is_logged;
    enum export_trouble logged_trouble;
    timestamp_ns logged_at; // monotonic

    struct log_limit troubles, dead_letters, quarantine, partial, forwarded;
    uint64_t forwarded_failures; // consecutive
    char forwarded_message[EXPORT_MESSAGE_SIZE];
    bool has_warned_of_type;
};

// Changed by tests.
struct exporter_tuning {
    duration_ns coalesce; // from a wake to the first request, so that batches fill up
    duration_ns poll;     // how often the outbox is read from its start, as tools put records back
    duration_ns settle_retry; // wait after the engine could not settle
    uint64_t (*random)(void *context);
    void *random_context;
};

struct exporter {
    struct net_loop *loop;
    struct store *store;   // not owned
    struct engine *engine; // not owned
    struct export_endpoint endpoint;
    struct http_client *client;
    struct http_client *forwarded_client;
    // Our records in the outbox, when last woken while the breaker is open; else 0.
    uint64_t own_waiting;
    duration_ns timeout;       // of a request
    char url[EXPORT_URL_SIZE]; // for logs
    struct made_form made;
    uint64_t headers_age; // how often the headers were changed
    void (*on_unauthorized)(void *context);
    void *on_unauthorized_context;
    void (*before_request)(void *context);
    void *before_request_context;
    struct exporter_tuning tuning;
    uint64_t random_state;

    bool is_started;
    bool is_stopped; // starts no more requests
    struct export_plan plan;
    struct export_plan forwarded_plan; // of records of other programs
    struct export_report report;
    struct inflight_request *inflight; // ours, and after them the one of other programs' records
    size_t inflight_count;             // of ours
    struct net_timer *pump_timer;      // runs while `is_pump_waiting`
    bool is_pump_waiting;
    struct net_timer *wait_timer;      // for the plan
    struct net_timer *forwarded_timer; // for the other one
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
    size_t settles;    // requests that are SETTLING: their `settled` is still expected
    bool is_destroyed; // only waits for the two above
};

void exporter_tune(struct exporter *exporter, const struct exporter_tuning *tuning);
// Makes every request do what is possible now.
void exporter_pump(struct exporter *exporter);
// Frees a destroyed exporter once no callback is pending. True if it is destroyed.
bool exporter_reap(struct exporter *exporter);
void exporter_settle_later(struct exporter *exporter);
uint64_t exporter_random(struct exporter *exporter);

// True if it is the one of other programs' records.
bool inflight_is_forwarded(const struct inflight_request *inflight);
void inflight_init(struct inflight_request *inflight, struct exporter *exporter, size_t index);
void inflight_init_forwarded(struct inflight_request *inflight, struct exporter *exporter);
// Ends the request; data that the engine may still read is kept.
void inflight_disconnect(struct inflight_request *inflight);
// Sends the request that the plan has made for it: INFLIGHT_IDLE → any state.
void inflight_send(struct inflight_request *inflight);
// Moves its single record to the dead letters because the quarantine is full.
void inflight_dead_letter(struct inflight_request *inflight);
// INFLIGHT_UNSETTLED → INFLIGHT_SETTLING.
void inflight_settle_again(struct inflight_request *inflight);

// Records a failure for the status, and logs it unless the same was logged before. Call after the plan was informed.
void report_failure(struct exporter *exporter, enum export_trouble trouble, int http_status,
                    const char *message);
// The same of a request with records of other programs: it is no trouble of the endpoint.
void report_forwarded_failure(struct exporter *exporter, const char *message);
// Reports the end of the trouble, if one was reported. Called after each response.
void report_end(struct exporter *exporter, timestamp_ns started);
void report_dead_letter(struct exporter *exporter, uint64_t sequence, const char *reason);
void report_quarantined(struct exporter *exporter, uint64_t sequence, const char *reason);
void report_partial(struct exporter *exporter, int64_t rejected_spans, const char *message);
// Checks the content type of a 2xx response. Logged once.
void report_type(struct exporter *exporter, struct slice content_type);

#endif
