// Sockets, pipes, eventfds and epoll instances in memory. Each has a real descriptor, a copy of /dev/null's, so that
// numbers and limits are the kernel's.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "virtual.h"

#define DESCRIPTORS 65536
#define CHAINS 4096
#define FIRST_PORT 40000
#define CONNECT_NS 200000
#define OUTGOING_IDS UINT32_C(0x80000000)
#define NS_PER_MS UINT64_C(1000000)

static struct object *objects[DESCRIPTORS];
static struct object_list chains[CHAINS];
static struct object_list listeners = TAILQ_HEAD_INITIALIZER(listeners);
static uint16_t next_port = FIRST_PORT;
static uint32_t next_outgoing = OUTGOING_IDS;

// --- buffers --------------------------------------------------------------------------------------

void buffer_add(struct buffer *buffer, const void *data, size_t len)
{
    if (buffer->end + len > buffer->capacity) {
        size_t used = buffer_len(buffer);
        size_t capacity = (used + len) * 2 + 512;
        char *grown = malloc(capacity);
        if (grown == NULL)
            give_up("out of memory", (long)capacity);
        if (used > 0)
            memcpy(grown, buffer->data + buffer->start, used);
        free(buffer->data);
        *buffer = (struct buffer){.data = grown, .end = used, .capacity = capacity};
    }
    if (len > 0)
        memcpy(buffer->data + buffer->end, data, len);
    buffer->end += len;
}

void buffer_take(struct buffer *buffer, size_t len)
{
    buffer->start += len;
    if (buffer->start == buffer->end) {
        free(buffer->data);
        *buffer = (struct buffer){.data = NULL};
    }
}

// --- objects --------------------------------------------------------------------------------------

struct object *object_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS ? objects[fd] : NULL;
}

static struct object_list *chain_of(uint32_t id)
{
    struct object_list *chain = &chains[id % CHAINS];

    if (chain->tqh_last == NULL)
        TAILQ_INIT(chain);
    return chain;
}

struct object *object_by_id(uint32_t id)
{
    struct object *object;

    TAILQ_FOREACH (object, chain_of(id), chained)
        if (object->id == id)
            return object;
    return NULL;
}

static struct object *make_object(enum object_kind kind)
{
    struct object *object = calloc(1, sizeof *object);

    if (object == NULL)
        give_up("out of memory", sizeof *object);
    object->kind = kind;
    object->fd = -1;
    object->room = UINT64_MAX;
    TAILQ_INIT(&object->ready);
    TAILQ_INIT(&object->waiting);
    return object;
}

static void give_id(struct object *object, uint32_t id)
{
    object->id = id;
    TAILQ_INSERT_TAIL(chain_of(id), object, chained);
}

