// Limits per client address: connections, failed signatures; and the client address behind trusted proxies.
#include "ghatrace/http/limits.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "ghatrace/base/memory.h"

// --- addresses ------------------------------------------------------------------------------------
// Connections per client address: an exact table of bounded size behind a mutex, which is locked twice per connection.

#define NETWORK_BITS 48
#define ADDRESS_BITS 128

struct address_place {
    SLIST_ENTRY(address_place) next; // in its bucket, or in the free list
    struct address_place *network;   // counts its connections as well; NULL: none
    struct net_ip ip;                // the first address
    unsigned bits;                   // 48: a network
    size_t connections;
};

SLIST_HEAD(address_places, address_place);

struct address_counts {
    pthread_mutex_t mutex; // guards all below
    size_t most;
    const struct net_network_list *exempt;
    uint64_t seed;
    uint64_t refusals;
    struct address_places free;
    struct address_place *places; // owned
    size_t bucket_count;
    struct address_places buckets[];
};

enum error_code address_counts_create(size_t most, size_t capacity,
                                      const struct net_network_list *exempt,
                                      struct address_counts **out, struct error *error)
{
    struct address_counts *counts = NULL;

    if (capacity < SIZE_MAX / 128)
        counts = memory_allocate_array(1, sizeof *counts + capacity * sizeof counts->buckets[0]);
    struct address_place *places = memory_allocate_array(2 * capacity, sizeof *places);
    if (counts == NULL || places == NULL) {
        memory_free(counts);
        memory_free(places);
        return error_set(error, ERROR_MEMORY, "ingress: out of memory");
    }
    pthread_mutex_init(&counts->mutex, NULL);
    counts->most = most;
    counts->exempt = exempt;
    counts->bucket_count = capacity;
    counts->places = places;
    // Without a random seed, chosen addresses can make the chains longer; nothing worse happens.
    if (getrandom(&counts->seed, sizeof counts->seed, GRND_NONBLOCK) < 0)
        counts->seed = 0;
    for (size_t i = 0; i < 2 * capacity; i++) // an address and a network for each connection
        SLIST_INSERT_HEAD(&counts->free, &places[i], next);
    *out = counts;
    return ERROR_NONE;
}

void address_counts_destroy(struct address_counts *counts)
{
    if (counts == NULL)
        return;
    pthread_mutex_destroy(&counts->mutex);
    memory_free(counts->places);
    memory_free(counts);
}

static struct address_places *bucket_of_address(struct address_counts *counts,
                                                const struct net_ip *ip)
{
    return &counts->buckets[net_ip_hash(ip, counts->seed) % counts->bucket_count];
}

// NULL: the table is full.
static struct address_place *find_address(struct address_counts *counts, const struct net_ip *ip,
                                          unsigned bits, struct address_place *network)
{
    struct address_places *bucket = bucket_of_address(counts, ip);
    struct address_place *place;

    SLIST_FOREACH (place, bucket, next)
        if (place->bits == bits && net_ip_equals(&place->ip, ip))
            return place;
    place = SLIST_FIRST(&counts->free);
    if (place == NULL)
        return NULL;
    SLIST_REMOVE_HEAD(&counts->free, next);
    *place = (struct address_place){.network = network, .ip = *ip, .bits = bits};
    SLIST_INSERT_HEAD(bucket, place, next);
    return place;
}

static void free_unless_used(struct address_counts *counts, struct address_place *place)
{
    if (place == NULL || place->connections > 0)
        return;
    SLIST_REMOVE(bucket_of_address(counts, &place->ip), place, address_place, next);
    SLIST_INSERT_HEAD(&counts->free, place, next);
}

// NULL: the limit is reached, or the table is full.
static struct address_place *take_address_place(struct address_counts *counts,
                                                const struct net_ip *ip,
                                                struct address_place **full)
{
    struct net_ip client = net_ip_client(ip), first = net_ip_mask(ip, NETWORK_BITS);
    bool has_network = !net_ip_is_v4(ip);
    struct address_place *network =
        has_network ? find_address(counts, &first, NETWORK_BITS, NULL) : NULL;
    struct address_place *place = find_address(counts, &client, ADDRESS_BITS, network);

