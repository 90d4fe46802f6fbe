// Responses of the JSON API for commands, which read the store beside the daemon.
#ifndef GHATRACE_ADMIN_API_PRINT_H
#define GHATRACE_ADMIN_API_PRINT_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/view/pools_view.h"

struct api_print {
    struct store *store;
    struct pools_view_settings pools;
    timestamp_ns now;
    struct arena *arena; // used only during the call
    struct buffer *out;
};

// Appends what GET /api/pools answers. ERROR_MEMORY, ERROR_TOO_LARGE (the buffer's limit), or as the store reports.
enum error_code api_print_pools(const struct api_print *print, struct error *error) MUST_CHECK;

#endif
