// One request on a libcurl easy handle: its options, and the response.
#include "client_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/write.h"

#define STATUS_SWITCHING_PROTOCOLS 101
#define STATUS_REQUEST_TIMEOUT 408
#define FIELD_MAX ((size_t)64 << 10)
// A connection that is tried without a time limit of the request.
#define CONNECT_TIME_MS 20000L

// --- what libcurl reports -------------------------------------------------------------------------

// True if this line announces a body that will not be read.
static bool announces_too_much(const struct http_client_transfer *transfer, struct slice line)
{
    static const struct slice name = {.data = "Content-Length:", .len = 15};
    long long length;
    if (line.len <= name.len ||
        !slice_equals_ignoring_case((struct slice){.data = line.data, .len = name.len}, name))
        return false;
    line.data += name.len;
    line.len -= name.len;
    return slice_parse_int64(slice_trim(line), &length) && length > 0 &&
           (unsigned long long)length > transfer->body.max;
}

// Called for each line of a head or trailer.
static size_t on_head_line(char *line, size_t size, size_t count, void *context)
{
    struct http_client_transfer *transfer = context;
    size_t len = size * count;
    long status = 0;
    transfer->head_len += len;
    if (transfer->head_len > transfer->head_max && transfer->is_head_complete) {
        // Trailers. The status counts, and those that were read.
        transfer->is_body_omitted = true;
        transfer->skip_left = 0;
        return 0;
    }
    if (transfer->head_len > transfer->head_max) {
        transfer->refusal = "its head is too long";
        return 0;
    }
    bool is_end = len <= 2 && (line[0] == '\r' || line[0] == '\n');
    if (!is_end) {
        struct slice field = {.data = line, .len = len};
        while (field.len > 0 && strchr("\r\n", field.data[field.len - 1]) != NULL)
            field.len--;
        transfer->is_body_omitted |= announces_too_much(transfer, field);
        return len;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == STATUS_SWITCHING_PROTOCOLS) {
        transfer->refusal = "it switches protocols, which was not asked for";
        return 0;
    }
    if (status >= 200 && !transfer->is_head_complete) {
        transfer->is_head_complete = true;
        transfer->skip_left = status <= 299 ? transfer->skip_max : 0;
    }
    bool is_over =
        transfer->is_head_complete && transfer->is_body_omitted && transfer->skip_left == 0;
    return is_over ? 0 : len; // 0 ends the transfer
}

// Bytes of a body that is too long are dropped, within their own limit.
static size_t skip_body_bytes(struct http_client_transfer *transfer, size_t len)
{
    transfer->is_body_omitted = true;
    if (len >= transfer->skip_left) {
        transfer->skip_left = 0;
        return CURL_WRITEFUNC_ERROR; // ends the transfer
    }
    transfer->skip_left -= len;
    return len;
}

static size_t on_body_bytes(char *data, size_t size, size_t count, void *context)
{
    struct http_client_transfer *transfer = context;
    size_t len = size * count;
    if (transfer->is_body_omitted)
        return skip_body_bytes(transfer, len);
    enum error_code code = buffer_append(&transfer->body, data, len);
    if (code == ERROR_TOO_LARGE)
        return skip_body_bytes(transfer, len);
    transfer->is_out_of_memory = code != ERROR_NONE;
    return code == ERROR_NONE ? len : CURL_WRITEFUNC_ERROR;
}

// Called for each address that is tried, after the look-up; with a proxy that is the proxy's.
static curl_socket_t on_open_socket(void *context, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
    struct http_client_transfer *transfer = context;
    (void)purpose;
    if (!transfer->looks_up_late)
        client_end_lookup(transfer);
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0 && !guard_add_socket(client_guard(transfer->client), transfer->pool, fd)) {
        (void)close(fd);
        errno = ENOMEM;
        return CURL_SOCKET_BAD;
    }
    if (!transfer->is_tls && transfer->proxy == NULL)
        transfer->unseen_socket = fd;
    return fd;
}

// Called for most sockets that libcurl closes, among them those of addresses that refuse, and connections that outlive
// their transfer. Of an address that does not answer in time there is only a last on_socket_change().
static int on_close_socket(void *context, curl_socket_t fd)
{
    struct client_pool *pool = context;
    pool->has_lost_socket = true;
    return guard_close_socket(client_guard(pool->client), fd);
}

