"""Pools that cannot keep up: dead, busy, at a ceiling; and running jobs whose runner has taken another one."""
import random
import re
import time

import harness
from payloads import Repository, Run
from test_admin import get_json, metrics, unix, value

HOSTED = ("ubuntu-latest", "windows-latest", "macos-14")


class PoolStates(harness.BlackBoxTest):
    def new_job(self, label, created, repository="acme/shop", group="Default"):
        job = Run(started=int(created), repository=Repository(repository)).job("build", offset=0)
        job.labels, job.runner_group = [label], group
        self.runners = getattr(self, "runners", 0) + 1
        job.runner_id, job.runner_name = 1000 + self.runners, f"{label}-{self.runners}"
        return job

    def start(self, job, started, completed=None):
        job.started, job.completed_at = int(started), int(completed or started + 3600)
        job.steps = job.usual_steps()
        return job

    def pools(self, daemon):
        answer = get_json(daemon, "/api/pools")
        return {pool["pool"]: pool for pool in answer["pools"]}, answer

    def check_pool(self, daemon, name, state, since, ceiling=None):
        pool = self.pools(daemon)[0][name]
        self.assertEqual((pool["state"], unix(pool["since"]), pool["ceiling"]), (state, since, ceiling))
        return pool

    def test_pools_are_dead_busy_or_waiting_since_a_time_that_a_restart_does_not_change(self):
        daemon, now = self.new_daemon(), int(time.time())
        for i in range(3):  # as many runners as there ever were, each with one job after the other
            for begin in (3000, 2000, 1000):
                job = self.start(self.new_job("gpu", now - begin - 300), now - begin + i, now - begin + 990 + i)
                daemon.accept(job.queued(), job.in_progress(), *([job.completed()] if begin > 1000 else []))
        for i in range(5):
            daemon.accept(self.new_job("gpu", now - 2400 + i).queued())
        last = self.start(self.new_job("arm64", now - 4000), now - 3900, now - 3000)
        daemon.accept(last.queued(), last.in_progress(), last.completed())
        daemon.accept(self.new_job("arm64", now - 3500).queued(), self.new_job("arm64", now - 1800).queued())
        for i in range(4):  # once four ran, now one does
            job = self.start(self.new_job("linux", now - 5000), now - 4990, now - 4000)
            daemon.accept(job.queued(), job.in_progress(), job.completed())
        daemon.accept(*(lambda job: (job.queued(), job.in_progress()))(self.start(self.new_job("linux", now - 700), now - 690)))
        daemon.accept(self.new_job("linux", now - 600).queued())
        daemon.accept(self.new_job("quick", now - 20).queued())
        for how in ("stop", "kill"):
            self.check_pool(daemon, "gpu", "busy", now - 2400)
            self.check_pool(daemon, "arm64", "dead", now - 3000)
            self.check_pool(daemon, "linux", "waiting", now - 600)
            self.check_pool(daemon, "quick", "ok", None)
            self.assertEqual([pool["pool"] for pool in self.pools(daemon)[1]["pools"]], ["arm64", "gpu", "linux", "quick"])
            daemon.restart(how=how)
        shown = daemon.command("top").stdout
        for pattern in ("gpu +busy +40m", "arm64 +dead +1h [56]m", "linux +waiting +10m", "quick +ok +1 "):
            self.assertRegex(shown, f"(?m)^{pattern}")
        self.assertRegex(shown, r"^3 of 4 pools with jobs are in trouble: 1 dead, 1 busy, 1 waiting; the worst is arm64, where nothing has started since .* UTC\.\n")
        daemon.settings["pool-dead-after"] = "2h"
        daemon.restart()
        self.check_pool(daemon, "arm64", "waiting", now - 3500)

    def simulate_hosted(self, daemon, now, limit, length=3600, chooses=None):
        """Jobs of three labels, first come first served by `limit` runners of any label; each label has its own if
        `chooses` is set. Delivers what happened up to now, and returns when all runners were busy for the first time."""
        generator = random.Random(7)
        free = {label: [now - length] * limit for label in HOSTED} if chooses else {None: [now - length] * limit}
        created, busy_from, running, self.still_queued = now - length, None, [], []
        while created < now - 70:
            label = generator.choices(HOSTED, (5, 3, 2))[0] if created % 1200 < 600 else generator.choices(HOSTED, (2, 3, 5))[0]
            runners = free[label if chooses else None]
            runners.sort()
            begin = max(created + 2, runners[0] + 2)
            job = self.start(self.new_job(label, created, generator.choice(["acme/a", "acme/a", "acme/b"]), "GitHub Actions"),
                             begin, begin + generator.randrange(180, 420))
            runners[0] = job.completed_at
            if begin >= now:
                daemon.accept(job.queued())
                self.still_queued.append(job)
            else:
                done = job.completed_at < now
                daemon.accept(job.queued(), job.in_progress(), *([job.completed()] if done else []))
                running += [] if done else [job]
            if busy_from is None and runners[0] > begin and min(runners) >= created + 2:
                busy_from = begin
            created += 12
        return busy_from, running

    def at_ceilings(self, found):
        return {(dict(labels)["pool"], dict(labels)["ceiling"]): number for (name, labels), number in found.items()
                if name == "ghatrace_pool_at_ceiling"}

    def check_ceiling(self, daemon, name, inferred, limit, since, running):
        pools, answer = self.pools(daemon)
        self.assertEqual(len(answer["ceilings"]), 1)
        ceiling = answer["ceilings"][0]
        shown = unix(ceiling["since"])
        self.assertLessEqual(abs(shown - since), 120)
        self.assertEqual((ceiling["ceiling"], ceiling["limit"], ceiling["inferred"], ceiling["running"], sorted(ceiling["pools"])),
                         (name, limit, inferred, len(running), sorted(HOSTED)))
        self.assertEqual(ceiling["queued"], sum(pools[label]["queued"] for label in HOSTED))
        by_repository = {row["repository"]: row["running"] for row in ceiling["by_repository"]}
        names = [job.run.repository.full_name for job in running]
        self.assertEqual(by_repository, {name: names.count(name) for name in set(names)})
        self.assertEqual(ceiling["by_repository"][0]["repository"], max(set(names), key=names.count))
        for label in HOSTED:
            self.assertEqual((pools[label]["state"], pools[label]["ceiling"]), ("ceiling", name))
            self.assertGreaterEqual(unix(pools[label]["since"]), shown)
        found = metrics(daemon)
        self.assertEqual(value(found, "ghatrace_ceiling_running", ceiling=name), len(running))
        self.assertEqual(value(found, "ghatrace_ceiling_queued", ceiling=name), ceiling["queued"])
        rule = [] if inferred else ["--runner-ceiling", daemon.settings["runner-ceiling"]]
        screen = daemon.command("top", *rule).stdout
        self.assertEqual(len(re.findall(rf"(?m)^\S+ +ceiling .* {re.escape(name)}$", screen)), len(HOSTED))
        self.assertEqual(value(found, "ghatrace_ceiling_limit", ceiling=name), limit)
        self.assertEqual(self.at_ceilings(found), {(label, name): 1 for label in HOSTED})
        return shown

    def test_pools_at_a_limit_that_a_rule_names_are_at_the_ceiling(self):
        daemon, now = self.new_daemon(runner_ceiling="hosted: 12: ubuntu-* windows-* macos-* !self-hosted"), int(time.time())
        since, running = self.simulate_hosted(daemon, now, 12)
        own = self.new_job("ubuntu-24.04", now - 900)
        own.labels = ["self-hosted", "ubuntu-24.04"]
        daemon.accept(own.queued())
        first = self.check_ceiling(daemon, "hosted", False, 12, since, running)
        self.check_pool(daemon, "self-hosted,ubuntu-24.04", "dead", now - 900)
        daemon.restart(how="kill")
        self.assertEqual(self.check_ceiling(daemon, "hosted", False, 12, since, running), first)
        daemon.settings["runner-ceiling"] = "hosted: 60: ubuntu-* windows-* macos-*"
        daemon.restart()
        pools, answer = self.pools(daemon)
        self.assertEqual([(one["limit"], one["since"], one["by_repository"]) for one in answer["ceilings"]], [(60, None, [])])
        self.assertNotIn("ceiling", {pool["state"] for pool in pools.values()})
        self.assertEqual(self.at_ceilings(metrics(daemon)), {(label, "hosted"): 0 for label in (*HOSTED, "self-hosted,ubuntu-24.04")})

    def test_a_ceiling_is_inferred_where_several_pools_queue_and_run_the_same_in_sum(self):
        daemon, now = self.new_daemon(), int(time.time())
        since, running = self.simulate_hosted(daemon, now, 12)
        first = self.check_ceiling(daemon, "(GitHub Actions)", True, 12, since, running)
        daemon.restart(how="kill")
        self.assertEqual(self.check_ceiling(daemon, "(GitHub Actions)", True, 12, since, running), first)
        # The queues of the others are empty first.
        for job in self.still_queued:
            if job.labels != [HOSTED[0]]:
                daemon.accept(job.cancelled_in_queue(time.time()).completed())
        pools = self.pools(daemon)[0]
        self.assertEqual([(pools[label]["state"], pools[label]["ceiling"]) for label in HOSTED],
                         [("ceiling", "(GitHub Actions)"), ("ok", None), ("ok", None)])

    def test_no_ceiling_is_inferred_of_pools_that_are_each_at_their_own_limit(self):
        daemon, now = self.new_daemon(), int(time.time())
        self.simulate_hosted(daemon, now, 4, chooses=True)
        pools, answer = self.pools(daemon)
        self.assertEqual(answer["ceilings"], [])
        self.assertEqual({pools[label]["state"] for label in HOSTED}, {"busy"})
        self.assertEqual(self.at_ceilings(metrics(daemon)), {})

    def take_turns(self, daemon, now):
        """A job whose `completed` is lost, and the next one on its runner, which is over."""
        lost = self.start(self.new_job("gpu", now - 4000), now - 3990)
        following = self.start(self.new_job("gpu", now - 3000), now - 2900, now - 1500)
        following.runner_id, following.runner_name = lost.runner_id, lost.runner_name
        for one in (lost, following):
            daemon.accept(one.queued(), one.in_progress())
        daemon.accept(following.completed(), self.new_job("gpu", now - 2000).queued())
        return lost

    def check_lost(self, daemon, lost, ended):
        jobs = [job for job in get_json(daemon, "/api/queue")["jobs"] if job["job_id"] == str(lost.job_id)]
        self.assertEqual([(job["state"], job["ended_unknown"]) for job in jobs], [("running", ended)])
        runs = get_json(daemon, "/api/runs?state=open")["runs"]
        jobs = [job for run in runs for job in run["jobs"] if job["job_id"] == str(lost.job_id)]
        self.assertEqual([(job["state"], job["ended_unknown"], job["result"], job["error_type"]) for job in jobs],
                         [("running", ended, None, None)])
        pool = self.pools(daemon)[0]["gpu"]
        self.assertEqual((pool["running"], pool["ended_unknown"]), (0, 1) if ended else (1, 0))
        queue = get_json(daemon, "/api/queue")
        self.assertEqual((queue["totals"]["running"], queue["pools"][0]["ended_unknown"]), (0, 1) if ended else (1, 0))
        alone, listed = get_json(daemon, "/api/pools/gpu"), get_json(daemon, "/api/pools/gpu/jobs?state=running")
        self.assertEqual((alone["running"], alone["ended_unknown"], alone["counted"]["running"]), (0, 1, 0) if ended else (1, 0, 1))
        self.assertEqual([(job["job_id"], job["ended_unknown"]) for job in listed["jobs"]], [(str(lost.job_id), ended)])
        found = metrics(daemon)
        self.assertEqual(value(found, "ghatrace_pool_running", pool="gpu"), 0 if ended else 1)
        self.assertEqual(value(found, "ghatrace_jobs", state="running", runner_labels="gpu"), 0 if ended else 1)
        slots = get_json(daemon, "/api/pools/gpu/history?window=90m")["slots"]
        most = [slot["running_max"] for slot in slots if slot["running_max"] is not None]
        self.assertEqual((max(most), most[-1]), (1, 0) if ended else (2, 1))
        for command in (("top",), ("trace", str(lost.run.run_id))):
            grace = ("--job-grace", daemon.settings.get("job-grace", "10m"))
            shown = daemon.command(*command, *grace).stdout
            self.assertEqual("ended, result unknown" in shown, ended, shown)
        return pool

    def test_a_job_whose_runner_has_taken_another_one_ended_with_an_unknown_result(self):
        daemon, now = self.new_daemon(), int(time.time())
        lost = self.take_turns(daemon, now)
        for _ in range(2):
            pool = self.check_lost(daemon, lost, True)
            self.assertEqual((pool["state"], unix(pool["since"])), ("dead", now - 1500))
            self.assertEqual((pool["busy_max_day"], pool["busy_max_week"]), (1, 1))
            daemon.restart(how="kill")
        daemon.settings["job-grace"] = "3h"
        daemon.restart()
        self.assertEqual(self.check_lost(daemon, lost, False)["busy_max_day"], 2)
        daemon.settings["job-grace"] = "10m"
        daemon.restart()
        lost.completed_at = now - 2950
        daemon.accept(lost.completed())
        jobs = get_json(daemon, "/api/queue")["jobs"]
        self.assertEqual([job["job_id"] for job in jobs if job["state"] == "running"], [])
        self.assertEqual(self.pools(daemon)[0]["gpu"]["ended_unknown"], 0)

    def test_hosted_runners_with_the_same_name_are_not_the_same(self):
        daemon, now = self.new_daemon(), int(time.time())
        for begin in (3000, 2000):
            job = self.start(self.new_job("ubuntu-latest", now - begin, group="GitHub Actions"), now - begin + 10)
            job.runner_id, job.runner_name = 12, "GitHub Actions 12"
            daemon.accept(job.queued(), job.in_progress())
        pool = self.pools(daemon)[0]["ubuntu-latest"]
        self.assertEqual((pool["running"], pool["ended_unknown"]), (2, 0))
