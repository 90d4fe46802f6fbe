// Decides what the response to an export means.
#include "outcome.h"

#include <string.h>

static bool is_html(struct slice content_type)
{
    const char *end =
        content_type.len > 0 ? memchr(content_type.data, ';', content_type.len) : NULL;
    if (end != NULL)
        content_type.len = (size_t)(end - content_type.data);
    content_type = slice_trim(content_type);
    return slice_equals_ignoring_case(content_type, SLICE("text/html")) ||
           slice_equals_ignoring_case(content_type, SLICE("application/xhtml+xml"));
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
