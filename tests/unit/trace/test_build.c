// The exact attributes of spans: dashboards and other producers' queries depend on them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/trace/lifecycle.h"
#include "ghatrace/trace/merge.h"
#include "ghatrace/trace/spans.h"
#include "support/policy.h"
#include "support/scenario.h"

struct workshop {
    struct trace_policy policy;
    struct run_state run;
    struct job_state job;
    struct arena arena;
    struct lifecycle_output output;
    struct buffer text;
};

static int set_up(void **state)
{
    struct workshop *workshop = test_calloc(1, sizeof *workshop);
    trace_policy_init(&workshop->policy);
    arena_init(&workshop->arena, 65536);
    buffer_init(&workshop->text, 1 << 20);
    *state = workshop;
    return 0;
}

static int tear_down(void **state)
{
    struct workshop *workshop = *state;
    arena_release(&workshop->arena);
    buffer_release(&workshop->text);
    test_free(workshop);
    return 0;
}

static void apply(struct workshop *workshop, const struct scenario_delivery *delivery)
{
    const struct lifecycle life = {&workshop->policy, &workshop->arena, &workshop->output};
    const struct lifecycle_event received = scenario_received(delivery);
    assert_int_equal(scenario_apply(&life, &received, &workshop->run, &workshop->job), ERROR_NONE);
}

static void write_attribute(struct buffer *text, const struct attribute *attribute)
{
    assert_int_equal(buffer_append_format(text, "%s=", attribute->key), ERROR_NONE);
    switch (attribute->type) {
    case ATTRIBUTE_STRING:
        assert_true(attribute->string.len > 0);
        assert_int_equal(buffer_append_slice(text, attribute->string), ERROR_NONE);
        break;
    case ATTRIBUTE_INT:
        assert_int_equal(buffer_append_format(text, "int %lld", (long long)attribute->integer),
                         ERROR_NONE);
        break;
    case ATTRIBUTE_BOOL:
        assert_int_equal(buffer_append_string(text, attribute->boolean ? "true" : "false"),
                         ERROR_NONE);
        break;
    case ATTRIBUTE_STRINGS:
        for (size_t i = 0; i < attribute->strings.count; i++) {
            assert_int_equal(buffer_append_string(text, i > 0 ? "|" : "["), ERROR_NONE);
            assert_int_equal(buffer_append_slice(text, attribute->strings.items[i]), ERROR_NONE);
        }
        assert_int_equal(buffer_append_string(text, "]"), ERROR_NONE);
        break;
    }
    assert_int_equal(buffer_append_string(text, "\n"), ERROR_NONE);
}

static void assert_attributes(struct workshop *workshop, const struct attributes *attributes,
                              const char *expected)
{
    buffer_clear(&workshop->text);
    for (size_t i = 0; i < attributes->count; i++)
        write_attribute(&workshop->text, &attributes->items[i]);
    assert_int_equal(buffer_append(&workshop->text, "", 1), ERROR_NONE);
    assert_string_equal(workshop->text.data, expected);
}

static const struct span *span_named(const struct workshop *workshop, const char *name)
{
    for (size_t i = 0; i < workshop->output.finished_count; i++) {
        const struct span_batch *batch = &workshop->output.finished[i].batch;
        for (size_t k = 0; k < batch->span_count; k++) {
            if (slice_equals(batch->spans[k].name, slice_from_string(name)))
                return &batch->spans[k];
        }
    }
    fail_msg("no span %s", name);
    return NULL;
}

