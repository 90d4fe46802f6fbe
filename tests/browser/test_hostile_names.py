"""Names and addresses that a sender of webhooks has chosen, in the views of a run, a commit and a pool."""
import test_page
from ended_runs import finish
from scenes import HOSTILE, hostile_run

SHA = "4f2c1a9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9"
LONG = "w" * 4000 + "\u202e"


def with_addresses(event):
    """All addresses of the payload are scripts."""
    def change(part):
        for key, value in part.items():
            if key == "html_url":
                part[key] = "javascript:alert(4)"
            elif isinstance(value, dict):
                change(value)
    return event.edited(change)


class Hostile(test_page.PageTest):
    def test_long_names_and_scripts_as_addresses_do_no_harm(self):
        daemon = self.new_daemon(root_grace="0s")
        long, scripts = hostile_run(), hostile_run()
        for run in (long, scripts):
            run.head_sha, run.conclusion = SHA, "failure"
            run.jobs[0].conclusion = run.jobs[0].steps[2].conclusion = "failure"
        long.display_title = long.head_branch = long.jobs[1].name = long.jobs[1].runner_name = LONG
        finish(daemon, long)
        daemon.accept(*(with_addresses(event) for event in scripts.timeline()))
        for path in (f"#/commits/{SHA}", f"#/runs/{long.run_id}/1", f"#/runs/{scripts.run_id}/1", "#/failures", "#/runs"):
            with self.subTest(path=path.split("/")[1]):
                browser = self.page(daemon, path, width=390)
                browser.wait_for_text(HOSTILE, "main")
                self.assertFalse(browser.has_alert())
                self.assertEqual(browser.run("return document.querySelectorAll('img, main script').length"), 0)
                self.assertEqual(browser.run("return [...document.querySelectorAll('a')].filter((a) => !/^https?:/.test(a.href)).length"), 0)
                self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), 390)
