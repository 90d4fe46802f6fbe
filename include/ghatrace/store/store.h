// Durable state: one LMDB environment in a folder of its own. Its versions, and how to add a field to what is stored:
// store/versions.h.
//
// Layout on disk. All integers are big-endian, so that LMDB's byte order is their numeric order. `trace` is 16 bytes:
// for runs of github.com the trace ID of scheme arc (whatever scheme is exported), for another server's a hash that
// includes the server (struct stored_run in trace/ids.h). `span` is the 8-byte span ID of scheme arc: be64 of the
// run's or the job's id. Databases:
//
//   meta        "format", "layouts": store/versions.h · "servers" → empty: no state was ever stored
//               without its server · "sequence" → be64, the last used record sequence
//               · "outbox" → be64, bytes of the records in the outbox
//               · "dead" → be64 bytes of the dead letters' records ‖ be64 number of these letters ‖ be64 sequence
//               below which all are included (all ones: all of them); absent in older stores
//               · "probe" → be64 time, written after a failure to check whether writing works again
//               · "notes" → be64 each: notes of the first six kinds, dropped notes, start of the current
//               hour, dropped in it, dropped in the hour before, notes of the seventh kind
//   spans       trace ‖ span → a run's or a job's state (store/codec.h); in version 1 also the note that
//               it was sent, and still if the note has to contain names
//   deadlines   be64 time ‖ trace ‖ span → empty: when a state is due (engine)
//   notes       kind ‖ order of the first note → a block of notes, see below
//   deliveries  version 1 only, read until it is empty: be64 start of an eighth of `linger` ‖ 16-byte digest
//               of GUID and HMAC → empty
//   records     be64 sequence → be64 finished at ‖ trace ‖ span ‖ ResourceSpans element (otlp/encode.h)
//   outbox      be64 sequence → be32 size of the record: not yet sent
//   dead        be64 sequence → be64 time ‖ reason: permanently refused by the collector
//   quarantine  be64 sequence → be64 time ‖ reason: in the outbox, and refused alone while others were
//               accepted; absent until a daemon that has this table opens the store
//   history     trace ‖ span → be64 sequence: the newest record of each finished span
//   forwarded   be64 sequence → be32 size ‖ be32 spans: in the outbox, and of another program's spans
//   forwarded_dead
//               the same of those that are dead letters
//   our_spans, held, held_by_trace
//               what is needed to forward other programs' spans (engine/our_spans.c, engine/forward.c)
//   tally, pools, open_jobs, open_runs, recent, recent_by_trace, job_series, run_series, step_series, latency,
//   job_history, pool_waits, pool_minutes, pool_hours, runners, commits, ended_runs
//               statistics of open and measured runs and jobs (store/table.h, stats/); rebuilt from
//               the states in older stores
//   notices     what is pending for receivers of notices, and whose begin was sent to them (notify/list.h)
//   arc_jobs    job by its runner, for reports of ARC; only while they are accepted: hash of the runner's name ‖
//               be64 job id ‖ trace → 01 ‖ be64 each: run id, attempt, runner id, hash of the repository, hash of
//               the job's name, created at, started at, ended at (0: not; 2^63 - 1: at an unknown time), closed at (0:
//               it has a state) ‖ server. A hash is the first 8 bytes of SHA-256; 0: there is no such text
//   arc_closed  be64 closed at ‖ key of arc_jobs → empty: of jobs that have no state any more
//   arc_held    reports of ARC whose job is not known: hash of the runner's name ‖ first 16 bytes of SHA-256 of
//               the value from the second number on → 01 ‖ be64 each: received at, hash of the repository, run id,
//               job id, hash of the job's name, assigned at, start, end ‖ server
//   arc_held_by_age  be64 received at ‖ key of arc_held → empty
//   set_aside   be64 number → be64 time ‖ be64 size of the value ‖ 1-byte length ‖ name of the database ‖ be16 length ‖
//               key ‖ be16 length ‖ reason ‖ the value, or its beginning: an entry that could not be read or written.
//               At most 1,000 entries, and at most a 32nd of the store's size and 64 MiB in total; the oldest go first
//   meta        "forwarded" → be64 bytes of the records in `forwarded` ‖ be64 of those in `forwarded_dead`; absent: 0
//   meta        "set_aside" → be64 last number ‖ be64 bytes in set_aside ‖ be64 ever set aside ‖ be64 of these dropped
//
// Notes: which deliveries were received, and which runs and jobs were sent. They are many and small, and are looked
// up and expired, never listed; so they are kept sorted in blocks of up to 4080 bytes, which fill one LMDB overflow
// page:
//
//   key    kind (1 byte) ‖ order of the first note of the block
//   value  be32 seconds: when the newest note was made · be32 the same of the oldest · notes, sorted by `order`
//
//   kind  order                                                      shared  payload  bytes of a note
//   g     be64 ms in the GUID ‖ GUID (8) ‖ body (8)                       4        0  20  delivery
//   u     be64 ns start of an eighth of linger ‖ GUID (8) ‖ body (8)      8        0  16  delivery, no time in its GUID
//   j     span (8) ‖ trace (first 8)                                      4       14  26  job that was sent
//   w     span (8) ‖ trace (first 8)                                      4       24  36  of such a job: since when it
//                                                                                         was queued, what it waited for
//   r     span (8) ‖ trace (first 8)                                      4       50  62  run whose root was sent
//   o     span (8) ‖ trace (first 4)                                      4        1   9  the same, kept longer
//   a     span (8) ‖ trace (first 8)                                      4        8  20  of a job that was sent: when ARC
//                                                                                         assigned it
//
// The first `shared` bytes are the same in all notes of a block and not repeated. GUID (8) is the beginning of the
// SHA-256 of the GUID, body (8) that of the MD5 of the body as received. Times inside GUIDs and GitHub's ids
// increase, so new notes are added at the end or near it: blocks fill one after the other, a commit writes few of
// them, and the oldest notes are in front. A full block that receives a note out of order is split in half; a sweep
// over all blocks, sixteen times in `linger`, fills the gaps again. Notes have no deadline entries: a block is
// deleted when its newest note has expired, so a note is kept for its time and seldom much longer. Each kind
// has its own retention: linger; for `o` 35 days (trace/policy.h). The payloads are described in store/codec.h.
//
// Deliveries count as the same if the 128 bits of GUID and body agree and the GUIDs contain the same millisecond.
// Among 10^9 recorded deliveries the probability that a new one has a false match is below 10^-29; for one GUID
// with two bodies (that happens, github/docs#32822) it is 2^-64, since the sender does not choose both. The body's
// digest is not a security measure: anyone who can choose it has the secret already. For sent runs and jobs, the id
// and 64 bits of the trace ID must agree (for `o`, 32 bits: they distinguish the attempts of one run).
//
// A new kind of note, or more bytes in one, needs a new letter with a row in the table of notes.c, and a new layout
// of notes (store/versions.h); old letters stay.
// When space runs short (80 % of the map), notes are dropped before anything is refused: deliveries, the oldest
// first, then those of jobs and runs, down to a 32nd of the map. History is dropped before them (75 %).
//
// A record is kept until it is neither in the outbox, nor a dead letter, nor younger than `history`. One of another
// program's spans is never in the history, and is deleted as soon as it is in neither of the others. Its key has the
// trace that was sent, and the span ID 0, which nothing else has.
//
// What a crash can leave behind: nothing between two commits. LMDB writes pages beside the old ones and switches by one
// synced meta page, so a reader after kill -9 or a power cut sees the last acknowledged commit, or one newer; never a
// part of one. A new environment's folder is synced before the first acknowledgement.
//
// Only one process writes: the daemon holds a flock on `lock` in the folder. Tools may read while it runs (LMDB
// readers), in short transactions.
//
// Before the daemon maps the file it checks its pages (their structure, not their content), so that a damaged or
// foreign file is refused with a message. A page that cannot be read later ends the process with status 1.
#ifndef GHATRACE_STORE_STORE_H
#define GHATRACE_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/list.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/trace/span.h"

