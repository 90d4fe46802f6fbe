// Webhook secrets: from a file, one per line, or from GITHUB_WEBHOOK_SECRET.
#ifndef GHATRACE_APP_SECRETS_H
#define GHATRACE_APP_SECRETS_H

#include <stddef.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/receiver/receiver.h"

#define SECRETS_MAX 64 // a rotation needs two

// Wiped when it is released.
struct secrets {
    struct buffer text; // owned; the items point into it
    struct slice items[SECRETS_MAX];
    size_t lines[SECRETS_MAX]; // the line number of each, from 1
    size_t count;
    const char *source; // the file's path, or the variable's name; not owned
};

void secrets_init(struct secrets *secrets);
void secrets_release(struct secrets *secrets);
// Parses the lines of a file, which end in LF or CRLF. A byte order mark at the start of a line is skipped, and so
// are blank lines; otherwise blanks are part of a secret, and so is '#'. ERROR_USAGE if there is none, or too many,
// or the file cannot be read or is in UTF-16; ERROR_MEMORY.
enum error_code secrets_read_text(struct secrets *secrets, struct slice text,
                                  struct error *error) MUST_CHECK;
// Loads from the file if there is one, else the one text, else none: `count` 0. Either may be NULL.
enum error_code secrets_load(struct secrets *secrets, const char *path, const char *text,
                             struct error *error) MUST_CHECK;
// Like secrets_load() from a file, for tokens, which have a minimum length.
enum error_code secrets_load_tokens(struct secrets *secrets, const char *path,
                                    struct error *error) MUST_CHECK;
// Like secrets_load() from a file, for lines `arc TOKEN` and `job TOKEN` (receiver/receiver.h); no token has both roles.
enum error_code secrets_load_roles(struct secrets *secrets, const char *path,
                                   struct error *error) MUST_CHECK;
// Of lines that were loaded so.
size_t secrets_count_of_role(const struct secrets *secrets, enum receiver_role role);
// Likely mistakes are kept and reported: blanks at the ends, surrounding quotes. One sentence each, with file and
// line, never the secret. `warning` is valid during the call.
void secrets_report_mistakes(const struct secrets *secrets,
                             void (*report)(void *context, const char *warning), void *context);

#endif
