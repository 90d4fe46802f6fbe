// Encodes metrics as an ExportMetricsServiceRequest. As in encode.c everything is written backwards: of each message the
// highest field number first.
#include "ghatrace/otlp/metrics.h"

#include <assert.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/encode.h"
#include "wire.h"

struct otlp_metrics {
    struct wire_writer writer;
    const struct attributes *resource;
    size_t scope_mark;                // where the scope's message ends
    const struct otlp_metric *metric; // NULL: between two metrics
    size_t metric_mark, data_mark;    // where the metric's message ends, and that of its data
    size_t points;                    // of the metric
    size_t metric_count;
};

struct otlp_metrics *otlp_metrics_begin(const struct attributes *resource, size_t max_bytes)
{
    struct otlp_metrics *metrics = memory_allocate_array(1, sizeof *metrics);
    if (metrics == NULL)
        return NULL;
    *metrics = (struct otlp_metrics){.resource = resource};
    wire_writer_init(&metrics->writer, max_bytes);
    wire_put_bytes(&metrics->writer, RESOURCE_METRICS_SCHEMA_URL, SLICE(OTLP_SCHEMA_URL));
    metrics->scope_mark = metrics->writer.len;
    wire_put_bytes(&metrics->writer, SCOPE_METRICS_SCHEMA_URL, SLICE(OTLP_SCHEMA_URL));
    return metrics;
}

// --- metrics --------------------------------------------------------------------------------------

static bool is_sum(enum otlp_metric_kind kind)
{
    return kind == OTLP_COUNTER || kind == OTLP_UP_DOWN_COUNTER;
}

// What follows the points in the message of the metric's data.
static void put_data_end(struct wire_writer *writer, enum otlp_metric_kind kind)
{
    if (kind == OTLP_COUNTER)
        wire_put_varint(writer, SUM_IS_MONOTONIC, 1);
    if (is_sum(kind))
        wire_put_varint(writer, SUM_TEMPORALITY, TEMPORALITY_CUMULATIVE);
    if (kind == OTLP_HISTOGRAM)
        wire_put_varint(writer, HISTOGRAM_TEMPORALITY, TEMPORALITY_CUMULATIVE);
}

void otlp_metric_begin(struct otlp_metrics *metrics, const struct otlp_metric *metric)
{
    assert(metrics->metric == NULL);
    metrics->metric = metric;
    metrics->points = 0;
    metrics->metric_mark = metrics->writer.len;
    metrics->data_mark = metrics->writer.len;
    put_data_end(&metrics->writer, metric->kind);
}

// Takes back what was written since `mark`.
static void undo(struct wire_writer *writer, size_t mark)
{
    writer->len = mark;
}

void otlp_metric_end(struct otlp_metrics *metrics)
{
    static const uint32_t fields[] = {[OTLP_GAUGE] = METRIC_GAUGE,
                                      [OTLP_UP_DOWN_COUNTER] = METRIC_SUM,
                                      [OTLP_COUNTER] = METRIC_SUM,
                                      [OTLP_HISTOGRAM] = METRIC_HISTOGRAM};
    const struct otlp_metric *metric = metrics->metric;
    struct wire_writer *writer = &metrics->writer;
    assert(metric != NULL);
    metrics->metric = NULL;
    if (metrics->points == 0) {
        undo(writer, metrics->metric_mark);
        return;
    }
    wire_put_message(writer, fields[metric->kind], metrics->data_mark);
    otlp_put_text(writer, METRIC_UNIT, slice_from_string(metric->unit));
    otlp_put_text(writer, METRIC_DESCRIPTION, slice_from_string(metric->description));
    otlp_put_text(writer, METRIC_NAME, slice_from_string(metric->name));
    wire_put_message(writer, SCOPE_METRICS_METRICS, metrics->metric_mark);
    metrics->metric_count++;
}

// --- points ---------------------------------------------------------------------------------------

// A time before 1970 cannot be encoded.
static uint64_t encoded_time(timestamp_ns time)
{
    return time > 0 ? (uint64_t)time : 0;
}

// metrics.proto: "StartTimeUnixNano is optional but strongly encouraged"; after the time of the point it is wrong.
static void put_interval(struct wire_writer *writer, const struct otlp_interval *interval)
{
    _Static_assert((int)NUMBER_POINT_TIME == (int)HISTOGRAM_POINT_TIME &&
                       (int)NUMBER_POINT_START_TIME == (int)HISTOGRAM_POINT_START_TIME,
                   "both kinds of points");
    timestamp_ns start = interval->start < interval->end ? interval->start : interval->end;
    wire_put_fixed64(writer, NUMBER_POINT_TIME, encoded_time(interval->end));
    if (start > 0)
        wire_put_fixed64(writer, NUMBER_POINT_START_TIME, encoded_time(start));
}