struct store;
struct store_transaction;

struct store_key {
    struct trace_id trace;
    struct span_id span;
};

enum store_mode {
    STORE_DAEMON, // creates the folder if needed, takes the lock, writes
    STORE_TOOL,   // needs a store; reads, and makes small writes beside a running daemon
    STORE_READER, // needs a store; reads, creates no file and changes only LMDB's table of readers
};

// ERROR_BUSY: another daemon holds the folder. ERROR_VERSION: an unsupported format. ERROR_NOT_FOUND: a tool or a
// reader found no store, and left the folder unchanged. ERROR_IO, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code store_open(const char *folder, enum store_mode mode, uint64_t max_size_bytes,
                           struct store **store, struct error *error) MUST_CHECK;
// Checks whether a daemon of this user could open, or create, a store in this folder, without changing anything.
// Checks only the folder and its permissions, with the errors of store_open(), not the content of the file.
enum error_code store_check_folder(const char *folder, struct error *error) MUST_CHECK;
void store_close(struct store *store);
// True if states of other servers may be stored under keys of github.com's. Versions without a server in the keys did
// that. Permanently false for a store that was created by a version with one.
bool store_has_old_keys(const struct store *store);
// As given to store_open().
uint64_t store_max_size(const struct store *store);
// Frees the slots of readers that were killed, because they pin pages. Thread-safe; cheap, call it once a minute.
enum error_code store_release_dead_readers(struct store *store, struct error *error) MUST_CHECK;

