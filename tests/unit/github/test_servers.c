// The server of a URL.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/github/event.h"
#include "ghatrace/github/server.h"

static struct slice server_of(const char *url)
{
    static struct arena arena;
    struct slice server;
    arena_release(&arena);
    arena_init(&arena, 256);
    assert_int_equal(github_server_of_url(slice_from_string(url), &arena, &server), ERROR_NONE);
    return server;
}

static void check(const char *url, const char *wanted)
{
    struct slice server = server_of(url);
    if (!slice_equals(server, slice_from_string(wanted)))
        fail_msg("\"%s\" is of \"%.*s\", not of \"%s\"", url, SLICE_ARGS(server), wanted);
}

static void the_usual_server_is_the_empty_one(void **state)
{
    (void)state;
    const char *const urls[] = {
        "https://github.com/acme/widgets",
        "http://github.com/acme/widgets",
        "https://GitHub.COM/acme/widgets",
        "https://github.com:443/acme",
        "https://github.com./acme",
        "https://user:word@github.com/acme",
        "https://github.com",
        "//github.com/acme",
        "github.com/acme/widgets",
        "",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        check(urls[i], "");
}

static void another_server_is_its_host_in_lower_case_without_user_port_and_dot(void **state)
{
    (void)state;
    check("https://git.example.com/acme/widgets", "git.example.com");
    check("HTTPS://Git.Example.COM/Acme/Widgets", "git.example.com");
    check("http://git.example.com:8443/acme/widgets", "git.example.com");
    check("https://git.example.com.:8443/acme", "git.example.com");
    check("https://mona:secret@git.example.com:1/acme", "git.example.com");
    check("https://mona@github.com@git.example.com/acme", "git.example.com");
    check("https://git.example.com?x=https://github.com/", "git.example.com");
    check("https://git.example.com#@github.com/", "git.example.com");
    check("https://git.example.com\\@github.com/", "git.example.com");
    check("https://git/acme/widgets", "git");
    check("https://10.0.0.7:3000/acme", "10.0.0.7");
    check("https://[2001:DB8::7]:8443/acme", "2001:db8::7");
    check("//git.example.com/acme", "git.example.com");
    check("git.example.com/acme/widgets", "git.example.com");
    check("git.example.com:8443/acme/widgets", "git.example.com");
    check("https://acme.ghe.com/acme/widgets", "acme.ghe.com");
    check("https://github.com.evil.example/acme", "github.com.evil.example");
    check("https://api.github.com/repos/acme", "api.github.com");
    check("https://b\xc3\xbc\x63her.example/acme", "b\xc3\xbc\x63her.example");
}

static void a_text_without_a_host_is_of_the_usual_server(void **state)
{
    (void)state;
    const char *const urls[] = {"acme/widgets",
                                "/acme/widgets",
                                "acme",
                                "https:",
                                "https:/x",
                                "https://",
                                "https:///x",
                                "https://:80/x",
                                "https://user@/x",
                                "://",
                                ":",
                                "@",
                                "[",
                                "https://[",
                                "https://[]/x",
                                "/a?u=https://git.example.com/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        check(urls[i], "");
}

// No host name is that long; it is truncated, so that everything derived from it is bounded.
static void an_endless_host_is_cut_between_characters(void **state)
{
    char url[GITHUB_TEXT_MAX + 1];
    (void)state;
    for (size_t lead = 0; lead < 4; lead++) {
        memset(url, 'X', sizeof url);
        memcpy(url, "https://", 8);
        for (size_t i = 8 + lead; i + 3 < sizeof url; i += 3)
            memcpy(url + i, "\xe2\x82\xac", 3);
        url[sizeof url - 1] = '\0';
        struct slice server = server_of(url);
        assert_true(server.len <= GITHUB_SERVER_MAX && server.len > GITHUB_SERVER_MAX - 3);
        assert_true(utf8_is_valid(server));
        assert_int_equal(server.data[0], lead > 0 ? 'x' : '\xe2');
    }
}

// Any bytes are read without a fault, and the result is stable: the server of a server is itself.
static void any_bytes_give_a_stable_result(void **state)
{
    static const char parts[] = "aZ.:/@[]\\?#%-\xc3\xbc ";
    uint32_t seed = 7;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char url[24] = "https://";
        size_t len = round % 2 == 0 ? 8 : 0;
        while (len + 1 < sizeof url && seed % 23 != 0) {
            seed = seed * 1664525u + 1013904223u;
            url[len++] = parts[(seed >> 8) % (sizeof parts - 1)];
        }
        seed = seed * 1664525u + 1013904223u;
        url[len] = '\0';
        struct slice server = server_of(url);
        assert_true(server.len <= len);
        for (size_t i = 0; i < server.len; i++)
            assert_true(server.data[i] != '/' && (server.data[i] < 'A' || server.data[i] > 'Z'));
    }
}

static void common_spellings_of_a_name_give_the_same_server(void **state)
{
    struct arena arena;
    struct slice server;
    (void)state;
    arena_init(&arena, 256);
    const char *const names[] = {"git.example.com", "GIT.example.com:443",
                                 "https://git.example.com/acme/widgets", "git.example.com/acme"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(github_server_of_name(slice_from_string(names[i]), &arena, &server),
                         ERROR_NONE);
        assert_true(slice_equals(server, SLICE("git.example.com")));
    }
    assert_int_equal(github_server_of_name(SLICE("git"), &arena, &server), ERROR_NONE);
    assert_true(slice_equals(github_server_name(server), SLICE("git")));
    assert_int_equal(github_server_of_name(SLICE("GitHub.com"), &arena, &server), ERROR_NONE);
    assert_int_equal(server.len, 0);
    assert_true(slice_equals(github_server_name(server), SLICE("github.com")));
    arena_release(&arena);
}

static void decode(const char *kind, const char *body, const char *wanted)
{
    struct arena arena;
    struct github_event event;
    struct error error = {0};
    arena_init(&arena, 4096);
    assert_int_equal(github_event_decode(slice_from_string(kind), slice_from_string(body), &arena,
                                         &event, &error),
                     ERROR_NONE);
    assert_true(slice_equals(event.server, slice_from_string(wanted)));
    arena_release(&arena);
}

#define REPOSITORY(url)                                                                            \
    "\"repository\":{\"full_name\":\"acme/w\",\"name\":\"w\",\"owner\":{\"login\":\"acme\"},"      \
    "\"html_url\":\"" url "\"}"
#define JOB(url)                                                                                   \
    "{\"action\":\"queued\",\"workflow_job\":{\"id\":7,\"run_id\":3,\"name\":\"x\"}," REPOSITORY(  \
        url) "}"
#define RUN(url)                                                                                   \
    "{\"action\":\"requested\",\"workflow_run\":{\"id\":3,\"event\":\"push\"}," REPOSITORY(url) "}"

static void events_of_jobs_and_runs_have_their_server(void **state)
{
    (void)state;
    decode("workflow_job", JOB("https://github.com/acme/w"), "");
    decode("workflow_job", JOB("https://Git.Example/acme/w"), "git.example");
    decode("workflow_run", RUN("https://github.com/acme/w"), "");
    decode("workflow_run", RUN("https://\\u0047it.example:8443/acme/w"), "git.example");
    decode("workflow_run", RUN(""), "");
}

static void refused_memory_is_reported(void **state)
{
    struct arena arena;
    struct slice server;
    (void)state;
    arena_init(&arena, 64);
    memory_fail_after(0);
    enum error_code code = github_server_of_url(SLICE("https://GIT.example/"), &arena, &server);
    memory_fail_after(-1);
    assert_int_equal(code, ERROR_MEMORY);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_server_is_the_empty_one),
        cmocka_unit_test(another_server_is_its_host_in_lower_case_without_user_port_and_dot),
        cmocka_unit_test(a_text_without_a_host_is_of_the_usual_server),
        cmocka_unit_test(an_endless_host_is_cut_between_characters),
        cmocka_unit_test(any_bytes_give_a_stable_result),
        cmocka_unit_test(common_spellings_of_a_name_give_the_same_server),
        cmocka_unit_test(events_of_jobs_and_runs_have_their_server),
        cmocka_unit_test(refused_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
