// Requests to one receiver.
#include "sender.h"

#include <stdio.h>
#include <unistd.h>

#include "forms.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "private.h"

#define REPEAT_INTERVAL (10 * NS_PER_MINUTE)
#define ANSWER_MAX ((size_t)4096) // bytes; only the status counts
#define AUTHORIZATION_SIZE (NOTICE_TOKEN_SIZE + 8)

// --- what an answer means -------------------------------------------------------------------------

enum notice_result notice_result_of(int status, bool was_sent)
{
    if (status >= 200 && status < 300)
        return NOTICE_SENT;
    if (status == 0)
        return was_sent ? NOTICE_UNKNOWN : NOTICE_NOT_SENT;
    if (status >= 500 || status == 408 || status == 425 || status == 429)
        return NOTICE_NOT_SENT;
    return NOTICE_NOT_TAKEN;
}

static bool has_text(const char *message, const char *secret)
{
    return strlen(secret) > 1 && strstr(message, secret) != NULL;
}

void notice_describe_failure(const struct notice_receiver *receiver, int status,
                             const struct error *error, char message[NOTICE_MESSAGE_SIZE])
{
    const struct export_endpoint *endpoint = &receiver->endpoint;
    const char *reason = error->message;
    if (status != 0) {
        (void)snprintf(message, NOTICE_MESSAGE_SIZE, "answered %d%s", status,
                       status >= 300 && status < 400 ? ": redirects are not followed" : "");
        return;
    }
    if (reason[0] == '\0' || has_text(reason, endpoint->path) ||
        has_text(reason, receiver->topic) || has_text(reason, receiver->token) ||
        has_text(reason, endpoint->userinfo) || has_text(reason, endpoint->proxy.userinfo))
        reason = error_code_text(error->code);
    (void)snprintf(message, NOTICE_MESSAGE_SIZE, "no answer: %.200s", reason);
}

// RFC 9110 10.2.3, in seconds or as a date. 0: none.
static duration_ns retry_after(const struct http_client_response *response)
{
    struct slice text = slice_trim(http_client_header(response, "Retry-After"));
    timestamp_ns at;
    long long seconds;
    if (slice_parse_int64(text, &seconds))
        return seconds > 0 && seconds < 86400 ? seconds * NS_PER_SECOND : 0;
    return timestamp_parse_http_date(text, &at) ? at - timestamp_now() : 0;
}

// --- log and status -------------------------------------------------------------------------------

static void log_notice_trouble(struct notice_sender *sender, timestamp_ns now)
{
    const struct notice_receiver_status *status = &sender->status;
    char next_try[TIMESTAMP_TEXT_SIZE];
    if (sender->logged_at != 0 && now - sender->logged_at < REPEAT_INTERVAL)
        return;
    sender->logged_at = now;
    log_warn("notices are not accepted, will retry",
             LOG_STRING("form", notice_form_names[status->form]), LOG_STRING("host", status->host),
             LOG_STRING("error", status->message),
             LOG_STRING("next_try", duration_format_short(sender->due_at - now, next_try)));
}

struct notice_failure {
    int http_status; // 0: no response
    duration_ns retry_after;
    bool is_refusal;
};

static void note_failure(struct notice_sender *sender, const struct notice_failure *failure)
{
    struct notice_receiver_status *status = &sender->status;
    timestamp_ns now = timestamp_monotonic();
    duration_ns wait = backoff_step(&sender->backoff, backoff_random(&sender->random_state));
    if (failure->is_refusal && wait < NOTICE_REFUSAL_WAIT)
        wait = NOTICE_REFUSAL_WAIT;
    sender->notices->failures++;
    sender->due_at = now + backoff_honour(failure->retry_after, wait);
    if (!status->is_troubled)
        status->since = timestamp_now();
    status->is_troubled = true;
    status->http_status = failure->http_status;
    log_notice_trouble(sender, now);
}

static void note_receiver_accepts(struct notice_sender *sender)
{
    struct notice_receiver_status *status = &sender->status;
    backoff_reset(&sender->backoff);
    sender->due_at = timestamp_monotonic() + NOTICE_GAP;
    status->sent_at = timestamp_now();
    if (status->is_troubled)
        log_info("notices are accepted again", LOG_STRING("form", notice_form_names[status->form]),
                 LOG_STRING("host", status->host));
    status->is_troubled = false;
    status->since = TIMESTAMP_UNKNOWN;
    status->http_status = 0;
    status->message[0] = '\0';
    sender->logged_at = 0;
}

// --- requests -------------------------------------------------------------------------------------

static void settle_request(struct notice_sender *sender, enum notice_result result)
{
    buffer_release(&sender->body);
    notice_list_settle(&sender->notices->list, sender->receiver->id, result);
    notices_store_changes(sender->notices);
}

static void on_notice_answer(void *context, const struct http_client_response *response)
{
    struct notice_sender *sender = context;
    enum notice_result result = notice_result_of(response->status, response->has_connected);
    sender->transfer = NULL;
    if (result == NOTICE_SENT) {
        note_receiver_accepts(sender);
    } else {
        notice_describe_failure(sender->receiver, response->status, &response->error,
                                sender->status.message);
        const struct notice_failure failure = {.http_status = response->status,
                                               .retry_after = retry_after(response),
                                               .is_refusal = result == NOTICE_NOT_TAKEN};
        note_failure(sender, &failure);
        // Behind a load balancer, another connection may reach another server.
        http_client_renew(sender->client, response->age);
    }
    settle_request(sender, result);
    notice_sender_wake(sender);
}

