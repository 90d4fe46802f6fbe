// The daemon: reloading files, start and stop.
#include "server.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check_live.h"
#include "ghatrace/admin/admin.h"
#include "ghatrace/base/log.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/connection.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/notify/past.h"
#include "ghatrace/receiver/receiver.h"
#include "ghatrace/store/store.h"
#include "ghatrace/store/versions.h"
#include "ghatrace/webhook/webhook.h"
#include "secrets.h"
#include "watchdog.h"

// --- reload ---------------------------------------------------------------------------------------
// SIGHUP: everything is read first and put to use only when nothing can fail any more.

// What was read. NULL: not configured.
struct fresh {
    struct secret_set *secrets;
    struct secret_set *admin_tokens;
    struct secret_set *otlp_tokens;
    struct ingress_tls *ingress_tls;
    struct net_tls *otlp_tls;
    struct net_tls *admin_tls;
    struct net_tls_client *export_tls;
    struct net_tls_client *metrics_tls;
    struct notice_senders *notice_senders;
};

// --- secrets -----------------------------------------------------------------------------------

static void log_secret_warning(void *context, const char *warning)
{
    (void)context;
    log_warn("configuration", LOG_STRING("warning", warning));
}

// Reads the webhook's secrets from their file or variable, for ingress_secrets_use(). ERROR_USAGE naming it;
// ERROR_MEMORY.
static enum error_code reload_read_secrets(const struct config *config, struct secret_set **set,
                                           struct error *error)
{
    struct secrets secrets;
    secrets_init(&secrets);
    enum error_code code =
        secrets_load(&secrets, config->webhook_secret_file, config->github_webhook_secret, error);
    if (code == ERROR_NONE)
        code = ingress_secrets_prepare(secrets.items, secrets.count, set, error);
    if (code == ERROR_NONE && !config->ingress.insecure_no_signature)
        secrets_report_mistakes(&secrets, log_secret_warning, NULL);
    secrets_release(&secrets);
    return code;
}

// secrets_load_tokens() for admin-token-file, secrets_load_roles() for otlp-token-file.
typedef enum error_code token_loader(struct secrets *tokens, const char *path, struct error *error);

// Reads the tokens of a listener from their file, for ingress_secrets_use(). ERROR_USAGE naming the file; ERROR_MEMORY.
static enum error_code reload_read_tokens(token_loader *load, const char *path,
                                          struct secret_set **set, struct error *error)
{
    struct secrets tokens;
    secrets_init(&tokens);
    enum error_code code = load(&tokens, path, error);
    if (code == ERROR_NONE)
        code = ingress_secrets_prepare(tokens.items, tokens.count, set, error);
    if (code == ERROR_NONE)
        secrets_report_mistakes(&tokens, log_secret_warning, NULL);
    secrets_release(&tokens);
    return code;
}

// --- all or nothing ------------------------------------------------------------------------------

// A new kind of file needs a line here, one in use_all_files(), and one in drop_all_files().
static enum error_code read_all_files(const struct reload_parts *parts, struct fresh *fresh,
                                      struct error *error)
{
    enum error_code code = reload_read_secrets(parts->config, &fresh->secrets, error);
    if (code == ERROR_NONE && parts->admin_tokens != NULL)
        code = reload_read_tokens(secrets_load_tokens, parts->config->admin_token_file,
                                  &fresh->admin_tokens, error);
    if (code == ERROR_NONE && parts->otlp_tokens != NULL)
        code = reload_read_tokens(secrets_load_roles, parts->config->otlp_token_file,
                                  &fresh->otlp_tokens, error);
    if (code == ERROR_NONE)
        code = ingress_load_tls(parts->ingress, &fresh->ingress_tls, error);
    if (code == ERROR_NONE && parts->receiver != NULL)
        code = receiver_load_tls(parts->receiver, &fresh->otlp_tls, error);
    if (code == ERROR_NONE && parts->admin != NULL)
        code = admin_load_tls(parts->admin, &fresh->admin_tls, error);
    if (code == ERROR_NONE && parts->exporter != NULL)
        code = config_make_export_tls(&parts->config->exporting, &fresh->export_tls, error);
    if (code == ERROR_NONE)
        code = metrics_part_read_tls(parts->metrics, &fresh->metrics_tls, error);
    if (code == ERROR_NONE)
        code = notices_part_read(parts->notices, &fresh->notice_senders, error);
    // Reading these files also puts them to use, so they are read last.
    if (code == ERROR_NONE)
        code = header_reader_read(parts->headers, error);
    if (code == ERROR_NONE)
        code = metrics_part_read_headers(parts->metrics, error);
    return code;
}

