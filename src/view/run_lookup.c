// Where runs are stored.
#include "ghatrace/view/run_lookup.h"

#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/tally/recent.h"
#include "ghatrace/trace/attribute.h"
#include "ghatrace/view/run_view.h"

struct lookup {
    struct store_transaction *transaction;
    const struct run_question *question;
    struct slice wanted; // the question's server; empty: github.com
    bool is_named;
    struct arena *arena;
    struct found_run *runs;
    size_t count;
    struct error *error;
};

// --- whose is what is stored where github.com's are --------------------------------------------------------------

// What cannot be read says nothing: ERROR_NOT_FOUND.
static enum error_code ask_state(struct lookup *lookup, const struct stored_run *run,
                                 struct slice *server)
{
    const struct store_key key = {run->trace,
                                  span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
    struct run_state state;
    struct slice bytes;
    enum error_code code = store_get_span(lookup->transaction, &key, &bytes, lookup->error);
    if (code == ERROR_NONE)
        code = codec_decode_run(bytes, lookup->arena, &state, lookup->error);
    if (code == ERROR_CORRUPT || (code == ERROR_NONE && state.is_of_any_server))
        return ERROR_NOT_FOUND;
    if (code == ERROR_NONE)
        *server = state.server;
    return code;
}

static enum error_code ask_recent(struct lookup *lookup, const struct stored_run *run,
                                  struct slice *server)
{
    struct recent_run recent;
    enum error_code code = recent_find(lookup->transaction, &run->trace, &recent, lookup->error);
    if (code != ERROR_NONE)
        return code;
    return run_view_server_of_recent(&recent, lookup->arena, server);
}

static enum error_code ask_record(struct lookup *lookup, const struct stored_run *run,
                                  struct slice *server)
{
    struct store_key key = {.trace = run->trace};
    struct store_record record;
    struct span_batch batch;
    uint64_t sequence;
    enum error_code code = store_seek_history(lookup->transaction, &key, &sequence, lookup->error);
    if (code == ERROR_NONE && !trace_id_equals(&key.trace, &run->trace))
        return ERROR_NOT_FOUND;
    if (code == ERROR_NONE)
        code = store_get_record(lookup->transaction, sequence, &record, lookup->error);
    if (code == ERROR_NONE)
        code = otlp_decode_batch(record.body, lookup->arena, &batch, lookup->error);
    if (code != ERROR_NONE)
        return code == ERROR_CORRUPT ? ERROR_NOT_FOUND : code;
    return github_server_of_url(attributes_get_string(&batch.resource, "vcs.repository.url.full"),
                                lookup->arena, server);
}

static enum error_code find_owner(struct lookup *lookup, const struct stored_run *run,
                                  struct slice *server)
{
    *server = SLICE_EMPTY;
    enum error_code code = ask_state(lookup, run, server);
    if (code == ERROR_NOT_FOUND)
        code = ask_recent(lookup, run, server);
    if (code == ERROR_NOT_FOUND)
        code = ask_record(lookup, run, server);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- looking --------------------------------------------------------------------------------------------------

static enum error_code add_if_there(struct lookup *lookup, struct slice place, bool is_shared)
{
    const struct run_question *question = lookup->question;
    struct found_run found = {stored_run_of(place, question->run_id, question->run_attempt), place};
    bool exists;
    enum error_code code = run_view_exists(lookup->transaction, &found.run, &exists, lookup->error);
    if (code != ERROR_NONE || !exists)
        return code;
    if (is_shared)
        code = find_owner(lookup, &found.run, &found.server);
    bool is_wanted = !lookup->is_named || slice_equals(found.server, lookup->wanted);
    if (code == ERROR_NONE && is_wanted)
        lookup->runs[lookup->count++] = found;
    return code;
}

static enum error_code look_everywhere(struct lookup *lookup)
{
    struct slice servers[SERVERS_MAX];
    size_t count;
    enum error_code code = add_if_there(lookup, SLICE_EMPTY, true);
    if (code == ERROR_NONE)
        code = servers_list(lookup->transaction, lookup->arena, servers, &count, lookup->error);
    for (size_t i = 0; code == ERROR_NONE && i < count; i++)
        code = add_if_there(lookup, servers[i], false);
    return code;
}

enum error_code run_lookup(struct store_transaction *transaction,
                           const struct run_question *question, struct arena *arena,
                           struct found_run runs[FOUND_RUNS_MAX], size_t *count,
                           struct error *error)
{
    struct lookup lookup = {.transaction = transaction,
                            .question = question,
                            .is_named = question->server.len > 0,
                            .arena = arena,
                            .runs = runs,
                            .error = error};
    enum error_code code = ERROR_NONE;
    if (!lookup.is_named) {
        code = look_everywhere(&lookup);
    } else {
        code = github_server_of_name(question->server, arena, &lookup.wanted);
        if (code == ERROR_NONE && lookup.wanted.len > 0)
            code = add_if_there(&lookup, lookup.wanted, false);
        if (code == ERROR_NONE && lookup.count == 0)
            code = add_if_there(&lookup, SLICE_EMPTY, true);
    }
    *count = lookup.count;
    if (code == ERROR_MEMORY)
        error_set(error, ERROR_MEMORY, "look for a run: out of memory");
    return code;
}
