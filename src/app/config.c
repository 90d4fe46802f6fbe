// The configuration: converts, checks and combines the settings.
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ghatrace/base/glob.h"
#include "ghatrace/base/log.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/net/address.h"

// --- converting the text of a setting to the type of its option -----------------------------------

#define SHOWN_MAX 60 // bytes of a wrong value that a message quotes

#define QUOTED "\"%.*s\""
#define QUOTED_ARGS(text) (int)((text).len < SHOWN_MAX ? (text).len : SHOWN_MAX), (text).data

// Splits "25MiB" into its digits and its unit.
static bool split_unit(struct slice text, struct slice *digits, struct slice *unit)
{
    size_t len = 0;
    while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9')
        len++;
    *digits = (struct slice){.data = text.data, .len = len};
    *unit = slice_trim((struct slice){.data = text.data + len, .len = text.len - len});
    return len > 0;
}

bool size_parse(struct slice text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    struct slice digits, unit;
    long long number;
    if (!split_unit(text, &digits, &unit) || !slice_parse_int64(digits, &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!slice_equals(unit, slice_from_string(units[i].unit)))
            continue;
        if (number > (INT64_MAX >> units[i].shift))
            return false;
        *bytes = (uint64_t)number << units[i].shift;
        return true;
    }
    return false;
}

static bool parse_switch(struct slice text, bool *value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"on", true},   {"true", true},   {"yes", true}, {"1", true},
                 {"off", false}, {"false", false}, {"no", false}, {"0", false}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_equals_ignoring_case(text, slice_from_string(words[i].word))) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

