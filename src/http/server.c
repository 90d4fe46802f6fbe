// All connections of one listener: accepting them, and which ones to close for a new one.
#include "ghatrace/http/server.h"

#include <assert.h>

#include "conn.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

// --- eviction -------------------------------------------------------------------------------------
// Which connection to close when a new one needs its place, and how long a body may take.

enum eviction_choice eviction_may_close(const struct eviction_facts *facts,
                                        const struct eviction_counts *counts)
{
    const size_t *members = counts->members;

    switch (facts->group) {
    case EVICTION_LATE:
        return EVICTION_READY;
    case EVICTION_HEAD:
        if (facts->waited >= EVICTION_AGE)
            return EVICTION_READY;
        // If bodies hold most of the places, one of them becomes ready within EVICTION_AGE.
        return members[EVICTION_HEAD] > members[EVICTION_BODY] ? EVICTION_IF_NO_OTHER
                                                               : EVICTION_NOT_NOW;
    case EVICTION_BODY:
        return facts->waited >= EVICTION_AGE ? EVICTION_READY : EVICTION_NOT_NOW;
    case EVICTION_OUTPUT:
        return facts->stalled >= EVICTION_AGE ? EVICTION_READY : EVICTION_IF_NO_OTHER;
    case EVICTION_NONE:
    case EVICTION_GROUPS:
        break;
    }
    return EVICTION_NOT_NOW;
}

// a.bytes / a.waited < b.bytes / b.waited, without division.
static bool is_slower(const struct eviction_facts *a, const struct eviction_facts *b)
{
    double left = (double)a->bytes * (double)b->waited;
    double right = (double)b->bytes * (double)a->waited;

    return left != right ? left < right : a->waited > b->waited;
}

bool eviction_is_before(const struct eviction_facts *a, const struct eviction_facts *b,
                        const struct eviction_counts *counts)
{
    enum eviction_choice choice_a = eviction_may_close(a, counts);
    enum eviction_choice choice_b = eviction_may_close(b, counts);

    assert(a->waited >= 0 && b->waited >= 0);
    if ((a->group == EVICTION_LATE) != (b->group == EVICTION_LATE))
        return a->group == EVICTION_LATE;
    if (choice_a != choice_b)
        return choice_a > choice_b;
    if (counts->members[a->group] != counts->members[b->group])
        return counts->members[a->group] > counts->members[b->group];
    if (a->group != b->group)
        return a->group > b->group;
    if (a->group == EVICTION_BODY)
        return is_slower(a, b);
    if (a->group == EVICTION_OUTPUT)
        return a->stalled > b->stalled;
    return a->waited > b->waited;
}

duration_ns eviction_body_time(uint64_t bytes, duration_ns grace)
{
    uint64_t seconds = bytes / BODY_BYTES_PER_SECOND, rest = bytes % BODY_BYTES_PER_SECOND;

    if (seconds >= (uint64_t)(INT64_MAX / NS_PER_SECOND) - 1)
        return INT64_MAX;
    duration_ns time =
        (duration_ns)(seconds * NS_PER_SECOND + rest * NS_PER_SECOND / BODY_BYTES_PER_SECOND);
    return time > grace ? time : grace;
}

// --- all connections of one loop: accepting, eviction, stopping -----------------------------------

// Bodies and output must be searched for the first victim, so each search closes one in CLOSED_OF of them, at most
// VICTIMS_MAX.
#define CLOSED_OF 256
#define VICTIMS_MAX 64

// --- accepting --------------------------------------------------------------------------------------

static void close_evicted(struct http_conn *conn)
{
    const struct net_address *peer = net_connection_peer(conn->connection);
    char text[NET_ADDRESS_TEXT_SIZE];

    log_debug("connection closed: evicted for a new one",
              LOG_STRING("peer", net_address_format(peer, text)));
    http_conn_close(conn);
}

static struct eviction_facts eviction_facts_of(const struct http_conn *conn, timestamp_ns now)
{
    struct eviction_facts facts = {.group = http_conn_group(conn), .waited = now - conn->since};

