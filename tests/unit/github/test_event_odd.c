// Any value in a field that does not identify the event: the event is accepted, and its other fields are unchanged.
//
// Each value of recorded bodies, at every depth, is replaced in turn by values of all types and odd sizes, and left out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoding.h"

// --- the places of values in a body --------------------------------------------------------------------------------

#define PLACES_MAX 2000
#define PATH_SIZE 160

struct place {
    char path[PATH_SIZE]; // "workflow_job.steps[3].name"
    size_t key_start;     // of an object's member, quotes included; else key_end is 0
    size_t key_end;
    size_t start, end;
};

struct scan {
    const char *text;
    size_t at;
    struct place *places;
    size_t count;
};

static void skip_blanks(struct scan *scan)
{
    while (strchr(" \t\r\n,:", scan->text[scan->at]) != NULL)
        scan->at++;
}

static void skip_string(struct scan *scan)
{
    for (scan->at++; scan->text[scan->at] != '"'; scan->at++)
        if (scan->text[scan->at] == '\\')
            scan->at++;
    scan->at++;
}

static void scan_value(struct scan *scan, struct place *place);

static void scan_member(struct scan *scan, const char *parent, size_t index, bool is_in_object)
{
    struct place *place = &scan->places[scan->count++];
    int len;
    assert_true(scan->count < PLACES_MAX);
    memset(place, 0, sizeof *place);
    if (is_in_object) {
        place->key_start = scan->at;
        skip_string(scan);
        place->key_end = scan->at;
        skip_blanks(scan);
        len = snprintf(place->path, sizeof place->path, "%s%s%.*s", parent,
                       parent[0] != '\0' ? "." : "", (int)(place->key_end - place->key_start - 2),
                       scan->text + place->key_start + 1);
    } else {
        len = snprintf(place->path, sizeof place->path, "%s[%zu]", parent, index);
    }
    assert_in_range(len, 1, sizeof place->path - 1);
    scan_value(scan, place);
}

static void scan_value(struct scan *scan, struct place *place)
{
    char opener = scan->text[scan->at];
    place->start = scan->at;
    if (opener == '"') {
        skip_string(scan);
    } else if (opener == '{' || opener == '[') {
        scan->at++;
        skip_blanks(scan);
        for (size_t i = 0; strchr("}]", scan->text[scan->at]) == NULL; i++) {
            scan_member(scan, place->path, i, opener == '{');
            skip_blanks(scan);
        }
        scan->at++;
    } else {
        scan->at += strcspn(scan->text + scan->at, " \t\r\n,]}");
    }
    place->end = scan->at;
}

// The whole body comes first, with an empty path.
static size_t find_places(const char *text, struct place *places)
{
    struct scan scan = {.text = text, .places = places, .count = 1};
    memset(&places[0], 0, sizeof places[0]);
    skip_blanks(&scan);
    scan_value(&scan, &places[0]);
    return scan.count;
}

// --- the fields of an event ----------------------------------------------------------------------------------------

#define LINES_MAX 400

struct line {
    char path[PATH_SIZE]; // of its place in the body
    char value[300];
};

struct list {
    struct line lines[LINES_MAX];
    size_t count;
    size_t steps;
};

static struct line *add_line(struct list *list, const char *path)
{
    struct line *line = &list->lines[list->count++];
    assert_true(list->count < LINES_MAX);
    memset(line, 0, sizeof *line);
    (void)snprintf(line->path, sizeof line->path, "%s", path);
    return line;
}

static void list_text(struct list *list, const char *path, struct slice text)
{
    struct line *line = add_line(list, path);
    (void)snprintf(line->value, sizeof line->value, "%.*s", SLICE_ARGS(text));
}

static void list_number(struct list *list, const char *path, int64_t number)
{
    struct line *line = add_line(list, path);
    (void)snprintf(line->value, sizeof line->value, "%" PRId64, number);
}

static void list_texts(struct list *list, const char *path, const struct slice *items, size_t count)
{
    struct line *line = add_line(list, path);
    size_t len = 0;
    for (size_t i = 0; i < count && len < sizeof line->value; i++)
        len += (size_t)snprintf(line->value + len, sizeof line->value - len, "%.*s|",
                                SLICE_ARGS(items[i]));
}

