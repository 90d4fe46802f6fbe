// Notices, shared by the files that do I/O. Private to this room.
#ifndef GHATRACE_SRC_NOTIFY_PRIVATE_H
#define GHATRACE_SRC_NOTIFY_PRIVATE_H

#include <stdbool.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/notify/notices.h"
#include "list.h"
#include "sender.h"
#include "subjects.h"

#define NOTICE_STORED_MAX 256 // changes in one task of the engine

struct notice_senders {
    struct notice_receivers receivers;
    struct notice_sender items[NOTICE_RECEIVERS_MAX];
};

struct notices {
    struct notices_options options;
    struct notice_list list;
    struct notice_senders *senders; // NULL: notices_use() was not called yet
    struct net_timer *timer;
    duration_ns interval;
    bool is_stopped;
    bool has_failed; // the pools could not be read, and it was logged
    uint64_t failures;

    struct arena arenas[2]; // of `subjects`, and of the next ones
    unsigned arena;         // that of `subjects`
    struct notice_subjects subjects;

    // What the engine is given to store.
    struct engine_task task;
    struct net_task stored;
    bool is_storing;
    struct arena stored_arena;
    struct store_entry entries[NOTICE_STORED_MAX];
};

// When to look at the pools again, if the last look took so much processor time.
duration_ns notices_look_again(duration_ns interval, duration_ns took);

// Gives the engine what has changed, if it is not busy with that.
void notices_store_changes(struct notices *notices);

#endif
