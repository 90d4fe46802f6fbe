// The table of settings, and finding one in it.
#include "ghatrace/app/options.h"

#include <ctype.h>

#include "ghatrace/app/config.h"

#define FIELD(name) .field = offsetof(struct config, name)
// No upper bound that anybody would meet; and added to a time of our days it is still one.
#define NEVER (100 * 365 * NS_PER_DAY)
#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)

// clang-format off
const struct option options[OPTIONS_COUNT] = {
    [OPTION_ID_LISTEN] = {
        "listen", OPTION_TEXT, "127.0.0.1:8080", "HOST:PORT",
        "where webhooks come in; [V6]:PORT works, port 0 takes any free one", FIELD(listen)},
    [OPTION_ID_WEBHOOK_PATH] = {
        "webhook-path", OPTION_TEXT, "/webhook", "PATH",
        "path of the webhook's URL", FIELD(webhook_path)},
    [OPTION_ID_WEBHOOK_SECRET_FILE] = {
        "webhook-secret-file", OPTION_TEXT, NULL, "FILE",
        "webhook secrets, one a line, any of them may sign; read again on SIGHUP",
        FIELD(webhook_secret_file), .unpreset = "GITHUB_WEBHOOK_SECRET"},
    [OPTION_ID_INSECURE_NO_SIGNATURE] = {
        "insecure-no-signature", OPTION_SWITCH, "off", "on|off",
        "take webhooks from anybody, unsigned: for trying things out",
        FIELD(insecure_no_signature)},
    [OPTION_ID_TLS_CERT] = {
        "tls-cert", OPTION_TEXT, NULL, "FILE",
        "certificate of the webhook listener and what leads to its root, PEM; read again on SIGHUP",
        FIELD(tls_cert), .unpreset = "plain HTTP"},
    [OPTION_ID_TLS_KEY] = {
        "tls-key", OPTION_TEXT, NULL, "FILE",
        "the certificate's private key, PEM, without password; read again on SIGHUP",
        FIELD(tls_key), .unpreset = "plain HTTP"},
    [OPTION_ID_TLS_CLIENT_CA] = {
        "tls-client-ca", OPTION_TEXT, NULL, "FILE",
        "authorities of client certificates, PEM: webhooks only from clients that have one",
        FIELD(tls_client_ca), .unpreset = "no client certificates"},
    [OPTION_ID_ADMIN_LISTEN] = {
        "admin-listen", OPTION_TEXT, "127.0.0.1:8081", "HOST:PORT|off",
        "where the live page, metrics, API and health are served", FIELD(admin_listen)},
    [OPTION_ID_ADMIN_TOKEN_FILE] = {
        "admin-token-file", OPTION_TEXT, NULL, "FILE",
        "tokens that open them, one a line, as password or bearer token; read again on SIGHUP",
        FIELD(admin_token_file), .unpreset = "none: from localhost only"},
    [OPTION_ID_ADMIN_TLS] = {
        "admin-tls", OPTION_SWITCH, "off", "on|off",
        "serve them by HTTPS, with tls-cert and tls-key", FIELD(admin_tls)},
    [OPTION_ID_ADMIN_CLIENT_CA] = {
        "admin-client-ca", OPTION_TEXT, NULL, "FILE",
        "authorities of client certificates, PEM: by HTTPS, and only for those who have one",
        FIELD(admin_client_ca), .unpreset = "no client certificates"},
    [OPTION_ID_TRACE_URL] = {
        "trace-url", OPTION_TEXT, NULL, "URL",
        "where the tracing backend shows a trace, with {trace_id} in it: the live page links to it",
        FIELD(trace_url), .unpreset = "no links"},
    [OPTION_ID_METRICS_MAX_SERIES] = {
        "metrics-max-series", OPTION_COUNT, "1000", "N",
        "runner pools, and sets of labels of jobs, of runs and of steps; beyond it the one unused for "
        "longest is added to \"other\"",
        FIELD(metrics_max_series), .least = 1, .most = 5000,
        .why_most = "/metrics would take seconds and hundreds of megabytes"},
    [OPTION_ID_DB] = {
        "db", OPTION_TEXT, "ghatrace.db", "FOLDER",
        "folder of the local store", FIELD(db)},
    [OPTION_ID_OTLP_ENDPOINT] = {
        "otlp-endpoint", OPTION_TEXT, NULL, "URL",
        "base URL of the OTLP/HTTP collector; v1/traces is added unless it is there; empty: no export",
        FIELD(otlp_endpoint), .unpreset = "OTEL_EXPORTER_OTLP_*, else no export",
        .may_be_empty = true},
    [OPTION_ID_OTLP_PROTOCOL] = {
        "otlp-protocol", OPTION_CHOICE, "http/protobuf", "http/protobuf|http/json",
        "encoding of what is exported", FIELD(otlp_protocol)},
    [OPTION_ID_OTLP_HEADER] = {
        "otlp-header", OPTION_LIST, NULL, "NAME=VALUE",
        "header of each export request, as in OTEL_EXPORTER_OTLP_HEADERS; may be repeated",
        FIELD(otlp_headers), .unpreset = "none"},
    [OPTION_ID_OTLP_HEADER_FILE] = {
        "otlp-header-file", OPTION_TEXT, NULL, "FILE",
        "headers of each export request, one `Name: value` a line; read again when it changes, on 401, on SIGHUP",
        FIELD(otlp_header_file), .unpreset = "none"},
    [OPTION_ID_OTLP_TIMEOUT] = {
        "otlp-timeout", OPTION_DURATION, "10s", "TIME",
        "time for one export request; 0 means no limit", FIELD(otlp_timeout),
        .least = 0, .most = NS_PER_HOUR},
    [OPTION_ID_OTLP_COMPRESSION] = {
        "otlp-compression", OPTION_CHOICE, "none", "none|gzip",
        "compression of what is exported", FIELD(otlp_compression)},
    [OPTION_ID_OTLP_CERTIFICATE] = {
        "otlp-certificate", OPTION_TEXT, NULL, "FILE",
        "authorities to trust for an https collector, PEM", FIELD(otlp_certificate),
        .unpreset = "OTEL_EXPORTER_OTLP_CERTIFICATE, else the system's"},
    [OPTION_ID_OTLP_CLIENT_CERTIFICATE] = {
        "otlp-client-certificate", OPTION_TEXT, NULL, "FILE",
        "certificate to show to an https collector, PEM", FIELD(otlp_client_certificate),
        .unpreset = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, else none"},
    [OPTION_ID_OTLP_CLIENT_KEY] = {
        "otlp-client-key", OPTION_TEXT, NULL, "FILE",
        "its private key, PEM, without password", FIELD(otlp_client_key),
        .unpreset = "OTEL_EXPORTER_OTLP_CLIENT_KEY, else none"},
    [OPTION_ID_SERVICE_NAME] = {
        "service-name", OPTION_TEXT, NULL, "NAME",
        "service.name of all traces", FIELD(service_name),
        .unpreset = "OTEL_SERVICE_NAME, else the repository"},
    [OPTION_ID_ID_SCHEME] = {
        "id-scheme", OPTION_CHOICE, "arc", "arc|collector|runner",
        "whose trace and span IDs to make", FIELD(id_scheme)},
    [OPTION_ID_RUNNER_SPANS] = {
        "runner-spans", OPTION_SWITCH, "on", "on|off",
        "spans for waiting, queue, start-up and execution; off where the runners send them",
        FIELD(runner_spans)},
    [OPTION_ID_STEPS] = {
        "steps", OPTION_SWITCH, "on", "on|off",
        "spans for steps", FIELD(steps)},
    [OPTION_ID_REPOS] = {
        "repos", OPTION_LIST, NULL, "GLOB",
        "repositories to trace, as OWNER/NAME globs (*, ?, [a-z]) in any case, !GLOB excludes; the last "
        "that matches decides; may be repeated",
        FIELD(repos), .unpreset = "all"},
    [OPTION_ID_INGRESS_THREADS] = {
        "ingress-threads", OPTION_COUNT, NULL, "N",
        "threads that take webhooks", FIELD(ingress_threads), .least = 1, .most = 256,
        .unpreset = "one a core, at most 4"},
    [OPTION_ID_ALLOW_FROM] = {
        "allow-from", OPTION_LIST, NULL, "NETWORK",
        "networks that webhooks may come from, as 192.0.2.0/24 or 2001:db8::/32; may be repeated",
        FIELD(allow_from), .unpreset = "everywhere"},
    [OPTION_ID_TRUSTED_PROXIES] = {
        "trusted-proxies", OPTION_LIST, NULL, "NETWORK",
        "networks of proxies whose X-Forwarded-For tells the client's address; may be repeated",
        FIELD(trusted_proxies), .unpreset = "none"},
    [OPTION_ID_MAX_CONNECTIONS] = {
        "max-connections", OPTION_COUNT, "4096", "N",
        "webhook connections at a time; beyond it, one that waits for a request makes room",
        FIELD(max_connections), .least = 1, .most = 1 << 20},
    [OPTION_ID_MAX_CONNECTIONS_PER_ADDRESS] = {
        "max-connections-per-address", OPTION_COUNT, "256", "N",
        "of these from one address, or one IPv6 /64, four times that from a /48, but for trusted "
        "proxies; 0 means no limit",
        FIELD(max_connections_per_address), .least = 0, .most = 1 << 20},
    [OPTION_ID_MAX_PAYLOAD] = {
        "max-payload", OPTION_SIZE, "25MiB", "SIZE",
        "largest webhook body; GitHub's own limit is 25 MB", FIELD(max_payload),
        .least = 1024, .most = GIB},
    [OPTION_ID_MAX_PAYLOAD_MEMORY] = {
        "max-payload-memory", OPTION_SIZE, "128MiB", "SIZE",
        "memory for bodies above 64 KiB that are coming in; beyond it they are answered 503",
        FIELD(max_payload_memory), .least = 1024, .most = 64 * GIB},
    [OPTION_ID_ROOT_GRACE] = {
        "root-grace", OPTION_DURATION, "10s", "TIME",
        "how long the span of a finished run waits for jobs still open", FIELD(root_grace),
        .least = 0, .most = NEVER},
    [OPTION_ID_JOB_GRACE] = {
        "job-grace", OPTION_DURATION, "10m", "TIME",
        "how long an open job of a finished run is waited for", FIELD(job_grace),
        .least = 0, .most = NEVER},
    [OPTION_ID_JOB_TIMEOUT] = {
        "job-timeout", OPTION_DURATION, "6d", "TIME",
        "how long a job of which nothing is heard is waited for; one that waits for approval, 35 days",
        FIELD(job_timeout),
        .least = NS_PER_MS, .most = NEVER},
    [OPTION_ID_RUN_IDLE] = {
        "run-idle", OPTION_DURATION, "1h", "TIME",
        "when a run that only its jobs speak of counts as over", FIELD(run_idle),
        .least = NS_PER_MS, .most = NEVER},
    [OPTION_ID_LINGER] = {
        "linger", OPTION_DURATION, "3d", "TIME",
        "how long repeated and late deliveries are recognized", FIELD(linger),
        .least = NS_PER_MS, .most = NEVER},
    [OPTION_ID_HISTORY] = {
        "history", OPTION_DURATION, "24h", "TIME",
        "how long finished traces stay in the local store for viewing", FIELD(history),
        .least = 0, .most = NEVER},
    [OPTION_ID_DB_MAX_SIZE] = {
        "db-max-size", OPTION_SIZE, "8GiB", "SIZE",
        "largest size of the local store; what does not fit is answered 503", FIELD(db_max_size),
        .least = MIB, .most = 16384 * GIB},
    [OPTION_ID_OUTBOX_MAX_SIZE] = {
        "outbox-max-size", OPTION_SIZE, "4GiB", "SIZE",
        "how much may wait for the collector; beyond it deliveries are answered 503",
        FIELD(outbox_max_size), .least = 1024, .most = 16384 * GIB},
    [OPTION_ID_DEAD_LETTERS_MAX_SIZE] = {
        "dead-letters-max-size", OPTION_SIZE, "256MiB", "SIZE",
        "how much of what the collector refused is kept; beyond it the oldest is dropped",
        FIELD(dead_letters_max_size), .least = 1024, .most = 16384 * GIB},
    [OPTION_ID_DEAD_LETTERS_MAX_AGE] = {
        "dead-letters-max-age", OPTION_DURATION, "30d", "TIME",
        "how long what the collector refused is kept", FIELD(dead_letters_max_age),
        .least = NS_PER_MS, .most = NEVER},
    [OPTION_ID_LOG_LEVEL] = {
        "log-level", OPTION_CHOICE, "info", "debug|info|warn|error",
        "least level that is logged", FIELD(log_level)},
    [OPTION_ID_LOG_FORMAT] = {
        "log-format", OPTION_CHOICE, "text", "text|json",
        "logfmt or JSON lines, on standard error", FIELD(log_format)},
    [OPTION_ID_CONFIG] = {
        "config", OPTION_TEXT, NULL, "FILE",
        "file with settings, one `name = value` a line", FIELD(config), .unpreset = "none"},
};
// clang-format on

int option_find(struct slice name)
{
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        if (slice_equals(slice_from_string(options[i].name), name))
            return i;
    }
    return -1;
}