    if (facts.group == EVICTION_BODY)
        facts.bytes = conn->parser.body.len;
    if (facts.group == EVICTION_OUTPUT &&
        (conn->state == HTTP_CONN_PRODUCING || net_connection_unsent(conn->connection) > 0))
        facts.stalled = net_connection_stalled(conn->connection, now);
    else
        facts.stalled = facts.waited;
    return facts;
}

// The best candidates for eviction, best first.
struct victims {
    const struct http_server *host;
    timestamp_ns now;
    size_t most, count;
    struct http_conn *items[VICTIMS_MAX];
    struct eviction_facts facts[VICTIMS_MAX];
};

static void add_victim(struct victims *victims, struct http_conn *conn)
{
    const struct eviction_counts *counts = &victims->host->counts;
    struct eviction_facts facts = eviction_facts_of(conn, victims->now);
    size_t i = victims->count;

    if (eviction_may_close(&facts, counts) == EVICTION_NOT_NOW)
        return;
    while (i > 0 && eviction_is_before(&facts, &victims->facts[i - 1], counts)) {
        if (i < victims->most) {
            victims->items[i] = victims->items[i - 1];
            victims->facts[i] = victims->facts[i - 1];
        }
        i--;
    }
    if (i == victims->most)
        return;
    victims->items[i] = conn;
    victims->facts[i] = facts;
    if (victims->count < victims->most)
        victims->count++;
}

// The lists of heads and late responses are in eviction order, so only their first entry is considered.
static void collect_victims(struct victims *victims)
{
    const struct http_conn_list *waiting = victims->host->waiting;
    struct http_conn *each;

    if (!TAILQ_EMPTY(&waiting[EVICTION_LATE])) {
        add_victim(victims, TAILQ_FIRST(&waiting[EVICTION_LATE]));
        return;
    }
    if (!TAILQ_EMPTY(&waiting[EVICTION_HEAD]))
        add_victim(victims, TAILQ_FIRST(&waiting[EVICTION_HEAD]));
    TAILQ_FOREACH (each, &waiting[EVICTION_OUTPUT], waiting)
        add_victim(victims, each);
    TAILQ_FOREACH (each, &waiting[EVICTION_BODY], waiting) {
        if (victims->now - each->since < EVICTION_AGE)
            break;
        add_victim(victims, each);
    }
}

static void close_victims(struct victims *victims)
{
    for (size_t i = 0; i < victims->count; i++)
        if (i == 0 || victims->facts[i].group == victims->facts[0].group)
            close_evicted(victims->items[i]);
}

// Closes a number in proportion to the connections searched, so that the search cost per victim is constant.
static bool close_first(struct http_server *host)
{
    const size_t *members = host->counts.members;
    size_t share = (members[EVICTION_BODY] + members[EVICTION_OUTPUT]) / CLOSED_OF;
    struct victims victims = {.host = host, .now = timestamp_monotonic()};

    victims.most = share < 1 ? 1 : share > VICTIMS_MAX ? VICTIMS_MAX : share;
    collect_victims(&victims);
    close_victims(&victims);
    return victims.count > 0;
}

// Closes one of the connections that `full` counts.
static bool close_first_of(struct http_server *host, const struct address_place *full)
{
    struct victims victims = {.host = host, .now = timestamp_monotonic(), .most = 1};
    struct http_conn *each;

    for (int group = EVICTION_NONE + 1; full != NULL && group < EVICTION_GROUPS; group++)
        TAILQ_FOREACH (each, &host->waiting[group], waiting)
            if (address_place_is_in(each->place, full))
                add_victim(&victims, each);
    if (victims.count == 0)
        return false;
    address_counts_give_back(host->addresses, victims.items[0]->place);
    victims.items[0]->place = NULL;
    close_evicted(victims.items[0]);
    return true;
}

// Counts the connection. If its address or network is at the limit, one of its other connections is evicted by the
// usual order, if this thread has a candidate.
static bool find_address_place(struct http_server *host, const struct net_connection *connection,
                               struct address_place **place)
{
    const struct net_address *peer = net_connection_peer(connection);
    char text[NET_ADDRESS_TEXT_SIZE];
    struct address_place *full;

