// Hostile bodies with a valid signature: the size of the decoded event is bounded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "decoding.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/utf8.h"

#define BODY_MAX ((size_t)25 * 1024 * 1024)
#define REPOSITORY                                                                                 \
    "\"repository\":{\"full_name\":\"o/r\",\"name\":\"r\",\"owner\":{\"login\":\"o\"},"            \
    "\"html_url\":\"https://github.com/o/r\"}"

static void add(struct buffer *body, const char *text)
{
    assert_int_equal(buffer_append_string(body, text), ERROR_NONE);
}

// `unit` repeated, with commas between, up to `count` times or up to the size of a body.
static void add_many(struct buffer *body, struct slice unit, size_t count)
{
    for (size_t i = 0; i < count && body->len + unit.len + 1000 < BODY_MAX; i++) {
        if (i > 0)
            add(body, ",");
        assert_int_equal(buffer_append_slice(body, unit), ERROR_NONE);
    }
}

static void open_job(struct buffer *body, const char *field)
{
    buffer_init(body, BODY_MAX);
    add(body,
        "{\"action\":\"completed\",\"workflow_job\":{\"id\":1,\"run_id\":2,\"name\":\"build\","
        "\"");
    add(body, field);
    add(body, "\":[");
}

static void close_job(struct buffer *body)
{
    add(body, "]}," REPOSITORY "}");
}

static void open_run(struct buffer *body, const char *field)
{
    buffer_init(body, BODY_MAX);
    add(body, "{\"action\":\"completed\",\"workflow_run\":{\"id\":2,\"");
    add(body, field);
    add(body, "\":[");
}

// The text of a string: `piece` repeated up to `bytes` bytes.
static struct slice repeat(const char *before, const char *piece, size_t bytes, const char *after)
{
    struct buffer text;
    buffer_init(&text, BODY_MAX);
    add(&text, before);
    for (size_t len = strlen(piece), i = 0; i + len <= bytes; i += len)
        assert_int_equal(buffer_append(&text, piece, len), ERROR_NONE);
    add(&text, after);
    return buffer_slice(&text);
}

static void assert_short(struct slice text, size_t most)
{
    assert_true(text.len <= most);
    assert_true(utf8_is_valid(text));
}

static void assert_bounded(const struct decoding *decoding)
{
    // Blocks have a size of their own, and their last one may be half empty.
    assert_true(decoding->arena.held <= GITHUB_EVENT_MEMORY_MAX);
    if (decoding->code != ERROR_NONE) {
        assert_int_equal(decoding->code, ERROR_TOO_LARGE);
        assert_non_null(strstr(decoding->error.message, "72 MiB"));
        return;
    }
    if (decoding->event.kind == GITHUB_EVENT_JOB) {
        const struct github_job *job = &decoding->event.job;
        assert_short(job->name, GITHUB_TEXT_MAX);
        assert_true(job->label_count <= GITHUB_LABELS_MAX);
        for (size_t i = 0; i < job->label_count; i++)
            assert_short(job->labels[i], GITHUB_TEXT_MAX);
        for (size_t i = 0; i < job->step_count; i++) {
            assert_short(job->steps[i].name, GITHUB_TEXT_MAX);
            assert_short(job->steps[i].status, GITHUB_TEXT_MAX);
            assert_short(job->steps[i].conclusion, GITHUB_TEXT_MAX);
        }
    } else {
        const struct github_run *run = &decoding->event.run;
        assert_true(run->referenced_workflow_count <= GITHUB_REFERENCES_MAX);
        for (size_t i = 0; i < run->referenced_workflow_count; i++)
            assert_short(run->referenced_workflows[i], GITHUB_TEXT_MAX);
    }
}

static void decode_and_release(const char *type, struct buffer *body, struct decoding *decoding)
{
    decode_text(decoding, type, buffer_slice(body));
    assert_bounded(decoding);
}

static void a_hundred_thousand_steps_are_all_kept(void **state)
{
    struct buffer body;
    struct decoding decoding;
    (void)state;
    open_job(&body, "steps");
    add_many(&body,
             SLICE("{\"name\":\"Run something\",\"number\":1,\"status\":\"completed\","
                   "\"conclusion\":\"success\",\"started_at\":\"2026-09-21T14:13:25Z\","
                   "\"completed_at\":\"2026-09-21T14:13:30Z\"}"),
             100000);
    close_job(&body);
    decode_and_release("workflow_job", &body, &decoding);
    assert_int_equal(decoding.code, ERROR_NONE);
    assert_int_equal(decoding.event.job.step_count, 100000);
    decoding_release(&decoding);
    buffer_release(&body);
}

