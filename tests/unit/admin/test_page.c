// The files of the live page: their addresses, and whether a browser has the current ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../../src/admin/page.h"

#define VERSION SLICE("0123456789abcdef")

static const struct page_file *file_of(const char *prefix, const char *version, const char *rest)
{
    char path[100];
    snprintf(path, sizeof path, "%s%s%s", prefix, version, rest);
    return page_file_of(slice_from_string(path));
}

static void files_are_found_under_their_version_and_no_other(void **state)
{
    char other[32];

    (void)state;
    assert_int_equal(strlen(page_version), 16);
    assert_string_equal(file_of("/v/", page_version, "/page.js")->name, "page.js");
    assert_string_equal(file_of("/v/", page_version, "/page.css")->name, "page.css");
    snprintf(other, sizeof other, "%s", page_version);
    other[15] = other[15] == '0' ? '1' : '0';
    assert_null(file_of("/v/", other, "/page.js"));
    assert_null(file_of("/v/", page_version, "/page.j"));
    assert_null(file_of("/v/", page_version, "/page.jss"));
    assert_null(file_of("/v/", page_version, "/"));
    assert_null(file_of("/v/", page_version, ""));
    assert_null(file_of("/v/", page_version, "page.js"));
    assert_null(file_of("/v/", page_version, "//page.js"));
    assert_null(file_of("/w/", page_version, "/page.js"));
    assert_null(page_file_of(SLICE("/v/")));
    assert_null(page_file_of(SLICE_EMPTY));
}

static void every_file_is_embedded_whole_and_compressed(void **state)
{
    (void)state;
    assert_in_range(page_file_count, 10, 100);
    for (size_t i = 0; i < page_file_count; i++) {
        const struct page_file *file = &page_files[i];
        assert_true(file->body.len > 0);
        assert_memory_equal(file->compressed.data, "\x1f\x8b", 2);
        assert_true(file->compressed.len < file->body.len + 64);
    }
}

static void a_version_is_known_if_the_list_has_it_weak_or_strong(void **state)
{
    (void)state;
    assert_true(page_is_known(SLICE("\"0123456789abcdef\""), VERSION));
    assert_true(page_is_known(SLICE("W/\"0123456789abcdef\""), VERSION));
    assert_true(page_is_known(SLICE("*"), VERSION));
    assert_true(page_is_known(SLICE("\"x\", W/\"0123456789abcdef\" , \"y\""), VERSION));
    assert_false(page_is_known(SLICE_EMPTY, VERSION));
    assert_false(page_is_known(SLICE("0123456789abcdef"), VERSION));
    assert_false(page_is_known(SLICE("\"0123456789abcde\""), VERSION));
    assert_false(page_is_known(SLICE("\"0123456789abcdef0\""), VERSION));
    assert_false(page_is_known(SLICE("\"0123456789abcdef"), VERSION));
    assert_false(page_is_known(SLICE("w/\"0123456789abcdef\""), VERSION));
    assert_false(page_is_known(SLICE("\"a\", \"b\","), VERSION));
    assert_false(page_is_known(SLICE(",,,\""), VERSION));
}

static void the_entity_tag_is_the_weak_version(void **state)
{
    (void)state;
    assert_true(page_is_known(slice_from_string(page_etag), slice_from_string(page_version)));
    assert_memory_equal(page_etag, "W/\"", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_found_under_their_version_and_no_other),
        cmocka_unit_test(every_file_is_embedded_whole_and_compressed),
        cmocka_unit_test(a_version_is_known_if_the_list_has_it_weak_or_strong),
        cmocka_unit_test(the_entity_tag_is_the_weak_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
