// Makes stored series those of the options: adds them up by other labels, clears them for other bounds, deletes those
// that are not used any more.
#include "ghatrace/base/memory.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/series.h"
#include "private.h"

// --- the options by which series are stored -------------------------------------------------------
// Table tally (rebuild.h): "series" → for each kind be16 of its labels, a bit each (series_options.h), then varints of the number of
// bounds and of each, in nanoseconds.

struct stored_options {
    bool are_there; // false: figures 1 to 3, or no series at all
    unsigned labels[SERIES_KINDS];
    struct series_bounds bounds;
};

static struct slice options_key(void)
{
    return SLICE("series");
}

static bool decode_options(struct slice bytes, struct stored_options *stored)
{
    struct byte_reader reader = bytes_reader(bytes);
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        stored->labels[kind] = (unsigned)bytes_read_be(&reader, 2);
    uint64_t count = bytes_read_varint(&reader);
    if (count == 0 || count > SERIES_BOUNDS_MAX)
        return false;
    stored->bounds.count = (size_t)count;
    for (size_t i = 0; i < stored->bounds.count; i++)
        stored->bounds.at[i] = (duration_ns)bytes_read_varint(&reader);
    return bytes_is_done(&reader);
}

// What is damaged is as if it were not there, but for the bounds: each set shows only which labels it has.
static enum error_code read_options(struct store_transaction *transaction,
                                    struct stored_options *stored, struct error *error)
{
    struct slice found;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_STATS, options_key(), &found, error);
    *stored = (struct stored_options){.are_there = false};
    if (code == ERROR_NONE)
        stored->are_there = decode_options(found, stored);
    if (!stored->are_there)
        *stored = (struct stored_options){.are_there = false};
    if (code == ERROR_NOT_FOUND)
        stored->bounds = series_bounds_before;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code write_options(struct stats *stats, struct error *error)
{
    const struct series_options *options = &stats->series;
    struct byte_writer writer = {.out = &stats->bytes};
    buffer_clear(&stats->bytes);
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        bytes_write_be(&writer, options->labels[kind], 2);
    bytes_write_varint(&writer, options->bounds.count);
    for (size_t i = 0; i < options->bounds.count; i++)
        bytes_write_varint(&writer, (uint64_t)options->bounds.at[i]);
    if (writer.code != ERROR_NONE)
        return error_set(error, writer.code, "encode figures: %s", error_code_text(writer.code));
    return store_table_put(stats->transaction, STORE_TABLE_STATS, options_key(),
                           buffer_slice(&stats->bytes), error);
}

static bool are_same_bounds(const struct series_bounds *a, const struct series_bounds *b)
{
    return a->count == b->count && memcmp(a->at, b->at, a->count * sizeof a->at[0]) == 0;
}

static bool are_same_options(const struct stats *stats, const struct stored_options *stored)
{
    return stored->are_there &&
           memcmp(stored->labels, stats->series.labels, sizeof stored->labels) == 0 &&
           are_same_bounds(&stored->bounds, &stats->series.bounds);
}

enum error_code series_are_adopted(const struct stats *stats, struct store_transaction *transaction,
                                   bool *are_adopted, struct error *error)
{
    struct stored_options stored;
    enum error_code code = read_options(transaction, &stored, error);
    *are_adopted = code == ERROR_NONE && are_same_options(stats, &stored);
    return code;
}

enum error_code series_read_bounds(struct store_transaction *transaction,
                                   struct series_bounds *bounds, struct error *error)
{
    struct stored_options stored;
    enum error_code code = read_options(transaction, &stored, error);
    *bounds = stored.bounds;
    return code;
}

// --- other bounds ---------------------------------------------------------------------------------

static enum error_code clear_for_other_bounds(struct stats *stats, struct error *error)
{
    static const enum store_table tables[] = {STORE_TABLE_JOB_SERIES, STORE_TABLE_RUN_SERIES,
                                              STORE_TABLE_POOL_WAITS};
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && code == ERROR_NONE; i++) {
        stats->series_change.has_other_bounds |=
            store_table_count(stats->transaction, tables[i]) > 0;
        code = store_table_clear(stats->transaction, tables[i], error);
    }
    return code;
}

// --- other labels ---------------------------------------------------------------------------------

struct conversion {
    struct stats *stats;
    struct error *error;
    enum series_kind kind;
    unsigned wanted;    // labels
    timestamp_ns since; // when sets of older versions began
};

static enum error_code refuse_memory_for_conversion(const struct conversion *conversion)
{
    return error_set(conversion->error, ERROR_MEMORY, "convert older figures: out of memory");
}

