// The channel to the driver: events that come from it in the order of their times, reports that go to it; and clients
// that send one request after the other, which are kept here so that the driver need not be asked for each.
//
// A report: length of the rest (4), type (1), now (8), id (4), bytes. Types: `o` the daemon connects; `d` bytes it wrote;
// `f` it ended its side; `v` the certificate it showed (DER); `a` an answer to the request with this ticket, empty if there was none; `l` log;
// `T` the driver's turn: reason (1), steps (8).
// Internal events: `c` a connection of the daemon's is there; `z` a client gives up.
// A batch: length of the rest (4), events: type (1), time (8), id (4), length (4), bytes. Types: `P` a request with this
// ticket: address (4), port (2), flags (1), bytes; `C` connect: address (4), port (2); `D` bytes; `F` end; `R` reset; `W` the room (8) that
// the other side has for bytes of the daemon's;
// `S` a signal; `K` steps (8) at which the machine dies; `L` ns (8) that the wall clock leaps; `X` a setting, its value
// (8); `G` go on until this time.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "virtual.h"

#define EVENT_HEAD 17
#define REPORT_HEAD 17
#define FLUSH_SIZE (256 * 1024)
#define CLIENT_IDS UINT32_C(0x40000000)

#define REQUEST_PATIENCE UINT64_C(10000000000)

// With patience, a client gives up after so long, as GitHub does.
enum request_flags {
    REQUEST_KEEP_ALIVE = 1,
    REQUEST_ATTENTION = 2,
    REQUEST_PATIENT = 4,
    REQUEST_TLS = 8
};

struct event {
    uint64_t at, order;
    char type;
    uint32_t id, len;
    char *bytes; // owned
};

struct client {
    struct object *stream;
    uint32_t ticket, address;
    uint16_t port;
    uint8_t flags;
    struct tls_session *tls; // NULL: plain text
    bool is_busy;
    struct buffer answer;
    TAILQ_ENTRY(client) place; // among the idle or the busy ones
};
TAILQ_HEAD(client_list, client);

static int channel = -1;
static struct buffer reports;
static struct event *heap;
static size_t heap_count, heap_capacity;
static uint64_t next_order;
static uint32_t next_client = CLIENT_IDS;
static struct client_list idle_clients = TAILQ_HEAD_INITIALIZER(idle_clients);
static struct client_list busy_clients = TAILQ_HEAD_INITIALIZER(busy_clients);

static void add_event(struct event event);

void channel_set_up(int fd)
{
    channel = fd;
    turn('i');
}

// --- reports --------------------------------------------------------------------------------------

static void write_out(void)
{
    size_t done = 0;

    while (done < buffer_len(&reports)) {
        long written = syscall(SYS_write, channel, reports.data + reports.start + done,
                               buffer_len(&reports) - done);
        if (written < 0 && errno != EINTR)
            syscall(SYS_exit_group, 111); // the driver has gone
        done += written > 0 ? (size_t)written : 0;
    }
    buffer_take(&reports, done);
}

void report(char type, uint32_t id, const void *data, size_t len)
{
    char head[REPORT_HEAD];
    uint32_t rest = (uint32_t)(REPORT_HEAD - 4 + len);

    memcpy(head, &rest, 4);
    head[4] = type;
    memcpy(head + 5, &machine.now, 8);
    memcpy(head + 13, &id, 4);
    buffer_add(&reports, head, sizeof head);
    buffer_add(&reports, data, len);
    if (buffer_len(&reports) >= FLUSH_SIZE)
        write_out();
}

void report_connection(const struct object *object)
{
    char where[6];
    uint32_t address = ntohl(object->remote.sin_addr.s_addr);
    uint16_t port = ntohs(object->remote.sin_port);

    memcpy(where, &address, 4);
    memcpy(where + 4, &port, 2);
    report('o', object->id, where, sizeof where);
}

void flush_reports(char reason)
{
    char rest[9];

    if (channel < 0)
        return;
    rest[0] = reason;
    memcpy(rest + 1, &machine.steps, 8);
    report('T', 0, rest, sizeof rest);
    write_out();
}

// --- clients --------------------------------------------------------------------------------------

static struct client *take_idle_client(uint32_t address, uint16_t port, bool has_tls)
{
    struct client *client;

    TAILQ_FOREACH (client, &idle_clients, place)
        if (client->address == address && client->port == port &&
            (client->tls != NULL) == has_tls) {
            TAILQ_REMOVE(&idle_clients, client, place);
            return client;
        }
    return NULL;
}

static struct client *open_client(uint32_t address, uint16_t port, bool has_tls)
{
    struct object *stream = connect_client(next_client, address, port);

    if (stream == NULL)
        return NULL;
    next_client++;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        give_up("out of memory", sizeof *client);
    *client = (struct client){.stream = stream, .address = address, .port = port};
    stream->client = client;
    if (has_tls)
        client->tls = tls_begin(stream);
    return client;
}

