// A log-linear histogram of durations.
#include "ghatrace/stats/histogram.h"

#include "private.h"

#define FIRST_OCTAVE 4 // 2^4 is HISTOGRAM_EXACT
#define REST (HISTOGRAM_BUCKETS - 1)

size_t histogram_bucket_of(duration_ns value)
{
    uint64_t seconds = value > 0 ? (uint64_t)(value / NS_PER_SECOND) : 0;
    unsigned octave = FIRST_OCTAVE;
    if (seconds < HISTOGRAM_EXACT)
        return (size_t)seconds;
    while (octave < FIRST_OCTAVE + HISTOGRAM_OCTAVES && seconds >> (octave + 1) > 0)
        octave++;
    if (octave == FIRST_OCTAVE + HISTOGRAM_OCTAVES)
        return REST;
    uint64_t within = (seconds >> (octave - 3)) & (HISTOGRAM_PER_OCTAVE - 1);
    return HISTOGRAM_EXACT + HISTOGRAM_PER_OCTAVE * (octave - FIRST_OCTAVE) + (size_t)within;
}

uint64_t histogram_bucket_start(size_t bucket)
{
    if (bucket < HISTOGRAM_EXACT)
        return bucket;
    size_t octave = FIRST_OCTAVE + (bucket - HISTOGRAM_EXACT) / HISTOGRAM_PER_OCTAVE;
    size_t within = (bucket - HISTOGRAM_EXACT) % HISTOGRAM_PER_OCTAVE;
    return (uint64_t)(HISTOGRAM_PER_OCTAVE + within) << (octave - 3);
}

void histogram_add(struct histogram *histogram, duration_ns value)
{
    histogram->count++;
    histogram->buckets[histogram_bucket_of(value)]++;
    if (value > histogram->max)
        histogram->max = value;
}

// What is known of the greatest value: `max`, unless its bucket is empty by now.
static duration_ns greatest_known(const struct histogram *histogram)
{
    size_t last = HISTOGRAM_BUCKETS;
    while (last > 0 && histogram->buckets[last - 1] == 0)
        last--;
    if (last == 0)
        return 0;
    if (histogram_bucket_of(histogram->max) < last)
        return histogram->max;
    return (duration_ns)histogram_bucket_start(last <= HISTOGRAM_EXACT ? last - 1 : last) *
           NS_PER_SECOND;
}

void histogram_remove(struct histogram *histogram, duration_ns value)
{
    uint64_t *bucket = &histogram->buckets[histogram_bucket_of(value)];
    if (*bucket == 0)
        return;
    (*bucket)--;
    histogram->count--;
    histogram->max = greatest_known(histogram);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    if (from->max > into->max)
        into->max = from->max;
}

// Interpolates value number `rank` (from 1) of `count` in its bucket, as if they were evenly distributed.
static duration_ns place_in_bucket(size_t bucket, uint64_t rank, uint64_t count, duration_ns max)
{
    duration_ns start = (duration_ns)histogram_bucket_start(bucket) * NS_PER_SECOND;
    if (bucket < HISTOGRAM_EXACT)
        return start;
    duration_ns end =
        bucket == REST ? max : (duration_ns)histogram_bucket_start(bucket + 1) * NS_PER_SECOND;
    double part = ((double)rank - 0.5) / (double)count;
    duration_ns value = start + (duration_ns)((double)(end - start) * part);
    return value < max ? value : max;
}

duration_ns histogram_percentile(const struct histogram *histogram, unsigned percent)
{
    uint64_t whole = histogram->count / 100;
    uint64_t part = histogram->count % 100;
    uint64_t rank = whole * percent + (part * percent + 99) / 100;
    uint64_t before = 0;
    if (histogram->count == 0)
        return 0;
    rank = rank > 0 ? rank : 1;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = histogram->buckets[i];
        if (before + count >= rank)
            return place_in_bucket(i, rank - before, count, histogram->max);
        before += count;
    }
    return histogram->max;
}

// --- encoding ----------------------------------------------------------------------------------------------

enum error_code histogram_encode(const struct histogram *histogram, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    size_t last = 0;
    bytes_write_varint(&writer, (uint64_t)histogram->max);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->buckets[i] == 0)
            continue;
        bytes_write_varint(&writer, i - last);
        bytes_write_varint(&writer, histogram->buckets[i]);
        last = i;
    }
    return writer.code;
}

bool histogram_decode_into(struct slice bytes, struct histogram *into)
{
    struct byte_reader reader = bytes_reader(bytes);
    duration_ns max = (duration_ns)bytes_read_varint(&reader);
    uint64_t bucket = 0;
    into->max = max > into->max ? max : into->max;
    while (!reader.failed && reader.next < reader.end) {
        bucket += bytes_read_varint(&reader);
        uint64_t count = bytes_read_varint(&reader);
        if (bucket >= HISTOGRAM_BUCKETS)
            return false;
        into->buckets[bucket] += count;
        into->count += count;
    }
    return bytes_is_done(&reader);
}

bool histogram_add_stored(struct slice bytes, struct histogram *into)
{
    struct histogram alone = {0};
    if (!histogram_decode_into(bytes, &alone))
        return false;
    histogram_merge(into, &alone);
    return true;
}
