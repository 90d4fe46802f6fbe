// From a request to a delivery: the secrets, the repository filter, GUID, signature and form encoding, the event.
#include "delivery.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/glob.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/webhook/secrets.h"
#include "ghatrace/webhook/webhook.h"

// --- secrets --------------------------------------------------------------------------------------
// The secrets that may sign a delivery: a set that is replaced as a whole while other threads still read it.

struct ingress_secrets {
    pthread_mutex_t mutex; // guards `current`; held for a few instructions
    struct secret_set *current;
};

static struct secret_set *create_set(const struct slice *items, size_t count)
{
    size_t size = sizeof(struct secret_set);

    for (size_t i = 0; i < count; i++) {
        if (items[i].len > SIZE_MAX / 2 - size - sizeof *items)
            return NULL;
        size += sizeof *items + items[i].len;
    }
    struct secret_set *set = memory_allocate(size);
    if (set == NULL)
        return NULL;
    atomic_init(&set->holders, 1);
    set->size = size;
    set->count = count;
    char *bytes = (char *)&set->items[count];
    for (size_t i = 0; i < count; i++) {
        if (items[i].len > 0)
            memcpy(bytes, items[i].data, items[i].len);
        set->items[i] = (struct slice){.data = bytes, .len = items[i].len};
        bytes += items[i].len;
    }
    return set;
}

struct secret_set *secrets_ref(struct ingress_secrets *secrets)
{
    pthread_mutex_lock(&secrets->mutex);
    struct secret_set *set = secrets->current;
    atomic_fetch_add(&set->holders, 1);
    pthread_mutex_unlock(&secrets->mutex);
    return set;
}

void secrets_unref(struct secret_set *set)
{
    if (atomic_fetch_sub(&set->holders, 1) != 1)
        return;
    digest_wipe(set, set->size);
    memory_free(set);
}

enum error_code ingress_secrets_create(struct ingress_secrets **out, struct error *error)
{
    struct ingress_secrets *secrets = memory_allocate_array(1, sizeof *secrets);
    struct secret_set *none = create_set(NULL, 0);

    if (secrets == NULL || none == NULL) {
        memory_free(secrets);
        memory_free(none);
        return error_set(error, ERROR_MEMORY, "secrets: out of memory");
    }
    pthread_mutex_init(&secrets->mutex, NULL); // default attributes: cannot fail on Linux
    secrets->current = none;
    *out = secrets;
    return ERROR_NONE;
}

enum error_code ingress_secrets_prepare(const struct slice *items, size_t count,
                                        struct secret_set **out, struct error *error)
{
    *out = create_set(items, count);
    return *out != NULL ? ERROR_NONE : error_set(error, ERROR_MEMORY, "secrets: out of memory");
}

void ingress_secrets_use(struct ingress_secrets *secrets, struct secret_set *fresh)
{
    pthread_mutex_lock(&secrets->mutex);
    struct secret_set *old = secrets->current;
    secrets->current = fresh;
    pthread_mutex_unlock(&secrets->mutex);
    secrets_unref(old);
}

void ingress_secrets_drop(struct secret_set *set)
{
    if (set != NULL)
        secrets_unref(set);
}

enum error_code ingress_secrets_replace(struct ingress_secrets *secrets, const struct slice *items,
                                        size_t count, struct error *error)
{
    struct secret_set *fresh;
    enum error_code code = ingress_secrets_prepare(items, count, &fresh, error);

    if (code == ERROR_NONE)
        ingress_secrets_use(secrets, fresh);
    return code;
}

void ingress_secrets_destroy(struct ingress_secrets *secrets)
{
    if (secrets == NULL)
        return;
    secrets_unref(secrets->current);
    pthread_mutex_destroy(&secrets->mutex);
    memory_free(secrets);
}

// --- repository filter ----------------------------------------------------------------------------

static bool excludes_repository(struct slice glob)
{
    return glob.len > 0 && glob.data[0] == '!';
}

