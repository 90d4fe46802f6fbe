// Sorted sets of small notes in packed blocks, used by deliveries.c, which defines what a note means; layout and
// reasons are in ghatrace/store/store.h.
#ifndef GHATRACE_STORE_NOTES_H
#define GHATRACE_STORE_NOTES_H

#include "lmdb.h"

// A block fills one overflow page of LMDB: 4096 bytes minus a header of 16.
#define NOTE_BLOCK_BYTES 4080
#define NOTE_HEADER_BYTES 8
#define NOTE_KEY_MAX (1 + NOTE_ORDER_MAX)

struct note_kind {
    char tag;     // first byte of the keys
    size_t order; // bytes that notes are sorted and identified by
    // of these, at the front: the same in all notes of a block, and kept only in its key
    size_t shared;
    size_t payload; // bytes after them
};
extern const struct note_kind note_kinds[STORE_NOTE_KINDS];

// Cache of the blocks that write transactions use; kept between transactions, since nothing else writes notes. NULL
// if out of memory. One block: release it with memory_free().
struct note_cache *notes_make_cache(void);
// Call after a failed transaction: its changes in the cache are not in the database.
void notes_drop_cache(struct note_cache *cache);
// Writes changed blocks. Call before the commit, and before blocks are read from the database directly.
enum error_code notes_flush(struct store_transaction *transaction, struct error *error) MUST_CHECK;

// Which note: its kind, and the bytes that it is sorted and found by, as many as its kind has.
struct note_key {
    enum store_note kind;
    uint8_t order[NOTE_ORDER_MAX];
};

// `payload` may be NULL. ERROR_NOT_FOUND: there is no such note.
enum error_code notes_find(struct store_transaction *transaction, const struct note_key *key,
                           uint8_t *payload, struct error *error) MUST_CHECK;
// The functions below are for write transactions. ERROR_NOT_FOUND: no note has an order that begins with the first
// `len` bytes of this one.
enum error_code notes_find_prefix(struct store_transaction *transaction, const struct note_key *key,
                                  size_t len, struct error *error) MUST_CHECK;
// Adds the note, or replaces its payload, and records `now` as its time.
enum error_code notes_put(struct store_transaction *transaction, const struct note_key *key,
                          const uint8_t *payload, timestamp_ns now, struct error *error) MUST_CHECK;

#endif
