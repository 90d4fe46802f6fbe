"""The live page in a real browser, on the real daemon."""
import json
import time

import harness
from collector import Answer, refused
from expect import ids_of  # noqa: F401  (the harness wants its folder in the path)
from payloads import Repository, Run, ping
from proxies import PROGRAMS, HoldingProxy, Proxy, missing
from sending import arc_spans, send
from scenes import CEILING, HOSTILE, dead_pool, finished_run, flood, forty_runs, full_ceiling, hostile_run, incident, many_finished, quiet_day, set_pool, worked_off
from webdriver import Browser, borrow, give_back


class PageTest(harness.BlackBoxTest):
    def page(self, daemon, path="", **kinds):
        browser = borrow(**kinds)
        self.addCleanup(give_back, browser)
        return self.show(browser, daemon.admin_address[1], path)

    def page_at(self, port, path="", **kinds):
        """In a browser of its own, as some proxies do not stop while a browser is connected."""
        browser = Browser(**kinds)
        self.addCleanup(browser.quit)
        return self.show(browser, port, path)

    def show(self, browser, port, path):
        browser.open(f"http://127.0.0.1:{port}/{path}")
        browser.wait("return document.querySelector('#health').innerText !== ''", what="the first events")
        self.addCleanup(self.no_complaints, browser)
        return browser

    def expect_readable(self, browser, width):
        self.assertLessEqual(browser.run(LAYOUT_SHIFT), 0.1)
        self.assertEqual(browser.run(PALE_TEXTS), [])
        self.assertEqual(browser.run(SKIPPED_HEADINGS), [])
        self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), width)

    def no_complaints(self, browser):
        if not getattr(browser, "may_complain", False):
            self.assertEqual(browser.complaints(), [])


