// What mbedTLS reports, in words that fit a log line.
#include <mbedtls/error.h>
#include <stdio.h>
#include <string.h>

#include "tls_private.h"

void tls_describe(int code, char *text, size_t size)
{
    switch (code) {
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
        (void)snprintf(text, size, "what came is not tls (plain http, perhaps)");
        return;
#ifdef MBEDTLS_ERR_SSL_BAD_HS_CLIENT_HELLO // before version 3
    case MBEDTLS_ERR_SSL_BAD_HS_CLIENT_HELLO:
        (void)snprintf(text, size, "what came is no greeting of tls (plain http, perhaps)");
        return;
#endif
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
        (void)snprintf(text, size, "the client has shown no certificate");
        return;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        (void)snprintf(text, size, "the other side refused, by a tls alert");
        return;
    case MBEDTLS_ERR_SSL_CONN_EOF:
        (void)snprintf(text, size, "the other side closed during the handshake");
        return;
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
        (void)snprintf(text, size, "out of memory");
        return;
    default:
        mbedtls_strerror(code, text, size);
    }
}

// mbedTLS writes one sentence a line.
void tls_describe_verification(uint32_t flags, char *text, size_t size)
{
    char lines[512];
    size_t len = 0;

    text[0] = '\0';
    if (mbedtls_x509_crt_verify_info(lines, sizeof lines, "", flags) < 0)
        (void)snprintf(lines, sizeof lines, "the certificate is not valid\n");
    for (char *line = lines; *line != '\0' && len < size;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        int written = snprintf(text + len, size - len, "%s%s", len > 0 ? "; " : "", line);
        if (written < 0 || end == NULL)
            return;
        len += (size_t)written;
        line = end + 1;
    }
}
