// The part of the daemon that pushes metrics: made from the configuration, with its files, which are read again on
// SIGHUP. All functions run in the loop's thread.
#ifndef GHATRACE_APP_METRICS_H
#define GHATRACE_APP_METRICS_H

#include "config.h"
#include "ghatrace/base/error.h"
#include "ghatrace/export/metrics.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/store/store.h"
#include "header_reader.h"

// All zero: no metrics are pushed, and each function does nothing.
struct metrics_part {
    const struct config *config;
    struct metrics_push *push;
    struct net_tls_client *tls; // referenced; NULL: not needed
    struct header_reader headers;
};

// Begins to push, if the configuration says so. The part must not move afterwards.
enum error_code metrics_part_start(struct metrics_part *part, const struct config *config,
                                   struct net_loop *loop, struct store *store,
                                   struct error *error) MUST_CHECK;
// SIGHUP. The certificates, for metrics_part_use_tls(); NULL: none are configured.
enum error_code metrics_part_read_tls(const struct metrics_part *part, struct net_tls_client **tls,
                                      struct error *error) MUST_CHECK;
// Reads the header file and puts it to use.
enum error_code metrics_part_read_headers(const struct metrics_part *part,
                                          struct error *error) MUST_CHECK;
void metrics_part_use_tls(const struct metrics_part *part, struct net_tls_client *tls);
// Before the loop and the store are closed.
void metrics_part_release(struct metrics_part *part);

#endif
