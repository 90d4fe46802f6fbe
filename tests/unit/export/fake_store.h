// A store and an engine for tests, in memory, with faults. Defines the functions of both that the
// exporter calls, so that the real ones are not linked.
#ifndef TEST_EXPORT_FAKE_STORE_H
#define TEST_EXPORT_FAKE_STORE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/engine/engine.h"
#include "ghatrace/store/store.h"

#define FAKE_RECORDS_MAX 4096

struct fake_record {
    char body[64]; // a ResourceSpans element whose schema URL is "record-N;"
    size_t len;
    bool in_outbox, is_dead, is_quarantined, has_no_body, is_forwarded;
    char reason[256];
    unsigned settles; // times removed from the outbox
};

// One store with one engine; tests run one after another.
static struct fake {
    pthread_mutex_t mutex; // guards everything; `changed` wakes the engine
    pthread_cond_t changed;
    struct fake_record records[FAKE_RECORDS_MAX]; // by sequence
    uint64_t last;
    unsigned open_transactions;
    // faults, so many times
    unsigned begin_failures, read_failures, settle_failures;
    enum engine_outcome settle_failure;
    bool refuses_at_once; // settle failures are reported inside engine_submit()
    bool is_paused;       // the engine processes nothing
    // engine
    pthread_t thread;
    bool is_stopping;
    STAILQ_HEAD(, engine_task) tasks;
} fake = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline uint64_t fake_add(void)
{
    pthread_mutex_lock(&fake.mutex);
    uint64_t sequence = ++fake.last;
    struct fake_record *record = &fake.records[sequence];
    int len = snprintf(record->body + 4, sizeof record->body - 4, "record-%llu;",
                       (unsigned long long)sequence);
    record->body[0] = 0x0a; // resource_spans
    record->body[1] = (char)(len + 2);
    record->body[2] = 0x1a; // schema_url
    record->body[3] = (char)len;
    record->len = (size_t)len + 4;
    record->in_outbox = true;
    pthread_mutex_unlock(&fake.mutex);
    return sequence;
}

// Of another program's spans.
static inline uint64_t fake_add_forwarded(void)
{
    uint64_t sequence = fake_add();
    pthread_mutex_lock(&fake.mutex);
    fake.records[sequence].is_forwarded = true;
    pthread_mutex_unlock(&fake.mutex);
    return sequence;
}

static inline void fake_add_many(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        fake_add();
}

static inline unsigned fake_count(bool (*is_counted)(const struct fake_record *record))
{
    unsigned count = 0;
    pthread_mutex_lock(&fake.mutex);
    for (uint64_t i = 1; i <= fake.last; i++)
        count += is_counted(&fake.records[i]);
    pthread_mutex_unlock(&fake.mutex);
    return count;
}

static inline bool fake_is_in_outbox(const struct fake_record *record)
{
    return record->in_outbox;
}

static inline bool fake_is_forwarded(const struct fake_record *record)
{
    return record->in_outbox && record->is_forwarded;
}

static inline bool fake_is_dead(const struct fake_record *record)
{
    return record->is_dead;
}

// --- store ------------------------------------------------------------------------------------

// The snapshot of a real transaction is left out: each call is one step under the mutex.
struct store_transaction {
    bool is_open;
};

static struct store_transaction fake_transaction;

static inline bool fake_is_due(unsigned *failures)
{
    pthread_mutex_lock(&fake.mutex);
    bool is_due = *failures > 0;
    if (is_due)
        (*failures)--;
    pthread_mutex_unlock(&fake.mutex);
    return is_due;
}

enum error_code store_begin(struct store *store, bool is_write,
                            struct store_transaction **transaction, struct error *error)
{
    (void)store;
    if (is_write || fake.open_transactions > 0)
        abort();
    if (fake_is_due(&fake.begin_failures))
        return error_set(error, ERROR_FULL, "store: reader table is full");
    fake.open_transactions++;
    *transaction = &fake_transaction;
    return ERROR_NONE;
}

void store_abort(struct store_transaction *transaction)
{
    (void)transaction;
    fake.open_transactions--;
}

static inline enum error_code fake_seek(bool own, bool forwarded, uint64_t *sequence,
                                        uint32_t *size, struct error *error)
{
    enum error_code code = ERROR_NOT_FOUND;
    if (fake_is_due(&fake.read_failures))
        return error_set(error, ERROR_IO, "store: read failed");
    pthread_mutex_lock(&fake.mutex);
    for (uint64_t i = *sequence; i <= fake.last && code != ERROR_NONE; i++) {
        if (fake.records[i].in_outbox && (fake.records[i].is_forwarded ? forwarded : own)) {
            *sequence = i;
            *size = (uint32_t)fake.records[i].len;
            code = ERROR_NONE;
        }
    }
    pthread_mutex_unlock(&fake.mutex);
    return code;
}

enum error_code store_seek_outbox(struct store_transaction *transaction, uint64_t *sequence,
                                  uint32_t *size, struct error *error)
{
    (void)transaction;
    return fake_seek(true, true, sequence, size, error);
}

enum error_code store_seek_own(struct store_transaction *transaction, uint64_t *sequence,
                               uint32_t *size, struct error *error)
{
    (void)transaction;
    return fake_seek(true, false, sequence, size, error);
}

