// Requests, as they arrive: grammar, fields, start line, body, and the incremental parser (RFC 9110, RFC 9112).
#include "ghatrace/http/parse.h"

#include <assert.h>

#include "ghatrace/base/error.h"
#include "grammar.h"

// --- what a parser is at --------------------------------------------------------------------------

enum parser_state {
    STATE_HEAD_LINE,       // within a line of the head
    STATE_HEAD_LF,         // after its CR
    STATE_BODY_START,      // head reported; the body's framing is decided on the next feed
    STATE_BODY_LENGTH,     // `remaining` bytes left
    STATE_CHUNK_SIZE,      // hexadecimal digits; `remaining` is the value so far
    STATE_CHUNK_BLANK,     // blanks after them, which only an extension may follow
    STATE_CHUNK_EXTENSION, // after ';'
    STATE_CHUNK_SIZE_LF,   // after the CR of that line
    STATE_CHUNK_DATA,      // `remaining` bytes left
    STATE_CHUNK_DATA_CR,   // data complete
    STATE_CHUNK_DATA_LF,
    STATE_TRAILER_START, // at the start of a line after the last chunk
    STATE_TRAILER_NAME,
    STATE_TRAILER_VALUE,
    STATE_TRAILER_LF, // after the CR of a trailer field
    STATE_END_LF,     // after the CR of the empty line that ends the trailers
    STATE_DONE,
    STATE_REFUSED,
};

// The unread part of the input. Readers consume from the front.
struct parser_input {
    const char *next;
    const char *end;
};

static inline size_t input_left(const struct parser_input *input)
{
    return (size_t)(input->end - input->next);
}

// `why` is static text.
static enum http_progress refuse_message(struct http_parser *parser, int status, const char *why)
{
    assert(status >= 400 && parser->state != STATE_DONE);
    parser->state = STATE_REFUSED;
    parser->refusal_status = status;
    parser->refusal = why;
    return HTTP_REFUSED;
}

// --- character sets and small grammars of RFC 9110, RFC 9112 and RFC 3986 -------------------------

// RFC 9110 5.6.2: tchar.
static bool is_token_char(char c)
{
    if (ascii_is_letter(c) || ascii_is_digit(c))
        return true;
    switch (c) {
    case '!':
    case '#':
    case '$':
    case '%':
    case '&':
    case '\'':
    case '*':
    case '+':
    case '-':
    case '.':
    case '^':
    case '_':
    case '`':
    case '|':
    case '~':
        return true;
    default:
        return false;
    }
}

static bool is_field_char(char c)
{
    unsigned char byte = (unsigned char)c;

    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

bool http_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_char(s.data[i]))
            return false;
    }
    return s.len != 0;
}

bool http_is_field_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_field_char(s.data[i]))
            return false;
    }
    return true;
}

// RFC 3986 2.2, 2.3: unreserved / sub-delims.
static bool is_name_char(char c)
{
    if (ascii_is_letter(c) || ascii_is_digit(c))
        return true;
    switch (c) {
    case '-':
    case '.':
    case '_':
    case '~':
    case '!':
    case '$':
    case '&':
    case '\'':
    case '(':
    case ')':
    case '*':
    case '+':
    case ',':
    case ';':
    case '=':
        return true;
    default:
        return false;
    }
}

