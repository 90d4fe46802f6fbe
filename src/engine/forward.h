// Spans of other programs that belong to traces of runs: which IDs are our own, what is held until its run is known.
// Used by the engine's thread only, inside a write transaction.
#ifndef GHATRACE_ENGINE_FORWARD_H
#define GHATRACE_ENGINE_FORWARD_H

#include "private.h"

// --- our_spans.c: the IDs of our spans, by trace ------------------------------------------------------------
//
// Table our_spans: trace as it is exported (16) ‖ key of the run or the job in `spans` (8) → 01 ‖ be64 time of the last
// change ‖ trace under which its state is stored (16) ‖ IDs of its spans, 8 bytes each, sorted. There is an entry for
// each run, with its root, and for each job. A trace with an entry is known. An entry is kept as long as its state,
// and at least for `linger`.

// The IDs of one trace, in memory.
struct id_set {
    struct trace_id trace;
    uint64_t *slots; // open addressing, 0: empty; NULL: too many to be kept
    size_t capacity; // a power of two
    size_t count;
    uint64_t used_at; // 0: the set is free
};

#define SETS_MAX 256 // as many as traces in one request
// Entries of jobs that one batch reads for traces whose IDs are not in memory: some milliseconds.
#define ENTRIES_READ_MAX 8192
#define NOTED_MAX 1024 // a power of two
#define EXPECTED_MAX 64
#define PASSED_MAX 65536 // a power of two

struct forwarder {
    uint64_t forwarded_max; // bytes in the outbox; 0: no limit
    struct id_set sets[SETS_MAX];
    uint64_t uses;                    // of sets, in all
    size_t entries_read;              // in this batch
    struct trace_id noted[NOTED_MAX]; // runs that have an entry, by the first bytes of the trace
    struct buffer list;               // one entry under construction

    // The last spans of other programs that were passed on, by a hash of trace and ID: an ID of ours may be among them,
    // if it could be foreseen before GitHub reported the step.
    uint64_t passed[PASSED_MAX];

    // Traces that became known: what is held for them is released.
    struct trace_id expected[EXPECTED_MAX];
    size_t expected_count;
    bool must_search;         // all traces that something is held for have to be checked
    struct trace_id searched; // where this continues

    struct store_key swept; // where the sweep over old entries continues
    bool is_sweeping;
    timestamp_ns swept_at; // begin of the last sweep; 0: none
};

struct forwarder *forwarder_create(uint64_t forwarded_max);
void forwarder_note_passed(struct forwarder *forwarder, const struct trace_id *trace,
                           const struct span_id *id);
void forwarder_destroy(struct forwarder *forwarder);
// After a transaction that was not committed: forgets what was read from it.
void forwarder_forget(struct forwarder *forwarder);

// False: their IDs are not in memory, and this batch has read enough of others.
bool forwarder_may_find(struct forwarder *forwarder, const struct trace_id *trace);
void forwarder_end_batch(struct forwarder *forwarder);
// `*set`: the IDs of our spans in this trace; NULL: it is not known. Valid until the next call of this function, or of
// those in private.h that note IDs.
enum error_code work_find_our_spans(struct engine_work *work, const struct trace_id *trace,
                                    const struct id_set **set) MUST_CHECK;
// True also if there are too many of our spans to say.
bool id_set_is_too_large(const struct id_set *set);
bool id_set_has(const struct id_set *set, const struct span_id *id);

// Deletes old entries; checks at most `max`. `*has_more`: call again.
enum error_code work_sweep_our_spans(struct engine_work *work, size_t max,
                                     bool *has_more) MUST_CHECK;

#endif
