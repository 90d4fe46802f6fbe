// Serializes HTTP/1.1 message heads, whole or not at all.
#include "ghatrace/http/write.h"

#include "internal.h"

const char *http_status_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        // RFC 9110 15, RFC 6585.
        {100, "Continue"},
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

// Only the writer sets the framing: a framing field among the extra fields would make a message that our own parser
// refuses.
static bool is_framing_field(struct slice name)
{
    return slice_equals_ignoring_case(name, SLICE("Content-Length")) ||
           slice_equals_ignoring_case(name, SLICE("Transfer-Encoding")) ||
           slice_equals_ignoring_case(name, SLICE("Host"));
}

static enum error_code append_all(struct buffer *out, const struct slice *parts, size_t count)
{
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = buffer_append_slice(out, parts[i]);
    return code;
}

static enum error_code append_field(struct buffer *out, struct slice name, struct slice value)
{
    const struct slice parts[] = {name, SLICE(": "), value, SLICE("\r\n")};

    if (!http_is_token(name) || !http_is_field_value(value))
        return ERROR_INVALID;
    return append_all(out, parts, 4);
}

static enum error_code append_extra(struct buffer *out, const struct http_header *extra,
                                    size_t count)
{
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        code = is_framing_field(extra[i].name) ? ERROR_INVALID
                                               : append_field(out, extra[i].name, extra[i].value);
    }
    return code;
}

// RFC 9110 8.6: "A server MUST NOT send a Content-Length header field in any response with a status
// code of 1xx (Informational) or 204 (No Content)"; in a 304 it would give the length of another body.
static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

enum error_code http_write_response_head(struct buffer *out, const struct http_response_head *head)
{
    int status = head->status;
    bool has_length = !has_no_body(status) && head->body_len != HTTP_LENGTH_UNKNOWN;
    size_t start = out->len;
    enum error_code code = ERROR_INVALID;

    if (status < 100 || status > 999 || (has_no_body(status) && head->body_len != 0) ||
        (head->body_len == HTTP_LENGTH_UNKNOWN && head->keep_alive))
        goto cleanup;
    code = buffer_append_format(out, "HTTP/1.1 %d %s\r\n", status, http_status_reason(status));
    if (code == ERROR_NONE && head->content_type != NULL)
        code = append_field(out, SLICE("Content-Type"), slice_from_string(head->content_type));
    if (code == ERROR_NONE && has_length)
        code = buffer_append_format(out, "Content-Length: %zu\r\n", head->body_len);
    if (code == ERROR_NONE && !head->keep_alive && status >= 200)
        code = buffer_append_string(out, "Connection: close\r\n");
    if (code == ERROR_NONE)
        code = append_extra(out, head->extra, head->extra_count);
    if (code == ERROR_NONE)
        code = buffer_append_string(out, "\r\n");

cleanup:
    if (code != ERROR_NONE)
        out->len = start;
    return code;
}

// RFC 9110 8.6: a request without content has Content-Length only if its method expects content.
static bool needs_length(struct slice method, size_t body_len)
{
    return body_len != 0 ||
           (!slice_equals(method, SLICE("GET")) && !slice_equals(method, SLICE("HEAD")));
}

enum error_code http_write_request_head(struct buffer *out, const struct http_request_head *head)
{
    const struct slice parts[] = {head->method, SLICE(" "),
                                  head->target, SLICE(" HTTP/1.1\r\nHost: "),
                                  head->host,   SLICE("\r\n")};
    size_t start = out->len;
    enum error_code code = ERROR_INVALID;

    if (!http_is_token(head->method) || !http_is_target(head->target) || !http_is_host(head->host))
        goto cleanup;
    code = append_all(out, parts, 6);
    if (code == ERROR_NONE && needs_length(head->method, head->body_len))
        code = buffer_append_format(out, "Content-Length: %zu\r\n", head->body_len);
    if (code == ERROR_NONE)
        code = append_extra(out, head->extra, head->extra_count);
    if (code == ERROR_NONE)
        code = buffer_append_string(out, "\r\n");

cleanup:
    if (code != ERROR_NONE)
        out->len = start;
    return code;
}

static bool is_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    }
    return s.len != 0;
}

bool http_parse_retry_after(struct slice value, timestamp_ns now, duration_ns *wait)
{
    timestamp_ns time;
    long long seconds;

    value = slice_trim(value);
    if (slice_parse_int64(value, &seconds)) {
        if (seconds < 0)
            seconds = 0;
        *wait = seconds > INT64_MAX / NS_PER_SECOND ? INT64_MAX : seconds * NS_PER_SECOND;
        return true;
    }
    if (is_digits(value)) {
        *wait = INT64_MAX;
        return true;
    }
    if (!timestamp_parse_http_date(value, &time))
        return false;
    *wait = time > now ? time - now : 0;
    return true;
}
