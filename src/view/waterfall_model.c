// A run as rows of a waterfall: from its spans, and where these are stored.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/view/text.h"
#include "ghatrace/view/waterfall.h"

// --- spans of one run attempt → the rows of its waterfall -----------------------------------------

// What the spans are, by the attribute `type`; names are free text and prove nothing.
#define TYPE_ROOT SLICE("workflow")
#define TYPE_JOB SLICE("job")
#define TYPE_STEP SLICE("step")

struct builder {
    struct arena *arena;
    struct waterfall *waterfall;
    bool unicode;
};

static bool has_type(const struct span *span, struct slice type)
{
    return slice_equals(attributes_get_string(&span->attributes, "type"), type);
}

duration_ns waterfall_length(struct waterfall_interval interval)
{
    return interval.end - interval.start;
}

// Times at or before 1970 are not real; whatever stored them, they must not stretch the axis.
static struct waterfall_interval interval_of(const struct span *span)
{
    struct waterfall_interval interval = {span->start, span->end};
    if (interval.start <= 0)
        return (struct waterfall_interval){TIMESTAMP_UNKNOWN, TIMESTAMP_UNKNOWN};
    if (interval.end < interval.start)
        interval.end = interval.start;
    return interval;
}

static void extend(struct waterfall_interval *whole, struct waterfall_interval part)
{
    if (part.start == TIMESTAMP_UNKNOWN)
        return;
    if (whole->start == TIMESTAMP_UNKNOWN || part.start < whole->start)
        whole->start = part.start;
    if (part.end > whole->end)
        whole->end = part.end;
}

// Text that is not yet known is taken from `raw`. False when memory is refused.
static bool learn(struct builder *builder, struct slice raw, struct slice *text)
{
    if (text->len > 0 || raw.len == 0)
        return true;
    return text_clean(builder->arena, raw, builder->unicode, text);
}

// Conclusions of GitHub's check runs, and the result values of the CI/CD semantic conventions that
// stand for them.
static const struct {
    const char *conclusion;
    enum waterfall_outcome outcome;
    const char *note;
} conclusions[] = {
    {"success", OUTCOME_SUCCESS, NULL},
    {"failure", OUTCOME_FAILURE, NULL},
    {"cancelled", OUTCOME_CANCELLED, "cancelled"},
    {"cancellation", OUTCOME_CANCELLED, "cancelled"},
    {"skipped", OUTCOME_SKIPPED, "skipped"},
    {"skip", OUTCOME_SKIPPED, "skipped"},
    {"timed_out", OUTCOME_FAILURE, "timed out"},
    {"timeout", OUTCOME_FAILURE, "timed out"},
    {"startup_failure", OUTCOME_FAILURE, "startup failure"},
    {"error", OUTCOME_FAILURE, "error"},
    {"neutral", OUTCOME_SUCCESS, "neutral"},
};

static struct slice conclusion_of(const struct span *span)
{
    static const char *const keys[] = {"github.conclusion", "cicd.pipeline.result",
                                       "cicd.pipeline.task.run.result"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct slice value = attributes_get_string(&span->attributes, keys[i]);
        if (value.len > 0)
            return value;
    }
    return SLICE_EMPTY;
}

static bool set_outcome(struct builder *builder, struct waterfall_row *row, const struct span *span)
{
    struct slice conclusion = conclusion_of(span);
    if (attributes_get_bool(&span->attributes, "github.carried_over")) {
        row->outcome = OUTCOME_CARRIED_OVER;
        row->note = SLICE("carried over from the attempt before");
        return true;
    }
    row->is_incomplete = attributes_get_bool(&span->attributes, "github.incomplete");
    for (size_t i = 0; i < sizeof(conclusions) / sizeof(conclusions[0]); i++)
        if (slice_equals(conclusion, slice_from_string(conclusions[i].conclusion))) {
            row->outcome = conclusions[i].outcome;
            row->note = slice_from_string(conclusions[i].note);
            break;
        }
    if (row->is_incomplete)
        row->note = SLICE("incomplete");
    if (row->outcome != OUTCOME_UNKNOWN)
        return true;
    return learn(builder, conclusion, &row->note);
}

// The runner's own step that waits for what runs in the background ends as that does (actions/runner, JobExtension.cs):
// what failed is elsewhere. Those that a workflow writes have names of any kind.
static bool is_wait(const struct waterfall_row *step)
{
    return slice_equals(step->span->name, SLICE("Wait for all background steps"));
}