bool ingress_repository_is_wanted(const struct slice *globs, size_t count, struct slice full_name)
{
    bool is_wanted = true;

    for (size_t i = 0; i < count; i++)
        if (!excludes_repository(globs[i]))
            is_wanted = false; // there is an including glob: all others are excluded
    for (size_t i = 0; i < count; i++) {
        struct slice glob = globs[i];
        bool is_exclusion = excludes_repository(glob);
        if (is_exclusion)
            glob = (struct slice){.data = glob.data + 1, .len = glob.len - 1};
        if (glob_matches(glob, full_name))
            is_wanted = !is_exclusion;
    }
    return is_wanted;
}

// --- what GitHub sends around a body: GUID, signature, form encoding -----------------------------

#define GUID_SIZE 16
#define GUID_TEXT_SIZE 36

// From 1582-10-15, where version-1 UUIDs begin, to 1970-01-01 (RFC 9562 5.1), in ticks of 100 ns.
#define TICKS_TO_1970 UINT64_C(0x01B21DD213814000)
#define NS_PER_TICK 100

// 8-4-4-4-12 digits (RFC 9562 section 4).
static bool read_guid(struct slice text, uint8_t guid[GUID_SIZE])
{
    static const size_t group_sizes[] = {4, 2, 2, 2, 6};
    const char *at = text.data;

    if (text.len != GUID_TEXT_SIZE)
        return false;
    for (size_t group = 0; group < 5; group++) {
        size_t size = group_sizes[group];
        if (group > 0 && *at++ != '-')
            return false;
        if (!hex_decode(at, 2 * size, guid, size))
            return false;
        at += 2 * size;
        guid += size;
    }
    return true;
}

bool delivery_guid_time(struct slice guid, timestamp_ns *time)
{
    uint8_t bytes[GUID_SIZE];
    if (!read_guid(guid, bytes) || bytes[6] >> 4 != 1 || bytes[8] >> 6 != 2)
        return false;

    // time_high (12 bits, under the version), time_mid, time_low.
    static const int order[] = {6, 7, 4, 5, 0, 1, 2, 3};
    uint64_t ticks = 0;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        ticks = ticks << 8 | bytes[order[i]];
    ticks &= UINT64_C(0x0FFFFFFFFFFFFFFF);
    if (ticks <= TICKS_TO_1970 || ticks - TICKS_TO_1970 > INT64_MAX / NS_PER_TICK)
        return false;
    *time = (timestamp_ns)(ticks - TICKS_TO_1970) * NS_PER_TICK;
    return true;
}

static bool read_signature(struct slice header, uint8_t signature[SHA256_SIZE])
{
    const struct slice prefix = SLICE("sha256=");
    return slice_starts_with(header, prefix) && header.len == prefix.len + 2 * SHA256_SIZE &&
           hex_decode(header.data + prefix.len, 2 * SHA256_SIZE, signature, SHA256_SIZE);
}

// The duration shows a client the number of secrets and the length of its own body, but nothing about the header:
// there is no early exit.
bool delivery_signature_is_valid(struct slice header, struct slice body,
                                 const struct slice *secrets, size_t secret_count,
                                 uint8_t digest[32])
{
    uint8_t signature[SHA256_SIZE] = {0};
    uint8_t candidate[SHA256_SIZE] = {0};
    bool readable = read_signature(header, signature);
    bool valid = false;

    for (size_t i = 0; i < secret_count; i++) {
        bool computed = digest_hmac_sha256(secrets[i], body, candidate);
        bool equal = digest_equals_constant_time(candidate, signature, SHA256_SIZE);
        if (computed && equal && readable) {
            memcpy(digest, candidate, SHA256_SIZE);
            valid = true;
        }
    }
    digest_wipe(candidate, sizeof(candidate)); // the signature that a forger would need
    return valid;
}

