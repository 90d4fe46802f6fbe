// The webhook endpoint: from a request's head to the answer, by way of the engine.
#ifndef GHATRACE_INGRESS_WEBHOOK_H
#define GHATRACE_INGRESS_WEBHOOK_H

#include <stdatomic.h>

#include "conversation.h"
#include "failures.h"
#include "ghatrace/base/log_limit.h"
#include "ghatrace/ingress/ingress.h"

// One thread's counts; others only read them.
struct webhook_counters {
    atomic_uint_fast64_t requests;
    atomic_uint_fast64_t deliveries[INGRESS_EVENTS][INGRESS_OUTCOMES];
    atomic_uint_fast64_t refusals[INGRESS_REFUSALS];
    atomic_uint_fast64_t strangers;
};

// The context of webhook_service.
struct webhook {
    struct engine *engine;
    struct ingress *ingress;
    const struct ingress_options *options;
    struct failures *failures; // of all threads
    // Of lines about requests that strangers can cause: signatures, and all else.
    struct log_limit signature_lines, malformed_lines;
    struct webhook_counters counters;
};

extern const struct conversation_service webhook_service;

#endif
