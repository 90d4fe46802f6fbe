// Reading secrets, certificates and headers, at the start and again on SIGHUP: all that was named, or nothing, is
// replaced.
#ifndef GHATRACE_APP_RELOAD_H
#define GHATRACE_APP_RELOAD_H

#include "ghatrace/app/config.h"
#include "ghatrace/app/credentials.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/export/header_file.h"
#include "ghatrace/ingress/admin.h"
#include "ghatrace/ingress/ingress.h"

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

// Webhook secrets, and admin tokens, as they are in the files now; for ingress_secrets_use(). ERROR_USAGE naming the
// file; ERROR_MEMORY.
enum error_code reload_read_secrets(const struct config *config, struct secret_set **set,
                                    struct error *error) MUST_CHECK;
enum error_code reload_read_tokens(const struct config *config, struct secret_set **set,
                                   struct error *error) MUST_CHECK;

// Reads every file again, then replaces all of them; if one cannot be read, or does not fit the others, nothing
// changes. Logs the outcome, and which files a reload cannot change (app/credentials.h). In the main loop's thread.
void reload_all(const struct reload_parts *parts);

#endif
