// ghatrace trace: one run, or all runs of a commit, as a waterfall.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ghatrace/admin/api_print.h"
#include "ghatrace/term/answers.h"
#include "ghatrace/term/commit.h"
#include "ghatrace/term/waterfall.h"
#include "ghatrace/trace/ids.h"
#include "remote.h"

#define PATH_SIZE 512

enum { FLAG_STEPS, FLAG_SERVER, FLAG_COMMIT, FLAG_JSON, FLAG_REMOTE };

static const struct flag flags[] = {
    [FLAG_COMMIT] = {"commit", NULL, "the number is a commit's SHA, also if a run has that number"},
    [FLAG_STEPS] = {"steps", NULL, "unfold the steps of the jobs"},
    [FLAG_SERVER] = {"server", "HOST",
                     "the run's server, if several servers have a run of that number"},
    [FLAG_JSON] = {"json", NULL, "print JSON, as /api/runs/RUN or /api/commits/SHA"},
    [FLAG_REMOTE] = REMOTE_FLAGS,
};

// --- what is asked for ----------------------------------------------------------------------------

struct trace_question {
    bool is_commit;
    struct run_selector run; // if it is no commit
    struct slice commit;     // digits of a SHA; of a run's number: if there is no such run
};

// Of "https://HOST/OWNER/NAME/commit/SHA" and ".../pull/1/commits/SHA" the SHA, else all of it.
static struct slice commit_text(const char *operand)
{
    static const char *const marks[] = {"/commit/", "/commits/"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const char *found = strstr(operand, marks[i]);
        if (found != NULL) {
            found += strlen(marks[i]);
            return (struct slice){found, strcspn(found, "/?#")};
        }
    }
    return slice_from_string(operand);
}

static enum error_code read_trace_question(const struct cli_args *cli_args,
                                           struct trace_question *question, struct error *error)
{
    const char *operand = cli_args->operands[0], *server = cli_args->flags[FLAG_SERVER];
    struct run_reference named;
    struct commit_prefix prefix;
    *question = (struct trace_question){.commit = commit_text(operand)};
    question->is_commit = cli_args->flags[FLAG_COMMIT] != NULL ||
                          !run_reference_parse(slice_from_string(operand), &named);
    if (!question->is_commit) {
        question->run = (struct run_selector){named.server, named.run_id, named.attempt};
        if (server != NULL)
            question->run.server = slice_from_string(server);
        return ERROR_NONE;
    }
    if (commit_prefix_parse(question->commit, &prefix))
        return ERROR_NONE;
    if (cli_args->flags[FLAG_COMMIT] != NULL || question->commit.data != operand)
        return commit_refuse_text(question->commit, error);
    return error_set(error, ERROR_USAGE,
                     "trace: \"%.80s\" is no run: write its number, or the address of its page; or "
                     "a commit's SHA",
                     operand);
}

// Whether a number of which there is no run may be a commit's.
static bool may_be_commit(const struct trace_question *question)
{
    struct commit_prefix prefix;
    return commit_prefix_parse(question->commit, &prefix);
}

static struct waterfall_options draw_options(const struct cli_args *cli_args, timestamp_ns now)
{
    return (struct waterfall_options){.terminal = terminal_detect_list(STDOUT_FILENO),
                                      .steps = cli_args->flags[FLAG_STEPS] != NULL,
                                      .now = now};
}

static void report_other_server(const struct waterfall_shown *shown, int64_t run_id)
{
    if (shown->also.len > 0)
        (void)fprintf(
            stderr,
            "ghatrace: this is run %lld of %.*s; the number also exists on %.*s: see --server\n",
            (long long)run_id, SLICE_ARGS(shown->server), SLICE_ARGS(shown->also));
}

// Several commits that begin with the digits are listed, although the command fails.
static enum error_code end_commit(enum error_code code, const struct buffer *text)
{
    if (code == ERROR_USAGE)
        store_tool_print(text);
    return code;
}

// --- from the store -------------------------------------------------------------------------------

static enum error_code print_trace_json(const struct store_tool *tool, bool is_commit,
                                        struct buffer *text, struct error *error)
{
    const struct trace_question *question = tool->question;
    const struct api_print print = {.store = tool->store,
                                    .pools = tool->config.pools,
                                    .id_scheme = tool->config.engine.policy.scheme,
                                    .trace_url = tool->config.trace_url,
                                    .now = timestamp_now(),
                                    .arena = tool->cli_args->arena,
                                    .out = text};
    return is_commit ? api_print_commit(&print, question->commit, error)
                     : api_print_run(&print, &question->run, error);
}

static enum error_code draw_stored(const struct store_tool *tool, const struct view_reader *reader,
                                   bool is_commit, struct buffer *text)
{
    const struct trace_question *question = tool->question;
    struct waterfall_options waterfall = draw_options(tool->cli_args, timestamp_now());
    struct waterfall_shown shown;
    waterfall.id_scheme = tool->config.engine.policy.scheme;
    waterfall.job_grace = tool->config.engine.policy.job_grace;
    if (is_commit) {
        enum error_code code = commit_show(reader, question->commit, &waterfall, text);
        store_tool_report_unreadable(store_unreadable(reader->transaction));
        return end_commit(code, text);
    }
    enum error_code code = waterfall_show(reader, &question->run, &waterfall, text, &shown);
    store_tool_report_unreadable(shown.unreadable);
    if (code == ERROR_NONE)
        report_other_server(&shown, question->run.run_id);
    return code;
}

