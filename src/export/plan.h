// Decides what to send next and handles the results: which records are in flight, how large requests may be, when to
// send fewer requests to the endpoint, and which records to suspect. Private to this room. Pure: no I/O and no clock;
// the outbox is accessed through a function, the time and random numbers are arguments. Only numbers and sizes of
// records.
//
// Requests. Each of `in_flight_max` requests carries records from one of four places:
//   line        the outbox in order, as many records as the window allows (pace.h)
//   part        a batch that was refused: its range of the outbox, with a limit of its own
//   single      one record alone, to test whether the endpoint accepts anything (see below)
//   quarantine  records that were refused alone (pace.h), mostly one
//
// Refusals. An endpoint is considered to be either working or not (the circuit breaker is closed, or open).
//   - A batch that is refused becomes a part. It is halved if the response was about the data or probably about the
//     size, or if there is evidence that the cause is in the batch: the endpoint has accepted a request that was sent after the first
//     refusal of the part.
//   - A record that is refused alone, with such evidence, is quarantined. If the response was about the data twice,
//     on two connections, and a request sent after the first of these refusals was accepted, it becomes a dead letter.
//   - A refusal that is not about the data, without evidence, opens the breaker, and so do more consecutive refusals
//     than one path of halving needs. Whatever was refused before it opened needs new evidence afterwards.
//
// While the breaker is open, one request (a probe; the breaker is half-open) is sent for each step of the backoff.
// Every second probe is a single: a different record each time, through the whole outbox. Nothing is halved without
// evidence, with one exception: after each third consecutive failure that may be due to size (no response over a
// connection, 429, 5xx), and after each that probably is, the batch and the window are halved. An accepted probe closes
// the breaker; if it was a single, all parts are halved.
//
// Requests while an endpoint accepts nothing: at most plan_burst_max() at once, then one for each step of the
// backoff.
//
// Records of other programs have a plan of their own (`is_forwarded`), with one request at a time, so that no answer to
// theirs changes how ours are sent. Two rules differ in it.
//   - An accepted request of our plan is evidence, too (plan_note_accepted). It closes the breaker, but the wait that
//     was begun and the length of the next one stay.
//   - A record that is refused alone, with evidence, becomes a dead letter at once if the response was about the data,
//     otherwise when it was refused alone PLAN_FORWARDED_TRIES times, each time with new evidence. Until then it is in
//     quarantine, for minutes.
#ifndef GHATRACE_SRC_EXPORT_PLAN_H
#define GHATRACE_SRC_EXPORT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "pace.h"

struct plan_options {
    size_t in_flight_max;
    size_t records_max, bytes_max;
    duration_ns backoff_first, backoff_max;
    // Beyond these limits, the oldest in quarantine become dead letters. 0 bytes: no limit.
    uint64_t quarantine_bytes_max;
    size_t quarantine_records_max;
    bool is_forwarded; // a plan for records of other programs
};
#define PLAN_FORWARDED_TRIES 3

// The outbox: the first record with a sequence >= `*sequence`; sets both. ERROR_NOT_FOUND at the end.
struct plan_source {
    enum error_code (*seek)(void *context, uint64_t *sequence, uint32_t *size, struct error *error);
    void *context;
};

enum plan_kind { PLAN_LINE, PLAN_PART, PLAN_SINGLE, PLAN_QUARANTINED };

// A request, from plan_next() to plan_settled().
struct plan_request {
    bool is_busy;
    enum plan_kind kind;
    uint64_t *sequences; // ascending
    uint32_t *sizes;     // bytes
    size_t count, bytes;
    bool is_limited;           // the window, not the outbox, ended it
    bool needs_new_connection; // must not be sent on a connection that was used before
    bool is_probe;
    uint64_t sent_at; // tick
    struct plan_part *part;
};

// A refused batch: the records of its range that are still in the outbox.
struct plan_part {
    bool is_used;
    bool is_busy; // one of its requests is in flight
    uint64_t first, last;
    size_t records_max;         // of a request
    struct window_size refused; // the last request; no records: no information about the part
    uint64_t refused_at;        // tick of the first refusal
    timestamp_ns due_at;
};

// Whether the endpoint is considered to be working. See plan.c for the allowed transitions.
enum breaker_state {
    BREAKER_CLOSED,    // it is: requests are sent
    BREAKER_OPEN,      // it is not: nothing is sent before `retry_at`, then one probe
    BREAKER_HALF_OPEN, // the probe is in flight
};
struct circuit_breaker {
    enum breaker_state state;
    timestamp_ns opened_at; // when it was last closed
    uint64_t failures;      // consecutive refused probes, including the refusal that opened it
    timestamp_ns retry_at;
    bool is_delay_asked; // `retry_at` was requested by the endpoint
    struct backoff backoff;
    const struct plan_request *probe; // with BREAKER_HALF_OPEN, otherwise NULL
};

