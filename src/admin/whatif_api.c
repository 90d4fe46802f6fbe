// Replays of a pool's jobs for the API, by a thread.
#include "whatif_api.h"

#include <assert.h>
#include <stdatomic.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/thread.h"
#include "ghatrace/view/whatif_view.h"

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define RESPONSE_MAX_BYTES ((size_t)1024 * 1024)
#define RUNNERS_MOST 1000000
#define SINCE_DEFAULT (7 * NS_PER_DAY)
#define TARGET_DEFAULT NS_PER_MINUTE

struct whatif_api {
    struct net_loop *loop;
    const struct view_sources *sources;
    pthread_t thread;
    bool is_busy;    // a request has not been answered yet
    bool has_thread; // it has not been waited for
    atomic_bool is_stopping;
    // Of the request; the thread owns them until it posts `done`, but for `deferred`.
    struct admin_deferred *deferred;
    struct whatif_question question;
    struct arena arena;
    struct buffer out;
    enum error_code code;
    struct error error;
    struct net_task done;
};

// --- the thread -----------------------------------------------------------------------------------

static enum error_code refuse_unknown(struct whatif_api *api, const struct whatif_answer *answer)
{
    struct slice near = answer->near_count > 0 ? answer->near[0] : SLICE_EMPTY;
    if (near.len == 0)
        return error_set(&api->error, ERROR_NOT_FOUND, "there is no such pool, nor any other yet");
    return error_set(&api->error, ERROR_NOT_FOUND, "there is no such pool: %s \"%.*s\"%s",
                     answer->is_similar ? "did you mean" : "there is for example", SLICE_ARGS(near),
                     answer->is_similar ? "?" : "");
}

static enum error_code make_answer(struct whatif_api *api)
{
    struct whatif_answer answer;
    struct json_out json;
    enum error_code code =
        whatif_view_load(api->sources->store, &api->question, &api->arena, &answer, &api->error);
    if (code == ERROR_NONE && !answer.is_known)
        code = refuse_unknown(api, &answer);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, &api->out);
    whatif_view_write_json(&answer, &json);
    code = json_out_finish(&json);
    if (code == ERROR_NONE)
        code = buffer_append_string(&api->out, "\n");
    return code == ERROR_NONE ? ERROR_NONE
                              : error_set(&api->error, code, "%s", error_code_text(code));
}

static void *run_api_replay(void *context)
{
    struct whatif_api *api = context;
    api->code = make_answer(api);
    net_loop_post(api->loop, &api->done);
    return NULL;
}

static int status_of(enum error_code code)
{
    if (code == ERROR_NOT_FOUND)
        return 404;
    return code == ERROR_USAGE || code == ERROR_TOO_LARGE || code == ERROR_INVALID ? 400 : 503;
}

static void join_thread(struct whatif_api *api)
{
    if (api->has_thread)
        pthread_join(api->thread, NULL);
    api->has_thread = false;
}

// In the loop's thread, or when the loop is destroyed.
static void answer_request(void *context)
{
    struct whatif_api *api = context;
    assert(api->is_busy);
    join_thread(api);
    if (api->code == ERROR_NONE)
        admin_deferred_send(api->deferred, 200, "application/json", &api->out);
    else
        admin_deferred_error(api->deferred, status_of(api->code), api->error.message);
    buffer_release(&api->out);
    arena_clear(&api->arena);
    api->is_busy = false;
}

// --- the request ----------------------------------------------------------------------------------

