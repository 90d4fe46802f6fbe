"""The list of finished runs, the search, and the view of failures, in a real browser."""
import expect
import test_page
from ended_runs import ended_run, failed_run, finish
from payloads import Repository, Run
from scenes import HOSTILE, hostile_run

ROWS = "return document.querySelectorAll('[aria-label=\"Finished runs\"] tbody tr').length"
LISTED = "return [...document.querySelectorAll('[aria-label=\"Finished runs\"] tbody a')].map((a) => a.hash.split('/')[2])"


class RunsTest(test_page.PageTest):
    def wait_for_rows(self, browser, count):
        browser.wait(f"{ROWS} === arguments[0]", count)

    def search(self, browser, text):
        browser.run("const q = document.querySelector('input[name=q]'); q.value = arguments[0];"
                    "q.dispatchEvent(new Event('input', {bubbles: true})); q.focus()", text)


class List(RunsTest):
    def test_runs_are_listed_by_their_ends_with_the_time_and_githubs_words(self):
        daemon = self.new_daemon(root_grace="0s")
        runs = [ended_run(age, conclusion=conclusion) for age, conclusion in
                ((3 * 86400, "timed_out"), (60, "cancelled"), (600, "skipped"), (300, "success"))]
        finish(daemon, *runs)
        for width, dark in ((1280, False), (390, True)):
            browser = self.page(daemon, "#/runs", width=width, dark=dark)
            self.wait_for_rows(browser, 4)
            self.assertEqual(browser.run(LISTED), [str(runs[i].run_id) for i in (1, 3, 2, 0)])
            states = browser.run("return [...document.querySelectorAll('td .state')].map((e) => e.innerText)")
            self.assertEqual(states, ["cancelled", "success", "skipped", "timed out"])
            ends = browser.run("return [...document.querySelectorAll('tbody time')].map((e) => e.innerText)")
            self.assertRegex(ends[0], r"^\d\d:\d\d$")
            self.assertRegex(ends[3], r"^\d+ \w+,? \d\d:\d\d$")
            self.expect_readable(browser, width)

    def test_the_address_keeps_the_search_and_how_many_pages_are_loaded(self):
        daemon = self.new_daemon(root_grace="0s")
        finish(daemon, *(ended_run(60 + age) for age in range(110)))
        browser = self.page(daemon, "#/runs?workflow=build")
        self.wait_for_rows(browser, 50)
        browser.click("main > div > p:last-child button")
        self.wait_for_rows(browser, 100)
        self.assertIn("workflow=build", browser.run("return location.hash"))
        self.assertIn("pages=2", browser.run("return location.hash"))
        before = browser.run(LISTED)
        browser.run("location.reload()")
        self.wait_for_rows(browser, 100)
        self.assertEqual(browser.run(LISTED), before)
        self.assertEqual(browser.run("return document.querySelector('input[name=workflow]').value"), "build")

    def test_newer_runs_appear_without_moving_what_is_read(self):
        daemon = self.new_daemon(root_grace="0s")
        finish(daemon, *(ended_run(100 + age) for age in range(40)))
        browser = self.page(daemon, "#/runs")
        self.wait_for_rows(browser, 40)
        finish(daemon, ended_run(90))
        self.wait_for_rows(browser, 41)  # at the top they appear by themselves
        browser.run("scrollTo(0, 600)")
        browser.wait("return scrollY > 500")
        place = "return document.querySelectorAll('tbody tr')[20].getBoundingClientRect().top"
        before, text = browser.run(place), browser.run("return document.querySelectorAll('tbody tr')[20].innerText")
        late, last = ended_run(95), ended_run(10)
        finish(daemon, late, last)
        browser.wait_for_text("2 newer runs: show", "button.newer")
        self.assertEqual((browser.run(place), browser.run("return document.querySelectorAll('tbody tr')[20].innerText")), (before, text))
        browser.click("button.newer")
        self.wait_for_rows(browser, 43)
        self.assertEqual(browser.run(LISTED)[0], str(last.run_id))
        self.assertEqual(browser.run(LISTED)[2], str(late.run_id))
        self.assertEqual(browser.run("return scrollY"), 0)

    def test_a_run_that_ends_takes_neither_focus_nor_selection(self):
        daemon = self.new_daemon(root_grace="0s")
        finish(daemon, *(ended_run(100 + age) for age in range(5)))
        browser = self.page(daemon, "#/runs")
        self.wait_for_rows(browser, 5)
        browser.run("document.querySelectorAll('tbody a')[1].focus()")
        focused = browser.run("return document.activeElement.hash")
        finish(daemon, ended_run(20))
        browser.wait_for_text("1 newer run: show", "button.newer")
        self.assertEqual(browser.run("return document.activeElement.hash"), focused)
        browser.run("document.activeElement.blur(); getSelection().selectAllChildren(document.querySelectorAll('tbody tr')[2])")
        finish(daemon, ended_run(15))
        browser.wait_for_text("2 newer runs: show", "button.newer")
        self.assertNotEqual(browser.run("return String(getSelection())"), "")


