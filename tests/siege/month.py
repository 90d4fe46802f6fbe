#!/usr/bin/env python3
"""A simulated month of 3,000 repositories with 40 workflows each and 30 pools of runners, then the real daemon on it.

    make month                                    a million jobs: some four minutes
    make month MONTH="jobs=100000 days=3"         numbers of tests/siege/month.c
    make month MONTH="invented=50000 ago=240"     jobs with labels that no other has, 240 hours before the end
    make month MONTH="wide=1"                     histograms by repository and workflow, too

Each figure of /metrics, /api/pools, the minutes and hours of each pool and whatif is compared with the simulation's own
count; what differs is printed, and fails. Besides: sizes, times, memory.
"""
import concurrent.futures
import gzip
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path[:0] = [str(ROOT / "tests/blackbox"), str(ROOT / "tests/siege")]
import harness  # noqa: E402
from siege import Usage  # noqa: E402

MONTH = ROOT / "build/release-gcc/tests/siege/month"
SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$', re.M)
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
BOUNDS = ["1.0", "2.0", "5.0", "10.0", "15.0", "30.0", "60.0", "120.0", "300.0", "600.0", "1200.0", "1800.0", "3600.0", "7200.0",
          "14400.0", "21600.0", "+Inf"]
DAY, HOUR, MINUTE = 86400, 3600, 60
RECORDS_MAX = 1_000_000  # history-jobs

differences, compared = [], [0]


def same(what, found, *wanted):
    """`found` has to be one of `wanted`."""
    compared[0] += 1
    if found not in wanted:
        differences.append(f"{what}: {found}, by the simulation {' or '.join(map(str, wanted))}")


def say(name, value):
    print(f"{name:64} {value}", flush=True)


def ask(daemon, path, accepted=(200,), **headers):
    with harness.Client(daemon.admin_address) as client:
        begin = time.monotonic()
        answer = client.request("GET", path, headers={"Host": "localhost", **headers})
        took = time.monotonic() - begin
    assert answer.status in accepted, (path, answer)
    return answer, took


def get(daemon, path):
    return json.loads(ask(daemon, path)[0].body)


# --- the same figures from both sides ----------------------------------------------------------------

def compare_metrics(text, truth, now):
    samples = {(name, frozenset(LABEL.findall(labels))): float(value) for name, labels, value in SAMPLE.findall(text)}
    for pool in truth["pools"]:
        label = frozenset({("pool", pool["pool"])})
        name = pool["pool"]
        same(f"{name} queued", samples.get(("ghatrace_pool_queued", label)), pool["queued"])
        same(f"{name} running", samples.get(("ghatrace_pool_running", label)), pool["running"])
        same(f"{name} waiting", samples.get(("ghatrace_pool_waiting", label)), 0)
        same(f"{name} busy_max", samples.get(("ghatrace_pool_busy_max", label)), *busiest(pool, now, 7 * DAY))
        same(f"{name} waits", samples.get(("ghatrace_pool_queue_wait_seconds_count", label)), pool["waits"])
        same(f"{name} sum of waits", samples.get(("ghatrace_pool_queue_wait_seconds_sum", label)), pool["wait_seconds"])
        total = 0
        for bound, count in zip(BOUNDS, pool["buckets"]):
            total += count
            same(f"{name} waits of {bound} s", samples.get(("ghatrace_pool_queue_wait_seconds_bucket", label | {("le", bound)})), total)
    finished = {}
    for (name, labels), value in samples.items():
        if name == "ghatrace_job_execution_seconds_count":
            pool = dict(labels).get("pool")
            finished[pool] = finished.get(pool, 0) + value
    for pool in truth["pools"] if None not in finished else []:
        same(f"{pool['pool']} finished jobs", finished.get(pool["pool"], 0), pool["ended"])
    same("pools folded", samples.get(("ghatrace_pools_folded_total", frozenset())), 0)
    return samples


def busiest(pool, now, length):
    """The most that ran at once; a minute or hour of which only a part lies within `length` may count or not."""
    if length <= DAY:
        cells, width = pool["minutes"], MINUTE
    else:
        cells, width = pool["hours"], HOUR
    whole = [cell[4] for cell in cells if cell[0] >= now - length]
    partly = [cell[4] for cell in cells if cell[0] > now - length - width]
    return max(whole + [pool["running"]]), max(partly + [pool["running"]])


def compare_pools(answer, truth, now):
    found = {pool["pool"]: pool for pool in answer["pools"]}
    for pool in truth["pools"]:
        name, row = pool["pool"], found.get(pool["pool"], {})
        for field in ("queued", "running"):
            same(f"/api/pools {name} {field}", row.get(field), pool[field])
        same(f"/api/pools {name} busy_max_day", row.get("busy_max_day"), *busiest(pool, now, DAY))
        same(f"/api/pools {name} busy_max_week", row.get("busy_max_week"), *busiest(pool, now, 7 * DAY))
        oldest = row.get("oldest_wait_seconds")
        if pool["oldest_ready"]:
            same(f"/api/pools {name} oldest_wait", oldest is not None and abs(oldest - (now - pool["oldest_ready"])) < 3, True)
        else:
            same(f"/api/pools {name} oldest_wait", oldest, None)


def mean(seconds, width):
    """With three decimals, the rest cut off."""
    return seconds * 1000 // width / 1000