// One write transaction at a time, of the thread that began it. A read transaction is a snapshot that pins pages:
// never hold it while waiting for anything. ERROR_FULL: the map, the disk or the reader table is full. ERROR_IO,
// ERROR_CORRUPT, ERROR_MEMORY.
enum error_code store_begin(struct store *store, bool is_write,
                            struct store_transaction **transaction, struct error *error) MUST_CHECK;
// Commits and syncs; on failure no change of the transaction is stored. Ends the transaction in either case.
enum error_code store_commit(struct store_transaction *transaction, struct error *error) MUST_CHECK;
void store_abort(struct store_transaction *transaction);

// Slices returned by the functions below are valid until the next write in the transaction, or its end.
// ERROR_NOT_FOUND is returned without a message, since it is not a failure. After any other error the transaction
// must be aborted.

// --- spans ---
enum error_code store_get_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice *state, struct error *error) MUST_CHECK;
enum error_code store_put_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice state, struct error *error) MUST_CHECK;
enum error_code store_delete_span(struct store_transaction *transaction,
                                  const struct store_key *key, struct error *error) MUST_CHECK;
// The first span at or after `*key`; sets `*key` to it. ERROR_NOT_FOUND at the end.
enum error_code store_seek_span(struct store_transaction *transaction, struct store_key *key,
                                struct slice *state, struct error *error) MUST_CHECK;
// The same within the trace of `*key`. ERROR_NOT_FOUND at the end of the trace; `*key` is then that of the
// next trace's first span, if there is one.
enum error_code store_seek_span_of_trace(struct store_transaction *transaction,
                                         struct store_key *key, struct slice *state,
                                         struct error *error) MUST_CHECK;
// The key right after `key`, for the next seek.
void store_key_increment(struct store_key *key);

// --- deadlines ---
enum error_code store_put_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, struct error *error) MUST_CHECK;
enum error_code store_delete_deadline(struct store_transaction *transaction, timestamp_ns at,
                                      const struct store_key *key, struct error *error) MUST_CHECK;
enum error_code store_has_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, bool *is_there,
                                   struct error *error) MUST_CHECK;
// The earliest. ERROR_NOT_FOUND when there is none.
enum error_code store_first_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                     struct store_key *key, struct error *error) MUST_CHECK;
// The latest.
enum error_code store_last_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                    struct store_key *key, struct error *error) MUST_CHECK;

