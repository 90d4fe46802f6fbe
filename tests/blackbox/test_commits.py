"""All workflow runs of a commit in one answer, with what the commit waited for."""
import gzip
import json
import pathlib
import random
import time

import harness
from payloads import Repository, Run
from test_old_store import FIXTURES, PATIENT

SHA = "4f2c1a9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9"


def run_of(sha=SHA, start=0, length=100, **kinds):
    """`start`: seconds after the push, which was twenty minutes ago."""
    run = Run(started=run_of.push + start, **kinds)
    run.head_sha, run.updated = sha, run.started + length
    return run


def a_push(sha=SHA):
    """CI: build, then test; a fast check beside it; a deployment that CI triggers, and that needs an approval."""
    run_of.push = int(time.time()) - 1200
    ci, lint, deploy = (run_of(sha, workflow="CI", length=300), run_of(sha, start=1, workflow="Lint", length=60),
                        run_of(sha, start=302, workflow="Deploy", length=500, event="workflow_run"))
    ci.job("build", offset=2, queue=20, duration=98)          # 2 to 120
    ci.job("docs", offset=2, queue=1, duration=30)
    ci.job("test", offset=121, queue=60, duration=118)        # 121 to 299
    lint.job("lint", offset=1, queue=5, duration=50)
    deploy.job("deploy", offset=1, waited=400, queue=10, duration=80, environment="production")  # 303, 703, 713 to 793
    return [ci, lint, deploy]


def events_of(runs):
    return [event for run in runs for event in run.timeline()]


def without_now(answer):
    return {key: value for key, value in answer.items() if key != "now"}


