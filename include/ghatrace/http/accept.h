// What a client accepts, by the header fields Accept and Accept-Encoding (RFC 9110 12.5). Pure.
#ifndef GHATRACE_HTTP_ACCEPT_H
#define GHATRACE_HTTP_ACCEPT_H

#include <stdbool.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/http/parse.h"

// Takes the first element off a list that is separated by commas, trimmed: "a;q=0.5" of "a;q=0.5, b". It may be empty.
struct slice http_list_next(struct slice *list);
// Takes the first part off an element: its value, then each parameter, trimmed. It may be empty.
struct slice http_parameter_next(struct slice *element);
// The weight in the parameter "q=0.75", in thousandths: 750. False: it is another parameter. A malformed weight is 0.
bool http_weight_read(struct slice parameter, int *weight);

// True if the client prefers gzip to no coding, or to it alike. A weight of 0 refuses it, also that of "*".
bool http_head_accepts_gzip(const struct http_head *head);

#endif