enum error_code store_seek_forwarded(struct store_transaction *transaction, uint64_t *sequence,
                                     uint32_t *size, struct error *error)
{
    bool is_any = false;
    (void)transaction;
    pthread_mutex_lock(&fake.mutex);
    for (uint64_t i = *sequence; i <= fake.last && !is_any; i++)
        is_any = fake.records[i].in_outbox && fake.records[i].is_forwarded;
    pthread_mutex_unlock(&fake.mutex);
    return is_any ? fake_seek(false, true, sequence, size, error) : ERROR_NOT_FOUND;
}

enum error_code store_get_record(struct store_transaction *transaction, uint64_t sequence,
                                 struct store_record *record, struct error *error)
{
    struct fake_record *found = &fake.records[sequence];
    (void)transaction;
    if (fake_is_due(&fake.read_failures))
        return error_set(error, ERROR_IO, "store: read failed");
    if (found->has_no_body)
        return ERROR_NOT_FOUND;
    *record = (struct store_record){.sequence = sequence,
                                    .body = {.data = found->body, .len = found->len}};
    return ERROR_NONE;
}

enum error_code store_newest_record(struct store_transaction *transaction,
                                    const struct store_key *key, uint64_t *sequence,
                                    struct error *error)
{
    (void)transaction;
    (void)key;
    (void)sequence;
    (void)error;
    return ERROR_NOT_FOUND;
}

enum error_code store_seek_quarantined(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_quarantined *quarantined, struct error *error)
{
    (void)transaction;
    (void)error;
    for (uint64_t i = *sequence; i <= fake.last; i++) {
        if (fake.records[i].in_outbox && fake.records[i].is_quarantined) {
            *sequence = i;
            *quarantined =
                (struct store_quarantined){.sequence = i, .size = (uint32_t)fake.records[i].len};
            return ERROR_NONE;
        }
    }
    return ERROR_NOT_FOUND;
}

void store_read_usage(struct store_transaction *transaction, struct store_usage *usage)
{
    (void)transaction;
    *usage = (struct store_usage){.outbox_records = fake_count(fake_is_in_outbox),
                                  .forwarded_records = fake_count(fake_is_forwarded)};
}

// --- engine -----------------------------------------------------------------------------------

static inline void fake_settle(struct engine_task *task)
{
    for (size_t i = 0; i < task->sequence_count; i++) {
        struct fake_record *record = &fake.records[task->sequences[i]];
        if (task->is_quarantined) {
            record->is_quarantined = true;
            continue;
        }
        record->settles += record->in_outbox;
        record->in_outbox = false;
        record->is_dead = task->is_dead;
        if (task->is_dead)
            snprintf(record->reason, sizeof record->reason, "%s", task->reason);
    }
}

// With the mutex held.
static inline void fake_decide(struct engine_task *task)
{
    if (task->type != ENGINE_SETTLE_EXPORT || task->sequence_count == 0)
        abort();
    task->outcome = ENGINE_ACCEPTED;
    if (fake.settle_failures > 0) {
        fake.settle_failures--;
        task->outcome = fake.settle_failure;
        error_set(&task->error, ERROR_IO, "store: commit failed");
    } else {
        fake_settle(task);
    }
}

static inline void *fake_run_engine(void *context)
{
    (void)context;
    pthread_mutex_lock(&fake.mutex);
    for (;;) {
        while ((STAILQ_EMPTY(&fake.tasks) || fake.is_paused) && !fake.is_stopping)
            pthread_cond_wait(&fake.changed, &fake.mutex);
        struct engine_task *task = STAILQ_FIRST(&fake.tasks);
        if (task == NULL)
            break;
        STAILQ_REMOVE_HEAD(&fake.tasks, next);
        fake_decide(task);
        pthread_mutex_unlock(&fake.mutex);
        task->on_done(task);
        pthread_mutex_lock(&fake.mutex);
    }
    pthread_mutex_unlock(&fake.mutex);
    return NULL;
}

void engine_submit(struct engine *engine, struct engine_task *task)
{
    (void)engine;
    pthread_mutex_lock(&fake.mutex);
    bool is_refused = fake.is_stopping || (fake.refuses_at_once && fake.settle_failures > 0);
    if (is_refused) {
        fake.settle_failures -= fake.settle_failures > 0;
        task->outcome = ENGINE_FULL;
        task->error.message[0] = '\0';
    } else {
        STAILQ_INSERT_TAIL(&fake.tasks, task, next);
        pthread_cond_signal(&fake.changed);
    }
    pthread_mutex_unlock(&fake.mutex);
    if (is_refused)
        task->on_done(task);
}

static const char *fake_export_note;

void engine_note_export(struct engine *engine, const char *words)
{
    (void)engine;
    fake_export_note = words;
}

static inline void fake_start(void)
{
    memset(fake.records, 0, sizeof fake.records);
    fake.last = 0;
    fake_export_note = NULL;
    fake.begin_failures = fake.read_failures = fake.settle_failures = 0;
    fake.settle_failure = ENGINE_FAILED;
    fake.refuses_at_once = fake.is_paused = fake.is_stopping = false;
    STAILQ_INIT(&fake.tasks);
    pthread_create(&fake.thread, NULL, fake_run_engine, NULL);
}

static inline void fake_stop(void)
{
    pthread_mutex_lock(&fake.mutex);
    fake.is_stopping = true;
    fake.is_paused = false;
    pthread_cond_signal(&fake.changed);
    pthread_mutex_unlock(&fake.mutex);
    pthread_join(fake.thread, NULL);
}

#endif
