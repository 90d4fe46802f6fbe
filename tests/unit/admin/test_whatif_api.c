// Replays by the API: one at a time, by a thread, whether or not the client waits for the answer.
/* wrap: whatif_view_load */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>

#include "../../../src/admin/whatif_api.h"
#include "admin_loop.h"
#include "ghatrace/view/whatif_view.h"

enum error_code __wrap_whatif_view_load(struct store *store, const struct whatif_question *question,
                                        struct arena *arena, struct whatif_answer *answer,
                                        struct error *error);

// What the replays wait for, and what they were asked and are to return.
static struct {
    sem_t begun, go;
    struct whatif_question question;
    char pool[64];
    enum error_code code;
    bool is_known;
} fake;

enum error_code __wrap_whatif_view_load(struct store *store, const struct whatif_question *question,
                                        struct arena *arena, struct whatif_answer *answer,
                                        struct error *error)
{
    (void)store;
    (void)arena;
    fake.question = *question;
    (void)snprintf(fake.pool, sizeof fake.pool, "%.*s", SLICE_ARGS(question->pool));
    sem_post(&fake.begun);
    sem_wait(&fake.go);
    *answer = (struct whatif_answer){.question = *question,
                                     .name = SLICE("gpu"),
                                     .is_known = fake.is_known,
                                     .near = {SLICE("gpu\"s")},
                                     .near_count = 1,
                                     .is_similar = true};
    return fake.code == ERROR_NONE ? ERROR_NONE : error_set(error, fake.code, "it failed");
}

struct fixture {
    struct admin_loop with;
    struct whatif_api *api;
    struct view_sources sources;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error error;
    assert_non_null(f);
    fake.code = ERROR_NONE;
    fake.is_known = true;
    assert_int_equal(sem_init(&fake.begun, 0, 0), 0);
    assert_int_equal(sem_init(&fake.go, 0, 0), 0);
    assert_int_equal(net_loop_create(&f->with.loop, &error), ERROR_NONE);
    assert_int_equal(whatif_api_create(f->with.loop, &f->sources, &f->api, &error), ERROR_NONE);
    admin_loop_start(
        &f->with, (struct admin_route){POOLS_PREFIX, whatif_api_handle, f->api, .is_slow = true});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    admin_loop_stop(&f->with);
    whatif_api_stop(f->api);
    net_loop_destroy(f->with.loop);
    whatif_api_destroy(f->api);
    sem_destroy(&fake.begun);
    sem_destroy(&fake.go);
    free(f);
    return 0;
}

static void a_replay_is_answered_when_it_is_done(void **state)
{
    struct fixture *f = *state;
    sem_post(&fake.go);
    admin_loop_expect(
        admin_loop_ask(&f->with, "GET",
                       "/api/pools/self-hosted%2CGPU%20x+/whatif?runners=9&since=1h&target=5s"),
        200, "{\"pool\":\"gpu\",");
    assert_string_equal(fake.pool, "self-hosted,GPU x+");
    assert_true(fake.question.has_runners);
    assert_int_equal(fake.question.runners, 9);
    assert_int_equal(fake.question.window.until - fake.question.window.from, NS_PER_HOUR);
    assert_int_equal(fake.question.target, 5 * NS_PER_SECOND);
    assert_int_equal(fake.question.most_jobs, WHATIF_API_JOBS_MAX);
    sem_post(&fake.go);
    admin_loop_expect(admin_loop_ask(&f->with, "HEAD", "/api/pools/gpu/whatif"), 200, "\r\n\r\n");
    assert_false(fake.question.has_runners);
    assert_int_equal(fake.question.window.until - fake.question.window.from, 7 * NS_PER_DAY);
    assert_int_equal(fake.question.target, NS_PER_MINUTE);
}

static void while_one_is_in_progress_others_are_refused(void **state)
{
    struct fixture *f = *state;
    int first = admin_loop_ask(&f->with, "GET", "/api/pools/gpu/whatif");
    sem_wait(&fake.begun);
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/pools/gpu/whatif"), 503, "in progress");
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/health"), 200, "healthy");
    sem_post(&fake.go);
    admin_loop_expect(first, 200, "\"pool\"");
    sem_post(&fake.go);
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/pools/gpu/whatif"), 200, "\"pool\"");
}

