// Deterministic trace and span IDs, and ids of commits.
#include "ghatrace/trace/ids.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/slice.h"

// Longer names are truncated before they are hashed: far above the 4 KiB that are exported, and it keeps the texts on
// the stack.
#define NAME_BYTES_MAX 8192
#define TEXT_BYTES_MAX (2 * NAME_BYTES_MAX + 128)

// The bytes of a hash that an ID consists of.
struct hash_part {
    enum { HASH_MD5, HASH_SHA256 } hash;
    size_t offset, len;
};

static const struct hash_part trace_of_md5 = {HASH_MD5, 0, TRACE_ID_SIZE};
static const struct hash_part trace_of_sha256 = {HASH_SHA256, 0, TRACE_ID_SIZE};
static const struct hash_part span_of_md5 = {HASH_MD5, 0, SPAN_ID_SIZE};
static const struct hash_part span_of_sha256 = {HASH_SHA256, 0, SPAN_ID_SIZE};
static const struct hash_part second_span_of_sha256 = {HASH_SHA256, SPAN_ID_SIZE, SPAN_ID_SIZE};

static int name_length(struct slice name)
{
    return (int)(name.len < NAME_BYTES_MAX ? name.len : NAME_BYTES_MAX);
}

// The part of the hash of a formatted text.
static void hash_text(const struct hash_part *part, uint8_t *out, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

static void hash_text(const struct hash_part *part, uint8_t *out, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    uint8_t digest[SHA256_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct slice data = {.data = text, .len = length > 0 ? (size_t)length : 0};
    if (data.len >= sizeof text)
        data.len = sizeof text - 1;
    if (part->hash == HASH_MD5)
        digest_md5(data, digest);
    else
        digest_sha256(data, digest);
    memcpy(out, digest + part->offset, part->len);
}

static int64_t attempt_or_first(int64_t run_attempt)
{
    return run_attempt > 0 ? run_attempt : 1;
}

static struct span_id big_endian(int64_t number)
{
    struct span_id id;
    uint64_t bits = (uint64_t)number;
    for (int i = SPAN_ID_SIZE - 1; i >= 0; i--) {
        id.bytes[i] = (uint8_t)bits;
        bits >>= 8;
    }
    return id;
}

static const char *id_scheme_text(enum id_scheme scheme);

bool id_scheme_from_text(struct slice text, enum id_scheme *scheme)
{
    static const enum id_scheme all[] = {ID_SCHEME_ARC, ID_SCHEME_COLLECTOR, ID_SCHEME_RUNNER};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (slice_equals(text, slice_from_string(id_scheme_text(all[i])))) {
            *scheme = all[i];
            return true;
        }
    }
    return false;
}

static const char *id_scheme_text(enum id_scheme scheme)
{
    switch (scheme) {
    case ID_SCHEME_COLLECTOR:
        return "collector";
    case ID_SCHEME_RUNNER:
        return "runner";
    case ID_SCHEME_ARC:
        break;
    }
    return "arc";
}

struct trace_id trace_id_of_run(enum id_scheme scheme, int64_t run_id, int64_t run_attempt)
{
    struct trace_id id;
    int64_t attempt = attempt_or_first(run_attempt);
    switch (scheme) {
    case ID_SCHEME_COLLECTOR:
        hash_text(&trace_of_sha256, id.bytes, "%" PRId64 "%" PRId64 "t", run_id, attempt);
        break;
    case ID_SCHEME_RUNNER:
        hash_text(&trace_of_sha256, id.bytes, "%" PRId64 "-%" PRId64, run_id, attempt);
        break;
    case ID_SCHEME_ARC:
        hash_text(&trace_of_md5, id.bytes, "%" PRId64 "-%" PRId64, run_id, attempt);
        break;
    }
    return id;
}

struct span_id span_id_of_run(enum id_scheme scheme, int64_t run_id, int64_t run_attempt)
{
    struct span_id id;
    if (scheme != ID_SCHEME_COLLECTOR)
        return big_endian(run_id);
    hash_text(&second_span_of_sha256, id.bytes, "%" PRId64 "%" PRId64 "s", run_id,
              attempt_or_first(run_attempt));
    return id;
}

bool trace_id_equals(const struct trace_id *a, const struct trace_id *b)
{
    return memcmp(a->bytes, b->bytes, TRACE_ID_SIZE) == 0;
}

struct stored_run stored_run_of(struct slice server, int64_t run_id, int64_t run_attempt)
{
    struct stored_run run = {.run_id = run_id, .run_attempt = run_attempt};
    if (server.len == 0)
        run.trace = trace_id_of_run(ID_SCHEME_ARC, run_id, run_attempt);
    else
        hash_text(&trace_of_sha256, run.trace.bytes, "server-%.*s-%" PRId64 "-%" PRId64,
                  name_length(server), server.data, run_id, attempt_or_first(run_attempt));
    return run;
}

bool stored_run_is_usual(const struct stored_run *run)
{
    struct trace_id usual = trace_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt);
    return trace_id_equals(&run->trace, &usual);
}

