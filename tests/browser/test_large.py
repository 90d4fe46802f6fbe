"""A run of 500 jobs, and an incident with 100,000 queued jobs: answers, nodes and tasks stay small."""
import copy
import json
import os
import pathlib
import subprocess
import time

import test_page
from payloads import Run
from webdriver import Browser

NODES = "return document.querySelectorAll('*').length"
RECEIVED = "return performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/api/')).map((entry) => [entry.name.split('/api/')[1], entry.decodedBodySize])"


def large_run(jobs=500, steps=30, legs=400, failed=(77, 133, 301), **kinds):
    """A matrix of `legs`, and jobs of their own."""
    run = Run(age=3000, conclusion="failure" if failed else "success", **kinds)
    for i in range(jobs):
        job = run.job(f"test (linux, 3.{i % 20}, shard {i // 20})" if i < legs else f"lint {i}", offset=1 + i // 10, queue=10 + i % 90,
                      duration=300 + i, conclusion="failure" if i in failed else "success")
        plain, last = job.steps[1], job.steps[-1]
        job.steps = job.steps[:3]
        for number in range(4, steps):
            job.steps.append(copy.copy(plain))
            job.steps[-1].number, job.steps[-1].name = number, f"Run part {number} of the build"
        last.number = steps
        job.steps.append(last)
    run.updated = max(job.completed_at for job in run.jobs) + 1
    return run


class OneBrowser(test_page.PageTest):
    """One daemon and one browser for all tests of a class: each browser takes a second to start."""

    @classmethod
    def setUpClass(cls):
        cls.share_pair()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.quit)

    def page(self, daemon, path="", **kinds):
        if kinds:
            return super().page(daemon, path, **kinds)
        self.addCleanup(self.no_complaints, self.browser)
        self.browser.open("about:blank")
        self.browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/{path}")
        return self.browser


