// Counters by sets of labels: rows, eviction, counting.
#include "ghatrace/stats/series.h"

#include <stdlib.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/trace/labels.h"
#include "private.h"

// --- series codec ---------------------------------------------------------------------------------
// Encoding of a series:
//
//   ff ff 7f ‖ varint of the labels that it has, a bit each ‖ be64 when its sums began at 0 ‖ be64 when it was last
//   counted ‖ these labels, each prefixed with its length ‖ varint of its count ‖ sum ‖ its histograms; a later version
//   may add more
//
//   histogram: count ‖ sum ‖ number of buckets in use ‖ for each of these: its position (1 byte) ‖ count ‖ exemplar
//   sum: seconds ‖ nanoseconds · exemplar: at ‖ value ‖ trace (16 bytes)
//
// Figures 1 to 3 have no labels by choice: labels (of the form) ‖ count ‖ sum ‖ the first histograms, then, of later ones of
// these versions, be64 when it was last counted, then more histograms. No label is as long as the first three bytes
// would mean.

#define TIME_SIZE 8
#define MARK "\xff\xff\x7f"
#define MARK_SIZE (sizeof MARK - 1)

static size_t old_histogram_count(enum series_kind kind);

static void write_sum(struct byte_writer *writer, const struct series_sum *sum)
{
    bytes_write_varint(writer, sum->seconds);
    bytes_write_varint(writer, sum->nanoseconds);
}

static void write_histogram(struct byte_writer *writer, const struct series_histogram *histogram)
{
    size_t used = 0;
    for (size_t i = 0; i < SERIES_BUCKETS; i++)
        used += histogram->buckets[i] > 0 ? 1 : 0;
    bytes_write_varint(writer, histogram->count);
    write_sum(writer, &histogram->sum);
    bytes_write_varint(writer, used);
    for (size_t i = 0; i < SERIES_BUCKETS; i++) {
        const struct series_exemplar *exemplar = &histogram->exemplars[i];
        if (histogram->buckets[i] == 0)
            continue;
        bytes_write_be(writer, i, 1);
        bytes_write_varint(writer, histogram->buckets[i]);
        bytes_write_varint(writer, (uint64_t)exemplar->at);
        bytes_write_varint(writer, (uint64_t)exemplar->value);
        bytes_write(writer, exemplar->trace.bytes, TRACE_ID_SIZE);
    }
}

enum error_code series_encode(const struct series_row *row, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    bytes_write(&writer, MARK, MARK_SIZE);
    bytes_write_varint(&writer, row->has);
    bytes_write_be(&writer, (uint64_t)row->started_at, TIME_SIZE);
    bytes_write_be(&writer, (uint64_t)row->used_at, TIME_SIZE);
    for (size_t i = 0; i < SERIES_LABELS; i++)
        if ((row->has & SERIES_HAS(i)) != 0)
            bytes_write_text(&writer, row->labels[i]);
    bytes_write_varint(&writer, row->count);
    write_sum(&writer, &row->sum);
    for (size_t i = 0; i < series_histogram_count(row->kind); i++)
        write_histogram(&writer, &row->histograms[i]);
    return writer.code;
}

static void read_sum(struct byte_reader *reader, struct series_sum *sum)
{
    sum->seconds = bytes_read_varint(reader);
    sum->nanoseconds = (uint32_t)bytes_read_varint(reader);
}

static void read_bucket(struct byte_reader *reader, struct series_histogram *histogram)
{
    size_t i = (size_t)bytes_read_be(reader, 1);
    if (i >= SERIES_BUCKETS) {
        reader->failed = true;
        return;
    }
    histogram->buckets[i] = bytes_read_varint(reader);
    histogram->exemplars[i].at = (timestamp_ns)bytes_read_varint(reader);
    histogram->exemplars[i].value = (duration_ns)bytes_read_varint(reader);
    struct slice trace = bytes_read(reader, TRACE_ID_SIZE);
    if (trace.len == TRACE_ID_SIZE)
        memcpy(histogram->exemplars[i].trace.bytes, trace.data, TRACE_ID_SIZE);
}

static void read_histogram(struct byte_reader *reader, struct series_histogram *histogram)
{
    histogram->count = bytes_read_varint(reader);
    read_sum(reader, &histogram->sum);
    uint64_t used = bytes_read_varint(reader);
    for (uint64_t i = 0; i < used && !reader->failed; i++)
        read_bucket(reader, histogram);
}

