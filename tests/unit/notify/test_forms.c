// The bodies of requests in each form, and what names may do to them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../../src/notify/forms.h"
#include "../../../src/notify/sender.h"
#include "ghatrace/json/read.h"

#define NOW ((timestamp_ns)1790000000 * NS_PER_SECOND)

struct fixture {
    struct notice notices[NOTICE_LIST_MAX];
    const struct notice *list[NOTICE_LIST_MAX];
    struct notice_subject subject[2]; // in the order of their ids
    struct notice_subjects subjects;
    struct notice_message message;
    struct notice_receiver receiver;
    struct buffer body;
    struct arena arena;
    struct json_document document;
    char name[1024];
};

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    buffer_init(&fixture.body, NOTICE_BODY_MAX);
    arena_init(&fixture.arena, 65536);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_release(&fixture.body);
    arena_release(&fixture.arena);
    return 0;
}

// `count` begins about one pool; `end`: ends.
static void set_notices(struct slice name, size_t count, bool end)
{
    memcpy(fixture.name, name.data, name.len);
    struct slice kept = {fixture.name, name.len};
    fixture.subject[0] = (struct notice_subject){.id = notice_subject_id_of(kept),
                                                 .name = kept,
                                                 .has_state = true,
                                                 .state = POOL_BUSY,
                                                 .queued = 9,
                                                 .running = 7,
                                                 .oldest = NOW - 16 * NS_PER_MINUTE};
    fixture.subjects = (struct notice_subjects){.items = fixture.subject, .count = 1, .now = NOW};
    for (size_t i = 0; i < count; i++) {
        fixture.notices[i] = (struct notice){
            .key = {.condition = NOTICE_QUEUED, .subject = fixture.subject[0].id},
            .state = {.phase = end ? NOTICE_END_DUE : NOTICE_BEGIN_DUE,
                      .began_at = NOW - NS_PER_HOUR,
                      .ended_at = end ? NOW - 5 * NS_PER_MINUTE : TIMESTAMP_UNKNOWN},
            .name = fixture.name,
            .name_len = name.len};
        fixture.list[i] = &fixture.notices[i];
    }
    fixture.message = (struct notice_message){
        .notices = fixture.list, .count = count, .subjects = &fixture.subjects};
}

static void write_as(enum notice_form form)
{
    struct error error;
    fixture.receiver.form = form;
    memcpy(fixture.receiver.topic, "topic", 6);
    buffer_clear(&fixture.body);
    arena_clear(&fixture.arena);
    assert_int_equal(notice_write(&fixture.message, &fixture.receiver, &fixture.body), ERROR_NONE);
    assert_int_equal(
        json_parse(buffer_slice(&fixture.body), &fixture.arena, &fixture.document, &error),
        ERROR_NONE);
}

static struct slice member(json_value object, const char *name)
{
    struct slice text;
    json_value found = json_get(&fixture.document, object, slice_from_string(name));
    assert_true(json_string(&fixture.document, found, &fixture.arena, &text));
    return text;
}

// Of our own form.
static json_value first_notice(void)
{
    json_value list = json_get(&fixture.document, JSON_ROOT, SLICE("notices"));
    return json_first_element(&fixture.document, list);
}

static void assert_text(struct slice found, const char *wanted)
{
    if (!slice_equals(found, slice_from_string(wanted)))
        fail_msg("found \"%.*s\", wanted \"%s\"", SLICE_ARGS(found), wanted);
}

static void our_form_has_an_object_for_each_notice(void **state)
{
    (void)state;
    set_notices(SLICE("gpu,a100"), 2, false);
    write_as(NOTICE_JSON);
    json_value first = first_notice();
    assert_text(member(JSON_ROOT, "source"), "ghatrace");
    assert_text(member(first, "condition"), "queued");
    assert_text(member(first, "event"), "began");
    assert_text(member(first, "pool"), "gpu,a100");
    assert_text(member(first, "state"), "busy");
    assert_text(member(first, "since"), "2026-09-21T13:13:20.000Z");
    assert_text(
        member(first, "text"),
        "gpu,a100: jobs wait long since 2026-09-21T13:13:20Z. 9 queued, the oldest for 16m 0s, 7 "
        "running: the most known in the last week.");
    json_value second = json_next_element(&fixture.document, first);
    assert_true(slice_equals(member(first, "id"), member(second, "id")));
    assert_int_equal(json_next_element(&fixture.document, second), JSON_NONE);
}

