// Preloaded into a daemon: writes down each change of the files in CRASH_FOLDER, each sync and the begin of each
// response, in the order in which they happen, to the file CRASH_LOG (log.h).
//
// CRASH_LEAVE_OUT names what is left out, as if the program lacked it: "data" (syncs of data.mdb), "meta" (its
// descriptors with O_DSYNC are ordinary ones), "folder" (syncs of folders).
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log.h"

#define DESCRIPTORS 65536
#define PARTS_MAX 64

enum { NOT_OURS = 255 };

// What each descriptor is: an enum crash_file + 1; 0: none of them.
static unsigned char files[DESCRIPTORS];
static uint16_t peers[DESCRIPTORS]; // ports of clients
static const char *folder, *left_out;
static int log_file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// The next definition of a function, found once.
#define REAL(result, name, ...)                                                                    \
    static result (*real)(__VA_ARGS__);                                                            \
    if (real == NULL)                                                                              \
    real = (result(*)(__VA_ARGS__))(uintptr_t)dlsym(RTLD_NEXT, name)

static ssize_t real_writev(int fd, const struct iovec *parts, int count)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return real(fd, parts, count);
}

static int real_open(const char *path, int flags, int mode)
{
    REAL(int, "open", const char *, int, ...);
    return real(path, flags, mode);
}

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("CRASH_LOG");
    folder = getenv("CRASH_FOLDER");
    left_out = getenv("CRASH_LEAVE_OUT");
    if (path != NULL && folder != NULL)
        log_file = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_left_out(const char *what)
{
    return left_out != NULL && strcmp(left_out, what) == 0;
}

