// Pictures of random runs at every width: properties of each line, whatever the names contain.
/* The widths are measured by the C library's tables (wcwidth), not by ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/term/runs.h"
#include "ghatrace/term/waterfall.h"

#include "sample_run.h"

#define ROUNDS 400

static uint32_t seed = 1;

static uint32_t roll(uint32_t sides)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % sides;
}

// Parts of names: plain, wide, combining, control characters, invalid UTF-8.
static const char *const parts[] = {
    "build",
    " / ",
    "test (",
    "ubuntu-latest",
    ", 3.12)",
    " ",
    "  ",
    "日本語",
    "テスト",
    "한국",
    "🚀",
    "e\u0301",
    "z\u0300\u0301\u0302\u0303\u0304",
    "\u0e17\u0e35\u0e48",
    "\x1b[31m",
    "\x1b]0;owned\x07",
    "\r",
    "\n",
    "\t",
    "\x7f",
    "\xc2\x9b",
    "2J",
    "\u202e",
    "\u2066",
    "\u200d",
    "\ufe0f",
    "\u2028",
    "\xff",
    "\xe6\x97",
    "\xf0\x9f",
    "\u00a0",
    "\u3000",
    "\\",
    "%s%n",
    "👩\u200d💻",
    "🇩🇪",
    "ﷺ",
    "\u0301",
    "…",
    "\U000e0041",
};

static struct slice random_name(char *out, size_t size)
{
    size_t len = 0;
    for (uint32_t left = roll(12); left > 0; left--) {
        struct slice part = slice_from_string(parts[roll(sizeof(parts) / sizeof(parts[0]))]);
        if (len + part.len > size)
            break;
        memcpy(out + len, part.data, part.len);
        len += part.len;
    }
    return (struct slice){out, len};
}

static void skip_escape(struct slice *rest)
{
    // Only ours: ESC [ digits and semicolons m.
    size_t len = 2;
    assert_true(rest->len > 2 && rest->data[1] == '[');
    while (len < rest->len && rest->data[len] != 'm') {
        assert_non_null(strchr("0123456789;", rest->data[len]));
        len++;
    }
    rest->data += len + 1;
    rest->len -= len + 1;
}

static size_t sample_line(struct slice line, bool colour, bool ascii)
{
    size_t width = 0;
    char last = 'x';
    while (line.len > 0) {
        if (colour && line.data[0] == '\x1b') {
            skip_escape(&line);
            continue;
        }
        wchar_t character;
        size_t len = utf8_sequence_length(line);
        mbstate_t shift = {0};
        assert_true(len > 0 && (!ascii || len == 1));
        assert_int_equal(mbrtowc(&character, line.data, len, &shift), len);
        int columns = wcwidth(character);
        if (columns < 0)
            fail_msg("U+%04X cannot be printed", (unsigned)character);
        width += (size_t)columns;
        last = line.data[0];
        line.data += len;
        line.len -= len;
    }
    assert_int_not_equal(last, ' ');
    return width;
}

static void assert_fits(struct slice text, struct terminal terminal)
{
    assert_true(text.len > 0 && text.data[text.len - 1] == '\n');
    while (text.len > 0) {
        const char *end = memchr(text.data, '\n', text.len);
        struct slice line = {text.data, (size_t)(end - text.data)};
        size_t width = sample_line(line, terminal.colour, !terminal.unicode);
        if (width > terminal.width)
            fail_msg("%zu columns of %zu: %.*s", width, terminal.width, SLICE_ARGS(line));
        text.data += line.len + 1;
        text.len -= line.len + 1;
    }
}

static double random_seconds(void)
{
    static const uint32_t spans[] = {2, 100, 4000, 100000, 3000000};
    return (double)roll(spans[roll(5)]) + (roll(3) == 0 ? 0.357 : 0);
}

static void random_job(struct sample_run *run, char names[][256])
{
    static const char *const conclusions[] = {"success", "failure",   "cancelled", "skipped",
                                              "stale",   "timed_out", "\x1b[2J",   NULL};
    struct sample_times t = {.created = random_seconds()};
    t.released = t.created + (roll(4) == 0 ? random_seconds() : 0);
    t.started = t.released + random_seconds();
    t.executing = t.started + random_seconds();
    t.completed = t.executing + random_seconds();
    struct span *job = sample_job(run, random_name(names[0], 256), conclusions[roll(8)], t);
    if (roll(6) == 0)
        sample_add_flag(job, "github.carried_over");
    if (roll(6) == 0)
        sample_add_flag(job, "github.incomplete");
    // Times that no clock shows.
    if (roll(30) == 0)
        job->start = roll(2) == 0 ? 0 : INT64_MIN;
    if (roll(30) == 0)
        job->end = roll(2) == 0 ? 0 : INT64_MAX;
    for (uint32_t i = 1, steps = roll(5); i < steps; i++)
        sample_step(run, random_name(names[i], 256), conclusions[roll(8)],
                    t.started + random_seconds(), t.completed + random_seconds());
}

static void random_run(struct sample_run *run, char names[][256])
{
    sample_init(run);
    run->resource[1].string = random_name(names[0], 256);
    run->resource[2].string = random_name(names[1], 256);
    run->resource[4].string = random_name(names[2], 256);
    run->resource[5].string = random_name(names[3], 256);
    if (roll(4) != 0) {
        struct span *root = sample_root(run, random_seconds(), roll(3) == 0 ? "failure" : NULL);
        root->name = random_name(names[4], 256);
        sample_add(&root->attributes, "github.display_title", "");
        root->attributes.items[root->attributes.count - 1].string = random_name(names[5], 256);
    }
    for (uint32_t i = 0, jobs = roll(9); i < jobs; i++)
        random_job(run, names + 6 + 5 * i);
}

static void no_line_of_a_waterfall_is_too_wide(void **state)
{
    (void)state;
    static struct sample_run run;
    static char names[64][256];
    for (size_t round = 0; round < ROUNDS; round++) {
        struct waterfall_options options = {
            .terminal = {.width = 40 + round % 211, .colour = roll(2), .unicode = roll(4) != 0},
            .steps = roll(2),
        };
        struct arena arena;
        struct buffer text;
        struct run_view view;
        struct error error;

        random_run(&run, names);
        arena_init(&arena, 1 << 16);
        buffer_init(&text, 1 << 20);
        assert_int_equal(run_view_from_spans(run.batches, run.count, &arena, &view), ERROR_NONE);
        assert_int_equal(waterfall_render(&view, &options, &arena, &text, &error), ERROR_NONE);
        assert_fits(buffer_slice(&text), options.terminal);
        buffer_release(&text);
        arena_release(&arena);
        sample_release(&run);
    }
}

static void random_entry(struct runs_entry *entry, char names[][256], struct slice *labels)
{
    for (size_t i = 0; i < 3; i++)
        labels[i] = random_name(names[i], 256);
    *entry = (struct runs_entry){
        .run_id = roll(2) == 0 ? INT64_MAX : 33714470481,
        .run_attempt = 1 + roll(50),
        .job_id = roll(2) * 100520616165,
        .state = (enum runs_state)roll(4),
        .since = roll(5) == 0 ? TIMESTAMP_UNKNOWN : sample_time(random_seconds()),
        .repository = random_name(names[3], 256),
        .workflow = random_name(names[4], 256),
        .job_name = random_name(names[5], 256),
        .labels = labels,
        .label_count = roll(4),
    };
}

static void no_line_of_the_list_of_runs_is_too_wide(void **state)
{
    (void)state;
    static char names[6 * 12][256];
    struct runs_entry entries[12];
    struct slice labels[12][3];
    for (size_t round = 0; round < ROUNDS; round++) {
        struct terminal terminal = {
            .width = 40 + round % 211, .colour = roll(2), .unicode = roll(4) != 0};
        struct arena arena;
        struct buffer text;
        struct error error;
        size_t count = roll(13);

        for (size_t i = 0; i < count; i++)
            random_entry(&entries[i], names + 6 * i, labels[i]);
        arena_init(&arena, 1 << 16);
        buffer_init(&text, 1 << 20);
        const struct runs_list list = {.entries = entries, .count = count};
        const struct runs_options options = {terminal, sample_time(random_seconds())};
        assert_int_equal(runs_render(&list, &options, &arena, &text, &error), ERROR_NONE);
        assert_fits(buffer_slice(&text), terminal);
        buffer_release(&text);
        arena_release(&arena);
    }
}

static int use_utf8(void **state)
{
    (void)state;
    return setlocale(LC_ALL, "C.UTF-8") != NULL ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_line_of_a_waterfall_is_too_wide),
        cmocka_unit_test(no_line_of_the_list_of_runs_is_too_wide),
    };
    return cmocka_run_group_tests(tests, use_utf8, NULL);
}
