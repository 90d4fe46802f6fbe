// Asks a running daemon whether everything is set up right.
#include "check_live.h"

#include <stdio.h>
#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/json/read.h"
#include "ghatrace/net/address.h"
#include "remote.h"

// --- `check --live`: queries a running daemon about its setup -----------------------

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

static enum error_code find_url(const struct config *config, const char *given, char *url,
                                size_t size, struct error *error)
{
    if (given != NULL) {
        (void)snprintf(url, size, "%s", given);
        return ERROR_NONE;
    }
    if (config->admin_tls || config->admin_client_ca != NULL)
        return error_set(error, ERROR_USAGE,
                         "admin-listen is served by https: give its URL, with the name that its "
                         "certificate has");
    return find_listener(config, url, size, error);
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

static enum error_code print_answer(const struct json_document *document, struct arena *arena,
                                    bool *is_right, struct error *error)
{
    bool is_listed = true, is_ready = true;
    json_value setup = json_get(document, JSON_ROOT, SLICE("setup"));
    if (json_type_of(document, setup) != JSON_OBJECT)
        return error_set(error, ERROR_INVALID,
                         "the answer is not from ghatrace, or from an older version");
    print_ready(document, arena, &is_ready);
    is_listed = print_items(document, setup, arena, is_right);
    *is_right &= is_ready;
    return is_listed ? ERROR_NONE
                     : error_set(error, ERROR_INVALID, "its list of findings is empty");
}

// --- the command ------------------------------------------------------------------------------------

// An https listener is verified with the system's authorities, or those of SSL_CERT_FILE.
static enum error_code query_daemon(const struct config *config, const char *url,
                                    struct arena *arena, struct remote_answer *answer,
                                    struct error *error)
{
    const struct remote_place place = {.url = url,
                                       .token_file = config->admin_token_file,
                                       .url_setting = "its URL",
                                       .token_setting = "admin-token-file"};
    struct remote *remote;
    enum error_code code = remote_open_at(&place, &remote, error);
    if (code == ERROR_NONE)
        code = remote_get(remote, "api/status", arena, answer, error);
    remote_close(remote);
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

int check_live(struct cli_args *cli_args, const char *given)
{
    struct config config;
    struct remote_answer answer;
    struct error error;
    char url[1024];
    bool is_right = false;
    enum error_code code = configure(cli_args, &config, &error);
    if (code == ERROR_NONE)
        code = find_url(&config, given, url, sizeof url, &error);
    if (code == ERROR_NONE)
        code = query_daemon(&config, url, cli_args->arena, &answer, &error);
    if (code == ERROR_NONE)
        code = print_answer(&answer.document, cli_args->arena, &is_right, &error);
    if (code == ERROR_NONE)
        return is_right ? EXIT_OK : EXIT_FAILED;
    error_wrap(&error, "check --live");
    return command_fail(&error);
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
