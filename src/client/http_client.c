// Drives libcurl from the loop: pools of connections, the queue of requests, the callbacks to their senders.
//
// libcurl's callbacks only change what they are about; what may call libcurl or a sender runs from `work`, an event of
// the loop, when no function of libcurl is on the stack.
#include <assert.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "client_private.h"
#include "ghatrace/base/memory.h"

#define CONNECTIONS_DEFAULT 8
// Connections whose numbers are remembered; more than an exporter ever has.
#define NUMBERED_MAX 64

struct http_client {
    struct net_loop *loop;
    struct guard *guard;
    struct http_client_options options; // tls: referenced
    uint64_t age;                       // how often it was renewed
    struct client_pool *pool;           // in use; NULL: none yet
    LIST_HEAD(, client_pool) pools;     // all, retired ones too
    struct transfer_list queued, active, finished;
    size_t starting; // transfers that are STARTING
    // Look-ups that were given up, by the time until which they count.
    timestamp_ns lingering[HTTP_CLIENT_LOOKUPS_MAX];
    size_t lingering_count;
    struct net_timer *linger_timer, *idle_timer;
    struct event *work;
    struct {
        int local_port;
        uint64_t number;
    } numbered[NUMBERED_MAX]; // a ring
    uint64_t connections;     // made so far
};

// --- libcurl as a whole ---------------------------------------------------------------------------

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static bool curl_is_ready;

// Threads of look-ups allocate, too.
static atomic_size_t failed_allocations;

size_t client_failed_allocations(void)
{
    return atomic_load(&failed_allocations);
}

static void *checked(void *block)
{
    if (block == NULL)
        atomic_fetch_add(&failed_allocations, 1);
    return block;
}

static void *allocate_for_curl(size_t size)
{
    return checked(memory_allocate(size));
}

static void *allocate_array_for_curl(size_t count, size_t size)
{
    return checked(memory_allocate_array(count, size));
}

static void *resize_for_curl(void *block, size_t size)
{
    return checked(memory_resize(block, size));
}

static char *copy_for_curl(const char *text)
{
    return checked(memory_copy_string(text, strlen(text)));
}

static void prepare_curl(void)
{
    curl_is_ready =
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, allocate_for_curl, memory_free, resize_for_curl,
                             copy_for_curl, allocate_array_for_curl) == CURLE_OK;
}

// --- states of a transfer -------------------------------------------------------------------------

#define TO(state) (1U << TRANSFER_##state)

static const unsigned next_states[] = {
    [TRANSFER_NEW] = TO(QUEUED) | TO(ENDED),
    [TRANSFER_QUEUED] = TO(STARTING) | TO(FINISHED) | TO(ENDED),
    [TRANSFER_STARTING] = TO(RUNNING) | TO(FINISHED) | TO(ENDED),
    [TRANSFER_RUNNING] = TO(QUEUED) | TO(FINISHED) | TO(ENDED),
    [TRANSFER_FINISHED] = TO(ENDED),
    [TRANSFER_ENDED] = 0,
};

static struct transfer_list *list_of(struct http_client *client, enum transfer_state state)
{
    switch (state) {
    case TRANSFER_QUEUED:
        return &client->queued;
    case TRANSFER_STARTING:
    case TRANSFER_RUNNING:
        return &client->active;
    case TRANSFER_FINISHED:
        return &client->finished;
    case TRANSFER_NEW:
    case TRANSFER_ENDED:
        break;
    }
    return NULL;
}

// Performs every change of state; keeps the lists and the count of STARTING transfers.
static void move_transfer(struct http_client_transfer *transfer, enum transfer_state to)
{
    struct http_client *client = transfer->client;
    assert((next_states[transfer->state] & 1U << to) != 0);
    assert((to == TRANSFER_STARTING || to == TRANSFER_RUNNING) == (transfer->pool != NULL));
    if (transfer->state == TRANSFER_STARTING) {
        assert(client->starting > 0);
        client->starting--;
    }
    if (to == TRANSFER_STARTING)
        client->starting++;
    if (transfer->list != NULL)
        TAILQ_REMOVE(transfer->list, transfer, entry);
    transfer->list = list_of(client, to);
    if (transfer->list != NULL)
        TAILQ_INSERT_TAIL(transfer->list, transfer, entry);
    transfer->state = to;
}

static void work_soon(struct http_client *client)
{
    event_active(client->work, EV_TIMEOUT, 1);
}

