// The daemon: files read again, start and stop.
#ifndef GHATRACE_APP_SERVER_H
#define GHATRACE_APP_SERVER_H

#include "config.h"
#include "credentials.h"
#include "ghatrace/admin/admin.h"
#include "ghatrace/base/error.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/export/header_file.h"
#include "ghatrace/webhook/webhook.h"

// --- reload ---------------------------------------------------------------------------------------
// Reading secrets, certificates and headers, at the start and again on SIGHUP: all that was named, or nothing, is
// replaced.

// What takes the files' content. NULL: there is no such part.
struct reload_parts {
    const struct config *config;
    struct ingress_secrets *secrets;
    struct ingress_secrets *admin_tokens;
    struct ingress *ingress;
    struct admin *admin;
    struct exporter *exporter;
    struct export_header_file *header_file;
    const struct credentials *credentials; // as they were when the parts were made
};

// --- the daemon: all parts put together, run, and taken apart again -------------------------------

// Runs until SIGTERM or SIGINT, then stops in order; another one, a second or more later, ends the
// process at once. An error means that it could not start.
enum error_code server_run(const struct config *config, struct error *error) MUST_CHECK;

#endif
