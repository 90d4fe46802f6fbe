// Prints everything stored for a run, field by field.
#include "ghatrace/term/inspect.h"

#include <inttypes.h>
#include <string.h>

#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/term/text.h"
#include "ghatrace/trace/lifecycle.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/view/run_view.h"

// Records of the outbox, and dead letters, searched for those of the run: half a second at most.
#define LOOKS_MAX 100000
#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)

struct inspector {
    struct store_transaction *transaction;
    const struct inspect_options *options;
    struct arena arena;   // for the run
    struct arena scratch; // for one state or record
    struct buffer *out;
    struct error *error;
    struct found_run run;
    struct run_state state; // of the run; RUN_NEW: there is none
    enum error_code code;   // of the output; the first error is kept
};

// --- lines ----------------------------------------------------------------------------------------

static void keep_first_error(struct inspector *inspector, enum error_code code)
{
    if (inspector->code == ERROR_NONE)
        inspector->code = code;
}

#define PRINT(inspector, ...)                                                                      \
    keep_first_error((inspector), buffer_append_format((inspector)->out, __VA_ARGS__))

static struct slice clean_copy(struct inspector *inspector, struct slice raw)
{
    struct slice text = SLICE_EMPTY;
    if (!text_clean(&inspector->scratch, raw, inspector->options->unicode, &text))
        keep_first_error(inspector, ERROR_MEMORY);
    return text;
}

#define NAME "  %-22s "

static void show_words(struct inspector *inspector, const char *name, const char *words)
{
    PRINT(inspector, NAME "%s\n", name, words);
}

// Fields that are empty, 0, false or unknown are omitted.
static void show_text(struct inspector *inspector, const char *name, struct slice raw)
{
    struct slice text = clean_copy(inspector, raw);
    if (text.len > 0)
        PRINT(inspector, NAME "%.*s\n", name, SLICE_ARGS(text));
}

static void show_number(struct inspector *inspector, const char *name, int64_t number)
{
    if (number != 0)
        PRINT(inspector, NAME "%" PRId64 "\n", name, number);
}

static void show_flag(struct inspector *inspector, const char *name, bool is_set)
{
    if (is_set)
        show_words(inspector, name, "yes");
}

static void show_time_text(struct inspector *inspector, timestamp_ns at)
{
    char time[TIMESTAMP_TEXT_SIZE], distance[TIMESTAMP_TEXT_SIZE];
    duration_ns since = inspector->options->now - at;
    PRINT(inspector, "%s (%s%s%s)", timestamp_format_rfc3339(at, true, time),
          since < 0 ? "in " : "", duration_format_short(since < 0 ? -since : since, distance),
          since < 0 ? "" : " ago");
}

static void show_time(struct inspector *inspector, const char *name, timestamp_ns at)
{
    if (at == TIMESTAMP_UNKNOWN)
        return;
    PRINT(inspector, NAME, name);
    show_time_text(inspector, at);
    PRINT(inspector, "\n");
}

static void show_layout(struct inspector *inspector, const char *name,
                        const struct state_version *version)
{
    char time[TIMESTAMP_TEXT_SIZE];
    if (version->time != TIMESTAMP_UNKNOWN || version->digest != 0)
        PRINT(inspector, NAME "rank %u, %s, digest %016" PRIx64 "\n", name, (unsigned)version->rank,
              timestamp_format_rfc3339(version->time, true, time), version->digest);
}

// The state contains its deadline; if the index lacks it, nothing will happen at that time.
static enum error_code print_deadline(struct inspector *inspector, const struct store_key *key,
                                      timestamp_ns at)
{
    bool is_there = false;
    if (at == TIMESTAMP_UNKNOWN) {
        show_words(inspector, "deadline", "none");
        return ERROR_NONE;
    }
    enum error_code code =
        store_has_deadline(inspector->transaction, at, key, &is_there, inspector->error);
    show_time(inspector, "deadline", at);
    if (code == ERROR_NONE && !is_there)
        show_words(inspector, "", "which is not in the index of deadlines");
    return code;
}