static void use_all_files(const struct reload_parts *parts, const struct fresh *fresh)
{
    assert(fresh->secrets != NULL);
    ingress_secrets_use(parts->secrets, fresh->secrets);
    if (fresh->admin_tokens != NULL)
        ingress_secrets_use(parts->admin_tokens, fresh->admin_tokens);
    if (fresh->otlp_tokens != NULL)
        ingress_secrets_use(parts->otlp_tokens, fresh->otlp_tokens);
    ingress_use_tls(parts->ingress, fresh->ingress_tls);
    if (fresh->otlp_tls != NULL)
        receiver_use_tls(parts->receiver, fresh->otlp_tls);
    if (fresh->admin_tls != NULL)
        admin_use_tls(parts->admin, fresh->admin_tls);
    if (parts->exporter != NULL)
        exporter_renew_connections(parts->exporter, fresh->export_tls);
    metrics_part_use_tls(parts->metrics, fresh->metrics_tls);
    notices_part_use(parts->notices, fresh->notice_senders);
    net_tls_client_unref(fresh->export_tls); // the exporter holds it
    net_tls_client_unref(fresh->metrics_tls);
}

static void drop_all_files(const struct fresh *fresh)
{
    ingress_secrets_drop(fresh->secrets);
    ingress_secrets_drop(fresh->admin_tokens);
    ingress_secrets_drop(fresh->otlp_tokens);
    net_tls_unref(fresh->otlp_tls);
    ingress_drop_tls(fresh->ingress_tls);
    net_tls_unref(fresh->admin_tls);
    net_tls_client_unref(fresh->export_tls);
    net_tls_client_unref(fresh->metrics_tls);
    notice_senders_destroy(fresh->notice_senders);
}

static const char *describe_reloaded_files(const struct reload_parts *parts,
                                           const struct fresh *fresh, char text[112])
{
    bool has_certificates = fresh->ingress_tls != NULL || fresh->otlp_tls != NULL ||
                            fresh->admin_tls != NULL || fresh->export_tls != NULL ||
                            fresh->metrics_tls != NULL;
    bool has_header_file = parts->headers->file != NULL || parts->metrics->headers.file != NULL;
    (void)snprintf(
        text, 112, "webhook secrets%s%s%s%s%s", fresh->admin_tokens != NULL ? ", admin tokens" : "",
        fresh->otlp_tokens != NULL ? ", otlp tokens" : "", has_certificates ? ", certificates" : "",
        has_header_file ? ", otlp-header-file" : "",
        fresh->notice_senders != NULL ? ", notify-url-file" : "");
    return text;
}

// Once for each certificate, whatever the number of listeners.
static void log_certificate_warnings(const struct reload_parts *parts, const struct fresh *fresh)
{
    const char *own = parts->config->exporting.tls.certificate_file;
    ingress_log_certificate_warnings(fresh->ingress_tls,
                                     parts->config->ingress.tls.certificate_file);
    if (fresh->export_tls != NULL && own != NULL)
        net_tls_client_log_certificate_warnings(fresh->export_tls, own);
}

// Warns that a reload does not pick up changes to the originals of credentials, such as /etc/ghatrace/secret.
static void warn_of_old_copies(const struct credentials *credentials)
{
    char names[CREDENTIALS_TEXT_SIZE];
    if (credentials_unchanged(credentials, names) > 0)
        log_warn("these files are copies that systemd made when the service started; a reload "
                 "does not update them: if the originals have changed, restart the service",
                 LOG_STRING("settings", names));
}

// Reads every file again, then replaces all of them; if one cannot be read, or does not match the others, nothing
// changes. Logs the result, and which files a reload cannot update (app/systemd.h). Runs in the main loop's
// thread.
static void reload_all(const struct reload_parts *parts)
{
    struct fresh fresh = {.secrets = NULL};
    struct error error;
    char names[112];
    if (read_all_files(parts, &fresh, &error) != ERROR_NONE) {
        drop_all_files(&fresh);
        log_error("files not read again: all secrets, certificates and headers stay as they were",
                  LOG_REASON(&error));
        return;
    }
    (void)describe_reloaded_files(parts, &fresh, names);
    log_certificate_warnings(parts, &fresh);
    use_all_files(parts, &fresh);
    log_info("files read again", LOG_STRING("files", names));
    warn_of_old_copies(parts->credentials);
}