// The ids of all sets of the kind, to be freed.
static enum error_code list_sets(const struct conversion *conversion, struct series_id **list,
                                 size_t *count)
{
    struct store_transaction *transaction = conversion->stats->transaction;
    enum store_table table = series_table(conversion->kind);
    size_t most = (size_t)store_table_count(transaction, table);
    struct store_walk *walk;
    struct store_entry entry;
    *count = 0;
    *list = memory_allocate_array(most + 1, sizeof **list);
    if (*list == NULL)
        return refuse_memory_for_conversion(conversion);
    enum error_code code =
        store_table_walk(transaction, table, SLICE_EMPTY, &walk, conversion->error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, conversion->error)) == ERROR_NONE)
        if (entry.key.len == sizeof **list && *count < most)
            memcpy((*list)[(*count)++].bytes, entry.key.data, entry.key.len);
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// A stored set, its texts in `copy`. ERROR_NOT_FOUND, also for a damaged one, which is set aside.
static enum error_code read_label_set(const struct conversion *conversion,
                                      const struct series_id *id, struct series_row **row,
                                      struct slice *copy)
{
    struct stats *stats = conversion->stats;
    struct slice key = slice_of_bytes(id->bytes, sizeof id->bytes), value;
    enum store_table table = series_table(conversion->kind);
    enum error_code code =
        store_table_get(stats->transaction, table, key, &value, conversion->error);
    if (code != ERROR_NONE)
        return code;
    *row = series_allocate_row(&stats->scratch, conversion->kind);
    if (*row == NULL || !arena_copy_slice(&stats->scratch, value, copy))
        return refuse_memory_for_conversion(conversion);
    return series_decode(*copy, *row) ? ERROR_NONE
                                      : stats_set_aside(stats, table, key, conversion->error);
}

static void name_pool_of_labels(const struct stats *stats, struct series_row *row, char *room)
{
    char asked[LABELS_TEXT_MAX];
    struct pool_choice choice;
    pool_rules_choose(&stats->rules, row->labels[SERIES_RUNNER_LABELS], asked, &choice);
    struct slice name = pool_name_of_choice(&choice, room);
    if (name.len > 0 && name.data != room)
        memcpy(room, name.data, name.len);
    row->labels[SERIES_POOL] = (struct slice){room, name.len};
}

// `room`: what the name of the pool may be written to.
static void project(const struct conversion *conversion, struct series_row *row,
                    char room[LABELS_TEXT_MAX])
{
    bool is_other = series_row_is_other(row);
    bool has_new_pool = (conversion->wanted & ~row->has & SERIES_HAS(SERIES_POOL)) != 0 &&
                        (row->has & SERIES_HAS(SERIES_RUNNER_LABELS)) != 0;
    if (is_other)
        series_name_other(conversion->wanted, row->labels);
    else if (has_new_pool)
        name_pool_of_labels(conversion->stats, row, room);
    row->has = conversion->wanted;
    for (size_t i = 0; i < SERIES_LABELS; i++)
        if ((row->has & SERIES_HAS(i)) == 0)
            row->labels[i] = SLICE_EMPTY;
    if (row->started_at == TIMESTAMP_UNKNOWN)
        row->started_at = conversion->since;
    if (row->used_at == TIMESTAMP_UNKNOWN)
        row->used_at = conversion->stats->now;
}

static void merge_set(struct series_row *into, const struct series_row *from)
{
    series_add_row(into, from);
    into->used_at = timestamp_later(into->used_at, from->used_at);
    if (from->started_at < into->started_at)
        into->started_at = from->started_at;
}

static enum error_code put_set(const struct conversion *conversion, const struct series_id *id,
                               const struct series_row *row)
{
    struct stats *stats = conversion->stats;
    buffer_clear(&stats->bytes);
    enum error_code code = series_encode(row, &stats->bytes);
    if (code != ERROR_NONE)
        return error_set(conversion->error, code, "encode figures: %s", error_code_text(code));
    return store_table_put(stats->transaction, series_table(conversion->kind),
                           slice_of_bytes(id->bytes, sizeof id->bytes), buffer_slice(&stats->bytes),
                           conversion->error);
}

// Replaces a set by what is left of its labels, added to what is there already.
static enum error_code convert_set(const struct conversion *conversion, const struct series_id *old)
{
    char room[LABELS_TEXT_MAX];
    struct series_row *row, *there;
    struct slice copy;
    arena_clear(&conversion->stats->scratch);
    enum error_code code = read_label_set(conversion, old, &row, &copy);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    bool is_done = row->has == conversion->wanted && series_has_layout_of_now(copy);
    if (is_done)
        return ERROR_NONE;
    project(conversion, row, room);
    const struct series_id id = series_make_id(row->has, row->labels);
    code = store_table_delete(conversion->stats->transaction, series_table(conversion->kind),
                              slice_of_bytes(old->bytes, sizeof old->bytes), conversion->error);
    if (code == ERROR_NONE)
        code = read_label_set(conversion, &id, &there, &copy);
    if (code == ERROR_NONE) {
        merge_set(there, row);
        row = there;
    }
    return code == ERROR_NONE || code == ERROR_NOT_FOUND ? put_set(conversion, &id, row) : code;
}

