// Secrets that must not appear in logs.
#include "mask.h"

#include "pairs.h"

static void add(struct mask_list *list, struct slice secret)
{
    secret = slice_trim(secret);
    if (secret.len >= MASK_LEAST)
        list->secrets[list->count++] = secret;
}

static struct slice from(struct slice s, size_t at)
{
    return (struct slice){.data = s.data + at, .len = s.len - at};
}

// "Bearer key" → "key".
static struct slice after_scheme(struct slice value)
{
    ptrdiff_t blank = slice_find(value, SLICE(" "));
    return blank < 0 ? SLICE_EMPTY : from(value, (size_t)blank + 1);
}

static struct slice take_pair(struct slice *query)
{
    ptrdiff_t end = slice_find(*query, SLICE("&"));
    size_t len = end < 0 ? query->len : (size_t)end;
    struct slice pair = {.data = query->data, .len = len};
    *query = from(*query, end < 0 ? len : len + 1);
    return pair;
}

// Adds the secret unchanged and percent-decoded.
static enum error_code add_encoded(struct mask_list *list, struct slice secret, struct arena *arena)
{
    struct slice decoded;
    add(list, secret);
    enum error_code code = pairs_percent_decode(secret, arena, &decoded);
    if (code == ERROR_NONE)
        add(list, decoded);
    return code == ERROR_INVALID ? ERROR_NONE : code;
}

// A token may be in either place.
static enum error_code add_userinfo(struct mask_list *list, struct slice userinfo,
                                    struct arena *arena)
{
    ptrdiff_t colon = slice_find(userinfo, SLICE(":"));
    enum error_code code = add_encoded(list, userinfo, arena);
    if (code != ERROR_NONE || colon < 0)
        return code;
    struct slice user = {.data = userinfo.data, .len = (size_t)colon};
    struct slice password = from(userinfo, (size_t)colon + 1);
    return add_encoded(list, password.len > 0 ? password : user, arena);
}

static enum error_code add_query(struct mask_list *list, struct slice query, struct arena *arena)
{
    add(list, query);
    while (query.len > 0) {
        struct slice pair = take_pair(&query);
        ptrdiff_t equals = slice_find(pair, SLICE("="));
        struct slice value = equals < 0 ? pair : from(pair, (size_t)equals + 1);
        enum error_code code = add_encoded(list, value, arena);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static size_t count_pairs(struct slice query)
{
    size_t count = 1;
    for (size_t i = 0; i < query.len; i++)
        count += query.data[i] == '&';
    return count;
}

enum error_code mask_init(struct mask_list *list, const struct http_header *headers, size_t count,
                          const struct export_endpoint *endpoint, struct arena *arena)
{
    struct slice path = slice_from_string(endpoint->path);
    ptrdiff_t mark = slice_find(path, SLICE("?"));
    struct slice query = mark < 0 ? SLICE_EMPTY : from(path, (size_t)mark + 1);
    *list = (struct mask_list){.count = 0};
    list->secrets =
        arena_allocate_array(arena, 2 * count + 9 + 2 * count_pairs(query), sizeof(struct slice));
    if (list->secrets == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        add(list, headers[i].value);
        add(list, after_scheme(headers[i].value));
    }
    enum error_code code = add_userinfo(list, slice_from_string(endpoint->userinfo), arena);
    if (code == ERROR_NONE)
        code = add_userinfo(list, slice_from_string(endpoint->proxy.userinfo), arena);
    return code == ERROR_NONE ? add_query(list, query, arena) : code;
}

static void mask_secret(struct slice secret, char *text, size_t len)
{
    size_t least = secret.len < MASK_PREFIX ? secret.len : MASK_PREFIX;
    for (size_t at = 0; at + least <= len; at++) {
        if (memcmp(text + at, secret.data, least) != 0)
            continue;
        size_t match = least;
        while (match < secret.len && at + match < len && text[at + match] == secret.data[match])
            match++;
        memset(text + at, '*', match);
        at += match - 1;
    }
}

void mask_text(const struct mask_list *list, char *text, size_t len)
{
    for (; list != NULL; list = list->older)
        for (size_t i = 0; i < list->count; i++)
            mask_secret(list->secrets[i], text, len);
}
