// Extends an exported root that does not cover all of its jobs; the root is read from the history.
#include "ghatrace/otlp/decode.h"
#include "ghatrace/stats/recent.h"
#include "ghatrace/trace/fingerprint.h"
#include "private.h"

// Finds the newest record of a root. ERROR_NOT_FOUND.
static enum error_code find_record(struct store_transaction *transaction,
                                   const struct store_key *key, struct store_record *record,
                                   struct error *error)
{
    uint64_t sequence;
    enum error_code code = store_newest_record(transaction, key, &sequence, error);
    return code == ERROR_NONE ? store_get_record(transaction, sequence, record, error) : code;
}

// Sets the same times in its entry in the list of recent runs.
static enum error_code extend_entry(struct engine_work *work, struct store_transaction *transaction,
                                    const struct trace_id *trace, const struct span *root,
                                    timestamp_ns now, struct error *error)
{
    struct recent_run run;
    const struct recent_place place = {.at = now, .trace = *trace};
    enum error_code code = recent_find(transaction, trace, &run, error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    run.measure.start = root->start;
    run.measure.end = root->end;
    return recent_put(work->stats, &place, &run.measure, error);
}

enum error_code work_extend_root(struct engine_work *work, struct store_transaction *transaction,
                                 struct work_run *run, const struct lifecycle_extension *extension,
                                 timestamp_ns now, struct error *error)
{
    const struct store_key key = {.trace = run->key.trace, .span = extension->span_id};
    struct store_record record;
    struct span_batch batch;
    enum error_code code = find_record(transaction, &key, &record, error);
    if (code == ERROR_NONE)
        code = otlp_decode_batch(record.body, &work->arena, &batch, error);
    if (code == ERROR_CORRUPT)
        store_note_unreadable(transaction);
    if (code == ERROR_NOT_FOUND || code == ERROR_CORRUPT ||
        (code == ERROR_NONE && batch.span_count != 1))
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    struct span *root = &batch.spans[0];
    timestamp_ns start = timestamp_earliest_known(root->start, extension->start);
    timestamp_ns end = timestamp_later(root->end, extension->end);
    if (start == root->start && end == root->end)
        return ERROR_NONE;
    root->start = start;
    root->end = end;
    run->state.root_digest = (uint32_t)fingerprint_of_batch(&batch);
    code = work_add_root(work, transaction, &key, &batch, now, error);
    return code == ERROR_NONE ? extend_entry(work, transaction, &key.trace, root, now, error)
                              : code;
}
