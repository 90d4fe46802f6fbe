// Failures by workflow, and by what failed first in each run.
#include "failures_tally.h"

#include <stdlib.h>
#include <string.h>

#include "ghatrace/trace/merge.h"

// Powers of two, at least twice what they hold.
#define WORKFLOW_SLOTS 4096
#define BRANCH_SLOTS 65536
#define NO_GROUP SIZE_MAX
#define ELLIPSIS "\xe2\x80\xa6"

struct workflow {
    struct workflow *next; // of the same hash
    uint64_t number;
    struct slice server, repository, workflow;
    uint64_t runs, failed;
    size_t branches, branches_failing;
    timestamp_ns last_success;
    size_t first_group;
    uint32_t faults; // bit: its runs are counted there
};

// A branch of a workflow.
struct branch {
    uint64_t hash; // 0: the slot is free
    size_t group;  // of its last run; NO_GROUP: that succeeded
    bool has_success;
};

struct group {
    struct failures_group out;
    struct workflow *of;
    size_t next; // of its workflow
    // Since the last success of the workflow, on any branch.
    timestamp_ns everywhere_since;
    uint64_t everywhere_failed;
};

struct failures_tally {
    struct arena *arena;
    struct workflow *workflows[WORKFLOW_SLOTS];
    struct branch branches[BRANCH_SLOTS];
    struct group *groups;
    size_t group_count, branch_count, workflow_count;
    struct failures_infrastructure infrastructure[FAILURES_FAULTS];
};

// What failed first in a run.
struct failure {
    bool is_looked_up;
    struct slice job, step, error_type;
};

struct failures_tally *failures_tally_create(struct arena *arena)
{
    struct failures_tally *tally = arena_allocate_array(arena, 1, sizeof *tally);
    if (tally == NULL)
        return NULL;
    tally->arena = arena;
    tally->groups = arena_allocate_array(arena, FAILURES_GROUPS_MAX, sizeof *tally->groups);
    return tally->groups != NULL ? tally : NULL;
}

// --- what failed ------------------------------------------------------------------------------------------------

static bool is_fault(struct slice error_type, enum failures_fault fault)
{
    return slice_equals(error_type, fault == FAILURES_RUNNER_LOST ? SLICE("runner_lost")
                                                                  : SLICE("not_started"));
}

static timestamp_ns end_of_failure(const struct run_view_job *job)
{
    return job->failed_step != NULL && job->failed_step->time.end != TIMESTAMP_UNKNOWN
               ? job->failed_step->time.end
               : job->ended_at;
}

static void find_first_failure(const struct run_view *detail, struct failure *failure)
{
    const struct run_view_job *first = NULL;
    *failure = (struct failure){.is_looked_up = detail != NULL};
    for (size_t i = 0; detail != NULL && i < detail->count; i++) {
        const struct run_view_job *job = &detail->jobs[i];
        if (job->outcome == OUTCOME_FAILURE &&
            (first == NULL || end_of_failure(job) < end_of_failure(first)))
            first = job;
    }
    if (first == NULL)
        return;
    failure->job = first->name;
    if (first->failed_step != NULL)
        failure->step = first->failed_step->name;
    if (is_fault(first->error_type, FAILURES_RUNNER_LOST) ||
        is_fault(first->error_type, FAILURES_NOT_STARTED))
        failure->error_type = first->error_type;
}

// "test" of the leg "test (3.14)" of a matrix.
static struct slice base_of_job(struct slice name)
{
    ptrdiff_t at = slice_find(name, SLICE(" ("));
    return at > 0 && slice_ends_with(name, SLICE(")")) ? (struct slice){name.data, (size_t)at}
                                                       : name;
}

// --- finding and adding -----------------------------------------------------------------------------------------

static uint64_t hash_of_workflow(const struct run_view *run)
{
    uint64_t hash = fingerprint_add_text(FINGERPRINT_START, run->server);
    hash = fingerprint_add_text(hash, run->repository);
    return fingerprint_add_text(hash, run->workflow);
}

