"""The listener for OTLP: who may send, what is answered, how ARC's reports find their jobs, and what is passed on."""
import gzip
import http.client
import json
import re
import signal
import threading
import time

import expect
import faulty
import grpc_collector
import harness
import sending
from collector import Answer, refused, scan_ids, unavailable
from expect import Ids, assigned_spans, ids_of
from harness import BlackBoxTest, Client, parse_responses, raw_exchange, run_command, wait_until
from payloads import Repository, Run
from sending import ARC, JOB, JSON, PROTOBUF, arc_spans, job_span, post, request_headers, send, status, wait_for_outcome

EMPTY_STATUS = re.compile(rb"\A\x08[\x01-\x10]\x12.", re.S)  # google.rpc.Status: code, message


class ReceiverTest(BlackBoxTest):
    def tokens(self, *text):
        return sending.token_file(self.new_folder(), *text)

    def with_receiver(self, collector=None, with_tokens=True, **settings):
        settings.setdefault("otlp_listen", "127.0.0.1:0")
        if with_tokens:
            settings.setdefault("otlp_token_file", str(self.tokens()))
        return self.new_daemon(collector, **settings)

    def pair(self, **settings):
        collector = self.new_collector()
        return self.with_receiver(collector, **settings), collector

    def known_run(self, daemon):
        run = Run()
        job = run.job()
        daemon.accept(*run.timeline())
        return run, job

    def accepted(self, answer, json_body=b"{}"):
        self.assertEqual(answer.status, 200, answer)
        self.assertIn(answer.body, (b"", json_body))

    def refused(self, answer, words):
        """A 200 with a partial success."""
        self.assertEqual(answer.status, 200, answer)
        self.assertIn(words.encode(), answer.body)


