// IP addresses and networks: parsing and matching.
#include "ghatrace/net/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define MAPPED_BITS 96
#define IP_BITS 128
#define IPV6_CLIENT_BITS 64
static const uint8_t mapped[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

static void set_v4(struct net_ip *ip, const void *four)
{
    memcpy(ip->bytes, mapped, sizeof mapped);
    memcpy(ip->bytes + sizeof mapped, four, 4);
}

bool net_ip_parse(struct slice text, struct net_ip *ip)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr v4;

    if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET6, copy, ip->bytes) == 1)
        return true;
    if (inet_pton(AF_INET, copy, &v4) != 1)
        return false;
    set_v4(ip, &v4);
    return true;
}

bool net_ip_from_address(const struct net_address *address, struct net_ip *ip)
{
    if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
        memcpy(ip->bytes, &v6->sin6_addr, sizeof ip->bytes);
    } else if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        set_v4(ip, &v4->sin_addr);
    } else {
        return false;
    }
    return true;
}

bool net_ip_is_v4(const struct net_ip *ip)
{
    return memcmp(ip->bytes, mapped, sizeof mapped) == 0;
}

bool net_ip_equals(const struct net_ip *a, const struct net_ip *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct net_ip net_ip_mask(const struct net_ip *ip, unsigned bits)
{
    struct net_ip masked = {{0}};
    unsigned whole = bits / 8;

    memcpy(masked.bytes, ip->bytes, whole);
    if (bits % 8 != 0)
        masked.bytes[whole] = (uint8_t)(ip->bytes[whole] & (0xff00 >> (bits % 8)));
    return masked;
}

struct net_ip net_ip_client(const struct net_ip *ip)
{
    return net_ip_mask(ip, net_ip_is_v4(ip) ? IP_BITS : IPV6_CLIENT_BITS);
}

// FNV-1a, then the finish of MurmurHash3, so that all bits count in a remainder.
uint64_t net_ip_hash(const struct net_ip *ip, uint64_t seed)
{
    uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < sizeof ip->bytes; i++)
        hash = (hash ^ ip->bytes[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ (hash >> 33);
}

// The digits behind the slash; false where they are none, or too many.
static bool parse_bits(struct slice text, unsigned most, unsigned *bits)
{
    *bits = 0;
    if (text.len == 0 || text.len > 3 || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *bits = *bits * 10 + (unsigned)(text.data[i] - '0');
    }
    return *bits <= most;
}

static int shown(struct slice text)
{
    return text.len < 60 ? (int)text.len : 60;
}

enum error_code net_network_parse(struct slice text, struct net_network *network,
                                  struct error *error)
{
    ptrdiff_t slash = slice_find(text, SLICE("/"));
    struct slice host = {.data = text.data, .len = slash < 0 ? text.len : (size_t)slash};
    struct slice rest = {.data = host.data + host.len, .len = text.len - host.len};
    struct net_ip ip;

    if (!net_ip_parse(host, &ip))
        return error_set(error, ERROR_USAGE,
                         "\"%.*s\" is no network: want 192.0.2.0/24, 2001:db8::/32 or an address",
                         shown(text), text.data);
    // By how it is written: ::ffff:192.0.2.0/120 counts all of the 128 bits.
    bool is_dotted = slice_find(host, SLICE(":")) < 0;
    unsigned most = is_dotted ? 128 - MAPPED_BITS : 128;
    unsigned bits = most;
    if (slash >= 0 &&
        !parse_bits((struct slice){.data = rest.data + 1, .len = rest.len - 1}, most, &bits))
        return error_set(error, ERROR_USAGE, "network \"%.*s\": want 0 to %u behind the slash",
                         shown(text), text.data, most);
    network->bits = is_dotted ? bits + MAPPED_BITS : bits;
    network->first = net_ip_mask(&ip, network->bits);
    if (!net_ip_equals(&network->first, &ip))
        return error_set(error, ERROR_USAGE,
                         "network \"%.*s\": the address has bits beyond the prefix of %u",
                         shown(text), text.data, bits);
    return ERROR_NONE;
}

bool net_network_holds(const struct net_network *network, const struct net_ip *ip)
{
    if (network->bits < MAPPED_BITS && net_ip_is_v4(ip))
        return false;
    struct net_ip masked = net_ip_mask(ip, network->bits);
    return net_ip_equals(&masked, &network->first);
}

bool net_network_list_holds(const struct net_network_list *list, const struct net_ip *ip)
{
    for (size_t i = 0; i < list->count; i++)
        if (net_network_holds(&list->items[i], ip))
            return true;
    return false;
}
