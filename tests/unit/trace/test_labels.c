// Labels as one text: sets that GitHub considers equal have the same identity, others do not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/trace/labels.h"
#include "support/scenario.h"

#define LABELS 6

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 65536);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void assert_text(struct slice actual, const char *expected)
{
    if (!slice_equals(actual, slice_from_string(expected)))
        fail_msg("\"%.*s\", expected \"%s\"", SLICE_ARGS(actual), expected);
}

static struct slice join(const struct slice *labels, size_t count)
{
    struct slice joined;
    assert_true(labels_join(labels, count, &arena, &joined));
    assert_true(joined.len <= LABELS_TEXT_MAX);
    return joined;
}

// Labels from a list separated by blanks.
static struct slice join_words(const char *words)
{
    struct slice labels[32];
    size_t count = 0;
    while (*words != '\0') {
        size_t len = strcspn(words, " ");
        labels[count++] = (struct slice){words, len};
        words += len + (words[len] == ' ' ? 1 : 0);
    }
    return join(labels, count);
}

static struct slice identity(struct slice joined)
{
    static char rooms[4][LABELS_TEXT_MAX];
    static unsigned next;
    return labels_identity(joined, rooms[next++ % 4]);
}

// --- the text ----------------------------------------------------------------------------------------

static void the_text_keeps_the_spelling_and_ignores_order_and_number(void **state)
{
    static const struct {
        const char *words, *text;
    } cases[] = {
        {"", ""},
        {"linux", "linux"},
        {"linux x64 gpu linux", "gpu,linux,x64"},
        {"gpu linux x64", "gpu,linux,x64"},
        {"self-hosted Linux X64", "Linux,X64,self-hosted"},
        {"X64 self-hosted Linux", "Linux,X64,self-hosted"},
        {"x64 LINUX linux", "LINUX,x64"},
        {"x64 linux LINUX Linux X64", "LINUX,X64"},
        {"[x Zx", "Zx,[x"}, // in lower case the other order
        {"self-hosted,linux,x64", "self-hosted\\,linux\\,x64"},
        {"a,b a b", "a,a\\,b,b"},
        {"a\\b", "a\\\\b"},
        {"a\\,b", "a\\\\\\,b"},
        {"say\"it\"", "say\"it\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_text(join_words(cases[i].words), cases[i].text);
    const struct slice with_empty[] = {SLICE("gpu"), SLICE_EMPTY, SLICE("linux")};
    assert_text(join(with_empty, 3), "gpu,linux");
    assert_text(join(with_empty + 1, 1), "");
    assert_text(join(NULL, 0), "");
}

static void many_labels_are_sorted_and_cut_between_characters(void **state)
{
    static char texts[200][16];
    struct slice labels[200];
    (void)state;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "\xc3\xa9%03d", 199 - i); // é and a number
        labels[i] = slice_from_string(texts[i]);
    }
    struct slice joined = join(labels, 200);
    assert_true(joined.len > LABELS_TEXT_MAX - 6);
    assert_true(slice_starts_with(joined, SLICE("\xc3\xa9"
                                                "000,\xc3\xa9"
                                                "001,\xc3\xa9"
                                                "002,")));
}

static void a_text_is_never_cut_inside_a_character(void **state)
{
    char text[300];
    const struct slice labels[] = {{text, sizeof text}, SLICE("y")};
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text + 255, "\xc3\xa9", 2); // across the limit
    assert_int_equal(join(labels, 1).len, LABELS_TEXT_MAX - 1);
    assert_int_equal(join(labels, 2).len, LABELS_TEXT_MAX - 1);
    memset(text + 200, ',', sizeof text - 200); // two bytes each
    assert_int_equal(join(labels, 1).len, LABELS_TEXT_MAX);
    text[0] = ','; // so that the last has one byte of room
    assert_int_equal(join(labels, 1).len, LABELS_TEXT_MAX - 1);
}

// --- identity ----------------------------------------------------------------------------------------

