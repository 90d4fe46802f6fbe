// Notes in packed blocks: find, add, expire, drop.
#include "notes.h"

#include <assert.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

// Number of cached blocks; about two MiB, of which few are touched unless notes arrive out of order.
#define CACHED_BLOCKS 512
// Notes that are further in the future than this were made while the clock was ahead.
#define CLOCK_SLACK NS_PER_HOUR
// Number of sweeps over all blocks during the retention of notes.
#define SWEEPS_PER_LIFE 16
// The sweep's share of the blocks that one batch may delete. The sweep is not urgent.
#define SWEEP_SHARE 32
// Number of blocks of a kind that are searched for the oldest delivery.
#define OLDEST_LOOKS 256
// Blocks are packed when nothing was added to them for this time.
#define COLD_AFTER (15 * NS_PER_MINUTE)

const struct note_kind note_kinds[STORE_NOTE_KINDS] = {
    [STORE_NOTE_TIMED_DELIVERY] = {.tag = 'g', .order = 24, .shared = 4},
    [STORE_NOTE_UNTIMED_DELIVERY] = {.tag = 'u', .order = 24, .shared = 8},
    [STORE_NOTE_JOB] = {.tag = 'j', .order = 16, .shared = 4, .payload = STORE_JOB_NOTE_SIZE},
    [STORE_NOTE_WAITED_JOB] = {.tag = 'w',
                               .order = 16,
                               .shared = 4,
                               .payload = STORE_WAITED_JOB_NOTE_SIZE},
    [STORE_NOTE_RUN] = {.tag = 'r', .order = 16, .shared = 4, .payload = STORE_RUN_NOTE_SIZE},
    [STORE_NOTE_OLD_RUN] = {.tag = 'o',
                            .order = 12,
                            .shared = 4,
                            .payload = STORE_OLD_RUN_NOTE_SIZE},
    [STORE_NOTE_ASSIGNED_JOB] = {.tag = 'a',
                                 .order = 16,
                                 .shared = 4,
                                 .payload = STORE_ASSIGNED_JOB_NOTE_SIZE},
};

// A range of the sorted notes of a kind: from its first note, inclusive, to the first of the next block. The range
// before the first block of a kind counts as a block, too, empty and not in the database.
struct block {
    bool is_dirty;
    bool is_damaged; // only `kind` and `first` are known
    enum store_note kind;
    bool has_limit;
    uint8_t first[NOTE_ORDER_MAX]; // of its key
    uint8_t limit[NOTE_ORDER_MAX]; // the key of the next block of its kind
    uint32_t oldest, newest;       // seconds: when its notes were made
    size_t count;
    uint8_t entries[NOTE_BLOCK_BYTES];
};

struct note_cache {
    size_t used;
    size_t next_victim;
    struct block *sorted[CACHED_BLOCKS]; // blocks in use, by kind and first note
    struct block blocks[CACHED_BLOCKS];
};

struct note_cache *notes_make_cache(void)
{
    return memory_allocate_array(1, sizeof(struct note_cache));
}

void notes_drop_cache(struct note_cache *cache)
{
    if (cache != NULL)
        cache->used = 0;
}

// --- one block -------------------------------------------------------------------------------------------

static size_t entry_size(enum store_note kind)
{
    const struct note_kind *shape = &note_kinds[kind];
    return shape->order - shape->shared + shape->payload;
}

static size_t capacity_of(enum store_note kind)
{
    return (NOTE_BLOCK_BYTES - NOTE_HEADER_BYTES) / entry_size(kind);
}

static uint8_t *entry_at(struct block *block, size_t index)
{
    return block->entries + index * entry_size(block->kind);
}

static bool shares_prefix(const struct block *block, const uint8_t *order)
{
    return block->count > 0 && memcmp(block->first, order, note_kinds[block->kind].shared) == 0;
}

static size_t make_key(uint8_t key[NOTE_KEY_MAX], enum store_note kind, const uint8_t *order)
{
    key[0] = (uint8_t)note_kinds[kind].tag;
    memcpy(key + 1, order, note_kinds[kind].order);
    return 1 + note_kinds[kind].order;
}

static void put_be32(uint8_t *bytes, uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        bytes[i] = (uint8_t)value;
}

static uint32_t get_be32(const void *bytes)
{
    const uint8_t *next = bytes;
    return (uint32_t)next[0] << 24 | (uint32_t)next[1] << 16 | (uint32_t)next[2] << 8 | next[3];
}

static uint32_t note_seconds(timestamp_ns time)
{
    int64_t seconds = time > 0 ? time / NS_PER_SECOND : 0;
    return seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
}

