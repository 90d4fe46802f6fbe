// Arenas: alignment, big requests, clearing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/memory.h"

static void allocations_are_aligned_and_disjoint(void **state)
{
    struct arena arena;
    char *blocks[300];

    (void)state;
    arena_init(&arena, 512);
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = arena_allocate(&arena, i % 40);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % alignof(max_align_t), 0);
        memset(blocks[i], (int)(i % 251), i % 40);
    }
    for (size_t i = 0; i < 300; i++) {
        for (size_t j = 0; j < i % 40; j++)
            assert_int_equal((unsigned char)blocks[i][j], i % 251);
    }
    arena_release(&arena);
}

static void allocations_of_no_bytes_are_distinct(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 512);
    void *a = arena_allocate(&arena, 0);
    void *b = arena_allocate(&arena, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    assert_non_null(arena_allocate_array(&arena, 0, 8));
    assert_non_null(arena_allocate_array(&arena, 8, 0));
    arena_release(&arena);
}

static void text_does_not_break_the_alignment_of_later_allocations(void **state)
{
    struct arena arena;
    struct slice copy;

    (void)state;
    arena_init(&arena, 512);
    assert_true(arena_copy_slice(&arena, SLICE("abc"), &copy));
    assert_int_equal((uintptr_t)arena_allocate(&arena, 8) % alignof(max_align_t), 0);
    assert_true(slice_equals(copy, SLICE("abc")));
    arena_release(&arena);
}

static void a_big_request_gets_a_block_of_its_own_and_the_old_one_stays_in_use(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1024);
    char *first = arena_allocate(&arena, 16);
    char *big = arena_allocate(&arena, 100000);
    char *second = arena_allocate(&arena, 16);
    assert_non_null(big);
    memset(big, 1, 100000);
    assert_ptr_equal(second, first + 16);
    arena_release(&arena);
}

static void clearing_keeps_one_ordinary_block(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1024);
    assert_non_null(arena_allocate(&arena, 5000));
    for (int i = 0; i < 10; i++)
        assert_non_null(arena_allocate(&arena, 600));
    assert_int_equal(arena.used, 5000 + 6000);
    arena_clear(&arena);
    assert_int_equal(arena.used, 0);
    memory_fail_after(-1);
    assert_non_null(arena_allocate(&arena, 600));
    assert_int_equal(memory_count_allocations(), 0);
    assert_non_null(arena_allocate(&arena, 600));
    assert_int_equal(memory_count_allocations(), 1);
    arena_clear(&arena);
    arena_clear(&arena);
    arena_release(&arena);
    arena_clear(&arena);
    arena_release(&arena);
}

static void clearing_frees_a_block_of_unusual_size(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1024);
    assert_non_null(arena_allocate(&arena, 5000));
    assert_non_null(arena_allocate(&arena, 6000));
    arena_clear(&arena);
    assert_null(arena.head);
    assert_non_null(arena_allocate(&arena, 10));
    arena_release(&arena);
}

static void arrays_are_zeroed_even_in_used_memory(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1024);
    memset(arena_allocate(&arena, 1024), 0xff, 1024);
    arena_clear(&arena);
    unsigned char *array = arena_allocate_array(&arena, 10, 100);
    assert_non_null(array);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(array[i], 0);
    arena_release(&arena);
}

static void sizes_that_overflow_are_refused(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1024);
    assert_null(arena_allocate_array(&arena, SIZE_MAX / 2, 3));
    assert_null(arena_allocate(&arena, SIZE_MAX));
    assert_null(arena_allocate(&arena, SIZE_MAX - 8));
    assert_int_equal(arena.used, 0);
    arena_release(&arena);
}

static void copies_are_independent_of_their_source(void **state)
{
    struct arena arena;
    char source[] = "source";
    struct slice copy, empty = SLICE("x");

    (void)state;
    arena_init(&arena, 64);
    assert_true(arena_copy_slice(&arena, slice_from_string(source), &copy));
    source[0] = 'X';
    assert_true(slice_equals(copy, SLICE("source")));
    assert_true(arena_copy_slice(&arena, SLICE_EMPTY, &empty));
    assert_int_equal(empty.len, 0);
    arena_release(&arena);
}

static void formatted_text_may_be_longer_than_a_block(void **state)
{
    struct arena arena;
    struct slice out;

    (void)state;
    arena_init(&arena, 64);
    assert_true(arena_format(&arena, &out, "%s-%d", "run", 3));
    assert_true(slice_equals(out, SLICE("run-3")));
    assert_true(arena_format(&arena, &out, "%0500d", 1));
    assert_int_equal(out.len, 500);
    assert_int_equal(out.data[499], '1');
    assert_true(arena_format(&arena, &out, "%s", ""));
    assert_int_equal(out.len, 0);
    arena_release(&arena);
}

static void refused_memory_does_not_change_the_result(void **state)
{
    struct arena arena;
    struct slice out = SLICE("before");

    (void)state;
    arena_init(&arena, 64);
    memory_fail_after(0);
    assert_false(arena_copy_slice(&arena, SLICE("after"), &out));
    memory_fail_after(0);
    assert_false(arena_format(&arena, &out, "after"));
    memory_fail_after(0);
    assert_null(arena_allocate_array(&arena, 1, 1));
    memory_fail_after(-1);
    assert_true(slice_equals(out, SLICE("before")));
    assert_int_equal(arena.used, 0);
    assert_true(arena_copy_slice(&arena, SLICE("after"), &out));
    arena_release(&arena);
}

static void an_arena_refuses_allocations_beyond_its_limit(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1024);
    assert_non_null(arena_allocate(&arena, 5000));
    arena_set_limit(&arena, 3000);
    assert_non_null(arena_allocate(&arena, 1000));
    assert_false(arena.is_over_limit);
    assert_null(arena_allocate(&arena, 2500));
    assert_true(arena.is_over_limit);
    assert_non_null(arena_allocate(&arena, 1500)); // smaller requests still fit
    arena_lift_limit(&arena);
    assert_non_null(arena_allocate(&arena, 100000));
    arena_set_limit(&arena, 10);
    arena_clear(&arena);
    assert_non_null(arena_allocate(&arena, 100000));
    assert_true(arena.held >= 100000 && arena.held < 110000);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_disjoint),
        cmocka_unit_test(allocations_of_no_bytes_are_distinct),
        cmocka_unit_test(text_does_not_break_the_alignment_of_later_allocations),
        cmocka_unit_test(a_big_request_gets_a_block_of_its_own_and_the_old_one_stays_in_use),
        cmocka_unit_test(clearing_keeps_one_ordinary_block),
        cmocka_unit_test(clearing_frees_a_block_of_unusual_size),
        cmocka_unit_test(arrays_are_zeroed_even_in_used_memory),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(copies_are_independent_of_their_source),
        cmocka_unit_test(formatted_text_may_be_longer_than_a_block),
        cmocka_unit_test(refused_memory_does_not_change_the_result),
        cmocka_unit_test(an_arena_refuses_allocations_beyond_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
