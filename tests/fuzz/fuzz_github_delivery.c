// What surrounds a body: form encoding, GUID, signature.
#include "../../src/webhook/delivery.h"
#include "fuzz.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/slice.h"

// A decoded form is at most as long as its text, and every text that is encoded is decoded unchanged.
static void check_form(struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    const struct slice before = SLICE("a=b&payload=");
    char *decoded = malloc(text.len + 1);
    char *form = malloc(before.len + 3 * text.len);
    size_t len = before.len;
    MUST(decoded != NULL && form != NULL);
    ptrdiff_t decoded_len = delivery_form_payload(text, decoded);
    MUST(decoded_len >= -1 && decoded_len <= (ptrdiff_t)text.len);

    memcpy(form, before.data, before.len);
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t byte = (uint8_t)text.data[i];
        if (byte == ' ') {
            form[len++] = '+';
        } else if (byte == '+' || byte == '%' || byte == '&' || byte >= 0x80) {
            form[len++] = '%';
            form[len++] = digits[byte >> 4];
            form[len++] = digits[byte & 15];
        } else {
            form[len++] = (char)byte;
        }
    }
    char *back = malloc(len);
    MUST(back != NULL);
    decoded_len = delivery_form_payload((struct slice){form, len}, back);
    MUST(slice_equals((struct slice){back, (size_t)decoded_len}, text));
    free(back);
    free(form);
    free(decoded);
}

// The correct signature is accepted under any of the secrets, an arbitrary one is not.
static void check_signature(struct slice text)
{
    const struct slice secrets[] = {SLICE("old"), SLICE("new")};
    char header[7 + 2 * SHA256_SIZE + 1] = "sha256=";
    uint8_t made[SHA256_SIZE];
    uint8_t digest[SHA256_SIZE];
    const struct slice right = {header, sizeof header - 1};
    MUST(!delivery_signature_is_valid(text, SLICE("body"), secrets, 2, digest));
    MUST(digest_hmac_sha256(secrets[1], text, made));
    hex_encode(made, sizeof made, header + 7);
    MUST(delivery_signature_is_valid(right, text, secrets, 2, digest));
    MUST(memcmp(digest, made, sizeof made) == 0);
    MUST(!delivery_signature_is_valid(right, text, secrets, 1, digest));
    header[7 + text.len % 64] ^= 1;
    MUST(!delivery_signature_is_valid(right, text, secrets, 2, digest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = fuzz_slice(data, size);
    timestamp_ns time;
    check_form(text);
    check_signature(text);
    if (delivery_guid_time(text, &time))
        MUST(time > 0);
    return 0;
}
