// The ingress threads: each has its own loop and its own listener on the same address, or all share one socket that
// another process created.
//
// How a thread ends, in this order; with a grace of 0, or when the grace is over, at once:
//
//   WINDING_DOWN   connections close after their next response, idle ones within LAST_IDLE; new ones are accepted
//   LAST           requests in flight are completed, and no new connections are accepted:
//                    - an adopted socket is left alone;
//                    - the queue of an own socket is accepted, and new SYNs are dropped. The socket stays open to the
//                      end: clients whose SYN is dropped retry after a second, when the next process may listen;
//                      clients whose connection is refused would not.
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/thread.h"
#include "ghatrace/webhook/webhook.h"
#include "webhook_private.h"

#define STALL_LIMIT (5 * NS_PER_SECOND)
// Time for idle connections to begin a request that may be in transit.
#define LAST_IDLE NS_PER_SECOND
// Time for TCP handshakes in progress before the listener closes: a round trip to a nearby proxy, or to much of the
// internet. Clients whose SYN is dropped in this time retry after a second.
#define TURN_AWAY_TIME (50 * NS_PER_MS)
// Time for a client to close after its last response was sent.
#define LAST_CLOSE (200 * NS_PER_MS)

enum worker_state { WORKER_SERVING, WORKER_WINDING_DOWN, WORKER_LAST };

struct worker {
    struct ingress *ingress;
    struct net_loop *loop;
    struct net_timer *grace;
    struct net_timer *step; // to the next state
    enum worker_state state;
    bool may_close; // ingress_end() was called
    bool idle_is_over;
    bool queue_is_over; // no more connections are accepted
    struct http_server host;
    struct webhook webhook;
    struct net_task wind_down, end;
    struct net_task react;
    _Atomic timestamp_ns asked_at; // monotonic; 0: it has reacted, and the task is idle
    _Atomic uint64_t beats;        // how often it has reacted
    pthread_t thread;
    char name[16]; // of the thread
    bool is_running;
};

struct ingress {
    struct ingress_options options;
    struct net_address address;       // with the real port
    struct address_counts *addresses; // owned; NULL: no cap
    struct auth_failures *failures;   // owned
    struct setup_notes *setup;        // owned
    struct body_memory body_memory;
    duration_ns grace; // set before the end is posted, like the next two
    struct net_loop *done_loop;
    struct net_task *done;
    bool is_winding_down, is_ending; // used by the caller's thread
    atomic_size_t running;           // threads
    size_t worker_count;
    struct worker workers[];
};

// --- in a worker's thread -------------------------------------------------------------------------

static void *run_worker(void *context)
{
    struct worker *worker = context;
    struct ingress *ingress = worker->ingress;

    net_loop_run(worker->loop);
    if (atomic_fetch_sub(&ingress->running, 1) == 1 && ingress->done != NULL)
        net_loop_post(ingress->done_loop, ingress->done);
    return NULL;
}

// Its states follow in the order of the enumeration; the grace's end may skip one, or come when it is in the last.
static void move_worker(struct worker *worker, enum worker_state to)
{
    assert(to > worker->state || to == WORKER_LAST);
    worker->state = to;
}

static void stop_accepting(struct worker *worker)
{
    move_worker(worker, WORKER_LAST);
    if (worker->ingress->options.listen_socket > 0) {
        worker->queue_is_over = true;
        net_timer_set(worker->step, LAST_CLOSE);
        http_server_stop(&worker->host); // may end the worker
    } else {
        net_listener_turn_away(worker->host.listener);
        net_timer_set(worker->step, TURN_AWAY_TIME);
    }
}

// Connections in the queue are served, even above max_connections.
static void end_if_empty(struct worker *worker)
{
    if (worker->host.listener != NULL)
        net_listener_accept_queued(worker->host.listener);
    if (LIST_EMPTY(&worker->host.conns))
        net_loop_stop(worker->loop);
}

static void finish_accept_queue(struct worker *worker)
{
    worker->queue_is_over = true;
    end_if_empty(worker);
    if (http_server_is_done(&worker->host))
        http_server_abort(&worker->host);
    net_timer_set(worker->step, LAST_CLOSE);
}

static void on_step(void *context)
{
    struct worker *worker = context;

    switch (worker->state) {
    case WORKER_SERVING:
        break;
    case WORKER_WINDING_DOWN:
        worker->idle_is_over = true;
        if (worker->may_close)
            stop_accepting(worker);
        break;
    case WORKER_LAST:
        finish_accept_queue(worker);
        break;
    }
}

static void wind_down_worker(void *context)
{
    struct worker *worker = context;

    move_worker(worker, WORKER_WINDING_DOWN);
    net_timer_set(worker->step, LAST_IDLE);
    http_server_wind_down(&worker->host, LAST_IDLE);
}