static void show_texts(struct inspector *inspector, const char *name, const struct slice *texts,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        show_text(inspector, i == 0 ? name : "", texts[i]);
}

static void print_repository(struct inspector *inspector,
                             const struct github_repository *repository)
{
    show_text(inspector, "repository", repository->full_name);
    show_text(inspector, "repository URL", repository->html_url);
    show_text(inspector, "default branch", repository->default_branch);
    show_text(inspector, "service name", repository->service_name);
}

// `names`: the names of the bits of `seen`.
static void print_seen(struct inspector *inspector, uint8_t seen, const char *const *names,
                       size_t count)
{
    const char *between = "";
    if (seen == 0)
        return;
    PRINT(inspector, NAME, "events seen");
    for (size_t i = 0; i < count; i++) {
        if ((seen & 1u << i) == 0)
            continue;
        PRINT(inspector, "%s%s", between, names[i]);
        between = ", ";
    }
    PRINT(inspector, "\n");
}

static const char *result_word(enum run_result result)
{
    switch (result) {
    case RUN_RESULT_NONE:
        return "none";
    case RUN_RESULT_SKIPPED:
        return "skipped";
    case RUN_RESULT_NEUTRAL:
        return "neutral";
    case RUN_RESULT_SUCCESS:
        return "success";
    case RUN_RESULT_CANCELLED:
        return "cancelled";
    case RUN_RESULT_ACTION_REQUIRED:
        return "action_required";
    case RUN_RESULT_STARTUP_FAILURE:
        return "startup_failure";
    case RUN_RESULT_TIMED_OUT:
        return "timed_out";
    case RUN_RESULT_FAILURE:
        return "failure";
    }
    return "?";
}

// --- the state of a job ---------------------------------------------------------------------------

static const char *job_phase_word(enum job_phase phase)
{
    switch (phase) {
    case JOB_NEW:
        return "new";
    case JOB_OPEN:
        return "open";
    case JOB_SETTLING:
        return "completed, settling";
    case JOB_CLOSED:
        return "closed";
    case JOB_CLOSED_INCOMPLETE:
        return "closed, incomplete";
    case JOB_CLOSED_LACKING:
        return "closed, a statement is missing";
    }
    return "?";
}

static void show_steps(struct inspector *inspector, const char *name,
                       const struct github_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct github_step *step = &steps[i];
        struct slice status = clean_copy(inspector, step->status);
        struct slice conclusion = clean_copy(inspector, step->conclusion);
        struct slice step_name = clean_copy(inspector, step->name);
        PRINT(inspector, NAME "%" PRId64 " %.*s %.*s: %.*s\n", i == 0 ? name : "", step->number,
              SLICE_ARGS(status), SLICE_ARGS(conclusion), SLICE_ARGS(step_name));
    }
}

// For the lists of a body's members (github/event.h).
#define SHOW_FIELD(type, member, layout, words)                                                    \
    if (sizeof(words) > sizeof(""))                                                                \
        show_##type(inspector, words, body->member);
#define SHOW_LIST(type, member, count, layout, words)                                              \
    if (sizeof(words) > sizeof(""))                                                                \
        show_##type##s(inspector, words, body->member, body->count);

static void print_job_body(struct inspector *inspector, const struct job_state *job)
{
    const struct github_job *body = &job->body;
    show_layout(inspector, "body from", &job->body_version);
    print_repository(inspector, &job->repository);
    GITHUB_JOB_FIELDS(SHOW_FIELD, SHOW_LIST)
    show_layout(inspector, "runner from", &job->runner_version);
    show_number(inspector, "runner id", job->runner_id);
    show_text(inspector, "runner", job->runner_name);
    show_text(inspector, "runner group", job->runner_group_name);
    show_layout(inspector, "deployment from", &job->deployment_version);
    show_number(inspector, "deployment id", job->deployment_id);
    show_text(inspector, "environment", job->deployment_environment);
}