// --- notes ---
enum store_note {
    STORE_NOTE_TIMED_DELIVERY,
    STORE_NOTE_UNTIMED_DELIVERY,
    STORE_NOTE_JOB,
    STORE_NOTE_WAITED_JOB,
    STORE_NOTE_RUN,
    STORE_NOTE_OLD_RUN,
    STORE_NOTE_ASSIGNED_JOB,
    STORE_NOTE_KINDS,
};
// Size of the payloads in bytes: store/codec.h.
#define STORE_JOB_NOTE_SIZE 14
#define STORE_WAITED_JOB_NOTE_SIZE 24
#define STORE_RUN_NOTE_SIZE 50
#define STORE_OLD_RUN_NOTE_SIZE 1
#define STORE_ASSIGNED_JOB_NOTE_SIZE 8
#define STORE_NOTE_SIZE_MAX 50
#define STORE_OLD_DIGEST_SIZE 16

struct store_delivery {
    // These identify it.
    timestamp_ns guid_time;                    // inside the GUID; TIMESTAMP_UNKNOWN: none
    uint8_t guid[8];                           // digest of the GUID
    uint8_t body[8];                           // digest of the body
    uint8_t old_digest[STORE_OLD_DIGEST_SIZE]; // as in format version 1
    timestamp_ns received_at;                  // kept with it; not used to find it
};
// `linger`: how long a delivery without a time in its GUID is kept. Sets whether this delivery was recorded before, and
// records it if not.
enum error_code store_remember_delivery(struct store_transaction *transaction,
                                        const struct store_delivery *delivery, duration_ns linger,
                                        bool *is_duplicate, struct error *error) MUST_CHECK;
// Whether a delivery with this GUID is recorded, regardless of its body. In write transactions. Does not search the
// deliveries of format version 1.
enum error_code store_has_guid(struct store_transaction *transaction,
                               const struct store_delivery *delivery, bool *is_known,
                               struct error *error) MUST_CHECK;
// The latest time in a recorded GUID, by the sender's clock; TIMESTAMP_UNKNOWN: none is.
enum error_code store_last_delivery(struct store_transaction *transaction, timestamp_ns *time,
                                    struct error *error) MUST_CHECK;
// When the oldest recorded delivery was received, to the second. TIMESTAMP_UNKNOWN: there is none.
enum error_code store_oldest_delivery(struct store_transaction *transaction, timestamp_ns *oldest,
                                      struct error *error) MUST_CHECK;

// A note that the spans of a job, or the root of a run, were sent.
struct store_note_key {
    enum store_note kind; // not of a delivery
    struct store_key of;  // the job or the run
};
// In write transactions. `payload` has the size of its kind. An existing note gets the new payload.
enum error_code store_put_note(struct store_transaction *transaction,
                               const struct store_note_key *key, const uint8_t *payload,
                               timestamp_ns now, struct error *error) MUST_CHECK;
// In any transaction. A reader treats a damaged block of notes as empty, and counts it as unreadable.
enum error_code store_find_note(struct store_transaction *transaction,
                                const struct store_note_key *key, bool *is_found, uint8_t *payload,
                                struct error *error) MUST_CHECK;

// Deletes notes older than the retention of their kind, checking at most `*left` blocks, and counts `*left` down. 0
// afterwards: there is more to do.
enum error_code store_expire_notes(struct store_transaction *transaction, timestamp_ns now,
                                   const duration_ns keep[STORE_NOTE_KINDS], size_t *left,
                                   struct error *error) MUST_CHECK;
// The same for deliveries of format version 1: at most `*left`.
enum error_code store_expire_old_deliveries(struct store_transaction *transaction, timestamp_ns now,
                                            duration_ns linger, size_t *left,
                                            struct error *error) MUST_CHECK;