static bool is_same_workflow(const struct workflow *workflow, const struct run_view *run)
{
    return slice_equals(workflow->workflow, run->workflow) &&
           slice_equals(workflow->repository, run->repository) &&
           slice_equals(workflow->server, run->server);
}

// NULL: out of memory, or there are too many of them.
static struct workflow *find_workflow(struct failures_tally *tally, const struct run_view *run)
{
    struct workflow **slot = &tally->workflows[hash_of_workflow(run) % WORKFLOW_SLOTS];
    for (struct workflow *workflow = *slot; workflow != NULL; workflow = workflow->next)
        if (is_same_workflow(workflow, run))
            return workflow;
    if (tally->workflow_count == FAILURES_WORKFLOWS_MAX)
        return NULL;
    struct workflow *workflow = arena_allocate_array(tally->arena, 1, sizeof *workflow);
    if (workflow == NULL || !arena_copy_slice(tally->arena, run->server, &workflow->server) ||
        !arena_copy_slice(tally->arena, run->repository, &workflow->repository) ||
        !arena_copy_slice(tally->arena, run->workflow, &workflow->workflow))
        return NULL;
    workflow->number = tally->workflow_count++;
    workflow->first_group = NO_GROUP;
    workflow->next = *slot;
    *slot = workflow;
    return workflow;
}

// NULL: there are too many. `*is_new`: this is its last run.
static struct branch *find_branch(struct failures_tally *tally, const struct workflow *workflow,
                                  struct slice name, bool *is_new)
{
    uint64_t hash = fingerprint_add_text(FINGERPRINT_START + workflow->number, name) | 1;
    size_t slot = (size_t)(hash >> 8) % BRANCH_SLOTS;
    *is_new = false;
    while (tally->branches[slot].hash != 0 && tally->branches[slot].hash != hash)
        slot = (slot + 1) % BRANCH_SLOTS;
    if (tally->branches[slot].hash == hash)
        return &tally->branches[slot];
    if (tally->branch_count == BRANCH_SLOTS / 2)
        return NULL;
    tally->branch_count++;
    *is_new = true;
    tally->branches[slot] = (struct branch){.hash = hash, .group = NO_GROUP};
    return &tally->branches[slot];
}

static bool is_same_failure(const struct failures_group *group, const struct failure *failure)
{
    return group->is_looked_up == failure->is_looked_up &&
           slice_equals(base_of_job(group->job), base_of_job(failure->job)) &&
           slice_equals(group->step, failure->step) &&
           slice_equals(group->error_type, failure->error_type);
}

static enum error_code copy_failure(struct arena *arena, const struct failure *failure,
                                    struct failures_group *group)
{
    return arena_copy_slice(arena, failure->job, &group->job) &&
                   arena_copy_slice(arena, failure->step, &group->step) &&
                   arena_copy_slice(arena, failure->error_type, &group->error_type)
               ? ERROR_NONE
               : ERROR_MEMORY;
}

// Another leg of the same matrix fails, too.
static enum error_code widen_job(struct arena *arena, const struct failure *failure,
                                 struct failures_group *group)
{
    struct slice base = base_of_job(group->job);
    if (slice_equals(group->job, failure->job) || base.len == group->job.len)
        return ERROR_NONE;
    return arena_format(arena, &group->job, "%.*s (" ELLIPSIS ")", SLICE_ARGS(base)) ? ERROR_NONE
                                                                                     : ERROR_MEMORY;
}

