"""Metrics pushed by OTLP: what is in them, and collectors good and bad."""
import re
import signal
import sys
import time

import grpc_collector
import harness
from collector import Answer, JSON, partial_success, unavailable
from grpc_collector import GrpcCollector
from harness import ROOT, wait_until
from payloads import Repository, Run
from test_admin import get_json
from test_dashboards import load
from test_export import expected_ids, short_run

sys.path.insert(0, str(ROOT / "tests/support"))
import otlp_metrics  # noqa: E402

INTERVAL = 200  # milliseconds
SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$', re.M)
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
# Semantic conventions 1.44.0, docs/cicd/cicd-metrics.md: kind, unit, required attributes.
CONVENTIONS = {
    "cicd.pipeline.run.duration": ("histogram", "s", {"cicd.pipeline.name", "cicd.pipeline.run.state"}),
    "cicd.pipeline.run.active": ("updown", "{run}", {"cicd.pipeline.name", "cicd.pipeline.run.state"}),
    "cicd.pipeline.run.errors": ("counter", "{error}", {"cicd.pipeline.name", "error.type"}),
    "cicd.system.errors": ("counter", "{error}", {"cicd.system.component", "error.type"}),
    "cicd.worker.count": ("updown", "{worker}", {"cicd.worker.state"}),
}
PHASES = ("waiting", "queue", "startup", "execution", "assign", "provision")


def scrape(daemon):
    """{(family's name with suffix, frozenset of labels): value}"""
    text = daemon.admin("/metrics").text
    return {(name, frozenset(LABEL.findall(labels))): float(value) for name, labels, value in SAMPLE.findall(text)}


def read(request):
    return otlp_metrics.parse(request.body, request.is_json)


def points(request):
    """{(metric, frozenset of attributes): point}"""
    found = {}
    for name, metric in read(request)["metrics"].items():
        for point in metric["points"]:
            key = (name, frozenset(point["attributes"].items()))
            if key in found:
                raise AssertionError(f"two points of one identity: {key}")
            found[key] = point
    return found


def values(request):
    """What does not change while nothing happens."""
    return {key: {name: value for name, value in point.items() if name != "time"}
            for key, point in points(request).items() if key[0] not in ("ghatrace.pool.oldest_wait", "ghatrace.pool.open_wait")}


class MetricsTest(harness.BlackBoxTest):
    def new_pusher(self, collector=None, start=True, env=None, **settings):
        """A daemon that pushes metrics often."""
        settings.setdefault("metrics_exporter", "otlp")
        settings.setdefault("metrics_labels", harness.LABELS_BEFORE)
        variables = {"OTEL_METRIC_EXPORT_INTERVAL": str(INTERVAL), **(env or {})}
        return self.new_daemon(collector, start=start, env=variables, **settings)

    def wait_next(self, collector, more=2):
        """The newest snapshot after `more` further ones: the first of them may have begun before now."""
        count = len(collector.metrics) + more
        collector.wait(lambda c: len(c.metrics) >= count, what="metrics")
        return collector.metrics[-1]

    def new_loaded(self, collector):
        """The same, with figures."""
        daemon = self.new_pusher(collector)
        load(daemon)
        wait_until(lambda: scrape(daemon).get(("ghatrace_finished_runs", frozenset()), 0) >= 5, what="finished runs")
        return daemon

    def push(self, daemon):
        return get_json(daemon, "/api/status")["metrics_push"]


