// The public listener: N threads accept connections, read requests, check signatures, decode events, hand them to the
// engine, and respond when it has committed.
#ifndef GHATRACE_WEBHOOK_WEBHOOK_H
#define GHATRACE_WEBHOOK_WEBHOOK_H

#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/heartbeat.h"
#include "ghatrace/base/list.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/github/event.h"
#include "ghatrace/http/write.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"

// The secrets that may sign a delivery; replaced as a whole on SIGHUP, also while requests are being checked.
struct ingress_secrets;
enum error_code ingress_secrets_create(struct ingress_secrets **secrets,
                                       struct error *error) MUST_CHECK;
// ingress_secrets_replace() in two steps, of which only the first, the copy, can fail (ERROR_MEMORY). A prepared set
// must be used, which transfers its ownership, or dropped; dropping NULL does nothing.
struct secret_set;
enum error_code ingress_secrets_prepare(const struct slice *items, size_t count,
                                        struct secret_set **set, struct error *error) MUST_CHECK;
void ingress_secrets_use(struct ingress_secrets *secrets, struct secret_set *set);
void ingress_secrets_drop(struct secret_set *set);
// Copies the secrets. From any thread.
enum error_code ingress_secrets_replace(struct ingress_secrets *secrets, const struct slice *items,
                                        size_t count, struct error *error) MUST_CHECK;
void ingress_secrets_destroy(struct ingress_secrets *secrets);

struct ingress_options {
    struct net_address listen;
    int listen_socket; // created by another process, used instead of `listen`; owned by the caller. 0: none
    const char *webhook_path; // outlives the ingress
    size_t threads;
    uint64_t max_payload_bytes;
    // for bodies above 64 KiB, over all threads; more are refused with 503
    uint64_t payload_memory_bytes;
    bool insecure_no_signature;
    struct ingress_secrets *secrets; // outlives the ingress
    const struct slice *repos;       // globs on owner/name, `!` excludes; none: all. Outlive it
    size_t repo_count;
    // Networks that may send webhooks; empty: all. Outlives the ingress, as does the next.
    struct net_network_list allow_from;
    struct net_network_list trusted_proxies; // their X-Forwarded-For is used
    size_t max_connections;                  // over all threads
    // IPv6: per /64, and four times that per /48; 0: no cap. Trusted proxies: none
    size_t max_connections_per_address;
    duration_ns head_deadline;    // from a request's first byte to the end of its head; 0: 10 s
    duration_ns request_deadline; // from a request's first byte to its last; 0: 30 s
    duration_ns idle_deadline;    // between requests; 0: 75 s
    duration_ns stall_limit;      // a thread without reaction for longer counts as hung; 0: 5 s
    duration_ns body_grace;       // from a head on, until 4 KiB/s are enforced for its body; 0: 5 s
    duration_ns output_deadline;  // of a client that does not read its responses; 0: 30 s
    // without a certificate: plaintext. The names outlive the ingress
    struct net_tls_server_options tls;
};

struct ingress;

// Binds and starts the threads; they respond 503 until the engine runs.
enum error_code ingress_start(struct engine *engine, const struct ingress_options *options,
                              struct ingress **ingress, struct error *error) MUST_CHECK;
const struct net_address *ingress_address(const struct ingress *ingress);
// Reads certificates and key again, for ingress_use_tls() or ingress_drop_tls(). Nothing changes yet. Without TLS
// nothing is read and `*tls` is NULL, which both functions accept.
struct ingress_tls;
enum error_code ingress_load_tls(struct ingress *ingress, struct ingress_tls **tls,
                                 struct error *error) MUST_CHECK;
