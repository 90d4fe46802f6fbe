// ghatrace serve: the daemon.
#include "ghatrace/app/command.h"
#include "ghatrace/app/server.h"
#include "ghatrace/base/log.h"

static int run(struct invocation *invocation)
{
    struct config config;
    struct error error;
    int status = invocation_configure(invocation, &config);
    if (status != EXIT_OK)
        return status;
    log_configure((enum log_level)config.log_level, (enum log_format)config.log_format);
    for (size_t i = 0; i < config.warnings.count; i++)
        log_warn("configuration", LOG_STRING("warning", config.warnings.items[i]));
    return server_run(&config, &error) == ERROR_NONE ? EXIT_OK : command_fail(&error);
}

const struct command command_serve = {
    .name = "serve",
    .operands = "",
    .summary = "the daemon: webhooks in, traces out",
    .details =
        "SIGTERM and SIGINT stop it in good order, a second one at once; SIGHUP makes it read\n"
        "the webhook secrets and all certificates again. OpenTelemetry's variables\n"
        "OTEL_EXPORTER_OTLP_* (ENDPOINT, TRACES_ENDPOINT, PROTOCOL, HEADERS, TIMEOUT, "
        "COMPRESSION,\n"
        "CERTIFICATE, CLIENT_CERTIFICATE, CLIENT_KEY), OTEL_SERVICE_NAME and\n"
        "OTEL_RESOURCE_ATTRIBUTES work as their specification says; settings of our own\n"
        "beat them.\n",
    .settings = OPTIONS_ALL,
    .run = run,
};
