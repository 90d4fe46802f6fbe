// One receiver: its client, its back-off, and one request at a time. Private to this room.
#ifndef GHATRACE_SRC_NOTIFY_SENDER_H
#define GHATRACE_SRC_NOTIFY_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/backoff.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/client/http_client.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/notify/notices.h"
#include "list.h"

#define NOTICE_TIMEOUT (10 * NS_PER_SECOND)
#define NOTICE_BACKOFF_FIRST (2 * NS_PER_SECOND)
#define NOTICE_BACKOFF_MAX (5 * NS_PER_MINUTE)
// The least wait after a refusal: what is refused five times is dropped, and a service may be away for a minute.
#define NOTICE_REFUSAL_WAIT NS_PER_MINUTE
// Between two requests to one receiver: Slack takes one a second.
#define NOTICE_GAP NS_PER_SECOND

struct notice_sender {
    struct notices *notices;
    struct notice_receiver *receiver;
    struct http_client *client;
    struct net_timer *timer;               // of the next request, if it has to wait
    bool is_prepared;                      // notices are taken, and sent when that is stored
    struct http_client_transfer *transfer; // NULL: none
    struct buffer body;                    // of the request
    struct backoff backoff;
    timestamp_ns due_at; // monotonic: no request before
    uint64_t random_state;
    timestamp_ns logged_at; // monotonic; 0: nothing was logged of the present trouble
    struct notice_receiver_status status;
};

enum error_code notice_sender_init(struct notice_sender *sender, struct notices *notices,
                                   struct notice_receiver *receiver, struct net_tls_client *tls,
                                   struct error *error) MUST_CHECK;
// A request in progress ends unanswered. May be called again.
void notice_sender_release(struct notice_sender *sender);
// Sends what is pending, now or when the back-off allows it, unless a request is in progress.
void notice_sender_wake(struct notice_sender *sender);
// What is to be sent is stored, or cannot be.
void notice_sender_go_on(struct notice_sender *sender);

// --- what an answer means (pure) ------------------------------------------------------------------

// `status` 0: there was none; then `was_sent` says whether a request may have been received. 2xx: sent. No answer, 408,
// 425, 429 and 5xx may pass. All else is a refusal; redirects are not followed, as they would carry what is sent to
// another server.
enum notice_result notice_result_of(int status, bool was_sent);
// Why it was not sent. An error of the client is quoted, unless it has anything of the URL but its host.
void notice_describe_failure(const struct notice_receiver *receiver, int status,
                             const struct error *error, char message[NOTICE_MESSAGE_SIZE]);

#endif
