// Addresses, parsed in the simplest way, to compare with the program's parser.
#ifndef GHATRACE_TESTS_FUZZ_NAIVE_IP_H
#define GHATRACE_TESTS_FUZZ_NAIVE_IP_H

#include <arpa/inet.h>
#include <string.h>

#include "fuzz.h"
#include "ghatrace/net/address.h"

// A NUL-terminated copy; the caller frees it.
static inline char *naive_string(struct slice text)
{
    char *copy = malloc(text.len + 1);
    MUST(copy != NULL);
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

static inline bool naive_v4(const char *text, struct net_ip *ip)
{
    memset(ip->bytes, 0, 10);
    memset(ip->bytes + 10, 0xff, 2);
    return inet_pton(AF_INET, text, ip->bytes + 12) == 1;
}

static inline bool naive_v6(const char *text, struct net_ip *ip)
{
    return inet_pton(AF_INET6, text, ip->bytes) == 1;
}

#endif
