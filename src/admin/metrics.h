// GET /metrics: all metrics, in the text format that the client prefers, made in pieces.
#ifndef GHATRACE_ADMIN_METRICS_H
#define GHATRACE_ADMIN_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/admin/admin.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/series.h"
#include "metrics_text.h"

// The format preferred by the header field Accept (RFC 9110 12.5.1); Prometheus text if it has no preference.
enum metrics_format metrics_format_of(struct slice accept);
const char *metrics_content_type(enum metrics_format format);

// Where the set "other" of a kind is.
struct metrics_other {
    bool exists;
    struct series_id id;
};

// An answer can have many megabytes, and a client can take minutes to read it, so it is made in pieces. Each piece
// reads the store in a short transaction of its own, and is over before it is sent. Values of different pieces are from
// different moments; within an answer no value is older than one before it.
//
// Rows of a family are in the order of their keys in the store, each of which is a digest of the row's labels: a set
// that is added or removed meanwhile is in the answer once or not at all, never twice.
//
// When there are too many sets, one of them is added to "other" and removed (series.h). "other" is the last row of its
// family, so what was counted before the answer was begun is in it: as the set, or in "other", unless that is created
// while the family is read, which happens once to a store. If a set is removed after its row was written and before the
// end of its family, that answer has its counts twice. No row falls by that: that of "other" only grows, and that of
// the set ends. The sum over all sets is too high in that one answer. The alternative, "other" before the sets, would
// make it too low.
struct metrics_pools;

struct metrics_scrape {
    const struct view_sources *sources;
    enum metrics_format format;
    size_t section; // the next
    bool is_begun;
    struct pool_id next_pool; // the next row of the section
    struct series_id next_series;
    struct metrics_other others[SERIES_KINDS]; // read so far
    struct metrics_pools *pools;               // NULL: not read yet
    // A piece ends after the row with which it has so many bytes, or took so long.
    size_t piece_bytes;
    duration_ns piece_time;
};
void metrics_scrape_init(struct metrics_scrape *scrape, const struct view_sources *sources,
                         enum metrics_format format);
void metrics_scrape_release(struct metrics_scrape *scrape);
// Appends the next piece, at `now`, to `out`, which is empty. `*is_last`: it was the last. Errors as the store reports,
// ERROR_MEMORY, ERROR_TOO_LARGE; then the answer cannot be completed.
enum error_code metrics_scrape_next(struct metrics_scrape *scrape, timestamp_ns now,
                                    struct buffer *out, bool *is_last,
                                    struct error *error) MUST_CHECK;

#endif
