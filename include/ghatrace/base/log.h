// Logging: one line of key=value pairs (logfmt) or JSON for each event, written by a thread of its own, with a limit for
// lines that clients or outages can repeat.
#ifndef GHATRACE_BASE_LOG_H
#define GHATRACE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

// --- log ------------------------------------------------------------------------------------------
// Structured log lines to standard error: logfmt or JSON, one line per call, safe from any thread.
//
//     log_info("listening", LOG_STRING("address", address), LOG_INT("threads", 4));
//     → time=2026-09-03T04:16:57.569Z level=info msg=listening address=127.0.0.1:8080 threads=4
//
// Values from strangers are escaped. Secrets are never passed here.

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
    const char *key;
    enum { LOG_FIELD_END, LOG_FIELD_STRING, LOG_FIELD_INT } type;
    struct slice string;
    int64_t integer;
};

#define LOG_SLICE(k, s) ((struct log_field){.key = (k), .type = LOG_FIELD_STRING, .string = (s)})
#define LOG_STRING(k, s) LOG_SLICE(k, slice_from_string(s))
#define LOG_INT(k, i)                                                                              \
    ((struct log_field){.key = (k), .type = LOG_FIELD_INT, .integer = (int64_t)(i)})
#define LOG_REASON(error) LOG_STRING("error", (error)->message)

// Set once, before threads start.
void log_configure(enum log_level level, enum log_format format);
bool log_is_enabled(enum log_level level);
// From here on lines are written by a thread of its own, and none that logs is ever blocked (log_queue.h). ERROR_IO.
enum error_code log_start(struct error *error) MUST_CHECK;
// `fields` ends with LOG_END; the macros below add it.
void log_write(enum log_level level, const char *message, const struct log_field *fields);

#define LOG_END ((struct log_field){.key = NULL, .type = LOG_FIELD_END})
#define LOG_AT(level, message, ...)                                                                \
    do {                                                                                           \
        if (log_is_enabled(level))                                                                 \
            log_write(level, message, (const struct log_field[]){__VA_ARGS__});                    \
    } while (0)
#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__, LOG_END)
#define log_info(...) LOG_AT(LOG_INFO, __VA_ARGS__, LOG_END)
#define log_warn(...) LOG_AT(LOG_WARN, __VA_ARGS__, LOG_END)
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__, LOG_END)

// --- log limit ------------------------------------------------------------------------------------
// How many log lines of one kind are written where strangers, or a fault that goes on, can cause any
// number of them. Pure; one thread at a time.

#define LOG_LIMIT_LINES 10 // in each window
#define LOG_LIMIT_WINDOW NS_PER_MINUTE

// All zero: nothing was written yet.
struct log_limit {
    timestamp_ns window_start; // by the steady clock
    unsigned lines;
    uint64_t held_back;
};

// May one more line be written at `now` (timestamp_monotonic)? If so, `*held_back` tells how many were not
// since the last one that was: the line should say so.
bool log_limit_allows(struct log_limit *limit, timestamp_ns now, uint64_t *held_back);

// --- log queue ------------------------------------------------------------------------------------
// How log lines reach standard error: written at once by the caller, as tools want it, or, after log_queue_start(),
// by a thread of its own, so that a standard error that is not read (a pipe to a pager, a journal that has
// stopped) blocks no other thread. What does not fit into its 256 KiB is dropped and counted; when writing
// works again, a line says how many there were.

#define LOG_LINE_BYTES_MAX 4096 // PIPE_BUF of Linux: a write of this size to a pipe is atomic

// Writes the line that says that `lines` were dropped; returns its length.
typedef size_t log_compose_drops(uint64_t lines, char line[LOG_LINE_BYTES_MAX]);

// Lines that were not written since the start of the process: too many, or standard error is closed or failing.
uint64_t log_dropped_lines(void);

// Waits until all lines were written, at most `patience_ms`. Safe in signal handlers, as is the next.
void log_flush(int patience_ms);
// For the end of the process: flushes, then writes the text past the queue if that does not block for longer than
// `patience_ms`.
void log_last_words(const char *text, size_t len, int patience_ms);

#endif