// Did `a` fail for itself rather than `b`? Steps overlap, so it is the one that ended first. A step that waits comes
// behind those it waits for, which tells among ends of the same second.
static bool failed_before(const struct waterfall_row *a, const struct waterfall_row *b)
{
    if (is_wait(a) != is_wait(b))
        return is_wait(b);
    if (a->time.end != b->time.end)
        return a->time.end < b->time.end;
    return a->number < b->number;
}

static const struct waterfall_row *find_failed_step(const struct waterfall_job *job)
{
    const struct waterfall_row *failed = NULL;
    for (size_t i = 0; i < job->step_count; i++) {
        const struct waterfall_row *step = &job->steps[i];
        if (step->outcome == OUTCOME_FAILURE && (failed == NULL || failed_before(step, failed)))
            failed = step;
    }
    return failed;
}

// Says what failed in a job that failed: its runner, or else one of its steps.
static bool explain_failure(struct builder *builder, struct waterfall_job *job)
{
    struct slice type = attributes_get_string(&job->span->attributes, "error.type");
    if (job->row.outcome != OUTCOME_FAILURE)
        return true;
    if (slice_equals(type, SLICE("runner_lost")))
        job->row.note = SLICE("runner lost");
    else if (slice_equals(type, SLICE("not_started")))
        job->row.note = SLICE("not started");
    else
        job->failed_step = find_failed_step(job);
    job->is_explained = job->failed_step != NULL || job->row.note.len > 0;
    return job->failed_step == NULL || job->row.note.len > 0 ||
           arena_format(builder->arena, &job->row.note, "failed in %.*s",
                        SLICE_ARGS(job->failed_step->name));
}

static bool set_row(struct builder *builder, struct waterfall_row *row, const struct span *span,
                    const char *number_key)
{
    *row = (struct waterfall_row){
        .span = span,
        .time = interval_of(span),
        .number = attributes_get_int(&span->attributes, number_key),
    };
    if (!text_clean(builder->arena, span->name, builder->unicode, &row->name))
        return false;
    if (row->name.len == 0)
        row->name = SLICE("(no name)");
    return set_outcome(builder, row, span);
}

// Whoever speaks first of the run is believed: the root, where there is one (see waterfall_build).
static bool learn_title(struct builder *builder, const struct attributes *resource,
                        const struct span *span)
{
    struct waterfall_title *title = &builder->waterfall->title;
    const struct attributes *own = &span->attributes;
    struct slice owner = attributes_get_string(resource, "vcs.owner.name");
    struct slice name = attributes_get_string(resource, "vcs.repository.name");
    struct slice repository = attributes_get_string(own, "github.repository");
    long long run_id;

    if (owner.len > 0 && name.len > 0 &&
        !arena_format(builder->arena, &repository, "%.*s/%.*s", SLICE_ARGS(owner),
                      SLICE_ARGS(name)))
        return false;
    if (title->run_id == 0 &&
        slice_parse_int64(attributes_get_string(resource, "cicd.pipeline.run.id"), &run_id))
        title->run_id = run_id;
    if (title->attempt == 0)
        title->attempt = attributes_get_int(own, "github.run_attempt");
    return learn(builder, repository, &title->repository) &&
           learn(builder, attributes_get_string(resource, "cicd.pipeline.name"),
                 &title->workflow) &&
           learn(builder, attributes_get_string(resource, "cicd.pipeline.run.url.full"),
                 &title->url) &&
           learn(builder, attributes_get_string(resource, "vcs.ref.head.name"), &title->branch) &&
           learn(builder, attributes_get_string(resource, "vcs.ref.head.revision"),
                 &title->revision);
}

static bool add_root(struct builder *builder, const struct span *span)
{
    struct waterfall *waterfall = builder->waterfall;
    struct waterfall_title *title = &waterfall->title;
    const struct attributes *own = &span->attributes;

    waterfall->is_over = true;
    title->run_number = attributes_get_int(own, "github.run_number");
    if (title->run_id == 0)
        title->run_id = attributes_get_int(own, "github.run_id");
    return set_row(builder, &waterfall->root, span, "github.run_id") &&
           learn(builder, attributes_get_string(own, "cicd.pipeline.name"), &title->workflow) &&
           learn(builder, attributes_get_string(own, "cicd.pipeline.run.url.full"), &title->url) &&
           learn(builder, attributes_get_string(own, "github.display_title"),
                 &title->display_title) &&
           learn(builder, attributes_get_string(own, "github.event_name"), &title->event) &&
           learn(builder, attributes_get_string(own, "github.actor"), &title->actor) &&
           learn(builder, conclusion_of(span), &title->conclusion);
}