class Now(PageTest):
    def test_an_empty_page_shows_what_to_do_next(self):
        daemon = self.new_daemon()
        browser = self.page(daemon)
        browser.wait_for_text("No delivery was received yet.")
        text = browser.text("main")
        self.assertIn(f":{daemon.address[1]}/webhook", text)
        self.assertIn("Workflow jobs", text)
        browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/#/runs")
        browser.wait_for_text("No finished run is in the store.")
        browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/#/latency")
        browser.wait_for_text("No job was taken by a runner")

    def test_the_last_reports_of_arc_are_listed_where_there_is_a_listener_and_names_stay_text(self):
        daemon = self.new_daemon(otlp_listen="127.0.0.1:0", arc_runners="*")
        run = Run()
        known, unknown = run.job("known"), Run().job("<img src=x onerror=alert(1)>")
        for job in (known, unknown):
            job.labels, job.runner_name = ["arc-linux"], f"arc-{job.job_id}"
        daemon.accept(*run.timeline())
        browser = self.page(daemon)
        browser.wait_for_text("None since the start.", "[aria-label='Reports of ARC']")
        for job in (known, unknown):
            self.assertEqual(send(daemon, arc_spans(job, job.created + 2)).status, 200)
        browser.wait_for_text("held", "[aria-label='Reports of ARC']")
        text = browser.text("[aria-label='Reports of ARC']")
        for part in ("known", "matched", "<img src=x onerror=alert(1)>", known.runner_name):
            self.assertIn(part, text)
        self.assertIn(f"#/runs/{run.run_id}/1", browser.run(
            "return document.querySelector(\"[aria-label='Reports of ARC'] tr:nth-child(2) a\").href"))
        without = self.new_daemon()
        other = self.page(without)
        other.wait_for_text("No delivery was received yet.")
        self.assertNotIn("Last reports of ARC", other.text("main"))

    def state_of(self, browser, subject):
        return browser.text(f"[data-setup={subject}] .state")

    def test_a_wrong_secret_and_a_wrong_path_are_shown_on_the_empty_page_until_they_are_right(self):
        daemon = self.new_daemon()
        browser = self.page(daemon)
        browser.wait_for_text("Is it set up right?")
        self.assertEqual([self.state_of(browser, subject) for subject in ("secret", "path", "events", "delivery", "export")],
                         ["unknown", "unknown", "unknown", "unknown", "ok"])
        for _ in range(3):
            self.assertEqual(daemon.deliver(Run().requested(), secret="another").status, 401)
        browser.wait_for_text("Deliveries are refused.")
        self.assertNotIn("No delivery was received yet", browser.text("main"))
        browser.wait_for_text("3 deliveries were refused since", "[data-setup=secret]")
        self.assertEqual(self.state_of(browser, "secret"), "wrong")
        self.assertIn("from 127.0.0.1", browser.text("[data-setup=secret]"))
        self.assertEqual(self.state_of(browser, "path"), "ok")
        self.assertIn("3 requests refused, no delivery accepted", browser.text("#health"))
        with daemon.client() as client:
            self.assertEqual(client.deliver(Run().requested(), path="/hooks/%3Cimg%20src=x%3E").status, 404)
        browser.wait_for_text("The last was for /hooks/%3Cimg", "[data-setup=path]")
        self.assertIn("must lead to /webhook", browser.text("[data-setup=path]"))
        daemon.accept(Run().requested())
        browser.wait("return document.querySelector('[data-tile=open_runs] dd').innerText === '1'")
        self.assertEqual(browser.run("return document.querySelectorAll('[data-setup]').length"), 0)

    def test_the_facts_of_a_ping_are_shown_on_the_empty_page(self):
        daemon = self.new_daemon()
        browser = self.page(daemon, width=390)
        half = ping().edited(lambda document: document["hook"]["events"].remove("workflow_run"))
        self.assertEqual(daemon.deliver(half).status, 200)
        browser.wait_for_text("The webhook works; no event of a job or run was received yet.")
        self.assertEqual(self.state_of(browser, "events"), "wrong")
        self.assertIn("Workflow runs is not ticked", browser.text("[data-setup=events]"))
        self.assertEqual(daemon.deliver(ping()).status, 200)
        browser.wait_for_text("Workflow jobs and Workflow runs are ticked.", "[data-setup=events]")
        self.assertEqual(self.state_of(browser, "events"), "ok")
        self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), 390)

    def test_what_happens_is_seen_without_reloading(self):
        daemon = self.new_daemon()
        browser = self.page(daemon)
        run = Run(age=30)
        job = set_pool(run.job("build", queue=8, duration=500), 1)
        daemon.accept(run.requested(), job.queued())
        browser.wait("return document.querySelector('[data-tile=queued] dd').innerText === '1'")
        browser.wait_for_text("1 pool: 1 queued, 0 running", "section[aria-label=Pools]")
        browser.wait_for_text("build", "section[aria-label='Longest waiting jobs']")
        daemon.accept(job.in_progress())
        browser.wait("return document.querySelector('[data-tile=running] dd').innerText === '1'")
        self.assertEqual(browser.text("[data-tile=queued] dd"), "0")
        browser.wait("return document.querySelector('article.run .bar.execution.growing, article.run .bar.startup.growing')")
        job.completed_at = int(time.time())
        run.updated = job.completed_at
        daemon.accept(job.completed(), run.completed())
        browser.wait_for_text("Nothing is queued and nothing runs.")

    def test_bars_of_open_jobs_grow_by_themselves(self):
        daemon = self.new_daemon()
        run = Run(age=20)
        daemon.accept(run.requested(), run.job("build").queued())
        browser = self.page(daemon)
        browser.wait("return document.querySelector('article.run .total')")
        first = browser.text("article.run .total")
        browser.wait("return document.querySelector('article.run .total').innerText !== arguments[0]", first)

    def test_forty_runs_in_progress_are_shown(self):
        daemon = self.new_daemon()
        daemon.accept(*forty_runs(jobs=6))
        browser = self.page(daemon)
        browser.wait("return document.querySelectorAll('article.run').length === 40")
        browser.run("for (const card of document.querySelectorAll('article.run')) card.scrollIntoView()")
        browser.wait("document.querySelector('article.run:not(:has(.bar))')?.scrollIntoView(); return document.querySelectorAll('article.run .bar').length > 200")

    def test_the_page_finds_the_daemon_again_after_a_restart(self):
        daemon = self.new_daemon(admin_listen="127.0.0.1:0")
        browser = self.page(daemon)
        browser.may_complain = True  # the console reports the lost connection
        daemon.settings["admin-listen"] = f"127.0.0.1:{daemon.admin_address[1]}"
        daemon.stop()
        browser.wait_for_text("connection lost", "#health")
        daemon.start()
        run = Run(age=10)
        daemon.accept(run.requested(), run.job().queued())
        browser.wait("return document.querySelector('[data-tile=queued] dd').innerText === '1'")
        browser.wait_for_text("live", "#health")

    def test_the_page_is_live_behind_the_usual_proxies(self):
        for name in PROGRAMS:
            with self.subTest(proxy=name):
                if missing(name):
                    self.skipTest(missing(name))
                daemon = self.new_daemon()
                proxy = Proxy(name, self.new_folder(), daemon.admin_address[1])
                self.addCleanup(proxy.stop)
                browser = self.page_at(proxy.port)
                browser.wait_for_text("live ·", "#health")
                run = Run(age=10)
                daemon.accept(run.requested(), run.job().queued())
                browser.wait("return document.querySelector('[data-tile=queued] dd').innerText === '1'")
                time.sleep(6)  # by then it would say so
                self.assertNotIn("no live updates", browser.text("#health"))
                self.assertIn("live ·", browser.text("#health"))

    def test_behind_a_proxy_that_holds_events_back_the_page_polls_and_shows_that_it_does(self):
        daemon = self.new_daemon()
        run = Run(age=10)
        daemon.accept(run.requested(), run.job("first").queued())
        proxy = HoldingProxy(daemon.admin_address[1])
        self.addCleanup(proxy.stop)
        browser = self.page_at(proxy.port)
        browser.wait("return document.querySelector('[data-tile=queued] dd').innerText === '1'")
        browser.wait_for_text("no live updates come through", "#health")
        daemon.accept(run.job("second").queued())
        browser.wait("return document.querySelector('[data-tile=queued] dd').innerText === '2'")
        proxy.let_go.set()
        browser.wait("return !document.querySelector('#health').innerText.includes('no live updates')")
        browser.wait_for_text("live ·", "#health")

    def test_dark_mode_and_a_narrow_screen(self):
        daemon = self.new_daemon()
        run, events = finished_run()
        daemon.accept(*forty_runs(jobs=3), *hostile_run().timeline(), *events)
        light = self.page(daemon)
        dark = self.page(daemon, width=390, height=800, dark=True)
        back = "return getComputedStyle(document.body).backgroundColor"
        self.assertNotEqual(light.run(back), dark.run(back))
        for path in ("#/", "#/runs", f"#/runs/{run.run_id}/1", "#/latency"):
            with self.subTest(path=path):
                dark.open(f"http://127.0.0.1:{daemon.admin_address[1]}/{path}")
                dark.wait("return document.querySelector('main > div')")
                dark.wait("return document.querySelector('article, tbody tr, .job-box, .empty')")
                self.assertLessEqual(dark.run("return document.documentElement.scrollWidth"), 390)


