"""Runner labels: what GitHub takes for the same is one pool, everywhere, shown as it was spelled first."""
import gzip
import json
import pathlib
import re
import urllib.parse

import harness
from expect import run_spans
from make_store import CENTURY
from payloads import Repository, Run
import test_admin
from test_admin import get_json, metrics

FIXTURE = harness.ROOT / "tests/fixtures/labels/dea6e4c/data.mdb.gz"
SPELLINGS = (["self-hosted", "linux", "x64"], ["self-hosted", "Linux", "X64"], ["SELF-HOSTED", "x64", "linux"],
             ["x64", "X64", "Linux", "self-hosted", "linux"])
FIRST = "linux,self-hosted,x64"
ONE_LABEL = "self-hosted,linux,x64"  # as one label, which its commas do not divide
ESCAPED = "self-hosted\\,linux\\,x64"


def queue(daemon, labels, limit=500):
    return get_json(daemon, f"/api/queue?limit={limit}&runner_labels=" + urllib.parse.quote(labels))


def pools_of(answer):
    return [(pool["runner_labels"], pool["runner_group"]) for pool in answer["pools"]]


def labels_in(found, family):
    """{(runner_labels, state or result): value}, of any group"""
    sums = {}
    for (name, labels), value in found.items():
        labels = dict(labels)
        if name == family:
            key = (labels["runner_labels"], labels.get("state", labels.get("result")))
            sums[key] = sums.get(key, 0) + value
    return sums


class Labels(harness.BlackBoxTest):
    def deliver_queued(self, daemon, spellings):
        jobs = []
        for labels in spellings:
            run = Run(age=300)
            job = run.job("build", queue=8, duration=50)
            job.labels = labels
            daemon.accept(job.queued())
            jobs.append(job)
        return jobs

    def test_spellings_and_orders_are_one_pool_shown_as_first_spelled(self):
        daemon = self.new_daemon()
        self.deliver_queued(daemon, [*SPELLINGS, [ONE_LABEL]])
        for _ in range(2):
            answer = queue(daemon, "")
            self.assertEqual(sorted((pool["runner_labels"], pool["queued"]) for pool in answer["pools"]),
                             [(FIRST.split(","), 4), ([ONE_LABEL], 1)])
            gauges = labels_in(metrics(daemon), "ghatrace_jobs")
            self.assertEqual({key: value for key, value in gauges.items() if value > 0}, {(FIRST, "queued"): 4, (ESCAPED, "queued"): 1})
            self.assertEqual({key[0] for key in gauges}, {FIRST, ESCAPED})
            self.assertEqual(sorted(job["runner_labels"] for job in answer["jobs"]), sorted([*SPELLINGS, [ONE_LABEL]]))
            name, live = test_admin.Live.next_event(self, test_admin.Live.open_stream(self, daemon)[1])  # what the page is made of
            self.assertEqual((name, pools_of(live)), ("queue", pools_of(answer)))
            daemon.restart(how="kill")

    def test_a_query_in_any_spelling_and_order_finds_the_pool(self):
        daemon = self.new_daemon()
        self.deliver_queued(daemon, [*SPELLINGS, [ONE_LABEL]])
        for labels in ("self-hosted,linux,x64", "X64,LINUX,Self-Hosted", "linux,linux,x64,SELF-hosted", "x64,,linux,self-hosted,"):
            self.assertEqual(sorted(job["runner_labels"] for job in queue(daemon, labels)["jobs"]), sorted(SPELLINGS), labels)
        for labels in (ESCAPED, ESCAPED.upper()):
            self.assertEqual([job["runner_labels"] for job in queue(daemon, labels)["jobs"]], [[ONE_LABEL]], labels)
        for labels in ("linux,x64", "linux", "self-hosted\\,linux,x64"):
            self.assertEqual(queue(daemon, labels)["jobs"], [], labels)

    def test_finished_jobs_are_in_one_histogram_and_one_latency(self):
        daemon, collector = self.new_pair()
        repositories = [Repository(), Repository("acme/telemetry")]
        for i, labels in enumerate((*SPELLINGS, [ONE_LABEL])):
            run = Run(age=300, repository=repositories[i % 2])
            job = run.job("build", queue=8, duration=50)
            job.labels = labels
            daemon.accept(*run.timeline())
            self.check_trace(collector, run_spans(run))  # whose labels are as GitHub spells them
        for _ in range(2):
            counts = labels_in(metrics(daemon), "ghatrace_job_queue_seconds_count")
            self.assertEqual(counts, {(FIRST, "success"): 4, (ESCAPED, "success"): 1})
            self.assertEqual({key[0] for key in labels_in(metrics(daemon), "ghatrace_jobs")}, {FIRST, ESCAPED})
            pools = get_json(daemon, "/api/latency")["pools"]
            self.assertEqual([(pool["runner_labels"], pool["count"]) for pool in pools], [(FIRST.split(","), 4), ([ONE_LABEL], 1)])
            daemon.restart(how="kill")

    def test_the_screen_in_the_terminal_shows_the_same_pool(self):
        daemon = self.new_daemon()
        self.deliver_queued(daemon, [*SPELLINGS, [ONE_LABEL]])
        lines = daemon.command("top").stdout.splitlines()
        queued = lines[[line.startswith("POOL ") for line in lines].index(True)].index("QUEUED") + len("QUEUED")
        pools = [(line.split()[0], line[:queued].split()[-1]) for line in lines if re.match(r"\S*linux\S* +[a-z]+ ", line)]
        self.assertEqual(sorted(pools), [(FIRST, "4"), (ESCAPED, "1")])
        runs = daemon.command("runs").stdout
        self.assertIn("Linux,X64,self-hosted", runs)
        self.assertIn(ESCAPED, runs)


