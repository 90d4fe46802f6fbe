// Reads runs from answers of the API.
#include <string.h>

#include "answer_values.h"
#include "ghatrace/term/answers.h"

#define FIRST(values, array) json_first_element((values)->document, array)
#define NEXT(values, item) json_next_element((values)->document, item)

// At least twice as many as the API lists: jobs of one run; runs of a commit, and their jobs; runs that a search names.
#define JOBS_MOST 20000
#define COMMIT_RUNS_MOST (2 * COMMIT_VIEW_RUNS)
#define COMMIT_JOBS_MOST (2 * COMMIT_VIEW_JOBS)
#define DIRECT_MOST (2 * FOUND_RUNS_MAX)

static void note_fault_in(struct values *values, const char *name)
{
    values->fault = values->fault != NULL ? values->fault : name;
}

static struct view_interval read_view_interval(struct values *values, json_value from)
{
    struct view_interval time = {values_time(values, from, "start"),
                                 values_time(values, from, "end")};
    if (time.start == TIMESTAMP_UNKNOWN)
        time.end = TIMESTAMP_UNKNOWN;
    else if (time.end != TIMESTAMP_UNKNOWN && time.end < time.start)
        time.end = time.start;
    return time;
}

// --- the fields of a run --------------------------------------------------------------------------

static void read_trace_hex(struct values *values, json_value from, struct trace_id *trace)
{
    struct slice hex = values_text(values, from, "trace_id");
    if (hex.len != 2 * TRACE_ID_SIZE || !hex_decode(hex.data, hex.len, trace->bytes, TRACE_ID_SIZE))
        note_fault_in(values, "trace_id");
}

static void read_run_fields(struct values *values, json_value from, struct run_view *run)
{
    static const char *const states[] = {"finished", "open"};
    bool is_known;
    *run = (struct run_view){
        .run_id = values_id(values, from, "run_id"),
        .run_attempt = (int64_t)values_count(values, from, "run_attempt", NULL),
        .run_number = (int64_t)values_count(values, from, "run_number", &is_known),
        .server = values_server(values, from),
        .repository = values_text(values, from, "repository"),
        .workflow = values_text(values, from, "workflow"),
        .title = values_text(values, from, "title"),
        .branch = values_text(values, from, "branch"),
        .event_name = values_text(values, from, "event"),
        .actor = values_text(values, from, "actor"),
        .result = values_text(values, from, "result"),
        .conclusion = values_text(values, from, "conclusion"),
        .url = values_text(values, from, "url"),
        .is_open = values_choice(values, from, "state", states, 2) == 1,
        .has_state = true,
        .is_incomplete = values_bool(values, from, "incomplete"),
        .start = values_time(values, from, "started_at"),
        .end = values_time(values, from, "ended_at")};
    run->has_ended = run->end != TIMESTAMP_UNKNOWN;
    if (run->has_ended && run->end < run->start)
        run->end = run->start;
    read_trace_hex(values, from, &run->trace);
}

// --- a page of runs -------------------------------------------------------------------------------

static void read_runs_of(struct values *values, json_value array, struct runs_answer *runs)
{
    for (json_value item = FIRST(values, array);
         item != JSON_NONE && runs->runs != NULL && runs->raw != NULL; item = NEXT(values, item)) {
        read_run_fields(values, item, &runs->runs[runs->count]);
        runs->raw[runs->count++] = json_raw(values->document, item);
    }
}

// Room for all runs; NULL if out of memory.
static void *room_for_runs(struct values *values, size_t count, size_t size)
{
    void *room = arena_allocate_array(values->arena, count + 1, size);
    values->is_out_of_memory = values->is_out_of_memory || room == NULL;
    return room;
}

