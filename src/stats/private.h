// Shared by the files of this module: the writer, its rows, and encoding helpers.
#ifndef GHATRACE_STATS_PRIVATE_H
#define GHATRACE_STATS_PRIVATE_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/bytes.h"
#include "ghatrace/stats/job_history.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/table.h"
#include "ghatrace/trace/labels.h"

#define HASH_SIZE 16 // of ids made from labels
#define ROW_KEY_MAX 24
#define KNOWN_SERVERS 16
#define STATS_OWN_KEYS 7 // of the table stats, beside servers (rebuild.h)
#define ROW_CHAINS 256

// A row of a table, read or created by this transaction, changed in memory, written by stats_flush().
struct row {
    struct row *next_in_chain;
    struct row *next; // in the order of first use
    enum store_table table;
    uint8_t key[ROW_KEY_MAX];
    size_t key_len;
    union {
        struct pool *pool;           // STORE_TABLE_POOLS
        struct histogram *histogram; // STORE_TABLE_LATENCY
        struct pool_waits *waits;    // STORE_TABLE_POOL_WAITS
        struct minute_row *minute;   // STORE_TABLE_POOL_MINUTES
        struct series_row *series;   // the three tables of series
    };
};

// A series that only has space for the histograms of its kind.
struct series_row {
    enum series_kind kind;
    unsigned has;                       // which labels
    struct slice labels[SERIES_LABELS]; // the others are empty
    uint64_t count;
    struct series_sum sum;
    // when its sums began at 0; TIMESTAMP_UNKNOWN: an older version began it
    timestamp_ns started_at;
    timestamp_ns used_at; // when it was last counted; TIMESTAMP_UNKNOWN: by an older version
    struct series_histogram *histograms; // series_histogram_count() of them
};

// Label sets to remove next, the one unused for longest first; found by a scan of all sets. Between scans sets only
// become newer: a set that is unchanged since the scan is still older than all that are not in the list.
#define CANDIDATES_MAX 256
struct candidate {
    struct series_id id;
    timestamp_ns used_at;
};
struct candidates {
    struct candidate list[CANDIDATES_MAX];
    size_t next, count;
    bool is_barren; // a scan in this transaction found none
};

// Completed jobs that are not written yet (job_history.h).
struct new_jobs {
    uint8_t bytes[JOB_HISTORY_TOGETHER * JOB_HISTORY_RECORD_SIZE];
    size_t count;
    uint64_t next;   // the number of the first of them; 0: not looked up in this transaction
    bool may_exceed; // jobs were added since it was last known that there are not too many
};

// Key of open_jobs (pool.h), whose prefix is the pool and the state.
#define POOL_JOB_PREFIX_SIZE (POOL_ID_SIZE + 1)
#define POOL_JOB_KEY_SIZE (POOL_JOB_PREFIX_SIZE + 8 + TRACE_ID_SIZE + SPAN_ID_SIZE)

// Pools that may be folded, the least used first; found by a scan of all pools, and checked again before use.
#define FOLD_CANDIDATES_MAX 64
struct fold_candidate {
    struct pool_id id;
    uint64_t started; // within POOL_DAYS, with the running ones
    uint64_t open;
    timestamp_ns changed_at;
};

// About how many started jobs of folded sets there were: a count-min sketch, halved when it has so many that sets
// would be taken for each other. In memory only: a restart forgets it.
#define SKETCH_ROWS 2
#define SKETCH_COLUMNS 8192
#define SKETCH_SUM_MAX (SKETCH_COLUMNS / 2)
#define SKETCH_NOISE 1 // what a set without started jobs may seem to have

