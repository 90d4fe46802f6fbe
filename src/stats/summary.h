// Encoding of a finished run's summary: varints of its numbers, its trace ID, its texts prefixed with their length.
#ifndef GHATRACE_STATS_SUMMARY_H
#define GHATRACE_STATS_SUMMARY_H

#include <stdbool.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/trace/sample.h"

enum error_code summary_encode(const struct run_sample *measure, struct buffer *out) MUST_CHECK;
// Texts point into `bytes`. False: damaged.
bool summary_decode(struct slice bytes, struct run_sample *measure) MUST_CHECK;

#endif
