// What a job's workflow is called, where its own events do not say.
#include "ghatrace/view/workflow.h"

#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"

enum error_code workflow_name_job(struct store_transaction *transaction,
                                  const struct store_key *key, struct arena *arena,
                                  struct job_state *job, struct error *error)
{
    const struct store_key run_key = {
        .trace = key->trace, .span = span_id_of_run(ID_SCHEME_ARC, job->run_id, job->run_attempt)};
    struct run_state run = {0};
    struct slice bytes;
    if (job->body.workflow_name.len > 0)
        return ERROR_NONE;
    enum error_code code = store_get_span(transaction, &run_key, &bytes, error);
    if (code == ERROR_NONE)
        code = codec_decode_run(bytes, arena, &run, error);
    if (code == ERROR_NONE)
        job->body.workflow_name = run.seen != 0 ? run.body.workflow_name : run.job_workflow_name;
    return code == ERROR_NOT_FOUND || code == ERROR_CORRUPT ? ERROR_NONE : code;
}
