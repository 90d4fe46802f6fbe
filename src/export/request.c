// Builds the body of one request from records of the outbox: joins, transcodes and compresses them.
#include "request.h"

#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/http/gzip.h"
#include "ghatrace/http/write.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/otlp/json.h"
#include "grpc.h"

#define USER_AGENT "ghatrace/" GHATRACE_VERSION
#define OWN_FIELDS_MAX 6
#define REQUEST_JSON_MAX (4 * REQUEST_BODY_MAX) // JSON of these spans is two to three times as long
#define ARENA_BLOCK ((size_t)64 << 10)          // for the spans of two records
#define FORM_ARENA_BLOCK 1024
#define REQUEST_HEAD_MAX ((size_t)64 << 10)
#define FIELD_OVERHEAD 4 // ": " and CRLF
#define REQUEST_PACKED_MAX (REQUEST_JSON_MAX + ((size_t)64 << 10))

// --- fields ---------------------------------------------------------------------------------------

static void add_field(struct request_form *form, struct slice name, struct slice value)
{
    form->fields[form->field_count++] = (struct http_header){.name = name, .value = value};
}

static enum error_code copy_field(const struct http_header *header, struct arena *arena,
                                  struct http_header *copy, struct error *error)
{
    if (!arena_copy_slice(arena, header->name, &copy->name) ||
        !arena_copy_slice(arena, header->value, &copy->value))
        return error_set(error, ERROR_MEMORY, "out of memory");
    return ERROR_NONE;
}

static enum error_code add_configured_field(struct request_form *form,
                                            const struct http_header *header, struct arena *arena,
                                            struct error *error)
{
    struct http_header field, plain;
    enum error_code code = copy_field(header, arena, &plain, error);
    if (code == ERROR_NONE && form->protocol == EXPORT_GRPC)
        code = grpc_make_metadata(header, arena, &field, error);
    else if (code == ERROR_NONE)
        field = plain;
    if (code != ERROR_NONE)
        return code;
    form->secrets[form->secret_count++] = field;
    if (!slice_equals(field.value, plain.value))
        form->secrets[form->secret_count++] = plain;
    add_field(form, field.name, field.value);
    return ERROR_NONE;
}

static enum error_code add_timeout(struct request_form *form, duration_ns timeout,
                                   struct arena *arena, struct error *error)
{
    char text[GRPC_TIMEOUT_SIZE];
    struct slice copy;
    if (timeout <= 0)
        return ERROR_NONE;
    if (!arena_copy_slice(arena, slice_from_string(grpc_format_timeout(timeout, text)), &copy))
        return error_set(error, ERROR_MEMORY, "out of memory");
    add_field(form, SLICE("grpc-timeout"), copy);
    return ERROR_NONE;
}

static enum error_code add_own_fields(struct request_form *form, duration_ns timeout,
                                      struct arena *arena, struct error *error)
{
    if (form->protocol != EXPORT_GRPC) {
        add_field(form, SLICE("Content-Type"),
                  form->protocol == EXPORT_JSON ? SLICE("application/json")
                                                : SLICE("application/x-protobuf"));
        if (form->gzip)
            add_field(form, SLICE("Content-Encoding"), SLICE("gzip"));
        return ERROR_NONE;
    }
    add_field(form, SLICE("content-type"), SLICE("application/grpc"));
    add_field(form, SLICE("te"), SLICE("trailers"));
    add_field(form, SLICE("grpc-accept-encoding"), SLICE("gzip"));
    if (form->gzip)
        add_field(form, SLICE("grpc-encoding"), SLICE("gzip"));
    return add_timeout(form, timeout, arena, error);
}

