// IP addresses in certificates, which mbedTLS 2.28 does not compare by itself.
#include <arpa/inet.h>
#include <string.h>

#include "tls_private.h"

// RFC 5280 4.2.1.6: GeneralName, choice iPAddress [7]: 4 or 16 bytes in network order.
#define TAG_IP_ADDRESS (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7)

void tls_address_parse(const char *host, struct tls_address *address)
{
    address->len = 0;
    if (inet_pton(AF_INET, host, address->bytes) == 1)
        address->len = 4;
    else if (inet_pton(AF_INET6, host, address->bytes) == 1)
        address->len = 16;
}

bool tls_address_is_named_by(const struct tls_address *address, const mbedtls_x509_crt *certificate)
{
    for (const mbedtls_x509_sequence *name = &certificate->subject_alt_names; name != NULL;
         name = name->next) {
        if (name->buf.tag == TAG_IP_ADDRESS && name->buf.len == address->len &&
            memcmp(name->buf.p, address->bytes, address->len) == 0)
            return true;
    }
    return false;
}
