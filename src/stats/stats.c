// Statistics: the writer, with the rows that a transaction changes, kept in memory until they are written, and the
// spelling of labels in them.
#include <assert.h>
#include <stdlib.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"
#include "private.h"

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define ROW_BYTES_MAX ((size_t)64 * 1024)

// --- life cycle ------------------------------------------------------------------------------------------

struct rules_hash {
    uint8_t chain[HASH_SIZE]; // of all texts so far
    uint8_t text[HASH_SIZE];
};

static void add_to_rules_hash(struct rules_hash *hash, struct slice text)
{
    stats_hash(text, hash->text);
    stats_hash(slice_of_bytes(hash, sizeof *hash), hash->chain);
}

// What depends on the rules is counted again if they change (rebuild.c).
static void hash_rules(const struct pool_rules *rules, uint8_t hash[HASH_SIZE])
{
    struct rules_hash all = {{0}, {0}};
    for (size_t i = 0; i < rules->ignored_count; i++)
        add_to_rules_hash(&all, rules->ignored[i]);
    for (size_t i = 0; i < rules->count; i++) {
        all.chain[0] ^= 1; // a name is no glob
        add_to_rules_hash(&all, rules->rules[i].name);
        for (size_t j = 0; j < rules->rules[i].glob_count; j++)
            add_to_rules_hash(&all, rules->rules[i].globs[j]);
    }
    memcpy(hash, all.chain, HASH_SIZE);
}

enum error_code stats_create(const struct stats_options *options, struct stats **stats,
                             struct error *error)
{
    struct stats *made = memory_allocate_array(1, sizeof *made);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "create figures: out of memory");
    made->max_series = options->max_series > 0 ? options->max_series : STATS_SERIES_MAX_DEFAULT;
    made->max_pools = options->max_pools > 0 ? options->max_pools : STATS_POOLS_MAX_DEFAULT;
    made->rules = options->rules;
    made->series = options->series;
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        if (made->series.labels[kind] == 0)
            made->series.labels[kind] = series_labels_before((enum series_kind)kind);
    if (made->series.bounds.count == 0)
        made->series.bounds = series_bounds_before;
    hash_rules(&made->rules, made->rules_hash);
    arena_init(&made->arena, ARENA_BLOCK_BYTES);
    arena_init(&made->scratch, ARENA_BLOCK_BYTES);
    buffer_init(&made->bytes, ROW_BYTES_MAX);
    made->new_jobs.may_exceed = true;
    *stats = made;
    return ERROR_NONE;
}

void stats_destroy(struct stats *stats)
{
    if (stats == NULL)
        return;
    arena_release(&stats->arena);
    arena_release(&stats->scratch);
    buffer_release(&stats->bytes);
    memory_free(stats);
}

const struct pool_rules *stats_pool_rules(const struct stats *stats)
{
    return &stats->rules;
}

static void discard_rows(struct stats *stats)
{
    if (stats->first != NULL)
        memset(stats->chains, 0, sizeof stats->chains);
    stats->first = NULL;
    stats->last = &stats->first;
    memset(stats->new_rows, 0, sizeof stats->new_rows);
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        stats->candidates[kind].is_barren = false;
    arena_clear(&stats->arena);
}

void stats_begin(struct stats *stats, struct store_transaction *transaction, timestamp_ns now)
{
    stats->transaction = transaction;
    stats->now = now;
    stats->has_new_server = false;
    stats->new_jobs.count = 0;
    stats->new_jobs.next = 0;
    stats->overflow = (struct stats_overflow){.kind = ""};
    stats->series_change = (struct stats_series_change){.has_other_labels = false};
    stats->folding.folds = 0;
    discard_rows(stats);
}

static void write_example(char example[200], const struct slice *parts, size_t count)
{
    const size_t size = 200;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice part = utf8_cut(parts[i], size - 3 - len);
        if (part.len == 0)
            continue;
        if (len > 0) {
            memcpy(example + len, ", ", 2);
            len += 2;
        }
        part = utf8_cut(part, size - 1 - len);
        memcpy(example + len, part.data, part.len);
        len += part.len;
        if (len + 3 >= size)
            break;
    }
    example[len] = '\0';
}

void stats_note_overflow(struct stats *stats, const char *kind, const struct slice *parts,
                         size_t count)
{
    stats->overflow.sets++;
    stats->overflow.kind = kind;
    write_example(stats->overflow.example, parts, count);
}

void stats_note_folded(struct stats *stats, struct slice labels)
{
    stats->overflow.folded++;
    write_example(stats->overflow.folded_example, &labels, 1);
}

void stats_read_overflow(const struct stats *stats, struct stats_overflow *overflow)
{
    *overflow = stats->overflow;
}

void stats_read_series_change(const struct stats *stats, struct stats_series_change *change)
{
    *change = stats->series_change;
}

