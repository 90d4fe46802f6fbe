// Parts that responses of the JSON API have in common.
#include "api_object.h"

#include "ghatrace/base/utf8.h"
#include "ghatrace/trace/labels.h"

enum error_code api_begin(const struct api_call *call, struct api_object *object)
{
    *object =
        (struct api_object){.call = call, .reader = {.arena = call->arena, .error = call->error}};
    json_out_init(&object->json, call->out);
    json_out_open_object(&object->json, NULL);
    return store_begin(call->sources->store, false, &object->reader.transaction, call->error);
}

void api_put_unreadable(struct api_object *object)
{
    json_out_count(&object->json, "unreadable", store_unreadable(object->reader.transaction));
}

enum error_code api_finish(struct json_out *json, struct error *error)
{
    json_write_raw(&json->writer, SLICE("\n"));
    enum error_code code = json_out_finish(json);
    if (code != ERROR_NONE)
        error_set(error, code, "write a response: %s", error_code_text(code));
    return code;
}

enum error_code api_end(struct api_object *object, enum error_code code)
{
    json_out_close_object(&object->json);
    store_abort(object->reader.transaction);
    return code == ERROR_NONE || code == json_out_finish(&object->json)
               ? api_finish(&object->json, object->call->error)
               : code;
}

size_t api_list_end(const struct buffer *out)
{
    return out->len + (out->max - out->len) / 4;
}

void api_put_known_count(struct json_out *json, const char *name, bool is_known, uint64_t count)
{
    if (is_known)
        json_out_count(json, name, count);
    else
        json_out_null(json, name);
}

void api_put_labels(struct json_out *json, const char *name, struct slice joined)
{
    char room[LABELS_TEXT_MAX];
    struct slice label;
    joined = utf8_cut(joined, sizeof room);
    json_out_open_array(json, name);
    while (labels_next(&joined, room, &label))
        json_out_text(json, NULL, label);
    json_out_close_array(json);
}

const char *api_open_job_text(enum open_job_kind open_state)
{
    switch (open_state) {
    case OPEN_JOB_WAITING:
        return "waiting";
    case OPEN_JOB_QUEUED:
        return "queued";
    case OPEN_JOB_RUNNING:
        return "running";
    case OPEN_JOB_NONE:
        break;
    }
    return "finished";
}