struct folding {
    struct fold_candidate candidates[FOLD_CANDIDATES_MAX];
    size_t next, count;
    timestamp_ns scanned_at; // TIMESTAMP_UNKNOWN: never
    unsigned folds;          // in this transaction
    bool is_unlikely;        // nothing is folded, as of the last look at all that is
    timestamp_ns settled_at; // when pool_settle_folded() last looked; TIMESTAMP_UNKNOWN: never
    uint8_t settled[POOL_JOB_KEY_SIZE]; // up to where
    bool is_settling;                   // it has to look behind this place
    bool has_folded;                    // it has found a folded job since it began
    uint16_t sketch[SKETCH_ROWS][SKETCH_COLUMNS];
    uint32_t sketch_sum;
};

// Labels whose pool was asked for lately: a hash costs as much as all else that is done for a minute.
#define KNOWN_POOLS 64
#define KNOWN_POOL_TEXT 120 // longer ones are not among them
struct known_pool {
    struct pool_id id;
    size_t len; // 0: none
    char labels[KNOWN_POOL_TEXT];
};

// A look at the minutes of each pool for old ones.
struct minutes_round {
    timestamp_ns kept_from; // older ones become hours
    struct pool_id next;
    bool is_over;
};

struct stats {
    size_t max_series;
    size_t max_pools;
    struct pool_rules rules;
    uint8_t rules_hash[HASH_SIZE];
    struct series_options series;             // without zeros that mean a default
    struct stats_series_change series_change; // in this transaction
    struct folding folding;
    struct store_transaction *transaction;
    timestamp_ns now;
    struct arena arena;  // of the rows
    struct buffer bytes; // one row being encoded
    struct row *chains[ROW_CHAINS];
    struct row *first;
    struct row **last;                    // where the next row is appended
    uint64_t new_rows[STORE_TABLE_COUNT]; // created, and not yet written
    struct candidates candidates[SERIES_KINDS];
    struct stats_overflow overflow; // of this transaction
    struct new_jobs new_jobs;
    struct minutes_round minutes_round;
    struct known_pool known_pools[KNOWN_POOLS];
    // During a rebuild of the tables (rebuild.h): states at or behind the cursor are not in them yet.
    bool is_rebuilding;
    struct store_key cursor;
    bool counts_waits;    // it counts waits that have ended, of jobs that are not completed
    struct arena scratch; // one state, or two series
    // Hashes of servers that are known to be in the store (runs.c).
    uint8_t known_servers[KNOWN_SERVERS][HASH_SIZE];
    size_t next_server;  // the next one to be replaced
    bool has_new_server; // this transaction added one to the store
};

// --- rows (stats.c) ---

// The row, if this transaction has loaded it already; else NULL.
struct row *rows_find(const struct stats *stats, enum store_table table, const void *key,
                      size_t key_len);
// A new row, to be filled by the caller. NULL if out of memory.
struct row *rows_add(struct stats *stats, enum store_table table, const void *key, size_t key_len);
// True if one more pool or series may be created.
bool rows_may_grow(const struct stats *stats, enum store_table table);
// True if changes to this state have to be applied to the tables of open runs and jobs.
bool stats_covers(const struct stats *stats, const struct store_key *key);

// Records what is counted under "other". `parts`: of the example.
void stats_note_overflow(struct stats *stats, const char *kind, const struct slice *parts,
                         size_t count);
// Records that a job was counted in "(one-off)". `labels`: for the example.
void stats_note_folded(struct stats *stats, struct slice labels);
// Sets an unreadable row aside. ERROR_NOT_FOUND, as if it did not exist; or the error of doing so.
enum error_code stats_set_aside(struct stats *stats, enum store_table table, struct slice key,
                                struct error *error) MUST_CHECK;

// --- finished runs (runs.c) ---

struct recent_place;
struct recent_run;

// Keys of both lists: be64 time ‖ trace.
#define RECENT_KEY_SIZE (8 + TRACE_ID_SIZE)
void recent_write_key(uint8_t key[RECENT_KEY_SIZE], const struct recent_place *place);
struct recent_place recent_place_of(const void *key);
// Adds up to `max` runs that an older version stored. `*is_done`: all have been added.
enum error_code ended_runs_continue(struct stats *stats, size_t max, bool *is_done,
                                    struct error *error) MUST_CHECK;

