// OpenTelemetry's own variables. Our settings take precedence over them.
//
// Rules from the OpenTelemetry specification, protocol/exporter.md and configuration/sdk-environment-variables.md:
// the per-signal variable takes precedence over the general one and replaces it completely; an empty value counts as
// unset; an unknown value of an enumeration "MUST" cause a warning and be ignored. Without an endpoint nothing is
// exported: with the specification's localhost:4318 a daemon that runs alone would retry for ever.
#include "config.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/export/exporter.h"

#define METRICS_ENDPOINT "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
#define OTLP_GRPC_PORT 4317
#define OTLP_HTTP_PORT 4318

// State shared by the functions below, for one signal.
struct otel {
    struct config *config;
    enum export_signal signal;
    struct config_export *exporting; // of the signal
    const struct settings *settings;
    struct arena *arena;
    char *const *environment;
    char name[64]; // of the variable that otlp_variable() found last
};

static const char *const signal_prefixes[] = {[EXPORT_TRACES] = "OTEL_EXPORTER_OTLP_TRACES_",
                                              [EXPORT_METRICS] = "OTEL_EXPORTER_OTLP_METRICS_"};
static const char *const signal_paths[] = {
    [EXPORT_TRACES] = "v1/traces", [EXPORT_METRICS] = "v1/metrics"};

static const char *prefixed_variable(struct otel *otel, const char *prefix, const char *suffix)
{
    (void)snprintf(otel->name, sizeof otel->name, "%s%s", prefix, suffix);
    return environment_get(otel->environment, otel->name);
}

// OTEL_EXPORTER_OTLP_{signal}_{suffix}, else OTEL_EXPORTER_OTLP_{suffix}; NULL if neither is set.
static const char *otlp_variable(struct otel *otel, const char *suffix)
{
    const char *value = prefixed_variable(otel, signal_prefixes[otel->signal], suffix);
    return value != NULL ? value : prefixed_variable(otel, "OTEL_EXPORTER_OTLP_", suffix);
}

// Our settings are for all signals. A variable for metrics alone takes precedence over them, or there would be no way
// to send metrics elsewhere.
static bool is_setting_used(struct otel *otel, enum option_id id, const char *suffix)
{
    if (otel->settings->items[id].source == SOURCE_DEFAULT)
        return false;
    return otel->signal != EXPORT_METRICS ||
           prefixed_variable(otel, signal_prefixes[EXPORT_METRICS], suffix) == NULL;
}

static bool is_word(const char *text, struct slice word)
{
    return slice_equals_ignoring_case(slice_trim(slice_from_string(text)), word);
}

// "Any value that represents a boolean MUST be set to true only by the case-insensitive string "true"".
static bool is_sdk_disabled(const struct otel *otel)
{
    const char *disabled = environment_get(otel->environment, "OTEL_SDK_DISABLED");
    return disabled != NULL && is_word(disabled, SLICE("true"));
}

static void warn_of_exporter(struct otel *otel, const char *name, const char *exporter)
{
    config_warn(otel->config, otel->arena, "%s: \"%.60s\" is ignored: only otlp and none are known",
                name, exporter);
}

// OTEL_TRACES_EXPORTER names exporters; `otlp` and `none` are supported.
static bool is_switched_off(struct otel *otel)
{
    if (is_sdk_disabled(otel)) {
        config_warn(otel->config, otel->arena, "OTEL_SDK_DISABLED is true: nothing is exported");
        return true;
    }
    const char *exporter = environment_get(otel->environment, "OTEL_TRACES_EXPORTER");
    if (exporter == NULL || is_word(exporter, SLICE("otlp")))
        return false;
    if (is_word(exporter, SLICE("none"))) {
        config_warn(otel->config, otel->arena, "OTEL_TRACES_EXPORTER is none: nothing is exported");
        return true;
    }
    warn_of_exporter(otel, "OTEL_TRACES_EXPORTER", exporter);
    return false;
}

static enum error_code keep_text(struct otel *otel, const char *text, const char **out,
                                 struct error *error)
{
    struct slice copy;
    if (!arena_format(otel->arena, &copy, "%s%c", text, '\0'))
        return error_set(error, ERROR_MEMORY, "configuration: out of memory");
    *out = copy.data;
    return ERROR_NONE;
}

