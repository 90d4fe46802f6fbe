"""A collector that takes nothing, and what is seen of it: status, metrics, live page, log, /ready."""
import json
import re
import time

import harness
from collector import Answer, refused
from harness import wait_until
from test_admin import metrics, value
from test_export import expected_ids, short_run

KEY = "k-0123456789abcdef-secret"


class Trouble(harness.BlackBoxTest):
    def start(self, script, **settings):
        self.collector = self.new_collector()
        self.collector.script = script
        settings.setdefault("otlp_header", f"authorization=Bearer%20{KEY}")
        settings.setdefault("otlp_endpoint", f"http://user:hidden-pass@127.0.0.1:{self.collector.port}/?key=hidden-query")
        self.daemon = self.new_daemon(self.collector, **settings)
        return self.daemon

    def send(self, count=1):
        runs = [short_run() for _ in range(count)]
        for run in runs:
            self.daemon.accept(*run.timeline())
        return runs

    def status(self):
        return json.loads(self.daemon.admin("/api/status").body)

    def wait_for_trouble(self):
        return wait_until(lambda: (s := self.status())["export"]["state"] == "trouble" and s, what="trouble")

    def everything(self):
        """All that the daemon says of itself."""
        parts = [self.daemon.log] + [self.daemon.admin(path).text for path in ("/api/status", "/metrics", "/ready", "/health")]
        with harness.socket.create_connection(self.daemon.admin_address, timeout=harness.PATIENCE) as connection:
            connection.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stream = b""
            while not re.search(rb"event: status\ndata: .*\n\n", stream):
                stream += connection.recv(65536)
        return "\n".join(parts + [stream.decode()])

    def test_a_refused_key_is_reported_everywhere_and_shown_nowhere(self):
        body = f"no such key: Bearer {KEY}, nor {KEY}\x1b[31m\r\nX: 1, at /?key=hidden-query for user:hidden-pass".encode()
        before = int(time.time()) - 1
        self.start(lambda request: Answer(401, {"Content-Type": "text/plain"}, body))
        self.send(3)
        status = self.wait_for_trouble()
        export = status["export"]
        self.assertEqual((export["category"], export["http_status"]), ("refuses_credentials", 401))
        self.assertIn("401", export["message"])
        self.assertIn("no such key", export["message"])
        self.assertIsNone(re.search(r"[\x00-\x1f\x7f]", export["message"]), "control characters")
        self.assertLess(len(export["message"].encode()), 300)
        since = time.mktime(time.strptime(export["since"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        self.assertTrue(before <= since <= time.time() + 1, export["since"])
        self.assertEqual(status["dead_letters"], 0)
        self.assertGreater(status["outbox"]["records"], 0)
        self.assertTrue(status["ready"])
        found = metrics(self.daemon)
        self.assertEqual(value(found, "ghatrace_export_trouble", category="refuses_credentials"), 1)
        self.assertEqual(value(found, "ghatrace_export_trouble", category="unreachable"), 0)
        self.assertAlmostEqual(value(found, "ghatrace_export_trouble_since_timestamp_seconds"), since, delta=2)
        text = self.everything()
        self.assertIn("no such key", self.daemon.log)
        for secret in (KEY, "hidden-pass", "hidden-query"):
            self.assertNotIn(secret, text)

    def test_ready_stays_200_and_names_the_category_alone(self):
        self.start(lambda request: Answer(401, {}, b"words of the endpoint"))
        self.assertEqual(json.loads(self.daemon.admin("/ready").body), {"status": "ready"})
        self.send()
        self.wait_for_trouble()
        for listener in (self.daemon.admin_address, self.daemon.address):
            with harness.Client(listener) as client:
                answer = client.request("GET", "/ready")
            self.assertEqual(answer.status, 200)
            self.assertEqual(json.loads(answer.body), {"status": "ready", "export": "refuses credentials"})

    def test_it_is_over_everywhere_when_the_collector_takes_records_again(self):
        self.start(lambda request: Answer(503, {}, b"later"))
        runs = self.send()
        self.assertEqual(self.wait_for_trouble()["export"]["category"], "overloaded")
        self.collector.script = lambda request: Answer()
        self.collector.wait_for_ids(expected_ids(runs))
        export = wait_until(lambda: (e := self.status()["export"])["state"] == "ok" and e, what="the end of it")
        self.assertEqual([export[key] for key in ("since", "category", "http_status", "message")], [None] * 4)
        found = metrics(self.daemon)
        self.assertEqual(sum(v for (name, _), v in found.items() if name == "ghatrace_export_trouble"), 0)
        self.assertEqual(value(found, "ghatrace_export_trouble_since_timestamp_seconds"), 0)
        self.assertEqual(json.loads(self.daemon.admin("/ready").body), {"status": "ready"})

    def test_a_collector_that_does_not_answer_is_distinguished_from_one_that_refuses(self):
        daemon = self.start(lambda request: Answer())
        self.collector.stop()
        self.send()
        export = self.wait_for_trouble()["export"]
        self.assertEqual((export["category"], export["http_status"]), ("unreachable", None))
        self.assertTrue(daemon.admin("/ready").status == 200)
        self.collector.start()

    def test_the_stream_of_the_live_page_reports_it_without_a_commit(self):
        self.start(lambda request: Answer())
        with harness.socket.create_connection(self.daemon.admin_address, timeout=harness.PATIENCE) as connection:
            connection.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.collector.script = lambda request: Answer(503, {}, b"later")
            self.send()
            stream = b""
            while b'"state":"trouble"' not in stream:
                stream += connection.recv(65536)
            self.collector.script = lambda request: Answer()
            stream = b""
            while b'"state":"ok"' not in stream:
                stream += connection.recv(65536)

    def test_without_a_collector_there_is_no_trouble(self):
        self.daemon = self.new_daemon()
        self.send()
        export = self.status()["export"]
        self.assertEqual((export["state"], export["endpoint"], export["header_file"]), ("off", None, None))
        self.assertEqual(self.daemon.admin("/ready").text, '{"status":"ready"}\n')


class DeadLetters(harness.BlackBoxTest):
    def status(self):
        return json.loads(self.daemon.admin("/api/status").body)

    def wait_for(self, predicate, what):
        return wait_until(lambda: predicate(s := self.status()) and s, what=what)

    def bury(self, count):
        """Records that are refused, alone and for good, while all others are taken: each is tried again after another
        one was accepted."""
        for number in range(1, count + 1):
            self.daemon.accept(*short_run("bad-job").timeline())

            def is_dead():
                self.daemon.accept(*short_run().timeline())
                time.sleep(0.2)
                return self.status()["dead_letters"] >= number
            wait_until(is_dead, what=f"dead letter {number}")
        self.wait_for(lambda s: not s["outbox"]["records"], "an empty outbox")

    def test_dead_letters_have_limits_and_can_be_requeued(self):
        self.daemon, self.collector = self.new_pair()
        self.collector.script = lambda request: refused("bad-words") if b"bad-job" in request.body else Answer()
        self.bury(3)
        before = self.status()
        self.assertEqual(before["dead_letters"], 3)
        size = before["dead_letter_bytes"] // 3
        self.assertEqual(value(metrics(self.daemon), "ghatrace_dead_letter_bytes"), before["dead_letter_bytes"])

        # Put back beside the daemon: at most half of the outbox is filled.
        self.collector.stop()
        shown = self.daemon.command("requeue", "--outbox-max-size", f"{3 * size}B")
        self.assertEqual((shown.returncode, shown.stdout), (1, "1 dead letter put back into the outbox\n"))
        self.assertIn("2 more remain: half of outbox-max-size is in use", shown.stderr)
        status = self.status()
        self.assertEqual((status["dead_letters"], status["outbox"]["records"]), (2, 1))
        self.assertEqual(status["dead_letter_bytes"] + status["outbox"]["bytes"], before["dead_letter_bytes"])
        again = self.daemon.command("requeue")
        self.assertEqual((again.returncode, again.stdout, again.stderr), (0, "2 dead letters put back into the outbox\n", ""))
        self.assertEqual(self.status()["outbox"]["records"], 3)
        self.collector.script = lambda request: Answer()
        self.collector.start()
        self.wait_for(lambda s: not s["outbox"]["records"], "all to be sent")
        self.assertEqual(self.status()["dead_letters"], 0)

        # Beyond the size the oldest are dropped, counted and logged.
        self.collector.script = lambda request: refused("bad-words") if b"bad-job" in request.body else Answer()
        self.daemon.settings["dead-letters-max-size"] = f"{2 * size - 1}B"
        self.daemon.restart()
        self.bury(1)
        self.daemon.accept(*short_run("bad-job").timeline())

        def is_dropped():
            self.daemon.accept(*short_run().timeline())
            time.sleep(0.2)
            return (s := self.status())["dead_letters_dropped"]["size"] == 1 and s
        status = wait_until(is_dropped, what="a dead letter to be dropped")
        self.assertEqual(status["dead_letters"], 1)
        self.assertLess(status["dead_letter_bytes"], 2 * size)
        self.assertEqual(value(metrics(self.daemon), "ghatrace_dead_letters_dropped_total", reason="size"), 1)
        self.assertEqual(self.daemon.log.count("dead letters were dropped"), 1)

        # So are those that are too old, also such as were there before a restart.
        self.daemon.settings["dead-letters-max-age"] = "1s"
        time.sleep(1.1)
        self.daemon.restart("kill")
        status = self.wait_for(lambda s: s["dead_letters"] == 0, "it to be dropped")
        self.assertEqual(status["dead_letters_dropped"]["age"], 1)
        self.assertEqual(self.daemon.command("requeue").stdout, "0 dead letters put back into the outbox\n")
