// What a collector's response means: its status, the message in its body, the secrets that it may repeat; and how it is made
// of what the HTTP client reports.
#include "answer.h"

#include <stdio.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/http/write.h"
#include "ghatrace/otlp/decode.h"
#include "grpc.h"

#define ANSWER_ARENA_BLOCK 1024
#define STATUS_BAD_REQUEST 400
#define STATUS_PROXY_AUTHENTICATION 407

// --- what it means --------------------------------------------------------------------------------

// Without parameters.
static struct slice media_type_of(struct slice content_type)
{
    const char *end =
        content_type.len > 0 ? memchr(content_type.data, ';', content_type.len) : NULL;
    if (end != NULL)
        content_type.len = (size_t)(end - content_type.data);
    return slice_trim(content_type);
}

static bool is_html(struct slice content_type)
{
    struct slice type = media_type_of(content_type);
    return slice_equals_ignoring_case(type, SLICE("text/html")) ||
           slice_equals_ignoring_case(type, SLICE("application/xhtml+xml"));
}

static enum export_outcome outcome_of(const struct export_facts *facts)
{
    // "On success, the server MUST respond with HTTP 200 OK". The Collector's own exporter accepts every 2xx, and so
    // does this one, except for an HTML page such as a login page.
    if (facts->status >= 200 && facts->status <= 299)
        return facts->is_grpc || is_html(facts->content_type) ? EXPORT_NOT_NOW : EXPORT_SENT;

    switch (facts->status) {
    case 400: // "the request body MUST be Status": a 400 without it is from a proxy, or from plain HTTP to HTTPS
        return facts->has_status_message ? EXPORT_ABOUT_DATA : EXPORT_NOT_NOW;
    case 413: // Content Too Large
    case 422: // Unprocessable Content
        return EXPORT_ABOUT_DATA;
    default:
        // A redirect is not followed: that would send the configured headers to another host.
        return EXPORT_NOT_NOW;
    }
}

static enum export_trouble trouble_of(int status)
{
    switch (status) {
    case 401: // Unauthorized
    case 403: // Forbidden
    case 407: // Proxy Authentication Required
        return EXPORT_REFUSES_CREDENTIALS;
    case 404: // Not Found
    case 405: // Method Not Allowed
    case 410: // Gone
    case 421: // Misdirected Request
        return EXPORT_WRONG_PATH;
    case 400: // Bad Request
    case 413: // Content Too Large
    case 415: // Unsupported Media Type
    case 422: // Unprocessable Content
        return EXPORT_REFUSES_DATA;
    case 429: // Too Many Requests
    case 503: // Service Unavailable
        return EXPORT_OVERLOADED;
    default:
        break;
    }
    switch (status / 100) {
    case 2:
        return EXPORT_NOT_A_COLLECTOR;
    case 3:
        return EXPORT_REDIRECTS;
    case 5:
        return EXPORT_SERVER_ERROR;
    default:
        return EXPORT_OTHER_TROUBLE;
    }
}