// --- look-ups -------------------------------------------------------------------------------------

static bool may_look_up(const struct http_client *client)
{
    return client->starting + client->lingering_count < HTTP_CLIENT_LOOKUPS_MAX;
}

// The thread of a look-up that is given up runs on.
static void let_lookup_linger(struct http_client *client)
{
    assert(client->lingering_count < HTTP_CLIENT_LOOKUPS_MAX);
    if (client->lingering_count == 0)
        net_timer_set(client->linger_timer, client->options.lookup_linger);
    client->lingering[client->lingering_count++] =
        timestamp_monotonic() + client->options.lookup_linger;
}

static void on_linger_end(void *context)
{
    struct http_client *client = context;
    timestamp_ns now = timestamp_monotonic();
    size_t over = 0;
    while (over < client->lingering_count && client->lingering[over] <= now)
        over++;
    client->lingering_count -= over;
    memmove(client->lingering, client->lingering + over,
            client->lingering_count * sizeof client->lingering[0]);
    if (client->lingering_count > 0)
        net_timer_set(client->linger_timer, client->lingering[0] - now);
    work_soon(client);
}

void client_end_lookup(struct http_client_transfer *transfer)
{
    if (transfer->state != TRANSFER_STARTING)
        return;
    move_transfer(transfer, TRANSFER_RUNNING);
    work_soon(transfer->client);
}

// --- connections ----------------------------------------------------------------------------------

// Before 8.2 libcurl does not number its connections. Among those that are open, the local port identifies one.
uint64_t client_connection_number(struct http_client *client, int local_port, bool is_new)
{
    for (size_t i = 0; i < NUMBERED_MAX && !is_new; i++) {
        size_t at = (client->connections + NUMBERED_MAX - i) % NUMBERED_MAX;
        if (client->numbered[at].number > 0 && client->numbered[at].local_port == local_port)
            return client->numbered[at].number;
    }
    uint64_t number = ++client->connections;
    client->numbered[number % NUMBERED_MAX].local_port = local_port;
    client->numbered[number % NUMBERED_MAX].number = number;
    return number;
}

// --- ends -----------------------------------------------------------------------------------------

struct guard *client_guard(const struct http_client *client)
{
    return client->guard;
}

// libcurl lets go of the transfer. If it was still looking a name up, that look-up counts on.
static void take_from_curl(struct http_client_transfer *transfer)
{
    struct client_pool *pool = transfer->pool;
    guard_enter(pool->client->guard, pool);
    (void)curl_multi_remove_handle(pool->multi, transfer->easy);
    (void)guard_leave(pool->client->guard);
    assert(pool->transfers > 0);
    pool->transfers--;
    transfer->pool = NULL;
}

// Leaves libcurl and all lists but the one of `to`. `gives_up`: libcurl has not ended it.
static void move_away(struct http_client_transfer *transfer, enum transfer_state to, bool gives_up)
{
    bool lingers = gives_up && transfer->state == TRANSFER_STARTING;
    if (transfer->pool != NULL)
        take_from_curl(transfer);
    move_transfer(transfer, to);
    if (lingers)
        let_lookup_linger(transfer->client);
    if (transfer->deadline != NULL && to != TRANSFER_QUEUED)
        net_timer_cancel(transfer->deadline);
    work_soon(transfer->client);
}

static void on_transfer_timeout(void *context)
{
    struct http_client_transfer *transfer = context;
    transfer_time_out(transfer, transfer->timeout);
    move_away(transfer, TRANSFER_FINISHED, true);
}

static void end_endless(struct http_client_transfer *transfer)
{
    transfer_fail_endless(transfer);
    move_away(transfer, TRANSFER_FINISHED, true);
}

// `was_cut`: the guard has shut its connection down.
static void end_by_curl(struct http_client_transfer *transfer, CURLcode code, bool was_cut)
{
    if (was_cut && code != CURLE_OK) {
        end_endless(transfer);
        return;
    }
    if (transfer_must_repeat(transfer, code)) {
        move_away(transfer, TRANSFER_QUEUED, false);
        return;
    }
    transfer_conclude(transfer, code);
    move_away(transfer, TRANSFER_FINISHED, code == CURLE_OPERATION_TIMEDOUT);
}

