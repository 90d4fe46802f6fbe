// Recognizes environment variables named after a service called ghatrace.
#include "environment.h"

#include <string.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/net/address.h"

#define OWN_NAME SLICE("GHATRACE")

static struct slice first_bytes(struct slice s, size_t len)
{
    return (struct slice){.data = s.data, .len = len};
}

static struct slice bytes_after(struct slice s, size_t len)
{
    return (struct slice){.data = s.data + len, .len = s.len - len};
}

// --- values --------------------------------------------------------------------------------------

static bool is_ip(struct slice text)
{
    struct net_ip ip;
    return net_ip_parse(text, &ip);
}

static bool is_port_value(struct slice text)
{
    long long number;
    return slice_parse_int64(text, &number) && number > 0 && number <= 65535;
}

static bool is_protocol(struct slice text)
{
    return slice_equals_ignoring_case(text, SLICE("tcp")) ||
           slice_equals_ignoring_case(text, SLICE("udp")) ||
           slice_equals_ignoring_case(text, SLICE("sctp"));
}

// "10.0.0.1:80"; IPv6 with brackets, or, from Docker, without.
static bool is_ip_and_port(struct slice text)
{
    const char *colon = text.len > 0 ? memrchr(text.data, ':', text.len) : NULL;
    if (colon == NULL)
        return false;
    struct slice host = first_bytes(text, (size_t)(colon - text.data));
    if (!is_port_value(bytes_after(text, host.len + 1)))
        return false;
    if (slice_starts_with(host, SLICE("[")) && slice_ends_with(host, SLICE("]")))
        host = (struct slice){.data = host.data + 1, .len = host.len - 2};
    return is_ip(host);
}

static bool is_url(struct slice text)
{
    ptrdiff_t colon = slice_find(text, SLICE("://"));
    return colon > 0 && is_protocol(first_bytes(text, (size_t)colon)) &&
           is_ip_and_port(bytes_after(text, (size_t)colon + 3));
}

// --- names ---------------------------------------------------------------------------------------

static bool is_service(struct slice name)
{
    return slice_equals(name, OWN_NAME) || slice_starts_with(name, SLICE("GHATRACE_"));
}

// "GHATRACE_SERVICE_HOST" with suffix "_SERVICE_HOST" → the service "GHATRACE".
static bool ends_in(struct slice name, struct slice suffix, struct slice *rest)
{
    if (!slice_ends_with(name, suffix))
        return false;
    *rest = first_bytes(name, name.len - suffix.len);
    return true;
}

// "X_PORT_8080_TCP", where X is a service.
static bool is_port_of_service(struct slice name)
{
    const char *low = memrchr(name.data, '_', name.len);
    if (low == NULL || !is_protocol(bytes_after(name, (size_t)(low - name.data) + 1)))
        return false;
    name = first_bytes(name, (size_t)(low - name.data));
    low = memrchr(name.data, '_', name.len);
    if (low == NULL || !is_port_value(bytes_after(name, (size_t)(low - name.data) + 1)))
        return false;
    name = first_bytes(name, (size_t)(low - name.data));
    return ends_in(name, SLICE("_PORT"), &name) && is_service(name);
}

// "X_SERVICE_PORT_HTTP": the port may have any name, even one that contains these words.
static bool is_named_port(struct slice name)
{
    static const struct slice middle = {.data = "_SERVICE_PORT_", .len = 14};
    for (size_t at = 0; at + middle.len < name.len; at++) {
        if (slice_starts_with(bytes_after(name, at), middle) && is_service(first_bytes(name, at)))
            return true;
    }
    return false;
}

static bool is_port_variable(struct slice name, struct slice value)
{
    static const struct {
        struct slice suffix;
        bool (*is_value)(struct slice);
    } forms[] = {
        {{"_PORT_START", 11}, is_port_value},
        {{"_PORT_END", 9}, is_port_value},
        {{"_START", 6}, is_url},
        {{"_END", 4}, is_url},
        {{"_PROTO", 6}, is_protocol},
        {{"_PORT", 5}, is_port_value},
        {{"_ADDR", 5}, is_ip},
        {{"", 0}, is_url},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct slice rest;
        if (ends_in(name, forms[i].suffix, &rest) && is_port_of_service(rest))
            return forms[i].is_value(value);
    }
    return false;
}

// --- Docker's links --------------------------------------------------------------------------------

// Compares with the prefix that Docker derives from a container's alias.
static bool is_alias_of(struct slice service, struct slice alias)
{
    if (service.len != alias.len)
        return false;
    for (size_t i = 0; i < alias.len; i++) {
        char c = alias.data[i];
        char upper = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        if (upper != service.data[i])
            return false;
    }
    return true;
}

// "X_NAME=/web/x": our own setting service-name is GHATRACE_SERVICE_NAME, so the value decides.
static bool is_link_name(struct slice name, struct slice value)
{
    struct slice service;
    if (!ends_in(name, SLICE("_NAME"), &service) || !is_service(service) ||
        !slice_starts_with(value, SLICE("/")))
        return false;
    const char *slash = memrchr(value.data, '/', value.len);
    return slash != value.data &&
           is_alias_of(service, bytes_after(value, (size_t)(slash - value.data) + 1));
}

static bool split_entry(const char *entry, struct slice *name, struct slice *value)
{
    const char *equals = strchr(entry, '=');
    if (equals == NULL)
        return false;
    *name = (struct slice){.data = entry, .len = (size_t)(equals - entry)};
    *value = slice_from_string(equals + 1);
    return true;
}

static bool is_linked(struct slice service, char *const *environment)
{
    for (; *environment != NULL; environment++) {
        struct slice name, value;
        if (split_entry(*environment, &name, &value) && is_link_name(name, value) &&
            name.len == service.len + SLICE("_NAME").len && slice_starts_with(name, service))
            return true;
    }
    return false;
}

// "X_ENV_PATH=...": a variable of the linked container.
static bool is_of_linked(struct slice name, char *const *environment)
{
    for (size_t at = OWN_NAME.len; at < name.len; at++) {
        if (slice_starts_with(bytes_after(name, at), SLICE("_ENV_")) &&
            is_linked(first_bytes(name, at), environment))
            return true;
    }
    return false;
}

bool variable_is_injected(const char *entry, char *const *environment)
{
    struct slice name, value, rest;
    if (!split_entry(entry, &name, &value))
        return false;
    if (ends_in(name, SLICE("_SERVICE_HOST"), &rest) && is_service(rest) && is_ip(value))
        return true;
    if (ends_in(name, SLICE("_SERVICE_PORT"), &rest) && is_service(rest) && is_port_value(value))
        return true;
    if (ends_in(name, SLICE("_PORT"), &rest) && is_service(rest) && is_url(value))
        return true;
    if (is_named_port(name) && is_port_value(value))
        return true;
    return is_port_variable(name, value) || is_link_name(name, value) ||
           is_of_linked(name, environment);
}
