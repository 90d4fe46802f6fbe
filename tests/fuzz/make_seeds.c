// Writes the seeds that are not text: records and states, as today's code writes them. `make fuzz-seeds`.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "fuzz.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/merge.h"
#include "support/otlp_sample.h"
#include "support/scenario.h"

#define SEEDS "tests/fuzz/seeds/"

static void write_seed(const char *path, struct buffer *bytes)
{
    FILE *file = fopen(path, "wb");
    MUST(file != NULL);
    MUST(fwrite(bytes->data, 1, bytes->len, file) == bytes->len);
    MUST(fclose(file) == 0);
    buffer_clear(bytes);
}

static void write_record(struct buffer *bytes)
{
    struct span_batch batch;
    struct error error = {0};
    const char *const paths[] = {SEEDS "otlp_json/sample", SEEDS "otlp_decode/sample"};
    otlp_sample_batch(&batch);
    for (size_t i = 0; i < 2; i++) {
        MUST(otlp_encode_batch(&batch, bytes, &error) == ERROR_NONE);
        write_seed(paths[i], bytes);
    }
}

static void write_job(struct buffer *bytes)
{
    const struct github_step steps[] = {
        scenario_step(1, "Set up job", 6, 9, "success"),
        scenario_step(2, "make", 9, -1, ""),
    };
    struct scenario_delivery delivery = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1);
    struct job_state job = {.phase = JOB_OPEN};
    scenario_set_steps(&delivery, steps, 2);
    scenario_set_deployment(&delivery, 4, "prod");
    merge_job_event(&job, &delivery.event, delivery.guid_time, 5);
    MUST(codec_encode_job(&job, bytes) == ERROR_NONE);
    write_seed(SEEDS "stored_state/job", bytes);

    job = (struct job_state){.phase = JOB_CLOSED, .run_id = 1, .run_attempt = 1, .job_id = 2};
    MUST(codec_encode_job(&job, bytes) == ERROR_NONE);
    write_seed(SEEDS "stored_state/note", bytes);
}

static void write_run(struct buffer *bytes)
{
    struct scenario_delivery delivery = scenario_run(GITHUB_RUN_IN_PROGRESS, 3, "");
    struct scenario_delivery of_job = scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
    struct run_state run = {.phase = RUN_OPEN, .open_jobs = 1};
    merge_run_event(&run, &delivery.event, 7);
    merge_run_from_job(&run, &of_job.event);
    MUST(codec_encode_run(&run, bytes) == ERROR_NONE);
    write_seed(SEEDS "stored_state/run", bytes);
}

int main(void)
{
    struct buffer bytes;
    buffer_init(&bytes, 1 << 20);
    write_record(&bytes);
    write_job(&bytes);
    write_run(&bytes);
    buffer_release(&bytes);
    return 0;
}