char *size_format(uint64_t bytes, char text[TIMESTAMP_TEXT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t unit = 0;
    while (unit < 3 && bytes > 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(text, TIMESTAMP_TEXT_SIZE, "%" PRIu64 "%s", bytes, units[unit]);
    return text;
}

// Formats a bound in the notation of its option.
static const char *format_bound(const struct option *option, int64_t bound,
                                char text[TIMESTAMP_TEXT_SIZE])
{
    if (option->type == OPTION_DURATION)
        return duration_format(bound, text);
    if (option->type == OPTION_SIZE)
        return size_format((uint64_t)bound, text);
    (void)snprintf(text, TIMESTAMP_TEXT_SIZE, "%" PRId64, bound);
    return text;
}

static enum error_code check_bounds(const struct option *option, const struct setting_value *value,
                                    int64_t number, struct error *error)
{
    char bound[TIMESTAMP_TEXT_SIZE];
    if (number < option->least)
        return error_set(error, ERROR_USAGE, "%s: %.60s is too small: the least is %s",
                         value->where, value->text, format_bound(option, option->least, bound));
    if (number > option->most)
        return error_set(error, ERROR_USAGE, "%s: %.60s is too large: the most is %s%s%s",
                         value->where, value->text, format_bound(option, option->most, bound),
                         option->why_most != NULL ? ", beyond which " : "",
                         option->why_most != NULL ? option->why_most : "");
    return ERROR_NONE;
}

static enum error_code convert_number(const struct option *option,
                                      const struct setting_value *value, void *field,
                                      struct error *error)
{
    struct slice text = slice_trim(slice_from_string(value->text));
    uint64_t size = 0;
    duration_ns duration = 0;
    long long count = 0;
    const char *hint = NULL;
    switch (option->type) {
    case OPTION_SIZE:
        hint = size_parse(text, &size) ? NULL : "a size: write a number and B, KiB, MiB or GiB";
        break;
    case OPTION_DURATION:
        hint =
            duration_parse(text, &duration) ? NULL : "a time: write a number and ms, s, m, h or d";
        break;
    case OPTION_COUNT:
    case OPTION_TEXT:
    case OPTION_SWITCH:
    case OPTION_CHOICE:
    case OPTION_LIST:
        hint = slice_parse_int64(text, &count) && count >= 0 ? NULL : "a whole number";
        size = (uint64_t)count;
        break;
    }
    if (hint != NULL)
        return error_set(error, ERROR_USAGE, "%s: " QUOTED " is not %s", value->where,
                         QUOTED_ARGS(text), hint);
    if (option->type == OPTION_DURATION)
        *(duration_ns *)field = duration;
    else
        *(uint64_t *)field = size;
    return check_bounds(option, value, option->type == OPTION_DURATION ? duration : (int64_t)size,
                        error);
}

static enum error_code convert_choice(const struct option *option,
                                      const struct setting_value *value, void *field,
                                      struct error *error)
{
    struct slice text = slice_trim(slice_from_string(value->text));
    int position = option_choice_find(option->values, text);
    if (position < 0)
        return error_set(error, ERROR_USAGE, "%s: " QUOTED " is not one of %s", value->where,
                         QUOTED_ARGS(text), option->values);
    *(unsigned *)field = (unsigned)position;
    return ERROR_NONE;
}

static enum error_code convert_list(const struct setting *setting, struct arena *arena, void *field,
                                    struct error *error)
{
    size_t count = 0;
    for (const struct setting_value *v = setting->first; v != NULL; v = v->next)
        count++;
    struct slice *items = arena_allocate_array(arena, count, sizeof *items);
    if (items == NULL)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", setting->first->where);
    size_t i = 0;
    for (const struct setting_value *v = setting->first; v != NULL; v = v->next)
        items[i++] = slice_from_string(v->text);
    *(struct text_list *)field = (struct text_list){.items = items, .count = count};
    return ERROR_NONE;
}

// Converts the text of one setting to the type of its option and writes it to `field`. For lists, all texts.
static enum error_code config_convert(const struct option *option, const struct setting *setting,
                                      struct arena *arena, void *field, struct error *error)
{
    for (const struct setting_value *v = setting->first; v != NULL; v = v->next) {
        if (v->text[0] == '\0' && !option->may_be_empty)
            return error_set(error, ERROR_USAGE, "%s: has no value", v->where);
    }
    const struct setting_value *value = setting->last;
    switch (option->type) {
    case OPTION_TEXT:
        *(const char **)field = value->text;
        return ERROR_NONE;
    case OPTION_SWITCH:
        if (!parse_switch(slice_trim(slice_from_string(value->text)), field))
            return error_set(error, ERROR_USAGE, "%s: \"%.60s\" is neither on nor off",
                             value->where, value->text);
        return ERROR_NONE;
    case OPTION_CHOICE:
        return convert_choice(option, value, field, error);
    case OPTION_LIST:
        return convert_list(setting, arena, field, error);
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return convert_number(option, value, field, error);
    }
    return error_set(error, ERROR_USAGE, "%s: has no type", value->where);
}

// --- lists of networks in settings ----------------------------------------------------------------

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

struct slice config_next_word(struct slice *rest)
{
    size_t start = 0;
    while (start < rest->len && is_separator(rest->data[start]))
        start++;
    size_t end = start;
    while (end < rest->len && !is_separator(rest->data[end]))
        end++;
    struct slice word = {.data = rest->data + start, .len = end - start};
    *rest = (struct slice){.data = rest->data + end, .len = rest->len - end};
    return word;
}

struct slice config_next_rule(struct slice *rest)
{
    ptrdiff_t end = slice_find(*rest, SLICE(";"));
    struct slice rule = {rest->data, end >= 0 ? (size_t)end : rest->len};
    *rest = slice_skip(*rest, end >= 0 ? rule.len + 1 : rule.len);
    return rule;
}

static size_t count_words(const struct text_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct slice rest = list->items[i];
        while (config_next_word(&rest).len > 0)
            count++;
    }
    return count;
}

enum error_code config_read_networks(const struct text_list *list, const char *where,
                                     struct arena *arena, struct net_network_list *networks,
                                     struct error *error)
{
    *networks = (struct net_network_list){.count = 0};
    if (list->count == 0)
        return ERROR_NONE;
    size_t count = count_words(list);
    // An empty list is an error: it would allow every client.
    if (count == 0)
        return error_set(error, ERROR_USAGE, "%s: names no network", where);
    struct net_network *items = arena_allocate_array(arena, count, sizeof *items);
    if (items == NULL)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", where);
    size_t at = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct slice rest = list->items[i];
        for (struct slice word; (word = config_next_word(&rest)).len > 0; at++) {
            enum error_code code = net_network_parse(word, &items[at], error);
            if (code != ERROR_NONE) {
                error_wrap(error, "%s", where);
                return code;
            }
        }
    }
    *networks = (struct net_network_list){.items = items, .count = count};
    return ERROR_NONE;
}

bool config_is_off(const char *text)
{
    return slice_equals_ignoring_case(slice_trim(slice_from_string(text)), SLICE("off"));
}

// --- TLS contexts from the configuration ----------------------------------------------------------

struct net_tls_server_options config_admin_tls(const struct config *config)
{
    if (!config->admin_tls && config->admin_client_ca == NULL)
        return (struct net_tls_server_options){.certificate_file = NULL};
    return (struct net_tls_server_options){.certificate_file = config->ingress.tls.certificate_file,
                                           .key_file = config->ingress.tls.key_file,
                                           .client_ca_file = config->admin_client_ca};
}

