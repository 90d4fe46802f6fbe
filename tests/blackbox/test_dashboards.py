"""The dashboards and the alert rules, in a real Prometheus that scrapes a real ghatrace."""
import http.server
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import grafana_shape
import harness
from harness import ROOT, wait_until
from payloads import Repository, Run, ping

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "scene"))
import clock  # noqa: E402
import play  # noqa: E402
import scenes  # noqa: E402
import truth  # noqa: E402

GRAFANA = ROOT / "conf/grafana"
RULES = ROOT / "conf/prometheus"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}
# What Grafana puts in place of variables. Rates look back on the whole test: however slow it goes, the load is in them.
TIMES = {"$__rate_interval": "1h", "$__range": "1h", "$window": "1h", "$__interval_ms": "1000", "$__interval": "1s"}
ALL = {"$repository": ".*", "$workflow": ".*", "$runner_labels": ".*", "$runner_group": ".*", "$pool": ".*"}
CHOSEN = {"$repository": "(acme/rocket_engine|acme/telemetry)", "$workflow": "(CI|Release)",
          "$runner_labels": "(ubuntu-latest,x64|gpu,self-hosted)", "$runner_group": "(GitHub Actions|gpu farm)",
          "$pool": "(ubuntu-latest,x64|gpu,self-hosted)"}
CEILINGS = {"ghatrace_ceiling_running", "ghatrace_ceiling_queued", "ghatrace_ceiling_limit"}  # where there are limits above pools
METRIC = re.compile(r"\b(?:ghatrace|gha|process)_[a-z_]+\b")
# A line of metrics: name and labels, value, exemplar.
SAMPLE = re.compile(r'([a-z_]+(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?) (\S+)( # .*)?')
LISTENING = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')


