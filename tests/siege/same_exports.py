#!/usr/bin/env python3
"""Compares what two binaries export, for changes that must not change it.

    tests/siege/same_exports.py OLD NEW [RUNS]     paths of two binaries; 1000 runs

Both get the same deliveries, the recorded bodies and random runs, in the same shuffled order. What they send must be
equal byte by byte, apart from the order of records and their grouping into requests; of records that are sent again,
only the last is compared, since it depends on timing whether the earlier ones were sent. Times of receipt have no
effect: the GUIDs contain the times, no run is given up, and a body without any time is left out.
"""
import pathlib
import random
import re
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "blackbox")]
sys.dont_write_bytecode = True

import harness  # noqa: E402
import payloads  # noqa: E402
from collector import Collector  # noqa: E402

FIXTURES = HERE.parent / "fixtures/github"


# Trace and span ID of a record's first span.
FIRST_SPAN = re.compile(rb"\x0a\x10(.{16})\x12\x08(.{8})", re.S)


def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def records(body):
    """The ResourceSpans of a request, as they were sent."""
    at = 0
    while at < len(body):
        tag, at = varint(body, at)
        assert tag == 10, tag
        size, at = varint(body, at)
        yield body[at:at + size]
        at += size


def random_run(generator):
    run = payloads.Run(attempt=generator.choice((1, 1, 1, 2)), conclusion=generator.choice(("success", "failure", "cancelled")))
    for number in range(generator.randint(1, 5)):
        environment = "production" if generator.random() < 0.1 else None
        run.job(f"job {number}", environment=environment, queue=generator.randint(0, 90),
                duration=generator.randint(1, 400), conclusion=generator.choice(("success", "failure", "skipped", "neutral")))
    return run


def deliveries(runs):
    generator = random.Random(7)
    found = []
    for path in sorted(FIXTURES.glob("*.json")):
        kind = path.name.split(".")[0]
        if kind in ("workflow_job", "workflow_run") and ".bare." not in path.name:
            found.append(payloads.Event(kind, path.read_bytes(), payloads.guid_of_time(time.time())))
    for _ in range(runs):
        events = random_run(generator).timeline()
        if generator.random() < 0.3:
            generator.shuffle(events)
        found += events
    return found


def drive(binary, events):
    harness.BINARY = binary
    collector = Collector()
    with tempfile.TemporaryDirectory() as folder:
        daemon = harness.Daemon(folder, otlp_endpoint=collector.endpoint, root_grace="6s").start()
        for event in events:
            status = daemon.deliver(event).status
            assert status in (200, 202), (status, event)
        harness.wait_until(lambda: settled(daemon, collector), timeout=120, what="all records")
        daemon.stop()
    collector.stop()
    return {FIRST_SPAN.search(record).groups(): record for request in collector.accepted() for record in records(request.body)}


def settled(daemon, collector, seen={}):
    count = len(collector.requests)
    quiet = seen.get(id(collector)) == count
    seen[id(collector)] = count
    time.sleep(4)
    return quiet and count > 0 and len(collector.requests) == count


def main():
    old, new = sys.argv[1:3]
    events = deliveries(int(sys.argv[3]) if len(sys.argv) > 3 else 1000)
    first, second = drive(old, events), drive(new, events)
    other = [key for key in first.keys() | second.keys() if first.get(key) != second.get(key)]
    print(f"{len(events)} deliveries; {len(first)} records of {old}, {len(second)} of {new}; {len(other)} differ")
    for key in other[:3]:
        print("   old", first.get(key), "\n   new", second.get(key))
    sys.exit(1 if other else 0)


if __name__ == "__main__":
    main()
