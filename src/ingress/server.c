// The ingress threads: each with a loop and a listener of its own on the same address.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/ingress/ingress.h"
#include "webhook.h"

#define STALL_LIMIT (5 * NS_PER_SECOND)

struct worker {
    struct ingress *ingress;
    struct net_loop *loop;
    struct net_timer *grace;
    struct conversation_host host;
    struct webhook webhook;
    struct net_task stop;
    struct net_task take_tls;
    struct net_task react;
    _Atomic timestamp_ns asked_at; // by the steady clock; 0: it has reacted, and the task is idle
    _Atomic(struct net_tls *)
        fresh_tls; // for the worker to take; NULL: taken, and the task is idle
    pthread_t thread;
    bool is_running;
};

struct ingress {
    struct ingress_options options;
    struct net_address address;       // with the real port
    struct address_counts *addresses; // owned; NULL: no cap
    struct failures *failures;        // owned
    struct body_memory body_memory;
    duration_ns grace; // set before the stop is posted
    size_t worker_count;
    struct worker workers[];
};

// --- in the worker's thread -----------------------------------------------------------------------

static void *run_worker(void *context)
{
    struct worker *worker = context;

    net_loop_run(worker->loop);
    return NULL;
}

static void stop_worker(void *context)
{
    struct worker *worker = context;

    net_timer_set(worker->grace, worker->ingress->grace);
    conversation_host_stop(&worker->host);
}

static void react(void *context)
{
    struct worker *worker = context;

    atomic_store(&worker->asked_at, 0);
}

static void take_tls(void *context)
{
    struct worker *worker = context;
    struct net_tls *tls = atomic_exchange(&worker->fresh_tls, NULL);

    if (worker->host.listener != NULL)
        net_listener_use_tls(worker->host.listener, tls);
    net_tls_let_go(tls); // the listener holds it
}

static void on_grace_over(void *context)
{
    struct worker *worker = context;

    conversation_host_abort(&worker->host);
}

static void on_empty(void *context)
{
    struct webhook *webhook = context;
    struct worker *worker = (struct worker *)((char *)webhook - offsetof(struct worker, webhook));

    net_loop_stop(worker->loop);
}

// --- in the caller's ------------------------------------------------------------------------------

static void set_up_host(struct worker *worker, struct engine *engine)
{
    const struct ingress_options *options = &worker->ingress->options;

    worker->webhook.engine = engine;
    worker->webhook.ingress = worker->ingress;
    worker->webhook.options = options;
    worker->webhook.failures = worker->ingress->failures;
    worker->stop = (struct net_task){.run = stop_worker, .context = worker};
    worker->take_tls = (struct net_task){.run = take_tls, .context = worker};
    worker->react = (struct net_task){.run = react, .context = worker};
    atomic_init(&worker->asked_at, 0);
    atomic_init(&worker->fresh_tls, NULL);
    worker->host = (struct conversation_host){.loop = worker->loop,
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
                                              .on_empty = on_empty};
    conversation_host_init(&worker->host);
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

// The first one binds, and finds out the port where any will do; the others share it.
static enum error_code listen_at(struct ingress *ingress, struct worker *worker,
                                 struct error *error)
{
    enum error_code code =
        conversation_host_listen(&worker->host, &ingress->address, ingress->worker_count > 1,
                                 share_of_connections(ingress), error);

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
    if (code != ERROR_NONE)
        return code;
    return listen_at(ingress, worker, error);
}

// One context a worker, from files read once.
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

static void hand_over_tls(struct worker *worker, struct net_tls *tls)
{
    struct net_tls *not_taken = atomic_exchange(&worker->fresh_tls, tls);

    if (!worker->is_running) // not yet: nobody is to come in without it
        take_tls(worker);
    else if (not_taken == NULL)
        net_loop_post(worker->loop, &worker->take_tls);
    net_tls_let_go(not_taken);
}

void ingress_use_tls(struct ingress *ingress, struct ingress_tls *tls)
{
    for (size_t i = 0; tls != NULL && i < tls->count; i++)
        hand_over_tls(&ingress->workers[i], tls->contexts[i]);
    memory_free(tls);
}

void ingress_drop_tls(struct ingress_tls *tls)
{
    for (size_t i = 0; tls != NULL && i < tls->count; i++)
        net_tls_let_go(tls->contexts[i]);
    memory_free(tls);
}

static enum error_code start_thread(struct worker *worker, size_t number, struct error *error)
{
    sigset_t all, before;
    char name[16];

    // Signals are for the thread that runs the loop with the handlers.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&worker->thread, NULL, run_worker, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        return error_set(error, ERROR_IO, "ingress thread %zu: %s", number, strerror(result));
    worker->is_running = true;
    snprintf(name, sizeof name, "ingress-%u", (unsigned)number % 1000);
    (void)pthread_setname_np(worker->thread, name); // for top and gdb
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
        code = failures_create(&ingress->failures, error);
    // All of them listen before any runs: what fails here has served nobody.
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = set_up_worker(ingress, &ingress->workers[i], engine, error);
    if (code == ERROR_NONE)
        code = ingress_load_tls(ingress, &tls, error);
    if (code == ERROR_NONE)
        ingress_use_tls(ingress, tls);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = start_thread(&ingress->workers[i], i, error);
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
        if (!worker->is_running || atomic_load(&worker->asked_at) != 0)
            continue;
        atomic_store(&worker->asked_at, timestamp_monotonic());
        net_loop_post(worker->loop, &worker->react);
    }
}