// RFC 9113 3.4: the first frame of a server is SETTINGS (4.1: three bytes of length, then the type). RFC 8446 5.1: the
// answer of TLS to other bytes is an alert.
static enum transfer_foreign foreign_by(const char *head, size_t len, bool expects_settings)
{
    static const unsigned char settings_type = 4;
    static const char alert[] = {21, 3};
    if (memcmp(head, alert, sizeof alert) == 0)
        return FOREIGN_TLS;
    bool is_settings = (unsigned char)head[3] == settings_type;
    if (!expects_settings) // the flags of SETTINGS, and its stream, are 0
        return is_settings && head[0] == 0 && head[1] == 0 && head[4] == 0 && head[5] == 0
                   ? FOREIGN_HTTP2
                   : FOREIGN_NONE;
    if (len >= 7 && memcmp(head, "HTTP/1.", 7) == 0)
        return FOREIGN_HTTP1;
    return is_settings ? FOREIGN_NONE : FOREIGN_OTHER;
}

// Looks at the first bytes of a connection. The answer of libcurl is used, unless they are of another protocol.
void transfer_look_at(struct http_client_transfer *transfer, curl_socket_t fd)
{
    char head[8] = {0};
    if (transfer->unseen_socket != fd)
        return;
    // Without bytes to read, recv() would return the error of a failed connect(), which libcurl then does not see.
    int readable = 0;
    if (ioctl(fd, FIONREAD, &readable) != 0 || readable == 0)
        return;
    ssize_t len = recv(fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
    if (len < 4)
        return;
    transfer->unseen_socket = -1;
    transfer->foreign = foreign_by(head, (size_t)len, transfer->expects_settings);
}

// Called when a connection, new or kept, is about to carry the request.
static int on_carrier(void *context, char *remote_ip, char *local_ip, int remote_port,
                      int local_port)
{
    struct http_client_transfer *transfer = context;
    long made = 0;
    (void)remote_ip;
    (void)local_ip;
    (void)remote_port;
    client_end_lookup(transfer);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &made);
    transfer->has_connected = true;
    transfer->connection = client_connection_number(transfer->client, local_port, made > 0);
    return CURL_PREREQFUNC_OK;
}

// --- options --------------------------------------------------------------------------------------

#define SET(transfer, option, value) (curl_easy_setopt((transfer)->easy, option, value) == CURLE_OK)