struct net_tls_server_options config_receiver_tls(const struct config *config)
{
    if (!config->otlp_tls && config->otlp_client_ca == NULL)
        return (struct net_tls_server_options){.certificate_file = NULL};
    return (struct net_tls_server_options){.certificate_file = config->ingress.tls.certificate_file,
                                           .key_file = config->ingress.tls.key_file,
                                           .client_ca_file = config->otlp_client_ca};
}

enum error_code config_make_export_tls(const struct config_export *exporting,
                                       struct net_tls_client **tls, struct error *error)
{
    *tls = NULL;
    if (!exporting->is_on || !exporting->options.endpoint.is_tls)
        return ERROR_NONE;
    enum error_code code = net_tls_client_read(&exporting->tls, tls, error);
    if (code != ERROR_NONE)
        error_wrap(error, "export by https");
    return code;
}

static enum error_code check_export(const struct config_export *exporting, struct error *error)
{
    const char *own = exporting->tls.certificate_file;
    struct net_tls_client *tls = NULL;
    enum error_code code = config_make_export_tls(exporting, &tls, error);
    if (code == ERROR_NONE && tls != NULL && own != NULL)
        net_tls_client_log_certificate_warnings(tls, own);
    net_tls_client_unref(tls);
    return code;
}

static enum error_code check_server(const struct net_tls_server_options *files, const char *names,
                                    bool with_warnings, struct error *error)
{
    struct net_tls *tls = NULL;
    if (files->certificate_file == NULL)
        return ERROR_NONE;
    enum error_code code = net_tls_create_servers(files, &tls, 1, error);
    if (code != ERROR_NONE)
        return error_wrap(error, "%s", names);
    if (with_warnings)
        net_tls_log_certificate_warnings(tls, files->certificate_file);
    net_tls_unref(tls);
    return ERROR_NONE;
}

enum error_code config_check_tls(const struct config *config, struct error *error)
{
    const struct net_tls_server_options admin = config_admin_tls(config);
    const struct net_tls_server_options receiver = config_receiver_tls(config);
    enum error_code code = check_export(&config->exporting, error);
    if (code == ERROR_NONE)
        code = check_export(&config->metrics.exporting, error);
    if (code == ERROR_NONE)
        code = check_server(&config->ingress.tls, "tls-cert, tls-key", true, error);
    // The same certificate, checked with the client CAs of the other listeners.
    if (code == ERROR_NONE)
        code = check_server(&admin, "admin-client-ca", false, error);
    if (code == ERROR_NONE && config_has_receiver(config))
        code = check_server(&receiver, "otlp-client-ca", false, error);
    return code;
}

// --- config ---------------------------------------------------------------------------------------
// Settings → configuration: types, defaults, and constraints between settings.

// The words in settings_list.h must be in the order of these values.
_Static_assert(LOG_DEBUG == 0 && LOG_INFO == 1 && LOG_WARN == 2 && LOG_ERROR == 3, "log-level");
_Static_assert(LOG_FORMAT_TEXT == 0 && LOG_FORMAT_JSON == 1, "log-format");
_Static_assert(ID_SCHEME_ARC == 0 && ID_SCHEME_COLLECTOR == 1 && ID_SCHEME_RUNNER == 2,
               "id-scheme");
_Static_assert(EXPORT_PROTOBUF == 0 && EXPORT_JSON == 1 && EXPORT_GRPC == 2, "otlp-protocol");

#define INGRESS_THREADS_DEFAULT_MAX 4

void config_warn(struct config *config, struct arena *arena, const char *format, ...)
{
    struct config_warnings *warnings = &config->warnings;
    if (warnings->count == sizeof warnings->items / sizeof warnings->items[0])
        return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct slice copy;
    if (arena_format(arena, &copy, "%s%c", text, '\0'))
        warnings->items[warnings->count++] = copy.data;
}

bool config_has_admin(const struct config *config)
{
    return !config_is_off(config->admin_listen);
}

bool config_has_receiver(const struct config *config)
{
    return config->otlp_listen != NULL && !config_is_off(config->otlp_listen);
}

// The default is parsed like a value written by the operator.
static enum error_code convert_preset(const struct option *option, struct arena *arena, void *field,
                                      struct error *error)
{
    if (option->preset == NULL)
        return ERROR_NONE;
    struct setting_value value = {.text = option->preset, .where = option->name};
    struct setting setting = {.first = &value, .last = &value};
    return config_convert(option, &setting, arena, field, error);
}