enum error_code pool_path_read(struct slice path, struct slice suffix, struct arena *arena,
                               struct slice *pool, struct error *error)
{
    size_t prefix = sizeof POOLS_PREFIX - 1;
    if (!slice_ends_with(path, suffix) || path.len <= prefix + suffix.len)
        return error_set(error, ERROR_NOT_FOUND,
                         "want " POOLS_PREFIX "NAME, or /jobs, /history or /whatif after it");
    struct slice raw = {path.data + prefix, path.len - prefix - suffix.len};
    char *name = arena_allocate(arena, raw.len);
    if (name == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    ptrdiff_t len = admin_percent_decode(raw, false, name);
    if (len < 0)
        return error_set(error, ERROR_USAGE, "the name of the pool is encoded wrongly");
    *pool = (struct slice){name, (size_t)len};
    return ERROR_NONE;
}

static enum error_code read_pool(struct whatif_api *api, struct slice path, struct error *error)
{
    return pool_path_read(path, WHATIF_SUFFIX, &api->arena, &api->question.pool, error);
}

static enum error_code read_time_parameter(struct whatif_api *api, struct slice query,
                                           const char *name, duration_ns *time, struct error *error)
{
    struct slice text;
    if (!admin_query_get(query, name, &api->arena, &text))
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (text.len == 0 || duration_parse(text, time))
        return ERROR_NONE;
    return error_set(error, ERROR_USAGE, "%s: want a time, as 90s or 7d", name);
}

static enum error_code read_runner_count(struct whatif_api *api, struct slice query,
                                         struct error *error)
{
    struct slice text;
    long long number;
    if (!admin_query_get(query, "runners", &api->arena, &text))
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (text.len == 0)
        return ERROR_NONE;
    if (!slice_parse_int64(text, &number) || number < 0 || number > RUNNERS_MOST)
        return error_set(error, ERROR_USAGE, "runners: want a number from 0 to %d", RUNNERS_MOST);
    api->question.has_runners = true;
    api->question.runners = (uint64_t)number;
    return ERROR_NONE;
}

static enum error_code read_api_question(struct whatif_api *api,
                                         const struct admin_request *request, struct error *error)
{
    duration_ns since = SINCE_DEFAULT;
    api->question = (struct whatif_question){.target = TARGET_DEFAULT,
                                             .most_jobs = WHATIF_API_JOBS_MAX,
                                             .ceilings = &api->sources->pools.ceilings,
                                             .is_cancelled = &api->is_stopping};
    enum error_code code = read_pool(api, request->path, error);
    if (code == ERROR_NONE)
        code = read_runner_count(api, request->query, error);
    if (code == ERROR_NONE)
        code = read_time_parameter(api, request->query, "since", &since, error);
    if (code == ERROR_NONE)
        code = read_time_parameter(api, request->query, "target", &api->question.target, error);
    api->question.window.until = timestamp_now();
    api->question.window.from = api->question.window.until - since;
    if (code == ERROR_NONE && (since <= 0 || api->question.window.from <= 0))
        code = error_set(error, ERROR_USAGE, "since: want a time after 1970 and before now");
    return code;
}

void whatif_api_handle(void *context, const struct admin_request *request,
                       struct admin_response *reply)
{
    struct whatif_api *api = context;
    struct error error;
    if (api->is_busy) {
        admin_response_error(reply, 503, "another such request is in progress, try again later");
        return;
    }
    arena_clear(&api->arena);
    enum error_code code = read_api_question(api, request, &error);
    if (code != ERROR_NONE) {
        admin_response_error(reply, status_of(code), error.message);
        return;
    }
    api->deferred = admin_response_defer(reply);
    if (api->deferred == NULL)
        return;
    api->is_busy = true;
    buffer_init(&api->out, RESPONSE_MAX_BYTES);
    api->has_thread = thread_start(&api->thread, run_api_replay, api) == 0;
    if (api->has_thread)
        return;
    api->code = error_set(&api->error, ERROR_BUSY, "no thread can be started, try again later");
    answer_request(api);
}

// --- life cycle -----------------------------------------------------------------------------------

enum error_code whatif_api_create(struct net_loop *loop, const struct view_sources *sources,
                                  struct whatif_api **api, struct error *error)
{
    struct whatif_api *made = memory_allocate_array(1, sizeof *made);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "what if: out of memory");
    made->loop = loop;
    made->sources = sources;
    atomic_init(&made->is_stopping, false);
    arena_init(&made->arena, ARENA_BLOCK_BYTES);
    made->done = (struct net_task){.run = answer_request, .context = made};
    *api = made;
    return ERROR_NONE;
}

void whatif_api_stop(struct whatif_api *api)
{
    if (api == NULL)
        return;
    atomic_store(&api->is_stopping, true);
    join_thread(api);
}

void whatif_api_destroy(struct whatif_api *api)
{
    if (api == NULL)
        return;
    assert(!api->is_busy); // the loop has run what was posted
    arena_release(&api->arena);
    memory_free(api);
}
