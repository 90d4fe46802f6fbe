// A plan between an outbox and an endpoint, all simulated: the endpoint is a script, time is a number, and each
// choice comes from one seed. With `has_forwarded`, a second plan sends records of other programs, in the last slot and
// with random numbers of its own.
#ifndef TEST_EXPORT_PLAN_WORLD_H
#define TEST_EXPORT_PLAN_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/export/plan.h"

#define RECORDS_MAX 3000 // sequences from 1
#define IN_FLIGHT_MAX 4
#define TIME_LIMIT (30 * 24 * NS_PER_HOUR)

enum whereabouts { NOT_THERE_YET, IN_OUTBOX, SENT, DEAD };

// How an endpoint refuses a request.
struct manner {
    enum export_transport transport;
    int status;
    bool has_status_message;
    const char *content_type;
    duration_ns retry_after;
    duration_ns delay;
};

struct sim_record {
    uint32_t size;
    enum whereabouts place;
    timestamp_ns arrives_at;
    // refusals alone that were about the data: connection and order
    uint64_t about_data_connection, about_data_order;
    unsigned times_alone, times_sent;
    timestamp_ns done_at;
    bool is_forwarded;
    uint64_t refused_order; // of the first refusal, alone or not
};

struct sim;
// What becomes of a request. NULL: it is accepted.
typedef const struct manner *(*endpoint_script)(struct sim *sim,
                                                const struct plan_request *request);

struct sim_flight {
    bool is_used;
    timestamp_ns answer_at;
    bool is_settling; // answered; the engine removes the records from the outbox at `answer_at`
    enum whereabouts goes_to;
    const struct manner *manner;
    uint64_t connection, order;
    uint64_t noted_at; // of one of ours, plan_note_sent()
};

struct sim {
    uint64_t seed, random, forwarded_random;
    struct export_plan plan;
    bool has_forwarded;
    struct export_plan forwarded;
    uint64_t forwarded_requests, forwarded_dead;
    // Since any request was accepted, or a record of theirs became a dead letter.
    uint64_t forwarded_in_a_row;
    timestamp_ns any_accepted_at;
    struct plan_options options;
    struct sim_record records[RECORDS_MAX + 1];
    uint64_t last;
    timestamp_ns now;
    endpoint_script script;
    void *script_context;
    duration_ns round_trip;
    struct sim_flight flights[IN_FLIGHT_MAX + 1];
    uint64_t connections[IN_FLIGHT_MAX + 1]; // 0: none
    duration_ns settle_time_max;             // random up to this
    uint64_t connections_made, order;
    bool keeps_connections;
    bool is_grpc; // manners are translated by sim_facts()

    uint64_t accepted_order; // latest sending of an accepted request
    uint64_t requests, requests_since_accepted, dead, outages, most_at_once;
    timestamp_ns accepted_at;
    uint64_t most_quarantined_bytes;
};

static inline uint64_t sim_random(struct sim *sim)
{
    return backoff_random(&sim->random);
}

static inline bool sim_is_forwarded(const struct sim *sim, size_t slot)
{
    return slot == sim->options.in_flight_max;
}

static inline size_t sim_slots(const struct sim *sim)
{
    return sim->options.in_flight_max + (sim->has_forwarded ? 1 : 0);
}

static inline struct export_plan *sim_plan(struct sim *sim, size_t slot)
{
    return sim_is_forwarded(sim, slot) ? &sim->forwarded : &sim->plan;
}

static inline struct plan_request *sim_request(struct sim *sim, size_t slot)
{
    return &sim_plan(sim, slot)->requests[sim_is_forwarded(sim, slot) ? 0 : slot];
}

static inline uint64_t sim_random_of(struct sim *sim, size_t slot)
{
    return backoff_random(sim_is_forwarded(sim, slot) ? &sim->forwarded_random : &sim->random);
}

static inline uint64_t sim_below(struct sim *sim, uint64_t limit)
{
    return sim_random(sim) % limit;
}

// Fails with the seed.
#define sim_check(sim, condition)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu at %lld ms: %s", (unsigned long long)(sim)->seed,                  \
                     (long long)((sim)->now / NS_PER_MS), #condition);                             \
    } while (0)

