#!/usr/bin/env python3
"""Every crash: what a power cut may leave of the store at each moment of a real run, each state opened and checked.

    make crash                                 some minutes: the tables of states, and what is broken
    make crash CRASH="seed=7 states=400"       numbers of tests/crash/explore.c
    make crash-planted                         whether it finds the faults of tests/crash/planted, and syncs that are left out

The release binary runs with record.c preloaded, which writes down each write, sync and answer; explore.c makes the files
that may be left of them.
"""
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path[:0] = [str(ROOT / "tests/blackbox")]
import harness  # noqa: E402
from collector import Collector  # noqa: E402
from payloads import Run  # noqa: E402

# Where the programs of this folder are built.
TOOLS = pathlib.Path(harness.BINARY).parent / "tests/crash"
CLIENTS = 4
# Faults, with what is to be found because of them.
PLANTED = {
    "the syncs of data.mdb are left out": ({"leave_out": "data"}, "that of none of the commits|wrong type|Bus error"),
    "LMDB's synced writes are not synced": ({"leave_out": "meta"}, "was acknowledged and is not known"),
    "the sync of the folder is left out": ({"leave_out": "folder"}, "no file, or no folder: .* was acknowledged and is not known"),
    "the answer comes before the commit": ({"planted": "answer_first"}, "was acknowledged and is not known"),
    "the note of a delivery is in a second transaction": ({"planted": "note_apart"}, "has its effect and is not known"),
}


def guid_time(event):
    """Nanoseconds since 1970, of whole milliseconds."""
    return (uuid.UUID(event.guid).time - 0x01B21DD213814000) * 100


def pack(port, event):
    kind, guid = event.type.encode(), event.guid.encode()
    return struct.pack("=4Iq", port, len(kind), len(guid), len(event.body), guid_time(event)) + kind + guid + event.body


