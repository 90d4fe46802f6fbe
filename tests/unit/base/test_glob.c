// Globs: they match like fnmatch(3), and faults are described.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fnmatch.h>
#include <string.h>

#include "ghatrace/base/glob.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct slice text(const char *string)
{
    return slice_from_string(string);
}

static void globs_match_whole_names(void **state)
{
    static const struct {
        const char *glob, *name;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "octo-org/octo-repo", true},
        {"**", "a", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"octo-org/*", "octo-org/octo-repo", true},
        {"octo-org/*", "octo-org/", true},
        {"octo-org/*", "octo-org", false},
        {"octo-org/*", "x-octo-org/a", false},
        {"*/docs", "a/docs", true},
        {"*/docs", "a/docs2", false},
        {"*/docs", "a/docs/docs", true},
        {"OCTO-Org/*", "octo-oRG/x", true},
        {"a*b*c", "abc", true},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "aXbYcZ", false},
        {"a*b*c", "acb", false},
        {"*a*a*a", "aa", false},
        {"*aab", "aaaab", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*?", "", false},
        {"*?", "xyz", true},
        {"abc", "ab", false},
        {"ab", "abc", false},
        {"ab*", "a", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (glob_matches(text(cases[i].glob), text(cases[i].name)) != cases[i].matches)
            fail_msg("\"%s\" on \"%s\"", cases[i].glob, cases[i].name);
    }
}

static void brackets_match_one_of_a_set(void **state)
{
    static const struct {
        const char *glob, *name;
        bool matches;
    } cases[] = {
        {"[af]*/x", "acme/x", true},
        {"[af]*/x", "FOO/x", true},
        {"[af]*/x", "beta/x", false},
        {"[AF]*/x", "acme/x", true},
        {"[a-f]", "c", true},
        {"[a-f]", "C", true},
        {"[A-F]", "c", true},
        {"[a-f]", "g", false},
        {"[!a-f]", "g", true},
        {"[!a-f]", "C", false},
        {"[^a-f]", "g", true},
        {"[^a-f]", "a", false},
        {"[a-c0-9_]", "5", true},
        {"[a-c0-9_]", "_", true},
        {"[a-c0-9_]", "-", false},
        {"[]a]", "]", true},
        {"[!]a]", "]", false},
        {"[!]a]", "b", true},
        {"[a-]", "-", true},
        {"[-a]", "-", true},
        {"[a-]", "b", false},
        {"[a\\]b]", "]", true},
        {"[a\\-c]", "b", false},
        {"[a\\-c]", "-", true},
        {"\\[a]", "[a]", true},
        {"\\[a]", "a", false},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"[*]", "x", false},
        {"[[:digit:]]*", "7up", true},
        {"[[:digit:]]*", "up7", false},
        {"[![:alnum:]]", "-", true},
        {"[[:upper:]]", "a", true}, // without case
        {"[x[:punct:]]", "-", true},
        {"[[:xdigit:]-]", "-", true},
        {"*[0-9]", "runner-12", true},
        {"*[!0-9]*", "12", false},
        {"a[", "a[", false}, // faulty
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (glob_matches(text(cases[i].glob), text(cases[i].name)) != cases[i].matches)
            fail_msg("\"%s\" on \"%s\"", cases[i].glob, cases[i].name);
    }
}

static void faults_are_described(void **state)
{
    static const char *const sound[] = {
        "", "*", "acme/[a-f]*", "[]]", "[!]]", "[]-a]", "[[:alpha:]]", "a]", "[a-]", "\\\\", "[[]"};
    static const char *const faulty[] = {
        "[",  "[a",  "[]",         "[!",        "[!]",     "a*[b/c",  "[a\\]", "[z-a]",
        "\\", "a\\", "[[:word:]]", "[[:alpha]", "[[.a.]]", "[[=a=]]", "[a-",   "[a-\\"};

    (void)state;
    for (size_t i = 0; i < COUNT(sound); i++)
        if (glob_fault(text(sound[i])) != NULL)
            fail_msg("\"%s\": %s", sound[i], glob_fault(text(sound[i])));
    for (size_t i = 0; i < COUNT(faulty); i++)
        if (glob_fault(text(faulty[i])) == NULL)
            fail_msg("\"%s\" has no fault", faulty[i]);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void make_text(uint32_t *seed, const char *characters, size_t most, char *out)
{
    size_t len = next_random(seed) % (most + 1);
    for (size_t i = 0; i < len; i++)
        out[i] = characters[next_random(seed) % strlen(characters)];
    out[len] = '\0';
}

// glibc's, ignoring case. It matches malformed globs literally.
static void results_equal_those_of_fnmatch(void **state)
{
    size_t sound = 0, matching = 0;
    (void)state;
    for (uint32_t round = 0; round < 400000; round++) {
        char glob[16], name[8];
        uint32_t seed = round * 7919;
        make_text(&seed, "aBc*?[]!^-\\[]c", 12, glob);
        make_text(&seed, "AbC-]", 4, name);
        if (glob_fault(text(glob)) != NULL)
            continue;
        sound++;
        bool wanted = fnmatch(glob, name, FNM_CASEFOLD) == 0;
        matching += wanted ? 1 : 0;
        if (glob_matches(text(glob), text(name)) != wanted)
            fail_msg("\"%s\" on \"%s\"", glob, name);
    }
    assert_true(sound > 50000 && matching > 5000);
}

// Naive backtracking would take longer than the age of the universe.
static void a_hostile_glob_is_matched_quickly(void **state)
{
    char name[2001], glob[401];

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i + 1 < sizeof(glob); i += 2)
        memcpy(glob + i, "*a", 2);
    glob[sizeof(glob) - 1] = '\0';
    assert_true(glob_matches(text(glob), text(name)));
    name[sizeof(name) - 2] = 'b';
    assert_false(glob_matches(text(glob), text(name)));
    for (size_t i = 0; i + 3 < sizeof(glob); i += 4)
        memcpy(glob + i, "*[a]", 4);
    assert_false(glob_matches(text(glob), text(name)));
    memset(glob, '[', sizeof(glob) - 1);
    assert_false(glob_matches(text(glob), text(name)));
}

static void element_lengths_are_exact(void **state)
{
    (void)state;
    assert_int_equal(glob_element_length(text("ab"), 0), 1);
    assert_int_equal(glob_element_length(text("a\\*b"), 1), 2);
    assert_int_equal(glob_element_length(text("[]-a]b"), 0), 5);
    assert_int_equal(glob_element_length(text("*?"), 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs_match_whole_names),
        cmocka_unit_test(brackets_match_one_of_a_set),
        cmocka_unit_test(faults_are_described),
        cmocka_unit_test(results_equal_those_of_fnmatch),
        cmocka_unit_test(a_hostile_glob_is_matched_quickly),
        cmocka_unit_test(element_lengths_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
