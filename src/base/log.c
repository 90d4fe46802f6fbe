// Log lines: composed on the stack, escaped, and written by one write(2) each, so that lines of
// several threads and processes do not mix.
#include "ghatrace/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/log_queue.h"
#include "ghatrace/base/timestamp.h"
#include "ghatrace/base/utf8.h"

#define VALUE_MAX_BYTES 1024 // one value, escaped: a long one leaves room for the others
#define TAIL_BYTES 32        // kept free for the mark of a cut line and its end

static const char ellipsis[] = "...";

// Set before threads start, only read afterwards.
static enum log_level configured_level = LOG_INFO;
static enum log_format configured_format = LOG_FORMAT_TEXT;

struct line {
    char text[LOG_LINE_BYTES_MAX];
    size_t len;
    bool is_full; // a field was left out; so are all after it
};

void log_configure(enum log_level level, enum log_format format)
{
    configured_level = level;
    configured_format = format;
}

bool log_is_enabled(enum log_level level)
{
    return level >= configured_level;
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    return "unknown";
}

static size_t room_left(const struct line *line)
{
    return sizeof(line->text) - TAIL_BYTES - line->len;
}

// The caller has checked that there is room (or writes into the tail).
static void put(struct line *line, const char *text, size_t len)
{
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_string(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

// --- escaping -------------------------------------------------------------------------------------

static uint32_t decode(struct slice s, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)s.data;

    if (len == 1)
        return bytes[0];
    if (len == 2)
        return (bytes[0] & 0x1fu) << 6 | (bytes[1] & 0x3fu);
    if (len == 3)
        return (bytes[0] & 0x0fu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
    return UINT32_MAX; // nothing above U+FFFF is escaped
}

// What can drive a terminal or fake the look of a line: C0, DEL, C1, line separators and the
// characters that turn the direction of text.
static bool is_dangerous(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static char short_escape(uint32_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return '\0';
    }
}

// The next character of `s`, as JSON and quoted logfmt want it (their escapes are the same).
// Returns how many bytes of `s` it stands for.
static size_t escape_one(struct slice s, char out[8], size_t *out_len)
{
    size_t len = utf8_sequence_length(s);
    uint32_t c = len != 0 ? decode(s, len) : 0xfffd;
    char letter = short_escape(c);

    if (letter != '\0') {
        out[0] = '\\';
        out[1] = letter;
        *out_len = 2;
    } else if (is_dangerous(c)) {
        *out_len = (size_t)snprintf(out, 8, "\\u%04x", (unsigned)c);
    } else if (len == 0) {
        *out_len = utf8_encode(c, out);
    } else {
        memcpy(out, s.data, len);
        *out_len = len;
    }
    return len != 0 ? len : 1;
}

// Puts as much of `s` as `max` bytes hold after escaping; what is cut ends in "...".
static void put_escaped(struct line *line, struct slice s, size_t max)
{
    size_t start = line->len, fallback = line->len;

    while (s.len != 0) {
        char piece[8];
        size_t piece_len;
        size_t taken = escape_one(s, piece, &piece_len);
        if (line->len - start + piece_len > max) {
            line->len = fallback;
            put_string(line, ellipsis);
            return;
        }
        put(line, piece, piece_len);
        // The last place from which the three dots still fit.
        if (line->len - start + sizeof(ellipsis) - 1 <= max)
            fallback = line->len;
        s.data += taken;
        s.len -= taken;
    }
}

static bool needs_quotes(struct slice s)
{
    if (s.len == 0 || !utf8_is_valid(s))
        return true;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        // Bytes of the characters that is_dangerous() knows: quoting too often does no harm.
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f || c == 0xc2 || c == 0xe2)
            return true;
    }
    return false;
}

// --- fields ---------------------------------------------------------------------------------------

static void put_value(struct line *line, struct slice value)
{
    bool quoted = configured_format == LOG_FORMAT_JSON || needs_quotes(value);
    size_t room = room_left(line) - 2;

    if (quoted)
        put_string(line, "\"");
    put_escaped(line, value, room < VALUE_MAX_BYTES ? room : VALUE_MAX_BYTES);
    if (quoted)
        put_string(line, "\"");
}

// False, and the line is full, when there is no room for the key and a little of its value.
static bool put_key(struct line *line, const char *key)
{
    size_t key_len = strlen(key);

    if (line->is_full || room_left(line) < key_len + 32) {
        line->is_full = true;
        return false;
    }
    if (configured_format == LOG_FORMAT_JSON) {
        put_string(line, line->len == 0 ? "{\"" : ",\"");
        put(line, key, key_len);
        put_string(line, "\":");
    } else {
        if (line->len != 0)
            put_string(line, " ");
        put(line, key, key_len);
        put_string(line, "=");
    }
    return true;
}

static void put_string_field(struct line *line, const char *key, struct slice value)
{
    if (put_key(line, key))
        put_value(line, value);
}

static void put_int_field(struct line *line, const char *key, int64_t value)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%" PRId64, value);
    if (put_key(line, key))
        put_string(line, digits);
}

static void put_end(struct line *line)
{
    bool is_json = configured_format == LOG_FORMAT_JSON;

    if (line->is_full)
        put_string(line, is_json ? ",\"truncated\":true" : " truncated=true");
    put_string(line, is_json ? "}\n" : "\n");
}

static void compose(struct line *line, enum log_level level, const char *message,
                    const struct log_field *fields)
{
    char time[TIMESTAMP_TEXT_SIZE];

    line->len = 0;
    line->is_full = false;
    timestamp_format_rfc3339(timestamp_now(), true, time);
    put_string_field(line, "time", slice_from_string(time));
    put_string_field(line, "level", slice_from_string(level_name(level)));
    put_string_field(line, "msg", slice_from_string(message));
    for (; fields != NULL && fields->type != LOG_FIELD_END; fields++) {
        if (fields->type == LOG_FIELD_INT)
            put_int_field(line, fields->key, fields->integer);
        else
            put_string_field(line, fields->key, fields->string);
    }
    put_end(line);
}

static size_t compose_drops(uint64_t lines, char text[LOG_LINE_BYTES_MAX])
{
    struct line line;

    compose(&line, LOG_WARN, "log lines were dropped: standard error did not take them",
            (const struct log_field[]){LOG_INT("lines", lines), LOG_END});
    memcpy(text, line.text, line.len);
    return line.len;
}

enum error_code log_start(struct error *error)
{
    return log_queue_start(compose_drops, error);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    int saved_errno = errno;
    struct line line;

    compose(&line, level, message, fields);
    if (log_queue_is_running())
        log_queue_put(line.text, line.len);
    else
        (void)log_write_now(line.text, line.len); // lost if not: there is nowhere to say so
    errno = saved_errno;
}
