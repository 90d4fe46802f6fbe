// The list of notices, of all receivers: of each trouble what is pending and whether its begin was sent, by the rule
// (rule.h), with the stored form. Private to this room. No clock and no I/O: the caller stores what has changed.
//
// Stored form, in the table `notices`: be64 receiver ‖ condition (a letter) ‖ 16 bytes of SHA-256 of the subject's name →
// 01 ‖ phase (a letter) ‖ refusals ‖ flags (1: in flight, 2: unsure) ‖ be64 each: began at, ended at, due at ‖ the name.
// Entries of another layout are ignored.
#ifndef GHATRACE_SRC_NOTIFY_LIST_H
#define GHATRACE_SRC_NOTIFY_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/notify/notices.h"
#include "ghatrace/store/table.h"
#include "rule.h"
#include "subjects.h"

// Troubles of one receiver; a GitHub-wide incident is in all pools at once.
#define NOTICE_LIST_MAX 1000
// Of these, of pools in which no job has run: invented labels must not keep other troubles from being sent.
#define NOTICE_UNPROVEN_MAX 250
#define NOTICE_NAME_MAX 512 // bytes; longer names are cut

struct notice_key {
    uint64_t receiver;
    enum notice_condition condition;
    struct notice_subject_id subject;
};

struct notice {
    struct notice_key key;
    struct notice_state state;
    char *name; // owned
    size_t name_len;
    // How often the state has changed: in all, when it was last given to be stored, and when that was done.
    uint32_t changes, given, stored;
};

struct notice_list {
    // in the order of their keys; those of NOTICE_NONE only until that is stored
    struct notice *notices;
    size_t count, capacity;
    struct notice_times times;
    uint64_t sent, cancelled, dropped[NOTICE_DROPS];
    size_t left_out; // troubles that the last update had no room for
};

void notice_list_release(struct notice_list *list);

// Adds a stored notice. Entries that cannot be read are ignored. ERROR_MEMORY.
enum error_code notice_list_load(struct notice_list *list, struct store_entry entry) MUST_CHECK;
// Applies the rule to each trouble and receiver. ERROR_MEMORY: some were left out, until the next call.
enum error_code notice_list_update(struct notice_list *list, const struct notice_subjects *subjects,
                                   const struct notice_receivers *receivers) MUST_CHECK;
// Drops what is kept for receivers that are not in the list.
void notice_list_keep(struct notice_list *list, const struct notice_receivers *receivers);

// Number of pending notices of a receiver.
uint64_t notice_list_pending(const struct notice_list *list, uint64_t receiver);
// Marks up to `max` pending notices of a receiver as in flight, the oldest ones first. That has to be stored before
// they are sent, so that it is known after a crash that they may have been. Returns the number.
size_t notice_list_take(struct notice_list *list, uint64_t receiver, size_t max);
// True if there are none in flight of which that is not stored.
bool notice_list_may_send(const struct notice_list *list, uint64_t receiver);
// Lists those of a receiver that are in flight, the oldest first; valid until the next call that changes the list.
// Returns their number.
size_t notice_list_in_flight(const struct notice_list *list, uint64_t receiver,
                             const struct notice *taken[NOTICE_LIST_MAX]);
// Settles those of a receiver that are in flight.
void notice_list_settle(struct notice_list *list, uint64_t receiver, enum notice_result result);

// Up to `max` changes that are not stored, as entries in the arena; an empty value: delete it. False if out of memory.
bool notice_list_changes(struct notice_list *list, struct arena *arena, struct store_entry *entries,
                         size_t max, size_t *count) MUST_CHECK;
// What was given last is stored, or is not.
void notice_list_stored(struct notice_list *list, bool is_stored);

#endif