// Ticks count requests and responses, so that "after" is defined without a clock.
struct export_plan {
    struct plan_options options;
    struct plan_request *requests;
    struct plan_part *parts;
    size_t part_capacity, part_count, part_turn;
    struct export_window window;
    struct quarantine quarantine;
    uint64_t cursor; // where the line continues
    uint64_t tick;
    uint64_t accepted_at; // tick at which the latest accepted request was sent
    uint64_t tripped_at;  // tick at which the breaker opened
    bool is_draining;     // quarantined records are not tried
    unsigned refusals;    // consecutive
    unsigned size_failures;

    struct circuit_breaker breaker;
    uint64_t probes; // odd ones are singles
    uint64_t singles;
    uint64_t single_cursor; // where to search for the next single
    uint64_t refused_alone; // the last record refused alone while open: excluded from singles
    bool is_single_next;
    bool lacks_other_record; // there was no other record for the last single

    size_t quarantine_window; // records in the next try
    timestamp_ns quarantine_pause_end;
    struct backoff quarantine_backoff;
};

enum error_code plan_init(struct export_plan *plan, const struct plan_options *options) MUST_CHECK;
void plan_release(struct export_plan *plan);
// Upper bound on consecutive refused requests that are sent without waiting.
size_t plan_burst_max(const struct plan_options *options);

enum plan_step {
    PLAN_SEND,        // the request
    PLAN_DEAD_LETTER, // make the request's single record a dead letter: the quarantine is full
    PLAN_WAIT,        // ask again at `until`
    PLAN_IDLE,        // ask again after a response, or when there are new records
};
// Input and output of plan_next().
struct plan_turn {
    timestamp_ns now;
    struct plan_source source;
    enum plan_step step;
    timestamp_ns until; // with PLAN_WAIT
};
// What the request `index`, which must not be busy, has to do. Errors are from the source; nothing has changed then.
enum error_code plan_next(struct export_plan *plan, size_t index, struct plan_turn *turn,
                          struct error *error) MUST_CHECK;

struct plan_answer {
    enum export_outcome outcome;
    bool may_be_size, is_likely_size; // see export_class
    bool is_no_connection;            // there was no connection: no information about the records
    int status;                       // see answer_status(); 0: no response
    duration_ns retry_after;          // 0: not given
    uint64_t connection;              // identifies the connection
};
enum plan_verdict {
    PLAN_KEEP,   // nothing to do; the request is free
    PLAN_SETTLE, // sent: remove the records from the outbox, then plan_settled()
    PLAN_DEAD, // permanently refused: move the one record to the dead letters, then plan_settled()
    PLAN_QUARANTINE, // the one record is quarantined: store that, then plan_settled()
};
enum plan_verdict plan_answer(struct export_plan *plan, size_t index,
                              const struct plan_answer *answer, timestamp_ns now, uint64_t random);
// The request could not be built from these records (too large together, or not encodable): smaller ones are tried at
// once; PLAN_DEAD for a single record.
enum plan_verdict plan_unsendable(struct export_plan *plan, size_t index, timestamp_ns now);
// There are no records for these entries of the outbox: remove them from it, then plan_settled().
void plan_gone(struct export_plan *plan, size_t index);
void plan_settled(struct export_plan *plan, size_t index);
// In a plan with `is_forwarded`: another plan sends a request to the same endpoint. Returns the tick at which it does,
// for plan_note_accepted() if the request is accepted.
uint64_t plan_note_sent(struct export_plan *plan);
void plan_note_accepted(struct export_plan *plan, uint64_t sent_at, timestamp_ns now);
// A local failure, such as an unreadable outbox: opens the breaker, or keeps it open.
void plan_local_failure(struct export_plan *plan, timestamp_ns now, uint64_t random);

// There are new records.
void plan_wake(struct export_plan *plan, timestamp_ns now);
// Reads the outbox from its beginning again: records may have been put back.
void plan_rescan(struct export_plan *plan);
// Lets the next probe be sent without waiting.
void plan_probe_now(struct export_plan *plan, timestamp_ns now);
// Restores a record that was in quarantine when the process ended.
void plan_restore(struct export_plan *plan, uint64_t sequence, uint32_t size, timestamp_ns now);

#endif