static bool add_job(struct builder *builder, const struct span *span)
{
    struct waterfall_job *job = &builder->waterfall->jobs[builder->waterfall->job_count++];
    const struct attribute *queue = attributes_find(&span->attributes, "queue_time_ms");

    *job = (struct waterfall_job){.span = span};
    if (queue != NULL && queue->type == ATTRIBUTE_INT && queue->integer >= 0 &&
        queue->integer <= INT64_MAX / NS_PER_MS) {
        job->has_queue = true;
        job->queue = queue->integer * NS_PER_MS;
    }
    return set_row(builder, &job->row, span, "github.job_id");
}

// Only a runner's name, number or steps prove that there was one.
static bool had_runner(const struct waterfall_job *job)
{
    const struct attributes *own = &job->span->attributes;
    return job->step_count > 0 || job->row.outcome == OUTCOME_SUCCESS ||
           attributes_get_int(own, "github.runner_id") != 0 ||
           attributes_get_string(own, "github.runner_name").len > 0;
}

// Where runner spans are switched off, the job alone tells how long it was queued: up to there it
// queued, from there it ran, if a runner took it. What is switched off may include waiting, so this is drawn only where no
// phase is known.
static void guess_phases(struct waterfall_job *job)
{
    struct waterfall_interval whole = job->row.time;
    if (whole.start == TIMESTAMP_UNKNOWN || !waterfall_job_ran(job))
        return;
    for (size_t i = 0; i < PHASE_COUNT; i++)
        if (job->phases[i].start != TIMESTAMP_UNKNOWN)
            return;
    duration_ns queue = job->queue < waterfall_length(whole) ? job->queue : waterfall_length(whole);
    if (queue > 0)
        job->phases[PHASE_QUEUE] = (struct waterfall_interval){whole.start, whole.start + queue};
    if (had_runner(job))
        job->phases[PHASE_EXECUTION] = (struct waterfall_interval){whole.start + queue, whole.end};
}

