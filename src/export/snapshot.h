// The metrics of the store at one moment, encoded as OTLP requests. Private to this room.
//
// From the figures that /metrics has, under the names of the OpenTelemetry semantic conventions 1.44.0 (docs/cicd/
// cicd-metrics.md) where there are any, else under `ghatrace.`:
//
//   name                             kind            unit      from
//   cicd.pipeline.run.duration       histogram       s         series of runs
//   cicd.pipeline.run.active         up-down counter {run}     open runs
//   cicd.pipeline.run.errors         counter         {error}   series of jobs: those that failed or timed out
//   cicd.system.errors               counter         {error}   series of jobs: runner lost (agent), never started (scheduler)
//   cicd.worker.count                up-down counter {worker}  pools: running jobs, each on a busy runner
//   ghatrace.job.PHASE.duration      histogram       s         series of jobs; waiting, queue, startup, execution, assign,
//                                                              provision
//   ghatrace.job.duration            histogram       s         series of jobs: from ready to run to the end
//   ghatrace.pool.queued, .running,  up-down counter {job}     pools
//     .waiting
//   ghatrace.pool.oldest_wait        gauge           s         pools: age of the oldest queued job
//   ghatrace.pool.open_wait          gauge           s         pools: percentiles of the ages of queued jobs
//   ghatrace.pool.busy_max           gauge           {job}     pools: most running jobs in seven days; not
//                                                              of those with jobs that ended with an unknown result
//   ghatrace.pool.queue_wait         histogram       s         pools: waits that ended
//
// Each series and pool has points of its own: adding several up could make a counter fall when a series is moved to
// "other" or deleted (stats/series.h). All of it is cumulative; each series, and the waits of each pool, are counted
// since their own start, which is stored. Attributes are the labels that series have; errors are counted only where the
// result is one of them.
#ifndef GHATRACE_SRC_EXPORT_SNAPSHOT_H
#define GHATRACE_SRC_EXPORT_SNAPSHOT_H

#include <stddef.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/span.h"

#define SNAPSHOT_PARTS_MAX 1024

struct snapshot {
    struct buffer parts[SNAPSHOT_PARTS_MAX]; // an ExportMetricsServiceRequest each
    size_t count;
};

struct snapshot_options {
    struct store *store;
    const struct attributes *resource;
    size_t part_bytes; // a part ends with the point that exceeds this
    timestamp_ns now;
    // setting job-grace: when a running job without a runner counts as ended (ended_jobs.h)
    duration_ns job_grace;
};

// One read transaction, which scans the series and pools, and the newest open runs up to a limit. ERROR_TOO_LARGE: more
// than SNAPSHOT_PARTS_MAX parts; ERROR_MEMORY, or an error of the store. `snapshot` is empty then.
enum error_code snapshot_take(const struct snapshot_options *options, struct snapshot *snapshot,
                              struct error *error) MUST_CHECK;
void snapshot_release(struct snapshot *snapshot);

#endif
