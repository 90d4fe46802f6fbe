// GET /health (liveness) and GET /ready (readiness), on the public and on the admin listener.
#ifndef GHATRACE_WEBHOOK_HEALTH_H
#define GHATRACE_WEBHOOK_HEALTH_H

#include "ghatrace/engine/engine.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/http/write.h"
#include "ghatrace/webhook/webhook.h"

// True if the request is for one of the two; `response` is then filled in.
// `ingress` may be NULL.
bool health_respond(struct engine *engine, struct ingress *ingress, const struct http_head *head,
                    struct http_response *response);

#endif
