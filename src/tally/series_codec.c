// A series as bytes: its labels, each with its length in front, then varints:
//
//   count ‖ sum ‖ for each histogram: count ‖ sum ‖ number of buckets in use ‖ for each of these:
//   its position (1 byte) ‖ count ‖ exemplar
//   then be64 when it was last counted, which earlier versions did not write
//
//   sum: seconds ‖ nanoseconds · exemplar: at ‖ value ‖ trace (16 bytes)
#include "private.h"

#define USED_AT_SIZE 8

static void write_sum(struct byte_writer *writer, const struct series_sum *sum)
{
    bytes_write_varint(writer, sum->seconds);
    bytes_write_varint(writer, sum->nanoseconds);
}

static void write_histogram(struct byte_writer *writer, const struct series_histogram *histogram)
{
    size_t used = 0;
    for (size_t i = 0; i < SERIES_BUCKETS; i++)
        used += histogram->buckets[i] > 0 ? 1 : 0;
    bytes_write_varint(writer, histogram->count);
    write_sum(writer, &histogram->sum);
    bytes_write_varint(writer, used);
    for (size_t i = 0; i < SERIES_BUCKETS; i++) {
        const struct series_exemplar *exemplar = &histogram->exemplars[i];
        if (histogram->buckets[i] == 0)
            continue;
        bytes_write_be(writer, i, 1);
        bytes_write_varint(writer, histogram->buckets[i]);
        bytes_write_varint(writer, (uint64_t)exemplar->at);
        bytes_write_varint(writer, (uint64_t)exemplar->value);
        bytes_write(writer, exemplar->trace.bytes, TRACE_ID_SIZE);
    }
}

enum error_code series_encode(const struct series_row *row, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    for (size_t i = 0; i < series_label_count(row->kind); i++)
        bytes_write_text(&writer, row->labels[i]);
    bytes_write_varint(&writer, row->count);
    write_sum(&writer, &row->sum);
    for (size_t i = 0; i < series_histogram_count(row->kind); i++)
        write_histogram(&writer, &row->histograms[i]);
    bytes_write_be(&writer, (uint64_t)row->used_at, USED_AT_SIZE);
    return writer.code;
}

static void read_sum(struct byte_reader *reader, struct series_sum *sum)
{
    sum->seconds = bytes_read_varint(reader);
    sum->nanoseconds = (uint32_t)bytes_read_varint(reader);
}

static void read_bucket(struct byte_reader *reader, struct series_histogram *histogram)
{
    size_t i = (size_t)bytes_read_be(reader, 1);
    if (i >= SERIES_BUCKETS) {
        reader->failed = true;
        return;
    }
    histogram->buckets[i] = bytes_read_varint(reader);
    histogram->exemplars[i].at = (timestamp_ns)bytes_read_varint(reader);
    histogram->exemplars[i].value = (duration_ns)bytes_read_varint(reader);
    struct slice trace = bytes_read(reader, TRACE_ID_SIZE);
    if (trace.len == TRACE_ID_SIZE)
        memcpy(histogram->exemplars[i].trace.bytes, trace.data, TRACE_ID_SIZE);
}

static void read_histogram(struct byte_reader *reader, struct series_histogram *histogram)
{
    histogram->count = bytes_read_varint(reader);
    read_sum(reader, &histogram->sum);
    uint64_t used = bytes_read_varint(reader);
    for (uint64_t i = 0; i < used && !reader->failed; i++)
        read_bucket(reader, histogram);
}

bool series_decode(struct slice bytes, struct series_row *row)
{
    struct byte_reader reader = bytes_reader(bytes);
    for (size_t i = 0; i < series_label_count(row->kind); i++)
        row->labels[i] = bytes_read_text(&reader);
    row->count = bytes_read_varint(&reader);
    read_sum(&reader, &row->sum);
    for (size_t i = 0; i < series_histogram_count(row->kind); i++)
        read_histogram(&reader, &row->histograms[i]);
    row->used_at = !reader.failed && reader.next == reader.end
                       ? TIMESTAMP_UNKNOWN
                       : (timestamp_ns)bytes_read_be(&reader, USED_AT_SIZE);
    return bytes_is_done(&reader);
}
