// Who signs wrongly: sets of a few places each, as in a processor's cache, behind a mutex that only those take
// who fail.
#include "failures.h"

#include <pthread.h>
#include <sys/random.h>

#include "ghatrace/base/memory.h"

#define SETS 512
#define PLACES 8 // in a set

struct place {
    struct net_ip ip;
    timestamp_ns last; // until when failures were forgiven
    uint64_t count;    // 0: free
};

struct failures {
    pthread_mutex_t mutex; // for all below
    uint64_t seed;
    uint64_t slowed;
    struct place places[SETS][PLACES];
};

enum error_code failures_create(struct failures **out, struct error *error)
{
    struct failures *failures = memory_allocate_array(1, sizeof *failures);

    if (failures == NULL)
        return error_set(error, ERROR_MEMORY, "ingress: out of memory");
    pthread_mutex_init(&failures->mutex, NULL);
    // Without it somebody could choose addresses that push each other out, and nothing worse.
    if (getrandom(&failures->seed, sizeof failures->seed, GRND_NONBLOCK) < 0)
        failures->seed = 0;
    *out = failures;
    return ERROR_NONE;
}

void failures_destroy(struct failures *failures)
{
    if (failures == NULL)
        return;
    pthread_mutex_destroy(&failures->mutex);
    memory_free(failures);
}

static void forgive(struct place *place, timestamp_ns now)
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

// Its own place, a free one, or that of the client that has been quiet for longest.
static struct place *find_place(struct failures *failures, const struct net_ip *ip,
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

duration_ns failures_note(struct failures *failures, const struct net_ip *ip, timestamp_ns now)
{
    struct net_ip client = net_ip_client(ip);

    pthread_mutex_lock(&failures->mutex);
    struct place *place = find_place(failures, &client, now);
    forgive(place, now);
    place->count++;
    duration_ns delay = delay_of(place->count);
    failures->slowed += delay > 0 ? 1 : 0;
    pthread_mutex_unlock(&failures->mutex);
    return delay;
}

uint64_t failures_slowed(struct failures *failures)
{
    pthread_mutex_lock(&failures->mutex);
    uint64_t slowed = failures->slowed;
    pthread_mutex_unlock(&failures->mutex);
    return slowed;
}
