// From the configuration to TLS contexts.
#include "ghatrace/app/config.h"

struct net_tls_server_options config_server_tls(const struct config *config)
{
    return (struct net_tls_server_options){.certificate_file = config->tls_cert,
                                           .key_file = config->tls_key,
                                           .client_ca_file = config->tls_client_ca};
}

struct net_tls_server_options config_admin_tls(const struct config *config)
{
    if (!config->admin_tls && config->admin_client_ca == NULL)
        return (struct net_tls_server_options){.certificate_file = NULL};
    return (struct net_tls_server_options){.certificate_file = config->tls_cert,
                                           .key_file = config->tls_key,
                                           .client_ca_file = config->admin_client_ca};
}

enum error_code config_make_export_tls(const struct config *config, struct net_tls **tls,
                                       struct error *error)
{
    *tls = NULL;
    if (!config->exporting.is_on || !config->exporting.endpoint.is_tls)
        return ERROR_NONE;
    enum error_code code = net_tls_create_client(&config->exporting.tls, tls, error);
    if (code != ERROR_NONE)
        error_wrap(error, "export by https");
    return code;
}

static enum error_code check_export(const struct config *config, struct error *error)
{
    const char *own = config->exporting.tls.certificate_file;
    struct net_tls *tls = NULL;
    enum error_code code = config_make_export_tls(config, &tls, error);
    if (code == ERROR_NONE && tls != NULL && own != NULL)
        net_tls_log_doubts(tls, own);
    net_tls_let_go(tls);
    return code;
}

static enum error_code check_server(const struct net_tls_server_options *files, const char *names,
                                    bool with_doubts, struct error *error)
{
    struct net_tls *tls = NULL;
    if (files->certificate_file == NULL)
        return ERROR_NONE;
    enum error_code code = net_tls_create_servers(files, &tls, 1, error);
    if (code != ERROR_NONE)
        return error_wrap(error, "%s", names);
    if (with_doubts)
        net_tls_log_doubts(tls, files->certificate_file);
    net_tls_let_go(tls);
    return ERROR_NONE;
}

enum error_code config_check_tls(const struct config *config, struct error *error)
{
    const struct net_tls_server_options webhook = config_server_tls(config);
    const struct net_tls_server_options admin = config_admin_tls(config);
    enum error_code code = check_export(config, error);
    if (code == ERROR_NONE)
        code = check_server(&webhook, "tls-cert, tls-key", true, error);
    // The same certificate, with other authorities.
    return code == ERROR_NONE ? check_server(&admin, "admin-client-ca", false, error) : code;
}
