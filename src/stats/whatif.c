// Replays recorded jobs against a number of runners.
#include "ghatrace/stats/whatif.h"

#include <stdlib.h>

#include "ghatrace/base/memory.h"

// A job as it is replayed.
struct task {
    timestamp_ns ready; // 0: it ran when the window began
    // How long it holds a runner; while it is read, for a job that has not ended: ~at least.
    duration_ns service;
    duration_ns recorded; // its wait; negative: not counted
};

// What happens to the number of busy runners, and of waiting jobs, at a time. At the same time ends come first, so
// that a runner which takes a job as soon as it has ended another is one runner.
enum change { RUN_ENDS, WAIT_ENDS, RUN_BEGINS, WAIT_BEGINS };
#define CHANGE_BITS 2
#define CHANGES_PER_JOB 4

struct whatif {
    struct whatif_window window;
    struct task *tasks; // by `ready`
    size_t count;
    uint64_t counted;
    // For each job CHANGES_PER_JOB numbers, used by one function at a time: by the replay for the waits, and for the
    // times at which the runners become free; by others for what they sort.
    uint64_t *scratch;
    struct whatif_waits recorded;
    uint64_t observed;
    duration_ns floor;
    unsigned idle_percent;
};

_Static_assert(sizeof(struct task) + CHANGES_PER_JOB * sizeof(uint64_t) == WHATIF_BYTES_PER_JOB,
               "the header states it");

static int compare_uint64(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

static void sort_numbers(uint64_t *numbers, size_t count)
{
    if (count > 1)
        qsort(numbers, count, sizeof *numbers, compare_uint64);
}

// --- reading jobs ---------------------------------------------------------------------------------

static bool has_sound_times(const struct whatif_job *job)
{
    bool is_known = job->ready != TIMESTAMP_UNKNOWN || job->started != TIMESTAMP_UNKNOWN;
    return is_known && job->ready >= 0 && job->started >= 0 && job->ended >= 0;
}

// Sets the times in order.
static struct whatif_job straighten(const struct whatif_job *job)
{
    struct whatif_job straight = *job;
    straight.ready = timestamp_first_known(job->ready, job->started);
    if (straight.started == TIMESTAMP_UNKNOWN) {
        straight.ended = TIMESTAMP_UNKNOWN;
        return straight;
    }
    straight.started = timestamp_later(straight.started, straight.ready);
    if (straight.ended != TIMESTAMP_UNKNOWN)
        straight.ended = timestamp_later(straight.ended, straight.started);
    return straight;
}

static bool has_started(const struct whatif_job *job, timestamp_ns time)
{
    return job->started != TIMESTAMP_UNKNOWN && job->started < time;
}

static bool is_in_window(const struct whatif_job *job, const struct whatif_window *window)
{
    bool has_ended = job->ended != TIMESTAMP_UNKNOWN && job->ended <= window->from;
    // A job of zero length that began with the window did not end before it.
    return job->ready < window->until && (!has_ended || job->ready >= window->from);
}

// The job with its times in order. False: it is left out.
static bool read_job(const struct whatif_job *recorded, const struct whatif_window *window,
                     struct whatif_job *job)
{
    *job = straighten(recorded);
    return has_sound_times(recorded) && is_in_window(job, window);
}

// `job` has straight times.
static struct task make_task(const struct whatif_job *job, bool has_wait,
                             const struct whatif_window *window)
{
    struct task task = {.ready = job->ready, .service = ~INT64_C(0), .recorded = -1};
    timestamp_ns begun = timestamp_later(job->started, window->from);
    if (job->ended != TIMESTAMP_UNKNOWN)
        task.service = job->ended - begun;
    else if (has_started(job, window->until))
        task.service = ~(window->until - begun);
    if (has_started(job, window->from))
        task.ready = 0;
    else if (has_wait && job->ready >= window->from)
        task.recorded =
            (has_started(job, window->until) ? job->started : window->until) - job->ready;
    return task;
}

static int compare_tasks(const void *a, const void *b)
{
    const struct task *left = a, *right = b;
    if (left->ready != right->ready)
        return left->ready < right->ready ? -1 : 1;
    if (left->recorded != right->recorded)
        return left->recorded < right->recorded ? -1 : 1;
    return left->service < right->service ? -1 : left->service > right->service;
}

// The median time of jobs that ended or, if none did, of those that run, so far.
static duration_ns find_usual_service(const struct whatif *whatif)
{
    size_t known = 0, running = 0;
    for (size_t i = 0; i < whatif->count; i++) {
        if (whatif->tasks[i].service >= 0)
            whatif->scratch[known++] = (uint64_t)whatif->tasks[i].service;
    }
    for (size_t i = 0; known == 0 && i < whatif->count; i++) {
        if (~whatif->tasks[i].service > 0)
            whatif->scratch[running++] = (uint64_t)~whatif->tasks[i].service;
    }
    size_t count = known > 0 ? known : running;
    sort_numbers(whatif->scratch, count);
    return count > 0 ? (duration_ns)whatif->scratch[(count - 1) / 2] : 0;
}

static void assume_service(struct whatif *whatif)
{
    duration_ns usual = find_usual_service(whatif);
    for (size_t i = 0; i < whatif->count; i++) {
        duration_ns *service = &whatif->tasks[i].service;
        if (*service < 0)
            *service = ~*service > usual ? ~*service : usual;
    }
}

static void read_jobs(struct whatif *whatif, const struct whatif_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct whatif_job job;
        if (!read_job(&jobs[i], &whatif->window, &job))
            continue;
        struct task *task = &whatif->tasks[whatif->count++];
        *task = make_task(&job, jobs[i].ready != TIMESTAMP_UNKNOWN, &whatif->window);
        whatif->counted += task->recorded >= 0 ? 1 : 0;
    }
    assume_service(whatif);
    if (whatif->count > 1)
        qsort(whatif->tasks, whatif->count, sizeof *whatif->tasks, compare_tasks);
}

