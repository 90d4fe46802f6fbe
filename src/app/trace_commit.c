// `ghatrace trace SHA`.
#include "trace_commit.h"

#include <string.h>
#include <unistd.h>

#include "ghatrace/term/commit.h"
#include "ghatrace/trace/commit_id.h"

#define RUN_DIGITS_MAX 19 // a number with more is no run's

// Up to the next '/', '?' or '#'.
static struct slice first_segment(const char *text)
{
    return (struct slice){text, strcspn(text, "/?#")};
}

// What names the commit: of "https://HOST/OWNER/NAME/commit/SHA" and ".../pull/1/commits/SHA" the SHA, else all of it.
static struct slice commit_text(const char *operand)
{
    static const char *const marks[] = {"/commit/", "/commits/"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const char *found = strstr(operand, marks[i]);
        if (found != NULL)
            return first_segment(found + strlen(marks[i]));
    }
    return slice_from_string(operand);
}

bool trace_commit_is_named(const char *operand, bool is_asked_for)
{
    struct slice text = commit_text(operand);
    struct commit_prefix prefix;
    bool is_address = text.data != operand;
    bool is_number =
        strlen(operand) <= RUN_DIGITS_MAX && strspn(operand, "0123456789") == strlen(operand);
    return is_asked_for || is_address || (!is_number && commit_prefix_parse(text, &prefix));
}

// What is written to `text` is to be printed, also if several commits begin with the digits.
static enum error_code write_commit(const struct cli_args *cli_args, struct store *store,
                                    const struct trace_policy *policy, struct buffer *text,
                                    struct error *error)
{
    const struct waterfall_options waterfall = {.terminal = terminal_detect(STDOUT_FILENO),
                                                .now = timestamp_now(),
                                                .id_scheme = policy->scheme,
                                                .job_grace = policy->job_grace};
    struct view_reader reader = {.arena = cli_args->arena, .error = error};
    enum error_code code = store_begin(store, false, &reader.transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = commit_show(&reader, commit_text(cli_args->operands[0]), &waterfall, text);
    store_tool_report_unreadable(store_unreadable(reader.transaction));
    store_abort(reader.transaction);
    return code;
}

static enum error_code show_commit(const struct cli_args *cli_args, struct store *store,
                                   const struct trace_policy *policy, struct error *error)
{
    struct buffer text;
    buffer_init(&text, WATERFALL_MAX_TEXT);
    enum error_code code = write_commit(cli_args, store, policy, &text, error);
    if (code == ERROR_NONE || code == ERROR_USAGE)
        store_tool_print(&text);
    buffer_release(&text);
    return code;
}

int trace_commit_run(struct cli_args *cli_args)
{
    struct config config;
    struct store *store;
    struct error error;
    int status = store_tool_open(cli_args, &config, &store);
    if (status != EXIT_OK)
        return status;
    if (show_commit(cli_args, store, &config.engine.policy, &error) != ERROR_NONE)
        status = command_fail(&error);
    store_close(store);
    return status;
}

enum error_code trace_commit_instead(const struct cli_args *cli_args, struct store *store,
                                     const struct trace_policy *policy, struct error *error)
{
    struct error not_found = *error;
    struct commit_prefix prefix;
    if (!commit_prefix_parse(slice_from_string(cli_args->operands[0]), &prefix))
        return ERROR_NOT_FOUND;
    enum error_code code = show_commit(cli_args, store, policy, error);
    if (code == ERROR_NOT_FOUND)
        *error = not_found;
    return code;
}