// True if notes should be dropped to free space.
bool store_must_shed(struct store_transaction *transaction);
// Deletes at most `max` blocks of notes before they expire, the oldest first; `*shed` is the number of notes.
enum error_code store_shed_notes(struct store_transaction *transaction, size_t max, uint64_t *shed,
                                 struct error *error) MUST_CHECK;
enum error_code store_shed_old_deliveries(struct store_transaction *transaction, size_t max,
                                          size_t *shed, struct error *error) MUST_CHECK;
// Adds to the stored counters of dropped notes.
struct store_sheds {
    uint64_t total; // since the store was created
    timestamp_ns hour;
    uint64_t in_hour; // in the hour that began at `hour`
    uint64_t in_hour_before;
};
void store_count_shed(struct store_transaction *transaction, timestamp_ns now, uint64_t count);

// --- records, outbox, dead letters, history ---
struct store_record {
    uint64_t sequence;
    timestamp_ns finished_at;
    struct store_key key;
    struct slice body; // one encoded ResourceSpans element
};

// Stores a record, adds it to the history, and to the outbox if `to_outbox`. Sets its sequence.
enum error_code store_add_record(struct store_transaction *transaction, struct store_record *record,
                                 bool to_outbox, struct error *error) MUST_CHECK;
enum error_code store_get_record(struct store_transaction *transaction, uint64_t sequence,
                                 struct store_record *record, struct error *error) MUST_CHECK;
// A record of `spans` spans of another program, any number of ResourceSpans elements: only into the outbox. Sets its
// sequence and the span of its key.
enum error_code store_add_forwarded(struct store_transaction *transaction,
                                    struct store_record *record, uint32_t spans,
                                    struct error *error) MUST_CHECK;
bool store_is_forwarded(const struct store_record *record);
// Bytes of such records in the outbox, including changes of this transaction. Part of store_outbox_bytes().
uint64_t store_forwarded_bytes(struct store_transaction *transaction);
// Drops up to `max` such records from the outbox, the oldest first. `*dropped`, `*spans`: how many.
enum error_code store_drop_forwarded(struct store_transaction *transaction, size_t max,
                                     size_t *dropped, uint64_t *spans,
                                     struct error *error) MUST_CHECK;
// The first outbox entry with a sequence >= `*sequence`; sets `*sequence`. `*size`: bytes of its body.
enum error_code store_seek_outbox(struct store_transaction *transaction, uint64_t *sequence,
                                  uint32_t *size, struct error *error) MUST_CHECK;
// The same of our own records only, or of other programs' spans only. Neither walks over the others.
enum error_code store_seek_own(struct store_transaction *transaction, uint64_t *sequence,
                               uint32_t *size, struct error *error) MUST_CHECK;
enum error_code store_seek_forwarded(struct store_transaction *transaction, uint64_t *sequence,
                                     uint32_t *size, struct error *error) MUST_CHECK;
// Removes a record that was sent from the outbox; it stays in the history. No error if it is not there.
enum error_code store_settle_record(struct store_transaction *transaction, uint64_t sequence,
                                    struct error *error) MUST_CHECK;
// Moves a record that was refused from the outbox to the dead letters.
enum error_code store_bury_record(struct store_transaction *transaction, uint64_t sequence,
                                  timestamp_ns now, struct slice reason,
                                  struct error *error) MUST_CHECK;
struct store_dead_letter {
    uint64_t sequence;
    timestamp_ns buried_at;
    struct slice reason;
};
enum error_code store_seek_dead_letter(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_dead_letter *letter,
                                       struct error *error) MUST_CHECK;
// Marks a record of the outbox as refused alone; the mark is removed when the record leaves the outbox. Does nothing
// if the record is not in the outbox. A second call replaces the reason and keeps the time.
enum error_code store_quarantine_record(struct store_transaction *transaction, uint64_t sequence,
                                        timestamp_ns now, struct slice reason,
                                        struct error *error) MUST_CHECK;
