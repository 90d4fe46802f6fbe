// One connection's TLS: records on a non-blocking socket.
//
// Output of mbedTLS is written to a buffer first, and from there to the socket. So mbedTLS never has to wait for the
// socket (which would require the same bytes again in the next call), a whole handshake flight is sent at once, and
// only reads can block.
#include <errno.h>
#include <mbedtls/net_sockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ghatrace/base/memory.h"
#include "tls_private.h"

#define RECORD_MAX ((size_t)16384) // RFC 8446 5.1
// Enough for a record, or for a handshake flight with a long certificate chain.
#define UNSENT_MAX ((size_t)256 << 10)

// --- below mbedTLS: the socket --------------------------------------------------------------------

static int write_record(void *context, const unsigned char *data, size_t len)
{
    struct tls_session *session = context;

    if (buffer_append(&session->unsent, data, len) != ERROR_NONE)
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    return (int)len;
}

static int receive_record(void *context, unsigned char *data, size_t room)
{
    const struct tls_session *session = context;
    ssize_t result;

    do
        result = recv(session->fd, data, room, 0);
    while (result < 0 && errno == EINTR);
    if (result >= 0)
        return (int)result;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return MBEDTLS_ERR_SSL_WANT_READ;
    return errno == ECONNRESET ? MBEDTLS_ERR_NET_CONN_RESET : MBEDTLS_ERR_NET_RECV_FAILED;
}

// --- above mbedTLS: the session -------------------------------------------------------------------

static enum net_io break_off(struct tls_session *session, int code)
{
    uint32_t flags = mbedtls_ssl_get_verify_result(&session->ssl);

    session->is_broken = true;
    // UINT32_MAX: no certificate was verified.
    if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED && flags != 0 && flags != UINT32_MAX)
        tls_describe_verification(flags, session->reason, sizeof session->reason);
    else
        tls_describe(code, session->reason, sizeof session->reason);
    return NET_IO_FAILED;
}

// DONE: all is written to the socket.
static enum net_io flush(struct tls_session *session)
{
    struct buffer *unsent = &session->unsent;

    while (unsent->len > 0) {
        ssize_t result = send(session->fd, unsent->data, unsent->len, MSG_NOSIGNAL);
        if (result >= 0) {
            buffer_consume(unsent, (size_t)result);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return NET_IO_AGAIN;
        } else if (errno != EINTR) {
            if (!session->is_broken) // else the reason is set, and these bytes are its alert
                (void)snprintf(session->reason, sizeof session->reason, "%s", strerror(errno));
            session->is_broken = true;
            return NET_IO_FAILED;
        }
    }
    buffer_release(unsent); // idle connections keep no buffer
    return NET_IO_DONE;
}

// Not an error: a new session ticket was received, and reading goes on.
static bool is_new_session_ticket(int code)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
    return code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
#else
    (void)code;
    return false;
#endif
}

// A client may request records of 512 to 4096 bytes (RFC 6066 4). mbedTLS accepts this but does not fragment the
// Certificate message to that length, so the handshake fails. If it is declined, the client accepts records of any
// length.
static void decline_short_records(mbedtls_ssl_context *ssl)
{
    mbedtls_ssl_session *negotiated = ssl->MBEDTLS_PRIVATE(session_negotiate);

    if (ssl->MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_HELLO && negotiated != NULL)
        negotiated->MBEDTLS_PRIVATE(mfl_code) = MBEDTLS_SSL_MAX_FRAG_LEN_NONE;
}

// mbedtls_ssl_handshake() with a check between its steps.
static int run_handshake_steps(mbedtls_ssl_context *ssl)
{
    int result = 0;

    while (result == 0 && ssl->MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
        decline_short_records(ssl);
        result = mbedtls_ssl_handshake_step(ssl);
    }
    return result;
}

static enum net_io tls_handshake(int fd, void *state)
{
    struct tls_session *session = state;
    int result;

    (void)fd;
    do
        result = run_handshake_steps(&session->ssl);
    while (is_new_session_ticket(result));
    enum net_io flushed = flush(session); // also on failure: there may be an alert
    if (result == MBEDTLS_ERR_SSL_WANT_READ)
        return flushed == NET_IO_FAILED ? NET_IO_FAILED : NET_IO_AGAIN;
    if (result != 0)
        return break_off(session, result);
    return flushed == NET_IO_FAILED ? NET_IO_FAILED : NET_IO_DONE;
}

