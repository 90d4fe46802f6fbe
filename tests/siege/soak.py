#!/usr/bin/env python3
"""A soak test under all kinds of load, for SOAK_SECONDS (1200): everything acknowledged must be exported.

    make soak                              the ASan binary, 20 minutes
    SOAK_SECONDS=120 tests/siege/soak.py   a shorter one

In the first half the daemon is restarted every 30 s (SIGTERM and kill -9 in turn), in the second it is not, so that
its memory can be compared over time. During all of it:
  - honest senders deliver signed runs under socket activation and repeat deliveries without a response;
  - clients on both listeners send pipelined requests and never read, trickle heads and bodies from 64 addresses,
    forge signatures and send bytes that are not HTTP;
  - sometimes a signed delivery is hostile in its content: thousands of steps, long texts, a label set of its own;
  - the collector changes its behaviour every few seconds: statuses of all kinds, resets, silence, limits on size,
    records it refuses, partial success;
  - SIGHUP every 7 s.
Everything is on loopback and bounded in number and time.
"""
import collections
import contextlib
import dataclasses
import http.client
import os
import pathlib
import random
import re
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/asan-clang/ghatrace"))
# Freed memory that ASan keeps would look like growth.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "quarantine_size_mb=8:malloc_context_size=8")
sys.path.insert(0, str(ROOT / "tests/blackbox"))
import collector as collectors  # noqa: E402
import harness  # noqa: E402
import payloads  # noqa: E402
from collector import Answer  # noqa: E402
from expect import ids_of, run_spans  # noqa: E402

SECONDS = float(os.environ.get("SOAK_SECONDS", "1200"))
SEED = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
SENDERS = 4
RUNS_PER_SECOND = float(os.environ.get("SOAK_RATE", "4"))  # of all senders together
POISON = "poison-step"  # a step name that one phase of the collector refuses, as a firewall might


# --- the collector ------------------------------------------------------------------------------------------------

class LightCollector(collectors.Collector):
    """Keeps the IDs of accepted spans instead of the requests."""

    def __init__(self):
        self.seen = collections.Counter()
        self.statuses = collections.Counter()
        self.lock = threading.Lock()
        super().__init__()

    def take(self, request):
        with self.lock:
            self.statuses[request.status] += 1
            if request.status == 200:
                for key in collectors.scan_ids(request):
                    self.seen[key] += 1


class Requests(list):
    """Receives what the collector's handler appends."""

    def __init__(self, owner):
        super().__init__()
        self.owner = owner

    def append(self, request):
        self.owner.take(request)


def refuse_with(status, body=b"no", content_type="text/plain", retry_after=None):
    headers = {"Content-Type": content_type}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Answer(status, headers, body)


def phases(generator):
    """(name, seconds, script). The collector works in between, so that the outbox can empty."""
    status = generator.choice([301, 401, 402, 403, 404, 405, 407, 408, 409, 415, 417, 421, 425, 429, 500, 501, 502, 503, 504, 599])
    limit = generator.choice([2_000, 20_000, 200_000])
    poison = POISON.encode()
    return [
        (f"status {status}", 8, lambda r: refuse_with(status, retry_after=generator.choice([None, 1]))),
        ("well", 12, lambda r: Answer()),
        (f"cuts above {limit}", 8, lambda r: Answer(cut=True) if len(r.body) > limit else Answer()),
        ("well", 8, lambda r: Answer()),
        (f"503 above {limit}", 8, lambda r: refuse_with(503) if len(r.body) > limit else Answer()),
        ("413 for all", 5, lambda r: refuse_with(413)),
        ("well", 10, lambda r: Answer()),
        ("403 for one step's name", 10, lambda r: refuse_with(403) if poison in r.body else Answer()),
        ("30 % failures", 10, lambda r: refuse_with(503, retry_after=1) if generator.random() < 0.3 else Answer()),
        ("a status of data for all", 5, lambda r: collectors.refused()),
        ("well", 10, lambda r: Answer()),
        ("silence", 6, lambda r: Answer(hang=True)),
        ("a login page", 5, lambda r: Answer(200, {"Content-Type": "text/html"}, b"<html>log in</html>")),
        ("well", 12, lambda r: Answer()),
    ]


def play_collector(collector, stop, generator, say):
    while not stop.is_set():
        for name, seconds, script in phases(generator):
            if stop.is_set():
                break
            say(f"collector: {name}")
            collector.script = script
            stop.wait(seconds)
            collector.release()  # ends connections that hang
    collector.script = lambda request: Answer()
    collector.release()


# --- honest senders -----------------------------------------------------------------------------------------------