static void read_head(struct byte_reader *reader, struct series_row *row)
{
    (void)bytes_read(reader, MARK_SIZE);
    row->has = (unsigned)bytes_read_varint(reader);
    row->started_at = (timestamp_ns)bytes_read_be(reader, TIME_SIZE);
    row->used_at = (timestamp_ns)bytes_read_be(reader, TIME_SIZE);
    if (row->has == 0 || (row->has & ~series_labels_allowed(row->kind)) != 0)
        reader->failed = true;
}

static void read_labels(struct byte_reader *reader, struct series_row *row)
{
    for (size_t i = 0; i < SERIES_LABELS; i++)
        row->labels[i] = (row->has & SERIES_HAS(i)) != 0 ? bytes_read_text(reader) : SLICE_EMPTY;
    row->count = bytes_read_varint(reader);
    read_sum(reader, &row->sum);
}

// Histograms that an older version did not have stay empty.
static void read_histograms(struct byte_reader *reader, struct series_row *row, size_t next)
{
    for (; next < series_histogram_count(row->kind) && reader->next < reader->end; next++)
        read_histogram(reader, &row->histograms[next]);
}

static void read_old_series(struct byte_reader *reader, struct series_row *row)
{
    size_t first = old_histogram_count(row->kind);
    row->has = series_labels_before(row->kind);
    row->started_at = TIMESTAMP_UNKNOWN;
    read_labels(reader, row);
    for (size_t i = 0; i < first; i++)
        read_histogram(reader, &row->histograms[i]);
    row->used_at = !reader->failed && reader->next == reader->end
                       ? TIMESTAMP_UNKNOWN
                       : (timestamp_ns)bytes_read_be(reader, TIME_SIZE);
    read_histograms(reader, row, first);
}

bool series_has_layout_of_now(struct slice bytes)
{
    return slice_starts_with(bytes, (struct slice){MARK, MARK_SIZE});
}

bool series_decode(struct slice bytes, struct series_row *row)
{
    struct byte_reader reader = bytes_reader(bytes);
    if (!series_has_layout_of_now(bytes)) {
        read_old_series(&reader, row);
    } else {
        read_head(&reader, row);
        read_labels(&reader, row);
        read_histograms(&reader, row, 0);
    }
    return bytes_is_done(&reader);
}

// --- series evict ---------------------------------------------------------------------------------
// Evicts a label set when the limit is reached: the one that was unused for longest. Its counts are added to "other".

// The eviction of a set that was used within this time is reported.
#define IN_USE NS_PER_DAY
// A time further in the future dates from before the clock was set back.
#define CLOCK_TOLERANCE NS_PER_HOUR

static enum error_code refuse_memory_for_room(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "make room for figures: out of memory");
}

// --- candidates --------------------------------------------------------------------------------------------

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *left = a;
    const struct candidate *right = b;
    if (left->used_at != right->used_at)
        return left->used_at < right->used_at ? -1 : 1;
    return memcmp(&left->id, &right->id, sizeof left->id);
}

static timestamp_ns trusted_time(const struct stats *stats, timestamp_ns used_at)
{
    return used_at > stats->now + CLOCK_TOLERANCE ? TIMESTAMP_UNKNOWN : used_at;
}

bool series_row_is_other(const struct series_row *row)
{
    struct series series = {.kind = row->kind, .has = row->has};
    memcpy(series.labels, row->labels, sizeof series.labels);
    return series_is_other(&series);
}

// A scan for sets that may be evicted.
struct scan {
    struct candidate *found; // up to `max`
    size_t max, count;
    uint8_t damaged[STORE_TABLE_KEY_MAX]; // the key of the row at which the scan stopped
    size_t damaged_len;                   // 0: none
};