static void fail_transfer(struct http_client_transfer *transfer, enum error_code code,
                          const char *reason)
{
    transfer_fail(transfer, code, reason);
    move_away(transfer, TRANSFER_FINISHED, true);
}

// --- pools ----------------------------------------------------------------------------------------

static void free_pool(struct client_pool *pool)
{
    assert(pool->transfers == 0);
    LIST_REMOVE(pool, pools);
    guard_enter(pool->client->guard, pool);
    if (pool->multi != NULL)
        (void)curl_multi_cleanup(pool->multi); // may call back for sockets and the timer
    (void)guard_leave(pool->client->guard);
    if (pool->timer != NULL)
        event_free(pool->timer);
    net_tls_client_unref(pool->tls);
    memory_free(pool);
}

// Rather than CURLOPT_FRESH_CONNECT for the next requests: that would open a connection for each of them, and the addresses
// of names would stay those that were looked up before.
static void retire_pool(struct http_client *client)
{
    if (client->pool == NULL)
        return;
    client->pool->is_retired = true;
    client->pool = NULL;
    work_soon(client);
}

static void free_retired_pools(struct http_client *client)
{
    struct client_pool *pool = LIST_FIRST(&client->pools);
    while (pool != NULL) {
        struct client_pool *next = LIST_NEXT(pool, pools);
        if (pool->is_retired && pool->transfers == 0)
            free_pool(pool);
        pool = next;
    }
}

static struct http_client_transfer *find_in_pool(const struct client_pool *pool)
{
    struct http_client_transfer *transfer;
    TAILQ_FOREACH (transfer, &pool->client->active, entry)
        if (transfer->pool == pool)
            break;
    return transfer;
}

// libcurl had no memory for what it keeps of all transfers: they cannot go on.
static void fail_pool(struct client_pool *pool, CURLMcode code)
{
    if (pool == pool->client->pool)
        retire_pool(pool->client);
    for (struct http_client_transfer *transfer; (transfer = find_in_pool(pool)) != NULL;)
        fail_transfer(transfer, ERROR_MEMORY, curl_multi_strerror(code));
}

static bool is_connecting(const struct client_pool *pool)
{
    const struct http_client_transfer *transfer;
    TAILQ_FOREACH (transfer, &pool->client->active, entry)
        if (transfer->pool == pool && !transfer->has_connected)
            return true;
    return false;
}

// When an address fails, libcurl 7.88 opens the socket for the next one only when it looks at the transfer again: at its
// next timer, which is the time limit of the address. So it is made to look. Each turn ends the use of a socket.
static CURLMcode try_next_addresses(struct client_pool *pool)
{
    int running;
    CURLMcode code = CURLM_OK;
    while (code == CURLM_OK && pool->has_lost_socket && is_connecting(pool)) {
        pool->has_lost_socket = false;
        CURL_IGNORE_DEPRECATION(code = curl_multi_socket_all(pool->multi, &running);)
    }
    return code;
}

// The connections of the others were shut down, too.
static void cut_pool(struct client_pool *pool)
{
    if (pool == pool->client->pool)
        retire_pool(pool->client);
    for (struct http_client_transfer *transfer; (transfer = find_in_pool(pool)) != NULL;)
        end_endless(transfer);
}

static void run_pool(struct client_pool *pool, curl_socket_t fd, int events)
{
    int running, left;
    pool->has_lost_socket = false;
    guard_enter(pool->client->guard, pool);
    CURLMcode code = curl_multi_socket_action(pool->multi, fd, events, &running);
    if (code == CURLM_OK)
        code = try_next_addresses(pool);
    bool was_cut = guard_leave(pool->client->guard);
    for (CURLMsg *message; (message = curl_multi_info_read(pool->multi, &left)) != NULL;) {
        struct http_client_transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result; // the message ends with its transfer
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        end_by_curl(transfer, result, was_cut);
    }
    if (was_cut)
        cut_pool(pool);
    if (code != CURLM_OK)
        fail_pool(pool, code);
}

static void on_pool_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    run_pool(context, CURL_SOCKET_TIMEOUT, 0);
}