def memory_folder():
    """Syncs take no time there, and are written down like others."""
    return tempfile.TemporaryDirectory(prefix="ghatrace-crash-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


class RecordedDaemon(harness.Daemon):
    binary = harness.BINARY

    def arguments(self):
        return [str(self.binary), *super().arguments()[1:]]


class Client(threading.Thread):
    """Delivers runs, each in order, one delivery at a time."""

    def __init__(self, daemon, runs):
        super().__init__(daemon=True)
        self.address, self.events = daemon.address, [event for run in runs for event in run.timeline()]
        self.sent, self.statuses = [], []

    def run(self):
        with harness.Client(self.address) as client:
            client.connection.connect()
            port = client.connection.sock.getsockname()[1]
            for event in self.events:
                self.sent.append((port, event))
                self.statuses.append(client.deliver(event).status)


def some_runs(count, first=0):
    """Of one to three jobs: some fail, wait for an approval, are skipped or cancelled, lose their runner, are run again."""
    runs = []
    for number in range(first, first + count):
        run = Run(conclusion="failure" if number % 4 == 1 else "success")
        for job in range(1 + number % 3):
            run.job(f"job {job}", 1 + job)
        runs.append(run)
        last = run.jobs[-1]
        if number % 6 == 2:
            last.skipped()
        elif number % 6 == 3:
            run.job("deploy", 2, waited=20, environment="production")
        elif number % 6 == 4:
            last.lost("make")
        elif number % 6 == 5:
            last.cancelled_in_queue(last.created + 9)
            again = Run(run_id=run.run_id, attempt=2)
            again.job("job 0", 3)
            runs.append(again)
    return runs


class Recording:
    """A run of the daemon on a new store."""

    def __init__(self, folder, leave_out="", planted=None, runs=24, has_collector=False, restarts=0):
        self.folder = pathlib.Path(folder)
        self.log, self.deliveries = self.folder / "log", self.folder / "deliveries"
        self.has_collector = has_collector
        collector = Collector() if has_collector else None
        settings = {"otlp_endpoint": collector.endpoint if collector else "http://127.0.0.1:1", "root_grace": "1s"}
        daemon = RecordedDaemon(self.folder, **settings)
        if planted:
            daemon.binary = TOOLS / "planted" / planted
        daemon.env = {"LD_PRELOAD": str(TOOLS / "record.so"), "CRASH_LOG": str(self.log),
                      "CRASH_FOLDER": daemon.settings["db"], "CRASH_LEAVE_OUT": leave_out}
        sent = []
        try:
            daemon.start()
            for number in range(restarts + 1):
                if number > 0:
                    daemon.restart("kill" if number % 2 else "stop")
                sent += self.deliver(daemon, runs // (restarts + 1))
            if not (planted or leave_out):
                time.sleep(1.5)  # the roots, which wait for root-grace
            daemon.deliver(sent[0][1])  # one transaction after the last of those that count
        finally:
            getattr(daemon, "kill" if planted else "stop")()
            if collector:
                collector.stop()
        self.sent = sent + [(0, event) for event in some_runs(1)[0].timeline()]
        self.write_deliveries()

    @staticmethod
    def deliver(daemon, runs):
        each = max(1, runs // CLIENTS)
        clients = [Client(daemon, some_runs(each, number * each)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(harness.PATIENCE)
            if set(client.statuses) != {202} or len(client.statuses) != len(client.events):
                raise AssertionError(f"answers: {client.statuses}\n{daemon.log[-3000:]}")
        return [entry for client in clients for entry in client.sent]

    def write_deliveries(self):
        """Those that were sent, and a run that was not: what is delivered after the power cut."""
        with open(self.deliveries, "wb") as file:
            file.write(struct.pack("=q", time.time_ns() + 10**9))
            for port, event in self.sent:
                file.write(pack(port, event))

    def explore(self, **numbers):
        """(exit status, what it printed); states that are kept as samples are given to the daemon, too."""
        numbers.setdefault("collector", int(self.has_collector))
        with memory_folder() as folder:
            done = subprocess.run([TOOLS / "explore", self.log, self.deliveries, self.folder / "db/data.mdb",
                                   pathlib.Path(folder) / "db", *(f"{name}={value}" for name, value in numbers.items())],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            samples = sorted(pathlib.Path(folder).glob("db-*-sample-*.acknowledged"))
            broken = [line for sample in samples for line in self.check_sample(sample.with_suffix(""), sample.read_text())]
        text = done.stdout + "".join(f"broken: {line}\n" for line in broken)
        return done.returncode or int(bool(broken)), text + f"{len(samples)} of them given to the daemon, {len(broken)} broken\n"

    def check_sample(self, db, acknowledged):
        """The binary itself on one of the states: what is broken."""
        daemon = harness.Daemon(self.folder, otlp_endpoint="http://127.0.0.1:1", db=str(db))
        broken = []
        try:
            daemon.start()
            for (_, event), is_acknowledged in zip(self.sent, acknowledged, strict=True):
                answer = daemon.deliver(event)
                if answer.status not in (200, 202) or is_acknowledged == "1" and answer.outcome != (200, "duplicate"):
                    broken.append(f"{event.type} {event.action} is answered {answer}")
            daemon.stop()
        except AssertionError as error:
            broken.append(str(error))
        finally:
            daemon.kill()
        return broken


def find_planted(name, **numbers):
    """What the explorer says about a daemon with this fault, and whether it is the right thing."""
    kinds, words = PLANTED[name]
    with memory_folder() as folder:
        status, text = Recording(folder, runs=4, **kinds).explore(**{"states": 3, "exhaustive": 3, "limit": 5, **numbers})
    return status == 1 and re.search(f"^broken: .*({words})", text, re.M) is not None, text


def check_planted(numbers):
    failed = 0
    for name in PLANTED:
        is_found, text = find_planted(name, **numbers)
        print(f"--- {name}: {'found' if is_found else 'NOT FOUND'}\n{text}", flush=True)
        failed += not is_found
    return 1 if failed else 0


def main(arguments):
    numbers = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    return check_planted(numbers) if "planted" in arguments else check(numbers)


def check(numbers):
    failed = 0
    numbers.setdefault("sample", 500)
    for name, kinds in (("a collector that is down", {}), ("a collector that accepts", {"has_collector": True}),
                        ("restarts", {"restarts": 3})):
        with memory_folder() as folder:
            begin = time.monotonic()
            status, text = Recording(folder, **kinds).explore(**numbers)
            print(f"--- {name}\n{text}{time.monotonic() - begin:.0f} s\n", flush=True)
            failed += status != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