// First half of SHA-256.
void stats_hash(struct slice data, uint8_t hash[HASH_SIZE]);

// Writes the completed jobs that are not written yet.
enum error_code job_history_flush(struct stats *stats, struct error *error) MUST_CHECK;

// --- contents of rows ---

extern const struct pool_id pool_one_off_id;
// pool_make_id(), which is not computed again for the labels of the last events.
struct pool_id pool_id_of(struct stats *stats, struct slice labels);
bool pool_id_equals(const struct pool_id *a, const struct pool_id *b);
// pool_name() of the pool that a choice is.
struct slice pool_name_of_choice(const struct pool_choice *choice, char room[LABELS_TEXT_MAX]);
// Its key in the table, which points into it.
struct slice pool_id_key(const struct pool_id *id);

// What a key of open_jobs says of its job. OPEN_JOB_NONE: the key is damaged.
struct open_job_state pool_job_state(const uint8_t key[POOL_JOB_KEY_SIZE]);

// What a job asks of its pool.
struct pool_demand {
    struct slice labels; // the name, if a rule names the pool
    struct slice asked;
    struct slice group;
    bool is_rule;
    bool is_start; // the job runs, or has run
};
// What a job with these labels asks of its pool by the rules: all but `group` and `is_start`. Texts may point into
// `room`.
struct pool_demand pool_demand_of(const struct stats *stats, struct slice labels,
                                  char room[LABELS_TEXT_MAX]);
// The row of a pool, or that of "(one-off)" if there are too many. The pool is created if needed, and has the group
// among its groups.
enum error_code pool_load_row(struct stats *stats, const struct pool_demand *demand,
                              struct row **row, struct error *error) MUST_CHECK;
enum error_code pool_encode(const struct pool *pool, struct buffer *out) MUST_CHECK;
// Without checking that it has the id of the key. False: damaged.
bool pool_decode(struct slice bytes, struct pool *pool) MUST_CHECK;
// The row of an existing pool. ERROR_NOT_FOUND, also for a damaged one, which is set aside.
enum error_code pool_find_row(struct stats *stats, const struct pool_id *id, struct row **row,
                              struct error *error) MUST_CHECK;
// The row of the pool in which a job with these labels was counted: that of the labels or, if it was folded,
// "(one-off)". ERROR_NOT_FOUND.
enum error_code pool_find_counted(struct stats *stats, struct slice labels, struct row **row,
                                  struct error *error) MUST_CHECK;
// The row of "(one-off)", created if needed.
enum error_code pool_load_one_off(struct stats *stats, struct row **row,
                                  struct error *error) MUST_CHECK;
// Stores a pool, added to the one of the same name that is stored. For pools of older versions.
enum error_code pool_put_merged(struct stats *stats, struct pool *pool,
                                struct error *error) MUST_CHECK;
// Counts a job that had started and ended at `end`.
void pool_count_start(struct pool *pool, timestamp_ns end, timestamp_ns now);
// Started jobs of the days that are still within POOL_DAYS.
uint64_t pool_started(const struct pool *pool, timestamp_ns now);
uint64_t pool_open_jobs(const struct pool *pool);
// A histogram of `latency`, created if needed.
enum error_code latency_load(struct stats *stats, timestamp_ns slot, const struct pool_id *pool,
                             struct histogram **histogram, struct error *error) MUST_CHECK;
// Adds the slots of one pool to those of another and deletes them. The rows of `from` are not loaded.
enum error_code latency_move(struct stats *stats, const struct pool *from, struct pool *to,
                             struct error *error) MUST_CHECK;
// Adds an encoded histogram. False: it is damaged, and nothing of it is added.
bool histogram_add_stored(struct slice bytes, struct histogram *into) MUST_CHECK;