static void list_step(struct list *list, size_t index, const struct github_step *step)
{
    const struct slice texts[] = {step->name, step->status, step->conclusion};
    const int64_t numbers[] = {step->number, step->started_at, step->completed_at};
    static const char *const text_names[] = {"name", "status", "conclusion"};
    static const char *const number_names[] = {"number", "started_at", "completed_at"};
    char path[PATH_SIZE];
    for (size_t i = 0; i < COUNT(texts); i++) {
        (void)snprintf(path, sizeof path, "workflow_job.steps[%zu].%s", index, text_names[i]);
        list_text(list, path, texts[i]);
        (void)snprintf(path, sizeof path, "workflow_job.steps[%zu].%s", index, number_names[i]);
        list_number(list, path, numbers[i]);
    }
}

static void list_job(struct list *list, const struct github_job *job)
{
    list_number(list, "workflow_job.id", job->job_id);
    list_number(list, "workflow_job.run_id", job->run_id);
    list_number(list, "workflow_job.run_attempt", job->run_attempt);
    list_number(list, "action", job->action);
    list_text(list, "workflow_job.name", job->name);
    list_text(list, "workflow_job.workflow_name", job->workflow_name);
    list_text(list, "workflow_job.head_branch", job->head_branch);
    list_text(list, "workflow_job.head_sha", job->head_sha);
    list_text(list, "workflow_job.html_url", job->html_url);
    list_text(list, "workflow_job.status", job->status);
    list_text(list, "workflow_job.conclusion", job->conclusion);
    list_number(list, "workflow_job.created_at", job->created_at);
    list_number(list, "workflow_job.started_at", job->started_at);
    list_number(list, "workflow_job.completed_at", job->completed_at);
    list_number(list, "workflow_job.runner_id", job->runner_id);
    list_text(list, "workflow_job.runner_name", job->runner_name);
    list_text(list, "workflow_job.runner_group_name", job->runner_group_name);
    list_texts(list, "workflow_job.labels", job->labels, job->label_count);
    list_number(list, "deployment.id", job->deployment_id);
    list_text(list, "deployment.environment", job->deployment_environment);
    for (size_t i = 0; i < job->step_count; i++)
        list_step(list, i, &job->steps[i]);
    list->steps = job->step_count;
}

static void list_run(struct list *list, const struct github_run *run)
{
    list_number(list, "workflow_run.id", run->run_id);
    list_number(list, "workflow_run.run_attempt", run->run_attempt);
    list_number(list, "workflow_run.run_number", run->run_number);
    list_number(list, "action", run->action);
    list_text(list, "workflow.name", run->workflow_name);
    list_text(list, "workflow_run.display_title", run->display_title);
    list_text(list, "workflow_run.event", run->event_name);
    list_text(list, "workflow_run.path", run->workflow_path);
    list_text(list, "workflow_run.status", run->status);
    list_text(list, "workflow_run.conclusion", run->conclusion);
    list_text(list, "workflow_run.head_branch", run->head_branch);
    list_text(list, "workflow_run.head_sha", run->head_sha);
    list_text(list, "workflow_run.actor.login", run->actor);
    list_text(list, "workflow_run.triggering_actor.login", run->triggering_actor);
    list_number(list, "workflow_run.created_at", run->created_at);
    list_number(list, "workflow_run.updated_at", run->updated_at);
    list_number(list, "workflow_run.run_started_at", run->run_started_at);
    list_texts(list, "workflow_run.referenced_workflows", run->referenced_workflows,
               run->referenced_workflow_count);
    list_number(list, "workflow_run.pull_requests[0].number", run->pull_request_number);
    list_text(list, "workflow_run.pull_requests[0].base.ref", run->pull_request_base);
}

static void list_event(struct list *list, const struct github_event *event)
{
    const struct github_repository *repository = &event->repository;
    *list = (struct list){.count = 0};
    list_text(list, "repository.full_name", repository->full_name);
    list_text(list, "repository.owner.login", repository->owner);
    list_text(list, "repository.name", repository->name);
    list_text(list, "repository.html_url", repository->html_url);
    list_text(list, "repository.default_branch", repository->default_branch);
    list_text(list, "repository.custom_properties.service_name", repository->service_name);
    if (event->kind == GITHUB_EVENT_JOB)
        list_job(list, &event->job);
    else
        list_run(list, &event->run);
}