// Sets `*number` to NO_GROUP if there are too many.
static enum error_code find_group(struct failures_tally *tally, struct workflow *workflow,
                                  const struct failure *failure, size_t *number)
{
    for (size_t i = workflow->first_group; i != NO_GROUP; i = tally->groups[i].next)
        if (is_same_failure(&tally->groups[i].out, failure)) {
            *number = i;
            return widen_job(tally->arena, failure, &tally->groups[i].out);
        }
    *number = NO_GROUP;
    if (tally->group_count == FAILURES_GROUPS_MAX)
        return ERROR_NONE;
    struct group *group = &tally->groups[tally->group_count];
    *group = (struct group){.of = workflow, .next = workflow->first_group};
    group->out.is_looked_up = failure->is_looked_up;
    group->out.server = workflow->server;
    group->out.repository = workflow->repository;
    group->out.workflow = workflow->workflow;
    *number = workflow->first_group = tally->group_count++;
    return copy_failure(tally->arena, failure, &group->out);
}

// --- counting ---------------------------------------------------------------------------------------------------

static enum error_code add_example(struct arena *arena, const struct run_view *run,
                                   struct failures_run *shown, size_t *count)
{
    if (*count == FAILURES_RUNS_SHOWN)
        return ERROR_NONE;
    struct failures_run *copy = &shown[*count];
    *copy = (struct failures_run){.run_id = run->run_id,
                                  .run_attempt = run->run_attempt,
                                  .run_number = run->run_number,
                                  .end = run->end};
    *count += 1;
    return arena_copy_slice(arena, run->server, &copy->server) &&
                   arena_copy_slice(arena, run->branch, &copy->branch) &&
                   arena_copy_slice(arena, run->title, &copy->title)
               ? ERROR_NONE
               : ERROR_MEMORY;
}

// `detail`: of `run`.
static enum error_code count_fault(struct failures_tally *tally, struct workflow *workflow,
                                   const struct run_view *run, const struct run_view *detail,
                                   enum failures_fault fault)
{
    struct failures_infrastructure *all = &tally->infrastructure[fault];
    uint64_t jobs = 0;
    for (size_t i = 0; i < detail->count; i++)
        jobs += is_fault(detail->jobs[i].error_type, fault) ? 1 : 0;
    if (jobs == 0)
        return ERROR_NONE;
    all->jobs += jobs;
    all->runs++;
    all->workflows += (workflow->faults >> fault & 1) == 0 ? 1 : 0;
    workflow->faults |= UINT32_C(1) << fault;
    all->first = run->end;
    if (all->last == TIMESTAMP_UNKNOWN)
        all->last = run->end;
    return add_example(tally->arena, run, all->shown, &all->shown_count);
}

static void count_success(struct failures_tally *tally, struct workflow *workflow,
                          const struct run_view *run)
{
    bool is_new;
    struct branch *branch = find_branch(tally, workflow, run->branch, &is_new);
    if (workflow->last_success == TIMESTAMP_UNKNOWN)
        workflow->last_success = run->end;
    if (branch == NULL)
        return;
    workflow->branches += is_new ? 1 : 0;
    if (!branch->has_success && branch->group != NO_GROUP) {
        struct failures_group *group = &tally->groups[branch->group].out;
        group->last_success = timestamp_later(group->last_success, run->end);
    }
    branch->has_success = true;
}

static void count_on_branch(struct failures_tally *tally, struct group *group,
                            const struct run_view *run)
{
    bool is_new;
    struct branch *branch = find_branch(tally, group->of, run->branch, &is_new);
    if (branch == NULL)
        return;
    if (is_new) {
        branch->group = (size_t)(group - tally->groups);
        group->of->branches++;
        group->of->branches_failing++;
        group->out.branches_failing++;
    }
    if (branch->has_success)
        return;
    group->out.failing_since = run->end;
    group->out.failed_since++;
}

