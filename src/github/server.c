// The server of a payload: the host that a URL leads to.
#include "ghatrace/github/server.h"

#include <string.h>

#include "ghatrace/base/utf8.h"

static struct slice prefix_until(struct slice text, size_t end)
{
    return (struct slice){text.data, end};
}

// The index of the first of these characters; the length if there is none.
static size_t find_any(struct slice text, struct slice characters)
{
    size_t at = 0;
    while (at < text.len && memchr(characters.data, text.data[at], characters.len) == NULL)
        at++;
    return at;
}

// RFC 3986, 3.1: a letter, then letters, digits, '+', '-', '.', then ':'. 0: no scheme.
static size_t scheme_length(struct slice url)
{
    size_t len = 0;
    while (len < url.len && (ascii_is_letter(url.data[len]) ||
                             (len > 0 && memchr("0123456789+-.", url.data[len], 13) != NULL)))
        len++;
    return len > 0 && len < url.len && url.data[len] == ':' ? len + 1 : 0;
}

// User, host and port. Browsers treat a backslash as a slash (WHATWG URL, 4.4), so it ends them, too.
static struct slice authority_of(struct slice url)
{
    struct slice rest = slice_skip(url, scheme_length(url));
    if (slice_starts_with(rest, SLICE("//"))) {
        rest = slice_skip(rest, 2);
        return prefix_until(rest, find_any(rest, SLICE("/\\?#")));
    }
    rest = prefix_until(url, find_any(url, SLICE("/\\?#")));
    return slice_find(rest, SLICE(".")) >= 0 ? rest : SLICE_EMPTY;
}

static struct slice host_of(struct slice authority)
{
    struct slice host = authority;
    for (size_t i = 0; i < authority.len; i++)
        if (authority.data[i] == '@')
            host = slice_skip(authority, i + 1);
    bool has_brackets = slice_starts_with(host, SLICE("["));
    if (has_brackets)
        host = slice_skip(host, 1);
    host = prefix_until(host, find_any(host, has_brackets ? SLICE("]") : SLICE(":")));
    if (slice_ends_with(host, SLICE(".")))
        host.len--;
    return utf8_cut(host, GITHUB_SERVER_MAX);
}

static enum error_code in_lower_case(struct slice host, struct arena *arena, struct slice *out)
{
    size_t capitals = 0;
    for (size_t i = 0; i < host.len; i++)
        capitals += host.data[i] >= 'A' && host.data[i] <= 'Z' ? 1 : 0;
    *out = host;
    if (capitals == 0)
        return ERROR_NONE;
    char *text = arena_allocate(arena, host.len);
    if (text == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    *out = (struct slice){text, host.len};
    return ERROR_NONE;
}

static enum error_code server_of_host(struct slice host, struct arena *arena, struct slice *server)
{
    *server = SLICE_EMPTY;
    if (host.len == 0 || slice_equals_ignoring_case(host, GITHUB_SERVER_USUAL))
        return ERROR_NONE;
    return in_lower_case(host, arena, server);
}

enum error_code github_server_of_url(struct slice url, struct arena *arena, struct slice *server)
{
    return server_of_host(host_of(authority_of(url)), arena, server);
}

struct slice github_server_name(struct slice server)
{
    return server.len > 0 ? server : GITHUB_SERVER_USUAL;
}

enum error_code github_server_of_name(struct slice name, struct arena *arena, struct slice *server)
{
    if (slice_find(name, SLICE("/")) >= 0)
        return github_server_of_url(name, arena, server);
    return server_of_host(host_of(name), arena, server);
}
