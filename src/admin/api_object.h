// What responses of the JSON API have in common: one object, read in one transaction. Private to the files api_*.c.
#ifndef GHATRACE_ADMIN_API_OBJECT_H
#define GHATRACE_ADMIN_API_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/json/write.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/view/run_view.h"

struct api_object {
    const struct api_call *call;
    struct view_reader reader; // with the transaction; memory from the arena of the call
    struct json_out json;
};

// Begins the object and its transaction, which api_end() ends. On failure, there is nothing to end.
enum error_code api_begin(const struct api_call *call, struct api_object *object) MUST_CHECK;
// `code`: of what was read for the object, and returned unless the text itself has an error, which gets its message
// here.
enum error_code api_end(struct api_object *object, enum error_code code) MUST_CHECK;
// Completes a text that is not made by api_begin(), and reports the first error in it.
enum error_code api_finish(struct json_out *json, struct error *error) MUST_CHECK;

// "unreadable": how many stored entries the transaction could not read.
void api_put_unreadable(struct api_object *object);
// The fields of a run, inside an object, and "jobs" without their steps (api_runs.c).
void api_put_run_fields(struct api_object *object, const struct run_view *run);
void api_put_run_jobs(struct json_out *json, const struct run_view *run);
// A count, or null if it is not known.
void api_put_known_count(struct json_out *json, const char *name, bool is_known, uint64_t count);
// The labels of a text that labels_join() made: "a,b" as ["a","b"], "a\,b" as ["a,b"].
void api_put_labels(struct json_out *json, const char *name, struct slice joined);
// The name of a pool, its labels and groups. `runner_labels` is the name alone if a rule names the pool, and
// `runner_group` are the groups joined: both are what they were when each group had a pool of its own.
void api_put_pool_names(struct json_out *json, const struct pool *pool);
const char *api_open_job_text(enum open_job_kind open_state);
// The size of the response at which a list must end, so that a few unusually large entries cause other entries to be
// omitted instead of making the whole response fail.
size_t api_list_end(const struct buffer *out);

#endif
