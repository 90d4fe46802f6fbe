"""The incidents that people are asked to find (tests/browser/incidents.py) are what the daemon says of them, and no more."""
import json
import pathlib
import subprocess
import sys
import time
import unittest

import harness

TESTS = pathlib.Path(__file__).resolve().parent.parent
BROWSER = TESTS / "browser"
sys.path += [str(TESTS / "scene"), str(BROWSER)]  # both have a module `scenes`: other tests here use the first
import incidents  # noqa: E402
import organization  # noqa: E402
from clock import parse  # noqa: E402

STATES = {"dead": "dead", "ceiling": "ceiling", "flood": "busy"}


class Incidents(harness.BlackBoxTest):
    def pools_of(self, kind, hours=1.1):
        """The pools that are in trouble, worst first, of a company."""
        company = incidents.Company(self.new_folder(), organization.Organization(kind, time.time(), hours, minutes=10))
        self.addCleanup(company.stop)
        self.company = company
        company.start()
        answer = json.loads(company.daemon.admin("/api/pools").body)
        self.assertEqual(len(answer["pools"]), len(organization.POOLS))
        return company.organization.truth, [pool for pool in answer["pools"] if pool["state"] != "ok"], answer

    def check(self, kind):
        truth, troubled, answer = self.pools_of(kind)
        failed = self.company.organization.payloads.of_run(self.company.organization.failed)
        self.assertEqual(json.loads(self.company.daemon.admin(f"/api/runs/{failed.run_id}/1").body)["run"]["result"], "failure")
        self.assertEqual({pool["pool"]: pool["state"] for pool in troubled}, dict.fromkeys(truth.pools, STATES[kind]))
        for pool in troubled:
            self.assertTrue(truth.since <= parse(pool["since"]) <= truth.seen, (pool["pool"], pool["since"], truth))
        self.assertEqual([pool["pool"] for pool in answer["pools"][:len(troubled)]], [pool["pool"] for pool in troubled])
        return troubled, answer

    def test_of_a_dead_pool_nothing_runs(self):
        troubled, _ = self.check("dead")
        self.assertEqual(troubled[0]["running"], 0)
        self.assertGreater(troubled[0]["queued"], 5)

    def test_at_the_ceiling_no_repository_has_most(self):
        _, answer = self.check("ceiling")
        ceiling = answer["ceilings"][0]
        self.assertGreaterEqual(ceiling["running"], 0.9 * organization.LIMIT)
        self.assertLess(ceiling["by_repository"][0]["running"], organization.LIMIT / 3)

    def test_one_repository_fills_a_pool(self):
        troubled, _ = self.check("flood")
        self.assertGreater(troubled[0]["queued"], 100)

    def test_after_an_incident_no_pool_is_in_trouble(self):
        self.assertEqual(self.pools_of("after", hours=1.7)[1], [])

    def test_the_script_prints_addresses_and_keeps_the_truth_elsewhere(self):
        folder = pathlib.Path(self.new_folder())
        result = subprocess.run([BROWSER / "incidents.py", "--incident", "flood", "--minutes=0", "--hours=1", "--port=0", f"--truth={folder}/truth"],
                                capture_output=True, text=True, timeout=harness.PATIENCE, check=True)
        self.assertRegex(result.stdout, r"(?m)^page +http://127\.0\.0\.1:\d+/$")
        self.assertNotIn("flood", result.stdout)
        self.assertEqual(json.loads((folder / "truth").read_text())["kind"], "flood")


if __name__ == "__main__":
    unittest.main()
