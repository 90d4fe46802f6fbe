"""What the page says: the same words as the terminal and the API, durations in one form, and what is not there."""
import json
import re

import test_page
from payloads import Run
from scenes import CEILING, dead_pool, flood, worked_off

# Seconds, and the words for them, as in tests/unit/base/test_duration.c.
DURATIONS = ((0, "0s"), (0.0004, "0s"), (0.0006, "1ms"), (0.85, "850ms"), (0.9996, "1s"), (1.04, "1s"), (1.06, "1.1s"), (2.4, "2.4s"), (9.94, "9.9s"), (9.96, "10s"),
             (12, "12s"), (45.4, "45s"), (59.6, "1m 0s"), (60, "1m 0s"), (65, "1m 5s"), (72, "1m 12s"), (360, "6m 0s"), (605, "10m 5s"), (3599, "59m 59s"), (3599.6, "1h 0m"),
             (11100, "3h 5m"), (86340, "23h 59m"), (86399, "1d 0h"), (525600, "6d 2h"))


class Words(test_page.PageTest):
    def with_scene(self, *events):
        daemon = self.new_daemon(runner_ceiling=CEILING)
        daemon.accept(*events)
        return daemon

    def terminal(self, daemon, command):
        """Its lines as one text, with single blanks."""
        return " ".join(daemon.command(command, "--runner-ceiling", CEILING).stdout.split())

    def test_durations_are_those_of_the_terminal(self):
        browser = self.page(self.new_daemon())
        found = browser.run("""
            const [list] = arguments, [path] = [...document.querySelectorAll("link")].map((one) => one.href).filter((one) => one.endsWith("dom.js"));
            return import(path).then(({duration}) => list.map(duration));""", [seconds for seconds, _ in DURATIONS])
        self.assertEqual(found, [words for _, words in DURATIONS])

    def test_the_first_sentence_is_that_of_the_api_with_links_and_times_in_the_chosen_zone(self):
        daemon = self.with_scene(*dead_pool())
        browser = self.page(daemon)
        browser.wait("return document.querySelector('.scope').innerText !== ''")
        text = json.loads(daemon.admin("/api/pools").body)["summary"]["text"]
        self.assertEqual(browser.text(".scope"), re.sub(r"(\d\d-\d\d )?(\d\d:\d\d) UTC", r"\2", text))
        self.assertEqual(browser.run("return document.querySelector('.scope a').hash"), "#/pools/gpu-a100")
        self.assertRegex(browser.run("return document.querySelector('.scope time').title"), r"UTC$")
        self.assertIn(text, self.terminal(daemon, "pools"))

    def test_in_a_flood_page_and_terminal_name_the_repository_and_what_can_be_done(self):
        daemon = self.with_scene(*flood())
        action = r'Cancel unneeded runs of acme/monorepo, workflow "[^"]+" \(\d+ queued jobs\): '
        at_github = "https://github.com/acme/monorepo/actions"
        browser = self.page(daemon)
        browser.wait("return document.querySelector('.trouble') !== null")
        self.assertRegex(browser.text(".scope"), r"^acme/monorepo fills .*: 6 of 6 running and 34 of 42 queued jobs are its\.$")
        self.assertRegex(browser.text(".action"), f"^{action}its runs on GitHub$")
        self.assertEqual(browser.run("return document.querySelector('.action a').href"), at_github)
        self.assertNotRegex(browser.text(".trouble"), action)  # said once
        self.assertIn("To let fewer of its jobs run at once: concurrency groups, max-parallel.", browser.text(".trouble"))
        browser.click(".trouble h3 a")
        browser.wait_for_text("concurrency groups", ".pool-page .summary")
        self.assertRegex(browser.text(".pool-page .action"), action)
        for command in ("pools", "top"):
            self.assertRegex(self.terminal(daemon, command), rf"queued jobs are its\. {action}{re.escape(at_github)} 20")  # and then the time

    def test_idle_pools_are_counted_and_listed_last(self):
        daemon = self.with_scene(*dead_pool(), *worked_off([["ubuntu-latest"], ["macos-15"]], 20, range(1000, 3500, 200)))
        browser = self.page(daemon)
        browser.wait("return document.querySelector('.others') !== null")
        self.assertEqual(browser.text("details.others:last-of-type summary"), "2 other idle pools")
        job = Run().job("test")
        job.labels = ["linux"]
        daemon.accept(job.queued())
        browser.wait_for_text("1 other pool and 2 idle: 1 queued, 0 running")
        browser.click("details.others:last-of-type summary")
        links = "[...document.querySelectorAll('details.others:last-of-type tbody a')].map((one) => one.innerText)"
        browser.wait(f"return {links}.length === 3")
        self.assertEqual(browser.run(f"return {links}"), ["linux", "macos-15", "ubuntu-latest"])

    def test_what_is_not_there_has_a_heading_and_reasons(self):
        daemon = self.with_scene(*dead_pool())
        for address, heading in (("#/runs/7/1", "There is no attempt 1 of run 7 here"), ("#/commits/abcdef0", "There is no run of commit abcdef0 here"), ("#/pools/gone", "There is no pool gone here")):
            with self.subTest(address=address):
                browser = self.page(daemon, address)
                browser.may_complain = True  # of the 404
                browser.wait_for_text(heading)
                self.assertEqual(browser.run("return [...document.querySelectorAll('h1')].filter((one) => one.checkVisibility()).map((one) => one.innerText)"), [heading])
                self.assertIn("was not received yet", browser.text("main"))
                self.assertIn("belongs to another server", browser.text("main"))
                self.assertNotIn("`", browser.text("main"))

    def test_a_short_view_has_no_scrollbar(self):
        browser = self.page(self.new_daemon(), "#/nothing-here")
        browser.wait_for_text("There is no such page")
        self.assertLessEqual(browser.run("return document.documentElement.scrollHeight - innerHeight"), 0)
        self.assertGreater(browser.run("return document.querySelector('footer').getBoundingClientRect().bottom - innerHeight"), -2)
