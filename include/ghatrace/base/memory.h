// Every heap allocation of the program goes through here, so that tests can make any of them fail.
#ifndef GHATRACE_BASE_MEMORY_H
#define GHATRACE_BASE_MEMORY_H

#include <stddef.h>

#include "ghatrace/base/error.h"

// Like malloc, calloc, realloc, free of the C library. NULL on failure. A size of 0 gives a unique pointer.
// memory_allocate_array checks count * size for overflow and zeroes the memory.
void *memory_allocate(size_t size) MUST_CHECK;
void *memory_allocate_array(size_t count, size_t size) MUST_CHECK;
void *memory_resize(void *block, size_t size) MUST_CHECK;
void memory_free(void *block);

// For the start of a daemon: blocks of 1 MiB and more are returned to the system when they are freed. By default the C
// library raises this threshold with each large block that is freed.
void memory_return_large_blocks(void);

// A NUL-terminated copy of `len` bytes. NULL when out of memory.
char *memory_copy_string(const char *data, size_t len) MUST_CHECK;

// For tests: after `skip` more successful allocations, one fails. A negative `skip` disables the fault. Counts over all
// threads.
void memory_fail_after(long skip);
// For tests: allocations requested since the last memory_fail_after().
long memory_count_allocations(void);

#endif