enum error_code latency_encode_waits(const struct pool_waits *waits, struct buffer *out) MUST_CHECK;
// Forgets what was counted for good of a pool that is dropped.
enum error_code latency_drop_waits(struct stats *stats, const struct pool_id *pool,
                                   struct error *error) MUST_CHECK;
struct minute_row;
bool minute_row_is_empty(const struct minute_row *row);
enum error_code minute_row_encode(const struct minute_row *row, struct buffer *out) MUST_CHECK;
// Adds the minutes of a pool that is folded to those of another. The rows of `from` are not loaded.
enum error_code pool_minutes_move(struct stats *stats, const struct pool *from,
                                  const struct pool_id *to, struct error *error) MUST_CHECK;
// Adds a job to those that are queued or run in a pool since then; `sign` -1: takes it off. It is no arrival or start.
enum error_code pool_minutes_shift(struct stats *stats, const struct pool_id *pool,
                                   const struct open_job_state *since, int sign,
                                   struct error *error) MUST_CHECK;
// Drops the hours of a pool that is dropped or folded.
enum error_code pool_hours_drop(struct stats *stats, const struct pool_id *pool,
                                struct error *error) MUST_CHECK;
void series_add_to_sum(struct series_sum *sum, duration_ns value);

// --- running jobs by runner (runners.c) ---

// What a change of the job's place means for its runner. ERROR_FULL, or as the store reports.
enum error_code runners_move_job(struct stats *stats, const struct store_key *job,
                                 const struct pool_place *before, const struct pool_place *after,
                                 struct error *error) MUST_CHECK;
// The same for a job whose state cannot be read. Searches all running jobs.
enum error_code runners_remove_unreadable_job(struct stats *stats, const struct store_key *job,
                                              struct error *error) MUST_CHECK;

// --- folding (pool_fold.c) ---

// Decides whether a new pool may be created, by folding another one if there are too many. `id`: that of `demand`.
enum error_code fold_make_room(struct stats *stats, const struct pool_id *id,
                               const struct pool_demand *demand, bool *has_room,
                               struct error *error) MUST_CHECK;
// Counts a started job of a folded set; about how many there were, rather too few than too many.
void fold_count_start(struct stats *stats, const struct pool_id *id);
uint32_t fold_estimate(const struct stats *stats, const struct pool_id *id);

enum store_table series_table(enum series_kind kind);
// The labels that earlier versions had.
unsigned series_labels_before(enum series_kind kind);
struct series_id series_make_id(unsigned has, const struct slice labels[SERIES_LABELS]);
void series_name_other(unsigned has, struct slice labels[SERIES_LABELS]);
bool series_row_is_other(const struct series_row *row);
// Adds the counts of one series to another of its kind.
void series_add_row(struct series_row *into, const struct series_row *from);
struct series_row *series_allocate_row(struct arena *arena, enum series_kind kind);
enum error_code series_encode(const struct series_row *row, struct buffer *out) MUST_CHECK;
// False: written by figures 1 to 3, or damaged.
bool series_has_layout_of_now(struct slice bytes);
// Makes the stored series those of the options (series_options.c): adds them up by the labels that are chosen, or
// clears them if the bounds differ. Before the first change of a transaction.
enum error_code series_adopt_options(struct stats *stats, struct error *error) MUST_CHECK;
// True if they are.
enum error_code series_are_adopted(const struct stats *stats, struct store_transaction *transaction,
                                   bool *are_adopted, struct error *error) MUST_CHECK;
// Stores since when series are counted, if that is not stored: of a store that has series already, the time of the
// oldest observation that is still known, else the time of the batch. Not while the store is tight: that must not keep
// it from being emptied.
enum error_code series_note_start(struct stats *stats, struct error *error) MUST_CHECK;
// `row` has its kind, and zeroed histograms. Labels point into `bytes`. False: damaged.
bool series_decode(struct slice bytes, struct series_row *row) MUST_CHECK;

#endif
