"""`ghatrace whatif`: against pools whose arrivals, lengths and runners are known."""
import heapq
import json
import math
import random
import time

import harness
from payloads import Run
from test_admin import get, get_json


def serve(arrivals, lengths, runners):
    """Starts, first come first served."""
    free, starts = [0.0] * runners, []
    for ready, length in zip(arrivals, lengths):
        start = max(ready, heapq.heappop(free))
        starts.append(start)
        heapq.heappush(free, start + length)
    return starts


def percentile(values, percent):
    values = sorted(values)
    return values[max(1, math.ceil(len(values) * percent / 100)) - 1]


class Pool:
    """Jobs of one pool, in the last hour."""

    def __init__(self, labels, count, runners, seed, span=3000):
        rng = random.Random(seed)
        begun = int(time.time()) - 3500
        self.labels, self.runners = labels, runners
        self.arrivals = sorted(begun + rng.randrange(span) for _ in range(count))
        self.lengths = [rng.randrange(20, 300) for _ in range(count)]
        self.starts = serve(self.arrivals, self.lengths, runners)

    def waits(self, runners, until=None):
        starts = serve(self.arrivals, self.lengths, runners)
        return [min(start, until or start) - ready for ready, start in zip(self.arrivals, starts)]

    def jobs(self, runner=lambda i: i):
        for i, (ready, start, length) in enumerate(zip(self.arrivals, self.starts, self.lengths)):
            job = Run(started=ready - 5).job("build", offset=5, queue=start - ready, duration=length)
            job.labels, job.runner_group = self.labels, "Default"
            job.runner_id, job.runner_name = 1000 + runner(i), f"runner-{runner(i)}"
            yield job


def complete(daemon, *labels):
    """A job that waited for 10 s and ran for 50."""
    job = Run(age=600).job("build", queue=10, duration=50)
    job.labels = list(labels)
    daemon.accept(job.completed())


