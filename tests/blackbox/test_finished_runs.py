"""The list of finished runs, the search among them, and which workflows fail."""
import gzip
import json
import pathlib
import random
import time
import urllib.parse

import expect
import harness
from ended_runs import ended_run, failed_run, finish
from harness import wait_until
from payloads import Repository, Run
from test_admin import get_json


def search(daemon, text, **parameters):
    return get_json(daemon, "/api/runs?" + urllib.parse.urlencode({"q": text, **parameters}))


def pages(daemon, limit, between=lambda: None, first=None):
    """The ids of all pages; `between` is called before each but the first."""
    found, cursor = [], first
    while True:
        question = f"&cursor={cursor}" if cursor else ""
        page = get_json(daemon, f"/api/runs?limit={limit}{question}")
        found += [run["run_id"] for run in page["runs"]]
        cursor = page["next"]
        if not cursor:
            return found
        between()


class ByEnds(harness.BlackBoxTest):
    def test_late_deliveries_in_bulk_do_not_shuffle_the_list(self):
        daemon = self.new_daemon(root_grace="0s")
        runs = [ended_run(age) for age in range(60, 60 + 20 * 97, 97)]
        late = runs[:]
        random.Random(5).shuffle(late)
        for at in range(0, len(late), 5):
            finish(daemon, *late[at:at + 5])
        wanted = [str(run.run_id) for run in runs]
        self.assertEqual(pages(daemon, 50), wanted)
        self.assertEqual(pages(daemon, 3), wanted)
        listed = json.loads(daemon.command("runs", "--json", "--limit", "7").stdout)["runs"]
        self.assertEqual([run["run_id"] for run in listed], wanted[:7])
        daemon.restart("kill")
        self.assertEqual(pages(daemon, 4), wanted)

    def test_pages_continue_where_they_were_while_runs_end(self):
        daemon = self.new_daemon(root_grace="0s")
        runs = [ended_run(age) for age in range(600, 600 + 12 * 60, 60)]
        finish(daemon, *reversed(runs))
        newer = []

        def one_ends():
            newer.append(ended_run(300 - 10 * len(newer)))
            finish(daemon, newer[-1])
        self.assertEqual(pages(daemon, 2, one_ends), [str(run.run_id) for run in runs])
        self.assertEqual(len(newer), 6)
        self.assertEqual(pages(daemon, 50), [str(run.run_id) for run in newer[::-1] + runs])

    def test_a_later_end_moves_a_run_to_its_place(self):
        daemon = self.new_daemon(root_grace="0s", linger="1h")
        first, second = ended_run(900), ended_run(600)
        finish(daemon, first, second)
        self.assertEqual(pages(daemon, 1), [str(second.run_id), str(first.run_id)])
        late = first.job("late", offset=500, queue=1, duration=10)  # ends after the other run
        daemon.accept(*late.timeline())
        wait_until(lambda: pages(daemon, 1) == [str(first.run_id), str(second.run_id)], what="the new order")

    def test_a_cursor_of_an_older_version_leads_to_the_place_of_its_run(self):
        daemon = self.new_daemon(root_grace="0s")
        runs = [ended_run(age) for age in (100, 200, 300)]
        finish(daemon, *runs)
        when = int(time.time() * 1e9)  # such a cursor has when the run was sent
        cursor = f"{when:016x}{expect.Ids(runs[1].run_id).trace}"
        self.assertEqual(pages(daemon, 5, first=cursor), [str(runs[2].run_id)])
        for wrong in ("e", "e" + "0" * 47, "x" + cursor, "e" + "g" * 48):
            self.assertEqual(daemon.admin(f"/api/runs?cursor={wrong}").status, 400)


    def test_a_command_lists_the_runs_of_a_store_that_only_an_older_daemon_has_opened(self):
        fixture = sorted(path for path in (harness.ROOT / "tests/fixtures/store").iterdir() if path.is_dir())[0]
        daemon = self.new_daemon(start=False, history="30000h")
        database = pathlib.Path(daemon.settings["db"])
        database.mkdir()
        (database / "data.mdb").write_bytes(gzip.decompress((fixture / "data.mdb.gz").read_bytes()))
        listed = [json.loads(daemon.command("runs", "--json").stdout)["runs"] for _ in range(2)]
        wanted = json.loads((fixture / "expected.json").read_text())["open"]["runs"]["runs"]
        finished = [run["trace_id"] for run in listed[0] if run["state"] == "finished"]
        self.assertEqual(sorted(finished), sorted(run["trace_id"] for run in wanted))
        self.assertEqual(listed[0], listed[1])


