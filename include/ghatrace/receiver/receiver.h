// The listener for spans of other programs, OTLP/HTTP: ARC's reports about jobs, and spans of programs inside jobs.
// One thread accepts connections, reads and decodes requests, hands them to the engine, and responds when it has
// committed.
#ifndef GHATRACE_RECEIVER_RECEIVER_H
#define GHATRACE_RECEIVER_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/list.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/http/write.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/webhook/webhook.h"

// What the sender of a request may do.
#define RECEIVER_ROLE_LIST(ROW)                                                                    \
    ROW(RECEIVER_ARC, "arc") /* states what ARC knows of jobs; sends no other spans */             \
    ROW(RECEIVER_JOB, "job") /* sends spans that are passed on */
enum receiver_role { RECEIVER_ROLE_LIST(LIST_ENUMERATOR) RECEIVER_ROLES };
extern const char *const receiver_role_names[RECEIVER_ROLES];

#define RECEIVER_TOKEN_LEAST 16 // characters

// Reads a line of the token file, "arc TOKEN" or "job TOKEN". ERROR_USAGE with what is wrong with it; the message does
// not contain the line. Pure.
enum error_code receiver_read_token(struct slice line, enum receiver_role *role,
                                    struct slice *token, struct error *error) MUST_CHECK;

struct receiver_options {
    struct net_address listen;
    // lines of the token file; outlives the receiver. NULL: there are none
    struct ingress_secrets *tokens;
    const struct slice *repos; // as in struct ingress_options; outlive it, like the next
    size_t repo_count;
    // their X-Forwarded-For is used for delays of wrong tokens
    struct net_network_list trusted_proxies;
    struct net_tls_server_options tls; // without a certificate: plaintext. The names outlive it
    // from the end of a request to its response, at most; 0: the usual 900 ms
    duration_ns answer_time;
};

struct receiver;

// Binds and starts the thread.
enum error_code receiver_start(struct engine *engine, const struct receiver_options *options,
                               struct receiver **receiver, struct error *error) MUST_CHECK;
const struct net_address *receiver_address(const struct receiver *receiver);
// Like ingress_load_tls() and ingress_use_tls(); unused contexts are released with net_tls_unref().
enum error_code receiver_load_tls(const struct receiver *receiver, struct net_tls **tls,
                                  struct error *error) MUST_CHECK;
void receiver_use_tls(struct receiver *receiver, struct net_tls *tls);
// From now on connections close after their next response, idle ones within a second. Returns at once.
void receiver_wind_down(struct receiver *receiver);
// Closes the listener, completes the requests in flight and ends the thread, within some two seconds. What the engine
// has is waited for beyond that, so the engine must be running. NULL does nothing, and so does a second call.
void receiver_stop(struct receiver *receiver);
// Stops it if it still runs. NULL does nothing.
void receiver_destroy(struct receiver *receiver);

// Why requests were refused.
extern const char *const receiver_refusal_names[HTTP_REFUSALS];

// A new counter needs a row here, the code that increments it, and a row in admin/health.c.
#define RECEIVER_COUNTER_LIST(ROW)                                                                 \
    ROW(requests, )                                                                                \
    ROW(refusals, [HTTP_REFUSALS])                                                                 \
    ROW(spans, [RECEIVER_ROLES])     /* of requests that could be decoded */                       \
    ROW(not_arc, )                   /* spans that were refused, since an arc token's are ARC's */ \
    ROW(arc_named, )                 /* spans with the names of ARC's, and a job token */          \
    ROW(arc_reports, [ARC_OUTCOMES]) /* those that the engine was not asked about */

// Since the start of the process.
struct receiver_counters {
    RECEIVER_COUNTER_LIST(LIST_COUNTER)
    uint64_t connections;          // currently open
    uint64_t rejected_per_address; // connections closed because one address had too many
};
void receiver_read_counters(struct receiver *receiver, struct receiver_counters *counters);

// --- the last reports of ARC ----------------------------------------------------------------------

#define RECEIVER_REPORTS 100
#define RECEIVER_NAME_SIZE 128

struct receiver_report {
    timestamp_ns at; // when it was received
    enum arc_outcome outcome;
    // Of the job that it was matched to, else what the report says. 0: unknown.
    int64_t run_id, run_attempt, job_id;
    // Valid UTF-8, cut to size; may be empty.
    char repository[RECEIVER_NAME_SIZE], job_name[RECEIVER_NAME_SIZE],
        runner_name[RECEIVER_NAME_SIZE];
};

// Copies the last reports, newest first, and returns how many there are. From any thread.
size_t receiver_read_reports(struct receiver *receiver,
                             struct receiver_report reports[RECEIVER_REPORTS]);

#endif
