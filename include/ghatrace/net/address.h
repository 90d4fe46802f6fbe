// Addresses with ports, and networks of addresses.
#ifndef GHATRACE_NET_ADDRESS_H
#define GHATRACE_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// --- "host:port" texts and socket addresses -------------------------------------------------------

#define NET_ADDRESS_TEXT_SIZE 64

struct net_address {
    struct sockaddr_storage storage;
    socklen_t len;
};

// "127.0.0.1:8080", "[::1]:8080", "localhost:8080" (the first address that getaddrinfo returns), ":8080" (all
// addresses). Port 0 means any free port. Blocking name lookup: for start-up only. ERROR_USAGE with the text in the
// message.
enum error_code net_address_parse(struct slice text, struct net_address *address,
                                  struct error *error) MUST_CHECK;
// "127.0.0.1:8080" or "[::1]:8080". Returns `text`.
char *net_address_format(const struct net_address *address, char text[NET_ADDRESS_TEXT_SIZE]);
// 127.0.0.0/8 or ::1.
bool net_address_is_loopback(const struct net_address *address);

// --- network --------------------------------------------------------------------------------------
// IP addresses without ports, and networks of them in CIDR notation (RFC 4632 3.1, RFC 4291 2.3). Pure.

// IPv4 is stored as IPv4-mapped IPv6 (RFC 4291 2.5.5.2), which is also its form on a socket that listens on `::`: each
// host has one form.
struct net_ip {
    uint8_t bytes[16];
};

// "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"; no brackets, port or zone.
bool net_ip_parse(struct slice text, struct net_ip *ip);
// False: neither IPv4 nor IPv6.
bool net_ip_from_address(const struct net_address *address, struct net_ip *ip);
bool net_ip_is_v4(const struct net_ip *ip);
bool net_ip_is_loopback(const struct net_ip *ip);
// The value of a Host field: "localhost:8081", "127.0.0.1:8081", "[::1]:8081", each also without a port.
bool net_host_is_loopback(struct slice host);
bool net_ip_equals(const struct net_ip *a, const struct net_ip *b);
// Clears all but the first `bits` of 128.
struct net_ip net_ip_mask(const struct net_ip *ip, unsigned bits);
// The unit that identifies a client: an IPv4 address, or an IPv6 /64 (RFC 6177 2: no site is assigned less).
struct net_ip net_ip_client(const struct net_ip *ip);
// Hash for tables. With a random seed, clients cannot choose addresses that collide.
uint64_t net_ip_hash(const struct net_ip *ip, uint64_t seed);

struct net_network {
    struct net_ip first;
    unsigned bits; // of 128; for IPv4 its prefix length + 96
};

struct net_network_list {
    const struct net_network *items;
    size_t count;
};

// "192.0.2.0/24", "2001:db8::/32", or one address. Address bits beyond the prefix are refused, because they usually are
// a mistake. ERROR_USAGE.
enum error_code net_network_parse(struct slice text, struct net_network *network,
                                  struct error *error) MUST_CHECK;
// IPv6 networks contain no IPv4 addresses: ::/0 matches IPv6 only, as users expect.
bool net_network_holds(const struct net_network *network, const struct net_ip *ip);
bool net_network_list_holds(const struct net_network_list *list, const struct net_ip *ip);

#endif