// Warns of a path to which a collector will most likely respond 404. It is used all the same, as specified.
static void warn_of_path(struct otel *otel, enum export_url kind, const char *where)
{
    static const char *const foreign[][2] = {
        [EXPORT_TRACES] = {"/v1/metrics", "metrics or logs, not for traces"},
        [EXPORT_METRICS] = {"/v1/traces", "traces or logs, not for metrics"}};
    const char *own = signal_paths[otel->signal];
    struct slice path = slice_from_string(otel->exporting->options.endpoint.path);
    ptrdiff_t query = slice_find(path, SLICE("?"));
    if (query >= 0)
        path.len = (size_t)query;
    if (kind == EXPORT_URL_BASE && (slice_ends_with(path, SLICE("/v1/traces/v1/traces"))))
        config_warn(otel->config, otel->arena,
                    "%s: ends in v1/traces, and v1/traces is added to it: this variable is the "
                    "base for all signals; remove v1/traces, or set "
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                    where);
    else if (slice_find(path, slice_from_string(foreign[otel->signal][0])) >= 0 ||
             slice_find(path, SLICE("/v1/logs")) >= 0)
        config_warn(otel->config, otel->arena, "%s: this path is for %s", where,
                    foreign[otel->signal][1]);
    else if (kind == EXPORT_URL_WHOLE && !slice_ends_with(path, slice_from_string(own)) &&
             slice_ends_with(path, SLICE("/")))
        config_warn(otel->config, otel->arena,
                    "%s: is used as it is, without %s: most collectors take %s at /%s", where, own,
                    otel->signal == EXPORT_TRACES ? "traces" : "metrics", own);
}

// Port and path that look like those of the other protocol, or of none.
static void warn_of_target(struct otel *otel, const char *url, enum export_url kind,
                           const char *where)
{
    const struct export_endpoint *endpoint = &otel->exporting->options.endpoint;
    bool is_grpc = kind == EXPORT_URL_GRPC;
    struct export_endpoint written;
    struct error error;
    if (!is_grpc)
        warn_of_path(otel, kind, where);
    else if (export_endpoint_parse(slice_from_string(url), EXPORT_URL_WHOLE, &written, &error) ==
                 ERROR_NONE &&
             strcmp(written.path, "/") != 0)
        config_warn(otel->config, otel->arena,
                    "%s: its path is not used: OTLP/gRPC has a path of its own", where);
    if (!is_grpc && endpoint->port == OTLP_GRPC_PORT)
        config_warn(otel->config, otel->arena,
                    "%s: port 4317 is OTLP/gRPC's as a rule, for otlp-protocol = grpc; OTLP/HTTP's "
                    "is 4318",
                    where);
    if (is_grpc && endpoint->port == OTLP_HTTP_PORT)
        config_warn(otel->config, otel->arena,
                    "%s: port 4318 is OTLP/HTTP's as a rule; OTLP/gRPC's is 4317", where);
}

static enum error_code use_endpoint(struct otel *otel, const char *url, enum export_url kind,
                                    const char *where, struct error *error)
{
    struct config_export *exporting = otel->exporting;
    if (exporting->options.protocol == EXPORT_GRPC)
        kind = EXPORT_URL_GRPC;
    enum error_code code = export_endpoint_parse_for(otel->signal, slice_from_string(url), kind,
                                                     &exporting->options.endpoint, error);
    if (code != ERROR_NONE) {
        error_wrap(error, "%s", where);
        return code;
    }
    char shown[sizeof exporting->options.endpoint.path +
               sizeof exporting->options.endpoint.host_header + 16];
    export_endpoint_format(&exporting->options.endpoint, shown, sizeof shown);
    code = keep_text(otel, shown, &exporting->url, error);
    if (code == ERROR_NONE)
        code = keep_text(otel, where, &exporting->url_from, error);
    exporting->is_on = code == ERROR_NONE;
    // What is shared with traces was warned of with them.
    if (otel->signal == EXPORT_TRACES || strcmp(where, METRICS_ENDPOINT) == 0)
        warn_of_target(otel, url, kind, where);
    return code;
}

static enum error_code apply_endpoint(struct otel *otel, struct error *error)
{
    // Our setting is empty, which takes precedence over OpenTelemetry's variables.
    if (is_setting_used(otel, OPTION_ID_OTLP_ENDPOINT, "ENDPOINT") &&
        otel->config->otlp_endpoint[0] == '\0')
        return ERROR_NONE;
    if (otel->signal == EXPORT_TRACES && is_switched_off(otel))
        return ERROR_NONE;
    if (is_setting_used(otel, OPTION_ID_OTLP_ENDPOINT, "ENDPOINT"))
        return use_endpoint(otel, otel->config->otlp_endpoint, EXPORT_URL_EITHER,
                            otel->settings->items[OPTION_ID_OTLP_ENDPOINT].last->where, error);
    const char *url = otlp_variable(otel, "ENDPOINT");
    if (url == NULL)
        return ERROR_NONE;
    // The per-signal URL is used unchanged; v1/traces is appended to the general one.
    bool is_base = strcmp(otel->name, "OTEL_EXPORTER_OTLP_ENDPOINT") == 0;
    return use_endpoint(otel, url, is_base ? EXPORT_URL_BASE : EXPORT_URL_WHOLE, otel->name, error);
}