static enum error_code encode_row(const struct row *row, struct buffer *out)
{
    if (row->table == STORE_TABLE_POOLS)
        return pool_encode(row->pool, out);
    if (row->table == STORE_TABLE_LATENCY)
        return histogram_encode(row->histogram, out);
    if (row->table == STORE_TABLE_POOL_WAITS)
        return latency_encode_waits(row->waits, out);
    if (row->table == STORE_TABLE_POOL_MINUTES)
        return minute_row_encode(row->minute, out);
    return series_encode(row->series, out);
}

static struct slice row_key(const struct row *row);

// A minute of which nothing remains is deleted, so that what is stored does not depend on the order of events.
static enum error_code write_row(struct stats *stats, const struct row *row, struct error *error)
{
    if (row->table == STORE_TABLE_POOL_MINUTES && minute_row_is_empty(row->minute)) {
        enum error_code code =
            store_table_delete(stats->transaction, row->table, row_key(row), error);
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    }
    buffer_clear(&stats->bytes);
    enum error_code code = encode_row(row, &stats->bytes);
    if (code != ERROR_NONE)
        return error_set(error, code, "encode figures: %s", error_code_text(code));
    return store_table_put(stats->transaction, row->table, row_key(row),
                           buffer_slice(&stats->bytes), error);
}

enum error_code stats_flush(struct stats *stats, struct error *error)
{
    for (const struct row *row = stats->first; row != NULL; row = row->next) {
        enum error_code code = write_row(stats, row, error);
        if (code != ERROR_NONE)
            return code;
    }
    discard_rows(stats);
    return job_history_flush(stats, error);
}

// --- rows --------------------------------------------------------------------------------------------------

static struct slice row_key(const struct row *row)
{
    return slice_of_bytes(row->key, row->key_len);
}

// Keys have a hash and perhaps a time, whose last byte is always the same.
static size_t chain_of(enum store_table table, const uint8_t *key, size_t key_len)
{
    size_t sum = (size_t)table;
    for (size_t i = 0; i < key_len; i++)
        sum = sum * 31 + key[i];
    return sum % ROW_CHAINS;
}

struct row *rows_find(const struct stats *stats, enum store_table table, const void *key,
                      size_t key_len)
{
    struct row *row = stats->chains[chain_of(table, key, key_len)];
    while (row != NULL &&
           (row->table != table || row->key_len != key_len || memcmp(row->key, key, key_len) != 0))
        row = row->next_in_chain;
    return row;
}

struct row *rows_add(struct stats *stats, enum store_table table, const void *key, size_t key_len)
{
    struct row **chain = &stats->chains[chain_of(table, key, key_len)];
    struct row *row = arena_allocate_array(&stats->arena, 1, sizeof *row);
    assert(key_len > 0 && key_len <= sizeof row->key);
    if (row == NULL)
        return NULL;
    row->table = table;
    row->key_len = key_len;
    memcpy(row->key, key, key_len);
    row->next_in_chain = *chain;
    *chain = row;
    *stats->last = row;
    stats->last = &row->next;
    return row;
}

bool rows_may_grow(const struct stats *stats, enum store_table table)
{
    uint64_t count = store_table_count(stats->transaction, table) + stats->new_rows[table];
    return count < (table == STORE_TABLE_POOLS ? stats->max_pools : stats->max_series) &&
           !store_is_tight(stats->transaction);
}

bool stats_covers(const struct stats *stats, const struct store_key *key)
{
    if (!stats->is_rebuilding)
        return true;
    int order = memcmp(key->trace.bytes, stats->cursor.trace.bytes, TRACE_ID_SIZE);
    if (order == 0)
        order = memcmp(key->span.bytes, stats->cursor.span.bytes, SPAN_ID_SIZE);
    return order < 0;
}

enum error_code stats_set_aside(struct stats *stats, enum store_table table, struct slice key,
                                struct error *error)
{
    enum error_code code =
        store_table_set_aside(stats->transaction, table, key, SLICE("damaged"), error);
    return code == ERROR_NONE ? ERROR_NOT_FOUND : code;
}

void stats_hash(struct slice data, uint8_t hash[HASH_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    digest_sha256(data, digest);
    memcpy(hash, digest, HASH_SIZE);
}

// --- spelling of sets of labels --------------------------------------------------------------------

// Pools and series of jobs have at most so many sets each. At twice that number, at least half of the spellings are
// unused.
#define SPELLINGS_PER_SET 2

struct set_id {
    uint8_t bytes[HASH_SIZE];
};

static struct set_id id_of(struct slice labels)
{
    char room[LABELS_TEXT_MAX];
    struct set_id id;
    stats_hash(labels_identity(labels, room), id.bytes);
    return id;
}

static struct slice key_of(const struct set_id *id)
{
    return slice_of_bytes(id->bytes, sizeof id->bytes);
}

// --- spelling of sets of labels: choosing ----------------------------------------------------------

// ERROR_NOT_FOUND, also for a damaged one, which is set aside.
static enum error_code find_spelling(struct stats *stats, const struct set_id *id,
                                     struct slice *found, struct error *error)
{
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_SPELLINGS, key_of(id), found, error);
    if (code != ERROR_NONE)
        return code;
    struct set_id actual = id_of(*found);
    if (memcmp(&actual, id, sizeof actual) != 0)
        return stats_set_aside(stats, STORE_TABLE_SPELLINGS, key_of(id), error);
    return ERROR_NONE;
}

