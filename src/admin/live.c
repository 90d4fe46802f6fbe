// The live stream.
#include "live.h"

#include <assert.h>
#include <string.h>

#include "api.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/webhook/setup.h"

#define TICK NS_PER_SECOND
// After this many ticks an unchanged event is sent: it keeps the connection open in proxies, detects closed
// connections, and shows the page that events arrive.
#define QUIET_TICKS_MAX 15
// So many bytes are sent to each client in a tick, on average: after larger events there is a pause.
#define BYTES_PER_TICK ((size_t)100 * 1024)
#define EVENTS_MAX_BYTES ((size_t)32 * 1024 * 1024)
#define ARENA_BLOCK_BYTES ((size_t)256 * 1024)
#define LIVE_JOBS 100
#define LIVE_POOLS 100
#define LIVE_RUNS 50
#define LIVE_RUN_JOBS 10

struct live_subscriber {
    struct live *live;
    LIST_ENTRY(live_subscriber) all;
    struct admin_stream *stream;
};

// --- events ---------------------------------------------------------------------------------------

// The data is one line and includes its line end.
static enum error_code add_event(struct live *live, const char *name)
{
    return buffer_append_format(&live->events, "event: %s\ndata: ", name);
}

static enum error_code render(struct live *live, struct error *error)
{
    const struct api_queue_query queue = {.limit = LIVE_JOBS, .pools = LIVE_POOLS};
    const struct api_runs_query runs = {.open = true, .limit = LIVE_RUNS, .jobs = LIVE_RUN_JOBS};
    const struct api_call call = {.sources = live->sources,
                                  .now = timestamp_now(),
                                  .arena = &live->arena,
                                  .out = &live->events,
                                  .error = error};

    arena_clear(&live->arena);
    buffer_clear(&live->events);
    enum error_code code = add_event(live, "queue");
    if (code == ERROR_NONE)
        code = api_render_queue(&call, &queue);
    if (code == ERROR_NONE)
        code = buffer_append_string(&live->events, "\nevent: runs\ndata: ");
    if (code == ERROR_NONE)
        code = api_render_runs(&call, &runs);
    if (code == ERROR_NONE)
        code = buffer_append_string(&live->events, "\nevent: status\ndata: ");
    if (code == ERROR_NONE)
        code = api_render_status(&call);
    if (code == ERROR_NONE)
        code = buffer_append_string(&live->events, "\n");
    return code;
}

static struct live_seen read_live_state(const struct live *live)
{
    const struct view_sources *sources = live->sources;
    struct engine_counters counters = {.commits = 0};
    struct live_seen seen = {.is_ready = true, .has_usable_headers = true};
    struct export_header_file_status headers;
    struct error ignored;

    if (sources->engine != NULL) {
        engine_read_counters(sources->engine, &counters);
        seen.is_ready = engine_ready(sources->engine, &ignored) == ERROR_NONE;
    }
    if (sources->exporter != NULL)
        exporter_read_status(sources->exporter, &seen.exporting);
    if (sources->ingress != NULL) {
        struct ingress_setup setup;
        ingress_read_setup(sources->ingress, &setup);
        seen.setup_version = setup.version;
    }
    if (sources->header_file != NULL) {
        export_header_file_read_status(sources->header_file, &headers);
        seen.has_usable_headers = headers.is_usable;
    }
    seen.commits = counters.commits;
    return seen;
}

// A change in the number of failures alone is not sent.
static bool is_unchanged(const struct live_seen *a, const struct live_seen *b)
{
    return a->commits == b->commits && a->is_ready == b->is_ready &&
           a->has_usable_headers == b->has_usable_headers && a->setup_version == b->setup_version &&
           a->exporting.is_troubled == b->exporting.is_troubled &&
           a->exporting.category == b->exporting.category &&
           a->exporting.quarantined_records == b->exporting.quarantined_records &&
           strcmp(a->exporting.message, b->exporting.message) == 0;
}

// Sending may end a stream, but its subscriber is removed later, from the loop.
static void send_to_all(struct live *live, struct slice bytes)
{
    struct live_subscriber *each;

    LIST_FOREACH (each, &live->subscribers, all)
        (void)admin_stream_send(each->stream, bytes);
}

static void on_tick(void *context)
{
    struct live *live = context;
    struct error error = {.code = ERROR_NONE};
    struct live_seen seen = read_live_state(live);

    if (live->pause > 0) {
        live->pause--;
    } else if (!is_unchanged(&seen, &live->seen)) {
        live->seen = seen;
        live->quiet_ticks = 0;
        if (render(live, &error) == ERROR_NONE)
            send_to_all(live, buffer_slice(&live->events));
        else
            log_warn("live page: not updated", LOG_REASON(&error));
        live->pause = (unsigned)(buffer_slice(&live->events).len / BYTES_PER_TICK);
    } else if (++live->quiet_ticks >= QUIET_TICKS_MAX) {
        live->quiet_ticks = 0;
        send_to_all(live, SLICE("event: quiet\ndata: {}\n\n"));
    }
    if (!LIST_EMPTY(&live->subscribers))
        net_timer_set(live->timer, TICK);
}

// --- subscribers ----------------------------------------------------------------------------------

static void on_stream_closed(void *context)
{
    struct live_subscriber *subscriber = context;

    assert(!LIST_EMPTY(&subscriber->live->subscribers));
    LIST_REMOVE(subscriber, all);
    subscriber->live->streams--;
    memory_free(subscriber);
}

void live_handle(void *context, const struct admin_request *request, struct admin_response *reply)
{
    struct live *live = context;
    struct error error = {.code = ERROR_NONE};
    struct live_subscriber *subscriber = memory_allocate_array(1, sizeof *subscriber);
    // Before the events are rendered: what is committed meanwhile may be missing in them, and causes new ones.
    const struct live_seen seen = read_live_state(live);

    (void)request;
    if (subscriber == NULL || render(live, &error) != ERROR_NONE) {
        memory_free(subscriber);
        admin_response_error(reply, 503,
                             error.code != ERROR_NONE ? error.message : "out of memory");
        return;
    }
    // nginx buffers responses unless this field says otherwise; other proxies do so while they compress. RFC 9111
    // 5.2.2.6 forbids compression with no-transform; Caddy 2.6 (Debian 12) compresses responses without a content
    // coding, so the identity coding is named.
    admin_response_set_field(reply, "X-Accel-Buffering", "no");
    admin_response_set_field(reply, "Cache-Control", "no-store, no-transform");
    admin_response_set_field(reply, "Content-Encoding", "identity");
    subscriber->live = live;
    subscriber->stream = admin_response_stream(reply, on_stream_closed, subscriber);
    if (subscriber->stream == NULL) {
        memory_free(subscriber);
        return;
    }
    if (LIST_EMPTY(&live->subscribers)) {
        live->seen = seen;
        net_timer_set(live->timer, TICK);
    }
    LIST_INSERT_HEAD(&live->subscribers, subscriber, all);
    live->streams++;
    (void)admin_stream_send(subscriber->stream, buffer_slice(&live->events));
}

enum error_code live_init(struct live *live, struct net_loop *loop,
                          const struct view_sources *sources, struct error *error)
{
    *live = (struct live){.sources = sources};
    arena_init(&live->arena, ARENA_BLOCK_BYTES);
    buffer_init(&live->events, EVENTS_MAX_BYTES);
    return net_timer_create(loop, on_tick, live, &live->timer, error);
}

void live_stop(struct live *live)
{
    net_timer_destroy(live->timer);
    live->timer = NULL;
}

void live_release(struct live *live)
{
    arena_release(&live->arena);
    buffer_release(&live->events);
}
