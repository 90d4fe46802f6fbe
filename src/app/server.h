// The daemon: reload, start and stop.
#ifndef GHATRACE_APP_SERVER_H
#define GHATRACE_APP_SERVER_H

#include "config.h"
#include "ghatrace/admin/admin.h"
#include "ghatrace/base/error.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/receiver/receiver.h"
#include "ghatrace/webhook/webhook.h"
#include "header_reader.h"
#include "metrics.h"
#include "notices.h"
#include "systemd.h"

// --- reload ---------------------------------------------------------------------------------------
// Reads secrets, certificates and headers, at the start and again on SIGHUP: either all configured files are
// replaced, or none.

// Destinations of the files' content. NULL: there is no such part.
struct reload_parts {
    const struct config *config;
    struct ingress_secrets *secrets;
    struct ingress_secrets *admin_tokens;
    struct ingress_secrets *otlp_tokens;
    struct ingress *ingress;
    struct receiver *receiver;
    struct admin *admin;
    struct exporter *exporter;
    const struct header_reader *headers;
    const struct metrics_part *metrics;
    const struct notices_part *notices;
    const struct credentials *credentials; // as they were when the parts were made
};

// --- the daemon: creates, runs and releases all parts ---------------------------------------------

// Runs until SIGTERM or SIGINT, then shuts down in order; another one, a second or more later, ends the process at
// once. An error means that the daemon could not start.
enum error_code server_run(const struct config *config, struct error *error) MUST_CHECK;

#endif
