// Merges an event into a state; digests of events and of spans.
#include "ghatrace/trace/merge.h"

#include "ghatrace/trace/spans.h"

// --- fingerprints --------------------------------------------------------------------------------

#define ODD UINT64_C(0x9e3779b97f4a7c15)

static uint64_t fingerprint_add_number(uint64_t fingerprint, uint64_t number)
{
    fingerprint = (fingerprint ^ number) * ODD;
    return fingerprint ^ fingerprint >> 29;
}

// Eight bytes at a time, assembled by shifts, which the compiler turns into one load.
static uint64_t read_word(const char *bytes, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    return word;
}

uint64_t fingerprint_add_text(uint64_t fingerprint, struct slice text)
{
    size_t at = 0;
    fingerprint = fingerprint_add_number(fingerprint, text.len);
    for (; text.len - at >= 8; at += 8)
        fingerprint = fingerprint_add_number(fingerprint, read_word(text.data + at, 8));
    if (at < text.len)
        fingerprint = fingerprint_add_number(fingerprint, read_word(text.data + at, text.len - at));
    return fingerprint;
}

static uint64_t fingerprint_add_bytes(uint64_t fingerprint, const void *bytes, size_t len)
{
    return fingerprint_add_text(fingerprint, (struct slice){.data = bytes, .len = len});
}

static uint64_t fingerprint_add_attribute(uint64_t fingerprint, const struct attribute *attribute)
{
    fingerprint = fingerprint_add_text(fingerprint, slice_from_string(attribute->key));
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)attribute->type);
    switch (attribute->type) {
    case ATTRIBUTE_STRING:
        return fingerprint_add_text(fingerprint, attribute->string);
    case ATTRIBUTE_INT:
        return fingerprint_add_number(fingerprint, (uint64_t)attribute->integer);
    case ATTRIBUTE_BOOL:
        return fingerprint_add_number(fingerprint, attribute->boolean);
    case ATTRIBUTE_STRINGS:
        fingerprint = fingerprint_add_number(fingerprint, attribute->strings.count);
        for (size_t i = 0; i < attribute->strings.count; i++)
            fingerprint = fingerprint_add_text(fingerprint, attribute->strings.items[i]);
        break;
    }
    return fingerprint;
}

static uint64_t fingerprint_add_attributes(uint64_t fingerprint,
                                           const struct attributes *attributes)
{
    fingerprint = fingerprint_add_number(fingerprint, attributes->count);
    for (size_t i = 0; i < attributes->count; i++)
        fingerprint = fingerprint_add_attribute(fingerprint, &attributes->items[i]);
    return fingerprint;
}

static uint64_t fingerprint_add_span(uint64_t fingerprint, const struct span *span)
{
    fingerprint = fingerprint_add_bytes(fingerprint, span->trace_id.bytes, TRACE_ID_SIZE);
    fingerprint = fingerprint_add_bytes(fingerprint, span->span_id.bytes, SPAN_ID_SIZE);
    fingerprint = fingerprint_add_number(fingerprint, span->has_parent);
    if (span->has_parent)
        fingerprint = fingerprint_add_bytes(fingerprint, span->parent_id.bytes, SPAN_ID_SIZE);
    fingerprint = fingerprint_add_text(fingerprint, span->name);
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)span->kind);
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)span->start);
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)span->end);
    fingerprint = fingerprint_add_attributes(fingerprint, &span->attributes);
    fingerprint = fingerprint_add_number(fingerprint, (uint64_t)span->status);
    fingerprint = fingerprint_add_text(fingerprint, span->status_message);
    fingerprint = fingerprint_add_number(fingerprint, span->has_link);
    if (span->has_link) {
        fingerprint = fingerprint_add_bytes(fingerprint, span->link_trace_id.bytes, TRACE_ID_SIZE);
        fingerprint = fingerprint_add_bytes(fingerprint, span->link_span_id.bytes, SPAN_ID_SIZE);
    }
    return fingerprint;
}

uint64_t fingerprint_of_batch(const struct span_batch *batch)
{
    uint64_t fingerprint = fingerprint_add_attributes(FINGERPRINT_START, &batch->resource);
    for (size_t i = 0; i < batch->span_count; i++)
        fingerprint = fingerprint_add_span(fingerprint, &batch->spans[i]);
    return fingerprint;
}

// --- digest of an event's content -----------------------------------------------------------------

static uint64_t fingerprint_add_texts(uint64_t digest, const struct slice *texts, size_t count)
{
    digest = fingerprint_add_number(digest, count);
    for (size_t i = 0; i < count; i++)
        digest = fingerprint_add_text(digest, texts[i]);
    return digest;
}

static uint64_t fingerprint_add_numbers(uint64_t digest, const int64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        digest = fingerprint_add_number(digest, (uint64_t)numbers[i]);
    return digest;
}

#define ADD_TEXTS(digest, ...)                                                                     \
    fingerprint_add_texts(digest, (const struct slice[]){__VA_ARGS__},                             \
                          sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))
