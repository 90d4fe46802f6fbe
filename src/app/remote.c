// Requests to the admin listener of a daemon.
#include "remote.h"

#include <stdio.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/client/http_client.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/term/text.h"
#include "secrets.h"

#define LOOK_UP_TIME (100 * NS_PER_MS) // between two calls of `is_wanted`
#define BEARER_MAX ((size_t)64 << 10)

struct remote {
    struct net_loop *loop;
    struct http_client *client;
    struct net_timer *timer;
    struct export_endpoint
        endpoint;              // its path is where the listener is, without a slash at its end
    char shown[512];           // the URL for messages
    struct remote_place place; // its texts are not owned
    struct buffer bearer;      // "Bearer ..."; wiped. Empty: no token
    bool (*is_wanted)(void *context);
    void *wanted_context;
    struct buffer body; // of the last answer
    bool is_interrupted;
    // of the request in progress
    struct http_client_transfer *transfer;
    struct error *error;
    enum error_code code;
};

// --- flags and variables --------------------------------------------------------------------------

static const char *get_choice_of(const struct cli_args *cli_args, const char *flag,
                                 const char *variable)
{
    const char *given = cli_args_flag(cli_args, flag);
    return given != NULL ? given : environment_get(cli_args->environment, variable);
}

// Settings are those of the daemon: one that is given here would change nothing.
static enum error_code refuse_settings(const struct cli_args *cli_args, struct error *error)
{
    for (size_t id = 0; id < OPTIONS_COUNT; id++)
        if (cli_args_has_setting(cli_args, (enum option_id)id))
            return error_set(error, ERROR_USAGE, "--%s: not with --url: the daemon has its own",
                             options[id].name);
    return ERROR_NONE;
}

static enum error_code read_url(struct remote *remote, struct error *error)
{
    const char *url = remote->place.url, *setting = remote->place.url_setting;
    // As a browser shows it: what follows '#' or '?' is not sent.
    struct slice text = {url, strcspn(url, "#?")};
    char whole[1024];
    int len = snprintf(whole, sizeof whole, "%s%.*s",
                       slice_find(text, SLICE("://")) < 0 ? "http://" : "", SLICE_ARGS(text));
    if (len < 0 || (size_t)len >= sizeof whole)
        return error_set(error, ERROR_USAGE, "%s: it is too long", setting);
    enum error_code code =
        export_endpoint_parse(slice_from_string(whole), EXPORT_URL_WHOLE, &remote->endpoint, error);
    if (code != ERROR_NONE)
        return error_wrap(error, "%s", setting);
    if (remote->endpoint.userinfo[0] != '\0')
        return error_set(error, ERROR_USAGE,
                         "%s: a password here can be seen by others: put the token into a file, "
                         "and name it with %s",
                         setting, remote->place.token_setting);
    char *path = remote->endpoint.path;
    for (size_t end = strlen(path); end > 0 && path[end - 1] == '/'; end--)
        path[end - 1] = '\0';
    (void)snprintf(remote->shown, sizeof remote->shown, "http%s://%s%.100s",
                   remote->endpoint.is_tls ? "s" : "", remote->endpoint.host_header, path);
    return ERROR_NONE;
}

static enum error_code read_token_file(struct remote *remote, struct error *error)
{
    struct secrets tokens;
    if (remote->place.token_file == NULL)
        return ERROR_NONE;
    secrets_init(&tokens);
    enum error_code code = secrets_load_tokens(&tokens, remote->place.token_file, error);
    // Reserves room for all of it at once: a buffer that grows leaves copies of it in freed memory.
    if (code == ERROR_NONE)
        code = buffer_reserve(&remote->bearer, tokens.items[0].len + sizeof "Bearer ");
    if (code == ERROR_NONE)
        code = buffer_append_format(&remote->bearer, "Bearer %.*s", SLICE_ARGS(tokens.items[0]));
    secrets_release(&tokens);
    return code == ERROR_NONE || code == ERROR_USAGE
               ? code
               : error_set(error, code, "%s: %s", remote->place.token_file, error_code_text(code));
}

// --- requests -------------------------------------------------------------------------------------

