// The settings of OTLP/HTTP and OTLP/gRPC: URLs, header lists, resource attributes.
#include "ghatrace/export/endpoint.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/utf8.h"

// --- URLs -----------------------------------------------------------------------------------------

// Of each signal: the path below the base (protocol/exporter.md), and of gRPC the service and its method
// (opentelemetry/proto/collector/trace/v1/trace_service.proto, metrics/v1/metrics_service.proto).
static const struct {
    struct slice path;
    const char *grpc_path;
} signals[] = {
    [EXPORT_TRACES] = {{"v1/traces", 9},
                       "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
    [EXPORT_METRICS] = {{"v1/metrics", 10},
                        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"},
};
// OTLP, "OTLP/gRPC": "The default network port for OTLP/gRPC is 4317."
#define GRPC_PORT 4317
#define HTTP_PORT 4318
#define URL_SHOWN_MAX 80 // bytes of a wrong URL in a message

// A URL split as in RFC 3986. Slices of the text.
struct url_parts {
    struct slice authority;
    struct slice path;  // with its leading '/', or empty
    struct slice query; // with its '?', or empty
};

static bool slice_has(struct slice s, char c)
{
    return s.len > 0 && memchr(s.data, c, s.len) != NULL;
}

static bool is_hex_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

// True for printable ASCII without the characters that RFC 3986 does not allow in a path or query, and with two
// digits after every '%': text that may be used unchanged in a request line. This excludes CR and LF, too.
static bool is_url_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"<>[\\]^`{|}#", c) != NULL)
            return false;
        if (c == '%' && (text.len - i < 3 || !is_hex_digit(text.data[i + 1]) ||
                         !is_hex_digit(text.data[i + 2])))
            return false;
    }
    return true;
}

// Removes everything before the first of `separators` from `*rest` and returns it.
static struct slice split_before(struct slice *rest, const char *separators)
{
    struct slice head = {.data = rest->data, .len = 0};
    while (head.len < rest->len && strchr(separators, rest->data[head.len]) == NULL)
        head.len++;
    *rest = slice_skip(*rest, head.len);
    return head;
}

// True if it has nothing but digits, `others` and, if they are allowed, letters.
static bool is_all_of(struct slice text, const char *others, bool allows_letters)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_other = c != '\0' && strchr(others, c) != NULL;
        if (!ascii_is_digit(c) && !(ascii_is_letter(c) && allows_letters) && !is_other)
            return false;
    }
    return true;
}

// What of `part` of a URL a message may show; otherwise nothing. With a '/', '?', '#' or '@' in a password the parts are
// not what was meant, and any of them may be of the password. So nothing is shown of a URL with an '@', and otherwise
// only what looks like a scheme, a host or a host with a port.
static struct slice shown_part(struct slice url, struct slice part)
{
    ptrdiff_t colon = slice_starts_with(part, SLICE("[")) ? -1 : slice_find(part, SLICE(":"));
    struct slice name = part, port = SLICE_EMPTY;
    if (colon >= 0) {
        name.len = (size_t)colon;
        port = slice_skip(part, name.len + 1);
    }
    bool may_be_shown = part.len <= URL_SHOWN_MAX && !slice_has(url, '@') &&
                        is_all_of(name, colon < 0 ? "+-._[]:" : "+-._", true) &&
                        is_all_of(port, "", false);
    return may_be_shown ? part : SLICE_EMPTY;
}

static enum error_code refuse_at_sign(struct error *error)
{
    return error_set(error, ERROR_USAGE,
                     "\"@\" is in the wrong place: percent-encode / ? # @ in the password");
}

static enum error_code refuse_scheme(struct slice url, ptrdiff_t scheme_len, bool is_grpc,
                                     struct error *error)
{
    int port = is_grpc ? GRPC_PORT : HTTP_PORT;
    if (scheme_len > 0) {
        struct slice scheme = {.data = url.data, .len = (size_t)scheme_len};
        struct slice shown = slice_has(scheme, ':') ? SLICE_EMPTY : shown_part(url, scheme);
        if (shown.len == 0)
            return error_set(error, ERROR_USAGE,
                             "scheme of the URL is not supported: use http or https");
        return error_set(error, ERROR_USAGE, "scheme \"%.*s\" is not supported: use http or https",
                         SLICE_ARGS(shown));
    }

