// ghatrace replay: recorded payloads, sent as GitHub would. Also a load generator.
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "ghatrace/app/command.h"
#include "ghatrace/app/replay.h"
#include "ghatrace/app/replay_report.h"
#include "ghatrace/app/secrets.h"

#define CONNECTIONS_MAX 1000
#define REPEAT_MAX 1000000
#define RATE_MAX 1000000

enum {
    FLAG_SECRET_FILE,
    FLAG_WEBHOOK_SECRET_FILE,
    FLAG_EVENT,
    FLAG_GUID,
    FLAG_FRESH_GUIDS,
    FLAG_FORM,
    FLAG_LINES,
    FLAG_ORDER,
    FLAG_SEED,
    FLAG_REPEAT,
    FLAG_RATE,
    FLAG_CONNECTIONS,
    FLAG_QUIET,
};

#define ORDERS "given|reverse|shuffle"

static const struct flag flags[] = {
    [FLAG_SECRET_FILE] = {"secret-file", "FILE",
                          "sign with the first line of FILE, or with GITHUB_WEBHOOK_SECRET"},
    [FLAG_WEBHOOK_SECRET_FILE] = {"webhook-secret-file", "FILE",
                                  "the same, by the name that the daemon has for it"},
    [FLAG_EVENT] = {"event", "NAME",
                    "X-GitHub-Event of all; else it is told by the payload's keys"},
    [FLAG_GUID] = {"guid", "UUID", "X-GitHub-Delivery of all; else made from each payload"},
    [FLAG_FRESH_GUIDS] = {"fresh-guids", NULL, "a GUID of its own for each request: no duplicates"},
    [FLAG_FORM] = {"form", NULL, "send as a form, payload=..., instead of JSON"},
    [FLAG_LINES] = {"lines", NULL, "each line of a file is a payload, as in *.jsonl"},
    [FLAG_ORDER] = {"order", ORDERS, "order of sending"},
    [FLAG_SEED] = {"seed", "N", "of the shuffle; the same seed gives the same order"},
    [FLAG_REPEAT] = {"repeat", "N", "send everything N times"},
    [FLAG_RATE] = {"rate", "N", "requests a second at most"},
    [FLAG_CONNECTIONS] = {"connections", "N", "requests at a time; the order holds for 1 alone"},
    [FLAG_QUIET] = {"quiet", NULL, "print the summary and what is not 2xx"},
};

struct replay {
    struct replay_plan plan;
    struct replay_load_options load;
    struct replay_deliveries deliveries;
    struct secrets secrets;
    enum replay_order order;
    uint64_t seed, repeat;
};

static enum error_code read_number(const struct invocation *invocation, int flag, uint64_t preset,
                                   uint64_t least, uint64_t most, uint64_t *number,
                                   struct error *error)
{
    long long value;
    const char *text = invocation->flags[flag];
    *number = preset;
    if (text == NULL)
        return ERROR_NONE;
    if (!slice_parse_int64(slice_from_string(text), &value) || value < 0 ||
        (uint64_t)value < least || (uint64_t)value > most)
        return error_set(error, ERROR_USAGE,
                         "--%s: \"%.60s\" is no number from %" PRIu64 " to %" PRIu64,
                         flags[flag].name, text, least, most);
    *number = (uint64_t)value;
    return ERROR_NONE;
}

static enum error_code read_numbers(const struct invocation *invocation, struct replay *replay,
                                    struct error *error)
{
    uint64_t connections = 1;
    enum error_code code =
        read_number(invocation, FLAG_SEED, 1, 0, INT64_MAX, &replay->seed, error);
    if (code == ERROR_NONE)
        code = read_number(invocation, FLAG_REPEAT, 1, 1, REPEAT_MAX, &replay->repeat, error);
    if (code == ERROR_NONE)
        code = read_number(invocation, FLAG_RATE, 0, 1, RATE_MAX, &replay->plan.rate, error);
    if (code == ERROR_NONE)
        code =
            read_number(invocation, FLAG_CONNECTIONS, 1, 1, CONNECTIONS_MAX, &connections, error);
    replay->plan.connections = (size_t)connections;
    return code;
}

static enum error_code read_order(const struct invocation *invocation, struct replay *replay,
                                  struct error *error)
{
    const char *text = invocation->flags[FLAG_ORDER];
    int position =
        text == NULL ? REPLAY_GIVEN : option_choice_find(ORDERS, slice_from_string(text));
    if (position < 0)
        return error_set(error, ERROR_USAGE, "--order: \"%.60s\" is not one of " ORDERS, text);
    replay->order = (enum replay_order)position;
    return ERROR_NONE;
}

