// The state of a run and of a job between events. Pure data.
//
// States only grow: every field is a minimum, a maximum, a set of bits, or a register that keeps the statement with the
// highest version. So applying events is commutative, associative and idempotent: in whatever order and however often
// they arrive, the same events result in the same state.
#ifndef GHATRACE_TRACE_STATE_H
#define GHATRACE_TRACE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/github/event.h"
#include "ghatrace/trace/span.h"

// Decides which of two statements about the same thing counts: the later in the life cycle, then the one with the later
// time, then (so that the choice never depends on the order of arrival) the one with the worse result, then the one
// with the greater digest. Never the one that arrived later.
struct state_version {
    uint8_t rank;
    timestamp_ns time;
    uint64_t digest; // the result (enum run_result) in the first byte, then a digest of the event
};
// The bits of `digest` that are used: as many as fit into a note (store/codec.h).
#define STATE_DIGEST_MASK (~UINT64_C(0) << 24)

// From least to most severe; the result of a run that is known only from its jobs.
enum run_result {
    RUN_RESULT_NONE,
    RUN_RESULT_SKIPPED,
    RUN_RESULT_NEUTRAL,
    RUN_RESULT_SUCCESS,
    RUN_RESULT_CANCELLED,
    RUN_RESULT_ACTION_REQUIRED,
    RUN_RESULT_STARTUP_FAILURE,
    RUN_RESULT_TIMED_OUT,
    RUN_RESULT_FAILURE,
};
#define RUN_RESULTS (RUN_RESULT_FAILURE + 1)

// What ARC (actions-runner-controller) reports about a job: when it was assigned to a scale set.
struct job_assignment {
    struct slice server; // empty: github.com
    int64_t run_id;
    int64_t run_attempt;
    int64_t job_id;
    timestamp_ns assigned_at;
    timestamp_ns reported_at; // when it was received; it may have been held until its job came
};

enum job_phase {
    JOB_NEW,      // no event yet; stored if an assignment of it was reported
    JOB_OPEN,     // not completed
    JOB_SETTLING, // completed, but data that its spans depend on is missing
    JOB_CLOSED,   // its spans were sent; only this note stays: a later `completed` replaces them
    JOB_CLOSED_INCOMPLETE, // given up and sent without a result; a `completed` may still arrive
    // Completed and sent while data that its spans depend on was missing: the full state is kept as long as a note
    // would be, so that the spans can be sent again if the data arrives after all. Also while `arc_wait_since` is known.
    JOB_CLOSED_LACKING,
};

struct job_state {
    enum job_phase phase;
    uint8_t seen; // bit per enum github_job_action
    int64_t run_id;
    int64_t run_attempt;
    int64_t job_id;
    struct slice server;   // the server of these ids (github/server.h); empty: github.com
    bool is_of_any_server; // an older version's note, which has no server

    timestamp_ns created_at; // earliest in a body
    // earliest started_at of queued and waiting events: the time of queueing
    timestamp_ns queued_at;
    timestamp_ns last_queued;  // latest time of a `queued` event (by GUID, else by receipt)
    timestamp_ns last_waiting; // latest time of a `waiting` event
    timestamp_ns last_received;
    timestamp_ns settling_since; // receipt of the first `completed`
    timestamp_ns assigned_at;    // earliest: when it was assigned to a scale set, as ARC reports it
    // Of a completed job of the policy's `arc_runners`: receipt of its `completed`, as long as an assignment that ARC
    // reports is accepted. Its phases are not sent before `assigned_at` is known. TIMESTAMP_UNKNOWN: not, or no longer.
    timestamp_ns arc_wait_since;
    timestamp_ns closed_at; // when its spans were sent
    // Of a job that was given up: when it had left its runner, or its queue, as far as was known then. For the figures
    // of pools, whose counts must be taken back as they were made. TIMESTAMP_UNKNOWN: given up by an older version.
    timestamp_ns ended_by;

    struct state_version body_version;
    struct github_repository repository;
    struct github_job body; // names, status, conclusion, started_at, completed_at, labels, steps

    struct state_version runner_version; // of the events that name a runner
    int64_t runner_id;
    struct slice runner_name;
    struct slice runner_group_name;

    struct state_version deployment_version; // of the events that carry a deployment
    int64_t deployment_id;
    struct slice deployment_environment;

    // as it is in the `results` of its run; of JOB_CLOSED and JOB_CLOSED_LACKING
    enum run_result counted_result;

    timestamp_ns deadline; // where the store's deadline index has it; kept by the engine
};

enum run_phase {
    RUN_NEW,  // no event yet
    RUN_OPEN, // its root was not sent yet, or must be rebuilt because of a later event about it
    RUN_SENT, // its root was sent
    RUN_SENT_INCOMPLETE, // a root made from its jobs, or of an unfinished run, was sent
    // Its root was sent longer ago than `linger`: only whether it was complete is still known. Never stored as a
    // state.
    RUN_REMEMBERED,
};

struct run_state {
    enum run_phase phase;
    uint8_t seen;      // bit per enum github_run_action
    bool is_completed; // a `completed` that ends the run was seen (not action_required)
    int64_t run_id;
    int64_t run_attempt;
    struct slice server;   // as in struct job_state
    bool is_of_any_server; // likewise

    struct state_version body_version;
    struct github_repository repository;
    struct github_run body; // when `seen` is not 0
    // Its root was sent and only the contents of its note are left: of the body, the start time; no names.
    bool has_no_body;

    // Of the jobs that name their workflow, the one with the lowest id: describes a run without events of its own.
    int64_t source_job_id;
    struct github_repository job_repository;
    struct slice job_workflow_name;
    struct slice job_head_branch;
    struct slice job_head_sha;

    int64_t open_jobs;   // jobs that are OPEN or SETTLING
    int64_t closed_jobs; // jobs that were closed at least once
    // Of closed jobs. Jobs without a known creation time are not used to find the start of a re-run: their times may
    // be those of an earlier attempt.
    timestamp_ns first_job_start;
    timestamp_ns last_job_end;
    int64_t results[RUN_RESULTS]; // number of closed jobs by result

    timestamp_ns completed_received; // receipt of the first ending `completed`
    timestamp_ns last_received;      // of any event of the run or of its jobs
    timestamp_ns last_job_closed_at; // when the last job's spans were sent
    timestamp_ns end;                // of the root that was sent, or by the ending `completed`
    uint32_t root_digest;            // of the root that was sent; 0: none, or an older version's
    bool jobs_swept;                 // open jobs were given up after job_grace
    struct span_id sweep_after;      // where a sweep over several batches continues

    timestamp_ns deadline; // where the store's deadline index has it; kept by the engine
};

#endif
