"""Whole runs in their usual order: the exact spans that come out."""
import json

import expect
import harness
from expect import job_spans, root_span, run_spans
from payloads import Repository, Run, Step, disguised_check_run


class Spans(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="30s")

    def check(self, run, expected=None):
        self.daemon.accept(*run.timeline())
        return self.check_trace(self.collector, expected or run_spans(run))

    def test_a_run_of_one_job_is_a_root_a_job_three_phases_and_its_steps(self):
        run = Run()
        run.job()
        found = self.check(run)
        self.assertEqual(len(found), 1 + 1 + 3 + 5)

    def test_a_run_of_a_matrix_has_a_span_for_each_job(self):
        run = Run(workflow="Matrix")
        for version in ("3.10", "3.11", "3.12"):
            run.job(f"call-workflow / test ({version})", queue=5)
        run.job("deploy", offset=70, duration=20)
        self.check(run)

    def test_a_run_without_jobs_is_a_root_alone(self):
        self.check(Run(conclusion="cancelled"))
        self.check(Run(conclusion="startup_failure"))

    def test_conclusions_become_results_and_statuses(self):
        for conclusion in ("success", "failure", "cancelled", "timed_out", "neutral", "stale", "startup_failure"):
            run = Run(conclusion=conclusion)
            run.job(conclusion=conclusion)
            with self.subTest(conclusion):
                self.check(run)

    def test_a_pull_request_is_named_and_its_branch_is_not_called_a_branch(self):
        run = Run(head_branch="feature/new-flux", pull_request=(2_000_123, "main"), event="pull_request")
        run.job()
        found = self.check(run)
        root = found[expect.Ids(run.run_id).root]
        self.assertEqual(root["attributes"]["vcs.change.id"], "2000123")
        self.assertNotIn("vcs.ref.head.type", root["resource"])

    def test_the_service_is_the_repository_or_its_custom_property(self):
        named = Repository("acme/x", properties={"service_name": "Rocket_1"})
        for repository in (Repository("Acme/Big_Rocket_v2"), named):
            run = Run(repository=repository)
            run.job()
            with self.subTest(repository.full_name):
                self.check(run)

    def test_a_gated_job_shows_how_long_it_waited_for_approval(self):
        run = Run(age=4000)
        job = run.job(environment="production", waited=1800.125)
        run.updated = job.completed_at + 2
        found = self.check(run)
        waiting = found[expect.Ids(run.run_id).phase("job.waiting", job.job_id)]
        self.assertEqual(waiting["endTimeUnixNano"] - waiting["startTimeUnixNano"], 1_800_125_000_000)

    def test_a_skipped_job_is_a_span_of_no_length_without_phases(self):
        run = Run()
        run.job("build")
        run.job("deploy ${{ matrix.os }}", offset=60).skipped()
        late = run.job("notify", offset=61).skipped()
        late.started = late.completed_at = late.created - 1
        self.check(run)

    def test_a_job_cancelled_in_the_queue_was_queued_to_its_end(self):
        run = Run(conclusion="cancelled")
        job = run.job()
        job.cancelled_in_queue(job.created + 30)
        self.check(run)

    def test_a_gated_job_cancelled_before_its_release_only_waited(self):
        run = Run(conclusion="cancelled")
        job = run.job(environment="production", waited=5)
        job.cancelled_in_queue(job.created + 30)
        job.released = None
        events = [run.requested(), job.queued(), job.waiting(), job.completed(), run.completed()]
        self.daemon.accept(*events)
        job.released = job.completed_at
        # It never was in the queue: a queue time of zero would be a claim about runners.
        wanted = [span for span in run_spans(run) if span["name"] != "runner.queue"]
        for span in wanted:
            span["attributes"].pop("queue_time_ms", None)
        self.check_trace(self.collector, wanted)

    def test_steps_of_equal_names_have_ids_of_their_own(self):
        run = Run()
        job = run.job()
        s, c = job.started, job.completed_at
        job.steps = [Step("Set up job", 1, s, s + 2), Step("Run a", 2, s + 2, s + 4), Step("Run a", 3, s + 4, s + 6),
                     Step("Run a", 9, s + 6, c - 1, "failure"), Step("Complete job", 10, c - 1, c)]
        self.check(run)

    def test_jobs_of_equal_names_have_ids_of_their_own(self):
        run = Run()
        run.job("test")
        run.job("test", offset=2)
        self.check(run)

    def test_runner_preparation_may_take_several_steps(self):
        run = Run()
        job = run.job()
        s, c = job.started, job.completed_at
        job.steps = [Step("Set up job", 1, s, s + 2), Step("Initialize containers", 2, s + 2, s + 21),
                     Step("Run make", 3, s + 21, c - 1), Step("Complete job", 4, c - 1, c)]
        self.check(run)

    def test_a_job_whose_steps_are_all_the_runners_own_has_start_up_to_their_end(self):
        run = Run(conclusion="failure")
        job = run.job(conclusion="failure")
        job.steps = [Step("Set up job", 1, job.started, job.started + 5, "failure")]
        self.check(run)

    def test_a_runner_lost_in_its_preparation_spent_its_time_in_start_up(self):
        for names in (["Set up job"], ["Initialize containers"], ["Set up job", "Initialize containers"]):
            run = Run(conclusion="failure")
            job = run.job(duration=692).lost(*names)
            run.updated = job.completed_at + 1
            with self.subTest(names):
                found = self.check(run)
                ids = expect.Ids(run.run_id)
                startup, execution = (found[ids.phase(name, job.job_id)] for name in expect.PHASES[2:])
                self.assertEqual(startup["endTimeUnixNano"] - startup["startTimeUnixNano"], 692_000_000_000)
                self.assertEqual(execution["startTimeUnixNano"], execution["endTimeUnixNano"])

    def test_a_runner_lost_while_several_steps_ran_is_one_lost_runner(self):
        run = Run(conclusion="failure")
        job = run.job().lost("database", "unit")
        found = self.check(run)
        ids = expect.Ids(run.run_id)
        attributes = found[ids.job(job.job_id)]["attributes"]
        self.assertEqual((attributes["cicd.pipeline.task.run.result"], attributes["error.type"]),
                         ("error", "runner_lost"))
        for step in ("database", "unit"):
            self.assertIs(found[ids.step(job.job_id, step, 0)]["attributes"]["github.incomplete"], True)

    def test_a_cancelled_job_with_an_open_step_stays_a_cancellation(self):
        run = Run(conclusion="cancelled")
        run.job().lost("make").conclusion = "cancelled"
        self.check(run)

    def test_a_job_that_github_refused_to_start_was_queued_until_its_end(self):
        run = Run(conclusion="failure")
        job = run.job().refused(after=4)
        found = self.check(run)
        ids = expect.Ids(run.run_id)
        attributes = found[ids.job(job.job_id)]["attributes"]
        self.assertEqual(attributes["queue_time_ms"], 4000)
        self.assertEqual((attributes["cicd.pipeline.task.run.result"], attributes["error.type"]),
                         ("error", "not_started"))
        self.assertNotIn(ids.phase("runner.execution", job.job_id), found)

    def test_steps_may_overlap_and_be_listed_in_any_order(self):
        run = Run(conclusion="failure")
        job = run.job().overlapping()
        self.check(run)
        other = Run(conclusion="failure")
        job = other.job().overlapping()
        job.steps = job.steps[::-1]
        self.check(other)

    def test_a_job_that_does_not_begin_with_preparation_has_no_start_up(self):
        run = Run()
        job = run.job()
        job.steps = [Step("Run make", 3, job.started + 2, job.completed_at)]
        self.check(run)

    def test_a_job_without_steps_has_execution_alone(self):
        run = Run()
        run.job().steps = []
        self.check(run)

    def test_steps_beyond_their_job_are_clamped_into_it(self):
        run = Run()
        job = run.job()
        job.steps[0].start = job.started - 1
        job.steps[-1].end = job.completed_at + 3
        self.check(run)

    def test_skipped_and_untimed_steps_are_exported_as_they_were(self):
        run = Run()
        job = run.job()
        at = job.steps[2].end
        job.steps[3] = Step("Post Run", 6, at, at, "skipped")
        job.steps.insert(4, Step("Complete runner", 8, None, None, None, "pending"))
        job.steps[5].number = 9
        self.check(run)

    def test_a_step_that_never_ended_ends_with_its_job(self):
        run = Run(conclusion="failure")
        job = run.job(conclusion="failure")
        job.steps = [Step("Set up job", 1, job.started, job.started + 1),
                     Step("Run make", 2, job.started + 1, None, None, "in_progress")]
        found = self.check(run)
        step = found[expect.Ids(run.run_id).step(job.job_id, "Run make", 2)]
        self.assertIs(step["attributes"]["github.incomplete"], True)

    def test_an_end_before_its_start_makes_a_span_of_no_length(self):
        run = Run(conclusion="cancelled")
        job = run.job()
        job.cancelled_in_queue(job.created - 1_906_073)
        self.daemon.accept(*run.timeline())
        found = self.collector.wait_trace(expect.Ids(run.run_id).trace, 3)
        for span in found:
            self.assertLessEqual(span["startTimeUnixNano"], span["endTimeUnixNano"], span["name"])
        job_span = expect.by_id(found)[expect.Ids(run.run_id).job(job.job_id)]
        self.assertEqual(job_span["startTimeUnixNano"], expect.ns(job.created))
        self.assertEqual(job_span["endTimeUnixNano"], expect.ns(job.created) + 1)

    def test_a_completed_job_without_an_end_ends_with_its_last_step(self):
        run = Run()
        job = run.job()
        job.steps[-1].end = job.completed_at - 1
        for step in job.steps[3:]:
            step.start = step.start - 1
            step.end = job.steps[-1].end

        def change(document):
            document["workflow_job"]["completed_at"] = None
        self.daemon.accept(run.requested(), job.completed().edited(change), run.completed())
        job.completed_at -= 1
        self.check_trace(self.collector, run_spans(run))

    def test_a_completed_job_is_complete_by_itself(self):
        run = Run()
        job = run.job()
        self.daemon.accept(job.completed(), run.completed())
        self.check_trace(self.collector, run_spans(run))

    def test_old_payloads_take_the_queue_time_from_the_queued_event(self):
        run = Run(is_old=True)
        job = run.job()
        job.created = None
        self.check(run)

    def test_fractions_and_offsets_in_times_are_read(self):
        run = Run()
        job = run.job()

        def change(document):
            body = document["workflow_job"]
            body["created_at"] = body["created_at"].replace("Z", ".000Z")
            body["started_at"] = body["started_at"].replace("Z", "+00:00")
            body["steps"][1]["started_at"] = body["steps"][1]["started_at"].replace("Z", ".250Z")
        event = job.completed().edited(change)
        job.steps[1].start += 0.25
        self.daemon.accept(run.requested(), event, run.completed())
        self.check_trace(self.collector, run_spans(run))

    def test_a_disguised_check_run_changes_nothing(self):
        run = Run()
        run.job()
        events = run.timeline()
        events.insert(2, disguised_check_run(run))
        events.append(disguised_check_run(run, conclusion="success"))
        for event in events:
            self.daemon.deliver(event)
        self.check_trace(self.collector, run_spans(run))
        # ... and is not the first word of a run
        other = Run()
        self.daemon.deliver(disguised_check_run(other))
        self.daemon.accept(other.completed())
        self.check_trace(self.collector, run_spans(other))

    def test_a_failing_check_run_with_a_job_url_is_a_job(self):
        run = Run(conclusion="failure")
        job = run.job(conclusion="failure")
        job.steps, job.labels = [], []
        job.runner_id = job.runner_name = job.runner_group = None
        job.started = job.completed_at
        self.daemon.accept(run.requested(), job.completed(), run.completed())
        self.check_trace(self.collector, run_spans(run))

    def test_an_edited_status_does_not_decide(self):
        run = Run(conclusion="cancelled")
        job = run.job(conclusion="cancelled")
        job.status = "failure"
        self.check(run)

    def test_the_last_jobs_end_may_be_later_than_its_runs(self):
        run = Run()
        job = run.job(duration=120)
        events = [run.requested(), job.queued(), job.in_progress(), run.completed(), job.completed()]
        self.daemon.accept(*events)
        self.check_trace(self.collector, run_spans(run))
        root = expect.by_id(self.collector.trace(expect.Ids(run.run_id).trace))[expect.Ids(run.run_id).root]
        self.assertEqual(root["endTimeUnixNano"], expect.ns(job.completed_at))

    def test_a_second_attempt_is_a_trace_of_its_own_that_links_to_the_first(self):
        run = Run(conclusion="failure", age=1000)
        run.job(conclusion="failure")
        self.check(run)
        again = Run(run.run_id, attempt=2, age=500)
        again.created = run.created
        again.job()
        found = self.check(again)
        root = found[f"{run.run_id:016x}"]
        self.assertEqual(root["links"][0]["traceId"], expect.Ids(run.run_id).trace)
        self.assertNotEqual(root["traceId"], root["links"][0]["traceId"])

    def test_a_carried_over_job_is_a_span_of_no_length(self):
        run = Run(attempt=3, age=500)
        fresh = run.job("flaky")
        old = run.job("steady").carried_over(run.started - 3600, run.started - 3000)
        self.daemon.accept(fresh.queued(), old.completed(), fresh.in_progress(), fresh.completed(), run.completed())
        expected = [root_span(run)] + job_spans(fresh)
        expected += [span for span in job_spans(old, steps=False, phases=False)]
        carried = expected[-1]
        carried["attributes"]["github.carried_over"] = True
        carried["attributes"].pop("queue_time_ms", None)
        self.check_trace(self.collector, expected)

    def test_a_skipped_job_of_a_later_attempt_is_not_carried_over(self):
        run = Run(attempt=2, age=500)
        skipped = run.job("deploy").skipped()
        skipped.started = skipped.completed_at = skipped.created - 100
        self.check(run)

    def test_nothing_reopens_or_shortens_a_completed_job(self):
        run = Run()
        job = run.job()
        self.daemon.accept(run.requested(), job.completed(), job.in_progress(), job.queued(), run.completed())
        self.daemon.accept(run.in_progress())
        self.check_trace(self.collector, run_spans(run))

    def test_the_scope_names_the_program_and_the_conventions(self):
        run = Run()
        self.check(run)
        for group in self.collector.groups():
            self.assertEqual(group["scope"]["name"], "ghatrace")
            self.assertRegex(group["scope"]["version"], r"^\d+\.\d+\.\d+")
            self.assertRegex(group["resourceSchemaUrl"] or group["scopeSchemaUrl"], "https://opentelemetry.io/schemas/")