class OldStore(harness.BlackBoxTest):
    """A store of dea6e4c, in which each spelling has a pool of its own: see tests/fixtures/labels/README.md."""

    def open_copy(self):
        daemon = self.new_daemon(start=False, job_timeout=CENTURY, run_idle=CENTURY, history=CENTURY, linger=CENTURY)
        database = pathlib.Path(daemon.settings["db"])
        database.mkdir()
        (database / "data.mdb").write_bytes(gzip.decompress(FIXTURE.read_bytes()))
        return daemon

    def test_pools_that_differ_in_spelling_are_added_up_and_no_empty_ones_remain(self):
        daemon = self.open_copy().start()
        story = json.loads((FIXTURE.parent / "story.json").read_text())
        chosen = "Linux,X64,self-hosted"  # of those that were there the first by bytes
        for _ in range(2):
            answer = queue(daemon, "linux,x64,self-hosted")
            self.assertEqual(len(answer["jobs"]), story["open"])
            self.assertEqual([(pool["runner_labels"], pool["queued"]) for pool in answer["pools"] if pool["queued"] > 0],
                             [(chosen.split(","), story["open"]), ([ONE_LABEL], 1)])
            found = metrics(daemon)
            self.assertEqual(labels_in(found, "ghatrace_job_queue_seconds_count"), {(chosen, "success"): story["finished"]})
            self.assertEqual(labels_in(found, "ghatrace_job_queue_seconds_sum"), {(chosen, "success"): story["queue_seconds"]})
            self.assertEqual({key[0] for key in labels_in(found, "ghatrace_jobs") if "X64" in key[0] or key[0].islower()}, {chosen, ESCAPED})
            daemon.restart()

    def test_a_command_can_read_them_before_a_daemon_does(self):
        daemon = self.open_copy()
        shown = daemon.command("top").stdout
        self.assertNotIn("unreadable", shown)
        self.assertIn("linux,self-hosted,x64", shown)


if __name__ == "__main__":
    import unittest
    unittest.main()
