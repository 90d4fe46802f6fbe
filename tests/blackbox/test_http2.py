"""OTLP/HTTP over HTTP/2, to servers that end streams and connections in every way that RFC 9113 allows."""
import gzip
import itertools
import struct
import threading
import time

import harness
from expect import ids_of, run_spans
from grpc_collector import GrpcCollector, Handler, h2
from test_admin import get_json
from test_export import expected_ids, short_run
from test_faults import cpu_seconds
from tls import certificate, server_context

# An ExportTraceServiceResponse that is empty, or has an empty partial_success: both are success.
BODIES = b"", b"\x0a\x00"
WHOLE, GO_AWAY, CLOSE = "END_STREAM, then GOAWAY", "GOAWAY", "the end of the connection"


class Http2Collector(GrpcCollector):
    """`ending` is how an answer and its connection end; None: by END_STREAM alone. With `announces`, the first request is answered when the collector is
    released, and the end of its connection is announced before that."""

    def __init__(self):
        self.body, self.ending, self.announces, self.announced = b"", None, False, threading.Event()
        self.refuses_second = False
        super().__init__(server_context())


class Http2Handler(Handler):
    """One connection. python3-h2 sends nothing after a GOAWAY, so that one is made here."""

    def check(self, request):
        if request.headers[":path"] != "/v1/traces":
            self.owner.faults.append(request.headers[":path"])

    def unframe(self, headers, framed):
        return gzip.decompress(framed) if headers.get("content-encoding") == "gzip" else framed

    def send_go_away(self, last_stream):
        self.request.sendall(struct.pack(">HBBBIII", 0, 8, 7, 0, 0, last_stream, 0))

    def take(self, event):
        if self.owner.refuses_second and isinstance(event, h2.events.RequestReceived) and event.stream_id > 1:
            self.owner.refuses_second = False
            self.send_go_away(1)
            return True
        return super().take(event)

    def answer(self, stream, fields, framed):
        if self.owner.announces:
            self.owner.announces = False
            released = self.owner.released
            self.send_go_away(stream)
            self.owner.announced.set()
            released.wait(harness.PATIENCE)
        return super().answer(stream, fields, framed)

    def reply(self, stream, answer):
        self.h2.send_headers(stream, [(":status", str(answer.status)), ("content-type", "application/x-protobuf"),
                                      ("content-length", str(len(self.owner.body)))])
        self.h2.send_data(stream, self.owner.body, end_stream=self.owner.ending in (None, WHOLE))
        if self.owner.ending in (WHOLE, GO_AWAY):
            self.h2.close_connection()
        self.flush()
        return self.owner.ending is None


Http2Collector.handler_class = Http2Handler


class Ends(harness.BlackBoxTest):
    def new_http2_pair(self):
        collector = Http2Collector()
        self.addCleanup(collector.stop)
        return self.new_daemon(collector, otlp_certificate=certificate("ca.pem")), collector

    def check_no_retry(self, daemon, collector):
        self.assertEqual(set(collector.ids().values()), {1})
        self.assertEqual(get_json(daemon, "/api/status")["export"]["state"], "ok", daemon.log)
        self.assertIn("ghatrace_export_retries_total 0\n", daemon.admin("/metrics").text)
        self.assertEqual(collector.faults, [])

    def test_an_answer_with_all_of_its_body_counts_however_its_stream_ends(self):
        for body, ending in itertools.product(BODIES, (None, WHOLE, GO_AWAY, CLOSE)):
            with self.subTest(f"{len(body)} bytes, {ending}"):
                daemon, collector = self.new_http2_pair()
                collector.body, collector.ending = body, ending
                for run in [short_run() for _ in range(5)]:
                    daemon.accept(*run.timeline())
                    collector.wait_for_ids(ids_of(run_spans(run)), 20)
                harness.wait_until(lambda: get_json(daemon, "/api/status")["outbox"]["records"] == 0,
                                   what="an empty outbox")
                self.check_no_retry(daemon, collector)

    def test_a_request_that_meets_the_announced_end_of_its_connection_is_sent_on_another(self):
        daemon, collector = self.new_http2_pair()
        collector.announces = True
        runs = [short_run() for _ in range(2)]
        daemon.accept(*runs[0].timeline()[:-1])
        self.assertTrue(collector.announced.wait(harness.PATIENCE))
        daemon.accept(*runs[1].timeline())
        collector.wait_for_ids(ids_of(run_spans(runs[1])))
        collector.release()
        daemon.accept(runs[0].timeline()[-1])
        collector.wait_for_ids(expected_ids(runs))
        self.check_no_retry(daemon, collector)
        self.assertEqual(len(collector.connections), 2)

    def test_a_request_that_crosses_the_announced_end_of_its_connection_is_sent_on_another(self):
        daemon, collector = self.new_http2_pair()
        collector.refuses_second = True
        for run in [short_run() for _ in range(3)]:
            daemon.accept(*run.timeline())
            collector.wait_for_ids(ids_of(run_spans(run)), 20)
        self.assertFalse(collector.refuses_second)
        self.check_no_retry(daemon, collector)


WINDOW = 65_535  # of each stream and connection, before a server grants more (RFC 9113 6.9.2)


def large_run():
    """Its spans take more than WINDOW."""
    run = short_run()
    job = run.job()
    kind, end = type(job.steps[0]), job.steps[0].end
    job.steps = [kind(f"Run step {number}", number, end, end + 1) for number in range(1, 500)]
    return run


class Windows(harness.BlackBoxTest):
    def check_blocked(self, collector, **settings):
        self.addCleanup(collector.stop)
        collector.withholds = True
        daemon = self.new_daemon(collector, otlp_timeout="60s", **settings)
        run = large_run()
        daemon.accept(*run.timeline())
        harness.wait_until(lambda: collector.withheld >= WINDOW, what="the first window")
        before = cpu_seconds(daemon.process.pid)
        time.sleep(2)
        used = cpu_seconds(daemon.process.pid) - before
        self.assertEqual(collector.requests, [])
        self.assertEqual(collector.withheld, WINDOW)
        start = time.monotonic()
        collector.grant()
        collector.wait_for_ids(ids_of(run_spans(run)))
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(collector.faults, [])
        self.assertLess(used, 0.2, "no busy loop")

    def test_a_call_waits_idly_for_the_window_of_its_receiver_and_then_goes_on(self):
        self.check_blocked(GrpcCollector(), otlp_protocol="grpc")

    def test_a_request_waits_idly_for_the_window_of_its_receiver_and_then_goes_on(self):
        self.check_blocked(Http2Collector(), otlp_certificate=certificate("ca.pem"))