static void complete_a_failed_job(struct workshop *workshop)
{
    static struct github_step steps[3];
    struct scenario_delivery completed =
        scenario_job(100520616165, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    steps[0] = scenario_step(1, "Set up job", 6, 9, "success");
    steps[1] = scenario_step(3, "make", 9, 40, "failure");
    steps[2] = scenario_step(7, "make", 40, 41, "skipped");
    scenario_set_steps(&completed, steps, 3);
    scenario_set_conclusion(&completed, "failure");
    scenario_set_deployment(&completed, 3192898954, "production");
    completed.event.job.runner_group_name = SLICE("Default");
    workshop->policy.root_grace = 0; // a deployment whose approval was not received does not settle
    apply(workshop, &completed);
    assert_int_equal(workshop->output.finished_count, 1);
}

static void a_jobs_span_describes_the_job_and_its_runner(void **state)
{
    struct workshop *workshop = *state;
    complete_a_failed_job(workshop);
    const struct span *job = span_named(workshop, "build");
    assert_int_equal(job->kind, SPAN_KIND_INTERNAL);
    assert_int_equal(job->status, SPAN_STATUS_ERROR);
    assert_true(slice_equals(job->status_message, SLICE("failure")));
    assert_attributes(workshop, &job->attributes,
                      "cicd.pipeline.task.name=build\n"
                      "cicd.pipeline.task.run.id=100520616165\n"
                      "cicd.pipeline.task.run.url.full="
                      "https://github.com/octo/Hello_World/actions/runs/33714470481/job/1\n"
                      "cicd.pipeline.task.run.result=failure\n"
                      "error.type=failure\n"
                      "type=job\n"
                      "github.job_id=int 100520616165\n"
                      "github.run_id=int 33714470481\n"
                      "github.run_attempt=int 1\n"
                      "github.status=completed\n"
                      "github.conclusion=failure\n"
                      "github.repository=octo/Hello_World\n"
                      "github.runner_name=runner-7\n"
                      "github.runner_id=int 7\n"
                      "cicd.worker.name=runner-7\n"
                      "cicd.worker.id=7\n"
                      "github.runner_group_name=Default\n"
                      "github.runner_labels=[self-hosted|linux]\n"
                      "queue_time_ms=int 4000\n"
                      "deployment.environment.name=production\n"
                      "deployment.id=3192898954\n");
}

#define PHASE_ATTRIBUTES                                                                           \
    "github.run_id=int 33714470481\n"                                                              \
    "github.job_id=100520616165\n"                                                                 \
    "github.job_name=build\n"                                                                      \
    "github.repository=octo/Hello_World\n"                                                         \
    "github.runner_name=runner-7\n"                                                                \
    "github.runner_id=int 7\n"                                                                     \
    "cicd.worker.name=runner-7\n"                                                                  \
    "cicd.worker.id=7\n"                                                                           \
    "cicd.pipeline.run.id=33714470481\n"                                                           \
    "cicd.pipeline.task.name=build\n"                                                              \
    "cicd.pipeline.task.run.id=100520616165\n"                                                     \
    "vcs.repository.url.full=https://github.com/octo/Hello_World\n"

static void phases_have_the_attributes_that_arc_sets(void **state)
{
    struct workshop *workshop = *state;
    complete_a_failed_job(workshop);
    const struct span *queue = span_named(workshop, "runner.queue");
    const struct span *execution = span_named(workshop, "runner.execution");
    assert_int_equal(queue->status, SPAN_STATUS_UNSET);
    assert_attributes(workshop, &queue->attributes,
                      "type=runner.queue\n" PHASE_ATTRIBUTES "github.phase_source=webhook\n");
    assert_attributes(workshop, &execution->attributes,
                      "type=runner.execution\n" PHASE_ATTRIBUTES "github.conclusion=failure\n"
                      "cicd.pipeline.task.run.result=failure\n"
                      "github.phase_source=webhook\n");
}

static void a_steps_span_describes_the_step(void **state)
{
    struct workshop *workshop = *state;
    complete_a_failed_job(workshop);
    const struct span *step = span_named(workshop, "make");
    assert_attributes(
        workshop, &step->attributes,
        "cicd.pipeline.task.name=make\n"
        "cicd.pipeline.task.run.id=100520616165/3\n"
        "cicd.pipeline.task.run.url.full="
        "https://github.com/octo/Hello_World/actions/runs/33714470481/job/1#step:3:1\n"
        "cicd.pipeline.task.run.result=failure\n"
        "error.type=failure\n"
        "type=step\n"
        "github.step_number=int 3\n"
        "github.status=completed\n"
        "github.conclusion=failure\n");
}

static void a_step_lies_within_its_job_even_if_it_has_no_length(void **state)
{
    struct workshop *workshop = *state;
    struct scenario_delivery completed = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    const struct github_step steps[] = {
        scenario_step(1, "none", 30, 30, "success"),
        scenario_step(2, "reversed", 40, 35, "success"),
        scenario_step(3, "early", 1, 10, "success"),
        scenario_step(4, "late", 50, 90, "success"),
        scenario_step(5, "before", 0.5, 1, "success"),
        scenario_step(6, "after", 70, 90, "success"),
    };
    const double expected[][2] = {{30, 30}, {40, 40}, {2, 10}, {50, 60}, {2, 2}, {60, 60}};
    scenario_set_steps(&completed, steps, 6);
    apply(workshop, &completed);
    for (size_t i = 0; i < 6; i++) {
        const struct span *step = span_named(workshop, steps[i].name.data);
        assert_int_equal(step->start, scenario_at(expected[i][0]));
        assert_int_equal(step->end, scenario_at(expected[i][1]));
    }
}

static void steps_of_one_name_have_ids_of_their_own(void **state)
{
    struct workshop *workshop = *state;
    complete_a_failed_job(workshop);
    const struct span_batch *batch = &workshop->output.finished[0].batch;
    for (size_t i = 0; i < batch->span_count; i++) {
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(batch->spans[i].span_id.bytes, batch->spans[k].span_id.bytes,
                                    SPAN_ID_SIZE);
    }
}

static void a_runs_span_describes_the_run_and_who_started_it(void **state)
{
    struct workshop *workshop = *state;
    static const struct slice referenced[] = {{"octo/shared/.github/workflows/t.yml@18c32d2", 43}};
    struct scenario_delivery completed = scenario_run(GITHUB_RUN_COMPLETED, 62, "timed_out");
    completed.event.run.referenced_workflows = referenced;
    completed.event.run.referenced_workflow_count = 1;
    completed.event.run.pull_request_number = 17;
    completed.event.run.pull_request_base = SLICE("main");
    scenario_set_attempt(&completed, 2);
    apply(workshop, &completed);
    const struct span *root = span_named(workshop, "RUN CI");
    assert_int_equal(root->kind, SPAN_KIND_SERVER);
    assert_false(root->has_parent);
    assert_true(root->has_link);
    struct trace_id previous = trace_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1);
    assert_memory_equal(root->link_trace_id.bytes, previous.bytes, TRACE_ID_SIZE);
    assert_attributes(workshop, &root->attributes,
                      "cicd.pipeline.name=CI\n"
                      "cicd.pipeline.run.id=33714470481\n"
                      "cicd.pipeline.run.url.full="
                      "https://github.com/octo/Hello_World/actions/runs/33714470481/attempts/2\n"
                      "cicd.pipeline.result=timeout\n"
                      "error.type=timed_out\n"
                      "type=workflow\n"
                      "github.run_id=int 33714470481\n"
                      "github.run_attempt=int 2\n"
                      "github.run_number=int 75\n"
                      "github.event_name=push\n"
                      "github.conclusion=timed_out\n"
                      "github.actor=mona\n"
                      "github.triggering_actor=mona\n"
                      "github.workflow_path=.github/workflows/ci.yml\n"
                      "github.display_title=fix the build\n"
                      "github.referenced_workflows=[octo/shared/.github/workflows/t.yml@18c32d2]\n"
                      "vcs.change.id=17\n"
                      "vcs.ref.base.name=main\n");
}