static void sets_that_github_considers_equal_are_equal(void **state)
{
    static const struct {
        const char *one, *other;
        bool is_same;
    } cases[] = {
        {"linux x64", "Linux X64", true},
        {"linux x64", "x64 LINUX linux", true},
        {"self-hosted linux x64", "SELF-HOSTED x64 linux", true},
        {"self-hosted linux x64", "self-hosted,linux,x64", false},
        {"Self-Hosted,LINUX,x64", "self-hosted,linux,X64", true},
        {"a,b c", "a b,c", false},
        {"a,b c", "a b c", false},
        {"a\\ b", "a\\,b", false},
        {"linux", "linux x64", false},
        {"\xc3\x84", "\xc3\xa4", false}, // Ä, ä: of other letters the case counts
        {"a_b", "A_B", true},
        {"a_ aB", "A_ ab", true}, // '_' is between the upper-case and the lower-case letters
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice one = join_words(cases[i].one), other = join_words(cases[i].other);
        if (labels_are_same(one, other) != cases[i].is_same)
            fail_msg("\"%s\" and \"%s\"", cases[i].one, cases[i].other);
    }
}

// Letters of either case, characters between the two alphabets, what is escaped, and more than one byte.
static struct slice make_label(uint32_t *seed, char room[64], size_t most)
{
    static const char *const pieces[] = {"a", "b", "Z", "_", "-", ",", "\\", "[", "\xc3\xa9", "x"};
    size_t len = 0, wanted = 1 + next_random(seed) % most;
    for (size_t i = 0; i < wanted; i++) {
        const char *piece = pieces[next_random(seed) % 10];
        memcpy(room + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return (struct slice){room, len};
}

static struct slice change_spelling(uint32_t *seed, struct slice label, char room[64])
{
    for (size_t i = 0; i < label.len; i++) {
        char c = label.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        room[i] = is_letter && next_random(seed) % 2 == 0 ? (char)(c ^ 0x20) : c;
    }
    return (struct slice){room, label.len};
}

// Each label once, then some again, in any order, each spelled in any way.
static struct slice join_in_random_order(uint32_t *seed, const struct slice *labels, size_t count)
{
    static char rooms[2 * LABELS][64];
    struct slice repeated[2 * LABELS];
    size_t more = count + next_random(seed) % (count + 1);
    for (size_t i = 0; i < more; i++)
        repeated[i] =
            change_spelling(seed, labels[i < count ? i : next_random(seed) % count], rooms[i]);
    for (size_t i = more - 1; i > 0; i--) {
        size_t other = next_random(seed) % (i + 1);
        struct slice label = repeated[i];
        repeated[i] = repeated[other];
        repeated[other] = label;
    }
    return join(repeated, more);
}

static struct slice read_again(struct slice joined)
{
    struct slice *labels;
    size_t count;
    assert_true(labels_split(joined, &arena, &labels, &count));
    return join(labels, count);
}

static void case_order_and_repetition_do_not_change_the_identity(void **state)
{
    char rooms[LABELS][64];
    (void)state;
    for (uint32_t round = 0; round < 20000; round++) {
        struct slice labels[LABELS];
        uint32_t seed = round;
        size_t count = 1 + next_random(&seed) % LABELS;
        size_t most = round % 4 == 0 ? 30 : 4; // some have no room
        for (size_t i = 0; i < count; i++)
            labels[i] = make_label(&seed, rooms[i], most);
        struct slice joined = join(labels, count);
        struct slice other = join_in_random_order(&seed, labels, count);
        struct slice read = read_again(joined);
        char first[LABELS_TEXT_MAX];
        if (!slice_equals(labels_identity(joined, first), identity(other)))
            fail_msg("\"%.*s\" and \"%.*s\"", SLICE_ARGS(joined), SLICE_ARGS(other));
        if (!slice_equals(joined, read))
            fail_msg("\"%.*s\" is read as \"%.*s\"", SLICE_ARGS(joined), SLICE_ARGS(read));
        // The identity is a text like any other, and its own identity.
        assert_true(slice_equals(identity(identity(joined)), identity(joined)));
        assert_true(slice_equals(read_again(identity(joined)), identity(joined)));
        assert_true(utf8_is_valid(joined));
        arena_clear(&arena);
    }
}

// Against a comparison of the sets, label by label.
static bool are_same_sets(const struct slice *one, size_t count, const struct slice *other,
                          size_t other_count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_there = false;
        for (size_t j = 0; j < other_count; j++)
            is_there = is_there || slice_equals_ignoring_case(one[i], other[j]);
        if (!is_there)
            return false;
    }
    return true;
}

static void different_sets_have_different_identities(void **state)
{
    char rooms[2][3][64];
    size_t same = 0;
    (void)state;
    for (uint32_t round = 0; round < 50000; round++) {
        struct slice labels[2][3];
        size_t counts[2];
        uint32_t seed = round;
        for (int side = 0; side < 2; side++) {
            counts[side] = 1 + next_random(&seed) % 3;
            for (size_t i = 0; i < counts[side]; i++)
                labels[side][i] = make_label(&seed, rooms[side][i], 2);
        }
        bool is_same = are_same_sets(labels[0], counts[0], labels[1], counts[1]) &&
                       are_same_sets(labels[1], counts[1], labels[0], counts[0]);
        struct slice one = join(labels[0], counts[0]), other = join(labels[1], counts[1]);
        if (labels_are_same(one, other) != is_same)
            fail_msg("\"%.*s\" and \"%.*s\"", SLICE_ARGS(one), SLICE_ARGS(other));
        same += is_same ? 1 : 0;
        arena_clear(&arena);
    }
    assert_true(same > 100);
}

// --- reading -----------------------------------------------------------------------------------------

static void texts_of_users_and_of_older_versions_are_read(void **state)
{
    static const struct {
        const char *text, *joined;
    } cases[] = {
        {"", ""},           {",", ""},        {"b,a", "a,b"},     {"b,,a,", "a,b"},
        {"a\\,b", "a\\,b"}, {"a\\", "a\\\\"}, {"a\\b", "a\\\\b"}, {"a\\\\,b", "a\\\\,b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_text(read_again(slice_from_string(cases[i].text)), cases[i].joined);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

// --- globs on labels and groups ----------------------------------------------------------------------

static struct slice take_word(struct slice *rest)
{
    ptrdiff_t blank = slice_find(*rest, SLICE(" "));
    struct slice word = {rest->data, blank < 0 ? rest->len : (size_t)blank};
    *rest = slice_skip(*rest, word.len + (blank < 0 ? 0 : 1));
    return word;
}

static void the_last_glob_that_matches_a_label_or_the_group_decides(void **state)
{
    static const struct {
        const char *globs, *labels, *group;
        bool is_selected;
    } cases[] = {
        {"", "linux", "default", false},
        {"arc-*", "arc-small", "", true},
        {"arc-*", "linux ARC-small", "", true},
        {"arc-*", "linux", "Arc-Group", true},
        {"arc-*", "linux my-arc-small", "default", false},
        {"arc-* !arc-gpu", "arc-small", "", true},
        {"arc-* !arc-gpu", "arc-gpu", "", false},
        {"arc-* !arc-gpu", "arc-small", "arc-gpu", false},
        {"!arc-gpu arc-*", "arc-gpu", "", true},
        {"* !ubuntu-*", "self-hosted", "", true},
        {"* !ubuntu-*", "ubuntu-24.04", "GitHub Actions", false},
        {"GitHub?Actions", "ubuntu-24.04", "GitHub Actions", true},
        {"*", "", "", true},
        {"default", "", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice items[4], labels[4];
        struct runner_globs globs = {.items = items};
        size_t label_count = 0;
        for (struct slice rest = slice_from_string(cases[i].globs); rest.len > 0;)
            items[globs.count++] = take_word(&rest);
        for (struct slice rest = slice_from_string(cases[i].labels); rest.len > 0;)
            labels[label_count++] = take_word(&rest);
        bool is_selected =
            runner_globs_select(&globs, labels, label_count, slice_from_string(cases[i].group));
        if (is_selected != cases[i].is_selected)
            fail_msg("\"%s\" for labels \"%s\" and group \"%s\"", cases[i].globs, cases[i].labels,
                     cases[i].group);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_text_keeps_the_spelling_and_ignores_order_and_number),
        TEST(many_labels_are_sorted_and_cut_between_characters),
        TEST(a_text_is_never_cut_inside_a_character),
        TEST(sets_that_github_considers_equal_are_equal),
        TEST(case_order_and_repetition_do_not_change_the_identity),
        TEST(different_sets_have_different_identities),
        TEST(texts_of_users_and_of_older_versions_are_read),
        TEST(the_last_glob_that_matches_a_label_or_the_group_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
