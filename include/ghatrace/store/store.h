// Durable state: one LMDB environment in a folder of its own. Which versions of it there are and are read, and how to store
// one more field: store/versions.h.
//
// On disk. All integers are big-endian, so that LMDB's byte order is order by value. `trace` is 16 bytes: of github.com's
// runs the trace ID of scheme arc (whatever scheme is exported), of another server's a hash with the server in it
// (struct stored_run in trace/ids.h). `span` is the 8-byte span ID of scheme arc: be64 of the run's or the job's id.
// Databases:
//
//   meta        "format", "layouts": store/versions.h · "servers" → empty: no state was ever stored without its server · "sequence" → be64, the last record sequence given out
//               · "outbox" → be64, bytes of the records in the outbox
//               · "dead" → be64 bytes of the dead letters' records ‖ be64 how many letters that are ‖ be64 sequence
//               below which all are in that sum (all ones: all of them); absent in stores that are older
//               · "probe" → be64 time, written after a failure to see whether writing works again
//               · "notes" → be64 each: notes of the six kinds, notes that were shed, since when the hour
//               counts, shed in it, shed in the hour before
//   spans       trace ‖ span → a run's or a job's state (store/codec.h); up to version 1 also the note that
//               it went out, and still where the note has to hold names
//   deadlines   be64 time ‖ trace ‖ span → empty: when a state is to be looked at (engine)
//   notes       kind ‖ order of the first note → a block of notes, see below
//   deliveries  version 1 only, read until it is empty: be64 start of an eighth of `linger` ‖ 16-byte digest
//               of GUID and HMAC → empty
//   records     be64 sequence → be64 finished at ‖ trace ‖ span ‖ ResourceSpans element (otlp/encode.h)
//   outbox      be64 sequence → be32 size of the record: what has still to be sent
//   dead        be64 sequence → be64 time ‖ reason: what the collector refused for good
//   quarantine  be64 sequence → be64 time ‖ reason: what is in the outbox and was refused alone while others were
//               accepted; absent in a store that no daemon has opened since there is this table
//   history     trace ‖ span → be64 sequence: the newest record of each finished span
//   stats, pools, open_jobs, open_runs, recent, recent_by_trace, job_series, run_series, step_series, latency
//               figures of what is open and what was measured (store/table.h, stats/); made from the
//               states where a store is older than they are
//   set_aside   be64 number → be64 time ‖ be64 size of the value ‖ 1-byte length ‖ name of the database ‖ be16 length ‖
//               key ‖ be16 length ‖ reason ‖ the value, or its beginning: what could not be read, or not be written.
//               At most 1,000 entries, and at most a 32nd of the store's size and 64 MiB together; the oldest leave
//   meta        "set_aside" → be64 last number ‖ be64 bytes in set_aside ‖ be64 ever set aside ‖ be64 of these dropped
//
// Notes: what was delivered, and which runs and jobs went out. There are many, they are small, and they are looked up
// and forgotten, never listed; so they are kept sorted in blocks of up to 4080 bytes, which fill one LMDB overflow page:
//
//   key    kind (1 byte) ‖ order of the first note of the block
//   value  be32 seconds: when the newest note was made · be32 the same of the oldest · notes, sorted by `order`
//
//   kind  order                                                      shared  payload  bytes of a note
//   g     be64 ms in the GUID ‖ GUID (8) ‖ body (8)                       4        0  20  delivery
//   u     be64 ns start of an eighth of linger ‖ GUID (8) ‖ body (8)      8        0  16  delivery, no time in its GUID
//   j     span (8) ‖ trace (first 8)                                      4       14  26  job that went out
//   w     span (8) ‖ trace (first 8)                                      4       24  36  of such a job: since when it
//                                                                                         was queued, what it waited for
//   r     span (8) ‖ trace (first 8)                                      4       50  62  run whose root went out
//   o     span (8) ‖ trace (first 4)                                      4        1   9  the same, kept longer
//
// The first `shared` bytes are alike in all notes of a block and not repeated. GUID (8) is the beginning of the SHA-256
// of the GUID, body (8) that of the MD5 of the body as it was received. Times inside GUIDs and GitHub's ids rise, so new notes come
// behind the others or near the end: blocks fill one after the other, a commit writes few of them, and what is oldest
// is in front. Where they come out of order a full block is halved; a sweep over all blocks, sixteen times in `linger`,
// fills the gaps again. There is no entry for each deadline: a block goes when its newest note is over, so a note is
// remembered for its time and seldom much longer. Each kind has a time of its own to be kept: linger; `o` 35 days
// (trace/policy.h). The payloads are told in store/codec.h.
//
// Taken for the same: deliveries whose 128 bits of GUID and body agree and whose GUIDs hold the same millisecond. Among
// 10^9 remembered deliveries the odds that a new one meets a false match are below 10^-29; with one GUID on two
// bodies (that happens, github/docs#32822) they are 2^-64, since the sender does not choose both. The body's digest is
// no defence: whoever can make it up holds the secret already. Of what went out, the id and 64 bits of the trace ID agree
// (of `o`, 32 bits: they tell the attempts of one run apart).
//
// A new kind of note, or more bytes in one, is a new letter with a line in the table of notes.c, and another layout of
// notes (store/versions.h); old letters stay.
// When room is short (80 % of the map), notes are shed before anything is refused: deliveries, the oldest first, then
// those of jobs and runs, down to a 32nd of the map. History goes before them (75 %).
//
// A record lives until it is neither in the outbox, nor dead, nor younger than `history`.
//
// What a crash can leave behind: nothing between two commits. LMDB writes pages beside the old ones
// and switches by one synced meta page, so a reader after kill -9 or a power cut sees the last
// commit that was answered, or one newer; never a part of one. An environment is created with its
// folder synced before the first answer.
//
// One process writes: `lock` in the folder is held with flock by the daemon. Tools may read while it
// runs (LMDB readers), in short transactions.
//
// Before the daemon maps the file it looks at its pages (their shape, not their meaning), so that a damaged or
// foreign one is refused with words. A page that the disk refuses later ends the process with status 1.
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
    STORE_DAEMON, // creates the folder if need be, takes the lock, writes
    STORE_TOOL,   // must be a store; reads, and writes small things beside a running daemon
    STORE_READER, // must exist; reads, creates no file and changes none but LMDB's table of readers
};

