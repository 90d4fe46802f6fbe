// Draws the runs of a commit: head, rows (waterfall.c), what the commit waited for.
#include "ghatrace/term/commit.h"

#include <stdio.h>

#include "ghatrace/github/server.h"
#include "ghatrace/trace/spans.h"
#include "painter.h"
#include "waterfall_rows.h"

#define PIECES_MAX 24
#define SHORT_SHA 10

struct commit_picture {
    struct painter painter;
    struct arena *scratch;
    const struct waterfall_options *options;
    struct painter_piece pieces[PIECES_MAX]; // of the paragraph that is being made
    size_t count;
};

// --- texts ----------------------------------------------------------------------------------------

static void add_clean(struct commit_picture *picture, enum style style, struct slice clean)
{
    if (picture->count < PIECES_MAX && clean.len > 0)
        picture->pieces[picture->count++] = (struct painter_piece){style, clean, false};
}

// If memory runs out, the drawing fails.
static struct slice clean_of(struct commit_picture *picture, struct slice raw)
{
    struct slice text = SLICE_EMPTY;
    if (raw.len > 0 && !text_clean(picture->scratch, raw, picture->painter.terminal.unicode, &text))
        painter_fail(&picture->painter, ERROR_MEMORY);
    return text;
}

// Of text that is clean already.
static void add_joined(struct commit_picture *picture, enum style style, const char *before,
                       struct slice clean, const char *after)
{
    struct slice text = SLICE_EMPTY;
    if (clean.len == 0)
        return;
    if (!arena_format(picture->scratch, &text, "%s%.*s%s", before, SLICE_ARGS(clean), after))
        painter_fail(&picture->painter, ERROR_MEMORY);
    add_clean(picture, style, text);
}

static void add_length(struct commit_picture *picture, enum style style, const char *before,
                       duration_ns length, const char *after)
{
    char text[TIMESTAMP_TEXT_SIZE];
    add_joined(picture, style, before, slice_from_string(duration_format_short(length, text)),
               after);
}

static void end_line(struct commit_picture *picture, const char *between)
{
    if (picture->count > 0)
        painter_paragraph(&picture->painter, picture->pieces, picture->count, between, 0);
    picture->count = 0;
}

// --- head -----------------------------------------------------------------------------------------

static enum style style_of_outcome(enum view_outcome outcome)
{
    switch (outcome) {
    case OUTCOME_SUCCESS:
        return STYLE_GREEN;
    case OUTCOME_FAILURE:
        return STYLE_RED;
    case OUTCOME_CANCELLED:
        return STYLE_MAGENTA;
    case OUTCOME_UNKNOWN:
    case OUTCOME_SKIPPED:
    case OUTCOME_CARRIED_OVER:
    case OUTCOME_COUNT:
        break;
    }
    return STYLE_GREY;
}

// acme/rocket · commit 4f2c1a9b7e · success · 13m 22s from the push to the last end
static void paint_result_line(struct commit_picture *picture, const struct commit_group *group,
                              const struct commit_id *id)
{
    char sha[COMMIT_ID_TEXT_SIZE];
    enum view_outcome outcome = view_outcome_of(group->conclusion);
    commit_id_text(id, sha);
    if (group->server.len > 0)
        add_joined(picture, STYLE_BOLD, "", clean_of(picture, github_server_name(group->server)),
                   "");
    add_clean(picture, STYLE_BOLD, clean_of(picture, group->repository));
    add_joined(picture, STYLE_BOLD, "commit ", (struct slice){sha, SHORT_SHA}, "");
    if (group->is_open)
        add_clean(picture, STYLE_BLUE, SLICE("still running"));
    if (group->conclusion.len > 0)
        add_clean(picture, style_of_outcome(outcome), view_conclusion_words(group->conclusion));
    else if (!group->is_open)
        add_clean(picture, STYLE_GREY, SLICE("no result"));
    bool is_push = slice_equals(group->source->view.event_name, SLICE("push"));
    if (group->first != TIMESTAMP_UNKNOWN && group->is_open)
        add_length(picture, STYLE_BOLD, "", group->last - group->first,
                   is_push ? " since the push" : " since the first start");
    else if (group->first != TIMESTAMP_UNKNOWN)
        add_length(picture, STYLE_BOLD, "", group->last - group->first,
                   is_push ? " from the push to the last end"
                           : " from the first start to the last end");
    end_line(picture, painter_separator(&picture->painter));
}

