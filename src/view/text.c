// Cleaning, measuring and cutting of text for the terminal.
#include "ghatrace/view/text.h"

#include "ghatrace/base/utf8.h"

#define MAX_RAW_BYTES 4096 // no attribute is longer, no line shows more
#define MAX_MARKS 3        // combining marks on one character; piles of them run into other lines

enum treatment { KEEP, DROP, BLANK, REPLACE };

struct treated_range {
    uint32_t first;
    uint32_t last;
    enum treatment treatment;
};

// In order. Directional formatting characters can make a name read as another one (Unicode Technical
// Report #36, 2.6), controls of C0 and C1 steer the terminal (ECMA-48, 5.2 and 5.3).
static const struct treated_range treated[] = {
    {0x0000, 0x001f, REPLACE},   // C0
    {0x007f, 0x009f, REPLACE},   // DEL, C1
    {0x00a0, 0x00a0, BLANK},     // no-break space
    {0x00ad, 0x00ad, DROP},      // soft hyphen
    {0x034f, 0x034f, DROP},      // combining grapheme joiner
    {0x061c, 0x061c, REPLACE},   // Arabic letter mark
    {0x1680, 0x1680, BLANK},     // Ogham space
    {0x180b, 0x180f, DROP},      // Mongolian selectors
    {0x2000, 0x200a, BLANK},     // spaces of all widths
    {0x200b, 0x200d, DROP},      // zero-width space and joiners
    {0x200e, 0x200f, REPLACE},   // directional marks
    {0x2028, 0x202e, REPLACE},   // line and paragraph separator, embeddings and overrides
    {0x202f, 0x202f, BLANK},     // narrow no-break space
    {0x205f, 0x205f, BLANK},     // mathematical space
    {0x2060, 0x2065, DROP},      // word joiner, invisible operators
    {0x2066, 0x206f, REPLACE},   // isolates, deprecated formatting
    {0x3000, 0x3000, BLANK},     // ideographic space
    {0xfe00, 0xfe0f, DROP},      // variation selectors
    {0xfeff, 0xfeff, DROP},      // zero-width no-break space
    {0xfff0, 0xfffb, REPLACE},   // specials
    {0xfffe, 0xffff, REPLACE},   // noncharacters
    {0xe0000, 0xe0fff, DROP},    // tags, more variation selectors
    {0xf0000, 0x10ffff, REPLACE} // private planes: nobody knows how wide
};

static enum treatment treatment_of(uint32_t code_point)
{
    for (size_t i = 0; i < sizeof(treated) / sizeof(treated[0]); i++) {
        if (code_point < treated[i].first)
            return KEEP;
        if (code_point <= treated[i].last)
            return treated[i].treatment;
    }
    return KEEP;
}

// Of a sequence that is known to be valid.
static uint32_t decode_code_point(const char *sequence, size_t len)
{
    static const uint32_t lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code_point = (uint8_t)sequence[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++)
        code_point = code_point << 6 | ((uint8_t)sequence[i] & 0x3fU);
    return code_point;
}

// Takes the next character off `rest`; a byte that starts none counts as U+FFFD.
static uint32_t take_code_point(struct slice *rest)
{
    size_t len = utf8_sequence_length(*rest);
    uint32_t code_point = len > 0 ? decode_code_point(rest->data, len) : 0xfffd;
    if (len == 0)
        len = 1;
    rest->data += len;
    rest->len -= len;
    return code_point;
}

struct cleaner {
    char *out;
    size_t len;
    size_t marks;  // since the last character that takes columns
    bool has_base; // is there such a character
    bool unicode;
};

static void put_visible(struct cleaner *cleaner, uint32_t code_point)
{
    if (!cleaner->unicode && code_point > 0x7e)
        code_point = '?';
    cleaner->len += utf8_encode(code_point, cleaner->out + cleaner->len);
    cleaner->marks = 0;
    cleaner->has_base = true;
}

// None at the beginning: a mark on a blank that is trimmed would sit on what stands before the text.
static void put_blank(struct cleaner *cleaner)
{
    if (cleaner->has_base)
        put_visible(cleaner, ' ');
}

static void put_mark(struct cleaner *cleaner, uint32_t code_point)
{
    if (!cleaner->unicode || !cleaner->has_base || cleaner->marks >= MAX_MARKS)
        return;
    cleaner->len += utf8_encode(code_point, cleaner->out + cleaner->len);
    cleaner->marks++;
}

static void put(struct cleaner *cleaner, uint32_t code_point)
{
    switch (treatment_of(code_point)) {
    case DROP:
        break;
    case BLANK:
        put_blank(cleaner);
        break;
    case REPLACE:
        put_visible(cleaner, 0xfffd);
        break;
    case KEEP:
        if (code_point == ' ')
            put_blank(cleaner);
        else if (text_code_point_width(code_point) == 0)
            put_mark(cleaner, code_point);
        else
            put_visible(cleaner, code_point);
        break;
    }
}

bool text_clean(struct arena *arena, struct slice raw, bool unicode, struct slice *clean)
{
    if (raw.len > MAX_RAW_BYTES)
        raw.len = MAX_RAW_BYTES;
    // A single bad byte becomes the three of U+FFFD.
    char *out = arena_allocate_array(arena, raw.len + 1, 3);
    if (out == NULL)
        return false;
    struct cleaner cleaner = {.out = out, .unicode = unicode};
    while (raw.len > 0)
        put(&cleaner, take_code_point(&raw));
    *clean = slice_trim((struct slice){out, cleaner.len});
    return true;
}

size_t text_width(struct slice clean)
{
    size_t width = 0;
    while (clean.len > 0)
        width += text_code_point_width(take_code_point(&clean));
    return width;
}

struct slice text_prefix(struct slice clean, size_t columns)
{
    struct slice rest = clean;
    size_t width = 0;
    size_t taken = 0;
    while (rest.len > 0) {
        width += text_code_point_width(take_code_point(&rest));
        if (width > columns)
            break;
        taken = clean.len - rest.len;
    }
    return (struct slice){clean.data, taken};
}

struct slice text_suffix(struct slice clean, size_t columns)
{
    size_t width = text_width(clean);
    while (clean.len > 0 && width > columns)
        width -= text_code_point_width(take_code_point(&clean));
    // What is left may begin with the marks of a character that did not fit.
    while (clean.len > 0) {
        struct slice rest = clean;
        if (text_code_point_width(take_code_point(&rest)) > 0)
            break;
        clean = rest;
    }
    return clean;
}

struct text_ends text_shorten(struct slice clean, size_t columns, size_t ellipsis_width,
                              size_t tail_percent)
{
    if (text_width(clean) <= columns)
        return (struct text_ends){.head = clean};
    if (columns <= ellipsis_width)
        return (struct text_ends){.head = text_prefix(clean, columns)};
    size_t room = columns - ellipsis_width;
    struct slice tail = slice_trim(text_suffix(clean, room * tail_percent / 100));
    return (struct text_ends){
        .head = slice_trim(text_prefix(clean, room - text_width(tail))),
        .tail = tail,
        .has_gap = true,
    };
}

bool text_repository(struct arena *arena, struct slice server, struct slice full_name,
                     struct slice *out)
{
    if (server.len == 0)
        return arena_copy_slice(arena, full_name, out);
    return arena_format(arena, out, "%.*s/%.*s", SLICE_ARGS(server), SLICE_ARGS(full_name));
}
