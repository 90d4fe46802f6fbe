// The JSON API: how long jobs waited for a runner.
#include "api.h"

#include "api_object.h"
#include "ghatrace/view/latency_view.h"

static void put_percentile(struct json_out *json, const char *name,
                           const struct latency_figures *figures, duration_ns value)
{
    if (figures->count > 0)
        json_out_seconds(json, name, value);
    else
        json_out_null(json, name);
}

static void put_figures(struct json_out *json, const struct latency_figures *figures)
{
    json_out_count(json, "count", figures->count);
    put_percentile(json, "p50", figures, figures->p50);
    put_percentile(json, "p90", figures, figures->p90);
    put_percentile(json, "p99", figures, figures->p99);
    put_percentile(json, "max", figures, figures->max);
}

static void put_row(struct json_out *json, const struct latency_view *view,
                    const struct latency_pool *row)
{
    json_out_open_object(json, NULL);
    api_put_pool_names(json, row->pool);
    put_figures(json, &row->whole);
    json_out_open_array(json, "slots");
    for (size_t i = 0; i < view->slot_count; i++) {
        json_out_open_object(json, NULL);
        json_out_time(json, "start", view->first + (duration_ns)i * view->slot_length);
        put_figures(json, &row->slots[i]);
        json_out_close_object(json);
    }
    json_out_close_array(json);
    json_out_close_object(json);
}

static void put_latency(struct json_out *json, const struct latency_view *view, size_t limit,
                        size_t end)
{
    size_t i = 0;
    json_out_time(json, "from", view->first);
    json_out_time(json, "to", view->end);
    json_out_count(json, "window_seconds", (uint64_t)((view->end - view->first) / NS_PER_SECOND));
    json_out_count(json, "slot_seconds", (uint64_t)(view->slot_length / NS_PER_SECOND));
    json_out_count(json, "pool_count", view->count);
    json_out_open_array(json, "pools");
    for (; i < view->count && i < limit && json->writer.out->len <= end; i++)
        put_row(json, view, &view->pools[i]);
    json_out_close_array(json);
    json_out_bool(json, "more", i < view->count);
    json_out_count(json, "unreadable", view->unreadable);
}

enum error_code api_render_latency(const struct api_call *call,
                                   const struct api_latency_query *query,
                                   const atomic_bool *is_cancelled)
{
    const struct latency_question question = {.span = query->span,
                                              .now = call->now,
                                              .is_worst_first = query->is_worst_first,
                                              .is_cancelled = is_cancelled};
    struct latency_view view;
    struct json_out json;
    enum error_code code =
        latency_view_load(call->sources->store, &question, call->arena, &view, call->error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, call->out);
    json_out_open_object(&json, NULL);
    json_out_time(&json, "now", call->now);
    put_latency(&json, &view, query->limit, api_list_end(call->out));
    json_out_close_object(&json);
    return api_finish(&json, call->error);
}
