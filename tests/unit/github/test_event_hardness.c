// Robustness: memory refused at any allocation, and payloads damaged at random.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "decoding.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"

static const struct {
    const char *type;
    const char *path;
} payloads[] = {
    {"workflow_job", FIXTURES "workflow_job.completed.json"},
    {"workflow_job", FIXTURES "workflow_job.in_progress.json"},
    {"workflow_job", FIXTURES "workflow_job.waiting.json"},
    {"workflow_job", FIXTURES "workflow_job.completed.check_run.json"},
    {"workflow_run", FIXTURES "workflow_run.completed.json"},
    {"workflow_run", FIXTURES "workflow_run.completed.startup_failure.json"},
    {"ping", FIXTURES "ping.repository.json"},
};

// Decodes with the allocation after `skip` others failing; true if it got that far.
static bool fails_at(const char *type, struct slice body, long skip)
{
    struct arena arena;
    struct github_event event;
    struct error error = {.code = ERROR_NONE};

    arena_init(&arena, 64); // so small that nearly everything is an allocation of its own
    memory_fail_after(skip);
    enum error_code code =
        github_event_decode(slice_from_string(type), body, &arena, &event, &error);
    bool reached = memory_count_allocations() > skip;
    memory_fail_after(-1);
    if (reached) {
        assert_int_equal(code, ERROR_MEMORY);
        assert_int_equal(error.code, ERROR_MEMORY);
    } else
        assert_int_equal(code, ERROR_NONE);
    arena_release(&arena);
    return reached;
}

static void each_allocation_may_fail_and_only_causes_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(payloads); i++) {
        struct slice body = fixture_read(payloads[i].path);
        long count = 0;
        while (fails_at(payloads[i].type, body, count))
            count++;
        assert_true(count > 0);
        fixture_free(body);
    }
}

static void memory_refused_for_unsorted_steps_and_escapes_is_an_error(void **state)
{
    (void)state;
    struct slice whole = fixture_read(FIXTURES "workflow_job.completed.json");
    struct slice unsorted = fixture_replace(whole, "\"number\": 1,", "\"number\": 99,");
    struct slice escaped = fixture_replace(unsorted, "\"name\"", "\"n\\u0061me\"");
    struct slice body = fixture_replace(escaped, "build / linux", "build\\/\\u00e9\\ud83d\\udea2");
    long plain = 0;
    while (fails_at("workflow_job", whole, plain))
        plain++;
    long count = 0;
    while (fails_at("workflow_job", body, count))
        count++;
    assert_true(count > plain);
    fixture_free(whole);
    fixture_free(unsorted);
    fixture_free(escaped);
    fixture_free(body);
}

// xorshift64: the same damage in every run.
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void assert_clean(struct slice text)
{
    assert_true(text.len == 0 || text.data != NULL);
    assert_true(utf8_is_valid(text));
    assert_true(text.len == 0 || memchr(text.data, '\0', text.len) == NULL);
}

static void assert_job_is_sound(const struct github_job *job)
{
    assert_true(job->job_id > 0 && job->run_id > 0 && job->run_attempt > 0);
    assert_true(job->runner_id >= 0 && job->deployment_id >= 0);
    const struct slice texts[] = {job->name,
                                  job->workflow_name,
                                  job->head_branch,
                                  job->head_sha,
                                  job->html_url,
                                  job->status,
                                  job->conclusion,
                                  job->runner_name,
                                  job->runner_group_name,
                                  job->deployment_environment};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_clean(texts[i]);
    for (size_t i = 0; i < job->label_count; i++)
        assert_clean(job->labels[i]);
    for (size_t i = 0; i < job->step_count; i++) {
        assert_clean(job->steps[i].name);
        assert_clean(job->steps[i].status);
        assert_clean(job->steps[i].conclusion);
        assert_true(job->steps[i].number > 0);
        assert_true(i == 0 || job->steps[i - 1].number <= job->steps[i].number);
    }
}

static void assert_run_is_sound(const struct github_run *run)
{
    assert_true(run->run_id > 0 && run->run_attempt > 0);
    assert_true(run->run_number >= 0 && run->pull_request_number >= 0);
    const struct slice texts[] = {run->workflow_name,    run->display_title,    run->event_name,
                                  run->workflow_path,    run->status,           run->conclusion,
                                  run->head_branch,      run->head_sha,         run->actor,
                                  run->triggering_actor, run->pull_request_base};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_clean(texts[i]);
    for (size_t i = 0; i < run->referenced_workflow_count; i++)
        assert_clean(run->referenced_workflows[i]);
}

