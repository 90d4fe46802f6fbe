// Notices: requests to chat and paging services when a pool of runners gets into trouble, and when that is over. In the
// main thread's loop; every `interval` the pools are read, in one short transaction.
//
// Each receiver has a client, a back-off and what is pending of its own, so one that does not answer holds up nothing.
// What is pending is kept over restarts in the table `notices`, written by the engine; a request whose answer was not
// stored before a crash is sent again, with the same `id`.
//
// URLs and tokens are secrets: they are shown nowhere. A receiver is shown by its form and host.
#ifndef GHATRACE_NOTIFY_NOTICES_H
#define GHATRACE_NOTIFY_NOTICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/store/store.h"
#include "ghatrace/view/pools_view.h"

// --- the file of receivers ------------------------------------------------------------------------

// The shape of a request.
enum notice_form {
    NOTICE_JSON,  // our own, see the README
    NOTICE_SLACK, // Slack's incoming webhooks, and those of services that take the same
    NOTICE_NTFY,  // ntfy's publishing as JSON
    NOTICE_FORMS,
};
extern const char *const notice_form_names[NOTICE_FORMS]; // "json", "slack", "ntfy"

#define NOTICE_RECEIVERS_MAX 8
#define NOTICE_FILE_MAX ((size_t)65536) // bytes
#define NOTICE_TOKEN_SIZE 1024
#define NOTICE_TOPIC_SIZE 65 // of ntfy

struct notice_receiver {
    enum notice_form form;
    struct export_endpoint endpoint; // its proxy is set by the caller
    char token[NOTICE_TOKEN_SIZE];   // sent as bearer token; empty: none
    char topic[NOTICE_TOPIC_SIZE];   // of ntfy: the last part of the URL's path
    uint64_t id;                     // of the form and the URL; what is pending is kept under it
};

struct notice_receivers {
    struct notice_receiver items[NOTICE_RECEIVERS_MAX];
    size_t count;
};

// Parses a file: one `FORM URL [TOKEN]` a line, separated by blanks; empty lines and those that begin with '#' are
// skipped. ERROR_USAGE naming the line, but nothing of its content; also if there is none, or a receiver is named
// twice.
enum error_code notice_receivers_parse(struct slice text, struct notice_receivers *receivers,
                                       struct error *error) MUST_CHECK;
// Overwrites the secrets.
void notice_receivers_wipe(struct notice_receivers *receivers);

// --- notices --------------------------------------------------------------------------------------

// Of a pool: dead, queued. Of a ceiling. Of the daemon.
#define NOTICE_CONDITION_LIST(ROW)                                                                 \
    ROW(NOTICE_DEAD, "dead")                  /* jobs wait, nothing starts and nothing runs */     \
    ROW(NOTICE_QUEUED, "queued")              /* the oldest queued job waits long */               \
    ROW(NOTICE_CEILING, "ceiling")            /* a limit above the pools is reached */             \
    ROW(NOTICE_SILENCE, "deliveries_stopped") /* no event was accepted for long */
enum notice_condition { NOTICE_CONDITION_LIST(LIST_ENUMERATOR) NOTICE_CONDITIONS };
extern const char *const notice_condition_names[NOTICE_CONDITIONS];

struct notice_settings {
    duration_ns after[NOTICE_CONDITIONS]; // how long it has to last; 0: no notices of it
    duration_ns hold;                     // how long it has to be over until the end is sent
};

struct notices_options {
    struct net_loop *loop;
    struct store *store;
    struct engine *engine;
    struct notice_settings settings;
    struct pools_view_settings pools;
};

struct notices;

// Reads what is kept. Everything that the options point to outlives it. All functions run in the loop's thread.
enum error_code notices_create(const struct notices_options *options, struct notices **notices,
                               struct error *error) MUST_CHECK;

// Receivers with their clients, ready to be used. `tls` is needed for https, and referenced.
struct notice_senders;
enum error_code notice_senders_create(struct notices *notices,
                                      const struct notice_receivers *receivers,
                                      struct net_tls_client *tls, struct notice_senders **senders,
                                      struct error *error) MUST_CHECK;
// NULL does nothing.
void notice_senders_destroy(struct notice_senders *senders);
// Replaces the receivers. Requests in progress end unanswered, and back-offs begin anew. What is pending for receivers
// that are no longer there is dropped. The first call starts the timer.
void notices_use(struct notices *notices, struct notice_senders *senders);

// Sends nothing from now on; a request in progress ends unanswered. Before the engine is stopped.
void notices_stop(struct notices *notices);
// After the loop was destroyed. NULL does nothing.
void notices_destroy(struct notices *notices);

// Why notices were dropped. The names are those of /metrics and /api/status.
#define NOTICE_DROP_LIST(ROW)                                                                      \
    ROW(NOTICE_DROP_AGE, "age")           /* pending for 24 h */                                   \
    ROW(NOTICE_DROP_REFUSED, "refused")   /* the receiver refused it five times */                 \
    ROW(NOTICE_DROP_LIMIT, "limit")       /* too many troubles at once */                          \
    ROW(NOTICE_DROP_RECEIVER, "receiver") /* its receiver is no longer in the file */
enum notice_drop { NOTICE_DROP_LIST(LIST_ENUMERATOR) NOTICE_DROPS };
extern const char *const notice_drop_names[NOTICE_DROPS];

// Since the start, of all receivers.
struct notices_counters {
    uint64_t sent;      // begins and ends that a receiver accepted
    uint64_t cancelled; // that were not sent because the other followed
    uint64_t failures;  // requests that were not accepted
    uint64_t dropped[NOTICE_DROPS];
    uint64_t pending;   // now
    uint64_t receivers; // now
    uint64_t troubled;  // of these: whose last request was not accepted
};
void notices_read_counters(const struct notices *notices, struct notices_counters *counters);

#define NOTICE_MESSAGE_SIZE 256
struct notice_receiver_status {
    enum notice_form form;
    const char *host; // with the port, if there is one; valid until notices_use()
    uint64_t pending;
    bool is_troubled;     // the last request was not accepted
    timestamp_ns since;   // since when; TIMESTAMP_UNKNOWN: it was, or there was none
    timestamp_ns sent_at; // when one was last accepted; TIMESTAMP_UNKNOWN: none since the start
    int http_status;      // of the last failure; 0: no response
    char message[NOTICE_MESSAGE_SIZE]; // why, without any secret
};
// False: there is no such receiver.
bool notices_read_receiver(const struct notices *notices, size_t index,
                           struct notice_receiver_status *status);

#endif
