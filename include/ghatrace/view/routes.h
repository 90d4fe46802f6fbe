// All that the admin listener serves beside health: metrics, the API, the live stream, the page.
#ifndef GHATRACE_VIEW_ROUTES_H
#define GHATRACE_VIEW_ROUTES_H

#include "ghatrace/ingress/admin.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/view/sources.h"

struct view;

enum error_code view_create(struct net_loop *loop, const struct view_sources *sources,
                            struct view **view, struct error *error) MUST_CHECK;
// Live as long as the view.
const struct admin_route *view_routes(const struct view *view, size_t *count);
// When the admin listener is stopped and the loop is gone: until then streams may end.
void view_destroy(struct view *view);
// The timer belongs to the loop: before the loop goes.
void view_stop(struct view *view);

#endif