// All sets but "other" and those that this transaction has counted in. Stops at the first damaged one, since nothing
// may be written during a scan.
static enum error_code collect_candidates(struct stats *stats, enum series_kind kind,
                                          struct scan *scan, struct error *error)
{
    enum store_table table = series_table(kind);
    struct series_histogram histograms[SERIES_HISTOGRAMS_MAX];
    struct store_walk *walk;
    struct store_entry entry;
    scan->count = 0;
    scan->damaged_len = 0;
    enum error_code code = store_table_walk(stats->transaction, table, SLICE_EMPTY, &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (scan->count < scan->max &&
           (code = store_table_next(walk, &entry, error)) == ERROR_NONE) {
        struct series_row row = {.kind = kind, .histograms = histograms};
        struct candidate *candidate = &scan->found[scan->count];
        memset(histograms, 0, sizeof histograms);
        if (entry.key.len != sizeof candidate->id || !series_decode(entry.value, &row)) {
            scan->damaged_len = entry.key.len;
            memcpy(scan->damaged, entry.key.data, entry.key.len);
            break;
        }
        if (series_row_is_other(&row) ||
            rows_find(stats, table, entry.key.data, entry.key.len) != NULL)
            continue;
        memcpy(candidate->id.bytes, entry.key.data, entry.key.len);
        candidate->used_at = trusted_time(stats, row.used_at);
        scan->count++;
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static void keep_candidates(struct candidates *candidates, struct scan *scan)
{
    qsort(scan->found, scan->count, sizeof *scan->found, compare_candidates);
    candidates->next = 0;
    candidates->count = scan->count < CANDIDATES_MAX ? scan->count : CANDIDATES_MAX;
    memcpy(candidates->list, scan->found, candidates->count * sizeof *scan->found);
    candidates->is_barren = scan->count == 0;
}

static enum error_code find_candidates(struct stats *stats, enum series_kind kind,
                                       struct error *error)
{
    enum store_table table = series_table(kind);
    struct scan scan = {.max = (size_t)store_table_count(stats->transaction, table)};
    enum error_code code = ERROR_NONE;
    scan.found = memory_allocate_array(scan.max + 1, sizeof *scan.found);
    if (scan.found == NULL)
        return refuse_memory_for_room(error);
    do {
        if (scan.damaged_len > 0)
            code = store_table_set_aside(stats->transaction, table,
                                         slice_of_bytes(scan.damaged, scan.damaged_len),
                                         SLICE("damaged"), error);
        if (code == ERROR_NONE)
            code = collect_candidates(stats, kind, &scan, error);
    } while (code == ERROR_NONE && scan.damaged_len > 0);
    if (code == ERROR_NONE)
        keep_candidates(&stats->candidates[kind], &scan);
    memory_free(scan.found);
    return code;
}

// --- eviction ----------------------------------------------------------------------------------------------

static void series_add_sum(struct series_sum *sum, const struct series_sum *from);

static bool series_is_newer(const struct series_exemplar *a, const struct series_exemplar *b);

static void add_series_histogram(struct series_histogram *into, const struct series_histogram *from)
{
    into->count += from->count;
    series_add_sum(&into->sum, &from->sum);
    for (size_t i = 0; i < SERIES_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
        if (from->buckets[i] > 0 && series_is_newer(&from->exemplars[i], &into->exemplars[i]))
            into->exemplars[i] = from->exemplars[i];
    }
}

void series_add_row(struct series_row *into, const struct series_row *from)
{
    into->count += from->count;
    series_add_sum(&into->sum, &from->sum);
    for (size_t i = 0; i < series_histogram_count(from->kind); i++)
        add_series_histogram(&into->histograms[i], &from->histograms[i]);
}

// Evicts one into `other`, which is of its kind. `*is_done` stays false if it was counted in, or deleted, since it was
// found.
static enum error_code evict_candidate(struct stats *stats, const struct candidate *candidate,
                                       struct series_row *other, bool *is_done, struct error *error)
{
    enum store_table table = series_table(other->kind);
    struct slice key = slice_of_bytes(candidate->id.bytes, sizeof candidate->id.bytes);
    struct slice value;
    if (rows_find(stats, table, key.data, key.len) != NULL)
        return ERROR_NONE;
    enum error_code code = store_table_get(stats->transaction, table, key, &value, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    struct series_row *row = series_allocate_row(&stats->arena, other->kind);
    if (row == NULL)
        return refuse_memory_for_room(error);
    if (!series_decode(value, row)) {
        code = stats_set_aside(stats, table, key, error);
        *is_done = code == ERROR_NOT_FOUND;
        return *is_done ? ERROR_NONE : code;
    }
    if (trusted_time(stats, row->used_at) != candidate->used_at)
        return ERROR_NONE;
    series_add_row(other, row);
    if (candidate->used_at > stats->now - IN_USE)
        stats_note_overflow(stats, series_kind_name(row->kind), row->labels, SERIES_LABELS);
    *is_done = true;
    return store_table_delete(stats->transaction, table, key, error);
}

// Makes room for a label set by adding the one that was unused for longest to `other`, which is of its kind.
// `*is_done` stays false if there is none.
static enum error_code series_evict(struct stats *stats, struct series_row *other, bool *is_done,
                                    struct error *error)
{
    struct candidates *candidates = &stats->candidates[other->kind];
    enum error_code code = ERROR_NONE;
    bool has_walked = false;
    *is_done = false;
    while (code == ERROR_NONE && !*is_done && !candidates->is_barren) {
        if (candidates->next < candidates->count) {
            code = evict_candidate(stats, &candidates->list[candidates->next++], other, is_done,
                                   error);
        } else if (has_walked) {
            break;
        } else {
            code = find_candidates(stats, other->kind, error);
            has_walked = true;
        }
    }
    return code;
}

// --- counting jobs, runs and steps into the series of their labels --------------------------------

#define SECONDS(n) ((n)*NS_PER_SECOND)

const struct series_bounds series_bounds_before = {
    .count = 16,
    .at = {SECONDS(1), SECONDS(2), SECONDS(5), SECONDS(10), SECONDS(15), SECONDS(30), SECONDS(60),
           SECONDS(120), SECONDS(300), SECONDS(600), SECONDS(1200), SECONDS(1800), SECONDS(3600),
           SECONDS(7200), SECONDS(14400), SECONDS(21600)}};

const char *const series_label_names[SERIES_LABELS] = {
    [SERIES_REPOSITORY] = "repository",
    [SERIES_WORKFLOW] = "workflow",
    [SERIES_EVENT] = "event",
    [SERIES_DEFAULT_BRANCH] = "default_branch",
    [SERIES_POOL] = "pool",
    [SERIES_RUNNER_GROUP] = "runner_group",
    [SERIES_RUNNER_LABELS] = "runner_labels",
    [SERIES_STEP_NAME] = "step",
    [SERIES_RESULT] = "result",
};

#define HAS_PIPELINE (SERIES_HAS(SERIES_REPOSITORY) | SERIES_HAS(SERIES_WORKFLOW))
#define HAS_RUNNER (SERIES_HAS(SERIES_RUNNER_GROUP) | SERIES_HAS(SERIES_RUNNER_LABELS))
#define HAS_RESULT SERIES_HAS(SERIES_RESULT)

static const struct series_form {
    const char *name;
    enum store_table table;
    unsigned before; // the labels that earlier versions had
    unsigned more;   // others that there may be
    size_t histograms;
    size_t old_histograms; // that every version wrote
} forms[SERIES_KINDS] = {
    [SERIES_JOB] = {"job", STORE_TABLE_JOB_SERIES, HAS_PIPELINE | HAS_RUNNER | HAS_RESULT,
                    SERIES_HAS(SERIES_DEFAULT_BRANCH) | SERIES_HAS(SERIES_POOL), 7, 4},
    [SERIES_RUN] = {"run", STORE_TABLE_RUN_SERIES, HAS_PIPELINE | HAS_RESULT,
                    SERIES_HAS(SERIES_EVENT) | SERIES_HAS(SERIES_DEFAULT_BRANCH), 1, 1},
    [SERIES_STEP] = {"step", STORE_TABLE_STEP_SERIES,
                     HAS_PIPELINE | SERIES_HAS(SERIES_STEP_NAME) | HAS_RESULT, 0, 0, 0},
};

enum store_table series_table(enum series_kind kind)
{
    return forms[kind].table;
}

const char *series_kind_name(enum series_kind kind)
{
    return forms[kind].name;
}

unsigned series_labels_before(enum series_kind kind)
{
    return forms[kind].before;
}

unsigned series_labels_allowed(enum series_kind kind)
{
    return forms[kind].before | forms[kind].more;
}

static size_t old_histogram_count(enum series_kind kind)
{
    return forms[kind].old_histograms;
}

size_t series_histogram_count(enum series_kind kind)
{
    return forms[kind].histograms;
}

// --- identity --------------------------------------------------------------------------------------------

struct series_id series_make_id(unsigned has, const struct slice labels[SERIES_LABELS])
{
    char text[2 + SERIES_LABELS * (SAMPLE_TEXT_MAX + 1)];
    char room[LABELS_TEXT_MAX];
    struct series_id id;
    size_t len = 2;
    bytes_put_be((uint8_t *)text, has, len);
    for (size_t i = 0; i < SERIES_LABELS; i++) {
        if ((has & SERIES_HAS(i)) == 0)
            continue;
        struct slice part =
            i == SERIES_RUNNER_LABELS ? labels_identity(labels[i], room) : labels[i];
        part.len = part.len < SAMPLE_TEXT_MAX ? part.len : SAMPLE_TEXT_MAX;
        if (part.len > 0)
            memcpy(text + len, part.data, part.len);
        len += part.len;
        text[len++] = '\0';
    }
    stats_hash(slice_of_bytes(text, len), id.bytes);
    return id;
}

void series_name_other(unsigned has, struct slice labels[SERIES_LABELS])
{
    for (size_t i = 0; i < SERIES_LABELS; i++)
        labels[i] = (has & SERIES_HAS(i)) != 0 ? STATS_OTHER : SLICE_EMPTY;
}

bool series_is_other(const struct series *series)
{
    for (size_t i = 0; i < SERIES_LABELS; i++)
        if ((series->has & SERIES_HAS(i)) != 0 && !slice_equals(series->labels[i], STATS_OTHER))
            return false;
    return true;
}

void series_id_increment(struct series_id *id)
{
    for (int i = (int)sizeof id->bytes - 1; i >= 0 && ++id->bytes[i] == 0; i--)
        ;
}

// --- rows --------------------------------------------------------------------------------------------------

struct series_row *series_allocate_row(struct arena *arena, enum series_kind kind)
{
    size_t histograms = series_histogram_count(kind);
    struct series_row *row = arena_allocate_array(arena, 1, sizeof *row);
    if (row == NULL)
        return NULL;
    row->kind = kind;
    row->histograms = arena_allocate_array(arena, histograms + 1, sizeof *row->histograms);
    return row->histograms != NULL ? row : NULL;
}

// A label set.
struct label_set {
    enum series_kind kind;
    unsigned has;
    struct slice labels[SERIES_LABELS]; // those that it does not have are empty
    struct series_id id;                // series_make_id()
};

static void make_label_set(const struct stats *stats, enum series_kind kind,
                           const struct slice labels[SERIES_LABELS], struct label_set *set)
{
    *set = (struct label_set){.kind = kind, .has = stats->series.labels[kind]};
    for (size_t i = 0; i < SERIES_LABELS; i++)
        set->labels[i] = (set->has & SERIES_HAS(i)) != 0 ? labels[i] : SLICE_EMPTY;
    set->id = series_make_id(set->has, set->labels);
}

static bool keep_labels(struct arena *arena, struct series_row *row)
{
    for (size_t i = 0; i < SERIES_LABELS; i++)
        if (!arena_copy_slice(arena, row->labels[i], &row->labels[i]))
            return false;
    return true;
}

static enum error_code refuse_memory_for_series(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "count figures: out of memory");
}

// The row of an id, from this transaction or from the store. ERROR_NOT_FOUND.
static enum error_code find_series(struct stats *stats, const struct label_set *set,
                                   struct series_row **content, struct error *error)
{
    enum store_table table = series_table(set->kind);
    struct slice key = slice_of_bytes(set->id.bytes, sizeof set->id.bytes);
    struct slice value;
    struct row *row = rows_find(stats, table, key.data, key.len);
    if (row != NULL) {
        *content = row->series;
        return ERROR_NONE;
    }
    enum error_code code = store_table_get(stats->transaction, table, key, &value, error);
    if (code != ERROR_NONE)
        return code;
    *content = series_allocate_row(&stats->arena, set->kind);
    if (*content == NULL)
        return refuse_memory_for_series(error);
    if (!series_decode(value, *content))
        return stats_set_aside(stats, table, key, error);
    row = keep_labels(&stats->arena, *content) ? rows_add(stats, table, key.data, key.len) : NULL;
    if (row == NULL)
        return refuse_memory_for_series(error);
    row->series = *content;
    return ERROR_NONE;
}

static enum error_code make_series(struct stats *stats, const struct label_set *set,
                                   struct series_row **content, struct error *error)
{
    enum store_table table = series_table(set->kind);
    *content = series_allocate_row(&stats->arena, set->kind);
    if (*content == NULL)
        return refuse_memory_for_series(error);
    (*content)->has = set->has;
    (*content)->started_at = stats->now;
    memcpy((*content)->labels, set->labels, sizeof set->labels);
    struct slice *shown = &(*content)->labels[SERIES_RUNNER_LABELS];
    if ((set->has & SERIES_HAS(SERIES_RUNNER_LABELS)) != 0 && !slice_equals(*shown, POOL_ONE_OFF)) {
        enum error_code code = spelling_choose(stats, *shown, shown, error);
        if (code != ERROR_NONE)
            return code;
    }
    struct row *row = keep_labels(&stats->arena, *content)
                          ? rows_add(stats, table, set->id.bytes, sizeof set->id.bytes)
                          : NULL;
    if (row == NULL)
        return refuse_memory_for_series(error);
    row->series = *content;
    stats->new_rows[table]++;
    return ERROR_NONE;
}

static enum error_code load_other_series(struct stats *stats, enum series_kind kind,
                                         struct series_row **row, struct error *error)
{
    struct slice others[SERIES_LABELS];
    struct label_set set;
    series_name_other(stats->series.labels[kind], others);
    make_label_set(stats, kind, others, &set);
    enum error_code code = find_series(stats, &set, row, error);
    if (code == ERROR_NOT_FOUND)
        code = make_series(stats, &set, row, error);
    return code;
}

// All but "other".
static uint64_t count_own(const struct stats *stats, enum series_kind kind)
{
    enum store_table table = series_table(kind);
    return store_table_count(stats->transaction, table) + stats->new_rows[table] - 1;
}

// The limit is reached: evicts one set, or two if the limit was lowered. `*has_room`: a new one may be created.
static enum error_code make_room_for_series(struct stats *stats, struct series_row *other,
                                            bool *has_room, struct error *error)
{
    enum error_code code = ERROR_NONE;
    bool is_done = true, has_evicted = false;
    uint64_t own = count_own(stats, other->kind);
    for (int i = 0; i < 2 && own >= stats->max_series && is_done && code == ERROR_NONE; i++) {
        code = series_evict(stats, other, &is_done, error);
        own = count_own(stats, other->kind);
        has_evicted |= is_done;
    }
    *has_room = own < stats->max_series && (has_evicted || !store_is_tight(stats->transaction));
    return code;
}

// The row of these labels, or that of "other" if there are too many.
static enum error_code load_series(struct stats *stats, enum series_kind kind,
                                   const struct slice labels[SERIES_LABELS],
                                   struct series_row **row, struct error *error)
{
    struct label_set set;
    make_label_set(stats, kind, labels, &set);
    bool has_room = rows_may_grow(stats, series_table(kind));
    enum error_code code = find_series(stats, &set, row, error);
    if (code == ERROR_NOT_FOUND && !has_room) {
        code = load_other_series(stats, kind, row, error);
        if (code == ERROR_NONE)
            code = make_room_for_series(stats, *row, &has_room, error);
        if (code == ERROR_NONE && !has_room)
            stats_note_overflow(stats, series_kind_name(kind), set.labels, SERIES_LABELS);
        code = code == ERROR_NONE && has_room ? ERROR_NOT_FOUND : code;
    }
    if (code == ERROR_NOT_FOUND)
        code = make_series(stats, &set, row, error);
    if (code == ERROR_NONE)
        (*row)->used_at = stats->now;
    return code;
}

// --- counting --------------------------------------------------------------------------------------------

static void series_add_sum(struct series_sum *sum, const struct series_sum *from)
{
    uint64_t nanoseconds = (uint64_t)sum->nanoseconds + from->nanoseconds;
    sum->seconds += from->seconds + nanoseconds / (uint64_t)NS_PER_SECOND;
    sum->nanoseconds = (uint32_t)(nanoseconds % (uint64_t)NS_PER_SECOND);
}

void series_add_to_sum(struct series_sum *sum, duration_ns value)
{
    const struct series_sum one = {.seconds = (uint64_t)(value / NS_PER_SECOND),
                                   .nanoseconds = (uint32_t)(value % NS_PER_SECOND)};
    series_add_sum(sum, &one);
}

size_t series_bucket_of(const struct series_bounds *bounds, duration_ns value)
{
    size_t bucket = 0;
    while (bucket < bounds->count && value > bounds->at[bucket])
        bucket++;
    return bucket;
}

// A tie in time is broken by other values, so that the result does not depend on the order of arrival.
static bool series_is_newer(const struct series_exemplar *a, const struct series_exemplar *b)
{
    if (a->at != b->at)
        return a->at > b->at;
    int order = memcmp(a->trace.bytes, b->trace.bytes, TRACE_ID_SIZE);
    return order != 0 ? order > 0 : a->value > b->value;
}

static void observe(const struct stats *stats, struct series_histogram *histogram,
                    const struct series_exemplar *observed)
{
    size_t bucket = series_bucket_of(&stats->series.bounds, observed->value);
    histogram->count++;
    histogram->buckets[bucket]++;
    series_add_to_sum(&histogram->sum, observed->value);
    if (series_is_newer(observed, &histogram->exemplars[bucket]))
        histogram->exemplars[bucket] = *observed;
}

static bool is_off(const struct stats *stats, enum series_kind kind)
{
    return stats->series.labels[kind] == SERIES_LABELS_OFF;
}

// In Prometheus an empty label equals a missing one, so workflows without a name are labeled as unknown.
static struct slice workflow_label(struct slice workflow)
{
    return workflow.len > 0 ? workflow : SLICE("unknown");
}

static enum error_code count_step(struct stats *stats, const struct job_sample *job,
                                  const struct sample_step *step, struct error *error)
{
    const struct slice labels[SERIES_LABELS] = {
        [SERIES_REPOSITORY] = job->repository,
        [SERIES_WORKFLOW] = workflow_label(job->workflow),
        [SERIES_STEP_NAME] = step->name,
        [SERIES_RESULT] = step->result,
    };
    struct series_row *row;
    enum error_code code = load_series(stats, SERIES_STEP, labels, &row, error);
    if (code != ERROR_NONE)
        return code;
    row->count++;
    series_add_to_sum(&row->sum, step->length);
    return ERROR_NONE;
}

struct job_labels {
    struct slice all[SERIES_LABELS];
    char asked[LABELS_TEXT_MAX], pool[LABELS_TEXT_MAX]; // what the texts may point into
};

// Invented labels must not displace the sets of pools that are in use: once seven eighths of the sets exist, a
// pool in which no two jobs have started within POOL_DAYS gets no further ones. The job itself may be among those that
// started and, until it leaves its pool, among those that run.
static bool may_be_invented(const struct stats *stats, const struct pool *pool)
{
    uint64_t sets = store_table_count(stats->transaction, STORE_TABLE_JOB_SERIES) +
                    stats->new_rows[STORE_TABLE_JOB_SERIES];
    return !pool->is_rule && sets >= stats->max_series - stats->max_series / 8 &&
           pool_started(pool, stats->now) + pool->counts[OPEN_JOB_RUNNING] < 3;
}

// Of a pool that was folded there is no row. A pool without one, of a job that never ran, is known by its labels.
static enum error_code name_pool(struct stats *stats, const struct job_sample *measure,
                                 struct job_labels *labels, struct error *error)
{
    struct pool_choice choice;
    struct row *row;
    pool_rules_choose(&stats->rules, measure->runner_labels, labels->asked, &choice);
    const struct pool_id id = pool_id_of(stats, choice.shown);
    enum error_code code = pool_find_row(stats, &id, &row, error);
    bool is_absent = code == ERROR_NOT_FOUND;
    if (is_absent)
        code = pool_find_row(stats, &pool_one_off_id, &row, error);
    bool is_folded = code == ERROR_NONE && (is_absent || may_be_invented(stats, row->pool));
    labels->all[SERIES_POOL] =
        is_folded ? POOL_ONE_OFF : pool_name_of_choice(&choice, labels->pool);
    labels->all[SERIES_RUNNER_LABELS] = is_folded ? POOL_ONE_OFF : choice.asked;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code count_phases(struct stats *stats, const struct job_sample *measure,
                                    struct error *error)
{
    const struct sample_span *const spans[] = {
        [SERIES_JOB_WAITING] = &measure->waiting,   [SERIES_JOB_QUEUE] = &measure->queue,
        [SERIES_JOB_STARTUP] = &measure->startup,   [SERIES_JOB_EXECUTION] = &measure->execution,
        [SERIES_JOB_ASSIGN] = &measure->assign,     [SERIES_JOB_PROVISION] = &measure->provision,
        [SERIES_JOB_DURATION] = &measure->duration,
    };
    struct job_labels labels = {.all = {
                                    [SERIES_REPOSITORY] = measure->repository,
                                    [SERIES_WORKFLOW] = workflow_label(measure->workflow),
                                    [SERIES_DEFAULT_BRANCH] = measure->default_branch,
                                    [SERIES_RUNNER_GROUP] = measure->runner_group,
                                    [SERIES_RESULT] = measure->result,
                                }};
    struct series_row *row;
    enum error_code code = name_pool(stats, measure, &labels, error);
    if (code == ERROR_NONE)
        code = load_series(stats, SERIES_JOB, labels.all, &row, error);
    if (code != ERROR_NONE)
        return code;
    row->count += measure->is_assignment_only ? 0 : 1;
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        const struct series_exemplar observed = {
            .at = measure->end, .value = spans[i]->length, .trace = measure->trace};
        if (spans[i]->exists)
            observe(stats, &row->histograms[i], &observed);
    }
    return ERROR_NONE;
}

enum error_code series_count_job(struct stats *stats, const struct job_sample *measure,
                                 struct error *error)
{
    enum error_code code = ERROR_NONE;
    if (!is_off(stats, SERIES_JOB))
        code = count_phases(stats, measure, error);
    if (is_off(stats, SERIES_STEP))
        return code;
    for (size_t i = 0; i < measure->step_count && code == ERROR_NONE; i++)
        code = count_step(stats, measure, &measure->steps[i], error);
    return code;
}

enum error_code series_count_run(struct stats *stats, const struct run_sample *measure,
                                 struct error *error)
{
    const struct slice labels[SERIES_LABELS] = {
        [SERIES_REPOSITORY] = measure->repository,
        [SERIES_WORKFLOW] = workflow_label(measure->workflow),
        [SERIES_EVENT] = measure->event_name,
        [SERIES_DEFAULT_BRANCH] = measure->default_branch,
        [SERIES_RESULT] = measure->result,
    };
    const struct series_exemplar observed = {
        .at = measure->end, .value = measure->end - measure->start, .trace = measure->trace};
    struct series_row *row;
    if (measure->is_incomplete || is_off(stats, SERIES_RUN))
        return ERROR_NONE;
    enum error_code code = load_series(stats, SERIES_RUN, labels, &row, error);
    if (code != ERROR_NONE)
        return code;
    row->count++;
    observe(stats, &row->histograms[0], &observed);
    return ERROR_NONE;
}

// --- reading ---------------------------------------------------------------------------------------------

uint64_t series_count(struct store_transaction *transaction, enum series_kind kind)
{
    return store_table_count(transaction, series_table(kind));
}

enum error_code series_seek(struct store_transaction *transaction, enum series_kind kind,
                            struct series_id *id, struct series *series, struct error *error)
{
    struct store_entry entry = {SLICE_EMPTY, SLICE_EMPTY};
    uint8_t next[STORE_TABLE_KEY_MAX];
    size_t next_len = sizeof id->bytes;
    struct series_row row;
    memcpy(next, id->bytes, sizeof id->bytes);
    for (;;) {
        enum error_code code = store_table_seek(transaction, series_table(kind),
                                                slice_of_bytes(next, next_len), &entry, error);
        if (code != ERROR_NONE)
            return code;
        *series = (struct series){.kind = kind};
        row = (struct series_row){.kind = kind, .histograms = series->histograms};
        if (entry.key.len == sizeof id->bytes && series_decode(entry.value, &row))
            break;
        store_note_unreadable(transaction);
        next_len = entry.key.len < sizeof next ? entry.key.len : sizeof next - 1;
        memcpy(next, entry.key.data, next_len);
        next[next_len++] = 0; // right after it
    }
    memcpy(id->bytes, entry.key.data, sizeof id->bytes);
    series->id = *id;
    series->has = row.has;
    series->started_at = row.started_at;
    memcpy(series->labels, row.labels, sizeof series->labels);
    series->count = row.count;
    series->sum = row.sum;
    return ERROR_NONE;
}

// --- since when they are counted -------------------------------------------------------------------------

#define SINCE_SIZE 8

static struct slice since_key(void)
{
    return SLICE("since");
}

enum error_code series_since(struct store_transaction *transaction, timestamp_ns *since,
                             struct error *error)
{
    struct slice found;
    *since = TIMESTAMP_UNKNOWN;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_STATS, since_key(), &found, error);
    if (code == ERROR_NONE && found.len == SINCE_SIZE)
        *since = (timestamp_ns)bytes_get_be64(found.data);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static timestamp_ns oldest_of(const struct series *series, timestamp_ns oldest)
{
    for (size_t i = 0; i < series_histogram_count(series->kind); i++)
        for (size_t k = 0; k < SERIES_BUCKETS; k++) {
            timestamp_ns at = series->histograms[i].exemplars[k].at;
            if (at != TIMESTAMP_UNKNOWN && at < oldest)
                oldest = at;
        }
    return oldest;
}

// Steps have no observations with a time, but belong to jobs.
static enum error_code find_oldest_series(const struct stats *stats, timestamp_ns *oldest,
                                          struct error *error)
{
    static const enum series_kind kinds[] = {SERIES_JOB, SERIES_RUN};
    *oldest = stats->now;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct series_id id = {{0}};
        struct series series;
        enum error_code code;
        while ((code = series_seek(stats->transaction, kinds[i], &id, &series, error)) ==
               ERROR_NONE) {
            *oldest = oldest_of(&series, *oldest);
            series_id_increment(&id);
        }
        if (code != ERROR_NOT_FOUND)
            return code;
    }
    return ERROR_NONE;
}

enum error_code series_note_start(struct stats *stats, struct error *error)
{
    uint8_t bytes[SINCE_SIZE];
    timestamp_ns since;
    enum error_code code = series_since(stats->transaction, &since, error);
    if (code != ERROR_NONE || since != TIMESTAMP_UNKNOWN || store_is_tight(stats->transaction))
        return code;
    code = find_oldest_series(stats, &since, error);
    if (code != ERROR_NONE)
        return code;
    bytes_put_be64(bytes, (uint64_t)since);
    return store_table_put(stats->transaction, STORE_TABLE_STATS, since_key(),
                           slice_of_bytes(bytes, sizeof bytes), error);
}
