// Asking a running daemon whether it is set up right.
#include "ghatrace/app/check_live.h"

#include <stdio.h>
#include <string.h>

#include "ghatrace/app/admin_client.h"
#include "ghatrace/app/secrets.h"
#include "ghatrace/github/json.h"
#include "ghatrace/net/address.h"

#define STATUS_PATH "/api/status"
#define STATUS_MAX ((size_t)16 << 20)

// --- where ------------------------------------------------------------------------------------------

// A daemon that listens everywhere is asked on loopback.
static enum error_code find_listener(const struct config *config, char *url, size_t size,
                                     struct error *error)
{
    struct slice listen = slice_from_string(config->admin_listen);
    struct net_address address;
    char text[NET_ADDRESS_TEXT_SIZE];
    if (!config_has_admin(config))
        return error_set(error, ERROR_USAGE, "admin-listen is off: there is nobody to ask");
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
    else // "localhost:8081" will do, as in admin-listen
        (void)snprintf(url, sizeof url, "%s%s", strstr(given, "://") == NULL ? "http://" : "",
                       given);
    if (code == ERROR_NONE)
        code = export_endpoint_parse(slice_from_string(url), EXPORT_URL_WHOLE, endpoint, error);
    if (code == ERROR_NONE &&
        (endpoint->is_tls ||
         (given == NULL && (config->admin_tls || config->admin_client_ca != NULL))))
        code = error_set(error, ERROR_USAGE,
                         "https is not spoken here: ask for " STATUS_PATH " by curl, say");
    return code;
}

// --- what it says -----------------------------------------------------------------------------------

// What answers may be anything, and a terminal obeys some of it.
static void print_clean(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        putchar(c < ' ' || c == 0x7f ? '?' : c);
    }
}

static struct slice get_text(const struct json_document *document, json_value object,
                             struct slice name, struct arena *arena)
{
    struct slice text;
    return json_string(document, json_get(document, object, name), arena, &text) ? text
                                                                                 : SLICE_EMPTY;
}

// Prints the list; `*is_right`: nothing in it is wrong. False: this is no such answer.
static bool print_items(const struct json_document *document, json_value setup, struct arena *arena,
                        bool *is_right)
{
    json_value items = json_get(document, setup, SLICE("items"));
    json_value item = json_first_element(document, items);
    *is_right = true;
    if (item == JSON_NONE)
        return false;
    for (; item != JSON_NONE; item = json_next_element(document, item)) {
        struct slice name = get_text(document, item, SLICE("name"), arena);
        struct slice state = get_text(document, item, SLICE("state"), arena);
        *is_right &= !slice_equals(state, SLICE("wrong"));
        print_clean(name);
        printf("%*s", name.len < 10 ? (int)(10 - name.len) : 1, "");
        print_clean(state);
        printf("%*s", state.len < 9 ? (int)(9 - state.len) : 1, "");
        print_clean(get_text(document, item, SLICE("message"), arena));
        printf("\n");
    }
    return true;
}

// Whether it can store deliveries is asked for, too: without that nothing else helps.
static void print_ready(const struct json_document *document, struct arena *arena, bool *is_right)
{
    bool is_ready =
        json_type_of(document, json_get(document, JSON_ROOT, SLICE("ready"))) == JSON_TRUE;
    *is_right &= is_ready;
    printf("%-10s%-9s", "daemon", is_ready ? "ok" : "wrong");
    if (is_ready) {
        printf("It runs, ghatrace ");
        print_clean(get_text(document, JSON_ROOT, SLICE("version"), arena));
        printf(", and takes deliveries at ");
        print_clean(get_text(document, JSON_ROOT, SLICE("listen"), arena));
        print_clean(get_text(document, JSON_ROOT, SLICE("webhook_path"), arena));
        printf(".\n");
        return;
    }
    printf("It cannot store deliveries: ");
    print_clean(get_text(document, JSON_ROOT, SLICE("reason"), arena));
    printf("\n");
}

static enum error_code print_answer(struct slice text, struct arena *arena, bool *is_right,
                                    struct error *error)
{
    struct json_document document;
    enum error_code code = json_parse(text, arena, &document, error);
    bool is_listed = true, is_ready = true;
    if (code != ERROR_NONE)
        return error_set(error, code, "what answers there is not ghatrace: no JSON");
    json_value setup = json_get(&document, JSON_ROOT, SLICE("setup"));
    if (json_type_of(&document, setup) != JSON_OBJECT)
        return error_set(error, ERROR_INVALID,
                         "what answers there is not ghatrace, or an older version");
    print_ready(&document, arena, &is_ready);
    is_listed = print_items(&document, setup, arena, is_right);
    *is_right &= is_ready;
    return is_listed ? ERROR_NONE : error_set(error, ERROR_INVALID, "the list of it is empty");
}

// --- the command ------------------------------------------------------------------------------------

static enum error_code ask(const struct config *config, const struct export_endpoint *endpoint,
                           struct buffer *answer, struct error *error)
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

// Only what is needed to ask is looked at: whoever asks need not be who serves.
static enum error_code configure(struct invocation *invocation, struct config *config,
                                 struct error *error)
{
    const option_set wanted =
        OPTION_BIT(OPTION_ID_ADMIN_LISTEN) | OPTION_BIT(OPTION_ID_ADMIN_TOKEN_FILE) |
        OPTION_BIT(OPTION_ID_ADMIN_TLS) | OPTION_BIT(OPTION_ID_ADMIN_CLIENT_CA);
    enum error_code code = settings_complete(&invocation->settings, invocation->environment, error);
    if (code == ERROR_NONE)
        code = config_build(config, &invocation->settings, wanted, invocation->environment, error);
    return code == ERROR_NONE || code == ERROR_MEMORY
               ? code
               : error_set(error, ERROR_USAGE, "%s", error->message);
}

int check_live(struct invocation *invocation, const char *url)
{
    struct config config;
    struct export_endpoint endpoint;
    struct buffer answer;
    struct error error;
    bool is_right = false;
    buffer_init(&answer, STATUS_MAX);
    enum error_code code = configure(invocation, &config, &error);
    if (code == ERROR_NONE)
        code = find_endpoint(&config, url, &endpoint, &error);
    if (code == ERROR_NONE)
        code = ask(&config, &endpoint, &answer, &error);
    if (code == ERROR_NONE)
        code = print_answer(buffer_slice(&answer), invocation->arena, &is_right, &error);
    if (code != ERROR_NONE)
        error_wrap(&error, "check --live");
    int status = code != ERROR_NONE ? command_fail(&error) : is_right ? EXIT_OK : EXIT_FAILED;
    buffer_release(&answer);
    return status;
}
