// X macros: a list is a macro that takes another macro and applies it to each row.
//
//     #define COLOUR_LIST(ROW) ROW(COLOUR_RED, "red") ROW(COLOUR_BLUE, "blue")
//     enum colour { COLOUR_LIST(LIST_ENUMERATOR) COLOURS };
//     const char *const colour_names[COLOURS] = {COLOUR_LIST(LIST_NAME)};
//
//     #define COUNTER_LIST(ROW) ROW(requests, ) ROW(refusals, [REASONS])
//     struct counters { COUNTER_LIST(LIST_COUNTER) };
//     struct live_counters { COUNTER_LIST(LIST_ATOMIC_COUNTER) };
#ifndef GHATRACE_BASE_LIST_H
#define GHATRACE_BASE_LIST_H

#include <stdatomic.h>
#include <stdint.h>

// For rows of a constant and its name.
#define LIST_ENUMERATOR(constant, name) constant,
#define LIST_NAME(constant, name) [constant] = (name),

// For rows of a counter and its dimensions (empty for a single number). Both kinds have the same layout.
#define LIST_COUNTER(counter, dimensions) uint64_t counter dimensions;
#define LIST_ATOMIC_COUNTER(counter, dimensions) _Atomic uint64_t counter dimensions;
_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "layout of counters");

#endif
