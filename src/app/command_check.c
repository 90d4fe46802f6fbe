// ghatrace check: the configuration and the source of each value; what the store has set aside.
#include <stdio.h>
#include <string.h>

#include "check_live.h"
#include "cli.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/export/header_file.h"
#include "ghatrace/store/store.h"
#include "notices.h"
#include "secrets.h"

enum { FLAG_LIVE };

static const struct flag flags[] = {
    [FLAG_LIVE] = {"live", "[URL]", "ask the running daemon whether all is set up right"},
};

// What was read in addition to the configuration.
struct findings {
    struct secrets secrets;
    struct secrets tokens;
    struct secrets roles;                   // tokens of otlp-token-file
    struct export_header_file *header_file; // NULL: none, or nothing is exported
    struct notice_receivers receivers;
};

// Prints the values in effect. Anything that may hold a secret is never printed: headers by their names only, URLs
// without userinfo and query.
static void print_url(const char *text)
{
    struct export_endpoint endpoint;
    struct error error;
    char shown[sizeof endpoint.path + sizeof endpoint.host_header + 16];
    if (export_endpoint_parse(slice_from_string(text), EXPORT_URL_WHOLE, &endpoint, &error) !=
        ERROR_NONE)
        return; // export is off, so it was not validated
    export_endpoint_format(&endpoint, shown, sizeof shown);
    printf("%s", shown);
}

static void print_proxy(const char *text)
{
    struct export_proxy proxy;
    struct error error;
    if (config_is_off(text))
        printf("off");
    else if (export_proxy_parse(slice_from_string(text), &proxy, &error) == ERROR_NONE)
        printf("%s", proxy.shown);
}

static void print_text(enum option_id id, const char *text)
{
    if (text == NULL)
        return;
    if (id == OPTION_ID_CONFIG && text[0] == '\0')
        printf("(none)");
    else if (id == OPTION_ID_OTLP_ENDPOINT)
        print_url(text);
    else if (id == OPTION_ID_OTLP_PROXY)
        print_proxy(text);
    else
        printf("%s", text);
}

static void print_headers(const struct config *config)
{
    for (size_t i = 0; i < config->exporting.options.header_count; i++)
        printf("%s%.*s=...", i > 0 ? "," : "",
               SLICE_ARGS(config->exporting.options.headers[i].name));
}

static void print_list(const struct config *config, enum option_id id, const void *field)
{
    const struct text_list *list = field;
    if (id == OPTION_ID_OTLP_HEADER) {
        print_headers(config);
        return;
    }
    const char *separator =
        id == OPTION_ID_RUNNER_POOL || id == OPTION_ID_RUNNER_CEILING ? "; " : " ";
    for (size_t i = 0; i < list->count; i++)
        printf("%s%.*s", i > 0 ? separator : "", SLICE_ARGS(list->items[i]));
}

