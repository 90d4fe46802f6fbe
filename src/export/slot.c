// One slot: carries a batch from the outbox to the collector and has the engine settle it.
#include "exporter_private.h"

#include <stdio.h>

#include "ghatrace/base/log.h"
#include "ghatrace/export/outcome.h"

#define STATUS_UNAUTHORIZED 401
#define SETTLE_REPORT_INTERVAL NS_PER_MINUTE

// --- reading ----------------------------------------------------------------------------------

// Adds what is not taken, from the cursor on. `*is_end`: there is nothing behind it.
static enum error_code read_sequences(struct export_slot *slot,
                                      struct store_transaction *transaction, bool *is_end,
                                      struct error *error)
{
    struct exporter *exporter = slot->exporter;
    uint64_t sequence = exporter->cursor;
    size_t bytes = 0;
    *is_end = false;
    while (slot->batch.count < exporter->batch_records_max) {
        uint32_t size = 0;
        enum error_code code = store_seek_outbox(transaction, &sequence, &size, error);
        if (code == ERROR_NOT_FOUND) {
            *is_end = true;
            return ERROR_NONE;
        }
        if (code != ERROR_NONE)
            return code;
        if (!exporter_has_taken(exporter, sequence)) {
            if (slot->batch.count > 0 && bytes + size > exporter->batch_bytes_max)
                break;
            (void)batch_add(&slot->batch, sequence);
            bytes += size;
        }
        exporter->cursor = ++sequence;
    }
    return ERROR_NONE;
}

