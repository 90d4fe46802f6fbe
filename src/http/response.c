// Responses: a status and a small JSON body.
#include "ghatrace/http/response.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/http/write.h"

// GitHub does not retry by itself, but redelivery scripts and proxies do.
#define RETRY_AFTER_SECONDS "5"

void http_response_set(struct http_response *answer, int status, struct slice body)
{
    answer->status = status;
    answer->body = body;
    answer->allow = NULL;
    answer->content_type = NULL;
    answer->challenge = NULL;
    answer->extra = NULL;
    answer->extra_count = 0;
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

static void set_message(struct http_response *answer, int status, struct slice before,
                        const char *message)
{
    struct slice after = SLICE("\"}\n");
    char clean[3 * sizeof(((struct error *)0)->message)];
    struct slice text = slice_from_string(message);
    size_t len = append_text(answer->text, 0, before);

    // A message can contain a piece of the payload, cut within a UTF-8 sequence.
    if (text.len >= sizeof clean / 3)
        text.len = sizeof clean / 3 - 1;
    text = (struct slice){.data = clean, .len = utf8_sanitize(text, clean)};
    len += escape(text, answer->text + len, sizeof answer->text - len - after.len);
    len = append_text(answer->text, len, after);
    http_response_set(answer, status, (struct slice){.data = answer->text, .len = len});
}

void http_response_set_error(struct http_response *answer, int status, const char *message)
{
    set_message(answer, status, SLICE("{\"error\":\""), message);
}

void http_response_set_unavailable(struct http_response *answer, const char *reason)
{
    set_message(answer, 503, SLICE("{\"status\":\"unavailable\",\"reason\":\""), reason);
}

void http_response_set_ready(struct http_response *answer, const char *words)
{
    set_message(answer, 200, SLICE("{\"status\":\"ready\",\"export\":\""), words);
}

void http_response_set_wrong_method(struct http_response *answer, const char *allow)
{
    http_response_set_error(answer, 405, "method not allowed here");
    answer->allow = allow;
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

enum error_code http_response_write_head(const struct http_response *answer, timestamp_ns now,
                                         bool keep_alive, size_t body_len, struct buffer *out)
{
    char date[TIMESTAMP_TEXT_SIZE];
    struct http_header extra[4 + HTTP_RESPONSE_EXTRA_MAX];
    size_t count = 0;

    extra[count++] = field("Date", format_date(now, date)); // RFC 9110 6.6.1: MUST, with a clock
    if (answer->allow != NULL)
        extra[count++] = field("Allow", answer->allow); // RFC 9110 15.5.6: MUST
    if (answer->status == 401)                          // 15.5.2: MUST
        extra[count++] =
            field("WWW-Authenticate",
                  answer->challenge != NULL ? answer->challenge : "X-Hub-Signature-256");
    if (answer->status == 503)
        extra[count++] = field("Retry-After", RETRY_AFTER_SECONDS);
    for (size_t i = 0; i < answer->extra_count && i < HTTP_RESPONSE_EXTRA_MAX; i++)
        extra[count++] = answer->extra[i];
    bool has_type = body_len > 0 || answer->content_type != NULL;
    const char *type = answer->content_type != NULL ? answer->content_type : "application/json";
    const struct http_response_head head = {.status = answer->status,
                                            .content_type = has_type ? type : NULL,
                                            .body_len = body_len,
                                            .keep_alive = keep_alive,
                                            .extra = extra,
                                            .extra_count = count};
    return http_write_response_head(out, &head);
}

enum error_code http_response_write(const struct http_response *answer, timestamp_ns now,
                                    bool keep_alive, bool is_head_request, struct buffer *out)
{
    size_t start = out->len;
    enum error_code code = http_response_write_head(answer, now, keep_alive, answer->body.len, out);

    // RFC 9110 9.3.2: the response to HEAD is that to GET without the content.
    if (code == ERROR_NONE && !is_head_request)
        code = buffer_append_slice(out, answer->body);
    if (code != ERROR_NONE)
        out->len = start;
    return code;
}