struct store_quarantined {
    uint64_t sequence;
    uint32_t size;      // of the record's body, in bytes
    timestamp_ns since; // wall-clock time
    struct slice reason;
};
// The first mark with a sequence >= `*sequence`; sets `*sequence`.
enum error_code store_seek_quarantined(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_quarantined *quarantined,
                                       struct error *error) MUST_CHECK;
// Which dead letters to move back to the outbox, and what the last call did.
struct store_requeue {
    uint64_t sequence;   // letters from this one on; afterwards, where to continue
    size_t max;          // letters in one call
    uint64_t outbox_max; // limit of the outbox in bytes; 0: none
    size_t count;        // letters that were moved
    bool is_full;        // one was not moved, because the outbox is at its limit
};
// Moves dead letters, the oldest first. A letter without a record is dropped.
enum error_code store_requeue_dead_letters(struct store_transaction *transaction,
                                           struct store_requeue *requeue,
                                           struct error *error) MUST_CHECK;
// Bytes of the dead letters' records, including changes of this transaction. Temporarily too low if an older version
// wrote the store, until store_shed_dead_letters() has counted them.
uint64_t store_dead_letter_bytes(struct store_transaction *transaction);
// Of these: of other programs' spans.
uint64_t store_forwarded_dead_bytes(struct store_transaction *transaction);

// Why a dead letter was dropped. The names are those of /metrics and /api/status.
#define STORE_SHED_LIST(ROW)                                                                       \
    ROW(STORE_SHED_AGE, "age")   /* buried longer ago than is allowed */                           \
    ROW(STORE_SHED_SIZE, "size") /* all of them together were larger than is allowed */            \
    ROW(STORE_SHED_ROOM, "room") /* the store was about to refuse deliveries */
enum store_shed_reason { STORE_SHED_LIST(LIST_ENUMERATOR) STORE_SHED_REASONS };
extern const char *const store_shed_names[STORE_SHED_REASONS];
struct store_shed_limits {
    uint64_t bytes_max;  // of all records together, a quarter of it of other programs'; 0: no limit
    duration_ns age_max; // 0: no limit
    bool may_check_age;  // false: the clock is not trusted at present
    bool for_room;       // drop them, regardless of the other limits, while store_is_short()
    // also drop their records that finished before this; others stay in the history
    timestamp_ns before;
    size_t max;       // letters to check in this call
    timestamp_ns now; // from which ages are measured
};
// Drops dead letters beyond the limits, other programs' spans first, and of each the oldest record first. Counts them
// first if an older version wrote the store. A letter with a time in the future gets the time `now`, since the clock
// was set back. `*has_more`: call again.
enum error_code store_shed_dead_letters(struct store_transaction *transaction,
                                        const struct store_shed_limits *limits,
                                        uint64_t dropped[STORE_SHED_REASONS], bool *has_more,
                                        struct error *error) MUST_CHECK;
// The newest record of the first span at or after `*key` in the history; sets `*key`.
enum error_code store_seek_history(struct store_transaction *transaction, struct store_key *key,
                                   uint64_t *sequence, struct error *error) MUST_CHECK;
// The same for exactly this key. ERROR_NOT_FOUND: it has no record in the history.
enum error_code store_newest_record(struct store_transaction *transaction,
                                    const struct store_key *key, uint64_t *sequence,
                                    struct error *error) MUST_CHECK;
// Moves all history records of one trace to another trace, which has none.
enum error_code store_move_records(struct store_transaction *transaction,
                                   const struct trace_id *from, const struct trace_id *to,
                                   struct error *error) MUST_CHECK;
// Drops up to `max` records that finished before `before` and are neither in the outbox nor dead.
enum error_code store_expire_records(struct store_transaction *transaction, timestamp_ns before,
                                     size_t max, size_t *dropped, struct error *error) MUST_CHECK;

// --- what was set aside ---
//
// One entry that is damaged, or too large to be written, must not block the rest: it is removed from its database and
// kept in `set_aside` for inspection. The functions above do so for keys and values whose lengths do not fit their
// database; whether the content is valid is checked by the caller, with these functions. In write transactions.
// `reason`: one line.
#define STORE_SET_ASIDE_MAX 1000

