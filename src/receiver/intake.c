// Requests: from the head, through the decoder and the engine, to the response.
//
// A request is answered when the engine has committed, or when it has waited for the answer time: then with 503, and
// what the engine has of it goes on. Repeats are harmless. So a request has memory of its own, apart from its
// connection, which may read the next one meanwhile.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "arc_spans.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/gzip.h"
#include "private.h"

#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)
#define MESSAGE_MAX 400
#define CHALLENGE "Bearer realm=\"ghatrace\""

// READ → WAITING → IN_ENGINE, or READ → ENDED; WAITING and IN_ENGINE → ENDED.
enum intake_state {
    INTAKE_READ,      // it is decoded, in on_request
    INTAKE_WAITING,   // until the engine has less to do
    INTAKE_IN_ENGINE, //
    INTAKE_ENDED,     // freed at once
};

struct intake {
    struct receiver *receiver;
    struct http_conn *conn; // held
    enum intake_state state;
    bool is_answered;
    struct receiver_head head;
    timestamp_ns since; // monotonic: when it was complete
    timestamp_ns received_at;
    struct arena arena;
    struct buffer body;
    size_t counted_bytes; // in receiver->intake_bytes
    struct otlp_request request;
    // Role arc: the reports that the engine has, and the spans of each.
    struct arc_report *reports;
    size_t *report_spans;
    size_t report_count;
    enum arc_outcome *arc_outcomes;
    struct arc_match *arc_matches;
    uint64_t refused_arc[ARC_OUTCOMES];     // spans
    uint64_t not_arc;                       // spans
    enum forward_outcome *forward_outcomes; // role job
    struct engine_task task;
    struct net_task outcome_task; // posted by the engine's thread to the loop
    TAILQ_ENTRY(intake) unanswered, waiting;
};

static struct receiver *receiver_of(const struct http_conn *conn)
{
    return conn->host->context;
}

// --- counting and logging -------------------------------------------------------------------------