static void paint_source_line(struct commit_picture *picture, const struct commit_group *group)
{
    const struct run_view *source = &group->source->view;
    char text[TIMESTAMP_TEXT_SIZE];
    add_clean(picture, STYLE_PLAIN, clean_of(picture, source->title));
    add_clean(picture, STYLE_GREY, clean_of(picture, source->branch));
    add_joined(picture, STYLE_GREY, "by ", clean_of(picture, source->actor), "");
    if (group->first != TIMESTAMP_UNKNOWN) {
        struct slice time = slice_from_string(timestamp_format_rfc3339(group->first, false, text));
        add_joined(picture, STYLE_GREY, "", time, "");
    }
    end_line(picture, painter_separator(&picture->painter));
}

// --- what it waited for ---------------------------------------------------------------------------

static void add_link(struct commit_picture *picture, const struct commit_group *group, size_t i)
{
    const struct commit_link *link = &group->chain[i];
    bool is_first_of_run = i == 0 || group->chain[i - 1].run != link->run;
    struct slice workflow = clean_of(picture, link->run->view.workflow);
    struct slice job = link->job != NULL ? clean_of(picture, link->job->name) : SLICE_EMPTY;
    struct slice text = SLICE_EMPTY;
    char length[TIMESTAMP_TEXT_SIZE];
    duration_format_short(waterfall_length(link->time), length);
    if (!arena_format(picture->scratch, &text, "%.*s%s%.*s %s",
                      is_first_of_run || job.len == 0 ? (int)workflow.len : 0, workflow.data,
                      is_first_of_run && workflow.len > 0 && job.len > 0 ? " / " : "",
                      SLICE_ARGS(job), length))
        painter_fail(&picture->painter, ERROR_MEMORY);
    add_clean(picture, STYLE_PLAIN, text);
}

// CI / build 1m58s → test 2m58s → Deploy / deploy 8m10s
static void paint_chain(struct commit_picture *picture, const struct commit_group *group)
{
    // Of a long chain the end, which is what the commit waited for last.
    size_t first = group->chain_count > PIECES_MAX ? group->chain_count - PIECES_MAX : 0;
    for (size_t i = first; i < group->chain_count; i++)
        add_link(picture, group, i);
    end_line(picture, picture->painter.terminal.unicode ? " \u2192 " : " > ");
}

// waited for: approval 6m40s, the queue 1m30s, start-up 9s, execution 4m47s, other 16s
static void paint_waited_for(struct commit_picture *picture, const struct commit_group *group)
{
    static const char *const names[PHASE_COUNT] = {"approval ", "the queue ", "start-up ",
                                                   "execution "};
    static const enum style styles[PHASE_COUNT] = {STYLE_PLAIN, STYLE_YELLOW, STYLE_CYAN,
                                                   STYLE_GREEN};
    const char *before = group->is_open ? "waits for: " : "waited for: ";
    char words[64];
    for (size_t phase = 0; phase < PHASE_COUNT; phase++) {
        if (group->waited.phases[phase] == 0)
            continue;
        (void)snprintf(words, sizeof words, "%s%s", picture->count == 0 ? before : "",
                       names[phase]);
        add_length(picture, styles[phase], words, group->waited.phases[phase], "");
    }
    if (picture->count == 0) // all of it is `other`
        add_joined(picture, STYLE_GREY, before, SLICE("no job of it is known"), "");
    else if (group->waited.other >= NS_PER_SECOND)
        add_length(picture, STYLE_GREY, "between jobs ", group->waited.other, "");
    end_line(picture, ", ");
}

// --- rows -----------------------------------------------------------------------------------------

static bool name_run(struct commit_picture *picture, const struct commit_run *run,
                     struct waterfall_row *row)
{
    const struct run_view *view = &run->view;
    struct slice workflow = clean_of(picture, view->workflow);
    if (workflow.len == 0)
        workflow = SLICE("(no name)");
    if (view->is_open) {
        row->mark = MARK_RUNNING;
        row->note = SLICE_EMPTY;
    }
    row->name = workflow;
    return (run->is_newest && view->run_attempt <= 1) ||
           arena_format(picture->scratch, &row->name, "%.*s, attempt %lld", SLICE_ARGS(workflow),
                        (long long)view->run_attempt);
}

static enum error_code build_runs(struct commit_picture *picture, const struct commit_group *group,
                                  struct waterfall *runs)
{
    for (size_t i = 0; i < group->count; i++) {
        const struct commit_run *run = &group->runs[i];
        enum error_code code =
            waterfall_build(&run->view, picture->options->now, picture->painter.terminal.unicode,
                            picture->scratch, &runs[i]);
        if (code != ERROR_NONE || !name_run(picture, run, &runs[i].root))
            return ERROR_MEMORY;
        if (!run->is_counted)
            runs[i].root.note = SLICE("scheduled, does not count");
    }
    return ERROR_NONE;
}

