// The writer: the rows that a transaction changes, in memory until they are written.
#include "private.h"

#include "ghatrace/base/digest.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define ROW_BYTES_MAX ((size_t)64 * 1024)

// --- life cycle ------------------------------------------------------------------------------------------

enum error_code tally_create(size_t max_series, struct tally **tally, struct error *error)
{
    struct tally *made = memory_allocate_array(1, sizeof *made);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "create tally: out of memory");
    made->max_series = max_series > 0 ? max_series : TALLY_SERIES_MAX_DEFAULT;
    arena_init(&made->arena, ARENA_BLOCK_BYTES);
    arena_init(&made->scratch, ARENA_BLOCK_BYTES);
    buffer_init(&made->bytes, ROW_BYTES_MAX);
    *tally = made;
    return ERROR_NONE;
}

void tally_destroy(struct tally *tally)
{
    if (tally == NULL)
        return;
    arena_release(&tally->arena);
    arena_release(&tally->scratch);
    buffer_release(&tally->bytes);
    memory_free(tally);
}

static void forget_rows(struct tally *tally)
{
    if (tally->first != NULL)
        memset(tally->chains, 0, sizeof tally->chains);
    tally->first = NULL;
    tally->last = &tally->first;
    memset(tally->new_rows, 0, sizeof tally->new_rows);
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        tally->candidates[kind].is_barren = false;
    arena_clear(&tally->arena);
}

void tally_begin(struct tally *tally, struct store_transaction *transaction, timestamp_ns now)
{
    tally->transaction = transaction;
    tally->now = now;
    tally->has_new_server = false;
    tally->overflow = (struct tally_overflow){.kind = ""};
    forget_rows(tally);
}

void tally_note_overflow(struct tally *tally, const char *kind, const struct slice *parts,
                         size_t count)
{
    struct tally_overflow *overflow = &tally->overflow;
    size_t len = 0;
    overflow->sets++;
    overflow->kind = kind;
    for (size_t i = 0; i < count; i++) {
        struct slice part = utf8_cut(parts[i], sizeof overflow->example - 3 - len);
        if (part.len == 0)
            continue;
        if (len > 0) {
            memcpy(overflow->example + len, ", ", 2);
            len += 2;
        }
        part = utf8_cut(part, sizeof overflow->example - 1 - len);
        memcpy(overflow->example + len, part.data, part.len);
        len += part.len;
        if (len + 3 >= sizeof overflow->example)
            break;
    }
    overflow->example[len] = '\0';
}

void tally_read_overflow(const struct tally *tally, struct tally_overflow *overflow)
{
    *overflow = tally->overflow;
}

static enum error_code encode_row(const struct row *row, struct buffer *out)
{
    if (row->table == STORE_TABLE_POOLS)
        return pool_encode(row->pool, out);
    if (row->table == STORE_TABLE_LATENCY)
        return histogram_encode(row->histogram, out);
    return series_encode(row->series, out);
}

enum error_code tally_flush(struct tally *tally, struct error *error)
{
    for (const struct row *row = tally->first; row != NULL; row = row->next) {
        buffer_clear(&tally->bytes);
        enum error_code code = encode_row(row, &tally->bytes);
        if (code != ERROR_NONE)
            return error_set(error, code, "encode figures: %s", error_code_text(code));
        code = store_table_put(tally->transaction, row->table, row_key(row),
                               buffer_slice(&tally->bytes), error);
        if (code != ERROR_NONE)
            return code;
    }
    forget_rows(tally);
    return ERROR_NONE;
}

// --- rows --------------------------------------------------------------------------------------------------

struct slice row_key(const struct row *row)
{
    return slice_of_bytes(row->key, row->key_len);
}

// Keys end in a hash.
static size_t chain_of(enum store_table table, const uint8_t *key, size_t key_len)
{
    return (key[key_len - 1] + (size_t)table * 37) % ROW_CHAINS;
}

struct row *rows_find(const struct tally *tally, enum store_table table, const void *key,
                      size_t key_len)
{
    struct row *row = tally->chains[chain_of(table, key, key_len)];
    while (row != NULL &&
           (row->table != table || row->key_len != key_len || memcmp(row->key, key, key_len) != 0))
        row = row->next_in_chain;
    return row;
}

struct row *rows_add(struct tally *tally, enum store_table table, const void *key, size_t key_len)
{
    struct row **chain = &tally->chains[chain_of(table, key, key_len)];
    struct row *row = arena_allocate_array(&tally->arena, 1, sizeof *row);
    if (row == NULL)
        return NULL;
    row->table = table;
    row->key_len = key_len;
    memcpy(row->key, key, key_len);
    row->next_in_chain = *chain;
    *chain = row;
    *tally->last = row;
    tally->last = &row->next;
    return row;
}

bool rows_may_grow(const struct tally *tally, enum store_table table)
{
    uint64_t count = store_table_count(tally->transaction, table) + tally->new_rows[table];
    return count < tally->max_series && !store_is_tight(tally->transaction);
}

bool tally_covers(const struct tally *tally, const struct store_key *key)
{
    if (!tally->is_rebuilding)
        return true;
    int order = memcmp(key->trace.bytes, tally->cursor.trace.bytes, TRACE_ID_SIZE);
    if (order == 0)
        order = memcmp(key->span.bytes, tally->cursor.span.bytes, SPAN_ID_SIZE);
    return order < 0;
}

enum error_code tally_set_aside(struct tally *tally, enum store_table table, struct slice key,
                                struct error *error)
{
    enum error_code code =
        store_table_set_aside(tally->transaction, table, key, SLICE("damaged"), error);
    return code == ERROR_NONE ? ERROR_NOT_FOUND : code;
}

void tally_hash(struct slice data, uint8_t hash[HASH_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    digest_sha256(data, digest);
    memcpy(hash, digest, HASH_SIZE);
}