class Requests(ReceiverTest):
    """Everything that is decided before spans are looked at."""

    def test_without_the_setting_nothing_listens(self):
        daemon = self.new_daemon()
        self.assertIsNone(daemon.otlp_address)
        self.assertFalse(status(daemon)["otlp"]["on"])

    def test_both_encodings_plain_and_zipped_are_answered_in_kind(self):
        daemon = self.with_receiver()
        for encoding, body in ((PROTOBUF, b""), (JSON, b"{}")):
            for zipped in (False, True):
                with self.subTest(encoding=encoding, zipped=zipped):
                    answer = send(daemon, [sending.span("1" * 32, "2" * 16, "3" * 16)], JOB, encoding, zipped)
                    self.assertEqual(answer.status, 200, answer)
                    self.assertEqual(answer.headers["Content-Type"], encoding)

    def test_an_empty_request_is_accepted(self):
        daemon = self.with_receiver()
        self.accepted(post(daemon, b"", request_headers(ARC)))
        self.accepted(post(daemon, b'{"resourceSpans":[]}', request_headers(JOB, JSON)))

    def test_each_refusal_has_its_status_and_a_status_message_in_the_requests_encoding(self):
        daemon = self.with_receiver()
        good = sending.protobuf([sending.span("1" * 32, "2" * 16, "3" * 16)])
        cases = [("POST", "/v1/metrics", good, request_headers(ARC), 404), ("GET", "/v1/traces", None, {}, 405),
                 ("POST", "/v1/traces", good, request_headers(), 401),
                 ("POST", "/v1/traces", good, request_headers("x" * 20), 401),
                 ("POST", "/v1/traces", good, request_headers(ARC, "text/plain"), 415),
                 ("POST", "/v1/traces", good, request_headers(ARC, Content_Encoding="br"), 415),
                 ("POST", "/v1/traces", b"\xff", request_headers(ARC), 400),
                 ("POST", "/v1/traces", good[:-1], request_headers(ARC), 400),
                 ("POST", "/v1/traces", b"{", request_headers(ARC, JSON), 400),
                 ("POST", "/v1/traces", good, request_headers(ARC, Content_Encoding="gzip"), 400),
                 ("POST", "/v1/traces", gzip.compress(good)[:-3], request_headers(ARC, Content_Encoding="gzip"), 400),
                 ("POST", "/v1/traces", b"x" * (5 << 20), request_headers(ARC), 413)]
        for method, path, body, headers, expected in cases:
            with self.subTest(path=path, headers=headers, size=len(body or b"")), Client(daemon.otlp_address) as client:
                try:
                    answer = client.request(method, path, body, headers)
                except (BrokenPipeError, ConnectionResetError):
                    self.assertEqual(expected, 413)  # it was answered before all was sent
                    continue
                self.assertEqual(answer.status, expected, answer)
                if headers.get("Content-Type") == PROTOBUF:
                    self.assertEqual(answer.headers["Content-Type"], PROTOBUF)
                    self.assertRegex(answer.body, EMPTY_STATUS)
                else:
                    self.assertIn("message", json.loads(answer.body))
                self.assertEqual(answer.headers["Allow"], "POST" if expected == 405 else None)
                self.assertEqual(answer.headers["WWW-Authenticate"],
                                 'Bearer realm="ghatrace"' if expected == 401 else None)
        counted = status(daemon)["otlp"]["requests_refused"]
        self.assertEqual((counted["token"], counted["malformed"], counted["not_allowed"]), (2, 5, 4))

    def test_tls_where_plain_http_is_served_is_named_in_the_answer(self):
        daemon = self.with_receiver()
        hello = bytes.fromhex("16030100c8010000c40303") + bytes(200)
        (code, body), = parse_responses(raw_exchange(daemon.otlp_address, hello))
        self.assertEqual(code, 400)
        self.assertIn(b"this is TLS, and only plain HTTP is supported here", body)
        wait_until(lambda: "this is TLS" in daemon.log, what="the line in the log")

    def test_a_request_needs_a_length(self):
        daemon = self.with_receiver()
        head = (f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ARC}\r\n"
                "Content-Type: application/x-protobuf\r\nConnection: close\r\n")
        (code, body), = parse_responses(raw_exchange(daemon.otlp_address, (head + "\r\n").encode()))
        self.assertEqual(code, 411)
        self.assertRegex(body, EMPTY_STATUS)
        job = Run().job()
        body = sending.protobuf(arc_spans(job, job.created + 2))
        chunked = head + f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
        (code, _), = parse_responses(raw_exchange(daemon.otlp_address, chunked.encode() + body + b"\r\n0\r\n\r\n"))
        self.assertEqual(code, 200)

    def test_what_inflates_or_counts_beyond_the_limits_is_413_and_costs_little_memory(self):
        daemon = self.with_receiver()
        before = daemon.own_kib() / 1024
        bomb = gzip.compress(bytes(1 << 30), 9)
        self.assertLess(len(bomb), 4 << 20)
        many = sending.protobuf([sending.span("1" * 32, f"{n:016x}", "3" * 16) for n in range(1, 10002)])
        for body, headers in ((bomb, request_headers(JOB, Content_Encoding="gzip")), (many, request_headers(JOB))):
            for _ in range(3):
                self.assertEqual(post(daemon, body, headers).status, 413)
        if "asan" not in harness.BINARY and "tsan" not in harness.BINARY:  # these keep what is freed
            self.assertLess(daemon.own_kib() / 1024 - before, 50)

    def test_a_slow_body_is_408(self):
        daemon = self.with_receiver()
        head = (f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ARC}\r\n"
                "Content-Type: application/x-protobuf\r\nContent-Length: 60000\r\n\r\nx").encode()
        (code, body), = parse_responses(raw_exchange(daemon.otlp_address, head))
        self.assertEqual(code, 408)
        self.assertRegex(body, EMPTY_STATUS)

    def test_without_tokens_only_requests_of_this_machine_are_accepted_and_none_of_a_proxy(self):
        daemon = self.with_receiver(with_tokens=False)
        job = Run().job()
        good = sending.protobuf(arc_spans(job, job.created + 2))
        self.accepted(post(daemon, good, request_headers()))
        for headers in ({"Host": "ghatrace.example.org"}, {"X-Forwarded-For": "192.0.2.1"}, {"Via": "1.1 x"},
                        {"Forwarded": "for=192.0.2.1"}, {"X-Forwarded-Proto": "https"}):
            with self.subTest(headers):
                self.assertEqual(post(daemon, good, {**request_headers(), **headers}).status, 403)
        # A client without a token has the role of ARC, and no other.
        self.refused(send(daemon, [sending.span("1" * 32, "2" * 16, "3" * 16)]), "1 not_arc")

    def test_tokens_are_read_again_on_sighup_and_a_wrong_file_changes_nothing(self):
        path = self.tokens()
        daemon = self.with_receiver(otlp_token_file=str(path))
        new = "job-fedcba9876543210"

        def answered(token):
            return post(daemon, b"", request_headers(token)).status
        self.assertEqual([answered(ARC), answered(new)], [200, 401])
        path.write_text(f"arc {ARC}\njob\t{new}\n")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "files not read again" in daemon.log, what="the refusal of the file")
        self.assertRegex(daemon.log, r"otlp tokens: \S+, line 2: ")
        self.assertNotIn(new, daemon.log)
        self.assertEqual([answered(JOB), answered(new)], [200, 401])
        path.write_text(f"job {new}\n")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "files read again" in daemon.log, what="the new tokens")
        self.assertIn("otlp tokens", daemon.log)
        self.assertEqual([answered(ARC), answered(JOB), answered(new)], [401, 401, 200])
        for token in (ARC, JOB, new):
            self.assertNotIn(token, daemon.log)

    def test_repeated_wrong_tokens_wait_and_valid_ones_do_not(self):
        daemon = self.with_receiver()
        began = time.monotonic()
        for _ in range(21):
            self.assertEqual(post(daemon, b"", request_headers("y" * 20)).status, 401)
        self.assertGreater(time.monotonic() - began, 0.9)
        began = time.monotonic()
        self.accepted(post(daemon, b"", request_headers(ARC)))
        self.assertLess(time.monotonic() - began, 0.9)


