// The configuration as the program uses it: settings and OpenTelemetry's own variables, typed and checked. Everything
// in it is allocated in the arena passed to config_build().
#ifndef GHATRACE_APP_CONFIG_H
#define GHATRACE_APP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/export/metrics.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/notify/notices.h"
#include "ghatrace/view/pools_view.h"
#include "ghatrace/webhook/webhook.h"
#include "settings.h"
#include "systemd.h"

struct text_list {
    const struct slice *items;
    size_t count;
};

// Messages for the operator that do not prevent a start.
struct config_warnings {
    const char *items[32];
    size_t count;
};

// Where and how finished spans are exported: from our settings and OpenTelemetry's variables.
struct config_export {
    bool is_on;                        // false: they stay in the local store
    const char *url;                   // the endpoint, for display
    const char *url_from;              // the setting or variable that it comes from
    const char *proxy_from;            // likewise; NULL: no proxy
    struct net_tls_client_options tls; // used if the endpoint is https
    // The endpoint, the protocol, gzip, the timeout and the headers. The headers contain secrets: never print them.
    struct export_options options;
};

// Where and how metrics are pushed.
struct config_metrics {
    struct config_export exporting; // is_on false: they are not
    duration_ns interval, timeout;
    const char *header_file; // otlp-header-file, or NULL if metrics have headers of their own
};

struct config {
    // Filled by the rows of settings_list.h: each setting has one field, here or in the options of the part that uses
    // it. Fields of those options that are neither a setting nor named here stay 0.
    const char *listen; // source of ingress.listen
    const char *webhook_secret_file;
    const char *admin_listen; // source of admin_address
    const char *admin_token_file;
    bool admin_tls;
    const char *admin_client_ca;
    const char *trace_url;
    const char *metrics_labels; // this and the next: read into engine.series
    const char *metrics_bounds;
    const char *db;
    uint64_t db_max_size;
    const char *otlp_endpoint; // the otlp_ fields are the source of `exporting`
    unsigned otlp_protocol;
    struct text_list otlp_headers;
    const char *otlp_header_file;
    const char *otlp_proxy;
    duration_ns otlp_timeout;
    unsigned otlp_compression; // 1: gzip
    const char *otlp_certificate;
    const char *otlp_client_certificate;
    const char *otlp_client_key;
    const char *otlp_listen; // source of otlp_address
    const char *otlp_token_file;
    bool otlp_tls;
    const char *otlp_client_ca;
    uint64_t otlp_outbox_share; // percent; source of engine.forwarded_max
    unsigned metrics_exporter;  // 1: otlp; source of `metrics`
    const char *notify_url_file;
    struct notice_settings notices;
    const char *service_name;          // source of engine.policy.service_name
    struct text_list repos;            // split at commas and blanks; used as ingress.repos
    struct text_list runner_spans_off; // this and the next three: split into engine.policy's globs
    struct text_list job_spans_off;
    struct text_list steps_off;
    struct text_list arc_runners;
    struct text_list runner_pools; // this and the next: split into engine.pool_rules
    struct text_list ignored_labels;
    struct text_list runner_ceilings; // split into pools.ceilings
    struct text_list allow_from;      // source of ingress.allow_from
    struct text_list trusted_proxies; // source of ingress.trusted_proxies
    enum log_level log_level;
    enum log_format log_format;
    const char *config;
    struct ingress_options ingress;   // including `listen_socket`; the daemon adds the secrets
    struct engine_options engine;     // including `has_exporter` and the whole policy
    struct pools_view_settings pools; // job_grace is that of the policy

    // Derived from the settings and from OTEL_*.
    struct config_export exporting;
    struct config_metrics metrics;
    struct activation activation; // its sockets are used instead of `listen` and `admin-listen`
    struct notify notify;         // how the service manager is notified
    struct net_address admin_address;
    struct net_address otlp_address;
    const char *github_webhook_secret; // GITHUB_WEBHOOK_SECRET; NULL if not set
    char *const *environment;          // for proxies; outlives the configuration
    const char *credentials_directory; // CREDENTIALS_DIRECTORY, from systemd; NULL if not set
    struct config_warnings warnings;
};

// Fills the settings of `config` that are in `wanted`; the others are left unchanged, whatever was set, so that a
// command never fails because of a setting that it does not use. With `otlp-endpoint` in `wanted`, OpenTelemetry's
// variables are also read from `environment`; with `listen`, those of systemd, and the passed sockets are inspected.
// ERROR_USAGE naming what is wrong and where it was set; ERROR_MEMORY.
enum error_code config_build(struct config *config, const struct settings *settings,
                             const struct option_set *wanted, char *const *environment,
                             struct error *error) MUST_CHECK;