// Returns the variable's value if it is not supported, else NULL.
static const char *apply_protocol(struct otel *otel)
{
    struct config_export *exporting = otel->exporting;
    exporting->options.protocol = (enum export_protocol)otel->config->otlp_protocol;
    const char *value = is_setting_used(otel, OPTION_ID_OTLP_PROTOCOL, "PROTOCOL")
                            ? NULL
                            : otlp_variable(otel, "PROTOCOL");
    if (value == NULL)
        return NULL;
    int position = option_choice_find(options[OPTION_ID_OTLP_PROTOCOL].values,
                                      slice_trim(slice_from_string(value)));
    if (position < 0)
        return value;
    exporting->options.protocol = (enum export_protocol)position;
    return NULL;
}

static void warn_of_protocol(struct otel *otel, const char *unsupported)
{
    if (unsupported != NULL && otlp_variable(otel, "PROTOCOL") != NULL)
        config_warn(otel->config, otel->arena,
                    "%s: \"%.60s\" is not supported: http/protobuf is used", otel->name,
                    unsupported);
}

static void apply_compression(struct otel *otel)
{
    struct config_export *exporting = otel->exporting;
    exporting->options.gzip = otel->config->otlp_compression == 1;
    const char *value = is_setting_used(otel, OPTION_ID_OTLP_COMPRESSION, "COMPRESSION")
                            ? NULL
                            : otlp_variable(otel, "COMPRESSION");
    if (value == NULL)
        return;
    int position = option_choice_find(options[OPTION_ID_OTLP_COMPRESSION].values,
                                      slice_trim(slice_from_string(value)));
    if (position >= 0)
        exporting->options.gzip = position == 1;
    else
        config_warn(otel->config, otel->arena, "%s: \"%.60s\" is not supported: none is used",
                    otel->name, value);
}

// The variables hold milliseconds; 0 means no limit.
static void apply_timeout(struct otel *otel)
{
    struct config_export *exporting = otel->exporting;
    exporting->options.timeout = otel->config->otlp_timeout;
    const char *value = is_setting_used(otel, OPTION_ID_OTLP_TIMEOUT, "TIMEOUT")
                            ? NULL
                            : otlp_variable(otel, "TIMEOUT");
    if (value == NULL)
        return;
    long long ms;
    if (slice_parse_int64(slice_trim(slice_from_string(value)), &ms) && ms >= 0 &&
        ms <= options[OPTION_ID_OTLP_TIMEOUT].most / NS_PER_MS)
        exporting->options.timeout = ms * NS_PER_MS;
    else
        config_warn(otel->config, otel->arena,
                    "%s: \"%.60s\" is not a number of milliseconds: %s is used", otel->name, value,
                    options[OPTION_ID_OTLP_TIMEOUT].preset);
}

// A file, and the name of the setting or variable that names it; NULL: none.
struct named_file {
    const char *path, *where;
};

// Our setting if it is set, else the variable.
static enum error_code choose_file(struct otel *otel, enum option_id id, const char *suffix,
                                   struct named_file *file, struct error *error)
{
    assert(options[id].type == OPTION_TEXT);
    *file = (struct named_file){.path = NULL};
    memcpy(&file->path, (const char *)otel->config + options[id].field, sizeof file->path);
    if (file->path != NULL && is_setting_used(otel, id, suffix)) {
        file->where = otel->settings->items[id].last->where;
        return ERROR_NONE;
    }
    file->path = otlp_variable(otel, suffix);
    return file->path == NULL ? ERROR_NONE : keep_text(otel, otel->name, &file->where, error);
}

static enum error_code apply_tls(struct otel *otel, struct error *error)
{
    struct net_tls_client_options *tls = &otel->exporting->tls;
    struct named_file ca, certificate, key;
    enum error_code code = choose_file(otel, OPTION_ID_OTLP_CERTIFICATE, "CERTIFICATE", &ca, error);
    if (code == ERROR_NONE)
        code = choose_file(otel, OPTION_ID_OTLP_CLIENT_CERTIFICATE, "CLIENT_CERTIFICATE",
                           &certificate, error);
    if (code == ERROR_NONE)
        code = choose_file(otel, OPTION_ID_OTLP_CLIENT_KEY, "CLIENT_KEY", &key, error);
    if (code != ERROR_NONE)
        return code;
    tls->ca_file = ca.path;
    tls->certificate_file = certificate.path;
    tls->key_file = key.path;
    if ((tls->certificate_file == NULL) != (tls->key_file == NULL))
        return error_set(error, ERROR_USAGE, "%s: a client certificate and its key need each other",
                         tls->key_file == NULL ? certificate.where : key.where);
    return ERROR_NONE;
}

