// Latencies by the API: read by a thread, once for all requests that ask for the same.
/* wrap: api_render_latency */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>

#include "../../../src/admin/latency_api.h"
#include "admin_loop.h"
#include "ghatrace/view/pools_cache.h"

enum error_code __wrap_api_render_latency(const struct api_call *call,
                                          const struct api_latency_query *query,
                                          const atomic_bool *is_cancelled);

// What the readings wait for, and what they return.
static struct {
    sem_t begun, go;
    atomic_int count;
    const atomic_bool *is_cancelled;
    enum error_code code;
    duration_ns work; // processor time of each
    size_t blocks;    // behind each answer
} fake;

static const char block[64 << 10];

enum error_code __wrap_api_render_latency(const struct api_call *call,
                                          const struct api_latency_query *query,
                                          const atomic_bool *is_cancelled)
{
    duration_ns begun_at = duration_of_thread();
    fake.is_cancelled = is_cancelled;
    sem_post(&fake.begun);
    sem_wait(&fake.go);
    while (duration_of_thread() - begun_at < fake.work)
        continue;
    char text[64];
    (void)snprintf(text, sizeof text, "{\"limit\":%zu,\"reading\":%d}\n", query->limit,
                   atomic_fetch_add(&fake.count, 1) + 1);
    if (fake.code != ERROR_NONE)
        return error_set(call->error, fake.code, "it failed");
    enum error_code code = buffer_append_string(call->out, text);
    for (size_t i = 0; i < fake.blocks && code == ERROR_NONE; i++)
        code = buffer_append(call->out, block, sizeof block);
    return code;
}

struct fixture {
    struct admin_loop with;
    struct latency_api *api;
    struct view_sources sources;
};

// The limit is the number in the query.
static void handle(void *context, const struct admin_request *request, struct admin_response *reply)
{
    const struct api_latency_query query = {
        .limit = strtoul(request->query.len > 0 ? request->query.data : "0", NULL, 10)};
    latency_api_answer(context, &query, reply);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error error;
    assert_non_null(f);
    fake.code = ERROR_NONE;
    fake.work = 0;
    fake.blocks = 0;
    atomic_store(&fake.count, 0);
    assert_int_equal(sem_init(&fake.begun, 0, 0), 0);
    assert_int_equal(sem_init(&fake.go, 0, 0), 0);
    assert_int_equal(net_loop_create(&f->with.loop, &error), ERROR_NONE);
    assert_int_equal(latency_api_create(f->with.loop, &f->sources, &f->api, &error), ERROR_NONE);
    admin_loop_start(&f->with,
                     (struct admin_route){"/api/latency", handle, f->api, .is_slow = true});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    admin_loop_stop(&f->with);
    latency_api_stop(f->api);
    net_loop_destroy(f->with.loop);
    latency_api_destroy(f->api);
    sem_destroy(&fake.begun);
    sem_destroy(&fake.go);
    free(f);
    return 0;
}

// It was accepted after the requests before it.
static void expect_other_requests_to_be_answered(const struct fixture *f)
{
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/health"), 200, "healthy");
}

#define LONG_WORK (POOLS_CACHE_LEAST * 3)

static void
requests_for_the_same_share_a_reading_that_takes_long_and_others_get_their_own(void **state)
{
    struct fixture *f = *state;
    fake.work = LONG_WORK;
    int first = admin_loop_ask(&f->with, "GET", "/api/latency?1");
    sem_wait(&fake.begun);
    int same = admin_loop_ask(&f->with, "GET", "/api/latency?1"),
        other = admin_loop_ask(&f->with, "GET", "/api/latency?2");
    expect_other_requests_to_be_answered(f);
    sem_post(&fake.go);
    admin_loop_expect(first, 200, "{\"limit\":1,\"reading\":1}");
    admin_loop_expect(same, 200, "{\"limit\":1,\"reading\":1}");
    sem_post(&fake.go);
    admin_loop_expect(other, 200, "{\"limit\":2,\"reading\":2}");
}