// libcurl's timer: a time of -1 cancels it.
static int on_timer_change(CURLM *multi, long timeout_ms, void *context)
{
    const struct client_pool *pool = context;
    (void)multi;
    if (timeout_ms < 0) {
        (void)event_del(pool->timer);
        return 0;
    }
    struct timeval wait = {.tv_sec = timeout_ms / 1000,
                           .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    // Without memory for the timer: too early is better than never.
    if (event_add(pool->timer, &wait) != 0)
        event_active(pool->timer, EV_TIMEOUT, 1);
    return 0;
}

// --- sockets --------------------------------------------------------------------------------------

// While HTTP/2's flow control blocks a request (RFC 9113 5.2), libcurl 7.88 asks to watch the socket for write all the
// same, and it is writable. After this many wake-ups in a row in which nothing is sent or received, the socket is watched
// for read alone: a frame of the server lets the request go on. libcurl is still called after a time that grows.
#define IDLE_WRITES_MAX 4
#define PAUSE_MIN NS_PER_MS
#define PAUSE_MAX (10 * NS_PER_MS)

struct client_socket {
    struct client_pool *pool;
    struct event *event;
    curl_socket_t fd;
    short wanted; // by libcurl: EV_READ, EV_WRITE
    unsigned idle_writes;
    // While it is above 0 the socket is not watched for write; libcurl is called after this time.
    duration_ns pause;
};

static void on_pool_socket(evutil_socket_t fd, short what, void *context);

static bool watch_socket(struct client_socket *socket)
{
    struct timeval time = {.tv_usec = (suseconds_t)(socket->pause / NS_PER_US)};
    short events = socket->pause > 0 ? EV_READ : socket->wanted;
    (void)event_del(socket->event);
    return event_assign(socket->event, net_loop_base(socket->pool->client->loop), socket->fd,
                        (short)(events | EV_PERSIST), on_pool_socket, socket) == 0 &&
           event_add(socket->event, socket->pause > 0 ? &time : NULL) == 0;
}

static duration_ns next_pause(const struct client_socket *socket)
{
    if (socket->idle_writes < IDLE_WRITES_MAX || socket->wanted != (EV_READ | EV_WRITE))
        return 0;
    if (socket->pause == 0)
        return PAUSE_MIN;
    return socket->pause < PAUSE_MAX / 2 ? 2 * socket->pause : PAUSE_MAX;
}

// After a call of libcurl. `is_idle`: nothing was sent or received.
static void adapt_watch(struct client_socket *socket, bool is_idle)
{
    duration_ns before = socket->pause;
    socket->idle_writes = is_idle ? socket->idle_writes + 1 : 0;
    socket->pause = next_pause(socket);
    if ((before > 0 || socket->pause > 0) && !watch_socket(socket))
        fail_pool(socket->pool, CURLM_OUT_OF_MEMORY);
}

// What the pool's requests have sent of their bodies.
static curl_off_t count_sent(const struct client_pool *pool)
{
    const struct http_client_transfer *transfer;
    curl_off_t sum = 0, sent;
    TAILQ_FOREACH (transfer, &pool->client->active, entry)
        if (transfer->pool == pool &&
            curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent) == CURLE_OK)
            sum += sent;
    return sum;
}

static void on_pool_socket(evutil_socket_t fd, short what, void *context)
{
    struct client_socket *socket = context;
    struct client_pool *pool = socket->pool;
    struct http_client_transfer *transfer;
    bool has_read = (what & EV_READ) != 0;
    int events = 0;
    TAILQ_FOREACH (transfer, &pool->client->active, entry)
        transfer_look_at(transfer, fd);
    if (has_read)
        events |= CURL_CSELECT_IN;
    // After a pause it is probably writable; if not, nothing is sent.
    if ((what & EV_WRITE) != 0 || socket->pause > 0)
        events |= CURL_CSELECT_OUT;
    curl_off_t sent = has_read ? 0 : count_sent(pool);
    pool->running = socket;
    run_pool(pool, fd, events);
    if (pool->running != NULL)
        adapt_watch(socket, !has_read && count_sent(pool) == sent);
    pool->running = NULL;
}

static short wanted_events(int what)
{
    short events = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= EV_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= EV_WRITE;
    return events;
}

static void free_socket(struct client_socket *socket)
{
    if (socket->pool->running == socket)
        socket->pool->running = NULL;
    if (socket->event != NULL)
        event_free(socket->event);
    memory_free(socket);
}

