// A replay of a pool's jobs, in sentences.
#include "ghatrace/term/whatif.h"

#include <inttypes.h>
#include <stdio.h>

#define SHARED_NAMED 5 // pools
#define NAME_COLUMNS 60

// Writes nothing after the first failure.
struct page {
    const struct whatif_answer *answer;
    const struct terminal *terminal;
    struct arena *scratch;
    struct buffer *out;
    enum error_code code;
};

#define PUT(page, ...)                                                                             \
    do {                                                                                           \
        if ((page)->code == ERROR_NONE)                                                            \
            (page)->code = buffer_append_format((page)->out, __VA_ARGS__);                         \
    } while (0)

static struct slice clean_pool_name(const struct terminal *terminal, struct arena *scratch,
                                    struct slice raw)
{
    struct slice clean;
    if (!text_clean(scratch, raw, terminal->unicode, &clean))
        return SLICE("?");
    return text_prefix(clean, NAME_COLUMNS);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

struct length_text {
    char text[TIMESTAMP_TEXT_SIZE];
};

static struct length_text format_short_length(duration_ns duration)
{
    struct length_text length;
    (void)duration_format_short(duration, length.text);
    return length;
}

// --- what it was, and would be --------------------------------------------------------------------

static void put_waits(struct page *page, const struct whatif_waits *waits)
{
    PUT(page, "half of the jobs waited at most %s, 90 %% at most %s, 99 %% at most %s",
        format_short_length(waits->p50).text, format_short_length(waits->p90).text,
        format_short_length(waits->p99).text);
    if (waits->waiting > 0)
        PUT(page, "; %" PRIu64 " still %s, counted with the wait so far", waits->waiting,
            waits->waiting == 1 ? "waits" : "wait");
    PUT(page, ".\n");
}

static void put_pool(struct page *page)
{
    const struct whatif_answer *answer = page->answer;
    const struct whatif_window *window = &answer->question.window;
    char from[TIMESTAMP_TEXT_SIZE];
    struct slice name = clean_pool_name(page->terminal, page->scratch, answer->name);
    PUT(page, "Pool %.*s: %" PRIu64 " job%s became ready since %s.\n", SLICE_ARGS(name),
        answer->jobs, plural(answer->jobs), timestamp_format_rfc3339(window->from, false, from));
    if (answer->kept_since > window->from)
        PUT(page,
            "The first completed job that is stored ended at %s; what was before is not known.\n",
            timestamp_format_rfc3339(answer->kept_since, false, from));
}

static void put_limit_above(struct page *page)
{
    const struct ceiling_rule *ceiling = page->answer->ceiling;
    if (ceiling != NULL)
        PUT(page,
            "Its jobs count towards the ceiling \"%.*s\" of %" PRIu64
            " running jobs: while that is "
            "reached, more runners of this pool do not help.\n",
            SLICE_ARGS(ceiling->name), ceiling->limit);
}

static void put_recorded(struct page *page)
{
    const struct whatif_answer *answer = page->answer;
    PUT(page, "As it was, with at most %" PRIu64 " busy at once: ", answer->fit.observed);
    put_waits(page, &answer->recorded);
}

static void put_answers(struct page *page)
{
    const struct whatif_answer *answer = page->answer;
    const struct whatif_question *question = &answer->question;
    if (question->has_runners) {
        PUT(page, "With %" PRIu64 " runner%s: ", question->runners, plural(question->runners));
        put_waits(page, &answer->replayed);
    }
    PUT(page, "The fewest runners with which 90 %% wait at most %s: %" PRIu64 ".\n",
        format_short_length(question->target).text, answer->fewest);
}

// --- the model's error ----------------------------------------------------------------------------

static void put_shared(struct page *page)
{
    const struct whatif_answer *answer = page->answer;
    size_t named = answer->shared_count < SHARED_NAMED ? answer->shared_count : SHARED_NAMED;
    PUT(page, "- Its runners also took jobs of %zu other pool%s: ", answer->shared_count,
        plural(answer->shared_count));
    for (size_t i = 0; i < named; i++) {
        const struct whatif_shared *shared = &answer->shared[i];
        struct slice name = shared->name.len > 0
                                ? clean_pool_name(page->terminal, page->scratch, shared->name)
                                : SLICE("one that is not listed");
        PUT(page, "%s%.*s (%" PRIu64 " job%s)", i > 0 ? ", " : "", SLICE_ARGS(name), shared->jobs,
            plural(shared->jobs));
    }
    PUT(page, "%s.\n", named < answer->shared_count ? ", ..." : "");
}

static void put_reasons(struct page *page)
{
    const struct whatif_answer *answer = page->answer;
    const struct whatif_fit *fit = &answer->fit;
    bool is_silent = !fit->has_few_jobs && !fit->has_idle && !fit->has_floor;
    if (fit->has_few_jobs)
        PUT(page, "- There are only %" PRIu64 " jobs: single ones decide how long 90 %% waited.\n",
            answer->jobs);
    if (fit->has_floor)
        PUT(page,
            "- 9 of 10 jobs that became ready while fewer than %" PRIu64
            " were busy waited at least %s, as if a runner were made for each: more runners do not "
            "shorten that.\n",
            fit->observed, format_short_length(fit->floor).text);
    if (fit->has_idle)
        PUT(page,
            "- In %u %% of the time in which jobs waited%s, fewer than %" PRIu64
            " were busy: the number of runners changed, or they were held back by other pools or "
            "by a common limit.\n",
            fit->idle_percent, fit->has_floor ? " longer than that" : "", fit->observed);
    if (answer->shared_count > 0)
        put_shared(page);
    if (is_silent && answer->shared_count == 0 && !fit->is_explained)
        PUT(page, "- The records show no reason.\n");
}

static void put_fit(struct page *page)
{
    const struct whatif_answer *answer = page->answer;
    const struct whatif_fit *fit = &answer->fit;
    if (fit->is_explained && fit->error_percent <= WHATIF_ERROR_MAX)
        PUT(page, "The model explains the recorded p90 within %u %%", fit->error_percent);
    else if (fit->is_explained)
        PUT(page, "The model explains the recorded p90 within %s",
            format_short_length(WHATIF_ERROR_MAX_NS).text);
    else
        PUT(page, "The model does not explain the recorded p90, so do not rely on it");
    PUT(page, ": replayed with %" PRIu64 " runner%s, 90 %% wait at most %s instead of %s.\n",
        fit->observed, plural(fit->observed), format_short_length(fit->replayed.p90).text,
        format_short_length(answer->recorded.p90).text);
    put_reasons(page);
}

// That a model is not to be relied on is said before what it answers.
static void put_replay(struct page *page)
{
    bool is_explained = page->answer->fit.is_explained;
    put_recorded(page);
    if (!is_explained)
        put_fit(page);
    put_answers(page);
    if (is_explained)
        put_fit(page);
}

enum error_code whatif_render(const struct whatif_answer *answer, const struct terminal *terminal,
                              struct arena *scratch, struct buffer *out, struct error *error)
{
    struct page page = {answer, terminal, scratch, out, ERROR_NONE};
    put_pool(&page);
    put_limit_above(&page);
    if (answer->jobs > 0)
        put_replay(&page);
    if (page.code != ERROR_NONE)
        return error_set(error, page.code, "what if: %s", error_code_text(page.code));
    return ERROR_NONE;
}

enum error_code whatif_refuse(const struct whatif_answer *answer, const struct terminal *terminal,
                              struct arena *scratch, struct error *error)
{
    char names[200] = "";
    struct slice asked = text_prefix(clean_pool_name(terminal, scratch, answer->question.pool), 40);
    for (size_t i = 0; i < answer->near_count; i++) {
        struct slice name = text_prefix(clean_pool_name(terminal, scratch, answer->near[i]), 40);
        size_t len = strlen(names);
        (void)snprintf(names + len, sizeof names - len, "%s\"%.*s\"", i > 0 ? " or " : "",
                       SLICE_ARGS(name));
    }
    if (answer->near_count == 0)
        return error_set(error, ERROR_NOT_FOUND, "there is no pool \"%.*s\", nor any other yet",
                         SLICE_ARGS(asked));
    return error_set(error, ERROR_NOT_FOUND, "there is no pool \"%.*s\": %s %s%s",
                     SLICE_ARGS(asked),
                     answer->is_similar ? "did you mean" : "there is for example", names,
                     answer->is_similar ? "?" : "");
}
