"""The same deliveries give the same spans: in any order, repeated, and with restarts in between."""
import itertools
import random
import threading
import time

import expect
import harness
from collector import fields_of
from expect import Ids, ids_of, run_spans
from payloads import Run

SEED = int(time.time())


def deliver_all(daemon, schedules, connections=4):
    """Each schedule in its order, several schedules at a time."""
    queue = list(schedules)
    faults = []

    def work():
        with daemon.client() as client:
            while queue and not faults:
                try:
                    schedule = queue.pop()
                except IndexError:
                    return
                for event in schedule:
                    answer = client.deliver(event)
                    if answer.status not in (200, 202):
                        faults.append(f"{event.action}: {answer}")
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise AssertionError(faults[0])


def encode_varint(number):
    data = b""
    while number > 0x7F:
        data, number = data + bytes([number & 0x7F | 0x80]), number >> 7
    return data + bytes([number])


def normalised(record, run, job):
    """A record's bytes with everything that depends on the run's and the job's number blotted out."""
    ids = Ids(run.run_id)
    steps = [ids.step(job.job_id, step.name, step.number) for step in job.steps]
    phases = [ids.phase(phase, job.job_id) for phase in expect.PHASES]
    for number, span_id in enumerate([ids.trace, ids.root, ids.job(job.job_id), *phases, *steps]):
        record = record.replace(bytes.fromhex(span_id), b"<%d>" % number)
    for number, word in ((run.run_id, b"<run>"), (job.job_id, b"<job>")):
        record = record.replace(str(number).encode(), word).replace(encode_varint(number), word)
    return record


def records_by_trace(collector):
    """{trace id: the raw ResourceSpans elements that speak of it}, in no order."""
    found = {}
    for request in collector.accepted():
        for _, resource_spans in fields_of(request.body):
            scope = next(value for number, value in fields_of(resource_spans) if number == 2)
            span = next(value for number, value in fields_of(scope) if number == 2)
            trace = next(value for number, value in fields_of(span) if number == 1)
            found.setdefault(trace.hex(), []).append(resource_spans)
    return found


def same_run(started, is_old=False):
    run = Run(started=started, is_old=is_old)
    run.head_sha = "51eb1fb55541bf4856a7a24afd15bb3e90eea0ff"
    return run, run.job("build / linux (22.04)")


class Permutations(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="5s")

    def run_all(self, is_old):
        started = int(time.time()) - 300
        cases = []
        for order in itertools.permutations(range(5)):
            run, job = same_run(started, is_old)
            events = [run.requested(), job.queued(), job.in_progress(), job.completed(), run.completed()]
            cases.append((order, run, job, [events[i] for i in order]))
        deliver_all(self.daemon, [events for *_, events in cases])
        return cases

    def assert_same_bytes(self, cases):
        records = records_by_trace(self.collector)
        seen = {}
        for order, run, job in cases:
            trace = Ids(run.run_id).trace
            text = b"\n".join(sorted(normalised(record, run, job) for record in records[trace]))
            seen.setdefault(text, []).append(order)
        self.assertEqual(len(seen), 1, f"orders by outcome: {list(seen.values())}")

    def check_all(self, is_old):
        cases = self.run_all(is_old)
        for order, run, _, _ in cases:
            with self.subTest(order=order):
                self.check_trace(self.collector, run_spans(run))
        self.assert_same_bytes([case[:3] for case in cases])

    def test_all_orders_of_a_run_give_the_same_bytes(self):
        self.check_all(is_old=False)

    def test_all_orders_of_an_old_run_give_the_same_bytes(self):
        # Its bodies lack created_at, workflow_name and head_branch: a job that ends before they are
        # known from other events waits for them, up to the root's grace.
        self.check_all(is_old=True)


class Samples(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="60s")

    def rich_run(self):
        run = Run(age=900, pull_request=(7, "main"))
        for version in ("3.11", "3.12"):
            run.job(f"test ({version})")
        run.job("lint", conclusion="failure")
        run.job("skipped", offset=55).skipped()
        gated = run.job("deploy", offset=60, environment="production", waited=30.25)
        cancelled = run.job("cancelled", offset=61)
        cancelled.cancelled_in_queue(cancelled.created + 9)
        run.job("refused", offset=62).refused()
        run.job("lost", offset=2).lost("database", "unit")
        run.job("hung", offset=2).lost("Set up job")
        run.job("parallel", offset=2).overlapping()
        run.updated = gated.completed_at + 3
        return run

    def shuffled(self, run, generator):
        events = run.timeline()
        events += generator.sample(events, len(events) // 3)
        generator.shuffle(events)
        return events

    def test_random_orders_and_repetitions_of_a_rich_run_give_the_same_spans(self):
        generator = random.Random(SEED)
        runs = [self.rich_run() for _ in range(40)]
        deliver_all(self.daemon, [self.shuffled(run, generator) for run in runs])
        for number, run in enumerate(runs):
            with self.subTest(seed=SEED, number=number):
                self.check_trace(self.collector, run_spans(run))
        self.daemon.stop()
        self.assertEqual(set(self.collector.ids().values()), {1}, "each span was sent once")


class Restarts(harness.BlackBoxTest):
    def check_restarts(self, how):
        daemon, collector = self.new_pair(root_grace="60s")
        runs = []
        for gap in range(1, 7):
            run = Run(age=900)
            job = run.job("deploy", environment="production", waited=30.25)
            run.updated = job.completed_at + 3
            events = [run.requested(), job.queued(), job.waiting(), job.requeued(), job.in_progress(), job.completed(),
                      run.completed()]
            daemon.accept(*events[:gap])
            daemon.restart(how)
            for event in events[:gap]:
                self.assertEqual(daemon.deliver(event).outcome, (200, "duplicate"))
            daemon.accept(*events[gap:])
            runs.append(run)
        for run in runs:
            self.check_trace(collector, run_spans(run))

    def test_a_restart_between_any_two_events_changes_nothing(self):
        self.check_restarts("stop")

    def test_kill_9_between_any_two_events_changes_nothing(self):
        self.check_restarts("kill")

    def test_waiting_records_are_exported_before_sigterm_ends_the_daemon(self):
        daemon, collector = self.new_pair()
        run = Run()
        run.job()
        daemon.accept(*run.timeline())
        daemon.stop()
        self.assertLessEqual(set(ids_of(run_spans(run))), collector.ids().keys())
