// Name look-ups: numbers, names, failures, and owners that go away too early.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/net/resolver.h"

struct http_response {
    struct net_loop *loop;
    int calls;
    size_t count;
    char first[NET_ADDRESS_TEXT_SIZE];
    struct error error;
};

static void on_resolved(void *context, const struct net_address *addresses, size_t count,
                        const struct error *error)
{
    struct http_response *answer = context;

    answer->calls++;
    answer->count = count;
    answer->error = *error;
    if (count > 0)
        net_address_format(&addresses[0], answer->first);
    net_loop_stop(answer->loop);
}

struct fixture {
    struct net_loop *loop;
    struct net_resolver *resolver;
};

static struct fixture set_up(void)
{
    struct fixture f;
    struct error error;

    assert_int_equal(net_loop_create(&f.loop, &error), ERROR_NONE);
    assert_int_equal(net_resolver_create(f.loop, &f.resolver, &error), ERROR_NONE);
    return f;
}

static void tear_down(struct fixture *f)
{
    net_resolver_destroy(f->resolver);
    net_loop_destroy(f->loop);
}

static struct http_response resolve(struct fixture *f, const char *host, uint16_t port)
{
    struct http_response answer = {.loop = f->loop};
    struct error error;

    assert_int_equal(net_resolver_start(f->resolver, host, port, on_resolved, &answer, &error),
                     ERROR_NONE);
    assert_int_equal(answer.calls, 0); // never from inside the call
    net_loop_run(f->loop);
    assert_int_equal(answer.calls, 1);
    return answer;
}

static void numbers_are_answered_as_they_are(void **state)
{
    struct fixture f = set_up();

    (void)state;
    assert_string_equal(resolve(&f, "127.0.0.1", 4318).first, "127.0.0.1:4318");
    assert_string_equal(resolve(&f, "::1", 443).first, "[::1]:443");
    tear_down(&f);
}

static void names_go_through_the_hosts_file(void **state)
{
    struct fixture f = set_up();
    struct http_response answer = resolve(&f, "localhost", 80);

    (void)state;
    assert_true(answer.count >= 1 && answer.count <= NET_RESOLVED_MAX);
    assert_true(strcmp(answer.first, "127.0.0.1:80") == 0 || strcmp(answer.first, "[::1]:80") == 0);
    tear_down(&f);
}

static void a_failure_names_the_host(void **state)
{
    struct fixture f = set_up();
    struct http_response answer = resolve(&f, "no host has blanks", 80);

    (void)state;
    assert_int_equal(answer.count, 0);
    assert_int_equal(answer.error.code, ERROR_NETWORK);
    assert_non_null(strstr(answer.error.message, "no host has blanks"));
    tear_down(&f);
}

static void a_second_start_takes_the_first_ones_place(void **state)
{
    struct fixture f = set_up();
    struct http_response first = {.loop = f.loop}, second = {.loop = f.loop};
    struct error error;

    (void)state;
    for (int is_same_host = 0; is_same_host < 2; is_same_host++) {
        assert_int_equal(net_resolver_start(f.resolver, is_same_host ? "127.0.0.2" : "localhost", 1,
                                            on_resolved, &first, &error),
                         ERROR_NONE);
        assert_int_equal(
            net_resolver_start(f.resolver, "127.0.0.2", 1, on_resolved, &second, &error),
            ERROR_NONE);
        net_loop_run(f.loop);
    }
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 2);
    assert_string_equal(second.first, "127.0.0.2:1");
    tear_down(&f);
}

static void nobody_is_called_after_the_resolver_is_gone(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "no host has blanks"};

    (void)state;
    for (int i = 0; i < 30; i++) {
        struct fixture f = set_up();
        struct http_response answer = {.loop = f.loop};
        struct error error;
        assert_int_equal(
            net_resolver_start(f.resolver, hosts[i % 3], 1, on_resolved, &answer, &error),
            ERROR_NONE);
        if (i % 2 == 0)
            usleep(500); // the look-up may be posted by now
        tear_down(&f);
        assert_int_equal(answer.calls, 0);
    }
}

static void refused_memory_is_an_error_and_the_resolver_lives_on(void **state)
{
    struct fixture f = set_up();
    struct http_response answer = {.loop = f.loop};
    struct error error;

    (void)state;
    for (long skip = 0; skip < 2; skip++) {
        memory_fail_after(skip);
        assert_int_equal(
            net_resolver_start(f.resolver, "127.0.0.1", 1, on_resolved, &answer, &error),
            ERROR_MEMORY);
        memory_fail_after(-1);
    }
    assert_int_equal(answer.calls, 0);
    assert_string_equal(resolve(&f, "127.0.0.1", 4318).first, "127.0.0.1:4318");
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_answered_as_they_are),
        cmocka_unit_test(names_go_through_the_hosts_file),
        cmocka_unit_test(a_failure_names_the_host),
        cmocka_unit_test(a_second_start_takes_the_first_ones_place),
        cmocka_unit_test(nobody_is_called_after_the_resolver_is_gone),
        cmocka_unit_test(refused_memory_is_an_error_and_the_resolver_lives_on),
    };
    alarm(60);
    return cmocka_run_group_tests_name("net/resolver", tests, NULL, NULL);
}
