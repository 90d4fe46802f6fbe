// How bytes get in and out of a connection's socket. Plain TCP is the only one today; TLS fits in
// beside it, with a handshake before the first byte.
#ifndef GHATRACE_NET_TRANSPORT_H
#define GHATRACE_NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

enum net_io {
    NET_IO_DONE,  // some bytes went through; fewer than asked for: more would have blocked
    NET_IO_AGAIN, // none now: wait for the socket
    NET_IO_END,   // the peer finished sending
    NET_IO_FAILED // errno says why
};

struct net_transport {
    enum net_io (*receive)(int fd, void *state, char *data, size_t room, size_t *received);
    enum net_io (*send)(int fd, void *state, const struct iovec *parts, size_t count, size_t *sent);
    // No more will be sent: tells the peer. False with errno.
    bool (*finish)(int fd, void *state);
    void (*release)(void *state);
};

extern const struct net_transport net_transport_plain;

#endif
