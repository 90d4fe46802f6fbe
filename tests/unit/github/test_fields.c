// The kinds of fields that a table reads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/github/payloads.h"

struct target {
    bool flag, other;
};

static const struct field rows[] = {
    {FIELD_NAME("flag"), FIELD_BOOLEAN, .offset = offsetof(struct target, flag)},
};
static const struct field_table table = FIELD_TABLE(rows);
static const struct field required_rows[] = {
    {FIELD_NAME("flag"), FIELD_BOOLEAN, .required = true, .offset = offsetof(struct target, flag)},
};
static const struct field_table required_table = FIELD_TABLE(required_rows);
static const struct field mixed_rows[] = {
    {FIELD_NAME("flag"), FIELD_BOOLEAN, .required = true, .offset = offsetof(struct target, flag)},
    {FIELD_NAME("other"), FIELD_BOOLEAN, .offset = offsetof(struct target, other)},
};
static const struct field_table mixed_table = FIELD_TABLE(mixed_rows);

static enum error_code read(const char *body, const struct field_table *with, bool *flag,
                            struct error *error)
{
    struct arena arena;
    struct target target = {.flag = *flag};
    struct payload payload = {.arena = &arena, .error = error};
    arena_init(&arena, 1024);
    enum error_code code = json_parse(slice_from_string(body), &arena, &payload.document, error);
    if (code == ERROR_NONE)
        code = fields_read(&payload, SLICE_EMPTY, JSON_ROOT, with, &target);
    *flag = target.flag;
    arena_release(&arena);
    return code;
}

static void a_boolean_is_true_or_false_and_any_other_value_counts_as_absent(void **state)
{
    static const struct {
        const char *body;
        bool expected[2]; // where it was false, and where it was true
    } cases[] = {
        {"{\"flag\": true}", {true, true}},
        {"{\"flag\": false}", {false, false}},
        {"{\"flag\": null}", {false, true}},
        {"{}", {false, true}},
        {"{\"flag\": 1}", {false, true}},
        {"{\"flag\": \"true\"}", {false, true}},
        {"{\"flag\": [true]}", {false, true}},
        {"{\"flag\": {\"flag\": true}}", {false, true}},
        {"{\"flag\": true, \"flag\": false}", {true, true}},
    };
    struct error error = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int before = 0; before < 2; before++) {
            bool flag = before != 0;
            assert_int_equal(read(cases[i].body, &table, &flag, &error), ERROR_NONE);
            assert_int_equal(flag, cases[i].expected[before]);
        }
    }
}

static void a_required_boolean_of_another_type_is_refused(void **state)
{
    struct error error = {0};
    bool flag = false;
    (void)state;
    assert_int_equal(read("{\"flag\": 0}", &required_table, &flag, &error), ERROR_INVALID);
    assert_string_equal(error.message, "flag: not a boolean");
    assert_int_equal(read("{\"flag\": true}", &required_table, &flag, &error), ERROR_NONE);
    assert_true(flag);
}

static void an_odd_value_before_a_required_one_is_no_reason_to_refuse_it(void **state)
{
    struct error error = {0};
    bool flag = false;
    (void)state;
    assert_int_equal(read("{\"other\": 5, \"flag\": true}", &mixed_table, &flag, &error),
                     ERROR_NONE);
    assert_true(flag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_odd_value_before_a_required_one_is_no_reason_to_refuse_it),
        cmocka_unit_test(a_boolean_is_true_or_false_and_any_other_value_counts_as_absent),
        cmocka_unit_test(a_required_boolean_of_another_type_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