struct shape {
    const char *type;
    const char *field;
    const char *before, *piece; // of one element: `piece` up to `bytes` between the two
    size_t bytes;
    const char *after;
    size_t count;
};

static void each_hostile_shape_is_cut_or_refused(void **state)
{
    static const struct shape shapes[] = {
        {"workflow_job", "steps", "{\"name\":\"", "s", 1, "\"}", 100000},
        {"workflow_job", "steps", "{\"name\":\"", "s", 5000, "\"}", 1000},
        {"workflow_job", "steps", "{\"name\":\"", "\\u00e9", 30000, "\"}", 200},
        {"workflow_job", "steps", "{\"name\":\"", "\xff", 1365, "\"}", 1000},
        {"workflow_job", "steps", "{\"name\":\"", "\xff", 1000000, "\"}", 5},
        {"workflow_job", "steps", "{\"name\":\"a\",\"number\":2},{\"name\":\"", "b", 1,
         "\",\"number\":1}", 40000},
        {"workflow_job", "steps", "", "null", 4, "", 1400000},
        {"workflow_job", "labels", "\"", "l", 1, "\"", 1400000},
        {"workflow_job", "labels", "\"", "\xc3\xa9", 20001, "\"", 500},
        {"workflow_job", "labels", "\"", "\\u00e9", 20000, "\"", 300},
        {"workflow_run", "referenced_workflows", "{\"path\":\"", "p", 5000, "@x\",\"sha\":\"5\"}",
         1000},
        {"workflow_run", "referenced_workflows", "{\"path\":\"p@x\",\"sha\":\"", "5", 5000, "\"}",
         1000},
        {"workflow_run", "pull_requests", "{\"number\":1,\"base\":{\"ref\":\"", "m", 4, "\"}}",
         50000},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const struct shape *shape = &shapes[i];
        struct slice unit = repeat(shape->before, shape->piece, shape->bytes, shape->after);
        struct buffer body;
        struct decoding decoding;
        if (strcmp(shape->type, "workflow_job") == 0)
            open_job(&body, shape->field);
        else
            open_run(&body, shape->field);
        add_many(&body, unit, shape->count);
        close_job(&body);
        decode_and_release(shape->type, &body, &decoding);
        decoding_release(&decoding);
        buffer_release(&body);
        free((void *)(uintptr_t)unit.data);
    }
}

static void events_that_decode_to_too_much_are_refused_with_a_message(void **state)
{
    struct buffer body;
    struct decoding decoding;
    struct slice unit = repeat("{\"name\":\"", "\xff", 1365, "\"}");
    (void)state;
    open_job(&body, "steps");
    add_many(&body, unit, SIZE_MAX);
    close_job(&body);
    decode_and_release("workflow_job", &body, &decoding);
    assert_int_equal(decoding.code, ERROR_TOO_LARGE);
    assert_string_equal(decoding.error.message, "payload: takes more than 72 MiB when decoded");
    decoding_release(&decoding);
    buffer_release(&body);
    free((void *)(uintptr_t)unit.data);
}

static void escaped_keys_take_no_memory(void **state)
{
    struct buffer body;
    struct decoding decoding;
    (void)state;
    buffer_init(&body, BODY_MAX);
    add(&body, "{\"action\":\"completed\",\"workflow_job\":{\"id\":1,\"run_id\":2,"
               "\"n\\u0061me\":\"build\",");
    add_many(&body, SLICE("\"\\u0041\\u0042\":1"), 100000);
    struct slice key = repeat(",\"", "\\u0041", 1000000, "\":1}," REPOSITORY "}");
    assert_int_equal(buffer_append_slice(&body, key), ERROR_NONE);
    decode_and_release("workflow_job", &body, &decoding);
    assert_int_equal(decoding.code, ERROR_NONE);
    assert_text(decoding.event.job.name, "build");
    // Almost only tokens.
    assert_true(decoding.arena.held < (size_t)6 << 20);
    decoding_release(&decoding);
    buffer_release(&body);
    free((void *)(uintptr_t)key.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_thousand_steps_are_all_kept),
        cmocka_unit_test(each_hostile_shape_is_cut_or_refused),
        cmocka_unit_test(events_that_decode_to_too_much_are_refused_with_a_message),
        cmocka_unit_test(escaped_keys_take_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