// -1: no descriptor is free.
static int open_object(struct object *object)
{
    static int null = -1;

    if (null < 0)
        null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
    if (machine.no_descriptors) {
        errno = EMFILE;
        return -1;
    }
    int fd = (int)syscall(SYS_fcntl, null, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (fd >= DESCRIPTORS)
        give_up("a high descriptor", fd);
    objects[fd] = object;
    object->fd = fd;
    return fd;
}

static uint32_t readiness(const struct object *object)
{
    switch (object->kind) {
    case OBJECT_LISTENER:
        return TAILQ_EMPTY(&object->waiting) ? 0 : EPOLLIN;
    case OBJECT_EVENTFD:
        return EPOLLOUT | (object->counter > 0 ? EPOLLIN : 0);
    case OBJECT_EPOLL:
        return TAILQ_EMPTY(&object->ready) ? 0 : EPOLLIN;
    case OBJECT_PIPE:
        return EPOLLOUT | (buffer_len(&object->in) > 0 || object->peer == NULL ? EPOLLIN : 0);
    case OBJECT_STREAM:
        break;
    }
    if (object->is_reset || object->error != 0)
        return EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP;
    if (object->is_connecting)
        return 0;
    if (object->id == 0)
        return EPOLLOUT | EPOLLHUP; // not connected
    return (object->room > 0 ? EPOLLOUT : 0) | (buffer_len(&object->in) > 0 ? EPOLLIN : 0) |
           (object->is_closed_by_peer ? EPOLLIN | EPOLLRDHUP : 0);
}

static void refresh(struct object *object)
{
    struct object *watcher = object->watcher;

    if (watcher == NULL)
        return;
    bool is_ready = (readiness(object) & (object->interest | EPOLLERR | EPOLLHUP)) != 0;
    if (is_ready && !object->is_listed)
        TAILQ_INSERT_TAIL(&watcher->ready, object, listed);
    if (!is_ready && object->is_listed)
        TAILQ_REMOVE(&watcher->ready, object, listed);
    object->is_listed = is_ready;
}

static void unwatch(struct object *object)
{
    if (object->watcher != NULL && object->is_listed)
        TAILQ_REMOVE(&object->watcher->ready, object, listed);
    object->watcher = NULL;
    object->is_listed = false;
}

// --- from outside ---------------------------------------------------------------------------------

static struct object *choose_listener(uint16_t port)
{
    struct object *listener, *found = NULL;
    uint64_t count = 0;

    TAILQ_FOREACH (listener, &listeners, place)
        if (ntohs(listener->local.sin_port) == port)
            count++;
    uint64_t wanted = count == 0 ? 0 : choose(count);
    TAILQ_FOREACH (listener, &listeners, place)
        if (ntohs(listener->local.sin_port) == port && wanted-- == 0)
            found = listener;
    return found;
}

struct object *connect_client(uint32_t id, uint32_t address, uint16_t port)
{
    struct object *listener = choose_listener(port);

    if (listener == NULL)
        return NULL;
    struct object *stream = make_object(OBJECT_STREAM);
    give_id(stream, id);
    stream->local = listener->local;
    stream->remote = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_port = htons((uint16_t)(1024 + id % 60000)),
                                          .sin_addr.s_addr = htonl(address)};
    TAILQ_INSERT_TAIL(&listener->waiting, stream, place);
    refresh(listener);
    return stream;
}

void object_receive(struct object *object, const void *data, size_t len)
{
    if (object->is_closed_by_peer || object->is_reset)
        return;
    buffer_add(&object->in, data, len);
    refresh(object);
}

void object_end(struct object *object, bool is_reset)
{
    object->is_closed_by_peer = true;
    if (is_reset) {
        object->is_reset = true;
        object->error = ECONNRESET;
        buffer_take(&object->in, buffer_len(&object->in));
    }
    refresh(object);
}

void object_give_room(struct object *object, uint64_t room)
{
    object->room = room;
    refresh(object);
}

void object_connected(struct object *object)
{
    object->is_connecting = false;
    if (machine.outgoing_mode == OUTGOING_REFUSED)
        object->error = ECONNREFUSED;
    else
        report_connection(object);
    refresh(object);
}

static ssize_t fail_with(int code)
{
    errno = code;
    return -1;
}

// --- making and closing ---------------------------------------------------------------------------

// Without a free descriptor there is no object.
static int open_or_free(struct object *object)
{
    int fd = open_object(object);

    if (fd < 0)
        free(object);
    return fd;
}

int socket(int domain, int type, int protocol)
{
    REAL(socket);
    step();
    if ((domain != AF_INET && domain != AF_INET6) || (type & 0xf) != SOCK_STREAM)
        return real_socket(domain, type, protocol);
    struct object *stream = make_object(OBJECT_STREAM);
    stream->is_nonblocking = (type & SOCK_NONBLOCK) != 0;
    return open_or_free(stream);
}

static void unchain(struct object *object)
{
    if (object->id != 0)
        TAILQ_REMOVE(chain_of(object->id), object, chained);
}

static void close_stream(struct object *object)
{
    if (object->id != 0 && !object->is_connecting && !object->has_ended)
        channel_on_end(object);
    unchain(object);
}

static void close_listener(struct object *listener)
{
    struct object *waiting;

    TAILQ_REMOVE(&listeners, listener, place);
    while ((waiting = TAILQ_FIRST(&listener->waiting)) != NULL) {
        TAILQ_REMOVE(&listener->waiting, waiting, place);
        close_stream(waiting);
        buffer_take(&waiting->in, buffer_len(&waiting->in));
        free(waiting);
    }
}

