// GET /health (alive) and GET /ready (can accept), on the public side and on the admin side.
#ifndef GHATRACE_INGRESS_HEALTH_H
#define GHATRACE_INGRESS_HEALTH_H

#include "answer.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/http/parser.h"
#include "ghatrace/ingress/ingress.h"

// True if the request is for one of the two: then `answer` is filled in.
// `ingress` may be NULL.
bool health_answers(struct engine *engine, struct ingress *ingress, const struct http_head *head,
                    struct answer *answer);

#endif
