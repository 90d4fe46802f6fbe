// replay: sending, and the command.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/http/write.h"
#include "replay.h"
#include "secrets.h"

// --- replay send ----------------------------------------------------------------------------------
// Sends deliveries over several keep-alive connections: one thread, one poll() for all.

#define CONNECT_SECONDS 10
#define ANSWER_TIMEOUT (30 * NS_PER_SECOND) // GitHub itself gives up after 10 s
#define ANSWER_BODY_MAX 65536
#define HEAD_MAX 8192
#define READ_SIZE 16384

// One connection, with at most one request on it.
struct lane {
    int fd;             // -1: not connected
    bool is_busy;       // a request was started and its response is not complete
    bool is_warm;       // this connection has received a response before
    size_t position;    // of the request in the plan
    struct buffer head; // of the request
    size_t sent;        // bytes of head and body
    timestamp_ns started_at;
    struct http_parser parser;
};

struct sender {
    const struct replay_plan *plan;
    void (*on_answer)(void *context, const struct replay_answer *answer);
    void *context;
    struct error *error;
    struct addrinfo *addresses;      // of the target
    const struct addrinfo *good_one; // the one that accepted a connection; NULL: none yet
    struct lane *lanes;
    struct pollfd *polls;
    size_t lane_count;
    size_t next;     // request to send
    size_t answered; // finished requests
    timestamp_ns started_at;
    uint64_t nonce; // for fresh GUIDs
};

// --- connecting --------------------------------------------------------------------------------

static int try_target_address(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    // On Linux the send timeout bounds connect(), too.
    struct timeval limit = {.tv_sec = CONNECT_SECONDS};
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        int kept = errno;
        close(fd);
        errno = kept;
        return -1;
    }
    return fd;
}

static enum error_code connect_lane(struct sender *sender, struct lane *lane)
{
    const struct addrinfo *address =
        sender->good_one != NULL ? sender->good_one : sender->addresses;
    for (; address != NULL && lane->fd < 0; address = address->ai_next) {
        lane->fd = try_target_address(address);
        if (lane->fd >= 0)
            sender->good_one = address;
    }
    if (lane->fd < 0)
        return error_set(sender->error, ERROR_NETWORK, "connect to %s: %s",
                         sender->plan->target.host_header, strerror(errno));
    lane->is_warm = false;
    return ERROR_NONE;
}

static void disconnect_lane(struct lane *lane)
{
    if (lane->fd >= 0)
        close(lane->fd);
    lane->fd = -1;
}

// --- requests ----------------------------------------------------------------------------------

static const struct replay_delivery *delivery_of(const struct sender *sender,
                                                 const struct lane *lane)
{
    return &sender->plan->deliveries[sender->plan->order[lane->position]];
}

// The GUID of this request: the delivery's own, or a new one.
static void choose_guid(const struct sender *sender, const struct lane *lane,
                        char guid[REPLAY_GUID_SIZE])
{
    const struct replay_delivery *delivery = delivery_of(sender, lane);
    if (!sender->plan->fresh_guids) {
        memcpy(guid, delivery->guid, REPLAY_GUID_SIZE);
        return;
    }
    struct {
        uint64_t nonce, position;
        uint8_t digest[SHA256_SIZE];
    } seed = {.nonce = sender->nonce, .position = lane->position};
    uint8_t digest[SHA256_SIZE];
    memcpy(seed.digest, delivery->digest, SHA256_SIZE);
    digest_sha256((struct slice){.data = (const char *)&seed, .len = sizeof seed}, digest);
    replay_make_guid(delivery->occurred_at, digest, guid);
}

// The header fields in webhooks/webhook-events-and-payloads ("Delivery headers") of GitHub's documentation.
static enum error_code write_delivery_head(const struct sender *sender, struct lane *lane)
{
    const struct replay_plan *plan = sender->plan;
    const struct replay_delivery *delivery = delivery_of(sender, lane);
    char guid[REPLAY_GUID_SIZE];
    choose_guid(sender, lane, guid);
    const char *type = plan->is_form ? "application/x-www-form-urlencoded" : "application/json";
    struct http_header headers[] = {
        {SLICE("User-Agent"), SLICE("GitHub-Hookshot/ghatrace")},
        {SLICE("Accept"), SLICE("*/*")},
        {SLICE("Content-Type"), slice_from_string(type)},
        {SLICE("X-GitHub-Delivery"), slice_from_string(guid)},
        {SLICE("X-GitHub-Event"), delivery->event},
        {SLICE("X-GitHub-Hook-ID"), SLICE("1")},
        {SLICE("X-Hub-Signature-256"), slice_from_string(delivery->signature)},
    };
    size_t count = sizeof headers / sizeof headers[0];
    if (delivery->signature[0] == '\0')
        count--;
    const struct http_request_head head = {
        .method = SLICE("POST"),
        .target = slice_from_string(plan->target.path),
        .host = slice_from_string(plan->target.host_header),
        .body_len = delivery->body.len,
        .extra = headers,
        .extra_count = count,
    };
    buffer_clear(&lane->head);
    enum error_code code = http_write_request_head(&lane->head, &head);
    if (code != ERROR_NONE)
        return error_set(sender->error, code, "%s: the request cannot be written: %s",
                         delivery->name, error_code_text(code));
    return ERROR_NONE;
}

