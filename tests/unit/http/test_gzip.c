// gzip: what is compressed, and what is expanded of what a client sent.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>
#include <zlib.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/http/gzip.h"

static void assert_expands(struct slice packed, struct slice data)
{
    struct buffer out;
    buffer_init(&out, data.len + 4);
    assert_int_equal(buffer_append_string(&out, "head"), ERROR_NONE);
    assert_int_equal(gzip_expand(packed, &out), ERROR_NONE);
    assert_int_equal(out.len, data.len + 4);
    assert_memory_equal(out.data, "head", 4);
    if (data.len > 0)
        assert_memory_equal(out.data + 4, data.data, data.len);
    buffer_release(&out);
}

static void assert_refused(struct slice packed, size_t max, enum error_code code)
{
    struct buffer out;
    buffer_init(&out, max + 4);
    assert_int_equal(buffer_append_string(&out, "head"), ERROR_NONE);
    assert_int_equal(gzip_expand(packed, &out), code);
    assert_int_equal(out.len, 4);
    assert_true(out.capacity <= max + 4 + 4096);
    buffer_release(&out);
}

static void pack(struct slice data, struct buffer *packed)
{
    struct error error;
    assert_int_equal(gzip_compress(data, packed, &error), ERROR_NONE);
}

static void expect_round_trip(struct slice data)
{
    struct buffer packed;
    struct error error;
    buffer_init(&packed, 1 << 20);
    assert_int_equal(buffer_append_string(&packed, "head"), ERROR_NONE);
    assert_int_equal(gzip_compress(data, &packed, &error), ERROR_NONE);

    char *plain = test_malloc(data.len + 1);
    z_stream stream = {.next_in = (Bytef *)packed.data + 4, .avail_in = (uInt)packed.len - 4};
    stream.next_out = (Bytef *)plain;
    stream.avail_out = (uInt)data.len + 1;
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, data.len);
    assert_int_equal(stream.avail_in, 0);
    if (data.len > 0)
        assert_memory_equal(plain, data.data, data.len);
    inflateEnd(&stream);
    test_free(plain);
    assert_expands((struct slice){packed.data + 4, packed.len - 4}, data);
    buffer_release(&packed);
}

static void a_stream_of_pieces_is_one_member(void **state)
{
    static char text[300000];
    static const size_t sizes[] = {1, 77, 4096, 65536, sizeof text};
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i % 53 % 26);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct gzip_stream *stream = gzip_stream_create();
        struct buffer packed;
        assert_non_null(stream);
        buffer_init(&packed, 1 << 20);
        for (size_t at = 0; at < sizeof text; at += sizes[i]) {
            size_t len = sizeof text - at < sizes[i] ? sizeof text - at : sizes[i];
            assert_int_equal(gzip_stream_add(stream, (struct slice){text + at, len},
                                             at + len == sizeof text, &packed),
                             ERROR_NONE);
        }
        gzip_stream_destroy(stream);
        assert_true(packed.len < sizeof text / 10);
        assert_expands(buffer_slice(&packed), (struct slice){text, sizeof text});
        buffer_release(&packed);
    }
}

static void a_stream_without_its_end_is_not_a_member(void **state)
{
    struct gzip_stream *stream = gzip_stream_create();
    struct buffer packed;
    (void)state;
    assert_non_null(stream);
    buffer_init(&packed, 1 << 20);
    assert_int_equal(gzip_stream_add(stream, SLICE("text"), false, &packed), ERROR_NONE);
    assert_refused(buffer_slice(&packed), 1000, ERROR_CORRUPT);
    assert_int_equal(gzip_stream_add(stream, SLICE_EMPTY, true, &packed), ERROR_NONE);
    assert_expands(buffer_slice(&packed), SLICE("text"));
    gzip_stream_destroy(stream);
    gzip_stream_destroy(NULL);
    buffer_release(&packed);
}

