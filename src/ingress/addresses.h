// How many connections each client address has, over all threads.
#ifndef GHATRACE_INGRESS_ADDRESSES_H
#define GHATRACE_INGRESS_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/net/network.h"

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

#endif