class Search(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="0s")
        cls.shop = ended_run(300, repository=Repository("acme/shop"), workflow="Nightly ✓ build", head_branch="feature/cart",
                             pull_request=(77, "main"), conclusion="timed_out")
        cls.shop.display_title, cls.shop.run_number, cls.shop.triggering_actor = "Größe der Äpfel", 3129, "mona"
        cls.shop.path, cls.shop.head_sha = ".github/workflows/nightly.yml", "9fceb02d0ae598e95dc970b74767f19372d61af8"
        cls.site = ended_run(200, repository=Repository("acme/site"), workflow="Deploy")
        cls.site.path, cls.site.run_number = ".github/workflows/deploy.yml", 12
        cls.elsewhere = ended_run(100, repository=Repository("acme/shop", server="ghe.example.com"), workflow="Elsewhere")
        finish(cls.daemon, cls.shop, cls.site, cls.elsewhere)
        cls.opened = Run(age=50, repository=Repository("acme/shop"), workflow="Open")
        cls.opened.path, cls.opened.pull_request = ".github/workflows/open.yml", (78, "main")
        cls.open_job = cls.opened.job("test", duration=3000)
        cls.daemon.accept(cls.opened.requested(), cls.opened.in_progress(), cls.open_job.queued(), cls.open_job.in_progress())

    def assert_finds(self, text, *wanted, **parameters):
        answer = search(self.daemon, text, **parameters)
        found = {run["run_id"] for run in answer["direct"] + answer["runs"]}
        self.assertEqual(found, {str(run.run_id) for run in wanted}, (text, answer.get("search")))
        return answer

    def test_what_people_paste_leads_to_its_runs(self):
        shop, site, elsewhere = self.shop, self.site, self.elsewhere
        job = shop.jobs[0].job_id
        for text, *wanted in (
                (shop.url, shop), (f"{shop.url}/attempts/1", shop), (f"{shop.url}/attempts/2",),
                (f"  <{shop.url[8:]}?pr=7#step:3:1>", shop), (f"{shop.url}/job/{job}#step:3:1", shop),
                (elsewhere.url, elsewhere), (f"https://github.com/acme/shop/actions/runs/{elsewhere.run_id}",),
                (f"https://github.com/acme/shop/runs/{job}", shop), (job, shop), (job + 1_000_000_000,),
                (f"https://api.github.com/repos/acme/shop/actions/jobs/{job}", shop),
                (shop.run_id, shop), (f"{shop.run_id}/1", shop), (f"{shop.run_id}/2",),
                (expect.Ids(shop.run_id).trace, shop), ("f" * 32,),
                (f"http://jaeger:16686/trace/{expect.Ids(site.run_id).trace}?x=y", site),
                (f"http://localhost:9465/#/runs/{site.run_id}/1", site),
                ("#3129", shop), ("3129", shop), ("#312",),
                ("https://github.com/acme/shop/pull/77", shop), ("github.com/acme/shop/pull/77/files", shop),
                ("https://github.com/acme/shop/pull/7",), ("https://github.com/acme/site/pull/77",),
                (shop.head_sha, shop), ("9fceb02", shop), ("9fceb03",),
                (f"https://github.com/acme/shop/commit/{shop.head_sha}", shop),
                ("https://github.com/acme/shop/actions/workflows/nightly.yml", shop),
                ("https://github.com/acme/shop/actions/workflows/deploy.yml",),
                ("https://github.com/acme/shop", shop), ("https://ghe.example.com/acme/shop", elsewhere),
                ("https://github.com/acme/shop/tree/feature/cart", shop), ("https://github.com/acme/shop/tree/main",),
                ("acme/shop", shop, elsewhere), ("ACME", shop, site, elsewhere), ("feature/cart", shop), ("@mona", shop),
                ("mona", shop), ("hubot deploy", site), ("nightly ✓ mona timed_out", shop), ("nightly deploy",),
                ("der Äpfel", shop), ("failed", shop), ("no such thing",)):
            with self.subTest(text=text):
                self.assert_finds(str(text), *wanted)

    def test_the_answer_says_what_the_search_was_understood_as(self):
        for text, kind in ((self.shop.url, "run"), ("acme", "words"), (self.shop.head_sha, "commit"), ("f" * 32, "trace"),
                           ("https://github.com/acme/shop/pull/77", "pull_request"), ("https://github.com/acme/shop", "repository"),
                           ("https://github.com/acme/shop/runs/5", "job"),
                           ("https://github.com/acme/shop/actions/workflows/x.yml", "workflow")):
            self.assertEqual(search(self.daemon, text)["search"]["kind"], kind, text)
        self.assertEqual(search(self.daemon, f"{self.shop.url}/job/5")["direct"][0]["job_id"], "5")
        self.assertEqual(search(self.daemon, str(self.shop.jobs[0].job_id))["runs"][0]["job_id"], str(self.shop.jobs[0].job_id))
        self.assertEqual(search(self.daemon, "9FCEB02")["search"]["commit"], "9FCEB02")
        self.assertNotIn("search", get_json(self.daemon, "/api/runs"))

    def test_open_runs_match_too(self):
        for text in ("open", "acme/shop", self.opened.run_id, self.open_job.job_id, self.opened.url, self.opened.head_sha,
                     "https://github.com/acme/shop/pull/78", "https://github.com/acme/shop",
                     "https://github.com/acme/shop/actions/workflows/open.yml"):
            with self.subTest(text=text):
                self.assert_finds(str(text), self.opened, state="open")
        for text in ("nightly", self.open_job.job_id + 1_000_000_000, "https://github.com/acme/shop/pull/7"):
            with self.subTest(text=text):
                self.assert_finds(str(text), state="open")

    def command(self, *arguments):
        """What `ghatrace runs` prints, from the store and from the daemon, which is the same."""
        for _ in range(8):  # ages are in seconds
            here = self.daemon.command("runs", *arguments, env={"LC_ALL": "C.UTF-8"})
            there = harness.run_command("runs", *arguments, "--url", f"http://127.0.0.1:{self.daemon.admin_address[1]}",
                                        env={"LC_ALL": "C.UTF-8"})
            self.assertEqual([(shown.returncode, shown.stderr) for shown in (here, there)], [(0, "")] * 2, arguments)
            if "--json" in arguments:
                return [[run["run_id"] for run in json.loads(shown.stdout)["runs"]] for shown in (here, there)]
            if here.stdout == there.stdout:
                break
        self.assertEqual(here.stdout, there.stdout)
        return here.stdout

    def test_the_command_has_github_s_words_for_results(self):
        self.assertIn("timed out", self.command("--search", self.shop.head_sha))

    def test_the_command_finds_what_the_page_finds(self):
        shop, site, elsewhere, opened = self.shop, self.site, self.elsewhere, self.opened
        for text, *wanted in ((shop.url, shop), (shop.jobs[0].job_id, shop), (shop.run_id, shop), ("#3129", shop), (3129, shop),
                              (expect.Ids(site.run_id).trace, site), (shop.head_sha[:9], shop), ("mona", shop), ("der Äpfel", shop),
                              (opened.url, opened), (f"{opened.url}/job/{self.open_job.job_id}", opened), (self.open_job.job_id, opened),
                              ("acme/shop", opened, elsewhere, shop), ("nightly ✓ mona timed_out", shop), ("no such thing",),
                              (f"{shop.run_id}/2",)):
            with self.subTest(text=text):
                self.assertEqual(self.command("--search", text, "--json"), [[str(run.run_id) for run in wanted]] * 2)
        shown = self.command("--search", "acme/shop")
        self.assertRegex(shown, rf"running .* test .* {opened.run_id}/1")
        for words in ("Nightly", "Elsewhere"):
            self.assertIn(words, shown)
        self.assertNotIn("Deploy", shown)
        self.assertIn("No finished run matches", self.command("--search", "no such thing"))
        for filters, *wanted in ((["--failed"], shop), (["--open"], opened), (["--limit", "1"], opened, elsewhere),
                                 (["--workflow", "ELSE"], elsewhere), (["--since", "250s"], elsewhere)):
            self.assertEqual(self.command("--search", "acme/shop", "--json", *filters), [[str(run.run_id) for run in wanted]] * 2)
        long = harness.run_command("runs", "--search", "zz " * 700, "--url", f"http://127.0.0.1:{self.daemon.admin_address[1]}")
        self.assertEqual((long.returncode, long.stdout), (2, ""))
        self.assertIn("too long", long.stderr)

    def test_the_filters_take_githubs_words_for_results(self):
        for result in ("timed_out", "timeout"):
            runs = get_json(self.daemon, f"/api/runs?result={result}")["runs"]
            self.assertEqual([run["run_id"] for run in runs], [str(self.shop.run_id)])

    def test_a_long_search_is_answered(self):
        for text in ("zz " * 700, "/" * 2000, "https://" + "a/" * 700, "%" * 2000):
            self.assertEqual(search(self.daemon, text)["runs"], [], text[:20])


