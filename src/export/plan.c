// Decides what to send next, and handles the results.
#include "plan.h"

#include <assert.h>

#include "ghatrace/base/memory.h"

#define SIZE_FAILURES_IN_A_ROW 3
#define PARTS_PER_REQUEST 3
#define RETRY_AFTER_TRIES 3
#define PHASE_LENGTH 6 // average number of probes between changes of phase
// A breaker that was open for this long makes the quarantine due again: the endpoint's failure may have caused it.
#define OPEN_LONG (10 * NS_PER_SECOND)

// --- life -------------------------------------------------------------------------------------

enum error_code plan_init(struct export_plan *plan, const struct plan_options *options)
{
    *plan = (struct export_plan){.options = *options, .quarantine_window = 1};
    struct plan_options *own = &plan->options;
    own->in_flight_max = own->in_flight_max > 0 ? own->in_flight_max : 1;
    own->records_max = own->records_max > 0 ? own->records_max : 1;
    window_init(&plan->window, own->records_max, own->bytes_max);
    backoff_init(&plan->breaker.backoff, own->backoff_first, own->backoff_max);
    backoff_init(&plan->quarantine_backoff, own->backoff_first, own->backoff_max);

    plan->part_capacity = PARTS_PER_REQUEST * own->in_flight_max;
    plan->parts = memory_allocate_array(plan->part_capacity, sizeof(struct plan_part));
    plan->requests = memory_allocate_array(own->in_flight_max, sizeof(struct plan_request));
    if (plan->parts == NULL || plan->requests == NULL)
        goto fail;
    for (size_t i = 0; i < own->in_flight_max; i++) {
        struct plan_request *request = &plan->requests[i];
        request->sequences = memory_allocate_array(own->records_max, sizeof(uint64_t));
        request->sizes = memory_allocate_array(own->records_max, sizeof(uint32_t));
        if (request->sequences == NULL || request->sizes == NULL)
            goto fail;
    }
    return ERROR_NONE;

fail:
    plan_release(plan);
    return ERROR_MEMORY;
}

void plan_release(struct export_plan *plan)
{
    for (size_t i = 0; plan->requests != NULL && i < plan->options.in_flight_max; i++) {
        memory_free(plan->requests[i].sequences);
        memory_free(plan->requests[i].sizes);
    }
    memory_free(plan->requests);
    memory_free(plan->parts);
    quarantine_release(&plan->quarantine);
    *plan = (struct export_plan){.breaker = {.state = BREAKER_CLOSED}};
}

// Halving along one path, once, while the requests of all other requests in flight are refused.
size_t plan_burst_max(const struct plan_options *options)
{
    size_t halvings = 1;
    for (size_t n = options->records_max; n > 1; n /= 2)
        halvings++;
    return halvings + options->in_flight_max;
}

// --- the circuit breaker ----------------------------------------------------------------------

#define BREAKER_TO(state) (1U << BREAKER_##state)

static const unsigned breaker_transitions[] = {
    [BREAKER_CLOSED] = BREAKER_TO(OPEN),
    [BREAKER_OPEN] = BREAKER_TO(HALF_OPEN) | BREAKER_TO(CLOSED), // CLOSED: plan_note_accepted()
    [BREAKER_HALF_OPEN] = BREAKER_TO(OPEN) | BREAKER_TO(CLOSED),
};

// Performs every change of state. `probe`: the request in flight with BREAKER_HALF_OPEN, otherwise NULL.
static void move_breaker(struct export_plan *plan, enum breaker_state to,
                         const struct plan_request *probe)
{
    struct circuit_breaker *breaker = &plan->breaker;
    assert((breaker_transitions[breaker->state] & 1U << to) != 0);
    assert((probe != NULL) == (to == BREAKER_HALF_OPEN));
    breaker->state = to;
    breaker->probe = probe;
}

static bool is_open(const struct export_plan *plan)
{
    return plan->breaker.state != BREAKER_CLOSED;
}

// If the request was the probe, it has closed nothing.
static void release_probe(struct export_plan *plan, const struct plan_request *request)
{
    if (plan->breaker.probe == request)
        move_breaker(plan, BREAKER_OPEN, NULL);
}

// --- locating a record ------------------------------------------------------------------------