#define NO_ID_HAS 0x80 // ids are positive

struct span_id stored_span_of_job(int64_t run_id, int64_t job_id)
{
    struct span_id id = big_endian(job_id);
    if (job_id == run_id)
        id.bytes[0] |= NO_ID_HAS;
    return id;
}

struct span_id stored_span_of_part(const struct span_id *stored_job, uint64_t part)
{
    struct span_id id;
    char hex[2 * SPAN_ID_SIZE + 1];
    hex_encode(stored_job->bytes, SPAN_ID_SIZE, hex);
    hash_text(&span_of_sha256, id.bytes, "part-%s-%" PRIu64, hex, part);
    id.bytes[0] |= NO_ID_HAS;
    return id;
}

struct span_id span_id_of_job(enum id_scheme scheme, const struct job_key *job)
{
    struct span_id id;
    switch (scheme) {
    case ID_SCHEME_COLLECTOR:
        hash_text(&second_span_of_sha256, id.bytes, "%" PRId64 "-j", job->job_id);
        return id;
    case ID_SCHEME_RUNNER:
        hash_text(&span_of_sha256, id.bytes, "job-%" PRId64 "-%" PRId64 "-%.*s", job->run_id,
                  attempt_or_first(job->run_attempt), name_length(job->job_name),
                  job->job_name.data != NULL ? job->job_name.data : "");
        return id;
    case ID_SCHEME_ARC:
        break;
    }
    return big_endian(job->job_id);
}

struct span_id span_id_of_phase(enum id_scheme scheme, const struct job_key *job,
                                struct slice span_name)
{
    struct span_id id;
    if (scheme == ID_SCHEME_COLLECTOR && slice_equals(span_name, SLICE("runner.queue"))) {
        hash_text(&second_span_of_sha256, id.bytes, "%" PRId64 "-q", job->job_id);
        return id;
    }
    struct span_id job_span = span_id_of_job(scheme, job);
    char hex[2 * SPAN_ID_SIZE + 1];
    hex_encode(job_span.bytes, SPAN_ID_SIZE, hex);
    hash_text(&span_of_md5, id.bytes, "%.*s-%s", SLICE_ARGS(span_name), hex);
    return id;
}

struct span_id span_id_of_step(enum id_scheme scheme, const struct job_key *job,
                               struct slice step_name, int64_t step_number, bool is_repeat)
{
    struct span_id id;
    int len = name_length(step_name);
    if (scheme == ID_SCHEME_RUNNER) {
        hash_text(&span_of_sha256, id.bytes, "step-%" PRId64 "-%" PRId64 "-%.*s-%" PRId64 "-%.*s",
                  job->run_id, attempt_or_first(job->run_attempt), name_length(job->job_name),
                  job->job_name.data != NULL ? job->job_name.data : "", step_number, len,
                  step_name.data != NULL ? step_name.data : "");
        return id;
    }
    bool is_collector = scheme == ID_SCHEME_COLLECTOR;
    const struct hash_part *part = is_collector ? &second_span_of_sha256 : &span_of_md5;
    const char *suffix = is_collector ? "-s" : "";
    if (is_repeat)
        hash_text(part, id.bytes, "%" PRId64 "-%.*s-%" PRId64 "%s", job->job_id, len,
                  step_name.data, step_number, suffix);
    else
        hash_text(part, id.bytes, "%" PRId64 "-%.*s%s", job->job_id, len, step_name.data, suffix);
    return id;
}

// --- commits -------------------------------------------------------------------------------------

struct commit_id commit_id_of(struct slice text)
{
    struct commit_id id = {.size = (uint8_t)(text.len / 2)};
    bool is_full =
        text.len == 2 * COMMIT_ID_SHA1_SIZE || text.len == 2 * (size_t)COMMIT_ID_SHA256_SIZE;
    if (!is_full || !hex_decode(text.data, text.len, id.bytes, id.size))
        return (struct commit_id){.size = 0};
    return id;
}

bool commit_id_equals(const struct commit_id *a, const struct commit_id *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

const char *commit_id_text(const struct commit_id *id, char text[COMMIT_ID_TEXT_SIZE])
{
    hex_encode(id->bytes, id->size, text);
    return text;
}

bool commit_prefix_parse(struct slice text, struct commit_prefix *prefix)
{
    *prefix = (struct commit_prefix){.digits = text.len};
    if (text.len < COMMIT_PREFIX_MIN || text.len > 2 * sizeof prefix->bytes)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_digit_value(text.data[i]);
        if (digit < 0)
            return false;
        prefix->bytes[i / 2] |= (uint8_t)(i % 2 == 0 ? digit << 4 : digit);
    }
    return true;
}

bool commit_prefix_has(const struct commit_prefix *prefix, const struct commit_id *id)
{
    size_t whole = prefix->digits / 2;
    if (prefix->digits > 2 * (size_t)id->size || memcmp(prefix->bytes, id->bytes, whole) != 0)
        return false;
    return prefix->digits % 2 == 0 || prefix->bytes[whole] == (id->bytes[whole] & 0xf0);
}