// What each code of a call means. The ones that are what 5xx is to HTTP may be due to size.
static const struct export_class call_classes[] = {
    [GRPC_OK] = {EXPORT_SENT, EXPORT_NO_TROUBLE, false, false},
    [GRPC_CANCELLED] = {EXPORT_NOT_NOW, EXPORT_OTHER_TROUBLE, false, false},
    [GRPC_UNKNOWN] = {EXPORT_NOT_NOW, EXPORT_SERVER_ERROR, true, false},
    [GRPC_INVALID_ARGUMENT] = {EXPORT_ABOUT_DATA, EXPORT_REFUSES_DATA, false, false},
    [GRPC_DEADLINE_EXCEEDED] = {EXPORT_NOT_NOW, EXPORT_SERVER_ERROR, true, false},
    [GRPC_NOT_FOUND] = {EXPORT_NOT_NOW, EXPORT_WRONG_PATH, false, false},
    [GRPC_ALREADY_EXISTS] = {EXPORT_NOT_NOW, EXPORT_REFUSES_DATA, false, false},
    [GRPC_PERMISSION_DENIED] = {EXPORT_NOT_NOW, EXPORT_REFUSES_CREDENTIALS, false, false},
    [GRPC_RESOURCE_EXHAUSTED] = {EXPORT_NOT_NOW, EXPORT_OVERLOADED, true, true},
    [GRPC_FAILED_PRECONDITION] = {EXPORT_NOT_NOW, EXPORT_REFUSES_DATA, false, false},
    [GRPC_ABORTED] = {EXPORT_NOT_NOW, EXPORT_OTHER_TROUBLE, false, false},
    [GRPC_OUT_OF_RANGE] = {EXPORT_NOT_NOW, EXPORT_REFUSES_DATA, false, false},
    [GRPC_UNIMPLEMENTED] = {EXPORT_NOT_NOW, EXPORT_WRONG_PATH, false, false},
    [GRPC_INTERNAL] = {EXPORT_NOT_NOW, EXPORT_SERVER_ERROR, true, false},
    [GRPC_UNAVAILABLE] = {EXPORT_NOT_NOW, EXPORT_OVERLOADED, true, false},
    [GRPC_DATA_LOSS] = {EXPORT_NOT_NOW, EXPORT_SERVER_ERROR, false, false},
    [GRPC_UNAUTHENTICATED] = {EXPORT_NOT_NOW, EXPORT_REFUSES_CREDENTIALS, false, false},
};

static struct export_class classify_call(int code, bool has_retry_info)
{
    bool is_defined = code >= 0 && (size_t)code < sizeof call_classes / sizeof call_classes[0];
    struct export_class class = call_classes[is_defined ? code : GRPC_UNKNOWN];
    // OTLP: "retryable only if the server signals that the recovery from resource exhaustion is possible", by RetryInfo.
    class.is_likely_size = class.is_likely_size && !has_retry_info;
    return class;
}

struct export_class export_classify(const struct export_facts *facts)
{
    struct export_class class = {.outcome = EXPORT_NOT_NOW};
    int status = facts->status;
    switch (facts->transport) {
    case EXPORT_NO_CONNECTION:
        class.trouble = EXPORT_UNREACHABLE;
        return class;
    case EXPORT_BROKEN:
    case EXPORT_INTERRUPTED:
    case EXPORT_TIMED_OUT:
        class.trouble = EXPORT_NO_ANSWER;
        class.may_be_size = true;
        class.is_likely_size = facts->transport == EXPORT_INTERRUPTED;
        return class;
    case EXPORT_CERTIFICATE_MISSING:
        class.trouble = EXPORT_REFUSES_CREDENTIALS;
        return class;
    case EXPORT_TUNNEL_REFUSED:
        class.trouble = trouble_of(status);
        return class;
    case EXPORT_ANSWERED:
        break;
    }
    if (facts->is_grpc && status == 200 && facts->grpc_code != EXPORT_NO_GRPC_CODE)
        return classify_call(facts->grpc_code, facts->has_retry_info);
    class.outcome = outcome_of(facts);
    class.trouble = class.outcome == EXPORT_SENT ? EXPORT_NO_TROUBLE : trouble_of(status);
    class.may_be_size = status == 429 || (status >= 500 && status <= 599);
    return class;
}

const char *export_trouble_text(enum export_trouble trouble)
{
    static const char *const texts[] = {
        [EXPORT_NO_TROUBLE] = "no trouble",
        [EXPORT_UNREACHABLE] = "unreachable",
        [EXPORT_NO_ANSWER] = "does not answer",
        [EXPORT_REFUSES_CREDENTIALS] = "refuses credentials",
        [EXPORT_WRONG_PATH] = "wrong path",
        [EXPORT_REDIRECTS] = "redirects",
        [EXPORT_OVERLOADED] = "overloaded",
        [EXPORT_SERVER_ERROR] = "server error",
        [EXPORT_REFUSES_DATA] = "refuses data",
        [EXPORT_NOT_A_COLLECTOR] = "not a collector",
        [EXPORT_LOCAL_TROUBLE] = "local trouble",
        [EXPORT_OTHER_TROUBLE] = "other",
    };
    return texts[trouble];
}

