// Rebuilds statistics from the states, and converts those of older versions.
#include "ghatrace/stats/rebuild.h"

#include <stdlib.h>

#include "ghatrace/stats/commits.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/store/versions.h"
#include "ghatrace/trace/labels.h"
#include "private.h"

// --- rebuilding the tables of open runs and jobs from the states ----------------------------------

#define CURSOR_SIZE (TRACE_ID_SIZE + SPAN_ID_SIZE + 1)
#define VERSION_SIZE 4

static const uint8_t our_version[VERSION_SIZE] = {0, 0, 0, STORE_FIGURES_LAYOUT};

// What the stored figures are.
enum stored_figures {
    FIGURES_UNKNOWN, // of no use: none, or of a newer version
    FIGURES_1,
    FIGURES_2,
    FIGURES_3,
    FIGURES_OF_OTHER_RULES, // of this version, but jobs are in other pools
    FIGURES_OURS,
};

static struct slice version_key(void)
{
    return SLICE("version");
}

static struct slice rules_key(void)
{
    return SLICE("rules");
}

static struct slice cursor_key(void)
{
    return SLICE("cursor");
}

// --- stored progress ---------------------------------------------------------------------------------------

static enum error_code read_version(struct store_transaction *transaction,
                                    enum stored_figures *figures, struct error *error)
{
    struct slice found;
    *figures = FIGURES_UNKNOWN;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_STATS, version_key(), &found, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    // Version 5 has the runs of commits in addition, which are added by themselves (commits.h).
    if (slice_equals(found, slice_of_bytes(our_version, sizeof our_version)) ||
        slice_equals(found, SLICE("\0\0\0\4")))
        *figures = FIGURES_OURS;
    else if (slice_equals(found, SLICE("\0\0\0\3")))
        *figures = FIGURES_3;
    else if (slice_equals(found, SLICE("\0\0\0\2")))
        *figures = FIGURES_2;
    else if (slice_equals(found, SLICE("\0\0\0\1")))
        *figures = FIGURES_1;
    return ERROR_NONE;
}

static struct slice hash_of_rules(const struct stats *stats)
{
    return slice_of_bytes(stats->rules_hash, sizeof stats->rules_hash);
}

static enum error_code compare_rules(const struct stats *stats,
                                     struct store_transaction *transaction,
                                     enum stored_figures *figures, struct error *error)
{
    struct slice found;
    if (*figures != FIGURES_OURS)
        return ERROR_NONE;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_STATS, rules_key(), &found, error);
    if (code == ERROR_NOT_FOUND ||
        (code == ERROR_NONE && !slice_equals(found, hash_of_rules(stats))))
        *figures = FIGURES_OF_OTHER_RULES;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

struct progress {
    struct store_key cursor;
    bool counts_waits; // stats->counts_waits
};

// ERROR_NOT_FOUND: there is no rebuild.
static enum error_code read_progress(struct store_transaction *transaction,
                                     struct progress *progress, bool *is_damaged,
                                     struct error *error)
{
    struct slice found;
    *is_damaged = false;
    enum error_code code =
        store_table_get(transaction, STORE_TABLE_STATS, cursor_key(), &found, error);
    if (code != ERROR_NONE)
        return code;
    *is_damaged = found.len != CURSOR_SIZE;
    if (*is_damaged)
        return ERROR_NONE;
    memcpy(progress->cursor.trace.bytes, found.data, TRACE_ID_SIZE);
    memcpy(progress->cursor.span.bytes, found.data + TRACE_ID_SIZE, SPAN_ID_SIZE);
    progress->counts_waits = found.data[CURSOR_SIZE - 1] != 0;
    return ERROR_NONE;
}

static enum error_code write_cursor(struct stats *stats, struct error *error)
{
    uint8_t bytes[CURSOR_SIZE];
    memcpy(bytes, stats->cursor.trace.bytes, TRACE_ID_SIZE);
    memcpy(bytes + TRACE_ID_SIZE, stats->cursor.span.bytes, SPAN_ID_SIZE);
    bytes[CURSOR_SIZE - 1] = stats->counts_waits ? 1 : 0;
    return store_table_put(stats->transaction, STORE_TABLE_STATS, cursor_key(),
                           slice_of_bytes(bytes, sizeof bytes), error);
}

