// What other exporters heed and this one does not: proxy variables, and user and password in the endpoint's URL.
//
// Which variables apply is decided as curl does it (curl(1), ENVIRONMENT), with HTTP_PROXY and the ports in NO_PROXY that
// Go programs know: OpenTelemetry's exporters are mostly written in Go.
#include "ghatrace/app/config.h"

#include <string.h>

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

// The next entry of "a, b"; empty at the end.
static struct slice next_entry(struct slice *rest)
{
    while (rest->len > 0 && is_separator(rest->data[0]))
        *rest = (struct slice){.data = rest->data + 1, .len = rest->len - 1};
    struct slice entry = {.data = rest->data, .len = 0};
    while (entry.len < rest->len && !is_separator(entry.data[entry.len]))
        entry.len++;
    *rest = (struct slice){.data = rest->data + entry.len, .len = rest->len - entry.len};
    return entry;
}

// "host:8080" and "[::1]:8080" → the port, which is cut off; 0: none.
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

// "example.com" and ".example.com" are the domain and all below it.
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

static bool excludes(struct slice entry, const struct export_endpoint *endpoint)
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

static bool is_excluded(const struct export_endpoint *endpoint, char *const *environment)
{
    const char *list = environment_get(environment, "no_proxy");
    if (list == NULL)
        list = environment_get(environment, "NO_PROXY");
    if (list == NULL)
        return false;
    struct slice rest = slice_from_string(list);
    for (struct slice entry; (entry = next_entry(&rest)).len > 0;)
        if (excludes(entry, endpoint))
            return true;
    return false;
}

void config_warn_of_unused(struct config *config, struct arena *arena, char *const *environment)
{
    static const char *const variables[][4] = {
        {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"},
        {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"},
    };
    const struct config_export *exporting = &config->exporting;
    const struct export_endpoint *endpoint = &exporting->endpoint;
    if (endpoint->userinfo[0] != '\0')
        config_warn(config, arena,
                    "%s: user and password in the URL are not used: put an Authorization header "
                    "into otlp-header or otlp-header-file",
                    exporting->url_from);
    if (is_excluded(endpoint, environment))
        return;
    for (size_t i = 0; i < 4; i++) {
        const char *name = variables[endpoint->is_tls ? 1 : 0][i];
        if (environment_get(environment, name) != NULL)
            config_warn(config, arena, "%s is not used: traces go to the collector without a proxy",
                        name);
    }
}