class LargeRun(OneBrowser):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_of_500 = large_run()
        cls.daemon.accept(cls.run_of_500.requested(), *(job.completed() for job in cls.run_of_500.jobs), cls.run_of_500.completed())

    def open_run(self, query="", **kinds):
        browser = self.page(self.daemon, f"#/runs/{self.run_of_500.run_id}/1{query}", **kinds)
        browser.wait("return document.querySelector('.job-box')?.checkVisibility()")
        return browser

    def names(self, browser):
        return browser.run("return [...document.querySelectorAll('button.job .name')].map((e) => e.textContent)")

    def shown_part(self, browser):
        return browser.run("const p = new URLSearchParams(location.hash.split('?')[1]); return [p.get('from'), p.get('to')].map((s) => s && Number(s))")

    def test_answers_and_nodes_stay_small_and_nothing_jumps(self):
        browser = self.open_run()
        answers = dict(browser.run(RECEIVED))
        detail = next(size for name, size in answers.items() if "steps=failed" in name)
        self.assertLess(detail, 600_000)
        one = next(size for name, size in answers.items() if "job=" in name)
        self.assertLess(one, 20_000)
        self.assertLess(browser.run(NODES), 12_000)
        self.assertLessEqual(browser.run(test_page.LAYOUT_SHIFT), 0.1)
        browser.run("scrollTo(0, document.body.scrollHeight)")
        browser.wait("return [...document.querySelectorAll('.job-box')].pop().querySelector('.bar')", what="the bars of the last job")
        self.assertLess(browser.run(NODES), 16_000)
        self.assertLessEqual(browser.run(test_page.LAYOUT_SHIFT), 0.1)

    def test_legs_of_a_matrix_are_one_row_with_the_failed_ones_first(self):
        browser = self.open_run()
        group = browser.text(".job-box.group button.job").split()
        self.assertEqual(" ".join(group[group.index("test"):]), "test × 400: 397 ✓ 3 ✗")
        first = [self.run_of_500.jobs[i].name for i in (77, 133, 301)]  # it is unfolded, since a leg failed first
        self.assertEqual(self.names(browser)[1:4], first)
        self.assertEqual(len(self.names(browser)), 1 + 400 + 99)  # and "1 more"
        browser.click(".job-box.group button.job")
        browser.wait("return document.querySelectorAll('.job-box').length === 101")
        self.assertEqual(browser.run("return document.activeElement.getAttribute('aria-expanded')"), "false")
        self.assertIn("test", browser.focused())
        self.assertEqual(browser.run("return [...document.activeElement.querySelectorAll('[role=img]')].map((e) => e.getAttribute('aria-label'))"), ["success", "failed"])

    def test_the_first_line_leads_to_the_failed_step_and_a_link_to_a_step_shows_it(self):
        failed = self.run_of_500.jobs[77]
        browser = self.open_run()
        self.assertRegex(browser.text(".failed-first"), rf"^✗ {failed.name} › make .*, after .*; 2 more jobs failed · step on GitHub$".replace("(", r"\(").replace(")", r"\)"))
        browser.click(".failed-first a")
        browser.wait("return document.querySelector('.step-row.chosen a[aria-current]')")
        self.assertTrue(browser.run("return location.hash").endswith(f"?job={failed.job_id}&step=3"))
        plain = self.run_of_500.jobs[450]
        other = self.open_run(f"?job={plain.job_id}&step=17", width=390)
        other.wait_for_text("17 Run part 17 of the build", ".step-row.chosen")
        self.assertTrue(other.run("const r = document.querySelector('.step-row.chosen').getBoundingClientRect(); return r.top > 0 && r.bottom < innerHeight"))
        self.assertLessEqual(other.run("return document.documentElement.scrollWidth"), 390)
        unknown = self.open_run("?job=5")
        unknown.wait_for_text("Job 5 is not in this attempt.")

    def test_jobs_are_filtered_by_words_and_by_failure_and_both_are_in_the_address(self):
        browser = self.open_run()
        browser.press("/")
        browser.wait("return document.activeElement.name === 'filter'")
        browser.press(*"lint 44")
        browser.wait("return document.querySelectorAll('.job-box').length === 10")
        browser.wait_for_text("10 of 500 jobs", ".job-tools")
        self.assertIn("filter=lint+44", browser.run("return location.hash"))
        browser.run("document.querySelector('input[name=filter]').value = ''; document.querySelector('input[name=filter]').dispatchEvent(new Event('input'))")
        browser.click("input[name=failed]")
        browser.wait("return document.querySelectorAll('.job-box').length === 3")
        self.assertIn("failed only (3)", browser.text(".job-tools"))
        again = self.open_run("?failed&filter=15+shard")
        again.wait("return document.querySelectorAll('.job-box').length === 1")
        self.assertTrue(again.run("return document.querySelector('input[name=failed]').checked"))
        again.type("input[name=filter]", " nothing")
        again.wait_for_text("No job matches.")

    def test_a_part_of_the_time_is_shown_by_buttons_by_keys_and_by_dragging(self):
        browser = self.open_run()
        browser.click(".zoom button[aria-label='Zoom in']")
        begin, end = self.shown_part(browser)
        self.assertGreater(begin, 0)
        whole = browser.text(".axis")
        browser.click(".job-box button.job")
        browser.press("ArrowRight")
        browser.wait("return !location.hash.includes(`from=${arguments[0]}&`)", begin)
        later, _ = self.shown_part(browser)
        self.assertGreater(later, begin)
        self.assertNotEqual(browser.text(".axis"), whole)
        browser.press("0")
        browser.wait("return !location.hash.includes('from=')")
        browser.run("""
            const track = document.querySelector('.axis .track'), box = track.getBoundingClientRect();
            track.setPointerCapture = () => {};
            const send = (kind, share) => track.dispatchEvent(new PointerEvent(kind, {clientX: box.left + share * box.width, clientY: box.top + 3, bubbles: true}));
            send('pointerdown', 0.5); send('pointermove', 0.6); send('pointerup', 0.75);""")
        begin, end = self.shown_part(browser)
        self.assertAlmostEqual(begin / end, 0.5 / 0.75, delta=0.02)
        again = self.open_run(f"?from={begin}&to={end}")
        again.wait_for_text("zoom from", ".axis")
        again.run("scrollTo(0, 2000)")  # the axis stays in sight
        self.assertTrue(again.run("const r = document.querySelector('.axis').getBoundingClientRect(); return r.top >= 0 && r.bottom < innerHeight / 3"))

    def test_the_figures_of_bars_are_read_out_and_arrows_move_between_rows(self):
        browser = self.open_run("?filter=lint")
        browser.run("document.querySelector('button.job').focus()")
        browser.press("ArrowDown")
        self.assertEqual(browser.focused()[:9], "lint 401,")
        self.assertRegex(browser.run("return document.activeElement.getAttribute('aria-description')"), r"^in the queue 51s, runner's start-up 3s, execution 11m \d+s$")
        browser.press("End")
        self.assertEqual(browser.focused()[:9], "lint 499,")

    def test_it_is_readable_light_and_dark_wide_and_narrow(self):
        for width, dark in ((1280, False), (390, True)):
            browser = self.open_run(width=width, dark=dark)
            self.expect_readable(browser, width)
            cut = "return [...document.querySelectorAll('.job-box .name')].slice(0, 60).filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.innerText)"
            self.assertEqual(browser.run(cut) if width == 390 else [], [])