class Content(MetricsTest):
    def test_values_are_those_of_the_metrics_page(self):
        collector = self.new_collector()
        daemon = self.new_pusher(collector)
        load(daemon)
        self.lose_runners(daemon)
        wait_until(lambda: scrape(daemon).get(("ghatrace_finished_runs", frozenset()), 0) >= 6, what="finished runs")
        before = scrape(daemon)
        request = self.wait_next(collector)
        self.assertEqual({key: value for key, value in scrape(daemon).items() if key[0].startswith("ghatrace_job_")},
                         {key: value for key, value in before.items() if key[0].startswith("ghatrace_job_")})
        found = points(request)
        self.check_conventions(request)
        self.check_histograms(found, before)
        self.check_errors(found, before)
        self.check_pools(found, before)
        self.check_waits_of_pools(found, before)
        self.check_runs(found, before)

    def test_by_the_labels_of_the_default_each_set_is_one_point(self):
        collector = self.new_collector()
        daemon = self.new_pusher(collector, metrics_labels=None)
        load(daemon)
        self.lose_runners(daemon)
        wait_until(lambda: scrape(daemon).get(("ghatrace_finished_runs", frozenset()), 0) >= 6, what="finished runs")
        scraped, found = scrape(daemon), points(self.wait_next(collector))
        for metric, family in (("cicd.pipeline.run.duration", "ghatrace_run_duration_seconds_count"),
                               ("ghatrace.job.duration", "ghatrace_job_duration_seconds_count")):
            self.assertEqual(sorted(point["count"] for key, point in found.items() if key[0] == metric),
                             sorted(value for key, value in scraped.items() if key[0] == family))
        named = {dict(key[1])["ghatrace.pool"] for key in found if key[0] == "ghatrace.job.duration"}
        self.assertEqual(named, {dict(key[1])["pool"] for key in scraped if key[0] == "ghatrace_job_duration_seconds_count"})
        self.assertLessEqual(named, {dict(key[1])["ghatrace.pool"] for key in found if key[0] == "ghatrace.pool.queued"})

    def lose_runners(self, daemon):
        run = Run(age=800, conclusion="failure", workflow="Lost")
        run.job("lost", conclusion="failure").lost("Build")
        run.job("refused").refused()
        run.updated = max(job.completed_at for job in run.jobs) + 1
        daemon.accept(*run.timeline())

    def check_conventions(self, request):
        metrics = read(request)["metrics"]
        for name, (kind, unit, required) in CONVENTIONS.items():
            with self.subTest(name):
                self.assertEqual((metrics[name]["kind"], metrics[name]["unit"]), (kind, unit))
                for point in metrics[name]["points"]:
                    self.assertLessEqual(required, point["attributes"].keys())
        self.assertLessEqual({name for name in metrics if not name.startswith("ghatrace.")}, CONVENTIONS.keys())

    def labels_of(self, attributes, names):
        attributes = dict(attributes)
        owner, name = attributes.get("vcs.owner.name"), attributes.get("vcs.repository.name")
        attributes["repository"] = f"{owner}/{name}"
        return frozenset((label, attributes.get(key, "")) for label, key in names.items())

    JOB = {"repository": "repository", "workflow": "cicd.pipeline.name", "runner_group": "github.runner_group_name",
           "runner_labels": "ghatrace.runner_labels", "result": "cicd.pipeline.task.run.result"}
    RUN = {"repository": "repository", "workflow": "cicd.pipeline.name", "result": "cicd.pipeline.result"}

    def check_histograms(self, found, scraped):
        families = {f"ghatrace.job.{phase}.duration": (f"ghatrace_job_{phase}_seconds", self.JOB) for phase in PHASES}
        families["ghatrace.job.duration"] = ("ghatrace_job_duration_seconds", self.JOB)
        families["cicd.pipeline.run.duration"] = ("ghatrace_run_duration_seconds", self.RUN)
        compared = 0
        for (name, attributes), point in found.items():
            if name not in families:
                continue
            family, names = families[name]
            labels = self.labels_of(attributes, names)
            self.assertEqual(point["count"], scraped[family + "_count", labels])
            self.assertAlmostEqual(point["sum"], scraped[family + "_sum", labels], 6)
            total = 0
            for bound, count in zip(point["bounds"] + [float("inf")], point["buckets"]):
                total += count
                text = "+Inf" if bound == float("inf") else f"{bound:.1f}"
                self.assertEqual(total, scraped[family + "_bucket", labels | {("le", text)}], (name, bound))
            compared += 1
        counts = [key for key in scraped if key[0].endswith("_seconds_count") and
                  key[0].startswith(("ghatrace_job_", "ghatrace_run_"))]
        self.assertEqual(compared, len(counts))
        self.assertGreater(compared, 20)

    def check_errors(self, found, scraped):
        errors = {key: point["value"] for key, point in found.items() if key[0] == "cicd.pipeline.run.errors"}
        self.assertEqual(sorted((dict(key[1])["cicd.pipeline.name"], dict(key[1])["error.type"], value)
                                for key, value in errors.items()),
                         [("CI", "failure", 1), ("Nightly", "timed_out", 1)])
        system = {(dict(key[1])["cicd.system.component"], dict(key[1])["error.type"]): point["value"]
                  for key, point in found.items() if key[0] == "cicd.system.errors"}
        self.assertEqual(system, {("agent", "runner_lost"): 1, ("scheduler", "not_started"): 1})
        kinds = {dict(key[1]).get("error.type") for key in found if key[0] == "cicd.pipeline.run.duration"}
        self.assertEqual(kinds, {None, "failure", "timed_out"})

    def check_pools(self, found, scraped):
        names = {"runner_labels": "ghatrace.pool"}
        scraped = {(name, frozenset(label for label in labels if label[0] != "runner_group")): value
                   for (name, labels), value in scraped.items() if name.startswith("ghatrace_jobs")}
        compared = 0
        for (name, attributes), point in found.items():
            if name in ("ghatrace.pool.queued", "ghatrace.pool.running", "ghatrace.pool.waiting", "ghatrace.pool.oldest_wait"):
                state = name.rpartition(".")[2]
                labels = self.labels_of(attributes, names) | {("state", "queued" if state == "oldest_wait" else state)}
                compared += 1
                if state == "oldest_wait":
                    self.assertAlmostEqual(point["value"], scraped["ghatrace_jobs_oldest_age_seconds", labels], delta=60)
                else:
                    self.assertEqual(point["value"], scraped["ghatrace_jobs", labels])
        self.assertEqual(compared * 3, 4 * sum(key[0] == "ghatrace_jobs" for key in scraped))
        running = sum(value for key, value in scraped.items() if key[0] == "ghatrace_jobs" and ("state", "running") in key[1])
        self.assertEqual([(dict(key[1]), point["value"]) for key, point in found.items() if key[0] == "cicd.worker.count"],
                         [({"cicd.worker.state": "busy"}, running)])
        self.assertEqual(running, 1)

    def check_waits_of_pools(self, found, scraped):
        names = {"pool": "ghatrace.pool", "quantile": "ghatrace.quantile"}
        families = {"ghatrace.pool.open_wait": "ghatrace_pool_open_wait_seconds", "ghatrace.pool.busy_max": "ghatrace_pool_busy_max",
                    "ghatrace.pool.queue_wait": "ghatrace_pool_queue_wait_seconds"}
        compared = {name: 0 for name in families}
        for (name, attributes), point in found.items():
            if name not in families:
                continue
            compared[name] += 1
            labels = frozenset(label for label in self.labels_of(attributes, names) if label[1])
            if name != "ghatrace.pool.queue_wait":
                self.assertAlmostEqual(point["value"], scraped[families[name], labels], delta=60 if "open" in name else 0)
                continue
            self.assertEqual(point["count"], scraped[families[name] + "_count", labels])
            self.assertAlmostEqual(point["sum"], scraped[families[name] + "_sum", labels], 6)
            self.assertEqual(point["buckets"][3], scraped[families[name] + "_bucket", labels | {("le", "10.0")}] -
                             scraped[families[name] + "_bucket", labels | {("le", "5.0")}])
            self.assertLessEqual(abs(point["start"] / 1e9 - time.time()), 60)
        self.assertEqual(compared, {
            "ghatrace.pool.open_wait": sum(key[0] == "ghatrace_pool_open_wait_seconds" for key in scraped),
            "ghatrace.pool.busy_max": sum(key[0] == "ghatrace_pool_busy_max" for key in scraped),
            "ghatrace.pool.queue_wait": sum(key[0] == "ghatrace_pool_queue_wait_seconds_count" and value > 0
                                            for key, value in scraped.items())})
        self.assertGreaterEqual(min(compared.values()), 3)

    def test_pools_have_one_name_in_all_metrics(self):
        collector = self.new_collector()
        daemon = self.new_pusher(collector)
        run = Run(age=900)
        for state in ("completed", "in_progress", "queued"):
            job = run.job(state)
            job.labels = ["Self-Hosted", "GPU"]
            daemon.accept(*job.timeline()[:{"completed": 3, "in_progress": 2, "queued": 1}[state]])
        found = points(self.wait_next(collector))
        names = {}
        for name, attributes in found:
            if "ghatrace.pool" in dict(attributes):
                names.setdefault(name, set()).add(dict(attributes)["ghatrace.pool"])
        self.assertLessEqual({"ghatrace.pool." + name for name in (
            "queued", "running", "waiting", "oldest_wait", "open_wait", "busy_max", "queue_wait")}, names.keys())
        self.assertEqual({name: found for name, found in names.items() if found != {"gpu,self-hosted"}}, {})

    def check_runs(self, found, scraped):
        active = [point["value"] for key, point in found.items() if key[0] == "cicd.pipeline.run.active"]
        self.assertEqual(sum(active), scraped["ghatrace_runs_open", frozenset()])

    def test_open_runs_are_counted_by_their_state(self):
        collector = self.new_collector()
        daemon = self.new_pusher(collector, root_grace="1h")
        for number in range(3):
            daemon.accept(Run(workflow="CI").requested())
        begun = Run(workflow="CI")
        daemon.accept(begun.requested(), begun.in_progress())
        other = Run(workflow="CI", repository=Repository("mona/app"))
        daemon.accept(other.requested())
        ending = Run(workflow="CI")
        job = ending.job()
        daemon.accept(ending.requested(), job.in_progress(), ending.completed())
        daemon.accept(Run(workflow="Jobs").job().queued(), Run(workflow="Jobs").job().in_progress())  # nothing of the runs
        found = points(self.wait_next(collector))
        self.assertEqual(sorted((dict(key[1])["vcs.owner.name"], dict(key[1])["cicd.pipeline.run.state"], point["value"])
                                for key, point in found.items() if key[0] == "cicd.pipeline.run.active"),
                         [("acme", "executing", 1), ("acme", "executing", 1), ("acme", "finalizing", 1),
                          ("acme", "pending", 1), ("acme", "pending", 3), ("mona", "pending", 1)])

    def test_a_restart_keeps_start_times_and_sums(self):
        collector = self.new_collector()
        daemon = self.new_loaded(collector)
        first = values(self.wait_next(collector))
        self.assertGreater(min(point["start"] for (name, _), point in first.items() if name != "ghatrace.pool.busy_max"), 0)
        for how in ("stop", "kill"):
            daemon.restart(how)
            self.assertEqual(values(self.wait_next(collector)), first)

    def test_the_resource_is_the_service_and_what_the_variable_adds(self):
        collector = self.new_collector()
        self.new_pusher(collector, service_name="builds", env={
            "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=a%2C1,service.name=no,vcs.provider.name=no"})
        found = read(self.wait_next(collector, 1))
        self.assertEqual(found["resource"], {"service.name": "builds", "vcs.provider.name": "github",
                                             "service.instance.id": "a,1"})

    def test_every_encoding_has_the_same_content(self):
        collector = self.new_collector()
        daemon = self.new_loaded(collector)
        wanted = values(self.wait_next(collector))
        for protocol, compression in (("http/json", "none"), ("http/json", "gzip"), ("http/protobuf", "gzip")):
            with self.subTest(protocol=protocol, compression=compression):
                daemon.settings.update({"otlp-protocol": protocol, "otlp-compression": compression})
                daemon.restart()
                request = self.wait_next(collector)
                self.assertEqual(request.is_json, protocol == "http/json")
                self.assertEqual(request.headers.get("content-encoding", "none"), compression)
                self.assertEqual(values(request), wanted)

    def test_over_grpc_it_is_the_same(self):
        plain, collector = self.new_collector(), GrpcCollector()
        self.addCleanup(collector.stop)
        daemon = self.new_loaded(plain)
        wanted = values(self.wait_next(plain))
        daemon.settings.update({"otlp-protocol": "grpc", "otlp-endpoint": collector.endpoint})
        daemon.restart()
        self.assertEqual(values(self.wait_next(collector)), wanted)
        self.assertEqual(collector.faults, [])
        self.assertEqual(self.push(daemon)["state"], "ok")


