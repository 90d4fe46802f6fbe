// Lines on their way to standard error. A thread of its own writes them, because a pipe that is not read blocks
// whoever writes to it; all others only copy their line into a ring of fixed size. O_NONBLOCK is no way out: it
// belongs to the open file, which the parent and its terminal share.
#include "ghatrace/base/log_queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define RING_BYTES ((size_t)256 * 1024)
#define FLUSH_STEP_MS 5

static struct {
    pthread_mutex_t mutex; // held for a copy, never while something is written
    pthread_cond_t wake;
    log_compose_drops *compose_drops;
    size_t first, len;       // what waits in the ring; every line has its length in front
    uint64_t unreported;     // lines dropped since the last line that said so
    bool is_failing;         // the last line could not be written: none about drops until one can
    atomic_bool is_running;  // the thread takes the lines
    atomic_size_t unwritten; // lines in the ring, or being written
    _Atomic uint64_t dropped;
    char ring[RING_BYTES];
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

// --- the ring: the mutex is held -------------------------------------------------------------------

static void copy_in(const void *bytes, size_t len)
{
    size_t at = (queue.first + queue.len) % RING_BYTES;
    size_t whole = len < RING_BYTES - at ? len : RING_BYTES - at;
    memcpy(queue.ring + at, bytes, whole);
    memcpy(queue.ring, (const char *)bytes + whole, len - whole);
    queue.len += len;
}

static void copy_out(void *bytes, size_t len)
{
    size_t whole = len < RING_BYTES - queue.first ? len : RING_BYTES - queue.first;
    memcpy(bytes, queue.ring + queue.first, whole);
    memcpy((char *)bytes + whole, queue.ring, len - whole);
    queue.first = (queue.first + len) % RING_BYTES;
    queue.len -= len;
}

static bool add(const char *line, size_t len)
{
    if (sizeof len + len > RING_BYTES - queue.len)
        return false;
    copy_in(&len, sizeof len);
    copy_in(line, len);
    atomic_fetch_add(&queue.unwritten, 1);
    return true;
}

static void report_drops(void)
{
    char line[LOG_LINE_BYTES_MAX];
    if (queue.unreported > 0 && !queue.is_failing &&
        add(line, queue.compose_drops(queue.unreported, line)))
        queue.unreported = 0;
}

static void count_drop(void)
{
    queue.unreported++;
    atomic_fetch_add(&queue.dropped, 1);
}

// --- writing ---------------------------------------------------------------------------------------

bool log_write_now(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDERR_FILENO, text, len);
        if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT}; // the parent's choice
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
        copy_out(&len, sizeof len);
        copy_out(line, len);
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

void log_queue_put(const char *line, size_t len)
{
    pthread_mutex_lock(&queue.mutex);
    report_drops();
    // In order: while there is no room for the line about drops, there is none for what came after them.
    if ((queue.unreported > 0 && !queue.is_failing) || !add(line, len))
        count_drop();
    else
        pthread_cond_signal(&queue.wake);
    pthread_mutex_unlock(&queue.mutex);
}

bool log_queue_is_running(void)
{
    return atomic_load(&queue.is_running);
}

enum error_code log_queue_start(log_compose_drops *compose_drops, struct error *error)
{
    sigset_t all, before;
    pthread_t thread;
    queue.compose_drops = compose_drops;
    // Signals are for other threads.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread, NULL, write_lines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0)
        return error_set(error, ERROR_IO, "start the log's thread: %s", strerror(code));
    (void)pthread_setname_np(thread, "log");
    (void)pthread_detach(thread); // it may hang in write() for as long as the process lives
    atomic_store(&queue.is_running, true);
    return ERROR_NONE;
}

uint64_t log_dropped_lines(void)
{
    return atomic_load(&queue.dropped);
}

// --- the end: only what a signal handler may do -----------------------------------------------------

void log_flush(int patience_ms)
{
    while (atomic_load(&queue.unwritten) > 0 && patience_ms > 0) {
        (void)poll(NULL, 0, FLUSH_STEP_MS);
        patience_ms -= FLUSH_STEP_MS;
    }
}

void log_last_words(const char *text, size_t len, int patience_ms)
{
    struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};
    log_flush(patience_ms);
    // A pipe is ready while PIPE_BUF bytes fit into it: such a write does not block.
    if (poll(&wait, 1, patience_ms) == 1 && (wait.revents & POLLOUT) != 0)
        (void)!write(STDERR_FILENO, text, len < LOG_LINE_BYTES_MAX ? len : LOG_LINE_BYTES_MAX);
}
