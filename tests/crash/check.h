// Opens a store that a power cut may have left, with the code of the daemon, and checks what it promises.
#ifndef GHATRACE_TESTS_CRASH_CHECK_H
#define GHATRACE_TESTS_CRASH_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/github/event.h"

// A delivery of the run that was recorded, or (`port` is 0) one that was not sent in it.
struct crash_delivery {
    unsigned port; // of the client's connection
    bool is_acknowledged;
    timestamp_ns guid_time;
    uint8_t digest[16];
    struct github_event event;
};

struct crash_world {
    struct crash_delivery *deliveries; // those of one run in the order in which they were sent
    size_t count;
    struct arena arena;
    timestamp_ns now; // after all of them
    bool
        has_collector; // in the recorded run: records may have been sent and be gone from the outbox
    uint64_t *commits;   // digest of the store after each commit; the first is that of no store
    size_t commit_count; // as of the state that is checked, also those that it may lack
    uint64_t finished;   // digest of all that is exported in the end, from the whole file
    const char *folder;  // where states are written
};

#define DIGEST_OF_NOTHING UINT64_C(0)

// Reads the deliveries (crash.py writes them) and decodes them. Ends the process if it cannot.
void crash_world_read(struct crash_world *world, const char *path);

// Digest of everything in the LMDB file of the folder: each key and value of each table, LMDB's own included. By LMDB
// alone. DIGEST_OF_NOTHING: there is no store, or none that was ever committed. Ends the process if a table cannot
// be read in full.
uint64_t crash_digest(const char *folder);

// What a state may be.
struct crash_limits {
    size_t least, most; // which commits it may have: an index into `commits`
    bool may_be_empty;  // nothing was committed for certain
};
// Checks the store in world->folder, whose files it changes. Ends the process with a message on standard error if a
// promise is broken. `*finished`: digest of all that is exported in the end.
void crash_check(const struct crash_world *world, const struct crash_limits *limits,
                 uint64_t *finished);

// Ends the process with a message.
#define crash_fail(...)                                                                            \
    do {                                                                                           \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, "\n");                                                                     \
        _exit(1);                                                                                  \
    } while (0)

#endif