// Reads until there is no more input or no room. The result that ended it is kept for the next call.
static size_t read_decrypted(struct tls_session *session, char *data, size_t room)
{
    size_t len = 0;

    while (len < room && !session->has_ended && !session->is_broken) {
        int result = mbedtls_ssl_read(&session->ssl, (unsigned char *)data + len, room - len);
        if (result > 0)
            len += (size_t)result;
        else if (result == MBEDTLS_ERR_SSL_WANT_READ)
            break;
        else if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
            session->has_ended = true;
        else if (result == 0) { // RFC 8446 6.1: without close_notify, it may be truncated
            session->is_broken = true;
            (void)snprintf(session->reason, sizeof session->reason,
                           "cut off, the stream has no tls end");
        } else if (!is_new_session_ticket(result))
            (void)break_off(session, result);
    }
    return len;
}

static enum net_io tls_receive(int fd, void *state, char *data, size_t room, size_t *received)
{
    struct tls_session *session = state;
    size_t len = read_decrypted(session, data, room);

    (void)fd;
    session->may_hold_input = len == room;
    (void)flush(session); // mbedTLS may have written a response or an alert
    if (len > 0) {
        *received = len;
        return NET_IO_DONE;
    }
    if (session->is_broken)
        return NET_IO_FAILED;
    return session->has_ended ? NET_IO_END : NET_IO_AGAIN;
}

// A part may be larger than a record; each record waits until the previous one is written to the socket.
static enum net_io write_part(struct tls_session *session, const struct iovec *part, size_t *sent)
{
    size_t offset = 0;

    while (offset < part->iov_len) {
        size_t len = part->iov_len - offset < RECORD_MAX ? part->iov_len - offset : RECORD_MAX;
        int result =
            mbedtls_ssl_write(&session->ssl, (const unsigned char *)part->iov_base + offset, len);
        if (result < 0)
            return break_off(session, result);
        offset += (size_t)result;
        *sent += (size_t)result;
        enum net_io flushed = flush(session);
        if (flushed != NET_IO_DONE)
            return flushed;
    }
    return NET_IO_DONE;
}

static enum net_io tls_send(int fd, void *state, const struct iovec *parts, size_t count,
                            size_t *sent)
{
    struct tls_session *session = state;
    enum net_io result = session->is_broken ? NET_IO_FAILED : flush(session);

    (void)fd;
    *sent = 0;
    for (size_t i = 0; i < count && result == NET_IO_DONE; i++)
        result = write_part(session, &parts[i], sent);
    return result == NET_IO_AGAIN && *sent > 0 ? NET_IO_DONE : result;
}

static enum net_io tls_finish(int fd, void *state)
{
    struct tls_session *session = state;

    if (session->is_broken)
        return NET_IO_FAILED;
    if (!session->is_finishing) {
        session->is_finishing = true;
        int result = mbedtls_ssl_close_notify(&session->ssl);
        if (result != 0)
            return break_off(session, result);
    }
    enum net_io flushed = flush(session);
    if (flushed != NET_IO_DONE)
        return flushed;
    return shutdown(fd, SHUT_WR) == 0 ? NET_IO_DONE : NET_IO_FAILED;
}

static bool tls_holds_input(const void *state)
{
    const struct tls_session *session = state;

    return session->may_hold_input || session->has_ended || session->is_broken;
}

static bool tls_holds_output(const void *state)
{
    const struct tls_session *session = state;

    return session->unsent.len > 0 && !session->is_broken;
}

static const char *tls_reason(const void *state)
{
    const struct tls_session *session = state;

    return session->is_broken ? session->reason : NULL;
}

static void tls_release(void *state)
{
    struct tls_session *session = state;

    if (session == NULL)
        return;
    mbedtls_ssl_free(&session->ssl);
    buffer_release(&session->unsent);
    net_tls_unref(session->tls); // after the members that point into it
    memory_free(session);
}

const struct net_transport net_transport_tls = {
    .handshake = tls_handshake,
    .receive = tls_receive,
    .send = tls_send,
    .finish = tls_finish,
    .holds_input = tls_holds_input,
    .holds_output = tls_holds_output,
    .reason = tls_reason,
    .release = tls_release,
};

// --- creating a session ---------------------------------------------------------------------------

enum error_code tls_session_create(struct net_tls *tls, struct tls_session **out,
                                   struct error *error)
{
    struct tls_session *session = memory_allocate_array(1, sizeof *session);

    if (session == NULL)
        return error_set(error, ERROR_MEMORY, "tls: out of memory");
    net_tls_ref(tls);
    session->tls = tls;
    session->fd = -1;
    buffer_init(&session->unsent, UNSENT_MAX);
    mbedtls_ssl_init(&session->ssl);
    int result = mbedtls_ssl_setup(&session->ssl, &tls->config);
    if (result != 0) {
        tls_release(session);
        return error_set(error, ERROR_MEMORY, "tls: out of memory");
    }
    mbedtls_ssl_set_bio(&session->ssl, session, write_record, receive_record, NULL);
    *out = session;
    return ERROR_NONE;
}
