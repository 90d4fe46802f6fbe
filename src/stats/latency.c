// Waits of jobs for a runner, and the histogram that holds them.
#include "ghatrace/stats/latency.h"

#include <stdlib.h>

#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/trace/labels.h"
#include "private.h"

// --- a histogram ---------------------------------------------------------------------------------

#define FIRST_OCTAVE 4 // 2^4 is HISTOGRAM_EXACT
#define LAST_BUCKET (HISTOGRAM_BUCKETS - 1)

size_t histogram_bucket_of(duration_ns value)
{
    uint64_t seconds = value > 0 ? (uint64_t)(value / NS_PER_SECOND) : 0;
    unsigned octave = FIRST_OCTAVE;
    if (seconds < HISTOGRAM_EXACT)
        return (size_t)seconds;
    while (octave < FIRST_OCTAVE + HISTOGRAM_OCTAVES && seconds >> (octave + 1) > 0)
        octave++;
    if (octave == FIRST_OCTAVE + HISTOGRAM_OCTAVES)
        return LAST_BUCKET;
    uint64_t within = (seconds >> (octave - 3)) & (HISTOGRAM_PER_OCTAVE - 1);
    return HISTOGRAM_EXACT + HISTOGRAM_PER_OCTAVE * (octave - FIRST_OCTAVE) + (size_t)within;
}

uint64_t histogram_bucket_start(size_t bucket)
{
    if (bucket < HISTOGRAM_EXACT)
        return bucket;
    size_t octave = FIRST_OCTAVE + (bucket - HISTOGRAM_EXACT) / HISTOGRAM_PER_OCTAVE;
    size_t within = (bucket - HISTOGRAM_EXACT) % HISTOGRAM_PER_OCTAVE;
    return (uint64_t)(HISTOGRAM_PER_OCTAVE + within) << (octave - 3);
}

void histogram_add(struct histogram *histogram, duration_ns value)
{
    histogram->count++;
    histogram->buckets[histogram_bucket_of(value)]++;
    if (value > histogram->max)
        histogram->max = value;
}

// What is known of the greatest value: `max`, unless its bucket is empty by now.
static duration_ns greatest_known(const struct histogram *histogram)
{
    size_t last = HISTOGRAM_BUCKETS;
    while (last > 0 && histogram->buckets[last - 1] == 0)
        last--;
    if (last == 0)
        return 0;
    if (histogram_bucket_of(histogram->max) < last)
        return histogram->max;
    return (duration_ns)histogram_bucket_start(last <= HISTOGRAM_EXACT ? last - 1 : last) *
           NS_PER_SECOND;
}

void histogram_remove(struct histogram *histogram, duration_ns value)
{
    uint64_t *bucket = &histogram->buckets[histogram_bucket_of(value)];
    if (*bucket == 0)
        return;
    (*bucket)--;
    histogram->count--;
    histogram->max = greatest_known(histogram);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    if (from->max > into->max)
        into->max = from->max;
}

// Interpolates value number `rank` (from 1) of `count` in its bucket, as if they were evenly distributed.
static duration_ns place_in_bucket(size_t bucket, uint64_t rank, uint64_t count, duration_ns max)
{
    duration_ns start = (duration_ns)histogram_bucket_start(bucket) * NS_PER_SECOND;
    if (bucket < HISTOGRAM_EXACT)
        return start;
    duration_ns end = bucket == LAST_BUCKET
                          ? max
                          : (duration_ns)histogram_bucket_start(bucket + 1) * NS_PER_SECOND;
    double part = ((double)rank - 0.5) / (double)count;
    duration_ns value = start + (duration_ns)((double)(end - start) * part);
    return value < max ? value : max;
}

duration_ns histogram_percentile(const struct histogram *histogram, unsigned percent)
{
    uint64_t whole = histogram->count / 100;
    uint64_t part = histogram->count % 100;
    uint64_t rank = whole * percent + (part * percent + 99) / 100;
    uint64_t before = 0;
    if (histogram->count == 0)
        return 0;
    rank = rank > 0 ? rank : 1;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = histogram->buckets[i];
        if (before + count >= rank)
            return place_in_bucket(i, rank - before, count, histogram->max);
        before += count;
    }
    return histogram->max;
}