class FakeArc(http.server.BaseHTTPRequestHandler):
    """What a listener of actions-runner-controller reports, with the names and labels of its chart's default: the figures
    of a scale set have the set's name, the histograms of its jobs have not."""
    scale_set = 'name="linux-x64",namespace="arc-runners",repository="",organization="acme",enterprise=""'
    job = ('repository="rocket_engine",organization="acme",enterprise="",job_name="build",event_name="push",'
           'job_workflow_ref="acme/rocket_engine/.github/workflows/ci.yml@refs/heads/main",job_workflow_name="ci",'
           'job_workflow_target="heads/main"')
    gauges = {"assigned_jobs": 5, "running_jobs": 3, "registered_runners": 6, "busy_runners": 3, "min_runners": 0,
              "max_runners": 10, "desired_runners": 6, "idle_runners": 3}
    histograms = {"job_startup_duration_seconds": [job],
                  "job_execution_duration_seconds": [job + ',job_result="succeeded"', job + ',job_result="canceled"']}
    scrapes = 0

    def do_GET(self):
        FakeArc.scrapes += 1
        body = "".join(self.families()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def families(self):
        for name, number in self.gauges.items():
            yield f"# TYPE gha_{name} gauge\ngha_{name}{{{self.scale_set}}} {number}\n"
        for name, series in self.histograms.items():
            yield f"# TYPE gha_{name} histogram\n"
            for labels in series:
                # A job that was cancelled before it had a runner has run since the year 1, as its listener has it.
                is_cancelled = "canceled" in labels
                for bound, part in (("1", 0), ("10", 2), ("100", 5), ("+Inf", 5)):
                    part = part if not is_cancelled else 0 if bound != "+Inf" else 5
                    yield f'gha_{name}_bucket{{{labels},le="{bound}"}} {self.scrapes * part}\n'
                yield f"gha_{name}_sum{{{labels}}} {self.scrapes * (63_911_499_556 if is_cancelled else 70)}\n"
                yield f"gha_{name}_count{{{labels}}} {self.scrapes * 5}\n"

    def log_message(self, *_):
        pass


def load(daemon):
    """Several repositories, workflows, labels, groups, results and steps; some jobs wait, queue and run. Returns how
    many jobs had a runner."""
    for number, (repository, workflow, result) in enumerate(
            [("acme/rocket_engine", "CI", "success"), ("acme/rocket_engine", "CI", "failure"),
             ("acme/rocket_engine", "Nightly", "timed_out"), ("acme/telemetry", "Release", "success"),
             ("acme/telemetry", "Release", "cancelled")]):
        run = Run(age=900 + number, workflow=workflow, conclusion=result, repository=Repository(repository))
        run.job("build", queue=5 + 40 * number, conclusion=result)
        deploy = run.job("deploy", queue=3, environment="production", waited=30)
        deploy.labels = ["self-hosted", "linux"]
        train = run.job("train", queue=400, duration=200)
        train.labels, train.runner_group = ["self-hosted", "gpu"], "gpu farm"
        run.updated = max(job.completed_at for job in run.jobs) + 1
        daemon.accept(*run.timeline())
    opened = Run(age=1000)
    jobs = [opened.job("queued"), opened.job("running"), opened.job("waiting", environment="production", waited=900)]
    daemon.accept(opened.requested(), jobs[0].queued(), jobs[1].in_progress(), jobs[2].waiting())
    rare = opened.job("rare")
    rare.labels = ["self-hosted", "gpu"]
    daemon.accept(rare.queued())
    daemon.deliver(rare.queued())  # a duplicate, a ping, a forgery
    daemon.deliver(ping())
    daemon.deliver(rare.completed(), secret="not ours")
    return 15


def panels(board):
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def targets():
    """(board, panel's title, query) of all."""
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel.get("targets", []):
                yield name, panel["title"], target["expr"]


def field_links_of(panel):
    """Of its rows and series: the usual ones, and {name: those of this column or series}."""
    config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
    return config["defaults"].get("links", []), {each["matcher"]["options"]: part["value"] for each in config["overrides"]
                                                 for part in each["properties"] if part["id"] == "links"}


def links_of(board):
    found = [link for part in [board, *panels(board)] for link in part.get("links", []) if "url" in link]
    for usual, special in map(field_links_of, panels(board)):
        found += [*usual, *(link for links in special.values() for link in links)]
    return [link["url"] for link in found]


def replace(text, values):
    for variable, plain in {**TIMES, **values}.items():  # one that begins with another's name is before it
        text = text.replace(variable, plain)
    return text


class Files(unittest.TestCase):
    """What can be said of the files without running anything."""

    def test_there_are_three_boards_with_different_identifiers(self):
        self.assertEqual(set(BOARDS), {"runner-latency", "pipeline-health", "ghatrace-health"})
        self.assertEqual(len({board["uid"] for board in BOARDS.values()}), 3)
        self.assertEqual(len({board["title"] for board in BOARDS.values()}), 3)

    def test_panels_say_what_they_show_and_in_which_unit(self):
        for name, board in BOARDS.items():
            found = list(panels(board))
            self.assertEqual(len(found), len({panel["id"] for panel in found}), name)
            for panel in found:
                with self.subTest(board=name, panel=panel["title"]):
                    self.assertTrue(panel["title"])
                    if panel["type"] == "row":
                        continue
                    self.assertGreater(len(panel["description"]), 20)
                    self.assertIn(panel["fieldConfig"]["defaults"]["unit"], {"s", "short", "bytes", "percentunit", "reqps"})
                    references = [target["refId"] for target in panel["targets"]]
                    self.assertEqual(len(references), len(set(references)))
                    if panel["type"] != "table":
                        self.assertTrue(all(target["legendFormat"] for target in panel["targets"]))

    def test_no_panel_overlaps_another_or_exceeds_the_grid(self):
        for name, board in BOARDS.items():
            taken = {}
            for panel in board["panels"]:
                place = panel["gridPos"]
                self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
                for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
                    self.assertNotIn(cell, taken, f"{name}: {panel['title']} and {taken.get(cell)}")
                    taken[cell] = panel["title"]

    def test_all_panels_query_the_chosen_data_source(self):
        chosen = {"type": "prometheus", "uid": "${datasource}"}
        for board in BOARDS.values():
            sources = [variable for variable in board["templating"]["list"] if variable["type"] == "datasource"]
            self.assertEqual([(source["name"], source["query"]) for source in sources], [("datasource", "prometheus")])
            for asker in [v for v in board["templating"]["list"] if v["type"] == "query"] + [p for p in panels(board) if p["type"] != "row"]:
                for part in [asker, *asker.get("targets", [])]:
                    self.assertEqual(part["datasource"], chosen, asker.get("title"))

    def test_a_board_uses_the_variables_that_it_offers_and_no_others(self):
        for name, board in BOARDS.items():
            offered = {"$" + variable["name"] for variable in board["templating"]["list"]} - {"$datasource"}
            used = set(re.findall(r"\$\w+", " ".join(query for at, _, query in targets() if at == name)))
            used |= {f"${variable}" for url in links_of(board) for variable in re.findall(r"\$\{(\w+):raw\}", url)}
            self.assertEqual(used - (set(TIMES) - {"$window"}), offered, name)

    def test_grafana_understands_all_of_them(self):
        for name, board in BOARDS.items():
            with self.subTest(board=name):
                self.assertEqual(grafana_shape.board_differences(board), [])

    def test_panels_on_waits_pools_and_runs_lead_to_the_live_page(self):
        for name, families in (("runner-latency", "ghatrace_(jobs|job_queue|pool_|ceiling_)"), ("pipeline-health", "ghatrace_run_")):
            for panel in panels(BOARDS[name]):
                queries = " ".join(target["expr"] for target in panel.get("targets", []))
                self.assertEqual(bool(re.search(families, queries)), "links" in panel, panel["title"])

    def test_links_lead_to_views_that_the_page_has(self):
        """With the parameters that these views read."""
        page, addresses, runs = ((ROOT / f"src/admin/page/{name}.js").read_text() for name in ("page", "address", "runs"))
        routes = [re.compile(pattern.replace("\\/", "/")) for pattern in re.findall(r"(?m)^  \[/(\^.*\$)/, ", page)]
        self.assertGreater(len(routes), 3)
        pool_page = re.search(r"poolPage = \(name\) => `(.+)\$\{encodeURIComponent\(name\)\}`", addresses)[1]
        for url in (url for board in BOARDS.values() for url in links_of(board)):
            with self.subTest(url):
                path, query = re.fullmatch(r"\$\{page:raw\}/(?:#(/[^?]*)(?:\?(.*))?)?", url).groups()
                if "#" + (path or "").rpartition("/")[0] + "/" == pool_page:
                    self.assertRegex(path, r"^/pools/\$\{__(field\.labels|data\.fields)\.pool:percentencode\}$")
                elif path is not None:
                    self.assertTrue(any(route.match(path) for route in routes))
                for key, value in (part.split("=") for part in query.split("&") if part) if query else ():
                    wanted = {"window": "24h", "result": f"(failure|\\$\\{{__field.labels.{key}:percentencode\\}})"}
                    self.assertRegex(value, "^" + wanted.get(key, f"\\$\\{{__field.labels.{key}:percentencode\\}}") + "$")
                    self.assertTrue(key == "window" or f'"{key}"' in runs, key)

    def test_rows_and_series_of_a_pool_lead_to_its_page(self):
        """Each has the label that the address is made of; a series without it leads nowhere."""
        for panel in panels(BOARDS["runner-latency"]):
            usual, special = field_links_of(panel)
            with self.subTest(panel["title"]):
                if panel["type"] == "table":
                    self.assertEqual(list(special), ["pool"])
                elif panel["type"] == "timeseries":
                    by_pool = [target["legendFormat"] for target in panel["targets"] if "{{pool}}" in target["legendFormat"]]
                    others = [target["legendFormat"] for target in panel["targets"] if "{{pool}}" not in target["legendFormat"]]
                    self.assertEqual((bool(usual), special), (bool(by_pool), dict.fromkeys(others, []) if by_pool else {}))

    def test_the_address_of_the_live_page_is_that_of_the_sample_of_settings(self):
        address = re.search(r"(?m)^#admin-listen = (\S+)", (ROOT / "conf/ghatrace.conf").read_text())[1]
        for name in ("runner-latency", "pipeline-health"):
            variable = next(variable for variable in BOARDS[name]["templating"]["list"] if variable["name"] == "page")
            self.assertEqual(variable["query"], "http://" + address)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not here")
    def test_promtool_accepts_rules_their_tests_and_the_sample_configuration(self):
        for arguments in (["check", "rules", "ghatrace-rules.yml"], ["test", "rules", *sorted(path.name for path in RULES.glob("*-test.yml"))],
                          ["check", "config", "prometheus.yml"]):
            result = subprocess.run(["promtool", *arguments], cwd=RULES, capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class PrometheusTest(harness.BlackBoxTest):
    """With a Prometheus of its own."""
    @classmethod
    def start_prometheus(cls, folder, configuration):
        """`folder` may have its data, in `data`."""
        (folder / "prometheus.yml").write_text(json.dumps(configuration))
        log = open(folder / "log", "wb")
        cls.addClassCleanup(log.close)
        process = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                                    "--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage"],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        harness._processes.append(process)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)  # nothing of it is kept

        def port():
            text = (folder / "log").read_text()
            if process.poll() is not None:
                raise AssertionError(f"prometheus ended with {process.returncode}:\n{text}")
            return LISTENING.search(text)
        cls.port = wait_until(port, what="prometheus").group(1)
        wait_until(cls.is_ready, what="prometheus to be ready")

    @classmethod
    def is_ready(cls):
        try:
            return cls.get("/-/ready") is not None
        except OSError:
            return False

    @classmethod
    def get(cls, path, **parameters):
        url = f"http://127.0.0.1:{cls.port}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=harness.PATIENCE) as answer:
            return answer.read()

    @classmethod
    def query(cls, text, **parameters):
        return json.loads(cls.get("/api/v1/query", query=text, **parameters))["data"]["result"]

    @classmethod
    def number(cls, text):
        """Of a query that gives one; None where there is no data."""
        found = cls.query(text)
        return float(found[0]["value"][1]) if found else None


