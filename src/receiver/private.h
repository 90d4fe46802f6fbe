// What the thread (receiver.c), the requests (intake.c) and the list of reports (reports.c) share.
#ifndef GHATRACE_RECEIVER_PRIVATE_H
#define GHATRACE_RECEIVER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "access.h"
#include "ghatrace/base/log.h"
#include "ghatrace/http/limits.h"
#include "ghatrace/http/server.h"
#include "ghatrace/receiver/receiver.h"

// --- limits ---------------------------------------------------------------------------------------

#define RECEIVER_CONNECTIONS_MAX 512
#define RECEIVER_CONNECTIONS_PER_ADDRESS 128 // several jobs may share an address
#define RECEIVER_BODY_MAX ((uint64_t)4 << 20)
#define RECEIVER_INFLATED_MAX ((size_t)16 << 20)
#define RECEIVER_SPANS_MAX 10000 // a request; the Collector sends 8,192, SDKs 512
#define RECEIVER_ATTRIBUTES_MAX 1024
#define RECEIVER_SPAN_BYTES_MAX ((size_t)256 << 10)
#define RECEIVER_RESOURCE_BYTES_MAX ((size_t)64 << 10)
// Bodies above 64 KiB that are being received, of each role: with a job's token they may stall.
#define RECEIVER_BODY_MEMORY ((uint64_t)16 << 20)
// Requests that wait for the engine.
#define RECEIVER_REQUEST_MEMORY ((size_t)96 << 20) // half of it for jobs
// What the engine has at a time: the rest waits here, so that webhooks wait for little of it.
#define RECEIVER_ENGINE_TASKS 16
#define RECEIVER_ENGINE_SPANS 2048 // a larger request is the only one
#define RECEIVER_ANSWER_TIME (900 * NS_PER_MS)
// How long the thread may decode requests of jobs without a pause; beyond it, half of the time. A few KiB of gzip can
// take half a second, and meanwhile ARC waits.
#define RECEIVER_JOB_TIME_MAX (200 * NS_PER_MS)

// --- reports --------------------------------------------------------------------------------------

struct receiver_reports {
    pthread_mutex_t mutex; // guards the rest
    struct receiver_report items[RECEIVER_REPORTS];
    size_t next; // the place of the next one
    size_t count;
};

// `match`: as the engine sets it; NULL: it was not asked.
void receiver_note_report(struct receiver_reports *reports, const struct arc_report *report,
                          enum arc_outcome outcome, const struct arc_match *match, timestamp_ns at);

// --- the receiver ---------------------------------------------------------------------------------

struct receiver_sums {
    RECEIVER_COUNTER_LIST(LIST_ATOMIC_COUNTER)
};

struct intake; // one request, from its end to its outcome
TAILQ_HEAD(intake_list, intake);

struct receiver {
    struct engine *engine;
    struct receiver_options options;
    struct receiver_access access;
    struct net_address address;       // with the real port
    struct address_counts *addresses; // owned, like the next
    struct auth_failures *failures;
    struct body_memory body_memory[RECEIVER_ROLES];
    struct receiver_reports reports;
    struct receiver_sums sums;

    struct net_loop *loop;
    struct http_server host;
    struct log_limit token_lines, refusal_lines;
    // Requests, in the thread of the receiver.
    struct intake_list unanswered;              // ordered by their time
    struct intake_list waiting[RECEIVER_ROLES]; // for the engine; each ordered by their time
    struct net_timer *answer_timer;             // set for the first unanswered one
    size_t intake_bytes;                        // their memory
    size_t engine_tasks, engine_spans;
    duration_ns job_time;        // left for decoding requests of jobs; below 0: none
    timestamp_ns job_time_since; // when it was computed; monotonic

    struct net_timer *grace;
    struct net_task wind_down, end;
    bool is_ending;
    pthread_t thread;
    bool is_running;
    bool is_winding_down; // used by the caller's thread
};

extern const struct http_service receiver_service;

// When the first unanswered request has waited for the answer time.
void receiver_answer_late(void *context);

#endif