// A wrong request is refused as such only when no other is in progress.
static void wait_until_idle(const struct fixture *f)
{
    char status[13] = "";
    while (strstr(status, "400") == NULL) {
        int fd = admin_loop_ask(&f->with, "GET", "/api/pools/gpu/whatif?runners=x");
        assert_int_equal(read(fd, status, 12), 12);
        close(fd);
    }
}

static void a_client_that_disconnects_holds_up_nothing(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        struct linger reset = {1, 0};
        int fd = admin_loop_ask(&f->with, "GET", "/api/pools/gpu/whatif");
        sem_wait(&fake.begun);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
        close(fd);
        admin_loop_expect(admin_loop_ask(&f->with, "GET", "/health"), 200, "healthy");
        sem_post(&fake.go);
        wait_until_idle(f);
    }
    sem_post(&fake.go);
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/pools/gpu/whatif"), 200, "\"pool\"");
}

static void a_stop_during_a_replay_waits_for_its_thread(void **state)
{
    struct fixture *f = *state;
    int fd = admin_loop_ask(&f->with, "GET", "/api/pools/gpu/whatif");
    sem_wait(&fake.begun);
    assert_non_null(fake.question.is_cancelled);
    assert_false(atomic_load(fake.question.is_cancelled));
    sem_post(&fake.go);
    // The rest is in tear_down(), with the client connected, before or after the answer.
    close(fd);
}

static void wrong_requests_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *target;
        int status;
        const char *part;
    } cases[] = {
        {"/api/pools/gpu", 404, "want /api/pools/NAME, or /jobs, /history or /whatif after it"},
        {"/api/pools//whatif", 404, "want /api/pools/NAME,"},
        {"/api/pools/gpu/other", 404, "want /api/pools/NAME,"},
        {"/api/pools/g%2/whatif", 400, "request target"},
        {"/api/pools/gpu/whatif?runners=x", 400, "runners: want a number"},
        {"/api/pools/gpu/whatif?runners=-1", 400, "runners: want a number"},
        {"/api/pools/gpu/whatif?runners=1000001", 400, "runners: want a number"},
        {"/api/pools/gpu/whatif?since=x", 400, "since: want a time"},
        {"/api/pools/gpu/whatif?since=0", 400, "since: want a time"},
        {"/api/pools/gpu/whatif?since=40000000h", 400, "since: want a time"},
        {"/api/pools/gpu/whatif?target=5", 400, "target: want a time"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        admin_loop_expect(admin_loop_ask(&f->with, "GET", cases[i].target), cases[i].status,
                          cases[i].part);
    admin_loop_expect(admin_loop_ask(&f->with, "POST", "/api/pools/gpu/whatif"), 405, "");
}

static void a_replay_that_fails_is_answered_with_the_reason(void **state)
{
    static const struct {
        enum error_code code;
        int status;
    } cases[] = {{ERROR_TOO_LARGE, 400}, {ERROR_MEMORY, 503}, {ERROR_IO, 503}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake.code = cases[i].code;
        sem_post(&fake.go);
        admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/pools/gpu/whatif"), cases[i].status,
                          "it failed");
    }
    fake.code = ERROR_NONE;
    fake.is_known = false;
    sem_post(&fake.go);
    admin_loop_expect(admin_loop_ask(&f->with, "GET", "/api/pools/gpux/whatif"), 404,
                      "there is no such pool: did you mean \\\"gpu\\\"s\\\"?");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_replay_is_answered_when_it_is_done),
        TEST(while_one_is_in_progress_others_are_refused),
        TEST(a_client_that_disconnects_holds_up_nothing),
        TEST(a_stop_during_a_replay_waits_for_its_thread),
        TEST(wrong_requests_are_refused_with_the_reason),
        TEST(a_replay_that_fails_is_answered_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
