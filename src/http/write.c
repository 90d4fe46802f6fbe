// Writes HTTP/1.1 messages: heads, whole or not at all, and responses with a small JSON body.
#include "ghatrace/http/write.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ghatrace/base/utf8.h"
#include "grammar.h"

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
        {407, "Proxy Authentication Required"},
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

enum http_refusal http_refusal_of_status(int status)
{
    switch (status) {
    case 400:
    case 411:
        return HTTP_MALFORMED;
    case 401:
        return HTTP_BAD_CREDENTIALS;
    case 403:
    case 404:
    case 405:
    case 415:
        return HTTP_NOT_ALLOWED;
    case 408:
        return HTTP_TOO_SLOW;
    case 413:
    case 414:
    case 431:
        return HTTP_TOO_LARGE;
    case 503:
        return HTTP_UNAVAILABLE;
    default:
        return HTTP_OTHER_REFUSAL;
    }
}

// Only the writer sets the framing: a framing field among the extra fields would make a message that our own parser
// refuses.
static bool is_framing_field(struct slice name)
{
    return slice_equals_ignoring_case(name, SLICE("Content-Length")) ||
           slice_equals_ignoring_case(name, SLICE("Transfer-Encoding")) ||
           slice_equals_ignoring_case(name, SLICE("Host"));
}

static bool is_valid_field(struct slice name, struct slice value)
{
    return http_is_token(name) && http_is_field_value(value);
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

    if (!is_valid_field(name, value))
        return ERROR_INVALID;
    return append_all(out, parts, 4);
}

static bool is_valid_extra(const struct http_header *extra)
{
    return !is_framing_field(extra->name) && is_valid_field(extra->name, extra->value);
}

static enum error_code append_extra(struct buffer *out, const struct http_header *extra,
                                    size_t count)
{
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        code = is_valid_extra(&extra[i]) ? append_field(out, extra[i].name, extra[i].value)
                                         : ERROR_INVALID;
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
    bool is_chunked = head->body_len == HTTP_LENGTH_CHUNKED;
    bool has_length = !has_no_body(status) && !is_chunked && head->body_len != HTTP_LENGTH_UNKNOWN;
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
    if (code == ERROR_NONE && is_chunked)
        code = buffer_append_string(out, "Transfer-Encoding: chunked\r\n");
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

enum error_code http_write_chunk(struct buffer *out, struct slice part)
{
    const struct slice pieces[] = {part, SLICE("\r\n")};

    if (part.len == 0)
        return ERROR_NONE;
    enum error_code code = buffer_append_format(out, "%zx\r\n", part.len);
    return code == ERROR_NONE ? append_all(out, pieces, 2) : code;
}

enum error_code http_write_last_chunk(struct buffer *out)
{
    return buffer_append_string(out, "0\r\n\r\n");
}

bool http_is_valid_request(const struct http_request_parts *parts)
{
    for (size_t i = 0; i < parts->field_count; i++) {
        if (!is_valid_extra(&parts->fields[i]))
            return false;
    }
    return http_is_target(parts->target) && http_is_host(parts->host);
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

// --- responses ------------------------------------------------------------------------------------

// GitHub does not retry by itself, but redelivery scripts and proxies do.
#define RETRY_AFTER_SECONDS "5"

void http_response_set(struct http_response *response, int status, struct slice body)
{
    response->status = status;
    response->body = body;
    response->allow = NULL;
    response->content_type = NULL;
    response->challenge = NULL;
    response->extra = NULL;
    response->extra_count = 0;
}

// Writes `text` as the inside of a JSON string (RFC 8259 7), cut to `room` bytes.
static size_t escape(struct slice text, char *out, size_t room)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len && len + 7 <= room; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte == '"' || byte == '\\') {
            out[len++] = '\\';
            out[len++] = (char)byte;
        } else if (byte < 0x20) {
            len += (size_t)snprintf(out + len, room - len, "\\u%04x", byte);
        } else {
            out[len++] = (char)byte;
        }
    }
    return len;
}