static bool request_has(const struct plan_request *request, uint64_t sequence)
{
    size_t low = 0, high = request->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (request->sequences[middle] == sequence)
            return true;
        if (request->sequences[middle] < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool is_in_flight(const struct export_plan *plan, uint64_t sequence)
{
    for (size_t i = 0; i < plan->options.in_flight_max; i++) {
        if (plan->requests[i].is_busy && request_has(&plan->requests[i], sequence))
            return true;
    }
    return false;
}

static bool is_free(const struct export_plan *plan, uint64_t sequence)
{
    return !is_in_flight(plan, sequence) && quarantine_find(&plan->quarantine, sequence) == NULL;
}

static const struct plan_part *part_around(const struct export_plan *plan, uint64_t sequence)
{
    for (size_t i = 0; i < plan->part_capacity; i++) {
        const struct plan_part *part = &plan->parts[i];
        if (part->is_used && part->first <= sequence && sequence <= part->last)
            return part;
    }
    return NULL;
}

// --- making requests --------------------------------------------------------------------------

static void add_record(struct plan_request *request, uint64_t sequence, uint32_t size)
{
    assert(request->count == 0 || request->sequences[request->count - 1] < sequence);
    request->sequences[request->count] = sequence;
    request->sizes[request->count] = size;
    request->count++;
    request->bytes += size;
}

struct range {
    uint64_t from, last;
    size_t records_max;
    bool avoids_parts;
};

// Fills the request from the range. Afterwards `range->from` is where to continue. ERROR_NOT_FOUND: the range is
// empty.
static enum error_code read_range(const struct export_plan *plan, struct plan_request *request,
                                  struct range *range, const struct plan_source *source,
                                  struct error *error)
{
    size_t bytes_max = plan->window.now.bytes;
    uint64_t sequence = range->from;
    uint32_t size;
    enum error_code code;
    while ((code = source->seek(source->context, &sequence, &size, error)) == ERROR_NONE &&
           sequence <= range->last) {
        const struct plan_part *part = range->avoids_parts ? part_around(plan, sequence) : NULL;
        if (part != NULL) {
            range->from = sequence = part->last + 1;
            if (request->count > 0) // a request must not span records of a part
                break;
            continue;
        }
        if (is_free(plan, sequence)) {
            request->is_limited = request->count == range->records_max ||
                                  (request->count > 0 && request->bytes + size > bytes_max);
            if (request->is_limited)
                break;
            add_record(request, sequence, size);
        }
        range->from = ++sequence;
    }
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    return request->count > 0 ? ERROR_NONE : ERROR_NOT_FOUND;
}

static void begin_request(struct plan_request *request, enum plan_kind kind)
{
    assert(!request->is_busy);
    request->kind = kind;
    request->count = request->bytes = 0;
    request->is_limited = request->needs_new_connection = request->is_probe = false;
    request->part = NULL;
}

static void send_planned_request(struct export_plan *plan, struct plan_request *request)
{
    assert(!request->is_busy && request->count > 0);
    request->is_busy = true;
    request->sent_at = ++plan->tick;
    if (request->part != NULL) {
        assert(request->part->is_used && !request->part->is_busy);
        request->part->is_busy = true;
    }
    if (is_open(plan)) {
        request->is_probe = true;
        move_breaker(plan, BREAKER_HALF_OPEN, request);
    }
}

static void free_part(struct export_plan *plan, struct plan_part *part)
{
    assert(part->is_used && !part->is_busy && plan->part_count > 0);
    part->is_used = false;
    plan->part_count--;
}

// The next part that may be sent. Round robin: a part that the endpoint never accepts must not be every probe.
static enum error_code next_of_part(struct export_plan *plan, struct plan_request *request,
                                    const struct plan_turn *turn, struct error *error)
{
    for (size_t i = 0; i < plan->part_capacity; i++) {
        size_t index = (plan->part_turn + i) % plan->part_capacity;
        struct plan_part *part = &plan->parts[index];
        if (!part->is_used || part->is_busy || part->due_at > turn->now)
            continue;
        struct range range = {
            .from = part->first,
            .last = part->last,
            .records_max = size_min(part->records_max, plan->window.now.records),
        };
        begin_request(request, PLAN_PART);
        enum error_code code = read_range(plan, request, &range, &turn->source, error);
        if (code == ERROR_NONE) {
            plan->part_turn = index + 1;
            part->first = request->sequences[0];
            request->part = part;
            send_planned_request(plan, request);
        }
        if (code != ERROR_NOT_FOUND)
            return code;
        free_part(plan, part);
    }
    return ERROR_NOT_FOUND;
}

static size_t count_line_requests(const struct export_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->options.in_flight_max; i++)
        count += plan->requests[i].is_busy && plan->requests[i].kind == PLAN_LINE;
    return count;
}

static enum error_code next_of_line(struct export_plan *plan, struct plan_request *request,
                                    const struct plan_source *source, struct error *error)
{
    // Each may be refused and become a part.
    if (plan->part_count + count_line_requests(plan) >= plan->part_capacity)
        return ERROR_NOT_FOUND;
    struct range range = {
        .from = plan->cursor,
        .last = UINT64_MAX - 1,
        .records_max = plan->window.now.records,
        .avoids_parts = true,
    };
    begin_request(request, PLAN_LINE);
    enum error_code code = read_range(plan, request, &range, source, error);
    if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
        plan->cursor = range.from;
    if (code == ERROR_NONE)
        send_planned_request(plan, request);
    return code;
}

// Searches the range for a record that can be a single; `range->from` is then its sequence.
static enum error_code find_single(const struct export_plan *plan, struct range *range,
                                   const struct plan_source *source, uint32_t *size,
                                   struct error *error)
{
    enum error_code code;
    while ((code = source->seek(source->context, &range->from, size, error)) == ERROR_NONE) {
        if (range->from > range->last)
            return ERROR_NOT_FOUND;
        if (range->from != plan->refused_alone && is_free(plan, range->from))
            return ERROR_NONE;
        ++range->from;
    }
    return code;
}

static enum error_code next_single(struct export_plan *plan, struct plan_request *request,
                                   const struct plan_source *source, struct error *error)
{
    struct range range = {.from = plan->single_cursor, .last = UINT64_MAX - 1};
    uint32_t size;
    enum error_code code = find_single(plan, &range, source, &size, error);
    if (code == ERROR_NOT_FOUND && plan->single_cursor > 0) {
        range = (struct range){.from = 0, .last = plan->single_cursor - 1};
        code = find_single(plan, &range, source, &size, error);
    }
    if (code != ERROR_NONE)
        return code;
    plan->single_cursor = range.from + 1;
    begin_request(request, PLAN_SINGLE);
    add_record(request, range.from, size);
    send_planned_request(plan, request);
    return ERROR_NONE;
}

static void add_quarantined(struct plan_request *request, struct quarantine_entry *entry)
{
    entry->is_in_flight = true;
    request->needs_new_connection = true;
    add_record(request, entry->sequence, entry->size);
}

// `is_single`: only one record, the one that is due next.
static bool next_quarantined(struct export_plan *plan, struct plan_request *request,
                             timestamp_ns now, bool is_single)
{
    struct quarantine *quarantine = &plan->quarantine;
    struct quarantine_entry *entry = quarantine_due(quarantine, is_single ? INT64_MAX : now);
    if (entry == NULL)
        return false;
    begin_request(request, PLAN_QUARANTINED);
    if (is_single || plan->quarantine_window == 1) {
        add_quarantined(request, entry);
    } else {
        size_t records_max = size_min(plan->quarantine_window, plan->window.now.records);
        for (size_t i = 0; i < quarantine->count && request->count < records_max; i++) {
            entry = &quarantine->entries[i];
            if (entry->is_in_flight || entry->due_at > now)
                continue;
            if (request->count > 0 && request->bytes + entry->size > plan->window.now.bytes)
                break;
            add_quarantined(request, entry);
        }
    }
    send_planned_request(plan, request);
    return true;
}

static bool is_any_quarantined_in_flight(const struct export_plan *plan)
{
    for (size_t i = 0; i < plan->options.in_flight_max; i++) {
        if (plan->requests[i].is_busy && plan->requests[i].kind == PLAN_QUARANTINED)
            return true;
    }
    return false;
}

// --- choosing the next request ----------------------------------------------------------------

static timestamp_ns when_due(const struct export_plan *plan)
{
    timestamp_ns at = INT64_MAX;
    for (size_t i = 0; i < plan->part_capacity; i++) {
        const struct plan_part *part = &plan->parts[i];
        if (part->is_used && !part->is_busy && part->due_at < at)
            at = part->due_at;
    }
    if (plan->is_draining || plan->quarantine.count == 0 || is_any_quarantined_in_flight(plan))
        return at;
    timestamp_ns due_at = plan->quarantine.earliest > plan->quarantine_pause_end
                              ? plan->quarantine.earliest
                              : plan->quarantine_pause_end;
    return due_at < at ? due_at : at;
}

static void wait_until_due(const struct export_plan *plan, struct plan_turn *turn)
{
    turn->until = when_due(plan);
    turn->step = turn->until == INT64_MAX ? PLAN_IDLE : PLAN_WAIT;
}

// Another record alone, alternately from the line and the parts, and from the quarantine. `is_new`: a record was
// added after all others were tried.
static enum error_code next_other(struct export_plan *plan, struct plan_request *request,
                                  bool is_new, const struct plan_turn *turn, struct error *error)
{
    bool may_try_quarantined = !plan->is_draining && !is_new;
    if (may_try_quarantined && plan->singles++ % 2 == 1 &&
        next_quarantined(plan, request, turn->now, true))
        return ERROR_NONE;
    enum error_code code = next_single(plan, request, &turn->source, error);
    plan->lacks_other_record = code == ERROR_NOT_FOUND;
    if (code == ERROR_NOT_FOUND && !plan->is_draining &&
        next_quarantined(plan, request, turn->now, true))
        code = ERROR_NONE;
    return code;
}

static enum error_code next_probe(struct export_plan *plan, struct plan_request *request,
                                  struct plan_turn *turn, struct error *error)
{
    enum error_code code = ERROR_NOT_FOUND;
    bool is_new = plan->is_single_next;
    bool is_turn_of_single = is_new || plan->probes % 2 == 1;
    plan->is_single_next = false;
    if (is_turn_of_single)
        code = next_other(plan, request, is_new, turn, error);
    if (code == ERROR_NOT_FOUND)
        code = next_of_part(plan, request, turn, error);
    if (code == ERROR_NOT_FOUND)
        code = next_of_line(plan, request, &turn->source, error);
    if (code == ERROR_NOT_FOUND && !plan->is_draining &&
        next_quarantined(plan, request, turn->now, false))
        code = ERROR_NONE;
    turn->step = PLAN_SEND;
    if (code == ERROR_NONE)
        plan->probes++;
    if (code != ERROR_NOT_FOUND)
        return code;
    wait_until_due(plan, turn);
    return ERROR_NONE;
}

static enum error_code next_request(struct export_plan *plan, struct plan_request *request,
                                    struct plan_turn *turn, struct error *error)
{
    turn->step = PLAN_SEND;
    enum error_code code = next_of_part(plan, request, turn, error);
    if (code == ERROR_NOT_FOUND && !plan->is_draining && turn->now >= plan->quarantine_pause_end &&
        !is_any_quarantined_in_flight(plan) && next_quarantined(plan, request, turn->now, false))
        code = ERROR_NONE;
    if (code == ERROR_NOT_FOUND)
        code = next_of_line(plan, request, &turn->source, error);
    if (code != ERROR_NOT_FOUND)
        return code;
    wait_until_due(plan, turn);
    return ERROR_NONE;
}

static bool is_quarantine_full(const struct export_plan *plan)
{
    const struct plan_options *options = &plan->options;
    return (options->quarantine_bytes_max > 0 &&
            plan->quarantine.bytes > options->quarantine_bytes_max) ||
           (options->quarantine_records_max > 0 &&
            plan->quarantine.count > options->quarantine_records_max);
}

enum error_code plan_next(struct export_plan *plan, size_t index, struct plan_turn *turn,
                          struct error *error)
{
    struct plan_request *request = &plan->requests[index];
    assert(index < plan->options.in_flight_max && !request->is_busy);

    struct quarantine_entry *oldest =
        is_quarantine_full(plan) ? quarantine_oldest(&plan->quarantine) : NULL;
    if (oldest != NULL) {
        begin_request(request, PLAN_QUARANTINED);
        add_quarantined(request, oldest);
        request->is_busy = true;
        turn->step = PLAN_DEAD_LETTER;
        return ERROR_NONE;
    }
    if (turn->now < plan->breaker.retry_at) {
        turn->until = plan->breaker.retry_at;
        turn->step = PLAN_WAIT;
        return ERROR_NONE;
    }
    switch (plan->breaker.state) {
    case BREAKER_CLOSED:
        return next_request(plan, request, turn, error);
    case BREAKER_OPEN:
        return next_probe(plan, request, turn, error);
    case BREAKER_HALF_OPEN:
        break;
    }
    turn->step = PLAN_IDLE;
    return ERROR_NONE;
}

// --- refusals ---------------------------------------------------------------------------------

static void return_to_line(struct export_plan *plan, const struct plan_request *request)
{
    if (request->sequences[0] < plan->cursor)
        plan->cursor = request->sequences[0];
}

// The part to which the request's records belong from now on. NULL: there is no room, and they are back in the line.
static struct plan_part *make_part(struct export_plan *plan, struct plan_request *request)
{
    if (request->kind == PLAN_PART) {
        struct plan_part *part = request->part;
        part->is_busy = false;
        request->part = NULL;
        return part;
    }
    assert(request->kind == PLAN_LINE);
    for (size_t i = 0; i < plan->part_capacity; i++) {
        struct plan_part *part = &plan->parts[i];
        if (part->is_used)
            continue;
        *part = (struct plan_part){
            .is_used = true,
            .first = request->sequences[0],
            .last = request->sequences[request->count - 1],
            .records_max = plan->options.records_max,
            .refused_at = plan->tick,
        };
        plan->part_count++;
        return part;
    }
    return_to_line(plan, request);
    return NULL;
}

static void delay_probe(struct export_plan *plan, timestamp_ns until, bool is_asked)
{
    plan->breaker.retry_at = until;
    plan->breaker.is_delay_asked = is_asked;
}

// The endpoint's Retry-After is used, but after several failures only if it is longer than the backoff: it can then
// cause fewer requests, but not more.
static timestamp_ns after_backoff(timestamp_ns now, duration_ns step, duration_ns retry_after,
                                  uint64_t failures)
{
    duration_ns asked = backoff_honour(retry_after, 0);
    bool is_used = asked > step || (asked > 0 && failures <= RETRY_AFTER_TRIES);
    return now + (is_used ? asked : step);
}

// Opens the circuit breaker, or counts one more failure while it is open.
static void trip_breaker(struct export_plan *plan, const struct plan_request *request,
                         duration_ns retry_after, timestamp_ns now, uint64_t random)
{
    struct circuit_breaker *breaker = &plan->breaker;
    if (breaker->state == BREAKER_CLOSED) {
        move_breaker(plan, BREAKER_OPEN, NULL);
        breaker->opened_at = now;
        breaker->failures = 0;
        plan->tripped_at = plan->tick;
        plan->probes = 0;
        plan->refused_alone = 0;
        plan->lacks_other_record = plan->is_single_next = false;
        // The round continues where it was, but after the refused records.
        if (request != NULL && plan->single_cursor <= request->sequences[request->count - 1])
            plan->single_cursor = request->sequences[request->count - 1] + 1;
        for (size_t i = 0; i < plan->part_capacity; i++)
            plan->parts[i].refused_at = plan->tick;
    }
    for (size_t i = 0; i < plan->part_capacity; i++)
        plan->parts[i].due_at = 0; // the delay applies to all parts
    // With an endpoint that fails every second time, every second probe might always fail; so the phase changes at
    // random.
    if (breaker->failures > 1 && random / 16 % PHASE_LENGTH == 1)
        plan->probes++;
    breaker->failures++;
    duration_ns step = backoff_step(&breaker->backoff, random);
    delay_probe(plan, after_backoff(now, step, retry_after, breaker->failures), retry_after > 0);
}

// After the breaker has closed. `is_other`: none of their records was in the request that was accepted.
static void retry_parts(struct export_plan *plan, bool is_other, timestamp_ns now)
{
    for (size_t i = 0; i < plan->part_capacity; i++) {
        struct plan_part *part = &plan->parts[i];
        if (!part->is_used)
            continue;
        part->due_at = now;
        if (is_other && part->refused.records > 1) {
            part->records_max = part->refused.records / 2;
            window_shrink(&plan->window, part->refused, now);
        }
    }
}

static void close_breaker(struct export_plan *plan, const struct plan_request *probe,
                          timestamp_ns now)
{
    struct circuit_breaker *breaker = &plan->breaker;
    move_breaker(plan, BREAKER_CLOSED, NULL);
    breaker->failures = 0;
    breaker->retry_at = 0;
    backoff_reset(&breaker->backoff);
    if (now - breaker->opened_at >= OPEN_LONG)
        quarantine_retry_now(&plan->quarantine, now);
    retry_parts(plan, probe->kind == PLAN_SINGLE || probe->kind == PLAN_QUARANTINED, now);
}

static void halve(struct export_plan *plan, struct plan_part *part,
                  const struct plan_request *request, timestamp_ns now)
{
    part->records_max = request->count / 2;
    window_shrink(&plan->window,
                  (struct window_size){.records = request->count, .bytes = request->bytes}, now);
}

// There is no evidence that size is the cause, but smaller requests are worth a try.
static void halve_all(struct export_plan *plan)
{
    for (size_t i = 0; i < plan->part_capacity; i++) {
        struct plan_part *part = &plan->parts[i];
        if (part->is_used && part->refused.records > 1)
            part->records_max = size_half(size_min(part->records_max, part->refused.records));
    }
    window_halve(&plan->window);
    plan->size_failures = 0;
}

static duration_ns quarantine_interval(const struct export_plan *plan)
{
    return plan->breaker.backoff.max;
}

static void note_refused_alone(struct export_plan *plan, struct quarantine_entry *entry,
                               const struct plan_answer *answer)
{
    entry->tries++;
    entry->refused_at = plan->tick;
    entry->status = answer->status;
    if (answer->outcome == EXPORT_ABOUT_DATA && entry->about_data_at == 0) {
        entry->about_data_at = plan->tick;
        entry->about_data_connection = answer->connection;
    }
}

static void finish_part_of_one(struct export_plan *plan, struct plan_part *part,
                               const struct plan_request *request)
{
    part->first = request->sequences[0] + 1;
    part->refused = (struct window_size){.records = 0};
    window_forget(&plan->window);
    // Where all of their records are refused, none is accepted that would let the window grow again.
    if (plan->options.is_forwarded)
        window_init(&plan->window, plan->options.records_max, plan->options.bytes_max);
}

// The record of this request was refused alone while others are accepted.
static enum plan_verdict quarantine_record(struct export_plan *plan, struct plan_part *part,
                                           const struct plan_request *request,
                                           const struct plan_answer *answer, timestamp_ns now)
{
    struct quarantine_entry *entry =
        quarantine_add(&plan->quarantine, request->sequences[0], request->sizes[0], now,
                       quarantine_interval(plan));
    if (entry == NULL) // out of memory: the record is tried again later
        return PLAN_KEEP;
    entry->is_in_flight = true; // until the engine has recorded it
    note_refused_alone(plan, entry, answer);
    finish_part_of_one(plan, part, request);
    return PLAN_QUARANTINE;
}

static bool is_refused_for_good(const struct export_plan *plan,
                                const struct quarantine_entry *entry,
                                const struct plan_answer *answer)
{
    if (plan->options.is_forwarded)
        return plan->accepted_at > entry->refused_at &&
               (answer->outcome == EXPORT_ABOUT_DATA || entry->tries + 1 >= PLAN_FORWARDED_TRIES);
    return answer->outcome == EXPORT_ABOUT_DATA && entry->about_data_at != 0 &&
           entry->about_data_connection != answer->connection &&
           plan->accepted_at > entry->about_data_at;
}

static void release_quarantined(struct export_plan *plan, const struct plan_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        struct quarantine_entry *entry = quarantine_find(&plan->quarantine, request->sequences[i]);
        if (entry != NULL)
            quarantine_put_back(&plan->quarantine, entry);
    }
}

