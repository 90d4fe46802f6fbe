// Webhook secrets: from a file, one a line, or from GITHUB_WEBHOOK_SECRET.
#ifndef GHATRACE_APP_SECRETS_H
#define GHATRACE_APP_SECRETS_H

#include <stddef.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

#define SECRETS_MAX 64 // a rotation needs two

// Wiped when released.
struct secrets {
    struct buffer text; // owned; what the items point into
    struct slice items[SECRETS_MAX];
    size_t lines[SECRETS_MAX]; // where each stands, from 1 on
    size_t count;
    const char *source; // the file's path, or the variable's name; not owned
};

void secrets_init(struct secrets *secrets);
void secrets_release(struct secrets *secrets);
// The lines of a file, which end in LF or CRLF. A byte order mark in front of a line is skipped, and so are lines of
// nothing but blanks; otherwise blanks are part of a secret, and so is '#'. ERROR_USAGE when there is none, or too many,
// or the file cannot be read or is in UTF-16; ERROR_MEMORY.
enum error_code secrets_read_text(struct secrets *secrets, struct slice text,
                                  struct error *error) MUST_CHECK;
// From the file if there is one, else the one text, else none: `count` 0. Either may be NULL.
enum error_code secrets_load(struct secrets *secrets, const char *path, const char *text,
                             struct error *error) MUST_CHECK;
// As secrets_load() from a file, of tokens, which have a least length.
enum error_code secrets_load_tokens(struct secrets *secrets, const char *path,
                                    struct error *error) MUST_CHECK;
// What may be a slip is kept, and reported: blanks at the ends, quotes around. A sentence each, which names file
// and line, never the secret. `warning` lives for the call.
void secrets_report_slips(const struct secrets *secrets,
                          void (*report)(void *context, const char *warning), void *context);

#endif