#define ADD_NUMBERS(digest, ...)                                                                   \
    fingerprint_add_numbers(digest, (const int64_t[]){__VA_ARGS__},                                \
                            sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static uint64_t fingerprint_add_repository(uint64_t digest,
                                           const struct github_repository *repository)
{
    return ADD_TEXTS(digest, repository->full_name, repository->owner, repository->name,
                     repository->html_url, repository->default_branch, repository->service_name);
}

static uint64_t fingerprint_add_steps(uint64_t digest, const struct github_step *steps,
                                      size_t count)
{
    digest = fingerprint_add_number(digest, count);
    for (size_t i = 0; i < count; i++) {
        const struct github_step *step = &steps[i];
        digest = ADD_TEXTS(digest, step->name, step->status, step->conclusion);
        digest = ADD_NUMBERS(digest, step->number, step->started_at, step->completed_at);
    }
    return digest;
}

// For the lists of a body's members (github/event.h): all its numbers, all its texts, then its LISTs, always in this
// order, as digests are stored.
#define NUMBER_number(member) body->member,
#define NUMBER_time(member) body->member,
#define NUMBER_flag(member) body->member,
#define NUMBER_text(member)
#define TEXT_number(member)
#define TEXT_time(member)
#define TEXT_flag(member)
#define TEXT_text(member) body->member,
#define IF_NUMBER(type, member, ...) NUMBER_##type(member)
#define IF_TEXT(type, member, ...) TEXT_##type(member)
#define ADD_LIST(type, member, count, ...)                                                         \
    digest = fingerprint_add_##type##s(digest, body->member, body->count);
#define NOTHING(...)

uint64_t merge_digest_of_job(const struct github_event *event)
{
    const struct github_job *body = &event->job;
    uint64_t digest = fingerprint_add_repository(FINGERPRINT_START, &event->repository);
    digest = ADD_NUMBERS(digest, body->job_id, body->run_id, body->run_attempt,
                         (int64_t)body->action, GITHUB_JOB_FIELDS(IF_NUMBER, NOTHING));
    digest = ADD_TEXTS(digest, GITHUB_JOB_FIELDS(IF_TEXT, NOTHING));
    GITHUB_JOB_FIELDS(NOTHING, ADD_LIST)
    return digest;
}

uint64_t merge_digest_of_run(const struct github_event *event)
{
    const struct github_run *body = &event->run;
    uint64_t digest = fingerprint_add_repository(FINGERPRINT_START, &event->repository);
    digest = ADD_NUMBERS(digest, body->run_id, body->run_attempt, body->run_number,
                         (int64_t)body->action, GITHUB_RUN_FIELDS(IF_NUMBER, NOTHING));
    digest = ADD_TEXTS(digest, GITHUB_RUN_FIELDS(IF_TEXT, NOTHING));
    GITHUB_RUN_FIELDS(NOTHING, ADD_LIST)
    return digest;
}

// --- merging -------------------------------------------------------------------------------------

static bool is_newer_or_same(const struct state_version *a, const struct state_version *b)
{
    if (a->rank != b->rank)
        return a->rank > b->rank;
    if (a->time != b->time)
        return a->time > b->time;
    return a->digest >= b->digest;
}

bool merge_is_newer(const struct state_version *a, const struct state_version *b)
{
    return !is_newer_or_same(b, a);
}

static uint64_t make_digest(struct slice conclusion, uint64_t digest)
{
    uint64_t result = (uint64_t)build_result_of_conclusion(conclusion);
    return (result << 56 | digest >> 8) & STATE_DIGEST_MASK;
}

// The latest time in a job's body.
static timestamp_ns latest_time_in(const struct github_job *job)
{
    timestamp_ns time =
        timestamp_later(job->created_at, timestamp_later(job->started_at, job->completed_at));
    for (size_t i = 0; i < job->step_count; i++)
        time = timestamp_later(
            time, timestamp_later(job->steps[i].started_at, job->steps[i].completed_at));
    return time;
}

// `queued` and `waiting` may follow each other in either order (a gated job gets queued, waiting, queued:
// runs-on#539), so they have the same rank.
static uint8_t rank_of_action(enum github_job_action action)
{
    return action == GITHUB_JOB_WAITING ? GITHUB_JOB_QUEUED : (uint8_t)action;
}

struct state_version merge_version_of_job(const struct github_job *job, uint64_t digest)
{
    return (struct state_version){rank_of_action(job->action), latest_time_in(job),
                                  make_digest(job->conclusion, digest)};
}

struct state_version merge_version_of_run(const struct github_run *run, uint64_t digest)
{
    return (struct state_version){merge_is_final(run) ? 1 : 0, run->updated_at,
                                  make_digest(run->conclusion, digest)};
}

static void merge_runner(struct job_state *state, const struct github_job *job,
                         const struct state_version *version)
{
    bool names_runner = job->runner_id != 0 || job->runner_name.len > 0;
    if (!names_runner || job->action < GITHUB_JOB_IN_PROGRESS ||
        !is_newer_or_same(version, &state->runner_version))
        return;
    state->runner_version = *version;
    state->runner_id = job->runner_id;
    state->runner_name = job->runner_name;
    state->runner_group_name = job->runner_group_name;
}

static void merge_deployment(struct job_state *state, const struct github_job *job,
                             const struct state_version *version)
{
    bool deploys = job->deployment_id != 0 || job->deployment_environment.len > 0;
    if (!deploys || !is_newer_or_same(version, &state->deployment_version))
        return;
    state->deployment_version = *version;
    state->deployment_id = job->deployment_id;
    state->deployment_environment = job->deployment_environment;
}

void merge_job_event(struct job_state *state, const struct github_event *event,
                     timestamp_ns occurred_at, uint64_t digest)
{
    const struct github_job *job = &event->job;
    struct state_version version = merge_version_of_job(job, digest);
    bool is_queueing = job->action <= GITHUB_JOB_WAITING;

    state->run_id = job->run_id;
    state->run_attempt = job->run_attempt;
    state->job_id = job->job_id;
    state->server = event->server;
    state->is_of_any_server = false;
    state->created_at = timestamp_earliest_known(state->created_at, job->created_at);
    if (is_queueing)
        state->queued_at = timestamp_earliest_known(state->queued_at, job->started_at);
    if (job->action == GITHUB_JOB_QUEUED)
        state->last_queued = timestamp_later(state->last_queued, occurred_at);
    if (job->action == GITHUB_JOB_WAITING)
        state->last_waiting = timestamp_later(state->last_waiting, occurred_at);

    if (state->seen == 0 || is_newer_or_same(&version, &state->body_version)) {
        state->body_version = version;
        state->repository = event->repository;
        state->body = *job;
        // In queued and waiting events started_at is the time of queueing, not of a start (actions/runner#1881).
        if (is_queueing)
            state->body.started_at = TIMESTAMP_UNKNOWN;
    }
    merge_runner(state, job, &version);
    merge_deployment(state, job, &version);
    state->seen |= (uint8_t)(1u << job->action);
}

bool merge_job_assignment(struct job_state *state, timestamp_ns assigned_at)
{
    timestamp_ns known = state->assigned_at;
    state->assigned_at = timestamp_earliest_known(known, assigned_at);
    return state->assigned_at != known;
}

bool merge_is_final(const struct github_run *run)
{
    return run->action == GITHUB_RUN_COMPLETED &&
           !slice_equals(run->conclusion, SLICE("action_required"));
}

// Every event has the same values, since the state is looked up by them.
static void set_run_identity(struct run_state *state, int64_t run_id, int64_t run_attempt,
                             const struct github_event *event)
{
    state->run_id = run_id;
    state->run_attempt = run_attempt;
    state->server = event->server;
    state->is_of_any_server = false;
}

void merge_run_event(struct run_state *state, const struct github_event *event, uint64_t digest)
{
    const struct github_run *run = &event->run;
    bool is_final = merge_is_final(run);
    struct state_version version = merge_version_of_run(run, digest);

    set_run_identity(state, run->run_id, run->run_attempt, event);
    if (state->seen == 0 || is_newer_or_same(&version, &state->body_version)) {
        state->body_version = version;
        state->repository = event->repository;
        state->body = *run;
        state->has_no_body = false;
    }
    state->is_completed |= is_final;
    if (is_final)
        state->end = timestamp_later(state->end, run->updated_at);
    state->seen |= (uint8_t)(1u << run->action);
}

// Compares the data that two events of one job contain about their run; the more complete ones are last. They differ
// if the repository is
// renamed in between.
static int compare_with_source(const struct github_event *event, const struct run_state *state)
{
    const struct github_job *job = &event->job;
    const struct github_repository *received = &event->repository;
    const struct github_repository *known = &state->job_repository;
    const struct slice pairs[][2] = {
        {job->workflow_name, state->job_workflow_name},
        {job->head_branch, state->job_head_branch},
        {job->head_sha, state->job_head_sha},
        {received->full_name, known->full_name},
        {received->owner, known->owner},
        {received->name, known->name},
        {received->html_url, known->html_url},
        {received->default_branch, known->default_branch},
        {received->service_name, known->service_name},
    };
    int order = 0;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]) && order == 0; i++)
        order = slice_compare(pairs[i][0], pairs[i][1]);
    return order;
}

// An event that names the workflow wins over one that does not; then the lower id, then the more complete data.
static bool replaces_source(const struct github_event *event, const struct run_state *state)
{
    const struct github_job *job = &event->job;
    bool has_name = job->workflow_name.len > 0;
    if (has_name != (state->job_workflow_name.len > 0))
        return has_name;
    if (job->job_id != state->source_job_id)
        return job->job_id < state->source_job_id;
    return compare_with_source(event, state) > 0;
}

void merge_run_from_job(struct run_state *state, const struct github_event *event)
{
    const struct github_job *job = &event->job;
    set_run_identity(state, job->run_id, job->run_attempt, event);
    if (state->source_job_id != 0 && !replaces_source(event, state))
        return;
    state->source_job_id = job->job_id;
    state->job_repository = event->repository;
    state->job_workflow_name = job->workflow_name;
    state->job_head_branch = job->head_branch;
    state->job_head_sha = job->head_sha;
}