// ERROR_BUSY: another daemon holds the folder. ERROR_VERSION: a format that is not ours.
// ERROR_NOT_FOUND: a tool or a reader found no store, and left the folder as it is. ERROR_IO, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code store_open(const char *folder, enum store_mode mode, uint64_t max_size_bytes,
                           struct store **store, struct error *error) MUST_CHECK;
// Could a daemon of this user open, or make, a store in this folder? Looks only, at the folder and its rights. As
// store_open() would refuse it; what is in the file is not looked at.
enum error_code store_check_folder(const char *folder, struct error *error) MUST_CHECK;
void store_close(struct store *store);
// May there be states of other servers under the keys that github.com's have? Versions before there was a server in the
// keys stored them so. False for good in a store that a version made which has it.
bool store_has_old_keys(const struct store *store);
// A reader that was killed leaves a slot behind which pins pages. From any thread; cheap, once a minute.
enum error_code store_release_dead_readers(struct store *store, struct error *error) MUST_CHECK;

// One write transaction at a time, of the thread that began it. A read transaction is a snapshot
// that pins pages: never hold it while waiting for anything.
// ERROR_FULL: the map or the disk is full, or the reader table is. ERROR_IO, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code store_begin(struct store *store, bool is_write,
                            struct store_transaction **transaction, struct error *error) MUST_CHECK;
// Commits and syncs; on failure nothing of the transaction has happened. Ends the transaction
// either way.
enum error_code store_commit(struct store_transaction *transaction, struct error *error) MUST_CHECK;
void store_abort(struct store_transaction *transaction);

