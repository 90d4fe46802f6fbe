#!/usr/bin/env python3
"""Measures response times of the admin listener with many open jobs, and their effect on deliveries.

    make scale        with 1,000,000 open jobs and 10,000 finished runs: some two minutes

For each path: the median and the maximum of 20 response times in ms. Then the rate of deliveries, alone and while all
paths are requested repeatedly.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path[:0] = [str(ROOT / "tests/blackbox"), str(ROOT / "tests/siege")]
import harness  # noqa: E402
from siege import replay, summary_of, write_deliveries  # noqa: E402

OPEN_JOBS = int(os.environ.get("SCALE_JOBS", "1000000"))
FINISHED_RUNS = int(os.environ.get("SCALE_RUNS", "10000"))
PATHS = ["/metrics", "/", "/api/queue", "/api/queue?limit=1000", "/api/runs", "/api/runs?q=nothing+like+it", "/api/runs?state=open",
         "/api/runs?state=open&limit=200", "/api/runs?state=open&q=nothing+like+it", "/api/latency", "/api/latency?window=24h", "/api/status"]


def ask(daemon, path):
    with harness.Client(daemon.admin_address) as client:
        begin = time.monotonic()
        answer = client.request("GET", path, headers={"Host": "localhost"})
        took = (time.monotonic() - begin) * 1000
    assert answer.status == 200, (path, answer)
    return took, len(answer.body)


def main():
    with tempfile.TemporaryDirectory(prefix="ghatrace-scale-") as folder:
        begin = time.monotonic()
        subprocess.run([ROOT / "build/release-gcc/tests/siege/fill_store", f"{folder}/db", str(OPEN_JOBS), str(FINISHED_RUNS)], check=True)
        print(f"{OPEN_JOBS:,} open jobs and {FINISHED_RUNS:,} finished runs, stored in {time.monotonic() - begin:.0f} s, "
              f"{os.path.getsize(folder + '/db/data.mdb') >> 20:,} MiB", flush=True)
        daemon = harness.Daemon(folder, db_max_size="32GiB")
        begin = time.monotonic()
        daemon.start()
        print(f"ready after {time.monotonic() - begin:.2f} s", flush=True)
        for path in PATHS:
            answers = [ask(daemon, path) for _ in range(20)]
            times = sorted(took for took, _ in answers)
            print(f"{path:40} half within {statistics.median(times):7.1f} ms, all within {times[-1]:7.1f} ms, {answers[0][1]:10,} bytes", flush=True)
        deliveries = f"{folder}/deliveries.jsonl"
        write_deliveries(deliveries, 3000)
        print("deliveries alone:       ", summary_of(replay(daemon, deliveries, "--rate", "300")), flush=True)
        stop, asked = threading.Event(), [0]

        def ask_on():
            while not stop.is_set():
                ask(daemon, PATHS[asked[0] % len(PATHS)])
                asked[0] += 1
                stop.wait(0.05)
        thread = threading.Thread(target=ask_on)
        thread.start()
        write_deliveries(deliveries, 3000)
        begin = time.monotonic()
        result = summary_of(replay(daemon, deliveries, "--rate", "300"))
        stop.set()
        thread.join()
        print("deliveries while asked: ", result, f"({asked[0] / (time.monotonic() - begin):.0f} answers a second)", flush=True)
        daemon.stop()


if __name__ == "__main__":
    main()