static enum error_code write_stored(const struct store_tool *tool, bool is_commit,
                                    struct buffer *text, struct error *error)
{
    struct view_reader reader = {.arena = tool->cli_args->arena, .error = error};
    if (tool->cli_args->flags[FLAG_JSON] != NULL)
        return print_trace_json(tool, is_commit, text, error);
    enum error_code code = store_begin(tool->store, false, &reader.transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = draw_stored(tool, &reader, is_commit, text);
    store_abort(reader.transaction);
    return code;
}

static enum error_code show_trace(const struct store_tool *tool, struct buffer *text,
                                  struct error *error)
{
    const struct trace_question *question = tool->question;
    struct error other;
    enum error_code code = write_stored(tool, question->is_commit, text, error);
    if (code != ERROR_NOT_FOUND || question->is_commit || !may_be_commit(question))
        return code;
    buffer_clear(text);
    code = write_stored(tool, true, text, &other);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        *error = other;
    return code;
}

// --- from a daemon --------------------------------------------------------------------------------

// The API's path of a run, whose server may be empty.
static bool write_run_path(const struct run_selector *run, char path[PATH_SIZE])
{
    size_t len = (size_t)snprintf(path, PATH_SIZE, "api/runs/%lld", (long long)run->run_id);
    if (run->run_attempt > 0)
        len += (size_t)snprintf(path + len, PATH_SIZE - len, "/%lld", (long long)run->run_attempt);
    if (run->server.len > 0)
        len += (size_t)snprintf(path + len, PATH_SIZE - len, "?server=");
    for (size_t i = 0; i < run->server.len && len < PATH_SIZE; i++)
        len += (size_t)snprintf(path + len, PATH_SIZE - len, "%%%02x",
                                (unsigned char)run->server.data[i]);
    return len < PATH_SIZE;
}

static enum error_code draw_answer_of_run(const struct remote_call *call,
                                          const struct answer *answer, struct buffer *text)
{
    struct run_answer found;
    enum error_code code = answer_read_run(answer, &found);
    if (code != ERROR_NONE)
        return code;
    const struct trace_question *question = call->question;
    const struct waterfall_options waterfall = draw_options(call->cli_args, found.now);
    const struct waterfall_shown shown = {.server = found.server, .also = found.also};
    code = waterfall_render(&found.view, &waterfall, answer->arena, text, answer->error);
    store_tool_report_unreadable(found.unreadable);
    if (code == ERROR_NONE)
        report_other_server(&shown, question->run.run_id);
    return code;
}

static enum error_code draw_answer_of_commit(const struct remote_call *call,
                                             const struct answer *answer, struct buffer *text)
{
    const struct trace_question *question = call->question;
    struct commit_answer commit;
    enum error_code code = answer_read_commit(answer, &commit);
    if (code != ERROR_NONE)
        return code;
    const struct waterfall_options waterfall = draw_options(call->cli_args, commit.now);
    commit.found.text = question->commit;
    store_tool_report_unreadable(commit.unreadable);
    code = commit_render_found(&commit.found, &waterfall, answer->arena, text, answer->error);
    return end_commit(code, text);
}

static enum error_code write_asked(const struct remote_call *call, bool is_commit,
                                   struct buffer *text, struct error *error)
{
    const struct trace_question *question = call->question;
    struct remote_answer reply;
    const struct answer answer = {&reply.document, call->cli_args->arena, error};
    char path[PATH_SIZE];
    if (is_commit)
        (void)snprintf(path, PATH_SIZE, "api/commits/%.*s", SLICE_ARGS(question->commit));
    else if (!write_run_path(&question->run, path))
        return error_set(error, ERROR_USAGE, "trace: the server's name is too long");
    enum error_code code = remote_get(call->remote, path, answer.arena, &reply, error);
    if (code != ERROR_NONE)
        return code;
    if (call->cli_args->flags[FLAG_JSON] != NULL)
        return remote_pass_on(&reply, text, error);
    return is_commit ? draw_answer_of_commit(call, &answer, text)
                     : draw_answer_of_run(call, &answer, text);
}

static enum error_code ask_trace(const struct remote_call *call, struct buffer *text,
                                 struct error *error)
{
    const struct trace_question *question = call->question;
    struct error other;
    enum error_code code = write_asked(call, question->is_commit, text, error);
    if (code != ERROR_NOT_FOUND || question->is_commit || !may_be_commit(question))
        return code;
    code = write_asked(call, true, text, &other);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        *error = other;
    return code;
}

static int run_trace(struct cli_args *cli_args)
{
    struct trace_question question;
    struct error error;
    if (read_trace_question(cli_args, &question, &error) != ERROR_NONE)
        return command_fail(&error);
    return cli_args_want_daemon(cli_args)
               ? remote_run(cli_args, WATERFALL_MAX_TEXT, ask_trace, &question)
               : store_tool_run(cli_args, WATERFALL_MAX_TEXT, show_trace, &question);
}

const struct command command_trace = {
    .name = "trace",
    .operands = "RUN[/ATTEMPT] | SHA",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "a run's trace, as a waterfall; all runs of a commit",
    .details =
        "RUN is a run's number, or the address of its page on GitHub. Without an attempt, "
        "the newest\n"
        "one is shown. What is open is drawn until now. Run numbers are unique within one "
        "server only: a\n"
        "number without --server means github.com's run, if there is one.\n"
        "SHA is a commit's, at least its first 7 digits, or the address of its page: all its "
        "runs are shown\n"
        "under one axis, and what it waited for. Digits without a letter mean a run, and a "
        "commit if there\n"
        "is no such run, or with --commit.\n" REMOTE_DETAILS,
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_ID_SCHEME] = true,
                           [OPTION_ID_JOB_GRACE] = true, [OPTION_ID_TRACE_URL] = true),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_trace,
};
