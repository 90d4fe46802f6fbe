// States round-trip through their encoding, and damaged bytes are detected.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/store/codec.h"

static const struct slice labels[] = {{"self-hosted", 11}, {"", 0}, {"linux", 5}};
static const struct github_step steps[] = {
    {.name = {"Set up job", 10}, .number = 1, .started_at = 5, .completed_at = -7},
    {.name = {"", 0}, .number = INT64_MAX, .status = {"queued", 6}, .conclusion = {"x\0y", 3}},
};

static struct job_state sample_job(void)
{
    return (struct job_state){
        .phase = JOB_SETTLING,
        .seen = 0x0b,
        .run_id = 33714470481,
        .run_attempt = 3,
        .job_id = INT64_MAX,
        .created_at = 1788409017000000000,
        .queued_at = 1,
        .last_queued = 2,
        .last_waiting = 3,
        .last_received = 4,
        .settling_since = 5,
        .body_version = {3, 1788409017000000001, UINT64_MAX},
        .repository = {.full_name = {"octo/hello", 10}, .default_branch = {"main", 4}},
        .body = {.action = GITHUB_JOB_COMPLETED,
                 .name = {"build", 5},
                 .completed_at = 99,
                 .labels = labels,
                 .label_count = 3,
                 .steps = steps,
                 .step_count = 2},
        .runner_version = {2, 8, 9},
        .runner_id = 7,
        .runner_name = {"r", 1},
        .deployment_id = 3192898954,
        .deployment_environment = {"production", 10},
        .deadline = 6,
    };
}

static struct run_state sample_run(void)
{
    return (struct run_state){
        .phase = RUN_OPEN,
        .seen = 5,
        .is_completed = true,
        .run_id = 1,
        .run_attempt = 2,
        .body_version = {1, 2, 3},
        .repository = {.html_url = {"https://x", 9}},
        .body = {.action = GITHUB_RUN_COMPLETED,
                 .run_number = 12,
                 .workflow_name = {"CI", 2},
                 .referenced_workflows = labels,
                 .referenced_workflow_count = 3,
                 .pull_request_number = 4},
        .source_job_id = 9,
        .job_workflow_name = {"CI", 2},
        .open_jobs = 100000,
        .results = {[RUN_RESULT_SUCCESS] = 7, [RUN_RESULT_FAILURE] = 1},
        .root_digest = UINT32_MAX,
        .has_no_body = true,
        .sweep_after = {{1, 2, 3, 4, 5, 6, 7, 8}},
        .deadline = 77,
    };
}

static struct slice encode_job(const struct job_state *state, struct buffer *bytes)
{
    buffer_init(bytes, 1 << 20);
    assert_int_equal(codec_encode_job(state, bytes), ERROR_NONE);
    return buffer_slice(bytes);
}

// Encoding what was decoded gives the same bytes: nothing is lost, if every field is visited at all,
// which the assertions on single fields are for.
static void a_job_round_trips(void **state)
{
    struct job_state job = sample_job();
    struct job_state back;
    struct buffer bytes;
    struct buffer again;
    struct arena arena;
    struct error error = {0};
    (void)state;
    arena_init(&arena, 4096);
    assert_int_equal(codec_decode_job(encode_job(&job, &bytes), &arena, &back, &error), ERROR_NONE);
    assert_true(slice_equals(encode_job(&back, &again), buffer_slice(&bytes)));
    assert_int_equal(back.phase, JOB_SETTLING);
    assert_int_equal(back.seen, 0x0b);
    assert_true(back.job_id == INT64_MAX && back.body.job_id == INT64_MAX);
    assert_true(back.body_version.digest == UINT64_MAX);
    assert_true(back.created_at == job.created_at && back.settling_since == 5);
    assert_int_equal(back.body.label_count, 3);
    assert_true(slice_equals(back.body.labels[2], SLICE("linux")));
    assert_int_equal(back.body.step_count, 2);
    assert_true(back.body.steps[0].completed_at == -7);
    assert_true(back.body.steps[1].number == INT64_MAX);
    assert_int_equal(back.body.steps[1].conclusion.len, 3);
    assert_true(slice_equals(back.deployment_environment, SLICE("production")));
    assert_true(back.deadline == 6 && back.runner_id == 7);
    buffer_release(&bytes);
    buffer_release(&again);
    arena_release(&arena);
}

