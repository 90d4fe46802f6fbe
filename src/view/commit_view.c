// The runs of a commit, and what it waited for.
#include "ghatrace/view/commit_view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/stats/commits.h"
#include "ghatrace/trace/spans.h"

// --- order ----------------------------------------------------------------------------------------

static int compare_int64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_commit_runs(const void *left, const void *right)
{
    const struct run_view *a = &((const struct commit_run *)left)->view;
    const struct run_view *b = &((const struct commit_run *)right)->view;
    int order = slice_compare(a->server, b->server);
    if (order == 0)
        order = slice_compare(a->repository, b->repository);
    if (order == 0)
        order = compare_int64(a->start, b->start);
    if (order == 0)
        order = compare_int64(a->run_id, b->run_id);
    return order != 0 ? order : compare_int64(a->run_attempt, b->run_attempt);
}

static int compare_commit_groups(const void *left, const void *right)
{
    const struct commit_group *a = left, *b = right;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    int order = slice_compare(a->server, b->server);
    return order != 0 ? order : slice_compare(a->repository, b->repository);
}

// --- the chain ------------------------------------------------------------------------------------

// GitHub's times have a resolution of one second, so what comes next may begin in the second in which this ends.
static bool is_before(struct view_interval time, timestamp_ns next)
{
    return time.start < next && time.end - NS_PER_SECOND <= next;
}

static struct view_interval job_interval(const struct commit_run *run,
                                         const struct run_view_job *job)
{
    timestamp_ns end = job->ended_at != TIMESTAMP_UNKNOWN ? job->ended_at : run->end;
    return (struct view_interval){job->created_at, timestamp_later(end, job->created_at)};
}

// The last to finish of the jobs that were over when `next` began; for TIMESTAMP_UNKNOWN of all. NULL: there is none.
static const struct run_view_job *job_before(const struct commit_run *run, timestamp_ns next)
{
    const struct run_view_job *last = NULL;
    timestamp_ns last_end = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < run->view.count; i++) {
        const struct run_view_job *job = &run->view.jobs[i];
        if (!run_view_job_ran(job) || job->created_at == TIMESTAMP_UNKNOWN)
            continue;
        struct view_interval time = job_interval(run, job);
        if (next != TIMESTAMP_UNKNOWN && !is_before(time, next))
            continue;
        if (last == NULL || time.end > last_end) {
            last = job;
            last_end = time.end;
        }
    }
    return last;
}

// The last to end of the runs that were over when this one began.
static const struct commit_run *run_before(const struct commit_group *group,
                                           const struct commit_run *next)
{
    const struct commit_run *last = NULL;
    for (size_t i = 0; i < group->count; i++) {
        const struct commit_run *run = &group->runs[i];
        const struct view_interval time = {run->view.start, run->end};
        if (run == next || !run->is_counted || run->view.is_open ||
            run->view.start == TIMESTAMP_UNKNOWN || !is_before(time, next->view.start))
            continue;
        if (last == NULL || run->end > last->end)
            last = run;
    }
    return last;
}

// Writes the links of one run, backwards; at least one. Returns their number.
static size_t link_run(const struct commit_run *run, struct commit_link *links)
{
    const struct run_view_job *job = job_before(run, TIMESTAMP_UNKNOWN);
    size_t count = 0;
    if (job == NULL)
        links[count++] = (struct commit_link){.run = run, .time = {run->view.start, run->end}};
    for (; job != NULL; job = job_before(run, job->created_at))
        links[count++] =
            (struct commit_link){.run = run, .job = job, .time = job_interval(run, job)};
    // Each job before another was created earlier, so none comes twice.
    assert(count <= (run->view.count > 0 ? run->view.count : 1));
    return count;
}

static void reverse_links(struct commit_link *links, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct commit_link copy = links[i];
        links[i] = links[count - 1 - i];
        links[count - 1 - i] = copy;
    }
}