static int file_of_path(const char *path)
{
    size_t len = folder != NULL ? strlen(folder) : 0;
    if (log_file < 0 || strncmp(path, folder, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return NOT_OURS;
    const char *name = path + len;
    if (strcmp(name, "") == 0 || strcmp(name, "/") == 0)
        return CRASH_FILE_FOLDER;
    if (strcmp(name, "/..") == 0)
        return CRASH_FILE_PARENT;
    if (strcmp(name, "/data.mdb") == 0)
        return CRASH_FILE_DATA;
    if (strcmp(name, "/data.mdb.new") == 0)
        return CRASH_FILE_NEW;
    if (strcmp(name, "/lock.mdb") == 0)
        return CRASH_FILE_LOCKS;
    return strcmp(name, "/lock") == 0 ? CRASH_FILE_LOCK : CRASH_FILE_OTHER;
}

static int file_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && files[fd] != 0 ? files[fd] - 1 : NOT_OURS;
}

// With the lock held.
static void append(char kind, int file, int64_t offset, const struct iovec *parts, int count,
                   size_t size)
{
    struct crash_entry head = {
        .kind = kind, .file = (uint8_t)file, .offset = offset, .size = (int64_t)size};
    struct iovec all[PARTS_MAX + 1] = {{&head, sizeof head}};
    int used = 1;
    for (int i = 0; i < count && size > 0; i++) {
        all[used] = parts[i];
        all[used].iov_len = parts[i].iov_len < size ? parts[i].iov_len : size;
        size -= all[used++].iov_len;
    }
    if (size > 0 || real_writev(log_file, all, used) != (ssize_t)sizeof head + head.size)
        abort(); // a log that lacks something would prove nothing
}

static void note(char kind, int file, int64_t offset)
{
    if (log_file < 0 || file == NOT_OURS)
        return;
    pthread_mutex_lock(&lock);
    append(kind, file, offset, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
}

static char kind_of_write(int fd)
{
    return (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0 ? CRASH_WRITE_SYNCED : CRASH_WRITE;
}

// --- files ------------------------------------------------------------------------------------------------

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    int file = file_of_path(path);
    if (file == CRASH_FILE_DATA && is_left_out("meta"))
        flags &= ~(O_DSYNC | O_SYNC);
    int fd = real_open(path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS)
        files[fd] = (unsigned char)(file != NOT_OURS ? file + 1 : 0);
    if (fd >= 0 && (flags & O_CREAT) != 0)
        note(CRASH_OPEN, file, 0);
    if (fd >= 0 && (flags & O_TRUNC) != 0)
        note(CRASH_SIZE, file, 0);
    return fd;
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int close(int fd)
{
    REAL(int, "close", int);
    if (fd >= 0 && fd < DESCRIPTORS) {
        files[fd] = 0;
        peers[fd] = 0;
    }
    return real(fd);
}

// Writes and notes without anything in between, so that the order in the log is that of the writes.
static ssize_t note_write(int fd, off_t offset, const struct iovec *parts, int count, ssize_t done)
{
    int code = errno;
    if (done > 0)
        append(kind_of_write(fd), file_of(fd), offset, parts, count, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = code;
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    if (file_of(fd) == NOT_OURS)
        return real(fd, bytes, size, offset);
    pthread_mutex_lock(&lock);
    return note_write(fd, offset, &part, 1, real(fd, bytes, size, offset));
}

ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
    if (file_of(fd) == NOT_OURS)
        return real(fd, parts, count, offset);
    pthread_mutex_lock(&lock);
    return note_write(fd, offset, parts, count, real(fd, parts, count, offset));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (file_of(fd) == NOT_OURS)
        return real_writev(fd, parts, count);
    pthread_mutex_lock(&lock);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    return note_write(fd, offset, parts, count, real_writev(fd, parts, count));
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    if (file_of(fd) == NOT_OURS)
        return real(fd, bytes, size);
    pthread_mutex_lock(&lock);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    return note_write(fd, offset, &part, 1, real(fd, bytes, size));
}

static int note_size(int fd, off_t size, int done)
{
    if (done == 0)
        note(CRASH_SIZE, file_of(fd), size);
    return done;
}

int ftruncate(int fd, off_t size)
{
    REAL(int, "ftruncate", int, off_t);
    return note_size(fd, size, real(fd, size));
}

int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

int posix_fallocate(int fd, off_t offset, off_t size)
{
    REAL(int, "posix_fallocate", int, off_t, off_t);
    return note_size(fd, offset + size, real(fd, offset, size));
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    int done = real(path);
    if (done == 0)
        note(CRASH_REMOVE, file_of_path(path), 0);
    return done;
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    int done = real(from, to);
    if (done == 0)
        note(CRASH_RENAME, file_of_path(from), file_of_path(to));
    return done;
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    REAL(void *, "mmap", void *, size_t, int, int, int, off_t);
    void *map = real(address, size, protection, flags, fd, offset);
    if (map != MAP_FAILED && (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0)
        note(CRASH_MAP_WRITE, file_of(fd), 0);
    return map;
}

// --- syncs ------------------------------------------------------------------------------------------------

static int sync_by(int (*real)(int), int fd)
{
    int file = file_of(fd);
    int is_folder = file == CRASH_FILE_FOLDER || file == CRASH_FILE_PARENT;
    if ((file == CRASH_FILE_DATA && is_left_out("data")) || (is_folder && is_left_out("folder")))
        return 0;
    note(CRASH_SYNC_BEGINS, file, 0);
    int done = real(fd);
    int code = errno;
    if (done == 0)
        note(CRASH_SYNC_ENDS, file, 0);
    errno = code;
    return done;
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    return sync_by(real, fd);
}

int fsync(int fd)
{
    REAL(int, "fsync", int);
    return sync_by(real, fd);
}

// --- answers ----------------------------------------------------------------------------------------------

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict size, int flags)
{
    REAL(int, "accept4", int, struct sockaddr *, socklen_t *, int);
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof peer;
    int made = real(fd, address.__sockaddr__, size, flags);
    int code = errno;
    if (made >= 0 && made < DESCRIPTORS) {
        files[made] = 0;
        peers[made] = 0;
        if (getpeername(made, (struct sockaddr *)&peer, &peer_size) == 0 &&
            peer.ss_family == AF_INET)
            peers[made] = ntohs(((struct sockaddr_in *)&peer)->sin_port);
    }
    errno = code;
    return made;
}

// Noted before it is sent: a client that has an answer has one that the log has.
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    static const char begin[] = "HTTP/1.1 ";
    REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);
    if (log_file >= 0 && fd >= 0 && fd < DESCRIPTORS && peers[fd] != 0 && message->msg_iovlen > 0 &&
        message->msg_iov[0].iov_len > sizeof begin + 3 &&
        memcmp(message->msg_iov[0].iov_base, begin, sizeof begin - 1) == 0) {
        struct iovec status = {(char *)message->msg_iov[0].iov_base + sizeof begin - 1, 3};
        pthread_mutex_lock(&lock);
        append(CRASH_ANSWER, CRASH_FILE_OTHER, peers[fd], &status, 1, 3);
        pthread_mutex_unlock(&lock);
    }
    return real(fd, message, flags);
}