    // "collector:4317" is the notation of gRPC exporters. Whether to use TLS is not part of it.
    struct slice rest = url;
    struct slice authority = shown_part(url, split_before(&rest, "/?#"));
    rest = authority;
    struct slice host = split_before(&rest, slice_starts_with(authority, SLICE("[")) ? "]" : ":");
    if (host.len == 0)
        return error_set(error, ERROR_USAGE, "URL has no scheme: write http://collector:%d", port);
    return error_set(error, ERROR_USAGE, "%.*s has no scheme: write http://%.*s%s:%d",
                     SLICE_ARGS(authority), SLICE_ARGS(host), host.data[0] == '[' ? "]" : "", port);
}

static enum error_code split_url(struct slice url, bool is_grpc, bool *is_tls,
                                 struct url_parts *parts, struct error *error)
{
    ptrdiff_t scheme_len = slice_find(url, SLICE("://"));
    struct slice scheme = {.data = url.data, .len = scheme_len > 0 ? (size_t)scheme_len : 0};
    *is_tls = slice_equals_ignoring_case(scheme, SLICE("https"));
    if (!*is_tls && !slice_equals_ignoring_case(scheme, SLICE("http")))
        return refuse_scheme(url, scheme_len, is_grpc, error);

    struct slice rest = {.data = url.data + scheme_len + 3,
                         .len = url.len - (size_t)scheme_len - 3};
    parts->authority = split_before(&rest, "/?#");
    parts->path = split_before(&rest, "?#");
    parts->query = split_before(&rest, "#"); // a fragment is never sent
    if (slice_has(parts->path, '@') || slice_has(parts->query, '@') || slice_has(rest, '@'))
        return refuse_at_sign(error);
    if (!is_url_text(parts->path) || !is_url_text(parts->query))
        return error_set(error, ERROR_USAGE,
                         "path of the URL holds characters that must be percent-encoded");
    return ERROR_NONE;
}

static bool is_host_name(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '-' || c == '.' || c == '_'))
            return false;
    }
    return host.len > 0;
}