// It may be sent again, so all of it is needed; of one that was finally sent there is only a note.
static void a_job_that_lacked_data_is_stored_in_full(void **state)
{
    struct job_state job = sample_job();
    struct job_state back;
    struct buffer settling;
    struct buffer lacking;
    struct arena arena;
    struct error error = {0};
    (void)state;
    arena_init(&arena, 4096);
    size_t whole = encode_job(&job, &settling).len;
    job.phase = JOB_CLOSED_LACKING;
    struct slice bytes = encode_job(&job, &lacking);
    assert_int_equal(bytes.len, whole);
    assert_int_equal(codec_decode_job(bytes, &arena, &back, &error), ERROR_NONE);
    assert_int_equal(back.phase, JOB_CLOSED_LACKING);
    assert_true(back.last_queued == 2 && back.last_waiting == 3 && back.body.step_count == 2);
    buffer_release(&settling);
    buffer_release(&lacking);
    arena_release(&arena);
}

static void a_run_round_trips(void **state)
{
    struct run_state run = sample_run();
    struct run_state back;
    struct buffer bytes;
    struct buffer again;
    struct arena arena;
    struct error error = {0};
    (void)state;
    arena_init(&arena, 4096);
    buffer_init(&bytes, 1 << 20);
    buffer_init(&again, 1 << 20);
    assert_int_equal(codec_encode_run(&run, &bytes), ERROR_NONE);
    assert_int_equal(codec_decode_run(buffer_slice(&bytes), &arena, &back, &error), ERROR_NONE);
    assert_int_equal(codec_encode_run(&back, &again), ERROR_NONE);
    assert_true(slice_equals(buffer_slice(&again), buffer_slice(&bytes)));
    assert_true(back.is_completed && back.open_jobs == 100000);
    assert_true(back.results[RUN_RESULT_SUCCESS] == 7 && back.results[RUN_RESULT_FAILURE] == 1);
    assert_true(back.root_digest == UINT32_MAX && back.has_no_body);
    assert_int_equal(back.sweep_after.bytes[7], 8);
    assert_int_equal(back.body.referenced_workflow_count, 3);
    assert_true(back.body.pull_request_number == 4 && back.source_job_id == 9);
    assert_true(slice_equals(back.repository.html_url, SLICE("https://x")));
    buffer_release(&bytes);
    buffer_release(&again);
    arena_release(&arena);
}

static void a_note_of_something_closed_is_small(void **state)
{
    struct job_state job = {.phase = JOB_CLOSED,
                            .run_id = 33714470481,
                            .run_attempt = 1,
                            .job_id = 100520616165,
                            .closed_at = 1788409017000000000,
                            .deadline = 1788409017000000000};
    struct buffer bytes;
    (void)state;
    assert_in_range(encode_job(&job, &bytes).len, 20, 64);
    buffer_release(&bytes);
}

// Each byte in turn is followed as if it were the length of a list: never is more allocated than the bytes can hold.
static void a_length_beyond_the_bytes_is_damage_and_not_allocated(void **state)
{
    static const char lengths[][4] = {"\xfe\x7f", "\xfe\xff\x7a", "\xff\xff\x7f"};
    struct job_state job = sample_job();
    struct job_state back;
    struct buffer bytes, damaged;
    struct arena arena;
    struct error error = {0};
    (void)state;
    arena_init(&arena, 4096);
    struct slice whole = encode_job(&job, &bytes);
    for (size_t at = 2; at < whole.len * 3; at++) {
        const char *length = lengths[at % 3];
        struct slice before = {whole.data, at / 3};
        buffer_init(&damaged, 1 << 20);
        assert_int_equal(buffer_append_slice(&damaged, before), ERROR_NONE);
        assert_int_equal(buffer_append(&damaged, length, strlen(length)), ERROR_NONE);
        assert_int_equal(buffer_append_slice(&damaged, slice_skip(whole, before.len + 1)),
                         ERROR_NONE);
        arena_clear(&arena);
        arena_set_limit(&arena, 64 * 1024);
        assert_int_not_equal(codec_decode_job(buffer_slice(&damaged), &arena, &back, &error),
                             ERROR_MEMORY);
        buffer_release(&damaged);
    }
    arena_release(&arena);
    buffer_release(&bytes);
}

