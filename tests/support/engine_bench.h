// An engine on a store of its own, with a clock that the test sets. A failure in these functions fails the test.
#ifndef GHATRACE_TESTS_SUPPORT_ENGINE_BENCH_H
#define GHATRACE_TESTS_SUPPORT_ENGINE_BENCH_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/store/table.h"
#include "support/scenario.h"
#include "support/temp_folder.h"

struct engine_bench {
    struct temp_folder folder;
    struct store *store;
    struct engine *engine;
    struct engine_options options; // change policy or history, then engine_bench_restart()
    timestamp_ns now;
    struct arc_match *matches; // of the next reports; or NULL
    uint64_t map_bytes;        // change, then engine_bench_restart()
};

void engine_bench_open(struct engine_bench *bench);
void engine_bench_close(struct engine_bench *bench);
// Closes engine and store and opens them again, as after a stop or a crash between two commits.
void engine_bench_restart(struct engine_bench *bench);
// Set-up and tear-down of a test: an open bench in `*state`, and no log.
int engine_bench_set_up(void **state);
int engine_bench_tear_down(void **state);

// Delivers now, as a batch of one. The clock is moved forward to the delivery's time: if it were behind, the time in
// the GUID would not be used.
enum engine_outcome engine_bench_deliver(struct engine_bench *bench,
                                         const struct scenario_delivery *delivery);
// The same; any outcome but ENGINE_ACCEPTED is a failure.
void engine_bench_accept(struct engine_bench *bench, const struct scenario_delivery *delivery);
// Delivers what ARC reports now; with `has_receiver`.
enum engine_outcome engine_bench_report(struct engine_bench *bench, const struct arc_report *report,
                                        enum arc_outcome *outcome);
// A report that the job of the scenario's run was assigned at `seconds`, by the job's number.
struct arc_report engine_bench_assignment(int64_t job_id, double seconds);
// By what a report names its job: its number, its run and name, or its runner and the time.
enum report_naming { BY_NUMBER, BY_NAME, BY_TIME, REPORT_NAMINGS };
// The report without what it does not name the job by.
struct arc_report engine_bench_named(enum report_naming naming, struct arc_report report);
// Delivers the report of engine_bench_assignment(); any outcome but ENGINE_ACCEPTED is a failure.
enum arc_outcome engine_bench_assign(struct engine_bench *bench, int64_t job_id, double seconds);
// `on_done` of a task; any outcome but ENGINE_ACCEPTED is a failure.
void engine_bench_must_accept(struct engine_task *task);
// Moves the clock; deadlines that become due in between are processed at their times.
void engine_bench_advance(struct engine_bench *bench, duration_ns by);
// Moves the clock to this time after the scenario's start.
void engine_bench_advance_to(struct engine_bench *bench, double seconds);

// The finished spans in the outbox, as text: one line per span, in the order in which they were sent:
//
//     job build 0..60 queue_time_ms=4000
//     runner.queue 0..4
//
// times in seconds after the scenario's start, then any of: parentless, error, result, arc (the source of a phase),
// github.carried_over, github.incomplete. The text is NUL-terminated.
void engine_bench_spans(struct engine_bench *bench, struct buffer *text);
// All finished records as bytes, sorted, so that runs of the program can be compared.
void engine_bench_records(struct engine_bench *bench, struct buffer *bytes);
// The last version of each span, with its resource, as bytes, by ID: what a backend has in the end. Fails the test if
// a version is less complete than an earlier one, or if a root was sent twice unchanged.
void engine_bench_last_versions(struct engine_bench *bench, struct buffer *bytes);
// Those of the present engine: a restart begins at 0.
struct engine_counters engine_bench_counters(struct engine_bench *bench);
uint64_t engine_bench_count_entries(struct engine_bench *bench, enum store_table table);
// Number of states of runs and jobs in the store, notes included.
uint64_t engine_bench_count_spans(struct engine_bench *bench);
// Number of runs with a note that they had a root.
uint64_t engine_bench_count_roots(struct engine_bench *bench);

#endif