    if (host->addresses == NULL)
        return true;
    if (address_counts_take(host->addresses, peer, place, &full) ||
        (close_first_of(host, full) && address_counts_take(host->addresses, peer, place, &full)))
        return true;
    address_counts_note_refusal(host->addresses);
    log_debug("connection closed: too many from its address",
              LOG_STRING("peer", net_address_format(peer, text)));
    return false;
}

static bool on_accept(void *context, struct net_connection *connection,
                      const struct net_handler **connection_handler, void **connection_context)
{
    struct http_server *host = context;
    struct http_conn *conn = memory_allocate_array(1, sizeof *conn);

    if (conn == NULL)
        return false;
    if (!find_address_place(host, connection, &conn->place)) {
        memory_free(conn);
        return false;
    }
    conn->host = host;
    conn->body_memory = host->body_memory;
    conn->connection = connection;
    conn->refs = 1;
    http_parser_init(&conn->parser, host->max_body_bytes);
    LIST_INSERT_HEAD(&host->conns, conn, all);
    atomic_fetch_add(&host->connections, 1);
    http_conn_move(conn, HTTP_CONN_IDLE);
    net_connection_count_memory(connection, &host->memory);
    net_connection_set_deadline(connection,
                                host->is_stopping ? host->last_idle : host->idle_deadline);
    *connection_handler = &http_conn_handler;
    *connection_context = conn;
    return true;
}

// Sets the timer to when the first connection reaches EVICTION_AGE.
static void wait_for_victim(struct http_server *host)
{
    timestamp_ns now = timestamp_monotonic();
    duration_ns wait = EVICTION_AGE;

    for (int group = EVICTION_NONE + 1; group < EVICTION_GROUPS; group++) {
        const struct http_conn *first = TAILQ_FIRST(&host->waiting[group]);
        if (first != NULL && first->since + EVICTION_AGE - now < wait)
            wait = first->since + EVICTION_AGE - now;
    }
    net_timer_set(host->look_again, wait > NS_PER_MS ? wait : NS_PER_MS);
}

static bool evict_one(void *context)
{
    struct http_server *host = context;

    if (close_first(host))
        return true;
    wait_for_victim(host);
    return false;
}

void http_server_retry_eviction(struct http_server *host)
{
    if (host->listener != NULL)
        net_listener_look_again(host->listener);
}

static void on_retry_timer(void *context)
{
    http_server_retry_eviction(context);
}

bool http_conn_memory_is_full(struct http_server *host)
{
    struct http_conn *each = TAILQ_FIRST(&host->waiting[EVICTION_OUTPUT]), *next;
    timestamp_ns now = timestamp_monotonic();

    for (; each != NULL && host->memory > host->most_memory; each = next) {
        next = TAILQ_NEXT(each, waiting); // closing removes it from the list
        if (net_connection_stalled(each->connection, now) >= EVICTION_AGE)
            close_evicted(each);
    }
    return host->memory > host->most_memory;
}

static bool peer_may_connect(void *context, const struct net_address *peer)
{
    const struct http_server *host = context;

    return host->service->may_connect == NULL || host->service->may_connect(host->context, peer);
}

static const struct net_accept_handler accept_handler = {
    .may_connect = peer_may_connect, .on_accept = on_accept, .make_room = evict_one};

// All our responses are far below this.
#define ANSWER_BYTES_MAX 16384

static void take_tls(void *context)
{
    struct http_server *host = context;
    struct net_tls *tls = atomic_exchange(&host->fresh_tls, NULL);

    if (host->listener != NULL)
        net_listener_use_tls(host->listener, tls);
    net_tls_unref(tls); // the listener holds it
}