static void what_is_compressed_can_be_read_by_zlib(void **state)
{
    static char noise[100000];
    uint32_t random = 7;
    (void)state;
    for (size_t i = 0; i < sizeof noise; i++) {
        random = random * 1103515245 + 12345;
        noise[i] = (char)(random >> 16);
    }
    expect_round_trip(SLICE(""));
    expect_round_trip(SLICE("a"));
    expect_round_trip(SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    expect_round_trip((struct slice){noise, sizeof noise});
}

static void compressing_reports_caps_and_refused_memory(void **state)
{
    struct buffer packed;
    struct error error;
    long skip = 0;
    enum error_code code;
    (void)state;
    buffer_init(&packed, 8);
    assert_int_equal(gzip_compress(SLICE("text"), &packed, &error), ERROR_TOO_LARGE);
    buffer_release(&packed);
    do {
        buffer_init(&packed, 1 << 20);
        memory_fail_after(skip++);
        code = gzip_compress(SLICE("text"), &packed, &error);
        memory_fail_after(-1);
        buffer_release(&packed);
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
    } while (code != ERROR_NONE);
    assert_true(skip > 2);
}

static void members_are_expanded_one_after_the_other(void **state)
{
    struct buffer packed;
    (void)state;
    buffer_init(&packed, 1 << 16);
    pack(SLICE("ab"), &packed);
    pack(SLICE(""), &packed);
    pack(SLICE("c"), &packed);
    assert_expands(buffer_slice(&packed), SLICE("abc"));
    buffer_release(&packed);
}

static void what_is_no_gzip_is_damage(void **state)
{
    struct buffer packed;
    (void)state;
    buffer_init(&packed, 1 << 16);
    pack(SLICE("some text, some text"), &packed);
    for (size_t len = 0; len < packed.len; len++)
        assert_refused((struct slice){packed.data, len}, 100, ERROR_CORRUPT);
    for (size_t i = 0; i < packed.len; i++) {
        if (i >= 4 && i < 10) // time, flags and system in the head are not checked
            continue;
        packed.data[i] ^= 0x55;
        assert_refused(buffer_slice(&packed), 100, ERROR_CORRUPT);
        packed.data[i] ^= 0x55;
    }
    assert_int_equal(buffer_append(&packed, "", 1), ERROR_NONE);
    assert_refused(buffer_slice(&packed), 100, ERROR_CORRUPT);
    packed.data[packed.len - 1] = '\x1f';
    assert_refused(buffer_slice(&packed), 100, ERROR_CORRUPT);
    assert_refused(SLICE("plain text"), 100, ERROR_CORRUPT);
    assert_refused(SLICE("\x78\x9c\x03\x00\x00\x00\x00\x01"), 100,
                   ERROR_CORRUPT); // zlib's own form
    buffer_release(&packed);
}

static void a_bomb_ends_at_the_limit(void **state)
{
    static char zeros[1 << 20];
    struct buffer packed, bomb;
    (void)state;
    buffer_init(&packed, 1 << 21);
    buffer_init(&bomb, 1 << 20);
    pack((struct slice){zeros, sizeof zeros}, &packed);
    assert_expands(buffer_slice(&packed), (struct slice){zeros, sizeof zeros});
    assert_refused(buffer_slice(&packed), sizeof zeros - 1, ERROR_TOO_LARGE);
    assert_refused(buffer_slice(&packed), 0, ERROR_TOO_LARGE);
    for (int i = 0; i < 100; i++)
        assert_int_equal(buffer_append_slice(&bomb, buffer_slice(&packed)), ERROR_NONE);
    assert_refused(buffer_slice(&bomb), 2 * sizeof zeros, ERROR_TOO_LARGE);
    buffer_release(&bomb);
    buffer_release(&packed);
}

static void expanding_reports_refused_memory(void **state)
{
    struct buffer packed, out;
    enum error_code code;
    long skip = 0;
    (void)state;
    buffer_init(&packed, 1 << 16);
    pack(SLICE("text"), &packed);
    do {
        buffer_init(&out, 1 << 16);
        memory_fail_after(skip++);
        code = gzip_expand(buffer_slice(&packed), &out);
        memory_fail_after(-1);
        buffer_release(&out);
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
    } while (code != ERROR_NONE);
    assert_true(skip > 2);
    buffer_release(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_of_pieces_is_one_member),
        cmocka_unit_test(a_stream_without_its_end_is_not_a_member),
        cmocka_unit_test(what_is_compressed_can_be_read_by_zlib),
        cmocka_unit_test(compressing_reports_caps_and_refused_memory),
        cmocka_unit_test(members_are_expanded_one_after_the_other),
        cmocka_unit_test(what_is_no_gzip_is_damage),
        cmocka_unit_test(a_bomb_ends_at_the_limit),
        cmocka_unit_test(expanding_reports_refused_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