// What the store has when a request comes is in its answer.
static void requests_that_come_during_a_short_reading_share_the_next(void **state)
{
    struct fixture *f = *state;
    int first = admin_loop_ask(&f->with, "GET", "/api/latency?1");
    sem_wait(&fake.begun);
    int second = admin_loop_ask(&f->with, "GET", "/api/latency?1"),
        third = admin_loop_ask(&f->with, "GET", "/api/latency?1");
    expect_other_requests_to_be_answered(f);
    sem_post(&fake.go);
    admin_loop_expect(first, 200, "\"reading\":1}");
    sem_post(&fake.go);
    admin_loop_expect(second, 200, "\"reading\":2}");
    admin_loop_expect(third, 200, "\"reading\":2}");
}

static void an_answer_that_took_long_is_kept_and_one_that_did_not_is_not(void **state)
{
    struct fixture *f = *state;
    sem_post(&fake.go);
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/latency?1"), 200, "\"reading\":1}");
    fake.work = POOLS_CACHE_KEPT_MAX / 9 / 3; // it is kept for a third of the longest time
    sem_post(&fake.go);
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/latency?1"), 200, "\"reading\":2}");
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/latency?1"), 200, "\"reading\":2}");
    fake.work = 0;
    sem_post(&fake.go);
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/latency?3"), 200,
                      "{\"limit\":3,\"reading\":3}");
}

static void too_many_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    int waiting[LATENCY_API_REQUESTS_MAX];
    for (size_t i = 0; i < LATENCY_API_REQUESTS_MAX; i++) {
        waiting[i] = admin_loop_ask(&f->with, "GET", "/api/latency?1");
        expect_other_requests_to_be_answered(f);
    }
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/latency?2"), 503,
                      "too many such requests");
    sem_post(&fake.go);
    admin_loop_expect(waiting[0], 200, "\"reading\":1}");
    sem_post(&fake.go);
    for (size_t i = 1; i < LATENCY_API_REQUESTS_MAX; i++)
        admin_loop_expect(waiting[i], 200, "\"reading\":2}");
}

static void clients_for_whose_answers_there_is_no_memory_are_refused(void **state)
{
    const struct fixture *f = *state;
    enum { CLIENTS = 12 };
    int fds[CLIENTS], first = admin_loop_ask(&f->with, "GET", "/api/latency?2");
    sem_wait(&fake.begun);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = admin_loop_ask(&f->with, "GET", "/api/latency?1");
    expect_other_requests_to_be_answered(f);
    sem_post(&fake.go);
    admin_loop_expect(first, 200, "\"reading\":1}");
    sem_wait(&fake.begun);
    fake.blocks = 128;
    sem_post(&fake.go);
    admin_loop_expect(fds[CLIENTS - 1], 503, "too many responses are not read yet");
    for (int i = 0; i < CLIENTS - 1; i++)
        close(fds[i]);
}

static void a_reading_that_fails_is_answered_with_the_reason(void **state)
{
    static const struct {
        enum error_code code;
        int status;
    } cases[] = {{ERROR_USAGE, 400}, {ERROR_MEMORY, 503}, {ERROR_IO, 503}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake.code = cases[i].code;
        sem_post(&fake.go);
        admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/latency"), cases[i].status,
                          "it failed");
    }
}

// With the clients connected, or not.
static void a_stop_during_a_reading_waits_for_its_thread(void **state)
{
    struct fixture *f = *state;
    int first = admin_loop_ask(&f->with, "GET", "/api/latency?1"),
        second = admin_loop_ask(&f->with, "GET", "/api/latency?2");
    sem_wait(&fake.begun);
    expect_other_requests_to_be_answered(f);
    assert_non_null(fake.is_cancelled);
    assert_false(atomic_load(fake.is_cancelled));
    close(first);
    sem_post(&fake.go);
    sem_post(&fake.go);
    close(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(requests_for_the_same_share_a_reading_that_takes_long_and_others_get_their_own),
        TEST(requests_that_come_during_a_short_reading_share_the_next),
        TEST(an_answer_that_took_long_is_kept_and_one_that_did_not_is_not),
        TEST(too_many_requests_are_refused),
        TEST(clients_for_whose_answers_there_is_no_memory_are_refused),
        TEST(a_reading_that_fails_is_answered_with_the_reason),
        TEST(a_stop_during_a_reading_waits_for_its_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
