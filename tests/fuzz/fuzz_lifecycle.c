// The whole life cycle of a run: events in any order, time that passes in between, and finally all deadlines. Spans
// are sent again only if they changed, and never less complete; each is measured once; no state stays forever, and
// none is deleted before its spans were sent.
#include "event_input.h"
#include "event_path.h"
#include "ghatrace/trace/merge.h"

#define EVENTS_MAX 16
#define STEPS_MAX 1000 // far more than any run of this size needs

// How spans were sent since the state was created.
struct sent {
    int complete;
    int incomplete;
    int measured;
    uint64_t fingerprint; // of the last ones
};

struct world {
    struct trace_policy policy;
    timestamp_ns now;
    struct run_state run;
    struct job_state jobs[INPUT_JOBS];
    struct sent run_sent;
    struct sent jobs_sent[INPUT_JOBS];
    struct arena arena;
    struct lifecycle_output output;
};

static void count(struct sent *sent, bool is_incomplete, const struct span_batch *batch)
{
    uint64_t fingerprint = fingerprint_of_batch(batch);
    MUST(!is_incomplete || sent->complete == 0);
    MUST(batch->spans[0].has_parent || sent->fingerprint != fingerprint);
    sent->fingerprint = fingerprint;
    *(is_incomplete ? &sent->incomplete : &sent->complete) += 1;
}

static void count_job(struct world *world, const struct lifecycle_finished *finished)
{
    size_t job = (size_t)finished->span_id.bytes[SPAN_ID_SIZE - 1] - 1;
    MUST(job < INPUT_JOBS);
    struct sent *sent = &world->jobs_sent[job];
    count(sent, world->jobs[job].phase == JOB_CLOSED_INCOMPLETE, &finished->batch);
    sent->measured += finished->job_sample != NULL;
    MUST(sent->measured <= 1);
}

static void take_output(struct world *world)
{
    int64_t open_jobs = 0;
    for (size_t i = 0; i < world->output.finished_count; i++) {
        const struct span_batch *batch = &world->output.finished[i].batch;
        check_spans(batch);
        check_phases(batch);
        if (batch->spans[0].kind == SPAN_KIND_SERVER) {
            count(&world->run_sent, world->run.phase == RUN_SENT_INCOMPLETE, batch);
            continue;
        }
        count_job(world, &world->output.finished[i]);
    }
    for (size_t i = 0; i < INPUT_JOBS; i++)
        open_jobs += world->jobs[i].phase == JOB_OPEN || world->jobs[i].phase == JOB_SETTLING;
    MUST(world->run.open_jobs == open_jobs);
}

static struct lifecycle lifecycle_of(struct world *world)
{
    return (struct lifecycle){&world->policy, &world->arena, &world->output};
}

static void receive(struct world *world, const struct event_input *input)
{
    bool is_job = input->event.kind == GITHUB_EVENT_JOB;
    const struct lifecycle life = lifecycle_of(world);
    const struct lifecycle_event received = {&input->event, input->occurred_at, world->now,
                                             input->digest};
    enum error_code code =
        is_job ? lifecycle_apply_job_event(&life, &received, &world->run,
                                           &world->jobs[input->event.job.job_id - 1])
               : lifecycle_apply_run_event(&life, &received, &world->run);
    MUST(code == ERROR_NONE);
    bool resend_jobs = world->output.resend_jobs;
    take_output(world);
    for (size_t i = 0; resend_jobs && i < INPUT_JOBS; i++) {
        MUST(lifecycle_resend_unnamed_job(&life, world->now, &world->run, &world->jobs[i]) ==
             ERROR_NONE);
        take_output(world);
    }
}

static void expire_job(struct world *world, size_t i)
{
    const struct lifecycle life = lifecycle_of(world);
    MUST(lifecycle_expire_job(&life, world->now, &world->run, &world->jobs[i]) == ERROR_NONE);
    take_output(world);
    if (!world->output.delete_state)
        return;
    MUST(world->jobs_sent[i].complete + world->jobs_sent[i].incomplete > 0);
    world->jobs[i] = (struct job_state){0};
    world->jobs_sent[i] = (struct sent){0};
}

static void expire_run(struct world *world)
{
    const struct lifecycle life = lifecycle_of(world);
    MUST(lifecycle_expire_run(&life, world->now, &world->run) == ERROR_NONE);
    take_output(world);
    if (world->output.delete_state) {
        MUST(world->run_sent.complete + world->run_sent.incomplete > 0);
        world->run = (struct run_state){0};
        world->run_sent = (struct sent){0};
    } else if (world->output.sweep_jobs) {
        for (size_t i = 0; i < INPUT_JOBS; i++) {
            if (world->jobs[i].phase == JOB_OPEN)
                expire_job(world, i);
        }
        world->run.jobs_swept = true;
    }
}

// Processes the first deadline that is due by `until`. False: none is.
static bool expire_first(struct world *world, timestamp_ns until)
{
    timestamp_ns due = lifecycle_run_deadline(&world->policy, &world->run);
    size_t first = INPUT_JOBS; // the run
    for (size_t i = 0; i < INPUT_JOBS; i++) {
        timestamp_ns at = lifecycle_job_deadline(&world->policy, &world->run, &world->jobs[i]);
        if (at != TIMESTAMP_UNKNOWN && (due == TIMESTAMP_UNKNOWN || at < due)) {
            due = at;
            first = i;
        }
    }
    if (due == TIMESTAMP_UNKNOWN || due > until)
        return false;
    if (world->now < due)
        world->now = due;
    if (first == INPUT_JOBS)
        expire_run(world);
    else
        expire_job(world, first);
    return true;
}

static void pass_time(struct world *world, timestamp_ns until)
{
    int steps = 0;
    while (expire_first(world, until))
        MUST(++steps < STEPS_MAX);
    if (world->now < until)
        world->now = until;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.now = INPUT_LATEST + NS_PER_SECOND};
    struct event_input inputs[EVENTS_MAX];
    size_t events = size / INPUT_SIZE < EVENTS_MAX ? size / INPUT_SIZE : EVENTS_MAX;
    trace_policy_init(&world.policy);
    world.policy.root_grace = 5 * NS_PER_SECOND;
    world.policy.job_grace = 15 * NS_PER_SECOND;
    world.policy.run_idle = 40 * NS_PER_SECOND;
    world.policy.job_timeout = 100 * NS_PER_SECOND;
    world.policy.approval_timeout = 180 * NS_PER_SECOND;
    // Longer and shorter than the wait for a job.
    world.policy.linger = (size % 2 == 0 ? 150 : 60) * NS_PER_SECOND;
    arena_init(&world.arena, 1024);
    for (size_t i = 0; i < events; i++) {
        input_read(data + i * INPUT_SIZE, &inputs[i]);
        pass_time(&world, world.now + inputs[i].later);
        receive(&world, &inputs[i]);
    }
    pass_time(&world, INT64_MAX);
    MUST(world.run.phase == RUN_NEW);
    for (size_t i = 0; i < INPUT_JOBS; i++)
        MUST(world.jobs[i].phase == JOB_NEW);
    arena_release(&world.arena);
    return 0;
}