// --- server ---------------------------------------------------------------------------------------
// The daemon. Order of setup, each part built from those before it:
//
//   loop → secrets → certificates → store → engine → exporter → engine's thread → ingress → receiver → admin
//   → signals → "ready"
//
// Order of shutdown: connections end with their next response, new ones are still accepted → exporter (one last
// attempt) → ingress (accepts and answers waiting requests, which the engine commits) → engine's thread. So the port
// is served until the very end. With sockets of the service manager, connections wait in the kernel for the next
// start, and work that can be done after it is skipped: there is no last attempt to export. Then all parts are
// released, users before the parts they use; a part that was never made is NULL.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GHATRACE_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GHATRACE_SANITIZED
#endif
#endif

#define ANSWER_GRACE (5 * NS_PER_SECOND) // for requests in progress at shutdown
// The same while other connections wait in the kernel: GitHub gives up after 10 s.
#define ANSWER_GRACE_ACTIVATED (3 * NS_PER_SECOND)
#define LAST_LINE_MS 200                 // for the log line about an interrupted shutdown
#define REPEAT_TIME NS_PER_SECOND        // a repeated signal within this time is ignored
#define EXPORT_GRACE (5 * NS_PER_SECOND) // for the last attempt to export

// Limits of the daemon, in one place.
#define ENGINE_QUEUE_MAX 8192      // deliveries that wait for a commit; more are refused with 503
#define ENGINE_BATCH_MAX 512       // deliveries in one commit
#define EXPORT_IN_FLIGHT_MAX 4     // requests; one slow response does not block the rest
#define EXPORT_BATCH_RECORDS 512   // OTEL_BSP_MAX_EXPORT_BATCH_SIZE has the same default
#define EXPORT_BATCH_BYTES 4194304 // the collector's own limit is 20 MiB
#define DESCRIPTORS_WANTED 65536
#define WATCH_EVERY NS_PER_SECOND
#define RELOAD_EVERY (200 * NS_PER_MS)
#define NOTIFY_RETRY NS_PER_SECOND
#define COMMIT_PATIENCE (2 * NS_PER_SECOND) // at the stop, before it is logged what is waited for

struct server {
    const struct config *config;
    struct net_loop *loop;
    struct store *store;
    struct engine *engine;
    struct net_tls_client *export_tls; // referenced; NULL: not needed
    struct exporter *exporter;         // NULL: no endpoint
    struct header_reader headers;
    struct metrics_part metrics;
    struct notices_part notices;
    struct past_watch *past;
    struct ingress_secrets *secrets;
    struct ingress *ingress;
    struct ingress_secrets *admin_tokens; // NULL: none
    struct ingress_secrets *otlp_tokens;  // NULL: none
    struct receiver *receiver;            // NULL: off
    struct view *view;                    // NULL: admin is off
    struct admin *admin;                  // NULL: admin is off
    char listen[NET_ADDRESS_TEXT_SIZE];   // of the webhooks, with the real port
    struct net_signal *terminate, *interrupt, *hangup;
    struct net_timer *reload_timer;
    timestamp_ns reloaded_at; // monotonic
    bool reload_is_due;
    struct net_timer *watch_timer;
    struct notifier notifier;
    enum notify_state last_state;
    struct net_timer *notify_timer; // set: last_state is to be sent again
    struct watchdog_thread watchdog;
    struct credentials credentials;
    bool has_stalled; // and it was logged
    struct setup_watch setup_watch;
    pthread_mutex_t engine_lock; // the watcher looks at the engine while it runs
    bool engine_is_running;
    struct net_task ingress_ended;

    timestamp_ns stop_began; // monotonic; 0: not stopping
    pthread_t watcher;       // handles further signals during shutdown
    bool has_watcher;
    bool has_logged_commit; // used by the watcher
    atomic_bool is_stopped; // the watcher ends
};

// --- secrets -----------------------------------------------------------------------------------

static enum error_code load_secrets(struct server *server, struct error *error)
{
    struct secret_set *set;
    enum error_code code = reload_read_secrets(server->config, &set, error);
    if (code == ERROR_NONE)
        ingress_secrets_use(server->secrets, set);
    return code;
}

// Without a file there are no tokens.
static enum error_code make_tokens(token_loader *load, const char *path,
                                   struct ingress_secrets **tokens, struct error *error)
{
    struct secret_set *set;
    if (path == NULL)
        return ERROR_NONE;
    enum error_code code = ingress_secrets_create(tokens, error);
    if (code == ERROR_NONE)
        code = reload_read_tokens(load, path, &set, error);
    if (code == ERROR_NONE)
        ingress_secrets_use(*tokens, set);
    return code;
}

