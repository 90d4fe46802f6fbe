// Buffers: growth, caps, all or nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/buffer.h"

static void a_new_buffer_owns_nothing(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 10);
    assert_null(buffer.data);
    assert_int_equal(buffer_slice(&buffer).len, 0);
    assert_int_equal(buffer_append(&buffer, NULL, 0), ERROR_NONE);
    assert_null(buffer.data);
    buffer_consume(&buffer, 5);
    buffer_release(&buffer);
}

static void appended_bytes_are_in_order(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 1000);
    assert_int_equal(buffer_append(&buffer, "a\0b", 3), ERROR_NONE);
    assert_int_equal(buffer_append_slice(&buffer, SLICE("cd")), ERROR_NONE);
    assert_int_equal(buffer_append_string(&buffer, "ef"), ERROR_NONE);
    assert_int_equal(buffer_append_format(&buffer, "%d%s", 42, "x"), ERROR_NONE);
    assert_true(slice_equals(buffer_slice(&buffer), SLICE("a\0bcdef42x")));
    buffer_release(&buffer);
}

static void the_cap_can_be_reached_and_not_exceeded(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 5);
    assert_int_equal(buffer_append_string(&buffer, "abc"), ERROR_NONE);
    assert_int_equal(buffer_append_string(&buffer, "def"), ERROR_TOO_LARGE);
    assert_int_equal(buffer_append_format(&buffer, "%s", "def"), ERROR_TOO_LARGE);
    assert_int_equal(buffer_reserve(&buffer, 3), ERROR_TOO_LARGE);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), ERROR_TOO_LARGE);
    assert_true(slice_equals(buffer_slice(&buffer), SLICE("abc")));
    assert_int_equal(buffer_append_format(&buffer, "%s", "de"), ERROR_NONE);
    assert_true(slice_equals(buffer_slice(&buffer), SLICE("abcde")));
    assert_int_equal(buffer_append_string(&buffer, ""), ERROR_NONE);
    assert_int_equal(buffer_append_string(&buffer, "f"), ERROR_TOO_LARGE);
    buffer_release(&buffer);
}

static void a_cap_lowered_below_the_content_refuses_everything(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 5);
    assert_int_equal(buffer_append_string(&buffer, "abc"), ERROR_NONE);
    buffer.max = 2;
    assert_int_equal(buffer_append_string(&buffer, "d"), ERROR_TOO_LARGE);
    buffer_release(&buffer);
}

static void growth_never_allocates_much_more_than_the_cap(void **state)
{
    struct buffer buffer;
    char block[100] = {0};

    (void)state;
    buffer_init(&buffer, 10000);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(buffer_append(&buffer, block, sizeof(block)), ERROR_NONE);
        assert_true(buffer.capacity <= 10000);
    }
    assert_int_equal(buffer.len, 10000);
    buffer_release(&buffer);
}

static void a_huge_cap_does_not_overflow(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, SIZE_MAX);
    assert_int_equal(buffer_append_string(&buffer, "abc"), ERROR_NONE);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), ERROR_TOO_LARGE);
    buffer_release(&buffer);
}

static void consuming_moves_the_rest_down(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 100);
    assert_int_equal(buffer_append_string(&buffer, "abcdef"), ERROR_NONE);
    buffer_consume(&buffer, 0);
    assert_true(slice_equals(buffer_slice(&buffer), SLICE("abcdef")));
    buffer_consume(&buffer, 2);
    assert_true(slice_equals(buffer_slice(&buffer), SLICE("cdef")));
    buffer_consume(&buffer, 99);
    assert_int_equal(buffer.len, 0);
    buffer_release(&buffer);
}

static void clearing_keeps_the_memory_and_releasing_frees_it(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 100);
    assert_int_equal(buffer_append_string(&buffer, "abcdef"), ERROR_NONE);
    const char *before = buffer.data;
    buffer_clear(&buffer);
    assert_int_equal(buffer.len, 0);
    assert_int_equal(buffer_append_string(&buffer, "xy"), ERROR_NONE);
    assert_ptr_equal(buffer.data, before);
    buffer_release(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer.max, 100);
    // Usable again, with the same cap.
    assert_int_equal(buffer_append_string(&buffer, "z"), ERROR_NONE);
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_owns_nothing),
        cmocka_unit_test(appended_bytes_are_in_order),
        cmocka_unit_test(the_cap_can_be_reached_and_not_exceeded),
        cmocka_unit_test(a_cap_lowered_below_the_content_refuses_everything),
        cmocka_unit_test(growth_never_allocates_much_more_than_the_cap),
        cmocka_unit_test(a_huge_cap_does_not_overflow),
        cmocka_unit_test(consuming_moves_the_rest_down),
        cmocka_unit_test(clearing_keeps_the_memory_and_releasing_frees_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
