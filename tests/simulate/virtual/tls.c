// The client's side of TLS for requests of the driver: deterministic, as its random bytes come from the seed, too.
#include <mbedtls/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "virtual.h"

struct tls_session {
    mbedtls_ssl_config config;
    mbedtls_ssl_context context;
    struct object *stream;
    struct buffer incoming; // not deciphered yet
    struct buffer outgoing; // waits for the end of the handshake
    bool is_ready, has_failed;
};

static int random_for_tls(void *context, unsigned char *bytes, size_t len)
{
    (void)context;
    random_bytes(bytes, len);
    return 0;
}

static int send_ciphered(void *context, const unsigned char *data, size_t len)
{
    struct tls_session *session = context;

    object_receive(session->stream, data, len);
    return (int)len;
}

static int receive_ciphered(void *context, unsigned char *data, size_t room)
{
    struct tls_session *session = context;
    size_t len = buffer_len(&session->incoming);

    if (len == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (len > room)
        len = room;
    memcpy(data, session->incoming.data + session->incoming.start, len);
    buffer_take(&session->incoming, len);
    return (int)len;
}

struct tls_session *tls_begin(struct object *stream)
{
    struct tls_session *session = calloc(1, sizeof *session);

    if (session == NULL)
        give_up("out of memory", sizeof *session);
    session->stream = stream;
    mbedtls_ssl_config_init(&session->config);
    mbedtls_ssl_init(&session->context);
    if (mbedtls_ssl_config_defaults(&session->config, MBEDTLS_SSL_IS_CLIENT,
                                    MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) != 0)
        give_up("TLS defaults", 0);
    mbedtls_ssl_conf_authmode(&session->config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(&session->config, random_for_tls, NULL);
    if (mbedtls_ssl_setup(&session->context, &session->config) != 0)
        give_up("a TLS client", 0);
    mbedtls_ssl_set_bio(&session->context, session, send_ciphered, receive_ciphered, NULL);
    return session;
}

void tls_end(struct tls_session *session)
{
    if (session == NULL)
        return;
    mbedtls_ssl_free(&session->context);
    mbedtls_ssl_config_free(&session->config);
    buffer_take(&session->incoming, buffer_len(&session->incoming));
    buffer_take(&session->outgoing, buffer_len(&session->outgoing));
    free(session);
}

static void shake_hands(struct tls_session *session)
{
    int code = mbedtls_ssl_handshake(&session->context);

    session->is_ready = code == 0;
    session->has_failed = code != 0 && code != MBEDTLS_ERR_SSL_WANT_READ;
    if (!session->is_ready)
        return;
    const mbedtls_x509_crt *certificate = mbedtls_ssl_get_peer_cert(&session->context);
    if (certificate != NULL)
        report('v', session->stream->id, certificate->raw.p, certificate->raw.len);
}

static void send_waiting(struct tls_session *session)
{
    while (!session->has_failed && buffer_len(&session->outgoing) > 0) {
        const char *data = session->outgoing.data + session->outgoing.start;
        int sent = mbedtls_ssl_write(&session->context, (const unsigned char *)data,
                                     buffer_len(&session->outgoing));
        session->has_failed = sent <= 0;
        if (sent > 0)
            buffer_take(&session->outgoing, (size_t)sent);
    }
}

static void decipher(struct tls_session *session, struct buffer *plain)
{
    unsigned char piece[4096];
    int len;

    while ((len = mbedtls_ssl_read(&session->context, piece, sizeof piece)) > 0)
        buffer_add(plain, piece, (size_t)len);
    session->has_failed =
        len != MBEDTLS_ERR_SSL_WANT_READ && len != 0 && len != MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY;
}

bool tls_send(struct tls_session *session, const void *data, size_t len)
{
    buffer_add(&session->outgoing, data, len);
    if (!session->is_ready)
        shake_hands(session);
    if (session->is_ready)
        send_waiting(session);
    return !session->has_failed;
}

bool tls_receive(struct tls_session *session, const struct iovec *parts, size_t count,
                 struct buffer *plain)
{
    for (size_t i = 0; i < count; i++)
        buffer_add(&session->incoming, parts[i].iov_base, parts[i].iov_len);
    if (!tls_send(session, NULL, 0))
        return false;
    if (session->is_ready)
        decipher(session, plain);
    return !session->has_failed;
}
