// The response to an export request, from the HTTP client's form to that of answer.h, which decides what it means.
// Private to this room.
#ifndef GHATRACE_SRC_EXPORT_RESPONSE_H
#define GHATRACE_SRC_EXPORT_RESPONSE_H

#include "answer.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/client/http_client.h"
#include "ghatrace/export/exporter.h"

// OTLP lets a client limit how much of a response it reads; the Collector's own exporter has the same limit.
#define EXPORT_ANSWER_MAX ((size_t)64 << 10)
// Bytes of a longer gRPC answer that are read for the status after them.
#define EXPORT_SKIP_MAX ((size_t)4 << 20)

// Texts point into the response or the arena.
struct export_answer response_read(const struct http_client_response *response,
                                   enum export_protocol protocol, struct arena *arena);
// What the response means; `answer` is of response_read().
struct export_class response_classify(const struct http_client_response *response,
                                      const struct export_answer *answer);
// True for a local error, as opposed to one of the endpoint.
bool response_error_is_local(const struct error *error);
// What is reported as the trouble, of which export_classify() knows only the answer.
enum export_trouble response_trouble(enum export_trouble classified, const struct error *error);
// The reason for a failure in one line: as answer_describe() says, or why there is no complete response, with a hint,
// secrets masked.
void response_describe(const struct http_client_response *response,
                       const struct export_answer *answer, const struct mask_list *masks,
                       char reason[EXPORT_MESSAGE_SIZE]);

#endif
