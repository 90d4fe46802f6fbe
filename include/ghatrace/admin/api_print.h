// Responses of the JSON API for commands, which read the store beside the daemon.
#ifndef GHATRACE_ADMIN_API_PRINT_H
#define GHATRACE_ADMIN_API_PRINT_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/view/finished_view.h"
#include "ghatrace/view/pools_view.h"

struct api_print {
    struct store *store;
    struct pools_view_settings pools;
    enum id_scheme id_scheme; // this and the next: for runs
    const char *trace_url;    // NULL: none
    timestamp_ns now;
    struct arena *arena; // used only during the call
    struct buffer *out;
};

// These append what GET /api/pools answers, /api/pools/NAME, /api/pools/NAME/jobs?limit=N, /api/runs/RUN, and
// /api/commits/SHA. ERROR_NOT_FOUND and ERROR_USAGE (no digits of a commit), with a message; ERROR_MEMORY, ERROR_TOO_LARGE
// (the buffer's limit), or as the store reports.
enum error_code api_print_pools(const struct api_print *print, struct error *error) MUST_CHECK;
enum error_code api_print_pool(const struct api_print *print, struct slice name,
                               struct error *error) MUST_CHECK;
enum error_code api_print_pool_jobs(const struct api_print *print, struct slice name, size_t limit,
                                    struct error *error) MUST_CHECK;
enum error_code api_print_run(const struct api_print *print, const struct run_selector *question,
                              struct error *error) MUST_CHECK;
enum error_code api_print_commit(const struct api_print *print, struct slice text,
                                 struct error *error) MUST_CHECK;
// Likewise /api/queue?limit=N, and a page of /api/runs.
enum error_code api_print_queue(const struct api_print *print, size_t limit,
                                struct error *error) MUST_CHECK;
struct api_print_page {
    bool open;                         // "state=open", else finished runs
    struct slice repository, workflow; // as the parameters; empty: all
    struct slice search;               // "q"
    struct slice cursor;               // "next" of the page before; empty: the first
    size_t limit;
};
enum error_code api_print_runs_page(const struct api_print *print,
                                    const struct api_print_page *page,
                                    struct error *error) MUST_CHECK;

// Appends {"now", "runs", "more", "unreadable"}: open runs as GET /api/runs?state=open lists them, then finished ones, as
// it lists these, but in the order of finished_view_load(); "more" says whether either were left out.
struct api_print_selection {
    bool open, finished; // which are listed
    struct finished_filter filter;
};
enum error_code api_print_runs(const struct api_print *print,
                               const struct api_print_selection *selection,
                               struct error *error) MUST_CHECK;

#endif
