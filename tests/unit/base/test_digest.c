// Digests against the vectors of RFC 1321, FIPS 180 and RFC 4231, and GitHub's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void md5_agrees_with_rfc_1321(void **state)
{
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"1234567890123456789012345678901234567890123456789012345678901234567890123456789"
         "0",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t digest[MD5_SIZE];
        char text[2 * MD5_SIZE + 1];
        digest_md5(slice_from_string(cases[i].text), digest);
        hex_encode(digest, sizeof(digest), text);
        assert_string_equal(text, cases[i].digest);
    }
}

static void sha256_agrees_with_fips_180(void **state)
{
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t digest[SHA256_SIZE];
        char text[2 * SHA256_SIZE + 1];
        digest_sha256(slice_from_string(cases[i].text), digest);
        hex_encode(digest, sizeof(digest), text);
        assert_string_equal(text, cases[i].digest);
    }
}

struct hmac_case {
    uint8_t key_byte; // repeated; 0: `key` is text
    size_t key_len;
    const char *key;
    uint8_t data_byte;
    size_t data_len;
    const char *data;
    const char *digest;
};

static struct slice expand(uint8_t byte, size_t len, const char *text, char *room)
{
    if (text != NULL)
        return slice_from_string(text);
    memset(room, byte, len);
    return (struct slice){.data = room, .len = len};
}

static void check_hmac(struct slice key, struct slice data, const char *expected)
{
    uint8_t digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];

    assert_true(digest_hmac_sha256(key, data, digest));
    hex_encode(digest, sizeof(digest), text);
    assert_string_equal(text, expected);
}

static void hmac_agrees_with_rfc_4231(void **state)
{
    static const struct hmac_case cases[] = {
        {0x0b, 20, NULL, 0, 0, "Hi There",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {0, 0, "Jefe", 0, 0, "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {0xaa, 20, NULL, 0xdd, 50, NULL,
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {0xaa, 131, NULL, 0, 0, "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {0xaa, 131, NULL, 0, 0,
         "This is a test using a larger than block-size key and a larger than block-size data. "
         "The key needs to be hashed before being used by the HMAC algorithm.",
         "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct hmac_case *c = &cases[i];
        char key[200], data[200];
        check_hmac(expand(c->key_byte, c->key_len, c->key, key),
                   expand(c->data_byte, c->data_len, c->data, data), c->digest);
    }
}

// From GitHub's page "Validating webhook deliveries".
static void hmac_agrees_with_github(void **state)
{
    (void)state;
    check_hmac(SLICE("It's a Secret to Everybody"), SLICE("Hello, World!"),
               "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

static void hmac_accepts_empty_keys_and_data(void **state)
{
    (void)state;
    check_hmac(SLICE_EMPTY, SLICE_EMPTY,
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void one_different_bit_anywhere_is_unequal(void **state)
{
    uint8_t a[SHA256_SIZE] = {1, 2, 3}, b[SHA256_SIZE] = {1, 2, 3};

    (void)state;
    assert_true(digest_equals_constant_time(a, b, sizeof(a)));
    assert_true(digest_equals_constant_time(a, b, 0));
    for (size_t i = 0; i < sizeof(a) * 8; i++) {
        b[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_false(digest_equals_constant_time(a, b, sizeof(a)));
        b[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

static void wiped_secrets_are_overwritten(void **state)
{
    char secret[] = "secret";
    static const char nothing[sizeof(secret)];

    (void)state;
    digest_wipe(secret, 0);
    assert_string_equal(secret, "secret");
    digest_wipe(secret, sizeof(secret));
    assert_memory_equal(secret, nothing, sizeof(secret));
    digest_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md5_agrees_with_rfc_1321),
        cmocka_unit_test(sha256_agrees_with_fips_180),
        cmocka_unit_test(hmac_agrees_with_rfc_4231),
        cmocka_unit_test(hmac_agrees_with_github),
        cmocka_unit_test(hmac_accepts_empty_keys_and_data),
        cmocka_unit_test(one_different_bit_anywhere_is_unequal),
        cmocka_unit_test(wiped_secrets_are_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
