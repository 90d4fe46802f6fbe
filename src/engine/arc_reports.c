// Statements of ARC about jobs (trace/arc_report.h): finds the job of each, holds those whose job is not known yet, and
// forgets them in time.
//
// A report names its job by a number, or by run, name and runner, or, if even the run is unknown, by runner and time. So
// the jobs that have a runner are listed by its name (table arc_jobs). Which job a report is about must not depend on
// the order in which reports and deliveries arrive: except by its number, a job is chosen only when it is completed,
// since it is known only then whether its time fits; until then the report is held. Hence reports that are held are
// matched before a job's event is applied, so that the phases are sent once, and those that are left after it.
// Exception: a report that fits a completed job is held, too, while another owner's runner of the same name runs a job
// that might fit; it may be late by then.
//
// Reports may be many: for each, a bounded number of jobs and of held reports is read.
#include "ghatrace/base/digest.h"
#include "ghatrace/github/server.h"
#include "ghatrace/store/table.h"
#include "private.h"

// Jobs of one runner that are read for a report, those with the highest ids. ARC's runners run one job each.
#define LOOKED_AT_MAX 16
// Reports held for one runner, and for all of them; jobs that are listed after they were closed, so that a report is
// counted as late. The oldest are dropped first.
#define HELD_OF_RUNNER_MAX 16
#define ENTRIES_MAX 65536
// In a small store less: so that either takes this share of it at most.
#define SHARE_OF_STORE 64
#define BYTES_OF_ENTRY 256 // with its entry by age, and half-empty pages
// GitHub's times are truncated to seconds.
#define TRUNCATED NS_PER_SECOND
// A time of assignment that is further ahead of the receipt is wrong.
#define AHEAD_MAX NS_PER_DAY

#define HASH_SIZE 8
#define DIGEST_SIZE 16
#define JOB_PREFIX_SIZE (HASH_SIZE + 8) // up to the trace
#define HELD_KEY_SIZE (HASH_SIZE + DIGEST_SIZE)
#define AGE_SIZE 8
#define AGE_KEY_SIZE_MAX (AGE_SIZE + ARC_JOB_KEY_SIZE)
// Of the values of both tables: be64 each, after a byte with the layout; the server follows. Raise the layout to change
// them, and read the one before until it has expired.
#define LAYOUT 1
#define JOB_FIELDS 9
#define HELD_FIELDS 8
#define VALUE_SIZE_MAX (1 + JOB_FIELDS * 8 + GITHUB_SERVER_MAX)

_Static_assert(JOB_PREFIX_SIZE + TRACE_ID_SIZE == ARC_JOB_KEY_SIZE, "the key of arc_jobs");
_Static_assert(HELD_KEY_SIZE <= ARC_JOB_KEY_SIZE, "the longest key that is listed by age");

// A job as it is listed. `repository` and `name` are hashes; 0: unknown.
#define ENDED_SOMETIME INT64_MAX
struct listed_job {
    struct trace_id trace;
    int64_t run_id, run_attempt, job_id, runner_id;
    uint64_t repository, name;
    timestamp_ns created_at, started_at;
    // TIMESTAMP_UNKNOWN: it is not completed; ENDED_SOMETIME: it is, the time is unknown
    timestamp_ns ended_at;
    timestamp_ns closed_at; // TIMESTAMP_UNKNOWN: it has a state
    struct slice server;
};

// A report as it is stored; hashes likewise.
struct stored_report {
    uint64_t runner, repository, name;
    int64_t run_id, job_id;
    timestamp_ns assigned_at, start, end;
    timestamp_ns received_at;
    struct slice server;
};

struct held_report {
    uint8_t key[HELD_KEY_SIZE];
    struct stored_report report;
};

// --- hashes, keys, values -----------------------------------------------------------------------------

// 0 only for an empty text.
static uint64_t hash_of(struct slice text)
{
    uint8_t digest[SHA256_SIZE];
    if (text.len == 0)
        return 0;
    digest_sha256(text, digest);
    uint64_t hash = get_be64(digest);
    return hash != 0 ? hash : 1;
}