#define RESOURCE                                                                                   \
    "cicd.pipeline.name=CI\n"                                                                      \
    "cicd.pipeline.run.id=33714470481\n"                                                           \
    "cicd.pipeline.run.url.full=https://github.com/octo/Hello_World/actions/runs/33714470481\n"    \
    "vcs.provider.name=github\n"                                                                   \
    "vcs.owner.name=octo\n"                                                                        \
    "vcs.repository.name=Hello_World\n"                                                            \
    "vcs.repository.url.full=https://github.com/octo/Hello_World\n"                                \
    "vcs.ref.head.name=main\n"                                                                     \
    "vcs.ref.head.revision=3484a3fb816e0859fd6e1cea078d76385ff50625\n"                             \
    "vcs.ref.head.type=branch\n"

static void job_and_run_have_one_and_the_same_resource(void **state)
{
    struct workshop *workshop = *state;
    struct scenario_delivery run = scenario_run(GITHUB_RUN_COMPLETED, 62, "success");
    complete_a_failed_job(workshop);
    assert_attributes(workshop, &workshop->output.finished[0].batch.resource,
                      "service.name=hello-world\n" RESOURCE);
    apply(workshop, &run);
    assert_int_equal(workshop->output.finished_count, 1);
    assert_attributes(workshop, &workshop->output.finished[0].batch.resource,
                      "service.name=hello-world\n" RESOURCE);
}

static void the_service_is_named_by_setting_then_property_then_repository(void **state)
{
    struct workshop *workshop = *state;
    const struct attribute extra = {"team", ATTRIBUTE_STRING, {.string = SLICE("build")}};
    struct scenario_delivery run = scenario_run(GITHUB_RUN_COMPLETED, 62, "success");
    run.event.repository.service_name = SLICE("Big_Rocket");
    run.event.run.head_branch = SLICE("feature/x");
    workshop->policy.resource_extra = &extra;
    workshop->policy.resource_extra_count = 1;
    apply(workshop, &run);
    struct attributes *resource = &workshop->output.finished[0].batch.resource;
    assert_true(slice_equals(resource->items[0].string, SLICE("big-rocket")));
    assert_string_equal(resource->items[resource->count - 1].key, "team");
    for (size_t i = 0; i < resource->count; i++)
        assert_string_not_equal(resource->items[i].key, "vcs.ref.head.type");

    workshop->run = (struct run_state){0};
    workshop->policy.service_name = SLICE("ci");
    apply(workshop, &run);
    assert_true(
        slice_equals(workshop->output.finished[0].batch.resource.items[0].string, SLICE("ci")));
}