class Commits(harness.BlackBoxTest):
    def daemon(self, *runs, **settings):
        daemon = self.new_daemon(self.new_collector(), **settings)
        daemon.accept(*events_of(runs))
        return daemon

    def ask(self, daemon, sha=SHA, status=200):
        answer = daemon.admin(f"/api/commits/{sha}")
        self.assertEqual(answer.status, status, answer.text)
        return json.loads(answer.body)

    def finished(self, daemon, sha=SHA):
        def answer():
            found = self.ask(daemon, sha)
            return found if found["state"] == "finished" else None
        return harness.wait_until(answer, what="the commit's runs have ended")

    def test_all_workflows_of_a_push_and_what_it_waited_for(self):
        ci, lint, deploy = a_push()
        answer = self.finished(self.daemon(ci, lint, deploy))
        self.assertEqual(answer["commit"], {
            "sha": SHA, "server": "github.com", "repository": ci.repository.full_name, "title": ci.display_title,
            "branch": "main", "actor": "hubot", "event": "push"})
        self.assertEqual([run["workflow"] for run in answer["runs"]], ["CI", "Lint", "Deploy"])
        self.assertEqual([run["sha"] for run in answer["runs"]], [SHA] * 3)
        self.assertEqual([[job["name"] for job in run["jobs"]] for run in answer["runs"]],
                         [["build", "docs", "test"], ["lint"], ["deploy"]])
        self.assertEqual((answer["state"], answer["result"], answer["duration_seconds"]), ("finished", "success", 802))
        self.assertEqual((answer["others"], answer["more"], answer["unreadable"]), ([], False, 0))
        waited = answer["waited_for"]
        self.assertEqual((waited["workflow"], waited["run_id"]), ("Deploy", str(deploy.run_id)))
        self.assertEqual([(link["workflow"], link["job"]) for link in waited["chain"]],
                         [("CI", "build"), ("CI", "test"), ("Deploy", "deploy")])
        self.assertEqual(waited["approval_seconds"], 400)
        self.assertEqual(waited["queue_seconds"], 20 + 60 + 10)
        self.assertEqual(sum(waited[part + "_seconds"] for part in ("approval", "queue", "startup", "execution", "other")), 802)
        self.assertEqual(answer["runs"][1]["waited"]["queue_seconds"], 5)

    def test_the_order_of_deliveries_does_not_matter(self):
        runs = a_push()
        wanted = without_now(self.finished(self.daemon(*runs)))
        for seed in range(3):
            events = events_of(runs)
            random.Random(seed).shuffle(events)
            daemon = self.new_daemon(self.new_collector())
            daemon.accept(*events)
            self.assertEqual(without_now(self.finished(daemon)), wanted)

    def test_an_open_run_is_among_them_before_and_after_a_restart(self):
        ci, lint, deploy = a_push()
        daemon = self.daemon(ci, lint)
        daemon.accept(deploy.requested(), deploy.jobs[0].queued(), deploy.jobs[0].waiting())
        for how in ("stop", "kill"):
            answer = self.ask(daemon)
            self.assertEqual((answer["state"], answer["result"], answer["ended_at"]), ("open", None, None))
            self.assertEqual([run["state"] for run in answer["runs"]], ["finished", "finished", "open"])
            self.assertEqual(answer["waited_for"]["workflow"], "Deploy")
            self.assertEqual(answer["waited_for"]["chain"][-1]["job"], "deploy")
            self.assertGreater(answer["waited_for"]["approval_seconds"], 600)
            daemon.restart(how)
        daemon.accept(*deploy.timeline())
        self.assertEqual(self.finished(daemon)["duration_seconds"], 802)

    def test_only_the_newest_attempt_counts_and_the_others_are_listed(self):
        ci, lint, _ = a_push()
        ci.conclusion = ci.jobs[2].conclusion = "failure"
        again = run_of(workflow="CI", run_id=ci.run_id, attempt=2, start=600, length=100)
        again.job("test", queue=5, duration=90)
        answer = self.finished(self.daemon(ci, lint, again))
        self.assertEqual([(run["workflow"], run["run_attempt"], run["newest_attempt"]) for run in answer["runs"]],
                         [("CI", 1, False), ("Lint", 1, True), ("CI", 2, True)])
        self.assertEqual((answer["result"], answer["duration_seconds"]), ("success", 700))
        self.assertEqual([(link["run_attempt"], link["job"]) for link in answer["waited_for"]["chain"]],
                         [(1, None), (2, "test")])

    def test_a_failure_is_the_result_while_others_still_run(self):
        ci, lint, _ = a_push()
        lint.conclusion = lint.jobs[0].conclusion = "failure"
        daemon = self.daemon(lint)
        daemon.accept(ci.requested(), ci.jobs[0].queued())
        answer = self.ask(daemon)
        self.assertEqual((answer["state"], answer["result"]), ("open", "failure"))

    def test_scheduled_runs_of_the_commit_are_listed_and_do_not_count(self):
        runs = a_push()
        nightly = run_of(start=1000, workflow="Nightly", event="schedule", conclusion="failure")
        answer = self.finished(self.daemon(*runs, nightly))
        self.assertEqual([run["counted"] for run in answer["runs"]], [True, True, True, False])
        self.assertEqual((answer["result"], answer["duration_seconds"]), ("success", 802))

    def test_runs_of_a_fork_are_a_group_of_their_own(self):
        runs = a_push()
        fork = run_of(workflow="CI", repository=Repository("mona/rocket_engine"))
        answer = self.finished(self.daemon(*runs, fork))
        self.assertEqual(len(answer["runs"]), 3)
        self.assertEqual([(other["commit"]["repository"], len(other["runs"])) for other in answer["others"]],
                         [(fork.repository.full_name, 1)])

    def test_a_commit_is_named_by_its_first_digits(self):
        daemon = self.daemon(*a_push(), *a_push(sha=SHA[:9] + "0" * 31), *a_push(sha="ab" * 32))
        for text in (SHA, SHA.upper(), SHA[:10], SHA[:39]):
            self.assertEqual(self.ask(daemon, text)["commit"]["sha"], SHA)
        self.assertEqual(self.ask(daemon, "ABABABA")["commit"]["sha"], "ab" * 32)
        ambiguous = self.ask(daemon, SHA[:7])
        self.assertIsNone(ambiguous["commit"])
        self.assertEqual([commit["sha"] for commit in ambiguous["commits"]], [SHA[:9] + "0" * 31, SHA])
        for text, status, words in ((SHA[:6], 400, "too short"), (SHA + "0" * 25, 400, "too long"), ("main", 400, "no commit"),
                                    ("", 400, "too short"), (SHA[:7] + "%20", 400, "no commit"),
                                    ("0" * 40, 404, "no run of it is in the store"), (SHA + "0", 404, "no run of it")):
            self.assertIn(words, self.ask(daemon, text, status)["error"])

    def test_what_is_no_sha_is_not_listed(self):
        run_of.push = int(time.time()) - 1200
        daemon = self.daemon(run_of(sha="main"), run_of(sha=SHA[:12]))
        self.ask(daemon, SHA[:12], 404)

    def test_many_runs_of_one_commit_are_read_in_part(self):
        run_of.push = int(time.time()) - 1200
        daemon = self.new_daemon(self.new_collector())
        runs = [run_of(start=i % 100, run_id=10_000_000 + i) for i in range(210)]
        daemon.accept(*(run.completed() for run in runs))
        answer = self.finished(daemon)
        self.assertEqual((len(answer["runs"]), answer["more"]), (200, True))
        self.assertEqual({run["run_id"] for run in answer["runs"]}, {str(run.run_id) for run in runs[10:]})

    def test_runs_of_an_older_store_are_found(self):
        for folder in (path for path in FIXTURES.iterdir() if path.is_dir()):
            daemon = self.new_daemon(start=False, **PATIENT, otlp_endpoint=None)
            database = pathlib.Path(daemon.settings["db"])
            database.mkdir()
            (database / "data.mdb").write_bytes(gzip.decompress((folder / "data.mdb.gz").read_bytes()))
            daemon.start()
            for state in ("open", "finished"):
                runs = json.loads(daemon.admin(f"/api/runs?state={state}").body)["runs"]
                self.assertGreater(len(runs), 0)
                for run in runs:
                    self.assertEqual(run["sha"], f"{int(run['run_id']):040x}", (folder.name, run))
                    found = self.ask(daemon, run["sha"])["runs"]
                    self.assertIn((run["run_id"], run["run_attempt"]),
                                  [(one["run_id"], one["run_attempt"]) for one in found])