static void add_phase(struct waterfall_job *job, const struct span *span)
{
    static const char *const types[PHASE_COUNT] = {
        [PHASE_WAITING] = "job.waiting",
        [PHASE_QUEUE] = "runner.queue",
        [PHASE_STARTUP] = "runner.startup",
        [PHASE_EXECUTION] = "runner.execution",
    };
    for (size_t i = 0; i < PHASE_COUNT; i++)
        if (has_type(span, slice_from_string(types[i])))
            job->phases[i] = interval_of(span);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// The run of digits at the start, without its leading zeros. Takes it off `text`.
static struct slice take_number(struct slice *text)
{
    size_t zeros = 0;
    while (zeros + 1 < text->len && text->data[zeros] == '0' && is_digit(text->data[zeros + 1]))
        zeros++;
    struct slice number = {text->data + zeros, 0};
    while (zeros + number.len < text->len && is_digit(number.data[number.len]))
        number.len++;
    *text = (struct slice){number.data + number.len, text->len - zeros - number.len};
    return number;
}

// As people order names: "test (3.9)" before "test (3.10)", as matrices have them.
static int compare_names(struct slice a, struct slice b)
{
    struct slice left = a;
    struct slice right = b;
    while (left.len > 0 && right.len > 0) {
        if (is_digit(left.data[0]) && is_digit(right.data[0])) {
            struct slice m = take_number(&left);
            struct slice n = take_number(&right);
            int order = m.len != n.len ? (m.len < n.len ? -1 : 1) : slice_compare(m, n);
            if (order != 0)
                return order;
        } else if (left.data[0] != right.data[0]) {
            break;
        } else {
            left = (struct slice){left.data + 1, left.len - 1};
            right = (struct slice){right.data + 1, right.len - 1};
        }
    }
    int order = slice_compare(left, right);
    return order != 0 ? order : slice_compare(a, b); // 01 and 1 are still two names
}

static int compare_rows(const struct waterfall_row *a, const struct waterfall_row *b)
{
    if (a->time.start != b->time.start)
        return a->time.start < b->time.start ? -1 : 1;
    int names = compare_names(a->name, b->name);
    if (names != 0)
        return names;
    return a->number < b->number ? -1 : a->number > b->number;
}

static int compare_jobs(const void *a, const void *b)
{
    return compare_rows(&((const struct waterfall_job *)a)->row,
                        &((const struct waterfall_job *)b)->row);
}

// Among steps of the same second, the number tells the order.
static int compare_steps(const void *a, const void *b)
{
    const struct waterfall_row *x = a;
    const struct waterfall_row *y = b;
    if (x->time.start == y->time.start && x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return compare_rows(x, y);
}

static bool is_child_of(const struct span *span, const struct span *job)
{
    return span->has_parent && memcmp(span->parent_id.bytes, job->span_id.bytes, SPAN_ID_SIZE) == 0;
}

// Spans of a job with very many steps stand in several batches; those after the first have neither job nor root.
static bool is_continuation(const struct span_batch *batch)
{
    if (batch->span_count == 0)
        return false;
    const struct span *first = &batch->spans[0];
    return first->has_parent && !has_type(first, TYPE_JOB) && !has_type(first, TYPE_ROOT);
}

static size_t count_continuations(const struct span_batch *batches, size_t count)
{
    size_t continuations = 0;
    for (size_t i = 0; i < count; i++)
        continuations += is_continuation(&batches[i]);
    return continuations;
}

// The batch of a job with what continues it.
static bool join_batch(struct builder *builder, const struct span_batch *batches, size_t count,
                       struct span_batch *whole)
{
    size_t spans = whole->span_count;
    const struct span *job = &whole->spans[0];
    for (size_t i = 0; i < count; i++)
        if (is_continuation(&batches[i]) && is_child_of(&batches[i].spans[0], job))
            spans += batches[i].span_count;
    if (spans == whole->span_count)
        return true;
    struct span *joined = arena_allocate_array(builder->arena, spans, sizeof *joined);
    if (joined == NULL)
        return false;
    memcpy(joined, whole->spans, whole->span_count * sizeof *joined);
    whole->spans = joined;
    for (size_t i = 0; i < count; i++) {
        if (!is_continuation(&batches[i]) || !is_child_of(&batches[i].spans[0], job))
            continue;
        memcpy(joined + whole->span_count, batches[i].spans,
               batches[i].span_count * sizeof *joined);
        whole->span_count += batches[i].span_count;
    }
    return true;
}

// Nearly always there is nothing to join.
static bool join_batches(struct builder *builder, const struct span_batch **batches, size_t count)
{
    if (count_continuations(*batches, count) == 0)
        return true;
    struct span_batch *joined = arena_allocate_array(builder->arena, count, sizeof *joined);
    if (joined == NULL)
        return false;
    memcpy(joined, *batches, count * sizeof *joined);
    for (size_t i = 0; i < count; i++)
        if (joined[i].span_count > 0 && has_type(&joined[i].spans[0], TYPE_JOB) &&
            !join_batch(builder, *batches, count, &joined[i]))
            return false;
    *batches = joined;
    return true;
}

// A job's phases and steps stand in the same batch as the job.
static bool add_children(struct builder *builder, struct waterfall_job *job,
                         const struct span_batch *batch)
{
    job->steps = arena_allocate_array(builder->arena, batch->span_count, sizeof(*job->steps));
    if (job->steps == NULL)
        return false;
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        if (!is_child_of(span, job->span))
            continue;
        if (!has_type(span, TYPE_STEP))
            add_phase(job, span);
        else if (!set_row(builder, &job->steps[job->step_count++], span, "github.step_number"))
            return false;
    }
    if (job->step_count > 1)
        qsort(job->steps, job->step_count, sizeof(*job->steps), compare_steps);
    struct waterfall_interval queue = job->phases[PHASE_QUEUE];
    if (queue.start != TIMESTAMP_UNKNOWN) {
        job->has_queue = true;
        job->queue = waterfall_length(queue);
    }
    guess_phases(job);
    return explain_failure(builder, job);
}

static bool add_batch(struct builder *builder, const struct span_batch *batch, bool want_root)
{
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        bool is_root = has_type(span, TYPE_ROOT);
        bool is_wanted =
            want_root ? is_root && !builder->waterfall->is_over : has_type(span, TYPE_JOB);
        if (!is_wanted)
            continue;
        builder->waterfall->title.trace = span->trace_id;
        if (!learn_title(builder, &batch->resource, span))
            return false;
        if (is_root ? !add_root(builder, span) : !add_job(builder, span))
            return false;
        if (!is_root &&
            !add_children(builder, &builder->waterfall->jobs[builder->waterfall->job_count - 1],
                          batch))
            return false;
    }
    return true;
}

