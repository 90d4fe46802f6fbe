// Preloaded into the daemon: a disk and a clock that do what a test says. The test writes a struct control into
// the file named by FAULT_CONTROL. With FAULT_LOG every write to the database and every sync is logged, in order.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    int32_t write_errno; // pages
    int32_t sync_errno;
    int32_t meta_errno; // the small synced write that makes a commit count
    int32_t map_errno;
    int32_t after;        // calls that still go well
    int32_t hang;         // syncs do not come back while it is set
    int64_t clock_offset; // seconds
    // Threads that do not come back from a wait for events while it is set: 1: the webhook's, 2: the main one.
    int32_t stuck;
    int32_t slow; // microseconds that each access to the database takes
};

#define DESCRIPTORS 65536

static volatile struct control *control;
static int log_file = -1;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char is_database[DESCRIPTORS];

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("FAULT_CONTROL");
    const char *log = getenv("FAULT_LOG");
    int (*real_open)(const char *, int, ...) = (int (*)(const char *, int, ...))next("open");
    int fd = path != NULL ? real_open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        control = map != MAP_FAILED ? map : NULL;
    }
    if (log != NULL)
        log_file = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_ours(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && is_database[fd];
}

// Has this call to fail? With what?
static int fault(int32_t code)
{
    static volatile int32_t seen_after, left;
    if (control == NULL || code == 0)
        return 0;
    if (seen_after != control->after)
        left = seen_after = control->after;
    if (left > 0) {
        left--;
        return 0;
    }
    return code;
}

static int write_fault(int fd)
{
    if (control == NULL || !is_ours(fd))
        return 0;
    return fault((fcntl(fd, F_GETFL) & O_DSYNC) != 0 ? control->meta_errno : control->write_errno);
}

static void log_event(char type, int64_t offset, const struct iovec *parts, int count)
{
    struct {
        char type;
        char padding[7];
        int64_t offset, size;
    } head = {.type = type, .offset = offset};
    ssize_t (*real)(int, const struct iovec *, int) =
        (ssize_t(*)(int, const struct iovec *, int))next("writev");
    struct iovec all[66] = {{&head, sizeof head}};
    if (log_file < 0 || count > 65)
        return;
    for (int i = 0; i < count; i++) {
        head.size += (int64_t)parts[i].iov_len;
        all[i + 1] = parts[i];
    }
    pthread_mutex_lock(&log_lock);
    if (real(log_file, all, count + 1) != (ssize_t)sizeof head + head.size)
        abort();
    pthread_mutex_unlock(&log_lock);
}

static void log_write(int fd, int64_t offset, const struct iovec *parts, int count)
{
    if (is_ours(fd))
        log_event((fcntl(fd, F_GETFL) & O_DSYNC) != 0 ? 'M' : 'W', offset, parts, count);
}

static bool ends_with(const char *path, const char *name)
{
    size_t len = strlen(path), name_len = strlen(name);
    return len >= name_len && strcmp(path + len - name_len, name) == 0;
}

// The store's file has another name until it is complete.
int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    int fd = ((int (*)(const char *, int, ...))next("open"))(path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS)
        is_database[fd] = ends_with(path, "/data.mdb") || ends_with(path, "/data.mdb.new");
    return fd;
}

int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        is_database[fd] = 0;
    return ((int (*)(int))next("close"))(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    int code = write_fault(fd);
    if (code != 0) {
        errno = code;
        return -1;
    }
    ssize_t done =
        ((ssize_t(*)(int, const void *, size_t, off_t))next("pwrite"))(fd, bytes, size, offset);
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    if (done == (ssize_t)size)
        log_write(fd, offset, &part, 1);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    int code = write_fault(fd);
    if (code != 0) {
        errno = code;
        return -1;
    }
    off_t offset = is_ours(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = ((ssize_t(*)(int, const struct iovec *, int))next("writev"))(fd, parts, count);
    if (done > 0)
        log_write(fd, offset, parts, count);
    return done;
}

static int sync_with(const char *name, int fd)
{
    while (is_ours(fd) && control != NULL && control->hang != 0)
        (void)usleep(10000);
    int code = is_ours(fd) && control != NULL ? fault(control->sync_errno) : 0;
    if (code != 0) {
        errno = code;
        return -1;
    }
    int done = ((int (*)(int))next(name))(fd);
    if (done == 0 && is_ours(fd))
        log_event('S', 0, NULL, 0);
    return done;
}

int fdatasync(int fd)
{
    return sync_with("fdatasync", fd);
}

int fsync(int fd)
{
    return sync_with("fsync", fd);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (real == NULL)
        real = (void *(*)(void *, size_t, int, int, int, off_t))next("mmap");
    if (is_ours(fd) && control != NULL && control->map_errno != 0) {
        errno = control->map_errno;
        return MAP_FAILED;
    }
    return real(address, size, protection, flags, fd, offset);
}

static int is_stuck(void)
{
    char name[16] = "";
    int32_t which = control != NULL ? control->stuck : 0;
    if (which == 2)
        return getpid() == gettid();
    return which == 1 && pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
           strncmp(name, "ingress-", 8) == 0;
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    int done = ((int (*)(int, struct epoll_event *, int, int))next("epoll_wait"))(fd, events, count,
                                                                                  timeout);
    int code = errno;
    while (is_stuck())
        (void)usleep(10000);
    errno = code;
    return done;
}

static void wait_for_page(void)
{
    if (control != NULL && control->slow > 0)
        (void)usleep((useconds_t)control->slow);
}

// LMDB's, with what they take of its types.
int mdb_get(void *txn, unsigned database, void *key, void *value)
{
    wait_for_page();
    return ((int (*)(void *, unsigned, void *, void *))next("mdb_get"))(txn, database, key, value);
}

int mdb_put(void *txn, unsigned database, void *key, void *value, unsigned flags)
{
    wait_for_page();
    return ((int (*)(void *, unsigned, void *, void *, unsigned))next("mdb_put"))(
        txn, database, key, value, flags);
}

int mdb_cursor_get(void *cursor, void *key, void *value, int where)
{
    wait_for_page();
    return ((int (*)(void *, void *, void *, int))next("mdb_cursor_get"))(cursor, key, value,
                                                                          where);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))next("clock_gettime");
    int code = real(clock, now);
    if (code == 0 && clock == CLOCK_REALTIME && control != NULL)
        now->tv_sec += (time_t)control->clock_offset;
    return code;
}