static enum error_code add_headers(struct otel *otel, struct slice text, const char *where,
                                   struct error *error)
{
    struct config_export *exporting = otel->exporting;
    struct http_header *more = NULL;
    size_t count = 0;
    enum error_code code = export_headers_parse(text, otel->arena, &more, &count, error);
    if (code != ERROR_NONE) {
        error_wrap(error, "%s", where);
        return code;
    }
    struct http_header *all =
        arena_allocate_array(otel->arena, exporting->options.header_count + count, sizeof *all);
    if (all == NULL)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", where);
    if (exporting->options.header_count > 0)
        memcpy(all, exporting->options.headers, exporting->options.header_count * sizeof *all);
    if (count > 0)
        memcpy(all + exporting->options.header_count, more, count * sizeof *all);
    exporting->options.headers = all;
    exporting->options.header_count += count;
    return ERROR_NONE;
}

static enum error_code apply_headers(struct otel *otel, struct error *error)
{
    const struct setting *own = &otel->settings->items[OPTION_ID_OTLP_HEADER];
    enum error_code code = ERROR_NONE;
    if (is_setting_used(otel, OPTION_ID_OTLP_HEADER, "HEADERS")) {
        for (const struct setting_value *v = own->first; v != NULL && code == ERROR_NONE;
             v = v->next)
            code = add_headers(otel, slice_from_string(v->text), v->where, error);
        return code;
    }
    const char *value = otlp_variable(otel, "HEADERS");
    return value == NULL ? ERROR_NONE
                         : add_headers(otel, slice_from_string(value), otel->name, error);
}

static enum error_code check_metadata(const struct otel *otel, struct error *error)
{
    const struct export_options *exported = &otel->exporting->options;
    enum error_code code = ERROR_NONE;
    if (exported->protocol != EXPORT_GRPC)
        return ERROR_NONE;
    for (size_t i = 0; i < exported->header_count && code == ERROR_NONE; i++)
        code = export_header_check_grpc(&exported->headers[i], otel->arena, error);
    return code;
}

// Removes service.name from the list, as it is a setting of its own. Returns its value, or an empty slice.
static struct slice extract_service_name(struct attribute *items, size_t *count)
{
    struct slice name = SLICE_EMPTY;
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(items[i].key, "service.name") == 0 && items[i].type == ATTRIBUTE_STRING)
            name = items[i].string;
        else
            items[kept++] = items[i];
    }
    *count = kept;
    return name;
}

// "In case of any error, e.g. failure during the decoding process, the entire environment variable
// value SHOULD be discarded and an error SHOULD be reported" (resource/sdk.md).
static enum error_code apply_resource(struct otel *otel, struct error *error)
{
    struct trace_policy *policy = &otel->config->engine.policy;
    const char *value = environment_get(otel->environment, "OTEL_RESOURCE_ATTRIBUTES");
    struct slice from_resource = SLICE_EMPTY;
    if (value != NULL) {
        struct attribute *items = NULL;
        size_t count = 0;
        struct error reason;
        enum error_code code =
            export_resource_parse(slice_from_string(value), otel->arena, &items, &count, &reason);
        if (code == ERROR_MEMORY)
            return error_set(error, code, "OTEL_RESOURCE_ATTRIBUTES: out of memory");
        if (code != ERROR_NONE) {
            config_warn(otel->config, otel->arena, "OTEL_RESOURCE_ATTRIBUTES is ignored: %s",
                        reason.message);
            count = 0;
        }
        from_resource = extract_service_name(items, &count);
        policy->resource_extra = items;
        policy->resource_extra_count = count;
    }
    // "If service.name is also provided in OTEL_RESOURCE_ATTRIBUTES, then OTEL_SERVICE_NAME takes
    // precedence."
    const char *name = otel->config->service_name;
    if (name == NULL)
        name = environment_get(otel->environment, "OTEL_SERVICE_NAME");
    policy->service_name = name != NULL ? slice_from_string(name) : from_resource;
    return ERROR_NONE;
}

