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

enum error_code config_check_tls(const struct config *config, struct error *error)
{
    struct net_tls *tls = NULL;
    enum error_code code = config_make_export_tls(config, &tls, error);
    net_tls_let_go(tls);
    tls = NULL;
    if (code != ERROR_NONE || config->tls_cert == NULL)
        return code;
    struct net_tls_server_options files = config_server_tls(config);
    code = net_tls_create_servers(&files, &tls, 1, error);
    if (code != ERROR_NONE)
        error_wrap(error, "tls-cert, tls-key");
    else
        net_tls_let_go(tls);
    return code;
}
