// A request in flight: sends what the plan has made for it, and has the engine settle its records.
#include "exporter_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/log.h"

#define STATUS_UNAUTHORIZED 401
#define HTTP_STATUS_LEAST 100
#define ANSWER_ARENA_BLOCK 1024
#define SETTLE_REPORT_INTERVAL NS_PER_MINUTE

static struct plan_request *request_of(const struct inflight_request *inflight)
{
    return &inflight->plan->requests[inflight->index];
}

bool inflight_is_forwarded(const struct inflight_request *inflight)
{
    return inflight->plan == &inflight->exporter->forwarded_plan;
}

// --- states -----------------------------------------------------------------------------------

#define TO(state) (1U << INFLIGHT_##state)

// The allowed transitions.
static const unsigned next_states[] = {
    [INFLIGHT_IDLE] = TO(SENDING) | TO(SETTLING),
    [INFLIGHT_SENDING] = TO(IDLE),
    [INFLIGHT_SETTLING] = TO(IDLE) | TO(UNSETTLED),
    [INFLIGHT_UNSETTLED] = TO(SETTLING),
};

// Performs every change of state. Also counts the requests that are SETTLING.
static void move_inflight(struct inflight_request *inflight, enum inflight_state to)
{
    struct exporter *exporter = inflight->exporter;
    assert((next_states[inflight->state] & 1U << to) != 0);
    if (inflight->state == INFLIGHT_SETTLING) {
        assert(exporter->settles > 0);
        exporter->settles--;
    }
    inflight->state = to;
    if (to == INFLIGHT_SETTLING)
        exporter->settles++;
    assert(exporter->settles <= exporter->inflight_count + 1);
}

// --- settling ---------------------------------------------------------------------------------

static void submit_settlement(struct inflight_request *inflight)
{
    assert(inflight->task.sequence_count > 0);
    move_inflight(inflight, INFLIGHT_SETTLING);
    engine_submit(inflight->exporter->engine, &inflight->task);
}

static void settle_records(struct inflight_request *inflight, enum plan_verdict verdict)
{
    const struct plan_request *request = request_of(inflight);
    inflight->task.sequences = request->sequences;
    inflight->task.sequence_count = request->count;
    inflight->task.is_dead = verdict == PLAN_DEAD;
    inflight->task.is_quarantined = verdict == PLAN_QUARANTINE;
    inflight->task.reason = inflight->reason;
    submit_settlement(inflight);
}

void inflight_settle_again(struct inflight_request *inflight)
{
    submit_settlement(inflight);
}

// In the engine's thread.
static void on_settle_done(struct engine_task *task)
{
    struct inflight_request *inflight = task->context;
    net_loop_post(inflight->exporter->loop, &inflight->settled);
}

static void count_settled(struct inflight_request *inflight)
{
    struct exporter *exporter = inflight->exporter;
    const struct engine_task *task = &inflight->task;
    if (task->is_dead) {
        exporter->counters.dead_letters += task->sequence_count;
        for (size_t i = 0; i < task->sequence_count; i++)
            report_dead_letter(exporter, task->sequences[i], task->reason);
    } else if (!task->is_quarantined) {
        exporter->counters.sent_records += task->sequence_count;
    }
}

static void report_unsettled(struct exporter *exporter, const struct engine_task *task)
{
    timestamp_ns now = timestamp_monotonic();
    if (now < exporter->next_settle_report)
        return;
    exporter->next_settle_report = now + SETTLE_REPORT_INTERVAL;
    log_warn("records were sent but cannot be taken out of the outbox, will retry",
             LOG_INT("records", task->sequence_count),
             LOG_STRING("error",
                        task->error.message[0] != '\0' ? task->error.message : "engine is busy"));
}

static void on_settled(void *context)
{
    struct inflight_request *inflight = context;
    struct exporter *exporter = inflight->exporter;
    // The record of a quarantine only saves requests after a restart: it is not worth waiting for.
    bool is_settled = inflight->task.outcome == ENGINE_ACCEPTED || inflight->task.is_quarantined;
    move_inflight(inflight, is_settled ? INFLIGHT_IDLE : INFLIGHT_UNSETTLED);
    if (exporter_reap(exporter))
        return;

    if (is_settled) {
        count_settled(inflight);
        plan_settled(inflight->plan, inflight->index);
    } else {
        // They were sent: the only thing left to do is to ask the engine again.
        report_unsettled(exporter, &inflight->task);
        exporter_settle_later(exporter);
    }
    exporter_pump(exporter);
}

void inflight_dead_letter(struct inflight_request *inflight)
{
    const struct quarantine_entry *entry =
        quarantine_find(&inflight->plan->quarantine, request_of(inflight)->sequences[0]);
    assert(entry != NULL);
    (void)snprintf(inflight->reason, sizeof inflight->reason,
                   entry->status != 0 ? "quarantine is full; refused alone %u times, last with %s%d"
                                      : "quarantine is full; no answer %u times",
                   (unsigned)entry->tries, entry->status < HTTP_STATUS_LEAST ? "gRPC " : "",
                   entry->status);
    settle_records(inflight, PLAN_DEAD);
}

