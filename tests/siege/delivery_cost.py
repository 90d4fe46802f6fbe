#!/usr/bin/env python3
"""What a delivery costs: instructions of the whole daemon, and bytes that it writes, for several versions of the program.

    tests/siege/delivery_cost.py BINARY...      in turn; some minutes each, most of it under valgrind

Deliveries of jobs of 30 pools and 50 repositories, in the order of their times over two hours; first one after the other, so
that each has a transaction of its own, then over 32 connections, so that many share one. The first quarter is not counted.
Instructions are those of valgrind's cachegrind: of the longer of two runs less those of the shorter.
"""
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path[:0] = [str(ROOT / "tests/blackbox")]
import harness  # noqa: E402
import payloads  # noqa: E402

DELIVERIES = int(os.environ.get("COST_DELIVERIES", "8000"))
COUNTED = 3 / 4
VALGRIND_SHARE = 4  # of the deliveries, for instructions
SPAN = 7200
VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
HARNESS = harness.BINARY


def write_deliveries(folder):
    """In two files: the first quarter, and the rest. Bodies, a line each."""
    random.seed(1)
    events, number, runs = [], 0, DELIVERIES // 15 + 40
    while number < runs:
        run = payloads.Run(age=SPAN + 1500 - SPAN * number // runs, workflow=f"Workflow {number % 3}",
                           repository=payloads.Repository(f"acme/service-{random.randrange(50)}"))
        for place in range(4):
            job = run.job(f"test ({place})", queue=random.randrange(1, 300), duration=random.randrange(20, 900))
            job.labels, job.runner_group = ["self-hosted", f"pool-{random.randrange(30):02}"], "Default"
            job.runner_name = f"runner-{random.randrange(200)}"
        run.updated = max(job.completed_at for job in run.jobs) + 1
        events += run.timeline()
        number += 1
    events.sort(key=lambda event: uuid.UUID(event.guid).time)
    first = int(DELIVERIES * (1 - COUNTED))
    for name, part in (("warm", events[:first]), ("rest", events[first:DELIVERIES]), ("few", events[:first // VALGRIND_SHARE]),
                       ("more", events[:DELIVERIES // VALGRIND_SHARE])):
        pathlib.Path(folder, name).write_bytes(b"".join(event.body + b"\n" for event in part))


def replay(daemon, path, connections):
    host, port = daemon.address
    subprocess.run([HARNESS, "replay", "--quiet", "--lines", "--connections", str(connections), "--secret-file", daemon.secret_file,
                    f"http://{host}:{port}/webhook", path], check=True, capture_output=True, timeout=3600)


class Program(harness.Daemon):
    """Another binary than the usual one, perhaps under a tool."""

    def __init__(self, binary, tool, folder, **settings):
        super().__init__(folder, **settings)
        self.command_line = [*tool, binary]

    def arguments(self):
        return [*self.command_line, *super().arguments()[1:]]


def written(daemon):
    """Bytes handed to the kernel by all threads, the log's included."""
    return int(re.search(r"wchar: (\d+)", pathlib.Path(f"/proc/{daemon.process.pid}/io").read_text()).group(1))


def commits(daemon):
    found = re.search(r"^ghatrace_commit_seconds_count (\d+)", daemon.admin("/metrics").text, re.M)
    return int(found.group(1)) if found else 0


def measure_bytes(binary, deliveries, connections):
    """(bytes, transactions), for each delivery."""
    with tempfile.TemporaryDirectory(prefix="ghatrace-cost-") as folder:
        daemon = Program(binary, [], folder).start()
        replay(daemon, f"{deliveries}/warm", connections)
        before, number = written(daemon), commits(daemon)
        replay(daemon, f"{deliveries}/rest", connections)
        found = (written(daemon) - before) / (DELIVERIES * COUNTED), (commits(daemon) - number) / (DELIVERIES * COUNTED)
        daemon.stop()
    return found


def count_instructions(binary, path, connections):
    with tempfile.TemporaryDirectory(prefix="ghatrace-cost-") as folder:
        daemon = Program(binary, VALGRIND, folder).start()
        replay(daemon, path, connections)
        daemon.stop()
        return int(re.search(r"I\s+refs:\s+([\d,]+)", daemon.log).group(1).replace(",", ""))


def measure_instructions(binary, deliveries, connections):
    few, more = (count_instructions(binary, f"{deliveries}/{name}", connections) for name in ("few", "more"))
    return (more - few) / (DELIVERIES * COUNTED / VALGRIND_SHARE)


def main():
    binaries = [os.path.abspath(name) for name in sys.argv[1:]] or [HARNESS]
    with tempfile.TemporaryDirectory(prefix="ghatrace-cost-") as deliveries:
        write_deliveries(deliveries)
        for connections in (1, 32):
            for binary in binaries:
                pairs = [measure_bytes(binary, deliveries, connections) for _ in range(3)]
                instructions = measure_instructions(binary, deliveries, connections)
                print(f"{connections:3} connections  {instructions:10,.0f} instructions  "
                      f"{' '.join(f'{number:8,.0f}' for number, _ in pairs)} bytes written  {pairs[-1][1]:.3f} transactions  {binary}", flush=True)


if __name__ == "__main__":
    main()
