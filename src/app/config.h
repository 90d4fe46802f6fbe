// The configuration as the program uses it: settings and OpenTelemetry's own variables, typed and
// checked. Everything in it lives in the arena that config_build() was given.
#ifndef GHATRACE_APP_CONFIG_H
#define GHATRACE_APP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "activation.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/trace/policy.h"
#include "settings.h"

struct text_list {
    const struct slice *items;
    size_t count;
};

// Things to tell the operator that are no reason to refuse.
struct config_warnings {
    const char *items[32];
    size_t count;
};

// Where finished spans go, and how.
struct config_export {
    bool is_on; // else they stay in the local store
    struct export_endpoint endpoint;
    const char *url;                   // the endpoint again, to show
    const char *url_from;              // the setting or variable that named it
    unsigned protocol;                 // enum export_protocol
    unsigned compression;              // enum config_compression
    duration_ns timeout;               // of one request; 0: none
    struct net_tls_client_options tls; // counts where the endpoint is https
    struct http_header *headers;       // with secrets in them: never shown
    size_t header_count;
    const struct attribute *resource; // OTEL_RESOURCE_ATTRIBUTES without service.name
    size_t resource_count;
    struct slice service_name; // empty: from the repository
};

enum config_compression { CONFIG_COMPRESSION_NONE, CONFIG_COMPRESSION_GZIP };

struct config {
    // One field for each setting, by its type (settings.h); filled by the table in settings.c.
    const char *listen;
    const char *webhook_path;
    const char *webhook_secret_file;
    bool insecure_no_signature;
    const char *tls_cert;
    const char *tls_key;
    const char *tls_client_ca;
    const char *admin_listen;
    const char *admin_token_file;
    bool admin_tls;
    const char *admin_client_ca;
    const char *trace_url;
    uint64_t metrics_max_series;
    const char *db;
    const char *otlp_endpoint;
    unsigned otlp_protocol;
    struct text_list otlp_headers;
    const char *otlp_header_file;
    duration_ns otlp_timeout;
    unsigned otlp_compression;
    const char *otlp_certificate;
    const char *otlp_client_certificate;
    const char *otlp_client_key;
    const char *service_name;
    unsigned id_scheme; // enum id_scheme
    bool runner_spans;
    bool steps;
    struct text_list repos; // split at commas and blanks
    uint64_t ingress_threads;
    struct text_list allow_from;
    struct text_list trusted_proxies;
    uint64_t max_connections;
    uint64_t max_connections_per_address;
    uint64_t max_payload;
    uint64_t max_payload_memory;
    duration_ns root_grace;
    duration_ns job_grace;
    duration_ns job_timeout;
    duration_ns run_idle;
    duration_ns linger;
    duration_ns history;
    uint64_t db_max_size;
    uint64_t outbox_max_size;
    uint64_t dead_letters_max_size;
    duration_ns dead_letters_max_age;
    unsigned log_level;  // enum log_level
    unsigned log_format; // enum log_format
    const char *config;

    // What follows from them and from OTEL_*.
    struct config_export exporting;
    struct activation activation; // its sockets are used instead of `listen` and `admin-listen`
    struct net_network_list allowed_networks;
    struct net_network_list proxy_networks;
    const char *github_webhook_secret; // GITHUB_WEBHOOK_SECRET; NULL if not set
    const char *credentials_directory; // CREDENTIALS_DIRECTORY, from systemd; NULL if not set
    struct config_warnings warnings;
};

// Fills those settings of `config` that are in `wanted`; the others are left alone, whatever was set,
// so that a command never fails for a setting that it does not use. With `otlp-endpoint` in `wanted`
// OpenTelemetry's variables are read from `environment`, too; with `listen`, those of socket activation,
// and the sockets that they name are looked at. ERROR_USAGE naming what is wrong and
// where it was set; ERROR_MEMORY.
enum error_code config_build(struct config *config, const struct settings *settings,
                             option_set wanted, char *const *environment,
                             struct error *error) MUST_CHECK;

// The networks of a list, separated by commas or blanks. `where` is where it was set.
enum error_code config_read_networks(const struct text_list *list, const char *where,
                                     struct arena *arena, struct net_network_list *networks,
                                     struct error *error) MUST_CHECK;

// What `config` says about spans, for the engine.
void config_trace_policy(const struct config *config, struct trace_policy *policy);

bool config_has_admin(const struct config *config);
// Where connections come in, as text: the socket that was passed, else the setting. Returns `text`.
const char *config_listens_at(const struct config *config, enum activation_use use,
                              char text[NET_ADDRESS_TEXT_SIZE]);

// The files of the webhook listener; without a certificate: plain.
struct net_tls_server_options config_server_tls(const struct config *config);
// The files of the admin listener, likewise.
struct net_tls_server_options config_admin_tls(const struct config *config);
// Where export is on and https, a context for it; else NULL. The setting or variable at fault is not
// known here, but the file is.
enum error_code config_make_export_tls(const struct config *config, struct net_tls **tls,
                                       struct error *error) MUST_CHECK;
// Reads all files that TLS needs, and forgets them: what is wrong is told before anything is started.
enum error_code config_check_tls(const struct config *config, struct error *error) MUST_CHECK;

// Adds a warning. Lost when memory is refused or there are too many: they are advice.
void config_warn(struct config *config, struct arena *arena, const char *format, ...)
    PRINTF_LIKE(3, 4);

// The value of a variable in an environment; NULL when absent or empty ("An empty value of an
// environment variable MUST be treated the same way as when the variable is unset", OpenTelemetry
// specification, configuration/sdk-environment-variables.md).
const char *environment_get(char *const *environment, const char *name);

// --- one value at a time ---

// "25MiB", "512KiB", "1GiB", "100B", "100".
bool size_parse(struct slice text, uint64_t *bytes);
// The shortest exact form of the same: "25MiB". Returns `text`.
char *size_format(uint64_t bytes, char text[TIMESTAMP_TEXT_SIZE]);

// --- OpenTelemetry's variables (config_otel.c) ---
enum error_code config_apply_otel(struct config *config, const struct settings *settings,
                                  char *const *environment, struct error *error) MUST_CHECK;
// Where something is exported: warns of what is set and not used (config.c).
void config_warn_of_unused(struct config *config, struct arena *arena, char *const *environment);

#endif
