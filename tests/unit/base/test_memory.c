// Fault injection of the allocator.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "ghatrace/base/memory.h"

static void an_allocation_of_no_bytes_is_a_block(void **state)
{
    void *a = memory_allocate(0), *b = memory_allocate(0), *c = memory_allocate_array(0, 5);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_ptr_not_equal(a, b);
    a = memory_resize(a, 0);
    assert_non_null(a);
    memory_free(a);
    memory_free(b);
    memory_free(c);
    memory_free(NULL);
}

static void arrays_are_zeroed_and_checked_for_overflow(void **state)
{
    char *array = memory_allocate_array(7, 9);

    (void)state;
    assert_non_null(array);
    for (int i = 0; i < 63; i++)
        assert_int_equal(array[i], 0);
    memory_free(array);
    assert_null(memory_allocate_array(SIZE_MAX / 4, 5));
    assert_null(memory_copy_string("x", SIZE_MAX));
}

static void resizing_keeps_the_content(void **state)
{
    char *text = memory_copy_string("abcdef", 3);

    (void)state;
    assert_non_null(text);
    assert_string_equal(text, "abc");
    text = memory_resize(text, 5000);
    assert_non_null(text);
    assert_string_equal(text, "abc");
    memory_free(text);
    text = memory_copy_string(NULL, 0);
    assert_non_null(text);
    assert_string_equal(text, "");
    memory_free(text);
}

static void the_chosen_allocation_fails_once(void **state)
{
    (void)state;
    for (long skip = 0; skip < 4; skip++) {
        void *blocks[4];
        memory_fail_after(skip);
        blocks[0] = memory_allocate(1);
        blocks[1] = memory_allocate_array(1, 1);
        blocks[2] = memory_resize(NULL, 1);
        blocks[3] = memory_copy_string("x", 1);
        for (long i = 0; i < 4; i++) {
            assert_true((blocks[i] == NULL) == (i == skip));
            memory_free(blocks[i]);
        }
        assert_int_equal(memory_count_allocations(), 4);
    }
    memory_fail_after(-1);
}

static void a_failed_resize_does_not_change_the_block(void **state)
{
    char *text = memory_copy_string("abc", 3);

    (void)state;
    assert_non_null(text);
    memory_fail_after(0);
    assert_null(memory_resize(text, 100));
    memory_fail_after(-1);
    assert_string_equal(text, "abc");
    memory_free(text);
}

static void without_a_fault_allocations_are_counted_and_succeed(void **state)
{
    (void)state;
    memory_fail_after(-5);
    for (int i = 0; i < 100; i++) {
        void *block = memory_allocate(1);
        assert_non_null(block);
        memory_free(block);
    }
    assert_int_equal(memory_count_allocations(), 100);
    memory_fail_after(-1);
    assert_int_equal(memory_count_allocations(), 0);
}

static atomic_int refusals;

static void *allocate_many(void *unused)
{
    for (int i = 0; i < 1000; i++) {
        void *block = memory_allocate(8);
        if (block == NULL)
            atomic_fetch_add(&refusals, 1);
        memory_free(block);
    }
    return unused;
}

static void one_allocation_of_all_threads_fails(void **state)
{
    pthread_t threads[4];

    (void)state;
    memory_fail_after(1500);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(refusals, 1);
    assert_int_equal(memory_count_allocations(), 4000);
    memory_fail_after(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_of_no_bytes_is_a_block),
        cmocka_unit_test(arrays_are_zeroed_and_checked_for_overflow),
        cmocka_unit_test(resizing_keeps_the_content),
        cmocka_unit_test(the_chosen_allocation_fails_once),
        cmocka_unit_test(a_failed_resize_does_not_change_the_block),
        cmocka_unit_test(without_a_fault_allocations_are_counted_and_succeed),
        cmocka_unit_test(one_allocation_of_all_threads_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
