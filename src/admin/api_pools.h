// What the responses about all pools and about one pool have in common. Private to api_pools.c and api_pool.c.
#ifndef GHATRACE_ADMIN_API_POOLS_H
#define GHATRACE_ADMIN_API_POOLS_H

#include <stdbool.h>
#include <stddef.h>

#include "api_object.h"
#include "ghatrace/view/pools_view.h"
#include "ghatrace/view/queue_view.h"

// The members of a pool, inside an object. ERROR_MEMORY.
enum error_code api_put_pool(struct api_object *object,
                             const struct pools_view_pool *row) MUST_CHECK;
// "past": incidents that are over; of one pool, if it is not empty.
enum error_code api_put_past(struct api_object *object, struct slice pool) MUST_CHECK;
// "ceilings": all of the view, or with `only` the one at that place; POOLS_VIEW_NO_CEILING: none of them.
enum error_code api_put_ceilings(struct api_object *object, const struct pools_view *view,
                                 const size_t *only) MUST_CHECK;
// A pool by its name in any case, or by its labels in any order. ERROR_NOT_FOUND, with a message.
enum error_code api_find_pool(const struct view_reader *reader, struct slice name,
                              struct pool *pool) MUST_CHECK;

// --- lists of open jobs ---

struct api_open_jobs {
    struct api_object object;
    size_t end;   // limit for the list in the response
    size_t pools; // listed
};

// A visitor of open jobs, whose context is a struct api_open_jobs. ERROR_FULL: the list is at its limit, and the job is
// not in it.
enum error_code api_put_open_job(void *context, const struct job_state *job,
                                 const struct open_job_state *open_state, const struct pool *pool,
                                 bool has_ended) MUST_CHECK;
// Empty: OPEN_JOB_NONE. ERROR_USAGE, with a message.
enum error_code api_read_state(struct slice text, enum open_job_kind *state,
                               struct error *error) MUST_CHECK;

#endif
