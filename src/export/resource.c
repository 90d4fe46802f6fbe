// OTEL_RESOURCE_ATTRIBUTES: attributes that the operator adds to every resource.
#include "ghatrace/export/endpoint.h"

#include "pairs.h"

// "The `,` and `=` characters in keys and values MUST be percent encoded. Other characters MAY be
// percent-encoded" (OpenTelemetry, resource/sdk.md).
static enum error_code read_attribute(const struct pair *pair, struct arena *arena,
                                      struct attribute *item, struct error *error)
{
    struct slice decoded;
    enum error_code code = pairs_percent_decode(pair->key, arena, &decoded);
    if (code == ERROR_NONE) {
        if (decoded.len == 0 || memchr(decoded.data, '\0', decoded.len) != NULL)
            return error_set(error, ERROR_USAGE, "entry %zu: not a key", pair->position);
        *item = (struct attribute){.key = decoded.data, .type = ATTRIBUTE_STRING};
        code = pairs_percent_decode(pair->value, arena, &item->string);
    }
    if (code == ERROR_INVALID)
        return error_set(error, ERROR_USAGE,
                         "entry %zu: \"%%\" without two hexadecimal digits: write %%25",
                         pair->position);
    if (code != ERROR_NONE)
        return error_set(error, code, "out of memory");
    return ERROR_NONE;
}

// Keys are unique in a resource; the last of several values is used.
static size_t place_attribute(struct attribute *items, size_t count, const struct attribute *item)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].key, item->key) == 0) {
            items[i] = *item;
            return count;
        }
    }
    items[count] = *item;
    return count + 1;
}

// "In case of any error, e.g. failure during the decoding process, the entire environment variable
// value SHOULD be discarded and an error SHOULD be reported" (ibid.).
enum error_code export_resource_parse(struct slice text, struct arena *arena,
                                      struct attribute **items, size_t *count, struct error *error)
{
    struct attribute *found =
        arena_allocate_array(arena, pairs_count_max(text), sizeof(struct attribute));
    if (found == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");

    struct pairs pairs;
    struct pair pair;
    size_t found_count = 0;
    enum error_code code;
    pairs_init(&pairs, text);
    while ((code = pairs_next(&pairs, &pair, error)) == ERROR_NONE) {
        struct attribute item;
        code = read_attribute(&pair, arena, &item, error);
        if (code != ERROR_NONE)
            return code;
        found_count = place_attribute(found, found_count, &item);
    }
    if (code != ERROR_NOT_FOUND)
        return code;
    *items = found;
    *count = found_count;
    return ERROR_NONE;
}