class Start(ReceiverTest):
    def check(self, **settings):
        folder = self.new_folder()
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        return run_command("check", "--db", f"{folder}/db", "--insecure-no-signature=on", *arguments)

    def test_an_open_address_without_access_control_is_refused(self):
        for address in ("0.0.0.0:4318", ":4318", "[::]:4318"):
            done = self.check(otlp_listen=address)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn("otlp-token-file or otlp-client-ca", done.stderr)
        done = self.check(otlp_listen="0.0.0.0:4318", otlp_token_file=self.tokens())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("warning: otlp-listen 0.0.0.0:4318: plain HTTP", done.stdout)

    def test_check_prints_the_settings_and_how_many_tokens_there_are(self):
        done = self.check(otlp_listen="127.0.0.1:4318", otlp_token_file=self.tokens(), otlp_outbox_share="5")
        self.assertIn("otlp-listen = 127.0.0.1:4318  (from flag)", done.stdout)
        self.assertRegex(done.stdout, r"otlp-token-file = \S+ \(1 arc, 1 job\)  \(from flag\)")
        self.assertIn("otlp-outbox-share = 5  (from flag)", done.stdout)
        self.assertNotIn(ARC, done.stdout + done.stderr)

    def test_runners_of_arc_without_a_token_for_arc_are_warned_of(self):
        done = self.check(otlp_listen="127.0.0.1:4318", otlp_token_file=self.tokens(f"job {JOB}\n"), arc_runners="arc-*")
        self.assertIn("warning: otlp-token-file has no `arc TOKEN`, so ARC cannot report", done.stdout)
        done = self.check(otlp_listen="127.0.0.1:4318", otlp_token_file=self.tokens(), arc_runners="arc-*")
        self.assertNotIn("ARC cannot report", done.stdout)

    def test_malformed_lines_are_named_by_their_number(self):
        for text, number, words in ((f"arc {ARC}\n\n{JOB}\n", 3, "arc TOKEN"), (f"job short\n", 1, "fewer than 16"),
                                    (f"arc {ARC}\njob {ARC}\n", 2, "earlier line"), (f"job {JOB} \n", 1, "blank"),
                                    ("", None, "no secret")):
            done = self.check(otlp_listen="127.0.0.1:0", otlp_token_file=self.tokens(text))
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(words, done.stderr)
            if number:
                self.assertIn(f", line {number}: ", done.stderr)
            for token in (ARC, JOB):
                self.assertNotIn(token, done.stderr)

    def test_tls_needs_a_certificate(self):
        for setting in ({"otlp_tls": "on"}, {"otlp_client_ca": "/nonexistent"}):
            done = self.check(otlp_listen="127.0.0.1:0", **setting)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn("tls-cert and tls-key", done.stderr)

    def test_runners_of_arc_without_the_listener_are_warned_of(self):
        self.assertIn("without otlp-listen ARC's times are not received", self.check(arc_runners="arc-*").stdout)
        self.assertNotIn("without otlp-listen", self.check(arc_runners="arc-*", otlp_listen="127.0.0.1:0").stdout)


