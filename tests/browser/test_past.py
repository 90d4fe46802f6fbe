"""Incidents that are over, on the first screen and on the page of their pool."""
import re

import test_page
from harness import wait_until
from payloads import Run


class Past(test_page.PageTest):
    def with_incident(self, labels):
        """A daemon that has seen a pool dead, until its jobs started."""
        daemon = self.new_daemon(pool_dead_after="1m", log_level="debug")
        run = Run(age=1200)
        jobs = [run.job(f"job {i}", queue=1) for i in range(16)]
        for job in jobs:
            job.labels = list(labels)
        daemon.accept(*(job.queued() for job in jobs))
        wait_until(lambda: re.search(r"past incidents stored.*confirmed\W+1\b", daemon.log), what="a stored incident")
        return daemon, jobs

    def wait_for_past(self, browser):
        browser.wait("return document.querySelector('.past:not([hidden]) li')", what="an incident that is over")
        return browser.text(".past")

    def test_an_incident_that_is_over_is_on_the_first_screen_and_on_the_page_of_its_pool(self):
        daemon, jobs = self.with_incident(["gpu", "<img src=x onerror=alert(1)>"])
        pool = "<img src=x onerror=alert(1)>,gpu"
        browser = self.page(daemon)
        browser.wait("return document.querySelector('.trouble')", what="the pool in trouble")
        self.assertTrue(browser.run("return document.querySelector('.past').hidden"))
        daemon.accept(*(job.in_progress() for job in jobs))
        words = r"from (\d+ \w+, )?\d\d:\d\d to (\d+ \w+, )?\d\d:\d\d \(\d+m \d+s\): up to 16 jobs waited, the longest \d+m \d+s\."
        self.assertRegex(self.wait_for_past(browser), rf"^Ended: {re.escape(pool)} was in trouble, at worst dead, {words}$")
        self.assertLess(browser.run("return document.querySelector('.past').getBoundingClientRect().bottom"), 900)
        browser.click(".past a")
        browser.wait("return document.querySelector('.pool-page .summary[data-state]')", what="the page of the pool")
        self.assertRegex(self.wait_for_past(browser), rf"^Ended: at worst dead, {words}$")
        for kinds in ({"width": 1300, "dark": True}, {"width": 390, "height": 800}):
            with self.subTest(**kinds):
                browser = self.page(daemon, **kinds)
                self.wait_for_past(browser)
                self.expect_readable(browser, kinds["width"])