static void unref_quarantined(struct export_plan *plan, const struct plan_request *request,
                              timestamp_ns now, uint64_t random)
{
    for (size_t i = 0; i < request->count; i++) {
        struct quarantine_entry *entry = quarantine_find(&plan->quarantine, request->sequences[i]);
        if (entry == NULL)
            continue;
        quarantine_postpone(&plan->quarantine, entry, now, quarantine_interval(plan), random);
        quarantine_put_back(&plan->quarantine, entry);
    }
}

// Each refusal is followed by a pause, also one that makes a record a dead letter: an endpoint that accepts nothing any
// more would otherwise get all records with evidence from earlier at once.
static enum plan_verdict refuse_quarantined(struct export_plan *plan,
                                            const struct plan_request *request,
                                            const struct plan_answer *answer, timestamp_ns now,
                                            uint64_t random)
{
    plan->quarantine_window = 1;
    plan->quarantine_pause_end = after_backoff(now, backoff_step(&plan->quarantine_backoff, random),
                                               answer->retry_after, UINT64_MAX);
    if (request->count >
        1) { // no evidence about any one of them; they are tried alone after the pause
        release_quarantined(plan, request);
        return PLAN_KEEP;
    }
    struct quarantine_entry *entry = quarantine_find(&plan->quarantine, request->sequences[0]);
    if (is_refused_for_good(plan, entry, answer))
        return PLAN_DEAD;
    if (!answer->is_no_connection)
        note_refused_alone(plan, entry, answer);
    unref_quarantined(plan, request, now, random);
    return PLAN_KEEP;
}