class Overload(faulty.FaultTest, ReceiverTest):
    def with_stuck_disk(self):
        daemon, faults = self.new_faulty(otlp_listen="127.0.0.1:0", otlp_token_file=str(self.tokens()))
        return daemon, faults

    def test_what_is_not_stored_within_a_second_is_503_and_goes_on(self):
        daemon, faults = self.with_stuck_disk()
        job = Run().job()
        faults.set(hang=1)
        began = time.monotonic()
        answer = send(daemon, arc_spans(job, job.created + 2), ARC, tries=1)
        self.assertEqual(answer.status, 503, answer)
        self.assertLess(time.monotonic() - began, 3)
        self.assertIsNotNone(answer.headers["Retry-After"])
        self.assertRegex(answer.body, EMPTY_STATUS)
        faults.clear()
        wait_for_outcome(daemon, "arc", "held")
        self.accepted(send(daemon, arc_spans(job, job.created + 2), ARC))

    def test_a_stop_answers_what_is_in_flight(self):
        daemon, faults = self.with_stuck_disk()
        job = Run().job()
        faults.set(hang=1)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(send(daemon, arc_spans(job, job.created + 2), ARC)))
        thread.start()
        time.sleep(0.2)
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        faults.clear()
        thread.join(harness.PATIENCE)
        self.accepted(answers[0])
        daemon.stop()


