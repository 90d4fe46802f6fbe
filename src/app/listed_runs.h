// `ghatrace runs --url` and `--search`: open and finished runs from answers of the API, which a daemon gives, or which are
// made from the store.
#ifndef GHATRACE_APP_LISTED_RUNS_H
#define GHATRACE_APP_LISTED_RUNS_H

#include "ghatrace/admin/api_print.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/term/text.h"
#include "remote.h"

struct listed_runs {
    const struct remote_call *call; // NULL: from the store
    const struct api_print *print;  // used only then
    struct arena *arena;
    const struct api_print_selection *selection;
    struct slice search; // as /api/runs?q= has it (view/run_search.h); empty: all
    bool is_json;        // as api_print_runs() prints it
    struct terminal terminal;
};

// Appends the lists. First in each are the runs that the search names by an id. Of jobs, those that /api/queue lists: if it
// leaves some out, standard error says so. Of finished runs, so many pages are read until the limit is reached, within
// bounds.
enum error_code listed_runs_write(const struct listed_runs *runs, struct buffer *text,
                                  struct error *error) MUST_CHECK;

#endif