static void finish_request(struct client *client)
{
    report('a', client->ticket, client->answer.data + client->answer.start,
           buffer_len(&client->answer));
    buffer_take(&client->answer, buffer_len(&client->answer));
    client->is_busy = false;
    TAILQ_REMOVE(&busy_clients, client, place);
    machine.needs_attention |= (client->flags & REQUEST_ATTENTION) != 0;
}

// The client closes without an answer; what is written afterwards is lost.
static void fail_client(struct client *client)
{
    buffer_take(&client->answer, buffer_len(&client->answer));
    if (client->is_busy) {
        client->flags &= (uint8_t)~REQUEST_KEEP_ALIVE;
        finish_request(client);
    }
    object_end(client->stream, true);
}

static void send_request(const struct event *event)
{
    uint32_t address;
    uint16_t port;

    memcpy(&address, event->bytes, 4);
    memcpy(&port, event->bytes + 4, 2);
    bool has_tls = (event->bytes[6] & REQUEST_TLS) != 0;
    struct client *client = take_idle_client(address, port, has_tls);
    if (client == NULL)
        client = open_client(address, port, has_tls);
    if (client == NULL) {
        report('a', event->id, NULL, 0);
        machine.needs_attention |= (event->bytes[6] & REQUEST_ATTENTION) != 0;
        return;
    }
    client->ticket = event->id;
    client->flags = (uint8_t)event->bytes[6];
    client->is_busy = true;
    TAILQ_INSERT_TAIL(&busy_clients, client, place);
    if ((client->flags & REQUEST_PATIENT) != 0)
        add_event(
            (struct event){.at = machine.now + REQUEST_PATIENCE, .type = 'z', .id = event->id});
    if (!has_tls)
        object_receive(client->stream, event->bytes + 7, event->len - 7);
    else if (!tls_send(client->tls, event->bytes + 7, event->len - 7))
        fail_client(client);
}

// The length of the whole answer; 0: it is not known yet, or the end of the connection is the end.
static size_t answer_length(const struct buffer *answer, bool *closes)
{
    const char *text = answer->data + answer->start;
    const char *end = memmem(text, buffer_len(answer), "\r\n\r\n", 4);
    size_t body = 0;
    bool has_length = false;

    for (const char *line = text; end != NULL && line < end; line++) {
        line = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (line == NULL || line == end)
            break;
        if (strncasecmp(line + 2, "content-length:", 15) == 0) {
            body = strtoul(line + 17, NULL, 10);
            has_length = true;
        }
        *closes |= strncasecmp(line + 2, "connection: close", 17) == 0;
    }
    return has_length ? (size_t)(end + 4 - text) + body : 0;
}

static void client_on_bytes(struct client *client, const struct iovec *parts, size_t count)
{
    bool closes = false;

    if (client->tls != NULL && !tls_receive(client->tls, parts, count, &client->answer)) {
        fail_client(client);
        return;
    }
    for (size_t i = 0; i < count && client->tls == NULL; i++)
        buffer_add(&client->answer, parts[i].iov_base, parts[i].iov_len);
    if (!client->is_busy) {
        buffer_take(&client->answer, buffer_len(&client->answer));
        return;
    }
    size_t len = answer_length(&client->answer, &closes);
    if (len == 0 || buffer_len(&client->answer) < len)
        return;
    finish_request(client);
    if ((client->flags & REQUEST_KEEP_ALIVE) == 0)
        object_end(client->stream, false);
    else if (!closes)
        TAILQ_INSERT_HEAD(&idle_clients, client, place);
    else
        client->flags = 0;
}

static void client_on_end(struct client *client)
{
    struct object *stream = client->stream;

    if (client->is_busy)
        finish_request(client);
    else if (client->flags != 0 && (client->flags & REQUEST_KEEP_ALIVE) != 0)
        TAILQ_REMOVE(&idle_clients, client, place);
    stream->client = NULL;
    stream->has_ended = true;
    tls_end(client->tls);
    buffer_take(&client->answer, buffer_len(&client->answer));
    free(client);
    object_end(stream, false);
}

static void give_up_request(uint32_t ticket)
{
    struct client *client;

    TAILQ_FOREACH (client, &busy_clients, place)
        if (client->ticket == ticket)
            break;
    if (client != NULL)
        fail_client(client);
}

void channel_on_bytes(struct object *object, const struct iovec *parts, size_t count)
{
    if (object->client != NULL) {
        client_on_bytes(object->client, parts, count);
        return;
    }
    struct buffer joined = {.data = NULL};
    for (size_t i = 0; i < count; i++)
        buffer_add(&joined, parts[i].iov_base, parts[i].iov_len);
    report('d', object->id, joined.data, buffer_len(&joined));
    buffer_take(&joined, buffer_len(&joined));
    machine.needs_attention = true;
}

