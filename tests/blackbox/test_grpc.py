"""OTLP/gRPC against collectors good and bad."""
import pathlib
import socket
import threading
import time

import collector as http_collector
import grpc_collector as standin
import harness
from expect import ids_of, run_spans
from grpc_collector import Answer, GrpcCollector, partial_success, refuse_marker, retry_info
from harness import wait_until
from payloads import Run
from test_admin import get_json
from test_export import expected_ids, short_run
from test_order import deliver_all
from tls import TlsCollector, certificate, server_context


class TunnelProxy:
    """A proxy that knows CONNECT only."""

    def __init__(self):
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.tunnel, args=(peer,), daemon=True).start()

    def tunnel(self, peer):
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(4096)
        method, target, _ = head.split(b"\r\n")[0].decode().split()
        self.asked.append(method)
        if method != "CONNECT":
            peer.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return peer.close()
        host, port = target.rsplit(":", 1)
        other = socket.create_connection((host, int(port)))
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self.copy, args=(other, peer), daemon=True).start()
        self.copy(peer, other)

    def copy(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class GrpcTest(harness.BlackBoxTest):
    def new_grpc_collector(self, context=None):
        collector = GrpcCollector(context)

        def end():
            collector.stop()
            self.assertEqual(collector.faults, [])
        self.addCleanup(end)
        return collector

    def new_grpc_pair(self, context=None, **settings):
        collector = self.new_grpc_collector(context)
        settings.setdefault("otlp_protocol", "grpc")
        if context is not None:
            settings.setdefault("otlp_certificate", certificate("ca.pem"))
        return self.new_daemon(collector, **settings), collector

    def export_of(self, daemon):
        return get_json(daemon, "/api/status")["export"]

    def trouble_of(self, daemon):
        return wait_until(lambda: (e := self.export_of(daemon))["state"] == "trouble" and e, what="trouble")


class Calls(GrpcTest):
    def test_spans_arrive_plain_and_compressed_with_and_without_tls(self):
        for context in (None, server_context()):
            for compression in ("none", "gzip"):
                with self.subTest(tls=context is not None, compression=compression):
                    run = Run()
                    run.job("build \u2192")
                    daemon, collector = self.new_grpc_pair(context, otlp_compression=compression)
                    daemon.accept(*run.timeline())
                    self.check_trace(collector, run_spans(run))
                    headers = collector.requests[0].headers
                    self.assertEqual(headers.get("grpc-encoding"), "gzip" if compression == "gzip" else None)
                    self.assertEqual(headers["grpc-timeout"], "10000m")

    def test_openTelemetrys_variables_and_metadata_are_understood(self):
        run = short_run()
        collector = self.new_grpc_collector()
        daemon = self.new_daemon(start=False)
        daemon.env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint + "/ignored/",
                      "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
                      "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20sesame1,X-Tenant=a%2Cb,blob-bin=%C3%A9,"
                                                    "grpc-timeout=1H"}
        daemon.start().accept(*run.timeline())
        self.check_trace(collector, run_spans(run))
        headers = collector.requests[0].headers
        self.assertEqual(headers["authorization"], "Bearer sesame1")
        self.assertEqual(headers["x-tenant"], "a,b")
        self.assertEqual(headers["blob-bin"], "w6k")
        self.assertEqual(headers["grpc-timeout"], "2500m")
        self.assertEqual(headers[":authority"], f"127.0.0.1:{collector.port}")
        self.assertNotIn("sesame1", daemon.log)

    def test_a_client_certificate_is_shown(self):
        run = short_run()
        daemon, collector = self.new_grpc_pair(
            server_context(client_ca="ca.pem"), otlp_client_certificate=certificate("client.pem"),
            otlp_client_key=certificate("client.key"))
        daemon.accept(*run.timeline())
        self.check_trace(collector, run_spans(run))

    def test_a_proxy_is_gone_through_by_CONNECT(self):
        for context in (None, server_context()):
            with self.subTest(tls=context is not None):
                proxy = TunnelProxy()
                self.addCleanup(proxy.listener.close)
                runs = [short_run() for _ in range(3)]
                daemon, collector = self.new_grpc_pair(context, otlp_proxy=f"http://127.0.0.1:{proxy.port}")
                for run in runs:
                    daemon.accept(*run.timeline())
                    self.check_trace(collector, run_spans(run))
                self.assertEqual(set(proxy.asked), {"CONNECT"})

    def test_user_and_password_of_the_endpoint_are_sent(self):
        run = short_run()
        collector = self.new_grpc_collector()
        daemon = self.new_daemon(otlp_protocol="grpc", otlp_endpoint=f"http://mona:sesame@127.0.0.1:{collector.port}")
        daemon.accept(*run.timeline())
        self.check_trace(collector, run_spans(run))
        self.assertEqual(collector.requests[0].headers["authorization"], "Basic bW9uYTpzZXNhbWU=")
        self.assertNotIn("sesame", daemon.log)

    def test_many_calls_all_arrive_once(self):
        for context in (None, server_context()):
            with self.subTest(tls=context is not None):
                runs = [short_run() for _ in range(60)]
                daemon, collector = self.new_grpc_pair(context)
                for run in runs:
                    daemon.accept(*run.timeline())
                    collector.wait_for_ids(ids_of(run_spans(run)))
                self.assertEqual(set(collector.ids().values()), {1})
                self.assertGreaterEqual(sum(collector.connections), 60)
                self.assertEqual(self.export_of(daemon)["failures_in_a_row"], 0)
                # Without TLS, connections are kept only with a libcurl that is able to.
                if context is not None or max(collector.connections) > 1:
                    self.assertLess(len(collector.connections), 10)

    def test_an_answer_that_announces_the_end_of_its_connection_counts(self):
        for context in (None, server_context()):
            with self.subTest(tls=context is not None):
                daemon, collector = self.new_grpc_pair(context)
                collector.script = lambda request: Answer(go_away=True)
                for run in [short_run() for _ in range(5)]:
                    daemon.accept(*run.timeline())
                    collector.wait_for_ids(ids_of(run_spans(run)))
                wait_until(lambda: get_json(daemon, "/api/status")["outbox"]["records"] == 0, what="an empty outbox")
                self.assertEqual(set(collector.ids().values()), {1})
                self.assertIn("ghatrace_export_retries_total 0\n", daemon.admin("/metrics").text)

    def test_nothing_is_lost_when_the_daemon_is_killed_with_calls_in_flight(self):
        runs = [short_run() for _ in range(12)]
        daemon, collector = self.new_grpc_pair()
        collector.script = lambda request: Answer(hang=True)
        deliver_all(daemon, [run.timeline() for run in runs])
        time.sleep(0.3)
        daemon.kill()
        collector.release()
        collector.script = lambda request: Answer()
        daemon.start()
        collector.wait_for_ids(expected_ids(runs))

    def test_partial_success_is_counted_and_not_sent_again(self):
        run = short_run()
        daemon, collector = self.new_grpc_pair()
        collector.script = lambda request: partial_success(2, "two were odd")
        daemon.accept(*run.timeline())
        collector.wait_for_ids(ids_of(run_spans(run)))
        wait_until(lambda: "two were odd" in daemon.log, what="the remark")
        self.assertIn("rejected_spans=2", daemon.log)
        time.sleep(0.5)
        self.assertEqual(set(collector.ids().values()), {1})

    def test_a_compressed_answer_is_read(self):
        run = short_run()
        daemon, collector = self.new_grpc_pair(otlp_compression="gzip")
        answer = partial_success(0, "a word")
        answer.compressed = True
        collector.script = lambda request: answer
        daemon.accept(*run.timeline())
        wait_until(lambda: "a word" in daemon.log, what="the remark")


    def test_the_status_after_a_long_answer_decides(self):
        def long_answer(size, **more):
            return Answer(raw=b"\0" + size.to_bytes(4, "big") + bytes(size), **more)

        cases = (("64 KiB of warning", long_answer(80_000), True), ("3 MB", long_answer(3_000_000), True),
                 ("a long trailer", Answer(message="x" * 40_000), True),
                 ("a refusal after 3 MB", long_answer(3_000_000, code=standin.UNAVAILABLE, message="not today"), False))
        for name, answer, is_accepted in cases:
            with self.subTest(name):
                run = short_run()
                daemon, collector = self.new_grpc_pair()
                answers = [answer]
                collector.script = lambda request, answers=answers: answers[0]
                daemon.accept(*run.timeline())
                if is_accepted:
                    collector.wait_for_ids(ids_of(run_spans(run)))
                    time.sleep(1.5)
                    self.assertEqual(set(collector.ids().values()), {1})
                    self.assertNotIn("does not accept", daemon.log)
                else:
                    wait_until(lambda daemon=daemon: "gRPC 14 UNAVAILABLE: not today" in daemon.log, what="the refusal")


