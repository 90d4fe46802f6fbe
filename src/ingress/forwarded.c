// X-Forwarded-For, read from its right end.
#include "forwarded.h"

#include <string.h>

static bool is_port(struct slice text)
{
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

static struct slice from(struct slice text, size_t start)
{
    return (struct slice){.data = text.data + start, .len = text.len - start};
}

// "[2001:db8::1]", "[2001:db8::1]:4711".
static bool parse_bracketed(struct slice text, struct net_ip *ip)
{
    ptrdiff_t bracket = slice_find(text, SLICE("]"));

    if (bracket < 0)
        return false;
    struct slice inside = {.data = text.data + 1, .len = (size_t)bracket - 1};
    struct slice rest = from(text, (size_t)bracket + 1);
    return slice_find(inside, SLICE(":")) >= 0 && net_ip_parse(inside, ip) &&
           (rest.len == 0 || (rest.data[0] == ':' && is_port(from(rest, 1))));
}

// Proxies differ in whether they add the port.
static bool parse_element(struct slice text, struct net_ip *ip)
{
    ptrdiff_t colon = slice_find(text, SLICE(":"));

    if (slice_starts_with(text, SLICE("[")))
        return parse_bracketed(text, ip);
    if (net_ip_parse(text, ip))
        return true;
    struct slice host = {.data = text.data, .len = colon < 0 ? 0 : (size_t)colon};
    return colon > 0 && is_port(from(text, (size_t)colon + 1)) && net_ip_parse(host, ip);
}

// Takes the last element off the list.
static struct slice take_last(struct slice *list)
{
    size_t start = list->len;

    while (start > 0 && list->data[start - 1] != ',')
        start--;
    struct slice last = from(*list, start);
    list->len = start > 0 ? start - 1 : 0;
    return slice_trim(last);
}

// What one field has to say.
enum finding { FINDING_GO_ON, FINDING_CLIENT, FINDING_NOT_READABLE };

static enum finding search(struct slice list, const struct net_network_list *trusted,
                           struct net_ip *client)
{
    while (list.len > 0) {
        struct slice element = take_last(&list);
        if (element.len == 0)
            continue; // RFC 9110 5.6.1.2: empty elements are passed over
        if (!parse_element(element, client))
            return FINDING_NOT_READABLE;
        if (!net_network_list_holds(trusted, client))
            return FINDING_CLIENT;
    }
    return FINDING_GO_ON;
}

bool forwarded_find_client(const struct http_head *head, const struct net_network_list *trusted,
                           const struct net_ip *peer, struct net_ip *client)
{
    *client = *peer;
    // RFC 9110 5.3: several fields are one list, in the order in which they came.
    for (size_t i = head->header_count; i > 0; i--) {
        const struct http_header *header = &head->headers[i - 1];
        if (!slice_equals_ignoring_case(header->name, SLICE("x-forwarded-for")))
            continue;
        enum finding finding = search(header->value, trusted, client);
        if (finding != FINDING_GO_ON)
            return finding == FINDING_CLIENT;
    }
    return true;
}