enum error_code ingress_ready(struct ingress *ingress, struct error *error)
{
    timestamp_ns now = timestamp_monotonic();

    for (size_t i = 0; i < ingress->worker_count; i++) {
        timestamp_ns asked_at = atomic_load(&ingress->workers[i].asked_at);
        if (asked_at != 0 && now - asked_at > ingress->options.stall_limit)
            return error_set(error, ERROR_BUSY, "a thread that takes webhooks hangs");
    }
    return ERROR_NONE;
}

const struct net_address *ingress_address(const struct ingress *ingress)
{
    return &ingress->address;
}

void ingress_stop(struct ingress *ingress, duration_ns grace)
{
    ingress->grace = grace;
    for (size_t i = 0; i < ingress->worker_count; i++)
        if (ingress->workers[i].is_running)
            net_loop_post(ingress->workers[i].loop, &ingress->workers[i].stop);
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
        conversation_host_release(&worker->host);
        net_timer_destroy(worker->grace);
        net_loop_destroy(worker->loop);
    }
    address_counts_destroy(ingress->addresses); // connections gave theirs back to it until here
    failures_destroy(ingress->failures);
    memory_free(ingress);
}

static void add_deliveries(const struct webhook_counters *from, struct ingress_counters *to)
{
    for (size_t event = 0; event < INGRESS_EVENTS; event++)
        for (size_t outcome = 0; outcome < INGRESS_OUTCOMES; outcome++)
            to->deliveries[event][outcome] += atomic_load(&from->deliveries[event][outcome]);
    for (size_t i = 0; i < INGRESS_REFUSALS; i++)
        to->refusals[i] += atomic_load(&from->refusals[i]);
}

void ingress_read_counters(struct ingress *ingress, struct ingress_counters *counters)
{
    *counters = (struct ingress_counters){0};
    if (ingress->addresses != NULL)
        counters->crowded = address_counts_refusals(ingress->addresses);
    counters->slowed = failures_slowed(ingress->failures);
    for (size_t i = 0; i < ingress->worker_count; i++) {
        struct webhook_counters *each = &ingress->workers[i].webhook.counters;
        counters->requests += atomic_load(&each->requests);
        counters->connections += atomic_load(&ingress->workers[i].host.connections);
        add_deliveries(each, counters);
        counters->strangers += atomic_load(&each->strangers);
    }
}