enum error_code store_set_span_aside(struct store_transaction *transaction,
                                     const struct store_key *key, struct slice reason,
                                     struct error *error) MUST_CHECK;
// For a record that could not be built: there are no bytes to keep.
enum error_code store_set_record_aside(struct store_transaction *transaction,
                                       const struct store_key *key, struct slice reason,
                                       struct error *error) MUST_CHECK;

// Entries that this transaction has set aside.
struct store_set_aside_note {
    uint64_t count;
    struct slice database; // of the last one; static
    char reason[160];      // likewise
};
const struct store_set_aside_note *
store_noted_set_aside(const struct store_transaction *transaction);

struct store_set_aside {
    uint64_t number; // increasing
    timestamp_ns at;
    struct slice database; // its name
    struct slice key;
    struct slice reason;
    struct slice bytes; // the value, or its beginning
    uint64_t size;      // of the value, in bytes
};
// The first one at or after `*number`; sets `*number`.
enum error_code store_seek_set_aside(struct store_transaction *transaction, uint64_t *number,
                                     struct store_set_aside *entry, struct error *error) MUST_CHECK;
struct store_set_aside_totals {
    uint64_t kept;
    uint64_t count;   // since the store was created
    uint64_t dropped; // of these: for lack of space
};
enum error_code store_read_set_aside_totals(struct store_transaction *transaction,
                                            struct store_set_aside_totals *totals,
                                            struct error *error) MUST_CHECK;

// Readers skip entries that they cannot read, and count them here.
void store_note_unreadable(struct store_transaction *transaction);
uint64_t store_unreadable(const struct store_transaction *transaction);
// For all transactions of the process; an entry counts each time it is read. Thread-safe.
uint64_t store_unreadable_ever(struct store *store);

// Bytes of the records in the outbox, including changes of this transaction.
uint64_t store_outbox_bytes(const struct store_transaction *transaction);
// Writes a small entry to check whether writing works again.
enum error_code store_probe(struct store_transaction *transaction, timestamp_ns now,
                            struct error *error) MUST_CHECK;

struct store_usage {
    uint64_t outbox_records;
    uint64_t outbox_bytes;
    uint64_t forwarded_records; // of these: of other programs' spans
    uint64_t forwarded_bytes;   // likewise
    uint64_t dead_letters;
    uint64_t dead_letter_bytes;      // of their records
    uint64_t forwarded_dead_letters; // of these: of other programs' spans
    uint64_t forwarded_dead_bytes;   // likewise
    uint64_t records;
    uint64_t spans; // states
    uint64_t delivery_notes;
    uint64_t job_notes;
    uint64_t run_notes;
    uint64_t root_notes;
    uint64_t note_bytes; // pages that notes take
    struct store_sheds sheds;
    uint64_t used_bytes; // pages in use
    uint64_t max_bytes;
};
// ERROR_FULL, with a message that says what takes the space, when 90 % of the map are in use, including changes of this
// transaction, and from then on until less than 85 % are: the rest is reserved for deletions, which need pages, too. Of a
// map below 2 MiB 192 KiB are: these shares, and those below, are of less than the map then. In write transactions.
enum error_code store_check_room(struct store_transaction *transaction,
                                 struct error *error) MUST_CHECK;
// True if 75 % are in use. Then finished traces should be deleted before `history` is over.
bool store_is_tight(struct store_transaction *transaction);
// True if 80 % are in use. Then a note should be kept instead of anything that a note can replace.
bool store_keeps_only_notes(struct store_transaction *transaction);
// True if 85 % are in use. Then dead letters should be dropped, too, before deliveries are refused.
bool store_is_short(struct store_transaction *transaction);
// True if every record that finished before the last `before` of store_expire_records() was deleted, except for those
// that must stay. False also while that is not known yet.
bool store_has_expired_all(const struct store_transaction *transaction);
void store_read_usage(struct store_transaction *transaction, struct store_usage *usage);

#endif
