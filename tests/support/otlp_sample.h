// Spans for tests of code that handles encoded batches, and helpers for bytes written as hexadecimal.
#ifndef TESTS_SUPPORT_OTLP_SAMPLE_H
#define TESTS_SUPPORT_OTLP_SAMPLE_H

#include <stdbool.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/trace/span.h"

// Two spans that use everything in the span model: a root with a link and a failed child.
// `*batch` points to constant static data.
void otlp_sample_batch(struct span_batch *batch);

// `out` gets the bytes of "0a 0b0c": blanks between digits are ignored. Fails the test on
// anything else.
void append_hex(struct buffer *out, const char *text);
void assert_hex(struct slice bytes, const char *text);

#endif