// Every '%' is followed by two hexadecimal digits; everything else is a name character or one of `others`.
static bool is_uri_text(struct slice s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '%') {
            if (s.len - i < 3 || hex_digit_value(s.data[i + 1]) < 0 ||
                hex_digit_value(s.data[i + 2]) < 0)
                return false;
            i += 2;
        } else if (!is_name_char(c) && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool is_query(struct slice s);

bool http_is_target(struct slice s)
{
    if (slice_equals(s, SLICE("*")))
        return true;
    return s.len != 0 && s.data[0] == '/' && is_query(s);
}

// Possibly empty; RFC 3986 3.4.
static bool is_query(struct slice s)
{
    return is_uri_text(s, ":@/?");
}

// Nothing, or ":" and digits.
static bool is_colon_port(struct slice s)
{
    if (s.len == 0)
        return true;
    for (size_t i = 1; i < s.len; i++) {
        if (!ascii_is_digit(s.data[i]))
            return false;
    }
    return s.data[0] == ':' && s.len <= 6;
}

bool http_is_host(struct slice s)
{
    const char *closing = s.len != 0 ? memchr(s.data, ']', s.len) : NULL;
    const char *colon = s.len != 0 ? memchr(s.data, ':', s.len) : NULL;
    struct slice name = s;

    // "[" IPv6address "]": the address is not used, so it is not checked in detail.
    if (s.len != 0 && s.data[0] == '[') {
        if (closing == NULL)
            return false;
        name = (struct slice){.data = s.data + 1, .len = (size_t)(closing - s.data) - 1};
        s = (struct slice){.data = closing + 1, .len = s.len - name.len - 2};
        return name.len != 0 && is_uri_text(name, ":") && is_colon_port(s);
    }
    if (colon == NULL)
        return is_uri_text(s, "");
    name.len = (size_t)(colon - s.data);
    s = (struct slice){.data = colon, .len = s.len - name.len};
    return is_uri_text(name, "") && is_colon_port(s);
}

// --- fields ---------------------------------------------------------------------------------------
// The fields of a head that determine its framing and the connection's persistence (RFC 9112 3.2, 6, 9.3).

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

// RFC 9110 8.6: Content-Length = 1*DIGIT. Repeated fields are refused, as the RFC permits even for equal values.
static enum http_progress interpret_length(struct http_parser *parser)
{
    struct http_head *head = &parser->message;
    size_t count;
    struct slice value = http_head_get(head, SLICE("Content-Length"), &count);
    bool is_too_large;

    if (count == 0)
        return HTTP_HEAD_DONE;
    if (count > 1)
        return refuse_message(parser, 400, "more than one Content-Length");
    if (!parse_length(value, &head->body_length, &is_too_large))
        return refuse_message(parser, 400, "Content-Length is not a number");
    if (is_too_large)
        return refuse_message(parser, 413, "Content-Length is over the limit");
    head->has_body_length = true;
    return HTTP_HEAD_DONE;
}

// RFC 9112 6.1: Transfer-Encoding together with Content-Length "ought to be handled as an error", in HTTP/1.0 the
// framing is faulty, and an unknown transfer coding gives 501.
static enum http_progress interpret_transfer_coding(struct http_parser *parser)
{
    struct http_head *head = &parser->message;
    size_t count;
    struct slice value = http_head_get(head, SLICE("Transfer-Encoding"), &count);

    if (count == 0)
        return HTTP_HEAD_DONE;
    if (head->has_body_length)
        return refuse_message(parser, 400, "both Transfer-Encoding and Content-Length");
    if (head->minor_version == 0)
        return refuse_message(parser, 400, "Transfer-Encoding in HTTP/1.0");
    if (count > 1 || value.len == 0)
        return refuse_message(parser, 400, "Transfer-Encoding is empty or repeated");
    if (!slice_equals_ignoring_case(value, SLICE("chunked")))
        return refuse_message(parser, 501, "the only transfer coding supported here is chunked");
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
        return refuse_message(parser, 400, "Host is missing");
    if (count > 1)
        return refuse_message(parser, 400, "more than one Host");
    if (!http_is_host(value))
        return refuse_message(parser, 400, "Host is malformed");
    if (parser->message.host.len == 0) // else the host of the target applies (RFC 9112 3.2.2)
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

// Repeated fields are treated as one list (RFC 9110 5.3).
static bool any_list_contains(const struct http_head *head, struct slice name, struct slice wanted)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (slice_equals_ignoring_case(head->headers[i].name, name) &&
            list_contains(head->headers[i].value, wanted))
            return true;
    }
    return false;
}