// --- waits ----------------------------------------------------------------------------------------

// The number of values that value number `percent` of 100 does not exceed: nearest rank.
static uint64_t rank_of(uint64_t count, unsigned percent)
{
    return count / 100 * percent + (count % 100 * percent + 99) / 100;
}

static duration_ns value_at(const uint64_t *sorted, uint64_t count, unsigned percent)
{
    uint64_t rank = rank_of(count, percent);
    return count == 0 ? 0 : (duration_ns)sorted[rank > 0 ? rank - 1 : 0];
}

// Sorts them.
static void summarize(uint64_t *waits, uint64_t count, struct whatif_waits *summary)
{
    double sum = 0;
    sort_numbers(waits, count);
    for (uint64_t i = 0; i < count; i++)
        sum += (double)waits[i];
    summary->p50 = value_at(waits, count, 50);
    summary->p90 = value_at(waits, count, 90);
    summary->p99 = value_at(waits, count, 99);
    summary->mean = count > 0 ? (duration_ns)(sum / (double)count) : 0;
}

static void summarize_recorded(struct whatif *whatif)
{
    uint64_t count = 0;
    for (size_t i = 0; i < whatif->count; i++) {
        const struct task *task = &whatif->tasks[i];
        if (task->recorded < 0)
            continue;
        whatif->scratch[count++] = (uint64_t)task->recorded;
        if (task->ready + task->recorded >= whatif->window.until)
            whatif->recorded.waiting++;
    }
    summarize(whatif->scratch, count, &whatif->recorded);
}

// --- how many were busy ---------------------------------------------------------------------------

struct changes {
    uint64_t *list;
    size_t count;
    timestamp_ns from; // times are stored relative to it
    timestamp_ns until;
};

static void add_change(struct changes *changes, timestamp_ns time, enum change change)
{
    uint64_t within = (uint64_t)(timestamp_earlier(time, changes->until) - changes->from);
    changes->list[changes->count++] = within << CHANGE_BITS | (uint64_t)change;
}

// Adds when something begins and ends, if that lies in the window.
static void add_interval(struct changes *changes, timestamp_ns begin, timestamp_ns end,
                         enum change begins, enum change ends)
{
    begin = timestamp_later(begin, changes->from);
    if (begin >= end || begin >= changes->until)
        return;
    add_change(changes, begin, begins);
    add_change(changes, end, ends);
}

// From what was recorded: of a job that still waits only that.
static void list_changes_of(const struct whatif_job *job, duration_ns floor,
                            struct changes *changes)
{
    bool has_begun = has_started(job, changes->until);
    timestamp_ns start = has_begun ? job->started : changes->until;
    if (start - job->ready > floor)
        add_interval(changes, job->ready + floor, start, WAIT_BEGINS, WAIT_ENDS);
    if (has_begun)
        add_interval(changes, start, timestamp_first_known(job->ended, changes->until), RUN_BEGINS,
                     RUN_ENDS);
}

// At one time.
struct present {
    uint64_t busy, waiting;
};

// Returns when it happened.
static uint64_t apply_change(uint64_t packed, struct present *present)
{
    enum change change = (enum change)(packed & ((1 << CHANGE_BITS) - 1));
    present->busy += change == RUN_BEGINS ? 1 : 0;
    present->busy -= change == RUN_ENDS ? 1 : 0;
    present->waiting += change == WAIT_BEGINS ? 1 : 0;
    present->waiting -= change == WAIT_ENDS ? 1 : 0;
    return packed >> CHANGE_BITS;
}

