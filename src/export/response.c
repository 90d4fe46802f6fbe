// Reads what the HTTP client reports as the response to an export request.
#include "response.h"

#include <stdio.h>

#include "ghatrace/http/write.h"
#include "grpc.h"

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
