// OpenTelemetry's variables beneath our settings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "configuring.h"
#include "ghatrace/export/exporter.h"

#define GRPC_PATH "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define BASE "OTEL_EXPORTER_OTLP_ENDPOINT="
#define SIGNAL "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="

static void build(struct configuring *c)
{
    if (configuring_build_all(c) != ERROR_NONE)
        fail_msg("%s", c->error.message);
}

static void the_proxy_is_that_of_the_setting_or_of_the_variable_that_applies(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *variables[4];
        const char *from; // NULL: no proxy
        const char *shown;
    } cases[] = {
        {"http://a:1", {NULL}, NULL, NULL},
        {"http://a:1", {"http_proxy=http://u:hidden@p:1"}, "http_proxy", "http://p:1"},
        {"http://a:1", {"HTTP_PROXY=http://u:hidden@p:1/"}, "HTTP_PROXY", "http://p:1"},
        {"http://a:1", {"https_proxy=http://p", "HTTPS_PROXY=http://p"}, NULL, NULL},
        {"https://a:1", {"https_proxy=http://p", "HTTPS_PROXY=q"}, "https_proxy", "http://p:80"},
        {"https://a:1", {"HTTPS_PROXY=https://p"}, "HTTPS_PROXY", "https://p:443"},
        {"https://a:1", {"http_proxy=http://p", "HTTP_PROXY=http://p"}, NULL, NULL},
        {"http://a:1", {"all_proxy=socks5://p"}, "all_proxy", "socks5://p:1080"},
        {"https://a:1", {"ALL_PROXY=SOCKS5H://[::2]:7"}, "ALL_PROXY", "socks5h://[::2]:7"},
        {"http://a:1", {"http_proxy="}, NULL, NULL},                 // empty counts as unset
        {"http://127.0.0.1:1", {"http_proxy=http://p"}, NULL, NULL}, // this machine
        {"http://localhost:1", {"http_proxy=http://p"}, NULL, NULL},
        {"http://[::1]:7", {"http_proxy=p"}, NULL, NULL},
        {"http://127.example.com", {"http_proxy=p:80"}, "http_proxy", "http://p:80"},
        {"http://a:1", {"http_proxy=p", "no_proxy=*"}, NULL, NULL},
        {"http://a:1", {"http_proxy=p", "NO_PROXY=b, A"}, NULL, NULL},
        {"http://a:1", {"http_proxy=p:8", "NO_PROXY=a", "no_proxy=b"}, "http_proxy", "http://p:8"},
        {"http://a:1", {"http_proxy=p:8", "no_proxy=a:2"}, "http_proxy", "http://p:8"},
        {"http://a:1", {"http_proxy=p", "no_proxy=a:1"}, NULL, NULL},
        {"http://x.example.com", {"http_proxy=p", "no_proxy=example.com"}, NULL, NULL},
        {"http://x.example.com.", {"http_proxy=p", "no_proxy=.example.com"}, NULL, NULL},
        {"http://x.example.com", {"http_proxy=p", "no_proxy=*.example.com"}, NULL, NULL},
        {"http://xexample.com",
         {"http_proxy=p:8", "no_proxy=example.com"},
         "http_proxy",
         "http://p:8"},
        {"http://example.com",
         {"http_proxy=p:8", "no_proxy=x.example.com,."},
         "http_proxy",
         "http://p:8"},
        {"http://10.1.2.3", {"http_proxy=p", "no_proxy=10.0.0.0/8"}, NULL, NULL},
        {"http://11.1.2.3",
         {"http_proxy=p:8", "no_proxy=10.0.0.0/8,.3"},
         "http_proxy",
         "http://p:8"},
        {"http://[::2]:7", {"http_proxy=p", "no_proxy=::2"}, NULL, NULL},
        {"http://[::2]:7", {"http_proxy=p", "no_proxy=[::2]:7"}, NULL, NULL},
        {"http://[::2]:7", {"http_proxy=p:8", "no_proxy=[::2]:8"}, "http_proxy", "http://p:8"},
        {"http://a:1", {"http_proxy=p", "GHATRACE_OTLP_PROXY=off"}, NULL, NULL},
        {"http://a:1", {"http_proxy=p:8", "GHATRACE_OTLP_PROXY=OFF"}, NULL, NULL},
        {"http://a:1", {"http_proxy=p:8", "GHATRACE_OTLP_PROXY=Off"}, NULL, NULL},
        {"http://127.0.0.1:1",
         {"no_proxy=*", "GHATRACE_OTLP_PROXY=u:hidden@q:9"},
         "GHATRACE_OTLP_PROXY",
         "http://q:9"},
        {"", {"http_proxy=http://p"}, NULL, NULL}, // nothing is exported
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        for (size_t j = 0; j < 4 && cases[i].variables[j] != NULL; j++)
            configuring_variable(&c, cases[i].variables[j]);
        configuring_flag(&c, "otlp-endpoint", cases[i].url);
        build(&c);
        const struct config_export *exporting = &c.config.exporting;
        const char *from = exporting->proxy_from != NULL ? exporting->proxy_from : "none";
        if (strcmp(from, cases[i].from != NULL ? cases[i].from : "none") != 0)
            fail_msg("case %zu has a proxy from %s", i, from);
        assert_string_equal(exporting->options.endpoint.proxy.shown,
                            cases[i].shown != NULL ? cases[i].shown : "");
        assert_int_equal(exporting->options.endpoint.proxy.url[0] != '\0', cases[i].from != NULL);
        configuring_release(&c);
    }
}

