// "host:port" texts and socket addresses.
#include "ghatrace/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOST_MAX 253 // characters of a DNS name in text form (RFC 1035 2.3.4)

struct parts {
    struct slice host;
    struct slice port;
    bool is_bracketed;
};

// "host:port", "[v6]:port" or ":port". An IPv6 address without brackets is refused: its last group
// could be read as the port.
static bool split(struct slice text, struct parts *parts)
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

// All addresses: `::`, which takes IPv4 in as well, but where the kernel has no IPv6.
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

static enum error_code look_up(struct slice text, const struct parts *parts,
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
    if (!split(text, &parts))
        return error_set(error, ERROR_USAGE,
                         "address \"%.*s\": want host:port, [IPv6]:port or :port",
                         SLICE_ARGS(text));
    if (!parse_port(parts.port, &port))
        return error_set(error, ERROR_USAGE, "address \"%.*s\": the port is not 0 to 65535",
                         SLICE_ARGS(text));
    if (parts.host.len == 0) {
        set_any(address);
    } else {
        enum error_code code = look_up(text, &parts, address, error);
        if (code != ERROR_NONE)
            return code;
    }
    set_port(&address->storage, port);
    return ERROR_NONE;
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
