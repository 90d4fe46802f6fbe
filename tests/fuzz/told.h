// Events made of a fuzzer's bytes, without the detour of JSON: one run, its jobs, few words, times of
// some seconds, so that what matters about their order is soon met.
#ifndef GHATRACE_TESTS_FUZZ_TOLD_H
#define GHATRACE_TESTS_FUZZ_TOLD_H

#include <string.h>

#include "../../src/trace/merge.h"
#include "fuzz.h"
#include "ghatrace/github/event.h"

#define TOLD_SIZE 14 // bytes of one event
#define TOLD_JOBS 2  // their ids are 1 and 2
#define TOLD_STEPS 3
#define TOLD_LATEST (255 * NS_PER_SECOND)

struct told {
    struct github_event event;
    struct github_step steps[TOLD_STEPS];
    timestamp_ns occurred_at;
    duration_ns later; // than the event before, by receipt
    uint64_t digest;
};

static inline struct slice told_word(uint8_t byte)
{
    static const struct slice words[] = {{NULL, 0}, {"a", 1}, {"b", 1}, {"action_required", 15}};
    return words[byte % 4];
}

static inline struct slice told_conclusion(uint8_t byte)
{
    static const struct slice words[] = {{NULL, 0},      {"success", 7},          {"failure", 7},
                                         {"skipped", 7}, {"action_required", 15}, {"cancelled", 9}};
    return words[byte % 6];
}

static inline timestamp_ns told_time(uint8_t byte)
{
    return byte * NS_PER_SECOND; // 0: not known
}

// The first prepares the runner, and so may the second. The third overlaps them. Any may be open, and the list may be turned
// round.
static inline void told_steps(const uint8_t *bytes, struct told *told)
{
    struct slice second = bytes[8] / 128 == 0 ? SLICE("make") : SLICE("Initialize containers");
    const struct github_step steps[TOLD_STEPS] = {
        {.name = SLICE("Set up job"),
         .number = 1,
         .started_at = told_time(bytes[3]),
         .completed_at = told_time(bytes[12])},
        {.name = second,
         .number = 2,
         .conclusion = told_conclusion(bytes[6]),
         .started_at = told_time(bytes[12]),
         .completed_at = told_time(bytes[13])},
        {.name = SLICE("make"),
         .number = 3,
         .conclusion = told_conclusion(bytes[13]),
         .started_at = told_time(bytes[13]),
         .completed_at = told_time(bytes[4])},
    };
    size_t count = told->event.job.step_count;
    for (size_t i = 0; i < count; i++)
        told->steps[bytes[8] / 64 % 2 == 0 ? i : count - 1 - i] = steps[i];
    told->event.job.steps = told->steps;
}

static inline void told_job(const uint8_t *bytes, struct told *told)
{
    told->event.job = (struct github_job){
        .job_id = 1 + bytes[0] % (TOLD_JOBS + 1),
        .run_id = 7,
        .run_attempt = 1,
        .action = bytes[1] % 4,
        .created_at = told_time(bytes[2]),
        .started_at = told_time(bytes[3]),
        .completed_at = told_time(bytes[4]),
        .workflow_name = told_word(bytes[5]),
        .head_branch = told_word(bytes[5] / 4),
        .head_sha = told_word(bytes[5] / 16),
        .conclusion = told_conclusion(bytes[6]),
        .runner_id = bytes[7] % 4,
        .runner_name = told_word(bytes[7] / 4),
        .deployment_id = bytes[8] % 4,
        .deployment_environment = told_word(bytes[8] / 4),
        .step_count = bytes[8] / 16 % (TOLD_STEPS + 1),
    };
    told_steps(bytes, told);
}

static inline void told_run(const uint8_t *bytes, struct told *told)
{
    told->event.run = (struct github_run){
        .run_id = 7,
        .run_attempt = 1,
        .action = bytes[1] % 3,
        .updated_at = told_time(bytes[2]),
        .run_started_at = told_time(bytes[3]),
        .workflow_name = told_word(bytes[5]),
        .conclusion = told_conclusion(bytes[6]),
    };
}

static inline void told_read(const uint8_t *bytes, struct told *told)
{
    struct github_event *event = &told->event;
    memset(told, 0, sizeof *told);
    event->kind = bytes[0] % (TOLD_JOBS + 1) == TOLD_JOBS ? GITHUB_EVENT_RUN : GITHUB_EVENT_JOB;
    if (event->kind == GITHUB_EVENT_RUN)
        told_run(bytes, told);
    else
        told_job(bytes, told);
    event->repository.full_name = told_word(bytes[9]);
    event->repository.service_name = told_word(bytes[9] / 4);
    told->occurred_at = told_time(bytes[10]);
    told->later = told_time(bytes[11]);
    told->digest = merge_digest_of_event(event);
}

#endif