static bool is_all_sent(const struct sender *sender, const struct lane *lane)
{
    return lane->sent == lane->head.len + delivery_of(sender, lane)->body.len;
}

// Sends what the socket accepts. Errors are detected when the response is read: a peer that refuses early responds
// and then closes.
static void send_more(const struct sender *sender, struct lane *lane)
{
    struct slice body = delivery_of(sender, lane)->body;
    while (!is_all_sent(sender, lane)) {
        size_t of_head = lane->sent < lane->head.len ? lane->sent : lane->head.len;
        size_t of_body = lane->sent - of_head;
        struct iovec parts[2] = {
            {.iov_base = lane->head.data + of_head, .iov_len = lane->head.len - of_head},
            {.iov_base = (void *)(uintptr_t)(body.data + of_body), .iov_len = body.len - of_body},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t len = sendmsg(lane->fd, &message, MSG_NOSIGNAL);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return;
        lane->sent += (size_t)len;
    }
}

// Sends the lane's request: the first time, or again on a new connection.
static enum error_code start_request(struct sender *sender, struct lane *lane)
{
    enum error_code code = lane->fd < 0 ? connect_lane(sender, lane) : ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    http_parser_reset(&lane->parser);
    lane->sent = 0;
    send_more(sender, lane);
    return ERROR_NONE;
}

static enum error_code assign_request(struct sender *sender, struct lane *lane)
{
    lane->position = sender->next++;
    lane->is_busy = true;
    lane->started_at = timestamp_monotonic();
    enum error_code code = write_delivery_head(sender, lane);
    return code == ERROR_NONE ? start_request(sender, lane) : code;
}

// --- responses ---------------------------------------------------------------------------------

static void finish_request(struct sender *sender, struct lane *lane)
{
    struct replay_answer answer = {
        .delivery = delivery_of(sender, lane),
        .status = lane->parser.message.status,
        .body = buffer_slice(&lane->parser.body),
        .took = timestamp_monotonic() - lane->started_at,
    };
    sender->on_answer(sender->context, &answer);
    sender->answered++;
    lane->is_busy = false;
    lane->is_warm = true;
    if (!lane->parser.message.keep_alive || !is_all_sent(sender, lane))
        disconnect_lane(lane);
}

static enum error_code fail_request(struct sender *sender, const struct lane *lane,
                                    enum error_code code, const char *what)
{
    return error_set(sender->error, code, "%s: %s: %s", sender->plan->target.host_header,
                     delivery_of(sender, lane)->name, what);
}

// The peer closed the connection. A reused connection may be closed at any time (RFC 9112 9.3.1), so its request is
// sent again; the GUID makes the repetition harmless.
static enum error_code meet_end(struct sender *sender, struct lane *lane, const char *what)
{
    bool is_fresh = http_parser_is_idle(&lane->parser);
    if (!is_fresh && http_parser_finish(&lane->parser) == HTTP_MESSAGE_DONE) {
        lane->parser.message.keep_alive = false;
        finish_request(sender, lane);
        return ERROR_NONE;
    }
    bool may_repeat = is_fresh && lane->is_warm;
    disconnect_lane(lane);
    return may_repeat ? start_request(sender, lane)
                      : fail_request(sender, lane, ERROR_NETWORK, what);
}

static enum error_code parse_answer(struct sender *sender, struct lane *lane, const char *data,
                                    size_t len)
{
    for (;;) {
        size_t consumed;
        enum http_progress progress = http_parser_feed(&lane->parser, data, len, &consumed);
        data += consumed;
        len -= consumed;
        switch (progress) {
        case HTTP_NEED_MORE:
            return ERROR_NONE;
        case HTTP_HEAD_DONE:
            break;
        case HTTP_MESSAGE_DONE:
            finish_request(sender, lane);
            return ERROR_NONE;
        case HTTP_REFUSED:
            return fail_request(sender, lane, ERROR_NETWORK, lane->parser.refusal);
        }
    }
}

static enum error_code read_answer(struct sender *sender, struct lane *lane)
{
    char data[READ_SIZE];
    ssize_t len = recv(lane->fd, data, sizeof data, 0);
    if (len > 0)
        return parse_answer(sender, lane, data, (size_t)len);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return ERROR_NONE;
    return meet_end(sender, lane, len == 0 ? "closed without an answer" : strerror(errno));
}

// --- the loop ----------------------------------------------------------------------------------

static timestamp_ns due_at(const struct sender *sender)
{
    uint64_t rate = sender->plan->rate;
    if (rate == 0)
        return sender->started_at;
    return sender->started_at +
           (timestamp_ns)((double)sender->next * (double)NS_PER_SECOND / (double)rate);
}

static enum error_code assign_requests(struct sender *sender)
{
    for (size_t i = 0; i < sender->lane_count; i++) {
        struct lane *lane = &sender->lanes[i];
        if (lane->is_busy)
            continue;
        if (sender->next == sender->plan->count || timestamp_monotonic() < due_at(sender))
            return ERROR_NONE;
        enum error_code code = assign_request(sender, lane);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

// Time until the next request is due, or until the first busy lane times out.
static int poll_timeout(const struct sender *sender)
{
    timestamp_ns now = timestamp_monotonic(), until = now + ANSWER_TIMEOUT;
    size_t busy = 0;
    for (size_t i = 0; i < sender->lane_count; i++) {
        const struct lane *lane = &sender->lanes[i];
        if (!lane->is_busy)
            continue;
        busy++;
        if (lane->started_at + ANSWER_TIMEOUT < until)
            until = lane->started_at + ANSWER_TIMEOUT;
    }
    if (busy < sender->lane_count && sender->next < sender->plan->count && due_at(sender) < until)
        until = due_at(sender);
    return until <= now ? 0 : (int)((until - now + NS_PER_MS - 1) / NS_PER_MS);
}

static enum error_code tend_lane(struct sender *sender, struct lane *lane, short events)
{
    if (events & POLLOUT)
        send_more(sender, lane);
    if (events & (POLLIN | POLLHUP | POLLERR))
        return read_answer(sender, lane);
    if (timestamp_monotonic() - lane->started_at >= ANSWER_TIMEOUT)
        return fail_request(sender, lane, ERROR_TIMEOUT, "no answer within 30 s");
    return ERROR_NONE;
}

static enum error_code take_turn(struct sender *sender)
{
    enum error_code code = assign_requests(sender);
    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < sender->lane_count; i++) {
        const struct lane *lane = &sender->lanes[i];
        bool has_more = lane->is_busy && !is_all_sent(sender, lane);
        sender->polls[i] = (struct pollfd){.fd = lane->is_busy ? lane->fd : -1,
                                           .events = (short)(has_more ? POLLIN | POLLOUT : POLLIN)};
    }
    if (poll(sender->polls, sender->lane_count, poll_timeout(sender)) < 0 && errno != EINTR)
        return error_set(sender->error, ERROR_IO, "poll: %s", strerror(errno));
    for (size_t i = 0; i < sender->lane_count && code == ERROR_NONE; i++) {
        if (sender->lanes[i].is_busy)
            code = tend_lane(sender, &sender->lanes[i], sender->polls[i].revents);
    }
    return code;
}

// --- sending all requests ----------------------------------------------------------------------

static enum error_code look_up_target(struct sender *sender)
{
    const struct export_endpoint *target = &sender->plan->target;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)target->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int status = getaddrinfo(target->host, port, &hints, &sender->addresses);
    if (status == 0)
        return ERROR_NONE;
    sender->addresses = NULL;
    return error_set(sender->error, ERROR_NETWORK, "%s: %s", target->host, gai_strerror(status));
}

static enum error_code make_lanes(struct sender *sender)
{
    size_t count = sender->plan->connections;
    sender->lanes = memory_allocate_array(count, sizeof *sender->lanes);
    sender->polls = memory_allocate_array(count, sizeof *sender->polls);
    if (sender->lanes == NULL || sender->polls == NULL)
        return error_set(sender->error, ERROR_MEMORY, "replay: out of memory");
    for (; sender->lane_count < count; sender->lane_count++) {
        struct lane *lane = &sender->lanes[sender->lane_count];
        lane->fd = -1;
        buffer_init(&lane->head, HEAD_MAX);
        http_parser_init(&lane->parser, HTTP_RESPONSE, ANSWER_BODY_MAX);
    }
    return ERROR_NONE;
}

static void release_lanes(struct sender *sender)
{
    for (size_t i = 0; i < sender->lane_count; i++) {
        disconnect_lane(&sender->lanes[i]);
        buffer_release(&sender->lanes[i].head);
        http_parser_release(&sender->lanes[i].parser);
    }
    memory_free(sender->lanes);
    memory_free(sender->polls);
    if (sender->addresses != NULL)
        freeaddrinfo(sender->addresses);
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
    enum error_code code = look_up_target(&sender);
    if (code == ERROR_NONE)
        code = make_lanes(&sender);
    while (code == ERROR_NONE && sender.answered < plan->count)
        code = take_turn(&sender);
    release_lanes(&sender);
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
    if (code == ERROR_NONE && target->is_tls)
        code =
            error_set(error, ERROR_USAGE, "https is not spoken here: give the daemon's http URL");
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
        "URL is the webhook's, as in http://127.0.0.1:8080/webhook. A FILE holds one payload; a\n"
        "folder means its *.json files in the order of their names; *.jsonl files hold one payload "
        "a line.\n"
        "The same file makes the same delivery each time, so sending it twice shows how "
        "duplicates\n"
        "are handled. Exits with 1 if any answer was not 2xx.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_replay,
};
