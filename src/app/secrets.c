// Reading webhook secrets.
#include "secrets.h"

#include <stdio.h>

#include "cli.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/receiver/receiver.h"

#define SECRETS_FILE_MAX ((size_t)65536)
#define TOKEN_LEAST 16 // characters
#define VARIABLE "GITHUB_WEBHOOK_SECRET"

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

// Removes LF, CRLF, or a CR at the end of the text.
static struct slice without_line_end(struct slice line)
{
    if (line.len > 0 && line.data[line.len - 1] == '\n')
        line.len--;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool is_blank_line(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    return true;
}

static enum error_code split_lines(struct secrets *secrets, struct error *error)
{
    struct slice rest = buffer_slice(&secrets->text);
    if (utf8_is_other_unicode(rest))
        return error_set(error, ERROR_USAGE, "is in UTF-16: save it as UTF-8");
    for (size_t number = 1; rest.len > 0; number++) {
        ptrdiff_t newline = slice_find(rest, SLICE("\n"));
        size_t len = newline < 0 ? rest.len : (size_t)newline + 1;
        struct slice line = without_line_end((struct slice){.data = rest.data, .len = len});
        // A byte order mark may precede any line, since files with one may be concatenated.
        struct slice secret = utf8_skip_mark(line);
        rest = (struct slice){.data = rest.data + len, .len = rest.len - len};
        if (is_blank_line(secret))
            continue;
        if (secrets->count == SECRETS_MAX)
            return error_set(error, ERROR_USAGE, "more than %d secrets", SECRETS_MAX);
        secrets->lines[secrets->count] = number;
        secrets->items[secrets->count++] = secret;
    }
    return ERROR_NONE;
}

enum error_code secrets_read_text(struct secrets *secrets, struct slice text, struct error *error)
{
    // Reserves room for all of it at once: a buffer that grows leaves copies of secrets in freed memory.
    enum error_code code = buffer_reserve(&secrets->text, text.len);
    if (code == ERROR_NONE)
        code = buffer_append_slice(&secrets->text, text);
    if (code != ERROR_NONE)
        return error_set(error, code, "secrets: %s", error_code_text(code));
    return split_lines(secrets, error);
}

// Reads the lines of a file, which end in LF or CRLF. A byte order mark at the start of a line is skipped, and so are
// blank lines; otherwise blanks are part of a secret, and so is '#'. ERROR_USAGE if there is none, or too many, or
// the file cannot be read or is in UTF-16; ERROR_MEMORY.
static enum error_code secrets_read_file(struct secrets *secrets, const char *what,
                                         const char *path, struct error *error)
{
    enum error_code code = file_read_secrets(path, &secrets->text, error);
    if (code == ERROR_USAGE)
        error_wrap(error, "%s", what);
    if (code != ERROR_NONE)
        return code;
    secrets->source = path;
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
    // A variable holds one secret; a line end after it is unintended ($(cat file) removes it, an env file may not).
    secrets->source = VARIABLE;
    enum error_code code = secrets_read_text(secrets, slice_from_string(text), error);
    if (code == ERROR_NONE && secrets->count == 0)
        return error_set(error, ERROR_USAGE, VARIABLE " holds no secret");
    if (code == ERROR_USAGE)
        error_wrap(error, VARIABLE);
    return code;
}

enum error_code secrets_load_tokens(struct secrets *secrets, const char *path, struct error *error)
{
    enum error_code code = secrets_read_file(secrets, "admin tokens", path, error);
    for (size_t i = 0; i < secrets->count && code == ERROR_NONE; i++)
        if (secrets->items[i].len < TOKEN_LEAST)
            code = error_set(error, ERROR_USAGE, "%s: a token has fewer than %d characters", path,
                             TOKEN_LEAST);
    return code;
}

static bool has_token_before(const struct secrets *secrets, size_t end, struct slice token)
{
    enum receiver_role role;
    struct slice before;
    struct error ignored;
    for (size_t i = 0; i < end; i++)
        if (receiver_read_token(secrets->items[i], &role, &before, &ignored) == ERROR_NONE &&
            slice_equals(before, token))
            return true;
    return false;
}

enum error_code secrets_load_roles(struct secrets *secrets, const char *path, struct error *error)
{
    enum error_code code = secrets_read_file(secrets, "otlp tokens", path, error);
    for (size_t i = 0; i < secrets->count && code == ERROR_NONE; i++) {
        enum receiver_role role;
        struct slice token;
        code = receiver_read_token(secrets->items[i], &role, &token, error);
        if (code == ERROR_NONE && has_token_before(secrets, i, token))
            code = error_set(error, ERROR_USAGE, "the token is in an earlier line already");
        if (code != ERROR_NONE)
            error_wrap(error, "otlp tokens: %s, line %zu", path, secrets->lines[i]);
    }
    return code;
}

size_t secrets_count_of_role(const struct secrets *secrets, enum receiver_role role)
{
    size_t count = 0;
    for (size_t i = 0; i < secrets->count; i++) {
        enum receiver_role each;
        struct slice token;
        struct error ignored;
        count += receiver_read_token(secrets->items[i], &each, &token, &ignored) == ERROR_NONE &&
                 each == role;
    }
    return count;
}

// --- likely mistakes -----------------------------------------------------------------------------------

// Characters that are invisible at the end of a line and are often copied unintentionally.
static const struct {
    struct slice bytes;
    const char *name;
} invisible[] = {
    {{" ", 1}, "a blank"},
    {{"\t", 1}, "a tab"},
    {{"\r", 1}, "a carriage return"},
    {{"\xc2\xa0", 2}, "a no-break space"},
    {{"\xe2\x80\x8b", 3}, "a zero-width space"},
    {{"\xe2\x80\xaf", 3}, "a narrow no-break space"},
    {{"\xe2\x81\xa0", 3}, "a word joiner"},
    {{"\xe3\x80\x80", 3}, "an ideographic space"},
    {{"\xef\xbb\xbf", 3}, "a byte order mark"},
};

static const char *find_invisible(struct slice secret,
                                  bool (*has)(struct slice secret, struct slice part))
{
    for (size_t i = 0; i < sizeof invisible / sizeof invisible[0]; i++)
        if (has(secret, invisible[i].bytes))
            return invisible[i].name;
    return NULL;
}

static bool is_quoted(struct slice secret)
{
    char first = secret.data[0];
    return secret.len >= 2 && (first == '"' || first == '\'') &&
           secret.data[secret.len - 1] == first;
}

static bool describe_mistake(struct slice secret, char *text, size_t size)
{
    const char *end = find_invisible(secret, slice_ends_with);
    const char *start = find_invisible(secret, slice_starts_with);
    if (end != NULL)
        (void)snprintf(text, size, "ends with %s", end);
    else if (start != NULL)
        (void)snprintf(text, size, "begins with %s", start);
    else if (is_quoted(secret))
        (void)snprintf(text, size, "is enclosed in quotes");
    return end != NULL || start != NULL || is_quoted(secret);
}

void secrets_report_mistakes(const struct secrets *secrets,
                             void (*report)(void *context, const char *warning), void *context)
{
    char what[64], where[32] = "", text[512];
    for (size_t i = 0; i < secrets->count; i++) {
        if (!describe_mistake(secrets->items[i], what, sizeof what))
            continue;
        if (secrets->source != NULL && strcmp(secrets->source, VARIABLE) != 0)
            (void)snprintf(where, sizeof where, ", line %zu", secrets->lines[i]);
        (void)snprintf(text, sizeof text,
                       "%.300s%s: this secret %s, which %s part of it: remove %s unless intended",
                       secrets->source != NULL ? secrets->source : "secrets", where, what,
                       is_quoted(secrets->items[i]) ? "are" : "is",
                       is_quoted(secrets->items[i]) ? "them" : "it");
        report(context, text);
    }
}
