// Reading webhook secrets.
#include "ghatrace/app/secrets.h"

#include "ghatrace/app/files.h"
#include "ghatrace/base/digest.h"

#define SECRETS_FILE_MAX ((size_t)65536)

void secrets_init(struct secrets *secrets)
{
    *secrets = (struct secrets){.count = 0};
    buffer_init(&secrets->text, SECRETS_FILE_MAX);
}

void secrets_release(struct secrets *secrets)
{
    if (secrets->text.data != NULL)
        digest_wipe(secrets->text.data, secrets->text.capacity);
    buffer_release(&secrets->text);
    secrets->count = 0;
}

static struct slice without_line_end(struct slice line)
{
    while (line.len > 0 && (line.data[line.len - 1] == '\r' || line.data[line.len - 1] == '\n'))
        line.len--;
    return line;
}

static enum error_code split_lines(struct secrets *secrets, struct error *error)
{
    struct slice rest = buffer_slice(&secrets->text);
    while (rest.len > 0) {
        ptrdiff_t newline = slice_find(rest, SLICE("\n"));
        size_t len = newline < 0 ? rest.len : (size_t)newline + 1;
        struct slice secret = without_line_end((struct slice){.data = rest.data, .len = len});
        rest = (struct slice){.data = rest.data + len, .len = rest.len - len};
        if (slice_trim(secret).len == 0)
            continue;
        if (secrets->count == SECRETS_MAX)
            return error_set(error, ERROR_USAGE, "more than %d secrets", SECRETS_MAX);
        secrets->items[secrets->count++] = secret;
    }
    return ERROR_NONE;
}

enum error_code secrets_read_text(struct secrets *secrets, struct slice text, struct error *error)
{
    // Room for all of it at once: a buffer that grows leaves copies of secrets behind.
    enum error_code code = buffer_reserve(&secrets->text, text.len);
    if (code == ERROR_NONE)
        code = buffer_append_slice(&secrets->text, text);
    if (code != ERROR_NONE)
        return error_set(error, code, "secrets: %s", error_code_text(code));
    return split_lines(secrets, error);
}

enum error_code secrets_read_file(struct secrets *secrets, const char *what, const char *path,
                                  struct error *error)
{
    enum error_code code = buffer_reserve(&secrets->text, SECRETS_FILE_MAX);
    if (code != ERROR_NONE)
        return error_set(error, code, "%s: %s", path, error_code_text(code));
    struct error reason;
    code = file_read(path, &secrets->text, &reason);
    if (code == ERROR_MEMORY)
        return error_set(error, code, "%s", reason.message);
    if (code != ERROR_NONE) // a file that is configured and cannot be read: bad configuration
        return error_set(error, ERROR_USAGE, "%s: %s", what, reason.message);
    code = split_lines(secrets, error);
    if (code == ERROR_NONE && secrets->count == 0)
        code = error_set(error, ERROR_USAGE, "holds no secret: write one a line");
    if (code != ERROR_NONE)
        error_wrap(error, "%s: %s", what, path);
    return code;
}

enum error_code secrets_load(struct secrets *secrets, const char *path, const char *text,
                             struct error *error)
{
    if (path != NULL)
        return secrets_read_file(secrets, "webhook secrets", path, error);
    if (text == NULL)
        return ERROR_NONE;
    // A variable holds one secret; what ends its line came with it by accident ($(cat file) does
    // not leave it, an env file may).
    enum error_code code = secrets_read_text(secrets, slice_from_string(text), error);
    if (code == ERROR_NONE && secrets->count == 0)
        return error_set(error, ERROR_USAGE, "GITHUB_WEBHOOK_SECRET holds no secret");
    return code;
}
