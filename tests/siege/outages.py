#!/usr/bin/env python3
"""A collector that comes and goes, for OUTAGES_SECONDS (3600), over HTTP, HTTPS and gRPC: nothing may be missing, and
neither descriptors nor memory may grow.

    make outages                              the release binary, one hour
    OUTAGES_SECONDS=300 OUTAGES_PROTOCOLS="http grpc" tests/siege/outages.py

Three daemons, one a protocol, each with signed runs every 100 ms and a collector of its own that changes every few
seconds: it accepts, refuses (503, UNAVAILABLE), resets, cuts responses, says goodbye (GOAWAY, Connection: close), hangs,
or is down. Every three minutes the collector accepts until the outbox is empty; then the daemon is left alone until its
idle connections are closed, and measured. The first measurement is the base.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import re
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path.insert(0, str(ROOT / "tests/blackbox"))
import collector as http_collector  # noqa: E402
import grpc_collector  # noqa: E402
import harness  # noqa: E402
import tls  # noqa: E402
from expect import ids_of, run_spans  # noqa: E402
from payloads import Run  # noqa: E402

SECONDS = float(os.environ.get("OUTAGES_SECONDS", "3600"))
PROTOCOLS = os.environ.get("OUTAGES_PROTOCOLS", "http https grpc").split()
ROUND = 180
IDLE = 58  # longer than the client keeps idle connections
RUN_EVERY = 0.1
GROWTH_MAX_KIB = 4096  # of RssAnon, from the second measurement on
FDS_MAX = 2            # more than at the base: connections that are just being closed
BEHAVIOURS = ("accept", "accept", "503", "unavailable", "reset", "cut", "goaway", "hang", "down")


def http_answer(behaviour):
    answer = http_collector.Answer
    return {"accept": answer(), "503": http_collector.unavailable(),
            "unavailable": http_collector.unavailable(retry_after=0), "reset": answer(reset=True),
            "cut": answer(cut=True), "goaway": answer(200, {"Connection": "close"}), "hang": answer(hang=True)}[behaviour]


def grpc_answer(behaviour):
    answer = grpc_collector.Answer
    return {"accept": answer(), "503": answer(status=503, code=None),
            "unavailable": answer(grpc_collector.UNAVAILABLE, trailers_only=True), "reset": answer(reset=2),
            "cut": answer(cut=True), "goaway": answer(go_away=True), "hang": answer(hang=True)}[behaviour]


class Scene:
    def __init__(self, protocol, folder):
        self.protocol = protocol
        is_grpc = protocol == "grpc"
        self.collector = {"http": http_collector.Collector, "grpc": grpc_collector.GrpcCollector,
                          "https": tls.TlsCollector}[protocol]()
        self.answer = grpc_answer if is_grpc else http_answer
        self.behaviour = "accept"
        self.collector.script = lambda request: self.answer(self.behaviour)
        settings = {"otlp_protocol": "grpc" if is_grpc else "http/protobuf", "history": "0s", "linger": "1s",
                    "root_grace": "0s", "otlp_timeout": "2s", "otlp_endpoint": self.collector.endpoint}
        if protocol == "https":
            settings["otlp_certificate"] = tls.certificate("ca.pem")
        self.daemon = harness.Daemon(folder, **settings).start()
        self.wanted = set()
        self.runs = 0
        self.measured = []

    def status(self):
        return json.loads(self.daemon.admin("/api/status").body)

    def measure(self):
        process = f"/proc/{self.daemon.process.pid}"
        text = pathlib.Path(process, "status").read_text()
        self.measured.append({"descriptors": len(os.listdir(f"{process}/fd")),
                              "rss_anon": int(re.search(r"RssAnon:\s+(\d+)", text).group(1)),
                              "threads": int(re.search(r"Threads:\s+(\d+)", text).group(1))})
        missing = len(self.wanted - self.collector._ids.keys())
        twice = sum(count > 1 for count in self.collector._ids.values())
        print(f"{self.protocol:5} {self.runs} runs, {len(self.wanted)} spans, {missing} missing, {twice} more than once, "
              f"{self.status()['dead_letters']} dead letters; {self.measured[-1]}", flush=True)
        return missing

    def forget_requests(self):
        self.collector.ids()
        with self.collector.changed:
            self.collector.ids()
            self.collector.requests.clear()
            self.collector._scanned = 0
        del self.daemon.lines[:]

    def send(self, stop):
        client = self.daemon.client()
        while not stop.wait(RUN_EVERY):
            run = Run()
            run.job("build").steps = []
            for event in run.timeline():
                response = client.deliver(event)
                assert response.status in (200, 202), response
            self.wanted.update(ids_of(run_spans(run)))
            self.runs += 1

    def come_and_go(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            what = random.choice(BEHAVIOURS)
            if what == "down":
                self.collector.stop()
                time.sleep(random.uniform(0.5, 4))
                self.behaviour = "accept"
                self.collector.start()
            else:
                self.behaviour = what
                time.sleep(random.uniform(0.5, 4))
            if what == "hang":
                self.behaviour = "accept"
                self.collector.release()
            self.forget_requests()

    def settle(self):
        self.behaviour = "accept"
        self.collector.release()
        harness.wait_until(lambda: self.status()["outbox"]["records"] == 0, 120, "the outbox is empty")
        self.forget_requests()
        time.sleep(IDLE)

    def run_round(self, seconds):
        stop = threading.Event()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            sender = pool.submit(self.send, stop)
            try:
                self.come_and_go(seconds)
            finally:
                stop.set()
            sender.result()
        self.settle()
        return self.measure()

    def run(self):
        missing, end = self.run_round(45), time.monotonic() + SECONDS
        while time.monotonic() < end:
            missing += self.run_round(min(ROUND, max(10, end - time.monotonic())))
        self.daemon.stop()
        base, *others = self.measured
        is_steady = not others or (max(each["rss_anon"] for each in others) - others[0]["rss_anon"] <= GROWTH_MAX_KIB
                                   and max(each["descriptors"] for each in others) <= base["descriptors"] + FDS_MAX)
        return missing == 0 and is_steady and not self.collector.faults


def main():
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor() as pool:
        folders = {protocol: stack.enter_context(tempfile.TemporaryDirectory(prefix=f"ghatrace-outages-{protocol}-"))
                   for protocol in PROTOCOLS}
        results = [pool.submit(Scene(protocol, folder).run) for protocol, folder in folders.items()]
        passed = [each.result() for each in results]
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