// A request of the line or of a part was refused. Returns whether the circuit breaker opens, or stays open.
static bool refuse_batch(struct export_plan *plan, struct plan_request *request,
                         const struct plan_answer *answer, timestamp_ns now,
                         enum plan_verdict *verdict)
{
    bool was_open = is_open(plan);
    struct plan_part *part = make_part(plan, request);
    if (answer->is_no_connection || part == NULL)
        return true;

    bool is_alone = request->count == 1;
    bool is_about_data = answer->outcome == EXPORT_ABOUT_DATA;
    bool is_about_batch = is_about_data || answer->is_likely_size;
    bool has_evidence = plan->accepted_at > part->refused_at;
    part->refused = (struct window_size){.records = request->count, .bytes = request->bytes};
    part->due_at = now;
    if (is_alone && was_open)
        plan->refused_alone = request->sequences[0];
    if (!was_open && has_evidence && is_alone && is_about_data && plan->options.is_forwarded) {
        finish_part_of_one(plan, part, request);
        plan->refusals = 0;
        backoff_reset(&plan->breaker.backoff);
        *verdict = PLAN_DEAD;
    } else if (!was_open && has_evidence && is_alone) {
        *verdict = quarantine_record(plan, part, request, answer, now);
    } else if (!was_open && !is_alone && (has_evidence || is_about_batch)) {
        halve(plan, part, request, now);
        if (!is_about_data)
            part->due_at = now + plan->options.backoff_first / 4;
    }
    bool is_about_part = has_evidence || (is_about_batch && !is_alone);
    return was_open || !is_about_part || answer->retry_after > 0 ||
           plan->refusals > plan_burst_max(&plan->options) - plan->options.in_flight_max;
}

