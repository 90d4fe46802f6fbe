// The memory that large bodies may take at a time, over all threads. It is counted as they come in and not as they
// are announced: who promises 25 MiB and sends nothing takes nothing from the others. Not counted: what a body is
// copied to while its buffer grows, and what it is decoded to until the engine has it to do, one at a time in each
// thread.
#ifndef GHATRACE_INGRESS_BODY_MEMORY_H
#define GHATRACE_INGRESS_BODY_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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
    atomic_fetch_sub(&memory->held, bytes);
}

#endif
