// The JSON API: the last incidents of pools.
#include "api_pools.h"
#include "ghatrace/view/pools_past.h"

static void put_incident(struct json_out *json, const struct past_incident *incident)
{
    json_out_open_object(json, NULL);
    json_out_text(json, "pool", past_name(incident));
    json_out_text(json, "state", slice_from_string(pool_state_names[incident->state]));
    json_out_time(json, "from", incident->from);
    json_out_time(json, "until", incident->until);
    json_out_count(json, "times", incident->times);
    json_out_count(json, "queued_max", incident->queued);
    json_out_seconds(json, "wait_seconds_max", incident->wait);
    json_out_close_object(json);
}

enum error_code api_put_past(struct api_object *object, struct slice pool)
{
    const struct view_reader *reader = &object->reader;
    const struct past_incident *sorted[PAST_MAX];
    struct past_list *list = arena_allocate(reader->arena, sizeof *list);
    if (list == NULL)
        return error_set(reader->error, ERROR_MEMORY, "show past incidents: out of memory");
    enum error_code code = past_load(reader->transaction, list, reader->error);
    if (code != ERROR_NONE)
        return code;
    size_t count = past_sort(list, pool, object->call->now, sorted);
    json_out_open_array(&object->json, "past");
    for (size_t i = 0; i < count; i++)
        put_incident(&object->json, sorted[i]);
    json_out_close_array(&object->json);
    return ERROR_NONE;
}
