// replay: sending, and the command.
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/client/http_client.h"
#include "replay.h"
#include "secrets.h"

// --- replay send ----------------------------------------------------------------------------------
// Sends deliveries, several at a time, on connections that are kept.

#define ANSWER_TIMEOUT (30 * NS_PER_SECOND) // GitHub itself gives up after 10 s
#define ANSWER_BODY_MAX 65536
// A server, or a proxy, may close a connection that it has just accepted.
#define TRIES_MAX 5
#define RETRY_TIME (100 * NS_PER_MS)

struct sender;

// Carries one request at a time.
struct lane {
    struct sender *sender;
    bool is_busy;
    size_t position; // of the request in the plan
    unsigned tries;  // of this request
    struct net_timer *retry_timer;
    timestamp_ns started_at;
};

struct sender {
    const struct replay_plan *plan;
    void (*on_answer)(void *context, const struct replay_answer *answer);
    void *context;
    struct error *error;
    enum error_code code; // the first failure, which ends the sending
    struct net_loop *loop;
    struct http_client *client;
    struct net_timer *due_timer;
    char url[EXPORT_URL_SIZE];
    struct lane *lanes;
    size_t next;     // request to send
    size_t answered; // finished requests
    timestamp_ns started_at;
    uint64_t nonce; // for fresh GUIDs
};

static void end_sending(struct sender *sender, enum error_code code)
{
    sender->code = code;
    net_loop_stop(sender->loop);
}

// --- requests ----------------------------------------------------------------------------------

static const struct replay_delivery *delivery_of(const struct lane *lane)
{
    const struct replay_plan *plan = lane->sender->plan;
    return &plan->deliveries[plan->order[lane->position]];
}

// The GUID of this request: the delivery's own, or a new one.
static void choose_guid(const struct lane *lane, char guid[REPLAY_GUID_SIZE])
{
    const struct replay_delivery *delivery = delivery_of(lane);
    if (!lane->sender->plan->fresh_guids) {
        memcpy(guid, delivery->guid, REPLAY_GUID_SIZE);
        return;
    }
    struct {
        uint64_t nonce, position;
        uint8_t digest[SHA256_SIZE];
    } seed = {.nonce = lane->sender->nonce, .position = lane->position};
    uint8_t digest[SHA256_SIZE];
    memcpy(seed.digest, delivery->digest, SHA256_SIZE);
    digest_sha256((struct slice){.data = (const char *)&seed, .len = sizeof seed}, digest);
    replay_make_guid(delivery->occurred_at, digest, guid);
}

static void on_delivered(void *context, const struct http_client_response *response);

// The header fields in webhooks/webhook-events-and-payloads ("Delivery headers") of GitHub's documentation.
static enum error_code send_delivery(struct lane *lane)
{
    const struct sender *sender = lane->sender;
    const struct replay_delivery *delivery = delivery_of(lane);
    struct http_client_transfer *transfer;
    char guid[REPLAY_GUID_SIZE];
    lane->tries++;
    choose_guid(lane, guid);
    const char *type =
        sender->plan->is_form ? "application/x-www-form-urlencoded" : "application/json";
    const struct http_header headers[] = {
        {SLICE("User-Agent"), SLICE("GitHub-Hookshot/ghatrace")},
        {SLICE("Accept"), SLICE("*/*")},
        {SLICE("Content-Type"), slice_from_string(type)},
        {SLICE("X-GitHub-Delivery"), slice_from_string(guid)},
        {SLICE("X-GitHub-Event"), delivery->event},
        {SLICE("X-GitHub-Hook-ID"), SLICE("1")},
        {SLICE("X-Hub-Signature-256"), slice_from_string(delivery->signature)},
    };
    size_t count = sizeof headers / sizeof headers[0];
    const struct http_client_request request = {
        .method = "POST",
        .url = sender->url,
        .userinfo = sender->plan->target.userinfo,
        .headers = headers,
        .header_count = delivery->signature[0] == '\0' ? count - 1 : count,
        .body = delivery->body,
        .timeout = ANSWER_TIMEOUT,
        .body_max = ANSWER_BODY_MAX,
    };
    enum error_code code =
        http_client_send(sender->client, &request, on_delivered, lane, &transfer);
    if (code != ERROR_NONE)
        error_set(sender->error, code, "%s: the request cannot be sent: %s", delivery->name,
                  error_code_text(code));
    return code;
}

