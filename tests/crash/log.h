// The log that record.c writes and explore.c reads: what a process did to its store, and what it answered, in order.
#ifndef GHATRACE_TESTS_CRASH_LOG_H
#define GHATRACE_TESTS_CRASH_LOG_H

#include <stdint.h>

enum crash_kind {
    CRASH_WRITE = 'W', // bytes at an offset, not synced
    CRASH_WRITE_SYNCED =
        'D', // the same by a descriptor with O_DSYNC or O_SYNC: on disk when the call is over
    CRASH_SIZE = 'T',        // ftruncate, fallocate: `offset` is the new size
    CRASH_SYNC_BEGINS = 'B', // fdatasync, fsync, sync_file_range, msync
    CRASH_SYNC_ENDS = 'S',
    CRASH_OPEN = 'O',      // opened by open() with O_CREAT
    CRASH_REMOVE = 'U',    // unlink
    CRASH_RENAME = 'R',    // the bytes are the new name
    CRASH_MAP_WRITE = 'M', // mapped for writing: what is written so is not seen
    CRASH_ANSWER = 'A', // a response's first bytes are about to be sent; `offset`: the peer's port
};

enum crash_file {
    CRASH_FILE_DATA,   // data.mdb
    CRASH_FILE_NEW,    // data.mdb.new, which becomes data.mdb
    CRASH_FILE_LOCKS,  // lock.mdb: LMDB's readers
    CRASH_FILE_LOCK,   // lock: the daemon's own
    CRASH_FILE_FOLDER, // the store's folder
    CRASH_FILE_PARENT,
    CRASH_FILE_OTHER, // in the store's folder
    CRASH_FILES,
};

// Followed by `size` bytes. In the machine's byte order.
struct crash_entry {
    char kind;
    uint8_t file;
    uint8_t padding[6];
    int64_t offset;
    int64_t size;
};

#endif