static void end_point(struct otlp_metrics *metrics, size_t mark)
{
    _Static_assert((int)GAUGE_POINTS == (int)SUM_POINTS &&
                       (int)GAUGE_POINTS == (int)HISTOGRAM_POINTS,
                   "all kinds of data");
    wire_put_message(&metrics->writer, GAUGE_POINTS, mark);
    metrics->points++;
}

void otlp_metric_put_integer(struct otlp_metrics *metrics, const struct attributes *attributes,
                             const struct otlp_interval *interval, int64_t value)
{
    size_t mark = metrics->writer.len;
    otlp_put_attributes(&metrics->writer, NUMBER_POINT_ATTRIBUTES, attributes);
    wire_put_fixed64(&metrics->writer, NUMBER_POINT_INT, (uint64_t)value);
    put_interval(&metrics->writer, interval);
    end_point(metrics, mark);
}

void otlp_metric_put_double(struct otlp_metrics *metrics, const struct attributes *attributes,
                            const struct otlp_interval *interval, double value)
{
    size_t mark = metrics->writer.len;
    otlp_put_attributes(&metrics->writer, NUMBER_POINT_ATTRIBUTES, attributes);
    wire_put_double(&metrics->writer, NUMBER_POINT_DOUBLE, value);
    put_interval(&metrics->writer, interval);
    end_point(metrics, mark);
}

static void put_point_exemplar(struct wire_writer *writer, const struct otlp_exemplar *exemplar)
{
    size_t mark = writer->len;
    if (exemplar->at == TIMESTAMP_UNKNOWN)
        return;
    wire_put_bytes(writer, EXEMPLAR_TRACE_ID,
                   (struct slice){(const char *)exemplar->trace.bytes, TRACE_ID_SIZE});
    wire_put_double(writer, EXEMPLAR_DOUBLE, exemplar->value);
    wire_put_fixed64(writer, EXEMPLAR_TIME, encoded_time(exemplar->at));
    wire_put_message(writer, HISTOGRAM_POINT_EXEMPLARS, mark);
}

void otlp_metric_put_histogram(struct otlp_metrics *metrics, const struct attributes *attributes,
                               const struct otlp_interval *interval,
                               const struct otlp_histogram *histogram)
{
    struct wire_writer *writer = &metrics->writer;
    size_t mark = writer->len;
    assert(metrics->metric != NULL && metrics->metric->kind == OTLP_HISTOGRAM);
    otlp_put_attributes(writer, HISTOGRAM_POINT_ATTRIBUTES, attributes);
    for (size_t i = histogram->bound_count + 1; histogram->exemplars != NULL && i-- > 0;)
        put_point_exemplar(writer, &histogram->exemplars[i]);
    wire_put_packed_doubles(writer, HISTOGRAM_POINT_BOUNDS, histogram->bounds,
                            histogram->bound_count);
    wire_put_packed_fixed64(writer, HISTOGRAM_POINT_BUCKETS, histogram->buckets,
                            histogram->bound_count + 1);
    wire_put_double(writer, HISTOGRAM_POINT_SUM, histogram->sum);
    wire_put_fixed64(writer, HISTOGRAM_POINT_COUNT, histogram->count);
    put_interval(writer, interval);
    end_point(metrics, mark);
}

// --- the envelope ---------------------------------------------------------------------------------

size_t otlp_metrics_size(const struct otlp_metrics *metrics)
{
    return metrics->writer.len;
}

static void put_envelope(struct otlp_metrics *metrics)
{
    struct wire_writer *writer = &metrics->writer;
    otlp_put_scope(writer, SCOPE_METRICS_SCOPE);
    wire_put_message(writer, RESOURCE_METRICS_SCOPE_METRICS, metrics->scope_mark);
    size_t resource = writer->len;
    otlp_put_attributes(writer, RESOURCE_ATTRIBUTES, metrics->resource);
    wire_put_message(writer, RESOURCE_METRICS_RESOURCE, resource);
    wire_put_message(writer, REQUEST_RESOURCE_METRICS, 0);
}

enum error_code otlp_metrics_end(struct otlp_metrics *metrics, struct buffer *out,
                                 struct error *error)
{
    assert(metrics->metric == NULL);
    enum error_code code = metrics->writer.failure;
    if (metrics->metric_count > 0) {
        put_envelope(metrics);
        code = wire_writer_finish(&metrics->writer, out);
    }
    if (code != ERROR_NONE)
        error_set(error, code, "encode metrics as OTLP: %s", error_code_text(code));
    otlp_metrics_discard(metrics);
    return code;
}

void otlp_metrics_discard(struct otlp_metrics *metrics)
{
    if (metrics == NULL)
        return;
    wire_writer_release(&metrics->writer);
    memory_free(metrics);
}