// --- the property --------------------------------------------------------------------------------------------------

static bool is_identity(const char *path)
{
    static const char *const paths[] = {"",
                                        "action",
                                        "workflow_job",
                                        "workflow_job.id",
                                        "workflow_job.run_id",
                                        "workflow_run",
                                        "workflow_run.id"};
    for (size_t i = 0; i < COUNT(paths); i++)
        if (strcmp(path, paths[i]) == 0)
            return true;
    return false;
}

static bool is_in(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 &&
           (path[len] == '\0' || path[len] == '.' || path[len] == '[');
}

// True if the value at `path` may change when that at `changed` does.
static bool may_change(const char *path, const char *changed)
{
    bool is_number = strstr(changed, "].number") != NULL;
    bool is_whole_step = is_in(changed, "workflow_job.steps") && strchr(changed, '.') != NULL &&
                         changed[strlen(changed) - 1] == ']';
    if (is_in(path, "workflow_job.steps") && (is_whole_step || is_number))
        return true; // other elements move up, or change their order
    // A workflow's name comes from the workflow only or, without one, from its path and the run's name.
    if (strcmp(path, "workflow.name") == 0 && strcmp(changed, "workflow") == 0)
        return true;
    return is_in(path, changed) || is_in(changed, path);
}

static void compare(const struct list *before, const struct list *after, const char *changed,
                    const char *value)
{
    bool may_drop = may_change("workflow_job.steps[0]", changed) ||
                    strncmp(changed, "workflow_job.steps[", 19) == 0;
    if (strncmp(changed, "workflow_job.steps[", 19) == 0)
        assert_true(after->steps + 1 >= before->steps);
    for (size_t i = 0; i < before->count; i++) {
        const struct line *line = &before->lines[i];
        if (may_change(line->path, changed))
            continue;
        if (!may_drop || i < after->count)
            assert_string_equal(after->lines[i].path, line->path);
        if (strcmp(after->lines[i].value, line->value) != 0)
            fail_msg("%s = %s: %s becomes '%s', was '%s'", changed, value, line->path,
                     after->lines[i].value, line->value);
    }
}

static const char *const odd_values[] = {
    "null",
    "true",
    "false",
    "0",
    "-1",
    "7",
    "1.5",
    "-0.0",
    "1e400",
    "18446744073709551616",
    "\"\"",
    "\" \"",
    "\"7\"",
    "\"yesterday\"",
    "\"2026-02-30T00:00:00Z\"",
    "\"\\u0000\\ud800\"",
    "[]",
    "[null, 3, \"x\", {}, []]",
    "{}",
    "{\"name\": [1], \"id\": {}, \"login\": 1, \"number\": \"x\"}",
};

// The value at `place` replaced; or, with NULL, its key, so that it is not there.
static struct slice replace(struct slice body, const struct place *place, const char *value)
{
    size_t start = value != NULL ? place->start : place->key_start;
    size_t end = value != NULL ? place->end : place->key_end;
    const char *middle = value != NULL ? value : "\"~\"";
    size_t len = start + strlen(middle) + body.len - end;
    char *text = malloc(len + 1);
    assert_non_null(text);
    memcpy(text, body.data, start);
    memcpy(text + start, middle, strlen(middle));
    memcpy(text + start + strlen(middle), body.data + end, body.len - end);
    text[len] = '\0';
    return (struct slice){text, len};
}

static void assert_taken(const char *type, struct slice body, const struct place *place,
                         const char *value, const struct list *before, enum github_event_kind kind)
{
    static struct list after;
    struct decoding decoding;
    struct slice changed = replace(body, place, value);
    const char *shown = value != NULL ? value : "nothing";
    decode_text(&decoding, type, changed);
    if (is_identity(place->path)) {
        assert_true(decoding.code == ERROR_NONE || decoding.code == ERROR_INVALID);
    } else if (decoding.code != ERROR_NONE) {
        fail_msg("%s = %s: %s", place->path, shown, decoding.error.message);
    } else if (strcmp(place->path, "repository") == 0 && value != NULL &&
               strcmp(value, "null") == 0) {
        assert_int_equal(decoding.event.kind, GITHUB_EVENT_IGNORED);
        assert_true(decoding.event.is_malformed);
    } else {
        if (decoding.event.kind != kind)
            fail_msg("%s = %s: %s", place->path, shown, decoding.event.ignored_because);
        list_event(&after, &decoding.event);
        compare(before, &after, place->path, shown);
    }
    decoding_release(&decoding);
    fixture_free(changed);
}

