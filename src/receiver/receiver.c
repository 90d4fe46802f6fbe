// The receiver's thread: its listener, its TLS, its end.
#include <assert.h>
#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/thread.h"
#include "private.h"

// Time for idle connections to begin a request that may be in transit.
#define LAST_IDLE NS_PER_SECOND
// At the end, for requests that are being received, and for clients to close after their last response.
#define END_GRACE (2 * NS_PER_SECOND)

const char *const receiver_refusal_names[HTTP_REFUSALS] = {HTTP_REFUSAL_LIST(LIST_NAME, "token")};

// --- in the receiver's thread ---------------------------------------------------------------------

static void *run_receiver(void *context)
{
    struct receiver *receiver = context;

    net_loop_run(receiver->loop);
    return NULL;
}

static void wind_down(void *context)
{
    struct receiver *receiver = context;

    http_server_wind_down(&receiver->host, LAST_IDLE);
}

// A connection lasts as long as a task of the engine that came from it.
static void on_empty(void *context)
{
    const struct receiver *receiver = context;

    if (receiver->is_ending)
        net_loop_stop(receiver->loop);
}

static void end(void *context)
{
    struct receiver *receiver = context;

    receiver->is_ending = true;
    net_timer_set(receiver->grace, END_GRACE);
    http_server_stop(&receiver->host);
}

static void on_end_grace_over(void *context)
{
    struct receiver *receiver = context;

    http_server_abort(&receiver->host);
}

// --- in the caller's thread -----------------------------------------------------------------------

static void set_up_receiver(struct receiver *receiver, struct engine *engine,
                            const struct receiver_options *options)
{
    receiver->engine = engine;
    receiver->options = *options;
    if (receiver->options.answer_time == 0)
        receiver->options.answer_time = RECEIVER_ANSWER_TIME;
    receiver->access = (struct receiver_access){
        .tokens = options->tokens, .has_client_certificates = options->tls.client_ca_file != NULL};
    receiver->job_time = RECEIVER_JOB_TIME_MAX;
    receiver->job_time_since = timestamp_monotonic();
    pthread_mutex_init(&receiver->reports.mutex, NULL); // default attributes: cannot fail on Linux
    TAILQ_INIT(&receiver->unanswered);
    for (size_t role = 0; role < RECEIVER_ROLES; role++) {
        TAILQ_INIT(&receiver->waiting[role]);
        receiver->body_memory[role].most = RECEIVER_BODY_MEMORY;
    }
    receiver->wind_down = (struct net_task){.run = wind_down, .context = receiver};
    receiver->end = (struct net_task){.run = end, .context = receiver};
}

static enum error_code open_otlp_listener(struct receiver *receiver, struct error *error)
{
    receiver->host = (struct http_server){.loop = receiver->loop,
                                          .service = &receiver_service,
                                          .context = receiver,
                                          .max_body_bytes = RECEIVER_BODY_MAX,
                                          .addresses = receiver->addresses,
                                          .body_memory = &receiver->body_memory[RECEIVER_JOB],
                                          .on_empty = on_empty};
    http_server_init(&receiver->host);
    enum error_code code = http_server_listen(&receiver->host, &receiver->options.listen, false,
                                              RECEIVER_CONNECTIONS_MAX, error);
    if (code == ERROR_NONE)
        receiver->address = *net_listener_address(receiver->host.listener);
    return code;
}

static enum error_code make_parts(struct receiver *receiver, struct error *error)
{
    enum error_code code =
        address_counts_create(RECEIVER_CONNECTIONS_PER_ADDRESS, RECEIVER_CONNECTIONS_MAX,
                              &receiver->options.trusted_proxies, &receiver->addresses, error);
    if (code == ERROR_NONE)
        code = auth_failures_create(&receiver->failures, error);
    if (code == ERROR_NONE)
        code = net_loop_create(&receiver->loop, error);
    if (code == ERROR_NONE)
        code = net_timer_create(receiver->loop, receiver_answer_late, receiver,
                                &receiver->answer_timer, error);
    if (code == ERROR_NONE)
        code =
            net_timer_create(receiver->loop, on_end_grace_over, receiver, &receiver->grace, error);
    return code == ERROR_NONE ? open_otlp_listener(receiver, error) : code;
}

