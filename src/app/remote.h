// Commands that ask a running daemon instead of reading the store: --url, --token-file, --ca-file.
#ifndef GHATRACE_APP_REMOTE_H
#define GHATRACE_APP_REMOTE_H

#include <stdbool.h>

#include "cli.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/json/read.h"

// Flags of such a command, the last in its table; the variables GHATRACE_URL, GHATRACE_TOKEN_FILE and GHATRACE_CA_FILE do
// the same.
#define REMOTE_FLAGS                                                                               \
    {"url", "URL", "ask the daemon whose admin-listen is there, instead of reading the store"},    \
        {"token-file", "FILE", "with --url: the token for it, as in admin-token-file"},            \
    {                                                                                              \
        "ca-file", "FILE", "with an https --url: the authorities to trust, in PEM"                 \
    }
#define REMOTE_DETAILS                                                                             \
    "--url asks a running daemon, also behind a proxy: http://HOST:PORT or https://HOST/PATH. "    \
    "Then no\n"                                                                                    \
    "store and no file of settings is read. GHATRACE_URL, GHATRACE_TOKEN_FILE and "                \
    "GHATRACE_CA_FILE\n"                                                                           \
    "do the same as --url, --token-file and --ca-file. Exit status: 0; 1: not there, or no "       \
    "answer; 2: bad usage.\n"

// In what time an answer must be there, and how long it may be.
#define REMOTE_PATIENCE (10 * NS_PER_SECOND)
#define REMOTE_ANSWER_MAX ((size_t)64 << 20)

struct remote;

struct remote_place {
    const char *url;        // without a scheme: http
    const char *token_file; // NULL: none
    const char *ca_file;    // PEM; NULL: SSL_CERT_FILE, else the system's authorities
    // what names the URL, and the file with the token, in messages
    const char *url_setting, *token_setting;
};
// ERROR_USAGE: the URL or one of the files; ERROR_MEMORY. Nothing is sent yet. Texts must outlive it.
enum error_code remote_open_at(const struct remote_place *place, struct remote **remote,
                               struct error *error) MUST_CHECK;
// By the flags and variables of a command. ERROR_USAGE: the URL or one of the files, or a flag that makes no sense with --url; ERROR_MEMORY. Nothing is sent yet.
enum error_code remote_open(const struct cli_args *cli_args, struct remote **remote,
                            struct error *error) MUST_CHECK;
void remote_close(struct remote *remote); // NULL does nothing

// `is_wanted` is called every tenth of a second while a request waits. When it is false the request ends, with
// ERROR_CLOSED.
void remote_stop_unless(struct remote *remote, bool (*is_wanted)(void *context), void *context);

// Whether the last request ended so.
bool remote_is_interrupted(const struct remote *remote);

// An answer of the API: an object. All of it is in the arena.
struct remote_answer {
    struct slice text;
    struct json_document document;
};
// GET; `path` begins with "api/". The messages say what to do. ERROR_NOT_FOUND: what the daemon says of that;
// ERROR_INVALID: another answer; ERROR_TIMEOUT, ERROR_NETWORK, ERROR_CLOSED, ERROR_MEMORY.
enum error_code remote_get(struct remote *remote, const char *path, struct arena *arena,
                           struct remote_answer *answer, struct error *error) MUST_CHECK;
// The same of an answer that was made from the store: it is copied. ERROR_MEMORY, ERROR_INVALID.
enum error_code remote_answer_of(struct slice text, struct arena *arena,
                                 struct remote_answer *answer, struct error *error) MUST_CHECK;
// "api/..." and a part of a path, in RFC 3986's encoding. False if there is no room for it.
bool remote_append_encoded(char *path, size_t room, struct slice part) MUST_CHECK;
// Appends the answer as it is, for --json.
enum error_code remote_pass_on(const struct remote_answer *answer, struct buffer *text,
                               struct error *error) MUST_CHECK;

// What a command reads when it makes a text from answers.
struct remote_call {
    struct remote *remote;
    const struct cli_args *cli_args;
    const void *question; // what the command has read from its flags and operands
};
// Appends the text. What it writes to standard error comes before the text.
typedef enum error_code remote_writer(const struct remote_call *call, struct buffer *text,
                                      struct error *error);
// Prints what the writer makes, of at most `most` bytes, or its error. Returns the exit status.
int remote_run(const struct cli_args *cli_args, size_t most, remote_writer *write_text,
               const void *question);

#endif