static void print_job_times(struct inspector *inspector, const struct job_state *job)
{
    show_time(inspector, "created", job->created_at);
    show_time(inspector, "queued", job->queued_at);
    show_time(inspector, "last queued event", job->last_queued);
    show_time(inspector, "last waiting event", job->last_waiting);
    show_time(inspector, "last received", job->last_received);
    show_time(inspector, "settling since", job->settling_since);
    show_time(inspector, "assigned by ARC", job->assigned_at);
    show_time(inspector, "waits for ARC since", job->arc_wait_since);
    show_time(inspector, "spans left", job->closed_at);
    show_time(inspector, "ended at the latest", job->ended_by);
}

static void print_job_fields(struct inspector *inspector, const struct job_state *job)
{
    static const char *const actions[] = {
        [GITHUB_JOB_QUEUED] = "queued",
        [GITHUB_JOB_WAITING] = "waiting",
        [GITHUB_JOB_IN_PROGRESS] = "in_progress",
        [GITHUB_JOB_COMPLETED] = "completed",
    };
    show_words(inspector, "phase", job_phase_word(job->phase));
    print_seen(inspector, job->seen, actions, sizeof actions / sizeof actions[0]);
    show_text(inspector, "server", job->server);
    show_flag(inspector, "of any server", job->is_of_any_server);
    print_job_times(inspector, job);
    if (job->counted_result != RUN_RESULT_NONE)
        show_words(inspector, "counted as", result_word(job->counted_result));
    print_job_body(inspector, job);
}

static void print_layout(struct inspector *inspector, struct slice bytes)
{
    PRINT(inspector, "layout %u, %zu bytes\n", (unsigned)(uint8_t)bytes.data[1], bytes.len);
}

static enum error_code show_job_state(struct inspector *inspector, const struct store_key *key,
                                      struct slice bytes)
{
    struct job_state job;
    enum error_code code = codec_decode_job(bytes, &inspector->scratch, &job, inspector->error);
    if (code == ERROR_CORRUPT)
        PRINT(inspector, "\njob: %s\n", inspector->error->message);
    if (code != ERROR_NONE)
        return code == ERROR_CORRUPT ? ERROR_NONE : code;
    PRINT(inspector, "\njob %" PRId64 ": state, ", job.job_id);
    print_layout(inspector, bytes);
    print_job_fields(inspector, &job);
    code = print_deadline(inspector, key, job.deadline);
    show_words(inspector, "waits for", lifecycle_job_waits_for(&inspector->state, &job));
    return code;
}

// --- the state of a run ---------------------------------------------------------------------------

static const char *run_phase_word(enum run_phase phase)
{
    switch (phase) {
    case RUN_NEW:
        return "new";
    case RUN_OPEN:
        return "open";
    case RUN_SENT:
        return "root sent";
    case RUN_SENT_INCOMPLETE:
        return "root sent, incomplete";
    case RUN_REMEMBERED:
        return "remembered";
    }
    return "?";
}

static void print_run_body(struct inspector *inspector, const struct run_state *run)
{
    const struct github_run *body = &run->body;
    show_layout(inspector, "body from", &run->body_version);
    show_flag(inspector, "names are left out", run->has_no_body);
    show_number(inspector, "run number", body->run_number);
    print_repository(inspector, &run->repository);
    GITHUB_RUN_FIELDS(SHOW_FIELD, SHOW_LIST)
}

static void print_run_jobs(struct inspector *inspector, const struct run_state *run)
{
    show_number(inspector, "open jobs", run->open_jobs);
    show_number(inspector, "closed jobs", run->closed_jobs);
    for (int i = 0; i < RUN_RESULTS; i++)
        if (run->results[i] != 0)
            PRINT(inspector, NAME "%s: %" PRId64 "\n", "results of jobs",
                  result_word((enum run_result)i), run->results[i]);
    show_time(inspector, "first job's start", run->first_job_start);
    show_time(inspector, "last job's end", run->last_job_end);
    show_time(inspector, "last job's spans made", run->last_job_closed_at);
    show_flag(inspector, "open jobs given up", run->jobs_swept);
    if (run->source_job_id == 0)
        return;
    show_number(inspector, "named by job", run->source_job_id);
    show_text(inspector, "workflow by job", run->job_workflow_name);
    show_text(inspector, "repository by job", run->job_repository.full_name);
    show_text(inspector, "branch by job", run->job_head_branch);
    show_text(inspector, "commit by job", run->job_head_sha);
}