static void end_worker(void *context)
{
    struct worker *worker = context;

    worker->may_close = true;
    net_timer_set(worker->grace, worker->ingress->grace);
    if (worker->idle_is_over || LIST_EMPTY(&worker->host.conns))
        net_timer_set(worker->step, 0);
}

static void mark_reacted(void *context)
{
    struct worker *worker = context;

    atomic_fetch_add(&worker->beats, 1);
    atomic_store(&worker->asked_at, 0);
}

static void on_grace_over(void *context)
{
    struct worker *worker = context;

    net_timer_cancel(worker->step);
    move_worker(worker, WORKER_LAST);
    worker->queue_is_over = true;
    if (worker->host.listener != NULL)
        http_server_stop(&worker->host);
    http_server_abort(&worker->host);
}

static void on_worker_empty(void *context)
{
    struct webhook *webhook = context;
    struct worker *worker = (struct worker *)((char *)webhook - offsetof(struct worker, webhook));

    if (worker->state == WORKER_LAST && worker->queue_is_over)
        end_if_empty(worker);
    else if (worker->state == WORKER_WINDING_DOWN && worker->may_close)
        net_timer_set(worker->step, 0); // no idle connection is left
}

// --- in the caller's thread -----------------------------------------------------------------------

static void set_up_host(struct worker *worker, struct engine *engine)
{
    const struct ingress_options *options = &worker->ingress->options;

    worker->webhook.engine = engine;
    worker->webhook.ingress = worker->ingress;
    worker->webhook.options = options;
    worker->webhook.failures = worker->ingress->failures;
    worker->webhook.setup = worker->ingress->setup;
    worker->wind_down = (struct net_task){.run = wind_down_worker, .context = worker};
    worker->end = (struct net_task){.run = end_worker, .context = worker};
    worker->react = (struct net_task){.run = mark_reacted, .context = worker};
    atomic_init(&worker->asked_at, 0);
    worker->host = (struct http_server){.loop = worker->loop,
                                        .service = &webhook_service,
                                        .context = &worker->webhook,
                                        .max_body_bytes = options->max_payload_bytes,
                                        .head_deadline = options->head_deadline,
                                        .request_deadline = options->request_deadline,
                                        .idle_deadline = options->idle_deadline,
                                        .body_grace = options->body_grace,
                                        .output_deadline = options->output_deadline,
                                        .addresses = worker->ingress->addresses,
                                        .body_memory = &worker->ingress->body_memory,
                                        .on_empty = on_worker_empty};
    http_server_init(&worker->host);
}

static size_t share_of_connections(const struct ingress *ingress)
{
    size_t connections = ingress->options.max_connections, workers = ingress->worker_count;
    size_t share = connections / workers + (connections % workers > 0);

    return share > 0 ? share : 1;
}

static enum error_code set_up_addresses(struct ingress *ingress, struct error *error)
{
    const struct ingress_options *options = &ingress->options;

    if (options->max_connections_per_address == 0)
        return ERROR_NONE;
    return address_counts_create(options->max_connections_per_address,
                                 share_of_connections(ingress) * ingress->worker_count,
                                 &options->trusted_proxies, &ingress->addresses, error);
}

// The first worker binds and determines the port if it is 0; the others share it.
static enum error_code listen_at(struct ingress *ingress, struct worker *worker,
                                 struct error *error)
{
    size_t share = share_of_connections(ingress);
    int fd = ingress->options.listen_socket;
    enum error_code code = fd > 0 ? http_server_adopt(&worker->host, fd, share, error)
                                  : http_server_listen(&worker->host, &ingress->address,
                                                       ingress->worker_count > 1, share, error);

    if (code == ERROR_NONE)
        ingress->address = *net_listener_address(worker->host.listener);
    return code;
}

static enum error_code set_up_worker(struct ingress *ingress, struct worker *worker,
                                     struct engine *engine, struct error *error)
{
    worker->ingress = ingress;
    enum error_code code = net_loop_create(&worker->loop, error);
    if (code != ERROR_NONE)
        return code;
    set_up_host(worker, engine);
    code = net_timer_create(worker->loop, on_grace_over, worker, &worker->grace, error);
    if (code == ERROR_NONE)
        code = net_timer_create(worker->loop, on_step, worker, &worker->step, error);
    if (code != ERROR_NONE)
        return code;
    return listen_at(ingress, worker, error);
}

// One context per worker, from files that are read once.
struct ingress_tls {
    size_t count;
    struct net_tls *contexts[];
};

enum error_code ingress_load_tls(struct ingress *ingress, struct ingress_tls **out,
                                 struct error *error)
{
    size_t count = ingress->worker_count;