// Everything but the endpoint, of a signal that is exported.
static enum error_code apply_rest(struct otel *otel, const char *unsupported_protocol,
                                  struct error *error)
{
    const struct setting *proxy = &otel->settings->items[OPTION_ID_OTLP_PROXY];
    enum error_code code = config_choose_proxy(otel->config, otel->exporting,
                                               proxy->last != NULL ? proxy->last->where : NULL,
                                               otel->environment, error);
    warn_of_protocol(otel, unsupported_protocol);
    apply_compression(otel);
    apply_timeout(otel);
    if (code == ERROR_NONE)
        code = apply_headers(otel, error);
    if (code == ERROR_NONE)
        code = check_metadata(otel, error);
    if (code == ERROR_NONE && otel->exporting->options.endpoint.is_tls)
        code = apply_tls(otel, error);
    return code;
}

static enum error_code apply_signal(struct otel *otel, struct error *error)
{
    // The protocol decides how the endpoint is read.
    const char *protocol = apply_protocol(otel);
    enum error_code code = apply_endpoint(otel, error);
    if (code == ERROR_NONE && otel->exporting->is_on)
        code = apply_rest(otel, protocol, error);
    return code;
}

// --- metrics --------------------------------------------------------------------------------------

// Our setting if it is set, else OTEL_METRICS_EXPORTER, of whose values `otlp` and `none` are supported.
static bool are_metrics_wanted(struct otel *otel)
{
    const char *exporter = environment_get(otel->environment, "OTEL_METRICS_EXPORTER");
    if (otel->settings->items[OPTION_ID_METRICS_EXPORTER].source != SOURCE_DEFAULT)
        return otel->config->metrics_exporter == 1;
    if (exporter == NULL || is_word(exporter, SLICE("none")))
        return false;
    if (!is_word(exporter, SLICE("otlp"))) {
        warn_of_exporter(otel, "OTEL_METRICS_EXPORTER", exporter);
        return false;
    }
    return !is_sdk_disabled(otel);
}

// Milliseconds; 0 is no time.
static duration_ns read_milliseconds(struct otel *otel, const char *name, duration_ns preset)
{
    const char *value = environment_get(otel->environment, name);
    char shown[TIMESTAMP_TEXT_SIZE];
    long long ms;
    if (value == NULL)
        return preset;
    if (slice_parse_int64(slice_trim(slice_from_string(value)), &ms) && ms > 0 &&
        ms <= NS_PER_DAY / NS_PER_MS)
        return ms * NS_PER_MS;
    config_warn(otel->config, otel->arena,
                "%s: \"%.60s\" is not a number of milliseconds up to a day: %s is used", name,
                value, duration_format(preset, shown));
    return preset;
}

static void warn_of_temporality(struct otel *otel)
{
    const char *value =
        prefixed_variable(otel, signal_prefixes[EXPORT_METRICS], "TEMPORALITY_PREFERENCE");
    if (value != NULL && !is_word(value, SLICE("cumulative")))
        config_warn(otel->config, otel->arena, "%s: \"%.60s\" is not supported: cumulative is used",
                    otel->name, value);
}

static enum error_code apply_metrics(struct otel *otel, struct error *error)
{
    struct config_metrics *metrics = &otel->config->metrics;
    otel->signal = EXPORT_METRICS;
    otel->exporting = &metrics->exporting;
    if (!are_metrics_wanted(otel))
        return ERROR_NONE;
    enum error_code code = apply_signal(otel, error);
    if (code != ERROR_NONE)
        return code;
    if (!metrics->exporting.is_on)
        config_warn(otel->config, otel->arena,
                    "metrics-exporter is otlp, but no endpoint is set: no metrics are pushed");
    warn_of_temporality(otel);
    if (prefixed_variable(otel, signal_prefixes[EXPORT_METRICS], "HEADERS") == NULL)
        metrics->header_file = otel->config->otlp_header_file;
    metrics->interval =
        read_milliseconds(otel, "OTEL_METRIC_EXPORT_INTERVAL", METRICS_INTERVAL_DEFAULT);
    metrics->timeout =
        read_milliseconds(otel, "OTEL_METRIC_EXPORT_TIMEOUT", METRICS_TIMEOUT_DEFAULT);
    return ERROR_NONE;
}

enum error_code config_apply_otel(struct config *config, const struct settings *settings,
                                  char *const *environment, struct error *error)
{
    struct otel otel = {.config = config,
                        .signal = EXPORT_TRACES,
                        .exporting = &config->exporting,
                        .settings = settings,
                        .arena = settings->arena,
                        .environment = environment};
    enum error_code code = apply_resource(&otel, error);
    if (code == ERROR_NONE)
        code = apply_signal(&otel, error);
    return code == ERROR_NONE ? apply_metrics(&otel, error) : code;
}
