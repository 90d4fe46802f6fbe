// Which records the collector refuses while it accepts others.
#include "api_parts.h"

#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/trace/attribute.h"

// A larger record is listed without being decoded.
#define DECODED_MAX ((uint32_t)1 << 20)

// Names the run; a record that cannot be decoded is listed all the same: that may be why it is refused.
static enum error_code put_names(struct json_out *json, struct store_transaction *transaction,
                                 const struct store_quarantined *quarantined, struct arena *arena,
                                 struct error *error)
{
    struct store_record record;
    struct span_batch batch = {.span_count = 0};
    enum error_code code = ERROR_NOT_FOUND;
    if (quarantined->size <= DECODED_MAX)
        code = store_get_record(transaction, quarantined->sequence, &record, error);
    if (code == ERROR_NONE && otlp_decode_batch(record.body, arena, &batch, error) != ERROR_NONE)
        batch = (struct span_batch){.span_count = 0};
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    bool has_span = batch.span_count > 0;
    struct slice server = SLICE_EMPTY; // null where nothing is known
    if (has_span)
        server = github_server_name(attributes_get_string(&batch.resource, "server.address"));
    json_out_text(json, "server", server);
    json_out_text(json, "owner", attributes_get_string(&batch.resource, "vcs.owner.name"));
    json_out_text(json, "repository",
                  attributes_get_string(&batch.resource, "vcs.repository.name"));
    json_out_text(json, "run_id", attributes_get_string(&batch.resource, "cicd.pipeline.run.id"));
    json_out_text(json, "span", has_span ? batch.spans[0].name : SLICE_EMPTY);
    if (has_span)
        json_out_hex(json, "trace_id", batch.spans[0].trace_id.bytes, TRACE_ID_SIZE);
    else
        json_out_null(json, "trace_id");
    return ERROR_NONE;
}

static enum error_code put_records(struct json_out *json, struct store_transaction *transaction,
                                   size_t limit, struct arena *arena, struct error *error)
{
    struct store_quarantined quarantined;
    uint64_t sequence = 0;
    size_t count = 0;
    enum error_code code;
    json_out_open_array(json, "records");
    while ((code = store_seek_quarantined(transaction, &sequence, &quarantined, error)) ==
               ERROR_NONE &&
           count < limit) {
        json_out_open_object(json, NULL);
        json_out_id(json, "sequence", (int64_t)sequence);
        json_out_count(json, "bytes", quarantined.size);
        json_out_time(json, "since", quarantined.since);
        json_out_text(json, "reason", quarantined.reason);
        code = put_names(json, transaction, &quarantined, arena, error);
        if (code != ERROR_NONE)
            return code;
        json_out_close_object(json);
        count++;
        sequence++;
    }
    json_out_close_array(json);
    json_out_bool(json, "more", code == ERROR_NONE);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code api_render_quarantine(const struct view_sources *sources, size_t limit,
                                      struct arena *arena, struct buffer *out, struct error *error)
{
    struct store_transaction *transaction;
    struct json_out json;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, out);
    json_out_open_object(&json, NULL);
    code = put_records(&json, transaction, limit, arena, error);
    store_abort(transaction);
    if (code != ERROR_NONE)
        return code;
    json_out_close_object(&json);
    return api_finish(&json, error);
}
