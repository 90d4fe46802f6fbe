// Text for a terminal: its capabilities, the width of text, and removal of unsafe characters.
#include "ghatrace/term/text.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/utf8.h"

// --- capabilities of the output, from the environment and the kernel ------------------------------

static bool is_set(const char *variable)
{
    return variable != NULL && variable[0] != '\0';
}

static size_t bounded_width(long long width)
{
    if (width < TERMINAL_WIDTH_MIN)
        return TERMINAL_WIDTH_MIN;
    return width > TERMINAL_WIDTH_MAX ? TERMINAL_WIDTH_MAX : (size_t)width;
}

static size_t choose_width(const struct terminal_environment *environment)
{
    long long columns;
    if (slice_parse_int64(slice_from_string(environment->columns_variable), &columns) &&
        columns > 0)
        return bounded_width(columns);
    if (!environment->is_terminal)
        return TERMINAL_WIDTH_PIPE;
    if (environment->columns > TERMINAL_WIDTH_MAX)
        return TERMINAL_WIDTH_MAX;
    return environment->columns > 0 ? bounded_width((long long)environment->columns)
                                    : TERMINAL_WIDTH_DEFAULT;
}

static bool choose_colour(const struct terminal_environment *environment)
{
    if (is_set(environment->no_color))
        return false;
    if (is_set(environment->clicolor_force) &&
        !slice_equals(slice_from_string(environment->clicolor_force), SLICE("0")))
        return true;
    return environment->is_terminal && is_set(environment->term) &&
           !slice_equals(slice_from_string(environment->term), SLICE("dumb"));
}

// "en_US.UTF-8", "C.utf8", "de_DE.UTF-8@euro": the codeset follows the dot.
static bool choose_unicode(const struct terminal_environment *environment)
{
    const char *locale = is_set(environment->lc_all)     ? environment->lc_all
                         : is_set(environment->lc_ctype) ? environment->lc_ctype
                                                         : environment->lang;
    struct slice name = slice_from_string(locale);
    ptrdiff_t dot = slice_find(name, SLICE("."));
    if (dot < 0)
        return false;
    struct slice codeset = {name.data + dot + 1, name.len - (size_t)dot - 1};
    ptrdiff_t modifier = slice_find(codeset, SLICE("@"));
    if (modifier >= 0)
        codeset.len = (size_t)modifier;
    return slice_equals_ignoring_case(codeset, SLICE("utf-8")) ||
           slice_equals_ignoring_case(codeset, SLICE("utf8"));
}

struct terminal terminal_from_environment(const struct terminal_environment *environment)
{
    return (struct terminal){
        .width = choose_width(environment),
        .colour = choose_colour(environment),
        .unicode = choose_unicode(environment),
    };
}

struct terminal terminal_detect(int fd)
{
    struct winsize size = {0};
    bool has_size = ioctl(fd, TIOCGWINSZ, &size) == 0;
    struct terminal_environment environment = {
        .is_terminal = isatty(fd) == 1,
        .columns = has_size ? size.ws_col : 0,
        .columns_variable = getenv("COLUMNS"),
        .term = getenv("TERM"),
        .no_color = getenv("NO_COLOR"),
        .clicolor_force = getenv("CLICOLOR_FORCE"),
        .lc_all = getenv("LC_ALL"),
        .lc_ctype = getenv("LC_CTYPE"),
        .lang = getenv("LANG"),
    };
    return terminal_from_environment(&environment);
}

// --- columns per character: tables from the Unicode Character Database ----------------------------

struct range {
    uint32_t first;
    uint32_t last;
};