// RFC 9112 9.3: "close" has precedence; HTTP/1.1 persists by default, HTTP/1.0 only with "keep-alive".
static void interpret_connection(struct http_head *head)
{
    struct slice name = SLICE("Connection");

    if (any_list_contains(head, name, SLICE("close")))
        head->keep_alive = false;
    else if (head->minor_version == 0)
        head->keep_alive = any_list_contains(head, name, SLICE("keep-alive"));
    else
        head->keep_alive = true;
}

// RFC 9110 10.1.1: ignored in HTTP/1.0, and without effect if no content follows.
static void interpret_expect(struct http_head *head)
{
    head->expects_continue = head->minor_version != 0 &&
                             (head->is_chunked || head->body_length != 0) &&
                             any_list_contains(head, SLICE("Expect"), SLICE("100-continue"));
}

// Interprets the fields (framing, connection, host) of a head that is already split.
static enum http_progress interpret_fields(struct http_parser *parser)
{
    if (interpret_host(parser) == HTTP_REFUSED || interpret_length(parser) == HTTP_REFUSED ||
        interpret_transfer_coding(parser) == HTTP_REFUSED)
        return HTTP_REFUSED;
    interpret_connection(&parser->message);
    interpret_expect(&parser->message);
    return HTTP_HEAD_DONE;
}

// --- splitting a complete head: start line and fields (RFC 9112 3, 4 and 5) -----------------------

static enum http_progress refuse_start_line(struct http_parser *parser)
{
    return refuse_message(parser, 400, "the request line is malformed");
}

// Returns the part of `line` before the first `separator` and leaves the part after it. Without one, returns all.
static struct slice cut_line_at(struct slice *line, char separator)
{
    const char *found = line->len != 0 ? memchr(line->data, separator, line->len) : NULL;
    struct slice part = *line;

    if (found == NULL) {
        *line = SLICE_EMPTY;
        return part;
    }
    part.len = (size_t)(found - line->data);
    line->data += part.len + 1;
    line->len -= part.len + 1;
    return part;
}

// HTTP-version = "HTTP/" DIGIT "." DIGIT, case-sensitive. RFC 9110 2.5: a higher minor version is processed as the
// highest known one.
static enum http_progress parse_version(struct http_parser *parser, struct slice version)
{
    if (version.len != 8 || !slice_starts_with(version, SLICE("HTTP/")) ||
        !ascii_is_digit(version.data[5]) || version.data[6] != '.' ||
        !ascii_is_digit(version.data[7]))
        return refuse_start_line(parser);
    if (version.data[5] != '1')
        return refuse_message(parser, 505, "only HTTP/1.0 and HTTP/1.1 are supported here");
    parser->message.minor_version = version.data[7] == '0' ? 0 : 1;
    return HTTP_HEAD_DONE;
}

// The part after "http://" or "https://", case-insensitive; the scheme itself matters only to proxies. NULL: neither.
static struct slice without_scheme(struct slice target)
{
    const struct slice schemes[] = {SLICE("http://"), SLICE("https://")};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = schemes[i].len;
        struct slice scheme = {.data = target.data, .len = len};
        if (target.len >= len && slice_equals_ignoring_case(scheme, schemes[i]))
            return (struct slice){.data = target.data + len, .len = target.len - len};
    }
    return SLICE_EMPTY;
}

// RFC 9112 3.2.2: a server must accept the absolute form, although normally only proxies receive it. Its host overrides
// the Host field; the rest is the origin form, where an empty path means "/" (RFC 9110 4.2.3).
static bool parse_target_host(struct http_head *head)
{
    struct slice rest = without_scheme(head->target);
    size_t len = 0;

    if (rest.data == NULL)
        return true;
    while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?')
        len++;
    head->host = (struct slice){.data = rest.data, .len = len};
    head->target = (struct slice){.data = rest.data + len, .len = rest.len - len};
    return len != 0 && http_is_host(head->host);
}