static uint64_t find_most_busy(const struct changes *changes)
{
    struct present present = {0};
    uint64_t most = 0;
    for (size_t i = 0; i < changes->count; i++) {
        apply_change(changes->list[i], &present);
        most = present.busy > most ? present.busy : most;
    }
    return most;
}

// In per cent of the time in which jobs waited: that in which fewer than `most` were busy.
static unsigned measure_idle(const struct changes *changes, uint64_t most)
{
    struct present present = {0};
    uint64_t last = 0;
    double waited = 0, idle = 0;
    for (size_t i = 0; i < changes->count; i++) {
        const struct present before = present;
        uint64_t time = apply_change(changes->list[i], &present);
        double length = before.waiting > 0 ? (double)(time - last) : 0;
        waited += length;
        idle += before.busy < most ? length : 0;
        last = time;
    }
    return waited > 0 ? (unsigned)(idle * 100 / waited + 0.5) : 0;
}

static void read_changes(const struct whatif *whatif, const struct whatif_job *jobs, size_t count,
                         struct changes *changes)
{
    *changes = (struct changes){whatif->scratch, 0, whatif->window.from, whatif->window.until};
    for (size_t i = 0; i < count; i++) {
        struct whatif_job job;
        if (read_job(&jobs[i], &whatif->window, &job))
            list_changes_of(&job, whatif->floor, changes);
    }
    sort_numbers(changes->list, changes->count);
}

// The wait that 9 of 10 of the jobs had at least that became ready while a runner was free. When a job becomes ready,
// runners are free if of the jobs before it fewer than `observed` have not ended.
static duration_ns find_floor(const struct whatif *whatif, const struct whatif_job *jobs,
                              size_t count)
{
    uint64_t *ends = whatif->scratch;
    uint64_t *waits = whatif->scratch + count;
    size_t ended = 0, free = 0, next = 0;
    for (size_t i = 0; i < count; i++) {
        struct whatif_job job;
        if (read_job(&jobs[i], &whatif->window, &job) && job.ended != TIMESTAMP_UNKNOWN)
            ends[ended++] = (uint64_t)job.ended;
    }
    sort_numbers(ends, ended);
    for (size_t i = 0; i < whatif->count; i++) {
        const struct task *task = &whatif->tasks[i];
        while (next < ended && (timestamp_ns)ends[next] <= task->ready)
            next++;
        if (task->recorded >= 0 && i < whatif->observed + next)
            waits[free++] = (uint64_t)task->recorded;
    }
    sort_numbers(waits, free);
    return free >= WHATIF_FLOOR_JOBS ? value_at(waits, free, 10) : 0;
}

static void observe_jobs(struct whatif *whatif, const struct whatif_job *jobs, size_t count)
{
    struct changes changes;
    read_changes(whatif, jobs, count, &changes);
    whatif->observed = find_most_busy(&changes);
    // Jobs of zero length hold a runner for no time.
    if (whatif->observed == 0 && whatif->recorded.waiting < whatif->counted)
        whatif->observed = 1;
    whatif->floor = find_floor(whatif, jobs, count);
    read_changes(whatif, jobs, count, &changes);
    whatif->idle_percent = measure_idle(&changes, whatif->observed);
}

// --- creating -------------------------------------------------------------------------------------

enum error_code whatif_create(const struct whatif_job *jobs, size_t count,
                              const struct whatif_window *window, struct whatif **whatif,
                              struct error *error)
{
    if (window->from <= 0 || window->from >= window->until ||
        (window->until - window->from) >> (63 - CHANGE_BITS) != 0)
        return error_set(error, ERROR_INVALID, "what if: the window is empty, or too long");
    struct whatif *made = memory_allocate_array(1, sizeof *made);
    struct task *tasks = memory_allocate_array(count, sizeof *tasks);
    uint64_t *scratch = count <= SIZE_MAX / CHANGES_PER_JOB / sizeof *scratch
                            ? memory_allocate(count * CHANGES_PER_JOB * sizeof *scratch)
                            : NULL;
    if (made == NULL || tasks == NULL || scratch == NULL) {
        memory_free(made);
        memory_free(tasks);
        memory_free(scratch);
        return error_set(error, ERROR_MEMORY, "what if: out of memory for %zu jobs", count);
    }
    *made = (struct whatif){.window = *window, .tasks = tasks, .scratch = scratch};
    read_jobs(made, jobs, count);
    summarize_recorded(made);
    observe_jobs(made, jobs, count);
    *whatif = made;
    return ERROR_NONE;
}

void whatif_destroy(struct whatif *whatif)
{
    if (whatif == NULL)
        return;
    memory_free(whatif->tasks);
    memory_free(whatif->scratch);
    memory_free(whatif);
}

uint64_t whatif_count(const struct whatif *whatif)
{
    return whatif->counted;
}

void whatif_recorded(const struct whatif *whatif, struct whatif_waits *waits)
{
    *waits = whatif->recorded;
}