// Slices that come out of the functions below are valid until the next write in, or the end of, the
// transaction. ERROR_NOT_FOUND is returned without a message: it is an answer, not a failure.
// After any other error the transaction must be aborted.

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
// The key right after `key`, to go on seeking from.
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
    STORE_NOTE_KINDS,
};
// Bytes of the payloads: store/codec.h.
#define STORE_JOB_NOTE_SIZE 14
#define STORE_WAITED_JOB_NOTE_SIZE 24
#define STORE_RUN_NOTE_SIZE 50
#define STORE_OLD_RUN_NOTE_SIZE 1
#define STORE_NOTE_SIZE_MAX 50
#define STORE_OLD_DIGEST_SIZE 16

// What a delivery is known by.
struct store_delivery {
    timestamp_ns guid_time;                    // inside the GUID; TIMESTAMP_UNKNOWN: there is none
    uint8_t guid[8];                           // digest of the GUID
    uint8_t body[8];                           // digest of the body
    uint8_t old_digest[STORE_OLD_DIGEST_SIZE]; // as format version 1 had it
};
// Was this delivery remembered? If not, remembers it. `linger`: how long an untimed one is to be kept.
enum error_code store_remember_delivery(struct store_transaction *transaction,
                                        const struct store_delivery *delivery, timestamp_ns now,
                                        duration_ns linger, bool *is_duplicate,
                                        struct error *error) MUST_CHECK;
// Was any delivery with this GUID remembered, whatever its body? In write transactions. Not of what version 1 wrote.
enum error_code store_knows_guid(struct store_transaction *transaction,
                                 const struct store_delivery *delivery, bool *is_known,
                                 struct error *error) MUST_CHECK;
// The latest time in a GUID that is remembered, by the sender's clock; TIMESTAMP_UNKNOWN: none is.
enum error_code store_last_delivery(struct store_transaction *transaction, timestamp_ns *time,
                                    struct error *error) MUST_CHECK;
// When the oldest delivery that is still remembered came, to the second. TIMESTAMP_UNKNOWN: there is none.
enum error_code store_oldest_delivery(struct store_transaction *transaction, timestamp_ns *oldest,
                                      struct error *error) MUST_CHECK;

// Spans of a job, or the root of a run, went out. In write transactions. `kind`: none of a delivery; `payload` has the
// size of its kind. A note that is there already gets the new payload.
enum error_code store_put_note(struct store_transaction *transaction, enum store_note kind,
                               const struct store_key *key, const uint8_t *payload,
                               timestamp_ns now, struct error *error) MUST_CHECK;
// In any transaction. A reader takes a block of notes that is damaged for one without notes, and counts it as unreadable.
enum error_code store_find_note(struct store_transaction *transaction, enum store_note kind,
                                const struct store_key *key, bool *is_found, uint8_t *payload,
                                struct error *error) MUST_CHECK;

// Forgets what is older than its kind is kept, looking at up to `max` blocks. `*is_more`: that was not enough.
enum error_code store_forget_notes(struct store_transaction *transaction, timestamp_ns now,
                                   const duration_ns keep[STORE_NOTE_KINDS], size_t max,
                                   bool *is_more, struct error *error) MUST_CHECK;
// The same of what format version 1 wrote; up to `max` deliveries, `*forgotten` of them.
enum error_code store_forget_old_deliveries(struct store_transaction *transaction, timestamp_ns now,
                                            duration_ns linger, size_t max, size_t *forgotten,
                                            struct error *error) MUST_CHECK;
// Should notes make room?
bool store_must_shed(struct store_transaction *transaction);
// Forgets up to `max` blocks of notes before their time, the oldest first; `*shed` counts the notes.
enum error_code store_shed_notes(struct store_transaction *transaction, size_t max, uint64_t *shed,
                                 struct error *error) MUST_CHECK;
enum error_code store_shed_old_deliveries(struct store_transaction *transaction, size_t max,
                                          size_t *shed, struct error *error) MUST_CHECK;
// Adds to what was shed, which is kept.
struct store_sheds {
    uint64_t total; // since the store was made
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
    struct slice body; // one ResourceSpans element, framed
};

