// Limits for each client address, shared by all threads: connections, failed signatures, memory for large bodies; and
// which address a trusted proxy speaks for.
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

// --- how many connections each client address has, over all threads -------------------------------

struct address_counts;
struct address_place; // what the connections of one address have in common, or those of one network

#define ADDRESS_NETWORK_SHARE 4

// At most `most` for each address, which of IPv6 is a /64: that much any client has to itself; and of IPv6 for each
// /48, which many sites have to themselves, ADDRESS_NETWORK_SHARE times as many. Holds
// `capacity` connections at least; more may be refused. The addresses of `exempt`, which outlives it, are not counted.
enum error_code address_counts_create(size_t most, size_t capacity,
                                      const struct net_network_list *exempt,
                                      struct address_counts **counts,
                                      struct error *error) MUST_CHECK;
void address_counts_destroy(struct address_counts *counts);

// One more connection; from any thread. True: `*place`, which is NULL where the address is not counted, is
// to be given back. False: there are as many as may be, and `*full` only serves to find the others; NULL: the table
// is full.
bool address_counts_take(struct address_counts *counts, const struct net_address *peer,
                         struct address_place **place, struct address_place **full) MUST_CHECK;
// Does `full` count the connections of `place`, which is NULL or not yet given back?
bool address_place_is_in(const struct address_place *place, const struct address_place *full);
void address_counts_give_back(struct address_counts *counts, struct address_place *place);
// A connection was refused for good.
void address_counts_note_refusal(struct address_counts *counts);
uint64_t address_counts_refusals(struct address_counts *counts);

// --- failures -------------------------------------------------------------------------------------
// Who signs wrongly, and how long such a client waits for its answer. A table of fixed size; the client that
// was quiet for longest makes room for another, so a flood from everywhere forgets some and holds nobody.

#define FAILURES_FREE 20                     // answered at once, for a start
#define FAILURES_DRAIN (3 * NS_PER_SECOND)   // one failure is forgiven in this time
#define FAILURES_SLOWEST (5 * NS_PER_SECOND) // GitHub itself waits for 10 s

struct failures;

enum error_code failures_create(struct failures **failures, struct error *error) MUST_CHECK;
void failures_destroy(struct failures *failures);

// One more failed signature, at `now` by the steady clock; of IPv6 the /64 counts. Returns how long its answer is
// to be held back: 0, then 1 s, 2 s and FAILURES_SLOWEST as they go on. From any thread.
duration_ns failures_note(struct failures *failures, const struct net_ip *ip, timestamp_ns now);
// How many were held back.
uint64_t failures_slowed(struct failures *failures);

// --- who the client is, where trusted proxies stand between it and us. Pure -----------------------

// The rightmost address of X-Forwarded-For that is no trusted proxy: each proxy adds behind the others
// whom it heard, so what stands further left is only what that one claims. Where all are trusted, the
// leftmost; without the field, `peer`, which is a trusted proxy. False: what would name the client
// is no address.
bool forwarded_find_client(const struct http_head *head, const struct net_network_list *trusted,
                           const struct net_ip *peer, struct net_ip *client) MUST_CHECK;

// --- body memory ----------------------------------------------------------------------------------
// The memory that large bodies may take at a time, over all threads. It is counted as they come in and not as they
// are announced: who promises 25 MiB and sends nothing takes nothing from the others. Not counted: what a body is
// copied to while its buffer grows, and what it is decoded to until the engine has it to do, one at a time in each
// thread.

struct body_memory {
    uint64_t most; // bytes
    atomic_uint_fast64_t held;
};

// False: there is not as much left, and nothing has changed. From any thread.
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