@unittest.skipUnless(shutil.which("prometheus") and shutil.which("promtool"), "prometheus is not here")
class Dashboards(PrometheusTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(metrics_labels=harness.LABELS_BEFORE, runner_ceiling="hosted: 60: ubuntu-*")
        arc = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeArc)
        threading.Thread(target=arc.serve_forever, daemon=True).start()
        cls.addClassCleanup(arc.server_close)
        cls.addClassCleanup(arc.shutdown)
        jobs = load(cls.daemon)  # the series are there before the first scrape, or nothing could be seen to rise
        ports = {"ghatrace": cls.daemon.admin_address[1], "arc": arc.server_port}
        cls.start_prometheus(pathlib.Path(cls.new_folder()), {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES / "ghatrace-rules.yml")],
            "scrape_configs": [{"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for name, port in ports.items()]})
        count = "sum(ghatrace_job_queue_seconds_count)"
        wait_until(lambda: cls.number("count(up == 1)") == 2 and cls.number(count) == jobs, what="the first load")
        jobs += load(cls.daemon)
        wait_until(lambda: cls.number(count) == jobs, what="the second load")
        cls.jobs = jobs

    def check_all_have_data(self, values):
        """A series may need another scrape, as exports go on when all is loaded: those without data are asked again."""
        queries = {replace(query, values): (board, title) for board, title, query in targets()}
        self.assertGreater(len(queries), 60)
        self.assertEqual([query for query in queries if "$" in query], [])
        refused = {}

        def without_data():
            for query in list(left):
                try:
                    if any(not math.isnan(float(row["value"][1])) for row in self.query(query)):
                        left.remove(query)
                except urllib.error.HTTPError as error:
                    refused[query] = error.read().decode()
                    left.remove(query)
            return not left
        left = list(queries)
        try:
            wait_until(without_data, what="data")
        except AssertionError:
            pass  # reported one by one
        for query in left + list(refused):
            with self.subTest(at=queries[query], query=query):
                self.fail(refused.get(query, "no data"))

    def test_every_query_of_every_panel_returns_data(self):
        self.check_all_have_data(ALL)

    def test_every_query_returns_data_for_several_chosen_values(self):
        self.check_all_have_data(CHOSEN)

    def test_every_variable_has_values(self):
        for name, board in BOARDS.items():
            for variable in board["templating"]["list"]:
                if variable["type"] == "query":
                    self.assertEqual(variable["definition"], variable["query"]["query"])
                    metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
                    with self.subTest(board=name, variable=variable["name"]):
                        values = json.loads(self.get(f"/api/v1/label/{label}/values", **{"match[]": replace(metric, ALL)}))["data"]
                        self.assertGreater(len(values), 1)
                        wanted = re.fullmatch(r"\((.*)\)", CHOSEN["$" + variable["name"]]).group(1).split("|")
                        self.assertLessEqual(set(wanted), set(values))

    def test_panels_show_the_real_values(self):
        """A few, of which the load says what they must show."""
        def value(board, title, values, index=0, **labels):
            panel = next(panel for panel in panels(BOARDS[board]) if panel["title"] == title)
            rows = [row for row in self.query(replace(panel["targets"][index]["expr"], {**ALL, **values}))
                    if labels.items() <= row["metric"].items()]
            self.assertEqual(len(rows), 1, (title, labels))
            return float(rows[0]["value"][1])
        gpu = {"$runner_labels": "gpu,self-hosted"}
        self.assertEqual(value("runner-latency", "Queued for a runner", {}), 4)
        self.assertEqual(value("runner-latency", "Queued for a runner", gpu), 2)
        self.assertEqual(value("runner-latency", "Running", {}), 2)
        self.assertEqual(value("runner-latency", "Waiting for approval", {}), 2)
        self.assertGreater(value("runner-latency", "Oldest in the queue", gpu), 900)
        median = value("runner-latency", "Time in the queue: median", gpu, runner_labels="gpu,self-hosted")
        self.assertTrue(300 <= median <= 600, median)  # the bucket of 400 s
        pool, ubuntu = {"$pool": "gpu,self-hosted"}, {"$pool": "ubuntu-latest,x64"}
        self.assertEqual(value("runner-latency", "Queued in each pool", pool), 2)
        self.assertGreater(value("runner-latency", "Oldest wait that has not ended", pool), 900)
        for index in range(3):
            self.assertGreater(value("runner-latency", "Waits that have not ended", pool, index), 900)
        self.assertEqual(value("runner-latency", "Running in each pool, and the most in a week", ubuntu), 2)
        # One job ran at the first scrape, two at the last: completed ones count for nothing now.
        most = value("runner-latency", "Running in each pool, and the most in a week", ubuntu, 1)
        self.assertTrue(1 / most <= value("runner-latency", "Utilization of pools", ubuntu) <= 2 / most)
        self.assertEqual(value("runner-latency", "Utilization of pools", pool), 0)
        self.assertEqual(value("runner-latency", "Which pool needs more runners, and how many", pool, 2), 3)  # none runs
        self.assertEqual(value("pipeline-health", "Failure rate of runs", {}, repository="acme/telemetry", workflow="Release"), 0)
        self.assertEqual(value("pipeline-health", "Failure rate of runs", {}, workflow="Nightly"), 1)
        self.assertAlmostEqual(value("pipeline-health", "Failure rate of runs", {}, workflow="CI"), 0.5)
        self.assertAlmostEqual(value("pipeline-health", "Steps that fail most often", {}, workflow="CI"), 1 / 6)
        self.assertEqual(value("runner-latency", "Utilization of scale sets", {}), 0.5)
        self.assertLess(value("runner-latency", "ARC: execution", {}, index=2, repository="rocket_engine"), 100.1)

    def test_every_family_is_on_a_board_or_listed_as_left_out(self):
        """What is measured and shown nowhere is either forgotten or not needed."""
        text = self.metrics("text/plain")
        families = set(re.findall(r"^# TYPE (\S+)", text, re.M))
        shown = set()
        for _, _, query in targets():
            shown |= {re.sub("_(bucket|sum|count)$", "", name) for name in METRIC.findall(query)} | set(METRIC.findall(query))
        self.assertEqual(families - shown, {"process_start_time_seconds"})

    def test_each_alert_has_tests_of_which_one_does_not_come(self):
        """Where the same rule is evaluated at another time, or just below its bound."""
        tests = "".join(path.read_text() for path in RULES.glob("*-test.yml"))
        outcomes = re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\])?", tests)
        for alert in re.findall(r"- alert: (\w+)", (RULES / "ghatrace-rules.yml").read_text()):
            with self.subTest(alert=alert):
                self.assertEqual({empty for name, empty in outcomes if name == alert}, {"", " []"})

    def test_the_rules_use_metrics_that_exist(self):
        """A misspelt name would only make an alert that never comes."""
        text = (RULES / "ghatrace-rules.yml").read_text()
        for name in sorted(set(METRIC.findall(re.sub(r"(?m)^ *#.*$", "", text))) - CEILINGS):
            with self.subTest(metric=name):
                self.assertTrue(self.query(f"count({name})"))

    def test_the_rules_are_evaluated_without_error(self):
        def rules():
            groups = json.loads(self.get("/api/v1/rules"))["data"]["groups"]
            found = [rule for group in groups for rule in group["rules"]]
            return found if found and all(rule["health"] != "unknown" for rule in found) else None
        found = wait_until(rules, what="the rules")
        self.assertEqual({rule["name"]: rule.get("lastError") for rule in found if rule["health"] != "ok"}, {})
        self.assertGreaterEqual(len(found), 9)
        for rule in found:
            with self.subTest(rule=rule["name"]):
                self.assertGreater(rule["duration"], 0)
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertTrue(rule["annotations"]["summary"])
                self.assertGreater(len(rule["annotations"]["description"]), 40)
        # The jobs of the load have waited for a quarter of an hour: no alert yet, nor is anything else amiss.
        self.assertEqual([(rule["name"], rule["state"]) for rule in found if rule["state"] == "firing"], [])

    def exemplars_of(self, query):
        now = time.time()
        return json.loads(self.get("/api/v1/query_exemplars", query=query, start=now - 3600, end=now + 60))["data"]

    def test_panels_that_show_exemplars_have_some(self):
        queries = [target["expr"] for board in BOARDS.values() for panel in panels(board) for target in panel.get("targets", [])
                   if target.get("exemplar")]
        self.assertGreaterEqual(len(queries), 9)
        for query in queries:
            with self.subTest(query=query):
                wait_until(lambda query=query: self.exemplars_of(replace(query, ALL)), what="exemplars")

    def test_buckets_open_their_traces(self):
        def exemplars():
            return self.exemplars_of("ghatrace_job_queue_seconds_bucket")
        leads_by = re.search(r"exemplarTraceIdDestinations:\n +- name: (\w+)\n", (GRAFANA / "datasource.yml").read_text())[1]
        for series in wait_until(exemplars, what="exemplars"):
            for exemplar in series["exemplars"]:
                self.assertEqual(list(exemplar["labels"]), [leads_by])
                trace = exemplar["labels"][leads_by]
                self.assertRegex(trace, "^[0-9a-f]{32}$")
                self.collector.wait_trace(trace, 1)

    def metrics(self, accept):
        with harness.Client(self.daemon.admin_address) as client:
            return client.request("GET", "/metrics", headers={"Accept": accept}).text

    def test_promtool_reports_no_problem_in_either_format(self):
        """It reads no OpenMetrics; what that has of its own is taken out, and then both are the same."""
        plain = self.metrics("text/plain")
        lines = self.metrics("application/openmetrics-text; version=1.0.0").splitlines()
        self.assertEqual(lines.pop(), "# EOF")
        counters = {line.split()[2] for line in lines if line.startswith("# TYPE") and line.endswith(" counter")}
        other = []
        for line in lines:
            if line.startswith("#"):
                word, name, rest = line[2:].split(" ", 2)
                other.append(f"# {word} {name}{'_total' if name in counters else ''} {rest}")
            else:
                sample = SAMPLE.fullmatch(line)
                self.assertIsNotNone(sample, line)
                other.append(f"{sample[1]} {sample[2]}")
        other = "\n".join(other) + "\n"
        for text in (plain, other):
            result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

        def names(text):  # the values go on
            return [line if line.startswith("#") else SAMPLE.fullmatch(line)[1] for line in text.splitlines()]
        self.assertEqual(names(plain), names(other))
        # Prometheus asks for OpenMetrics, and has taken all of it.
        self.assertEqual(self.number('scrape_samples_scraped{job="ghatrace"}'), sum(not name.startswith("#") for name in names(plain)))