static void print_run_fields(struct inspector *inspector, const struct run_state *run)
{
    static const char *const actions[] = {
        [GITHUB_RUN_REQUESTED] = "requested",
        [GITHUB_RUN_IN_PROGRESS] = "in_progress",
        [GITHUB_RUN_COMPLETED] = "completed",
    };
    show_words(inspector, "phase", run_phase_word(run->phase));
    print_seen(inspector, run->seen, actions, sizeof actions / sizeof actions[0]);
    show_flag(inspector, "completed", run->is_completed);
    show_text(inspector, "server", run->server);
    show_flag(inspector, "of any server", run->is_of_any_server);
    print_run_jobs(inspector, run);
    show_time(inspector, "completed received", run->completed_received);
    show_time(inspector, "last received", run->last_received);
    show_time(inspector, "end of the root", run->end);
    if (run->root_digest != 0)
        PRINT(inspector, NAME "%08" PRIx32 "\n", "digest of the root", run->root_digest);
    print_run_body(inspector, run);
}

static struct store_key run_key(const struct inspector *inspector)
{
    const struct stored_run *run = &inspector->run.run;
    return (struct store_key){run->trace,
                              span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
}

static enum error_code print_run(struct inspector *inspector)
{
    const struct store_key key = run_key(inspector);
    struct slice bytes;
    PRINT(inspector, "\nrun: ");
    enum error_code code = store_get_span(inspector->transaction, &key, &bytes, inspector->error);
    if (code == ERROR_NOT_FOUND) {
        PRINT(inspector, "no state\n");
        return ERROR_NONE;
    }
    if (code == ERROR_NONE)
        code = codec_decode_run(bytes, &inspector->arena, &inspector->state, inspector->error);
    if (code == ERROR_CORRUPT) {
        inspector->state = (struct run_state){.phase = RUN_NEW};
        PRINT(inspector, "%s\n", inspector->error->message);
        return ERROR_NONE;
    }
    if (code != ERROR_NONE)
        return code;
    PRINT(inspector, "state, ");
    print_layout(inspector, bytes);
    print_run_fields(inspector, &inspector->state);
    code = print_deadline(inspector, &key, inspector->state.deadline);
    show_words(inspector, "waits for", lifecycle_run_waits_for(&inspector->state));
    return code;
}

static enum error_code print_state(struct inspector *inspector, const struct store_key *key,
                                   struct slice bytes)
{
    switch (codec_kind_of(bytes)) {
    case CODEC_UNKNOWN:
        PRINT(inspector, "\na state that is neither of a job nor of a run, %zu bytes\n", bytes.len);
        break;
    case CODEC_JOB:
        return show_job_state(inspector, key, bytes);
    case CODEC_RUN:
        break; // already printed
    }
    return ERROR_NONE;
}

static enum error_code print_states(struct inspector *inspector)
{
    struct store_key key = {.trace = inspector->run.run.trace};
    for (;;) {
        struct slice bytes;
        enum error_code code =
            store_seek_span_of_trace(inspector->transaction, &key, &bytes, inspector->error);
        if (code == ERROR_NOT_FOUND || inspector->code != ERROR_NONE)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = print_state(inspector, &key, bytes);
        if (code != ERROR_NONE)
            return code;
        arena_clear(&inspector->scratch);
        store_key_increment(&key);
    }
}

// --- notes ----------------------------------------------------------------------------------------

static enum error_code print_run_note(struct inspector *inspector)
{
    struct store_note_key note = {STORE_NOTE_RUN, run_key(inspector)};
    uint8_t payload[STORE_NOTE_SIZE_MAX];
    bool is_found;
    struct run_state run;
    enum error_code code =
        store_find_note(inspector->transaction, &note, &is_found, payload, inspector->error);
    if (code == ERROR_NONE && is_found) {
        codec_decode_run_note(payload, &run);
        PRINT(inspector, "\nrun: note that its root was made\n");
        print_run_fields(inspector, &run);
        if (inspector->state.phase == RUN_NEW)
            inspector->state = run;
    }
    note.kind = STORE_NOTE_OLD_RUN;
    if (code == ERROR_NONE)
        code = store_find_note(inspector->transaction, &note, &is_found, payload, inspector->error);
    if (code == ERROR_NONE && is_found) {
        codec_decode_old_run_note(payload, &run);
        PRINT(inspector, "\nrun: note that it had a root (kept longer)\n");
        print_run_fields(inspector, &run);
    }
    return code;
}

static enum error_code print_job_note(struct inspector *inspector, const struct store_key *key)
{
    struct store_note_key note = {STORE_NOTE_JOB, *key};
    uint8_t payload[STORE_NOTE_SIZE_MAX];
    bool is_found, has_waited, is_assigned;
    struct job_state job;
    int64_t job_id = 0;
    enum error_code code =
        store_find_note(inspector->transaction, &note, &is_found, payload, inspector->error);
    if (code != ERROR_NONE || !is_found)
        return code;
    codec_decode_job_note(payload, &job, &has_waited);
    is_assigned = codec_job_note_is_assigned(payload);
    note.kind = STORE_NOTE_WAITED_JOB;
    if (has_waited)
        code = store_find_note(inspector->transaction, &note, &is_found, payload, inspector->error);
    if (code == ERROR_NONE && has_waited && is_found)
        codec_decode_waited_job_note(payload, &job);
    note.kind = STORE_NOTE_ASSIGNED_JOB;
    if (code == ERROR_NONE && is_assigned)
        code = store_find_note(inspector->transaction, &note, &is_found, payload, inspector->error);
    if (code == ERROR_NONE && is_assigned && is_found)
        codec_decode_assigned_job_note(payload, &job);
    for (size_t i = 0; i < SPAN_ID_SIZE; i++)
        job_id = (int64_t)((uint64_t)job_id << 8 | key->span.bytes[i]);
    PRINT(inspector, "\njob %" PRId64 ": note that its spans were made\n", job_id & INT64_MAX);
    print_job_fields(inspector, &job);
    return code;
}

// --- records --------------------------------------------------------------------------------------

static enum error_code print_record_status(struct inspector *inspector, uint64_t sequence)
{
    struct store_transaction *transaction = inspector->transaction;
    struct store_quarantined quarantined;
    struct store_dead_letter letter;
    uint64_t found = sequence;
    uint32_t size;
    struct slice reason;
    enum error_code code = store_seek_dead_letter(transaction, &found, &letter, inspector->error);
    if (code == ERROR_NONE && found == sequence) {
        reason = clean_copy(inspector, letter.reason);
        PRINT(inspector, "dead letter since ");
        show_time_text(inspector, letter.buried_at);
        PRINT(inspector, ": %.*s\n", SLICE_ARGS(reason));
        return ERROR_NONE;
    }
    found = sequence;
    if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
        code = store_seek_outbox(transaction, &found, &size, inspector->error);
    if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && found != sequence)) {
        PRINT(inspector, "does not wait: it was sent, or there is no collector\n");
        return ERROR_NONE;
    }
    PRINT(inspector, "waits in the outbox\n");
    found = sequence;
    if (code == ERROR_NONE)
        code = store_seek_quarantined(transaction, &found, &quarantined, inspector->error);
    if (code == ERROR_NONE && found == sequence) {
        reason = clean_copy(inspector, quarantined.reason);
        PRINT(inspector, NAME "since ", "quarantined");
        show_time_text(inspector, quarantined.since);
        PRINT(inspector, ": %.*s\n", SLICE_ARGS(reason));
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code print_record(struct inspector *inspector, uint64_t sequence)
{
    struct store_record record;
    struct span_batch batch;
    enum error_code code =
        store_get_record(inspector->transaction, sequence, &record, inspector->error);
    if (code == ERROR_NOT_FOUND || code == ERROR_CORRUPT) {
        PRINT(inspector, "\nrecord %" PRIu64 ": cannot be read\n", sequence);
        return ERROR_NONE;
    }
    bool is_forwarded = code == ERROR_NONE && store_is_forwarded(&record);
    if (code == ERROR_NONE && !is_forwarded)
        code = otlp_decode_batch(record.body, &inspector->scratch, &batch, inspector->error);
    if (code != ERROR_NONE && code != ERROR_CORRUPT)
        return code;
    PRINT(inspector, "\nrecord %" PRIu64 ": %zu bytes\n", sequence, record.body.len);
    if (is_forwarded)
        show_words(inspector, "of", "another program");
    else if (code == ERROR_CORRUPT)
        show_words(inspector, "spans", inspector->error->message);
    else if (batch.span_count > 0)
        show_text(inspector, "of", batch.spans[0].name);
    if (code == ERROR_NONE && !is_forwarded)
        show_number(inspector, "spans", (int64_t)batch.span_count);
    show_time(inspector, "finished", record.finished_at);
    PRINT(inspector, NAME, "export");
    return print_record_status(inspector, sequence);
}

static bool is_of_run(const struct inspector *inspector, const struct store_key *key)
{
    return trace_id_equals(&key->trace, &inspector->run.run.trace);
}

// The newest record of each span, and the notes of their jobs.
static enum error_code print_history(struct inspector *inspector)
{
    struct store_key key = {.trace = inspector->run.run.trace};
    uint64_t sequence;
    for (;;) {
        enum error_code code =
            store_seek_history(inspector->transaction, &key, &sequence, inspector->error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && !is_of_run(inspector, &key)) ||
            inspector->code != ERROR_NONE)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = print_job_note(inspector, &key);
        if (code == ERROR_NONE)
            code = print_record(inspector, sequence);
        if (code != ERROR_NONE)
            return code;
        arena_clear(&inspector->scratch);
        store_key_increment(&key);
    }
}