// A request that cannot be sent must be detected at the start: later it would look like an error of the records.
static enum error_code check_form(const struct request_form *form, struct error *error)
{
    const struct http_request_parts parts = {
        .target = slice_from_string(form->endpoint->path),
        .host = slice_from_string(form->endpoint->host_header),
        .fields = form->fields,
        .field_count = form->field_count,
    };
    size_t bytes = parts.target.len + parts.host.len;
    for (size_t i = 0; i < form->field_count; i++)
        bytes += form->fields[i].name.len + form->fields[i].value.len + FIELD_OVERHEAD;
    if (bytes > REQUEST_HEAD_MAX || !http_is_valid_request(&parts))
        return error_set(error, ERROR_USAGE,
                         "endpoint and headers make no valid request: they are too long, or hold "
                         "characters that HTTP does not allow");
    return ERROR_NONE;
}

enum error_code request_form_init(struct request_form *form, const struct export_options *options,
                                  const struct export_endpoint *endpoint, struct arena *arena,
                                  struct error *error)
{
    *form = (struct request_form){
        .endpoint = endpoint, .protocol = options->protocol, .gzip = options->gzip};
    export_endpoint_url(endpoint, form->url);
    form->fields = arena_allocate_array(arena, options->header_count + OWN_FIELDS_MAX,
                                        sizeof(struct http_header));
    form->secrets =
        arena_allocate_array(arena, 2 * options->header_count + 1, sizeof(struct http_header));
    if (form->fields == NULL || form->secrets == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");

    bool names_agent = false;
    enum error_code code;
    for (size_t i = 0; i < options->header_count; i++) {
        const struct http_header *header = &options->headers[i];
        if (export_header_is_own(header->name) ||
            (form->protocol == EXPORT_GRPC && grpc_is_reserved(header->name))) {
            log_warn("configured header is left out: it is the exporter's own",
                     LOG_SLICE("name", header->name));
            continue;
        }
        code = add_configured_field(form, header, arena, error);
        if (code != ERROR_NONE)
            return code;
        names_agent |= slice_equals_ignoring_case(header->name, SLICE("User-Agent"));
    }
    if (!names_agent)
        add_field(form, SLICE("User-Agent"), SLICE(USER_AGENT));
    code = add_own_fields(form, options->timeout, arena, error);
    return code == ERROR_NONE ? check_form(form, error) : code;
}

static bool have_same_fields(const struct request_form *a, const struct request_form *b)
{
    if (a->field_count != b->field_count)
        return false;
    for (size_t i = 0; i < a->field_count; i++) {
        if (!slice_equals(a->fields[i].name, b->fields[i].name) ||
            !slice_equals(a->fields[i].value, b->fields[i].value))
            return false;
    }
    return true;
}

enum error_code made_form_init(const struct export_options *options,
                               const struct export_endpoint *endpoint, struct made_form *made,
                               struct error *error)
{
    const struct request_form *form = &made->form;
    *made = (struct made_form){.masks = {.count = 0}};
    arena_init(&made->arena, FORM_ARENA_BLOCK);
    arena_init(&made->old_arena, FORM_ARENA_BLOCK);
    enum error_code code = request_form_init(&made->form, options, endpoint, &made->arena, error);
    if (code == ERROR_NONE && mask_init(&made->masks, form->secrets, form->secret_count, endpoint,
                                        &made->arena) != ERROR_NONE)
        code = error_set(error, ERROR_MEMORY, "out of memory");
    if (code != ERROR_NONE)
        made_form_release(made);
    return code;
}

enum error_code made_form_change(struct made_form *made, const struct export_options *options,
                                 bool *is_changed, struct error *error)
{
    struct made_form newer;
    *is_changed = false;
    enum error_code code = made_form_init(options, made->form.endpoint, &newer, error);
    if (code != ERROR_NONE)
        return code;
    *is_changed = !have_same_fields(&newer.form, &made->form);
    if (!*is_changed) {
        made_form_release(&newer);
        return ERROR_NONE;
    }
    // Requests in progress are already encoded and do not need the form.
    arena_release(&made->old_arena);
    newer.old_arena = made->arena;
    newer.old_masks = made->masks;
    newer.old_masks.older = NULL;
    *made = newer;
    made->masks.older = &made->old_masks;
    return ERROR_NONE;
}

void made_form_release(struct made_form *made)
{
    arena_release(&made->arena);
    arena_release(&made->old_arena);
}

struct http_client_request request_with_body(const struct request_form *form, struct slice body,
                                             duration_ns timeout)
{
    const struct export_endpoint *endpoint = form->endpoint;
    bool is_grpc = form->protocol == EXPORT_GRPC;
    return (struct http_client_request){
        .method = "POST",
        .url = form->url,
        .userinfo = endpoint->userinfo,
        .headers = form->fields,
        .header_count = form->field_count,
        .body = body,
        .timeout = timeout,
        .body_max = EXPORT_ANSWER_MAX,
        .body_skip_max = is_grpc ? EXPORT_SKIP_MAX : 0,
        .proxy = endpoint->proxy.url[0] != '\0' ? endpoint->proxy.url : NULL,
        .version = is_grpc ? HTTP_CLIENT_VERSION_2 : HTTP_CLIENT_VERSION_ANY,
        .uses_tunnel = is_grpc, // proxies do not forward HTTP/2 with prior knowledge
    };
}

// --- records --------------------------------------------------------------------------------------

static bool has_span(const struct span_batch *batch, const struct span_id *id)
{
    for (size_t i = 0; i < batch->span_count; i++) {
        if (memcmp(&batch->spans[i].span_id, id, sizeof *id) == 0)
            return true;
    }
    return false;
}

// Keeps in `batch` only the spans that `newer` does not have.
static void drop_replaced(struct span_batch *batch, const struct span_batch *newer)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->span_count; i++) {
        if (!has_span(newer, &batch->spans[i].span_id))
            batch->spans[kept++] = batch->spans[i];
    }
    batch->span_count = kept;
}

