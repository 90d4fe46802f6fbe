// Encodes and decodes states. Each struct is described once, by a function that visits its fields; the visitor either
// reads or writes, so the two directions cannot diverge.
#include "ghatrace/store/codec.h"

#include "ghatrace/base/bytes.h"
#include "ghatrace/github/server.h"

#define LIST_ITEMS_MAX 1000000 // far above GitHub's limits of 1,000 steps and a few labels

struct visitor {
    struct buffer *out;   // writing, or NULL
    const uint8_t *next;  // reading
    const uint8_t *end;   // reading
    struct arena *arena;  // reading
    enum error_code code; // sticky
    uint8_t layout;       // of what is read or written
};

static void visit_bytes(struct visitor *visitor, void *bytes, size_t len)
{
    if (visitor->code != ERROR_NONE)
        return;
    if (visitor->out != NULL) {
        visitor->code = buffer_append(visitor->out, bytes, len);
    } else if ((size_t)(visitor->end - visitor->next) < len) {
        visitor->code = ERROR_CORRUPT;
    } else {
        memcpy(bytes, visitor->next, len);
        visitor->next += len;
    }
}

static void visit_int64(struct visitor *visitor, int64_t *value)
{
    if (visitor->code != ERROR_NONE)
        return;
    if (visitor->out != NULL) {
        struct byte_writer writer = {.out = visitor->out, .code = ERROR_NONE};
        bytes_write_zigzag(&writer, *value);
        visitor->code = writer.code;
    } else {
        struct byte_reader reader = {.next = visitor->next, .end = visitor->end};
        *value = bytes_read_zigzag(&reader);
        visitor->next = reader.next;
        visitor->code = reader.failed ? ERROR_CORRUPT : ERROR_NONE;
    }
}

static void visit_bool(struct visitor *visitor, bool *value)
{
    int64_t number = *value;
    visit_int64(visitor, &number);
    *value = number != 0;
}

// A number from 0 to `count` - 1.
static int64_t visit_choice(struct visitor *visitor, int64_t value, int64_t count)
{
    visit_int64(visitor, &value);
    if (value < 0 || value >= count)
        visitor->code = visitor->code != ERROR_NONE ? visitor->code : ERROR_CORRUPT;
    return visitor->code == ERROR_NONE ? value : 0;
}

static void visit_slice(struct visitor *visitor, struct slice *text)
{
    int64_t len = (int64_t)text->len;
    visit_int64(visitor, &len);
    if (visitor->code != ERROR_NONE)
        return;
    if (visitor->out != NULL) {
        visitor->code = buffer_append_slice(visitor->out, *text);
    } else if (len < 0 || len > visitor->end - visitor->next) {
        visitor->code = ERROR_CORRUPT;
    } else {
        *text = (struct slice){(const char *)visitor->next, (size_t)len};
        visitor->next += len;
    }
}

// The length of a list; when reading, allocates it. Each item takes at least one byte, so a length beyond the
// remaining bytes means damage and is never allocated.
static void *visit_list(struct visitor *visitor, const void *items, size_t *count, size_t size)
{
    int64_t length = (int64_t)*count;
    visit_int64(visitor, &length);
    if (visitor->code != ERROR_NONE)
        return NULL;
    if (visitor->out != NULL)
        return (void *)(uintptr_t)items;
    if (length < 0 || length > LIST_ITEMS_MAX || length > visitor->end - visitor->next) {
        visitor->code = ERROR_CORRUPT;
        return NULL;
    }
    *count = (size_t)length;
    if (length == 0)
        return NULL;
    void *room = arena_allocate_array(visitor->arena, *count, size);
    if (room == NULL)
        visitor->code = ERROR_MEMORY;
    return room;
}

static void visit_texts(struct visitor *visitor, const struct slice **texts, size_t *count)
{
    struct slice *items = visit_list(visitor, *texts, count, sizeof *items);
    for (size_t i = 0; visitor->code == ERROR_NONE && i < *count; i++)
        visit_slice(visitor, &items[i]);
    *texts = items;
}

static void visit_step(struct visitor *visitor, struct github_step *step)
{
    visit_slice(visitor, &step->name);
    visit_int64(visitor, &step->number);
    visit_slice(visitor, &step->status);
    visit_slice(visitor, &step->conclusion);
    visit_int64(visitor, &step->started_at);
    visit_int64(visitor, &step->completed_at);
}

