// Events of one run in any order and any repetition: the same state. Each event is EVENT_SIZE bytes.
#include <string.h>

#include "fuzz.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/merge.h"

#define EVENT_SIZE 12
#define EVENTS_MAX 8
#define JOBS 3 // the last "job" is the run itself

struct told {
    struct github_event event;
    timestamp_ns occurred_at;
    uint64_t digest;
};

struct known {
    struct run_state run;
    struct job_state jobs[JOBS - 1];
};

static struct slice word(uint8_t byte)
{
    static const struct slice words[] = {{NULL, 0}, {"a", 1}, {"b", 1}, {"action_required", 15}};
    return words[byte % 4];
}

static timestamp_ns moment(uint8_t byte)
{
    return byte * NS_PER_SECOND; // 0: not known
}

static struct github_job read_job(const uint8_t *bytes)
{
    return (struct github_job){
        .job_id = 1 + bytes[0] % JOBS,
        .run_id = 7,
        .run_attempt = 1,
        .action = bytes[1] % 4,
        .created_at = moment(bytes[2]),
        .started_at = moment(bytes[3]),
        .completed_at = moment(bytes[4]),
        .workflow_name = word(bytes[5]),
        .head_branch = word(bytes[5] / 4),
        .head_sha = word(bytes[5] / 16),
        .conclusion = word(bytes[6]),
        .runner_id = bytes[7] % 4,
        .runner_name = word(bytes[7] / 4),
        .deployment_id = bytes[8] % 4,
        .deployment_environment = word(bytes[8] / 4),
    };
}

static struct github_run read_run(const uint8_t *bytes)
{
    return (struct github_run){
        .run_id = 7,
        .run_attempt = 1,
        .action = bytes[1] % 3,
        .updated_at = moment(bytes[2]),
        .run_started_at = moment(bytes[3]),
        .workflow_name = word(bytes[5]),
        .conclusion = word(bytes[6]),
    };
}

static void read_event(const uint8_t *bytes, struct told *told)
{
    struct github_event *event = &told->event;
    memset(told, 0, sizeof *told);
    event->repository.full_name = word(bytes[9]);
    event->repository.service_name = word(bytes[9] / 4);
    event->kind = bytes[0] % JOBS == JOBS - 1 ? GITHUB_EVENT_RUN : GITHUB_EVENT_JOB;
    if (event->kind == GITHUB_EVENT_RUN)
        event->run = read_run(bytes);
    else
        event->job = read_job(bytes);
    told->occurred_at = moment(bytes[10]);
    // As real ones do, it differs where bodies differ.
    for (size_t i = 0; i < 10; i++)
        told->digest = told->digest * 251 + bytes[i];
}

static void tell(struct known *known, const struct told *told)
{
    if (told->event.kind == GITHUB_EVENT_RUN) {
        merge_run_event(&known->run, &told->event, told->digest);
        return;
    }
    merge_job_event(&known->jobs[told->event.job.job_id - 1], &told->event, told->occurred_at,
                    told->digest);
    merge_run_from_job(&known->run, &told->event);
}

static void encode(const struct known *known, struct buffer *out)
{
    buffer_clear(out);
    MUST(codec_encode_run(&known->run, out) == ERROR_NONE);
    for (size_t i = 0; i < JOBS - 1; i++)
        MUST(codec_encode_job(&known->jobs[i], out) == ERROR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told told[EVENTS_MAX];
    struct known forth = {0};
    struct buffer expected;
    struct buffer found;
    size_t count = size / EVENT_SIZE;
    if (count > EVENTS_MAX)
        count = EVENTS_MAX;
    buffer_init(&expected, 1 << 20);
    buffer_init(&found, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        read_event(data + i * EVENT_SIZE, &told[i]);
        tell(&forth, &told[i]);
    }
    encode(&forth, &expected);
    for (size_t first = 0; first < count; first++) {
        struct known back = {0};
        for (size_t i = count; i-- > 0;)
            tell(&back, &told[(first + i) % count]);
        tell(&back, &told[first]);
        encode(&back, &found);
        MUST(slice_equals(buffer_slice(&expected), buffer_slice(&found)));
    }
    buffer_release(&expected);
    buffer_release(&found);
    return 0;
}