static void print_value(const struct config *config, enum option_id id)
{
    const void *field = (const char *)config + options[id].field;
    char text[TIMESTAMP_TEXT_SIZE];
    switch (options[id].type) {
    case OPTION_TEXT:
        print_text(id, *(const char *const *)field);
        break;
    case OPTION_SWITCH:
        printf("%s", *(const bool *)field ? "on" : "off");
        break;
    case OPTION_COUNT:
        printf("%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case OPTION_SIZE:
        size_format(*(const uint64_t *)field, text);
        printf("%s", text);
        break;
    case OPTION_DURATION:
        printf("%s", duration_format(*(const duration_ns *)field, text));
        break;
    case OPTION_CHOICE: {
        struct slice word = option_choice_word(options[id].values, *(const unsigned *)field);
        printf("%.*s", SLICE_ARGS(word));
        break;
    }
    case OPTION_LIST:
        print_list(config, id, field);
        break;
    }
}

static void print_header_count(const struct export_header_file *file)
{
    struct export_header_file_status status;
    if (file == NULL) {
        printf(" (not read: nothing is exported)");
        return;
    }
    export_header_file_read_status(file, &status);
    printf(" (%zu header%s)", status.count, status.count == 1 ? "" : "s");
}

static void print_setting_value(const struct config *config, const struct settings *settings,
                                enum option_id id, const struct findings *findings)
{
    const struct setting *setting = &settings->items[id];
    bool is_set = setting->source != SOURCE_DEFAULT;
    printf("%s = ", options[id].name);
    // For a setting that is not set and has no default: the text from the help.
    if (!is_set && options[id].preset == NULL && id != OPTION_ID_INGRESS_THREADS)
        printf("(%s)", options[id].unpreset);
    else
        print_value(config, id);
    if (id == OPTION_ID_WEBHOOK_SECRET_FILE && is_set)
        printf(" (%zu secret%s)", findings->secrets.count, findings->secrets.count == 1 ? "" : "s");
    if (id == OPTION_ID_OTLP_TOKEN_FILE && is_set && config_has_receiver(config))
        printf(" (%zu arc, %zu job)", secrets_count_of_role(&findings->roles, RECEIVER_ARC),
               secrets_count_of_role(&findings->roles, RECEIVER_JOB));
    if (id == OPTION_ID_OTLP_HEADER_FILE && is_set)
        print_header_count(findings->header_file);
    printf("  (from %s)\n", setting_source_text(setting->source));
}

static void print_header_names(const struct config_export *exporting,
                               const struct export_header_file *file)
{
    const struct http_header *headers = exporting->options.headers;
    size_t count = exporting->options.header_count;
    size_t shown = 0;
    if (file != NULL)
        headers = export_header_file_headers(file, &count);
    for (size_t i = 0; i < count; i++) {
        if (export_header_is_own(headers[i].name))
            continue;
        printf(" %.*s", SLICE_ARGS(headers[i].name));
        shown++;
    }
    printf("%s\n", shown == 0 ? " none" : "");
}

// `what`: "export" or "metrics", at the start of each line.
static void print_export_proxy(const char *what, const struct config_export *exporting)
{
    if (exporting->proxy_from != NULL)
        printf("%s: through the proxy %s  (from %s)\n", what,
               exporting->options.endpoint.proxy.shown, exporting->proxy_from);
}

// The caller continues the line.
static void begin_export_options(const char *what, const struct config_export *exporting)
{
    struct slice protocol =
        option_choice_word(options[OPTION_ID_OTLP_PROTOCOL].values, exporting->options.protocol);
    struct slice compression =
        option_choice_word(options[OPTION_ID_OTLP_COMPRESSION].values, exporting->options.gzip);
    char timeout[TIMESTAMP_TEXT_SIZE];
    printf("%s: %.*s, compression %.*s, timeout %s", what, SLICE_ARGS(protocol),
           SLICE_ARGS(compression), duration_format(exporting->options.timeout, timeout));
}

static void print_export_tls(const char *what, const struct config_export *exporting)
{
    const struct net_tls_client_options *tls = &exporting->tls;
    if (exporting->options.endpoint.is_tls)
        printf("%s: trusting %s, client certificate %s\n", what,
               tls->ca_file != NULL ? tls->ca_file : "the system's authorities",
               tls->certificate_file != NULL ? tls->certificate_file : "none");
}

static void print_export(const struct config_export *exporting,
                         const struct export_header_file *file)
{
    if (!exporting->is_on) {
        printf("export: none, traces stay in the local store\n");
        return;
    }
    printf("export: POST %s  (from %s)\n", exporting->url, exporting->url_from);
    print_export_proxy("export", exporting);
    begin_export_options("export", exporting);
    printf(", headers:");
    print_header_names(exporting, file);
    print_export_tls("export", exporting);
}

static void print_metrics(const struct config_metrics *metrics)
{
    const struct config_export *exporting = &metrics->exporting;
    char interval[TIMESTAMP_TEXT_SIZE], all[TIMESTAMP_TEXT_SIZE];
    if (!exporting->is_on)
        return;
    printf("metrics: POST %s every %s  (from %s)\n", exporting->url,
           duration_format(metrics->interval, interval), exporting->url_from);
    print_export_proxy("metrics", exporting);
    begin_export_options("metrics", exporting);
    printf(" of a request, %s of all, headers:", duration_format(metrics->timeout, all));
    print_header_names(exporting, NULL);
    if (metrics->header_file != NULL)
        printf("metrics: and the headers of otlp-header-file\n");
    print_export_tls("metrics", exporting);
}

// By form and host only.
static void print_receivers(const struct notice_receivers *receivers)
{
    for (size_t i = 0; i < receivers->count; i++) {
        const struct notice_receiver *receiver = &receivers->items[i];
        const char *proxy = receiver->endpoint.proxy.shown;
        printf("notices: %s to %s%s%s\n", notice_form_names[receiver->form],
               receiver->endpoint.host_header, proxy[0] != '\0' ? " through the proxy " : "",
               proxy);
    }
}

static void print_sockets(const struct config *config)
{
    char address[NET_ADDRESS_TEXT_SIZE];
    for (int use = 0; use < ACTIVATION_USES; use++)
        if (config->activation.sockets[use] != 0)
            printf("socket activation: %s at %s  (descriptor %d)\n",
                   activation_use_name((enum activation_use)use),
                   config_listens_at(config, (enum activation_use)use, address),
                   config->activation.sockets[use]);
}

static void print_config(const struct config *config, const struct settings *settings,
                         const struct findings *findings)
{
    for (size_t i = 0; i < OPTIONS_COUNT; i++)
        print_setting_value(config, settings, (enum option_id)i, findings);
    if (config->github_webhook_secret != NULL && config->webhook_secret_file == NULL)
        printf("webhook secret: 1, from GITHUB_WEBHOOK_SECRET\n");
    print_sockets(config);
    print_export(&config->exporting, findings->header_file);
    print_metrics(&config->metrics);
    print_receivers(&findings->receivers);
    if (config->engine.policy.service_name.len > 0)
        printf("service.name: %.*s\n", SLICE_ARGS(config->engine.policy.service_name));
    for (size_t i = 0; i < config->warnings.count; i++)
        printf("warning: %s\n", config->warnings.items[i]);
}

// --- the store --------------------------------------------------------------------------------------

#define KEY_BYTES_SHOWN 48

// Damaged entries may contain anything, including terminal escape sequences.
static void print_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        putchar(text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?');
}

static void print_set_aside(const struct store_set_aside *entry)
{
    char key[2 * KEY_BYTES_SHOWN + 1];
    char time[TIMESTAMP_TEXT_SIZE];
    size_t len = entry->key.len < KEY_BYTES_SHOWN ? entry->key.len : KEY_BYTES_SHOWN;
    hex_encode((const uint8_t *)entry->key.data, len, key);
    key[2 * len] = '\0';
    printf("store: set aside %s from ", timestamp_format_rfc3339(entry->at, false, time));
    print_ascii(entry->database);
    printf(", key %s%s, %llu bytes: ", key, entry->key.len > len ? "..." : "",
           (unsigned long long)entry->size);
    print_ascii(entry->reason);
    printf("\n");
}

static enum error_code list_set_aside(struct store *store, struct error *error)
{
    struct store_set_aside_totals totals;
    struct store_transaction *transaction;
    struct store_set_aside entry;
    uint64_t number = 0;
    enum error_code code = store_begin(store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = store_read_set_aside_totals(transaction, &totals, error);
    if (code == ERROR_NONE)
        printf("store: %llu entries that could not be read or written were set aside, %llu of them "
               "are kept\n",
               (unsigned long long)totals.count, (unsigned long long)totals.kept);
    while (code == ERROR_NONE &&
           (code = store_seek_set_aside(transaction, &number, &entry, error)) == ERROR_NONE) {
        print_set_aside(&entry);
        number++;
    }
    store_abort(transaction);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Read-only, with or without a running daemon. A missing store is not a configuration error.
static void print_store(const struct config *config)
{
    struct store *store;
    struct error error;
    enum error_code code =
        store_open(config->db, STORE_READER, config->db_max_size, &store, &error);
    if (code == ERROR_NONE) {
        code = list_set_aside(store, &error);
        store_close(store);
    }
    if (code == ERROR_NOT_FOUND)
        printf("store: none in %s yet\n", config->db);
    else if (code != ERROR_NONE)
        printf("store: cannot be read: %s\n", error.message);
}

// --- the command ------------------------------------------------------------------------------------

// For secrets_report_mistakes().
struct slips {
    struct config *config;
    struct arena *arena;
};

static void print_secret_warning(void *context, const char *warning)
{
    const struct slips *slips = context;
    config_warn(slips->config, slips->arena, "%s", warning);
}

static enum error_code read_secrets(struct config *config, struct arena *arena,
                                    struct findings *findings, struct error *error)
{
    struct slips slips = {.config = config, .arena = arena};
    enum error_code code = secrets_load(&findings->secrets, config->webhook_secret_file,
                                        config->github_webhook_secret, error);
    if (code == ERROR_NONE && config->admin_token_file != NULL && config_has_admin(config))
        code = secrets_load_tokens(&findings->tokens, config->admin_token_file, error);
    if (code == ERROR_NONE && config->otlp_token_file != NULL && config_has_receiver(config))
        code = secrets_load_roles(&findings->roles, config->otlp_token_file, error);
    if (code != ERROR_NONE)
        return code;
    if (findings->roles.count > 0 && config->arc_runners.count > 0 &&
        secrets_count_of_role(&findings->roles, RECEIVER_ARC) == 0)
        config_warn(config, arena,
                    "otlp-token-file has no `arc TOKEN`, so ARC cannot report, and runner.* spans "
                    "of arc-runners wait for arc-grace in vain");
    if (!config->ingress.insecure_no_signature)
        secrets_report_mistakes(&findings->secrets, print_secret_warning, &slips);
    secrets_report_mistakes(&findings->tokens, print_secret_warning, &slips);
    return ERROR_NONE;
}

static enum error_code read_configured_files(struct config *config, struct arena *arena,
                                             struct findings *findings, struct error *error)
{
    const struct config_export *exporting = &config->exporting;
    enum error_code code = read_secrets(config, arena, findings, error);
    if (code == ERROR_NONE)
        code = config_check_tls(config, error);
    if (code == ERROR_NONE && config->notify_url_file != NULL)
        code = notices_read_file(config, &findings->receivers, error);
    if (code == ERROR_NONE && exporting->is_on && config->otlp_header_file != NULL)
        code =
            export_header_file_open(config->otlp_header_file, exporting->options.headers,
                                    exporting->options.header_count, &findings->header_file, error);
    return code;
}

static int check_files(struct cli_args *cli_args)
{
    struct config config;
    struct findings findings = {.header_file = NULL};
    struct error error;
    int status = cli_args_configure(cli_args, &config);
    if (status != EXIT_OK)
        return status;
    secrets_init(&findings.secrets);
    secrets_init(&findings.tokens);
    secrets_init(&findings.roles);
    enum error_code code = read_configured_files(&config, cli_args->arena, &findings, &error);
    if (code == ERROR_NONE) {
        print_config(&config, &cli_args->settings, &findings);
        print_store(&config);
        code = store_check_folder(config.db, &error);
        (void)fflush(stdout); // before the output on standard error
    }
    if (code != ERROR_NONE) {
        (void)command_fail(&error);
        status = EXIT_USAGE;
    }
    secrets_release(&findings.secrets);
    secrets_release(&findings.tokens);
    secrets_release(&findings.roles);
    export_header_file_close(findings.header_file);
    notice_receivers_wipe(&findings.receivers);
    return status;
}

static int run_check(struct cli_args *cli_args)
{
    const char *url = cli_args->operand_count > 0 ? cli_args->operands[0] : NULL;
    const char *live = cli_args->flags[FLAG_LIVE];
    struct error error;
    if (live != NULL)
        return check_live(cli_args, live[0] != '\0' ? live : url);
    if (url == NULL)
        return check_files(cli_args);
    error_set(&error, ERROR_USAGE, "check: unexpected argument \"%.60s\": a URL goes with --live",
              cli_shown_operand(url));
    return command_fail(&error);
}

const struct command command_check = {
    .name = "check",
    .operands = "[--live [URL]]",
    .operands_max = 1,
    .summary = "print the resulting configuration; or ask the daemon about its set-up",
    .details =
        "Accepts the settings of `ghatrace serve`, creates nothing, and shows no secrets. Lists "
        "the\n"
        "entries of the store that could not be read or written and were set aside.\n\n"
        "With --live it asks the running daemon, at URL or at admin-listen (with a token of\n"
        "admin-token-file), whether all is set up right: secret, path, events, the last delivery,\n"
        "the collector. Proxies are not used. Exit status 1: something is wrong, or no daemon\n"
        "answers.\n",
    .settings = &options_all,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_check,
};
