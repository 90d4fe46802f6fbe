"""kill -9 at any moment: what was answered 2xx is never lost."""
import http.client
import os
import random
import threading
import time

import expect
import grpc_collector
import harness
from collector import unavailable, Answer, Collector
from expect import ids_of, run_spans
from payloads import Run

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "5"))
SEED = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
CLIENTS = 4


class Sender(threading.Thread):
    """Delivers runs until the daemon dies; then remembers what was left unanswered."""

    def __init__(self, daemon, backlog, stop):
        super().__init__(daemon=True)
        self.daemon_under_test, self.stop_asked = daemon, stop
        self.pending = backlog  # events without an answer, to be redelivered first
        self.runs = []
        self.answered = 0
        self.faults = []

    def run(self):
        client = self.daemon_under_test.client()
        try:
            while not self.stop_asked.is_set():
                if not self.pending:
                    run = Run()
                    run.job().steps = []
                    self.runs.append(run)
                    self.pending += run.timeline()
                answer = client.deliver(self.pending[0])
                if answer.status not in (200, 202):
                    self.faults.append(repr(answer))
                    return
                self.pending.pop(0)
                self.answered += 1
        except (OSError, http.client.HTTPException):
            pass  # killed: pending[0] may or may not have been stored
        finally:
            client.close()


class Crashes(harness.BlackBoxTest):
    def one_round(self, daemon, backlogs, generator):
        stop = threading.Event()
        senders = [Sender(daemon, backlog, stop) for backlog in backlogs]
        for sender in senders:
            sender.start()
        harness.wait_until(lambda: sum(s.answered for s in senders) >= generator.randint(1, 150) or
                           any(s.faults for s in senders), what="answers")
        time.sleep(generator.random() * 0.05)
        daemon.kill()
        stop.set()
        for sender in senders:
            sender.join(harness.PATIENCE)
            self.assertEqual(sender.faults, [])
        daemon.start()
        return [run for sender in senders for run in sender.runs]

    def crash(self, collector, daemon):
        generator = random.Random(SEED)
        backlogs = [[] for _ in range(CLIENTS)]
        runs = []
        for _ in range(ROUNDS):
            runs += self.one_round(daemon, backlogs, generator)
        # What got no answer is redelivered, as GitHub's own page on failed deliveries asks for.
        for backlog in backlogs:
            for event in backlog:
                self.assertIn(daemon.deliver(event).status, (200, 202))
        return runs

    def settle_round(self, collector, daemon, backlogs, runs):
        """Redelivers what got no answer; then all that was acknowledged must come out, and nothing else."""
        for backlog in backlogs:
            while backlog:
                self.assertIn(daemon.deliver(backlog[0]).status, (200, 202))
                backlog.pop(0)
        wanted = set(key for run in runs for key in ids_of(run_spans(run)))
        collector.wait_for_ids(wanted, timeout=120)
        self.assertEqual(collector.ids().keys() - wanted, set(), "spans that were not delivered")
        return len(wanted)

    def check(self, collector, runs):
        wanted = set(key for run in runs for key in ids_of(run_spans(run)))
        collector.wait_for_ids(wanted, timeout=120)
        self.assertEqual(collector.ids().keys() - wanted, set(), "spans that were not delivered")
        for run in runs[::max(1, len(runs) // 40)]:
            self.check_trace(collector, run_spans(run))

    def test_nothing_that_was_answered_is_lost_by_kill_9(self):
        daemon, collector = self.new_pair(root_grace="60s")
        runs = self.crash(collector, daemon)
        self.check(collector, runs)

    def test_each_span_is_exported_once_where_the_collector_was_down_meanwhile(self):
        daemon, collector = self.new_pair(root_grace="60s")
        collector.stop()
        runs = self.crash(collector, daemon)
        collector.start()
        self.check(collector, runs)
        daemon.stop()
        self.assertEqual(set(collector.ids().values()), {1}, f"seed {SEED}")

    def test_crashes_while_the_collector_fails_now_and_then_lose_nothing(self):
        daemon, collector = self.new_pair(root_grace="60s")
        generator = random.Random(SEED + 1)

        def script(request):
            dice = generator.random()
            if dice < 0.2:
                return unavailable(retry_after=0)
            return Answer(cut=True) if dice < 0.4 else Answer()
        collector.script = script
        runs = self.crash(collector, daemon)
        collector.script = lambda request: Answer()
        self.check(collector, runs)

    def test_after_every_crash_a_flaky_collector_has_received_what_was_acknowledged(self):
        daemon, collector = self.new_pair(root_grace="60s")
        generator = random.Random(SEED + 2)
        faults = [lambda: unavailable(retry_after=0), lambda: Answer(cut=True), lambda: unavailable(status=429),
                  lambda: Answer(200, {"Connection": "close"})]
        collector.script = lambda request: generator.choice(faults)() if generator.random() < 0.3 else Answer()
        backlogs, runs, before = [[] for _ in range(CLIENTS)], [], 0
        for number in range(ROUNDS):
            mine = self.one_round(daemon, backlogs, generator)
            runs += mine
            total = self.settle_round(collector, daemon, backlogs, runs)
            if ROUNDS > 20:
                print(f"    round {number + 1}: {sum(len(run.timeline()) for run in mine)} acknowledged, "
                      f"{total - before} spans due, {len(collector.ids()) - before} exported", flush=True)
            before = total
        self.check_trace(collector, run_spans(runs[-1]))


    def test_the_store_is_usable_after_a_crash_right_after_start(self):
        daemon, collector = self.new_pair(start=False)
        run = Run()
        run.job()
        events = run.timeline()
        for event in events:
            daemon.start().accept(event)
            daemon.kill()
        daemon.start()
        self.check(collector, [run])
        self.assertEqual(len(collector.trace()), len(run_spans(run)))
        self.assertTrue(expect.Ids(run.run_id).trace)


class CrashesWithRequestsInFlight(harness.BlackBoxTest):
    """The collector answers late, or never: whenever the daemon is killed, requests wait for an answer."""

    def check_nothing_is_lost(self, collector, late, hang, **settings):
        self.addCleanup(collector.stop)
        daemon = self.new_daemon(collector, root_grace="1s", **settings)
        generator = random.Random(SEED + 3)

        def script(request):
            if generator.random() < 0.2:
                return hang()
            time.sleep(generator.random() * 0.1)
            return late()
        collector.script = script
        runs = []
        for _ in range(ROUNDS):
            fresh = [Run() for _ in range(10)]
            for run in fresh:
                run.job().steps = []
                daemon.accept(*run.timeline())
            runs += fresh
            harness.wait_until(lambda: collector.requests, what="a request")
            time.sleep(generator.random() * 0.1)
            daemon.kill()
            collector.release()
            daemon.start()
        collector.script = lambda request: late()
        collector.release()
        wanted = set(key for run in runs for key in ids_of(run_spans(run)))
        collector.wait_for_ids(wanted, timeout=120)
        self.assertEqual(collector.ids().keys() - wanted, set(), "spans that were not delivered")
        self.assertEqual(collector.faults, [])

    def test_nothing_is_lost_over_http(self):
        self.check_nothing_is_lost(Collector(), Answer, lambda: Answer(hang=True))

    def test_nothing_is_lost_over_grpc(self):
        self.check_nothing_is_lost(grpc_collector.GrpcCollector(), grpc_collector.Answer,
                                   lambda: grpc_collector.Answer(hang=True), otlp_protocol="grpc")
