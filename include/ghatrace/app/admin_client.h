// One question to the admin listener of a daemon, for tools.
#ifndef GHATRACE_APP_ADMIN_CLIENT_H
#define GHATRACE_APP_ADMIN_CLIENT_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/export/endpoint.h"

// GET of `path` at host and port of the endpoint, by plain HTTP, shown `token` (may be empty). What is answered 200 is
// appended to `body`. Blocks, some 10 s at most for each step. ERROR_NETWORK, ERROR_INVALID: another answer, in words;
// ERROR_MEMORY.
enum error_code admin_client_get(const struct export_endpoint *endpoint, const char *path,
                                 struct slice token, struct buffer *body,
                                 struct error *error) MUST_CHECK;

#endif
