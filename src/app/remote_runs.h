// `ghatrace runs --url`: open and finished runs from the answers of a daemon.
#ifndef GHATRACE_APP_REMOTE_RUNS_H
#define GHATRACE_APP_REMOTE_RUNS_H

#include "ghatrace/admin/api_print.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/term/text.h"
#include "remote.h"

struct remote_runs {
    const struct remote_call *call;
    const struct api_print_selection *selection;
    bool is_json; // as api_print_runs() prints it
    struct terminal terminal;
};

// Appends the lists. Of jobs, those that /api/queue lists: if it leaves some out, standard error says so. Of finished
// runs, so many pages are read until the limit is reached, within bounds.
enum error_code remote_runs_write(const struct remote_runs *runs, struct buffer *text,
                                  struct error *error) MUST_CHECK;

#endif
