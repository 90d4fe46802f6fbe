// X-Forwarded-For as untrusted clients write it, behind trusted proxies: no client can pose as another one. The first
// line lists the proxies, the rest is inserted among the fields of a request.
#include "../../src/app/config.h"
#include "ghatrace/http/limits.h"
#include "naive_ip.h"

// The client as determined by a part of the list, read from the left.
struct belief {
    bool is_known;
    bool all_trusted; // of those read so far
    size_t count;
    struct net_ip client;
};

// Removes ":80" at the end.
static void cut_port(char *text)
{
    char *colon = strrchr(text, ':');
    if (colon == NULL)
        return;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits > 0 && digits <= 5 && colon[1 + digits] == '\0')
        *colon = '\0';
}

static bool read_element(struct slice element, struct net_ip *ip)
{
    char *text = naive_string(element);
    bool is_ip = naive_v4(text, ip) || naive_v6(text, ip);
    if (!is_ip) {
        if (text[0] != '[' || text[element.len - 1] != ']')
            cut_port(text);
        size_t len = strlen(text);
        if (text[0] == '[' && text[len - 1] == ']') {
            text[len - 1] = '\0';
            is_ip = naive_v6(text + 1, ip);
        } else {
            is_ip = naive_v4(text, ip);
        }
    }
    free(text);
    return is_ip;
}

// Each element is the peer of the one that appended it, so an element counts only if the next one is a trusted proxy.
static void add(struct belief *belief, const struct net_network_list *trusted, struct slice element)
{
    struct net_ip ip;
    if (!read_element(element, &ip)) {
        belief->is_known = false;
        belief->all_trusted = false;
    } else if (!net_network_list_holds(trusted, &ip)) {
        belief->is_known = true;
        belief->all_trusted = false;
        belief->client = ip;
    } else if (belief->count == 0) {
        belief->client = ip;
    }
    belief->count++;
}

static void add_field(struct belief *belief, const struct net_network_list *trusted,
                      struct slice value)
{
    for (size_t start = 0, end = 0; end <= value.len; end++) {
        if (end < value.len && value.data[end] != ',')
            continue;
        struct slice element = slice_trim((struct slice){value.data + start, end - start});
        if (element.len > 0)
            add(belief, trusted, element);
        start = end + 1;
    }
}

static void check_head(const struct http_head *head, const struct net_network_list *trusted)
{
    const struct net_ip peer = trusted->items[0].first;
    struct belief belief = {.is_known = true, .all_trusted = true, .client = peer};
    struct net_ip client;
    for (size_t i = 0; i < head->header_count; i++)
        if (slice_equals_ignoring_case(head->headers[i].name, SLICE("X-Forwarded-For")))
            add_field(&belief, trusted, head->headers[i].value);
    bool is_known = forwarded_find_client(head, trusted, &peer, &client);
    MUST(is_known == belief.is_known);
    if (!is_known)
        return;
    MUST(net_ip_equals(&client, &belief.client));
    MUST(net_network_list_holds(trusted, &client) == belief.all_trusted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_slice(data, size);
    const struct slice proxies = fuzz_take_line(&rest);
    const struct text_list setting = {.items = &proxies, .count = 1};
    struct net_network_list trusted;
    struct http_parser parser;
    struct buffer text;
    struct arena arena;
    struct error error = {0};
    size_t consumed = 0;
    arena_init(&arena, 1024);
    buffer_init(&text, 1 << 20);
    http_parser_init(&parser, 0);
    MUST(buffer_append_string(&text, "POST /webhook HTTP/1.1\r\nHost: h\r\n") == ERROR_NONE);
    MUST(buffer_append(&text, rest.data, rest.len) == ERROR_NONE);
    MUST(buffer_append_string(&text, "\r\n\r\n") == ERROR_NONE);
    if (config_read_networks(&setting, "fuzz", &arena, &trusted, &error) == ERROR_NONE &&
        http_parser_feed(&parser, text.data, text.len, &consumed) == HTTP_HEAD_DONE)
        check_head(&parser.message, &trusted);
    http_parser_release(&parser);
    buffer_release(&text);
    arena_release(&arena);
    return 0;
}
