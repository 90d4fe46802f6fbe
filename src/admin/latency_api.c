// Answers about latencies, made by a thread.
#include "latency_api.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/thread.h"
#include "ghatrace/view/pools_cache.h"

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define RESPONSE_MAX_BYTES ((size_t)256 * 1024 * 1024)

struct latency_request {
    struct api_latency_query query;
    struct admin_deferred *deferred;
};

struct latency_api {
    struct net_loop *loop;
    const struct view_sources *sources;
    struct latency_request requests[LATENCY_API_REQUESTS_MAX]; // not answered, the oldest first
    size_t request_count;
    size_t begun_count; // when the thread began
    struct buffer kept; // the last answer, if it took long
    struct api_latency_query kept_query;
    timestamp_ns kept_until; // monotonic
    pthread_t thread;
    bool is_busy;    // the thread makes an answer
    bool has_thread; // it has not been waited for
    atomic_bool is_stopping;
    // The thread owns them until it posts `done`.
    struct api_latency_query query;
    struct buffer out;
    duration_ns took;
    enum error_code code;
    struct error error;
    struct net_task done;
};

// --- the thread -----------------------------------------------------------------------------------

static void *run_latency_reading(void *context)
{
    struct latency_api *api = context;
    struct arena arena;
    duration_ns begun_at = duration_of_thread();
    arena_init(&arena, ARENA_BLOCK_BYTES);
    const struct api_call call = {.sources = api->sources,
                                  .now = timestamp_now(),
                                  .arena = &arena,
                                  .out = &api->out,
                                  .error = &api->error};
    api->code = api_render_latency(&call, &api->query, &api->is_stopping);
    arena_release(&arena);
    api->took = duration_of_thread() - begun_at;
    net_loop_post(api->loop, &api->done);
    return NULL;
}

static void join_reading(struct latency_api *api)
{
    if (api->has_thread)
        pthread_join(api->thread, NULL);
    api->has_thread = false;
}

// --- answers --------------------------------------------------------------------------------------

static bool asks_for_same(const struct api_latency_query *a, const struct api_latency_query *b)
{
    return a->span.from == b->span.from && a->span.window == b->span.window &&
           a->span.to == b->span.to && a->limit == b->limit &&
           a->is_worst_first == b->is_worst_first;
}

// A copy of it, since sending takes the text.
static bool copy_answer(const struct buffer *body, struct buffer *copy)
{
    buffer_init(copy, RESPONSE_MAX_BYTES);
    return buffer_append_slice(copy, buffer_slice(body)) == ERROR_NONE;
}

static void complete_request(const struct latency_api *api, struct admin_deferred *deferred)
{
    struct buffer copy;
    if (api->code != ERROR_NONE) {
        admin_deferred_error(deferred, api->code == ERROR_USAGE ? 400 : 503, api->error.message);
        return;
    }
    // Each client has a copy of its own: those for whom there is no room would only be cut off in the middle.
    if (!admin_deferred_has_room(deferred)) {
        admin_deferred_error(deferred, 503, "too many responses are not read yet, try again later");
        return;
    }
    if (copy_answer(&api->out, &copy))
        admin_deferred_send(deferred, 200, "application/json", &copy);
    else
        admin_deferred_error(deferred, 503, "out of memory");
    buffer_release(&copy);
}

// Of requests that asked for it: of those that came after the reading had begun, only if such an answer is kept anyway, so
// that a client whose delivery was accepted finds it in the next answer.
static void complete_requests(struct latency_api *api, bool is_kept)
{
    size_t left = 0, last = is_kept ? api->request_count : api->begun_count;
    assert(!api->is_busy && api->begun_count <= api->request_count);
    for (size_t i = 0; i < api->request_count; i++) {
        if (i < last && asks_for_same(&api->requests[i].query, &api->query))
            complete_request(api, api->requests[i].deferred);
        else
            api->requests[left++] = api->requests[i];
    }
    api->request_count = left;
}

static void keep_answer(struct latency_api *api)
{
    if (api->out.len > LATENCY_API_KEPT_MAX)
        return;
    buffer_release(&api->kept);
    api->kept_until = 0;
    if (!copy_answer(&api->out, &api->kept))
        return;
    api->kept_query = api->query;
    api->kept_until = timestamp_monotonic() + pools_cache_kept(api->took);
}

static void read_for_next(struct latency_api *api);

// In the loop's thread, or when the loop is destroyed.
static void take_answer(void *context)
{
    struct latency_api *api = context;
    assert(api->is_busy);
    join_reading(api);
    api->is_busy = false;
    bool is_kept = api->code == ERROR_NONE && pools_cache_kept(api->took) > 0;
    complete_requests(api, is_kept);
    if (is_kept)
        keep_answer(api);
    buffer_release(&api->out);
    if (api->request_count > 0)
        read_for_next(api);
}

// If that is impossible, each request gets that answer.
static void read_for_next(struct latency_api *api)
{
    assert(!api->is_busy);
    while (api->request_count > 0) {
        api->query = api->requests[0].query;
        api->begun_count = api->request_count;
        buffer_init(&api->out, RESPONSE_MAX_BYTES);
        api->has_thread = !atomic_load(&api->is_stopping) &&
                          thread_start(&api->thread, run_latency_reading, api) == 0;
        if (api->has_thread)
            break;
        api->code = error_set(&api->error, ERROR_BUSY, "no thread can be started, try again later");
        complete_requests(api, true);
    }
    api->is_busy = api->has_thread;
}

// --- requests -------------------------------------------------------------------------------------

static bool answer_kept(struct latency_api *api, const struct api_latency_query *query,
                        struct admin_response *reply)
{
    struct buffer copy;
    if (timestamp_monotonic() >= api->kept_until || !asks_for_same(query, &api->kept_query))
        return false;
    bool is_copied = copy_answer(&api->kept, &copy);
    if (is_copied)
        admin_response_send(reply, 200, "application/json", &copy);
    buffer_release(&copy);
    return is_copied;
}

void latency_api_answer(struct latency_api *api, const struct api_latency_query *query,
                        struct admin_response *reply)
{
    if (answer_kept(api, query, reply))
        return;
    if (api->request_count == LATENCY_API_REQUESTS_MAX) {
        admin_response_error(reply, 503, "too many such requests are in progress, try again later");
        return;
    }
    struct admin_deferred *deferred = admin_response_defer(reply);
    if (deferred == NULL)
        return;
    api->requests[api->request_count++] =
        (struct latency_request){.query = *query, .deferred = deferred};
    if (!api->is_busy)
        read_for_next(api);
}

// --- life cycle -----------------------------------------------------------------------------------

enum error_code latency_api_create(struct net_loop *loop, const struct view_sources *sources,
                                   struct latency_api **api, struct error *error)
{
    struct latency_api *made = memory_allocate_array(1, sizeof *made);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "latencies: out of memory");
    made->loop = loop;
    made->sources = sources;
    buffer_init(&made->kept, RESPONSE_MAX_BYTES);
    atomic_init(&made->is_stopping, false);
    made->done = (struct net_task){.run = take_answer, .context = made};
    *api = made;
    return ERROR_NONE;
}

void latency_api_stop(struct latency_api *api)
{
    if (api == NULL)
        return;
    atomic_store(&api->is_stopping, true);
    join_reading(api);
}

void latency_api_destroy(struct latency_api *api)
{
    if (api == NULL)
        return;
    assert(!api->is_busy && api->request_count == 0); // the loop has run what was posted
    buffer_release(&api->kept);
    memory_free(api);
}
