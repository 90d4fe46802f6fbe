#!/usr/bin/env python3
"""Compares what two binaries export, for changes that must not change it.

    tests/siege/same_exports.py OLD NEW [RUNS]     paths of two binaries; 1000 runs

Both get the same deliveries, the recorded bodies and random runs, in the same shuffled order. What they send must be
equal byte by byte, apart from the order of records and their grouping into requests. Of a record that is sent again, the
last version is compared, since it depends on timing whether the earlier ones are sent, and as requests are sent side by
side, an older version can be received after a newer one. So the last is the most complete (completeness()), and of
those that are equally complete the one that was received last. Times of receipt have no effect: the GUIDs contain the
times, no run is given up, and a body without any time is left out.
"""
import pathlib
import random
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "blackbox")]
sys.dont_write_bytecode = True

import harness  # noqa: E402
import payloads  # noqa: E402
from collector import Collector, fields_of  # noqa: E402

FIXTURES = HERE.parent / "fixtures/github"

ERROR = 2  # Status.code


def spans(record):
    """The spans of a ResourceSpans, each a list of (field number, value)."""
    for number, scope in fields_of(record):
        if number == 2:
            for inner, span in fields_of(scope):
                if inner == 2:
                    yield list(fields_of(span))


def ids(record):
    """Trace and span ID of its first span, which identify the record."""
    first = dict(next(spans(record)))
    return first[1], first[2]


def completeness(record):
    """Of two versions of a record, the greater one replaces the other, in whichever order the events came: an incomplete
    one is replaced by a complete one, an end by a later end, a success by a failure."""
    found = list(spans(record))
    is_incomplete = any(number == 9 and dict(fields_of(value))[1] == b"github.incomplete"
                        for span in found for number, value in span)
    end = max(int.from_bytes(dict(span)[8], "little") for span in found)
    failures = sum(dict(fields_of(dict(span).get(15, b""))).get(3) == ERROR for span in found)
    return not is_incomplete, end, failures


def last_version(versions):
    """`versions`: as they were received."""
    return max(enumerate(versions), key=lambda version: (completeness(version[1]), version[0]))[1]


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
    return versions(collector)


def versions(collector):
    """All versions of each record, in the order in which they were received."""
    found = {}
    for request in collector.accepted():
        for number, record in fields_of(request.body):
            assert number == 1, number
            found.setdefault(ids(record), []).append(record)
    return found


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
    last = [{key: last_version(found) for key, found in export.items()} for export in (first, second)]
    for binary, export, chosen in ((old, first, last[0]), (new, second, last[1])):
        again = [key for key, found in export.items() if len(found) > 1]
        overtaken = sum(export[key][-1] != chosen[key] for key in again)
        print(f"{binary}: {len(export)} records, {len(again)} sent more than once, "
              f"{overtaken} of them received last in an older version")
    other = [key for key in first.keys() | second.keys() if last[0].get(key) != last[1].get(key)]
    print(f"{len(events)} deliveries; {len(other)} records differ")
    for key in other[:3]:
        print("   old", last[0].get(key), "\n   new", last[1].get(key))
    sys.exit(1 if other else 0)


if __name__ == "__main__":
    main()
