// The settings of OTLP/HTTP and OTLP/gRPC as the OpenTelemetry specification defines them (protocol/exporter.md): URLs,
// header lists, resource attributes. Pure.
#ifndef GHATRACE_EXPORT_ENDPOINT_H
#define GHATRACE_EXPORT_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/trace/span.h"

// A proxy between this program and the collector.
struct export_proxy {
    char url[640];      // with userinfo and port; empty: none. Never shown
    char userinfo[256]; // of the URL, or empty. Never shown
    char shown[320];    // the URL without userinfo
};

struct export_endpoint {
    bool is_tls;
    char userinfo[256]; // "user:password" as in the URL, for basic authentication; never shown
    struct export_proxy proxy; // set by the caller
    char host[256];            // without brackets
    uint16_t port;             // if the URL has none 80 or 443; of gRPC 4317
    char host_header[300];     // host, with brackets and port as needed
    char path[1024];           // absolute, with query if there was one
};

// What is exported; each has a path of its own.
enum export_signal { EXPORT_TRACES, EXPORT_METRICS };

// How a URL is interpreted, with `v1/metrics` instead of `v1/traces` for metrics (protocol/exporter.md, "Endpoint URLs for OTLP/HTTP").
enum export_url {
    EXPORT_URL_WHOLE, // the URL for traces, used unchanged
    EXPORT_URL_BASE, // the URL for all signals: `v1/traces` is appended to its path, whatever that is
    // A base, but used unchanged if its path already ends in `v1/traces`, with or without a slash. Such a URL means
    // `v1/metrics` beside it, for metrics.
    EXPORT_URL_EITHER,
    // The target of OTLP/gRPC ("Endpoint (OTLP/gRPC)"): scheme, host and port. The path is always that of the method,
    // and the port is OTLP/gRPC's if the URL has none.
    EXPORT_URL_GRPC,
};
// ERROR_USAGE: not http or https, no host, a bad port ("collector:4317 has no scheme: write http://collector:4318"), an
// '@' anywhere but once before the host. The message shows nothing that may be userinfo.
enum error_code export_endpoint_parse(struct slice url, enum export_url kind,
                                      struct export_endpoint *endpoint,
                                      struct error *error) MUST_CHECK;
// The same for any signal; the above is for traces.
enum error_code export_endpoint_parse_for(enum export_signal signal, struct slice url,
                                          enum export_url kind, struct export_endpoint *endpoint,
                                          struct error *error) MUST_CHECK;
// "http://proxy:3128", also with https, socks5 or socks5h (the proxy looks the name up), or "proxy:3128", which
// means http. Without a port: 80, 443 or 1080. ERROR_USAGE; the message shows no userinfo.
enum error_code export_proxy_parse(struct slice text, struct export_proxy *proxy,
                                   struct error *error) MUST_CHECK;
#define EXPORT_URL_SIZE 1600
// The URL for requests, with its query, without userinfo. Returns `text`.
char *export_endpoint_url(const struct export_endpoint *endpoint, char text[EXPORT_URL_SIZE]);
// Formats the URL for logs: without userinfo, and with "?..." for a query, which some back ends use for an API key.
void export_endpoint_format(const struct export_endpoint *endpoint, char *text, size_t size);

// Parses "k1=v1,k2=v2" with percent-decoding of values (W3C baggage form; '+' is not a blank). Names and values are
// in the arena. ERROR_USAGE on a pair without '=', an empty or illegal name, CR or LF.
enum error_code export_headers_parse(struct slice text, struct arena *arena,
                                     struct http_header **headers, size_t *count,
                                     struct error *error) MUST_CHECK;
// Parses one `Name: value` per line, the form used in files. Lines that are empty or begin with '#' are skipped, as
// is a byte order mark; lines may end in CRLF. Nothing is decoded: a value is the text between the blanks around it.
// Names and values point into `text`, the list is in the arena. ERROR_USAGE, naming the line but not its content: no
// ':', an illegal or empty name or value, a repeated name, one of the exporter's own fields; ERROR_MEMORY.
enum error_code export_header_lines_parse(struct slice text, struct arena *arena,
                                          struct http_header **headers, size_t *count,
                                          struct error *error) MUST_CHECK;
// Whether gRPC can send this header as metadata. ERROR_USAGE, naming it but not its value.
enum error_code export_header_check_grpc(const struct http_header *header, struct arena *arena,
                                         struct error *error) MUST_CHECK;
// True if the exporter writes this field itself. A second one would contradict the first or break the framing.
bool export_header_is_own(struct slice name);
// Parses OTEL_RESOURCE_ATTRIBUTES; on any error the whole variable is to be discarded.
enum error_code export_resource_parse(struct slice text, struct arena *arena,
                                      struct attribute **items, size_t *count,
                                      struct error *error) MUST_CHECK;
// Decodes percent-encoding; '+' is unchanged. The result is in the arena, terminated by a NUL. ERROR_INVALID, without
// a message: '%' without two hexadecimal digits. ERROR_MEMORY.
enum error_code export_percent_decode(struct slice text, struct arena *arena,
                                      struct slice *decoded) MUST_CHECK;

#endif
