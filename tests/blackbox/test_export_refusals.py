"""Endpoints that refuse: for a while, by size, or one record for ever. Nothing is lost, nothing stops the rest."""
import json
import re
import time

import collector as standin
import harness
from collector import Answer, refused
from payloads import Run
from test_export import expected_ids, short_run
from test_order import deliver_all

HTML = {"Content-Type": "text/html; charset=utf-8"}
TEXT = {"Content-Type": "text/plain"}

# All that says nothing about the data, and what may.
FOR_A_WHILE = [
    *(Answer(status) for status in (300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410,
                                    411, 415, 417, 418, 421, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507,
                                    511, 520, 529, 599, 600, 999)),
    Answer(200, HTML, b"<html>log in</html>"), Answer(400, TEXT, b"plain HTTP sent to an HTTPS port"), Answer(400, {}, b""),
    Answer(413), Answer(422), refused("bad key"), Answer(reset=True), Answer(cut=True),
]


def poisoned(request):
    return b"poisoned" in request.body


def records_of(request):
    return sum(1 for _ in standin.fields_of(request.body))


class Refusals(harness.BlackBoxTest):
    def deliver_runs(self, daemon, count, **kinds):
        runs = [short_run(**kinds) for _ in range(count)]
        deliver_all(daemon, [run.timeline() for run in runs])
        return runs

    def deliver_large(self, daemon, count, steps=29):
        runs = []
        for _ in range(count):
            run = Run()
            job = run.job()
            kind, end = type(job.steps[0]), job.steps[0].end
            job.steps = [kind(f"Step {n} " + "x" * 200, n, end, end + 1) for n in range(1, steps + 1)]
            runs.append(run)
        deliver_all(daemon, [run.timeline() for run in runs])
        return runs

    def metric(self, daemon, name):
        text = daemon.admin("/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        self.assertIsNotNone(found, name)
        return float(found[1])

    def dead_letters(self, daemon):
        return self.metric(daemon, 'ghatrace_export_records_total{outcome="refused"}')

    def pairs(self, cases, **settings):
        return [(case, *self.new_pair(**settings)) for case in cases]

    def test_whatever_is_answered_for_a_while_everything_arrives_and_nothing_is_dead(self):
        lanes = [self.new_pair() for _ in range(8)]
        for start in range(0, len(FOR_A_WHILE), len(lanes)):
            cases = list(zip(FOR_A_WHILE[start:start + len(lanes)], lanes))
            waiting = []
            for answer, (daemon, collector) in cases:
                collector.script = lambda request, answer=answer: answer
                waiting.append(self.deliver_runs(daemon, 4))
            time.sleep(1.2)
            for _, (_, collector) in cases:
                collector.script = lambda request: Answer()
            for (answer, (_, collector)), runs in zip(cases, waiting):
                with self.subTest(answer):
                    collector.wait_for_ids(expected_ids(runs))
        for daemon, _ in lanes:
            self.assertEqual(self.dead_letters(daemon), 0)

    def test_a_bad_key_costs_a_handful_of_requests_and_no_record(self):
        collector = self.new_collector()
        daemon = self.new_daemon(collector, start=False)
        daemon.env = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret-k3y"}
        daemon.start()
        collector.script = lambda request: Answer(
            401, TEXT, b"no such key: " + request.headers["authorization"].encode() + b"\x1b[31m")
        runs = self.deliver_runs(daemon, 300)
        collector.wait(lambda c: len(c.requests) >= 4, what="probes")
        self.assertLess(len(collector.requests), 14)
        self.assertEqual(daemon.admin("/ready").status, 200)
        lines = [line for line in daemon.lines if "401 Unauthorized" in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("refuses credentials", lines[0])
        self.assertNotIn("unreachable", daemon.log)
        for secret in ("s3cret-k3y", "s3cret", "\x1b"):
            self.assertNotIn(secret, daemon.log)
        collector.script = lambda request: Answer()
        collector.wait_for_ids(expected_ids(runs))
        self.assertEqual(self.dead_letters(daemon), 0)
        harness.wait_until(lambda: "collector is back" in daemon.log, what="the line that it is over")

    def test_a_collector_that_does_not_answer_is_reported_as_unreachable(self):
        daemon, collector = self.new_pair()
        collector.stop()
        self.deliver_runs(daemon, 1)
        harness.wait_until(lambda: "collector unreachable" in daemon.log, what="the line")

    def test_413_to_everything_buries_nothing(self):
        for answer in (Answer(413), refused("invalid key")):
            with self.subTest(answer):
                daemon, collector = self.new_pair()
                collector.script = lambda request, answer=answer: answer
                runs = self.deliver_runs(daemon, 40)
                collector.wait(lambda c: any(records_of(r) == 1 for r in list(c.requests)), what="a record alone")
                time.sleep(1)
                self.assertLess(len(collector.requests), 40)
                self.assertEqual(self.dead_letters(daemon), 0)
                collector.script = lambda request: Answer()
                collector.wait_for_ids(expected_ids(runs))
                self.assertEqual(self.dead_letters(daemon), 0)

    def test_a_backlog_larger_than_a_request_may_be_arrives(self):
        limit = 60_000
        cases = {"reset": Answer(reset=True), "503": Answer(503), "429": Answer(429), "413": Answer(413),
                 "403": Answer(403), "500": Answer(500)}
        waiting = []
        for name, daemon, collector in self.pairs(cases):
            collector.stop()
            runs = self.deliver_large(daemon, 30)
            collector.script = lambda request, answer=cases[name]: answer if request.wire_size > limit else Answer()
            collector.start()
            waiting.append((name, daemon, collector, runs))
        for name, daemon, collector, runs in waiting:
            with self.subTest(name):
                collector.wait_for_ids(expected_ids(runs))
                self.assertTrue(any(r.wire_size > limit for r in collector.requests), "the backlog is large enough")
                self.assertEqual(self.dead_letters(daemon), 0)

    def test_a_slow_reader_gets_requests_that_fit_its_time_out(self):
        daemon, collector = self.new_pair(otlp_timeout="1s")
        collector.stop()
        runs = self.deliver_large(daemon, 30)
        collector.read_rate = 100_000
        collector.start()
        collector.wait_for_ids(expected_ids(runs))
        self.assertEqual(self.dead_letters(daemon), 0)

    def test_one_record_that_never_passes_is_quarantined_and_the_rest_arrives(self):
        cases = {"503": Answer(503), "reset": Answer(reset=True), "403": Answer(403, HTML, b"blocked"),
                 "400 text": Answer(400, TEXT, b"attack?"), "500": Answer(500), "429": Answer(429), "302": Answer(302)}
        waiting = []
        for name, daemon, collector in self.pairs(cases):
            collector.stop()
            runs = self.deliver_runs(daemon, 15)
            bad = self.deliver_runs(daemon, 1, name="poisoned job", workflow="poisoned workflow")
            runs += self.deliver_runs(daemon, 15)
            collector.script = lambda request, answer=cases[name]: answer if poisoned(request) else Answer()
            collector.start()
            waiting.append((name, daemon, collector, runs, bad))
        for name, daemon, collector, runs, bad in waiting:
            with self.subTest(name):
                collector.wait_for_ids(expected_ids(runs))
                harness.wait_until(lambda: daemon.log.count("quarantined, tried again") == 2, what="two lines")
                self.assertFalse(set(expected_ids(bad)) & collector.ids().keys())
                self.assertEqual(self.dead_letters(daemon), 0)
                listed = json.loads(daemon.admin("/api/quarantine").body)
                self.assertFalse(listed["more"])
                self.assertEqual({record["run_id"] for record in listed["records"]}, {str(bad[0].run_id)})
                self.assertEqual(len(listed["records"]), 2)
                daemon.stop()
                collector.requests.clear()
                collector._scanned = 0
                daemon.start()
                more = self.deliver_runs(daemon, 3)
                collector.wait_for_ids(expected_ids(more))
                self.assertTrue(all(records_of(r) == 1 for r in list(collector.requests) if poisoned(r)),
                                "a restart knows what was quarantined")
                collector.script = lambda request: Answer()
                daemon.restart()
                collector.wait_for_ids(expected_ids(bad))

    def test_a_success_of_an_unexpected_type_is_one_warning(self):
        daemon, collector = self.new_pair()
        collector.script = lambda request: Answer(200, {"Content-Type": "application/json"}, b"{}")
        for _ in range(3):
            collector.wait_for_ids(expected_ids(self.deliver_runs(daemon, 1)))
        self.assertEqual(daemon.log.count("unexpected content type"), 1)
        self.assertEqual(set(collector.ids().values()), {1})

    def test_remarks_of_a_collector_do_not_fill_the_log(self):
        daemon, collector = self.new_pair()
        collector.script = lambda request: standin.partial_success(1, "strange")
        for _ in range(30):
            collector.wait_for_ids(expected_ids(self.deliver_runs(daemon, 1)))
        self.assertLessEqual(daemon.log.count("strange"), 10)
