// Logging: rate limits, the writer thread, formatting.
#include "ghatrace/base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ghatrace/base/thread.h"
#include "ghatrace/base/time.h"
#include "ghatrace/base/utf8.h"

// --- rate limit -----------------------------------------------------------------------------------

bool log_limit_allows(struct log_limit *limit, timestamp_ns now, uint64_t *suppressed)
{
    *suppressed = 0;
    if (limit->lines == 0 || now - limit->window_start >= LOG_LIMIT_WINDOW) {
        limit->window_start = now;
        limit->lines = 0;
    }
    if (limit->lines == LOG_LIMIT_LINES) {
        limit->suppressed++;
        return false;
    }
    limit->lines++;
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}

// --- log queue ------------------------------------------------------------------------------------
// Queue of lines for standard error. A separate thread writes them, because a pipe that is not read blocks its writer;
// all other threads only copy their lines into a ring of fixed size. O_NONBLOCK is not an alternative: it is a property
// of the open file description, which is shared with the parent and its terminal.

#define RING_BYTES ((size_t)256 * 1024)
#define FLUSH_STEP_MS 5

static struct {
    pthread_mutex_t mutex; // held while copying, never while writing
    pthread_cond_t wake;
    log_compose_drops *compose_drops;
    size_t first, len;       // used part of the ring; every line is preceded by its length
    uint64_t unreported;     // lines dropped since the last report of drops
    bool is_failing;         // the last write failed: drops are not reported until one succeeds
    atomic_bool is_running;  // the thread writes the lines
    atomic_size_t unwritten; // lines in the ring, or being written
    _Atomic uint64_t dropped;
    char ring[RING_BYTES];
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

// --- the ring: call with the mutex held ------------------------------------------------------------

static void write_to_ring(const void *bytes, size_t len)
{
    assert(len <= RING_BYTES - queue.len);
    size_t at = (queue.first + queue.len) % RING_BYTES;
    size_t whole = len < RING_BYTES - at ? len : RING_BYTES - at;
    memcpy(queue.ring + at, bytes, whole);
    memcpy(queue.ring, (const char *)bytes + whole, len - whole);
    queue.len += len;
}

static void read_from_ring(void *bytes, size_t len)
{
    assert(len <= queue.len);
    size_t whole = len < RING_BYTES - queue.first ? len : RING_BYTES - queue.first;
    memcpy(bytes, queue.ring + queue.first, whole);
    memcpy((char *)bytes + whole, queue.ring, len - whole);
    queue.first = (queue.first + len) % RING_BYTES;
    queue.len -= len;
}

static bool queue_line(const char *line, size_t len)
{
    if (sizeof len + len > RING_BYTES - queue.len)
        return false;
    write_to_ring(&len, sizeof len);
    write_to_ring(line, len);
    atomic_fetch_add(&queue.unwritten, 1);
    return true;
}

static void report_drops(void)
{
    char line[LOG_LINE_BYTES_MAX];
    if (queue.unreported > 0 && !queue.is_failing &&
        queue_line(line, queue.compose_drops(queue.unreported, line)))
        queue.unreported = 0;
}

static void count_drop(void)
{
    queue.unreported++;
    atomic_fetch_add(&queue.dropped, 1);
}

// --- writing ---------------------------------------------------------------------------------------

// Writes all of it in the calling thread and blocks until it is read. False: it cannot be written.
static bool log_write_now(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDERR_FILENO, text, len);
        if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT}; // parent's O_NONBLOCK
            (void)poll(&wait, 1, -1);
        } else if (written == 0 || (written < 0 && errno != EINTR)) {
            return false;
        } else if (written > 0) {
            text += written;
            len -= (size_t)written;
        }
    }
    return true;
}

static void *write_lines(void *unused)
{
    char line[LOG_LINE_BYTES_MAX];
    for (;;) {
        size_t len;
        pthread_mutex_lock(&queue.mutex);
        if (queue.len == 0)
            report_drops();
        while (queue.len == 0)
            pthread_cond_wait(&queue.wake, &queue.mutex);
        read_from_ring(&len, sizeof len);
        read_from_ring(line, len);
        pthread_mutex_unlock(&queue.mutex);
        bool is_written = log_write_now(line, len);
        pthread_mutex_lock(&queue.mutex);
        queue.is_failing = !is_written;
        if (!is_written)
            count_drop();
        pthread_mutex_unlock(&queue.mutex);
        atomic_fetch_sub(&queue.unwritten, 1);
    }
    return unused;
}