// A record that was replaced in the history by a newer record of the same span may still be waiting, or be a dead
// letter.
static enum error_code print_if_replaced(struct inspector *inspector, uint64_t sequence)
{
    struct store_record record;
    uint64_t newest = 0;
    enum error_code code =
        store_get_record(inspector->transaction, sequence, &record, inspector->error);
    if (code == ERROR_NOT_FOUND || code == ERROR_CORRUPT)
        return ERROR_NONE;
    if (code != ERROR_NONE || !is_of_run(inspector, &record.key))
        return code;
    code = store_newest_record(inspector->transaction, &record.key, &newest, inspector->error);
    if (code == ERROR_NONE && newest == sequence)
        return ERROR_NONE;
    return code == ERROR_NONE || code == ERROR_NOT_FOUND ? print_record(inspector, sequence) : code;
}

static enum error_code print_replaced(struct inspector *inspector, bool is_dead)
{
    uint64_t sequence = 0;
    for (int i = 0; i < LOOKS_MAX; i++, sequence++) {
        struct store_dead_letter letter;
        uint32_t size;
        enum error_code code =
            is_dead ? store_seek_dead_letter(inspector->transaction, &sequence, &letter,
                                             inspector->error)
                    : store_seek_outbox(inspector->transaction, &sequence, &size, inspector->error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = print_if_replaced(inspector, sequence);
        if (code != ERROR_NONE)
            return code;
        arena_clear(&inspector->scratch);
    }
    PRINT(inspector, "\nolder records of it: only the first %d %s were looked at\n", LOOKS_MAX,
          is_dead ? "dead letters" : "records of the outbox");
    return ERROR_NONE;
}

// --- the complete output --------------------------------------------------------------------------

static enum error_code print_found(struct inspector *inspector)
{
    const struct stored_run *run = &inspector->run.run;
    struct slice server = clean_copy(inspector, github_server_name(inspector->run.server));
    char trace[2 * TRACE_ID_SIZE + 1];
    hex_encode(run->trace.bytes, TRACE_ID_SIZE, trace);
    inspector->state = (struct run_state){.phase = RUN_NEW};
    PRINT(inspector, "%srun %" PRId64 " attempt %" PRId64 " of %.*s, stored under %s\n",
          inspector->out->len > 0 ? "\n" : "", run->run_id, run->run_attempt, SLICE_ARGS(server),
          trace);
    enum error_code code = print_run(inspector);
    if (code == ERROR_NONE)
        code = print_run_note(inspector);
    if (code == ERROR_NONE)
        code = print_states(inspector);
    if (code == ERROR_NONE)
        code = print_history(inspector);
    if (code == ERROR_NONE)
        code = print_replaced(inspector, false);
    if (code == ERROR_NONE)
        code = print_replaced(inspector, true);
    if (code == ERROR_NONE && inspector->code != ERROR_NONE)
        code = error_set(inspector->error, inspector->code, "inspect: %s",
                         error_code_text(inspector->code));
    return code;
}

// run_lookup() does not find a run of which only a note is left.
static enum error_code find_run_note(struct inspector *inspector,
                                     const struct run_selector *question, struct found_run *found,
                                     size_t *count)
{
    const enum store_note kinds[] = {STORE_NOTE_RUN, STORE_NOTE_OLD_RUN};
    uint8_t payload[STORE_NOTE_SIZE_MAX];
    bool is_found = false;
    found->server = SLICE_EMPTY;
    enum error_code code = ERROR_NONE;
    if (question->server.len > 0)
        code = github_server_of_name(question->server, &inspector->arena, &found->server);
    found->run = stored_run_of(found->server, question->run_id, question->run_attempt);
    inspector->run = *found;
    struct store_note_key note = {.of = run_key(inspector)};
    for (size_t i = 0; code == ERROR_NONE && !is_found && i < sizeof kinds / sizeof kinds[0]; i++) {
        note.kind = kinds[i];
        code = store_find_note(inspector->transaction, &note, &is_found, payload, inspector->error);
    }
    *count = is_found ? 1 : 0;
    return code;
}

// The requested attempt; for 0, the newest of which anything is stored.
static enum error_code find_attempt(struct inspector *inspector,
                                    const struct run_selector *question,
                                    struct found_run runs[FOUND_RUNS_MAX], size_t *count)
{
    const struct view_reader reader = {inspector->transaction, &inspector->arena, inspector->error};
    struct run_selector asked = *question;
    int64_t oldest = question->run_attempt > 0 ? question->run_attempt : 1;
    if (question->run_attempt <= 0)
        asked.run_attempt = RUN_ATTEMPTS_MAX;
    *count = 0;
    for (; asked.run_attempt >= oldest && *count == 0; asked.run_attempt--) {
        enum error_code code = run_lookup(&reader, &asked, runs, count);
        if (code == ERROR_NONE && *count == 0)
            code = find_run_note(inspector, &asked, &runs[0], count);
        if (code != ERROR_NONE)
            return code;
    }
    if (*count > 0)
        return ERROR_NONE;
    if (question->run_attempt > 0)
        return error_set(inspector->error, ERROR_NOT_FOUND,
                         "run %" PRId64 " attempt %" PRId64 ": nothing of it is in the store",
                         question->run_id, question->run_attempt);
    return error_set(inspector->error, ERROR_NOT_FOUND,
                     "run %" PRId64 ": nothing of it is in the store", question->run_id);
}

enum error_code inspect_run(struct store *store, const struct run_selector *question,
                            const struct inspect_options *options, struct buffer *out,
                            struct error *error)
{
    struct inspector inspector = {.options = options, .out = out, .error = error};
    struct found_run runs[FOUND_RUNS_MAX];
    size_t count = 0;
    enum error_code code = store_begin(store, false, &inspector.transaction, error);
    if (code != ERROR_NONE)
        return code;
    arena_init(&inspector.arena, ARENA_BLOCK_BYTES);
    arena_init(&inspector.scratch, ARENA_BLOCK_BYTES);
    code = find_attempt(&inspector, question, runs, &count);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++) {
        inspector.run = runs[i];
        code = print_found(&inspector);
    }
    arena_release(&inspector.scratch);
    arena_release(&inspector.arena);
    store_abort(inspector.transaction);
    return code;
}
