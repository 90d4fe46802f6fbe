// The response to an export request, from the HTTP client's form to that of answer.h. Private to this room. Nothing here
// decides what an answer means.
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
enum export_transport response_transport(const struct http_client_response *response);
// True for a local error, as opposed to one of the endpoint.
bool response_error_is_local(const struct error *error);
// What is reported as the trouble, of which export_classify() knows only the answer.
enum export_trouble response_trouble(enum export_trouble classified, const struct error *error);
// Why there is no complete response, with a hint, secrets masked.
void response_describe(const struct http_client_response *response, enum export_protocol protocol,
                       const struct mask_list *masks, char *reason, size_t size);

#endif
