// The servers, other than github.com, of which events came: where else a run is looked for of which only the number is
// known. Table tally: "server:" ‖ name → empty. Names stay, SERVERS_MAX of them; a server beyond that is found by its
// name only.
#ifndef GHATRACE_TALLY_SERVERS_H
#define GHATRACE_TALLY_SERVERS_H

#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/tally/tally.h"

#define SERVERS_MAX 100

// Does nothing for github.com, which is empty, and costs nothing for one that is known.
enum error_code servers_note(struct tally *tally, struct slice server,
                             struct error *error) MUST_CHECK;
// By name, texts in the arena.
enum error_code servers_list(struct store_transaction *transaction, struct arena *arena,
                             struct slice servers[SERVERS_MAX], size_t *count,
                             struct error *error) MUST_CHECK;

#endif