// clang-format off
// General category Mn and Me, and the Hangul vowels and finals that join the preceding syllable (Unicode 14;
// unassigned code points between two of them are included).
static const struct range zero_width[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x05bf, 0x05bf}, {0x05c1, 0x05c2},
    {0x05c4, 0x05c5}, {0x05c7, 0x05c7}, {0x0610, 0x061a}, {0x064b, 0x065f}, {0x0670, 0x0670},
    {0x06d6, 0x06dc}, {0x06df, 0x06e4}, {0x06e7, 0x06e8}, {0x06ea, 0x06ed}, {0x0711, 0x0711},
    {0x0730, 0x074a}, {0x07a6, 0x07b0}, {0x07eb, 0x07f3}, {0x07fd, 0x07fd}, {0x0816, 0x0819},
    {0x081b, 0x0823}, {0x0825, 0x0827}, {0x0829, 0x082d}, {0x0859, 0x085b}, {0x0898, 0x089f},
    {0x08ca, 0x08e1}, {0x08e3, 0x0902}, {0x093a, 0x093a}, {0x093c, 0x093c}, {0x0941, 0x0948},
    {0x094d, 0x094d}, {0x0951, 0x0957}, {0x0962, 0x0963}, {0x0981, 0x0981}, {0x09bc, 0x09bc},
    {0x09c1, 0x09c4}, {0x09cd, 0x09cd}, {0x09e2, 0x09e3}, {0x09fe, 0x0a02}, {0x0a3c, 0x0a3c},
    {0x0a41, 0x0a51}, {0x0a70, 0x0a71}, {0x0a75, 0x0a75}, {0x0a81, 0x0a82}, {0x0abc, 0x0abc},
    {0x0ac1, 0x0ac8}, {0x0acd, 0x0acd}, {0x0ae2, 0x0ae3}, {0x0afa, 0x0b01}, {0x0b3c, 0x0b3c},
    {0x0b3f, 0x0b3f}, {0x0b41, 0x0b44}, {0x0b4d, 0x0b56}, {0x0b62, 0x0b63}, {0x0b82, 0x0b82},
    {0x0bc0, 0x0bc0}, {0x0bcd, 0x0bcd}, {0x0c00, 0x0c00}, {0x0c04, 0x0c04}, {0x0c3c, 0x0c3c},
    {0x0c3e, 0x0c40}, {0x0c46, 0x0c56}, {0x0c62, 0x0c63}, {0x0c81, 0x0c81}, {0x0cbc, 0x0cbc},
    {0x0cbf, 0x0cbf}, {0x0cc6, 0x0cc6}, {0x0ccc, 0x0ccd}, {0x0ce2, 0x0ce3}, {0x0d00, 0x0d01},
    {0x0d3b, 0x0d3c}, {0x0d41, 0x0d44}, {0x0d4d, 0x0d4d}, {0x0d62, 0x0d63}, {0x0d81, 0x0d81},
    {0x0dca, 0x0dca}, {0x0dd2, 0x0dd6}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e},
    {0x0eb1, 0x0eb1}, {0x0eb4, 0x0ebc}, {0x0ec8, 0x0ecd}, {0x0f18, 0x0f19}, {0x0f35, 0x0f35},
    {0x0f37, 0x0f37}, {0x0f39, 0x0f39}, {0x0f71, 0x0f7e}, {0x0f80, 0x0f84}, {0x0f86, 0x0f87},
    {0x0f8d, 0x0fbc}, {0x0fc6, 0x0fc6}, {0x102d, 0x1030}, {0x1032, 0x1037}, {0x1039, 0x103a},
    {0x103d, 0x103e}, {0x1058, 0x1059}, {0x105e, 0x1060}, {0x1071, 0x1074}, {0x1082, 0x1082},
    {0x1085, 0x1086}, {0x108d, 0x108d}, {0x109d, 0x109d}, {0x1160, 0x11ff}, {0x135d, 0x135f},
    {0x1712, 0x1714}, {0x1732, 0x1733}, {0x1752, 0x1753}, {0x1772, 0x1773}, {0x17b4, 0x17b5},
    {0x17b7, 0x17bd}, {0x17c6, 0x17c6}, {0x17c9, 0x17d3}, {0x17dd, 0x17dd}, {0x180b, 0x180d},
    {0x180f, 0x180f}, {0x1885, 0x1886}, {0x18a9, 0x18a9}, {0x1920, 0x1922}, {0x1927, 0x1928},
    {0x1932, 0x1932}, {0x1939, 0x193b}, {0x1a17, 0x1a18}, {0x1a1b, 0x1a1b}, {0x1a56, 0x1a56},
    {0x1a58, 0x1a60}, {0x1a62, 0x1a62}, {0x1a65, 0x1a6c}, {0x1a73, 0x1a7f}, {0x1ab0, 0x1b03},
    {0x1b34, 0x1b34}, {0x1b36, 0x1b3a}, {0x1b3c, 0x1b3c}, {0x1b42, 0x1b42}, {0x1b6b, 0x1b73},
    {0x1b80, 0x1b81}, {0x1ba2, 0x1ba5}, {0x1ba8, 0x1ba9}, {0x1bab, 0x1bad}, {0x1be6, 0x1be6},
    {0x1be8, 0x1be9}, {0x1bed, 0x1bed}, {0x1bef, 0x1bf1}, {0x1c2c, 0x1c33}, {0x1c36, 0x1c37},
    {0x1cd0, 0x1cd2}, {0x1cd4, 0x1ce0}, {0x1ce2, 0x1ce8}, {0x1ced, 0x1ced}, {0x1cf4, 0x1cf4},
    {0x1cf8, 0x1cf9}, {0x1dc0, 0x1dff}, {0x20d0, 0x20f0}, {0x2cef, 0x2cf1}, {0x2d7f, 0x2d7f},
    {0x2de0, 0x2dff}, {0x302a, 0x302d}, {0x3099, 0x309a}, {0xa66f, 0xa672}, {0xa674, 0xa67d},
    {0xa69e, 0xa69f}, {0xa6f0, 0xa6f1}, {0xa802, 0xa802}, {0xa806, 0xa806}, {0xa80b, 0xa80b},
    {0xa825, 0xa826}, {0xa82c, 0xa82c}, {0xa8c4, 0xa8c5}, {0xa8e0, 0xa8f1}, {0xa8ff, 0xa8ff},
    {0xa926, 0xa92d}, {0xa947, 0xa951}, {0xa980, 0xa982}, {0xa9b3, 0xa9b3}, {0xa9b6, 0xa9b9},
    {0xa9bc, 0xa9bd}, {0xa9e5, 0xa9e5}, {0xaa29, 0xaa2e}, {0xaa31, 0xaa32}, {0xaa35, 0xaa36},
    {0xaa43, 0xaa43}, {0xaa4c, 0xaa4c}, {0xaa7c, 0xaa7c}, {0xaab0, 0xaab0}, {0xaab2, 0xaab4},
    {0xaab7, 0xaab8}, {0xaabe, 0xaabf}, {0xaac1, 0xaac1}, {0xaaec, 0xaaed}, {0xaaf6, 0xaaf6},
    {0xabe5, 0xabe5}, {0xabe8, 0xabe8}, {0xabed, 0xabed}, {0xd7b0, 0xd7ff}, {0xfb1e, 0xfb1e},
    {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0x101fd, 0x101fd}, {0x102e0, 0x102e0}, {0x10376, 0x1037a},
    {0x10a01, 0x10a0f}, {0x10a38, 0x10a3f}, {0x10ae5, 0x10ae6}, {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11001, 0x11001},
    {0x11038, 0x11046}, {0x11070, 0x11070}, {0x11073, 0x11074}, {0x1107f, 0x11081},
    {0x110b3, 0x110b6}, {0x110b9, 0x110ba}, {0x110c2, 0x110c2}, {0x11100, 0x11102},
    {0x11127, 0x1112b}, {0x1112d, 0x11134}, {0x11173, 0x11173}, {0x11180, 0x11181},
    {0x111b6, 0x111be}, {0x111c9, 0x111cc}, {0x111cf, 0x111cf}, {0x1122f, 0x11231},
    {0x11234, 0x11234}, {0x11236, 0x11237}, {0x1123e, 0x1123e}, {0x112df, 0x112df},
    {0x112e3, 0x112ea}, {0x11300, 0x11301}, {0x1133b, 0x1133c}, {0x11340, 0x11340},
    {0x11366, 0x11374}, {0x11438, 0x1143f}, {0x11442, 0x11444}, {0x11446, 0x11446},
    {0x1145e, 0x1145e}, {0x114b3, 0x114b8}, {0x114ba, 0x114ba}, {0x114bf, 0x114c0},
    {0x114c2, 0x114c3}, {0x115b2, 0x115b5}, {0x115bc, 0x115bd}, {0x115bf, 0x115c0},
    {0x115dc, 0x115dd}, {0x11633, 0x1163a}, {0x1163d, 0x1163d}, {0x1163f, 0x11640},
    {0x116ab, 0x116ab}, {0x116ad, 0x116ad}, {0x116b0, 0x116b5}, {0x116b7, 0x116b7},
    {0x1171d, 0x1171f}, {0x11722, 0x11725}, {0x11727, 0x1172b}, {0x1182f, 0x11837},
    {0x11839, 0x1183a}, {0x1193b, 0x1193c}, {0x1193e, 0x1193e}, {0x11943, 0x11943},
    {0x119d4, 0x119db}, {0x119e0, 0x119e0}, {0x11a01, 0x11a0a}, {0x11a33, 0x11a38},
    {0x11a3b, 0x11a3e}, {0x11a47, 0x11a47}, {0x11a51, 0x11a56}, {0x11a59, 0x11a5b},
    {0x11a8a, 0x11a96}, {0x11a98, 0x11a99}, {0x11c30, 0x11c3d}, {0x11c3f, 0x11c3f},
    {0x11c92, 0x11ca7}, {0x11caa, 0x11cb0}, {0x11cb2, 0x11cb3}, {0x11cb5, 0x11cb6},
    {0x11d31, 0x11d45}, {0x11d47, 0x11d47}, {0x11d90, 0x11d91}, {0x11d95, 0x11d95},
    {0x11d97, 0x11d97}, {0x11ef3, 0x11ef4}, {0x16af0, 0x16af4}, {0x16b30, 0x16b36},
    {0x16f4f, 0x16f4f}, {0x16f8f, 0x16f92}, {0x16fe4, 0x16fe4}, {0x1bc9d, 0x1bc9e},
    {0x1cf00, 0x1cf46}, {0x1d167, 0x1d169}, {0x1d17b, 0x1d182}, {0x1d185, 0x1d18b},
    {0x1d1aa, 0x1d1ad}, {0x1d242, 0x1d244}, {0x1da00, 0x1da36}, {0x1da3b, 0x1da6c},
    {0x1da75, 0x1da75}, {0x1da84, 0x1da84}, {0x1da9b, 0x1daaf}, {0x1e000, 0x1e02a},
    {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e8d0, 0x1e8d6},
    {0x1e944, 0x1e94a}, {0xe0100, 0xe01ef},
};

