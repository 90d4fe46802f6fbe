// The secrets in use, for signature checks.
#ifndef GHATRACE_WEBHOOK_SECRETS_H
#define GHATRACE_WEBHOOK_SECRETS_H

#include <stdatomic.h>

#include "ghatrace/webhook/webhook.h"

// An immutable set: a check in progress keeps the set that it began with.
struct secret_set {
    atomic_size_t holders;
    size_t size; // bytes of the whole block, which is wiped when freed
    size_t count;
    struct slice items[]; // into the same block
};

// Returns a reference to the current set, to be released with secrets_unref(). From any thread.
struct secret_set *secrets_ref(struct ingress_secrets *secrets);
void secrets_unref(struct secret_set *set);

#endif