static void bytes_cut_short_or_too_long_are_damage(void **state)
{
    struct job_state job = sample_job();
    struct job_state back;
    struct buffer bytes;
    struct arena arena;
    struct error error = {0};
    (void)state;
    arena_init(&arena, 4096);
    struct slice whole = encode_job(&job, &bytes);
    for (size_t len = 0; len < whole.len; len++) {
        // A copy of the exact size, so that a sanitizer detects a read past its end.
        char *copy = memory_copy_string(whole.data, len);
        assert_int_equal(codec_decode_job((struct slice){copy, len}, &arena, &back, &error),
                         ERROR_CORRUPT);
        memory_free(copy);
    }
    assert_int_equal(buffer_append(&bytes, "x", 1), ERROR_NONE);
    assert_int_equal(codec_decode_job(buffer_slice(&bytes), &arena, &back, &error), ERROR_CORRUPT);
    buffer_release(&bytes);
    arena_release(&arena);
}

static void flipped_bytes_are_refused_or_decoded_within_bounds(void **state)
{
    struct job_state job = sample_job();
    struct job_state back;
    struct run_state run;
    struct buffer bytes;
    struct arena arena;
    struct error error = {0};
    (void)state;
    arena_init(&arena, 4096);
    struct slice whole = encode_job(&job, &bytes);
    for (size_t at = 0; at < whole.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes.data[at] = (char)(bytes.data[at] ^ (1 << bit));
            (void)!codec_decode_job(whole, &arena, &back, &error);
            (void)!codec_decode_run(whole, &arena, &run, &error);
            bytes.data[at] = (char)(bytes.data[at] ^ (1 << bit));
            arena_clear(&arena);
        }
    }
    assert_int_equal(codec_decode_job(whole, &arena, &back, &error), ERROR_NONE);
    buffer_release(&bytes);
    arena_release(&arena);
}

static void kinds_are_distinguished(void **state)
{
    (void)state;
    assert_int_equal(codec_kind_of(SLICE("J\001")), CODEC_JOB);
    assert_int_equal(codec_kind_of(SLICE("R\001")), CODEC_RUN);
    assert_int_equal(codec_kind_of(SLICE("X")), CODEC_UNKNOWN);
    assert_int_equal(codec_kind_of(SLICE("\000")), CODEC_UNKNOWN);
    assert_int_equal(codec_kind_of(SLICE("\312\001")), CODEC_UNKNOWN); // 'J' with the top bit
    assert_int_equal(codec_kind_of(SLICE_EMPTY), CODEC_UNKNOWN);
}

// --- one row for each stored field that a layout added: see store/versions.h ---

static bool job_has_server(const struct job_state *job)
{
    return job->server.len > 0;
}

static bool job_has_counted_result(const struct job_state *job)
{
    return job->counted_result == RUN_RESULT_TIMED_OUT;
}

static bool job_has_assignment(const struct job_state *job)
{
    return job->assigned_at == 1788409020 * NS_PER_SECOND;
}

static bool job_waits_for_arc(const struct job_state *job)
{
    return job->arc_wait_since == 1788409077 * NS_PER_SECOND;
}

static bool job_has_end_when_given_up(const struct job_state *job)
{
    return job->ended_by == 1788409100 * NS_PER_SECOND;
}

static bool run_has_server(const struct run_state *run)
{
    return run->server.len > 0;
}

// Before, there was one: the worst.
static bool run_has_all_results(const struct run_state *run)
{
    return run->results[RUN_RESULT_SUCCESS] == 7 && run->results[RUN_RESULT_FAILURE] == 1;
}

static bool run_has_root_digest(const struct run_state *run)
{
    return run->root_digest == UINT32_MAX;
}

static bool run_has_no_body(const struct run_state *run)
{
    return run->has_no_body;
}