static enum error_code convert_all(struct config *config, const struct settings *settings,
                                   const struct option_set *wanted, struct error *error)
{
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if (!option_set_has(wanted, i))
            continue;
        const struct option *option = &options[i];
        const struct setting *setting = &settings->items[i];
        void *field = (char *)config + option->field;
        enum error_code code = setting->source == SOURCE_DEFAULT
                                   ? convert_preset(option, settings->arena, field, error)
                                   : config_convert(option, setting, settings->arena, field, error);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static const char *source_of_setting(const struct settings *settings, enum option_id id)
{
    const struct setting *setting = &settings->items[id];
    return setting->source == SOURCE_DEFAULT ? options[id].name : setting->last->where;
}

static enum error_code read_address(const struct settings *settings, enum option_id id,
                                    const char *text, struct net_address *address,
                                    struct error *error)
{
    enum error_code code = net_address_parse(slice_from_string(text), address, error);
    if (code != ERROR_NONE)
        error_wrap(error, "%s", source_of_setting(settings, id));
    return code;
}

static enum error_code check_webhook_path(const struct settings *settings, const char *path,
                                          struct error *error)
{
    const char *where = source_of_setting(settings, OPTION_ID_WEBHOOK_PATH);
    if (path[0] != '/')
        return error_set(error, ERROR_USAGE, "%s: \"%.60s\" does not start with /", where, path);
    for (const char *c = path; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7f || *c == '?' || *c == '#')
            return error_set(
                error, ERROR_USAGE,
                "%s: \"%.60s\" contains a character that no path may have: percent-encode it",
                where, path);
    }
    return ERROR_NONE;
}

// True for characters that are valid in names of owners and repositories.
static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
}

// Returns a character that the glob requires and no name contains; 0: none.
static char find_impossible_character(struct slice glob)
{
    for (size_t at = 0; at < glob.len; at += glob_element_length(glob, at)) {
        bool is_escaped = glob.data[at] == '\\';
        bool is_special = glob.data[at] == '*' || glob.data[at] == '?' || glob.data[at] == '[';
        char c = glob.data[at + (is_escaped ? 1 : 0)];
        if ((is_escaped || !is_special) && !is_name_character(c))
            return c;
    }
    return '\0';
}

// Without the `!` in front.
static struct slice glob_of_item(struct slice item)
{
    return slice_starts_with(item, SLICE("!")) ? slice_skip(item, 1) : item;
}

enum error_code config_check_glob(struct slice item, const char *where, struct error *error)
{
    const char *fault = glob_fault(glob_of_item(item));
    if (fault != NULL)
        return error_set(error, ERROR_USAGE, "%s: \"%.*s\" has %s; a comma or a blank ends a glob",
                         where, SLICE_ARGS(item), fault);
    return ERROR_NONE;
}

static enum error_code check_repository_glob(struct slice item, const char *where,
                                             struct error *error)
{
    struct slice glob = glob_of_item(item);
    enum error_code code = config_check_glob(item, where, error);
    if (code != ERROR_NONE)
        return code;
    char foreign = find_impossible_character(glob);
    if (foreign != '\0')
        return error_set(error, ERROR_USAGE,
                         "%s: \"%.*s\" can match no repository: no name has a '%c'; write "
                         "OWNER/NAME with *, ? and [a-z], one glob for each",
                         where, SLICE_ARGS(item), foreign > ' ' && foreign < 0x7f ? foreign : '?');
    if (slice_find(glob, SLICE("/")) >= 0 || slice_find(glob, SLICE("*")) >= 0)
        return ERROR_NONE;
    return error_set(error, ERROR_USAGE,
                     "%s: \"%.*s\" can match no repository: write OWNER/NAME or OWNER/*", where,
                     SLICE_ARGS(item));
}

enum error_code config_split_globs(struct text_list *list, const char *where,
                                   config_glob_check *check, struct arena *arena,
                                   struct error *error)
{
    size_t count = 0;
    struct slice *globs = arena_allocate_array(arena, count_words(list) + 1, sizeof *globs);
    if (globs == NULL)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", where);
    for (size_t i = 0; i < list->count; i++) {
        struct slice rest = list->items[i];
        for (struct slice glob; (glob = config_next_word(&rest)).len > 0;) {
            enum error_code code = check(glob, where, error);
            if (code != ERROR_NONE)
                return code;
            globs[count++] = glob;
        }
    }
    *list = (struct text_list){.items = globs, .count = count};
    return ERROR_NONE;
}

static enum error_code split_repos(struct config *config, const struct settings *settings,
                                   struct error *error)
{
    enum error_code code =
        config_split_globs(&config->repos, source_of_setting(settings, OPTION_ID_REPOS),
                           check_repository_glob, settings->arena, error);
    config->ingress.repos = config->repos.items;
    config->ingress.repo_count = config->repos.count;
    return code;
}

