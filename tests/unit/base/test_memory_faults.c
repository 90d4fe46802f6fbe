// Every allocation of buffers and arenas fails once. Under a leak checker, nothing is lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/memory.h"

static const char letters[700] = "letters";

static bool fill_buffer(struct buffer *buffer)
{
    struct slice s = {letters, sizeof(letters)};

    return buffer_append_string(buffer, "begin") == ERROR_NONE &&
           buffer_append_slice(buffer, s) == ERROR_NONE &&
           buffer_append_format(buffer, "%0900d", 1) == ERROR_NONE &&
           buffer_reserve(buffer, 5000) == ERROR_NONE &&
           buffer_append(buffer, letters, sizeof(letters)) == ERROR_NONE;
}

static bool fill_arena(struct arena *arena)
{
    struct slice s = {letters, sizeof(letters)}, copy;

    return arena_allocate(arena, 100) != NULL && arena_copy_slice(arena, s, &copy) &&
           arena_allocate(arena, 10000) != NULL && arena_allocate_array(arena, 30, 30) != NULL &&
           arena_format(arena, &copy, "%0800d", 1) && arena_allocate(arena, 1000) != NULL;
}

static void a_buffer_without_memory_keeps_what_it_has(void **state)
{
    struct buffer buffer;

    (void)state;
    memory_fail_after(-1);
    buffer_init(&buffer, 100000);
    assert_true(fill_buffer(&buffer));
    buffer_release(&buffer);
    long count = memory_count_allocations();
    assert_true(count >= 4);
    for (long skip = 0; skip < count; skip++) {
        buffer_init(&buffer, 100000);
        memory_fail_after(skip);
        assert_false(fill_buffer(&buffer));
        memory_fail_after(-1);
        assert_true(skip == 0 || slice_starts_with(buffer_slice(&buffer), SLICE("begin")));
        // It works again once there is memory.
        buffer_clear(&buffer);
        assert_true(fill_buffer(&buffer));
        assert_int_equal(buffer.len, 5 + 700 + 900 + 700);
        buffer_release(&buffer);
    }
}

static void an_arena_without_memory_stays_usable(void **state)
{
    struct arena arena;

    (void)state;
    memory_fail_after(-1);
    arena_init(&arena, 1024);
    assert_true(fill_arena(&arena));
    arena_release(&arena);
    long count = memory_count_allocations();
    assert_true(count >= 4);
    for (long skip = 0; skip < count; skip++) {
        arena_init(&arena, 1024);
        memory_fail_after(skip);
        assert_false(fill_arena(&arena));
        memory_fail_after(-1);
        assert_true(fill_arena(&arena));
        arena_clear(&arena);
        assert_int_equal(arena.used, 0);
        assert_true(fill_arena(&arena));
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_without_memory_keeps_what_it_has),
        cmocka_unit_test(an_arena_without_memory_stays_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
