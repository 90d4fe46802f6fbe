"""The OpenTelemetry Collector takes the metrics that were meant, in each encoding, and one without a metrics pipeline is
left alone."""
import json
import time

import company
import otlp_metrics
from company import CompanyTest, has_grpc
from harness import wait_until
from test_admin import get_json
from test_conventions import NAMESPACES, OPEN, go_registry
from test_dashboards import load

VARIABLES = {"OTEL_METRIC_EXPORT_INTERVAL": "300"}


def snapshots(collector):
    """What its file exporter wrote, in normal form."""
    found = []
    for path in collector._files:
        if path.exists():
            whole = path.read_text().rpartition("\n")[0]
            found += [otlp_metrics.normal(json.loads(line)) for line in whole.splitlines()]
    return found


AGES = ("ghatrace.pool.oldest_wait", "ghatrace.pool.open_wait")


def timeless(snapshot):
    """Without what changes from one to the next: the times, the order, the ages, and the counter of the present store."""
    metrics = {}
    for name, metric in snapshot["metrics"].items():
        points = [{key: value for key, value in point.items() if key not in ("time", "start")}
                  for point in metric["points"]]
        if name not in AGES:
            metrics[name] = {**metric, "points": sorted(points, key=repr)}
    return {**snapshot, "metrics": metrics}


def starts(snapshot):
    """Since when each row is counted."""
    rows = {}
    for name, metric in snapshot["metrics"].items():
        for point in metric["points"]:
            if metric["kind"] != "gauge":
                assert 0 < int(point["start"]) < int(point["time"]), (name, point)
                rows[name, repr(point["attributes"])] = point["start"]
    return rows


class Metrics(CompanyTest):
    def loaded_daemon(self, collector, protocol, compression="none"):
        daemon = self.daemon_for(collector, otlp_protocol=protocol, otlp_compression=compression, metrics_exporter="otlp",
                                 start=False)
        daemon.env = VARIABLES
        return daemon.start()

    def test_the_collector_writes_what_was_meant_in_every_encoding(self):
        stand_in = self.new_collector()
        events = []
        load(Recorder(events))
        daemons = [self.new_daemon(stand_in, start=False, root_grace="1s", metrics_exporter="otlp")]
        daemons[0].env = VARIABLES
        daemons[0].start()
        kinds = [(protocol, compression) for protocol in ("http/protobuf", "http/json") for compression in ("none", "gzip")]
        kinds += [("grpc", "none"), ("grpc", "gzip")] if has_grpc() else []
        collectors = []
        for protocol, compression in kinds:
            collectors.append(self.real_collector(signal="metrics"))
            daemons.append(self.loaded_daemon(collectors[-1], protocol, compression))
        for daemon in daemons:
            for event in events:
                daemon.deliver(event)
        for daemon in daemons:
            wait_until(lambda d=daemon: d.admin("/metrics").text.count("ghatrace_finished_runs 5\n"), what="five finished runs")
        count = len(stand_in.metrics)
        stand_in.wait(lambda c: len(c.metrics) >= count + 2, what="metrics")
        wanted = timeless(otlp_metrics.parse(stand_in.metrics[-1].body, False))
        self.assertGreater(len(wanted["metrics"]), 8)
        for kind, collector, daemon in zip(kinds, collectors, daemons[1:]):
            with self.subTest(kind):
                count = len(snapshots(collector))
                wait_until(lambda c=collector, n=count: len(snapshots(c)) >= n + 2, what=f"snapshots by {kind}")
                found = snapshots(collector)
                self.assertEqual(timeless(found[-1]), wanted)
                self.assertEqual(starts(found[-1]), starts(found[-2]))
                self.assertEqual(get_json(daemon, "/api/status")["metrics_push"]["state"], "ok")

    def test_attributes_and_values_are_those_of_the_registry(self):
        types, values = go_registry()
        stand_in = self.new_collector()
        daemon = self.new_daemon(stand_in, start=False, root_grace="1s", metrics_exporter="otlp")
        daemon.env = VARIABLES
        load(daemon.start())
        wait_until(lambda: daemon.admin("/metrics").text.count("ghatrace_finished_runs 5\n"), what="five finished runs")
        count = len(stand_in.metrics)
        stand_in.wait(lambda c: len(c.metrics) >= count + 2, what="metrics")
        found = otlp_metrics.parse(stand_in.metrics[-1].body, False)
        sent = {(key, value) for metric in found["metrics"].values() for point in metric["points"]
                for key, value in point["attributes"].items()} | set(found["resource"].items())
        names = {key for key, _ in sent}
        self.assertLessEqual({"cicd.pipeline.run.state", "cicd.worker.state", "error.type", "vcs.owner.name"}, names)
        for key in names:
            if key.startswith(NAMESPACES):
                self.assertIn(types[key], ("string", "Enum"), key)
            else:
                self.assertTrue(key.startswith(("ghatrace.", "github.", "service.")), key)
        self.assertEqual([pair for pair in sent if pair[0] in values and pair[0] not in OPEN and pair[1] not in values[pair[0]]], [])

    def test_a_collector_without_a_metrics_pipeline_is_asked_once(self):
        for protocol in ("http/protobuf", "grpc") if has_grpc() else ("http/protobuf",):
            with self.subTest(protocol):
                collector = self.real_collector()
                daemon = self.loaded_daemon(collector, protocol)
                wait_until(lambda d=daemon: get_json(d, "/api/status")["metrics_push"]["state"] == "trouble", what="trouble")
                self.assertEqual(get_json(daemon, "/api/status")["metrics_push"]["category"], "wrong_path")
                time.sleep(2)
                self.assertEqual(get_json(daemon, "/api/status")["metrics_push"]["requests"], 1)
                self.assertEqual(daemon.log.count("has no OTLP metrics"), 1)
                runs = self.deliver_runs(daemon, 1)
                collector.wait_for_ids(company.expected_ids(runs))


class Recorder:
    """In place of a daemon: keeps what is delivered, so that several daemons get the same."""

    def __init__(self, events):
        self.events = events

    def accept(self, *events):
        self.events += events

    def deliver(self, event, secret=None):
        if secret is None:
            self.events.append(event)