// Text of the server in a message, on one line.
static struct slice clean_words(struct arena *arena, struct slice raw)
{
    struct slice text = SLICE_EMPTY;
    return raw.len > 0 && text_clean(arena, raw, true, &text) ? text : SLICE_EMPTY;
}

// What the daemon says in its error; empty: nothing, so it is not ghatrace.
static struct slice said_in(struct slice body, struct arena *arena)
{
    struct json_document document;
    struct slice text;
    struct error ignored;
    if (json_parse(body, arena, &document, &ignored) != ERROR_NONE ||
        !json_string(&document, json_get(&document, JSON_ROOT, SLICE("error")), arena, &text))
        return SLICE_EMPTY;
    return clean_words(arena, text);
}

struct reply {
    struct remote *remote;
    struct arena *arena;
};

static enum error_code explain_unauthorized(const struct remote *remote)
{
    if (remote->place.token_file == NULL)
        return error_set(remote->error, ERROR_INVALID,
                         "it wants a token (401): name the file that has it with %s",
                         remote->place.token_setting);
    return error_set(remote->error, ERROR_INVALID,
                     "it does not accept the token in %.100s (401): it must be one of those in the "
                     "daemon's admin-token-file",
                     remote->place.token_file);
}

static enum error_code explain_status(const struct reply *reply,
                                      const struct http_client_response *response)
{
    const struct remote *remote = reply->remote;
    struct error *error = remote->error;
    struct slice said = said_in(response->body, reply->arena);
    switch (response->status) {
    case 401:
        return explain_unauthorized(remote);
    case 403:
        return error_set(error, ERROR_INVALID,
                         "it denies access from here, or by this name (403): ask it on its own "
                         "machine as localhost, or set its admin-token-file");
    case 404:
        if (said.len > 0 &&
            !slice_equals(said, SLICE("not found"))) // of a path that it does not know
            return error_set(error, ERROR_NOT_FOUND, "%.*s", SLICE_ARGS(said));
        return error_set(error, ERROR_INVALID,
                         "there is no ghatrace at this address (404): is it the daemon's "
                         "admin-listen, with the proxy's path if there is one?");
    default:
        break;
    }
    if (response->status >= 300 && response->status < 400)
        return error_set(
            error, ERROR_INVALID, "it redirects (%d) to %.*s: name that address", response->status,
            SLICE_ARGS(clean_words(reply->arena, http_client_header(response, "location"))));
    return error_set(error, ERROR_INVALID, "it answers %d%s%.*s", response->status,
                     said.len > 0 ? ": " : "", SLICE_ARGS(said));
}

static enum error_code explain_no_answer(const struct remote *remote, const struct error *reason)
{
    if (strstr(reason->message, "refused") != NULL)
        return error_set(remote->error, reason->code,
                         "%s: is the daemon running, and is this its admin-listen?",
                         reason->message);
    if (reason->code == ERROR_TIMEOUT)
        return error_set(remote->error, reason->code,
                         "%s: a firewall between, or a machine that is overloaded?",
                         reason->message);
    // Without TLS where it is expected; or before the alert was read that says what is missing.
    if (strstr(reason->message, "reset") != NULL)
        return error_set(remote->error, reason->code, "%s: %s", reason->message,
                         remote->endpoint.is_tls
                             ? "does it want a client certificate, which this command has not?"
                             : "https:// instead of http://?");
    if (strstr(reason->message, "client certificate") != NULL)
        return error_set(remote->error, reason->code,
                         "%s, which this command has not: give the daemon an admin-token-file",
                         reason->message);
    if (strstr(reason->message, "certificate") != NULL)
        return error_set(remote->error, reason->code,
                         "%s: an authority of your own is named by --ca-file or SSL_CERT_FILE",
                         reason->message);
    *remote->error = *reason;
    return reason->code;
}

static void on_remote_reply(void *context, const struct http_client_response *response)
{
    const struct reply *reply = context;
    struct remote *remote = reply->remote;
    remote->transfer = NULL;
    net_loop_stop(remote->loop);
    if (response->status == 0)
        remote->code = explain_no_answer(remote, &response->error);
    else if (response->status != 200)
        remote->code = explain_status(reply, response);
    else if (response->is_body_omitted)
        remote->code = error_set(remote->error, ERROR_TOO_LARGE,
                                 "its answer is longer than %zu bytes", REMOTE_ANSWER_MAX);
    else
        remote->code = buffer_append_slice(&remote->body, response->body);
}