// From any thread; never blocks. At most LOG_LINE_BYTES_MAX bytes.
static void log_queue_put(const char *line, size_t len)
{
    pthread_mutex_lock(&queue.mutex);
    report_drops();
    // Keeps the order: while drops are unreported, no newer line is added.
    if ((queue.unreported > 0 && !queue.is_failing) || !queue_line(line, len))
        count_drop();
    else
        pthread_cond_signal(&queue.wake);
    pthread_mutex_unlock(&queue.mutex);
}

static bool log_queue_is_running(void)
{
    return atomic_load(&queue.is_running);
}

// Starts the thread, once, for the rest of the process. ERROR_IO.
static enum error_code log_queue_start(log_compose_drops *compose_drops, struct error *error)
{
    pthread_t thread;
    queue.compose_drops = compose_drops;
    int code = thread_start(&thread, write_lines, NULL);
    if (code != 0)
        return error_set(error, ERROR_IO, "start the log's thread: %s", strerror(code));
    (void)pthread_setname_np(thread, "log");
    (void)pthread_detach(thread); // it may hang in write() until the process ends
    atomic_store(&queue.is_running, true);
    return ERROR_NONE;
}

uint64_t log_dropped_lines(void)
{
    return atomic_load(&queue.dropped);
}

// --- end of the process: async-signal-safe ----------------------------------------------------------

void log_flush(int patience_ms)
{
    while (atomic_load(&queue.unwritten) > 0 && patience_ms > 0) {
        (void)poll(NULL, 0, FLUSH_STEP_MS);
        patience_ms -= FLUSH_STEP_MS;
    }
}

void log_final_message(const char *text, size_t len, int patience_ms)
{
    struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};
    log_flush(patience_ms);
    // A pipe is ready while PIPE_BUF bytes fit into it: such a write does not block.
    if (poll(&wait, 1, patience_ms) == 1 && (wait.revents & POLLOUT) != 0)
        (void)!write(STDERR_FILENO, text, len < LOG_LINE_BYTES_MAX ? len : LOG_LINE_BYTES_MAX);
}

// --- log ------------------------------------------------------------------------------------------
// Log lines: formatted on the stack, escaped, and written with one write(2) each, so that lines of several threads and
// processes do not interleave.

#define VALUE_MAX_BYTES 1024 // of one escaped value, so that a long one leaves room for the others
#define TAIL_BYTES 32        // reserved for the truncation mark and the end of the line

static const char ellipsis[] = "...";

// Set before threads start, only read afterwards.
static enum log_level configured_level = LOG_INFO;
static enum log_format configured_format = LOG_FORMAT_TEXT;

struct line {
    char text[LOG_LINE_BYTES_MAX];
    size_t len;
    bool is_full; // a field was omitted, and so are all after it
};

void log_configure(enum log_level level, enum log_format format)
{
    configured_level = level;
    configured_format = format;
}

bool log_is_enabled(enum log_level level)
{
    return level >= configured_level;
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    return "unknown";
}

static size_t room_left(const struct line *line)
{
    return sizeof(line->text) - TAIL_BYTES - line->len;
}