static void close_object(struct object *object)
{
    unwatch(object);
    if (object->kind == OBJECT_STREAM)
        close_stream(object);
    else if (object->kind == OBJECT_LISTENER)
        close_listener(object);
    else if (object->kind == OBJECT_EPOLL)
        for (int fd = 0; fd < DESCRIPTORS; fd++)
            if (objects[fd] != NULL && objects[fd]->watcher == object)
                unwatch(objects[fd]);
    if (object->peer != NULL) {
        object->peer->peer = NULL;
        refresh(object->peer);
    }
    buffer_take(&object->in, buffer_len(&object->in));
    free(object);
}

int close(int fd)
{
    REAL(close);
    struct object *object = object_of(fd);
    step();
    if (object != NULL) {
        objects[fd] = NULL;
        close_object(object);
    }
    return real_close(fd);
}

int eventfd(unsigned count, int flags)
{
    struct object *object = make_object(OBJECT_EVENTFD);

    step();
    object->counter = count;
    object->is_nonblocking = (flags & EFD_NONBLOCK) != 0;
    if ((flags & EFD_SEMAPHORE) != 0)
        give_up("eventfd flags", flags);
    return open_or_free(object);
}

static int make_pair(int fds[2], bool is_nonblocking)
{
    struct object *ends[2] = {make_object(OBJECT_PIPE), make_object(OBJECT_PIPE)};

    step();
    fds[0] = open_or_free(ends[0]);
    if (fds[0] < 0) {
        free(ends[1]);
        return -1;
    }
    fds[1] = open_or_free(ends[1]);
    if (fds[1] < 0) {
        int code = errno;
        close(fds[0]);
        return (int)fail_with(code);
    }
    for (int i = 0; i < 2; i++) {
        ends[i]->peer = ends[1 - i];
        ends[i]->is_nonblocking = is_nonblocking;
    }
    return 0;
}

int pipe2(int fds[2], int flags)
{
    return make_pair(fds, (flags & O_NONBLOCK) != 0);
}

int pipe(int fds[2])
{
    return make_pair(fds, false);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    (void)domain;
    (void)protocol;
    return make_pair(fds, (type & SOCK_NONBLOCK) != 0);
}

int timerfd_create(int clock, int flags)
{
    (void)flags;
    give_up("timerfd_create", clock);
}

// --- addresses and options ------------------------------------------------------------------------

static int copy_address(const struct sockaddr_in *from, struct sockaddr *to, socklen_t *len)
{
    if (to != NULL && len != NULL) {
        memcpy(to, from, *len < sizeof *from ? *len : sizeof *from);
        *len = sizeof *from;
    }
    return 0;
}

static int bind_object(struct object *object, const struct sockaddr *address)
{
    if (address->sa_family != AF_INET)
        give_up("bind to an address that is not IPv4", address->sa_family);
    memcpy(&object->local, address, sizeof object->local);
    if (object->local.sin_port == 0)
        object->local.sin_port = htons(next_port++);
    return 0;
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    REAL(bind);
    struct object *object = object_of(fd);
    step();
    return object != NULL ? bind_object(object, address.__sockaddr__) : real_bind(fd, address, len);
}

int listen(int fd, int backlog)
{
    REAL(listen);
    struct object *object = object_of(fd);
    step();
    if (object == NULL)
        return real_listen(fd, backlog);
    object->kind = OBJECT_LISTENER;
    TAILQ_INSERT_TAIL(&listeners, object, place);
    return 0;
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *len, int flags)
{
    struct object *listener = object_of(fd);

    step();
    if (listener == NULL)
        give_up("accept4", fd);
    struct object *stream = TAILQ_FIRST(&listener->waiting);
    if (stream == NULL) {
        errno = EAGAIN;
        return -1;
    }
    int accepted = open_object(stream);
    if (accepted < 0)
        return -1;
    TAILQ_REMOVE(&listener->waiting, stream, place);
    refresh(listener);
    stream->is_nonblocking = (flags & SOCK_NONBLOCK) != 0;
    copy_address(&stream->remote, address.__sockaddr__, len);
    return accepted;
}

