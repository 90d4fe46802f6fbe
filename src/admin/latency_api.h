// GET /api/latency: reading a month of thousands of pools takes a second and more, so a thread of its own does it, for
// one request after the other. An answer that took long is kept for a while, as pools are (view/pools_cache.h), and given
// to all that ask for the same; requests that come during a short reading share the next one.
#ifndef GHATRACE_ADMIN_LATENCY_API_H
#define GHATRACE_ADMIN_LATENCY_API_H

#include "api.h"
#include "ghatrace/admin/admin.h"

// That wait for an answer; further ones are refused.
#define LATENCY_API_REQUESTS_MAX 64
// Bytes of text; larger answers are not kept.
#define LATENCY_API_KEPT_MAX ((size_t)4 * 1024 * 1024)

struct latency_api;

// Both outlive it.
enum error_code latency_api_create(struct net_loop *loop, const struct view_sources *sources,
                                   struct latency_api **api, struct error *error) MUST_CHECK;
// Waits for the thread; call it when the listener is stopped, and before the store is closed.
void latency_api_stop(struct latency_api *api);
// When the loop is destroyed.
void latency_api_destroy(struct latency_api *api);
// Answers a request of a slow route, at once or later.
void latency_api_answer(struct latency_api *api, const struct api_latency_query *query,
                        struct admin_response *reply);

#endif