class Refusals(GrpcTest):
    def test_a_refused_record_is_found_and_the_others_arrive(self):
        runs = [short_run(f"job-{i}") for i in range(8)]
        bad = short_run("MARK")
        daemon, collector = self.new_grpc_pair()
        collector.script = refuse_marker(b"MARK")
        deliver_all(daemon, [run.timeline() for run in [*runs[:4], bad, *runs[4:]]])
        collector.wait_for_ids(expected_ids(runs))
        wait_until(lambda: self.has_dead_letter_after_one_more(daemon, collector), what="the dead letter")
        self.assertIn("gRPC 3 INVALID_ARGUMENT: bad data", daemon.log)

    def has_dead_letter_after_one_more(self, daemon, collector):
        """A refused record becomes a dead letter when another one was accepted since."""
        metrics = daemon.admin("/metrics").body.decode()
        if 'ghatrace_export_records_total{outcome="refused"} 0' not in metrics:
            return True
        more = short_run()
        daemon.accept(*more.timeline())
        collector.wait_for_ids(expected_ids([more]))
        return False

    def test_codes_that_are_not_about_the_data_keep_everything(self):
        cases = [(standin.UNAUTHENTICATED, "refuses_credentials"), (standin.UNIMPLEMENTED, "wrong_path"),
                 (standin.UNAVAILABLE, "overloaded"), (standin.INTERNAL, "server_error")]
        for code, category in cases:
            with self.subTest(code=code):
                run = short_run()
                daemon, collector = self.new_grpc_pair()
                collector.script = lambda request: Answer(code, "not\nnow", trailers_only=code % 2 == 0)
                daemon.accept(*run.timeline())
                export = self.trouble_of(daemon)
                self.assertEqual((export["category"], export["http_status"]), (category, None))
                self.assertRegex(export["message"], rf"gRPC {code} [A-Z]+: not\\x0anow")
                collector.script = lambda request: Answer()
                collector.wait_for_ids(ids_of(run_spans(run)))

    def test_a_message_over_the_receivers_limit_is_halved_at_once(self):
        runs = [short_run() for _ in range(40)]
        daemon, collector = self.new_grpc_pair()
        collector.stop()
        deliver_all(daemon, [run.timeline() for run in runs])
        limit = 20000
        collector.script = lambda request: (
            Answer(standin.RESOURCE_EXHAUSTED, "grpc: received message larger than max", trailers_only=True)
            if len(request.body) > limit else Answer())
        collector.start()
        collector.wait_for_ids(expected_ids(runs), 30)
        self.assertEqual(set(collector.ids().values()), {1})
        self.assertTrue(all(len(r.body) <= limit for r in collector.accepted()))

    def test_a_message_that_is_refused_at_its_beginning_is_halved_at_once(self):
        for context in (None, server_context()):
            with self.subTest(tls=context is not None):
                runs = [Run() for _ in range(60)]
                for run in runs:
                    run.job("build " + "x" * 2000)
                daemon, collector = self.new_grpc_pair(context)
                collector.stop()
                deliver_all(daemon, [run.timeline() for run in runs])
                collector.message_max = 150000
                collector.start()
                collector.wait_for_ids(expected_ids(runs), 30)
                self.assertGreater(collector.refused_early, 0)
                self.assertLess(collector.refused_early, 15)
                self.assertEqual(set(collector.ids().values()), {1})

    def test_retry_info_is_honoured(self):
        run = short_run()
        daemon, collector = self.new_grpc_pair()
        times = []

        def script(request):
            times.append(time.monotonic())
            return Answer(standin.RESOURCE_EXHAUSTED, "slowly", retry_info(3)) if len(times) == 1 else Answer()
        collector.script = script
        daemon.accept(*run.timeline())
        collector.wait_for_ids(ids_of(run_spans(run)))
        self.assertGreaterEqual(times[1] - times[0], 2.9)
        self.assertLess(times[1] - times[0], 4.5)

    def test_broken_streams_and_connections_are_tried_again(self):
        for answer in (Answer(reset=2), Answer(reset=7), Answer(cut=True), Answer(code=None, raw=b""), Answer(go_away=True),
                       Answer(raw=b"\0\0\0")):
            for context in (None, server_context()):
                with self.subTest(answer=answer, tls=context is not None):
                    runs = [short_run() for _ in range(2)]
                    daemon, collector = self.new_grpc_pair(context)
                    answers = [answer]
                    collector.script = lambda request: answers.pop() if answers else Answer()
                    for run in runs:
                        daemon.accept(*run.timeline())
                        collector.wait_for_ids(ids_of(run_spans(run)))

    def test_a_call_that_takes_too_long_ends_at_its_deadline(self):
        run = short_run()
        daemon, collector = self.new_grpc_pair(otlp_timeout="1s")
        collector.script = lambda request: Answer(hang=True)
        daemon.accept(*run.timeline())
        export = self.trouble_of(daemon)
        self.assertEqual(export["category"], "does_not_answer")
        collector.script = lambda request: Answer()
        collector.release()
        collector.wait_for_ids(ids_of(run_spans(run)))

    def test_an_expired_token_is_read_again(self):
        folder = pathlib.Path(self.new_folder())
        (folder / "headers").write_text("authorization: Bearer old-token\n")
        run = short_run()
        collector = self.new_grpc_collector()
        collector.script = lambda request: (Answer() if request.headers.get("authorization") == "Bearer new-token" else
                                            Answer(standin.UNAUTHENTICATED, "expired: Bearer old-token"))
        daemon = self.new_daemon(collector, otlp_protocol="grpc", otlp_header_file=str(folder / "headers"))
        daemon.accept(*run.timeline())
        self.assertEqual(self.trouble_of(daemon)["category"], "refuses_credentials")
        (folder / "headers").write_text("authorization: Bearer new-token\n")
        collector.wait_for_ids(ids_of(run_spans(run)), 10)
        self.assertNotIn("old-token", daemon.log)