static enum error_code write_block(struct store_transaction *transaction, struct block *block,
                                   struct error *error)
{
    uint8_t key[NOTE_KEY_MAX];
    uint8_t value[NOTE_BLOCK_BYTES];
    size_t size = block->count * entry_size(block->kind);
    assert(block->count > 0 && block->count <= capacity_of(block->kind));
    put_be32(value, block->newest);
    put_be32(value + 4, block->oldest);
    memcpy(value + NOTE_HEADER_BYTES, block->entries, size);
    block->is_dirty = false;
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_NOTES, "write notes", error},
                    slice_of_bytes(key, make_key(key, block->kind, block->first)),
                    slice_of_bytes(value, NOTE_HEADER_BYTES + size));
}

static enum error_code damaged(struct error *error)
{
    return error_set(error, ERROR_CORRUPT, "store: a block of notes is damaged");
}

// STORE_NOTE_KINDS: a kind that does not exist in this version.
static enum store_note kind_of_key(struct slice key)
{
    for (int i = 0; i < STORE_NOTE_KINDS; i++) {
        if (key.len == 1 + note_kinds[i].order && key.data[0] == note_kinds[i].tag)
            return (enum store_note)i;
    }
    return STORE_NOTE_KINDS;
}

static bool has_sound_size(enum store_note kind, size_t len)
{
    size_t size = entry_size(kind);
    return len >= NOTE_HEADER_BYTES + size && len <= NOTE_BLOCK_BYTES &&
           (len - NOTE_HEADER_BYTES) % size == 0;
}

static enum error_code read_block(struct slice key, struct slice value, struct block *block,
                                  struct error *error)
{
    block->kind = kind_of_key(key);
    if (block->kind == STORE_NOTE_KINDS)
        return damaged(error);
    size_t size = entry_size(block->kind);
    memcpy(block->first, key.data + 1, note_kinds[block->kind].order);
    block->is_damaged = !has_sound_size(block->kind, value.len);
    block->count = 0;
    if (block->is_damaged)
        return ERROR_NONE;
    block->newest = get_be32(value.data);
    block->oldest = get_be32(value.data + 4);
    block->count = (value.len - NOTE_HEADER_BYTES) / size;
    memcpy(block->entries, value.data + NOTE_HEADER_BYTES, value.len - NOTE_HEADER_BYTES);
    block->is_dirty = false;
    block->has_limit = false;
    return ERROR_NONE;
}

