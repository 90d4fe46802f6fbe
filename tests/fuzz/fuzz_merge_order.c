// Events of one run in any order and any repetition: the same state.
#include "event_input.h"
#include "fuzz.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/merge.h"

#define EVENTS_MAX 8

struct known {
    struct run_state run;
    struct job_state jobs[INPUT_JOBS];
};

static void merge(struct known *known, const struct event_input *input)
{
    if (input->event.kind == GITHUB_EVENT_RUN) {
        merge_run_event(&known->run, &input->event, input->digest);
        return;
    }
    merge_job_event(&known->jobs[input->event.job.job_id - 1], &input->event, input->occurred_at,
                    input->digest);
    merge_run_from_job(&known->run, &input->event);
}

static void encode(const struct known *known, struct buffer *out)
{
    buffer_clear(out);
    MUST(codec_encode_run(&known->run, out) == ERROR_NONE);
    for (size_t i = 0; i < INPUT_JOBS; i++)
        MUST(codec_encode_job(&known->jobs[i], out) == ERROR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_input inputs[EVENTS_MAX];
    struct known forth = {0};
    struct buffer expected;
    struct buffer found;
    size_t count = size / INPUT_SIZE;
    if (count > EVENTS_MAX)
        count = EVENTS_MAX;
    buffer_init(&expected, 1 << 20);
    buffer_init(&found, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        input_read(data + i * INPUT_SIZE, &inputs[i]);
        merge(&forth, &inputs[i]);
    }
    encode(&forth, &expected);
    for (size_t first = 0; first < count; first++) {
        struct known back = {0};
        for (size_t i = count; i-- > 0;)
            merge(&back, &inputs[(first + i) % count]);
        merge(&back, &inputs[first]);
        encode(&back, &found);
        MUST(slice_equals(buffer_slice(&expected), buffer_slice(&found)));
    }
    buffer_release(&expected);
    buffer_release(&found);
    return 0;
}
