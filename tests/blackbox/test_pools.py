"""Pools of runners: a queued job, whose runner group is not known yet, and a running one are in one row everywhere."""
import datetime
import json
import math
import random
import re
import time

import harness
from harness import wait_until
from payloads import Repository, Run
import test_admin
from test_admin import get, get_json, metrics, unix, value

# labels, group, jobs queued, jobs running, jobs done
SCENE = [(["gpu-a100"], "gpu farm", 9, 7, 3), (["ubuntu-latest"], "GitHub Actions", 10, 8, 5),
         (["windows-latest"], "GitHub Actions", 4, 3, 0), (["self-hosted", "linux", "x64"], "Default", 8, 4, 2),
         (["macos-14"], "GitHub Actions", 6, 2, 1), (["self-hosted", "arm64"], "arm, small", 3, 1, 0)]


def name_of(labels):
    return ",".join(sorted(labels)).lower()


class Pools(harness.BlackBoxTest):
    def deliver_scene(self, daemon, scene=SCENE):
        self.runs = []
        for number, (labels, group, queued, running, done) in enumerate(scene):
            self.runs.append([])
            run = Run(age=3000, repository=Repository(f"acme/r{number}"))
            for i in range(queued + running + done):
                job = run.job(f"job {i}", queue=20 + i)
                job.labels, job.runner_group = list(labels), group
                self.runs[-1].append(job)
                daemon.accept(job.queued())
                if i >= queued:
                    daemon.accept(job.in_progress())
                if i >= queued + running:
                    daemon.accept(job.completed())

    def check_scene(self, daemon, scene=SCENE):
        wanted = {name_of(labels): (queued, running) for labels, _, queued, running, _ in scene}
        answer = get_json(daemon, "/api/queue?limit=500")
        self.assertEqual(len(answer["pools"]), len(scene))
        self.assertEqual({pool["pool"]: (pool["queued"], pool["running"]) for pool in answer["pools"]}, wanted)
        self.assertEqual({pool["pool"]: (sorted(pool["labels"]), pool["groups"]) for pool in answer["pools"]},
                         {name_of(labels): (sorted(labels), [group]) for labels, group, *_ in scene})
        _, live = test_admin.Live.next_event(self, test_admin.Live.open_stream(self, daemon)[1])  # what the page is made of
        self.assertEqual(live["pools"], answer["pools"])
        found = metrics(daemon)
        for labels, group, queued, running, _ in scene:
            pool = {"runner_labels": name_of(labels), "runner_group": group.replace(",", "\\,")}
            self.assertEqual(value(found, "ghatrace_jobs", state="queued", **pool), queued)
            self.assertEqual(value(found, "ghatrace_jobs", state="running", **pool), running)
        self.assertEqual(sum(name == "ghatrace_jobs" for name, _ in found), 3 * len(scene))
        self.assertEqual(value(found, "ghatrace_series", kind="pool"), len(scene))
        latency = get_json(daemon, "/api/latency?window=24h")["pools"]
        self.assertEqual({pool["pool"]: pool["count"] for pool in latency},
                         {name_of(labels): running + done for labels, _, _, running, done in scene})
        for labels, _, queued, running, done in scene:
            waits = [20 + i for i in range(queued, queued + running + done)]
            self.assertEqual(value(found, "ghatrace_pool_queue_wait_seconds_count", pool=name_of(labels)), running + done)
            self.assertEqual(value(found, "ghatrace_pool_queue_wait_seconds_sum", pool=name_of(labels)), sum(waits))
            self.assertEqual(value(found, "ghatrace_pool_queue_wait_seconds_bucket", pool=name_of(labels), le="30.0"),
                             sum(wait <= 30 for wait in waits))
        self.assertEqual(value(found, "ghatrace_pool_wait_disagreements_total"), 0)
        rows = [re.split(r" {2,}", line.strip()) for line in daemon.command("top").stdout.splitlines()]
        shown = {row[0]: [cell.split(" of ")[0] for cell in row] for row in rows if row[0] in wanted}
        self.assertEqual(sorted(shown), sorted(wanted))
        for name, (queued, running) in wanted.items():
            self.assertEqual(sum(row[0] == name for row in rows), 1)
            self.assertIn(str(queued), shown[name])
            self.assertIn(str(running), shown[name])

    def check_open_waits(self, daemon, queued_since):
        """Against the jobs that were sent: `queued_since`, of each pool when its queued jobs became ready."""
        before, answer, found, after = time.time(), get_json(daemon, "/api/pools"), metrics(daemon), time.time()
        pools = answer["pools"]
        self.assertEqual(answer["ceilings"], [])
        waits = {name: sorted(before - since for since in times) for name, times in queued_since.items()}
        self.assertEqual({pool["pool"] for pool in pools if pool["queued"]}, set(waits))
        oldest = [pool["oldest_wait_seconds"] or 0 for pool in pools]
        self.assertEqual(oldest, sorted(oldest, reverse=True))
        for pool in pools:
            name, times = pool["pool"], waits.get(pool["pool"], [])
            self.assertEqual((pool["queued"], value(found, "ghatrace_pool_queued", pool=name)), (len(times), len(times)))
            self.assertEqual(value(found, "ghatrace_pool_running", pool=name), pool["running"])
            self.assertEqual(value(found, "ghatrace_pool_waiting", pool=name), pool["waiting"])
            shown = {0.5: pool["open_wait_seconds"]["p50"], 0.9: pool["open_wait_seconds"]["p90"], 0.99: pool["open_wait_seconds"]["p99"],
                     1: pool["oldest_wait_seconds"]}
            for quantile, seconds in shown.items():
                if quantile == 1:
                    measured = value(found, "ghatrace_pool_oldest_wait_seconds", pool=name)
                else:
                    measured = value(found, "ghatrace_pool_open_wait_seconds", pool=name, quantile=str(quantile))
                if not times:
                    self.assertEqual((seconds, measured), (None, 0))
                    continue
                wanted = times[max(1, math.ceil(round(len(times) * quantile, 6))) - 1]
                for one in (seconds, measured):
                    self.assertGreaterEqual(one, wanted - 0.01)
                    self.assertLessEqual(one, wanted + after - before + 0.01)

    def test_waits_that_have_not_ended_are_shown_by_pool_the_longest_first(self):
        daemon = self.new_daemon()
        self.deliver_scene(daemon)
        now, queued_since = int(time.time()), {}
        for number, (labels, _, queued, *_) in enumerate(SCENE[:4]):
            for i in range(queued):
                job = Run(started=now - 2700 + 300 * number + 37 * i).job("late", offset=0)
                job.labels = list(labels)
                daemon.accept(job.queued())
                queued_since.setdefault(name_of(labels), []).append(job.created)
        gate = Run(age=500).job("deploy")
        gate.labels = ["gate, small"]
        daemon.accept(gate.waiting(at=now - 400))
        idle = Run(age=500).job("idle")
        idle.labels = ["idle"]
        daemon.accept(idle.queued(), idle.completed())
        for number, (labels, _, queued, running, done) in enumerate(SCENE):
            run = self.runs[number]
            queued_since.setdefault(name_of(labels), []).extend(job.created for job in run[:queued])
        self.check_open_waits(daemon, queued_since)
        pools = {pool["pool"]: pool for pool in get_json(daemon, "/api/pools")["pools"]}
        self.assertEqual(pools["gate\\, small"]["waiting"], 1)
        self.assertEqual(pools["gate\\, small"]["labels"], ["gate, small"])
        self.assertEqual((pools["idle"]["queued"], pools["idle"]["running"]), (0, 0))
        daemon.restart(how="kill")
        self.check_open_waits(daemon, queued_since)

    def test_queued_and_running_jobs_of_a_pool_are_one_row_everywhere(self):
        daemon = self.new_daemon()
        self.deliver_scene(daemon)
        self.check_scene(daemon)
        daemon.restart(how="kill")
        self.check_scene(daemon)

    def test_a_wait_counts_when_the_job_starts_and_is_corrected_when_it_completes(self):
        daemon = self.new_daemon()

        def figures():
            latency = {pool["pool"]: (pool["count"], pool["p50"]) for pool in get_json(daemon, "/api/latency?window=24h")["pools"]}
            found, pool = metrics(daemon), "ubuntu-latest,x64"
            return (latency.get(pool), value(found, "ghatrace_pool_queue_wait_seconds_count", pool=pool),
                    value(found, "ghatrace_pool_queue_wait_seconds_sum", pool=pool), value(found, "ghatrace_pool_wait_disagreements_total"))

        job = Run(age=600).job("build", queue=9)
        daemon.accept(job.queued())
        self.assertEqual(figures(), (None, 0, 0, 0))
        daemon.accept(job.in_progress())
        self.assertEqual(figures(), ((1, 9), 1, 9, 0))
        daemon.restart(how="kill")
        daemon.accept(job.completed())
        self.assertEqual(figures(), ((1, 9), 1, 9, 0))

        other = Run(age=500).job("build", queue=0)  # starts, as GitHub says at first, when it was queued
        daemon.accept(other.queued(), other.in_progress())
        self.assertEqual(figures(), ((1, 9), 1, 9, 0))
        other.started += 9
        daemon.accept(other.completed())
        self.assertEqual(figures(), ((2, 9), 2, 18, 0))

        moved = Run(age=400).job("build", queue=5)
        daemon.accept(moved.in_progress())
        self.assertEqual(figures()[1:], (3, 23, 0))
        moved.started += 4
        daemon.accept(moved.completed())
        self.assertEqual(figures(), ((3, 9), 3, 23, 1))
        daemon.accept(moved.in_progress(), moved.completed())
        self.assertEqual(figures(), ((3, 9), 3, 23, 1))

    def test_history_has_each_minute_of_a_pool(self):
        daemon = self.new_daemon()
        rng, base = random.Random(5), int(time.time()) // 60 * 60 - 40 * 60
        events, jobs = [], []
        for i in range(60):
            job = Run(started=base + rng.randrange(2000)).job("train", offset=0, queue=rng.randrange(1, 400), duration=rng.randrange(5, 600))
            job.labels, job.runner_group = ["GPU", "Linux"], "farm"
            job.steps = []
            if job.started > time.time():
                continue
            jobs.append(job)
            sent = [job.queued(), job.in_progress(), job.completed()]
            job.last = rng.choice((1, 2, 3)) if job.completed_at <= time.time() - 5 else 2
            events += sent[:job.last]
        rng.shuffle(events)
        daemon.accept(*events)

        def check():
            answer = get_json(daemon, "/api/pools/linux%2Cgpu/history?window=45m")
            self.assertEqual((answer["pool"], answer["slot_seconds"], len(answer["slots"])), ("gpu,linux", 60, 45))
            since = unix(answer["known_since"])
            self.assertEqual(since, min(job.created for job in jobs) // 60 * 60)
            for slot in answer["slots"][:-1]:
                begin = unix(slot["start"])
                if begin + 60 <= since:  # nothing is known of the pool, which is not the same as no jobs
                    self.assertEqual({name: slot[name] for name in slot if name not in ("start", "wait_seconds")},
                                     dict.fromkeys(("arrivals", "starts", "queued_max", "queued_mean", "running_max", "running_mean")))
                    self.assertIsNone(slot["wait_seconds"]["count"])
                    continue
                queued = [sum(job.created <= second and (job.last == 1 or second < job.started) for job in jobs)
                          for second in range(begin, begin + 60)]
                running = [sum(job.last > 1 and job.started <= second and (job.last == 2 or second < job.completed_at) for job in jobs)
                           for second in range(begin, begin + 60)]
                self.assertEqual((slot["queued_max"], slot["running_max"]), (max(queued), max(running)), slot)
                self.assertAlmostEqual(slot["queued_mean"], sum(queued) / 60, delta=0.001)
                self.assertAlmostEqual(slot["running_mean"], sum(running) / 60, delta=0.001)
                self.assertEqual(slot["arrivals"], sum(begin <= job.created < begin + 60 for job in jobs))
                started = [job for job in jobs if job.last > 1 and begin <= job.started < begin + 60]
                self.assertEqual((slot["starts"], slot["wait_seconds"]["count"]), (len(started), len(started)))

        def check_day():
            pool, = get_json(daemon, "/api/pools")["pools"]
            seconds = range(base, int(time.time()) + 1)
            most = max(sum(job.last > 1 and job.started <= second and (job.last == 2 or second < job.completed_at) for job in jobs)
                       for second in seconds)
            last = max(job.started for job in jobs if job.last > 1) // 60 * 60
            self.assertEqual((pool["busy_max_day"], pool["busy_max_week"]), (most, most))
            self.assertEqual(value(metrics(daemon), "ghatrace_pool_busy_max", pool="gpu,linux"), most)
            self.assertEqual(unix(pool["last_start_at"]), last)

        self.assertGreater(len(jobs), 40)
        check()
        check_day()
        daemon.restart(how="kill")
        check()
        self.assertEqual(get(daemon, "/api/pools/nosuch/history").status, 404)
        self.assertEqual(len(get_json(daemon, "/api/pools/gpu%2Clinux/history?window=24h")["slots"]), 1440)

    def test_history_of_up_to_35_days_is_by_hour(self):
        daemon = self.new_daemon()
        time.sleep(max(0, 15 - (3600 - time.time() % 3600)))  # within one hour
        now = int(time.time())
        hour, path = now // 3600 * 3600, "/api/pools/gpu/history"

        def at(seconds):
            return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        job = Run(started=hour - 7000).job("train", offset=0, queue=100, duration=3600)  # from 200 s after an hour begins
        job.labels = ["gpu"]
        daemon.accept(job.queued(), job.in_progress(), job.completed())
        answer = get_json(daemon, f"{path}?window=35d")
        self.assertEqual((answer["slot_seconds"], len(answer["slots"]), unix(answer["known_since"])),
                         (3600, 840, job.created // 60 * 60))
        self.assertEqual({slot["arrivals"] for slot in answer["slots"][:837]}, {None})
        first, second, this = answer["slots"][837:]
        self.assertEqual([unix(slot["start"]) for slot in (first, second, this)], [hour - 7200, hour - 3600, hour])
        self.assertEqual((first["arrivals"], first["starts"], first["queued_max"], first["running_max"]), (1, 1, 1, 1))
        self.assertAlmostEqual(first["queued_mean"], 100 / 3600, delta=0.001)
        self.assertAlmostEqual(first["running_mean"], 3300 / 3600, delta=0.001)
        self.assertEqual(first["wait_seconds"], {"count": 1, "p50": 100, "p90": 100, "p99": 100})
        self.assertEqual((second["arrivals"], second["starts"], second["running_max"]), (0, 0, 1))
        self.assertAlmostEqual(second["running_mean"], 300 / 3600, delta=0.001)
        self.assertEqual((this["queued_max"], this["running_max"]), (0, 0))
        for span in (f"from={hour - 30 * 3600}&to={hour}", f"from={at(hour - 30 * 3600)}&to={at(hour)}", f"window=30h&to={at(hour)}"):
            slots = get_json(daemon, f"{path}?{span}")["slots"]
            self.assertEqual((len(slots), slots[-2:]), (30, [first, second]), span)
        minutes = get_json(daemon, f"{path}?from={at(hour - 3600)}&to={hour - 3000}")
        self.assertEqual((minutes["slot_seconds"], [slot["running_max"] for slot in minutes["slots"]]), (60, [1] * 5 + [0] * 5))
        for query, message in (("window=x", "window: want a time, as 90m, 24h or 7d"), ("window=36d", "window: want a time from 1m to 35d"),
                               ("window=30s", "window: want a time from 1m to 35d"), ("from=yesterday", "from: want a time, as "),
                               ("to=-5", "to: want a time, as "), (f"from={hour - 60}&window=1h", "want either from or window"),
                               (f"from={now + 900}", "from: is in the future"), (f"from={hour - 60}&to={hour - 60}", "to: is not later than from"),
                               ("from=0", "from: there is no history from before 35 days ago")):
            answer = get(daemon, f"{path}?{query}")
            self.assertEqual(answer.status, 400, query)
            self.assertIn(message, answer.text)

    def test_rules_name_pools_and_leave_ids_out_of_them(self):
        daemon = self.new_daemon()
        self.deliver_scene(daemon)
        for number in range(12):
            job = Run(age=300).job("build", queue=8)
            job.labels = ["self-hosted", "linux", "x64", f"run-{number}"]
            daemon.accept(job.queued())
        self.assertEqual(len(get_json(daemon, "/api/queue")["pools"]), len(SCENE) + 12)
        daemon.settings.update({"runner-pool": "hosted: ubuntu-* windows-* MACOS-*; gpu: gpu-*", "runner-label-ignore": "run-*"})
        self.assertNotIn("begin anew", daemon.log)
        daemon.restart()
        self.assertIn("runner-pool or runner-label-ignore has changed: of all pools the history", daemon.log)
        daemon.restart()
        self.assertNotIn("begin anew", daemon.log)
        pools = {pool["pool"]: pool for pool in get_json(daemon, "/api/queue")["pools"]}
        self.assertEqual({name: (pool["queued"], pool["running"]) for name, pool in pools.items()},
                         {"gpu": (9, 7), "hosted": (20, 13), "linux,self-hosted,x64": (20, 4), "arm64,self-hosted": (3, 1)})
        self.assertEqual(pools["hosted"]["labels"], ["macos-14", "ubuntu-latest", "windows-latest"])
        self.assertEqual(pools["hosted"]["runner_labels"], ["hosted"])
        latency = {pool["pool"]: pool["count"] for pool in get_json(daemon, "/api/latency?window=24h")["pools"]}
        self.assertEqual(latency, {"gpu": 10, "hosted": 19, "linux,self-hosted,x64": 6, "arm64,self-hosted": 1})
        found = metrics(daemon)
        self.assertEqual(value(found, "ghatrace_jobs", state="running", runner_labels="hosted"), 13)
        jobs = get_json(daemon, "/api/queue?limit=500&state=running&runner_labels=hosted")["jobs"]
        self.assertEqual(len(jobs), 13)
        checked = daemon.command("check", "--insecure-no-signature", "--runner-pool", "gpu: gpu-*", "--runner-pool", "big: *-xl",
                                 "--runner-label-ignore", "run-*").stdout
        self.assertRegex(checked, r"(?m)^runner-pool = gpu: gpu-\*; big: \*-xl ")
        self.assertRegex(checked, r"(?m)^runner-label-ignore = run-\* ")
        job = Run(age=300).job("build", queue=8)
        job.labels = ["ubuntu-24.04", "run-99"]
        daemon.accept(job.queued(), job.in_progress(), job.completed())
        job.run.repository = Repository("acme/last")
        found = metrics(daemon)
        self.assertEqual(value(found, "ghatrace_job_queue_seconds_count", runner_labels="ubuntu-24.04"), 1)

    def test_labels_invented_by_the_thousand_are_one_pool_beside_the_real_ones(self):
        daemon = self.new_daemon(metrics_max_pools="20")
        self.deliver_scene(daemon)
        run = Run(age=300)
        for number in range(1000):
            job = run.job(f"build {number}", queue=8)
            job.labels = ["self-hosted", f"id-{number}"]
            daemon.accept(job.queued())
            if number % 2:
                daemon.accept(job.in_progress(), job.completed())
        late = run.job("late")
        late.labels = ["late"]
        daemon.accept(late.queued(), late.in_progress())
        pools = {pool["pool"]: pool for pool in get_json(daemon, "/api/queue")["pools"]}
        for labels, _, queued, running, _ in SCENE:
            pool = pools[name_of(labels)]
            self.assertEqual((pool["queued"], pool["running"]), (queued, running))
        self.assertLessEqual(len(pools), 21)
        self.assertEqual(sum(pool["queued"] for pool in pools.values()), 40 + 500)
        self.assertGreater(pools["(one-off)"]["queued"], 450)
        self.assertEqual(sum(pool["running"] for pool in pools.values()), 25 + 1)
        found = metrics(daemon)
        self.assertGreater(value(found, "ghatrace_pools_folded_total"), 900)
        self.assertEqual(value(found, "ghatrace_jobs", state="queued", runner_labels="(one-off)"), pools["(one-off)"]["queued"])
        status = get_json(daemon, "/api/status")["pools_folded"]
        self.assertGreater(status["jobs"], 900)
        self.assertNotEqual(status["example"], "")
        wait_until(lambda: "metrics-max-pools" in daemon.log, what="a line in the log")
        self.assertEqual(daemon.log.count("metrics-max-pools; "), 1, "limited")
        daemon.restart(how="kill")
        after = {pool["pool"]: pool for pool in get_json(daemon, "/api/queue")["pools"]}
        self.assertEqual(json.dumps(after, sort_keys=True), json.dumps(pools, sort_keys=True))


if __name__ == "__main__":
    import unittest
    unittest.main()
