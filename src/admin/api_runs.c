// The JSON API: one run, and lists of runs.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/github/server.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/stats/open_runs.h"
#include "ghatrace/stats/recent.h"

// --- one run attempt ------------------------------------------------------------------------------

// Limit for spans as protobuf, before they are converted to JSON.
#define SPANS_MAX_BYTES ((size_t)64 * 1024 * 1024)

static void put_servers(struct json_out *json, const struct found_run *runs, size_t count)
{
    json_out_open_array(json, "servers");
    for (size_t i = 0; i < count; i++)
        json_out_text(json, NULL, github_server_name(runs[i].server));
    json_out_close_array(json);
}

static enum error_code put_attempts(struct store_transaction *transaction, struct json_out *json,
                                    const struct found_run *run, struct arena *arena,
                                    struct error *error)
{
    const struct run_question question = {.server = github_server_name(run->server),
                                          .run_id = run->run.run_id};
    int64_t attempts[RUN_ATTEMPTS_MAX];
    size_t count;
    enum error_code code =
        run_list_attempts(transaction, &question, arena, attempts, &count, error);
    if (code != ERROR_NONE)
        return code;
    json_out_open_array(json, "attempts");
    for (size_t i = 0; i < count; i++)
        json_out_count(json, NULL, (uint64_t)attempts[i]);
    json_out_close_array(json);
    return ERROR_NONE;
}

static void put_critical_path(struct json_out *json, const struct run_view *run)
{
    json_out_open_array(json, "critical_path");
    for (size_t i = 0; i < run->count; i++)
        if (run->jobs[i].is_critical)
            json_out_id(json, NULL, run->jobs[i].job_id);
    json_out_close_array(json);
}

static enum error_code put_one_run(const struct view_sources *sources,
                                   struct store_transaction *transaction, struct json_out *json,
                                   const struct run_question *question, timestamp_ns now,
                                   struct arena *arena, struct error *error)
{
    const struct run_view_limits limits = {
        .jobs = API_RUN_JOBS_MAX, .steps = true, .now = now, .id_scheme = sources->id_scheme};
    struct found_run found[FOUND_RUNS_MAX];
    struct run_view run;
    size_t count;
    enum error_code code = run_lookup(transaction, question, arena, found, &count, error);
    if (code == ERROR_NONE && count > 0)
        code = run_view_load(transaction, &found[0].run, &limits, arena, &run, error);
    if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && count == 0))
        return run_not_found(transaction, question, arena, error);
    if (code != ERROR_NONE)
        return code;
    json_out_open_object(json, NULL);
    json_out_time(json, "now", now);
    json_out_open_object(json, "run");
    api_put_run(json, sources, &run, arena);
    json_out_close_object(json);
    put_servers(json, found, count);
    code = put_attempts(transaction, json, &found[0], arena, error);
    api_put_jobs(json, &run, true);
    put_critical_path(json, &run);
    json_out_count(json, "unreadable", store_unreadable(transaction));
    json_out_close_object(json);
    return code;
}

enum error_code api_render_run(const struct view_sources *sources,
                               const struct run_question *question, timestamp_ns now,
                               struct arena *arena, struct buffer *out, struct error *error)
{
    struct store_transaction *transaction;
    struct json_out json;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, out);
    code = put_one_run(sources, transaction, &json, question, now, arena, error);
    store_abort(transaction);
    return code == ERROR_NONE ? api_finish(&json, error) : code;
}

static enum error_code read_spans(struct store_transaction *transaction,
                                  const struct run_question *question, struct arena *arena,
                                  struct buffer *request, struct error *error)
{
    struct found_run found[FOUND_RUNS_MAX];
    size_t count;
    enum error_code code = run_lookup(transaction, question, arena, found, &count, error);
    if (code == ERROR_NONE && count == 0)
        return run_not_found(transaction, question, arena, error);
    if (code == ERROR_NONE)
        code = run_view_load_spans(transaction, &found[0].run, request, error);
    if (code == ERROR_NOT_FOUND)
        return error_set(error, ERROR_NOT_FOUND,
                         "run %" PRId64 " attempt %" PRId64
                         ": nothing finished of it is in the store; the setting history says how "
                         "long finished runs are kept",
                         question->run_id, found[0].run.run_attempt);
    return code;
}

enum error_code api_render_spans(const struct view_sources *sources,
                                 const struct run_question *question, struct arena *arena,
                                 struct buffer *out, struct error *error)
{
    struct store_transaction *transaction;
    struct buffer request;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    buffer_init(&request, SPANS_MAX_BYTES);
    code = read_spans(transaction, question, arena, &request, error);
    store_abort(transaction);
    if (code == ERROR_NONE)
        code = otlp_json_from_protobuf(buffer_slice(&request), out, error);
    buffer_release(&request);
    return code;
}

// --- runs, open and finished, the newest first ----------------------------------------------------

