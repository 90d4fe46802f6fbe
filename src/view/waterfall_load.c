// Reads a run attempt's finished spans from the store.
#include <inttypes.h>

#include "ghatrace/github/server.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/view/waterfall.h"

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