// Is the field as full_job() or full_run() has it? What an older layout lacks must be read as "not known".
static const struct {
    uint8_t since; // layout
    bool (*is_there)(const struct job_state *job);
} job_fields[] = {
    {2, job_has_server},    {2, job_has_counted_result},    {3, job_has_assignment},
    {3, job_waits_for_arc}, {4, job_has_end_when_given_up},
};

static const struct {
    uint8_t since;
    bool (*is_there)(const struct run_state *run);
} run_fields[] = {
    {2, run_has_server},
    {2, run_has_all_results},
    {2, run_has_root_digest},
    {2, run_has_no_body},
};

#define LENGTH(rows) (sizeof(rows) / sizeof *(rows))

static struct job_state full_job(void)
{
    struct job_state job = sample_job();
    job.server = SLICE("x");
    job.counted_result = RUN_RESULT_TIMED_OUT;
    job.assigned_at = 1788409020 * NS_PER_SECOND;
    job.arc_wait_since = 1788409077 * NS_PER_SECOND;
    job.ended_by = 1788409100 * NS_PER_SECOND;
    return job;
}

static struct run_state full_run(void)
{
    struct run_state run = sample_run();
    run.repository.html_url = SLICE_EMPTY;
    run.server = SLICE("x");
    return run;
}

// Writes what a version with this layout wrote, and reads it as this version does.
static struct job_state job_from_layout(uint8_t layout, struct arena *arena)
{
    struct job_state job = full_job();
    struct job_state back;
    struct buffer bytes;
    struct slice kept;
    struct error error = {0};
    buffer_init(&bytes, 1 << 20);
    assert_int_equal(codec_encode_job_as(&job, layout, &bytes), ERROR_NONE);
    assert_int_equal(bytes.data[1], layout);
    assert_true(arena_copy_slice(arena, buffer_slice(&bytes), &kept));
    assert_int_equal(codec_decode_job(kept, arena, &back, &error), ERROR_NONE);
    buffer_release(&bytes);
    return back;
}

static struct run_state run_from_layout(uint8_t layout, struct arena *arena)
{
    struct run_state run = full_run();
    struct run_state back;
    struct buffer bytes;
    struct slice kept;
    struct error error = {0};
    buffer_init(&bytes, 1 << 20);
    assert_int_equal(codec_encode_run_as(&run, layout, &bytes), ERROR_NONE);
    assert_int_equal(bytes.data[1], layout);
    assert_true(arena_copy_slice(arena, buffer_slice(&bytes), &kept));
    assert_int_equal(codec_decode_run(kept, arena, &back, &error), ERROR_NONE);
    buffer_release(&bytes);
    return back;
}

static void fields_that_an_older_layout_lacks_are_unknown_and_the_rest_is_kept(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 4096);
    for (uint8_t layout = STORE_JOB_LAYOUT_OLDEST; layout <= STORE_JOB_LAYOUT; layout++) {
        struct job_state job = job_from_layout(layout, &arena);
        for (size_t i = 0; i < LENGTH(job_fields); i++)
            assert_int_equal(job_fields[i].is_there(&job), layout >= job_fields[i].since);
        assert_true(slice_equals(job.deployment_environment, SLICE("production")));
        assert_true(job.deadline == 6 && job.body.step_count == 2);
    }
    for (uint8_t layout = STORE_RUN_LAYOUT_OLDEST; layout <= STORE_RUN_LAYOUT; layout++) {
        struct run_state run = run_from_layout(layout, &arena);
        for (size_t i = 0; i < LENGTH(run_fields); i++)
            assert_int_equal(run_fields[i].is_there(&run), layout >= run_fields[i].since);
        assert_int_equal(run.results[RUN_RESULT_FAILURE], 1);
        assert_true(run.deadline == 77 && run.source_job_id == 9);
    }
    arena_release(&arena);
}

// A state read from an older layout is written in the newest one and is unchanged then.
static void an_older_layout_is_upgraded_by_being_written(void **state)
{
    struct arena arena;
    struct error error = {0};
    (void)state;
    arena_init(&arena, 4096);
    for (uint8_t layout = STORE_JOB_LAYOUT_OLDEST; layout < STORE_JOB_LAYOUT; layout++) {
        struct job_state job = job_from_layout(layout, &arena);
        struct job_state back;
        struct buffer once, twice;
        struct slice bytes = encode_job(&job, &once);
        assert_int_equal(bytes.data[1], STORE_JOB_LAYOUT);
        assert_int_equal(codec_decode_job(bytes, &arena, &back, &error), ERROR_NONE);
        assert_true(slice_equals(encode_job(&back, &twice), bytes));
        buffer_release(&once);
        buffer_release(&twice);
    }
    arena_release(&arena);
}