// --- a histogram: encoding -----------------------------------------------------------------------

enum error_code histogram_encode(const struct histogram *histogram, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    size_t last = 0;
    bytes_write_varint(&writer, (uint64_t)histogram->max);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->buckets[i] == 0)
            continue;
        bytes_write_varint(&writer, i - last);
        bytes_write_varint(&writer, histogram->buckets[i]);
        last = i;
    }
    return writer.code;
}

bool histogram_decode_into(struct slice bytes, struct histogram *into)
{
    struct byte_reader reader = bytes_reader(bytes);
    duration_ns max = (duration_ns)bytes_read_varint(&reader);
    uint64_t bucket = 0;
    into->max = max > into->max ? max : into->max;
    while (!reader.failed && reader.next < reader.end) {
        bucket += bytes_read_varint(&reader);
        uint64_t count = bytes_read_varint(&reader);
        if (bucket >= HISTOGRAM_BUCKETS)
            return false;
        into->buckets[bucket] += count;
        into->count += count;
    }
    return bytes_is_done(&reader);
}

bool histogram_add_stored(struct slice bytes, struct histogram *into)
{
    struct histogram alone = {0};
    if (!histogram_decode_into(bytes, &alone))
        return false;
    histogram_merge(into, &alone);
    return true;
}

// --- recent queue times of each pool's jobs -------------------------------------------------------

#define SLOT_KEY_SIZE (8 + POOL_ID_SIZE)

static void put_slot_key(uint8_t bytes[SLOT_KEY_SIZE], timestamp_ns slot,
                         const struct pool_id *pool)
{
    bytes_put_be64(bytes, (uint64_t)slot);
    memcpy(bytes + 8, pool->bytes, POOL_ID_SIZE);
}

// --- writing ---------------------------------------------------------------------------------------------