static enum error_code start_thread(struct receiver *receiver, struct error *error)
{
    int result = thread_start(&receiver->thread, run_receiver, receiver);
    if (result != 0)
        return error_set(error, ERROR_IO, "receiver thread: %s", strerror(result));
    receiver->is_running = true;
    (void)pthread_setname_np(receiver->thread, "receiver"); // for top and gdb
    return ERROR_NONE;
}

enum error_code receiver_start(struct engine *engine, const struct receiver_options *options,
                               struct receiver **out, struct error *error)
{
    struct receiver *receiver = memory_allocate_array(1, sizeof *receiver);
    struct net_tls *tls;

    if (receiver == NULL)
        return error_set(error, ERROR_MEMORY, "receiver: out of memory");
    set_up_receiver(receiver, engine, options);
    enum error_code code = make_parts(receiver, error);
    if (code == ERROR_NONE)
        code = receiver_load_tls(receiver, &tls, error);
    if (code == ERROR_NONE)
        receiver_use_tls(receiver, tls);
    if (code == ERROR_NONE)
        code = start_thread(receiver, error);
    if (code != ERROR_NONE) {
        receiver_destroy(receiver);
        return code;
    }
    *out = receiver;
    return ERROR_NONE;
}

const struct net_address *receiver_address(const struct receiver *receiver)
{
    return &receiver->address;
}

enum error_code receiver_load_tls(const struct receiver *receiver, struct net_tls **tls,
                                  struct error *error)
{
    *tls = NULL;
    if (receiver->options.tls.certificate_file == NULL)
        return ERROR_NONE;
    return net_tls_create_servers(&receiver->options.tls, tls, 1, error);
}

void receiver_use_tls(struct receiver *receiver, struct net_tls *tls)
{
    if (tls != NULL)
        http_server_hand_over_tls(&receiver->host, tls, receiver->is_running);
}

void receiver_wind_down(struct receiver *receiver)
{
    if (receiver->is_running && !receiver->is_winding_down)
        net_loop_post(receiver->loop, &receiver->wind_down);
    receiver->is_winding_down = true;
}

void receiver_stop(struct receiver *receiver)
{
    if (receiver == NULL || !receiver->is_running)
        return;
    net_loop_post(receiver->loop, &receiver->end);
    pthread_join(receiver->thread, NULL);
    receiver->is_running = false;
}

void receiver_destroy(struct receiver *receiver)
{
    if (receiver == NULL)
        return;
    receiver_stop(receiver);
    if (receiver->loop != NULL) {
        http_server_release(&receiver->host);
        net_timer_destroy(receiver->answer_timer);
        net_timer_destroy(receiver->grace);
        net_loop_destroy(receiver->loop);
    }
    if (receiver->addresses != NULL)
        address_counts_destroy(receiver->addresses);
    if (receiver->failures != NULL)
        auth_failures_destroy(receiver->failures);
    pthread_mutex_destroy(&receiver->reports.mutex);
    memory_free(receiver);
}

_Static_assert(sizeof(struct receiver_sums) == offsetof(struct receiver_counters, connections),
               "the counters of the list, and no others, precede connections");

void receiver_read_counters(struct receiver *receiver, struct receiver_counters *counters)
{
    // Treated as arrays: both structs begin with the members of the same list.
    const _Atomic uint64_t *from = (const _Atomic uint64_t *)&receiver->sums;
    uint64_t *to = (uint64_t *)counters;

    *counters = (struct receiver_counters){0};
    for (size_t i = 0; i < sizeof receiver->sums / sizeof *from; i++)
        to[i] = atomic_load(&from[i]);
    counters->connections = atomic_load(&receiver->host.connections);
    counters->rejected_per_address = address_counts_refusals(receiver->addresses);
}