static timestamp_ns due_at(const struct sender *sender)
{
    uint64_t rate = sender->plan->rate;
    if (rate == 0)
        return sender->started_at;
    return sender->started_at +
           (timestamp_ns)((double)sender->next * (double)NS_PER_SECOND / (double)rate);
}

// Gives each idle lane the next request that is due.
static void assign_requests(struct sender *sender)
{
    for (size_t i = 0; i < sender->plan->connections && sender->code == ERROR_NONE; i++) {
        struct lane *lane = &sender->lanes[i];
        if (lane->is_busy)
            continue;
        if (sender->next == sender->plan->count)
            return;
        timestamp_ns now = timestamp_monotonic();
        if (now < due_at(sender)) {
            net_timer_set(sender->due_timer, due_at(sender) - now);
            return;
        }
        lane->position = sender->next++;
        lane->is_busy = true;
        lane->tries = 0;
        lane->started_at = now;
        enum error_code code = send_delivery(lane);
        if (code != ERROR_NONE)
            end_sending(sender, code);
    }
}

static void on_due(void *context)
{
    assign_requests(context);
}

static void try_again(void *context)
{
    struct lane *lane = context;
    if (lane->sender->code != ERROR_NONE)
        return;
    enum error_code code = send_delivery(lane);
    if (code != ERROR_NONE)
        end_sending(lane->sender, code);
}

// The connection ended before there was an answer. The request is sent again under the same GUID: if the delivery was
// processed, it is a duplicate now.
static bool may_send_again(const struct lane *lane, const struct http_client_response *response)
{
    enum error_code code = response->error.code;
    return response->status == 0 && response->has_connected && lane->tries < TRIES_MAX &&
           (code == ERROR_CLOSED || code == ERROR_NETWORK);
}

static void on_delivered(void *context, const struct http_client_response *response)
{
    struct lane *lane = context;
    struct sender *sender = lane->sender;
    if (may_send_again(lane, response)) {
        net_timer_set(lane->retry_timer, (duration_ns)lane->tries * RETRY_TIME);
        return;
    }
    const struct replay_answer answer = {
        .delivery = delivery_of(lane),
        .status = response->status,
        .body = response->body,
        .took = timestamp_monotonic() - lane->started_at,
    };
    lane->is_busy = false;
    if (sender->code != ERROR_NONE)
        return;
    if (response->status == 0) {
        enum error_code code = response->error.code;
        if (code != ERROR_TIMEOUT && code != ERROR_MEMORY)
            code = ERROR_NETWORK;
        end_sending(sender, error_set(sender->error, code, "%s: %s", answer.delivery->name,
                                      response->error.message));
        return;
    }
    sender->on_answer(sender->context, &answer);
    if (++sender->answered == sender->plan->count)
        net_loop_stop(sender->loop);
    else
        assign_requests(sender);
}

// --- sending all requests ----------------------------------------------------------------------

// An https target is verified with the system's authorities, or those of SSL_CERT_FILE.
static enum error_code make_replay_client(struct sender *sender)
{
    struct http_client_options client = {.connections_max = sender->plan->connections};
    const struct net_tls_client_options files = {.ca_file = NULL};
    enum error_code code = ERROR_NONE;
    if (sender->plan->target.is_tls)
        code = net_tls_client_read(&files, &client.tls, sender->error);
    if (code == ERROR_NONE)
        code = http_client_create(sender->loop, &client, &sender->client, sender->error);
    net_tls_client_unref(client.tls); // the client holds it
    return code;
}

static enum error_code make_lanes(struct sender *sender)
{
    sender->lanes = memory_allocate_array(sender->plan->connections, sizeof *sender->lanes);
    if (sender->lanes == NULL)
        return error_set(sender->error, ERROR_MEMORY, "replay: out of memory");
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < sender->plan->connections && code == ERROR_NONE; i++) {
        struct lane *lane = &sender->lanes[i];
        lane->sender = sender;
        code = net_timer_create(sender->loop, try_again, lane, &lane->retry_timer, sender->error);
    }
    return code;
}

static void free_lanes(struct sender *sender)
{
    for (size_t i = 0; sender->lanes != NULL && i < sender->plan->connections; i++)
        net_timer_destroy(sender->lanes[i].retry_timer);
    memory_free(sender->lanes);
}