static enum error_code convert_kind(const struct conversion *conversion)
{
    struct stats *stats = conversion->stats;
    struct series_id *list = NULL;
    size_t count = 0;
    if (store_table_count(stats->transaction, series_table(conversion->kind)) == 0)
        return ERROR_NONE;
    if (conversion->wanted == SERIES_LABELS_OFF)
        return store_table_clear(stats->transaction, series_table(conversion->kind),
                                 conversion->error);
    enum error_code code = list_sets(conversion, &list, &count);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = convert_set(conversion, &list[i]);
    memory_free(list);
    return code;
}

static enum error_code convert_labels_of_sets(struct stats *stats,
                                              const struct stored_options *stored,
                                              struct error *error)
{
    timestamp_ns since;
    enum error_code code = series_since(stats->transaction, &since, error);
    if (since == TIMESTAMP_UNKNOWN)
        since = stats->now;
    for (int i = 0; i < SERIES_KINDS && code == ERROR_NONE; i++) {
        enum series_kind kind = (enum series_kind)i;
        const struct conversion conversion = {.stats = stats,
                                              .error = error,
                                              .kind = kind,
                                              .wanted = stats->series.labels[kind],
                                              .since = since};
        unsigned before = stored->are_there ? stored->labels[kind] : series_labels_before(kind);
        if (stored->are_there && before == conversion.wanted)
            continue;
        stats->series_change.has_other_labels |=
            before != conversion.wanted &&
            store_table_count(stats->transaction, series_table(kind)) > 0;
        code = convert_kind(&conversion);
    }
    return code;
}

enum error_code series_adopt_options(struct stats *stats, struct error *error)
{
    struct stored_options stored;
    enum error_code code = read_options(stats->transaction, &stored, error);
    if (code != ERROR_NONE || are_same_options(stats, &stored))
        return code;
    if (!are_same_bounds(&stored.bounds, &stats->series.bounds))
        code = clear_for_other_bounds(stats, error);
    if (code == ERROR_NONE)
        code = convert_labels_of_sets(stats, &stored, error);
    return code == ERROR_NONE ? write_options(stats, error) : code;
}

// --- sets that are not used any more --------------------------------------------------------------

// A time in the future dates from before the clock was set back: the set is kept as if it was used now.
static enum error_code check_set(struct stats *stats, enum series_kind kind,
                                 const struct store_entry *entry, struct error *error)
{
    const struct conversion place = {.stats = stats, .error = error, .kind = kind};
    struct series_id id;
    struct series_row *row;
    struct slice copy;
    memcpy(id.bytes, entry->key.data, sizeof id.bytes);
    arena_clear(&stats->scratch);
    enum error_code code = read_label_set(&place, &id, &row, &copy);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    bool is_idle = row->used_at < stats->now - stats->series.idle;
    if (row->used_at > stats->now || row->used_at == TIMESTAMP_UNKNOWN) {
        row->used_at = stats->now;
        return put_set(&place, &id, row);
    }
    return is_idle && !series_row_is_other(row)
               ? store_table_delete(stats->transaction, series_table(kind),
                                    slice_of_bytes(id.bytes, sizeof id.bytes), error)
               : ERROR_NONE;
}

// The next one of the kind, or of the next kind. ERROR_NOT_FOUND at the end.
static enum error_code seek_set(struct stats *stats, struct series_place *place,
                                struct store_entry *entry, struct error *error)
{
    for (;;) {
        enum error_code code =
            store_table_seek(stats->transaction, series_table(place->kind),
                             slice_of_bytes(place->id.bytes, sizeof place->id.bytes), entry, error);
        if (code == ERROR_NONE && entry->key.len != sizeof place->id.bytes) {
            code = stats_set_aside(stats, series_table(place->kind), entry->key, error);
            if (code == ERROR_NOT_FOUND)
                continue;
        }
        if (code != ERROR_NOT_FOUND || place->kind + 1 == SERIES_KINDS)
            return code;
        *place = (struct series_place){.kind = (enum series_kind)(place->kind + 1)};
    }
}

enum error_code series_expire(struct stats *stats, struct series_place *place, size_t max,
                              bool *is_end, struct error *error)
{
    *is_end = stats->series.idle == 0;
    for (size_t i = 0; i < max && !*is_end; i++) {
        struct store_entry entry;
        enum error_code code = seek_set(stats, place, &entry, error);
        *is_end = code == ERROR_NOT_FOUND;
        if (*is_end)
            break;
        if (code != ERROR_NONE)
            return code;
        memcpy(place->id.bytes, entry.key.data, sizeof place->id.bytes);
        code = check_set(stats, place->kind, &entry, error);
        if (code != ERROR_NONE)
            return code;
        series_id_increment(&place->id);
    }
    if (*is_end)
        *place = (struct series_place){.kind = SERIES_JOB};
    return ERROR_NONE;
}
