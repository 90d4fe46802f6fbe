"""When spans go out: graces, time-outs, re-runs, runs that GitHub never closes."""
import itertools
import json
import time
import uuid

import expect
import harness
from expect import Ids, by_id, job_spans, ns, root_span, run_spans
from payloads import Run, Step, guid_of_time


def recent_run(**kinds):
    """Ended a moment ago: deadlines count alike from its times and from the receipt of its events."""
    run = Run(age=65, **kinds)
    run.updated = run.started + 63
    return run


class Graces(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="1s", job_grace="3s")

    def test_old_payloads_without_a_queued_event_have_no_queue_span(self):
        run = Run(is_old=True)
        job = run.job()
        job.created = job.queued_at = None
        self.daemon.accept(run.requested(), job.in_progress(), job.completed(at=job.completed_at + 1), run.completed())
        self.check_trace(self.collector, run_spans(run))

    def test_a_deployment_that_needed_no_approval_has_no_waiting_span(self):
        run = recent_run()
        job = run.job("deploy", environment="staging", duration=40)
        self.daemon.accept(run.requested(), job.queued(), job.queued(at=job.created + 1), job.in_progress(),
                           job.completed(), run.completed())
        self.check_trace(self.collector, run_spans(run))


class Attempts(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="30s")

    def test_a_gate_is_understood_in_any_order_before_the_job_ends(self):
        runs = []
        for number, order in enumerate(itertools.permutations(range(3))):
            run = Run(age=600)
            job = run.job("deploy", environment="production", waited=60.5)
            run.updated = job.completed_at + 1
            events = [job.queued(), job.waiting(), job.requeued()]
            self.daemon.accept(run.requested(), *(events[i] for i in order))
            if number % 2:
                self.daemon.deliver(events[order[0]])  # and once more
            self.daemon.accept(job.in_progress(), job.completed(), run.completed())
            runs.append((order, run))
        for order, run in runs:
            with self.subTest(order=order):
                self.check_trace(self.collector, run_spans(run))

    def test_a_gate_may_be_reported_after_the_job_has_ended(self):
        runs = []
        for order in itertools.permutations(range(4)):
            run = Run(age=600)
            job = run.job("deploy", environment="production", waited=60.5)
            run.updated = job.completed_at + 1
            events = [job.queued(), job.waiting(), job.requeued(), job.completed()]
            self.daemon.accept(*(events[i] for i in order), run.completed())
            runs.append((order, run))
        for order, run in runs:
            with self.subTest(order=order):
                self.check_trace(self.collector, run_spans(run))

    def test_without_a_believable_guid_the_time_of_receipt_is_used(self):
        guids = {"random": str(uuid.uuid4()), "future": guid_of_time(time.time() + 3600), "not a uuid": "delivery-1",
                 "before the job": guid_of_time(time.time() - 86400)}
        for name, guid in guids.items():
            run = Run(age=30)
            job = run.job("deploy", environment="production", waited=2, queue=60)
            run.updated = job.completed_at + 1
            self.daemon.accept(job.queued(), job.waiting())
            before = time.time()
            self.daemon.accept(job.requeued().with_guid(guid))
            after = time.time()
            self.daemon.accept(job.completed(), run.completed())
            ids = Ids(run.run_id)
            spans = by_id(self.collector.wait_trace(ids.trace, len(run_spans(run))))
            released = spans[ids.phase("job.waiting", job.job_id)]["endTimeUnixNano"]
            with self.subTest(name):
                self.assertLessEqual(int(before * 1e9) - 2_000_000, released)
                self.assertLessEqual(released, int(after * 1e9) + 2_000_000)
                self.assertEqual(spans[ids.phase("runner.queue", job.job_id)]["startTimeUnixNano"], released)



