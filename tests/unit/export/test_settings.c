// Endpoints, header lists and resource attributes, as the OpenTelemetry specification has them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/export/endpoint.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// --- endpoints --------------------------------------------------------------------------------

struct endpoint_case {
    const char *url;
    bool is_base;
    const char *formatted; // NULL: refused
    const char *host;
    unsigned port;
    const char *host_header;
    const char *path;
};

static void expect_endpoint(const struct endpoint_case *c)
{
    struct export_endpoint endpoint;
    struct error error = {.message = ""};
    char text[1600];
    enum error_code code =
        export_endpoint_parse(slice_from_string(c->url),
                              c->is_base ? EXPORT_URL_BASE : EXPORT_URL_WHOLE, &endpoint, &error);
    if (c->formatted == NULL) {
        if (code != ERROR_USAGE)
            fail_msg("\"%s\" was not refused", c->url);
        assert_int_equal(error.code, ERROR_USAGE);
        assert_true(error.message[0] != '\0');
        return;
    }
    if (code != ERROR_NONE)
        fail_msg("\"%s\" was refused: %s", c->url, error.message);
    export_endpoint_format(&endpoint, text, sizeof text);
    assert_string_equal(text, c->formatted);
    assert_string_equal(endpoint.host, c->host);
    assert_int_equal(endpoint.port, c->port);
    assert_string_equal(endpoint.host_header, c->host_header);
    assert_string_equal(endpoint.path, c->path);
    assert_int_equal(endpoint.is_tls, strncmp(c->formatted, "https", 5) == 0);
}