static enum error_code has_no_cursor(struct store_transaction *transaction, bool *has_none,
                                     struct error *error)
{
    struct progress progress;
    bool is_damaged;
    enum error_code code = read_progress(transaction, &progress, &is_damaged, error);
    *has_none = code == ERROR_NOT_FOUND;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Nothing is left to rebuild, and it is known since when series are counted.
static enum error_code has_all(struct store_transaction *transaction, bool *has_all_figures,
                               struct error *error)
{
    timestamp_ns since;
    enum error_code code = has_no_cursor(transaction, has_all_figures, error);
    if (code != ERROR_NONE || !*has_all_figures)
        return code;
    code = series_since(transaction, &since, error);
    if (code == ERROR_NONE)
        code = recent_has_ends(transaction, has_all_figures, error);
    *has_all_figures = *has_all_figures && code == ERROR_NONE && since != TIMESTAMP_UNKNOWN;
    return *has_all_figures ? commits_are_complete(transaction, has_all_figures, error) : code;
}

enum error_code rebuild_is_done(struct store_transaction *transaction, bool *is_done,
                                struct error *error)
{
    enum stored_figures figures;
    *is_done = false;
    enum error_code code = read_version(transaction, &figures, error);
    return code == ERROR_NONE && figures == FIGURES_OURS ? has_all(transaction, is_done, error)
                                                         : code;
}

enum error_code rebuild_is_done_by_options(const struct stats *stats,
                                           struct store_transaction *transaction, bool *is_done,
                                           struct error *error)
{
    enum stored_figures figures = FIGURES_OURS;
    enum error_code code = rebuild_is_done(transaction, is_done, error);
    bool are_adopted = false;
    if (code == ERROR_NONE && *is_done)
        code = compare_rules(stats, transaction, &figures, error);
    if (code == ERROR_NONE && *is_done)
        code = series_are_adopted(stats, transaction, &are_adopted, error);
    *is_done = *is_done && figures == FIGURES_OURS && are_adopted;
    return code;
}

static enum error_code write_version(struct stats *stats, struct error *error)
{
    return store_table_put(stats->transaction, STORE_TABLE_STATS, version_key(),
                           slice_of_bytes(our_version, sizeof our_version), error);
}

static enum error_code stats_upgrade(struct stats *stats, enum stored_figures figures,
                                     struct error *error);

static bool has_statistics(int table)
{
    return table != STORE_TABLE_QUARANTINE && table <= STORE_TABLE_LAST_OF_STATS;
}

// Open runs and jobs are always recounted, whatever the version. Other statistics of an unknown version are of no use
// to this one. Each entry of the job history shows by itself whether it can be read.
static enum error_code begin_rebuild(struct stats *stats, enum stored_figures figures,
                                     struct error *error)
{
    bool is_known = figures != FIGURES_UNKNOWN;
    enum error_code code = is_known ? stats_upgrade(stats, figures, error) : ERROR_NONE;
    for (int table = 0; table < STORE_TABLE_COUNT && code == ERROR_NONE; table++) {
        bool is_of_open = table == STORE_TABLE_OPEN_JOBS || table == STORE_TABLE_OPEN_RUNS;
        if (has_statistics(table) && (!is_known || is_of_open))
            code = store_table_clear(stats->transaction, (enum store_table)table, error);
    }
    if (code == ERROR_NONE && !is_known) // as is the table of statistics, which has the progress
        code = store_table_clear(stats->transaction, STORE_TABLE_COMMITS, error);
    if (code == ERROR_NONE && !is_known)
        code = store_table_clear(stats->transaction, STORE_TABLE_ENDED_RUNS, error);
    for (int table = STORE_TABLE_POOL_WAITS; table <= STORE_TABLE_RUNNERS && code == ERROR_NONE;
         table++)
        code = store_table_clear(stats->transaction, (enum store_table)table, error);
    memset(stats->known_servers, 0, sizeof stats->known_servers);
    stats->cursor = (struct store_key){.trace = {{0}}};
    // Before version 4 a wait was counted when the job completed. With other rules, waits are counted already.
    stats->counts_waits = figures != FIGURES_OF_OTHER_RULES;
    stats->series_change.has_other_pools |= figures == FIGURES_OF_OTHER_RULES;
    if (code == ERROR_NONE)
        code = write_cursor(stats, error);
    if (code == ERROR_NONE)
        code = write_version(stats, error);
    if (code == ERROR_NONE)
        code = store_table_put(stats->transaction, STORE_TABLE_STATS, rules_key(),
                               hash_of_rules(stats), error);
    return code;
}

static enum error_code finish_rebuild(struct stats *stats, struct error *error)
{
    stats->is_rebuilding = false;
    enum error_code code =
        store_table_delete(stats->transaction, STORE_TABLE_STATS, cursor_key(), error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// The position as of this transaction: the one before may have been aborted.
static enum error_code look_up_progress(struct stats *stats, struct error *error)
{
    enum stored_figures figures;
    struct progress progress = {.counts_waits = false};
    bool is_damaged = false;
    enum error_code code = read_version(stats->transaction, &figures, error);
    if (code == ERROR_NONE)
        code = compare_rules(stats, stats->transaction, &figures, error);
    if (code == ERROR_NONE && figures != FIGURES_OURS)
        code = begin_rebuild(stats, figures, error);
    if (code == ERROR_NONE)
        code = read_progress(stats->transaction, &progress, &is_damaged, error);
    stats->cursor = progress.cursor;
    stats->counts_waits = progress.counts_waits;
    if (is_damaged) // counted and uncounted states cannot be distinguished
        code = begin_rebuild(stats, FIGURES_UNKNOWN, error);
    if (code == ERROR_NONE || code == ERROR_NOT_FOUND) {
        enum error_code adopted = series_note_start(stats, error);
        if (adopted == ERROR_NONE)
            adopted = series_adopt_options(stats, error);
        code = adopted == ERROR_NONE ? code : adopted;
    }
    stats->is_rebuilding = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- rebuild ---------------------------------------------------------------------------------------------

// A state that cannot be read, for the reason in `error`.
static enum error_code set_state_aside(struct stats *stats, const struct store_key *key,
                                       struct error *error)
{
    struct error reason = *error;
    return store_set_span_aside(stats->transaction, key, slice_from_string(reason.message), error);
}

// The wait of a job that has started and was not counted by an older version: it is not completed yet.
static enum error_code rebuild_wait(struct stats *stats, const struct job_state *job,
                                    const struct job_times *times, struct error *error)
{
    static const struct latency_wait none;
    const struct latency_wait wait = job_times_wait(times);
    if (!stats->counts_waits || (job->phase != JOB_OPEN && job->phase != JOB_SETTLING))
        return ERROR_NONE;
    return latency_change_wait(stats, &none, &wait, error);
}

static enum error_code rebuild_from_job(struct stats *stats, const struct store_key *key,
                                        struct slice bytes, struct error *error)
{
    static const struct pool_place nowhere;
    static const struct job_times none;
    struct job_state job;
    struct pool_place place;
    struct job_times times;
    enum error_code code = codec_decode_job(bytes, &stats->scratch, &job, error);
    if (code == ERROR_CORRUPT)
        return set_state_aside(stats, key, error);
    if (code != ERROR_NONE)
        return code;
    code = pool_place_job(&stats->rules, &job, &stats->scratch, &place);
    if (code == ERROR_NONE)
        code = job_times_of_state(&job, &stats->scratch, &times);
    if (code != ERROR_NONE)
        return error_set(error, code, "count open jobs: %s", error_code_text(code));
    code = pool_move_job(stats, key, &nowhere, &place, error);
    if (code == ERROR_NONE)
        code = rebuild_wait(stats, &job, &times, error);
    return code == ERROR_NONE ? pool_minutes_change(stats, key, &none, &times, error) : code;
}

static enum error_code rebuild_from_run(struct stats *stats, const struct store_key *key,
                                        struct slice bytes, struct error *error)
{
    struct run_state state;
    enum error_code code = codec_decode_run(bytes, &stats->scratch, &state, error);
    if (code == ERROR_CORRUPT)
        return set_state_aside(stats, key, error);
    if (code == ERROR_NONE)
        code = servers_note(stats, state.server, error);
    if (code != ERROR_NONE || state.phase != RUN_OPEN)
        return code;
    const struct stored_run run = {state.run_id, state.run_attempt, key->trace};
    return open_runs_put(stats, &run, error);
}

// The cursor is already behind this state, so that it counts as processed.
static enum error_code rebuild_from_state(struct stats *stats, const struct store_key *key,
                                          struct slice found, struct error *error)
{
    struct slice bytes;
    arena_clear(&stats->scratch);
    if (!arena_copy_slice(&stats->scratch, found, &bytes))
        return error_set(error, ERROR_MEMORY, "count open jobs and runs: out of memory");
    if (codec_is(bytes, CODEC_JOB))
        return rebuild_from_job(stats, key, bytes, error);
    if (codec_is(bytes, CODEC_RUN))
        return rebuild_from_run(stats, key, bytes, error);
    if (!codec_is(bytes, CODEC_UNKNOWN)) // there are no figures of other kinds
        return ERROR_NONE;
    codec_refuse_unknown(error);
    return set_state_aside(stats, key, error);
}

// States whose rows are in memory at a time: each has up to three minutes of 2 KB.
#define FLUSH_EVERY 1000

enum error_code rebuild_continue(struct stats *stats, size_t max, bool *is_done,
                                 struct error *error)
{
    enum error_code code = look_up_progress(stats, error);
    for (size_t i = 0; i < max && code == ERROR_NONE && stats->is_rebuilding; i++) {
        struct store_key key = stats->cursor;
        struct slice found;
        code = store_seek_span(stats->transaction, &key, &found, error);
        if (code == ERROR_NOT_FOUND) {
            code = finish_rebuild(stats, error);
            break;
        }
        if (code != ERROR_NONE)
            break;
        stats->cursor = key;
        store_key_increment(&stats->cursor);
        code = rebuild_from_state(stats, &key, found, error);
        if (code == ERROR_NONE && i % FLUSH_EVERY == FLUSH_EVERY - 1)
            code = stats_flush(stats, error);
    }
    if (code == ERROR_NONE && stats->is_rebuilding && max > 0)
        code = write_cursor(stats, error);
    *is_done = false;
    if (code == ERROR_NONE && !stats->is_rebuilding)
        code = ended_runs_continue(stats, max, is_done, error);
    return *is_done ? commits_continue(stats, max, is_done, error) : code;
}

// --- upgrade --------------------------------------------------------------------------------------
// Converts statistics of older versions, and of other rules for pools.
//
// Version 1 had a pool and a series for each spelling of labels: equal sets are added up. Texts of that version are not
// escaped: the label "a,b" cannot be distinguished from the labels "a" and "b" there, and is read as the latter.
// Version 2 had a pool for each runner group of a set of labels.

#define SLOT_SIZE 8

struct renaming {
    struct pool_id from, to;
};

struct renamings {
    struct renaming *list; // sorted by `from`
    size_t count;
};

struct upgrade {
    struct stats *stats;
    struct arena *arena;
    struct error *error;
    enum stored_figures from;
    struct renamings pools; // pools whose id changes
};

static enum error_code refuse_memory_for_upgrade(struct upgrade *upgrade)
{
    return error_set(upgrade->error, ERROR_MEMORY, "convert older figures: out of memory");
}

// Converts an older text to the current form.
static enum error_code convert_labels(struct upgrade *upgrade, struct slice *labels)
{
    struct slice *list;
    size_t count;
    bool is_made = labels_split(*labels, upgrade->arena, &list, &count) &&
                   labels_join(list, count, upgrade->arena, labels);
    return is_made ? ERROR_NONE : refuse_memory_for_upgrade(upgrade);
}

// --- pools -------------------------------------------------------------------------------------------------

// The pool as this version stores it, under the rules of now. What jobs of a rule have left behind stays under the
// name of the rule.
static enum error_code convert_pool(struct upgrade *upgrade, struct pool *pool)
{
    const struct pool_rules *rules = &upgrade->stats->rules;
    char room[LABELS_TEXT_MAX];
    struct pool_choice choice;
    bool was_other =
        pool->is_of_old_layout && pool->groups.len == 0 && slice_equals(pool->labels, STATS_OTHER);
    memset(pool->counts, 0, sizeof pool->counts); // its jobs are added when they are recounted
    if (pool->is_of_old_layout) {
        const struct slice group = pool->groups;
        if (!labels_join(&group, 1, upgrade->arena, &pool->groups))
            return refuse_memory_for_upgrade(upgrade);
    }
    pool->is_of_old_layout = false;
    if (pool->is_rule) {
        pool->is_rule = pool_rules_have(rules, pool->labels);
    } else if (was_other) {
        pool->labels = POOL_ONE_OFF;
    } else if (!pool_is_one_off(&pool->id)) {
        pool_rules_choose(rules, pool->labels, room, &choice);
        if (!arena_copy_slice(upgrade->arena, choice.asked, &choice.asked))
            return refuse_memory_for_upgrade(upgrade);
        pool->labels = choice.is_rule ? choice.shown : choice.asked;
        pool->asked = choice.is_rule ? choice.asked : SLICE_EMPTY;
        pool->is_rule = choice.is_rule;
    }
    pool->id = pool_make_id(pool->labels);
    return ERROR_NONE;
}

static enum error_code keep_pool_spelling(struct upgrade *upgrade, const struct pool *pool)
{
    return pool->is_rule || pool_is_one_off(&pool->id)
               ? ERROR_NONE
               : spelling_keep_first(upgrade->stats, pool->labels, upgrade->error);
}

// Sets `renamings` and converts the pools, which are in the order of their ids.
static enum error_code convert_pools(struct upgrade *upgrade, struct pool *pools, size_t count)
{
    struct renamings *renamings = &upgrade->pools;
    enum error_code code = ERROR_NONE;
    renamings->list = arena_allocate_array(upgrade->arena, count + 1, sizeof *renamings->list);
    if (renamings->list == NULL)
        return refuse_memory_for_upgrade(upgrade);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        struct pool_id id = pools[i].id;
        if (upgrade->from == FIGURES_1)
            code = convert_labels(upgrade, &pools[i].labels);
        if (code == ERROR_NONE)
            code = convert_pool(upgrade, &pools[i]);
        if (code == ERROR_NONE && upgrade->from == FIGURES_1)
            code = keep_pool_spelling(upgrade, &pools[i]);
        if (!pool_id_equals(&id, &pools[i].id))
            renamings->list[renamings->count++] = (struct renaming){id, pools[i].id};
    }
    return code;
}

static enum error_code put_upgraded_pool(struct upgrade *upgrade, struct pool *pool)
{
    struct stats *stats = upgrade->stats;
    if (!pool->is_rule && !pool_is_one_off(&pool->id)) {
        enum error_code code = spelling_choose(stats, pool->labels, &pool->labels, upgrade->error);
        if (code != ERROR_NONE)
            return code;
    }
    return pool_put_merged(stats, pool, upgrade->error);
}

static enum error_code upgrade_pools(struct upgrade *upgrade, struct pool *pools, size_t count)
{
    enum error_code code =
        store_table_clear(upgrade->stats->transaction, STORE_TABLE_POOLS, upgrade->error);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = put_upgraded_pool(upgrade, &pools[i]);
    return code;
}

// --- latencies ---------------------------------------------------------------------------------------------

struct slots {
    uint8_t (*list)[SLOT_SIZE + POOL_ID_SIZE];
    size_t count;
};

static int compare_renamings(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct pool_id));
}

static const struct renaming *find_renaming(const struct renamings *renamings, const void *pool_id)
{
    return renamings->count > 0 ? bsearch(pool_id, renamings->list, renamings->count,
                                          sizeof *renamings->list, compare_renamings)
                                : NULL;
}

static enum error_code find_slots(struct upgrade *upgrade, struct slots *slots)
{
    struct store_transaction *transaction = upgrade->stats->transaction;
    uint64_t most = store_table_count(transaction, STORE_TABLE_LATENCY);
    struct store_walk *walk;
    struct store_entry entry;
    slots->list = arena_allocate_array(upgrade->arena, (size_t)most + 1, sizeof *slots->list);
    if (slots->list == NULL)
        return refuse_memory_for_upgrade(upgrade);
    enum error_code code =
        store_table_walk(transaction, STORE_TABLE_LATENCY, SLICE_EMPTY, &walk, upgrade->error);
    if (code != ERROR_NONE)
        return code;
    while ((code = store_table_next(walk, &entry, upgrade->error)) == ERROR_NONE)
        if (entry.key.len == sizeof *slots->list && slots->count < most &&
            find_renaming(&upgrade->pools, entry.key.data + SLOT_SIZE) != NULL)
            memcpy(slots->list[slots->count++], entry.key.data, entry.key.len);
    store_table_end_walk(walk);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Adds what is stored for a slot. A damaged entry is left unchanged here and set aside when it is read next.
static enum error_code merge_latency_slot(struct upgrade *upgrade, struct slice key,
                                          struct histogram *histogram, bool *is_sound)
{
    struct slice value;
    enum error_code code = store_table_get(upgrade->stats->transaction, STORE_TABLE_LATENCY, key,
                                           &value, upgrade->error);
    *is_sound =
        code == ERROR_NOT_FOUND || (code == ERROR_NONE && histogram_add_stored(value, histogram));
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code move_latency_slot(struct upgrade *upgrade, const uint8_t *from)
{
    struct stats *stats = upgrade->stats;
    uint8_t to[SLOT_SIZE + POOL_ID_SIZE];
    struct histogram histogram = {0};
    bool is_sound, is_target_sound;
    memcpy(to, from, SLOT_SIZE);
    memcpy(to + SLOT_SIZE, &find_renaming(&upgrade->pools, from + SLOT_SIZE)->to, POOL_ID_SIZE);
    struct slice from_key = slice_of_bytes(from, sizeof to), to_key = slice_of_bytes(to, sizeof to);
    enum error_code code = merge_latency_slot(upgrade, from_key, &histogram, &is_sound);
    if (code == ERROR_NONE)
        code = merge_latency_slot(upgrade, to_key, &histogram, &is_target_sound);
    if (code != ERROR_NONE || !is_sound || !is_target_sound)
        return code;
    buffer_clear(&stats->bytes);
    code = histogram_encode(&histogram, &stats->bytes);
    if (code == ERROR_NONE)
        code = store_table_put(stats->transaction, STORE_TABLE_LATENCY, to_key,
                               buffer_slice(&stats->bytes), upgrade->error);
    return code == ERROR_NONE ? store_table_delete(stats->transaction, STORE_TABLE_LATENCY,
                                                   from_key, upgrade->error)
                              : code;
}

static enum error_code upgrade_latencies(struct upgrade *upgrade)
{
    struct slots slots = {0};
    enum error_code code = find_slots(upgrade, &slots);
    for (size_t i = 0; i < slots.count && code == ERROR_NONE; i++)
        code = move_latency_slot(upgrade, slots.list[i]);
    return code;
}

// --- series ------------------------------------------------------------------------------------------------

struct old_series {
    struct series_id id;
    struct slice labels; // of the runner
};

static enum error_code keep_series_spellings(struct upgrade *upgrade, struct old_series **found,
                                             size_t *count)
{
    struct store_transaction *transaction = upgrade->stats->transaction;
    size_t most = (size_t)series_count(transaction, SERIES_JOB);
    struct series_id id = {{0}};
    struct series series;
    enum error_code code = ERROR_NONE;
    *found = arena_allocate_array(upgrade->arena, most + 1, sizeof **found);
    *count = 0;
    if (*found == NULL)
        return refuse_memory_for_upgrade(upgrade);
    while (*count < most && (code = series_seek(transaction, SERIES_JOB, &id, &series,
                                                upgrade->error)) == ERROR_NONE) {
        struct old_series *old = &(*found)[*count];
        *old = (struct old_series){id, series.labels[SERIES_RUNNER_LABELS]};
        if (!arena_copy_slice(upgrade->arena, old->labels, &old->labels))
            return refuse_memory_for_upgrade(upgrade);
        code = convert_labels(upgrade, &old->labels);
        if (code == ERROR_NONE)
            code = spelling_keep_first(upgrade->stats, old->labels, upgrade->error);
        if (code != ERROR_NONE)
            return code;
        (*count)++;
        series_id_increment(&id);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// The row of an id, its labels in the arena. ERROR_NOT_FOUND, also for a damaged one.
static enum error_code get_series(struct upgrade *upgrade, const struct series_id *id,
                                  struct series_row **row)
{
    struct slice value;
    enum error_code code =
        store_table_get(upgrade->stats->transaction, STORE_TABLE_JOB_SERIES,
                        slice_of_bytes(id->bytes, sizeof id->bytes), &value, upgrade->error);
    if (code != ERROR_NONE)
        return code;
    *row = series_allocate_row(&upgrade->stats->arena, SERIES_JOB);
    if (*row == NULL || !arena_copy_slice(upgrade->arena, value, &value))
        return refuse_memory_for_upgrade(upgrade);
    return series_decode(value, *row) ? ERROR_NONE : ERROR_NOT_FOUND;
}

static enum error_code upgrade_series(struct upgrade *upgrade, const struct old_series *old)
{
    struct stats *stats = upgrade->stats;
    struct series_row *row, *there;
    enum error_code code = get_series(upgrade, &old->id, &row);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    struct slice *labels = &row->labels[SERIES_RUNNER_LABELS];
    code = spelling_choose(stats, old->labels, labels, upgrade->error);
    if (code != ERROR_NONE)
        return code;
    struct series_id id = series_make_id(row->has, row->labels);
    if (memcmp(&id, &old->id, sizeof id) != 0) {
        code = get_series(upgrade, &id, &there);
        if (code == ERROR_NONE) {
            series_add_row(row, there);
            row->used_at = timestamp_later(row->used_at, there->used_at);
        }
        if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
            code = store_table_delete(stats->transaction, STORE_TABLE_JOB_SERIES,
                                      slice_of_bytes(old->id.bytes, sizeof old->id.bytes),
                                      upgrade->error);
    }
    buffer_clear(&stats->bytes);
    if (code == ERROR_NONE)
        code = series_encode(row, &stats->bytes);
    return code == ERROR_NONE ? store_table_put(stats->transaction, STORE_TABLE_JOB_SERIES,
                                                slice_of_bytes(id.bytes, sizeof id.bytes),
                                                buffer_slice(&stats->bytes), upgrade->error)
                              : code;
}

// --- all statistics ----------------------------------------------------------------------------------------

// The spellings are chosen from all texts before any is used.
static enum error_code stats_upgrade(struct stats *stats, enum stored_figures figures,
                                     struct error *error)
{
    struct upgrade upgrade = {
        .stats = stats, .arena = &stats->arena, .error = error, .from = figures};
    struct old_series *series = NULL;
    struct pool *pools;
    size_t pools_found, series_found = 0;
    enum error_code code =
        pool_list(stats->transaction, upgrade.arena, &pools, &pools_found, error);
    if (code == ERROR_NONE)
        code = convert_pools(&upgrade, pools, pools_found);
    if (code == ERROR_NONE && figures == FIGURES_1)
        code = keep_series_spellings(&upgrade, &series, &series_found);
    if (code == ERROR_NONE)
        code = upgrade_pools(&upgrade, pools, pools_found);
    if (code == ERROR_NONE)
        code = upgrade_latencies(&upgrade);
    for (size_t i = 0; code == ERROR_NONE && i < series_found; i++)
        code = upgrade_series(&upgrade, &series[i]);
    return code;
}
