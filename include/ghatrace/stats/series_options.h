// What is chosen of series (series.h): their labels, the bounds of their histograms, how long a set is kept.
#ifndef GHATRACE_STATS_SERIES_OPTIONS_H
#define GHATRACE_STATS_SERIES_OPTIONS_H

#include <stddef.h>

#include "ghatrace/base/time.h"

enum series_kind { SERIES_JOB, SERIES_RUN, SERIES_STEP };
#define SERIES_KINDS 3

// In the order in which they are shown.
enum series_label {
    SERIES_REPOSITORY,
    SERIES_WORKFLOW,
    SERIES_EVENT, // of the run, as "push"
    SERIES_DEFAULT_BRANCH, // "true" if the branch has the name of the repository's default branch, else "false"
    SERIES_POOL, // pool_name()
    SERIES_RUNNER_GROUP,
    SERIES_RUNNER_LABELS,
    SERIES_STEP_NAME,
    SERIES_RESULT,
};
#define SERIES_LABELS (SERIES_RESULT + 1)
extern const char *const series_label_names[SERIES_LABELS];

// Sets of labels: a bit for each. 0 in options: those that earlier versions had.
#define SERIES_HAS(label) (1U << (label))
#define SERIES_LABELS_OFF (1U << 15) // nothing of this kind is counted
// Those that a kind may have.
unsigned series_labels_allowed(enum series_kind kind);
const char *series_kind_name(enum series_kind kind);

// Upper bounds of the buckets, inclusive, ascending; one more bucket holds the rest.
#define SERIES_BOUNDS_MAX 20
struct series_bounds {
    size_t count;
    duration_ns at[SERIES_BOUNDS_MAX];
};
// 1 s to 6 h: those of earlier versions.
extern const struct series_bounds series_bounds_before;

struct series_options {
    unsigned labels[SERIES_KINDS];
    struct series_bounds bounds; // without any: those of earlier versions
    duration_ns idle;            // a set that is not counted in for longer is deleted; 0: none is
};

#endif
