#!/usr/bin/env python3
"""Runs the daemon in worlds (world.py) under a virtual clock (machine.py), with faults; the judges (judges.py) compare.

    simulate.py [--days N] [--seed S] [--resume FILE] [--minutes M] [--world SEED] [--without FAULT,…] [--shrink] [--verbose]

Worlds of some days each, from seed S on, until there are N days. --resume: a file with one line for each world that
is done; it goes on behind them. --minutes: stops then. --world: one world alone; --without leaves out faults, by kind or
number. --shrink: leaves out faults and runs as long as something of the same kind is found, and writes what remains to
build/simulate-SEED.txt, a scenario. Exits 1 if a judge found something."""
import argparse
import collections
import gzip
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import judges  # noqa: E402
from machine import BEGIN, ROOT, SECOND, Machine, Response  # noqa: E402
from oracle import Oracle  # noqa: E402
from world import DAY, HOUR, MINUTE, SECRET, STATUS_OF, World  # noqa: E402

BINARY = os.path.abspath(os.environ.get("GHATRACE") or ROOT / "build/dev-gcc/ghatrace")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
CRASHES = (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGABRT)
SETTLE_HOURS = 72         # for what is under way at the end of a world
QUIET = 15 * MINUTE       # after a fault all is as before
SAMPLES = 8               # minutes of a day at which figures are compared
DURATIONS = {"30s": 30, "10s": 10, "1m": 60, "10m": 600, "1h": HOUR, "12h": 12 * HOUR, "1d": DAY, "2d": 2 * DAY, "3d": 3 * DAY}
STORES = ROOT / "tests/fixtures/store"

COLLECTOR_FAULTS = ("refuse", "lose", "hang", "unavailable", "cut", "cut-after-status", "slow", "partial", "too-large")
DISK_FAULTS = ("disk_full", "write_fails", "sync_fails", "allocation")
LONG_DAYS, LONG_DELIVERIES = 30, 1000  # a day
TOO_LARGE = 200_000        # bytes of a request
PARTIAL_SUCCESS = b"\x0a\x06\x12\x04slow"  # nothing rejected, but a message
STOPPING_FAULTS = ("kill", "down", "kill_at", "restart", "settings")  # the daemon may have ended during these
PROCESS_FAULTS = STOPPING_FAULTS + ("hup", "secret", "leap")


class Fault:
    """`begin`, `end`: seconds since the world's begin."""

    def __init__(self, kind, begin, length, number):
        self.kind, self.begin, self.end, self.number = kind, begin, begin + length, number

    def __repr__(self):
        return f"{self.kind}@{self.begin}+{self.end - self.begin}"


class Plan:
    """What happens to the daemon of a world, drawn from its seed."""

    def __init__(self, seed, days=None):
        self.seed = seed
        rng = self.rng = random.Random(f"plan {seed}")
        self.days = days or rng.choice((3, 5, 8, 12))
        self.settings = {"root-grace": rng.choice(("10s", "1m")), "job-grace": rng.choice(("10m", "1h")),
                         "job-timeout": rng.choice(("12h", "1d", "2d")), "run-idle": "1h", "linger": "3d", "metrics-idle": "0",
                         "ingress-threads": rng.choice((1, 2, 3)), "otlp-compression": rng.choice(("none", "gzip"))}
        self.store = rng.choice(sorted(path.name for path in STORES.iterdir() if path.is_dir())) if rng.random() < 0.1 else None
        rate = rng.choice((0, 0, 0.5, 2, 6))
        # Some without a restart are long and busy: what grows is seen only there.
        self.is_long = days is None and rate == 0 and rng.random() < 0.3
        if self.is_long:
            self.days = LONG_DAYS
        self.faults, length = [], self.days * DAY
        for number in range(int(rate * self.days)):
            kind = rng.choice(COLLECTOR_FAULTS + DISK_FAULTS + PROCESS_FAULTS)
            lengths = (MINUTE, 4 * HOUR) if kind in COLLECTOR_FAULTS + ("down",) else (2, 10 * MINUTE) if kind in DISK_FAULTS else (1, MINUTE)
            self.faults.append(Fault(kind, rng.randrange(length), rng.randint(*lengths), number))
        self.faults.sort(key=lambda fault: fault.begin)

    def seconds(self, name):
        return DURATIONS[self.settings[name]]


