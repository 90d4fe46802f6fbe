// A unary gRPC call as it is sent over HTTP/2: framing of messages, metadata, deadline, and the status of the answer.
// Private to this room. Pure.
//
// Rules from grpc, doc/PROTOCOL-HTTP2.md, doc/statuscodes.md and doc/http-grpc-status-mapping.md.
#ifndef GHATRACE_SRC_EXPORT_GRPC_H
#define GHATRACE_SRC_EXPORT_GRPC_H

#include <stdbool.h>

#include "answer.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"

// --- the call -------------------------------------------------------------------------------------

// "Compressed-Flag Message-Length Message": the head of a message.
#define GRPC_FRAME_HEAD 5
// Writes the head of a message of `len` bytes, at most UINT32_MAX.
void grpc_write_frame_head(char head[GRPC_FRAME_HEAD], size_t len, bool is_compressed);

#define GRPC_TIMEOUT_SIZE 24
// The value of grpc-timeout: at most 8 digits and a unit, rounded up. `timeout` is over 0. Returns `text`.
char *grpc_format_timeout(duration_ns timeout, char text[GRPC_TIMEOUT_SIZE]);

// True for names that gRPC keeps for itself ("grpc-...").
bool grpc_is_reserved(struct slice name);
// A configured header as metadata, in the arena: the name in lower case; the value of a name in "-bin" is bytes and
// sent in base64, unpadded. ERROR_USAGE, with the name but not the value: a name or value that metadata cannot have;
// ERROR_MEMORY.
enum error_code grpc_make_metadata(const struct http_header *header, struct arena *arena,
                                   struct http_header *metadata, struct error *error) MUST_CHECK;

// --- the answer -----------------------------------------------------------------------------------

// The fields that are a call's status: grpc-status, grpc-message, grpc-status-details-bin. Empty: absent.
struct grpc_status_fields {
    struct slice code, message, details;
};

// What is known of an answer before it is read as one of gRPC. Nothing is owned.
struct grpc_response {
    struct grpc_status_fields headers, trailers;
    struct slice encoding; // grpc-encoding
    struct slice body;
};

// Fills the gRPC members of `answer`, whose `status` is set: the code, its message and RetryInfo, from the trailers or,
// if the answer has only headers, from those; and replaces `body` by the message in it, expanded if it is compressed.
// Without a code, an answer of status 200 that has a message in full counts as OK; of any other the body is left as it is.
// What cannot be read counts as missing. Everything that is made is in the arena.
void grpc_read_answer(const struct grpc_response *response, struct arena *arena,
                      struct export_answer *answer);

// --- codes ----------------------------------------------------------------------------------------

// "RESOURCE_EXHAUSTED"; "UNKNOWN" for all that are not defined.
const char *grpc_code_text(int code);

#endif