// The request was sent before the breaker opened: it is the same failure, not a new one.
static void refuse_late(struct export_plan *plan, struct plan_request *request,
                        const struct plan_answer *answer, timestamp_ns now, uint64_t random)
{
    if (request->kind == PLAN_LINE || request->kind == PLAN_PART) {
        struct plan_part *part = make_part(plan, request);
        if (part != NULL && !answer->is_no_connection)
            part->refused =
                (struct window_size){.records = request->count, .bytes = request->bytes};
    } else if (request->kind == PLAN_SINGLE) {
        return_to_line(plan, request);
    } else {
        unref_quarantined(plan, request, now, random);
    }
    timestamp_ns asked = now + backoff_honour(answer->retry_after, 0);
    if (asked > plan->breaker.retry_at && answer->retry_after > 0 &&
        plan->breaker.state == BREAKER_OPEN)
        delay_probe(plan, asked, true);
}

static void free_request(struct export_plan *plan, struct plan_request *request)
{
    request->is_busy = false;
    request->count = 0;
    request->part = NULL;
    release_probe(plan, request);
}

static enum plan_verdict refuse(struct export_plan *plan, struct plan_request *request,
                                const struct plan_answer *answer, timestamp_ns now, uint64_t random)
{
    enum plan_verdict verdict = PLAN_KEEP;
    if (is_open(plan) && !request->is_probe) {
        refuse_late(plan, request, answer, now, random);
        return verdict;
    }
    plan->size_failures += answer->may_be_size;
    if (answer->is_likely_size && is_open(plan))
        plan->size_failures = SIZE_FAILURES_IN_A_ROW;
    bool is_failure = true;
    switch (request->kind) {
    case PLAN_LINE:
    case PLAN_PART:
        plan->refusals++;
        is_failure = refuse_batch(plan, request, answer, now, &verdict);
        break;
    case PLAN_SINGLE:
        return_to_line(plan, request);
        break;
    case PLAN_QUARANTINED:
        verdict = refuse_quarantined(plan, request, answer, now, random);
        is_failure = request->is_probe || answer->is_no_connection;
        break;
    }
    if (plan->size_failures >= SIZE_FAILURES_IN_A_ROW)
        halve_all(plan);
    if (is_failure)
        trip_breaker(plan, request, answer->retry_after, now, random);
    return verdict;
}

