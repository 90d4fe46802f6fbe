// What people paste into the search, and which runs it finds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ghatrace/view/run_search.h"

#define SHA "9fceb02d0ae598e95dc970b74767f19372d61af8"
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

struct pasted {
    const char *text;
    const char *meaning;
};

// What was understood, in one line.
static void describe(const struct run_search *search, char text[300])
{
    char hex[2 * TRACE_ID_SIZE + 1] = "";
    int len = snprintf(text, 300, "%s", run_search_kind_text(search->kind));
    if (search->kind == RUN_SEARCH_TRACE)
        hex_encode(search->trace.bytes, TRACE_ID_SIZE, hex);
    const struct slice texts[] = {search->server, search->repository, search->branch,
                                  search->file,   search->sha,        slice_from_string(hex)};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].len > 0)
            len +=
                snprintf(text + len, 300 - (size_t)len, " %.*s", (int)texts[i].len, texts[i].data);
    const int64_t numbers[] = {search->run_id, search->run_attempt, search->job_id, search->pull};
    const char *const names[] = {"run", "attempt", "job", "pull"};
    for (size_t i = 0; i < 4; i++)
        if (numbers[i] != 0)
            len += snprintf(text + len, 300 - (size_t)len, " %s=%lld", names[i],
                            (long long)numbers[i]);
    if (search->kind == RUN_SEARCH_WORDS)
        for (size_t i = 0; i < search->word_count; i++)
            len += snprintf(text + len, 300 - (size_t)len, " [%.*s]", (int)search->words[i].len,
                            search->words[i].data);
    if (search->number != 0)
        (void)snprintf(text + len, 300 - (size_t)len, " number=%lld", (long long)search->number);
}

static void assert_meanings(const struct pasted *pasted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct run_search search;
        char meaning[300];
        run_search_parse(slice_from_string(pasted[i].text), &search);
        describe(&search, meaning);
        if (strcmp(meaning, pasted[i].meaning) != 0)
            fail_msg("%s\n  is      %s\n  want    %s", pasted[i].text, meaning, pasted[i].meaning);
    }
}

static void urls_of_github_say_what_they_are(void **state)
{
    static const struct pasted pasted[] = {
        {"https://github.com/acme/shop/actions/runs/123", "run github.com acme/shop run=123"},
        {"http://github.com/acme/shop/actions/runs/123/", "run github.com acme/shop run=123"},
        {"github.com/acme/shop/actions/runs/123", "run github.com acme/shop run=123"},
        {"www.github.com/acme/shop/actions/runs/123", "run github.com acme/shop run=123"},
        {"HTTPS://GitHub.com/acme/shop/actions/runs/123", "run GitHub.com acme/shop run=123"},
        {"  <https://github.com/acme/shop/actions/runs/123>.\n",
         "run github.com acme/shop run=123"},
        {"https://github.com/acme/shop/actions/runs/123/attempts/2",
         "run github.com acme/shop run=123 attempt=2"},
        {"https://github.com/acme/shop/actions/runs/123?pr=7#summary-456",
         "run github.com acme/shop run=123"},
        {"https://github.com/acme/shop/actions/runs/123/job/456#step:4:17",
         "run github.com acme/shop run=123 job=456"},
        {"https://github.com/acme/shop/actions/runs/123/attempts/2/job/456",
         "run github.com acme/shop run=123 attempt=2 job=456"},
        {"https://github.com/acme/shop/actions/runs/123/workflow",
         "run github.com acme/shop run=123"},
        {"https://github.com/acme/shop/runs/456?check_suite_focus=true",
         "job github.com acme/shop job=456"},
        {"https://api.github.com/repos/acme/shop/actions/runs/123",
         "run github.com acme/shop run=123"},
        {"https://api.github.com/repos/acme/shop/actions/jobs/456/logs",
         "job github.com acme/shop job=456"},
        {"https://ghe.example.com:8443/api/v3/repos/acme/shop/actions/runs/123",
         "run ghe.example.com acme/shop run=123"},
        {"https://ghe.example.com/acme/shop/actions/runs/123",
         "run ghe.example.com acme/shop run=123"},
        {"https://mona:secret@ghe.example.com/acme/shop/actions/runs/123",
         "run ghe.example.com acme/shop run=123"},
        {"https://github.com/acme/shop/pull/77", "pull_request github.com acme/shop pull=77"},
        {"https://github.com/acme/shop/pull/77/files#r1",
         "pull_request github.com acme/shop pull=77"},
        {"https://github.com/acme/shop/pull/77/checks?check_run_id=456",
         "pull_request github.com acme/shop pull=77"},
        {"https://github.com/acme/shop/pull/77/commits/" SHA,
         "commit github.com acme/shop " SHA " pull=77"},
        {"https://github.com/acme/shop/commit/" SHA, "commit github.com acme/shop " SHA},
        {"https://github.com/acme/shop/commit/9fceb02", "commit github.com acme/shop 9fceb02"},
        {"https://github.com/acme/shop/commits/" SHA "/src", "commit github.com acme/shop " SHA},
        {"https://github.com/acme/shop", "repository github.com acme/shop"},
        {"https://github.com/acme/shop.git", "repository github.com acme/shop"},
        {"https://github.com/acme/shop/actions", "repository github.com acme/shop"},
        {"https://github.com/acme/shop/actions/runs/nonsense", "repository github.com acme/shop"},
        {"https://github.com/acme/shop/tree/feature/cart",
         "repository github.com acme/shop feature/cart"},
        {"https://github.com/acme/shop/tree/feature/cart/",
         "repository github.com acme/shop feature/cart"},
        {"https://github.com/acme/shop/actions/workflows/ci.yml?query=branch%3Amain",
         "workflow github.com acme/shop ci.yml"},
    };
    (void)state;
    assert_meanings(pasted, sizeof pasted / sizeof pasted[0]);
}