static void base_urls_get_the_signal_path(void **state)
{
    static const struct endpoint_case cases[] = {
        {"http://localhost:4318", true, "http://localhost:4318/v1/traces", "localhost", 4318,
         "localhost:4318", "/v1/traces"},
        {"http://localhost:4318/", true, "http://localhost:4318/v1/traces", "localhost", 4318,
         "localhost:4318", "/v1/traces"},
        // examples of the specification, protocol/exporter.md
        {"http://collector:4318/mycollector/", true, "http://collector:4318/mycollector/v1/traces",
         "collector", 4318, "collector:4318", "/mycollector/v1/traces"},
        {"http://collector:4318/mycollector", true, "http://collector:4318/mycollector/v1/traces",
         "collector", 4318, "collector:4318", "/mycollector/v1/traces"},
        {"https://api.example.com/otlp", true, "https://api.example.com/otlp/v1/traces",
         "api.example.com", 443, "api.example.com", "/otlp/v1/traces"},
        {"http://c/otlp?tenant=a#part", true, "http://c/otlp/v1/traces?...", "c", 80, "c",
         "/otlp/v1/traces?tenant=a"},
        {"http://c?tenant=a", true, "http://c/v1/traces?...", "c", 80, "c", "/v1/traces?tenant=a"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_endpoint(&cases[i]);
}

static void signal_urls_are_used_unchanged(void **state)
{
    static const struct endpoint_case cases[] = {
        {"http://collector:4318/v1/traces", false, "http://collector:4318/v1/traces", "collector",
         4318, "collector:4318", "/v1/traces"},
        // "if an URL contains no path part, the root path / MUST be used"
        {"http://collector:4318", false, "http://collector:4318/", "collector", 4318,
         "collector:4318", "/"},
        {"http://collector:4318/", false, "http://collector:4318/", "collector", 4318,
         "collector:4318", "/"},
        {"http://collector/a/", false, "http://collector/a/", "collector", 80, "collector", "/a/"},
        {"http://collector/a//b", false, "http://collector/a//b", "collector", 80, "collector",
         "/a//b"},
        {"http://collector?k=v", false, "http://collector/?...", "collector", 80, "collector",
         "/?k=v"},
        {"http://collector#x", false, "http://collector/", "collector", 80, "collector", "/"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_endpoint(&cases[i]);
}

static void hosts_and_ports_are_read_in_all_their_forms(void **state)
{
    static const struct endpoint_case cases[] = {
        {"HTTP://Collector", false, "http://Collector/", "Collector", 80, "Collector", "/"},
        {"HtTpS://c:443/x", false, "https://c/x", "c", 443, "c", "/x"},
        {"http://c:443/x", false, "http://c:443/x", "c", 443, "c:443", "/x"},
        {"https://c:80/x", false, "https://c:80/x", "c", 80, "c:80", "/x"},
        {"http://c:80/x", false, "http://c/x", "c", 80, "c", "/x"},
        {"http://c:/x", false, "http://c/x", "c", 80, "c", "/x"},
        {"http://c:65535", false, "http://c:65535/", "c", 65535, "c:65535", "/"},
        {"http://c:1", false, "http://c:1/", "c", 1, "c:1", "/"},
        {"http://127.0.0.1:4318", false, "http://127.0.0.1:4318/", "127.0.0.1", 4318,
         "127.0.0.1:4318", "/"},
        {"http://[::1]:4318", false, "http://[::1]:4318/", "::1", 4318, "[::1]:4318", "/"},
        {"http://[2001:db8::2]", false, "http://[2001:db8::2]/", "2001:db8::2", 80, "[2001:db8::2]",
         "/"},
        {"http://my_collector.ns-1.svc.cluster.local", false,
         "http://my_collector.ns-1.svc.cluster.local/", "my_collector.ns-1.svc.cluster.local", 80,
         "my_collector.ns-1.svc.cluster.local", "/"},
        {"  http://c  ", false, "http://c/", "c", 80, "c", "/"},
        {"http://user:secret@c:4318/x", false, "http://c:4318/x", "c", 4318, "c:4318", "/x"},
        {"http://us%40er:se%40cret@c/x", false, "http://c/x", "c", 80, "c", "/x"},
        {"http://c/a%20b/%40:;,", false, "http://c/a%20b/%40:;,", "c", 80, "c", "/a%20b/%40:;,"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_endpoint(&cases[i]);
}

static void what_is_no_collector_url_is_refused(void **state)
{
    static const char *const urls[] = {
        "",
        " ",
        "collector",
        "collector:4317",
        "localhost:4318/v1/traces",
        "[::1]:4317",
        "http",
        "http:",
        "http:/c",
        "http://",
        "http:///v1/traces",
        "http://:4318",
        "http://?x",
        "http://user@",
        "http://user@:80/",
        "://c",
        "//c:4318",
        "grpc://c:4317",
        "unix:///run/o.sock",
        "ftp://c",
        "httpss://c",
        "http://c:0",
        "http://c:65536",
        "http://c:-1",
        "http://c:+1",
        "http://c:4318x",
        "http://c:99999999999999999999",
        "http://c: 80",
        "http://c:80:80",
        "http://[::1",
        "http://[]:4318",
        "http://[::1]4318",
        "http://[1.2.3.4]",
        "http://[::g]",
        "http://[fe80::1%25eth0]:4318",
        "http://::1:4318",
        "http://c c/",
        "http://c/a b",
        "http://c/a\r\nX-Evil: 1",
        "http://c\r\n",
        "http://c/\tx",
        "http://c/caf\xc3\xa9",
        "http://c\xc3\xa9",
        "http://c%41",
        "http://c/%4",
        "http://c/%zz",
        "http://c/<x>",
        "http://c/?q=[1]",
        "http://c/\\x",
        "http://c/?a\"b",
        "http://c/{x}",
        "http://a,b/",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(urls); i++) {
        struct endpoint_case c = {.url = urls[i], .is_base = i % 2 == 0};
        expect_endpoint(&c);
    }
}

static void the_error_for_a_url_without_scheme_shows_the_correct_form(void **state)
{
    static const struct {
        const char *url, *message;
    } cases[] = {
        {"collector:4317", "collector:4317 has no scheme: write http://collector:4318"},
        {"collector", "collector has no scheme: write http://collector:4318"},
        {"[::1]:4317", "[::1]:4317 has no scheme: write http://[::1]:4318"},
        {"user:secret@collector:4317", "URL has no scheme: write http://collector:4318"},
        {"collector:4317/x?key=secret",
         "collector:4317 has no scheme: write http://collector:4318"},
        {"user:secret", "URL has no scheme: write http://collector:4318"},
        {"grpc://c:4317", "scheme \"grpc\" is not supported: use http or https"},
        {"x://c:4317", "scheme \"x\" is not supported: use http or https"},
        {"://c:4317", "URL has no scheme: write http://collector:4318"},
        {"user:secret://x", "scheme of the URL is not supported: use http or https"},
        {"secret://x@host", "scheme of the URL is not supported: use http or https"},
        {"http://c:70000", "bad port 70000: use 1 to 65535"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct export_endpoint endpoint;
        struct error error;
        assert_int_equal(export_endpoint_parse(slice_from_string(cases[i].url), EXPORT_URL_BASE,
                                               &endpoint, &error),
                         ERROR_USAGE);
        assert_string_equal(error.message, cases[i].message);
    }
}

static void no_error_shows_part_of_a_password(void **state)
{
    static const char *const urls[] = {
        "http://bob:sek/ret@host",  "http://bob:se/cret@host:1/x",
        "http://bob:sek?ret@host",  "http://bob:sek#ret@host",
        "http://bob:sek@ret@host",  "http://bob:p@sek/ret@host",
        "http://bob:1234/sek@host", "http://bob:sek",
        "http://bob:sek[ret",       "bob:sek/ret@host",
        "bob:sek://ret@host",       "http://bob:1234:sek@ret@host",
        "http://bob:sek@host:1x",   "http://bob:sek@ho st",
        "ftp://bob:sek@host",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(urls); i++) {
        for (int kind = EXPORT_URL_WHOLE; kind <= EXPORT_URL_GRPC + 1; kind++) {
            struct export_endpoint endpoint;
            struct export_proxy proxy;
            struct error error = {.message = ""};
            struct slice url = slice_from_string(urls[i]);
            enum error_code code =
                kind <= EXPORT_URL_GRPC
                    ? export_endpoint_parse(url, (enum export_url)kind, &endpoint, &error)
                    : export_proxy_parse(url, &proxy, &error);
            if (code != ERROR_USAGE || strstr(error.message, "sek") != NULL ||
                strstr(error.message, "ret") != NULL || strstr(error.message, "1234") != NULL)
                fail_msg("%s: %d %s", urls[i], code, error.message);
        }
    }
}

static void a_target_of_grpc_has_its_own_port_and_path(void **state)
{
    static const struct {
        const char *url, *host_header; // NULL: refused
        unsigned port;
        const char *message;
    } cases[] = {
        {"http://c", "c:4317", 4317, NULL},
        {"https://c:/", "c:4317", 4317, NULL},
        {"https://c:443/x/y?z", "c", 443, NULL},
        {"http://c:80", "c", 80, NULL},
        {"http://[::1]:99#x", "[::1]:99", 99, NULL},
        {"c:99", NULL, 0, "c:99 has no scheme: write http://c:4317"},
        {"u:p@c", NULL, 0, "URL has no scheme: write http://collector:4317"},
        {"grpc://c", NULL, 0, "scheme \"grpc\" is not supported: use http or https"},
        {"http://c/a b", NULL, 0, "path of the URL holds characters that must be percent-encoded"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct export_endpoint endpoint;
        struct error error;
        enum error_code code = export_endpoint_parse(slice_from_string(cases[i].url),
                                                     EXPORT_URL_GRPC, &endpoint, &error);
        assert_int_equal(code, cases[i].message == NULL ? ERROR_NONE : ERROR_USAGE);
        if (cases[i].message != NULL) {
            assert_string_equal(error.message, cases[i].message);
            continue;
        }
        assert_string_equal(endpoint.host_header, cases[i].host_header);
        assert_int_equal(endpoint.port, cases[i].port);
        assert_string_equal(endpoint.path,
                            "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    }
}

// A URL with a host of `host_len` and a path of `path_len` bytes.
static void our_own_setting_has_the_signal_path_once(void **state)
{
    static const struct {
        const char *url, *path;
    } cases[] = {
        {"http://c:4318", "/v1/traces"},
        {"http://c:4318/otlp/", "/otlp/v1/traces"},
        {"http://c:4318/v1/traces", "/v1/traces"},
        {"http://c:4318/v1/traces/", "/v1/traces"},
        {"http://c:4318/v1/traces//", "/v1/traces"},
        {"http://c:4318/v1/traces?key=1", "/v1/traces?key=1"},
        {"http://c:4318/v1/traces/?key=/v1/traces", "/v1/traces?key=/v1/traces"},
        {"http://c:4318/otlp/v1/traces#part", "/otlp/v1/traces"},
        {"http://c:4318/?key=/v1/traces", "/v1/traces?key=/v1/traces"},
        {"http://c:4318/xv1/traces", "/xv1/traces/v1/traces"},
        {"http://c:4318/v1/traces/x", "/v1/traces/x/v1/traces"},
        {"http://c:4318/v1", "/v1/v1/traces"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct export_endpoint endpoint;
        struct error error;
        assert_int_equal(export_endpoint_parse(slice_from_string(cases[i].url), EXPORT_URL_EITHER,
                                               &endpoint, &error),
                         ERROR_NONE);
        assert_string_equal(endpoint.path, cases[i].path);
    }
}

static void metrics_have_a_path_of_their_own(void **state)
{
    static const struct {
        const char *url;
        enum export_url kind;
        const char *path;
    } cases[] = {
        {"http://c:4318", EXPORT_URL_BASE, "/v1/metrics"},
        {"http://c:4318/otlp/", EXPORT_URL_BASE, "/otlp/v1/metrics"},
        {"http://c:4318/write", EXPORT_URL_WHOLE, "/write"},
        {"http://c:4318", EXPORT_URL_EITHER, "/v1/metrics"},
        {"http://c:4318/otlp/v1/metrics/", EXPORT_URL_EITHER, "/otlp/v1/metrics"},
        {"http://c:4318/otlp/v1/traces/?key=1", EXPORT_URL_EITHER, "/otlp/v1/metrics?key=1"},
        {"http://c:4318/v1/traces", EXPORT_URL_EITHER, "/v1/metrics"},
        {"http://c:4317", EXPORT_URL_GRPC,
         "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct export_endpoint endpoint;
        struct error error;
        assert_int_equal(export_endpoint_parse_for(EXPORT_METRICS, slice_from_string(cases[i].url),
                                                   cases[i].kind, &endpoint, &error),
                         ERROR_NONE);
        assert_string_equal(endpoint.path, cases[i].path);
    }
}

static enum error_code parse_long(size_t host_len, size_t path_len, bool is_base)
{
    static char url[4096];
    struct export_endpoint endpoint;
    struct error error;
    int len = snprintf(url, sizeof url, "http://");
    memset(url + len, 'h', host_len);
    memset(url + (size_t)len + host_len, 'p', path_len);
    if (path_len > 0)
        url[(size_t)len + host_len] = '/';
    return export_endpoint_parse((struct slice){url, (size_t)len + host_len + path_len},
                                 is_base ? EXPORT_URL_BASE : EXPORT_URL_WHOLE, &endpoint, &error);
}

static void long_urls_are_refused_rather_than_cut(void **state)
{
    (void)state;
    assert_int_equal(parse_long(255, 1, false), ERROR_NONE);
    assert_int_equal(parse_long(256, 1, false), ERROR_USAGE);
    assert_int_equal(parse_long(10, 1023, false), ERROR_NONE);
    assert_int_equal(parse_long(10, 1024, false), ERROR_USAGE);
    assert_int_equal(parse_long(10, 1023 - 10, true), ERROR_NONE);
    assert_int_equal(parse_long(10, 1023 - 9, true), ERROR_USAGE);
    assert_int_equal(parse_long(3000, 0, true), ERROR_USAGE);
}

static void formatting_never_writes_past_its_room(void **state)
{
    struct export_endpoint endpoint;
    struct error error;
    char text[8] = "xxxxxxx";
    (void)state;
    assert_int_equal(
        export_endpoint_parse(SLICE("http://collector:4318"), EXPORT_URL_BASE, &endpoint, &error),
        ERROR_NONE);
    export_endpoint_format(&endpoint, text, 5);
    assert_string_equal(text, "http");
    assert_int_equal(text[5], 'x');
}

// --- lists ------------------------------------------------------------------------------------

// "name=value|name=value" of what was read, or NULL when it was refused.
static char *read_headers(const char *text, char *shown, size_t size)
{
    struct arena arena;
    struct http_header *headers = NULL;
    struct error error = {.message = ""};
    size_t count = 0, len = 0;
    arena_init(&arena, 256);
    enum error_code code =
        export_headers_parse(slice_from_string(text), &arena, &headers, &count, &error);
    shown[0] = '\0';
    for (size_t i = 0; code == ERROR_NONE && i < count; i++)
        len += (size_t)snprintf(shown + len, size - len, "%s%.*s=%.*s", i > 0 ? "|" : "",
                                SLICE_ARGS(headers[i].name), SLICE_ARGS(headers[i].value));
    arena_release(&arena);
    if (code == ERROR_NONE)
        return shown;
    assert_int_equal(code, ERROR_USAGE);
    assert_true(error.message[0] != '\0');
    assert_null(strstr(error.message, "secret"));
    return NULL;
}

static char *read_lines(const char *text, char *shown, size_t size)
{
    struct arena arena;
    struct http_header *headers = NULL;
    struct error error = {.message = ""};
    size_t count = 0, len = 0;
    arena_init(&arena, 256);
    enum error_code code =
        export_header_lines_parse(slice_from_string(text), &arena, &headers, &count, &error);
    shown[0] = '\0';
    for (size_t i = 0; code == ERROR_NONE && i < count; i++)
        len += (size_t)snprintf(shown + len, size - len, "%s%.*s=%.*s", i > 0 ? "|" : "",
                                SLICE_ARGS(headers[i].name), SLICE_ARGS(headers[i].value));
    arena_release(&arena);
    if (code == ERROR_NONE)
        return shown;
    assert_int_equal(code, ERROR_USAGE);
    assert_non_null(strstr(error.message, "line "));
    assert_null(strstr(error.message, "secret"));
    return NULL;
}

static char *read_resource(const char *text, char *shown, size_t size)
{
    struct arena arena;
    struct attribute *items = NULL;
    struct error error = {.message = ""};
    size_t count = 0, len = 0;
    arena_init(&arena, 256);
    enum error_code code =
        export_resource_parse(slice_from_string(text), &arena, &items, &count, &error);
    shown[0] = '\0';
    for (size_t i = 0; code == ERROR_NONE && i < count; i++) {
        assert_int_equal(items[i].type, ATTRIBUTE_STRING);
        len += (size_t)snprintf(shown + len, size - len, "%s%s=%.*s", i > 0 ? "|" : "",
                                items[i].key, SLICE_ARGS(items[i].string));
    }
    arena_release(&arena);
    if (code == ERROR_NONE)
        return shown;
    assert_int_equal(code, ERROR_USAGE);
    assert_true(error.message[0] != '\0');
    return NULL;
}

struct list_case {
    const char *text, *shown; // NULL: refused
};

static void expect_lists(const struct list_case *cases, size_t count,
                         char *(*reader)(const char *text, char *shown, size_t size))
{
    char shown[512];
    for (size_t i = 0; i < count; i++) {
        const char *got = reader(cases[i].text, shown, sizeof shown);
        if ((got == NULL) != (cases[i].shown == NULL))
            fail_msg("\"%s\" was %s", cases[i].text, got == NULL ? "refused" : "taken");
        if (got != NULL)
            assert_string_equal(got, cases[i].shown);
    }
}

static void header_lists_are_split_trimmed_and_decoded(void **state)
{
    static const struct list_case cases[] = {
        {"", ""},
        {"api-key=key", "api-key=key"},
        {"k1=v1,k2=v2", "k1=v1|k2=v2"},
        {" k1 = v1 , k2\t=\tv2 ", "k1=v1|k2=v2"},
        {"k1=v1,", "k1=v1"},
        {",, k1=v1 ,,k2=v2,", "k1=v1|k2=v2"},
        // only the first '=' splits: base64 ends in them
        {"Authorization=Basic%20dXNlcjpwYXNz==", "Authorization=Basic dXNlcjpwYXNz=="},
        {"Authorization=Basic dXNlcjpwYXNz", "Authorization=Basic dXNlcjpwYXNz"},
        {"k=a%2Cb%3dc%25", "k=a,b=c%"},
        {"k=a+b", "k=a+b"},
        {"k=a;p=1", "k=a;p=1"},
        {"k=", "k="},
        {"k=%20x%20", "k=x"},
        {"k=1,k=2", "k=1|k=2"},
        {"k=caf%C3%A9", "k=caf\xc3\xa9"},
        {"a%20b=v", "a%20b=v"}, // names are not decoded, and '%' may be in one
        {"x!#$%&'*+-.^_`|~9=v", "x!#$%&'*+-.^_`|~9=v"},
    };
    (void)state;
    expect_lists(cases, COUNT(cases), read_headers);
}

static void headers_that_would_break_a_request_are_refused(void **state)
{
    static const struct list_case cases[] = {
        {"secret", NULL},           {"k1=v1,secret", NULL},
        {"=secret", NULL},          {" =secret", NULL},
        {"a b=secret", NULL},       {"a:b=secret", NULL},
        {"\xc3\xa9=secret", NULL},  {"k=secret%0d%0aX: 1", NULL},
        {"k=secret%0A", NULL},      {"k=secret%00", NULL},
        {"k=secret\r\nX: 1", NULL}, {"k=secret%7f", NULL},
        {"k=secret%", NULL},        {"k=secret%2", NULL},
        {"k=secret%zz", NULL},      {"k1=v1,k2=secret%0a", NULL},
        {"a(b)=secret", NULL},
    };
    (void)state;
    expect_lists(cases, COUNT(cases), read_headers);
}

static void lines_of_a_header_file_are_not_decoded(void **state)
{
    static const struct list_case cases[] = {
        {"", ""},
        {"\n\r\n  \n", ""},
        {"# secret: x\n  # y\n", ""},
        {"Authorization: Bearer a.b-c", "Authorization=Bearer a.b-c"},
        {"Authorization: Basic dXNlcjpwYXNz==\n", "Authorization=Basic dXNlcjpwYXNz=="},
        {"A: 1\r\nB:2\r\n", "A=1|B=2"},
        {"\xef\xbb\xbf"
         "A: 1\n",
         "A=1"},
        {"\xef\xbb\xbf", ""},
        {"A:\t x y \t\n", "A=x y"},
        {"A: b:c=%20,d#e", "A=b:c=%20,d#e"},
        {"User-Agent: me", "User-Agent=me"},
        {"A: caf\xc3\xa9", "A=caf\xc3\xa9"},
    };
    (void)state;
    expect_lists(cases, COUNT(cases), read_lines);
}

static void lines_that_would_break_a_request_are_refused(void **state)
{
    static const struct list_case cases[] = {
        {"secret", NULL},
        {"authorization=Bearer secret", NULL},
        {"authorization=Basic secret:secret", NULL},
        {"A: 1\n secret: folded", NULL},
        {"A: 1\n\tsecret", NULL},
        {": secret", NULL},
        {"A :secret", NULL},
        {"A:", NULL},
        {"A:  \t", NULL},
        {"A: secret\rB: 2", NULL},
        {"A: secret\x01", NULL},
        {"A: secret\x7f", NULL},
        {"A: secret\na: other", NULL},
        {"Host: secret", NULL},
        {"content-length: 1", NULL},
        {"TRANSFER-ENCODING: chunked", NULL},
        {"Content-Type: secret", NULL},
        {"connection: close", NULL},
        {"A: 1\n\xef\xbb\xbf"
         "B: 2",
         NULL},
    };
    (void)state;
    expect_lists(cases, COUNT(cases), read_lines);
    // A NUL ends no line and is no part of a value.
    struct arena arena;
    struct http_header *headers;
    size_t count;
    struct error error;
    arena_init(&arena, 256);
    assert_int_equal(export_header_lines_parse(SLICE("\xff\xfe"
                                                     "A\0"),
                                               &arena, &headers, &count, &error),
                     ERROR_USAGE);
    assert_string_equal(error.message, "is in UTF-16: save it as UTF-8");
    assert_int_equal(
        export_header_lines_parse(SLICE("A: 1\0002"), &arena, &headers, &count, &error),
        ERROR_USAGE);
    arena_release(&arena);
}

static void resource_attributes_are_decoded_on_both_sides(void **state)
{
    static const struct list_case cases[] = {
        {"", ""},
        {"service.name=ci", "service.name=ci"},
        {"k1=v1,k2=v2", "k1=v1|k2=v2"},
        {" k1 = v 1 ,\tk2=v2,", "k1=v 1|k2=v2"},
        {"k%2C1=a%2Cb%3Dc", "k,1=a,b=c"},
        {"k=a=b", "k=a=b"},
        {"k=a+b", "k=a+b"},
        {"k=", "k="},
        {"k=caf%c3%A9", "k=caf\xc3\xa9"},
        {"k=1,j=2,k=3", "k=3|j=2"},
    };
    (void)state;
    expect_lists(cases, COUNT(cases), read_resource);
}

static void any_error_discards_all_resource_attributes(void **state)
{
    static const struct list_case cases[] = {
        {"k", NULL},    {"k1=v1,k2", NULL},     {"=v", NULL},    {"k1=v1,=v", NULL}, {"k=%", NULL},
        {"k=%1", NULL}, {"k1=v1,k2=%xy", NULL}, {"%zz=v", NULL}, {"k%00=v", NULL},   {"  =v", NULL},
    };
    (void)state;
    expect_lists(cases, COUNT(cases), read_resource);
}

static void out_of_memory_is_distinguished_from_bad_input(void **state)
{
    (void)state;
    for (long skip = 0;; skip++) {
        struct arena arena;
        struct http_header *headers;
        struct attribute *items;
        struct error error;
        size_t count;
        bool is_done;
        arena_init(&arena, 16);
        memory_fail_after(skip);
        enum error_code code = export_headers_parse(SLICE("a=1,bbbbbbbbbbbbbbbbbbbbbbb=2"), &arena,
                                                    &headers, &count, &error);
        if (code == ERROR_NONE)
            code = export_resource_parse(SLICE("a=1,bbbbbbbbbbbbbbbbbbbbbbb=2"), &arena, &items,
                                         &count, &error);
        is_done = memory_count_allocations() <= skip;
        memory_fail_after(-1);
        arena_release(&arena);
        if (is_done) {
            assert_int_equal(code, ERROR_NONE);
            assert_true(skip > 2);
            return;
        }
        assert_int_equal(code, ERROR_MEMORY);
        assert_int_equal(error.code, ERROR_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_urls_get_the_signal_path),
        cmocka_unit_test(a_target_of_grpc_has_its_own_port_and_path),
        cmocka_unit_test(our_own_setting_has_the_signal_path_once),
        cmocka_unit_test(signal_urls_are_used_unchanged),
        cmocka_unit_test(hosts_and_ports_are_read_in_all_their_forms),
        cmocka_unit_test(what_is_no_collector_url_is_refused),
        cmocka_unit_test(no_error_shows_part_of_a_password),
        cmocka_unit_test(the_error_for_a_url_without_scheme_shows_the_correct_form),
        cmocka_unit_test(metrics_have_a_path_of_their_own),
        cmocka_unit_test(long_urls_are_refused_rather_than_cut),
        cmocka_unit_test(formatting_never_writes_past_its_room),
        cmocka_unit_test(header_lists_are_split_trimmed_and_decoded),
        cmocka_unit_test(headers_that_would_break_a_request_are_refused),
        cmocka_unit_test(lines_of_a_header_file_are_not_decoded),
        cmocka_unit_test(lines_that_would_break_a_request_are_refused),
        cmocka_unit_test(resource_attributes_are_decoded_on_both_sides),
        cmocka_unit_test(any_error_discards_all_resource_attributes),
        cmocka_unit_test(out_of_memory_is_distinguished_from_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
