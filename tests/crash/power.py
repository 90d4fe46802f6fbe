#!/usr/bin/env python3
"""Power cuts, seen by a file system: the real daemon under load on lossy.c, which loses what was not synced.

    make crash-power                           some minutes: 100 cuts
    make crash-power CRASH="cuts=300 seed=7"
    make crash-planted                         also: whether they show that a sync is left out

After each cut the daemon starts on what is left. What it acknowledged it has to know, and in the end each span of it is at
the collector. Needs FUSE and root.
"""
import http.client
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path[:0] = [str(ROOT / "tests/blackbox")]
import harness  # noqa: E402
from collector import Collector  # noqa: E402
from expect import ids_of, run_spans  # noqa: E402
from payloads import Run  # noqa: E402

TOOLS = pathlib.Path(harness.BINARY).parent / "tests/crash"
CLIENTS = 3


class Disk:
    """A mounted lossy.c; its files survive in a folder in memory as far as they were synced."""

    def __init__(self, folder, memory):
        self.mount_point, self.backing = pathlib.Path(folder) / "disk", pathlib.Path(memory)
        self.mount_point.mkdir()
        self.process = None

    def mount(self, seed):
        self.process = subprocess.Popen([TOOLS / "lossy", self.backing, self.mount_point, str(seed)], stdin=subprocess.DEVNULL)
        harness.wait_until(lambda: os.path.ismount(self.mount_point) or self.process.poll() is not None, what="the file system")
        if self.process.poll() is not None:
            raise SystemExit("crash-power: FUSE does not work here: it needs /dev/fuse and root")

    def cut(self):
        self.process.kill()
        self.process.wait()

    def unmount(self):
        subprocess.run(["umount", "-l", self.mount_point], check=True)


class Broken(Exception):
    """The store does not open."""


class Sender(threading.Thread):
    """Delivers runs until the daemon is gone or refuses."""

    def __init__(self, address, backlog):
        super().__init__(daemon=True)
        self.address, self.backlog = address, backlog
        self.runs, self.answered = [], []
        self.is_stopped = False

    def run(self):
        try:
            with harness.Client(self.address) as client:
                while not self.is_stopped:
                    if not self.backlog:
                        run = Run()
                        run.job().steps = []
                        self.runs.append(run)
                        self.backlog += run.timeline()
                    if client.deliver(self.backlog[0]).status not in (200, 202):
                        return
                    self.answered.append(self.backlog.pop(0))
        except (OSError, http.client.HTTPException):
            pass  # the first of the backlog may have been stored or not


class Cuts:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.seed = seed
        self.backlogs = [[] for _ in range(CLIENTS)]
        self.runs, self.acknowledged, self.broken = [], 0, []

    def one(self, number, disk, daemon):
        """Load, a cut at a random moment, and a start on what is left."""
        senders = [Sender(daemon.address, backlog) for backlog in self.backlogs]
        for sender in senders:
            sender.start()
        wanted = self.random.randint(0, 60)
        harness.wait_until(lambda: sum(len(sender.answered) for sender in senders) >= wanted, what="answers")
        time.sleep(self.random.random() * 0.02)
        disk.cut()
        daemon.kill()
        for sender in senders:
            sender.is_stopped = True
            sender.join(harness.PATIENCE)
            self.runs += sender.runs
        disk.unmount()
        disk.mount(self.seed * 1000 + number + 1)
        self.start(number, daemon)
        for sender in senders:
            self.acknowledged += len(sender.answered)
            self.check(number, daemon, sender.answered)

    def start(self, number, daemon):
        try:
            daemon.start()
        except AssertionError as error:
            self.broken.append(f"cut {number}: {error}")
            raise Broken from None

    def check(self, number, daemon, answered):
        for event in answered:
            answer = daemon.deliver(event)
            if answer.outcome != (200, "duplicate"):
                self.broken.append(f"cut {number}: {event.type} {event.action} was acknowledged, then {answer}")

    def deliver_rest(self, daemon):
        for backlog in self.backlogs:
            for event in backlog:
                if daemon.deliver(event).status not in (200, 202):
                    self.broken.append(f"in the end: {event.type} {event.action} is refused")


def cut_power(count, seed, leave_out=""):
    """The cuts, after `count` of them, or after the one that left a store that does not open."""
    collector = Collector()
    cuts = Cuts(seed)
    with tempfile.TemporaryDirectory(prefix="ghatrace-power-") as folder, \
            tempfile.TemporaryDirectory(prefix="ghatrace-power-", dir="/dev/shm") as memory:
        disk = Disk(folder, memory)
        disk.mount(seed * 1000)
        daemon = harness.Daemon(folder, otlp_endpoint=collector.endpoint, db=str(disk.mount_point / "db"))
        if leave_out:
            daemon.env = {"LD_PRELOAD": str(TOOLS / "record.so"), "CRASH_LOG": "/dev/null",
                          "CRASH_FOLDER": daemon.settings["db"], "CRASH_LEAVE_OUT": leave_out}
        try:
            daemon.start()
            for number in range(count):
                cuts.one(number, disk, daemon)
            cuts.deliver_rest(daemon)
            if not cuts.broken:
                collector.wait_for_ids({key for run in cuts.runs for key in ids_of(run_spans(run))})
            daemon.stop()
        except Broken:
            pass
        finally:
            daemon.kill()
            disk.cut()
            disk.unmount()
            collector.stop()
    return cuts


def check_planted(seed):
    failed = 0
    for name in ("data", "meta", "folder"):
        broken = cut_power(40, seed, name).broken
        print(f"--- syncs left out: {name}: {'found' if broken else 'NOT FOUND'}\n{broken[0][:500] if broken else ''}", flush=True)
        failed += not broken
    return 1 if failed else 0


def main(arguments):
    numbers = {"cuts": 100, "seed": 1}
    numbers.update((name, int(value)) for name, value in (each.split("=", 1) for each in arguments if "=" in each))
    if "planted" in arguments:
        return check_planted(numbers["seed"])
    begin = time.monotonic()
    cuts = cut_power(numbers["cuts"], numbers["seed"])
    for line in cuts.broken[:20]:
        print("broken:", line)
    print(f"seed {numbers['seed']}: {numbers['cuts']} power cuts, {len(cuts.runs)} runs, {cuts.acknowledged} deliveries "
          f"acknowledged, {len(cuts.broken)} broken, {time.monotonic() - begin:.0f} s")
    return 1 if cuts.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