static bool parse_target(struct http_head *head)
{
    if (!parse_target_host(head))
        return false;
    head->query = head->target;
    head->path = cut_line_at(&head->query, '?');
    if (head->host.len != 0 && head->path.len == 0) {
        head->path = SLICE("/");
        return is_query(head->query);
    }
    if (slice_equals(head->target, SLICE("*"))) // RFC 9112 3.2.4: only for OPTIONS
        return slice_equals(head->method, SLICE("OPTIONS"));
    return http_is_target(head->target);
}

// request-line = method SP request-target SP HTTP-version, with single spaces: the lenient parsing that RFC 9112 3
// allows enables request splitting.
static enum http_progress parse_request_line(struct http_parser *parser, struct slice line)
{
    struct http_head *head = &parser->message;
    struct slice rest = line;

    head->method = cut_line_at(&rest, ' ');
    head->target = cut_line_at(&rest, ' ');
    if (!http_is_token(head->method))
        return refuse_start_line(parser);
    // Checked first, so that an HTTP/2 preface (PRI * HTTP/2.0) is refused for its version.
    if (parse_version(parser, rest) == HTTP_REFUSED)
        return HTTP_REFUSED;
    if (!parse_target(head))
        return refuse_message(parser, 400, "the request target is neither a path nor an http URL");
    return HTTP_HEAD_DONE;
}

// field-line = field-name ":" OWS field-value OWS. RFC 9112 5.1: whitespace before the colon MUST be refused; 5.2:
// folded lines may be refused. Both fail because the name is not a token.
static enum http_progress parse_field(struct http_parser *parser, struct slice line)
{
    struct http_head *head = &parser->message;
    struct slice value = line;
    struct slice name = cut_line_at(&value, ':');

    if (name.len == line.len || !http_is_token(name))
        return refuse_message(parser, 400, "a header field is malformed");
    if (head->header_count == HTTP_HEADERS_MAX)
        return refuse_message(parser, 431, "too many header fields");
    head->headers[head->header_count++] =
        (struct http_header){.name = name, .value = slice_trim(value)};
    return HTTP_HEAD_DONE;
}

// Every line in head_bytes ends with CR LF; CR and LF do not occur elsewhere.
static struct slice next_head_line(struct slice *rest)
{
    struct slice line = cut_line_at(rest, '\r');

    rest->data++;
    rest->len--;
    return line;
}

// Parses the complete head in parser->head_bytes into parser->message. Returns HTTP_HEAD_DONE or HTTP_REFUSED.
static enum http_progress parse_head(struct http_parser *parser)
{
    struct slice rest = buffer_slice(&parser->head_bytes);
    struct slice line = next_head_line(&rest);
    enum http_progress progress = parse_request_line(parser, line);

    while (progress != HTTP_REFUSED && rest.len != 0)
        progress = parse_field(parser, next_head_line(&rest));
    if (progress != HTTP_REFUSED)
        progress = interpret_fields(parser);
    return progress;
}

// --- body -----------------------------------------------------------------------------------------
// Body framing (RFC 9112 6.3), and bodies with a known length.

// The initial reservation for a body, regardless of Content-Length: memory is allocated for bytes received, not for
// bytes announced.
#define FIRST_RESERVE_BYTES 16384

static size_t to_size(uint64_t value)
{
    size_t size = (size_t)value;

    return size == value ? size : SIZE_MAX;
}

static enum http_progress begin_known_length(struct http_parser *parser)
{
    uint64_t length = parser->message.body_length;

    // Checked again, because the limit may have been lowered since the head.
    if (length > parser->body_max)
        return refuse_message(parser, 413, "Content-Length is over the limit");
    parser->remaining = length;
    parser->body.max = to_size(length);
    parser->state = length != 0 ? STATE_BODY_LENGTH : STATE_DONE;
    return HTTP_NEED_MORE;
}

static enum http_progress begin_body(struct http_parser *parser)
{
    parser->remaining = 0;
    parser->line_bytes = 0;
    if (parser->message.has_body_length)
        return begin_known_length(parser);
    parser->body.max = to_size(parser->body_max);
    parser->state = parser->message.is_chunked ? STATE_CHUNK_SIZE : STATE_DONE;
    return HTTP_NEED_MORE;
}

