// The part of the daemon that sends notices.
#include "notices.h"

#include "cli.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/log.h"

static enum error_code set_proxies(const struct config *config, struct notice_receivers *receivers,
                                   struct error *error)
{
    for (size_t i = 0; i < receivers->count; i++) {
        struct export_endpoint *endpoint = &receivers->items[i].endpoint;
        const char *from;
        const char *url = config_find_proxy(endpoint, config->environment, &from);
        enum error_code code =
            url != NULL ? export_proxy_parse(slice_from_string(url), &endpoint->proxy, error)
                        : ERROR_NONE;
        if (code != ERROR_NONE)
            return error_wrap(error, "%s", from);
    }
    return ERROR_NONE;
}

static enum error_code parse_file(const struct config *config, struct buffer *text,
                                  struct notice_receivers *receivers, struct error *error)
{
    enum error_code code = file_read_secrets(config->notify_url_file, text, error);
    if (code != ERROR_NONE)
        return code;
    code = notice_receivers_parse(buffer_slice(text), receivers, error);
    return code == ERROR_NONE ? code : error_wrap(error, "%s", config->notify_url_file);
}

enum error_code notices_read_file(const struct config *config, struct notice_receivers *receivers,
                                  struct error *error)
{
    struct buffer text;
    *receivers = (struct notice_receivers){.count = 0};
    buffer_init(&text, NOTICE_FILE_MAX);
    enum error_code code = parse_file(config, &text, receivers, error);
    if (code == ERROR_NONE)
        code = set_proxies(config, receivers, error);
    if (text.data != NULL)
        digest_wipe(text.data, text.capacity);
    buffer_release(&text);
    return code == ERROR_NONE ? code : error_wrap(error, "notify-url-file");
}

static bool uses_tls(const struct notice_receivers *receivers)
{
    for (size_t i = 0; i < receivers->count; i++)
        if (receivers->items[i].endpoint.is_tls)
            return true;
    return false;
}

enum error_code notices_part_read(const struct notices_part *part, struct notice_senders **senders,
                                  struct error *error)
{
    const struct net_tls_client_options files = {.ca_file = NULL};
    struct net_tls_client *tls = NULL;
    struct notice_receivers receivers;
    *senders = NULL;
    if (part->notices == NULL)
        return ERROR_NONE;
    enum error_code code = notices_read_file(part->config, &receivers, error);
    if (code == ERROR_NONE && uses_tls(&receivers))
        code = net_tls_client_read(&files, &tls, error);
    if (code == ERROR_NONE)
        code = notice_senders_create(part->notices, &receivers, tls, senders, error);
    net_tls_client_unref(tls); // the senders hold it
    notice_receivers_wipe(&receivers);
    return code;
}

void notices_part_use(const struct notices_part *part, struct notice_senders *senders)
{
    if (senders != NULL)
        notices_use(part->notices, senders);
}

static void log_receivers(const struct notices_part *part)
{
    struct notice_receiver_status status;
    for (size_t i = 0; notices_read_receiver(part->notices, i, &status); i++)
        log_info("sending notices", LOG_STRING("form", notice_form_names[status.form]),
                 LOG_STRING("host", status.host));
}

enum error_code notices_part_start(struct notices_part *part, const struct config *config,
                                   const struct notices_options *parts, struct error *error)
{
    struct notices_options wanted = *parts;
    struct notice_senders *senders;
    *part = (struct notices_part){.config = config};
    if (config->notify_url_file == NULL)
        return ERROR_NONE;
    wanted.settings = config->notices;
    wanted.pools = config->pools;
    enum error_code code = notices_create(&wanted, &part->notices, error);
    if (code == ERROR_NONE)
        code = notices_part_read(part, &senders, error);
    if (code != ERROR_NONE)
        return code;
    notices_part_use(part, senders);
    log_receivers(part);
    return ERROR_NONE;
}

void notices_part_stop(const struct notices_part *part)
{
    if (part->notices != NULL)
        notices_stop(part->notices);
}

void notices_part_release(struct notices_part *part)
{
    notices_destroy(part->notices);
    part->notices = NULL;
}
