// Telling what came of a replay.
#include "ghatrace/app/replay_report.h"

#include <stdio.h>
#include <stdlib.h>

#define PROGRESS_FROM 100 // fewer requests are over before one has read a line
#define PROGRESS_EVERY (NS_PER_SECOND / 5)

enum error_code replay_report_init(struct replay_report *report, struct arena *arena,
                                   size_t expected, bool is_terminal, bool is_quiet,
                                   struct error *error)
{
    *report = (struct replay_report){
        .expected = expected,
        .microseconds = arena_allocate_array(arena, expected, sizeof *report->microseconds),
        .started_at = timestamp_monotonic(),
        .has_progress = is_terminal && expected >= PROGRESS_FROM,
        .is_quiet = is_quiet,
    };
    if (report->microseconds == NULL)
        return error_set(error, ERROR_MEMORY, "replay: out of memory");
    return ERROR_NONE;
}

// The string behind `"name":` up to the next quote; none of our answers has escapes in it.
static struct slice json_text(struct slice body, const char *name)
{
    char key[32];
    (void)snprintf(key, sizeof key, "\"%s\":\"", name);
    ptrdiff_t at = slice_find(body, slice_from_string(key));
    if (at < 0)
        return SLICE_EMPTY;
    size_t start = (size_t)at + strlen(key);
    struct slice rest = {.data = body.data + start, .len = body.len - start};
    ptrdiff_t end = slice_find(rest, SLICE("\""));
    return end < 0 ? SLICE_EMPTY : (struct slice){.data = rest.data, .len = (size_t)end};
}

static struct slice first_line(struct slice body)
{
    ptrdiff_t newline = slice_find(body, SLICE("\n"));
    return slice_trim(newline < 0 ? body
                                  : (struct slice){.data = body.data, .len = (size_t)newline});
}

char *replay_answer_text(struct slice body, char *text, size_t size)
{
    struct slice status = json_text(body, "status");
    struct slice reason = json_text(body, "reason");
    if (reason.len == 0)
        reason = json_text(body, "error");
    if (status.len == 0 && reason.len == 0)
        status = first_line(body);
    (void)snprintf(text, size, "%.*s%s%.*s", SLICE_ARGS(status),
                   status.len > 0 && reason.len > 0 ? ": " : "", SLICE_ARGS(reason));
    for (char *c = text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') // a server may say anything; a terminal obeys much
            *c = '?';
    }
    return text;
}

static bool is_success(int status)
{
    return status >= 200 && status <= 299;
}

static void show_progress(struct replay_report *report)
{
    timestamp_ns now = timestamp_monotonic();
    if (now - report->shown_at < PROGRESS_EVERY)
        return;
    report->shown_at = now;
    printf("\r%zu of %zu", report->count, report->expected);
    (void)fflush(stdout);
}

void replay_report_add(void *context, const struct replay_answer *answer)
{
    struct replay_report *report = context;
    int64_t us = answer->took / 1000;
    report->microseconds[report->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    if (answer->status >= 0 && answer->status < REPLAY_STATUS_MAX)
        report->by_status[answer->status]++;
    bool is_wanted = !is_success(answer->status) || !(report->is_quiet || report->has_progress);
    if (is_wanted) {
        char text[160];
        printf("%s%d %s  %s\n", report->has_progress ? "\r" : "", answer->status,
               replay_answer_text(answer->body, text, sizeof text), answer->delivery->name);
    }
    if (report->has_progress)
        show_progress(report);
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// By nearest rank.
static double percentile_ms(const struct replay_report *report, size_t percent)
{
    size_t rank = (report->count * percent + 99) / 100;
    return report->microseconds[rank > 0 ? rank - 1 : 0] / 1000.0;
}

void replay_report_print(struct replay_report *report)
{
    double seconds = (double)(timestamp_monotonic() - report->started_at) / (double)NS_PER_SECOND;
    printf("%s%zu of %zu answered in %.2f s (%.0f a second)", report->has_progress ? "\r" : "",
           report->count, report->expected, seconds,
           seconds > 0 ? (double)report->count / seconds : 0.0);
    const char *separator = ": ";
    for (int status = 0; status < REPLAY_STATUS_MAX; status++) {
        if (report->by_status[status] == 0)
            continue;
        printf("%s%zu x %d", separator, report->by_status[status], status);
        separator = ", ";
    }
    if (report->count > 0) {
        qsort(report->microseconds, report->count, sizeof *report->microseconds, compare_numbers);
        printf("; half within %.1f ms, 99 %% within %.1f ms, all within %.1f ms",
               percentile_ms(report, 50), percentile_ms(report, 99), percentile_ms(report, 100));
    }
    printf("\n");
}

bool replay_report_is_success(const struct replay_report *report)
{
    size_t good = 0;
    for (int status = 200; status <= 299; status++)
        good += report->by_status[status];
    return good == report->expected;
}
