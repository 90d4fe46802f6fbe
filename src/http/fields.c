// What the fields of a head mean for its framing and its connection (RFC 9112 3.2, 6, 9.3).
#include "internal.h"

static bool parse_length(struct slice s, uint64_t *length, bool *is_too_large)
{
    *length = 0;
    *is_too_large = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (*length > (UINT64_MAX - digit) / 10)
            *is_too_large = true;
        else
            *length = *length * 10 + digit;
    }
    return s.len != 0;
}

// RFC 9110 8.6: Content-Length = 1*DIGIT. A repeated one may be refused even when all values are
// the same, and is.
static enum http_progress interpret_length(struct http_parser *parser)
{
    struct http_head *head = &parser->message;
    size_t count;
    struct slice value = http_head_get(head, SLICE("Content-Length"), &count);
    bool is_too_large;

    if (count == 0)
        return HTTP_HEAD_DONE;
    if (count > 1)
        return http_refuse(parser, 400, "more than one Content-Length");
    if (!parse_length(value, &head->body_length, &is_too_large))
        return http_refuse(parser, 400, "Content-Length is not a number");
    if (is_too_large)
        return http_refuse(parser, 413, "Content-Length is over the limit");
    head->has_body_length = true;
    return HTTP_HEAD_DONE;
}

// RFC 9112 6.1: Transfer-Encoding beside Content-Length "ought to be handled as an error", in
// HTTP/1.0 its framing is faulty, and what is not understood deserves 501.
static enum http_progress interpret_transfer_coding(struct http_parser *parser)
{
    struct http_head *head = &parser->message;
    size_t count;
    struct slice value = http_head_get(head, SLICE("Transfer-Encoding"), &count);

    if (count == 0)
        return HTTP_HEAD_DONE;
    if (head->has_body_length)
        return http_refuse(parser, 400, "both Transfer-Encoding and Content-Length");
    if (head->minor_version == 0)
        return http_refuse(parser, 400, "Transfer-Encoding in HTTP/1.0");
    if (count > 1 || value.len == 0)
        return http_refuse(parser, 400, "Transfer-Encoding is empty or repeated");
    if (!slice_equals_ignoring_case(value, SLICE("chunked")))
        return http_refuse(parser, 501, "the only transfer coding spoken here is chunked");
    head->is_chunked = true;
    return HTTP_HEAD_DONE;
}

// RFC 9112 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request
// message that lacks a Host header field and to any request message that contains more than one
// Host header field line or a Host header field with an invalid field value."
static enum http_progress interpret_host(struct http_parser *parser)
{
    size_t count;
    struct slice value = http_head_get(&parser->message, SLICE("Host"), &count);

    if (count == 0 && parser->message.minor_version != 0)
        return http_refuse(parser, 400, "Host is missing");
    if (count > 1)
        return http_refuse(parser, 400, "more than one Host");
    if (!http_is_host(value))
        return http_refuse(parser, 400, "Host is malformed");
    if (parser->message.host.len == 0) // else the target names it, and counts (RFC 9112 3.2.2)
        parser->message.host = value;
    return HTTP_HEAD_DONE;
}

static bool list_contains(struct slice list, struct slice wanted)
{
    while (list.len != 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t len = comma != NULL ? (size_t)(comma - list.data) : list.len;
        struct slice item = slice_trim((struct slice){.data = list.data, .len = len});
        if (slice_equals_ignoring_case(item, wanted))
            return true;
        size_t taken = comma != NULL ? len + 1 : len;
        list.data += taken;
        list.len -= taken;
    }
    return false;
}

// Several fields of one name are one list (RFC 9110 5.3).
static bool any_list_contains(const struct http_head *head, struct slice name, struct slice wanted)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (slice_equals_ignoring_case(head->headers[i].name, name) &&
            list_contains(head->headers[i].value, wanted))
            return true;
    }
    return false;
}

// RFC 9112 9.3: "close" wins; HTTP/1.1 persists by default, HTTP/1.0 only with "keep-alive". What
// ends with the connection cannot outlive it.
static void interpret_connection(struct http_parser *parser)
{
    struct http_head *head = &parser->message;
    struct slice name = SLICE("Connection");

    if (any_list_contains(head, name, SLICE("close")))
        head->keep_alive = false;
    else if (head->minor_version == 0)
        head->keep_alive = any_list_contains(head, name, SLICE("keep-alive"));
    else
        head->keep_alive = true;
    if (!http_has_no_body(parser) && !head->has_body_length && !head->is_chunked)
        head->keep_alive = false;
}

// RFC 9110 10.1.1: to be ignored in HTTP/1.0, and pointless where no content follows.
static void interpret_expect(struct http_head *head)
{
    head->expects_continue = head->minor_version != 0 &&
                             (head->is_chunked || head->body_length != 0) &&
                             any_list_contains(head, SLICE("Expect"), SLICE("100-continue"));
}

enum http_progress http_interpret_fields(struct http_parser *parser)
{
    if (parser->role == HTTP_REQUEST && interpret_host(parser) == HTTP_REFUSED)
        return HTTP_REFUSED;
    if (interpret_length(parser) == HTTP_REFUSED ||
        interpret_transfer_coding(parser) == HTTP_REFUSED)
        return HTTP_REFUSED;
    interpret_connection(parser);
    if (parser->role == HTTP_REQUEST)
        interpret_expect(&parser->message);
    return HTTP_HEAD_DONE;
}