static enum error_code send_request(struct notice_sender *sender)
{
    const struct export_endpoint *endpoint = &sender->receiver->endpoint;
    char url[EXPORT_URL_SIZE], authorization[AUTHORIZATION_SIZE];
    bool has_token = sender->receiver->token[0] != '\0';
    (void)snprintf(authorization, sizeof authorization, "Bearer %s", sender->receiver->token);
    const struct http_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("User-Agent"), SLICE("ghatrace/" GHATRACE_VERSION)},
        {SLICE("Authorization"), slice_from_string(authorization)}};
    const struct http_client_request request = {
        .method = "POST",
        .url = export_endpoint_url(endpoint, url),
        .userinfo = endpoint->userinfo[0] != '\0' ? endpoint->userinfo : NULL,
        .headers = headers,
        .header_count = has_token ? 3 : 2,
        .body = buffer_slice(&sender->body),
        .timeout = NOTICE_TIMEOUT,
        .body_max = ANSWER_MAX,
        .proxy = endpoint->proxy.url[0] != '\0' ? endpoint->proxy.url : NULL,
    };
    enum error_code code =
        http_client_send(sender->client, &request, on_notice_answer, sender, &sender->transfer);
    digest_wipe(url, sizeof url);
    digest_wipe(authorization, sizeof authorization);
    return code;
}

static enum error_code compose_request(struct notice_sender *sender)
{
    struct notices *notices = sender->notices;
    const struct notice *taken[NOTICE_LIST_MAX];
    size_t count = notice_list_in_flight(&notices->list, sender->receiver->id, taken);
    const struct notice_message message = {
        .notices = taken, .count = count, .subjects = &notices->subjects};
    buffer_init(&sender->body, NOTICE_BODY_MAX);
    return notice_write(&message, sender->receiver, &sender->body);
}

static void send_prepared(struct notice_sender *sender)
{
    sender->is_prepared = false;
    enum error_code code = compose_request(sender);
    if (code == ERROR_NONE)
        code = send_request(sender);
    if (code == ERROR_NONE)
        return;
    sender->transfer = NULL;
    (void)snprintf(sender->status.message, sizeof sender->status.message, "request: %s",
                   error_code_text(code));
    note_failure(sender, &(struct notice_failure){.http_status = 0});
    settle_request(sender, NOTICE_NOT_SENT);
    net_timer_set(sender->timer, sender->due_at - timestamp_monotonic());
}

void notice_sender_go_on(struct notice_sender *sender)
{
    if (sender->is_prepared && !sender->notices->is_stopped)
        send_prepared(sender);
}

static void prepare_pending(struct notice_sender *sender)
{
    struct notices *notices = sender->notices;
    size_t max = notice_batch_max(sender->receiver->form);
    sender->is_prepared = notice_list_take(&notices->list, sender->receiver->id, max) > 0;
    if (sender->is_prepared)
        notices_store_changes(notices);
}

void notice_sender_wake(struct notice_sender *sender)
{
    timestamp_ns now = timestamp_monotonic();
    if (sender->transfer != NULL || sender->is_prepared || sender->notices->is_stopped)
        return;
    if (sender->due_at <= now)
        prepare_pending(sender);
    else
        net_timer_set(sender->timer, sender->due_at - now);
}

static void on_notice_due(void *context)
{
    notice_sender_wake(context);
}

// --- life -----------------------------------------------------------------------------------------

enum error_code notice_sender_init(struct notice_sender *sender, struct notices *notices,
                                   struct notice_receiver *receiver, struct net_tls_client *tls,
                                   struct error *error)
{
    const struct http_client_options client = {.connections_max = 1,
                                               .tls = receiver->endpoint.is_tls ? tls : NULL};
    *sender = (struct notice_sender){
        .notices = notices,
        .receiver = receiver,
        .random_state = backoff_seed(timestamp_now(), timestamp_monotonic(), getpid()),
        .status = {.form = receiver->form, .host = receiver->endpoint.host_header}};
    buffer_init(&sender->body, NOTICE_BODY_MAX);
    backoff_init(&sender->backoff, NOTICE_BACKOFF_FIRST, NOTICE_BACKOFF_MAX);
    if (receiver->endpoint.is_tls && tls == NULL)
        return error_set(error, ERROR_USAGE, "https without certificates to trust");
    enum error_code code =
        net_timer_create(notices->options.loop, on_notice_due, sender, &sender->timer, error);
    if (code == ERROR_NONE)
        code = http_client_create(notices->options.loop, &client, &sender->client, error);
    return code;
}

void notice_sender_release(struct notice_sender *sender)
{
    if (sender->transfer != NULL)
        http_client_cancel(sender->transfer);
    sender->transfer = NULL;
    http_client_destroy(sender->client);
    sender->client = NULL;
    net_timer_destroy(sender->timer);
    sender->timer = NULL;
    buffer_release(&sender->body);
}
