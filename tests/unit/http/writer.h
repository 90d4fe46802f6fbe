// Calls of the head writers in one line, for tests.
#ifndef TEST_HTTP_WRITER_H
#define TEST_HTTP_WRITER_H

#include "ghatrace/http/write.h"

// Body included.
static inline enum error_code write_response(struct buffer *out, int status, const char *type,
                                             struct slice body, bool keep_alive,
                                             const struct http_header *extra, size_t extra_count)
{
    const struct http_response_head head = {.status = status,
                                            .content_type = type,
                                            .body_len = body.len,
                                            .keep_alive = keep_alive,
                                            .extra = extra,
                                            .extra_count = extra_count};
    size_t start = out->len;
    enum error_code code = http_write_response_head(out, &head);

    if (code == ERROR_NONE)
        code = buffer_append_slice(out, body);
    if (code != ERROR_NONE)
        out->len = start;
    return code;
}

static inline bool is_valid_request(struct slice target, struct slice host,
                                    const struct http_header *fields, size_t count)
{
    const struct http_request_parts parts = {
        .target = target, .host = host, .fields = fields, .field_count = count};
    return http_is_valid_request(&parts);
}

#endif