// The value of the first field `payload`, still encoded.
static bool find_payload_field(struct slice form, struct slice *value)
{
    const struct slice name = SLICE("payload=");

    while (form.len > 0) {
        const char *separator = memchr(form.data, '&', form.len);
        size_t length = separator != NULL ? (size_t)(separator - form.data) : form.len;
        struct slice field = {.data = form.data, .len = length};
        if (slice_starts_with(field, name)) {
            *value = (struct slice){.data = field.data + name.len, .len = length - name.len};
            return true;
        }
        size_t used = separator != NULL ? length + 1 : length;
        form.data += used;
        form.len -= used;
    }
    return false;
}

ptrdiff_t delivery_form_payload(struct slice form, char *out)
{
    struct slice value;
    ptrdiff_t length = 0;

    if (!find_payload_field(form, &value))
        return -1;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = (uint8_t)value.data[i];
        if (byte == '+')
            byte = ' ';
        else if (byte == '%') {
            if (value.len - i < 3 || !hex_decode(value.data + i + 1, 2, &byte, 1))
                return -1;
            i += 2;
        }
        out[length++] = (char)byte;
    }
    return length;
}

// --- one delivery: its request, checked step by step ----------------------------------------------

enum media { MEDIA_JSON, MEDIA_FORM, MEDIA_OTHER };

// Parameters (such as charset) are ignored: JSON is always UTF-8, and forms have no use for them.
static enum media read_media_type(const struct http_head *head)
{
    struct slice type = http_head_get(head, SLICE("content-type"), NULL);
    ptrdiff_t semicolon = slice_find(type, SLICE(";"));

    if (semicolon >= 0)
        type.len = (size_t)semicolon;
    type = slice_trim(type);
    if (slice_equals_ignoring_case(type, SLICE("application/json")))
        return MEDIA_JSON;
    // The first choice in GitHub's web form: octokit/webhooks.js#158.
    if (slice_equals_ignoring_case(type, SLICE("application/x-www-form-urlencoded")))
        return MEDIA_FORM;
    return MEDIA_OTHER;
}

static bool set_refusal(struct refusal *refusal, int status, const char *message)
{
    refusal->status = status;
    error_set(&refusal->error, ERROR_INVALID, "%s", message);
    return false;
}

static bool is_plain(const struct http_head *head)
{
    size_t count;
    struct slice coding = http_head_get(head, SLICE("content-encoding"), &count);

    return count == 0 || (count == 1 && slice_equals_ignoring_case(coding, SLICE("identity")));
}

// Does not check the signature; delivery_signature_is_valid() does.
static bool has_one_signature(const struct http_head *head)
{
    size_t count;
    struct slice header = http_head_get(head, SLICE("x-hub-signature-256"), &count);

    return count == 1 && slice_starts_with(header, SLICE("sha256=")) &&
           header.len == sizeof "sha256=" - 1 + 2 * SHA256_SIZE;
}

bool delivery_head_is_acceptable(const struct http_head *head,
                                 const struct ingress_options *options, struct refusal *refusal)
{
    if (!is_plain(head))
        return set_refusal(refusal, 415, "content-encoding: want none");
    if (read_media_type(head) == MEDIA_OTHER)
        return set_refusal(
            refusal, 415,
            "content-type: want application/json or application/x-www-form-urlencoded");
    if (!options->insecure_no_signature && !has_one_signature(head))
        return set_refusal(refusal, 401,
                           "x-hub-signature-256: want one, of the form sha256=<64 digits>");
    return true;
}

static bool check_signature(const struct delivery_source *source, struct delivery *delivery,
                            struct refusal *refusal)
{
    const struct ingress_options *options = source->options;

    if (options->insecure_no_signature) {
        digest_sha256(source->body, delivery->fingerprint);
        return true;
    }
    struct slice header = http_head_get(source->head, SLICE("x-hub-signature-256"), NULL);
    struct secret_set *set = secrets_ref(options->secrets);
    bool is_valid = delivery_signature_is_valid(header, source->body, set->items, set->count,
                                                delivery->fingerprint);
    secrets_unref(set);
    return is_valid || set_refusal(refusal, 401, "x-hub-signature-256: signature does not match");
}