static void ids_say_what_they_are(void **state)
{
    static const struct pasted pasted[] = {
        {"52021000027", "words [52021000027] number=52021000027"},
        {"52021000027/2", "run run=52021000027 attempt=2"},
        {"#3129", "words [#3129]"},
        {"3129", "words [3129] number=3129"},
        {TRACE, "trace " TRACE},
        {"4BF92F3577B34DA6A3CE929D0E0E4736", "trace " TRACE},
        {"00-" TRACE "-00f067aa0ba902b7-01", "trace " TRACE},
        {"http://jaeger:16686/trace/" TRACE "?uiFind=x", "trace " TRACE},
        {"http://localhost:9465/#/runs/123/2?server=x", "run run=123 attempt=2"},
        {"https://ci.example/ghatrace/#/commits/" SHA, "commit " SHA},
        {SHA, "commit " SHA},
        {"9fceb02", "commit 9fceb02"},
        {"1234567890123456789012345678901234567890",
         "commit 1234567890123456789012345678901234567890"},
        {"9fceb0", "words [9fceb0]"},
        {"defaced", "words [defaced]"},
        {"99999999999999999999", "words [99999999999999999999]"}, // beyond 64 bits
        {"-5", "words [-5]"},
        {"+5", "words [+5]"},
    };
    (void)state;
    assert_meanings(pasted, sizeof pasted / sizeof pasted[0]);
}

static void everything_else_is_words(void **state)
{
    static const struct pasted pasted[] = {
        {"", "all"},
        {"  \t ", "all"},
        {"acme/shop", "words [acme/shop]"},
        {"@mona", "words [mona]"},
        {"@", "words [@]"},
        {" nightly\tbuild  failed ", "words [nightly] [build] [failed]"},
        {"feature/cart", "words [feature/cart]"},
        {"v1.2/rc", "words [v1.2/rc]"},
        {"https://", "words [https://]"},
        {"https://github.com/acme", "words [https://github.com/acme]"},
        {"https://github.com/acme/shop fails", "words [https://github.com/acme/shop] [fails]"},
        {"\xc3\xa4pfel \xe2\x9c\x93", "words [\xc3\xa4pfel] [\xe2\x9c\x93]"},
        {"#", "words [#]"},
        {"\"quoted\"", "words [\"quoted\"]"},
    };
    (void)state;
    assert_meanings(pasted, sizeof pasted / sizeof pasted[0]);
}

static void words_beyond_the_limit_are_ignored(void **state)
{
    struct run_search search;
    (void)state;
    run_search_parse(SLICE("a b c d e f g h i j k l m n o p q r s t u v w x y z"), &search);
    assert_int_equal(search.word_count, RUN_SEARCH_WORDS_MAX);
}

// --- matching ---------------------------------------------------------------------------------------------------

