"""The frame of the live page: its event stream, addresses, focus, times, what it loads, and that it works below a path."""
import json
import pathlib
import re

import harness
import test_page
from payloads import Run
from proxies import BELOW, PROGRAMS, Proxy, missing
from scenes import finished_run, forty_runs, many_finished, quiet_day
from webdriver import Browser

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
QUEUED = "return document.querySelector('[data-tile=queued] dd')?.innerText === arguments[0]"
LIVE = "return document.querySelector('#health').innerText.startsWith('live · ')"
SHIFT = test_page.LAYOUT_SHIFT.replace("800", "300")  # when all is there
FIRST_LOAD_BYTES = 100_000  # compressed, with the heads of the responses
NODES = 3000


def streams_of(daemon):
    return json.loads(daemon.admin("/api/status").body)["live_streams"]


class ShellTest(test_page.PageTest):
    def url(self, daemon, path=""):
        return f"http://127.0.0.1:{daemon.admin_address[1]}/{path}"

    def wait_for_streams(self, daemon, count):
        harness.wait_until(lambda: streams_of(daemon) == count, what=f"{count} streams")


class Streams(ShellTest):
    def test_eight_tabs_are_live_with_one_stream(self):
        daemon = self.new_daemon()
        browser = self.page(daemon)
        tabs = [browser.handle] + [browser.open_tab(self.url(daemon)) for _ in range(7)]
        run = Run(age=10)
        daemon.accept(run.requested(), run.job().queued())
        for tab in tabs:
            browser.switch(tab)
            browser.wait(QUEUED, "1")
            browser.wait(LIVE)
        self.assertEqual(streams_of(daemon), 1)
        version = json.loads(daemon.admin("/api/status").body)["page"]
        workers = [target["url"] for target in browser.command("Target.getTargets")["targetInfos"] if target["type"] == "shared_worker"]
        self.assertEqual(workers, [self.url(daemon, f"v/{version}/worker.js")])  # that of an older page has another address
        while len(tabs := browser.close_tab()) > 1:
            browser.switch(tabs[0])
        browser.switch(tabs[0])
        browser.wait(LIVE)

    def test_the_stream_is_closed_while_no_tab_is_visible_and_shown_ones_have_fresh_data(self):
        daemon = self.new_daemon()
        browser = self.page(daemon)
        tabs = [browser.handle, browser.open_tab(self.url(daemon))]
        browser.wait(LIVE)
        self.wait_for_streams(daemon, 1)
        browser.set_window("minimized")
        self.wait_for_streams(daemon, 0)
        run = Run(age=10)
        daemon.accept(run.requested(), run.job().queued())
        for tab in tabs:
            browser.switch(tab)
            self.assertEqual(browser.run("return document.visibilityState"), "hidden")
            self.assertEqual(browser.text("[data-tile=queued] dd"), "0")
        browser.set_window("normal")
        for tab in tabs:
            browser.switch(tab)
            browser.wait(QUEUED, "1")
            browser.wait(LIVE)
        self.assertEqual(streams_of(daemon), 1)

    def test_all_tabs_find_the_daemon_again_after_a_restart(self):
        daemon = self.new_daemon(admin_listen="127.0.0.1:0")
        browser = self.page(daemon)
        browser.may_complain = True  # the console reports the lost connection
        tabs = [browser.handle, browser.open_tab(self.url(daemon))]
        browser.wait(LIVE)
        daemon.settings["admin-listen"] = f"127.0.0.1:{daemon.admin_address[1]}"
        daemon.stop()
        for tab in tabs:
            browser.switch(tab)
            browser.wait_for_text("connection lost", "#health")
        daemon.start()
        for tab in tabs:
            browser.switch(tab)
            browser.wait(LIVE)
        self.wait_for_streams(daemon, 1)

    def test_a_run_that_has_ended_needs_no_stream_and_the_page_does_not_say_that_it_is_live(self):
        daemon = self.new_daemon()
        run = Run(age=1000)
        run.job("build")
        going = Run(age=10)
        daemon.accept(*run.timeline(), going.requested(), going.job("test").queued())
        browser = self.page(daemon)
        browser.wait(LIVE)
        browser.open(self.url(daemon, f"#/runs/{run.run_id}/1"))
        browser.wait_for_text("ended, not updated · store", "#health")
        self.wait_for_streams(daemon, 0)
        browser.open(self.url(daemon, f"#/runs/{going.run_id}/1"))
        browser.wait(LIVE)
        self.wait_for_streams(daemon, 1)
        going.conclusion = "success"
        for job in going.jobs:
            job.completed_at = going.updated = going.started + 8
        daemon.accept(*(event for job in going.jobs for event in (job.in_progress(), job.completed())), going.completed())
        browser.wait_for_text("ended, not updated · store", "#health")
        self.wait_for_streams(daemon, 0)

    def test_without_shared_workers_the_page_polls_and_says_so(self):
        daemon = self.new_daemon()
        browser = self.page(daemon, "#/nothing")
        run = Run(age=10)
        daemon.accept(run.requested())
        for i, script in enumerate(("delete window.SharedWorker", "window.SharedWorker = class { constructor() { throw new DOMException('denied', 'SecurityError'); } }"), 1):
            browser.before_each_page(script)
            browser.open(self.url(daemon, f"?{i}"))
            browser.wait_for_text("asking every 5 s, as this browser has no shared workers · ", "#health")
            self.assertFalse(browser.run("return document.querySelector('#health').classList.contains('bad')"))
            daemon.accept(run.job(f"job {i}").queued())
            browser.wait(QUEUED, str(i))
            self.assertEqual(streams_of(daemon), 0)


