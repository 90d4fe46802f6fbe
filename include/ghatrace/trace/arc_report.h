// What a span of actions-runner-controller's recorder (its PR 4465) says about a job. Pure data.
//
// ARC sends, for each completed job, runner.queue (queued to assigned to a scale set), runner.startup (assigned to a
// scale set to assigned to a runner) and runner.execution. It knows no attempt (1 always), its job id is a number or
// a GUID, its run id may be 0, and it knows no labels. So the job of a report is found among those on a runner of this
// name, by its number; else by run, name and time; else, without a run, by time. Exactly one must fit. The server must be
// the same, and the repository if both are known.
#ifndef GHATRACE_TRACE_ARC_REPORT_H
#define GHATRACE_TRACE_ARC_REPORT_H

#include <stdint.h>

#include "ghatrace/base/list.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

// Of all of ARC's spans about one job in one request.
struct arc_report {
    struct slice server;      // host of the repository's URL (github/server.h); empty: github.com
    struct slice repository;  // owner/name; empty: unknown
    int64_t run_id;           // 0: unknown
    int64_t job_id;           // 0: not a number
    struct slice job_name;    // display name; empty: unknown, any fits
    struct slice runner_name; // empty: the job did not run, and none is looked for
    // start of runner.startup, else end of runner.queue; TIMESTAMP_UNKNOWN: neither was sent
    timestamp_ns assigned_at;
    // When the job ran: of runner.execution, else the hull of the others.
    timestamp_ns start, end;
};

// What became of a report. The names are those of /metrics and /api/status.
#define ARC_OUTCOME_LIST(ROW)                                                                      \
    ROW(ARC_MATCHED, "matched")     /* the job's assignment, or not earlier than the one known */  \
    ROW(ARC_HELD, "held")           /* no such job yet: kept until it comes */                     \
    ROW(ARC_LATE, "late")           /* after arc-grace, or too many of one job: changes nothing */ \
    ROW(ARC_AMBIGUOUS, "ambiguous") /* two jobs fit: neither gets it */                            \
    ROW(ARC_UNTRACED, "untraced")   /* of a repository that `repos` excludes */                    \
    ROW(ARC_NO_TIME, "no_time")     /* no time of assignment, or no runner: it did not run */      \
    ROW(ARC_MALFORMED, "malformed") /* nothing to find a job by, or impossible times */            \
    ROW(ARC_EXPIRED, "expired")     /* held until `linger` was over: its job never came */         \
    ROW(ARC_SHED, "shed")           /* held, and dropped since too many were */
enum arc_outcome { ARC_OUTCOME_LIST(LIST_ENUMERATOR) ARC_OUTCOMES };
extern const char *const arc_outcome_names[ARC_OUTCOMES];

// The job of a report that is matched or late. All 0: there is none.
struct arc_match {
    int64_t run_id, run_attempt, job_id;
};

#endif