static enum error_code reserve_first(struct http_parser *parser)
{
    uint64_t expected = parser->remaining;

    if (parser->body.len != 0 || expected == 0)
        return ERROR_NONE;
    return buffer_reserve(&parser->body,
                          expected < FIRST_RESERVE_BYTES ? (size_t)expected : FIRST_RESERVE_BYTES);
}

// Appends to the body; refuses if it exceeds its limit or memory runs out.
static enum http_progress append_body(struct http_parser *parser, struct parser_input *input,
                                      size_t len)
{
    enum error_code code = reserve_first(parser);

    assert(len <= input_left(input));
    if (code == ERROR_NONE)
        code = buffer_append(&parser->body, input->next, len);
    if (code == ERROR_TOO_LARGE)
        return refuse_message(parser, 413, "the body is over the limit");
    if (code != ERROR_NONE)
        return refuse_message(parser, 503, "out of memory");
    input->next += len;
    return HTTP_NEED_MORE;
}

static enum http_progress read_body_bytes(struct http_parser *parser, struct parser_input *input)
{
    size_t len = input_left(input);

    if (len > parser->remaining)
        len = (size_t)parser->remaining;
    if (len == 0)
        return HTTP_NEED_MORE;
    if (append_body(parser, input, len) == HTTP_REFUSED)
        return HTTP_REFUSED;
    parser->remaining -= len;
    if (parser->remaining == 0)
        parser->state = STATE_DONE;
    return HTTP_NEED_MORE;
}

// --- chunked --------------------------------------------------------------------------------------
// The chunked transfer coding (RFC 9112 7.1), one byte at a time outside the data.

static enum http_progress refuse_size_line(struct http_parser *parser)
{
    return refuse_message(parser, 400, "a chunk size is malformed");
}

static enum http_progress refuse_size(struct http_parser *parser)
{
    return refuse_message(parser, 413, "the body is over the limit");
}

static enum http_progress move_to(struct http_parser *parser, enum parser_state state)
{
    parser->state = (int)state;
    return HTTP_NEED_MORE;
}

// chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF. No sign, no 0x, at least one digit.
static enum http_progress parse_size_char(struct http_parser *parser, char c)
{
    int digit = hex_digit_value(c);

    if (digit >= 0) {
        if (parser->remaining > UINT64_MAX >> 4)
            return refuse_size(parser);
        parser->remaining = parser->remaining << 4 | (uint64_t)digit;
        return HTTP_NEED_MORE;
    }
    if (parser->line_bytes == 1)
        return refuse_size_line(parser);
    switch (c) {
    case '\r':
        return move_to(parser, STATE_CHUNK_SIZE_LF);
    case ';':
        return move_to(parser, STATE_CHUNK_EXTENSION);
    case ' ':
    case '\t':
        return move_to(parser, STATE_CHUNK_BLANK);
    default:
        return refuse_size_line(parser);
    }
}

// chunk-ext = *( BWS ";" BWS chunk-ext-name ... ): blanks must be followed by an extension.
static enum http_progress parse_blank_char(struct http_parser *parser, char c)
{
    if (c == ' ' || c == '\t')
        return HTTP_NEED_MORE;
    return c == ';' ? move_to(parser, STATE_CHUNK_EXTENSION) : refuse_size_line(parser);
}

// RFC 9112 7.1.1: "A recipient MUST ignore unrecognized chunk extensions." None are recognized.
static enum http_progress parse_extension_char(struct http_parser *parser, char c)
{
    if (c == '\r')
        return move_to(parser, STATE_CHUNK_SIZE_LF);
    return is_field_char(c) ? HTTP_NEED_MORE : refuse_size_line(parser);
}