// --- secrets that it may repeat -------------------------------------------------------------------

static void add_secret(struct mask_list *list, struct slice secret)
{
    secret = slice_trim(secret);
    if (secret.len >= MASK_LEAST)
        list->secrets[list->count++] = secret;
}

// "Bearer key" → "key".
static struct slice after_scheme(struct slice value)
{
    ptrdiff_t blank = slice_find(value, SLICE(" "));
    return blank < 0 ? SLICE_EMPTY : slice_skip(value, (size_t)blank + 1);
}

static struct slice cut_query_pair(struct slice *query)
{
    ptrdiff_t end = slice_find(*query, SLICE("&"));
    size_t len = end < 0 ? query->len : (size_t)end;
    struct slice pair = {.data = query->data, .len = len};
    *query = slice_skip(*query, end < 0 ? len : len + 1);
    return pair;
}

// Adds the secret unchanged and percent-decoded.
static enum error_code add_encoded_secret(struct mask_list *list, struct slice secret,
                                          struct arena *arena)
{
    struct slice decoded;
    add_secret(list, secret);
    enum error_code code = export_percent_decode(secret, arena, &decoded);
    if (code == ERROR_NONE)
        add_secret(list, decoded);
    return code == ERROR_INVALID ? ERROR_NONE : code;
}

// A token may be in either place.
static struct slice password_of(struct slice userinfo)
{
    ptrdiff_t colon = slice_find(userinfo, SLICE(":"));
    if (colon < 0)
        return SLICE_EMPTY;
    struct slice user = {.data = userinfo.data, .len = (size_t)colon};
    struct slice password = slice_skip(userinfo, (size_t)colon + 1);
    return password.len > 0 ? password : user;
}

// As libcurl decodes user and password: a '%' without two digits is kept. `out` has room for the text. Returns the length.
static size_t decode_leniently(struct slice text, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (byte == '%' && text.len - i >= 3 && hex_decode(text.data + i + 1, 2, &byte, 1))
            i += 2;
        out[len++] = (char)byte;
    }
    return len;
}

// Adds the credentials of basic authentication (RFC 7617), padded and not.
static enum error_code add_credentials(struct mask_list *list, struct slice userinfo,
                                       struct arena *arena)
{
    char *plain = arena_allocate(arena, userinfo.len + 1);
    char *text = arena_allocate(arena, BASE64_SIZE(userinfo.len + 1));
    if (plain == NULL || text == NULL)
        return ERROR_MEMORY;
    size_t len = decode_leniently(userinfo, plain);
    if (slice_find(userinfo, SLICE(":")) < 0)
        plain[len++] = ':';
    struct slice encoded = {.data = text};
    encoded.len = base64_encode((struct slice){.data = plain, .len = len}, text);
    add_secret(list, encoded);
    while (slice_ends_with(encoded, SLICE("=")))
        encoded.len--;
    add_secret(list, encoded);
    return ERROR_NONE;
}

#define USERINFO_SECRETS 6 // at most

static enum error_code add_userinfo(struct mask_list *list, struct slice userinfo,
                                    struct arena *arena)
{
    if (userinfo.len == 0)
        return ERROR_NONE;
    enum error_code code = add_encoded_secret(list, userinfo, arena);
    if (code == ERROR_NONE)
        code = add_encoded_secret(list, password_of(userinfo), arena);
    return code == ERROR_NONE ? add_credentials(list, userinfo, arena) : code;
}

#define HEADER_SECRETS 5 // at most