static enum error_code count_failure(struct failures_tally *tally, struct workflow *workflow,
                                     const struct run_view *run, const struct run_view *detail)
{
    struct failure failure;
    size_t number;
    find_first_failure(detail, &failure);
    workflow->failed++;
    enum error_code code = find_group(tally, workflow, &failure, &number);
    if (code != ERROR_NONE || number == NO_GROUP)
        return code;
    struct group *group = &tally->groups[number];
    group->out.failed++;
    if (group->out.last_failure == TIMESTAMP_UNKNOWN)
        group->out.last_failure = run->end;
    if (workflow->last_success == TIMESTAMP_UNKNOWN) {
        group->everywhere_since = run->end;
        group->everywhere_failed++;
    }
    count_on_branch(tally, group, run);
    code = add_example(tally->arena, run, group->out.shown, &group->out.shown_count);
    for (int fault = 0; detail != NULL && code == ERROR_NONE && fault < FAILURES_FAULTS; fault++)
        code = count_fault(tally, workflow, run, detail, (enum failures_fault)fault);
    return code;
}

enum error_code failures_tally_add(struct failures_tally *tally, const struct run_view *run,
                                   const struct run_view *detail)
{
    enum view_outcome outcome = view_outcome_of(run->conclusion);
    if (outcome != OUTCOME_SUCCESS && outcome != OUTCOME_FAILURE)
        return ERROR_NONE;
    struct workflow *workflow = find_workflow(tally, run);
    if (workflow == NULL)
        return tally->workflow_count == FAILURES_WORKFLOWS_MAX ? ERROR_NONE : ERROR_MEMORY;
    workflow->runs++;
    if (outcome == OUTCOME_FAILURE)
        return count_failure(tally, workflow, run, detail);
    count_success(tally, workflow, run);
    return ERROR_NONE;
}

// --- the list ---------------------------------------------------------------------------------------------------

static void finish_group(const struct group *group, struct failures_group *out)
{
    *out = group->out;
    out->runs = group->of->runs;
    out->workflow_failed = group->of->failed;
    out->branches = group->of->branches;
    out->workflow_branches_failing = group->of->branches_failing;
    out->is_everywhere = out->branches_failing > 0 && out->branches > 1 &&
                         out->workflow_branches_failing == out->branches;
    if (out->is_everywhere) {
        out->failing_since = group->everywhere_since;
        out->failed_since = group->everywhere_failed;
        out->last_success = group->of->last_success;
    } else if (out->branches_failing == 0) {
        out->failing_since = TIMESTAMP_UNKNOWN;
        out->failed_since = 0;
        out->last_success = group->of->last_success;
    }
}

static int compare_failure_counts(uint64_t a, uint64_t b)
{
    return a > b ? -1 : a < b;
}

static int rank_group(const struct failures_group *group)
{
    return group->is_everywhere ? 2 : group->branches_failing > 0 ? 1 : 0;
}

// Negative if `a` is worse.
static int compare_groups(const void *left, const void *right)
{
    const struct failures_group *a = left, *b = right;
    if (rank_group(a) != rank_group(b))
        return rank_group(a) > rank_group(b) ? -1 : 1;
    int order = compare_failure_counts(a->branches_failing, b->branches_failing);
    if (order == 0)
        order = compare_failure_counts(a->failed_since, b->failed_since);
    if (order == 0)
        order = compare_failure_counts(a->failed, b->failed);
    if (order == 0)
        order = compare_failure_counts((uint64_t)a->last_failure, (uint64_t)b->last_failure);
    if (order == 0)
        order = slice_compare(a->repository, b->repository);
    return order != 0 ? order : slice_compare(a->workflow, b->workflow);
}

enum error_code failures_tally_finish(const struct failures_tally *tally,
                                      struct failures_view *view)
{
    size_t count = tally->group_count;
    view->groups = arena_allocate_array(tally->arena, count + 1, sizeof *view->groups);
    if (view->groups == NULL)
        return ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        finish_group(&tally->groups[i], &view->groups[i]);
    if (count > 1)
        qsort(view->groups, count, sizeof *view->groups, compare_groups);
    view->count = count;
    memcpy(view->infrastructure, tally->infrastructure, sizeof view->infrastructure);
    return ERROR_NONE;
}