// Each step, to look into a seed that failed.
#define sim_trace(sim, format, ...)                                                                \
    do {                                                                                           \
        if (getenv("PLAN_TRACE") != NULL)                                                          \
            printf("%lld ms: " format "\n", (long long)((sim)->now / NS_PER_MS), __VA_ARGS__);     \
    } while (0)

static inline const char *sim_kind(const struct plan_request *request)
{
    static const char *const kinds[] = {"line", "part", "single", "quarantine"};
    return kinds[request->kind];
}

static inline void sim_init(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    sim->random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < 8; i++)
        (void)sim_random(sim);
    sim->forwarded_random = sim->random * 3 | 1;
    sim->now = 1000 * NS_PER_SECOND;
    sim->round_trip = 5 * NS_PER_MS;
    sim->keeps_connections = true;
    sim->options = (struct plan_options){
        .in_flight_max = 4,
        .records_max = 512,
        .bytes_max = 4 << 20,
        .backoff_first = NS_PER_SECOND,
        .backoff_max = 30 * NS_PER_SECOND,
        .quarantine_records_max = 16384,
    };
}

static inline void sim_start(struct sim *sim)
{
    assert_int_equal(plan_init(&sim->plan, &sim->options), ERROR_NONE);
    sim->accepted_at = sim->any_accepted_at = sim->now;
    if (!sim->has_forwarded)
        return;
    struct plan_options options = sim->options;
    options.in_flight_max = 1;
    options.is_forwarded = true;
    assert_int_equal(plan_init(&sim->forwarded, &options), ERROR_NONE);
}

static inline uint64_t sim_add(struct sim *sim, uint32_t size, timestamp_ns arrives_at)
{
    uint64_t sequence = ++sim->last;
    assert_true(sequence <= RECORDS_MAX);
    sim->records[sequence] = (struct sim_record){
        .size = size,
        .arrives_at = arrives_at,
        .place = arrives_at <= sim->now ? IN_OUTBOX : NOT_THERE_YET,
    };
    return sequence;
}

static inline void sim_add_many(struct sim *sim, unsigned count, uint32_t size)
{
    for (unsigned i = 0; i < count; i++)
        sim_add(sim, size, 0);
}

static inline enum error_code sim_seek_of(const struct sim *sim, bool is_forwarded,
                                          uint64_t *sequence, uint32_t *size)
{
    for (uint64_t i = *sequence > 0 ? *sequence : 1; i <= sim->last; i++) {
        if (sim->records[i].place == IN_OUTBOX && sim->records[i].is_forwarded == is_forwarded) {
            *sequence = i;
            *size = sim->records[i].size;
            return ERROR_NONE;
        }
    }
    return ERROR_NOT_FOUND;
}

static enum error_code sim_seek(void *context, uint64_t *sequence, uint32_t *size,
                                struct error *error)
{
    (void)error;
    return sim_seek_of(context, false, sequence, size);
}

static enum error_code sim_seek_forwarded(void *context, uint64_t *sequence, uint32_t *size,
                                          struct error *error)
{
    (void)error;
    return sim_seek_of(context, true, sequence, size);
}

static inline bool request_carries(const struct plan_request *request, uint64_t sequence)
{
    for (size_t i = 0; i < request->count; i++) {
        if (request->sequences[i] == sequence)
            return true;
    }
    return false;
}

// The shortest waits that the backoff may choose, added up: how many fit into the time?
static inline uint64_t sim_steps_within(const struct sim *sim, duration_ns time)
{
    uint64_t steps = 1;
    duration_ns base = sim->options.backoff_first;
    for (duration_ns sum = base / 2; sum <= time; sum += base / 2) {
        steps++;
        base =
            base + base / 2 < sim->options.backoff_max ? base + base / 2 : sim->options.backoff_max;
    }
    return steps;
}

