// Builds requests: the form that all have, and the body, from records of the outbox or from metrics. Private to this room.
#ifndef GHATRACE_SRC_EXPORT_REQUEST_H
#define GHATRACE_SRC_EXPORT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/client/http_client.h"
#include "ghatrace/export/exporter.h"

// OpenTelemetry, protocol/exporter.md: "64 MiB" is the default limit of a request, before compression.
#define REQUEST_BODY_MAX ((size_t)64 << 20)

// The common part of all requests. Built once.
struct request_form {
    const struct export_endpoint *endpoint; // not owned
    char url[EXPORT_URL_SIZE];              // the endpoint's
    enum export_protocol protocol;
    bool gzip;
    struct http_header *fields; // in the arena given to request_form_init
    size_t field_count;
    // The configured ones, for masks: as they are sent, and binary metadata as it was configured, too.
    struct http_header *secrets;
    size_t secret_count;
};

// Copies the configured fields into the arena, for gRPC as metadata. Those that would contradict the exporter's own
// fields (framing, media type, Host; gRPC's) are omitted with a warning.
enum error_code request_form_init(struct request_form *form, const struct export_options *options,
                                  const struct export_endpoint *endpoint, struct arena *arena,
                                  struct error *error) MUST_CHECK;

// A form and the secrets to be masked in responses.
struct made_form {
    struct request_form form;
    struct mask_list masks;
    struct arena arena; // memory of both
    // Secrets from before the last change of headers: responses to requests sent before may repeat them.
    struct mask_list old_masks;
    struct arena old_arena;
};

// On failure nothing has to be released.
enum error_code made_form_init(const struct export_options *options,
                               const struct export_endpoint *endpoint, struct made_form *made,
                               struct error *error) MUST_CHECK;
// Makes the form again with the headers of `options`, for the same endpoint. `*is_changed`: its header fields differ from
// those before. On failure, or if nothing has changed, the form is as it was.
enum error_code made_form_change(struct made_form *made, const struct export_options *options,
                                 bool *is_changed, struct error *error) MUST_CHECK;
void made_form_release(struct made_form *made);

// The HTTP request with this body, as the form and its endpoint say; its texts are theirs.
struct http_client_request request_with_body(const struct request_form *form, struct slice body,
                                             duration_ns timeout);

// The records of a request.
struct request_records {
    const uint64_t *sequences; // in the outbox
    size_t count;
    size_t found; // how many of them still existed
};

// Builds the body of a request with those records that are still in the outbox, for gRPC with the head of a message. If
// there are none, `body` stays empty. One short read transaction. ERROR_TOO_LARGE, ERROR_INVALID: these records can never be sent together
// as they are (halve the batch, or make the record a dead letter). Other errors may be temporary: ERROR_MEMORY and
// those of the store.
enum error_code request_build(const struct request_form *form, struct store *store,
                              struct request_records *records, struct buffer *body,
                              struct error *error) MUST_CHECK;

// The same for an encoded ExportMetricsServiceRequest of at most half of REQUEST_BODY_MAX.
enum error_code request_build_metrics(const struct request_form *form, struct slice message,
                                      struct buffer *body, struct error *error) MUST_CHECK;

#endif