// --- notifications -----------------------------------------------------------------------------

// A state that could not be sent is sent again, each second, unless another one follows.
static void notify_systemd(struct server *server, enum notify_state state)
{
    server->last_state = state;
    if (notifier_send(&server->notifier, state, true))
        net_timer_cancel(server->notify_timer);
    else
        net_timer_set(server->notify_timer, NOTIFY_RETRY);
}

static void notify_again(void *context)
{
    struct server *server = context;
    if (!notifier_send(&server->notifier, server->last_state, false))
        net_timer_set(server->notify_timer, NOTIFY_RETRY);
}

static enum error_code start_notifying(struct server *server, struct error *error)
{
    const struct watchdog_parts parts = {.notifier = &server->notifier,
                                         .engine = server->engine,
                                         .ingress = server->ingress,
                                         .loop = server->loop};
    enum error_code code =
        net_timer_create(server->loop, notify_again, server, &server->notify_timer, error);
    return code == ERROR_NONE ? watchdog_start(&server->watchdog, &parts, error) : code;
}

// --- reload on SIGHUP --------------------------------------------------------------------------

static void reload_now(void *context)
{
    struct server *server = context;
    const struct reload_parts parts = {.config = server->config,
                                       .secrets = server->secrets,
                                       .admin_tokens = server->admin_tokens,
                                       .otlp_tokens = server->otlp_tokens,
                                       .ingress = server->ingress,
                                       .receiver = server->receiver,
                                       .admin = server->admin,
                                       .exporter = server->exporter,
                                       .headers = &server->headers,
                                       .metrics = &server->metrics,
                                       .notices = &server->notices,
                                       .credentials = &server->credentials};
    server->reloaded_at = timestamp_monotonic();
    server->reload_is_due = false;
    notify_systemd(server, NOTIFY_RELOADING);
    reload_all(&parts);
    notify_systemd(server, NOTIFY_READY);
}

// SIGHUP. Reloads are rate-limited, since parsing keys is expensive; the last request is always processed.
static void reload(void *context)
{
    struct server *server = context;
    duration_ns since = timestamp_monotonic() - server->reloaded_at;
    if (server->reload_is_due)
        return;
    server->reload_is_due = true;
    net_timer_set(server->reload_timer, since < RELOAD_EVERY ? RELOAD_EVERY - since : 0);
}

// --- watching ----------------------------------------------------------------------------------

// Problems of the export are logged by the exporter.
static void watch_setup(struct server *server)
{
    static const struct export_status no_export;
    struct engine_counters counters;
    struct receiver_counters received;
    struct ingress_setup setup;
    engine_read_counters(server->engine, &counters);
    if (server->receiver != NULL)
        receiver_read_counters(server->receiver, &received);
    ingress_read_setup(server->ingress, &setup);
    const struct setup_facts facts = {
        .ingress = &setup,
        .last_event_at = counters.last_event_at,
        .webhook_path = server->config->ingress.webhook_path,
        .exporting = &no_export,
        .arc = setup_arc_facts(&counters, server->receiver != NULL ? &received : NULL,
                               server->config->engine.policy.arc_runners.count > 0),
        .now = timestamp_now()};
    setup_watch_log(&server->setup_watch, &facts, timestamp_monotonic());
}

// Watches for hangs: a part that hangs cannot log it.
static void watch_for_hangs(void *context)
{
    struct server *server = context;
    struct error error;
    enum error_code code = engine_ready(server->engine, &error);
    if (code == ERROR_NONE)
        code = ingress_ready(server->ingress, &error);
    if (code == ERROR_BUSY && !server->has_stalled)
        log_error("deliveries cannot be stored in time; /ready answers 503", LOG_REASON(&error));
    else if (code != ERROR_BUSY && server->has_stalled)
        log_info("deliveries are stored in time again");
    server->has_stalled = code == ERROR_BUSY;
    ingress_watch(server->ingress);
    watch_setup(server);
    net_timer_set(server->watch_timer, WATCH_EVERY);
}

static enum error_code start_watching(struct server *server, struct error *error)
{
    enum error_code code =
        net_timer_create(server->loop, watch_for_hangs, server, &server->watch_timer, error);
    if (code == ERROR_NONE)
        net_timer_set(server->watch_timer, WATCH_EVERY);
    return code;
}

