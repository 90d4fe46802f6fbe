// Secrets that are replaced while others read them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/webhook/secrets.h"

static struct ingress_secrets *create(void)
{
    struct ingress_secrets *secrets = NULL;
    struct error error;

    assert_int_equal(ingress_secrets_create(&secrets, &error), ERROR_NONE);
    return secrets;
}

static void replace(struct ingress_secrets *secrets, const char *text)
{
    struct slice items[2] = {slice_from_string(text), slice_from_string(text)};
    struct error error;

    assert_int_equal(ingress_secrets_replace(secrets, items, 2, &error), ERROR_NONE);
}

static void at_first_there_are_no_secrets(void **state)
{
    struct ingress_secrets *secrets = create();
    struct secret_set *set = secrets_ref(secrets);

    (void)state;
    assert_int_equal(set->count, 0);
    secrets_unref(set);
    ingress_secrets_destroy(secrets);
    ingress_secrets_destroy(NULL);
}

static void secrets_are_copied(void **state)
{
    struct ingress_secrets *secrets = create();
    char text[] = "first";
    struct slice items[] = {SLICE_EMPTY, {.data = text, .len = 5}, SLICE("a\0b")};
    struct error error;

    (void)state;
    assert_int_equal(ingress_secrets_replace(secrets, items, 3, &error), ERROR_NONE);
    text[0] = 'x';
    struct secret_set *set = secrets_ref(secrets);
    assert_int_equal(set->count, 3);
    assert_int_equal(set->items[0].len, 0);
    assert_true(slice_equals(set->items[1], SLICE("first")));
    assert_true(slice_equals(set->items[2], SLICE("a\0b")));
    secrets_unref(set);
    ingress_secrets_destroy(secrets);
}

static void a_referenced_set_outlives_its_replacement(void **state)
{
    struct ingress_secrets *secrets = create();

    (void)state;
    replace(secrets, "old");
    struct secret_set *old = secrets_ref(secrets);
    replace(secrets, "new");
    struct secret_set *fresh = secrets_ref(secrets);
    assert_true(slice_equals(old->items[0], SLICE("old")));
    assert_true(slice_equals(fresh->items[0], SLICE("new")));
    ingress_secrets_destroy(secrets);
    assert_true(slice_equals(fresh->items[1], SLICE("new")));
    secrets_unref(old);
    secrets_unref(fresh);
}

static void refused_memory_does_not_replace_the_old_secrets(void **state)
{
    struct ingress_secrets *secrets = create();
    struct slice items[] = {SLICE("new")};
    struct error error;

    (void)state;
    replace(secrets, "old");
    memory_fail_after(0);
    assert_int_equal(ingress_secrets_replace(secrets, items, 1, &error), ERROR_MEMORY);
    memory_fail_after(-1);
    struct secret_set *set = secrets_ref(secrets);
    assert_true(slice_equals(set->items[0], SLICE("old")));
    secrets_unref(set);
    ingress_secrets_destroy(secrets);
    for (long skip = 0; skip < 2; skip++) {
        memory_fail_after(skip);
        assert_int_equal(ingress_secrets_create(&secrets, &error), ERROR_MEMORY);
        memory_fail_after(-1);
    }
}

static void *read_many_times(void *context)
{
    for (int i = 0; i < 20000; i++) {
        struct secret_set *set = secrets_ref(context);
        assert_true(set->count == 2 && slice_equals(set->items[0], set->items[1]));
        secrets_unref(set);
    }
    return NULL;
}

static void readers_never_see_a_partial_replacement(void **state)
{
    struct ingress_secrets *secrets = create();
    pthread_t readers[2];

    (void)state;
    replace(secrets, "start");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_many_times, secrets), 0);
    for (int i = 0; i < 2000; i++)
        replace(secrets, i % 2 == 0 ? "even" : "a longer, odd one");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    ingress_secrets_destroy(secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_first_there_are_no_secrets),
        cmocka_unit_test(secrets_are_copied),
        cmocka_unit_test(a_referenced_set_outlives_its_replacement),
        cmocka_unit_test(refused_memory_does_not_replace_the_old_secrets),
        cmocka_unit_test(readers_never_see_a_partial_replacement),
    };
    return cmocka_run_group_tests_name("ingress/secrets", tests, NULL, NULL);
}
