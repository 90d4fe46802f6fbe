"""The page of one pool, and the ways that lead to it."""
import json
import time
import urllib.parse

import test_page
from payloads import Repository, Run
from scenes import CEILING, HOSTILE, dead_pool, full_ceiling, worked_off

JOBS = "section[aria-label=Jobs]"
ROWS = f"return document.querySelectorAll('{JOBS} tbody tr').length"
TABLES = """return [...document.querySelectorAll("section[aria-label='Who fills it'] table")].map((table) =>
    [...table.rows].map((row) => row.innerText.split(/\\s*[\\t\\n]\\s*/).join(' | ')))"""

# module("dom.js"): a module of the page, wherever the page has its files.
MODULE = "const module = (name) => import(new URL(name, document.querySelector('script[type=module]').src).href);"


def address_of(pool, query=""):
    return f"#/pools/{urllib.parse.quote(pool, safe='')}{query}"


def queued(count, label="gpu", age=3000, repository="acme/ml", workflow="Training", **kinds):
    """Jobs of one run that wait, one second after another."""
    run = Run(age=age, repository=Repository(repository), workflow=workflow)
    jobs = [run.job(f"train ({i})", offset=1 + i, **kinds) for i in range(count)]
    for job in jobs:
        job.labels = [label]
    return [job.queued() for job in jobs]


