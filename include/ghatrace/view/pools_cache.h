// Pools as they were a short while ago, where reading them takes long. With thousands of pools it takes some tenths of a
// second, in the loop that also exports; clients ask for them as often as they like. So pools that took long to read are
// read again only after nine times as long: reading takes a tenth of the thread's time at most.
#ifndef GHATRACE_VIEW_POOLS_CACHE_H
#define GHATRACE_VIEW_POOLS_CACHE_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/view/pools_view.h"

// Pools that took less than this are read each time.
#define POOLS_CACHE_LEAST (20 * NS_PER_MS)
#define POOLS_CACHE_KEPT_MAX (15 * NS_PER_SECOND)

struct pools_cache {
    struct arena arena; // of the view
    struct pools_view view;
    timestamp_ns kept_until; // monotonic
};

// For how long pools are kept whose reading took so much processor time.
duration_ns pools_cache_kept(duration_ns took);

void pools_cache_init(struct pools_cache *cache);
void pools_cache_release(struct pools_cache *cache);
// As pools_view_load(), with what the summary and the advice depend on; `*view` may be up to POOLS_CACHE_KEPT_MAX old, and
// is valid until the next call. `cache` NULL: it is read now, into the reader's arena.
enum error_code pools_cache_read(struct pools_cache *cache, const struct view_reader *reader,
                                 const struct pools_view_settings *settings, timestamp_ns now,
                                 struct pools_view *view) MUST_CHECK;

#endif
