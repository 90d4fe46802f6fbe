"""OTLP/HTTP against collectors good and bad."""
import threading
import time

import collector as standin
import expect
import harness
from collector import Answer, partial_success, refuse_marker, refused, unavailable
from expect import Ids, ids_of, resource_of, run_spans
from payloads import Run, new_id
from test_admin import get_json
from test_order import deliver_all


def short_run(name="build", **kinds):
    run = Run(**kinds)
    run.job(name).steps = []
    return run


def expected_ids(runs):
    return [key for run in runs for key in ids_of(run_spans(run))]


class Encodings(harness.BlackBoxTest):
    def through(self, run, **settings):
        env = settings.pop("env", None)
        collector = self.new_collector()
        daemon = self.new_daemon(collector, start=False, **settings)
        daemon.env = env
        daemon.start().accept(*run.timeline())
        self.check_trace(collector, run_spans(run))
        return collector

    def test_both_encodings_plain_and_compressed_carry_the_same_spans(self):
        run = Run(pull_request=(7, "main"))
        run.job("build \u2192 \"linux\" \\")
        run.job("test", conclusion="failure")
        spans = []
        for protocol in ("http/protobuf", "http/json"):
            for compression in ("none", "gzip"):
                with self.subTest(protocol=protocol, compression=compression):
                    collector = self.through(run, otlp_protocol=protocol, otlp_compression=compression)
                    spans.append(expect.by_id(collector.trace()))
                    for request in collector.requests:
                        self.assertEqual(request.is_json, protocol == "http/json")
                        self.assertEqual(request.headers.get("content-encoding"),
                                         "gzip" if compression == "gzip" else None)
                        if compression == "gzip":
                            self.assertLess(request.wire_size, len(request.body))
        for other in spans[1:]:
            self.assertEqual(other, spans[0])

    def test_openTelemetrys_variables_are_understood(self):
        run = short_run()
        collector = self.new_collector()
        daemon = self.new_daemon(start=False)
        daemon.env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint + "/prefix/",
                      "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
                      "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20dXNlcjpwYXNz==, x-tenant = a%2Cb"}
        daemon.start().accept(*run.timeline())
        self.check_trace(collector, run_spans(run))
        request = collector.requests[0]
        self.assertEqual(request.path, "/prefix/v1/traces")
        self.assertTrue(request.is_json)
        self.assertEqual(request.headers["content-encoding"], "gzip")
        self.assertEqual(request.headers["authorization"], "Basic dXNlcjpwYXNz==")
        self.assertEqual(request.headers["x-tenant"], "a,b")
        self.assertEqual(request.headers["host"], f"127.0.0.1:{collector.port}")
        self.assertRegex(request.headers["user-agent"], r"ghatrace/\d")
        self.assertNotIn("dXNlcjpwYXNz", daemon.log, "secrets are never logged")

    def test_the_variables_for_traces_win_and_are_taken_as_they_are(self):
        run = short_run()
        collector = self.new_collector()
        daemon = self.new_daemon(start=False)
        daemon.env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
                      "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.endpoint + "/custom/path",
                      "OTEL_EXPORTER_OTLP_HEADERS": "x-who=general",
                      "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-who=traces"}
        daemon.start().accept(*run.timeline())
        self.check_trace(collector, run_spans(run))
        self.assertEqual(collector.requests[0].path, "/custom/path")
        self.assertEqual(collector.requests[0].headers["x-who"], "traces")

    def test_resource_attributes_are_added_and_ours_win(self):
        run = short_run()
        collector = self.new_collector()
        daemon = self.new_daemon(collector, start=False)
        daemon.env = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod,team=a%2Cb,vcs.owner.name=nobody"}
        daemon.start().accept(*run.timeline())
        trace = Ids(run.run_id).trace
        wanted = dict(resource_of(run), **{"deployment.environment.name": "prod", "team": "a,b"})
        for span in collector.wait_trace(trace, len(run_spans(run))):
            self.assertEqual(span["resource"], wanted)

    def test_a_service_name_can_be_set_for_all(self):
        for settings in ({"service_name": "ci"}, {"env": {"OTEL_SERVICE_NAME": "ci"}}):
            run = short_run()
            collector = self.new_collector()
            env = settings.pop("env", None)
            daemon = self.new_daemon(collector, start=False, **settings)
            daemon.env = env
            daemon.start().accept(*run.timeline())
            for span in collector.wait_trace(Ids(run.run_id).trace, 3):
                self.assertEqual(span["resource"]["service.name"], "ci")

    def test_without_an_endpoint_nothing_is_sent_and_the_trace_is_kept(self):
        run = short_run()
        daemon = self.new_daemon()
        daemon.accept(*run.timeline())
        answer = harness.wait_until(lambda: self.stored(daemon, run), what="the stored trace")
        self.assertIn("build", answer)

    def stored(self, daemon, run):
        shown = daemon.command("trace", run.run_id)
        return shown.stdout if shown.returncode == 0 and f"RUN {run.workflow}" in shown.stdout else None


