"""Jaeger shows what was sent: a trace for each attempt, whole, with every attribute, and without complaints."""
import json
import unittest
import urllib.parse

import company
import parts
from company import CompanyTest, has_grpc
from expect import Ids

PHASES = ("job.waiting", "runner.queue", "runner.startup", "runner.execution")
KINDS = {1: "internal", 2: "server"}


def parent_of(shown):
    return next((each["spanID"] for each in shown["references"] if each["refType"] == "CHILD_OF"), "")


def plain(tags):
    """{key: value}; a list is text there."""
    return {tag["key"]: json.loads(tag["value"]) if tag["value"] and str(tag["value"])[:1] == "[" else tag["value"]
            for tag in tags}


class Shown(CompanyTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.jaeger = parts.Jaeger(cls.new_folder())
        cls.addClassCleanup(cls.jaeger.stop)
        cls.share_pair(root_grace="1s")
        to_jaeger = company.harness.Daemon(cls.new_folder(), root_grace="1s", otlp_endpoint=cls.jaeger.endpoint).start()
        cls.addClassCleanup(to_jaeger.stop)
        cls.runs = company.made_runs()
        for event in [event for run in cls.runs for event in run.timeline()] + company.fixture_events():
            for daemon in (cls.daemon, to_jaeger):
                assert daemon.deliver(event).status in (200, 202)
        company.settle([cls.daemon, to_jaeger])
        cls.meant = {}
        for (trace_id, span_id), span in company.meant(cls.collector).items():
            cls.meant.setdefault(trace_id, {})[span_id] = span
        cls.shown = {trace_id: cls.jaeger.traces(f"/{trace_id}") for trace_id in cls.meant}

    def spans(self):
        """(trace as it is shown, span as it is shown, span as it was meant)"""
        for trace_id, (trace,) in self.shown.items():
            for shown in trace["spans"]:
                yield trace, shown, self.meant[trace_id][shown["spanID"]]

    def test_each_attempt_is_one_trace_with_all_its_spans_once(self):
        self.assertGreater(len(self.meant), 15)
        for trace_id, spans in self.meant.items():
            self.assertEqual(len(self.shown[trace_id]), 1, trace_id)
            trace, = self.shown[trace_id]
            self.assertEqual(sorted(each["spanID"] for each in trace["spans"]), sorted(spans))
        first, again = self.runs[:2]
        self.assertEqual(first.run_id, again.run_id)
        for run in (first, again):
            self.assertIn(Ids(run.run_id, run.attempt).trace, self.shown)

    def test_every_parent_is_there_where_the_root_is(self):
        for trace, shown, meant in self.spans():
            ids = {each["spanID"] for each in trace["spans"]}
            self.assertEqual(parent_of(shown), meant["parentSpanId"])
            if any(not parent_of(each) for each in trace["spans"]):
                self.assertTrue(not parent_of(shown) or parent_of(shown) in ids, shown["operationName"])

    def test_names_times_attributes_status_and_links_are_as_they_were_sent(self):
        for trace, shown, meant in self.spans():
            self.assertEqual(shown["operationName"], meant["name"])
            self.assertEqual(shown["startTime"], meant["startTimeUnixNano"] // 1000)
            self.assertEqual(shown["duration"], (meant["endTimeUnixNano"] - meant["startTimeUnixNano"]) // 1000)
            tags = plain(shown["tags"])
            self.assertEqual(tags.pop("span.kind"), KINDS[meant["kind"]])
            self.assertEqual(tags.pop("otel.scope.name"), "ghatrace")
            tags.pop("otel.scope.version")
            code, message = tags.pop("otel.status_code", "UNSET"), tags.pop("otel.status_description", "")
            self.assertEqual({"code": {"UNSET": 0, "ERROR": 2}[code], "message": message}, meant["status"])
            self.assertEqual(tags.pop("error", False), meant["status"]["code"] == 2)
            tags.pop("w3c.tracestate", None)
            self.assertEqual(tags, meant["attributes"])
            process = trace["processes"][shown["processID"]]
            self.assertEqual({"service.name": process["serviceName"], **plain(process["tags"])}, meant["resource"])
            links = [(each["traceID"], each["spanID"]) for each in shown["references"] if each["refType"] != "CHILD_OF"]
            self.assertEqual(links, [(link["traceId"], link["spanId"]) for link in meant["links"]])

    def test_it_warns_of_phases_of_no_length_only(self):
        for trace, shown, meant in self.spans():
            if not any(each["spanID"] for each in trace["spans"] if not parent_of(each)):
                continue  # a recorded delivery of a job without its run's
            is_empty_phase = (meant["endTimeUnixNano"] == meant["startTimeUnixNano"] and
                              shown["operationName"] in PHASES)
            if not is_empty_phase:
                self.assertEqual(shown["warnings"] or [], [], shown["operationName"])

    def test_there_are_steps_and_jobs_of_no_length(self):
        shortest = {meant["attributes"]["type"] for _, _, meant in self.spans()
                    if meant["endTimeUnixNano"] == meant["startTimeUnixNano"] + 1}
        self.assertLessEqual({"step", "job"}, shortest)

    def test_a_trace_is_found_by_its_service_and_by_an_attribute(self):
        self.assertIn("rocket-engine", self.jaeger.get("/api/services")["data"])
        run = self.runs[0]
        wanted = {"github.run_id": str(run.run_id), "github.run_attempt": "1", "type": "workflow"}
        tags = urllib.parse.quote(json.dumps(wanted))
        found = self.jaeger.traces(f"?service=rocket-engine&tags={tags}&lookback=2d&limit=20")
        self.assertEqual([trace["traceID"] for trace in found], [Ids(run.run_id).trace])

    @unittest.skipUnless(has_grpc(), "this binary has no OTLP/gRPC")
    def test_over_grpc_it_is_the_same(self):
        jaeger = self.ends(parts.Jaeger(self.new_folder()))
        daemon = self.daemon_for(jaeger, otlp_endpoint=jaeger.endpoint_of("grpc"), otlp_protocol="grpc")
        for run in self.runs:
            daemon.accept(*run.timeline())
        company.settle([daemon])
        for run in self.runs:
            trace_id = Ids(run.run_id, run.attempt).trace
            trace, = jaeger.traces(f"/{trace_id}")
            self.assertEqual(sorted(each["spanID"] for each in trace["spans"]), sorted(self.meant[trace_id]))