// The first entry that is not below `order`, comparing `len` bytes after the shared ones.
static size_t search_block(struct block *block, const uint8_t *order, size_t len)
{
    size_t low = 0;
    size_t high = block->count;
    const uint8_t *suffix = order + note_kinds[block->kind].shared;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(entry_at(block, middle), suffix, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// --- the cache -------------------------------------------------------------------------------------------

enum error_code notes_flush(struct store_transaction *transaction, struct error *error)
{
    struct note_cache *cache = transaction->store->notes;
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; cache != NULL && i < cache->used && code == ERROR_NONE; i++) {
        if (cache->sorted[i]->is_dirty)
            code = write_block(transaction, cache->sorted[i], error);
    }
    return code;
}

static int compare_block(const struct block *block, enum store_note kind, const uint8_t *order)
{
    if (block->kind != kind)
        return block->kind < kind ? -1 : 1;
    return memcmp(block->first, order, note_kinds[kind].order);
}

// The number of cached blocks that begin at or before this.
static size_t cached_rank(const struct note_cache *cache, enum store_note kind,
                          const uint8_t *order)
{
    size_t low = 0;
    size_t high = cache->used;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_block(cache->sorted[middle], kind, order) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void list_block(struct note_cache *cache, struct block *block)
{
    size_t at = cached_rank(cache, block->kind, block->first);
    assert(cache->used < CACHED_BLOCKS);
    memmove(&cache->sorted[at + 1], &cache->sorted[at],
            (cache->used - at) * sizeof cache->sorted[0]);
    cache->sorted[at] = block;
    cache->used++;
}

// A free slot, other than `keep`, for the caller to fill and to list.
static enum error_code find_free_cache_slot(struct store_transaction *transaction,
                                            const struct block *keep, struct block **place,
                                            struct error *error)
{
    struct note_cache *cache = transaction->store->notes;
    if (cache->used < CACHED_BLOCKS) {
        // The blocks in use are at the front until all are.
        *place = &cache->blocks[cache->used];
        return ERROR_NONE;
    }
    struct block *victim = &cache->blocks[cache->next_victim++ % CACHED_BLOCKS];
    if (victim == keep)
        victim = &cache->blocks[cache->next_victim++ % CACHED_BLOCKS];
    *place = victim;
    if (victim->is_dirty) {
        enum error_code code = write_block(transaction, victim, error);
        if (code != ERROR_NONE)
            return code;
    }
    size_t at = cached_rank(cache, victim->kind, victim->first) - 1;
    while (cache->sorted[at] != victim)
        at--; // an empty range may begin where the next block does
    cache->used--;
    memmove(&cache->sorted[at], &cache->sorted[at + 1],
            (cache->used - at) * sizeof cache->sorted[0]);
    return ERROR_NONE;
}

static struct block *find_cached(struct note_cache *cache, const struct note_key *key)
{
    size_t at = cached_rank(cache, key->kind, key->order);
    struct block *block = at > 0 ? cache->sorted[at - 1] : NULL;
    if (block == NULL || block->kind != key->kind)
        return NULL;
    bool is_in =
        !block->has_limit || memcmp(key->order, block->limit, note_kinds[key->kind].order) < 0;
    return is_in ? block : NULL;
}

static bool is_of_kind(MDB_val key, enum store_note kind)
{
    return key.mv_size == 1 + note_kinds[kind].order &&
           *(const char *)key.mv_data == note_kinds[kind].tag;
}

// Reads the block whose range contains the note, with two moves of a cursor.
static enum error_code read_spot(MDB_cursor *cursor, const struct note_key *note,
                                 struct block *block, struct error *error)
{
    const size_t len = note_kinds[note->kind].order;
    uint8_t bytes[NOTE_KEY_MAX];
    MDB_val key = {.mv_size = make_key(bytes, note->kind, note->order), .mv_data = bytes};
    MDB_val next = key, value, unused;
    int code = lmdb_move(cursor, &next, &value, MDB_SET_RANGE);
    bool is_exact = code == MDB_SUCCESS && next.mv_size == key.mv_size &&
                    memcmp(next.mv_data, key.mv_data, key.mv_size) == 0;
    bool is_found = is_exact;
    if (is_exact)
        code = lmdb_move(cursor, &next, &unused, MDB_NEXT);
    bool has_limit = code == MDB_SUCCESS && is_of_kind(next, note->kind);
    if (has_limit)
        memcpy(block->limit, (const uint8_t *)next.mv_data + 1, len);
    if (!is_exact && (code == MDB_SUCCESS || code == MDB_NOTFOUND)) {
        code = lmdb_move(cursor, &key, &value, code == MDB_SUCCESS ? MDB_PREV : MDB_LAST);
        is_found = code == MDB_SUCCESS && is_of_kind(key, note->kind);
    }
    if (code != MDB_SUCCESS && code != MDB_NOTFOUND)
        return lmdb_error(code, "find note", error);
    enum error_code read = ERROR_NONE;
    if (is_found) {
        read = read_block(lmdb_slice(key), lmdb_slice(value), block, error);
        if (read == ERROR_NONE && memcmp(block->first, note->order, len) > 0)
            read = error_set(error, ERROR_CORRUPT, "store: find note: keys are out of order");
    } else {
        block->kind = note->kind;
        block->is_dirty = false;
        block->is_damaged = false;
        block->count = 0;
        memset(block->first, 0, sizeof block->first);
    }
    block->has_limit = has_limit;
    return read;
}

// Its notes are lost: deliveries that they recorded may be accepted as new. Nothing else must fail because of that.
// The cache
// is emptied: the block before it now covers a larger range, and must not be cached twice.
static enum error_code drop_damaged_block(struct store_transaction *transaction, struct slice key,
                                          struct error *error)
{
    enum error_code code = notes_flush(transaction, error);
    if (code != ERROR_NONE)
        return code;
    notes_drop_cache(transaction->store->notes);
    log_warn("a block of notes in the store is damaged and was dropped: its deliveries may be "
             "treated as new");
    if (key.data[0] == note_kinds[STORE_NOTE_UNTIMED_DELIVERY].tag)
        transaction->store->has_slices = false;
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_NOTES, "drop damaged notes", error},
                       key);
}

static enum error_code read_by_cursor(struct store_transaction *transaction,
                                      const struct note_key *key, struct block *block,
                                      struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_NOTES, "find note", error};
    MDB_cursor *cursor;
    enum error_code code = lmdb_open_cursor(&op, &cursor);
    if (code != ERROR_NONE)
        return code;
    code = read_spot(cursor, key, block, error);
    mdb_cursor_close(cursor);
    return code;
}

static enum error_code find_block(struct store_transaction *transaction, const struct note_key *key,
                                  struct block **found, struct error *error)
{
    struct note_cache *cache = transaction->store->notes;
    assert(transaction->is_write && cache != NULL);
    *found = find_cached(cache, key);
    if (*found != NULL)
        return ERROR_NONE;
    // First, because it may write, which moves what a cursor points to.
    enum error_code code = find_free_cache_slot(transaction, NULL, found, error);
    if (code == ERROR_NONE)
        code = read_by_cursor(transaction, key, *found, error);
    while (code == ERROR_NONE && (*found)->is_damaged) {
        uint8_t bytes[NOTE_KEY_MAX];
        size_t len = make_key(bytes, key->kind, (*found)->first);
        code = drop_damaged_block(transaction, slice_of_bytes(bytes, len), error);
        if (code == ERROR_NONE)
            code = find_free_cache_slot(transaction, NULL, found, error);
        if (code == ERROR_NONE)
            code = read_by_cursor(transaction, key, *found, error);
    }
    if (code == ERROR_NONE)
        list_block(cache, *found);
    return code;
}

