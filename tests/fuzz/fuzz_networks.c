// Lists of networks and the addresses they contain, compared with a naive implementation that compares bit by bit.
// The first line is the address to look up.
#include "../../src/app/config.h"
#include "naive_ip.h"

#define PROBED_MAX 8 // networks whose edges are tried: each probe walks the whole list

struct naive_network {
    struct net_ip first;
    unsigned bits;
    bool is_v4; // also if IPv4 is written as IPv6
};

static bool bit_of(const struct net_ip *ip, unsigned at)
{
    return (ip->bytes[at / 8] >> (7 - at % 8) & 1) != 0;
}

// False: it is not a network.
static bool read_word(struct slice word, struct naive_network *network)
{
    char *text = naive_string(word);
    char *slash = strchr(text, '/');
    char again[24];
    if (slash != NULL)
        *slash = '\0';
    bool is_dotted = naive_v4(text, &network->first);
    bool is_good =
        (is_dotted || naive_v6(text, &network->first)) && memchr(word.data, '\0', word.len) == NULL;
    unsigned most = is_dotted ? 32 : 128;
    unsigned long bits = slash != NULL ? strtoul(slash + 1, NULL, 10) : most;
    (void)snprintf(again, sizeof again, "%lu", bits);
    is_good = is_good && bits <= most && (slash == NULL || strcmp(again, slash + 1) == 0);
    free(text);
    network->bits = (unsigned)(is_dotted ? bits + 96 : bits);
    network->is_v4 = is_good && network->bits >= 96 && net_ip_is_v4(&network->first);
    for (unsigned i = network->bits; is_good && i < 128; i++)
        is_good = !bit_of(&network->first, i);
    return is_good;
}

static bool naive_contains(const struct naive_network *networks, size_t count,
                           const struct net_ip *ip)
{
    for (size_t i = 0; i < count; i++) {
        unsigned same = 0;
        while (same < networks[i].bits && bit_of(&networks[i].first, same) == bit_of(ip, same))
            same++;
        if (same == networks[i].bits && networks[i].is_v4 == net_ip_is_v4(ip))
            return true;
    }
    return false;
}

// The addresses beside the edges of a network; they wrap around.
static struct net_ip neighbour(struct net_ip ip, int step)
{
    for (size_t i = sizeof ip.bytes; i-- > 0;) {
        ip.bytes[i] = (uint8_t)(ip.bytes[i] + step);
        if (ip.bytes[i] != (step > 0 ? 0 : 0xff))
            break;
    }
    return ip;
}

// A network that is formatted is parsed as the same network, whichever way IPv4 is written.
static void check_text(const struct net_network *network)
{
    char ip[INET6_ADDRSTRLEN];
    char text[INET6_ADDRSTRLEN + 8];
    struct net_network again;
    struct error error = {0};
    MUST(inet_ntop(AF_INET6, network->first.bytes, ip, sizeof ip) != NULL);
    (void)snprintf(text, sizeof text, "%s/%u", ip, network->bits);
    MUST(net_network_parse(slice_from_string(text), &again, &error) == ERROR_NONE);
    MUST(again.bits == network->bits && net_ip_equals(&again.first, &network->first));
    if (network->bits < 96 || !net_ip_is_v4(&network->first))
        return;
    MUST(inet_ntop(AF_INET, network->first.bytes + 12, ip, sizeof ip) != NULL);
    (void)snprintf(text, sizeof text, "%s/%u", ip, network->bits - 96);
    MUST(net_network_parse(slice_from_string(text), &again, &error) == ERROR_NONE);
    MUST(again.bits == network->bits && net_ip_equals(&again.first, &network->first));
}

static void check_contains(const struct net_network_list *list, const struct naive_network *naive,
                           struct slice asked)
{
    struct net_ip ip;
    if (net_ip_parse(asked, &ip))
        MUST(net_network_list_holds(list, &ip) == naive_contains(naive, list->count, &ip));
    for (size_t i = 0; i < list->count && i < PROBED_MAX; i++) {
        struct net_ip last = naive[i].first;
        for (unsigned bit = naive[i].bits; bit < 128; bit++)
            last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        const struct net_ip probes[] = {naive[i].first, last, neighbour(naive[i].first, -1),
                                        neighbour(last, 1)};
        for (size_t k = 0; k < sizeof probes / sizeof *probes; k++)
            MUST(net_network_list_holds(list, &probes[k]) ==
                 naive_contains(naive, list->count, &probes[k]));
        check_text(&list->items[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_slice(data, size);
    const struct slice asked = fuzz_take_line(&rest);
    const struct text_list setting = {.items = &rest, .count = 1};
    // A word takes at least one byte, and a separator.
    struct naive_network *naive = calloc(rest.len / 2 + 1, sizeof *naive);
    struct net_network_list list;
    struct arena arena;
    struct error error = {0};
    size_t count = 0;
    bool is_good = true;
    MUST(naive != NULL);
    for (size_t start = 0, end = 0; end <= rest.len; end++) {
        if (end < rest.len && memchr(", \t", rest.data[end], 3) == NULL)
            continue;
        if (end > start)
            is_good = read_word((struct slice){rest.data + start, end - start}, &naive[count++]) &&
                      is_good;
        start = end + 1;
    }
    arena_init(&arena, 1024);
    if (config_read_networks(&setting, "fuzz", &arena, &list, &error) == ERROR_NONE) {
        MUST(is_good && count > 0 && list.count == count);
        check_contains(&list, naive, asked);
    } else {
        MUST(!is_good || count == 0);
        MUST(error.code == ERROR_USAGE && error.message[0] != '\0');
    }
    arena_release(&arena);
    free(naive);
    return 0;
}
