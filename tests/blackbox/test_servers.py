"""github.com and Enterprise Servers before one daemon: their runs and jobs have the same ids, and are kept apart."""
import itertools
import json
import time

import expect
import harness
from expect import Ids, job_spans, run_spans
from payloads import Repository, Run, event

GHE, OTHER = "git.example.com", "acme.ghe.com"


def twins(*servers, **kinds):
    """Runs with one id, whose jobs have one id, each of a server."""
    runs = [Run(repository=Repository(server=servers[0]), **kinds)]
    runs[0].job("build")
    for server in servers[1:]:
        run = Run(run_id=runs[0].run_id, repository=Repository(server=server), started=runs[0].started, **kinds)
        run.job("build", job_id=runs[0].jobs[0].job_id)
        runs.append(run)
    return runs


def lives(runs):
    return [[run.requested(), *run.jobs[0].timeline(), run.completed()] for run in runs]


def interleaved(lists):
    return [one for row in itertools.zip_longest(*lists) for one in row if one is not None]


class Servers(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="1s")

    def get(self, path):
        answer = self.daemon.admin(path)
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.body)

    def check_exported(self, spans):
        """These versions of these spans came, each once; spans of two servers have the same IDs."""
        trace = spans[0]["traceId"]

        def has_come(collector):
            return len(collector.versions(trace)) >= len(spans)
        self.collector.wait(has_come, harness.PATIENCE, f"{len(spans)} spans")

        def key(span):
            return json.dumps(span, sort_keys=True)
        self.assertEqual(sorted(self.collector.versions(trace), key=key), sorted(spans, key=key))

    def test_a_job_of_each_of_two_servers_is_exported_once_under_its_server(self):
        runs = twins("github.com", GHE)
        self.daemon.accept(*(run.jobs[0].completed() for run in runs))
        self.check_exported([span for run in runs for span in job_spans(run.jobs[0])])
        found = self.collector.versions(Ids(runs[0].run_id).trace)
        self.assertEqual({span["resource"].get("server.address") for span in found}, {None, GHE})

    def test_whole_runs_of_three_servers_in_turns_give_the_spans_of_each(self):
        for order in itertools.permutations(range(3)):
            runs = twins("github.com", GHE, OTHER)
            events = lives(runs)
            self.daemon.accept(*interleaved([events[i] for i in order]))
            self.check_exported([span for run in runs for span in run_spans(run)])

    def test_one_after_the_other_with_a_restart_between_and_late_ones(self):
        first, second = twins(GHE, "github.com")
        self.daemon.accept(*lives([first])[0])
        self.check_exported(run_spans(first))
        self.daemon.restart()
        self.daemon.accept(first.jobs[0].completed(at=time.time()), *lives([second])[0],
                           first.completed(), second.jobs[0].completed(at=time.time()))
        self.check_exported(run_spans(first) + run_spans(second))

    def test_both_are_listed_and_each_can_be_asked_for(self):
        first, second = twins("github.com", GHE, workflow="Twins")
        self.daemon.accept(first.requested(), first.jobs[0].queued(), second.requested(), second.jobs[0].queued())
        number, job = str(first.run_id), str(first.jobs[0].job_id)
        queued = [one for one in self.get("/api/queue?limit=1000")["jobs"] if one["job_id"] == job]
        self.assertEqual(sorted(one["server"] for one in queued), [GHE, "github.com"])
        for question, servers in (("", [GHE, "github.com"]), ("&server=github.com", ["github.com"]),
                                  (f"&server=https://{GHE.upper()}:8443/x", [GHE]), ("&server=nowhere", [])):
            runs = self.get(f"/api/runs?state=open&q={number}{question}")["runs"]
            self.assertEqual(sorted(run["server"] for run in runs), servers, question)
            self.assertEqual([one["job_id"] for run in runs for one in run["jobs"]], [job] * len(servers))
        self.assertEqual(self.daemon.command("runs").stdout.count(f"{number}/1"), 4)
        self.assertIn(f"{GHE}/acme/", self.daemon.command("runs").stdout)
        self.assertEqual(self.daemon.command("top", "--once").stdout.count(f"{GHE}/acme/rocket_engine"), 1)

        self.daemon.accept(*second.jobs[0].timeline()[1:], second.completed())
        self.check_exported(run_spans(second))
        self.assertEqual(self.get(f"/api/runs/{number}/1?server={GHE}")["run"]["state"], "finished")
        self.daemon.accept(*first.jobs[0].timeline()[1:], first.completed())
        self.check_exported(run_spans(first) + run_spans(second))
        runs = self.get(f"/api/runs?q={number}")["runs"]
        self.assertEqual({run["server"] for run in runs}, {"github.com", GHE})  # they ended in the same second
        for run in runs:
            self.assertIn(f"https://{run['server']}/", run["url"])

    def test_a_number_alone_means_the_run_of_github_and_names_the_others(self):
        runs = twins(OTHER, "github.com", GHE)
        self.daemon.accept(*interleaved(lives(runs)))
        self.check_exported([span for run in runs for span in run_spans(run)])
        number = runs[0].run_id
        answer = self.get(f"/api/runs/{number}/1")
        self.assertEqual((answer["run"]["server"], answer["servers"]), ("github.com", ["github.com", OTHER, GHE]))
        self.assertEqual((len(answer["jobs"]), answer["attempts"]), (1, [1]))
        for server in (OTHER, "github.com", GHE):
            answer = self.get(f"/api/runs/{number}/1?server={server}")
            self.assertEqual((answer["run"]["server"], answer["servers"]), (server, [server]))
            self.assertIn(f"https://{server}/", answer["jobs"][0]["url"])
            spans = self.get(f"/api/runs/{number}/1?server={server}&format=otlp")["resourceSpans"]
            self.assertEqual(len(spans), 2)
            self.assertIn(f"https://{server}/", json.dumps(spans))
            shown = self.daemon.command("trace", str(number), "--server", server)
            self.assertIn(f"https://{server}/", shown.stdout)
            self.assertEqual(shown.stderr, "")
            address = f"https://{server}/acme/rocket_engine/actions/runs/{number}/attempts/1"
            self.assertEqual(self.daemon.command("trace", address).stdout, shown.stdout)
        shown = self.daemon.command("trace", str(number))
        self.assertIn("https://github.com/", shown.stdout)
        self.assertIn(f"the number also exists on {OTHER}, {GHE}: see --server", shown.stderr)
        self.assertEqual(self.daemon.admin(f"/api/runs/{number}/1?server=nowhere.example").status, 404)
        self.assertEqual(self.daemon.command("trace", str(number), "--server", "nowhere.example").returncode, 1)

    def test_runs_known_only_from_jobs_each_have_their_own_age(self):
        """Their states are kept side by side: nothing else is in the store."""
        for first_server, second_server in (("github.com", GHE), (GHE, "github.com")):
            daemon = self.new_daemon(otlp_endpoint=None)
            old = Run(age=7200, repository=Repository(server=first_server))
            new = Run(run_id=old.run_id, age=120, repository=Repository(server=second_server))
            daemon.accept(old.job("old").queued(), new.job("new").queued())
            lines = [line.split() for line in daemon.command("runs").stdout.splitlines() if f"{old.run_id}/1" in line]
            ages = [line[0] for line in lines if "queued" not in line]
            self.assertEqual((len(lines), len(ages), len(set(ages))), (4, 2, 2), lines)

    def test_a_run_of_another_server_alone_is_found_by_its_number(self):
        run, = twins(GHE)
        self.daemon.accept(*lives([run])[0])
        self.check_trace(self.collector, run_spans(run))
        self.assertEqual(self.get(f"/api/runs/{run.run_id}/1")["run"]["server"], GHE)
        self.assertIn(f"https://{GHE}/", self.daemon.command("trace", str(run.run_id)).stdout)
        self.assertEqual(self.daemon.admin(f"/api/runs/{run.run_id}/1?server=github.com").status, 404)

    def test_attempts_are_those_of_the_server(self):
        first, second = twins("github.com", GHE)
        again = Run(run_id=first.run_id, attempt=2, repository=first.repository)
        again.job("build")
        self.daemon.accept(*interleaved(lives([first, second])), *lives([again])[0])
        self.check_exported(run_spans(first) + run_spans(second))
        self.check_trace(self.collector, run_spans(again))
        attempts = [self.get(f"/api/runs/{first.run_id}/1?server={server}")["attempts"] for server in ("github.com", GHE)]
        self.assertEqual(attempts, [[1, 2], [1]])

    def test_pages_of_open_runs_hold_each_servers_run_once(self):
        daemon = self.new_daemon(otlp_endpoint=None)
        runs = [run for _ in range(3) for run in twins("github.com", GHE, OTHER)]
        daemon.accept(*(run.requested() for run in runs))
        found, cursor = [], ""
        while cursor is not None:
            answer = json.loads(daemon.admin(f"/api/runs?state=open&limit=2&cursor={cursor}").body)
            found += [(run["run_id"], run["server"]) for run in answer["runs"]]
            cursor = answer["next"]
        self.assertEqual(sorted(found), sorted((str(run.run_id), run.repository.server) for run in runs))
        self.assertEqual(json.loads(daemon.admin("/api/queue").body)["totals"]["open_runs"], 9)
        for cursor in ("1-1-zz", "1-1-" + "0" * 31, "1-1-" + "0" * 33, "1", "-"):
            self.assertEqual(daemon.admin(f"/api/runs?state=open&cursor={cursor}").status, 400, cursor)

    def test_odd_addresses_of_repositories_are_read_without_harm(self):
        """Each is of a server of its own, or of github.com, and no run is lost."""
        cases = [("HTTPS://GIT.Example.COM/a/w", GHE), (f"http://{GHE}:8080/a/w", GHE), (f"https://{GHE}./a/w", GHE),
                 (f"https://mona:secret@{GHE}/a/w", GHE), (f"{GHE}/a/w", GHE), ("a/w", None), ("", None),
                 ("https://b\u00fccher.example/a/w", "b\u00fccher.example"), ("https://" + "x" * 4096, "x" * 253),
                 ("https://\u20ac" + "\u20ac" * 2000 + "/", "\u20ac" * 84), ("https://[2001:DB8::7]/a/w", "2001:db8::7"),
                 ("https://user@/x", None), ("https://\"<script>\\/x", "\"<script>")]
        for url, server in cases:
            run = Run()
            document = json.loads(run.job("build").completed().body)
            document["repository"]["html_url"] = url
            self.daemon.accept(event("workflow_job", document, time.time()))
            trace = Ids(run.run_id).trace
            self.collector.wait(lambda c: len(c.versions(trace)) == len(job_spans(run.jobs[0])), harness.PATIENCE, url[:40])
            self.assertEqual({span["resource"].get("server.address") for span in self.collector.versions(trace)}, {server})
            answer = self.get(f"/api/runs/{run.run_id}/1")
            self.assertEqual(answer["run"]["server"], server or "github.com")
            self.assertNotIn("secret", json.dumps(answer["servers"]))

    def test_a_job_with_the_id_of_its_run_or_of_another_is_kept_apart(self):
        run, other = Run(), Run()
        same = run.job("same", job_id=run.run_id)
        crossed, back = run.job("crossed", job_id=other.run_id), other.job("back")
        self.daemon.accept(same.queued(), crossed.queued(), back.queued(), run.requested(), other.requested())
        listed = {one["job_id"]: one["run_id"] for one in self.get("/api/queue?limit=1000")["jobs"]}
        for job in (same, crossed, back):
            self.assertEqual(listed[str(job.job_id)], str(job.run.run_id))
        self.daemon.accept(run.completed(), other.completed(), back.completed(), crossed.completed(), same.completed())
        self.check_exported([*job_spans(same), *job_spans(crossed), expect.root_span(run)])
        self.check_exported(run_spans(other))


if __name__ == "__main__":
    import unittest
    unittest.main()
