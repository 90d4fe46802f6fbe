// Resolves host names without blocking the loop: getaddrinfo runs in a separate thread, so that /etc/hosts, nsswitch
// and search domains work as usual.
#ifndef GHATRACE_NET_RESOLVER_H
#define GHATRACE_NET_RESOLVER_H

#include "ghatrace/net/address.h"
#include "ghatrace/net/loop.h"

struct net_resolver;

#define NET_RESOLVED_MAX 8

// `count` 0 means failure, with `error` set. Called in the loop.
typedef void (*net_resolved)(void *context, const struct net_address *addresses, size_t count,
                             const struct error *error);

enum error_code net_resolver_create(struct net_loop *loop, struct net_resolver **resolver,
                                    struct error *error) MUST_CHECK;
// Does not wait for a look-up in progress; its later result is dropped.
void net_resolver_destroy(struct net_resolver *resolver);
// One look-up at a time per resolver; a second one while one runs replaces its callback's context. Numeric addresses
// are resolved in the loop's next turn without a thread.
enum error_code net_resolver_start(struct net_resolver *resolver, const char *host, uint16_t port,
                                   net_resolved callback, void *context,
                                   struct error *error) MUST_CHECK;

#endif