// For a reader, which has no cache.
static enum error_code read_block_of(struct store_transaction *transaction,
                                     const struct note_key *key, struct block *block,
                                     struct error *error)
{
    block->count = 0;
    if (!lmdb_has_database(transaction->store, DATABASE_NOTES))
        return ERROR_NONE; // the store is older than notes
    enum error_code code = read_by_cursor(transaction, key, block, error);
    if (code == ERROR_NONE && block->is_damaged)
        store_note_unreadable(transaction);
    return code;
}

// --- finding and adding ------------------------------------------------------------------------------------

enum error_code notes_find(struct store_transaction *transaction, const struct note_key *key,
                           uint8_t *payload, struct error *error)
{
    const struct note_kind *shape = &note_kinds[key->kind];
    struct block read;
    struct block *block = &read;
    enum error_code code = transaction->is_write ? find_block(transaction, key, &block, error)
                                                 : read_block_of(transaction, key, &read, error);
    if (code != ERROR_NONE)
        return code;
    if (!shares_prefix(block, key->order))
        return ERROR_NOT_FOUND;
    size_t len = shape->order - shape->shared;
    size_t at = search_block(block, key->order, len);
    const uint8_t *entry = entry_at(block, at);
    if (at == block->count || memcmp(entry, key->order + shape->shared, len) != 0)
        return ERROR_NOT_FOUND;
    if (payload != NULL && shape->payload > 0)
        memcpy(payload, entry + len, shape->payload);
    return ERROR_NONE;
}

enum error_code notes_find_prefix(struct store_transaction *transaction, const struct note_key *key,
                                  size_t len, struct error *error)
{
    const size_t shared = note_kinds[key->kind].shared;
    struct note_key first = {.kind = key->kind}; // the smallest that begins with it
    struct block *block;
    assert(len >= shared && len <= note_kinds[key->kind].order);
    memcpy(first.order, key->order, len);
    enum error_code code = find_block(transaction, &first, &block, error);
    if (code != ERROR_NONE)
        return code;
    bool is_found = false;
    if (shares_prefix(block, first.order)) {
        size_t at = search_block(block, first.order, len - shared);
        is_found = at < block->count &&
                   memcmp(entry_at(block, at), first.order + shared, len - shared) == 0;
    }
    // The next entry may be the first of the next block, which is that block's key.
    is_found |= block->has_limit && memcmp(block->limit, first.order, len) == 0;
    return is_found ? ERROR_NONE : ERROR_NOT_FOUND;
}

static void insert_at(struct block *block, size_t at, const uint8_t *order, const uint8_t *payload)
{
    const struct note_kind *shape = &note_kinds[block->kind];
    size_t size = entry_size(block->kind);
    uint8_t *entry = entry_at(block, at);
    assert(at <= block->count && (block->count + 1) * size <= NOTE_BLOCK_BYTES - NOTE_HEADER_BYTES);
    memmove(entry + size, entry, (block->count - at) * size);
    memcpy(entry, order + shape->shared, shape->order - shape->shared);
    if (shape->payload > 0)
        memcpy(entry + shape->order - shape->shared, payload, shape->payload);
    block->count++;
    block->is_dirty = true;
}

// Creates a block, from `order` on, that takes over the rest of the range of `before`. The caller must fill and write
// it: cached blocks must be in the database, too, because the next lookup finds the block boundaries there.
static enum error_code add_note_block(struct store_transaction *transaction, struct block *before,
                                      const uint8_t *order, struct block **made,
                                      struct error *error)
{
    enum error_code code = find_free_cache_slot(transaction, before, made, error);
    if (code != ERROR_NONE)
        return code;
    struct block *block = *made;
    size_t len = note_kinds[before->kind].order;
    block->kind = before->kind;
    block->is_damaged = false;
    block->count = 0;
    block->oldest = UINT32_MAX;
    block->newest = 0;
    block->is_dirty = false;
    block->has_limit = before->has_limit;
    memcpy(block->first, order, len);
    memcpy(block->limit, before->limit, len);
    before->has_limit = true;
    memcpy(before->limit, order, len);
    list_block(transaction->store->notes, block);
    return ERROR_NONE;
}

