// The settings file, read line by line by inih.
//
// inih is given lines by a reader of ours, which counts them (its handler is not told the number),
// refuses what inih would cut or guess at, and takes away leading blanks, which inih understands as
// the continuation of the line before.
#include "ghatrace/app/settings.h"

#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/app/files.h"
#include "ghatrace/base/utf8.h"

#define FILE_SIZE_MAX ((size_t)1 << 20)
#define FILE_LINE_MAX 16384 // an export header may carry a token of some kilobytes

// Only Debian's inih lets the length of a line be chosen; elsewhere it is 200 bytes.
extern int ini_max_line __attribute__((weak));

struct file_reader {
    struct settings *settings;
    const char *path;
    struct slice rest; // not read yet
    unsigned line;     // number of the line read last
    enum error_code code;
    struct error *error;
};

static void fail(struct file_reader *reader, const char *what)
{
    reader->code =
        error_set(reader->error, ERROR_USAGE, "%s:%u: %s", reader->path, reader->line, what);
}

static struct slice next_line(struct file_reader *reader)
{
    ptrdiff_t newline = slice_find(reader->rest, SLICE("\n"));
    size_t len = newline < 0 ? reader->rest.len : (size_t)newline + 1;
    struct slice line = {.data = reader->rest.data, .len = len};
    reader->rest = (struct slice){.data = line.data + len, .len = reader->rest.len - len};
    reader->line++;
    return line;
}

static struct slice without_leading_blanks(struct slice line)
{
    while (line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
        line = (struct slice){.data = line.data + 1, .len = line.len - 1};
    return line;
}

// As fgets: one line with its newline into `out`, NULL at the end.
static char *read_line(char *out, int size, void *context)
{
    struct file_reader *reader = context;
    if (reader->code != ERROR_NONE || reader->rest.len == 0)
        return NULL;
    struct slice line = without_leading_blanks(next_line(reader));
    if (line.len >= (size_t)size) {
        fail(reader, "the line is too long: put its value into the environment");
        return NULL;
    }
    if (line.len > 0 && line.data[0] == '[') {
        fail(reader, "sections are not known here: write name = value lines only");
        return NULL;
    }
    if (line.len > 0)
        memcpy(out, line.data, line.len);
    out[line.len] = '\0';
    return out;
}

// Returns 1 to go on, 0 for an error, as inih wants it.
static int take_pair(void *context, const char *section, const char *name, const char *value)
{
    (void)section;
    struct file_reader *reader = context;
    char where[512];
    int id = option_find(slice_from_string(name));
    // Unknown names are quoted by the message itself.
    if (id >= 0)
        (void)snprintf(where, sizeof where, "%s:%u: %s", reader->path, reader->line, name);
    else
        (void)snprintf(where, sizeof where, "%s:%u", reader->path, reader->line);
    if (id == OPTION_ID_CONFIG) {
        fail(reader, "config: a file cannot name another");
        return 0;
    }
    reader->code = settings_put_named(reader->settings, slice_from_string(name), SOURCE_FILE, where,
                                      slice_from_string(value), reader->error);
    return reader->code == ERROR_NONE;
}

enum error_code settings_read_text(struct settings *settings, const char *path, struct slice text,
                                   struct error *error)
{
    if (utf8_is_other_unicode(text))
        return error_set(error, ERROR_USAGE, "%s: is in UTF-16: save it as UTF-8", path);
    text = utf8_skip_mark(text);
    if (memchr(text.data != NULL ? text.data : "", '\0', text.len) != NULL)
        return error_set(error, ERROR_USAGE, "%s: not a text file: it has a NUL byte", path);
    struct file_reader reader = {.settings = settings, .path = path, .rest = text, .error = error};
    if (&ini_max_line != NULL)
        ini_max_line = FILE_LINE_MAX;
    int first_bad_line = ini_parse_stream(read_line, &reader, take_pair, &reader);
    if (reader.code != ERROR_NONE)
        return reader.code;
    if (first_bad_line < 0)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", path);
    if (first_bad_line > 0)
        return error_set(error, ERROR_USAGE, "%s:%d: not a \"name = value\" line", path,
                         first_bad_line);
    return ERROR_NONE;
}

enum error_code settings_read_file(struct settings *settings, const char *path, struct error *error)
{
    struct buffer text;
    buffer_init(&text, FILE_SIZE_MAX);
    enum error_code code = file_read(path, &text, error);
    if (code == ERROR_NONE)
        code = settings_read_text(settings, path, buffer_slice(&text), error);
    buffer_release(&text);
    return code;
}
