// Lists of "key=value" entries: splitting and percent-decoding.
#include "pairs.h"

#include <stdint.h>

#include "ghatrace/base/slice.h"

void pairs_init(struct pairs *pairs, struct slice text)
{
    *pairs = (struct pairs){.rest = text};
}

static struct slice take_until(struct slice *rest, char separator)
{
    const char *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    struct slice head = *rest;
    if (end == NULL) {
        *rest = SLICE_EMPTY;
        return head;
    }
    head.len = (size_t)(end - rest->data);
    rest->data += head.len + 1;
    rest->len -= head.len + 1;
    return head;
}

enum error_code pairs_next(struct pairs *pairs, struct pair *pair, struct error *error)
{
    while (pairs->rest.len > 0) {
        struct slice entry = slice_trim(take_until(&pairs->rest, ','));
        pairs->position++;
        if (entry.len == 0)
            continue;
        if (memchr(entry.data, '=', entry.len) == NULL)
            return error_set(error, ERROR_USAGE, "entry %zu has no \"=\": write name=value",
                             pairs->position);
        pair->key = slice_trim(take_until(&entry, '='));
        pair->value = slice_trim(entry);
        pair->position = pairs->position;
        return ERROR_NONE;
    }
    return ERROR_NOT_FOUND;
}

size_t pairs_count_max(struct slice text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == ',';
    return count;
}

enum error_code pairs_percent_decode(struct slice text, struct arena *arena, struct slice *decoded)
{
    char *out = arena_allocate(arena, text.len + 1);
    if (out == NULL)
        return ERROR_MEMORY;

    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            uint8_t byte;
            if (text.len - i < 3 || !hex_decode(text.data + i + 1, 2, &byte, 1))
                return ERROR_INVALID;
            c = (char)byte;
            i += 2;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    *decoded = (struct slice){.data = out, .len = len};
    return ERROR_NONE;
}