class PoolPage(test_page.PageTest):
    def with_scene(self, *events, **settings):
        daemon = self.new_daemon(runner_ceiling=CEILING, **settings)
        daemon.accept(*events)
        return daemon

    def pool(self, daemon, name, query="", **kinds):
        browser = self.page(daemon, address_of(name, query), **kinds)
        browser.wait("return document.querySelector('.pool-page .summary') && document.querySelector('.pool-page .summary').checkVisibility()")
        return browser

    def figures(self, browser):
        return dict(browser.run("return [...document.querySelectorAll('[data-figure]')].map((each) => [each.dataset.figure, each.lastElementChild.innerText])"))

    def test_a_dead_pool_says_since_when_what_to_do_and_who_waits(self):
        daemon = self.with_scene(*dead_pool(), *queued(3, "gpu-a100", 600, "acme/shop", "CI"))
        browser = self.pool(daemon, "gpu-a100")
        self.assertEqual(browser.text("h1"), "gpu-a100")
        self.assertRegex(browser.text(".summary"), r"^dead: nothing has started since \d\d:\d\d\s+See whether its runners are online .*Runners\)\.\s+If they are, .*labels\.$")
        found = self.figures(browser)
        self.assertEqual(found["queued"], "42")
        self.assertRegex(found["oldest"], r"^(39|40)m \d+s$")
        self.assertRegex(found["waits"], r"^\d+m \d+s / \d+m \d+s / (39|40)m \d+s$")
        self.assertEqual(found["running"], "0 / 1")
        self.assertRegex(found["start"], r"^\d\d:\d\d$")
        self.assertEqual(found["waiting"], "0")
        by_repository, by_workflow = browser.run(TABLES)
        self.assertEqual(by_repository, ["repository | queued | running", "acme/ml | 39 | 0", "acme/shop | 3 | 0"])
        self.assertEqual(by_workflow, ["workflow | queued | running", "Training | acme/ml | 39 | 0", "CI | acme/shop | 3 | 0"])
        self.assertEqual(browser.run(ROWS), 42)
        first = browser.text(f"{JOBS} tbody tr")
        self.assertRegex(first, r"^train\s+acme/ml · Training · main · on GitHub\s+(39|40)m \d+s\s+gpu-a100")
        links = browser.run(f"return [...document.querySelectorAll('{JOBS} tbody tr:first-child a')].map((a) => a.href)")
        self.assertIn("/#/runs/", links[0])
        self.assertRegex(links[1], r"^https://github\.com/acme/ml/actions/runs/\d+/job/\d+$")
        browser.wait("return document.querySelector('section[aria-label=History] path.queued_max')")

    def test_rows_of_the_first_screen_and_jobs_lead_to_the_page_of_their_pool(self):
        others = [["macos-15"], ["ubuntu-latest"], ["self-hosted", "linux", "x64"]]
        daemon = self.with_scene(*dead_pool(), *worked_off(others, 8, range(20, 2000, 90)))
        browser = self.page(daemon)
        browser.wait("return document.querySelector('.trouble h3 a')")
        jobs = "section[aria-label='Longest waiting jobs']"
        browser.wait(f"return document.querySelector(\"{jobs} tbody tr\")")
        for selector in (".trouble h3 a", f"{jobs} tbody td.optional a"):
            self.assertTrue(browser.run("return document.querySelector(arguments[0]).href", selector).endswith(address_of("gpu-a100")))
        browser.run("document.querySelector('.pools-now > details:last-of-type').open = true")
        self.assertEqual(set(browser.run("return [...document.querySelectorAll('.others tbody a')].map((a) => decodeURIComponent(a.hash))")),
                         {"#/pools/linux,self-hosted,x64", "#/pools/macos-15", "#/pools/ubuntu-latest"})
        browser.click(".trouble h3 a")
        browser.wait_for_text("dead: nothing has started since", ".pool-page .summary")

    def test_all_jobs_are_listed_page_by_page_and_stay_up_to_date(self):
        daemon = self.with_scene(*queued(120))
        browser = self.pool(daemon, "gpu")
        names = f"return [...document.querySelectorAll('{JOBS} tbody tr td:first-child > a')].map((a) => a.innerText)"
        self.assertEqual(browser.run(ROWS), 50)
        browser.run(f"document.querySelector('{JOBS} p:last-child button').focus()")
        for shown in (100, 120):
            browser.press("Enter")
            browser.wait(f"{ROWS} === arguments[0]", shown)
        self.assertEqual(browser.focused(), "train (100)")  # the button has gone
        self.assertEqual(browser.run(names), [f"train ({i})" for i in range(120)])
        self.assertFalse(browser.run(f"return document.querySelector('{JOBS} p:last-child button').checkVisibility()"))
        self.assertIn("120 of 120 are shown.", browser.text(JOBS))
        browser.run(f"document.querySelector('{JOBS} tbody tr:nth-child(110) a').focus()")
        run = Run(age=4000)
        older = run.job("older")
        older.labels = ["gpu"]
        daemon.accept(older.queued())
        browser.wait(f"{ROWS} === 121")
        self.assertEqual(browser.run(names)[:2], ["older", "train (0)"])
        self.assertEqual(browser.focused(), "train (109)")  # rows are kept

    def test_jobs_of_another_state_are_chosen_and_the_address_keeps_what_is_chosen(self):
        run = Run(age=900)
        job = run.job("build")
        job.labels, job.runner_name = ["gpu"], "runner-7"
        daemon = self.with_scene(*queued(3), job.queued(), job.in_progress())
        browser = self.pool(daemon, "gpu")
        self.assertEqual(browser.run(f"return [...document.querySelectorAll('{JOBS} [data-state]')].map((one) => one.innerText)"),
                         ["queued 3", "running 1", "waiting for approval 0"])
        browser.click("[data-state=running]")
        browser.wait_for_text("runner-7", JOBS)
        browser.click("[data-window='7d']")
        browser.wait("return location.hash.includes('window=7d')")
        self.assertIn("state=running", browser.run("return location.hash"))
        browser.command("Page.reload")
        browser.wait_for_text("runner-7", JOBS)
        self.assertEqual(browser.run("return [...document.querySelectorAll('[aria-pressed=true]')].map((one) => one.innerText)"), ["week", "running 1"])
        browser.click("[data-state=waiting]")
        browser.wait_for_text("No job of this pool is waiting for approval.", JOBS)

    def test_a_pool_at_a_ceiling_says_that_more_runners_would_not_help(self):
        daemon = self.with_scene(*full_ceiling())
        browser = self.pool(daemon, "ubuntu-latest")
        self.assertRegex(browser.text(".summary"), r'^held back by the ceiling "hosted" since \d\d:\d\d\s+Cancel unneeded runs, or .*\s+More runners of these pools would not help; .*\s+Ceiling "hosted" \(configured\): 12 of 12 run, ')
        browser.click("section[aria-label='What if'] button")
        browser.wait_for_text("More runners would not help now: the pool is at a ceiling.", "section[aria-label='What if']")
        browser.wait_for_text('Its jobs count towards the ceiling "hosted" of 12 running jobs', "section[aria-label='What if']")

    def test_what_if_is_a_table_that_is_made_on_demand_and_agrees_with_the_api(self):
        daemon = self.with_scene(*worked_off([["gpu"]], 4, range(400, 3600, 20), length=90))
        first = json.loads(daemon.admin("/api/pools/gpu/whatif").body)
        browser = self.pool(daemon, "gpu")
        section = "section[aria-label='What if']"
        self.assertNotIn("half at most", browser.text(section))
        browser.click(f"{section} button")
        was = first["was"]["runners"]
        wanted = [f"as it was, at most {was} busy", f"{was}, replayed",
                  *map(str, sorted({was + 1, was + 2, -(-was * 5 // 4), 2 * was, first["fewest_runners"]} - {was}))]
        browser.wait(f"return document.querySelectorAll(\"{section} tbody tr\").length === arguments[0]", len(wanted))
        browser.wait(f"return !document.querySelector(\"{section} [aria-disabled]\")")
        rows = browser.run(f"return [...document.querySelectorAll(\"{section} tbody tr\")].map((row) => [...row.cells].map((cell) => cell.innerText))")
        self.assertEqual([row[0] for row in rows], wanted)
        self.assertIn(f"The fewest runners with which 90 % wait at most 1m 0s: {first['fewest_runners']}.", browser.text(section))
        self.assertRegex(browser.text(section), r"The model (explains|does not explain) the recorded p90")
        p90 = json.loads(daemon.admin(f"/api/pools/gpu/whatif?runners={was + 2}").body)["would_be"]["p90_seconds"]
        self.assertEqual(rows[wanted.index(str(was + 2))][2], browser.run(MODULE + "return module('dom.js').then(({duration}) => duration(arguments[0]))", p90))
        self.assertEqual(browser.run(test_page.PALE_TEXTS), [])

    def test_what_if_waits_while_the_daemon_replays_for_somebody_else(self):
        daemon = self.with_scene(*worked_off([["gpu"]], 2, range(400, 3600, 60), length=90))
        browser = self.pool(daemon, "gpu")
        browser.run("""
            let refused = 0;
            const real = fetch;
            window.fetch = (path, options) => String(path).includes('whatif') && refused++ < 2
                ? Promise.resolve(new Response('{"error":"another such request is in progress, try again later"}', {status: 503})) : real(path, options);""")
        browser.click("section[aria-label='What if'] button")
        browser.wait_for_text("The daemon replays for somebody else", "section[aria-label='What if']")
        browser.wait_for_text("as it was, at most", "section[aria-label='What if'] table")

    def test_numbers_of_runners_are_asked_for_once_each_and_pages_are_joined_without_doubles(self):
        browser = self.page(self.new_daemon())
        ask = MODULE + "return module('whatif.js').then(({runnersToAsk}) => runnersToAsk(...arguments[0]))"
        for was, fewest, wanted in ((4, 5, [5, 6, 8]), (1, 1, [2, 3]), (0, 3, [1, 2, 3]), (40, 12, [12, 41, 42, 50, 80]), (0, 0, [1, 2])):
            self.assertEqual(browser.run(ask, [was, fewest]), wanted)
        joined = browser.run(MODULE + """
            const job = (job_id) => ({server: "github.com", job_id});
            return module('pool_jobs.js').then(({refreshed}) => [[["a", "b"], null], [["b", "x"], "p"], [["a", "b", "c"], "p"]].map(([ids, next]) => {
                const found = refreshed(["a", "b", "c"].map(job), {jobs: ids.map(job), next}, "q");
                return [found.jobs.map((each) => each.job_id).join(""), found.next];
            }));""")
        self.assertEqual(joined, [["ab", None], ["bxc", "q"], ["abc", "p"]])

    def test_a_pool_that_is_not_there_any_more_says_so(self):
        daemon = self.with_scene(*queued(1))
        browser = self.page(daemon, address_of("gone, with comma"))
        browser.may_complain = True  # of the 404
        browser.wait_for_text("There is no pool gone, with comma here")
        self.assertFalse(browser.run("return document.querySelector('.pool-page .figures').checkVisibility()"))
        browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/{address_of('gpu')}")
        browser.wait_for_text("longest in the queue")

    def test_odd_and_hostile_names_stay_text_and_find_their_pool(self):
        names = [HOSTILE, "a/b", "a/jobs", "..", "100%", "what?#if", '"><script>alert(2)</script>', "javascript:alert(3)"]
        events = [event for i, name in enumerate(names) for event in queued(2, name, 1000 + i, workflow=HOSTILE)]
        daemon = self.with_scene(*events)
        browser = self.page(daemon)
        for pool in [pool["pool"] for pool in json.loads(daemon.admin("/api/pools").body)["pools"]]:
            with self.subTest(pool=pool):
                browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/{address_of(pool)}")
                browser.wait("return document.querySelector('h1').innerText === arguments[0] && document.querySelector('.pool-page .summary').checkVisibility()", pool)
                browser.wait(f"{ROWS} === 2")
                self.assertIn(HOSTILE, browser.text(JOBS))
                self.assertEqual(browser.run("return document.querySelectorAll('main img, main script').length"), 0)
                self.assertFalse(browser.has_alert())

    def test_the_page_is_readable_light_and_dark_wide_and_narrow_and_nothing_jumps(self):
        daemon = self.with_scene(*dead_pool(), *queued(2, "gpu-a100", 500, "acme/" + "very-long-name-" * 5, "A workflow with a long name"))
        for kinds in ({"width": 1300, "dark": True}, {"width": 390, "height": 800}):
            with self.subTest(**kinds):
                browser = self.pool(daemon, "gpu-a100", **kinds)
                self.expect_readable(browser, kinds["width"])

    def test_a_group_of_equal_jobs_shows_some_of_them_and_leads_to_all(self):
        daemon = self.with_scene(*queued(70))
        browser = self.page(daemon)
        jobs = "section[aria-label='Longest waiting jobs']"
        browser.wait(f"return document.querySelector(\"{jobs} button.fold\")")
        self.assertRegex(browser.text(f"{jobs} tbody"), r"^train\s+× 70\s")
        browser.click(f"{jobs} button.fold")
        browser.wait(f"return document.querySelectorAll(\"{jobs} tbody tr\").length === 52")
        self.assertEqual(browser.text(f"{jobs} tbody tr:last-child"), "All jobs of gpu")
        browser.click(f"{jobs} tbody tr:last-child a")
        browser.wait_for_text("longest in the queue", ".pool-page")


if __name__ == "__main__":
    import unittest
    unittest.main()
