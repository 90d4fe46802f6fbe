// The head of a request: which encoding it has, and what its sender may do.
#include "access.h"

#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/webhook/secrets.h"

#define TRACES_PATH "/v1/traces" // OTLP specification, "OTLP/HTTP Request"

const char *const receiver_role_names[RECEIVER_ROLES] = {RECEIVER_ROLE_LIST(LIST_NAME)};

// --- tokens ---------------------------------------------------------------------------------------

// "arc ", with the blank that follows it.
static struct slice prefix_of_role(enum receiver_role role)
{
    return role == RECEIVER_ARC ? SLICE("arc ") : SLICE("job ");
}

// RFC 6750 2.1: b64token.
static bool is_token_character(char c)
{
    return ascii_is_letter(c) || ascii_is_digit(c) || memchr("-._~+/=", c, 7) != NULL;
}

static bool is_bearer_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_token_character(text.data[i]))
            return false;
    return text.len > 0;
}

static bool read_role(struct slice line, enum receiver_role *role, struct slice *rest)
{
    for (size_t i = 0; i < RECEIVER_ROLES; i++) {
        struct slice prefix = prefix_of_role((enum receiver_role)i);
        if (!slice_starts_with(line, prefix))
            continue;
        *role = (enum receiver_role)i;
        *rest = slice_skip(line, prefix.len);
        return true;
    }
    return false;
}

enum error_code receiver_read_token(struct slice line, enum receiver_role *role,
                                    struct slice *token, struct error *error)
{
    if (!read_role(line, role, token))
        return error_set(error, ERROR_USAGE, "want \"arc TOKEN\" or \"job TOKEN\"");
    if (!is_bearer_token(*token))
        return error_set(error, ERROR_USAGE,
                         "a token consists of letters, digits and - . _ ~ + / =, after one blank");
    if (token->len < RECEIVER_TOKEN_LEAST)
        return error_set(error, ERROR_USAGE, "the token has fewer than %d characters",
                         RECEIVER_TOKEN_LEAST);
    return ERROR_NONE;
}

// Compares digests with all tokens, so that the response time reveals nothing about them.
static bool find_role(struct ingress_secrets *tokens, struct slice shown, enum receiver_role *role)
{
    uint8_t expected[SHA256_SIZE], actual[SHA256_SIZE];
    struct secret_set *set = secrets_ref(tokens);
    bool is_found = false;

    digest_sha256(shown, actual);
    for (size_t i = 0; i < set->count; i++) {
        enum receiver_role each = RECEIVER_JOB;
        struct slice token = SLICE_EMPTY;
        if (!read_role(set->items[i], &each, &token))
            continue;
        digest_sha256(token, expected);
        if (digest_equals_constant_time(expected, actual, SHA256_SIZE)) {
            is_found = true;
            *role = each;
        }
    }
    secrets_unref(set);
    digest_wipe(actual, sizeof actual);
    return is_found && shown.len > 0;
}

static bool read_bearer(const struct http_head *head, struct slice *token)
{
    struct slice scheme;

    return http_head_read_credentials(head, &scheme, token) &&
           slice_equals_ignoring_case(scheme, SLICE("Bearer"));
}

// --- without tokens -------------------------------------------------------------------------------

static bool starts_with_ignoring_case(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len &&
           slice_equals_ignoring_case((struct slice){text.data, prefix.len}, prefix);
}

// Fields that proxies add. nginx adds none by default, but sends HTTP/1.0 by default, as no SDK does.
static bool is_passed_on(const struct http_head *head)
{
    for (size_t i = 0; i < head->header_count; i++) {
        struct slice name = head->headers[i].name;
        if (slice_equals_ignoring_case(name, SLICE("forwarded")) ||
            slice_equals_ignoring_case(name, SLICE("via")) ||
            slice_equals_ignoring_case(name, SLICE("x-real-ip")) ||
            starts_with_ignoring_case(name, SLICE("x-forwarded-")))
            return true;
    }
    return false;
}

static bool refuse_head(struct receiver_refused *refused, int status, const char *message)
{
    *refused = (struct receiver_refused){status, message};
    return false;
}

static bool check_local(const struct http_head *head, const struct net_ip *peer,
                        struct receiver_refused *refused)
{
    if (peer == NULL || !net_ip_is_loopback(peer) || !net_host_is_loopback(head->host))
        return refuse_head(refused, 403,
                           "without otlp-token-file only requests to localhost, by that name, are "
                           "accepted");
    if (head->minor_version == 0 || is_passed_on(head))
        return refuse_head(
            refused, 403,
            "without otlp-token-file no requests are accepted that a proxy passed on");
    return true;
}

static bool check_access(const struct http_head *head, const struct receiver_access *access,
                         const struct net_ip *peer, enum receiver_role *role,
                         struct receiver_refused *refused)
{
    struct slice token;

    *role = RECEIVER_ARC;
    if (access->tokens != NULL)
        return (read_bearer(head, &token) && find_role(access->tokens, token, role)) ||
               refuse_head(refused, 401,
                           "want Authorization: Bearer, with a token of otlp-token-file");
    return access->has_client_certificates || check_local(head, peer, refused);
}

// --- encodings ------------------------------------------------------------------------------------

enum media { MEDIA_PROTOBUF, MEDIA_JSON, MEDIA_OTHER };

// Parameters are ignored: JSON is always UTF-8.
static enum media media_of_head(const struct http_head *head)
{
    size_t count;
    struct slice type = http_head_get(head, SLICE("content-type"), &count);
    ptrdiff_t semicolon = slice_find(type, SLICE(";"));

    if (semicolon >= 0)
        type.len = (size_t)semicolon;
    type = slice_trim(type);
    if (count != 1)
        return MEDIA_OTHER;
    if (slice_equals_ignoring_case(type, SLICE("application/x-protobuf")))
        return MEDIA_PROTOBUF;
    return slice_equals_ignoring_case(type, SLICE("application/json")) ? MEDIA_JSON : MEDIA_OTHER;
}

bool receiver_is_protobuf(const struct http_head *head)
{
    return media_of_head(head) == MEDIA_PROTOBUF;
}

static bool read_coding(const struct http_head *head, bool *is_gzip)
{
    size_t count;
    struct slice coding = http_head_get(head, SLICE("content-encoding"), &count);

    *is_gzip = slice_equals_ignoring_case(coding, SLICE("gzip"));
    return count == 0 ||
           (count == 1 && (*is_gzip || slice_equals_ignoring_case(coding, SLICE("identity"))));
}

bool receiver_check_head(const struct http_head *head, const struct receiver_access *access,
                         const struct net_ip *peer, struct receiver_head *out,
                         struct receiver_refused *refused)
{
    enum media media = media_of_head(head);

    out->is_json = media != MEDIA_PROTOBUF;
    if (!slice_equals(head->path, SLICE(TRACES_PATH)))
        return refuse_head(refused, 404, "not found: only " TRACES_PATH " is served");
    if (!slice_equals(head->method, SLICE("POST")))
        return refuse_head(refused, 405, "method not allowed here");
    if (!check_access(head, access, peer, &out->role, refused))
        return false;
    if (!head->has_body_length && !head->is_chunked)
        return refuse_head(refused, 411, "want Content-Length, or Transfer-Encoding: chunked");
    if (media == MEDIA_OTHER)
        return refuse_head(refused, 415,
                           "content-type: want application/x-protobuf or application/json");
    if (!read_coding(head, &out->is_gzip))
        return refuse_head(refused, 415, "content-encoding: want gzip or none");
    return true;
}