static void a_service_without_a_name_is_unknown(void **state)
{
    struct workshop *workshop = *state;
    struct scenario_delivery run = scenario_run(GITHUB_RUN_COMPLETED, 62, "success");
    run.event.repository = (struct github_repository){0};
    apply(workshop, &run);
    const struct attributes *resource = &workshop->output.finished[0].batch.resource;
    assert_true(slice_equals(attributes_get_string(resource, "service.name"),
                             SLICE("unknown_service:ghatrace")));
    assert_int_equal(attributes_get_string(resource, "vcs.repository.name").len, 0);

    workshop->run = (struct run_state){0};
    workshop->policy.service_name = SLICE("ci");
    apply(workshop, &run);
    resource = &workshop->output.finished[0].batch.resource;
    assert_true(slice_equals(attributes_get_string(resource, "service.name"), SLICE("ci")));
}

static void conclusions_become_results_and_errors(void **state)
{
    static const struct {
        const char *conclusion;
        const char *result;
        bool is_error;
        int rank; // how severe it is: a run takes the most severe of its jobs
    } rows[] = {
        {"skipped", "skip", false, 1},
        {"neutral", "success", false, 2},
        {"success", "success", false, 3},
        {"cancelled", "cancellation", false, 4},
        {"action_required", "action_required", false, 5},
        {"startup_failure", "error", true, 6},
        {"timed_out", "timeout", true, 7},
        {"failure", "failure", true, 8},
        {"stale", "stale", false, 2}, // unknown: as neutral
    };
    struct workshop *workshop = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scenario_delivery job = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        scenario_set_conclusion(&job, rows[i].conclusion);
        workshop->run = (struct run_state){0};
        workshop->job = (struct job_state){0};
        apply(workshop, &job);
        const struct span *span = &workshop->output.finished[0].batch.spans[0];
        const struct attribute *result = &span->attributes.items[3];
        assert_string_equal(result->key, "cicd.pipeline.task.run.result");
        assert_true(slice_equals(result->string, slice_from_string(rows[i].result)));
        assert_int_equal(span->status, rows[i].is_error ? SPAN_STATUS_ERROR : SPAN_STATUS_UNSET);
        assert_int_equal(build_result_of_conclusion(slice_from_string(rows[i].conclusion)),
                         rows[i].rank);
    }
}

static struct slice attribute_of(const struct span *span, const char *key)
{
    return attributes_get_string(&span->attributes, key);
}

static void assert_ends(struct workshop *workshop, const struct scenario_delivery *job,
                        const char *result, const char *error_type)
{
    workshop->run = (struct run_state){0};
    workshop->job = (struct job_state){0};
    apply(workshop, job);
    const struct span *span = &workshop->output.finished[0].batch.spans[0];
    struct slice conclusion = job->event.job.conclusion;
    bool is_error = error_type[0] != '\0';
    assert_true(slice_equals(attribute_of(span, "cicd.pipeline.task.run.result"),
                             slice_from_string(result)));
    assert_true(slice_equals(attribute_of(span, "error.type"), slice_from_string(error_type)));
    assert_true(slice_equals(attribute_of(span, "github.conclusion"), conclusion));
    assert_int_equal(span->status, is_error ? SPAN_STATUS_ERROR : SPAN_STATUS_UNSET);
    assert_true(slice_equals(span->status_message, is_error ? conclusion : SLICE_EMPTY));
    assert_true(
        slice_equals(workshop->output.finished[0].job_sample->result, slice_from_string(result)));
}

static void a_lost_runner_and_a_refusal_are_errors_of_the_system(void **state)
{
    static const struct {
        const char *conclusion;
        const char *lost[2]; // result, error.type
        const char *refused[2];
    } rows[] = {
        {"failure", {"error", "runner_lost"}, {"error", "not_started"}},
        {"startup_failure", {"error", "runner_lost"}, {"error", "not_started"}},
        {"timed_out", {"error", "runner_lost"}, {"error", "not_started"}},
        {"cancelled", {"cancellation", ""}, {"cancellation", ""}},
        {"success", {"success", ""}, {"success", ""}},
        {"skipped", {"skip", ""}, {"skip", ""}},
        {"stale", {"stale", ""}, {"stale", ""}},
    };
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                        scenario_step(2, "make", 9, -1, ""),
                                        scenario_step(3, "test", 9, -1, "")};
    struct workshop *workshop = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scenario_delivery lost = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        struct scenario_delivery refused = lost;
        scenario_set_conclusion(&lost, rows[i].conclusion);
        scenario_set_conclusion(&refused, rows[i].conclusion);
        scenario_set_steps(&lost, steps, 3);
        scenario_set_runner(&refused, 0, "");
        assert_ends(workshop, &lost, rows[i].lost[0], rows[i].lost[1]);
        assert_ends(workshop, &refused, rows[i].refused[0], rows[i].refused[1]);
    }
}

