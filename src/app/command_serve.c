// ghatrace serve: the daemon.
#include <stdio.h>

#include "ghatrace/app/command.h"
#include "ghatrace/app/server.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/log_queue.h"
#include "ghatrace/base/memory.h"

#define LAST_WORDS_MS 1000 // how long the end waits for a standard error that is not read

// As command_fail() has it, behind all log lines, and without waiting for ever.
static int fail(const struct error *error)
{
    char text[sizeof error->message + 32];
    int len = snprintf(text, sizeof text, "ghatrace: %s\n", error->message);
    log_last_words(text, (size_t)len, LAST_WORDS_MS);
    return error->code == ERROR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static int run(struct invocation *invocation)
{
    struct config config;
    struct error error;
    int status = invocation_configure(invocation, &config);
    if (status != EXIT_OK)
        return status;
    activation_claim(&config.activation);
    memory_return_large_blocks();
    log_configure((enum log_level)config.log_level, (enum log_format)config.log_format);
    if (log_start(&error) != ERROR_NONE)
        return command_fail(&error);
    for (size_t i = 0; i < config.warnings.count; i++)
        log_warn("configuration", LOG_STRING("warning", config.warnings.items[i]));
    if (server_run(&config, &error) != ERROR_NONE)
        return fail(&error);
    log_flush(LAST_WORDS_MS);
    return EXIT_OK;
}

const struct command command_serve = {
    .name = "serve",
    .operands = "",
    .summary = "the daemon: webhooks in, traces out",
    .details =
        "SIGTERM and SIGINT stop it in good order, another one a second or more later at once;\n"
        "SIGHUP makes it read the webhook secrets, all certificates and otlp-header-file again.\n"
        "Listening sockets that systemd passes (LISTEN_FDS), named webhook and admin, are used\n"
        "instead of listen and admin-listen. OpenTelemetry's variables\n"
        "OTEL_EXPORTER_OTLP_* (ENDPOINT, TRACES_ENDPOINT, PROTOCOL, HEADERS, TIMEOUT, "
        "COMPRESSION,\n"
        "CERTIFICATE, CLIENT_CERTIFICATE, CLIENT_KEY), OTEL_SERVICE_NAME and\n"
        "OTEL_RESOURCE_ATTRIBUTES work as their specification says; settings of our own\n"
        "beat them.\n",
    .settings = OPTIONS_ALL,
    .run = run,
};
