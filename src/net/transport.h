// How bytes get in and out of a connection's socket: plain TCP, or TLS.
#ifndef GHATRACE_NET_TRANSPORT_H
#define GHATRACE_NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

enum net_io {
    NET_IO_DONE,  // some bytes went through; fewer than asked for: more would have blocked
    NET_IO_AGAIN, // none now: wait for the socket
    NET_IO_END,   // the peer finished sending
    NET_IO_FAILED // reason() says why, else errno
};

struct net_transport {
    // What both sides agree on before the first byte of the owner's. NULL: nothing.
    enum net_io (*handshake)(int fd, void *state);
    enum net_io (*receive)(int fd, void *state, char *data, size_t room, size_t *received);
    // With no parts: only what the transport itself still holds.
    enum net_io (*send)(int fd, void *state, const struct iovec *parts, size_t count, size_t *sent);
    // No more will be sent: tells the peer. AGAIN: call it again when the socket takes more.
    enum net_io (*finish)(int fd, void *state);
    // Something is to be had from receive() though the socket may be quiet. NULL: never.
    bool (*holds_input)(const void *state);
    // What send() took, or the transport has to say for itself, is not with the socket yet. NULL: never.
    bool (*holds_output)(const void *state);
    // Why the last call failed; NULL: errno says. The function may be NULL.
    const char *(*reason)(const void *state);
    void (*release)(void *state);
};

extern const struct net_transport net_transport_plain;

#endif
