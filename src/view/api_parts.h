// What several answers of the API have in common.
#ifndef GHATRACE_VIEW_API_PARTS_H
#define GHATRACE_VIEW_API_PARTS_H

#include "ghatrace/trace/standing.h"
#include "ghatrace/view/api.h"
#include "ghatrace/view/json_out.h"
#include "ghatrace/view/run_view.h"

// Ends the text, and says what failed.
// How far a list may go in `out` before it ends with what it has, so that a few entries of an odd size cost others
// their places, and not the whole answer.
size_t api_list_end(const struct buffer *out);
enum error_code api_finish(struct json_out *json, struct error *error) MUST_CHECK;
const char *api_standing_text(enum standing_state standing); // STANDING_NONE: "finished"

// A run's fields, inside an object.
void api_put_run(struct json_out *json, const struct view_sources *sources,
                 const struct run_view *run, struct arena *arena);
// "jobs": [...]
void api_put_jobs(struct json_out *json, const struct run_view *run, bool steps);

#endif