// NOSIGNAL: libcurl would use SIGALRM for look-ups. QUICK_EXIT: otherwise the end of a transfer waits for the thread of
// its look-up, 9 s where no resolver answers. PATH_AS_IS: the endpoint's path is sent as it is set, with dots in it.
// SUPPRESS_CONNECT_HEADERS: a proxy's answer to CONNECT is not taken for the head of the response. HEADEROPT: a proxy
// that is asked for a tunnel does not see the fields, among them the collector's key.
static bool set_transfer_rules(struct http_client_transfer *transfer)
{
    return SET(transfer, CURLOPT_PRIVATE, transfer) &&
           SET(transfer, CURLOPT_ERRORBUFFER, transfer->text) &&
           SET(transfer, CURLOPT_NOSIGNAL, 1L) && //
           SET(transfer, CURLOPT_QUICK_EXIT, 1L) &&
           SET(transfer, CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(transfer, CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(transfer, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
           SET(transfer, CURLOPT_PATH_AS_IS, 1L) &&
           SET(transfer, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
           SET(transfer, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE) &&
           SET(transfer, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(transfer, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(transfer, CURLOPT_DNS_CACHE_TIMEOUT,
               (long)(HTTP_CLIENT_NAME_TIME / NS_PER_SECOND)) &&
           SET(transfer, CURLOPT_MAXAGE_CONN, (long)(HTTP_CLIENT_IDLE_TIME / NS_PER_SECOND)) &&
           SET(transfer, CURLOPT_TCP_KEEPALIVE, 1L);
}

static bool set_callbacks(struct http_client_transfer *transfer)
{
    return SET(transfer, CURLOPT_HEADERFUNCTION, on_head_line) &&
           SET(transfer, CURLOPT_HEADERDATA, transfer) &&
           SET(transfer, CURLOPT_WRITEFUNCTION, on_body_bytes) &&
           SET(transfer, CURLOPT_WRITEDATA, transfer) &&
           SET(transfer, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) &&
           SET(transfer, CURLOPT_OPENSOCKETDATA, transfer) &&
           SET(transfer, CURLOPT_PREREQFUNCTION, on_carrier) &&
           SET(transfer, CURLOPT_PREREQDATA, transfer);
}

static long version_of(const struct http_client_request *request, bool is_tls)
{
    switch (request->version) {
    case HTTP_CLIENT_VERSION_ANY:
        return CURL_HTTP_VERSION_2TLS;
    case HTTP_CLIENT_VERSION_1_1:
        return CURL_HTTP_VERSION_1_1;
    case HTTP_CLIENT_VERSION_2:
        return is_tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
    }
    return CURL_HTTP_VERSION_1_1;
}

// With prior knowledge of HTTP/2, libcurl 7.88.1 fails at the second request on a connection; 8.14.1 does not. With ALPN
// both reuse connections.
#define PRIOR_KNOWLEDGE_REUSED_SINCE 0x080e01U

static bool is_for_one_request(const struct http_client_transfer *transfer,
                               const struct http_client_request *request)
{
    bool has_prior_knowledge = request->version == HTTP_CLIENT_VERSION_2 && !transfer->is_tls;
    return has_prior_knowledge &&
           curl_version_info(CURLVERSION_NOW)->version_num < PRIOR_KNOWLEDGE_REUSED_SINCE;
}

// An explicit empty proxy and list keep libcurl from reading the environment.
static bool set_way(struct http_client_transfer *transfer,
                    const struct http_client_request *request)
{
    long is_single = is_for_one_request(transfer, request) ? 1L : 0L;
    return SET(transfer, CURLOPT_URL, request->url) &&
           SET(transfer, CURLOPT_PROXY, request->proxy != NULL ? request->proxy : "") &&
           SET(transfer, CURLOPT_NOPROXY, "") &&
           SET(transfer, CURLOPT_HTTPPROXYTUNNEL, request->uses_tunnel ? 1L : 0L) &&
           SET(transfer, CURLOPT_HTTP_VERSION, version_of(request, transfer->is_tls)) &&
           SET(transfer, CURLOPT_FORBID_REUSE, is_single) &&
           SET(transfer, CURLOPT_FRESH_CONNECT, is_single);
}

// Without a limit for connecting, libcurl would try the first of several addresses for minutes; with one, each but the last
// has half of the time that is left. A quarter of the request's time is kept for the response.
static duration_ns connect_time(duration_ns timeout)
{
    return timeout > 0 ? timeout / 4 * 3 : CONNECT_TIME_MS * NS_PER_MS;
}

static bool set_times(struct http_client_transfer *transfer,
                      const struct http_client_request *request)
{
    duration_ns time = connect_time(request->timeout);
    return SET(transfer, CURLOPT_CONNECTTIMEOUT_MS, (long)((time + NS_PER_MS - 1) / NS_PER_MS));
}

static bool set_method(struct http_client_transfer *transfer,
                       const struct http_client_request *request)
{
    bool has_body = request->body.data != NULL;
    bool is_set = SET(transfer, CURLOPT_HTTPGET, 1L);
    if (has_body)
        is_set = is_set && SET(transfer, CURLOPT_POST, 1L) &&
                 SET(transfer, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) &&
                 SET(transfer, CURLOPT_POSTFIELDS, request->body.data);
    if (request->method != NULL)
        is_set = is_set && SET(transfer, CURLOPT_CUSTOMREQUEST, request->method);
    return is_set;
}

static void set_limits(struct http_client_transfer *transfer,
                       const struct http_client_request *request)
{
    transfer->head_max = request->head_max > 0 ? request->head_max : HTTP_CLIENT_HEAD_MAX;
    buffer_init(&transfer->body, request->body_max > 0 ? request->body_max : HTTP_CLIENT_BODY_MAX);
    transfer->skip_max = request->body_skip_max;
}

static bool set_decoded(struct http_client_transfer *transfer, CURLoption option, struct slice text)
{
    int len = 0;
    char *decoded = curl_easy_unescape(transfer->easy, text.data, (int)text.len, &len);
    bool is_set = decoded != NULL && SET(transfer, option, decoded);
    if (decoded != NULL)
        digest_wipe(decoded, (size_t)len);
    curl_free(decoded);
    return is_set;
}

static bool set_user(struct http_client_transfer *transfer, const char *userinfo)
{
    if (userinfo == NULL || userinfo[0] == '\0')
        return true;
    const char *colon = strchrnul(userinfo, ':');
    struct slice user = {.data = userinfo, .len = (size_t)(colon - userinfo)};
    struct slice password = slice_from_string(*colon == ':' ? colon + 1 : colon);
    // curl_easy_unescape() takes a length of 0 for "up to the NUL".
    bool is_set = SET(transfer, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) &&
                  SET(transfer, CURLOPT_USERNAME, "") && SET(transfer, CURLOPT_PASSWORD, "");
    if (user.len > 0)
        is_set = is_set && set_decoded(transfer, CURLOPT_USERNAME, user);
    if (password.len > 0)
        is_set = is_set && set_decoded(transfer, CURLOPT_PASSWORD, password);
    return is_set;
}

// --- header fields --------------------------------------------------------------------------------

static enum error_code add_line(struct http_client_transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->fields, line);
    if (longer == NULL)
        return ERROR_MEMORY;
    transfer->fields = longer;
    return ERROR_NONE;
}

// A line break would begin another field, and a NUL would end the text early.
static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

// libcurl writes a field without a value only if the name ends in ';'.
static enum error_code copy_field_line(struct http_client_transfer *transfer,
                                       const struct http_header *header, struct buffer *line)
{
    if (header->name.len == 0 || has_control(header->name) || has_control(header->value))
        return ERROR_USAGE;
    buffer_clear(line);
    enum error_code code = buffer_append_format(line, "%.*s%s%.*s", SLICE_ARGS(header->name),
                                                slice_trim(header->value).len > 0 ? ": " : ";",
                                                SLICE_ARGS(slice_trim(header->value)));
    if (code == ERROR_NONE)
        code = buffer_append(line, "", 1);
    if (code == ERROR_TOO_LARGE)
        code = ERROR_USAGE;
    return code == ERROR_NONE ? add_line(transfer, line->data) : code;
}

static bool names(const struct http_client_request *request, struct slice name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (slice_equals_ignoring_case(request->headers[i].name, name))
            return true;
    return false;
}

static enum error_code set_fields(struct http_client_transfer *transfer,
                                  const struct http_client_request *request)
{
    // libcurl's own: "Expect: 100-continue" would delay large bodies by a second where it is not answered.
    enum error_code code = add_line(transfer, "Expect:");
    if (code == ERROR_NONE && !names(request, SLICE("Accept")))
        code = add_line(transfer, "Accept:");
    if (code == ERROR_NONE && !names(request, SLICE("Content-Type")))
        code = add_line(transfer, "Content-Type:");
    struct buffer line;
    buffer_init(&line, FIELD_MAX);
    for (size_t i = 0; i < request->header_count && code == ERROR_NONE; i++)
        code = copy_field_line(transfer, &request->headers[i], &line);
    if (line.data != NULL)
        digest_wipe(line.data, line.capacity);
    buffer_release(&line);
    if (code == ERROR_NONE && !SET(transfer, CURLOPT_HTTPHEADER, transfer->fields))
        code = ERROR_MEMORY;
    return code;
}

// --- life -----------------------------------------------------------------------------------------

static char *copy_buffer(struct buffer *text)
{
    char *copy = memory_copy_string(text->data, text->len);
    buffer_release(text);
    return copy;
}

// "http://user:password@host:80/path" → "http://host:80".
static enum error_code copy_proxy(struct http_client_transfer *transfer, const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    struct slice authority = {.data = host, .len = strcspn(host, "/?#")};
    const char *at = memrchr(authority.data, '@', authority.len);
    const char *start = at != NULL ? at + 1 : host;
    struct buffer text;
    buffer_init(&text, FIELD_MAX);
    enum error_code code = buffer_append_format(&text, "%.*s%.*s", (int)(host - url), url,
                                                (int)(host + authority.len - start), start);
    transfer->proxy = code == ERROR_NONE ? copy_buffer(&text) : NULL;
    buffer_release(&text);
    return transfer->proxy != NULL ? ERROR_NONE : ERROR_MEMORY;
}

// "http://host:80/path" → "host:80".
static enum error_code copy_peer(struct http_client_transfer *transfer,
                                 const struct http_client_request *request)
{
    const char *start = strstr(request->url, "://");
    if (start == NULL)
        return ERROR_USAGE;
    start += 3;
    transfer->is_tls = strncasecmp(request->url, "https:", 6) == 0;
    if (request->proxy != NULL && copy_proxy(transfer, request->proxy) != ERROR_NONE)
        return ERROR_MEMORY;
    transfer->looks_up_late =
        request->proxy != NULL && strncasecmp(request->proxy, "socks5://", 9) == 0;
    struct buffer text;
    buffer_init(&text, FIELD_MAX);
    enum error_code code =
        buffer_append_format(&text, "%.*s%s%s", (int)strcspn(start, "/?#"), start,
                             transfer->proxy != NULL ? " through proxy " : "",
                             transfer->proxy != NULL ? transfer->proxy : "");
    transfer->peer = code == ERROR_NONE ? copy_buffer(&text) : NULL;
    buffer_release(&text);
    return transfer->peer != NULL ? ERROR_NONE : ERROR_MEMORY;
}

enum error_code transfer_create(struct http_client *client,
                                const struct http_client_request *request,
                                struct http_client_transfer **out)
{
    struct http_client_transfer *transfer = memory_allocate_array(1, sizeof *transfer);
    if (transfer == NULL)
        return ERROR_MEMORY;
    transfer->client = client;
    transfer->state = TRANSFER_NEW;
    transfer->timeout = request->timeout;
    transfer->unseen_socket = -1;
    transfer->failed_allocations = client_failed_allocations();
    transfer->sent_at = timestamp_monotonic();
    set_limits(transfer, request);
    transfer->easy = curl_easy_init();
    enum error_code code = transfer->easy != NULL ? copy_peer(transfer, request) : ERROR_MEMORY;
    transfer->expects_settings =
        request->version == HTTP_CLIENT_VERSION_2 && !transfer->is_tls && request->proxy == NULL;
    if (code == ERROR_NONE &&
        !(set_transfer_rules(transfer) && set_callbacks(transfer) && set_way(transfer, request) &&
          set_times(transfer, request) && set_method(transfer, request) &&
          set_user(transfer, request->userinfo)))
        code = ERROR_MEMORY;
    if (code == ERROR_NONE)
        code = set_fields(transfer, request);
    if (code != ERROR_NONE) {
        transfer_free(transfer);
        return code;
    }
    *out = transfer;
    return ERROR_NONE;
}

void transfer_free(struct http_client_transfer *transfer)
{
    assert(transfer->list == NULL && transfer->pool == NULL);
    if (transfer->easy != NULL)
        curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->fields);
    net_timer_destroy(transfer->deadline);
    buffer_release(&transfer->body);
    memory_free(transfer->peer);
    memory_free(transfer->proxy);
    memory_free(transfer);
}

static bool set_blob(struct http_client_transfer *transfer, CURLoption option,
                     const struct buffer *text)
{
    struct curl_blob blob = {.data = text->data, .len = text->len, .flags = CURL_BLOB_NOCOPY};
    return text->len == 0 || SET(transfer, option, &blob);
}

// A proxy with TLS is verified against the system's authorities, never those that are set for the collector: it is
// another server. The system's bundle is named by its path: libcurl then keeps one parsed copy for all connections of a pool, while of
// a blob each connection has its own.
bool transfer_use_pool(struct http_client_transfer *transfer, struct client_pool *pool)
{
    const struct net_tls_client *tls = pool->tls;
    if (!SET(transfer, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket) ||
        !SET(transfer, CURLOPT_CLOSESOCKETDATA, pool))
        return false;
    if (tls == NULL)
        return true;
    if (tls->bundle != NULL && !(SET(transfer, CURLOPT_CAINFO, tls->bundle) &&
                                 SET(transfer, CURLOPT_PROXY_CAINFO, tls->bundle)))
        return false;
    return SET(transfer, CURLOPT_CAPATH, NULL) &&
           set_blob(transfer, CURLOPT_CAINFO_BLOB, &tls->authorities) &&
           set_blob(transfer, CURLOPT_SSLCERT_BLOB, &tls->certificate) &&
           set_blob(transfer, CURLOPT_SSLKEY_BLOB, &tls->key);
}

// --- the response ---------------------------------------------------------------------------------

static bool is_reused(const struct http_client_transfer *transfer)
{
    long made = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &made);
    return transfer->has_connected && made == 0;
}

// libcurl itself repeats what fails before the request is sent whole, and most of the rest.
bool transfer_must_repeat(struct http_client_transfer *transfer, CURLcode code)
{
    long status = 0;
    if (transfer->is_repeated || !is_reused(transfer))
        return false;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    // CURLE_HTTP2: among others, a stream that is opened when the server has announced the end of the connection.
    bool is_closed =
        transfer->head_len == 0 && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
                                    code == CURLE_GOT_NOTHING || code == CURLE_HTTP2);
    bool has_timed_out = code == CURLE_OK && status == STATUS_REQUEST_TIMEOUT;
    if (!(is_closed || has_timed_out) || !SET(transfer, CURLOPT_FRESH_CONNECT, 1L))
        return false;
    transfer->is_repeated = true;
    transfer->has_connected = transfer->is_head_complete = transfer->is_body_omitted = false;
    transfer->connection = 0;
    transfer->head_len = 0;
    transfer->refusal = NULL;
    transfer->text[0] = '\0';
    buffer_clear(&transfer->body);
    return true;
}

static const char *reason_text(const struct http_client_transfer *transfer, CURLcode code)
{
    return transfer->text[0] != '\0' ? transfer->text : curl_easy_strerror(code);
}

static void describe_connect_failure(struct http_client_transfer *transfer, CURLcode code)
{
    long number = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
    if (transfer->proxy != NULL) { // libcurl's text names what could not be connected to
        error_set(&transfer->response.error, ERROR_NETWORK, "%s: %s", transfer->peer,
                  reason_text(transfer, code));
        return;
    }
    error_set(&transfer->response.error, ERROR_NETWORK, "connect to %s: %s", transfer->peer,
              number != 0 ? strerror((int)number) : reason_text(transfer, code));
}

// A server of HTTP/2 sends SETTINGS at once. Many with TLS close a connection that begins with anything else.
static const char *tls_hint(const struct http_client_transfer *transfer)
{
    bool is_mute = transfer->expects_settings && transfer->unseen_socket >= 0;
    return is_mute ? ": https:// instead of http://?" : "";
}

static void describe_end(struct http_client_transfer *transfer)
{
    error_set(&transfer->response.error, ERROR_CLOSED, "%s closed the connection %s%s",
              transfer->peer,
              transfer->head_len > 0 ? "in the middle of its answer" : "without an answer",
              tls_hint(transfer));
}

// Up to 7.88 at least, libcurl fails to send the rest of a body for which the server has already ended the stream, in
// good order (RFC 9113 8.1), and drops the answer if it has not yet reported it. It says nothing more about it, unlike
// in the case of a stream that is reset with an error.
static bool is_interrupted(const struct http_client_transfer *transfer, CURLcode code)
{
    return code == CURLE_HTTP2_STREAM && transfer->text[0] == '\0';
}

// libcurl says "CONNECT tunnel failed, response 407". True if it is described.
static bool describe_refused_tunnel(struct http_client_transfer *transfer)
{
    long status = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (transfer->proxy == NULL || transfer->has_connected || status < 300 || status > 999)
        return false;
    transfer->response.proxy_status = (int)status;
    error_set(&transfer->response.error, ERROR_NETWORK, "proxy %s refuses the tunnel: %d %s",
              transfer->proxy, (int)status, http_status_reason((int)status));
    return true;
}

// Whose certificate was not accepted: the collector's, or that of a proxy with TLS.
static void describe_certificate(struct http_client_transfer *transfer, CURLcode code)
{
    long proxy_result = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_PROXY_SSL_VERIFYRESULT, &proxy_result);
    bool is_of_proxy = transfer->proxy != NULL && proxy_result != 0;
    error_set(&transfer->response.error, ERROR_NETWORK, "%s%s: %s", is_of_proxy ? "proxy " : "",
              is_of_proxy ? transfer->proxy : transfer->peer, reason_text(transfer, code));
}

// OpenSSL's words for an alert of TLS 1.3 (RFC 8446 6.2), which comes after the client's side of the handshake is over.
static bool wants_certificate(const struct http_client_transfer *transfer)
{
    return strstr(transfer->text, "alert certificate required") != NULL;
}

// OpenSSL's words for an answer that is no TLS record.
static bool is_no_tls(const struct http_client_transfer *transfer, CURLcode code)
{
    return code == CURLE_SSL_CONNECT_ERROR &&
           strstr(transfer->text, "wrong version number") != NULL;
}

// libcurl says that it is out of memory, too, when a line of a head is longer than it allows (100 KB; 16 KB of a proxy).
static bool is_line_too_long(const struct http_client_transfer *transfer, CURLcode code)
{
    return code == CURLE_OUT_OF_MEMORY && !transfer->is_out_of_memory &&
           client_failed_allocations() == transfer->failed_allocations;
}

static void describe_foreign(struct http_client_transfer *transfer)
{
    struct http_client_response *response = &transfer->response;
    switch (transfer->foreign) {
    case FOREIGN_HTTP2:
        response->speaks_http2 = true;
        error_set(&response->error, ERROR_INVALID, "%s uses HTTP/2", transfer->peer);
        break;
    case FOREIGN_TLS:
        error_set(&response->error, ERROR_NETWORK, "%s uses TLS: https:// instead of http://?",
                  transfer->peer);
        break;
    case FOREIGN_NONE:
    case FOREIGN_HTTP1:
    case FOREIGN_OTHER:
        error_set(&response->error, ERROR_INVALID, "answer of %s: %s where HTTP/2 was expected",
                  transfer->peer,
                  transfer->foreign == FOREIGN_HTTP1 ? "HTTP/1.1" : "another protocol");
        break;
    }
}

// What libcurl reports less clearly, or not. True if it is described.
static bool describe_special_case(struct http_client_transfer *transfer, CURLcode code)
{
    struct error *error = &transfer->response.error;
    if (transfer->foreign != FOREIGN_NONE) {
        describe_foreign(transfer);
        return true;
    }
    if (is_interrupted(transfer, code)) {
        error_set(error, ERROR_CLOSED, "%s ended the request before it was sent in full",
                  transfer->peer);
        return true;
    }
    if (describe_refused_tunnel(transfer))
        return true;
    if (is_line_too_long(transfer, code)) {
        error_set(error, ERROR_INVALID, "answer of %s: its head is too long", transfer->peer);
        return true;
    }
    if (wants_certificate(transfer)) {
        transfer->response.wants_certificate = true;
        error_set(error, ERROR_NETWORK, "%s wants a client certificate", transfer->peer);
        return true;
    }
    if (is_no_tls(transfer, code)) {
        error_set(error, ERROR_NETWORK, "%s does not use TLS: http:// instead of https://?",
                  transfer->peer);
        return true;
    }
    return false;
}

static void describe_failure(struct http_client_transfer *transfer, CURLcode code)
{
    struct error *error = &transfer->response.error;
    if (describe_special_case(transfer, code))
        return;
    switch ((int)code) { // the list is long, and grows
    case CURLE_OK:       // the end of a head that is not complete
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        describe_end(transfer);
        return;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        error_set(error, ERROR_MEMORY, "%s: out of memory", transfer->peer);
        return;
    case CURLE_OPERATION_TIMEDOUT:
        transfer_time_out(transfer, connect_time(transfer->timeout));
        return;
    case CURLE_COULDNT_CONNECT:
        describe_connect_failure(transfer, code);
        return;
    case CURLE_UNSUPPORTED_PROTOCOL: // HTTP/0.9, which is any text
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_WRITE_ERROR:
    case CURLE_HTTP2:
    case CURLE_BAD_CONTENT_ENCODING:
        error_set(error, ERROR_INVALID, "answer of %s: %s", transfer->peer,
                  transfer->refusal != NULL ? transfer->refusal : reason_text(transfer, code));
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
        describe_certificate(transfer, code);
        return;
    default:
        error_set(error, ERROR_NETWORK, "%s: %s%s", transfer->peer, reason_text(transfer, code),
                  code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ? tls_hint(transfer) : "");
    }
}

static void fill_response(struct http_client_transfer *transfer)
{
    transfer->response = (struct http_client_response){
        .has_connected = transfer->has_connected,
        .connection = transfer->connection,
        .age = transfer->age,
        .transfer = transfer,
    };
}

static int version_number(const struct http_client_transfer *transfer)
{
    long version = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
    switch (version) {
    case CURL_HTTP_VERSION_1_0:
        return 10;
    case CURL_HTTP_VERSION_1_1:
        return 11;
    case CURL_HTTP_VERSION_2_0:
        return 20;
    default:
        return 0;
    }
}

// True if the response has all of the body that it announced. What follows it, an HTTP/2 server's RST_STREAM for the rest
// of the request (RFC 9113 8.1: "Clients MUST NOT discard responses" for that) or the end of the connection, is no
// error of the response, but libcurl may report it as one.
static bool is_whole(const struct http_client_transfer *transfer)
{
    curl_off_t announced = -1;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    return transfer->is_head_complete && transfer->refusal == NULL && announced >= 0 &&
           (size_t)announced == transfer->body.len;
}

void transfer_conclude(struct http_client_transfer *transfer, CURLcode code)
{
    struct http_client_response *response = &transfer->response;
    long status = 0;
    fill_response(transfer);
    if (transfer->is_out_of_memory)
        code = CURLE_OUT_OF_MEMORY;
    // The status decides; a body that is too long to read does not matter. Without skip_left, it is what ended the transfer.
    bool is_cut = transfer->is_body_omitted && transfer->skip_left == 0;
    if (transfer->is_head_complete && (is_cut || is_interrupted(transfer, code)))
        code = CURLE_OK;
    if (code != CURLE_OUT_OF_MEMORY && is_whole(transfer))
        code = CURLE_OK;
    response->version = version_number(transfer);
    if (code != CURLE_OK || !transfer->is_head_complete) {
        describe_failure(transfer, code);
        response->is_interrupted = is_interrupted(transfer, code);
        return;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    response->status = (int)status;
    response->is_body_omitted = transfer->is_body_omitted;
    if (!transfer->is_body_omitted)
        response->body = buffer_slice(&transfer->body);
}

void transfer_fail(struct http_client_transfer *transfer, enum error_code code, const char *reason)
{
    fill_response(transfer);
    error_set(&transfer->response.error, code, "%s: %s", transfer->peer, reason);
}

void transfer_fail_endless(struct http_client_transfer *transfer)
{
    fill_response(transfer);
    struct error *error = &transfer->response.error;
    if (transfer->proxy != NULL && !transfer->has_connected)
        error_set(error, ERROR_NETWORK, "proxy %s sends without end", transfer->proxy);
    else
        error_set(error, ERROR_NETWORK, "%s sends without end", transfer->peer);
}

void transfer_time_out(struct http_client_transfer *transfer, duration_ns limit)
{
    char text[TIMESTAMP_TEXT_SIZE];
    const char *doing = "no answer from";
    fill_response(transfer);
    if (transfer->state <= TRANSFER_STARTING && !transfer->looks_up_late)
        doing = "no address for";
    else if (!transfer->has_connected)
        doing = "no connection to";
    error_set(&transfer->response.error, ERROR_TIMEOUT, "%s %s within %s", doing, transfer->peer,
              duration_format_short(limit, text));
}

static struct slice find_response_field(const struct http_client_response *response,
                                        const char *name, unsigned origin)
{
    const struct http_client_transfer *transfer = response->transfer;
    struct curl_header *field;
    if (response->status == 0 ||
        curl_easy_header(transfer->easy, name, 0, origin, -1, &field) != CURLHE_OK)
        return SLICE_EMPTY;
    return slice_from_string(field->value);
}

struct slice http_client_header(const struct http_client_response *response, const char *name)
{
    return find_response_field(response, name, CURLH_HEADER);
}

struct slice http_client_trailer(const struct http_client_response *response, const char *name)
{
    return find_response_field(response, name, CURLH_TRAILER);
}
