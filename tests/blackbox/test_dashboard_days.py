"""Each panel of the dashboards shows something on a quiet day and during incidents, in a real Prometheus."""
import http.server
import json
import math
import pathlib
import shutil
import sys
import threading
import time
import unittest
import urllib.error

import harness
from harness import wait_until
from test_dashboards import ALL, BOARDS, RULES, FakeArc, PrometheusTest, panels, replace, rows_of

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "browser"))
import incidents  # noqa: E402
import organization  # noqa: E402

COUNT = 'sum(ghatrace_deliveries_total{job="ghatrace",outcome="accepted"})'


@unittest.skipUnless(shutil.which("prometheus"), "prometheus is not here")
class DayTest(PrometheusTest):
    """A company whose last half hour is delivered between two scrapes. Two jobs scrape the daemon, so each series of it is
    there twice, as in a Prometheus of two daemons: what matches series must say by which labels."""
    kind = None

    @classmethod
    def setUpClass(cls):
        what = organization.Organization(cls.kind, time.time(), hours=1.1, minutes=10)
        cls.company = incidents.Company(cls.new_folder(), what, metrics_labels=harness.LABELS_BEFORE)
        cls.addClassCleanup(cls.company.stop)
        arc = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeArc)
        threading.Thread(target=arc.serve_forever, daemon=True).start()
        cls.addClassCleanup(arc.server_close)
        cls.addClassCleanup(arc.shutdown)
        cls.company.daemon.start()
        cls.company.deliver_due(before=1800)
        port = cls.company.daemon.admin_address[1]
        cls.start_prometheus(pathlib.Path(cls.new_folder()), {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES / "ghatrace-rules.yml")],
            "scrape_configs": [{"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]}
                               for name, at in (("ghatrace", port), ("again", port), ("arc", arc.server_port))]})
        wait_until(lambda: cls.number("count(up == 1)") == 3, what="the first scrape")
        cls.company.deliver_due()
        wait_until(lambda: cls.number(COUNT) == cls.accepted(), what="the last scrape")

    @classmethod
    def accepted(cls):
        status = json.loads(cls.company.daemon.admin("/api/status").body)
        return status["deliveries"]["accepted"]

    def ask(self, query):
        """Whether it has a number; or what is wrong with it."""
        try:
            answer = json.loads(self.get("/api/v1/query", query=query))
        except urllib.error.HTTPError as error:
            return error.read().decode()
        if answer.get("warnings"):
            return answer["warnings"]
        return any(not math.isnan(float(row["value"][1])) for row in answer["data"]["result"])

    def rows(self):
        """Of the table of pools that need more runners, as it is sorted."""
        panel = next(panel for panel in BOARDS["runner-latency"]["panels"] if panel["title"].startswith("Which pool"))
        return rows_of(panel, lambda text: self.query(replace(text, ALL)))

    def check_answers(self, *empty):
        """All queries of all panels have data, without error or warning; `empty`: (panel, reference) without, as nothing is wrong."""
        left = {(title, target["refId"]): replace(target["expr"], ALL) for board in BOARDS.values() for panel in panels(board)
                for title in [panel["title"]] for target in panel.get("targets", [])}
        self.assertLessEqual(set(empty), set(left))
        found = {}

        def are_answered():
            for place, query in list(left.items()):
                found[place] = self.ask(query)
                if found[place] is True:
                    del left[place]
            return set(left) <= set(empty)
        try:
            wait_until(are_answered, what="data")
        except AssertionError:
            self.fail("\n".join(f"{place}: {found[place]}: {query}" for place, query in left.items()))
        self.assertEqual({place: found[place] for place in left}, dict.fromkeys(left, False))


REASON = ("Which pool needs more runners, and how many", "C")
FAILED_STEPS = ("Steps that fail most often", "A")

# Ages grow while other modules take the processors.
RUNS_ALONE = True


class QuietDay(DayTest):
    kind = "quiet"

    def test_on_a_quiet_day_every_panel_shows_something(self):
        self.check_answers(REASON, FAILED_STEPS)

    def test_on_a_quiet_day_no_pool_is_short_of_runners(self):
        rows = self.rows()
        self.assertEqual(len(rows), len(organization.POOLS))
        for row in rows:
            self.assertLess(row["oldest wait"], 60, row)
            self.assertNotIn("another reason", row)


class DeadPool(DayTest):
    kind = "dead"

    def test_with_a_dead_pool_every_panel_shows_something(self):
        self.check_answers(FAILED_STEPS)

    def test_only_the_dead_pool_is_marked_as_one_where_none_runs(self):
        marked = [row for row in self.rows() if row.get("another reason")]
        self.assertEqual([(row["pool"], row["another reason"], row["running"]) for row in marked], [("gpu-a100", 3, 0)])
        self.assertGreater(marked[0]["oldest wait"], 900)


class Ceiling(DayTest):
    kind = "ceiling"

    def test_at_the_ceiling_every_panel_shows_something(self):
        self.check_answers(FAILED_STEPS)

    def test_the_pools_at_the_ceiling_are_marked_and_lack_no_runners(self):
        marked = {row["pool"]: row for row in self.rows() if row.get("another reason")}
        self.assertEqual(set(marked), set(self.company.organization.truth.pools))
        for row in marked.values():
            self.assertEqual((row["ceiling"], row["another reason"], row["short at the peak"], row["short 95 % of the time"]), ("hosted", 2, 0, 0))