class OpenRun(test_page.PageTest):
    def test_events_take_neither_focus_nor_selection_nor_what_is_unfolded(self):
        daemon = self.new_daemon()
        run = Run(age=100)
        jobs = [run.job(f"part {i}", queue=5) for i in range(60)]
        daemon.accept(run.requested(), *(job.queued() for job in jobs), jobs[0].in_progress())
        browser = self.page(daemon, f"#/runs/{run.run_id}/1")
        browser.wait("return document.querySelector('.job-box')")
        browser.click(".job-box button.job")
        browser.wait("return document.querySelector('.step-row')")
        browser.type("input[name=filter]", "part")
        browser.wait("return document.querySelectorAll('.job-box').length === 60")
        browser.run("getSelection().selectAllChildren(document.querySelector('h1'))")
        browser.run("document.querySelector('input[name=filter]').focus(); window.first = document.querySelector('.job-box'); window.step = document.querySelector('.step-row')")
        browser.run("const h = document.querySelector('h1'); getSelection().setBaseAndExtent(h, 0, h, 1); document.querySelector('input[name=filter]').focus({preventScroll: true})")
        selected = browser.run("getSelection().selectAllChildren(document.querySelector('h1')); return String(getSelection())")
        nodes = browser.run(NODES)
        for job in jobs[1:40]:
            daemon.accept(job.in_progress())
        browser.wait("return [...document.querySelectorAll('button.job')].filter((b) => b.getAttribute('aria-label').includes(', running,')).length >= 40")
        self.assertEqual(browser.run("return String(getSelection())"), selected)
        self.assertTrue(browser.run("return window.first.isConnected && window.step.isConnected"))
        browser.run("document.querySelector('input[name=filter]').focus()")
        for job in jobs[40:]:
            daemon.accept(job.in_progress())
        browser.wait("return [...document.querySelectorAll('button.job')].filter((b) => b.getAttribute('aria-label').includes(', running,')).length === 60")
        self.assertEqual(browser.run("return document.activeElement.name"), "filter")
        self.assertEqual(browser.run("return document.activeElement.value"), "part")
        self.assertLess(browser.run(NODES), nodes + 60 * 4)  # two more bars for each job


