// The daemon: all parts put together, run, and taken apart again.
#ifndef GHATRACE_APP_SERVER_H
#define GHATRACE_APP_SERVER_H

#include "ghatrace/app/config.h"
#include "ghatrace/base/error.h"

// Runs until SIGTERM or SIGINT, then stops in order; another one, a second or more later, ends the
// process at once. An error means that it could not start.
enum error_code server_run(const struct config *config, struct error *error) MUST_CHECK;

#endif