enum error_code answer_read_runs(const struct answer *answer, struct runs_answer *runs)
{
    struct values values;
    values_init(&values, answer);
    *runs = (struct runs_answer){.now = values_time(&values, JSON_ROOT, "now")};
    json_value array = values_array(&values, JSON_ROOT, "runs"), direct = JSON_NONE;
    if (json_get(answer->document, JSON_ROOT, SLICE("search")) != JSON_NONE)
        direct = values_array(&values, JSON_ROOT, "direct");
    if (json_count(answer->document, direct) > DIRECT_MOST)
        note_fault_in(&values, "direct");
    size_t count = json_count(answer->document, array) + json_count(answer->document, direct);
    runs->runs = room_for_runs(&values, count, sizeof *runs->runs);
    runs->raw = room_for_runs(&values, count, sizeof *runs->raw);
    read_runs_of(&values, direct, runs);
    runs->direct_count = runs->count;
    read_runs_of(&values, array, runs);
    runs->next = values_text(&values, JSON_ROOT, "next");
    runs->unreadable = values_count(&values, JSON_ROOT, "unreadable", NULL);
    return values_finish(&values, "/api/runs", answer);
}

enum error_code answer_make_entry(const struct answer *answer, const struct run_view *run,
                                  struct runs_entry *entry)
{
    *entry = (struct runs_entry){.run_id = run->run_id,
                                 .run_attempt = run->run_attempt,
                                 .state = RUNS_RUN_OPEN,
                                 .since = run->start,
                                 .workflow = run->workflow};
    if (!text_repository(answer->arena, run->server, run->repository, &entry->repository))
        return error_set(answer->error, ERROR_MEMORY, "list the open runs: out of memory");
    return ERROR_NONE;
}

// --- the jobs of a run ----------------------------------------------------------------------------

// Of what was sent the result decides if there is no conclusion of GitHub's.
static enum view_outcome outcome_in(struct slice conclusion, struct slice result, bool has_spans)
{
    return view_outcome_of(conclusion.len > 0 || !has_spans ? conclusion : result);
}

static void read_phases(struct values *values, json_value from, struct run_view_job *job)
{
    static const char *const names[PHASE_COUNT] = {[PHASE_WAITING] = "waiting",
                                                   [PHASE_QUEUE] = "queue",
                                                   [PHASE_STARTUP] = "startup",
                                                   [PHASE_EXECUTION] = "execution"};
    json_value phases = values_array(values, from, "phases");
    for (json_value item = FIRST(values, phases); item != JSON_NONE; item = NEXT(values, item))
        job->phases[values_choice(values, item, "name", names, PHASE_COUNT)] =
            read_view_interval(values, item);
}

static void read_step(struct values *values, json_value from, bool has_spans,
                      struct run_view_step *step)
{
    *step = (struct run_view_step){.number = (int64_t)values_count(values, from, "number", NULL),
                                   .name = values_text(values, from, "name"),
                                   .result = values_text(values, from, "result"),
                                   .conclusion = values_text(values, from, "conclusion"),
                                   .is_incomplete = values_bool(values, from, "incomplete"),
                                   .time = read_view_interval(values, from)};
    step->outcome = outcome_in(step->conclusion, step->result, has_spans);
    if (has_spans && step->time.end == TIMESTAMP_UNKNOWN)
        step->time.end = step->time.start;
}

static void read_view_steps(struct values *values, json_value from, struct run_view_job *job)
{
    json_value array = values_array(values, from, "steps");
    struct run_view_step *steps = values_room(values, array, sizeof *steps);
    job->steps = steps;
    for (json_value item = FIRST(values, array); item != JSON_NONE && steps != NULL;
         item = NEXT(values, item))
        read_step(values, item, job->has_spans, &steps[job->step_count++]);
}

// Only its name is shown.
static void read_failed_step(struct values *values, json_value from, struct run_view_job *job)
{
    struct slice name = values_text(values, from, "failed_step");
    if (name.len == 0)
        return;
    struct run_view_step *step = arena_allocate_array(values->arena, 1, sizeof *step);
    if (step == NULL) {
        values->is_out_of_memory = true;
        return;
    }
    step->name = name;
    job->failed_step = step;
}

