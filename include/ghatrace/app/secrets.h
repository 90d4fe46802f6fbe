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
    size_t count;
};

void secrets_init(struct secrets *secrets);
void secrets_release(struct secrets *secrets);
// Lines of the file, without CR and LF at their ends. Lines of nothing but blanks are skipped;
// otherwise blanks are part of a secret, and so is '#'. ERROR_USAGE when there is none, or too many, or the
// file cannot be read; ERROR_MEMORY.
enum error_code secrets_read_file(struct secrets *secrets, const char *what, const char *path,
                                  struct error *error) MUST_CHECK;
enum error_code secrets_read_text(struct secrets *secrets, struct slice text,
                                  struct error *error) MUST_CHECK;
// From the file if there is one, else the one text, else none: `count` 0. Either may be NULL.
enum error_code secrets_load(struct secrets *secrets, const char *path, const char *text,
                             struct error *error) MUST_CHECK;

#endif
