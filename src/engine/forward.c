// Spans of other programs that belong to traces of runs: passed on through the outbox as they are, or held until their
// run is known.
//
// Tables: held, be64 number → 01 ‖ trace (16) ‖ be64 time of receipt ‖ be64 spans ‖ their IDs, 8 bytes each ‖ one or more
// ResourceSpans elements; number 0 → be64 bytes of all of them ‖ be64 last number. held_by_trace, trace ‖ be64 number →
// empty.
#include "forward.h"

#include "ghatrace/store/table.h"

const char *const forward_outcome_names[FORWARD_OUTCOMES] = {FORWARD_OUTCOME_LIST(LIST_NAME)};

// A record with more than one span is not larger, so that the exporter can pack records into requests of its size.
#define PIECE_BYTES_MAX ((size_t)1 << 20)
// Tags and lengths around a span, and around a resource and its scope: at most.
#define SPAN_FRAME 6
#define SCOPE_FRAME 40
// Traces in one request, and those among them that are not known. A collector that gathers the spans of many jobs
// sends some tens of traces at a time.
#define TRACES_MAX 256
#define UNKNOWN_TRACES_MAX 32
#define TRACE_SLOTS (2 * TRACES_MAX)
// What repeated resources and scopes may add to a request.
#define REPEATED_BYTES_MAX ((uint64_t)1 << 20)
// What is held in all.
#define HELD_BYTES_MAX ((uint64_t)32 << 20)
#define HELD_RECORDS_MAX 16384
// Released in one batch.
#define RELEASED_RECORDS_MAX 256
#define RELEASED_BYTES_MAX ((size_t)4 << 20)
// Traces that one batch checks.
#define SEARCHED_MAX 64

#define NUMBER_SIZE 8
#define HELD_LAYOUT 1 // of a value; an entry of another layout counts as damaged
#define HELD_HEADER_SIZE (1 + TRACE_ID_SIZE + 8 + 8)
#define SUMS_SIZE 16
#define NUMBER_END ((uint64_t)1 << 62) // no store reaches it
#define NO_SPAN SIZE_MAX

// --- what is held ------------------------------------------------------------------------------------------

struct held_sums {
    uint64_t bytes;
    uint64_t last;
};

struct held {
    uint64_t number;
    struct trace_id trace;
    timestamp_ns received_at;
    size_t count;     // of spans
    struct slice ids; // 8 bytes each
    struct slice body;
    uint64_t size; // of the whole entry
};

static struct slice number_key(uint64_t number, uint8_t bytes[NUMBER_SIZE])
{
    put_be64(bytes, number);
    return slice_of_bytes(bytes, NUMBER_SIZE);
}

static struct slice trace_key(const struct trace_id *trace, uint64_t number,
                              uint8_t bytes[TRACE_ID_SIZE + NUMBER_SIZE])
{
    memcpy(bytes, trace->bytes, TRACE_ID_SIZE);
    put_be64(bytes + TRACE_ID_SIZE, number);
    return slice_of_bytes(bytes, TRACE_ID_SIZE + NUMBER_SIZE);
}

// False: the entry is damaged.
static bool held_unpack(const struct store_entry *entry, struct held *held)
{
    const struct slice value = entry->value;
    if (entry->key.len != NUMBER_SIZE || value.len < HELD_HEADER_SIZE ||
        value.data[0] != HELD_LAYOUT || get_be64(entry->key.data) >= NUMBER_END)
        return false;
    const char *fields = value.data + 1 + TRACE_ID_SIZE;
    uint64_t count = get_be64(fields + 8);
    if (count > (value.len - HELD_HEADER_SIZE) / SPAN_ID_SIZE)
        return false;
    *held = (struct held){.number = get_be64(entry->key.data),
                          .received_at = (timestamp_ns)get_be64(fields),
                          .count = (size_t)count,
                          .ids = {value.data + HELD_HEADER_SIZE, (size_t)count * SPAN_ID_SIZE},
                          .size = value.len};
    held->body = slice_skip(value, HELD_HEADER_SIZE + held->ids.len);
    memcpy(held->trace.bytes, value.data + 1, TRACE_ID_SIZE);
    return true;
}