// Makes room at `at`. Notes in order of time are inserted near the end of a block, and what precedes them stays
// unchanged; notes without an order may be inserted anywhere.
static enum error_code split_block(struct store_transaction *transaction, struct block *block,
                                   size_t at, struct block **right, struct error *error)
{
    const struct note_kind *shape = &note_kinds[block->kind];
    size_t size = entry_size(block->kind);
    size_t kept = block->count / 2;
    if (block->kind != STORE_NOTE_UNTIMED_DELIVERY && at > kept)
        kept = at;
    assert(kept > 0 && kept < block->count);
    uint8_t order[NOTE_ORDER_MAX];
    memcpy(order, block->first, shape->shared);
    memcpy(order + shape->shared, entry_at(block, kept), shape->order - shape->shared);
    enum error_code code = add_note_block(transaction, block, order, right, error);
    if (code != ERROR_NONE)
        return code;
    (*right)->count = block->count - kept;
    (*right)->oldest = block->oldest;
    (*right)->newest = block->newest;
    memcpy((*right)->entries, entry_at(block, kept), (*right)->count * size);
    block->count = kept;
    block->is_dirty = true;
    return write_block(transaction, *right, error);
}

static void note_time(struct block *block, timestamp_ns now)
{
    uint32_t seconds = note_seconds(now);
    block->is_dirty |= seconds > block->newest || seconds < block->oldest;
    block->newest = seconds > block->newest ? seconds : block->newest;
    block->oldest = seconds < block->oldest ? seconds : block->oldest;
}

enum error_code notes_put(struct store_transaction *transaction, const struct note_key *key,
                          const uint8_t *payload, timestamp_ns now, struct error *error)
{
    const struct note_kind *shape = &note_kinds[key->kind];
    size_t len = shape->order - shape->shared;
    struct block *block;
    size_t at = 0;
    enum error_code code = find_block(transaction, key, &block, error);
    if (code != ERROR_NONE)
        return code;
    bool is_alike = shares_prefix(block, key->order);
    if (is_alike)
        at = search_block(block, key->order, len);
    if (is_alike && at < block->count &&
        memcmp(entry_at(block, at), key->order + shape->shared, len) == 0) {
        if (shape->payload > 0)
            memcpy(entry_at(block, at) + len, payload, shape->payload);
        block->is_dirty = true;
        note_time(block, now);
        return ERROR_NONE;
    }
    bool is_full = is_alike && block->count == capacity_of(key->kind);
    transaction->note_counts[key->kind]++;
    transaction->notes_changed = true;
    // Notes arrive nearly in order, so a full block is followed by a new one instead of being split in half.
    if (!is_alike || (is_full && at == block->count)) {
        code = add_note_block(transaction, block, key->order, &block, error);
        if (code != ERROR_NONE)
            return code;
        insert_at(block, 0, key->order, payload);
        note_time(block, now);
        return write_block(transaction, block, error);
    }
    if (is_full) {
        struct block *right;
        code = split_block(transaction, block, at, &right, error);
        if (code != ERROR_NONE)
            return code;
        if (at > block->count) {
            at -= block->count;
            block = right;
        }
    }
    insert_at(block, at, key->order, payload);
    note_time(block, now);
    return ERROR_NONE;
}

// --- expiry --------------------------------------------------------------------------------------------

// A block in the database, read without the cache.
struct cursor_block {
    struct slice key, value;                    // valid until the next write
    uint8_t key_bytes[STORE_TABLE_KEY_MAX + 1]; // a copy of the key, and a zero
    size_t key_len;
    enum store_note kind;
    size_t count;
    uint32_t oldest, newest;
};

// The first block at or after `key`, which may point into `*found`. Its kind may be one that this version does not
// know; its count is 0 if it is damaged.
static enum error_code seek_block(struct store_transaction *transaction, struct slice key,
                                  struct cursor_block *found, struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_NOTES, "seek notes", error};
    enum error_code code = lmdb_seek(&op, key, &found->key, &found->value);
    if (code != ERROR_NONE)
        return code;
    found->kind = kind_of_key(found->key);
    found->key_len = found->key.len;
    if (found->key_len >= sizeof found->key_bytes)
        return damaged(error);
    memcpy(found->key_bytes, found->key.data, found->key_len);
    found->key_bytes[found->key_len] = 0;
    found->count = 0;
    found->newest = 0;
    found->oldest = 0;
    if (found->kind == STORE_NOTE_KINDS || !has_sound_size(found->kind, found->value.len))
        return ERROR_NONE;
    found->count = (found->value.len - NOTE_HEADER_BYTES) / entry_size(found->kind);
    found->newest = get_be32(found->value.data);
    found->oldest = get_be32(found->value.data + 4);
    return ERROR_NONE;
}

// The first block of this kind, if there is one; else one of the next kind.
static enum error_code seek_first_block(struct store_transaction *transaction, enum store_note kind,
                                        struct cursor_block *found, struct error *error)
{
    return seek_block(transaction, slice_of_bytes(&note_kinds[kind].tag, 1), found, error);
}

