// How many connections each client address has: an exact table of bounded size behind a mutex, which
// is taken twice in a connection's life.
#include "addresses.h"

#include <pthread.h>
#include <sys/random.h>

#include "ghatrace/base/memory.h"

#define NETWORK_BITS 48
#define ADDRESS_BITS 128

struct address_place {
    struct address_place *next;    // in its bucket, or among those that are free
    struct address_place *network; // counts its connections as well; NULL: none does
    struct net_ip ip;              // the first of them
    unsigned bits;                 // 48: a network
    size_t connections;
};

struct address_counts {
    pthread_mutex_t mutex; // for all below
    size_t most;
    const struct net_network_list *exempt;
    uint64_t seed;
    uint64_t refusals;
    struct address_place *free;
    struct address_place *places; // owned
    size_t bucket_count;
    struct address_place *buckets[];
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
    // Without it chains grow longer where somebody chooses addresses for that, and nothing worse.
    if (getrandom(&counts->seed, sizeof counts->seed, GRND_NONBLOCK) < 0)
        counts->seed = 0;
    for (size_t i = 0; i < 2 * capacity; i++) { // one for the address, one for its network
        places[i].next = counts->free;
        counts->free = &places[i];
    }
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

static struct address_place **bucket_of(struct address_counts *counts, const struct net_ip *ip)
{
    return &counts->buckets[net_ip_hash(ip, counts->seed) % counts->bucket_count];
}

// NULL: no room for another one.
static struct address_place *find_place(struct address_counts *counts, const struct net_ip *ip,
                                        unsigned bits, struct address_place *network)
{
    struct address_place **bucket = bucket_of(counts, ip);

    for (struct address_place *place = *bucket; place != NULL; place = place->next)
        if (place->bits == bits && net_ip_equals(&place->ip, ip))
            return place;
    struct address_place *place = counts->free;
    if (place == NULL)
        return NULL;
    counts->free = place->next;
    *place = (struct address_place){.next = *bucket, .network = network, .ip = *ip, .bits = bits};
    *bucket = place;
    return place;
}

static void free_unless_used(struct address_counts *counts, struct address_place *place)
{
    if (place == NULL || place->connections > 0)
        return;
    struct address_place **link = bucket_of(counts, &place->ip);
    while (*link != place)
        link = &(*link)->next;
    *link = place->next;
    place->next = counts->free;
    counts->free = place;
}

// NULL: there are as many as may be.
static struct address_place *take_place(struct address_counts *counts, const struct net_ip *ip,
                                        struct address_place **full)
{
    struct net_ip client = net_ip_client(ip), first = net_ip_mask(ip, NETWORK_BITS);
    bool has_network = !net_ip_is_v4(ip);
    struct address_place *network =
        has_network ? find_place(counts, &first, NETWORK_BITS, NULL) : NULL;
    struct address_place *place = find_place(counts, &client, ADDRESS_BITS, network);

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
    *place = take_place(counts, &ip, full);
    pthread_mutex_unlock(&counts->mutex);
    return *place != NULL;
}

// Both are read without the mutex: while a connection is counted, its places stay and point where they do.
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
    place->connections--;
    free_unless_used(counts, place);
    if (network != NULL) {
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