// --- responses --------------------------------------------------------------------------------

static void accept(struct export_plan *plan, struct plan_request *request, timestamp_ns now)
{
    struct plan_part *part = request->part;
    if (request->sent_at > plan->accepted_at)
        plan->accepted_at = request->sent_at;
    if (!is_open(plan) || request->is_probe) {
        plan->refusals = plan->size_failures = 0;
        plan->quarantine_pause_end = now;
        backoff_reset(&plan->quarantine_backoff);
        quarantine_retry_new_now(&plan->quarantine, now, request->sent_at);
    }
    if (plan->options.is_forwarded)
        backoff_reset(&plan->breaker.backoff);
    if (part != NULL) {
        request->part = NULL; // the part may continue while this request is being settled
        part->is_busy = false;
        part->first = request->sequences[request->count - 1] + 1;
        part->refused = (struct window_size){.records = 0};
        part->records_max = size_min(2 * part->records_max, plan->options.records_max);
    }
    if (request->kind == PLAN_LINE || request->kind == PLAN_PART)
        window_grow(&plan->window,
                    (struct window_size){.records = request->count, .bytes = request->bytes},
                    request->is_limited, now);
    if (request->kind == PLAN_QUARANTINED) {
        plan->quarantine_window = size_min(2 * plan->quarantine_window, plan->options.records_max);
        quarantine_retry_now(&plan->quarantine, now);
    }
    if (request->is_probe)
        close_breaker(plan, request, now);
}

