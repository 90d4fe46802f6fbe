"""Each query of the dashboards, and the alert rules, in a real Prometheus that scrapes a real ghatrace."""
import http.server
import json
import math
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import harness
from harness import ROOT, wait_until
from payloads import Repository, Run

GRAFANA = ROOT / "conf/grafana"
RULES = ROOT / "conf/prometheus"
REPLACED = {"$__rate_interval": "15s", "$__range": "5m", "$__interval": "5s", "$repository": ".*", "$workflow": ".*", "$runner_labels": ".*"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class FakeArc(http.server.BaseHTTPRequestHandler):
    """What the listener of a scale set of actions-runner-controller tells: the families of its documentation."""
    scrapes = 0

    def do_GET(self):
        FakeArc.scrapes += 1
        labels = 'name="linux-x64",namespace="arc-runners",repository="",organization="acme",enterprise=""'
        lines = []
        for name, number in (("assigned_jobs", 5), ("running_jobs", 3), ("registered_runners", 6), ("busy_runners", 3),
                             ("min_runners", 0), ("max_runners", 10), ("desired_runners", 6), ("idle_runners", 3)):
            lines += [f"# TYPE gha_{name} gauge", f"gha_{name}{{{labels}}} {number}"]
        for name in ("job_startup_duration_seconds", "job_execution_duration_seconds"):
            lines.append(f"# TYPE gha_{name} histogram")
            for bound, part in (("1", 0), ("10", 2), ("100", 5), ("+Inf", 5)):
                lines.append(f'gha_{name}_bucket{{{labels},le="{bound}"}} {FakeArc.scrapes * part}')
            lines += [f"gha_{name}_sum{{{labels}}} {FakeArc.scrapes * 70}", f"gha_{name}_count{{{labels}}} {FakeArc.scrapes * 5}"]
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def load(daemon):
    """Several repositories, workflows, labels, results, steps; some jobs wait, queue and run."""
    for number, (repository, workflow, result) in enumerate(
            [("acme/rocket_engine", "CI", "success"), ("acme/rocket_engine", "CI", "failure"), ("acme/telemetry", "Release", "success")]):
        run = Run(age=900 + number, workflow=workflow, conclusion=result, repository=Repository(repository))
        run.job("build", queue=5 + 40 * number, conclusion=result)
        run.job("deploy", queue=3, environment="production", waited=30)
        run.jobs[1].labels = ["self-hosted", "linux"]
        run.updated = max(job.completed_at for job in run.jobs) + 1
        daemon.accept(*run.timeline())
    opened = Run(age=100)
    jobs = [opened.job("queued"), opened.job("running"), opened.job("waiting", environment="production", waited=900)]
    daemon.accept(opened.requested(), jobs[0].queued(), jobs[1].in_progress(), jobs[2].waiting())


@unittest.skipUnless(shutil.which("prometheus") and shutil.which("promtool"), "prometheus is not here")
class Dashboards(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair()
        arc = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeArc)
        threading.Thread(target=arc.serve_forever, daemon=True).start()
        cls.addClassCleanup(arc.server_close)
        cls.addClassCleanup(arc.shutdown)
        load(cls.daemon)  # the series are there before the first scrape, or nothing could be seen to rise
        cls.start_prometheus(arc.server_port)
        wait_until(lambda: len(cls.query("up == 1")) == 2 and cls.query("count_over_time(ghatrace_runs_open[1m]) > 2"), what="the first scrapes")
        load(cls.daemon)
        seen = cls.query("sum(ghatrace_job_queue_seconds_count)")[0]["value"][1]
        wait_until(lambda: float(cls.query("sum(ghatrace_job_queue_seconds_count)")[0]["value"][1]) > float(seen) or float(seen) > 6, what="the second load")
        wait_until(lambda: cls.query("sum(rate(ghatrace_job_queue_seconds_count[15s])) > 0"), what="a rate")

    @classmethod
    def start_prometheus(cls, arc_port):
        folder = pathlib.Path(cls.new_folder())
        cls.port = free_port()
        targets = {"ghatrace": cls.daemon.admin_address[1], "arc": arc_port}
        (folder / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES / "ghatrace-rules.yml")],
            "scrape_configs": [{"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for name, port in targets.items()]}))
        log = open(folder / "log", "wb")
        cls.addClassCleanup(log.close)
        process = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                                    f"--web.listen-address=127.0.0.1:{cls.port}", "--enable-feature=exemplar-storage"], stdout=log, stderr=log)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.terminate)
        wait_until(cls.is_up, what="prometheus")

    @classmethod
    def is_up(cls):
        try:
            return cls.get("/-/ready") is not None
        except OSError:
            return False

    @classmethod
    def get(cls, path, **parameters):
        with urllib.request.urlopen(f"http://127.0.0.1:{cls.port}{path}?{urllib.parse.urlencode(parameters)}", timeout=harness.PATIENCE) as answer:
            return answer.read()

    @classmethod
    def query(cls, text):
        return json.loads(cls.get("/api/v1/query", query=text))["data"]["result"]

    def has_data(self, text):
        """A query may need a moment: rates, of what has just been counted."""
        return any(not math.isnan(float(row["value"][1])) for row in self.query(text))

    def boards(self):
        found = {path.name: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}
        self.assertEqual(set(found), {"runner-latency.json", "pipeline-health.json", "ghatrace-health.json"})
        return found

    def test_every_query_of_every_panel_returns_data(self):
        count = 0
        for name, board in self.boards().items():
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    text = target["expr"]
                    for variable, plain in REPLACED.items():
                        text = text.replace(variable, plain)
                    self.assertNotIn("$", text)
                    with self.subTest(board=name, panel=panel["title"], query=text):
                        try:
                            wait_until(lambda: self.has_data(text), timeout=20, what="data")
                        except urllib.error.HTTPError as error:
                            self.fail(error.read().decode())
                    count += 1
        self.assertGreater(count, 60)

    def test_every_variable_has_values(self):
        for name, board in self.boards().items():
            for variable in board["templating"]["list"]:
                if variable["type"] != "query":
                    continue
                metric, label = variable["definition"].removeprefix("label_values(").removesuffix(")").split(", ")
                with self.subTest(board=name, variable=variable["name"]):
                    values = json.loads(self.get(f"/api/v1/label/{label}/values", **{"match[]": metric}))["data"]
                    self.assertGreater(len(values), 1)

    def test_panels_say_what_they_show(self):
        for name, board in self.boards().items():
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)), name)
            self.assertEqual({panel["title"] for panel in board["panels"] if not panel["title"]}, set())

    def test_buckets_open_their_traces(self):
        def exemplars():
            now = time.time()
            return json.loads(self.get("/api/v1/query_exemplars", query="ghatrace_job_queue_seconds_bucket", start=now - 3600, end=now + 60))["data"]
        found = wait_until(exemplars, what="exemplars")
        self.assertRegex(found[0]["exemplars"][0]["labels"]["trace_id"], "^[0-9a-f]{32}$")

    def test_the_rules_are_evaluated_without_error(self):
        def rules():
            groups = json.loads(self.get("/api/v1/rules"))["data"]["groups"]
            found = [rule for group in groups for rule in group["rules"]]
            return found if found and all(rule["health"] != "unknown" for rule in found) else None
        found = wait_until(rules, what="the rules")
        self.assertEqual({rule["name"]: rule.get("lastError") for rule in found if rule["health"] != "ok"}, {})
        self.assertGreaterEqual(len(found), 9)

    def test_promtool_takes_rules_their_tests_and_the_sample_configuration(self):
        for arguments in (["check", "rules", "ghatrace-rules.yml"], ["test", "rules", "ghatrace-rules-test.yml"], ["check", "config", "prometheus.yml"]):
            result = subprocess.run(["promtool", *arguments], cwd=RULES, capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
