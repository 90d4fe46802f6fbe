// One request to an admin listener.
#include "check_live.h"

#include <stdio.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/log.h"
#include "ghatrace/client/http_client.h"
#include "ghatrace/json/read.h"
#include "ghatrace/net/address.h"
#include "secrets.h"

#define PATIENCE (10 * NS_PER_SECOND)
#define ANSWER_MAX ((size_t)16 << 20)

// A request and its result.
struct question {
    struct net_loop *loop;
    struct buffer *body;
    struct error *error;
    enum error_code code;
};

static enum error_code status_error(int status, struct error *error)
{
    switch (status) {
    case 200:
        return ERROR_NONE;
    case 401:
        return error_set(error, ERROR_INVALID,
                         "it requires a token: set admin-token-file to the file that has it");
    case 403:
        return error_set(error, ERROR_INVALID, "it denies access from this address (403)");
    case 404:
        return error_set(error, ERROR_INVALID,
                         "it does not know /api/status (404): is it ghatrace's admin-listen?");
    default:
        return error_set(error, ERROR_INVALID, "it was answered %d", status);
    }
}

static void on_reply(void *context, const struct http_client_response *response)
{
    struct question *question = context;
    net_loop_stop(question->loop);
    if (response->status == 0) {
        *question->error = response->error;
        question->code = response->error.code;
        return;
    }
    question->code = status_error(response->status, question->error);
    if (question->code == ERROR_NONE &&
        buffer_append_slice(question->body, response->body) != ERROR_NONE)
        question->code = error_set(question->error, ERROR_MEMORY, "out of memory");
}

// An https listener is verified with the system's authorities, or those of SSL_CERT_FILE.
static enum error_code make_admin_client(const struct question *question, bool is_tls,
                                         struct http_client **client)
{
    struct http_client_options made = {.connections_max = 1};
    const struct net_tls_client_options files = {.ca_file = NULL};
    enum error_code code = ERROR_NONE;
    if (is_tls)
        code = net_tls_client_read(&files, &made.tls, question->error);
    if (code == ERROR_NONE)
        code = http_client_create(question->loop, &made, client, question->error);
    net_tls_client_unref(made.tls); // the client holds it
    return code;
}

static enum error_code ask(struct question *question, const struct export_endpoint *endpoint,
                           const char *path, struct slice token)
{
    struct http_client *client = NULL;
    struct http_client_transfer *transfer;
    struct export_endpoint target = *endpoint;
    char url[EXPORT_URL_SIZE];
    struct buffer bearer;
    buffer_init(&bearer, (size_t)64 << 10);
    (void)snprintf(target.path, sizeof target.path, "%s", path);
    enum error_code code = make_admin_client(question, endpoint->is_tls, &client);
    if (code == ERROR_NONE)
        code = buffer_append_format(&bearer, "Bearer %.*s", SLICE_ARGS(token));
    const struct http_header headers[] = {{SLICE("Accept"), SLICE("application/json")},
                                          {SLICE("Authorization"), buffer_slice(&bearer)}};
    const struct http_client_request request = {.url = export_endpoint_url(&target, url),
                                                .headers = headers,
                                                .header_count = token.len > 0 ? 2 : 1,
                                                .timeout = PATIENCE,
                                                .body_max = ANSWER_MAX};
    if (code == ERROR_NONE &&
        http_client_send(client, &request, on_reply, question, &transfer) != ERROR_NONE)
        code = error_set(question->error, ERROR_USAGE, "the request cannot be sent");
    if (code == ERROR_NONE)
        net_loop_run(question->loop);
    http_client_destroy(client);
    if (bearer.data != NULL)
        digest_wipe(bearer.data, bearer.len);
    buffer_release(&bearer);
    return code == ERROR_NONE ? question->code : code;
}

// Sends GET `path` to the host and port of the endpoint, with `token` (may be empty). The body of a 200 response is
// appended to `body`. Waits for at most 10 s. ERROR_INVALID: another response, described in the message; ERROR_USAGE,
// ERROR_MEMORY, and those of http_client_response.
static enum error_code admin_client_get(const struct export_endpoint *endpoint, const char *path,
                                        struct slice token, struct buffer *body,
                                        struct error *error)
{
    struct question question = {.body = body, .error = error};
    enum error_code code = net_loop_create(&question.loop, error);
    if (code == ERROR_NONE)
        code = ask(&question, endpoint, path, token);
    net_loop_destroy(question.loop);
    return code;
}

// --- `check --live`: queries a running daemon about its setup -----------------------

#define STATUS_PATH "/api/status"
#define STATUS_MAX ((size_t)16 << 20)

// --- finding the listener ---------------------------------------------------------------------------

