// The webhook endpoint: from the head of a request, through the engine, to the response.
#ifndef GHATRACE_WEBHOOK_WEBHOOK_PRIVATE_H
#define GHATRACE_WEBHOOK_WEBHOOK_PRIVATE_H

#include <stdatomic.h>

#include "ghatrace/base/log.h"
#include "ghatrace/http/limits.h"
#include "ghatrace/http/server.h"
#include "ghatrace/webhook/webhook.h"
#include "setup_private.h"

// One thread's counters; other threads only read them.
struct webhook_counters {
    struct webhook_sums {
        INGRESS_COUNTER_LIST(LIST_ATOMIC_COUNTER)
    } sums;
    // Of the last delivery with a valid signature, and of the last of each kind; 0: none yet.
    _Atomic timestamp_ns signed_at, event_at[GITHUB_EVENT_KINDS];
};

// The `context` of webhook_service.
struct webhook {
    struct engine *engine;
    struct ingress *ingress;
    const struct ingress_options *options;
    struct auth_failures *failures; // shared by all threads, like the next
    struct setup_notes *setup;
    // Limits of log lines that unauthenticated clients can cause: signatures, other paths, the rest; and of pings.
    struct log_limit signature_lines, path_lines, malformed_lines, ping_lines;
    struct webhook_counters counters;
};

extern const struct http_service webhook_service;

#endif