static void assert_sound(const struct decoding *decoding)
{
    const struct github_event *event = &decoding->event;
    if (decoding->code != ERROR_NONE) {
        assert_true(decoding->code == ERROR_INVALID || decoding->code == ERROR_TOO_LARGE);
        assert_int_equal(decoding->error.code, decoding->code);
        assert_true(decoding->error.message[0] != '\0');
        return;
    }
    if (event->kind == GITHUB_EVENT_IGNORED)
        assert_non_null(event->ignored_because);
    if (event->kind == GITHUB_EVENT_JOB)
        assert_job_is_sound(&event->job);
    if (event->kind == GITHUB_EVENT_RUN)
        assert_run_is_sound(&event->run);
    assert_clean(event->repository.full_name);
    assert_clean(event->repository.service_name);
}

// Replaces one to four bytes, mostly by characters that have a meaning in JSON.
static void damage(char *data, size_t len, uint64_t *seed)
{
    static const char meaningful[] = "{}[]\",:\\ \n0-e.ntfu\x01\x7f\x80\xc3\xff";
    size_t changes = 1 + next_random(seed) % 4;
    for (size_t i = 0; i < changes; i++) {
        uint64_t random = next_random(seed);
        char other =
            random & 1 ? meaningful[(random >> 8) % (sizeof(meaningful) - 1)] : (char)(random >> 8);
        data[next_random(seed) % len] = other;
    }
}

static void damaged_payloads_are_decoded_or_refused(void **state)
{
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    size_t decoded = 0;
    size_t refused = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(payloads); i++) {
        struct slice body = fixture_read(payloads[i].path);
        for (int round = 0; round < 1500; round++) {
            char *copy = malloc(body.len);
            assert_non_null(copy);
            memcpy(copy, body.data, body.len);
            damage(copy, body.len, &seed);
            struct decoding decoding;
            decode_text(&decoding, payloads[i].type, (struct slice){copy, body.len});
            assert_sound(&decoding);
            *(decoding.code == ERROR_NONE ? &decoded : &refused) += 1;
            decoding_release(&decoding);
            free(copy);
        }
        fixture_free(body);
    }
    // Both outcomes must occur, or the damage is of the wrong kind.
    assert_true(decoded > 1000);
    assert_true(refused > 1000);
}

static void payloads_cut_anywhere_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(payloads); i++) {
        struct slice body = fixture_read(payloads[i].path);
        size_t whole = body.len - 1; // without the newline at the end
        for (size_t len = 0; len < whole; len += len < 300 ? 1 : 7) {
            char *copy = malloc(len + 1);
            assert_non_null(copy);
            memcpy(copy, body.data, len);
            char *exact = realloc(copy, len > 0 ? len : 1);
            assert_non_null(exact);
            struct decoding decoding;
            decode_text(&decoding, payloads[i].type, (struct slice){exact, len});
            assert_int_equal(decoding.code, ERROR_INVALID);
            decoding_release(&decoding);
            free(exact);
        }
        fixture_free(body);
    }
}

static void random_bytes_never_decode(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        char body[64];
        for (size_t i = 0; i < sizeof(body); i++)
            body[i] = (char)next_random(&seed);
        struct decoding decoding;
        decode_text(&decoding, "workflow_job", (struct slice){body, sizeof(body)});
        assert_int_equal(decoding.code, ERROR_INVALID);
        decoding_release(&decoding);
    }
}

static void decoding_needs_few_allocations_whatever_the_number_of_fields(void **state)
{
    struct slice body = fixture_read(FIXTURES "workflow_job.completed.json");
    struct arena arena;
    struct github_event event;
    (void)state;
    arena_init(&arena, 65536);
    memory_fail_after(-1);
    assert_int_equal(github_event_decode(SLICE("workflow_job"), body, &arena, &event, NULL),
                     ERROR_NONE);
    assert_true(memory_count_allocations() <= 1);
    arena_release(&arena);
    fixture_free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail_and_only_causes_an_error),
        cmocka_unit_test(memory_refused_for_unsorted_steps_and_escapes_is_an_error),
        cmocka_unit_test(damaged_payloads_are_decoded_or_refused),
        cmocka_unit_test(payloads_cut_anywhere_are_refused),
        cmocka_unit_test(random_bytes_never_decode),
        cmocka_unit_test(decoding_needs_few_allocations_whatever_the_number_of_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
