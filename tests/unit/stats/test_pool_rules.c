// Rules that name pools and leave labels out of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_rules.h"

static const struct slice gpu_globs[] = {{"arc-gpu-*", 9}, {"a100", 4}};
static const struct slice arc_globs[] = {{"arc-*", 5}};
static const struct slice big_globs[] = {{"*-xl", 4}};
static const struct pool_rule rules_list[] = {
    {.name = {"gpu", 3}, .globs = gpu_globs, .glob_count = 2},
    {.name = {"ARC", 3}, .globs = arc_globs, .glob_count = 1},
    {.name = {"gpu", 3}, .globs = big_globs, .glob_count = 1},
};
static const struct slice ignored[] = {{"run-*", 5}, {"*,id", 4}};
static const struct pool_rules rules = {rules_list, 3, ignored, 2};

static void assert_choice(const struct pool_rules *given, const char *labels, const char *shown,
                          const char *asked, bool is_rule)
{
    char room[LABELS_TEXT_MAX];
    struct pool_choice choice;
    pool_rules_choose(given, slice_from_string(labels), room, &choice);
    if (!slice_equals(choice.shown, slice_from_string(shown)) ||
        !slice_equals(choice.asked, slice_from_string(asked)))
        fail_msg("%s: \"%.*s\", \"%.*s\"", labels, SLICE_ARGS(choice.shown),
                 SLICE_ARGS(choice.asked));
    assert_int_equal(choice.is_rule, is_rule);
}

static void without_rules_a_pool_is_its_labels(void **state)
{
    (void)state;
    assert_choice(NULL, "Linux,x64", "Linux,x64", "Linux,x64", false);
    assert_choice(&(struct pool_rules){.count = 0}, "", "", "", false);
}

static void a_rule_names_the_pool_of_jobs_with_a_label_that_it_matches(void **state)
{
    (void)state;
    assert_choice(&rules, "ARC-GPU-7,linux", "gpu", "ARC-GPU-7,linux", true);
    assert_choice(&rules, "linux,x64,A100", "gpu", "linux,x64,A100", true);
    assert_choice(&rules, "arc-gp,linux", "ARC", "arc-gp,linux", true);
    assert_choice(&rules, "linux", "linux", "linux", false);
    // The first rule decides, whatever the order of the labels; one name may have several rules.
    assert_choice(&rules, "arc-1,large-xl", "ARC", "arc-1,large-xl", true);
    assert_choice(&rules, "arc-1,a100", "gpu", "arc-1,a100", true);
    assert_choice(&rules, "large-xl", "gpu", "large-xl", true);
}

static void the_label_with_the_name_of_a_rule_is_in_its_pool(void **state)
{
    (void)state;
    assert_choice(&rules, "GPU", "gpu", "GPU", true);
    assert_choice(&rules, "gpu,linux", "gpu,linux", "gpu,linux", false);
    assert_choice(&rules, "arc,run-7", "ARC", "arc", true);
}

static void ignored_labels_are_left_out_of_the_set_and_still_match_rules(void **state)
{
    static const struct slice arc_run[] = {{"run-*", 5}};
    static const struct pool_rule one[] = {{{"runs", 4}, arc_run, 1}};
    const struct pool_rules both = {one, 1, ignored, 2};
    (void)state;
    assert_choice(&rules, "linux,run-123,x64", "linux,x64", "linux,x64", false);
    assert_choice(&rules, "RUN-1,linux", "linux", "linux", false);
    assert_choice(&rules, "linux,run-1", "linux", "linux", false);
    assert_choice(&rules, "run-1", "", "", false);
    assert_choice(&rules, "a100,run-1", "gpu", "a100", true);
    assert_choice(&both, "linux,run-1", "runs", "linux", true);
}

static void escaped_labels_are_compared_as_they_are_and_stay_escaped(void **state)
{
    (void)state;
    assert_choice(&rules, "a\\,b,run-1,x\\\\y", "a\\,b,x\\\\y", "a\\,b,x\\\\y", false);
    assert_choice(&rules, "a\\,id,b\\,", "b\\,", "b\\,", false);
    assert_choice(&rules, "b\\,,run-1", "b\\,", "b\\,", false);
}

static void names_of_rules_are_those_that_a_url_and_a_metric_can_have(void **state)
{
    static const char *const bad[] = {"", "a,b", "a b", "(one-off)", "a\\b", "a/b", "\xc3\xa9"};
    char longest[POOL_RULE_NAME_MAX + 1];
    (void)state;
    memset(longest, 'a', sizeof longest);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(pool_rule_name_fault(slice_from_string(bad[i])));
    assert_non_null(pool_rule_name_fault((struct slice){longest, sizeof longest}));
    assert_null(pool_rule_name_fault((struct slice){longest, sizeof longest - 1}));
    assert_null(pool_rule_name_fault(SLICE("GPU-a100_v1.2")));
    assert_true(pool_rules_have(&rules, SLICE("arc")));
    assert_false(pool_rules_have(&rules, SLICE("arc-1")));
    assert_false(pool_rules_have(NULL, SLICE("arc")));
}

// --- the name of a pool ------------------------------------------------------------------------------------

static void assert_name(const char *labels, bool is_rule, const char *expected)
{
    char room[LABELS_TEXT_MAX];
    const struct pool pool = {.labels = slice_from_string(labels), .is_rule = is_rule};
    struct slice name = pool_name(&pool, room);
    assert_int_equal(name.len, strlen(expected));
    assert_memory_equal(name.data, expected, name.len);
    // What is found by its name is this pool.
    struct pool_id id = pool_make_id(pool.labels), by_name = pool_make_id(name);
    assert_memory_equal(id.bytes, by_name.bytes, POOL_ID_SIZE);
}

static void the_name_of_a_pool_is_its_labels_or_that_of_its_rule(void **state)
{
    (void)state;
    assert_name("X64,linux", false, "linux,x64");
    assert_name("A\\,b,linux", false, "a\\,b,linux");
    assert_name("GPU", true, "GPU");
    assert_name("", false, "(none)");
    assert_name("(one-off)", false, "(one-off)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_a_pool_is_its_labels),
        cmocka_unit_test(a_rule_names_the_pool_of_jobs_with_a_label_that_it_matches),
        cmocka_unit_test(the_label_with_the_name_of_a_rule_is_in_its_pool),
        cmocka_unit_test(ignored_labels_are_left_out_of_the_set_and_still_match_rules),
        cmocka_unit_test(escaped_labels_are_compared_as_they_are_and_stay_escaped),
        cmocka_unit_test(names_of_rules_are_those_that_a_url_and_a_metric_can_have),
        cmocka_unit_test(the_name_of_a_pool_is_its_labels_or_that_of_its_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
