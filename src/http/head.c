// A complete head, taken apart: start line and fields (RFC 9112 3, 4 and 5).
#include "internal.h"

static enum http_progress refuse_start_line(struct http_parser *parser)
{
    return http_refuse(parser, 400,
                       parser->role == HTTP_REQUEST ? "the request line is malformed"
                                                    : "the status line is malformed");
}

// Cuts `line` at the first `separator` and leaves what is behind it. Without one, all is taken.
static struct slice cut_at(struct slice *line, char separator)
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

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// HTTP-version = "HTTP/" DIGIT "." DIGIT, case-sensitive. RFC 9110 2.5: a higher minor version is
// to be processed as the highest one known.
static enum http_progress parse_version(struct http_parser *parser, struct slice version)
{
    if (version.len != 8 || !slice_starts_with(version, SLICE("HTTP/")) ||
        !is_digit(version.data[5]) || version.data[6] != '.' || !is_digit(version.data[7]))
        return refuse_start_line(parser);
    if (version.data[5] != '1')
        return http_refuse(parser, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    parser->message.minor_version = version.data[7] == '0' ? 0 : 1;
    return HTTP_HEAD_DONE;
}

// What follows "http://" or "https://", in any case: which of them it is, is for proxies. NULL: neither.
static struct slice after_scheme(struct slice target)
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

// RFC 9112 3.2.2: a server must accept the absolute form, which is for proxies as a rule. It names the host, whatever
// the field Host says; what follows is the origin form, with an empty path for "/" (RFC 9110 4.2.3).
static bool take_host(struct http_head *head)
{
    struct slice rest = after_scheme(head->target);
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
    if (!take_host(head))
        return false;
    head->query = head->target;
    head->path = cut_at(&head->query, '?');
    if (head->host.len != 0 && head->path.len == 0) {
        head->path = SLICE("/");
        return http_is_query(head->query);
    }
    if (slice_equals(head->target, SLICE("*"))) // RFC 9112 3.2.4: for OPTIONS alone
        return slice_equals(head->method, SLICE("OPTIONS"));
    return http_is_target(head->target);
}

// request-line = method SP request-target SP HTTP-version, with single blanks: the lenient reading
// that RFC 9112 3 allows is where request splitting begins.
static enum http_progress parse_request_line(struct http_parser *parser, struct slice line)
{
    struct http_head *head = &parser->message;
    struct slice rest = line;

    head->method = cut_at(&rest, ' ');
    head->target = cut_at(&rest, ' ');
    if (!http_is_token(head->method))
        return refuse_start_line(parser);
    // First, so that an HTTP/2 preface (PRI * HTTP/2.0) is answered as what it is.
    if (parse_version(parser, rest) == HTTP_REFUSED)
        return HTTP_REFUSED;
    if (!parse_target(head))
        return http_refuse(parser, 400, "the request target is neither a path nor an http URL");
    return HTTP_HEAD_DONE;
}

// status-line = HTTP-version SP status-code SP [ reason-phrase ]. Servers without a reason often
// leave out the second blank, too.
static enum http_progress parse_status_line(struct http_parser *parser, struct slice line)
{
    struct slice rest = line;
    struct slice version = cut_at(&rest, ' ');
    struct slice code = cut_at(&rest, ' ');
    long long status;

    if (parse_version(parser, version) == HTTP_REFUSED)
        return HTTP_REFUSED;
    if (code.len != 3 || !slice_parse_int64(code, &status) || status < 100)
        return refuse_start_line(parser);
    parser->message.status = (int)status;
    return HTTP_HEAD_DONE;
}

// field-line = field-name ":" OWS field-value OWS. RFC 9112 5.1: blanks before the colon MUST be
// refused; 5.2: so may folded lines be. Both fail as a name that is not a token.
static enum http_progress parse_field(struct http_parser *parser, struct slice line)
{
    struct http_head *head = &parser->message;
    struct slice value = line;
    struct slice name = cut_at(&value, ':');

    if (name.len == line.len || !http_is_token(name))
        return http_refuse(parser, 400, "a header field is malformed");
    if (head->header_count == HTTP_HEADERS_MAX)
        return http_refuse(parser, 431, "too many header fields");
    head->headers[head->header_count++] =
        (struct http_header){.name = name, .value = slice_trim(value)};
    return HTTP_HEAD_DONE;
}

// Every line in head_bytes ends with CR LF, and neither occurs elsewhere.
static struct slice next_line(struct slice *rest)
{
    struct slice line = cut_at(rest, '\r');

    rest->data++;
    rest->len--;
    return line;
}

enum http_progress http_parse_head(struct http_parser *parser)
{
    struct slice rest = buffer_slice(&parser->head_bytes);
    struct slice line = next_line(&rest);
    enum http_progress progress = parser->role == HTTP_REQUEST ? parse_request_line(parser, line)
                                                               : parse_status_line(parser, line);

    while (progress != HTTP_REFUSED && rest.len != 0)
        progress = parse_field(parser, next_line(&rest));
    if (progress != HTTP_REFUSED)
        progress = http_interpret_fields(parser);
    return progress;
}