// GitHub ignores the case of names of owners and repositories, which have less than 150 bytes.
static uint64_t hash_of_repository(struct slice name)
{
    char lower[256];
    size_t len = name.len < sizeof lower ? name.len : sizeof lower;
    for (size_t i = 0; i < len; i++) {
        char c = name.data[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    return hash_of((struct slice){lower, len});
}

static struct slice put_arc_job_key(uint8_t key[ARC_JOB_KEY_SIZE], uint64_t runner, int64_t job_id,
                                    const struct trace_id *trace)
{
    put_be64(key, runner);
    put_be64(key + HASH_SIZE, (uint64_t)job_id);
    memcpy(key + JOB_PREFIX_SIZE, trace->bytes, TRACE_ID_SIZE);
    return slice_of_bytes(key, ARC_JOB_KEY_SIZE);
}

static struct slice put_fields(uint8_t value[VALUE_SIZE_MAX], const uint64_t *fields, size_t count,
                               struct slice server)
{
    size_t len = server.len < GITHUB_SERVER_MAX ? server.len : GITHUB_SERVER_MAX;
    value[0] = LAYOUT;
    for (size_t i = 0; i < count; i++)
        put_be64(value + 1 + 8 * i, fields[i]);
    if (len > 0)
        memcpy(value + 1 + 8 * count, server.data, len);
    return slice_of_bytes(value, 1 + 8 * count + len);
}

// False: damaged, or of another layout.
static bool get_value(struct slice value, uint64_t *fields, size_t count, struct slice *server)
{
    size_t len = 1 + 8 * count;
    if (value.len < len || value.len > len + GITHUB_SERVER_MAX || value.data[0] != LAYOUT)
        return false;
    for (size_t i = 0; i < count; i++)
        fields[i] = get_be64(value.data + 1 + 8 * i);
    *server = slice_skip(value, len);
    return true;
}

static struct slice encode_listed_job(uint8_t value[VALUE_SIZE_MAX], const struct listed_job *job)
{
    const uint64_t fields[JOB_FIELDS] = {
        (uint64_t)job->run_id,
        (uint64_t)job->run_attempt,
        (uint64_t)job->runner_id,
        job->repository,
        job->name,
        (uint64_t)job->created_at,
        (uint64_t)job->started_at,
        (uint64_t)job->ended_at,
        (uint64_t)job->closed_at,
    };
    return put_fields(value, fields, JOB_FIELDS, job->server);
}

// `server` points into the entry.
static bool get_job(const struct store_entry *entry, struct listed_job *job)
{
    uint64_t fields[JOB_FIELDS];
    *job = (struct listed_job){.run_id = 0};
    if (entry->key.len != ARC_JOB_KEY_SIZE ||
        !get_value(entry->value, fields, JOB_FIELDS, &job->server))
        return false;
    job->job_id = (int64_t)get_be64(entry->key.data + HASH_SIZE);
    memcpy(job->trace.bytes, entry->key.data + JOB_PREFIX_SIZE, TRACE_ID_SIZE);
    job->run_id = (int64_t)fields[0];
    job->run_attempt = (int64_t)fields[1];
    job->runner_id = (int64_t)fields[2];
    job->repository = fields[3];
    job->name = fields[4];
    job->created_at = (timestamp_ns)fields[5];
    job->started_at = (timestamp_ns)fields[6];
    job->ended_at = (timestamp_ns)fields[7];
    job->closed_at = (timestamp_ns)fields[8];
    return true;
}

static struct slice put_report(uint8_t value[VALUE_SIZE_MAX], const struct stored_report *wanted)
{
    const uint64_t fields[HELD_FIELDS] = {
        (uint64_t)wanted->received_at, wanted->repository,    (uint64_t)wanted->run_id,
        (uint64_t)wanted->job_id,      wanted->name,          (uint64_t)wanted->assigned_at,
        (uint64_t)wanted->start,       (uint64_t)wanted->end,
    };
    return put_fields(value, fields, HELD_FIELDS, wanted->server);
}

static bool get_held(const struct store_entry *entry, struct held_report *held)
{
    uint64_t fields[HELD_FIELDS];
    struct stored_report *wanted = &held->report;
    if (entry->key.len != HELD_KEY_SIZE ||
        !get_value(entry->value, fields, HELD_FIELDS, &wanted->server))
        return false;
    memcpy(held->key, entry->key.data, HELD_KEY_SIZE);
    wanted->runner = get_be64(entry->key.data);
    wanted->received_at = (timestamp_ns)fields[0];
    wanted->repository = fields[1];
    wanted->run_id = (int64_t)fields[2];
    wanted->job_id = (int64_t)fields[3];
    wanted->name = fields[4];
    wanted->assigned_at = (timestamp_ns)fields[5];
    wanted->start = (timestamp_ns)fields[6];
    wanted->end = (timestamp_ns)fields[7];
    return true;
}

static enum error_code set_damaged_aside(struct engine_work *work, enum store_table table,
                                         struct slice key)
{
    return store_table_set_aside(work->transaction, table, key, SLICE("damaged"), &work->error);
}

static bool is_full(const struct engine_work *work, enum store_table table)
{
    uint64_t most = store_max_size(work->store) / SHARE_OF_STORE / BYTES_OF_ENTRY;
    most = most < ENTRIES_MAX ? most : ENTRIES_MAX;
    return store_table_count(work->transaction, table) >= most;
}

// An absent one is no error.
static enum error_code delete_if_present(struct engine_work *work, enum store_table table,
                                         struct slice key)
{
    enum error_code code = store_table_delete(work->transaction, table, key, &work->error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- entries that are deleted by their age ----------------------------------------------------------------

// A table whose entries are listed by their time in another one.
struct aged_table {
    enum store_table entries, by_age;
    size_t key_size;
};
static const struct aged_table closed_jobs = {STORE_TABLE_ARC_JOBS, STORE_TABLE_ARC_CLOSED,
                                              ARC_JOB_KEY_SIZE};
static const struct aged_table held_reports = {STORE_TABLE_ARC_HELD, STORE_TABLE_ARC_HELD_BY_AGE,
                                               HELD_KEY_SIZE};

static struct slice put_age_key(uint8_t bytes[AGE_KEY_SIZE_MAX], timestamp_ns at, struct slice key)
{
    put_be64(bytes, (uint64_t)at);
    memcpy(bytes + AGE_SIZE, key.data, key.len);
    return slice_of_bytes(bytes, AGE_SIZE + key.len);
}

static enum error_code put_aged(struct engine_work *work, const struct aged_table *table,
                                timestamp_ns at, const struct store_entry *entry)
{
    uint8_t age[AGE_KEY_SIZE_MAX];
    enum error_code code =
        store_table_put(work->transaction, table->entries, entry->key, entry->value, &work->error);
    return code == ERROR_NONE
               ? store_table_put(work->transaction, table->by_age, put_age_key(age, at, entry->key),
                                 SLICE_EMPTY, &work->error)
               : code;
}

static enum error_code delete_aged(struct engine_work *work, const struct aged_table *table,
                                   timestamp_ns at, struct slice key)
{
    uint8_t age[AGE_KEY_SIZE_MAX];
    enum error_code code = delete_if_present(work, table->by_age, put_age_key(age, at, key));
    return code == ERROR_NONE ? delete_if_present(work, table->entries, key) : code;
}

// Also true for a time that is damaged, or of a clock that was far ahead.
static bool is_outdated(const struct engine_work *work, timestamp_ns at, timestamp_ns before)
{
    return at < before || at > work->now + work->policy.linger;
}

// Deletes up to `max` entries from before `before`, the oldest first. INT64_MAX: of any time.
static enum error_code delete_aged_before(struct engine_work *work, const struct aged_table *table,
                                          timestamp_ns before, size_t max, size_t *deleted)
{
    *deleted = 0;
    while (*deleted < max && store_table_count(work->transaction, table->by_age) > 0) {
        struct store_entry oldest;
        uint8_t key[ARC_JOB_KEY_SIZE];
        enum error_code code =
            store_table_seek(work->transaction, table->by_age, SLICE_EMPTY, &oldest, &work->error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (oldest.key.len != AGE_SIZE + table->key_size) {
            code = set_damaged_aside(work, table->by_age, oldest.key);
        } else {
            timestamp_ns at = (timestamp_ns)get_be64(oldest.key.data);
            if (!is_outdated(work, at, before))
                return ERROR_NONE;
            memcpy(key, oldest.key.data + AGE_SIZE, table->key_size);
            code = delete_aged(work, table, at, slice_of_bytes(key, table->key_size));
            ++*deleted;
        }
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

// Held reports, which are counted.
static enum error_code drop_held_before(struct engine_work *work, timestamp_ns before, size_t max,
                                        enum arc_outcome why, size_t *dropped)
{
    enum error_code code = delete_aged_before(work, &held_reports, before, max, dropped);
    work->counted.arc_reports[why] += *dropped;
    return code;
}

// --- the list of jobs ------------------------------------------------------------------------------------

// A job that a re-run took over from an earlier attempt has the times and the runner of that one.
static bool is_carried_over(const struct job_state *job)
{
    struct job_timeline timeline;
    if (job->run_attempt <= 1)
        return false;
    timeline_of_job(job, true, TIMESTAMP_UNKNOWN, &timeline);
    return timeline.is_carried_over;
}

static bool is_completed(const struct job_state *job)
{
    return (job->seen & 1u << GITHUB_JOB_COMPLETED) != 0;
}

// Cancelled jobs may have an end before their start.
static timestamp_ns job_end_as_known(const struct job_state *job)
{
    const struct github_job *body = &job->body;
    if (!is_completed(job))
        return TIMESTAMP_UNKNOWN;
    bool is_known =
        body->completed_at != TIMESTAMP_UNKNOWN && body->completed_at >= body->started_at;
    return is_known ? body->completed_at : ENDED_SOMETIME;
}

struct arc_place arc_place_of_job(const struct engine_work *work, const struct job_state *job)
{
    bool has_state = job->phase != JOB_NEW && job->phase != JOB_CLOSED;
    if (!has_state || job->runner_name.len == 0 || (is_completed(job) && is_carried_over(job)))
        return (struct arc_place){.is_listed = false};
    return (struct arc_place){
        .is_listed = true,
        .is_expected = job_is_selected(&work->policy.arc_runners, job),
        .runner_id = job->runner_id,
        .runner_name = job->runner_name,
        .job_name = job->body.name,
        .repository = job->repository.full_name,
        .created_at = timestamp_first_known(job->created_at, job->queued_at),
        .started_at = job->body.started_at,
        .ended_at = job_end_as_known(job),
    };
}

static bool places_are_equal(const struct arc_place *a, const struct arc_place *b)
{
    return a->is_listed == b->is_listed && a->runner_id == b->runner_id &&
           slice_equals(a->runner_name, b->runner_name) && slice_equals(a->job_name, b->job_name) &&
           slice_equals(a->repository, b->repository) && a->created_at == b->created_at &&
           a->started_at == b->started_at && a->ended_at == b->ended_at;
}

static struct listed_job listed_job_of(const struct store_key *key, const struct job_state *job,
                                       const struct arc_place *place)
{
    return (struct listed_job){
        .trace = key->trace,
        .run_id = job->run_id,
        .run_attempt = job->run_attempt,
        .job_id = job->job_id,
        .runner_id = place->runner_id,
        .repository = hash_of_repository(place->repository),
        .name = hash_of(place->job_name),
        .created_at = place->created_at,
        .started_at = place->started_at,
        .ended_at = place->ended_at,
        .server = job->server,
    };
}

static enum error_code put_listed_job(struct engine_work *work, uint64_t runner,
                                      const struct listed_job *job)
{
    uint8_t key[ARC_JOB_KEY_SIZE];
    uint8_t value[VALUE_SIZE_MAX];
    return store_table_put(work->transaction, STORE_TABLE_ARC_JOBS,
                           put_arc_job_key(key, runner, job->job_id, &job->trace),
                           encode_listed_job(value, job), &work->error);
}

static enum error_code delete_listed_job(struct engine_work *work, const struct work_job *job)
{
    uint8_t key[ARC_JOB_KEY_SIZE];
    return delete_if_present(
        work, STORE_TABLE_ARC_JOBS,
        put_arc_job_key(key, hash_of(job->arc.runner_name), job->state.job_id, &job->key.trace));
}

// A job of the policy's arc_runners stays in the list, so that a late report is recognized.
static enum error_code close_listed_job(struct engine_work *work, const struct work_job *job,
                                        const struct arc_place *last)
{
    uint8_t key[ARC_JOB_KEY_SIZE], value[VALUE_SIZE_MAX];
    struct listed_job closed = listed_job_of(&job->key, &job->state, last);
    enum error_code code = ERROR_NONE;
    size_t dropped;
    closed.closed_at = work->now;
    if (is_full(work, STORE_TABLE_ARC_CLOSED))
        code = delete_aged_before(work, &closed_jobs, INT64_MAX, 1, &dropped);
    const struct store_entry entry = {
        put_arc_job_key(key, hash_of(last->runner_name), closed.job_id, &closed.trace),
        encode_listed_job(value, &closed)};
    return code == ERROR_NONE ? put_aged(work, &closed_jobs, closed.closed_at, &entry) : code;
}

static enum error_code list_arc_job(struct engine_work *work, struct work_job *job)
{
    const struct arc_place place = arc_place_of_job(work, &job->state);
    enum error_code code = ERROR_NONE;
    if (places_are_equal(&place, &job->arc))
        return ERROR_NONE;
    if (job->arc.is_listed &&
        (!place.is_listed || !slice_equals(place.runner_name, job->arc.runner_name)))
        code = delete_listed_job(work, job);
    job->arc = place;
    if (code != ERROR_NONE || !place.is_listed)
        return code;
    struct listed_job listed = listed_job_of(&job->key, &job->state, &place);
    return put_listed_job(work, hash_of(place.runner_name), &listed);
}

enum error_code work_list_job(struct engine_work *work, struct work_job *job)
{
    if (job->is_stored || !job->arc.is_listed)
        return list_arc_job(work, job);
    const struct arc_place *last = &job->arc_after;
    bool is_kept = last->is_listed && last->is_expected;
    enum error_code code = ERROR_NONE;
    if (!is_kept || !slice_equals(last->runner_name, job->arc.runner_name))
        code = delete_listed_job(work, job);
    if (code == ERROR_NONE && is_kept)
        code = close_listed_job(work, job, last);
    job->arc = (struct arc_place){.is_listed = false};
    return code;
}

enum error_code work_unlist_job(struct engine_work *work, struct work_job *job)
{
    enum error_code code = delete_listed_job(work, job);
    job->arc = (struct arc_place){.is_listed = false};
    return code;
}

// --- which job a report is about ------------------------------------------------------------------------

enum fit {
    FIT_NOT,
    FIT_LATER, // perhaps: it is not completed
    FIT_SURE,
};

// Whether the job ran at that time. ARC's times and the webhooks' are of one clock, GitHub's. A report whose time ends
// with the start of the job is compared with all of the job.
static enum fit fit_in_time(const struct stored_report *wanted, const struct listed_job *job)
{
    bool is_of_run = wanted->start > wanted->assigned_at;
    timestamp_ns begun =
        is_of_run ? job->started_at : timestamp_earliest_known(job->created_at, job->started_at);
    if (wanted->end == TIMESTAMP_UNKNOWN)
        return FIT_SURE;
    if (begun > wanted->end)
        return FIT_NOT;
    if (job->ended_at == TIMESTAMP_UNKNOWN)
        return FIT_LATER;
    return wanted->start - TRUNCATED <= job->ended_at ? FIT_SURE : FIT_NOT;
}

static enum fit fit_of(const struct stored_report *wanted, const struct listed_job *job)
{
    bool is_elsewhere =
        wanted->repository != 0 && job->repository != 0 && wanted->repository != job->repository;
    if (is_elsewhere || !slice_equals(wanted->server, job->server))
        return FIT_NOT;
    if (wanted->job_id != 0)
        return wanted->job_id == job->job_id ? FIT_SURE : FIT_NOT;
    if (wanted->run_id != 0 &&
        (wanted->run_id != job->run_id || (wanted->name != 0 && wanted->name != job->name)))
        return FIT_NOT;
    return fit_in_time(wanted, job);
}

// The jobs that fit a report.
struct matches {
    size_t sure;
    struct listed_job job; // the last of those that are sure; server in the arena
    struct {
        int64_t runner_id;
        timestamp_ns started_at;
    } later[LOOKED_AT_MAX + 1];
    size_t later_count;
};

static bool consider(struct engine_work *work, const struct stored_report *wanted,
                     const struct listed_job *job, struct matches *found)
{
    enum fit fit = fit_of(wanted, job);
    if (fit == FIT_LATER) {
        found->later[found->later_count].runner_id = job->runner_id;
        found->later[found->later_count++].started_at = job->started_at;
    }
    if (fit != FIT_SURE)
        return true;
    found->sure++;
    found->job = *job;
    return arena_copy_slice(&work->arena, job->server, &found->job.server);
}

static bool is_same_job(const struct listed_job *a, const struct listed_job *b)
{
    return a->job_id == b->job_id && trace_id_equals(&a->trace, &b->trace);
}

// Reads listed jobs with this prefix, those with the highest ids first. `own`: a job that is newer than its entry; or
// NULL.
static enum error_code look_through(struct engine_work *work, const struct stored_report *wanted,
                                    struct slice prefix, const struct listed_job *own,
                                    struct matches *found)
{
    uint8_t bytes[ARC_JOB_KEY_SIZE + 1];
    struct slice before = slice_of_bytes(bytes, sizeof bytes);
    memset(bytes, 0xff, sizeof bytes);
    memcpy(bytes, prefix.data, prefix.len);
    for (int i = 0; i < LOOKED_AT_MAX; i++) {
        struct store_entry entry;
        struct listed_job job;
        enum error_code code = store_table_seek_before(work->transaction, STORE_TABLE_ARC_JOBS,
                                                       before, &entry, &work->error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && !slice_starts_with(entry.key, prefix)))
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        bool is_sound = get_job(&entry, &job);
        if (!is_sound) {
            code = set_damaged_aside(work, STORE_TABLE_ARC_JOBS, entry.key);
        } else {
            before = put_arc_job_key(bytes, wanted->runner, job.job_id, &job.trace);
            if ((own == NULL || !is_same_job(&job, own)) && !consider(work, wanted, &job, found))
                code = error_set(&work->error, ERROR_MEMORY, "match a report: out of memory");
        }
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static enum error_code find_reported_job(struct engine_work *work,
                                         const struct stored_report *wanted,
                                         const struct listed_job *own, struct matches *found)
{
    uint8_t prefix[JOB_PREFIX_SIZE];
    put_be64(prefix, wanted->runner);
    put_be64(prefix + HASH_SIZE, (uint64_t)wanted->job_id);
    *found = (struct matches){.sure = 0};
    enum error_code code = look_through(
        work, wanted, slice_of_bytes(prefix, wanted->job_id != 0 ? sizeof prefix : HASH_SIZE), own,
        found);
    if (code == ERROR_NONE && own != NULL && !consider(work, wanted, own, found))
        code = error_set(&work->error, ERROR_MEMORY, "match a report: out of memory");
    return code;
}

// A job that began on the same runner before the one that was found had ended by then, although its end is not known
// yet: a runner runs one job at a time. Runners of the same name but of other owners have other ids.
static bool may_still_fit(const struct matches *found, size_t later)
{
    return found->later[later].runner_id != found->job.runner_id || found->job.runner_id == 0 ||
           found->later[later].started_at >= found->job.started_at;
}

// ARC_MATCHED: there is exactly one.
static enum arc_outcome outcome_of_matches(const struct matches *found)
{
    if (found->sure > 1)
        return ARC_AMBIGUOUS;
    if (found->sure == 0)
        return ARC_HELD;
    for (size_t i = 0; i < found->later_count; i++)
        if (may_still_fit(found, i))
            return ARC_HELD;
    return ARC_MATCHED;
}

static struct job_assignment assignment_of(const struct engine_work *work,
                                           const struct stored_report *wanted,
                                           const struct listed_job *job)
{
    return (struct job_assignment){
        .server = job->server,
        .run_id = job->run_id,
        .run_attempt = job->run_attempt,
        .job_id = job->job_id,
        .assigned_at = wanted->assigned_at,
        // A later time came from a clock that was set back since.
        .reported_at = timestamp_earlier(wanted->received_at, work->now),
    };
}

// Loads the job of a report and applies it. `*outcome`: ARC_MATCHED or ARC_LATE.
static enum error_code apply_to_listed_job(struct engine_work *work,
                                           const struct stored_report *wanted,
                                           const struct listed_job *listed,
                                           enum arc_outcome *outcome)
{
    const struct job_assignment assignment = assignment_of(work, wanted, listed);
    const struct run_name name = {listed->server, listed->run_id, listed->run_attempt};
    struct work_run run;
    struct work_job job;
    bool is_late = true;
    if (listed->closed_at != TIMESTAMP_UNKNOWN) {
        work->counted.assignments_late++;
        *outcome = ARC_LATE;
        return ERROR_NONE;
    }
    enum error_code code = work_load_run(work, &name, &run);
    if (code == ERROR_NONE)
        code = work_load_job(work, &name, listed->job_id, &run, &job);
    if (code == ERROR_NONE)
        code = work_apply_assignment(work, &assignment, &run, &job, &is_late);
    *outcome = is_late ? ARC_LATE : ARC_MATCHED;
    return code;
}

// --- held reports ------------------------------------------------------------------------------------------

static enum error_code drop_held(struct engine_work *work, const struct held_report *held,
                                 enum arc_outcome why)
{
    work->counted.arc_reports[why]++;
    return delete_aged(work, &held_reports, held->report.received_at,
                       slice_of_bytes(held->key, HELD_KEY_SIZE));
}

// The first `max` of a runner; servers in the arena.
static enum error_code list_held(struct engine_work *work, uint64_t runner,
                                 struct held_report *list, size_t max, size_t *count)
{
    uint8_t from[HELD_KEY_SIZE + 1] = {0};
    struct slice next = slice_of_bytes(from, HASH_SIZE);
    *count = 0;
    put_be64(from, runner);
    while (*count < max) {
        struct store_entry entry;
        struct held_report *held = &list[*count];
        enum error_code code =
            store_table_seek(work->transaction, STORE_TABLE_ARC_HELD, next, &entry, &work->error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && !slice_starts_with(entry.key, slice_of_bytes(from, HASH_SIZE))))
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        if (!get_held(&entry, held)) {
            code = set_damaged_aside(work, STORE_TABLE_ARC_HELD, entry.key);
        } else if (arena_copy_slice(&work->arena, held->report.server, &held->report.server)) {
            memcpy(from, held->key, HELD_KEY_SIZE); // the next key is a byte longer
            next = slice_of_bytes(from, sizeof from);
            ++*count;
        } else {
            code = error_set(&work->error, ERROR_MEMORY, "list held reports: out of memory");
        }
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static enum error_code make_room_for_held(struct engine_work *work, uint64_t runner)
{
    struct held_report list[HELD_OF_RUNNER_MAX];
    size_t count, dropped, oldest = 0;
    enum error_code code = list_held(work, runner, list, HELD_OF_RUNNER_MAX, &count);
    for (size_t i = 1; i < count; i++)
        if (list[i].report.received_at < list[oldest].report.received_at)
            oldest = i;
    if (code == ERROR_NONE && count == HELD_OF_RUNNER_MAX)
        code = drop_held(work, &list[oldest], ARC_SHED);
    return code == ERROR_NONE && is_full(work, STORE_TABLE_ARC_HELD)
               ? drop_held_before(work, INT64_MAX, 1, ARC_SHED, &dropped)
               : code;
}

// A repeated one is held already: its key is made of all it says.
static enum error_code hold(struct engine_work *work, const struct stored_report *wanted)
{
    uint8_t value_bytes[VALUE_SIZE_MAX], digest[SHA256_SIZE];
    uint8_t key[HELD_KEY_SIZE];
    struct slice found;
    const struct store_entry entry = {slice_of_bytes(key, sizeof key),
                                      put_report(value_bytes, wanted)};
    digest_sha256(slice_skip(entry.value, 1 + 8), digest); // without the time of receipt
    put_be64(key, wanted->runner);
    memcpy(key + HASH_SIZE, digest, DIGEST_SIZE);
    enum error_code code =
        store_table_get(work->transaction, STORE_TABLE_ARC_HELD, entry.key, &found, &work->error);
    if (code != ERROR_NOT_FOUND)
        return code;
    code = make_room_for_held(work, wanted->runner);
    return code == ERROR_NONE ? put_aged(work, &held_reports, wanted->received_at, &entry) : code;
}

// What will be known of the job when the event is applied, as far as matching needs it.
static struct job_state state_after(const struct github_event *event, const struct job_state *job)
{
    struct job_state known = *job;
    known.phase = JOB_OPEN;
    known.server = event->server;
    known.run_id = event->job.run_id;
    known.run_attempt = event->job.run_attempt;
    known.job_id = event->job.job_id;
    known.created_at = timestamp_earliest_known(job->created_at, event->job.created_at);
    if (event->job.action == GITHUB_JOB_COMPLETED || !is_completed(job)) {
        known.body = event->job;
        known.repository = event->repository;
    }
    if (event->job.runner_name.len > 0) {
        known.runner_name = event->job.runner_name;
        known.runner_id = event->job.runner_id;
    }
    known.seen = (uint8_t)(known.seen | 1u << event->job.action);
    return known;
}

// An event's job as it was listed before the event, and as it is with it.
struct change {
    struct work_run *run;
    struct work_job *job;
    bool was_listed;
    struct listed_job before, now;
};

// `*is_left`: this job was the reason why the report is held, and does not fit any more.
static enum error_code match_held(struct engine_work *work, const struct held_report *held,
                                  const struct change *change, bool *is_left)
{
    const struct stored_report *wanted = &held->report;
    const enum fit fit = fit_of(wanted, &change->now);
    struct matches found;
    bool is_late = false;
    *is_left = fit == FIT_NOT && change->was_listed && fit_of(wanted, &change->before) == FIT_LATER;
    if (fit != FIT_SURE) // the list is not read for most of them
        return ERROR_NONE;
    enum error_code code = find_reported_job(work, wanted, &change->now, &found);
    enum arc_outcome outcome = outcome_of_matches(&found);
    if (code != ERROR_NONE || outcome == ARC_HELD)
        return code;
    if (outcome == ARC_MATCHED) {
        const struct job_assignment assignment = assignment_of(work, wanted, &change->now);
        code = work_apply_assignment(work, &assignment, change->run, change->job, &is_late);
    }
    return code == ERROR_NONE ? drop_held(work, held, is_late ? ARC_LATE : outcome) : code;
}

enum error_code work_match_held_reports(struct engine_work *work, const struct github_event *event,
                                        struct work_run *run, struct work_job *job,
                                        uint64_t *left_of)
{
    struct held_report list[HELD_OF_RUNNER_MAX];
    size_t count = 0;
    *left_of = 0;
    const struct job_state known = state_after(event, &job->state);
    const struct arc_place place = arc_place_of_job(work, &known);
    job->arc_after = place;
    if (store_table_count(work->transaction, STORE_TABLE_ARC_HELD) == 0)
        return ERROR_NONE;
    if (!place.is_listed) { // a re-run took it over: it does not hold reports back any more
        *left_of = job->arc.is_listed ? hash_of(job->arc.runner_name) : 0;
        return ERROR_NONE;
    }
    const struct change change = {run, job, job->arc.is_listed,
                                  listed_job_of(&job->key, &job->state, &job->arc),
                                  listed_job_of(&job->key, &known, &place)};
    const uint64_t runner = hash_of(place.runner_name);
    enum error_code code = list_held(work, runner, list, HELD_OF_RUNNER_MAX, &count);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        bool is_left;
        code = match_held(work, &list[i], &change, &is_left);
        if (is_left)
            *left_of = runner;
    }
    return code;
}

enum error_code work_match_left_reports(struct engine_work *work, uint64_t left_of)
{
    struct held_report list[HELD_OF_RUNNER_MAX];
    size_t count = 0;
    enum error_code code = list_held(work, left_of, list, HELD_OF_RUNNER_MAX, &count);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        const struct stored_report *wanted = &list[i].report;
        struct matches found;
        code = find_reported_job(work, wanted, NULL, &found);
        enum arc_outcome outcome = outcome_of_matches(&found);
        if (code == ERROR_NONE && outcome == ARC_MATCHED)
            code = apply_to_listed_job(work, wanted, &found.job, &outcome);
        if (code == ERROR_NONE && outcome != ARC_HELD)
            code = drop_held(work, &list[i], outcome);
    }
    return code;
}

// --- reports as they are received -------------------------------------------------------------------------

static bool is_malformed(const struct arc_report *report, timestamp_ns received_at)
{
    bool has_times = report->start > 0 && report->end > 0;
    bool names_no_job = report->job_id == 0 && report->run_id == 0 && !has_times;
    return names_no_job || report->run_id < 0 || report->job_id < 0 || report->start < 0 ||
           report->end < 0 || report->assigned_at < 0 || report->start > report->end ||
           (has_times && report->assigned_at > report->end) ||
           report->assigned_at > received_at + AHEAD_MAX || report->server.len > GITHUB_SERVER_MAX;
}

static struct stored_report stored_report_of(const struct arc_report *report,
                                             timestamp_ns received_at)
{
    return (struct stored_report){
        .runner = hash_of(report->runner_name),
        .repository = hash_of_repository(report->repository),
        .name = hash_of(report->job_name),
        .run_id = report->run_id,
        .job_id = report->job_id,
        .assigned_at = report->assigned_at,
        .start = report->start,
        .end = report->end,
        .received_at = received_at,
        .server = report->server,
    };
}

static enum error_code apply_report(struct engine_work *work, const struct arc_report *report,
                                    enum arc_outcome *outcome, struct arc_match *match)
{
    struct matches found;
    *match = (struct arc_match){.job_id = 0};
    *outcome = ARC_MALFORMED;
    if (is_malformed(report, work->at))
        return ERROR_NONE;
    *outcome = ARC_NO_TIME;
    // Of a job that was cancelled in the queue, ARC reports no runner: it is of no use then.
    if (report->assigned_at == TIMESTAMP_UNKNOWN || report->runner_name.len == 0)
        return ERROR_NONE;
    const struct stored_report wanted = stored_report_of(report, work->at);
    enum error_code code = find_reported_job(work, &wanted, NULL, &found);
    *outcome = outcome_of_matches(&found);
    if (code == ERROR_NONE && *outcome == ARC_HELD)
        return hold(work, &wanted);
    if (code != ERROR_NONE || *outcome != ARC_MATCHED)
        return code;
    *match = (struct arc_match){found.job.run_id, found.job.run_attempt, found.job.job_id};
    return apply_to_listed_job(work, &wanted, &found.job, outcome);
}

enum error_code work_apply_arc_reports(struct engine_work *work, struct engine_task *task)
{
    bool is_refused;
    enum error_code code = work_make_room(work, task, &is_refused);
    if (code != ERROR_NONE || is_refused)
        return code;
    task->outcome = ENGINE_ACCEPTED;
    for (size_t i = 0; i < task->arc_report_count && code == ERROR_NONE; i++) {
        struct arc_match match;
        arena_clear(&work->arena);
        code = apply_report(work, &task->arc_reports[i], &task->arc_outcomes[i], &match);
        work->counted.arc_reports[task->arc_outcomes[i]]++;
        if (task->arc_matches != NULL)
            task->arc_matches[i] = match;
    }
    return code;
}

// --- upkeep ---------------------------------------------------------------------------------------------------

// How often all listed jobs are checked for having a state, and how many in one batch.
#define CHECKED_EVERY NS_PER_HOUR
#define CHECKED_PER_BATCH 64
// Entries dropped in one batch while the store has no room.
#define DROPPED_FOR_ROOM 256

static enum error_code drop_before(struct engine_work *work, timestamp_ns before, size_t max,
                                   enum arc_outcome why, bool *has_more)
{
    size_t held = 0, closed = 0;
    enum error_code code = drop_held_before(work, before, max, why, &held);
    if (code == ERROR_NONE)
        code = delete_aged_before(work, &closed_jobs, before, max, &closed);
    *has_more |= held == max || closed == max;
    return code;
}

static enum error_code empty_table(struct engine_work *work, enum store_table table, size_t max,
                                   bool *has_more)
{
    for (size_t i = 0; i < max; i++) {
        struct store_entry entry;
        enum error_code code =
            store_table_seek(work->transaction, table, SLICE_EMPTY, &entry, &work->error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = delete_if_present(work, table, entry.key);
        if (code != ERROR_NONE)
            return code;
    }
    *has_more = true;
    return ERROR_NONE;
}

// Reports that are held without an entry by age, which was damaged.
static enum error_code drop_ageless(struct engine_work *work, size_t max, bool *has_more)
{
    uint64_t held = store_table_count(work->transaction, STORE_TABLE_ARC_HELD);
    uint64_t by_age = store_table_count(work->transaction, STORE_TABLE_ARC_HELD_BY_AGE);
    return held > 0 && by_age == 0 ? empty_table(work, STORE_TABLE_ARC_HELD, max, has_more)
                                   : ERROR_NONE;
}

// Without a receiver the list is not kept up to date, and nothing can match.
static enum error_code empty_all(struct engine_work *work, size_t max, bool *has_more)
{
    static const enum store_table tables[] = {STORE_TABLE_ARC_JOBS, STORE_TABLE_ARC_CLOSED,
                                              STORE_TABLE_ARC_HELD, STORE_TABLE_ARC_HELD_BY_AGE};
    enum error_code code = drop_before(work, INT64_MAX, max, ARC_EXPIRED, has_more);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && code == ERROR_NONE; i++)
        code = empty_table(work, tables[i], max, has_more);
    return code;
}

// Whether the job of an entry has a state, or was closed a short time ago.
static enum error_code is_entry_needed(struct engine_work *work, const struct listed_job *job,
                                       bool *is_needed)
{
    const struct store_key key = {job->trace, stored_span_of_job(job->run_id, job->job_id)};
    struct slice state;
    *is_needed = true;
    if (job->closed_at != TIMESTAMP_UNKNOWN) {
        *is_needed = work->now - job->closed_at <= work->policy.linger;
        return ERROR_NONE;
    }
    enum error_code code = store_get_span(work->transaction, &key, &state, &work->error);
    *is_needed = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// Removes entries of jobs whose states were set aside as damaged.
static enum error_code check_listed_jobs(struct engine *engine)
{
    struct engine_work *work = &engine->work;
    struct arc_check *check = &engine->arc_check;
    duration_ns since = work->now - check->ended_at;
    if (check->next_len == 0 && since >= 0 && since < CHECKED_EVERY)
        return ERROR_NONE;
    for (int i = 0; i < CHECKED_PER_BATCH; i++) {
        struct store_entry entry;
        struct listed_job job;
        bool is_needed = false;
        enum error_code code =
            store_table_seek(work->transaction, STORE_TABLE_ARC_JOBS,
                             slice_of_bytes(check->next, check->next_len), &entry, &work->error);
        if (code == ERROR_NOT_FOUND) {
            *check = (struct arc_check){.ended_at = work->now};
            return ERROR_NONE;
        }
        if (code != ERROR_NONE)
            return code;
        size_t len = entry.key.len < ARC_JOB_KEY_SIZE ? entry.key.len : ARC_JOB_KEY_SIZE;
        memcpy(check->next, entry.key.data, len);
        check->next[len] = 0;
        check->next_len = len + 1;
        if (!get_job(&entry, &job)) {
            code = set_damaged_aside(work, STORE_TABLE_ARC_JOBS, entry.key);
        } else {
            code = is_entry_needed(work, &job, &is_needed);
            if (code == ERROR_NONE && !is_needed)
                code = delete_if_present(work, STORE_TABLE_ARC_JOBS,
                                         slice_of_bytes(check->next, ARC_JOB_KEY_SIZE));
        }
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

enum error_code arc_do_upkeep(struct engine *engine, struct upkeep *upkeep)
{
    struct engine_work *work = &engine->work;
    enum error_code code = ERROR_NONE;
    if (!work->has_receiver)
        return empty_all(work, upkeep->max, &upkeep->has_leftovers);
    if (store_must_shed(work->transaction))
        code = drop_before(work, INT64_MAX, DROPPED_FOR_ROOM, ARC_SHED, &upkeep->has_leftovers);
    if (code != ERROR_NONE || !upkeep->is_clock_trusted)
        return code;
    code = drop_before(work, work->now - work->policy.linger, upkeep->max, ARC_EXPIRED,
                       &upkeep->has_leftovers);
    if (code == ERROR_NONE)
        code = drop_ageless(work, upkeep->max, &upkeep->has_leftovers);
    return code == ERROR_NONE ? check_listed_jobs(engine) : code;
}