// What of the phases is in the rest of the time, which then begins at their end.
static void measure_link(struct commit_link *link, struct view_interval *rest)
{
    for (size_t i = 0; link->job != NULL && i < PHASE_COUNT; i++) {
        struct view_interval phase = link->job->phases[i];
        if (phase.start == TIMESTAMP_UNKNOWN)
            continue;
        timestamp_ns end = phase.end == TIMESTAMP_UNKNOWN ? link->time.end : phase.end;
        timestamp_ns start = timestamp_later(phase.start, rest->start);
        end = timestamp_earlier(end, rest->end);
        if (end <= start)
            continue;
        link->times.phases[i] = end - start;
        rest->start = end;
    }
}

// Divides a time into what the links, in order, have of it, and the rest.
static struct commit_times divide(struct commit_link *links, size_t count,
                                  struct view_interval whole)
{
    struct commit_times times = {.other = whole.end - whole.start};
    struct view_interval rest = whole;
    if (whole.start == TIMESTAMP_UNKNOWN)
        return (struct commit_times){.other = 0};
    for (size_t i = 0; i < count; i++) {
        measure_link(&links[i], &rest);
        for (size_t phase = 0; phase < PHASE_COUNT; phase++) {
            times.phases[phase] += links[i].times.phases[phase];
            times.other -= links[i].times.phases[phase];
        }
    }
    return times;
}

// --- one group ------------------------------------------------------------------------------------

static bool is_scheduled(const struct commit_run *run)
{
    return slice_equals(run->view.event_name, SLICE("schedule"));
}

static void mark_runs(struct commit_group *group, timestamp_ns now)
{
    bool has_others = false;
    for (size_t i = 0; i < group->count; i++)
        has_others = has_others || !is_scheduled(&group->runs[i]);
    for (size_t i = 0; i < group->count; i++) {
        struct commit_run *run = &group->runs[i];
        const struct run_view *view = &run->view;
        bool has_end = !view->is_open && view->end != TIMESTAMP_UNKNOWN;
        run->end = timestamp_later(has_end ? view->end : now, view->start);
        run->is_counted = !has_others || !is_scheduled(run);
        run->is_newest = true;
        for (size_t j = 0; j < group->count; j++)
            run->is_newest =
                run->is_newest && (group->runs[j].view.run_id != view->run_id ||
                                   group->runs[j].view.run_attempt <= view->run_attempt);
    }
}

static bool is_push(const struct commit_run *run)
{
    return slice_equals(run->view.event_name, SLICE("push"));
}

static bool is_last_run(const struct commit_run *run, const struct commit_run *last)
{
    if (last == NULL || run->view.is_open != last->view.is_open)
        return last == NULL || run->view.is_open;
    return run->view.is_open ? run->view.start < last->view.start : run->end > last->end;
}

static void sum_up_runs(struct commit_group *group)
{
    enum run_result worst = RUN_RESULT_NONE;
    for (size_t i = 0; i < group->count; i++) {
        const struct commit_run *run = &group->runs[i];
        if (group->source == NULL || (is_push(run) && !is_push(group->source)))
            group->source = run;
        if (!run->is_counted)
            continue;
        group->first = timestamp_earliest_known(group->first, run->view.start);
        if (!run->is_newest)
            continue;
        group->last = timestamp_later(group->last, run->end);
        group->is_open = group->is_open || run->view.is_open;
        if (is_last_run(run, group->last_run))
            group->last_run = run;
        enum run_result result = build_result_of_conclusion(run->view.conclusion);
        if (!run->view.is_open && result > worst)
            worst = result;
    }
    if (!group->is_open || worst >= RUN_RESULT_STARTUP_FAILURE)
        group->conclusion = build_conclusion_of_result(worst);
}

static void link_runs(struct commit_group *group, struct commit_link *links)
{
    const struct commit_run *run = group->last_run;
    group->chain = links;
    // Each run before another began earlier, so none comes twice.
    for (; run != NULL; run = run_before(group, run))
        group->chain_count += link_run(run, links + group->chain_count);
    reverse_links(links, group->chain_count);
    group->waited =
        divide(links, group->chain_count, (struct view_interval){group->first, group->last});
}