static void increase(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static void count_answer(struct receiver *receiver, int status)
{
    increase(&receiver->sums.requests, 1);
    if (status >= 400)
        increase(&receiver->sums.refusals[http_refusal_of_status(status)], 1);
}

// The cause is in the request, or in how its sender is configured.
static bool is_suspect_status(int status)
{
    enum http_refusal refusal = http_refusal_of_status(status);
    return status >= 400 && refusal != HTTP_UNAVAILABLE && refusal != HTTP_TOO_SLOW;
}

// Never logs the body or the token.
static void log_answer(const struct http_conn *conn, int status, const char *reason)
{
    struct receiver *receiver = receiver_of(conn);
    bool is_suspect = is_suspect_status(status);
    char peer[NET_ADDRESS_TEXT_SIZE];
    uint64_t suppressed = 0;

    if (!log_is_enabled(is_suspect ? LOG_WARN : LOG_DEBUG))
        return;
    if (is_suspect &&
        !log_limit_allows(status == 401 ? &receiver->token_lines : &receiver->refusal_lines,
                          timestamp_monotonic(), &suppressed))
        return;
    const struct log_field fields[] = {
        LOG_INT("status", status),
        LOG_STRING("reason", reason),
        LOG_STRING("peer", http_conn_format_peer(conn, peer)),
        suppressed > 0 ? LOG_INT("suppressed", suppressed) : LOG_END,
        LOG_END,
    };
    log_write(is_suspect ? LOG_WARN : LOG_DEBUG,
              is_suspect ? "request to otlp-listen is refused" : "request to otlp-listen", fields);
}

// --- responses ------------------------------------------------------------------------------------

// google.rpc.Code of an HTTP status.
static int64_t rpc_code(int status)
{
    switch (status) {
    case 401:
        return 16; // UNAUTHENTICATED
    case 403:
        return 7; // PERMISSION_DENIED
    case 404:
        return 5; // NOT_FOUND
    case 405:
        return 12; // UNIMPLEMENTED
    case 408:
        return 4; // DEADLINE_EXCEEDED
    case 413:
    case 414:
    case 431:
        return 8; // RESOURCE_EXHAUSTED
    case 503:
        return 14; // UNAVAILABLE
    default:
        return status >= 500 ? 13 : 3; // INTERNAL, INVALID_ARGUMENT
    }
}

static void set_body(struct http_response *response, int status, const struct buffer *body,
                     bool is_json)
{
    size_t len = body->len < sizeof response->text ? body->len : 0;

    if (len > 0)
        memcpy(response->text, body->data, len);
    http_response_set(response, status, (struct slice){response->text, len});
    response->content_type = is_json ? "application/json" : "application/x-protobuf";
}

static bool wants_json(const struct http_conn *conn)
{
    const struct receiver_head *head = conn->request;

    return head != NULL ? head->is_json : !receiver_is_protobuf(&conn->parser.message);
}

static void set_otlp_error(struct http_conn *conn, int status, const char *message,
                           struct http_response *response)
{
    bool is_json = wants_json(conn);
    struct buffer body;

    buffer_init(&body, HTTP_RESPONSE_TEXT_SIZE - 1);
    if (otlp_encode_status(is_json, rpc_code(status), slice_from_string(message), &body) !=
        ERROR_NONE)
        buffer_clear(&body);
    set_body(response, status, &body, is_json);
    response->challenge = CHALLENGE;
    if (status == 405)
        response->allow = "POST";
    buffer_release(&body);
}

static void respond_with_otlp_error(struct http_conn *conn, int status, const char *message)
{
    struct http_response response;

    set_otlp_error(conn, status, message, &response);
    count_answer(receiver_of(conn), status);
    log_answer(conn, status, message);
    http_conn_respond(conn, &response);
}

// --- the head -------------------------------------------------------------------------------------

// What the last head of the connection says. NULL: out of memory.
static struct receiver_head *head_of(struct http_conn *conn)
{
    if (conn->request == NULL)
        conn->request = memory_allocate_array(1, sizeof(struct receiver_head));
    return conn->request;
}

// Repeated failures from a client are delayed progressively. Valid tokens are never delayed.
static void refuse_token(struct http_conn *conn, const struct http_head *head, const char *message)
{
    struct receiver *receiver = receiver_of(conn);
    struct net_ip client;
    duration_ns delay = 0;

    if (http_conn_find_client(conn, head, &receiver->options.trusted_proxies, &client))
        delay = auth_failures_note(receiver->failures, &client, timestamp_monotonic());
    if (delay == 0) {
        respond_with_otlp_error(conn, 401, message);
        return;
    }
    count_answer(receiver, 401);
    log_answer(conn, 401, message);
    http_conn_respond_late(conn, 401, message, delay);
}

static bool on_head(struct http_conn *conn, const struct http_head *head)
{
    struct receiver *receiver = receiver_of(conn);
    struct receiver_head *read = head_of(conn);
    struct receiver_refused refused = {503, "out of memory"};
    struct net_ip peer;

    bool is_known = net_ip_from_address(net_connection_peer(conn->connection), &peer);
    if (read != NULL &&
        receiver_check_head(head, &receiver->access, is_known ? &peer : NULL, read, &refused)) {
        conn->body_memory = &receiver->body_memory[read->role];
        return true;
    }
    if (refused.status == 401)
        refuse_token(conn, head, refused.message);
    else
        respond_with_otlp_error(conn, refused.status, refused.message);
    return false;
}

// --- the life of a request ------------------------------------------------------------------------

static void move_intake(struct intake *intake, enum intake_state to)
{
    struct receiver *receiver = intake->receiver;

    assert(to > intake->state);
    if (intake->state == INTAKE_WAITING)
        TAILQ_REMOVE(&receiver->waiting[intake->head.role], intake, waiting);
    if (intake->state == INTAKE_IN_ENGINE) {
        receiver->engine_tasks--;
        receiver->engine_spans -= intake->request.span_count;
    }
    intake->state = to;
    if (to == INTAKE_WAITING)
        TAILQ_INSERT_TAIL(&receiver->waiting[intake->head.role], intake, waiting);
    if (to == INTAKE_IN_ENGINE) {
        receiver->engine_tasks++;
        receiver->engine_spans += intake->request.span_count;
    }
}

static struct intake *create_intake(struct receiver *receiver, struct http_conn *conn)
{
    const struct receiver_head *head = conn->request;
    struct intake *intake = NULL;

    if (receiver->intake_bytes < RECEIVER_REQUEST_MEMORY / (head->role == RECEIVER_ARC ? 1 : 2))
        intake = memory_allocate_array(1, sizeof *intake);
    if (intake == NULL)
        return NULL;
    intake->receiver = receiver;
    intake->conn = conn;
    http_conn_ref(conn);
    intake->head = *head;
    intake->since = timestamp_monotonic();
    intake->received_at = timestamp_now();
    arena_init(&intake->arena, ARENA_BLOCK_BYTES);
    buffer_init(&intake->body, RECEIVER_INFLATED_MAX);
    TAILQ_INSERT_TAIL(&receiver->unanswered, intake, unanswered);
    return intake;
}

static void set_answer_timer(struct receiver *receiver)
{
    const struct intake *first = TAILQ_FIRST(&receiver->unanswered);

    if (first == NULL) {
        net_timer_cancel(receiver->answer_timer);
        return;
    }
    duration_ns left = receiver->options.answer_time - (timestamp_monotonic() - first->since);
    net_timer_set(receiver->answer_timer, left > 0 ? left : 0);
}

static void note_answered(struct intake *intake)
{
    struct receiver *receiver = intake->receiver;

    assert(!intake->is_answered);
    intake->is_answered = true;
    TAILQ_REMOVE(&receiver->unanswered, intake, unanswered);
}

static void end_intake(struct intake *intake)
{
    struct receiver *receiver = intake->receiver;
    struct http_conn *conn = intake->conn;

    assert(intake->is_answered);
    move_intake(intake, INTAKE_ENDED);
    receiver->intake_bytes -= intake->counted_bytes;
    arena_release(&intake->arena);
    buffer_release(&intake->body);
    memory_free(intake);
    http_conn_unref(conn); // may end the loop
}

static void answer_error(struct intake *intake, int status, const char *message)
{
    note_answered(intake);
    respond_with_otlp_error(intake->conn, status, message);
}

static void answer(struct intake *intake, int64_t rejected, struct slice message)
{
    struct http_response response;
    struct buffer body;

    note_answered(intake);
    buffer_init(&body, HTTP_RESPONSE_TEXT_SIZE - 1);
    if (otlp_encode_response(intake->head.is_json, rejected, message, &body) != ERROR_NONE)
        buffer_clear(&body);
    set_body(&response, 200, &body, intake->head.is_json);
    count_answer(intake->receiver, 200);
    log_answer(intake->conn, 200, rejected > 0 ? "some spans are refused" : "accepted");
    http_conn_respond(intake->conn, &response);
    buffer_release(&body);
}

void receiver_answer_late(void *context)
{
    struct receiver *receiver = context;
    timestamp_ns now = timestamp_monotonic();
    struct intake *intake;

    while ((intake = TAILQ_FIRST(&receiver->unanswered)) != NULL &&
           now - intake->since >= receiver->options.answer_time) {
        answer_error(intake, 503, "not stored in time, try again later");
        if (intake->state == INTAKE_WAITING)
            end_intake(intake);
    }
    set_answer_timer(receiver);
}

// --- partial success ------------------------------------------------------------------------------

struct refused_spans {
    int64_t count;
    char words[MESSAGE_MAX]; // "2 no_parent, 1 our_id"
    size_t len;
};

static void add_refused(struct refused_spans *refused, uint64_t count, const char *reason)
{
    if (count == 0)
        return;
    refused->count += (int64_t)count;
    int len =
        snprintf(refused->words + refused->len, sizeof refused->words - refused->len, "%s%llu %s",
                 refused->len > 0 ? ", " : "", (unsigned long long)count, reason);
    refused->len += (size_t)len; // a few short words for each of a few reasons: they fit
    assert(refused->len < sizeof refused->words);
}

// OTLP specification, "Partial Success": how many spans are refused, and why.
static void answer_with(struct intake *intake, const struct refused_spans *refused)
{
    char text[MESSAGE_MAX + 64];
    int len = refused->count == 0 ? 0
                                  : snprintf(text, sizeof text, "%lld span%s refused: %s",
                                             (long long)refused->count,
                                             refused->count == 1 ? "" : "s", refused->words);

    answer(intake, refused->count, (struct slice){text, (size_t)len});
}

// --- role arc -------------------------------------------------------------------------------------

// Whether the sender is at fault.
static bool is_refused_report(enum arc_outcome outcome)
{
    switch (outcome) {
    case ARC_AMBIGUOUS:
    case ARC_MALFORMED:
    case ARC_SHED:
        return true;
    case ARC_MATCHED:
    case ARC_HELD:
    case ARC_LATE:
    case ARC_UNTRACED:
    case ARC_NO_TIME:
    case ARC_EXPIRED:
    case ARC_OUTCOMES:
        break;
    }
    return false;
}

static void count_refused_report(struct intake *intake, size_t spans, enum arc_outcome outcome)
{
    if (is_refused_report(outcome))
        intake->refused_arc[outcome] += spans;
}

// Of an outcome that the engine was not asked for.
static void note_own_outcome(struct intake *intake, const struct arc_report *report, size_t spans,
                             enum arc_outcome outcome)
{
    receiver_note_report(&intake->receiver->reports, report, outcome, NULL, intake->received_at);
    count_refused_report(intake, spans, outcome);
    increase(&intake->receiver->sums.arc_reports[outcome], 1);
}

// True: the engine is to be asked.
static bool is_traced(const struct receiver_options *options, const struct arc_report *report)
{
    return report->repository.len == 0 ||
           ingress_repository_is_wanted(options->repos, options->repo_count, report->repository);
}

static void count_refused_spans(struct intake *intake)
{
    const struct otlp_request *request = &intake->request;

    for (size_t i = 0; i < request->scope_count; i++)
        for (size_t k = 0; k < request->scopes[i].span_count; k++) {
            const struct otlp_received_span *span = &request->scopes[i].spans[k];
            if (!arc_sends_span_named(span->name))
                intake->not_arc++;
            else if (span->fault != OTLP_SPAN_FINE)
                intake->refused_arc[ARC_MALFORMED]++;
        }
    increase(&intake->receiver->sums.not_arc, intake->not_arc);
}

// Keeps those for the engine; what becomes of the others is known at once.
static enum error_code prepare_reports(struct intake *intake, struct error *error)
{
    struct arc_reports arc;
    enum error_code code =
        arc_reports_of_request(&intake->request, intake->received_at, &intake->arena, &arc, error);
    if (code != ERROR_NONE)
        return code;
    intake->arc_outcomes =
        arena_allocate_array(&intake->arena, arc.count + 1, sizeof *intake->arc_outcomes);
    intake->arc_matches =
        arena_allocate_array(&intake->arena, arc.count + 1, sizeof *intake->arc_matches);
    if (intake->arc_outcomes == NULL || intake->arc_matches == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    intake->reports = arc.reports;
    intake->report_spans = arc.span_counts;
    for (size_t i = 0; i < arc.count; i++) {
        const struct arc_report *report = &arc.reports[i];
        if (i >= arc.well_formed) {
            note_own_outcome(intake, report, arc.span_counts[i], ARC_MALFORMED);
        } else if (!is_traced(&intake->receiver->options, report)) {
            note_own_outcome(intake, report, arc.span_counts[i], ARC_UNTRACED);
        } else {
            intake->reports[intake->report_count] = *report;
            intake->report_spans[intake->report_count++] = arc.span_counts[i];
        }
    }
    count_refused_spans(intake);
    return ERROR_NONE;
}

static void answer_reports(struct intake *intake)
{
    struct refused_spans refused = {0};

    for (size_t i = 0; i < ARC_OUTCOMES; i++)
        add_refused(&refused, intake->refused_arc[i], arc_outcome_names[i]);
    add_refused(&refused, intake->not_arc, "not_arc");
    answer_with(intake, &refused);
}

// A listener of ARC that was given a job token reports nothing.
static void count_arc_names(const struct intake *intake)
{
    const struct otlp_request *request = &intake->request;
    uint64_t count = 0;

    for (size_t i = 0; i < request->scope_count; i++)
        for (size_t k = 0; k < request->scopes[i].span_count; k++)
            count += arc_sends_span_named(request->scopes[i].spans[k].name);
    if (count > 0)
        increase(&intake->receiver->sums.arc_named, count);
}

// --- role job -------------------------------------------------------------------------------------

static bool is_refused_span(enum forward_outcome outcome)
{
    switch (outcome) {
    case FORWARD_MALFORMED:
    case FORWARD_NO_PARENT:
    case FORWARD_OUR_ID:
    case FORWARD_NO_ROOM:
    case FORWARD_NO_EXPORT:
    case FORWARD_EXPIRED:
    case FORWARD_SHED:
        return true;
    case FORWARD_ACCEPTED:
    case FORWARD_HELD:
    case FORWARD_OUTCOMES:
        break;
    }
    return false;
}

static void answer_spans(struct intake *intake)
{
    struct refused_spans refused = {0};
    uint64_t counts[FORWARD_OUTCOMES] = {0};

    for (size_t i = 0; i < intake->request.span_count; i++)
        counts[intake->forward_outcomes[i]]++;
    // Nothing of it was taken, and later there may be room.
    if (counts[FORWARD_NO_ROOM] == intake->request.span_count) {
        answer_error(intake, 503, "no room for spans of jobs at present, try again later");
        return;
    }
    for (size_t i = 0; i < FORWARD_OUTCOMES; i++)
        if (is_refused_span((enum forward_outcome)i))
            add_refused(&refused, counts[i], forward_outcome_names[i]);
    answer_with(intake, &refused);
}

// --- the engine -----------------------------------------------------------------------------------

static void submit_waiting(struct receiver *receiver);

static void note_engine_outcomes(struct intake *intake)
{
    for (size_t i = 0; i < intake->report_count; i++) {
        receiver_note_report(&intake->receiver->reports, &intake->reports[i],
                             intake->arc_outcomes[i], &intake->arc_matches[i], intake->received_at);
        count_refused_report(intake, intake->report_spans[i], intake->arc_outcomes[i]);
    }
}

static void answer_outcome(struct intake *intake)
{
    bool is_stored = intake->task.outcome == ENGINE_ACCEPTED;

    if (intake->is_answered)
        return;
    if (!is_stored)
        answer_error(intake, 503,
                     intake->task.outcome == ENGINE_FULL ? "no room at present, try again later"
                                                         : "could not be stored, try again later");
    else if (intake->head.role == RECEIVER_ARC)
        answer_reports(intake);
    else
        answer_spans(intake);
}

// In the loop's thread. The client may have disconnected, or been answered, meanwhile.
static void on_outcome(void *context)
{
    struct intake *intake = context;
    struct receiver *receiver = intake->receiver;

    if (intake->task.outcome == ENGINE_ACCEPTED)
        note_engine_outcomes(intake);
    answer_outcome(intake);
    set_answer_timer(receiver);
    end_intake(intake);
    submit_waiting(receiver);
}

// In the engine's thread; inside submit() if the engine refuses the task.
static void on_engine_done(struct engine_task *task)
{
    struct intake *intake = task->context;

    net_loop_post(intake->receiver->loop, &intake->outcome_task);
}

static void submit(struct intake *intake)
{
    intake->outcome_task = (struct net_task){.run = on_outcome, .context = intake};
    intake->task = (struct engine_task){
        .type = intake->head.role == RECEIVER_ARC ? ENGINE_APPLY_ARC_REPORTS : ENGINE_FORWARD_SPANS,
        .on_done = on_engine_done,
        .context = intake,
        .received_at = intake->received_at,
        .arc_reports = intake->reports,
        .arc_report_count = intake->report_count,
        .arc_outcomes = intake->arc_outcomes,
        .arc_matches = intake->arc_matches,
        .scopes = intake->request.scopes,
        .scope_count = intake->request.scope_count,
        .forward_outcomes = intake->forward_outcomes};
    move_intake(intake, INTAKE_IN_ENGINE);
    engine_submit(intake->receiver->engine, &intake->task);
}

static bool has_room_in_engine(const struct receiver *receiver, const struct intake *intake)
{
    return receiver->engine_tasks == 0 ||
           (receiver->engine_tasks < RECEIVER_ENGINE_TASKS &&
            receiver->engine_spans + intake->request.span_count <= RECEIVER_ENGINE_SPANS);
}

// ARC first: it waits for the answer, and a flood with a job's token is not to delay it.
static void submit_waiting(struct receiver *receiver)
{
    static const enum receiver_role order[] = {RECEIVER_ARC, RECEIVER_JOB};
    struct intake *intake;

    for (size_t i = 0; i < RECEIVER_ROLES; i++)
        while ((intake = TAILQ_FIRST(&receiver->waiting[order[i]])) != NULL) {
            if (!has_room_in_engine(receiver, intake))
                return;
            submit(intake);
        }
}

// --- the request ----------------------------------------------------------------------------------

static int status_of_code(enum error_code code)
{
    return code == ERROR_TOO_LARGE ? 413 : code == ERROR_MEMORY ? 503 : 400;
}

// The request's own copy of the body, inflated.
static enum error_code copy_body(struct intake *intake, struct slice body, struct error *error)
{
    enum error_code code = intake->head.is_gzip ? gzip_expand(body, &intake->body)
                                                : buffer_append_slice(&intake->body, body);
    if (code == ERROR_CORRUPT)
        return error_set(error, code, "content-encoding: the body is not gzip, or damaged");
    if (code == ERROR_TOO_LARGE)
        return error_set(error, code, "the body is over the limit");
    return code == ERROR_NONE ? code : error_set(error, code, "%s", error_code_text(code));
}

static enum error_code decode(struct intake *intake, struct slice body, struct error *error)
{
    static const struct otlp_request_limits limits = {
        .spans = RECEIVER_SPANS_MAX,
        .attributes = RECEIVER_ATTRIBUTES_MAX,
        .span_bytes = RECEIVER_SPAN_BYTES_MAX,
        .resource_bytes = RECEIVER_RESOURCE_BYTES_MAX,
    };
    enum error_code code = copy_body(intake, body, error);
    const struct slice copied = buffer_slice(&intake->body);
    if (code == ERROR_NONE && intake->head.is_json)
        code = otlp_decode_json_request(copied, &limits, &intake->arena, &intake->request, error);
    else if (code == ERROR_NONE)
        code = otlp_decode_request(copied, &limits, &intake->arena, &intake->request, error);
    if (code == ERROR_NONE)
        increase(&intake->receiver->sums.spans[intake->head.role], intake->request.span_count);
    return code;
}

// True: there is something for the engine.
static enum error_code prepare(struct intake *intake, bool *is_for_engine, struct error *error)
{
    enum error_code code;

    if (intake->head.role == RECEIVER_ARC) {
        code = prepare_reports(intake, error);
        *is_for_engine = intake->report_count > 0;
        return code;
    }
    count_arc_names(intake);
    *is_for_engine = intake->request.span_count > 0;
    intake->forward_outcomes = arena_allocate_array(&intake->arena, intake->request.span_count,
                                                    sizeof *intake->forward_outcomes);
    return intake->forward_outcomes != NULL || !*is_for_engine
               ? ERROR_NONE
               : error_set(error, ERROR_MEMORY, "out of memory");
}

static void count_memory(struct intake *intake)
{
    intake->counted_bytes = intake->arena.held + intake->body.capacity;
    intake->receiver->intake_bytes += intake->counted_bytes;
}

// Whether requests of jobs may be decoded now.
static bool has_job_time(struct receiver *receiver)
{
    timestamp_ns now = timestamp_monotonic();
    duration_ns left = receiver->job_time + (now - receiver->job_time_since) / 2;

    receiver->job_time = left < RECEIVER_JOB_TIME_MAX ? left : RECEIVER_JOB_TIME_MAX;
    receiver->job_time_since = now;
    return receiver->job_time >= 0;
}

static enum error_code read_intake(struct intake *intake, struct slice body, bool *is_for_engine,
                                   struct error *error)
{
    enum error_code code = decode(intake, body, error);

    if (code == ERROR_NONE)
        code = prepare(intake, is_for_engine, error);
    count_memory(intake);
    if (intake->head.role == RECEIVER_JOB)
        intake->receiver->job_time -= timestamp_monotonic() - intake->since;
    return code;
}

static void on_request(struct http_conn *conn, const struct http_head *head, struct slice body)
{
    struct receiver *receiver = receiver_of(conn);
    const struct receiver_head *read = conn->request;
    struct intake *intake = NULL;
    bool is_for_engine = false;
    struct error error;

    (void)head;
    if (read->role == RECEIVER_ARC || has_job_time(receiver))
        intake = create_intake(receiver, conn);
    if (intake == NULL) {
        respond_with_otlp_error(conn, 503, "too many requests at a time, try again later");
        return;
    }
    enum error_code code = read_intake(intake, body, &is_for_engine, &error);
    if (code == ERROR_NONE && is_for_engine) {
        move_intake(intake, INTAKE_WAITING);
        submit_waiting(receiver);
    } else if (code != ERROR_NONE) {
        answer_error(intake, status_of_code(code), error.message);
        end_intake(intake);
    } else {
        answer_reports(intake);
        end_intake(intake);
    }
    set_answer_timer(receiver);
}

static void on_refused(struct http_conn *conn, int status, const char *reason)
{
    count_answer(receiver_of(conn), status);
    log_answer(conn, status, reason);
}

static void on_free(struct http_conn *conn)
{
    memory_free(conn->request);
}

const struct http_service receiver_service = {
    .on_head = on_head,
    .on_request = on_request,
    .on_refused = on_refused,
    .set_error = set_otlp_error,
    .on_free = on_free,
};