int accept(int fd, __SOCKADDR_ARG address, socklen_t *len)
{
    return accept4(fd, address, len, 0);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    REAL(connect);
    struct object *object = object_of(fd);
    step();
    if (object == NULL)
        return real_connect(fd, address, len);
    if (address.__sockaddr__->sa_family != AF_INET)
        give_up("connect to an address that is not IPv4", address.__sockaddr__->sa_family);
    memcpy(&object->remote, address.__sockaddr__, sizeof object->remote);
    object->local = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(next_port++)};
    object->local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    give_id(object, next_outgoing++);
    object->is_connecting = true;
    if (machine.outgoing_mode != OUTGOING_LOST)
        schedule_connected(object->id, machine.now + CONNECT_NS);
    errno = EINPROGRESS;
    return -1;
}

int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *len)
{
    REAL(getsockname);
    struct object *object = object_of(fd);
    return object != NULL ? copy_address(&object->local, address.__sockaddr__, len)
                          : real_getsockname(fd, address, len);
}

int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *len)
{
    REAL(getpeername);
    struct object *object = object_of(fd);
    if (object == NULL)
        return real_getpeername(fd, address, len);
    if (object->remote.sin_family == 0 || object->is_connecting || object->error == ECONNREFUSED) {
        errno = ENOTCONN;
        return -1;
    }
    return copy_address(&object->remote, address.__sockaddr__, len);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    REAL(setsockopt);
    return object_of(fd) != NULL ? 0 : real_setsockopt(fd, level, option, value, len);
}

int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict len)
{
    REAL(getsockopt);
    struct object *object = object_of(fd);
    if (object == NULL)
        return real_getsockopt(fd, level, option, value, len);
    int result = option == SO_TYPE ? SOCK_STREAM : 0;
    if (level == SOL_SOCKET && option == SO_ERROR) {
        result = object->error;
        if (!object->is_reset)
            object->error = 0;
        if (result != 0)
            object->is_reset = true;
        refresh(object);
    }
    memset(value, 0, *len);
    memcpy(value, &result, *len < sizeof result ? *len : sizeof result);
    return 0;
}

int fcntl(int fd, int command, ...)
{
    REAL(fcntl);
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    struct object *object = object_of(fd);
    if (object == NULL || command == F_GETFD || command == F_SETFD)
        return real_fcntl(fd, command, argument);
    if (command == F_GETFL)
        return O_RDWR | (object->is_nonblocking ? O_NONBLOCK : 0);
    if (command != F_SETFL)
        give_up("fcntl", command);
    object->is_nonblocking = ((intptr_t)argument & O_NONBLOCK) != 0;
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    REAL(ioctl);
    va_list list;
    va_start(list, request);
    int *argument = va_arg(list, int *);
    va_end(list);
    struct object *object = object_of(fd);
    if (object == NULL)
        return real_ioctl(fd, request, argument);
    if (request == FIONBIO)
        object->is_nonblocking = *argument != 0;
    else if (request == FIONREAD)
        *argument = (int)buffer_len(&object->in);
    else
        *argument = 0; // SIOCOUTQ: all has been taken
    return 0;
}

int shutdown(int fd, int how)
{
    REAL(shutdown);
    struct object *object = object_of(fd);
    step();
    if (object == NULL)
        return real_shutdown(fd, how);
    if (how != SHUT_RD && !object->has_ended && object->id != 0) {
        object->has_ended = true;
        channel_on_end(object);
    }
    return 0;
}

// --- bytes ----------------------------------------------------------------------------------------

static bool can_read(const void *object)
{
    return (readiness(object) & EPOLLIN) != 0;
}

// Seldom a part only, as a kernel may, too.
static size_t some_of(size_t len)
{
    return len > 1 && machine.policy != POLICY_ROUND_ROBIN && chance(machine.part_one_in)
               ? 1 + (size_t)choose(len - 1)
               : len;
}

static ssize_t read_eventfd(struct object *object, void *data, size_t room)
{
    if (room < sizeof object->counter)
        give_up("a short read of an eventfd", (long)room);
    memcpy(data, &object->counter, sizeof object->counter);
    object->counter = 0;
    refresh(object);
    return sizeof object->counter;
}