// Where the sums are missing or damaged.
static enum error_code recount_held(struct engine_work *work, struct held_sums *sums)
{
    uint8_t key[NUMBER_SIZE];
    struct store_walk *walk;
    struct store_entry entry;
    struct held held;
    enum error_code code = store_table_walk(work->transaction, STORE_TABLE_HELD, number_key(1, key),
                                            &walk, &work->error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, &work->error)) == ERROR_NONE) {
        if (!held_unpack(&entry, &held))
            continue;
        sums->bytes += held.size;
        sums->last = held.number;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code read_held_sums(struct engine_work *work, struct held_sums *sums)
{
    uint8_t key[NUMBER_SIZE];
    struct slice value;
    enum error_code code = store_table_get(work->transaction, STORE_TABLE_HELD, number_key(0, key),
                                           &value, &work->error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    if (code == ERROR_NONE && value.len == SUMS_SIZE) {
        *sums = (struct held_sums){get_be64(value.data), get_be64(value.data + 8)};
        if (sums->bytes <= HELD_BYTES_MAX && sums->last < NUMBER_END)
            return ERROR_NONE;
    }
    *sums = (struct held_sums){0};
    return recount_held(work, sums);
}

static enum error_code write_held_sums(struct engine_work *work, const struct held_sums *sums)
{
    uint8_t key[NUMBER_SIZE];
    uint8_t value[SUMS_SIZE];
    put_be64(value, sums->bytes);
    put_be64(value + 8, sums->last);
    return store_table_put(work->transaction, STORE_TABLE_HELD, number_key(0, key),
                           slice_of_bytes(value, sizeof value), &work->error);
}

static uint64_t count_held(struct engine_work *work)
{
    return store_table_count(work->transaction, STORE_TABLE_HELD_BY_TRACE);
}

static enum error_code delete_held(struct engine_work *work, const struct held *held)
{
    uint8_t key[TRACE_ID_SIZE + NUMBER_SIZE];
    struct held_sums sums;
    enum error_code code = read_held_sums(work, &sums);
    if (code == ERROR_NONE)
        code = store_table_delete(work->transaction, STORE_TABLE_HELD_BY_TRACE,
                                  trace_key(&held->trace, held->number, key), &work->error);
    if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
        code = store_table_delete(work->transaction, STORE_TABLE_HELD,
                                  number_key(held->number, key), &work->error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    sums.bytes -= held->size < sums.bytes ? held->size : sums.bytes;
    return write_held_sums(work, &sums);
}

// The oldest. ERROR_NOT_FOUND: nothing is held. A damaged entry is set aside.
static enum error_code find_oldest_held(struct engine_work *work, struct held *held)
{
    uint8_t key[NUMBER_SIZE];
    for (;;) {
        struct store_entry entry;
        enum error_code code = store_table_seek(work->transaction, STORE_TABLE_HELD,
                                                number_key(1, key), &entry, &work->error);
        if (code != ERROR_NONE || held_unpack(&entry, held))
            return code;
        code = store_table_set_aside(work->transaction, STORE_TABLE_HELD, entry.key,
                                     SLICE("damaged"), &work->error);
        if (code != ERROR_NONE)
            return code;
    }
}

static enum error_code drop_held_spans(struct engine_work *work, const struct held *held,
                                       enum forward_outcome why)
{
    enum error_code code = delete_held(work, held);
    work->counted.forwarded[why] += code == ERROR_NONE ? held->count : 0;
    return code;
}

// ERROR_NOT_FOUND: nothing is held.
static enum error_code shed_oldest_held(struct engine_work *work)
{
    struct held oldest;
    enum error_code code = find_oldest_held(work, &oldest);
    return code == ERROR_NONE ? drop_held_spans(work, &oldest, FORWARD_SHED) : code;
}

// Drops the oldest until `wanted` more bytes are within the quota. `*sums`: of what is left.
static enum error_code make_room_to_hold(struct engine_work *work, uint64_t wanted,
                                         struct held_sums *sums)
{
    for (;;) {
        enum error_code code = read_held_sums(work, sums);
        if (code != ERROR_NONE ||
            (sums->bytes + wanted <= HELD_BYTES_MAX && count_held(work) < HELD_RECORDS_MAX))
            return code;
        code = shed_oldest_held(work);
        if (code == ERROR_NOT_FOUND) {
            sums->bytes = 0;
            return ERROR_NONE;
        }
        if (code != ERROR_NONE)
            return code;
    }
}

// --- one request -------------------------------------------------------------------------------------------

// The spans of one trace that are taken, in their order.
struct taken_trace {
    struct trace_id trace;
    bool is_known;
    size_t first, last; // NO_SPAN: there are none
};

struct request {
    struct engine_work *work;
    const struct engine_task *task;
    enum forward_outcome *outcomes;
    size_t *next;                    // of each span: the next one of its trace
    size_t *scope_of;                // of each span
    size_t *first_in;                // of each scope: its first span
    struct otlp_received_span *part; // room for the spans of one scope
    bool *all;                       // as many, all true
    uint16_t *trace_slots;           // open addressing: number of the trace + 1; 0: empty
    struct taken_trace *traces;
    size_t trace_count;
    size_t unknown_count;
    // What may still be encoded: a resource that spans of many traces share is written for each of them.
    uint64_t bytes_left;
};

static const struct otlp_received_span *span_at(const struct request *request, size_t i)
{
    size_t scope = request->scope_of[i];
    return &request->task->scopes[scope].spans[i - request->first_in[scope]];
}

static size_t span_size(const struct otlp_received_span *span)
{
    return span->bytes.len + SPAN_FRAME;
}

static size_t scope_size(const struct otlp_received_scope *scope)
{
    return scope->resource.len + scope->resource_schema_url.len + scope->scope.len +
           scope->scope_schema_url.len + SCOPE_FRAME;
}

static uint64_t count_task_bytes(const struct engine_task *task)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < task->scope_count; i++) {
        const struct otlp_received_scope *scope = &task->scopes[i];
        bytes += scope_size(scope);
        for (size_t k = 0; k < scope->span_count; k++)
            bytes += span_size(&scope->spans[k]);
    }
    return bytes;
}

static size_t count_task_spans(const struct engine_task *task)
{
    size_t count = 0;
    for (size_t i = 0; i < task->scope_count; i++)
        count += task->scopes[i].span_count;
    return count;
}

static enum error_code request_init(struct request *request, struct engine_work *work,
                                    struct engine_task *task, size_t count)
{
    struct arena *arena = &work->arena;
    size_t widest = 0;
    for (size_t i = 0; i < task->scope_count; i++)
        widest = task->scopes[i].span_count > widest ? task->scopes[i].span_count : widest;
    *request = (struct request){
        .work = work,
        .task = task,
        .outcomes = task->forward_outcomes,
        .next = arena_allocate_array(arena, count + 1, sizeof *request->next),
        .scope_of = arena_allocate_array(arena, count + 1, sizeof *request->scope_of),
        .first_in = arena_allocate_array(arena, task->scope_count + 1, sizeof *request->first_in),
        .part = arena_allocate_array(arena, widest + 1, sizeof *request->part),
        .all = arena_allocate(arena, widest + 1),
        .trace_slots = arena_allocate_array(arena, TRACE_SLOTS, sizeof *request->trace_slots),
        .traces = arena_allocate_array(arena, TRACES_MAX, sizeof *request->traces),
        .bytes_left = count_task_bytes(task) + REPEATED_BYTES_MAX,
    };
    if (request->next == NULL || request->scope_of == NULL || request->first_in == NULL ||
        request->part == NULL || request->all == NULL || request->trace_slots == NULL ||
        request->traces == NULL)
        return error_set(&work->error, ERROR_MEMORY, "forward spans: out of memory");
    memset(request->all, true, widest + 1);
    return ERROR_NONE;
}

// NULL: the request has too many traces.
static struct taken_trace *find_trace(struct request *request, const struct trace_id *trace)
{
    size_t i = (size_t)(get_be64(trace->bytes + 8) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    for (i %= TRACE_SLOTS; request->trace_slots[i] != 0; i = (i + 1) % TRACE_SLOTS) {
        struct taken_trace *found = &request->traces[request->trace_slots[i] - 1];
        if (trace_id_equals(&found->trace, trace))
            return found;
    }
    if (request->trace_count == TRACES_MAX)
        return NULL;
    struct taken_trace *made = &request->traces[request->trace_count++];
    *made = (struct taken_trace){.trace = *trace, .first = NO_SPAN, .last = NO_SPAN};
    request->trace_slots[i] = (uint16_t)request->trace_count;
    return made;
}

static void append_span(struct request *request, struct taken_trace *trace, size_t i)
{
    request->next[i] = NO_SPAN;
    if (trace->first == NO_SPAN)
        trace->first = i;
    else
        request->next[trace->last] = i;
    trace->last = i;
}

// Sets the outcome, where it does not depend on the trace; otherwise appends the span to those of its trace.
static void sort_span(struct request *request, size_t i)
{
    const struct otlp_received_span *span = span_at(request, i);
    struct taken_trace *trace = NULL;
    enum forward_outcome *outcome = &request->outcomes[i];
    *outcome = FORWARD_NO_ROOM;
    if (span->fault != OTLP_SPAN_FINE)
        *outcome = FORWARD_MALFORMED;
    else if (!span->has_parent)
        *outcome = FORWARD_NO_PARENT;
    else if (!request->work->to_outbox)
        *outcome = FORWARD_NO_EXPORT;
    else
        trace = find_trace(request, &span->trace_id);
    if (trace != NULL)
        append_span(request, trace, i);
}

static void sort_spans(struct request *request)
{
    size_t i = 0;
    for (size_t scope = 0; scope < request->task->scope_count; scope++) {
        request->first_in[scope] = i;
        for (size_t k = 0; k < request->task->scopes[scope].span_count; k++, i++) {
            request->scope_of[i] = scope;
            sort_span(request, i);
        }
    }
}

// Sets the outcomes, and keeps in the trace's list only the spans that are taken.
static void judge_trace(struct request *request, struct taken_trace *trace,
                        const struct id_set *set)
{
    size_t i = trace->first;
    bool is_refused =
        set == NULL ? ++request->unknown_count > UNKNOWN_TRACES_MAX : id_set_is_too_large(set);
    trace->first = NO_SPAN;
    trace->is_known = set != NULL;
    while (i != NO_SPAN) {
        const size_t next = request->next[i];
        bool is_ours = set != NULL && !is_refused && id_set_has(set, &span_at(request, i)->span_id);
        request->outcomes[i] = is_refused    ? FORWARD_NO_ROOM
                               : is_ours     ? FORWARD_OUR_ID
                               : set != NULL ? FORWARD_ACCEPTED
                                             : FORWARD_HELD;
        if (!is_refused && !is_ours)
            append_span(request, trace, i);
        i = next;
    }
}

static bool has_share(struct engine_work *work, size_t size)
{
    uint64_t max = work->forwarder->forwarded_max;
    return max == 0 || store_forwarded_bytes(work->transaction) + size <= max;
}

static enum error_code add_forwarded(struct engine_work *work, const struct trace_id *trace,
                                     size_t spans)
{
    struct store_record record = {
        .finished_at = work->at, .key = {.trace = *trace}, .body = buffer_slice(&work->record)};
    enum error_code code =
        store_add_forwarded(work->transaction, &record, (uint32_t)spans, &work->error);
    work->counted.records += code == ERROR_NONE ? 1 : 0;
    work->written_bytes += work->record.len;
    return code;
}

static void set_outcomes(struct request *request, size_t from, size_t until,
                         enum forward_outcome outcome)
{
    for (size_t i = from; i != until; i = request->next[i])
        request->outcomes[i] = outcome;
}

// The spans from `from` up to `until`, which are encoded in `work->record`.
static enum error_code hold_piece(struct request *request, const struct taken_trace *trace,
                                  size_t from, size_t until, size_t count)
{
    struct engine_work *work = request->work;
    uint8_t key[TRACE_ID_SIZE + NUMBER_SIZE];
    struct held_sums sums;
    size_t size = HELD_HEADER_SIZE + count * SPAN_ID_SIZE + work->record.len;
    if (size > HELD_BYTES_MAX) {
        set_outcomes(request, from, until, FORWARD_NO_ROOM);
        return ERROR_NONE;
    }
    uint8_t *bytes = arena_allocate(&work->arena, size);
    if (bytes == NULL)
        return error_set(&work->error, ERROR_MEMORY, "hold spans: out of memory");
    bytes[0] = HELD_LAYOUT;
    memcpy(bytes + 1, trace->trace.bytes, TRACE_ID_SIZE);
    put_be64(bytes + 1 + TRACE_ID_SIZE, (uint64_t)work->at);
    put_be64(bytes + 1 + TRACE_ID_SIZE + 8, count);
    uint8_t *id = bytes + HELD_HEADER_SIZE;
    for (size_t i = from; i != until; i = request->next[i], id += SPAN_ID_SIZE)
        memcpy(id, span_at(request, i)->span_id.bytes, SPAN_ID_SIZE);
    memcpy(id, work->record.data, work->record.len);

    enum error_code code = make_room_to_hold(work, size, &sums);
    if (code != ERROR_NONE)
        return code;
    sums.bytes += size;
    sums.last++;
    work->written_bytes += size;
    code = store_table_put(work->transaction, STORE_TABLE_HELD, number_key(sums.last, key),
                           slice_of_bytes(bytes, size), &work->error);
    if (code == ERROR_NONE)
        code = store_table_put(work->transaction, STORE_TABLE_HELD_BY_TRACE,
                               trace_key(&trace->trace, sums.last, key), SLICE_EMPTY, &work->error);
    return code == ERROR_NONE ? write_held_sums(work, &sums) : code;
}

static enum error_code add_trace_piece(struct request *request, const struct taken_trace *trace,
                                       size_t from, size_t until, size_t count)
{
    struct engine_work *work = request->work;
    size_t size = work->record.len;
    request->bytes_left -= size < request->bytes_left ? size : request->bytes_left;
    if (!trace->is_known)
        return hold_piece(request, trace, from, until, count);
    if (!has_share(work, size)) {
        set_outcomes(request, from, until, FORWARD_NO_ROOM);
        return ERROR_NONE;
    }
    for (size_t i = from; i != until; i = request->next[i])
        forwarder_note_passed(work->forwarder, &trace->trace, &span_at(request, i)->span_id);
    return add_forwarded(work, &trace->trace, count);
}

// False: another piece would not be taken.
static bool may_add_piece(const struct request *request, const struct taken_trace *trace)
{
    return request->bytes_left > 0 && !store_keeps_only_notes(request->work->transaction) &&
           (!trace->is_known || has_share(request->work, 1));
}

// Appends to `work->record` spans of one scope, from `*i` on, as long as they fit into a piece, but at least one.
// Advances `*i`.
static enum error_code encode_scope(struct request *request, size_t *i, size_t *count)
{
    struct engine_work *work = request->work;
    const size_t scope = request->scope_of[*i];
    struct otlp_received_scope part = request->task->scopes[scope];
    size_t size = work->record.len + scope_size(&part);
    part.spans = request->part;
    part.span_count = 0;
    do {
        part.spans[part.span_count++] = *span_at(request, *i);
        size += span_size(span_at(request, *i));
        *i = request->next[*i];
    } while (*i != NO_SPAN && request->scope_of[*i] == scope &&
             size + span_size(span_at(request, *i)) <= PIECE_BYTES_MAX);
    *count += part.span_count;
    return otlp_encode_received(&part, request->all, &work->record, &work->error);
}

// The same of as many scopes as fit into the piece, into an empty record.
static enum error_code encode_piece(struct request *request, size_t *i, size_t *count)
{
    struct buffer *record = &request->work->record;
    enum error_code code;
    *count = 0;
    buffer_clear(record);
    do {
        code = encode_scope(request, i, count);
    } while (code == ERROR_NONE && *i != NO_SPAN &&
             record->len + scope_size(&request->task->scopes[request->scope_of[*i]]) +
                     span_size(span_at(request, *i)) <=
                 PIECE_BYTES_MAX);
    return code;
}

static enum error_code add_trace(struct request *request, struct taken_trace *trace)
{
    const struct id_set *set;
    if (!forwarder_may_find(request->work->forwarder, &trace->trace)) {
        set_outcomes(request, trace->first, NO_SPAN, FORWARD_NO_ROOM);
        return ERROR_NONE;
    }
    enum error_code code = work_find_our_spans(request->work, &trace->trace, &set);
    if (code != ERROR_NONE)
        return code;
    judge_trace(request, trace, set);
    size_t i = trace->first;
    while (i != NO_SPAN && code == ERROR_NONE) {
        const size_t from = i;
        size_t count;
        if (!may_add_piece(request, trace)) {
            set_outcomes(request, from, NO_SPAN, FORWARD_NO_ROOM);
            return ERROR_NONE;
        }
        code = encode_piece(request, &i, &count);
        if (code == ERROR_NONE)
            code = add_trace_piece(request, trace, from, i, count);
    }
    return code;
}

enum error_code work_forward_spans(struct engine_work *work, struct engine_task *task)
{
    struct request request;
    size_t count = count_task_spans(task);
    enum error_code code = request_init(&request, work, task, count);
    if (code == ERROR_NONE)
        sort_spans(&request);
    for (size_t i = 0; i < request.trace_count && code == ERROR_NONE; i++)
        code = add_trace(&request, &request.traces[i]);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        work->counted.forwarded[task->forward_outcomes[i]]++;
    return code;
}

// --- what was held and is released --------------------------------------------------------------------------

static struct span_id held_id(const struct held *held, size_t i)
{
    struct span_id id;
    memcpy(id.bytes, held->ids.data + i * SPAN_ID_SIZE, SPAN_ID_SIZE);
    return id;
}

static bool has_our_ids(const struct held *held, const struct id_set *set)
{
    for (size_t i = 0; i < held->count; i++) {
        const struct span_id id = held_id(held, i);
        if (id_set_has(set, &id))
            return true;
    }
    return false;
}

static void note_passed(struct engine_work *work, const struct held *held)
{
    for (size_t i = 0; i < held->count; i++) {
        const struct span_id id = held_id(held, i);
        forwarder_note_passed(work->forwarder, &held->trace, &id);
    }
}

// Encodes the spans of a held record that do not have IDs of ours. `*count`: how many.
static enum error_code encode_others(struct engine_work *work, struct slice body,
                                     const struct id_set *set, size_t *count)
{
    static const struct otlp_request_limits limits = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    struct otlp_request received;
    enum error_code code =
        otlp_decode_request(body, &limits, &work->arena, &received, &work->error);
    *count = 0;
    for (size_t i = 0; i < received.scope_count && code == ERROR_NONE; i++) {
        const struct otlp_received_scope *scope = &received.scopes[i];
        bool *is_taken =
            arena_allocate_array(&work->arena, scope->span_count + 1, sizeof *is_taken);
        if (is_taken == NULL)
            return error_set(&work->error, ERROR_MEMORY, "release spans: out of memory");
        for (size_t k = 0; k < scope->span_count; k++) {
            is_taken[k] = !id_set_has(set, &scope->spans[k].span_id);
            *count += is_taken[k] ? 1 : 0;
        }
        code = otlp_encode_received(scope, is_taken, &work->record, &work->error);
    }
    return code;
}

// Leaves what may be sent in `work->record`: the body as it is, or without the spans that have IDs of ours.
static enum error_code take_body(struct engine_work *work, const struct held *held,
                                 const struct id_set *set, size_t *count)
{
    struct slice body;
    *count = held->count;
    buffer_clear(&work->record);
    if (!has_our_ids(held, set))
        return buffer_append_slice(&work->record, held->body) == ERROR_NONE
                   ? ERROR_NONE
                   : error_set(&work->error, ERROR_MEMORY, "release spans: out of memory");
    if (!arena_copy_slice(&work->arena, held->body, &body))
        return error_set(&work->error, ERROR_MEMORY, "release spans: out of memory");
    enum error_code code = encode_others(work, body, set, count);
    if (code != ERROR_CORRUPT)
        return code;
    *count = 0; // it was decoded once: the store is damaged
    return ERROR_NONE;
}

static enum error_code release_held(struct engine_work *work, const struct held *held,
                                    const struct id_set *set)
{
    uint64_t *counted = work->counted.forwarded;
    size_t count = 0;
    bool is_too_large = id_set_is_too_large(set);
    enum error_code code = is_too_large ? ERROR_NONE : take_body(work, held, set, &count);
    if (code != ERROR_NONE)
        return code;
    if (count == held->count) // else its own IDs are among ours
        note_passed(work, held);
    counted[is_too_large ? FORWARD_NO_ROOM : FORWARD_OUR_ID] += held->count - count;
    code = delete_held(work, held);
    if (code != ERROR_NONE || count == 0)
        return code;
    enum forward_outcome outcome = !work->to_outbox                    ? FORWARD_NO_EXPORT
                                   : has_share(work, work->record.len) ? FORWARD_ACCEPTED
                                                                       : FORWARD_NO_ROOM;
    counted[outcome] += count;
    return outcome == FORWARD_ACCEPTED ? add_forwarded(work, &held->trace, count) : ERROR_NONE;
}

// What one batch may still release.
struct allowance {
    size_t records;
    size_t bytes;
    size_t traces;
};

static bool is_used_up(const struct allowance *left)
{
    return left->records == 0 || left->bytes == 0;
}

// The first that is held for this trace, or for one after it if it may be `any`. ERROR_NOT_FOUND.
static enum error_code find_held_of(struct engine_work *work, const struct trace_id *trace,
                                    bool any, struct held *held)
{
    for (;;) {
        uint8_t key[TRACE_ID_SIZE + NUMBER_SIZE];
        struct store_entry entry;
        struct slice value = SLICE_EMPTY;
        enum error_code code = store_table_seek(work->transaction, STORE_TABLE_HELD_BY_TRACE,
                                                trace_key(trace, 0, key), &entry, &work->error);
        if (code != ERROR_NONE)
            return code;
        if (!any && !slice_starts_with(entry.key, slice_of_bytes(trace->bytes, TRACE_ID_SIZE)))
            return ERROR_NOT_FOUND;
        const struct slice number =
            slice_skip(entry.key, entry.key.len < TRACE_ID_SIZE ? entry.key.len : TRACE_ID_SIZE);
        if (number.len == NUMBER_SIZE)
            code =
                store_table_get(work->transaction, STORE_TABLE_HELD, number, &value, &work->error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        if (held_unpack(&(struct store_entry){number, value}, held) &&
            memcmp(held->trace.bytes, entry.key.data, TRACE_ID_SIZE) == 0)
            return ERROR_NONE;
        // It leads to nothing: what it led to was damaged and set aside, or it is damaged itself.
        code = store_table_delete(work->transaction, STORE_TABLE_HELD_BY_TRACE, entry.key,
                                  &work->error);
        if (code != ERROR_NONE)
            return code;
    }
}

static enum error_code release_trace(struct engine_work *work, const struct trace_id *trace,
                                     struct allowance *left)
{
    const struct id_set *set;
    enum error_code code = work_find_our_spans(work, trace, &set);
    if (code != ERROR_NONE || set == NULL)
        return code;
    while (!is_used_up(left)) {
        struct held held;
        code = find_held_of(work, trace, false, &held);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        left->records--;
        left->bytes -= held.size < left->bytes ? held.size : left->bytes;
        arena_clear(&work->arena);
        code = release_held(work, &held, set);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

// Checks, from the last place on, for which traces something is held, and releases it if they are known.
static enum error_code search_held(struct engine_work *work, struct allowance *left)
{
    struct forwarder *forwarder = work->forwarder;
    for (; left->traces > 0 && !is_used_up(left); left->traces--) {
        struct held held;
        enum error_code code = find_held_of(work, &forwarder->searched, true, &held);
        if (code == ERROR_NOT_FOUND) {
            forwarder->must_search = false;
            memset(&forwarder->searched, 0, sizeof forwarder->searched);
            return ERROR_NONE;
        }
        if (code != ERROR_NONE)
            return code;
        struct store_key next = {.trace = held.trace};
        memset(next.span.bytes, 0xff, SPAN_ID_SIZE);
        forwarder->searched = next.trace;
        code = release_trace(work, &next.trace, left);
        if (code != ERROR_NONE || is_used_up(left))
            return code;
        store_key_increment(&next);
        forwarder->searched = next.trace;
    }
    return ERROR_NONE;
}

static enum error_code release_expected(struct engine_work *work, bool *has_more)
{
    struct forwarder *forwarder = work->forwarder;
    struct allowance left = {RELEASED_RECORDS_MAX, RELEASED_BYTES_MAX, SEARCHED_MAX};
    if (count_held(work) == 0) {
        forwarder->expected_count = 0;
        forwarder->must_search = false;
        return ERROR_NONE;
    }
    while (forwarder->expected_count > 0) {
        enum error_code code =
            release_trace(work, &forwarder->expected[forwarder->expected_count - 1], &left);
        if (code != ERROR_NONE)
            return code;
        if (is_used_up(&left)) {
            *has_more = true;
            return ERROR_NONE;
        }
        forwarder->expected_count--;
    }
    enum error_code code = forwarder->must_search ? search_held(work, &left) : ERROR_NONE;
    *has_more |= forwarder->must_search;
    return code;
}

// --- upkeep ------------------------------------------------------------------------------------------------

// A time in the future, from before the clock was set back, counts as long ago.
static enum error_code expire_held(struct engine_work *work, size_t max, bool *has_more)
{
    for (size_t i = 0; count_held(work) > 0; i++) {
        struct held oldest;
        enum error_code code = find_oldest_held(work, &oldest);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        duration_ns age = work->now - oldest.received_at;
        if (age > -NS_PER_HOUR && age < work->policy.linger)
            return ERROR_NONE;
        if (i == max) {
            *has_more = true;
            return ERROR_NONE;
        }
        code = drop_held_spans(work, &oldest, FORWARD_EXPIRED);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

enum error_code work_shed_forwarded(struct engine_work *work, size_t max, size_t *shed)
{
    size_t dropped = 0;
    uint64_t spans = 0;
    *shed = 0;
    while (*shed < max && count_held(work) > 0) {
        enum error_code code = shed_oldest_held(work);
        if (code == ERROR_NOT_FOUND)
            break;
        if (code != ERROR_NONE)
            return code;
        ++*shed;
    }
    enum error_code code =
        store_drop_forwarded(work->transaction, max - *shed, &dropped, &spans, &work->error);
    *shed += dropped;
    work->counted.forwarded[FORWARD_SHED] += spans;
    return code;
}

enum error_code work_do_forward_upkeep(struct engine_work *work, struct upkeep *upkeep)
{
    bool has_more = false;
    bool has_more_ids = false;
    size_t shed = 0;
    enum error_code code = release_expected(work, &has_more);
    if (code == ERROR_NONE && upkeep->is_clock_trusted)
        code = expire_held(work, upkeep->max, &has_more);
    if (code == ERROR_NONE && upkeep->is_clock_trusted)
        code = work_sweep_our_spans(work, upkeep->max, &has_more_ids);
    if (code == ERROR_NONE && store_is_short(work->transaction))
        code = work_shed_forwarded(work, upkeep->max, &shed);
    upkeep->has_leftovers |= has_more || has_more_ids || shed > 0;
    forwarder_end_batch(work->forwarder);
    return code;
}
