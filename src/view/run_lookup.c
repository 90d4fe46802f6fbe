// Finds where runs are stored: by number, attempt and server.
#include "ghatrace/view/run_lookup.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/stats/recent.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/view/run_view.h"
#include "private.h"

bool run_question_parse(struct slice text, struct run_question *question)
{
    ptrdiff_t slash = slice_find(text, SLICE("/"));
    size_t len = slash < 0 ? text.len : (size_t)slash;
    long long id, attempt = 0;
    if (!slice_parse_int64((struct slice){text.data, len}, &id) || id <= 0)
        return false;
    if (slash >= 0 &&
        (!slice_parse_int64((struct slice){text.data + len + 1, text.len - len - 1}, &attempt) ||
         attempt <= 0))
        return false;
    question->run_id = id;
    question->run_attempt = attempt;
    return true;
}

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

// --- the servers of runs stored under the keys of github.com --------------------------------------

// An unreadable state is ignored: ERROR_NOT_FOUND.
static enum error_code ask_state(struct lookup *lookup, const struct stored_run *run,
                                 struct slice *server)
{
    struct run_state state;
    enum error_code code =
        run_state_read(lookup->transaction, run, lookup->arena, &state, lookup->error);
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
    return recent_run_server(&recent, lookup->arena, server);
}

static enum error_code ask_record(struct lookup *lookup, const struct stored_run *run,
                                  struct slice *server)
{
    struct store_key key = {.trace = run->trace};
    struct store_record record;
    struct span_batch batch;
    uint64_t sequence;
    enum error_code code = trace_seek_record(lookup->transaction, &key, &sequence, lookup->error);
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

// --- lookup ---------------------------------------------------------------------------------------

// Keeps one run per server: if old and new versions both stored one, the newer attempt.
static void add_found(struct lookup *lookup, const struct found_run *found)
{
    for (size_t i = 0; i < lookup->count; i++) {
        if (!slice_equals(lookup->runs[i].server, found->server))
            continue;
        if (found->run.run_attempt > lookup->runs[i].run.run_attempt)
            lookup->runs[i] = *found;
        return;
    }
    assert(lookup->count < FOUND_RUNS_MAX);
    lookup->runs[lookup->count++] = *found;
}

static enum error_code add_attempt_if_there(struct lookup *lookup, struct slice place,
                                            bool is_shared, int64_t attempt, bool *is_added)
{
    struct found_run found = {stored_run_of(place, lookup->question->run_id, attempt), place};
    bool exists;
    enum error_code code = run_view_exists(lookup->transaction, &found.run, &exists, lookup->error);
    if (code != ERROR_NONE || !exists)
        return code;
    if (is_shared)
        code = find_owner(lookup, &found.run, &found.server);
    *is_added =
        code == ERROR_NONE && (!lookup->is_named || slice_equals(found.server, lookup->wanted));
    if (*is_added)
        add_found(lookup, &found);
    return code;
}

// `is_shared`: older versions stored the runs of all servers under these keys.
static enum error_code add_if_there(struct lookup *lookup, struct slice place, bool is_shared)
{
    int64_t asked = lookup->question->run_attempt;
    int64_t oldest = asked > 0 ? asked : 1;
    enum error_code code = ERROR_NONE;
    bool is_added = false;
    for (int64_t attempt = asked > 0 ? asked : RUN_ATTEMPTS_MAX;
         attempt >= oldest && !is_added && code == ERROR_NONE; attempt--)
        code = add_attempt_if_there(lookup, place, is_shared, attempt, &is_added);
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

// --- attempts -------------------------------------------------------------------------------------

enum error_code run_list_attempts(struct store_transaction *transaction,
                                  const struct run_question *question, struct arena *arena,
                                  int64_t attempts[RUN_ATTEMPTS_MAX], size_t *count,
                                  struct error *error)
{
    struct run_question asked = *question;
    *count = 0;
    for (int64_t attempt = 1; attempt <= RUN_ATTEMPTS_MAX; attempt++) {
        struct found_run runs[FOUND_RUNS_MAX];
        size_t found;
        asked.run_attempt = attempt;
        enum error_code code = run_lookup(transaction, &asked, arena, runs, &found, error);
        if (code != ERROR_NONE)
            return code;
        if (found > 0)
            attempts[(*count)++] = attempt;
    }
    return ERROR_NONE;
}

#define ATTEMPTS_TEXT_MAX 100 // bytes; the rest is omitted from the message

// "1, 2, 4"; three or more consecutive numbers as a range: "1-3".
static void write_attempts(const int64_t *attempts, size_t count, char text[ATTEMPTS_TEXT_MAX])
{
    size_t len = 0, end;
    text[0] = '\0';
    for (size_t start = 0; start < count; start = end) {
        char part[48];
        end = start + 1;
        while (end < count && attempts[end] == attempts[end - 1] + 1)
            end++;
        if (end - start < 3)
            end = start + 1;
        int part_len =
            snprintf(part, sizeof part, "%s%" PRId64, len > 0 ? ", " : "", attempts[start]);
        if (end > start + 1)
            part_len += snprintf(part + part_len, sizeof part - (size_t)part_len, "-%" PRId64,
                                 attempts[end - 1]);
        if (len + (size_t)part_len >= ATTEMPTS_TEXT_MAX)
            return;
        memcpy(text + len, part, (size_t)part_len + 1);
        len += (size_t)part_len;
    }
}

enum error_code run_not_found(struct store_transaction *transaction,
                              const struct run_question *question, struct arena *arena,
                              struct error *error)
{
    int64_t attempts[RUN_ATTEMPTS_MAX];
    char attempt[32] = "", list[ATTEMPTS_TEXT_MAX];
    size_t count;
    enum error_code code = run_list_attempts(transaction, question, arena, attempts, &count, error);
    if (code != ERROR_NONE)
        return code;
    if (question->run_attempt > 0)
        snprintf(attempt, sizeof attempt, " attempt %" PRId64, question->run_attempt);
    write_attempts(attempts, count, list);
    bool is_there = count > 0 && question->run_attempt == 0;
    for (size_t i = 0; i < count; i++)
        is_there = is_there || attempts[i] == question->run_attempt;
    if (is_there)
        return error_set(error, ERROR_NOT_FOUND,
                         "run %" PRId64 "%s: what is in the store of it cannot be read",
                         question->run_id, attempt);
    if (count > 0)
        return error_set(error, ERROR_NOT_FOUND,
                         "run %" PRId64 "%s: no such attempt is in the store; there %s %s",
                         question->run_id, attempt, count == 1 ? "is attempt" : "are attempts",
                         list);
    return error_set(error, ERROR_NOT_FOUND,
                     "run %" PRId64
                     "%s: nothing of it is in the store; see `ghatrace runs` for what "
                     "is open, and the setting history for how long finished runs are kept",
                     question->run_id, attempt);
}
