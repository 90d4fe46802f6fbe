// The part of the daemon that pushes metrics.
#include "metrics.h"

// --- the header file ------------------------------------------------------------------------------

static enum error_code use_push_headers(void *context, const struct http_header *headers,
                                        size_t count, struct error *error)
{
    const struct metrics_part *part = context;
    return metrics_push_use_headers(part->push, headers, count, error);
}

static void check_header_file(void *context)
{
    const struct metrics_part *part = context;
    export_header_file_look(part->header_file, timestamp_monotonic());
}

static void read_header_file_now(void *context)
{
    struct metrics_part *part = context;
    part->is_header_read_posted = false;
    if (part->header_file != NULL)
        (void)export_header_file_read(part->header_file);
}

// After a 401. Deferred, so that the failure is recorded first and new headers end its wait.
static void read_headers_soon(void *context)
{
    struct metrics_part *part = context;
    if (part->is_header_read_posted)
        return;
    part->is_header_read_posted = true;
    net_loop_post(part->loop, &part->header_read);
}

static enum error_code open_header_file(struct metrics_part *part, struct export_options *export,
                                        struct error *error)
{
    const char *path = part->config->metrics.header_file;
    if (path == NULL)
        return ERROR_NONE;
    enum error_code code = export_header_file_open(path, export->headers, export->header_count,
                                                   &part->header_file, error);
    if (code != ERROR_NONE)
        return code;
    export->headers = export_header_file_headers(part->header_file, &export->header_count);
    part->header_read = (struct net_task){.run = read_header_file_now, .context = part};
    export->before_request = check_header_file;
    export->before_request_context = part;
    export->on_unauthorized = read_headers_soon;
    export->on_unauthorized_context = part;
    return ERROR_NONE;
}

// --- life -----------------------------------------------------------------------------------------

enum error_code metrics_part_start(struct metrics_part *part, const struct config *config,
                                   struct net_loop *loop, struct store *store, struct error *error)
{
    const struct config_metrics *metrics = &config->metrics;
    const struct trace_policy *policy = &config->engine.policy;
    struct metrics_push_options wanted = {.export = metrics->exporting.options,
                                          .interval = metrics->interval,
                                          .timeout = metrics->timeout,
                                          .service_name = policy->service_name,
                                          .resource_extra = policy->resource_extra,
                                          .resource_extra_count = policy->resource_extra_count};
    *part = (struct metrics_part){.config = config, .loop = loop};
    if (!metrics->exporting.is_on)
        return ERROR_NONE;
    enum error_code code = config_make_export_tls(&metrics->exporting, &part->tls, error);
    wanted.export.loop = loop;
    wanted.export.store = store;
    wanted.export.tls = part->tls;
    if (code == ERROR_NONE)
        code = open_header_file(part, &wanted.export, error);
    if (code == ERROR_NONE)
        code = metrics_push_create(&wanted, &part->push, error);
    if (code != ERROR_NONE)
        return code;
    if (part->header_file != NULL)
        export_header_file_on_change(part->header_file, use_push_headers, part);
    metrics_push_start(part->push);
    return ERROR_NONE;
}

enum error_code metrics_part_read_tls(const struct metrics_part *part, struct net_tls_client **tls,
                                      struct error *error)
{
    *tls = NULL;
    return part->push != NULL ? config_make_export_tls(&part->config->metrics.exporting, tls, error)
                              : ERROR_NONE;
}

enum error_code metrics_part_read_headers(const struct metrics_part *part, struct error *error)
{
    struct export_header_file_status status;
    if (part->header_file == NULL || export_header_file_read(part->header_file))
        return ERROR_NONE;
    export_header_file_read_status(part->header_file, &status);
    return error_set(error, ERROR_USAGE, "%s", status.reason);
}

void metrics_part_use_tls(const struct metrics_part *part, struct net_tls_client *tls)
{
    if (part->push != NULL)
        metrics_push_renew_connections(part->push, tls);
}

void metrics_part_release(struct metrics_part *part)
{
    metrics_push_destroy(part->push);
    export_header_file_close(part->header_file);
    net_tls_client_unref(part->tls);
    part->push = NULL;
    part->header_file = NULL;
    part->tls = NULL;
}
