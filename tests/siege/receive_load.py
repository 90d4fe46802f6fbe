#!/usr/bin/env python3
"""What `otlp-listen` costs: 10,000 spans a second beside 1,000 deliveries a second, and the same deliveries alone.

    make receive-load                              the two in turn, twice, 60 s each: some six minutes
    tests/siege/receive_load.py MODE...            of: off (no otlp-listen), idle (with it, unused), load
    RECEIVE_SECONDS=120 RECEIVE_SPANS=10000 RECEIVE_DELIVERIES=1000

Half of the spans are ARC's, three for each job that was delivered within the last seconds, 20 jobs in a request; half
are of programs inside such jobs, 50 in a request. The daemon has a collector that takes everything. Printed for each:
the daemon's processor time, in all and by thread, its memory, the size of its store, times of the answers, what became of
the spans, and the machine's load before: with other programs on it compare pairs. Fails if a delivery is not
answered 202, or spans are refused.
"""
import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
import re
import socket
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path.insert(0, str(ROOT / "tests/blackbox"))
import harness  # noqa: E402
import otlp_attacks  # noqa: E402
import payloads  # noqa: E402
import sending  # noqa: E402
import siege  # noqa: E402
from expect import Ids, md5  # noqa: E402

SECONDS = float(os.environ.get("RECEIVE_SECONDS", "60"))
SPANS = int(os.environ.get("RECEIVE_SPANS", "10000"))  # a second
DELIVERIES = int(os.environ.get("RECEIVE_DELIVERIES", "1000"))  # a second
JOBS_OF_RUN, JOBS_OF_REQUEST, SPANS_OF_REQUEST = 10, 20, 50
DELIVERIES_OF_RUN = 3 + 3 * JOBS_OF_RUN
BEHIND = 2 * DELIVERIES // DELIVERIES_OF_RUN   # runs: those of the last 2 s may still be on their way
WINDOW = 20 * DELIVERIES // DELIVERIES_OF_RUN  # runs that spans are sent of
FIRST = 2 * BEHIND + 1                         # runs that are there when the first spans are sent


# --- what is sent -------------------------------------------------------------------------------------------------

def encode_spans_of_job_programs(run):
    ids = Ids(run.run_id, run.attempt)
    spans = []
    for number in range(SPANS_OF_REQUEST):
        job = run.jobs[number % JOBS_OF_RUN]
        spans.append(sending.span(ids.trace, md5(f"{job.job_id}-{number}-program")[:16], ids.job(job.job_id),
                                  f"{otlp_attacks.FAIR} {number}", job.started + 4, job.started + 5, test__suite="unit", test__case__name=f"case {number}"))
    return sending.protobuf(spans, {"service.name": "pytest"})


def prepare(folder):
    """The deliveries in a file; for each run the reports of its jobs and the spans of programs in them, encoded."""
    runs = FIRST + int(SECONDS * DELIVERIES / DELIVERIES_OF_RUN) + 1
    reports, programs = [], []
    with open(f"{folder}/deliveries.jsonl", "wb") as file:
        for _ in range(runs):
            run = payloads.Run()
            for number in range(JOBS_OF_RUN):
                job = run.job(f"build {number}")
                job.runner_name = f"arc-linux-{job.job_id}"
            for event in run.timeline():
                file.write(event.body + b"\n")
            reports.append([sending.protobuf(sending.arc_spans(job, job.created + 3)) for job in run.jobs])
            programs.append(encode_spans_of_job_programs(run))
    return runs, reports, programs


def paced(address, token, rate, make, started, counts, took):
    """`rate` requests a second, each when the one before is answered; `make(number, age)` is the body."""
    connection, number, begun = socket.create_connection(address, timeout=30), 0, time.monotonic()
    while (age := time.monotonic() - begun) < SECONDS:
        if number / rate > age:
            time.sleep(number / rate - age)
        data = otlp_attacks.request(make(number, time.monotonic() - started), token)
        sent = time.monotonic()
        connection.sendall(data)
        answer = connection.recv(65536)
        took.append(time.monotonic() - sent)
        counts[answer[9:12].decode()] += 1
        number += 1


def run_in_window(number, age):
    newest = FIRST + int(age * DELIVERIES / DELIVERIES_OF_RUN) - BEHIND
    return newest - number % min(WINDOW, newest)


def send_reports(address, reports, started, results):
    counts, took = collections.Counter(), []
    rate = SPANS / 2 / 3 / JOBS_OF_REQUEST

    def body(number, age):
        pairs = (divmod(number * JOBS_OF_REQUEST + i, JOBS_OF_RUN) for i in range(JOBS_OF_REQUEST))
        return b"".join(reports[run_in_window(run, age)][job] for run, job in pairs)
    paced(address, otlp_attacks.ARC, rate, body, started, counts, took)
    results.put(("ARC's", counts, took))


def send_programs(address, programs, started, results):
    counts, took = collections.Counter(), []
    rate = SPANS / 2 / SPANS_OF_REQUEST
    paced(address, otlp_attacks.JOB, rate, lambda number, age: programs[run_in_window(number, age)], started, counts, took)
    results.put(("jobs'", counts, took))


