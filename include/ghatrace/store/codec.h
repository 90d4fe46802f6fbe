// States ↔ the bytes that the store's `spans` database holds.
//
// Layout: one byte 'J' (job) or 'R' (run), one byte layout version (1), then the fields of the struct
// in the order of codec.c: integers as zigzag varints (LEB128), texts and lists with their length in
// front, versions' digests as 8 bytes. A note of something closed is some 40 bytes.
#ifndef GHATRACE_STORE_CODEC_H
#define GHATRACE_STORE_CODEC_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/trace/state.h"

enum codec_kind { CODEC_JOB = 'J', CODEC_RUN = 'R' };

// Appends to `out`. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code codec_encode_job(const struct job_state *state, struct buffer *out) MUST_CHECK;
enum error_code codec_encode_run(const struct run_state *state, struct buffer *out) MUST_CHECK;

// What do these bytes hold? False: neither.
bool codec_kind_of(struct slice bytes, enum codec_kind *kind);

// Texts point into `bytes`, lists into the arena. ERROR_CORRUPT, ERROR_MEMORY.
enum error_code codec_decode_job(struct slice bytes, struct arena *arena, struct job_state *state,
                                 struct error *error) MUST_CHECK;
enum error_code codec_decode_run(struct slice bytes, struct arena *arena, struct run_state *state,
                                 struct error *error) MUST_CHECK;

#endif
