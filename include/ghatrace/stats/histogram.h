// A histogram of durations from seconds to days with a bounded relative error, small enough to keep one for each pool
// and five minutes. Pure.
//
// Seconds below 16 have a bucket each; above, each octave up to 2^20 s (12 days) has 8 buckets of equal width, and
// one more bucket holds the rest. Fractions of a second are truncated, since GitHub's timestamps have whole seconds.
#ifndef GHATRACE_STATS_HISTOGRAM_H
#define GHATRACE_STATS_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

#define HISTOGRAM_EXACT 16
#define HISTOGRAM_PER_OCTAVE 8
#define HISTOGRAM_OCTAVES 16 // 2^4 s to 2^20 s
#define HISTOGRAM_BUCKETS (HISTOGRAM_EXACT + HISTOGRAM_PER_OCTAVE * HISTOGRAM_OCTAVES + 1)

// All zero means empty.
struct histogram {
    uint64_t count;
    duration_ns max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, duration_ns value);
// Takes back a value that was added. If it was the greatest, `max` becomes what is known of the next: exact to the
// second below 16 s, above that the end of its bucket.
void histogram_remove(struct histogram *histogram, duration_ns value);
void histogram_merge(struct histogram *into, const struct histogram *from);

// The value that `percent` of 100 values do not exceed (nearest rank): exact to the second below 16 s; above, it is
// in the bucket of the exact value, so the error is below an eighth, and never above the greatest value. 0 if empty.
duration_ns histogram_percentile(const struct histogram *histogram, unsigned percent);

// The bucket of a value, and the first second of a bucket.
size_t histogram_bucket_of(duration_ns value);
uint64_t histogram_bucket_start(size_t bucket);

// Encoding: varints of max, then of the distance to each non-empty bucket and its count. ERROR_MEMORY,
// ERROR_TOO_LARGE.
enum error_code histogram_encode(const struct histogram *histogram, struct buffer *out) MUST_CHECK;
// Adds the encoded histogram. False: it is damaged, and `into` must be discarded.
bool histogram_decode_into(struct slice bytes, struct histogram *into) MUST_CHECK;

#endif