class Search(RunsTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="0s")
        cls.shop = ended_run(300, repository=Repository("acme/shop"), workflow="Nightly build")
        cls.shop.run_number = 3129
        finish(cls.daemon, cls.shop, ended_run(200, workflow="Deploy"))
        cls.opened = Run(age=50, repository=Repository("acme/shop"), workflow="Nightly open")
        cls.daemon.accept(cls.opened.requested(), cls.opened.in_progress())

    def test_enter_goes_to_what_was_pasted(self):
        job = self.shop.jobs[0].job_id
        browser = self.page(self.daemon, "#/runs")
        for text in (self.shop.url + "/job/5#step:2:1", str(self.shop.run_id), str(job), expect.Ids(self.shop.run_id).trace):
            with self.subTest(text=text):
                browser.run("location.hash = '#/runs'")
                self.wait_for_rows(browser, 2)
                self.search(browser, text)
                browser.press("Enter")  # before the answer has come
                browser.wait("return location.hash.startsWith(arguments[0])", f"#/runs/{self.shop.run_id}/1")

    def test_a_commit_leads_to_its_page_and_is_searched_among_the_runs(self):
        browser = self.page(self.daemon, f"#/runs?q={self.shop.head_sha}")
        browser.wait_for_text("Go to commit", ".go")
        self.assertEqual(browser.run("return document.querySelector('.go a').hash"), f"#/commits/{self.shop.head_sha}")
        self.wait_for_rows(browser, 1)

    def test_open_runs_that_match_are_above_the_finished_ones(self):
        for width, dark in ((1280, False), (390, True)):
            browser = self.page(self.daemon, "#/runs?q=acme/shop%20nightly", width=width, dark=dark)
            browser.wait_for_text("Nightly open", "section[aria-label='In progress']")
            self.wait_for_rows(browser, 1)
            self.assertEqual(browser.run(LISTED), [str(self.shop.run_id)])
            self.expect_readable(browser, width)
            self.search(browser, "deploy")
            browser.wait("return document.querySelector('section[aria-label=\"In progress\"]').hidden")

    def test_a_search_that_finds_nothing_says_so(self):
        browser = self.page(self.daemon, "#/runs?q=no+such+thing")
        browser.wait_for_text("No finished run matches.")
        browser.press("Enter")
        self.assertEqual(browser.run("return location.hash"), "#/runs?q=no+such+thing")


class Failures(RunsTest):
    def test_what_fails_everywhere_is_first_with_since_when(self):
        daemon, shop = self.new_daemon(root_grace="0s"), Repository("acme/shop")
        bad = [failed_run(age, branch, repository=shop, workflow="CI") for age, branch in ((800, "main"), (700, "cart"), (600, "tax"))]
        lost = Run(age=500, conclusion="failure", workflow="Deploy", repository=shop)
        lost.job("deploy", duration=40).lost("Roll out")
        lost.updated = lost.created + 60
        finish(daemon, ended_run(900, repository=shop, workflow="CI"), *bad, lost,
               failed_run(400, "wip", repository=shop, workflow="Lint", step="ruff"), ended_run(300, repository=shop, workflow="Lint"))
        for width, dark in ((1280, False), (390, True)):
            browser = self.page(daemon, "#/failures", width=width, dark=dark)
            browser.wait("return document.querySelectorAll('.failure-group').length === 4")
            text = browser.run("return [...document.querySelectorAll('.failure-group')].map((e) => e.innerText)")
            self.assertIn("test › Run tests", text[0])
            self.assertIn("1 job lost its runner", text[3])  # of one workflow only
            self.assertRegex(text[0], r"Fails on all 3 branches since \d\d:\d\d: all 3 runs; last success \d\d:\d\d\.")
            lint, = (part for part in text if "ruff" in part)
            self.assertRegex(lint, r"Fails on wip since \d\d:\d\d: 1 run; no success in this time; 1 other branch passes\.")
            self.expect_readable(browser, width)
        browser.click(".failure-group.everywhere .recent a")
        browser.wait("return location.hash.startsWith(arguments[0])", f"#/runs/{bad[2].run_id}/1")

    def test_the_window_is_in_the_address_and_an_empty_one_says_so(self):
        daemon = self.new_daemon(root_grace="0s")
        finish(daemon, failed_run(7200))
        browser = self.page(daemon, "#/failures?window=1h")
        browser.wait_for_text("No run failed in the last hour.")
        browser.click(".tabs a[href='#/failures?window=7d']")
        browser.wait_for_text("1 run of 1 failed in the last week.")
        self.assertEqual(browser.text("nav a[aria-current]"), "Failures")

    def test_names_are_shown_as_text(self):
        daemon = self.new_daemon(root_grace="0s")
        run = hostile_run()
        run.conclusion, run.head_branch = "failure", HOSTILE
        run.jobs[0].conclusion, run.jobs[0].steps = "failure", run.jobs[0].steps
        run.jobs[0].steps[2].conclusion = "failure"
        finish(daemon, run)
        for path in ("#/failures", "#/runs", "#/runs?q=img"):
            browser = self.page(daemon, path)
            browser.wait_for_text(HOSTILE, "main")
            self.assertFalse(browser.has_alert())
            self.assertEqual(browser.run("return document.querySelectorAll('img, main script').length"), 0)
            self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), 1280)