# Texts whose contrast with what is behind them is below 4.5:1, and headings that leave out a level.
PALE_TEXTS = """
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const colour = parse(getComputedStyle(e).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const found = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".skip-link, noscript")) continue;
        const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
        if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) found.add(element.outerHTML.slice(0, 120));
    }
    return [...found];"""
SKIPPED_HEADINGS = """
    const levels = [...document.querySelectorAll("h1, h2, h3, h4")].filter((h) => h.checkVisibility()).map((h) => +h.tagName[1]);
    return levels.filter((level, i) => level > (i === 0 ? 0 : levels[i - 1]) + 1);"""
LAYOUT_SHIFT = """
    return new Promise((done) => {
        let sum = 0;
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.value; }).observe({type: "layout-shift", buffered: true});
        setTimeout(() => done(sum), 800);
    });"""


class Pools(PageTest):
    def with_scene(self, *events, **settings):
        daemon = self.new_daemon(runner_ceiling=CEILING, **settings)
        daemon.accept(*events)
        return daemon

    def scope(self, browser):
        browser.wait("return document.querySelector('.pools-now[data-scope]')")
        return browser.run("return document.querySelector('.pools-now').dataset.scope"), browser.text(".scope")

    def rows(self, browser):
        return dict(browser.run("return [...document.querySelectorAll('.trouble')].map((row) => [row.dataset.pool, row.innerText])"))

    def test_pools_in_trouble_are_on_the_first_screen_the_worst_first(self):
        daemon = self.with_scene(*incident())
        browser = self.page(daemon)
        browser.wait("return document.querySelectorAll('.trouble svg.spark').length === 5")
        answer = json.loads(daemon.admin("/api/pools").body)
        rows = self.rows(browser)
        self.assertEqual(list(rows), [pool["pool"] for pool in answer["pools"] if pool["state"] != "ok"])
        self.assertEqual(list(rows)[:2], ["gpu-a100", "linux,self-hosted,x64"])
        self.assertRegex(rows["gpu-a100"], r"dead: nothing has started since \d\d:\d\d\s+See whether its runners are online")
        self.assertRegex(rows["gpu-a100"], r"queued\s+39\s+oldest\s+(39m|40m) \d+s\s+running / most\s+0 / 1\s+last start\s+\d\d:\d\d")
        self.assertRegex(rows["linux,self-hosted,x64"], r"busy since \d\d:\d\d")
        self.assertRegex(rows["ubuntu-latest"], r'held back by the ceiling "hosted" since \d\d:\d\d\s+Cancel unneeded runs, or .*More runners of these pools would not help')
        self.assertRegex(browser.text(".ceiling"), r'^Ceiling "hosted" \(configured\): 12 of 12 run, \d+ by acme/shop, \d+ by acme/\w+, \d+ by acme/\w+\. (Workflow "[^"]+" of \d+ repositor(y|ies) has \d+ of the 77 queued jobs|77 jobs are queued behind it)\.$')
        self.assertRegex(self.scope(browser)[1], r"^5 of 6 pools with jobs are in trouble: 1 dead, 1 busy, 3 held back by a ceiling; the worst is gpu-a100, where nothing has started since \d\d:\d\d\.$")
        self.assertRegex(browser.text("#health"), r"^live · last delivery \d+s ago$")  # and not twice
        self.assertFalse(browser.run("return document.querySelector('.sent').checkVisibility()"))
        self.assertRegex(browser.text(".summary .action"), r"^gpu-a100: See whether its runners are online")
        self.assertLess(browser.run("return [...document.querySelectorAll('.trouble')].at(-1).getBoundingClientRect().bottom"), 900)
        self.assertIn("queued at most 39, last 39", browser.run("return document.querySelector('svg.spark').getAttribute('aria-label')"))

    def test_on_a_quiet_day_the_pools_are_folded(self):
        daemon = self.with_scene(*quiet_day())
        browser = self.page(daemon)
        self.assertEqual(self.scope(browser), ("none", "No pool is in trouble."))
        self.assertEqual(browser.run("return document.querySelectorAll('.trouble').length"), 0)
        self.assertNotIn("Pools in trouble", browser.text("main"))
        self.assertNotIn("gpu-a100", browser.text(".pools-now"))
        browser.run("document.querySelector('.pools-now details:not([hidden]) summary').focus()")
        browser.press("Enter")
        browser.wait_for_text("gpu-a100", ".pools-now")

    def test_it_is_one_pool_one_repository_the_ceiling_or_everything(self):
        three = [event for label in ("one", "two", "three") for event in worked_off([[label]], 2, range(60, 2000, 100), stops=3000)]
        for kind, words, events in (("pool", "gpu-a100 is dead: ", dead_pool()),
                                    ("repository", ": 6 of 6 running and 34 of 42 queued jobs are its.", flood()),
                                    ("ceiling", 'The ceiling "hosted" (12 jobs at once) is reached since ', full_ceiling()),
                                    ("everything", "Everything waits: all 3 pools with jobs are in trouble: 3 dead", three)):
            with self.subTest(kind=kind):
                browser = self.page(self.with_scene(*events))
                found = self.scope(browser)
                self.assertEqual(found[0], kind, found)
                self.assertIn(words, found[1])

    def test_it_is_said_when_github_has_sent_nothing_for_long_although_jobs_are_open(self):
        daemon = self.with_scene(*dead_pool())
        browser = self.page(daemon)
        browser.wait_for_text("gpu-a100 is dead", ".scope")
        browser.run("""
            const parse = JSON.parse;
            JSON.parse = (text) => {
                const found = parse(text);
                if (found.last_delivery_at) found.last_delivery_at = new Date(Date.now() - 720e3).toISOString();
                return found;
            };""")
        daemon.accept(Run().requested())
        browser.wait_for_text("GitHub has sent nothing for 12m", ".sent")

    def test_names_of_pools_and_repositories_stay_text(self):
        daemon = self.with_scene(*worked_off([[HOSTILE]], 2, range(60, 2000, 100), stops=3000, name=HOSTILE, workflow=HOSTILE))
        browser = self.page(daemon)
        browser.wait("return document.querySelector('.trouble svg.spark')")
        self.assertIn(HOSTILE, browser.text(".trouble h3"))
        self.assertIn(HOSTILE, browser.text(".scope"))
        self.assertEqual(browser.run("return document.querySelectorAll('main img').length"), 0)
        self.assertFalse(browser.has_alert())

    def test_jobs_that_say_the_same_are_one_row_that_unfolds(self):
        daemon = self.with_scene(*dead_pool())
        legs = Run(age=30)
        daemon.accept(legs.requested(), *(set_pool(legs.job(f"test (3.{i})", queue=600), 1).queued() for i in range(3)),
                      set_pool(legs.job("lint", queue=600), 1).queued())
        browser = self.page(daemon)
        jobs = "section[aria-label='Longest waiting jobs']"
        rows = f"return [...document.querySelectorAll(\"{jobs} tbody tr\")].map((row) => row.innerText.replace(/\\s+/g, ' '))"
        browser.wait(f"return document.querySelectorAll(\"{jobs} tbody tr\").length === 3")
        train, test, lint = browser.run(rows)
        self.assertRegex(train, r"^train × 39 acme/ml · Training queued (39|40)m \d+s gpu-a100")
        self.assertRegex(test, r"^test × 3 ")
        self.assertRegex(lint, r"^lint ")
        browser.run("document.querySelector('button.fold').focus()")
        browser.press("Enter")
        browser.wait(f"return document.querySelectorAll(\"{jobs} tbody tr\").length === 42")
        self.assertEqual(browser.run("return document.activeElement.getAttribute('aria-expanded')"), "true")
        self.assertRegex(browser.run(rows)[1], r"^train acme/ml · Training · main · on GitHub queued")
        self.assertEqual(browser.run("return new Set([...document.querySelectorAll('.member a')].map((a) => a.href)).size"), 2 * 39 + 1)  # and the pool
        another = Run(age=5)
        daemon.accept(another.requested(), set_pool(another.job("lint", queue=600), 1).queued())
        browser.wait(f"{rows}.some((text) => text.startsWith('lint × 2 acme/rocket_engine · Build and test'))")  # what is unfolded stays so, and the focus where it is
        self.assertEqual(browser.run("return document.activeElement.getAttribute('aria-expanded')"), "true")
        browser.press("Space")
        browser.wait(f"return document.querySelectorAll(\"{jobs} tbody tr\").length === 3")
        other = Run(age=5, repository=Repository("acme/shop"))
        daemon.accept(other.requested(), set_pool(other.job("lint", queue=600), 1).queued())
        browser.wait(f"{rows}.some((text) => text.startsWith('lint × 3 2 of acme/rocket_engine, 1 of another repository '))")
        self.assertEqual(browser.run(PALE_TEXTS), [])

    def test_an_incident_is_readable_light_and_dark_wide_and_narrow_and_nothing_jumps(self):
        daemon = self.with_scene(*incident())
        for width, dark in ((1280, False), (390, True), (390, False)):
            with self.subTest(width=width, dark=dark):
                browser = self.page(daemon, width=width, dark=dark)
                browser.wait("return document.querySelectorAll('.trouble svg.spark').length === 5")
                self.expect_readable(browser, width)
                cut = "return [...document.querySelectorAll('.trouble dt, .trouble dd')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText)"
                self.assertEqual(browser.run(cut), [])