// Spans of this record were sent again with corrections in a later record. They must not be sent after those, which
// could happen if this record is retried, or put back from the dead letters. What the later record lacks is a span
// that was withdrawn, as one of no length: it is sent. ERROR_NOT_FOUND: nothing remains to be sent.
static enum error_code append_not_replaced(struct slice body, struct slice newer,
                                           struct buffer *joined, struct error *error)
{
    struct arena arena;
    struct span_batch batch, newer_batch;
    arena_init(&arena, ARENA_BLOCK);
    enum error_code code = otlp_decode_batch(body, &arena, &batch, error);
    if (code == ERROR_NONE)
        code = otlp_decode_batch(newer, &arena, &newer_batch, error);
    if (code == ERROR_NONE) {
        drop_replaced(&batch, &newer_batch);
        code = batch.span_count > 0 ? otlp_encode_batch(&batch, joined, error) : ERROR_NOT_FOUND;
    }
    arena_release(&arena);
    return code == ERROR_CORRUPT ? ERROR_NOT_FOUND : code; // the later record is enough
}

// ERROR_NOT_FOUND: deleted, or replaced. A tool may have settled it while the exporter waited for the collector.
static enum error_code append_record(struct store_transaction *transaction, uint64_t sequence,
                                     struct buffer *joined, struct error *error)
{
    uint64_t found = sequence, newest = 0;
    uint32_t size;
    struct store_record record, newer;
    enum error_code code = store_seek_outbox(transaction, &found, &size, error);
    if (code == ERROR_NONE && found != sequence)
        code = ERROR_NOT_FOUND;
    if (code == ERROR_NONE)
        code = store_get_record(transaction, sequence, &record, error);
    if (code != ERROR_NONE)
        return code;
    code = store_newest_record(transaction, &record.key, &newest, error);
    if (code == ERROR_NONE && newest > sequence)
        code = store_get_record(transaction, newest, &newer, error);
    if (code == ERROR_NONE && newest > sequence)
        return append_not_replaced(record.body, newer.body, joined, error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    code = buffer_append_slice(joined, record.body);
    return code == ERROR_NONE ? ERROR_NONE
                              : error_set(error, code, "request: %s", error_code_text(code));
}

// "repeated fields ... are concatenated" (Protocol Buffers, Encoding): the concatenated records are a valid
// ExportTraceServiceRequest.
static enum error_code join_records(struct store *store, struct request_records *records,
                                    struct buffer *joined, struct error *error)
{
    struct store_transaction *transaction;
    enum error_code code = store_begin(store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;

    records->found = 0;
    for (size_t i = 0; i < records->count && code == ERROR_NONE; i++) {
        code = append_record(transaction, records->sequences[i], joined, error);
        if (code == ERROR_NONE)
            records->found++;
        if (code == ERROR_NOT_FOUND)
            code = ERROR_NONE;
    }
    store_abort(transaction);
    return code;
}

// --- body -----------------------------------------------------------------------------------------

// Replaces the content of `body`. The intermediate text is freed at once: it may be large.
static void replace_body(struct buffer *body, struct buffer *with)
{
    buffer_release(body);
    *body = *with;
    buffer_init(with, 0);
}

typedef enum error_code (*json_writer)(struct slice request, struct buffer *out,
                                       struct error *error);

static enum error_code transcode(json_writer write, struct buffer *body, struct error *error)
{
    struct buffer json;
    buffer_init(&json, REQUEST_JSON_MAX);
    enum error_code code = write(buffer_slice(body), &json, error);
    if (code == ERROR_NONE)
        replace_body(body, &json);
    else if (code == ERROR_CORRUPT) // the record is corrupt, not the store
        code = error_set(error, ERROR_INVALID, "record cannot be written as JSON");
    buffer_release(&json);
    return code;
}

// Reserves the head of a message.
static enum error_code reserve_frame_head(const struct request_form *form, struct buffer *body,
                                          struct error *error)
{
    static const char head[GRPC_FRAME_HEAD];
    enum error_code code = ERROR_NONE;
    if (form->protocol == EXPORT_GRPC)
        code = buffer_append(body, head, sizeof head);
    return code == ERROR_NONE ? code : error_set(error, code, "request: %s", error_code_text(code));
}

static enum error_code compress_body(const struct request_form *form, struct buffer *body,
                                     struct error *error)
{
    struct buffer packed;
    struct slice plain = buffer_slice(body);
    buffer_init(&packed, REQUEST_PACKED_MAX);
    enum error_code code = reserve_frame_head(form, &packed, error);
    plain.data += packed.len;
    plain.len -= packed.len;
    if (code == ERROR_NONE)
        code = gzip_compress(plain, &packed, error);
    if (code == ERROR_NONE)
        replace_body(body, &packed);
    buffer_release(&packed);
    return code;
}

// Encodes the message behind the reserved head as the form says.
static enum error_code encode_body(const struct request_form *form, json_writer write_json,
                                   struct buffer *body, struct error *error)
{
    enum error_code code = ERROR_NONE;
    if (form->protocol == EXPORT_JSON)
        code = transcode(write_json, body, error);
    if (code == ERROR_NONE && form->gzip)
        code = compress_body(form, body, error);
    if (code == ERROR_NONE && form->protocol == EXPORT_GRPC)
        grpc_write_frame_head(body->data, body->len - GRPC_FRAME_HEAD, form->gzip);
    return code;
}

enum error_code request_build(const struct request_form *form, struct store *store,
                              struct request_records *records, struct buffer *body,
                              struct error *error)
{
    buffer_init(body, REQUEST_BODY_MAX);
    enum error_code code = reserve_frame_head(form, body, error);
    if (code == ERROR_NONE)
        code = join_records(store, records, body, error);
    if (code == ERROR_NONE && records->found > 0)
        code = encode_body(form, otlp_json_from_protobuf, body, error);
    if (code != ERROR_NONE || records->found == 0)
        buffer_release(body);
    return code;
}

enum error_code request_build_metrics(const struct request_form *form, struct slice message,
                                      struct buffer *body, struct error *error)
{
    buffer_init(body, REQUEST_BODY_MAX);
    enum error_code code = reserve_frame_head(form, body, error);
    if (code == ERROR_NONE && buffer_append_slice(body, message) != ERROR_NONE)
        code = error_set(error, ERROR_MEMORY, "request: out of memory");
    if (code == ERROR_NONE)
        code = encode_body(form, otlp_json_from_metrics, body, error);
    if (code != ERROR_NONE)
        buffer_release(body);
    return code;
}