// Stores a record, puts it in the history, and in the outbox if `to_outbox`.
enum error_code store_add_record(struct store_transaction *transaction, const struct store_key *key,
                                 timestamp_ns finished_at, struct slice body, bool to_outbox,
                                 uint64_t *sequence, struct error *error) MUST_CHECK;
enum error_code store_get_record(struct store_transaction *transaction, uint64_t sequence,
                                 struct store_record *record, struct error *error) MUST_CHECK;
// The first outbox entry with a sequence >= `*sequence`; sets `*sequence`. `*size`: bytes of its body.
enum error_code store_seek_outbox(struct store_transaction *transaction, uint64_t *sequence,
                                  uint32_t *size, struct error *error) MUST_CHECK;
// Was sent: out of the outbox. Absent ones are no error.
enum error_code store_settle_record(struct store_transaction *transaction, uint64_t sequence,
                                    struct error *error) MUST_CHECK;
// Was refused: from the outbox to the dead letters.
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
// Notes that a record of the outbox was refused alone; the note goes when the record leaves the outbox. Does nothing
// when it is not in the outbox. A second note replaces the reason and keeps the time.
enum error_code store_quarantine_record(struct store_transaction *transaction, uint64_t sequence,
                                        timestamp_ns now, struct slice reason,
                                        struct error *error) MUST_CHECK;
struct store_quarantined {
    uint64_t sequence;
    uint32_t size;      // of the record's body, in bytes
    timestamp_ns since; // by the wall clock
    struct slice reason;
};
// The first note with a sequence >= `*sequence`; sets `*sequence`.
enum error_code store_seek_quarantined(struct store_transaction *transaction, uint64_t *sequence,
                                       struct store_quarantined *quarantined,
                                       struct error *error) MUST_CHECK;
// Dead letters with a sequence >= `*sequence` back into the outbox, the oldest first, at most `max`, while the outbox
// holds at most `outbox_max` bytes with them (0: no limit). `*sequence` becomes where to go on; `*count` says how many
// went, `*is_full` whether one did not go for want of room. A letter whose record is gone is dropped.
enum error_code store_requeue_dead_letters(struct store_transaction *transaction,
                                           uint64_t *sequence, size_t max, uint64_t outbox_max,
                                           size_t *count, bool *is_full,
                                           struct error *error) MUST_CHECK;
// Bytes of the dead letters' records, with what the transaction did so far. Too small for a moment where an older
// version wrote the store: store_shed_dead_letters() counts then.
uint64_t store_dead_letter_bytes(struct store_transaction *transaction);

// Why a dead letter was dropped. The names are those of /metrics and /api/status.
#define STORE_SHED_LIST(ROW)                                                                       \
    ROW(STORE_SHED_AGE, "age")   /* buried longer ago than is allowed */                           \
    ROW(STORE_SHED_SIZE, "size") /* all of them together were larger than is allowed */            \
    ROW(STORE_SHED_ROOM, "room") /* the store was about to refuse deliveries */
enum store_shed_reason { STORE_SHED_LIST(LIST_ENUMERATOR) STORE_SHED_REASONS };
extern const char *const store_shed_names[STORE_SHED_REASONS];
struct store_shed_limits {
    uint64_t bytes_max;  // of all records together; 0: no limit
    duration_ns age_max; // 0: no limit
    bool may_judge_age;  // false: the clock is not believed at present
    bool for_room;       // drop them, whatever the other limits say, while store_is_short()
    timestamp_ns
        before; // their records that finished before this leave with them, others stay for the history
    size_t max; // letters to look at in this call
};
// Drops dead letters beyond the limits, the oldest record first. Counts them first where an older version wrote the
// store. A letter that was buried in the future gets the time `now`: the clock was set back. `*has_more`: call again.
enum error_code store_shed_dead_letters(struct store_transaction *transaction,
                                        const struct store_shed_limits *limits, timestamp_ns now,
                                        uint64_t dropped[STORE_SHED_REASONS], bool *has_more,
                                        struct error *error) MUST_CHECK;
