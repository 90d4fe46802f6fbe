// Logging: one line of key=value pairs (logfmt) or JSON per event, written by a separate thread, with a rate limit for
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
// Untrusted values are escaped. Never pass secrets.

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
// From here on a separate thread writes the lines, and no other thread is ever blocked by logging. ERROR_IO.
enum error_code log_start(struct error *error) MUST_CHECK;
// `fields` must end with LOG_END; the macros below add it.
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
// Rate limit for log lines of one kind that clients or a persistent fault can cause in any number. Pure; one thread at
// a time.

#define LOG_LIMIT_LINES 10 // per window
#define LOG_LIMIT_WINDOW NS_PER_MINUTE

// Initialized with zeros.
struct log_limit {
    timestamp_ns window_start; // monotonic
    unsigned lines;
    uint64_t suppressed;
};

// True if one more line may be written at `now` (timestamp_monotonic). `*suppressed` is then the number of lines
// suppressed since the last one written; the line should report it.
bool log_limit_allows(struct log_limit *limit, timestamp_ns now, uint64_t *suppressed);

// --- log queue ------------------------------------------------------------------------------------
// How log lines are written to standard error: at once by the caller, for tools, or, after log_start(), by a separate
// thread, so that a standard error that is not read (a pipe to a pager, a stopped journal) blocks no other thread. The
// queue holds 256 KiB; lines beyond that are dropped and counted, and when writing works again, a line reports the
// number.

#define LOG_LINE_BYTES_MAX 4096 // PIPE_BUF of Linux: a write of this size to a pipe is atomic

// Formats the line that reports that `lines` were dropped; returns its length.
typedef size_t log_compose_drops(uint64_t lines, char line[LOG_LINE_BYTES_MAX]);

// Lines dropped since the start of the process: the queue was full, or standard error is closed or failing.
uint64_t log_dropped_lines(void);

// Waits until all lines are written, at most `patience_ms`. Safe in signal handlers, like the next.
void log_flush(int patience_ms);
// For the end of the process: flushes, then writes the text directly, bypassing the queue, unless that would block for
// longer than `patience_ms`.
void log_final_message(const char *text, size_t len, int patience_ms);

#endif
