// The proxy of an endpoint, by the settings and by the variables of the environment.
//
// Which variables apply is decided as in curl (curl(1), ENVIRONMENT), plus HTTP_PROXY and ports in NO_PROXY, which Go
// programs support, and as in these they never apply to this machine itself: OpenTelemetry's exporters are mostly
// written in Go.
#include <string.h>

#include "config.h"
#include "ghatrace/net/address.h"

// Removes the port from "host:8080" or "[::1]:8080" and returns it; 0: none.
static long long cut_port(struct slice *entry)
{
    long long port;
    size_t at = entry->len;
    while (at > 0 && entry->data[at - 1] != ':')
        at--;
    if (at == 0 ||
        !slice_parse_int64((struct slice){.data = entry->data + at, .len = entry->len - at}, &port))
        return 0;
    struct slice host = {.data = entry->data, .len = at - 1};
    bool is_bracketed = slice_ends_with(host, SLICE("]"));
    if (!is_bracketed && slice_find(host, SLICE(":")) >= 0)
        return 0; // an IPv6 address
    *entry = host;
    return port;
}

static struct slice without_brackets(struct slice host)
{
    bool is_bracketed = slice_starts_with(host, SLICE("[")) && slice_ends_with(host, SLICE("]"));
    return is_bracketed ? (struct slice){.data = host.data + 1, .len = host.len - 2} : host;
}

static struct slice without_last_dot(struct slice name)
{
    return (struct slice){.data = name.data,
                          .len = name.len - (slice_ends_with(name, SLICE(".")) ? 1 : 0)};
}

// "example.com" and ".example.com" match the domain and all its subdomains.
static bool is_in_domain(struct slice host, struct slice domain)
{
    if (slice_starts_with(domain, SLICE("*.")))
        domain = (struct slice){.data = domain.data + 1, .len = domain.len - 1};
    if (slice_starts_with(domain, SLICE(".")))
        domain = (struct slice){.data = domain.data + 1, .len = domain.len - 1};
    host = without_last_dot(host);
    domain = without_last_dot(domain);
    if (domain.len == 0 || host.len < domain.len)
        return false;
    struct slice end = {.data = host.data + host.len - domain.len, .len = domain.len};
    return slice_equals_ignoring_case(end, domain) &&
           (host.len == domain.len || end.data[-1] == '.');
}

static bool is_excluded_by(struct slice entry, const struct export_endpoint *endpoint)
{
    struct slice host = slice_from_string(endpoint->host);
    struct net_network network;
    struct net_ip ip;
    struct error ignored;
    if (slice_equals(entry, SLICE("*")))
        return true;
    long long port = cut_port(&entry);
    if (port != 0 && port != endpoint->port)
        return false;
    entry = without_brackets(entry);
    if (net_ip_parse(host, &ip))
        return net_network_parse(entry, &network, &ignored) == ERROR_NONE &&
               net_network_holds(&network, &ip);
    return is_in_domain(host, entry);
}

static bool is_this_machine(const struct export_endpoint *endpoint)
{
    struct slice host = without_last_dot(slice_from_string(endpoint->host));
    return slice_equals_ignoring_case(host, SLICE("localhost")) ||
           slice_equals(host, SLICE("::1")) ||
           (slice_starts_with(host, SLICE("127.")) &&
            strspn(endpoint->host, "0123456789.") == strlen(endpoint->host));
}

static bool is_excluded(const struct export_endpoint *endpoint, char *const *environment)
{
    const char *list = environment_get(environment, "no_proxy");
    if (list == NULL)
        list = environment_get(environment, "NO_PROXY");
    if (is_this_machine(endpoint))
        return true;
    if (list == NULL)
        return false;
    struct slice rest = slice_from_string(list);
    for (struct slice entry; (entry = config_next_word(&rest)).len > 0;)
        if (is_excluded_by(entry, endpoint))
            return true;
    return false;
}

static enum error_code use_proxy(struct config_export *exporting, const char *url, const char *from,
                                 struct error *error)
{
    enum error_code code =
        export_proxy_parse(slice_from_string(url), &exporting->options.endpoint.proxy, error);
    if (code != ERROR_NONE)
        return error_wrap(error, "%s", from);
    exporting->proxy_from = from;
    return ERROR_NONE;
}

const char *config_find_proxy(const struct export_endpoint *endpoint, char *const *environment,
                              const char **from)
{
    static const char *const variables[][4] = {
        {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"},
        {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"},
    };
    if (is_excluded(endpoint, environment))
        return NULL;
    for (size_t i = 0; i < 4; i++) {
        *from = variables[endpoint->is_tls ? 1 : 0][i];
        const char *url = environment_get(environment, *from);
        if (url != NULL)
            return url;
    }
    return NULL;
}

enum error_code config_choose_proxy(const struct config *config, struct config_export *exporting,
                                    const char *where, char *const *environment,
                                    struct error *error)
{
    const char *from;
    if (config->otlp_proxy != NULL)
        return config_is_off(config->otlp_proxy)
                   ? ERROR_NONE
                   : use_proxy(exporting, config->otlp_proxy, where, error);
    const char *url = config_find_proxy(&exporting->options.endpoint, environment, &from);
    return url != NULL ? use_proxy(exporting, url, from, error) : ERROR_NONE;
}