// The newest finished record at or after `*key` in the history; sets `*key`.
enum error_code store_seek_history(struct store_transaction *transaction, struct store_key *key,
                                   uint64_t *sequence, struct error *error) MUST_CHECK;
// The same for this key alone. ERROR_NOT_FOUND: it has no record in the history.
enum error_code store_newest_record(struct store_transaction *transaction,
                                    const struct store_key *key, uint64_t *sequence,
                                    struct error *error) MUST_CHECK;
// Gives all records that the history has of one trace to another, which has none.
enum error_code store_move_records(struct store_transaction *transaction,
                                   const struct trace_id *from, const struct trace_id *to,
                                   struct error *error) MUST_CHECK;
// Drops up to `max` records that finished before `before` and are neither in the outbox nor dead.
enum error_code store_expire_records(struct store_transaction *transaction, timestamp_ns before,
                                     size_t max, size_t *dropped, struct error *error) MUST_CHECK;

// --- what was set aside ---
//
// One entry that is damaged, or too large to be written, must not stop the rest: it leaves its database and is kept
// beside it for people to look at. The functions above do so by themselves with keys and values of lengths that their
// database does not have; what an entry means is the business of the one who reads it, who calls these. In write
// transactions. `reason`: one line.
#define STORE_SET_ASIDE_MAX 1000

enum error_code store_set_span_aside(struct store_transaction *transaction,
                                     const struct store_key *key, struct slice reason,
                                     struct error *error) MUST_CHECK;
// A record that could not be made: there are no bytes to keep.
enum error_code store_set_record_aside(struct store_transaction *transaction,
                                       const struct store_key *key, struct slice reason,
                                       struct error *error) MUST_CHECK;

// What this transaction has set aside.
struct store_set_aside_note {
    uint64_t count;
    struct slice database; // of the last one; static
    char reason[160];      // likewise
};
const struct store_set_aside_note *
store_noted_set_aside(const struct store_transaction *transaction);

struct store_set_aside {
    uint64_t number; // rises
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
    uint64_t count;   // since the store was made
    uint64_t dropped; // of these: for want of room
};
enum error_code store_read_set_aside_totals(struct store_transaction *transaction,
                                            struct store_set_aside_totals *totals,
                                            struct error *error) MUST_CHECK;

// Readers leave out what they cannot read, and count it here.
void store_note_unreadable(struct store_transaction *transaction);
uint64_t store_unreadable(const struct store_transaction *transaction);
// By all transactions of the process, each time that an entry was met. From any thread.
uint64_t store_unreadable_ever(struct store *store);

// Bytes of the records in the outbox, with what the transaction did so far.
uint64_t store_outbox_bytes(const struct store_transaction *transaction);
// Writes something small, to learn whether writing works again.
enum error_code store_probe(struct store_transaction *transaction, timestamp_ns now,
                            struct error *error) MUST_CHECK;

struct store_usage {
    uint64_t outbox_records;
    uint64_t outbox_bytes;
    uint64_t dead_letters;
    uint64_t dead_letter_bytes; // of their records
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
// ERROR_FULL, saying what fills it, when 90 % of the map are in use, with what the transaction did so far, and from then
// on until less than 85 % are: the rest is kept for deleting, which needs pages too. In write transactions.
enum error_code store_check_room(struct store_transaction *transaction,
                                 struct error *error) MUST_CHECK;
// Are 75 % in use? Then finished traces should leave before `history` is over.
bool store_is_tight(struct store_transaction *transaction);
// Are 80 % in use? Then nothing should be kept that a note can stand for.
bool store_keeps_only_notes(struct store_transaction *transaction);
// Are 85 % in use? Then dead letters should leave, too, before deliveries are refused.
bool store_is_short(struct store_transaction *transaction);
// Is every record that finished before the time that store_expire_records() was last given gone, but for those that
// must stay? False also while that is not known yet.
bool store_has_expired_all(const struct store_transaction *transaction);
void store_read_usage(struct store_transaction *transaction, struct store_usage *usage);

#endif