class Silence(harness.BlackBoxTest):
    """Runs of which only jobs ever speak."""

    @classmethod
    def setUpClass(cls):
        cls.share_pair(run_idle="2s", root_grace="1s", job_timeout="1d")

    def made_up_root(self, ids):
        self.collector.wait_for_ids([(ids.trace, ids.root)])
        return by_id(self.collector.trace(ids.trace))[ids.root]

    def test_a_root_is_made_from_the_jobs_when_no_event_of_the_run_was_received(self):
        run = recent_run()
        first, second = run.job("a", duration=20), run.job("b", offset=5, duration=45, conclusion="failure")
        skipped = run.job("c", offset=52).skipped()
        self.daemon.accept(*first.timeline(), *second.timeline(), *skipped.timeline())
        ids = Ids(run.run_id)
        root = self.made_up_root(ids)
        self.assertEqual(root["name"], f"RUN {run.workflow}")
        self.assertEqual(root["parentSpanId"], "")
        self.assertEqual(root["startTimeUnixNano"], ns(first.created))
        self.assertEqual(root["endTimeUnixNano"], ns(second.completed_at))
        self.assertIs(root["attributes"]["github.incomplete"], True)
        self.assertEqual(root["attributes"]["cicd.pipeline.result"], "failure")
        self.assertEqual(root["status"]["code"], 2)
        # What comes later joins the trace, and changes nothing of a root that covers it.
        late = run.job("d", offset=34, duration=1)
        self.daemon.accept(*late.timeline())
        self.collector.wait_for_ids(expect.ids_of(job_spans(late)))
        time.sleep(3)  # beyond the idle time
        self.daemon.restart()
        self.assertEqual(self.collector.ids()[(ids.trace, ids.root)], 1)
        # A root that does not is sent again.
        later = run.job("e", offset=54, duration=1)
        self.daemon.accept(*later.timeline())
        self.collector.wait(lambda c: c.ids()[(ids.trace, ids.root)] == 2)
        # The run's own word comes after all: under the same ID, and once.
        self.daemon.accept(run.completed())
        self.daemon.accept(run.completed().with_guid(str(uuid.uuid4())))
        self.daemon.restart()
        versions = [span for span in self.collector.versions(ids.trace) if span["spanId"] == ids.root]
        self.assertEqual(len(versions), 3)
        self.assertEqual(versions[1]["endTimeUnixNano"], ns(later.completed_at))
        self.assertEqual(versions[1]["attributes"], versions[0]["attributes"])
        self.assertEqual(versions[2], root_span(run))

    def test_no_root_is_made_from_the_jobs_of_a_run_that_had_one(self):
        run = recent_run()
        job = run.job("a", duration=30)
        self.daemon.accept(run.requested(), *job.timeline(), run.completed())
        self.check_trace(self.collector, run_spans(run))
        late = run.job("b", offset=30, duration=5)
        self.daemon.accept(*late.timeline())
        self.collector.wait_for_ids(expect.ids_of(job_spans(late)))
        time.sleep(3)  # beyond the idle time
        self.daemon.restart()
        ids = Ids(run.run_id)
        self.assertEqual(self.collector.ids()[(ids.trace, ids.root)], 1)

    def test_late_and_repeated_deliveries_send_nothing_again(self):
        run = recent_run()
        job = run.job("a", duration=30)
        events = run.timeline()
        self.daemon.accept(*events)
        self.check_trace(self.collector, run_spans(run))
        for event in events:
            self.assertEqual(self.daemon.deliver(event).outcome, (200, "duplicate"))
        for event in reversed(events):  # from a second hook on the same repository
            self.daemon.accept(event.with_guid(str(uuid.uuid4())))
        self.daemon.restart()
        found = self.collector.ids()
        self.assertEqual({found[key] for key in expect.ids_of(run_spans(run))}, {1})
        self.assertEqual(len(self.collector.trace(Ids(run.run_id).trace)), len(run_spans(run)))
        self.assertTrue(job.job_id)