static const struct run_view run = {
    .run_id = 123,
    .run_attempt = 2,
    .run_number = 3129,
    .repository = {"Acme/Shop", 9},
    .workflow = {"Nightly build", 13},
    .title = {"Fix the \xc3\xa4pfel", 14},
    .branch = {"feature/cart", 12},
    .event_name = {"push", 4},
    .actor = {"mona", 4},
    .result = {"timeout", 7},
    .conclusion = {"timed_out", 9},
    .trace = {{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e,
               0x47, 0x36}},
};

static void assert_matches(const char *text, enum run_search_match expected)
{
    struct run_search search;
    run_search_parse(slice_from_string(text), &search);
    if (run_search_match(&search, &run) != expected)
        fail_msg("%s: %d", text, (int)run_search_match(&search, &run));
}

static void a_run_is_found_by_what_it_is(void **state)
{
    static const char *const found[] = {
        "",
        "acme/shop",
        "NIGHTLY",
        "build shop cart",
        "\xc3\xa4pfel",
        "@mona",
        "mona push",
        "timed_out",
        "timeout",
        "failed",
        "#3129",
        "3129",
        "123",
        "123/2",
        "#3129 nightly",
        TRACE,
        "https://github.com/acme/shop",
        "https://github.com/acme/shop/tree/feature/cart",
        "https://github.com/acme/shop/actions/runs/123",
        "https://github.com/acme/shop/actions/runs/123/attempts/2",
    };
    static const char *const not_found[] = {
        "acme/shop2",
        "nightly deploy",
        "#312",
        "#31290",
        "123/1",
        "00000000000000000000000000000001",
        "https://ghe.example/acme/shop",
        "https://github.com/acme/shopping",
        "https://github.com/acme/shop/tree/main",
        "https://github.com/acme/shop/actions/runs/123/attempts/1",
        "https://ghe.example/acme/shop/actions/runs/123",
    };
    (void)state;
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++)
        assert_matches(found[i], RUN_SEARCH_YES);
    for (size_t i = 0; i < sizeof not_found / sizeof not_found[0]; i++)
        assert_matches(not_found[i], RUN_SEARCH_NO);
    assert_matches("456", RUN_SEARCH_BY_JOB);
    assert_matches("9fceb02", RUN_SEARCH_BY_ROOT);
    assert_matches("https://github.com/acme/shop/pull/7", RUN_SEARCH_BY_ROOT);
    assert_matches("https://github.com/acme/other/pull/7", RUN_SEARCH_NO);
    assert_matches("https://github.com/acme/shop/runs/456", RUN_SEARCH_BY_JOB);
    assert_matches("https://github.com/acme/shop/actions/workflows/ci.yml", RUN_SEARCH_BY_ROOT);
}

static void assert_root(const char *text, const struct run_search_root *root, bool expected)
{
    struct run_search search;
    run_search_parse(slice_from_string(text), &search);
    assert_int_equal(run_search_match_root(&search, root), expected);
}

static void commit_pull_request_and_workflow_are_compared_with_the_root(void **state)
{
    const struct run_search_root root = {
        .revision = SLICE(SHA), .pull = 7, .workflow_path = SLICE(".github/workflows/ci.yml")};
    const struct run_search_root none = {.pull = 0};
    (void)state;
    assert_root("9fceb02", &root, true);
    assert_root("9FCEB02D", &root, true);
    assert_root("9fceb03", &root, false);
    assert_root(SHA, &root, true);
    assert_root(SHA, &none, false);
    assert_root("https://github.com/acme/shop/pull/7", &root, true);
    assert_root("https://github.com/acme/shop/pull/8", &root, false);
    assert_root("https://github.com/acme/shop/pull/8", &none, false);
    assert_root("https://github.com/acme/shop/actions/workflows/ci.yml", &root, true);
    assert_root("https://github.com/acme/shop/actions/workflows/i.yml", &root, false);
    assert_root("https://github.com/acme/shop/actions/workflows/ci.yml", &none, false);
    const struct run_search_root elsewhere = {
        .workflow_path = SLICE("acme/ci/.github/workflows/ci.yml@refs/heads/main")};
    assert_root("https://github.com/acme/shop/actions/workflows/ci.yml", &elsewhere, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_of_github_say_what_they_are),
        cmocka_unit_test(ids_say_what_they_are),
        cmocka_unit_test(everything_else_is_words),
        cmocka_unit_test(words_beyond_the_limit_are_ignored),
        cmocka_unit_test(a_run_is_found_by_what_it_is),
        cmocka_unit_test(commit_pull_request_and_workflow_are_compared_with_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