bool config_globs_select_any(const struct text_list *globs)
{
    for (size_t i = 0; i < globs->count; i++)
        if (!slice_starts_with(globs->items[i], SLICE("!")))
            return true;
    return false;
}

static enum error_code split_runners(struct text_list *list, const char *where,
                                     struct runner_globs *globs, struct arena *arena,
                                     struct error *error)
{
    if (list->count == 0)
        return ERROR_NONE;
    enum error_code code = config_split_globs(list, where, config_check_glob, arena, error);
    if (code != ERROR_NONE)
        return code;
    if (!config_globs_select_any(list))
        return error_set(error, ERROR_USAGE,
                         "%s: selects no runner: write a glob without ! first, * for all", where);
    *globs = (struct runner_globs){list->items, list->count};
    return ERROR_NONE;
}

// What is left to the runners, and whose times ARC reports.
static enum error_code read_runners(struct config *config, const struct settings *settings,
                                    struct error *error)
{
    struct trace_policy *policy = &config->engine.policy;
    const struct {
        enum option_id id;
        struct text_list *list;
        struct runner_globs *globs;
    } rows[] = {
        {OPTION_ID_RUNNER_SPANS_OFF, &config->runner_spans_off, &policy->runner_spans_off},
        {OPTION_ID_JOB_SPANS_OFF, &config->job_spans_off, &policy->job_spans_off},
        {OPTION_ID_STEPS_OFF, &config->steps_off, &policy->steps_off},
        {OPTION_ID_ARC_RUNNERS, &config->arc_runners, &policy->arc_runners},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum error_code code = split_runners(rows[i].list, source_of_setting(settings, rows[i].id),
                                             rows[i].globs, settings->arena, error);
        if (code != ERROR_NONE)
            return code;
    }
    // In the other schemes the runner's span has another ID, so the phases would have no parent.
    if (policy->job_spans_off.count > 0 && policy->scheme != ID_SCHEME_RUNNER) {
        config_warn(config, settings->arena,
                    "%s is not used: only with id-scheme runner does the span that a runner sends "
                    "have the ID of ours",
                    source_of_setting(settings, OPTION_ID_JOB_SPANS_OFF));
        policy->job_spans_off = (struct runner_globs){.count = 0};
    }
    return ERROR_NONE;
}

static enum error_code read_pool_settings(struct config *config, const struct settings *settings,
                                          struct error *error)
{
    const struct config_pool_sources sources = {
        .pools = source_of_setting(settings, OPTION_ID_RUNNER_POOL),
        .ignored = source_of_setting(settings, OPTION_ID_RUNNER_LABEL_IGNORE),
        .ceilings = source_of_setting(settings, OPTION_ID_RUNNER_CEILING)};
    config->pools.job_grace = config->engine.policy.job_grace;
    return config_read_pools(config, &sources, settings->arena, error);
}

static enum error_code read_series(struct config *config, const struct settings *settings,
                                   struct error *error)
{
    const struct config_series_sources from = {
        .labels = source_of_setting(settings, OPTION_ID_METRICS_LABELS),
        .bounds = source_of_setting(settings, OPTION_ID_METRICS_BOUNDS),
        .preset_labels = options[OPTION_ID_METRICS_LABELS].preset};
    return config_read_series(config, &from, error);
}

static uint64_t default_ingress_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores < 1)
        return 1;
    return cores < INGRESS_THREADS_DEFAULT_MAX ? (uint64_t)cores : INGRESS_THREADS_DEFAULT_MAX;
}

static enum error_code check_secret(struct config *config, struct arena *arena, struct error *error)
{
    bool has_variable = config->github_webhook_secret != NULL;
    bool has_secret = has_variable || config->webhook_secret_file != NULL;
    if (!has_secret && !config->ingress.insecure_no_signature)
        return error_set(error, ERROR_USAGE,
                         "no webhook secret: set GITHUB_WEBHOOK_SECRET or webhook-secret-file to "
                         "the secret of the webhook (or, to try things out, "
                         "insecure-no-signature)");
    if (has_secret && config->ingress.insecure_no_signature)
        config_warn(config, arena, "insecure-no-signature is on: the webhook secret is not used");
    else if (config->ingress.insecure_no_signature)
        config_warn(config, arena,
                    "insecure-no-signature is on: unsigned webhooks are accepted from any client");
    else if (has_variable && config->webhook_secret_file != NULL)
        config_warn(config, arena, "webhook-secret-file is set: GITHUB_WEBHOOK_SECRET is not used");
    return ERROR_NONE;
}

