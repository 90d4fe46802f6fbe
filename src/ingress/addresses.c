// How many connections each client address has: an exact table of bounded size behind a mutex, which
// is taken twice in a connection's life.
#include "addresses.h"

#include <pthread.h>
#include <sys/random.h>

#include "ghatrace/base/memory.h"

struct address_place {
    struct address_place *next; // in its bucket, or among those that are free
    struct net_ip ip;
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

    if (capacity < SIZE_MAX / 64)
        counts = memory_allocate_array(1, sizeof *counts + capacity * sizeof counts->buckets[0]);
    struct address_place *places = memory_allocate_array(capacity, sizeof *places);
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
    for (size_t i = 0; i < capacity; i++) {
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

// NULL: no room for another address.
static struct address_place *find_place(struct address_counts *counts, const struct net_ip *ip)
{
    struct address_place **bucket = bucket_of(counts, ip);

    for (struct address_place *place = *bucket; place != NULL; place = place->next)
        if (net_ip_equals(&place->ip, ip))
            return place;
    struct address_place *place = counts->free;
    if (place == NULL)
        return NULL;
    counts->free = place->next;
    *place = (struct address_place){.next = *bucket, .ip = *ip};
    *bucket = place;
    return place;
}

bool address_counts_take(struct address_counts *counts, const struct net_address *peer,
                         struct address_place **place)
{
    struct net_ip ip;

    *place = NULL;
    if (!net_ip_from_address(peer, &ip) || net_network_list_holds(counts->exempt, &ip))
        return true;
    ip = net_ip_client(&ip);
    pthread_mutex_lock(&counts->mutex);
    *place = find_place(counts, &ip);
    bool has_room = *place != NULL && (*place)->connections < counts->most;
    if (has_room)
        (*place)->connections++;
    pthread_mutex_unlock(&counts->mutex);
    return has_room;
}

void address_counts_give_back(struct address_counts *counts, struct address_place *place)
{
    if (place == NULL)
        return;
    pthread_mutex_lock(&counts->mutex);
    if (--place->connections == 0) {
        struct address_place **link = bucket_of(counts, &place->ip);
        while (*link != place)
            link = &(*link)->next;
        *link = place->next;
        place->next = counts->free;
        counts->free = place;
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