// Takes ownership of `tls`: new connections use it, existing ones are unchanged. From one thread at a time, not after
// the stop.
void ingress_use_tls(struct ingress *ingress, struct ingress_tls *tls);
void ingress_drop_tls(struct ingress_tls *tls);
// As net_tls_log_certificate_warnings(). NULL is fine.
void ingress_log_certificate_warnings(const struct ingress_tls *tls, const char *certificate_file);
// Posts a task to each thread to check that it reacts; call about once a second, not after the stop. From any thread.
void ingress_watch(struct ingress *ingress);
// ERROR_NONE if all threads reacted to ingress_watch(), else ERROR_BUSY. From any thread.
enum error_code ingress_ready(struct ingress *ingress, struct error *error);
// The heartbeats of the threads, always in the same order, `max` at most; each beats when it reacts. Returns how many
// threads there are. From any thread.
size_t ingress_heartbeats(const struct ingress *ingress, struct heartbeat *out, size_t max);
// From now on connections close after their next response (`Connection: close`), idle ones within a second; new ones
// are still accepted. Returns at once.
void ingress_wind_down(struct ingress *ingress);
// Ends the ingress once the second for idle connections is over, or earlier if there are no connections. An adopted
// socket is left alone; the queue of an own socket is accepted, and until ingress_destroy() it does not respond to new
// clients. Requests in flight are completed, for at most `grace`; with a grace of 0 all this is skipped and the socket
// is closed. Then the threads end, and `done` (may be NULL) is posted to `loop`. Returns at once. Events in the engine
// are waited for beyond the grace, so the engine must be running.
void ingress_end(struct ingress *ingress, duration_ns grace, struct net_loop *loop,
                 struct net_task *done);
// As ingress_end(), but waits for the end.
void ingress_stop(struct ingress *ingress, duration_ns grace);
// Stops it without grace if it still runs.
void ingress_destroy(struct ingress *ingress);

// Outcomes of deliveries with a valid signature. The names are those of /metrics and /api/status.
#define INGRESS_OUTCOME_LIST(ROW)                                                                  \
    ROW(INGRESS_ACCEPTED, "accepted")                                                              \
    ROW(INGRESS_DUPLICATE, "duplicate")                                                            \
    ROW(INGRESS_IGNORED, "ignored")                                                                \
    /* ignored, too: GitHub sent null in place of the job, run or repository */                    \
    ROW(INGRESS_NULL, "malformed")                                                                 \
    ROW(INGRESS_PONG, "pong")                                                                      \
    ROW(INGRESS_REFUSED, "refused") /* 503 */
enum ingress_outcome { INGRESS_OUTCOME_LIST(LIST_ENUMERATOR) INGRESS_OUTCOMES };
extern const char *const ingress_outcome_names[INGRESS_OUTCOMES];
// True if a delivery of this type (struct github_event) can have this outcome. /metrics lists no others.
bool ingress_outcome_is_possible(enum github_event_kind type, enum ingress_outcome outcome);

// Why requests were refused.
extern const char *const ingress_refusal_names[HTTP_REFUSALS];

// Counters of each thread. A new counter needs a row here, the code that increments it, and a row in admin/health.c.
#define INGRESS_COUNTER_LIST(ROW)                                                                  \
    ROW(requests, )                                         /* health and readiness included */    \
    ROW(deliveries, [GITHUB_EVENT_KINDS][INGRESS_OUTCOMES]) /* by type, ignored ones, too */       \
    ROW(refusals, [HTTP_REFUSALS])                                                                 \
    ROW(rejected_network, ) /* connections closed because of allow_from */

// Since the start of the process.
struct ingress_counters {
    INGRESS_COUNTER_LIST(LIST_COUNTER)
    uint64_t connections;          // currently open
    uint64_t rejected_per_address; // connections closed because of max_connections_per_address
    uint64_t delayed_401;          // delayed 401s, for too many failures of one client
};
void ingress_read_counters(struct ingress *ingress, struct ingress_counters *counters);

// True if events of this repository are processed. The last matching glob decides; if all globs begin with `!`, every
// other repository is included. Pure.
bool ingress_repository_is_wanted(const struct slice *globs, size_t count, struct slice full_name);

#endif
