// What stands around a body: form, GUID, signature.
#include "fuzz.h"
#include "ghatrace/github/delivery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = fuzz_slice(data, size);
    const struct slice secrets[] = {SLICE("old"), SLICE("new")};
    uint8_t digest[32];
    timestamp_ns time;
    char *out = malloc(size + 1);
    MUST(out != NULL);
    ptrdiff_t len = github_form_payload(text, out);
    MUST(len >= -1 && len <= (ptrdiff_t)size);
    if (github_delivery_guid_time(text, &time))
        MUST(time > 0);
    // Nobody guesses an HMAC.
    MUST(!github_signature_is_valid(text, SLICE("body"), secrets, 2, digest));
    free(out);
    return 0;
}