static void an_end_has_the_duration(void **state)
{
    (void)state;
    set_notices(SLICE("gpu"), 1, true);
    write_as(NOTICE_NTFY);
    assert_text(member(JSON_ROOT, "topic"), "topic");
    assert_text(member(JSON_ROOT, "title"), "Over: gpu: jobs wait long");
    assert_text(member(JSON_ROOT, "message"), "Over: gpu: jobs wait long, after 55m 0s. 9 queued, "
                                              "the oldest for 16m 0s, 7 running: the most "
                                              "known in the last week.");
}

// A dead pool is so since its last start, or since its last job ended.
static void of_a_dead_pool_it_says_what_there_was_not(void **state)
{
    (void)state;
    set_notices(SLICE("gpu"), 1, false);
    fixture.notices[0].key.condition = NOTICE_DEAD;
    fixture.subject[0].state = POOL_DEAD;
    fixture.subject[0].running = 0;
    write_as(NOTICE_SLACK);
    assert_text(member(JSON_ROOT, "text"),
                "gpu: no job runs or starts since 2026-09-21T13:13:20Z. 9 queued, the oldest for "
                "16m 0s, 0 running.");
}

// The limit of an inferred one is not known from settings.
static void an_inferred_ceiling_is_marked(void **state)
{
    (void)state;
    set_notices(SLICE("(Default)"), 1, false);
    fixture.notices[0].key.condition = NOTICE_CEILING;
    fixture.subject[0].has_state = false;
    fixture.subject[0].oldest = TIMESTAMP_UNKNOWN;
    fixture.subject[0].limit = 7;
    write_as(NOTICE_SLACK);
    assert_text(member(JSON_ROOT, "text"),
                "(Default): at an inferred limit of concurrent jobs since 2026-09-21T13:13:20Z. 9 "
                "queued, 7 of 7 running.");
}

static void without_queued_jobs_there_is_no_oldest_wait(void **state)
{
    (void)state;
    set_notices(SLICE("gpu"), 1, true);
    fixture.subject[0].state = POOL_OK;
    fixture.subject[0].queued = 0;
    fixture.subject[0].oldest = TIMESTAMP_UNKNOWN;
    write_as(NOTICE_JSON);
    json_value first = first_notice();
    json_value wait = json_get(&fixture.document, first, SLICE("oldest_wait_seconds"));
    assert_int_equal(json_type_of(&fixture.document, wait), JSON_NULL);
}

static void a_pool_that_is_no_longer_known_has_no_figures(void **state)
{
    (void)state;
    set_notices(SLICE("gpu"), 1, true);
    fixture.subjects.count = 0;
    write_as(NOTICE_SLACK);
    assert_text(member(JSON_ROOT, "text"), "Over: gpu: jobs wait long, after 55m 0s.");
    write_as(NOTICE_JSON);
}

static void a_text_of_many_notices_is_short(void **state)
{
    char longest[512];
    (void)state;
    memset(longest, '<', sizeof longest);
    set_notices((struct slice){longest, sizeof longest}, notice_batch_max(NOTICE_NTFY), false);
    write_as(NOTICE_NTFY);
    assert_text(member(JSON_ROOT, "title"), "1000 troubles");
    struct slice text = member(JSON_ROOT, "message");
    assert_true(text.len < 4096 && slice_ends_with(text, SLICE("\nand 985 more.")));
}

static void pools_in_which_jobs_have_run_come_first_in_a_text(void **state)
{
    (void)state;
    set_notices(SLICE("invented"), 20, false);
    struct notice_subject real = {.id = notice_subject_id_of(SLICE("gpu")),
                                  .name = SLICE("gpu"),
                                  .has_state = true,
                                  .is_proven = true};
    bool is_first = memcmp(&real.id, &fixture.subject[0].id, sizeof real.id) < 0;
    if (is_first)
        fixture.subject[1] = fixture.subject[0];
    fixture.subject[is_first ? 0 : 1] = real;
    fixture.subjects.count = 2;
    fixture.notices[19].key.subject = real.id;
    fixture.notices[19].name = memcpy(fixture.name + 100, "gpu", 3);
    fixture.notices[19].name_len = 3;
    write_as(NOTICE_SLACK);
    struct slice text = member(JSON_ROOT, "text");
    assert_true(slice_starts_with(text, SLICE("gpu: jobs wait long")));
    assert_true(slice_ends_with(text, SLICE("\nand 5 more.")));
    assert_true(slice_find(text, SLICE("invented: jobs wait long")) > 0);
}