#define OPEN_RUN_JOBS 60      // of each run in the list
#define OPEN_JOBS_IN_ALL 2000 // for all runs: finished jobs are decoded in each request
#define RUN_ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define CURSOR_SIZE (16 + 2 * TRACE_ID_SIZE)
#define NEXT_MAX 96 // two numbers of 19 digits and a trace

struct listing {
    const struct view_sources *sources;
    const struct api_runs_query *query;
    struct store_transaction *transaction;
    struct arena *arena;
    struct error *error;
    struct json_out json;
    timestamp_ns now;
    struct arena run_arena; // for the current run, which is often discarded
    size_t count;           // in the response
    size_t jobs;            // in the response
    size_t end;             // limit for the list in the response
    struct slice server;    // the query's, in the form used in states
    char next[NEXT_MAX];
};

// --- filters --------------------------------------------------------------------------------------

static bool contains_text(struct slice text, struct slice part)
{
    if (part.len == 0 || part.len > text.len)
        return part.len == 0;
    for (size_t at = 0; at + part.len <= text.len; at++)
        if (slice_equals_ignoring_case((struct slice){text.data + at, part.len}, part))
            return true;
    return false;
}

static bool holds_text(const struct run_view *run, struct slice part)
{
    char id[24];
    int len = snprintf(id, sizeof id, "%" PRId64, run->run_id);
    return contains_text(run->repository, part) || contains_text(run->workflow, part) ||
           contains_text(run->branch, part) || contains_text(run->title, part) ||
           contains_text((struct slice){id, (size_t)len}, part);
}

static bool is_listed_run(const struct listing *listing, const struct run_view *run)
{
    const struct api_runs_query *query = listing->query;
    return (query->server.len == 0 || slice_equals(run->server, listing->server)) &&
           contains_text(run->repository, query->repository) &&
           contains_text(run->workflow, query->workflow) &&
           contains_text(run->branch, query->branch) &&
           (query->result.len == 0 || slice_equals_ignoring_case(run->result, query->result)) &&
           holds_text(run, query->text);
}

static void put_run(struct listing *listing, const struct run_view *run)
{
    json_out_open_object(&listing->json, NULL);
    api_put_run(&listing->json, listing->sources, run, listing->arena);
    if (listing->query->open)
        api_put_jobs(&listing->json, run, false);
    json_out_close_object(&listing->json);
    listing->count++;
    listing->jobs += run->count;
}

static bool is_at_end(const struct listing *listing)
{
    return listing->count == listing->query->limit || listing->json.writer.out->len > listing->end;
}

// --- finished -------------------------------------------------------------------------------------

static void write_place(const struct recent_place *place, char text[NEXT_MAX])
{
    snprintf(text, NEXT_MAX, "%016" PRIx64, (uint64_t)place->at);
    hex_encode(place->trace.bytes, TRACE_ID_SIZE, text + 16);
    text[CURSOR_SIZE] = '\0';
}

static bool read_place(struct slice cursor, struct recent_place *place)
{
    static const struct trace_id none;
    uint8_t bytes[8];
    uint64_t at = 0;
    *place = (struct recent_place){0};
    if (cursor.len == 0)
        return true;
    if (cursor.len != CURSOR_SIZE || !hex_decode(cursor.data, 16, bytes, sizeof bytes) ||
        !hex_decode(cursor.data + 16, 2 * TRACE_ID_SIZE, place->trace.bytes, TRACE_ID_SIZE))
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        at = at << 8 | bytes[i];
    place->at = (timestamp_ns)at;
    // All zero is valid, too: the next page starts with the newest finished run, after a page without runs.
    return place->at > 0 || (at == 0 && memcmp(&place->trace, &none, sizeof none) == 0);
}

