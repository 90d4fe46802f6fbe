// Sorted sets of small notes in packed blocks, under deliveries.c. What a note means is theirs to say;
// layout and reasons are in ghatrace/store/store.h.
#ifndef GHATRACE_STORE_NOTES_H
#define GHATRACE_STORE_NOTES_H

#include "lmdb.h"

// A block fills one overflow page of LMDB: 4096 bytes less a header of 16.
#define NOTE_BLOCK_BYTES 4080
#define NOTE_HEADER_BYTES 8
#define NOTE_KEY_MAX (1 + NOTE_ORDER_MAX)

struct note_kind {
    char tag;     // first byte of the keys
    size_t order; // bytes that a note is sorted by, and known by
    size_t
        shared; // of these, at the front: alike in all notes of a block, and kept in its key only
    size_t payload; // bytes behind them
};
extern const struct note_kind note_kinds[STORE_NOTE_KINDS];

// Blocks that write transactions work on; they stay for the next one, since nothing else writes notes. NULL: out of
// memory.
struct note_cache *notes_make_cache(void);
void notes_free_cache(struct note_cache *cache);
// After a transaction that failed: what it left in the cache is not in the database.
void notes_drop_cache(struct note_cache *cache);
// Writes what was changed. Before the commit, and before blocks are looked at in the database.
enum error_code notes_flush(struct store_transaction *transaction, struct error *error) MUST_CHECK;

// Finds the note with this order; `payload` may be NULL.
enum error_code notes_find(struct store_transaction *transaction, enum store_note kind,
                           const uint8_t *order, bool *is_found, uint8_t *payload,
                           struct error *error) MUST_CHECK;
// The rest: in write transactions. Is there a note whose order begins with these bytes?
enum error_code notes_has_prefix(struct store_transaction *transaction, enum store_note kind,
                                 const uint8_t *prefix, size_t len, bool *is_found,
                                 struct error *error) MUST_CHECK;
// Adds it, or gives it a new payload, and notes that this was at `now`.
enum error_code notes_put(struct store_transaction *transaction, enum store_note kind,
                          const uint8_t *order, const uint8_t *payload, timestamp_ns now,
                          struct error *error) MUST_CHECK;

#endif
