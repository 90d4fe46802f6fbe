// OTEL_EXPORTER_OTLP_HEADERS: extra fields of every request, mostly credentials.
#include "ghatrace/export/endpoint.h"

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

// Messages give the name at most: values are secrets.
static enum error_code read_header(struct slice name, struct slice value, size_t position,
                                   struct arena *arena, struct http_header *header,
                                   struct error *error)
{
    if (!is_token(name))
        return error_set(error, ERROR_USAGE, "entry %zu: not the name of an HTTP field", position);
    if (!arena_copy_slice(arena, name, &header->name))
        return error_set(error, ERROR_MEMORY, "out of memory");

    enum error_code code = pairs_percent_decode(value, arena, &header->value);
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
    struct slice name, value;
    size_t found = 0;
    enum error_code code;
    pairs_init(&pairs, text);
    while ((code = pairs_next(&pairs, &name, &value, error)) == ERROR_NONE) {
        code = read_header(name, value, pairs.position, arena, &items[found], error);
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