static void a_proxy_that_cannot_be_used_is_refused_without_its_secrets(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "ftp://u:hidden@p",
        "http://u:hidden@",
        "http://u:hidden@p:99999",
        "http://u:hidden@p/x",
        "http://u:hid den@p",
        "http://u:hidden@x@p",
        "http://",
        "none",
        "false",
        "proxy",
        "u:hidden@proxy",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_flag(&c, "otlp-endpoint", "http://a:1");
        configuring_flag(&c, "otlp-proxy", urls[i]);
        assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
        if (strstr(c.error.message, "--otlp-proxy: ") == NULL ||
            strstr(c.error.message, "hid") != NULL)
            fail_msg("%s: %s", urls[i], c.error.message);
        configuring_release(&c);
    }
}

static void the_endpoint_is_where_the_strongest_source_says(void **state)
{
    (void)state;
    static const struct {
        const char *base, *signal, *own; // variables; our flag
        const char *url, *from;          // NULL: no export
    } cases[] = {
        {NULL, NULL, NULL, NULL, NULL},
        {BASE, SIGNAL, NULL, NULL, NULL}, // empty counts as unset
        {BASE "http://a:1", NULL, NULL, "http://a:1/v1/traces", "OTEL_EXPORTER_OTLP_ENDPOINT"},
        {BASE "http://a:1/x/", NULL, NULL, "http://a:1/x/v1/traces", "OTEL_EXPORTER_OTLP_ENDPOINT"},
        {NULL, SIGNAL "http://b:2", NULL, "http://b:2/", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
        {BASE "http://a:1", SIGNAL "http://b:2/y", NULL, "http://b:2/y",
         "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
        {BASE "http://a:1", SIGNAL, NULL, "http://a:1/v1/traces", "OTEL_EXPORTER_OTLP_ENDPOINT"},
        {BASE "http://a:1", SIGNAL "http://b:2/y", "http://c:3", "http://c:3/v1/traces",
         "--otlp-endpoint"},
        {BASE "nonsense", SIGNAL "nonsense", "http://c:3", "http://c:3/v1/traces",
         "--otlp-endpoint"},
        {NULL, NULL, "http://c:3/v1/traces", "http://c:3/v1/traces", "--otlp-endpoint"},
        {NULL, NULL, "http://c:3/x/v1/traces/?k", "http://c:3/x/v1/traces?...", "--otlp-endpoint"},
        {BASE "http://a:1/v1/traces", NULL, NULL, "http://a:1/v1/traces/v1/traces",
         "OTEL_EXPORTER_OTLP_ENDPOINT"},
        {BASE "http://a:1", SIGNAL "http://b:2/y", "", NULL, NULL}, // set to nothing by us: off
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        if (cases[i].base != NULL)
            configuring_variable(&c, cases[i].base);
        if (cases[i].signal != NULL)
            configuring_variable(&c, cases[i].signal);
        if (cases[i].own != NULL)
            configuring_flag(&c, "otlp-endpoint", cases[i].own);
        build(&c);
        assert_int_equal(c.config.exporting.is_on, cases[i].url != NULL);
        if (cases[i].url != NULL) {
            assert_string_equal(c.config.exporting.url, cases[i].url);
            assert_string_equal(c.config.exporting.url_from, cases[i].from);
        }
        configuring_release(&c);
    }
}

static void a_path_that_collectors_will_not_know_is_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *own, *warning; // NULL: none
    } cases[] = {
        {BASE "http://a:1/v1/traces", NULL, "OTEL_EXPORTER_OTLP_ENDPOINT: ends in v1/traces"},
        {BASE "http://a:1/v1/traces/", NULL, "OTEL_EXPORTER_OTLP_ENDPOINT: ends in v1/traces"},
        {BASE "http://a:1/x/v1/traces?hidden", NULL,
         "OTEL_EXPORTER_OTLP_ENDPOINT: ends in v1/traces"},
        {BASE "http://a:1/x", NULL, NULL},
        {BASE "http://a:1/v1/metrics", NULL, "metrics"},
        {SIGNAL "http://a:1/v1/traces", NULL, NULL},
        {SIGNAL "http://a:1/api/x?k", NULL, NULL},
        {SIGNAL "http://a:1/v1/traces/", NULL, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: is used as it"},
        {SIGNAL "http://a:1", NULL, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: is used as it is"},
        {SIGNAL "http://a:1?hidden", NULL, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: is used as it is"},
        {SIGNAL "http://a:1/v1/logs", NULL, "logs"},
        {NULL, "http://a:1/v1/traces/", NULL},
        {NULL, "http://a:1/v1/traces?k", NULL},
        {NULL, "http://a:1/v1/metrics", "--otlp-endpoint: this path is for metrics"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        if (cases[i].variable != NULL)
            configuring_variable(&c, cases[i].variable);
        if (cases[i].own != NULL)
            configuring_flag(&c, "otlp-endpoint", cases[i].own);
        build(&c);
        if (cases[i].warning != NULL && !configuring_warns(&c, cases[i].warning))
            fail_msg("case %zu lacks \"%s\"", i, cases[i].warning);
        // insecure-no-signature is warned of, too
        assert_int_equal(c.config.warnings.count, cases[i].warning != NULL ? 2 : 1);
        assert_false(configuring_warns(&c, "hidden"));
        configuring_release(&c);
    }
}

static void a_bad_endpoint_is_an_error_that_names_its_source(void **state)
{
    (void)state;
    static const char *const entries[] = {BASE "collector:4317", SIGNAL "ftp://x"};
    static const char *const names[] = {"OTEL_EXPORTER_OTLP_ENDPOINT: ",
                                        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "};
    for (size_t i = 0; i < 2; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_variable(&c, entries[i]);
        assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
        assert_true(
            slice_starts_with(slice_from_string(c.error.message), slice_from_string(names[i])));
        configuring_release(&c);
    }
}

static void certificates_for_https_are_where_the_strongest_source_says(void **state)
{
    static const struct {
        const char *variables[6];
        const char *flags[6]; // name, value
        const char *ca, *certificate, *key;
        const char *fault; // NULL: none
    } cases[] = {
        {{NULL}, {NULL}, NULL, NULL, NULL, NULL},
        {{"OTEL_EXPORTER_OTLP_CERTIFICATE=a"}, {NULL}, "a", NULL, NULL, NULL},
        {{"OTEL_EXPORTER_OTLP_CERTIFICATE="}, {NULL}, NULL, NULL, NULL, NULL},
        {{"OTEL_EXPORTER_OTLP_CERTIFICATE=a", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=b"},
         {NULL},
         "b",
         NULL,
         NULL,
         NULL},
        {{"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=b"},
         {"otlp-certificate", "c"},
         "c",
         NULL,
         NULL,
         NULL},
        {{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=d", "OTEL_EXPORTER_OTLP_CLIENT_KEY=e"},
         {NULL},
         NULL,
         "d",
         "e",
         NULL},
        {{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=d", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=e"},
         {"otlp-client-certificate", "f", "otlp-client-key", "g"},
         NULL,
         "f",
         "g",
         NULL},
        {{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=d"},
         {NULL},
         NULL,
         NULL,
         NULL,
         "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: a client certificate and its key"},
        {{"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=d"},
         {NULL},
         NULL,
         NULL,
         NULL,
         "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: a client certificate and its key"},
        {{NULL},
         {"otlp-client-key", "g"},
         NULL,
         NULL,
         NULL,
         "--otlp-client-key: a client certificate and its key"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_variable(&c, BASE "https://a:1");
        for (size_t j = 0; cases[i].variables[j] != NULL; j++)
            configuring_variable(&c, cases[i].variables[j]);
        for (size_t j = 0; cases[i].flags[j] != NULL; j += 2)
            configuring_flag(&c, cases[i].flags[j], cases[i].flags[j + 1]);
        enum error_code code = configuring_build_all(&c);
        assert_int_equal(code, cases[i].fault == NULL ? ERROR_NONE : ERROR_USAGE);
        const char *const expected[] = {cases[i].ca, cases[i].certificate, cases[i].key};
        const struct net_tls_client_options *tls = &c.config.exporting.tls;
        const char *const found[] = {tls->ca_file, tls->certificate_file, tls->key_file};
        for (size_t j = 0; j < 3 && code == ERROR_NONE; j++) {
            assert_int_equal(found[j] == NULL, expected[j] == NULL);
            if (expected[j] != NULL)
                assert_string_equal(found[j], expected[j]);
        }
        if (code != ERROR_NONE)
            assert_true(slice_starts_with(slice_from_string(c.error.message),
                                          slice_from_string(cases[i].fault)));
        configuring_release(&c);
    }
}

static void the_off_switches_turn_export_off(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        bool is_on;
        const char *warning; // NULL: none
    } cases[] = {
        {"OTEL_SDK_DISABLED=true", false, "OTEL_SDK_DISABLED"},
        {"OTEL_SDK_DISABLED=TRUE", false, "OTEL_SDK_DISABLED"},
        {"OTEL_SDK_DISABLED=1", true, NULL}, // only the word `true` is true
        {"OTEL_SDK_DISABLED=yes", true, NULL},
        {"OTEL_SDK_DISABLED=", true, NULL},
        {"OTEL_TRACES_EXPORTER=none", false, "OTEL_TRACES_EXPORTER"},
        {"OTEL_TRACES_EXPORTER=otlp", true, NULL},
        {"OTEL_TRACES_EXPORTER=zipkin", true, "\"zipkin\" is ignored"},
        {"OTEL_TRACES_EXPORTER=", true, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_variable(&c, BASE "http://a:1");
        configuring_variable(&c, cases[i].entry);
        build(&c);
        assert_int_equal(c.config.exporting.is_on, cases[i].is_on);
        if (cases[i].warning != NULL)
            assert_true(configuring_warns(&c, cases[i].warning));
        else
            assert_int_equal(c.config.warnings.count, 1); // that nothing is signed
        configuring_release(&c);
    }
}

static void the_port_of_grpc_is_warned_of(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_variable(&c, BASE "http://a:4317");
    build(&c);
    assert_true(configuring_warns(&c, "OTEL_EXPORTER_OTLP_ENDPOINT: port 4317"));
    configuring_release(&c);
}

static void an_endpoint_of_grpc_has_its_own_port_and_path(void **state)
{
    static const struct {
        const char *variable, *url;
        const char *warning; // NULL: none
    } cases[] = {
        {BASE "http://a", "http://a:4317" GRPC_PATH, NULL},
        {BASE "https://a/", "https://a:4317" GRPC_PATH, NULL},
        {BASE "https://a:443", "https://a" GRPC_PATH, NULL},
        {SIGNAL "http://a:99", "http://a:99" GRPC_PATH, NULL},
        {SIGNAL "http://a/v1/traces?key=x", "http://a:4317" GRPC_PATH, "its path is not used"},
        {BASE "http://a:4318", "http://a:4318" GRPC_PATH, "port 4318 is OTLP/HTTP's"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_variable(&c, cases[i].variable);
        configuring_variable(&c, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc");
        build(&c);
        assert_string_equal(c.config.exporting.url, cases[i].url);
        if (cases[i].warning != NULL)
            assert_true(configuring_warns(&c, cases[i].warning));
        else
            assert_int_equal(c.config.warnings.count, 1);
        configuring_release(&c);
    }
}

static void protocol_compression_and_timeout_follow_their_variables(void **state)
{
    (void)state;
    static const struct {
        const char *entry;        // NULL: none
        const char *name, *value; // our flag; NULL: none
        unsigned protocol;
        bool gzip;
        duration_ns timeout;
        const char *warning; // NULL: none
    } cases[] = {
        {NULL, NULL, NULL, EXPORT_PROTOBUF, false, 10 * NS_PER_SECOND, NULL},
        {"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", NULL, NULL, EXPORT_JSON, false,
         10 * NS_PER_SECOND, NULL},
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=HTTP/JSON", NULL, NULL, EXPORT_JSON, false,
         10 * NS_PER_SECOND, NULL},
        {"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", NULL, NULL, EXPORT_GRPC, false, 10 * NS_PER_SECOND,
         NULL},
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=GRPC", NULL, NULL, EXPORT_GRPC, false,
         10 * NS_PER_SECOND, NULL},
        {"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "otlp-protocol", "grpc", EXPORT_GRPC, false,
         10 * NS_PER_SECOND, NULL},
        {"OTEL_EXPORTER_OTLP_PROTOCOL=http", NULL, NULL, EXPORT_PROTOBUF, false, 10 * NS_PER_SECOND,
         "OTEL_EXPORTER_OTLP_PROTOCOL: \"http\" is not supported: http/protobuf is used"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "otlp-protocol", "http/protobuf", EXPORT_PROTOBUF,
         0, 10 * NS_PER_SECOND, NULL},
        {"OTEL_EXPORTER_OTLP_COMPRESSION=gzip", NULL, NULL, EXPORT_PROTOBUF, true,
         10 * NS_PER_SECOND, NULL},
        {"OTEL_EXPORTER_OTLP_COMPRESSION=zstd", NULL, NULL, EXPORT_PROTOBUF, false,
         10 * NS_PER_SECOND, "\"zstd\" is not supported: none is used"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "otlp-compression", "none", EXPORT_PROTOBUF, false,
         10 * NS_PER_SECOND, NULL},
        {"OTEL_EXPORTER_OTLP_TIMEOUT=1500", NULL, NULL, EXPORT_PROTOBUF, false, 1500 * NS_PER_MS,
         NULL},
        {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=0", NULL, NULL, EXPORT_PROTOBUF, false, 0, NULL},
        {"OTEL_EXPORTER_OTLP_TIMEOUT=-1", NULL, NULL, EXPORT_PROTOBUF, false, 10 * NS_PER_SECOND,
         "\"-1\" is not a number of milliseconds: 10s is used"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT=10s", NULL, NULL, EXPORT_PROTOBUF, false, 10 * NS_PER_SECOND,
         "\"10s\" is not a number of milliseconds"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT=99999999999999", NULL, NULL, EXPORT_PROTOBUF, false,
         10 * NS_PER_SECOND, "is not a number of milliseconds"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT=1500", "otlp-timeout", "2s", EXPORT_PROTOBUF, false,
         2 * NS_PER_SECOND, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_variable(&c, BASE "http://a:1");
        if (cases[i].entry != NULL)
            configuring_variable(&c, cases[i].entry);
        if (cases[i].name != NULL)
            configuring_flag(&c, cases[i].name, cases[i].value);
        build(&c);
        assert_int_equal(c.config.exporting.options.protocol, cases[i].protocol);
        assert_int_equal(c.config.exporting.options.gzip, cases[i].gzip);
        assert_int_equal(c.config.exporting.options.timeout, cases[i].timeout);
        if (cases[i].warning != NULL)
            assert_true(configuring_warns(&c, cases[i].warning));
        else
            assert_int_equal(c.config.warnings.count, 1);
        configuring_release(&c);
    }
}

static void check_headers(const struct configuring *c, const char *wanted)
{
    char text[256];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < c->config.exporting.options.header_count; i++) {
        const struct http_header *header = &c->config.exporting.options.headers[i];
        len += (size_t)snprintf(text + len, sizeof text - len, "[%.*s: %.*s]",
                                SLICE_ARGS(header->name), SLICE_ARGS(header->value));
    }
    assert_string_equal(text, wanted);
}

static void headers_of_the_signal_replace_the_general_ones_and_ours_all(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_variable(&c, BASE "http://a:1");
    configuring_variable(&c, "OTEL_EXPORTER_OTLP_HEADERS=a=1,b=two%20words");
    build(&c);
    check_headers(&c, "[a: 1][b: two words]");
    configuring_variable(&c, "OTEL_EXPORTER_OTLP_TRACES_HEADERS=c=dGVzdA==");
    build(&c);
    check_headers(&c, "[c: dGVzdA==]");
    configuring_flag(&c, "otlp-header", "authorization=Bearer x");
    configuring_flag(&c, "otlp-header", "d=4");
    build(&c);
    check_headers(&c, "[authorization: Bearer x][d: 4]");
    configuring_release(&c);
}

static void a_bad_header_is_an_error_that_does_not_show_its_value(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_flag(&c, "otlp-endpoint", "http://a:1");
    configuring_flag(&c, "otlp-header", "name=sesame%zz");
    assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
    assert_true(slice_starts_with(slice_from_string(c.error.message), SLICE("--otlp-header: ")));
    assert_null(strstr(c.error.message, "sesame"));
    configuring_release(&c);
}

static void a_header_that_grpc_cannot_send_is_an_error(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_flag(&c, "otlp-endpoint", "http://a:1");
    configuring_flag(&c, "otlp-header", "name=s%C3%A9same");
    build(&c);
    configuring_flag(&c, "otlp-protocol", "grpc");
    assert_int_equal(configuring_build_all(&c), ERROR_USAGE);
    assert_non_null(strstr(c.error.message, "\"name\""));
    assert_null(strstr(c.error.message, "same"));
    configuring_release(&c);
}

static void the_service_name_comes_from_the_strongest_source(void **state)
{
    (void)state;
    static const struct {
        const char *resource, *service; // variables; NULL: none
        const char *own;
        const char *name; // "": from the repository
    } cases[] = {
        {NULL, NULL, NULL, ""},
        {"OTEL_RESOURCE_ATTRIBUTES=service.name=r", NULL, NULL, "r"},
        {"OTEL_RESOURCE_ATTRIBUTES=service.name=r", "OTEL_SERVICE_NAME=s", NULL, "s"},
        {"OTEL_RESOURCE_ATTRIBUTES=service.name=r", "OTEL_SERVICE_NAME=", NULL, "r"},
        {"OTEL_RESOURCE_ATTRIBUTES=service.name=r", "OTEL_SERVICE_NAME=s", "o", "o"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        if (cases[i].resource != NULL)
            configuring_variable(&c, cases[i].resource);
        if (cases[i].service != NULL)
            configuring_variable(&c, cases[i].service);
        if (cases[i].own != NULL)
            configuring_flag(&c, "service-name", cases[i].own);
        build(&c);
        assert_true(
            slice_equals(c.config.engine.policy.service_name, slice_from_string(cases[i].name)));
        assert_int_equal(c.config.engine.policy.resource_extra_count, 0);
        configuring_release(&c);
    }
}

static void resource_attributes_are_kept_but_for_the_service_name(void **state)
{
    (void)state;
    struct configuring c;
    const struct trace_policy *policy = &c.config.engine.policy;
    configuring_init(&c);
    configuring_variable(&c, "OTEL_RESOURCE_ATTRIBUTES=a=1,service.name=r,b=x%2Cy");
    build(&c);
    assert_int_equal(policy->resource_extra_count, 2);
    assert_string_equal(policy->resource_extra[0].key, "a");
    assert_string_equal(policy->resource_extra[1].key, "b");
    assert_true(slice_equals(policy->resource_extra[1].string, SLICE("x,y")));
    assert_true(slice_equals(policy->service_name, SLICE("r")));
    configuring_release(&c);
}

static void resource_attributes_with_any_fault_are_discarded_whole(void **state)
{
    (void)state;
    static const char *const entries[] = {"OTEL_RESOURCE_ATTRIBUTES=a=1,b",
                                          "OTEL_RESOURCE_ATTRIBUTES=service.name=r,b=%zz"};
    for (size_t i = 0; i < 2; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_variable(&c, entries[i]);
        build(&c);
        assert_int_equal(c.config.engine.policy.resource_extra_count, 0);
        assert_int_equal(c.config.engine.policy.service_name.len, 0);
        assert_true(configuring_warns(&c, "OTEL_RESOURCE_ATTRIBUTES is ignored"));
        configuring_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_proxy_is_that_of_the_setting_or_of_the_variable_that_applies),
        cmocka_unit_test(a_proxy_that_cannot_be_used_is_refused_without_its_secrets),
        cmocka_unit_test(the_endpoint_is_where_the_strongest_source_says),
        cmocka_unit_test(a_path_that_collectors_will_not_know_is_warned_of),
        cmocka_unit_test(a_bad_endpoint_is_an_error_that_names_its_source),
        cmocka_unit_test(certificates_for_https_are_where_the_strongest_source_says),
        cmocka_unit_test(the_off_switches_turn_export_off),
        cmocka_unit_test(the_port_of_grpc_is_warned_of),
        cmocka_unit_test(an_endpoint_of_grpc_has_its_own_port_and_path),
        cmocka_unit_test(protocol_compression_and_timeout_follow_their_variables),
        cmocka_unit_test(headers_of_the_signal_replace_the_general_ones_and_ours_all),
        cmocka_unit_test(a_header_that_grpc_cannot_send_is_an_error),
        cmocka_unit_test(a_bad_header_is_an_error_that_does_not_show_its_value),
        cmocka_unit_test(the_service_name_comes_from_the_strongest_source),
        cmocka_unit_test(resource_attributes_are_kept_but_for_the_service_name),
        cmocka_unit_test(resource_attributes_with_any_fault_are_discarded_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