class TimeOuts(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(job_timeout="2s", run_idle="1s", root_grace="1s", job_grace="1h")



class Corrections(harness.BlackBoxTest):
    """What left is sent again, under the same IDs, where a delivery changes it."""

    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="1s", job_grace="3s", run_idle="1h", job_timeout="1h")

    def last_versions(self, ids):
        return {span["spanId"]: span for span in self.collector.versions(ids.trace)}

    def recent(self, run):
        listed = json.loads(self.daemon.admin("/api/runs?limit=100").body)["runs"]
        return [one for one in listed if one["run_id"] == str(run.run_id)]

    def ends_twice(self):
        """Failed at 32 s, was queued again by the platform, and succeeded at 702 s; one attempt throughout."""
        run = Run(age=900, conclusion="failure")
        run.updated = run.started + 32
        first = run.completed()
        job = run.job(offset=640, queue=5, duration=55)
        run.conclusion, run.updated = "success", run.started + 702
        return run, [first, job.completed(), run.completed()]

    def test_a_run_that_ends_twice_has_its_later_end_in_every_order(self):
        orders = list(itertools.permutations(range(3)))
        at_once, slowly = [self.ends_twice() for _ in orders], [self.ends_twice() for _ in orders]
        for order, (_, events) in zip(orders, at_once):
            self.daemon.accept(*(events[i] for i in order))
        for step in range(3):
            for order, (_, events) in zip(orders, slowly):
                self.daemon.accept(events[order[step]])
            time.sleep(1.5)  # longer than the root's grace
        for order, (run, _) in zip(orders + orders, at_once + slowly):
            wanted, ids = run_spans(run), Ids(run.run_id)
            with self.subTest(order=order):
                harness.wait_until(lambda: self.last_versions(ids) == by_id(wanted), what="the last versions")
                listed = self.recent(run)
                self.assertEqual([one["conclusion"] for one in listed], ["success"])
                self.assertEqual(listed[0]["duration_seconds"], 702)

    def test_a_job_that_completes_twice_has_its_later_end_in_every_order(self):
        deliveries = []
        for order in itertools.permutations(range(3)):
            run = Run(age=600)
            job = run.job(conclusion="failure", duration=50)
            first = job.completed()
            job.conclusion = "success"
            job.completed_at += 30
            run.updated = job.completed_at + 1
            events = [first, job.completed(), run.completed()]
            deliveries.append((order, run, [events[i] for i in order]))
        for step in range(3):
            for _, _, events in deliveries:
                self.daemon.accept(events[step])
            time.sleep(1.2)
        for order, run, _ in deliveries:
            ids, wanted = Ids(run.run_id), run_spans(run)
            with self.subTest(order=order):
                harness.wait_until(lambda: self.last_versions(ids) == by_id(wanted), what="the last versions")

    def test_a_root_covers_jobs_that_come_after_it(self):
        run = recent_run()
        ids = Ids(run.run_id)
        self.daemon.accept(run.requested(), run.completed())
        self.collector.wait_for_ids([(ids.trace, ids.root)])
        self.daemon.restart()
        job = run.job(offset=-1, duration=80, queue=8)
        self.daemon.accept(job.completed())
        wanted = run_spans(run)
        wanted[0]["startTimeUnixNano"] = ns(job.created)
        harness.wait_until(lambda: self.last_versions(ids) == by_id(wanted), what="the root to be extended")
        self.assertEqual(len(self.recent(run)), 1)
        for event in (run.completed(), job.completed()):  # from a second hook: nothing is sent again
            self.daemon.accept(event.with_guid(str(uuid.uuid4())))
        self.daemon.restart()
        self.assertEqual(self.collector.ids()[(ids.trace, ids.root)], 2)
        self.assertEqual(self.collector.ids()[(ids.trace, ids.job(job.job_id))], 1)


class LateApprovals(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="1s", job_timeout="1s", linger="1s", run_idle="1s")

    def versions_of_root(self, ids):
        return [span for span in self.collector.versions(ids.trace) if span["spanId"] == ids.root]

    def test_deliveries_repeated_after_linger_make_no_root(self):
        run = recent_run()
        job = run.job()
        ids = Ids(run.run_id)
        self.daemon.accept(job.completed(), run.completed())
        self.check_trace(self.collector, run_spans(run))

        def is_forgotten():
            notes = json.loads(self.daemon.admin("/api/status").body)["store"]["notes"]
            self.daemon.accept(Run().requested())  # upkeep goes with commits
            return notes["runs"] == 0
        harness.wait_until(is_forgotten, what="the notes to be forgotten")
        self.daemon.accept(*(event.with_guid(str(uuid.uuid4())) for event in (job.queued(), job.completed())))
        time.sleep(3)  # beyond all times
        self.assertEqual(len(self.versions_of_root(ids)), 1)
        self.check_trace(self.collector, run_spans(run))