enum error_code slot_load(struct export_slot *slot, struct error *error)
{
    struct exporter *exporter = slot->exporter;
    struct store_transaction *transaction;
    bool is_end = false;
    enum error_code code = store_begin(exporter->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;

    // Dead letters that come back have old numbers, so reading begins again at the end: what is on
    // its way is passed over, and nothing else is left there.
    bool is_from_start = exporter->cursor == 0;
    code = read_sequences(slot, transaction, &is_end, error);
    if (code == ERROR_NONE && is_end) {
        exporter->cursor = 0;
        if (slot->batch.count == 0 && !is_from_start)
            code = read_sequences(slot, transaction, &is_end, error);
        if (code == ERROR_NONE && is_end)
            exporter->cursor = 0;
    }
    store_abort(transaction);
    if (code != ERROR_NONE) {
        batch_clear(&slot->batch);
        exporter->cursor = 0;
        return code;
    }
    batch_seal(&slot->batch);
    slot->state = slot->batch.count > 0 ? SLOT_READY : SLOT_IDLE;
    return ERROR_NONE;
}

// --- settling ---------------------------------------------------------------------------------

static void submit(struct export_slot *slot)
{
    slot->state = SLOT_SETTLING;
    slot->exporter->settles++;
    engine_submit(slot->exporter->engine, &slot->task);
}

static void settle(struct export_slot *slot, bool is_dead)
{
    const struct batch_part *part = batch_present(&slot->batch);
    slot->task.sequences = part->sequences;
    slot->task.sequence_count = part->count;
    slot->task.is_dead = is_dead;
    slot->task.reason = slot->reason;
    submit(slot);
}

void slot_settle_again(struct export_slot *slot)
{
    submit(slot);
}

// In the engine's thread.
static void on_settle_done(struct engine_task *task)
{
    struct export_slot *slot = task->context;
    net_loop_post(slot->exporter->loop, &slot->settled);
}

static void count_settled(struct export_slot *slot)
{
    struct export_counters *counters = &slot->exporter->counters;
    const struct engine_task *task = &slot->task;
    if (!task->is_dead) {
        counters->sent_records += task->sequence_count;
        return;
    }
    counters->dead_letters += task->sequence_count;
    for (size_t i = 0; i < task->sequence_count; i++)
        log_error("record refused by the collector, kept as dead letter",
                  LOG_INT("sequence", task->sequences[i]), LOG_STRING("reason", task->reason),
                  LOG_STRING("endpoint", slot->exporter->url));
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
    struct export_slot *slot = context;
    struct exporter *exporter = slot->exporter;
    exporter->settles--;
    if (exporter_reap(exporter))
        return;

    if (slot->task.outcome == ENGINE_ACCEPTED) {
        count_settled(slot);
        batch_finish_part(&slot->batch);
        slot->state = batch_present(&slot->batch) != NULL ? SLOT_READY : SLOT_IDLE;
    } else {
        // They were sent: asking the engine again is all there is to do.
        report_unsettled(exporter, &slot->task);
        slot->state = SLOT_UNSETTLED;
        exporter_settle_later(exporter);
    }
    exporter_pump(exporter);
}

// --- sending ----------------------------------------------------------------------------------

// Never the same again: two halves, or a dead letter.
static void refuse(struct export_slot *slot)
{
    if (batch_split_part(&slot->batch))
        slot->state = SLOT_READY;
    else
        settle(slot, true);
}

static void accept_answer(struct export_slot *slot, const struct export_answer *answer)
{
    struct exporter *exporter = slot->exporter;
    char message[ANSWER_TEXT_SIZE];
    int64_t rejected;
    // "The client MUST NOT retry the request when it receives a partial success response".
    if (answer_read_partial(answer, &rejected, message)) {
        exporter->counters.rejected_spans += (uint64_t)rejected;
        log_warn(rejected > 0 ? "collector rejected spans" : "collector has a remark",
                 LOG_INT("rejected_spans", rejected), LOG_STRING("message", message),
                 LOG_STRING("endpoint", exporter->url));
    }
    settle(slot, false);
}

static void fail(struct export_slot *slot, int http_status, duration_ns retry_after,
                 const struct error *error)
{
    struct exporter *exporter = slot->exporter;
    slot->state = SLOT_READY;
    exporter->counters.retries++;
    outage_add_failure(exporter, slot, http_status, retry_after, error);
    if (slot->is_last_try)
        exporter->has_failed_last_try = true;
    else if (exporter->is_draining) // it was under way before; the last try is still to come
        outage_stop_pause(exporter);
}

static void on_result(void *context, const struct channel_result *result)
{
    struct export_slot *slot = context;
    struct exporter *exporter = slot->exporter;
    struct error error = result->error;

    if (result->answer.status == STATUS_UNAUTHORIZED && exporter->on_unauthorized != NULL)
        exporter->on_unauthorized(exporter->on_unauthorized_context);
    if (result->is_stale) {
        outage_forget_probe(&exporter->outage, slot);
        slot->state = SLOT_READY;
        exporter_pump(exporter);
        return;
    }
    switch (export_outcome_of(result->answer.status)) {
    case EXPORT_SENT:
        outage_end(exporter, slot);
        accept_answer(slot, &result->answer);
        break;
    case EXPORT_REFUSED:
        outage_end(exporter, slot);
        answer_describe(&result->answer, slot->reason);
        refuse(slot);
        break;
    case EXPORT_RETRY:
        if (result->answer.status != 0)
            error_set(&error, ERROR_NETWORK, "%s", answer_describe(&result->answer, slot->reason));
        fail(slot, result->answer.status, result->answer.retry_after, &error);
        break;
    }
    exporter_pump(exporter);
}

static void hand_over(struct export_slot *slot, struct buffer *request)
{
    struct exporter *exporter = slot->exporter;
    struct error error;
    enum error_code code = channel_send(&slot->channel, request, &error);
    if (code == ERROR_NONE) {
        slot->state = SLOT_SENDING;
        exporter->counters.requests++;
        if (exporter->outage.failures > 0)
            exporter->outage.probe = slot;
    } else if (code != ERROR_CLOSED) { // closed: stays ready, and goes out on a new connection
        fail(slot, 0, 0, &error);
    }
}

void slot_send(struct export_slot *slot)
{
    struct exporter *exporter = slot->exporter;
    struct buffer request;
    struct error error;
    size_t records = 0;

    slot->is_last_try = exporter->is_draining;
    enum error_code code = request_build(&exporter->form, exporter->store,
                                         batch_present(&slot->batch), &request, &records, &error);
    if (code == ERROR_TOO_LARGE || code == ERROR_INVALID) {
        (void)snprintf(slot->reason, sizeof slot->reason, "not sent: %.180s", error.message);
        refuse(slot);
    } else if (code != ERROR_NONE) {
        fail(slot, 0, 0, &error);
    } else if (records == 0) {
        settle(slot, false);
    } else {
        hand_over(slot, &request);
    }
}

// --- life -------------------------------------------------------------------------------------

enum error_code slot_init(struct export_slot *slot, struct exporter *exporter, duration_ns timeout,
                          struct error *error)
{
    slot->exporter = exporter;
    slot->state = SLOT_IDLE;
    slot->task = (struct engine_task){
        .type = ENGINE_SETTLE_EXPORT, .on_done = on_settle_done, .context = slot};
    slot->settled = (struct net_task){.run = on_settled, .context = slot};
    if (batch_init(&slot->batch, exporter->batch_records_max) != ERROR_NONE)
        return error_set(error, ERROR_MEMORY, "out of memory");
    enum error_code code = channel_init(&slot->channel, exporter->loop, &exporter->endpoint,
                                        timeout, on_result, slot, error);
    slot->channel.tls = exporter->tls;
    return code;
}

void slot_disconnect(struct export_slot *slot)
{
    channel_release(&slot->channel);
}

void slot_release(struct export_slot *slot)
{
    batch_release(&slot->batch);
}