static void paint_group(struct commit_picture *picture, const struct commit_group *group,
                        const struct commit_id *id)
{
    struct waterfall *runs = arena_allocate_array(picture->scratch, group->count, sizeof *runs);
    if (runs == NULL || build_runs(picture, group, runs) != ERROR_NONE) {
        painter_fail(&picture->painter, ERROR_MEMORY);
        return;
    }
    paint_result_line(picture, group, id);
    paint_source_line(picture, group);
    painter_newline(&picture->painter);
    waterfall_paint_runs(&picture->painter, runs, group->count, picture->scratch);
    painter_newline(&picture->painter);
    paint_chain(picture, group);
    paint_waited_for(picture, group);
}

enum error_code commit_render(const struct commit_view *view,
                              const struct waterfall_options *options, struct arena *scratch,
                              struct buffer *out, struct error *error)
{
    struct commit_picture picture = {.scratch = scratch, .options = options};
    painter_init(&picture.painter, &options->terminal, out);
    for (size_t i = 0; i < view->group_count; i++) {
        if (i > 0)
            painter_newline(&picture.painter);
        paint_group(&picture, &view->groups[i], &view->id);
    }
    if (view->has_more) {
        char text[80];
        (void)snprintf(text, sizeof text, "there are more runs: only the newest %d were read",
                       COMMIT_VIEW_RUNS);
        painter_string(&picture.painter, STYLE_YELLOW, text);
        painter_newline(&picture.painter);
    }
    enum error_code code = painter_finish(&picture.painter);
    return code == ERROR_NONE ? ERROR_NONE
                              : error_set(error, code, "draw a commit: %s", error_code_text(code));
}

enum error_code commit_render_choices(const struct commit_choices *choices,
                                      const struct waterfall_options *options,
                                      struct arena *scratch, struct buffer *out,
                                      struct error *error)
{
    struct commit_picture picture = {.scratch = scratch, .options = options};
    painter_init(&picture.painter, &options->terminal, out);
    for (size_t i = 0; i < choices->count; i++) {
        const struct commit_choice *choice = &choices->list[i];
        char sha[COMMIT_ID_TEXT_SIZE];
        painter_string(&picture.painter, STYLE_BOLD, commit_id_text(&choice->id, sha));
        painter_blanks(&picture.painter, 2);
        painter_text(&picture.painter, STYLE_PLAIN, clean_of(&picture, choice->run.repository));
        painter_blanks(&picture.painter, 2);
        painter_text(&picture.painter, STYLE_GREY, clean_of(&picture, choice->run.title));
        painter_newline(&picture.painter);
    }
    if (choices->has_more) {
        painter_string(&picture.painter, STYLE_GREY, "and more");
        painter_newline(&picture.painter);
    }
    enum error_code code = painter_finish(&picture.painter);
    return code == ERROR_NONE ? ERROR_NONE
                              : error_set(error, code, "list commits: %s", error_code_text(code));
}

// --- one commit, or several that begin with the same digits -----------------------------------------

static enum error_code refuse_choices(const struct commit_found *found, struct error *error)
{
    return error_set(error, ERROR_USAGE,
                     "commit %.*s: %zu%s commits begin with these digits: write more of them",
                     SLICE_ARGS(found->text), found->choices.count,
                     found->choices.has_more ? " and more" : "");
}

enum error_code commit_render_found(const struct commit_found *found,
                                    const struct waterfall_options *options, struct arena *scratch,
                                    struct buffer *out, struct error *error)
{
    if (found->choices.count > 1) {
        enum error_code code = commit_render_choices(&found->choices, options, scratch, out, error);
        return code == ERROR_NONE ? refuse_choices(found, error) : code;
    }
    return found->view.group_count > 0 ? commit_render(&found->view, options, scratch, out, error)
                                       : commit_not_found(found->text, error);
}

enum error_code commit_show(const struct view_reader *reader, struct slice text,
                            const struct waterfall_options *options, struct buffer *out)
{
    const struct run_view_limits limits = {
        .now = options->now, .job_grace = options->job_grace, .id_scheme = options->id_scheme};
    struct commit_prefix prefix;
    struct commit_found found = {.text = text};
    if (!commit_prefix_parse(text, &prefix))
        return commit_refuse_text(text, reader->error);
    enum error_code code = commit_view_find(reader, &prefix, &limits, &found.choices);
    if (code == ERROR_NONE && found.choices.count == 1)
        code = commit_view_load(reader, &found.choices.list[0].id, &limits, &found.view);
    return code == ERROR_NONE
               ? commit_render_found(&found, options, reader->arena, out, reader->error)
               : code;
}