static struct slice key_of_block(const struct cursor_block *block)
{
    return slice_of_bytes(block->key_bytes, block->key_len);
}

// The smallest key after that of the block.
static struct slice key_after(const struct cursor_block *block)
{
    return slice_of_bytes(block->key_bytes, block->key_len + 1);
}

// Call before blocks are changed without the cache, which has been flushed.
static void discard_note_cache(struct store_transaction *transaction)
{
    notes_drop_cache(transaction->store->notes);
}

static enum error_code delete_block(struct store_transaction *transaction,
                                    const struct cursor_block *block, struct error *error)
{
    assert(block->kind < STORE_NOTE_KINDS);
    uint64_t *count = &transaction->note_counts[block->kind];
    discard_note_cache(transaction);
    *count -= block->count < *count ? block->count : *count;
    transaction->notes_changed = true;
    if (block->kind == STORE_NOTE_UNTIMED_DELIVERY)
        transaction->store->has_slices = false;
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_NOTES, "forget notes", error},
                       key_of_block(block));
}

// One call of store_expire_notes().
struct expiry {
    struct store_transaction *transaction;
    timestamp_ns now;
    const duration_ns *keep; // retention of each kind
    size_t left;             // blocks that may still be deleted or checked
    struct error *error;
};

static bool is_block_expired(const struct expiry *expiry, const struct cursor_block *block)
{
    // Whole seconds, rounded down when they were noted: none is deleted early.
    timestamp_ns newest = ((timestamp_ns)block->newest + 1) * NS_PER_SECOND;
    return newest <= expiry->now && expiry->keep[block->kind] <= expiry->now - newest;
}

enum error_code store_last_delivery(struct store_transaction *transaction, timestamp_ns *time,
                                    struct error *error)
{
    const size_t shared = note_kinds[STORE_NOTE_TIMED_DELIVERY].shared;
    struct note_key key = {.kind = STORE_NOTE_TIMED_DELIVERY};
    struct block last;
    *time = TIMESTAMP_UNKNOWN;
    // A tool may look at a store that is older than notes are.
    if (!lmdb_has_database(transaction->store, DATABASE_NOTES))
        return ERROR_NONE;
    memset(key.order, 0xff, sizeof key.order);
    enum error_code code = read_by_cursor(transaction, &key, &last, error);
    if (code != ERROR_NONE || last.is_damaged || last.count == 0)
        return code;
    memcpy(key.order, last.first, shared);
    memcpy(key.order + shared, entry_at(&last, last.count - 1), TIME_SIZE - shared);
    uint64_t ms = lmdb_get_be64(key.order);
    *time = ms < INT64_MAX / NS_PER_MS ? (timestamp_ns)ms * NS_PER_MS : INT64_MAX;
    return ERROR_NONE;
}

// Notes from the future mean that the clock was ahead when they were made, or is behind now. The times in GUIDs come
// from another clock: if the last of them is in the future, too, this clock is behind.
static enum error_code check_clock_behind(const struct expiry *expiry, bool *is_back)
{
    timestamp_ns last;
    enum error_code code = store_last_delivery(expiry->transaction, &last, expiry->error);
    *is_back = last > expiry->now + CLOCK_SLACK; // false for TIMESTAMP_UNKNOWN
    return code;
}

// Notes from the future were made while the clock was ahead: they get the time `now`. Not while the clock is behind:
// when it is corrected, all of them would have expired.
static enum error_code clamp_future_notes(const struct expiry *expiry,
                                          const struct cursor_block *found)
{
    struct block block;
    bool is_back;
    enum error_code code = check_clock_behind(expiry, &is_back);
    if (code != ERROR_NONE || is_back)
        return code;
    code = read_block(found->key, found->value, &block, expiry->error);
    if (code != ERROR_NONE)
        return code;
    discard_note_cache(expiry->transaction);
    block.newest = note_seconds(expiry->now);
    block.oldest = block.oldest < block.newest ? block.oldest : block.newest;
    return write_block(expiry->transaction, &block, expiry->error);
}

static bool is_ahead(const struct expiry *expiry, const struct cursor_block *block)
{
    return block->newest > note_seconds(expiry->now + CLOCK_SLACK);
}