static size_t append_text(char *out, size_t len, struct slice text)
{
    memcpy(out + len, text.data, text.len);
    return len + text.len;
}

static void set_message(struct http_response *response, int status, struct slice before,
                        const char *message)
{
    struct slice after = SLICE("\"}\n");
    char clean[3 * sizeof(((struct error *)0)->message)];
    struct slice text = slice_from_string(message);
    size_t len = append_text(response->text, 0, before);

    // A message can contain a piece of the payload, cut within a UTF-8 sequence.
    if (text.len >= sizeof clean / 3)
        text.len = sizeof clean / 3 - 1;
    text = (struct slice){.data = clean, .len = utf8_sanitize(text, clean)};
    len += escape(text, response->text + len, sizeof response->text - len - after.len);
    len = append_text(response->text, len, after);
    http_response_set(response, status, (struct slice){.data = response->text, .len = len});
}

void http_response_set_error(struct http_response *response, int status, const char *message)
{
    set_message(response, status, SLICE("{\"error\":\""), message);
}

void http_response_set_unavailable(struct http_response *response, const char *reason)
{
    set_message(response, 503, SLICE("{\"status\":\"unavailable\",\"reason\":\""), reason);
}

void http_response_set_ready(struct http_response *response, const char *words)
{
    set_message(response, 200, SLICE("{\"status\":\"ready\",\"export\":\""), words);
}

void http_response_set_wrong_method(struct http_response *response, const char *allow)
{
    http_response_set_error(response, 405, "method not allowed here");
    response->allow = allow;
}

static struct http_header field(const char *name, const char *value)
{
    return (struct http_header){.name = slice_from_string(name), .value = slice_from_string(value)};
}

// IMF-fixdate (RFC 9110 5.6.7). Always English, because the program never sets a locale.
static const char *format_date(timestamp_ns now, char text[TIMESTAMP_TEXT_SIZE])
{
    time_t seconds = (time_t)(now / NS_PER_SECOND);
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, TIMESTAMP_TEXT_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
        text[0] = '\0';
    return text;
}

enum error_code http_response_write_head(const struct http_response *response, timestamp_ns now,
                                         bool keep_alive, size_t body_len, struct buffer *out)
{
    char date[TIMESTAMP_TEXT_SIZE];
    struct http_header extra[4 + HTTP_RESPONSE_EXTRA_MAX];
    size_t count = 0;

    extra[count++] = field("Date", format_date(now, date)); // RFC 9110 6.6.1: MUST, with a clock
    if (response->allow != NULL)
        extra[count++] = field("Allow", response->allow); // RFC 9110 15.5.6: MUST
    if (response->status == 401)                          // 15.5.2: MUST
        extra[count++] =
            field("WWW-Authenticate",
                  response->challenge != NULL ? response->challenge : "X-Hub-Signature-256");
    if (response->status == 503)
        extra[count++] = field("Retry-After", RETRY_AFTER_SECONDS);
    for (size_t i = 0; i < response->extra_count && i < HTTP_RESPONSE_EXTRA_MAX; i++)
        extra[count++] = response->extra[i];
    bool has_type = body_len > 0 || response->content_type != NULL;
    const char *type = response->content_type != NULL ? response->content_type : "application/json";
    const struct http_response_head head = {.status = response->status,
                                            .content_type = has_type ? type : NULL,
                                            .body_len = body_len,
                                            .keep_alive = keep_alive,
                                            .extra = extra,
                                            .extra_count = count};
    return http_write_response_head(out, &head);
}

enum error_code http_response_write(const struct http_response *response, timestamp_ns now,
                                    bool keep_alive, bool is_head_request, struct buffer *out)
{
    size_t start = out->len;
    enum error_code code =
        http_response_write_head(response, now, keep_alive, response->body.len, out);

    // RFC 9110 9.3.2: the response to HEAD is that to GET without the content.
    if (code == ERROR_NONE && !is_head_request)
        code = buffer_append_slice(out, response->body);
    if (code != ERROR_NONE)
        out->len = start;
    return code;
}
