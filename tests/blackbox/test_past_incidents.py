"""What `pools` and the API say of a pool's trouble once it is over."""
import re
import time

import harness
from harness import wait_until
from payloads import Run
from test_admin import get_json, unix


class PastIncidents(harness.BlackBoxTest):
    def new_looker(self):
        """A daemon that looks at its pools once a second, and takes for true what it sees for four seconds."""
        return self.new_daemon(pool_dead_after="1m", log_level="debug")

    def past(self, daemon):
        return get_json(daemon, "/api/pools")["past"]

    def jobs(self, labels, count, age=1200):
        run = Run(age=age)
        found = [run.job(f"job {i}", queue=1) for i in range(count)]
        for job in found:
            job.labels = list(labels)
        return found

    def wait_until_stored(self, daemon):
        """An incident that has been seen for long enough: what is not is forgotten at its end."""
        wait_until(lambda: re.search(r"past incidents stored.*confirmed\W+1\b", daemon.log), what="a stored incident")
        self.assertEqual(self.past(daemon), [])

    def test_an_incident_that_is_over_is_shown_with_its_times_after_a_restart_in_the_middle(self):
        daemon, began = self.new_looker(), int(time.time()) - 1200
        jobs = self.jobs(["gpu", "A100"], 16)
        daemon.accept(*(job.queued() for job in jobs))
        self.wait_until_stored(daemon)
        daemon.restart(how="kill")
        self.assertEqual(self.past(daemon), [])
        self.assertNotIn("Ended:", daemon.command("pools").stdout)
        daemon.accept(*(job.in_progress() for job in jobs))
        past, = wait_until(lambda: self.past(daemon), what="an incident that is over")
        self.assertEqual((past["pool"], past["state"], past["queued_max"], past["times"]), ("a100,gpu", "dead", 16, 1))
        self.assertAlmostEqual(unix(past["from"]), began, delta=60)
        self.assertGreaterEqual(past["wait_seconds_max"], 1190)
        self.assertGreater(unix(past["until"]), began + 1190)
        self.assertEqual(get_json(daemon, "/api/pools/a100,gpu")["past"], [past])
        daemon.accept(*(job.in_progress() for job in self.jobs(["other"], 1)))
        self.assertEqual(get_json(daemon, "/api/pools/other")["past"], [])
        shown = daemon.command("pools").stdout
        self.assertRegex(shown, r"Ended: a100,gpu was in trouble, at worst\sdead, from (\d\d-\d\d )?\d\d:\d\d to (\d\d-\d\d )?\d\d:\d\d UTC\s\(\d+m \d+s\): up to 16 jobs\swaited")
        there = harness.run_command("pools", "--url", f"http://127.0.0.1:{daemon.admin_address[1]}")
        self.assertEqual(there.returncode, 0, there.stderr)
        remote = there.stdout
        self.assertEqual(shown.split("Ended:")[1], remote.split("Ended:")[1])
        daemon.restart()
        self.assertEqual(self.past(daemon), [past])