// Fails if a layout was raised without a row above.
static void each_layout_has_a_row_for_what_it_added(void **state)
{
    uint8_t newest_job = STORE_JOB_LAYOUT_OLDEST, newest_run = STORE_RUN_LAYOUT_OLDEST;
    (void)state;
    for (size_t i = 0; i < LENGTH(job_fields); i++)
        newest_job = job_fields[i].since > newest_job ? job_fields[i].since : newest_job;
    for (size_t i = 0; i < LENGTH(run_fields); i++)
        newest_run = run_fields[i].since > newest_run ? run_fields[i].since : newest_run;
    assert_int_equal(newest_job, STORE_JOB_LAYOUT);
    assert_int_equal(newest_run, STORE_RUN_LAYOUT);
}

static void in_layout_1_the_server_is_that_of_the_url(void **state)
{
    static const char *const urls[] = {"https://github.com/a/b", "https://GHE.example/a/b", ""};
    static const char *const servers[] = {"", "ghe.example", ""};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct job_state job = sample_job();
        struct job_state read;
        struct buffer bytes;
        struct arena arena;
        struct error error = {0};
        arena_init(&arena, 4096);
        job.repository.html_url = slice_from_string(urls[i]);
        buffer_init(&bytes, 1 << 20);
        assert_int_equal(codec_encode_job_as(&job, 1, &bytes), ERROR_NONE);
        assert_int_equal(codec_decode_job(buffer_slice(&bytes), &arena, &read, &error), ERROR_NONE);
        assert_true(slice_equals(read.server, slice_from_string(servers[i])));
        assert_int_equal(read.is_of_any_server, i == 2);
        assert_true(slice_equals(read.body.name, job.body.name));
        buffer_release(&bytes);
        arena_release(&arena);
    }
}

static void assert_newer_layout(const struct error *error, const char *word, int oldest, int newest)
{
    char words[160];
    assert_true(snprintf(words, sizeof words,
                         "stored %s has layout %d, this ghatrace reads layouts %d to %d: use the "
                         "version that wrote it",
                         word, newest + 1, oldest, newest) > 0);
    assert_non_null(strstr(error->message, words));
}

// The error for an entry of a later version names that as the reason, not damage; entries are written in the newest
// layout only.
static void an_unknown_layout_is_refused_with_a_message(void **state)
{
    struct job_state job = sample_job();
    struct run_state run;
    struct buffer bytes;
    struct arena arena;
    struct error error = {0};
    (void)state;
    arena_init(&arena, 4096);
    struct slice whole = encode_job(&job, &bytes);
    assert_int_equal(bytes.data[1], STORE_JOB_LAYOUT);
    bytes.data[1] = STORE_JOB_LAYOUT + 1;
    assert_int_equal(codec_decode_job(whole, &arena, &job, &error), ERROR_CORRUPT);
    assert_newer_layout(&error, "job", STORE_JOB_LAYOUT_OLDEST, STORE_JOB_LAYOUT);
    bytes.data[0] = CODEC_RUN;
    bytes.data[1] = STORE_RUN_LAYOUT + 1;
    assert_int_equal(codec_decode_run(whole, &arena, &run, &error), ERROR_CORRUPT);
    assert_newer_layout(&error, "run", STORE_RUN_LAYOUT_OLDEST, STORE_RUN_LAYOUT);
    bytes.data[1] = STORE_RUN_LAYOUT_OLDEST - 1;
    assert_int_equal(codec_decode_run(whole, &arena, &run, &error), ERROR_CORRUPT);
    assert_non_null(strstr(error.message, "is damaged"));
    buffer_release(&bytes);
    arena_release(&arena);
}

