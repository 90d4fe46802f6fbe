"""One pool: what /api/pools/NAME and /api/pools/NAME/jobs answer."""
import json
import random
import time
import urllib.parse

import harness
from payloads import Repository, Run
from test_admin import get, get_json, unix

ODD = ["a/b", "a/jobs", "(x)", "50% off", "ü & ö", '<img src=x onerror=alert(1)>', "a+b", "a,b", "what?#if", "..", "a\\b"]


def path_of(name, rest=""):
    return f"/api/pools/{urllib.parse.quote(name, safe='')}{rest}"


def pages(daemon, name, question, between=lambda: None):
    """The jobs of all pages, and the pages; `between` is called after each page."""
    jobs, answers, cursor = [], [], ""
    while True:
        answers.append(get_json(daemon, path_of(name, f"/jobs?{question}&cursor={cursor}")))
        jobs += answers[-1]["jobs"]
        cursor = answers[-1]["next"]
        if cursor is None:
            return jobs, answers
        between()


class Pool(harness.BlackBoxTest):
    def queued(self, daemon, count, label="gpu", age=3000, **kinds):
        """Jobs of one run that wait, one second after another."""
        run = Run(age=age, **kinds)
        jobs = [run.job(f"train ({i})", offset=1 + i) for i in range(count)]
        for job in jobs:
            job.labels = [label]
        daemon.accept(*(job.queued() for job in jobs))
        return jobs

    def test_a_pool_is_what_the_list_of_pools_has_with_who_fills_it(self):
        daemon = self.new_daemon(runner_ceiling="farm: 3: gpu cpu")
        many = self.queued(daemon, 5, repository=Repository("acme/ml"), workflow="Training")
        self.queued(daemon, 2, repository=Repository("acme/ml"), workflow="Nightly", age=2000)
        other = self.queued(daemon, 1, repository=Repository("acme/shop"), workflow="CI", age=1000)
        self.queued(daemon, 1, label="cpu")
        daemon.accept(many[0].in_progress(), other[0].in_progress())
        before = time.time()
        listed = {pool["pool"]: pool for pool in get_json(daemon, "/api/pools")["pools"]}
        answer = get_json(daemon, "/api/pools/GPU")
        self.assertTrue(int(before) <= unix(answer["now"]) <= time.time(), answer["now"])
        ages = ("oldest_wait_seconds", "open_wait_seconds")
        self.assertEqual({key: answer[key] for key in listed["gpu"] if key not in ages},
                         {key: value for key, value in listed["gpu"].items() if key not in ages})
        self.assertEqual(set(ages) - set(answer), set())
        self.assertEqual([(one["ceiling"], one["limit"], one["pools"]) for one in answer["ceilings"]], [("farm", 3, ["cpu", "gpu"])])
        self.assertEqual(answer["counted"], {"queued": 6, "running": 2})
        self.assertEqual([(one["server"], one["repository"], one["queued"], one["running"]) for one in answer["by_repository"]],
                         [("github.com", "acme/ml", 6, 1), ("github.com", "acme/shop", 0, 1)])
        self.assertEqual([(one["repository"], one["workflow"], one["queued"], one["running"]) for one in answer["by_workflow"]],
                         [("acme/ml", "Training", 4, 1), ("acme/ml", "Nightly", 2, 0), ("acme/shop", "CI", 0, 1)])
        # A pool without a ceiling has none.
        self.queued(daemon, 1, label="mac")
        self.assertEqual(get_json(daemon, "/api/pools/mac")["ceilings"], [])

    def test_each_open_job_is_listed_as_in_the_queue_the_oldest_first(self):
        daemon = self.new_daemon()
        jobs = self.queued(daemon, 7, repository=Repository("acme/ml"), workflow="Training", head_branch="main")
        self.queued(daemon, 2, label="cpu")
        gate = Run(age=500).job("deploy")
        gate.labels = ["gpu"]
        daemon.accept(gate.waiting(at=time.time() - 400), jobs[2].in_progress(), jobs[4].in_progress())
        queue = {job["job_id"]: job for job in get_json(daemon, "/api/queue?limit=100")["jobs"]}
        found, _ = pages(daemon, "gpu", "limit=3")
        wanted = [jobs[i] for i in (0, 1, 3, 5, 6)] + [gate, jobs[2], jobs[4]]
        self.assertEqual([job["job_id"] for job in found], [str(job.job_id) for job in wanted])
        for job in found:
            from_queue = queue[job["job_id"]]
            self.assertEqual({**job, "age_seconds": 0}, {**from_queue, "age_seconds": 0})
            self.assertEqual(job["pool"], "gpu")
        self.assertEqual(found[-1]["runner_name"], jobs[4].runner_name)
        for state, of in (("queued", wanted[:5]), ("waiting", [gate]), ("running", wanted[6:])):
            answer = get_json(daemon, path_of("gpu", f"/jobs?state={state}"))
            self.assertEqual([job["job_id"] for job in answer["jobs"]], [str(job.job_id) for job in of])
            self.assertEqual((answer["pool"], answer["total"], answer["next"]), ("gpu", len(of), None))

    def test_jobs_that_wait_all_the_time_are_on_exactly_one_page_while_others_come_and_go(self):
        daemon = self.new_daemon()
        jobs, rng = self.queued(daemon, 60), random.Random(5)
        staying = {str(job.job_id) for job in jobs}

        def between():
            for job in rng.sample(jobs, 4):
                staying.discard(str(job.job_id))
                jobs.remove(job)
                daemon.accept(*rng.choice([[job.in_progress()], [job.in_progress(), job.completed()]]))
            self.queued(daemon, 2, age=rng.randrange(2800, 3200))  # before and after the place
            self.queued(daemon, 1, age=3500)

        found, answers = pages(daemon, "gpu", "state=queued&limit=7", between)
        self.assertGreater(len(answers), 6)
        self.assertTrue(all(len(answer["jobs"]) <= 7 for answer in answers))
        ids = [job["job_id"] for job in found]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertGreater(len(staying), 20)
        self.assertEqual(staying - set(ids), set())

    def test_pools_with_odd_names_are_found(self):
        daemon = self.new_daemon()
        for label in ODD:
            self.queued(daemon, 1, label=label)
        unlabeled = Run(age=300).job("bare")
        unlabeled.labels = []
        daemon.accept(unlabeled.queued())
        names = [pool["pool"] for pool in get_json(daemon, "/api/pools")["pools"]]
        self.assertEqual(len(names), len(ODD) + 1)
        for name in names:
            with self.subTest(pool=name):
                self.assertEqual(get_json(daemon, path_of(name))["pool"], name)
                jobs = get_json(daemon, path_of(name, "/jobs"))
                self.assertEqual((jobs["pool"], len(jobs["jobs"])), (name, 1))
                self.assertEqual(jobs["jobs"][0]["pool"], name)
        self.assertEqual(get_json(daemon, "/api/pools/a/b")["pool"], "a/b")  # a slash need not be encoded
        self.assertEqual(get_json(daemon, "/api/pools/(none)")["pool"], "(none)")

    def test_the_pool_of_folded_labels_has_a_page_with_all_of_its_jobs(self):
        daemon = self.new_daemon(metrics_max_pools="3")
        for number in range(12):
            self.queued(daemon, 2, label=f"id-{number}")
        answer = get_json(daemon, path_of("(one-off)"))
        self.assertGreater(answer["queued"], 10)
        self.assertEqual(answer["counted"]["queued"], answer["queued"])
        found, _ = pages(daemon, "(one-off)", "limit=5")
        self.assertEqual(len({job["job_id"] for job in found}), answer["queued"])
        self.assertEqual({job["pool"] for job in found}, {"(one-off)"})

    def test_what_is_not_there_or_not_valid_is_refused_with_the_reason(self):
        daemon = self.new_daemon()
        self.queued(daemon, 3)
        cursor = get_json(daemon, "/api/pools/gpu/jobs?limit=1&state=queued")["next"]
        for path, status, message in (
                ("/api/pools/gpu-a10", 404, "there is no such pool"),
                ("/api/pools/gpu-a10/jobs", 404, "there is no such pool"),
                ("/api/pools/" + "x" * 5000, 404, "there is no such pool"),
                ("/api/pools/", 404, "want /api/pools/NAME, or /jobs, /history or /whatif after it"),
                ("/api/pools//jobs", 404, "want /api/pools/NAME, or /jobs, /history or /whatif after it"),
                ("/api/pools/gpu/jobs?state=done", 400, "state: want waiting, queued or running"),
                ("/api/pools/gpu/jobs?limit=x", 400, "limit: want a number from 0 to 1000"),
                ("/api/pools/gpu/jobs?cursor=x", 400, "cursor: not valid"),
                (f"/api/pools/gpu/jobs?cursor={cursor}&state=running", 400, "cursor: not valid")):
            with self.subTest(path=path[:60]):
                answer = get(daemon, path)
                self.assertEqual((answer.status, json.loads(answer.body)["error"]), (status, message))


if __name__ == "__main__":
    import unittest
    unittest.main()