static void look_whether_wanted(void *context)
{
    struct remote *remote = context;
    net_timer_set(remote->timer, LOOK_UP_TIME);
    if (remote->is_wanted == NULL || remote->is_wanted(remote->wanted_context))
        return;
    http_client_cancel(remote->transfer);
    remote->transfer = NULL;
    remote->is_interrupted = true;
    remote->code = error_set(remote->error, ERROR_CLOSED, "interrupted");
    net_loop_stop(remote->loop);
}

static enum error_code ask_daemon(struct remote *remote, const char *path, struct arena *arena)
{
    struct export_endpoint target = remote->endpoint;
    char url[EXPORT_URL_SIZE];
    size_t prefix = strlen(target.path);
    struct reply reply = {remote, arena};
    const struct http_header headers[] = {{SLICE("Accept"), SLICE("application/json")},
                                          {SLICE("Authorization"), buffer_slice(&remote->bearer)}};
    int len = snprintf(target.path + prefix, sizeof target.path - prefix, "/%s", path);
    if (len < 0 || (size_t)len >= sizeof target.path - prefix)
        return error_set(remote->error, ERROR_USAGE, "the URL is too long");
    const struct http_client_request request = {.url = export_endpoint_url(&target, url),
                                                .headers = headers,
                                                .header_count = remote->bearer.len > 0 ? 2 : 1,
                                                .timeout = REMOTE_PATIENCE,
                                                .body_max = REMOTE_ANSWER_MAX};
    enum error_code code =
        http_client_send(remote->client, &request, on_remote_reply, &reply, &remote->transfer);
    if (code != ERROR_NONE)
        return error_set(remote->error, code, "the request cannot be sent: %s",
                         error_code_text(code));
    net_timer_set(remote->timer, LOOK_UP_TIME);
    net_loop_run(remote->loop);
    net_timer_cancel(remote->timer);
    return remote->code;
}

static enum error_code read_answer(struct remote *remote, struct arena *arena,
                                   struct remote_answer *answer)
{
    // A copy, as texts of the document are in it, and the next answer overwrites the buffer.
    if (!arena_copy_slice(arena, buffer_slice(&remote->body), &answer->text))
        return ERROR_MEMORY;
    enum error_code code = json_parse(answer->text, arena, &answer->document, remote->error);
    if (code == ERROR_MEMORY)
        return code;
    if (code == ERROR_NONE && json_type_of(&answer->document, JSON_ROOT) == JSON_OBJECT)
        return ERROR_NONE;
    return error_set(remote->error, ERROR_INVALID,
                     "its answer is not one of ghatrace: is this the daemon's admin-listen?");
}

enum error_code remote_get(struct remote *remote, const char *path, struct arena *arena,
                           struct remote_answer *answer, struct error *error)
{
    buffer_clear(&remote->body);
    remote->is_interrupted = false;
    remote->error = error;
    remote->code = ERROR_NONE;
    enum error_code code = ask_daemon(remote, path, arena);
    if (code == ERROR_NONE)
        code = read_answer(remote, arena, answer);
    if (code == ERROR_MEMORY)
        error_set(error, code, "out of memory");
    return code == ERROR_NONE || code == ERROR_NOT_FOUND ? code
                                                         : error_wrap(error, "%s", remote->shown);
}

// --- opening and closing --------------------------------------------------------------------------

static enum error_code make_client(struct remote *remote, struct error *error)
{
    struct http_client_options made = {.connections_max = 1};
    const struct net_tls_client_options files = {.ca_file = remote->place.ca_file};
    enum error_code code = net_loop_create(&remote->loop, error);
    if (code == ERROR_NONE)
        code = net_timer_create(remote->loop, look_whether_wanted, remote, &remote->timer, error);
    if (code == ERROR_NONE && remote->endpoint.is_tls)
        code = net_tls_client_read(&files, &made.tls, error);
    if (code == ERROR_NONE)
        code = http_client_create(remote->loop, &made, &remote->client, error);
    net_tls_client_unref(made.tls); // the client holds it
    return code;
}

