// The guard's thread sleeps while no call runs. To wake it at the beginning of each call would cost more than most calls
// take, so after a call it stays up for one more interval.
#include "guard.h"

#include <pthread.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/thread.h"

#define LOOK_INTERVAL (100 * NS_PER_MS)

struct guarded_socket {
    const void *group;
    int fd;
    ino_t inode; // see is_same_socket()
    LIST_ENTRY(guarded_socket) sockets;
};

struct guard {
    pthread_t thread;
    pthread_mutex_t mutex; // guards all below
    pthread_cond_t wake;
    bool has_thread, is_stopping;
    bool is_asleep;
    bool is_used; // a call began since the last look
    LIST_HEAD(, guarded_socket) sockets;
    // the call
    const void *group; // NULL: none runs
    clockid_t clock;   // of the thread that calls
    timestamp_ns began_at;
    bool was_cut;
};

// --- sockets --------------------------------------------------------------------------------------

// libcurl 7.88 closes a socket that has not connected itself, without CURLOPT_CLOSESOCKETFUNCTION; its number may then be
// that of another file.
static bool is_same_socket(const struct guarded_socket *entry)
{
    struct stat status;
    return fstat(entry->fd, &status) == 0 && S_ISSOCK(status.st_mode) &&
           status.st_ino == entry->inode;
}

static void remove_socket(struct guarded_socket *entry)
{
    LIST_REMOVE(entry, sockets);
    memory_free(entry);
}

static void remove_closed(struct guard *guard)
{
    struct guarded_socket *entry = LIST_FIRST(&guard->sockets);
    while (entry != NULL) {
        struct guarded_socket *next = LIST_NEXT(entry, sockets);
        if (!is_same_socket(entry))
            remove_socket(entry);
        entry = next;
    }
}

bool guard_add_socket(struct guard *guard, const void *group, int fd)
{
    struct stat status;
    struct guarded_socket *entry = memory_allocate_array(1, sizeof *entry);
    if (entry == NULL || fstat(fd, &status) != 0) {
        memory_free(entry);
        return false;
    }
    *entry = (struct guarded_socket){.group = group, .fd = fd, .inode = status.st_ino};
    pthread_mutex_lock(&guard->mutex);
    remove_closed(guard);
    LIST_INSERT_HEAD(&guard->sockets, entry, sockets);
    pthread_mutex_unlock(&guard->mutex);
    return true;
}

int guard_close_socket(struct guard *guard, int fd)
{
    struct guarded_socket *entry;
    pthread_mutex_lock(&guard->mutex);
    LIST_FOREACH (entry, &guard->sockets, sockets)
        if (entry->fd == fd)
            break;
    if (entry != NULL)
        remove_socket(entry);
    pthread_mutex_unlock(&guard->mutex);
    return close(fd);
}

// --- calls ----------------------------------------------------------------------------------------

static timestamp_ns read_clock(clockid_t clock)
{
    struct timespec time = {.tv_sec = 0};
    (void)clock_gettime(clock, &time);
    return (timestamp_ns)time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

void guard_enter(struct guard *guard, const void *group)
{
    clockid_t clock;
    if (pthread_getcpuclockid(pthread_self(), &clock) != 0)
        return;
    timestamp_ns now = read_clock(clock);
    pthread_mutex_lock(&guard->mutex);
    guard->group = group;
    guard->clock = clock;
    guard->began_at = now;
    guard->was_cut = false;
    guard->is_used = true;
    if (guard->is_asleep)
        pthread_cond_signal(&guard->wake);
    pthread_mutex_unlock(&guard->mutex);
}

bool guard_leave(struct guard *guard)
{
    pthread_mutex_lock(&guard->mutex);
    bool was_cut = guard->was_cut;
    guard->group = NULL;
    guard->was_cut = false;
    pthread_mutex_unlock(&guard->mutex);
    return was_cut;
}

// --- the thread -----------------------------------------------------------------------------------

// Each look of a call that is too long does it again: libcurl may have opened another connection.
static void cut(struct guard *guard)
{
    const struct guarded_socket *entry;
    guard->was_cut = true;
    LIST_FOREACH (entry, &guard->sockets, sockets)
        if (entry->group == guard->group && is_same_socket(entry))
            (void)shutdown(entry->fd, SHUT_RDWR);
}

// Sleeps until a call begins if there was none in the last interval, and then for an interval.
static void wait_for_look(struct guard *guard)
{
    bool is_early = true;
    guard->is_asleep = true;
    while (!guard->is_used && guard->group == NULL && !guard->is_stopping)
        pthread_cond_wait(&guard->wake, &guard->mutex);
    guard->is_asleep = false;
    guard->is_used = false;
    timestamp_ns wake = timestamp_monotonic() + LOOK_INTERVAL;
    while (!guard->is_stopping && is_early)
        is_early = thread_condition_wait(&guard->wake, &guard->mutex, wake);
}

static void *run_guard(void *context)
{
    struct guard *guard = context;
    pthread_mutex_lock(&guard->mutex);
    while (!guard->is_stopping) {
        wait_for_look(guard);
        if (guard->group != NULL && read_clock(guard->clock) - guard->began_at > GUARD_CALL_TIME)
            cut(guard);
    }
    pthread_mutex_unlock(&guard->mutex);
    return NULL;
}

// --- life -----------------------------------------------------------------------------------------

enum error_code guard_create(struct guard **out, struct error *error)
{
    struct guard *guard = memory_allocate_array(1, sizeof *guard);
    if (guard == NULL)
        return error_set(error, ERROR_MEMORY, "http client: out of memory");
    LIST_INIT(&guard->sockets);
    pthread_mutex_init(&guard->mutex, NULL);
    thread_condition_init(&guard->wake);
    guard->has_thread = thread_start(&guard->thread, run_guard, guard) == 0;
    if (!guard->has_thread) {
        guard_destroy(guard);
        return error_set(error, ERROR_MEMORY, "http client: cannot start a thread");
    }
    *out = guard;
    return ERROR_NONE;
}

void guard_destroy(struct guard *guard)
{
    if (guard == NULL)
        return;
    if (guard->has_thread) {
        pthread_mutex_lock(&guard->mutex);
        guard->is_stopping = true;
        pthread_cond_signal(&guard->wake);
        pthread_mutex_unlock(&guard->mutex);
        pthread_join(guard->thread, NULL);
    }
    while (!LIST_EMPTY(&guard->sockets))
        remove_socket(LIST_FIRST(&guard->sockets));
    pthread_cond_destroy(&guard->wake);
    pthread_mutex_destroy(&guard->mutex);
    memory_free(guard);
}
