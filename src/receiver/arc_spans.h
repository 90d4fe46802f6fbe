// Makes reports of the spans that actions-runner-controller sends about jobs. Pure. Private to this room.
#ifndef GHATRACE_SRC_RECEIVER_ARC_SPANS_H
#define GHATRACE_SRC_RECEIVER_ARC_SPANS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/otlp/request.h"
#include "ghatrace/trace/arc_report.h"

// A report with times beyond them is malformed: GitHub Actions is from 2018, and clocks differ by less than a day.
#define ARC_TIME_MIN (INT64_C(1514764800) * NS_PER_SECOND) // 2018-01-01T00:00:00Z
#define ARC_TIME_AHEAD NS_PER_DAY                          // of the receipt

// One for each job of a request. First those that can be matched, then those that are malformed.
struct arc_reports {
    struct arc_report *reports;
    size_t *span_counts; // of each report
    size_t count;
    size_t well_formed;
};

// True for the names of ARC's three spans: runner.queue, runner.startup and runner.execution.
bool arc_sends_span_named(struct slice name);

// The attributes are those of the proposal's first revision (github.job_id, github.job_name, github.runner_name) or of its
// later one (cicd.pipeline.task.name, cicd.worker.name, no job id: its cicd.pipeline.task.run.id is a span's).
// github.run_id is a number in the first, and its digits in the later one; without it, cicd.pipeline.run.id is read.
//
// Makes the reports of a request's spans that have such a name and no fault. Spans with the same trace ID, job id, runner
// name and job name are about one job (the job id may be absent, and the trace is that of the run); where they disagree
// otherwise, the first counts. The order of the reports does not depend on that of the jobs' spans.
//
// Malformed are: a job that has neither a numeric id, nor a run id, nor a runner's name; a negative run id; a time that is unknown or
// impossible, or an end before its start, in any of the job's spans; a repository other than the one that the URL
// names, for the URL decides about the server (a URL without a repository contradicts nothing).
//
// Strings point into the request or the arena. ERROR_MEMORY.
enum error_code arc_reports_of_request(const struct otlp_request *request, timestamp_ns received_at,
                                       struct arena *arena, struct arc_reports *reports,
                                       struct error *error) MUST_CHECK;

#endif