class Sender(threading.Thread):
    def __init__(self, daemon, stop, pause, generator):
        super().__init__(daemon=True)
        self.target, self.stopping, self.pause, self.generator = daemon, stop, pause, generator
        self.runs, self.took = [], []
        self.statuses = collections.Counter()
        self.broken = 0

    def deliver(self, event):
        """Repeats a delivery until the response is 2xx: it may be interrupted by kill -9 or refused with 503."""
        while True:
            begin = time.monotonic()
            try:
                with harness.Client(self.target.webhook, timeout=30) as client:
                    answer = client.deliver(event)
                self.statuses[answer.status] += 1
                if answer.status in (200, 202):
                    self.took.append(time.monotonic() - begin)
                    return
            except (OSError, http.client.HTTPException):
                self.broken += 1
            time.sleep(0.2)

    def run(self):
        while not self.stopping.is_set():
            run = payloads.Run()
            for _ in range(self.generator.randint(1, 3)):
                job = run.job()
                if self.generator.random() < 0.02:
                    job.steps[2].name = POISON
            for event in run.timeline():
                self.deliver(event)
            self.runs.append(run)
            self.stopping.wait(self.pause * self.generator.uniform(0.5, 1.5))


# --- hostile clients ----------------------------------------------------------------------------------------------

HEAD = (b"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-GitHub-Event: workflow_job\r\n"
        b"X-GitHub-Delivery: 4d8ed510-a74e-11f1-8000-000000000000\r\nX-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n")


def connect_from(number, address):
    client = socket.socket()
    client.settimeout(2)
    client.bind((f"127.9.{number // 250 % 250}.{2 + number % 250}", 0))
    client.connect(address)
    client.setblocking(False)
    return client


def hostile(address, stop, first, then, clients, addresses, seconds):
    """`clients` connections that send `first`, then `then` once a tenth of a second, and never read; those that were
    closed are opened again, and all of them after `seconds`."""
    held, number = {}, 0
    while not stop.is_set():
        now = time.monotonic()
        for client in [c for c, until in held.items() if until < now]:
            held.pop(client)
            client.close()
        while len(held) < clients and not stop.is_set():
            number += 1
            try:
                client = connect_from(number % addresses, address)
                with contextlib.suppress(BlockingIOError):
                    client.send(first)
                held[client] = now + seconds
            except OSError:
                break
        for client in list(held):
            try:
                client.send(then)
            except BlockingIOError:
                pass
            except OSError:
                held.pop(client)
                client.close()
        stop.wait(0.1)
    for client in held:
        client.close()


def hostile_threads(daemon, stop):
    host = b"Host: 127.0.0.1:%d\r\n\r\n"
    never_reads = b"GET /health HTTP/1.1\r\n" + host % daemon.webhook[1]
    metrics = b"GET /metrics HTTP/1.1\r\n" + host % daemon.admin_at[1]
    live = b"GET /api/live HTTP/1.1\r\n" + host % daemon.admin_at[1]
    attacks = [
        (daemon.webhook, never_reads * 100, never_reads * 100, 40, 20, 20),
        (daemon.admin_at, metrics * 20, metrics * 20, 8, 1, 20),
        (daemon.admin_at, live, b"", 4, 1, 30),
        (daemon.webhook, HEAD + b"Content-Length: 100000\r\n\r\n", b"x", 200, 64, 60),
        (daemon.webhook, b"POST /webhook HTTP/1.1\r\nX: ", b"y", 100, 64, 60),
        (daemon.webhook, HEAD + b"Content-Length: 2\r\n\r\n{}", b"", 10, 64, 0.5),
        (daemon.webhook, b"\x00\xff\r\n\r\nGET  / HTTP/9.9\r\n\r\n", b"", 5, 64, 0.5),
    ]
    threads = []
    for address, *rest in attacks:
        if address[1] == daemon.admin_at[1]:
            rest[3] = 1
        threads.append(threading.Thread(target=hostile, args=(address, stop, *rest), daemon=True))
    return threads


def bombs(daemon, stop, generator, sender):
    """Signed, but hostile in content. Their spans must be exported, too; here only their responses are counted."""
    statuses = collections.Counter()
    while not stop.wait(20):
        run = payloads.Run()
        job = run.job()
        job.labels = ["self-hosted", f"run-{run.run_id}"]
        if generator.random() < 0.5:
            job.steps += [dataclasses.replace(job.steps[2], name=f"step {n} " + "x" * 200, number=100 + n)
                          for n in range(3000)]
        event = job.completed()
        with contextlib.suppress(OSError, http.client.HTTPException):
            with harness.Client(daemon.webhook, timeout=30) as client:
                statuses[client.deliver(event).status] += 1
    sender["bombs"] = dict(statuses)


# --- measurements ----------------------------------------------------------------------------------------------

class Memory(threading.Thread):
    """RssAnon of the present process, once a second: (process, seconds since the start of it, KiB)."""

    def __init__(self, daemon, stop):
        super().__init__(daemon=True)
        self.target, self.stopping, self.samples = daemon, stop, []

    def run(self):
        while not self.stopping.wait(1):
            process = self.target.process
            with contextlib.suppress(OSError, AttributeError):
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                self.samples.append((process.pid, time.monotonic(), int(re.search(r"RssAnon:\s+(\d+)", status).group(1))))


