// The parts of the HTTP client. Private to this room.
//
// http_client.c drives libcurl from the loop: pools, the queue, the callbacks. transfer.c is one request on one easy
// handle: its options, what libcurl reports of it, and the response that this makes. guard.c ends calls of libcurl that
// do not return.
#ifndef GHATRACE_SRC_CLIENT_CLIENT_PRIVATE_H
#define GHATRACE_SRC_CLIENT_CLIENT_PRIVATE_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/client/http_client.h"
#include "guard.h"

// Before 7.87 a time-out waits for the look-up's thread.
#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or newer is needed (CURLOPT_QUICK_EXIT)"
#endif

// See move_transfer() for the allowed transitions.
enum transfer_state {
    TRANSFER_NEW,
    TRANSFER_QUEUED,   // waits for its turn to look a name up
    TRANSFER_STARTING, // given to libcurl, which may be looking the name up
    TRANSFER_RUNNING,  // the look-up is over, or was not needed
    TRANSFER_FINISHED, // its response waits for the callback
    TRANSFER_ENDED,
};

// Another protocol than the request's. libcurl 7.88 reports those that are not HTTP/2 as a connection without an answer, and
// HTTP/2 as HTTP/0.9.
enum transfer_foreign { FOREIGN_NONE, FOREIGN_HTTP1, FOREIGN_HTTP2, FOREIGN_TLS, FOREIGN_OTHER };

// A multi handle with its connections and names. One is in use; retired ones end with their last transfer.
struct client_pool {
    struct http_client *client;
    CURLM *multi;
    struct event *timer;
    struct net_tls_client *tls; // referenced; NULL: none
    size_t transfers;           // STARTING or RUNNING in it
    bool is_retired;
    struct client_socket *running; // that libcurl is called for; NULL: none, or it was removed
    bool has_lost_socket; // in the last call of libcurl: one was closed, or is no longer watched
    LIST_ENTRY(client_pool) pools;
};

TAILQ_HEAD(transfer_list, http_client_transfer);

struct http_client_transfer {
    struct http_client *client;
    enum transfer_state state;
    struct transfer_list *list; // that it is in
    TAILQ_ENTRY(http_client_transfer) entry;
    struct client_pool *pool; // while STARTING or RUNNING
    CURL *easy;
    struct curl_slist *fields;
    struct net_timer *deadline; // NULL: none
    duration_ns timeout;
    timestamp_ns sent_at; // monotonic
    char *peer;           // host and port of the URL, with the proxy; for messages
    char *proxy;          // without userinfo; NULL: none
    bool is_tls;
    bool looks_up_late; // the name of the URL, after the proxy was connected to (socks5://)
    http_client_done done;
    void *context;

    // what libcurl has reported
    size_t head_max, head_len; // bytes of all lines, with interim responses and trailers
    struct buffer body;
    size_t skip_max,
        skip_left; // bytes to read over the body's limit: of the request, and of the response from now on
    bool is_head_complete;
    bool has_connected;
    uint64_t connection;
    const char *refusal; // why a callback ended the transfer; NULL: none did
    bool is_body_omitted;
    bool is_out_of_memory;
    size_t failed_allocations; // of libcurl, when it was made
    bool is_repeated;          // sent again on a new connection
    // Of a new connection without TLS and without a proxy, until the first bytes were seen; otherwise -1.
    curl_socket_t unseen_socket;
    bool expects_settings; // with prior knowledge of HTTP/2
    enum transfer_foreign foreign;
    char text[CURL_ERROR_SIZE];

    uint64_t age; // of the client when it was started
    struct http_client_response response;
};

// --- transfer.c ---

// ERROR_MEMORY, ERROR_USAGE.
enum error_code transfer_create(struct http_client *client,
                                const struct http_client_request *request,
                                struct http_client_transfer **out) MUST_CHECK;
void transfer_free(struct http_client_transfer *transfer);
// Sets what depends on the pool. False: out of memory.
bool transfer_use_pool(struct http_client_transfer *transfer, struct client_pool *pool);
// True if the transfer is to be sent again on a new connection; it is then prepared for that.
bool transfer_must_repeat(struct http_client_transfer *transfer, CURLcode code);
// Fills the response from what libcurl has reported.
void transfer_conclude(struct http_client_transfer *transfer, CURLcode code);
// Fills the response of a transfer that libcurl did not end.
void transfer_fail(struct http_client_transfer *transfer, enum error_code code, const char *reason);
// `limit`: the time that it had, for the message.
void transfer_time_out(struct http_client_transfer *transfer, duration_ns limit);
// Of one whose connection the guard has shut down.
void transfer_fail_endless(struct http_client_transfer *transfer);
// Called before libcurl reads from the socket.
void transfer_look_at(struct http_client_transfer *transfer, curl_socket_t fd);

// --- http_client.c, called by libcurl's callbacks for a transfer ---

// The look-up of a STARTING transfer is over, or was not needed.
void client_end_lookup(struct http_client_transfer *transfer);
// How many allocations of libcurl have failed since the start of the program.
size_t client_failed_allocations(void);
struct guard *client_guard(const struct http_client *client);
// The number of the connection with this local port. `is_new`: it was made for this transfer.
uint64_t client_connection_number(struct http_client *client, int local_port, bool is_new);

#endif