// `links`: room for all jobs and runs of the group.
static void finish_commit_group(struct commit_group *group, timestamp_ns now,
                                struct commit_link *links)
{
    group->server = group->runs[0].view.server;
    group->repository = group->runs[0].view.repository;
    mark_runs(group, now);
    for (size_t i = 0; i < group->count; i++) {
        struct commit_run *run = &group->runs[i];
        size_t count = link_run(run, links);
        reverse_links(links, count);
        run->waited = divide(links, count, (struct view_interval){run->view.start, run->end});
    }
    sum_up_runs(group);
    link_runs(group, links);
}

// --- all groups -----------------------------------------------------------------------------------

static bool is_same_group(const struct commit_run *a, const struct commit_run *b)
{
    return slice_equals(a->view.server, b->view.server) &&
           slice_equals(a->view.repository, b->view.repository);
}

static bool add_commit_group(struct commit_view *view, struct commit_run *runs, size_t count,
                             timestamp_ns now, struct arena *arena)
{
    struct commit_group *group = &view->groups[view->group_count++];
    size_t most = count;
    for (size_t i = 0; i < count; i++)
        most += runs[i].view.count;
    struct commit_link *links = arena_allocate_array(arena, most, sizeof *links);
    *group = (struct commit_group){.runs = runs, .count = count};
    if (links != NULL)
        finish_commit_group(group, now, links);
    return links != NULL;
}

// Runs of the same start and id would be in the order of their arrival; there are none, but for damaged data.
static enum error_code group_runs(struct commit_run *runs, size_t count, timestamp_ns now,
                                  struct arena *arena, struct commit_view *view)
{
    size_t end;
    view->groups = arena_allocate_array(arena, count + 1, sizeof *view->groups);
    if (view->groups == NULL)
        return ERROR_MEMORY;
    if (count > 1)
        qsort(runs, count, sizeof *runs, compare_commit_runs);
    for (size_t start = 0; start < count; start = end) {
        for (end = start + 1; end < count && is_same_group(&runs[start], &runs[end]);)
            end++;
        if (!add_commit_group(view, runs + start, end - start, now, arena))
            return ERROR_MEMORY;
    }
    if (view->group_count > 1)
        qsort(view->groups, view->group_count, sizeof *view->groups, compare_commit_groups);
    return ERROR_NONE;
}

