// A machine inside one process: preloaded into the daemon, it replaces clock, threads' order, sockets and randomness.
// One thread runs at a time, the one that has the token; all that is chosen is chosen by a generator with a seed. When
// no thread can run, the clock jumps to the next event or deadline, or the driver is asked over the channel.
#ifndef VIRTUAL_H
#define VIRTUAL_H

#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/uio.h>

#define NEVER UINT64_MAX

// The function that this library replaces, as `real_NAME`.
#define REAL(name)                                                                                 \
    static __typeof__(name) *real_##name;                                                          \
    if (real_##name == NULL)                                                                       \
    resolve(&real_##name, #name)

void resolve(void *function, const char *name);
// Says on the real stderr what was called that this machine does not have, and aborts.
_Noreturn void give_up(const char *what, long value);

// --- state ----------------------------------------------------------------------------------------

enum policy { POLICY_ROUND_ROBIN, POLICY_RANDOM, POLICY_STARVE };

struct machine {
    bool is_on;
    uint64_t now;  // ns since the epoch: the true time
    uint64_t boot; // where the monotonic clock is 0
    int64_t leap;  // what the wall clock is ahead of the true time
    uint64_t steps, kill_at;
    uint64_t horizon; // until then no need to ask the driver
    bool needs_attention;
    uint64_t asked_at_step;
    uint64_t sync_time; // ns a sync takes, on average
    bool real_sync;
    int write_errno, sync_errno,
        allowed;      // faults of the store's files; `allowed` calls still succeed
    bool writes_part; // with write_errno: a part is written and said to be all that fits
    bool no_descriptors;
    uint64_t allocations_left; // until one of the daemon's fails; 0: none does
    int outgoing_mode;         // enum outgoing
    enum policy policy;
    unsigned switch_one_in; // steps after which another thread is chosen
    unsigned part_one_in;   // reads and writes that take a part only
};
extern struct machine machine;

enum outgoing { OUTGOING_ACCEPTED, OUTGOING_REFUSED, OUTGOING_LOST };

// Two streams of numbers: what is chosen by the machine, and what the daemon gets as random bytes.
uint64_t choose(uint64_t count);
bool chance(unsigned one_in);
void random_bytes(void *bytes, size_t len);
void seed_random(uint64_t seed);

// --- threads --------------------------------------------------------------------------------------

// Called at the begin of each replaced call that another thread could notice: counts, lets time pass, handles signals,
// may let another thread run.
void step(void);
// The calling thread waits until `is_ready(context)` or the deadline (true time). False: the deadline, or a signal whose
// handler has run.
bool wait_until(bool (*is_ready)(const void *context), const void *context, uint64_t deadline);
void sleep_for(uint64_t ns);
void raise_signal(int number);

// --- objects: sockets and what else has a descriptor without a file -------------------------------

struct buffer {
    char *data;
    size_t start, end, capacity;
};
void buffer_add(struct buffer *buffer, const void *data, size_t len);
void buffer_take(struct buffer *buffer, size_t len);
static inline size_t buffer_len(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

enum object_kind { OBJECT_STREAM, OBJECT_LISTENER, OBJECT_EVENTFD, OBJECT_PIPE, OBJECT_EPOLL };

struct client;

TAILQ_HEAD(object_list, object);

struct object {
    enum object_kind kind;
    int fd; // -1: not accepted yet, or closed
    bool is_nonblocking;
    // who watches it
    struct object *watcher;
    uint32_t interest;
    epoll_data_t data;
    bool is_listed;
    TAILQ_ENTRY(object) listed; // in the watcher's `ready`
    struct object_list ready;   // of an epoll instance
    // a listener
    struct object_list waiting;
    TAILQ_ENTRY(object) place; // in a listener's `waiting`, or among the listeners
    // a stream or a pipe
    struct buffer in;
    struct object *peer; // of a pipe or pair
    bool is_connecting, is_closed_by_peer, is_reset, has_ended;
    int error;
    uint32_t id;
    TAILQ_ENTRY(object) chained; // by its id
    struct sockaddr_in local, remote;
    uint64_t room;         // bytes that the other side still takes
    struct client *client; // NULL: the driver handles its bytes
    uint64_t counter;      // of an eventfd
};

struct object *object_of(int fd);
struct object *object_by_id(uint32_t id);
struct object *connect_client(uint32_t id, uint32_t address,
                              uint16_t port); // NULL: no listener at the port
void object_receive(struct object *object, const void *data, size_t len);
void object_end(struct object *object, bool is_reset);
void object_connected(struct object *object);
void object_give_room(struct object *object, uint64_t room);

// --- TLS of clients -------------------------------------------------------------------------------

struct tls_session;
struct tls_session *tls_begin(struct object *stream);
void tls_end(struct tls_session *session); // NULL does nothing
// False: the handshake or the connection has failed. What was received in plain text is added to `plain`.
bool tls_send(struct tls_session *session, const void *data, size_t len);
bool tls_receive(struct tls_session *session, const struct iovec *parts, size_t count,
                 struct buffer *plain);

// --- the channel ----------------------------------------------------------------------------------

void channel_set_up(int fd);
void report(char type, uint32_t id, const void *data, size_t len);
void report_connection(const struct object *object);
// What the daemon wrote, or that it ended its side.
void channel_on_bytes(struct object *object, const struct iovec *parts, size_t count);
void channel_on_end(struct object *object);
// Flushes, says why, and reads the driver's next batch.
void turn(char reason);
void flush_reports(char reason);
// Handles the events that are due.
void handle_events(void);
uint64_t next_event(void);
void schedule_connected(uint32_t id, uint64_t at);

#endif