static enum http_progress end_size_line(struct http_parser *parser, char c)
{
    if (c != '\n')
        return refuse_size_line(parser);
    parser->line_bytes = 0;
    if (parser->remaining == 0)
        return move_to(parser, STATE_TRAILER_START);
    if (parser->body.len > parser->body_max ||
        parser->remaining > parser->body_max - parser->body.len)
        return refuse_size(parser);
    return move_to(parser, STATE_CHUNK_DATA);
}

static enum http_progress parse_size_line_char(struct http_parser *parser, char c)
{
    if (++parser->line_bytes > HTTP_CHUNK_LINE_MAX)
        return refuse_message(parser, 400, "a chunk extension is too long");
    switch (parser->state) {
    case STATE_CHUNK_SIZE:
        return parse_size_char(parser, c);
    case STATE_CHUNK_BLANK:
        return parse_blank_char(parser, c);
    case STATE_CHUNK_EXTENSION:
        return parse_extension_char(parser, c);
    default:
        return end_size_line(parser, c);
    }
}

static enum http_progress parse_data_end_char(struct http_parser *parser, char c)
{
    bool is_cr = parser->state == STATE_CHUNK_DATA_CR;

    if (c != (is_cr ? '\r' : '\n'))
        return refuse_message(parser, 400, "chunk data is longer than its size");
    return move_to(parser, is_cr ? STATE_CHUNK_DATA_LF : STATE_CHUNK_SIZE);
}

static enum http_progress parse_trailer_start(struct http_parser *parser, char c)
{
    if (c == '\r')
        return move_to(parser, STATE_END_LF);
    if (is_token_char(c))
        return move_to(parser, STATE_TRAILER_NAME);
    return refuse_message(parser, 400, "a trailer field is malformed");
}

// Trailers must be valid fields, but they are dropped: RFC 9110 6.5.1 forbids merging them into the head unless their
// definition permits it.
static enum http_progress parse_trailer_char(struct http_parser *parser, char c)
{
    if (++parser->line_bytes > HTTP_TRAILER_BYTES_MAX)
        return refuse_message(parser, 431, "the trailer fields are too large");
    switch (parser->state) {
    case STATE_TRAILER_START:
        return parse_trailer_start(parser, c);
    case STATE_TRAILER_NAME:
        if (is_token_char(c))
            return HTTP_NEED_MORE;
        if (c == ':')
            return move_to(parser, STATE_TRAILER_VALUE);
        break;
    case STATE_TRAILER_VALUE:
        if (is_field_char(c))
            return HTTP_NEED_MORE;
        if (c == '\r')
            return move_to(parser, STATE_TRAILER_LF);
        break;
    case STATE_TRAILER_LF:
        if (c == '\n')
            return move_to(parser, STATE_TRAILER_START);
        break;
    default:
        if (c == '\n')
            return move_to(parser, STATE_DONE);
        break;
    }
    return refuse_message(parser, 400, "a trailer field is malformed");
}

static enum http_progress parse_chunked_char(struct http_parser *parser, char c)
{
    switch (parser->state) {
    case STATE_CHUNK_SIZE:
    case STATE_CHUNK_BLANK:
    case STATE_CHUNK_EXTENSION:
    case STATE_CHUNK_SIZE_LF:
        return parse_size_line_char(parser, c);
    case STATE_CHUNK_DATA_CR:
    case STATE_CHUNK_DATA_LF:
        return parse_data_end_char(parser, c);
    default:
        return parse_trailer_char(parser, c);
    }
}

static enum http_progress read_chunk_data(struct http_parser *parser, struct parser_input *input)
{
    size_t len = input_left(input);

    if (len > parser->remaining)
        len = (size_t)parser->remaining;
    if (append_body(parser, input, len) == HTTP_REFUSED)
        return HTTP_REFUSED;
    parser->remaining -= len;
    return parser->remaining == 0 ? move_to(parser, STATE_CHUNK_DATA_CR) : HTTP_NEED_MORE;
}

static enum http_progress read_chunked_body(struct http_parser *parser, struct parser_input *input)
{
    enum http_progress progress = HTTP_NEED_MORE;

