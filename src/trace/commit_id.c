// Ids of commits.
#include "ghatrace/trace/commit_id.h"

#include <string.h>

struct commit_id commit_id_of(struct slice text)
{
    struct commit_id id = {.size = (uint8_t)(text.len / 2)};
    bool is_full =
        text.len == 2 * COMMIT_ID_SHA1_SIZE || text.len == 2 * (size_t)COMMIT_ID_SHA256_SIZE;
    if (!is_full || !hex_decode(text.data, text.len, id.bytes, id.size))
        return (struct commit_id){.size = 0};
    return id;
}

bool commit_id_equals(const struct commit_id *a, const struct commit_id *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

const char *commit_id_text(const struct commit_id *id, char text[COMMIT_ID_TEXT_SIZE])
{
    hex_encode(id->bytes, id->size, text);
    return text;
}

bool commit_prefix_parse(struct slice text, struct commit_prefix *prefix)
{
    *prefix = (struct commit_prefix){.digits = text.len};
    if (text.len < COMMIT_PREFIX_MIN || text.len > 2 * sizeof prefix->bytes)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_digit_value(text.data[i]);
        if (digit < 0)
            return false;
        prefix->bytes[i / 2] |= (uint8_t)(i % 2 == 0 ? digit << 4 : digit);
    }
    return true;
}

bool commit_prefix_has(const struct commit_prefix *prefix, const struct commit_id *id)
{
    size_t whole = prefix->digits / 2;
    if (prefix->digits > 2 * (size_t)id->size || memcmp(prefix->bytes, id->bytes, whole) != 0)
        return false;
    return prefix->digits % 2 == 0 || prefix->bytes[whole] == (id->bytes[whole] & 0xf0);
}