// The caller must have checked that there is room (or write into the tail).
static void line_put(struct line *line, const char *text, size_t len)
{
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void line_put_string(struct line *line, const char *text)
{
    line_put(line, text, strlen(text));
}

// --- escaping -------------------------------------------------------------------------------------

// Characters that can control a terminal or forge the appearance of a line: C0, DEL, C1, line separators and
// bidirectional controls.
static bool is_dangerous(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static char log_escape_letter(uint32_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return '\0';
    }
}

// Escapes the next character of `s` for JSON and quoted logfmt (their escapes are the same). Returns the number of
// bytes of `s` consumed.
static size_t escape_one(struct slice s, char out[8], size_t *out_len)
{
    size_t len = utf8_sequence_length(s);
    uint32_t c = len != 0 ? utf8_decode((struct slice){s.data, len}) : 0xfffd;
    char letter = log_escape_letter(c);

    if (letter != '\0') {
        out[0] = '\\';
        out[1] = letter;
        *out_len = 2;
    } else if (is_dangerous(c)) {
        *out_len = (size_t)snprintf(out, 8, "\\u%04x", (unsigned)c);
    } else if (len == 0) {
        *out_len = utf8_encode(c, out);
    } else {
        memcpy(out, s.data, len);
        *out_len = len;
    }
    return len != 0 ? len : 1;
}

// Appends as much of `s` as fits into `max` bytes after escaping; a truncated value ends in "...".
static void line_put_escaped(struct line *line, struct slice s, size_t max)
{
    size_t start = line->len, fallback = line->len;

    while (s.len != 0) {
        char piece[8];
        size_t piece_len;
        size_t taken = escape_one(s, piece, &piece_len);
        if (line->len - start + piece_len > max) {
            line->len = fallback;
            line_put_string(line, ellipsis);
            return;
        }
        line_put(line, piece, piece_len);
        // The last position where the three dots still fit.
        if (line->len - start + sizeof(ellipsis) - 1 <= max)
            fallback = line->len;
        s.data += taken;
        s.len -= taken;
    }
}

static bool needs_quotes(struct slice s)
{
    if (s.len == 0 || !utf8_is_valid(s))
        return true;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        // First bytes of the characters in is_dangerous(): unnecessary quotes are harmless.
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f || c == 0xc2 || c == 0xe2)
            return true;
    }
    return false;
}

// --- fields ---------------------------------------------------------------------------------------

static void line_put_value(struct line *line, struct slice value)
{
    bool quoted = configured_format == LOG_FORMAT_JSON || needs_quotes(value);
    size_t room = room_left(line) - 2;

    if (quoted)
        line_put_string(line, "\"");
    line_put_escaped(line, value, room < VALUE_MAX_BYTES ? room : VALUE_MAX_BYTES);
    if (quoted)
        line_put_string(line, "\"");
}

// False, and the line is marked full, if there is no room for the key and some of its value.
static bool line_put_key(struct line *line, const char *key)
{
    size_t key_len = strlen(key);

    if (line->is_full || room_left(line) < key_len + 32) {
        line->is_full = true;
        return false;
    }
    if (configured_format == LOG_FORMAT_JSON) {
        line_put_string(line, line->len == 0 ? "{\"" : ",\"");
        line_put(line, key, key_len);
        line_put_string(line, "\":");
    } else {
        if (line->len != 0)
            line_put_string(line, " ");
        line_put(line, key, key_len);
        line_put_string(line, "=");
    }
    return true;
}

static void put_string_field(struct line *line, const char *key, struct slice value)
{
    if (line_put_key(line, key))
        line_put_value(line, value);
}

static void put_int_field(struct line *line, const char *key, int64_t value)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%" PRId64, value);
    if (line_put_key(line, key))
        line_put_string(line, digits);
}

static void put_end(struct line *line)
{
    bool is_json = configured_format == LOG_FORMAT_JSON;

    if (line->is_full)
        line_put_string(line, is_json ? ",\"truncated\":true" : " truncated=true");
    line_put_string(line, is_json ? "}\n" : "\n");
}

static void compose(struct line *line, enum log_level level, const char *message,
                    const struct log_field *fields)
{
    char time[TIMESTAMP_TEXT_SIZE];

    line->len = 0;
    line->is_full = false;
    timestamp_format_rfc3339(timestamp_now(), true, time);
    put_string_field(line, "time", slice_from_string(time));
    put_string_field(line, "level", slice_from_string(level_name(level)));
    put_string_field(line, "msg", slice_from_string(message));
    for (; fields != NULL && fields->type != LOG_FIELD_END; fields++) {
        if (fields->type == LOG_FIELD_INT)
            put_int_field(line, fields->key, fields->integer);
        else
            put_string_field(line, fields->key, fields->string);
    }
    put_end(line);
}

static size_t compose_drops(uint64_t lines, char text[LOG_LINE_BYTES_MAX])
{
    struct line line;

    compose(&line, LOG_WARN, "log lines were dropped: standard error did not accept them",
            (const struct log_field[]){LOG_INT("lines", lines), LOG_END});
    memcpy(text, line.text, line.len);
    return line.len;
}

enum error_code log_start(struct error *error)
{
    return log_queue_start(compose_drops, error);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    int saved_errno = errno;
    struct line line;

    compose(&line, level, message, fields);
    if (log_queue_is_running())
        log_queue_put(line.text, line.len);
    else
        (void)log_write_now(line.text, line.len); // a failure cannot be reported anywhere
    errno = saved_errno;
}
