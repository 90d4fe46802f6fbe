// SIGHUP: everything is read first; only then, when nothing can fail any more, is it put to use.
#include "reload.h"

#include <stdio.h>

#include "ghatrace/app/secrets.h"
#include "ghatrace/base/log.h"

// What was read. NULL: not configured.
struct fresh {
    struct secret_set *secrets;
    struct secret_set *admin_tokens;
    struct ingress_tls *ingress_tls;
    struct net_tls *admin_tls;
    struct net_tls *export_tls;
};

// --- secrets -----------------------------------------------------------------------------------

static void log_slip(void *context, const char *warning)
{
    (void)context;
    log_warn("configuration", LOG_STRING("warning", warning));
}

enum error_code reload_read_secrets(const struct config *config, struct secret_set **set,
                                    struct error *error)
{
    struct secrets secrets;
    secrets_init(&secrets);
    enum error_code code =
        secrets_load(&secrets, config->webhook_secret_file, config->github_webhook_secret, error);
    if (code == ERROR_NONE)
        code = ingress_secrets_prepare(secrets.items, secrets.count, set, error);
    if (code == ERROR_NONE && !config->insecure_no_signature)
        secrets_report_slips(&secrets, log_slip, NULL);
    secrets_release(&secrets);
    return code;
}

enum error_code reload_read_tokens(const struct config *config, struct secret_set **set,
                                   struct error *error)
{
    struct secrets tokens;
    secrets_init(&tokens);
    enum error_code code = secrets_load_tokens(&tokens, config->admin_token_file, error);
    if (code == ERROR_NONE)
        code = ingress_secrets_prepare(tokens.items, tokens.count, set, error);
    if (code == ERROR_NONE)
        secrets_report_slips(&tokens, log_slip, NULL);
    secrets_release(&tokens);
    return code;
}

// --- all or nothing ------------------------------------------------------------------------------

// Reading it puts it to use, so this comes last.
static enum error_code read_headers(struct export_header_file *file, struct error *error)
{
    struct export_header_file_status status;
    if (export_header_file_read(file))
        return ERROR_NONE;
    export_header_file_read_status(file, &status);
    return error_set(error, ERROR_USAGE, "%s", status.reason);
}

// A new kind of file gets a line here, one in use_all(), and one in drop_all().
static enum error_code read_all(const struct reload_parts *parts, struct fresh *fresh,
                                struct error *error)
{
    enum error_code code = reload_read_secrets(parts->config, &fresh->secrets, error);
    if (code == ERROR_NONE && parts->admin_tokens != NULL)
        code = reload_read_tokens(parts->config, &fresh->admin_tokens, error);
    if (code == ERROR_NONE)
        code = config_check_tls(parts->config, error); // says once what clients refuse
    if (code == ERROR_NONE)
        code = ingress_load_tls(parts->ingress, &fresh->ingress_tls, error);
    if (code == ERROR_NONE && parts->admin != NULL)
        code = admin_load_tls(parts->admin, &fresh->admin_tls, error);
    if (code == ERROR_NONE && parts->exporter != NULL)
        code = config_make_export_tls(parts->config, &fresh->export_tls, error);
    if (code == ERROR_NONE && parts->header_file != NULL)
        code = read_headers(parts->header_file, error);
    return code;
}

static void use_all(const struct reload_parts *parts, const struct fresh *fresh)
{
    ingress_secrets_use(parts->secrets, fresh->secrets);
    if (fresh->admin_tokens != NULL)
        ingress_secrets_use(parts->admin_tokens, fresh->admin_tokens);
    ingress_use_tls(parts->ingress, fresh->ingress_tls);
    if (fresh->admin_tls != NULL)
        admin_use_tls(parts->admin, fresh->admin_tls);
    if (fresh->export_tls != NULL)
        exporter_use_tls(parts->exporter, fresh->export_tls);
    net_tls_let_go(fresh->export_tls); // the exporter holds it
}

static void drop_all(const struct fresh *fresh)
{
    ingress_secrets_drop(fresh->secrets);
    ingress_secrets_drop(fresh->admin_tokens);
    ingress_drop_tls(fresh->ingress_tls);
    net_tls_let_go(fresh->admin_tls);
    net_tls_let_go(fresh->export_tls);
}

static const char *name_all(const struct reload_parts *parts, const struct fresh *fresh,
                            char text[96])
{
    bool has_certificates =
        fresh->ingress_tls != NULL || fresh->admin_tls != NULL || fresh->export_tls != NULL;
    (void)snprintf(text, 96, "webhook secrets%s%s%s",
                   fresh->admin_tokens != NULL ? ", admin tokens" : "",
                   has_certificates ? ", certificates" : "",
                   parts->header_file != NULL ? ", otlp-header-file" : "");
    return text;
}

// Who changed /etc/ghatrace/secret would wait in vain for it to count.
static void warn_of_old_copies(const struct credentials *credentials)
{
    char names[CREDENTIALS_TEXT_SIZE];
    if (credentials_unchanged(credentials, names) > 0)
        log_warn("these files are copies that systemd made when the service started, and a reload "
                 "does not renew "
                 "them: where the originals have changed, restart the service",
                 LOG_STRING("settings", names));
}

void reload_all(const struct reload_parts *parts)
{
    struct fresh fresh = {.secrets = NULL};
    struct error error;
    char names[96];
    if (read_all(parts, &fresh, &error) != ERROR_NONE) {
        drop_all(&fresh);
        log_error("files not read again: all secrets, certificates and headers stay as they were",
                  LOG_REASON(&error));
        return;
    }
    (void)name_all(parts, &fresh, names);
    use_all(parts, &fresh);
    log_info("files read again", LOG_STRING("files", names));
    warn_of_old_copies(parts->credentials);
}
