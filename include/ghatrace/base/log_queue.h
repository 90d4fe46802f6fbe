// How log lines reach standard error: written at once by the caller, as tools want it, or, after log_queue_start(),
// by a thread of its own, so that a standard error that is not read (a pipe to a pager, a journal that has
// stopped) blocks no other thread. What does not fit into its 256 KiB is dropped and counted; when writing
// works again, a line says how many there were.
#ifndef GHATRACE_BASE_LOG_QUEUE_H
#define GHATRACE_BASE_LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"

#define LOG_LINE_BYTES_MAX 4096 // PIPE_BUF of Linux: a write of this size to a pipe is atomic

// Writes the line that says that `lines` were dropped; returns its length.
typedef size_t log_compose_drops(uint64_t lines, char line[LOG_LINE_BYTES_MAX]);

// Starts the thread, once, for the rest of the process. ERROR_IO.
enum error_code log_queue_start(log_compose_drops *compose_drops, struct error *error) MUST_CHECK;
bool log_queue_is_running(void);
// From any thread; never blocks. At most LOG_LINE_BYTES_MAX bytes.
void log_queue_put(const char *line, size_t len);
// Writes all of it, in the calling thread, and blocks while nothing is read. False: it cannot be written.
bool log_write_now(const char *text, size_t len);
// Lines that were not written since the start of the process: too many, or standard error is closed or failing.
uint64_t log_dropped_lines(void);

// Waits until all lines were written, at most `patience_ms`. Safe in signal handlers, as is the next.
void log_flush(int patience_ms);
// For the end of the process: flushes, then writes the text past the queue if that does not block for longer than
// `patience_ms`.
void log_last_words(const char *text, size_t len, int patience_ms);

#endif