void http_server_init(struct http_server *host)
{
    if (host->head_deadline == 0)
        host->head_deadline = HEAD_DEADLINE;
    if (host->request_deadline == 0)
        host->request_deadline = REQUEST_DEADLINE;
    if (host->idle_deadline == 0)
        host->idle_deadline = IDLE_DEADLINE;
    if (host->body_grace == 0)
        host->body_grace = BODY_GRACE;
    if (host->output_deadline == 0)
        host->output_deadline = OUTPUT_DEADLINE;
    if (host->most_memory == 0)
        host->most_memory = HTTP_SERVER_MEMORY;
    atomic_init(&host->fresh_tls, NULL);
    host->take_tls = (struct net_task){.run = take_tls, .context = host};
    buffer_init(&host->out, ANSWER_BYTES_MAX);
    buffer_init(&host->piece, HTTP_PIECE_MAX);
    buffer_init(&host->packed, 2 * HTTP_PIECE_MAX); // what cannot be compressed grows a little
    buffer_init(&host->framed, 2 * HTTP_PIECE_MAX + ANSWER_BYTES_MAX);
    TAILQ_INIT(&host->due);
    LIST_INIT(&host->conns);
    for (int group = 0; group < EVICTION_GROUPS; group++)
        TAILQ_INIT(&host->waiting[group]);
}

static enum error_code create_server_timers(struct http_server *host, struct error *error)
{
    enum error_code code =
        net_timer_create(host->loop, on_retry_timer, host, &host->look_again, error);

    if (code == ERROR_NONE)
        code = net_timer_create(host->loop, http_server_send_next_piece, host, &host->next_piece,
                                error);
    return code;
}

enum error_code http_server_listen(struct http_server *host, const struct net_address *address,
                                   bool share_port, size_t max_connections, struct error *error)
{
    enum error_code code = create_server_timers(host, error);

    if (code != ERROR_NONE)
        return code;
    const struct net_listener_options options = {.share_port = share_port,
                                                 .max_connections = max_connections,
                                                 .handler = &accept_handler,
                                                 .context = host};
    return net_listener_create(host->loop, address, &options, &host->listener, error);
}

enum error_code http_server_adopt(struct http_server *host, int fd, size_t max_connections,
                                  struct error *error)
{
    enum error_code code = create_server_timers(host, error);

    if (code != ERROR_NONE)
        return code;
    const struct net_listener_options options = {
        .max_connections = max_connections, .handler = &accept_handler, .context = host};
    return net_listener_adopt(host->loop, fd, &options, &host->listener, error);
}

void http_server_hand_over_tls(struct http_server *host, struct net_tls *tls, bool is_running)
{
    struct net_tls *not_taken = atomic_exchange(&host->fresh_tls, tls);

    if (!is_running)
        take_tls(host);
    else if (not_taken == NULL)
        net_loop_post(host->loop, &host->take_tls);
    net_tls_unref(not_taken);
}

static void wind_down_conn(struct http_conn *conn)
{
    // In SENDING the client does not read the responses to its previous requests.
    if (conn->state == HTTP_CONN_IDLE || conn->state == HTTP_CONN_SENDING)
        net_connection_set_deadline(conn->connection, conn->host->last_idle);
    else if (conn->state == HTTP_CONN_LATE)
        http_conn_send_late_response(conn);
}

void http_server_wind_down(struct http_server *host, duration_ns last_idle)
{
    struct http_conn *each;

    if (host->is_stopping)
        return;
    host->is_stopping = true;
    host->last_idle = last_idle;
    // The loop is safe: connections are freed later, by the reaper.
    LIST_FOREACH (each, &host->conns, all)
        wind_down_conn(each);
}

void http_server_stop(struct http_server *host)
{
    http_server_wind_down(host, 1);
    net_listener_destroy(host->listener);
    host->listener = NULL;
    if (LIST_EMPTY(&host->conns))
        host->on_empty(host->context);
}

bool http_server_is_done(const struct http_server *host)
{
    const struct http_conn *each;

    LIST_FOREACH (each, &host->conns, all)
        if (each->connection == NULL || each->state < HTTP_CONN_FINISHING ||
            net_connection_unsent(each->connection) > 0)
            return false;
    return true;
}

void http_server_abort(struct http_server *host)
{
    struct http_conn *each;

    LIST_FOREACH (each, &host->conns, all)
        http_conn_close(each);
}

void http_server_release(struct http_server *host)
{
    net_listener_destroy(host->listener);
    host->listener = NULL;
    net_tls_unref(atomic_exchange(&host->fresh_tls, NULL));
    net_timer_destroy(host->look_again);
    host->look_again = NULL;
    net_timer_destroy(host->next_piece);
    host->next_piece = NULL;
    buffer_release(&host->out);
}