class Arc(ReceiverTest):
    """Reports of ARC find their jobs, and ours are the spans that are sent."""

    def run_of_arc(self, **kinds):
        run = Run(**kinds)
        job = run.job(queue=20)
        job.labels, job.runner_name, job.runner_group = ["arc-linux"], f"arc-linux-{job.job_id}", "arc"
        return run, job

    @staticmethod
    def setup_item(daemon):
        return next(item for item in status(daemon)["setup"]["items"] if item["name"] == "arc")

    def matched(self, make_spans, attempt=1):
        daemon, collector = self.pair(arc_runners="arc-*")
        run, job = self.run_of_arc(attempt=attempt)
        assigned = job.created + 5
        daemon.accept(*run.timeline())
        self.accepted(send(daemon, make_spans(job, assigned), ARC))
        self.check_trace(collector, assigned_spans(run, {job: assigned}))
        self.assertEqual(status(daemon)["arc"]["reports"]["matched"], 1)
        last, = status(daemon)["arc"]["last"]
        self.assertEqual((last["outcome"], last["job_name"], last["runner_name"], last["repository"]),
                         ("matched", job.name, job.runner_name, run.repository.full_name))
        self.assertEqual((last["run_id"], last["run_attempt"], last["job_id"]),
                         (str(run.run_id), attempt, str(job.job_id)))
        self.assertIsNotNone(last["at"])
        return daemon

    def test_by_the_jobs_number(self):
        daemon = self.matched(arc_spans)
        metrics = daemon.admin("/metrics").text
        for line in ('ghatrace_arc_reports_total{outcome="matched"} 1', "ghatrace_otlp_requests_total 1",
                     'ghatrace_otlp_spans_total{role="arc"} 3', 'ghatrace_otlp_requests_refused_total{reason="token"} 0',
                     'ghatrace_forwarded_spans_total{outcome="accepted"} 0', "ghatrace_otlp_connections 0"):
            self.assertIn(f"\n{line}\n", metrics)

    def test_by_run_job_name_and_runner_where_the_id_is_a_guid(self):
        self.matched(lambda job, at: arc_spans(job, at, job_id="4d8ed510-a74e-11f1-8000-000000000000"))

    def test_by_runner_and_time_where_the_run_is_unknown(self):
        self.matched(lambda job, at: arc_spans(job, at, job_id="4d8ed510-a74e-11f1-8000-000000000000", run_id=0))

    def test_the_true_attempt_though_arc_counts_each_as_the_first(self):
        self.matched(arc_spans, attempt=2)

    def test_from_the_end_of_the_queue_where_the_start_up_was_not_sent(self):
        self.matched(lambda job, at: arc_spans(job, at, startup=False))

    def test_from_the_start_of_the_start_up_where_there_is_no_queue_time(self):
        self.matched(lambda job, at: arc_spans(job, at, queue=False))

    def test_a_report_before_any_event_is_held_over_a_kill(self):
        daemon, collector = self.pair(arc_runners="arc-*")
        run, job = self.run_of_arc()
        self.accepted(send(daemon, arc_spans(job, job.created + 5), ARC, JSON, zipped=True))
        self.assertEqual(status(daemon)["arc"]["reports"]["held"], 1)
        daemon.restart("kill")
        daemon.accept(*run.timeline())
        self.check_trace(collector, assigned_spans(run, {job: job.created + 5}))

    def test_of_two_jobs_that_fit_neither_gets_it(self):
        daemon, collector = self.pair(arc_runners="arc-*", arc_grace="1s")
        run, job = self.run_of_arc()
        other = run.job(job.name, queue=20)
        other.labels, other.runner_name, other.runner_group = job.labels, job.runner_name, job.runner_group
        daemon.accept(*run.timeline())
        self.refused(send(daemon, arc_spans(job, job.created + 5, job_id="no-number"), ARC), "3 ambiguous")
        self.check_trace(collector, assigned_spans(run, {}))

    def test_what_is_not_traced_is_counted_and_not_kept(self):
        daemon = self.with_receiver(repos="acme/*")
        run, job = self.run_of_arc()
        run.repository = Repository("other/rocket")
        self.accepted(send(daemon, arc_spans(job, job.created + 5), ARC))
        self.assertEqual(status(daemon)["arc"]["reports"]["untraced"], 1)
        self.assertEqual(status(daemon)["arc"]["last"][0]["outcome"], "untraced")

    def test_impossible_reports_are_refused_and_late_ones_counted(self):
        daemon, collector = self.pair(arc_runners="arc-*", arc_grace="1s")
        run, job = self.run_of_arc()
        daemon.accept(*run.timeline())
        self.check_trace(collector, assigned_spans(run, {}))
        self.accepted(send(daemon, arc_spans(job, job.created + 5), ARC))
        self.assertEqual(status(daemon)["arc"]["reports"]["late"], 1)
        backwards = arc_spans(job, job.created + 5)
        backwards[0]["end"] = backwards[0]["start"] - 1
        self.refused(send(daemon, backwards, ARC), "3 malformed")
        self.assertEqual([report["outcome"] for report in status(daemon)["arc"]["last"]], ["malformed", "late"])

    def test_that_reports_do_not_come_is_said_by_check_live_the_log_and_the_counters(self):
        daemon, _ = self.pair(arc_runners="arc-*", arc_grace="1s")
        run, job = self.run_of_arc()

        def arc():
            shown = daemon.command("check", "--live", "http://{}:{}".format(*daemon.admin_address))
            return next(line.split(None, 2)[1:] for line in shown.stdout.splitlines() if line.startswith("arc "))
        self.assertEqual(arc(), ["unknown", "No job that arc-runners selects has ended yet. No report of ARC was received."])
        daemon.accept(*run.timeline())
        spans = arc_spans(job, job.created + 5)
        self.assertEqual(send(daemon, spans, "x" * 20).status, 401)
        self.assertEqual(post(daemon, sending.protobuf(spans), {**request_headers(ARC), "Content-Type": "text/plain"}).status, 415)
        wait_until(lambda: status(daemon)["arc"]["missing"] == 1, what="the end of the wait")
        state, words = arc()
        self.assertEqual(state, "wrong")
        self.assertIn("did not report within arc-grace when it assigned 1 of the jobs", words)
        self.assertIn("1 without a token of otlp-token-file, 1 for their path, type or sender", words)
        self.assertIn("No report of ARC was received.", words)
        self.assertIn("\nghatrace_arc_assignments_missing_total 1\n", daemon.admin("/metrics").text)
        wait_until(lambda: "msg=set-up subject=arc state=wrong" in daemon.log, what="the line in the log")
        self.assertRegex(daemon.log, 'msg="request to otlp-listen is refused" status=415 reason="content-type: want')
        run, job = self.run_of_arc()
        daemon.accept(*run.timeline())
        self.accepted(send(daemon, arc_spans(job, job.created + 5), ARC))
        self.assertEqual(arc()[0], "ok")

    def test_reports_about_jobs_that_arc_runners_does_not_select_are_a_warning(self):
        daemon, _ = self.pair(arc_runners="scale-set-*")
        run, job = self.run_of_arc()
        daemon.accept(*run.timeline())
        self.accepted(send(daemon, arc_spans(job, job.created + 5), ARC))
        item = self.setup_item(daemon)
        self.assertEqual(item["state"], "warning")
        self.assertIn("do its globs match the labels or the group", item["message"])

    def test_the_last_hundred_reports_are_listed_with_names_that_may_be_anything(self):
        daemon = self.with_receiver()
        job = Run().job()
        for number in range(105):
            job.name = f"<b>{number}</b>\x01 \u202e"
            self.accepted(send(daemon, arc_spans(job, job.created + 1, job_id=str(number + 1)), ARC))
        last = status(daemon)["arc"]["last"]
        self.assertEqual(len(last), 100)
        self.assertEqual(last[0]["job_name"], "<b>104</b>\x01 \u202e")
        self.assertEqual(last[-1]["job_name"], "<b>5</b>\x01 \u202e")
        self.assertEqual(last[0]["job_id"], "105")

    def test_a_job_token_states_nothing_about_a_job(self):
        daemon, collector = self.pair(arc_runners="arc-*", arc_grace="1s")
        run, job = self.run_of_arc()
        daemon.accept(*run.timeline())
        self.refused(send(daemon, arc_spans(job, job.created + 5), JOB), "3 our_id")
        self.check_trace(collector, assigned_spans(run, {}))
        self.assertEqual(sum(status(daemon)["arc"]["reports"].values()), 0)
        self.assertEqual(status(daemon)["otlp"]["arc_named"], 3)
        item = self.setup_item(daemon)
        self.assertIn("3 spans of ARC came with a `job` token: it needs an `arc` token.", item["message"])

    def test_nothing_that_was_answered_200_is_lost_by_kill_9(self):
        daemon, collector = self.pair(arc_runners="arc-*")
        pairs = [self.run_of_arc() for _ in range(60)]
        answered, left = [], list(pairs)
        stop = threading.Event()

        def report():
            try:
                with Client(daemon.otlp_address) as client:
                    while left and not stop.is_set():
                        run, job = left[0]
                        if send(daemon, arc_spans(job, job.created + 5), ARC, client=client).status == 200:
                            answered.append(left.pop(0))
            except (OSError, http.client.HTTPException):
                pass
        for _ in range(3):
            thread = threading.Thread(target=report)
            thread.start()
            time.sleep(0.05)
            daemon.restart("kill")
            thread.join()
        report()
        self.assertEqual(len(answered), len(pairs))
        for run, _ in pairs:
            daemon.accept(*run.timeline())
        for run, job in pairs:
            self.check_trace(collector, assigned_spans(run, {job: job.created + 5}))


