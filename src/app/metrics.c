// The part of the daemon that pushes metrics.
#include "metrics.h"

static enum error_code use_push_headers(void *context, const struct http_header *headers,
                                        size_t count, struct error *error)
{
    const struct metrics_part *part = context;
    return metrics_push_use_headers(part->push, headers, count, error);
}

enum error_code metrics_part_start(struct metrics_part *part, const struct config *config,
                                   struct net_loop *loop, struct store *store, struct error *error)
{
    const struct config_metrics *metrics = &config->metrics;
    const struct trace_policy *policy = &config->engine.policy;
    struct metrics_push_options wanted = {.export = metrics->exporting.options,
                                          .interval = metrics->interval,
                                          .timeout = metrics->timeout,
                                          .job_grace = policy->job_grace,
                                          .service_name = policy->service_name,
                                          .resource_extra = policy->resource_extra,
                                          .resource_extra_count = policy->resource_extra_count};
    *part = (struct metrics_part){.config = config};
    if (!metrics->exporting.is_on)
        return ERROR_NONE;
    enum error_code code = config_make_export_tls(&metrics->exporting, &part->tls, error);
    wanted.export.loop = loop;
    wanted.export.store = store;
    wanted.export.tls = part->tls;
    if (code == ERROR_NONE)
        code = header_reader_open(&part->headers, metrics->header_file, &wanted.export, error);
    if (code == ERROR_NONE)
        code = metrics_push_create(&wanted, &part->push, error);
    if (code != ERROR_NONE)
        return code;
    if (part->headers.file != NULL)
        export_header_file_on_change(part->headers.file, use_push_headers, part);
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
    return header_reader_read(&part->headers, error);
}

void metrics_part_use_tls(const struct metrics_part *part, struct net_tls_client *tls)
{
    if (part->push != NULL)
        metrics_push_renew_connections(part->push, tls);
}

void metrics_part_release(struct metrics_part *part)
{
    metrics_push_destroy(part->push);
    header_reader_close(&part->headers);
    net_tls_client_unref(part->tls);
    part->push = NULL;
    part->tls = NULL;
}