static void sim_check_request(struct sim *sim, size_t slot)
{
    const struct plan_request *request = sim_request(sim, slot);
    sim_check(sim, request->count > 0 && request->count <= sim->options.records_max);
    size_t bytes = 0;
    for (size_t i = 0; i < request->count; i++) {
        struct sim_record *record = &sim->records[request->sequences[i]];
        sim_check(sim, record->place == IN_OUTBOX);
        sim_check(sim, record->is_forwarded == sim_is_forwarded(sim, slot));
        sim_check(sim, request->sizes[i] == record->size);
        bytes += record->size;
        record->times_sent++;
        for (size_t other = 0; other < sim_slots(sim); other++)
            sim_check(sim, other == slot || !sim->flights[other].is_used ||
                               !request_carries(sim_request(sim, other), request->sequences[i]));
    }
    sim_check(sim, request->count == 1 || bytes <= sim->options.bytes_max);
    // One probe at a time while the endpoint is in trouble.
    unsigned probes = request->is_probe;
    for (size_t i = 0; i < sim->options.in_flight_max && !sim_is_forwarded(sim, slot); i++)
        probes += sim->flights[i].is_used && !sim->flights[i].is_settling &&
                  sim->plan.requests[i].is_probe;
    sim_check(sim, probes <= 1);
}

// Requests with records of other programs, while neither they nor ours are accepted.
static void sim_count_forwarded(struct sim *sim)
{
    sim->forwarded_requests++;
    sim->forwarded_in_a_row++;
    sim_check(sim, sim->plan.breaker.state == BREAKER_CLOSED);
    sim_check(sim, sim->forwarded_in_a_row <=
                       plan_burst_max(&sim->forwarded.options) + 4 +
                           2 * sim_steps_within(sim, sim->now - sim->any_accepted_at));
}

static void sim_send(struct sim *sim, size_t slot)
{
    const struct plan_request *request = sim_request(sim, slot);
    struct sim_flight *flight = &sim->flights[slot];
    sim_check_request(sim, slot);
    if (request->needs_new_connection || !sim->keeps_connections)
        sim->connections[slot] = 0;
    if (sim->connections[slot] == 0)
        sim->connections[slot] = ++sim->connections_made;
    const struct manner *manner = sim->script(sim, request);
    *flight = (struct sim_flight){
        .is_used = true,
        .answer_at =
            sim->now + (manner != NULL && manner->delay > 0 ? manner->delay : sim->round_trip),
        .manner = manner,
        .connection = sim->connections[slot],
        .order = ++sim->order,
    };
    if (sim->has_forwarded && !sim_is_forwarded(sim, slot))
        flight->noted_at = plan_note_sent(&sim->forwarded);
    sim_trace(sim, "slot %zu sends %s of %zu from %llu%s", slot, sim_kind(request), request->count,
              (unsigned long long)request->sequences[0], request->is_probe ? ", a probe" : "");
    if (sim_is_forwarded(sim, slot)) {
        sim_count_forwarded(sim);
        return;
    }
    sim->requests++;
    sim->requests_since_accepted++;
    // The bound while nothing is accepted: a burst, three times that the endpoint asked for, then a
    // probe and a try of the quarantine for each step of the backoff.
    sim_check(sim, sim->requests_since_accepted <=
                       plan_burst_max(&sim->options) + sim->options.in_flight_max + 3 +
                           2 * sim_steps_within(sim, sim->now - sim->accepted_at));
}

// IN_OUTBOX: it stays there.
static void sim_settle_later(struct sim *sim, size_t slot, enum whereabouts place)
{
    sim->flights[slot] = (struct sim_flight){
        .is_used = true,
        .is_settling = true,
        .goes_to = place,
        .answer_at = sim->now +
                     (duration_ns)(sim_random_of(sim, slot) % ((uint64_t)sim->settle_time_max + 1)),
    };
}

static void sim_move(struct sim *sim, const struct plan_request *request, enum whereabouts place)
{
    for (size_t i = 0; i < request->count; i++) {
        struct sim_record *record = &sim->records[request->sequences[i]];
        sim_check(sim, record->place == IN_OUTBOX);
        record->place = place;
        record->done_at = sim->now;
    }
}

// From the endpoint's side: refused alone twice, on two connections, and a request sent since was accepted.
static void sim_check_death(struct sim *sim, uint64_t sequence, const struct sim_flight *flight,
                            bool is_about_data)
{
    const struct sim_record *record = &sim->records[sequence];
    sim_check(sim, is_about_data);
    sim_check(sim, record->about_data_order > 0);
    sim_check(sim, record->about_data_connection != flight->connection);
    sim_check(sim, sim->accepted_order > record->about_data_order);
}

