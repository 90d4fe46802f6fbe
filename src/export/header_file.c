// Headers of export requests from a file.
#include "ghatrace/export/header_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/export/endpoint.h"

#define LOOK_EVERY NS_PER_SECOND
#define WARN_EVERY NS_PER_MINUTE
#define ARENA_BLOCK ((size_t)1024)
// Seconds. A file modified this recently may be modified again without a change of its timestamps.
#define SETTLED_AFTER 2

// One version of the file.
struct header_set {
    struct buffer text; // wiped when released
    struct arena arena;
    struct http_header *own; // of the file; they point into `text`
    size_t own_count;
    struct http_header *all; // including the configured ones
    size_t all_count;
};

// Distinguishes versions of the file.
struct identity {
    bool is_known;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct export_header_file {
    const char *path;
    const struct http_header *configured;
    size_t configured_count;
    export_header_use use; // NULL: not set yet
    void *context;

    struct header_set set; // in use
    struct identity seen;  // of the version read last; unknown: the file is read again
    bool has_looked;
    timestamp_ns looked_at; // monotonic, as is `warned_at`
    bool is_said;           // a warning that it is not usable was logged
    bool has_warned;
    timestamp_ns warned_at;
    timestamp_ns bad_since; // wall clock; TIMESTAMP_UNKNOWN: it is usable
    struct error trouble;
};

// --- one version ------------------------------------------------------------------------------

static void release_set(struct header_set *set)
{
    if (set->text.data != NULL)
        digest_wipe(set->text.data, set->text.capacity);
    buffer_release(&set->text);
    arena_release(&set->arena);
}

static bool is_replaced(const struct header_set *set, struct slice name)
{
    for (size_t i = 0; i < set->own_count; i++)
        if (slice_equals_ignoring_case(set->own[i].name, name))
            return true;
    return false;
}

static enum error_code add_configured(const struct export_header_file *file, struct header_set *set,
                                      struct error *error)
{
    set->all = arena_allocate_array(&set->arena, set->own_count + file->configured_count,
                                    sizeof *set->all);
    if (set->all == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < file->configured_count; i++)
        if (!is_replaced(set, file->configured[i].name))
            set->all[set->all_count++] = file->configured[i];
    for (size_t i = 0; i < set->own_count; i++)
        set->all[set->all_count++] = set->own[i];
    return ERROR_NONE;
}

static bool is_same(const struct header_set *a, const struct header_set *b)
{
    if (a->own_count != b->own_count)
        return false;
    for (size_t i = 0; i < a->own_count; i++)
        if (!slice_equals(a->own[i].name, b->own[i].name) ||
            !slice_equals(a->own[i].value, b->own[i].value))
            return false;
    return true;
}

// --- reading ----------------------------------------------------------------------------------

static struct identity identity_of(const struct stat *status)
{
    long long age = timestamp_now() / NS_PER_SECOND - (long long)status->st_mtim.tv_sec; // seconds
    return (struct identity){.is_known = age > SETTLED_AFTER || age < -SETTLED_AFTER,
                             .device = status->st_dev,
                             .inode = status->st_ino,
                             .size = status->st_size,
                             .modified = status->st_mtim,
                             .changed = status->st_ctim};
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same_file(const struct identity *a, const struct identity *b)
{
    return a->is_known && b->is_known && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && is_same_time(&a->modified, &b->modified) &&
           is_same_time(&a->changed, &b->changed);
}

// Reserves room for all of it at once: a buffer that grows leaves copies of secrets in freed memory.
static enum error_code read_bytes(int fd, struct buffer *text, struct error *error)
{
    enum error_code code = buffer_reserve(text, EXPORT_HEADER_FILE_MAX + 1);
    if (code != ERROR_NONE)
        return error_set(error, code, "out of memory");
    for (;;) {
        ssize_t len = read(fd, text->data + text->len, text->capacity - text->len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return error_set(error, ERROR_USAGE, "%s", strerror(errno));
        text->len += (size_t)len;
        if (text->len > EXPORT_HEADER_FILE_MAX)
            return error_set(error, ERROR_USAGE, "larger than %zu bytes", EXPORT_HEADER_FILE_MAX);
        if (len == 0)
            return ERROR_NONE;
    }
}

// Non-blocking: a pipe or a terminal at this path would block the loop.
static enum error_code read_file(const char *path, struct buffer *text, struct identity *identity,
                                 struct error *error)
{
    struct stat status;
    *identity = (struct identity){.is_known = false};
    if (stat(path, &status) == 0)
        *identity =
            identity_of(&status); // so that an unreadable file is not tried again each second
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, ERROR_USAGE, "%s", strerror(errno));
    enum error_code code = ERROR_NONE;
    if (fstat(fd, &status) != 0)
        code = error_set(error, ERROR_USAGE, "%s", strerror(errno));
    else if (!S_ISREG(status.st_mode))
        code = error_set(error, ERROR_USAGE, "not a regular file");
    else
        *identity = identity_of(&status);
    if (code == ERROR_NONE)
        code = read_bytes(fd, text, error);
    (void)close(fd); // nothing to flush: the file was only read
    return code;
}

// `set` must be released also on failure.
static enum error_code load(struct export_header_file *file, struct header_set *set,
                            struct error *error)
{
    *set = (struct header_set){.own_count = 0};
    arena_init(&set->arena, ARENA_BLOCK);
    buffer_init(&set->text, EXPORT_HEADER_FILE_MAX + 1);
    enum error_code code = read_file(file->path, &set->text, &file->seen, error);
    if (code == ERROR_NONE)
        code = export_header_lines_parse(buffer_slice(&set->text), &set->arena, &set->own,
                                         &set->own_count, error);
    if (code == ERROR_NONE && set->own_count == 0 && file->set.own_count > 0)
        code = error_set(error, ERROR_USAGE, "holds no header any more");
    if (code == ERROR_NONE)
        code = add_configured(file, set, error);
    if (code != ERROR_NONE)
        error_wrap(error, "otlp-header-file %s", file->path);
    return code;
}

// --- changes ----------------------------------------------------------------------------------

static void note_trouble(struct export_header_file *file, const struct error *error)
{
    timestamp_ns now = timestamp_monotonic();
    if (file->bad_since == TIMESTAMP_UNKNOWN)
        file->bad_since = timestamp_now();
    file->trouble = *error;
    // Logged once; the status reports it as long as it lasts.
    if (file->is_said || (file->has_warned && now - file->warned_at < WARN_EVERY))
        return;
    file->is_said = true;
    file->has_warned = true;
    file->warned_at = now;
    log_warn("headers not read again: the last good ones stay in use", LOG_REASON(error));
}

static void note_success(struct export_header_file *file, bool has_changed)
{
    bool was_bad = file->bad_since != TIMESTAMP_UNKNOWN;
    file->bad_since = TIMESTAMP_UNKNOWN;
    file->is_said = false;
    if (was_bad || has_changed)
        log_info(has_changed ? "headers read again, and changed" : "headers can be read again",
                 LOG_STRING("file", file->path),
                 LOG_INT("headers", (long long)file->set.own_count));
}

bool export_header_file_read(struct export_header_file *file)
{
    struct header_set set;
    struct error error;
    enum error_code code = load(file, &set, &error);
    bool has_changed = code == ERROR_NONE && !is_same(&set, &file->set);
    if (has_changed && file->use != NULL) {
        code = file->use(file->context, set.all, set.all_count, &error);
        if (code != ERROR_NONE)
            error_wrap(&error, "otlp-header-file %s", file->path);
    }
    if (code != ERROR_NONE) {
        release_set(&set);
        note_trouble(file, &error);
        return false;
    }
    if (has_changed) {
        release_set(&file->set);
        file->set = set;
    } else {
        release_set(&set);
    }
    note_success(file, has_changed);
    return true;
}

void export_header_file_look(struct export_header_file *file, timestamp_ns now)
{
    struct stat status;
    if (file->has_looked && now - file->looked_at < LOOK_EVERY)
        return;
    file->has_looked = true;
    file->looked_at = now;
    if (stat(file->path, &status) == 0) {
        struct identity identity = identity_of(&status);
        if (is_same_file(&identity, &file->seen))
            return;
    }
    (void)export_header_file_read(file);
}

// --- life -------------------------------------------------------------------------------------

enum error_code export_header_file_open(const char *path, const struct http_header *configured,
                                        size_t configured_count, struct export_header_file **out,
                                        struct error *error)
{
    struct export_header_file *file = memory_allocate_array(1, sizeof *file);
    if (file == NULL)
        return error_set(error, ERROR_MEMORY, "otlp-header-file: out of memory");
    file->path = path;
    file->configured = configured;
    file->configured_count = configured_count;
    file->bad_since = TIMESTAMP_UNKNOWN;
    struct header_set set;
    enum error_code code = load(file, &set, error);
    file->set = set;
    if (code != ERROR_NONE) {
        export_header_file_close(file);
        return code;
    }
    *out = file;
    return ERROR_NONE;
}

void export_header_file_close(struct export_header_file *file)
{
    if (file == NULL)
        return;
    release_set(&file->set);
    memory_free(file);
}

void export_header_file_on_change(struct export_header_file *file, export_header_use use,
                                  void *context)
{
    file->use = use;
    file->context = context;
}

const struct http_header *export_header_file_headers(const struct export_header_file *file,
                                                     size_t *count)
{
    *count = file->set.all_count;
    return file->set.all;
}

void export_header_file_read_status(const struct export_header_file *file,
                                    struct export_header_file_status *status)
{
    bool is_usable = file->bad_since == TIMESTAMP_UNKNOWN;
    *status = (struct export_header_file_status){.count = file->set.own_count,
                                                 .is_usable = is_usable,
                                                 .reason = is_usable ? "" : file->trouble.message,
                                                 .since = file->bad_since};
}
