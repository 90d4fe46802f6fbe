// Addresses with ports, and networks.
#include "ghatrace/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// --- "host:port" texts and socket addresses -------------------------------------------------------

#define HOST_MAX 253 // characters of a DNS name in text form (RFC 1035 2.3.4)

struct parts {
    struct slice host;
    struct slice port;
    bool is_bracketed;
};

// "host:port", "[v6]:port" or ":port". An IPv6 address without brackets is refused: its last group
// could be read as the port.
static bool split_host_port(struct slice text, struct parts *parts)
{
    const char *end = text.data + text.len;
    const char *colon;

    parts->is_bracketed = text.len > 0 && text.data[0] == '[';
    if (parts->is_bracketed) {
        const char *bracket = memchr(text.data, ']', text.len);
        if (bracket == NULL)
            return false;
        colon = bracket + 1;
        parts->host =
            (struct slice){.data = text.data + 1, .len = (size_t)(bracket - text.data - 1)};
        if (colon == end || *colon != ':' || parts->host.len == 0)
            return false;
    } else {
        colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
        if (colon == NULL)
            return false;
        parts->host = (struct slice){.data = text.data, .len = (size_t)(colon - text.data)};
    }
    parts->port = (struct slice){.data = colon + 1, .len = (size_t)(end - colon - 1)};
    return parts->port.len > 0 && memchr(parts->port.data, ':', parts->port.len) == NULL;
}

static bool parse_port(struct slice text, uint16_t *port)
{
    long long number;

    if (!slice_parse_int64(text, &number) || number < 0 || number > 65535)
        return false;
    *port = (uint16_t)number;
    return true;
}

static void set_port(struct sockaddr_storage *storage, uint16_t port)
{
    if (storage->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)storage)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)storage)->sin_port = htons(port);
}

// All addresses: `::`, which accepts IPv4 as well; 0.0.0.0 if the kernel has no IPv6.
static void set_any(struct net_address *address)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        close(fd);
        *(struct sockaddr_in6 *)&address->storage =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
        address->len = sizeof(struct sockaddr_in6);
    } else {
        *(struct sockaddr_in *)&address->storage =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {.s_addr = INADDR_ANY}};
        address->len = sizeof(struct sockaddr_in);
    }
}

static enum error_code look_up_parts(struct slice text, const struct parts *parts,
                                     struct net_address *address, struct error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_family = parts->is_bracketed ? AF_INET6 : AF_UNSPEC,
                             .ai_flags = parts->is_bracketed ? AI_NUMERICHOST : 0};
    struct addrinfo *found = NULL;
    char host[HOST_MAX + 1];

    if (parts->host.len > HOST_MAX || memchr(parts->host.data, '\0', parts->host.len) != NULL)
        return error_set(error, ERROR_USAGE, "address \"%.*s\": not a host name", SLICE_ARGS(text));
    memcpy(host, parts->host.data, parts->host.len);
    host[parts->host.len] = '\0';
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0)
        return error_set(error, ERROR_USAGE, "address \"%.*s\": %s", SLICE_ARGS(text),
                         gai_strerror(result));
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->len = found->ai_addrlen;
    freeaddrinfo(found);
    return ERROR_NONE;
}

enum error_code net_address_parse(struct slice text, struct net_address *address,
                                  struct error *error)
{
    struct parts parts;
    uint16_t port;

    memset(address, 0, sizeof *address);
    if (!split_host_port(text, &parts))
        return error_set(error, ERROR_USAGE,
                         "address \"%.*s\": want host:port, [IPv6]:port or :port",
                         SLICE_ARGS(text));
    if (!parse_port(parts.port, &port))
        return error_set(error, ERROR_USAGE, "address \"%.*s\": the port is not 0 to 65535",
                         SLICE_ARGS(text));
    if (parts.host.len == 0) {
        set_any(address);
    } else {
        enum error_code code = look_up_parts(text, &parts, address, error);
        if (code != ERROR_NONE)
            return code;
    }
    set_port(&address->storage, port);
    return ERROR_NONE;
}

bool net_address_is_loopback(const struct net_address *address)
{
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &address->storage, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, &address->storage, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

char *net_address_format(const struct net_address *address, char text[NET_ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(text, NET_ADDRESS_TEXT_SIZE, "[%s]:%u", host, (unsigned)ntohs(v6->sin6_port));
    } else if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(text, NET_ADDRESS_TEXT_SIZE, "%s:%u", host, (unsigned)ntohs(v4->sin_port));
    } else {
        snprintf(text, NET_ADDRESS_TEXT_SIZE, "unknown");
    }
    return text;
}

// --- IP addresses and networks: parsing and matching ----------------------------------------------

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

bool net_ip_is_loopback(const struct net_ip *ip)
{
    static const uint8_t v6[16] = {[15] = 1};

    return net_ip_is_v4(ip) ? ip->bytes[12] == 127 : memcmp(ip->bytes, v6, sizeof v6) == 0;
}

static bool is_loopback_text(struct slice text)
{
    struct net_ip ip;

    return net_ip_parse(text, &ip) && net_ip_is_loopback(&ip);
}

bool net_host_is_loopback(struct slice host)
{
    ptrdiff_t end = slice_find(host, SLICE("]"));

    if (slice_starts_with(host, SLICE("["))) {
        bool is_whole = end > 0 && ((size_t)end + 1 == host.len || host.data[end + 1] == ':');
        return is_whole && is_loopback_text((struct slice){host.data + 1, (size_t)end - 1});
    }
    ptrdiff_t colon = slice_find(host, SLICE(":"));
    if (colon >= 0)
        host.len = (size_t)colon;
    return slice_equals_ignoring_case(host, SLICE("localhost")) || is_loopback_text(host);
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

// FNV-1a, then the finalizer of MurmurHash3, so that all bits affect a remainder.
uint64_t net_ip_hash(const struct net_ip *ip, uint64_t seed)
{
    uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < sizeof ip->bytes; i++)
        hash = (hash ^ ip->bytes[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ (hash >> 33);
}

// Parses the digits after the slash; false if they are not digits or exceed `most`.
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
    // The notation decides: in ::ffff:192.0.2.0/120 the prefix is of 128 bits.
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
