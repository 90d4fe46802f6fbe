// A finished run's summary as bytes. The fields are listed once, for both directions. The server comes last, and only
// where it is not github.com: older summaries have none.
#include "summary.h"

#include "private.h"

#define NUMBERS 6
#define TEXTS 9

static void list_texts(struct run_measure *measure, struct slice *texts[TEXTS])
{
    struct slice *const all[TEXTS] = {
        &measure->repository, &measure->workflow,      &measure->branch,
        &measure->event_name, &measure->display_title, &measure->actor,
        &measure->result,     &measure->conclusion,    &measure->url,
    };
    memcpy(texts, all, sizeof all);
}

static void list_numbers(struct run_measure *measure, int64_t *numbers[NUMBERS])
{
    int64_t *const all[NUMBERS] = {
        &measure->run_id,    &measure->run_attempt, &measure->run_number,
        &measure->job_count, &measure->start,       &measure->end,
    };
    memcpy(numbers, all, sizeof all);
}

enum error_code summary_encode(const struct run_measure *measure, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    struct run_measure copy = *measure;
    int64_t *numbers[NUMBERS];
    struct slice *texts[TEXTS];
    list_numbers(&copy, numbers);
    list_texts(&copy, texts);
    bytes_write_varint(&writer, measure->is_incomplete ? 1 : 0);
    for (size_t i = 0; i < NUMBERS; i++)
        bytes_write_varint(&writer, (uint64_t)*numbers[i]);
    bytes_write(&writer, measure->trace.bytes, TRACE_ID_SIZE);
    for (size_t i = 0; i < TEXTS; i++)
        bytes_write_text(&writer, *texts[i]);
    if (measure->server.len > 0)
        bytes_write_text(&writer, measure->server);
    return writer.code;
}

bool summary_decode(struct slice bytes, struct run_measure *measure)
{
    struct byte_reader reader = bytes_reader(bytes);
    int64_t *numbers[NUMBERS];
    struct slice *texts[TEXTS];
    *measure = (struct run_measure){.is_incomplete = bytes_read_varint(&reader) != 0};
    list_numbers(measure, numbers);
    list_texts(measure, texts);
    for (size_t i = 0; i < NUMBERS; i++)
        *numbers[i] = (int64_t)bytes_read_varint(&reader);
    struct slice trace = bytes_read(&reader, TRACE_ID_SIZE);
    if (trace.len == TRACE_ID_SIZE)
        memcpy(measure->trace.bytes, trace.data, TRACE_ID_SIZE);
    for (size_t i = 0; i < TEXTS; i++)
        *texts[i] = bytes_read_text(&reader);
    if (!bytes_is_done(&reader))
        measure->server = bytes_read_text(&reader);
    return bytes_is_done(&reader);
}