// A queue that is not over lasts until now.
static void read_job_times(struct values *values, json_value from, timestamp_ns now,
                           struct run_view_job *job)
{
    job->created_at = values_time(values, from, "created_at");
    job->started_at = values_time(values, from, "started_at");
    job->ended_at = values_time(values, from, "ended_at");
    job->queue = values_seconds(values, from, "queue_seconds", &job->has_queue);
    read_phases(values, from, job);
    const struct view_interval *queue = &job->phases[PHASE_QUEUE];
    if (queue->start == TIMESTAMP_UNKNOWN || queue->end != TIMESTAMP_UNKNOWN)
        return;
    job->has_queue = true;
    job->queue = now > queue->start ? now - queue->start : 0;
}

static void read_run_job(struct values *values, json_value from, timestamp_ns now,
                         struct run_view_job *job)
{
    static const char *const states[OPEN_JOB_STATES] = {[OPEN_JOB_NONE] = "finished",
                                                        [OPEN_JOB_WAITING] = "waiting",
                                                        [OPEN_JOB_QUEUED] = "queued",
                                                        [OPEN_JOB_RUNNING] = "running"};
    *job = (struct run_view_job){.job_id = values_id(values, from, "job_id"),
                                 .name = values_text(values, from, "name"),
                                 .has_spans = values_bool(values, from, "has_spans"),
                                 .open_state = (enum open_job_kind)values_choice(
                                     values, from, "state", states, OPEN_JOB_STATES),
                                 .is_ended_unknown = values_bool(values, from, "ended_unknown"),
                                 .result = values_text(values, from, "result"),
                                 .conclusion = values_text(values, from, "conclusion"),
                                 .error_type = values_text(values, from, "error_type"),
                                 .is_incomplete = values_bool(values, from, "incomplete"),
                                 .is_carried_over = values_bool(values, from, "carried_over"),
                                 .is_critical = values_bool(values, from, "critical")};
    job->outcome = job->is_carried_over ? OUTCOME_CARRIED_OVER
                                        : outcome_in(job->conclusion, job->result, job->has_spans);
    read_job_times(values, from, now, job);
    read_failed_step(values, from, job);
}

// Without their steps. `from`: the object that has them.
static void read_run_jobs(struct values *values, json_value from, timestamp_ns now,
                          struct run_view *run)
{
    json_value array = values_array(values, from, "jobs");
    if (json_count(values->document, array) > JOBS_MOST)
        note_fault_in(values, "jobs");
    run->jobs = values_room(values, array, sizeof *run->jobs);
    for (json_value item = FIRST(values, array); item != JSON_NONE && run->jobs != NULL;
         item = NEXT(values, item))
        read_run_job(values, item, now, &run->jobs[run->count++]);
    run->job_count = (int64_t)run->count;
}

static void read_steps_of_jobs(struct values *values, struct run_view *run)
{
    json_value item = FIRST(values, values_array(values, JSON_ROOT, "jobs"));
    for (size_t i = 0; i < run->count; i++, item = NEXT(values, item))
        read_view_steps(values, item, &run->jobs[i]);
}

// --- one run --------------------------------------------------------------------------------------

static void read_servers(struct values *values, struct run_answer *run)
{
    size_t count;
    const struct slice *servers = values_texts(values, JSON_ROOT, "servers", &count);
    if (count > FOUND_RUNS_MAX) { // each one copies those before it
        values->fault = values->fault != NULL ? values->fault : "servers";
        return;
    }
    for (size_t i = 0; servers != NULL && i < count; i++) {
        if (i == 0)
            run->server = servers[i];
        else if (!arena_format(values->arena, &run->also, "%.*s%s%.*s", SLICE_ARGS(run->also),
                               run->also.len > 0 ? ", " : "", SLICE_ARGS(servers[i])))
            values->is_out_of_memory = true;
    }
}