class Health(ShellTest):
    def test_only_what_has_become_worse_is_announced(self):
        daemon, collector = self.new_pair()
        daemon.accept(*Run().timeline())
        browser = self.page(daemon)
        browser.wait(LIVE)
        browser.run("""
            window.said = [];
            const line = document.querySelector('[role=status]#announced');
            new MutationObserver(() => said.push(line.textContent)).observe(line, {childList: true, characterData: true, subtree: true});""")
        first = browser.text("#health")
        browser.wait("return document.querySelector('#health').innerText !== arguments[0]", first)
        self.assertEqual(browser.run("return [said, document.querySelectorAll('#health[role], #health[aria-live]').length]"), [[], 0])
        collector.script = lambda request: test_page.Answer(503)
        daemon.accept(*Run().timeline())
        browser.wait_for_text("export fails", "#health")
        self.assertEqual(browser.run("return said"), ["export fails: overloaded"])
        collector.script = lambda request: test_page.Answer()
        browser.wait(LIVE)
        self.assertEqual(browser.run("return said"), ["export fails: overloaded", ""])


    def test_a_page_of_an_older_version_says_so(self):
        daemon = self.new_daemon()
        browser = self.page(daemon)
        browser.wait(LIVE)
        browser.run("""
            const parse = JSON.parse;
            JSON.parse = (text) => {
                const found = parse(text);
                if (found.page) found.page = "0123456789abcdef";
                return found;
            };""")
        daemon.accept(Run().requested())
        browser.wait_for_text("load the page again, there is a new version · live · ", "#health")


