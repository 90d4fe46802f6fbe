// Structured log lines to standard error: logfmt or JSON, one line per call, safe from any thread.
//
//     log_info("listening", LOG_STRING("address", address), LOG_INT("threads", 4));
//     → time=2026-09-03T04:16:57.569Z level=info msg=listening address=127.0.0.1:8080 threads=4
//
// Values from strangers are escaped. Secrets are never passed here.
#ifndef GHATRACE_BASE_LOG_H
#define GHATRACE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

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

#endif