enum plan_verdict plan_answer(struct export_plan *plan, size_t index,
                              const struct plan_answer *answer, timestamp_ns now, uint64_t random)
{
    struct plan_request *request = &plan->requests[index];
    assert(request->is_busy);
    plan->tick++;
    if (answer->outcome == EXPORT_SENT) {
        accept(plan, request, now);
        return PLAN_SETTLE;
    }
    enum plan_verdict verdict = refuse(plan, request, answer, now, random);
    release_probe(plan, request);
    if (verdict == PLAN_KEEP)
        free_request(plan, request);
    return verdict;
}

enum plan_verdict plan_unsendable(struct export_plan *plan, size_t index, timestamp_ns now)
{
    struct plan_request *request = &plan->requests[index];
    assert(request->is_busy);
    release_probe(plan, request);
    if (request->count == 1)
        return PLAN_DEAD;
    if (request->kind == PLAN_QUARANTINED) {
        plan->quarantine_window = 1;
        release_quarantined(plan, request);
    } else {
        struct plan_part *part = make_part(plan, request);
        if (part != NULL) {
            part->records_max = request->count / 2;
            part->due_at = now;
        }
    }
    free_request(plan, request);
    return PLAN_KEEP;
}

void plan_gone(struct export_plan *plan, size_t index)
{
    assert(plan->requests[index].is_busy);
    release_probe(plan, &plan->requests[index]);
}

