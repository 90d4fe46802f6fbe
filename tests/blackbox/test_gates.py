"""Jobs at the gate of an environment: approved, cancelled, approved and then cancelled; in any order, with pauses."""
import itertools
import time

import harness
from expect import Ids, by_id, ns, root_span, run_spans
from payloads import Run


def gated_run(conclusion, waited=5, environment="production"):
    run = Run(age=600, conclusion=conclusion)
    job = run.job("deploy", environment=environment, waited=waited)
    return run, job


def cancelled_at_the_gate():
    run, job = gated_run("cancelled")
    job.cancelled_in_queue(job.created + 30)
    job.released = None
    run.updated = job.completed_at + 1
    events = [job.queued(), job.waiting(), job.completed(), run.completed()]
    job.released = job.completed_at
    # It never was in the queue: a queue time of zero would be a claim about runners.
    wanted = [span for span in run_spans(run) if span["name"] != "runner.queue"]
    for span in wanted:
        span["attributes"].pop("queue_time_ms", None)
    return run, job, events, wanted


def released_then_cancelled():
    run, job = gated_run("cancelled", waited=20.25)
    job.cancelled_in_queue(job.created + 50)
    run.updated = job.completed_at + 1
    return run, job, [job.queued(), job.waiting(), job.requeued(), job.completed(), run.completed()], run_spans(run)


def released_and_ran():
    run, job = gated_run("success", waited=20.25)
    run.updated = job.completed_at + 1
    return run, job, [job.queued(), job.waiting(), job.requeued(), job.completed(), run.completed()], run_spans(run)


def cases_of(make):
    """The same story once for each order of its events."""
    count = len(make()[2])
    for order in itertools.permutations(range(count)):
        run, job, events, wanted = make()
        yield order, run, job, [events[i] for i in order], wanted


STORIES = (cancelled_at_the_gate, released_then_cancelled, released_and_ran)


class Orders(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="10s")

    def test_a_gated_job_gives_the_same_spans_in_every_order(self):
        cases = [(make.__name__, *case) for make in STORIES for case in cases_of(make)]
        for _, _, _, _, events, _ in cases:
            self.daemon.accept(*events)
        for name, order, _, _, _, wanted in cases:
            with self.subTest(name, order=order):
                self.check_trace(self.collector, wanted)
        self.daemon.stop()
        self.assertEqual(set(self.collector.ids().values()), {1}, "each span was sent once")


class Pauses(harness.BlackBoxTest):
    """Between any two deliveries more time passes than a completed job waits for what it lacks."""

    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="500ms", metrics_labels=harness.LABELS_BEFORE)

    def last_versions(self, run, job, wanted):
        ids = Ids(run.run_id)
        last = {span["spanId"]: span for span in self.collector.versions(ids.trace)}
        queue = last.get(ids.phase("runner.queue", job.job_id))
        # A queue that was sent before the waiting was known, and that did not exist, has no length any more.
        if queue and queue["spanId"] not in by_id(wanted) and queue["startTimeUnixNano"] == queue["endTimeUnixNano"]:
            del last[queue["spanId"]]
        return last

    def test_the_last_version_of_each_span_is_the_same_in_every_order(self):
        cases = [(make.__name__, *case) for make in STORIES for case in cases_of(make)]
        for step in range(5):
            for _, _, _, _, events, _ in cases:
                self.daemon.accept(*events[step:step + 1])
            time.sleep(1)
            if step == 2:
                self.daemon.restart()
        for name, order, run, job, _, wanted in cases:
            with self.subTest(name, order=order):
                harness.wait_until(lambda: self.last_versions(run, job, wanted) == by_id(wanted),
                                   what=f"the last versions of {name} in the order {order}")

    def test_an_old_job_is_named_by_its_run_however_late(self):
        run = Run(is_old=True)
        job = run.job()
        ids = Ids(run.run_id)
        self.daemon.accept(job.in_progress(), job.completed(at=job.completed_at + 1))
        self.collector.wait_for_ids([(ids.trace, ids.job(job.job_id))])
        time.sleep(1)
        self.daemon.accept(run.completed())
        self.collector.wait_for_ids([(ids.trace, ids.root)])
        time.sleep(1)
        self.daemon.accept(job.queued())
        harness.wait_until(lambda: self.last_versions(run, job, []) == by_id(run_spans(run)), what="names and times")

    def test_a_job_that_is_sent_again_is_measured_once(self):
        run, job, events, wanted = released_and_ran()
        run.workflow = "Measured once"
        for event in (job.completed(), job.queued(), job.waiting(), job.requeued()):
            self.daemon.accept(event)
            time.sleep(1)
        ids = Ids(run.run_id)
        self.collector.wait_for_ids([(ids.trace, ids.phase("job.waiting", job.job_id))])
        counts = [line for line in self.daemon.admin("/metrics").text.splitlines()
                  if line.startswith("ghatrace_job_execution_seconds_count{") and "Measured once" in line]
        self.assertEqual([line.split()[-1] for line in counts], ["1"])


class Approvals(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(job_timeout="1s", root_grace="500ms", run_idle="1s")

    def test_a_job_that_waits_for_approval_is_kept_beyond_job_timeout(self):
        run = Run(age=600)
        job = run.job("deploy", environment="production", waited=500, duration=20)
        silent = Run(age=600)
        forgotten = silent.job("silent")
        run.updated = job.completed_at + 1
        self.daemon.accept(run.requested(), job.queued(), job.waiting(), silent.requested(), forgotten.queued())
        ids = Ids(silent.run_id)
        self.collector.wait_for_ids([(ids.trace, ids.root), (ids.trace, ids.job(forgotten.job_id))])
        time.sleep(2)
        self.daemon.restart("kill")
        self.assertEqual(self.collector.trace(Ids(run.run_id).trace), [])
        self.daemon.accept(job.requeued(), job.in_progress(), job.completed(), run.completed())
        self.check_trace(self.collector, run_spans(run))

    def test_a_job_without_an_end_is_exported_before_the_root_of_its_run(self):
        run = Run(age=600)
        job = run.job("silent")
        ids = Ids(run.run_id)
        self.daemon.accept(run.requested(), job.queued(), job.in_progress())
        self.collector.wait_for_ids([(ids.trace, ids.root), (ids.trace, ids.job(job.job_id))])
        spans = self.collector.versions(ids.trace)
        order = [span["spanId"] for span in spans]
        self.assertLess(order.index(ids.job(job.job_id)), order.index(ids.root))
        last = by_id(spans)
        self.assertGreaterEqual(last[ids.root]["endTimeUnixNano"], last[ids.job(job.job_id)]["endTimeUnixNano"])
        self.assertEqual(last[ids.root]["startTimeUnixNano"], ns(run.started))
        self.assertEqual(root_span(run)["name"], last[ids.root]["name"])