// NULL: out of memory.
static struct client_socket *make_socket(struct client_pool *pool, curl_socket_t fd)
{
    struct client_socket *socket = memory_allocate_array(1, sizeof *socket);
    if (socket == NULL)
        return NULL;
    socket->pool = pool;
    socket->fd = fd;
    socket->event = event_new(net_loop_base(pool->client->loop), fd, 0, on_pool_socket, socket);
    if (socket->event != NULL && curl_multi_assign(pool->multi, fd, socket) == CURLM_OK)
        return socket;
    free_socket(socket);
    return NULL;
}

// libcurl keeps our part of each socket for us, as `socket_context`.
static int on_socket_change(CURL *easy, curl_socket_t fd, int what, void *context,
                            void *socket_context)
{
    struct client_pool *pool = context;
    struct client_socket *socket = socket_context;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        pool->has_lost_socket = true;
        (void)curl_multi_assign(pool->multi, fd, NULL);
        if (socket != NULL)
            free_socket(socket);
        return 0;
    }
    if (socket == NULL)
        socket = make_socket(pool, fd);
    if (socket == NULL)
        return -1;
    socket->wanted = wanted_events(what);
    socket->idle_writes = 0;
    socket->pause = 0;
    if (watch_socket(socket))
        return 0;
    (void)curl_multi_assign(pool->multi, fd, NULL);
    free_socket(socket);
    return -1;
}

// --- making a pool --------------------------------------------------------------------------------

static bool set_up_multi(struct client_pool *pool)
{
    CURLM *multi = pool->multi;
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket_change) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, pool) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_change) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, pool) == CURLM_OK &&
#if LIBCURL_VERSION_NUM >= 0x081400 // CURLMOPT_QUICK_EXIT is new in 8.20
           curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L) == CURLM_OK &&
#endif
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
                             (long)pool->client->options.connections_max) == CURLM_OK;
}

static bool make_client_pool(struct http_client *client)
{
    struct client_pool *pool = memory_allocate_array(1, sizeof *pool);
    if (pool == NULL)
        return false;
    pool->client = client;
    LIST_INSERT_HEAD(&client->pools, pool, pools);
    if (client->options.tls != NULL)
        net_tls_client_ref(client->options.tls);
    pool->tls = client->options.tls;
    pool->timer = evtimer_new(net_loop_base(client->loop), on_pool_timer, pool);
    pool->multi = pool->timer != NULL ? curl_multi_init() : NULL;
    if (pool->multi == NULL || !set_up_multi(pool)) {
        free_pool(pool);
        return false;
    }
    client->pool = pool;
    return true;
}

// --- work -----------------------------------------------------------------------------------------

static void start_transfer(struct http_client *client, struct http_client_transfer *transfer)
{
    if ((client->pool == NULL && !make_client_pool(client)) ||
        !transfer_use_pool(transfer, client->pool)) {
        fail_transfer(transfer, ERROR_MEMORY, "out of memory");
        return;
    }
    transfer->age = client->age;
    transfer->pool = client->pool;
    transfer->pool->transfers++;
    move_transfer(transfer, TRANSFER_STARTING);
    CURLMcode code = curl_multi_add_handle(client->pool->multi, transfer->easy);
    if (code != CURLM_OK)
        fail_pool(client->pool, code);
}

static void start_queued(struct http_client *client)
{
    struct http_client_transfer *transfer;
    while (may_look_up(client) && (transfer = TAILQ_FIRST(&client->queued)) != NULL)
        start_transfer(client, transfer);
}

static bool is_idle(const struct http_client *client)
{
    return TAILQ_EMPTY(&client->queued) && TAILQ_EMPTY(&client->active) &&
           TAILQ_EMPTY(&client->finished);
}

// Calls one sender back. The callback may destroy the client: nothing of it is used after the call.
static void deliver_one(struct http_client *client)
{
    struct http_client_transfer *transfer = TAILQ_FIRST(&client->finished);
    if (transfer == NULL)
        return;
    move_transfer(transfer, TRANSFER_ENDED);
    if (!TAILQ_EMPTY(&client->finished))
        work_soon(client);
    if (is_idle(client))
        net_timer_set(client->idle_timer, client->options.idle_time);
    transfer->done(transfer->context, &transfer->response);
    transfer_free(transfer);
}

static void on_work(evutil_socket_t fd, short what, void *context)
{
    struct http_client *client = context;
    (void)fd;
    (void)what;
    free_retired_pools(client);
    start_queued(client);
    deliver_one(client);
}

// Connections without a request would be noticed to be closed only by the next request.
static void on_idle(void *context)
{
    struct http_client *client = context;
    if (is_idle(client))
        retire_pool(client);
}

