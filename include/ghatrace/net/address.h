// "host:port" texts and socket addresses.
#ifndef GHATRACE_NET_ADDRESS_H
#define GHATRACE_NET_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

#define NET_ADDRESS_TEXT_SIZE 64

struct net_address {
    struct sockaddr_storage storage;
    socklen_t len;
};

// "127.0.0.1:8080", "[::1]:8080", "localhost:8080" (both loopbacks are tried by listeners: the first
// that getaddrinfo gives is used), ":8080" (all addresses). Port 0 means any. Blocking name lookup:
// for start-up only. ERROR_USAGE with the text in the message.
enum error_code net_address_parse(struct slice text, struct net_address *address,
                                  struct error *error) MUST_CHECK;
// "127.0.0.1:8080" or "[::1]:8080". Returns `text`.
char *net_address_format(const struct net_address *address, char text[NET_ADDRESS_TEXT_SIZE]);

#endif
