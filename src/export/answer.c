// Reads what a collector says in the body of its answer.
#include "answer.h"

#include <stdio.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/http/writer.h"
#include "ghatrace/otlp/decode.h"

#define ANSWER_ARENA_BLOCK 1024

enum body_type { BODY_OTHER, BODY_PROTOBUF, BODY_JSON, BODY_TEXT };

static enum body_type body_type_of(struct slice content_type)
{
    const char *end =
        content_type.len > 0 ? memchr(content_type.data, ';', content_type.len) : NULL;
    if (end != NULL)
        content_type.len = (size_t)(end - content_type.data);
    content_type = slice_trim(content_type);

    if (slice_equals_ignoring_case(content_type, SLICE("application/x-protobuf")))
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

// C0, DEL and C1 (U+0080 to U+009F, two bytes): a terminal obeys them.
static void blank_controls(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0)
            text[i] = text[i + 1] = ' ';
        else if (c < 0x20 || c == 0x7f)
            text[i] = ' ';
    }
}

// Logs and terminals will show this, so what a stranger wrote becomes harmless first.
static void append_clean(struct slice words, char text[ANSWER_TEXT_SIZE], size_t len)
{
    char clean[3 * (ANSWER_TEXT_MAX + 3)];
    size_t room = ANSWER_TEXT_MAX - len;

    words = slice_trim(words);
    // Three bytes over: a character cut in two here then lies behind what is kept.
    if (words.len > room + 3)
        words.len = room + 3;
    size_t clean_len = utf8_sanitize(words, clean);
    struct slice kept = utf8_cut((struct slice){.data = clean, .len = clean_len}, room);
    if (kept.len > 0)
        memcpy(text + len, kept.data, kept.len);
    text[len + kept.len] = '\0';
    blank_controls(text + len, kept.len);
}

// OTLP: "The response body for all HTTP 4xx and HTTP 5xx responses MUST be a Protobuf-encoded Status
// message"; proxies in between send HTML and plain text all the same.
static struct slice read_message(const struct export_answer *answer, struct arena *arena)
{
    struct slice message = SLICE_EMPTY;
    enum body_type type = body_type_of(answer->content_type);
    if (type == BODY_TEXT)
        return first_line(answer->body);
    if (type == BODY_OTHER ||
        otlp_decode_status(answer->body, type == BODY_JSON, arena, &message) != ERROR_NONE)
        return SLICE_EMPTY;
    return message;
}

char *answer_describe(const struct export_answer *answer, char text[ANSWER_TEXT_SIZE])
{
    struct arena arena;
    arena_init(&arena, ANSWER_ARENA_BLOCK);

    struct slice message = read_message(answer, &arena);
    int len = snprintf(text, ANSWER_TEXT_SIZE, "%d %s%s", answer->status,
                       http_status_reason(answer->status), message.len > 0 ? ": " : "");
    if (message.len > 0 && len > 0 && len < ANSWER_TEXT_MAX)
        append_clean(message, text, (size_t)len);

    arena_release(&arena);
    return text;
}

bool answer_read_partial(const struct export_answer *answer, int64_t *rejected_spans,
                         char text[ANSWER_TEXT_SIZE])
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
        append_clean(response.error_message, text, 0);
    arena_release(&arena);

    // "rejected_spans ... 0" with a message is a warning or a suggestion; with neither it is "equal to
    // not setting" partial_success. A negative count is nonsense.
    *rejected_spans = response.rejected_spans > 0 ? response.rejected_spans : 0;
    return is_read && (*rejected_spans > 0 || text[0] != '\0');
}
