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
#include "ghatrace/base/log.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/webhook/webhook.h"
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

// Where finished spans go, and how: of our settings and of OpenTelemetry's variables.
struct config_export {
    bool is_on;                        // else they stay in the local store
    const char *url;                   // the endpoint, to show
    const char *url_from;              // the setting or variable that named it
    struct net_tls_client_options tls; // counts where the endpoint is https
    // Of these the endpoint, the protocol, gzip, the timeout and the headers, which have secrets in them: never shown.
    struct export_options options;
};

struct config {
    // Filled by the rows of settings_list.h: each setting has one field, here or in the options of the part that
    // uses it. In those options, what is neither a setting nor named here stays 0.
    const char *listen; // ingress.listen is made of it
    const char *webhook_secret_file;
    const char *admin_listen; // admin_address is made of it
    const char *admin_token_file;
    bool admin_tls;
    const char *admin_client_ca;
    const char *trace_url;
    const char *db;
    uint64_t db_max_size;
    const char *otlp_endpoint; // `exporting` is made of the otlp_ fields
    unsigned otlp_protocol;
    struct text_list otlp_headers;
    const char *otlp_header_file;
    duration_ns otlp_timeout;
    unsigned otlp_compression; // 1: gzip
    const char *otlp_certificate;
    const char *otlp_client_certificate;
    const char *otlp_client_key;
    const char *service_name;         // engine.policy.service_name is made of it
    struct text_list repos;           // split at commas and blanks; ingress.repos are these
    struct text_list allow_from;      // ingress.allow_from is made of it
    struct text_list trusted_proxies; // ingress.trusted_proxies is made of it
    enum log_level log_level;
    enum log_format log_format;
    const char *config;
    struct ingress_options ingress; // with `listen_socket`, too; the daemon adds the secrets
    struct engine_options engine;   // with `has_exporter` and the whole policy, too

    // What follows from them and from OTEL_*.
    struct config_export exporting;
    struct activation activation; // its sockets are used instead of `listen` and `admin-listen`
    struct net_address admin_address;
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

bool config_has_admin(const struct config *config);
// Where connections come in, as text: the socket that was passed, else the setting. Returns `text`.
const char *config_listens_at(const struct config *config, enum activation_use use,
                              char text[NET_ADDRESS_TEXT_SIZE]);

// The files of the admin listener; without a certificate: plain.
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