static enum error_code list_finished(struct listing *listing)
{
    struct recent_place place;
    if (!read_place(listing->query->cursor, &place))
        return error_set(listing->error, ERROR_USAGE, "cursor: not one of ours");
    for (size_t looked_at = 0; looked_at < API_RUNS_LOOKED_AT; looked_at++) {
        struct recent_run recent;
        struct run_view run;
        if (is_at_end(listing))
            break;
        enum error_code code =
            recent_seek_older(listing->transaction, &place, &recent, listing->error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        place = recent.place;
        arena_clear(&listing->run_arena);
        if (run_view_from_recent(&recent, &listing->run_arena, &run) != ERROR_NONE)
            return error_set(listing->error, ERROR_MEMORY, "list runs: out of memory");
        if (is_listed_run(listing, &run))
            put_run(listing, &run);
    }
    write_place(&place, listing->next);
    return ERROR_NONE;
}

// --- open -----------------------------------------------------------------------------------------

static struct slice take_part(struct slice *rest)
{
    ptrdiff_t dash = slice_find(*rest, SLICE("-"));
    size_t len = dash < 0 ? rest->len : (size_t)dash;
    size_t taken = dash < 0 ? len : len + 1;
    struct slice part = {rest->data, len};
    *rest = (struct slice){rest->data + taken, rest->len - taken};
    return part;
}

// "RUN-ATTEMPT"; for servers other than github.com "RUN-ATTEMPT-TRACE".
static bool read_open_run(struct slice cursor, struct stored_run *place)
{
    long long run_id, run_attempt;
    *place = (struct stored_run){.run_id = 0};
    if (cursor.len == 0)
        return true;
    if (!slice_parse_int64(take_part(&cursor), &run_id) ||
        !slice_parse_int64(take_part(&cursor), &run_attempt))
        return false;
    *place = stored_run_of(SLICE_EMPTY, run_id, run_attempt);
    if (cursor.len > 0 && (cursor.len != 2 * TRACE_ID_SIZE ||
                           !hex_decode(cursor.data, cursor.len, place->trace.bytes, TRACE_ID_SIZE)))
        return false;
    return (run_id > 0 && run_attempt > 0) || (run_id == 0 && run_attempt == 0); // as above
}

static void write_open_run(const struct stored_run *place, char text[NEXT_MAX])
{
    char hex[2 * TRACE_ID_SIZE + 1];
    bool is_usual = place->run_id == 0 || stored_run_is_usual(place);
    hex_encode(place->trace.bytes, TRACE_ID_SIZE, hex);
    snprintf(text, NEXT_MAX, "%" PRId64 "-%" PRId64 "%s%.*s", place->run_id, place->run_attempt,
             is_usual ? "" : "-", is_usual ? 0 : 2 * TRACE_ID_SIZE, hex);
}

static bool has_filter(const struct api_runs_query *query)
{
    return query->repository.len + query->workflow.len + query->branch.len + query->result.len +
               query->text.len + query->server.len >
           0;
}

static enum error_code load_open_run(struct listing *listing, const struct stored_run *place,
                                     size_t jobs, struct run_view *run)
{
    const struct run_view_limits limits = {
        .jobs = jobs, .now = listing->now, .id_scheme = listing->sources->id_scheme};
    arena_clear(&listing->run_arena);
    return run_view_load(listing->transaction, place, &limits, &listing->run_arena, run,
                         listing->error);
}

// Counts an open run whose state is missing or unreadable.
static enum error_code skip_unreadable_run(const struct listing *listing)
{
    store_note_unreadable(listing->transaction);
    return ERROR_NONE;
}

// No filter depends on jobs, and they are the most expensive part: they are read only for matching runs.
static enum error_code take_open_run(struct listing *listing, const struct stored_run *place)
{
    size_t jobs = listing->jobs < OPEN_JOBS_IN_ALL ? OPEN_JOBS_IN_ALL - listing->jobs : 0;
    struct run_view run;
    if (has_filter(listing->query)) {
        enum error_code code = load_open_run(listing, place, 0, &run);
        if (code == ERROR_NOT_FOUND)
            return skip_unreadable_run(listing);
        if (code != ERROR_NONE || !is_listed_run(listing, &run))
            return code;
    }
    enum error_code code =
        load_open_run(listing, place, jobs < OPEN_RUN_JOBS ? jobs : OPEN_RUN_JOBS, &run);
    if (code == ERROR_NOT_FOUND)
        return skip_unreadable_run(listing);
    if (code == ERROR_NONE)
        put_run(listing, &run);
    return code;
}

static enum error_code list_open(struct listing *listing)
{
    struct stored_run place;
    if (!read_open_run(listing->query->cursor, &place))
        return error_set(listing->error, ERROR_USAGE, "cursor: not one of ours");
    for (size_t looked_at = 0; looked_at < API_RUNS_LOOKED_AT; looked_at++) {
        if (is_at_end(listing))
            break;
        enum error_code code = open_runs_seek_older(listing->transaction, &place, listing->error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = take_open_run(listing, &place);
        if (code != ERROR_NONE)
            return code;
    }
    write_open_run(&place, listing->next);
    return ERROR_NONE;
}

enum error_code api_render_runs(const struct view_sources *sources,
                                const struct api_runs_query *query, timestamp_ns now,
                                struct arena *arena, struct buffer *out, struct error *error)
{
    struct listing listing = {
        .sources = sources, .query = query, .arena = arena, .error = error, .now = now};
    if (github_server_of_name(query->server, arena, &listing.server) != ERROR_NONE)
        return error_set(error, ERROR_MEMORY, "list runs: out of memory");
    enum error_code code = store_begin(sources->store, false, &listing.transaction, error);
    if (code != ERROR_NONE)
        return code;
    arena_init(&listing.run_arena, RUN_ARENA_BLOCK_BYTES);
    json_out_init(&listing.json, out);
    listing.end = api_list_end(out);
    json_out_open_object(&listing.json, NULL);
    json_out_time(&listing.json, "now", now);
    json_out_open_array(&listing.json, "runs");
    code = query->open ? list_open(&listing) : list_finished(&listing);
    json_out_close_array(&listing.json);
    json_out_text(&listing.json, "next", slice_from_string(listing.next));
    json_out_count(&listing.json, "unreadable", store_unreadable(listing.transaction));
    json_out_close_object(&listing.json);
    store_abort(listing.transaction);
    arena_release(&listing.run_arena);
    return code == ERROR_NONE ? api_finish(&listing.json, error) : code;
}