class Story:
    """One world, from its begin until nothing waits any more."""

    def __init__(self, plan, options=None, binary=BINARY, verbose=False, only=None):
        """`only`: the runs whose deliveries are sent, as Delivery.run has them; None: all."""
        self.plan, self.verbose, self.only = plan, verbose, only
        self.trail = []            # lines of a scenario
        self.rng = random.Random(f"story {plan.seed}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ghatrace-simulate-", dir=MEMORY))
        self.world = World(plan.seed, BEGIN, options)
        if plan.is_long:
            self.world.options.deliveries_a_day = max(LONG_DELIVERIES, self.world.options.deliveries_a_day)
        self.machine = Machine(self.folder, plan.seed, plan.settings, binary)
        self.machine.collector = self
        self.findings, self.oracle = judges.Findings(), Oracle(plan.seconds("job-grace") * SECOND, plan.seconds("job-timeout") * SECOND)
        self.spans, self.answers = judges.Spans(), judges.Answers()
        self.figures = judges.Figures({name: plan.seconds(name) * SECOND for name in ("job-grace", "job-timeout")},
                                      {judges.pool_of(pool.labels) for pool in self.world.pools}, plan.store is not None)
        self.process, self.log = judges.Process(self.folder), judges.Log()
        self.open = []             # (ticket, delivery) without an answer
        self.again = []            # deliveries that failed, sent again by hand
        self.open_runs = set()
        self.active = []           # faults
        self.quiet_at = 0          # the last fault's effects are over
        self.was_fault = False     # when the time that passed last began
        self.secret = SECRET
        self.counts = collections.Counter()

    # --- the collector

    def on_request(self, at, path, headers, body):
        kinds = {fault.kind for fault in self.active}
        good = Response(200, {"Content-Type": "application/x-protobuf"})
        if headers.get("content-encoding") == "gzip":
            body = zlib.decompress(body, 31)
        if "hang" in kinds:
            return Response(mode="hang")
        if "unavailable" in kinds:
            return Response(503, {"Retry-After": "7"} if self.rng.random() < 0.5 else {}, b"later")
        if "too-large" in kinds and len(body) > TOO_LARGE:
            return Response(413, {}, b"too large")
        if "partial" in kinds:
            good.body = PARTIAL_SUCCESS
        if "cut" in kinds:
            good.mode = "cut"
        elif "cut-after-status" in kinds:
            good.mode = "cut-after-status"
        elif "slow" in kinds:
            good.delay_ns = self.rng.randrange(8 * SECOND)
        if good.mode != "cut" or self.rng.random() < 0.5:
            self.spans.take(body)
        return good

    # --- faults

    def begin_fault(self, fault):
        machine, kind = self.machine, fault.kind
        self.counts[kind] += 1
        self.active.append(fault)
        self.trail.append((machine.now, f"# {fault}"))
        if self.verbose:
            print(f"  {fault} at step {machine.steps}", flush=True)
        if kind == "refuse":
            machine.refuse_connections = True
        elif kind == "lose":
            machine.lose_connections = True
        elif kind in DISK_FAULTS:
            setattr(machine.faults, kind, self.rng.randrange(1, 3000) if kind == "allocation" else True)
        elif kind in ("kill", "down"):
            machine.kill()
        elif kind == "kill_at":
            machine.kill_at(self.rng.randrange(1, 20_000))
        elif kind in ("restart", "settings"):
            self.stop()
            if kind == "settings":
                machine.settings.update({"ingress-threads": self.rng.choice((1, 2, 4)), "otlp-compression": self.rng.choice(("none", "gzip")),
                                         "history": self.rng.choice(("24h", "2d"))})
        elif kind == "hup":
            machine.hup()
        elif kind == "secret":
            self.secret = f"secret {fault.number}"
            (self.folder / "secret").write_text(SECRET + "\n" + self.secret + "\n")
            machine.hup()
        elif kind == "leap":
            # Back only where no approval is timed: a GUID from the future is not believed.
            back = () if self.world.options.gates else (-1, -60, -HOUR)
            machine.leap(self.rng.choice((1, 60, HOUR, 6 * HOUR) + back) * SECOND)

    def end_fault(self, fault):
        machine, kind = self.machine, fault.kind
        self.active.remove(fault)
        left = {one.kind for one in self.active}
        machine.refuse_connections = "refuse" in left
        machine.lose_connections = "lose" in left and "refuse" not in left
        if kind in DISK_FAULTS and kind not in left:
            setattr(machine.faults, kind, 0)
        if kind == "kill_at" and machine.is_running:
            machine.kill()
        if not machine.is_running and not any(one.kind in DISK_FAULTS for one in self.active):
            self.start()
        self.quiet_at = max(self.quiet_at, self.second + QUIET)

    @property
    def second(self):
        return (self.machine.now - BEGIN) // SECOND

    @property
    def is_fault(self):
        return bool(self.active) or self.second < self.quiet_at

    @property
    def may_be_fault(self):
        """Now, or when what is looked at began."""
        return self.was_fault or self.is_fault

    def start(self):
        self.counts["starts"] += 1
        self.process.restarted()
        self.machine.start()
        if not self.machine.is_running:
            self.findings.add("start", f"it ended with {self.machine.exit_status}: {self.machine.log[-1:]}")
            raise Dead

    def stop(self):
        if self.machine.is_running and self.machine.stop() != 0:
            self.findings.add("stop", f"it ended with {self.machine.exit_status}: {self.machine.log[-1:]}")

    # --- deliveries

    def post(self, deliveries):
        machine = self.machine
        for delivery in deliveries:
            if self.only is not None and delivery.run not in self.only:
                continue
            if self.only is not None:
                self.trail.append((delivery.due, f"post {delivery.event} {delivery.guid} {shlex.quote(delivery.body)} any"))
            if delivery.secret == SECRET:
                delivery.secret = self.secret
            body, headers = delivery.wire()
            self.open.append((machine.post(delivery.due, body, headers), delivery))

    def collect(self):
        """Answers that came since."""
        still, remembered = [], 2 * DAY * SECOND
        for ticket, delivery in sorted(self.open, key=lambda entry: entry[0].answered_at or 0):
            if ticket.status is None:
                still.append((ticket, delivery))
                continue
            self.process.deliveries += 1
            self.counts["deliveries"] += 1
            if not self.answers.judge(delivery, ticket, STATUS_OF[delivery.kind], self.findings, self.may_be_fault, remembered):
                self.again.append(delivery.copy(self.machine.now + self.rng.randrange(MINUTE, 20 * MINUTE) * SECOND))
            elif delivery.kind == "used" and self.answers.is_first:
                self.open_runs.add(self.oracle.take(delivery.event, delivery.guid, delivery.body, ticket.at + self.machine.wall_ahead))
        self.open = still

    # --- time

    def run_to(self, second, deliveries):
        """All until then, with deliveries, and what comes again."""
        until = BEGIN + second * SECOND
        self.was_fault = self.is_fault
        due = [one for one in self.again if one.due < until]
        self.again = [one for one in self.again if one.due >= until]
        self.post(deliveries)
        self.post(due)
        self.machine.run_until(until)
        may_have_ended = any(one.kind in DISK_FAULTS + STOPPING_FAULTS for one in self.active)
        if not self.machine.is_running and (not may_have_ended or self.machine.exit_status in CRASHES):
            self.findings.add("ended", f"with {self.machine.exit_status}: {self.machine.log[-3:]}")
            raise Dead
        self.collect()
        self.log.judge(self.machine, self.findings, self.may_be_fault, second / DAY)

    def stops(self):
        """(second, what) in order: faults, samples, hours."""
        found = [(fault.begin, 1, fault) for fault in self.plan.faults] + [(fault.end, 0, fault) for fault in self.plan.faults]
        length = self.plan.days * DAY
        found += [(hour * HOUR, 2, None) for hour in range(1, length // HOUR + 1)]
        found += [(self.rng.randrange(length // MINUTE) * MINUTE, 3, None) for _ in range(SAMPLES * self.plan.days)]
        return sorted(found, key=lambda entry: entry[:2])

    def look(self):
        """Figures, and whether it is ready."""
        if self.is_fault or self.open or self.again or not self.machine.is_running:
            return
        self.counts["samples"] += 1
        status, _, body = self.machine.get("/ready")
        if status != 200:
            self.findings.add("ready", f"{status} {body!r}")
        self.process.judge(self.machine, self.findings)
        if self.machine.wall_ahead == 0:
            self.open_runs.difference_update(self.figures.judge(self.machine, self.open_runs, self.machine.now, self.findings))

    def live(self):
        """Raises nothing; see findings."""
        if self.plan.store:
            (self.folder / "db/data.mdb").write_bytes(gzip.decompress((STORES / self.plan.store / "data.mdb.gz").read_bytes()))
            self.counts["upgrades"] += 1
            self.quiet_at = DAY
        try:
            self.start()
            for second, kind, fault in self.stops():
                self.run_to(second, list(self.world.take(BEGIN + second * SECOND)) if second > self.second else [])
                if kind == 1:
                    self.begin_fault(fault)
                elif kind == 0:
                    self.end_fault(fault)
                elif kind == 3:
                    self.look()
            self.settle()
        except Dead:
            pass
        finally:
            self.machine.kill()
            shutil.rmtree(self.folder, True)
        return self.findings

    def settle(self):
        """What is under way arrives; then only time passes."""
        for fault in list(self.active):
            self.end_fault(fault)
        hour = self.second // HOUR + 1
        latest = hour + SETTLE_HOURS
        while not self.world.is_over() or self.open or self.again:
            self.run_to(hour * HOUR, [one for one in iter(lambda: self.world.next_before(BEGIN + hour * HOUR * SECOND), None)])
            hour += 1
            if hour > latest:
                self.findings.add("settle", f"{len(self.open) + len(self.again)} deliveries are never accepted")
                raise Dead
        last = self.second + self.plan.seconds("job-timeout") + 2 * self.plan.seconds("job-grace") + 2 * HOUR
        while self.second < last:
            self.run_to(min(last, self.second + HOUR), [])
        samples = self.counts["samples"]
        self.look()
        if self.counts["samples"] == samples:
            self.findings.add("settle", "it is not quiet in the end: figures cannot be compared")
        self.counts["spans"] = self.spans.judge(self.oracle, self.findings, self.plan.store is not None)
        if not self.plan.store:
            judges.judge_measurements(self.machine, self.oracle, self.findings)
        self.stop()


class Dead(Exception):
    """The daemon has ended, and does not start again."""


# --- what is found, made small ---------------------------------------------------------------------

def without_some(items, is_found, tries):
    """As few of them as is_found(them) still needs, after so many tries."""
    size = max(1, len(items) // 2)
    while items and tries > 0:
        for begin in range(0, len(items), size):
            tries -= 1
            fewer = items[:begin] + items[begin + size:]
            if is_found(fewer):
                items = fewer
                break
            if tries <= 0:
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
        size = min(size, max(1, len(items)))
    return items


def shrink(seed, days, kinds, runs):
    """Writes a scenario of the faults and runs without which nothing of these kinds is found."""
    def story_of(faults, chosen):
        plan = Plan(seed, days)
        plan.faults = [fault for fault in plan.faults if fault.number in faults]
        story = Story(plan, only=chosen)
        story.live()
        return story

    def is_found(faults, chosen):
        return bool(kinds & story_of(faults, chosen).findings.kinds.keys())

    faults = [fault.number for fault in Plan(seed, days).faults]
    named = sorted(runs)
    everything = sorted({delivery.run for delivery in World(seed, BEGIN).take(BEGIN + Plan(seed, days).days * DAY * SECOND) if delivery.run})
    chosen = named if named and is_found(faults, set(named)) else everything
    if chosen is everything:
        chosen = without_some(chosen, lambda some: is_found(faults, set(some)), 16)
    faults = without_some(faults, lambda some: is_found(some, set(chosen)), 16)
    story = story_of(faults, set(chosen))
    path = ROOT / f"build/simulate-{seed}.txt"
    path.parent.mkdir(exist_ok=True)
    settings = " ".join(f"{name}={value}" for name, value in story.plan.settings.items())
    lines = [f"# Of world {seed}: {', '.join(story.findings.lines)}", f"settings {settings}"]
    lines += [f"{(at - BEGIN) / SECOND:.3f}s {what}" if not what.startswith("#") else f"# at {(at - BEGIN) / SECOND:.0f}s: {what[2:]}"
              for at, what in sorted(story.trail)]
    path.write_text("\n".join(lines + [f"{story.plan.days + 10}d expect all", ""]))
    print(f"    {len(faults)} faults and {len(chosen)} runs remain: {path.relative_to(ROOT)}, {story.plan.faults}")


# --- many worlds -----------------------------------------------------------------------------------

def live(seed, days=None, without=(), options=None, binary=BINARY, verbose=False):
    plan = Plan(seed, days)
    plan.faults = [fault for fault in plan.faults if str(fault.number) not in without and fault.kind not in without]
    return Story(plan, options, binary, verbose)


def report(story, seconds):
    plan = story.plan
    return {"seed": plan.seed, "days": plan.days, "seconds": round(seconds, 1), "steps": story.machine.steps, **story.counts,
            "findings": dict(story.findings.kinds)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--world", type=int)
    parser.add_argument("--world-days", type=int)
    parser.add_argument("--without", default="")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    chosen = parser.parse_args()
    begin, done = time.monotonic(), []
    if chosen.resume and os.path.exists(chosen.resume):
        done = [json.loads(line) for line in open(chosen.resume)]
    if chosen.world is not None:
        chosen.days, chosen.seed, chosen.resume, done = 1, chosen.world, None, []
    seed = max([chosen.seed] + [entry["seed"] + 1 for entry in done])
    while sum(entry["days"] for entry in done) < chosen.days and time.monotonic() - begin < 60 * chosen.minutes:
        start = time.monotonic()
        story = live(seed, chosen.world_days, chosen.without.split(","), verbose=chosen.verbose)
        if chosen.verbose:
            print(f"{story.world.options}\n{story.plan.settings}\n{story.plan.faults}")
        story.live()
        entry = report(story, time.monotonic() - start)
        done.append(entry)
        print(f"world {seed}: " + " ".join(f"{name}={value}" for name, value in entry.items() if name != "seed"), flush=True)
        for line in story.findings.lines:
            print(f"    {line}", flush=True)
        if story.findings and chosen.shrink:
            runs = {run for line in story.findings.lines for run in re.findall(r"[\w.]+/\d+/\d+", line)}
            shrink(seed, chosen.world_days, story.findings.kinds.keys(), runs)
        if chosen.resume:
            with open(chosen.resume, "a") as file:
                file.write(json.dumps(entry) + "\n")
        seed += 1
    return summary(done)


def summary(done):
    totals = collections.Counter()
    for entry in done:
        totals.update({name: value for name, value in entry.items() if isinstance(value, (int, float)) and name != "seed"})
    findings = sum(bool(entry["findings"]) for entry in done)
    print(f"{len(done)} worlds, {totals.pop('days')} days in {totals.pop('seconds') / 3600:.2f} hours: "
          + ", ".join(f"{value} {name}" for name, value in sorted(totals.items())) + f"; {findings} worlds with findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
