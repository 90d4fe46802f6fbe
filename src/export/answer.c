// Reads the collector's message in the body of its response.
#include "answer.h"

#include <stdio.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/http/write.h"
#include "ghatrace/otlp/decode.h"
#include "grpc.h"

#define ANSWER_ARENA_BLOCK 1024

enum body_type { BODY_OTHER, BODY_PROTOBUF, BODY_JSON, BODY_TEXT };

static enum body_type body_type_of(struct slice content_type)
{
    const char *end =
        content_type.len > 0 ? memchr(content_type.data, ';', content_type.len) : NULL;
    if (end != NULL)
        content_type.len = (size_t)(end - content_type.data);
    content_type = slice_trim(content_type);

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
#define WORDS_MAX 4096

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
static void append_clean(struct slice words, const struct mask_list *masks,
                         char text[ANSWER_TEXT_SIZE], size_t len)
{
    static const char hex[] = "0123456789abcdef";
    char clean[3 * WORDS_MAX];
    words = slice_trim(words);
    if (words.len > WORDS_MAX)
        words.len = WORDS_MAX;
    size_t clean_len = utf8_sanitize(words, clean);
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

char *answer_clean(struct slice words, const struct mask_list *masks, char text[ANSWER_TEXT_SIZE])
{
    append_clean(words, masks, text, 0);
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
        .has_status_message = answer_has_status(answer),
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
                  : snprintf(text, ANSWER_TEXT_SIZE, "%d %s%s%s", answer->status,
                             http_status_reason(answer->status), describe_not_grpc(answer), colon);
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