class NotGrpc(GrpcTest):
    def serve(self, reply):
        """Answers whatever comes with these bytes; returns the port."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def work():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(100)
                    peer.sendall(reply)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(4096):  # or the rest would reset the connection
                        pass
        threading.Thread(target=work, daemon=True).start()
        return listener.getsockname()[1]

    def test_what_is_not_http_2_on_the_port_is_reported_in_a_sentence(self):
        for reply, name in ((b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1"),
                            (b"220 mail.example.org ESMTP\r\n", "another protocol")):
            with self.subTest(reply=reply):
                daemon = self.new_daemon(otlp_endpoint=f"http://127.0.0.1:{self.serve(reply)}", otlp_protocol="grpc")
                daemon.accept(*short_run().timeline())
                export = self.trouble_of(daemon)
                self.assertEqual(export["category"], "not_a_collector")
                self.assertRegex(export["message"], f"^not gRPC.*: {name} where HTTP/2 was expected")

    def test_http_1_behind_tls_is_reported_in_a_sentence(self):
        collector = TlsCollector()
        self.addCleanup(collector.stop)
        collector.script = lambda request: http_collector.Answer(404, {"Content-Type": "text/plain"}, b"no page\nhere")
        daemon = self.new_daemon(collector, otlp_protocol="grpc", otlp_certificate=certificate("ca.pem"))
        daemon.accept(*short_run().timeline())
        export = self.trouble_of(daemon)
        self.assertEqual(export["category"], "wrong_path")
        self.assertEqual(export["message"],
                         "404 Not Found over HTTP/1.1, not gRPC: is this the port of OTLP/HTTP?: no page")

    def test_a_page_of_a_proxy_is_reported_in_a_sentence(self):
        for status in (200, 502):
            with self.subTest(status=status):
                run = short_run()
                daemon, collector = self.new_grpc_pair()
                collector.script = lambda request: Answer(None, status=status, content_type="text/html",
                                                          raw=b"<html>\n<b>Bad gateway</b>")
                daemon.accept(*run.timeline())
                export = self.trouble_of(daemon)
                self.assertIn("not gRPC", export["message"])
                self.assertIn("<html>", export["message"])
                self.assertEqual(export["category"], "not_a_collector" if status == 200 else "server_error")
                collector.script = lambda request: Answer()
                collector.wait_for_ids(ids_of(run_spans(run)))