// Adds the value, whole and without its first word, and what is in the credentials of basic authentication.
static enum error_code add_header_value(struct mask_list *list, struct slice value,
                                        struct arena *arena)
{
    struct slice rest = slice_trim(after_scheme(value));
    struct slice scheme = {.data = value.data, .len = SLICE("Basic ").len};
    add_secret(list, value);
    add_secret(list, rest);
    if (rest.len == 0 || value.len <= scheme.len ||
        !slice_equals_ignoring_case(scheme, SLICE("Basic ")))
        return ERROR_NONE;
    char *plain = arena_allocate(arena, rest.len);
    struct slice userinfo = {.data = plain};
    if (plain == NULL)
        return ERROR_MEMORY;
    if (!base64_decode(rest, plain, rest.len, &userinfo.len))
        return ERROR_NONE;
    add_secret(list, userinfo);
    add_secret(list, password_of(userinfo));
    while (slice_ends_with(rest, SLICE("=")))
        rest.len--;
    add_secret(list, rest);
    return ERROR_NONE;
}

static enum error_code add_query(struct mask_list *list, struct slice query, struct arena *arena)
{
    add_secret(list, query);
    while (query.len > 0) {
        struct slice pair = cut_query_pair(&query);
        ptrdiff_t equals = slice_find(pair, SLICE("="));
        struct slice value = equals < 0 ? pair : slice_skip(pair, (size_t)equals + 1);
        enum error_code code = add_encoded_secret(list, value, arena);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static size_t count_pairs(struct slice query)
{
    size_t count = 1;
    for (size_t i = 0; i < query.len; i++)
        count += query.data[i] == '&';
    return count;
}

enum error_code mask_init(struct mask_list *list, const struct http_header *headers, size_t count,
                          const struct export_endpoint *endpoint, struct arena *arena)
{
    struct slice path = slice_from_string(endpoint->path);
    ptrdiff_t mark = slice_find(path, SLICE("?"));
    struct slice query = mark < 0 ? SLICE_EMPTY : slice_skip(path, (size_t)mark + 1);
    *list = (struct mask_list){.count = 0};
    size_t most = HEADER_SECRETS * count + 2 * USERINFO_SECRETS + 1 + 2 * count_pairs(query);
    list->secrets = arena_allocate_array(arena, most, sizeof(struct slice));
    if (list->secrets == NULL)
        return ERROR_MEMORY;
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = add_header_value(list, headers[i].value, arena);
    if (code == ERROR_NONE)
        code = add_userinfo(list, slice_from_string(endpoint->userinfo), arena);
    if (code == ERROR_NONE)
        code = add_userinfo(list, slice_from_string(endpoint->proxy.userinfo), arena);
    return code == ERROR_NONE ? add_query(list, query, arena) : code;
}

static void mask_secret(struct slice secret, char *text, size_t len)
{
    size_t least = secret.len < MASK_PREFIX ? secret.len : MASK_PREFIX;
    for (size_t at = 0; at + least <= len; at++) {
        if (memcmp(text + at, secret.data, least) != 0)
            continue;
        size_t match = least;
        while (match < secret.len && at + match < len && text[at + match] == secret.data[match])
            match++;
        memset(text + at, '*', match);
        at += match - 1;
    }
}

void mask_text(const struct mask_list *list, char *text, size_t len)
{
    for (; list != NULL; list = list->older)
        for (size_t i = 0; i < list->count; i++)
            mask_secret(list->secrets[i], text, len);
}

// --- its content ----------------------------------------------------------------------------------

enum body_type { BODY_OTHER, BODY_PROTOBUF, BODY_JSON, BODY_TEXT };

static enum body_type body_type_of(struct slice content_type)
{
    content_type = media_type_of(content_type);
    if (slice_equals_ignoring_case(content_type, SLICE("application/x-protobuf")) ||
        slice_equals_ignoring_case(content_type, SLICE("application/grpc")) ||
        slice_equals_ignoring_case(content_type, SLICE("application/grpc+proto")))
        return BODY_PROTOBUF;
    if (slice_equals_ignoring_case(content_type, SLICE("application/json")))
        return BODY_JSON;
    struct slice prefix = {.data = content_type.data, .len = 5};
    if (content_type.len > 5 && slice_equals_ignoring_case(prefix, SLICE("text/")))
        return BODY_TEXT;
    return BODY_OTHER;
}

// The first line that is not blank.
static struct slice first_line(struct slice text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0') {
        text.data++;
        text.len--;
    }
    size_t len = 0;
    while (len < text.len && text.data[len] != '\r' && text.data[len] != '\n')
        len++;
    return (struct slice){.data = text.data, .len = len};
}

// Bytes of an endpoint's message that are examined. More than is kept: a secret must be recognized before it is cut.
#define MESSAGE_EXAMINED_MAX 4096

// The length of a control character at `at`: C0, DEL, or C1 (U+0080 to U+009F, two bytes), which a terminal
// interprets. 0: there is none.
static size_t control_len(const char *text, size_t len, size_t at)
{
    unsigned char c = (unsigned char)text[at];
    if (c < 0x20 || c == 0x7f)
        return 1;
    bool is_c1 = c == 0xc2 && at + 1 < len && (unsigned char)text[at + 1] < 0xa0;
    return is_c1 ? 2 : 0;
}

// Appends to `text`, of which `len` bytes are used, as many whole characters as fit.
static void append_clean(struct slice message, const struct mask_list *masks,
                         char text[ANSWER_TEXT_SIZE], size_t len)
{
    static const char hex[] = "0123456789abcdef";
    char clean[3 * MESSAGE_EXAMINED_MAX];
    message = slice_trim(message);
    if (message.len > MESSAGE_EXAMINED_MAX)
        message.len = MESSAGE_EXAMINED_MAX;
    size_t clean_len = utf8_sanitize(message, clean);
    mask_text(masks, clean, clean_len);

    for (size_t at = 0; at < clean_len;) {
        size_t control = control_len(clean, clean_len, at);
        if (control > 0) {
            unsigned char c = (unsigned char)clean[at + control - 1];
            if (len + 4 > ANSWER_TEXT_MAX)
                break;
            memcpy(text + len, "\\x", 2);
            text[len + 2] = hex[c >> 4];
            text[len + 3] = hex[c & 15];
            len += 4;
            at += control;
            continue;
        }
        size_t end = at + 1;
        while (end < clean_len && ((unsigned char)clean[end] & 0xc0) == 0x80)
            end++;
        if (len + (end - at) > ANSWER_TEXT_MAX)
            break;
        memcpy(text + len, clean + at, end - at);
        len += end - at;
        at = end;
    }
    text[len] = '\0';
}

char *answer_clean(struct slice message, const struct mask_list *masks, char text[ANSWER_TEXT_SIZE])
{
    append_clean(message, masks, text, 0);
    return text;
}

static enum error_code read_status(const struct export_answer *answer, struct arena *arena,
                                   struct otlp_status *status)
{
    enum body_type type = body_type_of(answer->content_type);
    *status = (struct otlp_status){.code = 0};
    if (type != BODY_PROTOBUF && type != BODY_JSON)
        return ERROR_INVALID;
    return otlp_decode_status(answer->body, type == BODY_JSON, arena, status);
}

bool answer_has_status(const struct export_answer *answer)
{
    struct arena arena;
    struct otlp_status status;
    arena_init(&arena, ANSWER_ARENA_BLOCK);
    bool is_read = read_status(answer, &arena, &status) == ERROR_NONE;
    bool has_status = is_read && (status.code != 0 || status.message.len > 0);
    arena_release(&arena);
    return has_status;
}

// OTLP: "The response body for all HTTP 4xx and HTTP 5xx responses MUST be a Protobuf-encoded Status message"; but
// proxies in between send HTML and plain text.
static struct slice read_message(const struct export_answer *answer, struct arena *arena)
{
    struct otlp_status status;
    if (body_type_of(answer->content_type) == BODY_TEXT)
        return first_line(answer->body);
    return read_status(answer, arena, &status) == ERROR_NONE ? status.message : SLICE_EMPTY;
}

struct export_facts answer_facts(const struct export_answer *answer,
                                 enum export_transport transport)
{
    return (struct export_facts){
        .transport = transport,
        .status = answer->status,
        .content_type = answer->content_type,
        .has_status_message = answer->status == STATUS_BAD_REQUEST && answer_has_status(answer),
        .is_grpc = answer->is_grpc,
        .grpc_code = answer->grpc_code,
        .has_retry_info = answer->has_retry_info,
    };
}

static bool has_call_status(const struct export_answer *answer)
{
    return answer->is_grpc && answer->status == 200 && answer->grpc_code != EXPORT_NO_GRPC_CODE;
}

int answer_status(const struct export_answer *answer)
{
    return has_call_status(answer) ? answer->grpc_code : answer->status;
}

int answer_http_status(const struct export_answer *answer)
{
    return has_call_status(answer) ? 0 : answer->status;
}

// Appended to the HTTP status of an answer to a call that has no status of gRPC.
static const char *describe_not_grpc(const struct export_answer *answer)
{
    if (!answer->is_grpc)
        return "";
    if (answer->is_http1)
        return " over HTTP/1.1, not gRPC: is this the port of OTLP/HTTP?";
    if (body_type_of(answer->content_type) == BODY_TEXT)
        return " as text or HTML, not gRPC: is this OTLP/gRPC's port?";
    return " without grpc-status";
}

const char *answer_status_hint(int status)
{
    return status == STATUS_PROXY_AUTHENTICATION ? " (user and password of otlp-proxy)" : "";
}

char *answer_describe(const struct export_answer *answer, const struct mask_list *masks,
                      char text[ANSWER_TEXT_SIZE])
{
    struct arena arena;
    arena_init(&arena, ANSWER_ARENA_BLOCK);

    bool is_call = has_call_status(answer);
    struct slice message = is_call ? answer->grpc_message : read_message(answer, &arena);
    const char *colon = message.len > 0 ? ": " : "";
    int len = is_call
                  ? snprintf(text, ANSWER_TEXT_SIZE, "gRPC %d %s%s", answer->grpc_code,
                             grpc_code_text(answer->grpc_code), colon)
                  : snprintf(text, ANSWER_TEXT_SIZE, "%d %s%s%s%s", answer->status,
                             http_status_reason(answer->status), answer_status_hint(answer->status),
                             describe_not_grpc(answer), colon);
    if (message.len > 0 && len > 0 && len < ANSWER_TEXT_MAX)
        append_clean(message, masks, text, (size_t)len);

    arena_release(&arena);
    return text;
}

bool answer_is_unexpected(const struct export_answer *answer, bool is_json)
{
    return slice_trim(answer->content_type).len > 0 && !answer->is_grpc &&
           body_type_of(answer->content_type) != (is_json ? BODY_JSON : BODY_PROTOBUF);
}

bool answer_read_partial(const struct export_answer *answer, const struct mask_list *masks,
                         int64_t *rejected_spans, char text[ANSWER_TEXT_SIZE])
{
    struct otlp_response response = {.rejected_spans = 0};
    enum body_type type = body_type_of(answer->content_type);
    if (answer->body.len == 0 || (type != BODY_PROTOBUF && type != BODY_JSON))
        return false;

    struct arena arena;
    arena_init(&arena, ANSWER_ARENA_BLOCK);
    bool is_read =
        otlp_decode_response(answer->body, type == BODY_JSON, &arena, &response) == ERROR_NONE;
    text[0] = '\0';
    if (is_read)
        append_clean(response.error_message, masks, text, 0);
    arena_release(&arena);

    // "rejected_spans ... 0" with a message is a warning or a suggestion; with neither it is "equal to not setting"
    // partial_success. A negative count is invalid.
    *rejected_spans = response.rejected_spans > 0 ? response.rejected_spans : 0;
    return is_read && (*rejected_spans > 0 || text[0] != '\0');
}

// --- from the HTTP client -------------------------------------------------------------------------

static enum export_transport transport_of(const struct http_client_response *response)
{
    if (response->status != 0)
        return EXPORT_ANSWERED;
    if (response->proxy_status != 0)
        return EXPORT_TUNNEL_REFUSED;
    if (response->wants_certificate)
        return EXPORT_CERTIFICATE_MISSING;
    if (!response->has_connected)
        return EXPORT_NO_CONNECTION;
    if (response->is_interrupted)
        return EXPORT_INTERRUPTED;
    return response->error.code == ERROR_TIMEOUT ? EXPORT_TIMED_OUT : EXPORT_BROKEN;
}

struct export_class response_classify(const struct http_client_response *response,
                                      const struct export_answer *answer)
{
    struct export_facts facts = answer_facts(answer, transport_of(response));
    if (facts.transport == EXPORT_TUNNEL_REFUSED)
        facts.status = response->proxy_status;
    return export_classify(&facts);
}

bool response_error_is_local(const struct error *error)
{
    return error->code != ERROR_NETWORK && error->code != ERROR_TIMEOUT &&
           error->code != ERROR_CLOSED && error->code != ERROR_INVALID;
}

enum export_trouble response_trouble(enum export_trouble classified, const struct error *error)
{
    if (classified != EXPORT_UNREACHABLE && classified != EXPORT_NO_ANSWER)
        return classified;
    if (response_error_is_local(error))
        return EXPORT_LOCAL_TROUBLE;
    // It did respond, but not in HTTP.
    bool is_no_http = classified == EXPORT_NO_ANSWER && error->code == ERROR_INVALID;
    return is_no_http ? EXPORT_NOT_A_COLLECTOR : classified;
}

// Of a call. What is made for it is in the arena; the rest is the response's.
static void read_call(const struct http_client_response *response, struct arena *arena,
                      struct export_answer *answer)
{
    const struct grpc_response call = {
        .headers =
            {
                .code = http_client_header(response, "grpc-status"),
                .message = http_client_header(response, "grpc-message"),
                .details = http_client_header(response, "grpc-status-details-bin"),
            },
        .trailers =
            {
                .code = http_client_trailer(response, "grpc-status"),
                .message = http_client_trailer(response, "grpc-message"),
                .details = http_client_trailer(response, "grpc-status-details-bin"),
            },
        .encoding = http_client_header(response, "grpc-encoding"),
        .body = response->body,
    };
    grpc_read_answer(&call, arena, answer);
    answer->is_http1 = response->version < 20;
}

struct export_answer response_read(const struct http_client_response *response,
                                   enum export_protocol protocol, struct arena *arena)
{
    struct export_answer answer = {
        .status = response->status,
        .content_type = http_client_header(response, "Content-Type"),
        .body = response->body,
    };
    struct slice retry_after = http_client_header(response, "Retry-After");
    if (retry_after.len == 0 ||
        !http_parse_retry_after(retry_after, timestamp_now(), &answer.retry_after))
        answer.retry_after = 0;
    if (protocol == EXPORT_GRPC)
        read_call(response, arena, &answer);
    return answer;
}

static const char *hint_of(const struct http_client_response *response)
{
    if (response->wants_certificate)
        return " (otlp-client-certificate)";
    if (response->speaks_http2)
        return " (OTLP/gRPC?): set otlp-protocol = grpc, or use port 4318";
    return answer_status_hint(response->proxy_status);
}

void response_describe(const struct http_client_response *response,
                       const struct export_answer *answer, const struct mask_list *masks,
                       char reason[EXPORT_MESSAGE_SIZE])
{
    const struct error *error = &response->error;
    bool is_not_grpc = answer->is_grpc && error->code == ERROR_INVALID;
    char text[ANSWER_TEXT_SIZE];
    if (answer->status != 0) {
        answer_describe(answer, masks, reason);
        return;
    }
    answer_clean(slice_from_string(error->message), masks, text);
    int len = snprintf(reason, EXPORT_MESSAGE_SIZE, "%s%s",
                       is_not_grpc ? "not gRPC, is this OTLP/gRPC's port? " : "", text);
    if (len > 0 && len < EXPORT_MESSAGE_SIZE)
        (void)snprintf(reason + len, EXPORT_MESSAGE_SIZE - (size_t)len, "%s", hint_of(response));
}