# --- which pool needs more runners ----------------------------------------------------------------

SHORT, IDLE, HELD = "linux,self-hosted,x64", "gpu-a100", "ubuntu-latest"
SCENE_MINUTES = 24


class Shortage(scenes.Jam):
    """After a quiet day one pool has far more jobs than runners, three are at the ceiling that they share, two are idle."""
    more, late = {}, 0

    def __init__(self, start, seed):
        super().__init__(start, seed, quiet=4 * 60, live=SCENE_MINUTES * 60, before=2 * 3600, length=40 * 60)

    def fill(self):
        self.world.still = (self.incident - 1800, self.end)
        self.quiet_until(self.incident - 1800)
        self.batch(self.incident, "acme/shop", (0, 0, 0, 4, 0, 0), lambda number: 300 + 60 * number)
        self.batch(self.incident, "acme/monorepo", (0, 8, 3, 0, 2, 0), lambda number: self.length + 7 * number)
        self.batch(self.incident, "acme/shop", (0, 10, 4, 20, 6, 0), lambda number: 200 + 11 * number, offset=20)


def text_of_samples(recorded):
    """[(time, {(name, labels): value})] as promtool takes it: each series on its own, by time."""
    def escape(text):
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    series = {}
    for at, found in recorded:
        for key, number in found.items():
            series.setdefault(key, []).append((at, number))
    lines = []
    for (name, labels), samples in sorted(series.items(), key=lambda item: (item[0][0], sorted(item[0][1]))):
        inner = ",".join(f'{label}="{escape(text)}"' for label, text in sorted(labels))
        lines += [f"{name}{{{inner}}} {number:.17g} {at}" for at, number in samples]
    return "\n".join([*lines, "# EOF", ""])