static enum error_code put_spelling(struct stats *stats, const struct set_id *id,
                                    struct slice labels, struct error *error)
{
    return store_table_put(stats->transaction, STORE_TABLE_SPELLINGS, key_of(id), labels, error);
}

// "other" keeps its spelling, even if a runner has a label that differs from it only in case.
enum error_code spelling_choose(struct stats *stats, struct slice labels, struct slice *shown,
                                struct error *error)
{
    struct set_id id = id_of(labels);
    if (slice_equals_ignoring_case(labels, STATS_OTHER)) {
        *shown = STATS_OTHER;
        return ERROR_NONE;
    }
    enum error_code code = find_spelling(stats, &id, shown, error);
    if (code == ERROR_NOT_FOUND) {
        *shown = labels;
        code = put_spelling(stats, &id, labels, error);
    }
    if (code == ERROR_NONE && !arena_copy_slice(&stats->arena, *shown, shown))
        code = error_set(error, ERROR_MEMORY, "choose a spelling: out of memory");
    return code;
}

enum error_code spelling_keep_first(struct stats *stats, struct slice labels, struct error *error)
{
    struct set_id id = id_of(labels);
    struct slice found;
    enum error_code code = find_spelling(stats, &id, &found, error);
    if (code == ERROR_NONE && slice_compare(found, labels) <= 0)
        return ERROR_NONE;
    return code == ERROR_NONE || code == ERROR_NOT_FOUND ? put_spelling(stats, &id, labels, error)
                                                         : code;
}

// --- spelling of sets of labels: expiry ------------------------------------------------------------

struct sets {
    struct set_id *list;
    size_t count, capacity;
};

static enum error_code make_room_for_sets(struct sets *sets, uint64_t capacity, struct error *error)
{
    sets->capacity = (size_t)capacity;
    sets->list = memory_allocate_array(sets->capacity + 1, sizeof *sets->list);
    return sets->list != NULL ? ERROR_NONE
                              : error_set(error, ERROR_MEMORY, "expire spellings: out of memory");
}

static int compare_sets(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct set_id));
}

static void add_set(struct sets *sets, const struct set_id *id)
{
    if (sets->count < sets->capacity)
        sets->list[sets->count++] = *id;
}

static enum error_code collect_used(struct stats *stats, struct sets *used, struct error *error)
{
    struct series_id series_id = {{0}};
    struct series series;
    struct pool *pools;
    size_t count;
    enum error_code code = pool_list(stats->transaction, &stats->arena, &pools, &count, error);
    for (size_t i = 0; code == ERROR_NONE && i < count; i++) {
        struct set_id id = id_of(pools[i].labels);
        add_set(used, &id);
    }
    while (code == ERROR_NONE && (code = series_seek(stats->transaction, SERIES_JOB, &series_id,
                                                     &series, error)) == ERROR_NONE) {
        struct set_id id = id_of(series.labels[SERIES_RUNNER_LABELS]);
        add_set(used, &id);
        series_id_increment(&series_id);
    }
    if (used->count > 1)
        qsort(used->list, used->count, sizeof *used->list, compare_sets);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static bool is_used(const struct sets *used, struct slice key)
{
    return key.len == sizeof(struct set_id) && used->count > 0 &&
           bsearch(key.data, used->list, used->count, sizeof *used->list, compare_sets) != NULL;
}

static enum error_code collect_unused(struct store_transaction *transaction,
                                      const struct sets *used, struct sets *unused,
                                      struct error *error)
{
    struct store_walk *walk;
    struct store_entry entry;
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_SPELLINGS, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        struct set_id id;
        if (entry.key.len != sizeof id || is_used(used, entry.key))
            continue;
        memcpy(&id, entry.key.data, sizeof id);
        add_set(unused, &id);
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code spelling_expire(struct stats *stats, struct error *error)
{
    struct store_transaction *transaction = stats->transaction;
    struct sets used = {0}, unused = {0};
    uint64_t count = store_table_count(transaction, STORE_TABLE_SPELLINGS);
    if (count / SPELLINGS_PER_SET <= stats->max_series + stats->max_pools)
        return ERROR_NONE;
    enum error_code code = make_room_for_sets(
        &used, pool_count(transaction) + series_count(transaction, SERIES_JOB), error);
    if (code == ERROR_NONE)
        code = make_room_for_sets(&unused, count, error);
    if (code == ERROR_NONE)
        code = collect_used(stats, &used, error);
    if (code == ERROR_NONE)
        code = collect_unused(transaction, &used, &unused, error);
    for (size_t i = 0; i < unused.count && code == ERROR_NONE; i++)
        code =
            store_table_delete(transaction, STORE_TABLE_SPELLINGS, key_of(&unused.list[i]), error);
    memory_free(used.list);
    memory_free(unused.list);
    return code;
}
