// Spans of another program as a receiver gives them to the engine.
#include "support/foreign_spans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../src/otlp/wire.h"

static char memory[(size_t)64 << 20];
static size_t used;
static struct otlp_received_span spans[FOREIGN_SPANS_MAX];

static struct slice keep(struct wire_writer *writer)
{
    struct slice bytes = wire_writer_slice(writer);
    assert_int_equal(writer->failure, ERROR_NONE);
    assert_true(bytes.len <= sizeof memory - used);
    memcpy(memory + used, bytes.data, bytes.len);
    const struct slice kept = {memory + used, bytes.len};
    used += bytes.len;
    wire_writer_release(writer);
    return kept;
}

void foreign_start(struct foreign_request *request)
{
    used = 0;
    memset(request, 0, sizeof *request);
}

static struct slice attribute(const char *key, struct slice value)
{
    struct wire_writer writer;
    wire_writer_init(&writer, (size_t)16 << 20);
    wire_put_bytes(&writer, ANY_VALUE_STRING, value);
    wire_put_message(&writer, KEY_VALUE_VALUE, 0);
    wire_put_bytes(&writer, KEY_VALUE_KEY, slice_from_string(key));
    return keep(&writer);
}

static struct slice message(uint32_t number, struct slice bytes)
{
    struct wire_writer writer;
    wire_writer_init(&writer, (size_t)16 << 20);
    wire_put_bytes(&writer, number, bytes);
    return keep(&writer);
}

void foreign_add_scope(struct foreign_request *request, const char *service, const char *scope)
{
    assert_true(request->scope_count < FOREIGN_SCOPES_MAX);
    request->scopes[request->scope_count++] = (struct otlp_received_scope){
        .resource =
            message(RESOURCE_ATTRIBUTES, attribute("service.name", slice_from_string(service))),
        .scope = message(SCOPE_NAME, slice_from_string(scope)),
        .scope_schema_url = SLICE("https://opentelemetry.io/schemas/1.30.0"),
        .spans = &spans[request->span_count]};
}

void foreign_start_scope(struct foreign_request *request)
{
    foreign_start(request);
    foreign_add_scope(request, "tests", "pytest");
}

struct span_id foreign_id(uint64_t number)
{
    struct span_id id;
    for (int i = SPAN_ID_SIZE - 1; i >= 0; i--, number >>= 8)
        id.bytes[i] = (uint8_t)number;
    return id;
}

struct otlp_received_span *foreign_add_span(struct foreign_request *request,
                                            const struct trace_id *trace, struct span_id id,
                                            size_t padding)
{
    static char text[(size_t)8 << 20];
    const struct span_id parent = foreign_id(99);
    struct otlp_received_scope *scope = &request->scopes[request->scope_count - 1];
    struct wire_writer writer;
    assert_true(request->span_count < FOREIGN_SPANS_MAX && padding <= sizeof text);
    memset(text, 'x', padding);
    const struct slice pad = attribute("pad", (struct slice){text, padding});
    wire_writer_init(&writer, (size_t)16 << 20);
    wire_put_fixed32(&writer, SPAN_FLAGS, 0x101);
    wire_put_bytes(&writer, SPAN_ATTRIBUTES, pad);
    wire_put_varint(&writer, 1000, 7); // a field that this program does not know
    wire_put_fixed64(&writer, SPAN_END_TIME, 2000);
    wire_put_fixed64(&writer, SPAN_START_TIME, 1000);
    wire_put_bytes(&writer, SPAN_NAME, SLICE("pytest"));
    wire_put_bytes(&writer, SPAN_PARENT_SPAN_ID, slice_of_bytes(parent.bytes, SPAN_ID_SIZE));
    wire_put_bytes(&writer, SPAN_SPAN_ID, slice_of_bytes(id.bytes, SPAN_ID_SIZE));
    wire_put_bytes(&writer, SPAN_TRACE_ID, slice_of_bytes(trace->bytes, TRACE_ID_SIZE));
    struct otlp_received_span *span = &scope->spans[scope->span_count++];
    *span = (struct otlp_received_span){.trace_id = *trace,
                                        .span_id = id,
                                        .has_parent = true,
                                        .parent_id = parent,
                                        .name = SLICE("pytest"),
                                        .start = 1000,
                                        .end = 2000,
                                        .bytes = keep(&writer)};
    request->span_count++;
    return span;
}

static void mark_done(struct engine_task *task)
{
    *(bool *)task->context = true;
}

enum engine_outcome foreign_send(struct engine_bench *bench, struct foreign_request *request)
{
    bool is_done = false;
    struct engine_task task = {.type = ENGINE_FORWARD_SPANS,
                               .on_done = mark_done,
                               .context = &is_done,
                               .received_at = bench->now,
                               .scopes = request->scopes,
                               .scope_count = request->scope_count,
                               .forward_outcomes = request->outcomes};
    engine_run_batch(bench->engine, &task, 1, bench->now);
    assert_true(is_done);
    return task.outcome;
}