// The same manner over gRPC: the code that corresponds to the HTTP status. What proxies answer has none.
static inline int sim_code(const struct manner *manner)
{
    switch (manner->status) {
    case 200:
        return manner->content_type != NULL && strcmp(manner->content_type, "text/html") == 0
                   ? EXPORT_NO_GRPC_CODE
                   : GRPC_OK;
    case 400:
        return manner->has_status_message ? GRPC_INVALID_ARGUMENT : EXPORT_NO_GRPC_CODE;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 413:
    case 429:
        return GRPC_RESOURCE_EXHAUSTED;
    case 418:
        return GRPC_ABORTED;
    case 500:
        return GRPC_INTERNAL;
    case 502:
        return GRPC_UNKNOWN;
    case 503:
        return GRPC_UNAVAILABLE;
    default:
        return EXPORT_NO_GRPC_CODE;
    }
}

static struct export_facts sim_facts(const struct sim *sim, const struct manner *manner)
{
    struct export_facts facts = {
        .transport = manner->transport,
        .status = manner->status,
        .content_type = slice_from_string(manner->content_type != NULL ? manner->content_type : ""),
        .has_status_message = manner->has_status_message,
        .is_grpc = sim->is_grpc,
        .grpc_code = sim->is_grpc ? sim_code(manner) : 0,
        .has_retry_info = sim->is_grpc && manner->retry_after > 0,
    };
    if (facts.is_grpc && facts.transport == EXPORT_BROKEN && manner->delay == 0)
        facts.transport = EXPORT_INTERRUPTED; // the stream alone, and at once
    if (facts.is_grpc && facts.grpc_code != EXPORT_NO_GRPC_CODE)
        facts.status = 200;
    return facts;
}

static void sim_answer_forwarded(struct sim *sim, size_t slot, const struct sim_flight *flight,
                                 const struct plan_answer *answer)
{
    struct plan_request *request = sim_request(sim, slot);
    bool is_accepted = answer->outcome == EXPORT_SENT;
    for (size_t i = 0; i < request->count && !is_accepted; i++) {
        struct sim_record *record = &sim->records[request->sequences[i]];
        record->refused_order = record->refused_order > 0 ? record->refused_order : ++sim->order;
    }
    const struct sim_record *only = &sim->records[request->sequences[0]];
    enum plan_verdict verdict =
        plan_answer(&sim->forwarded, 0, answer, sim->now, sim_random_of(sim, slot));
    sim_trace(sim, "slot %zu gets %d: verdict %d, breaker %d", slot, answer->status, (int)verdict,
              (int)sim->forwarded.breaker.state);
    sim_check(sim, (verdict == PLAN_SETTLE) == is_accepted);
    if (is_accepted) {
        if (flight->order > sim->accepted_order)
            sim->accepted_order = flight->order;
        sim->any_accepted_at = sim->now;
        sim->forwarded_in_a_row = 0;
    }
    // Alone, and a request that was sent after its first refusal was accepted.
    if (verdict == PLAN_DEAD || verdict == PLAN_QUARANTINE)
        sim_check(sim, request->count == 1 && sim->accepted_order > only->refused_order);
    if (verdict == PLAN_DEAD) {
        sim->forwarded_dead++;
        sim->forwarded_in_a_row = 0;
    }
    if (verdict == PLAN_QUARANTINE)
        plan_settled(&sim->forwarded, 0);
    else if (verdict != PLAN_KEEP)
        sim_settle_later(sim, slot, verdict == PLAN_SETTLE ? SENT : DEAD);
}

