// The character sets and small grammars of RFC 9110, RFC 9112 and RFC 3986.
#include "internal.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// RFC 9110 5.6.2: tchar.
bool http_is_token_char(char c)
{
    if (is_letter(c) || is_digit(c))
        return true;
    switch (c) {
    case '!':
    case '#':
    case '$':
    case '%':
    case '&':
    case '\'':
    case '*':
    case '+':
    case '-':
    case '.':
    case '^':
    case '_':
    case '`':
    case '|':
    case '~':
        return true;
    default:
        return false;
    }
}

bool http_is_field_char(char c)
{
    unsigned char byte = (unsigned char)c;

    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

bool http_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!http_is_token_char(s.data[i]))
            return false;
    }
    return s.len != 0;
}

bool http_is_field_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!http_is_field_char(s.data[i]))
            return false;
    }
    return true;
}

// RFC 3986 2.2, 2.3: unreserved / sub-delims.
static bool is_name_char(char c)
{
    if (is_letter(c) || is_digit(c))
        return true;
    switch (c) {
    case '-':
    case '.':
    case '_':
    case '~':
    case '!':
    case '$':
    case '&':
    case '\'':
    case '(':
    case ')':
    case '*':
    case '+':
    case ',':
    case ';':
    case '=':
        return true;
    default:
        return false;
    }
}

// Every '%' leads two hexadecimal digits, and all else is a name character or one of `others`.
static bool is_uri_text(struct slice s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '%') {
            if (s.len - i < 3 || !is_hex_digit(s.data[i + 1]) || !is_hex_digit(s.data[i + 2]))
                return false;
            i += 2;
        } else if (!is_name_char(c) && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return true;
}

bool http_is_target(struct slice s)
{
    if (slice_equals(s, SLICE("*")))
        return true;
    return s.len != 0 && s.data[0] == '/' && http_is_query(s);
}

bool http_is_query(struct slice s)
{
    return is_uri_text(s, ":@/?");
}

// Nothing, or ":" and digits.
static bool is_port(struct slice s)
{
    if (s.len == 0)
        return true;
    for (size_t i = 1; i < s.len; i++) {
        if (!is_digit(s.data[i]))
            return false;
    }
    return s.data[0] == ':' && s.len <= 6;
}

bool http_is_host(struct slice s)
{
    const char *closing = s.len != 0 ? memchr(s.data, ']', s.len) : NULL;
    const char *colon = s.len != 0 ? memchr(s.data, ':', s.len) : NULL;
    struct slice name = s;

    // "[" IPv6address "]": the address itself is not looked up, so not checked in detail.
    if (s.len != 0 && s.data[0] == '[') {
        if (closing == NULL)
            return false;
        name = (struct slice){.data = s.data + 1, .len = (size_t)(closing - s.data) - 1};
        s = (struct slice){.data = closing + 1, .len = s.len - name.len - 2};
        return name.len != 0 && is_uri_text(name, ":") && is_port(s);
    }
    if (colon == NULL)
        return is_uri_text(s, "");
    name.len = (size_t)(colon - s.data);
    s = (struct slice){.data = colon, .len = s.len - name.len};
    return is_uri_text(name, "") && is_port(s);
}