def rows_of(panel, query):
    """Of a table, as Grafana joins, renames and sorts them. `query`: answers one."""
    merge, organize = panel["transformations"]
    assert (merge["id"], organize["id"]) == ("merge", "organize")
    rows = {}
    for target in panel["targets"]:
        assert (target["format"], target["instant"]) == ("table", True)
        for found in query(target["expr"]):
            row = rows.setdefault(found["metric"]["pool"], {})
            for label, text in found["metric"].items():
                assert row.setdefault(label, text) == text
            row[f"Value #{target['refId']}"] = float(found["value"][1])
    renamed = [{organize["options"]["renameByName"].get(name, name): cell for name, cell in row.items()} for row in rows.values()]
    for key in reversed(panel["options"]["sortBy"]):
        renamed.sort(key=lambda row: row.get(key["displayName"], -math.inf), reverse=key["desc"])
    return renamed


def quantile(values, part):
    """As Prometheus has it: between two values by their distance."""
    values = sorted(values)
    place = part * (len(values) - 1)
    below = int(place)
    return values[below] + (values[min(below + 1, len(values) - 1)] - values[below]) * (place - below)


@unittest.skipUnless(shutil.which("prometheus") and shutil.which("promtool"), "prometheus is not here")
@unittest.skipUnless(clock.is_available(), "libfaketime is not here")
class WhichPoolNeedsRunners(PrometheusTest):
    """The first table, of what the daemon said at each minute of a scene, against the count of the scene's generator."""
    @classmethod
    def setUpClass(cls):
        for cls.player in play.play(Shortage(play.START, seed=5), 120, later=()):
            pass
        cls.scene, folder = cls.player.scene, pathlib.Path(cls.new_folder())
        (folder / "samples").write_text(text_of_samples(cls.player.recorded))
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"],
                       check=True, capture_output=True)
        cls.start_prometheus(folder, {})
        cls.panel = next(panel for panel in BOARDS["runner-latency"]["panels"] if panel["title"].startswith("Which pool"))
        times = {"$__range": f"{SCENE_MINUTES}m", "$__interval_ms": "60000", "$__interval": "1m"}
        cls.rows = rows_of(cls.panel, lambda text: cls.query(replace(text, {**ALL, **times}), time=cls.scene.end))

    def row(self, name):
        return next(row for row in self.rows if row["pool"] == name)

    def wanted(self, name):
        """How many jobs were queued or ran, at each minute."""
        pool = ("pool", name)
        return [sum(found[f"ghatrace_pool_{state}", frozenset({pool})] for state in ("queued", "running"))
                for _, found in self.player.true_metrics]

    def check_now(self, name):
        row, true, look = self.row(name), self.player.truths[name], self.player.log[-1]
        _, queued, running = true.counts(self.scene.end)
        self.assertEqual((row["queued"], row["running"]), (queued, running))
        self.assertEqual(row["most ever busy"], true.busy_max(0, self.scene.end))
        for column, place in (("oldest wait", 3), ("90 % of open waits", 1)):
            low, high = ((true.open_waits(at) or (0,) * 4)[place] for at in look.times[1:3])
            self.assertTrue(low - self.player.slack() <= row[column] <= high + self.player.slack(), (name, column, low, row, high))
        hours = sum(minute["queued_mean"] for minute in true.minutes(self.scene.start, SCENE_MINUTES, self.scene.end)) / 60
        self.assertAlmostEqual(row["hours waited"], hours, delta=0.03 * hours)
        return hours

    def test_what_was_played_is_as_it_was_counted(self):
        self.assertEqual(self.player.differences.count, 0, "\n".join(self.player.differences.lines()))

    def test_a_pool_that_is_short_of_runners_is_first_with_how_many_it_lacks(self):
        row, true = self.row(SHORT), self.player.truths[SHORT]
        self.assertEqual(self.rows[0], row)
        self.assertGreater(self.check_now(SHORT), 3)
        most, wanted = true.busy_max(0, self.scene.end), self.wanted(SHORT)
        self.assertEqual((most, max(wanted)), (4, 24))
        self.assertEqual(row["short at the peak"], 20)
        self.assertEqual(row["short 95 % of the time"], math.ceil(quantile(wanted, 0.95) - most))
        waits = [known.started - known.ready for known in true.all() if known.started and self.scene.start < known.started]
        self.assertGreater(len(waits), 10)
        at = truth.rank(waits, 90)
        low, high = max(bound for bound in (0, *truth.BOUNDS) if bound < at), min(bound for bound in truth.BOUNDS if bound >= at)
        self.assertTrue(low < row["90 % of ended waits"] <= high, (low, row, high))
        self.assertNotIn("another reason", row)

    def test_pools_at_a_ceiling_are_marked_and_not_short(self):
        """They come next, by how long their jobs have waited."""
        held = [row["pool"] for row in self.rows[1:4]]
        self.assertEqual(held, ["ubuntu-latest", "macos-14", "windows-latest"])
        for name in held:
            with self.subTest(pool=name):
                row = self.row(name)
                self.assertGreater(self.check_now(name), 0.9)
                self.assertEqual(self.player.states[name][self.scene.end][0], "ceiling")
                self.assertEqual((row["ceiling"], row["another reason"]), ("hosted", 2))
                self.assertEqual((row["short at the peak"], row["short 95 % of the time"]), (0, 0))

    def test_an_idle_pool_is_last_with_nothing_that_waits(self):
        self.assertEqual({row["pool"] for row in self.rows[4:]}, {IDLE, "arm64,self-hosted"})
        self.assertEqual(self.check_now(IDLE), 0)
        row = self.row(IDLE)
        self.assertGreater(row["most ever busy"], 1)
        self.assertEqual((row["short at the peak"], row["short 95 % of the time"], row["oldest wait"]), (0, 0, 0))
        self.assertFalse({"90 % of ended waits", "another reason"} & set(row))

    def test_columns_have_names_and_those_that_are_set_up_exist(self):
        organize = self.panel["transformations"][1]["options"]
        self.assertEqual(set(organize["renameByName"]), {f"Value #{target['refId']}" for target in self.panel["targets"]})
        self.assertEqual(set(organize["indexByName"]), {"pool", "ceiling", *organize["renameByName"]})
        shown = {"pool", "ceiling", *organize["renameByName"].values()}
        used = {override["matcher"]["options"] for override in self.panel["fieldConfig"]["overrides"]}
        self.assertLessEqual(used | {key["displayName"] for key in self.panel["options"]["sortBy"]}, shown)
        self.assertEqual({name for row in self.rows for name in row}, shown)