// Deletes at the front of one kind, where the oldest notes are.
static enum error_code expire_front(struct expiry *expiry, enum store_note kind)
{
    struct store_transaction *transaction = expiry->transaction;
    const timestamp_ns now = expiry->now;
    const duration_ns keep = expiry->keep[kind];
    timestamp_ns *due = &transaction->store->notes_due[kind];
    // At least once an hour, since clocks may be set back.
    if (now < *due && *due <= now + NS_PER_HOUR)
        return ERROR_NONE;
    *due = now + NS_PER_HOUR;
    for (; expiry->left > 0; expiry->left--) {
        struct cursor_block block;
        enum error_code code = seek_first_block(transaction, kind, &block, expiry->error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && block.kind != kind))
            return ERROR_NONE;
        if (code == ERROR_NONE && is_ahead(expiry, &block))
            return clamp_future_notes(expiry, &block);
        if (code == ERROR_NONE && !is_block_expired(expiry, &block)) {
            timestamp_ns end = ((timestamp_ns)block.newest + 1) * NS_PER_SECOND;
            if (keep < *due - end)
                *due = end + keep;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE)
            code = delete_block(transaction, &block, expiry->error);
        if (code != ERROR_NONE)
            return code;
    }
    *due = now; // there is more
    return ERROR_NONE;
}

// Moves notes from `next` to the end of `block`, which is before it and has room, and writes both. `*is_empty`: all of
// them were moved, and `next` was deleted.
static enum error_code move_notes(const struct expiry *expiry, struct block *block,
                                  struct block *next, bool *is_empty)
{
    struct store_transaction *transaction = expiry->transaction;
    const size_t size = entry_size(block->kind);
    const size_t shared = note_kinds[block->kind].shared;
    const size_t room = capacity_of(block->kind) - block->count;
    const size_t moved = room < next->count ? room : next->count;
    uint8_t bytes[NOTE_KEY_MAX];
    const struct slice old_key = slice_of_bytes(bytes, make_key(bytes, next->kind, next->first));
    assert(block->kind == next->kind && moved > 0);
    discard_note_cache(transaction);
    memcpy(entry_at(block, block->count), next->entries, moved * size);
    block->count += moved;
    block->newest = block->newest > next->newest ? block->newest : next->newest;
    block->oldest = block->oldest < next->oldest ? block->oldest : next->oldest;
    enum error_code code = write_block(transaction, block, expiry->error);
    if (code == ERROR_NONE)
        code = lmdb_delete(
            &(struct lmdb_op){transaction, DATABASE_NOTES, "pack notes", expiry->error}, old_key);
    *is_empty = moved == next->count;
    if (code != ERROR_NONE || *is_empty)
        return code;
    next->count -= moved;
    memmove(next->entries, entry_at(next, moved), next->count * size);
    memcpy(next->first + shared, next->entries, note_kinds[next->kind].order - shared);
    return write_block(transaction, next, expiry->error);
}

// Fills a block that is not full from the next one. Nothing was added to either for a while. `*is_again`: the next
// one is empty now, and there may be room for more.
static enum error_code pack(const struct expiry *expiry, const struct cursor_block *found,
                            bool *is_again)
{
    struct block block, next;
    struct cursor_block behind;
    size_t capacity = capacity_of(found->kind);
    uint32_t cold = note_seconds(expiry->now - COLD_AFTER);
    if (found->count >= capacity - capacity / 16 || found->newest > cold)
        return ERROR_NONE;
    enum error_code code = read_block(found->key, found->value, &block, expiry->error);
    if (code != ERROR_NONE)
        return code;
    code = seek_block(expiry->transaction, key_after(found), &behind, expiry->error);
    if (code != ERROR_NONE || behind.kind != block.kind || behind.count == 0 ||
        behind.newest > cold)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    code = read_block(behind.key, behind.value, &next, expiry->error);
    if (code != ERROR_NONE || !shares_prefix(&block, next.first))
        return code;
    return move_notes(expiry, &block, &next, is_again);
}

static enum error_code sweep_block(const struct expiry *expiry, const struct cursor_block *block,
                                   bool *is_again)
{
    *is_again = false;
    if (block->kind == STORE_NOTE_KINDS)
        return ERROR_NONE; // of a later version
    if (block->count == 0)
        return drop_damaged_block(expiry->transaction, key_of_block(block), expiry->error);
    if (is_ahead(expiry, block))
        return clamp_future_notes(expiry, block);
    if (is_block_expired(expiry, block))
        return delete_block(expiry->transaction, block, expiry->error);
    return pack(expiry, block, is_again);
}

static bool is_sweep_due(const struct expiry *expiry)
{
    duration_ns shortest = expiry->keep[0];
    for (int i = 1; i < STORE_NOTE_KINDS; i++)
        shortest = expiry->keep[i] < shortest ? expiry->keep[i] : shortest;
    duration_ns since = expiry->now - expiry->transaction->store->sweep_begun;
    return since < 0 || since >= shortest / SWEEPS_PER_LIFE;
}

