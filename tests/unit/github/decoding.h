// Shared by the tests of event decoding: a decoded payload and everything it points into.
#ifndef GHATRACE_TESTS_GITHUB_DECODING_H
#define GHATRACE_TESTS_GITHUB_DECODING_H

#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/github/event.h"
#include "support/fixture.h"

#define FIXTURES "tests/fixtures/github/"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct decoding {
    struct arena arena;
    struct github_event event;
    struct error error;
    enum error_code code;
};

static inline void decode_text(struct decoding *decoding, const char *type, struct slice body)
{
    *decoding = (struct decoding){.code = ERROR_NONE};
    arena_init(&decoding->arena, 16384);
    decoding->code = github_event_decode(slice_from_string(type), body, &decoding->arena,
                                         &decoding->event, &decoding->error);
}

static inline void decoding_release(struct decoding *decoding)
{
    arena_release(&decoding->arena);
}

#define assert_text(actual, expected)                                                              \
    do {                                                                                           \
        if (!slice_equals((actual), slice_from_string(expected)))                                  \
            fail_msg("%s is '%.*s', not '%s'", #actual, SLICE_ARGS(actual), (expected));           \
    } while (0)

// A time as GitHub writes it; "" for an unknown time.
#define assert_time(actual, expected)                                                              \
    do {                                                                                           \
        char text_[TIMESTAMP_TEXT_SIZE] = "";                                                      \
        if ((actual) != TIMESTAMP_UNKNOWN)                                                         \
            timestamp_format_rfc3339((actual), false, text_);                                      \
        assert_string_equal(text_, (expected));                                                    \
    } while (0)

#endif
