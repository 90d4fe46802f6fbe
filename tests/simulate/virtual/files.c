// What is chosen and what is random; syncs, and faults of the store's files.
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "virtual.h"

#define DESCRIPTORS 65536

bool stream_writev(int fd, const struct iovec *parts, int count, ssize_t *written);

void resolve(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        give_up(name, 0);
    memcpy(function, &found, sizeof found);
}

_Noreturn void give_up(const char *what, long value)
{
    char line[160];
    int len = snprintf(line, sizeof line, "the virtual machine does not have this: %s (%ld)\n",
                       what, value);

    syscall(SYS_write, STDERR_FILENO, line, (size_t)len);
    abort();
}

// --- numbers --------------------------------------------------------------------------------------
// SplitMix64 (Steele, Lea, Flood 2014): one state of 64 bits, any seed is good.

static uint64_t choice_state, byte_state;

static uint64_t next_number(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void seed_random(uint64_t seed)
{
    choice_state = seed;
    byte_state = next_number(&seed);
}

uint64_t choose(uint64_t count)
{
    return next_number(&choice_state) % count;
}

bool chance(unsigned one_in)
{
    return choose(one_in) == 0;
}

void random_bytes(void *bytes, size_t len)
{
    for (size_t done = 0; done < len; done += 8) {
        uint64_t number = next_number(&byte_state);
        memcpy((char *)bytes + done, &number, len - done < 8 ? len - done : 8);
    }
}

ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
    (void)flags;
    random_bytes(bytes, len);
    return (ssize_t)len;
}

int getentropy(void *bytes, size_t len)
{
    random_bytes(bytes, len);
    return 0;
}

uint32_t arc4random(void)
{
    uint32_t number;

    random_bytes(&number, sizeof number);
    return number;
}

void arc4random_buf(void *bytes, size_t len)
{
    random_bytes(bytes, len);
}

// mbedTLS and OpenSSL ask for random bytes this way.
long syscall(long number, ...)
{
    static long (*real_syscall)(long, ...);
    long arguments[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_getrandom && machine.is_on) {
        random_bytes((void *)arguments[0], (size_t)arguments[1]);
        return arguments[1];
    }
    if (real_syscall == NULL)
        resolve(&real_syscall, "syscall");
    return real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                        arguments[4], arguments[5]);
}

// --- memory ---------------------------------------------------------------------------------------
// Allocations by the program itself, not by libraries, may fail: one, when so many have succeeded.

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

static uintptr_t program_begin, program_end;

// The first object is the program.
static int note_program(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr,
                  end = begin + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        if (program_begin == 0 || begin < program_begin)
            program_begin = begin;
        if (end > program_end)
            program_end = end;
    }
    return 1;
}

static bool allocation_fails(const void *caller)
{
    if (machine.allocations_left == 0)
        return false;
    if (program_end == 0)
        dl_iterate_phdr(note_program, NULL);
    if ((uintptr_t)caller < program_begin || (uintptr_t)caller >= program_end ||
        --machine.allocations_left > 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return allocation_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return allocation_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return allocation_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}

// --- files ----------------------------------------------------------------------------------------

static unsigned char is_store[DESCRIPTORS];

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

int open(const char *path, int flags, ...)
{
    REAL(open);
    va_list list;
    va_start(list, flags);
    mode_t mode = va_arg(list, mode_t);
    va_end(list);
    if (machine.no_descriptors) {
        errno = EMFILE;
        return -1;
    }
    int fd = real_open(path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS)
        is_store[fd] = ends_with(path, "/data.mdb") || ends_with(path, "/data.mdb.new");
    return fd;
}

static bool is_store_file(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && is_store[fd] && object_of(fd) == NULL;
}

// True: the call fails, errno is set.
static bool has_fault(int fd, int code)
{
    if (code == 0 || !is_store_file(fd))
        return false;
    if (machine.allowed > 0) {
        machine.allowed--;
        return false;
    }
    errno = code;
    return true;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    REAL(pwrite);
    step();
    if (!has_fault(fd, machine.write_errno))
        return real_pwrite(fd, data, len, offset);
    return machine.writes_part && len > 1 ? real_pwrite(fd, data, 1 + choose(len - 1), offset) : -1;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    REAL(write);
    ssize_t written;
    if (stream_writev(fd, parts, count, &written))
        return written;
    step();
    if (!has_fault(fd, machine.write_errno))
        return real_writev(fd, parts, count);
    return machine.writes_part ? real_write(fd, parts[0].iov_base, 1 + choose(parts[0].iov_len))
                               : -1;
}

int ftruncate(int fd, off_t len)
{
    REAL(ftruncate);
    step();
    return has_fault(fd, machine.write_errno) ? -1 : real_ftruncate(fd, len);
}

// A sync takes time, in which other threads run.
static void let_disk_work(void)
{
    step();
    if (machine.sync_time > 0)
        sleep_for(machine.sync_time / 2 + choose(machine.sync_time));
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    let_disk_work();
    if (has_fault(fd, machine.sync_errno))
        return -1;
    return machine.real_sync ? real_fdatasync(fd) : 0;
}

int fsync(int fd)
{
    REAL(fsync);
    let_disk_work();
    if (has_fault(fd, machine.sync_errno))
        return -1;
    return machine.real_sync ? real_fsync(fd) : 0;
}