static enum error_code read_target(const struct invocation *invocation, struct replay *replay,
                                   struct error *error)
{
    struct export_endpoint *target = &replay->plan.target;
    enum error_code code = export_endpoint_parse(slice_from_string(invocation->operands[0]),
                                                 EXPORT_URL_WHOLE, target, error);
    if (code == ERROR_NONE && target->is_tls)
        code =
            error_set(error, ERROR_USAGE, "https is not spoken here: give the daemon's http URL");
    if (code != ERROR_NONE)
        error_wrap(error, "replay");
    return code;
}

static enum error_code read_secret(const struct invocation *invocation, struct replay *replay,
                                   struct error *error)
{
    const char *path = invocation->flags[FLAG_SECRET_FILE];
    if (path == NULL)
        path = invocation->flags[FLAG_WEBHOOK_SECRET_FILE];
    enum error_code code =
        secrets_load(&replay->secrets, path,
                     environment_get(invocation->environment, "GITHUB_WEBHOOK_SECRET"), error);
    if (code == ERROR_NONE && replay->secrets.count > 0)
        replay->load.secret = replay->secrets.items[0];
    return code;
}

static enum error_code read_flags(const struct invocation *invocation, struct replay *replay,
                                  struct error *error)
{
    const char *guid = invocation->flags[FLAG_GUID];
    replay->load.event = invocation->flags[FLAG_EVENT];
    replay->load.guid = guid;
    replay->load.is_form = replay->plan.is_form = invocation->flags[FLAG_FORM] != NULL;
    replay->load.has_lines = invocation->flags[FLAG_LINES] != NULL;
    replay->plan.fresh_guids = invocation->flags[FLAG_FRESH_GUIDS] != NULL;
    if (guid != NULL && strlen(guid) >= REPLAY_GUID_SIZE)
        return error_set(error, ERROR_USAGE, "--guid: longer than the %d characters of a UUID",
                         REPLAY_GUID_SIZE - 1);
    if (guid != NULL && replay->plan.fresh_guids)
        return error_set(error, ERROR_USAGE, "--guid and --fresh-guids exclude each other");
    enum error_code code = read_numbers(invocation, replay, error);
    if (code == ERROR_NONE)
        code = read_order(invocation, replay, error);
    if (code == ERROR_NONE)
        code = read_target(invocation, replay, error);
    if (code == ERROR_NONE)
        code = read_secret(invocation, replay, error);
    return code;
}

static enum error_code prepare(const struct invocation *invocation, struct replay *replay,
                               struct error *error)
{
    enum error_code code = read_flags(invocation, replay, error);
    if (code == ERROR_NONE)
        code = replay_load(invocation->operands + 1, invocation->operand_count - 1, &replay->load,
                           invocation->arena, &replay->deliveries, error);
    if (code != ERROR_NONE)
        return code;
    if (replay->deliveries.count == 0)
        return error_set(error, ERROR_USAGE, "replay: the files hold no payload");
    replay->plan.deliveries = replay->deliveries.items;
    replay->plan.count = replay->deliveries.count * (size_t)replay->repeat;
    replay->plan.order = replay_make_order(invocation->arena, replay->deliveries.count,
                                           (size_t)replay->repeat, replay->order, replay->seed);
    if (replay->plan.order == NULL)
        return error_set(error, ERROR_MEMORY, "replay: out of memory");
    return ERROR_NONE;
}

static enum error_code send_all(const struct invocation *invocation, const struct replay *replay,
                                bool *is_success, struct error *error)
{
    struct replay_report report;
    enum error_code code = replay_report_init(&report, invocation->arena, replay->plan.count,
                                              isatty(STDOUT_FILENO) != 0,
                                              invocation->flags[FLAG_QUIET] != NULL, error);
    if (code != ERROR_NONE)
        return code;
    code = replay_send(&replay->plan, replay_report_add, &report, error);
    replay_report_print(&report);
    *is_success = replay_report_is_success(&report);
    return code;
}

static int run(struct invocation *invocation)
{
    struct replay replay = {.order = REPLAY_GIVEN};
    struct error error;
    bool is_success = false;
    int status;
    secrets_init(&replay.secrets);
    enum error_code code = prepare(invocation, &replay, &error);
    if (code == ERROR_NONE)
        code = send_all(invocation, &replay, &is_success, &error);
    if (code != ERROR_NONE)
        status = command_fail(&error);
    else
        status = is_success ? EXIT_OK : EXIT_FAILED;
    secrets_release(&replay.secrets);
    return status;
}

const struct command command_replay = {
    .name = "replay",
    .operands = "URL FILE...",
    .operands_min = 2,
    .operands_max = SIZE_MAX,
    .summary = "send recorded payloads, signed, as GitHub would",
    .details =
        "URL is the webhook's, as in http://127.0.0.1:8080/webhook. A FILE holds one payload; a\n"
        "folder stands for its *.json files by name; *.jsonl files hold one payload a line.\n"
        "The same file makes the same delivery each time, so sending it twice tries out what\n"
        "happens to duplicates. Exits with 1 if any answer was not 2xx.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run,
};