// A daemon that listens on all addresses is contacted on loopback.
static enum error_code find_listener(const struct config *config, char *url, size_t size,
                                     struct error *error)
{
    struct slice listen = slice_from_string(config->admin_listen);
    struct net_address address;
    char text[NET_ADDRESS_TEXT_SIZE];
    if (!config_has_admin(config))
        return error_set(error, ERROR_USAGE, "admin-listen is off: the daemon cannot be queried");
    enum error_code code = net_address_parse(listen, &address, error);
    if (code != ERROR_NONE)
        return code;
    net_address_format(&address, text);
    const char *port = strrchr(text, ':');
    if (strcmp(port, ":0") == 0)
        return error_set(error, ERROR_USAGE,
                         "admin-listen has port 0: give the URL that the daemon logged when it "
                         "became ready");
    bool is_any = strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0;
    (void)snprintf(url, size, "http://%s%s", is_any ? "localhost" : text, is_any ? port : "");
    return ERROR_NONE;
}

static enum error_code find_endpoint(const struct config *config, const char *given,
                                     struct export_endpoint *endpoint, struct error *error)
{
    char url[1024];
    enum error_code code = ERROR_NONE;
    if (given == NULL)
        code = find_listener(config, url, sizeof url, error);
    else // "localhost:8081" is accepted, as in admin-listen
        (void)snprintf(url, sizeof url, "%s%s", strstr(given, "://") == NULL ? "http://" : "",
                       given);
    if (code == ERROR_NONE)
        code = export_endpoint_parse(slice_from_string(url), EXPORT_URL_WHOLE, endpoint, error);
    if (code == ERROR_NONE && given == NULL &&
        (config->admin_tls || config->admin_client_ca != NULL))
        code = error_set(error, ERROR_USAGE,
                         "admin-listen is served by https: give its URL, with the name that its "
                         "certificate has");
    return code;
}

// --- printing the response --------------------------------------------------------------------------

// Responses may contain anything, including terminal escape sequences.
static void print_status_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        putchar(c < ' ' || c == 0x7f ? '?' : c);
    }
}

static struct slice status_text(const struct json_document *document, json_value object,
                                struct slice name, struct arena *arena)
{
    struct slice text;
    return json_string(document, json_get(document, object, name), arena, &text) ? text
                                                                                 : SLICE_EMPTY;
}

// Prints the list; `*is_right`: no item is wrong. Returns false if the response has another form.
static bool print_items(const struct json_document *document, json_value setup, struct arena *arena,
                        bool *is_right)
{
    json_value items = json_get(document, setup, SLICE("items"));
    json_value item = json_first_element(document, items);
    *is_right = true;
    if (item == JSON_NONE)
        return false;
    for (; item != JSON_NONE; item = json_next_element(document, item)) {
        struct slice name = status_text(document, item, SLICE("name"), arena);
        struct slice state = status_text(document, item, SLICE("state"), arena);
        *is_right &= !slice_equals(state, SLICE("wrong"));
        print_status_text(name);
        printf("%*s", name.len < 10 ? (int)(10 - name.len) : 1, "");
        print_status_text(state);
        printf("%*s", state.len < 9 ? (int)(9 - state.len) : 1, "");
        print_status_text(status_text(document, item, SLICE("message"), arena));
        printf("\n");
    }
    return true;
}

// Also checks whether the daemon can store deliveries: without that everything else is irrelevant.
static void print_ready(const struct json_document *document, struct arena *arena, bool *is_right)
{
    bool is_ready =
        json_type_of(document, json_get(document, JSON_ROOT, SLICE("ready"))) == JSON_TRUE;
    *is_right &= is_ready;
    printf("%-10s%-9s", "daemon", is_ready ? "ok" : "wrong");
    if (is_ready) {
        printf("It runs, ghatrace ");
        print_status_text(status_text(document, JSON_ROOT, SLICE("version"), arena));
        printf(", and takes deliveries at ");
        print_status_text(status_text(document, JSON_ROOT, SLICE("listen"), arena));
        print_status_text(status_text(document, JSON_ROOT, SLICE("webhook_path"), arena));
        printf(".\n");
        return;
    }
    printf("It cannot store deliveries: ");
    print_status_text(status_text(document, JSON_ROOT, SLICE("reason"), arena));
    printf("\n");
}

static enum error_code print_answer(struct slice text, struct arena *arena, bool *is_right,
                                    struct error *error)
{
    struct json_document document;
    enum error_code code = json_parse(text, arena, &document, error);
    bool is_listed = true, is_ready = true;
    if (code != ERROR_NONE)
        return error_set(error, code, "the answer is not from ghatrace: no JSON");
    json_value setup = json_get(&document, JSON_ROOT, SLICE("setup"));
    if (json_type_of(&document, setup) != JSON_OBJECT)
        return error_set(error, ERROR_INVALID,
                         "the answer is not from ghatrace, or from an older version");
    print_ready(&document, arena, &is_ready);
    is_listed = print_items(&document, setup, arena, is_right);
    *is_right &= is_ready;
    return is_listed ? ERROR_NONE
                     : error_set(error, ERROR_INVALID, "its list of findings is empty");
}

