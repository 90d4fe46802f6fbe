// Events made of a fuzzer's bytes, without JSON in between: one run, its jobs, few names, times of some seconds, so
// that the orders that matter are found soon.
#ifndef GHATRACE_TESTS_FUZZ_EVENT_INPUT_H
#define GHATRACE_TESTS_FUZZ_EVENT_INPUT_H

#include <string.h>

#include "fuzz.h"
#include "ghatrace/github/event.h"
#include "ghatrace/trace/merge.h"

#define INPUT_SIZE 14 // bytes of one event
#define INPUT_JOBS 2  // their ids are 1 and 2
#define INPUT_STEPS 3
#define INPUT_LATEST (255 * NS_PER_SECOND)

struct event_input {
    struct github_event event;
    struct github_step steps[INPUT_STEPS];
    timestamp_ns occurred_at;
    duration_ns later; // than the event before, by receipt
    uint64_t digest;
};

static inline struct slice input_word(uint8_t byte)
{
    static const struct slice words[] = {{NULL, 0}, {"a", 1}, {"b", 1}, {"action_required", 15}};
    return words[byte % 4];
}

static inline struct slice input_conclusion(uint8_t byte)
{
    static const struct slice words[] = {{NULL, 0},      {"success", 7},          {"failure", 7},
                                         {"skipped", 7}, {"action_required", 15}, {"cancelled", 9}};
    return words[byte % 6];
}

static inline timestamp_ns input_time(uint8_t byte)
{
    return byte * NS_PER_SECOND; // 0: not known
}

// The first step prepares the runner, and so may the second. The third overlaps them. Any may be open, and the list
// may be in reverse order.
static inline void input_steps(const uint8_t *bytes, struct event_input *input)
{
    struct slice second = bytes[8] / 128 == 0 ? SLICE("make") : SLICE("Initialize containers");
    const struct github_step steps[INPUT_STEPS] = {
        {.name = SLICE("Set up job"),
         .number = 1,
         .started_at = input_time(bytes[3]),
         .completed_at = input_time(bytes[12])},
        {.name = second,
         .number = 2,
         .conclusion = input_conclusion(bytes[6]),
         .started_at = input_time(bytes[12]),
         .completed_at = input_time(bytes[13])},
        {.name = SLICE("make"),
         .number = 3,
         .conclusion = input_conclusion(bytes[13]),
         .started_at = input_time(bytes[13]),
         .completed_at = input_time(bytes[4])},
    };
    size_t count = input->event.job.step_count;
    for (size_t i = 0; i < count; i++)
        input->steps[bytes[8] / 64 % 2 == 0 ? i : count - 1 - i] = steps[i];
    input->event.job.steps = input->steps;
}

static inline void input_job(const uint8_t *bytes, struct event_input *input)
{
    input->event.job = (struct github_job){
        .job_id = 1 + bytes[0] % (INPUT_JOBS + 1),
        .run_id = 7,
        .run_attempt = 1,
        .action = bytes[1] % 4,
        .created_at = input_time(bytes[2]),
        .started_at = input_time(bytes[3]),
        .completed_at = input_time(bytes[4]),
        .workflow_name = input_word(bytes[5]),
        .head_branch = input_word(bytes[5] / 4),
        .head_sha = input_word(bytes[5] / 16),
        .conclusion = input_conclusion(bytes[6]),
        .runner_id = bytes[7] % 4,
        .runner_name = input_word(bytes[7] / 4),
        .deployment_id = bytes[8] % 4,
        .deployment_environment = input_word(bytes[8] / 4),
        .step_count = bytes[8] / 16 % (INPUT_STEPS + 1),
    };
    input_steps(bytes, input);
}

static inline void input_run(const uint8_t *bytes, struct event_input *input)
{
    input->event.run = (struct github_run){
        .run_id = 7,
        .run_attempt = 1,
        .action = bytes[1] % 3,
        .updated_at = input_time(bytes[2]),
        .run_started_at = input_time(bytes[3]),
        .workflow_name = input_word(bytes[5]),
        .conclusion = input_conclusion(bytes[6]),
    };
}

static inline void input_read(const uint8_t *bytes, struct event_input *input)
{
    struct github_event *event = &input->event;
    memset(input, 0, sizeof *input);
    event->kind = bytes[0] % (INPUT_JOBS + 1) == INPUT_JOBS ? GITHUB_EVENT_RUN : GITHUB_EVENT_JOB;
    if (event->kind == GITHUB_EVENT_RUN)
        input_run(bytes, input);
    else
        input_job(bytes, input);
    event->repository.full_name = input_word(bytes[9]);
    event->repository.service_name = input_word(bytes[9] / 4);
    input->occurred_at = input_time(bytes[10]);
    input->later = input_time(bytes[11]);
    input->digest =
        event->kind == GITHUB_EVENT_JOB ? merge_digest_of_job(event) : merge_digest_of_run(event);
}

#endif