static bool is_ipv6_literal(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

// Removes "host" or "[v6]" from the front of `*rest`.
static enum error_code cut_host(struct slice *rest, struct slice *host, bool *is_ipv6,
                                struct error *error)
{
    *is_ipv6 = slice_starts_with(*rest, SLICE("["));
    if (*is_ipv6) {
        rest->data++;
        rest->len--;
        *host = split_before(rest, "]");
        if (rest->len == 0 || !is_ipv6_literal(*host))
            return error_set(error, ERROR_USAGE, "the text in brackets is not an IPv6 address");
        rest->data++;
        rest->len--;
    } else {
        *host = split_before(rest, ":");
        if (host->len == 0)
            return error_set(error, ERROR_USAGE, "URL has no host: write http://collector:4318");
        if (!is_host_name(*host))
            return error_set(error, ERROR_USAGE, "host name holds characters that no name has");
    }
    return ERROR_NONE;
}

static enum error_code refuse_port(struct slice digits, struct error *error)
{
    if (digits.len > 0 && digits.len <= URL_SHOWN_MAX && is_all_of(digits, "", false))
        return error_set(error, ERROR_USAGE, "bad port %.*s: use 1 to 65535", SLICE_ARGS(digits));
    return error_set(error, ERROR_USAGE,
                     "bad port: use 1 to 65535, and percent-encode / ? # @ in a password");
}

// The port of ":4318", of ":" or of an empty text (RFC 3986 3.2.3: then the scheme's default, not 4318).
static enum error_code read_port(struct slice text, uint16_t default_port, uint16_t *port,
                                 struct error *error)
{
    struct slice digits = SLICE_EMPTY;
    long long number = default_port;
    bool is_good = text.len == 0 || text.data[0] == ':';
    if (is_good && text.len > 1) {
        digits = slice_skip(text, 1);
        is_good = slice_parse_int64(digits, &number) && number >= 1 && number <= UINT16_MAX;
    }
    if (!is_good)
        return refuse_port(digits, error);
    *port = (uint16_t)number;
    return ERROR_NONE;
}

// Fills userinfo, host, port and host_header. `scheme_port`: left out of host_header; `default_port`: if there is none.
static enum error_code read_authority(struct slice authority, uint16_t scheme_port,
                                      uint16_t default_port, struct export_endpoint *endpoint,
                                      struct error *error)
{
    struct slice userinfo = SLICE_EMPTY;
    if (slice_has(authority, '@')) {
        userinfo = split_before(&authority, "@");
        authority = slice_skip(authority, 1);
    }
    if (slice_has(authority, '@'))
        return refuse_at_sign(error);
    if (userinfo.len >= sizeof endpoint->userinfo)
        return error_set(error, ERROR_USAGE,
                         "user and password in the URL are longer than %zu bytes",
                         sizeof endpoint->userinfo - 1);
    (void)snprintf(endpoint->userinfo, sizeof endpoint->userinfo, "%.*s", SLICE_ARGS(userinfo));

    struct slice host;
    bool is_ipv6;
    enum error_code code = cut_host(&authority, &host, &is_ipv6, error);
    if (code != ERROR_NONE)
        return code;
    if (host.len >= sizeof endpoint->host)
        return error_set(error, ERROR_USAGE, "host name is longer than %zu bytes",
                         sizeof endpoint->host - 1);
    code = read_port(authority, default_port, &endpoint->port, error);
    if (code != ERROR_NONE)
        return code;

    memcpy(endpoint->host, host.data, host.len);
    endpoint->host[host.len] = '\0';
    // RFC 9110 7.2: Host is the authority without userinfo; the port is included unless it is the scheme's.
    char port[8] = "";
    if (endpoint->port != scheme_port)
        (void)snprintf(port, sizeof port, ":%u", (unsigned)endpoint->port);
    (void)snprintf(endpoint->host_header, sizeof endpoint->host_header, "%s%s%s%s",
                   is_ipv6 ? "[" : "", endpoint->host, is_ipv6 ? "]" : "", port);
    return ERROR_NONE;
}

static struct slice without_slashes(struct slice path)
{
    while (slice_ends_with(path, SLICE("/")))
        path.len--;
    return path;
}

// True if the path ends in that of a signal, below another path or the root.
static bool ends_in_signal_path(struct slice path, enum export_signal signal)
{
    struct slice tail = signals[signal].path;
    return path.len > tail.len && slice_ends_with(path, tail) &&
           path.data[path.len - tail.len - 1] == '/';
}

// "Relative to this base ... `v1/traces`"; the per-signal URL "MUST be used as-is ... with the only
// exception that if an URL contains no path part, the root path / MUST be used".
static enum error_code write_path(const struct url_parts *parts, enum export_signal signal,
                                  enum export_url kind, struct export_endpoint *endpoint,
                                  struct error *error)
{
    struct slice path = parts->path;
    struct slice trimmed = without_slashes(path);
    struct slice added = signals[signal].path;
    if (kind == EXPORT_URL_GRPC) {
        (void)snprintf(endpoint->path, sizeof endpoint->path, "%s", signals[signal].grpc_path);
        return ERROR_NONE;
    }
    bool is_whole = kind == EXPORT_URL_WHOLE;
    if (kind == EXPORT_URL_EITHER && ends_in_signal_path(trimmed, signal)) {
        path = trimmed;
        is_whole = true;
    } else if (kind == EXPORT_URL_EITHER && ends_in_signal_path(trimmed, EXPORT_TRACES)) {
        path = (struct slice){trimmed.data, trimmed.len - signals[EXPORT_TRACES].path.len};
    }
    const char *slash = "";
    if (path.len == 0 || (!is_whole && !slice_ends_with(path, SLICE("/"))))
        slash = "/";
    if (is_whole)
        added = SLICE_EMPTY;
    int len = snprintf(endpoint->path, sizeof endpoint->path, "%.*s%s%.*s%.*s", SLICE_ARGS(path),
                       slash, SLICE_ARGS(added), SLICE_ARGS(parts->query));
    if (len < 0 || (size_t)len >= sizeof endpoint->path)
        return error_set(error, ERROR_USAGE, "path of the URL is longer than %zu bytes",
                         sizeof endpoint->path - 1);
    return ERROR_NONE;
}

enum error_code export_endpoint_parse(struct slice url, enum export_url kind,
                                      struct export_endpoint *endpoint, struct error *error)
{
    return export_endpoint_parse_for(EXPORT_TRACES, url, kind, endpoint, error);
}

enum error_code export_endpoint_parse_for(enum export_signal signal, struct slice url,
                                          enum export_url kind, struct export_endpoint *endpoint,
                                          struct error *error)
{
    struct url_parts parts = {0};
    *endpoint = (struct export_endpoint){.is_tls = false};
    url = slice_trim(url);
    if (url.len == 0 || slice_has(url, '\0'))
        return error_set(error, ERROR_USAGE, "URL is empty: write http://collector:4318");
    if (url.len > sizeof endpoint->path + sizeof endpoint->host + 512)
        return error_set(error, ERROR_USAGE, "URL is too long");

    bool is_grpc = kind == EXPORT_URL_GRPC;
    enum error_code code = split_url(url, is_grpc, &endpoint->is_tls, &parts, error);
    uint16_t scheme_port = endpoint->is_tls ? 443 : 80;
    if (code == ERROR_NONE)
        code = read_authority(parts.authority, scheme_port, is_grpc ? GRPC_PORT : scheme_port,
                              endpoint, error);
    if (code == ERROR_NONE)
        code = write_path(&parts, signal, kind, endpoint, error);
    return code;
}

// Queries are omitted, too: some back ends expect their API key there.
void export_endpoint_format(const struct export_endpoint *endpoint, char *text, size_t size)
{
    struct slice rest = slice_from_string(endpoint->path);
    struct slice path = split_before(&rest, "?");
    (void)snprintf(text, size, "%s://%s%.*s%s", endpoint->is_tls ? "https" : "http",
                   endpoint->host_header, SLICE_ARGS(path), rest.len > 0 ? "?..." : "");
}

char *export_endpoint_url(const struct export_endpoint *endpoint, char text[EXPORT_URL_SIZE])
{
    bool is_ipv6 = strchr(endpoint->host, ':') != NULL;
    (void)snprintf(text, EXPORT_URL_SIZE, "%s://%s%s%s:%u%s", endpoint->is_tls ? "https" : "http",
                   is_ipv6 ? "[" : "", endpoint->host, is_ipv6 ? "]" : "", (unsigned)endpoint->port,
                   endpoint->path);
    return text;
}

static const struct proxy_scheme {
    struct slice name; // with "://"
    uint16_t port;
} proxy_schemes[] = {
    {{.data = "http://", .len = 7}, 80},
    {{.data = "https://", .len = 8}, 443},
    {{.data = "socks5://", .len = 9}, 1080},
    {{.data = "socks5h://", .len = 10}, 1080},
};

static const struct proxy_scheme *cut_proxy_scheme(struct slice *text)
{
    for (size_t i = 0; i < sizeof proxy_schemes / sizeof proxy_schemes[0]; i++) {
        const struct proxy_scheme *scheme = &proxy_schemes[i];
        struct slice start = {.data = text->data, .len = scheme->name.len};
        if (text->len < scheme->name.len || !slice_equals_ignoring_case(start, scheme->name))
            continue;
        text->data += start.len;
        text->len -= start.len;
        return scheme;
    }
    return slice_find(*text, SLICE("://")) < 0 ? &proxy_schemes[0] : NULL;
}

enum error_code export_proxy_parse(struct slice text, struct export_proxy *proxy,
                                   struct error *error)
{
    struct export_endpoint endpoint = {.is_tls = false};
    *proxy = (struct export_proxy){.url = ""};
    text = slice_trim(text);
    bool has_scheme = slice_find(text, SLICE("://")) >= 0;
    const struct proxy_scheme *scheme = cut_proxy_scheme(&text);
    if (scheme == NULL)
        return error_set(
            error, ERROR_USAGE,
            "scheme of the proxy is not supported: use http, https, socks5 or socks5h");
    if (slice_ends_with(text, SLICE("/")))
        text.len--;
    struct slice path = text;
    (void)split_before(&path, "/?#");
    if (slice_has(path, '@'))
        return refuse_at_sign(error);
    // "none", "false" and the like are no hosts.
    ptrdiff_t at = slice_find(text, SLICE("@"));
    struct slice host = slice_skip(text, (size_t)(at + 1));
    bool is_word = !has_scheme && !slice_has(host, ':');
    if (text.len == 0 || path.len > 0 || is_word || slice_has(text, '\0'))
        return error_set(
            error, ERROR_USAGE,
            "not the URL of a proxy: write http://proxy:3128 (otlp-proxy = off: none)");
    enum error_code code = read_authority(text, scheme->port, scheme->port, &endpoint, error);
    if (code != ERROR_NONE)
        return code;
    struct slice userinfo = slice_from_string(endpoint.userinfo);
    if (!is_url_text(userinfo))
        return error_set(error, ERROR_USAGE,
                         "user or password of the proxy has characters that must be "
                         "percent-encoded");
    bool is_ipv6 = strchr(endpoint.host, ':') != NULL;
    (void)snprintf(proxy->shown, sizeof proxy->shown, "%.*s%s%s%s:%u", SLICE_ARGS(scheme->name),
                   is_ipv6 ? "[" : "", endpoint.host, is_ipv6 ? "]" : "", (unsigned)endpoint.port);
    (void)snprintf(proxy->userinfo, sizeof proxy->userinfo, "%s", endpoint.userinfo);
    (void)snprintf(proxy->url, sizeof proxy->url, "%.*s%s%s%s", SLICE_ARGS(scheme->name),
                   proxy->userinfo, proxy->userinfo[0] != '\0' ? "@" : "",
                   proxy->shown + scheme->name.len);
    return ERROR_NONE;
}

// --- "k1=v1,k2=v2" --------------------------------------------------------------------------------

// The form used in OpenTelemetry's variables: W3C Baggage without properties.

struct pairs {
    struct slice rest; // not read yet
    size_t position;   // of the last entry read
};

struct pair {
    struct slice key, value;
    size_t position; // from 1; used in messages, since the entry may be a secret
};

static void pairs_init(struct pairs *pairs, struct slice text)
{
    *pairs = (struct pairs){.rest = text};
}

static struct slice cut_until(struct slice *rest, char separator)
{
    const char *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    struct slice head = *rest;
    if (end == NULL) {
        *rest = SLICE_EMPTY;
        return head;
    }
    head.len = (size_t)(end - rest->data);
    rest->data += head.len + 1;
    rest->len -= head.len + 1;
    return head;
}

// The next entry, split at its first '=' (later ones belong to the value: base64 pads with them) and trimmed. Empty
// entries are skipped. ERROR_NOT_FOUND, without a message, at the end; ERROR_USAGE if there is no '='.
static enum error_code pairs_next(struct pairs *pairs, struct pair *pair, struct error *error)
{
    while (pairs->rest.len > 0) {
        struct slice entry = slice_trim(cut_until(&pairs->rest, ','));
        pairs->position++;
        if (entry.len == 0)
            continue;
        if (memchr(entry.data, '=', entry.len) == NULL)
            return error_set(error, ERROR_USAGE, "entry %zu has no \"=\": write name=value",
                             pairs->position);
        pair->key = slice_trim(cut_until(&entry, '='));
        pair->value = slice_trim(entry);
        pair->position = pairs->position;
        return ERROR_NONE;
    }
    return ERROR_NOT_FOUND;
}

// An upper bound of the number of entries.
static size_t pairs_count_max(struct slice text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == ',';
    return count;
}

enum error_code export_percent_decode(struct slice text, struct arena *arena, struct slice *decoded)
{
    char *out = arena_allocate(arena, text.len + 1);
    if (out == NULL)
        return ERROR_MEMORY;

    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            uint8_t byte;
            if (text.len - i < 3 || !hex_decode(text.data + i + 1, 2, &byte, 1))
                return ERROR_INVALID;
            c = (char)byte;
            i += 2;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    *decoded = (struct slice){.data = out, .len = len};
    return ERROR_NONE;
}

// --- headers --------------------------------------------------------------------------------------

// Extra fields of every request, usually credentials: OTEL_EXPORTER_OTLP_HEADERS, and lines of a file.

// token of RFC 9110 5.6.2.
static bool is_token(struct slice name)
{
    return name.len > 0 && is_all_of(name, "!#$%&'*+-.^_`|~", true);
}

// RFC 9110 5.5: CR, LF and NUL are dangerous in a field's value and other controls invalid; a
// percent-encoded line break would smuggle in a field of its own.
static bool is_field_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

// Messages contain at most the name: values are secrets.
static enum error_code read_header(const struct pair *pair, struct arena *arena,
                                   struct http_header *header, struct error *error)
{
    struct slice name = pair->key;
    if (!is_token(name))
        return error_set(error, ERROR_USAGE, "entry %zu: not the name of an HTTP field",
                         pair->position);
    if (!arena_copy_slice(arena, name, &header->name))
        return error_set(error, ERROR_MEMORY, "out of memory");

    enum error_code code = export_percent_decode(pair->value, arena, &header->value);
    if (code == ERROR_INVALID)
        return error_set(error, ERROR_USAGE,
                         "value of \"%.*s\": \"%%\" without two hexadecimal digits: write %%25",
                         SLICE_ARGS(name));
    if (code != ERROR_NONE)
        return error_set(error, code, "out of memory");
    header->value = slice_trim(header->value);
    if (!is_field_value(header->value))
        return error_set(error, ERROR_USAGE,
                         "value of \"%.*s\": control characters are not allowed", SLICE_ARGS(name));
    return ERROR_NONE;
}

enum error_code export_headers_parse(struct slice text, struct arena *arena,
                                     struct http_header **headers, size_t *count,
                                     struct error *error)
{
    struct http_header *items =
        arena_allocate_array(arena, pairs_count_max(text), sizeof(struct http_header));
    if (items == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");

    struct pairs pairs;
    struct pair pair;
    size_t found = 0;
    enum error_code code;
    pairs_init(&pairs, text);
    while ((code = pairs_next(&pairs, &pair, error)) == ERROR_NONE) {
        code = read_header(&pair, arena, &items[found], error);
        if (code != ERROR_NONE)
            return code;
        found++;
    }
    if (code != ERROR_NOT_FOUND)
        return code;
    *headers = items;
    *count = found;
    return ERROR_NONE;
}

bool export_header_is_own(struct slice name)
{
    static const char *const own[] = {
        "Host",
        "Content-Length",
        "Content-Type",
        "Content-Encoding",
        "Transfer-Encoding",
        "Expect",
        "Connection",
        "Upgrade",
        "TE",
        "Trailer",
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (slice_equals_ignoring_case(name, slice_from_string(own[i])))
            return true;
    }
    return false;
}

// --- lines of a file ------------------------------------------------------------------------------------

static struct slice cut_line(struct slice *rest)
{
    ptrdiff_t newline = slice_find(*rest, SLICE("\n"));
    struct slice line = {.data = rest->data, .len = newline < 0 ? rest->len : (size_t)newline};
    size_t taken = newline < 0 ? rest->len : line.len + 1;
    *rest = (struct slice){.data = rest->data + taken, .len = rest->len - taken};
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

static size_t count_lines(struct slice text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n' ? 1 : 0;
    return lines;
}

static bool has_name(const struct http_header *headers, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equals_ignoring_case(headers[i].name, name))
            return true;
    return false;
}

// `number`: of the line. Text that is not known to be a name may be a secret, so it is not shown.
static enum error_code read_line(struct slice line, size_t number, struct http_header *header,
                                 struct error *error)
{
    ptrdiff_t colon = slice_find(line, SLICE(":"));
    if (colon < 0)
        return error_set(error, ERROR_USAGE, "line %zu: no ':': write `Name: value`", number);
    header->name = (struct slice){.data = line.data, .len = (size_t)colon};
    header->value = slice_trim(
        (struct slice){.data = line.data + colon + 1, .len = line.len - (size_t)colon - 1});
    if (!is_token(header->name))
        return error_set(error, ERROR_USAGE,
                         "line %zu: what is before ':' is not the name of an HTTP field", number);
    if (header->value.len == 0)
        return error_set(error, ERROR_USAGE, "line %zu: \"%.*s\" has no value", number,
                         SLICE_ARGS(header->name));
    if (!is_field_value(header->value))
        return error_set(error, ERROR_USAGE,
                         "line %zu: value of \"%.*s\": control characters are not allowed", number,
                         SLICE_ARGS(header->name));
    if (export_header_is_own(header->name))
        return error_set(error, ERROR_USAGE, "line %zu: \"%.*s\" is the exporter's own", number,
                         SLICE_ARGS(header->name));
    return ERROR_NONE;
}

enum error_code export_header_lines_parse(struct slice text, struct arena *arena,
                                          struct http_header **headers, size_t *count,
                                          struct error *error)
{
    struct slice rest = text;
    struct http_header *items =
        arena_allocate_array(arena, count_lines(text), sizeof(struct http_header));
    size_t found = 0;
    if (items == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (utf8_is_other_unicode(rest))
        return error_set(error, ERROR_USAGE, "is in UTF-16: save it as UTF-8");
    rest = utf8_skip_mark(rest);
    for (size_t number = 1; rest.len > 0; number++) {
        struct slice line = cut_line(&rest);
        if (slice_trim(line).len == 0 || slice_starts_with(slice_trim(line), SLICE("#")))
            continue;
        enum error_code code = read_line(line, number, &items[found], error);
        if (code != ERROR_NONE)
            return code;
        if (has_name(items, found, items[found].name))
            return error_set(error, ERROR_USAGE, "line %zu: \"%.*s\" is there twice", number,
                             SLICE_ARGS(items[found].name));
        found++;
    }
    *headers = items;
    *count = found;
    return ERROR_NONE;
}

// --- resource attributes --------------------------------------------------------------------------

// "The `,` and `=` characters in keys and values MUST be percent encoded. Other characters MAY be
// percent-encoded" (OpenTelemetry, resource/sdk.md).
static enum error_code read_attribute(const struct pair *pair, struct arena *arena,
                                      struct attribute *item, struct error *error)
{
    struct slice decoded;
    enum error_code code = export_percent_decode(pair->key, arena, &decoded);
    if (code == ERROR_NONE) {
        if (decoded.len == 0 || memchr(decoded.data, '\0', decoded.len) != NULL)
            return error_set(error, ERROR_USAGE, "entry %zu: not a key", pair->position);
        *item = (struct attribute){.key = decoded.data, .type = ATTRIBUTE_STRING};
        code = export_percent_decode(pair->value, arena, &item->string);
    }
    if (code == ERROR_INVALID)
        return error_set(error, ERROR_USAGE,
                         "entry %zu: \"%%\" without two hexadecimal digits: write %%25",
                         pair->position);
    if (code != ERROR_NONE)
        return error_set(error, code, "out of memory");
    return ERROR_NONE;
}

// Keys are unique in a resource; the last of several values is used.
static size_t place_attribute(struct attribute *items, size_t count, const struct attribute *item)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].key, item->key) == 0) {
            items[i] = *item;
            return count;
        }
    }
    items[count] = *item;
    return count + 1;
}

// "In case of any error, e.g. failure during the decoding process, the entire environment variable
// value SHOULD be discarded and an error SHOULD be reported" (ibid.).
enum error_code export_resource_parse(struct slice text, struct arena *arena,
                                      struct attribute **items, size_t *count, struct error *error)
{
    struct attribute *found =
        arena_allocate_array(arena, pairs_count_max(text), sizeof(struct attribute));
    if (found == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");

    struct pairs pairs;
    struct pair pair;
    size_t found_count = 0;
    enum error_code code;
    pairs_init(&pairs, text);
    while ((code = pairs_next(&pairs, &pair, error)) == ERROR_NONE) {
        struct attribute item;
        code = read_attribute(&pair, arena, &item, error);
        if (code != ERROR_NONE)
            return code;
        found_count = place_attribute(found, found_count, &item);
    }
    if (code != ERROR_NOT_FOUND)
        return code;
    *items = found;
    *count = found_count;
    return ERROR_NONE;
}
