// Records that were refused alone while the endpoint accepted others. They stay in the outbox; each is retried alone
// at increasing intervals. Only numbers of records. Private to this room. Pure.
#ifndef GHATRACE_SRC_EXPORT_QUARANTINE_H
#define GHATRACE_SRC_EXPORT_QUARANTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/time.h"

// Each interval is twice the one before, up to this many times the first.
#define QUARANTINE_INTERVAL_GROWTH 128

struct quarantine_entry {
    uint64_t sequence;
    uint32_t size;       // bytes
    uint32_t tries;      // number of times refused alone
    int status;          // of the last response; 0: there was none
    bool is_in_flight;   // a retry is in progress
    timestamp_ns since;  // monotonic
    timestamp_ns due_at; // next try
    duration_ns interval;
    uint64_t refused_at; // tick of the last refusal (plan.h)
    // The first refusal that was about the data: its tick (0: there was none) and its connection.
    uint64_t about_data_at, about_data_connection;
};

struct quarantine {
    struct quarantine_entry *entries; // by sequence; owned
    size_t count, capacity;
    uint64_t bytes;
    timestamp_ns earliest; // no entry is due before; may be too early
};

void quarantine_release(struct quarantine *quarantine);
struct quarantine_entry *quarantine_find(const struct quarantine *quarantine, uint64_t sequence);
// NULL: out of memory. The entry must not exist yet.
struct quarantine_entry *quarantine_add(struct quarantine *quarantine, uint64_t sequence,
                                        uint32_t size, timestamp_ns now, duration_ns interval);
// Does nothing if there is no such entry.
void quarantine_remove(struct quarantine *quarantine, uint64_t sequence);
// Increases the interval and schedules the next try after it, plus or minus a quarter, from `now`.
void quarantine_postpone(struct quarantine *quarantine, struct quarantine_entry *entry,
                         timestamp_ns now, duration_ns first_interval, uint64_t random);
// Marks the entry as no longer in flight.
void quarantine_put_back(struct quarantine *quarantine, struct quarantine_entry *entry);
// Makes all entries due at `now`, or only those that were refused once and before `tick`.
void quarantine_retry_now(struct quarantine *quarantine, timestamp_ns now);
void quarantine_retry_new_now(struct quarantine *quarantine, timestamp_ns now, uint64_t tick);
// The entry that has been due for longest, of those not in flight; NULL if none is due.
struct quarantine_entry *quarantine_due(struct quarantine *quarantine, timestamp_ns now);
// The entry that has been here for longest, of those not in flight.
struct quarantine_entry *quarantine_oldest(const struct quarantine *quarantine);

#endif
