// Shared by the fuzz targets. Each target is one function over bytes; libFuzzer drives it in
// `make fuzz`, and the seeds drive it in `make test`.
#ifndef GHATRACE_TESTS_FUZZ_H
#define GHATRACE_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "ghatrace/base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A property that must hold; a violation is a finding.
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline struct slice fuzz_slice(const uint8_t *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

// Up to the first line break, which is dropped; for targets that take more than one text.
static inline struct slice fuzz_take_line(struct slice *rest)
{
    ptrdiff_t end = slice_find(*rest, SLICE("\n"));
    size_t len = end < 0 ? rest->len : (size_t)end;
    size_t next = end < 0 ? len : len + 1;
    const struct slice line = {rest->data, len};
    *rest = (struct slice){rest->data + next, rest->len - next};
    return line;
}

#endif