class Wanted(MetricsTest):
    def check_silent(self, daemon, collector):
        daemon.accept(*short_run().timeline())
        collector.wait(lambda c: c.requests, what="traces")
        time.sleep(5 * INTERVAL / 1000)
        self.assertEqual(collector.metrics, [])
        self.assertEqual(self.push(daemon)["state"], "off")

    def test_nothing_is_pushed_unless_it_is_asked_for(self):
        for settings, env in (({"metrics_exporter": None}, {}),
                              ({"metrics_exporter": None}, {"OTEL_METRICS_EXPORTER": "none"}),
                              ({"metrics_exporter": "none"}, {"OTEL_METRICS_EXPORTER": "otlp"}),
                              ({"metrics_exporter": None}, {"OTEL_METRICS_EXPORTER": "prometheus"})):
            with self.subTest(settings=settings, env=env):
                collector = self.new_collector()
                self.check_silent(self.new_pusher(collector, env=env, **settings), collector)

    def test_the_variable_asks_for_it_too(self):
        collector = self.new_collector()
        self.new_pusher(collector, env={"OTEL_METRICS_EXPORTER": "otlp"}, metrics_exporter=None)
        self.assertEqual(self.wait_next(collector, 1).path, "/v1/metrics")

    def test_variables_for_metrics_send_them_elsewhere(self):
        traces, metrics = self.new_collector(), self.new_collector()
        daemon = self.new_pusher(traces, otlp_header="x-tenant=acme", env={
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": metrics.endpoint + "/in/v1/metrics",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-key=sesame%20one"})
        request = self.wait_next(metrics, 1)
        self.assertEqual(request.path, "/in/v1/metrics")
        self.assertEqual(request.headers["content-type"], JSON)
        self.assertEqual(request.headers["x-key"], "sesame one")
        self.assertNotIn("x-tenant", request.headers)
        run = short_run()
        daemon.accept(*run.timeline())
        traces.wait_for_ids(expected_ids([run]))
        self.assertEqual(traces.metrics, [])
        self.assertFalse(traces.requests[0].is_json)
        self.assertEqual(self.push(daemon)["endpoint"], metrics.endpoint + "/in/v1/metrics")

    def test_metrics_alone_can_be_pushed(self):
        collector = self.new_collector()
        daemon = self.new_pusher(env={"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": collector.endpoint + "/v1/metrics"})
        daemon.accept(*short_run().timeline())
        self.wait_next(collector)
        self.assertEqual(collector.requests, [])
        self.assertEqual(get_json(daemon, "/api/status")["export"]["state"], "off")

    def test_a_trace_endpoint_in_the_setting_has_metrics_beside_it(self):
        collector = self.new_collector()
        self.new_pusher(otlp_endpoint=collector.endpoint + "/otlp/v1/traces")
        self.assertEqual(self.wait_next(collector, 1).path, "/otlp/v1/metrics")

    def test_check_says_where_they_go(self):
        env = {"OTEL_METRIC_EXPORT_INTERVAL": "15000", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-key=sesame"}
        found = harness.run_command("check", "--insecure-no-signature=on", "--metrics-exporter=otlp",
                                    "--otlp-endpoint=http://127.0.0.1:4318", env=env)
        self.assertEqual(found.returncode, 0, found.stderr)
        self.assertIn("metrics: POST http://127.0.0.1:4318/v1/metrics every 15s", found.stdout)
        self.assertIn("headers: x-key", found.stdout)
        self.assertNotIn("sesame", found.stdout)
        found = harness.run_command("check", "--insecure-no-signature=on", "--metrics-exporter=otlp", env={
            "OTEL_METRIC_EXPORT_INTERVAL": "0", "OTEL_METRIC_EXPORT_TIMEOUT": "soon",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"})
        self.assertIn("cumulative is used", found.stdout)
        self.assertIn("no endpoint is set: no metrics are pushed", found.stdout)
        self.assertIn("OTEL_METRIC_EXPORT_INTERVAL", found.stdout)
        self.assertIn("OTEL_METRIC_EXPORT_TIMEOUT", found.stdout)


class Trouble(MetricsTest):
    def pair(self, script, **settings):
        collector = self.new_collector()
        collector.script = lambda request: script(request) if request.is_metrics else Answer()
        return self.new_pusher(collector, **settings), collector

    def check_traces(self, daemon, collector):
        run = short_run()
        daemon.accept(*run.timeline())
        collector.wait_for_ids(expected_ids([run]))

    def test_an_endpoint_without_metrics_is_warned_of_once_and_left_alone(self):
        for status in (404, 501):
            with self.subTest(status=status):
                daemon, collector = self.pair(lambda request: Answer(status, {}, b""))
                collector.wait(lambda c: c.metrics, what="metrics")
                self.check_traces(daemon, collector)
                time.sleep(8 * INTERVAL / 1000)
                self.assertEqual(len(collector.metrics), 1)
                self.assertEqual(daemon.log.count("has no OTLP metrics"), 1)
                found = self.push(daemon)
                self.assertEqual((found["state"], found["http_status"], found["failures"]), ("trouble", status, 1))
                self.assertEqual(get_json(daemon, "/api/status")["export"]["state"], "ok")
                daemon.process.send_signal(signal.SIGHUP)  # asks again
                collector.wait(lambda c: len(c.metrics) == 2, what="another try")
                wait_until(lambda: self.push(daemon)["failures"] == 2, what="the second failure")
                self.assertEqual(daemon.log.count("has no OTLP metrics"), 1)
                collector.script = lambda request: Answer()
                daemon.process.send_signal(signal.SIGHUP)
                wait_until(lambda: self.push(daemon)["state"] == "ok", what="the end of the trouble")
                self.assertEqual(daemon.log.count("metrics are accepted again"), 1)

    def test_retry_after_is_waited_for_and_a_newer_snapshot_follows(self):
        times = []

        def script(request):
            times.append(time.monotonic())
            return unavailable(2) if len(times) == 1 else Answer()
        daemon, collector = self.pair(script)
        collector.wait(lambda c: c.metrics, what="metrics")
        wait_until(lambda: self.push(daemon)["state"] == "trouble", what="trouble")
        found = self.push(daemon)
        self.assertEqual((found["category"], found["http_status"]), ("overloaded", 503))
        self.assertNotEqual(found["since"], None)
        self.check_traces(daemon, collector)
        collector.wait(lambda c: len(c.metrics) >= 3, what="metrics after the trouble")
        self.assertGreaterEqual(times[1] - times[0], 1.9)
        self.assertGreater(points(collector.metrics[1])["cicd.worker.count", frozenset({("cicd.worker.state", "busy")})]["time"],
                           points(collector.metrics[0])["cicd.worker.count", frozenset({("cicd.worker.state", "busy")})]["time"])
        wait_until(lambda: self.push(daemon)["state"] == "ok", what="the end of the trouble")
        self.assertEqual(self.push(daemon)["failures_in_a_row"], 0)

    def test_tries_become_rarer_while_it_lasts(self):
        daemon, collector = self.pair(lambda request: unavailable())
        collector.wait(lambda c: len(c.metrics) >= 4, what="metrics")
        time.sleep(10 * INTERVAL / 1000)
        self.assertLess(len(collector.metrics), 12)
        self.assertEqual(daemon.log.count("metrics are not accepted"), 1)

    def test_a_slow_one_has_one_request_at_a_time(self):
        daemon, collector = self.pair(lambda request: Answer(hang=True))
        seen = []
        collector.script = lambda request: (seen.append(request) or Answer(hang=True)) if request.is_metrics else Answer()
        wait_until(lambda: seen, what="metrics")
        time.sleep(8 * INTERVAL / 1000)
        self.check_traces(daemon, collector)
        self.assertEqual(len(seen), 1)
        collector.script = lambda request: Answer()
        collector.release()
        self.wait_next(collector)
        self.assertEqual(self.push(daemon)["failures"], 0)

    def test_one_that_never_answers_is_given_up_in_time(self):
        daemon, _ = self.pair(lambda request: Answer(hang=True), env={"OTEL_METRIC_EXPORT_TIMEOUT": "500"})
        wait_until(lambda: self.push(daemon)["failures"] >= 2, what="failures")
        self.assertEqual(self.push(daemon)["category"], "does_not_answer")

    def test_a_dead_one_is_found_again_with_all_counts(self):
        traces, metrics = self.new_collector(), self.new_collector()
        daemon = self.new_pusher(traces, env={"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": metrics.endpoint + "/v1/metrics"})
        self.wait_next(metrics, 1)
        metrics.stop()
        wait_until(lambda: self.push(daemon)["category"] == "unreachable", what="trouble")
        run = short_run()
        daemon.accept(*run.timeline())
        traces.wait_for_ids(expected_ids([run]))
        metrics.start()
        found = points(self.wait_next(metrics))
        self.assertEqual(sum(point["count"] for key, point in found.items() if key[0] == "cicd.pipeline.run.duration"), 1)
        self.assertEqual(get_json(daemon, "/api/status")["outbox"]["records"], 0)

    def test_points_that_are_rejected_are_counted_and_not_sent_again(self):
        daemon, collector = self.pair(lambda request: partial_success(3, "too old"))
        self.wait_next(collector)
        wait_until(lambda: self.push(daemon)["rejected_points"] >= 6, what="rejected points")
        self.assertEqual(self.push(daemon)["state"], "ok")
        self.assertEqual(daemon.log.count("collector rejected data points"), 1)
        self.assertIn("too old", daemon.log)

    def test_where_requests_may_not_be_large_there_are_more_of_them(self):
        whole, collector = self.new_collector(), self.new_collector()
        collector.script = lambda request: Answer(413 if len(request.body) > 300_000 else 200, {}, b"")
        daemon = self.new_pusher(whole)
        for number in range(500):
            run = Run(workflow=f"workflow {number}")
            daemon.accept(run.job().completed())
        wanted = values(self.wait_next(whole))
        self.assertGreater(whole.metrics[-1].wire_size, 500_000)
        daemon.settings["otlp-endpoint"] = collector.endpoint
        daemon.restart()
        wait_until(lambda: self.push(daemon)["snapshots"] > 1, what="an accepted snapshot")
        self.assertGreater(self.push(daemon)["failures"], 1)
        found = {}
        for request in [r for r in collector.metrics if r.status == 200][-8:]:
            found.update(values(request))
        self.assertEqual(found, wanted)

    def test_secrets_in_its_answers_are_masked(self):
        daemon, _ = self.pair(lambda request: Answer(403, {"Content-Type": "text/plain"},
                                                     b"no sesame-7 for you"), otlp_header="authorization=Bearer%20sesame-7")
        wait_until(lambda: self.push(daemon)["state"] == "trouble", what="trouble")
        found = self.push(daemon)
        self.assertEqual(found["category"], "refuses_credentials")
        self.assertIn("no *", found["message"])
        self.assertNotIn("sesame", found["message"] + daemon.log)

    def test_a_renewed_header_file_ends_the_wait(self):
        collector = self.new_collector()
        collector.script = lambda request: (Answer() if request.headers.get("authorization") == "Bearer new" or
                                            not request.is_metrics else Answer(401, {}, b""))
        daemon = self.new_pusher(collector, start=False)
        path = daemon.folder / "headers"
        path.write_text("Authorization: Bearer old\n")
        path.chmod(0o600)
        daemon.settings["otlp-header-file"] = str(path)
        daemon.start()
        wait_until(lambda: self.push(daemon)["failures"] >= 1, what="a failure")
        time.sleep(1.1)  # the file is looked at once a second
        path.write_text("Authorization: Bearer new\n")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.push(daemon)["state"] == "ok", what="the end of the trouble")

    def test_grpc_without_the_service_is_an_endpoint_without_metrics(self):
        collector = GrpcCollector()
        self.addCleanup(collector.stop)
        collector.script = lambda request: grpc_collector.Answer(
            grpc_collector.UNIMPLEMENTED if request.is_metrics else grpc_collector.OK, "unknown service", trailers_only=True)
        daemon = self.new_pusher(otlp_endpoint=collector.endpoint, otlp_protocol="grpc")
        wait_until(lambda: self.push(daemon)["state"] == "trouble", what="trouble")
        time.sleep(5 * INTERVAL / 1000)
        self.assertEqual(len(collector.metrics), 1)
        self.assertEqual(daemon.log.count("has no OTLP metrics"), 1)
