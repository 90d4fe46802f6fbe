// A request to the admin listener: access, parameters, the format of metrics. The first line is the
// query, the second Accept; the rest is a whole request.
#include "../../src/admin/metrics.h"
#include "../../src/admin/server.h"
#include "fuzz.h"
#include "ghatrace/admin/admin.h"

#define TOKEN SLICE("0123456789abcdef")

static struct ingress_secrets *all_tokens(void)
{
    static struct ingress_secrets *tokens;
    struct error error;
    const struct slice token = TOKEN;
    if (tokens == NULL) {
        MUST(ingress_secrets_create(&tokens, &error) == ERROR_NONE);
        MUST(ingress_secrets_replace(tokens, &token, 1, &error) == ERROR_NONE);
    }
    return tokens;
}

static bool holds(struct slice text, struct slice part)
{
    return slice_find(text, part) >= 0;
}

// Access without a token in the head, in plain text or in base64, is a finding.
static void check_access(const struct http_head *head, struct slice text)
{
    const struct admin_access by_token = {.tokens = all_tokens(), .is_loopback = true};
    const struct admin_access on_loopback = {.is_loopback = true};
    const struct admin_access beyond = {.is_loopback = false};
    if (admin_check_access(&by_token, head) == ADMIN_ALLOWED)
        MUST(holds(text, TOKEN) ||
             slice_starts_with(http_head_get(head, SLICE("authorization"), NULL), SLICE("B")) ||
             slice_starts_with(http_head_get(head, SLICE("authorization"), NULL), SLICE("b")));
    if (admin_check_access(&on_loopback, head) == ADMIN_ALLOWED) {
        struct slice host = http_head_get(head, SLICE("host"), NULL);
        MUST(host.len >= 3 && (host.data[0] == 'l' || host.data[0] == 'L' || host.data[0] == '1' ||
                               host.data[0] == '[' || host.data[0] == ':'));
    }
    MUST(admin_check_access(&beyond, head) == ADMIN_CLOSED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"q", "limit", "cursor", "state"};
    struct slice rest = fuzz_slice(data, size);
    const struct slice query = fuzz_take_line(&rest), accept = fuzz_take_line(&rest);
    struct http_parser parser;
    struct arena arena;
    size_t taken;
    (void)metrics_format_of(accept);
    arena_init(&arena, 1024);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct slice value;
        MUST(admin_query_get(query, names[i], &arena, &value));
        MUST(value.len <= query.len);
    }
    arena_release(&arena);
    http_parser_init(&parser, 256);
    if (http_parser_feed(&parser, rest.data, rest.len, &taken) == HTTP_HEAD_DONE)
        check_access(&parser.message, rest);
    http_parser_release(&parser);
    return 0;
}