// --- signals -----------------------------------------------------------------------------------

static void stop(void *context)
{
    struct server *server = context;
    if (server->stop_began != 0)
        return;
    server->stop_began = timestamp_monotonic();
    log_info("stopping");
    notify_systemd(server, NOTIFY_STOPPING);
    net_loop_stop(server->loop);
}

static void list_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
}

// Signals are handled by the main thread; threads created while they are blocked inherit the mask.
static void block_signals(int how)
{
    sigset_t signals;
    list_signals(&signals);
    (void)pthread_sigmask(how, &signals, NULL);
}

static enum error_code watch_signal(struct server *server, int number, net_callback callback,
                                    struct net_signal **handle, struct error *error)
{
    const struct net_signal_options wanted = {
        .number = number, .callback = callback, .context = server};
    return net_signal_create(server->loop, &wanted, handle, error);
}

static enum error_code watch_signals(struct server *server, struct error *error)
{
    enum error_code code = watch_signal(server, SIGTERM, stop, &server->terminate, error);
    if (code == ERROR_NONE)
        code = watch_signal(server, SIGINT, stop, &server->interrupt, error);
    if (code == ERROR_NONE)
        code = net_timer_create(server->loop, reload_now, server, &server->reload_timer, error);
    if (code == ERROR_NONE)
        code = watch_signal(server, SIGHUP, reload, &server->hangup, error);
    return code;
}

static void release_signals(struct server *server)
{
    struct net_signal **handles[] = {&server->hangup, &server->interrupt, &server->terminate};
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++) {
        if (*handles[i] != NULL)
            net_signal_destroy(*handles[i]);
        *handles[i] = NULL;
    }
    net_timer_destroy(server->reload_timer);
    server->reload_timer = NULL;
    net_timer_destroy(server->watch_timer);
    server->watch_timer = NULL;
    net_timer_destroy(server->notify_timer);
    server->notify_timer = NULL;
    watchdog_stop(&server->watchdog); // systemd does not watch a service that stops
}

// Logs once that a commit hangs, which the stop waits for.
static void look_at_commit(struct server *server)
{
    pthread_mutex_lock(&server->engine_lock);
    duration_ns age = server->engine_is_running ? engine_commit_age(server->engine) : 0;
    pthread_mutex_unlock(&server->engine_lock);
    if (age < COMMIT_PATIENCE || server->has_logged_commit)
        return;
    server->has_logged_commit = true;
    log_warn("waiting for a commit: the disk does not answer or is slow, or another process holds "
             "the store");
}

