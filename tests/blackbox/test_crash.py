"""kill -9 at any moment: what was answered 2xx is never lost."""
import http.client
import json
import os
import random
import re
import threading
import time
import urllib.parse

import expect
import grpc_collector
import harness
from collector import unavailable, Answer, Collector
from expect import ids_of, run_spans
from payloads import Repository, Run

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


FIGURES = re.compile(r"^(?:ghatrace_(?:job|run|step|pool|jobs|runs|finished|series)_?[a-z_]*)(?:\{.*\})? .*$", re.M)
# Measured up to now, or counted since the start of the process.
NOT_STORED = ("_age_seconds", "_oldest_wait_seconds", "_open_wait_seconds", "_disagreements", "_overflow", "_displaced", "_folded",
              "_created")
POOLS = [["gpu", "linux"], ["ubuntu-latest"], ["Linux", "GPU"], ["arc-b-7", "x64"], ["a,b"], ["macos-14"]]


def stored_figures(daemon):
    """All that the daemon knows of pools, waits and durations, without what is measured up to now."""
    def get(path):
        answer = daemon.admin(path)
        assert answer.status == 200, (path, answer)
        return json.loads(answer.text.lower())  # labels are shown as the first of several clients spelled them
    text = daemon.admin("/metrics").text.lower()
    found = {"metrics": sorted(line for line in FIGURES.findall(text) if not any(part in line for part in NOT_STORED))}
    pools = get("/api/pools")["pools"]
    found["ages"], found["replays"] = {}, {}
    for pool in pools:
        waits = [pool.pop("oldest_wait_seconds"), *pool.pop("open_wait_seconds").values()]
        found["ages"][pool["pool"]] = dict(enumerate(waits))
    found["pools"] = sorted(pools, key=lambda pool: pool["pool"])
    found["latency"] = {window: sorted(get(f"/api/latency?window={window}")["pools"], key=lambda pool: pool["pool"])
                        for window in ("1h", "24h")}
    for pool in pools:
        name = pool["pool"]
        slots = get(f"/api/pools/{urllib.parse.quote(name, safe='')}/history?window=24h")["slots"]
        found["minutes", name] = slots
        replay = json.loads(daemon.command("whatif", "--json", "--pool", name, "--runners", 2, "--since", "7d").stdout)
        for key in ("from", "until", "kept_since"):
            replay.pop(key)
        found["replays"][name] = replay
    return found


def differs(one, other):
    """Of figures that are measured up to now: by more than the seconds between two questions."""
    if isinstance(one, dict):
        return one.keys() != other.keys() or any(differs(value, other[key]) for key, value in one.items())
    return abs(one - other) > 10 if type(one) in (int, float) and type(other) in (int, float) else one != other


def new_scene(generator, count):
    """Runs whose jobs ended, run, are queued, wait for an approval or were cancelled, in `POOLS`."""
    runs = []
    for number in range(count):
        run = Run(age=generator.randint(2500, 20000),  # all is over by now
                  workflow=f"Workflow {number % 5}", repository=Repository(f"acme/r{number % 7}"))
        for place in range(generator.randint(1, 4)):
            job = run.job(f"job {place}", queue=generator.randint(0, 400), duration=generator.randint(1, 900),
                          conclusion=generator.choice(["success", "success", "failure"]),
                          waited=generator.randint(5, 200) if generator.random() < 0.1 else None,
                          environment="production" if generator.random() < 0.1 else None)
            job.labels = generator.choice(POOLS)
            if generator.random() < 0.05:
                job.cancelled_in_queue(job.created + generator.randint(1, 100))
            if generator.random() < 0.5:
                job.steps = []
        run.updated = max(job.completed_at for job in run.jobs) + 1
        runs.append(run)
    return runs


def deliveries_of(generator, run):
    """Some stay open, some come in another order, some twice."""
    events = run.timeline()
    if generator.random() < 0.3:
        events = events[:generator.randint(1, len(events))]
    if generator.random() < 0.3:
        generator.shuffle(events)
    return events + [generator.choice(events)] if generator.random() < 0.2 else events


class CrashesAndFigures(harness.BlackBoxTest):
    """Each figure that is stored is changed in the transaction of the delivery that it counts."""
    SETTINGS = {"root_grace": "1s", "runner_pool": "arc: arc-*", "runner_label_ignore": "run-*"}

    def deliver_with_crashes(self, daemon, scene, generator):
        """Kills it `ROUNDS` times while four clients deliver; what got no answer is delivered again, to the next process. The
        deliveries of one run stay in their order: the histograms of jobs are not corrected later."""
        left = [[event for events in reversed(scene[number::CLIENTS]) for event in reversed(events)] for number in range(CLIENTS)]
        per_round = max(1, sum(map(len, left)) // ROUNDS)

        def send(mine, stop):
            client = daemon.client()
            try:
                while mine and not stop.is_set():
                    if client.deliver(mine[-1]).status not in (200, 202):
                        return
                    mine.pop()
            except (OSError, http.client.HTTPException):
                pass  # killed: it may or may not have been stored
            finally:
                client.close()
        kills = 0
        while any(left):
            stop, goal = threading.Event(), sum(map(len, left)) - generator.randint(1, per_round)
            threads = [threading.Thread(target=send, args=(mine, stop)) for mine in left]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and not (kills < ROUNDS and sum(map(len, left)) <= goal):
                time.sleep(0.001)
            if kills < ROUNDS:
                time.sleep(generator.random() * 0.01)
                daemon.kill()
                kills += 1
            stop.set()
            for thread in threads:
                thread.join(harness.PATIENCE)
            if not daemon.is_running:
                daemon.start()
        return kills

    def test_all_figures_are_those_of_a_daemon_that_was_not_killed(self):
        generator = random.Random(SEED + 4)
        scene = [deliveries_of(generator, run) for run in new_scene(generator, 20 + 4 * ROUNDS)]
        events = [event for events in scene for event in events]
        spared, killed = self.new_daemon(**self.SETTINGS), self.new_daemon(**self.SETTINGS)
        for event in events:
            self.assertIn(spared.deliver(event).status, (200, 202))
        self.assertEqual(self.deliver_with_crashes(killed, scene, generator), ROUNDS)
        for event in generator.sample(events, len(events) // 10):  # as GitHub's page offers to redeliver
            self.assertIn(killed.deliver(event).status, (200, 202))
        finished = "ghatrace_finished_runs"
        harness.wait_until(lambda: self.count_finished(killed, finished) == self.count_finished(spared, finished), what="all roots")
        time.sleep(1.2)  # the grace of the last roots
        wanted, found = self.figures_of_one_minute(spared, killed)
        self.assertEqual(found.keys(), wanted.keys(), f"seed {SEED}")
        self.assertGreater(len(wanted["metrics"]), 200)
        for key in ("ages", "replays"):
            self.assertFalse(differs(wanted[key], found[key]), f"seed {SEED}: {key}: {wanted.pop(key)}\n{found.pop(key)}")
        for key, value in wanted.items():
            if found[key] != value:
                self.fail(f"seed {SEED}: {key}: {[pair for pair in zip(found[key], value) if pair[0] != pair[1]][:5]}")

    def figures_of_one_minute(self, *daemons):
        for _ in range(10):
            minute, found = time.time() // 60, [stored_figures(daemon) for daemon in daemons]
            if time.time() // 60 == minute:
                break
        return found

    def count_finished(self, daemon, name):
        return re.search(rf"^{name} (\S+)$", daemon.admin("/metrics").text, re.M).group(1)
