// Parameters of a query: application/x-www-form-urlencoded (WHATWG URL 5.1).
#include "ghatrace/base/hex.h"
#include "ghatrace/ingress/admin.h"

// Returns the length, or -1 for a '%' without two digits behind it.
static ptrdiff_t decode(struct slice text, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (byte == '+')
            byte = ' ';
        if (byte == '%') {
            if (text.len - i < 3 || !hex_decode(text.data + i + 1, 2, &byte, 1))
                return -1;
            i += 2;
        }
        out[len++] = (char)byte;
    }
    return (ptrdiff_t)len;
}

static struct slice take_pair(struct slice *query)
{
    ptrdiff_t end = slice_find(*query, SLICE("&"));
    size_t len = end < 0 ? query->len : (size_t)end;
    size_t taken = end < 0 ? query->len : len + 1;
    struct slice pair = {query->data, len};

    *query = (struct slice){query->data + taken, query->len - taken};
    return pair;
}

bool admin_query_get(struct slice query, const char *name, struct arena *arena, struct slice *value)
{
    *value = SLICE_EMPTY;
    while (query.len > 0) {
        struct slice pair = take_pair(&query);
        ptrdiff_t equals = slice_find(pair, SLICE("="));
        struct slice key = {pair.data, equals < 0 ? pair.len : (size_t)equals};
        if (!slice_equals(key, slice_from_string(name)))
            continue;
        if (equals < 0)
            return true;
        struct slice raw = {pair.data + equals + 1, pair.len - (size_t)equals - 1};
        char *text = arena_allocate(arena, raw.len + 1);
        if (text == NULL)
            return false;
        ptrdiff_t len = decode(raw, text);
        if (len > 0)
            *value = (struct slice){text, (size_t)len};
        return true;
    }
    return true;
}