// --- the command ------------------------------------------------------------------------------------

static enum error_code query_daemon(const struct config *config,
                                    const struct export_endpoint *endpoint, struct buffer *answer,
                                    struct error *error)
{
    struct secrets tokens;
    enum error_code code = ERROR_NONE;
    secrets_init(&tokens);
    if (config->admin_token_file != NULL)
        code = secrets_load_tokens(&tokens, config->admin_token_file, error);
    if (code == ERROR_NONE)
        code = admin_client_get(endpoint, STATUS_PATH,
                                tokens.count > 0 ? tokens.items[0] : SLICE_EMPTY, answer, error);
    secrets_release(&tokens);
    return code;
}

// Checks only the settings needed for the request: the user may not be the one who runs the daemon.
static enum error_code configure(struct cli_args *cli_args, struct config *config,
                                 struct error *error)
{
    const struct option_set *wanted =
        OPTION_SET([OPTION_ID_ADMIN_LISTEN] = true, [OPTION_ID_ADMIN_TOKEN_FILE] = true,
                   [OPTION_ID_ADMIN_TLS] = true, [OPTION_ID_ADMIN_CLIENT_CA] = true);
    enum error_code code = settings_complete(&cli_args->settings, cli_args->environment, error);
    if (code == ERROR_NONE)
        code = config_build(config, &cli_args->settings, wanted, cli_args->environment, error);
    return code == ERROR_NONE || code == ERROR_MEMORY
               ? code
               : error_set(error, ERROR_USAGE, "%s", error->message);
}

int check_live(struct cli_args *cli_args, const char *url)
{
    struct config config;
    struct export_endpoint endpoint;
    struct buffer answer;
    struct error error;
    bool is_right = false;
    buffer_init(&answer, STATUS_MAX);
    enum error_code code = configure(cli_args, &config, &error);
    if (code == ERROR_NONE)
        code = find_endpoint(&config, url, &endpoint, &error);
    if (code == ERROR_NONE)
        code = query_daemon(&config, &endpoint, &answer, &error);
    if (code == ERROR_NONE)
        code = print_answer(buffer_slice(&answer), cli_args->arena, &is_right, &error);
    if (code != ERROR_NONE)
        error_wrap(&error, "check --live");
    int status = code != ERROR_NONE ? command_fail(&error) : is_right ? EXIT_OK : EXIT_FAILED;
    buffer_release(&answer);
    return status;
}

// --- log lines about how the webhook is set up ----------------------------------------------------

static bool is_bad(enum setup_state state)
{
    return state == SETUP_WARNING || state == SETUP_WRONG;
}

bool setup_watch_is_due(struct setup_watch *watch, enum setup_subject subject,
                        const struct setup_item *item, timestamp_ns now)
{
    bool was_logged = watch->items[subject].logged_at != 0;
    duration_ns since = now - watch->items[subject].logged_at;
    bool is_change = is_bad(item->state)
                         ? item->state != watch->items[subject].state
                         : is_bad(watch->items[subject].state) && item->state == SETUP_OK;
    uint64_t refused = item->refused != NULL ? item->refused->count : 0;
    bool is_again = is_bad(item->state) && refused > watch->items[subject].refused &&
                    since >= SETUP_WATCH_AGAIN;
    if (item->is_logged_elsewhere || (!is_change && !is_again) ||
        (was_logged && since < SETUP_WATCH_LEAST))
        return false;
    watch->items[subject].state = item->state;
    watch->items[subject].logged_at = now;
    watch->items[subject].refused = refused;
    return true;
}

void setup_watch_log(struct setup_watch *watch, const struct setup_facts *facts, timestamp_ns now)
{
    struct setup_report report;
    setup_assess(facts, &report);
    for (size_t i = 0; i < SETUP_SUBJECTS; i++) {
        const struct setup_item *item = &report.items[i];
        if (!setup_watch_is_due(watch, (enum setup_subject)i, item, now))
            continue;
        const char *subject = setup_subject_text((enum setup_subject)i);
        if (is_bad(item->state))
            log_warn("set-up", LOG_STRING("subject", subject),
                     LOG_STRING("state", setup_state_text(item->state)),
                     LOG_STRING("message", item->message));
        else
            log_info("set-up", LOG_STRING("subject", subject), LOG_STRING("state", "ok"),
                     LOG_STRING("message", item->message));
    }
}
