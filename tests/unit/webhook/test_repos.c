// Which repositories are accepted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/webhook/webhook.h"

static void the_last_glob_that_matches_decides(void **state)
{
    static const struct {
        const char *globs[4];
        const char *name;
        bool is_wanted;
    } cases[] = {
        {{NULL}, "acme/rocket", true},
        {{"acme/*"}, "acme/rocket", true},
        {{"acme/*"}, "ACME/Rocket", true},
        {{"acme/*"}, "other/rocket", false},
        {{"acme/*"}, "acme", false},
        {{"acme/rocket"}, "acme/rocket2", false},
        {{"acme/rocket?"}, "acme/rocket2", true},
        {{"acme/*", "other/*"}, "other/x", true},
        {{"!acme/*"}, "acme/rocket", false},
        {{"!acme/*"}, "other/rocket", true}, // only exclusions: all others count
        {{"!acme/*", "!other/*"}, "third/x", true},
        {{"acme/*", "!acme/secret-*"}, "acme/secret-plans", false},
        {{"acme/*", "!acme/secret-*"}, "acme/rocket", true},
        {{"acme/*", "!acme/secret-*"}, "other/x", false},
        {{"!acme/secret-*", "acme/*"}, "acme/secret-plans", true}, // the last match decides
        {{"acme/*", "!acme/*", "acme/rocket"}, "acme/rocket", true},
        {{"!*"}, "acme/rocket", false},
        {{"*"}, "acme/rocket", true},
        {{"!"}, "acme/rocket", true}, // excludes the empty name
        {{"acme/*"}, "", false},
        {{"[af]*/*"}, "acme/rocket", true},
        {{"[af]*/*"}, "FOO/rocket", true},
        {{"[af]*/*"}, "beta/rocket", false},
        {{"[!af]*/*"}, "Acme/rocket", false},
        {{"*", "![a-f]*/*", "acme/*"}, "acme/rocket", true},
        {{"*", "![a-f]*/*", "acme/*"}, "beta/rocket", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice globs[4];
        size_t count = 0;
        while (count < 4 && cases[i].globs[count] != NULL) {
            globs[count] = slice_from_string(cases[i].globs[count]);
            count++;
        }
        if (ingress_repository_is_wanted(globs, count, slice_from_string(cases[i].name)) !=
            cases[i].is_wanted)
            fail_msg("case %zu: %s", i, cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_glob_that_matches_decides),
    };
    return cmocka_run_group_tests_name("ingress/repos", tests, NULL, NULL);
}