def compare_slots(daemon, truth, window, cells, width):
    """By the API: those that are over, each with (arrivals, starts, most queued, most running, their means)."""
    for pool in truth["pools"]:
        answer = get(daemon, f"/api/pools/{urllib.parse.quote(pool['pool'], safe='')}/history?window={window}")
        same(f"{pool['pool']} {window} slot_seconds", answer["slot_seconds"], width)
        found = {time_of(slot["start"]): tuple(slot[name] for name in (
            "arrivals", "starts", "queued_max", "running_max", "queued_mean", "running_mean")) for slot in answer["slots"]}
        known_since = time_of(answer["known_since"])
        for start, arrivals, starts, queued, running, queued_seconds, running_seconds in pool[cells]:
            if start in found and start >= known_since and start + width <= truth["end"]:
                same(f"{pool['pool']} {cells} {start}", found[start],
                     (arrivals, starts, queued, running, mean(queued_seconds, width), mean(running_seconds, width)))


def time_of(text):
    return int(time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone)


def compare_whatif(daemon, truth):
    """Whether all jobs are replayed, as long as none had to be dropped."""
    for pool in truth["pools"]:
        answer = json.loads(daemon.command("whatif", "--json", "--since", "40d", "--pool", pool["pool"], "--runners", pool["capacity"],
                                           "--db-max-size", "16GiB", timeout=600).stdout)
        if sum(each["waits"] for each in truth["pools"]) < RECORDS_MAX:
            same(f"whatif {pool['pool']} jobs", answer["jobs"], pool["ended"] + pool["running"] + pool["queued"])


# --- the run -----------------------------------------------------------------------------------------

def run(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def generate(folder, arguments):
    begin = time.monotonic()
    truth = json.loads(run(MONTH, folder, *arguments))
    took = time.monotonic() - begin
    say("deliveries (repeated)", f"{truth['deliveries']:,} ({truth['repeated']:,})")
    say("runs, jobs", f"{truth['runs']:,}, {truth['jobs']:,}")
    say("simulated in", f"{took:.0f} s, {truth['deliveries'] / took:,.0f} deliveries a second, {truth['transactions']:,} transactions, {truth['restarted']} restarts")
    say("written", f"{truth['written'] / truth['deliveries']:,.0f} bytes a delivery")
    say("RssAnon at most, with the simulation's own", f"{truth['most_anonymous_kib'] / 1024:,.1f} MiB")
    say("jobs counted as (one-off), each time", f"{truth['folded']:,}")
    return truth


def print_store(folder):
    tables = json.loads(run(MONTH, "tables", folder))
    say("store", f"{os.path.getsize(folder + '/data.mdb') / 2**20:,.1f} MiB")
    for name, table in sorted(tables.items(), key=lambda item: -item[1]["bytes"]):
        if table["bytes"] > 0:
            say(f"  {name}", f"{table['bytes'] / 2**20:10,.2f} MiB {table['entries']:12,} entries")


def measure(daemon):
    """The page of metrics, as it is and compressed: bytes, the median of ten times, memory."""
    before = daemon.own_kib()
    usage = Usage(daemon.process.pid)
    plain = [ask(daemon, "/metrics") for _ in range(10)]
    packed = [ask(daemon, "/metrics", **{"Accept-Encoding": "gzip"}) for _ in range(10)]
    usage.stop()
    text = plain[0][0].body
    say("/metrics", f"{len(text):,} bytes, {text.count(bytes([10])):,} lines, {statistics.median(took for _, took in plain) * 1000:.0f} ms")
    if packed[0][0].headers.get("Content-Encoding") == "gzip":
        assert len(gzip.decompress(packed[0][0].body).splitlines()) > 100
        say("/metrics, compressed", f"{len(packed[0][0].body):,} bytes, {statistics.median(took for _, took in packed) * 1000:.0f} ms")
    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        at_once = list(executor.map(lambda _: ask(daemon, "/metrics", (200, 503)), range(16)))
    say("/metrics, eight at once", f"{max(took for _, took in at_once) * 1000:.0f} ms at most, "
        f"{sum(answer.status == 503 for answer, _ in at_once)} of {len(at_once)} refused")
    say("RssAnon after the start, at most, afterwards", f"{before / 1024:.1f}, {max(usage.most, daemon.own_kib()) / 1024:.1f}, {daemon.own_kib() / 1024:.1f} MiB")
    for path in ("/api/pools", "/api/latency", "/api/latency?window=24h", "/api/queue", "/api/status"):
        answers = [ask(daemon, path) for _ in range(5)]
        say(path, f"{len(answers[0][0].body):,} bytes, {statistics.median(took for _, took in answers) * 1000:.0f} ms")


def main():
    with tempfile.TemporaryDirectory(prefix="ghatrace-month-", dir=os.environ.get("MONTH_FOLDER")) as folder:
        truth = generate(folder + "/db", sys.argv[1:])
        print_store(folder + "/db")
        wide = {"metrics_labels": harness.LABELS_BEFORE} if "wide=1" in sys.argv else {}
        daemon = harness.Daemon(folder, db_max_size="16GiB", **wide)
        begin = time.monotonic()
        daemon.start()
        say("ready after", f"{time.monotonic() - begin:.2f} s")
        measure(daemon)
        now = time.time()
        samples = compare_metrics(ask(daemon, "/metrics")[0].text, truth, now)
        say("pools, series of jobs", f"{sum(key[0] == 'ghatrace_pool_queued' for key in samples):,}, "
            f"{sum(key[0] == 'ghatrace_job_execution_seconds_count' for key in samples):,}")
        compare_pools(get(daemon, "/api/pools"), truth, time.time())
        compare_slots(daemon, truth, "24h", "minutes", MINUTE)
        compare_slots(daemon, truth, "35d", "hours", HOUR)
        compare_whatif(daemon, truth)
        daemon.stop()
    say("figures compared", f"{compared[0]:,}, of which {len(differences):,} differ")
    for line in differences[:20]:
        print("  " + line)
    return 1 if differences else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        harness.end_all()