static bool read_single_header(const struct http_head *head, struct slice name, struct slice *value,
                               struct refusal *refusal)
{
    size_t count;

    *value = http_head_get(head, name, &count);
    refusal->status = 400;
    if (value->len == 0)
        error_set(&refusal->error, ERROR_INVALID, "%.*s: missing", SLICE_ARGS(name));
    else if (count > 1)
        error_set(&refusal->error, ERROR_INVALID, "%.*s: given twice", SLICE_ARGS(name));
    return value->len > 0 && count == 1;
}

static bool read_delivery_headers(const struct http_head *head, struct delivery *delivery,
                                  struct refusal *refusal)
{
    if (!read_single_header(head, SLICE("x-github-event"), &delivery->event_type, refusal) ||
        !read_single_header(head, SLICE("x-github-delivery"), &delivery->guid, refusal))
        return false;
    if (delivery->guid.len > GUID_MAX)
        return set_refusal(refusal, 400, "x-github-delivery: longer than 128 bytes");
    return true;
}

// The JSON text: the body itself, or the value of the form field.
static bool find_json(const struct delivery_source *source, struct slice *json,
                      struct refusal *refusal)
{
    *json = source->body;
    if (read_media_type(source->head) != MEDIA_FORM)
        return true;
    char *text = arena_allocate(source->arena, source->body.len + 1);
    if (text == NULL)
        return set_refusal(refusal, 503, "out of memory");
    ptrdiff_t len = delivery_form_payload(source->body, text);
    if (len < 0)
        return set_refusal(refusal, 400, "payload: missing in the form, or badly percent-encoded");
    *json = (struct slice){.data = text, .len = (size_t)len};
    return true;
}

static int decode_error_status(enum error_code code)
{
    if (code == ERROR_MEMORY)
        return 503;
    return code == ERROR_TOO_LARGE ? 413 : 400;
}

bool delivery_read(const struct delivery_source *source, struct delivery *delivery,
                   struct refusal *refusal)
{
    struct slice json;

    if (!check_signature(source, delivery, refusal) ||
        !read_delivery_headers(source->head, delivery, refusal) ||
        !find_json(source, &json, refusal))
        return false;
    enum error_code code = github_event_decode(delivery->event_type, json, source->arena,
                                               &delivery->event, &refusal->error);
    refusal->status = decode_error_status(code);
    if (code == ERROR_NONE && github_event_use_of(delivery->event.kind) == GITHUB_EVENT_USE_STORE)
        digest_md5(source->body, delivery->body_digest);
    return code == ERROR_NONE;
}

void delivery_digest(const struct delivery *delivery, uint8_t digest[DELIVERY_DIGEST_SIZE])
{
    const size_t half = DELIVERY_DIGEST_SIZE / 2;
    uint8_t hash[SHA256_SIZE];

    digest_sha256(delivery->guid, hash);
    memcpy(digest, hash, half);
    memcpy(digest + half, delivery->body_digest, half);
}

void delivery_old_digest(const struct delivery *delivery, uint8_t digest[DELIVERY_DIGEST_SIZE])
{
    uint8_t hash[SHA256_SIZE];
    char bytes[GUID_MAX + 1 + SHA256_SIZE];
    size_t len = delivery->guid.len; // at most GUID_MAX, checked by read_delivery_headers()

    memcpy(bytes, delivery->guid.data, len);
    bytes[len++] = '\0';
    memcpy(bytes + len, delivery->fingerprint, SHA256_SIZE);
    len += SHA256_SIZE;
    digest_sha256((struct slice){.data = bytes, .len = len}, hash);
    memcpy(digest, hash, DELIVERY_DIGEST_SIZE);
}