def restart_for(daemon, seconds, say):
    """The first half: SIGTERM and kill -9 in turn. Returns the logs of the processes that have ended."""
    logs, end, number = [], time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for _ in range(4):
            time.sleep(7)
            with contextlib.suppress(ProcessLookupError, AttributeError):
                daemon.process.send_signal(signal.SIGHUP)
        number += 1
        how = "stop" if number % 2 else "kill"
        begin = time.monotonic()
        getattr(daemon, how)()
        stopped = time.monotonic()
        logs.append(daemon.log)
        daemon.start()
        say(f"restart {number} by {how}: stopped in {stopped - begin:.2f} s, ready in {time.monotonic() - stopped:.2f} s")
    return logs


def main():
    generator = random.Random(SEED)
    began = time.monotonic()

    def say(text):
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)
    say(f"seed {SEED}, {SECONDS:.0f} s, {harness.BINARY}")
    collector = LightCollector()
    collector.requests = Requests(collector)
    with tempfile.TemporaryDirectory(prefix="ghatrace-soak-") as folder:
        sockets = {"webhook": harness.listening_socket(), "admin": harness.listening_socket()}
        daemon = harness.Daemon(folder, sockets=sockets, otlp_endpoint=collector.endpoint, otlp_timeout="3s",
                                root_grace="60s", listen=None, admin_listen=None)
        daemon.webhook, daemon.admin_at = (listener.getsockname() for listener in sockets.values())
        daemon.start()
        stop, stop_senders, notes = threading.Event(), threading.Event(), {}
        senders = [Sender(daemon, stop_senders, SENDERS / RUNS_PER_SECOND, random.Random(SEED + n)) for n in range(SENDERS)]
        memory = Memory(daemon, stop)
        threads = [memory, *senders, *hostile_threads(daemon, stop),
                   threading.Thread(target=play_collector, args=(collector, stop_senders, generator, say), daemon=True),
                   threading.Thread(target=bombs, args=(daemon, stop_senders, random.Random(SEED), notes), daemon=True)]
        for thread in threads:
            thread.start()
        logs = restart_for(daemon, SECONDS / 2, say)
        second_half = time.monotonic()
        while time.monotonic() < began + SECONDS:
            time.sleep(7)
            daemon.process.send_signal(signal.SIGHUP)
        stop_senders.set()
        for sender in senders:
            sender.join(120)
        stop.set()
        say("quiet; waiting for what is left to be exported")
        runs = [run for sender in senders for run in sender.runs]
        wanted = set(key for run in runs for key in ids_of(run_spans(run)))
        deadline = time.monotonic() + 300
        while (missing := wanted - collector.seen.keys()) and time.monotonic() < deadline:
            time.sleep(1)
        status = harness.Client(daemon.admin_at).request("GET", "/api/status", headers={"Host": f"127.0.0.1:{daemon.admin_at[1]}"})
        logs.append(daemon.log)
        daemon.stop()
        logs.append(daemon.log)
    report(say, senders, runs, wanted, missing, collector, memory, second_half, logs, status, notes)


def report(say, senders, runs, wanted, missing, collector, memory, second_half, logs, status, notes):
    took = sorted(t for sender in senders for t in sender.took)
    statuses = sum((sender.statuses for sender in senders), collections.Counter())
    sanitizer = [line for log in logs for line in log.splitlines() if harness.SANITIZER.search(line)]
    late = [kib for _, at, kib in memory.samples if at >= second_half]
    fifth = max(1, len(late) // 5)
    early_half, last = statistics.median(late[fifth:2 * fifth]), statistics.median(late[-fifth:])
    say(f"deliveries: {dict(statuses)}, {sum(s.broken for s in senders)} broken and repeated; "
        f"half within {took[len(took) // 2]:.3f} s, 99 % {took[int(len(took) * .99)]:.3f} s, all {took[-1]:.3f} s")
    say(f"runs acknowledged: {len(runs)}; spans due: {len(wanted)}; missing: {len(missing)} {sorted(missing)[:3]}")
    say(f"collector answered: {dict(collector.statuses)}; spans accepted more than once: "
        f"{sum(n > 1 for n in collector.seen.values())}; faults: {collector.faults[:3]}")
    say(f"signed bombs: {notes.get('bombs')}")
    say(f"memory (RssAnon): second fifth of the quiet half {early_half / 1024:.1f} MiB, last fifth {last / 1024:.1f} MiB, "
        f"greatest {max(kib for _, _, kib in memory.samples) / 1024:.1f} MiB")
    say(f"sanitizer: {sanitizer[:5] or 'silent'}; log lines: {sum(len(log.splitlines()) for log in logs)}")
    say(f"status at the end: {status.text[:1500]}")
    grown = last > early_half * 1.2 + 8 * 1024
    if missing or sanitizer or grown or collector.faults:
        sys.exit("soak: failed" + (", memory grew" if grown else ""))
    say("soak: passed")


if __name__ == "__main__":
    main()
