// Sends HTTP requests from a loop: libcurl's multi interface, driven by the loop's event library.
//
// Nothing here blocks the loop's thread. Connections are kept and reused; HTTP/2 is used where TLS offers it. All
// addresses of a name are tried. Redirects are not followed; there are no cookies, no .netrc, and no variables of the
// environment: a proxy is used only if the request names it.
//
// Where connecting takes three quarters of the time of a request, it fails: of several addresses that are silent the first has
// half of that, the next one half of the rest, and so on, until one is reached.
//
// All functions run in the loop's thread.
#ifndef GHATRACE_CLIENT_HTTP_CLIENT_H
#define GHATRACE_CLIENT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"

// Look-ups that may be outstanding at a time; each has a thread of its own. Further requests wait until one is over.
#define HTTP_CLIENT_LOOKUPS_MAX 4
// libcurl does not report when the thread of a look-up that was given up ends. For this long it counts as outstanding.
#define HTTP_CLIENT_LOOKUP_LINGER (30 * NS_PER_SECOND)
// Connections without a request are closed after this time, and looked-up names forgotten.
#define HTTP_CLIENT_IDLE_TIME (50 * NS_PER_SECOND)
// Looked-up names are remembered for so long, unless the client is renewed.
#define HTTP_CLIENT_NAME_TIME (60 * NS_PER_SECOND)
// Default limits of a response.
#define HTTP_CLIENT_HEAD_MAX ((size_t)16384)
#define HTTP_CLIENT_BODY_MAX ((size_t)64 << 10)

struct http_client;

struct http_client_options {
    size_t connections_max;     // kept at a time; 0: 8
    struct net_tls_client *tls; // for https, referenced; NULL: https is refused
    duration_ns idle_time;      // 0: HTTP_CLIENT_IDLE_TIME
    duration_ns lookup_linger;  // 0: HTTP_CLIENT_LOOKUP_LINGER
};

enum http_client_version {
    HTTP_CLIENT_VERSION_ANY, // HTTP/1.1; HTTP/2 if TLS negotiates it
    HTTP_CLIENT_VERSION_1_1,
    // Without TLS a connection is for one request, unless libcurl is one that is shown to reuse them.
    HTTP_CLIENT_VERSION_2, // over cleartext with prior knowledge (RFC 9113 3.3), over TLS by ALPN
};

// Everything but the body is copied.
struct http_client_request {
    const char *method;   // NULL: GET, or POST if there is a body
    const char *url;      // absolute, http or https, without userinfo
    const char *userinfo; // "user:password", percent-encoded, for basic authentication; NULL: none
    const struct http_header *headers; // Host and Content-Length are the client's own
    size_t header_count;
    struct slice body;   // must be valid until the callback or the cancellation; data NULL: none
    duration_ns timeout; // in total, from http_client_send(); 0: none
    enum http_client_version version;
    size_t head_max, body_max; // bytes of the response; 0: the defaults above
    // Of a 2xx whose body is longer than body_max, so many bytes more are read and dropped, to reach the trailers. 0: the
    // response ends there.
    size_t body_skip_max;
    const char *proxy; // URL, may have userinfo; NULL: none
    bool uses_tunnel;  // CONNECT through the proxy for http, too
};

struct http_client_response {
    int status;           // of a complete response; 0: none, see `error`
    int version;          // 10, 11 or 20; 0: unknown
    struct slice body;    // empty if it was longer than body_max: then the status is all there is
    bool is_body_omitted; // for that reason, or because its trailers are over head_max
    // The reason for a missing response. ERROR_TIMEOUT; ERROR_CLOSED: the connection ended before the response did;
    // ERROR_INVALID: not HTTP, or a head over head_max; ERROR_MEMORY; ERROR_NETWORK: anything else.
    struct error error;
    int proxy_status;   // with which a proxy refused the tunnel; 0: it did not
    bool has_connected; // false: nothing was sent, because resolving, connecting or TLS failed
    // Of HTTP/2, with a missing response: the server ended the stream before the request was sent in full, as servers do
    // that refuse a request at its beginning.
    bool is_interrupted;
    bool wants_certificate; // of the client; with a missing response
    bool speaks_http2;      // instead of HTTP/1.1, which was expected; with a missing response
    uint64_t connection;    // identifies the connection among all those of the client; 0: none
    uint64_t age;           // for http_client_renew()
    void *transfer;         // private
};
// The value of the first field of this name, or an empty slice. Valid as long as the response.
struct slice http_client_header(const struct http_client_response *response, const char *name);
struct slice http_client_trailer(const struct http_client_response *response, const char *name);

// Called once, from the loop, never from within a function of this header. The response is valid during the call. The
// callback may call any function here, also http_client_destroy().
typedef void (*http_client_done)(void *context, const struct http_client_response *response);

enum error_code http_client_create(struct net_loop *loop, const struct http_client_options *options,
                                   struct http_client **client, struct error *error) MUST_CHECK;
// Requests in progress end without a callback.
void http_client_destroy(struct http_client *client);

struct http_client_transfer;
// A request on a kept connection that the server closes before it answers is sent again on a new one (RFC 9110 9.2.2:
// the client knows that it was not processed, or may repeat it), once; so is one that is answered 408 on such a
// connection (RFC 9110 15.5.9).
// ERROR_MEMORY; ERROR_USAGE: the request cannot be sent. `*transfer` is valid until the callback.
enum error_code http_client_send(struct http_client *client,
                                 const struct http_client_request *request, http_client_done done,
                                 void *context, struct http_client_transfer **transfer) MUST_CHECK;
// `done` is not called. NULL does nothing.
void http_client_cancel(struct http_client_transfer *transfer);

// Requests from now on use new connections and look their names up again; those in progress end on the connections
// that they have. Does nothing if the client was renewed since the response of this age was requested.
void http_client_renew(struct http_client *client, uint64_t age);
#define HTTP_CLIENT_RENEW_ALWAYS UINT64_MAX
// For connections from now on; a reference is kept. Renews.
void http_client_use_tls(struct http_client *client, struct net_tls_client *tls);

#endif