static void a_step_that_never_began_does_not_mean_a_lost_runner(void **state)
{
    struct workshop *workshop = *state;
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                        scenario_step(2, "make", 9, 20, "failure"),
                                        scenario_step(3, "Complete runner", -1, -1, "")};
    struct scenario_delivery job = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    scenario_set_conclusion(&job, "failure");
    scenario_set_steps(&job, steps, 3);
    assert_ends(workshop, &job, "failure", "failure");
}

static void refused_memory_is_reported_at_every_allocation(void **state)
{
    struct workshop *workshop = *state;
    struct scenario_delivery job = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    const struct lifecycle_event received = scenario_received(&job);
    enum error_code code = ERROR_MEMORY;
    long fault = 0;
    for (; code == ERROR_MEMORY; fault++) {
        struct arena small; // blocks so small that nearly every piece needs one
        const struct lifecycle life = {&workshop->policy, &small, &workshop->output};

        workshop->run = (struct run_state){0};
        workshop->job = (struct job_state){0};
        arena_init(&small, 64);
        memory_fail_after(fault);
        code = scenario_apply(&life, &received, &workshop->run, &workshop->job);
        memory_fail_after(-1);
        arena_release(&small);
    }
    assert_int_equal(code, ERROR_NONE);
    assert_true(fault > 3);
}

static bool has_id(const struct span_id *ids, size_t count, const struct span_id *id)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&ids[i], id, sizeof *id) == 0)
            return true;
    return false;
}

static void the_ids_of_a_jobs_spans_are_known_while_it_runs(void **state)
{
    static const enum id_scheme schemes[] = {ID_SCHEME_ARC, ID_SCHEME_COLLECTOR, ID_SCHEME_RUNNER};
    struct workshop *workshop = *state;
    uint32_t seed = 1;
    size_t spans = 0;
    for (int i = 0; i < 300; i++) {
        struct github_step steps[SCENARIO_STEPS_MAX];
        struct scenario_delivery end = scenario_any_job(1, &seed, steps);
        struct scenario_delivery first = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1);
        struct span_id *ids;
        size_t count;
        workshop->policy.scheme = schemes[i % 3];
        workshop->run = (struct run_state){.phase = RUN_NEW};
        workshop->job = (struct job_state){.phase = JOB_NEW};
        first.event.job.steps = end.event.job.steps;
        first.event.job.step_count = end.event.job.step_count;
        first.event.job.name = end.event.job.name;
        first.event.job.run_attempt = end.event.job.run_attempt;
        apply(workshop, &first);
        assert_int_equal(workshop->job.phase, JOB_OPEN);
        assert_int_equal(
            build_job_ids(&workshop->policy, &workshop->job, &workshop->arena, &ids, &count),
            ERROR_NONE);
        apply(workshop, &end);
        for (size_t k = 0; k < workshop->output.finished_count; k++) {
            const struct span_batch *batch = &workshop->output.finished[k].batch;
            for (size_t n = 0; n < batch->span_count; n++, spans++)
                assert_true(has_id(ids, count, &batch->spans[n].span_id));
        }
    }
    assert_true(spans > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_jobs_span_describes_the_job_and_its_runner),
        TEST(phases_have_the_attributes_that_arc_sets),
        TEST(a_steps_span_describes_the_step),
        TEST(a_step_lies_within_its_job_even_if_it_has_no_length),
        TEST(steps_of_one_name_have_ids_of_their_own),
        TEST(a_runs_span_describes_the_run_and_who_started_it),
        TEST(job_and_run_have_one_and_the_same_resource),
        TEST(the_service_is_named_by_setting_then_property_then_repository),
        TEST(a_service_without_a_name_is_unknown),
        TEST(conclusions_become_results_and_errors),
        TEST(a_lost_runner_and_a_refusal_are_errors_of_the_system),
        TEST(a_step_that_never_began_does_not_mean_a_lost_runner),
        TEST(the_ids_of_a_jobs_spans_are_known_while_it_runs),
        TEST(refused_memory_is_reported_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