void plan_settled(struct export_plan *plan, size_t index)
{
    struct plan_request *request = &plan->requests[index];
    assert(request->is_busy);
    if (request->part != NULL) { // there was no response
        request->part->is_busy = false;
        request->part->first = request->sequences[request->count - 1] + 1;
    }
    if (request->kind == PLAN_QUARANTINED) {
        for (size_t i = 0; i < request->count; i++)
            quarantine_remove(&plan->quarantine, request->sequences[i]);
    } else if (request->count == 1) {
        release_quarantined(plan, request); // if it was quarantined
    }
    free_request(plan, request);
}

uint64_t plan_note_sent(struct export_plan *plan)
{
    return ++plan->tick;
}

void plan_note_accepted(struct export_plan *plan, uint64_t sent_at, timestamp_ns now)
{
    assert(plan->options.is_forwarded);
    if (sent_at > plan->accepted_at)
        plan->accepted_at = sent_at;
    if (plan->breaker.state != BREAKER_OPEN || sent_at <= plan->tripped_at)
        return;
    // The endpoint works: what it refuses is due to these records.
    move_breaker(plan, BREAKER_CLOSED, NULL);
    plan->breaker.failures = 0;
    plan->refusals = plan->size_failures = 0;
    retry_parts(plan, true, now);
}

void plan_local_failure(struct export_plan *plan, timestamp_ns now, uint64_t random)
{
    trip_breaker(plan, NULL, 0, now, random);
}

// --- external events --------------------------------------------------------------------------

void plan_wake(struct export_plan *plan, timestamp_ns now)
{
    if (!is_open(plan) || !plan->lacks_other_record || plan->breaker.is_delay_asked)
        return;
    plan->lacks_other_record = false;
    plan->is_single_next = true;
    plan_probe_now(plan, now);
}

void plan_rescan(struct export_plan *plan)
{
    plan->cursor = 0;
}

void plan_probe_now(struct export_plan *plan, timestamp_ns now)
{
    if (plan->breaker.retry_at > now)
        delay_probe(plan, now, false);
}

void plan_restore(struct export_plan *plan, uint64_t sequence, uint32_t size, timestamp_ns now)
{
    if (quarantine_find(&plan->quarantine, sequence) != NULL)
        return;
    struct quarantine_entry *entry =
        quarantine_add(&plan->quarantine, sequence, size, now, quarantine_interval(plan));
    if (entry == NULL)
        return;
    entry->tries = 2; // it has already had its second try
    entry->due_at = now;
    plan->quarantine.earliest = now;
}