static void try_all_values(const char *type, const char *path)
{
    static struct place places[PLACES_MAX];
    static struct list before;
    struct decoding decoding;
    struct slice fixture = fixture_read(path);
    char *text = malloc(fixture.len + 1);
    assert_non_null(text);
    memcpy(text, fixture.data, fixture.len);
    text[fixture.len] = '\0';
    struct slice body = {text, fixture.len};
    decode_text(&decoding, type, body);
    assert_int_equal(decoding.code, ERROR_NONE);
    list_event(&before, &decoding.event);
    size_t count = find_places(text, places);
    assert_true(count > 60);
    for (size_t i = 0; i < count; i++) {
        for (size_t v = 0; v < COUNT(odd_values); v++)
            assert_taken(type, body, &places[i], odd_values[v], &before, decoding.event.kind);
        if (places[i].key_end > 0)
            assert_taken(type, body, &places[i], NULL, &before, decoding.event.kind);
    }
    decoding_release(&decoding);
    free(text);
    fixture_free(fixture);
}

static void an_odd_value_in_a_job_affects_only_its_own_field(void **state)
{
    static const char *const paths[] = {
        FIXTURES "workflow_job.completed.json", FIXTURES "workflow_job.in_progress.json",
        FIXTURES "workflow_job.queued.json", FIXTURES "workflow_job.waiting.json",
        FIXTURES "workflow_job.completed.skipped.json"};
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        try_all_values("workflow_job", paths[i]);
}

static void an_odd_value_in_a_run_affects_only_its_own_field(void **state)
{
    static const char *const paths[] = {FIXTURES "workflow_run.completed.json",
                                        FIXTURES "workflow_run.requested.json"};
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        try_all_values("workflow_run", paths[i]);
}

// --- the resulting values -----------------------------------------------------------------------------------------

static void decode_changed(struct decoding *decoding, const char *type, const char *path,
                           const char *find, const char *replacement, struct slice *body)
{
    struct slice whole = fixture_read(path);
    *body = fixture_replace(whole, find, replacement);
    fixture_free(whole);
    decode_text(decoding, type, *body);
    if (decoding->code != ERROR_NONE)
        fail_msg("%s: %s", replacement, decoding->error.message);
}

static void a_step_without_a_name_is_named_by_its_number(void **state)
{
    static const char *const names[] = {"\"name\": null", "\"name\": 7", "\"name\": \"\"",
                                        "\"x\": 1"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct decoding decoding;
        struct slice body;
        decode_changed(&decoding, "workflow_job", FIXTURES "workflow_job.completed.json",
                       "\"name\": \"Run make check\"", names[i], &body);
        assert_text(decoding.event.job.steps[4].name, "step 5");
        assert_text(decoding.event.job.steps[0].name, "Set up job");
        decoding_release(&decoding);
        fixture_free(body);
    }
}

static void elements_that_are_not_steps_or_labels_are_skipped(void **state)
{
    struct decoding decoding;
    struct slice body;
    (void)state;
    decode_changed(&decoding, "workflow_job", FIXTURES "workflow_job.queued.json", "\"steps\": []",
                   "\"steps\": [3, null, \"x\", {\"name\": \"make\", \"number\": 4}, [], {}]",
                   &body);
    assert_int_equal(decoding.event.job.step_count, 2);
    assert_text(decoding.event.job.steps[0].name, "make");
    assert_text(decoding.event.job.steps[1].name, "step 6");
    decoding_release(&decoding);
    fixture_free(body);
    decode_changed(&decoding, "workflow_job", FIXTURES "workflow_job.queued.json",
                   "\"self-hosted\"", "17, {\"name\": \"a\"}, null, \"b\"", &body);
    assert_text(decoding.event.job.labels[0], "b");
    decoding_release(&decoding);
    fixture_free(body);
}