// --- replaying ------------------------------------------------------------------------------------

// A heap of the times at which busy runners become free, the first on top.
struct runners {
    uint64_t *free_at;
    size_t count;
    uint64_t most; // there are no more runners
};

static void sink(struct runners *runners, uint64_t time)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= runners->count)
            break;
        if (child + 1 < runners->count && runners->free_at[child + 1] < runners->free_at[child])
            child++;
        if (runners->free_at[child] >= time)
            break;
        runners->free_at[at] = runners->free_at[child];
        at = child;
    }
    runners->free_at[at] = time;
}

static void rise(struct runners *runners, uint64_t time)
{
    size_t at = runners->count++;
    while (at > 0 && runners->free_at[(at - 1) / 2] > time) {
        runners->free_at[at] = runners->free_at[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    runners->free_at[at] = time;
}

// When a job that is ready starts; `until`: not before the end of the window.
static timestamp_ns take_runner(struct runners *runners, timestamp_ns ready, duration_ns service,
                                timestamp_ns until)
{
    timestamp_ns start = ready;
    bool is_new = runners->count < runners->most;
    if (runners->most == 0)
        return until;
    if (!is_new)
        start = timestamp_later(start, (timestamp_ns)runners->free_at[0]);
    if (start >= until)
        return until;
    uint64_t end = (uint64_t)(service < until - start ? start + service : until);
    if (is_new)
        rise(runners, end);
    else
        sink(runners, end);
    return start;
}

// Writes the waits of the jobs that are counted, in their order, and returns how many of these jobs still wait at the
// end of the window.
static uint64_t replay(struct whatif *whatif, uint64_t number, uint64_t *waits)
{
    struct runners runners = {.free_at = whatif->scratch + whatif->count, .most = number};
    const struct whatif_window *window = &whatif->window;
    uint64_t waiting = 0;
    for (size_t i = 0; i < whatif->count; i++) {
        const struct task *task = &whatif->tasks[i];
        timestamp_ns ready = timestamp_later(task->ready, window->from);
        timestamp_ns start = take_runner(&runners, ready, task->service, window->until);
        if (task->recorded < 0)
            continue;
        waiting += start >= window->until ? 1 : 0;
        *waits++ = (uint64_t)(start - ready);
    }
    return waiting;
}

void whatif_replay(struct whatif *whatif, uint64_t runners, struct whatif_waits *waits)
{
    *waits = (struct whatif_waits){.waiting = replay(whatif, runners, whatif->scratch)};
    summarize(whatif->scratch, whatif->counted, waits);
}

static bool keeps_target(struct whatif *whatif, uint64_t runners, duration_ns target)
{
    uint64_t within = 0;
    replay(whatif, runners, whatif->scratch);
    for (uint64_t i = 0; i < whatif->counted; i++)
        within += whatif->scratch[i] <= (uint64_t)target ? 1 : 0;
    return within >= rank_of(whatif->counted, 90);
}

// With a runner for each job no job waits.
uint64_t whatif_fewest(struct whatif *whatif, duration_ns target)
{
    uint64_t few = 0, enough = whatif->count;
    if (whatif->counted == 0)
        return 0;
    while (few < enough) {
        uint64_t middle = few + (enough - few) / 2;
        if (keeps_target(whatif, middle, target))
            enough = middle;
        else
            few = middle + 1;
    }
    return enough;
}

// --- the model's error on the past ----------------------------------------------------------------

#define PERCENT_MAX 999

static unsigned percent_of(duration_ns part, duration_ns whole)
{
    if (part == 0)
        return 0;
    double percent = whole > 0 ? (double)part * 100 / (double)whole : PERCENT_MAX;
    unsigned rounded = percent < PERCENT_MAX ? (unsigned)percent : PERCENT_MAX;
    return rounded < PERCENT_MAX && (double)rounded < percent ? rounded + 1 : rounded;
}

void whatif_check(struct whatif *whatif, struct whatif_fit *fit)
{
    *fit = (struct whatif_fit){
        .observed = whatif->observed, .floor = whatif->floor, .idle_percent = whatif->idle_percent};
    fit->has_few_jobs = whatif->counted < WHATIF_JOBS_LEAST;
    fit->has_floor = whatif->floor >= WHATIF_FLOOR_LEAST;
    fit->has_idle = whatif->idle_percent > WHATIF_IDLE_MAX;
    whatif_replay(whatif, whatif->observed, &fit->replayed);
    duration_ns difference = fit->replayed.p90 - whatif->recorded.p90;
    difference = difference < 0 ? -difference : difference;
    fit->error_percent = percent_of(difference, whatif->recorded.p90);
    fit->is_explained = fit->error_percent <= WHATIF_ERROR_MAX || difference <= WHATIF_ERROR_MAX_NS;
}
