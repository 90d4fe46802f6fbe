// Messages changed at random: the result must not depend on how the bytes were split, and no change may cause an
// invalid memory access.
#include "driver.h"

#define ROUNDS 4000

static uint32_t random_state;

// A fixed sequence: a failure happens again.
static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

static const char *const requests[] = {
    "GET /metrics?x=1 HTTP/1.1\r\nHost: a:80\r\nConnection: keep-alive\r\n\r\n",
    "POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    "payload={\"a\"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    "\r\nPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5;x=\"y\"\r\nhello\r\n0A\r\n0123456789\r\n0\r\nTrailer: z\r\n\r\nGET / HTTP/1.0\r\n\r\n",
};
static const char *const pieces[] = {
    "\r\n",
    "\r",
    "\n",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "0",
    "1",
    "-",
    "f",
    "chunked",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 3\r\n",
    "Host: b\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "Connection: close\r\n",
    "\xff",
    "\x01",
    "%41",
    "100",
    "204",
    "304",
};

static void insert(char *text, size_t *len, size_t room, size_t at, const char *piece)
{
    size_t piece_len = strlen(piece);

    if (*len + piece_len > room)
        return;
    memmove(text + at + piece_len, text + at, *len - at);
    memcpy(text + at, piece, piece_len);
    *len += piece_len;
}

static void mutate(char *text, size_t *len, size_t room)
{
    size_t at = next_random((uint32_t)*len);
    size_t span = next_random(8) + 1;

    switch (next_random(4)) {
    case 0:
        text[at] = (char)next_random(256);
        break;
    case 1:
        insert(text, len, room, at, pieces[next_random(COUNT(pieces))]);
        break;
    case 2:
        if (*len - at <= span || *len <= 2 * span)
            return;
        memmove(text + at, text + at + span, *len - at - span);
        *len -= span;
        break;
    default:
        // The end is cut off, but rarely all of it.
        *len -= next_random((uint32_t)(*len / 8 + 1));
        break;
    }
}

static void check_mutations(const struct setup *setup, const char *const *seeds, size_t count)
{
    struct transcript whole, split;

    transcript_init(&whole);
    transcript_init(&split);
    for (int round = 0; round < ROUNDS; round++) {
        char text[1000];
        const char *seed = seeds[next_random((uint32_t)count)];
        size_t len = strlen(seed);
        memcpy(text, seed, len);
        for (uint32_t changes = next_random(4); changes != 0; changes--)
            mutate(text, &len, sizeof(text));
        struct slice input = {.data = text, .len = len};
        drive(setup, input, len, 0, &whole);
        for (int i = 0; i < 4; i++) {
            drive(setup, input, next_random((uint32_t)len) + 1, next_random(16) + 1, &split);
            if (!is_same(&whole, &split))
                fail_msg("round %d:\n%.*s\nwhole %.*s\nsplit %.*s", round, SLICE_ARGS(input),
                         SLICE_ARGS(buffer_slice(&whole.shorthand)),
                         SLICE_ARGS(buffer_slice(&split.shorthand)));
        }
    }
    transcript_release(&whole);
    transcript_release(&split);
}

static void changed_requests_mean_the_same_however_cut(void **state)
{
    const struct setup setup = {.body_max = 40};

    (void)state;
    random_state = 1;
    check_mutations(&setup, requests, COUNT(requests));
}

static void random_bytes_are_refused_or_incomplete(void **state)
{
    const struct setup setup = {.body_max = 40};
    struct transcript t;

    (void)state;
    random_state = 3;
    transcript_init(&t);
    for (int round = 0; round < ROUNDS; round++) {
        char text[64];
        size_t len = next_random(sizeof(text)) + 1;
        for (size_t i = 0; i < len; i++)
            text[i] = (char)next_random(256);
        drive(&setup, (struct slice){text, len}, len, 0, &t);
        assert_true(t.shorthand.len == 0 || t.shorthand.data[0] == '!' ||
                    t.shorthand.data[0] == '?');
    }
    transcript_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_requests_mean_the_same_however_cut),
        cmocka_unit_test(random_bytes_are_refused_or_incomplete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