class CommitsInTheTerminal(harness.BlackBoxTest):
    daemon, finished, ask = Commits.daemon, Commits.finished, Commits.ask

    def trace(self, daemon, *arguments, columns="100"):
        return daemon.command("trace", *arguments, env={"COLUMNS": columns, "LC_ALL": "C.UTF-8"})

    def test_all_runs_of_a_commit_are_one_waterfall(self):
        daemon = self.daemon(*a_push())
        self.finished(daemon)
        shown = self.trace(daemon, SHA[:12])
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        lines = shown.stdout.splitlines()
        self.assertEqual(lines[0], "acme/rocket_engine · commit 4f2c1a9b7e · success · 13m 22s from the push to the last end")
        rows = [line[:10].rstrip() for line in lines if line.lstrip().startswith("✓")]
        self.assertEqual(rows, ["✓ CI", "  ✓ build", "  ✓ docs", "  ✓ test", "✓ Lint", "  ✓ lint", "✓ Deploy", "  ✓ deploy"])
        self.assertEqual(lines[-2:], [
            "CI / build 1m 58s → test 2m 58s → Deploy / deploy 8m 10s",
            "waited for: approval 6m 40s, the queue 1m 30s, start-up 9s, execution 4m 47s, between jobs 16s"])
        self.assertLessEqual(max(map(len, self.trace(daemon, SHA, columns="60").stdout.splitlines())), 60)
        page = f"https://github.com/acme/rocket_engine/commit/{SHA}#diff"
        self.assertEqual(self.trace(daemon, page).stdout.splitlines()[0], lines[0])

    def test_what_is_still_open_is_drawn_until_now(self):
        ci, lint, _ = a_push()
        daemon = self.daemon(lint)
        daemon.accept(ci.requested(), ci.jobs[0].queued())
        lines = self.trace(daemon, SHA).stdout.splitlines()
        self.assertIn(" · still running · ", lines[0])
        self.assertRegex(lines[-1], r"^waits for: the queue (19m|20m)")

    def test_digits_mean_a_run_and_else_a_commit(self):
        digits = "1234567890" * 4
        run = Run(run_id=1234567, age=500)
        runs = a_push(sha=digits)
        daemon = self.daemon(run, *runs)
        self.finished(daemon, digits)
        self.assertIn("attempt 1", self.trace(daemon, "1234567").stdout.splitlines()[0])
        for arguments in (["1234567", "--commit"], ["12345678"], [digits]):
            self.assertIn("commit 1234567890", self.trace(daemon, *arguments).stdout.splitlines()[0], arguments)
        self.assertIn("run 7654321: nothing of it", self.trace(daemon, "7654321").stderr)

    def test_a_daemon_that_is_asked_shows_the_same_as_its_store(self):
        digits, other = "1234567890" * 4, SHA[:9] + "0" * 31
        ci, lint, deploy = a_push()
        again = run_of(workflow="CI", run_id=ci.run_id, attempt=2, start=600, length=100)
        again.job("test", queue=5, duration=90).conclusion = "failure"
        fork = run_of(workflow="CI\x1b[31m", repository=Repository("mona/rocket_engine"))
        fork.job("lint " + "x" * 150, queue=5, duration=60)
        nightly = run_of(start=1000, workflow="Nightly", event="schedule", conclusion="failure")
        run = Run(run_id=1234567, age=500)
        daemon = self.daemon(ci, lint, deploy, again, fork, nightly, run, *a_push(sha=other), *a_push(sha=digits))
        for sha in (SHA, other, digits):
            self.finished(daemon, sha)
        url = f"http://{daemon.admin_address[0]}:{daemon.admin_address[1]}"
        for columns in ("100", "60", None):
            env = {"LC_ALL": "C.UTF-8", **({"COLUMNS": columns} if columns else {})}
            for arguments, status in (([SHA], 0), ([digits], 0), ([other[:12]], 0), (["1234567"], 0), (["1234567", "--commit"], 0),
                                      (["12345678"], 0), ([f"https://github.com/acme/rocket_engine/pull/7/commits/{SHA}"], 0),
                                      ([SHA[:7]], 2), (["7654321"], 1), (["abcdef0"], 1), (["abc12"], 2), (["--commit", "main"], 2)):
                here = daemon.command("trace", *arguments, env=env)
                there = harness.run_command("trace", *arguments, "--url", url, env=env)
                self.assertEqual((here.returncode, here.stdout, here.stderr), (there.returncode, there.stdout, there.stderr), arguments)
                self.assertEqual(here.returncode, status, (arguments, here.stderr))
        shown = harness.run_command("trace", SHA, env={"GHATRACE_URL": url})
        self.assertIn(f"commit {SHA[:10]}", shown.stdout.splitlines()[0])
        self.assertIn(fork.jobs[0].name, daemon.command("trace", SHA).stdout)  # into a pipe nothing is shortened
        for name, path in ((SHA, f"/api/commits/{SHA}"), (SHA[:7], f"/api/commits/{SHA[:7]}"), ("1234567", "/api/runs/1234567")):
            wanted = without_now(json.loads(daemon.admin(path).body))
            for shown in (daemon.command("trace", name, "--json"), harness.run_command("trace", name, "--json", "--url", url)):
                self.assertEqual(without_now(json.loads(shown.stdout)), wanted)

    def test_what_is_no_commit_is_refused(self):
        other = SHA[:9] + "0" * 31
        daemon = self.daemon(*a_push(), *a_push(sha=other))
        self.finished(daemon)
        shown = self.trace(daemon, SHA[:7])
        self.assertEqual(shown.returncode, 2)
        self.assertIn("2 commits begin with these digits", shown.stderr)
        self.assertEqual([line.split()[0] for line in shown.stdout.splitlines()], [other, SHA])
        for arguments, status, words in ((["abc12"], 2, "is no run"), (["--commit", "abc12"], 2, "too short"),
                                         (["--commit", "main"], 2, "is no commit"), (["abcdef0"], 1, "no run of it"),
                                         (["https://github.com/a/b/commit/main"], 2, "is no commit")):
            shown = self.trace(daemon, *arguments)
            self.assertEqual((shown.returncode, shown.stdout), (status, ""), arguments)
            self.assertIn(words, shown.stderr)

    def test_names_cannot_control_the_terminal(self):
        runs = a_push()
        runs[0].workflow, runs[2].jobs[0].name = "CI\x1b[31m", "deploy\x07\u202e"
        daemon = self.daemon(*runs)
        self.finished(daemon)
        shown = self.trace(daemon, SHA).stdout
        self.assertNotRegex(shown, "[\x00-\x09\x0b-\x1f\u202e]")
