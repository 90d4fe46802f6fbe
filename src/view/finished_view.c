// Finished runs by their ends.
#include "ghatrace/view/finished_view.h"

#include <assert.h>

#include "ghatrace/stats/runs.h"

bool finished_filter_has(const struct finished_filter *filter, struct slice repository,
                         struct slice workflow)
{
    return slice_contains_ignoring_case(repository, filter->repository) &&
           slice_contains_ignoring_case(workflow, filter->workflow);
}

static bool is_wanted(const struct finished_filter *filter, const struct run_sample *run)
{
    return finished_filter_has(filter, run->repository, run->workflow) &&
           (!filter->is_failed || view_outcome_of(run->conclusion) == OUTCOME_FAILURE);
}

static enum error_code fail_finished_memory(const struct view_reader *reader)
{
    return error_set(reader->error, ERROR_MEMORY, "list finished runs: out of memory");
}

// The next run at or after `*place`, which is advanced to it. A store that an older version has written is read in the
// order in which runs were sent, until a daemon has listed all by their ends.
static enum error_code seek_finished(const struct view_reader *reader, bool has_ends,
                                     struct recent_place *place, struct recent_run *run)
{
    enum error_code code =
        has_ends ? recent_seek_ended_before(reader->transaction, place, run, reader->error)
                 : recent_seek_older(reader->transaction, place, run, reader->error);
    if (code == ERROR_NONE)
        *place = has_ends ? recent_end_place(run) : run->place;
    return code;
}

// Adds the runs until the list is full, and looks for one more.
static enum error_code collect(const struct view_reader *reader,
                               const struct finished_filter *filter, struct finished_view *view)
{
    struct recent_place place = {0};
    bool has_ends;
    enum error_code code = recent_has_ends(reader->transaction, &has_ends, reader->error);
    if (code != ERROR_NONE)
        return code;
    for (size_t looked_at = 0; looked_at < FINISHED_VIEW_LOOKED_AT; looked_at++) {
        struct recent_run run;
        code = seek_finished(reader, has_ends, &place, &run);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        bool is_early = recent_end_place(&run).at < filter->since;
        if (is_early && has_ends)
            return ERROR_NONE;
        if (is_early || !is_wanted(filter, &run.measure))
            continue;
        view->has_more = view->count == filter->limit;
        if (view->has_more)
            return ERROR_NONE;
        if (run_view_from_recent(&run, reader->arena, &view->runs[view->count++]) != ERROR_NONE)
            return fail_finished_memory(reader);
    }
    view->has_more = true;
    return ERROR_NONE;
}

enum error_code finished_view_load(const struct view_reader *reader,
                                   const struct finished_filter *filter, struct finished_view *view)
{
    assert(filter->limit > 0 && filter->limit <= FINISHED_VIEW_MOST);
    *view = (struct finished_view){
        .runs = arena_allocate_array(reader->arena, filter->limit, sizeof *view->runs)};
    return view->runs != NULL ? collect(reader, filter, view) : fail_finished_memory(reader);
}