#define NAME_MAX_COMPARED 64 // longer than any name we have, plus what a slip may add

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static bool is_same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

// Levenshtein's distance, row by row; the case of letters counts for nothing. Both at most
// NAME_MAX_COMPARED bytes.
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t row[NAME_MAX_COMPARED + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t changed = diagonal + (is_same_letter(a.data[i - 1], b.data[j - 1]) ? 0 : 1);
            row[j] = smallest(above + 1, row[j - 1] + 1, changed);
            diagonal = above;
        }
    }
    return row[b.len];
}

const char *option_nearest(struct slice name, const char *(*candidate)(void *context, size_t i),
                           size_t count, void *context)
{
    if (name.len > NAME_MAX_COMPARED)
        return NULL;
    const char *nearest = NULL;
    // More than a third of the letters changed is another word, not a slip.
    size_t best = name.len / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        const char *text = candidate(context, i);
        size_t distance = text == NULL ? best : edit_distance(name, slice_from_string(text));
        if (distance < best) {
            best = distance;
            nearest = text;
        }
    }
    return nearest;
}

static const char *setting_name(void *context, size_t i)
{
    (void)context;
    return options[i].name;
}

const char *option_nearest_setting(struct slice name)
{
    return option_nearest(name, setting_name, OPTIONS_COUNT, NULL);
}

struct slice option_choice_word(const char *values, size_t position)
{
    struct slice rest = slice_from_string(values);
    for (;; position--) {
        ptrdiff_t bar = slice_find(rest, SLICE("|"));
        size_t len = bar < 0 ? rest.len : (size_t)bar;
        if (position == 0)
            return (struct slice){.data = rest.data, .len = len};
        if (bar < 0)
            return SLICE_EMPTY;
        rest = (struct slice){.data = rest.data + len + 1, .len = rest.len - len - 1};
    }
}

int option_choice_find(const char *values, struct slice text)
{
    for (int i = 0;; i++) {
        struct slice word = option_choice_word(values, (size_t)i);
        if (word.len == 0)
            return -1;
        if (slice_equals_ignoring_case(word, text))
            return i;
    }
}