class Faults(harness.BlackBoxTest):
    def deliver_runs(self, daemon, count, **kinds):
        runs = [short_run(**kinds) for _ in range(count)]
        deliver_all(daemon, [run.timeline() for run in runs])
        return runs

    def test_everything_arrives_after_an_outage_with_kill_9(self):
        daemon, collector = self.new_pair()
        collector.stop()
        runs = self.deliver_runs(daemon, 200)
        daemon.restart("kill")
        runs += self.deliver_runs(daemon, 200)  # 2,000 deliveries in all
        collector.start()
        collector.wait_for_ids(expected_ids(runs), timeout=120)
        for run in runs[::50]:
            self.check_trace(collector, run_spans(run))

    def test_an_outage_that_outlasts_the_daemon_loses_nothing(self):
        daemon, collector = self.new_pair()
        collector.stop()
        runs = self.deliver_runs(daemon, 5)
        daemon.restart("stop")
        collector.start()
        collector.wait_for_ids(expected_ids(runs))

    def test_retryable_answers_are_retried_until_the_collector_takes_it(self):
        cases = []
        for status in (429, 502, 503, 504):
            daemon, collector = self.new_pair()
            answers = [unavailable(retry_after=0, status=status)] * 2
            collector.script = lambda request, answers=answers: answers.pop() if answers else Answer()
            cases.append((status, collector, self.deliver_runs(daemon, 1)))
        for status, collector, runs in cases:
            with self.subTest(status):
                collector.wait_for_ids(expected_ids(runs))
                self.assertEqual(set(collector.ids().values()), {1})

    def test_retry_after_is_honoured(self):
        daemon, collector = self.new_pair()
        times = []

        def script(request):
            times.append(time.monotonic())
            return unavailable(retry_after=3) if len(times) == 1 else Answer()
        collector.script = script
        runs = self.deliver_runs(daemon, 1)
        collector.wait_for_ids(expected_ids(runs))
        self.assertGreaterEqual(min(times[1:]) - times[0], 2.9, "not sooner than asked")

    def test_broken_and_slow_answers_do_no_harm(self):
        daemon, collector = self.new_pair()
        kinds = [Answer(cut=True), Answer(piece_delay=0.005), Answer(200, {}, b"\xff" * 100), Answer(204, {}, b""),
                 Answer(200, {"Content-Encoding": "x"}, b"<html>"), Answer(cut=True, status=503)]

        def script(request):
            return kinds.pop(0) if kinds else Answer()
        collector.script = script
        runs = []
        for _ in range(8):
            runs += self.deliver_runs(daemon, 1)
            collector.wait(lambda c: len(c.requests) > 8 - len(kinds) or c.requests, 30)
        wanted = set(expected_ids(runs))
        taken = lambda c: {key for r in c.requests if 200 <= r.status < 300 for key in standin.scan_ids(r)}
        collector.wait(lambda c: wanted <= taken(c), 90, "all spans")

    def test_a_collector_that_closes_between_requests_is_connected_to_again(self):
        daemon, collector = self.new_pair()
        collector.script = lambda request: Answer(200, {"Connection": "close"})
        for _ in range(5):
            runs = self.deliver_runs(daemon, 1)
            collector.wait_for_ids(expected_ids(runs))
        self.assertEqual(set(collector.ids().values()), {1})

    def test_idle_connections_that_the_collector_dropped_are_no_fault(self):
        daemon, collector = self.new_pair()
        for _ in range(3):
            runs = self.deliver_runs(daemon, 1)
            collector.wait_for_ids(expected_ids(runs))
            # Until the answer is in, what the collector has is rightly sent again.
            harness.wait_until(lambda: get_json(daemon, "/api/status")["outbox"]["records"] == 0, what="an empty outbox")
            collector.stop()
            collector.start()
        self.assertEqual(set(collector.ids().values()), {1})

    def test_partial_success_is_not_retried(self):
        daemon, collector = self.new_pair()
        collector.script = lambda request: partial_success(2, "two were strange")
        runs = self.deliver_runs(daemon, 3)
        collector.wait_for_ids(expected_ids(runs))
        harness.wait_until(lambda: "two were strange" in daemon.log, what="the remark in the log")
        daemon.restart()
        self.assertEqual(set(collector.ids().values()), {1})

    def test_the_record_at_fault_goes_to_the_dead_letters_and_the_rest_through(self):
        daemon, collector = self.new_pair()
        collector.stop()
        before = self.deliver_runs(daemon, 12)
        poisoned = short_run(name="poisoned job", workflow="poisoned workflow")
        daemon.accept(*poisoned.timeline())
        after = self.deliver_runs(daemon, 12)
        collector.script = refuse_marker(b"poisoned")
        collector.start()
        collector.wait_for_ids(expected_ids(before + after))
        # A refused record is given up when another one was accepted since.
        collector.wait_for_ids(expected_ids(self.deliver_runs(daemon, 1)))
        harness.wait_until(lambda: daemon.log.count("kept as dead letter") == 2, what="a line for each")
        collector.script = lambda request: Answer()
        daemon.restart()  # dead letters stay where they are
        self.assertFalse(set(expected_ids([poisoned])) & collector.ids().keys())
        shown = daemon.command("requeue")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout, r"\b2\b", "the job and the root")
        collector.wait_for_ids(expected_ids([poisoned]))
        self.check_trace(collector, run_spans(poisoned))

    def test_a_collector_that_hangs_does_not_stop_ingestion(self):
        daemon, collector = self.new_pair(otlp_timeout="60s")
        collector.script = lambda request: Answer(hang=True)
        runs = self.deliver_runs(daemon, 60)
        collector.script = lambda request: Answer()
        collector.release()
        collector.wait_for_ids(expected_ids(runs))

    def test_one_slow_answer_does_not_stop_the_rest(self):
        daemon, collector = self.new_pair(otlp_timeout="120s")
        first = []

        def script(request):
            first.append(request)
            return Answer(hang=len(first) == 1)
        collector.script = script
        slow = self.deliver_runs(daemon, 1)
        harness.wait_until(lambda: first, what="the first request")
        others = self.deliver_runs(daemon, 10)
        collector.wait_for_ids(expected_ids(others))
        collector.release()
        collector.wait_for_ids(expected_ids(slow + others))
        self.assertEqual(set(collector.ids().values()), {1})

    def test_a_request_that_takes_too_long_is_given_up_and_repeated(self):
        daemon, collector = self.new_pair(otlp_timeout="1s")
        first = []

        def script(request):
            first.append(request)
            return Answer(hang=len(first) == 1)
        collector.script = script
        runs = self.deliver_runs(daemon, 1)
        collector.wait_for_ids(expected_ids(runs))
        self.assertGreaterEqual(len(first), 2)

    def test_sigterm_does_not_wait_for_a_collector_that_hangs(self):
        daemon, collector = self.new_pair(otlp_timeout="120s")
        seen = threading.Event()

        def script(request):
            seen.set()
            return Answer(hang=True)
        collector.script = script
        runs = self.deliver_runs(daemon, 3)
        self.assertTrue(seen.wait(harness.PATIENCE))
        daemon.stop()
        collector.script = lambda request: Answer()
        collector.requests.clear()
        collector.release()
        daemon.start()
        collector.wait_for_ids(expected_ids(runs))

    def test_large_jobs_are_exported_whole(self):
        daemon, collector = self.new_pair()
        run = Run(run_id=new_id())
        job = run.job()
        setup, end = job.steps[0], job.steps[-1]
        steps = []
        for number in range(2, 900):
            step = type(setup)(f"Step {number} " + "x" * 200, number, setup.end, setup.end + 1)
            steps.append(step)
        end.number = 900
        job.steps = [setup, *steps, end]
        daemon.accept(*run.timeline())
        self.check_trace(collector, run_spans(run))