enum error_code remote_open_at(const struct remote_place *place, struct remote **out,
                               struct error *error)
{
    struct remote *remote = memory_allocate_array(1, sizeof *remote);
    *out = NULL;
    if (remote == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    remote->place = *place;
    buffer_init(&remote->bearer, BEARER_MAX);
    buffer_init(&remote->body, REMOTE_ANSWER_MAX);
    enum error_code code = read_url(remote, error);
    if (code == ERROR_NONE)
        code = read_token_file(remote, error);
    if (code == ERROR_NONE)
        code = make_client(remote, error);
    if (code == ERROR_NONE)
        *out = remote;
    else
        remote_close(remote);
    return code;
}

enum error_code remote_open(const struct cli_args *cli_args, struct remote **remote,
                            struct error *error)
{
    const struct remote_place place = {
        .url = get_choice_of(cli_args, "url", "GHATRACE_URL"),
        .token_file = get_choice_of(cli_args, "token-file", "GHATRACE_TOKEN_FILE"),
        .ca_file = get_choice_of(cli_args, "ca-file", "GHATRACE_CA_FILE"),
        .url_setting = "--url",
        .token_setting = "--token-file"};
    enum error_code code = refuse_settings(cli_args, error);
    if (code == ERROR_NONE)
        code = remote_open_at(&place, remote, error);
    if (code != ERROR_NONE || cli_args_flag(cli_args, "ca-file") == NULL ||
        (*remote)->endpoint.is_tls)
        return code;
    remote_close(*remote);
    return error_set(error, ERROR_USAGE, "--ca-file: only for an https --url");
}

void remote_close(struct remote *remote)
{
    if (remote == NULL)
        return;
    http_client_destroy(remote->client);
    net_timer_destroy(remote->timer);
    net_loop_destroy(remote->loop);
    if (remote->bearer.data != NULL)
        digest_wipe(remote->bearer.data, remote->bearer.len);
    buffer_release(&remote->bearer);
    buffer_release(&remote->body);
    memory_free(remote);
}

bool remote_is_interrupted(const struct remote *remote)
{
    return remote->is_interrupted;
}

void remote_stop_unless(struct remote *remote, bool (*is_wanted)(void *context), void *context)
{
    remote->is_wanted = is_wanted;
    remote->wanted_context = context;
}

// --- for commands that print one text -------------------------------------------------------------

enum error_code remote_answer_of(struct slice text, struct arena *arena,
                                 struct remote_answer *answer, struct error *error)
{
    return arena_copy_slice(arena, text, &answer->text)
               ? json_parse(answer->text, arena, &answer->document, error)
               : error_set(error, ERROR_MEMORY, "read an answer: out of memory");
}

static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("-_~", c) != NULL);
}

bool remote_append_encoded(char *path, size_t room, struct slice part)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < part.len && len < room; i++) {
        char c = part.data[i];
        len += (size_t)snprintf(path + len, room - len, is_unreserved(c) ? "%c" : "%%%02x",
                                (unsigned char)c);
    }
    return len < room;
}

enum error_code remote_pass_on(const struct remote_answer *answer, struct buffer *text,
                               struct error *error)
{
    enum error_code code = buffer_append_slice(text, answer->text);
    return code == ERROR_NONE
               ? code
               : error_set(error, code, "print an answer: %s", error_code_text(code));
}

int remote_run(const struct cli_args *cli_args, size_t most, remote_writer *write_text,
               const void *question)
{
    struct remote_call call = {.cli_args = cli_args, .question = question};
    struct buffer text;
    struct error error;
    int status = EXIT_OK;
    if (remote_open(cli_args, &call.remote, &error) != ERROR_NONE)
        return command_fail(&error);
    buffer_init(&text, most);
    if (write_text(&call, &text, &error) == ERROR_NONE)
        store_tool_print(&text);
    else
        status = command_fail(&error);
    buffer_release(&text);
    remote_close(call.remote);
    return status;
}
