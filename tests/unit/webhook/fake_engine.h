// A scripted engine, linked instead of the real one.
#ifndef TEST_INGRESS_FAKE_ENGINE_H
#define TEST_INGRESS_FAKE_ENGINE_H

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "ghatrace/engine/engine.h"

#define FAKE_TASKS_MAX 32

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool holds; // tasks wait for fake_engine_finish(); else done inside the call
    enum engine_outcome outcome;
    bool is_unready;
    const char *export_note;
    struct engine_task *held[FAKE_TASKS_MAX];
    size_t held_count;
    size_t submitted;
    // of the last one
    uint8_t digest[DELIVERY_DIGEST_SIZE];
    uint8_t old_digest[DELIVERY_DIGEST_SIZE];
    timestamp_ns occurred_at, received_at;
    int64_t job_id;
    char job_name[128];
    // of tasks with spans or reports: what becomes of each
    enum forward_outcome forward_outcome;
    enum arc_outcome arc_outcome;
    size_t span_count, report_count; // of the last one
} fake = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void fake_engine_reset(enum engine_outcome outcome, bool holds)
{
    pthread_mutex_lock(&fake.mutex);
    fake.holds = holds;
    fake.outcome = outcome;
    fake.is_unready = false;
    fake.export_note = NULL;
    fake.held_count = 0;
    fake.submitted = 0;
    pthread_mutex_unlock(&fake.mutex);
}

static void fake_note_spans(const struct engine_task *task)
{
    fake.span_count = 0;
    for (size_t i = 0; i < task->scope_count; i++)
        for (size_t k = 0; k < task->scopes[i].span_count; k++) {
            assert_true(task->scopes[i].spans[k].bytes.len > 0);
            if (task->type == ENGINE_FORWARD_SPANS)
                task->forward_outcomes[fake.span_count] = fake.forward_outcome;
            fake.span_count++;
        }
    fake.report_count = task->arc_report_count;
    for (size_t i = 0; i < task->arc_report_count; i++)
        task->arc_outcomes[i] = fake.arc_outcome;
}

// Reads everything that a real engine would, so that sanitizers detect freed memory.
static void fake_note(const struct engine_task *task)
{
    const struct github_event *event = task->event;

    if (event == NULL) {
        fake_note_spans(task);
        return;
    }
    size_t len = event->job.name.len < sizeof fake.job_name - 1 ? event->job.name.len
                                                                : sizeof fake.job_name - 1;

    memcpy(fake.digest, task->delivery_digest, sizeof fake.digest);
    memcpy(fake.old_digest, task->old_digest, sizeof fake.old_digest);
    fake.occurred_at = task->occurred_at;
    fake.received_at = task->received_at;
    fake.job_id = event->job.job_id;
    memcpy(fake.job_name, event->job.name.data, len);
    fake.job_name[len] = '\0';
}

void engine_submit(struct engine *engine, struct engine_task *task)
{
    (void)engine;
    pthread_mutex_lock(&fake.mutex);
    bool is_held = fake.holds && fake.held_count < FAKE_TASKS_MAX;
    fake_note(task);
    fake.submitted++;
    if (is_held)
        fake.held[fake.held_count++] = task;
    task->outcome = fake.outcome;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.mutex);
    if (!is_held)
        task->on_done(task);
}

// Waits until this many tasks were submitted in total.
static inline void fake_engine_wait_for(size_t count)
{
    pthread_mutex_lock(&fake.mutex);
    while (fake.submitted < count)
        pthread_cond_wait(&fake.changed, &fake.mutex);
    pthread_mutex_unlock(&fake.mutex);
}

// Ends the oldest task that is held, in the caller's thread.
static inline void fake_engine_finish(enum engine_outcome outcome)
{
    pthread_mutex_lock(&fake.mutex);
    struct engine_task *task = fake.held[0];
    memmove(fake.held, fake.held + 1, (FAKE_TASKS_MAX - 1) * sizeof fake.held[0]);
    fake.held_count--;
    fake_note(task); // must still be valid
    task->outcome = outcome;
    pthread_mutex_unlock(&fake.mutex);
    task->on_done(task);
}

enum error_code engine_ready(struct engine *engine, struct error *error)
{
    (void)engine;
    pthread_mutex_lock(&fake.mutex);
    bool is_unready = fake.is_unready;
    pthread_mutex_unlock(&fake.mutex);
    return is_unready ? error_set(error, ERROR_FULL, "store: 95%% of \"db\" used") : ERROR_NONE;
}

const char *engine_export_note(const struct engine *engine)
{
    (void)engine;
    pthread_mutex_lock(&fake.mutex);
    const char *note = fake.export_note;
    pthread_mutex_unlock(&fake.mutex);
    return note;
}

#endif
