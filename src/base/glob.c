// Globs: matching, and describing faults.
#include "ghatrace/base/glob.h"

#include <stdint.h>

static char lower_letter(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

// --- classes ---------------------------------------------------------------------------------------------

static bool is_alnum(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c);
}

static bool is_xdigit(char c)
{
    return ascii_is_digit(c) || (lower_letter(c) >= 'a' && lower_letter(c) <= 'f');
}

static bool is_punct(char c)
{
    return c > ' ' && c < 0x7f && !is_alnum(c);
}

// Matching ignores case, so lower, upper and alpha are the same.
static const struct class
{
    struct slice name;
    bool (*holds)(char c);
} classes[] = {
    {{"alnum", 5}, is_alnum},       {{"alpha", 5}, ascii_is_letter},
    {{"digit", 5}, ascii_is_digit}, {{"lower", 5}, ascii_is_letter},
    {{"punct", 5}, is_punct},       {{"upper", 5}, ascii_is_letter},
    {{"xdigit", 6}, is_xdigit},
};

// --- sets ------------------------------------------------------------------------------------------------

struct reader {
    struct slice glob;
    size_t at;
    char c; // the character to match
    bool matches;
    const char *fault;
};

static bool is_at(const struct reader *reader, size_t ahead, char c)
{
    return reader->at + ahead < reader->glob.len && reader->glob.data[reader->at + ahead] == c;
}

// Reads `[:alpha:]`, starting at its bracket.
static void read_class(struct reader *reader)
{
    size_t start = reader->at + 2;
    struct slice rest = {reader->glob.data + start, reader->glob.len - start};
    ptrdiff_t len = slice_find(rest, SLICE(":]"));
    struct slice name = {rest.data, len > 0 ? (size_t)len : 0};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (!slice_equals(name, classes[i].name))
            continue;
        reader->matches = reader->matches || classes[i].holds(reader->c);
        reader->at = start + name.len + 2;
        return;
    }
    reader->fault = "an unknown class: want [:alnum:], [:alpha:], [:digit:] or the like";
}

static char read_character(struct reader *reader)
{
    if (is_at(reader, 0, '\\') && reader->at + 1 < reader->glob.len)
        reader->at++;
    return reader->glob.data[reader->at++];
}

// Reads a character or a range.
static void read_glob_range(struct reader *reader)
{
    char first = lower_letter(read_character(reader)), last = first, c = lower_letter(reader->c);
    bool is_range =
        is_at(reader, 0, '-') && reader->at + 1 < reader->glob.len && !is_at(reader, 1, ']');
    if (is_range) {
        reader->at++;
        last = lower_letter(read_character(reader));
    }
    if ((uint8_t)first > (uint8_t)last)
        reader->fault = "a range that runs backwards";
    if ((uint8_t)c >= (uint8_t)first && (uint8_t)c <= (uint8_t)last)
        reader->matches = true;
}

// Starts at the opening bracket; ends after the closing one.
static void read_set(struct reader *reader)
{
    reader->at++;
    bool is_negated = is_at(reader, 0, '!') || is_at(reader, 0, '^');
    reader->at += is_negated ? 1 : 0;
    size_t start = reader->at;
    while (reader->fault == NULL && (!is_at(reader, 0, ']') || reader->at == start)) {
        if (reader->at >= reader->glob.len)
            reader->fault = "a [ without its ]";
        else if (is_at(reader, 0, '[') && is_at(reader, 1, ':'))
            read_class(reader);
        else if (is_at(reader, 0, '[') && (is_at(reader, 1, '.') || is_at(reader, 1, '=')))
            reader->fault = "[. and [= are not known";
        else
            read_glob_range(reader);
    }
    reader->at++;
    reader->matches = reader->matches != is_negated;
}

// Matches the element at `at`, which is not a star, against the character, and moves past the element.
static void read_element(struct reader *reader)
{
    reader->matches = false;
    if (is_at(reader, 0, '[')) {
        read_set(reader);
    } else if (is_at(reader, 0, '?')) {
        reader->at++;
        reader->matches = true;
    } else if (is_at(reader, 0, '\\') && reader->at + 1 == reader->glob.len) {
        reader->fault = "a backslash with nothing behind it";
        reader->at++;
    } else {
        reader->matches = lower_letter(read_character(reader)) == lower_letter(reader->c);
    }
}

// --- globs -----------------------------------------------------------------------------------------------

const char *glob_fault(struct slice glob)
{
    struct reader reader = {.glob = glob};
    while (reader.at < glob.len && reader.fault == NULL)
        read_element(&reader);
    return reader.fault;
}

size_t glob_element_length(struct slice glob, size_t at)
{
    struct reader reader = {.glob = glob, .at = at};
    read_element(&reader);
    return reader.at - at;
}

static bool matches_here(struct reader *reader, char c)
{
    reader->c = c;
    read_element(reader);
    return reader->matches;
}

// Backtracks only to the last star, because characters that an earlier star could match can be matched by the later one
// as well. So matching takes at most s.len * glob.len steps for any pattern.
bool glob_matches(struct slice glob, struct slice s)
{
    struct reader reader = {.glob = glob};
    size_t at = 0;
    size_t star = SIZE_MAX, star_at = 0;

    if (glob_fault(glob) != NULL)
        return false;
    while (at < s.len) {
        if (is_at(&reader, 0, '*')) {
            star = reader.at++;
            star_at = at;
        } else if (reader.at < glob.len && matches_here(&reader, s.data[at])) {
            at++;
        } else if (star != SIZE_MAX) {
            reader.at = star + 1;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (is_at(&reader, 0, '*'))
        reader.at++;
    return reader.at == glob.len;
}
