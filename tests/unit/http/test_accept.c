// Whether a client accepts gzip.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/http/accept.h"

static bool accepts(const char *first, const char *second)
{
    struct http_head head = {.headers = {{SLICE("Host"), SLICE("gzip")},
                                         {SLICE("accept-encoding"), slice_from_string(first)},
                                         {SLICE("Accept-Encoding"), slice_from_string(second)}},
                             .header_count = 3};

    return http_head_accepts_gzip(&head);
}

static void gzip_is_accepted_if_it_is_preferred(void **state)
{
    static const struct {
        const char *field;
        bool accepts;
    } cases[] = {
        {"gzip", true},
        {"GZip", true},
        {"x-gzip", true},
        {"gzip, deflate, br", true},
        {"deflate , gzip;q=0.5", true},
        {"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
        {"*", true},
        {"identity;q=0.5, *", true},
        {"gzip;q=0.001", true},
        {"gzip;Q=1", true},
        {"gzip, identity", true},
        {"", false},
        {"identity", false},
        {"br, deflate", false},
        {"gzip;q=0", false},
        {"gzip;q=0.000, *", false},
        {"gzip; q=0", false},
        {"gzip;q=0, *;q=1", false},
        {"*;q=0", false},
        {"gzip;q=0.5, identity", false}, // identity is preferred
        {"gzip;q=x", false},
        {"gzip;q=", false},
        {"gzip;q", true}, // no weight
        {"gzipped", false},
        {",;,q=1;,,", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (accepts(cases[i].field, "") != cases[i].accepts)
            fail_msg("%s", cases[i].field);
}

static void several_fields_are_one_list(void **state)
{
    struct http_head none = {.header_count = 0};

    (void)state;
    assert_true(accepts("br", "gzip"));
    assert_false(accepts("*", "gzip;q=0"));
    assert_false(http_head_accepts_gzip(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_is_accepted_if_it_is_preferred),
        cmocka_unit_test(several_fields_are_one_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