class Places(ShellTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair()
        cls.runs, events = many_finished()
        cls.run_twice, more = finished_run()
        cls.daemon.accept(*events, *more)

    def test_an_address_without_a_page_says_so(self):
        browser = self.page(self.daemon)
        for path in ("#/nothing", "#/runs/x", "#/poolsnot", "#nothing", "#/<img src=x>"):
            with self.subTest(path=path):
                browser.run("location.hash = arguments[0]", path)
                browser.wait_for_text("There is no such page", "h1")
                self.assertIn("There is no page at", browser.text("main p"))
                self.assertEqual(browser.run("return document.title"), "no such page · ghatrace")
                self.assertEqual(browser.run("return document.querySelectorAll('header [aria-current]').length"), 0)
                self.assertEqual(browser.run("return document.querySelectorAll('main img').length"), 0)
        browser.click("main li a")
        browser.wait_for_text("Now", "h1")

    def test_the_scroll_position_is_restored_when_one_goes_back_and_when_one_reloads(self):
        browser = self.page(self.daemon, "#/runs", height=500)
        browser.wait("return document.querySelectorAll('tbody tr').length === 50")
        browser.run("scrollTo(0, 1200)")
        browser.run("document.querySelectorAll('tbody tr')[30].querySelector('a').click()")
        browser.wait("return document.querySelector('.job-box')")
        self.assertEqual(browser.run("return scrollY"), 0)
        browser.back()
        browser.wait("return document.querySelectorAll('tbody tr').length === 50 && scrollY === 1200")
        browser.reload()
        browser.wait("return document.querySelectorAll('tbody tr').length === 50 && scrollY === 1200")
        browser.click("header nav a[data-view=latency]")
        browser.wait("return document.querySelector('article.pool')")
        self.assertEqual(browser.run("return scrollY"), 0)
        browser.click("header nav a[data-view=runs]")  # a new visit begins at the top
        browser.wait("return document.querySelectorAll('tbody tr').length === 50")
        self.assertEqual(browser.run("return scrollY"), 0)

    def test_the_heading_has_the_focus_after_navigation_but_not_at_first(self):
        browser = self.page(self.daemon, f"#/runs/{self.run_twice.run_id}/1")
        browser.wait("return document.querySelector('h1')")
        self.assertEqual(browser.run("return document.activeElement.tagName"), "BODY")
        browser.click("header nav a[data-view=runs]")
        browser.wait("return document.activeElement.tagName === 'H1' && document.activeElement.innerText === 'Finished runs'")
        browser.wait("return document.querySelector('tbody tr')")
        browser.run("document.querySelector(arguments[0]).click()", f"tbody a[href='#/runs/{self.run_twice.run_id}/1']")
        browser.wait("return document.activeElement.tagName === 'H1' && document.querySelector('.job-box')")
        browser.back()
        browser.wait("return document.activeElement.tagName === 'H1' && document.activeElement.innerText === 'Finished runs'")
        browser.press("/")
        browser.wait("return document.activeElement.name === 'q'")

    def test_the_skip_link_leads_to_the_content_and_leaves_address_and_history_alone(self):
        browser = self.page(self.daemon, "#/runs?q=docs")
        browser.wait("return document.querySelector('tbody tr')")
        before = browser.run("return [location.href, history.length]")
        browser.press("Tab")
        self.assertEqual(browser.focused(), "Skip to content")
        browser.press("Enter")
        self.assertEqual(browser.run("return document.activeElement.id"), "main")
        self.assertEqual(browser.run("return [location.href, history.length]"), before)
        browser.press("Tab")
        self.assertEqual(browser.run("return document.activeElement.name"), "q")

    def test_what_was_skipped_is_visible_and_results_have_the_words_of_github(self):
        run = Run(age=1000, conclusion="cancelled")
        run.job("first", conclusion="cancelled")
        run.job("second", conclusion="skipped")
        run.job("third", conclusion="timed_out")
        skipped = Run(age=900, conclusion="skipped")
        skipped.job("fourth", conclusion="skipped")
        self.daemon.accept(*run.timeline(), *skipped.timeline())
        browser = self.page(self.daemon, "#/runs?result=skip")
        browser.wait("return document.querySelector('tbody .state.skip')")
        self.assertTrue(browser.run("const box = document.querySelector('tbody .state.skip').getBoundingClientRect(); return box.width > 30 && box.left >= 0"))
        self.assertEqual(browser.text("tbody .state.skip"), "skipped")
        self.assertEqual(browser.run("return [...document.querySelectorAll('select[name=result] option')].map((option) => option.innerText)"),
                         ["any result", "success", "failure", "cancelled", "timed out", "skipped", "error"])
        browser.open(self.url(self.daemon, f"#/runs/{run.run_id}/1"))
        browser.wait("return document.querySelectorAll('.job-box').length === 3")
        labels = browser.run("return [...document.querySelectorAll('button.job')].map((button) => button.getAttribute('aria-label').split(',')[1].trim())")
        self.assertEqual(labels, ["cancelled", "skipped", "timed out"])
        self.assertIn("cancelled in ", browser.text("main"))


class Times(ShellTest):
    def in_zone(self, daemon, zone, path=""):
        browser = self.page(daemon)
        browser.command("Emulation.setTimezoneOverride", timezoneId=zone)
        browser.open(self.url(daemon, f"?{zone}{path}"))
        browser.wait("return document.querySelector('#health').innerText !== ''")
        return browser

    def test_times_carry_their_zone_and_all_follow_when_utc_is_chosen(self):
        daemon = self.new_daemon()
        run = Run(age=1000)
        run.job("build")
        daemon.accept(*run.timeline())
        browser = self.in_zone(daemon, "Asia/Kathmandu", f"#/runs/{run.run_id}/1")
        browser.wait("return document.querySelector('.job-box')")
        started = r"started (\d+ \w+ \d{4}, (\d\d):\d\d:\d\d (\S+))"
        local = re.search(started, browser.text("main"))
        self.assertEqual((local[3], browser.text("#zone")), ("GMT+5:45", "GMT+5:45"))
        self.assertEqual(browser.run("return document.querySelector('#zone').getAttribute('aria-label')"), "GMT+5:45: times are in Asia/Katmandu; show UTC")
        browser.click("#zone")
        browser.wait("return / UTC/.test(document.querySelector('main').innerText)")
        utc = re.search(started, browser.text("main"))
        self.assertEqual((utc[3], browser.text("#zone"), browser.focused()[:3]), ("UTC", "UTC", "UTC"))
        self.assertNotEqual(utc[1], local[1])
        self.assertNotIn("GMT", browser.run("return document.querySelector('main').outerHTML"))
        browser.reload()
        browser.wait("return / UTC/.test(document.querySelector('main').innerText)")
        browser.click("#zone")
        browser.wait("return /GMT\\+5:45/.test(document.querySelector('main').innerText)")

    def test_where_the_local_zone_is_utc_there_is_nothing_to_choose(self):
        browser = self.in_zone(self.new_daemon(), "UTC")
        self.assertEqual(browser.run("const zone = document.querySelector('#zone'); return [zone.innerText, zone.disabled]"), ["UTC", True])


class Paths(ShellTest):
    def expect_all_works(self, port, run, name, path="/ghatrace", credentials=""):
        browser = Browser()
        self.addCleanup(browser.quit)
        browser.open(f"http://{credentials}127.0.0.1:{port}{path}")
        browser.wait("return document.querySelector('#health')")
        browser.wait(LIVE)
        self.assertEqual(browser.run("return location.pathname"), "/ghatrace/", name)
        browser.wait(QUEUED, "1")
        for path, sign in (("#/runs", "tbody tr"), (f"#/runs/{run.run_id}/1", ".job-box"), ("#/latency", "article.pool")):
            browser.run("location.hash = arguments[0]", path)
            browser.wait("return document.querySelector(arguments[0])", f"main {sign}")
        outside = browser.run("""
            return [...document.querySelectorAll("[href], [src]")].map((e) => e.href || e.src)
                .concat(performance.getEntriesByType("resource").map((entry) => entry.name))
                .filter((url) => url.startsWith(location.origin) && !url.startsWith(location.origin + "/ghatrace/"));""")
        self.assertEqual((name, outside), (name, []))
        self.assertEqual(browser.run("return document.querySelector('noscript').innerText.includes('href=\"/')"), False)
        self.assertEqual(browser.complaints(), [], name)
        browser.quit()

    def test_the_page_works_below_a_path_of_the_usual_proxies(self):
        daemon = self.new_daemon()
        run, going = Run(age=1000), Run(age=10)
        run.job("build")
        daemon.accept(*run.timeline(), going.requested(), going.job().queued())
        for name in PROGRAMS:
            with self.subTest(proxy=name):
                if missing(name):
                    self.skipTest(missing(name))
                proxy = Proxy(name, self.new_folder(), daemon.admin_address[1], is_below=True)
                self.addCleanup(proxy.stop)
                self.expect_all_works(proxy.port, run, name)

    def test_the_page_works_behind_a_proxy_that_asks_for_a_password(self):
        if missing("nginx"):
            self.skipTest(missing("nginx"))
        daemon, folder = self.new_daemon(), self.new_folder()
        run, going = Run(age=1000), Run(age=10)
        run.job("build")
        daemon.accept(*run.timeline(), going.requested(), going.job().queued())
        users = pathlib.Path(folder, "users")
        users.write_text("somebody:{PLAIN}secret-word\n")
        proxy = Proxy("nginx", folder, daemon.admin_address[1], is_below=True, extra=f'auth_basic "ghatrace";\nauth_basic_user_file {users};\n')
        self.addCleanup(proxy.stop)
        self.expect_all_works(proxy.port, run, "password", "/ghatrace/", "somebody:secret-word@")

    def test_the_manual_has_the_lines_for_the_proxies_that_are_tested(self):
        manual = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
        for name, lines in BELOW.items():
            for line in lines:
                self.assertIn(line, manual, name)


class Loading(ShellTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair()
        cls.run_twice, more = finished_run()
        cls.daemon.accept(*quiet_day(), *forty_runs(jobs=3), *many_finished()[1], *more)

    def loaded(self, browser):
        """{address: bytes transferred} of the page's own files; 0: from the browser's cache."""
        return browser.run("""
            return Object.fromEntries(performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
                .filter((entry) => !entry.name.includes("/api/")).map((entry) => [new URL(entry.name).pathname, entry.transferSize]));""")

    def test_a_first_load_is_small_and_a_second_one_asks_for_one_file(self):
        browser = self.page(self.daemon)
        first = self.loaded(browser)
        self.assertGreater(len(first), 10)
        self.assertTrue(all(size > 0 for size in first.values()), first)
        self.assertLess(sum(first.values()), FIRST_LOAD_BYTES, first)
        browser.reload()
        browser.wait(LIVE)
        second = self.loaded(browser)
        self.assertEqual(second.keys(), first.keys())
        self.assertEqual([path for path, size in second.items() if size > 0], ["/"])
        self.assertLess(second["/"], 1000)  # it has not changed

    def test_nothing_jumps_while_it_loads_and_the_page_stays_light(self):
        for width in (1280, 390):
            browser = Browser(width=width)
            self.addCleanup(browser.quit)
            browser.command("Network.enable")
            browser.command("Network.emulateNetworkConditions", offline=False, latency=60, downloadThroughput=400_000, uploadThroughput=400_000)
            for i, path in enumerate(("", "#/runs", f"#/runs/{self.run_twice.run_id}/1", "#/latency", "#/nothing")):
                with self.subTest(path=path, width=width):
                    browser.open(self.url(self.daemon, f"?{i}{path}"))
                    browser.wait("return document.querySelector('main article, main tbody tr, main .job-box, main li') && document.querySelector('#health').innerText !== ''")
                    self.assertLessEqual(browser.run(SHIFT), 0.1)
                    self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), width)
                    self.assertLess(browser.run("return document.querySelectorAll('*').length"), NODES)
            browser.quit()

    def test_the_frame_fits_on_a_phone_with_more_views(self):
        browser = self.page(self.daemon, width=390)
        for text in ("Failures", "Commits"):
            browser.run("document.querySelector('header nav').insertAdjacentHTML('beforeend', `<a href='#/${arguments[0]}'>${arguments[0]}</a>`)", text)
        boxes = browser.run("return [...document.querySelectorAll('header nav a, #zone, #health')].map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right, b.height])")
        for left, right, height in boxes:
            self.assertGreaterEqual(left, 0)
            self.assertLessEqual(right, 390)
        self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), 390)
        self.assertLessEqual(browser.run("return document.querySelector('header').offsetHeight"), 130)
