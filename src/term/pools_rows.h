// Parts of what `ghatrace pools` and `ghatrace top` show: what is wrong, ceilings that are reached, rows of pools.
#ifndef GHATRACE_TERM_POOLS_ROWS_H
#define GHATRACE_TERM_POOLS_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/time.h"
#include "ghatrace/view/pools_summary.h"
#include "ghatrace/view/pools_view.h"
#include "painter.h"

struct pools_page {
    struct painter painter;
    struct arena *scratch;
    timestamp_ns now;
};

// The functions below return false if out of memory.

enum style pools_state_style(enum pool_state state);
// A text broken between words.
bool pools_paint_words(struct pools_page *page, enum style style, struct slice clean);
// Likewise, into a pipe or a file in lines of 100 columns.
bool pools_paint_text(struct pools_page *page, enum style style, struct slice clean);
// The sentence, and what to do first.
bool pools_paint_summary(struct pools_page *page, const struct pools_summary *summary);
// What to do about a pool; nothing if it keeps up. `said`: the summary that has been painted, whose action is not
// repeated; NULL: none.
bool pools_paint_advice(struct pools_page *page, const struct pools_view_pool *pool,
                        const struct pools_summary *said);
// A line for each ceiling that is reached. `shares`: one for each ceiling.
bool pools_paint_ceilings(struct pools_page *page, const struct pools_view *view,
                          const struct pools_view_shares *shares);
// How many of `count` pools, those that are ok last, get a row if there are `most` lines: all if they fit or all are ok; else
// those that are not ok, and a line less for pools_paint_rest().
size_t pools_count_rows(const struct pools_view_pool *const *pools, size_t count, size_t most);
// "11 pools ok, 54 running": pools without a row. Nothing for none.
bool pools_paint_rest(struct pools_page *page, const struct pools_view_pool *const *pools,
                      size_t count);
// Titles, and a row for each pool.
bool pools_paint_rows(struct pools_page *page, const struct pools_view_pool *const *pools,
                      size_t count);

#endif
