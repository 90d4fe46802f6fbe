// Plain TCP.
#include "transport.h"

#include <errno.h>
#include <sys/socket.h>

static enum net_io failed(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? NET_IO_AGAIN : NET_IO_FAILED;
}

static enum net_io plain_receive(int fd, void *state, char *data, size_t room, size_t *received)
{
    ssize_t result;

    (void)state;
    do
        result = recv(fd, data, room, 0);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return failed();
    *received = (size_t)result;
    return result == 0 ? NET_IO_END : NET_IO_DONE;
}

static enum net_io plain_send(int fd, void *state, const struct iovec *parts, size_t count,
                              size_t *sent)
{
    // sendmsg only reads what it is given; its type does not say so.
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    ssize_t result;

    (void)state;
    do
        result = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return failed();
    *sent = (size_t)result;
    return NET_IO_DONE;
}

static enum net_io plain_finish(int fd, void *state)
{
    (void)state;
    return shutdown(fd, SHUT_WR) == 0 ? NET_IO_DONE : NET_IO_FAILED;
}

static void plain_release(void *state)
{
    (void)state;
}

const struct net_transport net_transport_plain = {
    .receive = plain_receive,
    .send = plain_send,
    .finish = plain_finish,
    .release = plain_release,
};