enum error_code replay_send(const struct replay_plan *plan,
                            void (*on_answer)(void *context, const struct replay_answer *answer),
                            void *context, struct error *error)
{
    struct sender sender = {
        .plan = plan,
        .on_answer = on_answer,
        .context = context,
        .error = error,
        .started_at = timestamp_monotonic(),
        .nonce = (uint64_t)timestamp_now() ^ ((uint64_t)getpid() << 32),
    };
    export_endpoint_url(&plan->target, sender.url);
    enum error_code code = net_loop_create(&sender.loop, error);
    if (code == ERROR_NONE)
        code = net_timer_create(sender.loop, on_due, &sender, &sender.due_timer, error);
    if (code == ERROR_NONE)
        code = make_replay_client(&sender);
    if (code == ERROR_NONE)
        code = make_lanes(&sender);
    if (code == ERROR_NONE && plan->count > 0) {
        net_timer_set(sender.due_timer, 0);
        net_loop_run(sender.loop);
        code = sender.code;
    }
    http_client_destroy(sender.client);
    net_timer_destroy(sender.due_timer);
    free_lanes(&sender);
    net_loop_destroy(sender.loop);
    return code;
}

// --- command replay -------------------------------------------------------------------------------
// ghatrace replay: sends recorded payloads as GitHub would. Also a load generator.

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
    [FLAG_EVENT] = {"event", "NAME", "X-GitHub-Event of all; else derived from the payload's keys"},
    [FLAG_GUID] = {"guid", "UUID", "X-GitHub-Delivery of all; else made from each payload"},
    [FLAG_FRESH_GUIDS] = {"fresh-guids", NULL, "a GUID of its own for each request: no duplicates"},
    [FLAG_FORM] = {"form", NULL, "send as a form, payload=..., instead of JSON"},
    [FLAG_LINES] = {"lines", NULL, "each line of a file is a payload, as in *.jsonl"},
    [FLAG_ORDER] = {"order", ORDERS, "order of sending"},
    [FLAG_SEED] = {"seed", "N", "of the shuffle; the same seed gives the same order"},
    [FLAG_REPEAT] = {"repeat", "N", "send everything N times"},
    [FLAG_RATE] = {"rate", "N", "requests a second at most"},
    [FLAG_CONNECTIONS] = {"connections", "N", "concurrent requests; the order is kept only with 1"},
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

// A flag whose value is a number, and where it is stored.
struct number_flag {
    int flag;
    uint64_t preset, least, most;
    uint64_t *number;
};

static enum error_code read_number_flag(const struct cli_args *cli_args,
                                        const struct number_flag *row, struct error *error)
{
    long long value;
    const char *text = cli_args->flags[row->flag];
    *row->number = row->preset;
    if (text == NULL)
        return ERROR_NONE;
    if (!slice_parse_int64(slice_from_string(text), &value) || value < 0 ||
        (uint64_t)value < row->least || (uint64_t)value > row->most)
        return error_set(error, ERROR_USAGE,
                         "--%s: \"%.60s\" is no number from %" PRIu64 " to %" PRIu64,
                         flags[row->flag].name, text, row->least, row->most);
    *row->number = (uint64_t)value;
    return ERROR_NONE;
}

static enum error_code read_numbers(const struct cli_args *cli_args, struct replay *replay,
                                    struct error *error)
{
    uint64_t connections = 1;
    const struct number_flag rows[] = {
        {FLAG_SEED, 1, 0, INT64_MAX, &replay->seed},
        {FLAG_REPEAT, 1, 1, REPEAT_MAX, &replay->repeat},
        {FLAG_RATE, 0, 1, RATE_MAX, &replay->plan.rate},
        {FLAG_CONNECTIONS, 1, 1, CONNECTIONS_MAX, &connections},
    };
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && code == ERROR_NONE; i++)
        code = read_number_flag(cli_args, &rows[i], error);
    replay->plan.connections = (size_t)connections;
    return code;
}

static enum error_code read_order(const struct cli_args *cli_args, struct replay *replay,
                                  struct error *error)
{
    const char *text = cli_args->flags[FLAG_ORDER];
    int position =
        text == NULL ? REPLAY_GIVEN : option_choice_find(ORDERS, slice_from_string(text));
    if (position < 0)
        return error_set(error, ERROR_USAGE, "--order: \"%.60s\" is not one of " ORDERS, text);
    replay->order = (enum replay_order)position;
    return ERROR_NONE;
}

static enum error_code read_target(const struct cli_args *cli_args, struct replay *replay,
                                   struct error *error)
{
    struct export_endpoint *target = &replay->plan.target;
    enum error_code code = export_endpoint_parse(slice_from_string(cli_args->operands[0]),
                                                 EXPORT_URL_WHOLE, target, error);
    if (code != ERROR_NONE)
        error_wrap(error, "replay");
    return code;
}