enum error_code latency_load(struct stats *stats, timestamp_ns slot, const struct pool_id *pool,
                             struct histogram **histogram, struct error *error)
{
    uint8_t key[SLOT_KEY_SIZE];
    struct slice found;
    put_slot_key(key, slot, pool);
    struct row *row = rows_find(stats, STORE_TABLE_LATENCY, key, SLOT_KEY_SIZE);
    if (row != NULL) {
        *histogram = row->histogram;
        return ERROR_NONE;
    }
    enum error_code code = store_table_get(stats->transaction, STORE_TABLE_LATENCY,
                                           slice_of_bytes(key, SLOT_KEY_SIZE), &found, error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    *histogram = arena_allocate_array(&stats->arena, 1, sizeof **histogram);
    if (*histogram == NULL)
        return error_set(error, ERROR_MEMORY, "count latency: out of memory");
    if (code == ERROR_NONE && !histogram_add_stored(found, *histogram)) {
        code =
            stats_set_aside(stats, STORE_TABLE_LATENCY, slice_of_bytes(key, SLOT_KEY_SIZE), error);
        if (code != ERROR_NOT_FOUND)
            return code;
    }
    row = rows_add(stats, STORE_TABLE_LATENCY, key, SLOT_KEY_SIZE);
    if (row == NULL)
        return error_set(error, ERROR_MEMORY, "count latency: out of memory");
    row->histogram = *histogram;
    return ERROR_NONE;
}

// There are at most LATENCY_KEPT / LATENCY_SLOT slots.
enum error_code latency_move(struct stats *stats, const struct pool *from, struct pool *to,
                             struct error *error)
{
    timestamp_ns oldest = stats->now - LATENCY_KEPT;
    timestamp_ns slot = oldest - oldest % LATENCY_SLOT;
    timestamp_ns last = from->latency_slot < stats->now ? from->latency_slot : stats->now;
    for (; slot <= last; slot += LATENCY_SLOT) {
        uint8_t bytes[SLOT_KEY_SIZE];
        const struct slice key = slice_of_bytes(bytes, sizeof bytes);
        struct slice found;
        struct histogram alone = {0}, *histogram;
        put_slot_key(bytes, slot, &from->id);
        enum error_code code =
            store_table_get(stats->transaction, STORE_TABLE_LATENCY, key, &found, error);
        if (code == ERROR_NOT_FOUND)
            continue;
        bool is_sound = code == ERROR_NONE && histogram_decode_into(found, &alone);
        if (code == ERROR_NONE)
            code = store_table_delete(stats->transaction, STORE_TABLE_LATENCY, key, error);
        if (code == ERROR_NONE && is_sound)
            code = latency_load(stats, slot, &to->id, &histogram, error);
        if (code != ERROR_NONE)
            return code;
        if (is_sound)
            histogram_merge(histogram, &alone);
    }
    to->latency_slot = timestamp_later(last, to->latency_slot);
    return ERROR_NONE;
}

// The slot of a wait. False: it has expired.
static bool slot_of_wait(const struct stats *stats, const struct latency_wait *wait,
                         timestamp_ns *slot)
{
    timestamp_ns start = wait->started < stats->now ? wait->started : stats->now;
    *slot = start - start % LATENCY_SLOT;
    return *slot >= stats->now - LATENCY_KEPT;
}

static enum error_code add_wait(struct stats *stats, const struct latency_wait *wait,
                                struct pool *pool, struct error *error)
{
    struct histogram *histogram;
    timestamp_ns slot;
    if (!wait->exists || !slot_of_wait(stats, wait, &slot))
        return ERROR_NONE;
    enum error_code code = latency_load(stats, slot, &pool->id, &histogram, error);
    if (code != ERROR_NONE)
        return code;
    histogram_add(histogram, wait->started - wait->ready);
    if (slot > pool->latency_slot)
        pool->latency_slot = slot;
    return ERROR_NONE;
}

static enum error_code remove_wait(struct stats *stats, const struct latency_wait *wait,
                                   struct error *error)
{
    struct histogram *histogram;
    struct row *row;
    timestamp_ns slot;
    if (!wait->exists || !slot_of_wait(stats, wait, &slot))
        return ERROR_NONE;
    enum error_code code = pool_find_counted(stats, wait->labels, &row, error);
    if (code == ERROR_NONE)
        code = latency_load(stats, slot, &row->pool->id, &histogram, error);
    if (code == ERROR_NONE)
        histogram_remove(histogram, wait->started - wait->ready);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- waits that have ended --------------------------------------------------------------------------------

static bool is_same_wait(const struct latency_wait *a, const struct latency_wait *b)
{
    return a->exists == b->exists &&
           (!a->exists || (a->ready == b->ready && a->started == b->started &&
                           labels_are_same(a->labels, b->labels)));
}

bool latency_waits_disagree(const struct latency_wait *before, const struct latency_wait *after)
{
    return before->exists && after->exists &&
           (before->ready != after->ready || before->started != after->started);
}

enum error_code latency_encode_waits(const struct pool_waits *waits, struct buffer *out)
{
    struct byte_writer writer = {.out = out};
    bytes_write_varint(&writer, waits->count);
    bytes_write_varint(&writer, waits->sum.seconds);
    bytes_write_varint(&writer, waits->sum.nanoseconds);
    bytes_write_varint(&writer, (uint64_t)(waits->since / NS_PER_SECOND));
    size_t used = SERIES_BUCKETS;
    while (used > 0 && waits->buckets[used - 1] == 0)
        used--;
    for (size_t i = 0; i < used; i++)
        bytes_write_varint(&writer, waits->buckets[i]);
    return writer.code;
}

static bool decode_waits(struct slice bytes, struct pool_waits *waits)
{
    struct byte_reader reader = bytes_reader(bytes);
    waits->count = bytes_read_varint(&reader);
    waits->sum.seconds = bytes_read_varint(&reader);
    waits->sum.nanoseconds = (uint32_t)bytes_read_varint(&reader);
    waits->since = (timestamp_ns)bytes_read_varint(&reader) * NS_PER_SECOND;
    for (size_t i = 0; i < SERIES_BUCKETS && reader.next < reader.end; i++)
        waits->buckets[i] = bytes_read_varint(&reader);
    return bytes_is_done(&reader) && waits->sum.nanoseconds < NS_PER_SECOND;
}

static enum error_code load_waits(struct stats *stats, const struct pool_id *pool,
                                  struct pool_waits **waits, struct error *error)
{
    struct slice key = pool_id_key(pool);
    struct slice found;
    struct row *row = rows_find(stats, STORE_TABLE_POOL_WAITS, pool->bytes, POOL_ID_SIZE);
    if (row != NULL) {
        *waits = row->waits;
        return ERROR_NONE;
    }
    enum error_code code =
        store_table_get(stats->transaction, STORE_TABLE_POOL_WAITS, key, &found, error);
    if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        return code;
    *waits = arena_allocate_array(&stats->arena, 1, sizeof **waits);
    if (*waits == NULL)
        return error_set(error, ERROR_MEMORY, "count waits: out of memory");
    if (code == ERROR_NONE && !decode_waits(found, *waits)) {
        **waits = (struct pool_waits){.count = 0};
        code = stats_set_aside(stats, STORE_TABLE_POOL_WAITS, key, error);
        if (code != ERROR_NOT_FOUND)
            return code;
    }
    row = rows_add(stats, STORE_TABLE_POOL_WAITS, pool->bytes, POOL_ID_SIZE);
    if (row == NULL)
        return error_set(error, ERROR_MEMORY, "count waits: out of memory");
    row->waits = *waits;
    return ERROR_NONE;
}

static enum error_code count_for_good(struct stats *stats, const struct latency_wait *wait,
                                      const struct pool_id *pool, struct error *error)
{
    struct pool_waits *waits;
    duration_ns length = wait->started - wait->ready;
    enum error_code code = load_waits(stats, pool, &waits, error);
    if (code != ERROR_NONE)
        return code;
    if (waits->count++ == 0)
        waits->since = stats->now;
    waits->buckets[series_bucket_of(&stats->series.bounds, length)]++;
    series_add_to_sum(&waits->sum, length);
    return ERROR_NONE;
}

bool latency_is_counted_later(const struct stats *stats, const struct store_key *job)
{
    return stats->counts_waits && !stats_covers(stats, job);
}

enum error_code latency_change_wait(struct stats *stats, const struct latency_wait *before,
                                    const struct latency_wait *after, struct error *error)
{
    char room[LABELS_TEXT_MAX];
    struct row *row;
    if (is_same_wait(before, after))
        return ERROR_NONE;
    enum error_code code = remove_wait(stats, before, error);
    if (code != ERROR_NONE || !after->exists)
        return code;
    struct pool_demand demand = pool_demand_of(stats, after->labels, room);
    demand.group = after->group;
    demand.is_start = true;
    code = pool_load_row(stats, &demand, &row, error);
    if (code == ERROR_NONE)
        code = add_wait(stats, after, row->pool, error);
    return code == ERROR_NONE && !before->exists
               ? count_for_good(stats, after, &row->pool->id, error)
               : code;
}

enum error_code latency_drop_waits(struct stats *stats, const struct pool_id *pool,
                                   struct error *error)
{
    enum error_code code =
        store_table_delete(stats->transaction, STORE_TABLE_POOL_WAITS, pool_id_key(pool), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code latency_read_waits(struct store_transaction *transaction,
                                   const struct pool_id *pool, struct pool_waits *waits,
                                   struct error *error)
{
    struct slice found;
    *waits = (struct pool_waits){.count = 0};
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_POOL_WAITS, pool_id_key(pool), &found, error);
    if (code == ERROR_NONE && !decode_waits(found, waits)) {
        *waits = (struct pool_waits){.count = 0};
        store_note_unreadable(transaction);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code latency_count_job(struct stats *stats, const struct job_sample *measure,
                                  const struct latency_wait *before, struct error *error)
{
    const struct job_times times = job_times_of_sample(measure);
    const struct latency_wait wait = job_times_wait(&times);
    bool is_recent = measure->end > stats->now - POOL_DAYS * NS_PER_DAY;
    char room[LABELS_TEXT_MAX];
    struct row *row;
    if (measure->is_assignment_only)
        return ERROR_NONE;
    enum error_code code = latency_change_wait(stats, before, &wait, error);
    if (code != ERROR_NONE || !measure->execution.exists || !is_recent)
        return code;
    struct pool_demand demand = pool_demand_of(stats, measure->runner_labels, room);
    const struct pool_id own = pool_id_of(stats, demand.labels);
    demand.group = measure->runner_group;
    demand.is_start = true;
    code = pool_load_row(stats, &demand, &row, error);
    if (code != ERROR_NONE)
        return code;
    pool_count_start(row->pool, measure->end, stats->now);
    if (!pool_id_equals(&own, &row->pool->id))
        fold_count_start(stats, &own);
    return ERROR_NONE;
}

// The slots are ordered by time. One further in the future than slots are kept dates from before the clock was set
// back.
static bool is_expired_slot(struct slice key, timestamp_ns now)
{
    timestamp_ns slot = (timestamp_ns)bytes_get_be64(key.data);
    return slot < now - LATENCY_KEPT || slot > now + LATENCY_KEPT;
}

static enum error_code seek_end(struct store_transaction *transaction, bool is_last,
                                struct store_entry *entry, struct error *error)
{
    for (;;) {
        enum error_code code =
            is_last ? store_table_seek_before(transaction, STORE_TABLE_LATENCY, SLICE_EMPTY, entry,
                                              error)
                    : store_table_seek(transaction, STORE_TABLE_LATENCY, SLICE_EMPTY, entry, error);
        if (code != ERROR_NONE || entry->key.len == SLOT_KEY_SIZE)
            return code;
        code = store_table_set_aside(transaction, STORE_TABLE_LATENCY, entry->key,
                                     SLICE("key of a wrong length"), error);
        if (code != ERROR_NONE)
            return code;
    }
}

// `*left`: how many rows may still be dropped.
static enum error_code expire_end(struct store_transaction *transaction, timestamp_ns now,
                                  bool is_last, size_t *left, struct error *error)
{
    while (*left > 0) {
        uint8_t bytes[SLOT_KEY_SIZE];
        struct store_entry entry;
        enum error_code code = seek_end(transaction, is_last, &entry, error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && !is_expired_slot(entry.key, now)))
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        memcpy(bytes, entry.key.data, sizeof bytes);
        code = store_table_delete(transaction, STORE_TABLE_LATENCY,
                                  slice_of_bytes(bytes, sizeof bytes), error);
        if (code != ERROR_NONE)
            return code;
        (*left)--;
    }
    return ERROR_NONE;
}

enum error_code latency_expire(struct store_transaction *transaction, timestamp_ns now, size_t max,
                               size_t *dropped, struct error *error)
{
    size_t left = max;
    enum error_code code = expire_end(transaction, now, false, &left, error);
    if (code == ERROR_NONE)
        code = expire_end(transaction, now, true, &left, error);
    *dropped = max - left;
    return code;
}

// --- reading ---------------------------------------------------------------------------------------------

static int compare_pool_ids(const void *a, const void *b)
{
    const struct pool *left = a;
    const struct pool *right = b;
    return memcmp(left->id.bytes, right->id.bytes, POOL_ID_SIZE);
}

// The pool of a slot's key; NULL if it is not asked for.
static const struct pool *find_asked_pool(const struct latency_query *query, struct slice key)
{
    struct pool wanted;
    memcpy(wanted.id.bytes, key.data + 8, POOL_ID_SIZE);
    return query->pool_count > 0 ? bsearch(&wanted, query->pools, query->pool_count,
                                           sizeof *query->pools, compare_pool_ids)
                                 : NULL;
}

enum error_code latency_read(struct store_transaction *transaction,
                             const struct latency_query *query, struct histogram *histograms,
                             struct error *error)
{
    uint8_t bytes[8];
    struct store_walk *walk;
    bytes_put_be64(bytes, (uint64_t)query->from);
    enum error_code code = store_table_walk(transaction, STORE_TABLE_LATENCY,
                                            slice_of_bytes(bytes, sizeof bytes), &walk, error);
    if (code != ERROR_NONE)
        return code;
    while (code == ERROR_NONE) {
        struct store_entry entry;
        code = store_table_next(walk, &entry, error);
        if (code != ERROR_NONE)
            break;
        bool is_whole = entry.key.len == SLOT_KEY_SIZE;
        if (is_whole && (timestamp_ns)bytes_get_be64(entry.key.data) >= query->until)
            break;
        const struct pool *pool = is_whole ? find_asked_pool(query, entry.key) : NULL;
        if (!is_whole ||
            (pool != NULL && !histogram_add_stored(entry.value, &histograms[pool - query->pools])))
            store_note_unreadable(transaction);
    }
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