    while (progress == HTTP_NEED_MORE && input->next < input->end && parser->state != STATE_DONE) {
        if (parser->state == STATE_CHUNK_DATA)
            progress = read_chunk_data(parser, input);
        else
            progress = parse_chunked_char(parser, *input->next++);
    }
    return progress;
}

// --- life cycle of the parser, and collecting a head byte by byte ---------------------------------

#define BODY_KEPT_BYTES 32768 // body buffers up to this size are reused for the next message
// RFC 9112 2.2: "a server [...] SHOULD ignore at least one empty line (CRLF) received prior to the
// request-line".
#define EMPTY_LINES_MAX 4
#define TLS_HANDSHAKE 0x16 // RFC 8446 5.1: the first byte of a client's first record

void http_parser_init(struct http_parser *parser, uint64_t body_max_bytes)
{
    *parser = (struct http_parser){.body_max = body_max_bytes};
    buffer_init(&parser->head_bytes, HTTP_HEAD_BYTES_MAX);
    buffer_init(&parser->body, 0);
}

void http_parser_release(struct http_parser *parser)
{
    buffer_release(&parser->head_bytes);
    buffer_release(&parser->body);
}

void http_parser_reset(struct http_parser *parser)
{
    parser->state = STATE_HEAD_LINE;
    parser->remaining = 0;
    parser->line_bytes = 0;
    parser->skipped = 0;
    parser->message = (struct http_head){0};
    parser->refusal_status = 0;
    parser->refusal = NULL;
    buffer_clear(&parser->head_bytes);
    buffer_clear(&parser->body);
    if (parser->body.capacity > BODY_KEPT_BYTES)
        buffer_release(&parser->body);
}

bool http_parser_is_idle(const struct http_parser *parser)
{
    return parser->state == STATE_HEAD_LINE && parser->head_bytes.len == 0;
}

// --- the head -------------------------------------------------------------------------------------

static enum http_progress refuse_large_head(struct http_parser *parser, bool in_start_line)
{
    if (in_start_line)
        return refuse_message(parser, 414, "the request line is too long");
    return refuse_message(parser, 431, "the header fields are too large");
}

static enum http_progress append_head(struct http_parser *parser, const char *data, size_t len)
{
    bool in_start_line = parser->head_bytes.len == parser->line_bytes;

    if (in_start_line && len > HTTP_START_LINE_MAX - parser->line_bytes)
        return refuse_large_head(parser, true);
    enum error_code code = buffer_append(&parser->head_bytes, data, len);
    if (code == ERROR_NONE)
        return HTTP_NEED_MORE;
    if (code == ERROR_TOO_LARGE)
        return refuse_large_head(parser, in_start_line);
    return refuse_message(parser, 503, "out of memory");
}

// Refuses bytes that are invalid in any line at once, without waiting for the end of the line: a TLS ClientHello sent
// to the plaintext port has no line end.
static enum http_progress read_head_line(struct http_parser *parser, struct parser_input *input)
{
    const char *start = input->next;

    while (input->next < input->end && is_field_char(*input->next))
        input->next++;
    size_t len = (size_t)(input->next - start);
    if (len != 0) {
        if (append_head(parser, start, len) != HTTP_NEED_MORE)
            return HTTP_REFUSED;
        parser->line_bytes += len;
    }
    if (input->next == input->end)
        return HTTP_NEED_MORE;
    char c = *input->next++;
    if (c == '\n')
        return refuse_message(parser, 400, "a line of the head ends without CR");
    bool is_tls = c == TLS_HANDSHAKE && parser->head_bytes.len == 0;
    if (is_tls)
        return refuse_message(parser, 400, "this is TLS, and only plain HTTP is supported here");
    if (c != '\r')
        return refuse_message(parser, 400, "a control character in the head");
    parser->state = STATE_HEAD_LF;
    return HTTP_NEED_MORE;
}