static void visit_steps(struct visitor *visitor, const struct github_step **steps, size_t *count)
{
    struct github_step *items = visit_list(visitor, *steps, count, sizeof *items);
    for (size_t i = 0; visitor->code == ERROR_NONE && i < *count; i++)
        visit_step(visitor, &items[i]);
    *steps = items;
}

static void visit_version(struct visitor *visitor, struct state_version *version)
{
    visit_bytes(visitor, &version->rank, sizeof version->rank);
    visit_int64(visitor, &version->time);
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(version->digest >> (56 - 8 * i));
    visit_bytes(visitor, bytes, sizeof bytes);
    version->digest = 0;
    for (int i = 0; i < 8; i++)
        version->digest = version->digest << 8 | bytes[i];
}

static void visit_repository(struct visitor *visitor, struct github_repository *repository)
{
    visit_slice(visitor, &repository->full_name);
    visit_slice(visitor, &repository->owner);
    visit_slice(visitor, &repository->name);
    visit_slice(visitor, &repository->html_url);
    visit_slice(visitor, &repository->default_branch);
    visit_slice(visitor, &repository->service_name);
}

// For the lists of a body's members (github/event.h), which are stored in that order.
static bool has_member(const struct visitor *visitor, int layout)
{
    return layout == 1 || (layout > 1 && visitor->layout >= layout);
}