class Jobs(ReceiverTest):
    """Spans of programs inside jobs."""

    def test_they_arrive_unchanged_in_the_jobs_trace(self):
        for encoding in (PROTOBUF, JSON):
            with self.subTest(encoding):
                daemon, collector = self.pair()
                run, job = self.known_run(daemon)
                sent = [job_span(job, number, f"test {number}", tests__passed=number) for number in range(1, 6)]
                self.accepted(send(daemon, sent, JOB, encoding, zipped=True, resource={"service.name": "pytest"}))
                collector.wait_for_ids(ids_of(sent))
                found = {span["spanId"]: span for span in collector.trace(Ids(run.run_id).trace)}
                for one in sent:
                    got = found[one["spanId"]]
                    self.assertEqual(
                        (got["name"], got["parentSpanId"], got["startTimeUnixNano"], got["endTimeUnixNano"],
                         got["attributes"], got["resource"]),
                        (one["name"], one["parentSpanId"], one["start"], one["end"], one["attributes"],
                         {"service.name": "pytest"}))
                collector.wait_for_ids(ids_of(expect.run_spans(run)))

    def test_those_of_a_run_that_is_not_known_yet_are_held_over_a_kill(self):
        daemon, collector = self.pair()
        run = Run()
        job = run.job()
        sent = job_span(job)
        self.accepted(send(daemon, [sent], JOB))
        self.assertEqual(status(daemon)["otlp"]["forwarded"]["held"], 1)
        daemon.restart("kill")
        daemon.accept(*run.timeline())
        collector.wait_for_ids(ids_of([sent]))

    def test_ids_of_ours_and_spans_without_a_parent_are_refused(self):
        daemon, collector = self.pair()
        run, job = self.known_run(daemon)
        ids = Ids(run.run_id)
        forged = [ids.root, ids.job(job.job_id), ids.phase("runner.queue", job.job_id),
                  ids.phase("runner.startup", job.job_id), ids.phase("runner.execution", job.job_id),
                  ids.phase("job.waiting", job.job_id), ids.step(job.job_id, "Set up job", 1)]
        spans = [sending.span(ids.trace, span_id, ids.root, "forged") for span_id in forged]
        orphan = sending.span(ids.trace, "ab" * 8, "", "orphan")
        self.refused(send(daemon, [*spans, orphan, job_span(job)], JOB), "8 spans refused: 1 no_parent, 7 our_id")
        collector.wait_for_ids(ids_of([job_span(job)]))
        expected = expect.run_spans(run)
        collector.wait_for_ids(ids_of(expected))
        self.assertFalse([span for span in collector.trace(ids.trace) if span["name"] in ("forged", "orphan")])

    def test_without_a_collector_they_are_refused(self):
        daemon = self.with_receiver()
        _, job = self.known_run(daemon)
        self.refused(send(daemon, [job_span(job)], JOB), "1 no_export")

    def test_they_fill_at_most_their_share_of_the_outbox_and_webhooks_go_on(self):
        collector = self.new_collector()
        collector.script = lambda request: unavailable()
        daemon = self.with_receiver(collector, outbox_max_size="1MiB", otlp_outbox_share="10")
        _, job = self.known_run(daemon)
        codes = []
        for number in range(300):
            spans = [job_span(job, f"{number}-{i}", "x" * 200) for i in range(5)]
            codes.append(send(daemon, spans, JOB, tries=1).status)
            if codes[-1] == 503:
                break
        self.assertEqual(codes[0], 200)
        self.assertEqual(codes[-1], 503)
        outbox = status(daemon)["outbox"]
        self.assertLess(outbox["forwarded_bytes"], 110_000)
        self.assertGreater(outbox["forwarded_records"], 0)
        self.assertLess(outbox["bytes"], outbox["forwarded_bytes"])
        self.assertIn(f"\nghatrace_outbox_forwarded_bytes {outbox['forwarded_bytes']}\n", daemon.admin("/metrics").text)
        self.known_run(daemon)
        self.assertGreater(status(daemon)["otlp"]["forwarded"]["no_room"], 0)
        collector.script = lambda request: Answer()
        wait_until(lambda: not any(status(daemon)["outbox"][of] for of in ("records", "forwarded_records")))


