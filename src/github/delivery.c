// Reads a delivery's headers and its form encoding, before any JSON is parsed.
#include "ghatrace/github/delivery.h"

#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/slice.h"

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

bool github_delivery_guid_time(struct slice guid, timestamp_ns *time)
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
bool github_signature_is_valid(struct slice header, struct slice body, const struct slice *secrets,
                               size_t secret_count, uint8_t digest[32])
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

ptrdiff_t github_form_payload(struct slice form, char *out)
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
