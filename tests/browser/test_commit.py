"""The page of a commit: all its runs over one time, and what it waited for."""
import time

import test_page
from payloads import Repository, Run

HOSTILE = test_page.HOSTILE
SHA = "4f2c1a9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9"


def run_of(push, start=0, length=100, sha=SHA, **kinds):
    run = Run(started=push + start, **kinds)
    run.head_sha, run.updated = sha, run.started + length
    return run


def a_push(sha=SHA, age=1200):
    """CI: build, then test; a check beside it; a deployment that CI triggers, and that needs an approval."""
    push = int(time.time()) - age
    ci, lint, deploy = (run_of(push, 0, 300, sha, workflow="CI"), run_of(push, 1, 60, sha, workflow="Lint"),
                        run_of(push, 302, 500, sha, workflow="Deploy", event="workflow_run"))
    ci.job("build", offset=2, queue=20, duration=98)
    ci.job("integration tests of the payment service (3.14, postgresql)", offset=121, queue=60, duration=118)
    lint.job("lint", offset=1, queue=5, duration=50)
    deploy.job("deploy", offset=1, waited=400, queue=10, duration=80, environment="production")
    return [ci, lint, deploy]


class ACommit(test_page.PageTest):
    def daemon_with(self, *runs):
        daemon = self.new_daemon(self.new_collector())
        for run in runs:
            daemon.accept(*run.timeline())
        return daemon

    def open_commit(self, daemon, sha=SHA, **kinds):
        browser = self.page(daemon, f"#/commits/{sha}", **kinds)
        browser.wait("return document.querySelector('.commit-run, [role=alert], main li')")
        return browser

    def rows(self, browser):
        return browser.run("return [...document.querySelectorAll('.commit-run')].map((box) => [box.querySelector('button .name').innerText,"
                           " ...[...box.querySelectorAll('.commit-jobs:not([hidden]) .commit-job .name')].map((e) => e.innerText)])")

    def test_all_runs_are_in_one_waterfall_and_what_the_commit_waited_for_is_unfolded(self):
        runs = a_push()
        browser = self.open_commit(self.daemon_with(*runs))
        browser.wait_for_text("from the push to the last green")
        self.assertEqual(browser.text("h1"), f"{runs[0].display_title} 4f2c1a9")
        self.assertEqual(browser.text(".commit-result"), "success · 13m 22s from the push to the last green")
        self.assertEqual(browser.text(".commit-waited"), "It waited for: approval 6m 40s, execution 4m 47s, in the queue 1m 30s,"
                         " runner's start-up 9.0s, between jobs 16s.".replace("9.0s", "9s"))
        self.assertIn("Along: CI › build 1m 58s → integration tests of the payment service (3.14, postgresql) 2m 58s → Deploy › deploy 8m 10s",
                      browser.text(".commit"))
        self.assertEqual([row[0] for row in self.rows(browser)], ["CI", "Lint", "Deploy"])
        self.assertEqual([len(row) for row in self.rows(browser)], [3, 1, 2])
        links = browser.run("return [...document.querySelectorAll('.commit a')].map((a) => a.href)")
        self.assertIn(f"https://github.com/acme/rocket_engine/commit/{SHA}", links)
        self.assertIn(runs[0].url, links)
        self.assertTrue(any(link.endswith(f"#/runs/{runs[0].run_id}/1") for link in links))
        # All are on one scale: what began later is farther to the right.
        places = browser.run("return [...document.querySelectorAll('.bar.whole')].map((bar) => bar.getBoundingClientRect().left)")
        self.assertLess(places[0] + 100, places[2])

    def test_runs_unfold_by_mouse_and_keyboard_and_that_is_in_the_address(self):
        daemon = self.daemon_with(*a_push())
        browser = self.open_commit(daemon)
        browser.click(".commit-run:nth-child(2) button")
        browser.wait("return document.querySelector('.commit-run:nth-child(2) .commit-job')")
        browser.press("ArrowUp")
        browser.press("Enter")
        browser.wait("return document.querySelector('.commit-run:nth-child(1) .commit-jobs').hidden")
        self.assertEqual([len(row) for row in self.rows(browser)], [1, 2, 2])
        address = browser.run("return location.href")
        self.assertIn("?open=", address)
        browser.run("location.hash = '#/runs'")
        browser.wait_for_text("Finished runs", "main")
        browser.run("history.back()")
        browser.wait("return document.querySelectorAll('.commit-job').length === 2")
        self.assertEqual([len(row) for row in self.rows(browser)], [1, 2, 2])

    def test_open_runs_keep_growing_and_their_end_is_seen_and_the_focus_stays(self):
        ci, lint, _ = a_push(age=100)
        daemon = self.daemon_with(lint)
        daemon.accept(ci.requested(), ci.jobs[0].queued(), ci.jobs[0].in_progress())
        browser = self.open_commit(daemon)
        browser.wait_for_text("still running")
        self.assertIn("since the push", browser.text(".commit-result"))
        browser.run("document.querySelector('.commit-run:nth-child(2) button').focus()")
        width = browser.run("return parseFloat(document.querySelector('.commit-run:nth-child(2) .bar.whole').style.width)")
        browser.wait("return parseFloat(document.querySelector('.commit-run:nth-child(2) .bar.whole').style.width) < arguments[0] - 0.5", width)
        ci.updated = ci.started + 130
        ci.conclusion = "failure"
        daemon.accept(*ci.timeline())
        browser.wait_for_text("from the push to the last end")
        self.assertIn("failure", browser.text(".commit-result"))
        self.assertEqual(browser.run("return document.activeElement.querySelector('.name').innerText"), "Lint")

    def test_a_run_leads_to_its_commit(self):
        runs = a_push()
        daemon = self.daemon_with(*runs)
        browser = self.page(daemon, f"#/runs/{runs[0].run_id}/1")
        browser.wait("return document.querySelector('a[href*=commits]')")
        self.assertEqual(browser.text("a[href*=commits]"), SHA[:7])
        browser.click("a[href*=commits]")
        browser.wait_for_text("from the push to the last green")

    def test_forks_attempts_and_scheduled_runs_are_apart(self):
        ci, lint, deploy = a_push()
        lint.conclusion = "failure"
        again = run_of(ci.started, 200, 60, workflow="Lint", run_id=lint.run_id, attempt=2)
        nightly = run_of(ci.started, 1000, workflow="Nightly", event="schedule", conclusion="failure")
        fork = run_of(ci.started, 0, workflow="Fork CI", repository=Repository("mona/rocket_engine"))
        browser = self.open_commit(self.daemon_with(ci, lint, deploy, again, nightly, fork))
        browser.wait_for_text("from the push to the last green")
        self.assertEqual([row[0] for row in self.rows(browser)], ["CI", "Lint, attempt 1", "Lint, attempt 2", "Deploy", "Nightly", "Fork CI"])
        browser.click(".commit-run:nth-child(5) button")
        browser.wait_for_text("scheduled: not because of this commit")
        self.assertEqual(browser.run("return [...document.querySelectorAll('.commit > p:first-child')].map((e) => e.innerText)"),
                         ["Runs / acme/rocket_engine", "Runs / mona/rocket_engine"])
        self.assertIn("2 repositories have runs of this commit", browser.text("main"))
        self.assertEqual(browser.text(".commit:nth-child(2) .commit-waited"), "None of its jobs is known.")

    def test_first_digits_may_be_those_of_several_commits_or_of_none(self):
        other = SHA[:9] + "0" * 31
        daemon = self.daemon_with(*a_push(), *a_push(sha=other))
        browser = self.open_commit(daemon, SHA[:7])
        browser.wait_for_text("Several commits begin with these digits")
        browser.click("main li:nth-child(2) a")
        browser.wait_for_text("from the push to the last green")
        self.assertEqual(browser.run("return location.hash"), f"#/commits/{SHA}")
        unknown = self.open_commit(daemon, "abcdef0")
        unknown.may_complain = True
        unknown.wait_for_text("There is no run of commit abcdef0 here")

    def test_of_a_large_run_those_jobs_are_shown_that_matter(self):
        push = int(time.time()) - 1200
        large = run_of(push, 0, 400, workflow="Matrix", conclusion="failure")
        for i in range(120):
            large.job(f"leg {i}", offset=1, duration=50)
        large.job("leg that fails", offset=1, duration=60, conclusion="failure")
        large.job("the longest", offset=1, duration=300)
        daemon = self.new_daemon(self.new_collector())
        daemon.accept(*(job.completed() for job in large.jobs), large.completed())
        browser = self.open_commit(daemon)
        browser.wait_for_text("60 of 122 jobs are shown")
        names = self.rows(browser)[0][1:]
        self.assertEqual(len(names), 60)
        self.assertLessEqual({"leg that fails", "the longest"}, set(names))

    def test_names_stay_text(self):
        runs = a_push()
        runs[0].workflow = runs[0].display_title = runs[0].head_branch = runs[2].jobs[0].name = HOSTILE
        browser = self.open_commit(self.daemon_with(*runs))
        browser.wait_for_text("from the push")
        self.assertIn(HOSTILE, browser.text(".commit-run button"))
        self.assertFalse(browser.has_alert())

    def test_it_is_readable_light_and_dark_wide_and_narrow_and_nothing_jumps(self):
        daemon = self.daemon_with(*a_push())
        for width, dark in ((1280, False), (390, True)):
            with self.subTest(width=width, dark=dark):
                browser = self.open_commit(daemon, width=width, dark=dark)
                browser.wait("return document.querySelectorAll('.commit-job').length === 3")
                self.expect_readable(browser, width)
                self.assertEqual(browser.run("return [...document.querySelectorAll('.commit .name')].filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)"
                                             ".map((e) => e.innerText)") if width == 390 else [], [])
                self.assertEqual(browser.run("return [...document.querySelectorAll('[role=img]')].filter((e) => !e.getAttribute('aria-label')).length"), 0)