    *full = NULL;
    if (place != NULL && place->connections >= counts->most)
        *full = place;
    else if (network != NULL && network->connections / ADDRESS_NETWORK_SHARE >= counts->most)
        *full = network;
    if (place != NULL && *full == NULL && (network != NULL || !has_network)) {
        place->connections++;
        if (network != NULL)
            network->connections++;
        return place;
    }
    free_unless_used(counts, place);
    free_unless_used(counts, network);
    return NULL;
}

bool address_counts_take(struct address_counts *counts, const struct net_address *peer,
                         struct address_place **place, struct address_place **full)
{
    struct net_ip ip;

    *place = *full = NULL;
    if (!net_ip_from_address(peer, &ip) || net_network_list_holds(counts->exempt, &ip))
        return true;
    pthread_mutex_lock(&counts->mutex);
    *place = take_address_place(counts, &ip, full);
    pthread_mutex_unlock(&counts->mutex);
    return *place != NULL;
}

// Needs no mutex: while a connection is counted, its places are not freed and their `network` does not change.
bool address_place_is_in(const struct address_place *place, const struct address_place *full)
{
    return place != NULL && (place == full || place->network == full);
}

void address_counts_give_back(struct address_counts *counts, struct address_place *place)
{
    if (place == NULL)
        return;
    pthread_mutex_lock(&counts->mutex);
    struct address_place *network = place->network;
    assert(place->connections > 0);
    place->connections--;
    free_unless_used(counts, place);
    if (network != NULL) {
        assert(network->connections > 0);
        network->connections--;
        free_unless_used(counts, network);
    }
    pthread_mutex_unlock(&counts->mutex);
}

void address_counts_note_refusal(struct address_counts *counts)
{
    pthread_mutex_lock(&counts->mutex);
    counts->refusals++;
    pthread_mutex_unlock(&counts->mutex);
}

uint64_t address_counts_refusals(struct address_counts *counts)
{
    pthread_mutex_lock(&counts->mutex);
    uint64_t refusals = counts->refusals;
    pthread_mutex_unlock(&counts->mutex);
    return refusals;
}

// --- failures -------------------------------------------------------------------------------------
// Failed signatures per client: a set-associative table, like a processor's cache, behind a mutex that is locked only
// for failures.

#define SETS 512
#define PLACES 8 // in a set

struct place {
    struct net_ip ip;
    timestamp_ns last; // failures are forgiven up to this time
    uint64_t count;    // 0: free
};

struct auth_failures {
    pthread_mutex_t mutex; // guards all below
    uint64_t seed;
    uint64_t delayed_401;
    struct place places[SETS][PLACES];
};

enum error_code auth_failures_create(struct auth_failures **out, struct error *error)
{
    struct auth_failures *failures = memory_allocate_array(1, sizeof *failures);

    if (failures == NULL)
        return error_set(error, ERROR_MEMORY, "ingress: out of memory");
    pthread_mutex_init(&failures->mutex, NULL);
    // Without a random seed, chosen addresses can evict one another; nothing worse happens.
    if (getrandom(&failures->seed, sizeof failures->seed, GRND_NONBLOCK) < 0)
        failures->seed = 0;
    *out = failures;
    return ERROR_NONE;
}

void auth_failures_destroy(struct auth_failures *failures)
{
    if (failures == NULL)
        return;
    pthread_mutex_destroy(&failures->mutex);
    memory_free(failures);
}

static void drain_failures(struct place *place, timestamp_ns now)
{
    uint64_t forgiven = (uint64_t)((now - place->last) / FAILURES_DRAIN);

    if (forgiven >= place->count) {
        place->count = 0;
        place->last = now;
    } else {
        place->count -= forgiven;
        place->last += (duration_ns)forgiven * FAILURES_DRAIN;
    }
}

