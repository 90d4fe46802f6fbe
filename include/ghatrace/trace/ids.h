// Deterministic trace and span IDs, in three schemes, so that spans of other producers belong to the
// same trace; and ids of commits. Pure.
//
// arc: actions-runner-controller's trace recorder (its PR 4465) and otel-explorer.
// collector: OpenTelemetry Collector githubreceiver since v0.151, setup-telemetry.
// runner: actions/runner PR 4366.
//
// hex(x) is lower-case hexadecimal, be64(n) the 8 big-endian bytes of n, + joins strings:
//
//              arc                               collector                       runner
//   trace      md5("{run}-{attempt}")            sha256("{run}{attempt}t")[0:16] sha256("{run}-{attempt}")[0:16]
//   root       be64(run)                         sha256("{run}{attempt}s")[8:16] be64(run)
//   job        be64(job)                         sha256("{job}-j")[8:16]         sha256("job-{run}-{attempt}-{job name}")[0:8]
//   queue      md5("runner.queue-"+hex(job span))[0:8]
//                                                sha256("{job}-q")[8:16]         as arc
//   other phases: md5("{span name}-"+hex(job span ID))[0:8] in all schemes
//   step       md5("{job}-{name}")[0:8]          sha256("{job}-{name}-s")[8:16]  sha256("step-{run}-{attempt}-{job name}-{number}-{name}")[0:8]
//   repeat     md5("{job}-{name}-{number}")[0:8] sha256("{job}-{name}-{number}-s")[8:16]  as above
//
// A repeat is a step whose name an earlier step of the same job has. Attempt 0 counts as 1.
#ifndef GHATRACE_TRACE_IDS_H
#define GHATRACE_TRACE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/trace/span.h"

enum id_scheme { ID_SCHEME_ARC, ID_SCHEME_COLLECTOR, ID_SCHEME_RUNNER };

// Identifies a job in any scheme.
struct job_key {
    int64_t run_id;
    int64_t run_attempt;
    int64_t job_id;
    struct slice job_name; // used by the scheme `runner` only
};

// Key under which the states and records of a run attempt and of its jobs are stored. For github.com it is the trace
// ID of scheme arc. For another server, whose ids may be the same numbers, it is the first half of
// sha256("server-{server}-{run}-{attempt}"). It is never exported: exported IDs do not depend on the server.
struct stored_run {
    int64_t run_id;
    int64_t run_attempt;
    struct trace_id trace;
};

struct stored_run stored_run_of(struct slice server, int64_t run_id, int64_t run_attempt);
// True for the key of a github.com run, which is also the key that older versions used for runs of all servers.
bool stored_run_is_usual(const struct stored_run *run);
bool trace_id_equals(const struct trace_id *a, const struct trace_id *b);

bool id_scheme_from_text(struct slice text, enum id_scheme *scheme);

// Key under which a job's state and record are stored, together with struct stored_run's trace: the job's span ID of
// scheme arc. If that equals the span ID of its run (GitHub draws ids of jobs and runs from different ranges, but
// does not document it), the topmost bit is set, which no id has.
struct span_id stored_span_of_job(int64_t run_id, int64_t job_id);
// The same for records of the job's spans beyond the first record; `part` counts from 1. The topmost bit is set.
struct span_id stored_span_of_part(const struct span_id *stored_job, uint64_t part);
// The part of a job's runner.* spans, if they are sent apart from its others.
#define STORED_PART_RUNNER_PHASES UINT64_MAX

struct trace_id trace_id_of_run(enum id_scheme scheme, int64_t run_id, int64_t run_attempt);
struct span_id span_id_of_run(enum id_scheme scheme, int64_t run_id, int64_t run_attempt);
struct span_id span_id_of_job(enum id_scheme scheme, const struct job_key *job);
// `span_name` is job.waiting, runner.queue, runner.startup or runner.execution.
struct span_id span_id_of_phase(enum id_scheme scheme, const struct job_key *job,
                                struct slice span_name);
struct span_id span_id_of_step(enum id_scheme scheme, const struct job_key *job,
                               struct slice step_name, int64_t step_number, bool is_repeat);

// --- ids of commits, and how they are written -----------------------------------------------------

#define COMMIT_ID_SHA1_SIZE 20
#define COMMIT_ID_SHA256_SIZE 32
#define COMMIT_ID_TEXT_SIZE (2 * COMMIT_ID_SHA256_SIZE + 1)

struct commit_id {
    uint8_t size; // COMMIT_ID_SHA1_SIZE or COMMIT_ID_SHA256_SIZE; 0: none
    uint8_t bytes[COMMIT_ID_SHA256_SIZE];
};

// Of the 40 or 64 hexadecimal digits of an id, in either case. Anything else: none.
struct commit_id commit_id_of(struct slice text);
bool commit_id_equals(const struct commit_id *a, const struct commit_id *b);
// In lower case. Returns `text`.
const char *commit_id_text(const struct commit_id *id, char text[COMMIT_ID_TEXT_SIZE]);

// GitHub shortens ids to seven digits.
#define COMMIT_PREFIX_MIN 7

// The first digits of an id, or all of them.
struct commit_prefix {
    size_t digits;
    uint8_t bytes[COMMIT_ID_SHA256_SIZE]; // after the digits 0
};

// Reads COMMIT_PREFIX_MIN to 64 hexadecimal digits, in either case. False for anything else.
bool commit_prefix_parse(struct slice text, struct commit_prefix *prefix);
bool commit_prefix_has(const struct commit_prefix *prefix, const struct commit_id *id);

#endif