// Sweeps over all blocks from time to time: deletes expired ones that are out of order, packs those with gaps.
static enum error_code sweep(const struct expiry *expiry)
{
    struct store *store = expiry->transaction->store;
    if (store->sweep_len == 0 && !is_sweep_due(expiry))
        return ERROR_NONE;
    if (store->sweep_len == 0) {
        store->sweep_begun = expiry->now;
        store->sweep_key[0] = 0;
        store->sweep_len = 1;
    }
    for (size_t left = expiry->left / SWEEP_SHARE; left > 0; left--) {
        struct cursor_block block;
        enum error_code code =
            seek_block(expiry->transaction, slice_of_bytes(store->sweep_key, store->sweep_len),
                       &block, expiry->error);
        if (code == ERROR_NOT_FOUND) {
            store->sweep_len = 0;
            return ERROR_NONE;
        }
        bool is_again = false;
        if (code == ERROR_NONE)
            code = sweep_block(expiry, &block, &is_again);
        if (code != ERROR_NONE)
            return code;
        if (is_again)
            continue;
        const struct slice next = key_after(&block);
        assert(next.len <= sizeof store->sweep_key);
        memcpy(store->sweep_key, next.data, next.len);
        store->sweep_len = next.len;
    }
    return ERROR_NONE;
}

enum error_code store_expire_notes(struct store_transaction *transaction, timestamp_ns now,
                                   const duration_ns keep[STORE_NOTE_KINDS], size_t *left,
                                   struct error *error)
{
    struct expiry expiry = {transaction, now, keep, *left, error};
    enum error_code code = notes_flush(transaction, error);
    for (int kind = 0; kind < STORE_NOTE_KINDS && code == ERROR_NONE; kind++)
        code = expire_front(&expiry, (enum store_note)kind);
    *left = expiry.left;
    return code == ERROR_NONE ? sweep(&expiry) : code;
}

// The front of each kind, first the kind with the oldest notes.
static enum error_code oldest_block(struct store_transaction *transaction,
                                    const enum store_note *kinds, size_t count,
                                    struct cursor_block *oldest, struct error *error)
{
    bool is_any = false;
    for (size_t i = 0; i < count; i++) {
        struct cursor_block block;
        enum error_code code = seek_first_block(transaction, kinds[i], &block, error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        if (code == ERROR_NONE && block.kind == kinds[i] &&
            (!is_any || block.newest < oldest->newest)) {
            *oldest = block;
            is_any = true;
        }
    }
    return is_any ? ERROR_NONE : ERROR_NOT_FOUND;
}

static const enum store_note delivery_kinds[] = {STORE_NOTE_TIMED_DELIVERY,
                                                 STORE_NOTE_UNTIMED_DELIVERY};
static const enum store_note closed_kinds[] = {STORE_NOTE_JOB, STORE_NOTE_WAITED_JOB,
                                               STORE_NOTE_ASSIGNED_JOB, STORE_NOTE_RUN,
                                               STORE_NOTE_OLD_RUN};

enum error_code store_shed_notes(struct store_transaction *transaction, size_t max, uint64_t *shed,
                                 struct error *error)
{
    *shed = 0;
    enum error_code code = notes_flush(transaction, error);
    for (size_t i = 0; i < max && code == ERROR_NONE; i++) {
        struct cursor_block block;
        code = oldest_block(transaction, delivery_kinds, 2, &block, error);
        if (code == ERROR_NOT_FOUND)
            code = oldest_block(transaction, closed_kinds,
                                sizeof closed_kinds / sizeof closed_kinds[0], &block, error);
        if (code == ERROR_NONE)
            code = delete_block(transaction, &block, error);
        if (code == ERROR_NONE)
            *shed += block.count;
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Late notes are in front although they were added last, so more than the front is searched.
static enum error_code oldest_of_kind(struct store_transaction *transaction, enum store_note kind,
                                      timestamp_ns *oldest, struct error *error)
{
    struct cursor_block block;
    enum error_code code = seek_first_block(transaction, kind, &block, error);
    for (int i = 0; i < OLDEST_LOOKS && code == ERROR_NONE && block.kind == kind; i++) {
        timestamp_ns at = (timestamp_ns)block.oldest * NS_PER_SECOND;
        if (block.count > 0 && (*oldest == TIMESTAMP_UNKNOWN || at < *oldest))
            *oldest = at;
        code = seek_block(transaction, key_after(&block), &block, error);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code store_oldest_delivery(struct store_transaction *transaction, timestamp_ns *oldest,
                                      struct error *error)
{
    enum error_code code = deliveries_oldest_old(transaction, oldest, error);
    // A tool may read a store that is older than notes.
    if (code != ERROR_NONE || *oldest != TIMESTAMP_UNKNOWN ||
        !lmdb_has_database(transaction->store, DATABASE_NOTES))
        return code;
    code = oldest_of_kind(transaction, STORE_NOTE_TIMED_DELIVERY, oldest, error);
    return code == ERROR_NONE
               ? oldest_of_kind(transaction, STORE_NOTE_UNTIMED_DELIVERY, oldest, error)
               : code;
}