static void a_request_of_the_longest_names_fits(void **state)
{
    char longest[NOTICE_NAME_MAX];
    (void)state;
    memset(longest, '\x01', sizeof longest); // six bytes each in JSON
    set_notices((struct slice){longest, sizeof longest}, notice_batch_max(NOTICE_JSON), false);
    fixture.subject[0].ceiling = fixture.subject[0].name;
    write_as(NOTICE_JSON);
    assert_true(fixture.body.len > 500000);
}

// Each name, as it is in a text, and as it is in Slack's.
static void names_are_harmless_in_texts(void **state)
{
    static const struct {
        const char *name, *shown, *slack;
    } cases[] = {
        {"gpu_a100-x", "gpu_a100-x", "gpu_a100-x"},
        {"<!channel>", "<!channel>", "&lt;!channel&gt;"},
        {"<https://e.x|y>", "<https://e.x|y>", "&lt;https://e.x|y&gt;"},
        {"&lt;", "&lt;", "&amp;lt;"},
        {"*a* `b`", "*a* `b`",
         "\xe2\x88\x97"
         "a\xe2\x88\x97 'b'"},
        {"@here", "@here", "\xef\xbc\xa0here"},
        {"[a](b)", "[a](b)",
         "\xef\xbc\xbb"
         "a](b)"},
        {"a\r\nb\x1b[1m\x7f",
         "a\xef\xbf\xbd\xef\xbf\xbd"
         "b\xef\xbf\xbd[1m\xef\xbf\xbd",
         NULL},
        {"\xe2\x80\xae"
         "exe",
         "\xef\xbf\xbd"
         "exe",
         NULL}, // right-to-left override
        {"a\xe2\x81\xa6"
         "b",
         "a\xef\xbf\xbd"
         "b",
         NULL}, // isolate
        {"a\xe2\x80\x8b"
         "b\xef\xbb\xbf",
         "a\xef\xbf\xbd"
         "b\xef\xbf\xbd",
         NULL},
        {"a\xe2\x80\xa8"
         "b",
         "a\xef\xbf\xbd"
         "b",
         NULL}, // line separator
        {"a\xc2\x85"
         "b",
         "a\xef\xbf\xbd"
         "b",
         NULL},                                         // next line
        {"\xf3\xa0\x81\x81", "\xef\xbf\xbd", NULL},     // a tag
        {"\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd", NULL}, // not UTF-8
        {"\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x98\x80", "\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x98\x80", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char shown[NOTICE_SHOWN_SIZE], wanted[256];
        size_t len = notice_clean_name(slice_from_string(cases[i].name), shown);
        assert_text((struct slice){shown, len}, cases[i].shown);
        set_notices(slice_from_string(cases[i].name), 1, false);
        write_as(NOTICE_SLACK);
        (void)snprintf(wanted, sizeof wanted, "%s: jobs wait long",
                       cases[i].slack != NULL ? cases[i].slack : cases[i].shown);
        if (cases[i].slack != NULL)
            assert_true(slice_starts_with(member(JSON_ROOT, "text"), slice_from_string(wanted)));
    }
}

static void a_long_name_is_cut_between_characters(void **state)
{
    char shown[NOTICE_SHOWN_SIZE], name[400];
    (void)state;
    for (size_t start = 0; start < 3; start++) {
        memset(name, 'x', sizeof name);
        for (size_t i = start; i + 3 <= sizeof name; i += 3)
            memcpy(name + i, "\xe6\xbc\xa2", 3);
        size_t len = notice_clean_name((struct slice){name, sizeof name}, shown);
        assert_true(len > NOTICE_SHOWN_MAX - 3 && len <= NOTICE_SHOWN_MAX + 3);
        assert_true(slice_ends_with((struct slice){shown, len}, SLICE("\xe6\xbc\xa2\xe2\x80\xa6")));
    }
}

// --- answers --------------------------------------------------------------------------------------

static void answers_mean_sent_later_or_never(void **state)
{
    static const struct {
        int status;
        enum notice_result result;
    } cases[] = {{200, NOTICE_SENT},      {204, NOTICE_SENT},      {0, NOTICE_NOT_SENT},
                 {408, NOTICE_NOT_SENT},  {429, NOTICE_NOT_SENT},  {500, NOTICE_NOT_SENT},
                 {503, NOTICE_NOT_SENT},  {302, NOTICE_NOT_TAKEN}, {307, NOTICE_NOT_TAKEN},
                 {400, NOTICE_NOT_TAKEN}, {404, NOTICE_NOT_TAKEN}, {410, NOTICE_NOT_TAKEN}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(notice_result_of(cases[i].status, false), cases[i].result);
    assert_int_equal(notice_result_of(0, true), NOTICE_UNKNOWN);
}

static void an_error_that_has_a_secret_is_not_quoted(void **state)
{
    static const char *const secrets[] = {"/services/T0/xyz?k=v", "t0ken", "user:pa55", "tpc"};
    struct notice_receiver receiver = {
        .endpoint = {.path = "/services/T0/xyz?k=v", .userinfo = "user:pa55"},
        .token = "t0ken",
        .topic = "tpc"};
    char message[NOTICE_MESSAGE_SIZE];
    struct error error;
    (void)state;
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        error_set(&error, ERROR_NETWORK, "cannot fetch %s from there", secrets[i]);
        notice_describe_failure(&receiver, 0, &error, message);
        assert_string_equal(message, "no answer: network error");
    }
    error_set(&error, ERROR_NETWORK, "connection refused");
    notice_describe_failure(&receiver, 0, &error, message);
    assert_string_equal(message, "no answer: connection refused");
    notice_describe_failure(&receiver, 404, &error, message);
    assert_string_equal(message, "answered 404");
}

// --- the file -------------------------------------------------------------------------------------

static void the_file_has_a_receiver_a_line(void **state)
{
    struct notice_receivers receivers;
    struct error error;
    (void)state;
    assert_int_equal(
        notice_receivers_parse(SLICE("\xef\xbb\xbf# all\r\n\r\n"
                                     " slack\thttps://hooks.slack.com/services/T/B/x \r\n"
                                     "ntfy https://ntfy.example:8443/my-topic?auth=abc tk_1\n"
                                     "json http://[::1]/"),
                               &receivers, &error),
        ERROR_NONE);
    assert_int_equal(receivers.count, 3);
    assert_int_equal(receivers.items[0].form, NOTICE_SLACK);
    assert_string_equal(receivers.items[0].endpoint.path, "/services/T/B/x");
    assert_string_equal(receivers.items[0].endpoint.host_header, "hooks.slack.com");
    assert_int_equal(receivers.items[1].form, NOTICE_NTFY);
    assert_string_equal(receivers.items[1].endpoint.path, "/?auth=abc");
    assert_string_equal(receivers.items[1].topic, "my-topic");
    assert_string_equal(receivers.items[1].token, "tk_1");
    assert_string_equal(receivers.items[2].endpoint.host_header, "[::1]");
    assert_true(receivers.items[0].id != receivers.items[1].id);
    notice_receivers_wipe(&receivers);
    assert_string_equal(receivers.items[1].token, "");
}

static void the_token_is_no_part_of_a_receivers_identity_but_its_form_is(void **state)
{
    struct notice_receivers a, b, c;
    struct error error;
    (void)state;
    assert_int_equal(notice_receivers_parse(SLICE("json https://a/b"), &a, &error), ERROR_NONE);
    assert_int_equal(notice_receivers_parse(SLICE("json https://a/b t"), &b, &error), ERROR_NONE);
    assert_int_equal(notice_receivers_parse(SLICE("slack https://a/b"), &c, &error), ERROR_NONE);
    assert_true(a.items[0].id == b.items[0].id && a.items[0].id != c.items[0].id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(our_form_has_an_object_for_each_notice),
        TEST(an_end_has_the_duration),
        TEST(of_a_dead_pool_it_says_what_there_was_not),
        TEST(an_inferred_ceiling_is_marked),
        TEST(without_queued_jobs_there_is_no_oldest_wait),
        TEST(a_pool_that_is_no_longer_known_has_no_figures),
        TEST(a_text_of_many_notices_is_short),
        TEST(pools_in_which_jobs_have_run_come_first_in_a_text),
        TEST(a_request_of_the_longest_names_fits),
        TEST(names_are_harmless_in_texts),
        TEST(a_long_name_is_cut_between_characters),
        TEST(answers_mean_sent_later_or_never),
        TEST(an_error_that_has_a_secret_is_not_quoted),
        TEST(the_file_has_a_receiver_a_line),
        TEST(the_token_is_no_part_of_a_receivers_identity_but_its_form_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
