// States as a damaged store might return them: refused, or as valid as those that were written.
#include "fuzz.h"
#include "ghatrace/store/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = fuzz_slice(data, size);
    struct arena arena;
    struct job_state job;
    struct run_state run;
    struct buffer first;
    struct buffer second;
    struct error error = {0};
    arena_init(&arena, 1024);
    buffer_init(&first, 1 << 26);
    buffer_init(&second, 1 << 26);
    if (codec_decode_job(bytes, &arena, &job, &error) == ERROR_NONE) {
        MUST(codec_encode_job(&job, &first) == ERROR_NONE);
        MUST(codec_decode_job(buffer_slice(&first), &arena, &job, &error) == ERROR_NONE);
        MUST(codec_encode_job(&job, &second) == ERROR_NONE);
    } else if (codec_decode_run(bytes, &arena, &run, &error) == ERROR_NONE) {
        MUST(codec_encode_run(&run, &first) == ERROR_NONE);
        MUST(codec_decode_run(buffer_slice(&first), &arena, &run, &error) == ERROR_NONE);
        MUST(codec_encode_run(&run, &second) == ERROR_NONE);
    }
    MUST(slice_equals(buffer_slice(&first), buffer_slice(&second)));
    buffer_release(&first);
    buffer_release(&second);
    arena_release(&arena);
    return 0;
}
