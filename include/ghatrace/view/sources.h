// What the admin side tells of, and where it reads it.
#ifndef GHATRACE_VIEW_SOURCES_H
#define GHATRACE_VIEW_SOURCES_H

#include "ghatrace/base/timestamp.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/export/header_file.h"
#include "ghatrace/ingress/ingress.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"

// Everything outlives the views.
struct view_sources {
    struct store *store;
    struct engine *engine;     // NULL: not running, as in tools and tests; its counts are 0
    struct exporter *exporter; // NULL: nothing is exported
    struct ingress *ingress;   // NULL: as engine
    const struct export_header_file *header_file; // NULL: no header comes from a file
    enum id_scheme id_scheme; // of the trace IDs that are shown: those that are exported
    const char *trace_url;    // where the backend shows a trace, with {trace_id} in it; NULL: none
    const char *export_url;   // NULL: nothing is exported
    const char *listen;       // of the webhooks, as the operator wrote it, with the real port
    const char *webhook_path;
    duration_ns history;
    timestamp_ns started_at;
};

#endif