static void the_note_of_a_run_has_what_late_jobs_and_ends_need(void **state)
{
    uint8_t bytes[STORE_RUN_NOTE_SIZE];
    timestamp_ns at = 1788409017123456789;
    struct run_state run = {.seen = 7,
                            .is_completed = true,
                            .body_version = {1, at + 1, UINT64_C(0x08ffeeddcc) << 24},
                            .body = {.run_started_at = at - 60},
                            .first_job_start = at - 61,
                            .last_job_end = at + 2,
                            .closed_jobs = 100000,
                            .root_digest = UINT32_MAX - 1,
                            .completed_received = at};
    struct run_state back;
    (void)state;
    codec_encode_run_note(&run, bytes);
    codec_decode_run_note(bytes, &back);
    assert_true(back.phase == RUN_SENT && back.is_completed && back.seen == 7 && back.has_no_body);
    assert_memory_equal(&back.body_version.time, &run.body_version.time, sizeof(timestamp_ns));
    assert_true(back.body_version.digest == run.body_version.digest && back.body_version.rank == 1);
    assert_true(back.body.run_started_at == at - 60 && back.body.updated_at == at + 1);
    assert_true(back.first_job_start == at - 61 && back.last_job_end == at + 2);
    assert_true(back.end == at + 2 && back.closed_jobs == 100000);
    assert_true(back.root_digest == UINT32_MAX - 1);
    assert_int_equal(back.completed_received, at - at % NS_PER_SECOND);
}

static void the_note_of_a_job_has_its_end_and_what_it_waited_for(void **state)
{
    uint8_t bytes[STORE_JOB_NOTE_SIZE];
    uint8_t waited[STORE_WAITED_JOB_NOTE_SIZE];
    struct job_state job = {
        .body_version = {GITHUB_JOB_COMPLETED, 1788409017123456789, UINT64_C(0x0302030405) << 24},
        .created_at = 11};
    struct job_state back;
    bool has_waited;
    (void)state;
    codec_encode_job_note(&job, bytes, &has_waited);
    assert_false(has_waited);
    job.last_waiting = 12;
    job.last_queued = 13;
    codec_encode_job_note(&job, bytes, &has_waited);
    codec_encode_waited_job_note(&job, waited);
    assert_true(has_waited);
    codec_decode_job_note(bytes, &back, &has_waited);
    assert_true(has_waited && back.phase == JOB_CLOSED && back.last_waiting == TIMESTAMP_UNKNOWN);
    assert_int_equal(back.counted_result, RUN_RESULT_SUCCESS);
    assert_memory_equal(&back.body_version.time, &job.body_version.time, sizeof(timestamp_ns));
    assert_true(back.body_version.digest == job.body_version.digest);
    codec_decode_waited_job_note(waited, &back);
    assert_true(back.queued_at == 11 && back.last_queued == 13 && back.last_waiting == 12);
    // Payloads from before 2023 have no creation time.
    job = (struct job_state){.queued_at = 14};
    codec_encode_job_note(&job, bytes, &has_waited);
    codec_encode_waited_job_note(&job, waited);
    codec_decode_waited_job_note(waited, &back);
    assert_true(has_waited && back.queued_at == 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_round_trips),
        cmocka_unit_test(a_job_that_lacked_data_is_stored_in_full),
        cmocka_unit_test(a_run_round_trips),
        cmocka_unit_test(a_note_of_something_closed_is_small),
        cmocka_unit_test(a_length_beyond_the_bytes_is_damage_and_not_allocated),
        cmocka_unit_test(bytes_cut_short_or_too_long_are_damage),
        cmocka_unit_test(flipped_bytes_are_refused_or_decoded_within_bounds),
        cmocka_unit_test(kinds_are_distinguished),
        cmocka_unit_test(fields_that_an_older_layout_lacks_are_unknown_and_the_rest_is_kept),
        cmocka_unit_test(an_older_layout_is_upgraded_by_being_written),
        cmocka_unit_test(each_layout_has_a_row_for_what_it_added),
        cmocka_unit_test(in_layout_1_the_server_is_that_of_the_url),
        cmocka_unit_test(an_unknown_layout_is_refused_with_a_message),
        cmocka_unit_test(the_note_of_a_run_has_what_late_jobs_and_ends_need),
        cmocka_unit_test(the_note_of_a_job_has_its_end_and_what_it_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