class WhatIf(harness.BlackBoxTest):
    def ask(self, daemon, *arguments, expect=0, **kinds):
        done = daemon.command("whatif", *arguments, **kinds)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def ask_json(self, daemon, *arguments):
        return json.loads(self.ask(daemon, "--json", *arguments).stdout)

    def assert_waits(self, answer, waits):
        for percent in (50, 90, 99):
            self.assertEqual(answer[f"p{percent}_seconds"], percentile(waits, percent), percent)

    def test_a_pool_of_constant_size_is_replayed_exactly(self):
        daemon = self.new_daemon()
        pool = Pool(["gpu", "Linux"], 45, 3, seed=1, span=2000)
        for job in pool.jobs():
            daemon.accept(job.completed())
        self.assertLess(max(map(sum, zip(pool.starts, pool.lengths))), time.time())
        answer = self.ask_json(daemon, "--pool", "linux,GPU", "--runners", "5", "--target", "30s")
        self.assertEqual(answer["pool"], "gpu,linux")
        self.assertEqual(answer["jobs"], 45)
        self.assertEqual(answer["was"]["runners"], 3)
        self.assert_waits(answer["was"], pool.waits(3))
        self.assert_waits(answer["would_be"], pool.waits(5))
        self.assertEqual(answer["model"]["error_percent"], 0)
        fewest = next(n for n in range(1, 46) if percentile(pool.waits(n), 90) <= 30)
        self.assertEqual(answer["fewest_runners"], fewest)
        self.assertTrue(answer["model"]["explains"])
        self.assertEqual(answer["model"]["shares_runners_with"], [])

        served = get_json(daemon, "/api/pools/gpu%2Clinux/whatif?runners=5&target=30s")
        for name in ("from", "until"):
            served.pop(name), answer.pop(name)
        self.assertEqual(served, answer)

        text = self.ask(daemon, "--pool", "gpu,linux", "--runners", "5").stdout
        self.assertRegex(text, r"^Pool gpu,linux: 45 jobs became ready since 20\d\d-")
        self.assertRegex(text, r"\nAs it was, with at most 3 busy at once: half of the jobs waited at most [^,]+, 90 % at most ")
        self.assertIn("\nWith 5 runners: half of the jobs waited at most ", text)
        self.assertRegex(text, r"\nThe fewest runners with which 90 % wait at most 1m 0s: \d+\.\n")
        self.assertIn("\nThe model explains the recorded p90 within 0 %: replayed with 3 runners, ", text)
        # Also without the daemon, and without a number.
        daemon.stop()
        lines = text.splitlines()
        self.assertEqual(self.ask(daemon, "--pool", "gpu,linux").stdout.splitlines()[1:], lines[1:3] + lines[4:])

    def test_jobs_that_wait_and_run_now_count_with_what_is_known(self):
        daemon = self.new_daemon()
        now = int(time.time())
        for waiting in range(40):
            job = Run(started=now - 2705).job("train", offset=5)
            job.labels = ["gpu"]
            daemon.accept(job.queued())
            if waiting < 4:
                job.started, job.runner_group = now - 2640, "gpus"
                daemon.accept(job.in_progress())
        answer = self.ask_json(daemon, "--pool", "gpu", "--runners", "40")
        self.assertEqual((answer["jobs"], answer["was"]["waiting"], answer["was"]["runners"]), (40, 36, 4))
        self.assertAlmostEqual(answer["was"]["p50_seconds"], 2700, delta=30)
        self.assertEqual(answer["would_be"], {"runners": 40, "p50_seconds": 0, "p90_seconds": 0, "p99_seconds": 0,
                                              "waiting": 0})
        self.assertEqual(answer["fewest_runners"], 36)
        # The four have run for 44 minutes, the others would run at least as long.
        text = self.ask(daemon, "--pool", "gpu", "--runners", "8").stdout
        self.assertRegex(text, r"As it was, .*; 36 still wait, counted with the wait so far\.")
        self.assertRegex(text, r"With 8 runners: .*; 24 still wait, counted")

    def test_a_job_whose_runner_has_taken_another_one_holds_none(self):
        daemon = self.new_daemon()
        now = int(time.time())
        for begin in (3000, 2000):  # the first one's `completed` is lost
            job = Run(started=now - begin).job("train", offset=0, queue=10, duration=100)
            job.labels, job.runner_group, job.runner_id, job.runner_name = ["gpu"], "farm", 7, "gpu-7"
            daemon.accept(job.queued(), job.in_progress())
        daemon.accept(job.completed())
        answer = self.ask_json(daemon, "--pool", "gpu", "--runners", "1")
        self.assertEqual((answer["jobs"], answer["was"]["runners"]), (2, 1))
        self.assertEqual((answer["would_be"]["p90_seconds"], answer["would_be"]["waiting"]), (0, 0))

    def test_a_job_that_completes_again_counts_once(self):
        daemon = self.new_daemon()
        job = Run(age=600).job("build", queue=10, duration=50)
        daemon.accept(job.completed())
        job.completed_at += 100
        daemon.accept(job.completed())
        answer = self.ask_json(daemon, "--pool", "ubuntu-latest,x64")
        self.assertEqual((answer["jobs"], answer["was"]["p90_seconds"]), (1, 10))
        self.assertNotIn("would_be", answer)

    def test_pools_that_share_runners_are_named_and_other_reasons_too(self):
        daemon = self.new_daemon()
        small = Pool(["linux", "small"], 12, 2, seed=3)
        large = Pool(["linux"], 12, 2, seed=4)
        for pool in (small, large):
            for job in pool.jobs(runner=lambda i: i % 4):
                daemon.accept(job.completed())
        text = self.ask(daemon, "--pool", "linux,small").stdout
        self.assertIn("\n- There are only 12 jobs: single ones decide how long 90 % waited.\n", text)
        self.assertIn("\n- Its runners also took jobs of 1 other pool: linux (12 jobs).\n", text)
        made = Pool(["made-for-each"], 40, 40, seed=5)
        for i, job in enumerate(made.jobs(runner=lambda i: 5000 + i)):
            job.started, job.completed_at = job.started + 45, job.completed_at + 45
            daemon.accept(job.completed())
        text = self.ask(daemon, "--pool", "made-for-each", "--runners", "100").stdout
        self.assertIn("\nThe model does not explain the recorded p90, so do not rely on it: ", text)
        self.assertRegex(text, r"\n- 9 of 10 jobs that became ready while fewer than \d+ were busy waited at least 45s, as if a runner were made for each: ", text)
        self.assertNotIn("other pool", text)

    def test_a_limit_above_the_pool_is_named(self):
        rule = "hosted: 60: ubuntu-*"
        daemon = self.new_daemon(runner_ceiling=rule)
        complete(daemon, "ubuntu-latest")
        complete(daemon, "gpu")
        for pool, ceiling in (("ubuntu-latest", ("hosted", 60)), ("gpu", (None, None))):
            for answer in (self.ask_json(daemon, "--pool", pool, "--runner-ceiling", rule),
                           get_json(daemon, f"/api/pools/{pool}/whatif")):
                self.assertEqual((answer["ceiling"], answer["ceiling_limit"]), ceiling)
        self.assertIn('the ceiling "hosted" of 60 running jobs',
                      self.ask(daemon, "--pool", "ubuntu-latest", "--runner-ceiling", rule).stdout)

    def test_odd_questions_are_answered_in_a_sentence(self):
        daemon = self.new_daemon()
        self.assertEqual(self.ask(daemon, "--pool", "gpu", expect=1).stderr,
                         'ghatrace: there is no pool "gpu", nor any other yet\n')
        for labels in (["gpu-a100"], ["ubuntu-latest"], ["self-hosted", "linux", "x64"]):
            job = Run(age=900).job("build")
            job.labels = labels
            daemon.accept(job.queued())
        for pool, near in (("gpu-a10", '"gpu-a100"'), ("GPU", '"gpu-a100"'), ("ubuntu-lastest", '"ubuntu-latest"'),
                           ("linux,x64,arm", '"linux,self-hosted,x64"')):
            refused = self.ask(daemon, "--pool", pool, expect=1)
            self.assertEqual((refused.stdout, refused.stderr),
                             ("", f'ghatrace: there is no pool "{pool}": did you mean {near}?\n'))
        unknown = get(daemon, "/api/pools/gpu-a10/whatif")
        self.assertEqual((unknown.status, json.loads(unknown.body)),
                         (404, {"error": 'there is no such pool: did you mean "gpu-a100"?'}))
        self.assertIn('there is no pool "xyz": there is for example "', self.ask(daemon, "--pool", "xyz", expect=1).stderr)
        self.assertNotIn("\x1b", self.ask(daemon, "--pool", "\x1b[31m", expect=1).stderr)
        # A pool without jobs in the window.
        text = self.ask(daemon, "--pool", "gpu-a100", "--since", "10s").stdout
        self.assertRegex(text, r"^Pool gpu-a100: 0 jobs became ready since \S+Z\.\n$")
        self.assertEqual(self.ask_json(daemon, "--pool", "gpu-a100", "--since", "10s")["jobs"], 0)
        for wrong, word in ((["--runners", "x"], "--runners"), (["--runners", "-1"], "--runners"),
                            (["--since", "0"], "--since"), (["--since", "40000000h"], "--since"),
                            (["--target", "-5s"], "--target"), (["--pool", ""], "--pool")):
            refused = self.ask(daemon, *(["--pool", "gpu-a100"] if word != "--pool" else []), *wrong, expect=2)
            self.assertIn(word, refused.stderr)
        for runners in ("0", "1000000"):
            self.ask(daemon, "--pool", "gpu-a100", "--runners", runners)

    def test_a_rules_pool_is_found_by_its_name_and_has_the_jobs_that_completed_since_it_was_set(self):
        daemon = self.new_daemon()
        complete(daemon, "arc-gpu-1")
        daemon.settings.update({"runner-pool": "GPU: arc-gpu-*", "runner-label-ignore": "run-*"})
        daemon.restart()
        for labels in (["arc-gpu-1"], ["arc-gpu-2", "linux"], ["arm64", "run-1"], ["run-2", "ARM64"]):
            complete(daemon, *labels)
        for asked, name, jobs in (("gpu", "GPU", 2), ("arc-gpu-1", "arc-gpu-1", 1), ("Arm64", "arm64", 2)):
            answer = self.ask_json(daemon, "--pool", asked)
            self.assertEqual((answer["pool"], answer["jobs"]), (name, jobs))
            served = get_json(daemon, f"/api/pools/{asked}/whatif")
            self.assertEqual((served["pool"], served["jobs"]), (name, jobs))
        self.assertEqual(self.ask(daemon, "--pool", "gpus", expect=1).stderr,
                         'ghatrace: there is no pool "gpus": did you mean "GPU"?\n')

    def test_the_pool_of_folded_sets_is_refused_and_each_set_has_its_completed_jobs(self):
        daemon = self.new_daemon(metrics_max_pools="2")
        for labels in ("one", "two", "three", "four"):
            for _ in range(2):
                complete(daemon, labels)
        refused = self.ask(daemon, "--pool", "(one-off)", expect=1)
        self.assertIn('"(one-off)" is a mixture of sets of labels', refused.stderr)
        answer = get(daemon, "/api/pools/(one-off)/whatif")
        self.assertEqual(answer.status, 400)
        self.assertIn("is a mixture of sets of labels", json.loads(answer.body)["error"])
        for labels in ("one", "two", "three", "four"):
            self.assertEqual(self.ask_json(daemon, "--pool", labels)["jobs"], 2)

    def test_as_many_jobs_are_kept_as_history_jobs_says(self):
        daemon = self.new_daemon(history_jobs=0)
        daemon.accept(Run(age=600).job("build").completed())
        self.assertEqual(self.ask_json(daemon, "--pool", "ubuntu-latest,x64")["jobs"], 0)
