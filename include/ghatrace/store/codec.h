// Encodes states as the bytes in the store's `spans` database, and decodes them.
//
// One byte 'J' (job) or 'R' (run), one byte layout (store/versions.h), then the fields of the struct in the order of
// codec.c: integers as zigzag varints (LEB128), texts and lists prefixed with their length, digests of versions as 8
// bytes. A note of something closed takes about 40 bytes.
//
// Layout 1 has no server field: the server is the host of the repository's URL. Notes of that layout have no
// repository, so they match any server.
#ifndef GHATRACE_STORE_CODEC_H
#define GHATRACE_STORE_CODEC_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/store/versions.h"
#include "ghatrace/trace/state.h"

// The kind of a stored state is its first byte. Code that must handle each kind of state switches over it
// (`scripts/places codec_kind` lists these places); code for some kinds asks codec_is() for each of them, and leaves
// alone the states of others.
enum codec_kind {
    CODEC_UNKNOWN = 0,
    CODEC_JOB = STORE_JOB_LETTER,
    CODEC_RUN = STORE_RUN_LETTER,
};

// Appends to `out`, in the newest layout. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code codec_encode_job(const struct job_state *state, struct buffer *out) MUST_CHECK;
enum error_code codec_encode_run(const struct run_state *state, struct buffer *out) MUST_CHECK;
// In the given layout, without the fields that it lacks. For tests of the decoder.
enum error_code codec_encode_job_as(const struct job_state *state, uint8_t layout,
                                    struct buffer *out) MUST_CHECK;
enum error_code codec_encode_run_as(const struct run_state *state, uint8_t layout,
                                    struct buffer *out) MUST_CHECK;

// CODEC_UNKNOWN: a kind that does not exist in this version.
enum codec_kind codec_kind_of(struct slice bytes);
bool codec_is(struct slice bytes, enum codec_kind kind);
// Sets the error for CODEC_UNKNOWN. ERROR_CORRUPT.
enum error_code codec_refuse_unknown(struct error *error);

// Texts point into `bytes`, lists into the arena. ERROR_MEMORY; ERROR_CORRUPT: damaged or, with another message, of
// an unknown layout.
enum error_code codec_decode_job(struct slice bytes, struct arena *arena, struct job_state *state,
                                 struct error *error) MUST_CHECK;
enum error_code codec_decode_run(struct slice bytes, struct arena *arena, struct run_state *state,
                                 struct error *error) MUST_CHECK;

// Notes: what is kept of runs and jobs whose spans were sent. Ids are in the key. A digest is the first five bytes of
// a version's digest, which are all that are used (STATE_DIGEST_MASK).
//
//   run         one byte of flags (1: completed) ‖ one byte `seen` ‖ be64 time and digest of the winning `completed` ‖
//               be64 start of the run ‖ be64 start of its first job ‖ be64 end of its last job ‖ be32 seconds, receipt
//               of its first `completed` ‖ be24 jobs that were closed, at most ‖ be32 digest of its root
//   old run     one byte of flags (1: its root was complete)
//   job         one byte of flags (1: there is a note `waited job`, too; 2: and an `assigned job`) ‖ be64 time and digest
//               of the winning `completed`
//   waited job  be64 since when it was queued (created, or queued) ‖ be64 last queued ‖ be64 last waiting: of jobs that
//               waited for an approval, and of those whose `completed` has no creation time
//   assigned    be64 when ARC assigned the job, where that is known
void codec_encode_run_note(const struct run_state *state, uint8_t bytes[STORE_RUN_NOTE_SIZE]);
void codec_decode_run_note(const uint8_t bytes[STORE_RUN_NOTE_SIZE], struct run_state *state);
void codec_encode_old_run_note(const struct run_state *state,
                               uint8_t bytes[STORE_OLD_RUN_NOTE_SIZE]);
void codec_decode_old_run_note(const uint8_t bytes[STORE_OLD_RUN_NOTE_SIZE],
                               struct run_state *state);
// `*has_waited`: there is a `waited job` note, too.
void codec_encode_job_note(const struct job_state *state, uint8_t bytes[STORE_JOB_NOTE_SIZE],
                           bool *has_waited);
void codec_decode_job_note(const uint8_t bytes[STORE_JOB_NOTE_SIZE], struct job_state *state,
                           bool *has_waited);
void codec_encode_waited_job_note(const struct job_state *state,
                                  uint8_t bytes[STORE_WAITED_JOB_NOTE_SIZE]);
// Adds the contents of this note to those of the job's note.
void codec_decode_waited_job_note(const uint8_t bytes[STORE_WAITED_JOB_NOTE_SIZE],
                                  struct job_state *state);

// True if there is an `assigned job` note, too. The notes of a job are decoded in this order, each adds its contents.
bool codec_job_note_is_assigned(const uint8_t bytes[STORE_JOB_NOTE_SIZE]);
void codec_encode_assigned_job_note(const struct job_state *state,
                                    uint8_t bytes[STORE_ASSIGNED_JOB_NOTE_SIZE]);
void codec_decode_assigned_job_note(const uint8_t bytes[STORE_ASSIGNED_JOB_NOTE_SIZE],
                                    struct job_state *state);

#endif