// Its own entry, a free one, or that of the least recently active client of the set.
static struct place *find_failures(struct auth_failures *failures, const struct net_ip *ip,
                                   timestamp_ns now)
{
    struct place *set = failures->places[net_ip_hash(ip, failures->seed) % SETS];
    struct place *oldest = &set[0];

    for (size_t i = 0; i < PLACES; i++) {
        if (set[i].count > 0 && net_ip_equals(&set[i].ip, ip))
            return &set[i];
        if (set[i].count == 0 || (oldest->count > 0 && set[i].last < oldest->last))
            oldest = &set[i];
    }
    *oldest = (struct place){.ip = *ip, .last = now};
    return oldest;
}

static duration_ns delay_of(uint64_t count)
{
    if (count <= FAILURES_FREE)
        return 0;
    if (count <= 2 * FAILURES_FREE)
        return NS_PER_SECOND;
    return count <= 4 * FAILURES_FREE ? 2 * NS_PER_SECOND : FAILURES_SLOWEST;
}

duration_ns auth_failures_note(struct auth_failures *failures, const struct net_ip *ip,
                               timestamp_ns now)
{
    struct net_ip client = net_ip_client(ip);

    pthread_mutex_lock(&failures->mutex);
    struct place *place = find_failures(failures, &client, now);
    drain_failures(place, now);
    place->count++;
    duration_ns delay = delay_of(place->count);
    failures->delayed_401 += delay > 0 ? 1 : 0;
    pthread_mutex_unlock(&failures->mutex);
    return delay;
}

uint64_t auth_failures_delayed(struct auth_failures *failures)
{
    pthread_mutex_lock(&failures->mutex);
    uint64_t delayed_401 = failures->delayed_401;
    pthread_mutex_unlock(&failures->mutex);
    return delayed_401;
}

// --- X-Forwarded-For, read from its right end -----------------------------------------------------

static bool is_port_number(struct slice text)
{
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

// "[2001:db8::1]", "[2001:db8::1]:4711".
static bool parse_bracketed(struct slice text, struct net_ip *ip)
{
    ptrdiff_t bracket = slice_find(text, SLICE("]"));

    if (bracket < 0)
        return false;
    struct slice inside = {.data = text.data + 1, .len = (size_t)bracket - 1};
    struct slice rest = slice_skip(text, (size_t)bracket + 1);
    return slice_find(inside, SLICE(":")) >= 0 && net_ip_parse(inside, ip) &&
           (rest.len == 0 || (rest.data[0] == ':' && is_port_number(slice_skip(rest, 1))));
}

// Some proxies append the port, others do not.
static bool parse_element(struct slice text, struct net_ip *ip)
{
    ptrdiff_t colon = slice_find(text, SLICE(":"));

    if (slice_starts_with(text, SLICE("[")))
        return parse_bracketed(text, ip);
    if (net_ip_parse(text, ip))
        return true;
    struct slice host = {.data = text.data, .len = colon < 0 ? 0 : (size_t)colon};
    return colon > 0 && is_port_number(slice_skip(text, (size_t)colon + 1)) &&
           net_ip_parse(host, ip);
}

// Removes the last element from the list.
static struct slice remove_last_element(struct slice *list)
{
    size_t start = list->len;

    while (start > 0 && list->data[start - 1] != ',')
        start--;
    struct slice last = slice_skip(*list, start);
    list->len = start > 0 ? start - 1 : 0;
    return slice_trim(last);
}

// The result of one field.
enum finding { FINDING_GO_ON, FINDING_CLIENT, FINDING_NOT_READABLE };

static enum finding search_forwarded(struct slice list, const struct net_network_list *trusted,
                                     struct net_ip *client)
{
    while (list.len > 0) {
        struct slice element = remove_last_element(&list);
        if (element.len == 0)
            continue; // RFC 9110 5.6.1.2: empty elements are ignored
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
    // RFC 9110 5.3: several fields are one list, in the order received.
    for (size_t i = head->header_count; i > 0; i--) {
        const struct http_header *header = &head->headers[i - 1];
        if (!slice_equals_ignoring_case(header->name, SLICE("x-forwarded-for")))
            continue;
        enum finding finding = search_forwarded(header->value, trusted, client);
        if (finding != FINDING_GO_ON)
            return finding == FINDING_CLIENT;
    }
    return true;
}
