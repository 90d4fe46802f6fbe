// GET /api/pools/NAME/whatif: a replay of a pool's jobs takes up to seconds, so a thread of its own makes it, one at a
// time.
#ifndef GHATRACE_ADMIN_WHATIF_API_H
#define GHATRACE_ADMIN_WHATIF_API_H

#include "ghatrace/admin/admin.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/slice.h"

#define POOLS_PREFIX "/api/pools/"
#define WHATIF_SUFFIX SLICE("/whatif")
// Of a pool, read for one request: 20 MB.
#define WHATIF_API_JOBS_MAX 100000

// The pool's name in POOLS_PREFIX "NAME" `suffix`, with %XX decoded. In the arena. ERROR_NOT_FOUND: not such a path;
// ERROR_USAGE; ERROR_MEMORY.
enum error_code pool_path_read(struct slice path, struct slice suffix, struct arena *arena,
                               struct slice *pool, struct error *error) MUST_CHECK;

struct whatif_api;

// Both outlive it.
enum error_code whatif_api_create(struct net_loop *loop, const struct view_sources *sources,
                                  struct whatif_api **api, struct error *error) MUST_CHECK;
// Waits for the thread; call it when the listener is stopped, and before the store is closed.
void whatif_api_stop(struct whatif_api *api);
// When the loop is destroyed.
void whatif_api_destroy(struct whatif_api *api);
// The handler of a slow route, POOLS_PREFIX; `context` is the whatif_api.
void whatif_api_handle(void *context, const struct admin_request *request,
                       struct admin_response *reply);

#endif