static enum error_code check_tls_settings(const struct config *config,
                                          const struct settings *settings, struct error *error)
{
    bool has_cert = config->ingress.tls.certificate_file != NULL,
         has_key = config->ingress.tls.key_file != NULL;
    if (has_cert != has_key)
        return error_set(
            error, ERROR_USAGE, "%s: set without %s: TLS takes both",
            source_of_setting(settings, has_cert ? OPTION_ID_TLS_CERT : OPTION_ID_TLS_KEY),
            has_cert ? "tls-key" : "tls-cert");
    if (config->ingress.tls.client_ca_file != NULL && !has_cert)
        return error_set(error, ERROR_USAGE,
                         "%s: client certificates need TLS: set tls-cert and tls-key",
                         source_of_setting(settings, OPTION_ID_TLS_CLIENT_CA));
    if ((config->admin_tls || config->admin_client_ca != NULL) && !has_cert)
        return error_set(error, ERROR_USAGE, "%s: this needs tls-cert and tls-key",
                         source_of_setting(settings, config->admin_tls
                                                         ? OPTION_ID_ADMIN_TLS
                                                         : OPTION_ID_ADMIN_CLIENT_CA));
    if ((config->otlp_tls || config->otlp_client_ca != NULL) && !has_cert)
        return error_set(error, ERROR_USAGE, "%s: this needs tls-cert and tls-key",
                         source_of_setting(settings, config->otlp_tls ? OPTION_ID_OTLP_TLS
                                                                      : OPTION_ID_OTLP_CLIENT_CA));
    if (config->trace_url != NULL &&
        slice_find(slice_from_string(config->trace_url), SLICE("{trace_id}")) < 0)
        return error_set(error, ERROR_USAGE, "%s: want {trace_id} where the trace ID belongs",
                         source_of_setting(settings, OPTION_ID_TRACE_URL));
    return ERROR_NONE;
}

static enum error_code read_networks(struct config *config, const struct settings *settings,
                                     struct error *error)
{
    enum error_code code =
        config_read_networks(&config->allow_from, source_of_setting(settings, OPTION_ID_ALLOW_FROM),
                             settings->arena, &config->ingress.allow_from, error);
    if (code != ERROR_NONE)
        return code;
    return config_read_networks(&config->trusted_proxies,
                                source_of_setting(settings, OPTION_ID_TRUSTED_PROXIES),
                                settings->arena, &config->ingress.trusted_proxies, error);
}

// Without access control, only requests of this machine are accepted, so on another address none would be.
static enum error_code read_receiver(struct config *config, const struct settings *settings,
                                     struct error *error)
{
    if (!config_has_receiver(config)) {
        if (config->arc_runners.count > 0)
            config_warn(config, settings->arena,
                        "%s: without otlp-listen ARC's times are not received: runner.* spans wait "
                        "for arc-grace in vain",
                        source_of_setting(settings, OPTION_ID_ARC_RUNNERS));
        return ERROR_NONE;
    }
    enum error_code code = read_address(settings, OPTION_ID_OTLP_LISTEN, config->otlp_listen,
                                        &config->otlp_address, error);
    if (code != ERROR_NONE)
        return code;
    if (!net_address_is_loopback(&config->otlp_address) && config->otlp_token_file == NULL &&
        config->otlp_client_ca == NULL)
        return error_set(error, ERROR_USAGE,
                         "%s: %.60s can be reached by others, who could send spans: set "
                         "otlp-token-file or otlp-client-ca, or listen on 127.0.0.1",
                         source_of_setting(settings, OPTION_ID_OTLP_LISTEN), config->otlp_listen);
    config->engine.has_receiver = true;
    config->engine.forwarded_max = config->engine.outbox_max / 100 * config->otlp_outbox_share;
    return ERROR_NONE;
}

static enum error_code check_listeners(struct config *config, const struct settings *settings,
                                       const struct option_set *wanted, struct error *error)
{
    // Lists that are not wanted are empty.
    enum error_code code = read_networks(config, settings, error);
    if (code != ERROR_NONE)
        return code;
    if (option_set_has(wanted, OPTION_ID_LISTEN))
        code = read_address(settings, OPTION_ID_LISTEN, config->listen, &config->ingress.listen,
                            error);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_ADMIN_LISTEN) &&
        config_has_admin(config))
        code = read_address(settings, OPTION_ID_ADMIN_LISTEN, config->admin_listen,
                            &config->admin_address, error);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_OTLP_LISTEN))
        code = read_receiver(config, settings, error);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_WEBHOOK_PATH))
        code = check_webhook_path(settings, config->ingress.webhook_path, error);
    if (code == ERROR_NONE &&
        config->ingress.payload_memory_bytes < config->ingress.max_payload_bytes)
        code = error_set(error, ERROR_USAGE,
                         "%s: less than max-payload: a body of that size could not be received",
                         source_of_setting(settings, OPTION_ID_MAX_PAYLOAD_MEMORY));
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_WEBHOOK_SECRET_FILE))
        code = check_secret(config, settings->arena, error);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_TLS_CERT))
        code = check_tls_settings(config, settings, error);
    return code;
}

