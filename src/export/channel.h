// One connection to the collector that carries one request at a time and is kept between them.
// Private to this room.
#ifndef GHATRACE_SRC_EXPORT_CHANNEL_H
#define GHATRACE_SRC_EXPORT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "answer.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/net/connection.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/resolver.h"

// OTLP lets a client limit how much of a response it reads; the Collector's own exporter has the same limit.
#define CHANNEL_BODY_MAX ((size_t)64 << 10)
// Time limit for connecting to one address if others remain and no timeout is set.
#define CHANNEL_CONNECT_TIME (10 * NS_PER_SECOND)

struct channel_result {
    struct export_answer answer; // slices are valid until the next channel_send()
    // A kept connection was closed: this is not an error, send again at once.
    bool is_stale;
    struct error error;  // the reason for a missing response, if its status is 0
    bool has_connected;  // false: nothing was sent, because resolving, connecting or TLS failed
    uint64_t connection; // identifies the connection among all those of the exporter
};

typedef void (*channel_done)(void *context, const struct channel_result *result);

enum channel_state { CHANNEL_IDLE, CHANNEL_RESOLVING, CHANNEL_CONNECTING, CHANNEL_WAITING };

struct channel {
    struct net_loop *loop;
    const struct export_endpoint *endpoint; // not owned
    struct net_tls *tls;                    // not owned; NULL: plain
    duration_ns timeout;                    // of a request in total; 0: none
    uint64_t *connections;                  // number made so far by all channels; not owned
    channel_done done;
    void *context;

    enum channel_state state;
    struct net_resolver *resolver;
    struct net_timer *timer;
    timestamp_ns sent_at;              // monotonic; the timeout counts from here
    struct net_connection *connection; // NULL: none; kept while idle
    uint64_t connection_number;
    struct buffer request; // owned until the connection takes it
    struct net_address addresses[NET_RESOLVED_MAX];
    size_t address_count, address_next;
    struct error last_error; // of the last address tried

    struct http_parser parser;
    bool is_reused;    // this request was sent on a kept connection
    bool has_received; // any byte of a response
};

enum error_code channel_init(struct channel *channel, struct net_loop *loop,
                             const struct export_endpoint *endpoint, duration_ns timeout,
                             uint64_t *connections, channel_done done, void *context,
                             struct error *error) MUST_CHECK;
// Also allowed during a request; `done` is not called then.
void channel_release(struct channel *channel);
// Takes ownership of the request's memory, also on failure. `done` is called once, from the loop, if this returns
// ERROR_NONE. ERROR_CLOSED: the kept connection was closed, send again.
enum error_code channel_send(struct channel *channel, struct buffer *request,
                             struct error *error) MUST_CHECK;

// Forces a new connection for the next request.
void channel_drop_connection(struct channel *channel);

#endif