// --- responses --------------------------------------------------------------------------------

static void read_success(struct inflight_request *inflight, const struct export_answer *answer)
{
    struct exporter *exporter = inflight->exporter;
    char message[ANSWER_TEXT_SIZE];
    int64_t rejected;
    // "The client MUST NOT retry the request when it receives a partial success response".
    if (answer_read_partial(answer, &exporter->made.masks, &rejected, message)) {
        exporter->counters.rejected_spans += (uint64_t)rejected;
        report_partial(exporter, rejected, message);
    }
    if (answer_is_unexpected(answer, exporter->made.form.protocol == EXPORT_JSON))
        report_type(exporter, answer->content_type);
}

// The same for records of other programs. Which are in quarantine is not recorded: it takes minutes to find out again.
static void follow_forwarded_refusal(struct inflight_request *inflight, enum plan_verdict verdict)
{
    report_forwarded_failure(inflight->exporter, inflight->reason);
    if (verdict == PLAN_QUARANTINE)
        plan_settled(inflight->plan, inflight->index);
    else if (verdict != PLAN_KEEP)
        settle_records(inflight, verdict);
}

// Called after the plan was informed of a refusal.
static void follow_refusal(struct inflight_request *inflight, enum plan_verdict verdict,
                           enum export_trouble trouble, int http_status)
{
    struct exporter *exporter = inflight->exporter;
    if (inflight_is_forwarded(inflight)) {
        follow_forwarded_refusal(inflight, verdict);
        return;
    }
    if (exporter->plan.breaker.state != BREAKER_CLOSED) {
        report_failure(exporter, trouble, http_status, inflight->reason);
        if (inflight->is_last_try)
            exporter->has_failed_last_try = true;
        else if (exporter->is_draining) // sent before the drain; the last attempt is still to come
            plan_probe_now(&exporter->plan, timestamp_monotonic());
    }
    if (verdict == PLAN_QUARANTINE)
        report_quarantined(exporter, request_of(inflight)->sequences[0], inflight->reason);
    if (verdict != PLAN_KEEP)
        settle_records(inflight, verdict);
}

// No request was built or sent: a local error of memory or the store.
static void fail_locally(struct inflight_request *inflight, const struct error *error)
{
    struct exporter *exporter = inflight->exporter;
    const struct plan_answer answer = {.outcome = EXPORT_NOT_NOW, .is_no_connection = true};
    exporter->counters.retries++;
    (void)snprintf(inflight->reason, sizeof inflight->reason, "%s", error->message);
    enum plan_verdict verdict = plan_answer(inflight->plan, inflight->index, &answer,
                                            timestamp_monotonic(), exporter_random(exporter));
    follow_refusal(inflight, verdict, response_trouble(EXPORT_UNREACHABLE, error), 0);
}

static void note_accepted(struct inflight_request *inflight)
{
    struct exporter *exporter = inflight->exporter;
    if (inflight_is_forwarded(inflight))
        exporter->report.forwarded_failures = 0;
    else
        plan_note_accepted(&exporter->forwarded_plan, inflight->noted_at, timestamp_monotonic());
}

static void on_answer(struct inflight_request *inflight,
                      const struct http_client_response *response,
                      const struct export_answer *answer)
{
    struct exporter *exporter = inflight->exporter;
    timestamp_ns opened_at = exporter->plan.breaker.opened_at;
    const struct export_class class = response_classify(response, answer);
    const struct plan_answer planned = {
        .outcome = class.outcome,
        .may_be_size = class.may_be_size && !response_error_is_local(&response->error),
        .is_likely_size = class.is_likely_size,
        .is_no_connection = answer->status == 0 &&
                            (!response->has_connected || response_error_is_local(&response->error)),
        .status = answer_status(answer),
        .retry_after = answer->retry_after,
        .connection = response->connection,
    };
    if (class.outcome == EXPORT_SENT)
        read_success(inflight, answer);
    else
        response_describe(response, answer, &exporter->made.masks, inflight->reason);

    enum plan_verdict verdict = plan_answer(inflight->plan, inflight->index, &planned,
                                            timestamp_monotonic(), exporter_random(exporter));
    if (exporter->plan.breaker.state == BREAKER_CLOSED) {
        exporter->own_waiting = 0;
        report_end(exporter, opened_at);
    }
    if (class.outcome == EXPORT_SENT)
        note_accepted(inflight);
    if (verdict == PLAN_SETTLE) {
        settle_records(inflight, verdict);
        return;
    }
    exporter->counters.retries += verdict == PLAN_KEEP && class.outcome == EXPORT_NOT_NOW;
    // Behind a load balancer, another connection may reach another endpoint.
    if (class.outcome == EXPORT_NOT_NOW)
        http_client_renew(inflight->client, response->age);
    follow_refusal(inflight, verdict, response_trouble(class.trouble, &response->error),
                   answer_http_status(answer));
    // The response was to a request with the old headers: its Retry-After does not apply to the new ones.
    if (inflight->headers_age != exporter->headers_age)
        plan_probe_now(inflight->plan, timestamp_monotonic());
}