static enum http_progress skip_empty_line(struct http_parser *parser)
{
    if (parser->skipped == EMPTY_LINES_MAX)
        return refuse_message(parser, 400, "empty lines before the start line");
    parser->skipped++;
    return HTTP_NEED_MORE;
}

static enum http_progress complete_head(struct http_parser *parser)
{
    if (parse_head(parser) == HTTP_REFUSED)
        return HTTP_REFUSED;
    if (parser->message.body_length > parser->body_max)
        return refuse_message(parser, 413, "Content-Length is over the limit");
    parser->state = STATE_BODY_START;
    return HTTP_HEAD_DONE;
}

static enum http_progress read_head_lf(struct http_parser *parser, struct parser_input *input)
{
    if (input->next == input->end)
        return HTTP_NEED_MORE;
    if (*input->next++ != '\n')
        return refuse_message(parser, 400, "a CR without LF in the head");
    parser->state = STATE_HEAD_LINE;
    if (parser->line_bytes == 0)
        return parser->head_bytes.len == 0 ? skip_empty_line(parser) : complete_head(parser);
    if (append_head(parser, "\r\n", 2) != HTTP_NEED_MORE)
        return HTTP_REFUSED;
    parser->line_bytes = 0;
    return HTTP_NEED_MORE;
}

// --- feeding --------------------------------------------------------------------------------------

static enum http_progress advance_parser(struct http_parser *parser, struct parser_input *input)
{
    switch ((enum parser_state)parser->state) {
    case STATE_HEAD_LINE:
        return read_head_line(parser, input);
    case STATE_HEAD_LF:
        return read_head_lf(parser, input);
    case STATE_BODY_START:
        return begin_body(parser);
    case STATE_BODY_LENGTH:
        return read_body_bytes(parser, input);
    case STATE_DONE:
        return HTTP_MESSAGE_DONE;
    case STATE_REFUSED:
        return HTTP_REFUSED;
    case STATE_CHUNK_SIZE:
    case STATE_CHUNK_BLANK:
    case STATE_CHUNK_EXTENSION:
    case STATE_CHUNK_SIZE_LF:
    case STATE_CHUNK_DATA:
    case STATE_CHUNK_DATA_CR:
    case STATE_CHUNK_DATA_LF:
    case STATE_TRAILER_START:
    case STATE_TRAILER_NAME:
    case STATE_TRAILER_VALUE:
    case STATE_TRAILER_LF:
    case STATE_END_LF:
        break;
    }
    return read_chunked_body(parser, input);
}

enum http_progress http_parser_feed(struct http_parser *parser, const char *data, size_t len,
                                    size_t *consumed)
{
    // Avoids arithmetic on a null pointer, which callers may pass with length 0.
    const char *start = len != 0 ? data : "";
    struct parser_input input = {.next = start, .end = start + len};
    enum http_progress progress;
    int state;

    // A step that neither finishes nor changes the state has consumed all input.
    do {
        state = parser->state;
        progress = advance_parser(parser, &input);
    } while (progress == HTTP_NEED_MORE && parser->state != state);
    assert(input.next >= start && input.next <= input.end);
    *consumed = (size_t)(input.next - start);
    return progress;
}

struct slice http_head_get(const struct http_head *head, struct slice name, size_t *count)
{
    struct slice value = SLICE_EMPTY;
    size_t found = 0;

    for (size_t i = 0; i < head->header_count; i++) {
        if (!slice_equals_ignoring_case(head->headers[i].name, name))
            continue;
        if (found++ == 0)
            value = head->headers[i].value;
    }
    if (count != NULL)
        *count = found;
    return value;
}

bool http_head_read_credentials(const struct http_head *head, struct slice *scheme,
                                struct slice *credentials)
{
    size_t count;
    struct slice field = http_head_get(head, SLICE("authorization"), &count);
    ptrdiff_t blank = slice_find(field, SLICE(" "));

    if (count != 1 || blank < 0)
        return false;
    *scheme = (struct slice){field.data, (size_t)blank};
    *credentials = slice_trim(slice_skip(field, (size_t)blank));
    return true;
}