class Failures(OneBrowser):
    def first_line(self, run):
        self.daemon.accept(*run.timeline())
        browser = self.page(self.daemon, f"#/runs/{run.run_id}/1")
        browser.wait("return document.querySelector('.waterfall')?.checkVisibility()")
        return browser.text(".failed-first")

    def test_the_first_line_says_why_there_is_no_success(self):
        lost, cancelled, none, late = Run(age=1000, conclusion="failure"), Run(age=1000, conclusion="cancelled"), Run(age=1000, conclusion="startup_failure"), Run(age=1000, conclusion="failure")
        lost.job("integration", queue=9, duration=90).lost("database", "unit")
        for i in range(3):
            lost.job(f"later {i}", queue=9, duration=200, conclusion="failure")
        cancelled.job("build", duration=60)
        cancelled.job("deploy", conclusion="cancelled", duration=50)
        late.job("slow", duration=360, conclusion="timed_out").steps = []
        self.assertEqual(self.first_line(lost), "✗ integration, runner lost; 3 more jobs failed · job on GitHub")
        self.assertRegex(self.first_line(cancelled), r"^⊘ cancelled after \d.*: 1 job cancelled$")
        self.assertRegex(self.first_line(none), r"^✗ The run failed, but none of its jobs is known · on GitHub$")
        self.assertEqual(self.first_line(late), "✗ slow, timed out after 6m 0s · job on GitHub")


    def test_a_job_of_a_thousand_steps_shows_some_and_what_failed(self):
        run = large_run(jobs=1, steps=1000, legs=0, failed=())
        run.conclusion, run.jobs[0].conclusion, run.jobs[0].steps[900].conclusion = "failure", "failure", "failure"
        self.daemon.accept(*run.timeline())
        browser = self.page(self.daemon, f"#/runs/{run.run_id}/1")
        browser.wait("return document.querySelector('.step-row')")
        self.assertEqual(browser.run("return document.querySelectorAll('.step-row').length"), 201)
        self.assertIn(f"✗ {run.jobs[0].steps[900].number} ", browser.text(".step-row.failed"))
        self.assertIn("799 more steps", browser.text(".steps > button"))
        browser.click(".steps > button")
        browser.wait("return document.querySelectorAll('.step-row').length === 1000")

    def test_jobs_of_two_large_attempts_are_compared_the_failed_ones_first(self):
        first = large_run(jobs=120, steps=4, legs=0, failed=(110,))
        again = large_run(jobs=120, steps=4, legs=0, failed=(), run_id=first.run_id, attempt=2)
        for run in (first, again):
            self.daemon.accept(run.requested(), *(job.completed() for job in run.jobs), run.completed())
        browser = self.page(self.daemon, f"#/runs/{first.run_id}/1")
        browser.wait("return document.querySelectorAll('table.compare tbody tr').length === 100")
        self.assertIn("lint 110", browser.text("table.compare tbody tr"))
        self.assertIn("and 20 more jobs", browser.text("main"))


class Incident(test_page.PageTest):
    def test_a_hundred_thousand_queued_jobs_and_500_runs_in_progress_stay_light(self):
        fill = pathlib.Path(os.environ["GHATRACE"]).with_name("tests") / "siege/fill_store"
        daemon = self.new_daemon(start=False)
        subprocess.run([fill, str(daemon.folder / "db"), "134000", "0", "2000", "268", "3000"], check=True)
        daemon.start()
        browser = self.page(daemon)
        browser.wait("return document.querySelectorAll('article.run').length === 50")
        self.assertEqual(browser.text("[data-tile=queued] dd"), "100,500")
        self.assertLess(browser.run(NODES), 6_000)
        self.assertLessEqual(browser.run(test_page.LAYOUT_SHIFT), 0.1)
        browser.run("window.bytes = 0; const s = new EventSource('api/live'); for (const k of ['queue', 'runs', 'status']) s.addEventListener(k, (e) => { window.bytes += e.data.length; })")
        browser.run("document.querySelector('article.run a').focus(); getSelection().selectAllChildren(document.querySelector('h1'))")
        run, began = Run(age=10), time.monotonic()
        daemon.accept(run.requested())
        for i in range(100):
            daemon.accept(run.job(f"part {i}", queue=600).queued())
            time.sleep(0.03)
        browser.wait("return document.querySelector('[data-tile=queued] dd').innerText === '100,600'")
        self.assertLess(browser.run("return window.bytes") / (1 + time.monotonic() - began), 200_000)
        self.assertEqual(browser.run("return [document.activeElement.closest('article').className, String(getSelection())]"), ["run", "Now"])
        self.assertLess(browser.run(NODES), 6_500)
        for details in ("2", "1"):
            browser.run("const d = [...document.querySelectorAll('details.others')][arguments[0] - 1]; if (d) d.open = true", int(details))
        time.sleep(0.5)
        self.assertLess(browser.run(NODES), 12_000)
        answer = json.loads(daemon.admin("/api/queue?limit=100&pools=100").body)
        self.assertEqual((len(answer["pools"]), len(answer["jobs"])), (100, 100))
        self.assertLess(len(daemon.admin("/api/runs?state=open&limit=50&jobs=10").body), 300_000)