enum error_code commit_view_assemble(const struct run_view *runs, size_t count, timestamp_ns now,
                                     struct arena *arena, struct commit_view *view)
{
    struct commit_run *list = arena_allocate_array(arena, count + 1, sizeof *list);
    if (list == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        list[i] = (struct commit_run){.view = runs[i],
                                      .has_more_jobs = runs[i].job_count > (int64_t)runs[i].count};
    return group_runs(list, count, now, arena, view);
}

// --- reading --------------------------------------------------------------------------------------

static enum error_code fail_commit_memory(const struct view_reader *reader)
{
    return error_set(reader->error, ERROR_MEMORY, "read a commit: out of memory");
}

struct commit_loader {
    const struct view_reader *reader;
    const struct run_view_limits *limits;
    struct run_view *runs; // of each run the newest attempt first
    size_t count;
    size_t jobs;
    size_t bytes_left;
};

// Of this run; `server` NULL: of a run with this id, whose server is known only when it has been read.
static bool has_newer_attempt(const struct commit_loader *loader, int64_t run_id,
                              const struct slice *server)
{
    for (size_t i = 0; i < loader->count; i++)
        if (loader->runs[i].run_id == run_id &&
            (server == NULL || slice_equals(loader->runs[i].server, *server)))
            return true;
    return false;
}

static enum error_code load_run_of_commit(const struct commit_loader *loader,
                                          const struct stored_run *place, bool with_jobs,
                                          struct run_view *run)
{
    struct run_view_limits limits = *loader->limits;
    limits.steps = false;
    limits.jobs = with_jobs && loader->bytes_left > 0 ? COMMIT_VIEW_JOBS - loader->jobs : 0;
    limits.bytes = loader->bytes_left;
    return run_view_load(loader->reader, place, &limits, run);
}

static enum error_code add_run_of_commit(struct commit_loader *loader,
                                         const struct stored_run *place)
{
    struct run_view *run = &loader->runs[loader->count];
    bool is_newest = !has_newer_attempt(loader, place->run_id, NULL);
    enum error_code code = load_run_of_commit(loader, place, is_newest, run);
    if (code == ERROR_NONE && !is_newest &&
        !has_newer_attempt(loader, place->run_id, &run->server)) // it is another server's
        code = load_run_of_commit(loader, place, true, run);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    loader->jobs += run->count;
    loader->bytes_left -=
        run->bytes_read < loader->bytes_left ? run->bytes_read : loader->bytes_left;
    loader->count++;
    return ERROR_NONE;
}

static enum error_code load_runs_of_commit(struct commit_loader *loader,
                                           const struct commit_id *commit, bool *has_more)
{
    struct stored_run place = {.run_id = 0};
    for (size_t i = 0; i <= COMMIT_VIEW_RUNS; i++) {
        enum error_code code =
            commits_seek_older(loader->reader->transaction, commit, &place, loader->reader->error);
        *has_more = code == ERROR_NONE && i == COMMIT_VIEW_RUNS;
        if (code == ERROR_NONE && !*has_more)
            code = add_run_of_commit(loader, &place);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    }
    return ERROR_NONE;
}

enum error_code commit_view_load(const struct view_reader *reader, const struct commit_id *commit,
                                 const struct run_view_limits *limits, struct commit_view *view)
{
    struct commit_loader loader = {
        .reader = reader, .limits = limits, .bytes_left = COMMIT_VIEW_BYTES};
    *view = (struct commit_view){.id = *commit};
    loader.runs = arena_allocate_array(reader->arena, COMMIT_VIEW_RUNS, sizeof *loader.runs);
    if (loader.runs == NULL)
        return fail_commit_memory(reader);
    enum error_code code = load_runs_of_commit(&loader, commit, &view->has_more);
    if (code != ERROR_NONE)
        return code;
    code = commit_view_assemble(loader.runs, loader.count, limits->now, reader->arena, view);
    return code == ERROR_NONE ? ERROR_NONE : fail_commit_memory(reader);
}

static enum error_code add_choice(const struct view_reader *reader, const struct commit_id *commit,
                                  const struct run_view_limits *limits,
                                  struct commit_choices *choices)
{
    struct stored_run place = {.run_id = 0};
    struct commit_choice *choice = &choices->list[choices->count];
    enum error_code code = commits_seek_older(reader->transaction, commit, &place, reader->error);
    if (code == ERROR_NONE)
        code = run_view_load(reader, &place, limits, &choice->run);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    choice->id = *commit;
    choices->count++;
    return ERROR_NONE;
}

enum error_code commit_view_find(const struct view_reader *reader,
                                 const struct commit_prefix *prefix,
                                 const struct run_view_limits *limits,
                                 struct commit_choices *choices)
{
    struct commit_id commit = {.size = 0};
    choices->count = 0;
    for (size_t i = 0; i <= COMMIT_VIEW_CHOICES; i++) {
        enum error_code code = commits_seek(reader->transaction, prefix, &commit, reader->error);
        choices->has_more = code == ERROR_NONE && i == COMMIT_VIEW_CHOICES;
        if (code == ERROR_NONE && !choices->has_more)
            code = add_choice(reader, &commit, limits, choices);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    }
    return ERROR_NONE;
}

// --- messages -------------------------------------------------------------------------------------

enum error_code commit_refuse_text(struct slice text, struct error *error)
{
    struct slice shown = {text.data, text.len < 80 ? text.len : 80};
    for (size_t i = 0; i < text.len; i++)
        if (hex_digit_value(text.data[i]) < 0)
            return error_set(
                error, ERROR_USAGE,
                "\"%.*s\" is no commit: want %d to 64 digits of its SHA, which are 0 to "
                "9 and a to f",
                SLICE_ARGS(shown), COMMIT_PREFIX_MIN);
    return error_set(
        error, ERROR_USAGE, "\"%.*s\" is too %s for a commit: want %d to 64 digits of its SHA",
        SLICE_ARGS(shown), text.len < COMMIT_PREFIX_MIN ? "short" : "long", COMMIT_PREFIX_MIN);
}

enum error_code commit_not_found(struct slice text, struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND,
                     "commit %.*s: no run of it is in the store; see the setting history for how "
                     "long finished runs are kept",
                     SLICE_ARGS(text));
}
