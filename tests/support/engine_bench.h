// An engine on a store of its own, with a clock that the test moves. What fails here fails the test.
#ifndef GHATRACE_TESTS_SUPPORT_ENGINE_BENCH_H
#define GHATRACE_TESTS_SUPPORT_ENGINE_BENCH_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/engine/engine.h"
#include "support/scenario.h"
#include "support/temp_folder.h"

struct engine_bench {
    struct temp_folder folder;
    struct store *store;
    struct engine *engine;
    struct engine_options options; // change policy or history, then engine_bench_restart()
    timestamp_ns now;
    uint64_t map_bytes; // change, then engine_bench_restart()
};

void engine_bench_open(struct engine_bench *bench);
void engine_bench_close(struct engine_bench *bench);
// Closes engine and store and opens them again, as after a stop or a crash between two commits.
void engine_bench_restart(struct engine_bench *bench);

// Delivers now, as a batch of one. The clock must not be behind the delivery's time for its GUID to be
// believed: it is moved forward to it.
enum engine_outcome engine_bench_deliver(struct engine_bench *bench,
                                         const struct scenario_delivery *delivery);
// The same, and any answer but ENGINE_ACCEPTED is a failure.
void engine_bench_accept(struct engine_bench *bench, const struct scenario_delivery *delivery);
// Moves the clock; deadlines that fall due on the way are handled at their times.
void engine_bench_advance(struct engine_bench *bench, duration_ns by);
// As long after the scenario's start as this.
void engine_bench_advance_to(struct engine_bench *bench, double seconds);

// The finished spans in the outbox, as text: one line a span, in the order in which they left:
//
//     job build 0..60 queue_time_ms=4000
//     runner.queue 0..4
//
// times in seconds after the scenario's start, then what is remarkable: parentless, error, result,
// github.carried_over, github.incomplete. The text is NUL-terminated.
void engine_bench_spans(struct engine_bench *bench, struct buffer *text);
// All finished records as bytes, sorted, so that runs of the program can be compared.
void engine_bench_records(struct engine_bench *bench, struct buffer *bytes);
// The last version of each span, with its resource, as bytes, by ID: what a backend is left with. Fails the test where a
// version is less complete than one before it, or where a root left twice as the same.
void engine_bench_last_versions(struct engine_bench *bench, struct buffer *bytes);
// States of runs and jobs, notes included, that the store holds.
uint64_t engine_bench_count_spans(struct engine_bench *bench);
// Runs of which it is remembered that they had a root.
uint64_t engine_bench_count_roots(struct engine_bench *bench);

#endif
