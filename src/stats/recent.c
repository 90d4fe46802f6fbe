// Runs whose root was sent, newest first.
#include "ghatrace/stats/recent.h"

#include "private.h"

// --- summary --------------------------------------------------------------------------------------
// Encoding of a finished run's summary: varints of its numbers, its trace ID, its texts prefixed with their length.
// The fields are listed once, for both directions. The server is last, and only present if it is not github.com:
// older summaries have none.

#define NUMBERS 6
#define TEXTS 9

static void list_texts(struct run_sample *measure, struct slice *texts[TEXTS])
{
    struct slice *const all[TEXTS] = {
        &measure->repository, &measure->workflow,      &measure->branch,
        &measure->event_name, &measure->display_title, &measure->actor,
        &measure->result,     &measure->conclusion,    &measure->url,
    };
    memcpy(texts, all, sizeof all);
}

static void list_numbers(struct run_sample *measure, int64_t *numbers[NUMBERS])
{
    int64_t *const all[NUMBERS] = {
        &measure->run_id,    &measure->run_attempt, &measure->run_number,
        &measure->job_count, &measure->start,       &measure->end,
    };
    memcpy(numbers, all, sizeof all);
}

static enum error_code summary_encode(const struct run_sample *measure, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    struct run_sample copy = *measure;
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

// Texts point into `bytes`. False: damaged.
static bool summary_decode(struct slice bytes, struct run_sample *measure)
{
    struct byte_reader reader = bytes_reader(bytes);
    int64_t *numbers[NUMBERS];
    struct slice *texts[TEXTS];
    *measure = (struct run_sample){.is_incomplete = bytes_read_varint(&reader) != 0};
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

// --- the list ------------------------------------------------------------------------------------------

#define PLACE_SIZE (8 + TRACE_ID_SIZE)

static void put_place(uint8_t bytes[PLACE_SIZE], const struct recent_place *place)
{
    bytes_put_be64(bytes, (uint64_t)place->at);
    memcpy(bytes + 8, place->trace.bytes, TRACE_ID_SIZE);
}

static enum error_code read_recent_run(struct slice key, struct slice value, struct recent_run *run,
                                       struct error *error)
{
    if (key.len != PLACE_SIZE || !summary_decode(value, &run->measure))
        return error_set(error, ERROR_CORRUPT, "a stored summary of a run is damaged");
    run->place.at = (timestamp_ns)bytes_get_be64(key.data);
    memcpy(run->place.trace.bytes, key.data + 8, TRACE_ID_SIZE);
    return ERROR_NONE;
}

static struct slice slice_of_trace(const struct trace_id *trace)
{
    return slice_of_bytes(trace->bytes, TRACE_ID_SIZE);
}

// The position of a run in the list. ERROR_NOT_FOUND.
static enum error_code find_recent_place(struct store_transaction *transaction,
                                         const struct trace_id *trace, uint8_t place[PLACE_SIZE],
                                         struct error *error)
{
    struct slice at;
    enum error_code code = store_table_get(transaction, STORE_TABLE_RECENT_BY_TRACE,
                                           slice_of_trace(trace), &at, error);
    if (code != ERROR_NONE)
        return code;
    if (at.len != 8) {
        store_note_unreadable(transaction);
        return ERROR_NOT_FOUND;
    }
    memcpy(place, at.data, 8);
    memcpy(place + 8, trace->bytes, TRACE_ID_SIZE);
    return ERROR_NONE;
}

static enum error_code drop_earlier(struct stats *stats, const struct trace_id *trace,
                                    struct error *error)
{
    uint8_t earlier[PLACE_SIZE];
    enum error_code code = find_recent_place(stats->transaction, trace, earlier, error);
    if (code == ERROR_NONE)
        code = store_table_delete(stats->transaction, STORE_TABLE_RECENT,
                                  slice_of_bytes(earlier, sizeof earlier), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code recent_put(struct stats *stats, const struct recent_place *place,
                           const struct run_sample *measure, struct error *error)
{
    uint8_t key[PLACE_SIZE];
    put_place(key, place);
    buffer_clear(&stats->bytes);
    enum error_code code = summary_encode(measure, &stats->bytes);
    if (code != ERROR_NONE)
        return error_set(error, code, "encode summary: %s", error_code_text(code));
    code = drop_earlier(stats, &place->trace, error);
    if (code == ERROR_NONE)
        code = store_table_put(stats->transaction, STORE_TABLE_RECENT,
                               slice_of_bytes(key, sizeof key), buffer_slice(&stats->bytes), error);
    if (code == ERROR_NONE)
        code = store_table_put(stats->transaction, STORE_TABLE_RECENT_BY_TRACE,
                               slice_of_trace(&place->trace), slice_of_bytes(key, 8), error);
    return code;
}

static enum error_code drop_recent(struct store_transaction *transaction,
                                   const uint8_t place[PLACE_SIZE], struct error *error)
{
    enum error_code code = store_table_delete(transaction, STORE_TABLE_RECENT,
                                              slice_of_bytes(place, PLACE_SIZE), error);
    if (code == ERROR_NONE)
        code = store_table_delete(transaction, STORE_TABLE_RECENT_BY_TRACE,
                                  slice_of_bytes(place + 8, TRACE_ID_SIZE), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code recent_expire(struct store_transaction *transaction, timestamp_ns before,
                              size_t max, size_t *dropped, struct error *error)
{
    *dropped = 0;
    while (*dropped < max) {
        uint8_t place[PLACE_SIZE];
        struct store_entry entry;
        enum error_code code =
            store_table_seek(transaction, STORE_TABLE_RECENT, SLICE_EMPTY, &entry, error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        if (entry.key.len != PLACE_SIZE) {
            code = store_table_set_aside(transaction, STORE_TABLE_RECENT, entry.key,
                                         SLICE("key of a wrong length"), error);
            if (code != ERROR_NONE)
                return code;
            continue;
        }
        if ((timestamp_ns)bytes_get_be64(entry.key.data) >= before)
            return ERROR_NONE;
        memcpy(place, entry.key.data, PLACE_SIZE);
        code = drop_recent(transaction, place, error);
        if (code != ERROR_NONE)
            return code;
        (*dropped)++;
    }
    return ERROR_NONE;
}

enum error_code recent_move(struct stats *stats, const struct trace_id *from,
                            const struct trace_id *to, struct error *error)
{
    uint8_t place[PLACE_SIZE];
    struct slice value;
    enum error_code code = find_recent_place(stats->transaction, from, place, error);
    if (code == ERROR_NONE)
        code = store_table_get(stats->transaction, STORE_TABLE_RECENT,
                               slice_of_bytes(place, sizeof place), &value, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    buffer_clear(&stats->bytes);
    if (buffer_append_slice(&stats->bytes, value) != ERROR_NONE)
        return error_set(error, ERROR_MEMORY, "move a summary: out of memory");
    code = drop_recent(stats->transaction, place, error);
    memcpy(place + 8, to->bytes, TRACE_ID_SIZE);
    if (code == ERROR_NONE)
        code = store_table_put(stats->transaction, STORE_TABLE_RECENT,
                               slice_of_bytes(place, sizeof place), buffer_slice(&stats->bytes),
                               error);
    if (code == ERROR_NONE)
        code = store_table_put(stats->transaction, STORE_TABLE_RECENT_BY_TRACE, slice_of_trace(to),
                               slice_of_bytes(place, 8), error);
    return code;
}

uint64_t recent_count(struct store_transaction *transaction)
{
    return store_table_count(transaction, STORE_TABLE_RECENT);
}

enum error_code recent_seek_older(struct store_transaction *transaction,
                                  const struct recent_place *place, struct recent_run *run,
                                  struct error *error)
{
    static const struct recent_place none;
    bool is_first = memcmp(place, &none, sizeof none) == 0;
    uint8_t bytes[PLACE_SIZE];
    struct store_entry entry;
    put_place(bytes, place);
    entry.key = slice_of_bytes(bytes, is_first ? 0 : sizeof bytes);
    for (;;) {
        enum error_code code =
            store_table_seek_before(transaction, STORE_TABLE_RECENT, entry.key, &entry, error);
        if (code == ERROR_NONE &&
            read_recent_run(entry.key, entry.value, run, error) != ERROR_NONE) {
            store_note_unreadable(transaction);
            continue;
        }
        return code;
    }
}

enum error_code recent_find(struct store_transaction *transaction, const struct trace_id *trace,
                            struct recent_run *run, struct error *error)
{
    uint8_t place[PLACE_SIZE];
    struct slice key = slice_of_bytes(place, sizeof place);
    struct slice value;
    enum error_code code = find_recent_place(transaction, trace, place, error);
    if (code == ERROR_NONE)
        code = store_table_get(transaction, STORE_TABLE_RECENT, key, &value, error);
    if (code == ERROR_NONE && read_recent_run(key, value, run, error) != ERROR_NONE) {
        store_note_unreadable(transaction);
        return ERROR_NOT_FOUND;
    }
    return code;
}