static size_t count_jobs(const struct span_batch *batches, size_t count)
{
    size_t jobs = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < batches[i].span_count; j++)
            jobs += has_type(&batches[i].spans[j], TYPE_JOB);
    return jobs;
}

// Children are clamped into their parents when they are made, so that jobs and root are all there is
// to measure.
static void measure(struct waterfall *waterfall)
{
    extend(&waterfall->axis, waterfall->root.time);
    for (size_t i = 0; i < waterfall->job_count; i++)
        extend(&waterfall->axis, waterfall->jobs[i].row.time);
    if (!waterfall->is_over)
        waterfall->root.time = waterfall->axis;
}

enum error_code waterfall_build(const struct span_batch *batches, size_t count, bool unicode,
                                struct arena *arena, struct waterfall *waterfall)
{
    struct builder builder = {.arena = arena, .waterfall = waterfall, .unicode = unicode};

    *waterfall = (struct waterfall){0};
    if (!join_batches(&builder, &batches, count))
        return ERROR_MEMORY;
    waterfall->jobs =
        arena_allocate_array(arena, count_jobs(batches, count), sizeof(*waterfall->jobs));
    if (waterfall->jobs == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!add_batch(&builder, &batches[i], true))
            return ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!add_batch(&builder, &batches[i], false))
            return ERROR_MEMORY;
    waterfall->is_empty = !waterfall->is_over && waterfall->job_count == 0;
    if (waterfall->job_count > 1)
        qsort(waterfall->jobs, waterfall->job_count, sizeof(*waterfall->jobs), compare_jobs);
    measure(waterfall);
    return ERROR_NONE;
}

bool waterfall_job_ran(const struct waterfall_job *job)
{
    return job->row.outcome != OUTCOME_SKIPPED && job->row.outcome != OUTCOME_CARRIED_OVER;
}

// GitHub's times tick in seconds, so that a job may end in the second its follower begins in.
const struct waterfall_job *waterfall_job_before(const struct waterfall *waterfall,
                                                 const struct waterfall_job *next)
{
    const struct waterfall_job *last = NULL;
    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        if (!waterfall_job_ran(job) || job->row.time.start == TIMESTAMP_UNKNOWN)
            continue;
        if (next != NULL && (job->row.time.start >= next->row.time.start ||
                             job->row.time.end - NS_PER_SECOND > next->row.time.start))
            continue;
        if (last == NULL || job->row.time.end > last->row.time.end)
            last = job;
    }
    return last;
}

const struct waterfall_job *waterfall_critical_job(const struct waterfall *waterfall)
{
    const struct waterfall_job *longest = NULL;
    const struct waterfall_job *job = waterfall_job_before(waterfall, NULL);
    while (job != NULL) {
        if (longest == NULL ||
            waterfall_length(job->row.time) > waterfall_length(longest->row.time))
            longest = job;
        job = waterfall_job_before(waterfall, job);
    }
    return longest;
}

// --- reads a run attempt's finished spans from the store ------------------------------------------

// "You can re-run a workflow or jobs in a workflow ... up to 50 times" (GitHub Docs, Re-running
// workflows and jobs); twice that, should the limit move.
#define MAX_ATTEMPTS 100
#define MAX_RECORDS 100000 // a run has 256 jobs in a matrix, and few matrices

// A stored record, while the transaction is open; copied, afterwards.
struct loaded_record {
    struct loaded_record *next; // in the arena
    struct slice body;
};

struct loader {
    struct store_transaction *transaction;
    struct arena *arena;
    struct loaded_record *first;
    struct loaded_record **end; // where the next one is hung
    size_t count;
    size_t unreadable;
};

static enum error_code keep_record(struct loader *loader, uint64_t sequence, struct error *error)
{
    struct store_record record;
    enum error_code code = store_get_record(loader->transaction, sequence, &record, error);
    if (code == ERROR_NOT_FOUND) { // what cannot be read is left out, and counted
        loader->unreadable++;
        return ERROR_NONE;
    }
    if (code != ERROR_NONE)
        return code;
    struct loaded_record *kept = arena_allocate(loader->arena, sizeof(*kept));
    if (kept == NULL || !arena_copy_slice(loader->arena, record.body, &kept->body))
        return error_set(error, ERROR_MEMORY, "copy a record of %zu bytes: out of memory",
                         record.body.len);
    kept->next = NULL;
    *loader->end = kept;
    loader->end = &kept->next;
    loader->count++;
    return ERROR_NONE;
}