static void sim_answer(struct sim *sim, size_t slot)
{
    static const struct manner success = {.status = 200, .content_type = "application/x-protobuf"};
    struct export_plan *plan = sim_plan(sim, slot);
    const size_t index = sim_is_forwarded(sim, slot) ? 0 : slot;
    struct plan_request *request = sim_request(sim, slot);
    struct sim_flight flight = sim->flights[slot];
    if (flight.is_settling) {
        if (flight.goes_to != IN_OUTBOX)
            sim_move(sim, request, flight.goes_to);
        plan_settled(plan, index);
        sim->flights[slot].is_used = false;
        return;
    }
    const struct manner *manner = flight.manner != NULL ? flight.manner : &success;
    sim->flights[slot].is_used = false;
    const struct export_facts facts = sim_facts(sim, manner);
    struct export_class class = export_classify(&facts);
    const struct plan_answer answer = {
        .outcome = class.outcome,
        .may_be_size = class.may_be_size,
        .is_likely_size = class.is_likely_size,
        .is_no_connection = manner->transport == EXPORT_NO_CONNECTION,
        .status = manner->transport == EXPORT_ANSWERED ? manner->status : 0,
        .retry_after = manner->retry_after,
        .connection = flight.connection,
    };
    if (manner->transport != EXPORT_ANSWERED)
        sim->connections[slot] = 0;

    bool is_accepted = class.outcome == EXPORT_SENT;
    bool is_about_data = class.outcome == EXPORT_ABOUT_DATA;
    if (sim_is_forwarded(sim, slot)) {
        sim_answer_forwarded(sim, slot, &flight, &answer);
        return;
    }
    bool was_outage = (sim->plan.breaker.state != BREAKER_CLOSED);
    uint64_t only = request->count == 1 ? request->sequences[0] : 0;
    enum plan_verdict verdict = plan_answer(&sim->plan, slot, &answer, sim->now, sim_random(sim));
    sim_trace(sim, "slot %zu gets %d/%d: verdict %d, outage %d", slot, (int)manner->transport,
              manner->status, (int)verdict, (sim->plan.breaker.state != BREAKER_CLOSED));
    sim->outages += !was_outage && (sim->plan.breaker.state != BREAKER_CLOSED);
    sim_check(sim, (verdict == PLAN_SETTLE) == is_accepted);
    if (verdict == PLAN_DEAD) {
        sim_check_death(sim, only, &flight, is_about_data);
        sim->dead++;
    }
    if (verdict == PLAN_QUARANTINE) // while others are accepted
        sim_check(sim, sim->accepted_order > 0);
    if (is_accepted) {
        if (flight.order > sim->accepted_order)
            sim->accepted_order = flight.order;
        sim->accepted_at = sim->any_accepted_at = sim->now;
        sim->requests_since_accepted = sim->forwarded_in_a_row = 0;
        if (sim->has_forwarded)
            plan_note_accepted(&sim->forwarded, flight.noted_at, sim->now);
    }
    if (only > 0 && is_about_data && sim->records[only].about_data_order == 0) {
        sim->records[only].about_data_order = ++sim->order;
        sim->records[only].about_data_connection = flight.connection;
    }
    if (verdict != PLAN_KEEP)
        sim_settle_later(sim, slot,
                         verdict == PLAN_SETTLE ? SENT
                         : verdict == PLAN_DEAD ? DEAD
                                                : IN_OUTBOX);
    if (sim->plan.quarantine.bytes > sim->most_quarantined_bytes)
        sim->most_quarantined_bytes = sim->plan.quarantine.bytes;
}

// Each record is in exactly one place.
static void sim_check_places(struct sim *sim)
{
    const struct quarantine *quarantine = &sim->plan.quarantine;
    uint64_t bytes = 0;
    for (size_t i = 0; i < quarantine->count; i++) {
        const struct quarantine_entry *entry = &quarantine->entries[i];
        sim_check(sim, i == 0 || quarantine->entries[i - 1].sequence < entry->sequence);
        sim_check(sim, sim->records[entry->sequence].place == IN_OUTBOX);
        bool is_in_flight = false;
        for (size_t slot = 0; slot < sim->options.in_flight_max; slot++)
            is_in_flight |= sim->flights[slot].is_used &&
                            request_carries(&sim->plan.requests[slot], entry->sequence);
        // A record just quarantined is in its request until that is noted.
        sim_check(sim, is_in_flight || !entry->is_in_flight);
        bytes += entry->size;
    }
    sim_check(sim, bytes == quarantine->bytes);
}