static ssize_t read_object(struct object *object, void *data, size_t room, int flags)
{
    step();
    if (!can_read(object) && (object->is_nonblocking || (flags & MSG_DONTWAIT) != 0))
        return fail_with(EAGAIN);
    while (!can_read(object))
        wait_until(can_read, object, NEVER);
    if (object->kind == OBJECT_EVENTFD)
        return read_eventfd(object, data, room);
    size_t len = buffer_len(&object->in);
    if (len == 0 && object->error != 0) {
        int code = object->error;
        if (code != ECONNRESET)
            object->error = 0;
        return fail_with(code);
    }
    len = some_of(len < room ? len : room);
    if (len == 0)
        return 0;
    memcpy(data, object->in.data + object->in.start, len);
    if ((flags & MSG_PEEK) == 0)
        buffer_take(&object->in, len);
    refresh(object);
    return (ssize_t)len;
}

static ssize_t write_stream(struct object *object, const struct iovec *parts, size_t count)
{
    struct iovec taken[8];
    size_t sum = 0;

    if (object->is_reset || object->has_ended || object->error != 0)
        return fail_with(EPIPE);
    if (count > sizeof taken / sizeof taken[0])
        count = sizeof taken / sizeof taken[0];
    for (size_t i = 0; i < count; i++)
        sum += parts[i].iov_len;
    if (sum > 0 && object->room == 0)
        return fail_with(EAGAIN);
    size_t rest = some_of(sum < object->room ? sum : (size_t)object->room);
    sum = rest;
    if (object->room != UINT64_MAX)
        object->room -= sum;
    for (size_t i = 0; i < count; i++) {
        taken[i] = parts[i];
        if (taken[i].iov_len > rest)
            taken[i].iov_len = rest;
        rest -= taken[i].iov_len;
    }
    refresh(object);
    channel_on_bytes(object, taken, count);
    return (ssize_t)sum;
}

static ssize_t write_object(struct object *object, const struct iovec *parts, size_t count)
{
    step();
    if (object->kind == OBJECT_STREAM)
        return write_stream(object, parts, count);
    if (object->kind == OBJECT_EVENTFD) {
        uint64_t value;
        memcpy(&value, parts[0].iov_base, sizeof value);
        object->counter += value;
        refresh(object);
        return sizeof value;
    }
    if (object->peer == NULL)
        return fail_with(EPIPE);
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        buffer_add(&object->peer->in, parts[i].iov_base, parts[i].iov_len);
        sum += parts[i].iov_len;
    }
    refresh(object->peer);
    return (ssize_t)sum;
}

ssize_t read(int fd, void *data, size_t room)
{
    REAL(read);
    struct object *object = object_of(fd);
    return object != NULL ? read_object(object, data, room, 0) : real_read(fd, data, room);
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
    REAL(readv);
    struct object *object = object_of(fd);
    if (object == NULL)
        return real_readv(fd, parts, count);
    return read_object(object, parts[0].iov_base, parts[0].iov_len, 0);
}

ssize_t recv(int fd, void *data, size_t room, int flags)
{
    struct object *object = object_of(fd);

    if (object == NULL)
        give_up("recv", fd);
    return read_object(object, data, room, flags);
}

ssize_t recvfrom(int fd, void *restrict data, size_t room, int flags, __SOCKADDR_ARG address,
                 socklen_t *restrict len)
{
    (void)address;
    (void)len;
    return recv(fd, data, room, flags);
}

int eventfd_read(int fd, eventfd_t *value)
{
    return read(fd, value, sizeof *value) == sizeof *value ? 0 : -1;
}

int eventfd_write(int fd, eventfd_t value)
{
    return write(fd, &value, sizeof value) == sizeof value ? 0 : -1;
}