class Servers(PageTest):
    def test_runs_of_two_servers_with_one_number_are_two_runs(self):
        daemon = self.new_daemon()
        first = Run(age=60)
        second = Run(run_id=first.run_id, started=first.started, repository=Repository(server="git.example.com"))
        jobs = [run.job(name, job_id=77) for run, name in ((first, "of github"), (second, "of the other"))]
        daemon.accept(*(event for run, job in zip((first, second), jobs) for event in (run.requested(), job.queued())))
        browser = self.page(daemon)
        browser.wait("return document.querySelectorAll('article.run').length === 2")
        browser.wait("return document.querySelectorAll('tbody tr td:first-child a').length >= 2")
        browser.wait_for_text("git.example.com/acme/rocket_engine")
        self.assertEqual(browser.text().count("github.com/"), 0)
        for job, server in zip(jobs, ("", "git.example.com")):
            end = f"?server={server}" if server else f"#/runs/{first.run_id}/1"
            address = browser.run("return [...document.querySelectorAll('article.run a')].map((a) => a.href)"
                                  ".find((href) => href.endsWith(arguments[0]))", end)
            self.assertTrue(address, end)
            browser.open(address)
            browser.wait_for_text(job.name, "main")
            browser.wait_for_text(f"{server}/acme" if server else "acme/rocket_engine", "main")
            browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/")
            browser.wait("return document.querySelectorAll('article.run').length === 2")


