// Errors are values: a code that decides how to react, and a sentence that describes what happened.
//
// A function that can fail returns an `enum error_code` (0 is success) and takes, as its last
// parameter, a `struct error *` that it fills on failure. Each caller may prepend its own context
// ("store: put span: map full") with error_wrap(). The error is logged once, where it is handled. Nothing here
// allocates.
#ifndef GHATRACE_BASE_ERROR_H
#define GHATRACE_BASE_ERROR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((__format__(__printf__, text, first)))

// Codes, and the texts used when a code is shown without a message.
#define ERROR_CODES(X)                                                                             \
    X(ERROR_NONE, 0, "success")                                                                    \
    X(ERROR_MEMORY, -1, "out of memory")        /* the allocator refused */                        \
    X(ERROR_INVALID, -2, "invalid input")       /* the input breaks its grammar or contract */     \
    X(ERROR_TOO_LARGE, -3, "too large")         /* the input is over a cap */                      \
    X(ERROR_IO, -4, "input/output error")       /* the system refused a read, write or sync */     \
    X(ERROR_FULL, -5, "full")                   /* store, disk or queue has no room */             \
    X(ERROR_CORRUPT, -6, "damaged data")        /* what was stored cannot be read back */          \
    X(ERROR_BUSY, -7, "in use")                 /* another process holds it */                     \
    X(ERROR_NOT_FOUND, -8, "not found")         /* asked for something that is not there */        \
    X(ERROR_VERSION, -9, "unsupported version") /* the store's format is not ours */               \
    X(ERROR_USAGE, -10, "bad usage or configuration") /* a flag, variable or file line is wrong */ \
    X(ERROR_NETWORK, -11, "network error")            /* connect, send, receive or name lookup */  \
    X(ERROR_TIMEOUT, -12, "timed out")                /* a deadline passed */                      \
    X(ERROR_CLOSED, -13, "closed")                    /* the other side, or we, are going away */

enum error_code {
#define X(name, value, text) name = (value),
    ERROR_CODES(X)
#undef X
};

struct error {
    enum error_code code;
    char message[256]; // one line, lower case, no final period; truncated if too long
};

// The text of a code. Static storage.
const char *error_code_text(enum error_code code);

// Fills `error` (if it is not NULL) and returns `code`, so that `return error_set(...)` reads well.
enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);

// Prepends context to the message: "context: message". Returns the code in `error` (ERROR_NONE if `error` is NULL, so
// pass a real one where the code is needed).
enum error_code error_wrap(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