// East_Asian_Width W and F (UAX #11, Unicode 14 with the blocks that 16 made wide), and the circled numbers
// U+3248..U+324F, which are ambiguous but wide in most terminals. Unassigned code points between two of them are
// included: a column too many leaves a gap, one too few overflows.
static const struct range double_width[] = {
    {0x1100, 0x115f}, {0x231a, 0x231b}, {0x2329, 0x232a}, {0x23e9, 0x23ec}, {0x23f0, 0x23f0},
    {0x23f3, 0x23f3}, {0x25fd, 0x25fe}, {0x2614, 0x2615}, {0x2630, 0x2637}, {0x2648, 0x2653},
    {0x267f, 0x267f}, {0x268a, 0x268f}, {0x2693, 0x2693}, {0x26a1, 0x26a1}, {0x26aa, 0x26ab},
    {0x26bd, 0x26be}, {0x26c4, 0x26c5}, {0x26ce, 0x26ce}, {0x26d4, 0x26d4}, {0x26ea, 0x26ea},
    {0x26f2, 0x26f3}, {0x26f5, 0x26f5}, {0x26fa, 0x26fa}, {0x26fd, 0x26fd}, {0x2705, 0x2705},
    {0x270a, 0x270b}, {0x2728, 0x2728}, {0x274c, 0x274c}, {0x274e, 0x274e}, {0x2753, 0x2755},
    {0x2757, 0x2757}, {0x2795, 0x2797}, {0x27b0, 0x27b0}, {0x27bf, 0x27bf}, {0x2b1b, 0x2b1c},
    {0x2b50, 0x2b50}, {0x2b55, 0x2b55}, {0x2e80, 0x3029}, {0x302e, 0x303e}, {0x3041, 0x3096},
    {0x309b, 0xa4cf}, {0xa960, 0xa97c}, {0xac00, 0xd7a3}, {0xf900, 0xfad9}, {0xfe10, 0xfe19},
    {0xfe30, 0xfe6b}, {0xff01, 0xff60}, {0xffe0, 0xffe6}, {0x16fe0, 0x16fe3}, {0x16ff0, 0x1b2fb},
    {0x1b300, 0x1b36f}, {0x1d300, 0x1d376}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf},
    {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f335},
    {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3},
    {0x1f3e0, 0x1f3f0}, {0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440},
    {0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e}, {0x1f550, 0x1f567},
    {0x1f57a, 0x1f57a}, {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f},
    {0x1f680, 0x1f6c5}, {0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6df},
    {0x1f6eb, 0x1f6ec}, {0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7f0}, {0x1f90c, 0x1f93a},
    {0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};
