// `ghatrace check --live`: what a running daemon says of how it is set up.
#ifndef GHATRACE_APP_CHECK_LIVE_H
#define GHATRACE_APP_CHECK_LIVE_H

#include "ghatrace/app/command.h"

// Asks the daemon at `url`, or at admin-listen where that is NULL, and prints its list. Returns EXIT_OK; EXIT_FAILED
// when something is wrong or no daemon answers; EXIT_USAGE.
int check_live(struct invocation *invocation, const char *url);

#endif