static enum error_code read_secret(const struct cli_args *cli_args, struct replay *replay,
                                   struct error *error)
{
    const char *path = cli_args->flags[FLAG_SECRET_FILE];
    if (path == NULL)
        path = cli_args->flags[FLAG_WEBHOOK_SECRET_FILE];
    enum error_code code =
        secrets_load(&replay->secrets, path,
                     environment_get(cli_args->environment, "GITHUB_WEBHOOK_SECRET"), error);
    if (code == ERROR_NONE && replay->secrets.count > 0)
        replay->load.secret = replay->secrets.items[0];
    return code;
}

static enum error_code read_flags(const struct cli_args *cli_args, struct replay *replay,
                                  struct error *error)
{
    const char *guid = cli_args->flags[FLAG_GUID];
    replay->load.paths = cli_args->operands + 1; // the first is the URL
    replay->load.path_count = cli_args->operand_count - 1;
    replay->load.event = cli_args->flags[FLAG_EVENT];
    replay->load.guid = guid;
    replay->load.is_form = replay->plan.is_form = cli_args->flags[FLAG_FORM] != NULL;
    replay->load.has_lines = cli_args->flags[FLAG_LINES] != NULL;
    replay->plan.fresh_guids = cli_args->flags[FLAG_FRESH_GUIDS] != NULL;
    if (guid != NULL && strlen(guid) >= REPLAY_GUID_SIZE)
        return error_set(error, ERROR_USAGE, "--guid: longer than the %d characters of a UUID",
                         REPLAY_GUID_SIZE - 1);
    if (guid != NULL && replay->plan.fresh_guids)
        return error_set(error, ERROR_USAGE, "--guid and --fresh-guids exclude each other");
    enum error_code code = read_numbers(cli_args, replay, error);
    if (code == ERROR_NONE)
        code = read_order(cli_args, replay, error);
    if (code == ERROR_NONE)
        code = read_target(cli_args, replay, error);
    if (code == ERROR_NONE)
        code = read_secret(cli_args, replay, error);
    return code;
}

static enum error_code prepare_replay(const struct cli_args *cli_args, struct replay *replay,
                                      struct error *error)
{
    enum error_code code = read_flags(cli_args, replay, error);
    if (code == ERROR_NONE)
        code = replay_load(&replay->load, cli_args->arena, &replay->deliveries, error);
    if (code != ERROR_NONE)
        return code;
    if (replay->deliveries.count == 0)
        return error_set(error, ERROR_USAGE, "replay: the files hold no payload");
    replay->plan.deliveries = replay->deliveries.items;
    replay->plan.count = replay->deliveries.count * (size_t)replay->repeat;
    replay->plan.order = replay_make_order(cli_args->arena, replay->deliveries.count,
                                           (size_t)replay->repeat, replay->order, replay->seed);
    if (replay->plan.order == NULL)
        return error_set(error, ERROR_MEMORY, "replay: out of memory");
    return ERROR_NONE;
}

static enum error_code send_deliveries(const struct cli_args *cli_args, const struct replay *replay,
                                       bool *is_success, struct error *error)
{
    const struct replay_report_options wanted = {.expected = replay->plan.count,
                                                 .is_terminal = isatty(STDOUT_FILENO) != 0,
                                                 .is_quiet = cli_args->flags[FLAG_QUIET] != NULL};
    struct replay_report report;
    enum error_code code = replay_report_init(&report, &wanted, cli_args->arena, error);
    if (code != ERROR_NONE)
        return code;
    code = replay_send(&replay->plan, replay_report_add, &report, error);
    replay_report_print(&report);
    *is_success = replay_report_is_success(&report);
    return code;
}

static int run_replay(struct cli_args *cli_args)
{
    struct replay replay = {.order = REPLAY_GIVEN};
    struct error error;
    bool is_success = false;
    int status;
    secrets_init(&replay.secrets);
    enum error_code code = prepare_replay(cli_args, &replay, &error);
    if (code == ERROR_NONE)
        code = send_deliveries(cli_args, &replay, &is_success, &error);
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
        "URL is the webhook's, as in http://127.0.0.1:8080/webhook; by https, SSL_CERT_FILE names\n"
        "authorities to trust instead of the system's. Proxies are not used.\n"
        "A FILE holds one payload; a folder means its *.json files in the order of their names;\n"
        "*.jsonl files hold one payload a line.\n"
        "The same file makes the same delivery each time, so sending it twice shows how\n"
        "duplicates are handled. Exits with 1 if any answer was not 2xx.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_replay,
};