// clang-format on

static bool contains(const struct range *ranges, size_t count, uint32_t code_point)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (code_point > ranges[middle].last)
            low = middle + 1;
        else if (code_point < ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

unsigned text_code_point_width(uint32_t code_point)
{
    if (code_point < 0x300)
        return 1;
    if (contains(zero_width, sizeof(zero_width) / sizeof(zero_width[0]), code_point))
        return 0;
    return contains(double_width, sizeof(double_width) / sizeof(double_width[0]), code_point) ? 2
                                                                                              : 1;
}

// --- cleaning, measuring and cutting text for the terminal ----------------------------------------

#define MAX_RAW_BYTES 4096 // no attribute is longer, no line shows more
#define MAX_MARKS 3 // combining marks on one character; more of them would overlap other lines

enum treatment { KEEP, DROP, BLANK, REPLACE };

struct treated_range {
    uint32_t first;
    uint32_t last;
    enum treatment treatment;
};

// In order. Directional formatting characters can make a name look like another one (Unicode Technical Report #36,
// 2.6), controls of C0 and C1 control the terminal (ECMA-48, 5.2 and 5.3).
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
    {0xf0000, 0x10ffff, REPLACE} // private planes: width unknown
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

// Requires a valid sequence.
static uint32_t decode_code_point(const char *sequence, size_t len)
{
    static const uint32_t lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code_point = (uint8_t)sequence[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++)
        code_point = code_point << 6 | ((uint8_t)sequence[i] & 0x3fU);
    return code_point;
}

// Removes the next character from `rest`; a byte that starts no valid sequence counts as U+FFFD.
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
    bool has_base; // there is such a character
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

// No blanks at the beginning: a mark on a trimmed blank would combine with whatever precedes the text.
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
    // A single invalid byte becomes the three bytes of U+FFFD.
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
    // The rest may begin with the marks of a character that did not fit.
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