static void a_repository_is_named_whole_or_in_parts(void **state)
{
    static const struct {
        const char *find;
        const char *replacement;
    } cases[] = {
        {"\"full_name\"", "\"x\""},
        {"\"name\": \"lighthouse\"", "\"name\": null"},
        {"\"owner\": {", "\"owner\": [], \"x\": {"},
        {"\"login\": \"octo-example\"", "\"login\": 1"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct decoding decoding;
        struct slice body;
        decode_changed(&decoding, "workflow_job", FIXTURES "workflow_job.queued.json",
                       cases[i].find, cases[i].replacement, &body);
        assert_text(decoding.event.repository.full_name, "octo-example/lighthouse");
        assert_text(decoding.event.repository.owner, "octo-example");
        assert_text(decoding.event.repository.name, "lighthouse");
        decoding_release(&decoding);
        fixture_free(body);
    }
}

static void an_event_without_a_repository_is_accepted(void **state)
{
    static const char *const forms[] = {"\"x\": {", "\"repository\": 7, \"x\": {",
                                        "\"repository\": [], \"x\": {",
                                        "\"repository\": {}, \"x\": {"};
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct decoding decoding;
        struct slice body;
        decode_changed(&decoding, "workflow_job", FIXTURES "workflow_job.queued.json",
                       "\"repository\": {", forms[i], &body);
        assert_int_equal(decoding.event.kind, GITHUB_EVENT_JOB);
        assert_int_equal(decoding.event.repository.full_name.len, 0);
        assert_text(decoding.event.job.name, "build / linux (22.04)");
        decoding_release(&decoding);
        fixture_free(body);
    }
}

// Only its identity: everything else is unknown, and it is not a check run.
static void a_job_with_only_its_identity_is_accepted(void **state)
{
    static const char *const bodies[] = {
        "{\"action\":\"completed\",\"workflow_job\":{\"id\":1,\"run_id\":2}}",
        "{\"action\":\"completed\",\"workflow_job\":{\"id\":1,\"run_id\":2,\"html_url\":\"\"}}",
        "{\"action\":\"completed\",\"workflow_job\":{\"id\":1,\"run_id\":2},\"repository\":{}}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct decoding decoding;
        decode_text(&decoding, "workflow_job", slice_from_string(bodies[i]));
        assert_int_equal(decoding.code, ERROR_NONE);
        assert_int_equal(decoding.event.kind, GITHUB_EVENT_JOB);
        assert_int_equal(decoding.event.job.run_attempt, 1);
        decoding_release(&decoding);
    }
}

static void null_in_place_of_an_events_subject_is_ignored_and_reported(void **state)
{
    static const struct {
        const char *type;
        const char *body;
        const char *reason;
    } cases[] = {
        {"workflow_job", "{\"action\":\"queued\",\"workflow_job\":null}", "workflow_job is null"},
        {"workflow_run", "{\"action\":\"completed\",\"workflow_run\":null}",
         "workflow_run is null"},
        {"workflow_job",
         "{\"action\":\"queued\",\"workflow_job\":{\"id\":1,\"run_id\":2},"
         "\"repository\":null}",
         "repository is null"},
        {"workflow_run",
         "{\"action\":\"completed\",\"repository\":null,\"workflow_run\":{\"id\":1}}",
         "repository is null"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct decoding decoding;
        decode_text(&decoding, cases[i].type, slice_from_string(cases[i].body));
        assert_int_equal(decoding.code, ERROR_NONE);
        assert_int_equal(decoding.event.kind, GITHUB_EVENT_IGNORED);
        assert_true(decoding.event.is_malformed);
        assert_int_equal(decoding.event.type,
                         cases[i].type[9] == 'j' ? GITHUB_EVENT_JOB : GITHUB_EVENT_RUN);
        assert_string_equal(decoding.event.ignored_because, cases[i].reason);
        decoding_release(&decoding);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_odd_value_in_a_job_affects_only_its_own_field),
        cmocka_unit_test(an_odd_value_in_a_run_affects_only_its_own_field),
        cmocka_unit_test(a_step_without_a_name_is_named_by_its_number),
        cmocka_unit_test(elements_that_are_not_steps_or_labels_are_skipped),
        cmocka_unit_test(a_repository_is_named_whole_or_in_parts),
        cmocka_unit_test(an_event_without_a_repository_is_accepted),
        cmocka_unit_test(a_job_with_only_its_identity_is_accepted),
        cmocka_unit_test(null_in_place_of_an_events_subject_is_ignored_and_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