static void on_response(void *context, const struct http_client_response *response)
{
    struct inflight_request *inflight = context;
    struct exporter *exporter = inflight->exporter;
    struct arena arena;
    arena_init(&arena, ANSWER_ARENA_BLOCK);
    const struct export_answer answer =
        response_read(response, exporter->made.form.protocol, &arena);
    int answered = answer_status(&answer);
    bool is_unauthorized =
        answered == STATUS_UNAUTHORIZED || (answer.is_grpc && answered == GRPC_UNAUTHENTICATED);
    move_inflight(inflight, INFLIGHT_IDLE);
    inflight->transfer = NULL;
    buffer_release(&inflight->body);
    on_answer(inflight, response, &answer);
    arena_release(&arena);
    if (is_unauthorized && exporter->on_unauthorized != NULL)
        exporter->on_unauthorized(exporter->on_unauthorized_context);
    exporter_pump(exporter);
}

// --- sending ----------------------------------------------------------------------------------

static void refuse_unsendable(struct inflight_request *inflight, const struct error *error)
{
    (void)snprintf(inflight->reason, sizeof inflight->reason, "not sent: %.180s", error->message);
    if (plan_unsendable(inflight->plan, inflight->index, timestamp_monotonic()) == PLAN_DEAD)
        settle_records(inflight, PLAN_DEAD);
}

static void send_planned(struct inflight_request *inflight)
{
    struct exporter *exporter = inflight->exporter;
    struct error error;
    const struct http_client_request request =
        request_with_body(&exporter->made.form, buffer_slice(&inflight->body), exporter->timeout);
    if (request_of(inflight)->needs_new_connection)
        http_client_renew(inflight->client, HTTP_CLIENT_RENEW_ALWAYS);
    if (!inflight_is_forwarded(inflight))
        inflight->noted_at = plan_note_sent(&exporter->forwarded_plan);
    enum error_code code =
        http_client_send(inflight->client, &request, on_response, inflight, &inflight->transfer);
    if (code == ERROR_NONE) {
        move_inflight(inflight, INFLIGHT_SENDING);
        exporter->counters.requests++;
    } else {
        buffer_release(&inflight->body);
        error_set(&error, code, "request: %s", error_code_text(code));
        fail_locally(inflight, &error);
    }
}

void inflight_send(struct inflight_request *inflight)
{
    struct exporter *exporter = inflight->exporter;
    const struct plan_request *planned = request_of(inflight);
    struct error error;
    struct request_records records = {.sequences = planned->sequences, .count = planned->count};

    inflight->is_last_try = exporter->is_draining;
    if (exporter->before_request != NULL)
        exporter->before_request(exporter->before_request_context);
    inflight->headers_age = exporter->headers_age;
    enum error_code code =
        request_build(&exporter->made.form, exporter->store, &records, &inflight->body, &error);
    if (code == ERROR_TOO_LARGE || code == ERROR_INVALID) {
        refuse_unsendable(inflight, &error);
    } else if (code != ERROR_NONE) {
        fail_locally(inflight, &error);
    } else if (records.found == 0) {
        plan_gone(inflight->plan, inflight->index);
        settle_records(inflight, PLAN_SETTLE);
    } else {
        send_planned(inflight);
    }
}

// --- life -------------------------------------------------------------------------------------

void inflight_init(struct inflight_request *inflight, struct exporter *exporter, size_t index)
{
    inflight->exporter = exporter;
    inflight->plan = &exporter->plan;
    inflight->client = exporter->client;
    inflight->index = index;
    inflight->state = INFLIGHT_IDLE;
    inflight->task = (struct engine_task){
        .type = ENGINE_SETTLE_EXPORT, .on_done = on_settle_done, .context = inflight};
    inflight->settled = (struct net_task){.run = on_settled, .context = inflight};
    buffer_init(&inflight->body, 0);
}

void inflight_init_forwarded(struct inflight_request *inflight, struct exporter *exporter)
{
    inflight_init(inflight, exporter, 0);
    inflight->plan = &exporter->forwarded_plan;
    inflight->client = exporter->forwarded_client;
}

void inflight_disconnect(struct inflight_request *inflight)
{
    http_client_cancel(inflight->transfer);
    inflight->transfer = NULL;
    buffer_release(&inflight->body);
}