    *out = NULL;
    if (ingress->options.tls.certificate_file == NULL)
        return ERROR_NONE;
    struct ingress_tls *tls = memory_allocate_array(1, sizeof *tls + count * sizeof *tls->contexts);
    if (tls == NULL)
        return error_set(error, ERROR_MEMORY, "tls: out of memory");
    tls->count = count;
    enum error_code code =
        net_tls_create_servers(&ingress->options.tls, tls->contexts, count, error);
    if (code != ERROR_NONE) {
        memory_free(tls);
        return code;
    }
    *out = tls;
    return ERROR_NONE;
}

void ingress_use_tls(struct ingress *ingress, struct ingress_tls *tls)
{
    for (size_t i = 0; tls != NULL && i < tls->count; i++) {
        struct worker *worker = &ingress->workers[i];
        http_server_hand_over_tls(&worker->host, tls->contexts[i], worker->is_running);
    }
    memory_free(tls);
}

void ingress_log_certificate_warnings(const struct ingress_tls *tls, const char *certificate_file)
{
    if (tls != NULL)
        net_tls_log_certificate_warnings(tls->contexts[0],
                                         certificate_file); // all are made of the same files
}

void ingress_drop_tls(struct ingress_tls *tls)
{
    for (size_t i = 0; tls != NULL && i < tls->count; i++)
        net_tls_unref(tls->contexts[i]);
    memory_free(tls);
}

static enum error_code start_worker(struct worker *worker, size_t number, struct error *error)
{
    atomic_fetch_add(&worker->ingress->running, 1);
    int result = thread_start(&worker->thread, run_worker, worker);
    if (result != 0)
        atomic_fetch_sub(&worker->ingress->running, 1);
    if (result != 0)
        return error_set(error, ERROR_IO, "ingress thread %zu: %s", number, strerror(result));
    worker->is_running = true;
    snprintf(worker->name, sizeof worker->name, "ingress-%u", (unsigned)number % 1000);
    (void)pthread_setname_np(worker->thread, worker->name); // for top and gdb
    return ERROR_NONE;
}

enum error_code ingress_start(struct engine *engine, const struct ingress_options *options,
                              struct ingress **out, struct error *error)
{
    size_t count = options->threads > 0 ? options->threads : 1;
    struct ingress *ingress =
        count < SIZE_MAX / sizeof(struct worker) - 1
            ? memory_allocate_array(1, sizeof *ingress + count * sizeof(struct worker))
            : NULL;
    struct ingress_tls *tls;

    if (ingress == NULL)
        return error_set(error, ERROR_MEMORY, "ingress: out of memory");
    ingress->options = *options;
    if (ingress->options.stall_limit == 0)
        ingress->options.stall_limit = STALL_LIMIT;
    ingress->address = options->listen;
    ingress->worker_count = count;
    ingress->body_memory.most = options->payload_memory_bytes;
    enum error_code code = set_up_addresses(ingress, error);
    if (code == ERROR_NONE)
        code = auth_failures_create(&ingress->failures, error);
    if (code == ERROR_NONE)
        code = setup_notes_create(&ingress->setup, error);
    // All workers listen before any runs: a failure here has served no request.
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = set_up_worker(ingress, &ingress->workers[i], engine, error);
    if (code == ERROR_NONE)
        code = ingress_load_tls(ingress, &tls, error);
    if (code == ERROR_NONE)
        ingress_use_tls(ingress, tls);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = start_worker(&ingress->workers[i], i, error);
    if (code != ERROR_NONE) {
        ingress_destroy(ingress);
        return code;
    }
    *out = ingress;
    return ERROR_NONE;
}

void ingress_watch(struct ingress *ingress)
{
    for (size_t i = 0; i < ingress->worker_count; i++) {
        struct worker *worker = &ingress->workers[i];
        timestamp_ns none = 0;
        if (worker->is_running &&
            atomic_compare_exchange_strong(&worker->asked_at, &none, timestamp_monotonic()))
            net_loop_post(worker->loop, &worker->react);
    }
}

enum error_code ingress_ready(struct ingress *ingress, struct error *error)
{
    timestamp_ns now = timestamp_monotonic();

    for (size_t i = 0; i < ingress->worker_count; i++) {
        timestamp_ns asked_at = atomic_load(&ingress->workers[i].asked_at);
        if (asked_at != 0 && now - asked_at > ingress->options.stall_limit)
            return error_set(error, ERROR_BUSY, "a webhook thread hangs");
    }
    return ERROR_NONE;
}

size_t ingress_heartbeats(const struct ingress *ingress, struct heartbeat *out, size_t max)
{
    for (size_t i = 0; i < ingress->worker_count && i < max; i++)
        out[i] = (struct heartbeat){.thread = ingress->workers[i].name,
                                    .beats = atomic_load(&ingress->workers[i].beats)};
    return ingress->worker_count;
}

