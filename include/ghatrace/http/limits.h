// Limits per client address, shared by all threads: connections, failed signatures, memory for large bodies; and the
// client address that trusted proxies report.
#ifndef GHATRACE_HTTP_LIMITS_H
#define GHATRACE_HTTP_LIMITS_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/net/address.h"

// --- connections per client address, over all threads ---------------------------------------------

struct address_counts;
struct address_place; // the count of one address or of one network

#define ADDRESS_NETWORK_SHARE 4

// At most `most` connections per address. For IPv6 the limit applies to each /64, since a client usually has a whole
// /64; each /48, the size of many sites, may have ADDRESS_NETWORK_SHARE times as many. The table has room for at least
// `capacity` connections; more may be refused. Addresses in `exempt`, which must outlive the table, are not counted.
enum error_code address_counts_create(size_t most, size_t capacity,
                                      const struct net_network_list *exempt,
                                      struct address_counts **counts,
                                      struct error *error) MUST_CHECK;
void address_counts_destroy(struct address_counts *counts);

// Counts one more connection; from any thread. True: the caller must give `*place` back; it is NULL for an exempt
// address. False: a limit is reached, and `*full` is its count, only for address_place_is_in(); NULL: the table is
// full.
bool address_counts_take(struct address_counts *counts, const struct net_address *peer,
                         struct address_place **place, struct address_place **full) MUST_CHECK;
// True if `full` counts the connections of `place`, which is NULL or not yet given back.
bool address_place_is_in(const struct address_place *place, const struct address_place *full);
void address_counts_give_back(struct address_counts *counts, struct address_place *place);
// Counts a refused connection.
void address_counts_note_refusal(struct address_counts *counts);
uint64_t address_counts_refusals(struct address_counts *counts);

// --- failures -------------------------------------------------------------------------------------
// Counts failed signatures per client and computes how long to delay the response. The table has a fixed size: the
// least recently active client is evicted, so a flood from many addresses loses some counts but never delays a client
// without failures.

#define FAILURES_FREE 20                     // the first ones are not delayed
#define FAILURES_DRAIN (3 * NS_PER_SECOND)   // one failure is forgiven in this time
#define FAILURES_SLOWEST (5 * NS_PER_SECOND) // GitHub itself waits for 10 s

struct auth_failures;

enum error_code auth_failures_create(struct auth_failures **failures,
                                     struct error *error) MUST_CHECK;
void auth_failures_destroy(struct auth_failures *failures);

// Counts a failed signature at `now` (monotonic clock); IPv6 clients are counted per /64. Returns the delay of the
// response: 0 at first, then 1 s, 2 s and FAILURES_SLOWEST as failures continue. From any thread.
duration_ns auth_failures_note(struct auth_failures *failures, const struct net_ip *ip,
                               timestamp_ns now);
// Number of delayed responses.
uint64_t auth_failures_delayed(struct auth_failures *failures);

// --- the client address behind trusted proxies. Pure ----------------------------------------------

// The rightmost address in X-Forwarded-For that is not a trusted proxy: each proxy appends the address of its peer, so
// anything further left is only the client's claim. If all are trusted, the leftmost; without the field, `peer`, which
// is a trusted proxy. False: an element on the way there is not an address.
bool forwarded_find_client(const struct http_head *head, const struct net_network_list *trusted,
                           const struct net_ip *peer, struct net_ip *client) MUST_CHECK;

// --- body memory ----------------------------------------------------------------------------------
// Limits the memory of large bodies over all threads. Bytes are counted when they are received, not when
// Content-Length announces them: a client that announces 25 MiB and sends nothing uses none of the limit. Not counted:
// the copy while a body's buffer grows, and a decoded body until it is handed to the engine; each thread has at most
// one of these at a time.

struct body_memory {
    uint64_t most; // bytes
    atomic_uint_fast64_t held;
};

// False: less than `bytes` is left; nothing has changed. From any thread.
static inline bool body_memory_take(struct body_memory *memory, uint64_t bytes)
{
    uint_fast64_t held = atomic_load(&memory->held);

    do {
        if (bytes > memory->most || held > memory->most - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&memory->held, &held, held + bytes));
    return true;
}

static inline void body_memory_give_back(struct body_memory *memory, uint64_t bytes)
{
    uint_fast64_t held = atomic_fetch_sub(&memory->held, bytes);

    assert(held >= bytes);
    (void)held;
}

#endif