class Apart(ReceiverTest):
    """A collector that does not bear some program's spans: ours are sent as if there were none."""

    MARKER = b"poison-of-a-job"
    MANNERS = {"http": {"refuses": refused(), "fails": Answer(500), "is busy": unavailable(3600), "too large": Answer(413),
                        "wants a key": Answer(401), "resets": Answer(reset=True), "cuts": Answer(cut=True),
                        "hangs": Answer(hang=True)},
               "grpc": {"refuses": grpc_collector.refused(), "fails": grpc_collector.Answer(grpc_collector.INTERNAL),
                        "is busy": grpc_collector.Answer(grpc_collector.UNAVAILABLE),
                        "too large": grpc_collector.Answer(grpc_collector.RESOURCE_EXHAUSTED),
                        "resets": grpc_collector.Answer(reset=2), "cuts": grpc_collector.Answer(cut=True),
                        "hangs": grpc_collector.Answer(hang=True)}}

    def poisoned(self, protocol, manner):
        """A daemon and a collector that answers so to each request with the marker; the list of those requests."""
        collector, good = self.new_collector(), Answer()
        if protocol == "grpc":
            collector, good = grpc_collector.GrpcCollector(), grpc_collector.Answer()
            self.addCleanup(collector.stop)
        seen = []

        def script(request):
            if self.MARKER not in request.body:
                return good
            seen.append(request)
            return manner
        collector.script = script
        self.addCleanup(collector.release)
        settings = {"otlp_protocol": "grpc"} if protocol == "grpc" else {}
        daemon = self.with_receiver(collector, **settings)
        return daemon, collector, seen

    def send_poison(self, daemon, job, count=20):
        for number in range(count):
            self.accepted(send(daemon, [job_span(job, number, self.MARKER.decode())], JOB))

    def deliver_runs(self, daemon, collector, count):
        """One after the other, each once its spans have come."""
        spans = []
        for _ in range(count):
            run, _ = self.known_run(daemon)
            ours = ids_of(expect.run_spans(run))
            collector.wait_for_ids(ours, 20)
            spans += ours
        return spans

    def check_ours(self, daemon, collector, seen, spans):
        self.assertEqual({collector.ids()[key] for key in spans}, {1}, "a span of ours was sent again")
        for request in seen:
            self.assertFalse(set(scan_ids(request)) & set(spans), "one request with both")
        now = status(daemon)
        export = now["export"]
        self.assertEqual((export["state"], export["failures_in_a_row"], export["quarantined_records"]), ("ok", 0, 0))
        self.assertEqual(now["dead_letters"], now["forwarded_dead_letters"])
        return now

    def test_whatever_it_answers_to_them_ours_arrive_once_and_are_not_suspected(self):
        for protocol, manners in self.MANNERS.items():
            for name, manner in manners.items():
                with self.subTest(f"{protocol} {name}"):
                    daemon, collector, seen = self.poisoned(protocol, manner)
                    run, job = self.known_run(daemon)
                    collector.wait_for_ids(ids_of(expect.run_spans(run)))
                    self.send_poison(daemon, job)
                    wait_until(lambda seen=seen: seen)
                    before = len([r for r in collector.requests if self.MARKER not in r.body])
                    spans = self.deliver_runs(daemon, collector, 5)
                    ours = len([r for r in collector.requests if self.MARKER not in r.body]) - before
                    self.assertLessEqual(ours, 2 * 5)  # a job and a root each
                    if name == "hangs":
                        self.assertEqual(len(seen), 1)
                    self.check_ours(daemon, collector, seen, spans)
                    daemon.kill()

    def test_what_it_refuses_of_them_becomes_dead_letters_that_can_be_requeued(self):
        daemon, collector, seen = self.poisoned("http", refused())
        run, job = self.known_run(daemon)
        self.send_poison(daemon, job, 5)
        spans = ids_of(expect.run_spans(run))
        collector.wait_for_ids(spans)

        def all_dead():
            spans.extend(self.deliver_runs(daemon, collector, 1))
            return status(daemon)["outbox"]["forwarded_records"] == 0
        wait_until(all_dead, 60)
        now = self.check_ours(daemon, collector, seen, spans)
        self.assertGreater(now["forwarded_dead_letters"], 0)
        self.assertIn("bad data", now["export"]["forwarded_message"])
        collector.script = lambda request: Answer()
        daemon.command("requeue")
        collector.wait_for_ids(ids_of([job_span(job, number) for number in range(5)]))
        wait_until(lambda: status(daemon)["dead_letters"] == 0 and status(daemon)["export"]["forwarded_failures_in_a_row"] == 0)


