// Every heap allocation of the program goes through here, so that tests can make any of them fail.
#ifndef GHATRACE_BASE_MEMORY_H
#define GHATRACE_BASE_MEMORY_H

#include <stddef.h>

#include "ghatrace/base/error.h"

// As malloc, calloc, realloc, free of the C library. NULL when refused. A size of 0 gives a unique
// pointer. memory_allocate_array checks count * size for overflow and zeroes.
void *memory_allocate(size_t size) MUST_CHECK;
void *memory_allocate_array(size_t count, size_t size) MUST_CHECK;
void *memory_resize(void *block, size_t size) MUST_CHECK;
void memory_free(void *block);

// For a daemon, at its start: blocks from a mebibyte on go back to the system when they are freed. The C library would
// keep ever larger ones after the first.
void memory_return_large_blocks(void);

// A NUL-terminated copy of `len` bytes. NULL when refused.
char *memory_copy_string(const char *data, size_t len) MUST_CHECK;

// For tests: the allocation after `skip` more successful ones fails, once. A negative `skip` turns
// the fault off. Counts over all threads.
void memory_fail_after(long skip);
// For tests: allocations asked for since the last memory_fail_after().
long memory_count_allocations(void);

#endif