enum error_code answer_read_run(const struct answer *answer, struct run_answer *run)
{
    struct values values;
    values_init(&values, answer);
    *run = (struct run_answer){.now = values_time(&values, JSON_ROOT, "now")};
    json_value fields = values_object(&values, JSON_ROOT, "run");
    read_run_fields(&values, fields, &run->view);
    run->view.name = values_text(&values, fields, "name");
    run->view.revision = values_text(&values, fields, "sha");
    read_run_jobs(&values, JSON_ROOT, run->now, &run->view);
    read_steps_of_jobs(&values, &run->view);
    read_servers(&values, run);
    run->unreadable = values_count(&values, JSON_ROOT, "unreadable", NULL);
    return values_finish(&values, "/api/runs/RUN", answer);
}

// --- the runs of a commit -------------------------------------------------------------------------

static struct commit_id read_sha(struct values *values, json_value from)
{
    struct commit_id id = commit_id_of(values_text(values, from, "sha"));
    if (id.size == 0)
        note_fault_in(values, "sha");
    return id;
}

static void read_commit_choices(struct values *values, struct commit_choices *choices)
{
    json_value array = values_array(values, JSON_ROOT, "commits");
    size_t count = json_count(values->document, array);
    if (count < 2 || count > COMMIT_VIEW_CHOICES)
        note_fault_in(values, "commits");
    for (json_value item = FIRST(values, array);
         item != JSON_NONE && choices->count < COMMIT_VIEW_CHOICES; item = NEXT(values, item))
        choices->list[choices->count++] =
            (struct commit_choice){.id = read_sha(values, item),
                                   .run = {.server = values_server(values, item),
                                           .repository = values_text(values, item, "repository"),
                                           .title = values_text(values, item, "title")}};
    choices->has_more = values_bool(values, JSON_ROOT, "more");
}

struct commit_runs {
    timestamp_ns now;
    struct run_view runs[COMMIT_RUNS_MOST];
    size_t count;
    size_t jobs; // of all of them
};

// `from`: the object that has the runs of one repository.
static void read_commit_runs(struct values *values, json_value from, struct commit_runs *of)
{
    json_value array = values_array(values, from, "runs");
    for (json_value item = FIRST(values, array); item != JSON_NONE; item = NEXT(values, item)) {
        struct run_view *run = &of->runs[of->count];
        if (of->count == COMMIT_RUNS_MOST || of->jobs > COMMIT_JOBS_MOST) {
            note_fault_in(values, "runs");
            return;
        }
        read_run_fields(values, item, run);
        read_run_jobs(values, item, of->now, run);
        of->jobs += run->count;
        of->count++;
    }
}

// What of the answer follows from the runs is decided again, as it is from those in the store.
static enum error_code read_commit_view(struct values *values, json_value commit, timestamp_ns now,
                                        struct commit_view *view)
{
    struct commit_runs *of = arena_allocate_array(values->arena, 1, sizeof *of);
    if (of == NULL)
        return ERROR_MEMORY;
    of->now = now;
    read_commit_runs(values, JSON_ROOT, of);
    json_value others = values_array(values, JSON_ROOT, "others");
    for (json_value item = FIRST(values, others); item != JSON_NONE; item = NEXT(values, item))
        read_commit_runs(values, item, of);
    if (of->count == 0)
        note_fault_in(values, "runs");
    if (values->fault != NULL)
        return ERROR_NONE;
    enum error_code code = commit_view_assemble(of->runs, of->count, now, values->arena, view);
    view->id = read_sha(values, commit);
    view->has_more = values_bool(values, JSON_ROOT, "more");
    return code;
}

enum error_code answer_read_commit(const struct answer *answer, struct commit_answer *commit)
{
    struct values values;
    values_init(&values, answer);
    *commit = (struct commit_answer){.now = values_time(&values, JSON_ROOT, "now")};
    json_value one = json_get(answer->document, JSON_ROOT, SLICE("commit"));
    if (json_type_of(answer->document, one) == JSON_OBJECT) {
        if (read_commit_view(&values, one, commit->now, &commit->found.view) != ERROR_NONE)
            values.is_out_of_memory = true;
    } else {
        read_commit_choices(&values, &commit->found.choices);
    }
    commit->unreadable = values_count(&values, JSON_ROOT, "unreadable", NULL);
    return values_finish(&values, "/api/commits/SHA", answer);
}
