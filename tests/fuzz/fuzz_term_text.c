// Untrusted names on a terminal: what remains cannot control it, and fits.
#include "fuzz.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/term/text.h"

static void check_harmless(struct slice clean, bool unicode)
{
    MUST(utf8_is_valid(clean));
    for (size_t i = 0; i < clean.len; i++) {
        const uint8_t byte = (uint8_t)clean.data[i];
        MUST(byte >= 0x20 && byte != 0x7f);
        MUST(unicode || byte < 0x80);
        // C1 in UTF-8.
        MUST(byte != 0xc2 || (uint8_t)clean.data[i + 1] >= 0xa0);
    }
}

static void check_cuts(struct slice clean, size_t columns)
{
    struct slice prefix = text_prefix(clean, columns);
    struct slice suffix = text_suffix(clean, columns);
    struct text_ends ends = text_shorten(clean, columns, 1, 30);
    MUST(slice_starts_with(clean, prefix) && text_width(prefix) <= columns);
    MUST(slice_ends_with(clean, suffix) && text_width(suffix) <= columns);
    MUST(utf8_is_valid(prefix) && utf8_is_valid(suffix));
    MUST(slice_starts_with(clean, ends.head) && slice_ends_with(clean, ends.tail));
    MUST(text_width(ends.head) + text_width(ends.tail) + ends.has_gap <= columns);
    MUST(text_width(clean) > columns || slice_equals(ends.head, clean));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice clean;
    struct slice again;
    arena_init(&arena, 1024);
    for (int unicode = 0; unicode < 2; unicode++) {
        MUST(text_clean(&arena, fuzz_slice(data, size), unicode, &clean));
        check_harmless(clean, unicode);
        if (clean.len <= 4096) {
            MUST(text_clean(&arena, clean, unicode, &again));
            MUST(slice_equals(clean, again));
        }
        check_cuts(clean, size > 0 ? data[0] % 64 : 0);
    }
    arena_release(&arena);
    return 0;
}
