// The exporter's parts and how they hang together. Private to this room.
//
// Each slot carries one batch from the outbox to its end: read, send, wait, send again or halve, have
// the engine settle it. Slots hold all the memory they ever need but the request being sent. What
// a slot holds is "taken" and is not read from the outbox a second time before the engine said that
// it is settled. (exporter.c decides which slot may send; slot.c does what one slot does; outage.c
// keeps account of a collector that does not answer.)
#ifndef GHATRACE_SRC_EXPORT_EXPORTER_PRIVATE_H
#define GHATRACE_SRC_EXPORT_EXPORTER_PRIVATE_H

#include <stdatomic.h>

#include "backoff.h"
#include "batch.h"
#include "channel.h"
#include "ghatrace/export/exporter.h"
#include "request.h"

#define EXPORT_URL_SIZE 1600

enum slot_state {
    SLOT_IDLE,      // holds nothing
    SLOT_READY,     // has a part to send, as soon as sending is allowed
    SLOT_SENDING,   // the channel has it
    SLOT_SETTLING,  // the engine has it
    SLOT_UNSETTLED, // the engine could not; it is asked again after a while
};

struct export_slot {
    struct exporter *exporter;
    enum slot_state state;
    struct export_batch batch;
    struct channel channel;
    bool is_last_try; // sent while draining
    // how the present part ends; the engine reads these while it settles
    struct engine_task task;
    char reason[ANSWER_TEXT_SIZE];
    struct net_task settled; // from the engine's thread back to the loop
};

// A collector that does not answer. While it lasts one request at a time, the probe, goes out.
struct export_outage {
    uint64_t failures;         // in a row; 0: all is well
    bool is_pausing;           // until `timer`
    timestamp_ns pause_end;    // monotonic
    struct export_slot *probe; // in flight; NULL: none. Never while pausing
    struct export_backoff backoff;
    struct net_timer *timer;
    timestamp_ns next_report; // monotonic
    timestamp_ns since;       // when the first failure came; by the wall clock
    enum export_trouble trouble;
    int http_status;
    char message[EXPORT_MESSAGE_SIZE];
};

// What tests change.
struct exporter_tuning {
    duration_ns coalesce;     // from a wake to the first request, so that batches fill
    duration_ns poll;         // looks into the outbox unasked: tools requeue without telling
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
    size_t batch_records_max, batch_bytes_max;
    struct request_form form;
    struct arena arena; // what `form` points to
    void (*on_unauthorized)(void *context);
    void *on_unauthorized_context;
    struct exporter_tuning tuning;
    uint64_t random_state;

    bool is_started;
    bool is_stopped; // starts no more requests
    struct export_slot *slots;
    size_t slot_count;
    size_t slot_next; // whose turn it is to be tried first
    uint64_t cursor;  // where reading goes on in the outbox; back to 0 at its end
    struct export_outage outage;
    struct net_timer *pump_timer;
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
    size_t settles;    // slots whose `settled` is still to come
    bool is_destroyed; // only waits for the two above
};

void exporter_tune(struct exporter *exporter, const struct exporter_tuning *tuning);
// Lets every slot do what it may do now.
void exporter_pump(struct exporter *exporter);
// May a request go out now?
bool exporter_may_send(const struct exporter *exporter);
bool exporter_has_taken(const struct exporter *exporter, uint64_t sequence);
// Frees a destroyed exporter when nobody will come back to it. True when it is destroyed.
bool exporter_reap(struct exporter *exporter);
void exporter_settle_later(struct exporter *exporter);

enum error_code slot_init(struct export_slot *slot, struct exporter *exporter, duration_ns timeout,
                          struct error *error) MUST_CHECK;
// The connection goes; what the engine may still read stays.
void slot_disconnect(struct export_slot *slot);
void slot_release(struct export_slot *slot);
// SLOT_IDLE → SLOT_READY, or SLOT_IDLE still when the outbox has nothing that is not taken.
enum error_code slot_load(struct export_slot *slot, struct error *error) MUST_CHECK;
// SLOT_READY → any state.
void slot_send(struct export_slot *slot);
// SLOT_UNSETTLED → SLOT_SETTLING.
void slot_settle_again(struct export_slot *slot);

enum error_code outage_init(struct exporter *exporter, const struct export_options *options,
                            struct error *error) MUST_CHECK;
void outage_release(struct export_outage *outage);
// `slot` got an answer that was not "later".
void outage_end(struct exporter *exporter, const struct export_slot *slot);
// `slot` (NULL: reading the outbox) has to try again later. `retry_after`: 0 if not given.
// `http_status`: 0 if there was no answer.
void outage_add_failure(struct exporter *exporter, const struct export_slot *slot, int http_status,
                        duration_ns retry_after, const struct error *error);
// `slot`'s request came to nothing that says anything about the collector.
void outage_forget_probe(struct export_outage *outage, const struct export_slot *slot);
// No more waiting: the next request goes out now.
void outage_stop_pause(struct exporter *exporter);

#endif
