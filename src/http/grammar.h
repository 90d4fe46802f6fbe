// Grammars of RFC 9110 5.6.2 and 5.5 and RFC 9112 3.2, which what is parsed and what is written must follow.
#ifndef GHATRACE_HTTP_GRAMMAR_H
#define GHATRACE_HTTP_GRAMMAR_H

#include <stdbool.h>

#include "ghatrace/base/slice.h"

bool http_is_token(struct slice s);
bool http_is_field_value(struct slice s);
// Origin form, or `*`.
bool http_is_target(struct slice s);
// uri-host [ ":" port ], possibly empty.
bool http_is_host(struct slice s);

#endif