// A key is often readable by a group (Debian's ssl-cert). A secret should not be, unless its owner is root and its
// group is not: then the daemon's group can read it but not change it.
static void warn_of_private_file(struct config *config, const char *path, bool is_for_group,
                                 struct arena *arena)
{
    struct stat status;
    if (path == NULL || stat(path, &status) != 0)
        return; // reported by whatever reads the file
    is_for_group = is_for_group || (status.st_uid == 0 && status.st_gid != 0);
    const char *mode = is_for_group ? "640" : "600";
    if ((status.st_mode & S_IROTH) != 0)
        config_warn(config, arena, "%s is readable by all users: chmod %s %s", path, mode, path);
    else if ((status.st_mode & S_IWOTH) != 0)
        config_warn(config, arena, "%s is writable by all users: chmod %s %s", path, mode, path);
    else if ((status.st_mode & S_IRGRP) != 0 && !is_for_group)
        config_warn(config, arena, "%s is readable by its group: chmod 600 %s", path, path);
}

static bool is_public(const struct config *config, enum activation_use use)
{
    const struct net_address *listen =
        use == ACTIVATION_ADMIN ? &config->admin_address : &config->ingress.listen;
    if (config->activation.sockets[use] != 0)
        listen = &config->activation.addresses[use];
    return listen->len > 0 && !net_address_is_loopback(listen); // 0: not wanted
}

const char *config_listens_at(const struct config *config, enum activation_use use,
                              char text[NET_ADDRESS_TEXT_SIZE])
{
    if (config->activation.sockets[use] != 0)
        return net_address_format(&config->activation.addresses[use], text);
    return use == ACTIVATION_ADMIN ? config->admin_listen : config->listen;
}

// Warns of settings that work but are not safe. All such warnings are here.
static void warn_of_unsafe(struct config *config, struct arena *arena)
{
    warn_of_private_file(config, config->webhook_secret_file, false, arena);
    warn_of_private_file(config, config->admin_token_file, false, arena);
    warn_of_private_file(config, config->otlp_header_file, false, arena);
    warn_of_private_file(config, config->otlp_token_file, false, arena);
    warn_of_private_file(config, config->notify_url_file, false, arena);
    warn_of_private_file(config, config->ingress.tls.key_file, true, arena);
    char listen[NET_ADDRESS_TEXT_SIZE], admin[NET_ADDRESS_TEXT_SIZE];
    if (config->ingress.tls.certificate_file == NULL && is_public(config, ACTIVATION_WEBHOOK))
        config_warn(config, arena,
                    "listen %s: plain HTTP on an address that others can reach: set tls-cert and "
                    "tls-key, or put a proxy with TLS before it",
                    config_listens_at(config, ACTIVATION_WEBHOOK, listen));
    if (config_has_receiver(config) && !net_address_is_loopback(&config->otlp_address) &&
        !config->otlp_tls && config->otlp_client_ca == NULL)
        config_warn(config, arena,
                    "otlp-listen %s: plain HTTP on an address that others can reach shows them "
                    "the tokens: set otlp-tls, or put a proxy with TLS before it",
                    config->otlp_listen);
    if (!config_has_admin(config) || !is_public(config, ACTIVATION_ADMIN))
        return;
    if (config->admin_token_file == NULL && config->admin_client_ca == NULL)
        config_warn(config, arena,
                    "admin-listen %s: beyond loopback only /health and /ready are served, unless "
                    "admin-token-file or admin-client-ca is set",
                    config_listens_at(config, ACTIVATION_ADMIN, admin));
    else if (!config->admin_tls && config->admin_client_ca == NULL)
        config_warn(config, arena,
                    "admin-listen %s: plain HTTP on an address that others can reach shows them "
                    "the token: set admin-tls, or put a proxy with TLS before it",
                    config_listens_at(config, ACTIVATION_ADMIN, admin));
}