class Runs(PageTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair()
        cls.runs, events = many_finished()
        cls.run_twice, more = finished_run()
        cls.daemon.accept(*events, *more)

    def rows(self, browser):
        return browser.run("return [...document.querySelectorAll('tbody tr')].map((row) => row.innerText)")

    def test_runs_are_searched_by_repository_workflow_branch_and_result(self):
        browser = self.page(self.daemon, "#/runs")
        browser.wait("return document.querySelectorAll('tbody tr').length >= 50")
        browser.type("input[name=repository]", "telemetry")
        browser.wait("return [...document.querySelectorAll('tbody tr')].every((row) => row.innerText.includes('telemetry'))")
        browser.type("input[name=workflow]", "docs")
        browser.wait("return document.querySelectorAll('tbody tr').length === 4 &&"
                     " [...document.querySelectorAll('tbody tr')].every((row) => row.innerText.includes('Docs'))")
        browser.press("Escape")
        browser.wait("return document.querySelectorAll('tbody tr').length >= 50")
        browser.type("select[name=result]", "failure")
        browser.wait("return [...document.querySelectorAll('tbody tr')].every((row) => row.innerText.includes('failure'))")
        self.assertEqual(len(self.rows(browser)), len([run for run in self.runs if run.conclusion == "failure"]) + 1)
        self.assertIn("result=failure", browser.run("return location.hash"))

    def test_a_search_can_be_linked_and_one_without_matches_can_be_cleared(self):
        browser = self.page(self.daemon, "#/runs?q=feature/8")
        browser.wait("return document.querySelectorAll('tbody tr').length === 1")
        browser.type("input[name=q]", " and nothing else")
        browser.wait_for_text("No finished run matches.")
        browser.click(".empty button")
        browser.wait("return document.querySelectorAll('tbody tr').length >= 50")
        self.assertEqual(browser.focused()[:6], "Search")

    def test_more_runs_come_on_demand(self):
        browser = self.page(self.daemon, "#/runs")
        browser.wait("return document.querySelectorAll('tbody tr').length === 50")
        browser.click("main p button")
        browser.wait("return document.querySelectorAll('tbody tr').length === arguments[0]", len(self.runs) + 2)
        ids = browser.run("return [...document.querySelectorAll('tbody tr a')].map((a) => a.hash)")
        self.assertEqual(len(ids), len(set(ids)))

    def test_a_slash_leads_to_the_search_from_anywhere(self):
        browser = self.page(self.daemon, "#/latency")
        browser.wait("return document.querySelector('article.pool')")
        browser.press("/")
        browser.wait("return document.activeElement.name === 'q'")

    def test_a_run_is_unfolded_by_mouse_and_by_keyboard(self):
        browser = self.page(self.daemon, f"#/runs/{self.run_twice.run_id}/1")
        browser.wait("return document.querySelectorAll('.job-box').length === 5")
        self.assertEqual(browser.text(".job-box:first-child .steps"), "")
        browser.click(".job-box button.job")
        browser.wait_for_text("Run actions/checkout@v4", ".job-box:first-child .steps")
        browser.press("ArrowDown", "Enter")
        browser.wait("return document.querySelectorAll('.steps').length === 3")  # with the failed job
        self.assertIn("test (3.12)", browser.focused())
        browser.press("Enter")
        browser.wait("return document.querySelectorAll('.steps').length === 2")

    def test_phases_the_critical_path_and_both_attempts_are_shown(self):
        browser = self.page(self.daemon, f"#/runs/{self.run_twice.run_id}/1")
        browser.wait_for_text("Attempts side by side")
        for phase in ("queue", "startup", "execution"):
            self.assertGreaterEqual(browser.run("return document.querySelectorAll('.job-box .bar.' + arguments[0]).length", phase), 4)
        self.assertIn("Critical path:", browser.text("main"))
        self.assertGreaterEqual(browser.run("return document.querySelectorAll('.job-box.critical').length"), 2)
        table = browser.text("table.compare")
        self.assertIn("carried over", table)
        self.assertIn("attempt 2", table)
        browser.click(".tabs a:nth-child(2)")
        browser.wait("return location.hash.endsWith('/2') && document.querySelector('.tabs a[aria-current]').innerText === 'attempt 2'")

    def test_the_failed_steps_of_a_job_are_shown(self):
        run = Run(age=1000, conclusion="failure")
        run.job("refused").refused(after=4)
        run.job("lost", queue=9, duration=90).lost("database", "unit")
        run.job("parallel", queue=9, duration=90).overlapping()
        self.daemon.accept(*run.timeline())
        browser = self.page(self.daemon, f"#/runs/{run.run_id}/1")
        browser.wait("return document.querySelectorAll('.job-box').length === 3")
        facts = browser.run("""
            const boxes = [...document.querySelectorAll('.job-box')];
            for (const box of boxes) if (!box.querySelector('.steps')) box.querySelector('button.job').click();
            return Object.fromEntries(boxes.map((box) => [box.querySelector('.name').innerText, box.querySelector('.facts').innerText]))""")
        self.assertIn("not started", facts["refused"])
        self.assertNotIn("execution", facts["refused"])
        self.assertIn("runner lost", facts["lost"])
        self.assertRegex(facts["parallel"], r"failed in\s+unit")
        self.assertEqual(browser.run("return [...document.querySelectorAll('.job-box .mark')].map((m) => m.innerText)"), ["✗"] * 3)

    def test_the_trace_id_can_be_copied(self):
        browser = self.page(self.daemon, f"#/runs/{self.run_twice.run_id}/1")
        browser.wait("return document.querySelector('main code')")
        browser.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        browser.click("button[aria-label='Copy the trace ID']")
        browser.wait_for_text("copied", "button[aria-label='Copy the trace ID']")
        self.assertEqual(browser.run("return navigator.clipboard.readText()"), browser.text("main code:has(+ button)"))

    def test_runner_latency_has_a_chart_for_each_pool(self):
        browser = self.page(self.daemon, "#/latency")
        browser.wait("return document.querySelectorAll('article.pool .time-chart').length >= 5")
        answer = json.loads(self.daemon.admin("/api/latency").body)
        self.assertEqual(browser.run("return document.querySelectorAll('article.pool').length"), len(answer["pools"]))
        self.assertIn("median", browser.text("article.pool"))
        browser.click(".tabs a:nth-child(3)")
        browser.wait("return document.querySelector('.tabs a[aria-current]').innerText === 'last day'")

    def test_the_keyboard_reaches_everything_and_the_focus_is_seen(self):
        browser = self.page(self.daemon)
        seen = []
        for _ in range(6):
            browser.press("Tab")
            seen.append(browser.focused())
            self.assertNotEqual(browser.run("return getComputedStyle(document.activeElement).outlineStyle"), "none")
        self.assertEqual(seen[:6], ["Skip to content", "ghatrace", "Now", "Runs", "Failures", "Runner latency"])


class OneRun(PageTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair()

    def open_run(self, run):
        self.daemon.accept(*run.timeline())
        browser = self.page(self.daemon, f"#/runs/{run.run_id}/1")
        browser.wait("return document.querySelectorAll('.job-box').length === arguments[0]", len(run.jobs))
        return browser

    def test_a_failed_run_says_first_what_failed_first(self):
        run = Run(age=1000, conclusion="failure")
        late = run.job("lint", offset=1, queue=8, duration=300, conclusion="failure")
        early = run.job("test (3.14)", offset=1, queue=40, duration=90, conclusion="failure")
        for job in (late, early):
            job.steps = job.usual_steps()
        run.job("package", queue=9, duration=200)
        failed = next(step for step in early.steps if step.conclusion == "failure")
        failed.name, failed.end = "Run tests", failed.start + 7
        browser = self.open_run(run)
        line = browser.text(".failed-first")
        self.assertEqual(line, "✗ test (3.14) › Run tests, after 7s; 1 more job failed · step on GitHub")
        self.assertEqual(browser.run("return document.querySelector('h1').nextElementSibling.className"), "failed-first")
        self.assertEqual(browser.run("return [...document.querySelectorAll('.failed-first a')].map((a) => a.getAttribute('href'))"),
                         [f"#/runs/{run.run_id}/1?job={early.job_id}&step={failed.number}", f"{early.html_url}#step:{failed.number}:1"])
        unfolded = browser.run("return [...document.querySelectorAll('.job-box')].filter((box) => box.querySelector('.steps')).map((box) => box.querySelector('.name').innerText)")
        self.assertEqual(unfolded, ["test (3.14)"])
        self.assertIn(f"✗ {failed.number} {failed.name}", browser.text(".steps:not([hidden]) .step-row.failed"))
        for width, dark in ((1280, False), (390, True), (390, False)):
            page = self.page(self.daemon, f"#/runs/{run.run_id}/1", width=width, dark=dark)
            page.wait("return document.querySelector('.steps:not([hidden]) .step-row.failed')")
            self.expect_readable(page, width)
            self.assertEqual(page.run("return [...document.querySelectorAll('[role=img]')].filter((e) => !e.getAttribute('aria-label')).length"), 0)

    def test_a_run_whose_job_never_got_a_runner_says_so_first_and_one_that_succeeded_says_nothing(self):
        run = Run(age=1000, conclusion="failure")
        run.job("refused").refused(after=4)
        browser = self.open_run(run)
        self.assertEqual(browser.text(".failed-first"), "✗ refused, not started: it never got a runner · job on GitHub")
        good = Run(age=1000)
        good.job("build")
        self.assertEqual(self.open_run(good).run("return document.querySelectorAll('.failed-first:not([hidden])').length"), 0)


class Troubles(PageTest):
    def test_a_collector_that_takes_nothing_is_shown_until_it_takes_records(self):
        daemon, collector = self.new_pair(otlp_header="authorization=Bearer%20hidden-key")
        collector.script = lambda request: Answer(503, {"Content-Type": "text/plain"}, HOSTILE.encode() + b" hidden-key")
        browser = self.page(daemon)
        self.assertTrue(browser.run("return document.querySelector('#troubles').hidden"))
        daemon.accept(*Run().timeline())
        browser.wait_for_text("has been failing since", "#troubles")
        text = browser.text("#troubles")
        self.assertIn(f"Export to {collector.endpoint}/v1/traces", text)
        self.assertIn("503", text)
        self.assertRegex(text, r"\d+ records? (is|are) kept and will be sent when it works again")
        self.assertIn("export fails: overloaded", browser.text("#health"))
        self.assertNotIn("hidden-key", browser.run("return document.documentElement.innerHTML"))
        self.assertEqual(browser.run("return document.querySelectorAll('#troubles img, #troubles script').length"), 0)
        for path in ("#/runs", "#/latency"):
            browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/{path}")
            browser.wait_for_text("has been failing since", "#troubles")
        collector.script = lambda request: Answer()
        browser.wait("return document.querySelector('#troubles').hidden")
        browser.wait_for_text("live", "#health")

    def test_dead_letters_are_shown_with_what_to_do(self):
        daemon, collector = self.new_pair()
        collector.script = lambda request: refused() if b"bad-job" in request.body else Answer()
        bad = Run()
        bad.job("bad-job").steps = []
        daemon.accept(*bad.timeline(), *Run().timeline())
        browser = self.page(daemon)
        browser.wait_for_text("ghatrace requeue", "#troubles")
        self.assertIn("dead letter", browser.text("#troubles"))


class UntrustedClients(PageTest):
    def test_names_of_untrusted_clients_are_shown_as_text(self):
        daemon = self.new_daemon()
        run, finished = hostile_run(), hostile_run()
        daemon.accept(run.requested(), *(job.queued() for job in run.jobs), run.jobs[0].in_progress(), *finished.timeline())
        browser = self.page(daemon)
        browser.wait_for_text(HOSTILE)
        for path in ("#/runs", f"#/runs/{finished.run_id}/1", f"#/runs/{run.run_id}/1", "#/latency"):
            browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/{path}")
            browser.wait_for_text(HOSTILE)
            browser.run("for (const b of document.querySelectorAll('button.job')) b.click()")
            self.assertFalse(browser.has_alert())
            self.assertEqual(browser.run("return document.querySelectorAll('img, main script').length"), 0)
            self.assertEqual(browser.run("return [...document.querySelectorAll('a')].filter((a) => /^javascript/i.test(a.href)).length"), 0)