class Flood(ReceiverTest):
    def test_a_flood_of_both_roles_costs_no_webhook_its_202(self):
        daemon, _ = self.pair(arc_runners="arc-*", arc_grace="1s")
        _, job = self.known_run(daemon)
        stop = threading.Event()
        counts = {ARC: 0, JOB: 0}

        def flood(token, number):
            made = [Run().job() for _ in range(20)]
            with Client(daemon.otlp_address) as client:
                at = 0
                while not stop.is_set():
                    at += 1
                    if token == ARC:
                        spans = [span for other in made for span in arc_spans(other, other.created + 1, str(at * 100 + number))]
                    else:
                        spans = [job_span(job, f"{number}-{at}-{i}") for i in range(200)]
                    if send(daemon, spans, token, client=client).status == 200:
                        counts[token] += len(spans)
        threads = [threading.Thread(target=flood, args=(token, number)) for number, token in
                   enumerate((ARC, JOB, ARC, JOB))]
        for thread in threads:
            thread.start()
        slowest = 0
        try:
            until = time.monotonic() + 5
            while time.monotonic() < until:
                other = Run()
                other.job()
                for event in other.timeline():
                    began = time.monotonic()
                    self.assertEqual(daemon.deliver(event).outcome, (202, "accepted"))
                    slowest = max(slowest, time.monotonic() - began)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertLess(slowest, 5)  # GitHub waits for 10 s
        self.assertTrue(all(counts.values()), counts)
