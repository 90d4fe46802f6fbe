// Files of tests/fixtures, and copies of them with one thing changed. Paths are from the top of the
// source tree, where `make` runs the tests. An error in these functions ends the test program.
#ifndef GHATRACE_TESTS_SUPPORT_FIXTURE_H
#define GHATRACE_TESTS_SUPPORT_FIXTURE_H

#include "ghatrace/base/slice.h"

// The whole file; the caller frees `data`.
struct slice fixture_read(const char *path);

// A copy of `text` with the first `find`, which must be there, replaced; the caller frees `data`.
struct slice fixture_replace(struct slice text, const char *find, const char *replacement);

void fixture_free(struct slice fixture);

#endif