// The log is part of what the driver sees.
ssize_t write(int fd, const void *data, size_t len)
{
    REAL(write);
    struct object *object = object_of(fd);
    if (object != NULL)
        return write_object(object, &(struct iovec){(void *)data, len}, 1);
    if (fd != STDERR_FILENO)
        return real_write(fd, data, len);
    step();
    report('l', 0, data, len);
    return (ssize_t)len;
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    (void)flags;
    return write(fd, data, len);
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, __CONST_SOCKADDR_ARG address,
               socklen_t size)
{
    REAL(sendto);
    if (object_of(fd) == NULL)
        return real_sendto(fd, data, len, flags, address, size);
    return write(fd, data, len);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    struct object *object = object_of(fd);
    if (object == NULL)
        return real_sendmsg(fd, message, flags);
    return write_object(object, message->msg_iov, message->msg_iovlen);
}

bool stream_writev(int fd, const struct iovec *parts, int count, ssize_t *written)
{
    struct object *object = object_of(fd);

    if (object != NULL)
        *written = write_object(object, parts, (size_t)count);
    return object != NULL;
}

// --- waiting for events ---------------------------------------------------------------------------

int epoll_create1(int flags)
{
    (void)flags;
    step();
    return open_or_free(make_object(OBJECT_EPOLL));
}

int epoll_create(int size)
{
    (void)size;
    return epoll_create1(0);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    struct object *watcher = object_of(epoll), *object = object_of(fd);

    step();
    if (object == NULL)
        return (int)fail_with(fcntl(fd, F_GETFD) < 0 ? EBADF : EPERM);
    if (operation == EPOLL_CTL_DEL || operation == EPOLL_CTL_MOD)
        if (object->watcher != watcher)
            return (int)fail_with(ENOENT);
    if (operation == EPOLL_CTL_DEL) {
        unwatch(object);
        return 0;
    }
    if (operation == EPOLL_CTL_ADD && object->watcher != NULL)
        return (int)fail_with(EEXIST);
    if ((event->events & (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE)) != 0)
        give_up("epoll flags", (long)event->events);
    object->watcher = watcher;
    object->interest = event->events;
    object->data = event->data;
    refresh(object);
    return 0;
}

static bool has_ready(const void *epoll)
{
    return !TAILQ_EMPTY(&((const struct object *)epoll)->ready);
}

static uint64_t deadline_in(int timeout_ms)
{
    return timeout_ms < 0 ? NEVER : machine.now + (uint64_t)timeout_ms * NS_PER_MS;
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    struct object *watcher = object_of(epoll);
    int count = 0;

    step();
    uint64_t deadline = deadline_in(timeout_ms);
    if (!has_ready(watcher) && timeout_ms != 0)
        wait_until(has_ready, watcher, deadline);
    struct object *first = TAILQ_FIRST(&watcher->ready), *object;
    while (count < max && (object = TAILQ_FIRST(&watcher->ready)) != NULL &&
           (count == 0 || object != first)) {
        events[count].events = readiness(object) & (object->interest | EPOLLERR | EPOLLHUP);
        events[count++].data = object->data;
        TAILQ_REMOVE(&watcher->ready, object, listed); // others come first the next time
        TAILQ_INSERT_TAIL(&watcher->ready, object, listed);
    }
    return count;
}

struct poll_list {
    struct pollfd *entries;
    nfds_t count;
};

// Files are always ready.
static short poll_one(const struct pollfd *entry)
{
    const struct object *object = object_of(entry->fd);

    if (entry->fd < 0)
        return 0;
    if (object == NULL)
        return (short)(entry->events & (POLLIN | POLLOUT));
    uint32_t wanted = (uint16_t)entry->events;
    return (short)(readiness(object) & (wanted | EPOLLERR | EPOLLHUP));
}

static bool any_polled(const void *context)
{
    const struct poll_list *list = context;

    for (nfds_t i = 0; i < list->count; i++)
        if (poll_one(&list->entries[i]) != 0)
            return true;
    return false;
}

int poll(struct pollfd *entries, nfds_t count, int timeout_ms)
{
    struct poll_list list = {entries, count};
    int ready = 0;

    step();
    uint64_t deadline = deadline_in(timeout_ms);
    while (!any_polled(&list) && machine.now < deadline)
        wait_until(any_polled, &list, deadline);
    for (nfds_t i = 0; i < count; i++) {
        entries[i].revents = poll_one(&entries[i]);
        ready += entries[i].revents != 0;
    }
    return ready;
}
