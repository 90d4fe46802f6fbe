// Who the client is, where trusted proxies stand between it and us. Pure.
#ifndef GHATRACE_INGRESS_FORWARDED_H
#define GHATRACE_INGRESS_FORWARDED_H

#include "ghatrace/http/parser.h"
#include "ghatrace/net/network.h"

// The rightmost address of X-Forwarded-For that is no trusted proxy: each proxy adds behind the others
// whom it heard, so what stands further left is only what that one claims. Where all are trusted, the
// leftmost; without the field, `peer`, which is a trusted proxy. False: what would name the client
// is no address.
bool forwarded_find_client(const struct http_head *head, const struct net_network_list *trusted,
                           const struct net_ip *peer, struct net_ip *client) MUST_CHECK;

#endif
