// The event stream of the live page: what is committed while a stream begins.
/* wrap: api_render_queue api_render_runs api_render_status engine_read_counters engine_ready */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "../../../src/admin/api.h"
#include "../../../src/admin/live.h"
#include "admin_loop.h"

#define REQUEST "GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define QUIET "event: quiet\n"

// `commits_at_render`: how many the engine makes while the first events are rendered.
static struct {
    atomic_int commits, commits_at_render, rendered;
} fake;

enum error_code __wrap_api_render_queue(const struct api_call *call,
                                        const struct api_queue_query *query);
enum error_code __wrap_api_render_runs(const struct api_call *call,
                                       const struct api_runs_query *query);
enum error_code __wrap_api_render_status(const struct api_call *call);
void __wrap_engine_read_counters(const struct engine *engine, struct engine_counters *counters);
enum error_code __wrap_engine_ready(const struct engine *engine, struct error *error);

enum error_code __wrap_api_render_queue(const struct api_call *call,
                                        const struct api_queue_query *query)
{
    (void)query;
    return buffer_append_string(call->out, "{}\n");
}

enum error_code __wrap_api_render_runs(const struct api_call *call,
                                       const struct api_runs_query *query)
{
    (void)query;
    return buffer_append_string(call->out, "{}\n");
}

enum error_code __wrap_api_render_status(const struct api_call *call)
{
    if (atomic_fetch_add(&fake.rendered, 1) == 0)
        atomic_fetch_add(&fake.commits, atomic_load(&fake.commits_at_render));
    return buffer_append_string(call->out, "{}\n");
}

void __wrap_engine_read_counters(const struct engine *engine, struct engine_counters *counters)
{
    (void)engine;
    *counters = (struct engine_counters){.commits = (uint64_t)atomic_load(&fake.commits)};
}

enum error_code __wrap_engine_ready(const struct engine *engine, struct error *error)
{
    (void)engine;
    (void)error;
    return ERROR_NONE;
}

struct fixture {
    struct admin_loop with;
    struct live live;
    struct view_sources sources;
    int fd; // of a client
};

static int set_up(void **state)
{
    static char engine; // never looked into
    struct fixture *f = calloc(1, sizeof *f);
    struct error error;

    assert_non_null(f);
    atomic_store(&fake.commits, 7);
    atomic_store(&fake.commits_at_render, 0);
    atomic_store(&fake.rendered, 0);
    f->sources.engine = (struct engine *)(void *)&engine;
    assert_int_equal(net_loop_create(&f->with.loop, &error), ERROR_NONE);
    assert_int_equal(live_init(&f->live, f->with.loop, &f->sources, &error), ERROR_NONE);
    admin_loop_start(&f->with, (struct admin_route){"/api/live", live_handle, &f->live, false});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    close(f->fd);
    admin_loop_stop(&f->with);
    live_stop(&f->live);
    net_loop_destroy(f->with.loop);
    live_release(&f->live);
    free(f);
    return 0;
}

// Reads until the stream has had so many events of that name, or the one that is sent when nothing has changed for long.
// `text` is emptied by the caller.
static void read_events(const struct fixture *f, const char *name, int count, char *text,
                        size_t size)
{
    size_t len = strlen(text);

    for (;;) {
        int found = 0;
        for (const char *at = text; (at = strstr(at, name)) != NULL; at++)
            found++;
        if (found >= count || strstr(text, QUIET) != NULL)
            return;
        ssize_t got = recv(f->fd, text + len, size - 1 - len, 0);
        assert_true(got > 0);
        len += (size_t)got;
        text[len] = '\0';
    }
}

static void what_is_committed_while_the_first_events_are_made_causes_new_ones(void **state)
{
    struct fixture *f = *state;
    char text[8192] = "";

    atomic_store(&fake.commits_at_render, 1);
    f->fd = admin_loop_send(&f->with, REQUEST);
    read_events(f, "event: status\n", 2, text, sizeof text);
    assert_null(strstr(text, QUIET));
}

static void a_commit_causes_new_events_and_the_streams_are_counted(void **state)
{
    struct fixture *f = *state;
    char text[8192] = "";

    assert_int_equal(f->live.streams, 0);
    f->fd = admin_loop_send(&f->with, REQUEST);
    read_events(f, "event: status\n", 1, text, sizeof text);
    atomic_fetch_add(&fake.commits, 1);
    read_events(f, "event: status\n", 2, text, sizeof text);
    assert_null(strstr(text, QUIET));
    admin_loop_pause(&f->with);
    assert_int_equal(f->live.streams, 1);
    admin_loop_continue(&f->with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_is_committed_while_the_first_events_are_made_causes_new_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_causes_new_events_and_the_streams_are_counted,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