// All records of a trace: they stand side by side in the history.
static enum error_code read_trace(struct loader *loader, const struct trace_id *trace,
                                  struct error *error)
{
    struct store_key key = {.trace = *trace};
    uint64_t sequence;

    while (loader->count < MAX_RECORDS) {
        enum error_code code = store_seek_history(loader->transaction, &key, &sequence, error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && !trace_id_equals(&key.trace, trace)))
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = keep_record(loader, sequence, error);
        if (code != ERROR_NONE)
            return code;
        store_key_increment(&key);
    }
    return ERROR_NONE;
}

// Of the servers that have this attempt, the first with a finished span; what others have is only noted.
static enum error_code read_first(struct loader *loader, const struct run_question *question,
                                  struct waterfall_found *found, struct error *error)
{
    struct found_run runs[FOUND_RUNS_MAX];
    size_t count;
    enum error_code code =
        run_lookup(loader->transaction, question, loader->arena, runs, &count, error);
    for (size_t i = 0; code == ERROR_NONE && i < count; i++) {
        struct slice name = github_server_name(runs[i].server);
        if (loader->count == 0) {
            code = read_trace(loader, &runs[i].run.trace, error);
            if (code == ERROR_NONE && !arena_copy_slice(loader->arena, name, &found->server))
                code = error_set(error, ERROR_MEMORY, "read a run: out of memory");
        } else if (!arena_format(loader->arena, &found->also, "%.*s%s%.*s", SLICE_ARGS(found->also),
                                 found->also.len > 0 ? ", " : "", SLICE_ARGS(name))) {
            code = error_set(error, ERROR_MEMORY, "read a run: out of memory");
        }
    }
    return code;
}

// The attempt asked for; for 0, the newest with a finished span.
static enum error_code read_attempt(struct loader *loader, const struct run_question *asked,
                                    struct waterfall_found *found, struct error *error)
{
    struct run_question question = *asked;
    int64_t oldest = asked->run_attempt > 0 ? asked->run_attempt : 1;
    if (asked->run_attempt <= 0)
        question.run_attempt = MAX_ATTEMPTS;
    for (; question.run_attempt >= oldest; question.run_attempt--) {
        enum error_code code = read_first(loader, &question, found, error);
        if (code != ERROR_NONE)
            return code;
        if (loader->count == 0)
            continue;
        found->run_attempt = question.run_attempt;
        return ERROR_NONE;
    }
    if (asked->run_attempt > 0)
        return error_set(error, ERROR_NOT_FOUND,
                         "run %" PRId64 " attempt %" PRId64 ": nothing finished is in the store; "
                         "see `ghatrace runs` for what is open, and the setting `history` for how "
                         "long finished traces are kept",
                         asked->run_id, asked->run_attempt);
    return error_set(error, ERROR_NOT_FOUND,
                     "run %" PRId64 ": nothing finished is in the store; see `ghatrace runs` for "
                     "what is open, and the setting `history` for how long finished traces are "
                     "kept",
                     asked->run_id);
}

static enum error_code decode(struct loader *loader, struct span_batch **batches,
                              struct error *error)
{
    struct span_batch *decoded =
        arena_allocate_array(loader->arena, loader->count, sizeof(*decoded));
    size_t i = 0;

    if (decoded == NULL)
        return error_set(error, ERROR_MEMORY, "read %zu records: out of memory", loader->count);
    for (const struct loaded_record *record = loader->first; record != NULL;
         record = record->next) {
        enum error_code code = otlp_decode_batch(record->body, loader->arena, &decoded[i], error);
        if (code == ERROR_CORRUPT)
            loader->unreadable++;
        else if (code == ERROR_NONE)
            i++;
        else
            return code;
    }
    loader->count = i;
    *batches = decoded;
    return ERROR_NONE;
}

enum error_code waterfall_load(struct store *store, const struct run_question *question,
                               struct arena *arena, struct waterfall_found *found,
                               struct error *error)
{
    struct loader loader = {.arena = arena};
    loader.end = &loader.first;
    *found = (struct waterfall_found){.batches = NULL};

    enum error_code code = store_begin(store, false, &loader.transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = read_attempt(&loader, question, found, error);
    // Decoding needs no snapshot, and one that is open keeps the writer from reusing pages.
    store_abort(loader.transaction);
    if (code == ERROR_NONE)
        code = decode(&loader, &found->batches, error);
    if (code == ERROR_NONE)
        found->count = loader.count;
    found->unreadable = loader.unreadable;
    return code;
}