@unittest.skipUnless(shutil.which("prometheus") and shutil.which("promtool"), "prometheus is not here")
class PoolOfTwoCeilings(PrometheusTest):
    """A pool that was at a ceiling first, and is at another one now."""
    END = 1_795_521_600

    def test_it_has_one_row_with_the_ceiling_that_is_reached_now(self):
        pool = ("pool", "macos")

        def at(minute):
            yield from ((("ghatrace_pool_" + name, frozenset({pool})), number)
                        for name, number in (("queued", 3), ("running", 2), ("busy_max", 2), ("oldest_wait_seconds", 1000)))
            yield ("ghatrace_pool_at_ceiling", frozenset({pool, ("ceiling", "(GitHub Actions)" if minute < 10 else "hosted")})), 1
        folder = pathlib.Path(self.new_folder())
        (folder / "samples").write_text(text_of_samples([(self.END - 60 * (20 - minute), dict(at(minute))) for minute in range(21)]))
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"], check=True, capture_output=True)
        self.start_prometheus(folder, {})
        panel = next(panel for panel in BOARDS["runner-latency"]["panels"] if panel["title"].startswith("Which pool"))
        times = {"$__range": "20m", "$__interval_ms": "60000", "$__interval": "1m"}
        rows = [found for target in panel["targets"] if target["refId"] == "C"
                for found in self.query(replace(target["expr"], {**ALL, **times}), time=self.END)]
        self.assertEqual([(row["metric"]["ceiling"], row["value"][1]) for row in rows], [("hosted", "2")])
