// ghatrace whatif: how long the jobs of a pool would have waited with another number of runners.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ghatrace/json/write.h"
#include "ghatrace/term/whatif.h"

#define RUNNERS_MOST 1000000
#define SINCE_DEFAULT (7 * NS_PER_DAY)
#define TARGET_DEFAULT NS_PER_MINUTE

enum { FLAG_POOL, FLAG_RUNNERS, FLAG_SINCE, FLAG_TARGET, FLAG_JSON };

static const struct flag flags[] = {
    [FLAG_POOL] = {"pool", "NAME", "the pool: its rule's name, or its labels joined by commas"},
    [FLAG_RUNNERS] = {"runners", "N", "how many runners it would have"},
    [FLAG_SINCE] = {"since", "TIME", "from how long ago on, 7d if not given"},
    [FLAG_TARGET] = {"target", "TIME", "how long 90 % may wait at most, 60s if not given"},
    [FLAG_JSON] = {"json", NULL, "print JSON"},
};

static enum error_code read_time_flag(const struct cli_args *cli_args, int flag, duration_ns least,
                                      duration_ns *time, struct error *error)
{
    const char *text = cli_args->flags[flag];
    if (text == NULL || (duration_parse(slice_from_string(text), time) && *time >= least))
        return ERROR_NONE;
    return error_set(error, ERROR_USAGE, "--%s: \"%.40s\": want a time, as 90s or 7d",
                     flags[flag].name, text);
}

static enum error_code read_question(const struct cli_args *cli_args,
                                     struct whatif_question *question, struct error *error)
{
    const char *runners = cli_args->flags[FLAG_RUNNERS];
    duration_ns since = SINCE_DEFAULT;
    long long number = 0;
    *question = (struct whatif_question){.pool = slice_from_string(cli_args->flags[FLAG_POOL]),
                                         .has_runners = runners != NULL,
                                         .target = TARGET_DEFAULT};
    if (question->pool.len == 0)
        return error_set(error, ERROR_USAGE,
                         "whatif: which pool? Name it with --pool, as `ghatrace top` does");
    if (runners != NULL && (!slice_parse_int64(slice_from_string(runners), &number) || number < 0 ||
                            number > RUNNERS_MOST))
        return error_set(error, ERROR_USAGE, "--runners: \"%.40s\": want a number from 0 to %d",
                         runners, RUNNERS_MOST);
    question->runners = (uint64_t)number;
    enum error_code code = read_time_flag(cli_args, FLAG_SINCE, NS_PER_SECOND, &since, error);
    if (code == ERROR_NONE)
        code = read_time_flag(cli_args, FLAG_TARGET, 0, &question->target, error);
    question->window.until = timestamp_now();
    question->window.from = question->window.until - since;
    if (code == ERROR_NONE && question->window.from <= 0)
        code = error_set(error, ERROR_USAGE, "--since: that is before 1970");
    return code;
}

static enum error_code write_json(const struct whatif_answer *answer, struct buffer *text,
                                  struct error *error)
{
    struct json_out json;
    json_out_init(&json, text);
    whatif_view_write_json(answer, &json);
    enum error_code code = json_out_finish(&json);
    if (code == ERROR_NONE)
        code = buffer_append_string(text, "\n");
    return code == ERROR_NONE ? ERROR_NONE
                              : error_set(error, code, "what if: %s", error_code_text(code));
}

static enum error_code answer_question(const struct store_tool *tool, struct buffer *text,
                                       struct error *error)
{
    struct arena *arena = tool->cli_args->arena;
    struct terminal terminal = terminal_detect(STDOUT_FILENO);
    struct whatif_question question = *(const struct whatif_question *)tool->question;
    struct whatif_answer answer;
    question.ceilings = &tool->config.pools.ceilings;
    enum error_code code = whatif_view_load(tool->store, &question, arena, &answer, error);
    if (code == ERROR_NONE && !answer.is_known)
        code = whatif_refuse(&answer, &terminal, arena, error);
    if (code != ERROR_NONE)
        return code;
    store_tool_report_unreadable(answer.unreadable);
    return tool->cli_args->flags[FLAG_JSON] != NULL
               ? write_json(&answer, text, error)
               : whatif_render(&answer, &terminal, arena, text, error);
}

static int run_whatif(struct cli_args *cli_args)
{
    struct whatif_question question;
    struct error error;
    return read_question(cli_args, &question, &error) == ERROR_NONE
               ? store_tool_run(cli_args, WHATIF_MAX_TEXT, answer_question, &question)
               : command_fail(&error);
}

const struct command command_whatif = {
    .name = "whatif",
    .operands = "",
    .summary = "how long a pool's jobs would have waited with other runners",
    .details =
        "Replays the completed and open jobs of a pool, as they became ready and for as long as "
        "each had\n"
        "a runner, on N equal runners, first come first served. Prints the waits as they were and "
        "as they\n"
        "would be, and the fewest runners with which 90 % wait at most --target. It replays them "
        "with as\n"
        "many runners as were ever busy at once, too, and says how well that explains the recorded "
        "waits:\n"
        "it does not if the number of runners changes, or if other pools use them as well.\n",
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_RUNNER_CEILING] = true),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_whatif,
};