// A setting that differs from the passed socket is ignored: warn the operator.
static void compare_address(struct config *config, const struct settings *settings,
                            enum option_id id, const char *listen, enum activation_use use)
{
    char set[NET_ADDRESS_TEXT_SIZE], passed[NET_ADDRESS_TEXT_SIZE];
    struct net_address address;
    struct error ignored;
    if (config->activation.sockets[use] == 0 || settings->items[id].source == SOURCE_DEFAULT)
        return;
    net_address_format(&config->activation.addresses[use], passed);
    if (net_address_parse(slice_from_string(listen), &address, &ignored) == ERROR_NONE &&
        strcmp(net_address_format(&address, set), passed) == 0)
        return;
    config_warn(config, settings->arena,
                "%s: %s is not used: the service manager passed a socket at %s",
                source_of_setting(settings, id), listen, passed);
}

static enum error_code use_passed_sockets(struct config *config, const struct settings *settings,
                                          char *const *environment, struct error *error)
{
    struct activation *activation = &config->activation;
    long own_pid = (long)getpid();
    const struct activation_variables variables = {
        .pid = environment_get(environment, "LISTEN_PID"),
        .fds = environment_get(environment, "LISTEN_FDS"),
        .names = environment_get(environment, "LISTEN_FDNAMES"),
    };
    enum error_code code = activation_parse(&variables, own_pid, activation, error);
    if (code == ERROR_NONE)
        code = activation_inspect(activation, error);
    if (code != ERROR_NONE)
        return code;
    if (activation->sockets[ACTIVATION_ADMIN] != 0 && !config_has_admin(config))
        return error_set(error, ERROR_USAGE,
                         "%s: off, but the service manager passed a socket named \"admin\": set "
                         "admin-listen otherwise or stop the socket unit",
                         source_of_setting(settings, OPTION_ID_ADMIN_LISTEN));
    if (activation->other_pid != 0)
        config_warn(config, settings->arena,
                    "LISTEN_PID is %ld, but this process is %ld: sockets that were passed to "
                    "another process are not used; start ghatrace by exec",
                    activation->other_pid, own_pid);
    compare_address(config, settings, OPTION_ID_LISTEN, config->listen, ACTIVATION_WEBHOOK);
    compare_address(config, settings, OPTION_ID_ADMIN_LISTEN, config->admin_listen,
                    ACTIVATION_ADMIN);
    return ERROR_NONE;
}

// Without notifications the daemon works, so what is wrong with them is a warning.
static void read_notify(struct config *config, struct arena *arena, char *const *environment)
{
    const struct notify_variables variables = {
        .socket = environment_get(environment, "NOTIFY_SOCKET"),
        .watchdog_usec = environment_get(environment, "WATCHDOG_USEC"),
        .watchdog_pid = environment_get(environment, "WATCHDOG_PID"),
    };
    struct error error;
    if (notify_parse(&variables, (long)getpid(), &config->notify, &error) != ERROR_NONE)
        config_warn(config, arena, "%s", error.message);
}

enum error_code config_build(struct config *config, const struct settings *settings,
                             const struct option_set *wanted, char *const *environment,
                             struct error *error)
{
    *config = (struct config){
        .github_webhook_secret = environment_get(environment, "GITHUB_WEBHOOK_SECRET"),
        .environment = environment,
        .credentials_directory = environment_get(environment, "CREDENTIALS_DIRECTORY"),
        .engine.policy.approval_timeout = TRACE_APPROVAL_TIMEOUT};
    enum error_code code = convert_all(config, settings, wanted, error);
    if (code == ERROR_NONE && config->repos.count > 0)
        code = split_repos(config, settings, error);
    if (code == ERROR_NONE)
        code = read_runners(config, settings, error);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_RUNNER_CEILING))
        code = read_pool_settings(config, settings, error);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_METRICS_LABELS))
        code = read_series(config, settings, error);
    if (code == ERROR_NONE)
        code = check_listeners(config, settings, wanted, error);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_LISTEN))
        code = use_passed_sockets(config, settings, environment, error);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_LISTEN))
        read_notify(config, settings->arena, environment);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_LISTEN))
        warn_of_unsafe(config, settings->arena);
    if (code == ERROR_NONE && option_set_has(wanted, OPTION_ID_OTLP_ENDPOINT))
        code = config_apply_otel(config, settings, environment, error);
    config->engine.has_exporter = config->exporting.is_on;
    config->ingress.listen_socket = config->activation.sockets[ACTIVATION_WEBHOOK];
    if (code == ERROR_NONE && config->exporting.is_on)
        warn_of_private_file(config, config->exporting.tls.key_file, true, settings->arena);
    const char *key = config->metrics.exporting.tls.key_file;
    if (code == ERROR_NONE && key != NULL && key != config->exporting.tls.key_file)
        warn_of_private_file(config, key, true, settings->arena);
    if (config->ingress.threads == 0)
        config->ingress.threads = default_ingress_threads();
    return code;
}