class Failures(harness.BlackBoxTest):
    def setUp(self):
        self.daemon = self.new_daemon(root_grace="0s")

    def failures(self, window="24h"):
        return get_json(self.daemon, f"/api/failures?window={window}")

    def test_what_fails_everywhere_is_first_and_says_since_when(self):
        shop = Repository("acme/shop")
        good = ended_run(900, repository=shop, workflow="CI")
        bad = [failed_run(age, branch, repository=shop, workflow="CI", job=job)
               for age, branch, job in ((800, "main", "test (3.13)"), (700, "cart", "test (3.14)"), (600, "tax", "test (3.14)"))]
        alone = [failed_run(age, "wip", repository=shop, workflow="Lint", step="ruff") for age in (500, 400, 300, 200)]
        others = [ended_run(100, repository=shop, workflow="Lint")]
        events = [good, *bad, *alone, *others]
        random.Random(3).shuffle(events)
        finish(self.daemon, *events)
        answer = self.failures()
        self.assertEqual((answer["runs"], answer["failed"], answer["detailed"], answer["more"]), (9, 7, 7, False))
        first, second = answer["failures"]
        self.assertEqual((first["workflow"], first["job"], first["step"]), ("CI", "test (…)", "Run tests"))
        self.assertTrue(first["everywhere"])
        self.assertEqual((first["failed"], first["workflow_runs"], first["failed_since"], first["branches_failing"], first["branches"]),
                         (3, 4, 3, 3, 3))
        ends = {run["run_id"]: run["ended_at"] for run in get_json(self.daemon, "/api/runs")["runs"]}
        self.assertEqual(first["failing_since"], ends[str(bad[0].run_id)])
        self.assertEqual(first["last_success_at"], ends[str(good.run_id)])
        self.assertEqual([run["run_id"] for run in first["recent"]], [str(run.run_id) for run in reversed(bad)])
        self.assertEqual((second["workflow"], second["everywhere"], second["branches_failing"], second["branches"], second["failed_since"]),
                         ("Lint", False, 1, 2, 4))
        self.assertEqual(self.failures("10m")["failures"][0]["failed"], 4)  # of Lint: those of the last ten minutes

    def test_a_lost_runner_is_one_line_for_all_workflows(self):
        lost = []
        for age, workflow in ((300, "CI"), (200, "Deploy")):
            run = Run(age=age + 60, conclusion="failure", workflow=workflow)
            run.job("test", duration=40).lost("Run tests")
            run.updated = run.created + 60
            lost.append(run)
        refused = Run(age=100, conclusion="failure", workflow="Refused")
        refused.job("test").refused()
        refused.updated = refused.created + 10
        finish(self.daemon, *lost, refused)
        found = {row["error_type"]: row for row in self.failures()["infrastructure"]}
        self.assertEqual((found["runner_lost"]["jobs"], found["runner_lost"]["workflows"]), (2, 2))
        self.assertEqual([run["run_id"] for run in found["runner_lost"]["recent"]], [str(run.run_id) for run in reversed(lost)])
        self.assertEqual(found["not_started"]["jobs"], 1)
        self.assertEqual({group["error_type"] for group in self.failures()["failures"]}, {"runner_lost", "not_started"})

    def test_without_failures_there_is_nothing(self):
        finish(self.daemon, ended_run(100))
        answer = self.failures()
        self.assertEqual((answer["failures"], answer["infrastructure"], answer["runs"], answer["failed"]), ([], [], 1, 0))
        for wrong in ("0s", "36d", "x", "-1h"):
            self.assertEqual(self.daemon.admin(f"/api/failures?window={wrong}").status, 400, wrong)