// What an unused slot does next. False: nothing, and its plan has to be asked again at `*again`.
static bool sim_act(struct sim *sim, size_t slot, timestamp_ns *again)
{
    const bool is_forwarded = sim_is_forwarded(sim, slot);
    struct plan_turn turn = {
        .now = sim->now,
        .source = {.seek = is_forwarded ? sim_seek_forwarded : sim_seek, .context = sim}};
    struct error error;
    assert_int_equal(plan_next(sim_plan(sim, slot), is_forwarded ? 0 : slot, &turn, &error),
                     ERROR_NONE);
    switch (turn.step) {
    case PLAN_WAIT:
        sim_check(sim, turn.until > sim->now);
        *again = turn.until;
        return false;
    case PLAN_IDLE:
        *again = INT64_MAX;
        return false;
    case PLAN_SEND:
        sim_send(sim, slot);
        return true;
    case PLAN_DEAD_LETTER:
        sim_check(sim, is_forwarded || sim_request(sim, slot)->count == 1);
        sim_settle_later(sim, slot, DEAD);
        *(is_forwarded ? &sim->forwarded_dead : &sim->dead) += 1;
    }
    return true;
}

static timestamp_ns sim_pump_forwarded(struct sim *sim)
{
    const size_t slot = sim->options.in_flight_max;
    timestamp_ns again;
    bool has_idle = false;
    for (size_t i = 0; i < slot; i++)
        has_idle |= !sim->flights[i].is_used;
    while (sim->has_forwarded && has_idle && !sim->flights[slot].is_used &&
           sim->plan.breaker.state == BREAKER_CLOSED) {
        if (!sim_act(sim, slot, &again))
            return again;
    }
    return INT64_MAX;
}

// Lets all slots do what they may. Returns when the plan has to be asked again.
static timestamp_ns sim_pump(struct sim *sim)
{
    timestamp_ns again;
    for (size_t slot = 0; slot < sim->options.in_flight_max; slot++) {
        while (!sim->flights[slot].is_used) {
            if (!sim_act(sim, slot, &again))
                return again;
        }
    }
    return INT64_MAX;
}

static void sim_let_arrive(struct sim *sim)
{
    bool is_any = false, is_any_forwarded = false;
    for (uint64_t i = 1; i <= sim->last; i++) {
        struct sim_record *record = &sim->records[i];
        if (record->place == NOT_THERE_YET && record->arrives_at <= sim->now) {
            record->place = IN_OUTBOX;
            is_any |= !record->is_forwarded;
            is_any_forwarded |= record->is_forwarded;
        }
    }
    if (is_any)
        plan_wake(&sim->plan, sim->now);
    if (is_any_forwarded && sim->has_forwarded)
        plan_wake(&sim->forwarded, sim->now);
}

static timestamp_ns sim_next_arrival(const struct sim *sim)
{
    timestamp_ns next = INT64_MAX;
    for (uint64_t i = 1; i <= sim->last; i++) {
        if (sim->records[i].place == NOT_THERE_YET && sim->records[i].arrives_at < next)
            next = sim->records[i].arrives_at;
    }
    return next;
}

// Runs until `is_done` or `end`. Returns whether it was done.
static inline bool sim_run(struct sim *sim, timestamp_ns end, bool (*is_done)(struct sim *sim))
{
    for (;;) {
        timestamp_ns next = sim_pump(sim);
        timestamp_ns forwarded = sim_pump_forwarded(sim);
        next = forwarded < next ? forwarded : next;
        sim_check_places(sim);
        if (is_done != NULL && is_done(sim))
            return true;
        timestamp_ns arrival = sim_next_arrival(sim);
        next = arrival < next ? arrival : next;
        for (size_t i = 0; i < sim_slots(sim); i++) {
            if (sim->flights[i].is_used && sim->flights[i].answer_at < next)
                next = sim->flights[i].answer_at;
        }
        if (next > end) {
            sim->now = end;
            return false;
        }
        sim->now = next > sim->now ? next : sim->now;
        sim_let_arrive(sim);
        for (size_t i = 0; i < sim_slots(sim); i++) {
            if (sim->flights[i].is_used && sim->flights[i].answer_at <= sim->now)
                sim_answer(sim, i);
        }
    }
}

static inline unsigned sim_count(const struct sim *sim, enum whereabouts place)
{
    unsigned count = 0;
    for (uint64_t i = 1; i <= sim->last; i++)
        count += sim->records[i].place == place;
    return count;
}

static inline bool sim_is_empty(struct sim *sim)
{
    return sim_count(sim, IN_OUTBOX) + sim_count(sim, NOT_THERE_YET) == 0;
}

static inline void sim_end(struct sim *sim)
{
    plan_release(&sim->plan);
    if (sim->has_forwarded)
        plan_release(&sim->forwarded);
}

#endif