// --- interface ------------------------------------------------------------------------------------

static enum error_code set_up_client(struct http_client *client, struct error *error)
{
    client->work = event_new(net_loop_base(client->loop), -1, 0, on_work, client);
    if (client->work == NULL)
        return error_set(error, ERROR_MEMORY, "http client: out of memory");
    enum error_code code = guard_create(&client->guard, error);
    if (code == ERROR_NONE)
        code = net_timer_create(client->loop, on_linger_end, client, &client->linger_timer, error);
    if (code == ERROR_NONE)
        code = net_timer_create(client->loop, on_idle, client, &client->idle_timer, error);
    return code;
}

enum error_code http_client_create(struct net_loop *loop, const struct http_client_options *options,
                                   struct http_client **out, struct error *error)
{
    pthread_once(&curl_once, prepare_curl);
    if (!curl_is_ready)
        return error_set(error, ERROR_MEMORY, "http client: libcurl refused to start");
    struct http_client *client = memory_allocate_array(1, sizeof *client);
    if (client == NULL)
        return error_set(error, ERROR_MEMORY, "http client: out of memory");
    client->loop = loop;
    client->options = *options;
    if (options->connections_max == 0)
        client->options.connections_max = CONNECTIONS_DEFAULT;
    if (options->idle_time == 0)
        client->options.idle_time = HTTP_CLIENT_IDLE_TIME;
    if (options->lookup_linger == 0)
        client->options.lookup_linger = HTTP_CLIENT_LOOKUP_LINGER;
    if (options->tls != NULL)
        net_tls_client_ref(options->tls);
    LIST_INIT(&client->pools);
    TAILQ_INIT(&client->queued);
    TAILQ_INIT(&client->active);
    TAILQ_INIT(&client->finished);
    enum error_code code = set_up_client(client, error);
    if (code != ERROR_NONE) {
        http_client_destroy(client);
        return code;
    }
    *out = client;
    return ERROR_NONE;
}

void http_client_destroy(struct http_client *client)
{
    struct http_client_transfer *transfer;
    if (client == NULL)
        return;
    struct transfer_list *const lists[] = {&client->queued, &client->active, &client->finished};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        while ((transfer = TAILQ_FIRST(lists[i])) != NULL)
            http_client_cancel(transfer);
    while (!LIST_EMPTY(&client->pools))
        free_pool(LIST_FIRST(&client->pools));
    if (client->work != NULL)
        event_free(client->work);
    net_timer_destroy(client->linger_timer);
    net_timer_destroy(client->idle_timer);
    net_tls_client_unref(client->options.tls);
    guard_destroy(client->guard);
    memory_free(client);
}

enum error_code http_client_send(struct http_client *client,
                                 const struct http_client_request *request, http_client_done done,
                                 void *context, struct http_client_transfer **out)
{
    struct http_client_transfer *transfer;
    struct error error;
    enum error_code code = transfer_create(client, request, &transfer);
    if (code != ERROR_NONE)
        return code;
    if (transfer->is_tls && client->options.tls == NULL)
        code = ERROR_USAGE;
    if (code == ERROR_NONE && request->timeout > 0)
        code = net_timer_create(client->loop, on_transfer_timeout, transfer, &transfer->deadline,
                                &error);
    if (code != ERROR_NONE) {
        transfer_free(transfer);
        return code;
    }
    transfer->done = done;
    transfer->context = context;
    if (transfer->deadline != NULL)
        net_timer_set(transfer->deadline, request->timeout);
    move_transfer(transfer, TRANSFER_QUEUED);
    work_soon(client);
    *out = transfer;
    return ERROR_NONE;
}

void http_client_cancel(struct http_client_transfer *transfer)
{
    if (transfer == NULL)
        return;
    move_away(transfer, TRANSFER_ENDED, true);
    transfer_free(transfer);
}

void http_client_renew(struct http_client *client, uint64_t age)
{
    if (age != HTTP_CLIENT_RENEW_ALWAYS && age != client->age)
        return;
    client->age++;
    retire_pool(client);
}

void http_client_use_tls(struct http_client *client, struct net_tls_client *tls)
{
    net_tls_client_ref(tls);
    net_tls_client_unref(client->options.tls);
    client->options.tls = tls;
    http_client_renew(client, HTTP_CLIENT_RENEW_ALWAYS);
}