// Where the rules for pools were set, for messages.
struct config_pool_sources {
    const char *pools;
    const char *ignored;
    const char *ceilings;
};
// Splits them (config_pools.c). ERROR_USAGE, ERROR_MEMORY.
enum error_code config_read_pools(struct config *config, const struct config_pool_sources *sources,
                                  struct arena *arena, struct error *error) MUST_CHECK;

// Where labels and bounds were set, for messages; and the labels of kinds that the setting does not name.
struct config_series_sources {
    const char *labels;
    const char *bounds;
    const char *preset_labels;
};
// Reads them (config_series.c). ERROR_USAGE.
enum error_code config_read_series(struct config *config, const struct config_series_sources *from,
                                   struct error *error) MUST_CHECK;

// The next word of "a, b c"; empty at the end.
struct slice config_next_word(struct slice *rest);
// The next rule of "a; b", which may be blank: the environment has one value for a setting of several rules.
struct slice config_next_rule(struct slice *rest);
// Checks a word of a list of globs. ERROR_USAGE naming `where` it was set.
typedef enum error_code config_glob_check(struct slice item, const char *where,
                                          struct error *error);
// That it is a glob; it may begin with `!`.
config_glob_check config_check_glob;
// Replaces a list by its words, which are separated by commas and blanks, after each was checked. ERROR_MEMORY, or what
// `check` gives.
enum error_code config_split_globs(struct text_list *list, const char *where,
                                   config_glob_check *check, struct arena *arena,
                                   struct error *error) MUST_CHECK;
// False if a split list of globs selects nothing, as each begins with `!` or there is none.
bool config_globs_select_any(const struct text_list *globs);
// Parses a list of networks, separated by commas or blanks. `where` is where it was set.
enum error_code config_read_networks(const struct text_list *list, const char *where,
                                     struct arena *arena, struct net_network_list *networks,
                                     struct error *error) MUST_CHECK;

bool config_has_admin(const struct config *config);
bool config_has_receiver(const struct config *config);
// "off", in any case.
bool config_is_off(const char *text);
// The listen address as text: that of the passed socket, else the setting. Returns `text`.
const char *config_listens_at(const struct config *config, enum activation_use use,
                              char text[NET_ADDRESS_TEXT_SIZE]);

// The TLS files of the admin listener; without a certificate it serves plain HTTP.
struct net_tls_server_options config_admin_tls(const struct config *config);
// Likewise of the listener for OTLP.
struct net_tls_server_options config_receiver_tls(const struct config *config);
// Makes a TLS context if this export is on and uses https; else NULL. Error messages name the file, not the setting or
// variable.
enum error_code config_make_export_tls(const struct config_export *exporting,
                                       struct net_tls_client **tls, struct error *error) MUST_CHECK;
// Reads all TLS files and discards the result: errors are reported before anything is started.
enum error_code config_check_tls(const struct config *config, struct error *error) MUST_CHECK;

// Adds a warning. It is dropped if memory is short or there are too many: warnings are optional.
void config_warn(struct config *config, struct arena *arena, const char *format, ...)
    PRINTF_LIKE(3, 4);

// The value of a variable in an environment; NULL when absent or empty ("An empty value of an
// environment variable MUST be treated the same way as when the variable is unset", OpenTelemetry
// specification, configuration/sdk-environment-variables.md).
const char *environment_get(char *const *environment, const char *name);

// --- one value at a time ---

// "25MiB", "512KiB", "1GiB", "100B", "100".
bool size_parse(struct slice text, uint64_t *bytes);
// The shortest exact form of a size: "25MiB". Returns `text`.
char *size_format(uint64_t bytes, char text[TIMESTAMP_TEXT_SIZE]);

// --- OpenTelemetry's variables (config_otel.c) ---
enum error_code config_apply_otel(struct config *config, const struct settings *settings,
                                  char *const *environment, struct error *error) MUST_CHECK;
// The proxy to an endpoint by the variables of the environment, and the variable's name; NULL: none (config_proxy.c).
const char *config_find_proxy(const struct export_endpoint *endpoint, char *const *environment,
                              const char **from);
// Sets the proxy of an export that is on: that of the setting, which was set at `where`, else of a variable
// (config_proxy.c). ERROR_USAGE: it cannot be used.
enum error_code config_choose_proxy(const struct config *config, struct config_export *exporting,
                                    const char *where, char *const *environment,
                                    struct error *error) MUST_CHECK;

#endif
