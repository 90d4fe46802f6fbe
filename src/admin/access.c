// Access control of the admin listener.
#include "access.h"

#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/net/address.h"
#include "ghatrace/webhook/secrets.h"

#define CREDENTIALS_MAX 1024 // name, colon and token, decoded

// Compares digests, so that the response time reveals nothing about the token, not even its length.
static bool is_valid_token(struct ingress_secrets *tokens, struct slice shown)
{
    uint8_t expected[SHA256_SIZE], actual[SHA256_SIZE];
    bool is_one = false;

    digest_sha256(shown, actual);
    struct secret_set *set = secrets_ref(tokens);
    for (size_t i = 0; i < set->count; i++) {
        digest_sha256(set->items[i], expected);
        is_one |= digest_equals_constant_time(expected, actual, SHA256_SIZE);
    }
    secrets_unref(set);
    digest_wipe(actual, sizeof actual);
    return is_one && shown.len > 0;
}

// RFC 7617: base64 of "name:password"; the password is the token, and the name is ignored.
static bool is_basic(struct ingress_secrets *tokens, struct slice encoded)
{
    char text[CREDENTIALS_MAX];
    size_t len;

    if (!base64_decode(encoded, text, sizeof text, &len))
        return false;
    struct slice pair = {text, len};
    ptrdiff_t colon = slice_find(pair, SLICE(":"));
    bool is_one =
        colon >= 0 &&
        is_valid_token(tokens, (struct slice){pair.data + colon + 1, pair.len - (size_t)colon - 1});
    digest_wipe(text, sizeof text);
    return is_one;
}

static bool has_token(struct ingress_secrets *tokens, const struct http_head *head)
{
    size_t count;
    struct slice field = http_head_get(head, SLICE("authorization"), &count);
    ptrdiff_t blank = slice_find(field, SLICE(" "));

    if (count != 1 || blank < 0)
        return false;
    struct slice scheme = {field.data, (size_t)blank};
    struct slice rest = slice_trim((struct slice){field.data + blank, field.len - (size_t)blank});
    if (slice_equals_ignoring_case(scheme, SLICE("Bearer")))
        return is_valid_token(tokens, rest);
    return slice_equals_ignoring_case(scheme, SLICE("Basic")) && is_basic(tokens, rest);
}

static bool is_loopback_ip(struct slice text)
{
    static const uint8_t v6[16] = {[15] = 1};
    struct net_ip ip;

    if (!net_ip_parse(text, &ip))
        return false;
    return net_ip_is_v4(&ip) ? ip.bytes[12] == 127 : memcmp(ip.bytes, v6, sizeof v6) == 0;
}

// "localhost:8081", "127.0.0.1:8081", "[::1]:8081", each also without a port.
static bool names_loopback(struct slice host)
{
    ptrdiff_t end = slice_find(host, SLICE("]"));

    if (slice_starts_with(host, SLICE("["))) {
        bool is_whole = end > 0 && ((size_t)end + 1 == host.len || host.data[end + 1] == ':');
        return is_whole && is_loopback_ip((struct slice){host.data + 1, (size_t)end - 1});
    }
    ptrdiff_t colon = slice_find(host, SLICE(":"));
    if (colon >= 0)
        host.len = (size_t)colon;
    return slice_equals_ignoring_case(host, SLICE("localhost")) || is_loopback_ip(host);
}

enum admin_verdict admin_access_judge(const struct admin_access *access,
                                      const struct http_head *head)
{
    if (access->tokens != NULL)
        return has_token(access->tokens, head) ? ADMIN_MAY : ADMIN_WANTS_TOKEN;
    if (access->has_client_certificates)
        return ADMIN_MAY;
    if (!access->is_loopback)
        return ADMIN_CLOSED;
    return names_loopback(head->host) ? ADMIN_MAY : ADMIN_WRONG_HOST;
}
