// Extra fields of every request, usually credentials: OTEL_EXPORTER_OTLP_HEADERS, and lines of a file.
#include "ghatrace/export/endpoint.h"

#include "ghatrace/base/utf8.h"
#include "pairs.h"

// token of RFC 9110 5.6.2.
static bool is_token(struct slice name)
{
    static const char punctuation[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alphanumeric && (c == '\0' || strchr(punctuation, c) == NULL))
            return false;
    }
    return name.len > 0;
}

// RFC 9110 5.5: CR, LF and NUL are dangerous in a field's value and other controls invalid; a
// percent-encoded line break would smuggle in a field of its own.
static bool is_field_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

// Messages contain at most the name: values are secrets.
static enum error_code read_header(const struct pair *pair, struct arena *arena,
                                   struct http_header *header, struct error *error)
{
    struct slice name = pair->key;
    if (!is_token(name))
        return error_set(error, ERROR_USAGE, "entry %zu: not the name of an HTTP field",
                         pair->position);
    if (!arena_copy_slice(arena, name, &header->name))
        return error_set(error, ERROR_MEMORY, "out of memory");

    enum error_code code = pairs_percent_decode(pair->value, arena, &header->value);
    if (code == ERROR_INVALID)
        return error_set(error, ERROR_USAGE,
                         "value of \"%.*s\": \"%%\" without two hexadecimal digits: write %%25",
                         SLICE_ARGS(name));
    if (code != ERROR_NONE)
        return error_set(error, code, "out of memory");
    header->value = slice_trim(header->value);
    if (!is_field_value(header->value))
        return error_set(error, ERROR_USAGE,
                         "value of \"%.*s\": control characters are not allowed", SLICE_ARGS(name));
    return ERROR_NONE;
}

enum error_code export_headers_parse(struct slice text, struct arena *arena,
                                     struct http_header **headers, size_t *count,
                                     struct error *error)
{
    struct http_header *items =
        arena_allocate_array(arena, pairs_count_max(text), sizeof(struct http_header));
    if (items == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");

    struct pairs pairs;
    struct pair pair;
    size_t found = 0;
    enum error_code code;
    pairs_init(&pairs, text);
    while ((code = pairs_next(&pairs, &pair, error)) == ERROR_NONE) {
        code = read_header(&pair, arena, &items[found], error);
        if (code != ERROR_NONE)
            return code;
        found++;
    }
    if (code != ERROR_NOT_FOUND)
        return code;
    *headers = items;
    *count = found;
    return ERROR_NONE;
}

bool export_header_is_own(struct slice name)
{
    static const char *const own[] = {
        "Host",
        "Content-Length",
        "Content-Type",
        "Content-Encoding",
        "Transfer-Encoding",
        "Expect",
        "Connection",
        "Upgrade",
        "TE",
        "Trailer",
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (slice_equals_ignoring_case(name, slice_from_string(own[i])))
            return true;
    }
    return false;
}

// --- lines ------------------------------------------------------------------------------------

static struct slice take_line(struct slice *rest)
{
    ptrdiff_t newline = slice_find(*rest, SLICE("\n"));
    struct slice line = {.data = rest->data, .len = newline < 0 ? rest->len : (size_t)newline};
    size_t taken = newline < 0 ? rest->len : line.len + 1;
    *rest = (struct slice){.data = rest->data + taken, .len = rest->len - taken};
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

static size_t count_lines(struct slice text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n' ? 1 : 0;
    return lines;
}

static bool has_name(const struct http_header *headers, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equals_ignoring_case(headers[i].name, name))
            return true;
    return false;
}

// `number`: of the line. Text that is not known to be a name may be a secret, so it is not shown.
static enum error_code read_line(struct slice line, size_t number, struct http_header *header,
                                 struct error *error)
{
    ptrdiff_t colon = slice_find(line, SLICE(":"));
    if (colon < 0)
        return error_set(error, ERROR_USAGE, "line %zu: no ':': write `Name: value`", number);
    header->name = (struct slice){.data = line.data, .len = (size_t)colon};
    header->value = slice_trim(
        (struct slice){.data = line.data + colon + 1, .len = line.len - (size_t)colon - 1});
    if (!is_token(header->name))
        return error_set(error, ERROR_USAGE,
                         "line %zu: what is before ':' is not the name of an HTTP field", number);
    if (header->value.len == 0)
        return error_set(error, ERROR_USAGE, "line %zu: \"%.*s\" has no value", number,
                         SLICE_ARGS(header->name));
    if (!is_field_value(header->value))
        return error_set(error, ERROR_USAGE,
                         "line %zu: value of \"%.*s\": control characters are not allowed", number,
                         SLICE_ARGS(header->name));
    if (export_header_is_own(header->name))
        return error_set(error, ERROR_USAGE, "line %zu: \"%.*s\" is the exporter's own", number,
                         SLICE_ARGS(header->name));
    return ERROR_NONE;
}

enum error_code export_header_lines_parse(struct slice text, struct arena *arena,
                                          struct http_header **headers, size_t *count,
                                          struct error *error)
{
    struct slice rest = text;
    struct http_header *items =
        arena_allocate_array(arena, count_lines(text), sizeof(struct http_header));
    size_t found = 0;
    if (items == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (utf8_is_other_unicode(rest))
        return error_set(error, ERROR_USAGE, "is in UTF-16: save it as UTF-8");
    rest = utf8_skip_mark(rest);
    for (size_t number = 1; rest.len > 0; number++) {
        struct slice line = take_line(&rest);
        if (slice_trim(line).len == 0 || slice_starts_with(slice_trim(line), SLICE("#")))
            continue;
        enum error_code code = read_line(line, number, &items[found], error);
        if (code != ERROR_NONE)
            return code;
        if (has_name(items, found, items[found].name))
            return error_set(error, ERROR_USAGE, "line %zu: \"%.*s\" is there twice", number,
                             SLICE_ARGS(items[found].name));
        found++;
    }
    *headers = items;
    *count = found;
    return ERROR_NONE;
}