class Choices(harness.BlackBoxTest):
    def run_through(self, **settings):
        daemon, collector = self.new_pair(**settings)
        run = Run()
        run.job("build / linux (22.04)")
        daemon.accept(*run.timeline())
        return run, collector

    def test_the_schemes_of_other_producers_can_be_chosen(self):
        for scheme in ("collector", "runner"):
            run, collector = self.run_through(id_scheme=scheme)
            with self.subTest(scheme):
                self.check_trace(collector, run_spans(run, scheme))

    def test_steps_can_be_left_out(self):
        run, collector = self.run_through(steps="off")
        self.check_trace(collector, run_spans(run, steps=False))

    def test_runner_spans_can_be_left_out_for_some_runners(self):
        daemon, collector = self.new_pair(runner_spans_off="arc-*, !arc-gpu")
        run = Run()
        jobs = [run.job(name) for name in ("small", "gpu", "hosted", "grouped")]
        labels = (["ARC-small", "linux"], ["arc-gpu"], ["ubuntu-24.04"], ["linux"])
        for job, own in zip(jobs, labels):
            job.labels = own
            job.runner_group = "arc-runners" if job is jobs[3] else "Default"
        daemon.accept(*run.timeline())
        left_out = {jobs[0].job_id, jobs[3].job_id}
        expected = [expect.root_span(run, max(job.completed_at for job in jobs))]
        for job in jobs:
            expected += expect.job_spans(job, phases=job.job_id not in left_out)
        self.check_trace(collector, expected)

    def test_jobs_and_steps_can_be_left_to_runners_that_send_them(self):
        daemon, collector = self.new_pair(id_scheme="runner", job_spans_off="self-hosted", steps_off="self-hosted")
        run = Run()
        own, hosted = run.job("own"), run.job("hosted")
        own.labels, hosted.labels = ["self-hosted"], ["ubuntu-24.04"]
        daemon.accept(*run.timeline())
        job_span = expect.RunnerIds(run.run_id).job(own.job_id, "own")
        expected = [expect.root_span(run, max(job.completed_at for job in run.jobs), "runner")]
        expected += [span for span in expect.job_spans(own, scheme="runner", steps=False) if span["spanId"] != job_span]
        expected += expect.job_spans(hosted, scheme="runner")
        self.check_trace(collector, expected)
        shown = json.loads(daemon.admin(f"/api/runs/{run.run_id}/1").body)
        self.assertEqual({job["name"]: job["conclusion"] for job in shown["jobs"]},
                         {"own": "success", "hosted": "success"})

    def test_runner_spans_can_be_left_out(self):
        run, collector = self.run_through(runner_spans="off")
        self.check_trace(collector, run_spans(run, phases=False))