// Runs in a thread of its own, which may write to the log and is not blocked by anything the shutdown waits for.
static void *watch_further_signals(void *context)
{
    static const struct timespec tick = {.tv_sec = 1};
    struct server *server = context;
    sigset_t signals;
    list_signals(&signals);
    for (;;) {
        int number = sigtimedwait(&signals, NULL, &tick);
        if (atomic_load(&server->is_stopped))
            break;
        if (number < 0)
            look_at_commit(server);
        // Service managers may send a signal twice, or to a process and to its group.
        if (number < 0 || number == SIGHUP ||
            timestamp_monotonic() - server->stop_began < REPEAT_TIME)
            continue;
        log_warn("stopped at once: another signal was received during the shutdown; requests in "
                 "flight are "
                 "not answered",
                 LOG_STRING("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
        log_flush(LAST_LINE_MS);
        _exit(EXIT_FAILURE);
    }
    return NULL;
}

// From here on signals are handled while the shutdown waits. They stay blocked except in the watcher.
static void start_watcher(struct server *server)
{
    assert(server->stop_began != 0 && !server->has_watcher);
    block_signals(SIG_BLOCK);
    release_signals(server);
    int result = pthread_create(&server->watcher, NULL, watch_further_signals, server);
    server->has_watcher = result == 0;
    if (result != 0)
        log_warn("no thread for further signals: only SIGKILL can cut the stop short",
                 LOG_STRING("error", strerror(result)));
}

static void end_watcher(struct server *server)
{
    if (!server->has_watcher)
        return;
    atomic_store(&server->is_stopped, true);
    (void)pthread_kill(server->watcher, SIGHUP);
    (void)pthread_join(server->watcher, NULL);
}

// --- parts -------------------------------------------------------------------------------------

static enum error_code make_engine(struct server *server, struct error *error)
{
    struct engine_options engine = server->config->engine;
    engine.queue_max = ENGINE_QUEUE_MAX;
    engine.batch_max = ENGINE_BATCH_MAX;
    return engine_create(server->store, &engine, &server->engine, error);
}

static enum error_code use_headers(void *context, const struct http_header *headers, size_t count,
                                   struct error *error)
{
    const struct server *server = context;
    return exporter_use_headers(server->exporter, headers, count, error);
}

static enum error_code make_exporter(struct server *server, struct error *error)
{
    const struct config_export *exporting = &server->config->exporting;
    if (!exporting->is_on)
        return ERROR_NONE;
    struct export_options export = exporting->options;
    export.loop = server->loop;
    export.store = server->store;
    export.engine = server->engine;
    export.tls = server->export_tls;
    export.in_flight_max = EXPORT_IN_FLIGHT_MAX;
    export.batch_records_max = EXPORT_BATCH_RECORDS;
    export.batch_bytes_max = EXPORT_BATCH_BYTES;
    export.backoff_first = NS_PER_SECOND;
    export.backoff_max = 30 * NS_PER_SECOND;
    export.outbox_max = server->config->engine.outbox_max;
    enum error_code code =
        header_reader_open(&server->headers, server->config->otlp_header_file, &export, error);
    if (code == ERROR_NONE)
        code = exporter_create(&export, &server->exporter, error);
    if (code == ERROR_NONE)
        engine_on_outbox(server->engine, exporter_wake, server->exporter);
    if (code == ERROR_NONE && server->headers.file != NULL)
        export_header_file_on_change(server->headers.file, use_headers, server);
    return code;
}

// The engine's thread wakes the exporter, so it starts once that is there.
static enum error_code start_engine(struct server *server, struct error *error)
{
    assert(!server->engine_is_running);
    enum error_code code = engine_start(server->engine, error);
    if (code != ERROR_NONE)
        return code;
    server->engine_is_running = true;
    if (server->exporter != NULL)
        exporter_start(server->exporter);
    return ERROR_NONE;
}

static enum error_code make_ingress(struct server *server, struct error *error)
{
    const struct config *config = server->config;
    struct ingress_options ingress = config->ingress;
    ingress.secrets = server->secrets;
    enum error_code code = ingress_start(server->engine, &ingress, &server->ingress, error);
    char listen[NET_ADDRESS_TEXT_SIZE];
    if (code != ERROR_NONE)
        error_wrap(error, "listen %s", config_listens_at(config, ACTIVATION_WEBHOOK, listen));
    return code;
}

static enum error_code make_receiver(struct server *server, struct error *error)
{
    const struct config *config = server->config;
    if (!config_has_receiver(config))
        return ERROR_NONE;
    enum error_code code =
        make_tokens(secrets_load_roles, config->otlp_token_file, &server->otlp_tokens, error);
    if (code != ERROR_NONE)
        return code;
    const struct receiver_options receiver = {.listen = config->otlp_address,
                                              .tokens = server->otlp_tokens,
                                              .repos = config->ingress.repos,
                                              .repo_count = config->ingress.repo_count,
                                              .trusted_proxies = config->ingress.trusted_proxies,
                                              .tls = config_receiver_tls(config)};
    code = receiver_start(server->engine, &receiver, &server->receiver, error);
    return code == ERROR_NONE ? code : error_wrap(error, "otlp-listen %s", config->otlp_listen);
}

static enum error_code make_view(struct server *server, struct error *error)
{
    const struct config *config = server->config;
    net_address_format(ingress_address(server->ingress), server->listen);
    const struct view_sources sources = {
        .store = server->store,
        .engine = server->engine,
        .exporter = server->exporter,
        .header_file = server->headers.file,
        .metrics_push = server->metrics.push,
        .metrics_url = config->metrics.exporting.is_on ? config->metrics.exporting.url : NULL,
        .notices = server->notices.notices,
        .ingress = server->ingress,
        .receiver = server->receiver,
        .has_arc_runners = config->engine.policy.arc_runners.count > 0,
        .id_scheme = config->engine.policy.scheme,
        .trace_url = config->trace_url,
        .export_url = config->exporting.is_on ? config->exporting.url : NULL,
        .listen = server->listen,
        .webhook_path = config->ingress.webhook_path,
        .history = config->engine.history,
        .pools = config->pools,
        .started_at = timestamp_now(),
    };
    return view_create(server->loop, &sources, &server->view, error);
}

static enum error_code start_admin(struct server *server, struct error *error)
{
    struct admin_options admin = {.listen = server->config->admin_address,
                                  .listen_socket =
                                      server->config->activation.sockets[ACTIVATION_ADMIN],
                                  .tokens = server->admin_tokens,
                                  .ingress = server->ingress,
                                  .tls = config_admin_tls(server->config)};
    admin.routes = view_routes(server->view, &admin.route_count);
    return admin_start(server->loop, &admin, server->engine, &server->admin, error);
}

static enum error_code make_admin(struct server *server, struct error *error)
{
    const struct config *config = server->config;
    if (!config_has_admin(config))
        return ERROR_NONE;
    enum error_code code =
        make_tokens(secrets_load_tokens, config->admin_token_file, &server->admin_tokens, error);
    if (code == ERROR_NONE)
        code = make_view(server, error);
    if (code != ERROR_NONE)
        return code;
    code = start_admin(server, error);
    if (code != ERROR_NONE) {
        char listen[NET_ADDRESS_TEXT_SIZE];
        error_wrap(error, "admin-listen %s", config_listens_at(config, ACTIVATION_ADMIN, listen));
        return code;
    }
    if (admin_is_closed(server->admin))
        log_warn("admin: beyond loopback only /health and /ready are served, unless "
                 "admin-token-file or admin-client-ca is set");
    return ERROR_NONE;
}

static enum error_code start_notices(struct server *server, struct error *error)
{
    const struct notices_options parts = {
        .loop = server->loop, .store = server->store, .engine = server->engine};
    return notices_part_start(&server->notices, server->config, &parts, error);
}

static enum error_code start_past(struct server *server, struct error *error)
{
    const struct past_options parts = {.loop = server->loop,
                                       .store = server->store,
                                       .engine = server->engine,
                                       .pools = server->config->pools};
    return past_watch_create(&parts, &server->past, error);
}

// --- running the daemon ------------------------------------------------------------------------

static void log_store_found(const struct store *store)
{
    const struct store_found *found = store_found(store);
    char older[STORE_FOUND_TEXT_SIZE];
    store_found_text(found, older);
    log_info(found->format == 0 ? "store made" : "store opened",
             LOG_INT("format", found->format == 0 ? STORE_FORMAT_VERSION : found->format),
             LOG_STRING("to_upgrade", older));
}

static enum error_code set_up_parts(struct server *server, struct error *error)
{
    const struct config *config = server->config;
    enum error_code code = net_loop_create(&server->loop, error);
    if (code == ERROR_NONE)
        code = ingress_secrets_create(&server->secrets, error);
    credentials_record(&server->credentials, config);
    if (code == ERROR_NONE)
        code = load_secrets(server, error);
    if (code == ERROR_NONE)
        code = config_check_tls(config, error);
    if (code == ERROR_NONE)
        code = config_make_export_tls(&config->exporting, &server->export_tls, error);
    if (code == ERROR_NONE)
        code = store_open(config->db, STORE_DAEMON, config->db_max_size, &server->store, error);
    if (code == ERROR_NONE)
        log_store_found(server->store);
    if (code == ERROR_NONE)
        code = make_engine(server, error);
    if (code == ERROR_NONE)
        code = make_exporter(server, error);
    if (code == ERROR_NONE)
        code = start_engine(server, error);
    if (code == ERROR_NONE)
        code = metrics_part_start(&server->metrics, config, server->loop, server->store, error);
    if (code == ERROR_NONE)
        code = start_notices(server, error);
    if (code == ERROR_NONE)
        code = start_past(server, error);
    if (code == ERROR_NONE)
        code = make_ingress(server, error);
    if (code == ERROR_NONE)
        code = make_receiver(server, error);
    if (code == ERROR_NONE)
        code = make_admin(server, error);
    if (code == ERROR_NONE)
        code = watch_signals(server, error);
    if (code == ERROR_NONE)
        code = start_watching(server, error);
    if (code == ERROR_NONE)
        code = start_notifying(server, error);
    return code;
}

static const char *sockets_passed(const struct config *config)
{
    bool has_webhook = config->activation.sockets[ACTIVATION_WEBHOOK] != 0;
    bool has_admin = config->activation.sockets[ACTIVATION_ADMIN] != 0;
    if (has_webhook && has_admin)
        return "webhook,admin";
    return has_webhook ? "webhook" : has_admin ? "admin" : "none";
}

static void log_ready(const struct server *server)
{
    char listen[NET_ADDRESS_TEXT_SIZE], admin[NET_ADDRESS_TEXT_SIZE], otlp[NET_ADDRESS_TEXT_SIZE];
    const struct config *config = server->config;
    log_info("ready",
             LOG_STRING("listen", net_address_format(ingress_address(server->ingress), listen)),
             LOG_STRING("tls", config->ingress.tls.certificate_file != NULL ? "on" : "off"),
             LOG_STRING("admin", server->admin == NULL
                                     ? "off"
                                     : net_address_format(admin_address(server->admin), admin)),
             LOG_STRING("otlp", server->receiver == NULL
                                    ? "off"
                                    : net_address_format(receiver_address(server->receiver), otlp)),
             LOG_STRING("export", config->exporting.is_on ? config->exporting.url : "none"),
             LOG_STRING("db", config->db), LOG_STRING("sockets", sockets_passed(config)));
}

static void stop_loop(void *context)
{
    net_loop_stop(context);
}

static void wind_down_parts(struct server *server)
{
    bool is_activated = server->config->activation.sockets[ACTIVATION_WEBHOOK] != 0;
    start_watcher(server);
    ingress_wind_down(server->ingress);
    if (server->receiver != NULL)
        receiver_wind_down(server->receiver);
    if (server->admin != NULL)
        admin_wind_down(server->admin);
    if (server->exporter != NULL && !is_activated) {
        exporter_drain(server->exporter, EXPORT_GRACE, stop_loop, server->loop);
        net_loop_run(server->loop);
    }
    server->ingress_ended = (struct net_task){.run = stop_loop, .context = server->loop};
    ingress_end(server->ingress, is_activated ? ANSWER_GRACE_ACTIVATED : ANSWER_GRACE, server->loop,
                &server->ingress_ended);
    net_loop_run(server->loop); // the admin listener is served until then
}

static void release_parts(struct server *server)
{
    release_signals(server);
    if (server->admin != NULL)
        admin_stop(server->admin);
    if (server->view != NULL)
        view_stop(server->view);
    receiver_stop(server->receiver); // the engine answers what it has
    notices_part_stop(&server->notices);
    past_watch_stop(server->past);
    // The engine's thread uses tasks owned by ingress, exporter and notices until it ends.
    if (server->engine_is_running)
        engine_stop(server->engine);
    pthread_mutex_lock(&server->engine_lock);
    server->engine_is_running = false;
    pthread_mutex_unlock(&server->engine_lock);
    exporter_destroy(server->exporter);
    metrics_part_release(&server->metrics);
    header_reader_close(&server->headers);
    net_tls_client_unref(server->export_tls);
    if (server->engine != NULL)
        engine_destroy(server->engine);
    if (server->store != NULL)
        store_close(server->store);
    // Destroyed late: until then its socket turns clients away, while a closed one would refuse their connections.
    ingress_destroy(server->ingress);
    receiver_destroy(server->receiver);
    if (server->secrets != NULL)
        ingress_secrets_destroy(server->secrets);
    net_loop_destroy(server->loop);
    notices_part_release(&server->notices);
    past_watch_destroy(server->past);
    // Closing the loop closed the streams, which reported that to the view.
    view_destroy(server->view);
    if (server->admin_tokens != NULL)
        ingress_secrets_destroy(server->admin_tokens);
    if (server->otlp_tokens != NULL)
        ingress_secrets_destroy(server->otlp_tokens);
}

// Each connection needs a descriptor; the soft limit of 1024 exists for programs that use select().
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= DESCRIPTORS_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    (void)setrlimit(RLIMIT_NOFILE, &limit); // on failure there are fewer connections
}

// Secrets and payloads must not appear in core dumps, nor be readable by another process of the same user.
static void keep_memory_private(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
#ifndef GHATRACE_SANITIZED // sanitizers inspect their own process from another one
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

enum error_code server_run(const struct config *config, struct error *error)
{
    struct server server = {.config = config, .notifier = {.notify = &config->notify}};
    pthread_mutex_init(&server.engine_lock, NULL);
    (void)signal(SIGPIPE, SIG_IGN); // a closed peer is an error of its connection
    keep_memory_private();
    raise_descriptor_limit();
    block_signals(SIG_BLOCK);
    enum error_code code = set_up_parts(&server, error);
    block_signals(SIG_UNBLOCK);
    if (code == ERROR_NONE) {
        log_ready(&server);
        notify_systemd(&server, NOTIFY_READY);
        net_loop_run(server.loop);
        wind_down_parts(&server);
    }
    release_parts(&server);
    end_watcher(&server);
    pthread_mutex_destroy(&server.engine_lock);
    if (code == ERROR_NONE)
        log_info("stopped");
    return code;
}