void channel_on_end(struct object *object)
{
    if (object->client != NULL) {
        client_on_end(object->client);
        return;
    }
    report('f', object->id, NULL, 0);
    machine.needs_attention = true;
}

// --- events ---------------------------------------------------------------------------------------

static bool comes_before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void add_event(struct event event)
{
    if (heap_count == heap_capacity) {
        heap_capacity = heap_capacity * 2 + 64;
        heap = realloc(heap, heap_capacity * sizeof *heap);
        if (heap == NULL)
            give_up("out of memory", (long)heap_capacity);
    }
    event.order = next_order++;
    size_t place = heap_count++;
    while (place > 0 && comes_before(&event, &heap[(place - 1) / 2])) {
        heap[place] = heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap[place] = event;
}

static struct event take_event(void)
{
    struct event first = heap[0], last = heap[--heap_count];
    size_t place = 0, child;

    while ((child = place * 2 + 1) < heap_count) {
        if (child + 1 < heap_count && comes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_before(&heap[child], &last))
            break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = last;
    return first;
}

uint64_t next_event(void)
{
    return heap_count == 0 ? NEVER : heap[0].at;
}

void schedule_connected(uint32_t id, uint64_t at)
{
    add_event((struct event){.at = at, .type = 'c', .id = id});
}

static void open_connection(const struct event *event)
{
    uint32_t address;
    uint16_t port;

    memcpy(&address, event->bytes, 4);
    memcpy(&port, event->bytes + 4, 2);
    if (connect_client(event->id, address, port) == NULL) {
        report('f', event->id, NULL, 0);
        machine.needs_attention = true;
    }
}

static void change_setting(uint32_t setting, uint64_t value)
{
    switch (setting) {
    case 1:
        machine.write_errno = (int)value;
        break;
    case 2:
        machine.sync_errno = (int)value;
        break;
    case 3:
        machine.allowed = (int)value;
        break;
    case 4:
        machine.outgoing_mode = (int)value;
        break;
    case 5:
        machine.sync_time = value;
        break;
    case 6:
        machine.allocations_left = value;
        break;
    case 7:
        machine.writes_part = value != 0;
        break;
    case 8:
        machine.no_descriptors = value != 0;
        break;
    default:
        give_up("an unknown setting", setting);
    }
}

static void handle_event(const struct event *event)
{
    struct object *object = strchr("cDFRW", event->type) != NULL ? object_by_id(event->id) : NULL;
    uint64_t value = 0;

    if (strchr("KLXW", event->type) != NULL)
        memcpy(&value, event->bytes, sizeof value);
    if (event->type == 'P')
        send_request(event);
    else if (event->type == 'C')
        open_connection(event);
    else if (event->type == 'S')
        raise_signal((int)event->id);
    else if (event->type == 'K')
        machine.kill_at = value;
    else if (event->type == 'L')
        machine.leap += (int64_t)value;
    else if (event->type == 'z')
        give_up_request(event->id);
    else if (event->type == 'X')
        change_setting(event->id, value);
    else if (object == NULL)
        return; // closed meanwhile
    else if (event->type == 'c')
        object_connected(object);
    else if (event->type == 'W')
        object_give_room(object, value);
    else if (event->type == 'D')
        object_receive(object, event->bytes, event->len);
    else
        object_end(object, event->type == 'R');
}

void handle_events(void)
{
    while (heap_count > 0 && heap[0].at <= machine.now) {
        struct event event = take_event();
        handle_event(&event);
        free(event.bytes);
    }
}

// --- the driver's turn ----------------------------------------------------------------------------

static void read_whole(void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        long count = syscall(SYS_read, channel, (char *)data + done, len - done);
        if (count == 0 || (count < 0 && errno != EINTR))
            syscall(SYS_exit_group, 111); // the driver has gone
        done += count > 0 ? (size_t)count : 0;
    }
}

static void take_batch(const char *batch, size_t len)
{
    for (size_t place = 0; place < len;) {
        struct event event = {.type = batch[place]};
        memcpy(&event.at, batch + place + 1, 8);
        memcpy(&event.id, batch + place + 9, 4);
        memcpy(&event.len, batch + place + 13, 4);
        place += EVENT_HEAD;
        if (event.type == 'G') {
            machine.horizon = event.at;
            continue;
        }
        if (event.len > 0) {
            event.bytes = malloc(event.len);
            if (event.bytes == NULL)
                give_up("out of memory", (long)event.len);
            memcpy(event.bytes, batch + place, event.len);
        }
        place += event.len;
        add_event(event);
    }
}

void turn(char reason)
{
    int code = errno;
    uint32_t len;

    machine.needs_attention = false;
    machine.asked_at_step = machine.steps;
    flush_reports(reason);
    read_whole(&len, sizeof len);
    char *batch = malloc(len + 1);
    if (batch == NULL)
        give_up("out of memory", (long)len);
    read_whole(batch, len);
    take_batch(batch, len);
    free(batch);
    errno = code;
}