# --- measuring ----------------------------------------------------------------------------------------------------

def processor_by_thread(pid):
    used = collections.Counter()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            name, fields = task.joinpath("stat").read_text().split("(", 1)[1].rsplit(")", 1)
            ticks = fields.split()[11:13]
            name = {"ghatrace": "main" if task.name == str(pid) else "engine and others"}.get(name, name)
            used[name] += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return used


def times(took):
    took.sort()
    return "; ".join(f"{name} {took[int(len(took) * part)] * 1000:.1f} ms" for name, part in
                     (("half within", .5), ("99 % within", .99), ("all within", .9999)))


def deliver(daemon, folder, name, lines, *arguments):
    with open(f"{folder}/{name}.jsonl", "wb") as file:
        file.writelines(lines)
    return siege.summary_of(siege.replay(daemon, f"{folder}/{name}.jsonl", *arguments))


def events(daemon):
    return sending.status(daemon)["deliveries"]["accepted"]


def measure(mode, folder, prepared):
    runs, reports, programs = prepared
    with tempfile.TemporaryDirectory(dir=folder) as own:
        sink = otlp_attacks.Sink()
        settings = otlp_attacks.settings(own)
        del settings["outbox_max_size"]
        if mode == "off":
            del settings["otlp_listen"], settings["otlp_token_file"], settings["arc_runners"]
        daemon = harness.Daemon(own, otlp_endpoint=sink.endpoint, **settings).start()
        with open(f"{folder}/deliveries.jsonl", "rb") as file:
            lines = file.readlines()
        cut = FIRST * DELIVERIES_OF_RUN
        deliver(daemon, own, "first", lines[:cut])
        load, usage = os.getloadavg()[0], siege.Usage(daemon.process.pid)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            delivering = pool.submit(deliver, daemon, own, "rest", lines[cut:], "--rate", str(DELIVERIES))
            harness.wait_until(lambda: events(daemon) > cut, timeout=60, what="the first delivery")  # it reads the file first
            before, threads, begin = usage.processor(), processor_by_thread(daemon.process.pid), time.monotonic()
            results, senders = multiprocessing.Queue(), []
            if mode == "load":
                for send, bodies in ((send_reports, reports), (send_programs, programs)):
                    senders.append(multiprocessing.Process(target=send, args=(daemon.otlp_address, bodies, begin, results)))
                    senders[-1].start()
            honest = delivering.result()
        answers = sorted(results.get(timeout=120) for _ in senders)
        used, lasted = usage.processor() - before, time.monotonic() - begin
        by_thread = processor_by_thread(daemon.process.pid) - threads
        usage.stop()
        harness.wait_until(lambda: sending.status(daemon)["outbox"]["records"] == 0, timeout=30, what="an empty outbox")
        words, wrong = otlp_attacks.judge("", daemon, sink)
        arrived = sink.seen(otlp_attacks.FAIR)
        size = sum(path.stat().st_blocks * 512 for path in pathlib.Path(own, "db").iterdir())
        daemon.stop()
        sink.stop()
    delivered = (runs - FIRST) * DELIVERIES_OF_RUN
    good = bool(re.search(rf"\b{delivered} x 202", honest)) and not wrong
    print(f"\n{mode}: machine's load {load:.1f} before\n  deliveries  {honest}")
    if answers:
        good &= arrived == sum(answers[-1][1].values()) * SPANS_OF_REQUEST
    for name, counts, took in answers:
        good &= set(counts) == {"200"}
        print(f"  {name:10}  {sum(counts.values())} requests: {dict(counts)}; {times(took)}")
    print(f"  counted     {words}\n"
          f"  processor   {used:.1f} s in {lasted:.0f} s: " + ", ".join(f"{name} {time:.1f}" for name, time in by_thread.most_common(6)) +
          f"\n  memory      {usage.most / 1024:.1f} MiB of its own; store {size / otlp_attacks.MIB:.0f} MiB"
          f"{'' if good else '; NOT AS IT SHOULD BE'}", flush=True)
    return good, used


def main():
    modes = sys.argv[1:] or ["off", "load", "load", "off"]
    if set(modes) - {"off", "idle", "load"}:
        sys.exit(__doc__)
    used, good = collections.defaultdict(list), True
    with tempfile.TemporaryDirectory(prefix="ghatrace-load-") as folder:
        prepared = prepare(folder)
        for mode in modes:
            fine, seconds = measure(mode, folder, prepared)
            used[mode].append(seconds)
            good &= fine
    mean = {mode: sum(values) / len(values) for mode, values in used.items()}
    if "off" in mean:
        print(f"\na delivery: {mean['off'] / SECONDS / DELIVERIES * 1e6:.0f} us of processor without otlp-listen")
    if "off" in mean and "idle" in mean:
        print(f"a delivery: {mean['idle'] / SECONDS / DELIVERIES * 1e6:.0f} us with it")
    if "load" in mean and ("idle" in mean or "off" in mean):
        alone = mean.get("idle", mean.get("off"))
        print(f"a span: {(mean['load'] - alone) / SECONDS / SPANS * 1e6:.1f} us")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