#define VISIT_number visit_int64
#define VISIT_time visit_int64
#define VISIT_flag visit_bool
#define VISIT_text visit_slice
#define VISIT_FIELD(type, member, layout, words)                                                   \
    _Static_assert((layout) <= NEWEST, "layout of " #member " in store/versions.h");               \
    if (has_member(visitor, layout))                                                               \
        VISIT_##type(visitor, &body->member);
#define VISIT_LIST(type, member, count, layout, words)                                             \
    _Static_assert((layout) <= NEWEST, "layout of " #member " in store/versions.h");               \
    if (has_member(visitor, layout))                                                               \
        visit_##type##s(visitor, &body->member, &body->count);

static void visit_job_body(struct visitor *visitor, struct github_job *body)
{
    body->action =
        (enum github_job_action)visit_choice(visitor, body->action, GITHUB_JOB_COMPLETED + 1);
    enum { NEWEST = STORE_JOB_LAYOUT };
    GITHUB_JOB_FIELDS(VISIT_FIELD, VISIT_LIST)
}

static void visit_run_body(struct visitor *visitor, struct github_run *body)
{
    body->action =
        (enum github_run_action)visit_choice(visitor, body->action, GITHUB_RUN_COMPLETED + 1);
    visit_int64(visitor, &body->run_number);
    enum { NEWEST = STORE_RUN_LAYOUT };
    GITHUB_RUN_FIELDS(VISIT_FIELD, VISIT_LIST)
}

static void visit_server(struct visitor *visitor, struct slice *server)
{
    if (visitor->layout >= 2)
        visit_slice(visitor, server);
}

// The server, as layout 1 has it.
static void find_server(struct visitor *visitor, struct slice url, struct slice *server,
                        bool *is_any)
{
    if (visitor->layout >= 2 || visitor->code != ERROR_NONE)
        return;
    *is_any = url.len == 0;
    visitor->code = github_server_of_url(url, visitor->arena, server);
}

// An older layout does not record which end of a closed job was sent: no end before its closing counts as later.
static void visit_closed_job(struct visitor *visitor, struct job_state *state)
{
    if (visitor->layout < 2) {
        state->body_version =
            (struct state_version){GITHUB_JOB_COMPLETED, state->closed_at, STATE_DIGEST_MASK};
        return;
    }
    visit_version(visitor, &state->body_version);
    visit_int64(visitor, &state->created_at);
    visit_int64(visitor, &state->queued_at);
    visit_int64(visitor, &state->last_queued);
    visit_int64(visitor, &state->last_waiting);
    state->counted_result =
        (enum run_result)visit_choice(visitor, state->counted_result, RUN_RESULTS);
    if (visitor->layout >= 3)
        visit_int64(visitor, &state->assigned_at);
}

static void visit_job_state(struct visitor *visitor, struct job_state *state)
{
    state->phase = (enum job_phase)visit_choice(visitor, state->phase, JOB_CLOSED_LACKING + 1);
    visit_int64(visitor, &state->run_id);
    visit_int64(visitor, &state->run_attempt);
    visit_int64(visitor, &state->job_id);
    visit_int64(visitor, &state->closed_at);
    visit_int64(visitor, &state->deadline);
    visit_server(visitor, &state->server);
    if (state->phase == JOB_CLOSED) {
        visit_closed_job(visitor, state);
        return;
    }
    visit_bytes(visitor, &state->seen, sizeof state->seen);
    visit_int64(visitor, &state->created_at);
    visit_int64(visitor, &state->queued_at);
    visit_int64(visitor, &state->last_queued);
    visit_int64(visitor, &state->last_waiting);
    visit_int64(visitor, &state->last_received);
    visit_int64(visitor, &state->settling_since);
    visit_version(visitor, &state->body_version);
    visit_repository(visitor, &state->repository);
    visit_job_body(visitor, &state->body);
    visit_version(visitor, &state->runner_version);
    visit_int64(visitor, &state->runner_id);
    visit_slice(visitor, &state->runner_name);
    visit_slice(visitor, &state->runner_group_name);
    visit_version(visitor, &state->deployment_version);
    visit_int64(visitor, &state->deployment_id);
    visit_slice(visitor, &state->deployment_environment);
    if (visitor->layout >= 2)
        state->counted_result =
            (enum run_result)visit_choice(visitor, state->counted_result, RUN_RESULTS);
    if (visitor->layout >= 3) {
        visit_int64(visitor, &state->assigned_at);
        visit_int64(visitor, &state->arc_wait_since);
    }
    if (visitor->layout >= 4)
        visit_int64(visitor, &state->ended_by);
}

// Layout 1 had only the worst of the jobs' results.
static void visit_results(struct visitor *visitor, int64_t results[RUN_RESULTS])
{
    if (visitor->layout >= 2) {
        for (int i = 0; i < RUN_RESULTS; i++)
            visit_int64(visitor, &results[i]);
        return;
    }
    int worst = RUN_RESULTS - 1;
    while (worst > 0 && results[worst] == 0)
        worst--;
    results[visit_choice(visitor, worst, RUN_RESULTS)] = 1;
}

// A run whose root was sent and that has no open job: layout 1 does not record which of its ends was sent. No end up to
// that of the root counts as later.
static void close_old_run(struct run_state *state)
{
    state->body_version =
        (struct state_version){state->is_completed ? 1 : 0, state->end, STATE_DIGEST_MASK};
    state->body.updated_at = state->end;
    state->has_no_body = true;
}

static void visit_run_state(struct visitor *visitor, struct run_state *state)
{
    state->phase = (enum run_phase)visit_choice(visitor, state->phase, RUN_SENT_INCOMPLETE + 1);
    visit_bytes(visitor, &state->seen, sizeof state->seen);
    visit_bool(visitor, &state->is_completed);
    visit_int64(visitor, &state->run_id);
    visit_int64(visitor, &state->run_attempt);
    visit_int64(visitor, &state->source_job_id);
    visit_int64(visitor, &state->open_jobs);
    visit_int64(visitor, &state->closed_jobs);
    visit_int64(visitor, &state->first_job_start);
    visit_int64(visitor, &state->last_job_end);
    visit_results(visitor, state->results);
    visit_int64(visitor, &state->completed_received);
    visit_int64(visitor, &state->last_received);
    visit_int64(visitor, &state->last_job_closed_at);
    visit_int64(visitor, &state->end);
    visit_bool(visitor, &state->jobs_swept);
    visit_bytes(visitor, state->sweep_after.bytes, sizeof state->sweep_after.bytes);
    visit_int64(visitor, &state->deadline);
    visit_slice(visitor, &state->body.workflow_name);
    visit_slice(visitor, &state->body.head_branch);
    visit_server(visitor, &state->server);
    if (visitor->layout < 2 && state->phase == RUN_SENT && state->open_jobs == 0) {
        close_old_run(state);
        return;
    }
    visit_version(visitor, &state->body_version);
    visit_repository(visitor, &state->repository);
    visit_run_body(visitor, &state->body);
    visit_repository(visitor, &state->job_repository);
    visit_slice(visitor, &state->job_workflow_name);
    visit_slice(visitor, &state->job_head_branch);
    visit_slice(visitor, &state->job_head_sha);
    if (visitor->layout < 2)
        return;
    int64_t digest = state->root_digest;
    visit_int64(visitor, &digest);
    state->root_digest = (uint32_t)digest;
    visit_bool(visitor, &state->has_no_body);
}

struct layout_range {
    uint8_t oldest, newest;
};

static struct layout_range layouts_of(enum codec_kind kind)
{
    switch (kind) {
    case CODEC_JOB:
        return (struct layout_range){STORE_JOB_LAYOUT_OLDEST, STORE_JOB_LAYOUT};
    case CODEC_RUN:
        return (struct layout_range){STORE_RUN_LAYOUT_OLDEST, STORE_RUN_LAYOUT};
    case CODEC_UNKNOWN:
        break;
    }
    return (struct layout_range){0, 0};
}

static void visit_header(struct visitor *visitor, enum codec_kind kind)
{
    const struct layout_range known = layouts_of(kind);
    uint8_t header[2] = {(uint8_t)kind, visitor->layout};
    visit_bytes(visitor, header, sizeof header);
    if (visitor->code != ERROR_NONE)
        return;
    visitor->layout = header[1];
    if (header[0] != kind || visitor->layout < known.oldest)
        visitor->code = ERROR_CORRUPT;
    else if (visitor->layout > known.newest)
        visitor->code = ERROR_VERSION;
}

enum error_code codec_encode_job_as(const struct job_state *state, uint8_t layout,
                                    struct buffer *out)
{
    struct visitor visitor = {.out = out, .layout = layout};
    struct job_state copy = *state;
    visit_header(&visitor, CODEC_JOB);
    visit_job_state(&visitor, &copy);
    return visitor.code;
}

enum error_code codec_encode_run_as(const struct run_state *state, uint8_t layout,
                                    struct buffer *out)
{
    struct visitor visitor = {.out = out, .layout = layout};
    struct run_state copy = *state;
    visit_header(&visitor, CODEC_RUN);
    visit_run_state(&visitor, &copy);
    return visitor.code;
}

enum error_code codec_encode_job(const struct job_state *state, struct buffer *out)
{
    return codec_encode_job_as(state, STORE_JOB_LAYOUT, out);
}

enum error_code codec_encode_run(const struct run_state *state, struct buffer *out)
{
    return codec_encode_run_as(state, STORE_RUN_LAYOUT, out);
}

enum codec_kind codec_kind_of(struct slice bytes)
{
    enum codec_kind kind = bytes.len > 0 ? (enum codec_kind)bytes.data[0] : CODEC_UNKNOWN;
    switch (kind) {
    case CODEC_JOB:
    case CODEC_RUN:
        return kind;
    case CODEC_UNKNOWN:
        break;
    }
    return CODEC_UNKNOWN; // any other byte
}

bool codec_is(struct slice bytes, enum codec_kind kind)
{
    return codec_kind_of(bytes) == kind;
}

enum error_code codec_refuse_unknown(struct error *error)
{
    return error_set(error, ERROR_CORRUPT, "a stored span is neither job nor run");
}

static struct visitor reader_of(struct slice bytes, struct arena *arena)
{
    const uint8_t *start = (const uint8_t *)bytes.data;
    return (struct visitor){.next = start, .end = start + bytes.len, .arena = arena};
}

static const char *name_of(enum codec_kind kind)
{
    switch (kind) {
    case CODEC_JOB:
        return "job";
    case CODEC_RUN:
        return "run";
    case CODEC_UNKNOWN:
        break;
    }
    return "span";
}

static enum error_code end_of_reading(const struct visitor *visitor, enum codec_kind kind,
                                      struct error *error)
{
    const char *what = name_of(kind);
    const struct layout_range known = layouts_of(kind);
    if (visitor->code == ERROR_MEMORY)
        return error_set(error, ERROR_MEMORY, "read stored %s: out of memory", what);
    if (visitor->code == ERROR_VERSION)
        // Treated as damage: this entry is set aside and kept, and the others are still read.
        return error_set(error, ERROR_CORRUPT,
                         "stored %s has layout %u, this ghatrace reads layouts %u to %u: use the "
                         "version that wrote it",
                         what, (unsigned)visitor->layout, (unsigned)known.oldest,
                         (unsigned)known.newest);
    if (visitor->code != ERROR_NONE || visitor->next != visitor->end)
        return error_set(error, ERROR_CORRUPT, "stored %s is damaged", what);
    return ERROR_NONE;
}

enum error_code codec_decode_job(struct slice bytes, struct arena *arena, struct job_state *state,
                                 struct error *error)
{
    struct visitor visitor = reader_of(bytes, arena);
    *state = (struct job_state){0};
    visit_header(&visitor, CODEC_JOB);
    visit_job_state(&visitor, state);
    find_server(&visitor, state->repository.html_url, &state->server, &state->is_of_any_server);
    state->body.job_id = state->job_id;
    state->body.run_id = state->run_id;
    state->body.run_attempt = state->run_attempt;
    return end_of_reading(&visitor, CODEC_JOB, error);
}

enum error_code codec_decode_run(struct slice bytes, struct arena *arena, struct run_state *state,
                                 struct error *error)
{
    struct visitor visitor = reader_of(bytes, arena);
    *state = (struct run_state){0};
    visit_header(&visitor, CODEC_RUN);
    visit_run_state(&visitor, state);
    find_server(&visitor,
                state->repository.html_url.len > 0 ? state->repository.html_url
                                                   : state->job_repository.html_url,
                &state->server, &state->is_of_any_server);
    state->body.run_id = state->run_id;
    state->body.run_attempt = state->run_attempt;
    return end_of_reading(&visitor, CODEC_RUN, error);
}

// --- notes -------------------------------------------------------------------------------------------------

enum { NOTE_IS_COMPLETED = 1, NOTE_HAS_WAITED = 1, NOTE_IS_ASSIGNED = 2 };

#define DIGEST_BYTES 5
#define JOBS_MAX 0xffffff

struct note_writer {
    uint8_t *next;
};

static void put_note_number(struct note_writer *writer, uint64_t value, int size)
{
    for (int i = size - 1; i >= 0; i--)
        *writer->next++ = (uint8_t)(value >> (8 * i));
}

static void put_note_version(struct note_writer *writer, const struct state_version *version)
{
    put_note_number(writer, (uint64_t)version->time, 8);
    put_note_number(writer, version->digest >> (64 - 8 * DIGEST_BYTES), DIGEST_BYTES);
}

struct note_reader {
    const uint8_t *next;
};

static uint64_t get_note_number(struct note_reader *reader, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | *reader->next++;
    return value;
}

static struct state_version get_note_version(struct note_reader *reader, uint8_t rank)
{
    timestamp_ns time = (timestamp_ns)get_note_number(reader, 8);
    uint64_t digest = get_note_number(reader, DIGEST_BYTES) << (64 - 8 * DIGEST_BYTES);
    return (struct state_version){rank, time, digest};
}

void codec_encode_run_note(const struct run_state *state, uint8_t bytes[STORE_RUN_NOTE_SIZE])
{
    struct note_writer writer = {bytes};
    put_note_number(&writer, state->is_completed ? NOTE_IS_COMPLETED : 0, 1);
    put_note_number(&writer, state->seen, 1);
    put_note_version(&writer, &state->body_version);
    put_note_number(&writer, (uint64_t)state->body.run_started_at, 8);
    put_note_number(&writer, (uint64_t)state->first_job_start, 8);
    put_note_number(&writer, (uint64_t)state->last_job_end, 8);
    put_note_number(&writer, (uint64_t)(state->completed_received / NS_PER_SECOND), 4);
    put_note_number(&writer,
                    (uint64_t)(state->closed_jobs < JOBS_MAX ? state->closed_jobs : JOBS_MAX), 3);
    put_note_number(&writer, state->root_digest, 4);
}

void codec_decode_run_note(const uint8_t bytes[STORE_RUN_NOTE_SIZE], struct run_state *state)
{
    struct note_reader reader = {bytes};
    bool is_completed = (get_note_number(&reader, 1) & NOTE_IS_COMPLETED) != 0;
    *state =
        (struct run_state){.phase = RUN_SENT, .is_completed = is_completed, .has_no_body = true};
    state->seen = (uint8_t)get_note_number(&reader, 1);
    state->body_version = get_note_version(&reader, is_completed ? 1 : 0);
    state->body.updated_at = state->body_version.time;
    state->body.run_started_at = (timestamp_ns)get_note_number(&reader, 8);
    state->first_job_start = (timestamp_ns)get_note_number(&reader, 8);
    state->last_job_end = (timestamp_ns)get_note_number(&reader, 8);
    state->completed_received = (timestamp_ns)get_note_number(&reader, 4) * NS_PER_SECOND;
    state->closed_jobs = (int64_t)get_note_number(&reader, 3);
    state->root_digest = (uint32_t)get_note_number(&reader, 4);
    timestamp_ns end = timestamp_later(state->body.updated_at, state->last_job_end);
    state->end = timestamp_later(end, state->body.run_started_at);
}

void codec_encode_old_run_note(const struct run_state *state,
                               uint8_t bytes[STORE_OLD_RUN_NOTE_SIZE])
{
    bytes[0] = state->is_completed ? NOTE_IS_COMPLETED : 0;
}

void codec_decode_old_run_note(const uint8_t bytes[STORE_OLD_RUN_NOTE_SIZE],
                               struct run_state *state)
{
    *state = (struct run_state){.phase = RUN_REMEMBERED,
                                .is_completed = (bytes[0] & NOTE_IS_COMPLETED) != 0};
}

void codec_encode_job_note(const struct job_state *state, uint8_t bytes[STORE_JOB_NOTE_SIZE],
                           bool *has_waited)
{
    struct note_writer writer = {bytes};
    bool is_old = state->created_at == TIMESTAMP_UNKNOWN && state->queued_at != TIMESTAMP_UNKNOWN;
    *has_waited = state->last_waiting != TIMESTAMP_UNKNOWN || is_old;
    int is_assigned = state->assigned_at != TIMESTAMP_UNKNOWN ? NOTE_IS_ASSIGNED : 0;
    put_note_number(&writer, (uint64_t)((*has_waited ? NOTE_HAS_WAITED : 0) | is_assigned), 1);
    put_note_version(&writer, &state->body_version);
}

void codec_decode_job_note(const uint8_t bytes[STORE_JOB_NOTE_SIZE], struct job_state *state,
                           bool *has_waited)
{
    struct note_reader reader = {bytes};
    *has_waited = (get_note_number(&reader, 1) & NOTE_HAS_WAITED) != 0;
    *state = (struct job_state){.phase = JOB_CLOSED,
                                .body_version = get_note_version(&reader, GITHUB_JOB_COMPLETED)};
    uint64_t result = state->body_version.digest >> 56;
    state->counted_result = result < RUN_RESULTS ? (enum run_result)result : RUN_RESULT_NONE;
}

void codec_encode_waited_job_note(const struct job_state *state,
                                  uint8_t bytes[STORE_WAITED_JOB_NOTE_SIZE])
{
    struct note_writer writer = {bytes};
    put_note_number(&writer, (uint64_t)timestamp_first_known(state->created_at, state->queued_at),
                    8);
    put_note_number(&writer, (uint64_t)state->last_queued, 8);
    put_note_number(&writer, (uint64_t)state->last_waiting, 8);
}

void codec_decode_waited_job_note(const uint8_t bytes[STORE_WAITED_JOB_NOTE_SIZE],
                                  struct job_state *state)
{
    struct note_reader reader = {bytes};
    state->queued_at = (timestamp_ns)get_note_number(&reader, 8);
    state->last_queued = (timestamp_ns)get_note_number(&reader, 8);
    state->last_waiting = (timestamp_ns)get_note_number(&reader, 8);
}

bool codec_job_note_is_assigned(const uint8_t bytes[STORE_JOB_NOTE_SIZE])
{
    return (bytes[0] & NOTE_IS_ASSIGNED) != 0;
}

void codec_encode_assigned_job_note(const struct job_state *state,
                                    uint8_t bytes[STORE_ASSIGNED_JOB_NOTE_SIZE])
{
    struct note_writer writer = {bytes};
    put_note_number(&writer, (uint64_t)state->assigned_at, 8);
}

void codec_decode_assigned_job_note(const uint8_t bytes[STORE_ASSIGNED_JOB_NOTE_SIZE],
                                    struct job_state *state)
{
    struct note_reader reader = {bytes};
    state->assigned_at = (timestamp_ns)get_note_number(&reader, 8);
}
