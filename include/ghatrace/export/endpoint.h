// The settings of OTLP/HTTP as the OpenTelemetry specification defines them (protocol/exporter.md): URLs,
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

struct export_endpoint {
    bool is_tls;
    char userinfo
        [256];      // "user:password" where the URL has it, cut to size; not used, and never shown
    char host[256]; // without brackets
    uint16_t port;  // 80 or 443 where the URL has none
    char host_header[300]; // host, with brackets and port as needed
    char path[1024];       // absolute, with query if there was one
};

// What a URL names (protocol/exporter.md, "Endpoint URLs for OTLP/HTTP").
enum export_url {
    EXPORT_URL_WHOLE, // the traces' own, taken as it is
    EXPORT_URL_BASE,  // that of all signals: `v1/traces` is added to its path, whatever that is
    EXPORT_URL_EITHER, // a base; where its path ends in `v1/traces` already, with or without a slash, that is it
};
// ERROR_USAGE: not http or https, no host, a bad port ("collector:4317 has
// no scheme: write http://collector:4318").
enum error_code export_endpoint_parse(struct slice url, enum export_url kind,
                                      struct export_endpoint *endpoint,
                                      struct error *error) MUST_CHECK;
// The URL again, for logs: without userinfo, and "?..." for a query, where some back ends want a key.
void export_endpoint_format(const struct export_endpoint *endpoint, char *text, size_t size);

// "k1=v1,k2=v2" with percent-decoding of values (W3C baggage form; '+' is not a blank). Names and
// values live in the arena. ERROR_USAGE on a pair without '=', an empty or illegal name, CR or LF.
enum error_code export_headers_parse(struct slice text, struct arena *arena,
                                     struct http_header **headers, size_t *count,
                                     struct error *error) MUST_CHECK;
// One `Name: value` a line, as files have them. Lines that are empty or begin with '#' are skipped, as is a byte order
// mark; lines may end in CRLF. Nothing is decoded: a value is what lies between the blanks around it. Names and values
// point into `text`, the list lies in the arena. ERROR_USAGE, naming the line but not what is in it: no ':', an illegal
// or an empty name or value, a name that is there twice, one of the exporter's own; ERROR_MEMORY.
enum error_code export_header_lines_parse(struct slice text, struct arena *arena,
                                          struct http_header **headers, size_t *count,
                                          struct error *error) MUST_CHECK;
// Is this a field that the exporter writes by itself? A second one would contradict the first or break the framing.
bool export_header_is_own(struct slice name);
// OTEL_RESOURCE_ATTRIBUTES; on any error the whole variable is to be discarded.
enum error_code export_resource_parse(struct slice text, struct arena *arena,
                                      struct attribute **items, size_t *count,
                                      struct error *error) MUST_CHECK;

#endif