const struct net_address *ingress_address(const struct ingress *ingress)
{
    return &ingress->address;
}

void ingress_wind_down(struct ingress *ingress)
{
    if (ingress->is_winding_down)
        return;
    ingress->is_winding_down = true;
    for (size_t i = 0; i < ingress->worker_count; i++)
        if (ingress->workers[i].is_running)
            net_loop_post(ingress->workers[i].loop, &ingress->workers[i].wind_down);
}

void ingress_end(struct ingress *ingress, duration_ns grace, struct net_loop *loop,
                 struct net_task *done)
{
    ingress_wind_down(ingress);
    if (ingress->is_ending)
        return;
    ingress->is_ending = true;
    ingress->grace = grace;
    ingress->done_loop = loop;
    ingress->done = done;
    for (size_t i = 0; i < ingress->worker_count; i++)
        if (ingress->workers[i].is_running)
            net_loop_post(ingress->workers[i].loop, &ingress->workers[i].end);
}

void ingress_stop(struct ingress *ingress, duration_ns grace)
{
    ingress_end(ingress, grace, NULL, NULL);
    for (size_t i = 0; i < ingress->worker_count; i++) {
        if (ingress->workers[i].is_running)
            pthread_join(ingress->workers[i].thread, NULL);
        ingress->workers[i].is_running = false;
    }
}

void ingress_destroy(struct ingress *ingress)
{
    if (ingress == NULL)
        return;
    ingress_stop(ingress, 0);
    for (size_t i = 0; i < ingress->worker_count; i++) {
        struct worker *worker = &ingress->workers[i];
        http_server_release(&worker->host);
        net_timer_destroy(worker->grace);
        net_timer_destroy(worker->step);
        net_loop_destroy(worker->loop);
    }
    address_counts_destroy(ingress->addresses); // in use until all connections are freed
    auth_failures_destroy(ingress->failures);
    setup_notes_destroy(ingress->setup);
    memory_free(ingress);
}

const char *const ingress_outcome_names[INGRESS_OUTCOMES] = {INGRESS_OUTCOME_LIST(LIST_NAME)};
const char *const ingress_refusal_names[HTTP_REFUSALS] = {
    HTTP_REFUSAL_LIST(LIST_NAME, "signature")};

_Static_assert(sizeof(struct webhook_sums) == offsetof(struct ingress_counters, connections),
               "the counters of the list, and no others, precede connections");

// Adds a thread's counters, treated as arrays: both structs begin with the members of the same list.
static void add_sums(const struct webhook_sums *from, struct ingress_counters *to)
{
    const _Atomic uint64_t *more = (const _Atomic uint64_t *)from;
    uint64_t *sums = (uint64_t *)to;
    for (size_t i = 0; i < sizeof *from / sizeof *sums; i++)
        sums[i] += atomic_load(&more[i]);
}

void ingress_read_counters(struct ingress *ingress, struct ingress_counters *counters)
{
    *counters = (struct ingress_counters){0};
    if (ingress->addresses != NULL)
        counters->rejected_per_address = address_counts_refusals(ingress->addresses);
    counters->delayed_401 = auth_failures_delayed(ingress->failures);
    for (size_t i = 0; i < ingress->worker_count; i++) {
        add_sums(&ingress->workers[i].webhook.counters.sums, counters);
        counters->connections += atomic_load(&ingress->workers[i].host.connections);
    }
}

static timestamp_ns load_time(const _Atomic timestamp_ns *time)
{
    return atomic_load_explicit(time, memory_order_relaxed);
}

timestamp_ns ingress_signed_at(const struct ingress *ingress)
{
    timestamp_ns latest = TIMESTAMP_UNKNOWN;

    for (size_t i = 0; i < ingress->worker_count; i++)
        latest =
            timestamp_later(latest, load_time(&ingress->workers[i].webhook.counters.signed_at));
    return latest;
}

void ingress_read_setup(struct ingress *ingress, struct ingress_setup *setup)
{
    *setup = (struct ingress_setup){.asks_for_signature = !ingress->options.insecure_no_signature};
    setup_notes_read(ingress->setup, setup);
    setup->signed_at = ingress_signed_at(ingress);
    for (size_t i = 0; i < ingress->worker_count; i++) {
        const struct webhook_counters *each = &ingress->workers[i].webhook.counters;
        setup->rejected_network += atomic_load(&each->sums.rejected_network);
        for (size_t event = 0; event < GITHUB_EVENT_KINDS; event++) {
            setup->event_at[event] =
                timestamp_later(setup->event_at[event], load_time(&each->event_at[event]));
            for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++)
                setup->event_count[event] += atomic_load(&each->sums.deliveries[event][outcome]);
        }
    }
}
